/* Manifests: how files are cut, what is complained about and where, and what an API server's
 * defaults make of objects. */
#include "tests/manifest_kit.h"

#include "tools/manifest/limits.h"
#include "tools/manifest/split.h"

/* ---- cutting ------------------------------------------------------------------------------ */

struct pieces {
    char text[4096];
    int whole_shells; /* answer MU_PIECE_WHOLE to shells */
};

/* "kind line text|" for each piece. */
static int note_piece(void *context, const struct mu_piece *piece)
{
    static const char kinds[] = {'d', 's', 'i'};
    struct pieces *p = context;
    size_t at = strlen(p->text);
    (void)snprintf(p->text + at, sizeof p->text - at, "%c%s%u %.*s|", kinds[piece->kind],
                   piece->json ? "j" : "y", piece->line, MU_STR_ARGS(piece->text));
    return piece->kind == MU_PIECE_SHELL && p->whole_shells ? MU_PIECE_WHOLE : 0;
}

static void cuts(const char *text, const char *expected)
{
    struct pieces p = {.text = ""};
    assert_int_equal(mu_manifest_split(mu_str_of(text), note_piece, &p), 0);
    assert_string_equal(p.text, expected);
}

static void test_manifest_split__documents__cut_at_their_markers(void **state)
{
    (void)state;
    cuts("", "");
    cuts("\n# only a comment\n", "");
    cuts("a: 1\n", "dy1 a: 1\n|");
    cuts("a: 1", "dy1 a: 1|");
    cuts("---\na: 1\n---\n---\nb: 2\n", "dy1 ---\na: 1\n|dy3 ---\n---\nb: 2\n|");
    cuts("a: 1\n--- # two\nb: 2\n", "dy1 a: 1\n|dy2 --- # two\nb: 2\n|");
    cuts("%YAML 1.2\n---\na: 1\n", "dy1 %YAML 1.2\n---\na: 1\n|");
    cuts("a: |\n  ---\nb: 1\n", "dy1 a: |\n  ---\nb: 1\n|");
    cuts("a: 1\r\n---\r\nb: 2\r\n", "dy1 a: 1\r\n|dy2 ---\r\nb: 2\r\n|");
    cuts("---x\n", "dy1 ---x\n|");
    cuts("{\"a\":1}\n{\"b\":{}}", "dj1 {\"a\":1}|dj2 {\"b\":{}}|");
    cuts("{\"a\":1}\n---\nb: 2\n", "dj1 {\"a\":1}|dy2 ---\nb: 2\n|");
    cuts("\xEF\xBB\xBF{\"a\":\"}\\\"\"}", "dj1 {\"a\":\"}\\\"\"}|");
    cuts("{\"a\":1", "dj1 {\"a\":1|");
    cuts("{\"a\"}{", "dj1 {\"a\"}|dj1 {|");
    cuts("{\"a\":\"\\\\\"}\n{\"b\":1}", "dj1 {\"a\":\"\\\\\"}|dj2 {\"b\":1}|");
    cuts("{\"a\":\"\\", "dj1 {\"a\":\"\\|");
    cuts("{\"a\":\"\n\\\n\",\n\"b\":[\n]}\n{}", "dj1 {\"a\":\"\n\\\n\",\n\"b\":[\n]}|dj6 {}|");
    cuts("{\"a\":true\t,\"b\":x\"y\"}{}", "dj1 {\"a\":true\t,\"b\":x\"y\"}{}|");
}

static void test_manifest_split__lists__a_shell_and_items(void **state)
{
    (void)state;
    cuts("items:\n- a: 1\n  b: 2\n- c: 3\nkind: List\n",
         "sy1 items:\nkind: List\n|iy2   a: 1\n  b: 2\n|iy4   c: 3\n|");
    cuts("kind: L\nitems:  # here\n\n  - a: |\n     - x\n\n  # between\n  - b: 2\n",
         "sy1 kind: L\nitems:  # here\n\n|iy4     a: |\n     - x\n\n  # between\n|iy8     b: 2\n|");
    cuts("kind: L\nitems:\n-\n  a: 1\n", "sy1 kind: L\nitems:\n|iy3  \n  a: 1\n|");
    cuts("items: []\nkind: L\n", "dy1 items: []\nkind: L\n|");
    cuts("items:\n  a: 1\n", "dy1 items:\n  a: 1\n|");
    cuts("items:\n", "dy1 items:\n|");
    cuts("a:\n  items:\n  - b\n", "dy1 a:\n  items:\n  - b\n|");
    cuts("{\"kind\":\"L\",\n\"items\":[{\"a\":[1,2]},\n {\"b\":\"],\"}],\n\"x\":1}",
         "sj1 {\"kind\":\"L\",\n\"items\":[],\n\"x\":1}|ij2 {\"a\":[1,2]}|ij3 {\"b\":\"],\"}|");
    cuts("{\"items\":[]}", "sj1 {\"items\":[]}|");
    cuts("{\"items\":[1 2, ]}", "sj1 {\"items\":[]}|ij1 1 2|");
    cuts("{\"items\":[}]}", "dj1 {\"items\":[}]}|");
    cuts("{\"items\":[1,]}", "sj1 {\"items\":[]}|ij1 1|");
    cuts("{\"items\":[1]],\n{\"a\":\n2}]}", "dj1 {\"items\":[1]],\n{\"a\":\n2}]}|");
    cuts("{\"items\":{}}", "dj1 {\"items\":{}}|");
}

static void test_manifest_split__no_list_after_all__the_whole_document(void **state)
{
    struct pieces p = {.text = "", .whole_shells = 1};
    (void)state;
    assert_int_equal(mu_manifest_split(MU_STR("items:\n- 1\n---\n- 2\n"), note_piece, &p), 0);
    assert_string_equal(p.text, "sy1 items:\n|dy1 items:\n- 1\n|dy3 ---\n- 2\n|");
}

