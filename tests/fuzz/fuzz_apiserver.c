/*
 * The embedded API server under a sequence of requests, some of them nonsense. The input is text:
 *
 *   METHOD URL CONTENT ACCEPT [AUTHORIZATION]   then the body, up to a line of two per cent signs
 *   @seconds N      time passes
 *   @fail N         the Nth allocation of the next request fails
 *   @compact        history is forgotten
 *   @expire         the newest watch is told that it is too old
 *   @close          the newest watch is closed
 *   @authenticate   as the first line: whoever shows no credentials is refused
 *
 * CONTENT and ACCEPT are media types, or one of the letters in `letters`.
 *
 * Invariants. Every answer is well-formed: a status, a body of the type it says (JSON parses, an
 * envelope opens, watch frames decode), and a failure is a Status of the same code. A request that
 * failed has changed nothing. Versions of the events of a watch rise. Objects are in order, with
 * unique UIDs and versions that the server has given out. A watch of everything from the start,
 * replayed, equals the store. A watch that was idle and has not been woken since has nothing to
 * say before its time.
 *
 * covers: tools/kubesim/apiserver.c tools/kubesim/list.c tools/kubesim/watch.c
 * covers: tools/kubesim/write.c tools/kubesim/body.c
 * covers: tools/kubesim/query.c tools/kubesim/status.c
 */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include "engine/base/arena.h"
#include "engine/base/assert.h"
#include "engine/base/clock.h"
#include "engine/base/hash.h"
#include "engine/base/mem.h"
#include "tools/kubesim/apiserver.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
    INPUT_MAX = 64 << 10,
    REQUESTS_MAX = 64,
    WATCHES_MAX = 8,
    OBJECTS_MAX = 512,
    MIRRORS = 3,
    PULL_BYTES = 3000
};

static const char *const mirrored[MIRRORS] = {"pods", "nodes", "namespaces"};
static const char *const mirror_urls[MIRRORS] = {"/api/v1/pods", "/api/v1/nodes",
                                                 "/api/v1/namespaces"};

/* What a watch has shown of one object, or what the store holds. */
struct sight {
    uint64_t key; /* hash of namespace and name */
    uint64_t uid; /* hash */
    uint64_t version;
};

struct view {
    struct sight sights[OBJECTS_MAX];
    uint32_t count;
    uint64_t last; /* version of the newest event */
    bool over;     /* ended, or too much for it: compares with nothing */
};

struct watch {
    struct mu_api_watch *watch;
    struct mu_watch_decoder decoder;
    enum mu_media media;
    uint64_t last;
    bool idle, woken;  /* since the last pull */
    struct view *view; /* of a mirror; NULL: only checked */
};

struct rig {
    struct mu_apiserver *server;
    uint64_t now_ns;
    uint64_t fail_nth;
    struct watch watches[WATCHES_MAX];
    uint32_t watch_count;
    struct view views[MIRRORS];
    struct mu_arena *arena;
};

/* ---- views -------------------------------------------------------------------------------- */

static uint64_t key_of(const struct mu_object_meta *meta)
{
    return mu_hash_mix(mu_hash_str(meta->ns, 1), mu_hash_str(meta->name, 2));
}

static struct sight *view_find(struct view *view, uint64_t key)
{
    for (uint32_t i = 0; i < view->count; i++) {
        if (view->sights[i].key == key)
            return &view->sights[i];
    }
    return NULL;
}

static void view_apply(struct view *view, enum mu_watch_type type,
                       const struct mu_object_meta *meta)
{
    struct sight *sight = view_find(view, key_of(meta));
    if (type == MU_WATCH_DELETED) {
        MU_ASSERT(sight != NULL);
        *sight = view->sights[--view->count];
        return;
    }
    MU_ASSERT((type == MU_WATCH_ADDED) == (sight == NULL));
    if (sight == NULL && view->count == OBJECTS_MAX) {
        view->over = true;
        return;
    }
    if (sight == NULL)
        sight = &view->sights[view->count++];
    *sight = (struct sight){key_of(meta), mu_hash_str(meta->uid, 3), meta->version};
}

