#include "tools/kubesim/selector.h"

#include "engine/base/assert.h"
#include "engine/base/mem.h"
#include "tools/kubesim/limits.h"
#include "tools/kubesim/validate.h"
#include "tools/kubesim/wire.h"

enum { META_LABELS = 11 };

enum op { OP_IN, OP_NOT_IN, OP_EXISTS, OP_ABSENT, OP_ABOVE, OP_BELOW };

struct requirement {
    enum op op;
    struct mu_str key;
    uint32_t first, count;            /* its values */
    int64_t bound;                    /* of OP_ABOVE and OP_BELOW */
    const struct mu_kind_field *path; /* fields: NULL for metadata.* */
};

struct mu_selector {
    uint32_t label_count, field_count; /* requirements: labels first */
    uint32_t value_count;
    struct requirement requirements[MU_KUBESIM_REQUIREMENTS];
    struct mu_str values[MU_KUBESIM_VALUES_MAX];
    char *text; /* backs all views */
    const struct mu_kind *kind;
};

/* ---- parsing ------------------------------------------------------------------------------ */

/* What an error message shows of the input. */
static struct mu_str cut(struct mu_str s)
{
    return (struct mu_str){s.data, s.len < 80 ? s.len : 80};
}

/* A cursor over the label selector's text. */
struct scan {
    struct mu_selector *selector;
    struct mu_str rest;
    struct mu_error *error;
};

static void skip_space(struct scan *scan)
{
    while (scan->rest.len > 0 && (scan->rest.data[0] == ' ' || scan->rest.data[0] == '\t')) {
        scan->rest.data++;
        scan->rest.len--;
    }
}

static bool take(struct scan *scan, const char *text)
{
    struct mu_str want = mu_str_of(text);
    skip_space(scan);
    if (!mu_str_starts_with(scan->rest, want)) {
        return false;
    }
    scan->rest.data += want.len;
    scan->rest.len -= want.len;
    return true;
}

/* A run of characters that can be part of a key or a value; may be empty. */
static struct mu_str take_word(struct scan *scan)
{
    skip_space(scan);
    struct mu_str word = {scan->rest.data, 0};
    while (word.len < scan->rest.len && strchr(" \t,=!()<>", word.data[word.len]) == NULL &&
           word.data[word.len] != '\0') {
        word.len++;
    }
    scan->rest.data += word.len;
    scan->rest.len -= word.len;
    return word;
}

static int add_value(struct mu_selector *selector, struct requirement *requirement,
                     struct mu_str value, struct mu_error *error)
{
    if (selector->value_count == MU_KUBESIM_VALUES_MAX) {
        return mu_error_set(error, MU_ELIMIT, "selector: more than %u values",
                            MU_KUBESIM_VALUES_MAX);
    }
    selector->values[selector->value_count++] = value;
    requirement->count++;
    return 0;
}

static int add_label_value(struct scan *scan, struct requirement *requirement)
{
    struct mu_str value = take_word(scan);
    if (!mu_valid_label_value(value)) {
        return mu_error_set(scan->error, MU_EINVAL,
                            "labelSelector: '%.*s' is not a label value (at most 63 letters, "
                            "digits, '-', '_', '.')",
                            MU_STR_ARGS(cut(value)));
    }
    return add_value(scan->selector, requirement, value, scan->error);
}

/* "(a, b)" behind in and notin. */
static int parse_set(struct scan *scan, struct requirement *requirement)
{
    if (!take(scan, "(")) {
        return mu_error_set(scan->error, MU_EINVAL, "labelSelector: expected '(' behind in");
    }
    do {
        int code = add_label_value(scan, requirement);
        if (code != 0) {
            return code;
        }
    } while (take(scan, ","));
    if (!take(scan, ")")) {
        return mu_error_set(scan->error, MU_EINVAL, "labelSelector: expected ',' or ')' in a set");
    }
    return 0;
}

/* "n" behind > and <. */
static int parse_bound(struct scan *scan, struct requirement *requirement)
{
    struct mu_str number = take_word(scan);
    if (!mu_str_to_i64(number, &requirement->bound)) {
        return mu_error_set(scan->error, MU_EINVAL,
                            "labelSelector: '%.*s' is not a whole number, as > and < compare",
                            MU_STR_ARGS(cut(number)));
    }
    return 0;
}

