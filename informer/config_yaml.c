#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "engine/base/assert.h"
#include "engine/base/mem.h"
#include "informer/config.h"
#include "informer/config_priv.h"
#include "informer/limits.h"
#include "informer/yaml_events.h"

/*
 * The half that reads YAML: events (informer/yaml_events.h), one by one, into nodes. Every bound is
 * checked before the next event is asked for. The open sequences and mappings are a stack of at
 * most MU_CONFIG_DEPTH_MAX; in a mapping every other event is a key, which waits in its level for
 * the value.
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

static int fail_event(const struct builder *b, struct fy_event *event, int code, const char *what)
{
    uint32_t line;
    uint32_t column;
    mu_yaml_event_at(event, &line, &column);
    return mu_error_set(b->error, code, "%s:%" PRIu32 ":%" PRIu32 ": %s", b->config->name, line,
                        column, what);
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
    node->kind = kind;
    mu_yaml_event_at(event, &node->line, &node->column);
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

static int on_value(struct builder *b, struct fy_event *event)
{
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

static int on_event(void *context, struct fy_event *event)
{
    struct builder *b = context;
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
    case FYET_SCALAR:
    case FYET_SEQUENCE_START:
    case FYET_MAPPING_START:
        return on_value(b, event);
    default:
        return 0;
    }
}

/* ---- the whole ---- */

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
    else if (text.len > 0)
        status = mu_yaml_events(text, config->name, on_event, &builder, error);
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
