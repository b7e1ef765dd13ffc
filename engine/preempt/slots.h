#ifndef MU_ENGINE_PREEMPT_SLOTS_H
#define MU_ENGINE_PREEMPT_SLOTS_H
/* The state of a search by slots, shared with the exact one (engine/preempt/exact.c). */
#include "engine/preempt/preempt_priv.h"

#define MU_PREEMPT_EXACT_MAX 24u

struct mu_slots_range {
    uint32_t begin, count;
};
struct mu_slots_part {
    uint32_t at;   /* row, as the search has them */
    uint32_t kind; /* amounts */
    uint32_t pod;  /* number in the index of victims */
};

struct mu_slots {
    struct mu_preempt *p;
    struct mu_preempt_gang *gang;
    struct mu_row_need need;
    int64_t want; /* slots */
    int64_t sum;  /* of them on all rows, with the units in the set gone */
    /* Rows that somebody leaves, or could. Of each its slots, then the amounts that it has, all one
     * behind the other: units are taken in an order that has nothing to do with rows. */
    uint32_t row_count;
    struct mu_row_room *rooms;
    int64_t *table;
    uint32_t *index; /* by row of the snapshot: of the two above, MU_NONE: none */
    /* Units that could leave one of them, least important first; those that violate a budget are
     * the most important. */
    uint32_t count;
    uint32_t *units;
    /* Their pods on these rows: parts[of[unit].begin .. + count), and what such a pod has of the
     * demands, by kind. */
    struct mu_slots_range *of; /* by number of unit */
    struct mu_slots_part *parts;
    int64_t *kinds;
    /* The best set so far. */
    bool found;
    uint32_t best_count;
    uint32_t *best;
    struct mu_preempt_cost best_cost;
};

/* Whether a unit is in the set. */
static inline bool mu_slots_has(const struct mu_slots *s, uint32_t unit)
{
    return s->p->marks[unit] != 0;
}
/* Put one unit into the set, or take it out; s->sum follows. What goes along is the caller's. */
void mu_slots_put(struct mu_slots *s, uint32_t unit);
void mu_slots_drop(struct mu_slots *s, uint32_t unit);
/* The set as it is becomes the best one if it is better, or the first. */
void mu_slots_offer(struct mu_slots *s);
/* Offer every set that could be the best, over at most MU_PREEMPT_EXACT_MAX units. The set is empty
 * before and after. False: not all, the steps have run out. */
bool mu_slots_exact(struct mu_slots *s);

#endif
