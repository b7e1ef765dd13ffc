/*
 * OpenAPI v3: an index of group versions, and one document for each, printed from the table of
 * kinds and their descriptors. A document has
 *
 *   paths    get and patch of one object, with the group, version and kind that clients look it up
 *            by. kubectl validates what it creates on the server when patch has the parameter
 *            fieldValidation. No request body is described: clients then merge lists by the rules
 *            built into them, which our descriptors do not carry.
 *   schemas  of every message that the kinds reach, for `kubectl explain`.
 *
 * Version 2 is in openapi_v2.c.
 */
#include <inttypes.h>
#include <stdio.h>
#include "engine/base/assert.h"
#include "informer/json_object.h"
#include "tools/kubesim/discovery.h"
#include "tools/kubesim/limits.h"
#include "tools/kubesim/served.h"

static void put(struct mu_buf *out, const char *text)
{
    (void)mu_buf_append_text(out, text);
}

/* ---- schemas ------------------------------------------------------------------------------ */

void mu_schemas_add(struct mu_schemas *schemas, const ProtobufCMessageDescriptor *descriptor)
{
    uint32_t i = 0;
    while (i < schemas->count && schemas->list[i] != descriptor) {
        i++;
    }
    if (i == schemas->count) {
        MU_ASSERT(schemas->count < MU_KUBESIM_SCHEMAS_MAX); /* our own descriptors: a fixed set */
        schemas->list[schemas->count++] = descriptor;
    }
}

static const char *scalar_schema(const ProtobufCFieldDescriptor *field)
{
    switch (field->type) {
    case PROTOBUF_C_TYPE_BOOL:
        return "{\"type\":\"boolean\"}";
    case PROTOBUF_C_TYPE_INT32:
        return "{\"type\":\"integer\",\"format\":\"int32\"}";
    case PROTOBUF_C_TYPE_INT64:
        return "{\"type\":\"integer\",\"format\":\"int64\"}";
    case PROTOBUF_C_TYPE_DOUBLE:
        return "{\"type\":\"number\",\"format\":\"double\"}";
    case PROTOBUF_C_TYPE_BYTES:
        return "{\"type\":\"string\",\"format\":\"byte\"}";
    default:
        return "{\"type\":\"string\"}";
    }
}

/* The schema of one value of a field. */
static void put_value_schema(struct mu_buf *out, struct mu_schemas *schemas,
                             const ProtobufCFieldDescriptor *field)
{
    switch (mu_json_shape_of(field)) {
    case MU_JSON_TIME:
    case MU_JSON_MICRO_TIME:
        put(out, "{\"type\":\"string\",\"format\":\"date-time\"}");
        return;
    case MU_JSON_QUANTITY:
        put(out, "{\"type\":\"string\"}");
        return;
    case MU_JSON_INT_OR_STRING:
        put(out, "{\"type\":\"string\",\"format\":\"int-or-string\"}");
        return;
    case MU_JSON_RAW:
        put(out, "{\"type\":\"object\"}");
        return;
    case MU_JSON_LIST:
        put(out, "{\"type\":\"array\",\"items\":{\"type\":\"string\"}}");
        return;
    default:
        break;
    }
    if (field->type != PROTOBUF_C_TYPE_MESSAGE) {
        put(out, scalar_schema(field));
        return;
    }
    const ProtobufCMessageDescriptor *descriptor = field->descriptor;
    mu_schemas_add(schemas, descriptor);
    (void)mu_buf_printf(out, "{\"allOf\":[{\"$ref\":\"#/components/schemas/%s\"}]}",
                        descriptor->name);
}