/* ---- watches ------------------------------------------------------------------------------ */

static int on_event(void *context, const struct mu_watch_event *event)
{
    struct watch *watch = context;
    struct mu_object_meta meta;
    struct mu_error error;
    if (event->type == MU_WATCH_ERROR) {
        if (watch->view != NULL)
            watch->view->over = true;
        return 0;
    }
    int r = mu_meta_decode(event->object.raw, &meta, &error);
    MU_ASSERT(r == 0);
    if (event->type == MU_WATCH_BOOKMARK)
        return 0;
    MU_ASSERT(meta.name.len > 0 && meta.uid.len > 0);
    if (watch->view != NULL && !watch->view->over) {
        MU_ASSERT(meta.version >
                  watch->view->last); /* it began with the server: no initial state */
        watch->view->last = meta.version;
        view_apply(watch->view, event->type, &meta);
    }
    return 0;
}

static void check_json(const struct mu_buf *body, bool one)
{
    size_t at = 0;
    while (at < body->len) {
        json_error_t error;
        json_t *value =
            json_loadb((const char *)body->data + at, body->len - at,
                       JSON_DISABLE_EOF_CHECK | JSON_DECODE_ANY | JSON_ALLOW_NUL, &error);
        MU_ASSERT(value != NULL && error.position > 0);
        json_decref(value);
        at += (size_t)error.position;
        while (at < body->len && (body->data[at] == '\n' || body->data[at] == ' '))
            at++;
        MU_ASSERT(!one || at == body->len);
    }
}

static void watch_close(struct rig *rig, uint32_t index)
{
    struct watch *watch = &rig->watches[index];
    mu_api_watch_close(watch->watch);
    mu_watch_decoder_fini(&watch->decoder);
    if (watch->view != NULL)
        watch->view->over = true;
    *watch = rig->watches[--rig->watch_count];
    if (index < rig->watch_count)
        return;
}

/* The server's call when an idle watch has something to read; its signature is the server's. */
/* cppcheck-suppress constParameter */
static void on_wake(void *context, void *user)
{
    struct rig *rig = context;
    for (uint32_t i = 0; i < rig->watch_count; i++) {
        if (rig->watches[i].watch != user)
            continue;
        MU_ASSERT(rig->watches[i].idle && !rig->watches[i].woken);
        rig->watches[i].woken = true;
    }
}

/* Pull what there is; a watch that ended is closed. */
static void pull(struct rig *rig)
{
    for (uint32_t i = rig->watch_count; i > 0; i--) {
        struct watch *watch = &rig->watches[i - 1];
        enum mu_watch_pull state = MU_WATCH_MORE;
        bool quiet =
            watch->idle && !watch->woken && mu_api_watch_next_ns(watch->watch) > rig->now_ns;
        watch->idle = watch->woken = false;
        while (state == MU_WATCH_MORE) {
            struct mu_buf frames = {0};
            state = mu_api_watch_pull(watch->watch, rig->now_ns, PULL_BYTES, &frames);
            MU_ASSERT(!quiet || (state == MU_WATCH_IDLE && frames.len == 0));
            struct mu_error error;
            struct mu_str view = {(const char *)frames.data, (uint32_t)frames.len};
            if (watch->media == MU_MEDIA_PROTOBUF && view.len > 0) {
                int r = mu_watch_decoder_feed(&watch->decoder, view, on_event, watch, &error);
                MU_ASSERT(r == 0 && !mu_watch_decoder_partial(&watch->decoder));
            } else if (view.len > 0) {
                check_json(&frames, false);
            }
            mu_buf_fini(&frames);
        }
        if (state == MU_WATCH_ENDED) {
            watch_close(rig, i - 1);
            continue;
        }
        MU_ASSERT(mu_api_watch_next_ns(watch->watch) > rig->now_ns);
        watch->idle = true;
    }
}

