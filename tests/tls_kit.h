#ifndef MU_TESTS_TLS_KIT_H
#define MU_TESTS_TLS_KIT_H
/*
 * Certificates for tests, made once per program: a CA, a stranger's CA, and what they have issued.
 * Also a peer of OpenSSL's own, which does what our side never would.
 */
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include "engine/base/clock.h"
#include "informer/pki.h"
#include "informer/tls.h"
#include "tests/mu_test.h"

struct kit_pair {
    struct mu_buf cert, key;
};

struct tls_kit {
    struct mu_pki *ca, *stranger;
    struct kit_pair server;   /* localhost, *.wild.example, 127.0.0.1, ::1 */
    struct kit_pair nameless; /* no alternative name at all, CN localhost */
    struct kit_pair expired, early;
    struct kit_pair client;  /* CN alice, O system:masters, O team */
    struct kit_pair no_name; /* the stranger's client */
};

static inline struct mu_str kit_str(const struct mu_buf *buf)
{
    return (struct mu_str){(const char *)buf->data, (uint32_t)buf->len};
}

static inline int64_t kit_now_s(void)
{
    const struct mu_clock *clock = mu_clock_real();
    return (int64_t)(clock->wall_ns(clock) / MU_NS_PER_S);
}

static inline struct mu_pki_validity kit_valid(int64_t from_s, int64_t until_s)
{
    return (struct mu_pki_validity){kit_now_s() + from_s, kit_now_s() + until_s};
}

static inline struct kit_pair kit_issue(struct mu_pki *pki, struct mu_pki_request request)
{
    struct kit_pair pair = {0};
    struct mu_error error;
    if (mu_pki_issue(pki, &request, &pair.cert, &pair.key, &error) != 0)
        fail_msg("%s", error.text);
    return pair;
}

static inline void kit_pair_free(struct kit_pair *pair)
{
    mu_buf_fini(&pair->cert);
    mu_pki_wipe(&pair->key);
}

static inline struct tls_kit *kit_new(void)
{
    static const struct mu_str names[] = {{"localhost", 9}, {"*.wild.example", 14}};
    static const struct mu_str addresses[] = {{"127.0.0.1", 9}, {"::1", 3}};
    static const struct mu_str groups[] = {{"system:masters", 14}, {"team", 4}};
    struct tls_kit *made = mu_mem_zalloc(sizeof *made);
    assert_non_null(made);
    struct mu_error error;
    struct mu_pki_validity year = kit_valid(-3600, 365 * 86400);
    assert_int_equal(mu_pki_create(MU_STR("test CA"), year, &made->ca, &error), 0);
    assert_int_equal(mu_pki_create(MU_STR("stranger"), year, &made->stranger, &error), 0);
    struct mu_pki_request server = {.common_name = MU_STR("server"),
                                    .dns = names,
                                    .dns_count = 2,
                                    .addresses = addresses,
                                    .address_count = 2,
                                    .server = true,
                                    .validity = year};
    made->server = kit_issue(made->ca, server);
    server.validity = kit_valid(-7200, -3600);
    made->expired = kit_issue(made->ca, server);
    server.validity = kit_valid(3600, 7200);
    made->early = kit_issue(made->ca, server);
    made->nameless = kit_issue(made->ca, (struct mu_pki_request){.common_name = MU_STR("localhost"),
                                                                 .server = true,
                                                                 .validity = year});
    struct mu_pki_request client = {.common_name = MU_STR("alice"),
                                    .organizations = groups,
                                    .organization_count = 2,
                                    .client = true,
                                    .validity = year};
    made->client = kit_issue(made->ca, client);
    made->no_name = kit_issue(made->stranger, client);
    return made;
}

static inline void kit_free(struct tls_kit *kit)
{
    struct kit_pair *pairs[] = {&kit->server, &kit->nameless, &kit->expired,
                                &kit->early,  &kit->client,   &kit->no_name};
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++)
        kit_pair_free(pairs[i]);
    mu_pki_destroy(kit->ca);
    mu_pki_destroy(kit->stranger);
    mu_mem_free(kit);
}

