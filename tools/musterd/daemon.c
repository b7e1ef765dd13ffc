/*
 * Threads and hand-over.
 *
 *   loop thread     HTTP, decoding, DB, journal, binder; the only one that touches the scheduler
 *   session thread  waits on a semaphore; takes one job (snapshot, now), runs the session on it,
 *                   pushes the job back and wakes the loop
 *
 * There is one job, so each ring holds at most one item; the ring's release and acquire are what
 * makes the snapshot and the plan visible to the other side. The plan lives in the session's arena
 * until the next run, and the next run starts only after the loop gave the job out again.
 *
 * Everything that a callback may have made due (requests, a session, a timer) is done once per loop
 * turn, in `turn`.
 */
#include "tools/musterd/daemon.h"
#include "engine/base/assert.h"
#include "engine/base/hist.h"
#include "engine/base/log.h"
#include "engine/base/ring.h"
#include "informer/access.h"
#include "tools/open_files.h"
#include "tools/scheduler/scheduler.h"

#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>

#define WAITS_LOG_NS MU_NS_PER_S /* at most one line in so long */
/* Requirements of node affinity that one gang may cost in a session without being named: about 50
 * ms. */
#define COSTLY_LOOKS   (UINT64_C(1) << 23)
#define PROBLEM_LOG_NS (30 * MU_NS_PER_S)
/* A first list refused so often in a row, for something that only people can mend, is no start. The
 * second try comes after credentials have been read again. */
#define START_REFUSALS 2u

struct session_job {
    struct mu_snapshot *snapshot; /* NULL: the session thread ends */
    uint64_t now_ns;
    uint32_t unix_s;
    uint32_t evictions; /* pods that it may evict */
    bool evictions_any_first;
    const struct mu_plan *plan; /* result; NULL when the session failed */
    uint64_t took_ns;
};

struct daemon {
    const struct mu_daemon_options *options;
    const struct mu_clock *clock;
    uv_loop_t loop;
    uv_timer_t timer;
    uv_timer_t watchdog; /* first: the server must answer; later: the drain must end */
    uv_prepare_t prepare;
    uv_async_t plan_ready;
    uv_signal_t sigterm, sigint, sighup;
    uv_thread_t session_thread;
    uv_sem_t session_wake;
    struct mu_ring *to_session;
    struct mu_ring *from_session;
    struct session_job job;
    struct mu_session *session;
    struct mu_scheduler *scheduler;
    struct mu_access *access;
    struct mu_http_client *client;
    struct mu_outbox outbox;
    struct mu_hist session_ns;
    uint64_t waits_logged[MU_WAIT_KINDS];
    uint64_t waits_logged_ns, problem_logged_ns;
    bool problem_logged;
    int lost_error; /* of the last reply that did not come */
    bool synced_logged;
    bool draining;
    bool stopping; /* handles are being closed */
    int status;
};

static uint64_t now_of(const struct daemon *d)
{
    return d->clock->now_ns(d->clock);
}

static uint64_t wall_offset_ns(const struct daemon *d)
{
    return d->clock->wall_ns(d->clock) - now_of(d);
}

/* ---- session thread ----------------------------------------------------------------------- */

static void session_main(void *context)
{
    struct daemon *d = context;
    for (;;) {
        void *item;
        uv_sem_wait(&d->session_wake);
        if (!mu_ring_pop_spsc(d->to_session, &item))
            continue;
        struct session_job *job = item;
        if (job->snapshot == NULL)
            return;
        uint64_t begin_ns = now_of(d);
        mu_session_unix(d->session, job->unix_s);
        mu_session_evictions(d->session, job->evictions, job->evictions_any_first);
        if (mu_session_run(d->session, job->snapshot, job->now_ns, &job->plan) != 0)
            job->plan = NULL;
        job->took_ns = now_of(d) - begin_ns;
        bool pushed = mu_ring_push_spsc(d->from_session, job);
        MU_ASSERT(pushed);
        (void)uv_async_send(&d->plan_ready);
    }
}

