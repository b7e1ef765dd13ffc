/*
 * OpenAPI v2, for clients that validate what they create themselves: kubectl before 1.29, and later
 * ones for the List in a file. One document describes all group versions; it comes in the one form
 * that these clients ask for, the protobuf encoding of google/gnostic (OpenAPIv2.proto, which has
 * the field numbers below).
 *
 * Lists say by which key a strategic merge patch merges them, as kubectl's apply before 1.27 needs.
 * Operations do not say what they consume: later ones then use the rules built into them.
 */
#include <stdio.h>
#include "informer/json_object.h"
#include "tools/kubesim/discovery.h"
#include "tools/kubesim/served.h"
#include "tools/kubesim/wire.h"

/* Clients ask for "...v2@v1.0+protobuf" and cannot read an '@' in an answer's type. */
#define CONTENT_TYPE "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"

enum { NAMED_NAME = 1, NAMED_VALUE = 2 }; /* of every Named... message */
enum { DOCUMENT_SWAGGER = 1, DOCUMENT_INFO = 2, DOCUMENT_PATHS = 8, DOCUMENT_DEFINITIONS = 9 };
enum { PATHS_PATH = 2, PATH_PATCH = 8, DEFINITION = 1 };
enum { OPERATION_ID = 5, OPERATION_PARAMETERS = 8, OPERATION_RESPONSES = 9, OPERATION_MORE = 13 };
enum { PARAMETER = 1, NON_BODY = 2, QUERY = 3, QUERY_IN = 2, QUERY_NAME = 4, QUERY_TYPE = 6 };
enum {
    SCHEMA_REF = 1,
    SCHEMA_FORMAT = 2,
    SCHEMA_ADDITIONAL = 21,
    SCHEMA_TYPE = 22,
    SCHEMA_ITEMS = 23,
    SCHEMA_PROPERTIES = 25,
    SCHEMA_MORE = 31
};

static struct mu_str view(const struct mu_buf *buf)
{
    return (struct mu_str){(const char *)buf->data, (uint32_t)buf->len};
}

static void put_text(struct mu_buf *out, uint32_t number, const char *text)
{
    mu_pb_put_bytes(out, number, mu_str_of(text));
}

/* Append *inner as a field and free it; its error goes on. */
static void put_part(struct mu_buf *out, uint32_t number, struct mu_buf *inner)
{
    mu_pb_put_bytes(out, number, view(inner));
    out->failed = out->failed != 0 ? out->failed : inner->failed;
    mu_buf_fini(inner);
}

/* A Named... message around *value, which is freed. */
static void put_named(struct mu_buf *out, uint32_t number, const char *name, struct mu_buf *value)
{
    struct mu_buf named = {0};
    put_text(&named, NAMED_NAME, name);
    put_part(&named, NAMED_VALUE, value);
    put_part(out, number, &named);
}

/* An extension "x-...", whose value is YAML. */
static void put_extension(struct mu_buf *out, uint32_t number, const char *name,
                          struct mu_buf *yaml)
{
    enum { ANY_YAML = 2 };
    struct mu_buf any = {0};
    put_part(&any, ANY_YAML, yaml);
    put_named(out, number, name, &any);
}

/* ---- schemas ------------------------------------------------------------------------------ */

static void put_type(struct mu_buf *schema, const char *type, const char *format)
{
    struct mu_buf item = {0};
    if (format != NULL) {
        put_text(schema, SCHEMA_FORMAT, format);
    }
    put_text(&item, 1, type);
    put_part(schema, SCHEMA_TYPE, &item);
}

static void put_scalar(struct mu_buf *schema, const ProtobufCFieldDescriptor *field)
{
    switch (field->type) {
    case PROTOBUF_C_TYPE_BOOL:
        put_type(schema, "boolean", NULL);
        break;
    case PROTOBUF_C_TYPE_INT32:
        put_type(schema, "integer", "int32");
        break;
    case PROTOBUF_C_TYPE_INT64:
        put_type(schema, "integer", "int64");
        break;
    case PROTOBUF_C_TYPE_DOUBLE:
        put_type(schema, "number", "double");
        break;
    case PROTOBUF_C_TYPE_BYTES:
        put_type(schema, "string", "byte");
        break;
    default:
        put_type(schema, "string", NULL);
        break;
    }
}

