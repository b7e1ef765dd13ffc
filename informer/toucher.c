/*
 * A write is FREE, READY, OPEN, ASLEEP, CHECK or DONE, and its request one of three steps:
 *
 *   PATCH   2xx: a touch is done at the version of the pod in the reply; an eviction goes on with
 *           that version to DELETE, by way of CHECK
 *   DELETE  2xx: done
 *   GET     after a 409. Another UID: gone. A touch: PATCH again (the 409 was no judgement of the
 *           UID). An eviction: a terminating pod is done; the version that the write had: the same
 *           write again; another version: with that one, by way of CHECK
 *
 * A 404 by the server's own word is gone; all else is tried again later, as it was.
 *
 * Why no victim dies for a plan that was dropped: whoever takes the journal over closes it and then
 * touches the victims. A DELETE names the version that the journal has, or one that was seen before
 * a check which found the journal open: the touch comes after that version and makes it stale.
 *
 * At most MU_TOUCHES_MAX are open: the caller feeds them, so nothing queues here.
 */
#include "informer/toucher.h"

#include <inttypes.h>
#include <stdio.h>

#include "engine/base/arena.h"
#include "engine/base/assert.h"
#include "engine/base/clock.h"
#include "engine/base/mem.h"
#include "engine/base/plant.h"
#include "informer/codec.h"
#include "informer/report_priv.h"

#define TIMEOUT_DEFAULT_NS (10 * MU_NS_PER_S)
#define BACKOFF_FIRST_NS   (100 * MU_NS_PER_MS)
#define BACKOFF_MAX_NS     (5 * MU_NS_PER_S)
#define RETRY_AFTER_MAX_S  60u
#define SLOT_BITS          8
#define TOKEN_SPACE        (UINT64_C(1) << 48)
#define PROBLEM_BYTES      768u

_Static_assert(MU_TOUCHES_MAX <= 1u << SLOT_BITS, "a touch's number fits a token");

enum touch_state { FREE, READY, OPEN, ASLEEP, CHECK, DONE };
enum touch_step { STEP_PATCH, STEP_DELETE, STEP_GET };

struct touch {
    enum touch_state state;
    enum touch_step step;
    enum mu_touch_cause cause;
    bool evict;
    bool marked;      /* the next write of an eviction is the DELETE */
    uint64_t version; /* an eviction's precondition */
    uint64_t begun_s; /* wall time: the same in each repetition, which is then the same write */
    uint64_t checks;  /* CHECK: begun when it came to wait */
    uint64_t wake_ns;
    struct mu_touch_outcome outcome;
    uint32_t sequence, sleeps, retry_after_s;
    int status;
    struct mu_buf body;
    char ns[MU_NAME_BYTES_MAX + 1], name[MU_NAME_BYTES_MAX + 1], uid[MU_UID_BYTES_MAX + 1];
};

struct mu_toucher {
    struct mu_toucher_config config;
    struct mu_random random;
    struct mu_arena *arena;
    uint32_t sequence;
    uint32_t used, open; /* not FREE; OPEN */
    uint32_t waiting;    /* CHECK */
    uint64_t checks;     /* begun */
    bool checking;
    char name[MU_TOUCH_MARK_MAX + 1];
    char mark[MU_TOUCH_MARK_MAX + 1];
    char problem[PROBLEM_BYTES];
    struct touch touches[MU_TOUCHES_MAX];
};

struct mu_toucher *mu_toucher_create(const struct mu_toucher_config *config,
                                     struct mu_random *random)
{
    MU_ASSERT(config->mark.len > 0 && config->mark.len <= MU_TOUCH_MARK_MAX);
    struct mu_toucher *t = mu_mem_zalloc(sizeof *t);
    if (t == NULL)
        return NULL;
    t->config = *config;
    (void)snprintf(t->mark, sizeof t->mark, "%.*s", MU_STR_ARGS(config->mark));
    (void)snprintf(t->name, sizeof t->name, "%.*s", MU_STR_ARGS(config->scheduler_name));
    t->config.mark = t->config.scheduler_name = MU_STR(""); /* the caller's: not kept */
    if (t->config.timeout_ns == 0)
        t->config.timeout_ns = TIMEOUT_DEFAULT_NS;
    t->arena = mu_arena_create(MU_DECODE_ARENA_BYTES);
    if (t->arena == NULL) {
        mu_mem_free(t);
        return NULL;
    }
    mu_random_fork(random, &t->random);
    return t;
}

