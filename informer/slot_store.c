/*
 * A slot moves between these states:
 *
 *   IDLE    nothing is asked of it
 *   READY   waits for a flight or, to write, for the budget
 *   OPEN    its request is with the transport
 *   ASLEEP  READY again later
 *   DONE    its result waits to be taken
 *
 * and a request has one of three steps:
 *
 *   READ    GET                -> what it holds, or that there is none
 *   WRITE   PUT, or POST       -> taken: WRITTEN. 409, a reply that is lost or cannot be read, any
 *                                 answer that is no judgement of this write: VERIFY
 *   VERIFY  GET                -> holds the new content: WRITTEN
 *                                 holds what was last seen, at that version: WRITE, the same again
 *                                 else: TAKEN
 *
 * Why TAKEN and WRITTEN are never wrong: each copy of a write names the version last seen, so at
 * most one copy is ever applied, and none once the object has moved on. A content is never written
 * twice, so equal bytes are our own write. While VERIFY finds the old version, a copy may still
 * land; the same write again then meets it as a conflict, and VERIFY finds our content.
 *
 * The budget is a token bucket over bytes (GCRA: budget_ns is when all that was sent is paid for);
 * MU_SLOT_BURST_BYTES may be sent at once after a pause. Repeated writes are paid for like others.
 */
#include "informer/slot_store.h"

#include <inttypes.h>
#include <stdio.h>

#include "engine/base/arena.h"
#include "engine/base/assert.h"
#include "engine/base/clock.h"
#include "engine/base/mem.h"
#include "engine/base/plant.h"
#include "informer/codec.h"
#include "informer/wire_priv.h"

#define BYTES_PER_S_DEFAULT 1000000u
#define TIMEOUT_DEFAULT_NS  (10 * MU_NS_PER_S)
#define BACKOFF_FIRST_NS    (50 * MU_NS_PER_MS)
#define BACKOFF_MAX_NS      (5 * MU_NS_PER_S)
#define RETRY_AFTER_MAX_S   60u
#define REFUSED_S           2u /* after 401 and 403: people have to mend it */
#define IN_FLIGHT_MAX       16u
#define TOKEN_SPACE         (UINT64_C(1) << 48)
#define SLOT_BITS           8
#define PROBLEM_BYTES       768u
#define DATA_KEY            "slot"

_Static_assert(MU_SLOTS_MAX <= 1u << SLOT_BITS, "a slot number fits a token");

enum slot_state { IDLE, READY, OPEN, ASLEEP, DONE };
enum slot_step { STEP_READ, STEP_WRITE, STEP_VERIFY };

struct slot {
    enum slot_state state;
    enum slot_step step;
    bool known;       /* present and version are what was last seen */
    bool present;     /* there was such an object */
    uint64_t version; /* its resourceVersion */
    struct mu_buf wanted;
    struct mu_buf body; /* of the reply */
    struct mu_slot_result result;
    uint64_t wake_ns;
    uint32_t sequence; /* of its newest request: late replies of older ones are told apart */
    uint32_t sleeps;   /* in a row */
    uint32_t retry_after_s;
    int status;
};

struct memory_slot {
    struct mu_buf content;
    uint64_t version;
    bool present;
};
struct mu_slot_memory {
    uint32_t slot_count;
    uint64_t version; /* of the newest write */
    struct memory_slot slots[];
};

struct mu_slot_store {
    struct mu_slot_store_config config;
    struct mu_slot_memory *memory; /* NULL: ConfigMaps */
    uint64_t delay_ns;             /* of memory */
    struct mu_random random;
    struct mu_arena *arena;
    uint64_t budget_ns;
    uint64_t paused_until_ns; /* the server asked for quiet */
    uint32_t sequence;
    uint32_t in_flight, active; /* OPEN; neither IDLE nor DONE */
    uint32_t results;           /* DONE */
    uint32_t look;              /* where take looks first */
    struct mu_slot_store_stats stats;
    char problem[PROBLEM_BYTES];
    char ns[MU_NAME_BYTES_MAX + 1], name[MU_NAME_BYTES_MAX + 1];
    struct slot slots[MU_SLOTS_MAX];
};

/* --- create and destroy ---------------------------------------------------------------------- */

