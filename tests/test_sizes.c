/* Sizes against the formulas, row by row: random nodes that come, go and change, and what blocks
 * share. */
#include "tests/mu_test.h"

#include "engine/base/bitset.h"
#include "engine/base/error.h"
#include "engine/base/mem.h"
#include "engine/place/sizes.h"
#include "tests/support/cluster.h"

#define MI INT64_C(1048576)

static void node_put(struct mu_cluster *cluster, int64_t cpu_millis, int64_t memory_bytes)
{
    (void)mu_cluster_plain_node(cluster, "n", cpu_millis, memory_bytes, 110, 0);
}

static void score_of(struct mu_score *score, const struct mu_profile *profile,
                     const struct mu_snapshot *s)
{
    mu_score_compile(score, profile, s->model, s->resource_count);
}

static int64_t weight_at(const struct mu_sizes *sizes, uint32_t f, uint32_t slot, uint32_t row)
{
    return sizes->blocks[row / MU_NODE_CHUNK]
                        [mu_sizes_weight(sizes->slot_count, f, slot) + row % MU_NODE_CHUNK];
}

/* What it says of each present row, and that holes do not lower the smallest weight of a block. */
static bool right(const struct mu_sizes *sizes, const struct mu_score *score,
                  const struct mu_snapshot *s)
{
    bool is_right = sizes->slot_count == score->slot_count;
    for (uint32_t row = 0; row < s->node_rows; row++) {
        bool present = (s->nodes[row].flags & MU_NODE_PRESENT) != 0;
        bool own = mu_bitset_test(sizes->own, row / MU_NODE_CHUNK);
        for (uint32_t slot = 0; slot < score->slot_count; slot++) {
            uint32_t r = score->forms[0].parts[slot].resource;
            uint32_t at = mu_sizes_alloc(sizes->slot_count, sizes->form_count, slot);
            is_right = is_right &&
                       (!present || sizes->blocks[row / MU_NODE_CHUNK][at + row % MU_NODE_CHUNK] ==
                                        mu_snapshot_alloc(s, r, row));
            for (uint32_t f = 0; f < score->form_count; f++) {
                const struct mu_score_part *part = &score->forms[f].parts[slot];
                int64_t want =
                    mu_score_weight(part->most, mu_snapshot_alloc(s, r, row) >> part->shift);
                is_right = is_right && (!present || weight_at(sizes, f, slot, row) == want);
                is_right = is_right &&
                           (present || !own || weight_at(sizes, f, slot, row) == MU_SIZES_NEUTRAL);
            }
        }
    }
    return is_right;
}

static void test_sizes_build__nodes_alike__blocks_share(void **state)
{
    (void)state;
    struct mu_cluster cluster;
    struct mu_score score;
    struct mu_sizes sizes = {0};
    mu_cluster_init(&cluster, 5 * MU_NODE_CHUNK, 0);
    for (uint32_t n = 0; n < 4 * MU_NODE_CHUNK; n++) /* two small, one mixed, one large block */
        node_put(&cluster, n < 150 ? 1000 : 2000, 64 * MI);
    (void)mu_cluster_hole(&cluster);
    score_of(&score, &mu_profile_default, &cluster.snapshot);
    assert_int_equal(mu_sizes_build(&sizes, &score, &cluster.snapshot, cluster.snapshot.node_rows,
                                    5 * MU_NODE_CHUNK),
                     0);
    assert_true(right(&sizes, &score, &cluster.snapshot));
    assert_ptr_equal(sizes.blocks[0], sizes.blocks[1]);
    assert_int_equal(sizes.own[0], 1u << 2);
    assert_ptr_not_equal(sizes.blocks[3], sizes.blocks[0]);
    assert_int_equal(sizes.shared_count, 3); /* that of no node included */
    assert_ptr_equal(sizes.blocks[4], sizes.shared[0]);
    assert_true(weight_at(&sizes, 0, 0, 4 * MU_NODE_CHUNK) == MU_SIZES_NEUTRAL);
    mu_sizes_fini(&sizes);
    mu_cluster_fini(&cluster);
}

static void test_sizes_build__more_sizes_than_are_shared__the_rest_are_their_own(void **state)
{
    (void)state;
    struct mu_cluster cluster;
    struct mu_score score;
    struct mu_sizes sizes = {0};
    const uint32_t blocks = MU_SIZES_SHARED + 2;
    mu_cluster_init(&cluster, blocks * MU_NODE_CHUNK, 0);
    for (uint32_t n = 0; n < blocks * MU_NODE_CHUNK; n++)
        node_put(&cluster, 1000 + n / MU_NODE_CHUNK, 64 * MI);
    score_of(&score, &mu_profile_spread, &cluster.snapshot);
    assert_int_equal(mu_sizes_build(&sizes, &score, &cluster.snapshot, cluster.snapshot.node_rows,
                                    cluster.snapshot.node_cap),
                     0);
    assert_true(right(&sizes, &score, &cluster.snapshot));
    assert_int_equal(sizes.shared_count, MU_SIZES_SHARED);
    assert_int_equal(mu_bitset_count(sizes.own, blocks), 3);
    mu_sizes_fini(&sizes);
    mu_cluster_fini(&cluster);
}

