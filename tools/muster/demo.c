/*
 * muster demo: the main job, seen from outside. Starts muster-kubesim and musterd as processes of
 * their own, loads a cluster and a workload over HTTP, watches pods become bound, and ends with a
 * report that is recomputed from the API server's own objects.
 *
 *   KUBESIM -> NODES -> MUSTERD -> PODS -> SETTLE -> COLLECT -> (still fits? SETTLE) -> END
 *
 * SETTLE ends when every pod is bound, or when no pod was bound for SETTLE_NS. The report then
 * says whether a plain greedy pass would still place something; if so, the scheduler gets more
 * time, up to PATIENCE_NS after the last bind.
 *
 * With --replay pods arrive and end as recorded (tools/muster/replay.h). PODS lasts until the last
 * one has arrived; in SETTLE, pods that wait may still get the room of those that run, so that the
 * quiet time counts only once everything that was bound has ended.
 */
#include "tools/muster/demo.h"
#include "engine/base/assert.h"
#include "engine/base/log.h"
#include "informer/access.h"
#include "tools/flags.h"
#include "tools/muster/child.h"
#include "tools/muster/collect.h"
#include "tools/muster/keep.h"
#include "tools/muster/loader.h"
#include "tools/muster/progress.h"
#include "tools/muster/replay.h"
#include "tools/muster/watcher.h"
#include "tools/muster/workload_flags.h"
#include "tools/muster/result.h"
#include "tools/workload/encode.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define TICK_MS     20
#define KILL_MS     15000 /* musterd drains for 10 s */
#define SETTLE_NS   (1500 * MU_NS_PER_MS)
#define PATIENCE_NS (20 * MU_NS_PER_S)
#define START_NS    (15 * MU_NS_PER_S) /* for a child to come up */

#define TOKENS_NODES   (UINT64_C(1) << 40)
#define TOKENS_PODS    (UINT64_C(2) << 40)
#define TOKENS_WATCH   (UINT64_C(3) << 40)
#define TOKENS_COLLECT (UINT64_C(4) << 40) /* + list << 32 */

enum demo_stage {
    STAGE_KUBESIM,
    STAGE_NODES,
    STAGE_MUSTERD,
    STAGE_PODS,
    STAGE_SETTLE,
    STAGE_COLLECT,
    STAGE_END
};

struct demo {
    const struct mu_demo_options *options;
    struct mu_workload *workload;
    const struct mu_clock *clock;
    uv_loop_t loop;
    uv_timer_t tick;
    uv_timer_t killer; /* unreferenced: ends children that do not end by themselves */
    uv_signal_t sigint, sigterm, sighup;
    struct mu_child kubesim, musterd;
    char directory[64]; /* of the children's logs and the kubeconfig */
    char kubeconfig[96];
    enum demo_stage stage;
    uint64_t stage_ns;        /* when it began */
    struct mu_access *access; /* NULL: the server does not serve yet */
    struct mu_http_client *client;
    struct mu_outbox outbox;
    struct mu_random random;
    struct mu_loader *node_loader, *pod_loader;
    struct mu_replay replay;
    struct mu_watcher watcher;
    bool watching;
    struct mu_collect *lists[MU_RESULT_KINDS];
    uint32_t collects;
    struct mu_report_result result;
    struct mu_arena *scratch;
    struct mu_progress progress;
    bool closing, interrupted;
    int status;
    struct mu_error failure;
};

static uint64_t now_of(const struct demo *d)
{
    return d->clock->now_ns(d->clock);
}

static void enter(struct demo *d, enum demo_stage stage)
{
    d->stage = stage;
    d->stage_ns = now_of(d);
}

/* ---- ending ------------------------------------------------------------------------------- */

static void on_client_closed(void *context)
{
    struct demo *d = context;
    d->client = NULL;
}

static void on_killer(uv_timer_t *timer)
{
    struct demo *d = timer->data;
    mu_child_end(&d->musterd, SIGKILL);
    mu_child_end(&d->kubesim, SIGKILL);
}

