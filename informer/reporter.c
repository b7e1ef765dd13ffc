/*
 * Everything that can be sent is an item, in one of these states:
 *
 *   IDLE    nothing to send now
 *   READY   in one of two queues (conditions, events), in order
 *   OPEN    its request is with the transport: it has one of in_flight_max flights
 *   ASLEEP  in the heap of timers, READY again when its time has come
 *
 *   pod     (item and what is known about a pod: the text it is to carry, its back-off, its event)
 *           IDLE -> pending() -> READY, or ASLEEP while its back-off lasts -> OPEN -> IDLE
 *           A pod that stays IDLE for MU_REP_WINDOW_NS is forgotten: all IDLE pods wait equally
 *           long, so their queue is their timer. When the table is full the first one goes early.
 *   event   created READY -> OPEN -> IDLE while a pod may still repeat it, else freed
 *
 * A text that arrives while the pod's request is open waits for its answer: one write of a pod is
 * under way at a time, and the next one carries what the pod needs then. Whether a pod still wants
 * its condition is asked at the moment of sending, not when it is queued, so nothing has to tell
 * the reporter that pods are bound or deleted.
 *
 * Why a condition cannot hit a bound pod: the patch carries the resourceVersion at which the pod
 * was seen unbound; a bind moves it, and a write that is late or repeated then fails with 409.
 *
 * What the pod was last seen to carry counts only when it was seen after every write that may have
 * landed without our knowing (`doubt`): else the pod may carry that write's text by now, and the
 * text that it is to carry, seen before, would be taken for written.
 *
 * An item that finds no memory for its request sleeps and tries again; one that finds no memory for
 * its timer is READY at once, where the budget slows it down: a try costs a token whether or not a
 * request comes of it.
 *
 * Many items can be due at one moment, or have become moot by then (a cluster that grew, a
 * namespace that was deleted). One call wakes, forgets and looks at a bounded number of them; what
 * is left is due at once, so that the loop gets to its other work in between.
 */
#include "informer/reporter.h"

#include <stdio.h>

#include "engine/base/assert.h"
#include "engine/base/hash.h"
#include "engine/base/mem.h"
#include "informer/reporter_priv.h"

#define RATE_DEFAULT       100u
#define IN_FLIGHT_DEFAULT  32u
#define TIMEOUT_DEFAULT_NS (30 * MU_NS_PER_S)
#define BUSY_INTERVALS     10u                 /* between two writes while binds wait */
#define DENIED_NS          (300 * MU_NS_PER_S) /* 403: somebody has to grant it first */
#define RETRY_AFTER_MAX_S  60u
#define STEPS_PER_CALL     1024u /* of each kind of work: well below a millisecond */
#define FLIGHT_BITS        16
#define TOKEN_SPACE        (UINT64_C(1) << 48)
#define NONE               UINT32_MAX

/* --- life ------------------------------------------------------------------------------------ */

static uint64_t key_hash(const struct mu_rep_key *key)
{
    return mu_hash_mix(key->uid.hi ^ key->group, key->uid.lo);
}

static bool slot_has_key(const void *context, uint32_t slot, const void *key)
{
    const struct mu_reporter *r = context;
    const struct mu_rep_key *a = &r->slots[slot].pod->key, *b = key;
    return a->group == b->group && mu_uid_equal(a->uid, b->uid);
}

static uint64_t slot_hash(const void *context, uint32_t slot)
{
    const struct mu_reporter *r = context;
    return key_hash(&r->slots[slot].pod->key);
}

static void copy_word(char *to, struct mu_str word)
{
    (void)snprintf(to, MU_EVENT_WORD_MAX + 1, "%.*s", (int)mu_report_cut(word, MU_EVENT_WORD_MAX),
                   word.len > 0 ? word.data : "");
}