static void session_give(struct daemon *d, struct mu_snapshot *snapshot)
{
    d->job = (struct session_job){.snapshot = snapshot,
                                  .now_ns = now_of(d),
                                  .unix_s = (uint32_t)(d->clock->wall_ns(d->clock) / MU_NS_PER_S)};
    mu_scheduler_evictions(d->scheduler, d->job.now_ns, &d->job.evictions,
                           &d->job.evictions_any_first);
    bool pushed = mu_ring_push_spsc(d->to_session, &d->job);
    MU_ASSERT(pushed);
    uv_sem_post(&d->session_wake);
}

static void stop(struct daemon *d);

/* ---- logging ------------------------------------------------------------------------------ */

static void log_waits(struct daemon *d, const struct mu_scheduler_stats *stats, uint64_t now_ns)
{
    if (memcmp(d->waits_logged, stats->waits, sizeof stats->waits) == 0 ||
        now_ns - d->waits_logged_ns < WAITS_LOG_NS)
        return;
    memcpy(d->waits_logged, stats->waits, sizeof stats->waits);
    d->waits_logged_ns = now_ns;
    mu_log(MU_LOG_INFO, "waiting gangs", MU_F_U64("no_room", stats->waits[MU_WAIT_NO_FIT]),
           MU_F_U64("incomplete", stats->waits[MU_WAIT_MEMBERS]),
           MU_F_U64("no_object", stats->waits[MU_WAIT_OBJECT]),
           MU_F_U64("quiet_time", stats->waits[MU_WAIT_QUIET]),
           MU_F_U64("claim_open", stats->waits[MU_WAIT_CLAIM]),
           MU_F_U64("ending", stats->waits[MU_WAIT_ENDING]),
           MU_F_U64("gated", stats->waits[MU_WAIT_GATED]),
           MU_F_U64("blocked", stats->waits[MU_WAIT_UNBUILT]),
           MU_F_U64("behind", stats->waits[MU_WAIT_BEHIND]),
           MU_F_U64("undecided", stats->waits[MU_WAIT_UNDECIDED]),
           MU_F_U64("short", stats->short_gangs), MU_F_END);
}

/* Say that the server cannot be followed, again every PROBLEM_LOG_NS, and when it is over. */
static void log_problem(struct daemon *d, const char *problem, uint64_t now_ns)
{
    bool bad = *problem != '\0';
    if (bad && (!d->problem_logged || now_ns - d->problem_logged_ns >= PROBLEM_LOG_NS)) {
        mu_log(MU_LOG_WARN, "problem with the API server", MU_F_TEXT("problem", problem), MU_F_END);
        d->problem_logged_ns = now_ns;
    } else if (!bad && d->problem_logged) {
        mu_log(MU_LOG_INFO, "the problem with the API server is over", MU_F_END);
    }
    d->problem_logged = bad;
}

static void log_news(enum mu_credentials_news news, const struct mu_error *error)
{
    switch (news) {
    case MU_CREDENTIALS_NOTHING:
        break;
    case MU_CREDENTIALS_REFUSED:
        mu_log(MU_LOG_WARN, "the API server refuses our credentials (401)", MU_F_END);
        break;
    case MU_CREDENTIALS_TAKEN:
        mu_log(MU_LOG_INFO, "the API server takes our credentials again", MU_F_END);
        break;
    case MU_CREDENTIALS_UNREADABLE:
        mu_log(MU_LOG_WARN, "credentials not read: the old ones stay in use",
               MU_F_TEXT("problem", error->text), MU_F_END);
        break;
    case MU_CREDENTIALS_READABLE:
        mu_log(MU_LOG_INFO, "credentials can be read again", MU_F_END);
        break;
    case MU_CREDENTIALS_CHANGED:
        mu_log(MU_LOG_INFO, "new credentials in use", MU_F_END);
        break;
    case MU_CREDENTIALS_CHANGED_NONE:
        mu_log(MU_LOG_INFO, "credentials read: nothing has changed", MU_F_END);
        break;
    }
}

/* One line on stderr, whatever a server has put into the text: no control characters. */
__attribute__((format(printf, 1, 2))) static void complain(const char *format, ...)
{
    char text[2048];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    for (char *c = text; *c != '\0'; c++)
        *c = (unsigned char)*c < 0x20 || *c == 0x7f ? '?' : *c;
    (void)fprintf(stderr, "musterd: %s\n", text);
}

