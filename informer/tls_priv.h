#ifndef MU_INFORMER_TLS_PRIV_H
#define MU_INFORMER_TLS_PRIV_H
/* The inside of TLS contexts, for tls*.c: the only files, beside pki*.c, that know OpenSSL. */
#include <openssl/ssl.h>
#include <stdatomic.h>
#include "informer/limits.h"
#include "informer/tls.h"

struct mu_tls {
    atomic_uint refs; /* ref: relaxed; unref: release, its last one acquires */
    SSL_CTX *context;
    BIO_METHOD *bio; /* of all sessions of this context */
    bool server;
    bool verify;                    /* of a client: the server's certificate and name */
    bool has_cert;                  /* we can say who we are */
    char name[MU_TLS_NAME_MAX + 1]; /* a client's server_name; empty: the host */
};

/* tls_pem.c. `what` names the input in errors: "CA bundle". */
/* All certificates of a PEM text, at least one. Owns: caller. Errors: MU_EINVAL, MU_ELIMIT (bytes
 * or count), MU_ENOMEM; *out unchanged. */
int mu_tls_pem_certs(struct mu_str pem, size_t bytes_max, int count_max, const char *what,
                     STACK_OF(X509) * *out, struct mu_error *error);
/* The first private key of a PEM text; encrypted ones are refused. Owns and errors as above. */
int mu_tls_pem_key(struct mu_str pem, const char *what, EVP_PKEY **out, struct mu_error *error);
/* Set *error from OpenSSL's oldest error and empty its queue. Returns MU_ENOMEM when that is it,
 * else `code`. */
int mu_tls_openssl_error(struct mu_error *error, int code, const char *what);

/* tls_session.c */
/* NULL: out of memory. */
BIO_METHOD *mu_tls_bio_new(void);

#endif
