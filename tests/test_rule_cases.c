/*
 * Every placement rule by cases, from manifest to verdict: what a node is told for a pod, one line
 * a case, with kube-scheduler's quirks. Decoder, model, counts and filters are all behind it.
 *
 * Three nodes are always there, alike in size: n1 in zone a, n2 in zone b, n3 in none. A case adds
 * objects and a pod `p`, and expects for each node, by name, "ok" or the filter that refuses it; a
 * plus says that preemption may help.
 */
#include "tests/manifest_kit.h"

#include "tools/answer/words.h"

#define NODE_OF(name, labels, spec, allocatable)                                                   \
    "---\n{apiVersion: v1, kind: Node, metadata: {name: " name ", labels: {" labels                \
    "}}, spec: {" spec "}, status: {allocatable: {" allocatable "}}}\n"
#define ROOM               "cpu: 4, memory: 8Gi, pods: 10"
#define NODE(name, labels) NODE_OF(name, "kubernetes.io/hostname: " name ", " labels, "", ROOM)
#define THREE              NODE("n1", "zone: a") NODE("n2", "zone: b") NODE("n3", "")
#define POD_OF(name, meta, spec, containers)                                                       \
    "---\n{apiVersion: v1, kind: Pod, metadata: {name: " name ", " meta "}, spec: {" spec          \
    "containers: [" containers "]}}\n"
#define C             "{name: c, image: i}"
#define P(meta, spec) POD_OF("p", meta, spec, C)
#define ON(node, name, meta, spec)                                                                 \
    POD_OF(name, meta, "nodeName: " node ", " spec, C) /* a pod that runs there */
#define ASKS(requests) "{name: c, image: i, resources: {requests: {" requests "}}}"

struct rule_case {
    const char *what;
    const char *objects; /* besides the three nodes, which NULL leaves out */
    const char *pod;
    const char *expected;
};

static void told(const struct mu_explanation *x, char *out, size_t room)
{
    size_t len = 0;
    out[0] = '\0';
    for (int n = 1; n <= 9; n++) {
        const char name[] = {'n', (char)('0' + n), '\0'};
        for (uint32_t i = 0; i < x->row_count; i++) {
            const struct mu_explain_row *row = &x->rows[i];
            if (!mu_str_equal(row->name, mu_str_of(name)))
                continue;
            bool fits = row->verdict.kind == MU_FITS;
            len += (size_t)snprintf(out + len, room - len, "%s%s%s", len > 0 ? " " : "",
                                    fits ? "ok" : mu_answer_filter(row->verdict),
                                    mu_answer_may_preempt(row->verdict) ? "+" : "");
            assert_true(len < room);
        }
    }
}

static void check(const struct rule_case *cases, size_t count)
{
    size_t wrong = 0;
    for (size_t i = 0; i < count; i++) {
        char text[16384], got[256];
        int len = snprintf(text, sizeof text, "%s%s%s", THREE, cases[i].objects, cases[i].pod);
        assert_true(len > 0 && (size_t)len < sizeof text);
        struct offline_rig rig = rig_read("f", text);
        const struct mu_explanation x = rig_explain(&rig, "default", "p");
        told(&x, got, sizeof got);
        if (strcmp(got, cases[i].expected) != 0) {
            print_error("%s: '%s', expected '%s'\n", cases[i].what, got, cases[i].expected);
            wrong++;
        }
        rig_drop(&rig);
    }
    assert_int_equal(wrong, 0);
}
#define CHECK(cases) check((cases), sizeof(cases) / sizeof((cases)[0]))

/* ---- rules about the node ------------------------------------------------------------------- */

static void test_rule__node_name__who_runs_there_is_charged(void **state)
{
    (void)state;
    static const struct rule_case cases[] = {
        {"none", "", POD_OF("p", "", "", ASKS("cpu: 4")), "ok ok ok"},
        {"another runs there", POD_OF("q", "", "nodeName: n2, ", ASKS("cpu: 1")),
         POD_OF("p", "", "", ASKS("cpu: 4")), "ok NodeResourcesFit+ ok"},
        {"of another scheduler",
         POD_OF("q", "", "nodeName: n2, schedulerName: x, ", ASKS("cpu: 1")),
         POD_OF("p", "", "", ASKS("cpu: 4")), "ok NodeResourcesFit+ ok"},
        {"its node is gone", POD_OF("q", "", "nodeName: n9, ", ASKS("cpu: 1")),
         POD_OF("p", "", "", ASKS("cpu: 4")), "ok ok ok"},
    };
    CHECK(cases);
}