/* What follows a key. */
static int parse_operator(struct scan *scan, struct requirement *requirement)
{
    skip_space(scan);
    if (scan->rest.len == 0 || scan->rest.data[0] == ',') {
        requirement->op = OP_EXISTS;
        return 0;
    }
    if (take(scan, "!=")) {
        requirement->op = OP_NOT_IN;
        return add_label_value(scan, requirement);
    }
    if (take(scan, "==") || take(scan, "=")) {
        requirement->op = OP_IN;
        return add_label_value(scan, requirement);
    }
    bool above = take(scan, ">");
    if (above || take(scan, "<")) {
        requirement->op = above ? OP_ABOVE : OP_BELOW;
        return parse_bound(scan, requirement);
    }
    struct mu_str word = take_word(scan);
    if (!mu_str_equal(word, MU_STR("in")) && !mu_str_equal(word, MU_STR("notin"))) {
        return mu_error_set(
            scan->error, MU_EINVAL,
            "labelSelector: expected =, ==, !=, >, <, in or notin behind key '%.*s'",
            MU_STR_ARGS(cut(requirement->key)));
    }
    requirement->op = word.len == 2 ? OP_IN : OP_NOT_IN;
    return parse_set(scan, requirement);
}

static int add_requirement(struct mu_selector *selector, struct requirement **out,
                           struct mu_error *error)
{
    uint32_t at = selector->label_count + selector->field_count;
    if (at == MU_KUBESIM_REQUIREMENTS) {
        return mu_error_set(error, MU_ELIMIT, "selector: more than %u requirements",
                            MU_KUBESIM_REQUIREMENTS);
    }
    *out = &selector->requirements[at];
    **out = (struct requirement){.first = selector->value_count};
    return 0;
}

static int parse_labels(struct mu_selector *selector, struct mu_str text, struct mu_error *error)
{
    struct scan scan = {selector, text, error};
    skip_space(&scan);
    if (scan.rest.len == 0) {
        return 0;
    }
    do {
        struct requirement *requirement = NULL;
        int code = add_requirement(selector, &requirement, error);
        if (code != 0) {
            return code;
        }
        MU_ASSERT(requirement != NULL);
        bool absent = take(&scan, "!");
        requirement->key = take_word(&scan);
        if (!mu_valid_label_key(requirement->key)) {
            return mu_error_set(error, MU_EINVAL, "labelSelector: '%.*s' is not a label key",
                                MU_STR_ARGS(cut(requirement->key)));
        }
        requirement->op = OP_ABSENT;
        code = absent ? 0 : parse_operator(&scan, requirement);
        if (code != 0) {
            return code;
        }
        selector->label_count++;
    } while (take(&scan, ","));
    skip_space(&scan);
    if (scan.rest.len != 0) {
        return mu_error_set(error, MU_EINVAL, "labelSelector: expected ',' before '%.*s'",
                            MU_STR_ARGS(cut(scan.rest)));
    }
    return 0;
}

static int find_field(const struct mu_kind *kind, struct requirement *requirement,
                      struct mu_error *error)
{
    if (mu_str_equal(requirement->key, MU_STR("metadata.name")) ||
        mu_str_equal(requirement->key, MU_STR("metadata.namespace"))) {
        return 0;
    }
    for (const struct mu_kind_field *field = kind->fields; field->name != NULL; field++) {
        if (mu_str_equal(requirement->key, mu_str_of(field->name))) {
            requirement->path = field;
            return 0;
        }
    }
    return mu_error_set(error, MU_EINVAL, "fieldSelector: field label not supported: %.*s",
                        MU_STR_ARGS(cut(requirement->key)));
}

/* One "name op value" term; *term is unescaped in place (its text is ours). */
static int parse_field(struct mu_selector *selector, char *term, uint32_t len,
                       struct mu_error *error)
{
    struct requirement *requirement = NULL;
    int code = add_requirement(selector, &requirement, error);
    if (code != 0) {
        return code;
    }
    MU_ASSERT(requirement != NULL);
    uint32_t at = 0;
    while (at < len && term[at] != '=' && term[at] != '!') {
        at++;
    }
    uint32_t key_len = at;
    bool negative = at < len && term[at] == '!';
    at += negative;
    if (at >= len || term[at] != '=') {
        return mu_error_set(error, MU_EINVAL,
                            "fieldSelector: '%.*s' is not name=value, name==value or name!=value",
                            (int)(len < 80 ? len : 80), term);
    }
    at++;
    at += !negative && at < len && term[at] == '=';
    uint32_t out = at;
    uint32_t value_at = at;
    for (; at < len; at++) {
        if (term[at] == '\\' && (++at == len || strchr("\\,=", term[at]) == NULL)) {
            return mu_error_set(error, MU_EINVAL, "fieldSelector: bad escape behind '\\'");
        }
        term[out++] = term[at];
    }
    requirement->op = negative ? OP_NOT_IN : OP_IN;
    requirement->key = (struct mu_str){term, key_len};
    code = find_field(selector->kind, requirement, error);
    if (code == 0) {
        code = add_value(selector, requirement, (struct mu_str){term + value_at, out - value_at},
                         error);
    }
    selector->field_count += code == 0;
    return code;
}

