/* YAML as Kubernetes reads it, and the way of an object through YAML and back. */
#include "tests/mu_test.h"

#include "informer/json_object.h"
#include "informer/limits.h"
#include "informer/yaml_json.h"
#include "tests/schema_random.h"
#include "tools/kubesim/yaml_write.h"

static void reads_as(const char *text, const char *documents)
{
    json_t *tree = NULL;
    struct mu_error error = {0, ""};
    if (mu_yaml_read(mu_str_of(text), "t", &tree, NULL, &error) != 0)
        fail_msg("%s: %s", text, error.text);
    char *dump = json_dumps(tree, JSON_COMPACT | JSON_ENCODE_ANY);
    assert_string_equal(dump, documents);
    mu_mem_free(dump);
    json_decref(tree);
}

static void refuses(struct mu_str text, int code, const char *says)
{
    json_t *tree = NULL;
    struct mu_error error = {0, ""};
    int status = mu_yaml_read(text, "t", &tree, NULL, &error);
    assert_null(tree);
    if (status != code || strstr(error.text, says) == NULL)
        fail_msg("%.*s: %d '%s', expected '%s'", (int)(text.len < 80 ? text.len : 80), text.data,
                 status, error.text, says);
}

static void test_yaml_read__scalars__as_yaml_1_1(void **state)
{
    (void)state;
    reads_as("[~, null, Null, NULL, '', \"~\", 'null', nUll]",
             "[[null,null,null,null,\"\",\"~\",\"null\",\"nUll\"]]");
    reads_as("- yes\n- No\n- ON\n- off\n- y\n- N\n- true\n- False\n- tRue\n- 'yes'\n-",
             "[[true,false,true,false,true,false,true,false,\"tRue\",\"yes\",null]]");
    reads_as("[0, -0, 7, +7, -7, 0x1F, 0o17, 017, 0b101, 1_000, 08, 0x, 1_, 0xg, '1']",
             "[[0,0,7,7,-7,31,15,15,5,1000,8,\"0x\",1,\"0xg\",\"1\"]]");
    reads_as("[9223372036854775807, -9223372036854775808, 0x7fffffffffffffff]",
             "[[9223372036854775807,-9223372036854775808,9223372036854775807]]");
    reads_as("[1.5, -.5, 1e3, 1E3, 1.5e-1, 5., 1.0, 1e, .e1, e1, 1.2.3, 0.1]",
             "[[1.5,-0.5,1000,1000,0.14999999999999999,5,1,\"1e\",\".e1\",\"e1\",\"1.2.3\","
             "0.10000000000000001]]");
    reads_as("[2026-01-02, 2026-01-02T03:04:05Z, 12:30, v1, -x, 100m, 1Gi, a b]",
             "[[\"2026-01-02\",\"2026-01-02T03:04:05Z\",\"12:30\",\"v1\",\"-x\",\"100m\",\"1Gi\","
             "\"a b\"]]");
    reads_as("a: |\n  x\n  1\nb: >-\n  y\n  z\n", "[{\"a\":\"x\\n1\\n\",\"b\":\"y z\"}]");
}

static void test_yaml_read__keys__are_text(void **state)
{
    (void)state;
    reads_as("1: a\nyes: b\n0x10: c\n'~': d\n1.5: e\n", "[{\"1\":\"a\",\"true\":\"b\","
                                                        "\"16\":\"c\",\"~\":\"d\",\"1.5\":\"e\"}]");
    refuses(MU_STR("~: a"), MU_EINVAL, "t:1:1: expected a key that is not null");
    refuses(MU_STR("[a]: b"), MU_EINVAL, "expected a key that is a scalar");
    refuses(MU_STR("a:\n  <<: {b: c}"), MU_EINVAL, "t:2:3: expected no merge keys");
    reads_as("'<<': a", "[{\"<<\":\"a\"}]");
}

static void test_yaml_read__documents__each_one(void **state)
{
    (void)state;
    reads_as("", "[]");
    reads_as("# nothing\n", "[]");
    reads_as("---\n---\na: 1\n---\n# x\n...\n---\n- b\n", "[{\"a\":1},[\"b\"]]");
    reads_as("{\"a\": [1, {\"b\": null}], \"c\": \"\\u00e4\"}", "[{\"a\":[1,{\"b\":null}],"
                                                                "\"c\":\"\xc3\xa4\"}]");
    struct mu_buf text = {0};
    for (unsigned i = 0; i <= MU_YAML_DOCUMENTS_MAX; i++)
        (void)mu_buf_append_text(&text, "---\na\n");
    refuses((struct mu_str){(char *)text.data, (uint32_t)text.len}, MU_ELIMIT, "1024 documents");
    mu_buf_fini(&text);
}

static void test_yaml_read__what_is_not_taken__line_and_reason(void **state)
{
    (void)state;
    refuses(MU_STR("a: &x 1\nb: *x\n"), MU_EINVAL, "t:1:7: expected no anchors");
    refuses(MU_STR("b: *x\n"), MU_EINVAL, "expected no anchors, aliases or tags");
    refuses(MU_STR("a: !!str 1\n"), MU_EINVAL, "expected no anchors, aliases or tags");
    refuses(MU_STR("a: 1\nb: .inf\n"), MU_EINVAL, "t:2:4: expected a finite number");
    refuses(MU_STR("a: .NaN"), MU_EINVAL, "expected a finite number");
    refuses(MU_STR("a: 1e999"), MU_EINVAL, "expected a finite number");
    refuses(MU_STR("a: [1"), MU_EINVAL, "expected YAML");
    refuses(MU_STR("a: \"\\0\""), MU_EINVAL, "expected text without NUL");
    refuses(MU_STR("a: \xff"), MU_EINVAL, "expected UTF-8");
    refuses(MU_STR("a: \x01"), MU_EINVAL, "expected no control characters");
    refuses((struct mu_str){"a: 1\0b: 2", 9}, MU_EINVAL, "expected no control characters");
}

