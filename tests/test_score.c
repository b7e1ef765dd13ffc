#include "tests/mu_test.h"

#include "engine/base/error.h"
#include "engine/score.h"

#define GI (INT64_C(1) << 30)

static int64_t left_of(enum mu_score_policy policy, const struct mu_score_node *node, int64_t cpu,
                       int64_t memory)
{
    int64_t score = mu_score_key(policy, node, cpu, memory) >> MU_SCORE_TIE_BITS;
    return policy == MU_SCORE_SPREAD ? score : MU_SCORE_LEFT_MAX - score;
}

static void test_score_policy_parse__words__known_ones_only(void **state)
{
    (void)state;
    enum mu_score_policy policy = MU_SCORE_SPREAD;
    assert_int_equal(mu_score_policy_parse(MU_STR("pack"), &policy), 0);
    assert_int_equal(policy, MU_SCORE_PACK);
    assert_int_equal(mu_score_policy_parse(MU_STR("spread"), &policy), 0);
    assert_int_equal(policy, MU_SCORE_SPREAD);
    policy = MU_SCORE_PACK;
    assert_int_equal(mu_score_policy_parse(MU_STR("Spread"), &policy), MU_EINVAL);
    assert_int_equal(mu_score_policy_parse(MU_STR(""), &policy), MU_EINVAL);
    assert_int_equal(policy, MU_SCORE_PACK);
}

static void test_score_weight__edges__documented_values(void **state)
{
    (void)state;
    assert_int_equal(mu_score_weight(0), 0);
    assert_int_equal(mu_score_weight(-5), 0);
    assert_int_equal(mu_score_weight(1), MU_SCORE_PART_MAX);
    assert_int_equal(mu_score_weight(3), MU_SCORE_PART_MAX / 3);
    assert_int_equal(mu_score_weight(INT64_MAX), 0);
    assert_int_equal(mu_score_weight_limit(0), MU_SCORE_PART_MAX);
    assert_int_equal(mu_score_weight_limit(1000), MU_SCORE_PART_MAX / 1000);
}

static void test_score_key__share_of_a_node__about_2_30_per_resource(void **state)
{
    (void)state;
    const int64_t one = INT64_C(1) << 30;
    struct mu_score_node node = {96000, 384 * GI, 96000, 384 * GI, 0};
    assert_in_range(left_of(MU_SCORE_SPREAD, &node, 0, 0), 2 * one - 1024, 2 * one - 1);
    assert_in_range(left_of(MU_SCORE_SPREAD, &node, 48000, 0), one + one / 2 - 1024,
                    one + one / 2 + 1024);
    assert_in_range(left_of(MU_SCORE_SPREAD, &node, 48000, 192 * GI), one - 1024, one + 1024);
    assert_in_range(left_of(MU_SCORE_SPREAD, &node, 96000, 384 * GI), 0, 0);
    /* The same left over, whichever policy. */
    assert_int_equal(left_of(MU_SCORE_SPREAD, &node, 1234, 5 * GI),
                     left_of(MU_SCORE_PACK, &node, 1234, 5 * GI));
    /* Nothing allocatable scores nothing; room below zero counts as none. */
    struct mu_score_node odd = {-500, 0, 96000, 0, 0};
    assert_int_equal(left_of(MU_SCORE_SPREAD, &odd, 0, 0), 0);
}

static void test_score_key__two_nodes__policy_then_tie(void **state)
{
    (void)state;
    struct mu_score_node empty = {8000, 8 * GI, 8000, 8 * GI, 9};
    struct mu_score_node used = {4000, 8 * GI, 8000, 8 * GI, 7};
    assert_true(mu_score_key(MU_SCORE_SPREAD, &empty, 100, GI) >
                mu_score_key(MU_SCORE_SPREAD, &used, 100, GI));
    assert_true(mu_score_key(MU_SCORE_PACK, &empty, 100, GI) <
                mu_score_key(MU_SCORE_PACK, &used, 100, GI));
    struct mu_score_node twin = empty;
    twin.tie = 7; /* smaller wins */
    assert_true(mu_score_key(MU_SCORE_SPREAD, &twin, 100, GI) >
                mu_score_key(MU_SCORE_SPREAD, &empty, 100, GI));
    assert_true(mu_score_key(MU_SCORE_PACK, &twin, 100, GI) >
                mu_score_key(MU_SCORE_PACK, &empty, 100, GI));
    twin.tie = 8; /* differs from 9 in the bit that the key has no room for */
    assert_int_equal(mu_score_key(MU_SCORE_SPREAD, &twin, 100, GI),
                     mu_score_key(MU_SCORE_SPREAD, &empty, 100, GI));
}

static void test_score_key__any_node_that_fits__within_range(void **state)
{
    (void)state;
    struct mu_test_run run = mu_test_run_begin(2);
    for (run.step = 0; run.step < 200000; run.step++) {
        struct mu_score_node node = {.tie = (uint32_t)mu_random_u64(&run.random)};
        node.alloc_cpu = (int64_t)(mu_random_u64(&run.random) >> (1 + run.step % 63));
        node.alloc_memory = (int64_t)(mu_random_u64(&run.random) >> (1 + run.step % 61));
        node.free_cpu = mu_random_between(&run.random, 0, node.alloc_cpu);
        node.free_memory = mu_random_between(&run.random, 0, node.alloc_memory);
        int64_t cpu = mu_random_between(&run.random, 0, node.free_cpu);
        int64_t memory = mu_random_between(&run.random, 0, node.free_memory);
        int64_t spread = mu_score_key(MU_SCORE_SPREAD, &node, cpu, memory);
        int64_t pack = mu_score_key(MU_SCORE_PACK, &node, cpu, memory);
        MU_TEST_CHECK(&run, spread >= 0 && spread < INT64_C(1) << 62);
        MU_TEST_CHECK(&run, pack >= 0 && pack < INT64_C(1) << 62);
        /* Less taken leaves no less. */
        MU_TEST_CHECK(&run, left_of(MU_SCORE_SPREAD, &node, cpu / 2, memory / 2) >=
                                left_of(MU_SCORE_SPREAD, &node, cpu, memory));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_score_policy_parse__words__known_ones_only),
        cmocka_unit_test(test_score_weight__edges__documented_values),
        cmocka_unit_test(test_score_key__share_of_a_node__about_2_30_per_resource),
        cmocka_unit_test(test_score_key__two_nodes__policy_then_tie),
        cmocka_unit_test(test_score_key__any_node_that_fits__within_range),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
