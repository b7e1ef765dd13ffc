#include "informer/http_wheel.h"

#include "tests/mu_test.h"

#define ENTRIES 200u

struct timed {
    struct mu_wheel_entry entry;
    uint64_t due_ns; /* the twin: UINT64_MAX when not armed */
};

static struct timed *timed_of(struct mu_wheel_entry *entry)
{
    return MU_LINK_OWNER(entry, struct timed, entry);
}

static uint64_t earliest(const struct timed *all)
{
    uint64_t min = UINT64_MAX;
    for (uint32_t i = 0; i < ENTRIES; i++)
        min = all[i].due_ns < min ? all[i].due_ns : min;
    return min;
}

/* Deadlines from the next tick to several turns away; steps from nothing to a long sleep. */
static uint64_t random_span(struct mu_random *random)
{
    static const uint64_t spans[] = {1, MU_WHEEL_TICK_NS, 20 * MU_WHEEL_TICK_NS,
                                     MU_WHEEL_SLOTS * MU_WHEEL_TICK_NS,
                                     5 * MU_WHEEL_SLOTS * MU_WHEEL_TICK_NS};
    return mu_random_below(random, spans[mu_random_below(random, 5)] + 1);
}

static void pop_due(struct mu_test_run *run, struct mu_wheel *wheel, uint64_t now_ns)
{
    struct mu_wheel_entry *entry;
    while ((entry = mu_wheel_pop(wheel, now_ns)) != NULL) {
        struct timed *t = timed_of(entry);
        MU_TEST_CHECK(run, t->due_ns <= now_ns); /* armed, and not early */
        t->due_ns = UINT64_MAX;
        MU_TEST_CHECK(run, !mu_wheel_armed(entry));
        if (mu_random_chance(&run->random, 200)) { /* re-armed by its own expiry */
            t->due_ns = now_ns + random_span(&run->random);
            mu_wheel_arm(wheel, entry, t->due_ns);
        }
    }
}

static void run_against_twin(uint64_t seed)
{
    struct mu_test_run run = mu_test_run_begin(seed);
    static struct mu_wheel wheel;
    static struct timed all[ENTRIES];
    uint64_t now_ns = 123456789;
    uint32_t armed = 0;
    mu_wheel_init(&wheel, now_ns);
    for (uint32_t i = 0; i < ENTRIES; i++) {
        mu_wheel_entry_init(&all[i].entry, 0);
        all[i].due_ns = UINT64_MAX;
    }
    for (; run.step < 20000; run.step++) {
        struct timed *t = &all[mu_random_below(&run.random, ENTRIES)];
        uint64_t dice = mu_random_below(&run.random, 10);
        if (dice < 6) {
            t->due_ns = now_ns + random_span(&run.random);
            mu_wheel_arm(&wheel, &t->entry, t->due_ns);
        } else if (dice < 8) {
            mu_wheel_disarm(&wheel, &t->entry);
            t->due_ns = UINT64_MAX;
        } else {
            now_ns += random_span(&run.random);
            pop_due(&run, &wheel, now_ns);
            /* At most one tick late. */
            MU_TEST_CHECK(&run, earliest(all) > now_ns - MU_WHEEL_TICK_NS);
        }
        armed = 0;
        for (uint32_t i = 0; i < ENTRIES; i++)
            armed += all[i].due_ns != UINT64_MAX;
        MU_TEST_CHECK(&run, wheel.count == armed);
        uint64_t first = earliest(all);
        uint64_t next = mu_wheel_next_ns(&wheel);
        MU_TEST_CHECK(&run, (first == UINT64_MAX) == (next == UINT64_MAX));
        if (first != UINT64_MAX && first >= now_ns)
            MU_TEST_CHECK(&run, next < first + MU_WHEEL_TICK_NS);
    }
}

static void test_http_wheel__random_against_twin__never_early_never_lost(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 10; seed++)
        run_against_twin(seed);
}

static void test_http_wheel_arm__far_future_and_past__fine(void **state)
{
    (void)state;
    static struct mu_wheel wheel;
    struct mu_wheel_entry a;
    struct mu_wheel_entry b;
    mu_wheel_init(&wheel, 1000 * MU_WHEEL_TICK_NS);
    mu_wheel_entry_init(&a, 1);
    mu_wheel_entry_init(&b, 2);
    mu_wheel_arm(&wheel, &a, UINT64_MAX);
    mu_wheel_arm(&wheel, &b, 0);
    assert_ptr_equal(mu_wheel_pop(&wheel, 1001 * MU_WHEEL_TICK_NS), &b);
    assert_null(mu_wheel_pop(&wheel, UINT64_MAX / 2));
    assert_true(mu_wheel_armed(&a));
    mu_wheel_disarm(&wheel, &a);
    mu_wheel_disarm(&wheel, &a); /* harmless */
    assert_int_equal(wheel.count, 0);
    assert_true(mu_wheel_next_ns(&wheel) == UINT64_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_http_wheel__random_against_twin__never_early_never_lost),
        cmocka_unit_test(test_http_wheel_arm__far_future_and_past__fine),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