static struct mu_slot_store *create(const struct mu_slot_store_config *config,
                                    struct mu_random *random)
{
    MU_ASSERT(config->slot_count > 0 && config->slot_count <= MU_SLOTS_MAX);
    MU_ASSERT(config->ns.len <= MU_NAME_BYTES_MAX && config->name.len <= MU_NAME_BYTES_MAX);
    struct mu_slot_store *s = mu_mem_zalloc(sizeof *s);
    if (s == NULL)
        return NULL;
    s->config = *config;
    (void)snprintf(s->ns, sizeof s->ns, "%.*s", MU_STR_ARGS(config->ns));
    (void)snprintf(s->name, sizeof s->name, "%.*s", MU_STR_ARGS(config->name));
    s->config.ns = mu_str_of(s->ns);
    s->config.name = mu_str_of(s->name);
    if (s->config.bytes_per_s == 0)
        s->config.bytes_per_s = BYTES_PER_S_DEFAULT;
    if (s->config.timeout_ns == 0)
        s->config.timeout_ns = TIMEOUT_DEFAULT_NS;
    for (uint32_t i = 0; i < MU_SLOTS_MAX; i++) {
        s->slots[i].wanted.max = MU_SLOT_BYTES_MAX;
        s->slots[i].result.slot = i;
    }
    s->arena = mu_arena_create(MU_DECODE_ARENA_BYTES);
    if (s->arena == NULL) {
        mu_slot_store_destroy(s);
        return NULL;
    }
    mu_random_fork(random, &s->random);
    return s;
}

struct mu_slot_store *mu_slot_store_create(const struct mu_slot_store_config *config,
                                           struct mu_random *random)
{
    MU_ASSERT(config->ns.len > 0 && config->name.len > 0);
    return create(config, random);
}

struct mu_slot_store *mu_slot_store_create_memory(const struct mu_slot_store_config *config,
                                                  struct mu_slot_memory *memory, uint64_t delay_ns,
                                                  struct mu_random *random)
{
    MU_ASSERT(config->slot_count <= memory->slot_count);
    struct mu_slot_store *s = create(config, random);
    if (s != NULL) {
        s->memory = memory;
        s->delay_ns = delay_ns;
    }
    return s;
}

void mu_slot_store_destroy(struct mu_slot_store *s)
{
    if (s == NULL)
        return;
    for (uint32_t i = 0; i < MU_SLOTS_MAX; i++) {
        mu_buf_fini(&s->slots[i].wanted);
        mu_buf_fini(&s->slots[i].body);
    }
    mu_arena_destroy(s->arena);
    mu_mem_free(s);
}

/* --- results --------------------------------------------------------------------------------- */

static void finish(struct mu_slot_store *s, struct slot *slot, enum mu_slot_outcome outcome)
{
    MU_ASSERT(slot->state != IDLE && slot->state != DONE);
    slot->state = DONE;
    slot->sleeps = 0;
    slot->result.outcome = outcome;
    s->active--;
    s->results++;
    s->stats.written += outcome == MU_SLOT_WRITTEN;
    s->stats.taken += outcome == MU_SLOT_TAKEN;
    if (outcome == MU_SLOT_TAKEN)
        slot->known = false;
    if (outcome == MU_SLOT_WRITTEN)
        s->problem[0] = '\0';
}

bool mu_slot_store_take(struct mu_slot_store *s, struct mu_slot_result *result)
{
    for (uint32_t i = 0; s->results > 0 && i < s->config.slot_count; i++) {
        struct slot *slot = &s->slots[(s->look + i) % s->config.slot_count];
        if (slot->state != DONE)
            continue;
        slot->state = IDLE;
        s->results--;
        s->look = slot->result.slot + 1;
        *result = slot->result;
        return true;
    }
    MU_ASSERT(s->results == 0);
    return false;
}

static void sleep_until(struct slot *slot, uint64_t wake_ns)
{
    slot->state = ASLEEP;
    slot->wake_ns = wake_ns;
}

