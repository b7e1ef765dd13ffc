/*
 * The event loop of a simulated cluster. Every source of events says when it next has something to
 * do; time jumps to the earliest; then all that is due runs in a fixed order:
 *
 *   changes of labels -> arrivals -> kubelets (and what happens to their nodes)
 *   -> in-process front (requests handled, replies delivered)
 *   -> scheduler's timers -> a session's plan comes back -> a new session starts
 *   -> its requests are sent, unless it is killed
 *
 * A kill is armed at some time, for one kind of write, and comes when the scheduler next has such a
 * write to send: before it is sent (with it, all that was to be sent in that instant is lost), or
 * after (and nobody hears the answer). What was sent before lands when it lands. The successor
 * starts at once and knows nothing but what the server holds.
 *
 * A session runs at once on its snapshot, but its plan is delivered later (a drawn delay), so that
 * the world moves under it as it does under a session thread.
 */
#include "tools/sim/sim.h"
#include "engine/base/arena.h"
#include "engine/base/assert.h"
#include "engine/base/clock.h"
#include "engine/base/hash.h"
#include "engine/base/index.h"
#include "engine/base/mem.h"
#include "tools/kubesim/inproc.h"
#include "tools/kubesim/kubelet.h"
#include "tools/scheduler/scheduler.h"
#include "tools/workload/encode.h"

#include <stdio.h>

#define SCHEDULER_NAME    "muster"
#define CLIENT            1u
#define INSTANT_STEPS_MAX 10000u /* more at one instant: somebody is due for ever */
#define WALL_BASE_NS      (UINT64_C(1767225600) * MU_NS_PER_S)
#define REPORT_RATE       100u
#define CHURN_NS          (4 * MU_NS_PER_S)  /* mean time between cordons and failures */
#define KILL_NS           (12 * MU_NS_PER_S) /* mean time between kills */
#define JOURNAL_NS        "kube-system"
#define JOURNAL_NAME      "muster-journal"
#define RELABEL_NS        (6 * MU_NS_PER_S) /* mean time between changes of a namespace's label */

struct sim_pod {
    char uid[MU_UID_BYTES_MAX + 1];
};

struct mu_sim {
    struct mu_sim_config config;
    struct mu_clock_virtual clock;
    struct mu_random random, session_random, label_random, kill_random;
    struct mu_apiserver *server;
    struct mu_kubelets *kubelets;
    struct mu_inproc *inproc;
    struct mu_scheduler *scheduler;
    struct mu_session *session;
    struct mu_outbox outbox;
    struct mu_arena *scratch;
    struct mu_checker *checker;
    struct mu_snapshot *snapshot; /* a session is under way */
    const struct mu_plan *plan;
    uint64_t plan_ns; /* when its plan comes back */
    uint32_t next_pod;
    uint64_t relabel_ns; /* when a namespace's label changes next */
    uint64_t kill_ns;    /* when the next kill is armed; UINT64_MAX: no more */
    bool kill_armed, kill_after;
    enum mu_kill_step kill_step;
    uint64_t incarnation;
    struct mu_sim_result sum; /* of the schedulers that have ended */
    bool healed;
    struct sim_pod *pods;
    struct mu_sim_times *times;
    struct mu_index *by_uid;
    uint32_t bound;
    uint64_t activity_ns; /* last change of the server or decision */
    uint64_t version;     /* of the server at the last step */
    uint64_t steps, trace;
    uint64_t instant_steps; /* at the present instant */
    struct mu_error failure;
};

static uint64_t now_of(const struct mu_sim *sim)
{
    return sim->clock.now_ns;
}

static void trace(struct mu_sim *sim, uint64_t value)
{
    sim->trace = mu_hash_mix(sim->trace, value);
}

/* ---- observer: what the scheduler sees and decides ------------------------------------------ */

static bool uid_equal(const void *context, uint32_t value, const void *key)
{
    const struct mu_sim *sim = context;
    const struct mu_str *uid = key;
    return mu_str_equal(mu_str_of(sim->pods[value].uid), *uid);
}

