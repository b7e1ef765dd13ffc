/*
 * Runs of the scheduler. One is current; what it is shown and decides is what the checker judges.
 *
 * A kill is armed at some time, for one kind of write and one way, and comes when the current
 * scheduler next has such a write to send:
 *
 *   killed before   with the write all is lost that was to be sent in that instant
 *   killed after    it was sent, and nobody hears the answer
 *   paused before   nothing was sent: it is when the process wakes
 *   paused after    the answers wait for it
 *
 * The successor starts at once and knows nothing but what the server holds. A paused process is as
 * one whose machine stood still: it wakes after up to 20 s, believes that no time has passed, hears
 * what was answered and goes on, until it sees that its journal is closed, or for OLD_LIFE_NS. So
 * its writes land at any time while the successor takes over and after, as do those that a killed
 * one had sent and that were late under way. One that was paused while it took the journal over
 * goes on with that; whoever finds himself fenced ends, and the current one is started again.
 *
 * With wakes a pause ends when the journal has just been taken over, while the successor makes its
 * first decisions: what was about to be sent is dead only if the take-over was done right.
 */
#include "engine/base/assert.h"
#include "engine/base/hash.h"
#include "engine/base/mem.h"
#include "tools/sim/sim_priv.h"

#define REPORT_RATE  100u
#define KILL_NS      (12 * MU_NS_PER_S) /* mean time between kills */
#define JOURNAL_NS   "kube-system"
#define JOURNAL_NAME "muster-journal"
#define PAUSE_NS     (20 * MU_NS_PER_S)  /* the longest */
#define OLD_LIFE_NS  (20 * MU_NS_PER_S)  /* after a pause */
#define WAKES_NS     (4 * MU_NS_PER_S)   /* mean time between kills, with wakes */
#define WAKE_NS      (50 * MU_NS_PER_MS) /* from the take-over to a wake, at most */
#define HEARD_MAX    (1u << 20)

enum kill_way { KILL_BEFORE, KILL_AFTER, PAUSE_BEFORE, PAUSE_AFTER, KILL_WAYS };

/* A reply to a paused process. */
struct heard {
    struct mu_reply reply;
    struct mu_buf data;
};

struct mu_sim_process {
    struct mu_sim *sim;
    uint32_t client;
    uint64_t incarnation;
    struct mu_scheduler *scheduler;
    struct mu_session *session;
    struct mu_outbox outbox;
    struct mu_snapshot *snapshot; /* a session is under way */
    const struct mu_plan *plan;
    uint64_t plan_ns;         /* when its plan comes back */
    bool open;                /* it has taken the journal over */
    uint64_t paused_until_ns; /* 0: it runs */
    uint64_t ends_ns;         /* an old one's end, at the latest */
    struct heard *heard;
    uint32_t heard_count, heard_cap;
};

/* ---- observer: what the scheduler sees and decides ------------------------------------------ */

/* The checker's, if what this process does is the checker's business. */
static struct mu_checker *checker_of(const struct mu_sim_process *p)
{
    return p == p->sim->current ? p->sim->checker : NULL;
}

static void saw_object(void *context, enum mu_db_kind kind, struct mu_str raw, bool removed)
{
    const struct mu_sim_process *p = context;
    if (checker_of(p) != NULL)
        mu_checker_view_object(checker_of(p), kind, raw, removed);
}

static void saw_relist(void *context, enum mu_db_kind kind, bool done)
{
    const struct mu_sim_process *p = context;
    if (checker_of(p) != NULL)
        mu_checker_view_relist(checker_of(p), kind, done);
}

static void saw_decision(void *context, struct mu_db *db, const struct mu_plan_gang *gang)
{
    const struct mu_sim_process *p = context;
    struct mu_sim *sim = p->sim;
    sim->activity_ns = mu_sim_now(sim);
    mu_sim_trace(sim, gang->bind_count);
    for (uint32_t i = 0; i < gang->bind_count; i++)
        mu_sim_trace(sim,
                     mu_hash_str(mu_db_node_name(db, gang->binds[i].node), gang->binds[i].uid.lo));
    if (checker_of(p) != NULL)
        mu_checker_decision(sim->checker, db, gang);
}

