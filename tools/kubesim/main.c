/* muster-kubesim: an embedded API server with simulated kubelets, to try schedulers on. */
#include "engine/base/assert.h"
#include "engine/base/clock.h"
#include "engine/base/log.h"
#include "tools/flags.h"
#include "tools/kubesim/front.h"
#include "tools/workload/encode.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

#define NODES_MAX 200000u

static const char *const log_formats[] = {"logfmt", "json", NULL};
_Static_assert(MU_LOG_LOGFMT == 0 && MU_LOG_JSON == 1, "order of log_formats");

struct options {
    const char *host;
    uint32_t port;
    uint32_t nodes;
    uint64_t seed;
    const char *announce;
    uint32_t log_format;
    struct mu_faults faults;
};

struct kubesim {
    uv_loop_t loop;
    uv_signal_t sigterm, sigint;
    struct mu_apiserver *server;
    struct mu_kubelets *kubelets;
    struct mu_front *front;
};

static int read_faults(void *target, const char *value, struct mu_error *error)
{
    struct mu_faults faults;
    int rc = mu_faults_parse(value, &faults, error);
    if (rc == 0 && target != NULL)
        *(struct mu_faults *)target = faults;
    return rc;
}

static int read_options(struct options *o, int argc, char **argv)
{
    const struct mu_flag flags[] = {
        {.name = "host",
         .kind = MU_FLAG_TEXT,
         .target = &o->host,
         .value = "ADDRESS",
         .help = "address to listen on (127.0.0.1)"},
        {.name = "port",
         .kind = MU_FLAG_U32,
         .target = &o->port,
         .value = "N",
         .help = "TCP port; 0: any free one (0)",
         .max = 65535},
        {.name = "nodes",
         .kind = MU_FLAG_U32,
         .target = &o->nodes,
         .value = "N",
         .help = "create N nodes of 4 CPUs, 32 GiB and 110 pods (0)",
         .max = NODES_MAX},
        {.name = "seed",
         .kind = MU_FLAG_U64,
         .target = &o->seed,
         .value = "N",
         .help = "seed of UIDs, kubelet delays and faults (1)"},
        {.name = "faults",
         .kind = MU_FLAG_CALL,
         .target = &o->faults,
         .value = "LIST",
         .help = "inject some of " MU_FAULTS_ALL ", each with an optional =permille",
         .parse = read_faults},
        {.name = "announce",
         .kind = MU_FLAG_TEXT,
         .target = &o->announce,
         .value = "FILE",
         .help = "write the server's URL there, renamed into place once it serves"},
        {.name = "log-format",
         .kind = MU_FLAG_CHOICE,
         .target = &o->log_format,
         .value = "logfmt|json",
         .help = "how lines are logged (logfmt)",
         .choices = log_formats}};
    *o = (struct options){.host = "127.0.0.1", .seed = 1};
    return mu_flags_main("muster-kubesim",
                         "An embedded Kubernetes API server with simulated kubelets.\n"
                         "Serves cleartext HTTP/2 and HTTP/1.1 until SIGTERM.",
                         flags, sizeof flags / sizeof flags[0], argc, argv);
}

/* Appears whole or not at all: written beside its place, then renamed. */
static int announce(const char *path, const char *host, uint16_t port)
{
    char temporary[4096];
    int len = snprintf(temporary, sizeof temporary, "%s.new", path);
    if (len < 0 || (size_t)len >= sizeof temporary)
        return -1;
    FILE *file = fopen(temporary, "we");
    if (file == NULL)
        return -1;
    bool v6 = strchr(host, ':') != NULL;
    bool ok = fprintf(file, "http://%s%s%s:%u\n", v6 ? "[" : "", host, v6 ? "]" : "", port) > 0;
    ok = fclose(file) == 0 && ok;
    return ok && rename(temporary, path) == 0 ? 0 : -1;
}

static int create_node(struct kubesim *k, uint32_t i, struct mu_arena *scratch)
{
    char name[32];
    int len = snprintf(name, sizeof name, "node-%06u", i);
    struct mu_str node_name = {name, (uint32_t)len};
    struct mu_label hostname = {MU_STR("kubernetes.io/hostname"), node_name};
    const struct mu_amount allocatable[] = {
        {MU_STR("cpu"), 4000}, {MU_STR("memory"), INT64_C(32) << 30}, {MU_STR("pods"), 110}};
    struct mu_node_object node = {.name = node_name,
                                  .labels = &hostname,
                                  .label_count = 1,
                                  .allocatable = allocatable,
                                  .allocatable_count = 3};
    struct mu_buf body = {0};
    struct mu_api_response response = {0};
    const struct mu_clock *clock = mu_clock_real();
    int rc = mu_workload_encode_node(&node, scratch, &body);
    if (rc == 0) {
        struct mu_api_request request = {.method = MU_POST,
                                         .path = MU_STR("/api/v1/nodes"),
                                         .content = MU_MEDIA_PROTOBUF,
                                         .body = {(const char *)body.data, (uint32_t)body.len}};
        mu_apiserver_handle(k->server, &request, clock->now_ns(clock), &response);
        rc = response.status == 201 ? 0 : MU_EINVAL;
    }
    mu_buf_fini(&body);
    mu_buf_fini(&response.body);
    return rc;
}

