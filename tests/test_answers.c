/* What `muster place` and `muster explain` tell beside where pods go: of gangs, budgets and
 * devices, and how tables put what is long. */
#include "tests/manifest_kit.h"

#define NODE(name, more)                                                                           \
    "---\napiVersion: v1\nkind: Node\nmetadata: {name: " name "}\n" more                           \
    "status: {allocatable: {cpu: 4, memory: 8Gi, pods: 10}}\n"
#define POD(name, meta, spec)                                                                      \
    "---\napiVersion: v1\nkind: Pod\nmetadata: {name: " name meta "}\nspec: {" spec                \
    "containers: [{name: c, resources: {requests: {cpu: 3}}}]}\n"
#define GANG(size) ", annotations: {muster.dev/pod-group: g, muster.dev/pod-group-size: '" size "'}"

/* ---- explain ------------------------------------------------------------------------------ */

/* The verdict on the gang of p: the table's second line, and `place`'s words about p in JSON. */
static void gang_waits(const char *text, const char *reason, const char *line)
{
    struct offline_rig rig = rig_read("f", text), beside = rig_read("f", text);
    struct mu_explanation x = rig_explain(&rig, "default", "p");
    struct mu_buf json = {.max = 0}, table = {.max = 0};
    assert_int_equal(mu_explanation_write_json(&x, &json), 0);
    assert_int_equal(mu_explanation_write_table(&x, &table), 0);
    assert_int_equal(mu_buf_append(&table, "", 1), 0);
    json_t *answer = rig_json(&json), *placed = rig_place(&beside, &mu_profile_spread);
    const json_t *gang = json_object_get(answer, "gang");
    const json_t *pending = json_array_get(json_object_get(placed, "pending"), 0);
    assert_string_equal(json_string_value(json_object_get(gang, "name")), "default/g");
    if (reason == NULL) {
        assert_true(json_is_null(json_object_get(gang, "reason")));
        assert_true(json_is_null(json_object_get(gang, "message")));
    } else {
        assert_string_equal(json_string_value(json_object_get(gang, "reason")), reason);
        assert_string_equal(json_string_value(json_object_get(pending, "reason")), reason);
        assert_true(
            json_equal(json_object_get(gang, "message"), json_object_get(pending, "message")));
    }
    const char *second = strchr((const char *)table.data, '\n') + 1;
    assert_int_equal(strncmp(second, line, strlen(line)), 0);
    json_decref(answer);
    json_decref(placed);
    mu_buf_fini(&table);
    rig_drop(&rig);
    rig_drop(&beside);
}

static void test_explain__gang__says_why_it_waits(void **state)
{
    (void)state;
    gang_waits(NODE("n1", "") POD("p", GANG("2"), "") POD("q", GANG("2"), ""), "Unschedulable",
               "gang default/g waits: 0/1 nodes are available: 1 Insufficient cpu. gang default/g: "
               "1 of 2 placed; the other one needs cpu: 3 free on one node.\none of 2 pods of ");
    /* what the gang lacks is not known by its pod */
    gang_waits(NODE("n1", "") POD("p", GANG("2"), ""), "WaitingForGang",
               "gang default/g waits for 1 more of its 2 members\n");
    gang_waits(NODE("n1", "") POD("p", ", labels: {scheduling.x-k8s.io/pod-group: g}", ""),
               "WaitingForGang",
               "gang default/g waits for the object that describes it, which is missing");
    /* from which priority there would be room */
    gang_waits(NODE("n1", "") NODE("n2", "") POD("r", "", "nodeName: n2, ") POD("p", GANG("2"), "")
                   POD("q", GANG("2"), ""),
               "Unschedulable",
               "gang default/g waits: 0/2 nodes are available: 2 Insufficient cpu. gang default/g: "
               "1 of 2 placed; the other one needs cpu: 3 free on one node, or priority ≥ 1.\n");
    /* one that has room, or is given some */
    gang_waits(NODE("n1", "") POD("p", GANG("1"), ""), NULL, "one of 1 pod of gang default/g");
    gang_waits(NODE("n1", "") POD("r", "", "nodeName: n1, ") POD("p", GANG("1"), "priority: 1, "),
               NULL, "one of 1 pod of gang default/g");
}

/* ---- tables ------------------------------------------------------------------------------- */

static void table_is(struct mu_buf *table, const char *want)
{
    assert_int_equal(mu_buf_append(table, "", 1), 0);
    assert_string_equal((const char *)table->data, want);
    mu_buf_fini(table);
}

static void place_table_is(const char *text, const char *want)
{
    struct offline_rig rig = rig_read("f", text);
    struct mu_settled settled = rig_settle(&rig, &mu_profile_spread);
    struct mu_buf table = {.max = 0};
    assert_int_equal(mu_settled_write_table(&settled, &table), 0);
    table_is(&table, want);
    rig_drop(&rig);
}

