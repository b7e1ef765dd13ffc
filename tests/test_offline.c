/* What `muster place` and `muster explain` answer, from manifests to JSON. */
#include "tests/manifest_kit.h"

#define NODE(name, more)                                                                           \
    "---\napiVersion: v1\nkind: Node\nmetadata: {name: " name ", labels: {zone: a}}\n" more        \
    "status: {allocatable: {cpu: 4, memory: 8Gi, pods: 10, x.com/gpu: 2}}\n"
#define POD(name, meta, spec)                                                                      \
    "---\napiVersion: v1\nkind: Pod\nmetadata: {name: " name meta "}\nspec: {" spec                \
    "containers: [{name: c, resources: {requests: {cpu: 3}}}]}\n"
#define GANG(size) ", annotations: {muster.dev/pod-group: g, muster.dev/pod-group-size: '" size "'}"

/* ---- place -------------------------------------------------------------------------------- */

/* The answer to `text` is `expected`, with ' for ". */
static void places(const char *text, const char *expected)
{
    struct offline_rig rig = rig_read("f", text);
    json_t *answer = rig_place(&rig, &mu_profile_spread);
    char *got = json_dumps(answer, JSON_COMPACT);
    for (char *c = got; *c != '\0'; c++)
        *c = *c == '"' ? '\'' : *c;
    assert_string_equal(got, expected);
    mu_mem_free(got);
    json_decref(answer);
    rig_drop(&rig);
}

static void test_place__nothing_there__three_empty_lists(void **state)
{
    (void)state;
    places("", "{'bindings':[],'evictions':[],'pending':[]}");
    places(NODE("n1", ""), "{'bindings':[],'evictions':[],'pending':[]}");
    places(POD("p", "", ""),
           "{'bindings':[],'evictions':[],'pending':[{'pod':'default/p','gang':'default/p',"
           "'reason':'Unschedulable','message':'no nodes available to schedule pods'}]}");
}

static void test_place__arrival__creation_time_then_order_then_those_without(void **state)
{
    (void)state;
    places(
        NODE("n1", "") POD("none", "", "")
            POD("late", ", creationTimestamp: '2026-01-02T00:00:00Z'", "")
                POD("early", ", creationTimestamp: '2026-01-01T00:00:00Z'", ""),
        "{'bindings':[{'pod':'default/early','node':'n1','gang':'default/early'}],'evictions':[],"
        "'pending':[{'pod':'default/none','gang':'default/none','reason':'Unschedulable',"
        "'message':'0/1 nodes are available: 1 Insufficient cpu.'},"
        "{'pod':'default/late','gang':'default/late','reason':'Unschedulable',"
        "'message':'0/1 nodes are available: 1 Insufficient cpu.'}]}");
    places(NODE("n1", "") POD("b", "", "") POD("a", "", ""),
           "{'bindings':[{'pod':'default/b','node':'n1','gang':'default/b'}],'evictions':[],"
           "'pending':[{'pod':'default/a','gang':'default/a','reason':'Unschedulable',"
           "'message':'0/1 nodes are available: 1 Insufficient cpu.'}]}");
}

static void test_place__priority__of_its_class_the_default_one_or_its_own(void **state)
{
    static const char classes[] =
        "apiVersion: scheduling.k8s.io/v1\nkind: PriorityClass\nmetadata: {name: high}\n"
        "value: 1000\n---\napiVersion: scheduling.k8s.io/v1\nkind: PriorityClass\n"
        "metadata: {name: usual}\nvalue: 10\nglobalDefault: true\n";
    static const struct {
        const char *first, *second; /* specs; the second pod wins the only node */
    } cases[] = {
        {"", "priorityClassName: high, "},
        {"priority: 9, ", ""}, /* the default class: 10 */
        {"priorityClassName: high, ", "priority: 1001, "},
        {"priorityClassName: high, ", "priorityClassName: system-node-critical, "},
        {"priorityClassName: system-cluster-critical, ",
         "priorityClassName: system-node-critical, "},
        {"", "priority: 11, priorityClassName: gone, "}, /* admitted with a class that has gone */
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[4096];
        (void)snprintf(text, sizeof text,
                       "%s" NODE("n1", "") POD("p1", "", "%s") POD("p2", "", "%s"), classes,
                       cases[i].first, cases[i].second);
        struct offline_rig rig = rig_read("f", text);
        json_t *answer = rig_place(&rig, &mu_profile_spread);
        const json_t *bindings = json_object_get(answer, "bindings");
        assert_int_equal(json_array_size(bindings), 1);
        assert_string_equal(json_string_value(json_object_get(json_array_get(bindings, 0), "pod")),
                            "default/p2");
        json_decref(answer);
        rig_drop(&rig);
    }
}

static void test_place__gangs__all_or_nothing(void **state)
{
    (void)state;
    places(NODE("n1", "") NODE("n2", "") POD("a", GANG("2"), "") POD("b", GANG("2"), ""),
           "{'bindings':[{'pod':'default/a','node':'n2','gang':'default/g'},"
           "{'pod':'default/b','node':'n1','gang':'default/g'}],'evictions':[],'pending':[]}");
    places(NODE("n1", "") POD("a", GANG("2"), "") POD("b", GANG("2"), ""),
           "{'bindings':[],'evictions':[],'pending':["
           "{'pod':'default/a','gang':'default/g','reason':'Unschedulable','message':'0/1 "
           "nodes are available: 1 Insufficient cpu. gang default/g: 1 of 2 placed; the other one "
           "needs cpu: 3 free on one node.'},"
           "{'pod':'default/b','gang':'default/g','reason':'Unschedulable','message':'0/1 "
           "nodes are available: 1 Insufficient cpu. gang default/g: 1 of 2 placed; the other one "
           "needs cpu: 3 free on one node.'}]}");
    places(NODE("n1", "") POD("a", GANG("2"), ""),
           "{'bindings':[],'evictions':[],'pending':[{'pod':'default/a','gang':'default/g',"
           "'reason':'WaitingForGang','message':'gang default/g waits for 1 more of its 2 "
           "members'}]}");
    /* without a size: settled at once */
    places(NODE("n1", "") NODE("n2", "") POD("a", ", annotations: {pod-group: g}", "")
               POD("b", ", annotations: {pod-group: g}", ""),
           "{'bindings':[{'pod':'default/a','node':'n2','gang':'default/g'},"
           "{'pod':'default/b','node':'n1','gang':'default/g'}],'evictions':[],'pending':[]}");
}

