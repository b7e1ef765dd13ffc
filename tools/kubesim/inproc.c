#include "tools/kubesim/inproc.h"

#include "engine/base/assert.h"
#include "engine/base/clock.h"
#include "engine/base/error.h"
#include "engine/base/hash.h"
#include "engine/base/heap.h"
#include "engine/base/index.h"
#include "engine/base/mem.h"
#include "tools/kubesim/gate.h"
#include "tools/kubesim/limits.h"

/*
 * An exchange is one request of one client until its END or LOST:
 *
 *   SENT    in the gate; a timeout ends it
 *   STREAM  a watch: pumped when it has something to say; silence, a cut or its end ends it
 *
 * Timers carry slot and generation, and are void when the exchange has moved on: its `pump_ns` or
 * `timeout_at_ns` says which one counts.
 */
enum timer { TIMER_PUMP, TIMER_TIMEOUT, TIMER_EXPIRE, TIMER_CUT };

#define PUMP_BYTES_MAX 32768u

struct exchange {
    uint64_t token;
    uint32_t client;
    uint32_t generation;
    uint32_t next_free;
    bool live;
    struct mu_passage *passage; /* SENT */
    struct mu_api_watch *watch; /* STREAM */
    uint64_t timeout_ns;        /* 0: none */
    uint64_t patient_until_ns;  /* the timeout is due then */
    uint64_t timeout_at_ns;     /* of the timer that looks; 0: none is set */
    uint64_t pump_ns;           /* UINT64_MAX: not due */
    bool broken;                /* a timer did not fit: to be reported LOST */
};

struct mu_inproc {
    struct mu_apiserver *server;
    struct mu_gate *gate;
    struct mu_faults faults; /* for the pace of streams */
    struct mu_random random;
    mu_inproc_reply_fn reply;
    void *context;
    struct mu_heap timers;
    uint64_t timer_count;
    struct exchange *exchanges;
    uint32_t slots, cap, free_slot;
    struct mu_index *index; /* by client and token */
    struct mu_buf frames;   /* scratch */
    uint64_t now_ns;        /* of the last call: wakes come without a time */
    uint32_t broken_count;
    struct mu_inproc_stats stats;
};

struct key {
    uint64_t token;
    uint32_t client;
};

static uint64_t hash_key(uint32_t client, uint64_t token)
{
    return mu_hash_mix(token, client);
}

static bool key_equal(const void *context, uint32_t slot, const void *key)
{
    const struct mu_inproc *p = context;
    const struct key *want = key;
    return p->exchanges[slot].token == want->token && p->exchanges[slot].client == want->client;
}

static uint64_t key_hash(const void *context, uint32_t slot)
{
    const struct mu_inproc *p = context;
    return hash_key(p->exchanges[slot].client, p->exchanges[slot].token);
}

/* A name for an exchange that outlives it: what the gate and the watches are given. */
static void *handle_of(uint32_t slot)
{
    return (void *)((uintptr_t)slot + 1);
}

static uint32_t slot_of(const void *handle)
{
    return (uint32_t)((uintptr_t)handle - 1);
}

/* ---- timers ------------------------------------------------------------------------------- */

_Static_assert(sizeof(uintptr_t) == 8, "a timer's item holds a slot, a generation and a kind");

/* Without its timer an exchange would hang: it is broken off instead, by the next run. */
static void add_timer(struct mu_inproc *p, enum timer kind, uint32_t slot, uint64_t due_ns)
{
    struct exchange *x = &p->exchanges[slot];
    uint64_t generation = x->generation & 0x3fffffff;
    uint64_t item = (uint64_t)kind << 62 | generation << 32 | slot;
    struct mu_heap_entry entry = {due_ns, p->timer_count++, (void *)(uintptr_t)item};
    if (mu_heap_push(&p->timers, entry) != 0 && !x->broken) {
        x->broken = true;
        p->broken_count++;
    }
}

