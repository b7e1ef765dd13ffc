#ifndef MU_TOOLS_WORKLOAD_MACHINE_H
#define MU_TOOLS_WORKLOAD_MACHINE_H
/*
 * What the nodes of all workloads have in common, and how GPUs are told of nodes and pods.
 *
 * A machine with GPUs shows them by count, has their model as a label, is labelled for sharing, and
 * says that its device plugin honours our choice of devices. So its devices are tracked one by one
 * (engine/device.h), and pods that want whole ones and pods that want parts compete for them. The
 * objects say the same in words (labels, which an API server passes on) and in the fields that a
 * decoder fills from these words, for those who hand them to a cluster DB directly.
 */
#include "tools/workload/workload.h"

struct mu_machine {
    struct mu_str name; /* its hostname too: at most 63 bytes */
    int64_t cpu_millis, memory_bytes;
    uint32_t gpus;       /* more than MU_DEVICES_PER_NODE: counted, not tracked */
    struct mu_str model; /* of its GPUs; empty: not said */
    bool for_training;   /* keeps all other pods out by a taint */
};
/* Append it as a node with 110 pod slots. Errors: those of mu_workload_add_node(). */
int mu_workload_add_machine(struct mu_workload *workload, const struct mu_machine *machine,
                            const char *where, struct mu_error *error);

/* A request for `millis` > 0 thousandths of GPUs: of a part of one, below 1,000, or for whole ones,
 * of which there is no part left over. */
struct mu_amount mu_gpu_request(int64_t millis);

#endif
