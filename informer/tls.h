#ifndef MU_INFORMER_TLS_H
#define MU_INFORMER_TLS_H
/*
 * TLS contexts: what one side of a connection trusts and how it shows who it is. TLS 1.2 or later,
 * ALPN "h2" and "http/1.1". A context is immutable and shared: reloading makes a new one, which the
 * HTTP module takes for new connections (mu_http_client_set_tls, mu_http_server_set_tls), while
 * connections that are up keep theirs until they end.
 *
 * PEM texts are hostile: sizes are capped before they are parsed, and an error names which of the
 * inputs is wrong and why ("client certificate: no PEM block", "client key: does not belong to the
 * certificate"). Key material is wiped when it is freed and never logged.
 */
#include <stdbool.h>
#include "engine/base/error.h"
#include "engine/base/str.h"

struct mu_tls; /* opaque; counted; any thread */

struct mu_tls_client_config {
    struct mu_str ca;          /* PEM bundle; empty: the system's store */
    struct mu_str cert, key;   /* PEM; both or neither */
    struct mu_str server_name; /* verified and sent as SNI; empty: the host that is connected to.
                                  An address is verified against the IP SANs and not sent */
    bool insecure;             /* do not verify the server: only when the user says so */
};
struct mu_tls_server_config {
    struct mu_str cert, key; /* PEM: chain, leaf first */
    struct mu_str client_ca; /* PEM bundle: client certificates are asked for, and a peer that shows
                                one is verified; empty: not asked for */
};

/* Texts are borrowed for the call. Owns: caller, one reference. Errors: MU_EINVAL (names the
 * input), MU_ELIMIT, MU_ENOMEM; *out unchanged. Thread: any. */
int mu_tls_client_create(const struct mu_tls_client_config *config, struct mu_tls **out,
                         struct mu_error *error);
int mu_tls_server_create(const struct mu_tls_server_config *config, struct mu_tls **out,
                         struct mu_error *error);
struct mu_tls *mu_tls_ref(struct mu_tls *tls);
void mu_tls_unref(struct mu_tls *tls); /* NULL is fine */

/* Who the peer of a connection is, from its verified certificate: Kubernetes takes the subject's
 * CN as the user and each O as a group. Who has no CN, control characters in a name, or more than
 * these groups, is nobody. Views, valid as long as the connection. */
#define MU_TLS_GROUPS_MAX 8u
struct mu_tls_peer {
    struct mu_str name;
    struct mu_str groups[MU_TLS_GROUPS_MAX];
    uint32_t group_count;
};

#endif