static void set_defaults(struct mu_reporter *r)
{
    struct mu_reporter_config *c = &r->config;
    c->rate = c->rate == 0 ? RATE_DEFAULT : c->rate;
    c->rate = c->rate > MU_REPORT_RATE_MAX ? MU_REPORT_RATE_MAX : c->rate;
    c->burst = c->burst == 0 ? 2 * c->rate : c->burst;
    c->in_flight_max = c->in_flight_max == 0 ? IN_FLIGHT_DEFAULT : c->in_flight_max;
    if (c->in_flight_max > MU_REPORT_IN_FLIGHT_MAX)
        c->in_flight_max = MU_REPORT_IN_FLIGHT_MAX;
    c->timeout_ns = c->timeout_ns == 0 ? TIMEOUT_DEFAULT_NS : c->timeout_ns;
    r->interval_ns = MU_NS_PER_S / c->rate;
}

struct mu_reporter *mu_reporter_create(const struct mu_reporter_config *config,
                                       struct mu_random *random)
{
    struct mu_reporter *r = mu_mem_zalloc(sizeof *r);
    if (r == NULL)
        return NULL;
    r->config = *config;
    set_defaults(r);
    copy_word(r->controller, config->controller);
    copy_word(r->instance, config->instance);
    r->config.controller = r->config.instance = MU_STR(""); /* the caller's: not kept */
    mu_link_init(&r->ready[MU_REP_POD]);
    mu_link_init(&r->ready[MU_REP_EVENT]);
    mu_link_init(&r->idle);
    mu_heap_init(&r->timers, MU_REPORT_PODS_MAX + MU_REPORT_EVENTS_MAX);
    r->slot_free = NONE;
    r->by_key = mu_index_create(16, slot_has_key, slot_hash, r);
    r->flights = mu_mem_calloc(r->config.in_flight_max, sizeof *r->flights);
    r->nothing = mu_report_text_create(MU_REPORT_UNSCHEDULABLE, MU_STR(""));
    if (r->by_key == NULL || r->flights == NULL || r->nothing == NULL) {
        mu_reporter_destroy(r);
        return NULL;
    }
    for (uint32_t i = 0; i < r->config.in_flight_max; i++)
        r->flights[i].next_free = i + 1 < r->config.in_flight_max ? i + 1 : NONE;
    mu_random_fork(random, &r->random);
    return r;
}

static void item_free(struct mu_rep_item *item)
{
    if (item->kind == MU_REP_EVENT) {
        mu_rep_event_free(MU_LINK_OWNER(item, struct mu_rep_event, item));
        return;
    }
    /* Its pod is freed with the table; here only what it refers to. */
}

void mu_reporter_destroy(struct mu_reporter *r)
{
    if (r == NULL)
        return;
    struct mu_heap_entry timer;
    while (!mu_link_empty(&r->ready[MU_REP_EVENT])) {
        struct mu_rep_item *item =
            MU_LINK_OWNER(r->ready[MU_REP_EVENT].next, struct mu_rep_item, link);
        mu_link_remove(&item->link);
        item_free(item);
    }
    while (mu_heap_pop(&r->timers, &timer))
        item_free(timer.item);
    for (uint32_t i = 0; r->flights != NULL && i < r->config.in_flight_max; i++)
        if (r->flights[i].item != NULL)
            item_free(r->flights[i].item);
    for (uint32_t i = 0; i < r->slot_count; i++) {
        struct mu_rep_pod *pod = r->slots[i].pod;
        if (pod == NULL)
            continue;
        if (pod->event != NULL)
            mu_rep_event_free(pod->event); /* IDLE: the others went above */
        mu_report_text_unref(pod->wanted);
        mu_mem_free(pod);
    }
    mu_mem_free(r->slots);
    mu_mem_free(r->flights);
    mu_index_destroy(r->by_key);
    mu_heap_fini(&r->timers);
    mu_report_text_unref(r->nothing);
    mu_mem_free(r);
}

void mu_reporter_set_wall(struct mu_reporter *r, uint64_t offset_ns)
{
    r->wall_offset_ns = offset_ns;
}

void mu_reporter_set_pace(struct mu_reporter *r, bool hold, bool binds_wait)
{
    r->hold = hold;
    r->binds_wait = binds_wait;
}

/* --- queues and timers ----------------------------------------------------------------------- */

void mu_rep_make_ready(struct mu_reporter *r, struct mu_rep_item *item)
{
    item->state = MU_REP_READY;
    mu_link_append(&r->ready[item->kind], &item->link);
}