static void test_rule__node_unschedulable__only_its_toleration(void **state)
{
    (void)state;
#define CORDONED NODE_OF("n4", "", "unschedulable: true", ROOM)
#define CORDON   "node.kubernetes.io/unschedulable"
    static const struct rule_case cases[] = {
        {"no toleration", CORDONED, P("", ""), "ok ok ok NodeUnschedulable"},
        {"Exists", CORDONED, P("", "tolerations: [{key: " CORDON ", operator: Exists}], "),
         "ok ok ok ok"},
        {"Equal, no value", CORDONED,
         P("", "tolerations: [{key: " CORDON ", effect: NoSchedule}], "), "ok ok ok ok"},
        {"Equal, a value", CORDONED, P("", "tolerations: [{key: " CORDON ", value: x}], "),
         "ok ok ok NodeUnschedulable"},
        {"another effect", CORDONED,
         P("", "tolerations: [{key: " CORDON ", operator: Exists, effect: NoExecute}], "),
         "ok ok ok NodeUnschedulable"},
        {"another key", CORDONED, P("", "tolerations: [{key: x, operator: Exists}], "),
         "ok ok ok NodeUnschedulable"},
        {"everything", CORDONED, P("", "tolerations: [{operator: Exists}], "), "ok ok ok ok"},
    };
    CHECK(cases);
}

static void test_rule__taint_toleration__effects_and_operators(void **state)
{
    (void)state;
#define TAINTED(taint)  NODE_OF("n4", "", "taints: [{" taint "}]", ROOM)
#define TOLERATES(what) P("", "tolerations: [{" what "}], ")
#define KV              "key: k, value: v, effect: "
    static const struct rule_case cases[] = {
        {"NoSchedule", TAINTED(KV "NoSchedule"), P("", ""), "ok ok ok TaintToleration"},
        {"NoExecute", TAINTED(KV "NoExecute"), P("", ""), "ok ok ok TaintToleration"},
        {"PreferNoSchedule", TAINTED(KV "PreferNoSchedule"), P("", ""), "ok ok ok ok"},
        {"Equal", TAINTED(KV "NoSchedule"), TOLERATES("key: k, operator: Equal, value: v"),
         "ok ok ok ok"},
        {"no operator is Equal", TAINTED(KV "NoSchedule"), TOLERATES("key: k, value: v"),
         "ok ok ok ok"},
        {"another value", TAINTED(KV "NoSchedule"), TOLERATES("key: k, value: w"),
         "ok ok ok TaintToleration"},
        {"another key", TAINTED(KV "NoSchedule"), TOLERATES("key: l, value: v"),
         "ok ok ok TaintToleration"},
        {"Exists, any value", TAINTED(KV "NoSchedule"), TOLERATES("key: k, operator: Exists"),
         "ok ok ok ok"},
        {"Exists, no key", TAINTED(KV "NoExecute"), TOLERATES("operator: Exists"), "ok ok ok ok"},
        {"its effect", TAINTED(KV "NoExecute"),
         TOLERATES("key: k, operator: Exists, effect: NoExecute"), "ok ok ok ok"},
        {"another effect", TAINTED(KV "NoExecute"),
         TOLERATES("key: k, operator: Exists, effect: NoSchedule"), "ok ok ok TaintToleration"},
        {"seconds do not matter", TAINTED(KV "NoExecute"),
         TOLERATES("key: k, operator: Exists, effect: NoExecute, tolerationSeconds: 0"),
         "ok ok ok ok"},
        {"Lt", TAINTED("key: k, value: '9', effect: NoSchedule"),
         TOLERATES("key: k, operator: Lt, value: '10'"), "ok ok ok ok"},
        {"Lt, not below", TAINTED("key: k, value: '10', effect: NoSchedule"),
         TOLERATES("key: k, operator: Lt, value: '10'"), "ok ok ok TaintToleration"},
        {"Gt", TAINTED("key: k, value: '11', effect: NoSchedule"),
         TOLERATES("key: k, operator: Gt, value: '10'"), "ok ok ok ok"},
        {"Gt, no number", TAINTED(KV "NoSchedule"), TOLERATES("key: k, operator: Gt, value: '10'"),
         "ok ok ok TaintToleration"},
        {"each needs one",
         NODE_OF("n4", "", "taints: [{key: k, effect: NoSchedule}, {key: l, effect: NoExecute}]",
                 ROOM),
         TOLERATES("key: k, operator: Exists"), "ok ok ok TaintToleration"},
    };
    CHECK(cases);
}