static int stop_at_once(void *context, const struct mu_piece *piece)
{
    (void)piece;
    (*(int *)context)++;
    return -7;
}

static void test_manifest_split__caller_stops__its_value_comes_back(void **state)
{
    static const char *const texts[] = {"a: 1\n---\nb: 2\n", "items:\n- 1\n- 2\n", "{}{}",
                                        "{\"items\":[1,2]}"};
    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        int calls = 0;
        assert_int_equal(mu_manifest_split(mu_str_of(texts[i]), stop_at_once, &calls), -7);
        assert_int_equal(calls, 1);
    }
}

/* ---- complaints --------------------------------------------------------------------------- */

#define POD_HEAD  "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec:\n"
#define CONTAINER "  containers: [{name: c}]\n"

static void complains(const char *text, const char *expected)
{
    struct offline_rig rig = rig_read("f", text);
    assert_string_equal(rig_errors(&rig), expected);
    rig_drop(&rig);
}

static void test_manifest_read__wrong_grammar__file_and_line(void **state)
{
    (void)state;
    complains("a: [1\nb: 2\n", "f:3: expected YAML: flow sequence without a closing bracket\n");
    complains("{\"kind\": \"Pod\"\n\"x\": 1}", "f:2: not JSON: '}' expected near '\"x\"'\n");
    complains(
        "{\n    \"kind\": \"List\", \"apiVersion\": \"v1\",\n    \"items\": [\n\t{\n\t    \"a\": "
        "\"  \",\n        \"b\": 08\n        }\n    ]\n}\n",
        "f:6: not JSON: invalid token near '0'\n");
    complains("kind: Pod\n---\nkind: &a Pod\n", "f:1: Pod: apiVersion: expected a text such as v1\n"
                                                "f:3: expected no anchors, aliases or tags\n");
    complains("just text\n", "f:1: expected an object with apiVersion and kind\n");
    complains("- 1\n", "f:1: expected an object with apiVersion and kind\n");
    complains("a: 1\n", "f:1: kind: expected a text such as Pod or Node\n");
    complains("# c\nkind: Pod\nmetadata: {name: p}\n",
              "f:1: Pod default/p: apiVersion: expected a text such as v1\n");
    complains("apiVersion: v2\nkind: Pod\nmetadata: {name: p, namespace: x}\n",
              "f:1: Pod x/p: apiVersion: 'v2'; expected v1\n");
    complains("apiVersion: v1\nkind: List\nitems: 5\n", "f:3: List: items: expected a list\n");
    complains("apiVersion: v1\nkind: List\nitems:\n- a: 1\n- 5\n",
              "f:4: kind: expected a text such as Pod or Node\n"
              "f:5: expected an object with apiVersion and kind\n");
}

static void test_manifest_read__wrong_types__field_and_its_line(void **state)
{
    (void)state;
    complains(POD_HEAD "  containers: 5\n",
              "f:5: Pod default/p: spec.containers: expected an array\n");
    complains(POD_HEAD CONTAINER "  priority: high\n",
              "f:6: Pod default/p: spec.priority: expected a 32-bit whole number\n");
    complains(POD_HEAD "  containers:\n  - name: c\n  - name: d\n    resources:\n"
                       "      limits:\n        nvidia.com/gpu: [1]\n",
              "f:10: Pod default/p: spec.containers[1].resources.limits.nvidia.com/gpu: expected a "
              "quantity: a string or a number\n");
    complains("{\"apiVersion\":\"v1\",\"kind\":\"List\",\"items\":[\n{\"apiVersion\":\"v1\",\n"
              "\"kind\":\"Node\",\"metadata\":{\"name\":\"n\"},\n\"spec\":{\"taints\":[\n{\"key\":"
              "5}]}}]}",
              "f:5: Node n: spec.taints[0].key: expected a string, found a number: quote it\n");
}