static int create_nodes(struct kubesim *k, uint32_t count)
{
    struct mu_arena *scratch = mu_arena_create(1u << 20);
    int rc = scratch == NULL ? MU_ENOMEM : 0;
    for (uint32_t i = 0; rc == 0 && i < count; i++)
        rc = create_node(k, i, scratch);
    mu_arena_destroy(scratch);
    return rc;
}

static void on_front_closed(void *context)
{
    struct kubesim *k = context;
    uv_close((uv_handle_t *)&k->sigterm, NULL);
    uv_close((uv_handle_t *)&k->sigint, NULL);
}

static void on_signal(uv_signal_t *handle, int signum)
{
    struct kubesim *k = handle->data;
    (void)signum;
    if (k->front != NULL)
        mu_front_close(k->front, on_front_closed, k);
    k->front = NULL;
}

static int serve(struct kubesim *k, const struct options *o, struct mu_random *random)
{
    struct mu_front_config config = {.host = mu_str_of(o->host),
                                     .port = (uint16_t)o->port,
                                     .faults = o->faults,
                                     .random = random};
    uint16_t port;
    int rc = mu_front_create(&k->loop, &config, k->server, k->kubelets, &k->front, &port);
    if (rc != 0) {
        (void)fprintf(stderr, "muster-kubesim: cannot listen on %s port %u: %s\n", o->host, o->port,
                      rc > -10000 ? uv_strerror(rc) : mu_error_text(rc));
        return 1;
    }
    MU_ASSERT(uv_signal_init(&k->loop, &k->sigterm) == 0);
    MU_ASSERT(uv_signal_init(&k->loop, &k->sigint) == 0);
    k->sigterm.data = k->sigint.data = k;
    MU_ASSERT(uv_signal_start(&k->sigterm, on_signal, SIGTERM) == 0);
    MU_ASSERT(uv_signal_start(&k->sigint, on_signal, SIGINT) == 0);
    mu_log(MU_LOG_INFO, "serving", MU_F_TEXT("host", o->host), MU_F_U64("port", port),
           MU_F_U64("nodes", o->nodes), MU_F_END);
    int status = 0;
    if (o->announce != NULL && announce(o->announce, o->host, port) != 0) {
        (void)fprintf(stderr, "muster-kubesim: cannot write %s (--announce)\n", o->announce);
        status = 1;
        on_signal(&k->sigterm, 0);
    }
    (void)uv_run(&k->loop, UV_RUN_DEFAULT);
    return status;
}

int main(int argc, char **argv)
{
    struct options o;
    struct kubesim k = {0};
    struct mu_random random;
    int status = read_options(&o, argc, argv);
    if (status >= 0)
        return status;
    (void)signal(SIGPIPE, SIG_IGN);
    const struct mu_clock *clock = mu_clock_real();
    struct mu_log_config log = {
        .level = MU_LOG_INFO, .format = (enum mu_log_format)o.log_format, .clock = clock};
    mu_log_configure(&log);
    mu_random_init_seed(&random, o.seed);
    uint64_t start_ns = clock->now_ns(clock);
    struct mu_apiserver_config server = {.wall_base_ns = clock->wall_ns(clock) - start_ns,
                                         .start_ns = start_ns};
    struct mu_kubelets_config kubelets = {0};
    MU_ASSERT(uv_loop_init(&k.loop) == 0);
    k.server = mu_apiserver_create(&server, &random);
    k.kubelets = k.server != NULL ? mu_kubelets_create(k.server, &kubelets, &random) : NULL;
    if (k.kubelets == NULL || create_nodes(&k, o.nodes) != 0) {
        (void)fprintf(stderr, "muster-kubesim: cannot start: out of memory\n");
        status = 1;
    } else {
        status = serve(&k, &o, &random);
    }
    mu_kubelets_destroy(k.kubelets);
    mu_apiserver_destroy(k.server);
    (void)uv_loop_close(&k.loop);
    return status;
}