static void close_all(struct demo *d)
{
    if (d->closing)
        return;
    d->closing = true;
    mu_progress_end(&d->progress);
    if (d->client != NULL) {
        mu_access_forget(d->access);
        mu_http_client_close(d->client, on_client_closed, d);
    }
    uv_close((uv_handle_t *)&d->tick, NULL);
    uv_close((uv_handle_t *)&d->sigint, NULL);
    uv_close((uv_handle_t *)&d->sigterm, NULL);
    uv_close((uv_handle_t *)&d->sighup, NULL);
    if (d->options->keep && d->status == 0 && !d->interrupted) {
        mu_child_release(&d->kubesim);
        mu_child_release(&d->musterd);
        return;
    }
    if (d->status != 0) { /* interrupted or failed: nobody waits for a drain */
        mu_child_end(&d->musterd, SIGKILL);
        mu_child_end(&d->kubesim, SIGKILL);
        return;
    }
    /* The server last: the daemon settles its binds against it. */
    mu_child_end(d->musterd.ended ? &d->kubesim : &d->musterd, SIGTERM);
    (void)uv_timer_start(&d->killer, on_killer, KILL_MS, 0);
}

static void give_up(struct demo *d, const struct mu_error *error)
{
    if (d->failure.code == 0)
        d->failure = *error;
    d->status = 1;
    enter(d, STAGE_END);
    close_all(d);
}

static void on_child_end(void *context, struct mu_child *child)
{
    struct demo *d = context;
    struct mu_error error;
    if (d->closing) {
        if (child == &d->musterd)
            mu_child_end(&d->kubesim, SIGTERM);
        return;
    }
    if (child->term_signal != 0)
        (void)mu_error_set(&error, MU_ECLOSED, "%s was ended by signal %d; its log is %s",
                           child->name, child->term_signal, child->log_path);
    else
        (void)mu_error_set(&error, MU_ECLOSED,
                           "%s ended by itself with status %" PRId64 "; its log is %s", child->name,
                           child->exit_status, child->log_path);
    mu_progress_end(&d->progress);
    mu_child_print_tail(child, 10);
    give_up(d, &error);
}

static void on_signal(uv_signal_t *handle, int signum)
{
    struct demo *d = handle->data;
    d->interrupted = true;
    d->status = 128 + signum;
    close_all(d);
}

/* ---- children ----------------------------------------------------------------------------- */

static int start_child(struct demo *d, struct mu_child *child, const char *name, char **argv)
{
    char log[128];
    (void)snprintf(log, sizeof log, "%s/%s.log", d->directory, name);
    child->on_end = on_child_end;
    child->context = d;
    return mu_child_start(&d->loop, child, name, argv, !d->options->keep, log, &d->failure);
}

static int start_kubesim(struct demo *d)
{
    char seed[32], speed[16];
    (void)snprintf(seed, sizeof seed, "%" PRIu64, d->options->workload.seed);
    (void)snprintf(speed, sizeof speed, "%u", d->options->replay > 0 ? d->options->replay : 1);
    char *argv[] = {NULL,      "--port", "0", "--write-kubeconfig", d->kubeconfig, "--seed", seed,
                    "--speed", speed,    NULL};
    return start_child(d, &d->kubesim, "muster-kubesim", argv);
}

static int start_musterd(struct demo *d)
{
    /* The server is all ours: events of thousands of pods are there within seconds. */
    char *argv[] = {NULL,
                    "--kubeconfig",
                    d->kubeconfig,
                    "--profile",
                    (char *)d->options->profile->name,
                    "--scheduler-name",
                    MU_DEMO_SCHEDULER,
                    "--report-rate",
                    "2000",
                    "--preemption", /* no controller would create the victims again */
                    "false",
                    d->options->config != NULL ? "--config" : NULL,
                    (char *)(uintptr_t)d->options->config,
                    NULL};
    return start_child(d, &d->musterd, "musterd", argv);
}

static void on_reply(void *context, const struct mu_reply *reply);

/* The kubeconfig appears whole (renamed into place) once kubesim serves. */
static int open_access(struct demo *d)
{
    struct mu_kubeconfig *config = NULL;
    struct mu_error error;
    int rc = mu_kubeconfig_load(d->kubeconfig, NULL, &config, &error);
    if (rc == MU_ENOENT)
        return MU_EAGAIN;
    if (rc == 0)
        rc = mu_access_create(config, now_of(d), &d->access, &error);
    if (rc != 0) {
        d->failure = error;
        return rc;
    }
    return mu_access_connect(d->access, &d->loop, 4, on_reply, d, &d->client);
}

