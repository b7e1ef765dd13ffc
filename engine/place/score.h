#ifndef MU_ENGINE_PLACE_SCORE_H
#define MU_ENGINE_PLACE_SCORE_H
/*
 * Scores: which feasible node a class prefers, in integers alone, so that every compiler and
 * instruction set agrees.
 *
 * A profile (engine/place/profile.h) is compiled into one or two *forms*, each linear in what the
 * node has left once the pod is there; the score is the smaller one, plus preferences that know
 * neither room nor requests. For a form with the coefficient most_r of resource r (signed)
 *
 *     units_r(x) = x >> shift_r           10 where amounts are bytes (memory, ephemeral storage)
 *     weight_r   = most_r / units_r(allocatable_r), towards 0; 0 where nothing is allocatable
 *     room       = (sum over r of units_r(free_r clamped to [0, allocatable_r]) * weight_r) >> 29
 *     cost       = (sum over r of units_r(request_r) * weight_r) >> 29          both rounded down
 *     left       = offset + room - cost                                         0 <= left < 2^31
 *
 * so a resource contributes most_r * 2^-29 times its free share, and dividing by the allocatable
 * happens once per node, not per pod. Where the most allocated node is wanted, coefficients are
 * negative. A resource of which a node has none counts as used up there.
 *
 * Of cpu and memory a score sees more taken than what pods ask for: kube-scheduler takes each
 * container that asks for none for 100m and 200 MiB, or pods without requests would never stop
 * going to the node that is the best without them. Once a pod of the model has such *padding*
 * (engine/model/model.h), room and cost of a resource with padding p are of
 *
 *     free_r - free_p, clamped to [-allocatable_r, allocatable_r]
 *     request_r + padding,     as the node's whole where it is more
 *
 * Filters know nothing of it, so what is assumed may well be more than there is: down to as much
 * again a node then gets worse with every pod, and pods without requests go on spreading.
 *
 * Balanced allocation is why there may be two forms. With the free shares c and m of cpu and memory
 * kube-scheduler subtracts |c - m| / 2, which is max(c - m, m - c) / 2: subtracted from a linear
 * sum, that is the smaller of two linear sums. With its default weights they are 1 + c and 1 + m:
 * least allocated plus balanced is the smaller of the two free shares.
 *
 * One point of a profile's weights is worth unit = (2^31 - 2^10) / (sum of the weights), in all
 * parts of a score alike, so that a score stays below 2^31 (with padding, what is about room goes
 * from twice its weight below to its weight above, and counts three times in that sum):
 *
 *     score = min over forms of left + preferences of the class for the node
 * (engine/place/prefer.h)
 *             + what depends on the pods placed, by row (struct mu_scan_need)
 *
 * The largest score wins. Equal ones are decided by the node's `tie`, a hash of its name: smaller
 * wins, then the smaller name by bytes. So the choice does not depend on the order of rows. Score
 * and the top 31 bits of the tie share one key, of which the largest wins:
 *
 *     key = score << 31 | (2^32 - 1 - tie) >> 1         >= 0
 *
 * Rounding room and cost apart is deliberate: a form is then a term of the node alone minus one of
 * the class on a kind of node, base(node) - cost << 31. Nodes of equal allocatable rank the same in
 * it for all classes, which is what makes the bounds of engine/place/room.h tight.
 *
 * What differs from kube-scheduler: balanced allocation sees padding too, where that looks at
 * requests alone, and not at all for a pod without any, so that there remain two forms which a
 * placement never raises; what is taken beyond the whole goes on counting; an extended resource
 * counts for every pod, not only for those that ask for it; preferences are normalised over the
 * nodes that pass the static filters, not over those that are feasible at the moment, so that
 * placements do not shift them.
 */
#include "engine/model/model.h"
#include "engine/place/profile.h"

#define MU_SCORE_FORMS     2u
#define MU_SCORE_SLOTS     MU_PROFILE_RESOURCES_MAX
#define MU_SCORE_SUM_SHIFT 29
#define MU_SCORE_MAX       ((INT64_C(1) << 31) - 1)
#define MU_SCORE_TIE_BITS  31
#define MU_SCORE_KEY_NONE  INT64_C(-1) /* does not fit; below every key */

