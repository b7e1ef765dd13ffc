#include "tools/kubesim/json.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include "engine/base/assert.h"
#include "informer/json_object.h"
#include "informer/proto/core.pb-c.h"
#include "informer/proto/meta.pb-c.h"
#include "tools/kubesim/limits.h"

/* Where a field lives in a message. */
static void *at(const ProtobufCMessage *message, const ProtobufCFieldDescriptor *field)
{
    return (char *)(uintptr_t)message + field->offset;
}

static size_t *count_of(const ProtobufCMessage *message, const ProtobufCFieldDescriptor *field)
{
    MU_ASSERT(field->label == PROTOBUF_C_LABEL_REPEATED);
    return (size_t *)(void *)((char *)(uintptr_t)message + field->quantifier_offset);
}

static protobuf_c_boolean *has_of(const ProtobufCMessage *message,
                                  const ProtobufCFieldDescriptor *field)
{
    return (protobuf_c_boolean *)((char *)(uintptr_t)message + field->quantifier_offset);
}

static bool is_pointer(const ProtobufCFieldDescriptor *field)
{
    return field->type == PROTOBUF_C_TYPE_STRING || field->type == PROTOBUF_C_TYPE_MESSAGE;
}

struct merge {
    struct mu_arena *arena;
    struct mu_error *error;
    bool strategic;
    uint32_t depth;
};

static int bad(const struct merge *merge, const ProtobufCFieldDescriptor *field,
               const char *expected)
{
    return mu_error_set(merge->error, MU_EINVAL, "%s: expected %s", field->name, expected);
}

static int merge_fields(struct merge *merge, ProtobufCMessage *message, const json_t *object);

static char *copy_text(const struct merge *merge, const char *text, size_t len)
{
    return (char *)(uintptr_t)mu_arena_str(merge->arena, (struct mu_str){text, (uint32_t)len}).data;
}

static int read_text(const struct merge *merge, const ProtobufCFieldDescriptor *field,
                     const json_t *json, char **out)
{
    if (!json_is_string(json) || strlen(json_string_value(json)) != json_string_length(json)) {
        return bad(merge, field, "a string without NUL");
    }
    *out = copy_text(merge, json_string_value(json), json_string_length(json));
    return *out == NULL ? MU_ENOMEM : 0;
}

/* A quantity is text or a bare number. */
static int read_quantity(const struct merge *merge, const ProtobufCFieldDescriptor *field,
                         const json_t *json, Kube__Quantity *quantity)
{
    char text[64];
    int n = 0;
    if (json_is_integer(json)) {
        n = snprintf(text, sizeof text, "%" JSON_INTEGER_FORMAT, json_integer_value(json));
    } else if (json_is_real(json)) {
        n = snprintf(text, sizeof text, "%.15g", json_real_value(json));
    } else {
        return read_text(merge, field, json, &quantity->string);
    }
    quantity->string = copy_text(merge, text, (size_t)n);
    return quantity->string == NULL ? MU_ENOMEM : 0;
}

/* "2026-01-02T03:04:05[.frac](Z|+hh:mm)". */
static int read_time(const struct merge *merge, const ProtobufCFieldDescriptor *field,
                     const json_t *json, int64_t *seconds, int32_t *nanos)
{
    const char *text = json_is_string(json) ? json_string_value(json) : "";
    struct tm tm = {0};
    const char *rest = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);
    if (rest == NULL) {
        return bad(merge, field, "an RFC 3339 time");
    }
    int32_t scale = 100000000;
    *nanos = 0;
    if (*rest == '.') {
        for (rest++; *rest >= '0' && *rest <= '9'; rest++, scale /= 10) {
            *nanos += (*rest - '0') * scale;
        }
    }
    int hours = 0;
    int minutes = 0;
    char sign = *rest;
    if (sign == '+' || sign == '-') {
        int used = 0;
        if (sscanf(rest + 1, "%2d:%2d%n", &hours, &minutes, &used) != 2 || rest[1 + used] != '\0') {
            return bad(merge, field, "an RFC 3339 time zone");
        }
    } else if (strcmp(rest, "Z") != 0) {
        return bad(merge, field, "an RFC 3339 time zone");
    }
    int64_t offset = (int64_t)hours * 3600 + (int64_t)minutes * 60;
    *seconds = (int64_t)timegm(&tm) - (sign == '-' ? -offset : offset);
    return 0;
}

