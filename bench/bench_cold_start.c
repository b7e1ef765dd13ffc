/*
 * A cold start: the lists of a cluster's nodes and pods go, page by page, through reflectors into
 * an empty cluster DB; then a replica is brought up to date and the first session decides. The
 * clock runs from the first byte of the first page, all of them being in memory, to the plan: what
 * a restart costs once the data has arrived.
 *
 * Nodes come first, then pods, in pages of 500 and pieces of 64 KiB, as from an API server. All
 * pods but the last thousandth are bound, to the nodes in turn; one node in a hundred has none. The
 * DB starts without a hint of what is coming.
 *
 * Checked: what the DB holds; that the plan binds all that was pending; and that the nodes of its
 * first pods are those that a naive scan of all nodes picks.
 */
#include "bench/bench.h"
#include "bench/kube_bytes.h"

#include <stdio.h>
#include <string.h>

#include "engine/base/arena.h"
#include "engine/base/assert.h"
#include "engine/base/mem.h"
#include "engine/db/db.h"
#include "engine/session/session.h"
#include "informer/reflector.h"
#include "informer/wire_priv.h"
#include "tests/support/oracle.h"

enum {
    CLASSES = 16,
    PAGE_OBJECTS = 500,
    PIECE_BYTES = 64 << 10,
    SWEEP_BUDGET = 4096,
    CHECKED_BINDS = 4
};

struct shape {
    uint32_t nodes, pods;
};

static uint32_t pending_of(const struct shape *shape)
{
    return shape->pods / 1000;
}

static struct mu_str buf_str(const struct mu_buf *buf)
{
    return (struct mu_str){(const char *)buf->data, (uint32_t)buf->len};
}

/* --- the lists ------------------------------------------------------------------------------ */

struct list {
    const char *kind;
    struct mu_buf *pages;
    uint32_t page_count;
};

/* The n-th object into `object`, which is empty. */
typedef void (*make_fn)(const struct shape *shape, uint32_t n, struct mu_buf *object);

static void make_node(const struct shape *shape, uint32_t n, struct mu_buf *node)
{
    (void)shape;
    mu_bytes_node(node);
    mu_bytes_stamp_node(node, n);
}

static void make_pod(const struct shape *shape, uint32_t n, struct mu_buf *pod)
{
    uint32_t used = shape->nodes - shape->nodes / 100;
    mu_bytes_pod(pod, n < shape->pods - pending_of(shape), false);
    mu_bytes_stamp_pod(pod, n, 100 + n % CLASSES * 50, n % used);
}

static void list_build(struct list *list, const char *kind, const struct shape *shape,
                       uint32_t count, make_fn make)
{
    struct mu_buf body = {.data = NULL}, head = {.data = NULL}, object = {.data = NULL};
    list->kind = kind;
    list->page_count = (count + PAGE_OBJECTS - 1) / PAGE_OBJECTS;
    list->pages = mu_mem_calloc(list->page_count, sizeof *list->pages);
    MU_ASSERT(list->pages != NULL);
    for (uint32_t p = 0; p < list->page_count; p++) {
        mu_buf_clear(&head);
        mu_buf_clear(&body);
        mu_wire_put_bytes(&head, 2, MU_STR("300000000"));
        if (p + 1 < list->page_count)
            mu_wire_put_bytes(&head, 3, MU_STR("more"));
        mu_wire_put_bytes(&body, 1, buf_str(&head));
        for (uint32_t n = p * PAGE_OBJECTS; n < count && n < (p + 1) * PAGE_OBJECTS; n++) {
            mu_buf_clear(&object);
            make(shape, n, &object);
            mu_wire_put_bytes(&body, 2, buf_str(&object));
        }
        int rc = mu_envelope_wrap(&list->pages[p], MU_STR("v1"), mu_str_of(kind), buf_str(&body));
        MU_ASSERT(rc == 0 && body.failed == 0 && object.failed == 0);
    }
    mu_buf_fini(&head);
    mu_buf_fini(&body);
    mu_buf_fini(&object);
}

static void list_free(struct list *list)
{
    for (uint32_t p = 0; p < list->page_count; p++)
        mu_buf_fini(&list->pages[p]);
    mu_mem_free(list->pages);
}

