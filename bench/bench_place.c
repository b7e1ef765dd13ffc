/*
 * Placing pods in sessions: lone pods of `classes` classes, one after the other in turn, on nodes
 * of three kinds that start empty. Requests of cpu, memory, one extended resource and a pod slot. A
 * round is one session: queue, placement, plan, and the snapshot put back.
 *
 * Checked: every pod is placed, no node is over-committed, and the first placements (all of them in
 * the small twins) are those of the naive twin.
 */
#include "bench/bench.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "engine/base/assert.h"
#include "engine/base/mem.h"
#include "engine/base/random.h"
#include "tests/support/cluster.h"
#include "tests/support/oracle.h"

#define MI INT64_C(1048576)

struct shape {
    uint32_t nodes;
    uint32_t classes;
    uint32_t pods;
    uint32_t checked; /* placements held to the naive twin */
    const struct mu_profile *score;
};

static void cluster_make(struct mu_cluster *cluster, const struct shape *shape)
{
    static const int64_t cores[] = {32, 64, 96};
    struct mu_random random;
    mu_random_init_seed(&random, 1);
    mu_cluster_init(cluster, shape->nodes, shape->pods);
    for (uint32_t n = 0; n < shape->nodes; n++) {
        /* Rows of one kind together, as the cluster DB keeps them. */
        int64_t kind = cores[(uint64_t)n * 3 / shape->nodes];
        char name[32];
        (void)snprintf(name, sizeof name, "node-%" PRIu32, n);
        (void)mu_cluster_plain_node(cluster, name, kind * 1000, kind * 4096 * MI, 110, 8000);
    }
    MU_ASSERT(shape->classes > 0);
    struct mu_class_ix *classes = mu_mem_calloc(shape->classes, sizeof *classes);
    MU_ASSERT(classes != NULL && shape->classes > 0);
    for (uint32_t c = 0; c < shape->classes; c++)
        classes[c] = mu_cluster_plain_class(cluster, mu_random_between(&random, 2, 40) * 50,
                                            mu_random_between(&random, 2, 64) * 64 * MI,
                                            mu_random_between(&random, 1, 200));
    for (uint32_t p = 0; p < shape->pods; p++)
        (void)mu_cluster_plain_gang(cluster, classes[p % shape->classes], 1);
    mu_mem_free(classes);
}

/* Nothing below zero once the plan is charged, and the first nodes are the naive twin's. */
static bool plan_right(struct mu_cluster *cluster, const struct shape *shape,
                       const struct mu_plan *plan)
{
    struct mu_snapshot *s = &cluster->snapshot;
    bool right = plan->gang_count == shape->pods;
    for (uint32_t g = 0; g < plan->gang_count; g++) {
        uint32_t row = plan->gangs[g].binds[0].node.v;
        struct mu_class_ix class_ix = s->gangs[plan->gangs[g].gang.v].block->members[0].class_ix;
        if (g < shape->checked && mu_oracle_pick(s, shape->score, class_ix) != row)
            right = false;
        mu_oracle_charge(s, class_ix, row, 1);
    }
    for (uint32_t r = 0; r < s->resource_count; r++) {
        for (uint32_t row = 0; row < s->node_rows; row++)
            right = right && s->free[r][row] >= 0;
    }
    for (uint32_t g = 0; g < plan->gang_count; g++)
        mu_oracle_charge(s, s->gangs[plan->gangs[g].gang.v].block->members[0].class_ix,
                         plan->gangs[g].binds[0].node.v, -1);
    return right;
}

static void body(struct mu_bench *bench, const void *argument)
{
    const struct shape *shape = argument;
    const struct mu_session_config config = {.profile = shape->score};
    struct mu_cluster cluster;
    cluster_make(&cluster, shape);
    struct mu_session *session = mu_session_create(&config);
    MU_ASSERT(session != NULL);
    const struct mu_plan *plan = NULL;
    uint64_t placed = 0;
    while (mu_bench_running(bench)) {
        int error = mu_session_run(session, &cluster.snapshot, 0, &plan);
        if (error != 0) {
            mu_bench_fail(bench, "the session ran out of memory");
            break;
        }
        placed += plan->gang_count;
    }
    if (plan != NULL)
        MU_BENCH_CHECK(bench, plan_right(&cluster, shape, plan));
    mu_bench_items(bench, placed);
    mu_session_destroy(session);
    mu_cluster_fini(&cluster);
}

#define PLACE(id, name, ...)                                                                       \
    static const struct shape shape_##id = {__VA_ARGS__};                                          \
    MU_BENCH(id, name, body, &shape_##id)

PLACE(spread_1, "place/nodes:5000/classes:1/score:spread", 5000, 1, 100000, 100, &mu_profile_spread)
PLACE(spread_1_small, "place/nodes:5000/classes:1/score:spread/small", 200, 1, 3000, 3000,
      &mu_profile_spread)
PLACE(spread_1000, "place/nodes:5000/classes:1000/score:spread", 5000, 1000, 100000, 100,
      &mu_profile_spread)
PLACE(spread_1000_small, "place/nodes:5000/classes:1000/score:spread/small", 200, 1000, 3000, 3000,
      &mu_profile_spread)
PLACE(pack_1000, "place/nodes:5000/classes:1000/score:pack", 5000, 1000, 100000, 100,
      &mu_profile_pack)
PLACE(pack_1000_small, "place/nodes:5000/classes:1000/score:pack/small", 200, 1000, 3000, 3000,
      &mu_profile_pack)