static void watch_add(struct rig *rig, const struct mu_api_response *response, struct view *view)
{
    if (rig->watch_count == WATCHES_MAX) {
        mu_api_watch_close(response->watch);
        return;
    }
    struct watch *watch = &rig->watches[rig->watch_count++];
    *watch = (struct watch){.watch = response->watch, .media = response->media, .view = view};
    mu_watch_decoder_init(&watch->decoder);
    mu_api_watch_set_user(watch->watch, watch->watch);
}

/* ---- answers ------------------------------------------------------------------------------ */

static void check_status_json(const struct mu_api_response *response)
{
    json_t *value = json_loadb((const char *)response->body.data, response->body.len, 0, NULL);
    MU_ASSERT(value != NULL);
    const char *kind = json_string_value(json_object_get(value, "kind"));
    MU_ASSERT(kind != NULL && strcmp(kind, "Status") == 0);
    MU_ASSERT(json_integer_value(json_object_get(value, "code")) == response->status);
    json_decref(value);
}

static void check_response(struct rig *rig, const struct mu_api_response *response)
{
    struct mu_str body = {(const char *)response->body.data, (uint32_t)response->body.len};
    MU_ASSERT(response->status >= 200 && response->status < 600);
    if (response->watch != NULL) {
        MU_ASSERT(response->status == 200 && body.len == 0);
        return;
    }
    if (response->media == MU_MEDIA_PROTOBUF) {
        struct mu_envelope envelope;
        struct mu_status status;
        struct mu_error error;
        int r = mu_envelope_open(body, &envelope, &error);
        MU_ASSERT(r == 0);
        mu_arena_reset(rig->arena);
        if (response->status >= 400) {
            r = mu_status_decode(body, rig->arena, &status);
            MU_ASSERT(r == 0 && status.code == response->status);
        }
    } else if (response->media == MU_MEDIA_JSON) {
        MU_ASSERT(body.len > 0);
        check_json(&response->body, true);
        if (response->status >= 400)
            check_status_json(response);
    }
}

/* ---- requests ----------------------------------------------------------------------------- */

static const struct {
    char letter;
    enum mu_media media;
    const char *accept;
} letters[] = {
    {'-', MU_MEDIA_NONE, ""},
    {'j', MU_MEDIA_JSON, "application/json"},
    {'p', MU_MEDIA_PROTOBUF, "application/vnd.kubernetes.protobuf"},
    {'y', MU_MEDIA_YAML, "application/yaml"},
    {'m', MU_MEDIA_MERGE_PATCH, "application/merge-patch+json"},
    {'s', MU_MEDIA_STRATEGIC_PATCH, "*/*"},
    {'J', MU_MEDIA_JSON_PATCH, "application/json;q=0.1,application/vnd.kubernetes.protobuf;q=0.9"},
    {'a', MU_MEDIA_APPLY_PATCH, "text/html"},
    {'x', MU_MEDIA_TEXT, "application/vnd.kubernetes.protobuf;stream=watch"},
    {'T', MU_MEDIA_JSON, "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"},
    {'M', MU_MEDIA_JSON, "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io"},
    {'L', MU_MEDIA_JSON, "application/vnd.kubernetes.protobuf;as=PartialObjectMetadataList;v=v1"},
    {'D', MU_MEDIA_JSON, "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"},
};

static uint32_t letter_of(struct mu_str text)
{
    for (uint32_t i = 0; i < sizeof letters / sizeof *letters; i++) {
        if (text.len == 1 && text.data[0] == letters[i].letter)
            return i;
    }
    return UINT32_MAX;
}

/* The next word of a line. */
static struct mu_str word(struct mu_str *line)
{
    while (line->len > 0 && line->data[0] == ' ')
        *line = (struct mu_str){line->data + 1, line->len - 1};
    const char *end = line->len > 0 ? memchr(line->data, ' ', line->len) : NULL;
    struct mu_str w = {line->data, end != NULL ? (uint32_t)(end - line->data) : line->len};
    *line = (struct mu_str){line->data + w.len, line->len - w.len};
    return w;
}