/* client_ca NULL: nobody is asked. */
static inline struct mu_tls *kit_server(const struct kit_pair *pair, const struct mu_pki *client_ca)
{
    struct mu_tls *tls = NULL;
    struct mu_error error;
    struct mu_tls_server_config config = {.cert = kit_str(&pair->cert), .key = kit_str(&pair->key)};
    if (client_ca != NULL)
        config.client_ca = mu_pki_ca(client_ca);
    if (mu_tls_server_create(&config, &tls, &error) != 0)
        fail_msg("%s", error.text);
    return tls;
}

/* pair NULL: without a certificate; name "": the host that is connected to. */
static inline struct mu_tls *kit_client(const struct mu_pki *ca, const struct kit_pair *pair,
                                        const char *name)
{
    struct mu_tls *tls = NULL;
    struct mu_error error;
    struct mu_tls_client_config config = {.ca = mu_pki_ca(ca), .server_name = mu_str_of(name)};
    if (pair != NULL) {
        config.cert = kit_str(&pair->cert);
        config.key = kit_str(&pair->key);
    }
    if (mu_tls_client_create(&config, &tls, &error) != 0)
        fail_msg("%s", error.text);
    return tls;
}

/* ---- OpenSSL by itself ---------------------------------------------------------------------- */

/* A connection of OpenSSL's over two memory BIOs: `in` is what it reads. */
struct raw_tls {
    SSL_CTX *context;
    SSL *ssl;
    BIO *in, *out;
};

/* Versions as OpenSSL numbers them; alpn in wire form, NULL: none. A server shows `pair`. */
static inline struct raw_tls raw_new(bool server, int min_version, int max_version,
                                     const char *alpn, const struct kit_pair *pair)
{
    struct raw_tls raw = {.context =
                              SSL_CTX_new(server ? TLS_server_method() : TLS_client_method())};
    assert_non_null(raw.context);
    SSL_CTX_set_security_level(raw.context, 0); /* old versions are refused by us, not by it */
    assert_int_equal(SSL_CTX_set_min_proto_version(raw.context, min_version), 1);
    assert_int_equal(SSL_CTX_set_max_proto_version(raw.context, max_version), 1);
    if (pair != NULL) {
        BIO *cert = BIO_new_mem_buf(pair->cert.data, (int)pair->cert.len);
        BIO *key = BIO_new_mem_buf(pair->key.data, (int)pair->key.len);
        X509 *x509 = PEM_read_bio_X509(cert, NULL, NULL, NULL);
        EVP_PKEY *own = PEM_read_bio_PrivateKey(key, NULL, NULL, NULL);
        assert_int_equal(SSL_CTX_use_certificate(raw.context, x509), 1);
        assert_int_equal(SSL_CTX_use_PrivateKey(raw.context, own), 1);
        X509_free(x509);
        EVP_PKEY_free(own);
        BIO_free(cert);
        BIO_free(key);
    }
    if (alpn != NULL)
        assert_int_equal(SSL_CTX_set_alpn_protos(raw.context, (const unsigned char *)alpn,
                                                 (unsigned)strlen(alpn)),
                         0);
    raw.ssl = SSL_new(raw.context);
    assert_non_null(raw.ssl);
    raw.in = BIO_new(BIO_s_mem());
    raw.out = BIO_new(BIO_s_mem());
    SSL_set_bio(raw.ssl, raw.in, raw.out);
    if (server)
        SSL_set_accept_state(raw.ssl);
    else
        SSL_set_connect_state(raw.ssl);
    return raw;
}

static inline void raw_free(struct raw_tls *raw)
{
    SSL_free(raw->ssl);
    SSL_CTX_free(raw->context);
    ERR_clear_error();
}

#endif