static void test_place__gang_waits__one_line_of_it(void **state)
{
    (void)state;
    place_table_is(NODE("n1", "") POD("a", GANG("3"), "") POD("lone", "", "")
                       POD("b", GANG("3"), "") POD("c", GANG("3"), "schedulingGates: [{name: x}], ")
                           POD("d", "", ""),
                   "POD           NODE  GANG\n"
                   "default/lone  n1    -\n"
                   "\n"
                   "PENDING               GANG       REASON           MESSAGE\n"
                   "default/a and 1 more  default/g  WaitingForGang   gang default/g waits for 1 "
                   "member with scheduling gates\n"
                   "default/c             default/g  SchedulingGated  Scheduling is blocked due to "
                   "non-empty scheduling gates\n"
                   "default/d             -          Unschedulable    0/1 nodes are available: 1 "
                   "Insufficient cpu.\n"
                   "\n1 placed, 0 evicted, 4 pending\n");
}

#define BUDGET(allowed)                                                                            \
    "---\napiVersion: policy/v1\nkind: PodDisruptionBudget\nmetadata: {name: b}\n"                 \
    "spec: {maxUnavailable: 1, selector: {matchLabels: {a: b}}}\n"                                 \
    "status: {expectedPods: 2, disruptionsAllowed: " allowed "}\n"
#define VICTIM(name, node) POD(name, ", labels: {a: b}", "nodeName: " node ", ")
#define TAKER(name)        POD(name, "", "priority: 1, ")

static void test_place__evictions__against_a_budget_are_marked(void **state)
{
    (void)state;
    struct offline_rig rig = rig_read("f", NODE("n1", "") NODE("n2", "") VICTIM("v", "n1")
                                               VICTIM("w", "n2") TAKER("p") TAKER("q") BUDGET("1"));
    json_t *answer = rig_place(&rig, &mu_profile_spread);
    const json_t *gone = json_object_get(answer, "evictions");
    assert_int_equal(json_array_size(gone), 2);
    assert_null(json_object_get(json_array_get(gone, 0), "pdb_violated"));
    assert_true(json_is_true(json_object_get(json_array_get(gone, 1), "pdb_violated")));
    json_decref(answer);
    rig_drop(&rig);
    place_table_is(NODE("n1", "") VICTIM("v", "n1") TAKER("p") BUDGET("0"),
                   "POD        NODE  GANG\n"
                   "default/p  n1    -\n"
                   "\n"
                   "EVICTED    GANG  FOR\n"
                   "default/v  -     default/p  against a disruption budget\n"
                   "\n1 placed, 1 evicted, 0 pending\n");
}

static void explain_table_is(const char *text, const char *want)
{
    struct offline_rig rig = rig_read("f", text);
    struct mu_explanation x = rig_explain(&rig, "default", "p");
    struct mu_buf table = {.max = 0};
    assert_int_equal(mu_explanation_write_table(&x, &table), 0);
    table_is(&table, want);
    rig_drop(&rig);
}

static void test_explain__many_nodes__the_best_are_listed(void **state)
{
    (void)state;
    struct offline_rig rig =
        rig_read("f", NODE("a", "") NODE("b", "") NODE("c", "") NODE("d", "") NODE("e", "")
                          NODE("f", "") NODE("g", "") NODE("h", "") NODE("i", "") NODE("j", "")
                              NODE("k", "") NODE("l", "") POD("p", "", ""));
    struct mu_explanation x = rig_explain(&rig, "default", "p");
    struct mu_buf table = {.max = 0};
    assert_int_equal(mu_explanation_write_table(&x, &table), 0);
    assert_int_equal(mu_buf_append(&table, "", 1), 0);
    const char *text = (const char *)table.data,
               *more = strstr(text, "and 2 more; -o json has all");
    const char *row = strstr(text, "SCORE (best first)\n");
    uint32_t rows = 0;
    assert_non_null(row);
    assert_non_null(more);
    for (row = strchr(row, '\n') + 1; row < more; row = strchr(row, '\n') + 1)
        rows++;
    assert_int_equal(rows, 10);
    mu_buf_fini(&table);
    rig_drop(&rig);
}

#define PORTS(name, where, list)                                                                   \
    "---\napiVersion: v1\nkind: Pod\nmetadata: {name: " name "}\nspec: {" where                    \
    "containers: [{name: c, ports: [" list "]}]}\n"
#define TCP(port) "{containerPort: 1, hostPort: " port "}"
#define UDP(port) "{containerPort: 1, protocol: UDP, hostPort: " port "}"

static void test_explain__host_ports__those_that_are_taken(void **state)
{
    (void)state;
    explain_table_is(NODE("n1", "") PORTS("p", "", TCP("80") ", " TCP("81") ", " UDP("53"))
                         PORTS("q", "nodeName: n1, ", UDP("53") ", " TCP("53") ", " TCP("80")),
                     "default/p fits on 0 of 1 nodes\n\n"
                     "rejected:\n"
                     "  NodePorts: node(s) didn't have free ports for the requested pod ports\n"
                     "    1 node: n1\n"
                     "    fits on n1 if host ports 80/TCP,53/UDP are free\n\n"
                     "preemption: nobody was found who could make room for it\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_explain__gang__says_why_it_waits),
        cmocka_unit_test(test_place__gang_waits__one_line_of_it),
        cmocka_unit_test(test_place__evictions__against_a_budget_are_marked),
        cmocka_unit_test(test_explain__many_nodes__the_best_are_listed),
        cmocka_unit_test(test_explain__host_ports__those_that_are_taken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
