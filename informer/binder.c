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
 * one of those finds no memory the bind sleeps and tries again, so none is lost. Hence the wheel
 * of intrusive lists where a heap would have to grow.
 */
#include "informer/binder.h"

#include <inttypes.h>

#include "engine/base/assert.h"
#include "engine/base/bitset.h"
#include "engine/base/clock.h"
#include "engine/base/hash.h"
#include "engine/base/index.h"
#include "engine/base/mem.h"

#define IN_FLIGHT_DEFAULT  256u
#define TIMEOUT_DEFAULT_NS (30 * MU_NS_PER_S)
#define BACKOFF_FIRST_NS   (200 * MU_NS_PER_MS)
#define BACKOFF_MAX_NS     (10 * MU_NS_PER_S)
#define RETRY_AFTER_MAX_S  60u /* a server that asks for more is asked again anyway */
#define WHEEL_TICK_NS      (50 * MU_NS_PER_MS)
#define WHEEL_SLOTS        2048u
#define SLOT_BITS          24
#define TOKEN_SPACE        (UINT64_C(1) << 48)
#define NONE               UINT32_MAX
/* What an arena decodes: a Status, or a pod that was read back. */
#define ARENA_BYTES MU_DECODE_ARENA_BYTES

_Static_assert(WHEEL_SLOTS *WHEEL_TICK_NS > RETRY_AFTER_MAX_S * MU_NS_PER_S,
               "the longest sleep fits one turn of the wheel");
_Static_assert(2 * BACKOFF_MAX_NS < RETRY_AFTER_MAX_S * MU_NS_PER_S,
               "back-off with its jitter is shorter than that");

struct group {
    struct mu_str plan;
    uint32_t unsettled;
    uint32_t waiting; /* list of the binds behind the claim */
    char text[];      /* the strings of the group and its binds */
};

enum bind_state { FREE, WAITING, READY, OPEN, ANSWERED, ASLEEP, DONE };
enum bind_step { STEP_POST, STEP_GET };

struct bind {
    uint64_t id;
    struct group *group;
    struct mu_str ns, name, uid, node;
    uint64_t version;
    uint64_t due_tick; /* ASLEEP */
    struct mu_buf body;
    uint32_t prev, next; /* in the list of its state */
    uint32_t sequence;   /* of its newest request: late replies of older ones are told apart */
    uint32_t attempts;   /* bind POSTs sent */
    uint32_t sleeps;     /* in a row: how far back-off has grown */
    uint32_t retry_after_s;
    int status;
    enum bind_state state;
    enum bind_step step;
    bool claim;
    bool unknown; /* a copy of the write may have reached the server and was not answered */
};

struct mu_binder {
    struct mu_binder_config config;
    struct mu_random random;
    struct bind *binds;
    uint32_t bind_count; /* slots ever used */
    uint32_t bind_cap;
    uint32_t free; /* single list through next */
    uint32_t free_count;
    uint32_t ready_head, ready_tail;
    struct mu_index *by_id;
    struct mu_arena *arena;
    struct mu_binder_stats stats;
    uint32_t live;            /* taken and not settled */
    uint32_t live_open;       /* those of them that are OPEN */
    uint64_t paused_until_ns; /* the server asked for quiet */
    uint32_t sequence;
    bool in_outcome;

    uint32_t asleep;
    uint64_t wheel_tick; /* every due tick up to here has been woken */
    uint32_t wheel[WHEEL_SLOTS];
    uint64_t wheel_used[MU_BITSET_WORDS(WHEEL_SLOTS)];
};

/* --- lists --------------------------------------------------------------------------------- */

static void list_push_front(struct mu_binder *b, uint32_t *head, uint32_t ix)
{
    struct bind *bind = &b->binds[ix];
    bind->prev = NONE;
    bind->next = *head;
    if (*head != NONE)
        b->binds[*head].prev = ix;
    *head = ix;
}