static void saw_preemption(void *context, struct mu_db *db, const struct mu_plan_gang *gang)
{
    const struct mu_sim_process *p = context;
    struct mu_sim *sim = p->sim;
    sim->activity_ns = mu_sim_now(sim);
    mu_sim_trace(sim, gang->evict_count);
    for (uint32_t i = 0; i < gang->evict_count; i++)
        mu_sim_trace(sim,
                     mu_hash_str(mu_db_node_name(db, gang->evicts[i].node), gang->evicts[i].check));
    if (checker_of(p) != NULL)
        mu_checker_preemption(sim->checker, db, gang);
}

static void saw_outcome(void *context, struct mu_str uid, enum mu_bind_result result)
{
    const struct mu_sim_process *p = context;
    struct mu_sim *sim = p->sim;
    sim->activity_ns = mu_sim_now(sim);
    mu_sim_trace(sim, (uint64_t)result);
    if (checker_of(p) != NULL)
        mu_checker_outcome(sim->checker, uid, result);
    uint32_t i = mu_sim_pod_find(sim, uid);
    if (i != MU_INDEX_NONE && result == MU_BIND_BOUND && sim->times[i].bound_ns == 0) {
        sim->times[i].bound_ns = mu_sim_now(sim);
        sim->bound++;
    }
}

/* ---- life --------------------------------------------------------------------------------- */

static void process_destroy(struct mu_sim_process *p)
{
    if (p == NULL)
        return;
    if (p->snapshot != NULL)
        mu_scheduler_give_plan(p->scheduler, p->snapshot, NULL, mu_sim_now(p->sim), &p->outbox);
    mu_scheduler_destroy(p->scheduler);
    mu_session_destroy(p->session);
    mu_outbox_fini(&p->outbox);
    for (uint32_t i = 0; i < p->heard_count; i++)
        mu_buf_fini(&p->heard[i].data);
    mu_mem_free(p->heard);
    mu_mem_free(p);
}

static struct mu_sim_process *process_create(struct mu_sim *sim)
{
    struct mu_sim_process *p = mu_mem_zalloc(sizeof *p);
    if (p == NULL)
        return NULL;
    p->sim = sim;
    p->client = ++sim->next_client;
    p->incarnation = ++sim->incarnation;
    p->plan_ns = p->ends_ns = UINT64_MAX;
    struct mu_str name = MU_STR(MU_SIM_SCHEDULER);
    struct mu_scheduler_config config = {
        .scheduler_names = &name,
        .scheduler_name_count = 1,
        .page_limit = sim->config.check ? 7 : 0, /* small worlds: several pages */
        .incarnation = p->incarnation,
        .profile = sim->config.profile,
        .preempts = sim->config.preempts,
        .report_rate = REPORT_RATE,
        .report_instance = MU_STR("musterd-sim"),
        .wall_offset_ns = MU_SIM_WALL_NS,
        .journal_ns = MU_STR(JOURNAL_NS),
        .journal_name = sim->config.check ? MU_STR(JOURNAL_NAME) : MU_STR(""),
        .audit_by_changes = !sim->config.check, /* small worlds: as in production */
        .observer = {.context = p,
                     .object = saw_object,
                     .relist = saw_relist,
                     .decision = saw_decision,
                     .preemption = saw_preemption,
                     .outcome = saw_outcome}};
    struct mu_session_config session = {.profile = sim->config.profile,
                                        .gang_deadline_ns = sim->config.gang_deadline_ns,
                                        .preempts = sim->config.preempts};
    p->scheduler = mu_scheduler_create(&config, &sim->random);
    p->session = mu_session_create(&session);
    if (p->scheduler == NULL || p->session == NULL) {
        mu_scheduler_destroy(p->scheduler);
        mu_session_destroy(p->session);
        mu_mem_free(p);
        return NULL;
    }
    return p;
}

