#ifndef MU_ENGINE_PREEMPT_VICTIM_H
#define MU_ENGINE_PREEMPT_VICTIM_H
/*
 * Who could leave, in the units in which they leave: an index of the occupants of a snapshot.
 *
 *     solo       a pod without a gang, a gang of one, each pod of a MU_GANG_SINGLE gang
 *     surplus    a member of a gang beyond its minimum. Which ones they are is fixed: the least
 *                important first, that is of lower priority, started later, later in the list. Not
 *                in gangs with parts of their own minima (MU_GANG_PARTS): nobody can tell here
 *                which part could spare one
 *     whole      the other members of a gang. It leaves with all of the gang's surplus
 *     leaving    a pod that is terminating, or that was taken as a victim in this session: its
 *                room will be free, whoever asks
 *
 * A unit is left out when one of its pods may not be evicted: it is spared, it has not run for
 * long enough, nobody knows how much it occupies, or a member of its gang is on the way to a node
 * and in no list. Terminating members of a whole gang leave by themselves.
 *
 * Importance, which orders units where they compete: higher priority, then more pods, then started
 * earlier (unknown: just now), then the order of rows and of their lists. For pods without gangs
 * that is kube-scheduler's MoreImportantPod.
 *
 * Budgets. Candidates are classified as kube-scheduler does it, most important first: each pod that
 * is not being disrupted already takes one from every budget that covers it; one that finds nothing
 * left violates it. Victims that were taken in this session have taken theirs for good.
 */
#include "engine/place/place.h"

enum { MU_VICTIM_LEAVING = 1u << 0, MU_VICTIM_WHOLE = 1u << 1, MU_VICTIM_SURPLUS = 1u << 2 };

struct mu_victim_unit {
    int64_t weight;   /* sum over its pods of priority + 2^31 */
    int32_t priority; /* by which it is a victim */
    uint32_t started; /* earliest of its pods */
    uint32_t begin;   /* its pods: pods[begin .. begin + count) */
    uint32_t count;
    uint32_t flags;
    uint32_t whole;         /* SURPLUS: the unit that takes it along. WHOLE: its first
                     * surplus unit, they are numbered on from there */
    uint32_t surplus_count; /* WHOLE */
};
struct mu_victim_pod {
    uint32_t row;
    uint32_t at; /* in the row's list of occupants */
    uint32_t unit;
    uint32_t left; /* of a leaving unit: its place in the list of leaving pods */
};

struct mu_victims {
    const struct mu_snapshot *snapshot;
    uint32_t unit_count, unit_cap;
    struct mu_victim_unit *units;
    uint32_t pod_count, pod_cap;
    struct mu_victim_pod *pods;
    uint32_t row_cap;
    uint32_t *row_begin; /* rows + 1: pods of a row are row_pods[row_begin[row] .. [row + 1]) */
    uint32_t row_pod_cap;
    uint32_t *row_pods; /* most important first */
    /* By row: INT32_MIN where somebody leaves it, else at most the least priority of a unit that
     * has pods there, INT32_MAX for none. */
    uint32_t row_least_cap;
    int32_t *row_least;
    uint32_t leaving_count, leaving_cap;
    uint32_t *leaving; /* pods that are terminating, then those taken, in the order of taking */
    int32_t lowest;    /* priority of any unit that is not leaving; INT32_MAX: there is none */
    uint32_t ripe_s; /* when the next pod has run for long enough; UINT32_MAX: none is waited for */
    uint32_t budget_cap;
    int32_t *budget_left; /* allowed, less what was taken */
    int32_t *budget_used; /* by the classification in hand; 0 between two */
    uint32_t *budget_touched, budget_touched_count;
    uint32_t member_cap;
    struct mu_victim_member *members; /* scratch */
};

void mu_victims_init(struct mu_victims *victims);
void mu_victims_fini(struct mu_victims *victims);
/* Index the occupants of the snapshot that `place` works on. `protected_s`: seconds that a pod has
 * to have run at now_s (since 1970) before it can be a victim. Errors: MU_ENOMEM; to be made again.
 * Cost: O(occupants * log of those on one row). */
int mu_victims_build(struct mu_victims *victims, struct mu_place *place,
                     const struct mu_snapshot *snapshot, uint32_t protected_s, uint32_t now_s);
/* The unit leaves, alone: a victim of this session. Room for its pods was reserved (errors:
 * MU_ENOMEM; nothing has changed). True when some budget covers one of them. Cost: O(its pods *
 * budgets). */
int mu_victims_reserve(struct mu_victims *victims, uint32_t pods);
bool mu_victims_take(struct mu_victims *victims, uint32_t unit);

static inline const struct mu_occupant *mu_victim_occupant(const struct mu_victims *victims,
                                                           const struct mu_victim_pod *pod)
{
    return &victims->snapshot->occupants[pod->row]->pods[pod->at];
}
/* True when a unit can be evicted for a preemptor of this priority. */
static inline bool mu_victim_below(const struct mu_victim_unit *unit, int32_t priority)
{
    return (unit->flags & MU_VICTIM_LEAVING) == 0 && unit->priority < priority;
}
/* False: nobody leaves this row, nor could for a preemptor of this priority. */
static inline bool mu_victims_matter(const struct mu_victims *victims, uint32_t row,
                                     int32_t priority)
{
    return victims->row_least[row] < priority || victims->row_least[row] == INT32_MIN;
}
/* Whether unit a is more important than unit b. */
bool mu_victim_more_important(const struct mu_victims *victims, uint32_t a, uint32_t b);
/* Classify a unit, after all that are more important: the number of its pods that violate a budget.
 * Ended by mu_victims_classified(). Cost: O(pods * budgets). */
uint32_t mu_victims_classify(struct mu_victims *victims, uint32_t unit);
void mu_victims_classified(struct mu_victims *victims);

#endif