/* The block's first node comes, nodes like it follow, and one that differs. */
static void test_sizes_follow__holes_filled__shared_until_one_differs(void **state)
{
    (void)state;
    struct mu_cluster cluster;
    struct mu_score score;
    struct mu_sizes sizes = {0};
    mu_cluster_init(&cluster, MU_NODE_CHUNK, 0);
    struct mu_snapshot *s = &cluster.snapshot;
    node_put(&cluster, 1000, 64 * MI);
    score_of(&score, &mu_profile_spread, s);
    mu_cluster_flags(&cluster, 0, 0);
    assert_int_equal(mu_sizes_build(&sizes, &score, s, 1, MU_NODE_CHUNK), 0);
    assert_ptr_equal(sizes.blocks[0], sizes.shared[0]);
    mu_cluster_flags(&cluster, 0, MU_NODE_PRESENT);
    assert_int_equal(mu_sizes_follow(&sizes, &score, s, 0), 0);
    assert_ptr_equal(sizes.blocks[0], sizes.shared[1]);
    node_put(&cluster, 1000, 64 * MI);
    assert_int_equal(mu_sizes_follow(&sizes, &score, s, 1), 0);
    assert_ptr_equal(sizes.blocks[0], sizes.shared[1]);
    node_put(&cluster, 3000, 64 * MI);
    assert_int_equal(mu_sizes_follow(&sizes, &score, s, 2), 0);
    assert_int_equal(sizes.own[0], 1);
    assert_true(right(&sizes, &score, s));
    assert_int_equal(sizes.shared_count, 2);
    mu_sizes_fini(&sizes);
    mu_cluster_fini(&cluster);
}

static void test_sizes__out_of_memory__says_so_and_can_be_built_anew(void **state)
{
    (void)state;
    struct mu_cluster cluster;
    struct mu_score score;
    struct mu_sizes sizes = {0};
    mu_cluster_init(&cluster, 3 * MU_NODE_CHUNK, 0);
    struct mu_snapshot *s = &cluster.snapshot;
    for (uint32_t n = 0; n < 2 * MU_NODE_CHUNK; n++)
        node_put(&cluster, n < 100 ? 1000 : 2000, 64 * MI);
    score_of(&score, &mu_profile_spread, s);
    int error = MU_ENOMEM;
    for (uint64_t nth = 1; error != 0; nth++) {
        mu_mem_debug_set((struct mu_mem_debug){.fail_nth = nth});
        error = mu_sizes_build(&sizes, &score, s, s->node_rows, s->node_cap);
        mu_mem_debug_set((struct mu_mem_debug){.fail_nth = 0});
        assert_true(error == 0 || (error == MU_ENOMEM && sizes.blocks == NULL && nth < 16));
    }
    assert_true(right(&sizes, &score, s));
    mu_cluster_alloc_set(&cluster, 0, MU_RES_CPU, 5000);
    mu_mem_debug_set((struct mu_mem_debug){.fail_nth = 1});
    assert_int_equal(mu_sizes_follow(&sizes, &score, s, 0), MU_ENOMEM);
    mu_mem_debug_set((struct mu_mem_debug){.fail_nth = 0});
    assert_int_equal(mu_sizes_build(&sizes, &score, s, s->node_rows, s->node_cap), 0);
    assert_true(right(&sizes, &score, s));
    mu_sizes_fini(&sizes);
    mu_cluster_fini(&cluster);
}

/* Nodes of few sizes change one by one: it follows as if built anew. */
static void test_sizes_follow__random_changes__as_the_formulas(void **state)
{
    (void)state;
    struct mu_test_run run = mu_test_run_begin(1);
    for (run.step = 0; run.step < 200; run.step++) {
        struct mu_cluster cluster;
        struct mu_score score;
        struct mu_sizes sizes = {0};
        mu_cluster_init(&cluster, 4 * MU_NODE_CHUNK, 0);
        struct mu_snapshot *s = &cluster.snapshot;
        uint32_t nodes = 1 + (uint32_t)mu_random_below(&run.random, 3 * MU_NODE_CHUNK);
        for (uint32_t n = 0; n < nodes; n++)
            node_put(&cluster, 1000 + n / MU_NODE_CHUNK, 64 * MI);
        score_of(&score,
                 mu_random_chance(&run.random, 500) ? &mu_profile_default : &mu_profile_pack, s);
        MU_TEST_CHECK(&run, mu_sizes_build(&sizes, &score, s, s->node_rows, s->node_cap) == 0);
        for (uint32_t change = 0; change < 40; change++) {
            uint32_t row = (uint32_t)mu_random_below(&run.random, s->node_rows);
            if (mu_random_chance(&run.random, 200) && s->node_rows < s->node_cap) {
                row = s->node_rows;
                node_put(&cluster, 1000 + (int64_t)mu_random_below(&run.random, 3), 64 * MI);
            } else if (mu_random_chance(&run.random, 400)) {
                mu_cluster_flags(&cluster, row, s->nodes[row].flags ^ MU_NODE_PRESENT);
            } else {
                mu_cluster_alloc_set(&cluster, row, MU_RES_MEMORY,
                                     (int64_t)mu_random_below(&run.random, 3) * MI);
            }
            MU_TEST_CHECK(&run, mu_sizes_follow(&sizes, &score, s, row) == 0);
            MU_TEST_CHECK(&run, right(&sizes, &score, s));
        }
        mu_sizes_fini(&sizes);
        mu_cluster_fini(&cluster);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sizes_build__nodes_alike__blocks_share),
        cmocka_unit_test(test_sizes_build__more_sizes_than_are_shared__the_rest_are_their_own),
        cmocka_unit_test(test_sizes_follow__holes_filled__shared_until_one_differs),
        cmocka_unit_test(test_sizes__out_of_memory__says_so_and_can_be_built_anew),
        cmocka_unit_test(test_sizes_follow__random_changes__as_the_formulas),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
