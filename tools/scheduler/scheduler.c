/*
 * The ring's life and time. Each public call sets the outbox and `now`, lets the machines run, ends
 * the DB's batch, and notes when there is something new to decide:
 *
 *   dirty_ns   a change that no session has seen yet; a session is due one batching window later
 *   wake_ns    nothing changed, but time itself decides (quiet time of a gang, a retry)
 *
 * No timer runs without one of the two, but for the audit's (audit.c), which rests when nothing
 * has changed since it last began: an idle scheduler burns no CPU.
 */
#include "tools/scheduler/scheduler.h"
#include "engine/base/assert.h"
#include "engine/base/log.h"
#include "engine/base/mem.h"
#include "tools/scheduler/scheduler_priv.h"

static int create_db(struct mu_scheduler *s)
{
    struct mu_db_config config = {
        .scheduler_names = s->config.scheduler_names,
        .scheduler_name_count = s->config.scheduler_name_count,
        .quiet_ns = s->config.quiet_ns,
        .nodes_hint = s->config.nodes_hint,
        .pods_hint = s->config.pods_hint,
    };
    s->db = mu_db_create(&config);
    s->decode = mu_arena_create(MU_DECODE_ARENA_BYTES);
    s->replica = s->db != NULL ? mu_db_replica_create(s->db) : NULL;
    return s->db == NULL || s->decode == NULL || s->replica == NULL ? MU_ENOMEM : 0;
}

static int create_machines(struct mu_scheduler *s)
{
    const struct mu_reflector_config reflectors[MU_DB_KINDS] = {
        [MU_DB_NODES] = {.name = MU_STR("nodes"),
                         .path = MU_STR("/api/v1/nodes"),
                         .page_limit = s->config.page_limit,
                         .token_base = MU_TOKENS_NODES},
        [MU_DB_PODS] = {.name = MU_STR("pods"),
                        .path = MU_STR("/api/v1/pods"),
                        .field_selector = MU_STR("status.phase!=Succeeded,status.phase!=Failed"),
                        .page_limit = s->config.page_limit,
                        .token_base = MU_TOKENS_PODS,
                        /* The ledger is empty after a restart: a stale list would hide binds made
                         * before it. */
                        .first_consistent = true},
        [MU_DB_NAMESPACES] = {.name = MU_STR("namespaces"),
                              .path = MU_STR("/api/v1/namespaces"),
                              .page_limit = s->config.page_limit,
                              .token_base = MU_TOKENS_NAMESPACES},
    };
    struct mu_binder_config binder = {.in_flight_max = s->config.in_flight_max,
                                      .token_base = MU_TOKENS_BINDER,
                                      .outcome = mu_commit_outcome,
                                      .context = s};
    bool failed = false;
    for (int kind = 0; kind < MU_DB_KINDS; kind++) {
        struct mu_reflector_sink sink = mu_feed_sink(s, (enum mu_db_kind)kind);
        s->reflectors[kind] = mu_reflector_create(&reflectors[kind], &sink, &s->random);
        failed = failed || s->reflectors[kind] == NULL;
    }
    failed = mu_budgets_feed_create(s) != 0 || failed;
    s->binder = mu_binder_create(&binder, &s->random);
    return failed || s->binder == NULL ? MU_ENOMEM : 0;
}

struct mu_scheduler *mu_scheduler_create(const struct mu_scheduler_config *config,
                                         struct mu_random *random)
{
    MU_ASSERT(config->scheduler_name_count > 0 && config->incarnation != 0);
    struct mu_scheduler *s = mu_mem_zalloc(sizeof *s);
    if (s == NULL)
        return NULL;
    s->config = *config;
    if (s->config.quiet_ns == 0)
        s->config.quiet_ns = MU_NS_PER_S;
    if (s->config.batch_window_ns == 0)
        s->config.batch_window_ns = 2 * MU_NS_PER_MS;
    if (s->config.hold_ns == 0)
        s->config.hold_ns = 30 * MU_NS_PER_S;
    if (s->config.evict_ns == 0)
        s->config.evict_ns = 60 * MU_NS_PER_S;
    if (s->config.eviction_interval_ns == 0)
        s->config.eviction_interval_ns = 60 * MU_NS_PER_S;
    if (s->config.in_flight_max == 0)
        s->config.in_flight_max = 256;
    mu_random_fork(random, &s->random);
    mu_groups_feed_init(s);
    s->dirty_ns = UINT64_MAX;
    s->wake_ns = UINT64_MAX;
    s->audit_ns = UINT64_MAX;
    if (create_db(s) != 0 || mu_commit_init(s) != 0 || create_machines(s) != 0 ||
        mu_durable_init(s) != 0 || mu_report_init(s) != 0) {
        mu_scheduler_destroy(s);
        return NULL;
    }
    mu_scheduler_set_wall(s, s->config.wall_offset_ns);
    /* The names were copied; the caller's array need not outlive this call. */
    s->config.scheduler_names = NULL;
    s->config.report_instance = s->config.journal_ns = s->config.journal_name = MU_STR("");
    return s;
}