/* Line, field and problem. */
struct need_case {
    const char *spec, *expected;
};
static const struct need_case need_cases[] = {
    {"  restartPolicy: Never\n", "4: Pod default/p: spec.containers: expected at least one"},
    {CONTAINER "  nodeName: n1\n  schedulingGates: [{name: a}]\n",
     "6: Pod default/p: spec.nodeName: expected none while there are schedulingGates"},
    {"  containers:\n  - resources:\n      requests: {cpu: -1}\n",
     "7: Pod default/p: spec.containers[0].resources.requests.cpu: '-1' is negative; expected "
     "at least 0"},
    {"  containers:\n  - resources:\n      requests: {cpus: 1}\n",
     "7: Pod default/p: spec.containers[0].resources.requests.cpus: 'cpus' is not a resource; "
     "expected cpu, memory, ephemeral-storage, hugepages-SIZE or DOMAIN/NAME"},
    {"  containers:\n  - resources:\n      limits: {hugepages-2Mi: 4Mi, gpu: 1}\n",
     "7: Pod default/p: spec.containers[0].resources.limits.gpu: 'gpu' is not a resource; "
     "expected cpu, memory, ephemeral-storage, hugepages-SIZE or DOMAIN/NAME"},
    {"  containers:\n  - resources:\n      requests: {memory: 8Ei}\n",
     "7: Pod default/p: spec.containers[0].resources.requests.memory: '8Ei' is beyond all "
     "bounds; expected less than 2^63 - 1"},
    {"  containers:\n  - resources:\n      requests: {cpu: 10P}\n",
     "7: Pod default/p: spec.containers[0].resources.requests.cpu: '10P' is beyond all "
     "bounds; expected less than 2^63 - 1 thousandths"},
    {"  containers:\n  - resources:\n      requests: {cpu: 2}\n      limits: {cpu: 1500m}\n",
     "7: Pod default/p: spec.containers[0].resources.requests.cpu: expected at most its limit, "
     "1500m"},
    {"  containers:\n  - resources:\n      requests: {x.com/gpu: 1}\n      limits: {x.com/gpu: "
     "2}\n",
     "7: Pod default/p: spec.containers[0].resources.requests.x.com/gpu: expected as much as "
     "its limit, 2"},
    {CONTAINER "  resources:\n    requests: {memory: 2Gi}\n    limits: {memory: 1Gi}\n",
     "7: Pod default/p: spec.resources.requests.memory: expected at most its limit, 1Gi"},
    {"  containers:\n  - resources:\n      limits: {nvidia.com/gpu: 500m}\n",
     "7: Pod default/p: spec.containers[0].resources.limits.nvidia.com/gpu: '500m' is no whole "
     "number, which what is counted in pieces must be"},
    {CONTAINER "  overhead: {x.com/gpu: 0.5}\n",
     "6: Pod default/p: spec.overhead.x.com/gpu: '0.5' is no whole number, which what is "
     "counted in pieces must be"},
    {"  containers:\n  - name: c\n  - name: d\n  - name: c\n",
     "8: Pod default/p: spec.containers[2].name: 'c' is the name of an earlier one"},
    {CONTAINER "  initContainers:\n  - name: c\n",
     "7: Pod default/p: spec.initContainers[0].name: 'c' is the name of an earlier one"},
    {"  containers:\n  - ports:\n    - hostPort: 70000\n",
     "7: Pod default/p: spec.containers[0].ports[0].hostPort: 70000; expected 1 to 65535"},
    {"  containers:\n  - ports:\n    - {containerPort: 1, protocol: ICMP}\n",
     "7: Pod default/p: spec.containers[0].ports[0].protocol: 'ICMP' is none; expected TCP, "
     "UDP or SCTP"},
    {CONTAINER "  nodeSelector: {a b: x}\n",
     "6: Pod default/p: spec.nodeSelector[a b]: 'a b' is not a label key; expected "
     "[prefix/]name"},
    {CONTAINER "  nodeSelector: {a: x y}\n",
     "6: Pod default/p: spec.nodeSelector[a]: 'x y' is not a label value; expected at most 63 "
     "letters, digits, '-', '_' and '.'"},
    {CONTAINER "  tolerations: [{key: a, operator: Exist}]\n",
     "6: Pod default/p: spec.tolerations[0].operator: 'Exist' is none; expected Equal, Exists, "
     "Lt or Gt"},
    {CONTAINER "  tolerations: [{key: a, effect: Never}]\n",
     "6: Pod default/p: spec.tolerations[0].effect: 'Never' is none; expected NoSchedule, "
     "PreferNoSchedule or NoExecute"},
    {CONTAINER "  tolerations: [{key: a, operator: Exists, value: b}]\n",
     "6: Pod default/p: spec.tolerations[0].value: expected none with Exists"},
    {CONTAINER "  tolerations: [{value: b}]\n",
     "6: Pod default/p: spec.tolerations[0].operator: expected Exists, since there is no key"},
    {CONTAINER "  tolerations: [{key: a b}]\n",
     "6: Pod default/p: spec.tolerations[0].key: 'a b' is not a taint's key; expected "
     "[prefix/]name"},
    {CONTAINER "  affinity:\n    nodeAffinity:\n"
               "      requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: []}\n",
     "8: Pod default/p: "
     "spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution."
     "nodeSelectorTerms: expected at least one"},
    {CONTAINER "  affinity:\n    nodeAffinity:\n"
               "      requiredDuringSchedulingIgnoredDuringExecution:\n"
               "        nodeSelectorTerms:\n"
               "        - matchExpressions: [{key: a, operator: Is}]\n",
     "10: Pod default/p: "
     "spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution."
     "nodeSelectorTerms[0].matchExpressions[0].operator: 'Is' is none; expected In, NotIn, "
     "Exists, DoesNotExist, Gt or Lt"},
    {CONTAINER "  affinity:\n    nodeAffinity:\n"
               "      requiredDuringSchedulingIgnoredDuringExecution:\n"
               "        nodeSelectorTerms:\n"
               "        - matchExpressions: [{key: a, operator: Gt, values: ['1', '2']}]\n",
     "10: Pod default/p: "
     "spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution."
     "nodeSelectorTerms[0].matchExpressions[0].values: expected one with Gt"},
    {CONTAINER "  affinity:\n    nodeAffinity:\n"
               "      preferredDuringSchedulingIgnoredDuringExecution:\n"
               "      - {weight: 0, preference: {}}\n",
     "9: Pod default/p: "
     "spec.affinity.nodeAffinity.preferredDuringSchedulingIgnoredDuringExecution[0].weight: 0; "
     "expected 1 to 100"},
    {CONTAINER "  affinity:\n    nodeAffinity:\n"
               "      preferredDuringSchedulingIgnoredDuringExecution:\n"
               "      - weight: 1\n        preference:\n"
               "          matchFields: [{key: spec.x, operator: In, values: [a]}]\n",
     "11: Pod default/p: "
     "spec.affinity.nodeAffinity.preferredDuringSchedulingIgnoredDuringExecution[0].preference."
     "matchFields[0].key: 'spec.x' is no field to match; expected metadata.name"},
    {CONTAINER "  affinity:\n    podAffinity:\n"
               "      requiredDuringSchedulingIgnoredDuringExecution:\n"
               "      - labelSelector: {}\n",
     "9: Pod default/p: "
     "spec.affinity.podAffinity.requiredDuringSchedulingIgnoredDuringExecution[0].topologyKey: "
     "expected a label key of nodes"},
    {CONTAINER "  affinity:\n    podAntiAffinity:\n"
               "      requiredDuringSchedulingIgnoredDuringExecution:\n"
               "      - topologyKey: zone\n        labelSelector:\n"
               "          matchExpressions: [{key: a, operator: Gt, values: ['1']}]\n",
     "11: Pod default/p: "
     "spec.affinity.podAntiAffinity.requiredDuringSchedulingIgnoredDuringExecution[0]."
     "labelSelector.matchExpressions[0].operator: 'Gt' is none; expected In, NotIn, Exists or "
     "DoesNotExist"},
    {CONTAINER "  affinity:\n    podAntiAffinity:\n"
               "      preferredDuringSchedulingIgnoredDuringExecution:\n"
               "      - weight: 101\n        podAffinityTerm: {topologyKey: a}\n",
     "9: Pod default/p: "
     "spec.affinity.podAntiAffinity.preferredDuringSchedulingIgnoredDuringExecution[0].weight: "
     "101; expected 1 to 100"},
    {CONTAINER "  topologySpreadConstraints: [{topologyKey: a, maxSkew: 0}]\n",
     "6: Pod default/p: spec.topologySpreadConstraints[0].maxSkew: 0; expected at least 1"},
    {CONTAINER "  topologySpreadConstraints:\n  - topologyKey: a\n    maxSkew: 1\n"
               "    whenUnsatisfiable: Maybe\n",
     "9: Pod default/p: spec.topologySpreadConstraints[0].whenUnsatisfiable: 'Maybe' is none; "
     "expected DoNotSchedule or ScheduleAnyway"},
    {CONTAINER "  topologySpreadConstraints:\n  - topologyKey: a\n    maxSkew: 1\n"
               "    whenUnsatisfiable: DoNotSchedule\n    minDomains: -1\n",
     "10: Pod default/p: spec.topologySpreadConstraints[0].minDomains: -1; expected at least "
     "1, "
     "with DoNotSchedule alone"},
    {CONTAINER "  topologySpreadConstraints:\n  - topologyKey: a\n    maxSkew: 1\n"
               "    whenUnsatisfiable: DoNotSchedule\n    nodeTaintsPolicy: Maybe\n",
     "10: Pod default/p: spec.topologySpreadConstraints[0].nodeTaintsPolicy: 'Maybe' is none; "
     "expected Honor or Ignore"},
    {CONTAINER "  priorityClassName: none\n",
     "1: Pod default/p: spec.priorityClassName: 'none' is no PriorityClass of the input"},
};

