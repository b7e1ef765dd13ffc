#ifndef MU_ENGINE_PLACE_PLACE_H
#define MU_ENGINE_PLACE_PLACE_H
/*
 * Placing: which node a pod of a class gets, and taking the room there, in the snapshot itself.
 *
 * The answer to mu_place_pick() is defined by engine/place/filter.h and engine/place/score.h alone:
 * of the nodes that no filter refuses, the one with the largest key. How it is found depends on the
 * work:
 *
 *     the class was found to fit nowhere, and no room grew since     nothing
 *     the class is pinned by its hostname or name                     its rows, found by it
 *     rules about other pods concern it                               bounds, under their mask
 *     else                    what is cheapest by measure (engine/place/choose.h): the search over
 * all summaries, the class's own bounds, its tree, or ranks
 *
 * Where devices are tracked one by one, taking room chooses some of them (engine/device.h) and the
 * two columns that follow from them are derived anew; undoing puts back the same ones.
 *
 * Every change is logged. A trial is the part of the log behind its mark: mu_place_rollback()
 * undoes it in reverse, mu_place_commit() keeps it, and mu_place_end() undoes everything, so that
 * the snapshot goes back byte by byte as it came.
 *
 * "Fits nowhere" is remembered. Room only shrinks while placements are added, so what is found with
 * an empty trial holds for the rest of the session, and what is found within a trial holds until it
 * is rolled back. If nothing is placed at all, it is a fact about the snapshot, and holds as long
 * as neither a node object nor, anywhere, room grows: (static_generation, capacity_generation).
 * Where rules about other pods concern a pod (engine/place/terms.h), what was found is remembered
 * for its kin and for one state of the counts too, since a placement can open a node as well as
 * fill it. Room that is handed back for a member with held room (mu_place_pick_held) is taken
 * again, or used, within the same trial; meanwhile nothing is remembered or recalled.
 */
#include "engine/base/arena.h"
#include "engine/place/room.h"
#include "engine/place/terms.h"
#include "engine/verdict.h"

/* What placing has to know of a pod. */
struct mu_place_pod {
    struct mu_class_ix class_ix;
    struct mu_kin_ix kin;
};

/* How far a gang gets, and what stops it; of one that has to stay in one domain, in the domain that
 * takes most of it, and the refusals are of the nodes there. */
struct mu_place_reach {
    struct mu_symbol domain; /* value of its label; 0: the gang need not stay in one, or none takes
                              * any member */
    uint32_t placed;         /* members that find room together, one after another */
    uint32_t member; /* of its block: the first that then finds none; MU_NONE: nothing stops it */
    struct mu_refusals refusals; /* of that member, with the placed ones in place */
};
struct mu_plan;

struct mu_place; /* opaque; one thread */

/* `profile` is borrowed for its life. `ops`: NULL for the best that the machine has. Owns: caller.
 * Errors: NULL when out of memory. */
struct mu_place *mu_place_create(const struct mu_profile *profile, const struct mu_scan_ops *ops);
void mu_place_destroy(struct mu_place *place);

/* Work on `snapshot` until mu_place_end(), which hands it back unchanged. Cost of begin: O(rows
 * that have changed since the last session, by the snapshot's lists); of end: O(placements). */
void mu_place_begin(struct mu_place *place, struct mu_snapshot *snapshot);
void mu_place_end(struct mu_place *place);
/* Forget all caches; answers do not change. Between sessions. */
void mu_place_drop_caches(struct mu_place *place);

/* Whom picks, fits and explanations are for from now on, until the session's end: pods that are
 * nominated to a node with no lower priority keep their room there, but for those of `gang`
 * (MU_NONE: none). At the begin: nobody, nothing is kept. */
void mu_place_whom(struct mu_place *place, int32_t priority, struct mu_gang_ix gang);
/* A pod's room is taken, and stays so: for the rest of the session its nomination, if it has one,
 * keeps none. Cost: O(log nominations). */
void mu_place_nomination_over(struct mu_place *place, struct mu_pod_ix pod);
/* Where picks, fits and what follows from them look from now on, until the session's end: at the
 * rows of one domain of topology number `topology` (MU_NONE: of all), less those of a bitmap over
 * all rows, in whole words, which is borrowed while it is set (NULL: none). Slots (mu_place_short)
 * and explanations are of all rows. At the begin: everywhere. Errors: MU_ENOMEM; it is everywhere
 * then. Cost: O(rows), and O(rows / 64) for each class picked for. */
int mu_place_within(struct mu_place *place, uint32_t topology, uint32_t domain);
int mu_place_without(struct mu_place *place, const uint64_t *rows);
bool mu_place_is_within(const struct mu_place *place);
/* The best node for such a pod, or MU_NONE. Errors: MU_ENOMEM; nothing has changed.
 * Cost: see engine/place/room.h and engine/place/choose.h; O(rows) for the first pick over a
 * snapshot that does not say what has changed. */
