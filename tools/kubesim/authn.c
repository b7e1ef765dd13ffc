#include "tools/kubesim/authn.h"

#include <inttypes.h>
#include <stdio.h>
#include <strings.h>
#include "engine/base/assert.h"
#include "engine/base/mem.h"
#include "informer/pki.h"
#include "tools/kubesim/api_priv.h"

#define PREFIX "ksa-"

/* Equal without telling by its time where two texts of one length differ. */
static bool same_secret(struct mu_str a, struct mu_str b)
{
    if (a.len != b.len || a.len == 0) {
        return false;
    }
    unsigned difference = 0;
    for (uint32_t i = 0; i < a.len; i++) {
        difference |= (unsigned char)a.data[i] ^ (unsigned char)b.data[i];
    }
    return difference == 0;
}

/* ---- users -------------------------------------------------------------------------------- */

static void add_group(struct mu_user *user, struct mu_str group)
{
    MU_ASSERT(user->group_count < MU_USER_GROUPS);
    user->groups[user->group_count++] = group;
}

static struct mu_user administrator(void)
{
    struct mu_user user = {.name = MU_STR("kubernetes-admin")};
    add_group(&user, MU_STR("system:masters"));
    add_group(&user, MU_STR("system:authenticated"));
    return user;
}

static struct mu_user certificate_user(const struct mu_tls_peer *peer)
{
    struct mu_user user = {.name = peer->name};
    MU_ASSERT(peer->group_count <= MU_TLS_GROUPS_MAX);
    for (uint32_t i = 0; i < peer->group_count; i++) {
        add_group(&user, peer->groups[i]);
    }
    add_group(&user, MU_STR("system:authenticated"));
    return user;
}

/* ---- tokens of service accounts ----------------------------------------------------------- */

/* The object is there and is the one of that UID. */
static bool alive(const struct mu_apiserver *server, enum mu_kind_ix kind, const char *ns,
                  const char *name, const char *uid)
{
    const struct mu_kobject *object =
        mu_store_get(server->store, kind, mu_str_of(ns), mu_str_of(name));
    return object != NULL && mu_str_equal(mu_kobject_uid(object), mu_str_of(uid));
}

static bool good(const struct mu_apiserver *server, const struct mu_token *token, uint64_t now_ns)
{
    return token->text.len > 0 && token->expires_ns > now_ns &&
           alive(server, MU_KIND_SERVICEACCOUNTS, token->ns, token->account, token->uid) &&
           (token->pod[0] == '\0' ||
            alive(server, MU_KIND_PODS, token->ns, token->pod, token->pod_uid));
}

static bool has_audience(const struct mu_token *token, struct mu_str audience)
{
    for (uint32_t i = 0; i < token->audience_count; i++) {
        if (mu_str_equal(mu_str_of(token->audiences[i]), audience)) {
            return true;
        }
    }
    return false;
}

/* The record that the text names and proves to know, or NULL. */
static const struct mu_token *find(const struct mu_tokens *tokens, struct mu_str text)
{
    struct mu_str number = {text.data, 0};
    uint64_t at = 0;
    if (!mu_str_starts_with(text, MU_STR(PREFIX))) {
        return NULL;
    }
    number.data += sizeof PREFIX - 1;
    while (sizeof PREFIX - 1 + number.len < text.len && number.data[number.len] != '-') {
        number.len++;
    }
    if (!mu_str_to_u64(number, &at) || at >= tokens->count ||
        !same_secret(text, mu_secret_str(&tokens->list[at].text))) {
        return NULL;
    }
    return &tokens->list[at];
}

bool mu_token_user(struct mu_call *call, struct mu_str text, const struct mu_str *audiences,
                   uint32_t audience_count, struct mu_user *out)
{
    struct mu_apiserver *server = call->server;
    static const struct mu_str own = {MU_TOKEN_AUDIENCE, sizeof MU_TOKEN_AUDIENCE - 1};
    audiences = audience_count == 0 ? &own : audiences;
    audience_count = audience_count == 0 ? 1 : audience_count;
    bool wanted = false;
    for (uint32_t i = 0; i < audience_count; i++) {
        wanted |= mu_str_equal(audiences[i], own);
    }
    if (wanted && same_secret(text, server->config.admin_token)) {
        *out = administrator();
        return true;
    }
    const struct mu_token *token = find(&server->tokens, text);
    wanted = false;
    for (uint32_t i = 0; token != NULL && i < audience_count; i++) {
        wanted |= has_audience(token, audiences[i]);
    }
    if (!wanted || !good(server, token, call->now_ns)) {
        return false;
    }
    const char *name =
        mu_api_print(server, "system:serviceaccount:%s:%s", token->ns, token->account);
    const char *group = mu_api_print(server, "system:serviceaccounts:%s", token->ns);
    *out = (struct mu_user){.name = mu_str_of(name), .uid = mu_str_of(token->uid)};
    add_group(out, MU_STR("system:serviceaccounts"));
    add_group(out, mu_str_of(group));
    add_group(out, MU_STR("system:authenticated"));
    return !server->arena_full;
}