static void test_manifest_read__what_placing_needs__one_line_an_object(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof need_cases / sizeof need_cases[0]; i++) {
        char text[2048], expected[1024];
        (void)snprintf(text, sizeof text, POD_HEAD "%s", need_cases[i].spec);
        (void)snprintf(expected, sizeof expected, "f:%s\n", need_cases[i].expected);
        complains(text, expected);
    }
}

/* What would be compared with each other is bounded. */
static void test_manifest_read__endless_lists__one_line_an_object(void **state)
{
    struct mu_buf text = {.max = 0};
    (void)state;
    assert_int_equal(mu_buf_append_text(&text, POD_HEAD "  containers:\n"), 0);
    for (uint32_t i = 0; i <= MU_MANIFEST_CONTAINERS_MAX; i++)
        assert_int_equal(mu_buf_printf(&text, "  - name: c%u\n", i), 0);
    assert_int_equal(mu_buf_append(&text, "", 1), 0);
    complains((const char *)text.data,
              "f:5: Pod default/p: spec.containers: 10241 with init containers; expected at most "
              "10240\n");
    mu_buf_clear(&text);
    assert_int_equal(mu_buf_append_text(&text, POD_HEAD CONTAINER "  resources:\n    limits:\n"),
                     0);
    for (uint32_t i = 0; i <= MU_MANIFEST_RESOURCES_MAX; i++)
        assert_int_equal(mu_buf_printf(&text, "      x.com/r%u: 1\n", i), 0);
    assert_int_equal(mu_buf_append(&text, "", 1), 0);
    complains((const char *)text.data,
              "f:6: Pod default/p: spec.resources.requests: 257 here or among the limits; expected "
              "at most 256\n");
    mu_buf_fini(&text);
}

static void test_manifest_read__names_and_nodes__one_line_an_object(void **state)
{
    (void)state;
    complains("apiVersion: v1\nkind: Pod\nspec: {containers: [{name: c}]}\n",
              "f:1: Pod: metadata.name: expected a name\n");
    complains("apiVersion: v1\nkind: Pod\nmetadata:\n  name: A\nspec: {}\n",
              "f:4: Pod default/A: metadata.name: 'A' is not a name; expected at most 253 of a-z, "
              "0-9, '-' and '.'\n");
    complains("apiVersion: v1\nkind: Pod\nmetadata:\n  name: a\n  namespace: B\nspec: {}\n",
              "f:5: Pod B/a: metadata.namespace: 'B' is not a namespace; expected at most 63 of "
              "a-z, 0-9 and '-'\n");
    complains("apiVersion: v1\nkind: Pod\nmetadata:\n  name: a\n",
              "f:1: Pod default/a: spec.containers: expected at least one\n");
    complains("apiVersion: v1\nkind: Pod\nmetadata:\n  name: a\nspec:\n  containers: []\n",
              "f:6: Pod default/a: spec.containers: expected at least one\n");
    complains("apiVersion: v1\nkind: pod\nmetadata: {name: a}\n",
              "f:2: pod a: kind: 'pod'; expected Pod\n");
    complains("apiVersion: v1\nkind: Node\nmetadata:\n  name: a\nspec:\n  taints:\n  - key: b\n",
              "f:7: Node a: spec.taints[0].effect: '' is none; expected NoSchedule, "
              "PreferNoSchedule or NoExecute\n");
    complains("apiVersion: v1\nkind: Node\nmetadata:\n  name: a\nspec:\n  taints:\n  - effect: x\n",
              "f:7: Node a: spec.taints[0].key: '' is not a taint's key; expected [prefix/]name\n");
    complains("apiVersion: v1\nkind: Node\nmetadata: {name: a}\nstatus:\n  allocatable:\n"
              "    cpu: many\n",
              "f:6: Node a: status.allocatable.cpu: 'many' is not a quantity; expected a number "
              "like 2, 500m or 4Gi\n");
    complains("apiVersion: v1\nkind: Node\nmetadata:\n  name: a\n  labels: {x: '%'}\n",
              "f:5: Node a: metadata.labels[x]: '%' is not a label value; expected at most 63 "
              "letters, digits, '-', '_' and '.'\n");
    complains("apiVersion: v1\nkind: Namespace\nmetadata: {name: a.b}\n",
              "f:3: Namespace a.b: metadata.name: 'a.b' is not a namespace; expected at most 63 of "
              "a-z, 0-9 and '-'\n");
    complains("apiVersion: scheduling.k8s.io/v1\nkind: PriorityClass\nvalue: 5\n",
              "f:1: PriorityClass: metadata.name: expected a name\n");
}

