/*
 * Watch ingest: a stream of ADDED events of `pods` distinct pods goes through the reflector
 * (frames, metadata), is decoded, indexed and stored in the cluster DB. A round is the whole stream
 * into an empty DB, in pieces of 64 KiB as a socket would give them, a batch per piece. Making the
 * DB and the first, empty list are not timed.
 *
 * A pod is about 1.4 KB on the wire, as a Deployment of one container with a volume, a probe and an
 * environment gives it: much of it are fields that a scheduler skips. Half of the pods are bound,
 * to 1,000 nodes. With `managed_fields:1` each carries 1 KB of those besides.
 *
 * Checked: what the DB holds afterwards, and what the reflector has counted.
 */
#include "bench/bench.h"

#include <stdio.h>
#include <string.h>

#include "engine/base/arena.h"
#include "engine/base/assert.h"
#include "engine/db.h"
#include "informer/reflector.h"
#include "informer/wire_priv.h"

enum { NODES = 1000, CLASSES = 16, PIECE_BYTES = 64 << 10 };

struct shape {
    uint32_t pods;
    bool managed_fields;
};

static struct mu_str buf_str(const struct mu_buf *buf)
{
    return (struct mu_str){(const char *)buf->data, (uint32_t)buf->len};
}

/* --- one pod: a template, with places that are overwritten for each ------------------------ */

/* Numbers of fields: kubernetes-wire §2.1 and §2.2. */
static void put(struct mu_buf *out, uint32_t number, const char *text)
{
    mu_wire_put_bytes(out, number, mu_str_of(text));
}

static void put_inner(struct mu_buf *out, uint32_t number, struct mu_buf *inner)
{
    mu_wire_put_bytes(out, number, buf_str(inner));
    mu_buf_fini(inner);
}

static void put_number(struct mu_buf *out, uint32_t number, uint64_t value)
{
    mu_wire_put_varint(out, (uint64_t)number << 3);
    mu_wire_put_varint(out, value);
}

static void put_pair(struct mu_buf *out, uint32_t number, const char *key, const char *value)
{
    struct mu_buf pair = {.data = NULL};
    put(&pair, 1, key);
    put(&pair, 2, value);
    put_inner(out, number, &pair);
}

static void put_amount(struct mu_buf *out, uint32_t number, const char *key, const char *value)
{
    struct mu_buf entry = {.data = NULL}, quantity = {.data = NULL};
    put(&quantity, 1, value);
    put(&entry, 1, key);
    put_inner(&entry, 2, &quantity);
    put_inner(out, number, &entry);
}

static void put_filler(struct mu_buf *out, uint32_t number, size_t len)
{
    struct mu_buf filler = {.data = NULL};
    while (filler.len < len)
        (void)mu_buf_append_text(&filler, "{\"f:metadata\":{\"f:labels\":{\"f:app\":{}}}}");
    put_inner(out, number, &filler);
}

static void put_metadata(struct mu_buf *out, bool managed_fields)
{
    struct mu_buf meta = {.data = NULL}, time = {.data = NULL}, owner = {.data = NULL};
    put(&meta, 1, "web-frontend-7c9d8b6f5-NNNNNNNN");
    put(&meta, 2, "web-frontend-7c9d8b6f5-");
    put(&meta, 3, "production");
    put(&meta, 5, "0a1b2c3d-4e5f-4a6b-8c7d-0000UUUUUUUU");
    put(&meta, 6, "1VVVVVVVV");
    put_number(&time, 1, 1700000000);
    put_inner(&meta, 8, &time);
    put_pair(&meta, 11, "app.kubernetes.io/name", "web-frontend");
    put_pair(&meta, 11, "app.kubernetes.io/instance", "web-frontend-production");
    put_pair(&meta, 11, "pod-template-hash", "7c9d8b6f5");
    put_pair(&meta, 11, "topology.example.com/tier", "frontend");
    put_pair(&meta, 12, "prometheus.io/scrape", "true");
    put_pair(&meta, 12, "checksum/config", "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822c");
    put(&owner, 1, "ReplicaSet");
    put(&owner, 3, "web-frontend-7c9d8b6f5");
    put(&owner, 4, "11111111-2222-4333-8444-555555555555");
    put(&owner, 5, "apps/v1");
    put_number(&owner, 6, 1);
    put_inner(&meta, 13, &owner);
    if (managed_fields)
        put_filler(&meta, 17, 1000);
    put_inner(out, 1, &meta);
}

