/*
 * The event loop of a simulated cluster. Every source of events says when it next has something to
 * do; time jumps to the earliest; then all that is due runs in a fixed order:
 *
 *   users and controllers (cluster.c) -> kubelets (and what happens to their nodes)
 *   -> in-process front (requests handled, replies delivered)
 *   -> schedulers (process.c): timers, a session's plan comes back, a new session starts
 *   -> their requests are sent, unless one is killed or paused
 *
 * A session runs at once on its snapshot, but its plan is delivered later (a drawn delay), so that
 * the world moves under it as it does under a session thread.
 */
#include "tools/sim/sim.h"
#include "engine/base/assert.h"
#include "engine/base/hash.h"
#include "engine/base/mem.h"
#include "tools/sim/sim_priv.h"

#define INSTANT_STEPS_MAX 10000u            /* more at one instant: somebody is due for ever */
#define CHURN_NS          (4 * MU_NS_PER_S) /* mean time between cordons and failures */
#define GRACE_NS_MAX      (8 * MU_NS_PER_S) /* no pod takes longer to end */

void mu_sim_trace(struct mu_sim *sim, uint64_t value)
{
    sim->trace = mu_hash_mix(sim->trace, value);
}

void mu_sim_fail(struct mu_sim *sim, int code, const char *what, struct mu_str name)
{
    if (sim->failure.code == 0)
        (void)mu_error_set(&sim->failure, code, "%s %.*s: %s", what, MU_STR_ARGS(name),
                           mu_error_text(code));
}

/* ---- life --------------------------------------------------------------------------------- */

static int create_cluster(struct mu_sim *sim)
{
    struct mu_apiserver_config server = {.wall_base_ns = MU_SIM_WALL_NS};
    struct mu_kubelets_config kubelets = {.grace_ns_max = sim->config.check ? GRACE_NS_MAX : 0,
                                          .churn_ns = sim->config.churn ? CHURN_NS : 0,
                                          .churn_until_ns = sim->config.heal_ns};
    sim->server = mu_apiserver_create(&server, &sim->random);
    if (sim->server == NULL)
        return MU_ENOMEM;
    sim->kubelets = mu_kubelets_create(sim->server, &kubelets, &sim->random);
    sim->inproc =
        mu_inproc_create(sim->server, &sim->config.faults, &sim->random, mu_sim_process_reply, sim);
    return sim->kubelets == NULL || sim->inproc == NULL ? MU_ENOMEM : 0;
}

struct mu_sim *mu_sim_create(const struct mu_sim_config *config)
{
    struct mu_sim *sim = mu_mem_zalloc(sizeof *sim);
    if (sim == NULL)
        return NULL;
    sim->config = *config;
    mu_clock_virtual_init(&sim->clock, MU_NS_PER_S, 0);
    mu_random_init_seed(&sim->random, config->seed);
    mu_random_fork(&sim->random, &sim->session_random);
    mu_random_fork(&sim->random, &sim->label_random);
    mu_random_fork(&sim->random, &sim->kill_random);
    mu_random_fork(&sim->random, &sim->remake_random);
    struct mu_checker_config checker = {.scheduler_name = MU_STR(MU_SIM_SCHEDULER),
                                        .gang_deadline_ns = 400 * MU_NS_PER_S};
    sim->scratch = mu_arena_create(64u << 20);
    sim->checker = config->check ? mu_checker_create(&checker) : NULL;
    if (sim->scratch == NULL || (config->check && sim->checker == NULL) ||
        mu_sim_pods_init(sim) != 0 || create_cluster(sim) != 0 || mu_sim_process_create(sim) != 0) {
        mu_sim_destroy(sim);
        return NULL;
    }
    return sim;
}

void mu_sim_destroy(struct mu_sim *sim)
{
    if (sim == NULL)
        return;
    mu_sim_processes_destroy(sim);
    mu_inproc_destroy(sim->inproc);
    mu_kubelets_destroy(sim->kubelets);
    mu_apiserver_destroy(sim->server);
    mu_checker_destroy(sim->checker);
    mu_sim_pods_fini(sim);
    mu_arena_destroy(sim->scratch);
    mu_mem_free(sim);
}

/* ---- the loop ----------------------------------------------------------------------------- */

/* The end of trouble: no more faults and kills; churn ends by itself at the same time. */
static void heal(struct mu_sim *sim)
{
    sim->healed = true;
    mu_sim_kills_end(sim);
    mu_inproc_heal(sim->inproc);
}