/* ---- loading ------------------------------------------------------------------------------ */

/* The cluster: priority classes, then nodes. */
static int encode_node(void *context, uint32_t i, struct mu_buf *path, struct mu_buf *body)
{
    struct demo *d = context;
    const struct mu_workload *w = d->workload;
    if (i < w->priority_count) {
        int bad = mu_buf_append_text(path, MU_PRIORITY_CLASSES_PATH);
        return bad != 0
                   ? bad
                   : mu_workload_encode_priority_class(w->priorities[i], false, d->scratch, body);
    }
    i -= w->priority_count;
    int rc = mu_buf_append_text(path, "/api/v1/nodes");
    return rc != 0 ? rc : mu_workload_encode_node(&w->nodes[i], d->scratch, body);
}

static int encode_pod(void *context, uint32_t i, struct mu_buf *path, struct mu_buf *body)
{
    struct demo *d = context;
    struct mu_workload_pod pod = mu_replay_pod(&d->replay, i);
    int rc = mu_buf_printf(path, "/api/v1/namespaces/%.*s/pods", MU_STR_ARGS(pod.object.ns));
    return rc != 0
               ? rc
               : mu_workload_encode_pod(&pod, mu_str_of(MU_DEMO_SCHEDULER), true, d->scratch, body);
}

static uint64_t pod_due_ns(void *context, uint32_t i)
{
    struct demo *d = context;
    return mu_replay_due_ns(&d->replay, i);
}

static void pod_sending(void *context, uint32_t i, uint64_t now_ns)
{
    struct demo *d = context;
    d->watcher.times[i].created_ns = now_ns;
}

static int create_loaders(struct demo *d)
{
    struct mu_loader_config nodes = {.count = d->workload->priority_count + d->workload->node_count,
                                     .token_base = TOKENS_NODES,
                                     .encode = encode_node,
                                     .context = d};
    struct mu_loader_config pods = {.count = d->workload->pod_count,
                                    .token_base = TOKENS_PODS,
                                    .encode = encode_pod,
                                    .due_ns = pod_due_ns,
                                    .sending = pod_sending,
                                    .context = d};
    d->node_loader = mu_loader_create(&nodes);
    d->pod_loader = mu_loader_create(&pods);
    d->scratch = mu_arena_create(64u << 20);
    if (d->node_loader == NULL || d->pod_loader == NULL || d->scratch == NULL)
        return MU_ENOMEM;
    return mu_watcher_init(&d->watcher, d->workload, TOKENS_WATCH, &d->random);
}

/* ---- collecting and judging --------------------------------------------------------------- */

static int start_collect(struct demo *d)
{
    static const char *const paths[MU_RESULT_KINDS] = {"/api/v1/namespaces", "/api/v1/nodes",
                                                       "/api/v1/pods"};
    for (uint32_t k = 0; k < MU_RESULT_KINDS; k++) {
        uint64_t base = TOKENS_COLLECT + ((uint64_t)d->collects++ << 32);
        mu_collect_destroy(d->lists[k]);
        d->lists[k] = mu_collect_create(mu_str_of(paths[k]), base);
        if (d->lists[k] == NULL)
            return MU_ENOMEM;
        mu_collect_start(d->lists[k], &d->outbox);
    }
    return 0;
}

static bool collect_reply(struct demo *d, const struct mu_reply *reply)
{
    bool taken = false;
    for (uint32_t k = 0; k < MU_RESULT_KINDS && !taken; k++)
        taken = d->lists[k] != NULL && mu_collect_reply(d->lists[k], reply, &d->outbox);
    return taken;
}

static int each_object(void *context, enum mu_result_kind kind,
                       int (*fn)(void *into, struct mu_str raw), void *into)
{
    const struct demo *d = context;
    const struct mu_collect *list = d->lists[kind];
    int rc = 0;
    for (uint32_t i = 0; rc == 0 && i < mu_collect_count(list); i++)
        rc = fn(into, mu_collect_get(list, i));
    return rc;
}

