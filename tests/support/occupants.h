#ifndef MU_TESTS_SUPPORT_OCCUPANTS_H
#define MU_TESTS_SUPPORT_OCCUPANTS_H
/*
 * Who is on the rows of a snapshot that was built by hand (tests/support/cluster.h), and the
 * budgets that cover them. Owns what it adds to the snapshot; to be finished before the cluster.
 */
#include "tests/support/cluster.h"

struct mu_crowd {
    struct mu_cluster *cluster;
    uint32_t kinds; /* labels made so far */
    struct mu_budget *budgets;
    struct mu_kin_budgets **covers; /* by kin */
    struct mu_pod_ix *disrupted;
    uint32_t disrupted_count;
};

#define MU_CROWD_BUDGETS_MAX 64u

/* Occupants of a cluster that has all its nodes and resources. */
void mu_crowd_init(struct mu_crowd *crowd, struct mu_cluster *cluster);
void mu_crowd_fini(struct mu_crowd *crowd);
/* Pods of labels that no other pod has. */
struct mu_kin_ix mu_crowd_kin(struct mu_crowd *crowd);
/* A pod is on the row: its room is taken, with devices of its own choice. `pod` and `check` are
 * made here. Returns the pod's index. */
uint32_t mu_crowd_add(struct mu_crowd *crowd, uint32_t row, struct mu_occupant occupant);
/* A gang of which all `count` members run; they are added one by one. */
struct mu_gang_ix mu_crowd_gang(struct mu_crowd *crowd, uint32_t flags, int32_t priority,
                                uint32_t size, uint32_t count);
/* A budget; the pods of a kin are covered by it; a pod that is being disrupted already. */
uint32_t mu_crowd_budget(struct mu_crowd *crowd, int32_t allowed);
void mu_crowd_cover(struct mu_crowd *crowd, struct mu_kin_ix kin, uint32_t budget);
void mu_crowd_disrupted(struct mu_crowd *crowd, uint32_t budget, uint32_t pod);

#endif
