#include "tests/mu_test.h"

#include "tools/scheduler/backoff.h"

#define SECOND UINT64_C(1000000000)

static const struct mu_uid pod_a = {1, 2}, pod_b = {3, 4};

static void test_backoff_denied__again_and_again__doubles_to_its_limit(void **state)
{
    struct mu_backoff *b = mu_backoff_create();
    struct mu_uid uid;
    uint64_t now_ns = 0, delay_ns = SECOND;
    bool first;
    (void)state;
    for (int i = 0; i < 12; i++) {
        uint64_t due_ns = mu_backoff_denied(b, pod_a, now_ns, &first);
        assert_int_equal(first, i == 0);
        assert_true(due_ns == now_ns + delay_ns);
        assert_true(mu_backoff_next_ns(b) <= due_ns);
        assert_false(mu_backoff_due(b, due_ns - 1, &uid));
        assert_int_equal(mu_backoff_waiting(b), 1);
        assert_true(mu_backoff_due(b, due_ns, &uid));
        assert_true(mu_uid_equal(uid, pod_a));
        assert_int_equal(mu_backoff_waiting(b), 0);
        now_ns = due_ns;
        delay_ns = 2 * delay_ns > 300 * SECOND ? 300 * SECOND : 2 * delay_ns;
    }
    mu_backoff_destroy(b);
}

static void test_backoff__not_denied_again__is_forgotten(void **state)
{
    struct mu_backoff *b = mu_backoff_create();
    struct mu_uid uid;
    bool first;
    (void)state;
    (void)mu_backoff_denied(b, pod_a, 0, &first);
    assert_true(mu_backoff_due(b, SECOND, &uid));
    assert_false(mu_backoff_due(b, 2 * SECOND, &uid));
    assert_true(mu_backoff_next_ns(b) == UINT64_MAX);
    assert_true(mu_backoff_denied(b, pod_a, 3 * SECOND, &first) == 4 * SECOND);
    assert_true(first);
    mu_backoff_destroy(b);
}

static void test_backoff__several_pods__each_at_its_time(void **state)
{
    struct mu_backoff *b = mu_backoff_create();
    struct mu_uid uid;
    bool first;
    (void)state;
    (void)mu_backoff_denied(b, pod_a, 0, &first);
    (void)mu_backoff_denied(b, pod_b, SECOND / 2, &first);
    assert_true(mu_backoff_due(b, 2 * SECOND, &uid) && mu_uid_equal(uid, pod_a));
    assert_true(mu_backoff_due(b, 2 * SECOND, &uid) && mu_uid_equal(uid, pod_b));
    assert_false(mu_backoff_due(b, 2 * SECOND, &uid));
    mu_backoff_destroy(b);
}

static bool denied_body(void *context)
{
    struct mu_backoff *b = mu_backoff_create();
    bool first, passed = false;
    (void)context;
    if (b != NULL) {
        passed = mu_backoff_denied(b, pod_a, 5, &first) == 5 + SECOND;
        assert_int_equal(mu_backoff_waiting(b), passed ? 1 : 0);
    }
    mu_backoff_destroy(b);
    return passed;
}

static void test_backoff__out_of_memory__no_wait_nothing_kept(void **state)
{
    (void)state;
    assert_true(mu_test_fail_each(denied_body, NULL) > 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_backoff_denied__again_and_again__doubles_to_its_limit),
        cmocka_unit_test(test_backoff__not_denied_again__is_forgotten),
        cmocka_unit_test(test_backoff__several_pods__each_at_its_time),
        cmocka_unit_test(test_backoff__out_of_memory__no_wait_nothing_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
