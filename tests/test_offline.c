/*
 * What `muster place` and `muster explain` answer, from manifests to JSON. The last test takes the
 * answers at their word: it makes the change that explain states, and the pod fits there.
 */
#include "tests/manifest_kit.h"

#include <inttypes.h>

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
           "{'pod':'default/a','gang':'default/g','reason':'Unschedulable','message':'gang "
           "default/g needs 2 members placed together; 1 fit: 1/1 nodes are available for a "
           "member.'},"
           "{'pod':'default/b','gang':'default/g','reason':'Unschedulable','message':'gang "
           "default/g needs 2 members placed together; 1 fit: 1/1 nodes are available for a "
           "member.'}]}");
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
#define NATIVE       "schedulingGroup: {podGroupName: g}, "
#define GROUP(version, spec)                                                                       \
    "---\napiVersion: " version "\nkind: PodGroup\nmetadata: {name: g}\nspec: " spec "\n"

/* How many pods of `text`, with one node of 4 cpu, are placed, and why the first waits ("": none). */
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
    settles(GROUP("scheduling.volcano.sh/v1beta1", "{minTaskMember: {x: 1, y: 1}}")
                MEMBER("a", VOLCANO, "") MEMBER("b", VOLCANO, ""),
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
    /* two dialects on one pod, two groups, a dialect that is not built beside */
    settles(MEMBER("a", COSCHEDULING, NATIVE) GROUP("scheduling.x-k8s.io/v1alpha1", "{}"), 0,
            "Unsupported");
    settles(MEMBER("a",
                   ", annotations: {scheduling.k8s.io/group-name: g, "
                   "scheduling.volcano.sh/group-name: h}",
                   "") GROUP("scheduling.volcano.sh/v1beta1", "{}"),
            0, "Unsupported");
    settles(MEMBER("a",
                   ", annotations: {scheduling.k8s.io/group-name: g, "
                   "scheduling.volcano.sh/group-min-member: '1'}",
                   "") GROUP("scheduling.volcano.sh/v1beta1", "{}"),
            0, "Unsupported");
    settles(MEMBER("a", ", annotations: {pod-group: g, scheduling.k8s.io/group-name: g}", "")
                GROUP("scheduling.volcano.sh/v1beta1", "{}"),
            0, "Unsupported");
    settles(MEMBER("a", VOLCANO, "workloadRef: {name: w, podGroup: g}, ")
                GROUP("scheduling.volcano.sh/v1beta1", "{}"),
            0, "Unsupported");
    /* rules of the object that are not built; minima of tasks that members could miss */
    settles(MEMBER("a", VOLCANO, "")
                GROUP("scheduling.volcano.sh/v1beta1", "{subGroupPolicy: [{name: x}]}"),
            0, "Unsupported");
    settles(GROUP("scheduling.volcano.sh/v1beta1", "{minTaskMember: {x: 1, y: 1}}")
                MEMBER("a", VOLCANO, "") MEMBER("b", VOLCANO, "") MEMBER("c", VOLCANO, ""),
            0, "Unsupported");
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

static void test_place__held_back__says_by_what(void **state)
{
    (void)state;
    places(NODE("n1", "") POD("a", GANG("2"), "schedulingGates: [{name: x.com/y}], ")
               POD("b", GANG("2"), ""),
           "{'bindings':[],'evictions':[],'pending':["
           "{'pod':'default/a','gang':'default/g','reason':'SchedulingGated','message':'Scheduling "
           "is blocked due to non-empty scheduling gates'},"
           "{'pod':'default/b','gang':'default/g','reason':'WaitingForGang','message':'gang "
           "default/g waits for 1 member(s) with scheduling gates'}]}");
    places(NODE("n1", "")
               POD("a", "", "volumes: [{name: v, persistentVolumeClaim: {claimName: c}}], "),
           "{'bindings':[],'evictions':[],'pending':[{'pod':'default/a','gang':'default/a',"
           "'reason':'Unsupported','message':'this scheduler cannot place the pod, which uses: "
           "volumes that bind to nodes'}]}");
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
             "one of 1 pods of gang default/g, looked at by itself here (see `muster place`)\n\n"
             "NODE  SCORE (best first)\nn1    134");
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
    json_t *expected =
        json_pack("{s:s, s:[s], s:{s:O}, s:[{s:s, s:s, s:s, s:b, s:[{s:s, s:{s:i}}]}], s:n}", "pod",
                  "default/p", "feasible", "n1", "scores", "n1",
                  json_object_get(json_object_get(x, "scores"), "n1"), "rejected", "node", "n2",
                  "filter", "NodeResourcesFit", "message", "Insufficient cpu",
                  "preemption_may_help", 1, "change", "node", "n2", "free", "cpu", 2, "preemption");
    (void)state;
    assert_non_null(expected);
    assert_true(json_integer_value(json_object_get(json_object_get(x, "scores"), "n1")) > 0);
    assert_true(json_equal(x, expected));
    json_decref(x);
    json_decref(expected);
    rig_drop(&rig);
}

