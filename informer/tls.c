/*
 * TLS contexts.
 *
 * What they allow: TLS 1.2 with forward-secret AEAD suites (what HTTP/2 asks for, RFC 9113 §9.2.2)
 * and TLS 1.3; no renegotiation, no compression. Sessions are not resumed: connections here live
 * for hours, a handshake costs less than 1 ms, and a certificate that has expired or whose CA is no
 * longer trusted must not live on in a ticket.
 *
 * Trust is judged as Go's library does, which the rest of a cluster runs on: any certificate of the
 * bundle is an anchor, be it self-signed or not, and only subject alternative names count for the
 * server's name, never the subject.
 */
#include "informer/tls_priv.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>
#include "engine/base/assert.h"
#include "engine/base/mem.h"

static const char tls12_suites[] = "ECDHE+AESGCM:ECDHE+CHACHA20";
static const unsigned char protocols[] = "\x02h2\x08http/1.1";
#define PROTOCOLS_LEN ((unsigned)sizeof protocols - 1)

/* ---- what both sides share ----------------------------------------------------------------- */

static void tls_free(struct mu_tls *tls)
{
    SSL_CTX_free(tls->context);
    BIO_meth_free(tls->bio);
    ERR_clear_error(); /* without memory even freeing complains */
    mu_mem_free(tls);
}

static struct mu_tls *tls_new(bool server)
{
    struct mu_tls *tls = mu_mem_zalloc(sizeof *tls);
    if (tls == NULL)
        return NULL;
    atomic_init(&tls->refs, 1);
    tls->server = server;
    tls->context = SSL_CTX_new(server ? TLS_server_method() : TLS_client_method());
    tls->bio = mu_tls_bio_new();
    if (tls->context == NULL || tls->bio == NULL ||
        SSL_CTX_set_min_proto_version(tls->context, TLS1_2_VERSION) != 1 ||
        SSL_CTX_set_cipher_list(tls->context, tls12_suites) != 1 ||
        SSL_CTX_set_num_tickets(tls->context, 0) != 1) {
        tls_free(tls);
        return NULL;
    }
    SSL_CTX_set_options(tls->context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_TICKET |
                                          SSL_OP_NO_COMPRESSION | SSL_OP_CIPHER_SERVER_PREFERENCE);
    (void)SSL_CTX_set_session_cache_mode(tls->context, SSL_SESS_CACHE_OFF);
    /* A thousand silent watches hold no record buffers; the chain sent is the chain given. */
    (void)SSL_CTX_set_mode(tls->context, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_NO_AUTO_CHAIN);
    return tls;
}

struct mu_tls *mu_tls_ref(struct mu_tls *tls)
{
    unsigned before = atomic_fetch_add_explicit(&tls->refs, 1, memory_order_relaxed);
    MU_ASSERT(before > 0);
    return tls;
}

void mu_tls_unref(struct mu_tls *tls)
{
    if (tls == NULL)
        return;
    /* Release: our use of it comes before its end; acquire: pairs with the others' releases. */
    unsigned before = atomic_fetch_sub_explicit(&tls->refs, 1, memory_order_acq_rel);
    MU_ASSERT(before > 0);
    if (before == 1)
        tls_free(tls);
}

/* Who we are: a chain, leaf first, and the leaf's key. */
static int use_identity(struct mu_tls *tls, struct mu_str cert, struct mu_str key,
                        struct mu_error *error)
{
    const char *cert_name = tls->server ? "server certificate" : "client certificate";
    const char *key_name = tls->server ? "server key" : "client key";
    STACK_OF(X509) *chain = NULL;
    EVP_PKEY *own = NULL;
    int r = mu_tls_pem_certs(cert, MU_TLS_CERT_BYTES_MAX, (int)MU_TLS_CERT_COUNT_MAX, cert_name,
                             &chain, error);
    if (r == 0)
        r = mu_tls_pem_key(key, key_name, &own, error);
    if (r == 0 && X509_check_private_key(sk_X509_value(chain, 0), own) != 1)
        r = mu_error_set(error, MU_EINVAL, "%s: does not belong to the certificate", key_name);
    ERR_clear_error();
    if (r == 0 && SSL_CTX_use_certificate(tls->context, sk_X509_value(chain, 0)) != 1)
        r = mu_tls_openssl_error(error, MU_EINVAL, cert_name);
    for (int i = 1; r == 0 && i < sk_X509_num(chain); i++) {
        if (SSL_CTX_add1_chain_cert(tls->context, sk_X509_value(chain, i)) != 1)
            r = mu_tls_openssl_error(error, MU_EINVAL, cert_name);
    }
    if (r == 0 && SSL_CTX_use_PrivateKey(tls->context, own) != 1)
        r = mu_tls_openssl_error(error, MU_EINVAL, key_name);
    sk_X509_pop_free(chain, X509_free);
    EVP_PKEY_free(own);
    tls->has_cert = r == 0;
    return r;
}

