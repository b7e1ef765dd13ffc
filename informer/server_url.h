#ifndef MU_INFORMER_SERVER_URL_H
#define MU_INFORMER_SERVER_URL_H
/* The address of an API server: http[s]://HOST[:PORT][/PATH], as in flags and kubeconfigs. */
#include "engine/base/error.h"
#include "engine/base/str.h"

#define MU_HOST_BYTES_MAX 255u

struct mu_server_url {
    bool tls;                         /* https */
    uint16_t port;                    /* 443 and 80 filled in */
    char host[MU_HOST_BYTES_MAX + 1]; /* name or address, without brackets */
    struct mu_str path; /* put before every request's path (a proxy's "/k8s/clusters/c-1"): begins
                           with a '/' and does not end with one; empty: none. Part of the text */
};

/* Refused: other schemes, user information, queries, fragments, bytes that no URL has. Errors:
 * MU_EINVAL with what was expected; *out unchanged. Cost: O(bytes). */
int mu_server_url_parse(struct mu_str text, struct mu_server_url *out, struct mu_error *error);

#endif
