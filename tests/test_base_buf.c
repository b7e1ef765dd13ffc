#include "engine/base/buf.h"

#include "engine/base/error.h"
#include "tests/mu_test.h"

static void test_buf_append__beyond_max__sticky_and_unchanged(void **state)
{
    (void)state;
    struct mu_buf buf;
    mu_buf_init(&buf, 10);
    assert_int_equal(mu_buf_append_text(&buf, "12345"), 0);
    assert_int_equal(mu_buf_append_text(&buf, "678901"), MU_ELIMIT);
    assert_int_equal(buf.len, 5);
    assert_int_equal(mu_buf_append_text(&buf, "6"), MU_ELIMIT); /* would fit, but sticky */
    assert_int_equal(mu_buf_printf(&buf, "6"), MU_ELIMIT);
    assert_int_equal(mu_buf_append(&buf, NULL, 0), MU_ELIMIT);
    assert_memory_equal(buf.data, "12345", 5);
    mu_buf_clear(&buf);
    assert_int_equal(mu_buf_append_text(&buf, "1234567890"), 0);
    assert_int_equal(mu_buf_printf(&buf, "%d", 1), MU_ELIMIT);
    assert_memory_equal(buf.data, "1234567890", 10);
    mu_buf_fini(&buf);
    assert_int_equal(mu_buf_printf(&buf, "%s", "12345678901"), MU_ELIMIT);
    assert_int_equal(buf.len, 0);
    mu_buf_fini(&buf);
}

static void test_buf_append__out_of_memory__sticky_and_unchanged(void **state)
{
    (void)state;
    struct mu_buf buf = {0};
    assert_int_equal(mu_buf_append_text(&buf, "kept"), 0);
    char big[4096];
    memset(big, 'x', sizeof big);
    mu_mem_debug_set((struct mu_mem_debug){.fail_nth = 1});
    assert_int_equal(mu_buf_append(&buf, big, sizeof big), MU_ENOMEM);
    assert_int_equal(mu_buf_append_text(&buf, "more"), MU_ENOMEM);
    assert_int_equal(buf.len, 4);
    assert_memory_equal(buf.data, "kept", 4);
    mu_buf_fini(&buf);
}

static void test_buf_reserve__fails__not_sticky(void **state)
{
    (void)state;
    struct mu_buf buf;
    mu_buf_init(&buf, 100);
    assert_int_equal(mu_buf_reserve(&buf, 101), MU_ELIMIT);
    assert_int_equal(mu_buf_reserve(&buf, SIZE_MAX), MU_ELIMIT);
    mu_mem_debug_set((struct mu_mem_debug){.fail_nth = 1});
    assert_int_equal(mu_buf_reserve(&buf, 100), MU_ENOMEM);
    assert_int_equal(buf.failed, 0);
    assert_int_equal(mu_buf_reserve(&buf, 100), 0);
    const uint8_t *data = buf.data;
    assert_int_equal(mu_buf_append(&buf, "0123456789", 10), 0);
    assert_int_equal(mu_buf_reserve(&buf, 90), 0);
    assert_ptr_equal(buf.data, data); /* reserved means: does not move */
    struct mu_buf unbounded = {0};
    assert_int_equal(mu_buf_append_text(&unbounded, "x"), 0);
    assert_int_equal(mu_buf_reserve(&unbounded, SIZE_MAX - 1), MU_ELIMIT);
    assert_int_equal(mu_buf_reserve(&unbounded, SIZE_MAX - 2), MU_ENOMEM);
    mu_buf_fini(&unbounded);
    mu_buf_fini(&buf);
}

static void test_buf_printf__at_every_fill__same_text(void **state)
{
    (void)state;
    for (size_t fill = 0; fill < 200; fill++) {
        struct mu_buf buf = {0};
        for (size_t i = 0; i < fill; i++)
            assert_int_equal(mu_buf_append(&buf, "x", 1), 0);
        assert_int_equal(mu_buf_printf(&buf, "%s=%d;", "number", 1234567), 0);
        assert_int_equal(mu_buf_printf(&buf, "%s", ""), 0);
        assert_int_equal(buf.len, fill + 15);
        assert_memory_equal(buf.data + fill, "number=1234567;", 15);
        mu_buf_fini(&buf);
    }
}

static void test_buf__random_operations__equal_twin(void **state)
{
    (void)state;
    struct mu_test_run run = mu_test_run_begin(2);
    enum { MAX = 5000 };
    static uint8_t twin[MAX];
    size_t len = 0;
    struct mu_buf buf;
    mu_buf_init(&buf, MAX);
    for (; run.step < 100000; run.step++) {
        uint64_t n = mu_random_below(&run.random, 300);
        if (mu_random_chance(&run.random, 550)) {
            uint8_t piece[300];
            memset(piece, (int)(run.step & 0xff), sizeof piece);
            int error = mu_buf_append(&buf, piece, n);
            MU_TEST_CHECK(&run, error == (len + n > MAX ? MU_ELIMIT : 0));
            buf.failed = 0;
            if (error == 0) {
                memcpy(twin + len, piece, n);
                len += n;
            }
        } else {
            size_t drop = n < len ? n : len;
            mu_buf_consume(&buf, drop);
            memmove(twin, twin + drop, len - drop);
            len -= drop;
        }
        MU_TEST_CHECK(&run, buf.len == len);
        MU_TEST_CHECK(&run, len == 0 || memcmp(buf.data, twin, len) == 0);
    }
    mu_buf_fini(&buf);
}

static void consume_too_much(void *context)
{
    mu_buf_consume(context, 3);
}

static void test_buf_consume__more_than_there_is__asserts(void **state)
{
    (void)state;
    struct mu_buf buf = {0};
    assert_int_equal(mu_buf_append_str(&buf, MU_STR("ab")), 0);
    assert_true(mu_test_aborts(consume_too_much, &buf));
    mu_buf_consume(&buf, 2);
    assert_int_equal(buf.len, 0);
    mu_buf_fini(&buf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_buf_append__beyond_max__sticky_and_unchanged),
        cmocka_unit_test(test_buf_append__out_of_memory__sticky_and_unchanged),
        cmocka_unit_test(test_buf_reserve__fails__not_sticky),
        cmocka_unit_test(test_buf_consume__more_than_there_is__asserts),
        cmocka_unit_test(test_buf_printf__at_every_fill__same_text),
        cmocka_unit_test(test_buf__random_operations__equal_twin),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
