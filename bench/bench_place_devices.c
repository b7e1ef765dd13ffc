/*
 * Placing pods that share GPUs, under the profile that looks at fragmentation: lone pods of 1,000
 * classes in turn, half of them with a part of a GPU (of 18 sizes), a third with one, two, four or
 * eight whole ones, on nodes of 8, 4 and 2 GPUs that start empty, until about two thirds of the
 * GPUs are given. A round is one session. What counts as typical are 32 requests in the shape of
 * the classes.
 *
 * Checked: nearly every pod is placed; the same shape at a hundredth of its size gives the nodes
 * and devices of the naive twin.
 */
#include "bench/bench.h"

#include <inttypes.h>
#include <stdio.h>

#include "engine/base/assert.h"
#include "engine/base/random.h"
#include "engine/device.h"
#include "tests/support/cluster.h"
#include "tests/support/oracle.h"

#define GI      (INT64_C(1) << 30)
#define GPU     "example.com/gpu"
#define CLASSES 1000u

struct shape {
    uint32_t nodes, pods;
};
struct ask {
    int64_t cpu_millis, memory_bytes, part, whole;
};

static struct ask ask_draw(struct mu_random *random)
{
    static const int64_t whole[] = {1, 1, 1, 1, 1, 2, 4, 8};
    uint64_t kind = mu_random_below(random, 6);
    struct ask ask = {.cpu_millis = 250 * mu_random_between(random, 2, 32),
                      .memory_bytes = GI * mu_random_between(random, 1, 32)};
    if (kind < 3)
        ask.part = 50 * mu_random_between(random, 2, 19);
    else if (kind < 5)
        ask.whole = whole[mu_random_below(random, 8)];
    return ask;
}

static void cluster_make(struct mu_cluster *cluster, const struct shape *shape)
{
    static const uint32_t gpus[] = {8, 4, 2};
    struct mu_random random;
    struct mu_class_ix classes[CLASSES];
    mu_random_init_seed(&random, 1);
    mu_cluster_init(cluster, shape->nodes, shape->pods);
    for (uint32_t n = 0; n < shape->nodes; n++) {
        char name[32];
        uint32_t count = gpus[(uint64_t)n * 3 / shape->nodes];
        const struct mu_amount amounts[] = {{MU_STR("cpu"), 12000 * count},
                                            {MU_STR("memory"), 64 * GI * count},
                                            {MU_STR("pods"), 110},
                                            {MU_STR(GPU), count}};
        (void)snprintf(name, sizeof name, "node-%" PRIu32, n);
        (void)mu_cluster_node(cluster,
                              &(const struct mu_node_object){.name = mu_str_of(name),
                                                             .uid = mu_str_of(name),
                                                             .allocatable = amounts,
                                                             .allocatable_count = 4,
                                                             .device_resource = MU_STR(GPU),
                                                             .device_count = count,
                                                             .devices_whole = true});
    }
    for (uint32_t c = 0; c < CLASSES; c++) {
        struct ask ask = ask_draw(&random);
        const struct mu_amount amounts[] = {{MU_STR("cpu"), ask.cpu_millis},
                                            {MU_STR("memory"), ask.memory_bytes},
                                            {MU_STR(MU_GPU_SHARE_RESOURCE), ask.part},
                                            {MU_STR(GPU), ask.whole}};
        classes[c] = mu_cluster_class(
            cluster, &(const struct mu_pod_object){.requests = amounts, .request_count = 4});
        struct mu_snapshot *s = &cluster->snapshot;
        if (s->typical_count < MU_TYPICAL_MAX && ask.part + ask.whole > 0)
            s->typical[s->typical_count++] =
                (struct mu_typical){.cpu = ask.cpu_millis,
                                    .memory = ask.memory_bytes,
                                    .devices = ask.whole > 0 ? (uint32_t)ask.whole : 1,
                                    .millis = ask.whole > 0 ? 1000 : (uint32_t)ask.part,
                                    .permille = 1000 / MU_TYPICAL_MAX};
    }
    for (uint32_t p = 0; p < shape->pods; p++)
        (void)mu_cluster_plain_gang(cluster, classes[p % CLASSES], 1);
}

static struct mu_class_ix class_of(const struct mu_snapshot *s, const struct mu_plan_gang *gang)
{
    return s->gangs[gang->gang.v].block->members[0].class_ix;
}

static struct mu_session *session_make(void)
{
    const struct mu_session_config config = {.profile = &mu_profile_gpu_frag};
    struct mu_session *session = mu_session_create(&config);
    MU_ASSERT(session != NULL);
    return session;
}

static bool hundredth_right(const struct shape *whole)
{
    const struct shape shape = {whole->nodes / 100, whole->pods / 100};
    struct mu_cluster cluster;
    cluster_make(&cluster, &shape);
    struct mu_snapshot *s = &cluster.snapshot;
    struct mu_session *session = session_make();
    const struct mu_plan *plan = NULL;
    bool right = mu_session_run(session, s, 0, &plan) == 0 && plan->gang_count > 0;
    for (uint32_t g = 0; right && g < plan->gang_count; g++) {
        struct mu_class_ix class_ix = class_of(s, &plan->gangs[g]);
        uint32_t row = mu_oracle_pick(s, &mu_profile_gpu_frag, class_ix);
        right = row == plan->gangs[g].binds[0].node.v &&
                mu_oracle_take(s, &mu_profile_gpu_frag, class_ix, row) ==
                    plan->gangs[g].binds[0].devices;
    }
    mu_session_destroy(session);
    mu_cluster_fini(&cluster);
    return right;
}

static void body(struct mu_bench *bench, const void *argument)
{
    const struct shape *shape = argument;
    struct mu_cluster cluster;
    cluster_make(&cluster, shape);
    struct mu_session *session = session_make();
    const struct mu_plan *plan = NULL;
    uint64_t placed = 0;
    while (mu_bench_running(bench)) {
        if (mu_session_run(session, &cluster.snapshot, 0, &plan) != 0) {
            mu_bench_fail(bench, "the session ran out of memory");
            break;
        }
        placed += plan->gang_count;
    }
    if (plan != NULL)
        MU_BENCH_CHECK(bench, plan->gang_count >= shape->pods / 100 * 99);
    MU_BENCH_CHECK(bench, hundredth_right(shape));
    mu_bench_items(bench, placed);
    mu_session_destroy(session);
    mu_cluster_fini(&cluster);
}

static const struct shape shape_whole = {5000, 15000}, shape_small = {500, 1500};
MU_BENCH(whole, "place_devices/nodes:5000/classes:1000/score:gpu-frag", body, &shape_whole)
MU_BENCH(small, "place_devices/nodes:5000/classes:1000/score:gpu-frag/small", body, &shape_small)
