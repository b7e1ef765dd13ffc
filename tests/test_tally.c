/* Amounts of resources: the short way for usual quantities against the long one. */
#include "tests/mu_test.h"

#include "engine/quantity.h"
#include "informer/tally_priv.h"

/* What mu_tally_read must make of a text, by the grammar alone. */
static enum mu_tally_fault by_grammar(struct mu_str text, enum mu_tally_unit unit, int64_t *value)
{
    struct mu_quantity q;
    *value = 0;
    if (mu_quantity_parse(text, &q, NULL) != 0)
        return MU_TALLY_UNREADABLE;
    if (q.negative)
        return MU_TALLY_NEGATIVE;
    *value = unit == MU_UNIT_MILLI ? mu_quantity_milli_value(&q) : mu_quantity_value(&q);
    if (!q.saturated && *value < MU_AMOUNT_MAX)
        return MU_TALLY_OK;
    *value = MU_AMOUNT_MAX;
    return MU_TALLY_HUGE;
}

static void check(struct mu_test_run *run, struct mu_str text)
{
    static const enum mu_tally_unit units[] = {MU_UNIT_MILLI, MU_UNIT_VALUE};
    for (size_t u = 0; u < 2; u++) {
        int64_t got, want;
        enum mu_tally_fault fault = by_grammar(text, units[u], &want);
        MU_TEST_CHECK(run, mu_tally_read(text, units[u], &got) == fault);
        MU_TEST_CHECK(run, got == want);
    }
}

static void test_tally_read__random_quantities__as_the_grammar_has_them(void **state)
{
    (void)state;
    static const char *const ends[] = {"",   "m",  "u",  "k", "M",  "G",  "Ki", "Mi", "Gi",
                                       "Ti", "Ei", "Kj", "i", "mi", "e3", ".5", "x",  "Mii"};
    struct mu_test_run run = mu_test_run_begin(81);
    for (run.step = 0; run.step < 200000; run.step++) {
        char text[40];
        uint32_t len = 0;
        uint64_t digits = mu_random_below(&run.random, 20);
        if (mu_random_chance(&run.random, 50))
            text[len++] = '-';
        while (digits-- > 0)
            text[len++] = (char)('0' + mu_random_below(&run.random, 10));
        const char *end = ends[mu_random_below(&run.random, sizeof ends / sizeof ends[0])];
        memcpy(text + len, end, strlen(end));
        len += (uint32_t)strlen(end);
        check(&run, (struct mu_str){text, len});
    }
}

static void test_tally_read__edges__as_the_grammar_has_them(void **state)
{
    (void)state;
    static const char *const texts[] = {"",
                                        "0",
                                        "00000000000000000000001",
                                        "999999999999",
                                        "1000000000000",
                                        "999999999999Gi",
                                        "8589934591Gi",
                                        "8589934592Gi",
                                        "4294967295Gi",
                                        "4294967296Gi",
                                        "9223372036854775807",
                                        "9223372036854775",
                                        "m",
                                        "Mi"};
    struct mu_test_run run = {.seed = 0};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        check(&run, mu_str_of(texts[i]));
    int64_t value = 1;
    assert_int_equal(mu_tally_read((struct mu_str){NULL, 0}, MU_UNIT_VALUE, &value), MU_TALLY_OK);
    assert_int_equal(value, 0); /* absent */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tally_read__random_quantities__as_the_grammar_has_them),
        cmocka_unit_test(test_tally_read__edges__as_the_grammar_has_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