static void test_rule__node_affinity__selectors_terms_and_fields(void **state)
{
    (void)state;
#define REQUIRED(terms)                                                                            \
    P("", "affinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: "             \
          "{nodeSelectorTerms: [" terms "]}}}, ")
#define LABELS(requirements) "{matchExpressions: [" requirements "]}"
#define FIELDS(requirements) "{matchFields: [" requirements "]}"
#define NAMED(op, name)      "{key: metadata.name, operator: " op ", values: [" name "]}"
#define NOWHERE              "NodeAffinity NodeAffinity NodeAffinity"
    static const struct rule_case cases[] = {
        {"selector", "", P("", "nodeSelector: {zone: a}, "), "ok NodeAffinity NodeAffinity"},
        {"selector, hostname", "", P("", "nodeSelector: {kubernetes.io/hostname: n2}, "),
         "NodeAffinity ok NodeAffinity"},
        {"selector, all of it", "", P("", "nodeSelector: {zone: a, disk: ssd}, "), NOWHERE},
        {"In", "", REQUIRED(LABELS("{key: zone, operator: In, values: [b, c]}")),
         "NodeAffinity ok NodeAffinity"},
        {"NotIn matches an absent key", "",
         REQUIRED(LABELS("{key: zone, operator: NotIn, values: [b]}")), "ok NodeAffinity ok"},
        {"Exists", "", REQUIRED(LABELS("{key: zone, operator: Exists}")), "ok ok NodeAffinity"},
        {"DoesNotExist", "", REQUIRED(LABELS("{key: zone, operator: DoesNotExist}")),
         "NodeAffinity NodeAffinity ok"},
        {"Gt", NODE("n4", "size: '10'") NODE("n5", "size: '9'") NODE("n6", "size: big"),
         REQUIRED(LABELS("{key: size, operator: Gt, values: ['9']}")),
         NOWHERE " ok NodeAffinity NodeAffinity"},
        {"Lt", NODE("n4", "size: '10'") NODE("n5", "size: '9'") NODE("n6", "size: big"),
         REQUIRED(LABELS("{key: size, operator: Lt, values: ['10']}")),
         NOWHERE " NodeAffinity ok NodeAffinity"},
        {"terms are ored", "",
         REQUIRED(LABELS("{key: zone, operator: In, values: [a]}") ", " LABELS(
             "{key: zone, operator: DoesNotExist}")),
         "ok NodeAffinity ok"},
        {"requirements are anded", "",
         REQUIRED(LABELS("{key: zone, operator: Exists}, "
                         "{key: zone, operator: NotIn, values: [a]}")),
         "NodeAffinity ok NodeAffinity"},
        {"an empty term matches nothing", "", REQUIRED("{}"), NOWHERE},
        {"and no harm", "", REQUIRED("{}, " LABELS("{key: zone, operator: Exists}")),
         "ok ok NodeAffinity"},
        {"selector and terms", "",
         P("", "nodeSelector: {zone: a}, affinity: {nodeAffinity: {"
               "requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: [" LABELS(
                   "{key: zone, operator: In, values: [b]}") "]}}}, "),
         NOWHERE},
        {"field In", "", REQUIRED(FIELDS(NAMED("In", "n3"))), "NodeAffinity NodeAffinity ok"},
        {"field NotIn", "", REQUIRED(FIELDS(NAMED("NotIn", "n3"))), "ok ok NodeAffinity"},
        {"field and label", "",
         REQUIRED("{matchFields: [" NAMED("NotIn", "n1") "], matchExpressions: "
                                                         "[{key: zone, operator: Exists}]}"),
         "NodeAffinity ok NodeAffinity"},
        {"two names at once", "", REQUIRED(FIELDS(NAMED("In", "n1") ", " NAMED("In", "n2"))),
         NOWHERE},
        {"one of two names", "", REQUIRED(FIELDS(NAMED("In", "n1")) ", " FIELDS(NAMED("In", "n2"))),
         "ok ok NodeAffinity"},
        {"preferences refuse nobody", "",
         P("",
           "affinity: {nodeAffinity: {preferredDuringSchedulingIgnoredDuringExecution: "
           "[{weight: 1, preference: " LABELS("{key: zone, operator: In, values: [z]}") "}]}}, "),
         "ok ok ok"},
    };
    CHECK(cases);
}

/* ---- room ----------------------------------------------------------------------------------- */

