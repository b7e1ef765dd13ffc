#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "engine/base/assert.h"
#include "informer/config.h"
#include "informer/kubeconfig.h"
#include "informer/kubeconfig_priv.h"
#include "informer/limits.h"

/*
 * The half that reads YAML (or JSON, which is YAML too): from one or several files to one value.
 *
 *     current-context -> contexts[name] -> clusters[name] -> server, CA
 *                                       -> users[name]    -> certificate and key, token
 *
 * Each arrow looks through the files in their order and takes the first definition; paths are
 * relative to the folder of the file that defines them. Only what the arrows lead to is judged: a
 * kubeconfig is shared with other programs, and somebody else's exec plugin is none of our
 * business. Within one file a name that is defined twice is refused, as kubectl does, for which of
 * the two was meant cannot be known.
 */

enum { SHOWN_BYTES = 64, PATH_BYTES = 4096 };

struct source {
    struct mu_config *config;
    const char *name;   /* for errors */
    const char *folder; /* of relative paths */
};

struct reading {
    struct mu_kubeconfig *result;
    struct mu_error *error;
    struct source sources[MU_KUBECONFIG_FILES_MAX];
    uint32_t count;
};

/* An entry of one of the three lists. */
struct entry {
    const struct source *source;
    struct mu_config_node *item; /* where its name is */
    struct mu_config_node *body; /* NULL: empty */
    struct mu_str name;
};

/* ---- errors ---- */

#define SHOWN(s)                                                                                   \
    (int)((s).len < SHOWN_BYTES ? (s).len : SHOWN_BYTES), (s).data != NULL ? (s).data : ""

__attribute__((format(printf, 4, 5))) static int fail_at(const struct reading *r,
                                                         const struct source *source,
                                                         const struct mu_config_node *node,
                                                         const char *format, ...)
{
    char text[MU_ERROR_TEXT_BYTES];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return mu_error_set(r->error, MU_EINVAL, "%s:%" PRIu32 ":%" PRIu32 ": %s", source->name,
                        node->line, node->column, text);
}

static int fail_memory(const struct reading *r)
{
    return mu_error_set(r->error, MU_ENOMEM, "%s: out of memory", r->sources[0].name);
}

/* ---- fields ---- */

static bool is_used(const struct mu_config_node *node)
{
    if (node == NULL || mu_config_is_null(node))
        return false;
    return node->kind == MU_CONFIG_SCALAR ? node->text.len > 0 : node->count > 0;
}

/* A text that may be absent, null or empty: then *value and *where stay. */
static int text_of(const struct reading *r, const struct source *source,
                   struct mu_config_node *mapping, const char *key, struct mu_str *value,
                   struct mu_config_node **where)
{
    struct mu_config_node *node = mu_config_find(source->config, mapping, key);
    if (!is_used(node))
        return 0;
    if (node->kind != MU_CONFIG_SCALAR)
        return mu_config_refuse(source->config, node, "text", r->error);
    *value = node->text;
    if (where != NULL)
        *where = node;
    return 0;
}

/* The entries under `key` of one file; NULL: none. */
static int list_of(const struct reading *r, const struct source *source, const char *key,
                   struct mu_config_node **list)
{
    struct mu_config_node *node =
        mu_config_find(source->config, mu_config_root(source->config), key);
    *list = NULL;
    if (node == NULL || mu_config_is_null(node))
        return 0;
    if (node->kind != MU_CONFIG_SEQUENCE)
        return mu_config_refuse(source->config, node, "a sequence", r->error);
    *list = node;
    return 0;
}

/* ---- the three lists ---- */

static int entry_open(const struct reading *r, const struct source *source, const char *inner,
                      struct mu_config_node *item, struct entry *out)
{
    *out = (struct entry){.source = source, .item = item};
    if (item->kind != MU_CONFIG_MAPPING)
        return mu_config_refuse(source->config, item, "a mapping with a name", r->error);
    int status = text_of(r, source, item, "name", &out->name, NULL);
    if (status != 0)
        return status;
    struct mu_config_node *body = mu_config_find(source->config, item, inner);
    if (body == NULL || mu_config_is_null(body))
        return 0;
    if (body->kind != MU_CONFIG_MAPPING)
        return mu_config_refuse(source->config, body, "a mapping", r->error);
    out->body = body;
    return 0;
}

