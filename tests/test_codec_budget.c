/* Disruption budgets, translated. */
#include "tests/kube_fixture.h"

#include "informer/proto/policy.pb-c.h"

struct kit {
    Kube__ObjectMeta meta;
    Kube__PodDisruptionBudget message;
    Kube__PodDisruptionBudgetSpec spec;
    Kube__PodDisruptionBudgetStatus status;
    Kube__LabelSelector selector;
    Kube__StringEntry label;
    Kube__StringEntry *labels[MU_REQUIREMENTS_MAX + 1];
    Kube__IntOrString number;
    struct mu_arena *arena;
    struct mu_buf raw;
    struct mu_error warn, error;
    struct mu_budget_object out;
    struct mu_budget_wish wish;
};

static void kit_init(struct kit *k)
{
    *k = (struct kit){.arena = mu_arena_create(8 << 20)};
    assert_non_null(k->arena);
    kube__object_meta__init(&k->meta);
    kube__pod_disruption_budget__init(&k->message);
    kube__pod_disruption_budget_spec__init(&k->spec);
    kube__pod_disruption_budget_status__init(&k->status);
    kube__label_selector__init(&k->selector);
    kube__string_entry__init(&k->label);
    kube__int_or_string__init(&k->number);
    k->message.metadata = &k->meta;
    k->message.spec = &k->spec;
    k->message.status = &k->status;
    k->meta.name = FIXTURE_TEXT("web");
    k->meta.namespace_ = FIXTURE_TEXT("shop");
    k->meta.uid = FIXTURE_TEXT("u");
    k->meta.resourceversion = FIXTURE_TEXT("7");
    k->label.key = FIXTURE_TEXT("app");
    k->label.value = FIXTURE_TEXT("web");
    for (uint32_t i = 0; i <= MU_REQUIREMENTS_MAX; i++)
        k->labels[i] = &k->label;
    k->selector.matchlabels = k->labels;
    k->selector.n_matchlabels = 1;
    k->spec.selector = &k->selector;
}

static void kit_fini(struct kit *k)
{
    mu_buf_fini(&k->raw);
    mu_arena_destroy(k->arena);
}

static int kit_try(struct kit *k)
{
    mu_buf_clear(&k->raw);
    fixture_pack(&k->raw, &k->message);
    mu_arena_reset(k->arena);
    k->warn.code = 1;
    return mu_budget_decode(fixture_str(&k->raw), k->arena, &k->out, &k->wish, &k->warn, &k->error);
}

static void test_budget_decode__whole__translated(void **state)
{
    (void)state;
    struct kit k;
    Kube__TimeEntry gone[2] = {KUBE__TIME_ENTRY__INIT, KUBE__TIME_ENTRY__INIT};
    Kube__TimeEntry *disrupted[2] = {&gone[0], &gone[1]};
    kit_init(&k);
    gone[0].key = FIXTURE_TEXT("web-0");
    gone[1].key = FIXTURE_TEXT("web-1");
    k.status.disruptedpods = disrupted;
    k.status.n_disruptedpods = 2;
    k.status.has_disruptionsallowed = true;
    k.status.disruptionsallowed = -3;
    assert_int_equal(kit_try(&k), 0);
    assert_int_equal(k.warn.code, 0);
    assert_true(mu_str_equal(k.out.ns, MU_STR("shop")));
    assert_true(mu_str_equal(k.out.name, MU_STR("web")));
    assert_true(mu_str_equal(k.out.uid, MU_STR("u")));
    assert_int_equal(k.out.version, 7);
    assert_int_equal(k.out.allowed, -3);
    assert_true(k.wish.stated);
    assert_int_equal(k.out.disrupted_count, 2);
    assert_true(mu_str_equal(k.out.disrupted[1], MU_STR("web-1")));
    assert_false(k.out.selector.nothing);
    assert_int_equal(k.out.selector.requirement_count, 1);
    assert_int_equal(k.out.selector.requirements[0].op, MU_OP_IN);
    assert_true(mu_str_equal(k.out.selector.requirements[0].key, MU_STR("app")));
    assert_true(mu_str_equal(k.out.selector.requirements[0].values[0], MU_STR("web")));
    assert_int_equal(mu_budget_decode(fixture_str(&k.raw), k.arena, &k.out, NULL, NULL, NULL), 0);
    kit_fini(&k);
}

static void test_budget_decode__absent_or_empty_selector__covers_nobody(void **state)
{
    (void)state;
    struct kit k;
    kit_init(&k);
    k.selector.n_matchlabels = 0;
    assert_int_equal(kit_try(&k), 0);
    assert_true(k.out.selector.nothing);
    k.spec.selector = NULL;
    assert_int_equal(kit_try(&k), 0);
    assert_true(k.out.selector.nothing);
    k.message.spec = NULL;
    k.message.status = NULL;
    assert_int_equal(kit_try(&k), 0);
    assert_int_equal(k.warn.code, 0);
    assert_true(k.out.selector.nothing);
    assert_int_equal(k.out.allowed, 0);
    assert_false(k.wish.stated);
    kit_fini(&k);
}

