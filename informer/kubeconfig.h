#ifndef MU_INFORMER_KUBECONFIG_H
#define MU_INFORMER_KUBECONFIG_H
/*
 * kubeconfig files (kubernetes-wire §6.2), and the credentials that a service account's pod finds
 * in its file system (§6.1), as one value: where the server is, whom to trust, who we are.
 *
 * Inline data wins over a file; paths are relative to the kubeconfig's folder; tokenFile wins over
 * token. What this reader does not do (exec plugins, proxies, passwords, impersonation) is refused
 * by name where the chosen context uses it, never ignored; other users and clusters of the file do
 * not matter. Credentials for a server of http:// are refused: they would travel in the clear.
 * Every error is one line: file, line, what was expected; none quotes a secret.
 */
#include <stdbool.h>
#include <stdint.h>
#include "engine/base/error.h"
#include "engine/base/str.h"

struct mu_kubeconfig; /* opaque; one thread */

/* What a context says, files read. Views, valid until the next reload or destroy. */
struct mu_kubeconfig_view {
    bool tls;                  /* https */
    struct mu_str host;        /* without brackets */
    uint16_t port;             /* 443 and 80 filled in */
    struct mu_str path;        /* before the path of every request; empty: none (server_url.h) */
    struct mu_str ca;          /* PEM; empty: the system's store */
    struct mu_str cert;        /* PEM; empty: none */
    struct mu_str key;         /* PEM */
    struct mu_str token;       /* without white space at its ends; empty: none */
    struct mu_str server_name; /* tls-server-name; empty: host */
    bool insecure;
    struct mu_str ns; /* the context's namespace; empty: none */
    bool may_change;  /* something came from a file: worth a reload now and then, and on 401 */
};

/* Read `path` and resolve `context` (NULL: current-context). Owns: caller, until destroy. Errors:
 * MU_EINVAL, MU_ELIMIT (informer/limits.h), MU_ENOMEM, those of informer/secret.h; *out
 * unchanged. */
int mu_kubeconfig_load(const char *path, const char *context, struct mu_kubeconfig **out,
                       struct mu_error *error);
/* The same from several files, joined by ':' as in $KUBECONFIG: the first to define a name, or the
 * current context, wins; files that are not there are skipped, but one must be. */
int mu_kubeconfig_load_list(const char *list, const char *context, struct mu_kubeconfig **out,
                            struct mu_error *error);
/* The same from text; relative paths are relative to `folder`. `name` stands for it in errors. */
int mu_kubeconfig_parse(struct mu_str text, const char *name, const char *folder,
                        const char *context, struct mu_kubeconfig **out, struct mu_error *error);
/* In a pod: the environment's address, the token and CA under `folder` (NULL: the usual one). */
int mu_kubeconfig_in_cluster(const char *folder, struct mu_kubeconfig **out,
                             struct mu_error *error);
/* A server of http://, as given by hand: nothing to trust, nobody to be. Errors: MU_ENOMEM. */
int mu_kubeconfig_cleartext(const char *host, uint16_t port, struct mu_kubeconfig **out);
void mu_kubeconfig_destroy(struct mu_kubeconfig *config); /* wipes secrets; NULL is fine */
struct mu_kubeconfig_view mu_kubeconfig_view(const struct mu_kubeconfig *config);

/* Read the files again (not the kubeconfig itself). Returns 1 when certificates or CA have changed
 * (the token may have, too), 2 when only the token has, 0 when nothing has; on an error the old
 * values stay, all of them. Blocks for as long as reading a few small files takes. */
int mu_kubeconfig_reload(struct mu_kubeconfig *config, struct mu_error *error);

#endif
