#ifndef MU_TOOLS_MANIFEST_CHECK_H
#define MU_TOOLS_MANIFEST_CHECK_H
/*
 * What placing needs of an object: names, quantities, labels, operators and their values, bounds of
 * numbers. Not the API server's whole validation: images, probes and the like are not looked at.
 */
#include <stdbool.h>
#include "informer/proto/core.pb-c.h"
#include "informer/proto/policy.pb-c.h"
#include "informer/proto/scheduling.pb-c.h"

/* The first thing that is wrong. */
struct mu_check {
    char path[512]; /* of the field: "spec.containers[0].resources.requests.cpu" */
    char problem[256];
};

/* False: *out says what is wrong. Parts of the messages may be missing. Thread: any. Annotations,
 * which no API server checks, are those of pods that are still to be placed: of others the decoder
 * tells what it cannot read, and counts them all the same. */
bool mu_check_pod(const Kube__Pod *pod, struct mu_check *out);
bool mu_check_node(const Kube__Node *node, struct mu_check *out);
bool mu_check_namespace(const Kube__Namespace *ns, struct mu_check *out);
/* Whether a name of a resource is one of Kubernetes' own that containers can ask for, or has a
 * domain in front. */
bool mu_check_known_resource(const char *name);
bool mu_check_priority_class(const Kube__PriorityClass *class_, struct mu_check *out);
bool mu_check_budget(const Kube__PodDisruptionBudget *budget, struct mu_check *out);

#endif