int mu_place_pick(struct mu_place *place, struct mu_place_pod pod, struct mu_node_ix *out);
/* The score of such a pod on one row (engine/place/score.h: below 2^31), -1 where room or requests
 * refuse it; other rules are not looked at. What all rows that pass are liked alike for
 * (engine/place/prefer.h) is not in it: scores of one pod compare with each other alone. Errors:
 * MU_ENOMEM. Cost: O(1) once the class is known, O(rows) for the first row where something depends
 * on the pods placed. */
int mu_place_score(struct mu_place *place, struct mu_place_pod pod, struct mu_node_ix node,
                   int64_t *score);
/* Take the room of one such pod on a row where it fits. Errors: MU_ENOMEM. Cost: O(1), and
 * O(censuses that it is counted in). */
int mu_place_take(struct mu_place *place, struct mu_place_pod pod, struct mu_node_ix node);
/* Pick and take. *out is MU_NONE when it fits nowhere. Errors: MU_ENOMEM; nothing has changed. */
int mu_place_put(struct mu_place *place, struct mu_place_pod pod, struct mu_node_ix *out);
/* Put `want` such pods one after the other: pod i goes to row nodes[i] with devices[i] of it, where
 * so many mu_place_put() would have put them. *count < want: the next one fits nowhere. Errors:
 * MU_ENOMEM; nothing has changed. Cost: as single ones, or some 30 ns a pod where nothing but the
 * pods themselves moves the keys of rows (engine/place/run.c). */
int mu_place_put_run(struct mu_place *place, struct mu_place_pod pod, uint32_t want,
                     uint32_t *nodes, uint16_t *devices, uint32_t *count);
/* Devices that the last take gave, 0 where none are tracked: of mu_place_take(), mu_place_put() and
 * mu_place_pick_held() with a node. */
uint16_t mu_place_devices(const struct mu_place *place);
/* The same for the member that holds `charged` room on `held`, with `devices` of it: its room there
 * counts as free for it. Picks and takes; *out is MU_NONE when it fits nowhere. When another node
 * is better, the held room stays charged for this session. */
int mu_place_pick_held(struct mu_place *place, struct mu_place_pod pod, struct mu_node_ix held,
                       uint16_t devices, struct mu_node_ix *out);
/* The member is placed where it holds room: its room is charged as it is, and from now on it counts
 * as a pod that others may rest on. Errors: MU_ENOMEM; nothing has changed. Cost: as a take. */
int mu_place_stay(struct mu_place *place, struct mu_place_pod pod, struct mu_node_ix held,
                  uint16_t devices);

/* Which of the rows [begin, begin + MU_NODE_CHUNK) fit such a pod: a bit each. `begin` is a
 * multiple of MU_NODE_CHUNK. Errors: MU_ENOMEM. Cost: O(requests). */
int mu_place_fits(struct mu_place *place, struct mu_place_pod pod, uint32_t begin, uint64_t *bits);
/* The same by static rules alone, whatever room there is: more can never fit there. */
int mu_place_may(struct mu_place *place, struct mu_place_pod pod, uint32_t begin, uint64_t *bits);
/* Whether pods are nominated to a row that count against those being placed. Cost: O(log
 * nominations), and those to the row. */
bool mu_nominated_to(struct mu_place *place, uint32_t row);
/* *is_short: fewer than `want` such pods find room, had they that of all nodes to themselves; rules
 * about other pods left out, they only make it less. Not within a trial. That is remembered like
 * "fits nowhere", which is its case of want 1. Errors: MU_ENOMEM. Cost: O(1) when known to be
 * short, else O(want + rows / 64). */
int mu_place_short(struct mu_place *place, struct mu_place_pod pod, uint32_t want, bool *is_short);

/* Open a trial: what is taken from now on can be undone. A trial within a trial becomes a part of
 * the outer one when it is committed; MU_PLACE_TRIALS_MAX deep. */
#define MU_PLACE_TRIALS_MAX 4u
void mu_place_trial(struct mu_place *place);
void mu_place_commit(struct mu_place *place);
void mu_place_rollback(struct mu_place *place);

/* Give back the room of an occupant of `row`, as if it had left: amounts, devices, and what rules
 * about other pods count. Within a trial, each once. While any is gone, nothing that is found to
 * fit nowhere is remembered or recalled. Of over-committed devices none are given back.
 * Errors: MU_ENOMEM; nothing has changed. Cost: O(requests + censuses that it is counted in). */
int mu_place_evict(struct mu_place *place, struct mu_node_ix row,
                   const struct mu_occupant *occupant);
/* It is back. */
int mu_place_return(struct mu_place *place, struct mu_node_ix row,
                    const struct mu_occupant *occupant);
