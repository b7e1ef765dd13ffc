/*
 * A large cluster, loaded, listed and scheduled, with the figures of each step:
 *
 *   KUBESIM -> LOAD (nodes, then pods) -> WATCH -> MUSTERD -> BIND -> COLLECT -> END
 *
 * All pods exist before the scheduler starts, so that it lists them page by page and then finds all
 * of them waiting: the cold start of a scheduler beside a full cluster, at its worst.
 * muster-kubesim and musterd are processes of their own, whose resident memory is read from /proc.
 * It ends with the report of the demo, recomputed from the API server's objects.
 *
 * The cluster: nodes of 96 CPUs, 384 GiB and 110 pods. Pods of 1 to 16 CPUs, nine tenths of what
 * there is at ten pods to a node; a tenth of them in gangs of 4 to 32. All from one seed.
 */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>
#include "engine/base/assert.h"
#include "engine/base/clock.h"
#include "engine/base/mem.h"
#include "engine/base/random.h"
#include "informer/http.h"
#include "informer/server_url.h"
#include "tools/flags.h"
#include "tools/muster/child.h"
#include "tools/muster/collect.h"
#include "tools/muster/loader.h"
#include "tools/muster/result.h"
#include "tools/muster/watcher.h"
#include "tools/workload/encode.h"

#define GIB           (INT64_C(1) << 30)
#define TOKENS_NODES  (UINT64_C(1) << 40)
#define TOKENS_PODS   (UINT64_C(2) << 40)
#define TOKENS_WATCH  (UINT64_C(3) << 40)
#define TOKENS_LIST   (UINT64_C(4) << 40)
#define TICK_MS       20
#define START_NS      (30 * MU_NS_PER_S)
#define QUIET_NS      (10 * MU_NS_PER_S) /* without a bind: it is over */
#define SYNC_NS       (900 * MU_NS_PER_S)
#define SCHEDULER     "muster"
#define SYNCED_LINE   "cluster known"
#define NODES_MAX     1000000u
#define PODS_MAX      10000000u
#define GANG_SHARE    10u /* one pod in so many is in a gang */
#define NODE_CPUS     96
#define NODE_MEM_GIB  384
#define PODS_PER_NODE 110

enum stage {
    STAGE_KUBESIM,
    STAGE_NODES,
    STAGE_PODS,
    STAGE_WATCH,
    STAGE_BIND,
    STAGE_LIST,
    STAGE_END
};

struct load {
    uint32_t node_count, pod_count;
    uint64_t seed;
    struct mu_workload *workload;
    const struct mu_clock *clock;
    uv_loop_t loop;
    uv_timer_t tick;
    struct mu_child kubesim, musterd;
    char directory[64];
    struct mu_http_client *client;
    struct mu_outbox outbox;
    struct mu_random random;
    struct mu_arena *scratch;
    struct mu_loader *nodes, *pods;
    struct mu_watcher watcher;
    bool watching;
    struct mu_collect *node_list, *pod_list;
    enum stage stage;
    uint64_t stage_ns;
    uint64_t shown_ns;
    uint64_t musterd_ns;     /* it was started */
    uint64_t synced_ns;      /* it said that it knows the cluster */
    uint64_t first_bound_ns; /* seen by the watch */
    int status;
    bool closing;
    struct mu_error failure;
};

static uint64_t now_of(const struct load *l)
{
    return l->clock->now_ns(l->clock);
}

static double seconds(uint64_t from_ns, uint64_t to_ns)
{
    return to_ns > from_ns ? (double)(to_ns - from_ns) / 1e9 : 0;
}

static void enter(struct load *l, enum stage stage)
{
    l->stage = stage;
    l->stage_ns = now_of(l);
}

/* A field of /proc/<pid>/status in MiB: VmRSS, or VmHWM for the highest it has been. */
static uint64_t memory_mib(const struct mu_child *child, const char *field)
{
    char line[256], path[64];
    unsigned long long kib = 0;
    (void)snprintf(path, sizeof path, "/proc/%d/status", child->process.pid);
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return 0;
    while (fgets(line, sizeof line, file) != NULL) {
        if (strncmp(line, field, strlen(field)) == 0)
            kib = strtoull(line + strlen(field) + 1, NULL, 10);
    }
    (void)fclose(file);
    return kib >> 10;
}

