/*
 * Evictions (policy/v1): a delete that asks the disruption budgets first (kubernetes-wire 5.2 of
 * the project's notes). The budget pays before the pod goes: should the pod's removal fail after
 * that, the disruption controller gives the disruption back when the pod is still there two minutes
 * on.
 */
#include "tools/kubesim/api_priv.h"

#include <stdio.h>
#include "engine/base/assert.h"
#include "informer/proto/policy.pb-c.h"
#include "tools/kubesim/budgets.h"
#include "tools/kubesim/limits.h"

#define REFUSED "Cannot evict pod as it would violate the pod's disruption budget."

static bool is(const char *text, const char *word)
{
    return text != NULL && strcmp(text, word) == 0;
}

/* ---- budgets ------------------------------------------------------------------------------ */

struct search {
    const struct mu_kobject *pod;
    struct mu_kobject *budget; /* the first that selects it, borrowed */
    uint32_t count;
};

static int add_budget(void *context, struct mu_kobject *budget)
{
    struct search *search = context;
    if (mu_budget_selects(budget, search->pod)) {
        search->budget = search->count++ == 0 ? budget : search->budget;
    }
    return 0;
}

/* True when the pod's going disrupts nothing: it does not run, or is on its way out. */
static bool is_idle(const Kube__Pod *pod)
{
    const char *phase = pod->status == NULL ? NULL : pod->status->phase;
    return pod->metadata->deletiontimestamp != NULL || is(phase, "Pending") ||
           is(phase, "Succeeded") || is(phase, "Failed");
}

/* An unready pod may go when its budget says so, or while the healthy ones are enough. */
static bool may_go_unready(const Kube__PodDisruptionBudget *budget)
{
    const Kube__PodDisruptionBudgetStatus *status = budget->status;
    if (is(budget->spec->unhealthypodevictionpolicy, "AlwaysAllow")) {
        return true;
    }
    return status != NULL && status->desiredhealthy > 0 &&
           status->currenthealthy >= status->desiredhealthy;
}

static int check_budget(struct mu_call *call, const Kube__PodDisruptionBudget *budget)
{
    const Kube__PodDisruptionBudgetStatus *status = budget->status;
    const char *name = budget->metadata->name;
    char cause[400];
    if (status == NULL || status->observedgeneration < budget->metadata->generation) {
        (void)snprintf(cause, sizeof cause,
                       "The disruption budget %s is still being processed by the server.", name);
        return mu_api_fail_cause(call, 429, "TooManyRequests", "DisruptionBudget", cause, 10,
                                 REFUSED);
    }
    if (status->disruptionsallowed < 0) {
        return mu_api_fail(call, 403, "Forbidden",
                           "poddisruptionbudgets.policy \"%s\" is forbidden: pdb disruptions "
                           "allowed is negative",
                           name);
    }
    if (status->n_disruptedpods > MU_KUBESIM_DISRUPTED_MAX) {
        return mu_api_fail(call, 403, "Forbidden",
                           "poddisruptionbudgets.policy \"%s\" is forbidden: DisruptedPods map too "
                           "big - too many evictions not confirmed by PDB controller",
                           name);
    }
    if (status->disruptionsallowed == 0) {
        (void)snprintf(cause, sizeof cause,
                       "The disruption budget %s needs %d healthy pods and has %d currently", name,
                       status->desiredhealthy, status->currenthealthy);
        return mu_api_fail_cause(call, 429, "TooManyRequests", "DisruptionBudget", cause, 0,
                                 REFUSED);
    }
    return 0;
}

/* Take one disruption off the budget and note the pod there. */
static int pay(struct mu_call *call, Kube__PodDisruptionBudget *budget)
{
    struct mu_apiserver *server = call->server;
    Kube__PodDisruptionBudgetStatus *status = budget->status;
    int code = check_budget(call, budget);
    if (code != 0) {
        return code;
    }
    Kube__TimeEntry *entry = (Kube__TimeEntry *)mu_api_new(server, &kube__time_entry__descriptor);
    if (mu_api_push(server, &status->disruptedpods, &status->n_disruptedpods, entry) != 0) {
        return mu_api_internal(call, MU_ENOMEM);
    }
    entry->key = mu_api_text(server, call->route.name);
    entry->value = mu_api_time(call, 0);
    status->disruptionsallowed--;
    if (mu_budget_condition(call, budget) != 0) {
        return mu_api_internal(call, MU_ENOMEM);
    }
    return mu_api_store(call, MU_KIND_DISRUPTIONBUDGETS, &budget->base, NULL);
}