/* ---- memory ------------------------------------------------------------------------------- */

static const char memory_text[] =
    "apiVersion: scheduling.k8s.io/v1\nkind: PriorityClass\nmetadata: {name: high}\nvalue: 1\n"
    "---\napiVersion: v1\nkind: Namespace\nmetadata: {name: x}\n" NODE("n1", "")
        NODE("n2", "spec: {taints: [{key: a, effect: NoSchedule}]}\n")
            POD("p", "", "priorityClassName: high, nodeSelector: {zone: b}, ")
                POD("a", GANG("2"), "") POD("b", GANG("2"), "") POD("r", "", "nodeName: n1, ");

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
        assert_true(settled.binding_count + settled.pending_count == 3);
    }
    rig_drop(&rig);
    return rc == 0;
}

static void test_offline__memory_out__said_and_nothing_leaks(void **state)
{
    (void)state;
    assert_true(mu_test_fail_each(memory_round, NULL) > 100);
}

/* ---- the stated change ---------------------------------------------------------------------- */

static uint32_t below(struct mu_test_run *run, uint32_t n)
{
    return (uint32_t)(mu_random_u64(&run->random) % n);
}

static json_t *text_of(const char *before, uint32_t n, const char *behind)
{
    char text[64];
    (void)snprintf(text, sizeof text, "%s%" PRIu32 "%s", before, n, behind);
    return json_string(text);
}

static const char *const zones[] = {"a", "b", "c"};
static const char *const effects[] = {"NoSchedule", "PreferNoSchedule", "NoExecute"};

/* Sound, and none that a node could have meant. */
static const char *const indexes[] = {"0", "1", "0,1", "2,3", "17", "all"};

#define GPU      "x.com/gpu"
#define GPU_PART "muster.dev/gpu-milli"

static json_t *random_node(struct mu_test_run *run, uint32_t n)
{
    json_t *taints = json_array();
    json_t *labels = json_object();
    for (uint32_t i = below(run, 4); i > 1; i--)
        (void)json_array_append_new(
            taints, json_pack("{s:o, s:s, s:s}", "key", text_of("t", below(run, 3), ""), "value",
                              below(run, 2) ? "x" : "", "effect", effects[below(run, 3)]));
    if (below(run, 4) > 0)
        (void)json_object_set_new(labels, "zone", json_string(zones[below(run, 3)]));
    if (below(run, 2) > 0)
        (void)json_object_set_new(labels, "rank", text_of("", below(run, 10), ""));
    json_t *alloc =
        json_pack("{s:o, s:I, s:o}", "cpu", text_of("", below(run, 8) * 500, "m"), "memory",
                  (json_int_t)below(run, 5) << 30, "pods", json_integer(below(run, 3)));
    if (below(run, 2) > 0)
        (void)json_object_set_new(alloc, GPU, json_integer(below(run, 5)));
    if (below(run, 2) > 0)
        (void)json_object_set_new(labels, "muster.dev/gpu-sharing", json_string("true"));
    if (below(run, 2) > 0)
        (void)json_object_set_new(labels, "muster.dev/gpu-index", json_string("honored"));
    return json_pack("{s:s, s:s, s:{s:o, s:o}, s:{s:b, s:o}, s:{s:o}}", "apiVersion", "v1", "kind",
                     "Node", "metadata", "name", text_of("n", n, ""), "labels", labels, "spec",
                     "unschedulable", below(run, 5) == 0, "taints", taints, "status", "allocatable",
                     alloc);
}