void mu_rep_sleep_until(struct mu_reporter *r, struct mu_rep_item *item, uint64_t due_ns)
{
    item->state = MU_REP_ASLEEP;
    if (mu_heap_push(&r->timers, (struct mu_heap_entry){due_ns, ++r->timer_ties, item}) != 0)
        mu_rep_make_ready(r, item);
}

static void wake_due(struct mu_reporter *r, uint64_t now_ns)
{
    struct mu_heap_entry timer;
    for (uint32_t n = 0; n < STEPS_PER_CALL; n++) {
        if (!mu_heap_peek(&r->timers, &timer) || timer.key > now_ns)
            return;
        (void)mu_heap_pop(&r->timers, &timer);
        mu_rep_make_ready(r, timer.item);
    }
}

void mu_rep_try_later(struct mu_reporter *r, struct mu_rep_item *item, uint64_t first_ns,
                      uint32_t retry_after_s, uint64_t now_ns)
{
    uint64_t wait_ns = item->tries < 4 ? first_ns << item->tries : MU_REP_BACKOFF_MAX_NS;
    if (wait_ns > MU_REP_BACKOFF_MAX_NS)
        wait_ns = MU_REP_BACKOFF_MAX_NS;
    item->tries++;
    wait_ns += mu_random_below(&r->random, wait_ns / 4 + 1);
    if (wait_ns < retry_after_s * MU_NS_PER_S)
        wait_ns = retry_after_s * MU_NS_PER_S;
    mu_rep_sleep_until(r, item, now_ns + wait_ns);
}

/* --- pods ------------------------------------------------------------------------------------ */

static void pod_free(struct mu_reporter *r, struct mu_rep_pod *pod, uint64_t now_ns)
{
    MU_ASSERT(pod->item.state == MU_REP_IDLE && r->slots[pod->slot].pod == pod);
    mu_rep_series_end(r, pod, now_ns);
    mu_link_remove(&pod->item.link);
    mu_index_remove(r->by_key, key_hash(&pod->key), pod->slot);
    r->slots[pod->slot] = (struct mu_rep_slot){.next_free = r->slot_free};
    r->slot_free = pod->slot;
    r->idle_pods--;
    r->stats.pods--;
    mu_report_text_unref(pod->wanted);
    mu_mem_free(pod);
}

void mu_rep_pod_idle(struct mu_reporter *r, struct mu_rep_pod *pod, uint64_t now_ns)
{
    mu_report_text_unref(pod->wanted);
    pod->wanted = NULL;
    pod->item.tries = 0;
    pod->item.state = MU_REP_IDLE;
    pod->idle_ns = now_ns;
    mu_link_append(&r->idle, &pod->item.link);
    r->idle_pods++;
}

static void forget_old(struct mu_reporter *r, uint64_t now_ns)
{
    for (uint32_t n = 0; n < STEPS_PER_CALL && !mu_link_empty(&r->idle); n++) {
        struct mu_rep_pod *pod = MU_LINK_OWNER(r->idle.next, struct mu_rep_pod, item.link);
        if (pod->idle_ns + MU_REP_WINDOW_NS > now_ns)
            return;
        pod_free(r, pod, now_ns);
    }
}

/* A record for a pod that is not known. Errors: MU_ELIMIT, MU_ENOMEM; nothing changed but that an
 * old one may be forgotten. */
