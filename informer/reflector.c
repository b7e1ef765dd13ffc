/*
 * The reflector's states, and what moves it:
 *
 *   LISTING    one page request is open. Page complete -> next page, or SWEEPING after the last.
 *   SWEEPING   the sink removes what the list did not name, in steps.
 *   WATCHING   one stream is open, resumed at last_version. Clean end -> the next watch at once.
 *   BACKOFF    nothing is open; `aim` says whether a list or a watch comes next.
 *   ABSENT     nothing is open; every path was answered with 404, and what was there is swept.
 *   RESTORED   nothing is open and nothing will be: the server's store went back in time.
 *
 * Versions. last_version is the newest resourceVersion of this resource seen in any way. A watch
 * begins only after a complete list, at last_version. A list older than it is refused: a server
 * behind a lagging cache would take us back in time. So the first list may ask for any version
 * (0: the server's cache), every later one for "not older than last_version", and a consistent one
 * when the server says that it cannot do that (410, version too large), or brings an older one.
 *
 * A consistent list is a quorum read: it cannot be older than anything that was ever read from the
 * same store. If it is, the store is not the same any more, and we stop in RESTORED. What leads
 * there: a watch from a version that the server has not reached is refused as too large, by a
 * server that lags as by a store that went back. Others only fail, or stay silent for ever. So a
 * version too large, and the third watch in a row that failed without an event, aim at a list: not
 * older than last_version first (a server that only lagged has caught up), then a consistent one.
 *
 * Paths. A list that is answered with 404 is asked for under the next path, without a pause: each
 * has its answer, and there are few. A watch answered so pauses first, then all paths are tried: a
 * server that lists what it does not let watch is not asked in a hot loop.
 *
 * A list that fails half way has only brought newer objects, which is harmless; nothing is swept
 * before a list is complete. Every failure ends in BACKOFF, whose length grows to 30 s: there is no
 * way round that makes two requests without a reply in between or a pause.
 */
#include "informer/reflector.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "engine/base/assert.h"
#include "engine/base/clock.h"
#include "engine/base/mem.h"
#include "informer/form_priv.h"

#define PAGE_LIMIT_DEFAULT      500u
#define LIST_TIMEOUT_DEFAULT_NS (60 * MU_NS_PER_S)
#define BACKOFF_FIRST_NS        (800 * MU_NS_PER_MS)
#define BACKOFF_MAX_NS          (30 * MU_NS_PER_S)
#define BACKOFF_RESET_NS        (120 * MU_NS_PER_S)
#define RETRY_AFTER_MAX_S       120u /* a server that asks for more is asked again anyway */
/* Paths that are not served are tried again after so long, the odd second at random. */
#define ABSENT_NS         (25 * MU_NS_PER_S)
#define ABSENT_JITTER_NS  (5 * MU_NS_PER_S)
#define WATCH_SECONDS_MIN 300
#define WATCH_SECONDS_MAX 600
/* A watch whose answer has not begun by then is given up: the request may be lost. */
#define WATCH_HEAD_NS (30 * MU_NS_PER_S)
/* Bookmarks come about every minute: after two and a half of them in silence nobody may be there
 * any more. Asking again from the last version is cheap. */
#define WATCH_SILENCE_NS (150 * MU_NS_PER_S)
/* A watch that ends sooner, without an event, counts as a failure: no hot loop. */
#define WATCH_SHORT_NS MU_NS_PER_S
/* So many watches failed in a row, without an event or a list in between: list. */
#define WATCH_FAILURES_MAX 3u
#define TOKEN_MASK         UINT64_C(0xffffffff)

enum aim { AIM_LIST, AIM_WATCH };
enum list_from { LIST_ANY, LIST_NOT_OLDER, LIST_CONSISTENT };

struct failure {
    int code;
    bool expired;   /* the version or continue token is too old */
    bool too_large; /* the version is newer than the server's cache */
    uint32_t retry_after_s;
};

struct mu_reflector {
    struct mu_reflector_sink sink;
    struct mu_random random;
    struct mu_buf name, selector; /* selector: "&fieldSelector=..." or empty */
    struct mu_buf paths[MU_REFLECTOR_PATHS_MAX];
    uint32_t path_count, path_at;
    bool optional, json;
    bool absent; /* SWEEPING, ABSENT: no path is served */
    uint32_t page_limit;
    uint64_t token_base;
    uint64_t list_timeout_ns;
    bool first_consistent;
    struct mu_reflector_stats stats; /* state and last_version live here */
    char problem[MU_ERROR_TEXT_BYTES];

