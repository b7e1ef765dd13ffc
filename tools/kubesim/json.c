#include "tools/kubesim/json.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include "engine/base/assert.h"
#include "informer/proto/core.pb-c.h"
#include "informer/proto/meta.pb-c.h"
#include "tools/kubesim/limits.h"

/* ---- messages whose JSON is not an object of their fields ----------------------------------- */

enum shape {
    SHAPE_OBJECT,
    SHAPE_QUANTITY,   /* its text */
    SHAPE_TIME,       /* RFC 3339, seconds */
    SHAPE_MICRO_TIME, /* RFC 3339, microseconds */
    SHAPE_ENTRY,      /* repeated: a JSON object from key to value */
    SHAPE_INLINE      /* its fields stand in the message around it */
};

static enum shape shape_of(const ProtobufCFieldDescriptor *field)
{
    static const struct {
        const ProtobufCMessageDescriptor *descriptor;
        enum shape shape;
    } shapes[] = {{&kube__quantity__descriptor, SHAPE_QUANTITY},
                  {&kube__time__descriptor, SHAPE_TIME},
                  {&kube__micro_time__descriptor, SHAPE_MICRO_TIME},
                  {&kube__string_entry__descriptor, SHAPE_ENTRY},
                  {&kube__quantity_entry__descriptor, SHAPE_ENTRY},
                  {&kube__volume_source__descriptor, SHAPE_INLINE}};
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
        if (field->type == PROTOBUF_C_TYPE_MESSAGE && field->descriptor == shapes[i].descriptor) {
            return shapes[i].shape;
        }
    }
    return SHAPE_OBJECT;
}

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

/* ---- writing ------------------------------------------------------------------------------ */

void mu_kube_json_string(struct mu_buf *out, struct mu_str text)
{
    (void)mu_buf_append(out, "\"", 1);
    uint32_t plain = 0; /* start of the run that needs no escape */
    for (uint32_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.data[i];
        if (c >= 0x20 && c != '"' && c != '\\') {
            continue;
        }
        (void)mu_buf_append(out, text.data + plain, i - plain);
        if (c == '"' || c == '\\') {
            (void)mu_buf_printf(out, "\\%c", c);
        } else {
            (void)mu_buf_printf(out, "\\u%04x", c);
        }
        plain = i + 1;
    }
    if (plain < text.len) {
        (void)mu_buf_append(out, text.data + plain, text.len - plain);
    }
    (void)mu_buf_append(out, "\"", 1);
}

static void write_time(struct mu_buf *out, int64_t seconds, int32_t nanos, bool micro)
{
    time_t when = (time_t)seconds;
    struct tm tm;
    if (gmtime_r(&when, &tm) == NULL) {
        (void)mu_buf_append_text(out, "null");
        return;
    }
    (void)mu_buf_printf(out, "\"%04d-%02d-%02dT%02d:%02d:%02d", tm.tm_year + 1900, tm.tm_mon + 1,
                        tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec);
    if (micro) {
        (void)mu_buf_printf(out, ".%06d", nanos >= 0 && nanos < 1000000000 ? nanos / 1000 : 0);
    }
    (void)mu_buf_append_text(out, "Z\"");
}

static void write_fields(struct mu_buf *out, const ProtobufCMessage *message, bool *first);

/* A message as a value, by its shape. */
static void write_message(struct mu_buf *out, const ProtobufCFieldDescriptor *field,
                          const ProtobufCMessage *message)
{
    switch (shape_of(field)) {
    case SHAPE_QUANTITY: {
        const char *text = ((const Kube__Quantity *)message)->string;
        mu_kube_json_string(out, text == NULL || text[0] == '\0' ? MU_STR("0") : mu_str_of(text));
        break;
    }
    case SHAPE_TIME:
        write_time(out, ((const Kube__Time *)message)->seconds, 0, false);
        break;
    case SHAPE_MICRO_TIME: {
        const Kube__MicroTime *time = (const Kube__MicroTime *)message;
        write_time(out, time->seconds, time->nanos, true);
        break;
    }
    default: {
        bool first = true;
        (void)mu_buf_append(out, "{", 1);
        write_fields(out, message, &first);
        (void)mu_buf_append(out, "}", 1);
        break;
    }
    }
}

/* The value of a singular field, or of one element, at `value`. */
static void write_value(struct mu_buf *out, const ProtobufCFieldDescriptor *field,
                        const void *value)
{
    switch (field->type) {
    case PROTOBUF_C_TYPE_STRING: {
        const char *const *text = value;
        mu_kube_json_string(out, mu_str_of(*text));
        break;
    }
    case PROTOBUF_C_TYPE_MESSAGE: {
        ProtobufCMessage *const *message = value;
        write_message(out, field, *message);
        break;
    }
    case PROTOBUF_C_TYPE_BOOL: {
        const protobuf_c_boolean *yes = value;
        (void)mu_buf_append_text(out, *yes ? "true" : "false");
        break;
    }
    case PROTOBUF_C_TYPE_INT32: {
        const int32_t *number = value;
        (void)mu_buf_printf(out, "%" PRId32, *number);
        break;
    }
    case PROTOBUF_C_TYPE_INT64: {
        const int64_t *number = value;
        (void)mu_buf_printf(out, "%" PRId64, *number);
        break;
    }
    default: /* our messages have no other types that JSON shows */
        (void)mu_buf_append_text(out, "null");
        break;
    }
}