static bool timer_valid(const struct mu_inproc *p, struct mu_heap_entry entry)
{
    uintptr_t item = (uintptr_t)entry.item;
    const struct exchange *x = &p->exchanges[(uint32_t)item];
    if (!x->live || (x->generation & 0x3fffffff) != ((uint32_t)(item >> 32) & 0x3fffffff)) {
        return false;
    }
    switch ((enum timer)(item >> 62)) {
    case TIMER_PUMP:
        return x->pump_ns == entry.key;
    case TIMER_TIMEOUT:
        return x->timeout_at_ns == entry.key;
    default:
        return true;
    }
}

static uint64_t pace(struct mu_inproc *p)
{
    uint64_t low = p->faults.latency_ns_min;
    uint64_t high = p->faults.latency_ns_max;
    if (low == 0 && high == 0) {
        low = 100 * MU_NS_PER_US;
        high = MU_NS_PER_MS;
    }
    uint64_t wait_ns = low + (high > low ? mu_random_below(&p->random, high - low + 1) : 0);
    if (mu_random_chance(&p->random, p->faults.permille[MU_FAULT_DELAY])) {
        uint64_t max_ns = p->faults.delay_ns_max != 0 ? p->faults.delay_ns_max : 2 * MU_NS_PER_S;
        wait_ns += mu_random_below(&p->random, max_ns);
    }
    return wait_ns > 0 ? wait_ns : 1;
}

static void pump_at(struct mu_inproc *p, uint32_t slot, uint64_t due_ns)
{
    if (due_ns < p->exchanges[slot].pump_ns) {
        p->exchanges[slot].pump_ns = due_ns;
        add_timer(p, TIMER_PUMP, slot, due_ns);
    }
}

/* Be patient from now on. One timer is enough: when it fires early it is set anew. */
static void arm_timeout(struct mu_inproc *p, uint32_t slot, uint64_t now_ns)
{
    struct exchange *x = &p->exchanges[slot];
    x->patient_until_ns = now_ns + x->timeout_ns;
    if (x->timeout_ns != 0 && x->timeout_at_ns == 0) {
        x->timeout_at_ns = x->patient_until_ns;
        add_timer(p, TIMER_TIMEOUT, slot, x->timeout_at_ns);
    }
}

/* ---- exchanges ---------------------------------------------------------------------------- */

static int open_exchange(struct mu_inproc *p, uint32_t client, const struct mu_request *request,
                         uint32_t *slot)
{
    if (p->free_slot != MU_INDEX_NONE) {
        *slot = p->free_slot;
    } else {
        int code = mu_mem_grow((void **)&p->exchanges, &p->cap, p->slots + 1,
                               MU_KUBESIM_IN_FLIGHT_MAX, sizeof *p->exchanges);
        if (code != 0) {
            return code;
        }
        *slot = p->slots;
        p->exchanges[*slot] = (struct exchange){.next_free = MU_INDEX_NONE};
    }
    struct exchange *x = &p->exchanges[*slot];
    x->client = client;
    x->token = request->token;
    int code = mu_index_insert(p->index, hash_key(client, request->token), *slot);
    if (code != 0) {
        return code;
    }
    if (*slot == p->slots) {
        p->slots++;
    } else {
        p->free_slot = x->next_free;
    }
    x->live = true;
    x->passage = NULL;
    x->watch = NULL;
    x->timeout_ns = request->timeout_ns;
    x->timeout_at_ns = 0;
    x->pump_ns = UINT64_MAX;
    x->broken = false;
    p->stats.open++;
    return 0;
}

/* Forget an exchange without a word to its client. */
static void close_exchange(struct mu_inproc *p, uint32_t slot)
{
    struct exchange *x = &p->exchanges[slot];
    MU_ASSERT(x->live);
    if (x->passage != NULL) {
        mu_gate_abandon(p->gate, x->passage);
    }
    mu_api_watch_close(x->watch);
    p->broken_count -= x->broken;
    mu_index_remove(p->index, hash_key(x->client, x->token), slot);
    x->live = false;
    x->passage = NULL;
    x->watch = NULL;
    x->generation++;
    x->next_free = p->free_slot;
    p->free_slot = slot;
    p->stats.open--;
}

static struct mu_reply reply_for(const struct mu_inproc *p, uint32_t slot, enum mu_reply_kind kind)
{
    return (struct mu_reply){.token = p->exchanges[slot].token, .kind = kind};
}