static uint64_t uid_hash(const void *context, uint32_t value)
{
    const struct mu_sim *sim = context;
    return mu_hash_str(mu_str_of(sim->pods[value].uid), 0);
}

static void saw_object(void *context, enum mu_db_kind kind, struct mu_str raw, bool removed)
{
    struct mu_sim *sim = context;
    if (sim->checker != NULL)
        mu_checker_view_object(sim->checker, kind, raw, removed);
}

static void saw_relist(void *context, enum mu_db_kind kind, bool done)
{
    struct mu_sim *sim = context;
    if (sim->checker != NULL)
        mu_checker_view_relist(sim->checker, kind, done);
}

static void saw_decision(void *context, struct mu_db *db, const struct mu_plan_gang *gang)
{
    struct mu_sim *sim = context;
    sim->activity_ns = now_of(sim);
    trace(sim, gang->bind_count);
    for (uint32_t i = 0; i < gang->bind_count; i++)
        trace(sim, mu_hash_str(mu_db_node_name(db, gang->binds[i].node), gang->binds[i].uid.lo));
    if (sim->checker != NULL)
        mu_checker_decision(sim->checker, db, gang);
}

static void saw_preemption(void *context, struct mu_db *db, const struct mu_plan_gang *gang)
{
    struct mu_sim *sim = context;
    sim->activity_ns = now_of(sim);
    trace(sim, gang->evict_count);
    for (uint32_t i = 0; i < gang->evict_count; i++)
        trace(sim, mu_hash_str(mu_db_node_name(db, gang->evicts[i].node), gang->evicts[i].check));
}

static void saw_outcome(void *context, struct mu_str uid, enum mu_bind_result result)
{
    struct mu_sim *sim = context;
    sim->activity_ns = now_of(sim);
    trace(sim, (uint64_t)result);
    if (sim->checker != NULL)
        mu_checker_outcome(sim->checker, uid, result);
    uint32_t i = mu_index_find(sim->by_uid, mu_hash_str(uid, 0), &uid);
    if (i != MU_INDEX_NONE && result == MU_BIND_BOUND && sim->times[i].bound_ns == 0) {
        sim->times[i].bound_ns = now_of(sim);
        sim->bound++;
    }
}

static void on_reply(void *context, uint32_t client, const struct mu_reply *reply)
{
    struct mu_sim *sim = context;
    (void)client;
    trace(sim, reply->token);
    trace(sim, (uint64_t)reply->kind << 32 | (uint32_t)reply->status);
    trace(sim, mu_hash_str(reply->data, now_of(sim)));
    (void)mu_scheduler_reply(sim->scheduler, reply, now_of(sim), &sim->outbox);
}

/* ---- life --------------------------------------------------------------------------------- */

static int create_scheduler(struct mu_sim *sim)
{
    struct mu_str name = MU_STR(SCHEDULER_NAME);
    struct mu_scheduler_config config = {
        .scheduler_names = &name,
        .scheduler_name_count = 1,
        .page_limit = sim->config.check ? 7 : 0, /* small worlds: several pages */
        .incarnation = ++sim->incarnation,
        .profile = sim->config.profile,
        .report_rate = REPORT_RATE,
        .report_instance = MU_STR("musterd-sim"),
        .wall_offset_ns = WALL_BASE_NS,
        .journal_ns = MU_STR(JOURNAL_NS),
        .journal_name = sim->config.check ? MU_STR(JOURNAL_NAME) : MU_STR(""),
        .audit_by_changes = !sim->config.check, /* small worlds: as in production */
        .observer = {.context = sim,
                     .object = saw_object,
                     .relist = saw_relist,
                     .decision = saw_decision,
                     .preemption = saw_preemption,
                     .outcome = saw_outcome}};
    struct mu_session_config session = {.profile = sim->config.profile};
    sim->scheduler = mu_scheduler_create(&config, &sim->random);
    sim->session = mu_session_create(&session);
    return sim->scheduler == NULL || sim->session == NULL ? MU_ENOMEM : 0;
}