void mu_scheduler_destroy(struct mu_scheduler *s)
{
    if (s == NULL)
        return;
    MU_ASSERT(!s->session_out);
    for (int kind = 0; kind < MU_DB_KINDS; kind++)
        mu_reflector_destroy(s->reflectors[kind]);
    mu_reflector_destroy(s->budgets);
    mu_groups_feed_fini(s);
    mu_binder_destroy(s->binder);
    mu_commit_fini(s);
    mu_report_fini(s);
    mu_durable_fini(s);
    if (s->replica != NULL)
        mu_db_replica_destroy(s->db, s->replica);
    mu_db_destroy(s->db);
    mu_arena_destroy(s->decode);
    mu_mem_free(s);
}

static void enter(struct mu_scheduler *s, uint64_t now_ns, struct mu_outbox *out)
{
    s->now_ns = now_ns;
    s->out = out;
    mu_db_time(s->db, now_ns);
}

/* Reports yield to sessions and binds. */
static void set_pace(struct mu_scheduler *s)
{
    struct mu_binder_stats binds;
    if (s->reporter == NULL)
        return;
    mu_binder_stats(s->binder, &binds);
    mu_reporter_set_pace(s->reporter, s->session_out,
                         binds.queued > 0 || binds.in_flight > s->config.in_flight_max / 2);
}

bool mu_scheduler_synced(const struct mu_scheduler *s)
{
    bool all = mu_budgets_feed_settled(s) && s->groups_settled;
    for (int kind = 0; kind < MU_DB_KINDS; kind++) {
        struct mu_reflector_stats stats;
        mu_reflector_stats(s->reflectors[kind], &stats);
        all = all && stats.synced;
    }
    return all;
}

/* End the batch; note a change that no session has seen. */
static void leave(struct mu_scheduler *s)
{
    struct mu_db_counts counts;
    mu_groups_feed_run(s);
    mu_commit_pump(s);
    mu_db_batch_end(s->db);
    mu_db_counts(s->db, &counts);
    if (counts.generation != s->seen_generation && s->dirty_ns == UINT64_MAX)
        s->dirty_ns = s->now_ns;
    mu_audit_note(s, &counts);
    if (s->audit_ns == UINT64_MAX && mu_scheduler_synced(s))
        mu_audit_wake(s, counts.generation);
    set_pace(s);
    s->out = NULL;
}

void mu_scheduler_start(struct mu_scheduler *s, uint64_t now_ns, struct mu_outbox *out)
{
    enter(s, now_ns, out);
    mu_reflector_start(s->budgets, now_ns, out);
    for (int kind = 0; kind < MU_DB_KINDS; kind++)
        if (kind != MU_DB_PODS) /* durable.c starts it, when the journal is closed */
            mu_reflector_start(s->reflectors[kind], now_ns, out);
    leave(s);
}

bool mu_scheduler_reply(struct mu_scheduler *s, const struct mu_reply *reply, uint64_t now_ns,
                        struct mu_outbox *out)
{
    enter(s, now_ns, out);
    bool ours = mu_binder_reply(s->binder, reply, now_ns, out) ||
                mu_reflector_reply(s->reflectors[MU_DB_PODS], reply, now_ns, out) ||
                mu_reflector_reply(s->reflectors[MU_DB_NODES], reply, now_ns, out) ||
                mu_reflector_reply(s->reflectors[MU_DB_NAMESPACES], reply, now_ns, out) ||
                mu_reflector_reply(s->budgets, reply, now_ns, out) ||
                mu_groups_feed_reply(s, reply) || mu_durable_reply(s, reply) ||
                (s->reporter != NULL && mu_reporter_reply(s->reporter, reply, now_ns, out));
    mu_budgets_feed_note(s);
    leave(s);
    return ours;
}

