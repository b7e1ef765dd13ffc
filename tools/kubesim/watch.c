/*
 * Watches. A watch holds no queue: it is a position in its kind's history, and its front pulls
 * frames as fast as the peer takes them. A peer that is slower than the history is long gets 410,
 * as from the real server.
 *
 *   INITIAL  the state at `version` is sent as ADDED events, a slice per pull; then a bookmark
 *            marked initial-events-end if bookmarks were asked for
 *   EVENTS   changes from position `at` on
 *   ENDED    after the timeout, or an ERROR event
 *
 * A selector turns a change into what its reader must see: an object that stops matching is
 * DELETED with its previous content at the change's version.
 */
#include "tools/kubesim/api_priv.h"

#include <inttypes.h>
#include <stdio.h>
#include "engine/base/assert.h"
#include "engine/base/clock.h"
#include "engine/base/mem.h"
#include "tools/kubesim/limits.h"
#include "tools/kubesim/render.h"
#include "tools/kubesim/wire.h"

enum phase { PHASE_INITIAL, PHASE_EVENTS, PHASE_ENDED };

struct mu_api_watch {
    struct mu_apiserver *server;
    struct mu_api_watch *next, **link;
    enum mu_kind_ix kind;
    struct mu_selector *selector;
    char ns[64]; /* "": all */
    enum phase phase;
    struct mu_api_view view;
    bool columns_sent; /* of Tables: the first event alone has them */
    bool bookmarks;
    bool armed;              /* IDLE was reported: the next change wakes */
    int error;               /* HTTP code of the ERROR event that is due, or 0 */
    uint64_t version;        /* INITIAL: the state shown; error 504: the version asked for */
    struct mu_kobject *last; /* INITIAL: last object sent, a reference */
    uint64_t at;             /* EVENTS */
    int64_t now_s;           /* of the pull in hand */
    uint64_t deadline_ns, bookmark_ns;
    bool last_bookmark; /* the one before the end was sent */
    void *user;
};

/* ---- frames ------------------------------------------------------------------------------- */

static const char *const type_names[] = {"ADDED", "MODIFIED", "DELETED", "BOOKMARK", "ERROR"};

static int emit(struct mu_api_watch *watch, enum mu_watch_type type, struct mu_str raw,
                struct mu_buf *out)
{
    const struct mu_api_view *view = &watch->view;
    if (mu_render_is_text(view)) {
        (void)mu_buf_printf(out, "{\"type\":\"%s\",\"object\":", type_names[type]);
        int code =
            mu_render_object(watch->server, view, raw, watch->now_s, !watch->columns_sent, out);
        watch->columns_sent |= code == 0;
        return code != 0 ? code : mu_buf_append_text(out, "}\n");
    }
    if (view->form.as == MU_AS_ITSELF && view->api == NULL) {
        const struct mu_kind *kind = &mu_kinds[watch->kind];
        return mu_watch_frame_write(out, type, mu_str_of(kind->api_version), mu_str_of(kind->kind),
                                    raw);
    }
    struct mu_buf shown = {0};
    int code = mu_render_object(watch->server, view, raw, watch->now_s, false, &shown);
    if (code == 0) {
        code = mu_watch_frame_write(out, type, mu_str_of(mu_render_version(view)),
                                    mu_str_of(mu_render_kind(view)),
                                    (struct mu_str){(const char *)shown.data, (uint32_t)shown.len});
    }
    mu_buf_fini(&shown);
    return code;
}

static int emit_object(struct mu_api_watch *watch, enum mu_watch_type type,
                       const struct mu_kobject *object, struct mu_buf *out)
{
    return emit(watch, type, mu_kobject_raw(object), out);
}