/* A pod of 1 cpu with a mark of a group. */
#define MEMBER(name, meta, spec)                                                                   \
    "---\napiVersion: v1\nkind: Pod\nmetadata: {name: " name meta "}\nspec: {" spec                \
    "containers: [{name: c, resources: {requests: {cpu: 1}}}]}\n"
#define COSCHEDULING ", labels: {scheduling.x-k8s.io/pod-group: g}"
#define VOLCANO      ", annotations: {scheduling.k8s.io/group-name: g}"
#define VOLCANO_TASK(task)                                                                         \
    ", annotations: {scheduling.k8s.io/group-name: g, volcano.sh/task-spec: " task "}"
#define NATIVE "schedulingGroup: {podGroupName: g}, "
#define GROUP(version, spec)                                                                       \
    "---\napiVersion: " version "\nkind: PodGroup\nmetadata: {name: g}\nspec: " spec "\n"

/* So many pods of `text`, with one node of 4 cpu, are placed; the first that waits does so for that
 * reason ("": none does). */
static void settles(const char *text, uint32_t bound, const char *reason)
{
    char all[4096];
    (void)snprintf(all, sizeof all, "%s" NODE("n1", ""), text);
    struct offline_rig rig = rig_read("f", all);
    json_t *answer = rig_place(&rig, &mu_profile_spread);
    const json_t *pending = json_array_get(json_object_get(answer, "pending"), 0);
    assert_int_equal(json_array_size(json_object_get(answer, "bindings")), bound);
    const char *got = json_string_value(json_object_get(pending, "reason"));
    assert_string_equal(got != NULL ? got : "", reason);
    json_decref(answer);
    rig_drop(&rig);
}

static void test_place__groups__sized_by_their_objects(void **state)
{
    (void)state;
    /* of each dialect: enough members, too few, and more than the minimum, of which four fit */
    settles(GROUP("scheduling.x-k8s.io/v1alpha1", "{minMember: 2}") MEMBER("a", COSCHEDULING, "")
                MEMBER("b", COSCHEDULING, ""),
            2, "");
    settles(MEMBER("a", COSCHEDULING, "") MEMBER("b", COSCHEDULING, "")
                GROUP("scheduling.x-k8s.io/v1alpha1", "{minMember: 3}"),
            0, "WaitingForGang");
    settles(GROUP("scheduling.x-k8s.io/v1alpha1", "{minMember: 3}") MEMBER("a", COSCHEDULING, "")
                MEMBER("b", COSCHEDULING, "") MEMBER("c", COSCHEDULING, "")
                    MEMBER("d", COSCHEDULING, "") MEMBER("e", COSCHEDULING, ""),
            4, "Unschedulable");
    settles(GROUP("scheduling.x-k8s.io/v1alpha1", "{minMember: 5}") MEMBER("a", COSCHEDULING, "")
                MEMBER("b", COSCHEDULING, "") MEMBER("c", COSCHEDULING, "")
                    MEMBER("d", COSCHEDULING, "") MEMBER("e", COSCHEDULING, ""),
            0, "Unschedulable");
    settles(GROUP("scheduling.volcano.sh/v1beta1", "{minMember: 2}") MEMBER("a", VOLCANO, ""), 0,
            "WaitingForGang");
    settles(GROUP("scheduling.volcano.sh/v1beta1", "{minTaskMember: {x: 1, z: 1}}")
                MEMBER("a", VOLCANO_TASK("x"), "") MEMBER("b", VOLCANO_TASK("z"), ""),
            2, "");
    settles(GROUP("scheduling.volcano.sh/v1beta1", "{}") MEMBER("a", VOLCANO, ""), 1, "");
    settles(GROUP("scheduling.k8s.io/v1beta1", "{schedulingPolicy: {gang: {minCount: 2}}}")
                MEMBER("a", "", NATIVE) MEMBER("b", "", NATIVE),
            2, "");
    settles(GROUP("scheduling.k8s.io/v1alpha2", "{schedulingPolicy: {gang: {minCount: 2}}}")
                MEMBER("a", "", NATIVE),
            0, "WaitingForGang");
    settles(GROUP("scheduling.k8s.io/v1alpha3", "{schedulingPolicy: {basic: {}}}")
                MEMBER("a", "", NATIVE),
            1, "");
    /* one that runs already counts */
    settles(GROUP("scheduling.x-k8s.io/v1alpha1", "{minMember: 2}") MEMBER("a", COSCHEDULING, "")
                MEMBER("b", COSCHEDULING, "nodeName: n1, "),
            1, "");
}

