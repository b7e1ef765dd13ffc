#ifndef MU_ENGINE_PREEMPT_PREEMPT_H
#define MU_ENGINE_PREEMPT_PREEMPT_H
/*
 * Preemption: who has to leave so that a gang that found no room fits, proved by placing it.
 *
 * F(V) is "the whole gang is placed once the units V are gone", as the caller's own layout finds
 * it. Answered is a V (engine/preempt/victim.h) with F(V) of which no unit can be spared: F is
 * false for V less any one of them. Units are of strictly lower priority than the gang; what is
 * free, and what is about to be free because pods leave already, is used first: when that alone is
 * enough, nobody is evicted and the gang waits. When no V makes room for all of it, nobody is
 * evicted.
 *
 * Of two answers the better one is, in this order:
 *
 *     fewer pods that violate a budget; lower highest priority; smaller sum of priority + 2^31;
 *     fewer pods; later earliest start among the units of the highest priority
 *
 * Three ways, by what is known of the gang:
 *
 *     one pod       each node by itself, as kube-scheduler does it: all lower units leave, then
 *                   each is spared, most important first, those that violate a budget before the
 *                   others, as long as the pod fits. The best node's victims; ties go to the
 *                   node's hash, then to the row. Nodes keep their place in a heap over a session,
 *                   by class and priority: only those that changed are looked at again
 *     one class     slots. The gang fits where the sum over nodes of how often the class fits is
 *                   enough, so sparing a unit is a matter of the nodes that it is on. Units are
 *                   added, least important first, until there are enough, then spared, most
 *                   important first; again in other orders, and one for another, within a budget of
 *                   steps; every subset, cut where it cannot become the best, of a few
 *     any other     all leave, the gang is laid out once, units are spared as long as every member
 *                   keeps its node, then again as long as the gang can be laid out anew
 *
 * What a run of the session has decided stands: victims of one gang leave, for all that come after
 * it in that session (mu_preempt_commit), and are nobody's victims again.
 *
 * "Nobody helps" is remembered: for the session, and for a gang as long as nothing moved. Where
 * things move all the time and many gangs ask in vain, a run looks at as many as its steps are for,
 * in the order of asking, and then at as many of those that the runs before have not come to: each
 * has its turn. The others are told to come again.
 */
#include "engine/base/arena.h"
#include "engine/place/place.h"
#include "engine/plan.h"

struct mu_preempt_config {
    uint32_t min_run_s; /* pods that have run for less are no victims */
    uint32_t steps_max; /* of one search, 0: MU_PREEMPT_SEARCH_STEPS */
    uint32_t run_steps; /* 0: MU_PREEMPT_RUN_STEPS */
};

enum mu_preempt_outcome {
    MU_PREEMPT_NONE,  /* nobody's leaving helps */
    MU_PREEMPT_WAIT,  /* those who leave already make room */
    MU_PREEMPT_FOUND, /* the victims below */
    MU_PREEMPT_LIMIT, /* there are some, more than may be evicted now */
    MU_PREEMPT_LATER  /* it was not looked at: the run has no more steps */
};

/* What is asked. The placement works on the snapshot, for the gang (mu_place_whom), with nothing
 * but what stands taken. */
struct mu_preempt_ask {
    struct mu_place *place;
    const struct mu_snapshot *snapshot;
    struct mu_gang_ix gang;
    uint32_t size;      /* the minimum that it is placed for */
    uint32_t evict_max; /* pods */
    /* By member of the gang's block: row or MU_NONE, and devices. Filled when FOUND. */
    uint32_t *nodes;
    uint16_t *devices;
    /* Lay out the minimum in whatever ways there are, in the trial that is open, and leave it there
     * with nodes and devices filled; or leave nothing. Errors end the search. */
    int (*lay)(void *context, bool *done);
    void *context;
    struct mu_arena *arena; /* for the victims */
};

/* How good an answer is. */
struct mu_preempt_cost {
    uint32_t violations;
    int32_t priority; /* INT32_MIN: no victims */
    int64_t weight;
    uint32_t pods;
    uint32_t started;
};
/* True when a is the better one. */
bool mu_preempt_cheaper(const struct mu_preempt_cost *a, const struct mu_preempt_cost *b);

struct mu_preempt_found {
    enum mu_preempt_outcome outcome;
    struct mu_preempt_cost cost; /* FOUND, LIMIT */
    uint32_t evict_count;        /* FOUND: victims by unit, then who leaves already */
    const struct mu_plan_evict *evicts;
};

struct mu_preempt; /* opaque; one thread */

/* Owns: caller. Errors: NULL when out of memory. */
struct mu_preempt *mu_preempt_create(const struct mu_preempt_config *config);
void mu_preempt_destroy(struct mu_preempt *preempt);
/* A session over this snapshot begins, at now_s seconds since 1970. Cost: O(1). */
void mu_preempt_begin(struct mu_preempt *preempt, const struct mu_snapshot *snapshot,
                      uint32_t now_s);
/* Forget all that is known, in a session or over sessions; answers do not change. */
void mu_preempt_drop_caches(struct mu_preempt *preempt);
/* Find victims for a gang that was laid out in vain. Everything is as before on return. Errors:
 * MU_ENOMEM. Cost: O(occupants) the first time in a session; one pod: O(rows + victims of the rows
 * that changed); one class: O(rows + candidates * log candidates); any other: a few layouts and one
 * per victim. */
int mu_preempt_find(struct mu_preempt *preempt, const struct mu_preempt_ask *ask,
                    struct mu_preempt_found *out);
/* The first second, since 1970, from which some pod will have run for long enough that has not now;
 * UINT32_MAX: there is none. Where nobody has looked in this session: the next second. */
uint32_t mu_preempt_ripe_s(const struct mu_preempt *preempt);
/* The victims that were found last leave, and the gang's members take their room as found: each by
 * mu_place_charge(). Errors: MU_ENOMEM; nothing has changed. */
int mu_preempt_commit(struct mu_preempt *preempt, const struct mu_preempt_ask *ask);

/* For tests, benches and metrics. */
struct mu_preempt_counts {
    uint64_t searches;
    uint64_t recalled;    /* known to find nobody */
    uint64_t rows_judged; /* by the way for one pod */
    uint64_t unproved;    /* victims kept because the steps ran out */
    uint64_t steps;       /* taken by all searches */
    uint64_t postponed;   /* told to come again */
};
void mu_preempt_counts(const struct mu_preempt *preempt, struct mu_preempt_counts *out);

#endif