static void annotation_complains(const char *annotation, const char *expected)
{
    char text[512], line[512];
    (void)snprintf(text, sizeof text,
                   "apiVersion: v1\nkind: Pod\nmetadata:\n  name: p\n  annotations:\n"
                   "    muster.dev/pod-group: g\n    %s\nspec: {containers: [{name: c}]}\n",
                   annotation);
    (void)snprintf(line, sizeof line, "f:7: Pod default/p: metadata.annotations[%s\n", expected);
    complains(text, line);
}

static void test_manifest_read__values_of_annotations__one_line_an_object(void **state)
{
    (void)state;
    annotation_complains(
        "muster.dev/pod-group-size: two",
        "muster.dev/pod-group-size]: 'two' is not a size; expected a whole number, "
        "1 to 16384");
    annotation_complains("muster.dev/pod-group-size: '0'",
                         "muster.dev/pod-group-size]: '0' is not a size; expected a whole number, "
                         "1 to 16384");
    annotation_complains("muster.dev/pod-group-size: 2",
                         "muster.dev/pod-group-size]: expected a string, found a number: quote it");
    static const char *const no_shares[] = {"0.0", "1.0", "1.5", "-0.5"};
    for (size_t i = 0; i < sizeof no_shares / sizeof no_shares[0]; i++) {
        char value[64], complaint[160];
        (void)snprintf(value, sizeof value, "gpu-fraction: '%s'", no_shares[i]);
        (void)snprintf(complaint, sizeof complaint,
                       "gpu-fraction]: '%s' is not a share; expected a number such as 0.5, above 0 "
                       "and below 1",
                       no_shares[i]);
        annotation_complains(value, complaint);
    }
    annotation_complains("gpu-fraction: half",
                         "gpu-fraction]: 'half' is not a share; expected a number such as 0.5, "
                         "above 0 and below 1");
}

/* Of pods without a part a line each for those of another scheduler and those on absent nodes. */
static void test_manifest_load__pods_without_a_part__are_told(void **state)
{
    (void)state;
    struct offline_rig rig = rig_read(
        "f",
        "{apiVersion: v1, kind: Node, metadata: {name: n1}, status: {capacity: {pods: 9}}}\n---\n"
        "{apiVersion: v1, kind: Pod, metadata: {name: here}, spec: {nodeName: n1, "
        "schedulerName: other, containers: [{name: c}]}}\n---\n"
        "{apiVersion: v1, kind: Pod, metadata: {name: over}, spec: {nodeName: n8, "
        "containers: [{name: c}]}, status: {phase: Succeeded}}\n---\n"
        "{apiVersion: v1, kind: Pod, metadata: {name: lost}, spec: {nodeName: \"n\\e9\", "
        "containers: [{name: c}]}}\n---\n"
        "{apiVersion: v1, kind: Pod, metadata: {name: theirs}, spec: {schedulerName: other, "
        "containers: [{name: c}]}}\n---\n"
        "{apiVersion: v1, kind: Pod, metadata: {name: too}, spec: {schedulerName: third, "
        "containers: [{name: c}]}}\n---\n"
        "{apiVersion: v1, kind: Pod, metadata: {name: p}, spec: {containers: [{name: c}]}}\n");
    rig_load(&rig, (struct mu_uid){0, 0});
    assert_string_equal(rig_errors(&rig), "");
    assert_string_equal(
        rig_notes(&rig),
        "f:9: Pod default/theirs: left out, another scheduler places it (2 such pods)\n"
        "f:7: Pod default/lost: charged to nobody, its node is not in the input: n?9\n");
    rig_drop(&rig);
}

/* What an API server has taken and nobody has to place is no error; a pod that waits for us is. */
static void test_manifest_read__values_of_annotations__of_settled_pods_pass(void **state)
{
    static const struct {
        const char *spec, *status, *meta;
        bool passes;
    } cases[] = {{"nodeName: n1", "Running", "", true},
                 {"nodeName: n1", "Succeeded", "", true},
                 {"priority: 0", "Failed", "", true},
                 {"schedulerName: other", "Pending", "", true},
                 {"priority: 0", "Pending", "  deletionTimestamp: 2026-01-01T00:00:00Z\n", true},
                 {"schedulerName: muster", "Pending", "", false},
                 {"priority: 0", "Pending", "", false}};
    static const char *const annotations[] = {"gpu-fraction: '1.5'",
                                              "muster.dev/pod-group-size: many"};
    static const char *const told[] = {
        "f:1: Pod default/p: metadata.annotations[gpu-fraction]: expected a number such as 0.5, "
        "above 0 and below 1\n",
        "f:1: Pod default/p: metadata.annotations[muster.dev/pod-group-size]: expected a number of "
        "pods, 1 to 16384\n"};
    char text[512];
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        for (size_t a = 0; a < 2; a++) {
            (void)snprintf(text, sizeof text,
                           "apiVersion: v1\nkind: Pod\nmetadata:\n  name: p\n%s  annotations:\n"
                           "    muster.dev/pod-group: g\n    %s\n"
                           "spec: {containers: [{name: c}], %s}\nstatus: {phase: %s}\n",
                           cases[i].meta, annotations[a], cases[i].spec, cases[i].status);
            struct offline_rig rig = rig_read("f", text);
            if (!cases[i].passes)
                assert_int_equal(mu_manifest_error_count(rig.manifest), 1);
            if (cases[i].passes) {
                rig_load(&rig, (struct mu_uid){0, 0});
                assert_string_equal(rig_errors(&rig), "");
                assert_memory_equal(rig_notes(&rig), told[a], strlen(told[a]));
            }
            rig_drop(&rig);
        }
    }
}