/* Whom we trust. As the server: their names are told to clients, which choose by them. */
static int use_authorities(struct mu_tls *tls, struct mu_str ca, const char *what,
                           struct mu_error *error)
{
    STACK_OF(X509) *certs = NULL;
    int r =
        mu_tls_pem_certs(ca, MU_TLS_CA_BYTES_MAX, (int)MU_TLS_CA_COUNT_MAX, what, &certs, error);
    if (r != 0)
        return r;
    X509_STORE *store = SSL_CTX_get_cert_store(tls->context);
    for (int i = 0; r == 0 && i < sk_X509_num(certs); i++) {
        X509 *cert = sk_X509_value(certs, i);
        if (X509_STORE_add_cert(store, cert) != 1 ||
            (tls->server && SSL_CTX_add_client_CA(tls->context, cert) != 1))
            r = mu_tls_openssl_error(error, MU_EINVAL, what);
    }
    sk_X509_pop_free(certs, X509_free);
    return r;
}

static int trust_any_anchor(struct mu_tls *tls)
{
    X509_VERIFY_PARAM *param = SSL_CTX_get0_param(tls->context);
    X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NEVER_CHECK_SUBJECT |
                                               X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    return X509_VERIFY_PARAM_set_flags(param, X509_V_FLAG_PARTIAL_CHAIN) == 1 ? 0 : MU_ENOMEM;
}

static int finish(struct mu_tls *tls, int r, struct mu_tls **out)
{
    ERR_clear_error();
    if (r == 0)
        *out = tls;
    else
        tls_free(tls);
    return r;
}

/* ---- client -------------------------------------------------------------------------------- */

static int use_name(struct mu_tls *tls, struct mu_str name, struct mu_error *error)
{
    if (name.len > MU_TLS_NAME_MAX)
        return mu_error_set(error, MU_ELIMIT, "server name: longer than %u bytes", MU_TLS_NAME_MAX);
    if (name.len > 0 && memchr(name.data, '\0', name.len) != NULL)
        return mu_error_set(error, MU_EINVAL, "server name: a zero byte in it");
    if (name.len > 0)
        memcpy(tls->name, name.data, name.len);
    return 0;
}

static int use_trust(struct mu_tls *tls, struct mu_str ca, struct mu_error *error)
{
    if (ca.len > 0)
        return use_authorities(tls, ca, "CA bundle", error);
    if (SSL_CTX_set_default_verify_paths(tls->context) != 1)
        return mu_tls_openssl_error(error, MU_EINVAL, "system's CA certificates");
    return 0;
}

int mu_tls_client_create(const struct mu_tls_client_config *config, struct mu_tls **out,
                         struct mu_error *error)
{
    if ((config->cert.len > 0) != (config->key.len > 0))
        return mu_error_set(error, MU_EINVAL, "client %s: given without the %s",
                            config->cert.len > 0 ? "certificate" : "key",
                            config->cert.len > 0 ? "key" : "certificate");
    struct mu_tls *tls = tls_new(false);
    if (tls == NULL)
        return mu_tls_openssl_error(error, MU_ENOMEM, "TLS context");
    tls->verify = !config->insecure;
    SSL_CTX_set_verify(tls->context, tls->verify ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, NULL);
    int r = use_name(tls, config->server_name, error);
    if (r == 0 && (SSL_CTX_set_alpn_protos(tls->context, protocols, PROTOCOLS_LEN) != 0 ||
                   trust_any_anchor(tls) != 0))
        r = mu_tls_openssl_error(error, MU_ENOMEM, "TLS context");
    if (r == 0 && config->cert.len > 0)
        r = use_identity(tls, config->cert, config->key, error);
    if (r == 0 && (tls->verify || config->ca.len > 0)) /* last: the system's store takes 50 ms */
        r = use_trust(tls, config->ca, error);
    return finish(tls, r, out);
}

/* ---- server -------------------------------------------------------------------------------- */

/* The first of ours that the client offers. A client that asks for something else is told so. */
static int choose_protocol(SSL *ssl, const unsigned char **out, unsigned char *out_len,
                           const unsigned char *in, unsigned in_len, void *context)
{
    unsigned char *chosen = NULL;
    (void)ssl;
    (void)context;
    if (SSL_select_next_proto(&chosen, out_len, protocols, PROTOCOLS_LEN, in, in_len) !=
        OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    *out = chosen;
    return SSL_TLSEXT_ERR_OK;
}

int mu_tls_server_create(const struct mu_tls_server_config *config, struct mu_tls **out,
                         struct mu_error *error)
{
    struct mu_tls *tls = tls_new(true);
    if (tls == NULL)
        return mu_tls_openssl_error(error, MU_ENOMEM, "TLS context");
    SSL_CTX_set_alpn_select_cb(tls->context, choose_protocol, NULL);
    int r = trust_any_anchor(tls);
    if (r != 0)
        r = mu_tls_openssl_error(error, MU_ENOMEM, "TLS context");
    if (r == 0)
        r = use_identity(tls, config->cert, config->key, error);
    if (r == 0 && config->client_ca.len > 0) {
        r = use_authorities(tls, config->client_ca, "client CA bundle", error);
        SSL_CTX_set_verify(tls->context, SSL_VERIFY_PEER, NULL);
    }
    return finish(tls, r, out);
}
