#include "informer/kubeconfig.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/assert.h"
#include "engine/base/mem.h"
#include "informer/kubeconfig_priv.h"
#include "informer/limits.h"

/*
 * The value: four credentials, each of which is a text for ever or the content of a file, and what
 * surrounds them. Which is which is decided once (YAML in kubeconfig_yaml.c, the pod's folder here)
 * and never changes; a reload only reads the files again. It reads all of them before it takes any,
 * so that half a rotation does not get in when a file is missing. A certificate whose key has not
 * been written yet may still be read: the TLS context refuses the pair, and the next reload, which
 * sees the key change, says so.
 */

enum { ARENA_BYTES = 4 << 20 }; /* above what texts of one file can fill */

#define POD_FOLDER "/var/run/secrets/kubernetes.io/serviceaccount"

/* ---- life ---- */

struct mu_kubeconfig *mu_kubeconfig_new(void)
{
    struct mu_kubeconfig *config = mu_mem_zalloc(sizeof *config);
    if (config == NULL)
        return NULL;
    config->arena = mu_arena_create(ARENA_BYTES);
    if (config->arena == NULL) {
        mu_mem_free(config);
        return NULL;
    }
    return config;
}

int mu_kubeconfig_cleartext(const char *host, uint16_t port, struct mu_kubeconfig **out)
{
    struct mu_kubeconfig *config = mu_kubeconfig_new();
    if (config == NULL)
        return MU_ENOMEM;
    size_t len = strlen(host);
    MU_ASSERT(len > 0 && len <= MU_HOST_BYTES_MAX && port > 0);
    memcpy(config->url.host, host, len + 1);
    config->url.port = port;
    *out = config;
    return 0;
}

void mu_kubeconfig_destroy(struct mu_kubeconfig *config)
{
    if (config == NULL)
        return;
    for (int i = 0; i < MU_CREDENTIAL_COUNT; i++)
        mu_secret_fini(&config->parts[i].value);
    mu_arena_destroy(config->arena);
    mu_mem_free(config);
}

struct mu_kubeconfig_view mu_kubeconfig_view(const struct mu_kubeconfig *config)
{
    const struct mu_credential_part *parts = config->parts;
    struct mu_kubeconfig_view view = {
        .tls = config->url.tls,
        .host = mu_str_of(config->url.host),
        .port = config->url.port,
        .path = config->url.path,
        .ca = mu_secret_str(&parts[MU_CREDENTIAL_CA].value),
        .cert = mu_secret_str(&parts[MU_CREDENTIAL_CERT].value),
        .key = mu_secret_str(&parts[MU_CREDENTIAL_KEY].value),
        .token = mu_secret_str(&parts[MU_CREDENTIAL_TOKEN].value),
        .server_name = config->server_name,
        .insecure = config->insecure,
        .ns = config->ns,
    };
    for (int i = 0; i < MU_CREDENTIAL_COUNT; i++)
        view.may_change = view.may_change || parts[i].path != NULL;
    return view;
}

int mu_kubeconfig_set_url(struct mu_kubeconfig *config, const struct mu_server_url *url)
{
    struct mu_str path = mu_arena_str(config->arena, url->path);
    if (path.data == NULL)
        return MU_ENOMEM;
    config->url = *url;
    config->url.path = path;
    return 0;
}

/* ---- one credential ---- */

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* White space at the ends goes; what is left must be fit for a header. */
static bool token_trim(struct mu_secret *token)
{
    uint32_t begin = 0, end = token->len;
    while (end > 0 && is_space(token->data[end - 1]))
        end--;
    while (begin < end && is_space(token->data[begin]))
        begin++;
    if (begin == end || end - begin > MU_TOKEN_BYTES_MAX)
        return false;
    memmove(token->data, token->data + begin, end - begin);
    token->len = end - begin;
    token->data[token->len] = '\0';
    for (uint32_t i = 0; i < token->len; i++) {
        if (token->data[i] <= ' ' || token->data[i] >= 0x7f)
            return false;
    }
    return true;
}

/* Judge what was read. On error *value is wiped. */
static int check(enum mu_credential which, struct mu_secret *value, const char *where,
                 struct mu_error *error)
{
    const char *wrong = NULL;
    if (value->len == 0)
        wrong = "is empty";
    else if (which == MU_CREDENTIAL_TOKEN && !token_trim(value))
        wrong = "expected one token of at most 16 KiB, without spaces or control characters";
    if (wrong == NULL)
        return 0;
    mu_secret_fini(value);
    return mu_error_set(error, MU_EINVAL, "%s%s%s", where, *where != '\0' ? ": " : "", wrong);
}

static int read_part(enum mu_credential which, const char *path, struct mu_secret *out,
                     struct mu_error *error)
{
    bool token = which == MU_CREDENTIAL_TOKEN;
    int status = mu_secret_read(path, token ? MU_TOKEN_BYTES_MAX + 64 : MU_CREDENTIAL_BYTES_MAX,
                                true, out, error);
    if (status != 0)
        return status;
    size_t len = strlen(path);
    return check(which, out, len > 128 ? path + len - 128 : path, error);
}

int mu_credential_from_file(struct mu_kubeconfig *config, enum mu_credential which,
                            struct mu_str path, struct mu_error *error)
{
    struct mu_credential_part part = {0};
    part.path = mu_arena_str(config->arena, path).data;
    if (part.path == NULL)
        return mu_error_set(error, MU_ENOMEM, "out of memory");
    int status = read_part(which, part.path, &part.value, error);
    if (status != 0)
        return status;
    mu_secret_fini(&config->parts[which].value);
    config->parts[which] = part;
    return 0;
}