/* The entry of that name in one file; out->source NULL: there is none. */
static int find_in(const struct reading *r, const struct source *source, const char *key,
                   const char *inner, struct mu_str name, struct entry *out)
{
    struct mu_config_node *list;
    int status = list_of(r, source, key, &list);
    *out = (struct entry){0};
    for (struct mu_config_node *n = list == NULL ? NULL : list->child; n != NULL && status == 0;
         n = n->next) {
        struct entry entry;
        status = entry_open(r, source, inner, n, &entry);
        if (status != 0 || !mu_str_equal(entry.name, name))
            continue;
        if (out->source != NULL)
            return fail_at(r, source, n, "%s: expected each name once, found '%.*s' again", key,
                           SHOWN(name));
        *out = entry;
    }
    return status;
}

/* In the first file that has it. */
static int find(const struct reading *r, const char *key, const char *inner, struct mu_str name,
                struct entry *out)
{
    int status = 0;
    *out = (struct entry){0};
    for (uint32_t i = 0; status == 0 && out->source == NULL && i < r->count; i++)
        status = find_in(r, &r->sources[i], key, inner, name, out);
    return status;
}

/* ---- context ---- */

static int fail_no_context(const struct reading *r, struct mu_str name)
{
    char list[128] = "";
    size_t used = 0;
    for (uint32_t i = 0; i < r->count; i++) {
        struct mu_config_node *contexts;
        int status = list_of(r, &r->sources[i], "contexts", &contexts);
        if (status != 0)
            return status;
        for (struct mu_config_node *n = contexts == NULL ? NULL : contexts->child; n != NULL;
             n = n->next) {
            struct entry entry;
            if (entry_open(r, &r->sources[i], "context", n, &entry) != 0)
                continue;
            int len = snprintf(list + used, sizeof list - used, "%s%.*s", used == 0 ? "" : ", ",
                               SHOWN(entry.name));
            used =
                len < 0 || used + (size_t)len >= sizeof list ? sizeof list - 1 : used + (size_t)len;
        }
    }
    return mu_error_set(r->error, MU_EINVAL, "%s: no context '%.*s'; expected %s%s",
                        r->sources[0].name, SHOWN(name),
                        used == 0 ? "one to be defined" : "one of: ", list);
}

/* By name, or the first file's current-context that says anything. */
static int choose_context(const struct reading *r, const char *context, struct entry *out)
{
    struct mu_str name = mu_str_of(context);
    for (uint32_t i = 0; name.len == 0 && i < r->count; i++) {
        const struct source *source = &r->sources[i];
        int status =
            text_of(r, source, mu_config_root(source->config), "current-context", &name, NULL);
        if (status != 0)
            return status;
    }
    if (name.len == 0)
        return mu_error_set(r->error, MU_EINVAL,
                            "%s: no context chosen; expected current-context in the file, or a "
                            "context by name",
                            r->sources[0].name);
    int status = find(r, "contexts", "context", name, out);
    if (status == 0 && out->source == NULL)
        return fail_no_context(r, name);
    return status;
}

/* The cluster or user that the context names. out->source NULL: it names none. */
static int follow(const struct reading *r, const struct entry *context, const char *key,
                  const char *list, struct entry *out)
{
    struct mu_str name = {NULL, 0};
    struct mu_config_node *where = NULL;
    *out = (struct entry){0};
    int status = text_of(r, context->source, context->body, key, &name, &where);
    if (status != 0 || name.len == 0)
        return status;
    status = find(r, list, key, name, out);
    if (status == 0 && out->source == NULL)
        return fail_at(r, context->source, where,
                       "context '%.*s' names %s '%.*s', which is not "
                       "defined under %s",
                       SHOWN(context->name), key, SHOWN(name), list);
    return status;
}

/* ---- credentials ---- */

