#include "informer/json_object.h"

#include <inttypes.h>
#include <time.h>
#include "engine/base/assert.h"
#include "informer/decode_priv.h"

/* Messages nest by type and no type contains itself, so the walk is as deep as the types are. */
#define DEPTH_MAX 24

struct writer {
    struct mu_buf *out;
    struct mu_error *error;
    int status; /* first failure that is not the buffer's */
};

static void put(struct writer *w, const char *text)
{
    (void)mu_buf_append_text(w->out, text);
}

/* Length of the well-formed UTF-8 sequence at s (RFC 3629: no surrogates, no overlong forms,
 * nothing above U+10FFFF), or 0. */
static uint32_t utf8_length(const uint8_t *s, uint32_t left)
{
    static const struct {
        uint8_t first_low, first_high, second_low, second_high;
        uint32_t length;
    } forms[] = {
        {0x00, 0x7F, 0x00, 0x00, 1}, {0xC2, 0xDF, 0x80, 0xBF, 2}, {0xE0, 0xE0, 0xA0, 0xBF, 3},
        {0xE1, 0xEC, 0x80, 0xBF, 3}, {0xED, 0xED, 0x80, 0x9F, 3}, {0xEE, 0xEF, 0x80, 0xBF, 3},
        {0xF0, 0xF0, 0x90, 0xBF, 4}, {0xF1, 0xF3, 0x80, 0xBF, 4}, {0xF4, 0xF4, 0x80, 0x8F, 4},
    };
    for (size_t f = 0; f < sizeof forms / sizeof forms[0]; f++) {
        if (s[0] < forms[f].first_low || s[0] > forms[f].first_high)
            continue;
        if (forms[f].length == 1)
            return 1;
        if (left < forms[f].length || s[1] < forms[f].second_low || s[1] > forms[f].second_high)
            return 0;
        for (uint32_t i = 2; i < forms[f].length; i++)
            if ((s[i] & 0xC0) != 0x80)
                return 0;
        return forms[f].length;
    }
    return 0;
}

/* Append the bytes that need no escape, as one run; returns how many there are. */
static uint32_t put_plain_run(struct mu_buf *out, const uint8_t *s, uint32_t left)
{
    uint32_t run = 0;
    while (run < left && s[run] != '"' && s[run] != '\\' && s[run] >= 0x20) {
        uint32_t length = utf8_length(s + run, left - run);
        if (length == 0)
            break;
        run += length;
    }
    if (run > 0)
        (void)mu_buf_append(out, s, run);
    return run;
}

int mu_json_string_write(struct mu_buf *out, struct mu_str s)
{
    const uint8_t *bytes = (const uint8_t *)s.data;
    uint32_t at = 0;
    (void)mu_buf_append_text(out, "\"");
    while (at < s.len && out->failed == 0) {
        at += put_plain_run(out, bytes + at, s.len - at);
        if (at == s.len)
            break;
        uint8_t c = bytes[at++];
        if (c == '"' || c == '\\')
            (void)mu_buf_printf(out, "\\%c", c);
        else if (c < 0x20)
            (void)mu_buf_printf(out, "\\u%04x", c);
        else
            (void)mu_buf_append_text(out, "\\ufffd"); /* not UTF-8 */
    }
    return mu_buf_append_text(out, "\"");
}

static void put_string(struct writer *w, const char *text)
{
    (void)mu_json_string_write(w->out, mu_str_of(text));
}

/* --- fields of a message, found by descriptor ---------------------------------------------- */

static const void *field_at(const ProtobufCMessage *message, const ProtobufCFieldDescriptor *field)
{
    return (const uint8_t *)message + field->offset;
}

static size_t field_count(const ProtobufCMessage *message, const ProtobufCFieldDescriptor *field)
{
    size_t count;
    memcpy(&count, (const uint8_t *)message + field->quantifier_offset, sizeof count);
    return count;
}

static const char *string_at(const void *at)
{
    const char *text;
    memcpy(&text, at, sizeof text);
    return text;
}

static const ProtobufCMessage *message_at(const void *at)
{
    const ProtobufCMessage *message;
    memcpy(&message, at, sizeof message);
    return message;
}

enum mu_json_shape mu_json_shape_of(const ProtobufCFieldDescriptor *field)
{
    static const struct {
        const ProtobufCMessageDescriptor *descriptor;
        enum mu_json_shape shape;
    } shapes[] = {
        {&kube__quantity__descriptor, MU_JSON_QUANTITY},
        {&kube__time__descriptor, MU_JSON_TIME},
        {&kube__micro_time__descriptor, MU_JSON_MICRO_TIME},
        {&kube__string_entry__descriptor, MU_JSON_ENTRY},
        {&kube__quantity_entry__descriptor, MU_JSON_ENTRY},
        {&kube__volume_source__descriptor, MU_JSON_INLINE},
    };
    if (field->type != PROTOBUF_C_TYPE_MESSAGE)
        return MU_JSON_OBJECT;
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++)
        if (field->descriptor == shapes[i].descriptor)
            return shapes[i].shape;
    return MU_JSON_OBJECT;
}

