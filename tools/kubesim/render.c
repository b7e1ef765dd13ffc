#include "tools/kubesim/render.h"

#include "engine/base/assert.h"
#include "engine/base/clock.h"
#include "informer/json_object.h"
#include "tools/kubesim/table.h"
#include "tools/kubesim/wire.h"

int mu_api_view_of(struct mu_call *call, struct mu_api_view *out)
{
    struct mu_str include = mu_query_get(&call->query, "includeObject");
    *out =
        (struct mu_api_view){.kind = call->route.kind, .api = call->route.api, .form = call->form};
    if (mu_str_equal(include, MU_STR("None"))) {
        out->include = MU_INCLUDE_NONE;
    } else if (mu_str_equal(include, MU_STR("Object"))) {
        out->include = MU_INCLUDE_OBJECT;
    } else if (include.len > 0 && !mu_str_equal(include, MU_STR("Metadata"))) {
        return mu_api_fail(call, 400, "BadRequest",
                           "parameter includeObject: '%.*s' is not None, Metadata or Object",
                           (int)(include.len < 80 ? include.len : 80), include.data);
    }
    return 0;
}

const char *mu_render_version(const struct mu_api_view *view)
{
    if (view->form.as != MU_AS_ITSELF) {
        return view->form.beta ? "meta.k8s.io/v1beta1" : "meta.k8s.io/v1";
    }
    return view->api != NULL ? view->api->api_version : mu_kinds[view->kind].api_version;
}

const char *mu_render_kind(const struct mu_api_view *view)
{
    switch (view->form.as) {
    case MU_AS_TABLE:
        return "Table";
    case MU_AS_PARTIAL:
    case MU_AS_PARTIAL_LIST:
        return "PartialObjectMetadata";
    default:
        return mu_kinds[view->kind].kind;
    }
}

const char *mu_render_list_kind(const struct mu_api_view *view)
{
    switch (view->form.as) {
    case MU_AS_TABLE:
        return "Table";
    case MU_AS_PARTIAL:
    case MU_AS_PARTIAL_LIST:
        return "PartialObjectMetadataList";
    default:
        return mu_kinds[view->kind].list_kind;
    }
}

bool mu_render_is_text(const struct mu_api_view *view)
{
    return view->form.media != MU_MEDIA_PROTOBUF;
}

int64_t mu_render_now_s(const struct mu_apiserver *server, uint64_t now_ns)
{
    return (int64_t)((server->config.wall_base_ns + now_ns) / MU_NS_PER_S);
}

/* ---- JSON --------------------------------------------------------------------------------- */

static int put_message(struct mu_apiserver *server, const ProtobufCMessageDescriptor *descriptor,
                       struct mu_str raw, const char *api_version, const char *kind,
                       struct mu_buf *out)
{
    mu_arena_reset(server->item_arena);
    ProtobufCMessage *message = mu_api_unpack_in(server->item_arena, descriptor, raw);
    return message == NULL
               ? MU_ENOMEM
               : mu_json_message_write(out, mu_str_of(api_version), mu_str_of(kind), message, NULL);
}

/* All of an object. `typed`: with its kind and version. */
static int put_full(struct mu_apiserver *server, const struct mu_api_view *view, struct mu_str raw,
                    bool typed, struct mu_buf *out)
{
    const struct mu_kind *kind = &mu_kinds[view->kind];
    const struct mu_kind_api *api = view->api;
    const ProtobufCMessageDescriptor *schema =
        api != NULL && api->schema != NULL ? api->schema : mu_kind_schema(kind);
    const char *version = api != NULL ? api->api_version : kind->api_version;
    struct mu_buf served = {0};
    int code = 0;
    if (api != NULL && api->renumber != NULL) {
        code = mu_pb_renumber(raw, api->renumber, false, &served);
        raw = (struct mu_str){(const char *)served.data, (uint32_t)served.len};
    }
    if (code == 0) {
        code = put_message(server, schema, raw, typed ? version : NULL, typed ? kind->kind : NULL,
                           out);
    }
    mu_buf_fini(&served);
    return code;
}

/* PartialObjectMetadata. */
static int put_partial(struct mu_apiserver *server, const struct mu_api_view *view,
                       struct mu_str raw, struct mu_buf *out)
{
    const ProtobufCFieldDescriptor *meta =
        protobuf_c_message_descriptor_get_field(mu_kind_schema(&mu_kinds[view->kind]), 1);
    MU_ASSERT(meta != NULL && meta->type == PROTOBUF_C_TYPE_MESSAGE);
    size_t before = out->len;
    (void)mu_buf_printf(out,
                        "{\"kind\":\"PartialObjectMetadata\",\"apiVersion\":\"%s\","
                        "\"metadata\":",
                        mu_render_version(view));
    int code = put_message(server, meta->descriptor, mu_pb_bytes(raw, 1, 0), NULL, NULL, out);
    code = code != 0 ? code : mu_buf_append_text(out, "}");
    if (code != 0) {
        out->len = before;
    }
    return code;
}

