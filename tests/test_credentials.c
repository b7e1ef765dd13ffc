/* When credentials are read again, under virtual time. */
#include "tests/mu_test.h"

#include "engine/base/clock.h"
#include "informer/credentials.h"

#define S MU_NS_PER_S

static void test_credentials__accepted__read_every_minute(void **state)
{
    struct mu_credentials c;
    uint64_t now = 5 * S;
    (void)state;
    mu_credentials_init(&c, true, now);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(mu_credentials_next_ns(&c), now + 60 * S);
        assert_int_equal(mu_credentials_answer(&c, 200, now + S), MU_CREDENTIALS_NOTHING);
        now += 60 * S;
        assert_int_equal(mu_credentials_read(&c, 0, now), MU_CREDENTIALS_NOTHING);
    }
    now += 60 * S;
    assert_int_equal(mu_credentials_read(&c, 2, now), MU_CREDENTIALS_CHANGED);
    assert_int_equal(mu_credentials_next_ns(&c), now + 60 * S);
}

static void test_credentials__inline__never_read_again_but_when_wished(void **state)
{
    struct mu_credentials c;
    (void)state;
    mu_credentials_init(&c, false, 0);
    assert_int_equal(mu_credentials_next_ns(&c), UINT64_MAX);
    assert_int_equal(mu_credentials_answer(&c, 401, S), MU_CREDENTIALS_REFUSED);
    assert_int_equal(mu_credentials_next_ns(&c), UINT64_MAX);
    mu_credentials_wish(&c, 2 * S);
    assert_int_equal(mu_credentials_next_ns(&c), 2 * S);
    assert_int_equal(mu_credentials_read(&c, 0, 2 * S), MU_CREDENTIALS_CHANGED_NONE);
    assert_int_equal(mu_credentials_next_ns(&c), UINT64_MAX);
    assert_int_equal(mu_credentials_answer(&c, 200, 3 * S), MU_CREDENTIALS_TAKEN);
    assert_int_equal(mu_credentials_next_ns(&c), UINT64_MAX);
}

static void test_credentials__401__read_at_once_then_ever_more_rarely(void **state)
{
    static const uint64_t waits[] = {1, 2, 4, 8, 16, 32, 60, 60};
    struct mu_credentials c;
    uint64_t now = 30 * S;
    (void)state;
    mu_credentials_init(&c, true, 0);
    assert_int_equal(mu_credentials_answer(&c, 401, now), MU_CREDENTIALS_REFUSED);
    assert_int_equal(mu_credentials_next_ns(&c), now);
    for (size_t i = 0; i < sizeof waits / sizeof waits[0]; i++) {
        for (int more = 0; more < 300; more++) /* a whole burst is one read */
            assert_int_equal(mu_credentials_answer(&c, 401, now), MU_CREDENTIALS_NOTHING);
        assert_int_equal(mu_credentials_read(&c, 0, now), MU_CREDENTIALS_NOTHING);
        assert_int_equal(mu_credentials_next_ns(&c), now + waits[i] * S);
        now += waits[i] * S;
    }
    assert_int_equal(mu_credentials_read(&c, 2, now), MU_CREDENTIALS_CHANGED);
    assert_int_equal(mu_credentials_answer(&c, 503, now), MU_CREDENTIALS_NOTHING);
    assert_int_equal(mu_credentials_answer(&c, 429, now), MU_CREDENTIALS_NOTHING);
    assert_int_equal(mu_credentials_answer(&c, 201, now), MU_CREDENTIALS_TAKEN);
    assert_int_equal(mu_credentials_next_ns(&c), now + 60 * S);
    /* The next time begins at once again. */
    now += 2 * S;
    assert_int_equal(mu_credentials_answer(&c, 401, now), MU_CREDENTIALS_REFUSED);
    assert_int_equal(mu_credentials_next_ns(&c), now);
    assert_int_equal(mu_credentials_read(&c, 0, now), MU_CREDENTIALS_NOTHING);
    assert_int_equal(mu_credentials_next_ns(&c), now + S);
}

/* One of several servers does not know us: no more than a read a second. */
static void test_credentials__alternating_answers__no_hot_loop(void **state)
{
    struct mu_credentials c;
    uint64_t reads = 0;
    (void)state;
    mu_credentials_init(&c, true, 0);
    for (uint64_t now = S; now < 21 * S; now += MU_NS_PER_MS) {
        (void)mu_credentials_answer(&c, now / MU_NS_PER_MS % 2 == 0 ? 401 : 200, now);
        if (mu_credentials_next_ns(&c) <= now) {
            (void)mu_credentials_read(&c, 0, now);
            reads++;
        }
    }
    assert_in_range(reads, 10, 20);
}