_Static_assert(offsetof(Kube__Time, nanos) == offsetof(Kube__MicroTime, nanos) &&
                   sizeof(Kube__Time) == sizeof(Kube__MicroTime),
               "a MicroTime is read as a Time");

/* Whether a singular field has something to say. */
static bool is_present(const ProtobufCMessage *message, const ProtobufCFieldDescriptor *field)
{
    const void *at = field_at(message, field);
    if (field->type == PROTOBUF_C_TYPE_STRING) {
        const char *text = string_at(at);
        return text != NULL && text[0] != '\0';
    }
    if (field->type == PROTOBUF_C_TYPE_MESSAGE) {
        const ProtobufCMessage *part = message_at(at);
        enum mu_json_shape shape = mu_json_shape_of(field);
        bool moment = shape == MU_JSON_TIME || shape == MU_JSON_MICRO_TIME;
        return part != NULL && !(moment && !((const Kube__Time *)part)->has_seconds);
    }
    protobuf_c_boolean has;
    memcpy(&has, (const uint8_t *)message + field->quantifier_offset, sizeof has);
    return has != 0;
}

/* --- the forms that differ ----------------------------------------------------------------- */

static void put_quantity(struct writer *w, const Kube__Quantity *quantity)
{
    bool empty = quantity == NULL || quantity->string == NULL || quantity->string[0] == '\0';
    put_string(w, empty ? "0" : quantity->string);
}

static void put_time(struct writer *w, const Kube__Time *moment, bool micro)
{
    time_t seconds = (time_t)moment->seconds;
    struct tm parts;
    char text[40];
    if (gmtime_r(&seconds, &parts) == NULL || /* a year that does not fit */
        strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &parts) == 0) {
        put(w, "null");
        return;
    }
    (void)mu_buf_printf(w->out, "\"%s", text);
    if (micro) {
        int32_t nanos = moment->nanos >= 0 && moment->nanos < 1000000000 ? moment->nanos : 0;
        (void)mu_buf_printf(w->out, ".%06" PRId32, nanos / 1000);
    }
    put(w, "Z\"");
}

static void put_value(struct writer *w, const ProtobufCFieldDescriptor *field, const void *at,
                      uint32_t depth);
static bool put_fields(struct writer *w, const ProtobufCMessage *message, bool comma,
                       uint32_t depth);

/* A map: repeated entries with a key and a value as the members of one object. */
static void put_map(struct writer *w, const ProtobufCMessage *message,
                    const ProtobufCFieldDescriptor *field)
{
    _Static_assert(offsetof(Kube__StringEntry, key) == offsetof(Kube__QuantityEntry, key),
                   "the key of either kind of entry is read as a StringEntry's");
    bool quantities = field->descriptor == &kube__quantity_entry__descriptor;
    size_t count = field_count(message, field);
    const ProtobufCMessage *const *entries;
    memcpy(&entries, field_at(message, field), sizeof entries);
    put(w, "{");
    for (size_t i = 0; i < count && w->out->failed == 0; i++) {
        const Kube__StringEntry *entry = (const Kube__StringEntry *)entries[i];
        put(w, i > 0 ? "," : "");
        put_string(w, entry->key != NULL ? entry->key : "");
        put(w, ":");
        if (!quantities) {
            put_string(w, entry->value != NULL ? entry->value : "");
        } else {
            put_quantity(w, ((const Kube__QuantityEntry *)entries[i])->value);
        }
    }
    put(w, "}");
}

/* --- the walk ------------------------------------------------------------------------------ */

static void put_message(struct writer *w, const ProtobufCFieldDescriptor *field,
                        const ProtobufCMessage *message, uint32_t depth)
{
    enum mu_json_shape shape = mu_json_shape_of(field);
    if (shape == MU_JSON_QUANTITY) {
        put_quantity(w, (const Kube__Quantity *)message);
    } else if (shape == MU_JSON_TIME || shape == MU_JSON_MICRO_TIME) {
        put_time(w, (const Kube__Time *)message, shape == MU_JSON_MICRO_TIME);
    } else {
        put(w, "{");
        (void)put_fields(w, message, false, depth + 1);
        put(w, "}");
    }
}

