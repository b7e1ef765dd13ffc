#ifndef MU_TOOLS_KUBESIM_KUBELET_H
#define MU_TOOLS_KUBESIM_KUBELET_H
/*
 * The simulated cluster behind the API server: a kubelet for every node, and the node controller.
 * Pure: time is an argument, real or virtual. Kubelets learn of pods and nodes from the server's
 * own history, as a watch would, and write back through it.
 *
 *   bound pod       admitted if it fits what its node has left, else phase Failed, reason OutOfcpu
 *                   and its like; runs after a start delay; succeeds after MU_DURATION_ANNOTATION
 *                   (tools/workload/encode.h), or runs for ever without one
 *   terminating pod removed after its grace period, which a cap shortens
 *   failed node     tainted node.kubernetes.io/unreachable; its kubelet does nothing; after a delay
 *                   its pods are removed, unless it has come back
 *   unknown node    pods bound to it are removed after the same delay
 */
#include "tools/kubesim/apiserver.h"

struct mu_kubelets; /* opaque; one thread */

struct mu_kubelets_config {
    uint64_t start_ns_min; /* both 0: 50 ms to 500 ms */
    uint64_t start_ns_max;
    uint64_t grace_ns_max; /* cap of grace periods; 0: 2 s */
    uint64_t evict_ns;     /* from a node's failure to the removal of its pods; 0: 5 s */
    bool admit_all;        /* no admission */
    /* Churn: at random times a random node is cordoned or fails, and comes back. */
    uint64_t churn_ns;       /* mean time between two events; 0: none */
    uint64_t churn_until_ns; /* no new events from here on */
    uint64_t outage_ns_max;  /* a node is away at most so long; 0: 20 s */
};

/* The server is the caller's and outlives the kubelets. Errors: NULL. */
struct mu_kubelets *mu_kubelets_create(struct mu_apiserver *server,
                                       const struct mu_kubelets_config *config,
                                       struct mu_random *random);
void mu_kubelets_destroy(struct mu_kubelets *kubelets);
/* Read what changed and do everything due at or before now. */
void mu_kubelets_run(struct mu_kubelets *kubelets, uint64_t now_ns);
/* When run has something to do: 0 when there are unread changes, UINT64_MAX when nothing will
 * happen by itself. */
uint64_t mu_kubelets_next_ns(const struct mu_kubelets *kubelets);

/* Mark a node (un)schedulable; take it down; bring it back. Each returns 0 or MU_ENOENT, MU_ENOMEM;
 * doing it twice is fine. */
int mu_kubelets_cordon(struct mu_kubelets *kubelets, struct mu_str node, bool on, uint64_t now_ns);
int mu_kubelets_fail_node(struct mu_kubelets *kubelets, struct mu_str node, uint64_t now_ns);
int mu_kubelets_recover_node(struct mu_kubelets *kubelets, struct mu_str node, uint64_t now_ns);

struct mu_kubelets_stats {
    uint64_t started, succeeded, refused, removed, evicted, node_failures;
    uint32_t nodes, pods; /* tracked now: pods that are bound and not finished */
};
void mu_kubelets_stats(const struct mu_kubelets *kubelets, struct mu_kubelets_stats *out);

#endif
