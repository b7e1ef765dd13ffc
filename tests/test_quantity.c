/*
 * Quantities against a naive twin: the grammar as one regular expression, the value as a string of
 * decimal digits that is doubled by hand, cut at the nano and rounded by looking at what was cut.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <regex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/random.h"
#include "engine/quantity.h"

/* ---- the twin ---- */

enum { TWIN_DIGITS = 512, TWIN_POINT = 311 };

struct twin {
    uint8_t digit[TWIN_DIGITS]; /* most significant first; digit[TWIN_POINT] counts ones */
};

static void twin_double(struct twin *t)
{
    unsigned carry = 0;
    for (int i = TWIN_DIGITS - 1; i >= 0; i--) {
        unsigned v = t->digit[i] * 2u + carry;
        t->digit[i] = (uint8_t)(v % 10);
        carry = v / 10;
    }
    assert_int_equal(carry, 0);
}

static void twin_add_one_at(struct twin *t, int i)
{
    while (t->digit[i] == 9)
        t->digit[i--] = 0;
    t->digit[i]++;
}

/* Round up in magnitude to `decimals` places behind the point. */
static void twin_round_up(struct twin *t, int decimals)
{
    int last = TWIN_POINT + decimals;
    bool lost = false;
    for (int i = last + 1; i < TWIN_DIGITS; i++) {
        lost = lost || t->digit[i] != 0;
        t->digit[i] = 0;
    }
    if (lost)
        twin_add_one_at(t, last);
}

static void twin_truncate(struct twin *t, int decimals)
{
    memset(t->digit + TWIN_POINT + decimals + 1, 0,
           (size_t)(TWIN_DIGITS - TWIN_POINT - decimals - 1));
}

static bool twin_is_zero(const struct twin *t)
{
    for (int i = 0; i < TWIN_DIGITS; i++) {
        if (t->digit[i] != 0)
            return false;
    }
    return true;
}

static void twin_of_text(struct twin *t, const char *digits)
{
    memset(t, 0, sizeof *t);
    size_t len = strlen(digits);
    for (size_t i = 0; i < len; i++)
        t->digit[(size_t)TWIN_POINT + 1 - len + i] = (uint8_t)(digits[i] - '0');
}

static void twin_max(struct twin *t)
{
    twin_of_text(t, "9223372036854775807");
}

static int twin_compare(const struct twin *a, const struct twin *b)
{
    return memcmp(a->digit, b->digit, sizeof a->digit);
}

/* The digits from the first to `decimals` behind the point as a number; they fit by contract. */
static mu_u128 twin_number(const struct twin *t, int decimals)
{
    mu_u128 v = 0;
    for (int i = 0; i <= TWIN_POINT + decimals; i++)
        v = v * 10 + t->digit[i];
    return v;
}

static int twin_suffix_exponent(const char *suffix)
{
    static const char *const names[] = {"n", "u", "m", "", "k", "M", "G", "T", "P", "E"};
    for (int i = 0; i < 10; i++) {
        if (strcmp(suffix, names[i]) == 0)
            return i * 3 - 9;
    }
    return (int)strtol(suffix + 1, NULL, 10); /* the generator writes small exponents only */
}

/* Text that the grammar accepted. */
static void twin_parse(const char *text, struct twin *t, bool *negative)
{
    memset(t, 0, sizeof *t);
    *negative = text[0] == '-';
    const char *number = text + strspn(text, "+-");
    size_t number_len = strspn(number, "0123456789.");
    const char *suffix = number + number_len;
    const char *point = memchr(number, '.', number_len);
    int whole_len = (int)(point != NULL ? point - number : (ptrdiff_t)number_len);
    bool binary = suffix[0] != '\0' && suffix[1] == 'i';
    int exponent = binary ? 0 : twin_suffix_exponent(suffix);
    int at = TWIN_POINT - exponent - whole_len + 1;
    for (size_t i = 0; i < number_len; i++) {
        if (number[i] != '.') {
            assert_true(at >= 0 && at < TWIN_DIGITS);
            t->digit[at++] = (uint8_t)(number[i] - '0');
        }
    }
    if (binary) {
        int power = 10 * (int)(strchr("KMGTPE", suffix[0]) - "KMGTPE" + 1);
        for (int i = 0; i < power; i++)
            twin_double(t);
    }
}