/* --- the way in ----------------------------------------------------------------------------- */

struct start {
    struct mu_db *db;
    struct mu_arena *arena;
    struct mu_outbox box;
    struct mu_random random;
    enum mu_db_kind kind; /* of the list at hand */
    uint64_t bad;
    struct mu_snapshot *replica;
    struct mu_session *session;
    const struct mu_plan *plan;
};

static int on_upsert(void *context, struct mu_str raw, uint64_t version, uint64_t now_ns)
{
    struct start *start = context;
    struct mu_pod_object pod;
    struct mu_node_object node;
    struct mu_error warn;
    int rc;
    (void)version;
    mu_arena_reset(start->arena);
    if (start->kind == MU_DB_PODS) {
        rc = mu_pod_decode(raw, start->arena, &pod, &warn, NULL);
        rc = rc != 0 ? rc : mu_db_pod_upsert(start->db, &pod, now_ns, NULL);
    } else {
        rc = mu_node_decode(raw, start->arena, &node, &warn, NULL);
        rc = rc != 0 ? rc : mu_db_node_upsert(start->db, &node, now_ns, NULL);
    }
    start->bad += rc != 0 || warn.code != 0;
    return 0;
}

static int on_remove(void *context, struct mu_str raw, uint64_t version, uint64_t now_ns)
{
    struct start *start = context;
    (void)raw;
    (void)version;
    (void)now_ns;
    start->bad++; /* a list deletes nothing */
    return 0;
}

static void on_relist_begin(void *context)
{
    struct start *start = context;
    mu_db_relist_begin(start->db, start->kind);
}

static int on_relist_sweep(void *context, uint64_t now_ns)
{
    struct start *start = context;
    return mu_db_relist_sweep(start->db, start->kind, SWEEP_BUDGET, now_ns);
}

static void reply_page(struct start *start, struct mu_reflector *reflector,
                       const struct mu_buf *page)
{
    const struct mu_request *request = mu_outbox_take(&start->box);
    MU_ASSERT(request != NULL);
    struct mu_reply reply = {.token = request->token, .kind = MU_REPLY_HEAD, .status = 200};
    bool ours = mu_reflector_reply(reflector, &reply, 1, &start->box);
    reply.kind = MU_REPLY_DATA;
    for (size_t at = 0; at < page->len; at += PIECE_BYTES) {
        size_t len = page->len - at < PIECE_BYTES ? page->len - at : PIECE_BYTES;
        reply.data = (struct mu_str){(const char *)page->data + at, (uint32_t)len};
        ours = ours && mu_reflector_reply(reflector, &reply, 1, &start->box);
    }
    reply.kind = MU_REPLY_END;
    ours = ours && mu_reflector_reply(reflector, &reply, 1, &start->box);
    MU_ASSERT(ours);
    mu_db_batch_end(start->db);
}

static void take_list(struct start *start, enum mu_db_kind kind, const struct list *list)
{
    const struct mu_reflector_config config = {.name = mu_str_of(list->kind),
                                               .path = MU_STR("/api/v1/objects")};
    const struct mu_reflector_sink sink = {start, on_upsert, on_remove, on_relist_begin,
                                           on_relist_sweep};
    struct mu_reflector_stats stats;
    struct mu_reflector *reflector = mu_reflector_create(&config, &sink, &start->random);
    MU_ASSERT(reflector != NULL);
    start->kind = kind;
    mu_reflector_start(reflector, 1, &start->box);
    for (uint32_t p = 0; p < list->page_count; p++)
        reply_page(start, reflector, &list->pages[p]);
    mu_reflector_stats(reflector, &stats);
    while (stats.state == MU_REFLECTOR_SWEEPING) {
        mu_reflector_tick(reflector, 1, &start->box);
        mu_reflector_stats(reflector, &stats);
    }
    MU_ASSERT(stats.synced && stats.state == MU_REFLECTOR_WATCHING);
    (void)mu_outbox_take(&start->box); /* the watch, which nobody answers */
    mu_reflector_destroy(reflector);
}

static void decide(struct start *start)
{
    int more;
    do {
        more = mu_db_replica_sync(start->db, start->replica, 0);
        MU_ASSERT(more >= 0);
    } while (more == 1);
    int rc = mu_session_run(start->session, start->replica, 1, &start->plan);
    MU_ASSERT(rc == 0);
}