/* The exchange is over: its last reply is given after it was closed. */
static void finish(struct mu_inproc *p, uint32_t slot, enum mu_reply_kind kind, int error)
{
    struct mu_reply reply = reply_for(p, slot, kind);
    uint32_t client = p->exchanges[slot].client;
    reply.error = error;
    p->stats.answered += kind == MU_REPLY_END;
    p->stats.lost += kind == MU_REPLY_LOST;
    p->stats.timeouts += error == MU_ETIMEOUT;
    close_exchange(p, slot);
    p->reply(p->context, client, &reply);
}

/* Give out bytes in pieces of random size. */
static void give_data(struct mu_inproc *p, uint32_t slot, struct mu_str data)
{
    uint32_t client = p->exchanges[slot].client;
    while (data.len > 0) {
        /* Short and long pieces alike: the size is drawn from a random magnitude. */
        uint64_t most = UINT64_C(1) << (1 + mu_random_below(&p->random, 16));
        uint32_t len = (uint32_t)(1 + mu_random_below(&p->random, most));
        len = len < data.len ? len : data.len;
        struct mu_reply reply = reply_for(p, slot, MU_REPLY_DATA);
        reply.data = (struct mu_str){data.data, len};
        data = (struct mu_str){data.data + len, data.len - len};
        p->reply(p->context, client, &reply);
    }
}

/* ---- from the gate ------------------------------------------------------------------------ */

static void on_answer(void *context, void *user, struct mu_api_response *response,
                      uint64_t expire_ns, uint64_t cut_ns, uint64_t now_ns)
{
    struct mu_inproc *p = context;
    uint32_t slot = slot_of(user);
    struct exchange *x = &p->exchanges[slot];
    MU_ASSERT(x->live && x->passage != NULL);
    x->passage = NULL;
    x->watch = response->watch;
    struct mu_reply head = reply_for(p, slot, MU_REPLY_HEAD);
    head.status = response->status;
    head.media = response->media;
    head.retry_after_s = response->retry_after_s;
    uint32_t client = x->client;
    if (x->watch == NULL) {
        p->reply(p->context, client, &head);
        give_data(p, slot,
                  (struct mu_str){(const char *)response->body.data, (uint32_t)response->body.len});
        finish(p, slot, MU_REPLY_END, 0);
        return;
    }
    mu_api_watch_set_user(x->watch, user);
    arm_timeout(p, slot, now_ns);
    pump_at(p, slot, now_ns + pace(p));
    if (expire_ns != 0) {
        add_timer(p, TIMER_EXPIRE, slot, now_ns + expire_ns);
    }
    if (cut_ns != 0) {
        add_timer(p, TIMER_CUT, slot, now_ns + cut_ns);
    }
    p->reply(p->context, client, &head);
}

static void on_lost(void *context, void *user, uint64_t now_ns)
{
    struct mu_inproc *p = context;
    (void)now_ns;
    p->exchanges[slot_of(user)].passage = NULL;
    finish(p, slot_of(user), MU_REPLY_LOST, MU_ECLOSED);
}

/* A watch has something to say. Its user is set only once it belongs to an exchange. */
static void on_wake(void *context, void *user)
{
    struct mu_inproc *p = context;
    if (user != NULL) {
        pump_at(p, slot_of(user), p->now_ns + pace(p));
    }
}

/* ---- streams ------------------------------------------------------------------------------ */

static void pump(struct mu_inproc *p, uint32_t slot, uint64_t now_ns)
{
    struct exchange *x = &p->exchanges[slot];
    x->pump_ns = UINT64_MAX;
    mu_buf_clear(&p->frames);
    size_t most = 1 + (size_t)mu_random_below(&p->random, PUMP_BYTES_MAX);
    enum mu_watch_pull pull = mu_api_watch_pull(x->watch, now_ns, most, &p->frames);
    p->stats.frames_bytes += p->frames.len;
    if (p->frames.len > 0) {
        arm_timeout(p, slot, now_ns);
        give_data(p, slot, (struct mu_str){(const char *)p->frames.data, (uint32_t)p->frames.len});
    }
    if (pull == MU_WATCH_ENDED) {
        finish(p, slot, MU_REPLY_END, 0);
    } else if (pull == MU_WATCH_MORE) {
        pump_at(p, slot, now_ns + pace(p));
    } else {
        uint64_t next_ns = mu_api_watch_next_ns(p->exchanges[slot].watch);
        pump_at(p, slot, next_ns > now_ns ? next_ns : now_ns + 1);
    }
}

