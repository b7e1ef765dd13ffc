#ifndef MU_TOOLS_WORKLOAD_ENCODE_PRIV_H
#define MU_TOOLS_WORKLOAD_ENCODE_PRIV_H
/*
 * Messages are built in the scratch arena, packed there, and wrapped into the caller's buffer in
 * one append, so that a failure leaves the buffer as it was. A builder that fails to get memory
 * marks the encoding as failed and goes on with NULL; only the end looks.
 */
#include "engine/base/arena.h"
#include "informer/proto/core.pb-c.h"
#include "tools/workload/workload.h"

struct mu_encoding {
    struct mu_arena *arena;
    bool failed;
};

/* Zeroed; NULL for none as well. */
void *mu_encode_alloc(struct mu_encoding *e, size_t count, size_t size);
/* protobuf-c wants writable, NUL-terminated text. */
char *mu_encode_text(struct mu_encoding *e, struct mu_str s);
Kube__StringEntry **mu_encode_pairs(struct mu_encoding *e, const struct mu_label *labels,
                                    uint32_t count);

/* encode_placement.c. NULL where the pod has no such rule. */
Kube__Affinity *mu_encode_affinity(struct mu_encoding *e, const struct mu_workload_pod *pod);
Kube__TopologySpreadConstraint **mu_encode_spreads(struct mu_encoding *e,
                                                   const struct mu_pod_object *pod);
void mu_encode_ports(struct mu_encoding *e, const struct mu_pod_object *pod, Kube__Container *to);

#endif