/* What a process has before its first byte arrives. */
static void start_open(struct start *start)
{
    const struct mu_str ours = MU_STR("muster");
    const struct mu_db_config db = {.scheduler_names = &ours, .scheduler_name_count = 1};
    const struct mu_session_config session = {.profile = &mu_profile_default};
    *start = (struct start){.db = mu_db_create(&db),
                            .arena = mu_arena_create(MU_DECODE_ARENA_BYTES),
                            .session = mu_session_create(&session)};
    MU_ASSERT(start->db != NULL && start->arena != NULL && start->session != NULL);
    start->replica = mu_db_replica_create(start->db);
    MU_ASSERT(start->replica != NULL);
    mu_random_init_seed(&start->random, 1);
}

static void start_close(struct start *start)
{
    mu_session_destroy(start->session);
    mu_db_replica_destroy(start->db, start->replica);
    mu_outbox_fini(&start->box);
    mu_arena_destroy(start->arena);
    mu_db_destroy(start->db);
}

/* --- the answer ----------------------------------------------------------------------------- */

/* The first pods went where a look at every node, one pod after the other, puts them. */
static bool first_binds_right(const struct start *start)
{
    struct mu_snapshot *s = start->replica;
    uint32_t rows[CHECKED_BINDS];
    struct mu_class_ix classes[CHECKED_BINDS];
    bool right = start->plan->gang_count >= 1;
    uint32_t count = 0;
    for (; right && count < CHECKED_BINDS && count < start->plan->gang_count; count++) {
        const struct mu_plan_gang *gang = &start->plan->gangs[count];
        rows[count] = gang->binds[0].node.v;
        classes[count] = s->gangs[gang->gang.v].block->members[0].class_ix;
        right = gang->bind_count == 1 &&
                mu_oracle_pick(s, &mu_profile_default, classes[count]) == rows[count];
        mu_oracle_charge(s, classes[count], rows[count], 1);
    }
    while (count-- > 0)
        mu_oracle_charge(s, classes[count], rows[count], -1);
    return right;
}

static void check(struct mu_bench *bench, const struct start *start, const struct shape *shape)
{
    struct mu_db_counts counts;
    mu_db_counts(start->db, &counts);
    MU_BENCH_CHECK(bench, start->bad == 0);
    MU_BENCH_CHECK(bench, counts.nodes == shape->nodes && counts.pods == shape->pods);
    MU_BENCH_CHECK(bench, counts.pods_ours_pending == pending_of(shape));
    MU_BENCH_CHECK(bench, counts.pods_bound == shape->pods - pending_of(shape));
    MU_BENCH_CHECK(bench, start->replica->node_count == shape->nodes);
    MU_BENCH_CHECK(bench, start->plan->gang_count == pending_of(shape));
    MU_BENCH_CHECK(bench, first_binds_right(start));
}

static void body(struct mu_bench *bench, const void *argument)
{
    const struct shape *shape = argument;
    struct list nodes, pods;
    uint64_t objects = 0;
    list_build(&nodes, "NodeList", shape, shape->nodes, make_node);
    list_build(&pods, "PodList", shape, shape->pods, make_pod);
    while (mu_bench_running(bench)) {
        struct start start = {.bad = 0};
        mu_bench_pause(bench);
        start_open(&start);
        mu_bench_resume(bench);
        take_list(&start, MU_DB_NODES, &nodes);
        take_list(&start, MU_DB_PODS, &pods);
        decide(&start);
        mu_bench_pause(bench);
        check(bench, &start, shape);
        start_close(&start);
        objects += (uint64_t)shape->nodes + shape->pods;
        mu_bench_resume(bench);
    }
    mu_bench_items(bench, objects);
    mu_bench_counter_per_round(bench, "seconds", mu_bench_seconds(bench));
    list_free(&nodes);
    list_free(&pods);
}

static const struct shape shape_100k = {100000, 1000000};
static const struct shape shape_small = {200, 4000};
MU_BENCH(cold_start, "cold_start/nodes:100000/pods:1000000", body, &shape_100k)
MU_BENCH(cold_start_small, "cold_start/nodes:100000/pods:1000000/small", body, &shape_small)