static void times_of(void *context, uint32_t i, uint64_t *created_ns, uint64_t *bound_ns)
{
    const struct demo *d = context;
    *created_ns = d->watcher.times[i].created_ns;
    *bound_ns = d->watcher.times[i].bound_ns;
}

static struct mu_result_source source_of(struct demo *d)
{
    return (struct mu_result_source){
        .context = d, .each = each_object, .pod_count = d->workload->pod_count, .times = times_of};
}

static void print_result(struct demo *d)
{
    struct mu_result_source source = source_of(d);
    mu_progress_end(&d->progress);
    int rc = mu_result_print(&d->result, d->options->json, &d->failure);
    if (rc == 0 && d->options->dump != NULL)
        rc = mu_result_dump(&source, d->options->dump, &d->failure);
    if (rc != 0 || !mu_result_clean(&d->result))
        d->status = 1;
    if (d->options->keep && rc == 0 && d->status != 0)
        (void)fprintf(stderr, "muster demo: a check is not 0: nothing is left running\n");
    const struct mu_keep keep = {.directory = d->directory,
                                 .kubeconfig = d->kubeconfig,
                                 .url = mu_access_url(d->access),
                                 .scheduler_name = MU_DEMO_SCHEDULER,
                                 .kubesim_pid = d->kubesim.process.pid,
                                 .musterd_pid = d->musterd.process.pid};
    if (d->options->keep && d->status == 0 &&
        mu_keep_print(d->options->json ? stderr : stdout, &keep, &source, &d->failure) != 0)
        d->status = 1;
}

/* ---- the stages --------------------------------------------------------------------------- */

static void show(struct demo *d)
{
    char trace[MU_REPLAY_TEXT_BYTES], detail[MU_REPLAY_TEXT_BYTES + 48] = "";
    const struct mu_watcher *w = &d->watcher;
    bool replay = mu_replay_active(&d->replay);
    uint32_t pods = d->workload->pod_count;
    if (replay) {
        mu_replay_text(&d->replay, now_of(d), trace);
        (void)snprintf(detail, sizeof detail, "%s, %u bound, %u ended", trace, w->bound,
                       w->finished);
    } else if (d->stage == STAGE_PODS) {
        (void)snprintf(detail, sizeof detail, "%u bound", w->bound);
    }
    switch (d->stage) {
    case STAGE_NODES:
        mu_progress_show(&d->progress, "creating cluster", mu_loader_created(d->node_loader),
                         d->workload->priority_count + d->workload->node_count, "", now_of(d));
        break;
    case STAGE_PODS:
        mu_progress_show(&d->progress, replay ? "replaying" : "creating pods",
                         mu_loader_created(d->pod_loader), pods, detail, now_of(d));
        break;
    case STAGE_SETTLE:
    case STAGE_COLLECT:
        mu_progress_show(&d->progress, "binding pods", w->bound, pods, detail, now_of(d));
        break;
    case STAGE_KUBESIM:
    case STAGE_MUSTERD:
    case STAGE_END:
        break;
    }
}

/* The stage is over: its bar is not left at an earlier state. */
static void show_whole(struct demo *d)
{
    d->progress.last_ns = 0;
    if (d->progress.terminal)
        show(d);
}

/* The last time at which a pod was bound or made room. */
static uint64_t last_change_ns(const struct demo *d)
{
    const struct mu_watcher *w = &d->watcher;
    return w->last_finished_ns > w->last_bound_ns ? w->last_finished_ns : w->last_bound_ns;
}

static bool settled(const struct demo *d, uint64_t now_ns)
{
    uint64_t change_ns = last_change_ns(d);
    uint64_t quiet_since = change_ns > d->stage_ns ? change_ns : d->stage_ns;
    if (d->watcher.bound == d->workload->pod_count)
        return true;
    if (mu_replay_active(&d->replay) && d->watcher.finished < d->watcher.bound)
        return false; /* what runs will make room */
    return now_ns - quiet_since >= SETTLE_NS;
}

static void judge(struct demo *d)
{
    struct mu_result_source source = source_of(d);
    if (mu_result_compute(&source, &d->result, &d->failure) != 0) {
        give_up(d, &d->failure);
        return;
    }
    bool patience =
        now_of(d) - last_change_ns(d) < PATIENCE_NS && now_of(d) - d->stage_ns < PATIENCE_NS;
    if (!mu_result_clean(&d->result) && patience && d->watcher.bound > 0) {
        enter(d, STAGE_SETTLE);
        return;
    }
    show_whole(d);
    enter(d, STAGE_END);
    print_result(d);
    close_all(d);
}

