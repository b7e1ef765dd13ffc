#include "informer/json_read.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <time.h>
#include "engine/base/assert.h"
#include "engine/base/mem.h"
#include "informer/base64.h"
#include "informer/json_facts.h"
#include "informer/limits.h"

/*
 * Whether jansson's parser runs in this thread, and whether it has met the end of memory. Its lexer
 * does not notice when its buffer cannot grow: it goes on with a piece of the text missing and then
 * aborts over it. So the buffer's growth, which is known by its sizes (powers of two), is served
 * from a reserve that was set aside before, and everything else fails from the first failure on:
 * the parser stops at the next value. Nothing of the reserve outlives the parse.
 */
static _Thread_local bool parsing, memory_out;
static _Thread_local struct {
    uint8_t *bytes;
    size_t used, cap;
} reserve;

#define RESERVE_LEAST 256u
#define RESERVE_TIMES 5u /* of the text: the buffer's sizes add up to less than 4 times its last */

static void *from_reserve(size_t bytes)
{
    size_t size = (bytes + 15) & ~(size_t)15;
    bool power = bytes >= 32 && (bytes & (bytes - 1)) == 0;
    if (!power || size > reserve.cap - reserve.used)
        return NULL;
    void *block = reserve.bytes + reserve.used;
    reserve.used += size;
    return block;
}

static void *allocate(size_t bytes)
{
    void *block = parsing && memory_out ? NULL : mu_mem_alloc(bytes);
    memory_out |= block == NULL;
    return block == NULL && parsing ? from_reserve(bytes) : block;
}

static void release(void *block)
{
    uintptr_t at = (uintptr_t)block;
    uintptr_t first = (uintptr_t)reserve.bytes;
    if (!parsing || at < first || at >= first + reserve.cap)
        mu_mem_free(block);
}

/* NULL also when out of memory: memory_out tells. */
static json_t *load(struct mu_str text, size_t flags, json_error_t *where)
{
    memset(where, 0, sizeof *where);
    reserve.used = 0;
    reserve.cap = (size_t)text.len * RESERVE_TIMES + RESERVE_LEAST;
    reserve.bytes = mu_mem_alloc(reserve.cap);
    if (reserve.bytes == NULL) {
        memory_out = true;
        return NULL;
    }
    parsing = true;
    json_t *root =
        json_loadb(text.data != NULL ? text.data : "", text.len, flags | JSON_DECODE_ANY, where);
    if (memory_out && root != NULL) {
        json_decref(root);
        root = NULL;
    }
    parsing = false;
    mu_mem_free(reserve.bytes);
    reserve.bytes = NULL;
    reserve.cap = 0;
    return root;
}

/* jansson takes its memory where everybody does: it is counted, and tests can let it run out. At
 * load time, so that no tree is older than the choice. */
__attribute__((constructor)) static void take_our_allocator(void)
{
    json_set_alloc_funcs(allocate, release);
}

/* ---- where in the object ------------------------------------------------------------------ */

/* A member or an element on the way from the root; lives on the stack. */
struct path {
    const struct path *up; /* NULL: the root, which has no name */
    const char *name;      /* NULL: an element */
    size_t index;
    bool is_key; /* `name` is a label's or the like, with dots of its own */
};

/* Append the text of `path` as the real server writes it; cut at `size`. Returns its length. */
static size_t path_text(const struct path *path, char *out, size_t size)
{
    if (path == NULL || path->up == NULL)
        return 0;
    size_t at = path_text(path->up, out, size);
    int n = path->name != NULL ? snprintf(out + at, size - at, path->is_key ? "[%s%s]" : "%s%s",
                                          at > 0 && !path->is_key ? "." : "", path->name)
                               : snprintf(out + at, size - at, "[%zu]", path->index);
    MU_ASSERT(n >= 0);
    return (size_t)n < size - at ? at + (size_t)n : size - 1;
}

/* ---- problems ----------------------------------------------------------------------------- */

void mu_json_problems_fini(struct mu_json_problems *problems)
{
    mu_buf_fini(&problems->lines);
    problems->count = 0;
}