/* The last problem of a connection, where TLS has one. */
static const char *tls_problem(const struct daemon *d)
{
    const char *text = mu_http_client_problem(d->client);
    return d->lost_error == MU_ETLS && *text != '\0' ? text : NULL;
}

/* Nothing but a person can mend this: the process that would wait for it is of no use. */
static bool is_refusal(const struct mu_reflector_stats *stats)
{
    return stats->failures_alike >= START_REFUSALS &&
           (stats->last_failure == 401 || stats->last_failure == 403 ||
            stats->last_failure == MU_ETLS);
}

static void give_up_start(struct daemon *d, const struct mu_scheduler_stats *stats)
{
    const char *problem = is_refusal(&stats->pods)         ? stats->pods_problem
                          : is_refusal(&stats->nodes)      ? stats->nodes_problem
                          : is_refusal(&stats->namespaces) ? stats->namespaces_problem
                                                           : NULL;
    if (problem == NULL)
        return;
    const char *tls = tls_problem(d);
    complain("%s: %s", mu_access_url(d->access), tls != NULL ? tls : problem);
    d->status = 1;
    stop(d);
}

/* The first of what keeps us from working, in words. */
static const char *problem_of(const struct daemon *d, const struct mu_scheduler_stats *stats)
{
    const char *text = *stats->pods_problem != '\0'         ? stats->pods_problem
                       : *stats->nodes_problem != '\0'      ? stats->nodes_problem
                       : *stats->namespaces_problem != '\0' ? stats->namespaces_problem
                       : *stats->journal_problem != '\0'    ? stats->journal_problem
                                                            : stats->binds_problem;
    const char *tls = *text != '\0' ? tls_problem(d) : NULL;
    return tls != NULL ? tls : text;
}

/* What has changed since it was last said. */
static void log_progress(struct daemon *d)
{
    struct mu_scheduler_stats stats;
    uint64_t now_ns = now_of(d);
    mu_scheduler_stats(d->scheduler, &stats);
    if (stats.synced && !d->synced_logged) {
        d->synced_logged = true;
        uv_timer_stop(&d->watchdog);
        mu_log(MU_LOG_INFO, "cluster known", MU_F_U64("nodes", stats.db.nodes),
               MU_F_U64("pods", stats.db.pods), MU_F_U64("pending", stats.db.pods_ours_pending),
               MU_F_END);
    }
    log_waits(d, &stats, now_ns);
    if (stats.pods.state == MU_REFLECTOR_RESTORED || stats.nodes.state == MU_REFLECTOR_RESTORED ||
        stats.namespaces.state == MU_REFLECTOR_RESTORED) {
        /* What is known here is of a cluster that is no more; a fresh process starts clean. */
        mu_log(MU_LOG_ERROR, "the server's store went back in time: ending",
               MU_F_TEXT("problem", problem_of(d, &stats)), MU_F_END);
        d->status = 1;
        stop(d);
        return;
    }
    if (stats.journal_failed || stats.journal_fenced) {
        /* Ours is not to decide any more; a fresh start may take the journal over. */
        complain("%s: journal: %s", mu_access_url(d->access),
                 stats.journal_failed ? stats.journal_problem
                                      : "closed by another scheduler; does it run twice?");
        d->status = 1;
        stop(d);
        return;
    }
    if (d->synced_logged)
        log_problem(d, problem_of(d, &stats), now_ns);
    else
        give_up_start(d, &stats);
}

