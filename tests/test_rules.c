/* tools/report/rules: every static rule kept and broken, on hand-made objects. */
#include "tests/mu_test.h"

#include "tools/report/rules.h"

#define KEY   MU_STR("k")
#define VALUE MU_STR("v")
#define NONE                                                                                       \
    {                                                                                              \
        NULL, 0                                                                                    \
    }

static enum mu_verdict_kind with_taint(enum mu_taint_effect effect,
                                       const struct mu_toleration *toleration)
{
    const struct mu_taint taint = {KEY, VALUE, effect};
    const struct mu_node_object node = {.taints = &taint, .taint_count = 1};
    const struct mu_pod_object pod = {.tolerations = toleration,
                                      .toleration_count = toleration != NULL ? 1 : 0};
    return mu_rules_static(&node, &pod);
}

static void test_rules_static__taints__need_a_matching_toleration(void **state)
{
    (void)state;
    assert_int_equal(with_taint(MU_EFFECT_NO_SCHEDULE, NULL), MU_NO_TAINT);
    assert_int_equal(with_taint(MU_EFFECT_NO_EXECUTE, NULL), MU_NO_TAINT);
    assert_int_equal(with_taint(MU_EFFECT_PREFER_NO_SCHEDULE, NULL), MU_FITS);
    static const struct {
        struct mu_toleration toleration;
        enum mu_verdict_kind want;
    } cases[] = {
        {{{"k", 1}, {"v", 1}, MU_TOLERATE_EQUAL, MU_EFFECT_NO_SCHEDULE}, MU_FITS},
        {{{"k", 1}, {"v", 1}, MU_TOLERATE_EQUAL, MU_EFFECT_ANY}, MU_FITS},
        {{{"k", 1}, {"v", 1}, MU_TOLERATE_EQUAL, MU_EFFECT_NO_EXECUTE}, MU_NO_TAINT},
        {{{"k", 1}, {"w", 1}, MU_TOLERATE_EQUAL, MU_EFFECT_ANY}, MU_NO_TAINT},
        {{{"k", 1}, NONE, MU_TOLERATE_EQUAL, MU_EFFECT_ANY}, MU_NO_TAINT},
        {{{"l", 1}, {"v", 1}, MU_TOLERATE_EQUAL, MU_EFFECT_ANY}, MU_NO_TAINT},
        {{{"k", 1}, NONE, MU_TOLERATE_EXISTS, MU_EFFECT_ANY}, MU_FITS},
        {{{"l", 1}, NONE, MU_TOLERATE_EXISTS, MU_EFFECT_ANY}, MU_NO_TAINT},
        {{NONE, NONE, MU_TOLERATE_EXISTS, MU_EFFECT_ANY}, MU_FITS},
        {{NONE, NONE, MU_TOLERATE_EXISTS, MU_EFFECT_NO_EXECUTE}, MU_NO_TAINT},
        {{NONE, {"v", 1}, MU_TOLERATE_EQUAL, MU_EFFECT_ANY}, MU_FITS}, /* no key, though Equal */
        {{NONE, {"w", 1}, MU_TOLERATE_EQUAL, MU_EFFECT_ANY}, MU_NO_TAINT},
        {{{"k", 1}, {"v", 1}, MU_TOLERATE_NEVER, MU_EFFECT_ANY}, MU_NO_TAINT},
        {{{"k", 1}, {"9", 1}, MU_TOLERATE_LT, MU_EFFECT_ANY}, MU_NO_TAINT}, /* v is no number */
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        if (with_taint(MU_EFFECT_NO_SCHEDULE, &cases[i].toleration) != cases[i].want)
            fail_msg("case %zu", i);
}

static void test_rules_static__cordoned__needs_its_toleration(void **state)
{
    (void)state;
    const struct mu_node_object node = {.unschedulable = true};
    struct mu_toleration toleration = {MU_STR("node.kubernetes.io/unschedulable"), NONE,
                                       MU_TOLERATE_EXISTS, MU_EFFECT_NO_SCHEDULE};
    struct mu_pod_object pod = {.tolerations = &toleration};
    assert_int_equal(mu_rules_static(&node, &pod), MU_NO_UNSCHEDULABLE);
    pod.toleration_count = 1;
    assert_int_equal(mu_rules_static(&node, &pod), MU_FITS);
}

static void test_rules_static__selector__needs_every_label(void **state)
{
    (void)state;
    const struct mu_label labels[] = {{KEY, MU_STR("old")}, {KEY, VALUE}, {MU_STR("zone"), KEY}};
    const struct mu_node_object node = {.labels = labels, .label_count = 3};
    const struct mu_label good[] = {{MU_STR("zone"), KEY}, {KEY, VALUE}};
    const struct mu_label replaced[] = {{KEY, MU_STR("old")}}; /* a later duplicate wins */
    const struct mu_label absent[] = {{KEY, VALUE}, {MU_STR("rack"), VALUE}};
    struct mu_pod_object pod = {.selector = good, .selector_count = 2};
    assert_int_equal(mu_rules_static(&node, &pod), MU_FITS);
    pod.selector = replaced, pod.selector_count = 1;
    assert_int_equal(mu_rules_static(&node, &pod), MU_NO_NODE_AFFINITY);
    pod.selector = absent, pod.selector_count = 2;
    assert_int_equal(mu_rules_static(&node, &pod), MU_NO_NODE_AFFINITY);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rules_static__taints__need_a_matching_toleration),
        cmocka_unit_test(test_rules_static__cordoned__needs_its_toleration),
        cmocka_unit_test(test_rules_static__selector__needs_every_label),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