static void handle(struct rig *rig, const struct mu_api_request *request, struct view *view)
{
    struct mu_api_response response;
    uint64_t version = mu_apiserver_version(rig->server);
    bool oom = rig->fail_nth != 0;
    mu_mem_debug_set((struct mu_mem_debug){.fail_nth = rig->fail_nth});
    mu_apiserver_handle(rig->server, request, rig->now_ns, &response);
    mu_mem_debug_set((struct mu_mem_debug){0});
    rig->fail_nth = 0;
    MU_ASSERT(version <= mu_apiserver_version(rig->server));
    /* Memory may run out over the answer to what is done: 500, as a reply that was lost. A
     * collection's deletion may stop on its way. */
    if (response.status >= 400 && !(oom && response.status == 500) && request->method != MU_DELETE)
        MU_ASSERT(version == mu_apiserver_version(rig->server));
    if (!oom)
        check_response(rig, &response);
    if (response.watch != NULL)
        watch_add(rig, &response, view);
    mu_buf_fini(&response.body);
    mu_buf_fini(&response.warnings);
}

static void run_request(struct rig *rig, struct mu_str line, struct mu_str body)
{
    static const enum mu_method methods[] = {MU_GET, MU_POST, MU_PUT, MU_PATCH, MU_DELETE};
    struct mu_str method = word(&line);
    struct mu_str url = word(&line);
    struct mu_str content = word(&line);
    struct mu_str accept = word(&line);
    struct mu_api_request request = {.method = MU_GET, .path = url, .body = body};
    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++) {
        if (mu_str_equal(method, mu_str_of(mu_method_text(methods[i]))))
            request.method = methods[i];
    }
    const char *mark = url.len > 0 ? memchr(url.data, '?', url.len) : NULL;
    request.query = MU_STR("");
    if (mark != NULL) {
        request.query = (struct mu_str){mark + 1, (uint32_t)(url.data + url.len - mark - 1)};
        request.path.len = (uint32_t)(mark - url.data);
    }
    uint32_t letter = letter_of(content);
    request.content = letter == UINT32_MAX ? MU_MEDIA_TEXT : letters[letter].media;
    letter = letter_of(accept);
    request.accept = letter == UINT32_MAX ? accept : mu_str_of(letters[letter].accept);
    while (line.len > 0 && line.data[0] == ' ')
        line = (struct mu_str){line.data + 1, line.len - 1};
    request.authorization = line.len > 0 ? line : MU_STR("");
    handle(rig, &request, NULL);
}

static void run_order(struct rig *rig, struct mu_str line)
{
    struct mu_str what = word(&line);
    uint64_t number = 0;
    if (!mu_str_to_u64(word(&line), &number))
        number = 1;
    if (mu_str_equal(what, MU_STR("@seconds")))
        rig->now_ns += (number % 100000) * MU_NS_PER_S;
    else if (mu_str_equal(what, MU_STR("@fail")))
        rig->fail_nth = number % 10000;
    else if (mu_str_equal(what, MU_STR("@compact")))
        mu_apiserver_compact(rig->server);
    else if (mu_str_equal(what, MU_STR("@expire")) && rig->watch_count > 0)
        mu_api_watch_expire(rig->watches[rig->watch_count - 1].watch);
    else if (mu_str_equal(what, MU_STR("@close")) && rig->watch_count > 0)
        watch_close(rig, rig->watch_count - 1);
}

/* ---- the end ------------------------------------------------------------------------------ */

struct audit {
    struct rig *rig;
    struct view seen;
    struct mu_str ns, name; /* of the object before */
};

static int audit_object(void *context, struct mu_str raw)
{
    struct audit *audit = context;
    struct mu_object_meta meta;
    struct mu_error error;
    int r = mu_meta_decode(raw, &meta, &error);
    MU_ASSERT(r == 0 && meta.name.len > 0 && meta.uid.len > 0);
    MU_ASSERT(meta.version > 0 && meta.version <= mu_apiserver_version(audit->rig->server));
    int order = mu_str_compare(audit->ns, meta.ns);
    MU_ASSERT(order < 0 || (order == 0 && mu_str_compare(audit->name, meta.name) < 0));
    audit->ns = meta.ns;
    audit->name = meta.name;
    for (uint32_t i = 0; i < audit->seen.count; i++) {
        MU_ASSERT(audit->seen.sights[i].version != meta.version);
        MU_ASSERT(audit->seen.sights[i].uid != mu_hash_str(meta.uid, 3));
    }
    view_apply(&audit->seen, MU_WATCH_ADDED, &meta);
    return 0;
}

