/*
 * A session is OpenSSL's state machine between two buffers. Its BIO reads from the bytes that were
 * fed, borrowed and not copied, and appends to `sink`, which is the caller's buffer while the
 * caller writes and our own `out` otherwise. A BIO never refuses for lack of room: out of bounds is
 * an error that ends the connection, so that there is no half-written record to come back to, and
 * every fed byte is used before read says 0.
 *
 *   HANDSHAKE -> ESTABLISHED -> (close_notify from the peer) -> still writing
 *        \____________\_______________________________________-> FAILED: the alert may be flushed
 *
 * Errors are put into words where they happen: OpenSSL's queue is per thread, and empty whenever
 * one of these functions returns.
 */
#include "informer/tls_session.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include "engine/base/assert.h"
#include "engine/base/mem.h"
#include "informer/tls_priv.h"

struct mu_tls_session {
    struct mu_tls *tls;
    SSL *ssl;
    const uint8_t *in; /* fed and not used yet */
    size_t in_len;
    struct mu_buf out;
    struct mu_buf *sink; /* &out, or the caller's during a call */
    bool established;
    bool failed;
    bool met_http;
    bool has_peer;
    struct mu_tls_peer peer; /* views into peer_text */
    struct mu_buf peer_text;
    struct mu_error problem;
    char host[MU_TLS_NAME_MAX + 1];
};

/* ---- the BIO ------------------------------------------------------------------------------- */

static int bio_read(BIO *bio, char *room, size_t cap, size_t *len)
{
    struct mu_tls_session *s = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    *len = s->in_len < cap ? s->in_len : cap;
    if (*len == 0) {
        BIO_set_retry_read(bio);
        return 0;
    }
    memcpy(room, s->in, *len);
    s->in += *len;
    s->in_len -= *len;
    return 1;
}

static int bio_write(BIO *bio, const char *data, size_t len, size_t *written)
{
    struct mu_tls_session *s = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    *written = 0;
    if (mu_buf_append(s->sink, data, len) != 0)
        return 0;
    *written = len;
    return 1;
}

static long bio_control(BIO *bio, int command, long number, void *pointer)
{
    (void)bio;
    (void)number;
    (void)pointer;
    return command == BIO_CTRL_FLUSH; /* all else is not supported */
}

static int bio_create(BIO *bio)
{
    BIO_set_init(bio, 1);
    return 1;
}

BIO_METHOD *mu_tls_bio_new(void)
{
    BIO_METHOD *method = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "muster");
    if (method == NULL)
        return NULL;
    if (BIO_meth_set_read_ex(method, bio_read) != 1 ||
        BIO_meth_set_write_ex(method, bio_write) != 1 ||
        BIO_meth_set_ctrl(method, bio_control) != 1 ||
        BIO_meth_set_create(method, bio_create) != 1) {
        BIO_meth_free(method);
        return NULL;
    }
    return method;
}

/* ---- life ---------------------------------------------------------------------------------- */

static bool is_address(const char *text)
{
    uint8_t room[sizeof(struct in6_addr)];
    return inet_pton(AF_INET, text, room) == 1 || inet_pton(AF_INET6, text, room) == 1;
}

/* Whom the client expects: names are sent to the server too, addresses are not (RFC 6066 §3). */
static int expect_host(struct mu_tls_session *s, const char *host)
{
    const char *name = s->tls->name[0] != '\0' ? s->tls->name : host;
    size_t len = strlen(name);
    const char *zone = strchr(name, ':') != NULL ? strchr(name, '%') : NULL;
    if (zone != NULL)
        len = (size_t)(zone - name); /* fe80::1%eth0: which link is nobody's name */
    else if (len > 1 && name[len - 1] == '.')
        len--; /* rooted, as resolvers take it: certificates are not */
    if (len == 0 || len > MU_TLS_NAME_MAX)
        return MU_EINVAL;
    memcpy(s->host, name, len);
    X509_VERIFY_PARAM *param = SSL_get0_param(s->ssl);
    bool ok;
    if (is_address(s->host)) {
        ok = X509_VERIFY_PARAM_set1_ip_asc(param, s->host) == 1;
    } else {
        ok = X509_VERIFY_PARAM_set1_host(param, s->host, len) == 1 &&
             SSL_set_tlsext_host_name(s->ssl, s->host) == 1;
    }
    ERR_clear_error();
    return ok ? 0 : MU_ENOMEM;
}