/* ---- the workload ------------------------------------------------------------------------- */

static int add_nodes(struct load *l, struct mu_error *error)
{
    struct mu_amount amounts[] = {{MU_STR("cpu"), INT64_C(1000) * NODE_CPUS},
                                  {MU_STR("memory"), NODE_MEM_GIB * GIB},
                                  {MU_STR("pods"), PODS_PER_NODE}};
    int rc = 0;
    for (uint32_t i = 0; rc == 0 && i < l->node_count; i++) {
        char name[32];
        (void)snprintf(name, sizeof name, "node-%07u", i);
        struct mu_label labels[] = {{MU_STR("kubernetes.io/hostname"), mu_str_of(name)}};
        struct mu_node_object node = {.name = mu_str_of(name),
                                      .labels = labels,
                                      .label_count = 1,
                                      .allocatable = amounts,
                                      .allocatable_count = 3};
        rc = mu_workload_add_node(l->workload, &node, "load", error);
    }
    return rc;
}

static int add_pods(struct load *l, struct mu_error *error)
{
    static const uint32_t sizes[] = {4, 8, 8, 16, 32};
    int rc = 0;
    uint32_t gang_left = 0;
    char gang_name[32] = "";
    struct mu_gang_ref gang = {.source = MU_GANG_MUSTER};
    uint32_t gangs = 0;
    int64_t cpu_millis = 0;
    for (uint32_t i = 0; rc == 0 && i < l->pod_count; i++) {
        char name[32];
        (void)snprintf(name, sizeof name, "pod-%07u", i);
        if (gang_left == 0 && i % (GANG_SHARE * 14) == 0) { /* of 13.6 members on average */
            gang.size = sizes[gangs % (sizeof sizes / sizeof *sizes)];
            gang_left = gang.size <= l->pod_count - i ? gang.size : 0;
            (void)snprintf(gang_name, sizeof gang_name, "gang-%06u", gangs++);
            gang.name = mu_str_of(gang_name);
            cpu_millis = INT64_C(4000) << mu_random_below(&l->random, 2);
        }
        if (gang_left == 0)
            cpu_millis = INT64_C(1000) << mu_random_below(&l->random, 5);
        struct mu_amount requests[] = {{MU_STR("cpu"), cpu_millis},
                                       {MU_STR("memory"), cpu_millis / 1000 * 3 * GIB}};
        struct mu_workload_pod pod = {.object = {.ns = MU_STR("default"),
                                                 .name = mu_str_of(name),
                                                 .requests = requests,
                                                 .request_count = 2}};
        if (gang_left > 0) {
            pod.object.gang = gang;
            gang_left--;
        }
        rc = mu_workload_add_pod(l->workload, &pod, "load", error);
    }
    return rc;
}

static int encode_node(void *context, uint32_t i, struct mu_buf *path, struct mu_buf *body)
{
    struct load *l = context;
    int rc = mu_buf_append_text(path, "/api/v1/nodes");
    return rc != 0 ? rc : mu_workload_encode_node(&l->workload->nodes[i], l->scratch, body);
}

static int encode_pod(void *context, uint32_t i, struct mu_buf *path, struct mu_buf *body)
{
    struct load *l = context;
    int rc = mu_buf_append_text(path, "/api/v1/namespaces/default/pods");
    return rc != 0 ? rc
                   : mu_workload_encode_pod(&l->workload->pods[i], MU_STR(SCHEDULER), false,
                                            l->scratch, body);
}

static void pod_sending(void *context, uint32_t i, uint64_t now_ns)
{
    ((struct load *)context)->watcher.times[i].created_ns = now_ns;
}

/* ---- children ----------------------------------------------------------------------------- */

static void close_all(struct load *l);

static void give_up(struct load *l, const struct mu_error *error)
{
    if (l->failure.code == 0)
        l->failure = *error;
    l->status = 1;
    enter(l, STAGE_END);
    close_all(l);
}