static void check_store(struct rig *rig)
{
    static struct audit audit;
    for (uint32_t i = 0; i < MIRRORS; i++) {
        audit = (struct audit){.rig = rig, .ns = {"", 0}, .name = {"", 0}};
        int r = mu_apiserver_each(rig->server, mirrored[i], audit_object, &audit);
        MU_ASSERT(r == 0);
        struct view *view = &rig->views[i];
        if (view->over || audit.seen.over)
            continue;
        MU_ASSERT(view->count == audit.seen.count);
        for (uint32_t k = 0; k < view->count; k++) {
            struct sight *sight = view_find(&audit.seen, view->sights[k].key);
            MU_ASSERT(sight != NULL && sight->version == view->sights[k].version);
            MU_ASSERT(sight->uid == view->sights[k].uid);
        }
    }
}

static void rig_begin(struct rig *rig, bool authenticate)
{
    static struct mu_random random;
    struct mu_apiserver_config config = {.history_events = 256,
                                         .wall_base_ns = UINT64_C(1700000000) * MU_NS_PER_S,
                                         .admin_token = MU_STR("token"),
                                         .authenticate = authenticate};
    mu_random_init_seed(&random, 1);
    rig->server = mu_apiserver_create(&config, &random);
    rig->arena = mu_arena_create(4 << 20);
    MU_ASSERT(rig->server != NULL && rig->arena != NULL);
    mu_apiserver_on_wake(rig->server, on_wake, rig);
    for (uint32_t i = 0; i < MIRRORS; i++) {
        /* Version 1 is older than everything that a new server makes for itself. */
        struct mu_api_request request = {.path = mu_str_of(mirror_urls[i]),
                                         .query = MU_STR("watch=1&resourceVersion=1"),
                                         .accept = mu_str_of(letters[2].accept),
                                         .authorization = MU_STR("Bearer token")};
        handle(rig, &request, &rig->views[i]);
        MU_ASSERT(rig->watch_count == i + 1);
    }
}

static void rig_end(struct rig *rig)
{
    while (rig->watch_count > 0)
        watch_close(rig, rig->watch_count - 1);
    mu_apiserver_destroy(rig->server);
    mu_arena_destroy(rig->arena);
}

/* Up to the separator, which is skipped. */
static struct mu_str upto(struct mu_str *text, const char *separator)
{
    size_t len = strlen(separator);
    const char *end = text->len > 0 ? memmem(text->data, text->len, separator, len) : NULL;
    struct mu_str part = {text->data, end != NULL ? (uint32_t)(end - text->data) : text->len};
    uint32_t used = end != NULL ? part.len + (uint32_t)len : part.len;
    *text = (struct mu_str){text->data + used, text->len - used};
    return part;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct rig rig;
    if (size == 0 || size > INPUT_MAX)
        return 0;
    size_t live = mu_mem_live_bytes();
    rig = (struct rig){0};
    struct mu_str text = {(const char *)data, (uint32_t)size};
    rig_begin(&rig, mu_str_starts_with(text, MU_STR("@authenticate\n")));
    for (int i = 0; i < REQUESTS_MAX && text.len > 0; i++) {
        struct mu_str line = upto(&text, "\n");
        if (line.len > 0 && line.data[0] == '@')
            run_order(&rig, line);
        else
            run_request(&rig, line, upto(&text, "\n%%\n"));
        pull(&rig);
    }
    check_store(&rig);
    rig_end(&rig);
    MU_ASSERT(mu_mem_live_bytes() == live);
    return 0;
}