static void log_summary(struct daemon *d)
{
    struct mu_scheduler_stats s;
    mu_scheduler_stats(d->scheduler, &s);
    mu_log(MU_LOG_INFO, "stopped", MU_F_U64("sessions", s.sessions),
           MU_F_U64("session_us_p50", mu_hist_quantile(&d->session_ns, 500) / 1000),
           MU_F_U64("session_us_p99", mu_hist_quantile(&d->session_ns, 990) / 1000),
           MU_F_U64("gangs_admitted", s.plans_admitted), MU_F_U64("overtaken", s.plans_conflicted),
           MU_F_U64("preemptions", s.plans_preempting), MU_F_U64("victims", s.victims),
           MU_F_U64("preemptions_given_up", s.plans_given_up),
           MU_F_U64("rolled_back", s.gangs_rolled_back), MU_F_U64("kept_short", s.gangs_kept_short),
           MU_F_U64("bound", s.binder.bound), MU_F_U64("refused", s.binder.refused),
           MU_F_U64("gone", s.binder.gone), MU_F_U64("repeated", s.binder.repeated),
           MU_F_U64("in_flight", s.binder.in_flight + s.binder.queued),
           MU_F_U64("conditions", s.reporter.conditions),
           MU_F_U64("events", s.reporter.events + s.reporter.series),
           MU_F_U64("events_dropped", s.reporter.events_dropped),
           MU_F_U64("journal_writes", s.journal.writes), MU_F_U64("journal_bytes", s.journal.bytes),
           MU_F_U64("bad_objects", s.bad_objects), MU_F_U64("audit_rounds", s.db.audit_rounds),
           MU_F_U64("audit_drift", s.db.audit_drift), MU_F_END);
}

/* A class of pods whose node affinity, or rules and preferences about other pods, take long to
 * judge: bounded (MU_REQUIREMENTS_MAX a node, once for a class; engine/place/terms.c, terms_sum.c),
 * and somebody's. The session is at rest and the gang may have gone since. */
static void log_costly(const struct daemon *d, const struct session_job *job)
{
    struct mu_gang_ix gang;
    uint64_t looks = mu_session_costliest(d->session, &gang);
    struct mu_db *db = mu_scheduler_db(d->scheduler);
    if (looks < COSTLY_LOOKS)
        return;
    mu_log(MU_LOG_WARN, "rules are costly to judge", MU_F_STR("namespace", mu_db_gang_ns(db, gang)),
           MU_F_STR("gang", mu_db_gang_name(db, gang)), MU_F_U64("requirements_looked_at", looks),
           MU_F_U64("session_us", job->took_ns / 1000), MU_F_END);
}

/* ---- loop --------------------------------------------------------------------------------- */

static void close_handle(uv_handle_t *handle)
{
    if (!uv_is_closing(handle))
        uv_close(handle, NULL);
}

static void on_client_closed(void *context)
{
    struct daemon *d = context;
    d->client = NULL;
}

/* Close every handle but plan_ready, which the session thread may still use (run() closes it after
 * the thread has ended); unreferenced, it does not keep the loop alive. */
static void stop(struct daemon *d)
{
    if (d->stopping)
        return;
    d->stopping = true;
    log_summary(d);
    mu_access_forget(d->access);
    mu_http_client_close(d->client, on_client_closed, d);
    close_handle((uv_handle_t *)&d->timer);
    close_handle((uv_handle_t *)&d->watchdog);
    close_handle((uv_handle_t *)&d->prepare);
    close_handle((uv_handle_t *)&d->sigterm);
    close_handle((uv_handle_t *)&d->sigint);
    close_handle((uv_handle_t *)&d->sighup);
    uv_unref((uv_handle_t *)&d->plan_ready);
}

/* Read the credentials, if it is time. */
static void refresh_access(struct daemon *d)
{
    struct mu_error error;
    enum mu_credentials_news news = mu_access_tick(d->access, now_of(d), &error);
    log_news(news, &error);
    if (news == MU_CREDENTIALS_CHANGED)
        mu_scheduler_retry(d->scheduler, now_of(d));
}

static void on_timer(uv_timer_t *timer)
{
    struct daemon *d = timer->data;
    refresh_access(d);
    mu_scheduler_set_wall(d->scheduler, wall_offset_ns(d));
    mu_scheduler_tick(d->scheduler, now_of(d), &d->outbox);
    log_progress(d);
}

