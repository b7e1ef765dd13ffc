/*
 * Memory at rest: a cluster DB with one replica that is synced and a session that has placed pods
 * of 16 classes, each in a run, so that all that is kept for hot classes is there. First the nodes
 * and that session, then bound pods; `bytes_per_node` and `bytes_per_pod` are what each adds to
 * what is resident, as the kernel counts it, after the allocator has given back what it only keeps.
 *
 * Nodes have a name of eleven bytes, five labels, a UID, and one of four capacities; those of the
 * fourth have an extended resource.
 * Pods are of four sorts, ten to a node: six of deployments (labels shared by their pods), two of
 * indexed jobs (an index of their own), one of a stateful set (its own name as a label), one of a
 * daemon set.
 *
 * Checked: the counts of the DB, that every pod of the hot classes was placed, and that the replica
 * shows what is left on a node.
 */
#include "bench/bench.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/base/assert.h"
#include "engine/base/mem.h"
#include "engine/db/db.h"
#include "engine/place/profile.h"
#include "engine/session/session.h"

#define GIB INT64_C(1073741824)

enum { HOT_CLASSES = 16, HOT_PODS = 256, TEXT = 96 };

struct shape {
    uint32_t nodes;
    uint32_t pods;
};

static size_t resident_bytes(void)
{
    mu_mem_trim();
    FILE *f = fopen("/proc/self/statm", "r");
    MU_ASSERT(f != NULL);
    char line[128] = "";
    MU_ASSERT(fgets(line, sizeof line, f) != NULL);
    (void)fclose(f);
    char *end = line;
    (void)strtoull(end, &end, 10); /* the first field is virtual memory */
    return (size_t)strtoull(end, &end, 10) * (size_t)sysconf(_SC_PAGESIZE);
}

/* Texts of one object, which is gone once it is stored. */
struct texts {
    char at[8][TEXT];
    uint32_t count;
};
__attribute__((format(printf, 2, 3))) static struct mu_str text(struct texts *t, const char *format,
                                                                ...)
{
    va_list args;
    MU_ASSERT(t->count < 8);
    char *at = t->at[t->count++];
    va_start(args, format);
    int len = vsnprintf(at, TEXT, format, args);
    va_end(args);
    MU_ASSERT(len > 0 && len < TEXT);
    return (struct mu_str){at, (uint32_t)len};
}

static struct mu_str node_name(struct texts *t, uint32_t n)
{
    return text(t, "node-%" PRIu32, n);
}

static void put_node(struct mu_db *db, const struct shape *shape, uint32_t n)
{
    struct texts t = {.count = 0};
    const struct mu_str name = node_name(&t, n);
    const uint32_t kind = (uint32_t)((uint64_t)n * 4 / shape->nodes);
    const struct mu_label labels[] = {
        {MU_STR("kubernetes.io/hostname"), name},
        {MU_STR("kubernetes.io/arch"), MU_STR("amd64")},
        {MU_STR("topology.kubernetes.io/zone"), text(&t, "zone-%u", n / 64 % 3)},
        {MU_STR("topology.kubernetes.io/rack"), text(&t, "rack-%u", n / 64)},
        {MU_STR("node.kubernetes.io/instance-type"), text(&t, "type-%u", kind)},
    };
    const int64_t size = 1 + kind;
    const struct mu_amount amounts[] = {{MU_STR("cpu"), size * 32000},
                                        {MU_STR("memory"), size * 128 * GIB},
                                        {MU_STR("ephemeral-storage"), size * 512 * GIB},
                                        {MU_STR("pods"), 110},
                                        {MU_STR("nvidia.com/gpu"), 8}};
    const struct mu_node_object node = {
        .name = name,
        .uid = text(&t, "%08" PRIx32 "-0000-4000-9000-000000000000", n),
        .version = 1 + n,
        .labels = labels,
        .label_count = 5,
        .allocatable = amounts,
        .allocatable_count = kind == 3 ? 5 : 4, /* one kind has devices */
    };
    MU_ASSERT(mu_db_node_upsert(db, &node, 0, NULL) == 0);
}