#define FULL             "NodeResourcesFit NodeResourcesFit NodeResourcesFit"
#define SHORT            "NodeResourcesFit+ ok ok"
#define R(amounts)       "resources: {requests: {" amounts "}}"
#define INIT(containers) "initContainers: [" containers "], "
#define TAKES(amounts)   POD_OF("q", "", "nodeName: n1, ", ASKS(amounts)) /* of n1 */
static const struct rule_case room_cases[] = {
    {"all of it", "", POD_OF("p", "", "", ASKS("cpu: 4, memory: 8Gi")), "ok ok ok"},
    {"more than there is", "", POD_OF("p", "", "", ASKS("cpu: 4001m")), FULL},
    {"containers add up", TAKES("cpu: 2"),
     POD_OF("p", "", "", ASKS("cpu: 1") ", {name: d, image: i, " R("cpu: 1001m") "}"), SHORT},
    {"what is left", TAKES("cpu: 2"), POD_OF("p", "", "", ASKS("cpu: 2")), "ok ok ok"},
    {"a terminating pod keeps its room",
     POD_OF("q", "deletionTimestamp: '2026-01-01T00:00:00Z'", "nodeName: n1, ", ASKS("cpu: 2")),
     POD_OF("p", "", "", ASKS("cpu: 3")), SHORT},
    {"one that has ended does not",
     "---\n{apiVersion: v1, kind: Pod, metadata: {name: q}, spec: {nodeName: n1, containers: "
     "[" ASKS("cpu: 2") "]}, status: {phase: Succeeded}}\n",
     POD_OF("p", "", "", ASKS("cpu: 3")), "ok ok ok"},
    {"init containers one after the other", TAKES("cpu: 2"),
     POD_OF("p", "",
            INIT("{name: a, image: i, " R("cpu: 2") "}, {name: b, image: i, " R("cpu: 2") "}"),
            ASKS("cpu: 1")),
     "ok ok ok"},
    {"the largest of them", TAKES("cpu: 2"),
     POD_OF("p", "", INIT("{name: a, image: i, " R("cpu: 3") "}"), ASKS("cpu: 1")), SHORT},
    {"a sidecar runs on", TAKES("cpu: 2"),
     POD_OF("p", "", INIT("{name: a, image: i, restartPolicy: Always, " R("cpu: 1500m") "}"),
            ASKS("cpu: 1")),
     SHORT},
    {"also beside what is initialised after it", TAKES("cpu: 2"),
     POD_OF("p", "",
            INIT("{name: a, image: i, restartPolicy: Always, " R(
                "cpu: 1") "}, {name: b, image: i, " R("cpu: 1500m") "}"),
            ASKS("cpu: 1")),
     SHORT},
    {"but not before it", TAKES("cpu: 2"),
     POD_OF("p", "",
            INIT("{name: b, image: i, " R(
                "cpu: 1500m") "}, {name: a, image: i, restartPolicy: Always, " R("cpu: 1") "}"),
            ASKS("cpu: 1")),
     "ok ok ok"},
    {"overhead", TAKES("cpu: 2"), POD_OF("p", "", "overhead: {cpu: 1500m}, ", ASKS("cpu: 1")),
     SHORT},
    {"pod level replaces a larger sum", TAKES("cpu: 2"),
     POD_OF("p", "", R("cpu: 2") ", ", ASKS("cpu: 1")), "ok ok ok"},
    {"and a smaller one", TAKES("cpu: 2"), POD_OF("p", "", R("cpu: 3") ", ", ASKS("cpu: 1")),
     SHORT},
    {"extended resource", NODE_OF("n4", "", "", ROOM ", x.com/d: 2"),
     POD_OF("p", "", "",
            "{name: c, image: i, resources: {requests: {x.com/d: 2}, limits: {x.com/d: 2}}}"),
     FULL " ok"},
    {"huge pages", NODE_OF("n4", "", "", ROOM ", hugepages-2Mi: 4Mi"),
     POD_OF("p", "", "",
            "{name: c, image: i, resources: {requests: {cpu: 1, hugepages-2Mi: 4Mi}, limits: "
            "{hugepages-2Mi: 4Mi}}}"),
     FULL " ok"},
    {"ephemeral storage", NODE_OF("n4", "", "", ROOM ", ephemeral-storage: 1Gi"),
     POD_OF("p", "", "", ASKS("ephemeral-storage: 1Gi")), FULL " ok"},
    {"no slot", NODE_OF("n4", "", "", "cpu: 4, memory: 8Gi, pods: 0"), P("", ""),
     "ok ok ok NodeResourcesFit+"},
    {"slots that nobody states", NODE_OF("n4", "", "", "cpu: 4, memory: 8Gi"), P("", ""),
     "ok ok ok NodeResourcesFit+"},
    {"no slot and never room", NODE_OF("n4", "", "", "cpu: 1, memory: 8Gi, pods: 0"),
     POD_OF("p", "", "", ASKS("cpu: 2")), "ok ok ok NodeResourcesFit"},
    {"nothing asked, nothing left", POD_OF("q", "", "nodeName: n1, ", ASKS("cpu: 9, memory: 99Gi")),
     P("", ""), "ok ok ok"},
    {"zero is not looked at", POD_OF("q", "", "nodeName: n1, ", ASKS("cpu: 9")),
     POD_OF("p", "", "", ASKS("cpu: 0, memory: 1Gi")), "ok ok ok"},
    {"the others are", POD_OF("q", "", "nodeName: n1, ", ASKS("memory: 99Gi")),
     POD_OF("p", "", "", ASKS("cpu: 0, memory: 1Gi")), SHORT},
};

static void test_rule__node_resources_fit__what_a_pod_asks(void **state)
{
    (void)state;
    CHECK(room_cases);
}