static void test_budget_decode__bad_selector__covers_nobody_and_says_so(void **state)
{
    (void)state;
    struct kit k;
    Kube__LabelSelectorRequirement greater = KUBE__LABEL_SELECTOR_REQUIREMENT__INIT;
    Kube__LabelSelectorRequirement *expressions[1] = {&greater};
    kit_init(&k);
    greater.key = FIXTURE_TEXT("app");
    greater.operator_ = FIXTURE_TEXT("Gt"); /* selectors of nodes have it */
    k.selector.matchexpressions = expressions;
    k.selector.n_matchexpressions = 1;
    assert_int_equal(kit_try(&k), 0);
    assert_true(k.out.selector.nothing);
    assert_int_equal(k.out.selector.requirement_count, 0);
    assert_non_null(strstr(k.warn.text, "budget shop/web: spec.selector"));
    k.selector.n_matchexpressions = 0;
    k.selector.n_matchlabels = MU_REQUIREMENTS_MAX;
    assert_int_equal(kit_try(&k), 0);
    assert_false(k.out.selector.nothing);
    k.selector.n_matchlabels++;
    assert_int_equal(kit_try(&k), 0);
    assert_true(k.out.selector.nothing);
    assert_non_null(strstr(k.warn.text, "too many requirements"));
    kit_fini(&k);
}

static void test_budget_decode__wishes__translated(void **state)
{
    (void)state;
    static const struct {
        int64_t type;
        int32_t number;
        const char *text;
        bool sound, percent;
        int32_t value;
    } cases[] = {
        {0, 3, NULL, true, false, 3},
        {0, 0, "7%", true, false, 0},
        {1, 9, "50%", true, true, 50},
        {1, 0, "200%", true, true, 200},
        {0, -1, NULL, false, false, 0},
        {1, 0, "50", false, false, 0},
        {1, 0, "%", false, false, 0},
        {1, 0, "-5%", false, false, 0},
        {1, 0, "", false, false, 0},
        {1, 0, NULL, false, false, 0},
        {1, 0, "99999999999%", false, false, 0},
    };
    struct kit k;
    kit_init(&k);
    assert_int_equal(kit_try(&k), 0);
    assert_int_equal(k.wish.kind, MU_BUDGET_ASKS_NOTHING);
    assert_int_equal(k.warn.code, 0);
    for (size_t i = 0; i < 2 * sizeof cases / sizeof cases[0]; i++) {
        bool min = i % 2 == 0;
        k.number.has_type = k.number.has_intval = true;
        k.number.type = cases[i / 2].type;
        k.number.intval = cases[i / 2].number;
        k.number.strval = FIXTURE_TEXT(cases[i / 2].text);
        k.spec.minavailable = min ? &k.number : NULL;
        k.spec.maxunavailable = min ? NULL : &k.number;
        assert_int_equal(kit_try(&k), 0);
        assert_int_equal(k.wish.kind, !cases[i / 2].sound ? MU_BUDGET_ASKS_NOTHING
                                      : min               ? MU_BUDGET_MIN_AVAILABLE
                                                          : MU_BUDGET_MAX_UNAVAILABLE);
        assert_int_equal(k.wish.percent, cases[i / 2].percent);
        assert_int_equal(k.wish.value, cases[i / 2].value);
        assert_int_equal(k.warn.code != 0, !cases[i / 2].sound);
    }
    kit_fini(&k);
}

static void test_budget_decode__bad_identity_or_bytes__refused(void **state)
{
    (void)state;
    struct kit k;
    kit_init(&k);
    k.meta.resourceversion = FIXTURE_TEXT("x");
    assert_int_equal(kit_try(&k), MU_EPROTO);
    assert_non_null(strstr(k.error.text, "budget"));
    k.meta.name = NULL;
    assert_int_equal(kit_try(&k), MU_EPROTO);
    k.message.metadata = NULL;
    assert_int_equal(kit_try(&k), MU_EPROTO);
    assert_int_equal(mu_budget_decode(MU_STR("\xff"), k.arena, &k.out, NULL, NULL, &k.error),
                     MU_EPROTO);
    assert_int_equal(k.out.name.len, 0);
    kit_fini(&k);
}

static void test_budget_decode__memory_out_anywhere__nothing_touched(void **state)
{
    (void)state;
    struct kit k;
    Kube__TimeEntry gone = KUBE__TIME_ENTRY__INIT;
    Kube__TimeEntry *disrupted[1] = {&gone};
    kit_init(&k);
    gone.key = FIXTURE_TEXT("web-0");
    k.status.disruptedpods = disrupted;
    k.status.n_disruptedpods = 1;
    assert_int_equal(kit_try(&k), 0);
    size_t whole = mu_arena_used_bytes(k.arena);
    k.out = (struct mu_budget_object){.version = 0};
    for (size_t bytes = 0; bytes < whole; bytes += 16) {
        mu_arena_destroy(k.arena);
        k.arena = mu_arena_create(bytes);
        assert_non_null(k.arena);
        assert_int_equal(kit_try(&k), MU_ENOMEM);
        assert_int_equal(k.out.name.len, 0);
    }
    kit_fini(&k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_budget_decode__whole__translated),
        cmocka_unit_test(test_budget_decode__absent_or_empty_selector__covers_nobody),
        cmocka_unit_test(test_budget_decode__bad_selector__covers_nobody_and_says_so),
        cmocka_unit_test(test_budget_decode__wishes__translated),
        cmocka_unit_test(test_budget_decode__bad_identity_or_bytes__refused),
        cmocka_unit_test(test_budget_decode__memory_out_anywhere__nothing_touched),
    };
    return cmocka_run_group_tests_name("codec_budget", tests, NULL, NULL);
}