static void test_manifest_read__kind_is_missing__told_so(void **state)
{
    (void)state;
    complains("apiVersion: v1\nmetadata: {name: a, namespace: b}\n",
              "f:1: kind: expected a text such as Pod or Node\n");
    complains("apiVersion: v1\nkind: 5\nmetadata: {name: a}\n",
              "f:2: kind: expected a text such as Pod or Node\n");
}

static void notes(const char *text, const char *expected)
{
    struct offline_rig rig = rig_read("f", text);
    assert_string_equal(rig_errors(&rig), "");
    assert_string_equal(rig_notes(&rig), expected);
    rig_drop(&rig);
}

static void test_manifest_read__names_nobody_knows__a_line_each(void **state)
{
    (void)state;
    notes("apiVersion: v1\nkind: Pod\nmetadata:\n  name: p\n  labels: {muster.dev/pod-group: g}\n"
          "  annotations:\n    muster.dev/pod-grup: g\n    muster.dev/pod-group: g\n"
          "spec: {containers: [{name: c}]}\n",
          "f:7: Pod default/p: metadata.annotations[muster.dev/pod-grup]: not known here: ignored\n"
          "f:5: Pod default/p: metadata.labels[muster.dev/pod-group]: not known here: ignored\n");
    notes("apiVersion: v1\nkind: Node\nmetadata:\n  name: n1\n  labels:\n"
          "    muster.dev/gpu-sharing: 'true'\n    muster.dev/gpu-shared: 'true'\n"
          "status:\n  allocatable:\n    pods: 1\n    gpu: 8\n    a.b/gpu: 8\n",
          "f:7: Node n1: metadata.labels[muster.dev/gpu-shared]: not known here: ignored\n"
          "f:11: Node n1: status.allocatable.gpu: no resource that pods can ask for\n");
    notes("apiVersion: scheduling.x-k8s.io/v1alpha1\nkind: PodGroup\nmetadata: {name: g}\nspec:\n"
          "  minMembers: 3\n  scheduleTimeoutSeconds: 4\n",
          "f:5: PodGroup default/g: unknown field \"spec.minMembers\": ignored\n");
    notes("apiVersion: scheduling.volcano.sh/v1beta1\nkind: PodGroup\nmetadata: {name: g}\n"
          "specs: {}\nspec:\n  minMember: 3\n  queues: 4\n",
          "f:4: PodGroup default/g: unknown field \"specs\": ignored\n"
          "f:7: PodGroup default/g: unknown field \"spec.queues\": ignored\n");
    notes("apiVersion: scheduling.k8s.io/v1alpha2\nkind: PodGroup\nmetadata: {name: g}\nspec:\n"
          "  schedulingPolicy:\n    gang:\n      minCount: 2\n      minMember: 3\n",
          "f:8: PodGroup default/g: unknown field \"spec.schedulingPolicy.gang.minMember\": "
          "ignored\n");
}

static void test_manifest_read__one_key_twice__the_last_value_counts(void **state)
{
    (void)state;
    notes(POD_HEAD "  nodeName: a\n  nodeName: b\n" CONTAINER,
          "f:6: Pod default/p: key \"nodeName\" already set in map: the value here replaces the "
          "earlier one\n");
    notes("{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{\"name\":\"a\"},\n\"spec\":{"
          "\"priority\":1,\"priority\":2,\"containers\":[{\"name\":\"c\"}]}}",
          "f:2: Pod default/a: duplicate field \"spec.priority\": the last of its values "
          "counts\n");
}

static void test_manifest_read__one_name_twice__both_places(void **state)
{
    (void)state;
    complains("apiVersion: v1\nkind: Node\nmetadata: {name: a}\n---\napiVersion: v1\nkind: Node\n"
              "metadata:\n  name: a\n",
              "f:8: Node a: metadata.name: the same object stands at f:1\n");
}

static void test_manifest_read__many_errors__bounded_and_counted(void **state)
{
    struct mu_buf text = {.max = 0};
    (void)state;
    for (int i = 0; i < 150; i++)
        assert_int_equal(mu_buf_append_text(&text, "---\na: 1\n"), 0);
    assert_int_equal(mu_buf_append(&text, "", 1), 0);
    struct offline_rig rig = rig_read("f", (const char *)text.data);
    const char *errors = rig_errors(&rig);
    int lines = 0;
    for (const char *c = errors; *c != '\0'; c++)
        lines += *c == '\n';
    assert_int_equal(lines, 101);
    assert_non_null(strstr(errors, "and 50 more\n"));
    mu_buf_fini(&text);
    rig_drop(&rig);
}

static void test_manifest_read__control_characters__one_line_each(void **state)
{
    (void)state;
    complains("{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{\"name\":\"a\\u001b[2J\\n\"}}",
              "f:1: Pod default/a?[2J?: metadata.name: 'a?[2J?' is not a name; expected at most "
              "253 of a-z, 0-9, '-' and '.'\n");
}