void mu_toucher_destroy(struct mu_toucher *t)
{
    if (t == NULL)
        return;
    for (uint32_t i = 0; i < MU_TOUCHES_MAX; i++)
        mu_buf_fini(&t->touches[i].body);
    mu_arena_destroy(t->arena);
    mu_mem_free(t);
}

/* --- requests -------------------------------------------------------------------------------- */

static void back_off(struct mu_toucher *t, struct touch *touch, uint32_t retry_after_s,
                     uint64_t now_ns)
{
    uint64_t wait_ns = touch->sleeps < 6 ? BACKOFF_FIRST_NS << touch->sleeps : BACKOFF_MAX_NS;
    touch->sleeps++;
    wait_ns += mu_random_below(&t->random, wait_ns + 1);
    if (wait_ns < retry_after_s * MU_NS_PER_S)
        wait_ns = retry_after_s * MU_NS_PER_S;
    touch->state = ASLEEP;
    touch->wake_ns = now_ns + wait_ns;
}

/* A JSON string: whoever names pods and UIDs may have put anything into them. */
static void put_json(struct mu_buf *out, struct mu_str text)
{
    (void)mu_buf_append_text(out, "\"");
    for (uint32_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.data[i];
        if (c < 0x20 || c == '"' || c == '\\')
            (void)mu_buf_printf(out, "\\u%04x", c);
        else
            (void)mu_buf_append(out, &text.data[i], 1);
    }
    (void)mu_buf_append_text(out, "\"");
}

void mu_toucher_set_wall(struct mu_toucher *t, uint64_t offset_ns)
{
    t->config.wall_offset_ns = offset_ns;
}

static int put_touch(const struct mu_toucher *t, const struct touch *touch, struct mu_buf *body)
{
    (void)mu_buf_append_text(body, "{\"metadata\":{\"uid\":");
    put_json(body, mu_str_of(touch->uid));
    if (MU_PLANTED(MU_PLANT_SAME_BYTES))
        return mu_buf_append_text(body, "}}");
    return mu_buf_printf(body,
                         "},\"status\":{\"conditions\":[{\"type\":\"" MU_TOUCH_CONDITION
                         "\",\"status\":\"True\",\"reason\":\"JournalClosed\",\"message\":"
                         "\"%s\"}]}}",
                         t->mark);
}

static int put_mark(const struct mu_toucher *t, const struct touch *touch, struct mu_buf *body)
{
    static const struct {
        const char *reason, *message;
    } causes[] = {
        [MU_TOUCH_PREEMPTED] = {"PreemptionByScheduler",
                                "preempting to accommodate a higher priority pod"},
        [MU_TOUCH_GANG_SHORT] = {"GangBelowMinimum",
                                 "too few members of its gang run, and there is no room for more"},
    };
    (void)mu_buf_append_text(body, "{\"metadata\":{\"uid\":");
    put_json(body, mu_str_of(touch->uid));
    (void)mu_buf_printf(body, ",\"resourceVersion\":\"%" PRIu64 "\"},", touch->version);
    (void)mu_buf_append_text(body, "\"status\":{\"conditions\":[{\"type\":\"DisruptionTarget\","
                                   "\"status\":\"True\",\"lastTransitionTime\":\"");
    mu_report_put_time(body, touch->begun_s);
    /* A scheduler's name needs no escape. */
    return mu_buf_printf(body, "Z\",\"reason\":\"%s\",\"message\":\"%s: %s\"}]}}",
                         causes[touch->cause].reason, t->name, causes[touch->cause].message);
}

