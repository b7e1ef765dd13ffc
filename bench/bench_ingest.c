/*
 * Watch ingest: a stream of ADDED events of `pods` distinct pods goes through the reflector
 * (frames, metadata), is decoded, indexed and stored in the cluster DB. A round is the whole stream
 * into an empty DB, in pieces of 64 KiB as a socket would give them, a batch per piece. Making the
 * DB and the first, empty list are not timed.
 *
 * Half of the pods (kube_bytes.h) are bound, to 1,000 nodes. With `managed_fields:1` each carries
 * 1 KB of those besides.
 *
 * Checked: what the DB holds afterwards, and what the reflector has counted.
 */
#include "bench/bench.h"
#include "bench/kube_bytes.h"

#include <stdio.h>
#include <string.h>

#include "engine/base/arena.h"
#include "engine/base/assert.h"
#include "engine/db/db.h"
#include "informer/reflector.h"

enum { NODES = 1000, CLASSES = 16, PIECE_BYTES = 64 << 10 };

struct shape {
    uint32_t pods;
    bool managed_fields;
};

static struct mu_str buf_str(const struct mu_buf *buf)
{
    return (struct mu_str){(const char *)buf->data, (uint32_t)buf->len};
}

/* The stream of all ADDED events. */
static void build_stream(struct mu_buf *stream, const struct shape *shape)
{
    struct mu_buf templates[2] = {{.data = NULL}};
    struct mu_buf pod = {.data = NULL};
    for (int bound = 0; bound < 2; bound++)
        mu_bytes_pod(&templates[bound], bound != 0, shape->managed_fields);
    for (uint32_t n = 0; n < shape->pods; n++) {
        mu_buf_clear(&pod);
        (void)mu_buf_append_str(&pod, buf_str(&templates[n % 2]));
        mu_bytes_stamp_pod(&pod, n, 100 + n / 2 % CLASSES * 50, n % NODES);
        int rc = mu_watch_frame_write(stream, MU_WATCH_ADDED, MU_STR("v1"), MU_STR("Pod"),
                                      buf_str(&pod));
        MU_ASSERT(rc == 0);
    }
    MU_ASSERT(templates[0].failed == 0 && templates[1].failed == 0);
    mu_buf_fini(&templates[0]);
    mu_buf_fini(&templates[1]);
    mu_buf_fini(&pod);
}

/* --- the way of an event ------------------------------------------------------------------- */

struct feed {
    struct mu_db *db;
    struct mu_arena *arena;
    struct mu_reflector *reflector;
    struct mu_outbox box;
    uint64_t bad;
};

static int feed_upsert(void *context, struct mu_str raw, uint64_t version, uint64_t now_ns)
{
    struct feed *feed = context;
    struct mu_pod_object pod;
    struct mu_error warn;
    (void)version;
    mu_arena_reset(feed->arena);
    int rc = mu_pod_decode(raw, feed->arena, &pod, &warn, NULL);
    if (rc == 0)
        rc = mu_db_pod_upsert(feed->db, &pod, now_ns, NULL);
    feed->bad += rc != 0 || warn.code != 0;
    return 0;
}

static int feed_remove(void *context, struct mu_str raw, uint64_t version, uint64_t now_ns)
{
    struct feed *feed = context;
    (void)raw;
    (void)version;
    (void)now_ns;
    feed->bad++; /* nothing is deleted here */
    return 0;
}

static void feed_relist_begin(void *context)
{
    (void)context;
}

static int feed_relist_sweep(void *context, uint64_t now_ns)
{
    (void)context;
    (void)now_ns;
    return 0;
}

static uint64_t next_token(struct feed *feed)
{
    const struct mu_request *request = mu_outbox_take(&feed->box);
    MU_ASSERT(request != NULL);
    return request->token;
}

static void reply(struct feed *feed, struct mu_reply reply)
{
    bool ours = mu_reflector_reply(feed->reflector, &reply, 1, &feed->box);
    MU_ASSERT(ours);
}

/* A DB with its nodes, and a reflector that has listed nothing and is watching. Returns the watch's
 * token. */
