/*
 * Requests that are answered by rules and leave nothing behind: access reviews, token reviews, who
 * am I, and tokens for service accounts. The rule of access is short: whoever is known may do
 * everything, system:anonymous nothing.
 */
#include "tools/kubesim/api_priv.h"

#include <inttypes.h>
#include <stdio.h>
#include "engine/base/assert.h"
#include "engine/base/clock.h"
#include "engine/base/mem.h"
#include "tools/kubesim/schema/authentication.pb-c.h"
#include "tools/kubesim/schema/authorization.pb-c.h"

#define TOKEN_S_DEFAULT 3600
#define TOKEN_S_MIN     600
#define TOKEN_S_MAX     (INT64_C(1) << 32)

static bool empty(const char *text)
{
    return text == NULL || text[0] == '\0';
}

static int respond(struct mu_call *call, const ProtobufCMessage *message)
{
    const struct mu_kind *kind = &mu_kinds[call->route.kind];
    return call->server->arena_full
               ? mu_api_internal(call, MU_ENOMEM)
               : mu_api_respond_message(call, 201, kind->api_version, kind->kind, message);
}

static char *text(struct mu_call *call, const char *s)
{
    return mu_api_text(call->server, mu_str_of(s));
}

static void add_text(struct mu_call *call, char ***list, size_t *count, struct mu_str s)
{
    (void)mu_api_push(call->server, list, count, mu_api_text(call->server, s));
}

/* ---- access ------------------------------------------------------------------------------- */

/* Exactly one of the two says what access is to. */
static int check_attributes(struct mu_call *call, bool resource, bool path)
{
    if (resource == path) {
        return mu_api_invalid(call, "spec",
                              resource ? "Invalid value: cannot specify nonResourceAttributes and "
                                         "resourceAttributes"
                                       : "Invalid value: exactly one of nonResourceAttributes or "
                                         "resourceAttributes must be specified");
    }
    return 0;
}

static Kubeapi__SubjectAccessReviewStatus *access_status(struct mu_call *call, bool allowed)
{
    Kubeapi__SubjectAccessReviewStatus *status = (Kubeapi__SubjectAccessReviewStatus *)mu_api_new(
        call->server, &kubeapi__subject_access_review_status__descriptor);
    if (status != NULL) {
        status->has_allowed = 1;
        status->allowed = allowed;
        status->reason = text(call, allowed ? "whoever is known may do everything here"
                                            : "unknown users may do nothing");
    }
    return status;
}

static int review_self(struct mu_call *call, ProtobufCMessage *message)
{
    Kubeapi__SelfSubjectAccessReview *review = (Kubeapi__SelfSubjectAccessReview *)message;
    const Kubeapi__SelfSubjectAccessReviewSpec *spec = review->spec;
    int code = check_attributes(call, spec != NULL && spec->resourceattributes != NULL,
                                spec != NULL && spec->nonresourceattributes != NULL);
    if (code != 0) {
        return code;
    }
    review->status = access_status(call, true); /* who asks is known */
    return respond(call, message);
}

static bool is_known(const Kubeapi__SubjectAccessReviewSpec *spec)
{
    bool known = spec->user == NULL || strcmp(spec->user, "system:anonymous") != 0;
    for (size_t i = 0; i < spec->n_groups; i++) {
        known &= strcmp(spec->groups[i], "system:unauthenticated") != 0;
    }
    return known;
}

/* SubjectAccessReview, and the local one, which is the same inside a namespace. */
static int review_subject(struct mu_call *call, ProtobufCMessage *message,
                          const Kubeapi__SubjectAccessReviewSpec *spec,
                          Kubeapi__SubjectAccessReviewStatus **status)
{
    int code = check_attributes(call, spec != NULL && spec->resourceattributes != NULL,
                                spec != NULL && spec->nonresourceattributes != NULL);
    if (code != 0) {
        return code;
    }
    MU_ASSERT(spec != NULL);
    if (empty(spec->user) && spec->n_groups == 0) {
        return mu_api_invalid(call, "spec.user",
                              "Invalid value: \"\": at least one of user or group must be "
                              "specified");
    }
    *status = access_status(call, is_known(spec));
    return respond(call, message);
}

