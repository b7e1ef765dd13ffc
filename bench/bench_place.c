/*
 * Placing pods in sessions: lone pods of `classes` classes, one after the other in turn, on nodes
 * of three kinds that start empty; or gangs of one class; or a DaemonSet's pods. Requests of cpu,
 * memory, one extended resource and a pod slot. A round is one session: queue, placement, plan, and
 * the snapshot put back.
 *
 * Checked: every pod is placed and no node is over-committed. And the same shape with a hundredth
 * of its pods gives the placements of the naive twin, by their hash: for the twin looks at every
 * node for every pod. Of the nodes it has a hundredth, too, but as many as make three levels of
 * blocks: what is skipped by what is known of a block could not be wrong on fewer.
 */
#include "bench/bench.h"

#include <inttypes.h>
#include <stdio.h>

#include "bench/times.h"
#include "engine/base/assert.h"
#include "engine/base/hash.h"
#include "engine/base/mem.h"
#include "engine/base/random.h"
#include "tests/support/cluster.h"
#include "tests/support/oracle.h"

#define MI        INT64_C(1048576)
#define HUNDREDTH 100u
#define LEVELS_3  4160u /* rows: 65 blocks of 64 */

struct shape {
    uint32_t nodes;
    uint32_t classes;
    uint32_t pods;
    uint32_t gang; /* pods of a gang */
    const struct mu_profile *profile;
    bool latency; /* report the time of a round: one gang in each */
    bool pinned;  /* each pod is of a class of its own, pinned by name, to each node in turn */
};

static struct mu_class_ix pinned_class(struct mu_cluster *cluster, uint32_t node)
{
    char name[32];
    (void)snprintf(name, sizeof name, "node-%" PRIu32, node);
    const struct mu_str value = mu_str_of(name);
    const struct mu_requirement here = {
        .key = MU_STR("metadata.name"), .op = MU_OP_IN, .values = &value, .value_count = 1};
    const struct mu_node_term term = {.fields = {.requirements = &here, .requirement_count = 1}};
    const struct mu_amount amounts[] = {{MU_STR("cpu"), 100}, {MU_STR("memory"), 128 * MI}};
    const struct mu_pod_object pod = {.requests = amounts,
                                      .request_count = 2,
                                      .has_node_terms = true,
                                      .node_terms = &term,
                                      .node_term_count = 1};
    return mu_cluster_class(cluster, &pod);
}

static void cluster_make(struct mu_cluster *cluster, const struct shape *shape)
{
    static const int64_t cores[] = {32, 64, 96};
    struct mu_random random;
    MU_ASSERT(shape->nodes > 0 && shape->classes > 0 && shape->gang > 0);
    mu_random_init_seed(&random, 1);
    mu_cluster_init(cluster, shape->nodes, shape->pods / shape->gang);
    for (uint32_t n = 0; n < shape->nodes; n++) {
        /* Rows of one kind together, as the cluster DB keeps them. */
        int64_t kind = cores[(uint64_t)n * 3 / shape->nodes];
        char name[32];
        (void)snprintf(name, sizeof name, "node-%" PRIu32, n);
        (void)mu_cluster_plain_node(cluster, name, kind * 1000, kind * 4096 * MI, 110, 8000);
    }
    struct mu_class_ix *classes = mu_mem_calloc(shape->classes, sizeof *classes);
    MU_ASSERT(classes != NULL);
    for (uint32_t c = 0; c < shape->classes; c++)
        classes[c] = mu_cluster_plain_class(cluster, mu_random_between(&random, 2, 40) * 50,
                                            mu_random_between(&random, 2, 64) * 64 * MI,
                                            mu_random_between(&random, 1, 200));
    for (uint32_t g = 0; g < shape->pods / shape->gang; g++)
        (void)mu_cluster_plain_gang(cluster,
                                    shape->pinned ? pinned_class(cluster, g % shape->nodes)
                                                  : classes[g % shape->classes],
                                    shape->gang);
    mu_mem_free(classes);
}