static void test_place__groups__wait_where_nothing_can_be_known(void **state)
{
    (void)state;
    settles(MEMBER("a", COSCHEDULING, ""), 0, "WaitingForGang"); /* no such object */
    settles(MEMBER("a", "", NATIVE) GROUP("scheduling.x-k8s.io/v1alpha1", "{}"), 0,
            "WaitingForGang"); /* of another dialect */
    settles(MEMBER("a", COSCHEDULING ", namespace: x", "")
                GROUP("scheduling.x-k8s.io/v1alpha1", "{}"),
            0, "WaitingForGang"); /* of another namespace */
    /* two groups of one dialect */
    settles(MEMBER("a",
                   ", annotations: {scheduling.k8s.io/group-name: g, "
                   "scheduling.volcano.sh/group-name: h}",
                   "") GROUP("scheduling.volcano.sh/v1beta1", "{}"),
            0, "Unsupported");
    /* of two dialects on one pod the first decides, and only its object will do */
    settles(MEMBER("a", COSCHEDULING, NATIVE) GROUP("scheduling.x-k8s.io/v1alpha1", "{}"), 0,
            "WaitingForGang");
    settles(MEMBER("a", VOLCANO, "workloadRef: {name: w, podGroup: g}, ")
                GROUP("scheduling.volcano.sh/v1beta1", "{}"),
            0, "WaitingForGang");
    /* rules of the object that are not built; a task that nobody has */
    settles(MEMBER("a", VOLCANO, "")
                GROUP("scheduling.volcano.sh/v1beta1", "{subGroupPolicy: [{name: x}]}"),
            0, "WaitingForGang");
    settles(GROUP("scheduling.volcano.sh/v1beta1", "{minTaskMember: {x: 1, z: 1}}")
                MEMBER("a", VOLCANO_TASK("x"), "") MEMBER("b", VOLCANO_TASK("x"), "")
                    MEMBER("c", VOLCANO_TASK("other"), ""),
            0, "WaitingForGang");
}

/* The manifest with a gang of two of each dialect; one node, of so many cpus. */
static void read_dialects(char *text, size_t bytes, const char *cpus)
{
    FILE *file = fopen(MU_SOURCE_DIR "/tests/data/gang_dialects.yaml", "r");
    assert_non_null(file);
    size_t len = fread(text, 1, bytes - 1, file);
    assert_true(len > 0 && len < bytes - 1);
    text[len] = '\0';
    (void)fclose(file);
    char *found = strstr(text, "cpu: 64");
    assert_non_null(found);
    memcpy(found + 5, cpus, 2);
}

static void test_place__one_of_each_dialect__all_are_placed(void **state)
{
    (void)state;
    static const char *const gangs[] = {"plain", "m",   "nat", "w/p", "v", "c", "l",
                                        "k",     "kai", "yk",  "q",   "g", "a"};
    enum { COUNT = sizeof gangs / sizeof gangs[0] };
    _Static_assert(COUNT == MU_GANG_SOURCES - 1, "each dialect");
    char text[1 << 14];
    read_dialects(text, sizeof text, "64");
    struct offline_rig rig = rig_read("f", text);
    assert_string_equal(rig_errors(&rig), "");
    assert_string_equal(rig_notes(&rig), "");
    json_t *answer = rig_place(&rig, &mu_profile_spread);
    const json_t *bindings = json_object_get(answer, "bindings");
    assert_int_equal(json_array_size(json_object_get(answer, "pending")), 0);
    assert_int_equal(json_array_size(bindings), 2 * COUNT);
    for (size_t g = 0; g < COUNT; g++) {
        char name[64];
        uint32_t members = 0;
        (void)snprintf(name, sizeof name, "default/%s", gangs[g]);
        for (size_t i = 0; i < json_array_size(bindings); i++) {
            const json_t *gang = json_object_get(json_array_get(bindings, i), "gang");
            members += strcmp(json_string_value(gang), name) == 0;
        }
        assert_int_equal(members, 2);
    }
    json_decref(answer);
    rig_drop(&rig);
}

/* They are gangs: with room for one pod, none of any is placed. */
static void test_place__one_of_each_dialect__nobody_goes_alone(void **state)
{
    (void)state;
    char text[1 << 14];
    read_dialects(text, sizeof text, "1 ");
    struct offline_rig rig = rig_read("f", text);
    json_t *answer = rig_place(&rig, &mu_profile_spread);
    assert_int_equal(json_array_size(json_object_get(answer, "bindings")), 0);
    assert_int_equal(json_array_size(json_object_get(answer, "pending")),
                     2 * (MU_GANG_SOURCES - 1));
    json_decref(answer);
    rig_drop(&rig);
}

/* Kueue holds pods back by gates of its own: while one of a gang has any, none of it goes. */
static void test_place__kueue_gates__hold_the_gang(void **state)
{
    (void)state;
    static const char *const gates[] = {"admission", "topology", "elastic-job"};
#define KUEUE                                                                                      \
    ", labels: {kueue.x-k8s.io/pod-group-name: g}, annotations: "                                  \
    "{kueue.x-k8s.io/pod-group-total-count: '2'}"
    settles(MEMBER("a", KUEUE, "") MEMBER("b", KUEUE, ""), 2, "");
    for (size_t i = 0; i < sizeof gates / sizeof gates[0]; i++) {
        char text[2048];
        (void)snprintf(text, sizeof text,
                       MEMBER("a", KUEUE, "schedulingGates: [{name: kueue.x-k8s.io/%s}], ")
                           MEMBER("b", KUEUE, ""),
                       gates[i]);
        settles(text, 0, "SchedulingGated");
    }
}

static void test_place__groups__lend_their_priority(void **state)
{
    (void)state;
    /* the later pod wins the only node: its group says 5, whatever it says itself */
    places(
        GROUP("scheduling.k8s.io/v1beta1", "{schedulingPolicy: {basic: {}}, priority: 5}")
            NODE("n1", "") POD("a", "", "priority: 4, ") POD("b", "", NATIVE "priority: 1, "),
        "{'bindings':[{'pod':'default/b','node':'n1','gang':'default/b'}],'evictions':[],"
        "'pending':[{'pod':'default/a','gang':'default/a','reason':'Unschedulable','message':'0/1 "
        "nodes are available: 1 Insufficient cpu.'}]}");
    places(
        "apiVersion: scheduling.k8s.io/v1\nkind: PriorityClass\nmetadata: {name: high}\n"
        "value: 1000\n" GROUP("scheduling.volcano.sh/v1beta1", "{priorityClassName: high}")
            NODE("n1", "") POD("a", "", "priority: 4, ") POD("b", VOLCANO, ""),
        "{'bindings':[{'pod':'default/b','node':'n1','gang':'default/g'}],'evictions':[],"
        "'pending':[{'pod':'default/a','gang':'default/a','reason':'Unschedulable','message':'0/1 "
        "nodes are available: 1 Insufficient cpu.'}]}");
}