static int create_cluster(struct mu_sim *sim)
{
    struct mu_apiserver_config server = {.wall_base_ns = WALL_BASE_NS};
    struct mu_kubelets_config kubelets = {.churn_ns = sim->config.churn ? CHURN_NS : 0,
                                          .churn_until_ns = sim->config.heal_ns};
    sim->server = mu_apiserver_create(&server, &sim->random);
    if (sim->server == NULL)
        return MU_ENOMEM;
    sim->kubelets = mu_kubelets_create(sim->server, &kubelets, &sim->random);
    sim->inproc = mu_inproc_create(sim->server, &sim->config.faults, &sim->random, on_reply, sim);
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
    uint32_t pods = config->workload->pod_count;
    struct mu_checker_config checker = {.scheduler_name = MU_STR(SCHEDULER_NAME),
                                        .gang_deadline_ns = 400 * MU_NS_PER_S};
    sim->scratch = mu_arena_create(64u << 20);
    sim->pods = mu_mem_calloc((size_t)pods + 1, sizeof *sim->pods);
    sim->times = mu_mem_calloc((size_t)pods + 1, sizeof *sim->times);
    sim->by_uid = mu_index_create(pods, uid_equal, uid_hash, sim);
    sim->checker = config->check ? mu_checker_create(&checker) : NULL;
    sim->plan_ns = UINT64_MAX;
    sim->incarnation = config->seed << 16;
    sim->kill_ns = config->kills ? MU_NS_PER_S : UINT64_MAX;
    sim->relabel_ns = config->churn && config->namespace_count > 0 ? MU_NS_PER_S : UINT64_MAX;
    if (sim->scratch == NULL || sim->pods == NULL || sim->times == NULL || sim->by_uid == NULL ||
        (config->check && sim->checker == NULL) || create_cluster(sim) != 0 ||
        create_scheduler(sim) != 0) {
        mu_sim_destroy(sim);
        return NULL;
    }
    return sim;
}

static void destroy_scheduler(struct mu_sim *sim);

void mu_sim_destroy(struct mu_sim *sim)
{
    if (sim == NULL)
        return;
    destroy_scheduler(sim);
    mu_inproc_destroy(sim->inproc);
    mu_kubelets_destroy(sim->kubelets);
    mu_apiserver_destroy(sim->server);
    mu_checker_destroy(sim->checker);
    mu_index_destroy(sim->by_uid);
    mu_arena_destroy(sim->scratch);
    mu_mem_free(sim->pods);
    mu_mem_free(sim->times);
    mu_mem_free(sim);
}

/* ---- the world ---------------------------------------------------------------------------- */

static void fail(struct mu_sim *sim, int code, const char *what, struct mu_str name)
{
    if (sim->failure.code == 0)
        (void)mu_error_set(&sim->failure, code, "%s %.*s: %s", what, MU_STR_ARGS(name),
                           mu_error_text(code));
}

/* Create an object past the fault layer, as a user with a good connection. What the server refuses
 * ends the run, in its words. */
static int post(struct mu_sim *sim, struct mu_str path, const struct mu_buf *body,
                struct mu_api_response *response)
{
    struct mu_api_request request = {.method = MU_POST,
                                     .path = path,
                                     .content = MU_MEDIA_PROTOBUF,
                                     .accept = mu_str_of(mu_media_text(MU_MEDIA_PROTOBUF)),
                                     .body = {(const char *)body->data, (uint32_t)body->len}};
    mu_apiserver_handle(sim->server, &request, now_of(sim), response);
    if (response->status == 201)
        return 0;
    struct mu_str answer = {(const char *)response->body.data, (uint32_t)response->body.len};
    struct mu_status status;
    if (sim->failure.code == 0 && mu_status_decode(answer, sim->scratch, &status) == 0)
        (void)mu_error_set(&sim->failure, MU_EINVAL, "refused with HTTP %d: %.*s",
                           (int)response->status, MU_STR_ARGS(status.message));
    return MU_EINVAL;
}

