#include "engine/base/clock.h"

#include "engine/base/assert.h"
#include "engine/base/error.h"
#include "tests/mu_test.h"

static void test_clock_real__two_reads__do_not_go_back(void **state)
{
    (void)state;
    const struct mu_clock *clock = mu_clock_real();
    uint64_t before = clock->now_ns(clock);
    uint64_t after = clock->now_ns(clock);
    assert_true(before > 0 && after >= before);
    assert_true(clock->wall_ns(clock) > UINT64_C(1700000000) * MU_NS_PER_S);
}

static void set_back(void *context)
{
    struct mu_clock_virtual *v = context;
    mu_clock_virtual_set(v, v->now_ns - 1);
}

static void test_clock_virtual__set__moves_both_times_forward_only(void **state)
{
    (void)state;
    struct mu_clock_virtual v;
    mu_clock_virtual_init(&v, 100, 1000);
    const struct mu_clock *clock = &v.clock;
    assert_int_equal(clock->now_ns(clock), 100);
    assert_int_equal(clock->wall_ns(clock), 1100);
    mu_clock_virtual_set(&v, 100);
    mu_clock_virtual_set(&v, 250);
    assert_int_equal(clock->now_ns(clock), 250);
    assert_int_equal(clock->wall_ns(clock), 1250);
    assert_true(mu_test_aborts(set_back, &v));
}

static void test_assert_fail__message__names_place_and_condition(void **state)
{
    (void)state;
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    (void)fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        struct rlimit none = {0, 0};
        (void)setrlimit(RLIMIT_CORE, &none);
        (void)signal(SIGABRT, SIG_DFL);
        (void)dup2(ends[1], STDERR_FILENO);
        mu_assert_fail("folder/file.c", 12, "a == b");
    }
    (void)close(ends[1]);
    char text[256] = {0};
    ssize_t n = read(ends[0], text, sizeof text - 1);
    (void)close(ends[0]);
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    assert_true(n > 0);
    assert_string_equal(text, "folder/file.c:12: assertion failed: a == b\n");
}

static void assert_long_text(void *context)
{
    char text[2000];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    mu_assert_fail(context, 1, text);
}

static void test_assert_fail__long_condition__still_aborts(void **state)
{
    (void)state;
    char file[] = "f.c";
    assert_true(mu_test_aborts(assert_long_text, file));
}

static void test_error_set__long_text__cut_and_code_returned(void **state)
{
    (void)state;
    struct mu_error e;
    assert_int_equal(mu_error_set(&e, MU_EINVAL, "node %s: field %d", "n1", 7), MU_EINVAL);
    assert_int_equal(e.code, MU_EINVAL);
    assert_string_equal(e.text, "node n1: field 7");
    assert_int_equal(mu_error_set(NULL, MU_EIO, "nobody listens"), MU_EIO);
    char text[1000];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    (void)mu_error_set(&e, MU_EIO, "%s", text);
    assert_int_equal(strlen(e.text), MU_ERROR_TEXT_BYTES - 1);
}

static void test_error_name__ours_and_others__named(void **state)
{
    (void)state;
    assert_string_equal(mu_error_name(MU_ENOMEM), "MU_ENOMEM");
    assert_string_equal(mu_error_text(MU_EIO), "input or output failed");
    assert_string_equal(mu_error_name(-1), "error");
    assert_string_equal(mu_error_text(0), "unknown error");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_clock_real__two_reads__do_not_go_back),
        cmocka_unit_test(test_clock_virtual__set__moves_both_times_forward_only),
        cmocka_unit_test(test_assert_fail__message__names_place_and_condition),
        cmocka_unit_test(test_assert_fail__long_condition__still_aborts),
        cmocka_unit_test(test_error_set__long_text__cut_and_code_returned),
        cmocka_unit_test(test_error_name__ours_and_others__named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