static int review_local(struct mu_call *call, ProtobufCMessage *message)
{
    Kubeapi__LocalSubjectAccessReview *review = (Kubeapi__LocalSubjectAccessReview *)message;
    const Kubeapi__SubjectAccessReviewSpec *spec = review->spec;
    const Kubeapi__ResourceAttributes *of = spec == NULL ? NULL : spec->resourceattributes;
    if (spec != NULL && spec->nonresourceattributes != NULL) {
        return mu_api_invalid(call, "spec.nonResourceAttributes",
                              "Invalid value: disallowed on this kind of request");
    }
    if (of != NULL && !mu_str_equal(mu_str_of(of->namespace_), call->route.ns)) {
        return mu_api_invalid(call, "spec.resourceAttributes.namespace",
                              "Invalid value: \"%.80s\": must match metadata.namespace",
                              empty(of->namespace_) ? "" : of->namespace_);
    }
    return review_subject(call, message, spec, &review->status);
}

static int review_rules(struct mu_call *call, ProtobufCMessage *message)
{
    struct mu_apiserver *server = call->server;
    Kubeapi__SelfSubjectRulesReview *review = (Kubeapi__SelfSubjectRulesReview *)message;
    if (review->spec == NULL || empty(review->spec->namespace_)) {
        return mu_api_fail(call, 400, "BadRequest", "no namespace on request");
    }
    Kubeapi__SubjectRulesReviewStatus *status = (Kubeapi__SubjectRulesReviewStatus *)mu_api_new(
        server, &kubeapi__subject_rules_review_status__descriptor);
    Kubeapi__ResourceRule *objects =
        (Kubeapi__ResourceRule *)mu_api_new(server, &kubeapi__resource_rule__descriptor);
    Kubeapi__NonResourceRule *paths =
        (Kubeapi__NonResourceRule *)mu_api_new(server, &kubeapi__non_resource_rule__descriptor);
    if (status == NULL || objects == NULL || paths == NULL) {
        return mu_api_internal(call, MU_ENOMEM);
    }
    add_text(call, &objects->verbs, &objects->n_verbs, MU_STR("*"));
    add_text(call, &objects->apigroups, &objects->n_apigroups, MU_STR("*"));
    add_text(call, &objects->resources, &objects->n_resources, MU_STR("*"));
    add_text(call, &paths->verbs, &paths->n_verbs, MU_STR("*"));
    add_text(call, &paths->nonresourceurls, &paths->n_nonresourceurls, MU_STR("*"));
    (void)mu_api_push(server, &status->resourcerules, &status->n_resourcerules, objects);
    (void)mu_api_push(server, &status->nonresourcerules, &status->n_nonresourcerules, paths);
    status->has_incomplete = 1;
    review->status = status;
    return respond(call, message);
}

/* ---- identity ----------------------------------------------------------------------------- */

static Kubeapi__UserInfo *user_info(struct mu_call *call, const struct mu_user *user)
{
    struct mu_apiserver *server = call->server;
    Kubeapi__UserInfo *info =
        (Kubeapi__UserInfo *)mu_api_new(server, &kubeapi__user_info__descriptor);
    if (info != NULL) {
        info->username = mu_api_text(server, user->name);
        info->uid = user->uid.len == 0 ? NULL : mu_api_text(server, user->uid);
        for (uint32_t i = 0; i < user->group_count; i++) {
            add_text(call, &info->groups, &info->n_groups, user->groups[i]);
        }
    }
    return info;
}

static int review_own_name(struct mu_call *call, ProtobufCMessage *message)
{
    Kubeapi__SelfSubjectReview *review = (Kubeapi__SelfSubjectReview *)message;
    review->status = (Kubeapi__SelfSubjectReviewStatus *)mu_api_new(
        call->server, &kubeapi__self_subject_review_status__descriptor);
    if (review->status != NULL) {
        review->status->userinfo = user_info(call, &call->user);
    }
    return respond(call, message);
}

