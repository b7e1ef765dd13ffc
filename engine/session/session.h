#ifndef MU_ENGINE_SESSION_SESSION_H
#define MU_ENGINE_SESSION_SESSION_H
/*
 * A session: queue -> place -> plan over one snapshot, a pure function of (snapshot, now,
 * configuration). Caches only make it faster: the same plan with every cache dropped.
 *
 * Gangs are looked at in the order of engine/session/queue.h. Whether a gang can be tried at all:
 *
 *     quiet     its size is not known, and members may still arrive: until settle_ns. Then its size
 *               is the number of its live members
 *     gated, unbuilt    without its blocked members it cannot reach its size, or the minimum of a
 *               sub-group; an unsized gang waits for all of them
 *     members   the same without blocked members: more have to arrive
 *
 * All or nothing: every sub-group's minimum (all its pending members where it states none), and
 * more members up to the size where the minima add up to less, placed greedily in canonical order;
 * a member that fits nowhere is passed over while enough others are left. If that fails, all is
 * undone. Then come the members beyond, each on its own. A lone pod is a gang of one.
 *
 * A gang with a pack_key is laid out in one domain of that label: in the one where members of it
 * have a place, else in the one with enough room and the fewest places for it
 * (engine/place/place.h, mu_place_domains). One that need not (no MU_GANG_PACK_REQUIRED) is laid
 * out anywhere where no domain takes it.
 *
 * A gang without room lets those behind it in the queue go ahead; one that has waited for long has
 * nodes kept from them (engine/session/reserve.c says which), so that they cannot starve it.
 * Strict, it blocks them: all that could be tried behind it wait (MU_WAIT_BEHIND).
 *
 * Where greedy fails, the answer is FIT (it is placed, in another way), NO (MU_WAIT_NO_FIT: no way
 * exists) or UNDECIDED: neither was found within a budget of steps, or the search does not cover
 * the gang, which then was laid out in four ways. It covers members of up to 16 classes, each
 * sub-group's by themselves, which no rule about other pods concerns, that hold no room and ask for
 * no part of a device. Greedy alone is exact for one class, with at most one rule about other pods
 * that its own members change (engine/place/terms.h). A gang whose steps ran out is searched for
 * with four times as many in the next sessions, twice at most while nothing changes: these attempts
 * count to what a session depends on, and are not a cache.
 *
 * A gang of mixed classes (or with held room) is not tried when of one of its first 16 classes more
 * members must be placed than there is room for, counted as if the others took none. The first such
 * class in canonical order is the one it waits for.
 *
 * A gang for which there is no room asks who could leave for it (engine/preempt/preempt.h). What it
 * gets is taken for the rest of the run; to others its victims are still there.
 *
 * A gang that is bound in part, in which somebody waits, is completed wherever there is room,
 * before all others. How long that is tried, and what then, is the cluster operator's choice (enum
 * mu_short_policy; engine/session/end.c).
 *
 * Retrying costs little when nothing changed: classes that fit nowhere, or not often enough, are
 * known (engine/place/place.h) until room grows or a node object changes; so is a gang of one class
 * that did not fit the untouched snapshot. Any other such gang is not tried again on the same
 * snapshot, nor is its like that comes next in the queue.
 */
#include "engine/plan.h"
#include "engine/place/profile.h"

/* What becomes of a gang that is bound in part and cannot be completed. */
enum mu_short_policy {
    MU_SHORT_COMPLETE, /* it is completed until its deadline, and ended then */
    MU_SHORT_END,      /* the same; one that was whole and has lost members is ended at once */
    MU_SHORT_KEEP      /* it is completed when there is room, however long that takes */
};

struct mu_session_config {
    const struct mu_profile *profile; /* copied; NULL: default. mu_profile_check() has passed */
    uint32_t gang_step_budget; /* picks per gang before UNDECIDED; 0: default, which no gang within
                                * MU_GANG_MEMBERS_MAX reaches */
    size_t arena_bytes_max;    /* of a plan and its making; 0: default */
    bool strict;               /* a gang without room blocks all behind it */
    uint64_t reserve_after_ns; /* nodes are kept for a gang that has waited so long for room since
                                * its last member came; 0: never */
    enum mu_short_policy short_gangs;
    uint64_t gang_deadline_ns; /* given to a gang that is bound in part; 0: no plan ends one. A
                                * gang's own timeout takes its place until it was whole once */
    bool preempts;             /* plans may have victims */
    uint32_t min_run_s;        /* a pod that has run for less is no victim */
    uint32_t evictions_max;    /* pods that one run may evict; 0: any number */
};

struct mu_session; /* opaque; one thread */

/* Owns: caller, until destroy. Errors: NULL when out of memory. */
struct mu_session *mu_session_create(const struct mu_session_config *config);
void mu_session_destroy(struct mu_session *session);
/* Decide over `snapshot` at now_ns. *plan is valid until the next run. The snapshot is unchanged
 * on return. Errors: MU_ENOMEM (no plan). Cost: O(pending gangs * log + placements * scan). */
int mu_session_run(struct mu_session *session, struct mu_snapshot *snapshot, uint64_t now_ns,
                   const struct mu_plan **plan);
/* Seconds since 1970 at the next run: how long pods have run by then. Needed with min_run_s. */
void mu_session_unix(struct mu_session *session, uint32_t now_s);
/* From the next run on, a run may evict `max` pods (UINT32_MAX: any number), and for the first gang
 * that needs more than these, if `any_first`, as many as it needs. They are given out in the order
 * of the queue: once a gang needs more than are left, those behind it get none, or it would starve
 * (mu_plan.evictions_short). */
void mu_session_evictions(struct mu_session *session, uint32_t max, bool any_first);
/* Forget every cache (tests: the plan must not change). */
void mu_session_drop_caches(struct mu_session *session);
/* How picks were answered so far (engine/place/place.h). */
struct mu_place_counts;
void mu_session_counts(const struct mu_session *session, struct mu_place_counts *out);
/* Node affinity is judged once for a class, at up to MU_REQUIREMENTS_MAX requirements a node, and
 * so is what it prefers: the gang of the last run for which that cost the most, and what it cost,
 * in requirements looked at (about 6 ns each). Returns 0 and no gang (MU_NONE) when nothing had to
 * be judged. */
uint64_t mu_session_costliest(const struct mu_session *session, struct mu_gang_ix *gang);

#endif