static void test_yaml_read__duplicate_keys__told_and_the_later_counts(void **state)
{
    (void)state;
    json_t *tree = NULL;
    struct mu_json_problems problems = {0};
    assert_int_equal(
        mu_yaml_read(MU_STR("a: 1\nb:\n  c: 2\n  c: 3\na: 4\n"), "t", &tree, &problems, NULL), 0);
    (void)mu_buf_append(&problems.lines, "", 1);
    assert_string_equal((char *)problems.lines.data, "line 4: key \"c\" already set in map\n"
                                                     "line 5: key \"a\" already set in map\n");
    assert_int_equal(json_integer_value(json_object_get(json_array_get(tree, 0), "a")), 4);
    json_decref(tree);
    mu_json_problems_fini(&problems);
}

static void test_yaml_read__bombs__bounded(void **state)
{
    (void)state;
    enum { SIZE = 3 << 20 };
    char *bomb = mu_mem_alloc(SIZE + 1);
    assert_non_null(bomb);
    memset(bomb, '[', SIZE + 1);
    refuses((struct mu_str){bomb, SIZE + 1}, MU_ELIMIT, "expected at most 3 MiB");
    refuses((struct mu_str){bomb, SIZE}, MU_ELIMIT, "t:1:64: expected at most 63 levels");
    for (size_t i = 0; i < SIZE; i += 2)
        memcpy(bomb + i, i == 0 ? "[a" : ",a", 2);
    refuses((struct mu_str){bomb, SIZE}, MU_ELIMIT, "values and keys");
    mu_mem_free(bomb);
}

/* Random messages of every kind: JSON, YAML, and back to the same bytes. */
static void test_yaml__random_messages__there_and_back(void **state)
{
    (void)state;
    struct mu_test_run run = mu_test_run_begin(21);
    struct mu_arena *arena = mu_arena_create(64 << 20);
    for (run.step = 0; run.step < 1500; run.step++) {
        mu_arena_reset(arena);
        struct mu_error error = {0, ""};
        struct mu_buf json = {0};
        struct mu_buf yaml = {0};
        ProtobufCMessage *message = schema_random_message(&run.random, arena);
        assert_int_equal(
            mu_json_message_write(&json, MU_STR("v1"), MU_STR("Kind"), message, &error), 0);
        struct mu_str text = {(char *)json.data, (uint32_t)json.len};
        MU_TEST_CHECK(&run, mu_yaml_from_json(text, &yaml) == 0);
        json_t *direct = NULL;
        json_t *documents = NULL;
        MU_TEST_CHECK(&run, mu_json_text_read(text, &direct, NULL, &error) == 0);
        text = (struct mu_str){(char *)yaml.data, (uint32_t)yaml.len};
        int status = mu_yaml_read(text, "t", &documents, NULL, &error);
        if (status != 0)
            print_error("%s\n%.*s\n", error.text, (int)text.len, text.data);
        MU_TEST_CHECK(&run, status == 0);
        MU_TEST_CHECK(&run, json_array_size(documents) == 1);
        MU_TEST_CHECK(&run, json_equal(json_array_get(documents, 0), direct));
        json_decref(direct);
        json_decref(documents);
        mu_buf_fini(&json);
        mu_buf_fini(&yaml);
    }
    mu_arena_destroy(arena);
}

static bool read_text(void *context)
{
    json_t *tree = NULL;
    struct mu_json_problems problems = {0};
    struct mu_error error = {0, ""};
    int status = mu_yaml_read(mu_str_of(context), "t", &tree, &problems, &error);
    assert_true(status == 0 || (status == MU_ENOMEM && tree == NULL));
    if (status == 0) { /* whatever failed, nothing has become something else */
        const json_t *hex = json_object_get(json_array_get(tree, 0), "h");
        assert_true(json_is_integer(hex) && json_integer_value(hex) == 16);
    }
    json_decref(tree);
    mu_json_problems_fini(&problems);
    return status == 0;
}

static void test_yaml_read__out_of_memory__error_and_no_leak(void **state)
{
    (void)state;
    assert_true(mu_test_fail_each(read_text,
                                  "h: 0x10\na: [1, x, {b: 2.5, b: ~}]\n1: |\n  y\n---\nz\n") > 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_yaml_read__scalars__as_yaml_1_1),
        cmocka_unit_test(test_yaml_read__keys__are_text),
        cmocka_unit_test(test_yaml_read__documents__each_one),
        cmocka_unit_test(test_yaml_read__what_is_not_taken__line_and_reason),
        cmocka_unit_test(test_yaml_read__duplicate_keys__told_and_the_later_counts),
        cmocka_unit_test(test_yaml_read__bombs__bounded),
        cmocka_unit_test(test_yaml__random_messages__there_and_back),
        cmocka_unit_test(test_yaml_read__out_of_memory__error_and_no_leak),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