static int pod_add(struct mu_reporter *r, const struct mu_rep_key *key, uint64_t now_ns,
                   struct mu_rep_pod **out)
{
    if (r->stats.pods == MU_REPORT_PODS_MAX && !mu_link_empty(&r->idle))
        pod_free(r, MU_LINK_OWNER(r->idle.next, struct mu_rep_pod, item.link), now_ns);
    if (r->stats.pods == MU_REPORT_PODS_MAX)
        return MU_ELIMIT;
    struct mu_rep_pod *pod = mu_mem_zalloc(sizeof *pod);
    if (pod == NULL)
        return MU_ENOMEM;
    void *slots = r->slots;
    bool reuse = r->slot_free != NONE;
    int rc = reuse ? 0
                   : mu_mem_grow(&slots, &r->slot_cap, r->slot_count + 1, MU_REPORT_PODS_MAX,
                                 sizeof *r->slots);
    r->slots = slots;
    if (rc == 0) {
        pod->key = *key;
        pod->slot = reuse ? r->slot_free : r->slot_count;
        uint32_t next_free = reuse ? r->slots[pod->slot].next_free : NONE;
        r->slots[pod->slot].pod = pod;
        rc = mu_index_insert(r->by_key, key_hash(key), pod->slot);
        if (rc != 0)
            r->slots[pod->slot] = (struct mu_rep_slot){.next_free = next_free};
        else if (reuse)
            r->slot_free = next_free;
        else
            r->slot_count++;
    }
    if (rc != 0) {
        mu_mem_free(pod);
        return rc;
    }
    mu_link_init(&pod->item.link);
    pod->item.kind = MU_REP_POD;
    mu_link_append(&r->idle, &pod->item.link);
    r->idle_pods++;
    r->stats.pods++;
    *out = pod;
    return 0;
}

/* An IDLE pod has something to tell: when its back-off allows. */
static void pod_queue(struct mu_reporter *r, struct mu_rep_pod *pod, uint64_t now_ns)
{
    MU_ASSERT(pod->wanted != NULL);
    if (pod->next_ns > now_ns)
        mu_rep_sleep_until(r, &pod->item, pod->next_ns);
    else
        mu_rep_make_ready(r, &pod->item);
}

/* text: NULL: what it was to be told before, if there still is something. */
static int pod_wants(struct mu_reporter *r, const struct mu_rep_key *key,
                     struct mu_report_text *text, uint64_t now_ns)
{
    struct mu_rep_pod *pod = NULL;
    uint32_t slot = mu_index_find(r->by_key, key_hash(key), key);
    if (slot != MU_INDEX_NONE) {
        pod = r->slots[slot].pod;
    } else {
        int rc = pod_add(r, key, now_ns, &pod);
        if (rc != 0)
            return rc;
    }
    if (text == NULL)
        text = pod->wanted != NULL ? pod->wanted : r->nothing;
    text->refs++;
    mu_report_text_unref(pod->wanted);
    pod->wanted = text;
    pod->moved = pod->item.state == MU_REP_OPEN;
    if (pod->item.state == MU_REP_IDLE) {
        mu_link_remove(&pod->item.link);
        r->idle_pods--;
        pod_queue(r, pod, now_ns);
    }
    return 0;
}

int mu_reporter_pending(struct mu_reporter *r, struct mu_uid uid, struct mu_report_text *text,
                        uint64_t now_ns)
{
    const struct mu_rep_key key = {.uid = uid};
    return pod_wants(r, &key, text, now_ns);
}

int mu_reporter_group(struct mu_reporter *r, uint32_t group, struct mu_report_text *text,
                      uint64_t now_ns)
{
    const struct mu_rep_key key = {.uid = {.lo = group}, .group = true};
    MU_ASSERT(r->config.group != NULL && r->config.group_written != NULL);
    return pod_wants(r, &key, text, now_ns);
}

uint32_t mu_reporter_room(const struct mu_reporter *r)
{
    return MU_REPORT_PODS_MAX - r->stats.pods + r->idle_pods;
}

/* --- sending --------------------------------------------------------------------------------- */

/* When the next write may be sent, as far as tokens go. While binds wait there is no burst, and a
 * write keeps the next one away for ten times as long. */
static uint64_t budget_ns(const struct mu_reporter *r)
{
    uint64_t credit_ns = (r->config.burst - 1) * r->interval_ns;
    uint64_t at_ns = r->bucket_ns > credit_ns ? r->bucket_ns - credit_ns : 0;
    uint64_t busy_ns = r->sent_ns + BUSY_INTERVALS * r->interval_ns;
    return r->binds_wait && r->stats.sent > 0 && busy_ns > at_ns ? busy_ns : at_ns;
}