static int64_t twin_scaled(const struct twin *exact, bool negative, int decimals)
{
    struct twin t = *exact;
    if (negative)
        twin_truncate(&t, decimals);
    else
        twin_round_up(&t, decimals);
    struct twin shifted, bound;
    memset(&shifted, 0, sizeof shifted);
    memcpy(shifted.digit, t.digit + decimals, (size_t)(TWIN_DIGITS - decimals));
    twin_max(&bound);
    int64_t v = twin_compare(&shifted, &bound) >= 0 ? INT64_MAX : (int64_t)twin_number(&shifted, 0);
    return negative ? -v : v;
}

static const char grammar[] = "^[+-]?([0-9]+\\.?[0-9]*|\\.[0-9]+)"
                              "([numkMGTPE]|[KMGTPE]i|[eE][+-]?[0-9]+)?$";

static bool twin_accepts(const regex_t *regex, const char *text)
{
    return regexec(regex, text, 0, NULL, 0) == 0;
}

/* Compare the parser with the twin on one text. Returns whether the text was accepted. */
static bool check_text(const regex_t *regex, const char *text)
{
    static const struct mu_quantity untouched = {.nanos = 4711, .negative = true};
    struct mu_quantity q = untouched;
    struct mu_error error = {0, ""};
    int status = mu_quantity_parse(mu_str_of(text), &q, &error);
    if (!twin_accepts(regex, text)) {
        if (status != MU_EINVAL || strstr(error.text, "expected") == NULL)
            fail_msg("'%s' was not refused", text);
        assert_true(q.nanos == untouched.nanos && q.negative == untouched.negative);
        return false;
    }
    if (status != 0)
        fail_msg("'%s' was refused: %s", text, error.text);
    struct twin exact, bound;
    bool negative;
    twin_parse(text, &exact, &negative);
    twin_round_up(&exact, 9);
    twin_max(&bound);
    bool saturated = twin_compare(&exact, &bound) > 0;
    if (saturated)
        exact = bound;
    negative = negative && !twin_is_zero(&exact);
    if (q.saturated != saturated || q.negative != negative || q.nanos != twin_number(&exact, 9))
        fail_msg("'%s': saturated %d (twin %d), negative %d (twin %d) or another value", text,
                 q.saturated, saturated, q.negative, negative);
    if (mu_quantity_value(&q) != twin_scaled(&exact, negative, 0))
        fail_msg("'%s': value differs", text);
    if (mu_quantity_milli_value(&q) != twin_scaled(&exact, negative, 3))
        fail_msg("'%s': milli value differs", text);
    return true;
}

/* ---- random texts ---- */

static size_t put_digits(struct mu_random *random, char *out, uint64_t count_max)
{
    size_t count = (size_t)mu_random_below(random, count_max + 1);
    bool sparse = mu_random_chance(random, 300);
    for (size_t i = 0; i < count; i++)
        out[i] = (char)('0' + (sparse && !mu_random_chance(random, 50)
                                   ? 0
                                   : (int)mu_random_below(random, 10)));
    return count;
}

static void random_text(struct mu_random *random, char out[128])
{
    static const char *const suffixes[] = {"",   "n",  "u",  "m",  "k",  "M",  "G", "T", "P", "E",
                                           "Ki", "Mi", "Gi", "Ti", "Pi", "Ei", "e", "E", "K", "mi"};
    size_t at = 0;
    if (mu_random_chance(random, 300))
        out[at++] = "+-"[mu_random_below(random, 2)];
    at += put_digits(random, out + at, 24);
    if (mu_random_chance(random, 600)) {
        out[at++] = '.';
        at += put_digits(random, out + at, 24);
    }
    const char *suffix = suffixes[mu_random_below(random, 20)];
    memcpy(out + at, suffix, strlen(suffix) + 1);
    at += strlen(suffix);
    if ((suffix[0] == 'e' || suffix[0] == 'E') && suffix[1] == '\0') {
        int exponent = (int)mu_random_between(random, -40, 40);
        at += (size_t)snprintf(out + at, 8, "%d", exponent);
    }
    if (mu_random_chance(random, 50)) /* spoil one byte */
        out[mu_random_below(random, at + 1)] = (char)mu_random_between(random, 32, 126);
    out[at] = '\0';
}

static void test_quantity_parse__random_texts__as_the_twin(void **state)
{
    (void)state;
    const uint64_t seed = 0x51;
    struct mu_random random;
    mu_random_init_seed(&random, seed);
    regex_t regex;
    assert_int_equal(regcomp(&regex, grammar, REG_EXTENDED | REG_NOSUB), 0);
    uint32_t accepted = 0;
    for (uint32_t i = 0; i < 100000; i++) {
        char text[128];
        random_text(&random, text);
        /* A spoiled byte can make an exponent of any size; those have a test of their own. */
        const char *e = strpbrk(text, "eE");
        if (e != NULL && labs(strtol(e + 1, NULL, 10)) > 40)
            continue;
        accepted += check_text(&regex, text) ? 1 : 0;
    }
    regfree(&regex);
    assert_in_range(accepted, 50000, 95000); /* both sides of the grammar were seen */
}

