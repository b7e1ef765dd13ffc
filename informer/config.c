#include "informer/config.h"

#include <inttypes.h>
#include <string.h>

#include "engine/base/assert.h"
#include "engine/base/buf.h"
#include "engine/base/mem.h"
#include "informer/config_priv.h"
#include "informer/file.h"
#include "informer/limits.h"

/*
 * The half that answers questions; YAML is read in config_yaml.c.
 *
 * Each mapping carries the list of keys that were asked for. What is known is what was asked, so
 * no table of keys can drift away from the code that reads them. A list is searched from its
 * front: programs ask a mapping for a few dozen keys, once.
 */

enum { SHOWN_BYTES = 40 };

static int shown(struct mu_str s)
{
    return s.len < SHOWN_BYTES ? (int)s.len : SHOWN_BYTES;
}

int mu_config_load(const char *path, struct mu_config **out, struct mu_error *error)
{
    struct mu_file *file;
    int status = mu_file_open(path, MU_CONFIG_BYTES_MAX, &file, error);
    if (status != 0)
        return status;
    struct mu_buf text;
    mu_buf_init(&text, MU_CONFIG_BYTES_MAX);
    status = mu_file_read_all(file, &text, error);
    mu_file_close(file);
    if (status == 0)
        status = mu_config_parse((struct mu_str){(const char *)text.data, (uint32_t)text.len}, path,
                                 out, error);
    mu_buf_fini(&text);
    return status;
}

/* Depth: MU_CONFIG_DEPTH_MAX. */
static void wipe(struct mu_config_node *node)
{
    for (; node != NULL; node = node->next) {
        if (node->text.len > 0) /* the arena's own memory, lent out as read-only */
            explicit_bzero((char *)(uintptr_t)node->text.data, node->text.len);
        wipe(node->child);
    }
}

void mu_config_destroy(struct mu_config *config)
{
    if (config == NULL)
        return;
    wipe(config->root);
    mu_arena_destroy(config->arena);
    mu_mem_free(config);
}

struct mu_config_node *mu_config_root(struct mu_config *config)
{
    return config->root;
}

/* ---- what is known ---- */

static void known_add(struct mu_config *config, struct mu_config_node *mapping, const char *key)
{
    struct mu_config_known **at = &mapping->known;
    uint32_t count = 0;
    for (; *at != NULL; at = &(*at)->next, count++) {
        if (strcmp((*at)->key, key) == 0)
            return;
    }
    MU_ASSERT(count < MU_CONFIG_KNOWN_MAX); /* keys are the program's, not the file's */
    struct mu_config_known *known = mu_arena_alloc(config->arena, sizeof *known);
    if (known == NULL) {
        config->failed = MU_ENOMEM;
        return;
    }
    *known = (struct mu_config_known){key, NULL};
    *at = known;
}

static bool is_known(const struct mu_config_node *mapping, struct mu_str key)
{
    for (const struct mu_config_known *k = mapping->known; k != NULL; k = k->next) {
        if (mu_str_equal(mu_str_of(k->key), key))
            return true;
    }
    return false;
}

struct mu_config_node *mu_config_find(struct mu_config *config, struct mu_config_node *mapping,
                                      const char *key)
{
    if (mapping == NULL)
        return NULL;
    MU_ASSERT(mapping->kind == MU_CONFIG_MAPPING);
    known_add(config, mapping, key);
    for (struct mu_config_node *child = mapping->child; child != NULL; child = child->next) {
        if (mu_str_equal(child->key, mu_str_of(key)))
            return child;
    }
    return NULL;
}

static int refuse_unknown(const struct mu_config *config, const struct mu_config_node *mapping,
                          const struct mu_config_node *child, struct mu_error *error)
{
    char list[MU_ERROR_TEXT_BYTES] = "";
    struct mu_buf keys;
    mu_buf_init(&keys, sizeof list - 1);
    for (const struct mu_config_known *k = mapping->known; k != NULL; k = k->next)
        (void)mu_buf_printf(&keys, "%s%s", k == mapping->known ? "" : ", ", k->key);
    if (keys.len > 0) /* what fits: the message is cut as well */
        memcpy(list, keys.data, keys.len);
    mu_buf_fini(&keys);
    bool top = mapping == config->root;
    return mu_error_set(error, MU_EINVAL,
                        "%s:%" PRIu32 ":%" PRIu32 ": unknown key '%.*s'%s%.*s%s; expected %s%s",
                        config->name, child->line, child->column, shown(child->key),
                        child->key.data, top ? "" : " in '", top ? 0 : shown(mapping->key),
                        mapping->key.data != NULL ? mapping->key.data : "", top ? "" : "'",
                        list[0] != '\0' ? "one of: " : "none", list);
}

