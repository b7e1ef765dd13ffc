/* The server: life cycle, routes, and which verb answers what. */
#include "tools/kubesim/apiserver.h"

#include <stdio.h>
#include "engine/base/assert.h"
#include "engine/base/clock.h"
#include "engine/base/mem.h"
#include "tools/kubesim/api_priv.h"
#include "tools/kubesim/discovery.h"
#include "tools/kubesim/yaml_write.h"

/* ---- paths -------------------------------------------------------------------------------- */

/* Split and decode. Errors: MU_EINVAL (malformed, or deeper than any path served), MU_ENOMEM. */
static int split_path(struct mu_str text, struct mu_arena *arena, struct mu_api_path *path)
{
    path->count = 0;
    while (text.len > 0) {
        if (text.data[0] == '/') {
            text = (struct mu_str){text.data + 1, text.len - 1};
            continue;
        }
        const char *end = memchr(text.data, '/', text.len);
        uint32_t len = end != NULL ? (uint32_t)(end - text.data) : text.len;
        int code = path->count == MU_KUBESIM_SEGMENTS_MAX
                       ? MU_EINVAL
                       : mu_percent_decode((struct mu_str){text.data, len}, false, arena,
                                           &path->segments[path->count]);
        if (code != 0) {
            return code;
        }
        path->count++;
        text = (struct mu_str){text.data + len, text.len - len};
    }
    return 0;
}

bool mu_api_path_is(const struct mu_api_path *path, uint32_t at, const char *text)
{
    return at < path->count && mu_str_equal(path->segments[at], mu_str_of(text));
}

/* What a resource path names; false when nothing is served there. */
static bool find_route(const struct mu_api_path *path, uint32_t hidden, struct mu_route *route)
{
    static const struct mu_str none = {"", 0};
    uint32_t at = mu_api_path_is(path, 0, "api") ? 1 : 2;
    if ((!mu_api_path_is(path, 0, "api") && !mu_api_path_is(path, 0, "apis")) ||
        path->count < at + 2) {
        return false;
    }
    struct mu_str group = at == 1 ? none : path->segments[1];
    struct mu_str version = path->segments[at++];
    *route = (struct mu_route){.kind = MU_KIND_COUNT, .ns = none, .name = none, .sub = none};
    /* namespaces/x/y is y inside x, save for the namespace's own subresources. */
    bool scoped = mu_api_path_is(path, at, "namespaces") && path->count >= at + 3 &&
                  !mu_api_path_is(path, at + 2, "status") &&
                  !mu_api_path_is(path, at + 2, "finalize");
    if (scoped) {
        route->ns = path->segments[at + 1];
        at += 2;
    }
    enum mu_kind_ix kind = mu_kind_find(group, version, path->segments[at++], &route->api);
    if (kind == MU_KIND_COUNT || (hidden >> kind & 1) != 0 ||
        (scoped && !mu_kinds[kind].namespaced)) {
        return false;
    }
    if (at < path->count) {
        route->name = path->segments[at++];
    }
    if (at < path->count) {
        route->sub = path->segments[at++];
    }
    bool has_sub = route->sub.len > 0;
    bool status = mu_str_equal(route->sub, MU_STR("status")) && mu_kinds[kind].has_status;
    bool written = has_sub && mu_kind_sub_find(&mu_kinds[kind], route->sub) != NULL;
    if (at != path->count || (has_sub && !status && !written) ||
        (route->name.len > 0 && mu_kinds[kind].namespaced && !scoped)) {
        return false;
    }
    route->kind = kind;
    return true;
}

/* ---- verbs -------------------------------------------------------------------------------- */

static int list_or_watch(struct mu_call *call)
{
    struct mu_list_options options;
    int code = mu_api_list_options(call, &options);
    if (code != 0) {
        return code;
    }
    code = options.watch ? mu_api_watch(call, &options) : mu_api_list(call, &options);
    mu_selector_destroy(options.selector);
    return code;
}

