#ifndef MU_TOOLS_SIM_SIM_H
#define MU_TOOLS_SIM_SIM_H
/*
 * The whole ring in one process under virtual time: embedded API server, simulated kubelets, a
 * fault layer, and the production scheduler (reflectors, DB, sessions, journal, binder) on the
 * in-process front. One thread, one clock, one seed: the same run every time (I10).
 *
 *   world    a workload (nodes, pods with arrivals and durations) and what happens to it: cordons,
 *            node failures, recoveries, namespaces whose labels change
 *   step     one instant of virtual time at which something was due
 *   checker  looks at every decision, and at the server after every step that changed it
 */
#include "engine/session/session.h"
#include "tools/kubesim/fault.h"
#include "tools/sim/checker.h"
#include "tools/workload/workload.h"

/* A PodDisruptionBudget over the pods of a namespace that have a label. */
struct mu_sim_budget {
    struct mu_str ns;
    struct mu_label label;
    bool keeps;    /* minAvailable, else maxUnavailable */
    uint32_t pods; /* so many */
};

struct mu_sim_config {
    uint64_t seed;
    const struct mu_workload *workload; /* borrowed for the run */
    const struct mu_profile *profile;
    struct mu_faults faults; /* active until heal_ns */
    uint64_t heal_ns;        /* faults and churn end */
    bool churn;              /* cordon, fail and recover nodes at random until heal_ns */
    bool deletes;            /* members of gangs by force, until heal_ns; their nodes are drained */
    bool kills;    /* end the scheduler at random until heal_ns; it starts again at once */
    bool pauses;   /* stop it at random until heal_ns, with a successor at once; later it goes on */
    bool wakes;    /* pauses end when that one has just taken the journal over */
    bool preempts; /* plans may have victims */
    uint64_t gang_deadline_ns; /* until a gang that is bound in part is ended; 0: it never is */
    /* Made at the start; with churn their labels change until heal_ns. Borrowed for the run. */
    const struct mu_namespace_object *namespaces;
    uint32_t namespace_count;
    const struct mu_sim_budget *budgets; /* made at the start; borrowed for the run */
    uint32_t budget_count;
    bool check;          /* run the checker */
    uint64_t rest_ns;    /* how long nothing may be decided before the run counts as at rest */
    uint64_t horizon_ns; /* give up after so much virtual time */
    uint64_t steps_max;  /* or so many steps; 0: no bound */
    uint64_t session_delay_ns; /* most virtual time that a session takes (drawn per session) */
};

#define MU_SIM_VIOLATIONS_KEPT 16u

/* The writes at which a scheduler may be killed or paused, before one is sent or right after. */
enum mu_kill_step {
    MU_KILL_CLOSE,   /* a slot of the former journal is closed */
    MU_KILL_JOURNAL, /* a slot is written */
    MU_KILL_TOUCH,   /* a pod of the former journal is touched */
    MU_KILL_BIND,
    MU_KILL_MARK,   /* a victim is told */
    MU_KILL_DELETE, /* and deleted */
    MU_KILL_REPORT, /* a condition or an event */
    MU_KILL_STEPS
};
const char *mu_kill_step_text(enum mu_kill_step step);

struct mu_sim_result {
    uint64_t steps;
    uint64_t end_ns; /* virtual */
    uint64_t trace_hash;
    bool rested;                       /* ended at rest, not at a bound */
    uint32_t kills[MU_KILL_STEPS][2];  /* before, after */
    uint32_t pauses[MU_KILL_STEPS][2]; /* with a successor while they last */
    uint64_t touches;                  /* of pods, by starts that found entries */
    uint64_t roll_forwards;            /* plans that complete a gang which is partly bound */
    uint64_t preemptions, victims;     /* plans with victims; deletes begun */
    uint64_t rollbacks;                /* gangs bound in part that were ended */
    uint64_t given_up;                 /* of those plans, before their binds */
    /* Handled by the server after their sender was gone, or sent by one who had a successor. */
    uint64_t late_writes;
    uint32_t violation_count;
    struct mu_violation violations[MU_SIM_VIOLATIONS_KEPT]; /* the first ones */
};

/* When each pod was created and bound, by its index in the workload; 0: not. */
struct mu_sim_times {
    uint64_t created_ns, bound_ns;
};

struct mu_sim; /* opaque */

/* Errors: NULL when out of memory. Owns: caller. */
struct mu_sim *mu_sim_create(const struct mu_sim_config *config);
void mu_sim_destroy(struct mu_sim *sim);
/* Run to rest or horizon. progress (may be NULL) is called now and then and at the end. Returns 0,
 * or an error with the object that could not be created. */
int mu_sim_run(struct mu_sim *sim, struct mu_sim_result *result,
               void (*progress)(void *context, uint64_t now_ns, uint32_t bound), void *context,
               struct mu_error *error);
/* The objects at the end, raw: kind "pods" or "nodes". */
int mu_sim_each(const struct mu_sim *sim, const char *plural,
                int (*fn)(void *context, struct mu_str raw), void *context);
const struct mu_sim_times *mu_sim_times(const struct mu_sim *sim);

/* A small random cluster and workload for a seed: 3 to 10 nodes, 15 to 60 pods of five priorities,
 * some of which never preempt or are no victims, half of them made again by a controller; gangs of
 * several dialects, sized and unsized, with sub-groups; gates, foreign pods, and every placement
 * rule: node affinity, taints, ports, affinity and anti-affinity between pods of three namespaces,
 * spread. Its namespaces beside "default" are these. */
#define MU_SIM_SMALL_NAMESPACES 2u
#define MU_SIM_GANG_NAME        "gang-" /* members' names begin with it */
extern const struct mu_namespace_object mu_sim_small_namespaces[MU_SIM_SMALL_NAMESPACES];
int mu_sim_small_world(uint64_t seed, struct mu_workload **out, struct mu_error *error);

/* Its disruption budgets; returns how many. */
#define MU_SIM_BUDGETS_MAX 4u
uint32_t mu_sim_small_budgets(uint64_t seed, struct mu_sim_budget budgets[MU_SIM_BUDGETS_MAX]);

/* What a small world is exposed to. */
struct mu_sim_small {
    const struct mu_profile *profile;
    struct mu_faults faults;
    bool churn, kills, pauses, wakes;
};
/* A comma-separated list of faults as tools/kubesim/fault.h names them, "churn" (nodes are
 * cordoned, fail and come back), "kill" (the scheduler ends and starts again), "pause" (it stands
 * still while another one starts, then goes on) and "wake" (pauses that end when the journal has
 * just been taken over); "all" (also NULL), of which "wake" is no part, and "none". Errors:
 * MU_EINVAL with the word. */
int mu_sim_faults_parse(const char *list, struct mu_sim_small *small, struct mu_error *error);
/* Make the world of `seed`, run it through its trouble to rest, check everything. A run that does
 * not come to rest is a violation of I8. Errors: MU_ENOMEM, or what stopped the run. */
int mu_sim_small_run(const struct mu_sim_small *small, uint64_t seed, struct mu_sim_result *result,
                     struct mu_error *error);

#endif