/* False where it is not known what would be free without it: a saturated request, or sums that
 * have forgotten how much is charged. Errors: MU_ENOMEM. */
int mu_place_evictable(struct mu_place *place, struct mu_node_ix row,
                       const struct mu_occupant *occupant, bool *evictable);
/* Take the room of a pod where it is planned to go, with these devices: what is free may fall below
 * zero. `waits`: for victims, so that no required affinity counts it. Errors: MU_ENOMEM; nothing
 * has changed. Cost: as mu_place_take(). */
int mu_place_charge(struct mu_place *place, struct mu_place_pod pod, struct mu_node_ix node,
                    uint16_t devices, bool waits);

/* True while nothing is taken: what is found now is a fact about the snapshot. */
bool mu_place_untouched(const struct mu_place *place);
/* Changes that stand: as long as it is the same outside trials, so is the room. */
uint32_t mu_place_taken(const struct mu_place *place);

/* Count why such a pod fits where it does not. Counted once per session for a class, at the first
 * call, and then valid until the next session begins or caches are dropped. Where rules about other
 * pods concern the pod, or pods are nominated to a node, the counts are the pod's own, and valid
 * until the next call. Not within a trial. Errors: MU_ENOMEM. Cost: O(rows), and O(rows / 64) for
 * each rule about other pods, as mu_terms_mask(); O(1) for a class or a pod that was counted; and a
 * mu_place_verdict() for each node with nominations, which are looked at again there. */
int mu_place_explain(struct mu_place *place, struct mu_place_pod pod,
                     const struct mu_refusals **out);
/* Members of a pending gang that must find a node for `size` of it, and the minima, to be placed.
 */
uint32_t mu_place_need(const struct mu_gang_row *gang, uint32_t size);
/* What room the domains of a topology have for that, counted class by class as if the others took
 * none; engine/place/domains.c says what is left out. Those with enough come first, with the fewest
 * places first; then the others, with the most members first; names break ties. Domains without
 * any room are not listed. Owns: the arena. Errors: MU_ENOMEM.
 * Cost: O(rows * classes + domains log domains). */
struct mu_place_domain {
    uint32_t domain;
    struct mu_symbol value; /* of the label that makes it */
    uint32_t most;          /* members that find room, at most */
    uint64_t slots;         /* places for pods of all its classes, each as if it was alone */
    bool enough;
};
struct mu_place_domains {
    uint32_t count;
    struct mu_place_domain *items;
};
int mu_place_domains(struct mu_place *place, const struct mu_gang_row *gang, uint32_t size,
                     uint32_t topology, struct mu_arena *arena, struct mu_place_domains *out);
/* Place what has to run together of a pending gang, `size` members of it at least, in canonical
 * order, as far as that goes; then all is undone. Within a trial: beside what it has changed.
 * *out is the caller's, without pointers. Errors: MU_ENOMEM.
 * Cost: O(rows) and a pick per member; where rules about other pods concern them, O(rows) each. */
int mu_place_reach(struct mu_place *place, const struct mu_gang_row *gang, uint32_t size,
                   struct mu_place_reach *out);
/* Take the room of all that a plan over this very snapshot places. Errors: MU_ENOMEM, with a part
 * of it taken. Cost: O(placements). */
int mu_place_apply(struct mu_place *place, const struct mu_plan *plan);
/* The verdict on one present row, by all rules and the present room and counts. Errors: MU_ENOMEM.
 * Cost: O(labels + taints + requests) and the rules about other pods, as mu_terms_verdict(): the
 * class's own; for each of its host ports a search among all that are in use, and those in its way;
 * the required terms that others have about the kin, tens of thousands perhaps, unless none of
 * those has moved since they were last gone through. Where pods are nominated to the row: twice. */
int mu_place_verdict(struct mu_place *place, struct mu_place_pod pod, struct mu_node_ix node,
                     struct mu_verdict *out);

/* What was done so far: by which way picks were answered. For benches, tests and metrics. */
struct mu_place_counts {
    uint64_t picks;
    uint64_t recalled; /* known to fit nowhere */
    uint64_t pinned;
    uint64_t by_rank;
    uint64_t by_tree;
    uint64_t by_search;
    uint64_t by_bounds;
    uint64_t by_run; /* in bulk */
    uint64_t visits; /* blocks of 64 nodes or summaries that they looked at */
    uint64_t trees_built;
    uint64_t looks;          /* requirements of node affinity looked at, about 6 ns each, and what
                              * rules and preferences about other pods cost, in as many */
    uint64_t rows_explained; /* one by one, for pods that rules about other pods concern */
    uint64_t nominations;    /* looked at, to find those to a row */
};
void mu_place_counts(const struct mu_place *place, struct mu_place_counts *out);

#endif
