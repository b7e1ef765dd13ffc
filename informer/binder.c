/*
 * A bind is a slot that moves between these states until it is settled, once:
 *
 *   WAITING  behind its group's claim, never sent
 *   READY    in the queue for a free place among in_flight_max requests
 *   OPEN     its request (a bind POST or a GET of the pod) is with the transport
 *   ANSWERED its reply is being judged: it leaves this state within the same call
 *   ASLEEP   in the timer wheel, to be READY again later
 *   DONE     settled by what the watch showed while its request was open: the slot stays until the
 *            transport is done with it, so that in_flight tells the truth
 *
 * Why no outcome can be wrong: BOUND needs the server's word (2xx, or the pod read back with our
 * node and our plan). REFUSED needs proof that no copy of this write can land any more: the pod is
 * bound, or at a newer resourceVersion than every copy's precondition, or no copy whose fate is
 * unknown was ever sent. GONE needs the server's Status, not just some proxy's 404.
 *
 * Nothing allocates between taking a bind and settling it except requests and reply bodies; when
 * one of those finds no memory the bind sleeps and tries again, so none is lost. A group is
 * one block with its binds and their strings; a bind is found by its slot number (in the token of
 * its request) and by its id.
 */
#include "informer/binder.h"

#include <inttypes.h>
#include <stdio.h>

#include "engine/base/assert.h"
#include "engine/base/clock.h"
#include "engine/base/hash.h"
#include "engine/base/index.h"
#include "engine/base/mem.h"
#include "engine/base/plant.h"
#include "informer/http_wheel.h"

#define IN_FLIGHT_DEFAULT  256u
#define TIMEOUT_DEFAULT_NS (30 * MU_NS_PER_S)
#define BACKOFF_FIRST_NS   (200 * MU_NS_PER_MS)
#define BACKOFF_MAX_NS     (10 * MU_NS_PER_S)
#define RETRY_AFTER_MAX_S  60u /* a server that asks for more is asked again anyway */
#define SLOT_BITS          24
#define TOKEN_SPACE        (UINT64_C(1) << 48)
#define NONE               UINT32_MAX

enum bind_state { WAITING, READY, OPEN, ANSWERED, ASLEEP, DONE };
enum bind_step { STEP_POST, STEP_GET };

struct bind {
    struct group *group;
    uint64_t id;
    struct mu_str ns, name, uid, node;
    uint64_t version;
    uint64_t devices;
    struct mu_link link;         /* WAITING: the group's list, READY: the binder's */
    struct mu_wheel_entry timer; /* ASLEEP */
    struct mu_buf body;          /* of the reply */
    uint32_t slot;
    uint32_t sequence; /* of its newest request: late replies of older ones are told apart */
    uint32_t attempts; /* bind POSTs sent */
    uint32_t sleeps;   /* in a row: how far back-off has grown */
    uint32_t retry_after_s;
    int status;
    enum bind_state state;
    enum bind_step step;
    bool claim;
    bool unknown; /* a copy of the write may have reached the server and was not answered */
};

struct group {
    struct mu_str plan;
    struct mu_link waiting; /* the binds behind the claim */
    uint32_t held;          /* binds not yet let go; the last one frees the group */
    struct bind binds[];    /* then the strings */
};

struct slot {
    struct bind *bind; /* NULL: free */
    uint32_t next_free;
};

struct mu_binder {
    struct mu_binder_config config;
    struct mu_random random;
    struct slot *slots;
    uint32_t slot_count; /* ever used */
    uint32_t slot_cap;
    uint32_t free_head; /* list through next_free */
    uint32_t free_count;
    struct mu_link ready;
    struct mu_wheel wheel;
    struct mu_index *by_id; /* id -> slot */
    struct mu_arena *arena;
    struct mu_binder_stats stats;
    uint32_t live;            /* taken and not settled */
    uint32_t live_open;       /* those of them that are OPEN */
    uint64_t paused_until_ns; /* the server asked for quiet */
    uint32_t sequence;
    bool in_outcome;
    char problem[MU_ERROR_TEXT_BYTES];
};

static void pump(struct mu_binder *b, uint64_t now_ns, struct mu_outbox *out);