/* One of our credentials: inline under data_key, or in the file named under file_key. */
static int take_credential(struct reading *r, const struct entry *entry, enum mu_credential which,
                           struct mu_str text, const struct mu_config_node *text_at,
                           struct mu_str file, const struct mu_config_node *file_at)
{
    struct mu_error why;
    int status = 0;
    const struct mu_config_node *at = text.len > 0 ? text_at : file_at;
    if (text.len > 0) {
        status = mu_credential_from_text(r->result, which, text, &why);
    } else if (file.len > 0) {
        char path[PATH_BYTES];
        bool absolute = file.data[0] == '/';
        int len = snprintf(path, sizeof path, "%s%s%.*s", absolute ? "" : entry->source->folder,
                           absolute ? "" : "/", MU_STR_ARGS(file));
        if (len < 0 || len >= (int)sizeof path)
            return fail_at(r, entry->source, at, "'%.*s': path too long", SHOWN(at->key));
        status = mu_credential_from_file(r->result, which, mu_str_of(path), &why);
    }
    if (status == MU_ENOMEM)
        return fail_memory(r);
    if (status != 0)
        return mu_error_set(r->error, status, "%s:%" PRIu32 ":%" PRIu32 ": '%.*s': %s",
                            entry->source->name, at->line, at->column, SHOWN(at->key), why.text);
    return 0;
}

/* `key`-data, or the file under `key`. */
static int take_pem(struct reading *r, const struct entry *entry, enum mu_credential which,
                    const char *key, const char *data_key)
{
    struct mu_str text = {NULL, 0}, file = {NULL, 0};
    struct mu_config_node *text_at = NULL, *file_at = NULL;
    int status = text_of(r, entry->source, entry->body, data_key, &text, &text_at);
    if (status == 0)
        status = text_of(r, entry->source, entry->body, key, &file, &file_at);
    if (status == 0)
        status = take_credential(r, entry, which, text, text_at, file, file_at);
    return status;
}

static int take_token(struct reading *r, const struct entry *user)
{
    struct mu_str text = {NULL, 0}, file = {NULL, 0};
    struct mu_config_node *text_at = NULL, *file_at = NULL;
    int status = text_of(r, user->source, user->body, "token", &text, &text_at);
    if (status == 0)
        status = text_of(r, user->source, user->body, "tokenFile", &file, &file_at);
    if (file.len > 0)
        text = (struct mu_str){NULL, 0};
    if (status == 0)
        status = take_credential(r, user, MU_CREDENTIAL_TOKEN, text, text_at, file, file_at);
    return status;
}

/* ---- cluster ---- */

static int refuse_keys(const struct reading *r, const struct entry *entry, const char *what,
                       const char *const keys[][2])
{
    for (; (*keys)[0] != NULL; keys++) {
        const struct mu_config_node *node =
            mu_config_find(entry->source->config, entry->body, (*keys)[0]);
        if (is_used(node))
            return fail_at(r, entry->source, node, "%s '%.*s' uses '%s': %s", what,
                           SHOWN(entry->name), (*keys)[0], (*keys)[1]);
    }
    return 0;
}

static int take_server(struct reading *r, const struct entry *cluster)
{
    struct mu_str text = {NULL, 0};
    struct mu_config_node *at = NULL;
    int status = text_of(r, cluster->source, cluster->body, "server", &text, &at);
    if (status != 0)
        return status;
    if (at == NULL)
        return fail_at(r, cluster->source, cluster->item, "cluster '%.*s': expected a server",
                       SHOWN(cluster->name));
    struct mu_server_url url;
    struct mu_error why;
    if (mu_server_url_parse(text, &url, &why) != 0)
        return fail_at(r, cluster->source, at, "server: %s", why.text);
    return mu_kubeconfig_set_url(r->result, &url) == 0 ? 0 : fail_memory(r);
}