/* A pod that asks for one container's worth of `ask`. */
#define ASKS(name, spec, ask)                                                                      \
    "---\napiVersion: v1\nkind: Pod\nmetadata: {name: " name "}\nspec: {" spec                     \
    "containers: [{name: c, " ask "}]}\n"

static void test_place__held_back__says_by_what(void **state)
{
    (void)state;
    places(NODE("n1", "") POD("a", GANG("2"), "schedulingGates: [{name: x.com/y}], ")
               POD("b", GANG("2"), ""),
           "{'bindings':[],'evictions':[],'pending':["
           "{'pod':'default/a','gang':'default/g','reason':'SchedulingGated','message':'Scheduling "
           "is blocked due to non-empty scheduling gates'},"
           "{'pod':'default/b','gang':'default/g','reason':'WaitingForGang','message':'gang "
           "default/g waits for 1 member with scheduling gates'}]}");
    places(NODE("n1", "")
               POD("a", "", "volumes: [{name: v, persistentVolumeClaim: {claimName: c}}], "),
           "{'bindings':[],'evictions':[],'pending':[{'pod':'default/a','gang':'default/a',"
           "'reason':'Unsupported','message':'this scheduler cannot place the pod, which uses: "
           "volumes that bind to nodes'}]}");
    places(NODE("n1", "")
               ASKS("a", "", "resources: {limits: {x.com/gpu: 1, muster.dev/gpu-milli: 500}}"),
           "{'bindings':[],'evictions':[],'pending':[{'pod':'default/a','gang':'default/a',"
           "'reason':'Unsupported','message':'this scheduler cannot place the pod, which uses: "
           "a part of a GPU and whole ones'}]}");
}

static void test_place__running_and_foreign_pods__charged_and_not_told(void **state)
{
    (void)state;
    /* absent node: charged to nobody; other schedulers' pods and finished ones are not ours */
    places(NODE("n1", "") POD("r", "", "nodeName: gone, ") POD("p", "", ""),
           "{'bindings':[{'pod':'default/p','node':'n1','gang':'default/p'}],'evictions':[],"
           "'pending':[]}");
    places(NODE("n1", "") POD("r", "", "nodeName: n1, schedulerName: other, ") POD("p", "", ""),
           "{'bindings':[],'evictions':[],'pending':[{'pod':'default/p','gang':'default/p',"
           "'reason':'Unschedulable','message':'0/1 nodes are available: 1 Insufficient cpu.'}]}");
    places(NODE("n1", "") POD("r", "", "schedulerName: other, "),
           "{'bindings':[],'evictions':[],'pending':[]}");
    places(NODE("n1", "") POD("r", "", "schedulerName: muster, "),
           "{'bindings':[{'pod':'default/r','node':'n1','gang':'default/r'}],'evictions':[],"
           "'pending':[]}");
    places(
        NODE("n1", "") "---\napiVersion: v1\nkind: Pod\nmetadata: {name: r}\nspec: {nodeName: n1,"
                       " containers: [{name: c, resources: {requests: {cpu: 3}}}]}\n"
                       "status: {phase: Succeeded}\n" POD("p", "", ""),
        "{'bindings':[{'pod':'default/p','node':'n1','gang':'default/p'}],'evictions':[],"
        "'pending':[]}");
}

static void test_place__defaults__as_an_api_server_sets_them(void **state)
{
    (void)state;
    /* requests from limits; allocatable from capacity; not-ready is endured when it evicts alone */
    places("apiVersion: v1\nkind: Node\nmetadata: {name: n1}\n"
           "spec: {taints: [{key: node.kubernetes.io/not-ready, effect: NoExecute}]}\n"
           "status: {capacity: {cpu: 4, memory: 8Gi, pods: 10}}\n"
           "---\napiVersion: v1\nkind: Pod\nmetadata: {name: p}\n"
           "spec: {containers: [{name: c, resources: {limits: {cpu: 3}}}]}\n"
           "---\napiVersion: v1\nkind: Pod\nmetadata: {name: q, namespace: x}\n"
           "spec: {containers: [{name: c, resources: {limits: {cpu: 3}}}]}\n"
           "---\napiVersion: v1\nkind: Pod\nmetadata: {generateName: r-}\n"
           "spec: {containers: [{name: c}]}\n",
           "{'bindings':[{'pod':'default/p','node':'n1','gang':'default/p'},"
           "{'pod':'default/r-00003','node':'n1','gang':'default/r-00003'}],'evictions':[],"
           "'pending':[{'pod':'x/q','gang':'x/q','reason':'Unschedulable',"
           "'message':'0/1 nodes are available: 1 Insufficient cpu.'}]}");
}

/* ---- explain ------------------------------------------------------------------------------ */

#define SHARING                                                                                    \
    "---\napiVersion: v1\nkind: Node\nmetadata: {name: n1, labels: {muster.dev/gpu-sharing: "      \
    "'true', "                                                                                     \
    "muster.dev/gpu-index: honored}}\n"                                                            \
    "status: {allocatable: {cpu: 4, memory: 8Gi, pods: 10, x.com/gpu: 3}}\n"
#define GPU_POD(name, limits)                                                                      \
    "---\napiVersion: v1\nkind: Pod\nmetadata: {name: " name                                       \
    "}\nspec: {containers: [{name: c, resources: {limits: {" limits "}}}]}\n"