/* Append the fields of the Schema of one value of `field`. */
static void put_value(struct mu_buf *schema, struct mu_schemas *schemas,
                      const ProtobufCFieldDescriptor *field)
{
    struct mu_buf text = {0};
    switch (mu_json_shape_of(field)) {
    case MU_JSON_TIME:
    case MU_JSON_MICRO_TIME:
        put_type(schema, "string", "date-time");
        return;
    case MU_JSON_QUANTITY:
        put_type(schema, "string", NULL);
        return;
    case MU_JSON_INT_OR_STRING:
        put_type(schema, "string", "int-or-string");
        return;
    case MU_JSON_RAW:
    case MU_JSON_LIST: /* any value: no type */
        return;
    default:
        break;
    }
    if (field->type != PROTOBUF_C_TYPE_MESSAGE) {
        put_scalar(schema, field);
        return;
    }
    const ProtobufCMessageDescriptor *descriptor = field->descriptor;
    mu_schemas_add(schemas, descriptor);
    (void)mu_buf_printf(&text, "#/definitions/%s", descriptor->name);
    put_part(schema, SCHEMA_REF, &text);
}

/* How a strategic merge patch treats the field. */
static void put_merge(struct mu_buf *schema, const ProtobufCMessageDescriptor *type,
                      const char *field)
{
    struct mu_json_merge rule = mu_json_merge_of(type, field);
    struct mu_buf yaml = {0};
    if (rule.merge && rule.key != NULL) {
        (void)mu_buf_printf(&yaml, "%s\n", rule.key);
        put_extension(schema, SCHEMA_MORE, "x-kubernetes-patch-merge-key", &yaml);
    }
    if (rule.merge || rule.retain_keys) {
        yaml = (struct mu_buf){0};
        (void)mu_buf_printf(&yaml, "%s\n",
                            !rule.retain_keys ? "merge"
                            : rule.merge      ? "merge,retainKeys"
                                              : "retainKeys");
        put_extension(schema, SCHEMA_MORE, "x-kubernetes-patch-strategy", &yaml);
    }
}

static void put_property(struct mu_buf *properties, struct mu_schemas *schemas,
                         const ProtobufCMessageDescriptor *type,
                         const ProtobufCFieldDescriptor *field)
{
    struct mu_buf schema = {0};
    struct mu_buf inner = {0};
    struct mu_buf wrapped = {0};
    if (mu_json_shape_of(field) == MU_JSON_ENTRY) {
        put_type(&schema, "object", NULL);
        put_value(&inner, schemas, protobuf_c_message_descriptor_get_field(field->descriptor, 2));
        put_part(&wrapped, 1, &inner);
        put_part(&schema, SCHEMA_ADDITIONAL, &wrapped);
    } else if (field->label == PROTOBUF_C_LABEL_REPEATED) {
        put_type(&schema, "array", NULL);
        put_value(&inner, schemas, field);
        put_part(&wrapped, 1, &inner);
        put_part(&schema, SCHEMA_ITEMS, &wrapped);
    } else {
        put_value(&schema, schemas, field);
    }
    put_merge(&schema, type, field->name);
    put_named(properties, 1, field->name, &schema);
}

static void put_properties(struct mu_buf *properties, struct mu_schemas *schemas,
                           const ProtobufCMessageDescriptor *type)
{
    for (unsigned i = 0; i < type->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &type->fields[i];
        if (mu_json_shape_of(field) == MU_JSON_INLINE) {
            put_properties(properties, schemas, field->descriptor);
        } else {
            put_property(properties, schemas, type, field);
        }
    }
}

