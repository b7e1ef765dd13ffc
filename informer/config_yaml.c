#include <inttypes.h>
#include <libfyaml.h>
#include <stdio.h>
#include <string.h>

#include "engine/base/assert.h"
#include "engine/base/mem.h"
#include "informer/config.h"
#include "informer/config_priv.h"
#include "informer/limits.h"

/*
 * The half that reads YAML: libfyaml's events, one by one, into nodes.
 *
 * Events, not its documents: a document would first be built in full, with anchors resolved, in
 * memory that is not ours to bound. Here every bound is checked before the next event is asked
 * for. The open sequences and mappings are a stack of at most MU_CONFIG_DEPTH_MAX; in a mapping
 * every other event is a key, which waits in its level for the value.
 *
 * libfyaml counts lines and columns from 0; we and editors from 1.
 */

enum { ARENA_BYTES = 16 << 20 }; /* above what the bounds on bytes and nodes allow */

struct level {
    struct mu_config_node *node;
    struct mu_config_node **tail; /* where the next child goes */
    struct mu_config_node *keyed; /* mapping: has its key, waits for its value */
};

struct builder {
    struct mu_config *config;
    struct mu_error *error;
    int failed; /* why there is no node */
    uint32_t node_count;
    uint32_t document_count;
    uint32_t depth;
    struct level levels[MU_CONFIG_DEPTH_MAX];
};

/* ---- errors ---- */

static int fail_at(const struct builder *b, int line, int column, int code, const char *what)
{
    return mu_error_set(b->error, code, "%s:%d:%d: %s", b->config->name, line + 1, column + 1,
                        what);
}

static int fail_event(const struct builder *b, struct fy_event *event, int code, const char *what)
{
    const struct fy_mark *mark = fy_event_start_mark(event);
    return mark == NULL ? fail_at(b, 0, 0, code, what)
                        : fail_at(b, mark->line, mark->column, code, what);
}

static int fail_memory(const struct builder *b)
{
    return mu_error_set(b->error, MU_ENOMEM, "%s: out of memory", b->config->name);
}

/* ---- nodes ---- */

/* A node where the event is; NULL with b->failed set. */
static struct mu_config_node *node_new(struct builder *b, struct fy_event *event,
                                       enum mu_config_kind kind)
{
    if (b->node_count++ == MU_CONFIG_NODES_MAX) {
        b->failed = fail_event(b, event, MU_ELIMIT, "expected at most 16384 values");
        return NULL;
    }
    struct mu_config_node *node = mu_arena_zalloc(b->config->arena, sizeof *node);
    if (node == NULL) {
        b->failed = fail_memory(b);
        return NULL;
    }
    const struct fy_mark *mark = fy_event_start_mark(event);
    node->kind = kind;
    node->line = mark == NULL ? 1 : (uint32_t)mark->line + 1;
    node->column = mark == NULL ? 1 : (uint32_t)mark->column + 1;
    return node;
}

static int token_text(struct builder *b, struct fy_event *event, struct mu_str *out)
{
    struct fy_token *token = event->scalar.value;
    size_t len = 0;
    const char *text = token == NULL ? NULL : fy_token_get_text(token, &len);
    if (text == NULL)
        len = 0;
    MU_ASSERT(len <= UINT32_MAX);
    if (len > 0 && memchr(text, '\0', len) != NULL) /* "\\0" in double quotes */
        return fail_event(b, event, MU_EINVAL, "expected text without NUL");
    *out = mu_arena_str(b->config->arena, (struct mu_str){text, (uint32_t)len});
    return out->data == NULL ? fail_memory(b) : 0;
}

/* The key of a mapping's next child: a node that waits for its value. */
static int key_take(struct builder *b, struct level *level, struct fy_event *event)
{
    if (event->type != FYET_SCALAR)
        return fail_event(b, event, MU_EINVAL, "expected a key that is a scalar");
    if (level->node->count == MU_CONFIG_KEYS_MAX)
        return fail_event(b, event, MU_ELIMIT, "expected at most 1024 keys in a mapping");
    struct mu_config_node *node = node_new(b, event, MU_CONFIG_SCALAR);
    if (node == NULL)
        return b->failed;
    int status = token_text(b, event, &node->key);
    if (status != 0)
        return status;
    for (const struct mu_config_node *n = level->node->child; n != NULL; n = n->next) {
        if (mu_str_equal(n->key, node->key) && b->config->secret)
            return fail_event(b, event, MU_EINVAL, "expected each key once, found one again");
        if (mu_str_equal(n->key, node->key))
            return mu_error_set(b->error, MU_EINVAL,
                                "%s:%" PRIu32 ":%" PRIu32
                                ": expected each key once, found '%.*s' again",
                                b->config->name, node->line, node->column,
                                node->key.len < 40 ? (int)node->key.len : 40, node->key.data);
    }
    level->keyed = node;
    return 0;
}

