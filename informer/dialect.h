#ifndef MU_INFORMER_DIALECT_H
#define MU_INFORMER_DIALECT_H
/*
 * Gang dialects, normalised from the pod object alone: whose gang a pod is one of never depends on
 * what else is served, so that all processes agree. Where an object describes the gang, the pod
 * names it and the engine waits for it (engine/object.h).
 *
 *   native        spec.schedulingGroup.podGroupName (Kubernetes 1.36), or
 *                 spec.workloadRef (1.35): gang "workload/podGroup" or "workload/podGroup/replica"
 *   Volcano       annotation scheduling.k8s.io/group-name or scheduling.volcano.sh/group-name;
 *                 .../group-min-member is the size until there is an object; volcano.sh/task-spec
 *   scheduler-plugins  label scheduling.x-k8s.io/pod-group
 *   KAI           annotation pod-group-name; label kai.scheduler/subgroup-name
 *   Goedel        label or annotation godel.bytedance.com/pod-group-name
 *   Muster        annotations muster.dev/pod-group, muster.dev/pod-group-size; in the same breath
 *   plain         annotation pod-group or pod_group: size by quiet time
 *   lightweight   labels pod-group.scheduling.sigs.k8s.io/{name,min-available}, or ...x-k8s.io/
 *   Koordinator   gang.scheduling.koordinator.sh/{name,min-available,...}; gang groups are one gang
 *                 "a,b" of which each gang is a sub-group
 *   YuniKorn      annotations yunikorn.apache.org/{app-id,task-group-name,task-groups}
 *   Kueue         label kueue.x-k8s.io/pod-group-name, annotation .../pod-group-total-count
 *   Armada        annotations armadaproject.io/{gangId,gangCardinality,gangNodeUniformityLabel}
 *
 * Of several dialects on one pod the first in this order decides, Muster's after those with an
 * object and plain last of all; what the others say is not looked at.
 */
#include "engine/base/arena.h"
#include "engine/object.h"

#define MU_GANG_ANNOTATION      "muster.dev/pod-group"
#define MU_GANG_SIZE_ANNOTATION "muster.dev/pod-group-size"

/* What a dialect reads of a pod. Texts without data are absent. */
struct mu_dialect_pod {
    struct mu_str ns;
    const struct mu_label *labels;
    uint32_t label_count;
    const struct mu_label *annotations;
    uint32_t annotation_count;
    bool has_group; /* spec.schedulingGroup is there */
    struct mu_str group;
    bool has_workload; /* spec.workloadRef is there */
    struct mu_str workload, pod_group, replica;
};
/* The first thing that is wrong. */
struct mu_dialect_problem {
    uint32_t rule;        /* MU_RULE_GANG_SPEC, MU_RULE_GANG_DIALECT; 0: nothing is */
    const char *field;    /* metadata.labels, metadata.annotations or a path in the spec */
    struct mu_str key;    /* of the label or annotation */
    const char *expected; /* "expected ..." */
};

/* Fill *gang; *spared: the pod is marked as no victim. A pod whose dialect contradicts itself or
 * cannot be read has a problem, and a gang as far as a name can be read: the others wait with it.
 * Texts are borrowed from the pod or live in the arena. Errors: MU_ENOMEM. Thread: any.
 * Cost: O(labels + annotations). */
int mu_dialect_read(const struct mu_dialect_pod *pod, struct mu_arena *arena,
                    struct mu_gang_ref *gang, bool *spared, struct mu_dialect_problem *problem);

#endif
