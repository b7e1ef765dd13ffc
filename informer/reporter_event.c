/*
 * Events. One that says that a pod was placed, or preempted, is written once and forgotten. One
 * that says that it was not stays with its pod while it may be repeated:
 *
 *   first time   POST, without a series
 *   second       PATCH of the series: count 2
 *   then         counted here; PATCH when REFRESH_NS have passed since the last one
 *   end          MU_REP_WINDOW_NS without a repetition, or the pod is forgotten: PATCH if the count
 *                has grown since the last one
 *
 * The note stays that of the first time: it is no part of what makes two events one (client-go's
 * rule). A patch that finds no event creates it anew, with its series.
 */
#include "informer/reporter_priv.h"

#include <stdio.h>

#include "engine/base/assert.h"
#include "engine/base/mem.h"

/* As client-go's recorder. */
#define REFRESH_NS     (1800 * MU_NS_PER_S) /* a series that goes on is patched so often */
#define EVENT_TRIES    12u
#define EVENT_RETRY_NS (10 * MU_NS_PER_S)

void mu_rep_event_free(struct mu_rep_event *event)
{
    if (event->owner != NULL)
        event->owner->event = NULL;
    mu_report_text_unref(event->text);
    mu_mem_free(event);
}

static struct mu_str put_text(char **at, struct mu_str s)
{
    struct mu_str copy = {*at, s.len};
    if (s.len > 0)
        memcpy(*at, s.data, s.len);
    *at += s.len;
    return copy;
}

/* A new event, queued. NULL, counted as dropped: no room or no memory. */
static struct mu_rep_event *event_add(struct mu_reporter *r, const struct mu_report_preempted *all,
                                      struct mu_report_text *text, uint64_t now_ns)
{
    const struct mu_report_bound *about = &all->victim;
    size_t bytes = sizeof(struct mu_rep_event) + about->ns.len + about->name.len + about->uid.len +
                   about->node.len + all->by_ns.len + all->by_name.len + all->by_uid.len +
                   all->gang.len;
    struct mu_rep_event *e = r->events_live < MU_REPORT_EVENTS_MAX ? mu_mem_alloc(bytes) : NULL;
    if (e == NULL) {
        r->stats.events_dropped++;
        return NULL;
    }
    uint64_t stamp_ns = now_ns + r->wall_offset_ns;
    if (stamp_ns <= r->last_stamp_ns)
        stamp_ns = r->last_stamp_ns + 1; /* it is part of the name */
    r->last_stamp_ns = stamp_ns;
    *e = (struct mu_rep_event){.item = {.kind = MU_REP_EVENT},
                               .text = text,
                               .stamp_ns = stamp_ns,
                               .wall_ns = stamp_ns,
                               .last_ns = now_ns,
                               .count = 1};
    mu_link_init(&e->item.link);
    char *at = e->strings;
    e->ns = put_text(&at, about->ns);
    e->name = put_text(&at, about->name);
    e->uid = put_text(&at, about->uid);
    e->node = put_text(&at, about->node);
    e->by_ns = put_text(&at, all->by_ns);
    e->by_name = put_text(&at, all->by_name);
    e->by_uid = put_text(&at, all->by_uid);
    e->gang = put_text(&at, all->gang);
    if (text != NULL)
        text->refs++;
    r->events_live++;
    mu_rep_make_ready(r, &e->item);
    return e;
}

/* True when the server should hear more of the series than it has. */
static bool event_due(const struct mu_rep_event *e, uint64_t now_ns)
{
    if (e->written == 0)
        return true;
    if (e->count == e->written)
        return false;
    return e->written == 1 || e->owner == NULL || now_ns - e->written_ns >= REFRESH_NS;
}

/* The event has nothing open or queued: what now? */
static void event_settle(struct mu_reporter *r, struct mu_rep_event *e, uint64_t now_ns)
{
    e->item.tries = 0;
    if (event_due(e, now_ns)) {
        mu_rep_make_ready(r, &e->item);
        return;
    }
    e->item.state = MU_REP_IDLE;
    r->events_live--;
    if (e->owner == NULL)
        mu_rep_event_free(e);
}

static void event_drop(struct mu_reporter *r, struct mu_rep_event *e)
{
    r->stats.events_dropped++;
    r->events_live--;
    mu_rep_event_free(e);
}

void mu_rep_series_end(struct mu_reporter *r, struct mu_rep_pod *pod, uint64_t now_ns)
{
    struct mu_rep_event *e = pod->event;
    pod->event = NULL;
    if (e == NULL)
        return;
    e->owner = NULL;
    if (e->item.state != MU_REP_IDLE)
        return; /* settled when it is through */
    r->events_live++;
    event_settle(r, e, now_ns);
}