/* One requirement on a label that nodes may have. */
static json_t *random_expression(struct mu_test_run *run)
{
    static const char *const ops[] = {"In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt"};
    const char *op = ops[below(run, 6)];
    bool number = op[0] == 'G' || op[0] == 'L';
    bool rank = number || below(run, 3) == 0;
    json_t *values = json_array();
    for (uint32_t i = number ? 1 : op[0] == 'I' || op[0] == 'N' ? 1 + below(run, 2) : 0; i > 0; i--)
        (void)json_array_append_new(values, rank ? text_of("", below(run, 10), "")
                                                 : json_string(zones[below(run, 3)]));
    return json_pack("{s:s, s:s, s:o}", "key", rank ? "rank" : "zone", "operator", op, "values",
                     values);
}

static json_t *random_affinity(struct mu_test_run *run, uint32_t nodes)
{
    json_t *terms = json_array();
    for (uint32_t i = 1 + below(run, 3); i > 0; i--) {
        json_t *expressions = json_array();
        json_t *term = json_pack("{s:o}", "matchExpressions", expressions);
        for (uint32_t e = below(run, 4); e > 0; e--)
            (void)json_array_append_new(expressions, random_expression(run));
        if (below(run, 4) == 0)
            (void)json_object_set_new(term, "matchFields",
                                      json_pack("[{s:s, s:s, s:[o]}]", "key", "metadata.name",
                                                "operator", below(run, 2) ? "In" : "NotIn",
                                                "values", text_of("n", below(run, nodes), "")));
        (void)json_array_append_new(terms, term);
    }
    return json_pack("{s:{s:{s:o}}}", "nodeAffinity",
                     "requiredDuringSchedulingIgnoredDuringExecution", "nodeSelectorTerms", terms);
}

static json_t *random_selector(struct mu_test_run *run)
{
    return json_pack("{s:{s:s}}", "matchLabels", "app", below(run, 2) ? "x" : "y");
}

/* Rules about other pods, on top of what the spec has. */
static void add_terms(struct mu_test_run *run, json_t *spec)
{
    static const char required[] = "requiredDuringSchedulingIgnoredDuringExecution";
    json_t *affinity = json_object_get(spec, "affinity");
    if (affinity == NULL) {
        affinity = json_object();
        (void)json_object_set_new(spec, "affinity", affinity);
    }
    if (below(run, 3) == 0)
        (void)json_object_set_new(affinity, "podAffinity",
                                  json_pack("{s:[{s:s, s:o}]}", required, "topologyKey", "zone",
                                            "labelSelector", random_selector(run)));
    if (below(run, 3) == 0)
        (void)json_object_set_new(affinity, "podAntiAffinity",
                                  json_pack("{s:[{s:s, s:o}]}", required, "topologyKey", "zone",
                                            "labelSelector", random_selector(run)));
    if (below(run, 3) == 0)
        (void)json_object_set_new(spec, "topologySpreadConstraints",
                                  json_pack("[{s:s, s:i, s:s, s:o}]", "topologyKey", "zone",
                                            "maxSkew", 1, "whenUnsatisfiable", "DoNotSchedule",
                                            "labelSelector", random_selector(run)));
    if (below(run, 3) == 0)
        (void)json_object_set_new(
            json_array_get(json_object_get(spec, "containers"), 0), "ports",
            json_pack("[{s:i, s:i}]", "hostPort", 80 + (int)below(run, 2), "containerPort", 80));
}