static int review_token(struct mu_call *call, ProtobufCMessage *message)
{
    struct mu_apiserver *server = call->server;
    Kubeapi__TokenReview *review = (Kubeapi__TokenReview *)message;
    const Kubeapi__TokenReviewSpec *spec = review->spec;
    struct mu_str audiences[MU_KUBESIM_AUDIENCES_MAX];
    if (spec == NULL || empty(spec->token)) {
        return mu_api_fail(call, 400, "BadRequest",
                           "token is required for TokenReview in authentication");
    }
    if (spec->n_audiences > MU_KUBESIM_AUDIENCES_MAX) {
        return mu_api_invalid(call, "spec.audiences", "Too many: must have at most %u items",
                              MU_KUBESIM_AUDIENCES_MAX);
    }
    Kubeapi__TokenReviewStatus *status =
        (Kubeapi__TokenReviewStatus *)mu_api_new(server, &kubeapi__token_review_status__descriptor);
    if (status == NULL) {
        return mu_api_internal(call, MU_ENOMEM);
    }
    for (size_t i = 0; i < spec->n_audiences; i++) {
        audiences[i] = mu_str_of(spec->audiences[i]);
    }
    struct mu_user user;
    if (mu_token_user(call, mu_str_of(spec->token), audiences, (uint32_t)spec->n_audiences,
                      &user)) {
        status->has_authenticated = 1;
        status->authenticated = 1;
        status->user = user_info(call, &user);
        status->n_audiences = spec->n_audiences;
        status->audiences = spec->audiences;
        if (spec->n_audiences == 0) {
            add_text(call, &status->audiences, &status->n_audiences, MU_STR(MU_TOKEN_AUDIENCE));
        }
    } else {
        status->error = text(call, "invalid bearer token");
    }
    review->status = status;
    return respond(call, message);
}

/* ---- which review ------------------------------------------------------------------------- */

int mu_api_review(struct mu_call *call)
{
    const struct mu_kind *kind = &mu_kinds[call->route.kind];
    const char *const versions[] = {kind->api_version, NULL};
    ProtobufCMessage *message = NULL;
    int code = mu_api_body(call, kind->descriptor, versions, kind->kind, &message);
    if (code != 0) {
        return code;
    }
    switch (call->route.kind) {
    case MU_KIND_SELFSUBJECTACCESSREVIEWS:
        return review_self(call, message);
    case MU_KIND_SUBJECTACCESSREVIEWS:
        return review_subject(call, message, ((Kubeapi__SubjectAccessReview *)message)->spec,
                              &((Kubeapi__SubjectAccessReview *)message)->status);
    case MU_KIND_LOCALSUBJECTACCESSREVIEWS:
        return review_local(call, message);
    case MU_KIND_SELFSUBJECTRULESREVIEWS:
        return review_rules(call, message);
    case MU_KIND_SELFSUBJECTREVIEWS:
        return review_own_name(call, message);
    default:
        MU_ASSERT(call->route.kind == MU_KIND_TOKENREVIEWS);
        return review_token(call, message);
    }
}

/* ---- tokens for service accounts ---------------------------------------------------------- */

static int token_audiences(struct mu_call *call, const Kubeapi__TokenRequestSpec *spec,
                           struct mu_token *token)
{
    size_t count = spec == NULL ? 0 : spec->n_audiences;
    if (count > MU_KUBESIM_AUDIENCES_MAX) {
        return mu_api_invalid(call, "spec.audiences", "Too many: must have at most %u items",
                              MU_KUBESIM_AUDIENCES_MAX);
    }
    for (size_t i = 0; i < count; i++) {
        if (strlen(spec->audiences[i]) >= sizeof token->audiences[0]) {
            return mu_api_invalid(call, "spec.audiences",
                                  "Too long: may not be more than %zu bytes",
                                  sizeof token->audiences[0] - 1);
        }
        (void)snprintf(token->audiences[i], sizeof token->audiences[i], "%s", spec->audiences[i]);
    }
    if (count == 0) {
        (void)snprintf(token->audiences[0], sizeof token->audiences[0], "%s", MU_TOKEN_AUDIENCE);
    }
    token->audience_count = count == 0 ? 1 : (uint32_t)count;
    return 0;
}

/* A token bound to a pod ends with it. */
static int token_pod(struct mu_call *call, const Kubeapi__BoundObjectReference *ref,
                     struct mu_token *token)
{
    if (ref == NULL) {
        return 0;
    }
    if (empty(ref->kind) || strcmp(ref->kind, "Pod") != 0) {
        return mu_api_invalid(call, "spec.boundObjectRef.kind",
                              "Unsupported value: \"%.40s\": supported values: \"Pod\"",
                              empty(ref->kind) ? "" : ref->kind);
    }
    const struct mu_kobject *pod =
        mu_store_get(call->server->store, MU_KIND_PODS, call->route.ns, mu_str_of(ref->name));
    if (pod == NULL) {
        return mu_api_fail(call, 404, "NotFound", "pods \"%.253s\" not found",
                           empty(ref->name) ? "" : ref->name);
    }
    struct mu_str uid = mu_kobject_uid(pod);
    if (!empty(ref->uid) && !mu_str_equal(mu_str_of(ref->uid), uid)) {
        return mu_api_fail(call, 409, "Conflict",
                           "Operation cannot be fulfilled on pods \"%.253s\": the UID in the "
                           "bound object reference (%.80s) does not match the UID in record",
                           ref->name, ref->uid);
    }
    (void)snprintf(token->pod, sizeof token->pod, "%s", ref->name);
    (void)snprintf(token->pod_uid, sizeof token->pod_uid, "%.*s", MU_STR_ARGS(uid));
    return 0;
}

