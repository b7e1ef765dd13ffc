#ifndef MU_TESTS_SCHEMA_RANDOM_H
#define MU_TESTS_SCHEMA_RANDOM_H
/* Random messages of the kinds of tools/kubesim/schema, made over their descriptors. */
#include <protobuf-c/protobuf-c.h>

#include "engine/base/arena.h"
#include "engine/base/assert.h"
#include "engine/base/random.h"
#include "informer/json_facts.h"
#include "tools/kubesim/schema/authentication.pb-c.h"
#include "tools/kubesim/schema/authorization.pb-c.h"
#include "tools/kubesim/schema/coordination.pb-c.h"
#include "tools/kubesim/schema/core.pb-c.h"
#include "tools/kubesim/schema/coscheduling.pb-c.h"
#include "tools/kubesim/schema/events.pb-c.h"
#include "tools/kubesim/schema/gang.pb-c.h"
#include "tools/kubesim/schema/pod.pb-c.h"
#include "tools/kubesim/schema/policy.pb-c.h"
#include "tools/kubesim/schema/scheduling.pb-c.h"
#include "tools/kubesim/schema/volcano.pb-c.h"

static const ProtobufCMessageDescriptor *const schema_kinds[] = {
    &kubeapi__pod__descriptor,
    &kubeapi__node__descriptor,
    &kubeapi__namespace__descriptor,
    &kubeapi__config_map__descriptor,
    &kubeapi__service_account__descriptor,
    &kubeapi__event__descriptor,
    &kubeapi__events__event__descriptor,
    &kubeapi__binding__descriptor,
    &kubeapi__pod_disruption_budget__descriptor,
    &kubeapi__eviction__descriptor,
    &kubeapi__lease__descriptor,
    &kubeapi__priority_class__descriptor,
    &kubeapi__gang__workload__descriptor,
    &kubeapi__gang__pod_group__descriptor,
    &kubeapi__gang__composite_pod_group__descriptor,
    &kubeapi__token_request__descriptor,
    &kubeapi__token_review__descriptor,
    &kubeapi__self_subject_review__descriptor,
    &kubeapi__subject_access_review__descriptor,
    &kubeapi__self_subject_access_review__descriptor,
    &kubeapi__local_subject_access_review__descriptor,
    &kubeapi__self_subject_rules_review__descriptor,
    &kubeapi__coscheduling__pod_group__descriptor,
    &kubeapi__volcano__pod_group__descriptor,
    &kubeapi__status__descriptor,
    &kubeapi__delete_options__descriptor,
    &kubeapi__partial_object_metadata__descriptor,
};
#define SCHEMA_KINDS (sizeof schema_kinds / sizeof schema_kinds[0])

/* Text with everything that needs care: quotes, controls, UTF-8, what YAML takes for something
 * else. */
static inline char *schema_random_text(struct mu_random *random, struct mu_arena *arena)
{
    static const char *const words[] = {"",
                                        "a",
                                        "true",
                                        "no",
                                        "null",
                                        "~",
                                        "1",
                                        "-0x1f",
                                        "1e3",
                                        "12:30",
                                        ".inf",
                                        "- x",
                                        "a: b",
                                        "a #b",
                                        " a",
                                        "a ",
                                        "\"",
                                        "\\",
                                        "a\nb",
                                        "a\n\nb\n",
                                        "\t",
                                        "\x01",
                                        "\x7f",
                                        "%a",
                                        "\xc3\xa4",
                                        "\xe2\x80\xa8",
                                        "\xf0\x9f\x98\x80",
                                        "{",
                                        "[x]",
                                        "*a",
                                        "&a",
                                        "!a",
                                        "|",
                                        ">",
                                        "---",
                                        "...",
                                        "? a",
                                        "key",
                                        "'",
                                        "2026-01-01",
                                        "=",
                                        "<<",
                                        "0o7",
                                        "+1",
                                        "y",
                                        "\xc2\x85",
                                        "\xef\xbb\xbf",
                                        "a:",
                                        ":a",
                                        "#a",
                                        "@a",
                                        "`a"};
    const char *word = words[mu_random_below(random, sizeof words / sizeof words[0])];
    struct mu_str copy = mu_arena_str(arena, mu_str_of(word));
    MU_ASSERT(copy.data != NULL);
    return (char *)(uintptr_t)copy.data;
}