    uint64_t token; /* of the open request; 0: none */
    uint64_t tokens_used;
    int status;
    enum mu_media media;
    uint32_t retry_after_s;
    struct mu_buf body; /* of a page, or of an error */
    struct mu_arena *arena;

    enum list_from list_from;
    bool first_page;
    uint32_t list_pages, barren_pages; /* of this list; the newest ones without an object */
    struct mu_buf continue_token;

    struct mu_watch_decoder decoder;
    uint64_t watch_opened_ns;
    uint64_t watch_guard_ns; /* given up when still silent then */
    uint64_t watch_events;   /* of this watch, bookmarks included */

    enum aim aim;
    uint64_t wake_ns; /* BACKOFF, SWEEPING */
    uint64_t backoff_ns;
    uint64_t last_failure_ns;

    uint32_t expired_in_a_row;  /* watches that ended so without an event */
    uint32_t failures_in_a_row; /* watches that failed otherwise: no event, no list since */

    uint64_t now_ns;             /* for the sink, during one feed */
    struct failure *error_event; /* where an ERROR event of this feed is written */
};

__attribute__((format(printf, 2, 3))) static void set_problem(struct mu_reflector *r,
                                                              const char *format, ...)
{
    va_list args;
    va_start(args, format);
    (void)vsnprintf(r->problem, sizeof r->problem, format, args);
    va_end(args);
}

static struct mu_str buf_str(const struct mu_buf *buf)
{
    return (struct mu_str){(const char *)buf->data, (uint32_t)buf->len};
}

/* --- create and destroy -------------------------------------------------------------------- */

static int copy_paths(struct mu_reflector *r, const struct mu_reflector_config *config)
{
    int rc = mu_buf_append_str(&r->paths[0], config->path);
    r->path_count = 1;
    for (; rc == 0 && r->path_count < MU_REFLECTOR_PATHS_MAX; r->path_count++) {
        const struct mu_str path = config->further_paths[r->path_count - 1];
        if (path.len == 0)
            break;
        rc = mu_buf_append_str(&r->paths[r->path_count], path);
    }
    return rc;
}

struct mu_reflector *mu_reflector_create(const struct mu_reflector_config *config,
                                         const struct mu_reflector_sink *sink,
                                         struct mu_random *random)
{
    struct mu_reflector *r = mu_mem_zalloc(sizeof *r);
    if (r == NULL)
        return NULL;
    r->sink = *sink;
    r->page_limit = config->page_limit != 0 ? config->page_limit : PAGE_LIMIT_DEFAULT;
    r->token_base = config->token_base;
    r->list_timeout_ns =
        config->list_timeout_ns != 0 ? config->list_timeout_ns : LIST_TIMEOUT_DEFAULT_NS;
    r->first_consistent = config->first_consistent;
    mu_buf_init(&r->body, MU_LIST_PAGE_MAX);
    mu_watch_decoder_init(&r->decoder);
    r->optional = config->optional;
    r->json = config->json;
    (void)mu_buf_append_str(&r->name, config->name);
    bool failed = copy_paths(r, config) != 0;
    if (config->field_selector.len > 0) {
        (void)mu_buf_append_text(&r->selector, "&fieldSelector=");
        (void)mu_path_append_encoded(&r->selector, config->field_selector);
    }
    r->arena = mu_arena_create(4 * MU_STATUS_BYTES_MAX);
    if (r->name.failed != 0 || failed || r->selector.failed != 0 || r->arena == NULL) {
        mu_reflector_destroy(r);
        return NULL;
    }
    mu_random_fork(random, &r->random);
    return r;
}

void mu_reflector_destroy(struct mu_reflector *r)
{
    if (r == NULL)
        return;
    mu_buf_fini(&r->name);
    for (uint32_t i = 0; i < MU_REFLECTOR_PATHS_MAX; i++)
        mu_buf_fini(&r->paths[i]);
    mu_buf_fini(&r->selector);
    mu_buf_fini(&r->body);
    mu_buf_fini(&r->continue_token);
    mu_watch_decoder_fini(&r->decoder);
    mu_arena_destroy(r->arena);
    mu_mem_free(r);
}

