/*
 * GET and LIST, and the parameters that LIST shares with WATCH (kubernetes-wire 4.1-4.2 of the
 * project's notes; apimachinery ListOptions).
 *
 * A page is a walk over the store at one version. Its continue token names that version and the
 * last key, so the pages of one list show one state, whatever happens in between; once the history
 * between then and now is forgotten the token answers 410 and the client starts again.
 */
#include "tools/kubesim/api_priv.h"

#include <inttypes.h>
#include <stdio.h>
#include "engine/base/assert.h"
#include "tools/kubesim/limits.h"
#include "tools/kubesim/render.h"
#include "tools/kubesim/table.h"
#include "tools/kubesim/wire.h"

/* ---- parameters --------------------------------------------------------------------------- */

static int bad_parameter(struct mu_call *call, const char *name, const char *expected)
{
    struct mu_str value = mu_query_get(&call->query, name);
    value.len = value.len < 80 ? value.len : 80;
    return mu_api_fail(call, 400, "BadRequest", "parameter %s: '%.*s' is not %s", name,
                       MU_STR_ARGS(value), expected);
}

/* An unsigned parameter; absent or empty leaves *out alone. */
static int number(struct mu_call *call, const char *name, bool *present, uint64_t *out)
{
    struct mu_str value = mu_query_get(&call->query, name);
    *present = value.len > 0;
    if (value.len > 0 && !mu_str_to_u64(value, out)) {
        return bad_parameter(call, name, "a whole number");
    }
    return 0;
}

static int parse_parameters(struct mu_call *call, struct mu_list_options *o)
{
    static const char *const flags[] = {"watch", "allowWatchBookmarks", "sendInitialEvents"};
    bool values[3];
    for (int i = 0; i < 3; i++) {
        if (!mu_query_bool(&call->query, flags[i], &values[i])) {
            return bad_parameter(call, flags[i], "true or false");
        }
    }
    o->watch = values[0];
    o->bookmarks = values[1];
    o->initial = values[2];
    o->has_initial = mu_query_get(&call->query, "sendInitialEvents").len > 0;
    bool present = false;
    int code = number(call, "resourceVersion", &o->has_version, &o->version);
    if (code == 0) {
        code = number(call, "limit", &present, &o->limit);
    }
    if (code == 0) {
        code = number(call, "timeoutSeconds", &present, &o->timeout_s);
    }
    if (code != 0) {
        return code;
    }
    struct mu_str match = mu_query_get(&call->query, "resourceVersionMatch");
    if (mu_str_equal(match, MU_STR("NotOlderThan"))) {
        o->match = MU_MATCH_NOT_OLDER;
    } else if (mu_str_equal(match, MU_STR("Exact"))) {
        o->match = MU_MATCH_EXACT;
    } else if (match.len > 0) {
        return mu_api_invalid(call, "resourceVersionMatch",
                              "supported values: \"Exact\", \"NotOlderThan\"");
    }
    o->continue_token = mu_query_get(&call->query, "continue");
    return 0;
}

/* Which parameters may stand together. */
static int check_list(struct mu_call *call, const struct mu_list_options *o)
{
    if (o->has_initial) {
        return mu_api_invalid(call, "sendInitialEvents", "sendInitialEvents is forbidden for list");
    }
    if (o->match != MU_MATCH_NONE && o->continue_token.len > 0) {
        return mu_api_invalid(call, "resourceVersionMatch",
                              "resourceVersionMatch is forbidden when continue is provided");
    }
    if (o->match != MU_MATCH_NONE && !o->has_version) {
        return mu_api_invalid(call, "resourceVersionMatch",
                              "resourceVersionMatch is forbidden unless resourceVersion is "
                              "provided");
    }
    if (o->match == MU_MATCH_EXACT && o->version == 0) {
        return mu_api_invalid(call, "resourceVersionMatch",
                              "resourceVersionMatch \"Exact\" is forbidden for resourceVersion "
                              "\"0\"");
    }
    if (o->continue_token.len > 0 && o->has_version && o->version != 0) {
        return mu_api_fail(call, 400, "BadRequest",
                           "specifying resource version is not allowed when using continue");
    }
    return 0;
}

static int check_watch(struct mu_call *call, const struct mu_list_options *o)
{
    if (o->match != MU_MATCH_NONE && !o->has_initial) {
        return mu_api_invalid(call, "resourceVersionMatch",
                              "resourceVersionMatch is forbidden for watch unless "
                              "sendInitialEvents is provided");
    }
    if (o->has_initial && o->match != MU_MATCH_NOT_OLDER) {
        return mu_api_invalid(call, "resourceVersionMatch",
                              "sendInitialEvents requires setting resourceVersionMatch to "
                              "NotOlderThan");
    }
    return 0;
}