static inline int64_t schema_random_number(struct mu_random *random, bool wide)
{
    static const int64_t edges[] = {0, 0, 1, -1, 80, INT32_MAX, INT32_MIN, INT64_MAX, INT64_MIN};
    return edges[mu_random_below(random, wide ? 9 : 7)];
}

static inline void schema_random_fill(struct mu_random *random, struct mu_arena *arena,
                                      ProtobufCMessage *message, unsigned depth);

static inline ProtobufCMessage *schema_random_part(struct mu_random *random, struct mu_arena *arena,
                                                   const ProtobufCMessageDescriptor *type,
                                                   unsigned depth)
{
    ProtobufCMessage *message = mu_arena_alloc(arena, type->sizeof_message);
    MU_ASSERT(message != NULL);
    protobuf_c_message_init(type, message);
    schema_random_fill(random, arena, message, depth);
    return message;
}

/* One value at `slot`. */
static inline void schema_random_value(struct mu_random *random, struct mu_arena *arena,
                                       const ProtobufCFieldDescriptor *field, void *slot,
                                       unsigned depth)
{
    switch (field->type) {
    case PROTOBUF_C_TYPE_STRING:
        *(char **)slot = schema_random_text(random, arena);
        break;
    case PROTOBUF_C_TYPE_MESSAGE:
        *(ProtobufCMessage **)slot =
            schema_random_part(random, arena, field->descriptor, depth + 1);
        break;
    case PROTOBUF_C_TYPE_BYTES: {
        ProtobufCBinaryData *bytes = slot;
        bytes->len = mu_random_below(random, 7);
        bytes->data = mu_arena_alloc(arena, bytes->len + 1);
        for (size_t i = 0; i < bytes->len; i++)
            bytes->data[i] = (uint8_t)mu_random_below(random, 256);
        break;
    }
    case PROTOBUF_C_TYPE_BOOL:
        *(protobuf_c_boolean *)slot = (protobuf_c_boolean)mu_random_below(random, 2);
        break;
    case PROTOBUF_C_TYPE_INT32:
        *(int32_t *)slot = (int32_t)schema_random_number(random, false);
        break;
    default:
        MU_ASSERT(field->type == PROTOBUF_C_TYPE_INT64);
        *(int64_t *)slot = schema_random_number(random, true);
        break;
    }
}

static inline void *schema_slot(ProtobufCMessage *message, unsigned offset)
{
    return (char *)message + offset;
}