/* An object of which only metadata.resourceVersion, and maybe one annotation, is set. */
static int emit_bookmark(struct mu_api_watch *watch, uint64_t version, bool initial_end,
                         struct mu_buf *out)
{
    static const char mark[] = "k8s.io/initial-events-end";
    char text[24];
    int n = snprintf(text, sizeof text, "%" PRIu64, version);
    struct mu_buf meta = {0};
    struct mu_buf entry = {0};
    struct mu_buf raw = {0};
    mu_pb_put_bytes(&meta, 6, (struct mu_str){text, (uint32_t)n});
    if (initial_end) {
        mu_pb_put_bytes(&entry, 1, mu_str_of(mark));
        mu_pb_put_bytes(&entry, 2, MU_STR("true"));
        mu_pb_put_bytes(&meta, 12, (struct mu_str){(const char *)entry.data, (uint32_t)entry.len});
    }
    mu_pb_put_bytes(&raw, 1, (struct mu_str){(const char *)meta.data, (uint32_t)meta.len});
    int code = meta.failed != 0 ? meta.failed : entry.failed != 0 ? entry.failed : raw.failed;
    if (code == 0) {
        code = emit(watch, MU_WATCH_BOOKMARK,
                    (struct mu_str){(const char *)raw.data, (uint32_t)raw.len}, out);
    }
    mu_buf_fini(&meta);
    mu_buf_fini(&entry);
    mu_buf_fini(&raw);
    return code;
}

static int emit_error(struct mu_api_watch *watch, struct mu_buf *out)
{
    char message[128];
    bool expired = watch->error == 410;
    const char *reason = expired ? "Expired" : watch->error == 504 ? "Timeout" : "InternalError";
    (void)snprintf(message, sizeof message,
                   expired ? "too old resource version (oldest: %" PRIu64 ")"
                           : "Too large resource version, current: %" PRIu64,
                   expired ? mu_store_floor(watch->server->store, watch->kind)
                           : mu_store_version(watch->server->store));
    if (mu_render_is_text(&watch->view)) {
        return mu_buf_printf(out,
                             "{\"type\":\"ERROR\",\"object\":{\"kind\":\"Status\",\"apiVersion\":"
                             "\"v1\",\"status\":\"Failure\",\"message\":\"%s\",\"reason\":\"%s\","
                             "\"code\":%d}}\n",
                             message, reason, watch->error);
    }
    struct mu_buf raw = {0};
    int code = mu_api_status_pack(&raw, watch->error, reason, message,
                                  watch->error == 504 ? "ResourceVersionTooLarge" : NULL);
    if (code == 0) {
        code = mu_watch_frame_write(out, MU_WATCH_ERROR, MU_STR("v1"), MU_STR("Status"),
                                    (struct mu_str){(const char *)raw.data, (uint32_t)raw.len});
    }
    mu_buf_fini(&raw);
    return code;
}

static bool matches(const struct mu_api_watch *watch, const struct mu_kobject *object)
{
    return (watch->ns[0] == '\0' || mu_str_equal(mu_kobject_ns(object), mu_str_of(watch->ns))) &&
           mu_selector_match(watch->selector, object);
}

/* What this reader must see of a change: at most one frame. */
static int emit_change(struct mu_api_watch *watch, const struct mu_store_event *event,
                       struct mu_buf *out)
{
    bool was = event->before != NULL && matches(watch, event->before);
    bool now = !event->removed && matches(watch, event->object);
    if (now) {
        return emit_object(watch, was ? MU_WATCH_MODIFIED : MU_WATCH_ADDED, event->object, out);
    }
    if (!was) {
        return 0;
    }
    if (event->removed) {
        return emit_object(watch, MU_WATCH_DELETED, event->object, out);
    }
    struct mu_kobject *gone = mu_kobject_stamp(event->before, event->object->version);
    if (gone == NULL) {
        return MU_ENOMEM;
    }
    int code = emit_object(watch, MU_WATCH_DELETED, gone, out);
    mu_kobject_unref(gone);
    return code;
}

/* ---- pulling ------------------------------------------------------------------------------ */

/* End the stream with what went wrong. */
static enum mu_watch_pull fail(struct mu_api_watch *watch, int http, struct mu_buf *out)
{
    watch->phase = PHASE_ENDED;
    watch->error = http;
    size_t before = out->len;
    if (emit_error(watch, out) != 0) {
        out->len = before;
    }
    return MU_WATCH_ENDED;
}

struct slice {
    struct mu_api_watch *watch;
    struct mu_buf *out;
    size_t until; /* length of out at which to stop */
};

static int add_initial(void *context, struct mu_kobject *object)
{
    struct slice *slice = context;
    struct mu_api_watch *watch = slice->watch;
    if (slice->out->len >= slice->until) {
        return 1;
    }
    int code = matches(watch, object) ? emit_object(watch, MU_WATCH_ADDED, object, slice->out) : 0;
    if (code == 0) {
        mu_kobject_unref(watch->last);
        watch->last = mu_kobject_ref(object);
    }
    return code;
}