static int put_delete(const struct touch *touch, struct mu_buf *body)
{
    (void)mu_buf_append_text(body, "{\"apiVersion\":\"v1\",\"kind\":\"DeleteOptions\","
                                   "\"preconditions\":{\"uid\":");
    put_json(body, mu_str_of(touch->uid));
    if (MU_PLANTED(MU_PLANT_DELETE_UID))
        return mu_buf_append_text(body, "}}");
    return mu_buf_printf(body, ",\"resourceVersion\":\"%" PRIu64 "\"}}", touch->version);
}

static int put_body(const struct mu_toucher *t, const struct touch *touch, struct mu_buf *body)
{
    switch (touch->step) {
    case STEP_PATCH:
        return touch->evict ? put_mark(t, touch, body) : put_touch(t, touch, body);
    case STEP_DELETE:
        return put_delete(touch, body);
    case STEP_GET:
        return 0;
    }
    MU_UNREACHABLE("a step outside its enum");
}

static void send(struct mu_toucher *t, struct touch *touch, uint64_t now_ns, struct mu_outbox *out)
{
    static const struct {
        enum mu_method method;
        enum mu_media content;
    } kinds[] = {[STEP_PATCH] = {MU_PATCH, MU_MEDIA_STRATEGIC_PATCH},
                 [STEP_DELETE] = {MU_DELETE, MU_MEDIA_JSON},
                 [STEP_GET] = {MU_GET, MU_MEDIA_NONE}};
    struct mu_buf path = {.data = NULL}, body = {.data = NULL};
    struct mu_request *request = NULL;
    (void)mu_buf_append_text(&path, "/api/v1/namespaces/");
    (void)mu_path_append_encoded(&path, mu_str_of(touch->ns));
    (void)mu_buf_append_text(&path, "/pods/");
    (void)mu_path_append_encoded(&path, mu_str_of(touch->name));
    if (touch->step == STEP_PATCH)
        (void)mu_buf_append_text(&path, "/status");
    if (path.failed == 0 && put_body(t, touch, &body) == 0)
        request = mu_outbox_add(out);
    if (request == NULL) {
        mu_buf_fini(&path);
        mu_buf_fini(&body);
        back_off(t, touch, 0, now_ns);
        return;
    }
    t->sequence = (t->sequence + 1) & 0x7fffffff;
    t->sequence += t->sequence == 0; /* token 0 is nobody's */
    touch->sequence = t->sequence;
    *request = (struct mu_request){
        .token = t->config.token_base +
                 ((uint64_t)touch->sequence << SLOT_BITS | (uint64_t)(touch - t->touches)),
        .method = kinds[touch->step].method,
        .content = kinds[touch->step].content,
        .timeout_ns = t->config.timeout_ns,
        .path = path,
        .body = body,
    };
    touch->state = OPEN;
    touch->status = 0;
    touch->retry_after_s = 0;
    mu_buf_clear(&touch->body);
    touch->body.max = MU_OBJECT_BYTES_MAX;
    t->open++;
}

static void pump(struct mu_toucher *t, uint64_t now_ns, struct mu_outbox *out)
{
    for (uint32_t i = 0; t->used > t->open && i < MU_TOUCHES_MAX; i++) {
        struct touch *touch = &t->touches[i];
        if (touch->state == ASLEEP && touch->wake_ns <= now_ns)
            touch->state = READY;
        if (touch->state == READY)
            send(t, touch, now_ns, out);
    }
}

static void copy_text(char *to, size_t room, struct mu_str from)
{
    MU_ASSERT(from.len < room);
    (void)snprintf(to, room, "%.*s", MU_STR_ARGS(from));
}

int mu_toucher_touch(struct mu_toucher *t, const struct mu_touch *in, uint64_t now_ns,
                     struct mu_outbox *out)
{
    if (t->used == MU_TOUCHES_MAX)
        return MU_ELIMIT;
    struct touch *touch = t->touches;
    while (touch->state != FREE)
        touch++;
    touch->state = READY;
    touch->step = STEP_PATCH;
    touch->evict = in->version > 0;
    touch->cause = in->cause;
    touch->marked = false;
    touch->version = in->version;
    touch->begun_s = (now_ns + t->config.wall_offset_ns) / MU_NS_PER_S;
    touch->outcome = (struct mu_touch_outcome){.id = in->id, .evicted = touch->evict};
    touch->sleeps = 0;
    copy_text(touch->ns, sizeof touch->ns, in->ns);
    copy_text(touch->name, sizeof touch->name, in->name);
    copy_text(touch->uid, sizeof touch->uid, in->uid);
    t->used++;
    send(t, touch, now_ns, out);
    return 0;
}