/* --- create and destroy -------------------------------------------------------------------- */

static uint64_t hash_id(uint64_t id)
{
    return mu_hash_mix(id, 0);
}

static bool index_equal(const void *context, uint32_t value, const void *key)
{
    const struct mu_binder *b = context;
    return b->slots[value].bind->id == *(const uint64_t *)key;
}

static uint64_t index_hash(const void *context, uint32_t value)
{
    const struct mu_binder *b = context;
    return hash_id(b->slots[value].bind->id);
}

struct mu_binder *mu_binder_create(const struct mu_binder_config *config, struct mu_random *random)
{
    struct mu_binder *b = mu_mem_zalloc(sizeof *b);
    if (b == NULL)
        return NULL;
    b->config = *config;
    if (b->config.in_flight_max == 0)
        b->config.in_flight_max = IN_FLIGHT_DEFAULT;
    if (b->config.in_flight_max > MU_BINDS_IN_FLIGHT_MAX)
        b->config.in_flight_max = MU_BINDS_IN_FLIGHT_MAX;
    if (b->config.timeout_ns == 0)
        b->config.timeout_ns = TIMEOUT_DEFAULT_NS;
    b->free_head = NONE;
    mu_link_init(&b->ready);
    mu_wheel_init(&b->wheel, 0);
    b->by_id = mu_index_create(b->config.in_flight_max, index_equal, index_hash, b);
    b->arena = mu_arena_create(MU_DECODE_ARENA_BYTES);
    if (b->by_id == NULL || b->arena == NULL) {
        mu_binder_destroy(b);
        return NULL;
    }
    mu_random_fork(random, &b->random);
    return b;
}

/* Let go of a bind: its slot is free, and the last one takes the group along. */
static void let_go(struct mu_binder *b, struct bind *bind)
{
    struct group *group = bind->group;
    struct slot *slot = &b->slots[bind->slot];
    MU_ASSERT(slot->bind == bind && group->held > 0);
    mu_buf_fini(&bind->body);
    *slot = (struct slot){.bind = NULL, .next_free = b->free_head};
    b->free_head = bind->slot;
    b->free_count++;
    if (--group->held == 0)
        mu_mem_free(group);
}

void mu_binder_destroy(struct mu_binder *b)
{
    if (b == NULL)
        return;
    for (uint32_t i = 0; i < b->slot_count; i++) {
        if (b->slots[i].bind != NULL)
            let_go(b, b->slots[i].bind);
    }
    mu_mem_free(b->slots);
    mu_index_destroy(b->by_id);
    mu_arena_destroy(b->arena);
    mu_mem_free(b);
}

/* --- settling ------------------------------------------------------------------------------ */

static void make_ready(struct mu_binder *b, struct bind *bind)
{
    bind->state = READY;
    mu_link_append(&b->ready, &bind->link);
}

static void wake_due(struct mu_binder *b, uint64_t now_ns)
{
    struct mu_wheel_entry *entry;
    while ((entry = mu_wheel_pop(&b->wheel, now_ns)) != NULL)
        make_ready(b, MU_LINK_OWNER(entry, struct bind, timer));
}

static void leave_state(struct mu_binder *b, struct bind *bind)
{
    switch (bind->state) {
    case WAITING:
    case READY:
        mu_link_remove(&bind->link);
        break;
    case ASLEEP:
        mu_wheel_disarm(&b->wheel, &bind->timer);
        break;
    case OPEN: /* the transport still has its request */
        b->live_open--;
        break;
    case ANSWERED:
        break;
    case DONE:
        MU_UNREACHABLE("a bind settled twice");
    }
}

/* Report one bind, and let it go or leave it to its open request. */
static void settle_one(struct mu_binder *b, struct bind *bind, enum mu_bind_result result,
                       uint64_t version)
{
    const struct mu_bind_outcome outcome = {bind->id, result, version, bind->attempts};
    bool open = bind->state == OPEN;
    leave_state(b, bind);
    bind->state = DONE;
    mu_index_remove(b->by_id, hash_id(bind->id), bind->slot);
    b->live--;
    b->stats.bound += result == MU_BIND_BOUND;
    b->stats.refused += result == MU_BIND_REFUSED;
    b->stats.gone += result == MU_BIND_GONE;
    if (!open)
        let_go(b, bind);
    b->in_outcome = true;
    b->config.outcome(b->config.context, &outcome);
    b->in_outcome = false;
}