static void create_priorities(struct mu_sim *sim)
{
    const struct mu_workload *w = sim->config.workload;
    for (uint32_t i = 0; i < w->priority_count; i++) {
        struct mu_buf body = {0};
        struct mu_api_response response = {0};
        int rc = mu_workload_encode_priority_class(w->priorities[i], sim->scratch, &body);
        if (rc == 0)
            rc = post(sim, MU_STR(MU_PRIORITY_CLASSES_PATH), &body, &response);
        if (rc != 0)
            fail(sim, rc, "priority class", MU_STR(""));
        mu_buf_fini(&body);
        mu_buf_fini(&response.body);
    }
}

static void create_nodes(struct mu_sim *sim)
{
    for (uint32_t i = 0; i < sim->config.workload->node_count; i++) {
        const struct mu_node_object *node = &sim->config.workload->nodes[i];
        struct mu_buf body = {0};
        struct mu_api_response response = {0};
        int rc = mu_workload_encode_node(node, sim->scratch, &body);
        if (rc == 0)
            rc = post(sim, MU_STR("/api/v1/nodes"), &body, &response);
        if (rc != 0)
            fail(sim, rc, "node", node->name);
        mu_buf_fini(&body);
        mu_buf_fini(&response.body);
    }
}

static void create_namespaces(struct mu_sim *sim)
{
    for (uint32_t i = 0; i < sim->config.namespace_count; i++) {
        const struct mu_namespace_object *ns = &sim->config.namespaces[i];
        struct mu_buf body = {0};
        struct mu_api_response response = {0};
        int rc = mu_workload_encode_namespace(ns, sim->scratch, &body);
        if (rc == 0)
            rc = post(sim, MU_STR("/api/v1/namespaces"), &body, &response);
        if (rc != 0)
            fail(sim, rc, "namespace", ns->name);
        mu_buf_fini(&body);
        mu_buf_fini(&response.body);
    }
}

static int remember_uid(struct mu_sim *sim, uint32_t i, const struct mu_buf *answer)
{
    struct mu_envelope envelope;
    struct mu_object_meta meta;
    struct mu_str body = {(const char *)answer->data, (uint32_t)answer->len};
    int rc = mu_envelope_open(body, &envelope, NULL);
    if (rc == 0)
        rc = mu_meta_decode(envelope.raw, &meta, NULL);
    if (rc != 0)
        return rc;
    (void)snprintf(sim->pods[i].uid, sizeof sim->pods[i].uid, "%.*s", MU_STR_ARGS(meta.uid));
    sim->times[i].created_ns = now_of(sim);
    return mu_index_insert(sim->by_uid, uid_hash(sim, i), i);
}

static void create_pod(struct mu_sim *sim, uint32_t i)
{
    const struct mu_workload_pod *pod = &sim->config.workload->pods[i];
    struct mu_buf body = {0}, path = {0};
    struct mu_api_response response = {0};
    struct mu_str name = pod->object.scheduler_name;
    if (name.len == 0)
        name = MU_STR(SCHEDULER_NAME);
    int rc = mu_workload_encode_pod(pod, name, true, sim->scratch, &body);
    if (rc == 0)
        rc = mu_buf_printf(&path, "/api/v1/namespaces/%.*s/pods", MU_STR_ARGS(pod->object.ns));
    if (rc == 0)
        rc = post(sim, (struct mu_str){(const char *)path.data, (uint32_t)path.len}, &body,
                  &response);
    if (rc == 0)
        rc = remember_uid(sim, i, &response.body);
    if (rc != 0)
        fail(sim, rc, "pod", pod->object.name);
    mu_buf_fini(&body);
    mu_buf_fini(&path);
    mu_buf_fini(&response.body);
}

static uint64_t arrival_ns(const struct mu_sim *sim)
{
    return sim->next_pod < sim->config.workload->pod_count
               ? MU_NS_PER_S + sim->config.workload->pods[sim->next_pod].arrival_ns
               : UINT64_MAX;
}

/* A label of one of the namespaces changes to what it is, or was, on one of them, or goes: their
 * pods are selected by other terms from then on. */