int mu_json_problem(struct mu_json_problems *problems, const char *format, ...)
{
    if (problems->count >= MU_JSON_PROBLEMS_MAX)
        return 0;
    char line[MU_JSON_PATH_BYTES_MAX + 64];
    va_list args;
    va_start(args, format);
    int n = vsnprintf(line, sizeof line, format, args);
    va_end(args);
    MU_ASSERT(n >= 0);
    problems->count++;
    (void)mu_buf_append_text(&problems->lines, line);
    return mu_buf_append_text(&problems->lines, "\n");
}

static int problem_at(struct mu_json_problems *problems, const char *what, const struct path *path)
{
    if (problems == NULL)
        return 0;
    char text[MU_JSON_PATH_BYTES_MAX] = "";
    (void)path_text(path, text, sizeof text);
    for (char *c = text; *c != '\0'; c++)
        *c = (unsigned char)*c < 0x20 ? '?' : *c; /* a problem is one line */
    return mu_json_problem(problems, "%s field \"%s\"", what, text);
}

/* ---- text --------------------------------------------------------------------------------- */

/*
 * Keys that come twice. jansson can refuse them, but not tell which or go on, so text that it has
 * accepted otherwise is walked once more, only when it has refused it for that. Well-formed, it
 * needs no checks but for depth, which jansson has bounded.
 */
struct scan {
    const char *at, *end;
    struct mu_json_problems *problems;
    int status;
};

static void skip_space(struct scan *scan)
{
    while (scan->at < scan->end && memchr(" \t\r\n,:", *scan->at, 6) != NULL)
        scan->at++;
}

/* A string, quotes included. */
static struct mu_str take_string(struct scan *scan)
{
    const char *start = scan->at++;
    while (scan->at < scan->end && *scan->at != '"')
        scan->at += *scan->at == '\\' ? 2 : 1;
    scan->at = scan->at < scan->end ? scan->at + 1 : scan->end;
    return (struct mu_str){start, (uint32_t)(scan->at - start)};
}

/* The key's text, decoded; NULL when out of memory. */
static json_t *decode_key(struct mu_str quoted)
{
    json_error_t unused;
    return load(quoted, 0, &unused);
}

static void scan_value(struct scan *scan, const struct path *path);

static void scan_object(struct scan *scan, const struct path *path)
{
    json_t *seen = json_object();
    scan->at++;
    for (skip_space(scan); scan->status == 0 && scan->at < scan->end && *scan->at != '}';
         skip_space(scan)) {
        json_t *key = decode_key(take_string(scan));
        struct path here = {.up = path, .name = json_string_value(key)};
        if (seen == NULL || key == NULL)
            scan->status = MU_ENOMEM;
        else if (json_object_get(seen, here.name) != NULL)
            scan->status = problem_at(scan->problems, "duplicate", &here);
        else if (json_object_set_new(seen, here.name, json_null()) != 0)
            scan->status = MU_ENOMEM;
        skip_space(scan);
        if (scan->status == 0)
            scan_value(scan, &here);
        json_decref(key);
    }
    scan->at++;
    json_decref(seen);
}

static void scan_value(struct scan *scan, const struct path *path)
{
    if (*scan->at == '{') {
        scan_object(scan, path);
    } else if (*scan->at == '[') {
        size_t index = 0;
        scan->at++;
        for (skip_space(scan); scan->status == 0 && scan->at < scan->end && *scan->at != ']';
             skip_space(scan)) {
            struct path here = {.up = path, .index = index};
            scan_value(scan, &here);
            index++;
        }
        scan->at++;
    } else if (*scan->at == '"') {
        (void)take_string(scan);
    } else {
        while (scan->at < scan->end && memchr(" \t\r\n,]}", *scan->at, 7) == NULL)
            scan->at++;
    }
}

static int find_duplicates(struct mu_str text, struct mu_json_problems *problems)
{
    MU_ASSERT(text.data != NULL); /* it has members */
    struct scan scan = {.at = text.data, .end = text.data + text.len, .problems = problems};
    struct path root = {.up = NULL};
    skip_space(&scan);
    scan_value(&scan, &root);
    return scan.status;
}