static int token_time(struct mu_call *call, const Kubeapi__TokenRequestSpec *spec, int64_t *seconds)
{
    *seconds =
        spec != NULL && spec->has_expirationseconds ? spec->expirationseconds : TOKEN_S_DEFAULT;
    if (*seconds < TOKEN_S_MIN) {
        return mu_api_invalid(call, "spec.expirationSeconds",
                              "Invalid value: %" PRId64
                              ": may not specify a duration less than 10 minutes",
                              *seconds);
    }
    if (*seconds > TOKEN_S_MAX) {
        return mu_api_invalid(call, "spec.expirationSeconds",
                              "Invalid value: %" PRId64
                              ": may not specify a duration larger than 2^32 seconds",
                              *seconds);
    }
    return 0;
}

static int answer_token(struct mu_call *call, Kubeapi__TokenRequest *request, struct mu_str secret,
                        int64_t seconds)
{
    struct mu_apiserver *server = call->server;
    Kubeapi__TokenRequestStatus *status = (Kubeapi__TokenRequestStatus *)mu_api_new(
        server, &kubeapi__token_request_status__descriptor);
    Kubeapi__Time *until = (Kubeapi__Time *)mu_api_new(server, &kubeapi__time__descriptor);
    if (status != NULL && until != NULL) {
        uint64_t wall_ns = server->config.wall_base_ns + call->now_ns;
        until->has_seconds = 1;
        until->seconds = (int64_t)(wall_ns / MU_NS_PER_S) + seconds;
        status->token = mu_api_text(server, secret);
        status->expirationtimestamp = until;
        request->status = status;
    }
    return server->arena_full ? mu_api_internal(call, MU_ENOMEM)
                              : mu_api_respond_message(call, 201, "authentication.k8s.io/v1",
                                                       "TokenRequest", &request->base);
}

int mu_api_token(struct mu_call *call)
{
    static const char *const versions[] = {"authentication.k8s.io/v1", NULL};
    ProtobufCMessage *body = NULL;
    int code =
        mu_api_body(call, &kubeapi__token_request__descriptor, versions, "TokenRequest", &body);
    if (code != 0) {
        return code;
    }
    Kubeapi__TokenRequest *request = (Kubeapi__TokenRequest *)body;
    const Kubeapi__TokenRequestSpec *spec = request->spec;
    const struct mu_kobject *account = mu_store_get(call->server->store, MU_KIND_SERVICEACCOUNTS,
                                                    call->route.ns, call->route.name);
    if (account == NULL) {
        return mu_api_not_found(call);
    }
    struct mu_token token = {.audience_count = 0};
    int64_t seconds = 0;
    (void)snprintf(token.ns, sizeof token.ns, "%.*s", MU_STR_ARGS(mu_kobject_ns(account)));
    (void)snprintf(token.account, sizeof token.account, "%.*s",
                   MU_STR_ARGS(mu_kobject_name(account)));
    (void)snprintf(token.uid, sizeof token.uid, "%.*s", MU_STR_ARGS(mu_kobject_uid(account)));
    code = token_time(call, spec, &seconds);
    code = code != 0 ? code : token_audiences(call, spec, &token);
    code = code != 0 ? code : token_pod(call, spec == NULL ? NULL : spec->boundobjectref, &token);
    if (code != 0) {
        return code;
    }
    token.expires_ns = call->now_ns + (uint64_t)seconds * MU_NS_PER_S;
    struct mu_str secret = {NULL, 0};
    code = call->dry_run ? 0 : mu_token_issue(call->server, &token, call->now_ns, &secret);
    return code != 0 ? mu_api_internal(call, code) : answer_token(call, request, secret, seconds);
}