static void test_rule__node_ports__addresses_protocols_containers(void **state)
{
    (void)state;
#define PORT(what)  "{name: c, image: i, ports: [{containerPort: 1, " what "}]}"
#define USED(what)  POD_OF("q", "", "nodeName: n1, ", PORT(what))
#define WANTS(what) POD_OF("p", "", "", PORT(what))
#define TAKEN       "NodePorts+ ok ok"
    static const struct rule_case cases[] = {
        {"the same", USED("hostPort: 80"), WANTS("hostPort: 80"), TAKEN},
        {"another", USED("hostPort: 80"), WANTS("hostPort: 81"), "ok ok ok"},
        {"no host port", USED("hostPort: 80"), WANTS("name: x"), "ok ok ok"},
        {"another protocol", USED("hostPort: 80"), WANTS("hostPort: 80, protocol: UDP"),
         "ok ok ok"},
        {"no protocol is TCP", USED("hostPort: 80, protocol: TCP"), WANTS("hostPort: 80"), TAKEN},
        {"SCTP", USED("hostPort: 80, protocol: SCTP"), WANTS("hostPort: 80, protocol: SCTP"),
         TAKEN},
        {"another address", USED("hostPort: 80, hostIP: 10.0.0.1"),
         WANTS("hostPort: 80, hostIP: 10.0.0.2"), "ok ok ok"},
        {"the same address", USED("hostPort: 80, hostIP: 10.0.0.1"),
         WANTS("hostPort: 80, hostIP: 10.0.0.1"), TAKEN},
        {"it wants all", USED("hostPort: 80, hostIP: 10.0.0.1"), WANTS("hostPort: 80"), TAKEN},
        {"the other has all", USED("hostPort: 80, hostIP: 0.0.0.0"),
         WANTS("hostPort: 80, hostIP: 10.0.0.1"), TAKEN},
        {":: is an address like any other", USED("hostPort: 80, hostIP: '::'"),
         WANTS("hostPort: 80, hostIP: 10.0.0.1"), "ok ok ok"},
        {"a sidecar's",
         POD_OF("q", "",
                "nodeName: n1, initContainers: [{name: s, image: i, "
                "restartPolicy: Always, ports: [{containerPort: 1, "
                "hostPort: 80}]}], ",
                C),
         WANTS("hostPort: 80"), TAKEN},
        {"an init container's is gone",
         POD_OF("q", "",
                "nodeName: n1, initContainers: [{name: s, image: i, ports: "
                "[{containerPort: 1, hostPort: 80}]}], ",
                C),
         WANTS("hostPort: 80"), "ok ok ok"},
        {"host network",
         POD_OF("q", "", "nodeName: n1, hostNetwork: true, ",
                "{name: c, image: i, ports: [{containerPort: 80}]}"),
         WANTS("hostPort: 80"), TAKEN},
        {"terminating",
         POD_OF("q", "deletionTimestamp: '2026-01-01T00:00:00Z'", "nodeName: n1, ",
                PORT("hostPort: 80")),
         WANTS("hostPort: 80"), TAKEN},
        {"twice in one pod", "",
         POD_OF("p", "", "",
                PORT("hostPort: 80") ", {name: d, image: i, ports: [{containerPort: "
                                     "2, hostPort: 80}]}"),
         "ok ok ok"},
        {"told before room", USED("hostPort: 80"),
         POD_OF("p", "", "",
                "{name: c, image: i, resources: {requests: {cpu: 9}}, ports: "
                "[{containerPort: 1, hostPort: 80}]}"),
         "NodePorts+ NodeResourcesFit NodeResourcesFit"},
    };
    CHECK(cases);
}

/* ---- other pods ----------------------------------------------------------------------------- */

#define TERM(key, selector) "{topologyKey: " key ", " selector "}"
#define APP(value)          "labelSelector: {matchLabels: {app: " value "}}"
#define NEAR(terms)                                                                                \
    "affinity: {podAffinity: {requiredDuringSchedulingIgnoredDuringExecution: [" terms "]}}, "
#define APART(terms)                                                                               \
    "affinity: {podAntiAffinity: {requiredDuringSchedulingIgnoredDuringExecution: [" terms "]}}, "
#define LABEL(value) "labels: {app: " value "}"
#define HOST         "kubernetes.io/hostname"
#define A4           NODE("n4", "zone: a")
#define NS(name, labels)                                                                           \
    "---\n{apiVersion: v1, kind: Namespace, metadata: {name: " name ", labels: {" labels "}}}\n"
#define NO_FRIEND "InterPodAffinity InterPodAffinity InterPodAffinity"

