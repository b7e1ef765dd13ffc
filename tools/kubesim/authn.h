#ifndef MU_TOOLS_KUBESIM_AUTHN_H
#define MU_TOOLS_KUBESIM_AUTHN_H
/*
 * Who sends a request: a verified client certificate, the administrator's token, or a token of a
 * ServiceAccount. Whoever is known may do everything: there are no roles here. Nobody else may do
 * anything, save ask whether the server is well.
 *
 * Tokens of ServiceAccounts are opaque: `ksa-<number>-<secret>`, the number naming a record and the
 * secret compared in constant time. A record says whose token it is, for whom (audiences), until
 * when, and to which pod it is bound. It is good as long as the account and the pod are the ones
 * that it was made for: deleting either ends it. Records are few and bounded; the one that would
 * end first makes room.
 */
#include "engine/base/str.h"
#include "informer/secret.h"
#include "informer/tls.h"
#include "tools/kubesim/limits.h"

#define MU_USER_GROUPS (MU_TLS_GROUPS_MAX + 3u)

/* Texts live as long as the call. */
struct mu_user {
    struct mu_str name;
    struct mu_str uid;
    struct mu_str groups[MU_USER_GROUPS];
    uint32_t group_count;
};

/* What this server calls itself in tokens. */
#define MU_TOKEN_AUDIENCE "https://kubernetes.default.svc.cluster.local"

struct mu_token {
    struct mu_secret text; /* empty: the record is free */
    char ns[64], account[254], uid[64];
    char pod[254], pod_uid[64]; /* "": not bound to a pod */
    char audiences[MU_KUBESIM_AUDIENCES_MAX][256];
    uint32_t audience_count;
    uint64_t expires_ns;
};
struct mu_tokens {
    struct mu_token *list;
    uint32_t count, cap;
};

struct mu_call;
struct mu_apiserver;
/* Fill call->user. 401 when nobody is known by what the request shows. */
int mu_api_authenticate(struct mu_call *call);
/* Whose token this is, for one of the audiences (none: this server's). False: nobody's, expired,
 * revoked or for others. Texts live in the arena or the table. */
bool mu_token_user(struct mu_call *call, struct mu_str token, const struct mu_str *audiences,
                   uint32_t audience_count, struct mu_user *out);
/* Record a token for what `wanted` says (its text is ignored); *text is borrowed until the next
 * change of the table. Errors: MU_ENOMEM, MU_EIO; nothing changed. */
int mu_token_issue(struct mu_apiserver *server, const struct mu_token *wanted, uint64_t now_ns,
                   struct mu_str *text);
void mu_tokens_fini(struct mu_tokens *tokens);

#endif