int mu_json_value_read(struct mu_str text, json_t **out, struct mu_json_problems *problems,
                       struct mu_error *error)
{
    json_error_t where;
    memory_out = false;
    json_t *root = load(text, JSON_REJECT_DUPLICATES, &where);
    bool duplicates = root == NULL && json_error_code(&where) == json_error_duplicate_key;
    if (duplicates)
        root = load(text, 0, &where);
    int status = memory_out ? MU_ENOMEM : 0;
    if (root == NULL && status == 0)
        return mu_error_set(error, MU_EINVAL, "not JSON: line %d, column %d: %s", where.line,
                            where.column, where.text);
    if (status == 0 && duplicates && problems != NULL)
        status = find_duplicates(text, problems);
    if (status == 0 && memory_out)
        status = MU_ENOMEM;
    if (status != 0) {
        json_decref(root);
        return mu_error_set(error, status, "%s", mu_error_text(status));
    }
    *out = root;
    return 0;
}

int mu_json_text_read(struct mu_str text, json_t **out, struct mu_json_problems *problems,
                      struct mu_error *error)
{
    json_t *root = NULL;
    int status = mu_json_value_read(text, &root, problems, error);
    if (status == 0 && !json_is_object(root)) {
        json_decref(root);
        status = mu_error_set(error, MU_EINVAL, "expected a JSON object");
    }
    if (status == 0)
        *out = root;
    return status;
}

/* ---- values ------------------------------------------------------------------------------- */

struct reader {
    struct mu_arena *arena;
    struct mu_json_problems *problems;
    struct mu_error *error;
    uint32_t depth;
};

static int bad(const struct reader *r, const struct path *path, const char *expected)
{
    char text[MU_ERROR_TEXT_BYTES - 80] = ""; /* what was expected has room behind it */
    (void)path_text(path, text, sizeof text);
    return mu_error_set(r->error, MU_EINVAL, "%s: expected %s", text[0] != '\0' ? text : "body",
                        expected);
}

static int out_of_memory(const struct reader *r)
{
    return mu_error_set(r->error, MU_ENOMEM, "%s", mu_error_text(MU_ENOMEM));
}

/* Where a field lives in a message. */
static void *slot_of(ProtobufCMessage *message, const ProtobufCFieldDescriptor *field)
{
    return (char *)message + field->offset;
}

static void set_has(ProtobufCMessage *message, const ProtobufCFieldDescriptor *field)
{
    *(protobuf_c_boolean *)(void *)((char *)message + field->quantifier_offset) = 1;
}

static bool is_pointer(const ProtobufCFieldDescriptor *field)
{
    return field->type == PROTOBUF_C_TYPE_STRING || field->type == PROTOBUF_C_TYPE_MESSAGE;
}

static ProtobufCMessage *fresh(const struct reader *r, const ProtobufCMessageDescriptor *type)
{
    ProtobufCMessage *message = mu_arena_alloc(r->arena, type->sizeof_message);
    if (message != NULL)
        protobuf_c_message_init(type, message);
    return message;
}

static int copy_text(const struct reader *r, const char *text, size_t len, char **out)
{
    struct mu_str copy = mu_arena_str(r->arena, (struct mu_str){text, (uint32_t)len});
    if (copy.data == NULL)
        return out_of_memory(r);
    *out = (char *)(uintptr_t)copy.data;
    return 0;
}

/* YAML reads true, 5 and the like as such, where a text was meant. */
static const char *not_a_string(const json_t *json)
{
    switch (json_typeof(json)) {
    case JSON_TRUE:
    case JSON_FALSE:
        return "a string, found a boolean: quote it";
    case JSON_INTEGER:
    case JSON_REAL:
        return "a string, found a number: quote it";
    case JSON_OBJECT:
        return "a string, found an object";
    case JSON_ARRAY:
        return "a string, found an array";
    default:
        return "a string";
    }
}

static int read_text(const struct reader *r, const struct path *path, const json_t *json,
                     char **out)
{
    if (!json_is_string(json))
        return bad(r, path, not_a_string(json));
    if (strlen(json_string_value(json)) != json_string_length(json))
        return bad(r, path, "a string without NUL");
    return copy_text(r, json_string_value(json), json_string_length(json), out);
}

/* A quantity is text or a bare number. */
static int read_quantity(const struct reader *r, const struct path *path, const json_t *json,
                         ProtobufCMessage *quantity)
{
    char **slot = slot_of(quantity, &quantity->descriptor->fields[0]);
    char text[64];
    int n;
    if (json_is_integer(json) || json_is_null(json)) /* null in a map */
        n = snprintf(text, sizeof text, "%" JSON_INTEGER_FORMAT, json_integer_value(json));
    else if (json_is_real(json))
        n = snprintf(text, sizeof text, "%.15g", json_real_value(json));
    else if (json_string_length(json) > 0)
        return read_text(r, path, json, slot);
    else
        return bad(r, path, "a quantity: a string or a number");
    return copy_text(r, text, (size_t)n, slot);
}