static void budget_spend(struct mu_reporter *r, uint64_t now_ns)
{
    if (r->bucket_ns < now_ns)
        r->bucket_ns = now_ns;
    r->bucket_ns += r->interval_ns;
    r->sent_ns = now_ns;
}

bool mu_rep_item_send(struct mu_reporter *r, struct mu_rep_item *item, struct mu_request *built,
                      uint64_t now_ns, struct mu_outbox *out)
{
    struct mu_request *request = NULL;
    budget_spend(r, now_ns);
    if (built->path.failed == 0 && built->body.failed == 0)
        request = mu_outbox_add(out);
    if (request == NULL) {
        mu_buf_fini(&built->path);
        mu_buf_fini(&built->body);
        return false;
    }
    uint32_t at = r->flight_free;
    MU_ASSERT(at != NONE);
    struct mu_rep_flight *flight = &r->flights[at];
    MU_ASSERT(flight->item == NULL);
    r->flight_free = flight->next_free;
    r->sequence = r->sequence == UINT32_MAX ? 1 : r->sequence + 1; /* token 0 is nobody's */
    *flight = (struct mu_rep_flight){.item = item, .sequence = r->sequence};
    *request = *built;
    request->token = r->config.token_base + ((uint64_t)r->sequence << FLIGHT_BITS | at);
    request->timeout_ns = r->config.timeout_ns;
    item->state = MU_REP_OPEN;
    r->stats.in_flight++;
    r->stats.sent++;
    return true;
}

static void pod_send(struct mu_reporter *r, struct mu_rep_pod *pod, uint64_t now_ns,
                     struct mu_outbox *out)
{
    struct mu_report_subject subject = {.version = 0};
    MU_ASSERT(pod->wanted != NULL);
    if (!r->config.subject(r->config.context, pod->key.uid, &subject)) {
        r->stats.conditions_moot++;
        mu_rep_pod_idle(r, pod, now_ns);
        return;
    }
    if (subject.report == pod->wanted->digest && subject.version > pod->doubt) {
        r->stats.conditions_same++;
        mu_rep_pod_idle(r, pod, now_ns);
        return;
    }
    if (pod->observed != pod->wanted->digest || pod->item.tries == 0) {
        pod->observed = pod->wanted->digest;
        mu_rep_observe_failure(r, pod, &subject, now_ns);
    }
    struct mu_request request = {.method = MU_PATCH, .content = MU_MEDIA_STRATEGIC_PATCH};
    (void)mu_buf_append_text(&request.path, "/api/v1/namespaces/");
    (void)mu_path_append_encoded(&request.path, subject.ns);
    (void)mu_buf_append_text(&request.path, "/pods/");
    (void)mu_path_append_encoded(&request.path, subject.name);
    (void)mu_buf_append_text(&request.path, "/status");
    uint64_t wall_s = (now_ns + r->wall_offset_ns) / MU_NS_PER_S;
    mu_report_condition_body(&request.body, &subject, pod->wanted,
                             subject.report == 0 ? wall_s : 0);
    pod->sent = pod->wanted->digest;
    pod->sent_version = subject.version;
    if (!mu_rep_item_send(r, &pod->item, &request, now_ns, out))
        mu_rep_try_later(r, &pod->item, MU_REP_BACKOFF_FIRST_NS, 0, now_ns);
}

/* The next item to send, or NULL. Conditions and events take turns. */
static struct mu_rep_item *next_item(struct mu_reporter *r)
{
    bool pods = !r->hold && !mu_link_empty(&r->ready[MU_REP_POD]);
    bool events = !mu_link_empty(&r->ready[MU_REP_EVENT]);
    if (!pods && !events)
        return NULL;
    enum mu_rep_kind kind = pods && (!events || r->turn == MU_REP_POD) ? MU_REP_POD : MU_REP_EVENT;
    r->turn = kind == MU_REP_POD ? MU_REP_EVENT : MU_REP_POD;
    struct mu_rep_item *item = MU_LINK_OWNER(r->ready[kind].next, struct mu_rep_item, link);
    mu_link_remove(&item->link);
    return item;
}