static uint64_t feed_open(struct feed *feed, uint32_t pods)
{
    const struct mu_str ours = MU_STR("muster");
    const struct mu_db_config config = {
        .scheduler_names = &ours,
        .scheduler_name_count = 1,
        .nodes_hint = NODES,
        .pods_hint = pods,
    };
    const struct mu_reflector_config reflector = {
        .name = MU_STR("pods"), .path = MU_STR("/api/v1/pods"), .token_base = 0};
    const struct mu_reflector_sink sink = {feed, feed_upsert, feed_remove, feed_relist_begin,
                                           feed_relist_sweep};
    struct mu_random random;
    mu_random_init_seed(&random, 1);
    *feed = (struct feed){.db = mu_db_create(&config),
                          .arena = mu_arena_create(MU_DECODE_ARENA_BYTES),
                          .reflector = mu_reflector_create(&reflector, &sink, &random)};
    MU_ASSERT(feed->db != NULL && feed->arena != NULL && feed->reflector != NULL);
    for (uint32_t n = 0; n < NODES; n++) {
        char name[32];
        (void)snprintf(name, sizeof name, "node-%06u", n);
        const struct mu_amount amounts[] = {{MU_STR("cpu"), INT64_C(1) << 40},
                                            {MU_STR("memory"), INT64_C(1) << 50},
                                            {MU_STR("pods"), 1 << 20}};
        const struct mu_node_object node = {.name = mu_str_of(name),
                                            .uid = mu_str_of(name),
                                            .version = 1,
                                            .allocatable = amounts,
                                            .allocatable_count = 3};
        int rc = mu_db_node_upsert(feed->db, &node, 0, NULL);
        MU_ASSERT(rc == 0);
    }
    mu_db_batch_end(feed->db);
    mu_reflector_start(feed->reflector, 0, &feed->box);
    uint64_t list = next_token(feed);
    /* An empty list at version 1. */
    const struct mu_str page = MU_STR("k8s\0\x12\x05\x0a\x03\x12\x01\x31");
    reply(feed, (struct mu_reply){.token = list, .kind = MU_REPLY_HEAD, .status = 200});
    reply(feed, (struct mu_reply){.token = list, .kind = MU_REPLY_DATA, .data = page});
    reply(feed, (struct mu_reply){.token = list, .kind = MU_REPLY_END});
    uint64_t watch = next_token(feed);
    reply(feed, (struct mu_reply){.token = watch, .kind = MU_REPLY_HEAD, .status = 200});
    return watch;
}

static void feed_check(struct mu_bench *bench, struct feed *feed, const struct shape *shape)
{
    struct mu_db_counts counts;
    struct mu_reflector_stats stats;
    mu_db_counts(feed->db, &counts);
    mu_reflector_stats(feed->reflector, &stats);
    MU_BENCH_CHECK(bench, feed->bad == 0);
    MU_BENCH_CHECK(bench, stats.events == shape->pods && stats.failures == 0);
    MU_BENCH_CHECK(bench, counts.pods == shape->pods && counts.nodes == NODES);
    MU_BENCH_CHECK(bench, counts.pods_bound == shape->pods / 2);
    MU_BENCH_CHECK(bench, counts.pods_ours_pending == shape->pods - shape->pods / 2);
}

static void feed_close(struct feed *feed)
{
    mu_reflector_destroy(feed->reflector);
    mu_outbox_fini(&feed->box);
    mu_arena_destroy(feed->arena);
    mu_db_destroy(feed->db);
}

static void body(struct mu_bench *bench, const void *argument)
{
    const struct shape *shape = argument;
    struct mu_buf stream = {.data = NULL};
    uint64_t events = 0;
    build_stream(&stream, shape);
    while (mu_bench_running(bench)) {
        struct feed feed = {.bad = 0};
        mu_bench_pause(bench);
        uint64_t watch = feed_open(&feed, shape->pods);
        mu_bench_resume(bench);
        for (size_t at = 0; at < stream.len; at += PIECE_BYTES) {
            size_t len = stream.len - at < PIECE_BYTES ? stream.len - at : PIECE_BYTES;
            const struct mu_str piece = {(const char *)stream.data + at, (uint32_t)len};
            reply(&feed, (struct mu_reply){.token = watch, .kind = MU_REPLY_DATA, .data = piece});
            mu_db_batch_end(feed.db);
        }
        mu_bench_pause(bench);
        feed_check(bench, &feed, shape);
        feed_close(&feed);
        events += shape->pods;
        mu_bench_resume(bench);
    }
    mu_bench_items(bench, events);
    mu_bench_counter(bench, "bytes_per_event", (double)stream.len / shape->pods);
    mu_buf_fini(&stream);
}

static const struct shape shape_100k = {100000, false};
static const struct shape shape_100k_managed = {100000, true};
static const struct shape shape_small = {2000, false};
MU_BENCH(ingest_100k, "ingest/pods:100000", body, &shape_100k)
MU_BENCH(ingest_100k_managed, "ingest/pods:100000/managed_fields:1", body, &shape_100k_managed)
MU_BENCH(ingest_small, "ingest/pods:100000/small", body, &shape_small)