static void list_remove(struct mu_binder *b, uint32_t *head, uint32_t ix)
{
    const struct bind *bind = &b->binds[ix];
    if (bind->prev != NONE)
        b->binds[bind->prev].next = bind->next;
    else
        *head = bind->next;
    if (bind->next != NONE)
        b->binds[bind->next].prev = bind->prev;
}

static void ready_push(struct mu_binder *b, uint32_t ix)
{
    struct bind *bind = &b->binds[ix];
    bind->state = READY;
    bind->prev = b->ready_tail;
    bind->next = NONE;
    if (b->ready_tail != NONE)
        b->binds[b->ready_tail].next = ix;
    else
        b->ready_head = ix;
    b->ready_tail = ix;
}

static void ready_remove(struct mu_binder *b, uint32_t ix)
{
    if (b->ready_tail == ix)
        b->ready_tail = b->binds[ix].prev;
    list_remove(b, &b->ready_head, ix);
}

/* --- the timer wheel ----------------------------------------------------------------------- */

static void sleep_until(struct mu_binder *b, uint32_t ix, uint64_t wake_ns, uint64_t now_ns)
{
    struct bind *bind = &b->binds[ix];
    if (b->asleep == 0)
        b->wheel_tick = now_ns / WHEEL_TICK_NS;
    bind->due_tick = wake_ns / WHEEL_TICK_NS + 1;
    bind->state = ASLEEP;
    uint32_t slot = (uint32_t)(bind->due_tick % WHEEL_SLOTS);
    list_push_front(b, &b->wheel[slot], ix);
    mu_bitset_set(b->wheel_used, slot);
    b->asleep++;
}

static void wheel_remove(struct mu_binder *b, uint32_t ix)
{
    MU_ASSERT(b->asleep > 0 && b->binds[ix].state == ASLEEP);
    uint32_t slot = (uint32_t)(b->binds[ix].due_tick % WHEEL_SLOTS);
    list_remove(b, &b->wheel[slot], ix);
    if (b->wheel[slot] == NONE)
        mu_bitset_clear(b->wheel_used, slot);
    b->asleep--;
}

/* Wake what is due. A slot can also hold binds of a later turn, when ticks came late. */
static void wheel_advance(struct mu_binder *b, uint64_t now_ns)
{
    uint64_t to = now_ns / WHEEL_TICK_NS;
    if (b->asleep == 0 || to <= b->wheel_tick)
        return;
    uint64_t steps = to - b->wheel_tick;
    if (steps > WHEEL_SLOTS)
        steps = WHEEL_SLOTS;
    for (uint64_t tick = to - steps + 1; tick <= to; tick++) {
        uint32_t ix = b->wheel[tick % WHEEL_SLOTS];
        while (ix != NONE) {
            uint32_t next = b->binds[ix].next;
            if (b->binds[ix].due_tick <= to) {
                wheel_remove(b, ix);
                ready_push(b, ix);
            }
            ix = next;
        }
    }
    b->wheel_tick = to;
}

/* No bind is due before this; the bind that it names may be one of a later turn. */
static uint64_t wheel_next_ns(const struct mu_binder *b)
{
    if (b->asleep == 0)
        return UINT64_MAX;
    uint32_t first = (uint32_t)((b->wheel_tick + 1) % WHEEL_SLOTS);
    uint32_t slot = mu_bitset_next(b->wheel_used, WHEEL_SLOTS, first);
    if (slot == WHEEL_SLOTS)
        slot = mu_bitset_next(b->wheel_used, WHEEL_SLOTS, 0);
    MU_ASSERT(slot < WHEEL_SLOTS);
    uint32_t distance = (slot + WHEEL_SLOTS - first) % WHEEL_SLOTS;
    return (b->wheel_tick + 1 + distance) * WHEEL_TICK_NS;
}

/* --- create and destroy -------------------------------------------------------------------- */

static uint64_t hash_id(uint64_t id)
{
    return mu_hash_mix(id, 0);
}

