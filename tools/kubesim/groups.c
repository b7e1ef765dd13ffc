/*
 * Rules of the group objects: workloads and pod groups of scheduling.k8s.io (kubernetes-wire 2.8 of
 * the project's notes), and the PodGroup custom resources of scheduler-plugins, Volcano (2.9), KAI
 * and Goedel.
 *
 * A policy is exactly one of `basic` and `gang`. Of a native group only gang.minCount may change
 * after creation: whoever placed some of its members counted on the rest.
 */
#include "tools/kubesim/api_priv.h"

#include "tools/kubesim/schema/coscheduling.pb-c.h"
#include "tools/kubesim/schema/gang.pb-c.h"
#include "tools/kubesim/schema/gang135.pb-c.h"
#include "tools/kubesim/schema/gang136.pb-c.h"
#include "tools/kubesim/schema/godel.pb-c.h"
#include "tools/kubesim/schema/kai.pb-c.h"
#include "tools/kubesim/schema/volcano.pb-c.h"
#include "tools/kubesim/validate.h"
#include "engine/quantity.h"

#define TEMPLATES_MAX 8u

static bool empty(const char *text)
{
    return text == NULL || text[0] == '\0';
}

/* `count`: the gang's minimum, when it has one. */
static int check_policy(struct mu_call *call, const char *field, bool basic, bool gang,
                        int32_t count)
{
    if (basic == gang) {
        return mu_api_invalid(call, field,
                              "%s: exactly one of \"basic\" and \"gang\" must be specified",
                              basic ? "Invalid value" : "Required value");
    }
    if (gang && count < 1) {
        return mu_api_invalid(call, field,
                              "Invalid value: %d: a gang's minimum must be greater than 0", count);
    }
    return 0;
}

static int check_pod_policy(struct mu_call *call, const char *field,
                            const Kubeapi__Gang__PodGroupSchedulingPolicy *policy)
{
    bool gang = policy != NULL && policy->gang != NULL;
    return check_policy(call, field, policy != NULL && policy->basic != NULL, gang,
                        gang ? policy->gang->mincount : 0);
}

static int check_composite_policy(struct mu_call *call, const char *field,
                                  const Kubeapi__Gang__CompositePodGroupSchedulingPolicy *policy)
{
    bool gang = policy != NULL && policy->gang != NULL;
    return check_policy(call, field, policy != NULL && policy->basic != NULL, gang,
                        gang ? policy->gang->mingroupcount : 0);
}

static int unchangeable(struct mu_call *call)
{
    return mu_api_invalid(call, "spec", "Invalid value: field is immutable, save a gang's minimum");
}

/* ---- workloads ---------------------------------------------------------------------------- */

int mu_native_workload_create(struct mu_call *call, ProtobufCMessage *fresh)
{
    const Kubeapi__Gang__Workload *workload =
        (const Kubeapi__Gang__Workload *)mu_api_full(call, fresh);
    if (workload == NULL) {
        return MU_EINVAL;
    }
    const Kubeapi__Gang__WorkloadSpec *spec = workload->spec;
    size_t count =
        spec == NULL ? 0 : spec->n_podgrouptemplates + spec->n_compositepodgrouptemplates;
    if (count == 0 || count > TEMPLATES_MAX) {
        return mu_api_invalid(call, "spec.podGroupTemplates",
                              "%s: between 1 and %u templates are needed",
                              count == 0 ? "Required value" : "Too many", TEMPLATES_MAX);
    }
    int code = 0;
    for (size_t i = 0; code == 0 && i < spec->n_podgrouptemplates; i++) {
        const Kubeapi__Gang__PodGroupTemplate *one = spec->podgrouptemplates[i];
        if (!mu_valid_dns_label(mu_str_of(one->name))) {
            return mu_api_invalid(call, "spec.podGroupTemplates.name",
                                  "Invalid value: \"%.80s\": must be a DNS label",
                                  empty(one->name) ? "" : one->name);
        }
        for (size_t j = 0; j < i; j++) {
            if (strcmp(spec->podgrouptemplates[j]->name, one->name) == 0) {
                return mu_api_invalid(call, "spec.podGroupTemplates.name",
                                      "Duplicate value: \"%.80s\"", one->name);
            }
        }
        code = check_pod_policy(call, "spec.podGroupTemplates.schedulingPolicy",
                                one->schedulingpolicy);
    }
    for (size_t i = 0; code == 0 && i < spec->n_compositepodgrouptemplates; i++) {
        code = check_composite_policy(call, "spec.compositePodGroupTemplates.schedulingPolicy",
                                      spec->compositepodgrouptemplates[i]->schedulingpolicy);
    }
    return code;
}