/* Settle a bind, and with a claim decide about the binds behind it. */
static void settle(struct mu_binder *b, struct bind *bind, enum mu_bind_result result,
                   uint64_t version)
{
    struct mu_link behind;
    mu_link_init(&behind);
    if (bind->claim) /* the group may be freed with its last bind, so the list moves out of it */
        mu_link_splice(&behind, &bind->group->waiting);
    settle_one(b, bind, result, version);
    while (!mu_link_empty(&behind)) {
        struct bind *next = MU_LINK_OWNER(behind.next, struct bind, link);
        if (result != MU_BIND_BOUND) {
            settle_one(b, next, MU_BIND_REFUSED, 0);
        } else {
            mu_link_remove(&next->link);
            make_ready(b, next);
        }
    }
}

/* Try the bind's step again later. */
static void back_off(struct mu_binder *b, struct bind *bind, uint32_t retry_after_s,
                     uint64_t now_ns)
{
    uint64_t wait_ns = BACKOFF_MAX_NS;
    if (bind->sleeps < 6) /* 0.2 s doubled six times is beyond the maximum */
        wait_ns = BACKOFF_FIRST_NS << bind->sleeps;
    if (wait_ns > BACKOFF_MAX_NS)
        wait_ns = BACKOFF_MAX_NS;
    bind->sleeps++;
    wait_ns += mu_random_below(&b->random, wait_ns + 1);
    if (wait_ns < retry_after_s * MU_NS_PER_S)
        wait_ns = retry_after_s * MU_NS_PER_S;
    bind->state = ASLEEP;
    mu_wheel_arm(&b->wheel, &bind->timer, now_ns + wait_ns);
}

/* --- taking groups ------------------------------------------------------------------------- */

static struct mu_str put_text(char **at, struct mu_str s)
{
    struct mu_str copy = {*at, s.len};
    if (s.len > 0)
        memcpy(*at, s.data, s.len);
    *at += s.len;
    return copy;
}

/* One block for the group, its binds and their strings. NULL: no memory. */
static struct group *group_create(const struct mu_bind_group *in)
{
    size_t bytes = sizeof(struct group) + in->count * sizeof(struct bind) + in->plan.len;
    for (uint32_t i = 0; i < in->count; i++) {
        const struct mu_bind *bind = &in->binds[i];
        bytes += (size_t)bind->ns.len + bind->name.len + bind->uid.len + bind->node.len;
    }
    struct group *group = mu_mem_alloc(bytes);
    if (group == NULL)
        return NULL;
    char *text = (char *)&group->binds[in->count];
    group->held = 0;
    group->plan = put_text(&text, in->plan);
    mu_link_init(&group->waiting);
    for (uint32_t i = 0; i < in->count; i++) {
        const struct mu_bind *from = &in->binds[i];
        MU_ASSERT(from->version > 0 && from->uid.len > 0 && from->name.len > 0 &&
                  from->node.len > 0);
        group->binds[i] = (struct bind){.group = group,
                                        .id = from->id,
                                        .ns = put_text(&text, from->ns),
                                        .name = put_text(&text, from->name),
                                        .uid = put_text(&text, from->uid),
                                        .node = put_text(&text, from->node),
                                        .version = from->version,
                                        .devices = from->devices};
        mu_link_init(&group->binds[i].link);
        mu_wheel_entry_init(&group->binds[i].timer, 0);
    }
    return group;
}

/* Make room for `count` more slots. Errors: MU_ELIMIT, MU_ENOMEM; nothing changed. */
static int reserve_slots(struct mu_binder *b, uint32_t count)
{
    if (count > MU_BINDS_OPEN_MAX - (b->slot_count - b->free_count))
        return MU_ELIMIT;
    uint32_t fresh = count > b->free_count ? count - b->free_count : 0;
    void *array = b->slots;
    int rc = mu_mem_grow(&array, &b->slot_cap, b->slot_count + fresh, MU_BINDS_OPEN_MAX,
                         sizeof b->slots[0]);
    b->slots = array;
    return rc;
}