static void put_value(struct writer *w, const ProtobufCFieldDescriptor *field, const void *at,
                      uint32_t depth)
{
    int32_t i32;
    int64_t i64;
    protobuf_c_boolean truth;
    switch (field->type) {
    case PROTOBUF_C_TYPE_STRING:
        put_string(w, string_at(at) != NULL ? string_at(at) : "");
        break;
    case PROTOBUF_C_TYPE_MESSAGE:
        put_message(w, field, message_at(at), depth);
        break;
    case PROTOBUF_C_TYPE_INT32:
        memcpy(&i32, at, sizeof i32);
        (void)mu_buf_printf(w->out, "%" PRId32, i32);
        break;
    case PROTOBUF_C_TYPE_INT64:
        memcpy(&i64, at, sizeof i64);
        (void)mu_buf_printf(w->out, "%" PRId64, i64);
        break;
    case PROTOBUF_C_TYPE_BOOL:
        memcpy(&truth, at, sizeof truth);
        put(w, truth ? "true" : "false");
        break;
    default:
        w->status = mu_error_set(w->error, MU_EUNSUPPORTED,
                                 "field %s: no JSON form for its protobuf type", field->name);
        break;
    }
}

static void put_repeated(struct writer *w, const ProtobufCMessage *message,
                         const ProtobufCFieldDescriptor *field, uint32_t depth)
{
    size_t count = field_count(message, field);
    const uint8_t *elements;
    memcpy(&elements, field_at(message, field), sizeof elements);
    /* Only strings and messages repeat in our .proto files; both are pointers. */
    bool pointers = field->type == PROTOBUF_C_TYPE_STRING || field->type == PROTOBUF_C_TYPE_MESSAGE;
    if (!pointers) {
        w->status = mu_error_set(w->error, MU_EUNSUPPORTED,
                                 "field %s: no JSON form for a repeated number", field->name);
        return;
    }
    put(w, "[");
    for (size_t i = 0; i < count && w->out->failed == 0; i++) {
        put(w, i > 0 ? "," : "");
        put_value(w, field, elements + i * sizeof(void *), depth);
    }
    put(w, "]");
}

/* The fields of a message without braces; `comma`: something stands before them already. Returns
 * whether anything stands there now. */
static bool put_fields(struct writer *w, const ProtobufCMessage *message, bool comma,
                       uint32_t depth)
{
    const ProtobufCMessageDescriptor *type = message->descriptor;
    MU_ASSERT(depth < DEPTH_MAX);
    for (unsigned i = 0; i < type->n_fields && w->out->failed == 0; i++) {
        const ProtobufCFieldDescriptor *field = &type->fields[i];
        bool repeated = field->label == PROTOBUF_C_LABEL_REPEATED;
        if (repeated ? field_count(message, field) == 0 : !is_present(message, field))
            continue;
        enum mu_json_shape shape = mu_json_shape_of(field);
        if (shape == MU_JSON_INLINE) {
            comma = put_fields(w, message_at(field_at(message, field)), comma, depth + 1);
            continue;
        }
        put(w, comma ? "," : "");
        comma = true;
        put_string(w, field->name);
        put(w, ":");
        if (!repeated)
            put_value(w, field, field_at(message, field), depth);
        else if (shape == MU_JSON_ENTRY)
            put_map(w, message, field);
        else
            put_repeated(w, message, field, depth);
    }
    return comma;
}

int mu_json_message_write(struct mu_buf *out, struct mu_str api_version, struct mu_str kind,
                          const ProtobufCMessage *message, struct mu_error *error)
{
    if (out->failed != 0)
        return out->failed;
    struct writer w = {.out = out, .error = error};
    size_t before = out->len;
    put(&w, "{");
    if (kind.len > 0) {
        put(&w, "\"kind\":");
        (void)mu_json_string_write(out, kind);
        put(&w, ",\"apiVersion\":");
        (void)mu_json_string_write(out, api_version);
    }
    (void)put_fields(&w, message, kind.len > 0, 0);
    put(&w, "}");
    int status = out->failed;
    if (status != 0)
        (void)mu_error_set(error, status, "%s as JSON: %s", message->descriptor->short_name,
                           mu_error_text(status));
    else
        status = w.status;
    if (status != 0) {
        out->len = before;
        out->failed = 0;
    }
    return status;
}

int mu_json_object_write(struct mu_buf *out, struct mu_str kind, struct mu_str raw,
                         struct mu_arena *arena, struct mu_error *error)
{
    static const struct {
        struct mu_str kind;
        const ProtobufCMessageDescriptor *descriptor;
    } kinds[] = {
        {{"Pod", 3}, &kube__pod__descriptor},
        {{"Node", 4}, &kube__node__descriptor},
        {{"Namespace", 9}, &kube__namespace__descriptor},
    };
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        if (!mu_str_equal(kinds[i].kind, kind))
            continue;
        const void *message;
        int status =
            mu_decode_message(raw, kinds[i].descriptor, arena, kinds[i].kind.data, &message, error);
        if (status != 0)
            return status;
        return mu_json_message_write(out, MU_STR("v1"), kind, message, error);
    }
    return mu_error_set(error, MU_EUNSUPPORTED, "kind '%.*s' has no JSON form here",
                        MU_STR_ARGS(kind));
}