enum sort { DEPLOYMENT, JOB, STATEFUL, DAEMON };

/* Pod number p is bound to node p % nodes; the tenth part of them is of one sort. */
static void put_bound(struct mu_db *db, const struct shape *shape, uint32_t p)
{
    static const enum sort sorts[] = {DEPLOYMENT, DEPLOYMENT, JOB,        DEPLOYMENT, STATEFUL,
                                      DEPLOYMENT, JOB,        DEPLOYMENT, DEPLOYMENT, DAEMON};
    struct texts t = {.count = 0};
    const uint32_t set = p / shape->nodes; /* 0..9 */
    const uint32_t member = p % shape->nodes;
    const uint32_t owner = member / 100 * 10 + set; /* 100 pods to an owner */
    const enum sort sort = sorts[set % 10];
    struct mu_label labels[4];
    struct mu_pod_object pod = {.ns = text(&t, "team-%u", owner % 200), .labels = labels};
    labels[0] = (struct mu_label){MU_STR("app"), text(&t, "app-%u", owner)};
    pod.label_count = 2;
    switch (sort) {
    case DEPLOYMENT:
        pod.name = text(&t, "app-%u-7f9c5d8b6d-%05x", owner, member % 100 * 10007);
        labels[1] = (struct mu_label){MU_STR("pod-template-hash"), text(&t, "%09x", owner)};
        break;
    case JOB:
        pod.name = text(&t, "job-%u-%u-%05x", owner, member % 100, member % 100 * 10007);
        labels[1] = (struct mu_label){MU_STR("batch.kubernetes.io/controller-uid"),
                                      text(&t, "%08x-0000-4000-b000-000000000000", owner)};
        labels[2] = (struct mu_label){MU_STR("batch.kubernetes.io/job-completion-index"),
                                      text(&t, "%u", member % 100)};
        pod.label_count = 3;
        break;
    case STATEFUL:
        pod.name = text(&t, "set-%u-%u", owner, member % 100);
        labels[1] = (struct mu_label){MU_STR("controller-revision-hash"), text(&t, "%09x", owner)};
        labels[2] =
            (struct mu_label){MU_STR("apps.kubernetes.io/pod-index"), text(&t, "%u", member % 100)};
        labels[3] = (struct mu_label){MU_STR("statefulset.kubernetes.io/pod-name"), pod.name};
        pod.label_count = 4;
        break;
    case DAEMON:
        pod.ns = MU_STR("kube-system");
        pod.name = text(&t, "agent-%07x", member);
        labels[0].value = MU_STR("agent");
        labels[1] = (struct mu_label){MU_STR("controller-revision-hash"), MU_STR("6bf7c9d4f8")};
        break;
    }
    const struct mu_amount requests[] = {{MU_STR("cpu"), 100 + owner % 8 * 100},
                                         {MU_STR("memory"), (1 + owner % 5) * GIB}};
    pod.uid = text(&t, "%08" PRIx32 "-0000-4000-8000-000000000000", p);
    pod.version = UINT64_C(1) << 32 | p;
    pod.created_s = 1700000000 + p / 1000;
    pod.scheduler_name = sort == DAEMON ? MU_STR("default-scheduler") : MU_STR("muster");
    pod.node_name = node_name(&t, member);
    pod.phase = MU_POD_RUNNING;
    pod.controlled = true;
    pod.requests = requests;
    pod.request_count = 2;
    MU_ASSERT(mu_db_pod_upsert(db, &pod, 0, NULL) == 0);
}

/* A gang of one of the hot classes: a run of pods that are alike. */
static void put_gang(struct mu_db *db, uint32_t class_number)
{
    for (uint32_t p = 0; p < HOT_PODS; p++) {
        struct texts t = {.count = 0};
        const struct mu_amount requests[] = {{MU_STR("cpu"), 1000 + class_number * 100},
                                             {MU_STR("memory"), (1 + class_number) * GIB},
                                             {MU_STR("nvidia.com/gpu"), 1}};
        const struct mu_pod_object pod = {
            .ns = MU_STR("train"),
            .name = text(&t, "train-%u-%u", class_number, p),
            .uid = text(&t, "%08" PRIx32 "-0000-4000-a000-%012" PRIx32, class_number, p),
            .version = 1 + p,
            .scheduler_name = MU_STR("muster"),
            .requests = requests,
            .request_count = class_number % 4 == 0 ? 3 : 2,
            .gang = {.source = MU_GANG_MUSTER,
                     .name = text(&t, "train-%u", class_number),
                     .size = HOT_PODS},
        };
        MU_ASSERT(mu_db_pod_upsert(db, &pod, 0, NULL) == 0);
    }
}

