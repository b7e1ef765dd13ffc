#include "tools/flags.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

struct values {
    bool json;
    uint32_t port, score;
    uint64_t seed;
    const char *file;
    char called[32];
};

static const char *const scores[] = {"spread", "pack", NULL};

static int parse_even(void *target, const char *value, struct mu_error *error)
{
    if (strlen(value) % 2 != 0) {
        return mu_error_set(error, MU_EINVAL, "'%s' has an odd length", value);
    }
    if (target != NULL) {
        (void)snprintf(target, 32, "%s", value);
    }
    return 0;
}

/* Collects values, joined by spaces. */
static int parse_word(void *target, const char *value, struct mu_error *error)
{
    if (value[0] == '\0') {
        return mu_error_set(error, MU_EINVAL, "expected a word");
    }
    if (target != NULL) {
        size_t at = strlen(target);
        (void)snprintf((char *)target + at, 32 - at, "%s%s", at > 0 ? " " : "", value);
    }
    return 0;
}

static int parse_words(char words[32], char files[32], bool *yes, struct mu_error *error, int argc,
                       const char *const *argv)
{
    const struct mu_flag flags[] = {
        {.name = "file",
         .letter = 'f',
         .kind = MU_FLAG_CALL,
         .target = files,
         .value = "FILE",
         .help = "files",
         .parse = parse_word},
        {.name = "yes", .letter = 'y', .kind = MU_FLAG_BOOL, .target = yes, .help = "yes"},
        {.name = "WORD...",
         .kind = MU_FLAG_OPERANDS,
         .target = words,
         .value = "WORD",
         .help = "words",
         .parse = parse_word},
    };
    return mu_flags_parse(flags, 3, argc, (char *const *)(uintptr_t)argv, error);
}

static void test_flags_parse__letters_and_operands__collected_in_order(void **state)
{
    (void)state;
    char words[32] = "", files[32] = "";
    bool yes = false;
    struct mu_error error = {0, ""};
    const char *line[] = {"p", "one", "-f", "a", "-y", "-", "--file=b", "two", "-f", "-"};
    assert_int_equal(parse_words(words, files, &yes, &error, 10, line), 0);
    assert_string_equal(words, "one - two");
    assert_string_equal(files, "a b -");
    assert_true(yes);
    const char *close[] = {"p", "-fc"};
    assert_int_equal(parse_words(words, files, &yes, &error, 2, close), 0);
    assert_string_equal(files, "a b - c");
    const char *wrong[][3] = {{"p", "-x", "unknown flag '-x' (see --help)"},
                              {"p", "-ya", "unknown flag '-ya' (see --help)"},
                              {"p", "-f", "--file: expects FILE, got nothing"},
                              {"p", "", "WORD...: expected a word"},
                              {"p", "--WORD...", "unknown flag --WORD... (see --help)"}};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        assert_int_equal(parse_words(words, files, &yes, &error, 2, wrong[i]), MU_EINVAL);
        assert_string_equal(error.text, wrong[i][2]);
        assert_string_equal(words, "one - two");
    }
}

static int parse(struct values *v, struct mu_error *error, int argc, const char *const *argv)
{
    const struct mu_flag flags[] = {
        {"json", MU_FLAG_BOOL, &v->json, NULL, "print JSON", 0, 0, NULL, NULL, 0},
        {"port", MU_FLAG_U32, &v->port, "N", "port", 0, 65535, NULL, NULL, 0},
        {"seed", MU_FLAG_U64, &v->seed, "N", "seed", 1, 0, NULL, NULL, 0},
        {"file", MU_FLAG_TEXT, &v->file, "FILE", "file", 0, 0, NULL, NULL, 0},
        {"score", MU_FLAG_CHOICE, &v->score, "NAME", "score", 0, 0, scores, NULL, 0},
        {"even", MU_FLAG_CALL, v->called, "TEXT", "even", 0, 0, NULL, parse_even, 0},
    };
    return mu_flags_parse(flags, 6, argc, (char *const *)(uintptr_t)argv, error);
}

#define PARSE(v, error, ...)                                                                       \
    parse((v), (error), (int)(sizeof((const char *[]){"p", __VA_ARGS__}) / sizeof(char *)),        \
          (const char *[]){"p", __VA_ARGS__})

static void fails(const char *expected, int argc, const char *const *argv)
{
    struct values v = {.port = 7, .seed = 9};
    struct values before = v;
    struct mu_error error = {0, ""};
    assert_int_equal(parse(&v, &error, argc, argv), MU_EINVAL);
    assert_string_equal(error.text, expected);
    assert_memory_equal(&v, &before, sizeof v); /* earlier, right flags are not stored either */
}
#define FAILS(expected, ...)                                                                       \
    fails((expected), (int)(sizeof((const char *[]){"p", __VA_ARGS__}) / sizeof(char *)),          \
          (const char *[]){"p", __VA_ARGS__})