static void back_off(struct mu_slot_store *s, struct slot *slot, uint32_t retry_after_s,
                     uint64_t now_ns)
{
    uint64_t wait_ns = slot->sleeps < 7 ? BACKOFF_FIRST_NS << slot->sleeps : BACKOFF_MAX_NS;
    slot->sleeps++;
    if (wait_ns > BACKOFF_MAX_NS)
        wait_ns = BACKOFF_MAX_NS;
    wait_ns += mu_random_below(&s->random, wait_ns + 1);
    if (wait_ns < retry_after_s * MU_NS_PER_S)
        wait_ns = retry_after_s * MU_NS_PER_S;
    sleep_until(slot, now_ns + wait_ns);
}

/* --- memory ---------------------------------------------------------------------------------- */

struct mu_slot_memory *mu_slot_memory_create(uint32_t slot_count)
{
    struct mu_slot_memory *memory =
        mu_mem_zalloc(sizeof *memory + slot_count * sizeof memory->slots[0]);
    if (memory != NULL)
        memory->slot_count = slot_count;
    return memory;
}

void mu_slot_memory_destroy(struct mu_slot_memory *memory)
{
    for (uint32_t i = 0; memory != NULL && i < memory->slot_count; i++)
        mu_buf_fini(&memory->slots[i].content);
    mu_mem_free(memory);
}

int mu_slot_memory_put(struct mu_slot_memory *memory, uint32_t slot, struct mu_str content)
{
    MU_ASSERT(slot < memory->slot_count);
    struct memory_slot *at = &memory->slots[slot];
    struct mu_buf fresh = {.max = MU_SLOT_BYTES_MAX};
    int rc = mu_buf_append_str(&fresh, content);
    if (rc != 0) {
        mu_buf_fini(&fresh);
        return rc;
    }
    mu_buf_fini(&at->content);
    *at = (struct memory_slot){fresh, ++memory->version, content.len > 0};
    return 0;
}

bool mu_slot_memory_get(const struct mu_slot_memory *memory, uint32_t slot, struct mu_str *content)
{
    MU_ASSERT(slot < memory->slot_count);
    const struct memory_slot *at = &memory->slots[slot];
    *content = (struct mu_str){(const char *)at->content.data, (uint32_t)at->content.len};
    return at->present;
}

/* Do what was asked of a slot in memory. Without memory to do it: later. */
static void memory_serve(struct mu_slot_store *s, struct slot *slot, uint64_t now_ns)
{
    uint32_t number = slot->result.slot;
    struct memory_slot *at = &s->memory->slots[number];
    int rc = 0;
    if (slot->step == STEP_READ) {
        mu_buf_clear(&slot->body);
        rc = mu_buf_append(&slot->body, at->content.data, at->content.len);
        slot->result.present = at->present;
        slot->result.content =
            (struct mu_str){(const char *)slot->body.data, (uint32_t)slot->body.len};
    } else if (slot->present != at->present || slot->version != at->version) {
        finish(s, slot, MU_SLOT_TAKEN);
        return;
    } else {
        struct mu_str wanted = {(const char *)slot->wanted.data, (uint32_t)slot->wanted.len};
        rc = mu_slot_memory_put(s->memory, number, wanted);
    }
    if (rc != 0) {
        back_off(s, slot, 0, now_ns);
        return;
    }
    slot->known = true;
    slot->present = at->present;
    slot->version = at->version;
    finish(s, slot, slot->step == STEP_READ ? MU_SLOT_READ : MU_SLOT_WRITTEN);
}

/* --- requests -------------------------------------------------------------------------------- */

static void put_path(const struct mu_slot_store *s, const struct slot *slot, bool collection,
                     struct mu_buf *path)
{
    (void)mu_buf_append_text(path, "/api/v1/namespaces/");
    (void)mu_path_append_encoded(path, s->config.ns);
    (void)mu_buf_append_text(path, "/configmaps");
    if (collection)
        return;
    (void)mu_buf_append_text(path, "/");
    (void)mu_path_append_encoded(path, s->config.name);
    (void)mu_buf_printf(path, "-%" PRIu32, slot->result.slot);
}

/* Field numbers: core/v1 ConfigMap, meta/v1 ObjectMeta, entries of maps. */
enum { MAP_METADATA = 1, MAP_BINARY = 3 };
enum { META_NAME = 1, META_NAMESPACE = 3, META_VERSION = 6, META_LABELS = 11 };
enum { ENTRY_KEY = 1, ENTRY_VALUE = 2 };