static void test_credentials__forbidden__is_trust(void **state)
{
    static const int trust[] = {200, 201, 403, 404, 409, 410, 422};
    static const int silent[] = {0, 100, 302, 400, 408, 429, 500, 502, 503, 504};
    (void)state;
    for (size_t i = 0; i < sizeof trust / sizeof trust[0]; i++) {
        struct mu_credentials c;
        mu_credentials_init(&c, true, 0);
        (void)mu_credentials_answer(&c, 401, S);
        assert_int_equal(mu_credentials_answer(&c, trust[i], S), MU_CREDENTIALS_TAKEN);
    }
    for (size_t i = 0; i < sizeof silent / sizeof silent[0]; i++) {
        struct mu_credentials c;
        mu_credentials_init(&c, true, 0);
        (void)mu_credentials_answer(&c, 401, S);
        assert_int_equal(mu_credentials_answer(&c, silent[i], S), MU_CREDENTIALS_NOTHING);
    }
}

static void test_credentials__unreadable__said_once_and_when_over(void **state)
{
    struct mu_credentials c;
    uint64_t now = 60 * S;
    (void)state;
    mu_credentials_init(&c, true, 0);
    assert_int_equal(mu_credentials_read(&c, -1, now), MU_CREDENTIALS_UNREADABLE);
    assert_int_equal(mu_credentials_read(&c, -1, now += 60 * S), MU_CREDENTIALS_NOTHING);
    assert_int_equal(mu_credentials_read(&c, 0, now += 60 * S), MU_CREDENTIALS_READABLE);
    assert_int_equal(mu_credentials_read(&c, 0, now += 60 * S), MU_CREDENTIALS_NOTHING);
    assert_int_equal(mu_credentials_read(&c, -1, now += 60 * S), MU_CREDENTIALS_UNREADABLE);
    mu_credentials_wish(&c, now); /* who asks is told, again if need be */
    assert_int_equal(mu_credentials_read(&c, -1, now), MU_CREDENTIALS_UNREADABLE);
    assert_int_equal(mu_credentials_read(&c, 1, now += 60 * S), MU_CREDENTIALS_CHANGED);
}

/* A wish is not lost when the server takes the credentials before it is fulfilled. */
static void test_credentials__wish_while_refused__is_kept(void **state)
{
    struct mu_credentials c;
    (void)state;
    mu_credentials_init(&c, true, 0);
    (void)mu_credentials_answer(&c, 401, 10 * S);
    mu_credentials_wish(&c, 10 * S);
    assert_int_equal(mu_credentials_answer(&c, 200, 10 * S), MU_CREDENTIALS_TAKEN);
    assert_int_equal(mu_credentials_next_ns(&c), 10 * S);
    assert_int_equal(mu_credentials_read(&c, 0, 11 * S), MU_CREDENTIALS_CHANGED_NONE);
}

/* Nor is it put off by a 401 that comes a moment after a read. */
static void test_credentials__401_after_a_wish__does_not_put_it_off(void **state)
{
    struct mu_credentials c;
    (void)state;
    mu_credentials_init(&c, true, 0);
    assert_int_equal(mu_credentials_read(&c, 0, 60 * S), MU_CREDENTIALS_NOTHING);
    mu_credentials_wish(&c, 60 * S);
    assert_int_equal(mu_credentials_answer(&c, 401, 60 * S), MU_CREDENTIALS_REFUSED);
    assert_int_equal(mu_credentials_next_ns(&c), 60 * S);
    assert_int_equal(mu_credentials_read(&c, 0, 60 * S), MU_CREDENTIALS_CHANGED_NONE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_credentials__accepted__read_every_minute),
        cmocka_unit_test(test_credentials__inline__never_read_again_but_when_wished),
        cmocka_unit_test(test_credentials__401__read_at_once_then_ever_more_rarely),
        cmocka_unit_test(test_credentials__alternating_answers__no_hot_loop),
        cmocka_unit_test(test_credentials__forbidden__is_trust),
        cmocka_unit_test(test_credentials__unreadable__said_once_and_when_over),
        cmocka_unit_test(test_credentials__wish_while_refused__is_kept),
        cmocka_unit_test(test_credentials__401_after_a_wish__does_not_put_it_off),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
