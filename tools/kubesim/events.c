/*
 * Rules of events, stored as core/v1 and served as that and as events.k8s.io/v1.
 *
 * Events are the one kind that nobody deletes: the real server gives them an hour, from their last
 * write on. Here they are looked through at most once a minute, whenever somebody reads or writes
 * events; there is no timer, so a cluster at rest stays at rest. A full store drops the oldest
 * eighth, so that a flood of events costs a bounded amount of memory and O(log n) each.
 */
#include "tools/kubesim/api_priv.h"

#include <stdlib.h>
#include "engine/base/assert.h"
#include "engine/base/clock.h"
#include "engine/base/mem.h"
#include "tools/kubesim/limits.h"
#include "tools/kubesim/schema/core.pb-c.h"
#include "tools/kubesim/validate.h"
#include "tools/kubesim/wire.h"

#define TTL_S            3600u
#define SWEEP_NS         (60 * MU_NS_PER_S)
#define WORD_BYTES_MAX   128u  /* reason, action, reportingInstance */
#define NOTE_BYTES_MAX   1024u /* message */
#define META_CREATED     8u    /* metadata.creationTimestamp */
#define EVENT_LAST       7u    /* lastTimestamp */
#define EVENT_SERIES     11u
#define SERIES_LAST_SEEN 2u

static bool empty(const char *text)
{
    return text == NULL || text[0] == '\0';
}

/* ---- validation ---------------------------------------------------------------------------- */

static int check_word(struct mu_call *call, const char *field, const char *word)
{
    if (empty(word)) {
        return mu_api_invalid(call, field, "Required value");
    }
    if (strlen(word) > WORD_BYTES_MAX) {
        return mu_api_invalid(call, field, "Too long: can have at most %u characters",
                              WORD_BYTES_MAX);
    }
    return 0;
}

static int check_namespace(struct mu_call *call, const Kubeapi__Event *event, bool timed)
{
    struct mu_str ns = call->route.ns;
    const Kubeapi__ObjectReference *about = event->involvedobject;
    struct mu_str of = mu_str_of(about == NULL ? NULL : about->namespace_);
    bool fits = of.len > 0 ? mu_str_equal(of, ns)
                           : mu_str_equal(ns, MU_STR("default")) ||
                                 (timed && mu_str_equal(ns, MU_STR("kube-system")));
    const char *field =
        call->route.api == NULL ? "involvedObject.namespace" : "regarding.namespace";
    return fits ? 0
                : mu_api_invalid(call, field,
                                 "Invalid value: \"%.*s\": does not match "
                                 "event.namespace",
                                 MU_STR_ARGS(of));
}

/* What a reporter of the newer form has to say. */
static int check_reporter(struct mu_call *call, const Kubeapi__Event *event)
{
    const char *controller = call->route.api == NULL ? "reportingComponent" : "reportingController";
    int code = check_word(call, controller, event->reportingcomponent);
    if (code == 0 && !mu_valid_label_key(mu_str_of(event->reportingcomponent))) {
        code = mu_api_invalid(call, controller,
                              "Invalid value: \"%.80s\": must be a qualified "
                              "name",
                              event->reportingcomponent);
    }
    code = code != 0 ? code : check_word(call, "reportingInstance", event->reportinginstance);
    code = code != 0 ? code : check_word(call, "action", event->action);
    code = code != 0 ? code : check_word(call, "reason", event->reason);
    if (code == 0 && !empty(event->message) && strlen(event->message) > NOTE_BYTES_MAX) {
        code = mu_api_invalid(call, call->route.api == NULL ? "message" : "note",
                              "Too long: can have at most %u characters", NOTE_BYTES_MAX);
    }
    return code;
}

/* What events.k8s.io asks for beyond that. */
static int check_strict(struct mu_call *call, const Kubeapi__Event *event, bool timed)
{
    if (!timed) {
        return mu_api_invalid(call, "eventTime", "Required value");
    }
    if (empty(event->type) ||
        (strcmp(event->type, "Normal") != 0 && strcmp(event->type, "Warning") != 0)) {
        return mu_api_invalid(call, "type", "Invalid value: \"%.40s\": must be Normal or Warning",
                              empty(event->type) ? "" : event->type);
    }
    bool old_count = event->has_count && event->count != 0;
    bool old_times = event->firsttimestamp != NULL && event->firsttimestamp->seconds != 0;
    old_times |= event->lasttimestamp != NULL && event->lasttimestamp->seconds != 0;
    bool old_source =
        event->source != NULL && !(empty(event->source->component) && empty(event->source->host));
    if (old_count || old_times || old_source) {
        const char *field = old_count   ? "deprecatedCount"
                            : old_times ? "deprecatedFirstTimestamp"
                                        : "deprecatedSource";
        return mu_api_invalid(call, field, "Forbidden: needs to be unset");
    }
    return 0;
}

static int check_event(struct mu_call *call, const Kubeapi__Event *event, bool fresh)
{
    bool timed = event->eventtime != NULL &&
                 (event->eventtime->seconds != 0 || event->eventtime->nanos != 0);
    int code = check_namespace(call, event, timed);
    if (code == 0 && timed) {
        code = check_reporter(call, event);
    }
    return code != 0 || call->route.api == NULL || !fresh ? code : check_strict(call, event, timed);
}