int mu_tls_session_create(struct mu_tls *tls, const char *host, struct mu_tls_session **out)
{
    struct mu_tls_session *s = mu_mem_zalloc(sizeof *s);
    if (s == NULL)
        return MU_ENOMEM;
    s->tls = mu_tls_ref(tls);
    mu_buf_init(&s->out, MU_TLS_OUT_MAX);
    mu_buf_init(&s->peer_text, MU_TLS_PEER_BYTES_MAX);
    s->sink = &s->out;
    s->ssl = SSL_new(tls->context);
    BIO *bio = s->ssl != NULL ? BIO_new(tls->bio) : NULL;
    int r = MU_ENOMEM;
    if (bio != NULL) {
        BIO_set_data(bio, s);
        SSL_set_bio(s->ssl, bio, bio); /* one reference serves both directions */
        if (tls->server)
            SSL_set_accept_state(s->ssl);
        else
            SSL_set_connect_state(s->ssl);
        r = tls->server ? 0 : expect_host(s, host);
    }
    if (r != 0) {
        ERR_clear_error();
        mu_tls_session_destroy(s);
        return r;
    }
    *out = s;
    return 0;
}

void mu_tls_session_destroy(struct mu_tls_session *s)
{
    if (s == NULL)
        return;
    SSL_free(s->ssl);
    ERR_clear_error(); /* without memory even freeing complains */
    mu_tls_unref(s->tls);
    mu_buf_fini(&s->out);
    mu_buf_fini(&s->peer_text);
    mu_mem_free(s);
}

/* ---- what went wrong, in words -------------------------------------------------------------- */

static const char *peer_role(const struct mu_tls_session *s)
{
    return s->tls->server ? "client" : "server";
}

/* The peer's last word (RFC 8446 §6.2). */
static void describe_alert(struct mu_tls_session *s, int alert)
{
    bool about_cert = (alert >= 42 && alert <= 46) || alert == 48;
    if (!s->tls->server && !s->tls->has_cert && (alert == 116 || alert == 42))
        (void)mu_error_set(&s->problem, MU_ETLS, "the server demands a client certificate");
    else if (about_cert && (s->tls->server || s->tls->has_cert))
        (void)mu_error_set(&s->problem, MU_ETLS, "the %s does not accept our certificate: %s",
                           peer_role(s), SSL_alert_desc_string_long(alert));
    else if (alert == 120)
        (void)mu_error_set(&s->problem, MU_ETLS, "the %s speaks neither HTTP/2 nor HTTP/1.1",
                           peer_role(s));
    else
        (void)mu_error_set(&s->problem, MU_ETLS, "the %s ended TLS with the alert \"%s\"",
                           peer_role(s), SSL_alert_desc_string_long(alert));
}

static void describe_verdict(struct mu_tls_session *s)
{
    long verdict = SSL_get_verify_result(s->ssl);
    const char *text = X509_verify_cert_error_string(verdict);
    if (verdict == X509_V_ERR_HOSTNAME_MISMATCH || verdict == X509_V_ERR_IP_ADDRESS_MISMATCH)
        (void)mu_error_set(&s->problem, MU_ETLS,
                           "certificate verify failed: %s (it is not valid for %s)", text, s->host);
    else
        (void)mu_error_set(&s->problem, MU_ETLS, "certificate verify failed: %s", text);
}

static void describe(struct mu_tls_session *s)
{
    unsigned long e = ERR_peek_error();
    int reason = ERR_GET_REASON(e);
    const char *text = e != 0 ? ERR_reason_error_string(e) : NULL;
    bool ours = ERR_GET_LIB(e) == ERR_LIB_SSL;
    if (ours && reason == SSL_R_CERTIFICATE_VERIFY_FAILED)
        describe_verdict(s);
    else if (ours && reason > SSL_AD_REASON_OFFSET && reason <= SSL_AD_REASON_OFFSET + 255)
        describe_alert(s, reason - SSL_AD_REASON_OFFSET);
    else if (ours && !s->established &&
             (reason == SSL_R_WRONG_VERSION_NUMBER || reason == SSL_R_HTTP_REQUEST))
        (void)mu_error_set(&s->problem, MU_ETLS, "the %s does not speak TLS", peer_role(s));
    else
        (void)mu_error_set(&s->problem, MU_ETLS, "TLS: %s", text != NULL ? text : "failed");
    s->met_http = ours && reason == SSL_R_HTTP_REQUEST;
}

