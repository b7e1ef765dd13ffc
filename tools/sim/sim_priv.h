#ifndef MU_TOOLS_SIM_SIM_PRIV_H
#define MU_TOOLS_SIM_SIM_PRIV_H
/* Shared by sim.c (the loop), cluster.c (what users and controllers do) and process.c (runs of the
 * scheduler: kills and pauses). */
#include "engine/base/arena.h"
#include "engine/base/clock.h"
#include "engine/base/index.h"
#include "tools/kubesim/inproc.h"
#include "tools/kubesim/kubelet.h"
#include "tools/scheduler/scheduler.h"
#include "tools/sim/sim.h"

#define MU_SIM_SCHEDULER "muster"
#define MU_SIM_WALL_NS   (UINT64_C(1767225600) * MU_NS_PER_S)

/* A pod of the workload. A controller makes it again when it is deleted. */
struct mu_sim_pod {
    char uid[MU_UID_BYTES_MAX + 1];
    char name[MU_NAME_BYTES_MAX + 16];
    char node[MU_NAME_BYTES_MAX + 1]; /* as seen last */
    bool there;                       /* on the server, as seen last */
    uint32_t remade;                  /* how often */
    uint64_t again_ns;                /* then it is made again; 0: it is not */
};

struct mu_sim_process; /* process.c */

struct mu_sim {
    struct mu_sim_config config;
    struct mu_clock_virtual clock;
    struct mu_random random, session_random, label_random, kill_random, remake_random,
        delete_random;
    struct mu_apiserver *server;
    struct mu_kubelets *kubelets;
    struct mu_inproc *inproc;
    struct mu_arena *scratch;
    struct mu_checker *checker;
    struct mu_sim_process *current, *old; /* old: paused, or awake again; NULL: there is none */
    uint32_t next_client;
    uint64_t incarnation;
    uint32_t next_pod;
    uint64_t relabel_ns; /* when a namespace's label changes next */
    uint64_t delete_ns;  /* when a pod is deleted by force next; UINT64_MAX: none is */
    char drained[MU_NAME_BYTES_MAX + 1]; /* the node that is; empty: none */
    uint64_t drained_ns;                 /* until then */
    uint64_t kill_ns;                    /* when the next kill is armed; UINT64_MAX: no more */
    bool kill_armed;
    uint32_t kill_way;
    enum mu_kill_step kill_step;
    struct mu_sim_result sum; /* of the schedulers that have ended */
    bool healed;
    struct mu_sim_pod *pods;
    struct mu_sim_times *times;
    struct mu_index *by_uid;
    uint32_t bound;
    uint64_t activity_ns; /* last change of the server or decision */
    uint64_t version;     /* of the server at the last step */
    uint64_t steps, trace;
    uint64_t instant_steps; /* at the present instant */
    struct mu_error failure;
};

static inline uint64_t mu_sim_now(const struct mu_sim *sim)
{
    return sim->clock.now_ns;
}
void mu_sim_trace(struct mu_sim *sim, uint64_t value);
/* The run ends with this; of several the first counts. */
void mu_sim_fail(struct mu_sim *sim, int code, const char *what, struct mu_str name);

/* cluster.c */
int mu_sim_pods_init(struct mu_sim *sim);
void mu_sim_pods_fini(struct mu_sim *sim);
/* The pod of this UID; MU_INDEX_NONE: it is none of the workload's. */
uint32_t mu_sim_pod_find(const struct mu_sim *sim, struct mu_str uid);
/* What is there before the first pod. */
void mu_sim_cluster_create(struct mu_sim *sim);
/* Do what users and controllers do at or before now; when they next do something. */
void mu_sim_cluster_run(struct mu_sim *sim);
uint64_t mu_sim_cluster_next_ns(const struct mu_sim *sim);
/* The server has changed: controllers see which of their pods are gone. */
void mu_sim_cluster_look(struct mu_sim *sim);
/* More pods will come. */
bool mu_sim_cluster_busy(const struct mu_sim *sim);

/* process.c */
/* Start the first scheduler. Errors: MU_ENOMEM. */
int mu_sim_process_create(struct mu_sim *sim);
void mu_sim_process_start(struct mu_sim *sim);
void mu_sim_processes_destroy(struct mu_sim *sim);
/* mu_inproc_reply_fn: to whom it is for; a paused one hears it when it wakes. */
void mu_sim_process_reply(void *context, uint32_t client, const struct mu_reply *reply);
/* Send what they have to, or kill or pause the current one over that. */
void mu_sim_processes_send(struct mu_sim *sim);
/* Tick, hand plans over, run sessions; wake and end old ones. */
void mu_sim_processes_run(struct mu_sim *sim);
uint64_t mu_sim_processes_next_ns(const struct mu_sim *sim);
/* Kills and pauses: the next one is armed when it is due, none is from mu_sim_kills_end on. */
void mu_sim_kills_arm(struct mu_sim *sim);
void mu_sim_kills_end(struct mu_sim *sim);
/* No write of a scheduler is under way, and no old one is left. */
bool mu_sim_processes_rest(const struct mu_sim *sim);
struct mu_scheduler *mu_sim_scheduler(const struct mu_sim *sim);
/* What the schedulers did, those that have ended included. */
void mu_sim_processes_sum(const struct mu_sim *sim, struct mu_sim_result *sum);

#endif