static size_t entry_size(struct mu_str key, struct mu_str value)
{
    return mu_wire_bytes_size(ENTRY_KEY, key.len) + mu_wire_bytes_size(ENTRY_VALUE, value.len);
}

static void put_entry(struct mu_buf *out, uint32_t field, struct mu_str key, struct mu_str value)
{
    mu_wire_put_head(out, field, entry_size(key, value));
    mu_wire_put_bytes(out, ENTRY_KEY, key);
    mu_wire_put_bytes(out, ENTRY_VALUE, value);
}

static int put_body(const struct mu_slot_store *s, const struct slot *slot, struct mu_buf *body)
{
    const struct mu_str label = MU_STR("app.kubernetes.io/managed-by"), owner = MU_STR("muster");
    struct mu_str wanted = {(const char *)slot->wanted.data, (uint32_t)slot->wanted.len};
    char name[MU_NAME_BYTES_MAX + 16], version[24] = "";
    (void)snprintf(name, sizeof name, "%s-%" PRIu32, s->name, slot->result.slot);
    if (slot->present && !MU_PLANTED(MU_PLANT_BLIND))
        (void)snprintf(version, sizeof version, "%" PRIu64, slot->version);
    struct mu_str name_str = mu_str_of(name), version_str = mu_str_of(version);
    size_t meta = mu_wire_bytes_size(META_NAME, name_str.len) +
                  mu_wire_bytes_size(META_NAMESPACE, s->config.ns.len) +
                  mu_wire_bytes_size(META_LABELS, entry_size(label, owner));
    if (slot->present)
        meta += mu_wire_bytes_size(META_VERSION, version_str.len);
    struct mu_buf raw = {.max = MU_OBJECT_BYTES_MAX};
    mu_wire_put_head(&raw, MAP_METADATA, meta);
    mu_wire_put_bytes(&raw, META_NAME, name_str);
    mu_wire_put_bytes(&raw, META_NAMESPACE, s->config.ns);
    if (slot->present)
        mu_wire_put_bytes(&raw, META_VERSION, version_str);
    put_entry(&raw, META_LABELS, label, owner);
    put_entry(&raw, MAP_BINARY, MU_STR(DATA_KEY), wanted);
    int rc = raw.failed;
    if (rc == 0)
        rc = mu_envelope_wrap(body, MU_STR("v1"), MU_STR("ConfigMap"),
                              (struct mu_str){(const char *)raw.data, (uint32_t)raw.len});
    mu_buf_fini(&raw);
    return rc;
}

static void pay(struct mu_slot_store *s, size_t bytes, uint64_t now_ns)
{
    if (s->budget_ns < now_ns)
        s->budget_ns = now_ns;
    s->budget_ns += bytes * MU_NS_PER_S / s->config.bytes_per_s;
    s->stats.bytes += bytes;
}

/* When the budget takes another write. */
static uint64_t budget_from_ns(const struct mu_slot_store *s)
{
    uint64_t burst_ns = MU_SLOT_BURST_BYTES * MU_NS_PER_S / s->config.bytes_per_s;
    return s->budget_ns > burst_ns ? s->budget_ns - burst_ns : 0;
}

static void send(struct mu_slot_store *s, struct slot *slot, uint64_t now_ns, struct mu_outbox *out)
{
    bool write = slot->step == STEP_WRITE;
    struct mu_buf path = {.data = NULL}, body = {.data = NULL};
    struct mu_request *request = NULL;
    put_path(s, slot, write && !slot->present, &path);
    if (path.failed == 0 && (!write || put_body(s, slot, &body) == 0))
        request = mu_outbox_add(out);
    if (request == NULL) {
        mu_buf_fini(&path);
        mu_buf_fini(&body);
        back_off(s, slot, 0, now_ns);
        return;
    }
    s->sequence = (s->sequence + 1) & ((1u << (48 - SLOT_BITS - 9)) - 1);
    s->sequence += s->sequence == 0; /* token 0 is nobody's */
    slot->sequence = s->sequence;
    *request = (struct mu_request){
        .token = s->config.token_base + ((uint64_t)slot->sequence << SLOT_BITS | slot->result.slot),
        .method = !write          ? MU_GET
                  : slot->present ? MU_PUT
                                  : MU_POST,
        .content = write ? MU_MEDIA_PROTOBUF : MU_MEDIA_NONE,
        .timeout_ns = s->config.timeout_ns,
        .path = path,
        .body = body,
    };
    if (write)
        pay(s, body.len, now_ns);
    s->stats.writes += write;
    s->stats.reads += !write;
    slot->state = OPEN;
    slot->status = 0;
    slot->retry_after_s = 0;
    mu_buf_clear(&slot->body);
    slot->body.max = MU_STATUS_BYTES_MAX;
    s->in_flight++;
}

