/*
 * Bringing a replica up to date: a cluster DB of `nodes` nodes, of which a part changes between two
 * syncs, spread at random over the rows. A round is one sync, in steps of the DB's own bound; the
 * changes before it are not timed.
 *
 * With `pods` the nodes run so many besides, in turn. With `occupants` a gang of higher priority
 * than theirs is pending, which fits nowhere: then the snapshot lists who is on each node (engine/
 * db_occupant.c), and a sync makes the lists of changed nodes anew. `first_ms` is the sync after it
 * came: all lists are made.
 *
 * Checked: after the last round the replica's free columns, and who is on each row, are those of a
 * replica made anew.
 */
#include "bench/bench.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "bench/times.h"
#include "engine/base/assert.h"
#include "engine/base/random.h"
#include "engine/db/db.h"

struct shape {
    uint32_t nodes;
    uint32_t dirty_permille;
    uint32_t pods;
    bool occupants;
};

static void node_upsert(struct mu_db *db, uint32_t number, uint64_t version, int64_t pods)
{
    char name[32];
    int len = snprintf(name, sizeof name, "node-%" PRIu32, number);
    const struct mu_amount amounts[] = {
        {MU_STR("cpu"), 64000},
        {MU_STR("memory"), INT64_C(1) << 38},
        {MU_STR("ephemeral-storage"), INT64_C(1) << 40},
        {MU_STR("pods"), pods},
    };
    const struct mu_node_object node = {
        .name = {name, (uint32_t)len},
        .uid = {name, (uint32_t)len},
        .version = version,
        .allocatable = amounts,
        .allocatable_count = 4,
    };
    int error = mu_db_node_upsert(db, &node, 0, NULL);
    MU_ASSERT(error == 0);
}

/* A pod of the cluster's own, bound to a node: it takes room there, and gives it back when it is
 * removed. */
static void pod_toggle(struct mu_db *db, uint32_t number, uint64_t version, bool present)
{
    char name[32], node[32], uid[40];
    int name_len = snprintf(name, sizeof name, "pod-%" PRIu32, number);
    int node_len = snprintf(node, sizeof node, "node-%" PRIu32, number);
    int uid_len = snprintf(uid, sizeof uid, "00000000-0000-4000-8000-%012" PRIx32, number);
    const struct mu_str ns = MU_STR("bench");
    const struct mu_str pod_name = {name, (uint32_t)name_len};
    const struct mu_str pod_uid = {uid, (uint32_t)uid_len};
    if (present) {
        int error = mu_db_pod_remove(db, ns, pod_name, pod_uid, 0);
        MU_ASSERT(error == 0);
        return;
    }
    const struct mu_amount request = {MU_STR("cpu"), 100};
    const struct mu_pod_object pod = {
        .ns = ns,
        .name = pod_name,
        .uid = pod_uid,
        .version = version,
        .scheduler_name = MU_STR("other"),
        .node_name = {node, (uint32_t)node_len},
        .phase = MU_POD_RUNNING,
        .requests = &request,
        .request_count = 1,
    };
    int error = mu_db_pod_upsert(db, &pod, 0, NULL);
    MU_ASSERT(error == 0);
}

/* A pod that stays: bound, or, on no node, one that waits for room that no node has. */
static void pod_stay(struct mu_db *db, uint32_t number, uint32_t node_number, bool bound)
{
    char name[32], node[32], uid[40];
    int name_len = snprintf(name, sizeof name, "stays-%" PRIu32, number);
    int node_len = snprintf(node, sizeof node, "node-%" PRIu32, node_number);
    int uid_len = snprintf(uid, sizeof uid, "00000000-0000-4000-8001-%012" PRIx32, number);
    const struct mu_amount request = {MU_STR("cpu"), bound ? 100 : 1000000};
    const struct mu_pod_object pod = {
        .ns = MU_STR("bench"),
        .name = {name, (uint32_t)name_len},
        .uid = {uid, (uint32_t)uid_len},
        .version = 1,
        .scheduler_name = MU_STR("muster"),
        .node_name = {node, bound ? (uint32_t)node_len : 0},
        .phase = bound ? MU_POD_RUNNING : MU_POD_PENDING,
        .priority = bound ? 0 : 10,
        .requests = &request,
        .request_count = 1,
    };
    int error = mu_db_pod_upsert(db, &pod, 0, NULL);
    MU_ASSERT(error == 0);
}

static void sync_whole(struct mu_db *db, struct mu_snapshot *replica)
{
    int more;
    do {
        more = mu_db_replica_sync(db, replica, 0);
        MU_ASSERT(more >= 0);
    } while (more == 1);
}

/* Whether both list the same pods, or none, on a row. */
static bool occupants_equal(const struct mu_snapshot *a, const struct mu_snapshot *b, uint32_t row)
{
    const struct mu_occupants *x = a->occupants[row], *y = b->occupants[row];
    if (x == NULL || y == NULL)
        return x == y;
    return x->count == y->count && memcmp(x->pods, y->pods, x->count * sizeof x->pods[0]) == 0;
}