static bool index_equal(const void *context, uint32_t value, const void *key)
{
    const struct mu_binder *b = context;
    return b->binds[value].id == *(const uint64_t *)key;
}

static uint64_t index_hash(const void *context, uint32_t value)
{
    const struct mu_binder *b = context;
    return hash_id(b->binds[value].id);
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
    b->free = b->ready_head = b->ready_tail = NONE;
    for (uint32_t i = 0; i < WHEEL_SLOTS; i++)
        b->wheel[i] = NONE;
    b->by_id = mu_index_create(b->config.in_flight_max, index_equal, index_hash, b);
    b->arena = mu_arena_create(ARENA_BYTES);
    if (b->by_id == NULL || b->arena == NULL) {
        mu_binder_destroy(b);
        return NULL;
    }
    mu_random_fork(random, &b->random);
    return b;
}

static void group_unref(struct group *group)
{
    MU_ASSERT(group->unsettled > 0);
    if (--group->unsettled == 0)
        mu_mem_free(group);
}

void mu_binder_destroy(struct mu_binder *b)
{
    if (b == NULL)
        return;
    for (uint32_t i = 0; i < b->bind_count; i++) {
        struct bind *bind = &b->binds[i];
        mu_buf_fini(&bind->body);
        if (bind->state != FREE && bind->state != DONE)
            group_unref(bind->group);
    }
    mu_mem_free(b->binds);
    mu_index_destroy(b->by_id);
    mu_arena_destroy(b->arena);
    mu_mem_free(b);
}

static void pump(struct mu_binder *b, uint64_t now_ns, struct mu_outbox *out);

/* --- settling ------------------------------------------------------------------------------ */

static void slot_free(struct mu_binder *b, uint32_t ix)
{
    struct bind *bind = &b->binds[ix];
    mu_buf_fini(&bind->body);
    bind->state = FREE;
    bind->group = NULL;
    bind->next = b->free;
    b->free = ix;
    b->free_count++;
}

static void leave_state(struct mu_binder *b, uint32_t ix)
{
    switch (b->binds[ix].state) {
    case WAITING:
        list_remove(b, &b->binds[ix].group->waiting, ix);
        break;
    case READY:
        ready_remove(b, ix);
        break;
    case ASLEEP:
        wheel_remove(b, ix);
        break;
    case OPEN: /* the transport still has its request */
        b->live_open--;
        break;
    case ANSWERED:
        break;
    case FREE:
    case DONE:
        MU_UNREACHABLE("a bind settled twice");
    }
}

/* Report one bind, and give its slot back or leave it to the open request. */
static void settle_one(struct mu_binder *b, uint32_t ix, enum mu_bind_result result,
                       uint64_t version)
{
    struct bind *bind = &b->binds[ix];
    bool open = bind->state == OPEN;
    struct mu_bind_outcome outcome = {bind->id, result, version, bind->attempts};
    leave_state(b, ix);
    mu_index_remove(b->by_id, hash_id(bind->id), ix);
    struct group *group = bind->group;
    if (open)
        bind->state = DONE;
    else
        slot_free(b, ix);
    b->live--;
    b->stats.bound += result == MU_BIND_BOUND;
    b->stats.refused += result == MU_BIND_REFUSED;
    b->stats.gone += result == MU_BIND_GONE;
    group_unref(group);
    b->in_outcome = true;
    b->config.outcome(b->config.context, &outcome);
    b->in_outcome = false;
}

/* Settle a bind, and with a claim decide about the binds behind it. */
static void settle(struct mu_binder *b, uint32_t ix, enum mu_bind_result result, uint64_t version)
{
    struct group *group = b->binds[ix].group;
    if (!b->binds[ix].claim) {
        settle_one(b, ix, result, version);
        return;
    }
    group->unsettled++; /* keeps the group over the report of its last bind */
    settle_one(b, ix, result, version);
    while (group->waiting != NONE) {
        uint32_t next = group->waiting;
        if (result == MU_BIND_BOUND) {
            list_remove(b, &group->waiting, next);
            ready_push(b, next);
        } else {
            settle_one(b, next, MU_BIND_REFUSED, 0);
        }
    }
    group_unref(group);
}

