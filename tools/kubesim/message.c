/* Messages in the call's arena: decoding, small edits, generic access to metadata. */
#include "tools/kubesim/api_priv.h"

#include <stdarg.h>
#include <stdio.h>
#include "engine/base/assert.h"
#include "engine/base/clock.h"
#include "tools/kubesim/json.h"
#include "tools/kubesim/limits.h"

void *mu_api_alloc(struct mu_apiserver *server, size_t bytes)
{
    void *block = mu_arena_zalloc(server->arena, bytes);
    server->arena_full |= block == NULL;
    return block;
}

char *mu_api_text(struct mu_apiserver *server, struct mu_str text)
{
    char *copy = mu_api_alloc(server, (size_t)text.len + 1);
    if (copy != NULL && text.len > 0) {
        memcpy(copy, text.data, text.len);
    }
    return copy;
}

char *mu_api_print(struct mu_apiserver *server, const char *format, ...)
{
    char text[512];
    va_list args;
    va_start(args, format);
    int n = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    MU_ASSERT(n >= 0);
    uint32_t len = (size_t)n < sizeof text ? (uint32_t)n : (uint32_t)sizeof text - 1;
    return mu_api_text(server, (struct mu_str){text, len});
}

ProtobufCMessage *mu_api_new(struct mu_apiserver *server,
                             const ProtobufCMessageDescriptor *descriptor)
{
    ProtobufCMessage *message = mu_api_alloc(server, descriptor->sizeof_message);
    if (message != NULL) {
        protobuf_c_message_init(descriptor, message);
    }
    return message;
}

static void *allocate(void *data, size_t size)
{
    return mu_arena_alloc(data, size);
}

/* The arena is reset as a whole. */
static void release(void *data, void *pointer)
{
    (void)data;
    (void)pointer;
}

ProtobufCMessage *mu_api_unpack_in(struct mu_arena *arena,
                                   const ProtobufCMessageDescriptor *descriptor, struct mu_str raw)
{
    ProtobufCAllocator allocator = {allocate, release, arena};
    return protobuf_c_message_unpack(descriptor, &allocator, raw.len, (const uint8_t *)raw.data);
}

/* As above for the call's arena, noting when it is full: that tells an object that is too large from
 * one that is malformed. */
static void *allocate_noting(void *data, size_t size)
{
    struct mu_apiserver *server = data;
    void *block = mu_arena_alloc(server->arena, size);
    server->arena_full |= block == NULL;
    return block;
}

ProtobufCMessage *mu_api_unpack(struct mu_apiserver *server,
                                const ProtobufCMessageDescriptor *descriptor, struct mu_str raw)
{
    ProtobufCAllocator allocator = {allocate_noting, release, server};
    return protobuf_c_message_unpack(descriptor, &allocator, raw.len, (const uint8_t *)raw.data);
}

int mu_api_push(struct mu_apiserver *server, void *array, size_t *count, void *element)
{
    void **old = NULL;
    memcpy(&old, array, sizeof old);
    void **grown = mu_api_alloc(server, (*count + 1) * sizeof *grown);
    if (grown == NULL || element == NULL) {
        return MU_ENOMEM;
    }
    if (*count > 0) {
        memcpy(grown, old, *count * sizeof *grown);
    }
    grown[*count] = element;
    memcpy(array, &grown, sizeof grown);
    (*count)++;
    return 0;
}

/* The address of a singular message field. */
static ProtobufCMessage **part_at(const ProtobufCMessage *message, uint32_t number)
{
    const ProtobufCFieldDescriptor *field =
        protobuf_c_message_descriptor_get_field(message->descriptor, number);
    MU_ASSERT(field != NULL && field->type == PROTOBUF_C_TYPE_MESSAGE);
    MU_ASSERT(field->label != PROTOBUF_C_LABEL_REPEATED);
    return (ProtobufCMessage **)(void *)((char *)(uintptr_t)message + field->offset);
}