static bool replicas_equal(const struct mu_snapshot *a, const struct mu_snapshot *b)
{
    bool equal = a->generation == b->generation && a->node_rows == b->node_rows &&
                 a->resource_count == b->resource_count;
    for (uint32_t r = 0; equal && r < a->resource_count; r++)
        equal = memcmp(a->free[r], b->free[r], a->node_rows * sizeof(int64_t)) == 0;
    equal = equal && (a->occupants == NULL) == (b->occupants == NULL);
    for (uint32_t row = 0; equal && a->occupants != NULL && row < a->node_rows; row++)
        equal = occupants_equal(a, b, row);
    return equal;
}

static void body(struct mu_bench *bench, const void *argument)
{
    const struct shape *shape = argument;
    const struct mu_str ours = MU_STR("muster");
    const struct mu_db_config config = {
        .scheduler_names = &ours,
        .scheduler_name_count = 1,
        .nodes_hint = shape->nodes,
        .pods_hint = shape->nodes / 8 + shape->pods,
    };
    struct mu_db *db = mu_db_create(&config);
    MU_ASSERT(db != NULL && shape->nodes > 0);
    for (uint32_t n = 0; n < shape->nodes; n++)
        node_upsert(db, n, 1, 110);
    for (uint32_t i = 0, node = 0; i < shape->pods; i++) {
        pod_stay(db, i, node, true);
        node = node + 1 < shape->nodes ? node + 1 : 0;
    }
    mu_db_batch_end(db);
    struct mu_snapshot *replica = mu_db_replica_create(db);
    MU_ASSERT(replica != NULL);
    sync_whole(db, replica);
    if (shape->occupants) {
        pod_stay(db, shape->pods, 0, false);
        mu_db_batch_end(db);
        uint64_t begin_ns = mu_bench_now_ns(CLOCK_THREAD_CPUTIME_ID);
        sync_whole(db, replica);
        uint64_t ns = mu_bench_now_ns(CLOCK_THREAD_CPUTIME_ID) - begin_ns;
        mu_bench_counter(bench, "first_ms", (double)ns / 1e6);
        MU_BENCH_CHECK(bench, replica->occupants != NULL);
    }

    uint32_t dirty = (uint32_t)((uint64_t)shape->nodes * shape->dirty_permille / 1000);
    struct mu_random random;
    mu_random_init_seed(&random, 1);
    uint64_t version = 2, rows = 0;
    /* Alternate rounds add and remove the pods of one draw of nodes. */
    uint64_t draw = 0;
    bool present = false;
    while (mu_bench_running(bench)) {
        mu_bench_pause(bench);
        if (!present)
            draw = mu_random_below(&random, shape->nodes);
        for (uint32_t d = 0; d < dirty; d++) /* an odd stride visits distinct, scattered rows */
            pod_toggle(db, (uint32_t)((draw + (uint64_t)d * 7919) % shape->nodes), version,
                       present);
        version++;
        present = !present;
        mu_db_batch_end(db);
        mu_bench_resume(bench);
        sync_whole(db, replica);
        rows += dirty;
    }
    mu_bench_items(bench, rows);
    mu_bench_counter_per_round(bench, "ms", mu_bench_seconds(bench) * 1e3);

    struct mu_snapshot *fresh = mu_db_replica_create(db);
    MU_ASSERT(fresh != NULL);
    sync_whole(db, fresh);
    MU_BENCH_CHECK(bench, replicas_equal(replica, fresh));
    MU_BENCH_CHECK(bench, replica->node_count == shape->nodes);
    mu_db_replica_destroy(db, fresh);
    mu_db_replica_destroy(db, replica);
    mu_db_destroy(db);
}

static const struct shape shape_1 = {1000000, 1, 0, false};
static const struct shape shape_10 = {1000000, 10, 0, false};
static const struct shape shape_100 = {1000000, 100, 0, false};
static const struct shape shape_pods = {100000, 10, 400000, false};
static const struct shape shape_occupants = {100000, 10, 400000, true};
static const struct shape shape_occupants_small = {1000, 10, 4000, true};
static const struct shape shape_small = {2000, 10, 0, false};
MU_BENCH(snapshot_1, "snapshot/nodes:1000000/dirty_permille:1", body, &shape_1)
MU_BENCH(snapshot_10, "snapshot/nodes:1000000/dirty_permille:10", body, &shape_10)
MU_BENCH(snapshot_100, "snapshot/nodes:1000000/dirty_permille:100", body, &shape_100)
MU_BENCH(snapshot_small, "snapshot/nodes:1000000/dirty_permille:10/small", body, &shape_small)
MU_BENCH(snapshot_pods, "snapshot/nodes:100000/pods:400000/dirty_permille:10", body, &shape_pods)
MU_BENCH(snapshot_occupants, "snapshot/nodes:100000/pods:400000/dirty_permille:10/occupants:1",
         body, &shape_occupants)
MU_BENCH(snapshot_occupants_small,
         "snapshot/nodes:100000/pods:400000/dirty_permille:10/occupants:1/small", body,
         &shape_occupants_small)