/* "2026-01-02T03:04:05[.frac](Z|+hh:mm)". */
static int read_time(const struct reader *r, const struct path *path, const json_t *json,
                     ProtobufCMessage *message, bool micro)
{
    const char *text = json_is_string(json) ? json_string_value(json) : "";
    struct tm tm = {0};
    const char *rest = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);
    if (rest == NULL)
        return bad(r, path, "an RFC 3339 time");
    int32_t nanos = 0;
    if (*rest == '.') {
        int32_t scale = 100000000;
        for (rest++; *rest >= '0' && *rest <= '9'; rest++, scale /= 10)
            nanos += (*rest - '0') * scale;
    }
    int hours = 0;
    int minutes = 0;
    char sign = *rest;
    int used = 0;
    bool offset_sound = (sign == '+' || sign == '-') && rest[1] >= '0' && rest[1] <= '9' &&
                        sscanf(rest + 1, "%2d:%2d%n", &hours, &minutes, &used) == 2 &&
                        rest[1 + used] == '\0' && hours >= 0 && hours < 24 && minutes >= 0 &&
                        minutes < 60;
    if (!offset_sound && strcmp(rest, "Z") != 0)
        return bad(r, path, "an RFC 3339 time zone");
    int64_t offset = (int64_t)hours * 3600 + (int64_t)minutes * 60;
    int64_t seconds = (int64_t)timegm(&tm) - (sign == '-' ? -offset : offset);
    if (seconds < MU_TIME_S_MIN || seconds > MU_TIME_S_MAX) /* it could not be written again */
        return bad(r, path, "a time of the years 0 to 9999 in UTC");
    const ProtobufCFieldDescriptor *fields = message->descriptor->fields;
    *(int64_t *)slot_of(message, &fields[0]) = seconds;
    set_has(message, &fields[0]);
    if (micro) {
        *(int32_t *)slot_of(message, &fields[1]) = nanos - nanos % 1000;
        set_has(message, &fields[1]);
    }
    return 0;
}

static int read_int_or_string(const struct reader *r, const struct path *path, const json_t *json,
                              ProtobufCMessage *message)
{
    const ProtobufCFieldDescriptor *fields = message->descriptor->fields;
    json_int_t number = json_integer_value(json); /* 0 when it is none */
    if (!json_is_string(json) &&
        (!json_is_integer(json) || number < INT32_MIN || number > INT32_MAX))
        return bad(r, path, "a string or a 32-bit whole number");
    *(int64_t *)slot_of(message, &fields[0]) = json_is_string(json);
    *(int32_t *)slot_of(message, &fields[1]) = (int32_t)number;
    set_has(message, &fields[0]);
    set_has(message, &fields[1]);
    return json_is_string(json) ? read_text(r, path, json, slot_of(message, &fields[2])) : 0;
}

/* JSON kept as text. */
static int read_raw(const struct reader *r, const json_t *json, ProtobufCMessage *message)
{
    const size_t flags = JSON_COMPACT | JSON_ENCODE_ANY;
    const ProtobufCFieldDescriptor *field = &message->descriptor->fields[0];
    ProtobufCBinaryData *bytes = slot_of(message, field);
    size_t size = json_dumpb(json, NULL, 0, flags);
    bytes->data = size == 0 ? NULL : mu_arena_alloc(r->arena, size);
    if (bytes->data == NULL || json_dumpb(json, (char *)bytes->data, size, flags) != size)
        return out_of_memory(r);
    bytes->len = size;
    set_has(message, field);
    return 0;
}

static int read_base64(const struct reader *r, const struct path *path, const json_t *json,
                       ProtobufCBinaryData *out)
{
    struct mu_str text = {json_string_value(json), (uint32_t)json_string_length(json)};
    size_t n = 0;
    if (text.data == NULL)
        return bad(r, path, "base64 text");
    uint8_t *data = mu_arena_alloc(r->arena, MU_BASE64_ROOM(text.len));
    if (data == NULL)
        return out_of_memory(r);
    if (!mu_base64_decode(text, "\r\n", data, &n)) /* which Go's decoder skips */
        return bad(r, path, "base64 text");
    *out = (ProtobufCBinaryData){n, data};
    return 0;
}