/* Give a bind its slot and its place in the index. Errors: MU_ENOMEM; nothing changed. */
static int register_bind(struct mu_binder *b, struct bind *bind)
{
    MU_ASSERT(mu_index_find(b->by_id, hash_id(bind->id), &bind->id) == MU_INDEX_NONE);
    bool reuse = b->free_head != NONE;
    MU_ASSERT(reuse || b->slot_count < b->slot_cap); /* reserve_slots saw to it */
    bind->slot = reuse ? b->free_head : b->slot_count;
    uint32_t next_free = reuse ? b->slots[bind->slot].next_free : NONE;
    b->slots[bind->slot].bind = bind;
    int rc = mu_index_insert(b->by_id, hash_id(bind->id), bind->slot);
    if (rc != 0) {
        b->slots[bind->slot].bind = NULL;
        return rc;
    }
    if (reuse) {
        b->free_head = next_free;
        b->free_count--;
    } else {
        b->slot_count++;
    }
    bind->state = WAITING;
    mu_link_append(&bind->group->waiting, &bind->link);
    bind->group->held++;
    return 0;
}

/* Take back what register_bind did for all binds of a group; frees it. */
static void unregister_group(struct mu_binder *b, struct group *group)
{
    group->held++; /* keeps it until the last line */
    while (!mu_link_empty(&group->waiting)) {
        struct bind *bind = MU_LINK_OWNER(group->waiting.next, struct bind, link);
        mu_link_remove(&bind->link);
        mu_index_remove(b->by_id, hash_id(bind->id), bind->slot);
        let_go(b, bind);
    }
    mu_mem_free(group);
}

int mu_binder_submit(struct mu_binder *b, const struct mu_bind_group *in, uint64_t now_ns,
                     struct mu_outbox *out)
{
    MU_ASSERT(!b->in_outcome && in->count > 0);
    int rc = reserve_slots(b, in->count);
    if (rc != 0)
        return rc;
    struct group *group = group_create(in);
    if (group == NULL)
        return MU_ENOMEM;
    for (uint32_t i = 0; i < in->count && rc == 0; i++)
        rc = register_bind(b, &group->binds[i]);
    if (rc != 0) {
        unregister_group(b, group);
        return rc;
    }
    b->live += in->count;
    bool claim = in->claim && in->count > 1;
    group->binds[0].claim = claim;
    for (uint32_t i = 0; i < (claim ? 1 : in->count); i++) {
        mu_link_remove(&group->binds[i].link);
        make_ready(b, &group->binds[i]);
    }
    wake_due(b, now_ns);
    pump(b, now_ns, out);
    return 0;
}

/* --- requests ------------------------------------------------------------------------------ */

static void put_path(const struct bind *bind, struct mu_buf *path)
{
    (void)mu_buf_append_text(path, "/api/v1/namespaces/");
    (void)mu_path_append_encoded(path, bind->ns);
    (void)mu_buf_append_text(path, "/pods/");
    (void)mu_path_append_encoded(path, bind->name);
    if (bind->step == STEP_POST)
        (void)mu_buf_append_text(path, "/binding");
}

static int put_body(const struct bind *bind, struct mu_buf *body)
{
    const struct mu_binding binding = {
        .ns = bind->ns,
        .name = bind->name,
        .uid = bind->uid,
        .version = MU_PLANTED(MU_PLANT_BIND_UID) ? 0 : bind->version,
        .node = bind->node,
        .plan = bind->group->plan,
        .devices = bind->devices,
    };
    return bind->step == STEP_POST ? mu_binding_encode(body, &binding) : 0;
}

static uint64_t token_of(struct mu_binder *b, struct bind *bind)
{
    b->sequence = (b->sequence + 1) & ((1u << (48 - SLOT_BITS)) - 1);
    b->sequence += b->sequence == 0; /* token 0 is nobody's */
    bind->sequence = b->sequence;
    return b->config.token_base + ((uint64_t)b->sequence << SLOT_BITS | bind->slot);
}