/* Break a stream, if there is something to give in the middle of a frame. */
static void cut(struct mu_inproc *p, uint32_t slot, uint64_t now_ns)
{
    mu_buf_clear(&p->frames);
    (void)mu_api_watch_pull(p->exchanges[slot].watch, now_ns, 1, &p->frames);
    if (p->frames.len > 1) {
        uint32_t len = (uint32_t)(1 + mu_random_below(&p->random, p->frames.len - 1));
        give_data(p, slot, (struct mu_str){(const char *)p->frames.data, len});
    }
    finish(p, slot, MU_REPLY_LOST, MU_ECLOSED);
}

static void run_timer(struct mu_inproc *p, struct mu_heap_entry entry, uint64_t now_ns)
{
    uint32_t slot = (uint32_t)(uintptr_t)entry.item;
    switch ((enum timer)((uintptr_t)entry.item >> 62)) {
    case TIMER_PUMP:
        pump(p, slot, now_ns);
        break;
    case TIMER_TIMEOUT:
        p->exchanges[slot].timeout_at_ns = 0;
        if (p->exchanges[slot].patient_until_ns > now_ns) {
            p->exchanges[slot].timeout_at_ns = p->exchanges[slot].patient_until_ns;
            add_timer(p, TIMER_TIMEOUT, slot, p->exchanges[slot].timeout_at_ns);
        } else {
            finish(p, slot, MU_REPLY_LOST, MU_ETIMEOUT);
        }
        break;
    case TIMER_EXPIRE:
        mu_api_watch_expire(p->exchanges[slot].watch);
        pump_at(p, slot, now_ns + 1);
        break;
    case TIMER_CUT:
        cut(p, slot, now_ns);
        break;
    }
}

/* ---- the driver's side -------------------------------------------------------------------- */

/* Drop timers that lost their meaning from the top, so that they do not count as work. */
static void trim_timers(struct mu_inproc *p)
{
    struct mu_heap_entry entry;
    while (mu_heap_peek(&p->timers, &entry) && !timer_valid(p, entry)) {
        (void)mu_heap_pop(&p->timers, &entry);
    }
}

uint64_t mu_inproc_next_ns(const struct mu_inproc *p)
{
    if (p->broken_count > 0) {
        return 0;
    }
    struct mu_heap_entry entry;
    uint64_t own_ns = mu_heap_peek(&p->timers, &entry) ? entry.key : UINT64_MAX;
    uint64_t gate_ns = mu_gate_next_ns(p->gate);
    return own_ns < gate_ns ? own_ns : gate_ns;
}

void mu_inproc_run(struct mu_inproc *p, uint64_t now_ns)
{
    p->now_ns = now_ns;
    for (uint32_t slot = 0; p->broken_count > 0 && slot < p->slots; slot++) {
        if (p->exchanges[slot].live && p->exchanges[slot].broken) {
            finish(p, slot, MU_REPLY_LOST, MU_ENOMEM);
        }
    }
    for (;;) {
        trim_timers(p);
        struct mu_heap_entry entry;
        bool own = mu_heap_peek(&p->timers, &entry) && entry.key <= now_ns;
        if (own && entry.key < mu_gate_next_ns(p->gate)) {
            (void)mu_heap_pop(&p->timers, &entry);
            run_timer(p, entry, now_ns);
        } else if (!mu_gate_step(p->gate, now_ns)) {
            return;
        }
    }
}