/* The messages whose JSON is no object hold what their JSON can say. */
static inline bool schema_random_shape(struct mu_random *random, struct mu_arena *arena,
                                       ProtobufCMessage *message)
{
    const char *name = message->descriptor->short_name;
    const ProtobufCFieldDescriptor *f = message->descriptor->fields;
    if (strcmp(name, "Quantity") == 0) {
        static const char *const texts[] = {"1", "100m", "1Gi", "0", "1e3"};
        *(char **)schema_slot(message, f[0].offset) =
            (char *)(uintptr_t)texts[mu_random_below(random, 5)];
    } else if (strcmp(name, "Time") == 0 || strcmp(name, "MicroTime") == 0) {
        *(int64_t *)schema_slot(message, f[0].offset) =
            (int64_t)mu_random_below(random, UINT64_C(1) << 37) - (INT64_C(1) << 35);
        *(protobuf_c_boolean *)schema_slot(message, f[0].quantifier_offset) =
            (protobuf_c_boolean)(mu_random_below(random, 4) != 0);
        if (name[0] == 'M') {
            *(int32_t *)schema_slot(message, f[1].offset) =
                1000 * (int32_t)mu_random_below(random, 1000000);
            *(protobuf_c_boolean *)schema_slot(message, f[1].quantifier_offset) = 1;
        }
    } else if (strcmp(name, "IntOrString") == 0) {
        bool text = mu_random_below(random, 2) != 0;
        *(int64_t *)schema_slot(message, f[0].offset) = text;
        if (text)
            *(char **)schema_slot(message, f[2].offset) = schema_random_text(random, arena);
        else
            *(int32_t *)schema_slot(message, f[1].offset) =
                (int32_t)schema_random_number(random, false);
    } else if (strcmp(name, "FieldsV1") == 0 || strcmp(name, "RawExtension") == 0) {
        static const char *const texts[] = {"{\"f:a\":{}}", "{}", "[1,\"x\",null]", "\"t\""};
        const char *text = texts[mu_random_below(random, 4)];
        *(ProtobufCBinaryData *)schema_slot(message, f[0].offset) =
            (ProtobufCBinaryData){strlen(text), (uint8_t *)(uintptr_t)text};
        *(protobuf_c_boolean *)schema_slot(message, f[0].quantifier_offset) = 1;
    } else {
        return false;
    }
    return true;
}

static inline void schema_random_repeated(struct mu_random *random, struct mu_arena *arena,
                                          const ProtobufCFieldDescriptor *field,
                                          ProtobufCMessage *message, unsigned depth)
{
    static const char *const keys[] = {"a", "cpu", "a.b/c", "~", "1", "yes", "x: y", ""};
    size_t count = mu_random_below(random, 4);
    char *elements = mu_arena_calloc(arena, count + 1, sizeof(ProtobufCBinaryData));
    size_t size = sizeof(void *);
    if (field->type == PROTOBUF_C_TYPE_INT32)
        size = sizeof(int32_t);
    MU_ASSERT(elements != NULL && field->type != PROTOBUF_C_TYPE_BYTES);
    bool map = mu_json_shape_of(field) == MU_JSON_ENTRY;
    for (size_t i = 0; i < count; i++) {
        schema_random_value(random, arena, field, elements + i * size, depth);
        if (map) { /* keys are different */
            ProtobufCMessage *entry = *(ProtobufCMessage **)(void *)(elements + i * size);
            *(char **)schema_slot(entry, entry->descriptor->fields[0].offset) =
                (char *)(uintptr_t)keys[2 * i + mu_random_below(random, 2)];
        }
    }
    *(size_t *)schema_slot(message, field->quantifier_offset) = count;
    *(void **)schema_slot(message, field->offset) = elements;
}

static inline void schema_random_fill(struct mu_random *random, struct mu_arena *arena,
                                      ProtobufCMessage *message, unsigned depth)
{
    const ProtobufCMessageDescriptor *type = message->descriptor;
    if (schema_random_shape(random, arena, message))
        return;
    for (unsigned i = 0; i < type->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &type->fields[i];
        bool part = field->type == PROTOBUF_C_TYPE_MESSAGE;
        if (mu_random_below(random, part ? 2 + depth : 2) != 0 || (part && depth > 9))
            continue;
        if (field->label == PROTOBUF_C_LABEL_REPEATED) {
            schema_random_repeated(random, arena, field, message, depth);
            continue;
        }
        schema_random_value(random, arena, field, schema_slot(message, field->offset), depth);
        if (field->type != PROTOBUF_C_TYPE_MESSAGE && field->type != PROTOBUF_C_TYPE_STRING)
            *(protobuf_c_boolean *)schema_slot(message, field->quantifier_offset) = 1;
    }
}

/* A message of a random kind, in the arena. */
static inline ProtobufCMessage *schema_random_message(struct mu_random *random,
                                                      struct mu_arena *arena)
{
    return schema_random_part(random, arena, schema_kinds[mu_random_below(random, SCHEMA_KINDS)],
                              0);
}

#endif