static int take_cluster(struct reading *r, const struct entry *cluster)
{
    static const char *const refused[][2] = {{"proxy-url", "proxies are not supported"},
                                             {NULL, NULL}};
    struct mu_kubeconfig *out = r->result;
    struct mu_str name = {NULL, 0};
    int status = refuse_keys(r, cluster, "cluster", refused);
    if (status == 0)
        status = take_server(r, cluster);
    if (status != 0 || !out->url.tls)
        return status; /* what follows is about TLS */
    struct mu_config_node *insecure =
        mu_config_find(cluster->source->config, cluster->body, "insecure-skip-tls-verify");
    if (is_used(insecure))
        status = mu_config_bool(cluster->source->config, cluster->body, insecure->key.data,
                                &out->insecure, r->error);
    if (status == 0)
        status = text_of(r, cluster->source, cluster->body, "tls-server-name", &name, NULL);
    if (status == 0)
        status = take_pem(r, cluster, MU_CREDENTIAL_CA, "certificate-authority",
                          "certificate-authority-data");
    if (status != 0)
        return status;
    if (out->insecure && out->parts[MU_CREDENTIAL_CA].value.len > 0)
        return fail_at(r, cluster->source, insecure,
                       "cluster '%.*s': expected a certificate authority or "
                       "insecure-skip-tls-verify, found both",
                       SHOWN(cluster->name));
    out->server_name = mu_arena_str(out->arena, name);
    return out->server_name.data == NULL ? fail_memory(r) : 0;
}

/* ---- user ---- */

static int take_user(struct reading *r, const struct entry *user)
{
    static const char not_this[] = "not supported; expected a token or a client certificate";
    static const char *const refused[][2] = {{"exec", not_this},
                                             {"auth-provider", not_this},
                                             {"username", not_this},
                                             {"password", not_this},
                                             {"as", "impersonation is not supported"},
                                             {"as-uid", "impersonation is not supported"},
                                             {"as-groups", "impersonation is not supported"},
                                             {"as-user-extra", "impersonation is not supported"},
                                             {NULL, NULL}};
    const struct mu_credential_part *parts = r->result->parts;
    int status = refuse_keys(r, user, "user", refused);
    if (status == 0)
        status =
            take_pem(r, user, MU_CREDENTIAL_CERT, "client-certificate", "client-certificate-data");
    if (status == 0)
        status = take_pem(r, user, MU_CREDENTIAL_KEY, "client-key", "client-key-data");
    if (status == 0)
        status = take_token(r, user);
    if (status != 0)
        return status;
    bool cert = parts[MU_CREDENTIAL_CERT].value.len > 0;
    bool key = parts[MU_CREDENTIAL_KEY].value.len > 0;
    if (cert != key)
        return fail_at(r, user->source, user->item,
                       "user '%.*s': expected client-certificate and client-key, found only the %s",
                       SHOWN(user->name), cert ? "certificate" : "key");
    if (!r->result->url.tls && (cert || parts[MU_CREDENTIAL_TOKEN].value.len > 0))
        return fail_at(r, user->source, user->item,
                       "user '%.*s' has credentials, which a server of http:// must not see; "
                       "expected https://",
                       SHOWN(user->name));
    return 0;
}

/* ---- the whole ---- */

static int resolve(struct reading *r, const char *context_name)
{
    struct entry context = {0}, cluster = {0}, user = {0};
    struct mu_str ns = {NULL, 0};
    int status = choose_context(r, context_name, &context);
    MU_ASSERT(status != 0 || context.source != NULL);
    if (status == 0)
        status = follow(r, &context, "cluster", "clusters", &cluster);
    if (status == 0 && cluster.source == NULL)
        return fail_at(r, context.source, context.item, "context '%.*s': expected a cluster",
                       SHOWN(context.name));
    if (status == 0)
        status = take_cluster(r, &cluster);
    if (status == 0)
        status = follow(r, &context, "user", "users", &user);
    if (status == 0 && user.source != NULL)
        status = take_user(r, &user);
    if (status == 0)
        status = text_of(r, context.source, context.body, "namespace", &ns, NULL);
    if (status != 0)
        return status;
    r->result->ns = mu_arena_str(r->result->arena, ns);
    return r->result->ns.data == NULL ? fail_memory(r) : 0;
}