static void on_child_end(void *context, struct mu_child *child)
{
    struct load *l = context;
    struct mu_error error;
    if (l->closing) {
        if (child == &l->musterd)
            mu_child_end(&l->kubesim, SIGTERM);
        return;
    }
    (void)mu_error_set(&error, MU_ECLOSED, "%s has ended by itself; its log is %s", child->name,
                       child->log_path);
    mu_child_print_tail(child, 10);
    give_up(l, &error);
}

static int start_child(struct load *l, struct mu_child *child, const char *name, char **argv)
{
    char log[128];
    (void)snprintf(log, sizeof log, "%s/%s.log", l->directory, name);
    child->on_end = on_child_end;
    child->context = l;
    return mu_child_start(&l->loop, child, name, argv, false, log, &l->failure);
}

static int start_kubesim(struct load *l)
{
    char announce[128];
    (void)snprintf(announce, sizeof announce, "%s/url", l->directory);
    char *argv[] = {NULL, "--port", "0", "--announce", announce, NULL};
    return start_child(l, &l->kubesim, "muster-kubesim", argv);
}

static bool read_url(const struct load *l, char *url, size_t size)
{
    char path[128];
    (void)snprintf(path, sizeof path, "%s/url", l->directory);
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return false;
    bool whole = fgets(url, (int)size, file) != NULL;
    (void)fclose(file);
    url[whole ? strcspn(url, "\r\n") : 0] = '\0';
    return whole;
}

static int start_musterd(struct load *l)
{
    char url[300];
    if (!read_url(l, url, sizeof url))
        return MU_EIO;
    char *argv[] = {NULL,      "--server",          url,    "--scheduler-name",
                    SCHEDULER, "--connect-timeout", "900s", NULL};
    l->musterd_ns = now_of(l);
    return start_child(l, &l->musterd, "musterd", argv);
}

/* The daemon logs it once its first lists are in. */
static bool musterd_is_synced(const struct load *l)
{
    char line[1024];
    bool found = false;
    FILE *file = fopen(l->musterd.log_path, "re");
    while (file != NULL && !found && fgets(line, sizeof line, file) != NULL)
        found = strstr(line, SYNCED_LINE) != NULL;
    if (file != NULL)
        (void)fclose(file);
    return found;
}

/* ---- the stages --------------------------------------------------------------------------- */

static void on_reply(void *context, const struct mu_reply *reply);

static int connect_kubesim(struct load *l)
{
    char url[300];
    struct mu_server_url parsed;
    if (!read_url(l, url, sizeof url))
        return MU_EAGAIN;
    int rc = mu_server_url_parse(mu_str_of(url), &parsed, &l->failure);
    struct mu_http_client_config http = {
        .host = mu_str_of(parsed.host), .port = parsed.port, .connections = 4};
    return rc != 0 ? rc : mu_http_client_create(&l->loop, &http, on_reply, l, &l->client);
}

static void say_loaded(struct load *l, const char *what, uint32_t count)
{
    (void)printf("%-28s %10u in %.1f s; muster-kubesim holds %" PRIu64 " MiB\n", what, count,
                 seconds(l->stage_ns, now_of(l)), memory_mib(&l->kubesim, "VmRSS"));
    (void)fflush(stdout);
}

static int step_load(struct load *l, struct mu_loader *loader, const char *what, uint32_t count,
                     enum stage next)
{
    mu_loader_tick(loader, now_of(l), &l->outbox);
    if (mu_loader_failed(loader, &l->failure) != 0)
        return l->failure.code;
    if (mu_loader_done(loader)) {
        say_loaded(l, what, count);
        enter(l, next);
    }
    return 0;
}

static int step_watch(struct load *l, uint64_t now_ns)
{
    struct mu_reflector_stats stats;
    if (!l->watching)
        mu_reflector_start(l->watcher.reflector, now_ns, &l->outbox);
    l->watching = true;
    mu_reflector_stats(l->watcher.reflector, &stats);
    if (!stats.synced)
        return 0;
    (void)printf("%-28s %10u in %.1f s\n", "listed by this program", l->pod_count,
                 seconds(l->stage_ns, now_ns));
    (void)fflush(stdout);
    int rc = start_musterd(l);
    enter(l, STAGE_BIND);
    return rc;
}