static void test_rule__pod_affinity__all_terms_and_the_first_pod(void **state)
{
    (void)state;
    static const struct rule_case cases[] = {
        {"in its zone", A4 ON("n1", "q", LABEL("x"), ""), P("", NEAR(TERM("zone", APP("x")))),
         "ok InterPodAffinity InterPodAffinity ok"},
        {"on its host", A4 ON("n1", "q", LABEL("x"), ""), P("", NEAR(TERM(HOST, APP("x")))),
         "ok InterPodAffinity InterPodAffinity InterPodAffinity"},
        {"nobody", ON("n1", "q", LABEL("w"), ""), P("", NEAR(TERM("zone", APP("x")))), NO_FRIEND},
        {"the first of its sort, where there is a zone", "",
         P(LABEL("x"), NEAR(TERM("zone", APP("x")))), "ok ok InterPodAffinity"},
        {"not the first", ON("n1", "q", LABEL("x"), ""),
         P(LABEL("x"), NEAR(TERM("zone", APP("x")))), "ok InterPodAffinity InterPodAffinity"},
        {"one on a node without the key does not count", ON("n3", "q", LABEL("x"), ""),
         P(LABEL("x"), NEAR(TERM("zone", APP("x")))), "ok ok InterPodAffinity"},
        {"nor one on a node that is gone", ON("n9", "q", LABEL("x"), ""),
         P(LABEL("x"), NEAR(TERM("zone", APP("x")))), "ok ok InterPodAffinity"},
        {"one pod must match all terms",
         ON("n1", "q", "labels: {app: x}", "") ON("n1", "r", "labels: {tier: w}", ""),
         P("", NEAR(TERM("zone", APP("x")) ", " TERM("zone",
                                                     "labelSelector: {matchLabels: {tier: w}}"))),
         NO_FRIEND},
        {"one that does", ON("n1", "q", "labels: {app: x, tier: w}", ""),
         P("", NEAR(TERM("zone", APP("x")) ", " TERM("zone",
                                                     "labelSelector: {matchLabels: {tier: w}}"))),
         "ok InterPodAffinity InterPodAffinity"},
        {"each term by its own key", A4 ON("n1", "q", LABEL("x"), ""),
         P("", NEAR(TERM("zone", APP("x")) ", " TERM(HOST, APP("x")))),
         "ok InterPodAffinity InterPodAffinity InterPodAffinity"},
        {"the first must match all its terms", "",
         P(LABEL("x"), NEAR(TERM("zone", APP("x")) ", " TERM("zone", APP("w")))), NO_FRIEND},
        {"no selector selects nobody", ON("n1", "q", LABEL("x"), ""),
         P("", NEAR("{topologyKey: zone}")), NO_FRIEND},
        {"an empty one everybody", ON("n1", "q", LABEL("x"), ""),
         P("", NEAR(TERM("zone", "labelSelector: {}"))), "ok InterPodAffinity InterPodAffinity"},
        {"a terminating one counts",
         ON("n1", "q", LABEL("x") ", deletionTimestamp: '2026-01-01T00:00:00Z'", ""),
         P("", NEAR(TERM("zone", APP("x")))), "ok InterPodAffinity InterPodAffinity"},
        {"preferences refuse nobody", "",
         P("", "affinity: {podAffinity: {preferredDuringSchedulingIgnoredDuringExecution: "
               "[{weight: 1, podAffinityTerm: " TERM("zone", APP("x")) "}]}}, "),
         "ok ok ok"},
    };
    CHECK(cases);
}

static void test_rule__pod_anti_affinity__both_ways(void **state)
{
    (void)state;
#define KEPT "InterPodAffinity+ ok ok"
    static const struct rule_case cases[] = {
        {"in its zone", A4 ON("n1", "q", LABEL("x"), ""), P("", APART(TERM("zone", APP("x")))),
         "InterPodAffinity+ ok ok InterPodAffinity+"},
        {"on its host", A4 ON("n1", "q", LABEL("x"), ""), P("", APART(TERM(HOST, APP("x")))),
         "InterPodAffinity+ ok ok ok"},
        {"a node without the key passes", ON("n3", "q", LABEL("x"), ""),
         P("", APART(TERM("zone", APP("x")))), "ok ok ok"},
        {"any term is enough", ON("n1", "q", LABEL("x"), "") ON("n2", "r", LABEL("w"), ""),
         P("", APART(TERM("zone", APP("x")) ", " TERM("zone", APP("w")))),
         "InterPodAffinity+ InterPodAffinity+ ok"},
        {"itself does not count", "", P(LABEL("x"), APART(TERM("zone", APP("x")))), "ok ok ok"},
        {"terminating", ON("n1", "q", LABEL("x") ", deletionTimestamp: '2026-01-01T00:00:00Z'", ""),
         P("", APART(TERM("zone", APP("x")))), KEPT},
        {"one that is there keeps it away", A4 ON("n1", "q", "", APART(TERM("zone", APP("x")))),
         P(LABEL("x"), ""), "InterPodAffinity+ ok ok InterPodAffinity+"},
        {"if it is meant", ON("n1", "q", "", APART(TERM("zone", APP("x")))), P(LABEL("w"), ""),
         "ok ok ok"},
        {"where that one has no domain it keeps nobody away",
         ON("n3", "q", "", APART(TERM("zone", APP("x")))), P(LABEL("x"), ""), "ok ok ok"},
        {"one that waits keeps nobody away", POD_OF("q", "", APART(TERM("zone", APP("x"))), C),
         P(LABEL("x"), ""), "ok ok ok"},
        {"affinity of one that is there keeps nobody away",
         ON("n1", "q", "", NEAR(TERM("zone", APP("x")))), P(LABEL("w"), ""), "ok ok ok"},
    };
    CHECK(cases);
}