int mu_api_list_options(struct mu_call *call, struct mu_list_options *out)
{
    *out = (struct mu_list_options){.limit = 0};
    int code = parse_parameters(call, out);
    if (code == 0) {
        code = out->watch ? check_watch(call, out) : check_list(call, out);
    }
    if (code != 0) {
        return code;
    }
    struct mu_error error = {0, ""};
    code =
        mu_selector_create(&mu_kinds[call->route.kind], mu_query_get(&call->query, "labelSelector"),
                           mu_query_get(&call->query, "fieldSelector"), &out->selector, &error);
    if (code == MU_ENOMEM) {
        return mu_api_internal(call, code);
    }
    return code == 0 ? 0 : mu_api_fail(call, 400, "BadRequest", "%s", error.text);
}

/* ---- continue tokens ---------------------------------------------------------------------- */

/* "version ns name" in hexadecimal: opaque to clients, safe in a URL. Neither part has a space. */
static char *token_write(struct mu_apiserver *server, uint64_t version,
                         const struct mu_kobject *last)
{
    char text[512];
    int n = snprintf(text, sizeof text, "%" PRIu64 " %.*s %.*s", version,
                     MU_STR_ARGS(mu_kobject_ns(last)), MU_STR_ARGS(mu_kobject_name(last)));
    MU_ASSERT(n > 0 && (size_t)n < sizeof text);
    char *token = mu_api_alloc(server, (size_t)n * 2 + 1);
    for (int i = 0; token != NULL && i < n; i++) {
        static const char digits[] = "0123456789abcdef";
        token[2 * i] = digits[(uint8_t)text[i] >> 4];
        token[2 * i + 1] = digits[(uint8_t)text[i] & 15];
    }
    return token;
}

static int digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool token_read(struct mu_apiserver *server, struct mu_str token,
                       struct mu_store_range *range)
{
    char *text = token.len > 1024 ? NULL : mu_api_alloc(server, token.len / 2 + 1);
    if (text == NULL || token.len % 2 != 0) {
        return false;
    }
    for (uint32_t i = 0; i < token.len / 2; i++) {
        int high = digit(token.data[2 * i]);
        int low = digit(token.data[2 * i + 1]);
        if (high < 0 || low < 0) {
            return false;
        }
        text[i] = (char)(high << 4 | low);
    }
    const char *first = strchr(text, ' ');
    const char *second = first == NULL ? NULL : strchr(first + 1, ' ');
    if (second == NULL) {
        return false;
    }
    range->resume = true;
    range->after_ns = (struct mu_str){first + 1, (uint32_t)(second - first - 1)};
    range->after_name = mu_str_of(second + 1);
    return mu_str_to_u64((struct mu_str){text, (uint32_t)(first - text)}, &range->version) &&
           range->version > 0 && range->version <= mu_store_version(server->store) &&
           range->after_name.len > 0;
}

/* ---- the page ----------------------------------------------------------------------------- */

struct page {
    struct mu_call *call;
    struct mu_api_view view;
    int64_t now_s;
    const struct mu_list_options *options;
    uint64_t limit; /* 0: none */
    uint64_t count;
    const struct mu_kobject *last;
    bool more;
};

static int add_item(void *context, struct mu_kobject *object)
{
    struct page *page = context;
    struct mu_apiserver *server = page->call->server;
    if (!mu_selector_match(page->options->selector, object)) {
        return 0;
    }
    if (page->limit != 0 && page->count == page->limit) {
        page->more = true;
        return 1;
    }
    if (page->count > 0 && mu_render_is_text(&page->view)) {
        (void)mu_buf_append_text(&server->items, ",");
    }
    int code =
        mu_render_item(server, &page->view, mu_kobject_raw(object), page->now_s, &server->items);
    if (code != 0) {
        return code;
    }
    page->last = object;
    page->count++;
    return server->items.failed;
}

/* The list around its items, as JSON. */
static void put_text(struct page *page, const char *version, const char *token)
{
    struct mu_buf *items = &page->call->server->items;
    struct mu_buf *out = &page->call->response->body;
    bool table = page->view.form.as == MU_AS_TABLE;
    (void)mu_buf_printf(out,
                        "{\"kind\":\"%s\",\"apiVersion\":\"%s\",\"metadata\":{"
                        "\"resourceVersion\":\"%s\"%s%s%s}",
                        mu_render_list_kind(&page->view), mu_render_version(&page->view), version,
                        page->more ? ",\"continue\":\"" : "", token, page->more ? "\"" : "");
    if (table) {
        (void)mu_buf_append_text(out, ",\"columnDefinitions\":");
        mu_table_columns(&mu_kinds[page->view.kind], out);
    }
    (void)mu_buf_append_text(out, table ? ",\"rows\":[" : ",\"items\":[");
    (void)mu_buf_append(out, items->data, items->len);
    (void)mu_buf_append_text(out, "]}\n");
}