static void test_place__devices__named_where_they_were_chosen(void **state)
{
    const struct mu_settled_binding bindings[] = {
        {MU_STR("default/a"), MU_STR("n1"), MU_STR("default/a"), 5},
        {MU_STR("default/p"), MU_STR("n2"), MU_STR("default/g"), 0}};
    struct mu_settled settled = {.binding_count = 2, .bindings = bindings};
    struct mu_buf out = {.max = 0};
    (void)state;
    places(SHARING GPU_POD("a", "x.com/gpu: 2") GPU_POD("b", "muster.dev/gpu-milli: 300")
               GPU_POD("c", "cpu: 1"),
           "{'bindings':[{'pod':'default/a','node':'n1','gang':'default/a','devices':'0,1'},"
           "{'pod':'default/b','node':'n1','gang':'default/b','devices':'2'},"
           "{'pod':'default/c','node':'n1','gang':'default/c'}],'evictions':[],'pending':[]}");
    assert_int_equal(mu_settled_write_table(&settled, &out), 0);
    assert_int_equal(mu_buf_append(&out, "", 1), 0);
    assert_string_equal((const char *)out.data, "POD        NODE  DEVICES  GANG\n"
                                                "default/a  n1    0,2      -\n"
                                                "default/p  n2    -        default/g\n\n"
                                                "2 placed, 0 evicted, 0 pending\n");
    mu_buf_fini(&out);
}

/* The table begins with `expected`. */
static void explains(const char *text, const char *expected)
{
    struct offline_rig rig = rig_read("f", text);
    struct mu_explanation x = rig_explain(&rig, "default", "p");
    struct mu_buf out = {.max = 0};
    assert_int_equal(mu_explanation_write_table(&x, &out), 0);
    assert_int_equal(mu_buf_append(&out, "", 1), 0);
    char *table = (char *)out.data;
    if (strlen(table) > strlen(expected))
        table[strlen(expected)] = '\0';
    assert_string_equal(table, expected);
    mu_buf_fini(&out);
    rig_drop(&rig);
}

static void test_explain__table__groups_and_what_would_have_to_change(void **state)
{
    (void)state;
    explains(
        NODE("n1", "spec: {unschedulable: true}\n") NODE("n2", "") NODE("n3", "")
            NODE("n4", "spec: {taints: [{key: a, value: b, effect: NoExecute}]}\n") POD(
                "r", "", "nodeName: n2, ") "---\napiVersion: v1\nkind: Pod\nmetadata: {name: p}\n"
                                           "spec:\n  nodeSelector: {zone: b}\n  containers:\n"
                                           "  - name: c\n    resources:\n"
                                           "      requests: {cpu: 1500m, memory: 9Gi}\n",
        "default/p fits on 0 of 4 nodes\n\nrejected:\n"
        "  NodeUnschedulable: node(s) were unschedulable\n    1 node: n1\n"
        "    fits on n1 if it is uncordoned and if it is labelled zone=b and if it had 1Gi more "
        "memory\n"
        "  TaintToleration: node(s) had untolerated taint {a: b}\n    1 node: n4\n"
        "    fits on n4 with toleration a=b:NoExecute and if it is labelled zone=b and if it had "
        "1Gi more memory\n"
        "  NodeAffinity: node(s) didn't match Pod's node affinity/selector\n    2 nodes: n2, n3\n"
        "    fits on n3 if it is labelled zone=b and if it had 1Gi more memory\n");
    explains(NODE("n1", "") POD("p", GANG("3"), "nodeName: n1, schedulingGates: [], "),
             "default/p fits on 1 of 1 nodes\n"
             "gang default/g waits for 2 more of its 3 members\n"
             "it runs on n1: looked at as if it were still to be placed\n"
             "one of gang default/g, which has 1 of the 3 pods that it needs, looked at by itself "
             "here (see `muster place`)\n\n"
             "NODE  SCORE (best first)\nn1    115");
    explains(NODE("n1", "") POD("p", "", "schedulerName: other, ") POD("q", "", "nodeName: n1, "),
             "default/p fits on 0 of 1 nodes\nanother scheduler places it\n\nrejected:\n"
             "  NodeResourcesFit: Insufficient cpu\n    1 node: n1\n"
             "    fits on n1 if 2 more cpu free up; preemption may help\n");
    explains(NODE("n1", "") POD("p", "",
                                "schedulingGates: [{name: a}], volumes: [{name: v, "
                                "persistentVolumeClaim: {claimName: c}}], "),
             "default/p fits on 0 of 1 nodes\n"
             "it has scheduling gates: nobody places it before they go\n\nrejected:\n"
             "  Unsupported: this scheduler cannot place the pod, which uses: volumes that bind to "
             "nodes\n    1 node: n1\n    no change of a node would help\n");
}

static void test_explain__json__as_documented(void **state)
{
    struct offline_rig rig = rig_read("f", NODE("n1", "") NODE("n2", "")
                                               POD("r", "", "nodeName: n2, ") POD("p", "", ""));
    json_t *x = rig_explain_json(&rig, "default", "p");
    json_t *expected = json_pack(
        "{s:s, s:n, s:[], s:[s], s:{s:O}, s:[{s:s, s:s, s:s, s:b, s:[{s:s, s:{s:i}}]}], s:n}",
        "pod", "default/p", "gang", "notes", "feasible", "n1", "scores", "n1",
        json_object_get(json_object_get(x, "scores"), "n1"), "rejected", "node", "n2", "filter",
        "NodeResourcesFit", "message", "Insufficient cpu", "preemption_may_help", 1, "change",
        "node", "n2", "free", "cpu", 2, "preemption");
    (void)state;
    assert_non_null(expected);
    assert_true(json_integer_value(json_object_get(json_object_get(x, "scores"), "n1")) > 0);
    assert_true(json_equal(x, expected));
    json_decref(x);
    json_decref(expected);
    rig_drop(&rig);
}