static struct mu_class_ix class_of(const struct mu_snapshot *s, const struct mu_plan_gang *gang)
{
    return s->gangs[gang->gang.v].block->members[0].class_ix;
}

/* All pods placed, and nothing below zero once the plan is charged. */
static bool plan_right(struct mu_cluster *cluster, const struct shape *shape,
                       const struct mu_plan *plan)
{
    struct mu_snapshot *s = &cluster->snapshot;
    bool right = plan->gang_count == shape->pods / shape->gang;
    for (int sign = 1; sign >= -1; sign -= 2) {
        for (uint32_t g = 0; g < plan->gang_count; g++) {
            right = right && plan->gangs[g].bind_count == shape->gang;
            for (uint32_t b = 0; b < plan->gangs[g].bind_count; b++)
                mu_oracle_charge(s, class_of(s, &plan->gangs[g]), plan->gangs[g].binds[b].node.v,
                                 sign);
        }
        for (uint32_t r = 0; sign > 0 && r < s->resource_count; r++) {
            for (uint32_t row = 0; row < s->node_rows; row++)
                right = right && s->free[r][row] >= 0;
        }
    }
    return right;
}

static struct mu_session *session_make(const struct shape *shape)
{
    const struct mu_session_config config = {.profile = shape->profile};
    struct mu_session *session = mu_session_create(&config);
    MU_ASSERT(session != NULL);
    return session;
}

/* Hash of the session's placements against that of the naive scan's. */
static bool twin_right(const struct shape *whole)
{
    struct shape shape = *whole;
    if (whole->nodes > LEVELS_3)
        shape.nodes = whole->nodes / HUNDREDTH > LEVELS_3 ? whole->nodes / HUNDREDTH : LEVELS_3;
    shape.pods = whole->pods / HUNDREDTH / whole->gang * whole->gang;
    shape.pods = shape.pods > 0 ? shape.pods : whole->gang;
    struct mu_cluster cluster;
    cluster_make(&cluster, &shape);
    struct mu_snapshot *s = &cluster.snapshot;
    struct mu_session *session = session_make(&shape);
    const struct mu_plan *plan = NULL;
    uint64_t got = 0, want = 0;
    MU_ASSERT(mu_session_run(session, s, 0, &plan) == 0);
    for (uint32_t g = 0; g < plan->gang_count; g++) {
        for (uint32_t b = 0; b < plan->gangs[g].bind_count; b++)
            got = mu_hash_mix(got, plan->gangs[g].binds[b].node.v);
    }
    for (uint32_t g = 0; g < plan->gang_count; g++) {
        for (uint32_t b = 0; b < plan->gangs[g].bind_count; b++) {
            uint32_t row = mu_oracle_pick(s, shape.profile, class_of(s, &plan->gangs[g]));
            want = mu_hash_mix(want, row);
            if (row != MU_NONE)
                mu_oracle_charge(s, class_of(s, &plan->gangs[g]), row, 1);
        }
    }
    bool right = got == want && plan->gang_count == shape.pods / shape.gang;
    mu_session_destroy(session);
    mu_cluster_fini(&cluster);
    return right;
}

/* A bench is called with more and more rounds: the twin is asked once. */
static bool hundredth_right(const struct shape *whole)
{
    static const struct shape *asked;
    static bool right;
    if (asked != whole)
        right = twin_right(whole);
    asked = whole;
    return right;
}

static void latency_report(struct mu_bench *bench, struct mu_bench_times *times)
{
    mu_bench_counter(bench, "p50_ms", mu_bench_times_ms(times, false, 500));
    mu_bench_counter(bench, "p99_ms", mu_bench_times_ms(times, false, 990));
    mu_bench_counter(bench, "p50_own_ms", mu_bench_times_ms(times, true, 500));
    mu_bench_counter(bench, "p99_own_ms", mu_bench_times_ms(times, true, 990));
}

