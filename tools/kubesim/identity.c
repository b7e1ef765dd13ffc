#include "tools/kubesim/identity.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "engine/base/clock.h"
#include "informer/base64.h"
#include "informer/limits.h"
#include "informer/pki.h"
#include "informer/secret.h"

#define SECONDS_PER_DAY INT64_C(86400)
#define BACKDATED_S     300 /* clients' clocks may be behind ours */
#define VALID_DAYS      365
#define PATH_BYTES_MAX  4096u

/* ---- made at start -------------------------------------------------------------------------- */

static struct mu_str view(const struct mu_buf *buf)
{
    return (struct mu_str){(const char *)buf->data, (uint32_t)buf->len};
}

static int make_server(struct mu_identity *id, struct mu_pki *pki, struct mu_pki_validity validity,
                       struct mu_str host, struct mu_error *error)
{
    const struct mu_str names[] = {MU_STR("localhost"), MU_STR("kubernetes"),
                                   MU_STR("kubernetes.default"), MU_STR("kubernetes.default.svc")};
    const struct mu_str addresses[] = {MU_STR("127.0.0.1"), MU_STR("::1"), host};
    const struct mu_pki_request request = {.common_name = MU_STR("kube-apiserver"),
                                           .dns = names,
                                           .dns_count = sizeof names / sizeof names[0],
                                           .addresses = addresses,
                                           .address_count = sizeof addresses / sizeof addresses[0],
                                           .server = true,
                                           .validity = validity};
    struct mu_buf cert = {0};
    struct mu_buf key = {0};
    int rc = mu_pki_issue(pki, &request, &cert, &key, error);
    if (rc == 0) {
        const struct mu_tls_server_config config = {
            .cert = view(&cert), .key = view(&key), .client_ca = mu_pki_ca(pki)};
        rc = mu_tls_server_create(&config, &id->tls, error);
    }
    mu_buf_fini(&cert);
    mu_pki_wipe(&key);
    return rc;
}

static int make_administrator(struct mu_identity *id, struct mu_pki *pki,
                              struct mu_pki_validity validity, struct mu_error *error)
{
    const struct mu_str masters = MU_STR("system:masters");
    const struct mu_pki_request request = {.common_name = MU_STR("kubernetes-admin"),
                                           .organizations = &masters,
                                           .organization_count = 1,
                                           .client = true,
                                           .validity = validity};
    int rc = mu_pki_issue(pki, &request, &id->cert, &id->key, error);
    if (rc == 0 && (rc = mu_pki_token(&id->token)) != 0)
        (void)mu_error_set(error, rc, "token: %s", mu_error_text(rc));
    if (rc == 0 && (rc = mu_buf_append_str(&id->ca, mu_pki_ca(pki))) != 0)
        (void)mu_error_set(error, rc, "CA: %s", mu_error_text(rc));
    return rc;
}

int mu_identity_make(struct mu_str host, struct mu_identity *out, struct mu_error *error)
{
    const struct mu_clock *clock = mu_clock_real();
    int64_t now_s = (int64_t)(clock->wall_ns(clock) / MU_NS_PER_S);
    const struct mu_pki_validity validity = {now_s - BACKDATED_S,
                                             now_s + VALID_DAYS * SECONDS_PER_DAY};
    struct mu_pki *pki = NULL;
    *out = (struct mu_identity){0};
    int rc = mu_pki_create(MU_STR("muster-kubesim"), validity, &pki, error);
    if (rc == 0)
        rc = make_server(out, pki, validity, host, error);
    if (rc == 0)
        rc = make_administrator(out, pki, validity, error);
    mu_pki_destroy(pki);
    if (rc != 0)
        mu_identity_fini(out);
    return rc;
}

void mu_identity_fini(struct mu_identity *id)
{
    mu_tls_unref(id->tls);
    mu_buf_fini(&id->ca);
    mu_buf_fini(&id->cert);
    mu_pki_wipe(&id->key);
    mu_pki_wipe(&id->token);
    *id = (struct mu_identity){0};
}

/* ---- the kubeconfig ------------------------------------------------------------------------- */