/* Once per loop turn, before it waits: send, start a session, set the alarm. */
static void turn(uv_prepare_t *prepare)
{
    struct daemon *d = prepare->data;
    if (d->stopping)
        return;
    uint64_t now_ns = now_of(d);
    struct mu_snapshot *snapshot = mu_scheduler_take_snapshot(d->scheduler, now_ns);
    if (snapshot != NULL)
        session_give(d, snapshot);
    if (mu_http_client_drain(d->client, &d->outbox) != 0)
        mu_log(MU_LOG_ERROR, "requests not sent", MU_F_END);
    if (mu_scheduler_ended(d->scheduler))
        log_progress(d); /* says so, and stops */
    else if (mu_scheduler_drained(d->scheduler))
        stop(d);
    if (d->stopping)
        return;
    uint64_t next_ns = mu_scheduler_next_ns(d->scheduler);
    if (mu_access_next_ns(d->access) < next_ns)
        next_ns = mu_access_next_ns(d->access);
    if (next_ns == UINT64_MAX) {
        uv_timer_stop(&d->timer);
        return;
    }
    /* libuv counts milliseconds: round up, or the loop would spin until the moment has come. */
    uint64_t wait_ms = next_ns <= now_ns ? 0 : (next_ns - now_ns + MU_NS_PER_MS - 1) / MU_NS_PER_MS;
    uv_update_time(&d->loop);
    (void)uv_timer_start(&d->timer, on_timer, wait_ms, 0);
}

static void on_reply(void *context, const struct mu_reply *reply)
{
    struct daemon *d = context;
    if (d->stopping)
        return;
    (void)mu_scheduler_reply(d->scheduler, reply, now_of(d), &d->outbox);
    if (reply->kind == MU_REPLY_HEAD)
        log_news(mu_access_answer(d->access, reply->status, now_of(d)), NULL);
    if (reply->kind == MU_REPLY_LOST)
        d->lost_error = reply->error;
    else
        d->lost_error = 0;
    if (reply->kind == MU_REPLY_LOST || d->problem_logged ||
        (!d->synced_logged && reply->kind == MU_REPLY_END))
        log_progress(d);
}

static void on_plan(uv_async_t *async)
{
    struct daemon *d = async->data;
    void *item;
    if (d->stopping)
        return; /* destroy_parts takes the job back */
    while (mu_ring_pop_spsc(d->from_session, &item)) {
        struct session_job *job = item;
        mu_hist_add(&d->session_ns, job->took_ns);
        log_costly(d, job);
        mu_scheduler_give_plan(d->scheduler, job->snapshot, job->plan, now_of(d), &d->outbox);
        log_progress(d);
    }
}

static void on_drain_timeout(uv_timer_t *timer)
{
    struct daemon *d = timer->data;
    mu_log(MU_LOG_WARN, "drain timed out: binds in flight are left to the next start", MU_F_END);
    d->status = 1;
    stop(d);
}

static void on_signal(uv_signal_t *handle, int signum)
{
    struct daemon *d = handle->data;
    if (d->draining) {
        mu_log(MU_LOG_WARN, "second signal: not waiting for binds in flight", MU_F_END);
        d->status = 1;
        stop(d);
        return;
    }
    d->draining = true;
    mu_log(MU_LOG_INFO, "draining", MU_F_TEXT("signal", signum == SIGTERM ? "SIGTERM" : "SIGINT"),
           MU_F_END);
    mu_scheduler_drain(d->scheduler);
    (void)uv_timer_start(&d->watchdog, on_drain_timeout, d->options->drain_ns / MU_NS_PER_MS, 0);
}

static void on_hangup(uv_signal_t *handle, int signum)
{
    struct daemon *d = handle->data;
    (void)signum;
    mu_access_wish(d->access, now_of(d));
    refresh_access(d);
}

/* Why the first lists have not come. */
static const char *silence_text(const struct daemon *d, const struct mu_scheduler_stats *stats)
{
    if (tls_problem(d) != NULL)
        return tls_problem(d);
    if (d->lost_error != 0)
        return d->lost_error > -10000 ? uv_strerror(d->lost_error) : mu_error_text(d->lost_error);
    const char *problem = problem_of(d, stats);
    return *problem != '\0' ? problem : "no answer";
}

