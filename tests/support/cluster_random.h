#ifndef MU_TESTS_SUPPORT_CLUSTER_RANDOM_H
#define MU_TESTS_SUPPORT_CLUSTER_RANDOM_H
/*
 * Random clusters, with everything that could tell a fast path from the naive one: kinds of equal
 * nodes and nodes that differ by a little, equal ties, holes, cordons, taints, labels, room below
 * zero, amounts near the end of the range, classes that fit nowhere.
 */
#include "engine/base/random.h"
#include "engine/place/profile.h"
#include "tests/support/cluster.h"

struct mu_cluster_shape {
    uint32_t nodes_max;
    uint32_t classes; /* distinct classes to draw from; some turn out equal */
    uint32_t gangs_max;
};

/* Nodes and classes; `classes` has room for shape->classes. */
void mu_cluster_random(struct mu_cluster *cluster, struct mu_random *random,
                       const struct mu_cluster_shape *shape, struct mu_class_ix *classes);
/* Add a random gang over these classes: ready, waiting or blocked, with sub-groups, held room and
 * members beyond its minimum. Returns its row. */
uint32_t mu_cluster_random_gang(struct mu_cluster *cluster, struct mu_random *random,
                                const struct mu_class_ix *classes, uint32_t class_count);
/* A built-in profile, or one of random weights. */
void mu_profile_random(struct mu_random *random, struct mu_profile *profile);
/* Something happens: room is taken or grows, a node is cordoned. */
void mu_cluster_random_event(struct mu_cluster *cluster, struct mu_random *random);

#endif
