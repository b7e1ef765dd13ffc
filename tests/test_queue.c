#include "tests/mu_test.h"

#include "engine/base/error.h"
#include "engine/session/queue.h"
#include "tests/support/cluster.h"

static uint32_t gang_add(struct mu_cluster *cluster, uint32_t flags, int32_t priority,
                         uint64_t created_s)
{
    const struct mu_cluster_subgroup none = {0};
    const struct mu_cluster_gang gang = {.flags = flags,
                                         .priority = priority,
                                         .created_s = created_s,
                                         .subgroup_count = 1,
                                         .subgroups = &none};
    return mu_cluster_gang(cluster, &gang);
}

static void test_queue_build__every_rule__in_order(void **state)
{
    (void)state;
    struct mu_cluster cluster;
    mu_cluster_init(&cluster, 0, 16);
    uint32_t late = gang_add(&cluster, 0, 5, 200);
    uint32_t low = gang_add(&cluster, 0, INT32_MIN, 1);
    uint32_t early = gang_add(&cluster, 0, 5, 100);
    uint32_t early_second = gang_add(&cluster, 0, 5, 100);
    uint32_t done = gang_add(&cluster, 0, 9, 1);
    uint32_t short_low = gang_add(&cluster, MU_GANG_SHORT, -7, 900);
    uint32_t high = gang_add(&cluster, 0, INT32_MAX, 900);
    uint32_t short_high = gang_add(&cluster, MU_GANG_SHORT, 0, 901);
    mu_cluster_gang_done(&cluster, done);
    const uint32_t want[] = {short_high, short_low, high, early, early_second, late, low};
    struct mu_arena *arena = mu_arena_create(1 << 20);
    struct mu_queue queue;
    assert_int_equal(mu_queue_build(&cluster.snapshot, arena, &queue), 0);
    assert_int_equal(queue.count, 7);
    for (uint32_t i = 0; i < 7; i++)
        assert_int_equal(queue.rows[i], want[i]);
    mu_arena_destroy(arena);
    mu_cluster_fini(&cluster);
}

static void test_queue_build__none_pending__empty(void **state)
{
    (void)state;
    struct mu_cluster cluster;
    mu_cluster_init(&cluster, 0, 1);
    struct mu_arena *arena = mu_arena_create(1 << 20);
    struct mu_queue queue = {1, NULL};
    assert_int_equal(mu_queue_build(&cluster.snapshot, arena, &queue), 0);
    assert_int_equal(queue.count, 0);
    mu_arena_destroy(arena);
    mu_cluster_fini(&cluster);
}

static void test_queue_build__arena_bound__no_memory(void **state)
{
    (void)state;
    struct mu_cluster cluster;
    mu_cluster_init(&cluster, 0, 100);
    for (uint32_t i = 0; i < 100; i++)
        (void)gang_add(&cluster, 0, i == 99 ? 1 : 0, 0); /* the last goes first: to be sorted */
    for (size_t bytes = 16; bytes < 6000; bytes += 1500) {
        struct mu_arena *arena = mu_arena_create(bytes);
        struct mu_queue queue = {77, NULL};
        assert_int_equal(mu_queue_build(&cluster.snapshot, arena, &queue), MU_ENOMEM);
        assert_int_equal(queue.count, 77);
        mu_arena_destroy(arena);
    }
    mu_cluster_fini(&cluster);
}

/* Naive: a row may not be preferred to the one before it. */
static bool in_order(const struct mu_gang_row *a, const struct mu_gang_row *b)
{
    bool a_short = (a->flags & MU_GANG_SHORT) != 0, b_short = (b->flags & MU_GANG_SHORT) != 0;
    if (a_short != b_short)
        return a_short;
    if (a->priority != b->priority)
        return a->priority > b->priority;
    if (a->created_s != b->created_s)
        return a->created_s < b->created_s;
    return a->sequence < b->sequence;
}

static void test_queue_build__random_gangs__sorted_permutation(void **state)
{
    (void)state;
    struct mu_test_run run = mu_test_run_begin(41);
    for (run.step = 0; run.step < 300; run.step++) {
        struct mu_cluster cluster;
        uint32_t count = (uint32_t)mu_random_below(&run.random, 300);
        uint64_t spread = 1 + mu_random_below(&run.random, 1000);
        bool sorted = mu_random_chance(&run.random, 300); /* mostly one run, as in life */
        mu_cluster_init(&cluster, 0, count);
        for (uint32_t i = 0; i < count; i++) {
            uint32_t flags = mu_random_chance(&run.random, sorted ? 5 : 200) ? MU_GANG_SHORT : 0;
            int32_t priority = sorted ? 0 : (int32_t)mu_random_between(&run.random, -2, 2);
            uint64_t created = sorted ? i / 3 : mu_random_below(&run.random, spread);
            uint32_t row = gang_add(&cluster, flags, priority, created);
            if (mu_random_chance(&run.random, 100))
                mu_cluster_gang_done(&cluster, row);
        }
        struct mu_arena *arena = mu_arena_create(1 << 20);
        struct mu_queue queue;
        MU_TEST_CHECK(&run, mu_queue_build(&cluster.snapshot, arena, &queue) == 0);
        MU_TEST_CHECK(&run, queue.count == cluster.snapshot.pending_gangs);
        for (uint32_t i = 0; i < queue.count; i++) {
            const struct mu_gang_row *row = &cluster.snapshot.gangs[queue.rows[i]];
            MU_TEST_CHECK(&run, (row->flags & MU_GANG_PENDING) != 0);
            /* Strictly in order: no row twice. */
            MU_TEST_CHECK(&run,
                          i == 0 || in_order(&cluster.snapshot.gangs[queue.rows[i - 1]], row));
        }
        mu_arena_destroy(arena);
        mu_cluster_fini(&cluster);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_queue_build__arena_bound__no_memory),
        cmocka_unit_test(test_queue_build__none_pending__empty),
        cmocka_unit_test(test_queue_build__every_rule__in_order),
        cmocka_unit_test(test_queue_build__random_gangs__sorted_permutation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