/* --- failing and waiting ------------------------------------------------------------------- */

static void wait_for(struct mu_reflector *r, enum aim aim, uint32_t retry_after_s, uint64_t now_ns)
{
    MU_ASSERT(r->token == 0);
    MU_ASSERT(r->problem[0] != '\0'); /* who waits says why */
    bool calm = now_ns - r->last_failure_ns >= BACKOFF_RESET_NS;
    if (r->backoff_ns == 0 || calm)
        r->backoff_ns = BACKOFF_FIRST_NS;
    else if (r->backoff_ns < BACKOFF_MAX_NS / 2)
        r->backoff_ns *= 2;
    else
        r->backoff_ns = BACKOFF_MAX_NS;
    r->last_failure_ns = now_ns;
    r->stats.failures++;
    uint64_t wait_ns = r->backoff_ns + mu_random_below(&r->random, r->backoff_ns + 1);
    if (retry_after_s > RETRY_AFTER_MAX_S)
        retry_after_s = RETRY_AFTER_MAX_S;
    if (wait_ns < retry_after_s * MU_NS_PER_S)
        wait_ns = retry_after_s * MU_NS_PER_S;
    r->stats.state = MU_REFLECTOR_BACKOFF;
    r->aim = aim;
    r->wake_ns = now_ns + wait_ns;
}

/* A watch failed in a way that says nothing about its version: the same again, or a list when that
 * has been so too often. */
static void watch_again(struct mu_reflector *r, uint32_t retry_after_s, uint64_t now_ns)
{
    MU_ASSERT(r->failures_in_a_row < WATCH_FAILURES_MAX);
    r->failures_in_a_row++;
    bool often = r->failures_in_a_row == WATCH_FAILURES_MAX;
    wait_for(r, often ? AIM_LIST : AIM_WATCH, retry_after_s, now_ns);
}

/* Give up the open request, if any. Its late replies carry a token that is open no more. */
static void drop_request(struct mu_reflector *r, struct mu_outbox *out)
{
    if (r->token == 0)
        return;
    struct mu_request *request = mu_outbox_add(out);
    if (request != NULL) { /* out of memory: the transport goes on, we no longer listen */
        request->token = r->token;
        request->cancel = true;
    }
    r->token = 0;
}

/* --- requests ------------------------------------------------------------------------------ */

/* Move `path` into a GET. Returns false, having entered BACKOFF, when there is no memory. */
static bool send_get(struct mu_reflector *r, struct mu_buf *path, bool stream, uint64_t timeout_ns,
                     uint64_t now_ns, struct mu_outbox *out)
{
    MU_ASSERT(r->token == 0);
    struct mu_request *request = path->failed == 0 ? mu_outbox_add(out) : NULL;
    if (request == NULL) {
        mu_buf_fini(path);
        set_problem(r, "%.*s: no memory for a request", MU_STR_ARGS(buf_str(&r->name)));
        wait_for(r, stream ? AIM_WATCH : AIM_LIST, 0, now_ns);
        return false;
    }
    r->tokens_used++;
    if ((r->tokens_used & TOKEN_MASK) == 0)
        r->tokens_used++;
    r->token = r->token_base + (r->tokens_used & TOKEN_MASK);
    MU_ASSERT(r->token != 0);
    r->status = 0;
    r->media = MU_MEDIA_NONE;
    r->retry_after_s = 0;
    mu_buf_clear(&r->body);
    *request = (struct mu_request){
        .token = r->token,
        .method = MU_GET,
        .json = r->json,
        .stream = stream,
        .timeout_ns = timeout_ns,
        .path = *path,
    };
    return true;
}

static void send_list(struct mu_reflector *r, uint64_t now_ns, struct mu_outbox *out)
{
    struct mu_buf path = {.data = NULL};
    (void)mu_buf_append_str(&path, buf_str(&r->paths[r->path_at]));
    (void)mu_buf_printf(&path, "?limit=%u", r->page_limit);
    if (!r->first_page) {
        (void)mu_buf_append_text(&path, "&continue=");
        (void)mu_path_append_encoded(&path, buf_str(&r->continue_token));
    } else if (r->list_from == LIST_ANY) {
        (void)mu_buf_append_text(&path, "&resourceVersion=0");
    } else if (r->list_from == LIST_NOT_OLDER) {
        (void)mu_buf_printf(&path, "&resourceVersion=%" PRIu64 "&resourceVersionMatch=NotOlderThan",
                            r->stats.last_version);
    }
    (void)mu_buf_append_str(&path, buf_str(&r->selector));
    r->stats.state = MU_REFLECTOR_LISTING;
    (void)send_get(r, &path, false, r->list_timeout_ns, now_ns, out);
}

