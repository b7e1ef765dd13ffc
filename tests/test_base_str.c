#include "engine/base/str.h"

#include "tests/mu_test.h"

static void test_str_to_u64__bad_text__unchanged(void **state)
{
    (void)state;
    static const char *const bad[] = {"",
                                      "-1",
                                      "+1",
                                      " 1",
                                      "1 ",
                                      "00",
                                      "01",
                                      "0x",
                                      "1a",
                                      "a",
                                      "1.0",
                                      "1e3",
                                      "\xff",
                                      "18446744073709551616",
                                      "99999999999999999999999999"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        uint64_t value = 42;
        assert_false(mu_str_to_u64(mu_str_of(bad[i]), &value));
        assert_int_equal(value, 42);
    }
    uint64_t value = 42;
    assert_false(mu_str_to_u64((struct mu_str){NULL, 0}, &value));
    assert_false(mu_str_to_u64((struct mu_str){"1\0", 2}, &value)); /* NUL is no digit */
    assert_int_equal(value, 42);
}

static void test_str_to_u64__whole_range__parsed(void **state)
{
    (void)state;
    uint64_t value = 1;
    assert_true(mu_str_to_u64(MU_STR("0"), &value) && value == 0);
    assert_true(mu_str_to_u64(MU_STR("18446744073709551615"), &value) && value == UINT64_MAX);
    assert_true(mu_str_to_u64((struct mu_str){"1234", 2}, &value) && value == 12);
}

static void test_str_to_i64__bad_text__unchanged(void **state)
{
    (void)state;
    static const char *const bad[] = {"",
                                      "-",
                                      "--1",
                                      "-01",
                                      "+1",
                                      "- 1",
                                      "9223372036854775808",
                                      "1-1",
                                      "-a",
                                      "-9223372036854775809"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        int64_t value = 42;
        assert_false(mu_str_to_i64(mu_str_of(bad[i]), &value));
        assert_int_equal(value, 42);
    }
    int64_t value = 42;
    assert_false(mu_str_to_i64((struct mu_str){NULL, 0}, &value));
    assert_false(mu_str_to_i64((struct mu_str){"-1", 1}, &value));
    assert_int_equal(value, 42);
}

static void test_str_to_i64__whole_range__parsed(void **state)
{
    (void)state;
    int64_t value = 1;
    assert_true(mu_str_to_i64(MU_STR("0"), &value) && value == 0);
    assert_true(mu_str_to_i64(MU_STR("-0"), &value) && value == 0);
    assert_true(mu_str_to_i64(MU_STR("-1"), &value) && value == -1);
    assert_true(mu_str_to_i64(MU_STR("9223372036854775807"), &value) && value == INT64_MAX);
    assert_true(mu_str_to_i64(MU_STR("-9223372036854775808"), &value) && value == INT64_MIN);
}

static void test_str_to_i64__random_numbers__equal_printf(void **state)
{
    (void)state;
    struct mu_test_run run = mu_test_run_begin(1);
    for (; run.step < 100000; run.step++) {
        uint64_t bits = mu_random_u64(&run.random) >> mu_random_below(&run.random, 64);
        char text[32];
        uint64_t u = 0;
        int64_t s = 0;
        (void)snprintf(text, sizeof text, "%llu", (unsigned long long)bits);
        MU_TEST_CHECK(&run, mu_str_to_u64(mu_str_of(text), &u) && u == bits);
        MU_TEST_CHECK(&run, mu_str_to_i64(mu_str_of(text), &s) == (bits <= INT64_MAX));
        int64_t negative = -(int64_t)(bits >> 1);
        (void)snprintf(text, sizeof text, "%lld", (long long)negative);
        MU_TEST_CHECK(&run, mu_str_to_i64(mu_str_of(text), &s) && s == negative);
    }
}

static void test_str_compare__bytes_then_length__ordered(void **state)
{
    (void)state;
    static const char *const rising[] = {"", "A", "a", "aa", "ab", "b", "\x7f", "\x80", "\xff"};
    enum { COUNT = sizeof rising / sizeof rising[0] };
    for (int i = 0; i < COUNT; i++) {
        for (int j = 0; j < COUNT; j++) {
            struct mu_str a = mu_str_of(rising[i]);
            struct mu_str b = mu_str_of(rising[j]);
            int order = mu_str_compare(a, b);
            assert_int_equal((order > 0) - (order < 0), (i > j) - (i < j));
            assert_int_equal(mu_str_equal(a, b), i == j);
        }
    }
    struct mu_str null = mu_str_of(NULL);
    assert_int_equal(null.len, 0);
    assert_true(mu_str_equal(null, MU_STR("")));
    assert_int_equal(mu_str_compare(null, MU_STR("")), 0);
}

static void test_str_starts_with__prefixes__only_true_ones(void **state)
{
    (void)state;
    assert_true(mu_str_starts_with(MU_STR("abc"), MU_STR("")));
    assert_true(mu_str_starts_with(MU_STR("abc"), MU_STR("abc")));
    assert_false(mu_str_starts_with(MU_STR("ab"), MU_STR("abc")));
    assert_false(mu_str_starts_with(MU_STR("xbc"), MU_STR("ab")));
    assert_true(mu_str_starts_with(mu_str_of(NULL), mu_str_of(NULL)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_str_to_u64__bad_text__unchanged),
        cmocka_unit_test(test_str_to_u64__whole_range__parsed),
        cmocka_unit_test(test_str_to_i64__bad_text__unchanged),
        cmocka_unit_test(test_str_to_i64__whole_range__parsed),
        cmocka_unit_test(test_str_to_i64__random_numbers__equal_printf),
        cmocka_unit_test(test_str_compare__bytes_then_length__ordered),
        cmocka_unit_test(test_str_starts_with__prefixes__only_true_ones),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