/* One resource of a form. Forms of one profile have the same slots: the profile's resources that
 * some node knows, and cpu and memory where they are to be balanced. A coefficient may be 0. */
struct mu_score_part {
    uint32_t resource; /* number */
    uint32_t padding;  /* number of what is assumed beyond it; MU_RESOURCES_MAX: nothing is */
    uint32_t padded;   /* 1: something is; 0. A score has no bytes that mean nothing */
    int shift;
    int64_t most; /* coefficient: units * weight of a whole node, below 2^60 in size */
};
struct mu_score_form {
    struct mu_score_part parts[MU_SCORE_SLOTS];
};
/* A profile for the resources of one snapshot. */
struct mu_score {
    uint32_t form_count;
    uint32_t slot_count;
    struct mu_score_form forms[MU_SCORE_FORMS];
    int64_t offset;
    /* The most that each of these adds to a score. */
    int64_t taints, node_affinity, images, spread, pod_affinity, fragmentation;
};

/* Compile a profile (mu_profile_check has passed). Extended resources are looked up among the first
 * `resource_count` of the model. Thread: any that may read the model. Cost: O(resource_count). */
void mu_score_compile(struct mu_score *score, const struct mu_profile *profile,
                      const struct mu_model *model, uint32_t resource_count);

/* most / units towards 0, 0 for nothing allocatable. `units` as above, may be <= 0. */
int64_t mu_score_weight(int64_t most, int64_t units);
/* The size of the largest weight that a node can have on which `units` fit: keeps a product with
 * another node's weight within `most`. */
int64_t mu_score_weight_limit(int64_t most, int64_t units);

/* With padding: the least of it that counts, in whole units. */
static inline int64_t mu_score_least(int64_t alloc, int shift)
{
    return -(int64_t)((uint64_t)(alloc >> shift) << shift);
}
/* One resource's part of room: units of free, clamped to [least, alloc], times weight. */
static inline int64_t mu_score_room_part(int64_t free_amount, int64_t alloc, int64_t least,
                                         int shift, int64_t weight)
{
    int64_t room = free_amount < alloc ? free_amount : alloc;
    room = room > least ? room : least;
    return (int64_t)((uint64_t)(room >> shift) * (uint64_t)weight);
}
/* One resource's part of cost: `limit` is mu_score_weight_limit() of the units. Only with padding
 * may a class fit where a positive weight is beyond it. */
static inline int64_t mu_score_cost_part(int64_t units, int64_t weight, int64_t limit)
{
    weight = weight < limit ? weight : limit;
    weight = weight > -limit ? weight : -limit;
    return (int64_t)((uint64_t)units * (uint64_t)weight);
}

/* The node's term of a form's key. */
static inline int64_t mu_score_base(int64_t offset, int64_t room_parts, int64_t tie_key)
{
    int64_t room = offset + (room_parts >> MU_SCORE_SUM_SHIFT);
    return (int64_t)((uint64_t)room << MU_SCORE_TIE_BITS) | tie_key;
}
/* The tie key in such a term; -1 of a hole, whose term is -1. */
static inline int64_t mu_score_base_tie(int64_t base)
{
    return (base & ((INT64_C(1) << MU_SCORE_TIE_BITS) - 1)) | -(int64_t)(base < 0);
}
/* The class's term of a form's key. */
static inline int64_t mu_score_cost(int64_t cost_parts)
{
    return (int64_t)((uint64_t)(cost_parts >> MU_SCORE_SUM_SHIFT) << MU_SCORE_TIE_BITS);
}
/* `tie` as in struct mu_node_static. */
static inline int64_t mu_score_tie_key(uint32_t tie)
{
    return (int64_t)((UINT32_MAX - tie) >> (32 - MU_SCORE_TIE_BITS));
}

/* The whole key without preferences, by the formulas above, for a node where the class fits: the
 * reference that the fast paths are held to. Amounts by resource number; padding is negative among
 * the requests. */
struct mu_score_node {
    int64_t free[MU_RESOURCES_MAX], alloc[MU_RESOURCES_MAX];
    uint32_t tie;
};
int64_t mu_score_key(const struct mu_score *score, const struct mu_score_node *node,
                     const int64_t requests[MU_RESOURCES_MAX]);

#endif
