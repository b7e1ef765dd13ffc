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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_explain__gang__says_why_it_waits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