/* The session is over. OpenSSL's queue says why when the code is MU_ETLS. */
static int fail_as(struct mu_tls_session *s, int code)
{
    if (code == MU_ETLS)
        describe(s);
    else
        (void)mu_error_set(&s->problem, code, "TLS: %s", mu_error_text(code));
    ERR_clear_error();
    s->failed = true;
    s->in_len = 0;
    return code;
}

/* An OpenSSL call has failed for good. */
static int fail(struct mu_tls_session *s)
{
    unsigned long e = ERR_peek_error();
    if (s->sink->failed != 0)
        return fail_as(s, s->sink->failed);
    bool memory = e != 0 && ERR_GET_REASON(e) == ERR_R_MALLOC_FAILURE;
    return fail_as(s, memory ? MU_ENOMEM : MU_ETLS);
}

void mu_tls_session_cut(struct mu_tls_session *s)
{
    if (!s->established && s->problem.code == 0)
        (void)mu_error_set(&s->problem, MU_ETLS,
                           "the %s closed the connection during the TLS handshake", peer_role(s));
}

const char *mu_tls_session_problem(const struct mu_tls_session *s)
{
    return s->problem.text;
}

/* ---- who the peer is ------------------------------------------------------------------------ */

/* Append the entry's text. False: not one that can be a name of somebody. */
static bool peer_entry(struct mu_tls_session *s, X509_NAME_ENTRY *entry, struct mu_str *out)
{
    unsigned char *text = NULL;
    int len = ASN1_STRING_to_UTF8(&text, X509_NAME_ENTRY_get_data(entry));
    bool ok = len > 0;
    for (int i = 0; ok && i < len; i++)
        ok = text[i] >= 0x20 && text[i] != 0x7f;
    /* The storage was reserved whole: views into it stay. */
    ok = ok && (size_t)len < s->peer_text.cap - s->peer_text.len;
    if (ok) {
        *out = (struct mu_str){(const char *)s->peer_text.data + s->peer_text.len, (uint32_t)len};
        ok = mu_buf_append(&s->peer_text, text, (size_t)len) == 0;
    }
    OPENSSL_free(text);
    return ok;
}

/* The last CN, as Go has it, and each O. Nothing is better than half an identity; but a lack of
 * memory makes nobody of somebody only by an error. */
static int learn_peer(struct mu_tls_session *s)
{
    X509 *cert = SSL_get0_peer_certificate(s->ssl);
    struct mu_tls_peer peer = {.group_count = 0};
    if (!s->tls->server || cert == NULL || SSL_get_verify_result(s->ssl) != X509_V_OK)
        return 0;
    X509_NAME *subject = X509_get_subject_name(cert);
    size_t bytes = 0;
    ERR_clear_error(); /* of the handshake */
    for (int i = 0; i < X509_NAME_entry_count(subject); i++)
        bytes +=
            2 *
            (size_t)ASN1_STRING_length(/* UTF-8 of any string type takes no more */
                                       X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, i)));
    int r = mu_buf_reserve(&s->peer_text, bytes);
    if (r != 0)
        return r == MU_ELIMIT ? 0 : r;
    bool ok = true;
    for (int i = 0; ok && i < X509_NAME_entry_count(subject); i++) {
        X509_NAME_ENTRY *entry = X509_NAME_get_entry(subject, i);
        int kind = OBJ_obj2nid(X509_NAME_ENTRY_get_object(entry));
        if (kind == NID_commonName)
            ok = peer_entry(s, entry, &peer.name);
        else if (kind == NID_organizationName && peer.group_count < MU_TLS_GROUPS_MAX)
            ok = peer_entry(s, entry, &peer.groups[peer.group_count++]);
        else if (kind == NID_organizationName)
            ok = false;
    }
    bool memory = ERR_GET_REASON(ERR_peek_error()) == ERR_R_MALLOC_FAILURE;
    ERR_clear_error();
    s->has_peer = ok && peer.name.len > 0;
    s->peer = peer;
    return memory ? MU_ENOMEM : 0;
}