/* One step of the current stage. Returns 0 or an error, which ends the demo. */
static int step(struct demo *d, uint64_t now_ns)
{
    int rc = 0;
    switch (d->stage) {
    case STAGE_KUBESIM:
        rc = open_access(d);
        if (rc == MU_EAGAIN && now_ns - d->stage_ns < START_NS)
            return 0;
        if (rc == MU_EAGAIN)
            return mu_error_set(&d->failure, MU_ETIMEOUT,
                                "muster-kubesim did not serve within 15 s; its log is %s",
                                d->kubesim.log_path);
        if (rc == 0)
            enter(d, STAGE_NODES);
        return rc;
    case STAGE_NODES:
        mu_loader_tick(d->node_loader, now_ns, &d->outbox);
        if (mu_loader_failed(d->node_loader, &d->failure) != 0)
            return d->failure.code;
        if (mu_loader_done(d->node_loader)) {
            show_whole(d);
            rc = start_musterd(d);
            enter(d, STAGE_MUSTERD);
            mu_reflector_start(d->watcher.reflector, now_ns, &d->outbox);
            d->watching = true;
        }
        return rc;
    case STAGE_MUSTERD:
        /* It lists by itself; pods may come at once. */
        mu_replay_start(&d->replay, now_ns);
        enter(d, STAGE_PODS);
        return 0;
    case STAGE_PODS:
        mu_loader_tick(d->pod_loader, now_ns, &d->outbox);
        if (mu_loader_failed(d->pod_loader, &d->failure) != 0)
            return d->failure.code;
        if (mu_loader_done(d->pod_loader)) {
            show_whole(d);
            enter(d, STAGE_SETTLE);
        }
        return 0;
    case STAGE_SETTLE:
        if (settled(d, now_ns)) {
            rc = start_collect(d);
            enter(d, STAGE_COLLECT);
        }
        return rc;
    case STAGE_COLLECT: {
        uint32_t done = 0;
        for (uint32_t k = 0; k < MU_RESULT_KINDS && rc == 0; k++) {
            int state = mu_collect_state(d->lists[k], &d->failure);
            done += state == 1;
            rc = state < 0 ? d->failure.code : 0;
        }
        if (done == MU_RESULT_KINDS)
            judge(d);
        return rc;
    }
    case STAGE_END:
        return 0;
    }
    return 0;
}

static void advance(struct demo *d)
{
    if (d->closing)
        return;
    int rc = step(d, now_of(d));
    if (rc != 0) {
        if (d->failure.code == 0)
            (void)mu_error_set(&d->failure, rc, "%s", mu_error_text(rc));
        give_up(d, &d->failure);
        return;
    }
    if (d->closing)
        return;
    if (d->client != NULL)
        (void)mu_http_client_drain(d->client, &d->outbox);
    show(d);
}

static void on_reply(void *context, const struct mu_reply *reply)
{
    struct demo *d = context;
    uint64_t now_ns = now_of(d);
    if (d->closing)
        return;
    bool taken =
        mu_loader_reply(d->pod_loader, reply, now_ns, &d->outbox) ||
        mu_loader_reply(d->node_loader, reply, now_ns, &d->outbox) ||
        (d->watching && mu_reflector_reply(d->watcher.reflector, reply, now_ns, &d->outbox)) ||
        collect_reply(d, reply);
    (void)taken; /* a reply to an earlier attempt is nobody's any more */
    advance(d);
}

static void on_tick(uv_timer_t *timer)
{
    struct demo *d = timer->data;
    if (d->watching && mu_reflector_next_ns(d->watcher.reflector) <= now_of(d))
        mu_reflector_tick(d->watcher.reflector, now_of(d), &d->outbox);
    advance(d);
}

/* ---- life --------------------------------------------------------------------------------- */

