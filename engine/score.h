#ifndef MU_ENGINE_SCORE_H
#define MU_ENGINE_SCORE_H
/*
 * Scores: which feasible node a class prefers, in integers alone, so that every compiler and
 * instruction set agrees.
 *
 * A node has *room*, a class has a *cost* there, and what is left after placing is their
 * difference; cpu and memory weigh the same. For r in {cpu, memory}
 *
 *     units_r(x) = x >> shift_r                      millicores; memory in KiB
 *     weight_r   = floor((2^59 - 1) / units_r(allocatable_r)), 0 where nothing is allocatable
 *     room       = (sum over r of units_r(free_r clamped to [0, allocatable_r]) * weight_r) >> 29
 *     cost       = (sum over r of units_r(request_r) * weight_r) >> 29
 *     left       = room - cost
 *
 * so one resource contributes about 2^30 times its free share, and left < 2^31. Dividing by the
 * allocatable happens once per node, not per pod. On a node where the class fits every summand of
 * room is at least that of cost, so left >= 0.
 *
 * SPREAD (least allocated) wants the most left, PACK (most allocated) the least. Equal scores are
 * decided by the node's `tie`, a hash of its name: smaller wins, then the smaller name by bytes. So
 * the choice does not depend on the order of rows. Score and the top 31 bits of the tie share one
 * key, of which the largest wins:
 *
 *     key = (SPREAD: left, PACK: 2^31 - 1 - left) << 31 | (2^32 - 1 - tie) >> 1         >= 0
 *
 * Rounding room and cost apart is deliberate: the key is then a term of the node alone plus one of
 * the class on a kind of node, key = base(node) -+ cost << 31. Nodes of equal allocatable rank the
 * same for all classes, which is what makes the bounds of engine/room.h tight.
 */
#include <stdint.h>
#include "engine/session.h"

#define MU_SCORE_SHIFT_CPU    0
#define MU_SCORE_SHIFT_MEMORY 10
#define MU_SCORE_PART_MAX     ((INT64_C(1) << 59) - 1) /* units * weight of one resource */
#define MU_SCORE_SUM_SHIFT    29
#define MU_SCORE_LEFT_MAX     ((INT64_C(1) << 31) - 1)
#define MU_SCORE_TIE_BITS     31
#define MU_SCORE_KEY_NONE     INT64_C(-1) /* does not fit; below every key */

_Static_assert((2 * MU_SCORE_PART_MAX) >> MU_SCORE_SUM_SHIFT <= MU_SCORE_LEFT_MAX,
               "two full resources stay within 31 bits, so that base + cost << 31 cannot overflow");

/* floor((2^59 - 1) / units), 0 for nothing allocatable. `units` as above, may be <= 0. */
int64_t mu_score_weight(int64_t units);
/* The largest weight that a node can have on which `units` fit: keeps a product with another
 * node's weight within MU_SCORE_PART_MAX. */
int64_t mu_score_weight_limit(int64_t units);

/* One resource's part of room: units of free, clamped to what is allocatable, times weight. */
static inline uint64_t mu_score_room_part(int64_t free_amount, int64_t alloc, int shift,
                                          int64_t weight)
{
    int64_t room = free_amount < alloc ? free_amount : alloc;
    room = room > 0 ? room : 0;
    return (uint64_t)(room >> shift) * (uint64_t)weight;
}

/* The node's term of the key. `tie` as in struct mu_node_static. */
static inline int64_t mu_score_base(enum mu_score_policy policy, uint64_t room_parts,
                                    int64_t tie_key)
{
    int64_t room = (int64_t)(room_parts >> MU_SCORE_SUM_SHIFT);
    int64_t score = policy == MU_SCORE_SPREAD ? room : MU_SCORE_LEFT_MAX - room;
    return (int64_t)((uint64_t)score << MU_SCORE_TIE_BITS) | tie_key;
}
static inline int64_t mu_score_tie_key(uint32_t tie)
{
    return (int64_t)((UINT32_MAX - tie) >> (32 - MU_SCORE_TIE_BITS));
}

/* The whole key, by the formulas above, for a node where the class fits: the reference that the
 * fast paths are held to. Amounts in the scheduler's units. */
struct mu_score_node {
    int64_t free_cpu, free_memory;
    int64_t alloc_cpu, alloc_memory;
    uint32_t tie;
};
int64_t mu_score_key(enum mu_score_policy policy, const struct mu_score_node *node,
                     int64_t request_cpu, int64_t request_memory);

#endif