static void begin_list(struct mu_reflector *r, enum list_from from, uint64_t now_ns,
                       struct mu_outbox *out)
{
    r->absent = false;
    r->list_from = from;
    r->first_page = true;
    r->list_pages = r->barren_pages = 0;
    mu_buf_clear(&r->continue_token);
    r->stats.lists++;
    send_list(r, now_ns, out);
}

static void relist(struct mu_reflector *r, uint64_t now_ns, struct mu_outbox *out)
{
    enum list_from from = r->stats.last_version == 0 ? LIST_ANY : LIST_NOT_OLDER;
    /* A consistent list that failed is asked for again: something cheaper had been refused. */
    if (r->list_from == LIST_CONSISTENT)
        from = LIST_CONSISTENT;
    begin_list(r, from, now_ns, out);
}

static void send_watch(struct mu_reflector *r, uint64_t now_ns, struct mu_outbox *out)
{
    uint64_t seconds =
        (uint64_t)mu_random_between(&r->random, WATCH_SECONDS_MIN, WATCH_SECONDS_MAX);
    struct mu_buf path = {.data = NULL};
    (void)mu_buf_append_str(&path, buf_str(&r->paths[r->path_at]));
    (void)mu_buf_printf(&path,
                        "?watch=true&allowWatchBookmarks=true&resourceVersion=%" PRIu64
                        "&timeoutSeconds=%" PRIu64,
                        r->stats.last_version, seconds);
    (void)mu_buf_append_str(&path, buf_str(&r->selector));
    mu_watch_decoder_fini(&r->decoder);
    if (r->json)
        mu_watch_decoder_init_json(&r->decoder);
    else
        mu_watch_decoder_init(&r->decoder);
    r->watch_opened_ns = now_ns;
    r->watch_guard_ns = now_ns + WATCH_HEAD_NS;
    r->watch_events = 0;
    r->stats.state = MU_REFLECTOR_WATCHING;
    if (send_get(r, &path, true, WATCH_SILENCE_NS, now_ns, out))
        r->stats.watches++;
}

/* --- lists --------------------------------------------------------------------------------- */

static void step_sweep(struct mu_reflector *r, uint64_t now_ns, struct mu_outbox *out)
{
    if (r->sink.relist_sweep(r->sink.context, now_ns) != 0) {
        r->stats.state = MU_REFLECTOR_SWEEPING;
        r->wake_ns = now_ns;
        return;
    }
    if (r->absent) {
        r->stats.state = MU_REFLECTOR_ABSENT;
        r->wake_ns = now_ns + ABSENT_NS + mu_random_below(&r->random, ABSENT_JITTER_NS + 1);
        return;
    }
    r->stats.synced = true;
    r->list_from = LIST_NOT_OLDER;
    r->failures_in_a_row = 0; /* the next watch has a version that the server itself gave */
    mu_buf_fini(&r->body);    /* a page can be large, and the next one is far away */
    mu_buf_init(&r->body, MU_LIST_PAGE_MAX);
    send_watch(r, now_ns, out);
}

static int on_item(void *context, struct mu_str raw)
{
    struct mu_reflector *r = context;
    r->barren_pages = 0;
    /* Without a readable version the object is still the sink's: to name it and skip it. */
    return r->sink.upsert(r->sink.context, raw, mu_form_version(r->json, raw), r->now_ns);
}