static void pump(struct mu_slot_store *s, uint64_t now_ns, struct mu_outbox *out)
{
    for (uint32_t i = 0; s->active > 0 && i < s->config.slot_count; i++) {
        struct slot *slot = &s->slots[i];
        if (slot->state == ASLEEP && slot->wake_ns <= now_ns)
            slot->state = READY;
        if (slot->state != READY)
            continue;
        if (s->memory != NULL)
            memory_serve(s, slot, now_ns);
        else if (s->in_flight < IN_FLIGHT_MAX && now_ns >= s->paused_until_ns &&
                 (slot->step != STEP_WRITE || now_ns >= budget_from_ns(s)))
            send(s, slot, now_ns, out);
    }
}

static void begin(struct mu_slot_store *s, struct slot *slot, enum slot_step step, uint64_t now_ns,
                  struct mu_outbox *out)
{
    MU_ASSERT(slot->state == IDLE);
    slot->step = step;
    slot->state = READY;
    if (s->memory != NULL && s->delay_ns > 0)
        sleep_until(slot, now_ns + s->delay_ns);
    s->active++;
    pump(s, now_ns, out);
}

void mu_slot_store_read(struct mu_slot_store *s, uint32_t number, uint64_t now_ns,
                        struct mu_outbox *out)
{
    MU_ASSERT(number < s->config.slot_count);
    begin(s, &s->slots[number], STEP_READ, now_ns, out);
}

int mu_slot_store_write(struct mu_slot_store *s, uint32_t number, struct mu_str content,
                        uint64_t now_ns, struct mu_outbox *out)
{
    MU_ASSERT(number < s->config.slot_count && content.len > 0 && content.len <= MU_SLOT_BYTES_MAX);
    struct slot *slot = &s->slots[number];
    MU_ASSERT(slot->known && slot->state == IDLE);
    mu_buf_clear(&slot->wanted);
    int rc = mu_buf_append_str(&slot->wanted, content);
    if (rc == 0)
        begin(s, slot, STEP_WRITE, now_ns, out);
    return rc;
}

/* --- judging replies ------------------------------------------------------------------------- */

/* A complete reply, with its Status where it has one. */
struct verdict {
    int code; /* HTTP, or the Status's own where that says failure */
    bool has_status;
    struct mu_status status;
    uint32_t retry_after_s;
};

static uint32_t at_most(uint32_t value, uint32_t max)
{
    return value < max ? value : max;
}

static struct mu_str body_of(const struct slot *slot)
{
    return (struct mu_str){(const char *)slot->body.data, (uint32_t)slot->body.len};
}

static struct verdict read_verdict(struct mu_slot_store *s, const struct slot *slot)
{
    struct verdict v = {.code = slot->status, .retry_after_s = slot->retry_after_s};
    mu_arena_reset(s->arena);
    v.has_status =
        slot->body.failed == 0 && mu_status_decode(body_of(slot), s->arena, &v.status) == 0;
    if (v.has_status && v.code < 300 && !mu_str_equal(v.status.status, MU_STR("Success")))
        v.code = v.status.code >= 300 ? v.status.code : 500;
    if (v.has_status && v.retry_after_s == 0)
        v.retry_after_s = at_most(v.status.retry_after_s, RETRY_AFTER_MAX_S);
    return v;
}

/* By the API server's own word: a bare 404 may be a proxy's. */
static bool says_not_found(const struct verdict *v)
{
    return v->code == 404 && v->has_status && mu_str_equal(v->status.reason, MU_STR("NotFound"));
}

