/*
 * Retrying: gangs of one launcher and many workers that do not fit wait, and per round one solo pod
 * arrives, is placed by a session, and takes its room. Every node can have launchers and solo pods;
 * what the workers ask for is left on fewer nodes than a gang has workers ("short"), or on as many,
 * but not beside the launcher, which needs a node of the same few ("joint": class by class there
 * is room enough).
 *
 * Checked in every round: the solo pod is placed and nothing of the gangs is.
 */
#include "bench/bench.h"

#include <inttypes.h>
#include <stdio.h>

#include "engine/base/assert.h"
#include "engine/base/mem.h"
#include "tests/support/cluster.h"
#include "tests/support/oracle.h"

#define MI INT64_C(1048576)

struct shape {
    uint32_t nodes;
    uint32_t gangs;
    uint32_t size; /* members of each: a launcher and workers */
    bool joint;
};

/* Returns the row of the solo pod's gang; *solo is its class. */
static uint32_t cluster_make(struct mu_cluster *cluster, const struct shape *shape,
                             struct mu_class_ix *solo)
{
    mu_cluster_init(cluster, shape->nodes, shape->gangs + 1);
    uint32_t with_devices = shape->joint ? shape->size - 1 : shape->size * 4 / 5;
    for (uint32_t n = 0; n < shape->nodes; n++) {
        char name[32];
        (void)snprintf(name, sizeof name, "node-%" PRIu32, n);
        (void)mu_cluster_plain_node(cluster, name, 64000, 262144 * MI, 1000000,
                                    n < with_devices ? 8 : 1);
    }
    struct mu_class_ix worker = mu_cluster_plain_class(cluster, 4000, 8192 * MI, 8);
    struct mu_class_ix launcher =
        mu_cluster_plain_class(cluster, 1000, 1024 * MI, shape->joint ? 2 : 0);
    struct mu_cluster_member *members = mu_mem_calloc(shape->size, sizeof *members);
    MU_ASSERT(members != NULL && shape->size > 1);
    for (uint32_t m = 0; m < shape->size; m++)
        members[m] =
            (struct mu_cluster_member){.class_ix = m == 0 ? launcher : worker, .held = MU_NONE};
    const struct mu_cluster_subgroup subgroup = {
        .min = shape->size, .member_count = shape->size, .members = members};
    const struct mu_cluster_gang gang = {
        .flags = MU_GANG_SETTLED, .size = shape->size, .subgroup_count = 1, .subgroups = &subgroup};
    for (uint32_t g = 0; g < shape->gangs; g++)
        (void)mu_cluster_gang(cluster, &gang);
    mu_mem_free(members);
    *solo = mu_cluster_plain_class(cluster, 1, MI, 0);
    return mu_cluster_plain_gang(cluster, *solo, 1);
}

static void body(struct mu_bench *bench, const void *argument)
{
    const struct shape *shape = argument;
    const struct mu_session_config config = {.profile = &mu_profile_spread};
    struct mu_cluster cluster;
    struct mu_class_ix class_ix;
    uint32_t solo = cluster_make(&cluster, shape, &class_ix);
    struct mu_session *session = mu_session_create(&config);
    MU_ASSERT(session != NULL);
    uint64_t retried = 0;
    while (mu_bench_running(bench)) {
        const struct mu_plan *plan = NULL;
        if (mu_session_run(session, &cluster.snapshot, 0, &plan) != 0) {
            mu_bench_fail(bench, "the session ran out of memory");
            break;
        }
        if (plan->gang_count != 1 || plan->gangs[0].gang.v != solo ||
            plan->wait_count != shape->gangs || plan->waits[0].kind != MU_WAIT_NO_FIT) {
            mu_bench_fail(bench, "wrong answer: not the solo pod alone is placed");
            break;
        }
        /* It is bound, and the next one comes: room only shrinks. */
        mu_oracle_charge(&cluster.snapshot, class_ix, plan->gangs[0].binds[0].node.v, 1);
        cluster.snapshot.gangs[solo].revision++;
        cluster.snapshot.generation++;
        retried += plan->wait_count;
    }
    mu_bench_items(bench, retried);
    mu_session_destroy(session);
    mu_cluster_fini(&cluster);
}

#define RETRY(id, name, ...)                                                                       \
    static const struct shape shape_##id = {__VA_ARGS__};                                          \
    MU_BENCH(id, name, body, &shape_##id)

RETRY(retry, "retry/nodes:5000/gangs:200/size:50", 5000, 200, 50, false)
RETRY(retry_small, "retry/nodes:5000/gangs:200/size:50/small", 200, 10, 50, false)
RETRY(retry_joint, "retry/nodes:5000/gangs:200/size:50/joint", 5000, 200, 50, true)
RETRY(retry_joint_small, "retry/nodes:5000/gangs:200/size:50/joint/small", 200, 10, 50, true)