static void pump(struct mu_reporter *r, uint64_t now_ns, struct mu_outbox *out)
{
    for (uint32_t n = 0; n < STEPS_PER_CALL; n++) {
        if (r->stats.in_flight >= r->config.in_flight_max || now_ns < r->paused_until_ns ||
            now_ns < budget_ns(r))
            return;
        struct mu_rep_item *item = next_item(r);
        if (item == NULL)
            return;
        struct mu_rep_pod *pod = MU_LINK_OWNER(item, struct mu_rep_pod, item);
        if (item->kind == MU_REP_POD && pod->key.group)
            mu_rep_group_send(r, pod, now_ns, out);
        else if (item->kind == MU_REP_POD)
            pod_send(r, pod, now_ns, out);
        else
            mu_rep_event_send(r, MU_LINK_OWNER(item, struct mu_rep_event, item), now_ns, out);
    }
}

/* --- judging replies ------------------------------------------------------------------------- */

static enum mu_rep_answer judge(const struct mu_rep_flight *flight, bool lost)
{
    int status = flight->status;
    if (lost || status < 200 || (status >= 300 && status < 400) || status >= 500 || status == 401 ||
        status == 408 || status == 429)
        return MU_REP_LATER;
    if (status < 300)
        return MU_REP_TAKEN;
    return status == 404   ? MU_REP_GONE
           : status == 409 ? MU_REP_CONFLICT
           : status == 403 ? MU_REP_DENIED
                           : MU_REP_WRONG;
}

static void pod_taken(struct mu_reporter *r, struct mu_rep_pod *pod)
{
    if (pod->key.group) {
        mu_rep_group_taken(r, pod);
        return;
    }
    r->stats.conditions++;
    r->config.written(r->config.context, pod->key.uid, pod->sent);
}

/* Nothing comes of it. */
static void pod_given_up(struct mu_reporter *r, const struct mu_rep_pod *pod, bool wrong)
{
    struct mu_reporter_stats *stats = &r->stats;
    uint64_t *count = pod->key.group
                          ? (wrong ? &stats->groups_failed : &stats->groups_moot)
                          : (wrong ? &stats->conditions_failed : &stats->conditions_moot);
    ++*count;
}

static void pod_answered(struct mu_reporter *r, struct mu_rep_pod *pod, enum mu_rep_answer answer,
                         uint32_t retry_after_s, uint64_t now_ns)
{
    bool newer = pod->wanted->digest != pod->sent || (pod->key.group && pod->moved);
    switch (answer) {
    case MU_REP_TAKEN:
        pod_taken(r, pod);
        pod->doubt = 0;
        pod->next_ns = now_ns + (pod->level < 4 ? MU_REP_BACKOFF_FIRST_NS << pod->level
                                                : MU_REP_BACKOFF_MAX_NS);
        pod->level += pod->level < 4;
        pod->item.tries = 0;
        if (newer)
            pod_queue(r, pod, now_ns);
        else
            mu_rep_pod_idle(r, pod, now_ns);
        break;
    case MU_REP_CONFLICT: /* it moved on: whether it still wants the text is asked again */
        r->stats.conflicts++;
        mu_rep_try_later(r, &pod->item, MU_REP_BACKOFF_FIRST_NS, retry_after_s, now_ns);
        break;
    case MU_REP_LATER:
        pod->doubt = pod->sent_version;
        mu_rep_try_later(r, &pod->item, MU_REP_BACKOFF_FIRST_NS, retry_after_s, now_ns);
        break;
    case MU_REP_DENIED:
        pod->item.tries++;
        mu_rep_sleep_until(r, &pod->item, now_ns + DENIED_NS);
        break;
    case MU_REP_GONE:
    case MU_REP_WRONG:
        if (pod->key.group && mu_rep_group_elsewhere(r, pod)) {
            mu_rep_make_ready(r, &pod->item);
            break;
        }
        pod_given_up(r, pod, answer == MU_REP_WRONG);
        if (newer && answer == MU_REP_WRONG)
            pod_queue(r, pod, now_ns);
        else
            mu_rep_pod_idle(r, pod, now_ns);
        break;
    }
}

