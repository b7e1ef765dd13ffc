/*
 * The open sequences and mappings are a stack of levels; each holds the tree that it fills, and a
 * mapping its key while the value is awaited. Every bound is checked before the next event.
 */
#include "informer/yaml_json.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "engine/base/assert.h"
#include "engine/base/mem.h"
#include "informer/limits.h"
#include "informer/utf8.h"
#include "informer/yaml_events.h"

struct level {
    json_t *tree; /* borrowed: its parent holds it */
    char *key;    /* mapping: awaits its value; owned */
};

struct builder {
    const char *name;
    struct mu_error *error;
    struct mu_json_problems *problems;
    json_t *documents; /* owned */
    uint32_t node_count;
    uint32_t depth;
    struct level levels[MU_YAML_DEPTH_MAX];
};

static int fail_event(const struct builder *b, struct fy_event *event, int code, const char *what)
{
    uint32_t line;
    uint32_t column;
    mu_yaml_event_at(event, &line, &column);
    return mu_error_set(b->error, code, "%s:%" PRIu32 ":%" PRIu32 ": %s", b->name, line, column,
                        what);
}

static int fail_memory(const struct builder *b)
{
    return mu_error_set(b->error, MU_ENOMEM, "%s: out of memory", b->name);
}

/* ---- scalars ------------------------------------------------------------------------------ */

static bool is_one_of(const char *text, const char *const *words)
{
    for (; *words != NULL; words++)
        if (strcmp(text, *words) == 0)
            return true;
    return false;
}

/* Digits of this base only, at least one; leaves out '_' that stand between digits. */
static bool copy_digits(const char *text, int base, char *out, size_t size)
{
    static const char digits[] = "0123456789abcdef";
    size_t n = 0;
    for (; *text != '\0'; text++) {
        int c = *text >= 'A' && *text <= 'F' ? *text - 'A' + 'a' : *text;
        if (c == '_' && n > 0)
            continue;
        if (memchr(digits, c, (size_t)base) == NULL || n + 1 >= size)
            return false;
        out[n++] = (char)c;
    }
    out[n] = '\0';
    return n > 0;
}

/* Whether it is a whole number in one of the spellings. *out: a new reference; NULL: out of
 * memory, which must not make a text of it. */
static bool read_whole(const char *text, json_t **out)
{
    char digits[80];
    bool negative = *text == '-';
    int base = 10;
    text += *text == '-' || *text == '+';
    if (text[0] == '0' && text[1] != '\0') {
        const char kind = text[1];
        base = kind == 'x' || kind == 'X' ? 16 : kind == 'b' || kind == 'B' ? 2 : 8;
        text += kind >= '0' && kind <= '9' ? 1 : 2;
        if (base == 8 && kind != 'o' && kind != 'O' && !(kind >= '0' && kind <= '9'))
            return false;
    }
    if (!copy_digits(text, base, digits, sizeof digits))
        return false;
    errno = 0;
    uint64_t value = strtoull(digits, NULL, base);
    uint64_t limit = (uint64_t)INT64_MAX + negative;
    bool fits = errno == 0 && value <= limit;
    if (!fits && base != 10)
        return false;
    if (fits)
        *out = json_integer(negative ? (json_int_t)(0 - value) : (json_int_t)value);
    else
        *out = json_real((negative ? -1 : 1) * strtod(digits, NULL));
    return true;
}

/* [sign] digits [. digits] [exponent], with a digit before or after the point. */
static bool is_real(const char *text)
{
    text += *text == '-' || *text == '+';
    size_t before = strspn(text, "0123456789");
    text += before;
    size_t after = 0;
    if (*text == '.') {
        after = strspn(text + 1, "0123456789");
        text += 1 + after;
    }
    if (before + after == 0)
        return false;
    if (*text == 'e' || *text == 'E') {
        text += 1 + (text[1] == '-' || text[1] == '+');
        size_t exponent = strspn(text, "0123456789");
        if (exponent == 0)
            return false;
        text += exponent;
    }
    return *text == '\0';
}

/* Whether a plain scalar can be anything but a text. Most cannot, by their first character
 * alone. */
static bool may_be_more(const char *text)
{
    return strchr("0123456789+-.~yYnNtToOfF", text[0]) != NULL; /* "" too: null */
}