/* What JSON notes beside, line by line. */
static void tells(const char *text, const char *expected)
{
    struct offline_rig rig = rig_read("f", text);
    json_t *x = rig_explain_json(&rig, "default", "p");
    const json_t *notes = json_object_get(x, "notes");
    char got[1024] = "";
    for (size_t i = 0; i < json_array_size(notes); i++) {
        size_t len = strlen(got);
        (void)snprintf(got + len, sizeof got - len, "%s\n",
                       json_string_value(json_array_get(notes, i)));
    }
    assert_string_equal(got, expected);
    json_decref(x);
    rig_drop(&rig);
}

#define AS_IF ": looked at as if it were still to be placed\n"
#define DONE(meta, spec, status)                                                                   \
    "---\napiVersion: v1\nkind: Pod\nmetadata: {name: p" meta "}\nspec: {" spec                    \
    "containers: [{name: c}]}\nstatus: {" status "}\n"

static void test_explain__notes__what_is_to_be_known_beside(void **state)
{
    (void)state;
    tells(NODE("n1", "") POD("p", "", ""), "");
    tells(NODE("n1", "") POD("p", "", "nodeName: n1, "), "it runs on n1" AS_IF);
    tells(NODE("n1", "") DONE("", "nodeName: n1, ", "phase: Failed"),
          "it has finished on n1" AS_IF);
    tells(NODE("n1", "") DONE("", "", "phase: Succeeded"), "it has finished" AS_IF);
    tells(NODE("n1", "") DONE(", deletionTimestamp: 2026-01-01T00:00:00Z", "nodeName: n1, ", ""),
          "it is being deleted on n1" AS_IF);
    tells(NODE("n1", "") POD("p", GANG("2"), "schedulerName: other, "),
          "another scheduler places it\n");
    tells(NODE("n1", "") POD("p", GANG("2"), "schedulingGates: [{name: a}], "),
          "it has scheduling gates: nobody places it before they go\n"
          "one of gang default/g, which has 1 of the 2 pods that it needs, looked at by itself "
          "here (see `muster place`)\n");
    tells(NODE("n1", "") POD("p", GANG("2"), "") POD("q", GANG("2"), ""),
          "one of 2 pods of gang default/g, looked at by itself here (see `muster place`)\n");
    /* who is nominated to n1 needs all of it; to a pod of more priority that is nothing */
    static const char nominated[] = "---\napiVersion: v1\nkind: Pod\nmetadata: {name: q}\n"
                                    "spec: {priority: 5, containers: [{name: c, resources: "
                                    "{requests: {cpu: 4}}}]}\nstatus: {nominatedNodeName: n1}\n";
    char text[2048];
    (void)snprintf(text, sizeof text, "%s%s", NODE("n1", "") NODE("n2", "") POD("p", "", ""),
                   nominated);
    tells(text, "room is kept for nominated pods on n1: it does not fit there beside them\n");
    (void)snprintf(text, sizeof text, "%s%s",
                   NODE("n1", "") NODE("n2", "") POD("p", "", "priority: 6, "), nominated);
    tells(text, "");
}

static void test_explain__table__one_heading_once(void **state)
{
    (void)state;
    /* n1 has too few for anybody, n2 has given them away */
    explains("apiVersion: v1\nkind: Node\nmetadata: {name: n1}\n"
             "status: {allocatable: {cpu: 1, memory: 8Gi, pods: 10}}\n" NODE("n2", "")
                 POD("r", "", "nodeName: n2, ") POD("p", "", ""),
             "default/p fits on 0 of 2 nodes\n\nrejected:\n"
             "  NodeResourcesFit: Insufficient cpu\n    2 nodes: n1, n2\n"
             "    fits on n1 if it had 2 more cpu\n\n"
             "preemption: nobody was found who could make room for it\n");
    /* who could go: on n2 alone */
    explains("apiVersion: v1\nkind: Node\nmetadata: {name: n1}\n"
             "status: {allocatable: {cpu: 1, memory: 8Gi, pods: 10}}\n" NODE("n2", "")
                 POD("r", "", "nodeName: n2, ") POD("p", "", "priority: 1, "),
             "default/p fits on 0 of 2 nodes\n\nrejected:\n"
             "  NodeResourcesFit: Insufficient cpu\n    2 nodes: n1, n2\n"
             "    fits on n1 if it had 2 more cpu; preemption may help on 1 of them\n\n"
             "preemption:\n  would fit on n2 if default/r (priority 0) were evicted\n");
}

/* What JSON says of the node that refuses, with ' for ". */
static void refuses(const char *text, const char *expected)
{
    struct offline_rig rig = rig_read("f", text);
    json_t *x = rig_explain_json(&rig, "default", "p");
    const json_t *rejected = json_object_get(x, "rejected");
    json_t *row = NULL;
    for (size_t i = 0; i < json_array_size(rejected); i++) {
        json_t *one = json_array_get(rejected, i);
        if (strcmp(json_string_value(json_object_get(one, "node")), "n1") == 0)
            row = one;
    }
    assert_non_null(row);
    assert_int_equal(json_object_del(row, "node"), 0);
    char *got = json_dumps(row, JSON_COMPACT);
    for (char *c = got; *c != '\0'; c++)
        *c = *c == '"' ? '\'' : *c;
    assert_string_equal(got, expected);
    mu_mem_free(got);
    json_decref(x);
    rig_drop(&rig);
}

#define REQUIRED ".requiredDuringSchedulingIgnoredDuringExecution"
#define ROW(filter, message, help, change)                                                         \
    "{'filter':'" filter "','message':'" message "','preemption_may_help':" help                   \
    ",'change':[" change "]}"
#define AFFINITY_ROW(change)                                                                       \
    ROW("NodeAffinity", "node(s) didn't match Pod's node affinity/selector", "false", change)