static void note_problem(struct mu_slot_store *s, const struct slot *slot, const struct verdict *v)
{
    const char *verb = slot->step != STEP_WRITE ? "get" : slot->present ? "update" : "create";
    int len = v->has_status ? (int)at_most(v->status.message.len, 120) : 0;
    (void)snprintf(s->problem, sizeof s->problem, "%s configmaps/%s-%" PRIu32 " in %s: %d%s%.*s",
                   verb, s->name, slot->result.slot, s->ns, v->code, len > 0 ? ": " : "", len,
                   len > 0 ? v->status.message.data : "");
}

/* The ConfigMap in the body: its version, and what it holds (nothing: no such key). False when it
 * cannot be read. */
static bool read_map(const struct slot *slot, uint64_t *version, struct mu_str *content)
{
    struct mu_envelope envelope;
    struct mu_object_meta meta;
    struct mu_wire map;
    struct mu_wire_field field;
    if (slot->body.failed != 0 || mu_envelope_open(body_of(slot), &envelope, NULL) != 0 ||
        !mu_str_equal(envelope.kind, MU_STR("ConfigMap")) ||
        mu_meta_decode(envelope.raw, &meta, NULL) != 0 || meta.version == 0)
        return false;
    *version = meta.version;
    *content = MU_STR("");
    int more;
    mu_wire_open(&map, envelope.raw);
    while ((more = mu_wire_next(&map, &field)) == 1) {
        if (field.number != MAP_BINARY || field.type != MU_WIRE_BYTES)
            continue;
        struct mu_wire entry;
        struct mu_wire_field part;
        struct mu_str key = MU_STR(""), value = MU_STR("");
        int rest;
        mu_wire_open(&entry, field.bytes);
        while ((rest = mu_wire_next(&entry, &part)) == 1) {
            key = part.number == ENTRY_KEY ? part.bytes : key;
            value = part.number == ENTRY_VALUE ? part.bytes : value;
        }
        if (rest < 0)
            return false;
        if (mu_str_equal(key, MU_STR(DATA_KEY)))
            *content = value;
    }
    return more == 0;
}

static void judge_read(struct mu_slot_store *s, struct slot *slot, const struct verdict *v,
                       uint64_t now_ns)
{
    struct mu_slot_result *result = &slot->result;
    if (v->code == 200 && read_map(slot, &slot->version, &result->content)) {
        result->present = true;
    } else if (says_not_found(v)) {
        result->present = false;
        result->content = MU_STR("");
        slot->version = 0;
    } else {
        note_problem(s, slot, v);
        back_off(s, slot, v->retry_after_s, now_ns);
        return;
    }
    slot->present = result->present;
    slot->known = true;
    finish(s, slot, MU_SLOT_READ);
}

static void judge_write(struct mu_slot_store *s, struct slot *slot, const struct verdict *v,
                        uint64_t now_ns)
{
    struct mu_str content;
    if (v->code >= 200 && v->code < 300 && read_map(slot, &slot->version, &content)) {
        slot->present = true;
        finish(s, slot, MU_SLOT_WRITTEN);
        return;
    }
    s->stats.conflicts += v->code == 409;
    if (v->code == 409 || v->code < 300 || v->code >= 500 || (v->code == 404 && slot->present)) {
        slot->step = STEP_VERIFY;
        if (v->code == 409 || v->code < 300)
            slot->state = READY;
        else
            back_off(s, slot, v->retry_after_s, now_ns);
        return;
    }
    note_problem(s, slot, v);
    back_off(s, slot, v->retry_after_s, now_ns); /* refused: the same again */
}

static void judge_verify(struct mu_slot_store *s, struct slot *slot, const struct verdict *v,
                         uint64_t now_ns)
{
    uint64_t version;
    struct mu_str content;
    struct mu_str wanted = {(const char *)slot->wanted.data, (uint32_t)slot->wanted.len};
    if (v->code == 200 && read_map(slot, &version, &content)) {
        if (mu_str_equal(content, wanted) || MU_PLANTED(MU_PLANT_LOST_IS_IN)) {
            slot->present = true;
            slot->version = version;
            s->stats.verified++;
            finish(s, slot, MU_SLOT_WRITTEN);
            return;
        }
        if (!slot->present || version != slot->version) {
            finish(s, slot, MU_SLOT_TAKEN);
            return;
        }
        slot->step = STEP_WRITE; /* unchanged: the same write again */
    } else if (says_not_found(v)) {
        if (slot->present) {
            finish(s, slot, MU_SLOT_TAKEN);
            return;
        }
        slot->step = STEP_WRITE;
    } else {
        note_problem(s, slot, v);
    }
    back_off(s, slot, v->retry_after_s, now_ns);
}