static json_t *random_pod(struct mu_test_run *run, const char *name, uint32_t nodes, bool bound)
{
    json_t *requests = json_object();
    json_t *spec = json_pack("{s:[{s:s, s:{s:o}}]}", "containers", "name", "c", "resources",
                             "requests", requests);
    if (below(run, 3) > 0)
        (void)json_object_set_new(requests, "cpu", text_of("", below(run, 30) * 100, "m"));
    if (below(run, 3) > 0)
        (void)json_object_set_new(requests, "memory", text_of("", below(run, 4000), "Mi"));
    if (below(run, 3) == 0)
        (void)json_object_set_new(requests, GPU, json_integer(below(run, 4)));
    else if (below(run, 2) == 0)
        (void)json_object_set_new(requests, GPU_PART, json_integer(1 + below(run, 1000)));
    if (bound)
        (void)json_object_set_new(spec, "nodeName", text_of("n", below(run, nodes), ""));
    if (!bound && below(run, 3) == 0)
        (void)json_object_set_new(spec, "nodeSelector",
                                  json_pack("{s:s}", "zone", zones[below(run, 3)]));
    if (!bound && below(run, 3) == 0)
        (void)json_object_set_new(spec, "tolerations",
                                  json_pack("[{s:o, s:s}]", "key", text_of("t", below(run, 3), ""),
                                            "operator", "Exists"));
    if (!bound && below(run, 2) == 0)
        (void)json_object_set_new(spec, "affinity", random_affinity(run, nodes));
    if (below(run, 3) == 0)
        add_terms(run, spec);
    return json_pack("{s:s, s:s, s:{s:s, s:{s:s}, s:{s:s}}, s:o}", "apiVersion", "v1", "kind",
                     "Pod", "metadata", "name", name, "labels", "app", below(run, 2) ? "x" : "y",
                     "annotations", "muster.dev/gpu-index", indexes[below(run, 6)], "spec", spec);
}

/* A cluster; its first item is the pod in question. */
static json_t *random_cluster(struct mu_test_run *run, uint32_t nodes)
{
    json_t *items = json_array();
    (void)json_array_append_new(items, random_pod(run, "p", nodes, false));
    for (uint32_t i = 0; i < nodes; i++)
        (void)json_array_append_new(items, random_node(run, i));
    for (uint32_t i = below(run, 8); i > 0; i--) {
        char name[16];
        (void)snprintf(name, sizeof name, "r%u", i);
        (void)json_array_append_new(items, random_pod(run, name, nodes, true));
    }
    return json_pack("{s:s, s:s, s:o}", "apiVersion", "v1", "kind", "List", "items", items);
}

/* An amount in thousandths of a unit. */
static json_int_t milli_of(const json_t *quantity)
{
    const char *text = json_string_value(quantity);
    if (text == NULL)
        return json_integer_value(quantity) * 1000;
    json_int_t n = strtoll(text, NULL, 10);
    return strchr(text, 'm') != NULL ? n : n * 1000;
}

/* More of a resource on the node: what is freed and what is added look the same from outside. */
static void apply_more(json_t *node, const json_t *more)
{
    const char *key;
    json_t *amount;
    json_t *alloc = json_object_get(json_object_get(node, "status"), "allocatable");
    json_object_foreach((json_t *)(uintptr_t)more, key, amount)
    {
        json_int_t sum = milli_of(json_object_get(alloc, key)) + milli_of(amount);
        char text[32];
        (void)snprintf(text, sizeof text, "%" JSON_INTEGER_FORMAT "m", sum);
        (void)json_object_set_new(
            alloc, key, strcmp(key, "cpu") == 0 ? json_string(text) : json_integer(sum / 1000));
    }
}

