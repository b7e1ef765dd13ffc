/*
 * The rows. Kinds of which the rules read no more than metadata have kube.Object as descriptor
 * (with a status of its own: kube.SplitObject): what else they carry stays in unknown fields, byte
 * for byte, and JSON comes from the full schema.
 */
#include "tools/kubesim/kinds.h"

#include "informer/proto/object.pb-c.h"
#include "informer/proto/policy.pb-c.h"
#include "tools/kubesim/api_priv.h"
#include "tools/kubesim/schema/authentication.pb-c.h"
#include "tools/kubesim/schema/authorization.pb-c.h"
#include "tools/kubesim/schema/coordination.pb-c.h"
#include "tools/kubesim/schema/core.pb-c.h"
#include "tools/kubesim/schema/coscheduling.pb-c.h"
#include "tools/kubesim/schema/events.pb-c.h"
#include "tools/kubesim/schema/gang.pb-c.h"
#include "tools/kubesim/schema/gang135.pb-c.h"
#include "tools/kubesim/schema/gang136.pb-c.h"
#include "tools/kubesim/schema/godel.pb-c.h"
#include "tools/kubesim/schema/kai.pb-c.h"
#include "tools/kubesim/schema/pod.pb-c.h"
#include "tools/kubesim/schema/policy.pb-c.h"
#include "tools/kubesim/schema/scheduling.pb-c.h"
#include "tools/kubesim/schema/volcano.pb-c.h"
#include "tools/kubesim/shown.h"

static const struct mu_kind_field no_fields[] = {{NULL, {0, 0}, false}};
static const struct mu_kind_field pod_fields[] = {{"spec.nodeName", {2, 10}, false},
                                                  {"spec.schedulerName", {2, 19}, false},
                                                  {"spec.restartPolicy", {2, 3}, false},
                                                  {"spec.serviceAccountName", {2, 8}, false},
                                                  {"status.phase", {3, 1}, false},
                                                  {"spec.hostNetwork", {2, 11}, true},
                                                  {"status.nominatedNodeName", {3, 11}, false},
                                                  {NULL, {0, 0}, false}};
static const struct mu_kind_field node_fields[] = {{"spec.unschedulable", {2, 4}, true},
                                                   {NULL, {0, 0}, false}};
static const struct mu_kind_field namespace_fields[] = {{"status.phase", {3, 1}, false},
                                                        {NULL, {0, 0}, false}};
/* By the names of either group. */
static const struct mu_kind_field event_fields[] = {
    {"involvedObject.kind", {2, 1}, false},
    {"involvedObject.namespace", {2, 2}, false},
    {"involvedObject.name", {2, 3}, false},
    {"involvedObject.uid", {2, 4}, false},
    {"involvedObject.apiVersion", {2, 5}, false},
    {"involvedObject.resourceVersion", {2, 6}, false},
    {"involvedObject.fieldPath", {2, 7}, false},
    {"regarding.kind", {2, 1}, false},
    {"regarding.namespace", {2, 2}, false},
    {"regarding.name", {2, 3}, false},
    {"regarding.uid", {2, 4}, false},
    {"regarding.apiVersion", {2, 5}, false},
    {"regarding.resourceVersion", {2, 6}, false},
    {"regarding.fieldPath", {2, 7}, false},
    {"reason", {3, 0}, false},
    {"source", {5, 1}, false},
    {"type", {9, 0}, false},
    {"reportingComponent", {14, 0}, false},
    {"reportingController", {14, 0}, false},
    {NULL, {0, 0}, false}};

static const struct mu_kind_sub pod_subs[] = {
    {"binding", "", "v1", "Binding", mu_api_bind},
    {"eviction", "policy", "v1", "Eviction", mu_api_evict},
    {NULL, NULL, NULL, NULL, NULL}};

static const struct mu_kind_sub account_subs[] = {
    {"token", "authentication.k8s.io", "v1", "TokenRequest", mu_api_token},
    {NULL, NULL, NULL, NULL, NULL}};

static const char *const pod_names[] = {"po", NULL};
static const char *const node_names[] = {"no", NULL};
static const char *const namespace_names[] = {"ns", NULL};
static const char *const priorityclass_names[] = {"pc", NULL};
static const char *const configmap_names[] = {"cm", NULL};
static const char *const event_names[] = {"ev", NULL};
static const char *const serviceaccount_names[] = {"sa", NULL};
static const char *const budget_names[] = {"pdb", NULL};
static const char *const podgroup_names[] = {"pg", "pgs", NULL};