static void on_no_server(uv_timer_t *timer)
{
    struct daemon *d = timer->data;
    struct mu_http_client_stats stats;
    struct mu_scheduler_stats scheduler;
    mu_http_client_stats(d->client, &stats);
    mu_scheduler_stats(d->scheduler, &scheduler);
    const char *why = silence_text(d, &scheduler);
    complain("server %s: %s within %" PRIu64
             " s (%s); expected a Kubernetes API server over HTTP/2",
             mu_access_url(d->access),
             stats.connects == 0 ? "no connection"
                                 : "no journal and complete list of nodes, pods and namespaces",
             d->options->connect_wait_ns / MU_NS_PER_S, why);
    d->status = 1;
    stop(d);
}

/* ---- life --------------------------------------------------------------------------------- */

static struct mu_str journal_ns(const struct mu_daemon_options *o)
{
    return mu_str_of(o->journal_ns[0] != '\0' ? o->journal_ns : "kube-system");
}

static struct mu_str journal_name(const struct mu_daemon_options *o, char *buf, size_t room)
{
    static const char suffix[] = "-journal";
    if (o->journal_name[0] != '\0')
        return mu_str_of(o->journal_name);
    (void)snprintf(buf, room, "%.*s%s", (int)(room - sizeof suffix), o->scheduler_names[0], suffix);
    return mu_str_of(buf);
}

static int create_parts(struct daemon *d)
{
    const struct mu_daemon_options *o = d->options;
    struct mu_random random;
    struct mu_str names[MU_SCHEDULER_NAMES_MAX];
    char host[UV_MAXHOSTNAMESIZE] = "unknown";
    char instance[sizeof host + sizeof "musterd-"];
    size_t host_size = sizeof host;
    (void)uv_os_gethostname(host, &host_size);
    (void)snprintf(instance, sizeof instance, "musterd-%s", host);
    mu_random_init_kernel(&random);
    for (uint32_t i = 0; i < o->scheduler_name_count; i++)
        names[i] = mu_str_of(o->scheduler_names[i]);
    struct mu_scheduler_config config = {
        .scheduler_names = names,
        .scheduler_name_count = o->scheduler_name_count,
        .quiet_ns = o->quiet_ns,
        .batch_window_ns = o->batch_window_ns,
        .hold_ns = o->hold_ns,
        .evictions_per_interval = o->evictions_per_interval,
        .eviction_interval_ns = o->eviction_interval_ns,
        .preempts = o->preempts,
        .min_run_s = (uint32_t)((o->min_run_ns + MU_NS_PER_S - 1) / MU_NS_PER_S),
        .in_flight_max = o->binds_in_flight,
        .profile = o->profile,
        .report_rate = o->report_rate,
        .report_instance = mu_str_of(instance),
        .wall_offset_ns = wall_offset_ns(d),
        .journal_bytes_per_s = o->journal_rate,
        .incarnation = mu_random_u64(&random) | 1};
    char journal[MU_JOURNAL_NAME_MAX + 1];
    if (!o->journal_memory) {
        config.journal_ns = journal_ns(o);
        config.journal_name = journal_name(o, journal, sizeof journal);
    }
    struct mu_session_config session = {
        .profile = o->profile,
        .strict = o->strict,
        .reserve_after_ns = o->reserve_after_ns,
        .short_gangs = o->short_gangs,
        .gang_deadline_ns = o->gang_deadline_ns,
        .preempts = o->preempts,
        .min_run_s = config.min_run_s,
    };
    d->to_session = mu_ring_create(2);
    d->from_session = mu_ring_create(2);
    d->scheduler = mu_scheduler_create(&config, &random);
    d->session = mu_session_create(&session);
    if (d->to_session == NULL || d->from_session == NULL || d->scheduler == NULL ||
        d->session == NULL)
        return MU_ENOMEM;
    return mu_access_connect(d->access, &d->loop, o->connections, on_reply, d, &d->client);
}