static int delete_collection(struct mu_call *call)
{
    struct mu_list_options options;
    int code = mu_api_list_options(call, &options);
    if (code == 0) {
        code = mu_api_delete_collection(call, &options);
        mu_selector_destroy(options.selector);
    }
    return code;
}

static int dispatch(struct mu_call *call)
{
    const struct mu_route *route = &call->route;
    bool named = route->name.len > 0;
    const struct mu_kind_sub *sub = mu_kind_sub_find(&mu_kinds[route->kind], route->sub);
    struct mu_str dry_run = mu_query_get(&call->query, "dryRun");
    if (dry_run.len > 0 && !mu_str_equal(dry_run, MU_STR("All"))) {
        return mu_api_invalid(call, "dryRun",
                              "Unsupported value: \"%.*s\": supported values: \"All\"",
                              (int)(dry_run.len < 80 ? dry_run.len : 80), dry_run.data);
    }
    call->dry_run = dry_run.len > 0;
    if (route->kind == MU_KIND_EVENTS) {
        mu_events_expire(call->server, call->now_ns);
    }
    if (mu_kinds[route->kind].no_update && (call->request->method != MU_POST || named)) {
        return mu_api_fail(call, 405, "MethodNotAllowed",
                           "the server does not allow this method on the requested resource");
    }
    bool may_create = !named && (route->ns.len > 0 || !mu_kinds[route->kind].namespaced);
    switch (call->request->method) {
    case MU_GET:
        if (sub == NULL) {
            return named ? mu_api_get(call) : list_or_watch(call);
        }
        break;
    case MU_POST:
        if (sub != NULL) {
            return sub->post(call);
        }
        if (may_create) {
            return mu_kinds[route->kind].no_update ? mu_api_review(call) : mu_api_create(call);
        }
        break;
    case MU_PUT:
        if (named && sub == NULL) {
            return mu_api_update(call);
        }
        break;
    case MU_PATCH:
        if (named && sub == NULL) {
            return mu_api_patch(call);
        }
        break;
    case MU_DELETE:
        if (route->sub.len == 0) {
            return named ? mu_api_delete(call) : delete_collection(call);
        }
        break;
    }
    return mu_api_fail(call, 405, "MethodNotAllowed",
                       "the server does not allow this method on the requested resource");
}

/* The form of an answer that is made of objects. */
static bool accepts_objects(struct mu_call *call)
{
    bool watch = false;
    unsigned offers = MU_OFFER_OBJECTS;
    offers |= mu_kinds[call->route.kind].json_only ? 0 : MU_OFFER_PROTOBUF;
    (void)mu_query_bool(&call->query, "watch", &watch); /* what is no boolean is refused later */
    offers |= watch && call->request->method == MU_GET ? MU_OFFER_STREAM : 0;
    return mu_api_accepts(call, offers);
}

/* Nothing is served there. The details say what the path seems to name, as the real server's. */
static void not_found(struct mu_call *call, const struct mu_api_path *path)
{
    uint32_t at = mu_api_path_is(path, 0, "apis") ? 3 : 2; /* behind the version */
    struct mu_api_unknown unknown = {.group = at == 3 && path->count > 1 ? path->segments[1].data
                                                                         : NULL};
    at += mu_api_path_is(path, at, "namespaces") && path->count > at + 2 ? 2 : 0;
    if (mu_api_path_is(path, 0, "api") || mu_api_path_is(path, 0, "apis")) {
        unknown.resource = path->count > at ? path->segments[at].data : NULL;
        unknown.name = path->count > at + 1 ? path->segments[at + 1].data : NULL;
    }
    mu_api_fail_unknown(call, &unknown);
}

/* What everybody may ask: is it well, and what is it. */
static bool is_public(const struct mu_api_path *path)
{
    static const char *const open[] = {"healthz", "livez", "readyz", "version"};
    for (size_t i = 0; path->count == 1 && i < sizeof open / sizeof open[0]; i++) {
        if (mu_api_path_is(path, 0, open[i])) {
            return true;
        }
    }
    return false;
}