void mu_rep_observe_failure(struct mu_reporter *r, struct mu_rep_pod *pod,
                            const struct mu_report_subject *subject, uint64_t now_ns)
{
    struct mu_rep_event *e = pod->event;
    if (e != NULL && now_ns - e->last_ns >= MU_REP_WINDOW_NS) {
        mu_rep_series_end(r, pod, now_ns);
        e = NULL;
    }
    if (e == NULL) {
        const struct mu_report_preempted about = {
            .victim = {.ns = subject->ns, .name = subject->name, .uid = mu_str_of(subject->uid)}};
        pod->event = event_add(r, &about, pod->wanted, now_ns);
        if (pod->event != NULL)
            pod->event->owner = pod;
        return;
    }
    e->count += e->count < INT32_MAX;
    e->last_ns = now_ns;
    e->wall_ns = now_ns + r->wall_offset_ns;
    if (e->item.state != MU_REP_IDLE)
        return;
    if (event_due(e, now_ns) && r->events_live < MU_REPORT_EVENTS_MAX) {
        r->events_live++;
        mu_rep_make_ready(r, &e->item);
    } else {
        r->stats.events_counted++;
    }
}

void mu_reporter_bound(struct mu_reporter *r, const struct mu_report_bound *bound, uint64_t now_ns)
{
    const struct mu_report_preempted about = {.victim = *bound};
    MU_ASSERT(bound->name.len > 0 && bound->node.len > 0);
    (void)event_add(r, &about, NULL, now_ns);
}

void mu_reporter_preempted(struct mu_reporter *r, const struct mu_report_preempted *preempted,
                           uint64_t now_ns)
{
    MU_ASSERT(preempted->victim.name.len > 0 && preempted->by_name.len > 0);
    (void)event_add(r, preempted, NULL, now_ns);
}

/* --- sending and judging --------------------------------------------------------------------- */

/* What it says; the texts are kube-scheduler's, which has no gangs to name. */
static void event_words(const struct mu_rep_event *e, struct mu_report_event *out, char *note,
                        size_t size)
{
    out->note = (struct mu_str){note, 0};
    if (e->text != NULL) {
        out->warning = true;
        out->reason = MU_STR("FailedScheduling");
        out->action = MU_STR("Scheduling");
        out->note = (struct mu_str){e->text->data, e->text->len};
        return;
    }
    if (e->by_name.len == 0) {
        (void)snprintf(note, size, "Successfully assigned %.*s/%.*s to %.*s", MU_STR_ARGS(e->ns),
                       MU_STR_ARGS(e->name), MU_STR_ARGS(e->node));
        out->reason = MU_STR("Scheduled");
        out->action = MU_STR("Binding");
    } else {
        bool lone = e->gang.len == 0;
        (void)snprintf(note, size, "Preempted by %s %.*s%s%.*s on node %.*s", lone ? "pod" : "gang",
                       MU_STR_ARGS(lone ? e->by_uid : e->by_ns), lone ? "" : "/",
                       MU_STR_ARGS(e->gang), MU_STR_ARGS(e->node));
        out->reason = MU_STR("Preempted");
        out->action = MU_STR("Preempting");
        out->related_ns = e->by_ns;
        out->related_name = e->by_name;
        out->related_uid = e->by_uid;
    }
    out->note = mu_str_of(note);
}

void mu_rep_event_send(struct mu_reporter *r, struct mu_rep_event *e, uint64_t now_ns,
                       struct mu_outbox *out)
{
    char note[2 * MU_EVENT_NOTE_MAX]; /* of names, which are shorter; cut where it is written */
    bool patch = e->written > 0;
    struct mu_report_event event = {.controller = mu_str_of(r->controller),
                                    .instance = mu_str_of(r->instance),
                                    .ns = e->ns,
                                    .name = e->name,
                                    .uid = e->uid,
                                    .stamp_ns = e->stamp_ns,
                                    .count = patch || e->again ? e->count : 1,
                                    .last_ns = e->wall_ns};
    event_words(e, &event, note, sizeof note);
    struct mu_request request = {.method = patch ? MU_PATCH : MU_POST,
                                 .content = patch ? MU_MEDIA_STRATEGIC_PATCH : MU_MEDIA_PROTOBUF};
    mu_report_event_path(&request.path, &event, patch);
    if (patch)
        mu_report_series_body(&request.body, &event);
    else if (mu_report_event_body(&request.body, &event) != 0)
        request.body.failed = MU_ENOMEM;
    e->sent = event.count;
    e->patch = patch;
    if (!mu_rep_item_send(r, &e->item, &request, now_ns, out))
        mu_rep_try_later(r, &e->item, MU_REP_BACKOFF_FIRST_NS, 0, now_ns);
}

void mu_rep_event_answered(struct mu_reporter *r, struct mu_rep_event *e, enum mu_rep_answer answer,
                           uint32_t retry_after_s, uint64_t now_ns)
{
    if (answer == MU_REP_CONFLICT && !e->patch)
        answer = MU_REP_TAKEN; /* it exists: an earlier try has landed */
    if (answer == MU_REP_CONFLICT)
        answer = MU_REP_LATER;
    if (answer == MU_REP_TAKEN) {
        r->stats.events += !e->patch;
        r->stats.series += e->patch;
        e->written = e->sent;
        e->written_ns = now_ns;
        event_settle(r, e, now_ns);
    } else if (answer == MU_REP_GONE && e->patch) {
        e->written = 0; /* it has expired: from the start, with its series */
        e->again = true;
        mu_rep_make_ready(r, &e->item);
    } else if (answer == MU_REP_LATER && e->item.tries + 1 < EVENT_TRIES) {
        mu_rep_try_later(r, &e->item, EVENT_RETRY_NS, retry_after_s, now_ns);
    } else {
        event_drop(r, e);
    }
}