static void init_handles(struct daemon *d)
{
    MU_ASSERT(uv_timer_init(&d->loop, &d->timer) == 0);
    MU_ASSERT(uv_timer_init(&d->loop, &d->watchdog) == 0);
    MU_ASSERT(uv_prepare_init(&d->loop, &d->prepare) == 0);
    MU_ASSERT(uv_async_init(&d->loop, &d->plan_ready, on_plan) == 0);
    MU_ASSERT(uv_signal_init(&d->loop, &d->sigterm) == 0);
    MU_ASSERT(uv_signal_init(&d->loop, &d->sigint) == 0);
    MU_ASSERT(uv_signal_init(&d->loop, &d->sighup) == 0);
    d->timer.data = d->watchdog.data = d->prepare.data = d->plan_ready.data = d;
    d->sigterm.data = d->sigint.data = d->sighup.data = d;
    MU_ASSERT(uv_prepare_start(&d->prepare, turn) == 0);
    MU_ASSERT(uv_signal_start(&d->sigterm, on_signal, SIGTERM) == 0);
    MU_ASSERT(uv_signal_start(&d->sigint, on_signal, SIGINT) == 0);
    MU_ASSERT(uv_signal_start(&d->sighup, on_hangup, SIGHUP) == 0);
    MU_ASSERT(uv_timer_start(&d->watchdog, on_no_server, d->options->connect_wait_ns / MU_NS_PER_MS,
                             0) == 0);
}

/* The session thread may still hold the snapshot: end it first, then take everything apart. */
static void destroy_parts(struct daemon *d)
{
    if (d->scheduler != NULL) {
        void *item;
        while (d->from_session != NULL && mu_ring_pop_spsc(d->from_session, &item)) {
            struct session_job *job = item;
            mu_scheduler_give_plan(d->scheduler, job->snapshot, NULL, now_of(d), &d->outbox);
        }
        mu_scheduler_destroy(d->scheduler);
    }
    mu_session_destroy(d->session);
    mu_ring_destroy(d->to_session);
    mu_ring_destroy(d->from_session);
    mu_outbox_fini(&d->outbox);
    mu_access_destroy(d->access);
}

static void run(struct daemon *d)
{
    static struct session_job end; /* snapshot NULL */
    init_handles(d);
    MU_ASSERT(uv_sem_init(&d->session_wake, 0) == 0);
    MU_ASSERT(uv_thread_create(&d->session_thread, session_main, d) == 0);
    mu_scheduler_start(d->scheduler, now_of(d), &d->outbox);
    (void)uv_run(&d->loop, UV_RUN_DEFAULT);
    MU_ASSERT(mu_ring_push_spsc(d->to_session, &end));
    uv_sem_post(&d->session_wake);
    MU_ASSERT(uv_thread_join(&d->session_thread) == 0);
    uv_sem_destroy(&d->session_wake);
    close_handle((uv_handle_t *)&d->plan_ready);
    (void)uv_run(&d->loop, UV_RUN_DEFAULT);
}

/* Where the server is and who we are, certificates checked. One line on stderr when that is not to
 * be had. */
static int open_access(struct daemon *d)
{
    struct mu_kubeconfig *config = NULL;
    struct mu_error error;
    int rc = mu_daemon_options_server(d->options, &config, &error);
    if (rc == 0)
        rc = mu_access_create(config, now_of(d), &d->access, &error);
    if (rc != 0)
        complain("%s", error.text);
    return rc;
}

int mu_daemon_run(const struct mu_daemon_options *options)
{
    struct daemon d = {.options = options, .clock = mu_clock_real()};
    struct mu_log_config log = {
        .level = options->log_level, .format = options->log_format, .clock = d.clock};
    mu_log_configure(&log);
    mu_hist_init(&d.session_ns);
    (void)signal(SIGPIPE, SIG_IGN);
    (void)mu_open_files_raise();
    if (open_access(&d) != 0)
        return 2;
    MU_ASSERT(uv_loop_init(&d.loop) == 0);
    mu_log(MU_LOG_INFO, "starting", MU_F_TEXT("server", mu_access_url(d.access)),
           MU_F_TEXT("scheduler_name", options->scheduler_names[0]),
           MU_F_TEXT("profile", options->profile->name), MU_F_END);
    int rc = create_parts(&d);
    if (rc == 0) {
        run(&d);
    } else {
        complain("cannot start: %s", mu_error_text(rc));
        d.status = 1;
    }
    (void)uv_run(&d.loop, UV_RUN_DEFAULT); /* what has failed to start may be closing still */
    destroy_parts(&d);
    MU_ASSERT(uv_loop_close(&d.loop) == 0);
    return d.status;
}
