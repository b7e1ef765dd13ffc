/* The YAML file: every key of the settings table, read by the same readers as the flags. */
#include <stdio.h>
#include "engine/base/buf.h"
#include "informer/config_profile.h"
#include "tools/musterd/options_priv.h"

/* A scalar's text, or a sequence's items joined by commas, NUL-terminated. */
static int text_of(const struct mu_config *config, const struct mu_config_node *node,
                   struct mu_buf *out, struct mu_error *error)
{
    struct mu_str text;
    int rc = 0;
    if (node->kind == MU_CONFIG_SEQUENCE) {
        for (const struct mu_config_node *item = node->child; item != NULL; item = item->next) {
            rc = mu_config_node_text(config, item, &text, error);
            if (rc != 0)
                return rc;
            if (item != node->child)
                (void)mu_buf_append_text(out, ",");
            (void)mu_buf_append_str(out, text);
        }
    } else {
        rc = mu_config_node_text(config, node, &text, error);
        if (rc != 0)
            return rc;
        (void)mu_buf_append_str(out, text);
    }
    if (mu_buf_append(out, "", 1) != 0)
        return mu_error_set(error, MU_ENOMEM, "out of memory");
    return 0;
}

static int apply(const struct mu_setting *setting, struct mu_daemon_options *o,
                 const struct mu_config *config, const struct mu_config_node *node,
                 const char *path, struct mu_error *error)
{
    struct mu_buf text = {0};
    struct mu_error why;
    int rc = text_of(config, node, &text, error);
    if (rc == 0) {
        rc = setting->read(o, (const char *)text.data, &why);
        if (rc != 0)
            (void)mu_error_set(error, rc, "%s:%u:%u: '%s': %s", path, node->line, node->column,
                               setting->key, why.text);
    }
    mu_buf_fini(&text);
    return rc;
}

int mu_daemon_options_load(struct mu_daemon_options *o, const char *path, struct mu_error *error)
{
    struct mu_config *config = NULL;
    int rc = mu_config_load(path, &config, error);
    if (rc != 0)
        return rc;
    struct mu_config_node *root = mu_config_root(config);
    rc = mu_config_profiles(config, root, &o->profiles, error); /* before one of them is named */
    for (uint32_t i = 0; rc == 0 && i < mu_setting_count; i++) {
        struct mu_config_node *mapping = root;
        if (mu_settings[i].group != NULL) {
            mapping = NULL;
            rc = mu_config_mapping(config, root, mu_settings[i].group, &mapping, error);
        }
        const struct mu_config_node *node =
            rc == 0 ? mu_config_find(config, mapping, mu_settings[i].key) : NULL;
        if (node != NULL)
            rc = apply(&mu_settings[i], o, config, node, path, error);
    }
    if (rc == 0)
        rc = mu_config_finish(config, error);
    mu_config_destroy(config);
    return rc;
}