/* Send one request of an outbox. */
static int send_one(struct mu_inproc *p, uint32_t client, const struct mu_request *request,
                    uint64_t now_ns)
{
    uint32_t slot = 0;
    int code = open_exchange(p, client, request, &slot);
    if (code != 0) {
        return code;
    }
    struct mu_str path = {(const char *)request->path.data, (uint32_t)request->path.len};
    const char *mark = path.len == 0 ? NULL : memchr(path.data, '?', path.len);
    struct mu_api_request api = {
        .method = request->method,
        .path = path,
        .content = request->content,
        .accept = mu_str_of(mu_media_text(request->json ? MU_MEDIA_JSON : MU_MEDIA_PROTOBUF)),
        .body = {(const char *)request->body.data, (uint32_t)request->body.len}};
    if (mark != NULL) {
        api.path.len = (uint32_t)(mark - path.data);
        api.query = (struct mu_str){mark + 1, path.len - api.path.len - 1};
    }
    p->exchanges[slot].passage =
        mu_gate_submit(p->gate, &api, request->stream, handle_of(slot), now_ns);
    if (p->exchanges[slot].passage == NULL) {
        close_exchange(p, slot);
        return MU_ENOMEM;
    }
    arm_timeout(p, slot, now_ns);
    p->stats.requests++;
    return 0;
}

void mu_inproc_submit(struct mu_inproc *p, uint32_t client, struct mu_outbox *outbox,
                      uint64_t now_ns)
{
    p->now_ns = now_ns;
    const struct mu_request *request = NULL;
    while ((request = mu_outbox_take(outbox)) != NULL) {
        struct key key = {request->token, client};
        uint32_t slot = mu_index_find(p->index, hash_key(client, key.token), &key);
        if (request->cancel) {
            if (slot != MU_INDEX_NONE) {
                close_exchange(p, slot);
            }
            continue;
        }
        MU_ASSERT(slot == MU_INDEX_NONE); /* tokens are unique among open requests */
        int code = send_one(p, client, request, now_ns);
        if (code != 0) {
            struct mu_reply reply = {
                .token = key.token, .kind = MU_REPLY_LOST, .error = code, .not_sent = true};
            p->reply(p->context, client, &reply);
        }
    }
}

void mu_inproc_disconnect(struct mu_inproc *p, uint32_t client)
{
    for (uint32_t slot = 0; slot < p->slots; slot++) {
        if (p->exchanges[slot].live && p->exchanges[slot].client == client) {
            close_exchange(p, slot);
        }
    }
}

void mu_inproc_heal(struct mu_inproc *p)
{
    memset(p->faults.permille, 0, sizeof p->faults.permille);
    mu_gate_heal(p->gate);
}

void mu_inproc_stats(const struct mu_inproc *p, struct mu_inproc_stats *out)
{
    *out = p->stats;
    out->orphans = mu_gate_orphans(p->gate);
    for (int i = 0; i < MU_FAULT_COUNT; i++) {
        out->fired[i] = mu_gate_fired(p->gate, (enum mu_fault)i);
    }
}

/* ---- life cycle --------------------------------------------------------------------------- */

struct mu_inproc *mu_inproc_create(struct mu_apiserver *server, const struct mu_faults *faults,
                                   struct mu_random *random, mu_inproc_reply_fn reply,
                                   void *context)
{
    struct mu_inproc *p = mu_mem_zalloc(sizeof *p);
    if (p == NULL) {
        return NULL;
    }
    p->server = server;
    p->faults = *faults;
    p->reply = reply;
    p->context = context;
    p->free_slot = MU_INDEX_NONE;
    mu_random_fork(random, &p->random);
    mu_heap_init(&p->timers, MU_KUBESIM_IN_FLIGHT_MAX);
    struct mu_gate_callbacks callbacks = {p, on_answer, on_lost};
    p->gate = mu_gate_create(server, faults, random, &callbacks);
    p->index = mu_index_create(64, key_equal, key_hash, p);
    if (p->gate == NULL || p->index == NULL) {
        mu_inproc_destroy(p);
        return NULL;
    }
    mu_apiserver_on_wake(server, on_wake, p);
    return p;
}

void mu_inproc_destroy(struct mu_inproc *p)
{
    if (p == NULL) {
        return;
    }
    for (uint32_t slot = 0; slot < p->slots; slot++) {
        if (p->exchanges[slot].live) {
            close_exchange(p, slot);
        }
    }
    mu_apiserver_on_wake(p->server, NULL, NULL);
    mu_gate_destroy(p->gate);
    mu_heap_fini(&p->timers);
    mu_index_destroy(p->index);
    mu_mem_free(p->exchanges);
    mu_buf_fini(&p->frames);
    mu_mem_free(p);
}
