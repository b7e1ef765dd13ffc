/*
 * Views of a message that protobuf-c has decoded, by the same tables as the walker's: the number of
 * a field leads to its place in the view and, through protobuf-c's descriptor, to its place in the
 * message. Texts and arrays of texts stay where protobuf-c has put them, in the arena.
 */
#include "informer/view_priv.h"

#include "engine/base/assert.h"
#include "informer/decode_priv.h"

/* Elements of a list, or whether a field that can be there once is there. */
static size_t count_of(const ProtobufCFieldDescriptor *field, const uint8_t *message)
{
    const void *at = message + field->offset;
    if (field->label == PROTOBUF_C_LABEL_REPEATED)
        return *(const size_t *)(const void *)(message + field->quantifier_offset);
    if (field->type == PROTOBUF_C_TYPE_STRING || field->type == PROTOBUF_C_TYPE_MESSAGE)
        return *(const void *const *)at != NULL;
    return *(const protobuf_c_boolean *)(const void *)(message + field->quantifier_offset) != 0;
}

static mu_numbers numbers_of(const ProtobufCMessage *message)
{
    const ProtobufCMessageDescriptor *descriptor = message->descriptor;
    mu_numbers numbers = 0;
    for (unsigned i = 0; i < descriptor->n_fields; i++) {
        if (count_of(&descriptor->fields[i], (const uint8_t *)message) > 0)
            numbers |= mu_number_bit(descriptor->fields[i].id);
    }
    for (unsigned i = 0; i < message->n_unknown_fields; i++)
        numbers |= mu_number_bit(message->unknown_fields[i].tag);
    return numbers;
}

static bool copy_view(const struct mu_view_type *type, const ProtobufCMessage *message,
                      struct mu_arena *arena, uint8_t *view);

static bool copy_list(const struct mu_field *field, const void *const *from, size_t count,
                      struct mu_arena *arena, uint8_t *at)
{
    bool texts = field->kind == MU_FIELD_TEXTS;
    size_t size = texts ? sizeof(struct mu_str) : field->type->bytes;
    uint8_t *items = mu_arena_calloc(arena, count, size);
    /* An element takes two bytes of an object at the least. */
    const struct mu_any_list list = {items, (uint32_t)count};
    MU_ASSERT(list.count == count);
    if (items == NULL)
        return false;
    memcpy(at, &list, sizeof list);
    for (size_t i = 0; i < count; i++) {
        if (texts)
            ((struct mu_str *)(void *)items)[i] = mu_str_of(from[i]);
        else if (!copy_view(field->type, from[i], arena, items + i * size))
            return false;
    }
    return true;
}

/* `from`: where the message has the field, which is there. */
static bool copy_field(const struct mu_field *field, const void *from, size_t count,
                       struct mu_arena *arena, uint8_t *view)
{
    uint8_t *at = view + field->at;
    switch (field->kind) {
    case MU_FIELD_UNKNOWN:
        break;
    case MU_FIELD_TEXT: {
        struct mu_str text = mu_str_of(*(const char *const *)from);
        memcpy(at, &text, sizeof text);
        break;
    }
    case MU_FIELD_BOOL: {
        bool truth = *(const protobuf_c_boolean *)from != 0;
        memcpy(at, &truth, sizeof truth);
        break;
    }
    case MU_FIELD_INT32:
        memcpy(at, from, sizeof(int32_t));
        break;
    case MU_FIELD_INT64:
        memcpy(at, from, sizeof(int64_t));
        break;
    case MU_FIELD_MESSAGE: {
        uint8_t *inner = mu_arena_zalloc(arena, field->type->bytes);
        if (inner == NULL)
            return false;
        memcpy(at, &inner, sizeof inner);
        return copy_view(field->type, *(const ProtobufCMessage *const *)from, arena, inner);
    }
    case MU_FIELD_INLINE:
        return copy_view(field->type, *(const ProtobufCMessage *const *)from, arena, view);
    case MU_FIELD_TEXTS:
    case MU_FIELD_MESSAGES:
        return copy_list(field, *(const void *const *const *)from, count, arena, at);
    }
    return true;
}

static bool copy_view(const struct mu_view_type *type, const ProtobufCMessage *message,
                      struct mu_arena *arena, uint8_t *view)
{
    MU_ASSERT(message->descriptor == type->descriptor);
    for (unsigned i = 0; i < type->descriptor->n_fields; i++) {
        const ProtobufCFieldDescriptor *from = &type->descriptor->fields[i];
        MU_ASSERT(from->id < type->field_count);
        const struct mu_field *field = &type->fields[from->id];
        size_t count = field->kept ? count_of(from, (const uint8_t *)message) : 0;
        const void *at = (const uint8_t *)message + from->offset;
        if (count > 0 && !copy_field(field, at, count, arena, view))
            return false;
    }
    mu_numbers numbers = type->has_numbers ? numbers_of(message) : 0;
    if (type->has_numbers)
        memcpy(view, &numbers, sizeof numbers);
    return true;
}

int mu_view_unpack(struct mu_str raw, const struct mu_view_type *type, struct mu_arena *arena,
                   const char *what, void *view, struct mu_error *error)
{
    const void *message;
    int rc = mu_decode_message(raw, type->descriptor, arena, what, &message, error);
    if (rc != 0)
        return rc;
    memset(view, 0, type->bytes);
    if (!copy_view(type, message, arena, view))
        return mu_error_set(error, MU_ENOMEM, "%s: no memory for %u bytes", what, raw.len);
    return 0;
}

int mu_view_open(struct mu_str raw, const struct mu_view_type *type, struct mu_arena *arena,
                 const char *what, void *view, struct mu_error *error)
{
    if (mu_view_walk(raw, type, arena, view))
        return 0;
    return mu_view_unpack(raw, type, arena, what, view, error);
}