/* When a session is due; UINT64_MAX: not before something changes. */
static uint64_t session_due_ns(const struct mu_scheduler *s)
{
    struct mu_db_counts counts;
    if (s->session_out || s->draining || !mu_durable_open(s) || !mu_scheduler_synced(s))
        return UINT64_MAX;
    mu_db_counts(s->db, &counts);
    if (counts.pods_ours_pending == 0)
        return UINT64_MAX;
    uint64_t due = s->wake_ns;
    if (s->dirty_ns != UINT64_MAX && s->dirty_ns + s->config.batch_window_ns < due)
        due = s->dirty_ns + s->config.batch_window_ns;
    return due;
}

void mu_scheduler_tick(struct mu_scheduler *s, uint64_t now_ns, struct mu_outbox *out)
{
    enter(s, now_ns, out);
    for (int kind = 0; kind < MU_DB_KINDS; kind++) {
        if (mu_reflector_next_ns(s->reflectors[kind]) <= now_ns)
            mu_reflector_tick(s->reflectors[kind], now_ns, out);
    }
    if (mu_reflector_next_ns(s->budgets) <= now_ns)
        mu_reflector_tick(s->budgets, now_ns, out);
    mu_groups_feed_tick(s);
    if (mu_binder_next_ns(s->binder) <= now_ns)
        mu_binder_tick(s->binder, now_ns, out);
    if (s->reporter != NULL && mu_reporter_next_ns(s->reporter) <= now_ns)
        mu_reporter_tick(s->reporter, now_ns, out);
    mu_commit_expire(s);
    mu_durable_tick(s);
    mu_audit_tick(s, session_due_ns(s) <= now_ns);
    leave(s);
}