/* core/v1 to events.k8s.io/v1. */
static const struct mu_renumber event_numbers[] = {
    {1, 1},  {2, 8},  {3, 7},  {4, 10}, {5, 12}, {6, 13}, {7, 14}, {8, 15},
    {9, 11}, {10, 2}, {11, 3}, {12, 6}, {13, 9}, {14, 4}, {15, 5}, {0, 0}};
static const struct mu_kind_api event_apis[] = {
    {"events.k8s.io", "v1", "events.k8s.io/v1", &kubeapi__events__event__descriptor, event_numbers},
    {NULL, NULL, NULL, NULL, NULL}};
static const struct mu_kind_api gang_apis[] = {
    {"scheduling.k8s.io", "v1alpha3", "scheduling.k8s.io/v1alpha3", NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL}};

#define CORE           .group = "", .version = "v1", .api_version = "v1"
#define GROUP(g, v)    .group = (g), .version = (v), .api_version = g "/" v
#define NAMES(k, p, s) .kind = (k), .list_kind = k "List", .plural = (p), .singular = (s)

const struct mu_kind mu_kinds[MU_KIND_COUNT] = {
    [MU_KIND_PODS] = {CORE, NAMES("Pod", "pods", "pod"), .namespaced = true, .has_status = true,
                      .has_generation = true, .short_names = pod_names, .in_all = true,
                      .subs = pod_subs, .descriptor = &kube__pod__descriptor,
                      .schema = &kubeapi__pod__descriptor, .fields = pod_fields,
                      .show = mu_pod_show, .create = mu_pod_create, .update = mu_pod_update},
    [MU_KIND_NODES] = {CORE, NAMES("Node", "nodes", "node"), .has_status = true,
                       .short_names = node_names, .descriptor = &kube__node__descriptor,
                       .schema = &kubeapi__node__descriptor, .fields = node_fields,
                       .show = mu_node_show, .create = mu_node_create, .update = mu_node_update},
    [MU_KIND_NAMESPACES] = {CORE, NAMES("Namespace", "namespaces", "namespace"), .has_status = true,
                            .short_names = namespace_names,
                            .descriptor = &kube__namespace__descriptor,
                            .schema = &kubeapi__namespace__descriptor, .fields = namespace_fields,
                            .create = mu_namespace_create},
    [MU_KIND_PRIORITYCLASSES] = {GROUP("scheduling.k8s.io", "v1"),
                                 NAMES("PriorityClass", "priorityclasses", "priorityclass"),
                                 .short_names = priorityclass_names,
                                 .descriptor = &kube__priority_class__descriptor,
                                 .schema = &kubeapi__priority_class__descriptor,

                                 .fields = no_fields, .create = mu_priorityclass_create,
                                 .update = mu_priorityclass_update},
    [MU_KIND_CONFIGMAPS] = {CORE, NAMES("ConfigMap", "configmaps", "configmap"), .namespaced = true,
                            .short_names = configmap_names, .descriptor = &kube__object__descriptor,
                            .schema = &kubeapi__config_map__descriptor, .fields = no_fields,
                            .create = mu_configmap_create, .update = mu_configmap_update},
    [MU_KIND_EVENTS] = {CORE, NAMES("Event", "events", "event"), .namespaced = true,
                        .short_names = event_names, .apis = event_apis,
                        .descriptor = &kube__object__descriptor,
                        .schema = &kubeapi__event__descriptor, .fields = event_fields,
                        .create = mu_event_create, .update = mu_event_update},
    [MU_KIND_LEASES] = {GROUP("coordination.k8s.io", "v1"), NAMES("Lease", "leases", "lease"),
                        .namespaced = true, .descriptor = &kube__object__descriptor,
                        .schema = &kubeapi__lease__descriptor, .fields = no_fields,
                        .create = mu_lease_create, .update = mu_lease_update},
    [MU_KIND_SERVICEACCOUNTS] = {CORE, NAMES("ServiceAccount", "serviceaccounts", "serviceaccount"),
                                 .namespaced = true, .short_names = serviceaccount_names,
                                 .subs = account_subs, .descriptor = &kube__object__descriptor,
                                 .schema = &kubeapi__service_account__descriptor,
                                 .fields = no_fields},
    [MU_KIND_DISRUPTIONBUDGETS] =
        {GROUP("policy", "v1"),
         NAMES("PodDisruptionBudget", "poddisruptionbudgets", "poddisruptionbudget"),
         .namespaced = true, .has_status = true, .has_generation = true,
         .short_names = budget_names, .descriptor = &kube__pod_disruption_budget__descriptor,
         .schema = &kubeapi__pod_disruption_budget__descriptor, .fields = no_fields,
         .create = mu_budget_create, .update = mu_budget_update},
    [MU_KIND_WORKLOADS] = {GROUP("scheduling.k8s.io", "v1beta1"),
                           NAMES("Workload", "workloads", "workload"), .namespaced = true,
                           .has_generation = true, .apis = gang_apis,
                           .descriptor = &kube__split_object__descriptor,
                           .schema = &kubeapi__gang__workload__descriptor, .fields = no_fields,
                           .create = mu_native_workload_create,
                           .update = mu_native_workload_update},
    [MU_KIND_PODGROUPS] = {GROUP("scheduling.k8s.io", "v1beta1"),
                           NAMES("PodGroup", "podgroups", "podgroup"), .namespaced = true,
                           .has_status = true, .has_generation = true, .apis = gang_apis,
                           .descriptor = &kube__split_object__descriptor,
                           .schema = &kubeapi__gang__pod_group__descriptor, .fields = no_fields,
                           .create = mu_podgroup_create, .update = mu_podgroup_update},
    [MU_KIND_COMPOSITEPODGROUPS] =
        {GROUP("scheduling.k8s.io", "v1alpha3"),
         NAMES("CompositePodGroup", "compositepodgroups", "compositepodgroup"), .namespaced = true,
         .has_status = true, .has_generation = true, .descriptor = &kube__split_object__descriptor,
         .schema = &kubeapi__gang__composite_pod_group__descriptor, .fields = no_fields,
         .create = mu_composite_create, .update = mu_composite_update},
    [MU_KIND_COSCHEDULING_PODGROUPS] = {GROUP("scheduling.x-k8s.io", "v1alpha1"),
                                        NAMES("PodGroup", "podgroups", "podgroup"),
                                        .namespaced = true, .has_status = true,
                                        .has_generation = true, .json_only = true,
                                        .short_names = podgroup_names,
                                        .descriptor = &kube__split_object__descriptor,
                                        .schema = &kubeapi__coscheduling__pod_group__descriptor,
                                        .fields = no_fields, .create = mu_coscheduling_create,
                                        .update = mu_coscheduling_update},
    [MU_KIND_VOLCANO_PODGROUPS] = {GROUP("scheduling.volcano.sh", "v1beta1"),
                                   NAMES("PodGroup", "podgroups", "podgroup"), .namespaced = true,
                                   .has_status = true, .has_generation = true, .json_only = true,
                                   .short_names = podgroup_names,
                                   .descriptor = &kube__split_object__descriptor,
                                   .schema = &kubeapi__volcano__pod_group__descriptor,
                                   .fields = no_fields, .create = mu_volcano_create,
                                   .update = mu_volcano_update},
    [MU_KIND_KAI_PODGROUPS] = {GROUP("scheduling.run.ai", "v2alpha2"),
                               NAMES("PodGroup", "podgroups", "podgroup"), .namespaced = true,
                               .has_status = true, .has_generation = true, .json_only = true,
                               .short_names = podgroup_names,
                               .descriptor = &kube__split_object__descriptor,
                               .schema = &kubeapi__kai__pod_group__descriptor, .fields = no_fields,
                               .create = mu_kai_create, .update = mu_kai_update},
    [MU_KIND_GODEL_PODGROUPS] = {GROUP("scheduling.godel.kubewharf.io", "v1alpha1"),
                                 NAMES("PodGroup", "podgroups", "podgroup"), .namespaced = true,
                                 .has_status = true, .has_generation = true, .json_only = true,
                                 .short_names = podgroup_names,
                                 .descriptor = &kube__split_object__descriptor,
                                 .schema = &kubeapi__godel__pod_group__descriptor,
                                 .fields = no_fields, .create = mu_godel_create,
                                 .update = mu_godel_update},
    [MU_KIND_WORKLOADS_135] = {GROUP("scheduling.k8s.io", "v1alpha1"),
                               NAMES("Workload", "workloads", "workload"), .namespaced = true,
                               .has_generation = true,
                               .descriptor = &kube__split_object__descriptor,
                               .schema = &kubeapi__gang135__workload__descriptor,
                               .fields = no_fields, .create = mu_workload135_create,
                               .update = mu_native_workload_update},
    [MU_KIND_PODGROUPS_136] = {GROUP("scheduling.k8s.io", "v1alpha2"),
                               NAMES("PodGroup", "podgroups", "podgroup"), .namespaced = true,
                               .has_status = true, .has_generation = true,
                               .descriptor = &kube__split_object__descriptor,
                               .schema = &kubeapi__gang136__pod_group__descriptor,
                               .fields = no_fields, .create = mu_podgroup136_create,
                               .update = mu_podgroup136_update},
    [MU_KIND_SELFSUBJECTACCESSREVIEWS] =
        {GROUP("authorization.k8s.io", "v1"),
         NAMES("SelfSubjectAccessReview", "selfsubjectaccessreviews", "selfsubjectaccessreview"),
         .no_update = true, .descriptor = &kubeapi__self_subject_access_review__descriptor,
         .fields = no_fields},
    [MU_KIND_SUBJECTACCESSREVIEWS] = {GROUP("authorization.k8s.io", "v1"),
                                      NAMES("SubjectAccessReview", "subjectaccessreviews",
                                            "subjectaccessreview"),
                                      .no_update = true,
                                      .descriptor = &kubeapi__subject_access_review__descriptor,
                                      .fields = no_fields},
    [MU_KIND_LOCALSUBJECTACCESSREVIEWS] =
        {GROUP("authorization.k8s.io", "v1"),
         NAMES("LocalSubjectAccessReview", "localsubjectaccessreviews", "localsubjectaccessreview"),
         .namespaced = true, .no_update = true,
         .descriptor = &kubeapi__local_subject_access_review__descriptor, .fields = no_fields},
    [MU_KIND_SELFSUBJECTRULESREVIEWS] =
        {GROUP("authorization.k8s.io", "v1"),
         NAMES("SelfSubjectRulesReview", "selfsubjectrulesreviews", "selfsubjectrulesreview"),
         .no_update = true, .descriptor = &kubeapi__self_subject_rules_review__descriptor,
         .fields = no_fields},
    [MU_KIND_TOKENREVIEWS] = {GROUP("authentication.k8s.io", "v1"),
                              NAMES("TokenReview", "tokenreviews", "tokenreview"),
                              .no_update = true, .descriptor = &kubeapi__token_review__descriptor,
                              .fields = no_fields},
    [MU_KIND_SELFSUBJECTREVIEWS] =
        {GROUP("authentication.k8s.io", "v1"),
         NAMES("SelfSubjectReview", "selfsubjectreviews", "selfsubjectreview"), .no_update = true,
         .descriptor = &kubeapi__self_subject_review__descriptor, .fields = no_fields},
};