/* A slice of the initial state. Returns MORE while it is not all sent. */
static enum mu_watch_pull pull_initial(struct mu_api_watch *watch, size_t until, struct mu_buf *out)
{
    struct mu_store_range range = {.version = watch->version};
    if (watch->ns[0] != '\0') {
        range.ns = mu_str_of(watch->ns);
    }
    if (watch->last != NULL) {
        range.resume = true;
        range.after_ns = mu_kobject_ns(watch->last);
        range.after_name = mu_kobject_name(watch->last);
    }
    /* The walk moves `last`: keep the key of this one alive until it is over. */
    struct mu_kobject *from = watch->last == NULL ? NULL : mu_kobject_ref(watch->last);
    struct slice slice = {watch, out, until};
    int code = mu_store_walk(watch->server->store, watch->kind, &range, add_initial, &slice);
    mu_kobject_unref(from);
    if (code == 1) {
        return MU_WATCH_MORE;
    }
    if (code == 0) {
        code = mu_store_seek(watch->server->store, watch->kind, watch->version, &watch->at);
    }
    if (code == 0 && watch->bookmarks) {
        code = emit_bookmark(watch, watch->version, true, out);
    }
    if (code != 0) {
        return fail(watch, code == MU_EEXPIRED ? 410 : 500, out);
    }
    watch->phase = PHASE_EVENTS;
    mu_kobject_unref(watch->last);
    watch->last = NULL;
    return MU_WATCH_MORE;
}

/* Everything was read: bookmarks, the end, or nothing. */
static enum mu_watch_pull pull_quiet(struct mu_api_watch *watch, uint64_t now_ns,
                                     struct mu_buf *out)
{
    uint64_t version = mu_store_version(watch->server->store);
    if (watch->bookmarks && now_ns >= watch->bookmark_ns && now_ns < watch->deadline_ns) {
        if (emit_bookmark(watch, version, false, out) != 0) {
            return fail(watch, 500, out);
        }
        /* One more about two seconds before the end, so that the reader can resume from there. */
        uint64_t last_ns = watch->deadline_ns - 2 * MU_NS_PER_S;
        uint64_t next_ns = now_ns + watch->server->config.bookmark_ns;
        watch->last_bookmark |= now_ns >= last_ns;
        watch->bookmark_ns = watch->last_bookmark ? UINT64_MAX
                             : next_ns < last_ns  ? next_ns
                                                  : last_ns;
    }
    if (now_ns >= watch->deadline_ns) {
        watch->phase = PHASE_ENDED;
        return MU_WATCH_ENDED;
    }
    watch->armed = true;
    return MU_WATCH_IDLE;
}

enum mu_watch_pull mu_api_watch_pull(struct mu_api_watch *watch, uint64_t now_ns, size_t bytes_max,
                                     struct mu_buf *out)
{
    size_t until = out->len + (bytes_max > 0 ? bytes_max : 1);
    watch->armed = false;
    watch->now_s = mu_render_now_s(watch->server, now_ns);
    if (watch->phase == PHASE_ENDED) {
        return MU_WATCH_ENDED;
    }
    if (watch->error != 0) {
        return fail(watch, watch->error, out);
    }
    if (watch->phase == PHASE_INITIAL) {
        return pull_initial(watch, until, out);
    }
    struct mu_store_event event;
    while (out->len < until) {
        int code = mu_store_read(watch->server->store, watch->kind, watch->at, &event);
        if (code == 0) {
            return pull_quiet(watch, now_ns, out);
        }
        size_t before = out->len;
        code = code == 1 ? emit_change(watch, &event, out) : code;
        if (code != 0) {
            out->len = before;
            return fail(watch, code == MU_EEXPIRED ? 410 : 500, out);
        }
        watch->at++;
    }
    return MU_WATCH_MORE;
}

uint64_t mu_api_watch_next_ns(const struct mu_api_watch *watch)
{
    if (watch->phase != PHASE_EVENTS || watch->error != 0) {
        return 0;
    }
    uint64_t bookmark_ns = watch->bookmarks ? watch->bookmark_ns : UINT64_MAX;
    return bookmark_ns < watch->deadline_ns ? bookmark_ns : watch->deadline_ns;
}

/* ---- life cycle --------------------------------------------------------------------------- */