static void put_properties(struct mu_buf *out, struct mu_schemas *schemas,
                           const ProtobufCMessageDescriptor *descriptor, bool *first)
{
    for (unsigned i = 0; i < descriptor->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &descriptor->fields[i];
        enum mu_json_shape shape = mu_json_shape_of(field);
        if (shape == MU_JSON_INLINE) {
            put_properties(out, schemas, field->descriptor, first);
            continue;
        }
        (void)mu_buf_printf(out, "%s\"%s\":", *first ? "" : ",", field->name);
        *first = false;
        if (shape == MU_JSON_ENTRY) {
            put(out, "{\"type\":\"object\",\"additionalProperties\":");
            put_value_schema(out, schemas,
                             protobuf_c_message_descriptor_get_field(field->descriptor, 2));
            put(out, "}");
        } else if (field->label == PROTOBUF_C_LABEL_REPEATED) {
            put(out, "{\"type\":\"array\",\"items\":");
            put_value_schema(out, schemas, field);
            put(out, "}");
        } else {
            put_value_schema(out, schemas, field);
        }
    }
}

/* A message; `served` (may be NULL) is the kind that it is. */
static void put_schema(struct mu_buf *out, struct mu_schemas *schemas,
                       const ProtobufCMessageDescriptor *descriptor, const struct mu_served *served)
{
    static const char type[] =
        "\"apiVersion\":{\"type\":\"string\"},\"kind\":{\"type\":\"string\"}";
    bool first = served == NULL;
    (void)mu_buf_printf(out, "\"%s\":{\"type\":\"object\",\"properties\":{%s", descriptor->name,
                        served == NULL ? "" : type);
    put_properties(out, schemas, descriptor, &first);
    put(out, "}");
    if (served != NULL) {
        (void)mu_buf_printf(out,
                            ",\"x-kubernetes-group-version-kind\":[{\"group\":\"%s\",\"kind\":"
                            "\"%s\",\"version\":\"%s\"}]",
                            served->group, served->kind->kind, served->version);
    }
    put(out, "}");
}

/* ---- documents ---------------------------------------------------------------------------- */

static void put_operation(struct mu_buf *out, const struct mu_served *at, const char *method)
{
    bool patch = strcmp(method, "patch") == 0;
    (void)mu_buf_printf(out, "\"%s\":{\"operationId\":\"%s%s%s%s\",\"parameters\":[", method,
                        method, at->group, at->version, at->kind->kind);
    put(out, patch ? "{\"name\":\"fieldValidation\",\"in\":\"query\",\"schema\":{\"type\":"
                     "\"string\"}}"
                   : "");
    (void)mu_buf_printf(out,
                        "],\"responses\":{\"200\":{\"description\":\"OK\"}},"
                        "\"x-kubernetes-action\":\"%s\",\"x-kubernetes-group-version-kind\":{"
                        "\"group\":\"%s\",\"kind\":\"%s\",\"version\":\"%s\"}}",
                        method, at->group, at->kind->kind, at->version);
}

static void put_paths(struct mu_buf *out, uint32_t hidden, const char *group, const char *version)
{
    bool first = true;
    for (struct mu_served at = {.hidden = hidden}; mu_served_next_in(&at, group, version);
         first = false) {
        (void)mu_buf_printf(out, "%s\"/%s%s/%s/%s%s/{name}\":{", first ? "" : ",",
                            group[0] == '\0' ? "api" : "apis/", group, version,
                            at.kind->namespaced ? "namespaces/{namespace}/" : "", at.kind->plural);
        put_operation(out, &at, "get");
        put(out, ",");
        put_operation(out, &at, "patch");
        put(out, "}");
    }
}

static void put_document(struct mu_buf *out, struct mu_schemas *schemas, const char *group,
                         const char *version)
{
    put(out, "{\"openapi\":\"3.0.0\",\"info\":{\"title\":\"Kubernetes\",\"version\":"
             "\"" MU_KUBESIM_VERSION "\"},\"paths\":{");
    put_paths(out, schemas->hidden, group, version);
    put(out, "},\"components\":{\"schemas\":{");
    bool first = true;
    for (struct mu_served at = {.hidden = schemas->hidden}; mu_served_next_in(&at, group, version);
         first = false) {
        put(out, first ? "" : ",");
        mu_schemas_add(schemas, at.schema);
        put_schema(out, schemas, at.schema, &at);
    }
    for (; schemas->done < schemas->count; schemas->done++) {
        const ProtobufCMessageDescriptor *descriptor = schemas->list[schemas->done];
        bool is_kind = false;
        for (struct mu_served at = {.hidden = schemas->hidden};
             mu_served_next_in(&at, group, version);) {
            is_kind |= at.schema == descriptor;
        }
        if (!is_kind) {
            put(out, ",");
            put_schema(out, schemas, descriptor, NULL);
        }
    }
    put(out, "}}}\n");
}