static void test_manifest_read__unused_and_unknown__noted(void **state)
{
    struct offline_rig rig = rig_read(
        "f", "apiVersion: v1\nkind: Service\nmetadata: {name: a}\n---\napiVersion: v1\n"
             "kind: Service\nmetadata: {name: b}\n---\napiVersion: apps/v1\nkind: Deployment\n"
             "---\n" POD_HEAD CONTAINER "  nodeSelecter: {a: b}\n  a: 1\n  a: 2\n"
             "---\napiVersion: v1\nkind: Node\nmetadata: {name: n1}\n");
    (void)state;
    assert_string_equal(rig_errors(&rig), "");
    assert_string_equal(rig_notes(&rig),
                        "f:19: Pod default/p: key \"a\" already set in map: the value here "
                        "replaces the earlier one\n"
                        "f:17: Pod default/p: unknown field \"spec.nodeSelecter\": ignored\n"
                        "f:18: Pod default/p: unknown field \"spec.a\": ignored\n"
                        "f:21: Node n1: status.allocatable.pods: not stated, so that no pod fits\n"
                        "f:1: Service: skipped, no part in placing (2 objects)\n"
                        "f:9: Deployment: skipped, no pods are made of it\n");
    struct mu_manifest_counts counts;
    mu_manifest_counts(rig.manifest, &counts);
    assert_int_equal(counts.pods, 1);
    assert_int_equal(counts.nodes, 1);
    assert_int_equal(counts.skipped, 3);
    rig_drop(&rig);
}

/* ---- lists -------------------------------------------------------------------------------- */

static uint32_t pods_of(const char *text)
{
    struct offline_rig rig = rig_read("f", text);
    struct mu_manifest_counts counts;
    assert_string_equal(rig_errors(&rig), "");
    mu_manifest_counts(rig.manifest, &counts);
    rig_drop(&rig);
    return counts.pods;
}

static void test_manifest_read__lists__in_every_form(void **state)
{
    (void)state;
    assert_int_equal(pods_of("apiVersion: v1\nitems:\n- apiVersion: v1\n  kind: Pod\n"
                             "  metadata: {name: a}\n  spec: {containers: [{name: c}]}\n"
                             "- apiVersion: v1\n  kind: Pod\n  metadata: {name: b}\n"
                             "  spec:\n    containers:\n    - name: c\nkind: List\n"),
                     2);
    /* as the API answers: items say nothing of themselves */
    assert_int_equal(pods_of("{\"kind\":\"PodList\",\"apiVersion\":\"v1\",\"items\":[{\"metadata\":"
                             "{\"name\":\"a\"},\"spec\":{\"containers\":[{}]}},{\"metadata\":"
                             "{\"name\":\"b\"},\"spec\":{\"containers\":[{}]}}]}"),
                     2);
    /* in flow style, and inside another list */
    assert_int_equal(pods_of("{apiVersion: v1, kind: Pod, metadata: {name: a},\n"
                             "spec: {containers: [{name: c}]}}"),
                     1);
    assert_int_equal(pods_of("---\n{apiVersion: v1, kind: List, items: [{apiVersion: v1, kind: Pod,"
                             " metadata: {name: a}, spec: {containers: [{name: c}]}}]}\n"),
                     1);
    assert_int_equal(
        pods_of("apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: PodList\n  items:\n"
                "  - metadata: {name: a}\n    spec: {containers: [{name: c}]}\n"),
        1);
}

/* ---- groups ------------------------------------------------------------------------------- */

#define GROUP(version, spec)                                                                       \
    "apiVersion: " version "\nkind: PodGroup\nmetadata: {name: g}\nspec: " spec "\n"