static int start_lists(struct load *l)
{
    l->node_list = mu_collect_create(MU_STR("/api/v1/nodes"), TOKENS_LIST);
    l->pod_list = mu_collect_create(MU_STR("/api/v1/pods"), TOKENS_LIST + (UINT64_C(1) << 32));
    if (l->node_list == NULL || l->pod_list == NULL)
        return MU_ENOMEM;
    mu_collect_start(l->node_list, &l->outbox);
    mu_collect_start(l->pod_list, &l->outbox);
    return 0;
}

static void say_bound(struct load *l)
{
    const struct mu_watcher *w = &l->watcher;
    double all_s = seconds(l->first_bound_ns, w->last_bound_ns);
    (void)printf("%-28s %10.1f s\n%-28s %10.1f s\n", "musterd start to synced",
                 seconds(l->musterd_ns, l->synced_ns), "musterd start to first bind",
                 seconds(l->musterd_ns, l->first_bound_ns));
    (void)printf("%-28s %10u in %.1f s: %.0f pods/s\n", "bound", w->bound, all_s,
                 all_s > 0 ? w->bound / all_s : 0);
    (void)printf("%-28s %10.1f s\n", "musterd start to last bind",
                 seconds(l->musterd_ns, w->last_bound_ns));
    struct mu_child *children[] = {&l->kubesim, &l->musterd};
    for (size_t i = 0; i < 2; i++)
        (void)printf("%-28s %10" PRIu64 " MiB, highest %" PRIu64 " MiB\n", children[i]->name,
                     memory_mib(children[i], "VmRSS"), memory_mib(children[i], "VmHWM"));
    (void)fflush(stdout);
}

static int step_bind(struct load *l, uint64_t now_ns)
{
    const struct mu_watcher *w = &l->watcher;
    if (l->synced_ns == 0 && musterd_is_synced(l))
        l->synced_ns = now_ns;
    if (l->synced_ns == 0 && now_ns - l->stage_ns > SYNC_NS)
        return mu_error_set(&l->failure, MU_ETIMEOUT, "musterd does not know the cluster yet");
    if (w->bound > 0 && l->first_bound_ns == 0)
        l->first_bound_ns = now_ns;
    uint64_t since_ns = w->last_bound_ns > l->synced_ns ? w->last_bound_ns : l->synced_ns;
    bool quiet = l->synced_ns != 0 && now_ns - since_ns > QUIET_NS;
    if (w->bound < l->pod_count && !quiet)
        return 0;
    say_bound(l);
    int rc = start_lists(l);
    enter(l, STAGE_LIST);
    return rc;
}

/* No pod of this load looks at namespaces. */
static int each_object(void *context, enum mu_result_kind kind,
                       int (*fn)(void *into, struct mu_str raw), void *into)
{
    const struct load *l = context;
    const struct mu_collect *list = kind == MU_RESULT_PODS ? l->pod_list : l->node_list;
    if (kind == MU_RESULT_NAMESPACES)
        return 0;
    int rc = 0;
    for (uint32_t i = 0; rc == 0 && i < mu_collect_count(list); i++)
        rc = fn(into, mu_collect_get(list, i));
    return rc;
}

static void times_of(void *context, uint32_t i, uint64_t *created_ns, uint64_t *bound_ns)
{
    const struct load *l = context;
    *created_ns = l->watcher.times[i].created_ns;
    *bound_ns = l->watcher.times[i].bound_ns;
}

static int step_list(struct load *l)
{
    struct mu_report_result result;
    struct mu_result_source source = {
        .context = l, .each = each_object, .pod_count = l->pod_count, .times = times_of};
    int nodes = mu_collect_state(l->node_list, &l->failure);
    int pods = nodes >= 0 ? mu_collect_state(l->pod_list, &l->failure) : nodes;
    if (nodes < 0 || pods < 0)
        return l->failure.code;
    if (nodes == 0 || pods == 0)
        return 0;
    int rc = mu_result_compute(&source, &result, &l->failure);
    if (rc == 0)
        rc = mu_result_print(&result, false, &l->failure);
    if (rc != 0)
        return rc;
    bool clean = mu_result_clean(&result) && result.bound == l->pod_count;
    l->status = clean ? 0 : 1;
    enter(l, STAGE_END);
    close_all(l);
    return 0;
}