bool mu_toucher_take(struct mu_toucher *t, struct mu_touch_outcome *outcome)
{
    for (uint32_t i = 0; t->used > t->open && i < MU_TOUCHES_MAX; i++) {
        struct touch *touch = &t->touches[i];
        if (touch->state != DONE)
            continue;
        *outcome = touch->outcome;
        touch->state = FREE;
        t->used--;
        return true;
    }
    return false;
}

uint32_t mu_toucher_room(const struct mu_toucher *t)
{
    return MU_TOUCHES_MAX - t->used;
}

/* --- checks ---------------------------------------------------------------------------------- */

static void wait_for_check(struct mu_toucher *t, struct touch *touch)
{
    touch->state = MU_PLANTED(MU_PLANT_UNCHECKED) ? READY : CHECK;
    touch->checks = t->checks;
    t->waiting += touch->state == CHECK;
}

bool mu_toucher_wants_check(const struct mu_toucher *t)
{
    return t->waiting > 0 && !t->checking;
}

void mu_toucher_check_begun(struct mu_toucher *t)
{
    MU_ASSERT(!t->checking);
    t->checking = true;
    t->checks++;
}

void mu_toucher_checked(struct mu_toucher *t, bool ours, uint64_t now_ns, struct mu_outbox *out)
{
    MU_ASSERT(t->checking);
    t->checking = false;
    for (uint32_t i = 0; ours && t->waiting > 0 && i < MU_TOUCHES_MAX; i++) {
        struct touch *touch = &t->touches[i];
        /* What came to wait after the check had begun waits for the next. */
        if (touch->state != CHECK || touch->checks >= t->checks)
            continue;
        touch->state = READY;
        t->waiting--;
    }
    pump(t, now_ns, out);
}

/* --- judging replies ------------------------------------------------------------------------- */

static struct mu_str body_of(const struct touch *touch)
{
    return (struct mu_str){(const char *)touch->body.data, (uint32_t)touch->body.len};
}

static void finish(struct touch *touch, uint64_t version)
{
    touch->state = DONE;
    touch->outcome.version = version;
}

/* The pod in the body. False: it cannot be read. */
static bool read_pod(struct mu_toucher *t, const struct touch *touch, struct mu_pod_bound *pod)
{
    struct mu_envelope envelope;
    mu_arena_reset(t->arena);
    return touch->body.failed == 0 && mu_envelope_open(body_of(touch), &envelope, NULL) == 0 &&
           mu_str_equal(envelope.kind, MU_STR("Pod")) &&
           mu_pod_bound_decode(envelope.raw, t->arena, pod, NULL) == 0;
}

static bool says_not_found(struct mu_toucher *t, const struct touch *touch,
                           struct mu_status *status)
{
    *status = (struct mu_status){.code = touch->status};
    mu_arena_reset(t->arena);
    return touch->body.failed == 0 && mu_status_decode(body_of(touch), t->arena, status) == 0 &&
           touch->status == 404 && mu_str_equal(status->reason, MU_STR("NotFound"));
}

static void note_problem(struct mu_toucher *t, const struct touch *touch,
                         const struct mu_status *status)
{
    int len = status->message.len > 160 ? 160 : (int)status->message.len;
    (void)snprintf(t->problem, sizeof t->problem, "%s of %s/%s: %d%s%.*s",
                   touch->step == STEP_PATCH    ? "patch pods/status"
                   : touch->step == STEP_DELETE ? "delete pods"
                                                : "get pods",
                   touch->ns, touch->name, touch->status, len > 0 ? ": " : "", len,
                   len > 0 ? status->message.data : "");
}