static void test_manifest_read__groups__their_fields_are_checked(void **state)
{
    static const struct {
        const char *text, *expected;
    } cases[] = {
        {GROUP("scheduling.x-k8s.io/v1alpha1", "{minMember: 0}"),
         "f:4: PodGroup default/g: spec.minMember: expected a whole number, 1 to 16384\n"},
        {GROUP("scheduling.x-k8s.io/v1alpha1", "{minMember: '2'}"),
         "f:4: PodGroup default/g: spec.minMember: expected a whole number, 1 to 16384\n"},
        {GROUP("scheduling.x-k8s.io/v1alpha1", "5"),
         "f:4: PodGroup default/g: spec: expected an object\n"},
        {GROUP("scheduling.volcano.sh/v1beta1", "{minMember: -1}"),
         "f:4: PodGroup default/g: spec.minMember: expected a whole number, 0 to 16384\n"},
        {GROUP("scheduling.volcano.sh/v1beta1", "{minTaskMember: {a: x}}"),
         "f:4: PodGroup default/g: spec.minTaskMember: expected a whole number, 0 to 16384\n"},
        {GROUP("scheduling.volcano.sh/v1beta1", "{priorityClassName: 5}"),
         "f:4: PodGroup default/g: spec.priorityClassName: expected a text\n"},
        {GROUP("scheduling.volcano.sh/v1beta1", "{priorityClassName: none}"),
         "f:1: PodGroup default/g: spec.priorityClassName: 'none' is no PriorityClass of the "
         "input\n"},
        {GROUP("scheduling.k8s.io/v1beta1", "{}"),
         "f:4: PodGroup default/g: spec.schedulingPolicy: expected one of basic and gang\n"},
        {GROUP("scheduling.k8s.io/v1beta1", "{schedulingPolicy: {basic: {}, gang: {minCount: 1}}}"),
         "f:4: PodGroup default/g: spec.schedulingPolicy: expected one of basic and gang\n"},
        {GROUP("scheduling.k8s.io/v1beta1", "{schedulingPolicy: {gang: {minCount: null}}}"),
         "f:4: PodGroup default/g: spec.schedulingPolicy.gang.minCount: expected at least 1\n"},
        {GROUP("scheduling.k8s.io/v1beta1", "{schedulingPolicy: {basic: {}}, priority: 1.5}"),
         "f:4: PodGroup default/g: spec.priority: expected a 32-bit whole number\n"},
        {"apiVersion: scheduling.k8s.io/v1beta1\nkind: PodGroup\nmetadata: {name: G}\n",
         "f:3: PodGroup default/G: metadata.name: 'G' is not a name; expected at most 253 of a-z, "
         "0-9, '-' and '.'\n"},
        {"apiVersion: scheduling.k8s.io/v1beta1\nkind: PodGroup\n",
         "f:1: PodGroup: metadata.name: expected a name\n"},
        {"apiVersion: scheduling.k8s.io/v1beta1\nkind: PodGroup\nmetadata: {name: g, namespace: "
         "a.b}\n",
         "f:3: PodGroup a.b/g: metadata.namespace: expected a namespace: at most 63 of a-z, 0-9 "
         "and '-'\n"},
        {GROUP("scheduling.x-k8s.io/v1alpha1",
               "{}") "---\n" GROUP("scheduling.volcano.sh/v1beta1",
                                   "{}") "---\n" GROUP("scheduling.x-k8s.io/v1alpha1", "{}"),
         "f:13: PodGroup default/g: metadata.name: the same object stands at f:1\n"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        complains(cases[i].text, cases[i].expected);
}

static void test_manifest_read__groups_beyond_our_bounds__told_and_kept(void **state)
{
    static const struct {
        const char *text, *expected;
    } cases[] = {
        {GROUP("scheduling.x-k8s.io/v1alpha1", "{minMember: 20000}"),
         "f:4: PodGroup default/g: spec.minMember: expected a whole number, 1 to 16384, so that no "
         "member is placed\n"},
        {GROUP("scheduling.volcano.sh/v1beta1", "{minTaskMember: {a: 16000, b: 16000}}"),
         "f:4: PodGroup default/g: spec.minTaskMember: expected at most 16384 in all, so that no "
         "member is placed\n"},
    };
    struct mu_manifest_counts counts;
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct offline_rig rig = rig_read("f", cases[i].text);
        assert_string_equal(rig_errors(&rig), "");
        assert_string_equal(rig_notes(&rig), cases[i].expected);
        mu_manifest_counts(rig.manifest, &counts);
        assert_int_equal(counts.groups, 1);
        rig_drop(&rig);
    }
    complains(GROUP("scheduling.x-k8s.io/v1alpha1", "{minMember: 4294967296}"), /* no int32 */
              "f:4: PodGroup default/g: spec.minMember: expected a whole number, 1 to 16384\n");
}

static void test_manifest_read__groups__what_is_not_built_is_told(void **state)
{
    struct offline_rig rig = rig_read(
        "f", "apiVersion: scheduling.k8s.io/v1beta1\nkind: PodGroup\nmetadata: {name: "
             "g}\nspec:\n"
             "  schedulingPolicy: {gang: {minCount: 2}}\n"
             "  parentCompositePodGroupName: top\n"
             "---\n" GROUP("scheduling.volcano.sh/v1beta1",
                           "{networkTopology: {mode: "
                           "hard}}") "---\n" GROUP("scheduling.example.com/v1",
                                                   "{}") "---\napiVersion: v1\nkind: "
                                                         "List\nitems:\n- {apiVersion: v1, kind: "
                                                         "Job}\n"
                                                         "- {apiVersion: v1, kind: LimitRange}\n");
    (void)state;
    assert_string_equal(rig_errors(&rig), "");
    assert_string_equal(
        rig_notes(&rig),
        "f:6: PodGroup default/g: spec.parentCompositePodGroupName: not built yet, so that no "
        "member is placed\n"
        "f:11: PodGroup default/g: spec.networkTopology: not built yet, so that no member is "
        "placed\n"
        "f:13: PodGroup: skipped, its apiVersion is not known here\n"
        "f:21: Job: skipped, no pods are made of it\n"
        "f:22: LimitRange: skipped, what it would give to pods is not applied\n");
    rig_drop(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_manifest_split__documents__cut_at_their_markers),
        cmocka_unit_test(test_manifest_split__lists__a_shell_and_items),
        cmocka_unit_test(test_manifest_split__no_list_after_all__the_whole_document),
        cmocka_unit_test(test_manifest_split__caller_stops__its_value_comes_back),
        cmocka_unit_test(test_manifest_read__wrong_grammar__file_and_line),
        cmocka_unit_test(test_manifest_read__wrong_types__field_and_its_line),
        cmocka_unit_test(test_manifest_read__what_placing_needs__one_line_an_object),
        cmocka_unit_test(test_manifest_read__endless_lists__one_line_an_object),
        cmocka_unit_test(test_manifest_read__names_and_nodes__one_line_an_object),
        cmocka_unit_test(test_manifest_read__values_of_annotations__one_line_an_object),
        cmocka_unit_test(test_manifest_load__pods_without_a_part__are_told),
        cmocka_unit_test(test_manifest_read__values_of_annotations__of_settled_pods_pass),
        cmocka_unit_test(test_manifest_read__kind_is_missing__told_so),
        cmocka_unit_test(test_manifest_read__names_nobody_knows__a_line_each),
        cmocka_unit_test(test_manifest_read__one_key_twice__the_last_value_counts),
        cmocka_unit_test(test_manifest_read__one_name_twice__both_places),
        cmocka_unit_test(test_manifest_read__many_errors__bounded_and_counted),
        cmocka_unit_test(test_manifest_read__control_characters__one_line_each),
        cmocka_unit_test(test_manifest_read__unused_and_unknown__noted),
        cmocka_unit_test(test_manifest_read__lists__in_every_form),
        cmocka_unit_test(test_manifest_read__groups__their_fields_are_checked),
        cmocka_unit_test(test_manifest_read__groups_beyond_our_bounds__told_and_kept),
        cmocka_unit_test(test_manifest_read__groups__what_is_not_built_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