/* Ask the budgets. 0: the pod may go. */
static int ask_budgets(struct mu_call *call, const struct mu_kobject *object)
{
    struct mu_apiserver *server = call->server;
    struct search search = {.pod = object};
    struct mu_store_range range = {.ns = call->route.ns};
    (void)mu_store_walk(server->store, MU_KIND_DISRUPTIONBUDGETS, &range, add_budget, &search);
    if (search.count > 1) {
        int code = mu_api_fail(call, 500, "InternalError",
                               "This pod has more than one PodDisruptionBudget, which the "
                               "eviction subresource does not support.");
        call->response->status = 201; /* the failure is an object that was made: so it is there */
        return code;
    }
    if (search.count == 0) {
        return 0;
    }
    Kube__PodDisruptionBudget *budget = (Kube__PodDisruptionBudget *)mu_api_unpack(
        server, &kube__pod_disruption_budget__descriptor, mu_kobject_raw(search.budget));
    if (budget == NULL) {
        return mu_api_internal(call, MU_ENOMEM);
    }
    MU_ASSERT(budget->spec != NULL); /* it has a selector */
    if (!mu_pod_ready(object) && may_go_unready(budget)) {
        return 0;
    }
    return pay(call, budget);
}

/* ---- the request -------------------------------------------------------------------------- */

static int read_eviction(struct mu_call *call, struct mu_delete_options *options)
{
    static const char *const versions[] = {"policy/v1", "policy/v1beta1", NULL};
    ProtobufCMessage *body = NULL;
    int code = mu_api_body(call, &kube__eviction__descriptor, versions, "Eviction", &body);
    if (code != 0) {
        return code;
    }
    const Kube__Eviction *eviction = (const Kube__Eviction *)body;
    const Kube__ObjectMeta *meta = eviction->metadata;
    struct mu_str name = mu_str_of(meta == NULL ? NULL : meta->name);
    struct mu_str ns = mu_str_of(meta == NULL ? NULL : meta->namespace_);
    if ((name.len > 0 && !mu_str_equal(name, call->route.name)) ||
        (ns.len > 0 && !mu_str_equal(ns, call->route.ns))) {
        return mu_api_fail(call, 400, "BadRequest",
                           "name in URL does not match name in Eviction object");
    }
    return mu_api_delete_options(call, eviction->deleteoptions, options);
}

/* Say on the pod why it goes; a pod that goes at once takes that with it. */
static int mark(struct mu_call *call, Kube__Pod *pod)
{
    int code = mu_api_set_condition(call, pod->status, "DisruptionTarget", "True",
                                    "EvictionByEvictionAPI", "Eviction API: evicting");
    return code != 0 || call->server->arena_full ? mu_api_internal(call, MU_ENOMEM) : 0;
}

int mu_api_evict(struct mu_call *call)
{
    struct mu_delete_options options = {0};
    struct mu_kobject *object = NULL;
    ProtobufCMessage *message = NULL;
    int code = read_eviction(call, &options);
    if (code == 0) {
        code = mu_api_load(call, &object, &message);
    }
    if (code == 0) {
        code = mu_api_check_preconditions(call, object, options.preconditions);
    }
    if (code != 0) {
        return code;
    }
    Kube__Pod *pod = (Kube__Pod *)message;
    MU_ASSERT(pod->status != NULL); /* creation saw to it */
    if (!is_idle(pod)) {
        code = mark(call, pod);
        code = code != 0 ? code : ask_budgets(call, object);
    }
    if (code != 0) {
        return code;
    }
    bool gone = false;
    struct mu_kobject *last = NULL;
    code = mu_api_remove_object(call, object, message, options.grace_s, &gone, &last);
    mu_kobject_unref(last);
    return code != 0 ? code : mu_api_success(call, 201);
}
