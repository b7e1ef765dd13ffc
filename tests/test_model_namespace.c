/* Labels of namespaces: what selectors of namespaces look at. */
#include "tests/mu_test.h"

#include "engine/base/error.h"
#include "engine/limits.h"
#include "engine/model/model.h"

/* Namespaces that come, change and go at random, against an array. */
static void test_model_namespace__random_changes__as_the_array(void **state)
{
    (void)state;
    struct mu_test_run run = mu_test_run_begin(31);
    struct mu_model *m = mu_model_create();
    assert_non_null(m);
    uint32_t symbols = mu_symtab_count(mu_model_symbols(m));
    enum { NAMES = 40 };
    int label[NAMES]; /* -1: unknown */
    for (uint32_t i = 0; i < NAMES; i++)
        label[i] = -1;
    for (run.step = 0; run.step < 5000; run.step++) {
        char name[16], value[16];
        uint32_t i = (uint32_t)mu_random_below(&run.random, NAMES);
        int draw = (int)mu_random_below(&run.random, 4) - 1;
        (void)snprintf(name, sizeof name, "ns%u", i);
        (void)snprintf(value, sizeof value, "v%d", draw);
        const struct mu_label one = {MU_STR("k"), mu_str_of(value)};
        bool changed;
        MU_TEST_CHECK(&run, mu_model_namespace(m, mu_str_of(name), draw >= 0, &one,
                                               draw > 0 ? 1 : 0, run.step, &changed) == 0);
        MU_TEST_CHECK(&run, changed == ((label[i] > 0 ? label[i] : 0) != (draw > 0 ? draw : 0)));
        label[i] = draw;
        uint32_t known = 0;
        for (uint32_t n = 0; n < NAMES; n++)
            known += label[n] >= 0;
        MU_TEST_CHECK(&run, mu_model_namespace_count(m) == known);
        struct mu_symbol symbol;
        struct mu_labels_view view;
        bool found = mu_symbol_find(mu_model_symbols(m), mu_str_of(name), &symbol) &&
                     mu_model_get_namespace(m, symbol, &view);
        MU_TEST_CHECK(&run, found == (draw >= 0));
        MU_TEST_CHECK(&run, !found || view.set->count == (draw > 0 ? 1u : 0u));
        mu_model_reclaim(m, run.step, 64);
    }
    for (uint32_t i = 0; i < NAMES; i++) {
        char name[16];
        bool changed;
        (void)snprintf(name, sizeof name, "ns%u", i);
        assert_int_equal(mu_model_namespace(m, mu_str_of(name), false, NULL, 0, 9999, &changed), 0);
    }
    for (int i = 0; i < 4; i++)
        mu_model_reclaim(m, UINT64_MAX, UINT32_MAX);
    assert_int_equal(mu_symtab_count(mu_model_symbols(m)), symbols);
    assert_int_equal(mu_model_namespace_count(m), 0);
    mu_model_destroy(m);
}

/* Labels that cannot be kept are unknown; what was known before does not stay. */
static void test_model_namespace__too_many_labels__unknown(void **state)
{
    (void)state;
    struct mu_model *m = mu_model_create();
    assert_non_null(m);
    static struct mu_label labels[MU_LABELS_PER_OBJECT + 1];
    const struct mu_label one = {MU_STR("k"), MU_STR("v")};
    bool changed;
    assert_int_equal(mu_model_namespace(m, MU_STR("ns"), true, &one, 1, 1, &changed), 0);
    struct mu_symbol name;
    struct mu_labels_view view;
    assert_true(mu_symbol_find(mu_model_symbols(m), MU_STR("ns"), &name));
    assert_false(mu_model_namespace_unknown(m, name));
    for (int again = 0; again < 2; again++) {
        assert_int_equal(mu_model_namespace(m, MU_STR("ns"), true, labels, MU_LABELS_PER_OBJECT + 1,
                                            1, &changed),
                         0);
        assert_int_equal(changed, again == 0);
        assert_true(mu_model_namespace_unknown(m, name));
    }
    assert_int_equal(mu_model_namespace(m, MU_STR("new"), true, NULL, UINT32_MAX, 1, &changed), 0);
    assert_true(changed);
    assert_int_equal(mu_model_namespace_count(m), 2);
    assert_true(mu_model_get_namespace(m, name, &view));
    assert_int_equal(view.set->count, 0);
    assert_int_equal(mu_model_namespace(m, MU_STR("ns"), true, &one, 1, 1, &changed), 0);
    assert_true(changed);
    assert_false(mu_model_namespace_unknown(m, name));
    assert_int_equal(mu_model_namespace(m, MU_STR("new"), false, NULL, 0, 1, &changed), 0);
    assert_true(changed);
    mu_model_destroy(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_model_namespace__too_many_labels__unknown),
        cmocka_unit_test(test_model_namespace__random_changes__as_the_array),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
