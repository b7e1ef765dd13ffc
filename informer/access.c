#include "informer/access.h"

#include <stdio.h>
#include <string.h>

#include "engine/base/assert.h"
#include "engine/base/mem.h"
#include "informer/limits.h"
#include "informer/server_url.h"

enum { URL_BYTES = 16 + MU_HOST_BYTES_MAX + 8 + MU_SERVER_PATH_MAX };

struct mu_access {
    struct mu_kubeconfig *config;
    struct mu_tls *tls;            /* of the client; NULL: cleartext */
    struct mu_http_client *client; /* NULL: none yet, or no more */
    struct mu_credentials credentials;
    bool token_stale, tls_stale; /* read, and not in use yet */
    char url[URL_BYTES];
};

/* ---- putting to use ---- */

static int use_token(struct mu_access *access)
{
    static const char scheme[] = "Bearer ";
    struct mu_kubeconfig_view view = mu_kubeconfig_view(access->config);
    if (access->client == NULL || view.token.len == 0)
        return 0;
    size_t len = sizeof scheme - 1 + view.token.len;
    _Static_assert(sizeof scheme - 1 + MU_TOKEN_BYTES_MAX <= MU_HTTP_AUTHORIZATION_MAX,
                   "every token that is read fits the header");
    char *value = mu_mem_alloc(len);
    if (value == NULL)
        return MU_ENOMEM;
    memcpy(value, scheme, sizeof scheme - 1);
    memcpy(value + sizeof scheme - 1, view.token.data, view.token.len);
    int status =
        mu_http_client_set_authorization(access->client, (struct mu_str){value, (uint32_t)len});
    explicit_bzero(value, len);
    mu_mem_free(value);
    return status;
}

static int use_certificates(struct mu_access *access, struct mu_error *error)
{
    struct mu_kubeconfig_view view = mu_kubeconfig_view(access->config);
    const struct mu_tls_client_config config = {.ca = view.ca,
                                                .cert = view.cert,
                                                .key = view.key,
                                                .server_name = view.server_name,
                                                .insecure = view.insecure};
    struct mu_tls *tls = NULL;
    if (!view.tls)
        return 0;
    int status = mu_tls_client_create(&config, &tls, error);
    if (status != 0)
        return status;
    mu_tls_unref(access->tls);
    access->tls = tls;
    if (access->client != NULL)
        mu_http_client_set_tls(access->client, tls);
    return 0;
}

/* ---- life ---- */

static void write_url(struct mu_access *access)
{
    struct mu_kubeconfig_view view = mu_kubeconfig_view(access->config);
    bool v6 = memchr(view.host.data, ':', view.host.len) != NULL;
    int len = snprintf(access->url, sizeof access->url, "%s://%s%.*s%s:%u%.*s",
                       view.tls ? "https" : "http", v6 ? "[" : "", MU_STR_ARGS(view.host),
                       v6 ? "]" : "", (unsigned)view.port, MU_STR_ARGS(view.path));
    MU_ASSERT(len > 0 && len < (int)sizeof access->url);
}

int mu_access_create(struct mu_kubeconfig *config, uint64_t now_ns, struct mu_access **out,
                     struct mu_error *error)
{
    struct mu_access *access = mu_mem_zalloc(sizeof *access);
    if (access == NULL) {
        mu_kubeconfig_destroy(config);
        return mu_error_set(error, MU_ENOMEM, "out of memory");
    }
    access->config = config;
    int status = use_certificates(access, error);
    if (status != 0) {
        mu_access_destroy(access);
        return status;
    }
    mu_credentials_init(&access->credentials, mu_kubeconfig_view(config).may_change, now_ns);
    write_url(access);
    *out = access;
    return 0;
}

void mu_access_destroy(struct mu_access *access)
{
    if (access == NULL)
        return;
    mu_tls_unref(access->tls);
    mu_kubeconfig_destroy(access->config);
    mu_mem_free(access);
}

const char *mu_access_url(const struct mu_access *access)
{
    return access->url;
}

int mu_access_connect(struct mu_access *access, uv_loop_t *loop, uint32_t connections,
                      mu_reply_fn reply, void *context, struct mu_http_client **out)
{
    MU_ASSERT(access->client == NULL);
    struct mu_kubeconfig_view view = mu_kubeconfig_view(access->config);
    const struct mu_http_client_config config = {.host = view.host,
                                                 .port = view.port,
                                                 .path = view.path,
                                                 .tls = access->tls,
                                                 .connections = connections};
    int status = mu_http_client_create(loop, &config, reply, context, &access->client);
    if (status != 0)
        return status;
    status = use_token(access);
    if (status != 0) {
        mu_http_client_close(access->client, NULL, NULL);
        access->client = NULL;
        return status;
    }
    *out = access->client;
    return 0;
}

void mu_access_forget(struct mu_access *access)
{
    access->client = NULL;
}

/* ---- staying fresh ---- */

enum mu_credentials_news mu_access_answer(struct mu_access *access, int status, uint64_t now_ns)
{
    return mu_credentials_answer(&access->credentials, status, now_ns);
}

void mu_access_wish(struct mu_access *access, uint64_t now_ns)
{
    mu_credentials_wish(&access->credentials, now_ns);
}

uint64_t mu_access_next_ns(const struct mu_access *access)
{
    return mu_credentials_next_ns(&access->credentials);
}

/* Read, then use what is new. Returns 1 when anything came into use, 0, or an error. */
static int refresh(struct mu_access *access, struct mu_error *error)
{
    int got = mu_kubeconfig_reload(access->config, error);
    if (got < 0)
        return got;
    access->token_stale = access->token_stale || got > 0;
    access->tls_stale = access->tls_stale || got == 1;
    bool used = false;
    int status = 0;
    if (access->token_stale) {
        status = use_token(access);
        if (status != 0)
            return mu_error_set(error, status, "token: %s", mu_error_text(status));
        access->token_stale = false;
        used = true;
    }
    if (access->tls_stale) {
        status = use_certificates(access, error);
        access->tls_stale = status != 0;
        used = used || status == 0;
    }
    return status != 0 ? status : used;
}

enum mu_credentials_news mu_access_tick(struct mu_access *access, uint64_t now_ns,
                                        struct mu_error *error)
{
    if (now_ns < mu_credentials_next_ns(&access->credentials))
        return MU_CREDENTIALS_NOTHING;
    return mu_credentials_read(&access->credentials, refresh(access, error), now_ns);
}