int mu_event_create(struct mu_call *call, ProtobufCMessage *fresh)
{
    const Kubeapi__Event *event = (const Kubeapi__Event *)mu_api_full(call, fresh);
    if (event == NULL) {
        return MU_EINVAL;
    }
    int code = check_event(call, event, true);
    if (code == 0 && !call->dry_run) {
        mu_events_make_room(call->server);
    }
    return code;
}

int mu_event_update(struct mu_call *call, const ProtobufCMessage *before, ProtobufCMessage *after)
{
    Kubeapi__Event *old = (Kubeapi__Event *)mu_api_full(call, before);
    Kubeapi__Event *event = old == NULL ? NULL : (Kubeapi__Event *)mu_api_full(call, after);
    if (event == NULL) {
        return MU_EINVAL;
    }
    int code = check_event(call, event, false);
    if (code != 0 || call->route.api == NULL) {
        return code;
    }
    /* Through events.k8s.io only the series and metadata may change. */
    Kubeapi__Event fixed = *event; /* shallow: only encoded and compared */
    fixed.metadata = old->metadata;
    fixed.series = old->series;
    bool same = mu_api_same_message(call->server, &old->base, &fixed.base);
    return same ? 0 : mu_api_invalid(call, "series", "Forbidden: no other field may be changed");
}

/* ---- expiry ------------------------------------------------------------------------------- */

static uint64_t seconds_of(struct mu_str time)
{
    struct mu_pb_field field = {0};
    return mu_pb_find(time, 1, &field) && !field.is_bytes ? field.varint : 0;
}

/* When the event was last heard of, by its own account. A clock that is ahead cannot keep an event
 * for ever: times later than now count as now. */
static uint64_t last_seen(const struct mu_kobject *object, uint64_t now_s)
{
    struct mu_str raw = mu_kobject_raw(object);
    uint64_t times[] = {seconds_of(mu_pb_bytes(raw, 1, META_CREATED)),
                        seconds_of(mu_pb_bytes(raw, EVENT_LAST, 0)),
                        seconds_of(mu_pb_bytes(raw, EVENT_SERIES, SERIES_LAST_SEEN))};
    uint64_t newest = times[0];
    for (int i = 1; i < 3; i++) {
        newest = times[i] > newest && times[i] <= now_s ? times[i] : newest;
    }
    return newest;
}

struct aged {
    uint64_t version; /* of its last write: the order of age */
    struct mu_kobject *object;
};

struct sweep {
    struct aged *list;
    uint32_t count, cap;
    uint64_t now_s; /* 0: gather all */
};

static int gather(void *context, struct mu_kobject *object)
{
    struct sweep *sweep = context;
    if (sweep->now_s != 0 && last_seen(object, sweep->now_s) + TTL_S > sweep->now_s) {
        return 0;
    }
    int code = mu_mem_grow((void **)&sweep->list, &sweep->cap, sweep->count + 1,
                           MU_KUBESIM_EVENTS_MAX + 1, sizeof sweep->list[0]);
    if (code == 0) {
        sweep->list[sweep->count++] = (struct aged){object->version, mu_kobject_ref(object)};
    }
    return code;
}

static int by_age(const void *a, const void *b)
{
    const struct aged *x = a;
    const struct aged *y = b;
    return (x->version > y->version) - (x->version < y->version);
}

/* Remove the first `most` of what was gathered. What cannot be removed now (memory) is tried again
 * with the next sweep. */
static void drop(struct mu_apiserver *server, struct sweep *sweep, uint32_t most)
{
    for (uint32_t i = 0; i < sweep->count; i++) {
        struct mu_kobject *object = sweep->list[i].object;
        struct mu_kobject *last =
            i < most ? mu_kobject_stamp(object, mu_store_version(server->store) + 1) : NULL;
        if (last != NULL && mu_store_remove(server->store, MU_KIND_EVENTS, last) != 0) {
            mu_kobject_unref(last);
        }
        mu_kobject_unref(object);
    }
    mu_mem_free(sweep->list);
}

void mu_events_expire(struct mu_apiserver *server, uint64_t now_ns)
{
    if (mu_store_count(server->store, MU_KIND_EVENTS) == 0 ||
        now_ns < server->events_swept_ns + SWEEP_NS) {
        return;
    }
    server->events_swept_ns = now_ns;
    struct sweep sweep = {.now_s = (server->config.wall_base_ns + now_ns) / MU_NS_PER_S};
    struct mu_store_range all = {.version = 0};
    if (sweep.now_s > TTL_S) {
        (void)mu_store_walk(server->store, MU_KIND_EVENTS, &all, gather, &sweep);
    }
    drop(server, &sweep, sweep.count);
}

void mu_events_make_room(struct mu_apiserver *server)
{
    if (mu_store_count(server->store, MU_KIND_EVENTS) < MU_KUBESIM_EVENTS_MAX) {
        return;
    }
    struct sweep sweep = {.now_s = 0};
    struct mu_store_range all = {.version = 0};
    (void)mu_store_walk(server->store, MU_KIND_EVENTS, &all, gather, &sweep);
    if (sweep.count > 0) {
        qsort(sweep.list, sweep.count, sizeof sweep.list[0], by_age);
    }
    drop(server, &sweep, MU_KUBESIM_EVENTS_MAX / 8);
}
