/*
 * PEM texts into certificates and keys.
 *
 * Sizes are checked before anything is parsed, and everything in the text has to be right: a bundle
 * whose third certificate is damaged is refused, not cut. Blocks of other kinds are skipped, so
 * that files which hold a key and its certificate serve as both. A pass phrase is never asked for.
 */
#include "informer/tls_priv.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include "engine/base/assert.h"

int mu_tls_openssl_error(struct mu_error *error, int code, const char *what)
{
    unsigned long oldest = ERR_get_error();
    const char *reason = oldest != 0 ? ERR_reason_error_string(oldest) : NULL;
    bool memory = oldest != 0 && ERR_GET_REASON(oldest) == ERR_R_MALLOC_FAILURE;
    ERR_clear_error();
    if (memory)
        return mu_error_set(error, MU_ENOMEM, "%s: out of memory", what);
    return mu_error_set(error, code, "%s: %s", what, reason != NULL ? reason : "not usable");
}

/* OpenSSL would ask on the terminal. The signature is its own. */
// NOLINTNEXTLINE(readability-non-const-parameter)
static int no_password(char *room, int cap, int writing, void *context)
{
    (void)room;
    (void)cap;
    (void)writing;
    (void)context;
    return -1;
}

/* A view of the text, once it is small enough. NULL: *error is set. */
static BIO *open_text(struct mu_str pem, size_t bytes_max, const char *what, int *code,
                      struct mu_error *error)
{
    if (pem.len > bytes_max) {
        *code = mu_error_set(error, MU_ELIMIT, "%s: larger than %zu KiB", what, bytes_max >> 10);
        return NULL;
    }
    if (pem.len == 0) {
        *code = mu_error_set(error, MU_EINVAL, "%s: empty", what);
        return NULL;
    }
    ERR_clear_error();
    BIO *bio = BIO_new_mem_buf(pem.data, (int)pem.len);
    if (bio == NULL)
        *code = mu_error_set(error, MU_ENOMEM, "%s: out of memory", what);
    return bio;
}

/* The oldest error is "no further block": the text is over. */
static bool text_over(void)
{
    unsigned long e = ERR_peek_error();
    return ERR_GET_LIB(e) == ERR_LIB_PEM && ERR_GET_REASON(e) == PEM_R_NO_START_LINE;
}

static int read_certs(BIO *bio, int count_max, const char *what, STACK_OF(X509) * certs,
                      struct mu_error *error)
{
    for (;;) {
        char name[64];
        int count = sk_X509_num(certs);
        X509 *cert = PEM_read_bio_X509(bio, NULL, no_password, NULL);
        if (cert == NULL && text_over())
            break;
        (void)snprintf(name, sizeof name, "%s: certificate %d", what, count + 1);
        if (cert == NULL)
            return mu_tls_openssl_error(error, MU_EINVAL, name);
        if (count == count_max) {
            X509_free(cert);
            return mu_error_set(error, MU_ELIMIT, "%s: more than %d certificates", what, count_max);
        }
        if (sk_X509_push(certs, cert) == 0) {
            X509_free(cert);
            return mu_tls_openssl_error(error, MU_ENOMEM, what);
        }
    }
    ERR_clear_error();
    if (sk_X509_num(certs) == 0)
        return mu_error_set(error, MU_EINVAL, "%s: no PEM block of a certificate", what);
    return 0;
}

int mu_tls_pem_certs(struct mu_str pem, size_t bytes_max, int count_max, const char *what,
                     STACK_OF(X509) * *out, struct mu_error *error)
{
    int r = 0;
    BIO *bio = open_text(pem, bytes_max, what, &r, error);
    if (bio == NULL)
        return r;
    STACK_OF(X509) *certs = sk_X509_new_null();
    r = certs == NULL ? mu_tls_openssl_error(error, MU_ENOMEM, what)
                      : read_certs(bio, count_max, what, certs, error);
    BIO_free(bio);
    if (r == 0)
        *out = certs;
    else
        sk_X509_pop_free(certs, X509_free);
    return r;
}

/* The queue says why no key was found. */
static int key_error(const char *what, struct mu_error *error)
{
    unsigned long e = ERR_peek_last_error();
    if (text_over()) {
        ERR_clear_error();
        return mu_error_set(error, MU_EINVAL, "%s: no PEM block of a private key", what);
    }
    if (ERR_GET_LIB(e) == ERR_LIB_PEM && ERR_GET_REASON(e) == PEM_R_BAD_PASSWORD_READ) {
        ERR_clear_error();
        return mu_error_set(error, MU_EINVAL, "%s: encrypted; expected a key without pass phrase",
                            what);
    }
    return mu_tls_openssl_error(error, MU_EINVAL, what);
}

int mu_tls_pem_key(struct mu_str pem, const char *what, EVP_PKEY **out, struct mu_error *error)
{
    int r = 0;
    char *kind = NULL;
    unsigned char *der = NULL;
    long len = 0;
    EVP_PKEY *key = NULL;
    BIO *bio = open_text(pem, MU_TLS_KEY_BYTES_MAX, what, &r, error);
    if (bio == NULL)
        return r;
    /* In two steps, and not by PEM_read_bio_PrivateKey, because this one wipes the bytes between
     * text and key. */
    if (PEM_bytes_read_bio_secmem(&der, &len, &kind, PEM_STRING_EVP_PKEY, bio, no_password, NULL) !=
        1) {
        r = key_error(what, error);
    } else if (strcmp(kind, PEM_STRING_PKCS8) == 0) {
        r = mu_error_set(error, MU_EINVAL, "%s: encrypted; expected a key without pass phrase",
                         what);
    } else {
        const unsigned char *at = der;
        MU_ASSERT(len >= 0);
        key = d2i_AutoPrivateKey(NULL, &at, len);
        if (key == NULL)
            r = mu_tls_openssl_error(error, MU_EINVAL, what);
    }
    OPENSSL_secure_free(kind);
    OPENSSL_secure_clear_free(der, (size_t)len);
    BIO_free(bio);
    ERR_clear_error();
    if (r == 0)
        *out = key;
    return r;
}
