#include "informer/json_object.h"

#include <inttypes.h>
#include <time.h>
#include "engine/base/assert.h"
#include "informer/base64.h"
#include "informer/decode_priv.h"
#include "informer/json_read.h"
#include "informer/limits.h"
#include "informer/utf8.h"

struct writer {
    struct mu_buf *out;
    struct mu_error *error;
    int status; /* first failure that is not the buffer's */
};

static void put(struct writer *w, const char *text)
{
    (void)mu_buf_append_text(w->out, text);
}

/* Append the bytes that need no escape, as one run; returns how many there are. */
static uint32_t put_plain_run(struct mu_buf *out, const uint8_t *s, uint32_t left)
{
    uint32_t run = 0;
    while (run < left && s[run] != '"' && s[run] != '\\' && s[run] >= 0x20) {
        uint32_t code;
        uint32_t length = s[run] < 0x80 ? 1 : mu_utf8_length(s + run, left - run, &code);
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

static int64_t number_at(const ProtobufCFieldDescriptor *field, const void *at)
{
    int32_t narrow;
    int64_t wide;
    protobuf_c_boolean truth;
    if (field->type == PROTOBUF_C_TYPE_INT64) {
        memcpy(&wide, at, sizeof wide);
        return wide;
    }
    if (field->type == PROTOBUF_C_TYPE_BOOL) {
        memcpy(&truth, at, sizeof truth);
        return truth != 0;
    }
    memcpy(&narrow, at, sizeof narrow);
    return narrow;
}

/* A field of a message of known shape, by number; both forms of the message have the same. */
static const ProtobufCFieldDescriptor *part_of(const ProtobufCMessageDescriptor *type,
                                               uint32_t number)
{
    MU_ASSERT(number <= type->n_fields && type->fields[number - 1].id == number);
    return &type->fields[number - 1];
}

static bool has_scalar(const ProtobufCMessage *message, const ProtobufCFieldDescriptor *field)
{
    protobuf_c_boolean has;
    memcpy(&has, (const uint8_t *)message + field->quantifier_offset, sizeof has);
    return has != 0;
}

static ProtobufCBinaryData bytes_at(const void *at)
{
    ProtobufCBinaryData bytes;
    memcpy(&bytes, at, sizeof bytes);
    return bytes;
}

/* Whether a singular field holds something that is printed for its own sake; `pointer`: its being
 * set says something. */
static bool is_present(const ProtobufCMessage *message, const ProtobufCFieldDescriptor *field,
                       bool pointer, bool no_empty_text)
{
    const void *at = field_at(message, field);
    if (field->type == PROTOBUF_C_TYPE_STRING) {
        const char *text = string_at(at);
        return text != NULL && (text[0] != '\0' || (pointer && !no_empty_text));
    }
    if (field->type == PROTOBUF_C_TYPE_MESSAGE) {
        const ProtobufCMessage *part = message_at(at);
        enum mu_json_shape shape = mu_json_shape_of(field);
        bool moment = shape == MU_JSON_TIME || shape == MU_JSON_MICRO_TIME;
        return part != NULL && !(moment && !has_scalar(part, part_of(part->descriptor, 1)));
    }
    if (!has_scalar(message, field))
        return false;
    return pointer || (field->type == PROTOBUF_C_TYPE_BYTES ? bytes_at(at).len > 0
                                                            : number_at(field, at) != 0);
}

/* --- the forms that differ ----------------------------------------------------------------- */

static void put_quantity(struct writer *w, const ProtobufCMessage *quantity)
{
    const char *text = NULL;
    if (quantity != NULL)
        text = string_at(field_at(quantity, part_of(quantity->descriptor, 1)));
    put_string(w, text == NULL || text[0] == '\0' ? "0" : text);
}

static void put_time(struct writer *w, const ProtobufCMessage *moment, bool micro)
{
    const ProtobufCMessageDescriptor *type = moment == NULL ? NULL : moment->descriptor;
    struct tm parts;
    char text[40];
    time_t seconds = 0;
    if (moment != NULL)
        seconds = (time_t)number_at(part_of(type, 1), field_at(moment, part_of(type, 1)));
    if (moment == NULL || !has_scalar(moment, part_of(type, 1)) ||
        gmtime_r(&seconds, &parts) == NULL || parts.tm_year < -1900 || parts.tm_year > 8099 ||
        strftime(text, sizeof text, "%m-%dT%H:%M:%S", &parts) == 0) {
        put(w, "null"); /* not set, or a year that RFC 3339 does not have */
        return;
    }
    (void)mu_buf_printf(w->out, "\"%04d-%s", parts.tm_year + 1900, text);
    if (micro) {
        int64_t nanos = number_at(part_of(type, 2), field_at(moment, part_of(type, 2)));
        bool sound = nanos >= 0 && nanos < 1000000000;
        (void)mu_buf_printf(w->out, ".%06" PRId64, sound ? nanos / 1000 : 0);
    }
    put(w, "Z\"");
}

static void put_int_or_string(struct writer *w, const ProtobufCMessage *either)
{
    enum { TYPE = 1, NUMBER = 2, TEXT = 3, IS_TEXT = 1 };
    const ProtobufCMessageDescriptor *type = either->descriptor;
    if (number_at(part_of(type, TYPE), field_at(either, part_of(type, TYPE))) == IS_TEXT) {
        const char *text = string_at(field_at(either, part_of(type, TEXT)));
        put_string(w, text != NULL ? text : "");
        return;
    }
    (void)mu_buf_printf(w->out, "%" PRId64,
                        number_at(part_of(type, NUMBER), field_at(either, part_of(type, NUMBER))));
}

static void put_base64(struct writer *w, ProtobufCBinaryData bytes)
{
    put(w, "\"");
    (void)mu_base64_append(w->out, (struct mu_str){(const char *)bytes.data, (uint32_t)bytes.len});
    put(w, "\"");
}

/* JSON inside JSON. It comes from clients as bytes: what does not parse would spoil all of it. */
static void put_raw(struct writer *w, const ProtobufCMessage *message)
{
    const ProtobufCFieldDescriptor *field = part_of(message->descriptor, 1);
    ProtobufCBinaryData bytes = bytes_at(field_at(message, field));
    struct mu_str text = {(const char *)bytes.data, (uint32_t)bytes.len};
    json_t *parsed = NULL;
    int status = MU_EINVAL;
    if (has_scalar(message, field) && bytes.len > 0)
        status = mu_json_value_read(text, &parsed, NULL, NULL);
    if (status == MU_ENOMEM)
        w->status = mu_error_set(w->error, status, "%s", mu_error_text(status));
    else
        (void)mu_buf_append_str(w->out, status == 0 ? text : MU_STR("null"));
    json_decref(parsed);
}

static void put_value(struct writer *w, const ProtobufCFieldDescriptor *field, const void *at,
                      uint32_t depth);
static bool put_fields(struct writer *w, const ProtobufCMessageDescriptor *type,
                       const ProtobufCMessage *message, bool comma, uint32_t depth);

/* A map: repeated entries with a key and a value as the members of one object. */
static void put_map(struct writer *w, const ProtobufCMessage *message,
                    const ProtobufCFieldDescriptor *field, uint32_t depth)
{
    const ProtobufCFieldDescriptor *key = part_of(field->descriptor, 1);
    const ProtobufCFieldDescriptor *value = part_of(field->descriptor, 2);
    size_t count = field_count(message, field);
    const ProtobufCMessage *const *entries;
    memcpy(&entries, field_at(message, field), sizeof entries);
    put(w, "{");
    for (size_t i = 0; i < count && w->out->failed == 0; i++) {
        const char *name = string_at(field_at(entries[i], key));
        put(w, i > 0 ? "," : "");
        put_string(w, name != NULL ? name : "");
        put(w, ":");
        put_value(w, value, field_at(entries[i], value), depth);
    }
    put(w, "}");
}

/* --- the walk ------------------------------------------------------------------------------ */

static void put_repeated(struct writer *w, const ProtobufCMessage *message,
                         const ProtobufCFieldDescriptor *field, uint32_t depth)
{
    size_t count = field_count(message, field);
    const uint8_t *elements;
    memcpy(&elements, field_at(message, field), sizeof elements);
    size_t size = sizeof(void *);
    if (field->type == PROTOBUF_C_TYPE_INT32)
        size = sizeof(int32_t);
    else if (field->type == PROTOBUF_C_TYPE_INT64)
        size = sizeof(int64_t);
    else if (field->type == PROTOBUF_C_TYPE_BYTES)
        size = sizeof(ProtobufCBinaryData);
    else if (field->type == PROTOBUF_C_TYPE_BOOL)
        size = sizeof(protobuf_c_boolean);
    put(w, "[");
    for (size_t i = 0; i < count && w->out->failed == 0 && w->status == 0; i++) {
        put(w, i > 0 ? "," : "");
        put_value(w, field, elements + i * size, depth);
    }
    put(w, "]");
}

/* A message of the field's type; NULL: none is set, and the field is printed all the same. */
static void put_message(struct writer *w, const ProtobufCFieldDescriptor *field,
                        const ProtobufCMessage *message, uint32_t depth)
{
    enum mu_json_shape shape = mu_json_shape_of(field);
    if (shape == MU_JSON_QUANTITY) {
        put_quantity(w, message);
    } else if (shape == MU_JSON_TIME || shape == MU_JSON_MICRO_TIME) {
        put_time(w, message, shape == MU_JSON_MICRO_TIME);
    } else if (shape == MU_JSON_INT_OR_STRING && message == NULL) {
        put(w, "0");
    } else if (shape == MU_JSON_INT_OR_STRING) {
        put_int_or_string(w, message);
    } else if (shape == MU_JSON_RAW && message == NULL) {
        put(w, "null");
    } else if (shape == MU_JSON_LIST && message == NULL) {
        put(w, "[]");
    } else if (shape == MU_JSON_RAW) {
        put_raw(w, message);
    } else if (shape == MU_JSON_LIST) {
        put_repeated(w, message, part_of(message->descriptor, 1), depth);
    } else {
        put(w, "{");
        (void)put_fields(w, field->descriptor, message, false, depth + 1);
        put(w, "}");
    }
}

static void put_value(struct writer *w, const ProtobufCFieldDescriptor *field, const void *at,
                      uint32_t depth)
{
    switch (field->type) {
    case PROTOBUF_C_TYPE_STRING:
        put_string(w, string_at(at) != NULL ? string_at(at) : "");
        break;
    case PROTOBUF_C_TYPE_MESSAGE:
        put_message(w, field, message_at(at), depth);
        break;
    case PROTOBUF_C_TYPE_BYTES:
        put_base64(w, bytes_at(at));
        break;
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_INT64:
        (void)mu_buf_printf(w->out, "%" PRId64, number_at(field, at));
        break;
    case PROTOBUF_C_TYPE_BOOL:
        put(w, number_at(field, at) != 0 ? "true" : "false");
        break;
    default:
        w->status = mu_error_set(w->error, MU_EUNSUPPORTED,
                                 "field %s: no JSON form for its protobuf type", field->name);
        break;
    }
}

/* A field that is printed although it is not set. */
static void put_missing(struct writer *w, const ProtobufCFieldDescriptor *field, uint32_t depth)
{
    static const int64_t zero = 0; /* a zero of every number type */
    static const char *const no_text = "";
    static const ProtobufCMessage *const no_message = NULL;
    if (field->type == PROTOBUF_C_TYPE_MESSAGE)
        put_value(w, field, &no_message, depth);
    else if (field->type == PROTOBUF_C_TYPE_STRING)
        put_value(w, field, &no_text, depth);
    else if (field->type == PROTOBUF_C_TYPE_BYTES)
        put(w, "null");
    else
        put_value(w, field, &zero, depth);
}

/* A field's name and value, unless it is left out. Returns whether anything stands there now. */
static bool put_field(struct writer *w, const ProtobufCFieldDescriptor *field,
                      const ProtobufCMessage *message, struct mu_json_presence presence, bool comma,
                      uint32_t depth)
{
    bool repeated = field->label == PROTOBUF_C_LABEL_REPEATED;
    bool present = message != NULL;
    if (present && repeated)
        present = field_count(message, field) > 0;
    else if (present)
        present =
            is_present(message, field, presence.pointer >> field->id & 1, presence.no_empty_text);
    bool may_nest = field->type != PROTOBUF_C_TYPE_MESSAGE || depth + 1 < MU_JSON_DEPTH_MAX;
    if (!present && (!(presence.always >> field->id & 1) || !may_nest))
        return comma;
    put(w, comma ? ",\"" : "\"");
    put(w, field->name); /* field names need no escapes */
    put(w, "\":");
    if (!present)
        put_missing(w, field, depth);
    else if (!repeated)
        put_value(w, field, field_at(message, field), depth);
    else if (mu_json_shape_of(field) == MU_JSON_ENTRY)
        put_map(w, message, field, depth);
    else
        put_repeated(w, message, field, depth);
    return true;
}

/* The fields of a message (NULL: one in which nothing is set) without braces; `comma`: something
 * stands before them already. Returns whether anything stands there now. */
static bool put_fields(struct writer *w, const ProtobufCMessageDescriptor *type,
                       const ProtobufCMessage *message, bool comma, uint32_t depth)
{
    struct mu_json_presence presence = mu_json_presence_of(type);
    if (depth >= MU_JSON_DEPTH_MAX) {
        w->status = mu_error_set(w->error, MU_EUNSUPPORTED, "%s: nested deeper than %u",
                                 type->short_name, MU_JSON_DEPTH_MAX);
        return comma;
    }
    for (unsigned i = 0; i < type->n_fields && w->out->failed == 0 && w->status == 0; i++) {
        const ProtobufCFieldDescriptor *field = &type->fields[i];
        MU_ASSERT(field->id < 64); /* presence is a set of 64 bits */
        if (mu_json_shape_of(field) == MU_JSON_INLINE) {
            const ProtobufCMessage *part = NULL;
            if (message != NULL)
                part = message_at(field_at(message, field));
            comma = put_fields(w, field->descriptor, part, comma, depth);
        } else {
            comma = put_field(w, field, message, presence, comma, depth);
        }
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
    (void)put_fields(&w, message->descriptor, message, kind.len > 0, 0);
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