static void relabel(struct mu_sim *sim)
{
    const struct mu_namespace_object *spaces = sim->config.namespaces;
    struct mu_random *r = &sim->label_random;
    struct mu_str name = spaces[mu_random_below(r, sim->config.namespace_count)].name;
    const struct mu_namespace_object *from =
        &spaces[mu_random_below(r, sim->config.namespace_count)];
    bool gone = mu_random_chance(r, 300);
    sim->relabel_ns += 1 + mu_random_below(r, 2 * RELABEL_NS);
    if (from->label_count == 0)
        return;
    const struct mu_label *label = &from->labels[mu_random_below(r, from->label_count)];
    struct mu_buf path = {0}, body = {0};
    struct mu_api_response response = {.status = 0};
    const char *quote = gone ? "" : "\"";
    struct mu_str value = gone ? MU_STR("null") : label->value;
    int rc = mu_buf_printf(&path, "/api/v1/namespaces/%.*s", MU_STR_ARGS(name));
    if (rc == 0)
        rc = mu_buf_printf(&body, "{\"metadata\":{\"labels\":{\"%.*s\":%s%.*s%s}}}",
                           MU_STR_ARGS(label->key), quote, MU_STR_ARGS(value), quote);
    if (rc == 0) {
        struct mu_api_request request = {.method = MU_PATCH,
                                         .path = {(const char *)path.data, (uint32_t)path.len},
                                         .content = MU_MEDIA_MERGE_PATCH,
                                         .accept = mu_str_of(mu_media_text(MU_MEDIA_PROTOBUF)),
                                         .body = {(const char *)body.data, (uint32_t)body.len}};
        mu_apiserver_handle(sim->server, &request, now_of(sim), &response);
    }
    if (rc != 0 || response.status != 200)
        fail(sim, rc != 0 ? rc : MU_EINVAL, "namespace", name);
    mu_buf_fini(&path);
    mu_buf_fini(&body);
    mu_buf_fini(&response.body);
}

/* ---- kills ---------------------------------------------------------------------------------- */

const char *mu_kill_step_text(enum mu_kill_step step)
{
    static const char *const texts[MU_KILL_STEPS] = {
        [MU_KILL_CLOSE] = "close",   [MU_KILL_JOURNAL] = "journal", [MU_KILL_TOUCH] = "touch",
        [MU_KILL_BIND] = "bind",     [MU_KILL_MARK] = "mark",       [MU_KILL_DELETE] = "delete",
        [MU_KILL_REPORT] = "report",
    };
    MU_ASSERT((uint32_t)step < MU_KILL_STEPS);
    return texts[step];
}

static bool contains(const struct mu_buf *buf, const char *text)
{
    return buf->len > 0 && memmem(buf->data, buf->len, text, strlen(text)) != NULL;
}

/* Which write this is; MU_KILL_STEPS: none. */
static enum mu_kill_step step_of(const struct mu_sim *sim, const struct mu_request *request)
{
    struct mu_scheduler_stats stats;
    if (request->cancel || request->method == MU_GET)
        return MU_KILL_STEPS;
    mu_scheduler_stats(sim->scheduler, &stats);
    bool starting = stats.journal_epoch == 0;
    if (contains(&request->path, "/configmaps"))
        return starting ? MU_KILL_CLOSE : MU_KILL_JOURNAL;
    if (contains(&request->path, "/binding"))
        return MU_KILL_BIND;
    if (request->method == MU_DELETE)
        return MU_KILL_DELETE;
    if (contains(&request->body, "DisruptionTarget"))
        return MU_KILL_MARK;
    return starting ? MU_KILL_TOUCH : MU_KILL_REPORT;
}

static void sum_up(const struct mu_sim *sim, struct mu_sim_result *sum)
{
    struct mu_scheduler_stats stats;
    mu_scheduler_stats(sim->scheduler, &stats);
    sum->touches += stats.recovered.touched;
    sum->roll_forwards += stats.plans_completing;
    sum->preemptions += stats.plans_preempting;
    sum->victims += stats.victims;
    sum->given_up += stats.plans_given_up;
}