static uint64_t min_ns(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

uint64_t mu_scheduler_next_ns(const struct mu_scheduler *s)
{
    uint64_t next = mu_binder_next_ns(s->binder);
    for (int kind = 0; kind < MU_DB_KINDS; kind++)
        next = min_ns(next, mu_reflector_next_ns(s->reflectors[kind]));
    next = min_ns(next, mu_reflector_next_ns(s->budgets));
    next = min_ns(next, mu_groups_feed_next_ns(s));
    next = min_ns(min_ns(next, mu_commit_next_ns(s)), s->audit_ns);
    next = min_ns(min_ns(next, mu_durable_next_ns(s)), mu_evict_next_ns(s));
    if (s->reporter != NULL)
        next = min_ns(next, mu_reporter_next_ns(s->reporter));
    return min_ns(next, session_due_ns(s));
}

static uint64_t versions_moved(const struct mu_scheduler *s)
{
    struct mu_db_counts counts;
    mu_db_counts(s->db, &counts);
    return counts.versions_moved;
}

struct mu_snapshot *mu_scheduler_take_snapshot(struct mu_scheduler *s, uint64_t now_ns)
{
    if (session_due_ns(s) > now_ns)
        return NULL;
    mu_db_time(s->db, now_ns);
    /* Slices between batches: the caller comes back at once (next_ns <= now) until it is whole. */
    int more = mu_db_replica_sync(s->db, s->replica, 0);
    if (more < 0) {
        mu_log(MU_LOG_ERROR, "snapshot not synced", MU_F_TEXT("error", mu_error_text(more)),
               MU_F_END);
        s->dirty_ns = UINT64_MAX;
        s->wake_ns = now_ns + MU_NS_PER_S;
    }
    if (more != 0)
        return NULL;
    s->session_out = true;
    set_pace(s);
    s->seen_generation = s->replica->generation;
    s->seen_versions = versions_moved(s);
    s->dirty_ns = UINT64_MAX;
    s->wake_ns = UINT64_MAX;
    s->stats.sessions++;
    return s->replica;
}

static void note_waits(struct mu_scheduler *s, const struct mu_snapshot *snapshot,
                       const struct mu_plan *plan)
{
    memset(s->stats.waits, 0, sizeof s->stats.waits);
    s->stats.short_gangs = 0;
    for (uint32_t i = 0; i < plan->wait_count; i++) {
        const struct mu_plan_wait *wait = &plan->waits[i];
        s->stats.waits[wait->kind]++;
        if (snapshot->gangs[wait->gang.v].flags & MU_GANG_SHORT)
            s->stats.short_gangs++;
    }
}

void mu_scheduler_give_plan(struct mu_scheduler *s, struct mu_snapshot *snapshot,
                            const struct mu_plan *plan, uint64_t now_ns, struct mu_outbox *out)
{
    MU_ASSERT(s->session_out && snapshot == s->replica);
    enter(s, now_ns, out);
    if (plan == NULL) {
        s->wake_ns = now_ns + MU_NS_PER_S;
    } else {
        s->wake_ns = plan->next_ns;
        note_waits(s, snapshot, plan);
        mu_commit_plan(s, snapshot, plan);
        mu_rollback_plan(s, plan);
        if (plan->evictions_short)
            s->wake_ns = min_ns(s->wake_ns, mu_evict_refill_ns(s));
        mu_report_plan(s, snapshot, plan);
    }
    s->session_out = false;
    leave(s);
}

void mu_scheduler_retry(struct mu_scheduler *s, uint64_t now_ns)
{
    for (int kind = 0; kind < MU_DB_KINDS; kind++)
        mu_reflector_retry(s->reflectors[kind], now_ns);
    mu_reflector_retry(s->budgets, now_ns);
    s->now_ns = now_ns;
    mu_groups_feed_retry(s);
}

void mu_scheduler_set_wall(struct mu_scheduler *s, uint64_t wall_offset_ns)
{
    s->config.wall_offset_ns = wall_offset_ns;
    if (s->reporter != NULL)
        mu_reporter_set_wall(s->reporter, wall_offset_ns);
    mu_toucher_set_wall(s->toucher, wall_offset_ns);
}

void mu_scheduler_drain(struct mu_scheduler *s)
{
    s->draining = true;
}

bool mu_scheduler_drained(const struct mu_scheduler *s)
{
    return s->draining && !s->session_out && s->bind_open == 0 && mu_evict_drained(s) &&
           mu_rollback_drained(s) && mu_durable_drained(s);
}

bool mu_scheduler_ended(const struct mu_scheduler *s)
{
    return s->journal_failure.code != 0 || (s->journal != NULL && mu_journal_fenced(s->journal));
}

struct mu_db *mu_scheduler_db(struct mu_scheduler *s)
{
    return s->db;
}

void mu_scheduler_stats(const struct mu_scheduler *s, struct mu_scheduler_stats *out)
{
    *out = s->stats;
    mu_db_counts(s->db, &out->db);
    mu_reflector_stats(s->reflectors[MU_DB_NODES], &out->nodes);
    mu_reflector_stats(s->reflectors[MU_DB_PODS], &out->pods);
    mu_reflector_stats(s->reflectors[MU_DB_NAMESPACES], &out->namespaces);
    mu_groups_feed_stats(s, out);
    mu_binder_stats(s->binder, &out->binder);
    if (s->reporter != NULL)
        mu_reporter_stats(s->reporter, &out->reporter);
    out->nodes_problem = mu_reflector_problem(s->reflectors[MU_DB_NODES]);
    out->pods_problem = mu_reflector_problem(s->reflectors[MU_DB_PODS]);
    out->namespaces_problem = mu_reflector_problem(s->reflectors[MU_DB_NAMESPACES]);
    out->binds_problem = mu_binder_problem(s->binder);
    out->preempting = s->evict_count;
    mu_slot_store_stats(s->store, &out->journal);
    out->recovered = s->recovered;
    out->journal_problem = mu_durable_problem(s);
    out->journal_failed = s->journal_failure.code != 0;
    if (s->journal != NULL) {
        out->journal_open = mu_journal_open_entries(s->journal);
        out->journal_fenced = mu_journal_fenced(s->journal);
        out->journal_epoch = mu_journal_epoch(s->journal);
    }
    out->synced = mu_scheduler_synced(s) && s->journal != NULL;
}