int mu_native_workload_update(struct mu_call *call, const ProtobufCMessage *before,
                              ProtobufCMessage *after)
{
    if (!mu_api_same_message(call->server, mu_api_part(before, 2), mu_api_part(after, 2))) {
        return mu_api_invalid(call, "spec", "Invalid value: field is immutable");
    }
    return 0;
}

/* ---- native groups ------------------------------------------------------------------------ */

int mu_podgroup_create(struct mu_call *call, ProtobufCMessage *fresh)
{
    const Kubeapi__Gang__PodGroup *group =
        (const Kubeapi__Gang__PodGroup *)mu_api_full(call, fresh);
    if (group == NULL) {
        return MU_EINVAL;
    }
    return check_pod_policy(call, "spec.schedulingPolicy",
                            group->spec == NULL ? NULL : group->spec->schedulingpolicy);
}

int mu_podgroup_update(struct mu_call *call, const ProtobufCMessage *before,
                       ProtobufCMessage *after)
{
    int code = mu_podgroup_create(call, after);
    if (code != 0) {
        return code;
    }
    Kubeapi__Gang__PodGroup *old = (Kubeapi__Gang__PodGroup *)mu_api_full(call, before);
    Kubeapi__Gang__PodGroup *group =
        old == NULL ? NULL : (Kubeapi__Gang__PodGroup *)mu_api_full(call, after);
    if (group == NULL) {
        return MU_EINVAL;
    }
    Kubeapi__Gang__GangSchedulingPolicy *gang = group->spec->schedulingpolicy->gang;
    if (gang != NULL && old->spec->schedulingpolicy->gang != NULL) {
        *gang = *old->spec->schedulingpolicy->gang; /* a reader's copy: the minimum may differ */
    }
    bool same = mu_api_same_message(call->server, &old->spec->base, &group->spec->base);
    return same ? 0 : unchangeable(call);
}

int mu_composite_create(struct mu_call *call, ProtobufCMessage *fresh)
{
    const Kubeapi__Gang__CompositePodGroup *group =
        (const Kubeapi__Gang__CompositePodGroup *)mu_api_full(call, fresh);
    if (group == NULL) {
        return MU_EINVAL;
    }
    return check_composite_policy(call, "spec.schedulingPolicy",
                                  group->spec == NULL ? NULL : group->spec->schedulingpolicy);
}

int mu_composite_update(struct mu_call *call, const ProtobufCMessage *before,
                        ProtobufCMessage *after)
{
    int code = mu_composite_create(call, after);
    if (code != 0) {
        return code;
    }
    Kubeapi__Gang__CompositePodGroup *old =
        (Kubeapi__Gang__CompositePodGroup *)mu_api_full(call, before);
    Kubeapi__Gang__CompositePodGroup *group =
        old == NULL ? NULL : (Kubeapi__Gang__CompositePodGroup *)mu_api_full(call, after);
    if (group == NULL) {
        return MU_EINVAL;
    }
    Kubeapi__Gang__CompositeGangSchedulingPolicy *gang = group->spec->schedulingpolicy->gang;
    if (gang != NULL && old->spec->schedulingpolicy->gang != NULL) {
        *gang = *old->spec->schedulingpolicy->gang;
    }
    bool same = mu_api_same_message(call->server, &old->spec->base, &group->spec->base);
    return same ? 0 : unchangeable(call);
}

/* ---- older versions of both --------------------------------------------------------------- */

int mu_workload135_create(struct mu_call *call, ProtobufCMessage *fresh)
{
    const Kubeapi__Gang135__Workload *workload =
        (const Kubeapi__Gang135__Workload *)mu_api_full(call, fresh);
    if (workload == NULL) {
        return MU_EINVAL;
    }
    const Kubeapi__Gang135__WorkloadSpec *spec = workload->spec;
    const size_t count = spec == NULL ? 0 : spec->n_podgroups;
    if (count == 0 || count > TEMPLATES_MAX) {
        return mu_api_invalid(call, "spec.podGroups", "%s: between 1 and %u groups are needed",
                              count == 0 ? "Required value" : "Too many", TEMPLATES_MAX);
    }
    int code = 0;
    for (size_t i = 0; code == 0 && i < count; i++) {
        const Kubeapi__Gang135__PodGroup *group = spec->podgroups[i];
        const Kubeapi__Gang135__PodGroupPolicy *policy = group->policy;
        const bool gang = policy != NULL && policy->gang != NULL;
        if (!mu_valid_dns_label(mu_str_of(group->name))) {
            return mu_api_invalid(call, "spec.podGroups.name",
                                  "Invalid value: \"%.80s\": must be a DNS label",
                                  empty(group->name) ? "" : group->name);
        }
        code = check_policy(call, "spec.podGroups.policy", policy != NULL && policy->basic != NULL,
                            gang, gang ? policy->gang->mincount : 0);
    }
    return code;
}