/* Read a JSON value into a fresh or existing message. */
static int read_message(struct merge *merge, const ProtobufCFieldDescriptor *field,
                        const json_t *json, ProtobufCMessage *message)
{
    switch (mu_json_shape_of(field)) {
    case MU_JSON_QUANTITY:
        return read_quantity(merge, field, json, (Kube__Quantity *)message);
    case MU_JSON_TIME: {
        Kube__Time *time = (Kube__Time *)message;
        int32_t nanos = 0;
        time->has_seconds = 1;
        return read_time(merge, field, json, &time->seconds, &nanos);
    }
    case MU_JSON_MICRO_TIME: {
        Kube__MicroTime *time = (Kube__MicroTime *)message;
        time->has_seconds = time->has_nanos = 1;
        return read_time(merge, field, json, &time->seconds, &time->nanos);
    }
    default:
        if (!json_is_object(json)) {
            return bad(merge, field, "an object");
        }
        return merge_fields(merge, message, json);
    }
}

static ProtobufCMessage *fresh(const struct merge *merge, const ProtobufCFieldDescriptor *field)
{
    const ProtobufCMessageDescriptor *descriptor = field->descriptor;
    ProtobufCMessage *message = mu_arena_zalloc(merge->arena, descriptor->sizeof_message);
    if (message != NULL) {
        protobuf_c_message_init(descriptor, message);
    }
    return message;
}

/* A singular value at `slot`. Messages are merged into what is there. */
static int read_value(struct merge *merge, const ProtobufCFieldDescriptor *field,
                      const json_t *json, void *slot)
{
    json_int_t number = json_is_integer(json) ? json_integer_value(json) : 0;
    switch (field->type) {
    case PROTOBUF_C_TYPE_STRING:
        return read_text(merge, field, json, slot);
    case PROTOBUF_C_TYPE_MESSAGE: {
        ProtobufCMessage **message = slot;
        if (*message == NULL) {
            *message = fresh(merge, field);
        }
        return *message == NULL ? MU_ENOMEM : read_message(merge, field, json, *message);
    }
    case PROTOBUF_C_TYPE_BOOL:
        if (!json_is_boolean(json)) {
            return bad(merge, field, "true or false");
        }
        *(protobuf_c_boolean *)slot = json_is_true(json);
        return 0;
    case PROTOBUF_C_TYPE_INT32:
        if (!json_is_integer(json) || number < INT32_MIN || number > INT32_MAX) {
            return bad(merge, field, "a 32-bit whole number");
        }
        *(int32_t *)slot = (int32_t)number;
        return 0;
    case PROTOBUF_C_TYPE_INT64:
        if (!json_is_integer(json)) {
            return bad(merge, field, "a whole number");
        }
        *(int64_t *)slot = number;
        return 0;
    default:
        return bad(merge, field, "nothing: JSON does not carry this field");
    }
}

/* ---- lists and maps ----------------------------------------------------------------------- */

/* Room for `more` further elements: the array is copied, the old one stays in the arena. */
static void **grow(const struct merge *merge, ProtobufCMessage *message,
                   const ProtobufCFieldDescriptor *field, size_t more)
{
    size_t count = *count_of(message, field);
    void **old = *(void ***)at(message, field);
    void **array = mu_arena_calloc(merge->arena, count + more + 1, sizeof *array);
    if (array != NULL) {
        if (count > 0) {
            memcpy(array, old, count * sizeof *array);
        }
        *(void ***)at(message, field) = array;
    }
    return array;
}

static void remove_element(void **array, size_t *count, size_t at_index)
{
    memmove(&array[at_index], &array[at_index + 1], (*count - at_index - 1) * sizeof *array);
    (*count)--;
}