static void init_handles(struct demo *d)
{
    MU_ASSERT(uv_loop_init(&d->loop) == 0);
    MU_ASSERT(uv_timer_init(&d->loop, &d->tick) == 0);
    MU_ASSERT(uv_timer_init(&d->loop, &d->killer) == 0);
    uv_unref((uv_handle_t *)&d->killer);
    d->killer.data = d;
    MU_ASSERT(uv_signal_init(&d->loop, &d->sigint) == 0);
    MU_ASSERT(uv_signal_init(&d->loop, &d->sigterm) == 0);
    MU_ASSERT(uv_signal_init(&d->loop, &d->sighup) == 0);
    d->tick.data = d->sigint.data = d->sigterm.data = d->sighup.data = d;
    MU_ASSERT(uv_timer_start(&d->tick, on_tick, 0, TICK_MS) == 0);
    MU_ASSERT(uv_signal_start(&d->sigint, on_signal, SIGINT) == 0);
    MU_ASSERT(uv_signal_start(&d->sigterm, on_signal, SIGTERM) == 0);
    MU_ASSERT(uv_signal_start(&d->sighup, on_signal, SIGHUP) == 0);
}

static int prepare(struct demo *d)
{
    const char *base = getenv("TMPDIR");
    int rc = mu_workload_from_flags(&d->options->workload, &d->workload, &d->failure);
    if (rc == 0)
        rc = mu_replay_init(&d->replay, d->workload, d->options->replay, &d->failure);
    if (rc == 0)
        rc = mu_result_dump_check(d->options->dump, &d->failure);
    if (rc != 0) {
        d->status = 2; /* wrong input, not a run that went wrong */
        return rc;
    }
    int len = snprintf(d->directory, sizeof d->directory, "%s/muster-demo-XXXXXX",
                       base != NULL && *base == '/' ? base : "/tmp");
    if (len >= (int)sizeof d->directory || mkdtemp(d->directory) == NULL)
        return mu_error_set(&d->failure, MU_EIO, "cannot make a folder below %s (set TMPDIR)",
                            base != NULL ? base : "/tmp");
    (void)snprintf(d->kubeconfig, sizeof d->kubeconfig, "%s/kubeconfig", d->directory);
    mu_random_init_kernel(&d->random);
    rc = create_loaders(d);
    return rc != 0 ? mu_error_set(&d->failure, rc, "%s", mu_error_text(rc)) : 0;
}

/* The logs stay when a child failed (the error names them) or the children go on. */
static void remove_directory(const struct demo *d)
{
    static const char *const names[] = {"kubeconfig", MU_KEEP_MANIFEST, "muster-kubesim.log",
                                        "musterd.log"};
    char path[128];
    bool failed = d->failure.code != 0 && d->kubesim.started;
    bool kept = d->options->keep && d->status == 0;
    if (d->directory[0] == '\0' || failed || kept)
        return;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        (void)snprintf(path, sizeof path, "%s/%s", d->directory, names[i]);
        (void)unlink(path);
    }
    (void)rmdir(d->directory);
}

int mu_demo_run(const struct mu_demo_options *options)
{
    struct demo d = {.options = options, .clock = mu_clock_real()};
    (void)signal(SIGPIPE, SIG_IGN);
    mu_progress_init(&d.progress);
    if (prepare(&d) == 0) {
        init_handles(&d);
        enter(&d, STAGE_KUBESIM);
        if (start_kubesim(&d) != 0)
            give_up(&d, &d.failure);
        (void)uv_run(&d.loop, UV_RUN_DEFAULT);
        uv_close((uv_handle_t *)&d.killer, NULL);
        (void)uv_run(&d.loop, UV_RUN_NOWAIT);
        int rc = uv_loop_close(&d.loop);
        MU_ASSERT(rc == 0);
    }
    if (d.failure.code != 0) {
        (void)fprintf(stderr, "muster demo: %s\n", d.failure.text);
        d.status = d.status == 0 ? 1 : d.status;
    }
    remove_directory(&d);
    mu_access_destroy(d.access);
    mu_arena_destroy(d.scratch);
    for (uint32_t k = 0; k < MU_RESULT_KINDS; k++)
        mu_collect_destroy(d.lists[k]);
    mu_watcher_fini(&d.watcher);
    mu_loader_destroy(d.node_loader);
    mu_loader_destroy(d.pod_loader);
    mu_outbox_fini(&d.outbox);
    mu_workload_destroy(d.workload);
    return d.status;
}