static int step(struct load *l, uint64_t now_ns)
{
    int rc = 0;
    switch (l->stage) {
    case STAGE_KUBESIM:
        rc = connect_kubesim(l);
        if (rc == MU_EAGAIN && now_ns - l->stage_ns < START_NS)
            return 0;
        if (rc == 0)
            enter(l, STAGE_NODES);
        return rc;
    case STAGE_NODES:
        return step_load(l, l->nodes, "nodes created", l->node_count, STAGE_PODS);
    case STAGE_PODS:
        return step_load(l, l->pods, "pods created", l->pod_count, STAGE_WATCH);
    case STAGE_WATCH:
        return step_watch(l, now_ns);
    case STAGE_BIND:
        return step_bind(l, now_ns);
    case STAGE_LIST:
        return step_list(l);
    case STAGE_END:
        return 0;
    }
    return 0;
}

static void show(struct load *l, uint64_t now_ns)
{
    if (now_ns - l->shown_ns < 5 * MU_NS_PER_S)
        return;
    l->shown_ns = now_ns;
    (void)fprintf(stderr, "  %u nodes, %u pods created, %u bound; kubesim %" PRIu64 " MiB",
                  mu_loader_created(l->nodes), mu_loader_created(l->pods), l->watcher.bound,
                  memory_mib(&l->kubesim, "VmRSS"));
    if (l->musterd.started)
        (void)fprintf(stderr, ", musterd %" PRIu64 " MiB", memory_mib(&l->musterd, "VmRSS"));
    (void)fputc('\n', stderr);
}

static void advance(struct load *l)
{
    uint64_t now_ns = now_of(l);
    int rc = l->closing ? 0 : step(l, now_ns);
    if (rc != 0) {
        if (l->failure.code == 0)
            (void)mu_error_set(&l->failure, rc, "%s", mu_error_text(rc));
        give_up(l, &l->failure);
    }
    if (l->closing)
        return;
    if (l->client != NULL)
        (void)mu_http_client_drain(l->client, &l->outbox);
    show(l, now_ns);
}

static void on_reply(void *context, const struct mu_reply *reply)
{
    struct load *l = context;
    uint64_t now_ns = now_of(l);
    if (l->closing)
        return;
    bool taken =
        mu_loader_reply(l->pods, reply, now_ns, &l->outbox) ||
        mu_loader_reply(l->nodes, reply, now_ns, &l->outbox) ||
        (l->watching && mu_reflector_reply(l->watcher.reflector, reply, now_ns, &l->outbox)) ||
        (l->node_list != NULL && mu_collect_reply(l->node_list, reply, &l->outbox)) ||
        (l->pod_list != NULL && mu_collect_reply(l->pod_list, reply, &l->outbox));
    (void)taken;                /* a reply to an earlier attempt is nobody's any more */
    if (l->stage != STAGE_BIND) /* that one is judged by the tick: it reads files */
        advance(l);
    else if (l->client != NULL)
        (void)mu_http_client_drain(l->client, &l->outbox);
}

static void on_tick(uv_timer_t *timer)
{
    struct load *l = timer->data;
    if (l->watching && mu_reflector_next_ns(l->watcher.reflector) <= now_of(l))
        mu_reflector_tick(l->watcher.reflector, now_of(l), &l->outbox);
    advance(l);
}

/* ---- life --------------------------------------------------------------------------------- */

static void on_client_closed(void *context)
{
    ((struct load *)context)->client = NULL;
}

static void close_all(struct load *l)
{
    if (l->closing)
        return;
    l->closing = true;
    if (l->client != NULL)
        mu_http_client_close(l->client, on_client_closed, l);
    uv_close((uv_handle_t *)&l->tick, NULL);
    /* The server last: the daemon settles its binds against it. */
    bool first = l->musterd.started && !l->musterd.ended;
    mu_child_end(first ? &l->musterd : &l->kubesim, l->status == 0 ? SIGTERM : SIGKILL);
}