/* Read the parameters, then let the verb answer. */
static void answer_route(struct mu_call *call)
{
    struct mu_error error = {0, ""};
    int code = mu_query_parse(call->request->query, call->server->arena, &call->query, &error);
    if (code == MU_ENOMEM) {
        (void)mu_api_no_room(call);
    } else if (code != 0) {
        (void)mu_api_fail(call, 400, "BadRequest", "%s", error.text);
    } else if (accepts_objects(call)) {
        (void)dispatch(call);
    }
}

static void route_call(struct mu_call *call, struct mu_api_path *path)
{
    int code = split_path(call->request->path, call->server->arena, path);
    if (code == MU_ENOMEM) {
        (void)mu_api_no_room(call);
    } else if (code != 0) {
        path->count = 0;
        not_found(call, path);
    } else if (!is_public(path) && mu_api_authenticate(call) != 0) {
        return;
    } else if (mu_api_discover(call, path)) {
        return;
    } else if (!find_route(path, call->server->hidden, &call->route)) {
        not_found(call, path);
    } else {
        answer_route(call);
    }
}

/* The answer is JSON that a YAML reader asked for. It stays JSON, which is YAML too, when there is
 * no memory to turn it. */
static void answer_in_yaml(struct mu_call *call)
{
    struct mu_buf *body = &call->response->body;
    struct mu_buf yaml;
    mu_buf_init(&yaml, MU_KUBESIM_RESPONSE_MAX);
    if (mu_yaml_from_json((struct mu_str){(const char *)body->data, (uint32_t)body->len}, &yaml) !=
        0) {
        mu_buf_fini(&yaml);
        return;
    }
    mu_buf_fini(body);
    *body = yaml;
    call->response->media = MU_MEDIA_YAML;
}

void mu_apiserver_handle(struct mu_apiserver *server, const struct mu_api_request *request,
                         uint64_t now_ns, struct mu_api_response *out)
{
    *out = (struct mu_api_response){.status = 500, .media = MU_MEDIA_TEXT};
    mu_buf_init(&out->body, MU_KUBESIM_RESPONSE_MAX);
    mu_arena_reset(server->arena);
    server->arena_full = false;
    struct mu_call call = {
        .server = server,
        .request = request,
        .response = out,
        .now_ns = now_ns,
        .form = {.media = MU_MEDIA_JSON},
        .route = {.kind = MU_KIND_COUNT, .ns = {"", 0}, .name = {"", 0}, .sub = {"", 0}}};
    struct mu_api_path path;
    /* Errors are told in any of the media types, whatever the path has. */
    (void)mu_api_negotiate(request->accept, MU_OFFER_PROTOBUF | MU_OFFER_OBJECTS, &call.form);
    route_call(&call, &path);
    if (call.form.media == MU_MEDIA_YAML && out->media == MU_MEDIA_JSON && out->watch == NULL) {
        answer_in_yaml(&call);
    }
    mu_kobject_unref(call.unstored);
    MU_ASSERT(out->watch == NULL || out->body.len == 0);
}

/* ---- the server --------------------------------------------------------------------------- */

static void on_change(void *context, uint32_t kind)
{
    mu_api_wake_watches(context, kind);
}

/* Create one of the objects that every cluster has, through the front door. */
static bool add_object(struct mu_apiserver *server, const char *path, const char *json)
{
    struct mu_api_request request = {.method = MU_POST,
                                     .path = mu_str_of(path),
                                     .content = MU_MEDIA_JSON,
                                     .body = mu_str_of(json)};
    struct mu_api_response response;
    mu_apiserver_handle(server, &request, server->config.start_ns, &response);
    bool created = response.status == 201;
    mu_buf_fini(&response.body);
    return created;
}

