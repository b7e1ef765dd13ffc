/* Messages in the call's arena: decoding, small edits, generic access to metadata. */
#include "tools/kubesim/api_priv.h"

#include <stdarg.h>
#include <stdio.h>
#include "engine/base/assert.h"
#include "engine/base/clock.h"
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

char *mu_api_vprint(struct mu_apiserver *server, const char *format, va_list args)
{
    va_list again;
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, format, args);
    MU_ASSERT(n >= 0);
    size_t size = (size_t)n + 1;
    char *text = mu_api_alloc(server, size);
    if (text != NULL) {
        (void)vsnprintf(text, size, format, again);
    }
    va_end(again);
    return text;
}

char *mu_api_print(struct mu_apiserver *server, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    char *text = mu_api_vprint(server, format, args);
    va_end(args);
    return text;
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

/* As above for the call's arena, noting when it is full: that tells an object that is too large
 * from one that is malformed. */
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
    const int code = mu_api_push_in(server->arena, array, count, element);
    server->arena_full |= code != 0;
    return code;
}

int mu_api_push_in(struct mu_arena *arena, void *array, size_t *count, void *element)
{
    void **old = NULL;
    memcpy(&old, array, sizeof old);
    void **grown = mu_arena_calloc(arena, *count + 1, sizeof *grown);
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

int mu_api_set_condition(struct mu_call *call, Kube__PodStatus *status, const char *type,
                         const char *value, const char *reason, const char *message)
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
    condition->message = message == NULL ? NULL : mu_api_text(call->server, mu_str_of(message));
    if (moved) {
        condition->lasttransitiontime = mu_api_time(call, 0);
    }
    return call->server->arena_full ? MU_ENOMEM : 0;
}