#define APART(app)                                                                                 \
    "affinity: {podAntiAffinity: {requiredDuringSchedulingIgnoredDuringExecution: [{topologyKey: " \
    "zone, labelSelector: {matchLabels: {app: " app "}}}]}}, "
#define WITH(key, app)                                                                             \
    "affinity: {podAffinity: {requiredDuringSchedulingIgnoredDuringExecution: [{topologyKey: " key \
    ", labelSelector: {matchLabels: {app: " app "}}}]}}, "
#define SPREAD(key)                                                                                \
    "topologySpreadConstraints: [{topologyKey: " key ", maxSkew: 1, whenUnsatisfiable: "           \
    "DoNotSchedule, labelSelector: {matchLabels: {app: x}}}], "
#define TERM(term)                                                                                 \
    "affinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: "                   \
    "{nodeSelectorTerms: [" term "]}}}, "
#define APP ", labels: {app: x}"
/* One more node, of a zone of its own, that has nothing to say here. */
#define ELSEWHERE                                                                                  \
    "---\napiVersion: v1\nkind: Node\nmetadata: {name: n2, labels: {zone: b}}\n"                   \
    "status: {allocatable: {cpu: 4, memory: 8Gi, pods: 10}}\n"
#define PORT "ports: [{containerPort: 80, hostPort: 80}]"

struct cause_case {
    const char *text, *expected;
};
static const struct cause_case cause_cases[] = {
    {NODE("n1", "spec: {unschedulable: true}\n") POD("p", "", ""),
     ROW("NodeUnschedulable", "node(s) were unschedulable", "false",
         "{'node':'n1','uncordon':true}")},
    {NODE("n1", "spec: {taints: [{key: a, value: b, effect: NoSchedule}]}\n") POD("p", "", ""),
     ROW("TaintToleration", "node(s) had untolerated taint {a: b}", "false",
         "{'toleration':{'key':'a','operator':'Equal','value':'b','effect':'NoSchedule'}}")},
    {NODE("n1", "spec: {taints: [{key: a, effect: NoExecute}]}\n") POD("p", "", ""),
     ROW("TaintToleration", "node(s) had untolerated taint {a: }", "false",
         "{'toleration':{'key':'a','operator':'Equal','value':'','effect':'NoExecute'}}")},
    {NODE("n1", "") POD("p", "", "nodeSelector: {disk: ssd}, "),
     AFFINITY_ROW("{'node':'n1','label':{'disk':'ssd'}}")},
    {NODE("n1", "") POD("p", "", TERM("{matchExpressions: [{key: zone, operator: DoesNotExist}]}")),
     AFFINITY_ROW("{'node':'n1','label':{'zone':null}}")},
    {NODE("n1", "") POD("p", "",
                        TERM("{matchFields: [{key: metadata.name, operator: In, values: "
                             "[n2]}]}")),
     AFFINITY_ROW("{'drop':'spec.affinity.nodeAffinity" REQUIRED "'}")},
    {NODE("n1", "") POD("p", "", "nodeSelector: {kubernetes.io/hostname: n2}, "),
     AFFINITY_ROW("{'drop':'spec.nodeSelector'}")},
    {NODE("n1", "") POD("p", "", "") POD("r", "", "nodeName: n1, "),
     ROW("NodeResourcesFit", "Insufficient cpu", "true", "{'node':'n1','free':{'cpu':2}}")},
    {NODE("n1", "") ASKS("p", "", "resources: {requests: {cpu: 4500m}}"),
     ROW("NodeResourcesFit", "Insufficient cpu", "false", "{'node':'n1','grow':{'cpu':'500m'}}")},
    {NODE("n1", "") ASKS("p", "", "resources: {requests: {memory: 9Gi}}"),
     ROW("NodeResourcesFit", "Insufficient memory", "false",
         "{'node':'n1','grow':{'memory':1073741824}}")},
    {NODE("n1", "") ASKS("p", "", "resources: {requests: {y.com/z: 3}}"),
     ROW("NodeResourcesFit", "Insufficient y.com/z", "false",
         "{'node':'n1','grow':{'y.com/z':3}}")},
    {"apiVersion: v1\nkind: Node\nmetadata: {name: n1}\nstatus: {allocatable: {pods: "
     "1}}\n" ASKS("p", "", "image: x") ASKS("r", "nodeName: n1, ", "image: x"),
     ROW("NodeResourcesFit", "Too many pods", "true", "{'node':'n1','free':{'pods':1}}")},
    {NODE("n1", "") ASKS("p", "", PORT) ASKS("r", "nodeName: n1, ", PORT),
     ROW("NodePorts", "node(s) didn't have free ports for the requested pod ports", "true",
         "{'node':'n1','free_ports':true,'ports':'80/TCP'}")},
    {NODE("n1", "") ELSEWHERE POD(
         "p", APP, SPREAD("zone")) "---\napiVersion: v1\nkind: Pod\nmetadata: {name: r" APP
                                   "}\nspec: {nodeName: n1, containers: [{name: c}]}\n",
     ROW("PodTopologySpread", "node(s) didn't match pod topology spread constraints", "true",
         "{'drop':'spec.topologySpreadConstraints'}")},
    {NODE("n1", "") POD("p", APP, SPREAD("rack")),
     ROW("PodTopologySpread",
         "node(s) didn't match pod topology spread constraints (missing required label)", "false",
         "{'drop':'spec.topologySpreadConstraints'}")},
    {NODE("n1", "") POD("p", "", WITH("zone", "x")),
     ROW("InterPodAffinity", "node(s) didn't match pod affinity rules", "false",
         "{'drop':'spec.affinity.podAffinity" REQUIRED "'}")},
    {NODE("n1", "") POD("p", "", WITH("rack", "x")),
     ROW("InterPodAffinity", "node(s) didn't match pod affinity rules", "false",
         "{'drop':'spec.affinity.podAffinity" REQUIRED "'}")},
    {NODE("n1", "") POD("p", "", APART("x")) MEMBER("r", APP, "nodeName: n1, "),
     ROW("InterPodAffinity", "node(s) didn't match pod anti-affinity rules", "true",
         "{'drop':'spec.affinity.podAntiAffinity" REQUIRED "'}")},
    {NODE("n1", "") POD("p", APP, "") MEMBER("r", "", "nodeName: n1, " APART("x")),
     ROW("InterPodAffinity", "node(s) didn't satisfy existing pods anti-affinity rules", "true",
         "{'remove':'default/r'}")},
};