static int put_row(struct mu_apiserver *server, const struct mu_api_view *view, struct mu_str raw,
                   int64_t now_s, struct mu_buf *out)
{
    int code = 0;
    (void)mu_buf_append_text(out, "{\"cells\":");
    mu_table_cells(&mu_kinds[view->kind], raw, now_s, out);
    if (view->include != MU_INCLUDE_NONE) {
        (void)mu_buf_append_text(out, ",\"object\":");
        code = view->include == MU_INCLUDE_OBJECT ? put_full(server, view, raw, true, out)
                                                  : put_partial(server, view, raw, out);
    }
    (void)mu_buf_append_text(out, "}");
    return code != 0 ? code : out->failed;
}

static int put_table(struct mu_apiserver *server, const struct mu_api_view *view, struct mu_str raw,
                     int64_t now_s, bool columns, struct mu_buf *out)
{
    enum { RESOURCE_VERSION = 6 };
    struct mu_str version = mu_pb_bytes(raw, 1, RESOURCE_VERSION);
    (void)mu_buf_printf(out,
                        "{\"kind\":\"Table\",\"apiVersion\":\"%s\",\"metadata\":{"
                        "\"resourceVersion\":\"%.*s\"},\"columnDefinitions\":",
                        mu_render_version(view), MU_STR_ARGS(version));
    if (columns) {
        mu_table_columns(&mu_kinds[view->kind], out);
    } else {
        (void)mu_buf_append_text(out, "[]");
    }
    (void)mu_buf_append_text(out, ",\"rows\":[");
    int code = put_row(server, view, raw, now_s, out);
    (void)mu_buf_append_text(out, "]}");
    return code != 0 ? code : out->failed;
}

static int put_text(struct mu_apiserver *server, const struct mu_api_view *view, struct mu_str raw,
                    int64_t now_s, bool columns, struct mu_buf *out)
{
    switch (view->form.as) {
    case MU_AS_TABLE:
        return put_table(server, view, raw, now_s, columns, out);
    case MU_AS_PARTIAL:
    case MU_AS_PARTIAL_LIST:
        return put_partial(server, view, raw, out);
    default:
        return put_full(server, view, raw, true, out);
    }
}

/* ---- protobuf ----------------------------------------------------------------------------- */

/* The content of a PartialObjectMetadata: field 1 of every kind is its metadata. */
static struct mu_str partial_of(struct mu_str raw)
{
    struct mu_pb_field field;
    return mu_pb_find(raw, 1, &field) ? field.whole : (struct mu_str){NULL, 0};
}

/* From the stored form to the one that is shown: a view of the server's scratch buffer. */
static int show(struct mu_apiserver *server, const struct mu_api_view *view, struct mu_str *raw)
{
    const struct mu_kind *kind = &mu_kinds[view->kind];
    bool partial = view->form.as == MU_AS_PARTIAL || view->form.as == MU_AS_PARTIAL_LIST;
    if (kind->show == NULL || partial) {
        return 0; /* metadata is stored whole */
    }
    mu_buf_clear(&server->shown);
    int code = kind->show(*raw, &server->shown);
    *raw = (struct mu_str){(const char *)server->shown.data, (uint32_t)server->shown.len};
    return code;
}

int mu_render_object(struct mu_apiserver *server, const struct mu_api_view *view, struct mu_str raw,
                     int64_t now_s, bool columns, struct mu_buf *out)
{
    size_t before = out->len;
    int code = show(server, view, &raw);
    if (code != 0) {
        return code;
    }
    if (mu_render_is_text(view)) {
        code = put_text(server, view, raw, now_s, columns, out);
    } else if (view->form.as != MU_AS_ITSELF) {
        code = mu_buf_append_str(out, partial_of(raw));
    } else if (view->api != NULL && view->api->renumber != NULL) {
        code = mu_pb_renumber(raw, view->api->renumber, false, out);
    } else {
        code = mu_buf_append_str(out, raw);
    }
    if (code != 0) {
        out->len = before;
    }
    return code;
}

int mu_render_item(struct mu_apiserver *server, const struct mu_api_view *view, struct mu_str raw,
                   int64_t now_s, struct mu_buf *out)
{
    int code = 0;
    if (!mu_render_is_text(view)) {
        if (view->form.as != MU_AS_ITSELF) {
            raw = partial_of(raw);
        } else if (view->api != NULL && view->api->renumber != NULL) {
            struct mu_buf served = {0};
            code = mu_pb_renumber(raw, view->api->renumber, false, &served);
            if (code == 0) {
                mu_pb_put_bytes(out, 2, (struct mu_str){(char *)served.data, (uint32_t)served.len});
            }
            mu_buf_fini(&served);
            return code != 0 ? code : out->failed;
        }
        mu_pb_put_bytes(out, 2, raw);
        return out->failed;
    }
    code = show(server, view, &raw);
    if (code != 0) {
        return code;
    }
    size_t before = out->len;
    if (view->form.as == MU_AS_TABLE) {
        code = put_row(server, view, raw, now_s, out);
    } else if (view->form.as != MU_AS_ITSELF) {
        code = put_partial(server, view, raw, out);
    } else {
        /* As on the real server: only custom resources say what they are in a list of their own. */
        code = put_full(server, view, raw, mu_kinds[view->kind].json_only, out);
    }
    if (code != 0) {
        out->len = before;
    }
    return code;
}
