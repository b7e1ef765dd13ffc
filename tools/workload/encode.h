#ifndef MU_TOOLS_WORKLOAD_ENCODE_H
#define MU_TOOLS_WORKLOAD_ENCODE_H
/* A workload's objects as the API takes them: enveloped Node, Namespace, Pod and PriorityClass, the
 * bodies of creates. */
#include "engine/base/arena.h"
#include "engine/base/buf.h"
#include "tools/workload/workload.h"

/* Priorities are the API server's to give, from a PriorityClass: a pod whose priority is not 0
 * names the class "priority-<value>", which has to exist before the pod is created. Create one for
 * each of workload->priorities first. A pod that never preempts names "priority-<value>-never",
 * also for 0. */
#define MU_PRIORITY_CLASSES_PATH "/apis/scheduling.k8s.io/v1/priorityclasses"

/* How long a simulated kubelet lets the pod run, in milliseconds. A real one ignores it. */
#define MU_DURATION_ANNOTATION "muster.dev/sim-duration-ms"

/* Append a Node: capacity = allocatable, condition Ready. `scratch` is reset. Errors: MU_ENOMEM,
 * MU_ELIMIT (the buffer's bound); *out is unchanged. Cost: one protobuf-c packing. */
int mu_workload_encode_node(const struct mu_node_object *node, struct mu_arena *scratch,
                            struct mu_buf *out);
/* Append a Namespace. Otherwise as above. */
int mu_workload_encode_namespace(const struct mu_namespace_object *ns, struct mu_arena *scratch,
                                 struct mu_buf *out);
/* Append the PriorityClass that pods of this priority name; never: who never preempt. Otherwise as
 * above. */
int mu_workload_encode_priority_class(int32_t priority, bool never, struct mu_arena *scratch,
                                      struct mu_buf *out);
/* Append a Pod for `scheduler_name`: one container, or as many as it has images, of which the first
 * asks for everything. Decoded again, its placement rules are the same. durations: write
 * MU_DURATION_ANNOTATION where the pod has one. Otherwise as above. */
int mu_workload_encode_pod(const struct mu_workload_pod *pod, struct mu_str scheduler_name,
                           bool durations, struct mu_arena *scratch, struct mu_buf *out);

#endif