static void test_explain__one_cause__one_change(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cause_cases / sizeof cause_cases[0]; i++)
        refuses(cause_cases[i].text, cause_cases[i].expected);
}

/* ---- memory ------------------------------------------------------------------------------- */

static const char memory_text[] =
    "apiVersion: scheduling.k8s.io/v1\nkind: PriorityClass\nmetadata: {name: high}\nvalue: 1\n"
    "---\napiVersion: v1\nkind: Namespace\nmetadata: {name: x}\n" NODE("n1", "")
        NODE("n2", "spec: {taints: [{key: a, effect: NoSchedule}]}\n")
            POD("p", "", "priorityClassName: high, nodeSelector: {zone: b}, ")
                POD("a", GANG("2"), "") POD("b", GANG("2"), "") POD("r", "", "nodeName: n1, ")
                    GROUP("scheduling.volcano.sh/v1beta1", "{minMember: 1}")
                        MEMBER("m", VOLCANO, "");

/* One round under a failing allocation. True when it met none. A failure is told: none is taken for
 * a fault of the input. */
static bool memory_round(void *context)
{
    const struct mu_str names[] = {MU_STR("default-scheduler")};
    struct mu_db_config config = {
        .scheduler_names = names, .scheduler_name_count = 1, .quiet_ns = 1};
    struct offline_rig rig = {.manifest = mu_manifest_create(),
                              .db = mu_db_create(&config),
                              .arena = mu_arena_create((size_t)64 << 20)};
    (void)context;
    bool made = rig.manifest != NULL && rig.db != NULL && rig.arena != NULL;
    int rc = made ? mu_manifest_read(rig.manifest, "f", mu_str_of(memory_text)) : MU_ENOMEM;
    if (rc == 0) {
        mu_manifest_resolve(rig.manifest);
        rc = mu_manifest_load(rig.manifest, rig.db, (struct mu_uid){0, 0}, 1);
    }
    struct mu_settle_config settle = {
        .session = {.profile = &mu_profile_spread}, .now_ns = 2, .bind = rig_bind, .context = &rig};
    struct mu_settled settled;
    struct mu_error error = {0, ""};
    if (rc == 0)
        rc = mu_settle(rig.db, &settle, rig.arena, &settled, &error);
    struct mu_explanation x;
    struct mu_uid pod = {0, 0};
    struct mu_snapshot *snapshot = rc == 0 ? mu_db_replica_create(rig.db) : NULL;
    if (rc == 0)
        rc = snapshot == NULL ? MU_ENOMEM : 1;
    while (rc == 1)
        rc = mu_db_replica_sync(rig.db, snapshot, 0);
    if (rc == 0 && mu_manifest_find(rig.manifest, MU_STR("default"), MU_STR("p"), &pod))
        rc = mu_explain(rig.db, snapshot, &mu_profile_spread, pod, rig.arena, &x);
    struct mu_buf out = {.max = 0};
    if (rc == 0)
        rc = mu_settled_write_json(&settled, &out);
    if (rc == 0)
        rc = mu_explanation_write_table(&x, &out);
    mu_buf_fini(&out);
    if (snapshot != NULL)
        mu_db_replica_destroy(rig.db, snapshot);
    assert_true(rc == 0 || rc == MU_ENOMEM);
    if (rc == 0) {
        assert_int_equal(mu_manifest_error_count(rig.manifest), 0);
        assert_true(settled.binding_count + settled.pending_count == 4);
    }
    rig_drop(&rig);
    return rc == 0;
}

static void test_offline__memory_out__said_and_nothing_leaks(void **state)
{
    (void)state;
    assert_true(mu_test_fail_each(memory_round, NULL) > 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_place__nothing_there__three_empty_lists),
        cmocka_unit_test(test_place__arrival__creation_time_then_order_then_those_without),
        cmocka_unit_test(test_place__priority__of_its_class_the_default_one_or_its_own),
        cmocka_unit_test(test_place__gangs__all_or_nothing),
        cmocka_unit_test(test_place__devices__named_where_they_were_chosen),
        cmocka_unit_test(test_place__groups__sized_by_their_objects),
        cmocka_unit_test(test_place__groups__wait_where_nothing_can_be_known),
        cmocka_unit_test(test_place__one_of_each_dialect__all_are_placed),
        cmocka_unit_test(test_place__one_of_each_dialect__nobody_goes_alone),
        cmocka_unit_test(test_place__kueue_gates__hold_the_gang),
        cmocka_unit_test(test_place__groups__lend_their_priority),
        cmocka_unit_test(test_place__held_back__says_by_what),
        cmocka_unit_test(test_place__running_and_foreign_pods__charged_and_not_told),
        cmocka_unit_test(test_place__defaults__as_an_api_server_sets_them),
        cmocka_unit_test(test_explain__table__groups_and_what_would_have_to_change),
        cmocka_unit_test(test_explain__json__as_documented),
        cmocka_unit_test(test_explain__notes__what_is_to_be_known_beside),
        cmocka_unit_test(test_explain__table__one_heading_once),
        cmocka_unit_test(test_explain__one_cause__one_change),
        cmocka_unit_test(test_offline__memory_out__said_and_nothing_leaks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