/* ---- fields ------------------------------------------------------------------------------- */

static int read_fields(struct reader *r, const struct path *path, const json_t *object,
                       ProtobufCMessage *message, bool *any);
static int read_list(struct reader *r, const struct path *path, const json_t *json,
                     const ProtobufCFieldDescriptor *field, ProtobufCMessage *message, bool *any);

/* A JSON value (not null) into an empty message. *any: whether it is more than what is printed of a
 * message that is not set. */
static int read_message(struct reader *r, const struct path *path, const json_t *json,
                        enum mu_json_shape shape, ProtobufCMessage *message, bool *any)
{
    *any = true;
    switch (shape) {
    case MU_JSON_QUANTITY: {
        int status = read_quantity(r, path, json, message);
        const char *const *text = slot_of(message, &message->descriptor->fields[0]);
        *any = status == 0 && strcmp(*text, "0") != 0;
        return status;
    }
    case MU_JSON_TIME:
    case MU_JSON_MICRO_TIME:
        return read_time(r, path, json, message, shape == MU_JSON_MICRO_TIME);
    case MU_JSON_INT_OR_STRING:
        *any = json_is_string(json) || json_integer_value(json) != 0;
        return read_int_or_string(r, path, json, message);
    case MU_JSON_RAW:
        return read_raw(r, json, message);
    case MU_JSON_LIST:
        return read_list(r, path, json, &message->descriptor->fields[0], message, any);
    default:
        return read_fields(r, path, json, message, any);
    }
}

/* A JSON value (not null) at `slot`, which is of the field's type. *any: whether it is more than
 * the type's zero. */
static int read_value(struct reader *r, const struct path *path, const json_t *json,
                      const ProtobufCFieldDescriptor *field, void *slot, bool *any)
{
    json_int_t number = json_integer_value(json); /* 0 when it is none */
    *any = number != 0;
    switch (field->type) {
    case PROTOBUF_C_TYPE_STRING:
        *any = json_string_length(json) > 0;
        return read_text(r, path, json, slot);
    case PROTOBUF_C_TYPE_BYTES:
        *any = json_string_length(json) > 0;
        return read_base64(r, path, json, slot);
    case PROTOBUF_C_TYPE_MESSAGE: {
        ProtobufCMessage *message = fresh(r, field->descriptor);
        if (message == NULL)
            return out_of_memory(r);
        *(ProtobufCMessage **)slot = message;
        return read_message(r, path, json, mu_json_shape_of(field), message, any);
    }
    case PROTOBUF_C_TYPE_BOOL:
        if (!json_is_boolean(json))
            return bad(r, path, "true or false");
        *any = json_is_true(json);
        *(protobuf_c_boolean *)slot = *any;
        return 0;
    case PROTOBUF_C_TYPE_INT32:
        if (!json_is_integer(json) || number < INT32_MIN || number > INT32_MAX)
            return bad(r, path, "a 32-bit whole number");
        *(int32_t *)slot = (int32_t)number;
        return 0;
    case PROTOBUF_C_TYPE_INT64:
        if (!json_is_integer(json))
            return bad(r, path, "a whole number");
        *(int64_t *)slot = number;
        return 0;
    default:
        return bad(r, path, "nothing: JSON does not carry this field");
    }
}

/* What null stands for in a list or a map: the zero of the type. */
static int read_zero(const struct reader *r, const ProtobufCFieldDescriptor *field, void *slot)
{
    if (field->type == PROTOBUF_C_TYPE_MESSAGE) {
        ProtobufCMessage *message = fresh(r, field->descriptor);
        *(ProtobufCMessage **)slot = message;
        if (message == NULL)
            return out_of_memory(r);
        bool quantity = mu_json_shape_of(field) == MU_JSON_QUANTITY;
        return quantity ? read_quantity(r, NULL, json_null(), message) : 0;
    }
    return field->type == PROTOBUF_C_TYPE_STRING ? copy_text(r, "", 0, slot) : 0;
}