/* A value: the waiting key's in a mapping, else a node of its own. NULL with b->failed set. */
static struct mu_config_node *value_take(struct builder *b, struct fy_event *event,
                                         enum mu_config_kind kind)
{
    struct mu_config_node *node = node_new(b, event, kind);
    if (node == NULL)
        return NULL;
    if (b->depth == 0) {
        b->config->root = node;
        return node;
    }
    struct level *level = &b->levels[b->depth - 1];
    if (level->keyed != NULL) {
        node->key = level->keyed->key;
        node->line = level->keyed->line;
        node->column = level->keyed->column;
        level->keyed = NULL;
    }
    *level->tail = node;
    level->tail = &node->next;
    level->node->count++;
    return node;
}

static int on_scalar(struct builder *b, struct fy_event *event)
{
    struct mu_config_node *node = value_take(b, event, MU_CONFIG_SCALAR);
    if (node == NULL)
        return b->failed;
    struct fy_token *value = event->scalar.value;
    node->plain = value == NULL || fy_token_scalar_style(value) == FYSS_PLAIN;
    return token_text(b, event, &node->text);
}

static int on_open(struct builder *b, struct fy_event *event, enum mu_config_kind kind)
{
    if (b->depth == MU_CONFIG_DEPTH_MAX)
        return fail_event(b, event, MU_ELIMIT, "expected at most 32 levels");
    struct mu_config_node *node = value_take(b, event, kind);
    if (node == NULL)
        return b->failed;
    b->levels[b->depth++] = (struct level){node, &node->child, NULL};
    return 0;
}

/* ---- events ---- */

static bool is_decorated(const struct fy_event *event)
{
    switch (event->type) {
    case FYET_SCALAR:
        return event->scalar.anchor != NULL || event->scalar.tag != NULL;
    case FYET_SEQUENCE_START:
        return event->sequence_start.anchor != NULL || event->sequence_start.tag != NULL;
    case FYET_MAPPING_START:
        return event->mapping_start.anchor != NULL || event->mapping_start.tag != NULL;
    default:
        return false;
    }
}

static int on_value(struct builder *b, struct fy_event *event)
{
    if (event->type == FYET_ALIAS || is_decorated(event))
        return fail_event(b, event, MU_EINVAL, "expected no anchors, aliases or tags");
    struct level *level = b->depth == 0 ? NULL : &b->levels[b->depth - 1];
    if (level != NULL && level->node->kind == MU_CONFIG_MAPPING && level->keyed == NULL)
        return key_take(b, level, event);
    switch (event->type) {
    case FYET_SCALAR:
        return on_scalar(b, event);
    case FYET_SEQUENCE_START:
        return on_open(b, event, MU_CONFIG_SEQUENCE);
    default:
        return on_open(b, event, MU_CONFIG_MAPPING);
    }
}

static int on_event(struct builder *b, struct fy_event *event)
{
    switch (event->type) {
    case FYET_DOCUMENT_START:
        if (b->document_count++ > 0)
            return mu_error_set(b->error, MU_EINVAL, "%s: expected one document, found another",
                                b->config->name);
        return 0;
    case FYET_SEQUENCE_END:
    case FYET_MAPPING_END:
        MU_ASSERT(b->depth > 0 && b->levels[b->depth - 1].keyed == NULL);
        b->depth--;
        return 0;
    case FYET_ALIAS:
    case FYET_SCALAR:
    case FYET_SEQUENCE_START:
    case FYET_MAPPING_START:
        return on_value(b, event);
    default:
        return 0;
    }
}

/* The end of the stream must be the end of the text: see text_check. */
static int on_end(const struct builder *b, struct fy_event *event, struct mu_str text)
{
    const struct fy_mark *mark = fy_event_start_mark(event);
    if (mark != NULL && mark->input_pos == text.len)
        return 0;
    return fail_event(b, event, MU_EINVAL, "expected YAML up to the end of the file");
}

/* What libfyaml has to say about a text that is not YAML. */
static int fail_syntax(const struct builder *b, struct fy_diag *diag)
{
    void *at = NULL;
    const struct fy_diag_error *e = fy_diag_errors_iterate(diag, &at);
    if (e == NULL)
        return mu_error_set(b->error, MU_EINVAL, "%s: expected YAML", b->config->name);
    return mu_error_set(b->error, MU_EINVAL, "%s:%d:%d: expected YAML: %.120s", b->config->name,
                        e->line, e->column, e->msg);
}

static int events_read(struct builder *b, struct fy_parser *parser, struct fy_diag *diag,
                       struct mu_str text)
{
    int status = 0;
    bool ended = false;
    while (status == 0 && !ended) {
        struct fy_event *event = fy_parser_parse(parser);
        if (event == NULL || event->type == FYET_NONE) {
            fy_parser_event_free(parser, event);
            return fail_syntax(b, diag);
        }
        ended = event->type == FYET_STREAM_END;
        status = ended ? on_end(b, event, text) : on_event(b, event);
        fy_parser_event_free(parser, event);
    }
    return status != 0 || !fy_parser_get_stream_error(parser) ? status : fail_syntax(b, diag);
}