/* Send the bind's step. Out of memory: it sleeps. */
static void send(struct mu_binder *b, struct bind *bind, uint64_t now_ns, struct mu_outbox *out)
{
    struct mu_buf path = {.data = NULL};
    struct mu_buf body = {.data = NULL};
    put_path(bind, &path);
    struct mu_request *request = NULL;
    if (path.failed == 0 && put_body(bind, &body) == 0)
        request = mu_outbox_add(out);
    if (request == NULL) {
        mu_buf_fini(&path);
        mu_buf_fini(&body);
        back_off(b, bind, 0, now_ns);
        return;
    }
    bool post = bind->step == STEP_POST;
    *request = (struct mu_request){
        .token = token_of(b, bind),
        .method = post ? MU_POST : MU_GET,
        .content = post ? MU_MEDIA_PROTOBUF : MU_MEDIA_NONE,
        .timeout_ns = b->config.timeout_ns,
        .path = path,
        .body = body,
    };
    bind->state = OPEN;
    bind->status = 0;
    bind->retry_after_s = 0;
    mu_buf_clear(&bind->body);
    bind->body.max = post ? MU_STATUS_BYTES_MAX : MU_OBJECT_BYTES_MAX;
    b->stats.in_flight++;
    b->live_open++;
    if (post) {
        b->stats.sent++;
        b->stats.repeated += bind->attempts > 0;
        bind->attempts++;
    }
}

/* Send what is ready, as far as the budget and the server's wish for quiet allow. */
static void pump(struct mu_binder *b, uint64_t now_ns, struct mu_outbox *out)
{
    while (!mu_link_empty(&b->ready) && b->stats.in_flight < b->config.in_flight_max &&
           now_ns >= b->paused_until_ns) {
        struct bind *bind = MU_LINK_OWNER(b->ready.next, struct bind, link);
        mu_link_remove(&bind->link);
        send(b, bind, now_ns, out);
    }
}

/* --- judging replies ----------------------------------------------------------------------- */

static uint32_t at_most(uint32_t value, uint32_t max)
{
    return value < max ? value : max;
}

/* A complete reply, with its Status where it has one. */
struct verdict {
    int code; /* HTTP, or the Status's own where that says failure */
    bool has_status;
    struct mu_status status;
    uint32_t retry_after_s;
};

static struct verdict read_verdict(struct mu_binder *b, const struct bind *bind)
{
    struct verdict v = {.code = bind->status, .retry_after_s = bind->retry_after_s};
    if (bind->body.failed != 0) {
        /* Too long or no memory for it: a success that may hold a failure is none yet. */
        v.code = v.code < 300 ? 500 : v.code;
        return v;
    }
    struct mu_str body = {(const char *)bind->body.data, (uint32_t)bind->body.len};
    mu_arena_reset(b->arena);
    v.has_status =
        body.len <= MU_STATUS_BYTES_MAX && mu_status_decode(body, b->arena, &v.status) == 0;
    if (!v.has_status)
        return v;
    /* Some handlers answer 2xx with a failure inside. */
    if (v.code < 300 && !mu_str_equal(v.status.status, MU_STR("Success")))
        v.code = v.status.code >= 300 ? v.status.code : 500;
    if (v.retry_after_s == 0)
        v.retry_after_s = at_most(v.status.retry_after_s, RETRY_AFTER_MAX_S);
    return v;
}

/* The pod is gone by the API server's own word: a bare 404 may be a proxy's. */
static bool says_not_found(const struct verdict *v)
{
    return v->code == 404 && v->has_status && mu_str_equal(v->status.reason, MU_STR("NotFound"));
}

/* 401 and 403 concern every bind, not this one: they are kept in words. */
static void note_problem(struct mu_binder *b, const struct bind *bind, const struct verdict *v)
{
    const char *what = bind->step == STEP_POST ? "create pods/binding" : "get pods";
    int len = v->has_status ? (int)at_most(v->status.message.len, 160) : 0;
    if (v->code == 401)
        (void)snprintf(b->problem, sizeof b->problem,
                       "%s: the API server refuses our credentials (401)", what);
    else if (v->code == 403)
        (void)snprintf(b->problem, sizeof b->problem, "%s: forbidden (403): %.*s", what, len,
                       len > 0 ? v->status.message.data : "");
    else if (v->code < 300 && bind->step == STEP_POST)
        b->problem[0] = '\0';
}