/* What a plain scalar means. A new reference; NULL: out of memory, or *refused. */
static json_t *read_plain(const char *text, size_t len, bool *refused)
{
    static const char *const nulls[] = {"", "~", "null", "Null", "NULL", NULL};
    static const char *const truths[] = {"y",    "Y",    "yes", "Yes", "YES", "true",
                                         "True", "TRUE", "on",  "On",  "ON",  NULL};
    static const char *const lies[] = {"n",     "N",     "no",  "No",  "NO",  "false",
                                       "False", "FALSE", "off", "Off", "OFF", NULL};
    static const char *const no_json[] = {".inf",  ".Inf",  ".INF",  "+.inf", "+.Inf",
                                          "+.INF", "-.inf", "-.Inf", "-.INF", ".nan",
                                          ".NaN",  ".NAN",  NULL};
    *refused = false;
    if (is_one_of(text, nulls))
        return json_null();
    if (is_one_of(text, truths))
        return json_true();
    if (is_one_of(text, lies))
        return json_false();
    json_t *whole = NULL;
    if (read_whole(text, &whole))
        return whole;
    if (is_real(text)) {
        double value = strtod(text, NULL);
        *refused = !isfinite(value);
        bool fits = value > -9e18 && value < 9e18;
        double whole_part = fits ? (double)(json_int_t)value : 0;
        fits = fits && !(value < whole_part) && !(value > whole_part);
        return *refused ? NULL : fits ? json_integer((json_int_t)value) : json_real(value);
    }
    *refused = is_one_of(text, no_json);
    return *refused ? NULL : json_stringn_nocheck(text, len);
}

/* The text of an event's scalar, copied and ended by NUL, owned by the caller, and whether it is
 * plain, so that it may mean more than a text. */
static int take_text(const struct builder *b, struct fy_event *event, char **out, size_t *len,
                     bool *plain)
{
    const char *text = NULL;
    *len = 0;
    if (event->scalar.value != NULL)
        text = fy_token_get_text(event->scalar.value, len);
    if (text == NULL)
        *len = 0;
    char *copy = mu_mem_alloc(*len + 1);
    if (copy == NULL)
        return fail_memory(b);
    if (*len > 0)
        memcpy(copy, text, *len);
    copy[*len] = '\0';
    int status = 0;
    if (strlen(copy) != *len) /* "\0" in double quotes */
        status = fail_event(b, event, MU_EINVAL, "expected text without NUL");
    else if (!mu_utf8_is_sound(copy, *len)) /* "\\ud800" */
        status = fail_event(b, event, MU_EINVAL, "expected escapes of Unicode characters");
    if (status != 0) {
        mu_mem_free(copy);
        return status;
    }
    *plain =
        event->scalar.value == NULL || fy_token_scalar_style(event->scalar.value) == FYSS_PLAIN;
    *plain = *plain && may_be_more(copy);
    *out = copy;
    return 0;
}

/* What a text means. A new reference. */
static int read_text(const struct builder *b, struct fy_event *event, const char *text, size_t len,
                     bool plain, json_t **out)
{
    bool refused = false;
    json_t *value = plain ? read_plain(text, len, &refused) : json_stringn_nocheck(text, len);
    if (value == NULL)
        return refused ? fail_event(b, event, MU_EINVAL, "expected a finite number")
                       : fail_memory(b);
    *out = value;
    return 0;
}

static int read_scalar(const struct builder *b, struct fy_event *event, json_t **out)
{
    size_t len = 0;
    char *text = NULL;
    bool plain = false;
    int status = take_text(b, event, &text, &len, &plain);
    if (status != 0)
        return status;
    status = read_text(b, event, text, len, plain, out);
    mu_mem_free(text);
    return status;
}

/* ---- keys --------------------------------------------------------------------------------- */

/* The text of a key's value, owned by the caller. Errors: also null, which is no key. */
static int key_text(const struct builder *b, struct fy_event *event, const json_t *value,
                    char **out)
{
    char number[64];
    const char *text = json_string_value(value);
    if (json_is_null(value))
        return fail_event(b, event, MU_EINVAL, "expected a key that is not null");
    if (json_is_boolean(value))
        text = json_is_true(value) ? "true" : "false";
    if (json_is_number(value)) {
        if (json_is_integer(value))
            (void)snprintf(number, sizeof number, "%" JSON_INTEGER_FORMAT,
                           json_integer_value(value));
        else
            (void)snprintf(number, sizeof number, "%.17g", json_real_value(value));
        text = number;
    }
    size_t size = strlen(text) + 1;
    *out = mu_mem_alloc(size);
    if (*out == NULL)
        return fail_memory(b);
    memcpy(*out, text, size);
    return 0;
}

/* The key of an event, owned by the caller: nearly always its text as it stands. */
static int read_key(const struct builder *b, struct fy_event *event, char **out)
{
    size_t len = 0;
    char *text = NULL;
    bool plain = false;
    json_t *value = NULL;
    int status = take_text(b, event, &text, &len, &plain);
    if (status != 0)
        return status;
    if (!plain) {
        *out = text;
        return 0;
    }
    status = read_text(b, event, text, len, plain, &value);
    if (status == 0)
        status = key_text(b, event, value, out);
    json_decref(value);
    mu_mem_free(text);
    return status;
}