static void test_rule__pod_terms__namespaces_and_own_keys(void **state)
{
    (void)state;
#define THERE     "namespace: other, labels: {app: x, v: '1'}"
#define ELSEWHERE NS("other", "team: t") ON("n1", "q", THERE, "")
    static const struct rule_case cases[] = {
        {"its own by default", ELSEWHERE, P("", APART(TERM("zone", APP("x")))), "ok ok ok"},
        {"listed", ELSEWHERE, P("", APART(TERM("zone", APP("x") ", namespaces: [other]"))), KEPT},
        {"listed, and no more its own", ON("n1", "q", LABEL("x"), ""),
         P("", APART(TERM("zone", APP("x") ", namespaces: [other]"))), "ok ok ok"},
        {"selected", ELSEWHERE,
         P("", APART(TERM("zone", APP("x") ", namespaceSelector: {matchLabels: {team: t}}"))),
         KEPT},
        {"not selected", ELSEWHERE,
         P("", APART(TERM("zone", APP("x") ", namespaceSelector: {matchLabels: {team: u}}"))),
         "ok ok ok"},
        {"an empty selector: all", ELSEWHERE,
         P("", APART(TERM("zone", APP("x") ", namespaceSelector: {}"))), KEPT},
        {"listed or selected", ELSEWHERE ON("n2", "r", LABEL("x"), ""),
         P("", APART(TERM("zone", APP("x") ", namespaces: [default], namespaceSelector: "
                                           "{matchLabels: {team: t}}"))),
         "InterPodAffinity+ InterPodAffinity+ ok"},
        {"of one that is there",
         NS("other", "team: t")
             ON("n1", "q", "namespace: other",
                APART(TERM("zone", APP("x") ", namespaceSelector: {matchLabels: {team: t}}"))),
         P(LABEL("x"), ""), "ok ok ok"},
        {"of one that is there, all",
         NS("other", "team: t") ON("n1", "q", "namespace: other",
                                   APART(TERM("zone", APP("x") ", namespaceSelector: {}"))),
         P(LABEL("x"), ""), KEPT},
        {"matchLabelKeys: its own value",
         ON("n1", "q", "labels: {app: x, v: '1'}", "")
             ON("n2", "r", "labels: {app: x, v: '2'}", ""),
         P("labels: {v: '2'}", APART(TERM("zone", APP("x") ", matchLabelKeys: [v]"))),
         "ok InterPodAffinity+ ok"},
        {"mismatchLabelKeys: any other",
         ON("n1", "q", "labels: {app: x, v: '1'}", "")
             ON("n2", "r", "labels: {app: x, v: '2'}", ""),
         P("labels: {v: '2'}", APART(TERM("zone", APP("x") ", mismatchLabelKeys: [v]"))), KEPT},
        {"a key that it does not have", ON("n1", "q", "labels: {app: x, v: '1'}", ""),
         P("", APART(TERM("zone", APP("x") ", matchLabelKeys: [v]"))), KEPT},
    };
    CHECK(cases);
}