/* Where the watch starts, by resourceVersion and sendInitialEvents. */
static void set_start(struct mu_api_watch *watch, const struct mu_list_options *options)
{
    const struct mu_store *store = watch->server->store;
    uint64_t now = mu_store_version(store);
    bool initial = options->has_initial ? options->initial : options->version == 0;
    watch->phase = initial ? PHASE_INITIAL : PHASE_EVENTS;
    watch->version = now;
    if (options->version > now) {
        watch->error = 504;
    } else if (!initial) {
        uint64_t from = options->version != 0 ? options->version : now;
        watch->error = mu_store_seek(store, watch->kind, from, &watch->at) == MU_EEXPIRED ? 410 : 0;
    }
}

static void set_times(struct mu_api_watch *watch, const struct mu_list_options *options,
                      uint64_t now_ns)
{
    uint64_t timeout_s = options->timeout_s;
    if (timeout_s == 0) {
        timeout_s = 1800 + mu_random_below(&watch->server->random, 1800);
    }
    timeout_s = timeout_s < 86400 ? timeout_s : 86400;
    watch->deadline_ns = now_ns + timeout_s * MU_NS_PER_S;
    watch->bookmark_ns = now_ns + watch->server->config.bookmark_ns;
    if (timeout_s <= 2) {
        watch->bookmark_ns = UINT64_MAX;
    } else if (watch->bookmark_ns > watch->deadline_ns - 2 * MU_NS_PER_S) {
        watch->bookmark_ns = watch->deadline_ns - 2 * MU_NS_PER_S;
    }
}

int mu_api_watch(struct mu_call *call, struct mu_list_options *options)
{
    struct mu_apiserver *server = call->server;
    if (call->route.ns.len >= sizeof((struct mu_api_watch *)0)->ns) {
        return mu_api_fail(call, 400, "BadRequest", "namespace: longer than 63 bytes");
    }
    if (server->watch_count >= MU_KUBESIM_WATCHES_MAX) {
        return mu_api_fail(call, 429, "TooManyRequests", "more than %u watches",
                           MU_KUBESIM_WATCHES_MAX);
    }
    struct mu_api_view view;
    int code = mu_api_view_of(call, &view);
    if (code != 0) {
        return code;
    }
    struct mu_api_watch *watch = mu_mem_zalloc(sizeof *watch);
    if (watch == NULL) {
        return mu_api_internal(call, MU_ENOMEM);
    }
    watch->server = server;
    watch->kind = call->route.kind;
    watch->view = view;
    watch->bookmarks = options->bookmarks;
    memcpy(watch->ns, call->route.ns.data, call->route.ns.len);
    watch->selector = options->selector;
    options->selector = NULL;
    set_start(watch, options);
    set_times(watch, options, call->now_ns);
    watch->next = server->watches[watch->kind];
    watch->link = &server->watches[watch->kind];
    if (watch->next != NULL) {
        watch->next->link = &watch->next;
    }
    server->watches[watch->kind] = watch;
    server->watch_count++;
    call->response->status = 200;
    call->response->media = mu_render_is_text(&view) ? MU_MEDIA_JSON : MU_MEDIA_PROTOBUF;
    call->response->watch = watch;
    return 0;
}

void mu_api_watch_close(struct mu_api_watch *watch)
{
    if (watch == NULL) {
        return;
    }
    *watch->link = watch->next;
    if (watch->next != NULL) {
        watch->next->link = watch->link;
    }
    MU_ASSERT(watch->server->watch_count > 0);
    watch->server->watch_count--;
    mu_selector_destroy(watch->selector);
    mu_kobject_unref(watch->last);
    mu_mem_free(watch);
}

void mu_api_watch_expire(struct mu_api_watch *watch)
{
    watch->error = 410;
}

void mu_api_watch_set_user(struct mu_api_watch *watch, void *user)
{
    watch->user = user;
}

void mu_api_wake_watches(struct mu_apiserver *server, uint32_t kind)
{
    for (struct mu_api_watch *watch = server->watches[kind]; watch != NULL; watch = watch->next) {
        if (watch->armed) {
            watch->armed = false;
            if (server->wake != NULL) {
                server->wake(server->wake_context, watch->user);
            }
        }
    }
}

void mu_api_expire_watches(struct mu_apiserver *server, uint32_t kind)
{
    for (struct mu_api_watch *watch = server->watches[kind]; watch != NULL; watch = watch->next) {
        mu_api_watch_expire(watch);
    }
    mu_api_wake_watches(server, kind);
}