static void destroy_scheduler(struct mu_sim *sim)
{
    if (sim->snapshot != NULL)
        mu_scheduler_give_plan(sim->scheduler, sim->snapshot, NULL, now_of(sim), &sim->outbox);
    sim->snapshot = NULL;
    sim->plan_ns = UINT64_MAX;
    mu_scheduler_destroy(sim->scheduler);
    mu_session_destroy(sim->session);
    sim->scheduler = NULL;
    sim->session = NULL;
    mu_outbox_fini(&sim->outbox);
}

/* The process is gone, with all that it had not sent; another one starts. */
static void restart(struct mu_sim *sim)
{
    sum_up(sim, &sim->sum);
    destroy_scheduler(sim);
    mu_inproc_disconnect(sim->inproc, CLIENT);
    if (sim->checker != NULL)
        mu_checker_restart(sim->checker);
    trace(sim, sim->incarnation);
    sim->activity_ns = now_of(sim);
    if (create_scheduler(sim) != 0) {
        fail(sim, MU_ENOMEM, "scheduler", MU_STR(SCHEDULER_NAME));
        return;
    }
    mu_scheduler_start(sim->scheduler, now_of(sim), &sim->outbox);
}

static void arm_kill(struct mu_sim *sim)
{
    struct mu_random *r = &sim->kill_random;
    sim->kill_armed = true;
    sim->kill_after = mu_random_chance(r, 500);
    sim->kill_step = (enum mu_kill_step)mu_random_below(r, MU_KILL_STEPS);
    sim->kill_ns += 1 + mu_random_below(r, 2 * KILL_NS);
}

/* Send what the scheduler has to, or kill it over that. */
static void send_requests(struct mu_sim *sim)
{
    bool kill = false;
    for (uint32_t i = sim->outbox.taken; sim->kill_armed && i < sim->outbox.count; i++)
        kill = kill || step_of(sim, &sim->outbox.requests[i]) == sim->kill_step;
    if (!kill || sim->kill_after)
        mu_inproc_submit(sim->inproc, CLIENT, &sim->outbox, now_of(sim));
    if (!kill)
        return;
    sim->sum.kills[sim->kill_step][sim->kill_after]++;
    sim->kill_armed = false;
    restart(sim);
    mu_inproc_submit(sim->inproc, CLIENT, &sim->outbox, now_of(sim));
}

/* The end of trouble: no more faults and kills; churn ends by itself at the same time. */
static void heal(struct mu_sim *sim)
{
    sim->healed = true;
    sim->kill_armed = false;
    sim->kill_ns = UINT64_MAX;
    sim->relabel_ns = UINT64_MAX;
    mu_inproc_heal(sim->inproc);
}

/* ---- the loop ----------------------------------------------------------------------------- */