int mu_write_in_place(const char *path, struct mu_str text, bool secret, struct mu_error *error)
{
    char beside[PATH_BYTES_MAX];
    int len = snprintf(beside, sizeof beside, "%s.XXXXXX", path);
    if (len < 0 || (size_t)len >= sizeof beside)
        return mu_error_set(error, MU_ELIMIT, "%.100s...: the path is too long", path);
    int file = mkostemp(beside, O_CLOEXEC); /* mode 0600 */
    if (file < 0)
        return mu_error_set(error, MU_EIO, "%s: %s", path, strerror(errno));
    bool ok = secret || fchmod(file, 0644) == 0;
    for (uint32_t at = 0; ok && at < text.len;) {
        ssize_t n = write(file, text.data + at, text.len - at);
        ok = n > 0 || (n < 0 && errno == EINTR);
        at += n > 0 ? (uint32_t)n : 0;
    }
    ok = close(file) == 0 && ok;
    ok = ok && rename(beside, path) == 0;
    if (ok)
        return 0;
    int why = errno;
    (void)unlink(beside);
    return mu_error_set(error, MU_EIO, "%s: %s", path, strerror(why));
}

static void append_base64(struct mu_buf *out, const char *field, const struct mu_buf *data)
{
    (void)mu_buf_printf(out, "    %s: ", field);
    (void)mu_base64_append(out, view(data));
    (void)mu_buf_append_text(out, "\n");
}

static int kubeconfig_text(const struct mu_identity *id, const char *host, uint16_t port,
                           struct mu_buf *out)
{
    bool v6 = strchr(host, ':') != NULL;
    /* Reserved in one piece, so that no copy of a secret is left behind by growth. */
    int rc = mu_buf_reserve(out, 2048 + 2 * (id->ca.len + id->cert.len + id->key.len));
    if (rc != 0)
        return rc;
    (void)mu_buf_printf(out,
                        "apiVersion: v1\nkind: Config\nclusters:\n- name: muster-kubesim\n"
                        "  cluster:\n    server: https://%s%s%s:%u\n",
                        v6 ? "[" : "", host, v6 ? "]" : "", (unsigned)port);
    append_base64(out, "certificate-authority-data", &id->ca);
    (void)mu_buf_append_text(out, "users:\n- name: kubernetes-admin\n  user:\n");
    append_base64(out, "client-certificate-data", &id->cert);
    append_base64(out, "client-key-data", &id->key);
    (void)mu_buf_printf(out, "- name: admin-by-token\n  user:\n    token: %.*s\n",
                        MU_STR_ARGS(view(&id->token)));
    return mu_buf_append_text(out, "contexts:\n"
                                   "- name: muster-kubesim\n"
                                   "  context:\n"
                                   "    cluster: muster-kubesim\n"
                                   "    user: kubernetes-admin\n"
                                   "- name: muster-kubesim-token\n"
                                   "  context:\n"
                                   "    cluster: muster-kubesim\n"
                                   "    user: admin-by-token\n"
                                   "current-context: muster-kubesim\n");
}

int mu_identity_write_kubeconfig(const struct mu_identity *id, const char *path, const char *host,
                                 uint16_t port, struct mu_error *error)
{
    if (strcmp(host, "0.0.0.0") == 0)
        host = "127.0.0.1";
    else if (strcmp(host, "::") == 0)
        host = "::1";
    struct mu_buf text = {0};
    int rc = kubeconfig_text(id, host, port, &text);
    if (rc != 0)
        (void)mu_error_set(error, rc, "%s: %s", path, mu_error_text(rc));
    else
        rc = mu_write_in_place(path, view(&text), true, error);
    mu_pki_wipe(&text);
    return rc;
}

/* ---- from files ----------------------------------------------------------------------------- */

int mu_identity_load(const char *cert_path, const char *key_path, const char *client_ca_path,
                     struct mu_tls **out, struct mu_error *error)
{
    struct mu_secret cert = {0};
    struct mu_secret key = {0};
    struct mu_secret ca = {0};
    int rc = mu_secret_read(cert_path, MU_TLS_CERT_BYTES_MAX, true, &cert, error);
    if (rc == 0)
        rc = mu_secret_read(key_path, MU_TLS_KEY_BYTES_MAX, true, &key, error);
    if (rc == 0)
        rc = mu_secret_read(client_ca_path, MU_TLS_CA_BYTES_MAX, true, &ca, error);
    if (rc == 0 && ca.len == 0) /* which would mean: ask nobody */
        rc = mu_error_set(error, MU_EINVAL, "%s: empty", client_ca_path);
    if (rc == 0) {
        const struct mu_tls_server_config config = {.cert = mu_secret_str(&cert),
                                                    .key = mu_secret_str(&key),
                                                    .client_ca = mu_secret_str(&ca)};
        rc = mu_tls_server_create(&config, out, error);
    }
    mu_secret_fini(&cert);
    mu_secret_fini(&key);
    mu_secret_fini(&ca);
    return rc;
}