int mu_credential_from_text(struct mu_kubeconfig *config, enum mu_credential which,
                            struct mu_str text, struct mu_error *error)
{
    struct mu_secret value = {0};
    bool token = which == MU_CREDENTIAL_TOKEN;
    int status = token ? mu_secret_copy(text, &value) : mu_secret_base64(text, &value);
    if (status == MU_EINVAL)
        return mu_error_set(error, status, "expected base64");
    if (status != 0)
        return mu_error_set(error, status, "out of memory");
    status = check(which, &value, "", error);
    if (status != 0)
        return status;
    mu_secret_fini(&config->parts[which].value);
    config->parts[which] = (struct mu_credential_part){NULL, value};
    return 0;
}

int mu_kubeconfig_reload(struct mu_kubeconfig *config, struct mu_error *error)
{
    struct mu_secret fresh[MU_CREDENTIAL_COUNT] = {{0}};
    bool certificates = false, token = false;
    int status = 0;
    for (int i = 0; status == 0 && i < MU_CREDENTIAL_COUNT; i++) {
        if (config->parts[i].path != NULL)
            status = read_part((enum mu_credential)i, config->parts[i].path, &fresh[i], error);
    }
    for (int i = 0; i < MU_CREDENTIAL_COUNT; i++) {
        struct mu_secret *value = &config->parts[i].value;
        bool changed = status == 0 && config->parts[i].path != NULL &&
                       !mu_str_equal(mu_secret_str(&fresh[i]), mu_secret_str(value));
        if (changed) {
            struct mu_secret old = *value;
            *value = fresh[i];
            fresh[i] = old;
        }
        mu_secret_fini(&fresh[i]);
        certificates = certificates || (changed && i != MU_CREDENTIAL_TOKEN);
        token = token || (changed && i == MU_CREDENTIAL_TOKEN);
    }
    return status != 0 ? status : certificates ? 1 : token ? 2 : 0;
}

/* ---- in a pod ---- */

/* Errors: MU_ELIMIT when it does not fit. */
static int join(char out[1024], const char *folder, const char *name, struct mu_error *error)
{
    int len = snprintf(out, 1024, "%s/%s", folder, name);
    return len > 0 && len < 1024 ? 0 : mu_error_set(error, MU_ELIMIT, "%s: path too long", name);
}

static int pod_url(struct mu_kubeconfig *config, struct mu_error *error)
{
    const char *host = getenv("KUBERNETES_SERVICE_HOST");
    const char *port = getenv("KUBERNETES_SERVICE_PORT");
    if (host == NULL || *host == '\0' || port == NULL || *port == '\0')
        return mu_error_set(error, MU_EINVAL,
                            "not in a pod: expected KUBERNETES_SERVICE_HOST and "
                            "KUBERNETES_SERVICE_PORT in the environment");
    char text[512];
    bool ipv6 = strchr(host, ':') != NULL;
    int len = snprintf(text, sizeof text, "https://%s%s%s:%s", ipv6 ? "[" : "", host,
                       ipv6 ? "]" : "", port);
    struct mu_server_url url;
    struct mu_error why;
    if (len < 0 || len >= (int)sizeof text ||
        mu_server_url_parse(mu_str_of(text), &url, &why) != 0 || url.path.len > 0)
        return mu_error_set(error, MU_EINVAL,
                            "KUBERNETES_SERVICE_HOST '%.64s' and KUBERNETES_SERVICE_PORT '%.16s': "
                            "expected a host and a port",
                            host, port);
    return mu_kubeconfig_set_url(config, &url) == 0
               ? 0
               : mu_error_set(error, MU_ENOMEM, "out of memory");
}

/* The namespace is a courtesy: its file may be missing. */
static int pod_namespace(struct mu_kubeconfig *config, const char *path)
{
    struct mu_secret text = {0};
    if (mu_secret_read(path, 255, true, &text, NULL) != 0)
        return 0;
    struct mu_str name = mu_secret_str(&text);
    while (name.len > 0 && is_space(name.data[name.len - 1]))
        name.len--;
    config->ns = mu_arena_str(config->arena, name);
    mu_secret_fini(&text);
    return config->ns.data == NULL ? MU_ENOMEM : 0;
}

static int pod_read(struct mu_kubeconfig *config, const char *folder, struct mu_error *error)
{
    char path[1024];
    int status = pod_url(config, error);
    if (status == 0)
        status = join(path, folder, "token", error);
    if (status == 0)
        status = mu_credential_from_file(config, MU_CREDENTIAL_TOKEN, mu_str_of(path), error);
    if (status == 0)
        status = join(path, folder, "ca.crt", error);
    if (status == 0)
        status = mu_credential_from_file(config, MU_CREDENTIAL_CA, mu_str_of(path), error);
    if (status == 0)
        status = join(path, folder, "namespace", error);
    if (status == 0 && pod_namespace(config, path) != 0)
        status = mu_error_set(error, MU_ENOMEM, "out of memory");
    return status;
}

int mu_kubeconfig_in_cluster(const char *folder, struct mu_kubeconfig **out, struct mu_error *error)
{
    struct mu_kubeconfig *config = mu_kubeconfig_new();
    if (config == NULL)
        return mu_error_set(error, MU_ENOMEM, "out of memory");
    int status = pod_read(config, folder != NULL ? folder : POD_FOLDER, error);
    if (status != 0) {
        mu_kubeconfig_destroy(config);
        return status;
    }
    *out = config;
    return 0;
}