static void put_definition(struct mu_buf *definitions, struct mu_schemas *schemas,
                           const ProtobufCMessageDescriptor *type)
{
    struct mu_buf schema = {0};
    struct mu_buf properties = {0};
    struct mu_buf kinds = {0};
    for (struct mu_served at = {.hidden = schemas->hidden}; mu_served_next(&at);) {
        if (at.schema == type) {
            (void)mu_buf_printf(&kinds, "- group: \"%s\"\n  kind: %s\n  version: %s\n", at.group,
                                at.kind->kind, at.version);
        }
    }
    put_type(&schema, "object", NULL);
    if (kinds.len > 0) {
        static const char *const own[] = {"apiVersion", "kind"};
        for (int i = 0; i < 2; i++) {
            struct mu_buf text = {0};
            put_type(&text, "string", NULL);
            put_named(&properties, 1, own[i], &text);
        }
    }
    put_properties(&properties, schemas, type);
    put_part(&schema, SCHEMA_PROPERTIES, &properties);
    if (kinds.len > 0) {
        put_extension(&schema, SCHEMA_MORE, "x-kubernetes-group-version-kind", &kinds);
    }
    put_named(definitions, DEFINITION, type->name, &schema);
}

/* ---- the document ------------------------------------------------------------------------- */

/* A patch operation that takes fieldValidation. */
static void put_path(struct mu_buf *paths, const struct mu_served *at)
{
    struct mu_buf query = {0};
    struct mu_buf non_body = {0};
    struct mu_buf parameter = {0};
    struct mu_buf item = {0};
    struct mu_buf operation = {0};
    struct mu_buf path = {0};
    struct mu_buf text = {0};
    put_text(&query, QUERY_IN, "query");
    put_text(&query, QUERY_NAME, "fieldValidation");
    put_text(&query, QUERY_TYPE, "string");
    put_part(&non_body, QUERY, &query);
    put_part(&parameter, NON_BODY, &non_body);
    put_part(&item, PARAMETER, &parameter);
    (void)mu_buf_printf(&text, "patch%s%s%s", at->group, at->version, at->kind->kind);
    put_part(&operation, OPERATION_ID, &text);
    put_part(&operation, OPERATION_PARAMETERS, &item);
    text = (struct mu_buf){0};
    put_part(&operation, OPERATION_RESPONSES, &text);
    (void)mu_buf_printf(&text, "group: \"%s\"\nkind: %s\nversion: %s\n", at->group, at->kind->kind,
                        at->version);
    put_extension(&operation, OPERATION_MORE, "x-kubernetes-group-version-kind", &text);
    put_part(&path, PATH_PATCH, &operation);
    char name[256];
    (void)snprintf(name, sizeof name, "/%s%s/%s/%s%s/{name}",
                   at->group[0] == '\0' ? "api" : "apis/", at->group, at->version,
                   at->kind->namespaced ? "namespaces/{namespace}/" : "", at->kind->plural);
    put_named(paths, PATHS_PATH, name, &path);
}

bool mu_api_openapi_v2(struct mu_call *call)
{
    static const char mark[] = "openapi.spec.v2";
    struct mu_str accept = call->request->accept;
    if (accept.len == 0 || memmem(accept.data, accept.len, mark, sizeof mark - 1) == NULL) {
        (void)mu_api_not_acceptable(call, "OpenAPI v2 comes as protobuf");
        return true;
    }
    struct mu_schemas *schemas = mu_api_alloc(call->server, sizeof *schemas);
    if (schemas == NULL) {
        (void)mu_api_internal(call, MU_ENOMEM);
        return true;
    }
    struct mu_buf *out = &call->response->body;
    struct mu_buf info = {0};
    struct mu_buf paths = {0};
    struct mu_buf definitions = {0};
    schemas->hidden = call->server->hidden;
    put_text(&info, 1, "Kubernetes");
    put_text(&info, 2, MU_KUBESIM_VERSION);
    for (struct mu_served at = {.hidden = schemas->hidden}; mu_served_next(&at);) {
        put_path(&paths, &at);
        mu_schemas_add(schemas, at.schema);
    }
    for (; schemas->done < schemas->count; schemas->done++) {
        put_definition(&definitions, schemas, schemas->list[schemas->done]);
    }
    put_text(out, DOCUMENT_SWAGGER, "2.0");
    put_part(out, DOCUMENT_INFO, &info);
    put_part(out, DOCUMENT_PATHS, &paths);
    put_part(out, DOCUMENT_DEFINITIONS, &definitions);
    if (out->failed != 0) {
        (void)mu_api_internal(call, out->failed);
        return true;
    }
    call->response->status = 200;
    call->response->media = MU_MEDIA_PROTOBUF;
    call->response->content_type = CONTENT_TYPE;
    return true;
}