/* ---- stated vectors ---- */

static struct mu_quantity parsed(const char *text)
{
    struct mu_quantity q;
    struct mu_error error;
    if (mu_quantity_parse(mu_str_of(text), &q, &error) != 0)
        fail_msg("%s", error.text);
    return q;
}

static void test_quantity_parse__every_suffix__its_power(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t value;
    } rows[] = {
        {"1", 1},
        {"1k", 1000},
        {"1M", 1000000},
        {"1G", 1000000000},
        {"1T", 1000000000000},
        {"1P", 1000000000000000},
        {"1E", 1000000000000000000},
        {"1Ki", INT64_C(1) << 10},
        {"1Mi", INT64_C(1) << 20},
        {"1Gi", INT64_C(1) << 30},
        {"1Ti", INT64_C(1) << 40},
        {"1Pi", INT64_C(1) << 50},
        {"1Ei", INT64_C(1) << 60},
        {"1e3", 1000},
        {"1E3", 1000},
        {"1e+3", 1000},
        {"5E-1", 1},
        {"1E-3", 1},
        {"1n", 1},
        {"1000000000n", 1},
        {"1u", 1},
        {"1m", 1},
        {"1.", 1},
        {".5", 1},
        {"+7", 7},
        {"1.5Gi", 1610612736},
        {"0.5Ki", 512},
        {"0", 0},
        {"000", 0},
        {"-0", 0},
        {"0Ei", 0},
        {"0e999999999999999999999", 0},
        {"1e-999999999999999999999", 1},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct mu_quantity q = parsed(rows[i].text);
        if (mu_quantity_value(&q) != rows[i].value)
            fail_msg("%s", rows[i].text);
        assert_false(q.saturated);
        assert_false(q.negative);
    }
}

static void test_quantity_parse__canonical_pairs__equal(void **state)
{
    (void)state;
    static const char *const pairs[][2] = {
        {"1.5", "1500m"}, {"1.5Gi", "1536Mi"}, {"1024Mi", "1Gi"}, {"0.1m", "100u"},
        {"1000", "1k"},   {"0.5Ki", "512"},    {"1e3", "1k"},     {"100e-3", "100m"},
    };
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        struct mu_quantity a = parsed(pairs[i][0]);
        struct mu_quantity b = parsed(pairs[i][1]);
        if (a.nanos != b.nanos)
            fail_msg("%s != %s", pairs[i][0], pairs[i][1]);
    }
}

static void test_quantity_parse__outside_the_grammar__error_names_it(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",    "+",   "-",     ".",   "Mi",   "K",    "1K",    "1mi",  "1ki",   "1b",
        "1 m", "1m ", " 1",    "m 1", "1m i", "1.1.", "1.1.M", "1+1",  "0.1am", "aoeu",
        ".5i", "1i",  "-3.0i", "1e",  "1e+",  "1E-",  "1e1.5", "1e1i", "1e1k",  "--1",
        "+-1", "0x1", "1,5",   "1_0", "1eE",  "inf",  "nan",   "1KI",  "1kB",   "\xc3\xa9",
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct mu_quantity q = {.nanos = 3, .negative = true, .saturated = true};
        struct mu_error error = {0, ""};
        if (mu_quantity_parse(mu_str_of(texts[i]), &q, &error) != MU_EINVAL)
            fail_msg("'%s' was accepted", texts[i]);
        assert_int_equal(error.code, MU_EINVAL);
        assert_non_null(strstr(error.text, "expected"));
        assert_true(q.nanos == 3 && q.negative && q.saturated);
        assert_int_equal(mu_quantity_parse(mu_str_of(texts[i]), &q, NULL), MU_EINVAL);
    }
    struct mu_quantity q;
    struct mu_str with_nul = {"1\0", 2};
    assert_int_equal(mu_quantity_parse(with_nul, &q, NULL), MU_EINVAL);
}