int mu_sim_process_create(struct mu_sim *sim)
{
    sim->incarnation = sim->config.seed << 16;
    sim->kill_ns = sim->config.kills || sim->config.pauses ? MU_NS_PER_S : UINT64_MAX;
    sim->current = process_create(sim);
    return sim->current == NULL ? MU_ENOMEM : 0;
}

void mu_sim_process_start(struct mu_sim *sim)
{
    struct mu_sim_process *p = sim->current;
    mu_scheduler_start(p->scheduler, mu_sim_now(sim), &p->outbox);
    mu_inproc_submit(sim->inproc, p->client, &p->outbox, mu_sim_now(sim));
}

void mu_sim_processes_destroy(struct mu_sim *sim)
{
    process_destroy(sim->old);
    process_destroy(sim->current);
    sim->old = sim->current = NULL;
}

static void sum_up(const struct mu_sim_process *p, struct mu_sim_result *sum)
{
    struct mu_scheduler_stats stats;
    mu_scheduler_stats(p->scheduler, &stats);
    sum->touches += stats.recovered.touched;
    sum->roll_forwards += stats.plans_completing;
    sum->preemptions += stats.plans_preempting;
    sum->victims += stats.victims;
    sum->given_up += stats.plans_given_up;
    sum->rollbacks += stats.gangs_rolled_back;
}

/* The process is gone, with all that it had not sent. */
static void end(struct mu_sim *sim, struct mu_sim_process **process)
{
    if (*process == NULL)
        return;
    sum_up(*process, &sim->sum);
    mu_inproc_disconnect(sim->inproc, (*process)->client);
    process_destroy(*process);
    *process = NULL;
}

/* There is no current process (any more): another one starts. */
static void succeed(struct mu_sim *sim)
{
    if (sim->checker != NULL)
        mu_checker_restart(sim->checker);
    mu_sim_trace(sim, sim->incarnation);
    sim->activity_ns = mu_sim_now(sim);
    sim->current = process_create(sim);
    if (sim->current == NULL)
        mu_sim_fail(sim, MU_ENOMEM, "scheduler", MU_STR(MU_SIM_SCHEDULER));
    else
        mu_sim_process_start(sim);
}

/* ---- kills and pauses ----------------------------------------------------------------------- */

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

static bool is_write(const struct mu_request *request)
{
    return !request->cancel && request->method != MU_GET;
}