static void put_container(struct mu_buf *out)
{
    struct mu_buf container = {.data = NULL}, needs = {.data = NULL};
    put(&container, 1, "web");
    put(&container, 2, "registry.example.com/team/web-frontend:1.24.3");
    put_filler(&container, 7, 160);                    /* env */
    for (uint32_t number = 1; number <= 2; number++) { /* limits, requests */
        put_amount(&needs, number, "cpu", "CCCCm");
        put_amount(&needs, number, "memory", "256Mi");
    }
    put_inner(&container, 8, &needs);
    put_filler(&container, 10, 200); /* livenessProbe */
    put_inner(out, 2, &container);
}

static void put_spec(struct mu_buf *out, bool bound)
{
    struct mu_buf spec = {.data = NULL}, volume = {.data = NULL}, source = {.data = NULL};
    put(&volume, 1, "kube-api-access-x7k2p");
    put_filler(&source, 26, 80); /* projected */
    put_inner(&volume, 2, &source);
    put_inner(&spec, 1, &volume);
    put_container(&spec);
    put(&spec, 3, "Always");
    put(&spec, 8, "web-frontend");
    if (bound)
        put(&spec, 10, "node-0MMM");
    put(&spec, 19, "muster");
    for (int i = 0; i < 2; i++) {
        struct mu_buf toleration = {.data = NULL};
        put(&toleration, 1,
            i == 0 ? "node.kubernetes.io/not-ready" : "node.kubernetes.io/unreachable");
        put(&toleration, 2, "Exists");
        put(&toleration, 4, "NoExecute");
        put_number(&toleration, 5, 300);
        put_inner(&spec, 22, &toleration);
    }
    put_number(&spec, 25, 0);
    put_inner(out, 2, &spec);
}

static void put_status(struct mu_buf *out, bool bound)
{
    static const char *const types[] = {"PodScheduled", "Initialized", "ContainersReady", "Ready"};
    struct mu_buf status = {.data = NULL};
    put(&status, 1, bound ? "Running" : "Pending");
    for (int i = 0; bound && i < 4; i++) {
        struct mu_buf condition = {.data = NULL}, time = {.data = NULL};
        put_number(&time, 1, 1700000000);
        put(&condition, 1, types[i]);
        put(&condition, 2, "True");
        put_inner(&condition, 4, &time);
        put_inner(&status, 2, &condition);
    }
    put(&status, 9, "Guaranteed");
    put_inner(out, 3, &status);
}

/* Overwrite every occurrence of the run `mark` with the number in decimal, padded with zeros. */
static void stamp(struct mu_buf *pod, const char *mark, uint32_t number)
{
    char digits[16];
    size_t len = strlen(mark);
    (void)snprintf(digits, sizeof digits, "%0*u", (int)len, number);
    uint8_t *at = pod->data;
    while ((at = memmem(at, pod->len - (size_t)(at - pod->data), mark, len)) != NULL)
        memcpy(at, digits, len);
}

/* The stream of all ADDED events. */
static void build_stream(struct mu_buf *stream, const struct shape *shape)
{
    struct mu_buf templates[2] = {{.data = NULL}};
    struct mu_buf pod = {.data = NULL};
    for (int bound = 0; bound < 2; bound++) {
        put_metadata(&templates[bound], shape->managed_fields);
        put_spec(&templates[bound], bound != 0);
        put_status(&templates[bound], bound != 0);
    }
    for (uint32_t n = 0; n < shape->pods; n++) {
        mu_buf_clear(&pod);
        (void)mu_buf_append_str(&pod, buf_str(&templates[n % 2]));
        stamp(&pod, "NNNNNNNN", n);
        stamp(&pod, "UUUUUUUU", n);
        stamp(&pod, "VVVVVVVV", n);
        stamp(&pod, "CCCC", 100 + n / 2 % CLASSES * 50);
        stamp(&pod, "MMM", n % NODES);
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
        char name[16];
        (void)snprintf(name, sizeof name, "node-0%03u", n);
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
        struct feed feed;
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