static void apply_label(json_t *node, const json_t *label)
{
    const char *key;
    json_t *value;
    json_t *labels = json_object_get(json_object_get(node, "metadata"), "labels");
    json_object_foreach((json_t *)(uintptr_t)label, key, value)
    {
        if (json_is_null(value))
            (void)json_object_del(labels, key);
        else
            (void)json_object_set(labels, key, value);
    }
}

/* Drop "spec.a.b" from the pod. */
static void apply_drop(json_t *pod, const char *path)
{
    char part[128];
    json_t *at = pod;
    for (const char *dot = strchr(path, '.'); dot != NULL; dot = strchr(path, '.')) {
        (void)snprintf(part, sizeof part, "%.*s", (int)(dot - path), path);
        at = json_object_get(at, part);
        path = dot + 1;
    }
    assert_int_equal(json_object_del(at, path), 0); /* it was there */
}

static json_t *find_item(json_t *cluster, const char *name)
{
    size_t i;
    json_t *item;
    json_array_foreach(json_object_get(cluster, "items"), i, item)
    {
        if (strcmp(json_string_value(json_object_get(json_object_get(item, "metadata"), "name")),
                   name) == 0)
            return item;
    }
    fail_msg("no object called %s", name);
    return NULL;
}

/* The pods that run on the node give their host ports back. */
static void free_ports(json_t *cluster, const char *node)
{
    size_t i;
    json_t *item;
    json_array_foreach(json_object_get(cluster, "items"), i, item)
    {
        json_t *spec = json_object_get(item, "spec");
        const char *on = json_string_value(json_object_get(spec, "nodeName"));
        if (on != NULL && strcmp(on, node) == 0)
            (void)json_object_del(json_array_get(json_object_get(spec, "containers"), 0), "ports");
    }
}

/* Those give their devices back. */
static void free_devices(json_t *cluster, const char *node)
{
    size_t i;
    json_t *item;
    json_array_foreach(json_object_get(cluster, "items"), i, item)
    {
        json_t *spec = json_object_get(item, "spec");
        const char *on = json_string_value(json_object_get(spec, "nodeName"));
        json_t *container = json_array_get(json_object_get(spec, "containers"), 0);
        json_t *requests = json_object_get(json_object_get(container, "resources"), "requests");
        if (on == NULL || strcmp(on, node) != 0)
            continue;
        (void)json_object_del(requests, GPU);
        (void)json_object_del(requests, GPU_PART);
    }
}

static bool shares_devices(json_t *node)
{
    json_t *labels = json_object_get(json_object_get(node, "metadata"), "labels");
    return json_object_get(labels, "muster.dev/gpu-sharing") != NULL;
}

static void remove_pod(json_t *cluster, const char *name)
{
    json_t *items = json_object_get(cluster, "items");
    const json_t *pod = find_item(cluster, strchr(name, '/') + 1);
    for (size_t i = 0; i < json_array_size(items); i++)
        if (json_array_get(items, i) == pod) {
            (void)json_array_remove(items, i);
            return;
        }
}