/* JSON object over a map field: null removes a key. */
static int merge_map(struct merge *merge, ProtobufCMessage *message,
                     const ProtobufCFieldDescriptor *field, const json_t *json)
{
    if (!json_is_object(json)) {
        return bad(merge, field, "an object");
    }
    void **array = grow(merge, message, field, json_object_size(json));
    if (array == NULL) {
        return MU_ENOMEM;
    }
    size_t *count = count_of(message, field);
    const ProtobufCFieldDescriptor *value =
        protobuf_c_message_descriptor_get_field(field->descriptor, 2);
    void *it = json_object_iter((json_t *)(uintptr_t)json);
    for (; it != NULL; it = json_object_iter_next((json_t *)(uintptr_t)json, it)) {
        const char *key = json_object_iter_key(it);
        const json_t *item = json_object_iter_value(it);
        size_t i = 0;
        while (i < *count && strcmp(((const Kube__StringEntry *)array[i])->key != NULL
                                        ? ((const Kube__StringEntry *)array[i])->key
                                        : "",
                                    key) != 0) {
            i++;
        }
        if (json_is_null(item)) {
            if (i < *count) {
                remove_element(array, count, i);
            }
            continue;
        }
        ProtobufCMessage *entry = fresh(merge, field);
        char *name = copy_text(merge, key, strlen(key));
        if (entry == NULL || name == NULL) {
            return MU_ENOMEM;
        }
        ((Kube__StringEntry *)entry)->key = name;
        int code = read_value(merge, value, item, at(entry, value));
        if (code != 0) {
            return code;
        }
        array[i] = entry;
        *count += i == *count;
    }
    return 0;
}

/* The key by which a strategic patch merges the elements of a list, or NULL: it replaces. */
static const char *merge_key(const ProtobufCFieldDescriptor *field)
{
    static const struct {
        const ProtobufCMessageDescriptor *element;
        const char *key;
    } keys[] = {{&kube__pod_condition__descriptor, "type"},
                {&kube__node_condition__descriptor, "type"},
                {&kube__container__descriptor, "name"},
                {&kube__volume__descriptor, "name"},
                {&kube__pod_scheduling_gate__descriptor, "name"},
                {&kube__pod_resource_claim__descriptor, "name"},
                {&kube__topology_spread_constraint__descriptor, "topologyKey"},
                {&kube__owner_reference__descriptor, "uid"}};
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        if (field->type == PROTOBUF_C_TYPE_MESSAGE && field->descriptor == keys[i].element) {
            return keys[i].key;
        }
    }
    return NULL;
}

/* The element with that key, or *count. */
static size_t find_element(void *const *array, size_t count, const ProtobufCFieldDescriptor *field,
                           const char *key, const char *value)
{
    const ProtobufCFieldDescriptor *name =
        protobuf_c_message_descriptor_get_field_by_name(field->descriptor, key);
    MU_ASSERT(name != NULL && name->type == PROTOBUF_C_TYPE_STRING);
    for (size_t i = 0; i < count; i++) {
        const char *text = *(char **)at(array[i], name);
        if (text != NULL && strcmp(text, value) == 0) {
            return i;
        }
    }
    return count;
}

static bool directive(const json_t *item, const char *name)
{
    const char *text = json_string_value(json_object_get(item, "$patch"));
    return text != NULL && strcmp(text, name) == 0;
}

/* Lay a list over a repeated field: by merge key in a strategic patch, else as a replacement. */
static int merge_list(struct merge *merge, ProtobufCMessage *message,
                      const ProtobufCFieldDescriptor *field, const json_t *json)
{
    if (!json_is_array(json)) {
        return bad(merge, field, "an array");
    }
    const char *key = merge->strategic ? merge_key(field) : NULL;
    size_t *count = count_of(message, field);
    size_t n = json_array_size(json);
    bool replace = key == NULL;
    for (size_t i = 0; i < n; i++) {
        replace |= directive(json_array_get(json, i), "replace");
    }
    if (replace) {
        *count = 0;
    }
    void **array = grow(merge, message, field, n);
    if (array == NULL) {
        return MU_ENOMEM;
    }
    for (size_t i = 0; i < n; i++) {
        const json_t *item = json_array_get(json, i);
        if (directive(item, "replace")) {
            continue; /* said above; carries no element */
        }
        size_t to = *count;
        if (key != NULL) {
            const char *value = json_string_value(json_object_get(item, key));
            if (value == NULL) {
                return mu_error_set(merge->error, MU_EINVAL, "%s[%zu]: expected merge key '%s'",
                                    field->name, i, key);
            }
            to = find_element(array, *count, field, key, value);
        }
        if (directive(item, "delete")) {
            if (to < *count) {
                remove_element(array, count, to);
            }
            continue;
        }
        if (to == *count) {
            array[to] = NULL;
        }
        int code = read_value(merge, field, item, &array[to]);
        if (code != 0) {
            return code;
        }
        *count += to == *count;
    }
    return 0;
}