static size_t element_size(const ProtobufCFieldDescriptor *field)
{
    switch (field->type) {
    case PROTOBUF_C_TYPE_INT32:
        return sizeof(int32_t);
    case PROTOBUF_C_TYPE_INT64:
        return sizeof(int64_t);
    case PROTOBUF_C_TYPE_BOOL:
        return sizeof(protobuf_c_boolean);
    case PROTOBUF_C_TYPE_BYTES:
        return sizeof(ProtobufCBinaryData);
    default:
        return sizeof(void *);
    }
}

/* Give a repeated field of an empty message room for `count` elements, zeroed. */
static char *make_room(const struct reader *r, const ProtobufCFieldDescriptor *field,
                       ProtobufCMessage *message, size_t count)
{
    char *elements = mu_arena_calloc(r->arena, count, element_size(field));
    if (elements != NULL) {
        *(void **)slot_of(message, field) = elements;
        *(size_t *)(void *)((char *)message + field->quantifier_offset) = count;
    }
    return elements;
}

static int read_list(struct reader *r, const struct path *path, const json_t *json,
                     const ProtobufCFieldDescriptor *field, ProtobufCMessage *message, bool *any)
{
    if (!json_is_array(json))
        return bad(r, path, "an array");
    size_t count = json_array_size(json);
    *any = count > 0;
    if (count == 0)
        return 0;
    char *elements = make_room(r, field, message, count);
    if (elements == NULL)
        return out_of_memory(r);
    int status = 0;
    for (size_t i = 0; i < count && status == 0; i++) {
        struct path here = {.up = path, .index = i};
        const json_t *item = json_array_get(json, i);
        void *slot = elements + i * element_size(field);
        bool unused;
        status = json_is_null(item) ? read_zero(r, field, slot)
                                    : read_value(r, &here, item, field, slot, &unused);
    }
    return status;
}

/* A JSON object into a repeated field of entries. */
static int read_map(struct reader *r, const struct path *path, const json_t *json,
                    const ProtobufCFieldDescriptor *field, ProtobufCMessage *message, bool *any)
{
    if (!json_is_object(json))
        return bad(r, path, "an object");
    size_t count = json_object_size(json);
    *any = count > 0;
    if (count == 0)
        return 0;
    void *elements = make_room(r, field, message, count);
    if (elements == NULL)
        return out_of_memory(r);
    ProtobufCMessage **entries = elements;
    const ProtobufCMessageDescriptor *type = field->descriptor;
    const ProtobufCFieldDescriptor *value = &type->fields[1];
    json_t *root = (json_t *)(uintptr_t)json; /* jansson's iterators are not const */
    int status = 0;
    for (void *it = json_object_iter(root); it != NULL && status == 0;
         it = json_object_iter_next(root, it), entries++) {
        const char *key = json_object_iter_key(it);
        const json_t *item = json_object_iter_value(it);
        const bool is_key = value->type == PROTOBUF_C_TYPE_STRING; /* of a label, an annotation */
        struct path here = {.up = path, .name = key, .is_key = is_key};
        *entries = fresh(r, type);
        if (*entries == NULL)
            return out_of_memory(r);
        bool unused;
        void *slot = slot_of(*entries, value);
        status = copy_text(r, key, strlen(key), slot_of(*entries, &type->fields[0]));
        if (status == 0)
            status = json_is_null(item) ? read_zero(r, value, slot)
                                        : read_value(r, &here, item, value, slot, &unused);
        if (!is_pointer(value))
            set_has(*entries, value);
    }
    return status;
}

/* The field called `name`, in the message itself or in one that JSON inlines into it: then *around
 * is the field that holds that one. NULL: not a field that we know. */
static const ProtobufCFieldDescriptor *find_field(const ProtobufCMessageDescriptor *type,
                                                  const char *name,
                                                  const ProtobufCFieldDescriptor **around)
{
    const ProtobufCFieldDescriptor *field =
        protobuf_c_message_descriptor_get_field_by_name(type, name);
    *around = NULL;
    if (field != NULL)
        return mu_json_shape_of(field) == MU_JSON_INLINE ? NULL : field;
    for (unsigned i = 0; i < type->n_fields && field == NULL; i++) {
        if (mu_json_shape_of(&type->fields[i]) != MU_JSON_INLINE)
            continue;
        *around = &type->fields[i];
        field = protobuf_c_message_descriptor_get_field_by_name((*around)->descriptor, name);
    }
    return field;
}

