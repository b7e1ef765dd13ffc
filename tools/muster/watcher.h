#ifndef MU_TOOLS_MUSTER_WATCHER_H
#define MU_TOOLS_MUSTER_WATCHER_H
/* Sees from the outside when each pod of a workload is bound, and whether it has ended: a pods
 * reflector whose sink keeps two times a pod. A pure state machine. */
#include "informer/reflector.h"
#include "tools/workload/workload.h"

struct mu_watcher_times {
    uint64_t created_ns; /* its create request was sent; 0: not yet */
    uint64_t bound_ns;   /* the watch showed it bound; 0: not yet */
    bool finished;       /* it was bound, and was then seen ended or gone */
    uint32_t seen;       /* the list that last showed it */
};
struct mu_watcher {
    const struct mu_workload *workload;
    struct mu_watcher_times *times; /* by pod index of the workload */
    uint32_t bound;                 /* pods seen bound, finished ones included */
    uint32_t finished;              /* of these, pods that have left their node */
    uint64_t last_bound_ns, last_finished_ns;
    uint32_t lists; /* begun so far */
    struct mu_reflector *reflector;
    struct mu_index *by_name;
    struct mu_arena *arena;
};

/* workload must outlive the watcher. Errors: MU_ENOMEM. */
int mu_watcher_init(struct mu_watcher *watcher, const struct mu_workload *workload,
                    uint64_t token_base, struct mu_random *random);
void mu_watcher_fini(struct mu_watcher *watcher);

#endif