static uint64_t min_ns(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t next_ns(const struct mu_sim *sim)
{
    uint64_t now_ns = mu_sim_now(sim), next = mu_sim_cluster_next_ns(sim);
    if (!sim->healed)
        next = min_ns(next, sim->config.heal_ns);
    next = min_ns(next, mu_kubelets_next_ns(sim->kubelets));
    next = min_ns(next, mu_inproc_next_ns(sim->inproc));
    next = min_ns(next, mu_sim_processes_next_ns(sim));
    if (sim->activity_ns + sim->config.rest_ns > now_ns)
        next = min_ns(next, sim->activity_ns + sim->config.rest_ns);
    return next < now_ns ? now_ns : next;
}

static void check_server(struct mu_sim *sim);

static void step(struct mu_sim *sim)
{
    uint64_t now_ns = mu_sim_now(sim);
    if (!sim->healed && sim->config.heal_ns <= now_ns)
        heal(sim);
    while (sim->kill_ns <= now_ns)
        mu_sim_kills_arm(sim);
    mu_sim_cluster_run(sim);
    mu_kubelets_run(sim->kubelets, now_ns);
    mu_sim_processes_send(sim);
    mu_inproc_run(sim->inproc, now_ns);
    mu_sim_processes_run(sim);
    mu_sim_processes_send(sim);
    if (mu_apiserver_version(sim->server) != sim->version) {
        sim->version = mu_apiserver_version(sim->server);
        sim->activity_ns = now_ns;
        mu_sim_trace(sim, sim->version);
        mu_sim_cluster_look(sim);
        if (sim->checker != NULL)
            check_server(sim);
    }
}

static int give_node(void *context, struct mu_str raw)
{
    return mu_checker_server_object(context, MU_DB_NODES, raw);
}

static int give_pod(void *context, struct mu_str raw)
{
    return mu_checker_server_object(context, MU_DB_PODS, raw);
}

static int give_namespace(void *context, struct mu_str raw)
{
    return mu_checker_server_object(context, MU_DB_NAMESPACES, raw);
}

static int give_budget(void *context, struct mu_str raw)
{
    mu_checker_server_budget(context, raw);
    return 0;
}

static int give_map(void *context, struct mu_str raw)
{
    mu_checker_server_map(context, raw);
    return 0;
}

static void check_server(struct mu_sim *sim)
{
    mu_checker_server_begin(sim->checker);
    (void)mu_apiserver_each(sim->server, "nodes", give_node, sim->checker);
    (void)mu_apiserver_each(sim->server, "pods", give_pod, sim->checker);
    (void)mu_apiserver_each(sim->server, "namespaces", give_namespace, sim->checker);
    (void)mu_apiserver_each(sim->server, "poddisruptionbudgets", give_budget, sim->checker);
    (void)mu_apiserver_each(sim->server, "configmaps", give_map, sim->checker);
    mu_checker_server_end(sim->checker, mu_sim_now(sim));
}

static bool at_rest(const struct mu_sim *sim)
{
    return sim->healed && !mu_sim_cluster_busy(sim) &&
           mu_sim_now(sim) >= sim->activity_ns + sim->config.rest_ns &&
           mu_sim_processes_rest(sim) && mu_kubelets_next_ns(sim->kubelets) == UINT64_MAX;
}

static void fill_result(const struct mu_sim *sim, struct mu_sim_result *result)
{
    const struct mu_violation *violations = NULL;
    uint32_t count = sim->checker != NULL ? mu_checker_violations(sim->checker, &violations) : 0;
    mu_sim_processes_sum(sim, result);
    result->rested = at_rest(sim);
    result->steps = sim->steps;
    result->end_ns = mu_sim_now(sim);
    result->trace_hash = sim->trace;
    result->violation_count = count;
    for (uint32_t i = 0; i < count && i < MU_SIM_VIOLATIONS_KEPT; i++)
        result->violations[i] = violations[i];
}

int mu_sim_run(struct mu_sim *sim, struct mu_sim_result *result,
               void (*progress)(void *context, uint64_t now_ns, uint32_t bound), void *context,
               struct mu_error *error)
{
    *result = (struct mu_sim_result){0};
    mu_sim_cluster_create(sim);
    mu_sim_process_start(sim);
    while (sim->failure.code == 0 && !at_rest(sim)) {
        uint64_t next = next_ns(sim);
        if (next > sim->config.horizon_ns ||
            (sim->config.steps_max > 0 && sim->steps >= sim->config.steps_max))
            break;
        sim->instant_steps = next == mu_sim_now(sim) ? sim->instant_steps + 1 : 0;
        if (sim->instant_steps > INSTANT_STEPS_MAX)
            mu_sim_fail(sim, MU_ETIMEOUT,
                        "time stands still:", MU_STR("something is due for ever"));
        mu_clock_virtual_set(&sim->clock, next);
        sim->steps++;
        if (sim->checker != NULL)
            mu_checker_step(sim->checker, sim->steps);
        step(sim);
        if (progress != NULL && sim->steps % 256 == 0)
            progress(context, mu_sim_now(sim), sim->bound);
    }
    if (progress != NULL)
        progress(context, mu_sim_now(sim), sim->bound);
    if (at_rest(sim) && sim->checker != NULL)
        mu_checker_rest(sim->checker, mu_db_digest(mu_scheduler_db(mu_sim_scheduler(sim))));
    fill_result(sim, result);
    if (sim->failure.code != 0)
        *error = sim->failure;
    return sim->failure.code;
}

int mu_sim_each(const struct mu_sim *sim, const char *plural,
                int (*fn)(void *context, struct mu_str raw), void *context)
{
    return mu_apiserver_each(sim->server, plural, fn, context);
}

const struct mu_sim_times *mu_sim_times(const struct mu_sim *sim)
{
    return sim->times;
}
