#ifndef MU_TOOLS_KUBESIM_IDENTITY_H
#define MU_TOOLS_KUBESIM_IDENTITY_H
/*
 * Who muster-kubesim is over TLS: certificates that it makes for itself at start, with a kubeconfig
 * for those who are to use it, or certificates from files.
 *
 * The made ones live in memory and in the kubeconfig alone: each start makes new ones. Keys and the
 * token are wiped when they are freed.
 */
#include <stdint.h>
#include "engine/base/buf.h"
#include "engine/base/error.h"
#include "informer/tls.h"

struct mu_identity {
    struct mu_tls *tls;  /* the server's context */
    struct mu_buf ca;    /* PEM */
    struct mu_buf cert;  /* PEM: of the administrator, CN kubernetes-admin, O system:masters */
    struct mu_buf key;   /* PEM */
    struct mu_buf token; /* of the administrator too */
};

/* Make all of it, for a server that is reached at host (an address), 127.0.0.1, ::1 or localhost.
 * Errors: MU_ENOMEM, MU_EINVAL, MU_EIO, with *error; *out is then empty. */
int mu_identity_make(struct mu_str host, struct mu_identity *out, struct mu_error *error);
void mu_identity_fini(struct mu_identity *identity); /* zero-initialised is fine */

/* Write a kubeconfig for the server at host and port: two contexts, by certificate (current) and by
 * token. Mode 0600; written beside its place, then renamed into it. A host that means every
 * interface is written as the loopback address. Errors: MU_ENOMEM, MU_EIO, with *error. */
int mu_identity_write_kubeconfig(const struct mu_identity *identity, const char *path,
                                 const char *host, uint16_t port, struct mu_error *error);

/* The server's context from PEM files. Errors: those of mu_secret_read (the file named in *error)
 * and mu_tls_server_create (the input named); *out unchanged. */
int mu_identity_load(const char *cert_path, const char *key_path, const char *client_ca_path,
                     struct mu_tls **out, struct mu_error *error);

/* Write text to path whole or not at all, readable by its owner alone if `secret`. Errors: MU_EIO,
 * MU_ELIMIT (the path), with *error. */
int mu_write_in_place(const char *path, struct mu_str text, bool secret, struct mu_error *error);

#endif
