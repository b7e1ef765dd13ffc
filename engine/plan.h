#ifndef MU_ENGINE_PLAN_H
#define MU_ENGINE_PLAN_H
/*
 * A session's output: which gangs go where, and why the others wait. Allocated in the session's
 * arena; valid until the session's next run. Rows and generations are those of the snapshot; the
 * DB checks them again when it admits a gang (engine/db/db.h).
 */
#include "engine/snapshot.h"
#include "engine/verdict.h"

struct mu_plan_bind {
    struct mu_pod_ix pod;
    struct mu_uid uid;
    uint64_t version; /* precondition of the bind */
    struct mu_node_ix node;
    uint32_t node_generation;
    uint64_t devices; /* bit per device of the node that the pod gets; 0: none is tracked */
};
/* A pod that has to go before any of the gang's binds is written. */
enum {
    MU_EVICT_LEAVING = 1u << 0 /* it leaves already, by itself or as another gang's victim: to be
                                * waited for, not to be deleted for this one */
};
struct mu_plan_evict {
    struct mu_pod_ix pod;
    uint32_t check; /* struct mu_occupant */
    struct mu_node_ix node;
    struct mu_gang_ix gang; /* its own; MU_NONE: none of ours */
    uint32_t flags;
};
struct mu_plan_gang {
    struct mu_gang_ix gang;
    uint32_t gang_generation;
    uint32_t gang_revision;
    uint32_t size; /* the minimum that this placement was made for; freezes an unsettled gang */
    uint32_t bind_count;
    const struct mu_plan_bind *binds;
    /* Its victims, whole units, unit by unit, and behind them whom else it waits for; 0: none.
     * The binds fit once all of them are gone. */
    uint32_t evict_count;
    const struct mu_plan_evict *evicts;
    uint32_t budget_violations; /* victims that a disruption budget would have kept */
};
struct mu_plan_wait {
    struct mu_gang_ix gang;
    uint32_t gang_generation;
    enum mu_wait_kind kind;
    uint32_t have;     /* MEMBERS: members seen; NO_FIT: members placed before */
    uint32_t need;     /* MEMBERS, NO_FIT: the minimum */
    uint32_t rules;    /* UNBUILT: set of enum mu_rule */
    uint64_t until_ns; /* QUIET: when it counts as complete */
    bool overdue; /* it states a timeout and has waited for longer than that since its last member
                   * came, with nobody bound. It goes on waiting */
    bool kept;    /* it is bound in part past its deadline, and nobody of it is deleted */
    struct mu_gang_ix behind;    /* BEHIND: the gang that blocks it. NO_FIT: the last one for which
                                  * nodes were kept from it; MU_NONE: none were */
    struct mu_class_ix class_ix; /* NO_FIT: the first class that found no node; else MU_NONE */
    /* Of UNDECIDED all is said as of NO_FIT, where a class is (it has none if its steps ran out
     * before any member found no node). NO_FIT: nodes by the first filter that refuses that class,
     * holes left out, counted when the class first made a gang wait in this session, with nothing
     * of that gang placed: nodes that would take single members count as MU_FITS. Shared by all
     * gangs that wait for that class, save where rules about other pods or nominated pods have a
     * say: these have their own, of when they were decided. All zero for other kinds, never NULL.
     */
    const uint32_t *nodes_by_verdict; /* MU_VERDICT_KINDS counts */
    /* The same nodes by all that is told of them (struct mu_refusals), once for each. */
    const uint32_t *nodes_by_reason;   /* MU_VERDICT_KINDS counts */
    const uint32_t *nodes_by_resource; /* MU_RESOURCES_MAX counts */
};
/* A gang that is bound in part and is not waited for any longer: its bound members that a
 * controller owns are to be deleted. It is among the waits as well. */
struct mu_plan_end {
    struct mu_gang_ix gang;
    uint32_t gang_generation;
    uint32_t have, need; /* members bound, its minimum */
    uint64_t since_ns;   /* struct mu_gang_row.short_ns */
    bool kept; /* nobody is deleted: no bound member has a controller, or it is to be so */
};
struct mu_plan {
    uint64_t snapshot_generation;
    uint32_t gang_count;
    const struct mu_plan_gang *gangs; /* in the order of decision */
    uint32_t wait_count;
    const struct mu_plan_wait *waits; /* every pending gang not in `gangs` */
    uint32_t end_count;
    const struct mu_plan_end *ends;
    uint64_t next_ns; /* when time alone changes the plan: the earliest QUIET until_ns, a deadline;
                       * UINT64_MAX: never */
    bool evictions_short; /* some gang waits for leave to evict more pods (mu_session_evictions) */
};

#endif