int mu_podgroup136_create(struct mu_call *call, ProtobufCMessage *fresh)
{
    const Kubeapi__Gang136__PodGroup *group =
        (const Kubeapi__Gang136__PodGroup *)mu_api_full(call, fresh);
    if (group == NULL) {
        return MU_EINVAL;
    }
    return check_pod_policy(call, "spec.schedulingPolicy",
                            group->spec == NULL ? NULL : group->spec->schedulingpolicy);
}

int mu_podgroup136_update(struct mu_call *call, const ProtobufCMessage *before,
                          ProtobufCMessage *after)
{
    if (!mu_api_same_message(call->server, mu_api_part(before, 2), mu_api_part(after, 2))) {
        return mu_api_invalid(call, "spec", "Invalid value: field is immutable");
    }
    return 0;
}

/* ---- custom resources --------------------------------------------------------------------- */

static int check_minimum(struct mu_call *call, int32_t value, int32_t least)
{
    if (value < least) {
        return mu_api_invalid(call, "spec.minMember",
                              "Invalid value: %d: spec.minMember in body should be greater than "
                              "or equal to %d",
                              value, least);
    }
    return 0;
}

static int check_resources(struct mu_call *call, Kubeapi__QuantityEntry *const *entries,
                           size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const char *text = entries[i]->value == NULL ? NULL : entries[i]->value->string;
        struct mu_quantity quantity;
        if (!empty(text) && mu_quantity_parse(mu_str_of(text), &quantity, NULL) != 0) {
            return mu_api_invalid(call, "spec.minResources",
                                  "Invalid value: \"%.40s\": must be a "
                                  "quantity",
                                  text);
        }
    }
    return 0;
}

int mu_coscheduling_create(struct mu_call *call, ProtobufCMessage *fresh)
{
    const Kubeapi__Coscheduling__PodGroup *group =
        (const Kubeapi__Coscheduling__PodGroup *)mu_api_full(call, fresh);
    if (group == NULL || group->spec == NULL) {
        return group == NULL ? MU_EINVAL : 0;
    }
    const Kubeapi__Coscheduling__PodGroupSpec *spec = group->spec;
    int code = spec->has_minmember ? check_minimum(call, spec->minmember, 1) : 0;
    return code != 0 ? code : check_resources(call, spec->minresources, spec->n_minresources);
}

int mu_coscheduling_update(struct mu_call *call, const ProtobufCMessage *before,
                           ProtobufCMessage *after)
{
    (void)before;
    return mu_coscheduling_create(call, after);
}

int mu_volcano_create(struct mu_call *call, ProtobufCMessage *fresh)
{
    const Kubeapi__Volcano__PodGroup *group =
        (const Kubeapi__Volcano__PodGroup *)mu_api_full(call, fresh);
    if (group == NULL || group->spec == NULL) {
        return group == NULL ? MU_EINVAL : 0;
    }
    const Kubeapi__Volcano__PodGroupSpec *spec = group->spec;
    int code = spec->has_minmember ? check_minimum(call, spec->minmember, 0) : 0;
    return code != 0 ? code : check_resources(call, spec->minresources, spec->n_minresources);
}

int mu_volcano_update(struct mu_call *call, const ProtobufCMessage *before, ProtobufCMessage *after)
{
    (void)before;
    return mu_volcano_create(call, after);
}

int mu_kai_create(struct mu_call *call, ProtobufCMessage *fresh)
{
    const Kubeapi__Kai__PodGroup *group = (const Kubeapi__Kai__PodGroup *)mu_api_full(call, fresh);
    if (group == NULL || group->spec == NULL) {
        return group == NULL ? MU_EINVAL : 0;
    }
    const Kubeapi__Kai__PodGroupSpec *spec = group->spec;
    return spec->has_minmember ? check_minimum(call, spec->minmember, 1) : 0;
}

int mu_kai_update(struct mu_call *call, const ProtobufCMessage *before, ProtobufCMessage *after)
{
    (void)before;
    return mu_kai_create(call, after);
}

int mu_godel_create(struct mu_call *call, ProtobufCMessage *fresh)
{
    const Kubeapi__Godel__PodGroup *group =
        (const Kubeapi__Godel__PodGroup *)mu_api_full(call, fresh);
    if (group == NULL || group->spec == NULL) {
        return group == NULL ? MU_EINVAL : 0;
    }
    const Kubeapi__Godel__PodGroupSpec *spec = group->spec;
    int code = spec->has_minmember ? check_minimum(call, spec->minmember, 1) : 0;
    return code != 0 ? code : check_resources(call, spec->minresources, spec->n_minresources);
}

int mu_godel_update(struct mu_call *call, const ProtobufCMessage *before, ProtobufCMessage *after)
{
    (void)before;
    return mu_godel_create(call, after);
}