static void heed_throttle(struct mu_binder *b, const struct verdict *v, uint64_t now_ns)
{
    if (v->code != 429)
        return;
    b->stats.throttled++;
    uint64_t until_ns = now_ns + v->retry_after_s * MU_NS_PER_S;
    if (b->paused_until_ns < until_ns)
        b->paused_until_ns = until_ns;
}

static void judge_post(struct mu_binder *b, struct bind *bind, uint64_t now_ns)
{
    struct verdict v = read_verdict(b, bind);
    note_problem(b, bind, &v);
    heed_throttle(b, &v, now_ns);
    if (v.code >= 200 && v.code < 300) {
        settle(b, bind, MU_BIND_BOUND, 0);
    } else if (says_not_found(&v)) {
        settle(b, bind, MU_BIND_GONE, 0);
    } else if (v.code == 409) {
        b->stats.conflicts++;
        bind->step = STEP_GET;
        make_ready(b, bind);
    } else if (v.code == 401 || v.code == 404 || v.code == 429 || v.code < 400 || v.code >= 500) {
        /* Not the API server's judgement of this bind, or not a final one. */
        bind->unknown = true;
        back_off(b, bind, v.retry_after_s, now_ns);
    } else if (!bind->unknown) {
        settle(b, bind, MU_BIND_REFUSED, 0);
    } else {
        bind->step = STEP_GET;
        make_ready(b, bind);
    }
}

/* Read the pod in the body. Returns false when it cannot be read. */
static bool read_pod(struct mu_binder *b, const struct bind *bind, struct mu_pod_bound *pod)
{
    struct mu_envelope envelope;
    struct mu_str body = {(const char *)bind->body.data, (uint32_t)bind->body.len};
    mu_arena_reset(b->arena);
    return bind->body.failed == 0 && mu_envelope_open(body, &envelope, NULL) == 0 &&
           mu_str_equal(envelope.kind, MU_STR("Pod")) &&
           mu_pod_bound_decode(envelope.raw, b->arena, pod, NULL) == 0;
}

/* What a pod that was read back says about our write. Returns false when it proves nothing. */
static bool judge_pod(const struct bind *bind, const struct mu_pod_bound *pod,
                      enum mu_bind_result *result)
{
    bool older = pod->version <= bind->version;
    *result = MU_BIND_REFUSED;
    if (!mu_str_equal(pod->uid, bind->uid) && older)
        return false; /* its predecessor of that name, from a cache that lags */
    if (!mu_str_equal(pod->uid, bind->uid))
        *result = MU_BIND_GONE;
    else if (pod->node.len > 0 && mu_str_equal(pod->node, bind->node) &&
             mu_str_equal(pod->plan, bind->group->plan))
        *result = MU_BIND_BOUND;
    else if (pod->node.len == 0 && older && !pod->terminating)
        return MU_PLANTED(MU_PLANT_UNCHANGED);
    return true;
}

static void judge_get(struct mu_binder *b, struct bind *bind, uint64_t now_ns)
{
    struct mu_pod_bound pod;
    enum mu_bind_result result;
    if (bind->status == 200 && read_pod(b, bind, &pod)) {
        if (MU_PLANTED(MU_PLANT_BIND_RETRY) && pod.node.len == 0)
            bind->version = pod.version;
        if (judge_pod(bind, &pod, &result)) {
            settle(b, bind, result, pod.version);
            return;
        }
        bind->step = STEP_POST; /* unchanged: the same write again */
    } else {
        struct verdict v = read_verdict(b, bind);
        note_problem(b, bind, &v);
        if (says_not_found(&v)) {
            settle(b, bind, MU_BIND_GONE, 0);
            return;
        }
        heed_throttle(b, &v, now_ns);
        bind->retry_after_s = v.retry_after_s;
    }
    back_off(b, bind, bind->retry_after_s, now_ns);
}