/* FNV-1a: clients keep a document as long as its URL stays the same. */
static uint64_t hash_of(const struct mu_buf *text)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < text->len; i++) {
        hash = (hash ^ text->data[i]) * UINT64_C(0x100000001b3);
    }
    return hash;
}

static void put_index(struct mu_buf *out, struct mu_schemas *schemas)
{
    struct mu_served_groups groups;
    struct mu_buf document = {0};
    bool first = true;
    int failed = 0;
    mu_served_groups(schemas->hidden, &groups);
    put(out, "{\"paths\":{");
    for (uint32_t i = 0; i < groups.count; i++) {
        const struct mu_served_group *group = &groups.groups[i];
        for (uint32_t v = 0; v < group->version_count; v++, first = false) {
            char path[160];
            (void)snprintf(path, sizeof path, "%s%s/%s", group->group[0] == '\0' ? "api" : "apis/",
                           group->group, group->versions[v]);
            mu_buf_clear(&document);
            schemas->count = schemas->done = 0;
            put_document(&document, schemas, group->group, group->versions[v]);
            failed = failed != 0 ? failed : document.failed;
            (void)mu_buf_printf(
                out, "%s\"%s\":{\"serverRelativeURL\":\"/openapi/v3/%s?hash=%016" PRIX64 "\"}",
                first ? "" : ",", path, path, hash_of(&document));
        }
    }
    put(out, "}}\n");
    out->failed = failed != 0 ? failed : out->failed;
    mu_buf_fini(&document);
}

bool mu_api_openapi(struct mu_call *call, const struct mu_api_path *path)
{
    bool core = mu_api_path_is(path, 2, "api");
    if (mu_api_path_is(path, 0, "openapi") && mu_api_path_is(path, 1, "v2") && path->count == 2) {
        return mu_api_openapi_v2(call);
    }
    if (!mu_api_path_is(path, 0, "openapi") || !mu_api_path_is(path, 1, "v3") ||
        (path->count > 2 && !core && !mu_api_path_is(path, 2, "apis"))) {
        return false;
    }
    struct mu_buf *out = &call->response->body;
    const char *version = NULL;
    const struct mu_served_group *group = NULL;
    struct mu_served_groups groups;
    if (path->count > 2) {
        mu_served_groups(call->server->hidden, &groups);
        uint32_t at = core ? 2 : 3;
        group = at < path->count
                    ? mu_served_group_find(&groups, core ? MU_STR("") : path->segments[at])
                    : NULL;
        version = group != NULL && path->count == at + 2
                      ? mu_served_version_find(group, path->segments[at + 1])
                      : NULL;
        if (version == NULL || (!core && group->group[0] == '\0')) {
            return false;
        }
    }
    if (!mu_api_accepts(call, 0)) {
        return true;
    }
    struct mu_schemas *schemas = mu_api_alloc(call->server, sizeof *schemas);
    if (schemas == NULL) {
        (void)mu_api_internal(call, MU_ENOMEM);
        return true;
    }
    schemas->hidden = call->server->hidden;
    if (version == NULL) {
        put_index(out, schemas);
    } else {
        put_document(out, schemas, group->group, version);
    }
    if (out->failed != 0) {
        (void)mu_api_internal(call, out->failed);
        return true;
    }
    call->response->status = 200;
    call->response->media = MU_MEDIA_JSON;
    return true;
}
