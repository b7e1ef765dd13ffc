#ifndef MU_INFORMER_DIALECT_H
#define MU_INFORMER_DIALECT_H
/*
 * Gang dialects, normalised from the pod object alone. Built: `pod-group`, `pod_group`,
 * muster.dev/pod-group with muster.dev/pod-group-size (annotations). Every other known dialect is
 * recognised and reported as unbuilt, never scheduled pod by pod.
 */
#include "engine/object.h"

#define MU_GANG_ANNOTATION      "muster.dev/pod-group"
#define MU_GANG_SIZE_ANNOTATION "muster.dev/pod-group-size"

/* Fill *gang and add MU_RULE_GANG_DIALECT / MU_RULE_GANG_SPEC to *unbuilt where they apply.
 * native: the pod names a native group (schedulingGroup, workloadRef). Strings are borrowed. */
void mu_dialect_normalise(const struct mu_label *labels, uint32_t label_count,
                          const struct mu_label *annotations, uint32_t annotation_count,
                          bool native, struct mu_gang_ref *gang, uint32_t *unbuilt);

#endif