static bool add_objects(struct mu_apiserver *server)
{
    static const char namespaces[] = "/api/v1/namespaces";
    static const char classes[] = "/apis/scheduling.k8s.io/v1/priorityclasses";
    return add_object(server, namespaces, "{\"metadata\":{\"name\":\"default\"}}") &&
           add_object(server, namespaces, "{\"metadata\":{\"name\":\"kube-system\"}}") &&
           add_object(server, classes,
                      "{\"metadata\":{\"name\":\"system-cluster-critical\"},"
                      "\"value\":2000000000}") &&
           add_object(server, classes,
                      "{\"metadata\":{\"name\":\"system-node-critical\"},\"value\":2000001000}");
}

struct mu_apiserver *mu_apiserver_create(const struct mu_apiserver_config *config,
                                         struct mu_random *random)
{
    struct mu_apiserver *server = mu_mem_zalloc(sizeof *server);
    if (server == NULL) {
        return NULL;
    }
    server->config = *config;
    server->config.admin_token = (struct mu_str){NULL, 0};
    if (mu_secret_copy(config->admin_token, &server->admin_token) != 0) {
        mu_mem_free(server);
        return NULL;
    }
    server->config.admin_token = mu_secret_str(&server->admin_token);
    if (server->config.history_events == 0) {
        server->config.history_events = MU_KUBESIM_HISTORY;
    }
    if (server->config.bookmark_ns == 0) {
        server->config.bookmark_ns = 60 * MU_NS_PER_S;
    }
    mu_random_fork(random, &server->random);
    server->priority_head = UINT64_MAX;
    server->arena = mu_arena_create(MU_KUBESIM_DECODE_MAX);
    server->item_arena = mu_arena_create(MU_KUBESIM_DECODE_MAX);
    server->store = mu_store_create(MU_KIND_COUNT, server->config.history_events);
    mu_buf_init(&server->items, MU_KUBESIM_RESPONSE_MAX);
    if (server->arena == NULL || server->item_arena == NULL || server->store == NULL) {
        mu_apiserver_destroy(server);
        return NULL;
    }
    mu_store_on_change(server->store, on_change, server);
    server->config.authenticate = false; /* who makes these shows no credentials */
    if (!add_objects(server)) {
        mu_apiserver_destroy(server);
        return NULL;
    }
    server->config.authenticate = config->authenticate;
    return server;
}

void mu_apiserver_destroy(struct mu_apiserver *server)
{
    if (server == NULL) {
        return;
    }
    for (int kind = 0; kind < MU_KIND_COUNT; kind++) {
        while (server->watches[kind] != NULL) {
            mu_api_watch_close(server->watches[kind]);
        }
    }
    for (uint32_t i = 0; i < server->priority_count; i++) {
        mu_kobject_unref(server->priorities[i].object);
    }
    mu_mem_free(server->priorities);
    mu_tokens_fini(&server->tokens);
    mu_secret_fini(&server->admin_token);
    mu_store_destroy(server->store);
    mu_arena_destroy(server->arena);
    mu_arena_destroy(server->item_arena);
    mu_buf_fini(&server->items);
    mu_buf_fini(&server->shown);
    mu_mem_free(server);
}

void mu_apiserver_on_wake(struct mu_apiserver *server, void (*wake)(void *context, void *user),
                          void *context)
{
    server->wake = wake;
    server->wake_context = context;
}

struct each {
    mu_api_object_fn fn;
    void *context;
};

static int visit_raw(void *context, struct mu_kobject *object)
{
    struct each *each = context;
    return each->fn(each->context, mu_kobject_raw(object));
}

int mu_apiserver_each(const struct mu_apiserver *server, const char *plural, mu_api_object_fn fn,
                      void *context)
{
    enum mu_kind_ix kind = mu_kind_by_plural(plural);
    if (kind == MU_KIND_COUNT) {
        return MU_ENOENT;
    }
    struct each each = {fn, context};
    struct mu_store_range all = {.version = 0};
    return mu_store_walk(server->store, kind, &all, visit_raw, &each);
}

uint64_t mu_apiserver_version(const struct mu_apiserver *server)
{
    return mu_store_version(server->store);
}

void mu_apiserver_compact(struct mu_apiserver *server)
{
    mu_store_compact(server->store);
}