static void answered(struct mu_reporter *r, uint32_t at, bool lost, uint64_t now_ns)
{
    struct mu_rep_flight flight = r->flights[at];
    r->flights[at] = (struct mu_rep_flight){.next_free = r->flight_free};
    r->flight_free = at;
    r->stats.in_flight--;
    r->stats.lost += lost;
    r->stats.errors += !lost && flight.status >= 500;
    if (!lost && flight.status == 429) {
        uint64_t quiet_s = flight.retry_after_s > 0 ? flight.retry_after_s : 1;
        r->stats.throttled++;
        if (r->paused_until_ns < now_ns + quiet_s * MU_NS_PER_S)
            r->paused_until_ns = now_ns + quiet_s * MU_NS_PER_S;
    }
    enum mu_rep_answer answer = judge(&flight, lost);
    if (flight.item->kind == MU_REP_POD)
        pod_answered(r, MU_LINK_OWNER(flight.item, struct mu_rep_pod, item), answer,
                     flight.retry_after_s, now_ns);
    else
        mu_rep_event_answered(r, MU_LINK_OWNER(flight.item, struct mu_rep_event, item), answer,
                              flight.retry_after_s, now_ns);
}

/* --- inputs ---------------------------------------------------------------------------------- */

bool mu_reporter_reply(struct mu_reporter *r, const struct mu_reply *reply, uint64_t now_ns,
                       struct mu_outbox *out)
{
    uint64_t number = reply->token - r->config.token_base;
    if (number >= TOKEN_SPACE)
        return false;
    uint32_t at = (uint32_t)(number & ((1u << FLIGHT_BITS) - 1));
    if (at >= r->config.in_flight_max || r->flights[at].item == NULL ||
        r->flights[at].sequence != number >> FLIGHT_BITS)
        return true;
    switch (reply->kind) {
    case MU_REPLY_HEAD:
        r->flights[at].status = reply->status;
        r->flights[at].retry_after_s =
            reply->retry_after_s < RETRY_AFTER_MAX_S ? reply->retry_after_s : RETRY_AFTER_MAX_S;
        break;
    case MU_REPLY_DATA: /* the status code says it all */
        break;
    case MU_REPLY_END:
    case MU_REPLY_LOST:
        answered(r, at, reply->kind == MU_REPLY_LOST, now_ns);
        mu_reporter_tick(r, now_ns, out);
        break;
    }
    return true;
}

void mu_reporter_tick(struct mu_reporter *r, uint64_t now_ns, struct mu_outbox *out)
{
    wake_due(r, now_ns);
    forget_old(r, now_ns);
    pump(r, now_ns, out);
}

uint64_t mu_reporter_next_ns(const struct mu_reporter *r)
{
    struct mu_heap_entry timer;
    uint64_t next_ns = mu_heap_peek(&r->timers, &timer) ? timer.key : UINT64_MAX;
    if (!mu_link_empty(&r->idle)) {
        const struct mu_rep_pod *pod = MU_LINK_OWNER(r->idle.next, struct mu_rep_pod, item.link);
        if (pod->idle_ns + MU_REP_WINDOW_NS < next_ns)
            next_ns = pod->idle_ns + MU_REP_WINDOW_NS;
    }
    bool ready = !mu_link_empty(&r->ready[MU_REP_EVENT]) ||
                 (!r->hold && !mu_link_empty(&r->ready[MU_REP_POD]));
    if (!ready ||
        r->stats.in_flight >= r->config.in_flight_max) /* then a reply goes on from there */
        return next_ns;
    uint64_t send_ns = budget_ns(r) > r->paused_until_ns ? budget_ns(r) : r->paused_until_ns;
    return send_ns < next_ns ? send_ns : next_ns;
}

void mu_reporter_stats(const struct mu_reporter *r, struct mu_reporter_stats *out)
{
    uint32_t open[2] = {0};
    for (uint32_t i = 0; i < r->config.in_flight_max; i++)
        if (r->flights[i].item != NULL)
            open[r->flights[i].item->kind]++;
    *out = r->stats;
    out->conditions_queued = r->stats.pods - r->idle_pods - open[MU_REP_POD];
    out->events_queued = r->events_live - open[MU_REP_EVENT];
}
