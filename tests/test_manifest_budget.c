/* Disruption budgets in manifests: what is wrong with one, and what one allows that no controller
 * has looked at. */
#include "tests/manifest_kit.h"

#define BUDGET "apiVersion: policy/v1\nkind: PodDisruptionBudget\nmetadata: {name: b}\n"
#define POD(name, spec, rest)                                                                      \
    "---\napiVersion: v1\nkind: Pod\nmetadata: {name: " name ", labels: {app: web}" rest "}\n"     \
    "spec: {priority: 0, " spec "containers: [{name: c, image: i}]}\n"

static void test_manifest_budget__wrong__one_line_each(void **state)
{
    (void)state;
    static const struct {
        const char *spec, *line;
    } cases[] = {
        {"{minAvailable: -1}", "spec.minAvailable: expected 0 or more\n"},
        {"{minAvailable: 5x}",
         "spec.minAvailable: '5x' is neither a number nor a percentage such as 50%\n"},
        {"{maxUnavailable: '5000%'}",
         "spec.maxUnavailable: '5000%' is neither a number nor a percentage such as 50%\n"},
        {"{maxUnavailable: 1, minAvailable: 1}",
         "spec.maxUnavailable: expected only one of minAvailable and maxUnavailable\n"},
        {"{selector: {matchExpressions: [{key: a, operator: Gt, values: ['1']}]}}",
         "spec.selector.matchExpressions[0].operator: 'Gt' is none; expected In, NotIn, Exists or "
         "DoesNotExist\n"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[512], line[512];
        (void)snprintf(text, sizeof text, BUDGET "spec: %s\n", cases[i].spec);
        (void)snprintf(line, sizeof line, "f:4: PodDisruptionBudget default/b: %s", cases[i].line);
        struct offline_rig rig = rig_read("f", text);
        assert_string_equal(rig_errors(&rig), line);
        rig_drop(&rig);
    }
    struct offline_rig rig = rig_read("f", BUDGET "---\n" BUDGET);
    assert_string_equal(rig_errors(&rig), "f:7: PodDisruptionBudget default/b: metadata.name: the "
                                          "same object stands at f:1\n");
    rig_drop(&rig);
}

/* Of five pods of its selector three are bound and stay; one has finished and does not count. */
static int32_t allowed_by(const char *spec, const char *status)
{
    char text[2048];
    (void)snprintf(
        text, sizeof text,
        BUDGET "spec: {selector: {matchLabels: {app: web}}%s%s}\n%s"
               "%s---\napiVersion: v1\nkind: Node\nmetadata: {name: n1}\n"
               "status: {allocatable: {cpu: '8', pods: '20'}}\n",
        spec[0] == '\0' ? "" : ", ", spec, status,
        POD("a", "nodeName: n1, ", "") POD("b", "nodeName: n1, ", "") POD("c", "nodeName: n1, ", "")
            POD("d", "", "") POD("e", "nodeName: n1, ",
                                 ", deletionTimestamp: '2026-01-01T00:00:00Z'")
                POD("f", "nodeName: n1, ",
                    "") "status: {phase: Succeeded}\n"
                        "---\napiVersion: v1\nkind: Pod\nmetadata: {name: other, namespace: far, "
                        "labels: {app: web}}\n"
                        "spec: {priority: 9, containers: [{name: c, image: i}]}\n");
    struct offline_rig rig = rig_read("f", text);
    rig_load(&rig, (struct mu_uid){0, 0});
    struct mu_manifest_counts counts;
    mu_manifest_counts(rig.manifest, &counts);
    assert_int_equal(counts.budgets, 1);
    struct mu_snapshot *s = mu_db_replica_create(rig.db);
    assert_non_null(s);
    while (mu_db_replica_sync(rig.db, s, 0) == 1)
        ;
    assert_int_equal(s->budget_count, 1);
    int32_t allowed = s->budgets[0].allowed;
    uint32_t covered = 0;
    for (uint32_t row = 0; row < s->node_rows; row++)
        for (uint32_t i = 0; s->occupants[row] != NULL && i < s->occupants[row]->count; i++)
            covered += s->kin_budgets[s->occupants[row]->pods[i].kin.v] != NULL;
    assert_int_equal(covered, 4);
    rig_drop(&rig);
    return allowed;
}

static void test_manifest_budget__no_controller__as_it_would(void **state)
{
    (void)state;
    static const struct {
        const char *spec;
        int32_t allowed;
    } cases[] = {
        {"", 0},
        {"minAvailable: 0", 3},
        {"minAvailable: 2", 1},
        {"minAvailable: 3", 0},
        {"minAvailable: 9", 0},
        {"minAvailable: 41%", 0}, /* of 5 expected: 2.05, so 3 */
        {"minAvailable: 40%", 1},
        {"maxUnavailable: 0", 0},
        {"maxUnavailable: 2", 0}, /* two are missing already */
        {"maxUnavailable: 3", 1},
        {"maxUnavailable: 9", 3},
        {"maxUnavailable: 41%", 1}, /* 3 of 5 */
        {"maxUnavailable: 100%", 3},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_int_equal(allowed_by(cases[i].spec, ""), cases[i].allowed);
}

static void test_manifest_budget__status__counts(void **state)
{
    (void)state;
    assert_int_equal(allowed_by("minAvailable: 3", "status: {disruptionsAllowed: 7}\n"), 7);
    assert_int_equal(
        allowed_by("minAvailable: 0", "status: {observedGeneration: 1, disruptionsAllowed: 0}\n"),
        0);
    /* As kubectl prints one that was never created: nobody has looked at it. */
    assert_int_equal(allowed_by("minAvailable: 0", "status: {currentHealthy: 0, desiredHealthy: 0, "
                                                   "disruptionsAllowed: 0, expectedPods: 0}\n"),
                     3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_manifest_budget__wrong__one_line_each),
        cmocka_unit_test(test_manifest_budget__no_controller__as_it_would),
        cmocka_unit_test(test_manifest_budget__status__counts),
    };
    return cmocka_run_group_tests_name("manifest_budget", tests, NULL, NULL);
}