/* Whether apiVersion and kind belong to this message although no field has these names: they are
 * those of every object, and of the options, which are objects inside others too. */
static bool is_type_meta(const struct reader *r, const ProtobufCMessageDescriptor *type,
                         const char *name)
{
    size_t len = strlen(type->short_name);
    bool object = r->depth == 1 || (len > 7 && strcmp(type->short_name + len - 7, "Options") == 0);
    return object && (strcmp(name, "kind") == 0 || strcmp(name, "apiVersion") == 0);
}

/* A field's value, not null. *any: whether it has been set. */
static int read_field(struct reader *r, const struct path *path, const json_t *json,
                      const ProtobufCFieldDescriptor *field, ProtobufCMessage *message, bool *any)
{
    if (mu_json_shape_of(field) == MU_JSON_ENTRY)
        return read_map(r, path, json, field, message, any);
    if (field->label == PROTOBUF_C_LABEL_REPEATED)
        return read_list(r, path, json, field, message, any);
    struct mu_json_presence presence = mu_json_presence_of(message->descriptor);
    bool is_message = field->type == PROTOBUF_C_TYPE_MESSAGE;
    /* A message that is always printed may as well be missing when it is empty; elsewhere an empty
     * one says something. With scalars it is the other way round: some are pointers. */
    bool zero_counts =
        is_message ? !(presence.always >> field->id & 1) : (presence.pointer >> field->id & 1) != 0;
    void *slot = slot_of(message, field);
    int status = read_value(r, path, json, field, slot, any);
    if (status != 0)
        return status;
    *any = *any || zero_counts;
    if (!is_pointer(field) && *any)
        set_has(message, field);
    else if (is_pointer(field) && !*any)
        *(void **)slot = NULL;
    return 0;
}

/* A member of the message that JSON inlines in the field `around`. It is made by the first member
 * that sets anything. */
static int read_inlined(struct reader *r, const struct path *path, const json_t *json,
                        const ProtobufCFieldDescriptor *field,
                        const ProtobufCFieldDescriptor *around, ProtobufCMessage *message,
                        bool *any)
{
    ProtobufCMessage **slot = slot_of(message, around);
    ProtobufCMessage *part = *slot != NULL ? *slot : fresh(r, around->descriptor);
    if (part == NULL)
        return out_of_memory(r);
    int status = read_field(r, path, json, field, part, any);
    if (status == 0 && *any)
        *slot = part;
    return status;
}

static int read_member(struct reader *r, const struct path *path, const json_t *json,
                       ProtobufCMessage *message, bool *any)
{
    const ProtobufCFieldDescriptor *around;
    const ProtobufCFieldDescriptor *field = find_field(message->descriptor, path->name, &around);
    if (field == NULL && is_type_meta(r, message->descriptor, path->name))
        return 0;
    if (field == NULL)
        return problem_at(r->problems, "unknown", path);
    if (json_is_null(json))
        return 0;
    return around != NULL ? read_inlined(r, path, json, field, around, message, any)
                          : read_field(r, path, json, field, message, any);
}

static int read_fields(struct reader *r, const struct path *path, const json_t *object,
                       ProtobufCMessage *message, bool *any)
{
    *any = false;
    if (!json_is_object(object))
        return bad(r, path, "an object");
    if (r->depth >= MU_JSON_DEPTH_MAX)
        return bad(r, path, "fewer objects inside each other");
    r->depth++;
    json_t *root = (json_t *)(uintptr_t)object; /* jansson's iterators are not const */
    int status = 0;
    for (void *it = json_object_iter(root); it != NULL && status == 0;
         it = json_object_iter_next(root, it)) {
        struct path here = {.up = path, .name = json_object_iter_key(it)};
        bool set = false;
        status = read_member(r, &here, json_object_iter_value(it), message, &set);
        *any = *any || set;
    }
    r->depth--;
    return status;
}

int mu_json_message_read(ProtobufCMessage *message, const json_t *object, struct mu_arena *arena,
                         struct mu_json_problems *problems, struct mu_error *error)
{
    struct reader reader = {.arena = arena, .problems = problems, .error = error};
    struct path root = {.up = NULL};
    bool any;
    return read_fields(&reader, &root, object, message, &any);
}