static void test_quantity_parse__finer_than_a_nano__rounded_up_in_magnitude(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint64_t nanos;
    } rows[] = {
        {"0.1n", 1},
        {"1.0000000001", 1000000001},
        {"-0.1n", 1},
        {"-1.0000000001", 1000000001},
        {"0.00000000000000000000000000000000000000001Ei", 1},
        {"1e-1000", 1},
        {"1.0000000000000000000000000000", 1000000000},
        {"0.0009765625Ki", 1000000000}, /* 2^-10 Ki, exact */
        {"0.00097656250001Ki", 1000000001},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct mu_quantity q = parsed(rows[i].text);
        if (q.nanos != rows[i].nanos)
            fail_msg("%s", rows[i].text);
        assert_true(q.negative == (rows[i].text[0] == '-'));
    }
}

static void test_quantity_parse__beyond_int64__saturates_and_says_so(void **state)
{
    (void)state;
    static const char *const over[] = {
        "9223372036854775808",
        "8Ei",
        "1000E",
        "1e30",
        "1e99999999999999999",
        "1e19",
        "16Ei",
        "99999999999999999999999999999999999Ei",
        "9223372036854775807.0000000001",
        "7.9999999999999999999999999Ei",
        "0.00000000000000000000000000000000000000000000000000000001e99",
    };
    for (size_t i = 0; i < sizeof over / sizeof over[0]; i++) {
        struct mu_quantity q = parsed(over[i]);
        if (!q.saturated)
            fail_msg("%s", over[i]);
        assert_true(q.nanos == MU_QUANTITY_NANOS_MAX);
        assert_true(mu_quantity_value(&q) == INT64_MAX);
        assert_true(mu_quantity_milli_value(&q) == INT64_MAX);
    }
    struct mu_quantity exact = parsed("9223372036854775807");
    assert_false(exact.saturated);
    assert_true(mu_quantity_value(&exact) == INT64_MAX);
    struct mu_quantity below = parsed("9223372036854775806.999999999");
    assert_false(below.saturated);
    struct mu_quantity low = parsed("-1e30");
    assert_true(low.saturated && low.negative);
    assert_true(mu_quantity_value(&low) == -INT64_MAX);
    /* Milli saturates earlier than the value itself. */
    struct mu_quantity wide = parsed("9223372036854776");
    assert_false(wide.saturated);
    assert_true(mu_quantity_value(&wide) == INT64_C(9223372036854776));
    assert_true(mu_quantity_milli_value(&wide) == INT64_MAX);
}

static void test_quantity_value__fractions__ceiling_towards_plus_infinity(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t value;
        int64_t milli;
    } rows[] = {
        {"1.5", 2, 1500},   {"-1.5", -1, -1500},     {"100m", 1, 100},    {"-100m", 0, -100},
        {"0.1m", 1, 1},     {"-0.1m", 0, 0},         {"1n", 1, 1},        {"-1n", 0, 0},
        {"2", 2, 2000},     {"-2", -2, -2000},       {"1.0001", 2, 1001}, {"-1.0001", -1, -1000},
        {"1.001", 2, 1001}, {"999999999n", 1, 1000},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct mu_quantity q = parsed(rows[i].text);
        if (mu_quantity_value(&q) != rows[i].value || mu_quantity_milli_value(&q) != rows[i].milli)
            fail_msg("%s", rows[i].text);
    }
}

static void test_quantity_parse__long_text__cut_in_the_message(void **state)
{
    (void)state;
    char text[400];
    memset(text, '9', sizeof text);
    text[sizeof text - 1] = '!';
    struct mu_quantity q;
    struct mu_error error;
    struct mu_str s = {text, sizeof text};
    assert_int_equal(mu_quantity_parse(s, &q, &error), MU_EINVAL);
    assert_non_null(strstr(error.text, "9...'"));
    assert_non_null(strstr(error.text, "exponent"));
    text[sizeof text - 1] = '9';
    assert_int_equal(mu_quantity_parse(s, &q, &error), 0);
    assert_true(q.saturated);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_quantity_parse__outside_the_grammar__error_names_it),
        cmocka_unit_test(test_quantity_parse__long_text__cut_in_the_message),
        cmocka_unit_test(test_quantity_parse__every_suffix__its_power),
        cmocka_unit_test(test_quantity_parse__canonical_pairs__equal),
        cmocka_unit_test(test_quantity_parse__finer_than_a_nano__rounded_up_in_magnitude),
        cmocka_unit_test(test_quantity_parse__beyond_int64__saturates_and_says_so),
        cmocka_unit_test(test_quantity_value__fractions__ceiling_towards_plus_infinity),
        cmocka_unit_test(test_quantity_parse__random_texts__as_the_twin),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