struct world {
    struct mu_db *db;
    struct mu_snapshot *replica;
    struct mu_session *session;
};

static void world_make(struct world *w)
{
    const struct mu_str ours = MU_STR("muster");
    const struct mu_db_config config = {.scheduler_names = &ours, .scheduler_name_count = 1};
    const struct mu_session_config deciding = {.profile = &mu_profile_spread};
    w->db = mu_db_create(&config);
    MU_ASSERT(w->db != NULL);
    w->replica = mu_db_replica_create(w->db);
    w->session = mu_session_create(&deciding);
    MU_ASSERT(w->replica != NULL && w->session != NULL);
}

/* Bring the replica up to date and decide. Returns how many binds there are. */
static uint32_t decide(struct world *w)
{
    const struct mu_plan *plan = NULL;
    uint32_t binds = 0;
    int more;
    do {
        more = mu_db_replica_sync(w->db, w->replica, 0);
        MU_ASSERT(more >= 0);
    } while (more == 1);
    MU_ASSERT(mu_session_run(w->session, w->replica, 0, &plan) == 0);
    for (uint32_t g = 0; g < plan->gang_count; g++)
        binds += plan->gangs[g].bind_count;
    return binds;
}

static bool counts_right(const struct world *w, const struct shape *shape)
{
    struct mu_db_counts counts;
    int64_t slots = 0;
    mu_db_counts(w->db, &counts);
    for (uint32_t row = 0; row < w->replica->node_rows; row++)
        slots += w->replica->free[MU_RES_PODS][row];
    return counts.nodes == shape->nodes && w->replica->node_count == shape->nodes &&
           counts.pods_bound == shape->pods && counts.pods_ours_pending == HOT_CLASSES * HOT_PODS &&
           counts.limit_refused + counts.limit_reduced == 0 &&
           slots == INT64_C(110) * shape->nodes - shape->pods;
}

static void body(struct mu_bench *bench, const void *argument)
{
    const struct shape *shape = argument;
    uint64_t items = 0;
    while (mu_bench_running(bench)) {
        struct world w;
        world_make(&w);
        size_t empty = resident_bytes();
        for (uint32_t n = 0; n < shape->nodes; n++)
            put_node(w.db, shape, n);
        for (uint32_t c = 0; c < HOT_CLASSES; c++)
            put_gang(w.db, c);
        MU_BENCH_CHECK(bench, decide(&w) == HOT_CLASSES * HOT_PODS);
        size_t nodes = resident_bytes();
        for (uint32_t p = 0; p < shape->pods; p++)
            put_bound(w.db, shape, p);
        MU_BENCH_CHECK(bench, decide(&w) == HOT_CLASSES * HOT_PODS);
        size_t pods = resident_bytes();
        mu_bench_counter(bench, "bytes_per_node", ((double)nodes - (double)empty) / shape->nodes);
        mu_bench_counter(bench, "bytes_per_pod", ((double)pods - (double)nodes) / shape->pods);
        MU_BENCH_CHECK(bench, counts_right(&w, shape));
        mu_session_destroy(w.session);
        mu_db_replica_destroy(w.db, w.replica);
        mu_db_destroy(w.db);
        items += shape->nodes + shape->pods;
    }
    mu_bench_items(bench, items);
}

static const struct shape shape_whole = {1000000, 10000000};
static const struct shape shape_small = {2000, 20000};
MU_BENCH(memory, "memory/nodes:1000000/pods:10000000", body, &shape_whole)
MU_BENCH(memory_small, "memory/nodes:1000000/pods:10000000/small", body, &shape_small)