static void take_page(struct mu_reflector *r, const struct mu_form_page *page, uint64_t now_ns,
                      struct mu_outbox *out)
{
    r->stats.pages++;
    if (r->first_page) {
        r->stats.last_version = page->version;
        r->sink.relist_begin(r->sink.context);
    }
    r->now_ns = now_ns;
    r->list_pages++;
    r->barren_pages++; /* until it shows an object */
    int rc = mu_form_page_each(r->json, page, on_item, r);
    mu_buf_clear(&r->continue_token);
    (void)mu_buf_append_str(&r->continue_token, page->head.continue_token);
    if (rc != 0 || r->continue_token.failed != 0) {
        set_problem(r, "%.*s: list: an object could not be stored: %s",
                    MU_STR_ARGS(buf_str(&r->name)),
                    mu_error_text(rc != 0 ? rc : r->continue_token.failed));
        wait_for(r, AIM_LIST, 0, now_ns);
    } else if (r->continue_token.len > 0 && (r->list_pages >= MU_LIST_PAGES_MAX ||
                                             r->barren_pages >= MU_LIST_BARREN_PAGES_MAX)) {
        set_problem(r, "%.*s: list: no end after %u pages, the last %u of them without an object",
                    MU_STR_ARGS(buf_str(&r->name)), r->list_pages, r->barren_pages);
        wait_for(r, AIM_LIST, 0, now_ns);
    } else if (r->continue_token.len > 0) {
        r->first_page = false;
        send_list(r, now_ns, out);
    } else {
        step_sweep(r, now_ns, out);
    }
}

/* The first page of a list is older than what has been seen. */
static void refuse_list(struct mu_reflector *r, uint64_t version, uint64_t now_ns)
{
    MU_ASSERT(r->first_page && version < r->stats.last_version);
    r->stats.stale_refused++;
    if (r->list_from == LIST_CONSISTENT) {
        MU_ASSERT(r->token == 0);
        set_problem(r,
                    "%.*s: the server's store went back from version %" PRIu64 " to %" PRIu64
                    "; restart needed",
                    MU_STR_ARGS(buf_str(&r->name)), r->stats.last_version, version);
        r->stats.state = MU_REFLECTOR_RESTORED;
        return;
    }
    set_problem(r, "%.*s: list at version %" PRIu64 ", expected at least %" PRIu64,
                MU_STR_ARGS(buf_str(&r->name)), version, r->stats.last_version);
    r->list_from = LIST_CONSISTENT; /* the next try is not left to a cache */
    wait_for(r, AIM_LIST, 0, now_ns);
}

/* A page with status 200 is complete. */
static void end_page(struct mu_reflector *r, uint64_t now_ns, struct mu_outbox *out)
{
    struct mu_form_page page;
    struct mu_error error = {.code = 0};
    MU_ASSERT(r->body.failed == 0); /* reply_data gives up the request at once */
    if (mu_form_page_open(r->json, buf_str(&r->body), &page, &error) != 0) {
        set_problem(r, "%.*s: list: %.180s", MU_STR_ARGS(buf_str(&r->name)), error.text);
        wait_for(r, AIM_LIST, 0, now_ns);
        return;
    }
    if (r->first_page && page.version < r->stats.last_version)
        refuse_list(r, page.version, now_ns);
    else
        take_page(r, &page, now_ns, out);
}

/* --- errors -------------------------------------------------------------------------------- */

static struct failure judge(const struct mu_reflector *r, int http_status, bool has_status,
                            const struct mu_status *status)
{
    struct failure f = {.code = http_status, .retry_after_s = r->retry_after_s};
    if (has_status) {
        if (status->code != 0)
            f.code = status->code;
        f.expired = mu_str_equal(status->reason, MU_STR("Expired")) ||
                    mu_str_equal(status->reason, MU_STR("Gone"));
        f.too_large = mu_str_equal(status->cause, MU_STR("ResourceVersionTooLarge"));
        if (f.retry_after_s == 0)
            f.retry_after_s = status->retry_after_s;
    }
    f.expired = f.expired || f.code == 410;
    return f;
}

/* HTTP status or error code of what failed; 0: it did not. */
static void note_failure(struct mu_reflector *r, int code)
{
    bool alike = code != 0 && code == r->stats.last_failure;
    r->stats.failures_alike = alike ? r->stats.failures_alike + 1 : code != 0;
    r->stats.last_failure = code;
}