static int parse(struct builder *b, struct mu_str text)
{
    struct fy_diag_cfg diag_config;
    fy_diag_cfg_default(&diag_config);
    diag_config.fp = NULL;
    struct fy_diag *diag = fy_diag_create(&diag_config);
    if (diag == NULL)
        return fail_memory(b);
    fy_diag_set_collect_errors(diag, true);
    struct fy_parse_cfg parse_config = {
        .flags = FYPCF_QUIET | FYPCF_COLLECT_DIAG | FYPCF_DISABLE_RECYCLING | FYPCF_JSON_NONE,
        .diag = diag,
    };
    struct fy_parser *parser = fy_parser_create(&parse_config);
    int status = parser == NULL ? fail_memory(b) : 0;
    if (status == 0 && fy_parser_set_string(parser, text.data, text.len) != 0)
        status = fail_memory(b);
    if (status == 0)
        status = events_read(b, parser, diag, text);
    fy_parser_destroy(parser);
    fy_diag_destroy(diag);
    return status;
}

/* ---- the whole ---- */

/* Length of the well-formed UTF-8 sequence at s[0, left), with its code point; 0: there is none. */
static uint32_t utf8_length(const unsigned char *s, uint32_t left, uint32_t *code)
{
    static const uint32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};
    uint32_t len = s[0] < 0x80 ? 1 : s[0] < 0xC0 ? 0 : s[0] < 0xE0 ? 2 : s[0] < 0xF0 ? 3 : 4;
    if (len == 0 || len > left || s[0] >= 0xF8)
        return 0;
    *code = len == 1 ? s[0] : s[0] & (0x7Fu >> len);
    for (uint32_t i = 1; i < len; i++) {
        if ((s[i] & 0xC0) != 0x80)
            return 0;
        *code = *code << 6 | (s[i] & 0x3Fu);
    }
    bool surrogate = *code >= 0xD800 && *code <= 0xDFFF;
    return *code < smallest[len] || surrogate || *code > 0x10FFFF ? 0 : len;
}

/* What YAML calls printable. */
static bool is_printable(uint32_t c)
{
    return c == '\t' || c == '\n' || c == '\r' || (c >= 0x20 && c <= 0x7E) || c == 0x85 ||
           (c >= 0xA0 && c != 0xFFFE && c != 0xFFFF);
}

/* Refuse what libfyaml would take for the end of the text: the rest would be ignored in silence. */
static int text_check(const struct builder *b, struct mu_str text)
{
    const unsigned char *bytes = (const unsigned char *)text.data;
    int line = 0;
    int column = 0;
    uint32_t len;
    for (uint32_t at = 0; at < text.len; at += len) {
        uint32_t code = 0;
        len = utf8_length(bytes + at, text.len - at, &code);
        if (len == 0)
            return fail_at(b, line, column, MU_EINVAL, "expected UTF-8");
        if (!is_printable(code))
            return fail_at(b, line, column, MU_EINVAL, "expected no control characters");
        column++;
        if (code == '\n') {
            line++;
            column = 0;
        }
    }
    return 0;
}

/* A document without a value (empty, or comments alone) is an empty mapping. */
static int root_check(struct builder *b)
{
    struct mu_config *config = b->config;
    struct mu_config_node *root = config->root;
    if (root == NULL || (root->kind == MU_CONFIG_SCALAR && root->plain && root->text.len == 0)) {
        config->root = mu_arena_zalloc(config->arena, sizeof *config->root);
        if (config->root == NULL)
            return fail_memory(b);
        config->root->kind = MU_CONFIG_MAPPING;
        config->root->line = config->root->column = 1;
        return 0;
    }
    return root->kind == MU_CONFIG_MAPPING ? 0
                                           : mu_config_refuse(config, root, "a mapping", b->error);
}

static int config_parse(struct mu_str text, const char *name, bool secret, struct mu_config **out,
                        struct mu_error *error)
{
    struct mu_config *config = mu_mem_zalloc(sizeof *config);
    if (config == NULL)
        return mu_error_set(error, MU_ENOMEM, "%s: out of memory", name);
    config->secret = secret;
    size_t len = strlen(name);
    bool cut = len >= sizeof config->name;
    (void)snprintf(config->name, sizeof config->name, "%s%s", cut ? "..." : "",
                   cut ? name + len - (sizeof config->name - 4) : name);
    struct builder builder = {.config = config, .error = error};
    int status = 0;
    config->arena = mu_arena_create(ARENA_BYTES);
    if (config->arena == NULL)
        status = fail_memory(&builder);
    else if (text.len > MU_CONFIG_BYTES_MAX)
        status = mu_error_set(error, MU_ELIMIT, "%s: expected at most 1 MiB", config->name);
    else
        status = text_check(&builder, text);
    if (status == 0 && text.len > 0)
        status = parse(&builder, text);
    if (status == 0)
        status = root_check(&builder);
    if (status != 0) {
        mu_config_destroy(config);
        return status;
    }
    *out = config;
    return 0;
}

int mu_config_parse(struct mu_str text, const char *name, struct mu_config **out,
                    struct mu_error *error)
{
    return config_parse(text, name, false, out, error);
}

int mu_config_parse_secret(struct mu_str text, const char *name, struct mu_config **out,
                           struct mu_error *error)
{
    return config_parse(text, name, true, out, error);
}