/* A record to write: a free one, a new one, or the one whose token ends first. */
static int take_record(struct mu_apiserver *server, uint64_t now_ns, uint32_t *out)
{
    struct mu_tokens *tokens = &server->tokens;
    uint32_t first = 0;
    for (uint32_t i = 0; i < tokens->count; i++) {
        if (!good(server, &tokens->list[i], now_ns)) {
            *out = i;
            return 0;
        }
        first = tokens->list[i].expires_ns < tokens->list[first].expires_ns ? i : first;
    }
    *out = first;
    if (tokens->count == MU_KUBESIM_TOKENS_MAX) {
        return 0;
    }
    int code = mu_mem_grow((void **)&tokens->list, &tokens->cap, tokens->count + 1,
                           MU_KUBESIM_TOKENS_MAX, sizeof tokens->list[0]);
    if (code == 0) {
        *out = tokens->count;
        tokens->list[tokens->count++] = (struct mu_token){.audience_count = 0};
    }
    return code;
}

/* 256 bits in hexadecimal: the system's where anybody is asked who they are, else the seed's, so
 * that simulations repeat. */
static int append_secret(struct mu_apiserver *server, struct mu_buf *out)
{
    if (server->config.authenticate) {
        return mu_pki_token(out);
    }
    for (int i = 0; i < 4; i++) {
        (void)mu_buf_printf(out, "%016" PRIx64, mu_random_u64(&server->random));
    }
    return out->failed;
}

int mu_token_issue(struct mu_apiserver *server, const struct mu_token *wanted, uint64_t now_ns,
                   struct mu_str *text)
{
    uint32_t at = 0;
    struct mu_secret secret = {0};
    struct mu_buf buf = {0};
    int code = mu_buf_reserve(&buf, 128); /* so that the secret never moves */
    if (code == 0) {
        code = take_record(server, now_ns, &at);
    }
    if (code == 0) {
        code = mu_buf_printf(&buf, PREFIX "%" PRIu32 "-", at);
    }
    if (code == 0) {
        code = append_secret(server, &buf);
    }
    if (code == 0) {
        code = mu_secret_copy((struct mu_str){(const char *)buf.data, (uint32_t)buf.len}, &secret);
    }
    mu_pki_wipe(&buf);
    if (code != 0) {
        return code;
    }
    struct mu_token *token = &server->tokens.list[at];
    mu_secret_fini(&token->text);
    *token = *wanted;
    token->text = secret;
    *text = mu_secret_str(&token->text);
    return 0;
}

void mu_tokens_fini(struct mu_tokens *tokens)
{
    for (uint32_t i = 0; i < tokens->count; i++) {
        mu_secret_fini(&tokens->list[i].text);
    }
    mu_mem_free(tokens->list);
    *tokens = (struct mu_tokens){0};
}

/* ---- requests ----------------------------------------------------------------------------- */

/* What follows "Bearer ", whose case does not matter; empty when there is none. */
static struct mu_str bearer(struct mu_str header)
{
    static const char scheme[] = "bearer ";
    struct mu_str none = {NULL, 0};
    if (header.len < sizeof scheme || strncasecmp(header.data, scheme, sizeof scheme - 1) != 0) {
        return none;
    }
    header.data += sizeof scheme - 1;
    header.len -= (uint32_t)sizeof scheme - 1;
    while (header.len > 0 && header.data[0] == ' ') {
        header.data++;
        header.len--;
    }
    return header;
}

int mu_api_authenticate(struct mu_call *call)
{
    const struct mu_api_request *request = call->request;
    struct mu_str token = bearer(request->authorization);
    if (!call->server->config.authenticate) {
        call->user = administrator();
        return 0;
    }
    if (request->peer != NULL && request->peer->name.len > 0) {
        call->user = certificate_user(request->peer);
        return 0;
    }
    if (token.len > 0 && mu_token_user(call, token, NULL, 0, &call->user)) {
        return 0;
    }
    return mu_api_fail(call, 401, "Unauthorized", "Unauthorized");
}