/* --- inputs -------------------------------------------------------------------------------- */

static void reply_lost(struct mu_binder *b, struct bind *bind, bool not_sent, uint64_t now_ns)
{
    b->stats.lost++;
    if (bind->step == STEP_POST && !not_sent)
        bind->unknown = true;
    back_off(b, bind, 0, now_ns);
}

/* The transport is done with the bind's request. */
static void reply_done(struct mu_binder *b, struct bind *bind, const struct mu_reply *reply,
                       uint64_t now_ns)
{
    MU_ASSERT(b->stats.in_flight > 0);
    b->stats.in_flight--;
    if (bind->state == DONE) {
        let_go(b, bind);
        return;
    }
    b->live_open--;
    bind->state = ANSWERED;
    if (reply->kind == MU_REPLY_LOST)
        reply_lost(b, bind, reply->not_sent, now_ns);
    else if (bind->step == STEP_POST)
        judge_post(b, bind, now_ns);
    else
        judge_get(b, bind, now_ns);
}

bool mu_binder_reply(struct mu_binder *b, const struct mu_reply *reply, uint64_t now_ns,
                     struct mu_outbox *out)
{
    MU_ASSERT(!b->in_outcome);
    uint64_t number = reply->token - b->config.token_base;
    if (number >= TOKEN_SPACE)
        return false;
    uint32_t ix = (uint32_t)(number & ((1u << SLOT_BITS) - 1));
    struct bind *bind = ix < b->slot_count ? b->slots[ix].bind : NULL;
    if (bind == NULL)
        return true;
    if ((bind->state != OPEN && bind->state != DONE) || bind->sequence != number >> SLOT_BITS)
        return true;
    switch (reply->kind) {
    case MU_REPLY_HEAD:
        bind->status = reply->status;
        bind->retry_after_s = at_most(reply->retry_after_s, RETRY_AFTER_MAX_S);
        break;
    case MU_REPLY_DATA:
        (void)mu_buf_append_str(&bind->body, reply->data);
        break;
    case MU_REPLY_END:
    case MU_REPLY_LOST:
        wake_due(b, now_ns);
        reply_done(b, bind, reply, now_ns);
        pump(b, now_ns, out);
        break;
    }
    return true;
}

void mu_binder_tick(struct mu_binder *b, uint64_t now_ns, struct mu_outbox *out)
{
    MU_ASSERT(!b->in_outcome);
    wake_due(b, now_ns);
    pump(b, now_ns, out);
}

uint64_t mu_binder_next_ns(const struct mu_binder *b)
{
    uint64_t next_ns = mu_wheel_next_ns(&b->wheel);
    bool blocked = b->stats.in_flight >= b->config.in_flight_max; /* a reply goes on from there */
    if (!mu_link_empty(&b->ready) && !blocked && b->paused_until_ns < next_ns)
        next_ns = b->paused_until_ns;
    return next_ns;
}

void mu_binder_observe(struct mu_binder *b, uint64_t id, uint64_t version, bool bound_as_planned,
                       bool bound_elsewhere, bool gone, uint64_t now_ns, struct mu_outbox *out)
{
    MU_ASSERT(!b->in_outcome);
    uint32_t ix = mu_index_find(b->by_id, hash_id(id), &id);
    if (ix == MU_INDEX_NONE)
        return;
    struct bind *bind = b->slots[ix].bind;
    wake_due(b, now_ns);
    if (gone)
        settle(b, bind, MU_BIND_GONE, version);
    else if (bound_as_planned)
        settle(b, bind, MU_BIND_BOUND, version);
    else if (bound_elsewhere || (version > bind->version && !MU_PLANTED(MU_PLANT_BIND_RETRY)))
        settle(b, bind, MU_BIND_REFUSED, version);
    /* else unbound and unchanged: proves nothing */
    pump(b, now_ns, out);
}

void mu_binder_stats(const struct mu_binder *b, struct mu_binder_stats *out)
{
    *out = b->stats;
    out->queued = b->live - b->live_open;
}

const char *mu_binder_problem(const struct mu_binder *b)
{
    return b->problem;
}