static uint64_t min_ns(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t next_ns(const struct mu_sim *sim)
{
    uint64_t next = arrival_ns(sim);
    if (!sim->healed)
        next = min_ns(next, sim->config.heal_ns);
    next = min_ns(next, mu_kubelets_next_ns(sim->kubelets));
    next = min_ns(next, mu_inproc_next_ns(sim->inproc));
    next = min_ns(next, mu_scheduler_next_ns(sim->scheduler));
    next = min_ns(next, sim->plan_ns);
    next = min_ns(next, sim->relabel_ns);
    next = min_ns(next, sim->kill_ns);
    if (sim->activity_ns + sim->config.rest_ns > now_of(sim))
        next = min_ns(next, sim->activity_ns + sim->config.rest_ns);
    return next < now_of(sim) ? now_of(sim) : next;
}

static void session_step(struct mu_sim *sim)
{
    uint64_t now_ns = now_of(sim);
    if (sim->snapshot != NULL && sim->plan_ns <= now_ns) {
        mu_scheduler_give_plan(sim->scheduler, sim->snapshot, sim->plan, now_ns, &sim->outbox);
        sim->snapshot = NULL;
        sim->plan_ns = UINT64_MAX;
    }
    if (sim->snapshot != NULL)
        return;
    sim->snapshot = mu_scheduler_take_snapshot(sim->scheduler, now_ns);
    if (sim->snapshot == NULL)
        return;
    if (mu_session_run(sim->session, sim->snapshot, now_ns, &sim->plan) != 0)
        sim->plan = NULL;
    uint64_t delay_ns = sim->config.session_delay_ns;
    sim->plan_ns = now_ns + (delay_ns == 0 ? 0 : mu_random_below(&sim->session_random, delay_ns));
}

static void check_server(struct mu_sim *sim);

static void step(struct mu_sim *sim)
{
    uint64_t now_ns = now_of(sim);
    if (!sim->healed && sim->config.heal_ns <= now_ns)
        heal(sim);
    while (sim->relabel_ns <= now_ns)
        relabel(sim);
    while (sim->kill_ns <= now_ns)
        arm_kill(sim);
    while (arrival_ns(sim) <= now_ns)
        create_pod(sim, sim->next_pod++);
    mu_kubelets_run(sim->kubelets, now_ns);
    send_requests(sim);
    mu_inproc_run(sim->inproc, now_ns);
    mu_scheduler_tick(sim->scheduler, now_ns, &sim->outbox);
    session_step(sim);
    send_requests(sim);
    if (mu_apiserver_version(sim->server) != sim->version) {
        sim->version = mu_apiserver_version(sim->server);
        sim->activity_ns = now_ns;
        trace(sim, sim->version);
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

static void check_server(struct mu_sim *sim)
{
    mu_checker_server_begin(sim->checker);
    (void)mu_apiserver_each(sim->server, "nodes", give_node, sim->checker);
    (void)mu_apiserver_each(sim->server, "pods", give_pod, sim->checker);
    (void)mu_apiserver_each(sim->server, "namespaces", give_namespace, sim->checker);
    mu_checker_server_end(sim->checker, now_of(sim));
}

static bool at_rest(const struct mu_sim *sim)
{
    struct mu_scheduler_stats stats;
    if (!sim->healed || sim->snapshot != NULL || arrival_ns(sim) != UINT64_MAX ||
        now_of(sim) < sim->activity_ns + sim->config.rest_ns)
        return false;
    mu_scheduler_stats(sim->scheduler, &stats);
    return stats.binder.in_flight + stats.binder.queued + stats.journal.busy == 0 &&
           stats.preempting == 0 && stats.synced &&
           mu_kubelets_next_ns(sim->kubelets) == UINT64_MAX;
}

static void fill_result(const struct mu_sim *sim, struct mu_sim_result *result)
{
    const struct mu_violation *violations = NULL;
    uint32_t count = sim->checker != NULL ? mu_checker_violations(sim->checker, &violations) : 0;
    struct mu_inproc_stats sent;
    mu_inproc_stats(sim->inproc, &sent);
    *result = sim->sum;
    sum_up(sim, result);
    result->rested = at_rest(sim);
    result->late_writes = sent.orphans;
    result->steps = sim->steps;
    result->end_ns = now_of(sim);
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
    create_priorities(sim);
    create_namespaces(sim);
    create_nodes(sim);
    mu_scheduler_start(sim->scheduler, now_of(sim), &sim->outbox);
    mu_inproc_submit(sim->inproc, CLIENT, &sim->outbox, now_of(sim));
    while (sim->failure.code == 0 && !at_rest(sim)) {
        uint64_t next = next_ns(sim);
        if (next > sim->config.horizon_ns)
            break;
        sim->instant_steps = next == now_of(sim) ? sim->instant_steps + 1 : 0;
        if (sim->instant_steps > INSTANT_STEPS_MAX)
            fail(sim, MU_ETIMEOUT, "time stands still:", MU_STR("something is due for ever"));
        mu_clock_virtual_set(&sim->clock, next);
        sim->steps++;
        if (sim->checker != NULL)
            mu_checker_step(sim->checker, sim->steps);
        step(sim);
        if (progress != NULL && sim->steps % 256 == 0)
            progress(context, now_of(sim), sim->bound);
    }
    if (progress != NULL)
        progress(context, now_of(sim), sim->bound);
    if (at_rest(sim) && sim->checker != NULL)
        mu_checker_rest(sim->checker, mu_db_digest(mu_scheduler_db(sim->scheduler)));
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