/* Depth: MU_CONFIG_DEPTH_MAX. */
static int check_known(const struct mu_config *config, const struct mu_config_node *node,
                       struct mu_error *error)
{
    for (const struct mu_config_node *child = node->child; child != NULL; child = child->next) {
        if (node->kind == MU_CONFIG_MAPPING && !is_known(node, child->key))
            return refuse_unknown(config, node, child, error);
        int status = check_known(config, child, error);
        if (status != 0)
            return status;
    }
    return 0;
}

int mu_config_finish(struct mu_config *config, struct mu_error *error)
{
    if (config->failed != 0)
        return mu_error_set(error, config->failed, "%s: %s", config->name,
                            mu_error_text(config->failed));
    return check_known(config, config->root, error);
}

/* ---- values ---- */

bool mu_config_is_null(const struct mu_config_node *node)
{
    static const char *const words[] = {"", "~", "null", "Null", "NULL"};
    if (node->kind != MU_CONFIG_SCALAR || !node->plain)
        return false;
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (mu_str_equal(node->text, mu_str_of(words[i])))
            return true;
    }
    return false;
}

int mu_config_refuse(const struct mu_config *config, const struct mu_config_node *node,
                     const char *expected, struct mu_error *error)
{
    struct mu_str found = MU_STR("a sequence");
    bool quoted = false;
    if (node->kind == MU_CONFIG_MAPPING) {
        found = MU_STR("a mapping");
    } else if (node->kind == MU_CONFIG_SCALAR) {
        bool nothing = mu_config_is_null(node);
        quoted = !nothing && !config->secret;
        found = nothing ? MU_STR("nothing") : quoted ? node->text : MU_STR("something else");
    }
    return mu_error_set(error, MU_EINVAL,
                        "%s:%" PRIu32 ":%" PRIu32 ": %s%.*s%sexpected %s, found %s%.*s%s%s",
                        config->name, node->line, node->column, node->key.len > 0 ? "'" : "",
                        shown(node->key), node->key.data != NULL ? node->key.data : "",
                        node->key.len > 0 ? "': " : "", expected, quoted ? "'" : "", shown(found),
                        found.data, found.len > SHOWN_BYTES ? "..." : "", quoted ? "'" : "");
}

/* A child of one of the two kinds that have children. */
static int find_kind(struct mu_config *config, struct mu_config_node *mapping, const char *key,
                     enum mu_config_kind kind, struct mu_config_node **value,
                     struct mu_error *error)
{
    struct mu_config_node *node = mu_config_find(config, mapping, key);
    if (node == NULL)
        return 0;
    if (node->kind != kind)
        return mu_config_refuse(config, node,
                                kind == MU_CONFIG_MAPPING ? "a mapping" : "a sequence", error);
    *value = node;
    return 0;
}

int mu_config_mapping(struct mu_config *config, struct mu_config_node *mapping, const char *key,
                      struct mu_config_node **value, struct mu_error *error)
{
    return find_kind(config, mapping, key, MU_CONFIG_MAPPING, value, error);
}

int mu_config_sequence(struct mu_config *config, struct mu_config_node *mapping, const char *key,
                       struct mu_config_node **value, struct mu_error *error)
{
    return find_kind(config, mapping, key, MU_CONFIG_SEQUENCE, value, error);
}

int mu_config_node_text(const struct mu_config *config, const struct mu_config_node *node,
                        struct mu_str *value, struct mu_error *error)
{
    if (node->kind != MU_CONFIG_SCALAR || mu_config_is_null(node) || node->text.len == 0)
        return mu_config_refuse(config, node, "text", error);
    *value = node->text;
    return 0;
}