static int parse_fields(struct mu_selector *selector, char *text, uint32_t len,
                        struct mu_error *error)
{
    uint32_t start = 0;
    for (uint32_t at = 0; at <= len; at++) {
        if (at < len && text[at] == '\\') {
            at++; /* the escaped character cannot end the term */
            continue;
        }
        if (at >= len || text[at] == ',') {
            uint32_t end = at < len ? at : len;
            int code = end == start ? 0 : parse_field(selector, text + start, end - start, error);
            if (code != 0) {
                return code;
            }
            start = end + 1;
        }
    }
    /* A text that ends in '\' was skipped past its end: give the term its error. */
    return start < len ? parse_field(selector, text + start, len - start, error) : 0;
}

int mu_selector_create(const struct mu_kind *kind, struct mu_str labels, struct mu_str fields,
                       struct mu_selector **out, struct mu_error *error)
{
    *out = NULL;
    if (labels.len == 0 && fields.len == 0) {
        return 0;
    }
    struct mu_selector *selector = mu_mem_zalloc(sizeof *selector);
    char *text = mu_mem_alloc((size_t)labels.len + fields.len);
    if (selector == NULL || text == NULL) {
        mu_mem_free(selector);
        mu_mem_free(text);
        return mu_error_set(error, MU_ENOMEM, "selector: out of memory");
    }
    selector->text = text;
    selector->kind = kind;
    if (labels.len > 0) {
        memcpy(text, labels.data, labels.len);
    }
    if (fields.len > 0) {
        memcpy(text + labels.len, fields.data, fields.len);
    }
    int code = parse_labels(selector, (struct mu_str){text, labels.len}, error);
    if (code == 0) {
        code = parse_fields(selector, text + labels.len, fields.len, error);
    }
    if (code != 0 || selector->label_count + selector->field_count == 0) {
        mu_selector_destroy(selector);
        return code;
    }
    *out = selector;
    return 0;
}

void mu_selector_destroy(struct mu_selector *selector)
{
    if (selector != NULL) {
        mu_mem_free(selector->text);
        mu_mem_free(selector);
    }
}

/* ---- matching ----------------------------------------------------------------------------- */

static bool in_set(const struct mu_selector *selector, const struct requirement *requirement,
                   struct mu_str value)
{
    for (uint32_t i = 0; i < requirement->count; i++) {
        if (mu_str_equal(selector->values[requirement->first + i], value)) {
            return true;
        }
    }
    return false;
}

static bool match_label(const struct mu_selector *selector, const struct requirement *requirement,
                        struct mu_str meta)
{
    struct mu_str value = {NULL, 0};
    bool present = mu_pb_map_get(meta, META_LABELS, requirement->key, &value);
    switch (requirement->op) {
    case OP_IN:
        return present && in_set(selector, requirement, value);
    case OP_NOT_IN:
        return !present || !in_set(selector, requirement, value);
    case OP_EXISTS:
        return present;
    case OP_ABOVE:
    case OP_BELOW: {
        int64_t number = 0;
        bool above = requirement->op == OP_ABOVE;
        return present && mu_str_to_i64(value, &number) &&
               (above ? number > requirement->bound : number < requirement->bound);
    }
    default:
        MU_ASSERT(requirement->op == OP_ABSENT);
        return !present;
    }
}

/* The text of a selectable field; absent fields read as "", absent booleans as "false". */
static struct mu_str field_text(const struct requirement *requirement,
                                const struct mu_kobject *object)
{
    const struct mu_kind_field *path = requirement->path;
    if (path == NULL) {
        bool name = mu_str_equal(requirement->key, MU_STR("metadata.name"));
        return name ? mu_kobject_name(object) : mu_kobject_ns(object);
    }
    if (!path->is_bool) {
        return mu_pb_bytes(mu_kobject_raw(object), path->path[0], path->path[1]);
    }
    struct mu_str outer = mu_pb_bytes(mu_kobject_raw(object), path->path[0], 0);
    struct mu_pb_field field = {0};
    bool yes = mu_pb_find(outer, path->path[1], &field) && field.varint != 0;
    return yes ? MU_STR("true") : MU_STR("false");
}

bool mu_selector_match(const struct mu_selector *selector, const struct mu_kobject *object)
{
    if (selector == NULL) {
        return true;
    }
    const struct requirement *requirement = selector->requirements;
    if (selector->label_count > 0) {
        struct mu_str meta = mu_pb_bytes(mu_kobject_raw(object), 1, 0);
        for (uint32_t i = 0; i < selector->label_count; i++) {
            if (!match_label(selector, requirement++, meta)) {
                return false;
            }
        }
    }
    for (uint32_t i = 0; i < selector->field_count; i++, requirement++) {
        bool in = in_set(selector, requirement, field_text(requirement, object));
        if (in != (requirement->op == OP_IN)) {
            return false;
        }
    }
    return true;
}