/* The list around its items in an envelope, written without joining the two first. */
static void put_protobuf(struct page *page, struct mu_str version, struct mu_str token)
{
    struct mu_buf *items = &page->call->server->items;
    struct mu_buf *out = &page->call->response->body;
    struct mu_buf head = {0};
    struct mu_buf type = {0};
    size_t size = mu_pb_bytes_size(2, version.len);
    size += page->more ? mu_pb_bytes_size(3, token.len) : 0;
    mu_pb_put_head(&head, 1, size);
    mu_pb_put_bytes(&head, 2, version);
    if (page->more) {
        mu_pb_put_bytes(&head, 3, token);
    }
    mu_pb_put_bytes(&type, 1, mu_str_of(mu_render_version(&page->view)));
    mu_pb_put_bytes(&type, 2, mu_str_of(mu_render_list_kind(&page->view)));
    (void)mu_buf_append(out, "k8s", 4); /* with its NUL */
    mu_pb_put_bytes(out, 1, (struct mu_str){(const char *)type.data, (uint32_t)type.len});
    mu_pb_put_head(out, 2, head.len + items->len);
    (void)mu_buf_append(out, head.data, head.len);
    (void)mu_buf_append(out, items->data, items->len);
    out->failed = head.failed != 0 ? head.failed : type.failed != 0 ? type.failed : out->failed;
    mu_buf_fini(&head);
    mu_buf_fini(&type);
}

static int respond_list(struct page *page, uint64_t version)
{
    struct mu_call *call = page->call;
    const char *token = "";
    if (page->more) {
        token = token_write(call->server, version, page->last);
        if (token == NULL) {
            return mu_api_internal(call, MU_ENOMEM);
        }
    }
    char number_text[24];
    (void)snprintf(number_text, sizeof number_text, "%" PRIu64, version);
    call->response->status = 200;
    if (mu_render_is_text(&page->view)) {
        call->response->media = MU_MEDIA_JSON;
        put_text(page, number_text, token);
    } else {
        call->response->media = MU_MEDIA_PROTOBUF;
        put_protobuf(page, mu_str_of(number_text), mu_str_of(token));
    }
    int failed = call->response->body.failed;
    return failed == 0 ? 0 : mu_api_internal(call, failed);
}

static int expired(struct mu_call *call, uint64_t version)
{
    return mu_api_fail(call, 410, "Expired",
                       "The provided version or continue parameter is too old: %" PRIu64
                       " (oldest: %" PRIu64 "); start the list again",
                       version, mu_store_floor(call->server->store, call->route.kind));
}

int mu_api_list(struct mu_call *call, struct mu_list_options *options)
{
    struct mu_apiserver *server = call->server;
    uint64_t now = mu_store_version(server->store);
    struct mu_store_range range = {.version = 0};
    struct page page = {.call = call,
                        .options = options,
                        .limit = options->limit,
                        .now_s = mu_render_now_s(server, call->now_ns)};
    int code = mu_api_view_of(call, &page.view);
    if (code != 0) {
        return code;
    }
    if (page.view.form.as == MU_AS_PARTIAL) {
        return mu_api_not_acceptable(call, "one object was asked for where there is a list");
    }
    if (call->route.ns.len > 0) {
        range.ns = call->route.ns;
    }
    if (options->continue_token.len > 0) {
        if (!token_read(server, options->continue_token, &range)) {
            return server->arena_full ? mu_api_no_room(call)
                                      : mu_api_fail(call, 400, "BadRequest",
                                                    "parameter continue: not a token of ours");
        }
    } else if (options->version > now) {
        return mu_api_too_large_version(call, options->version);
    } else if (options->match == MU_MATCH_EXACT ||
               (options->version > 0 && options->match == MU_MATCH_NONE && options->limit > 0)) {
        range.version = options->version;
    } else if (options->has_version && options->version == 0) {
        page.limit = 0; /* served from the cache, which pages nothing */
    }
    uint64_t version = range.version != 0 ? range.version : now;
    mu_buf_clear(&server->items);
    code = mu_store_walk(server->store, call->route.kind, &range, add_item, &page);
    if (code == MU_EEXPIRED) {
        return expired(call, version);
    }
    if (code < 0) {
        return mu_api_internal(call, code);
    }
    return respond_list(&page, version);
}

int mu_api_get(struct mu_call *call)
{
    bool present = false;
    uint64_t version = 0;
    int code = number(call, "resourceVersion", &present, &version);
    if (code != 0) {
        return code;
    }
    if (version > mu_store_version(call->server->store)) {
        return mu_api_too_large_version(call, version);
    }
    const struct mu_kobject *object =
        mu_store_get(call->server->store, call->route.kind, call->route.ns, call->route.name);
    if (object == NULL) {
        return mu_api_not_found(call);
    }
    return mu_api_respond_object(call, 200, object);
}