/* --- inputs ---------------------------------------------------------------------------------- */

static void reply_done(struct mu_slot_store *s, struct slot *slot, const struct mu_reply *reply,
                       uint64_t now_ns)
{
    MU_ASSERT(s->in_flight > 0);
    s->in_flight--;
    if (reply->kind == MU_REPLY_LOST) {
        s->stats.lost++;
        if (slot->step == STEP_WRITE && !reply->not_sent)
            slot->step = STEP_VERIFY;
        back_off(s, slot, 0, now_ns);
        return;
    }
    struct verdict v = read_verdict(s, slot);
    if ((v.code == 401 || v.code == 403) && v.retry_after_s < REFUSED_S)
        v.retry_after_s = REFUSED_S;
    if (v.code == 429) {
        s->stats.throttled++;
        uint64_t until_ns = now_ns + v.retry_after_s * MU_NS_PER_S;
        if (s->paused_until_ns < until_ns)
            s->paused_until_ns = until_ns;
    }
    if (slot->step == STEP_READ)
        judge_read(s, slot, &v, now_ns);
    else if (slot->step == STEP_WRITE)
        judge_write(s, slot, &v, now_ns);
    else
        judge_verify(s, slot, &v, now_ns);
}

bool mu_slot_store_reply(struct mu_slot_store *s, const struct mu_reply *reply, uint64_t now_ns,
                         struct mu_outbox *out)
{
    uint64_t number = reply->token - s->config.token_base;
    if (number >= TOKEN_SPACE)
        return false;
    uint32_t ix = (uint32_t)(number & ((1u << SLOT_BITS) - 1));
    if (ix >= s->config.slot_count)
        return true;
    struct slot *slot = &s->slots[ix];
    if (slot->state != OPEN || slot->sequence != number >> SLOT_BITS)
        return true;
    switch (reply->kind) {
    case MU_REPLY_HEAD:
        slot->status = reply->status;
        slot->retry_after_s = at_most(reply->retry_after_s, RETRY_AFTER_MAX_S);
        break;
    case MU_REPLY_DATA:
        (void)mu_buf_append_str(&slot->body, reply->data);
        break;
    case MU_REPLY_END:
    case MU_REPLY_LOST:
        reply_done(s, slot, reply, now_ns);
        pump(s, now_ns, out);
        break;
    }
    return true;
}

void mu_slot_store_tick(struct mu_slot_store *s, uint64_t now_ns, struct mu_outbox *out)
{
    pump(s, now_ns, out);
}

uint64_t mu_slot_store_next_ns(const struct mu_slot_store *s)
{
    uint64_t next_ns = UINT64_MAX;
    for (uint32_t i = 0; s->active > s->in_flight && i < s->config.slot_count; i++) {
        const struct slot *slot = &s->slots[i];
        uint64_t due_ns = UINT64_MAX;
        if (slot->state == ASLEEP) {
            due_ns = slot->wake_ns;
        } else if (slot->state == READY && s->in_flight < IN_FLIGHT_MAX) {
            due_ns = s->paused_until_ns;
            if (slot->step == STEP_WRITE && budget_from_ns(s) > due_ns)
                due_ns = budget_from_ns(s);
        }
        next_ns = due_ns < next_ns ? due_ns : next_ns;
    }
    return next_ns;
}

bool mu_slot_store_busy(const struct mu_slot_store *s, uint32_t slot)
{
    MU_ASSERT(slot < s->config.slot_count);
    return s->slots[slot].state != IDLE;
}

const char *mu_slot_store_problem(const struct mu_slot_store *s)
{
    return s->problem;
}

void mu_slot_store_stats(const struct mu_slot_store *s, struct mu_slot_store_stats *out)
{
    *out = s->stats;
    out->busy = s->active;
}
