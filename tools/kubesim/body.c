#include "tools/kubesim/body.h"

#include "engine/base/assert.h"
#include "informer/limits.h"
#include "informer/proto/policy.pb-c.h"
#include "informer/yaml_json.h"
#include "tools/kubesim/limits.h"
#include "tools/kubesim/schema/core.pb-c.h"
#include "tools/kubesim/schema/policy.pb-c.h"
#include "tools/kubesim/wire.h"

/* ---- encodings ---------------------------------------------------------------------------- */

/* Varints up to the end. */
static bool packed_sound(struct mu_str bytes)
{
    uint32_t run = 0;
    for (uint32_t i = 0; i < bytes.len; i++) {
        run = (uint8_t)bytes.data[i] < 0x80 ? 0 : run + 1;
        if (run == 10)
            return false;
    }
    return run == 0;
}

static bool conforms(struct mu_str raw, const ProtobufCMessageDescriptor *type, uint32_t depth);

/* Whether protobuf-c will take a field of the wire as what the schema says. */
static bool field_conforms(const struct mu_pb_field *field, const ProtobufCFieldDescriptor *as,
                           uint32_t depth)
{
    enum { VARINT = 0, BYTES = 2 };
    unsigned wire = (unsigned char)field->whole.data[0] & 7u;
    switch (as->type) {
    case PROTOBUF_C_TYPE_MESSAGE:
        return wire == BYTES && conforms(field->bytes, as->descriptor, depth + 1);
    case PROTOBUF_C_TYPE_STRING:
    case PROTOBUF_C_TYPE_BYTES:
        return wire == BYTES;
    default:
        return wire == VARINT || (wire == BYTES && as->label == PROTOBUF_C_LABEL_REPEATED &&
                                  packed_sound(field->bytes));
    }
}

/* Whether an encoding decodes as a message of this type. protobuf-c descends as deep as the bytes
 * say, so depth is checked before it gets them: some messages contain themselves. */
static bool conforms(struct mu_str raw, const ProtobufCMessageDescriptor *type, uint32_t depth)
{
    struct mu_pb_field field;
    int more = 0;
    if (depth >= MU_JSON_DEPTH_MAX)
        return false;
    while ((more = mu_pb_next(&raw, &field)) == 1) {
        const ProtobufCFieldDescriptor *as =
            protobuf_c_message_descriptor_get_field(type, field.number);
        if (as != NULL && !field_conforms(&field, as, depth))
            return false;
    }
    return more == 0;
}

int mu_body_encode(struct mu_call *call, const ProtobufCMessage *message, struct mu_str *out)
{
    size_t size = protobuf_c_message_get_packed_size(message);
    uint8_t *bytes = mu_api_alloc(call->server, size + 1);
    if (bytes == NULL)
        return mu_api_no_room(call);
    size_t written = protobuf_c_message_pack(message, bytes);
    MU_ASSERT(written == size);
    *out = (struct mu_str){(const char *)bytes, (uint32_t)size};
    return 0;
}

/* Renumber into the arena. */
static int renumber(struct mu_call *call, const struct mu_renumber *map, bool to_stored,
                    struct mu_str raw, struct mu_str *out)
{
    struct mu_buf buf = {0};
    int code = mu_pb_renumber(raw, map, to_stored, &buf);
    if (code == 0) {
        out->data = mu_api_text(call->server, (struct mu_str){(char *)buf.data, (uint32_t)buf.len});
        out->len = (uint32_t)buf.len;
        code = out->data == NULL ? MU_ENOMEM : 0;
    }
    mu_buf_fini(&buf);
    return code != 0 ? mu_api_internal(call, code) : 0;
}

struct mu_body_form mu_body_form_of(const struct mu_call *call)
{
    const struct mu_kind *kind = &mu_kinds[call->route.kind];
    const struct mu_kind_api *api = call->route.api;
    struct mu_body_form form = {kind->api_version, kind->schema, NULL};
    if (form.schema == NULL)
        form.schema = kind->descriptor;
    if (api != NULL) {
        form.api_version = api->api_version;
        form.schema = api->schema != NULL ? api->schema : form.schema;
        form.renumber = api->renumber;
    }
    return form;
}

int mu_body_to_stored(struct mu_call *call, struct mu_str served, ProtobufCMessage **out)
{
    struct mu_body_form form = mu_body_form_of(call);
    if (form.renumber != NULL) {
        int code = renumber(call, form.renumber, true, served, &served);
        if (code != 0)
            return code;
    }
    *out = mu_api_unpack(call->server, mu_kinds[call->route.kind].descriptor, served);
    return *out == NULL ? mu_api_no_room(call) : 0;
}

int mu_body_to_served(struct mu_call *call, struct mu_str stored, struct mu_str *out)
{
    struct mu_body_form form = mu_body_form_of(call);
    *out = stored;
    return form.renumber == NULL ? 0 : renumber(call, form.renumber, false, stored, out);
}

