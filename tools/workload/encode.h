#ifndef MU_TOOLS_WORKLOAD_ENCODE_H
#define MU_TOOLS_WORKLOAD_ENCODE_H
/* A workload's objects as the API takes them: enveloped v1 Node and Pod, the bodies of creates. */
#include "engine/base/arena.h"
#include "engine/base/buf.h"
#include "tools/workload/workload.h"

/* How long a simulated kubelet lets the pod run, in milliseconds. A real one ignores it. */
#define MU_DURATION_ANNOTATION "muster.dev/sim-duration-ms"

/* Append a Node: capacity = allocatable, condition Ready. `scratch` is reset. Errors: MU_ENOMEM,
 * MU_ELIMIT (the buffer's bound); *out is unchanged. Cost: one protobuf-c packing. */
int mu_workload_encode_node(const struct mu_node_object *node, struct mu_arena *scratch,
                            struct mu_buf *out);
/* Append a Pod of one container for `scheduler_name`. durations: write MU_DURATION_ANNOTATION where
 * the pod has one. Otherwise as above. */
int mu_workload_encode_pod(const struct mu_workload_pod *pod, struct mu_str scheduler_name,
                           bool durations, struct mu_arena *scratch, struct mu_buf *out);

#endif