/* Try the bind's step again later. */
static void back_off(struct mu_binder *b, uint32_t ix, uint32_t retry_after_s, uint64_t now_ns)
{
    struct bind *bind = &b->binds[ix];
    uint64_t wait_ns = BACKOFF_MAX_NS;
    if (bind->sleeps < 6) /* 0.2 s doubled six times is beyond the maximum */
        wait_ns = BACKOFF_FIRST_NS << bind->sleeps;
    if (wait_ns > BACKOFF_MAX_NS)
        wait_ns = BACKOFF_MAX_NS;
    bind->sleeps++;
    wait_ns += mu_random_below(&b->random, wait_ns + 1);
    if (wait_ns < retry_after_s * MU_NS_PER_S)
        wait_ns = retry_after_s * MU_NS_PER_S;
    sleep_until(b, ix, now_ns + wait_ns, now_ns);
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

static size_t text_size(const struct mu_bind_group *in)
{
    size_t size = in->plan.len;
    for (uint32_t i = 0; i < in->count; i++) {
        const struct mu_bind *bind = &in->binds[i];
        size += (size_t)bind->ns.len + bind->name.len + bind->uid.len + bind->node.len;
    }
    return size;
}

/* Make room for `count` more slots. Errors: MU_ELIMIT, MU_ENOMEM; nothing changed. */
static int reserve_slots(struct mu_binder *b, uint32_t count)
{
    if (count > MU_BINDS_OPEN_MAX - (b->bind_count - b->free_count))
        return MU_ELIMIT;
    uint32_t fresh = count > b->free_count ? count - b->free_count : 0;
    void *array = b->binds;
    int rc = mu_mem_grow(&array, &b->bind_cap, b->bind_count + fresh, MU_BINDS_OPEN_MAX,
                         sizeof b->binds[0]);
    b->binds = array;
    return rc;
}

static uint32_t slot_take(struct mu_binder *b)
{
    uint32_t ix = b->free;
    if (ix != NONE) {
        b->free = b->binds[ix].next;
        b->free_count--;
    } else {
        MU_ASSERT(b->bind_count < b->bind_cap); /* reserve_slots saw to it */
        ix = b->bind_count++;
    }
    b->binds[ix] = (struct bind){.prev = NONE, .next = NONE};
    return ix;
}

/* Put one bind in front of its group's waiting list. Errors: MU_ENOMEM; nothing changed. */
static int take_bind(struct mu_binder *b, const struct mu_bind *in, struct group *group,
                     char **text)
{
    MU_ASSERT(in->version > 0 && in->uid.len > 0 && in->name.len > 0 && in->node.len > 0);
    MU_ASSERT(mu_index_find(b->by_id, hash_id(in->id), &in->id) == MU_INDEX_NONE);
    uint32_t ix = slot_take(b);
    struct bind *bind = &b->binds[ix];
    bind->id = in->id;
    bind->group = group;
    bind->ns = put_text(text, in->ns);
    bind->name = put_text(text, in->name);
    bind->uid = put_text(text, in->uid);
    bind->node = put_text(text, in->node);
    bind->version = in->version;
    bind->state = WAITING;
    int rc = mu_index_insert(b->by_id, hash_id(bind->id), ix);
    if (rc != 0) {
        slot_free(b, ix);
        return rc;
    }
    list_push_front(b, &group->waiting, ix);
    group->unsettled++;
    return 0;
}

static void untake_all(struct mu_binder *b, struct group *group)
{
    while (group->waiting != NONE) {
        uint32_t ix = group->waiting;
        list_remove(b, &group->waiting, ix);
        mu_index_remove(b->by_id, hash_id(b->binds[ix].id), ix);
        slot_free(b, ix);
    }
}

int mu_binder_submit(struct mu_binder *b, const struct mu_bind_group *in, uint64_t now_ns,
                     struct mu_outbox *out)
{
    MU_ASSERT(!b->in_outcome && in->count > 0);
    int rc = reserve_slots(b, in->count);
    if (rc != 0)
        return rc;
    struct group *group = mu_mem_alloc(sizeof *group + text_size(in));
    if (group == NULL)
        return MU_ENOMEM;
    char *text = group->text;
    group->unsettled = 0;
    group->waiting = NONE;
    group->plan = put_text(&text, in->plan);
    for (uint32_t i = in->count; i > 0 && rc == 0; i--) /* backwards: each goes in front */
        rc = take_bind(b, &in->binds[i - 1], group, &text);
    if (rc != 0) {
        untake_all(b, group);
        mu_mem_free(group);
        return rc;
    }
    MU_ASSERT(group->unsettled == in->count);
    b->live += in->count;
    bool claim = in->claim && in->count > 1;
    b->binds[group->waiting].claim = claim;
    do {
        uint32_t first = group->waiting;
        list_remove(b, &group->waiting, first);
        ready_push(b, first);
    } while (!claim && group->waiting != NONE);
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
        .version = bind->version,
        .node = bind->node,
        .plan = bind->group->plan,
    };
    return bind->step == STEP_POST ? mu_binding_encode(body, &binding) : 0;
}