/* ---- objects ------------------------------------------------------------------------------ */

static void clear_field(ProtobufCMessage *message, const ProtobufCFieldDescriptor *field)
{
    if (field->label == PROTOBUF_C_LABEL_REPEATED) {
        *count_of(message, field) = 0;
    } else if (is_pointer(field)) {
        *(void **)at(message, field) = NULL;
    } else {
        *has_of(message, field) = 0;
    }
}

static int merge_field(struct merge *merge, ProtobufCMessage *message,
                       const ProtobufCFieldDescriptor *field, const json_t *json)
{
    enum mu_json_shape shape = mu_json_shape_of(field);
    if (json_is_null(json)) {
        clear_field(message, field);
        return 0;
    }
    if (shape == MU_JSON_ENTRY) {
        return merge_map(merge, message, field, json);
    }
    if (field->label == PROTOBUF_C_LABEL_REPEATED) {
        return merge_list(merge, message, field, json);
    }
    if (field->type == PROTOBUF_C_TYPE_MESSAGE &&
        (directive(json, "delete") || directive(json, "replace"))) {
        clear_field(message, field);
        if (directive(json, "delete")) {
            return 0;
        }
    }
    int code = read_value(merge, field, json, at(message, field));
    if (code == 0 && !is_pointer(field)) {
        *has_of(message, field) = 1;
    }
    return code;
}

/* The field called `name`, in the message itself or in one that JSON inlines into it (which is
 * made when it is missing). NULL: not a field that we know. */
static const ProtobufCFieldDescriptor *find_field(const struct merge *merge,
                                                  ProtobufCMessage **message, const char *name)
{
    const ProtobufCMessageDescriptor *descriptor = (*message)->descriptor;
    const ProtobufCFieldDescriptor *field =
        protobuf_c_message_descriptor_get_field_by_name(descriptor, name);
    if (field != NULL) {
        return mu_json_shape_of(field) == MU_JSON_INLINE ? NULL : field;
    }
    for (unsigned i = 0; i < descriptor->n_fields; i++) {
        const ProtobufCFieldDescriptor *inner = &descriptor->fields[i];
        if (mu_json_shape_of(inner) != MU_JSON_INLINE) {
            continue;
        }
        field = protobuf_c_message_descriptor_get_field_by_name(inner->descriptor, name);
        if (field != NULL) {
            ProtobufCMessage **part = at(*message, inner);
            *part = *part != NULL ? *part : fresh(merge, inner);
            *message = *part;
            return *part == NULL ? NULL : field;
        }
    }
    return NULL;
}

static int merge_fields(struct merge *merge, ProtobufCMessage *message, const json_t *object)
{
    if (++merge->depth > MU_KUBESIM_JSON_DEPTH) {
        return mu_error_set(merge->error, MU_EINVAL, "nested deeper than %u objects",
                            MU_KUBESIM_JSON_DEPTH);
    }
    int code = 0;
    void *it = json_object_iter((json_t *)(uintptr_t)object);
    for (; code == 0 && it != NULL; it = json_object_iter_next((json_t *)(uintptr_t)object, it)) {
        ProtobufCMessage *owner = message;
        const ProtobufCFieldDescriptor *field = find_field(merge, &owner, json_object_iter_key(it));
        if (field != NULL) {
            code = merge_field(merge, owner, field, json_object_iter_value(it));
        }
    }
    merge->depth--;
    return code;
}

int mu_kube_json_merge(ProtobufCMessage *message, const json_t *object, bool strategic,
                       struct mu_arena *arena, struct mu_error *error)
{
    struct merge merge = {arena, error, strategic, 0};
    return merge_fields(&merge, message, object);
}
