/* The report's greedy pass and the labels of namespaces, by which rules about other pods select. */
#include "tests/manifest_kit.h"

#include "tools/manifest/manifest_priv.h"
#include "tools/report/report.h"

/* A pod of namespace `a` runs on the only node, and one of namespace `b` keeps away from pods in
 * namespaces of one team. */
#define WORLD(team)                                                                                \
    "{apiVersion: v1, kind: Namespace, metadata: {name: a, labels: {team: " team "}}}\n---\n"      \
    "{apiVersion: v1, kind: Node, metadata: {name: n1, labels: {kubernetes.io/hostname: n1}},\n"   \
    " status: {allocatable: {cpu: 8, memory: 8Gi, pods: 10}}}\n---\n"                              \
    "{apiVersion: v1, kind: Pod, metadata: {name: there, namespace: a, labels: {app: x}},\n"       \
    " spec: {nodeName: n1, containers: [{name: c}]}}\n---\n"                                       \
    "{apiVersion: v1, kind: Pod, metadata: {name: waits, namespace: b},\n"                         \
    " spec: {containers: [{name: c}], affinity: {podAntiAffinity: {\n"                             \
    "  requiredDuringSchedulingIgnoredDuringExecution: [{topologyKey: kubernetes.io/hostname,\n"   \
    "   labelSelector: {}, namespaceSelector: {matchLabels: {team: red}}}]}}}}\n"

static int add(struct mu_report *report, const struct mu_manifest_object *object)
{
    switch (object->kind) {
    case MU_OBJECT_NAMESPACE:
        return mu_report_add_namespace(report, object->raw, NULL);
    case MU_OBJECT_NODE:
        return mu_report_add_node(report, object->raw, NULL);
    default:
        return mu_report_add_pod(report, object->raw, NULL);
    }
}

static uint64_t pending_that_fit(const char *text)
{
    struct offline_rig rig = rig_read("world", text);
    struct mu_report *report = mu_report_create();
    struct mu_report_result result;
    assert_int_equal(mu_manifest_error_count(rig.manifest), 0);
    assert_int_equal(rig.manifest->object_count, 4);
    for (uint32_t i = 0; i < rig.manifest->object_count; i++)
        assert_int_equal(add(report, &rig.manifest->objects[i]), 0);
    assert_int_equal(mu_report_compute(report, &result, NULL), 0);
    assert_int_equal(result.pending, 1);
    mu_report_destroy(report);
    rig_drop(&rig);
    return result.pending_that_fit;
}

static void test_report_compute__namespace_selected__is_kept_away(void **state)
{
    (void)state;
    assert_int_equal(pending_that_fit(WORLD("red")), 0);
    assert_int_equal(pending_that_fit(WORLD("blue")), 1);
}

static bool add_under_failure(void *context)
{
    const struct offline_rig *rig = context;
    struct mu_report *report = mu_report_create();
    if (report == NULL)
        return false;
    int rc = mu_report_add_namespace(report, rig->manifest->objects[0].raw, NULL);
    assert_true(rc == 0 || rc == MU_ENOMEM);
    mu_report_destroy(report);
    return rc == 0;
}

static void test_report_add_namespace__hostile__refused(void **state)
{
    (void)state;
    struct offline_rig rig = rig_read("world", WORLD("red"));
    struct mu_report *report = mu_report_create();
    assert_int_not_equal(mu_report_add_namespace(report, MU_STR("\x0A\x7F"), NULL), 0);
    mu_report_destroy(report);
    assert_true(mu_test_fail_each(add_under_failure, &rig) >= 4);
    rig_drop(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_report_compute__namespace_selected__is_kept_away),
        cmocka_unit_test(test_report_add_namespace__hostile__refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