const struct mu_tls_peer *mu_tls_session_peer(const struct mu_tls_session *s)
{
    return s->has_peer ? &s->peer : NULL;
}

struct mu_str mu_tls_session_protocol(const struct mu_tls_session *s)
{
    const unsigned char *name = NULL;
    unsigned len = 0;
    SSL_get0_alpn_selected(s->ssl, &name, &len);
    return (struct mu_str){(const char *)name, len};
}

/* ---- bytes in ------------------------------------------------------------------------------- */

void mu_tls_session_feed(struct mu_tls_session *s, const uint8_t *data, size_t len)
{
    MU_ASSERT(s->in_len == 0);
    if (s->failed)
        return;
    s->in = data;
    s->in_len = len;
}

int mu_tls_session_handshake(struct mu_tls_session *s)
{
    MU_ASSERT(!s->established && !s->failed && s->sink == &s->out);
    ERR_clear_error();
    int r = SSL_do_handshake(s->ssl);
    if (r == 1) {
        s->established = true;
        r = learn_peer(s);
        return r == 0 ? 1 : fail_as(s, r);
    }
    if (SSL_get_error(s->ssl, r) == SSL_ERROR_WANT_READ) {
        MU_ASSERT(s->in_len == 0);
        return 0;
    }
    return fail(s);
}

ptrdiff_t mu_tls_session_read(struct mu_tls_session *s, uint8_t *room, size_t cap)
{
    size_t len = 0;
    MU_ASSERT(s->established && s->sink == &s->out);
    if (s->failed)
        return MU_ETLS;
    ERR_clear_error();
    int r = SSL_read_ex(s->ssl, room, cap, &len);
    if (r == 1) {
        MU_ASSERT(len > 0 && len <= cap);
        return (ptrdiff_t)len;
    }
    switch (SSL_get_error(s->ssl, r)) {
    case SSL_ERROR_WANT_READ:
        MU_ASSERT(s->in_len == 0);
        return 0;
    case SSL_ERROR_ZERO_RETURN:
        s->in_len = 0; /* nothing counts behind it */
        return MU_ECLOSED;
    default:
        return fail(s);
    }
}

bool mu_tls_session_established(const struct mu_tls_session *s)
{
    return s->established;
}

bool mu_tls_session_failed(const struct mu_tls_session *s)
{
    return s->failed;
}

bool mu_tls_session_met_http(const struct mu_tls_session *s)
{
    return s->met_http;
}

/* ---- bytes out ------------------------------------------------------------------------------ */

int mu_tls_session_flush(struct mu_tls_session *s, struct mu_buf *out)
{
    int r = mu_buf_append(out, s->out.data, s->out.len);
    if (r == 0 && s->out.cap > 0)
        mu_buf_fini(&s->out); /* its bound stays */
    return r;
}

int mu_tls_session_write(struct mu_tls_session *s, const uint8_t *data, size_t len,
                         struct mu_buf *out)
{
    size_t written = 0;
    MU_ASSERT(s->established && !s->failed && len > 0);
    int r = mu_tls_session_flush(s, out);
    if (r != 0)
        return r;
    ERR_clear_error();
    s->sink = out;
    r = SSL_write_ex(s->ssl, data, len, &written) == 1 ? 0 : fail(s);
    s->sink = &s->out;
    MU_ASSERT(r != 0 || written == len);
    return r;
}

int mu_tls_session_finish(struct mu_tls_session *s, struct mu_buf *out)
{
    int r = mu_tls_session_flush(s, out);
    /* A second SSL_shutdown would wait for the peer's. */
    if (r != 0 || s->failed || !s->established ||
        (SSL_get_shutdown(s->ssl) & SSL_SENT_SHUTDOWN) != 0)
        return r;
    ERR_clear_error();
    s->sink = out;
    r = SSL_shutdown(s->ssl) >= 0 ? 0 : fail(s); /* 0: the peer's close_notify has not come */
    s->sink = &s->out;
    ERR_clear_error();
    return r;
}

int mu_tls_session_say_plain(struct mu_tls_session *s, struct mu_str text)
{
    MU_ASSERT(s->failed);
    return mu_buf_append_str(&s->out, text);
}
