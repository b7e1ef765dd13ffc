#include "tools/kubesim/wire.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include "engine/base/error.h"
#include "engine/base/mem.h"
#include "tools/kubesim/kinds.h"

static const struct mu_renumber map[] = {{1, 1}, {2, 8}, {9, 300}, {0, 0}};

static void expect(struct mu_str in, bool to_stored, struct mu_str out)
{
    struct mu_buf buf = {0};
    assert_int_equal(mu_pb_renumber(in, map, to_stored, &buf), 0);
    assert_int_equal(buf.len, out.len);
    assert_memory_equal(buf.data, out.data, out.len);
    mu_buf_fini(&buf);
}

static void test_pb_renumber__both_ways__content_travels_unchanged(void **state)
{
    (void)state;
    struct mu_str stored = {"\x0a\x01"
                            "a\x12\x02\x08\x07\x48\x05",
                            9};
    struct mu_str served = {"\x0a\x01"
                            "a\x42\x02\x08\x07\xe0\x12\x05",
                            10};
    expect(stored, false, served);
    expect(served, true, stored);
}

static void test_pb_renumber__numbers_of_no_field__are_left_out(void **state)
{
    (void)state;
    expect((struct mu_str){"\x0a\x00\x78\x01\x12\x00", 6}, false,
           (struct mu_str){"\x0a\x00\x42\x00", 4});
    expect((struct mu_str){"\x12\x00", 2}, true, (struct mu_str){"x", 0});
}

static void test_pb_renumber__long_form_of_a_tag__read_as_the_short_one(void **state)
{
    (void)state;
    expect((struct mu_str){"\x92\x00\x01z", 4}, false, (struct mu_str){"\x42\x01z", 3});
}

static void test_pb_renumber__malformed__error_and_nothing_appended(void **state)
{
    (void)state;
    struct mu_buf buf = {0};
    assert_int_equal(mu_buf_append_text(&buf, "x"), 0);
    static const struct mu_str bad[] = {
        {"\x0a\x00\x0a\x05", 4}, {"\x0b", 1}, {"\x0a\x00\x80", 3}, {"\x02\x00", 2}};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(mu_pb_renumber(bad[i], map, false, &buf), MU_EPROTO);
        assert_int_equal(buf.len, 1);
    }
    mu_buf_fini(&buf);
}

static void test_pb_renumber__out_of_memory__error_and_nothing_appended(void **state)
{
    (void)state;
    struct mu_buf buf = {0};
    mu_mem_debug_set((struct mu_mem_debug){.fail_nth = 1});
    int code = mu_pb_renumber((struct mu_str){"\x0a\x00", 2}, map, false, &buf);
    mu_mem_debug_set((struct mu_mem_debug){0});
    assert_int_equal(code, MU_ENOMEM);
    assert_int_equal(buf.len, 0);
    mu_buf_fini(&buf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pb_renumber__both_ways__content_travels_unchanged),
        cmocka_unit_test(test_pb_renumber__numbers_of_no_field__are_left_out),
        cmocka_unit_test(test_pb_renumber__long_form_of_a_tag__read_as_the_short_one),
        cmocka_unit_test(test_pb_renumber__malformed__error_and_nothing_appended),
        cmocka_unit_test(test_pb_renumber__out_of_memory__error_and_nothing_appended),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