/* One more file. Its name and folder are borrowed. */
static int add_source(struct reading *r, struct mu_str text, const char *name, const char *folder)
{
    MU_ASSERT(r->count < MU_KUBECONFIG_FILES_MAX);
    struct source *source = &r->sources[r->count];
    *source = (struct source){NULL, name, folder};
    int status = mu_config_parse_secret(text, name, &source->config, r->error);
    if (status != 0)
        return status;
    r->count++;
    struct mu_str kind = {NULL, 0};
    struct mu_config_node *at = NULL;
    status = text_of(r, source, mu_config_root(source->config), "kind", &kind, &at);
    if (status == 0 && at != NULL && !mu_str_equal(kind, MU_STR("Config")))
        return mu_config_refuse(source->config, at, "Config: a kubeconfig", r->error);
    return status;
}

static int begin(struct reading *r, struct mu_error *error)
{
    *r = (struct reading){.error = error, .result = mu_kubeconfig_new()};
    return r->result != NULL ? 0 : mu_error_set(error, MU_ENOMEM, "out of memory");
}

/* Hand the result out, or not. */
static int finish(struct reading *r, const char *context, int status, struct mu_kubeconfig **out)
{
    if (status == 0)
        status = resolve(r, context);
    for (uint32_t i = 0; i < r->count; i++)
        mu_config_destroy(r->sources[i].config);
    if (status == 0)
        *out = r->result;
    else
        mu_kubeconfig_destroy(r->result);
    return status;
}

int mu_kubeconfig_parse(struct mu_str text, const char *name, const char *folder,
                        const char *context, struct mu_kubeconfig **out, struct mu_error *error)
{
    struct reading r;
    int status = begin(&r, error);
    if (status != 0)
        return status;
    return finish(&r, context, add_source(&r, text, name, folder), out);
}

/* One file; the path is copied. */
static int add_file(struct reading *r, struct mu_str path)
{
    struct mu_secret text = {0};
    struct mu_arena *arena = r->result->arena;
    uint32_t slash = path.len;
    while (slash > 0 && path.data[slash - 1] != '/')
        slash--;
    /* "/x" is in "/", "x" is in ".": a '/' follows before the file's name. */
    struct mu_str folder = slash == 0 ? MU_STR(".") : (struct mu_str){path.data, slash - 1};
    struct mu_str name = mu_arena_str(arena, path);
    folder = mu_arena_str(arena, folder);
    if (name.data == NULL || folder.data == NULL)
        return mu_error_set(r->error, MU_ENOMEM, "out of memory");
    int status = mu_secret_read(name.data, MU_CONFIG_BYTES_MAX, false, &text, r->error);
    if (status == 0)
        status = add_source(r, mu_secret_str(&text), name.data, folder.data);
    mu_secret_fini(&text);
    return status;
}

int mu_kubeconfig_load(const char *path, const char *context, struct mu_kubeconfig **out,
                       struct mu_error *error)
{
    struct reading r;
    int status = begin(&r, error);
    if (status != 0)
        return status;
    return finish(&r, context, add_file(&r, mu_str_of(path)), out);
}

int mu_kubeconfig_load_list(const char *list, const char *context, struct mu_kubeconfig **out,
                            struct mu_error *error)
{
    struct reading r;
    int status = begin(&r, error);
    if (status != 0)
        return status;
    const char *at = list;
    while (status == 0 && at != NULL) {
        size_t len = strcspn(at, ":");
        if (len > 0 && r.count == MU_KUBECONFIG_FILES_MAX)
            status = mu_error_set(error, MU_ELIMIT, "expected at most %u kubeconfigs",
                                  MU_KUBECONFIG_FILES_MAX);
        else if (len > 0)
            status = add_file(&r, (struct mu_str){at, (uint32_t)len});
        status = status == MU_ENOENT ? 0 : status;
        at = at[len] == ':' ? at + len + 1 : NULL;
    }
    if (status == 0 && r.count == 0)
        status =
            mu_error_set(error, MU_ENOENT, "%.160s: expected a kubeconfig, found no file", list);
    return finish(&r, context, status, out);
}