/* Which write this is; MU_KILL_STEPS: none. */
static enum mu_kill_step step_of(const struct mu_sim_process *p, const struct mu_request *request)
{
    struct mu_scheduler_stats stats;
    if (!is_write(request))
        return MU_KILL_STEPS;
    mu_scheduler_stats(p->scheduler, &stats);
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

void mu_sim_kills_arm(struct mu_sim *sim)
{
    struct mu_random *r = &sim->kill_random;
    bool pause = mu_random_chance(r, 500), after = mu_random_chance(r, 500);
    if (!sim->config.kills || !sim->config.pauses)
        pause = sim->config.pauses;
    sim->kill_armed = true;
    sim->kill_way = (pause ? (uint32_t)PAUSE_BEFORE : (uint32_t)KILL_BEFORE) + (after ? 1u : 0u);
    sim->kill_step = (enum mu_kill_step)mu_random_below(r, MU_KILL_STEPS);
    sim->kill_ns += 1 + mu_random_below(r, 2 * (sim->config.wakes ? WAKES_NS : KILL_NS));
}

void mu_sim_kills_end(struct mu_sim *sim)
{
    sim->kill_armed = false;
    sim->kill_ns = UINT64_MAX;
}

/* Of an old process every write is a late one. */
static void submit(struct mu_sim *sim, struct mu_sim_process *p)
{
    for (uint32_t i = p->outbox.taken; p != sim->current && i < p->outbox.count; i++)
        sim->sum.late_writes += is_write(&p->outbox.requests[i]);
    mu_inproc_submit(sim->inproc, p->client, &p->outbox, mu_sim_now(sim));
}

/* The armed kill comes now. Pauses are short and long alike. */
static void strike(struct mu_sim *sim)
{
    bool pause = sim->kill_way >= PAUSE_BEFORE, after = sim->kill_way % 2 == 1;
    sim->kill_armed = false;
    if (!pause) {
        sim->sum.kills[sim->kill_step][after]++;
        end(sim, &sim->current);
        succeed(sim);
        return;
    }
    uint64_t most_ns = (20 * MU_NS_PER_MS) << mu_random_below(&sim->kill_random, 11);
    most_ns = most_ns < PAUSE_NS ? most_ns : PAUSE_NS;
    if (sim->config.wakes)
        most_ns = PAUSE_NS; /* wake_old ends it */
    sim->sum.pauses[sim->kill_step][after]++;
    end(sim, &sim->old);
    sim->old = sim->current;
    sim->old->paused_until_ns = mu_sim_now(sim) + 1 + mu_random_below(&sim->kill_random, most_ns);
    sim->old->ends_ns = sim->old->paused_until_ns + OLD_LIFE_NS;
    succeed(sim);
}

void mu_sim_processes_send(struct mu_sim *sim)
{
    struct mu_sim_process *p = sim->current;
    bool struck = false;
    for (uint32_t i = p->outbox.taken; sim->kill_armed && i < p->outbox.count; i++)
        struck = struck || step_of(p, &p->outbox.requests[i]) == sim->kill_step;
    if (sim->old != NULL && sim->old->paused_until_ns == 0)
        submit(sim, sim->old);
    if (!struck || sim->kill_way % 2 == 1)
        submit(sim, p);
    if (struck)
        strike(sim);
}

/* ---- replies -------------------------------------------------------------------------------- */

static void deliver(struct mu_sim_process *p, const struct mu_reply *reply)
{
    (void)mu_scheduler_reply(p->scheduler, reply, mu_sim_now(p->sim), &p->outbox);
}

void mu_sim_process_reply(void *context, uint32_t client, const struct mu_reply *reply)
{
    struct mu_sim *sim = context;
    mu_sim_trace(sim, reply->token);
    mu_sim_trace(sim, (uint64_t)reply->kind << 32 | (uint32_t)reply->status);
    mu_sim_trace(sim, mu_hash_str(reply->data, mu_sim_now(sim)));
    struct mu_sim_process *p = sim->current;
    if (sim->old != NULL && sim->old->client == client)
        p = sim->old;
    MU_ASSERT(p != NULL && p->client == client); /* of those that ended nothing comes */
    if (p->paused_until_ns == 0) {
        deliver(p, reply);
        return;
    }
    MU_ASSERT(mu_mem_grow((void **)&p->heard, &p->heard_cap, p->heard_count + 1, HEARD_MAX,
                          sizeof *p->heard) == 0);
    struct heard *heard = &p->heard[p->heard_count++];
    *heard = (struct heard){.reply = *reply};
    MU_ASSERT(mu_buf_append_str(&heard->data, reply->data) == 0);
}

static void wake(struct mu_sim_process *p)
{
    p->paused_until_ns = 0;
    for (uint32_t i = 0; i < p->heard_count; i++) {
        struct heard *heard = &p->heard[i];
        heard->reply.data =
            (struct mu_str){(const char *)heard->data.data, (uint32_t)heard->data.len};
        deliver(p, &heard->reply);
        mu_buf_fini(&heard->data);
    }
    p->heard_count = 0;
}

/* ---- going on ------------------------------------------------------------------------------- */

static void session_step(struct mu_sim_process *p)
{
    struct mu_sim *sim = p->sim;
    uint64_t now_ns = mu_sim_now(sim);
    if (p->snapshot != NULL && p->plan_ns <= now_ns) {
        mu_scheduler_give_plan(p->scheduler, p->snapshot, p->plan, now_ns, &p->outbox);
        p->snapshot = NULL;
        p->plan_ns = UINT64_MAX;
    }
    if (p->snapshot != NULL)
        return;
    p->snapshot = mu_scheduler_take_snapshot(p->scheduler, now_ns);
    if (p->snapshot == NULL)
        return;
    uint32_t evictions = 0;
    bool any_first = false;
    mu_scheduler_evictions(p->scheduler, now_ns, &evictions, &any_first);
    mu_session_evictions(p->session, evictions, any_first);
    mu_session_unix(p->session, (uint32_t)((MU_SIM_WALL_NS + now_ns) / MU_NS_PER_S));
    if (mu_session_run(p->session, p->snapshot, now_ns, &p->plan) != 0)
        p->plan = NULL;
    if (p->plan != NULL && checker_of(p) != NULL)
        mu_checker_plan(sim->checker, mu_scheduler_db(p->scheduler), p->plan);
    uint64_t delay_ns = sim->config.session_delay_ns;
    p->plan_ns = now_ns + (delay_ns == 0 ? 0 : mu_random_below(&sim->session_random, delay_ns));
}

/* The journal has been taken over. */
static void wake_old(struct mu_sim *sim)
{
    struct mu_sim_process *old = sim->old;
    if (!sim->config.wakes || old == NULL || old->paused_until_ns == 0)
        return;
    old->paused_until_ns = mu_sim_now(sim) + 1 + mu_random_below(&sim->kill_random, WAKE_NS);
    old->ends_ns = old->paused_until_ns + OLD_LIFE_NS;
}

static void run(struct mu_sim_process *p)
{
    struct mu_scheduler_stats stats;
    mu_scheduler_tick(p->scheduler, mu_sim_now(p->sim), &p->outbox);
    session_step(p);
    if (p->open || p->sim->checker == NULL)
        return;
    mu_scheduler_stats(p->scheduler, &stats);
    p->open = stats.journal_epoch != 0;
    if (!p->open)
        return;
    mu_checker_opened(p->sim->checker, p->incarnation, stats.journal_epoch);
    wake_old(p->sim);
}

void mu_sim_processes_run(struct mu_sim *sim)
{
    run(sim->current);
    if (mu_scheduler_ended(sim->current->scheduler)) {
        end(sim, &sim->current); /* an old one woke while it took the journal over itself */
        succeed(sim);
    }
    struct mu_sim_process *old = sim->old;
    if (old == NULL)
        return;
    if (old->paused_until_ns != 0 && old->paused_until_ns <= mu_sim_now(sim))
        wake(old);
    if (old->paused_until_ns == 0)
        run(old);
    if (mu_scheduler_ended(old->scheduler) || old->ends_ns <= mu_sim_now(sim))
        end(sim, &sim->old);
}

static uint64_t min_ns(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t process_next_ns(const struct mu_sim_process *p)
{
    if (p->paused_until_ns != 0)
        return p->paused_until_ns;
    return min_ns(min_ns(mu_scheduler_next_ns(p->scheduler), p->plan_ns), p->ends_ns);
}

uint64_t mu_sim_processes_next_ns(const struct mu_sim *sim)
{
    uint64_t next = min_ns(process_next_ns(sim->current), sim->kill_ns);
    return sim->old == NULL ? next : min_ns(next, process_next_ns(sim->old));
}

bool mu_sim_processes_rest(const struct mu_sim *sim)
{
    struct mu_scheduler_stats stats;
    if (sim->current->snapshot != NULL || sim->old != NULL)
        return false;
    mu_scheduler_stats(sim->current->scheduler, &stats);
    return stats.binder.in_flight + stats.binder.queued + stats.journal.busy == 0 &&
           stats.preempting == 0 && stats.synced;
}

struct mu_scheduler *mu_sim_scheduler(const struct mu_sim *sim)
{
    return sim->current->scheduler;
}

void mu_sim_processes_sum(const struct mu_sim *sim, struct mu_sim_result *sum)
{
    struct mu_inproc_stats sent;
    mu_inproc_stats(sim->inproc, &sent);
    *sum = sim->sum;
    sum->late_writes += sent.orphans;
    sum_up(sim->current, sum);
    if (sim->old != NULL)
        sum_up(sim->old, sum);
}
