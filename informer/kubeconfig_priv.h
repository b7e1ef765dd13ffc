#ifndef MU_INFORMER_KUBECONFIG_PRIV_H
#define MU_INFORMER_KUBECONFIG_PRIV_H
/* Shared by the two halves of kubeconfig: the value (kubeconfig.c) and reading YAML
 * (kubeconfig_yaml.c). */
#include "engine/base/arena.h"
#include "informer/kubeconfig.h"
#include "informer/secret.h"
#include "informer/server_url.h"

enum mu_credential {
    MU_CREDENTIAL_CA,
    MU_CREDENTIAL_CERT,
    MU_CREDENTIAL_KEY,
    MU_CREDENTIAL_TOKEN,
    MU_CREDENTIAL_COUNT
};
struct mu_credential_part {
    const char *path; /* where it is read from, again and again; NULL: value is for ever */
    struct mu_secret value;
};

struct mu_kubeconfig {
    struct mu_arena *arena;   /* paths and texts that are no secrets */
    struct mu_server_url url; /* its path is in the arena */
    struct mu_str server_name, ns;
    bool insecure;
    struct mu_credential_part parts[MU_CREDENTIAL_COUNT];
};

/* An empty value. Errors: NULL. */
struct mu_kubeconfig *mu_kubeconfig_new(void);
/* Take the address over. Errors: MU_ENOMEM. */
int mu_kubeconfig_set_url(struct mu_kubeconfig *config, const struct mu_server_url *url);
/* The part is what is in this file, from now on. Errors: those of mu_secret_read, MU_EINVAL (no
 * token), each with the path; the part is unchanged. */
int mu_credential_from_file(struct mu_kubeconfig *config, enum mu_credential which,
                            struct mu_str path, struct mu_error *error);
/* The part is this text for ever. Errors: MU_EINVAL (no token), MU_ENOMEM. */
int mu_credential_from_text(struct mu_kubeconfig *config, enum mu_credential which,
                            struct mu_str text, struct mu_error *error);

#endif