static void apply_change(json_t *cluster, const json_t *change)
{
    json_t *pod = find_item(cluster, "p");
    const json_t *name = json_object_get(change, "node");
    json_t *node = name != NULL ? find_item(cluster, json_string_value(name)) : NULL;
    const json_t *toleration = json_object_get(change, "toleration");
    const json_t *drop = json_object_get(change, "drop");
    if (toleration != NULL) {
        json_t *spec = json_object_get(pod, "spec");
        if (json_object_get(spec, "tolerations") == NULL)
            (void)json_object_set_new(spec, "tolerations", json_array());
        (void)json_array_append(json_object_get(spec, "tolerations"),
                                (json_t *)(uintptr_t)toleration);
    } else if (drop != NULL) {
        apply_drop(pod, json_string_value(drop));
    } else if (json_object_get(change, "remove") != NULL) {
        remove_pod(cluster, json_string_value(json_object_get(change, "remove")));
    } else if (json_object_get(change, "free_ports") != NULL) {
        free_ports(cluster, json_string_value(name));
    } else if (json_object_get(change, "uncordon") != NULL) {
        (void)json_object_set_new(json_object_get(node, "spec"), "unschedulable", json_false());
    } else if (json_object_get(change, "label") != NULL) {
        apply_label(node, json_object_get(change, "label"));
    } else {
        const json_t *free = json_object_get(change, "free");
        const json_t *grow = json_object_get(change, "grow");
        bool devices = json_object_get(change, "device") != NULL ||
                       (json_object_get(free, GPU) != NULL && shares_devices(node));
        assert_true(free != NULL || grow != NULL || devices);
        if (devices)
            free_devices(cluster, json_string_value(name));
        else
            apply_more(node, free != NULL ? free : grow);
    }
}

static json_t *explain_cluster(const json_t *cluster)
{
    char *text = json_dumps(cluster, 0);
    assert_non_null(text);
    struct offline_rig rig = rig_read("f", text);
    json_t *x = rig_explain_json(&rig, "default", "p");
    mu_mem_free(text);
    rig_drop(&rig);
    return x;
}

static bool is_feasible(const json_t *x, const char *node)
{
    size_t i;
    json_t *name;
    json_array_foreach(json_object_get(x, "feasible"), i, name)
    {
        if (strcmp(json_string_value(name), node) == 0)
            return true;
    }
    return false;
}

static void test_explain__stated_change_made__pod_fits_there(void **state)
{
    struct mu_test_run run = mu_test_run_begin(41);
    uint32_t tried = 0;
    (void)state;
    for (; tried < 1000; run.step++) {
        json_t *cluster = random_cluster(&run, 1 + below(&run, 6));
        json_t *x = explain_cluster(cluster);
        const json_t *rejected = json_object_get(x, "rejected");
        const json_t *row =
            json_array_size(rejected) == 0
                ? NULL
                : json_array_get(rejected, below(&run, (uint32_t)json_array_size(rejected)));
        const char *filter = json_string_value(json_object_get(row, "filter"));
        if (filter != NULL && strcmp(filter, "Unsupported") != 0) {
            const char *node = json_string_value(json_object_get(row, "node"));
            const json_t *changes = json_object_get(row, "change");
            MU_TEST_CHECK(&run, json_array_size(changes) > 0);
            for (size_t i = 0; i < json_array_size(changes); i++)
                apply_change(cluster, json_array_get(changes, i));
            json_t *after = explain_cluster(cluster);
            MU_TEST_CHECK(&run, is_feasible(after, node));
            json_decref(after);
            tried++;
        }
        json_decref(x);
        json_decref(cluster);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_place__nothing_there__three_empty_lists),
        cmocka_unit_test(test_place__arrival__creation_time_then_order_then_those_without),
        cmocka_unit_test(test_place__priority__of_its_class_the_default_one_or_its_own),
        cmocka_unit_test(test_place__gangs__all_or_nothing),
        cmocka_unit_test(test_place__groups__sized_by_their_objects),
        cmocka_unit_test(test_place__groups__wait_where_nothing_can_be_known),
        cmocka_unit_test(test_place__groups__lend_their_priority),
        cmocka_unit_test(test_place__held_back__says_by_what),
        cmocka_unit_test(test_place__running_and_foreign_pods__charged_and_not_told),
        cmocka_unit_test(test_place__defaults__as_an_api_server_sets_them),
        cmocka_unit_test(test_explain__table__groups_and_what_would_have_to_change),
        cmocka_unit_test(test_explain__json__as_documented),
        cmocka_unit_test(test_offline__memory_out__said_and_nothing_leaks),
        cmocka_unit_test(test_explain__stated_change_made__pod_fits_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