static void test_flags_parse__wrong_line__one_line_and_nothing_stored(void **state)
{
    (void)state;
    FAILS("unknown flag --prot (see --help)", "--port=1", "--prot", "2");
    FAILS("--port: expects N, got nothing", "--json", "--port");
    FAILS("--port: expects N, got nothing", "--port=");
    FAILS("--port: '65536' is not a whole number between 0 and 65535", "--port", "65536");
    FAILS("--port: '-1' is not a whole number between 0 and 65535", "--port", "-1");
    FAILS("--port: '1x' is not a whole number between 0 and 65535", "--port=1x");
    FAILS("--seed: '0' is not a whole number between 1 and 18446744073709551615", "--seed", "0");
    FAILS("--score: 'best' is not one of spread, pack", "--port", "8", "--score", "best");
    FAILS("--json: 'maybe' is neither true nor false", "--json=maybe");
    FAILS("--even: 'abc' has an odd length", "--port", "8", "--even", "abc");
    FAILS("unexpected argument 'stray'; flags start with -- (see --help)", "--json", "stray");
    FAILS("unknown flag '--' (see --help)", "--");
}

static void test_flags_parse__both_spellings__all_stored(void **state)
{
    (void)state;
    struct values v = {0};
    struct mu_error error = {0, ""};
    assert_int_equal(PARSE(&v, &error, "--port", "80", "--seed=18446744073709551615", "--json",
                           "--file", "--odd=name", "--score=pack", "--even", "ab"),
                     0);
    assert_int_equal(v.port, 80);
    assert_true(v.seed == UINT64_MAX);
    assert_true(v.json);
    assert_string_equal(v.file, "--odd=name");
    assert_int_equal(v.score, 1);
    assert_string_equal(v.called, "ab");
    assert_int_equal(PARSE(&v, &error, "--json=false", "--port=1", "--port=2"), 0);
    assert_false(v.json);
    assert_int_equal(v.port, 2);
}

static void test_flags_parse__help__wins_and_stores_nothing(void **state)
{
    (void)state;
    struct values v = {.port = 7};
    struct mu_error error = {0, ""};
    assert_int_equal(PARSE(&v, &error, "--port", "80", "-h"), MU_FLAGS_HELP);
    assert_int_equal(PARSE(&v, &error, "--help"), MU_FLAGS_HELP);
    assert_int_equal(v.port, 7);
}

static void test_flags_help__table__names_every_flag(void **state)
{
    (void)state;
    static uint32_t port;
    static const char *name;
    const struct mu_flag flags[] = {
        {"port", MU_FLAG_U32, &port, "N", "TCP port", 0, 0, NULL, NULL, 0},
        {"a-name-of-some-length", MU_FLAG_TEXT, &name, "NAME", "a name", 0, 0, NULL, NULL, 0}};
    char text[512] = "";
    FILE *out = fmemopen(text, sizeof text, "w");
    assert_non_null(out);
    mu_flags_help(out, "prog", "Does things.", flags, 2);
    (void)fclose(out);
    assert_non_null(strstr(text, "usage: prog [flags]\n"));
    assert_non_null(strstr(text, "  --port N                     TCP port\n"));
    assert_non_null(strstr(text, "  --a-name-of-some-length NAME a name\n"));
    assert_non_null(strstr(text, "  --help                       print this text\n"));
}

static void test_flags_help__long_texts__within_80_columns(void **state)
{
    static bool yes;
    const struct mu_flag flags[] = {
        {"yes", MU_FLAG_BOOL, &yes, NULL,
         "words that go on and on, past the right edge of any terminal that has eighty columns "
         "and,a,list,that,has,no,spaces,but,at,the,end,of,it,goes,on,and,on "
         "https://a-word-that-is-longer-than-what-is-left-of-a-line.example/",
         0, 0, NULL, NULL, 0}};
    char text[2048] = "";
    FILE *out = fmemopen(text, sizeof text, "w");
    (void)state;
    assert_non_null(out);
    mu_flags_help(out, "prog",
                  "A summary that is longer than the eighty columns that a terminal has at least, "
                  "it seems.\n\n  indented --as it is",
                  flags, 1);
    (void)fclose(out);
    assert_string_equal(
        text, "usage: prog [flags]\n\n"
              "A summary that is longer than the eighty columns that a terminal has at least,\n"
              "it seems.\n\n"
              "  indented --as it is\n\n"
              "  --yes                      words that go on and on, past the right edge of any\n"
              "                             terminal that has eighty columns\n"
              "                             and,a,list,that,has,no,spaces,but,at,the,end,of,it,\n"
              "                             goes,on,and,on\n"
              "                             "
              "https://a-word-that-is-longer-than-what-is-left-of-a-line.example/\n"
              "  --help                     print this text\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_flags_parse__letters_and_operands__collected_in_order),
        cmocka_unit_test(test_flags_parse__wrong_line__one_line_and_nothing_stored),
        cmocka_unit_test(test_flags_parse__both_spellings__all_stored),
        cmocka_unit_test(test_flags_parse__help__wins_and_stores_nothing),
        cmocka_unit_test(test_flags_help__table__names_every_flag),
        cmocka_unit_test(test_flags_help__long_texts__within_80_columns),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