static void write_map(struct mu_buf *out, const ProtobufCMessage *message,
                      const ProtobufCFieldDescriptor *field)
{
    ProtobufCMessage *const *entries = *(ProtobufCMessage ***)at(message, field);
    size_t count = *count_of(message, field);
    const ProtobufCMessageDescriptor *entry = field->descriptor;
    const ProtobufCFieldDescriptor *value = protobuf_c_message_descriptor_get_field(entry, 2);
    (void)mu_buf_append(out, "{", 1);
    for (size_t i = 0; i < count; i++) {
        /* Both entry types begin with the key. */
        const char *key = ((const Kube__StringEntry *)entries[i])->key;
        (void)mu_buf_append(out, ",", i > 0);
        mu_kube_json_string(out, mu_str_of(key));
        (void)mu_buf_append(out, ":", 1);
        const void *slot = at(entries[i], value);
        const void *const *pointer = slot;
        if (*pointer == NULL) {
            (void)mu_buf_append_text(out, value->type == PROTOBUF_C_TYPE_STRING ? "\"\"" : "\"0\"");
        } else {
            write_value(out, value, slot);
        }
    }
    (void)mu_buf_append(out, "}", 1);
}

/* A field without content is left out, as encoding/json does with omitempty. */
static bool shown(const ProtobufCMessage *message, const ProtobufCFieldDescriptor *field)
{
    if (field->label == PROTOBUF_C_LABEL_REPEATED) {
        return *count_of(message, field) > 0;
    }
    if (field->type == PROTOBUF_C_TYPE_STRING) {
        const char *text = *(char **)at(message, field);
        return text != NULL && text[0] != '\0';
    }
    if (field->type == PROTOBUF_C_TYPE_MESSAGE) {
        const ProtobufCMessage *part = *(ProtobufCMessage **)at(message, field);
        enum shape shape = shape_of(field);
        bool time = shape == SHAPE_TIME || shape == SHAPE_MICRO_TIME;
        return part != NULL && !(time && !((const Kube__Time *)part)->has_seconds);
    }
    return *has_of(message, field) != 0;
}

static void write_fields(struct mu_buf *out, const ProtobufCMessage *message, bool *first)
{
    const ProtobufCMessageDescriptor *descriptor = message->descriptor;
    for (unsigned i = 0; i < descriptor->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &descriptor->fields[i];
        if (!shown(message, field)) {
            continue;
        }
        enum shape shape = shape_of(field);
        if (shape == SHAPE_INLINE) {
            write_fields(out, *(ProtobufCMessage **)at(message, field), first);
            continue;
        }
        (void)mu_buf_printf(out, "%s\"%s\":", *first ? "" : ",", field->name);
        *first = false;
        if (shape == SHAPE_ENTRY) {
            write_map(out, message, field);
        } else if (field->label == PROTOBUF_C_LABEL_REPEATED) {
            void **elements = *(void ***)at(message, field);
            (void)mu_buf_append(out, "[", 1);
            for (size_t j = 0; j < *count_of(message, field); j++) {
                (void)mu_buf_append(out, ",", j > 0);
                write_value(out, field, &elements[j]); /* strings and messages only */
            }
            (void)mu_buf_append(out, "]", 1);
        } else {
            write_value(out, field, at(message, field));
        }
    }
}

int mu_kube_json_write(struct mu_buf *out, const ProtobufCMessage *message, const char *kind,
                       const char *api_version)
{
    bool first = kind == NULL;
    (void)mu_buf_append(out, "{", 1);
    if (kind != NULL) {
        (void)mu_buf_printf(out, "\"kind\":\"%s\",\"apiVersion\":\"%s\"", kind, api_version);
    }
    write_fields(out, message, &first);
    return mu_buf_append(out, "}", 1);
}

/* ---- reading ------------------------------------------------------------------------------ */

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
    switch (shape_of(field)) {
    case SHAPE_QUANTITY:
        return read_quantity(merge, field, json, (Kube__Quantity *)message);
    case SHAPE_TIME: {
        Kube__Time *time = (Kube__Time *)message;
        int32_t nanos = 0;
        time->has_seconds = 1;
        return read_time(merge, field, json, &time->seconds, &nanos);
    }
    case SHAPE_MICRO_TIME: {
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
    enum shape shape = shape_of(field);
    if (json_is_null(json)) {
        clear_field(message, field);
        return 0;
    }
    if (shape == SHAPE_ENTRY) {
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
        return shape_of(field) == SHAPE_INLINE ? NULL : field;
    }
    for (unsigned i = 0; i < descriptor->n_fields; i++) {
        const ProtobufCFieldDescriptor *inner = &descriptor->fields[i];
        if (shape_of(inner) != SHAPE_INLINE) {
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