static void test_rule__topology_spread__skew_domains_and_policies(void **state)
{
    (void)state;
#define SPREAD(more, meta, spec)                                                                   \
    P(meta, spec "topologySpreadConstraints: [{topologyKey: zone, whenUnsatisfiable: "             \
                 "DoNotSchedule, " more "}], ")
#define ONE(more) SPREAD("maxSkew: 1, " APP("x") more, LABEL("x"), "")
#define NO_ZONE   "PodTopologySpread"
#define IN_A      ON("n1", "q", LABEL("x"), "")
    static const struct rule_case cases[] = {
        {"level", "", ONE(""), "ok ok " NO_ZONE},
        {"one ahead", IN_A, ONE(""), "PodTopologySpread+ ok " NO_ZONE},
        {"within the skew", IN_A, SPREAD("maxSkew: 2, " APP("x"), LABEL("x"), ""),
         "ok ok " NO_ZONE},
        {"level again", IN_A ON("n2", "r", LABEL("x"), ""), ONE(""), "ok ok " NO_ZONE},
        {"it does not count itself", IN_A, SPREAD("maxSkew: 1, " APP("x"), LABEL("w"), ""),
         "ok ok " NO_ZONE},
        {"of another namespace", ON("n1", "q", LABEL("x") ", namespace: other", ""), ONE(""),
         "ok ok " NO_ZONE},
        {"terminating ones do not count",
         ON("n1", "q", LABEL("x") ", deletionTimestamp: '2026-01-01T00:00:00Z'", ""), ONE(""),
         "ok ok " NO_ZONE},
        {"an empty selector counts nobody else", IN_A,
         SPREAD("maxSkew: 1, labelSelector: {}", LABEL("x"), ""), "ok ok " NO_ZONE},
        {"ScheduleAnyway refuses nobody", IN_A,
         P(LABEL("x"), "topologySpreadConstraints: [{topologyKey: zone, whenUnsatisfiable: "
                       "ScheduleAnyway, maxSkew: 1, " APP("x") "}], "),
         "ok ok ok"},
        {"minDomains: fewer are as an empty one", IN_A ON("n2", "r", LABEL("x"), ""),
         ONE(", minDomains: 3"), "PodTopologySpread+ PodTopologySpread+ " NO_ZONE},
        {"minDomains: enough", IN_A ON("n2", "r", LABEL("x"), ""), ONE(", minDomains: 2"),
         "ok ok " NO_ZONE},
        {"affinity is honoured: b is no domain for it", IN_A,
         SPREAD("maxSkew: 1, " APP("x"), LABEL("x"), "nodeSelector: {zone: a}, "),
         "ok NodeAffinity NodeAffinity"},
        {"affinity ignored: b is empty", IN_A,
         SPREAD("maxSkew: 1, nodeAffinityPolicy: Ignore, " APP("x"), LABEL("x"),
                "nodeSelector: {zone: a}, "),
         "PodTopologySpread+ NodeAffinity NodeAffinity"},
        {"taints are ignored: c is empty",
         NODE_OF("n4", "zone: c", "taints: [{key: k, effect: NoSchedule}]", ROOM)
             IN_A ON("n2", "r", LABEL("x"), ""),
         ONE(""), "PodTopologySpread+ PodTopologySpread+ " NO_ZONE " TaintToleration"},
        {"taints are honoured: c is no domain",
         NODE_OF("n4", "zone: c", "taints: [{key: k, effect: NoSchedule}]", ROOM)
             IN_A ON("n2", "r", LABEL("x"), ""),
         ONE(", nodeTaintsPolicy: Honor"), "ok ok " NO_ZONE " TaintToleration"},
        {"a cordoned node is a domain",
         NODE_OF("n4", "zone: c", "unschedulable: true", ROOM) IN_A ON("n2", "r", LABEL("x"), ""),
         ONE(""), "PodTopologySpread+ PodTopologySpread+ " NO_ZONE " NodeUnschedulable"},
        {"matchLabelKeys", ON("n1", "q", "labels: {app: x, v: '1'}", ""),
         SPREAD("maxSkew: 1, matchLabelKeys: [v], " APP("x"), "labels: {app: x, v: '2'}", ""),
         "ok ok " NO_ZONE},
        {"matchLabelKeys, its own", ON("n1", "q", "labels: {app: x, v: '2'}", ""),
         SPREAD("maxSkew: 1, matchLabelKeys: [v], " APP("x"), "labels: {app: x, v: '2'}", ""),
         "PodTopologySpread+ ok " NO_ZONE},
        {"a node counts if it has the keys of all constraints",
         NODE("n4", "rack: r, zone: b") NODE("n5", "rack: r, zone: a") IN_A,
         P(LABEL("x"),
           "topologySpreadConstraints: [{topologyKey: zone, whenUnsatisfiable: DoNotSchedule, "
           "maxSkew: 1, " APP("x") "}, {topologyKey: rack, whenUnsatisfiable: DoNotSchedule, "
                                   "maxSkew: 1, " APP("x") "}], "),
         "PodTopologySpread PodTopologySpread " NO_ZONE " ok ok"},
    };
    CHECK(cases);
}

static void test_rule__scheduling_gates__never_placed(void **state)
{
    (void)state;
    struct offline_rig rig = rig_read("f", THREE P("", "schedulingGates: [{name: g}], "));
    json_t *answer = rig_place(&rig, &mu_profile_spread);
    assert_int_equal(json_array_size(json_object_get(answer, "bindings")), 0);
    const json_t *waits = json_array_get(json_object_get(answer, "pending"), 0);
    assert_string_equal(json_string_value(json_object_get(waits, "reason")), "SchedulingGated");
    json_decref(answer);
    rig_drop(&rig);
    rig = rig_read("f", THREE P("", "schedulingGates: [], ")); /* the last one was taken away */
    answer = rig_place(&rig, &mu_profile_spread);
    assert_int_equal(json_array_size(json_object_get(answer, "bindings")), 1);
    json_decref(answer);
    rig_drop(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rule__node_name__who_runs_there_is_charged),
        cmocka_unit_test(test_rule__node_unschedulable__only_its_toleration),
        cmocka_unit_test(test_rule__taint_toleration__effects_and_operators),
        cmocka_unit_test(test_rule__node_affinity__selectors_terms_and_fields),
        cmocka_unit_test(test_rule__node_resources_fit__what_a_pod_asks),
        cmocka_unit_test(test_rule__node_ports__addresses_protocols_containers),
        cmocka_unit_test(test_rule__pod_affinity__all_terms_and_the_first_pod),
        cmocka_unit_test(test_rule__pod_anti_affinity__both_ways),
        cmocka_unit_test(test_rule__pod_terms__namespaces_and_own_keys),
        cmocka_unit_test(test_rule__topology_spread__skew_domains_and_policies),
        cmocka_unit_test(test_rule__scheduling_gates__never_placed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