/* The key of a mapping's next member. */
static int take_key(struct builder *b, struct level *level, struct fy_event *event)
{
    if (event->type != FYET_SCALAR)
        return fail_event(b, event, MU_EINVAL, "expected a key that is a scalar");
    int status = read_key(b, event, &level->key);
    if (status != 0)
        return status;
    MU_ASSERT(level->key != NULL);
    bool plain =
        event->scalar.value != NULL && fy_token_scalar_style(event->scalar.value) == FYSS_PLAIN;
    if (plain && strcmp(level->key, "<<") == 0)
        return fail_event(b, event, MU_EINVAL, "expected no merge keys");
    if (b->problems != NULL && json_object_get(level->tree, level->key) != NULL) {
        uint32_t line;
        uint32_t column;
        mu_yaml_event_at(event, &line, &column);
        status = mu_json_problem(b->problems, "line %" PRIu32 ": key \"%.*s\" already set in map",
                                 line, (int)MU_JSON_PATH_BYTES_MAX / 2, level->key);
        if (status != 0)
            return fail_memory(b);
    }
    return 0;
}

/* ---- values ------------------------------------------------------------------------------- */

/* Put a value (a reference that is taken) where it belongs. */
static int place(struct builder *b, json_t *value)
{
    int failed;
    if (b->depth == 0) {
        failed = json_is_null(value) ? 0 : json_array_append(b->documents, value);
    } else {
        struct level *level = &b->levels[b->depth - 1];
        failed = json_is_array(level->tree)
                     ? json_array_append(level->tree, value)
                     : json_object_set_nocheck(level->tree, level->key, value);
        mu_mem_free(level->key);
        level->key = NULL;
    }
    json_decref(value); /* whoever holds it now keeps it alive; constants need nobody */
    return failed ? fail_memory(b) : 0;
}

static int open_level(struct builder *b, struct fy_event *event, json_t *tree)
{
    if (tree == NULL)
        return fail_memory(b);
    if (b->depth == MU_YAML_DEPTH_MAX) {
        json_decref(tree);
        return fail_event(b, event, MU_ELIMIT, "expected at most 63 levels");
    }
    int status = place(b, tree);
    if (status == 0)
        b->levels[b->depth++] = (struct level){tree, NULL};
    return status;
}

static int on_value(struct builder *b, struct fy_event *event)
{
    struct level *level = b->depth == 0 ? NULL : &b->levels[b->depth - 1];
    if (b->node_count++ == MU_YAML_NODES_MAX)
        return fail_event(b, event, MU_ELIMIT, "expected at most 262144 values and keys");
    if (level != NULL && json_is_object(level->tree) && level->key == NULL)
        return take_key(b, level, event);
    if (event->type == FYET_SEQUENCE_START)
        return open_level(b, event, json_array());
    if (event->type == FYET_MAPPING_START)
        return open_level(b, event, json_object());
    json_t *value = NULL;
    int status = read_scalar(b, event, &value);
    return status == 0 ? place(b, value) : status;
}

static int on_event(void *context, struct fy_event *event)
{
    struct builder *b = context;
    switch (event->type) {
    case FYET_DOCUMENT_START:
        return json_array_size(b->documents) < MU_YAML_DOCUMENTS_MAX
                   ? 0
                   : fail_event(b, event, MU_ELIMIT, "expected at most 1024 documents");
    case FYET_SEQUENCE_END:
    case FYET_MAPPING_END:
        MU_ASSERT(b->depth > 0 && b->levels[b->depth - 1].key == NULL);
        b->depth--;
        return 0;
    case FYET_SCALAR:
    case FYET_SEQUENCE_START:
    case FYET_MAPPING_START:
        return on_value(b, event);
    default:
        return 0;
    }
}

int mu_yaml_read(struct mu_str text, const char *name, json_t **documents,
                 struct mu_json_problems *problems, struct mu_error *error)
{
    if (text.len > MU_YAML_BYTES_MAX)
        return mu_error_set(error, MU_ELIMIT, "%s: expected at most 3 MiB", name);
    struct builder builder = {
        .name = name, .error = error, .problems = problems, .documents = json_array()};
    int status = builder.documents == NULL ? fail_memory(&builder) : 0;
    if (status == 0)
        status = mu_yaml_events(text, name, on_event, &builder, error);
    for (uint32_t i = 0; i < builder.depth; i++)
        mu_mem_free(builder.levels[i].key);
    if (status != 0) {
        json_decref(builder.documents);
        return status;
    }
    MU_ASSERT(builder.depth == 0);
    *documents = builder.documents;
    return 0;
}