ProtobufCMessage *mu_api_part(const ProtobufCMessage *message, uint32_t number)
{
    return *part_at(message, number);
}

void mu_api_set_part(ProtobufCMessage *message, uint32_t number, ProtobufCMessage *part)
{
    *part_at(message, number) = part;
}

Kube__ObjectMeta *mu_api_meta(const ProtobufCMessage *message)
{
    return (Kube__ObjectMeta *)mu_api_part(message, 1);
}

void mu_api_set_meta(ProtobufCMessage *message, Kube__ObjectMeta *meta)
{
    mu_api_set_part(message, 1, &meta->base);
}

Kube__Time *mu_api_time(struct mu_call *call, int64_t offset_s)
{
    Kube__Time *time = (Kube__Time *)mu_api_new(call->server, &kube__time__descriptor);
    if (time != NULL) {
        uint64_t wall_ns = call->server->config.wall_base_ns + call->now_ns;
        time->has_seconds = 1;
        time->seconds = (int64_t)(wall_ns / MU_NS_PER_S) + offset_s;
    }
    return time;
}

struct mu_str mu_api_map_get(Kube__StringEntry *const *map, size_t count, const char *key)
{
    struct mu_str found = {NULL, 0};
    for (size_t i = 0; i < count; i++) {
        if (map[i]->key != NULL && strcmp(map[i]->key, key) == 0) {
            found = map[i]->value != NULL ? mu_str_of(map[i]->value) : MU_STR("");
        }
    }
    return found;
}

int mu_api_map_set(struct mu_apiserver *server, Kube__StringEntry ***map, size_t *count,
                   struct mu_str key, struct mu_str value)
{
    char *text = mu_api_text(server, value);
    if (text == NULL) {
        return MU_ENOMEM;
    }
    bool found = false;
    for (size_t i = 0; i < *count; i++) {
        Kube__StringEntry *entry = (*map)[i];
        if (entry->key != NULL && mu_str_equal(mu_str_of(entry->key), key)) {
            entry->value = text;
            found = true;
        }
    }
    if (found) {
        return 0;
    }
    Kube__StringEntry *entry =
        (Kube__StringEntry *)mu_api_new(server, &kube__string_entry__descriptor);
    char *name = mu_api_text(server, key);
    if (entry == NULL || name == NULL) {
        return MU_ENOMEM;
    }
    entry->key = name;
    entry->value = text;
    return mu_api_push(server, map, count, entry);
}

/* ---- request bodies ----------------------------------------------------------------------- */

static bool version_allowed(struct mu_str version, const char *const *api_versions)
{
    for (; *api_versions != NULL; api_versions++) {
        if (mu_str_equal(version, mu_str_of(*api_versions))) {
            return true;
        }
    }
    return version.len == 0; /* the handler's own version is the default */
}

static int check_type(struct mu_call *call, struct mu_str version, struct mu_str kind,
                      const char *const *api_versions, const char *want)
{
    if (!version_allowed(version, api_versions) ||
        (kind.len != 0 && !mu_str_equal(kind, mu_str_of(want)))) {
        return mu_api_fail(call, 400, "BadRequest",
                           "the body is a %.*s of apiVersion %.*s, expected %s of %s",
                           MU_STR_ARGS(kind), MU_STR_ARGS(version), want, api_versions[0]);
    }
    return 0;
}

static int body_protobuf(struct mu_call *call, const ProtobufCMessageDescriptor *descriptor,
                         const char *const *api_versions, const char *kind, ProtobufCMessage **out)
{
    struct mu_envelope envelope;
    struct mu_error error = {0, ""};
    if (mu_envelope_open(call->request->body, &envelope, &error) != 0) {
        return mu_api_fail(call, 400, "BadRequest", "body: %s", error.text);
    }
    int code = check_type(call, envelope.kind.len != 0 ? envelope.api_version : MU_STR(""),
                          envelope.kind, api_versions, kind);
    if (code != 0) {
        return code;
    }
    *out = mu_api_unpack(call->server, descriptor, envelope.raw);
    if (*out == NULL && call->server->arena_full) {
        return mu_api_fail(call, 413, "RequestEntityTooLarge",
                           "body: decodes to more than %u bytes", MU_KUBESIM_DECODE_MAX);
    }
    if (*out == NULL) {
        return mu_api_fail(call, 400, "BadRequest", "body: not a protobuf %s", kind);
    }
    return 0;
}