/* Judge the complete body of a reply that is no success. */
static struct failure judge_reply(struct mu_reflector *r)
{
    struct mu_status status = {.code = 0};
    mu_arena_reset(r->arena);
    bool decoded = mu_form_status(r->json, buf_str(&r->body), r->arena, &status);
    char what[64] = "the API server refuses our credentials (401)"; /* for people to mend */
    if (r->status != 401)
        (void)snprintf(what, sizeof what, r->status == 403 ? "forbidden (%d)" : "HTTP %d",
                       r->status);
    int len = (int)(status.message.len > 160 ? 160 : status.message.len);
    note_failure(r, r->status);
    set_problem(r, "%.*s: %s: %s: %.*s", MU_STR_ARGS(buf_str(&r->name)),
                r->stats.state == MU_REFLECTOR_LISTING ? "list" : "watch", what, len,
                len > 0 ? status.message.data : "");
    return judge(r, r->status, decoded, &status);
}

/* This path is not served. */
static void try_next_path(struct mu_reflector *r, uint64_t now_ns, struct mu_outbox *out)
{
    MU_ASSERT(r->optional && r->path_at < r->path_count);
    if (++r->path_at < r->path_count) {
        begin_list(r, r->list_from, now_ns, out);
        return;
    }
    r->path_at = 0;
    r->absent = true;
    r->sink.relist_begin(r->sink.context);
    step_sweep(r, now_ns, out);
}

static void list_failed(struct mu_reflector *r, uint64_t now_ns, struct mu_outbox *out)
{
    struct failure f = judge_reply(r);
    if (r->optional && r->status == 404) {
        try_next_path(r, now_ns, out);
        return;
    }
    if (f.expired)
        r->stats.expired++;
    bool refused = f.expired || f.too_large;
    if (refused && r->first_page && r->list_from != LIST_CONSISTENT) {
        begin_list(r, LIST_CONSISTENT, now_ns, out);
        return;
    }
    /* An expired continue token included: the list starts again, after a pause. */
    wait_for(r, AIM_LIST, f.retry_after_s, now_ns);
}

/* The stream is over (no request is open any more). Where to go from here: the version is unusable
 * -> list; else the same watch again. */
static void watch_failed(struct mu_reflector *r, const struct failure *f, uint64_t now_ns,
                         struct mu_outbox *out)
{
    if (f->expired) {
        r->stats.expired++;
        /* Expired again although a fresh list lies in between: no hot loop. */
        if (r->expired_in_a_row++ > 0)
            wait_for(r, AIM_LIST, f->retry_after_s, now_ns);
        else
            relist(r, now_ns, out);
        return;
    }
    bool bad_request = f->code == 400 || f->code == 422;
    bool not_served = r->optional && f->code == 404;
    if (not_served)
        r->path_at = 0;
    if (bad_request || f->too_large || not_served)
        wait_for(r, AIM_LIST, f->retry_after_s, now_ns);
    else if (f->code == 429)
        wait_for(r, AIM_WATCH, f->retry_after_s, now_ns); /* busy: a list would make it worse */
    else
        watch_again(r, f->retry_after_s, now_ns);
}

/* --- watch events -------------------------------------------------------------------------- */

/* What on_event returns to end the stream; everything else comes from the sink. */
enum { EVENT_ERROR = 1, EVENT_STALE = 2 };

static int on_error_event(struct mu_reflector *r, const struct mu_watch_event *event)
{
    struct mu_status status = {.code = 0};
    mu_arena_reset(r->arena);
    bool decoded = mu_form_event_status(r->json, &event->object, r->arena, &status);
    /* An ERROR that cannot be read says nothing about our version: list again. */
    *r->error_event = judge(r, decoded ? 500 : 400, decoded, &status);
    set_problem(r, "%.*s: watch: error %d: %.*s", MU_STR_ARGS(buf_str(&r->name)),
                r->error_event->code, (int)(status.message.len > 160 ? 160 : status.message.len),
                status.message.len > 0 ? status.message.data : "");
    return EVENT_ERROR;
}