int mu_config_text(struct mu_config *config, struct mu_config_node *mapping, const char *key,
                   struct mu_str *value, struct mu_error *error)
{
    const struct mu_config_node *node = mu_config_find(config, mapping, key);
    return node == NULL ? 0 : mu_config_node_text(config, node, value, error);
}

/* Plain text of a scalar; empty for everything else, which no number or word below is. */
static struct mu_str plain_text(const struct mu_config_node *node)
{
    bool plain = node->kind == MU_CONFIG_SCALAR && node->plain;
    return plain ? node->text : (struct mu_str){"", 0};
}

int mu_config_u64(struct mu_config *config, struct mu_config_node *mapping, const char *key,
                  uint64_t min, uint64_t max, uint64_t *value, struct mu_error *error)
{
    const struct mu_config_node *node = mu_config_find(config, mapping, key);
    if (node == NULL)
        return 0;
    uint64_t got;
    if (mu_str_to_u64(plain_text(node), &got) && got >= min && got <= max) {
        *value = got;
        return 0;
    }
    struct mu_error expected;
    (void)mu_error_set(&expected, 0, "a whole number from %" PRIu64 " to %" PRIu64, min, max);
    return mu_config_refuse(config, node, expected.text, error);
}

int mu_config_bool(struct mu_config *config, struct mu_config_node *mapping, const char *key,
                   bool *value, struct mu_error *error)
{
    const struct mu_config_node *node = mu_config_find(config, mapping, key);
    if (node == NULL)
        return 0;
    bool yes = mu_str_equal(plain_text(node), MU_STR("true"));
    if (!yes && !mu_str_equal(plain_text(node), MU_STR("false")))
        return mu_config_refuse(config, node, "true or false", error);
    *value = yes;
    return 0;
}

int mu_config_choice(struct mu_config *config, struct mu_config_node *mapping, const char *key,
                     const char *const *choices, uint32_t *value, struct mu_error *error)
{
    const struct mu_config_node *node = mu_config_find(config, mapping, key);
    if (node == NULL)
        return 0;
    struct mu_error expected;
    (void)mu_error_set(&expected, 0, "one of");
    for (uint32_t i = 0; choices[i] != NULL; i++) {
        if (node->kind == MU_CONFIG_SCALAR && mu_str_equal(node->text, mu_str_of(choices[i]))) {
            *value = i;
            return 0;
        }
        struct mu_error more;
        (void)mu_error_set(&more, 0, "%s%s %s", expected.text, i == 0 ? "" : ",", choices[i]);
        expected = more;
    }
    return mu_config_refuse(config, node, expected.text, error);
}

static bool duration_parse(struct mu_str text, uint64_t *ns)
{
    static const struct {
        const char *unit;
        uint64_t ns;
    } units[] = {{"us", 1000},
                 {"ms", 1000000},
                 {"s", 1000000000},
                 {"m", UINT64_C(60000000000)},
                 {"h", UINT64_C(3600000000000)}};
    uint32_t digits = 0;
    while (digits < text.len && text.data[digits] >= '0' && text.data[digits] <= '9')
        digits++;
    uint64_t number;
    if (!mu_str_to_u64((struct mu_str){text.data, digits}, &number))
        return false;
    struct mu_str unit = {text.data + digits, text.len - digits};
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        if (mu_str_equal(unit, mu_str_of(units[i].unit)))
            return !__builtin_mul_overflow(number, units[i].ns, ns);
    }
    return false;
}

int mu_config_duration_ns(struct mu_config *config, struct mu_config_node *mapping, const char *key,
                          uint64_t max_ns, uint64_t *value, struct mu_error *error)
{
    const struct mu_config_node *node = mu_config_find(config, mapping, key);
    if (node == NULL)
        return 0;
    uint64_t got;
    if (duration_parse(plain_text(node), &got) && got <= max_ns) {
        *value = got;
        return 0;
    }
    struct mu_error expected;
    (void)mu_error_set(&expected, 0, "a duration such as 500ms or 5m, of at most %" PRIu64 "s",
                       max_ns / 1000000000u);
    return mu_config_refuse(config, node, expected.text, error);
}