static struct mu_str json_text(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    return json_is_string(value)
               ? (struct mu_str){json_string_value(value), (uint32_t)json_string_length(value)}
               : (struct mu_str){NULL, 0};
}

static int body_json(struct mu_call *call, const ProtobufCMessageDescriptor *descriptor,
                     const char *const *api_versions, const char *kind, ProtobufCMessage **out)
{
    struct mu_str body = call->request->body;
    json_error_t where;
    json_t *root =
        json_loadb(body.data != NULL ? body.data : "", body.len, JSON_REJECT_DUPLICATES, &where);
    if (root == NULL || !json_is_object(root)) {
        json_decref(root);
        return mu_api_fail(call, 400, "BadRequest", "body: not a JSON object (line %d: %s)",
                           where.line, where.text);
    }
    int code = check_type(call, json_text(root, "apiVersion"), json_text(root, "kind"),
                          api_versions, kind);
    struct mu_error error = {0, ""};
    if (code == 0) {
        *out = mu_api_new(call->server, descriptor);
        int merged = *out == NULL
                         ? MU_ENOMEM
                         : mu_kube_json_merge(*out, root, false, call->server->arena, &error);
        if (merged == MU_EINVAL) {
            code = mu_api_fail(call, 400, "BadRequest", "body: %s", error.text);
        } else if (merged != 0) {
            code = mu_api_internal(call, merged);
        }
    }
    json_decref(root);
    return code;
}

int mu_api_body(struct mu_call *call, const ProtobufCMessageDescriptor *descriptor,
                const char *const *api_versions, const char *kind, ProtobufCMessage **out)
{
    if (call->request->body.len > MU_KUBESIM_BODY_MAX) {
        return mu_api_fail(call, 413, "RequestEntityTooLarge", "body: longer than %u bytes",
                           MU_KUBESIM_BODY_MAX);
    }
    switch (call->request->content) {
    case MU_MEDIA_PROTOBUF:
        return body_protobuf(call, descriptor, api_versions, kind, out);
    case MU_MEDIA_JSON:
    case MU_MEDIA_NONE:
        return body_json(call, descriptor, api_versions, kind, out);
    default:
        return mu_api_fail(call, 415, "UnsupportedMediaType",
                           "body: expected application/vnd.kubernetes.protobuf or "
                           "application/json");
    }
}

int mu_api_set_condition(struct mu_call *call, Kube__PodStatus *status, const char *type,
                         const char *value, const char *reason)
{
    Kube__PodCondition *condition = NULL;
    for (size_t i = 0; i < status->n_conditions; i++) {
        if (status->conditions[i]->type != NULL && strcmp(status->conditions[i]->type, type) == 0) {
            condition = status->conditions[i];
        }
    }
    if (condition == NULL) {
        condition =
            (Kube__PodCondition *)mu_api_new(call->server, &kube__pod_condition__descriptor);
        if (mu_api_push(call->server, &status->conditions, &status->n_conditions, condition) != 0) {
            return MU_ENOMEM;
        }
    }
    bool moved = condition->status == NULL || strcmp(condition->status, value) != 0;
    condition->type = mu_api_text(call->server, mu_str_of(type));
    condition->status = mu_api_text(call->server, mu_str_of(value));
    condition->reason = reason == NULL ? NULL : mu_api_text(call->server, mu_str_of(reason));
    condition->message = NULL;
    if (moved) {
        condition->lasttransitiontime = mu_api_time(call, 0);
    }
    return call->server->arena_full ? MU_ENOMEM : 0;
}