/* The pod has been read, or its patch answered. */
static void judge_pod(struct mu_toucher *t, struct touch *touch, const struct mu_pod_bound *pod,
                      uint64_t now_ns)
{
    enum touch_step next = touch->marked ? STEP_DELETE : STEP_PATCH;
    if (!mu_str_equal(pod->uid, mu_str_of(touch->uid))) {
        finish(touch, 0);
    } else if (touch->evict && pod->terminating) {
        touch->outcome.grace_s = pod->grace_s;
        finish(touch, pod->version);
    } else if (!touch->evict && touch->step == STEP_PATCH) {
        touch->outcome.grace_s = pod->terminating ? pod->grace_s : 0;
        finish(touch, pod->version);
    } else if (touch->evict && touch->step == STEP_PATCH) {
        touch->marked = true;
        touch->step = STEP_DELETE;
        touch->version = pod->version;
        wait_for_check(t, touch);
    } else if (touch->evict && pod->version > touch->version) {
        touch->step = next;
        touch->version = pod->version;
        wait_for_check(t, touch);
    } else {
        touch->step = next; /* unchanged, or a touch: the same again */
        back_off(t, touch, 0, now_ns);
    }
}

static void judge(struct mu_toucher *t, struct touch *touch, uint64_t now_ns)
{
    struct mu_pod_bound pod;
    struct mu_status status;
    bool taken = touch->status >= 200 && touch->status < 300, read = read_pod(t, touch, &pod);
    if (taken && touch->step == STEP_DELETE && (!read || !pod.terminating)) {
        touch->step = STEP_GET; /* gone at once, most likely: the reply may be what it was */
        touch->state = READY;
    } else if (taken && read) {
        t->problem[0] = '\0';
        judge_pod(t, touch, &pod, now_ns);
    } else if (says_not_found(t, touch, &status)) {
        finish(touch, 0);
    } else if (touch->step != STEP_GET && touch->status == 409) {
        touch->step = STEP_GET;
        touch->state = READY;
    } else {
        if (touch->retry_after_s < status.retry_after_s)
            touch->retry_after_s = status.retry_after_s;
        if (touch->retry_after_s > RETRY_AFTER_MAX_S)
            touch->retry_after_s = RETRY_AFTER_MAX_S;
        note_problem(t, touch, &status);
        back_off(t, touch, touch->retry_after_s, now_ns);
    }
}

bool mu_toucher_reply(struct mu_toucher *t, const struct mu_reply *reply, uint64_t now_ns,
                      struct mu_outbox *out)
{
    uint64_t number = reply->token - t->config.token_base;
    if (number >= TOKEN_SPACE)
        return false;
    uint32_t ix = (uint32_t)(number & ((1u << SLOT_BITS) - 1));
    if (ix >= MU_TOUCHES_MAX)
        return true;
    struct touch *touch = &t->touches[ix];
    if (touch->state != OPEN || touch->sequence != number >> SLOT_BITS)
        return true;
    switch (reply->kind) {
    case MU_REPLY_HEAD:
        touch->status = reply->status;
        touch->retry_after_s = reply->retry_after_s;
        break;
    case MU_REPLY_DATA:
        (void)mu_buf_append_str(&touch->body, reply->data);
        break;
    case MU_REPLY_END:
        t->open--;
        judge(t, touch, now_ns);
        pump(t, now_ns, out);
        break;
    case MU_REPLY_LOST:
        t->open--;
        back_off(t, touch, 0, now_ns);
        break;
    }
    return true;
}

void mu_toucher_tick(struct mu_toucher *t, uint64_t now_ns, struct mu_outbox *out)
{
    pump(t, now_ns, out);
}

uint64_t mu_toucher_next_ns(const struct mu_toucher *t)
{
    uint64_t next_ns = UINT64_MAX;
    for (uint32_t i = 0; t->used > t->open && i < MU_TOUCHES_MAX; i++) {
        const struct touch *touch = &t->touches[i];
        if (touch->state == ASLEEP && touch->wake_ns < next_ns)
            next_ns = touch->wake_ns;
    }
    return next_ns;
}

const char *mu_toucher_problem(const struct mu_toucher *t)
{
    return t->problem;
}