/* ---- strictness --------------------------------------------------------------------------- */

int mu_body_strictness(struct mu_call *call, enum mu_strictness *out)
{
    static const struct {
        const char *name;
        enum mu_strictness value;
    } names[] = {{"Ignore", MU_IGNORE}, {"Warn", MU_WARN}, {"Strict", MU_STRICT}};
    struct mu_str value = mu_query_get(&call->query, "fieldValidation");
    bool known = value.len == 0;
    *out = MU_WARN;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (mu_str_equal(value, mu_str_of(names[i].name))) {
            *out = names[i].value;
            known = true;
        }
    }
    return known ? 0
                 : mu_api_fail(call, 422, "Invalid",
                               "fieldValidation: Unsupported value: \"%.*s\": supported values: "
                               "\"Ignore\", \"Strict\", \"Warn\"",
                               (int)(value.len < 80 ? value.len : 80), value.data);
}

int mu_body_warn(struct mu_call *call, const struct mu_json_problems *problems)
{
    struct mu_str lines = {(const char *)problems->lines.data, (uint32_t)problems->lines.len};
    int code = mu_buf_append_str(&call->response->warnings, lines);
    return code == 0 ? 0 : mu_api_internal(call, code);
}

const char *mu_body_strict_text(struct mu_call *call, const struct mu_json_problems *problems)
{
    struct mu_buf text = {0};
    (void)mu_buf_append_text(&text, "strict decoding error: ");
    for (size_t i = 0; i + 1 < problems->lines.len; i++) { /* the last byte ends the last line */
        char c = (char)problems->lines.data[i];
        (void)mu_buf_append(&text, c == '\n' ? ", " : &c, c == '\n' ? 2 : 1);
    }
    char *copy = NULL;
    if (text.failed == 0)
        copy = mu_api_text(call->server, (struct mu_str){(char *)text.data, (uint32_t)text.len});
    mu_buf_fini(&text);
    return copy;
}

/* ---- bodies ------------------------------------------------------------------------------- */

/* What a body has to be. */
struct want {
    const ProtobufCMessageDescriptor *schema;
    const char *const *api_versions; /* ends with NULL */
    const char *kind;
};

static bool version_allowed(struct mu_str version, const char *const *api_versions)
{
    for (; *api_versions != NULL; api_versions++)
        if (mu_str_equal(version, mu_str_of(*api_versions)))
            return true;
    return version.len == 0; /* the handler's own version is the default */
}

static int check_type(struct mu_call *call, struct mu_str version, struct mu_str kind,
                      const struct want *want)
{
    if (version_allowed(version, want->api_versions) &&
        (kind.len == 0 || mu_str_equal(kind, mu_str_of(want->kind))))
        return 0;
    return mu_api_fail(call, 400, "BadRequest",
                       "the body is a %.*s of apiVersion %.*s, expected %s of %s",
                       MU_STR_ARGS(kind), MU_STR_ARGS(version), want->kind, want->api_versions[0]);
}

/* 400 in the real server's words. */
static int cannot_handle(struct mu_call *call, const struct want *want, const char *why)
{
    return mu_api_fail(call, 400, "BadRequest",
                       "%s in version \"%s\" cannot be handled as a %s: %s", want->kind,
                       want->api_versions[0], want->kind, why);
}

static int read_protobuf(struct mu_call *call, const struct want *want, struct mu_str *out)
{
    struct mu_envelope envelope;
    struct mu_error error = {0, ""};
    if (mu_envelope_open(call->request->body, &envelope, &error) != 0)
        return mu_api_fail(call, 400, "BadRequest", "body: %s", error.text);
    int code = check_type(call, envelope.kind.len != 0 ? envelope.api_version : MU_STR(""),
                          envelope.kind, want);
    if (code != 0)
        return code;
    if (!conforms(envelope.raw, want->schema, 0))
        return mu_api_fail(call, 400, "BadRequest", "body: not a protobuf %s", want->kind);
    *out = envelope.raw;
    return 0;
}

static struct mu_str json_text(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    return json_is_string(value)
               ? (struct mu_str){json_string_value(value), (uint32_t)json_string_length(value)}
               : (struct mu_str){NULL, 0};
}

static int read_failed(struct mu_call *call, const struct want *want, int status,
                       const struct mu_error *error)
{
    if (status == MU_EINVAL)
        return cannot_handle(call, want, error->text);
    if (status == MU_ELIMIT)
        return mu_api_fail(call, 413, "RequestEntityTooLarge", "%s", error->text);
    return status == MU_ENOMEM ? mu_api_no_room(call) : mu_api_internal(call, status);
}