static uint64_t token_of(struct mu_binder *b, uint32_t ix)
{
    b->sequence = (b->sequence + 1) & ((1u << (48 - SLOT_BITS)) - 1);
    b->sequence += b->sequence == 0; /* token 0 is nobody's */
    b->binds[ix].sequence = b->sequence;
    return b->config.token_base + ((uint64_t)b->sequence << SLOT_BITS | ix);
}

/* Send the bind's step. Out of memory: it sleeps. */
static void send(struct mu_binder *b, uint32_t ix, uint64_t now_ns, struct mu_outbox *out)
{
    struct bind *bind = &b->binds[ix];
    struct mu_buf path = {.data = NULL};
    struct mu_buf body = {.data = NULL};
    put_path(bind, &path);
    struct mu_request *request = NULL;
    if (path.failed == 0 && put_body(bind, &body) == 0)
        request = mu_outbox_add(out);
    if (request == NULL) {
        mu_buf_fini(&path);
        mu_buf_fini(&body);
        back_off(b, ix, 0, now_ns);
        return;
    }
    bool post = bind->step == STEP_POST;
    *request = (struct mu_request){
        .token = token_of(b, ix),
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
    while (b->ready_head != NONE && b->stats.in_flight < b->config.in_flight_max &&
           now_ns >= b->paused_until_ns) {
        uint32_t ix = b->ready_head;
        ready_remove(b, ix);
        send(b, ix, now_ns, out);
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

static void heed_throttle(struct mu_binder *b, const struct verdict *v, uint64_t now_ns)
{
    if (v->code != 429)
        return;
    b->stats.throttled++;
    uint64_t until_ns = now_ns + v->retry_after_s * MU_NS_PER_S;
    if (b->paused_until_ns < until_ns)
        b->paused_until_ns = until_ns;
}

static void judge_post(struct mu_binder *b, uint32_t ix, uint64_t now_ns)
{
    struct bind *bind = &b->binds[ix];
    struct verdict v = read_verdict(b, bind);
    heed_throttle(b, &v, now_ns);
    if (v.code >= 200 && v.code < 300) {
        settle(b, ix, MU_BIND_BOUND, 0);
    } else if (says_not_found(&v)) {
        settle(b, ix, MU_BIND_GONE, 0);
    } else if (v.code == 409) {
        b->stats.conflicts++;
        bind->step = STEP_GET;
        ready_push(b, ix);
    } else if (v.code == 401 || v.code == 404 || v.code == 429 || v.code < 400 || v.code >= 500) {
        /* Not the API server's judgement of this bind, or not a final one. */
        bind->unknown = true;
        back_off(b, ix, v.retry_after_s, now_ns);
    } else if (!bind->unknown) {
        settle(b, ix, MU_BIND_REFUSED, 0);
    } else {
        bind->step = STEP_GET;
        ready_push(b, ix);
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
        return false;
    return true;
}

static void judge_get(struct mu_binder *b, uint32_t ix, uint64_t now_ns)
{
    struct bind *bind = &b->binds[ix];
    struct mu_pod_bound pod;
    enum mu_bind_result result;
    if (bind->status == 200 && read_pod(b, bind, &pod)) {
        if (judge_pod(bind, &pod, &result)) {
            settle(b, ix, result, pod.version);
            return;
        }
        bind->step = STEP_POST; /* unchanged: the same write again */
    } else {
        struct verdict v = read_verdict(b, bind);
        if (says_not_found(&v)) {
            settle(b, ix, MU_BIND_GONE, 0);
            return;
        }
        heed_throttle(b, &v, now_ns);
        bind->retry_after_s = v.retry_after_s;
    }
    back_off(b, ix, bind->retry_after_s, now_ns);
}

/* --- inputs -------------------------------------------------------------------------------- */

static void reply_lost(struct mu_binder *b, uint32_t ix, bool not_sent, uint64_t now_ns)
{
    struct bind *bind = &b->binds[ix];
    b->stats.lost++;
    if (bind->step == STEP_POST && !not_sent)
        bind->unknown = true;
    back_off(b, ix, 0, now_ns);
}

/* The transport is done with the bind's request. */
static void reply_done(struct mu_binder *b, uint32_t ix, const struct mu_reply *reply,
                       uint64_t now_ns)
{
    struct bind *bind = &b->binds[ix];
    MU_ASSERT(b->stats.in_flight > 0);
    b->stats.in_flight--;
    if (bind->state == DONE) {
        slot_free(b, ix);
        return;
    }
    b->live_open--;
    bind->state = ANSWERED;
    if (reply->kind == MU_REPLY_LOST)
        reply_lost(b, ix, reply->not_sent, now_ns);
    else if (bind->step == STEP_POST)
        judge_post(b, ix, now_ns);
    else
        judge_get(b, ix, now_ns);
}

bool mu_binder_reply(struct mu_binder *b, const struct mu_reply *reply, uint64_t now_ns,
                     struct mu_outbox *out)
{
    MU_ASSERT(!b->in_outcome);
    uint64_t number = reply->token - b->config.token_base;
    if (number >= TOKEN_SPACE)
        return false;
    uint32_t ix = (uint32_t)(number & ((1u << SLOT_BITS) - 1));
    if (ix >= b->bind_count)
        return true;
    struct bind *bind = &b->binds[ix];
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
        reply_done(b, ix, reply, now_ns);
        pump(b, now_ns, out);
        break;
    }
    return true;
}

void mu_binder_tick(struct mu_binder *b, uint64_t now_ns, struct mu_outbox *out)
{
    MU_ASSERT(!b->in_outcome);
    wheel_advance(b, now_ns);
    pump(b, now_ns, out);
}

uint64_t mu_binder_next_ns(const struct mu_binder *b)
{
    uint64_t next_ns = wheel_next_ns(b);
    bool blocked = b->stats.in_flight >= b->config.in_flight_max; /* a reply goes on from there */
    if (b->ready_head != NONE && !blocked && b->paused_until_ns < next_ns)
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
    if (gone)
        settle(b, ix, MU_BIND_GONE, version);
    else if (bound_as_planned)
        settle(b, ix, MU_BIND_BOUND, version);
    else if (bound_elsewhere || version > b->binds[ix].version)
        settle(b, ix, MU_BIND_REFUSED, version);
    else
        return; /* unbound and unchanged proves nothing */
    pump(b, now_ns, out);
}

void mu_binder_stats(const struct mu_binder *b, struct mu_binder_stats *out)
{
    *out = b->stats;
    out->queued = b->live - b->live_open;
}