static int on_event(void *context, const struct mu_watch_event *event)
{
    struct mu_reflector *r = context;
    if (event->type == MU_WATCH_ERROR)
        return on_error_event(r, event);
    const uint64_t version = mu_form_version(r->json, event->object.raw);
    if (version != 0 && version < r->stats.last_version) {
        r->stats.stale_refused++;
        set_problem(r, "%.*s: watch: event at version %" PRIu64 " after %" PRIu64,
                    MU_STR_ARGS(buf_str(&r->name)), version, r->stats.last_version);
        return EVENT_STALE;
    }
    int rc = 0;
    if (event->type == MU_WATCH_BOOKMARK)
        r->stats.bookmarks++;
    else if (event->type == MU_WATCH_DELETED)
        rc = r->sink.remove(r->sink.context, event->object.raw, version, r->now_ns);
    else
        rc = r->sink.upsert(r->sink.context, event->object.raw, version, r->now_ns);
    if (rc != 0) {
        set_problem(r, "%.*s: watch: an object could not be stored: %s",
                    MU_STR_ARGS(buf_str(&r->name)), mu_error_text(rc));
        return rc < 0 ? rc : MU_EIO;
    }
    if (event->type != MU_WATCH_BOOKMARK)
        r->stats.events++;
    r->watch_events++;
    r->expired_in_a_row = 0;
    r->failures_in_a_row = 0;
    if (version != 0)
        r->stats.last_version = version;
    return 0;
}

static void feed_watch(struct mu_reflector *r, struct mu_str data, uint64_t now_ns,
                       struct mu_outbox *out)
{
    struct failure f = {.code = 0};
    struct mu_error error = {.code = 0};
    r->now_ns = now_ns;
    r->error_event = &f;
    int rc = mu_watch_decoder_feed(&r->decoder, data, on_event, r, &error);
    r->error_event = NULL;
    if (rc == 0)
        return;
    drop_request(r, out);
    if (rc == EVENT_ERROR) {
        watch_failed(r, &f, now_ns, out);
        return;
    }
    /* A frame that cannot be read, a stale event or a full sink: the same watch would bring the
     * same again, so only a list helps. */
    if (error.code != 0)
        set_problem(r, "%.*s: %.200s", MU_STR_ARGS(buf_str(&r->name)), error.text);
    wait_for(r, AIM_LIST, 0, now_ns);
}

static void end_watch(struct mu_reflector *r, uint64_t now_ns, struct mu_outbox *out)
{
    bool brief = now_ns - r->watch_opened_ns < WATCH_SHORT_NS && r->watch_events == 0;
    if (mu_watch_decoder_partial(&r->decoder)) {
        set_problem(r, "%.*s: watch: ended inside a frame", MU_STR_ARGS(buf_str(&r->name)));
        watch_again(r, 0, now_ns);
    } else if (brief) {
        set_problem(r, "%.*s: watch: ended at once", MU_STR_ARGS(buf_str(&r->name)));
        watch_again(r, 0, now_ns);
    } else {
        send_watch(r, now_ns, out); /* the server's timeout: the normal end */
    }
}

/* --- inputs -------------------------------------------------------------------------------- */

void mu_reflector_start(struct mu_reflector *r, uint64_t now_ns, struct mu_outbox *out)
{
    MU_ASSERT(r->stats.state == MU_REFLECTOR_IDLE);
    begin_list(r, r->first_consistent ? LIST_CONSISTENT : LIST_ANY, now_ns, out);
}

static void reply_head(struct mu_reflector *r, const struct mu_reply *reply, uint64_t now_ns)
{
    r->status = reply->status;
    r->media = reply->media;
    r->retry_after_s = reply->retry_after_s;
    r->watch_guard_ns = now_ns + WATCH_SILENCE_NS;
    if (r->stats.state == MU_REFLECTOR_WATCHING && r->status == 200)
        r->problem[0] = '\0';
    if (r->status == 200)
        note_failure(r, 0);
}

static void reply_data(struct mu_reflector *r, const struct mu_reply *reply, uint64_t now_ns,
                       struct mu_outbox *out)
{
    r->watch_guard_ns = now_ns + WATCH_SILENCE_NS;
    if (r->status == 200 && r->stats.state == MU_REFLECTOR_WATCHING) {
        feed_watch(r, reply->data, now_ns, out);
        return;
    }
    if (r->status != 200 && r->body.len + reply->data.len > MU_STATUS_BYTES_MAX)
        return; /* no Status is that long: judged by its HTTP code */
    if (mu_buf_append_str(&r->body, reply->data) == 0)
        return;
    bool listing = r->stats.state == MU_REFLECTOR_LISTING;
    set_problem(r, "%.*s: %s: %s after %zu bytes", MU_STR_ARGS(buf_str(&r->name)),
                listing ? "list" : "watch", mu_error_text(r->body.failed), r->body.len);
    drop_request(r, out);
    if (listing)
        wait_for(r, AIM_LIST, 0, now_ns);
    else
        watch_again(r, 0, now_ns);
}