/* A tree into an encoding; problems are dealt with as the request says. */
static int read_tree(struct mu_call *call, const struct want *want, const json_t *root,
                     enum mu_strictness strictness, struct mu_json_problems *problems,
                     struct mu_str *out)
{
    struct mu_error error = {0, ""};
    int code = check_type(call, json_text(root, "apiVersion"), json_text(root, "kind"), want);
    if (code != 0)
        return code;
    ProtobufCMessage *message = mu_api_new(call->server, want->schema);
    int status = message == NULL
                     ? MU_ENOMEM
                     : mu_json_message_read(message, root, call->server->arena, problems, &error);
    if (status != 0)
        return read_failed(call, want, status, &error);
    if (problems != NULL && problems->count > 0 && strictness == MU_STRICT) {
        const char *text = mu_body_strict_text(call, problems);
        return text == NULL ? mu_api_internal(call, MU_ENOMEM) : cannot_handle(call, want, text);
    }
    if (problems != NULL && problems->count > 0)
        code = mu_body_warn(call, problems);
    return code != 0 ? code : mu_body_encode(call, message, out);
}

/* The body as a tree. *root is NULL on an error, which is answered. */
static int parse_body(struct mu_call *call, const struct want *want,
                      struct mu_json_problems *problems, json_t **root)
{
    struct mu_error error = {0, ""};
    json_t *documents = NULL;
    int status;
    if (call->request->content != MU_MEDIA_YAML) {
        status = mu_json_text_read(call->request->body, root, problems, &error);
    } else {
        status = mu_yaml_read(call->request->body, "body", &documents, problems, &error);
        *root = status == 0 ? json_incref(json_array_get(documents, 0)) : NULL;
        if (status == 0 && (json_array_size(documents) != 1 || !json_is_object(*root))) {
            json_decref(*root);
            *root = NULL;
            status = mu_error_set(&error, MU_EINVAL, "expected one YAML document, a mapping");
        }
        json_decref(documents);
    }
    return status == 0 ? 0 : read_failed(call, want, status, &error);
}

static int read_text(struct mu_call *call, const struct want *want, struct mu_str *out)
{
    enum mu_strictness strictness;
    int code = mu_body_strictness(call, &strictness);
    if (code != 0)
        return code;
    struct mu_json_problems found = {0};
    struct mu_json_problems *problems = strictness == MU_IGNORE ? NULL : &found;
    json_t *root = NULL;
    code = parse_body(call, want, problems, &root);
    if (code == 0)
        code = read_tree(call, want, root, strictness, problems, out);
    json_decref(root);
    mu_json_problems_fini(&found);
    return code;
}

/* The body as an encoding of want->schema. */
static int read_body(struct mu_call *call, const struct want *want, struct mu_str *out)
{
    if (call->request->body.len > MU_KUBESIM_BODY_MAX)
        return mu_api_fail(call, 413, "RequestEntityTooLarge", "body: longer than %u bytes",
                           MU_KUBESIM_BODY_MAX);
    switch (call->request->content) {
    case MU_MEDIA_PROTOBUF:
        return read_protobuf(call, want, out);
    case MU_MEDIA_JSON:
    case MU_MEDIA_YAML:
    case MU_MEDIA_NONE:
        return read_text(call, want, out);
    default:
        return mu_api_fail(call, 415, "UnsupportedMediaType",
                           "body: expected application/vnd.kubernetes.protobuf, "
                           "application/json or application/yaml");
    }
}

int mu_body_object(struct mu_call *call, ProtobufCMessage **out)
{
    const struct mu_kind *kind = &mu_kinds[call->route.kind];
    struct mu_body_form form = mu_body_form_of(call);
    const char *const versions[] = {form.api_version, NULL};
    struct want want = {form.schema, versions, kind->kind};
    struct mu_str raw = {NULL, 0};
    if (kind->json_only && call->request->content == MU_MEDIA_PROTOBUF)
        return mu_api_fail(call, 415, "UnsupportedMediaType",
                           "body: expected application/json or application/yaml");
    int code = read_body(call, &want, &raw);
    return code != 0 ? code : mu_body_to_stored(call, raw, out);
}

int mu_api_body(struct mu_call *call, const ProtobufCMessageDescriptor *descriptor,
                const char *const *api_versions, const char *kind, ProtobufCMessage **out)
{
    static const struct {
        const ProtobufCMessageDescriptor *trimmed, *full;
    } pairs[] = {{&kube__binding__descriptor, &kubeapi__binding__descriptor},
                 {&kube__delete_options__descriptor, &kubeapi__delete_options__descriptor},
                 {&kube__eviction__descriptor, &kubeapi__eviction__descriptor}};
    struct want want = {descriptor, api_versions, kind};
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++)
        if (descriptor == pairs[i].trimmed)
            want.schema = pairs[i].full;
    struct mu_str raw = {NULL, 0};
    int code = read_body(call, &want, &raw);
    if (code != 0)
        return code;
    *out = mu_api_unpack(call->server, descriptor, raw);
    return *out == NULL ? mu_api_no_room(call) : 0;
}
