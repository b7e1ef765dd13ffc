/* Configuration files: what is refused, what is read, and that nothing unknown is ignored. */
#include "tests/mu_test.h"

#include "engine/base/buf.h"
#include "informer/config.h"
#include "informer/limits.h"

static struct mu_config *parsed(const char *text)
{
    struct mu_config *config;
    struct mu_error error;
    if (mu_config_parse(mu_str_of(text), "c.yaml", &config, &error) != 0)
        fail_msg("%s", error.text);
    return config;
}

static void check_refused(struct mu_str text, int code, const char *message)
{
    struct mu_config *config = NULL;
    struct mu_error error = {0, ""};
    assert_int_equal(mu_config_parse(text, "c.yaml", &config, &error), code);
    assert_int_equal(error.code, code);
    assert_null(config);
    if (strstr(error.text, message) == NULL)
        fail_msg("says '%s', not '%s'", error.text, message);
    assert_int_equal(mu_config_parse(text, "c.yaml", &config, NULL), code);
}

static void test_config_parse__not_what_it_seems__refused_with_place(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {"a: &x 1\nb: *x\n", "c.yaml:1:7: expected no anchors, aliases or tags"},
        {"a: 1\nb: *x\n", "c.yaml:2:5: expected no anchors"},
        {"*x : 1\n", "expected no anchors"},
        {"a: &x\n  b: 1\n", "expected no anchors"},
        {"a: &x [1]\n", "expected no anchors"},
        {"a: !!int 3\n", "expected no anchors, aliases or tags"},
        {"a: !!map {}\n", "expected no anchors"},
        {"a: 1\nb: 2\na: 3\n", "c.yaml:3:1: expected each key once, found 'a' again"},
        {"a: {b: 1, \"b\": 2}\n", "c.yaml:1:12: expected each key once, found 'b' again"},
        {"? [1]\n: 2\n", "c.yaml:1:3: expected a key that is a scalar"},
        {"- 1\n", "c.yaml:1:1: expected a mapping, found a sequence"},
        {"word\n", "c.yaml:1:1: expected a mapping, found 'word'"},
        {"null\n", "expected a mapping, found nothing"},
        {"a: 1\n---\nb: 2\n", "c.yaml: expected one document, found another"},
        {"a: [1\n", "expected YAML: flow sequence without a closing bracket"},
        {"a:\n\tb: 1\n", "c.yaml:2:1: expected YAML: tab"},
        {"a: 'x\n", "expected YAML: single-quoted"},
        {"a: \"x\\0y\"\n", "c.yaml:1:5: expected text without NUL"},
        {"a: 1\nb: \xFF\n", "c.yaml:2:4: expected UTF-8"},
        {"a: \xC0\x80\n", "c.yaml:1:4: expected UTF-8"},
        {"a: \xED\xA0\x80\n", "expected UTF-8"},
        {"a: \xF4\x90\x80\x80\n", "expected UTF-8"},
        {"a: \xE2\x82", "expected UTF-8"},
        {"a: \xF8\x88\x80\x80\x80\n", "expected UTF-8"},
        {"a: 1\x01\n", "c.yaml:1:5: expected no control characters"},
        {"a: \xC2\x80\n", "expected no control characters"},
        {"a: \xEF\xBF\xBE\n", "expected no control characters"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        check_refused(mu_str_of(rows[i][0]), MU_EINVAL, rows[i][1]);
    check_refused((struct mu_str){"a: 1\0b: 2\n", 10}, MU_EINVAL, "expected no control characters");
}

static void test_config_parse__every_truncation__error_or_a_shorter_document(void **state)
{
    (void)state;
    static const char text[] =
        "a: {b: [1, \"two\"], c: 'x'}\nd:\n  - e: |\n      lines\n    f: ~\n";
    for (uint32_t len = 0; len < sizeof text; len++) {
        struct mu_config *config = NULL;
        struct mu_error error = {0, ""};
        int status = mu_config_parse((struct mu_str){text, len}, "c.yaml", &config, &error);
        if (len > 3 && len < 26) /* inside the braces of the first line */
            assert_int_equal(status, MU_EINVAL);
        assert_true(status == 0 ? config != NULL : error.code == status && config == NULL);
        mu_config_destroy(config);
    }
}

static void test_config_parse__beyond_the_bounds__limit(void **state)
{
    (void)state;
    struct mu_buf text;
    struct mu_config *config;
    struct mu_error error;
    mu_buf_init(&text, 0);
    mu_buf_append_text(&text, "a: ");
    for (uint32_t i = 0; i < MU_CONFIG_DEPTH_MAX; i++)
        mu_buf_append_text(&text, "[");
    check_refused((struct mu_str){(char *)text.data, (uint32_t)text.len}, MU_ELIMIT,
                  "expected at most 32 levels");
    text.len--;
    for (uint32_t i = 1; i < MU_CONFIG_DEPTH_MAX; i++)
        mu_buf_append_text(&text, "]");
    struct mu_str deep = {(char *)text.data, (uint32_t)text.len};
    assert_int_equal(mu_config_parse(deep, "c.yaml", &config, &error), 0);
    mu_config_destroy(config);

    mu_buf_clear(&text);
    for (uint32_t i = 0; i <= MU_CONFIG_KEYS_MAX; i++)
        mu_buf_printf(&text, "k%u: 1\n", i);
    check_refused((struct mu_str){(char *)text.data, (uint32_t)text.len}, MU_ELIMIT,
                  "c.yaml:1025:1: expected at most 1024 keys");

    mu_buf_clear(&text);
    mu_buf_append_text(&text, "a:\n");
    for (uint32_t i = 0; i < MU_CONFIG_NODES_MAX; i++)
        mu_buf_append_text(&text, "- 1\n");
    check_refused((struct mu_str){(char *)text.data, (uint32_t)text.len}, MU_ELIMIT,
                  "expected at most 16384 values");

    mu_buf_clear(&text);
    mu_buf_append_text(&text, "a: ");
    while (text.len < MU_CONFIG_BYTES_MAX)
        mu_buf_append_text(&text, "x");
    struct mu_str largest = {(char *)text.data, (uint32_t)text.len};
    assert_int_equal(mu_config_parse(largest, "c.yaml", &config, &error), 0);
    mu_config_destroy(config);
    mu_buf_append_text(&text, "x");
    check_refused((struct mu_str){(char *)text.data, (uint32_t)text.len}, MU_ELIMIT,
                  "c.yaml: expected at most 1 MiB");
    mu_buf_fini(&text);
}

static bool parse_once(void *context)
{
    (void)context;
    struct mu_config *config = NULL;
    struct mu_error error = {0, ""};
    int status = mu_config_parse(MU_STR("a: [1, two]\nb: {c: d}\n"), "c.yaml", &config, &error);
    if (status != 0) {
        assert_true(status == MU_ENOMEM && error.code == MU_ENOMEM && config == NULL);
        return false;
    }
    (void)mu_config_find(config, mu_config_root(config), "a");
    (void)mu_config_find(config, mu_config_root(config), "b");
    status = mu_config_finish(config, &error);
    assert_true(status == MU_EINVAL || status == MU_ENOMEM); /* c is unknown */
    mu_config_destroy(config);
    return status == MU_EINVAL;
}

static void test_config_parse__out_of_memory_anywhere__error_and_no_leak(void **state)
{
    (void)state;
    assert_true(mu_test_fail_each(parse_once, NULL) >= 3);
}

static void test_config_load__missing_file__error_names_it(void **state)
{
    (void)state;
    struct mu_config *config = NULL;
    struct mu_error error;
    assert_int_equal(mu_config_load("/nonexistent.yaml", &config, &error), MU_ENOENT);
    assert_non_null(strstr(error.text, "/nonexistent.yaml: "));
    assert_null(config);
}

static void test_config_load__on_disk__as_parsed(void **state)
{
    (void)state;
    char path[] = "/tmp/muster-test-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "a: 7\n", 5), 5);
    assert_int_equal(close(fd), 0);
    struct mu_config *config;
    struct mu_error error;
    uint64_t value = 0;
    assert_int_equal(mu_config_load(path, &config, &error), 0);
    assert_int_equal(mu_config_u64(config, mu_config_root(config), "a", 0, 9, &value, &error), 0);
    assert_int_equal(value, 7);
    mu_config_destroy(config);
    assert_int_equal(unlink(path), 0);
}

/* ---- the tree ---- */

static void test_config_parse__all_kinds__tree_with_places(void **state)
{
    (void)state;
    struct mu_config *config = parsed("# comment\n"
                                      "a:\n"
                                      "  b: [x, 'y', ~]\n"
                                      "c: |\n"
                                      "  two\n"
                                      "  lines\n");
    const struct mu_config_node *root = mu_config_root(config);
    assert_int_equal(root->kind, MU_CONFIG_MAPPING);
    assert_int_equal(root->count, 2);
    const struct mu_config_node *a = root->child;
    assert_string_equal(a->key.data, "a");
    assert_true(a->kind == MU_CONFIG_MAPPING && a->line == 2 && a->column == 1 && a->count == 1);
    const struct mu_config_node *b = a->child;
    assert_true(b->kind == MU_CONFIG_SEQUENCE && b->line == 3 && b->column == 3 && b->count == 3);
    assert_true(mu_str_equal(b->child->text, MU_STR("x")) && b->child->plain);
    assert_true(b->child->line == 3 && b->child->column == 7);
    assert_true(mu_str_equal(b->child->next->text, MU_STR("y")) && !b->child->next->plain);
    const struct mu_config_node *c = a->next;
    assert_string_equal(c->text.data, "two\nlines\n");
    assert_true(c->line == 4 && !c->plain && c->next == NULL);
    mu_config_destroy(config);

    static const char *const empty[] = {"", "# nothing\n", "---\n", "\n\n"};
    for (size_t i = 0; i < 4; i++) {
        config = parsed(empty[i]);
        assert_int_equal(mu_config_root(config)->kind, MU_CONFIG_MAPPING);
        assert_int_equal(mu_config_root(config)->count, 0);
        assert_int_equal(mu_config_finish(config, NULL), 0);
        mu_config_destroy(config);
    }
    mu_config_destroy(NULL);
}

/* ---- questions ---- */

static const char *const policies[] = {"spread", "pack", NULL};

/* One typed question for "k"; `result` gets a number that stands for the value. */
static int ask(const char *type, struct mu_config *config, uint64_t *result, struct mu_error *error)
{
    struct mu_config_node *root = mu_config_root(config), *node = NULL;
    struct mu_str text = MU_STR("");
    bool truth = false;
    uint32_t choice = 9;
    int status;
    if (strcmp(type, "u64") == 0)
        return mu_config_u64(config, root, "k", 1, 100, result, error);
    if (strcmp(type, "duration") == 0)
        return mu_config_duration_ns(config, root, "k", UINT64_C(7200000000000), result, error);
    if (strcmp(type, "bool") == 0) {
        status = mu_config_bool(config, root, "k", &truth, error);
        *result = status == 0 ? truth : *result;
    } else if (strcmp(type, "choice") == 0) {
        status = mu_config_choice(config, root, "k", policies, &choice, error);
        *result = status == 0 ? choice : *result;
    } else if (strcmp(type, "text") == 0) {
        status = mu_config_text(config, root, "k", &text, error);
        *result = status == 0 ? text.len : *result;
    } else if (strcmp(type, "mapping") == 0) {
        status = mu_config_mapping(config, root, "k", &node, error);
        *result = status == 0 ? node->count : *result;
    } else {
        status = mu_config_sequence(config, root, "k", &node, error);
        *result = status == 0 ? node->count : *result;
    }
    return status;
}

static void test_config_values__wrong_kind_or_range__refused_target_unchanged(void **state)
{
    (void)state;
    static const struct {
        const char *type, *text, *message;
    } rows[] = {
        {"u64", "k: 0", "c.yaml:1:1: 'k': expected a whole number from 1 to 100, found '0'"},
        {"u64", "k: 101", "found '101'"},
        {"u64", "k: -1", "found '-1'"},
        {"u64", "k: '5'", "found '5'"},
        {"u64", "k: 1.5", "found '1.5'"},
        {"u64", "k:", "expected a whole number from 1 to 100, found nothing"},
        {"u64", "k: [1]", "found a sequence"},
        {"bool", "k: yes", "'k': expected true or false, found 'yes'"},
        {"bool", "k: 'true'", "found 'true'"},
        {"choice", "k: best", "'k': expected one of spread, pack, found 'best'"},
        {"choice", "k: {}", "found a mapping"},
        {"text", "k: ~", "'k': expected text, found nothing"},
        {"text", "k: ''", "'k': expected text, found ''"},
        {"text", "k: [a]", "expected text, found a sequence"},
        {"duration", "k: 5", "'k': expected a duration such as 500ms or 5m, of at most 7200s"},
        {"duration", "k: 3h", "found '3h'"},
        {"duration", "k: 1.5s", "found '1.5s'"},
        {"duration", "k: ms", "found 'ms'"},
        {"duration", "k: 99999999999999999999s", "expected a duration"},
        {"duration", "k: 18446744073709551615h", "expected a duration"},
        {"mapping", "k: 1", "'k': expected a mapping, found '1'"},
        {"mapping", "k:", "'k': expected a mapping, found nothing"},
        {"sequence", "k: {}", "'k': expected a sequence, found a mapping"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct mu_config *config = parsed(rows[i].text);
        struct mu_error error = {0, ""};
        uint64_t result = 4711;
        assert_int_equal(ask(rows[i].type, config, &result, &error), MU_EINVAL);
        if (strstr(error.text, rows[i].message) == NULL)
            fail_msg("says '%s', not '%s'", error.text, rows[i].message);
        assert_int_equal(result, 4711);
        mu_config_destroy(config);
    }
}

static void test_config_values__right_ones__read(void **state)
{
    (void)state;
    static const struct {
        const char *type, *text;
        uint64_t result;
    } rows[] = {
        {"u64", "k: 100", 100},
        {"bool", "k: true", 1},
        {"bool", "k: false", 0},
        {"choice", "k: pack", 1},
        {"choice", "k: 'spread'", 0},
        {"text", "k: some text", 9},
        {"text", "k: 'null'", 4},
        {"text", "k: 8080", 4},
        {"duration", "k: 250us", 250000},
        {"duration", "k: 3ms", 3000000},
        {"duration", "k: 0s", 0},
        {"duration", "k: 2m", UINT64_C(120000000000)},
        {"mapping", "k: {a: 1}", 1},
        {"sequence", "k: [1, 2]", 2},
        {"duration", "k: 2h", UINT64_C(7200000000000)},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct mu_config *config = parsed(rows[i].text);
        struct mu_error error = {0, ""};
        uint64_t result = 4711;
        if (ask(rows[i].type, config, &result, &error) != 0)
            fail_msg("%s: %s", rows[i].text, error.text);
        assert_true(result == rows[i].result);
        mu_config_destroy(config);
    }
}

static void test_config_values__absent__default_stays(void **state)
{
    (void)state;
    struct mu_config *config = parsed("other: 1\n");
    struct mu_config_node *root = mu_config_root(config), *section = NULL;
    uint64_t number = 5;
    assert_int_equal(mu_config_u64(config, root, "number", 0, 9, &number, NULL), 0);
    assert_int_equal(number, 5);
    assert_int_equal(mu_config_mapping(config, root, "section", &section, NULL), 0);
    assert_null(section);
    assert_int_equal(mu_config_u64(config, section, "inner", 0, 9, &number, NULL), 0);
    assert_int_equal(number, 5);
    mu_config_destroy(config);
}

static void test_config_finish__a_key_nobody_asked_for__error_names_known_ones(void **state)
{
    (void)state;
    struct mu_config *config = parsed("server: {addres: x, port: 1}\n"
                                      "names:\n"
                                      "- {a: 1}\n"
                                      "- a: 1\n"
                                      "  b: 2\n"
                                      "labels: {any: thing}\n");
    struct mu_config_node *root = mu_config_root(config);
    struct mu_error error;
    assert_int_equal(mu_config_finish(config, &error), MU_EINVAL);
    assert_string_equal(error.text, "c.yaml:1:1: unknown key 'server'; expected none");
    struct mu_config_node *server = mu_config_find(config, root, "server");
    assert_null(mu_config_find(config, server, "address"));
    assert_non_null(mu_config_find(config, server, "port"));
    assert_non_null(mu_config_find(config, server, "port"));
    assert_int_equal(mu_config_finish(config, &error), MU_EINVAL);
    assert_string_equal(error.text, "c.yaml:1:10: unknown key 'addres' in 'server'; "
                                    "expected one of: address, port");
    (void)mu_config_find(config, server, "addres");
    struct mu_config_node *names = mu_config_find(config, root, "names");
    for (struct mu_config_node *item = names->child; item != NULL; item = item->next)
        (void)mu_config_find(config, item, "a");
    assert_int_equal(mu_config_finish(config, &error), MU_EINVAL);
    assert_non_null(strstr(error.text, "c.yaml:5:3: unknown key 'b'"));
    (void)mu_config_find(config, names->child->next, "b");
    struct mu_config_node *labels = mu_config_find(config, root, "labels");
    assert_int_equal(mu_config_finish(config, &error), MU_EINVAL);
    assert_non_null(strstr(error.text, "unknown key 'any' in 'labels'; expected none"));
    (void)mu_config_find(config, labels, "any");
    assert_int_equal(mu_config_finish(config, &error), 0);
    mu_config_destroy(config);
}

static void test_config_finish__many_known_keys__message_is_cut_not_lost(void **state)
{
    (void)state;
    struct mu_config *config = parsed("strange: 1\n");
    static char keys[MU_CONFIG_KNOWN_MAX][16];
    struct mu_error error;
    for (uint32_t i = 0; i < MU_CONFIG_KNOWN_MAX; i++) {
        (void)snprintf(keys[i], sizeof keys[i], "setting-%u", i);
        (void)mu_config_find(config, mu_config_root(config), keys[i]);
    }
    assert_int_equal(mu_config_finish(config, &error), MU_EINVAL);
    assert_non_null(strstr(error.text, "unknown key 'strange'; expected one of: setting-0, "));
    mu_config_destroy(config);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_config_parse__not_what_it_seems__refused_with_place),
        cmocka_unit_test(test_config_parse__every_truncation__error_or_a_shorter_document),
        cmocka_unit_test(test_config_parse__beyond_the_bounds__limit),
        cmocka_unit_test(test_config_parse__out_of_memory_anywhere__error_and_no_leak),
        cmocka_unit_test(test_config_load__missing_file__error_names_it),
        cmocka_unit_test(test_config_load__on_disk__as_parsed),
        cmocka_unit_test(test_config_parse__all_kinds__tree_with_places),
        cmocka_unit_test(test_config_values__wrong_kind_or_range__refused_target_unchanged),
        cmocka_unit_test(test_config_values__right_ones__read),
        cmocka_unit_test(test_config_values__absent__default_stays),
        cmocka_unit_test(test_config_finish__a_key_nobody_asked_for__error_names_known_ones),
        cmocka_unit_test(test_config_finish__many_known_keys__message_is_cut_not_lost),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