static void body(struct mu_bench *bench, const void *argument)
{
    const struct shape *shape = argument;
    struct mu_cluster cluster;
    cluster_make(&cluster, shape);
    struct mu_session *session = session_make(shape);
    struct mu_bench_times *times = mu_bench_times_create();
    const struct mu_plan *plan = NULL;
    uint64_t placed = 0;
    while (mu_bench_running(bench)) {
        mu_bench_times_begin(times);
        int error = mu_session_run(session, &cluster.snapshot, 0, &plan);
        mu_bench_times_end(times);
        if (error != 0) {
            mu_bench_fail(bench, "the session ran out of memory");
            break;
        }
        placed += plan->gang_count * (shape->gang > 1 && !shape->latency ? 1 : shape->gang);
    }
    if (shape->latency && times->rounds > 0)
        latency_report(bench, times);
    if (plan != NULL)
        MU_BENCH_CHECK(bench, plan_right(&cluster, shape, plan));
    MU_BENCH_CHECK(bench, hundredth_right(shape));
    mu_bench_items(bench, placed);
    mu_bench_times_destroy(times);
    mu_session_destroy(session);
    mu_cluster_fini(&cluster);
}

#define BENCH(id, name, ...)                                                                       \
    static const struct shape shape_##id = {__VA_ARGS__};                                          \
    MU_BENCH(id, name, body, &shape_##id)
#define PLACE(nodes, classes, score)                                                               \
    BENCH(nodes##_##classes##_##score,                                                             \
          "place/nodes:" #nodes "/classes:" #classes "/score:" #score, nodes, classes, 100000, 1,  \
          &mu_profile_##score, false, false)
#define PLACE_SMALL(nodes, classes, score)                                                         \
    BENCH(nodes##_##classes##_##score##_small,                                                     \
          "place/nodes:" #nodes "/classes:" #classes "/score:" #score "/small", 400, classes,      \
          6000, 1, &mu_profile_##score, false, false)
#define PLACE_NODES(nodes, classes)                                                                \
    PLACE(nodes, classes, spread)                                                                  \
    PLACE(nodes, classes, pack)                                                                    \
    PLACE(nodes, classes, default)

PLACE_NODES(5000, 1)
PLACE_NODES(5000, 16)
PLACE_NODES(5000, 1000)
PLACE_NODES(100000, 1)
PLACE_NODES(100000, 16)
PLACE_NODES(100000, 1000)
PLACE_NODES(1000000, 1)
PLACE_NODES(1000000, 16)
PLACE_NODES(1000000, 1000)
PLACE_SMALL(5000, 1, spread)
PLACE_SMALL(5000, 16, pack)
PLACE_SMALL(5000, 16, default)
PLACE_SMALL(5000, 1000, spread)
PLACE_SMALL(5000, 1000, pack)
PLACE_SMALL(5000, 1000, default)

/* Items: pods of the one gang of a round; gangs. */
BENCH(gang_1000, "gang/nodes:100000/size:1000", 100000, 1, 1000, 1000, &mu_profile_spread, true,
      false)
BENCH(gang_1000_small, "gang/nodes:100000/size:1000/small", 1000, 1, 100, 100, &mu_profile_spread,
      true, false)
BENCH(gangs_4, "gang/nodes:5000/size:4", 5000, 16, 100000, 4, &mu_profile_spread, false, false)
BENCH(gangs_4_small, "gang/nodes:5000/size:4/small", 200, 16, 3000, 4, &mu_profile_spread, false,
      false)

/* A DaemonSet's pods: items are pods. */
BENCH(pinned, "place_pinned/nodes:100000", 100000, 1, 100000, 1, &mu_profile_default, false, true)
BENCH(pinned_small, "place_pinned/nodes:100000/small", 400, 1, 400, 1, &mu_profile_default, false,
      true)