static bool same(struct mu_str text, const char *want)
{
    return mu_str_equal(text, mu_str_of(want));
}

enum mu_kind_ix mu_kind_find(struct mu_str group, struct mu_str version, struct mu_str plural,
                             const struct mu_kind_api **api)
{
    *api = NULL;
    for (enum mu_kind_ix kind = 0; kind < MU_KIND_COUNT; kind++) {
        const struct mu_kind *row = &mu_kinds[kind];
        if (!same(plural, row->plural)) {
            continue;
        }
        if (same(group, row->group) && same(version, row->version)) {
            return kind;
        }
        for (const struct mu_kind_api *a = row->apis; a != NULL && a->group != NULL; a++) {
            if (same(group, a->group) && same(version, a->version)) {
                *api = a;
                return kind;
            }
        }
    }
    return MU_KIND_COUNT;
}

const struct mu_kind_sub *mu_kind_sub_find(const struct mu_kind *kind, struct mu_str name)
{
    const struct mu_kind_sub *sub = kind->subs;
    while (sub != NULL && sub->name != NULL && !same(name, sub->name)) {
        sub++;
    }
    return sub == NULL || sub->name == NULL ? NULL : sub;
}

enum mu_kind_ix mu_kind_by_plural(const char *plural)
{
    enum mu_kind_ix kind = 0;
    while (kind < MU_KIND_COUNT && strcmp(mu_kinds[kind].plural, plural) != 0) {
        kind++;
    }
    return kind;
}