static void reply_end(struct mu_reflector *r, uint64_t now_ns, struct mu_outbox *out)
{
    r->token = 0;
    if (r->stats.state == MU_REFLECTOR_LISTING) {
        if (r->status == 200)
            end_page(r, now_ns, out);
        else
            list_failed(r, now_ns, out);
    } else if (r->status == 200) {
        end_watch(r, now_ns, out);
    } else {
        struct failure f = judge_reply(r);
        watch_failed(r, &f, now_ns, out);
    }
}

static void reply_lost(struct mu_reflector *r, const struct mu_reply *reply, uint64_t now_ns)
{
    bool listing = r->stats.state == MU_REFLECTOR_LISTING;
    r->token = 0;
    note_failure(r, reply->error);
    set_problem(r, "%.*s: %s: no reply: %s", MU_STR_ARGS(buf_str(&r->name)),
                listing ? "list" : "watch", mu_error_text(reply->error));
    /* A lost connection says nothing about the watch: it is resumed, however long it takes. */
    wait_for(r, listing ? AIM_LIST : AIM_WATCH, 0, now_ns);
}

bool mu_reflector_reply(struct mu_reflector *r, const struct mu_reply *reply, uint64_t now_ns,
                        struct mu_outbox *out)
{
    if (reply->token - r->token_base > TOKEN_MASK)
        return false;
    if (reply->token != r->token)
        return true; /* of a request that was given up */
    MU_ASSERT(r->stats.state == MU_REFLECTOR_LISTING || r->stats.state == MU_REFLECTOR_WATCHING);
    switch (reply->kind) {
    case MU_REPLY_HEAD:
        reply_head(r, reply, now_ns);
        break;
    case MU_REPLY_DATA:
        reply_data(r, reply, now_ns, out);
        break;
    case MU_REPLY_END:
        reply_end(r, now_ns, out);
        break;
    case MU_REPLY_LOST:
        reply_lost(r, reply, now_ns);
        break;
    }
    return true;
}

void mu_reflector_tick(struct mu_reflector *r, uint64_t now_ns, struct mu_outbox *out)
{
    if (now_ns < mu_reflector_next_ns(r))
        return;
    switch (r->stats.state) {
    case MU_REFLECTOR_SWEEPING:
        step_sweep(r, now_ns, out);
        break;
    case MU_REFLECTOR_BACKOFF:
        if (r->aim == AIM_LIST)
            relist(r, now_ns, out);
        else
            send_watch(r, now_ns, out);
        break;
    case MU_REFLECTOR_WATCHING:
        set_problem(r, "%.*s: watch: silent for too long", MU_STR_ARGS(buf_str(&r->name)));
        drop_request(r, out);
        watch_again(r, 0, now_ns);
        break;
    case MU_REFLECTOR_ABSENT:
        relist(r, now_ns, out);
        break;
    case MU_REFLECTOR_IDLE:
    case MU_REFLECTOR_LISTING:
    case MU_REFLECTOR_RESTORED:
        break;
    }
}

void mu_reflector_retry(struct mu_reflector *r, uint64_t now_ns)
{
    if (r->stats.state == MU_REFLECTOR_BACKOFF && r->stats.last_failure == 401)
        r->wake_ns = now_ns;
}

uint64_t mu_reflector_next_ns(const struct mu_reflector *r)
{
    switch (r->stats.state) {
    case MU_REFLECTOR_SWEEPING:
    case MU_REFLECTOR_BACKOFF:
    case MU_REFLECTOR_ABSENT:
        return r->wake_ns;
    case MU_REFLECTOR_WATCHING:
        return r->watch_guard_ns;
    case MU_REFLECTOR_IDLE:
    case MU_REFLECTOR_LISTING: /* the request's own timeout ends a list */
    case MU_REFLECTOR_RESTORED:
        break;
    }
    return UINT64_MAX;
}

void mu_reflector_stats(const struct mu_reflector *r, struct mu_reflector_stats *out)
{
    *out = r->stats;
}

const char *mu_reflector_problem(const struct mu_reflector *r)
{
    return r->problem;
}

struct mu_str mu_reflector_path(const struct mu_reflector *r)
{
    return buf_str(&r->paths[r->path_at]);
}