static int prepare(struct load *l)
{
    struct mu_error *error = &l->failure;
    l->workload = mu_workload_create();
    l->scratch = mu_arena_create(64u << 20);
    mu_random_init_seed(&l->random, l->seed);
    if (l->workload == NULL || l->scratch == NULL)
        return MU_ENOMEM;
    int rc = add_nodes(l, error);
    if (rc == 0)
        rc = add_pods(l, error);
    if (rc == 0)
        rc = mu_workload_finish(l->workload, error);
    if (rc != 0)
        return rc;
    struct mu_loader_config nodes = {
        .count = l->node_count, .token_base = TOKENS_NODES, .encode = encode_node, .context = l};
    struct mu_loader_config pods = {.count = l->pod_count,
                                    .token_base = TOKENS_PODS,
                                    .encode = encode_pod,
                                    .sending = pod_sending,
                                    .context = l};
    l->nodes = mu_loader_create(&nodes);
    l->pods = mu_loader_create(&pods);
    if (l->nodes == NULL || l->pods == NULL)
        return MU_ENOMEM;
    (void)snprintf(l->directory, sizeof l->directory, "/tmp/muster-load-XXXXXX");
    if (mkdtemp(l->directory) == NULL)
        return MU_EIO;
    return mu_watcher_init(&l->watcher, l->workload, TOKENS_WATCH, &l->random);
}

static void run(struct load *l)
{
    MU_ASSERT(uv_loop_init(&l->loop) == 0);
    MU_ASSERT(uv_timer_init(&l->loop, &l->tick) == 0);
    l->tick.data = l;
    MU_ASSERT(uv_timer_start(&l->tick, on_tick, 0, TICK_MS) == 0);
    enter(l, STAGE_KUBESIM);
    if (start_kubesim(l) != 0)
        give_up(l, &l->failure);
    (void)uv_run(&l->loop, UV_RUN_DEFAULT);
    MU_ASSERT(uv_loop_close(&l->loop) == 0);
}

static void finish(struct load *l)
{
    static const char *const names[] = {"url", "muster-kubesim.log", "musterd.log"};
    char path[128];
    for (size_t i = 0; i < sizeof names / sizeof *names && l->status == 0; i++) {
        (void)snprintf(path, sizeof path, "%s/%s", l->directory, names[i]);
        (void)unlink(path);
    }
    (void)rmdir(l->directory); /* the logs of a run that failed stay */
    mu_arena_destroy(l->scratch);
    mu_collect_destroy(l->node_list);
    mu_collect_destroy(l->pod_list);
    mu_watcher_fini(&l->watcher);
    mu_loader_destroy(l->nodes);
    mu_loader_destroy(l->pods);
    mu_outbox_fini(&l->outbox);
    mu_workload_destroy(l->workload);
}

int main(int argc, char **argv)
{
    static struct load l = {.node_count = 100000, .pod_count = 1000000, .seed = 1};
    for (int i = 1; i + 1 < argc; i += 2) {
        uint64_t number = 0;
        bool ok = mu_str_to_u64(mu_str_of(argv[i + 1]), &number);
        if (ok && strcmp(argv[i], "--nodes") == 0 && number > 0 && number <= NODES_MAX)
            l.node_count = (uint32_t)number;
        else if (ok && strcmp(argv[i], "--pods") == 0 && number > 0 && number <= PODS_MAX)
            l.pod_count = (uint32_t)number;
        else if (ok && strcmp(argv[i], "--seed") == 0)
            l.seed = number;
        else
            argc = 0;
    }
    if (argc % 2 != 1) {
        (void)fprintf(stderr, "usage: muster-load [--nodes N] [--pods N] [--seed N]\n");
        return 2;
    }
    (void)signal(SIGPIPE, SIG_IGN);
    l.clock = mu_clock_real();
    if (prepare(&l) == 0) {
        (void)printf("%-28s %10u nodes, %u pods\n", "load", l.node_count, l.pod_count);
        run(&l);
    } else if (l.failure.code == 0) {
        (void)mu_error_set(&l.failure, MU_ENOMEM, "no memory, or no folder in /tmp");
    }
    if (l.failure.code != 0) {
        (void)fprintf(stderr, "muster-load: %s\n", l.failure.text);
        l.status = 1;
    }
    finish(&l);
    return l.status;
}
