#ifndef MU_TOOLS_KUBESIM_POD_DEFAULTS_H
#define MU_TOOLS_KUBESIM_POD_DEFAULTS_H
/* What an API server adds to a pod before it stores it, as far as placing depends on it. */
#include "engine/base/arena.h"
#include "informer/proto/core.pb-c.h"

/* Defaults: schedulerName, restartPolicy, serviceAccountName, grace period, requests from limits,
 * protocols of ports and, on the host's network, host ports; matchLabelKeys and mismatchLabelKeys
 * become part of the selectors, since schedulers read only those. Additions live in the arena.
 * pod->metadata and pod->spec are there. Errors: MU_ENOMEM; the pod is then to be dropped. */
int mu_pod_default(struct mu_arena *arena, Kube__Pod *pod);
/* The tolerations that admission adds: a node that is not ready or cannot be reached is endured for
 * five minutes. Errors: as above. */
int mu_pod_default_tolerations(struct mu_arena *arena, Kube__PodSpec *spec);

/* The entry of that name, in the caller's message, or NULL. */
const Kube__QuantityEntry *mu_quantity_find(Kube__QuantityEntry *const *entries, size_t count,
                                            const char *name);

/* The label that every namespace has: kubernetes.io/metadata.name. ns->metadata is there. Errors:
 * as above. */
int mu_namespace_default(struct mu_arena *arena, Kube__Namespace *ns);

#endif
