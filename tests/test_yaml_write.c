#include "tools/kubesim/yaml_write.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include "engine/base/error.h"
#include "engine/base/mem.h"

static void expect(const char *json, const char *yaml)
{
    struct mu_buf out = {0};
    assert_int_equal(mu_yaml_from_json(mu_str_of(json), &out), 0);
    (void)mu_buf_append(&out, "", 1);
    assert_string_equal((const char *)out.data, yaml);
    mu_buf_fini(&out);
}

static void test_yaml_from_json__values__one_a_line(void **state)
{
    (void)state;
    expect("{}", "{}\n");
    expect("{\"a\":1,\"b\":-2.5,\"c\":true,\"d\":null}\n", "a: 1\nb: -2.5\nc: true\nd: null\n");
    expect(" { \"a\" : [ ] , \"b\" : { } } ", "a: []\nb: {}\n");
}

static void test_yaml_from_json__nesting__by_indent(void **state)
{
    (void)state;
    expect("{\"a\":{\"b\":{\"c\":1},\"d\":2},\"e\":3}", "a:\n  b:\n    c: 1\n  d: 2\ne: 3\n");
    expect("{\"a\":[1,{\"b\":2,\"c\":[3,{\"d\":4}]},\"x\"],\"z\":5}",
           "a:\n- 1\n- b: 2\n  c:\n  - 3\n  - d: 4\n- x\nz: 5\n");
    expect("{\"a\":[[1,2],[]]}", "a:\n-\n  - 1\n  - 2\n- []\n");
    expect("{\"a\":[{\"b\":{\"c\":1}},{}]}", "a:\n- b:\n    c: 1\n- {}\n");
}

static void test_yaml_from_json__strings__quoted_unless_unmistakable(void **state)
{
    (void)state;
    expect("{\"a\":\"plain-text_1.x/y\",\"kubernetes.io/name\":\"b\"}",
           "a: plain-text_1.x/y\nkubernetes.io/name: b\n");
    expect("{\"a\":\"\",\"b\":\"1\",\"c\":\"Yes\",\"d\":\"null\",\"e\":\"a: b\",\"f\":\"#x\"}",
           "a: \"\"\nb: \"1\"\nc: \"Yes\"\nd: \"null\"\ne: \"a: b\"\nf: \"#x\"\n");
    expect("{\"y\":\"2026-01-02T03:04:05Z\",\"\":\"-\"}",
           "\"y\": \"2026-01-02T03:04:05Z\"\n\"\": \"-\"\n");
    expect("{\"a\":\"q\\\"\\\\\",\"b\":\"l\\nm\"}", "a: \"q\\\"\\\\\"\nb: \"l\\nm\"\n");
}

static void test_yaml_from_json__malformed__error_and_nothing_appended(void **state)
{
    (void)state;
    static const char *const texts[] = {"",
                                        "[",
                                        "1",
                                        "{",
                                        "{\"a\"",
                                        "{\"a\"}",
                                        "{\"a\":",
                                        "{\"a\":}",
                                        "{\"a\":\"x}",
                                        "{\"a\":1",
                                        "{a:1}",
                                        "{\"a\":[1}",
                                        "{\"a\":[1",
                                        "{\"a\":1,}",
                                        "{\"a",
                                        "{\"a\":{\"b\"}}"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct mu_buf out = {0};
        (void)mu_buf_append_text(&out, "x");
        if (mu_yaml_from_json(mu_str_of(texts[i]), &out) != MU_EPROTO || out.len != 1) {
            fail_msg("'%s' was taken", texts[i]);
        }
        mu_buf_fini(&out);
    }
}

static void test_yaml_from_json__too_deep__error(void **state)
{
    (void)state;
    struct mu_buf json = {0};
    struct mu_buf out = {0};
    for (int i = 0; i < 100; i++) {
        (void)mu_buf_append_text(&json, "{\"a\":");
    }
    assert_int_equal(
        mu_yaml_from_json((struct mu_str){(const char *)json.data, (uint32_t)json.len}, &out),
        MU_EPROTO);
    mu_buf_fini(&json);
    mu_buf_fini(&out);
}

static void test_yaml_from_json__out_of_memory__error(void **state)
{
    (void)state;
    struct mu_buf out = {0};
    mu_mem_debug_set((struct mu_mem_debug){.fail_nth = 1});
    int code = mu_yaml_from_json(MU_STR("{\"a\":1}"), &out);
    mu_mem_debug_set((struct mu_mem_debug){0});
    assert_int_equal(code, MU_ENOMEM);
    assert_int_equal(out.len, 0);
    mu_buf_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_yaml_from_json__values__one_a_line),
        cmocka_unit_test(test_yaml_from_json__nesting__by_indent),
        cmocka_unit_test(test_yaml_from_json__strings__quoted_unless_unmistakable),
        cmocka_unit_test(test_yaml_from_json__malformed__error_and_nothing_appended),
        cmocka_unit_test(test_yaml_from_json__too_deep__error),
        cmocka_unit_test(test_yaml_from_json__out_of_memory__error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
