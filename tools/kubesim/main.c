/* muster-kubesim: an embedded API server with simulated kubelets, to try schedulers on. */
#include "engine/base/assert.h"
#include "engine/base/clock.h"
#include "engine/base/log.h"
#include "informer/server_url.h"
#include "tools/flags.h"
#include "tools/kubesim/front.h"
#include "tools/kubesim/group_kinds.h"
#include "tools/kubesim/identity.h"
#include "tools/open_files.h"
#include "tools/workload/encode.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define NODES_MAX        200000u
#define SPEED_MAX        1000000u
#define POD_START_NS_MIN (50 * MU_NS_PER_MS) /* a container whose image is there */
#define POD_START_NS_MAX (500 * MU_NS_PER_MS)

static const char *const log_formats[] = {"logfmt", "json", NULL};
_Static_assert(MU_LOG_LOGFMT == 0 && MU_LOG_JSON == 1, "order of log_formats");

struct options {
    const char *host;
    uint32_t port;
    uint32_t nodes;
    uint32_t speed;
    uint64_t seed;
    const char *announce;
    const char *kubeconfig;
    bool tls;
    const char *tls_cert, *tls_key, *client_ca; /* files: all or none */
    uint32_t log_format;
    struct mu_faults faults;
    struct mu_group_kinds group_kinds;
};

struct kubesim {
    uv_loop_t loop;
    uv_signal_t sigterm, sigint, sighup;
    uv_timer_t kinds_timer; /* until the next kind is served */
    uint64_t start_ns;
    const struct options *options;
    struct mu_identity identity; /* tls NULL: cleartext */
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

static int read_group_kinds(void *target, const char *value, struct mu_error *error)
{
    struct mu_group_kinds kinds;
    int rc = mu_group_kinds_parse(value, &kinds, error);
    if (rc == 0 && target != NULL)
        *(struct mu_group_kinds *)target = kinds;
    return rc;
}

/* Returns -1 to go on, else the exit status. */
static int check_tls_options(const struct options *o)
{
    int files = (o->tls_cert != NULL) + (o->tls_key != NULL) + (o->client_ca != NULL);
    const char *wrong = NULL;
    if (files != 0 && files != 3)
        wrong = "--tls-cert, --tls-key and --client-ca go together: all three or none";
    else if (files == 3 && (o->tls || o->kubeconfig != NULL))
        wrong = "--tls and --write-kubeconfig make their own certificates: not with --tls-cert";
    if (wrong == NULL)
        return -1;
    (void)fprintf(stderr, "muster-kubesim: %s\n", wrong);
    return 2;
}

/* Returns -1 to go on, else the exit status. */
static int check_host(const struct options *o)
{
    struct sockaddr_in v4;
    struct sockaddr_in6 v6; /* a zone may follow, of any length */
    if (strlen(o->host) <= MU_HOST_BYTES_MAX &&
        (uv_ip4_addr(o->host, 0, &v4) == 0 || uv_ip6_addr(o->host, 0, &v6) == 0))
        return -1;
    (void)fprintf(stderr,
                  "muster-kubesim: --host: '%.64s' is no address; expected one such as "
                  "127.0.0.1 or ::1\n",
                  o->host);
    return 2;
}

/* Where a file is to be put once we serve: better refused now. Returns -1 to go on, else the exit
 * status. */
static int check_place(const char *flag, const char *path)
{
    struct stat found;
    char folder[PATH_MAX];
    if (path == NULL)
        return -1;
    const char *slash = strrchr(path, '/');
    size_t len = slash == NULL ? 0 : (size_t)(slash - path);
    const char *wrong = NULL;
    if (path[0] == '\0' || len >= sizeof folder ||
        (stat(path, &found) == 0 && S_ISDIR(found.st_mode))) {
        wrong = "expected a file's name";
    } else {
        memcpy(folder, slash == NULL ? "." : path, slash == NULL ? 1 : len);
        folder[slash == NULL ? 1 : len] = '\0';
        if (access(slash == path ? "/" : folder, W_OK | X_OK) != 0)
            wrong = strerror(errno);
    }
    if (wrong == NULL)
        return -1;
    (void)fprintf(stderr, "muster-kubesim: --%s: %s: %s\n", flag, path, wrong);
    return 2;
}

#define FLAG(name_, kind_, target_, value_, ...)                                                   \
    {                                                                                              \
        .name = (name_), .kind = MU_FLAG_##kind_, .target = (target_), .value = (value_),          \
        .help = __VA_ARGS__                                                                        \
    }

static int read_options(struct options *o, int argc, char **argv)
{
    const struct mu_flag flags[] = {
        FLAG("host", TEXT, &o->host, "ADDRESS", "address to listen on (127.0.0.1)"),
        FLAG("port", U32, &o->port, "N", "TCP port; 0: any free one (0)", .max = 65535),
        FLAG("nodes", U32, &o->nodes, "N", "create N nodes of 4 CPUs, 32 GiB and 110 pods (0)",
             .max = NODES_MAX),
        FLAG("seed", U64, &o->seed, "N", "seed of UIDs, kubelet delays and faults (1)"),
        FLAG("speed", U32, &o->speed, "N",
             "pods start N times as fast: when time is replayed so (1: in 50 to 500 ms)", .min = 1,
             .max = SPEED_MAX),
        FLAG("faults", CALL, &o->faults, "LIST",
             "inject some of " MU_FAULTS_ALL ", each with an optional =permille",
             .parse = read_faults),
        FLAG("group-kinds", CALL, &o->group_kinds, "LIST",
             "serve only these kinds of gang objects, each from =SECONDS on, or none "
             "(all): " MU_GROUP_DIALECT_NAMES,
             .parse = read_group_kinds),
        FLAG("announce", TEXT, &o->announce, "FILE",
             "write the server's URL there, renamed into place once it serves"),
        FLAG("tls", BOOL, &o->tls, NULL,
             "serve TLS only, with certificates made at start, and authenticate"),
        FLAG("write-kubeconfig", TEXT, &o->kubeconfig, "FILE",
             "write the administrator's kubeconfig there once it serves; implies --tls"),
        FLAG("tls-cert", TEXT, &o->tls_cert, "FILE",
             "serve TLS with this certificate chain (PEM); SIGHUP reads the files again"),
        FLAG("tls-key", TEXT, &o->tls_key, "FILE", "its key (PEM)"),
        FLAG("client-ca", TEXT, &o->client_ca, "FILE", "whose client certificates count (PEM)"),
        FLAG("log-format", CHOICE, &o->log_format, "logfmt|json", "how lines are logged (logfmt)",
             .choices = log_formats)};
    *o = (struct options){.host = "127.0.0.1", .speed = 1, .seed = 1};
    mu_group_kinds_all(&o->group_kinds);
    int status = mu_flags_main("muster-kubesim",
                               "An embedded Kubernetes API server with simulated kubelets.\n"
                               "Serves HTTP/2 and HTTP/1.1 until SIGTERM: in cleartext and to\n"
                               "everybody, or over TLS.",
                               flags, sizeof flags / sizeof flags[0], argc, argv);
    if (status < 0)
        status = check_host(o);
    if (status < 0)
        status = check_place("write-kubeconfig", o->kubeconfig);
    if (status < 0)
        status = check_place("announce", o->announce);
    return status >= 0 ? status : check_tls_options(o);
}

static int announce(const struct kubesim *k, uint16_t port, struct mu_error *error)
{
    char url[MU_HOST_BYTES_MAX + 32];
    const char *host = k->options->host;
    bool v6 = strchr(host, ':') != NULL;
    int len =
        snprintf(url, sizeof url, "%s://%s%s%s:%u\n", k->identity.tls != NULL ? "https" : "http",
                 v6 ? "[" : "", host, v6 ? "]" : "", port);
    MU_ASSERT(len > 0 && (size_t)len < sizeof url); /* see check_host */
    return mu_write_in_place(k->options->announce, (struct mu_str){url, (uint32_t)len}, false,
                             error);
}

/* Tell the world where we are. Returns the exit status so far. */
static int tell(const struct kubesim *k, uint16_t port)
{
    const struct options *o = k->options;
    struct mu_error error;
    int rc = 0;
    if (o->kubeconfig != NULL)
        rc = mu_identity_write_kubeconfig(&k->identity, o->kubeconfig, o->host, port, &error);
    if (rc == 0 && o->announce != NULL)
        rc = announce(k, port, &error);
    if (rc != 0)
        (void)fprintf(stderr, "muster-kubesim: cannot write %s\n", error.text);
    return rc == 0 ? 0 : 1;
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
    const struct mu_tls_peer self = {
        .name = MU_STR("muster-kubesim"), .groups = {MU_STR("system:masters")}, .group_count = 1};
    struct mu_buf body = {0};
    struct mu_api_response response = {0};
    const struct mu_clock *clock = mu_clock_real();
    int rc = mu_workload_encode_node(&node, scratch, &body);
    if (rc == 0) {
        struct mu_api_request request = {.method = MU_POST,
                                         .path = MU_STR("/api/v1/nodes"),
                                         .content = MU_MEDIA_PROTOBUF,
                                         .peer = &self,
                                         .body = {(const char *)body.data, (uint32_t)body.len}};
        mu_apiserver_handle(k->server, &request, clock->now_ns(clock), &response);
        rc = response.status == 201 ? 0 : MU_EINVAL;
    }
    mu_buf_fini(&body);
    mu_buf_fini(&response.body);
    mu_buf_fini(&response.warnings);
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
    uv_close((uv_handle_t *)&k->sighup, NULL);
    uv_close((uv_handle_t *)&k->kinds_timer, NULL);
}

static void stop(struct kubesim *k)
{
    if (k->front != NULL)
        mu_front_close(k->front, on_front_closed, k);
    k->front = NULL;
}

static void on_signal(uv_signal_t *handle, int signum)
{
    (void)signum;
    stop(handle->data);
}

static int load_identity(struct kubesim *k, struct mu_error *error)
{
    const struct options *o = k->options;
    struct mu_tls *tls = NULL;
    int rc = mu_identity_load(o->tls_cert, o->tls_key, o->client_ca, &tls, error);
    if (rc != 0)
        return rc;
    mu_tls_unref(k->identity.tls);
    k->identity.tls = tls;
    return 0;
}

/* Read the certificates again. When they are wrong the old ones go on. */
static void on_hangup(uv_signal_t *handle, int signum)
{
    struct kubesim *k = handle->data;
    struct mu_error error;
    (void)signum;
    if (k->front == NULL)
        return;
    if (k->options->tls_cert == NULL) {
        mu_log(MU_LOG_INFO, "nothing to reload: no --tls-cert", MU_F_END);
    } else if (load_identity(k, &error) != 0) {
        mu_log(MU_LOG_ERROR, "certificates not reloaded", MU_F_TEXT("error", error.text), MU_F_END);
    } else {
        mu_front_set_tls(k->front, k->identity.tls);
        mu_log(MU_LOG_INFO, "certificates reloaded", MU_F_END);
    }
}

/* Serve the kinds whose time has come. */
static void on_kinds_due(uv_timer_t *timer)
{
    struct kubesim *k = timer->data;
    const struct mu_clock *clock = mu_clock_real();
    const uint64_t elapsed_ns = clock->now_ns(clock) - k->start_ns;
    const uint64_t next_ns = mu_group_kinds_apply(&k->options->group_kinds, k->server, elapsed_ns);
    if (next_ns == UINT64_MAX)
        return;
    int rc = uv_timer_start(timer, on_kinds_due, (next_ns - elapsed_ns) / MU_NS_PER_MS + 1, 0);
    MU_ASSERT(rc == 0);
}

static void watch_signals(struct kubesim *k)
{
    const struct {
        uv_signal_t *handle;
        uv_signal_cb callback;
        int number;
    } signals[] = {{&k->sigterm, on_signal, SIGTERM},
                   {&k->sigint, on_signal, SIGINT},
                   {&k->sighup, on_hangup, SIGHUP}};
    for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++) {
        int rc = uv_signal_init(&k->loop, signals[i].handle);
        MU_ASSERT(rc == 0);
        signals[i].handle->data = k;
        rc = uv_signal_start(signals[i].handle, signals[i].callback, signals[i].number);
        MU_ASSERT(rc == 0);
    }
}

static int serve(struct kubesim *k, struct mu_random *random)
{
    const struct options *o = k->options;
    struct mu_front_config config = {.host = mu_str_of(o->host),
                                     .port = (uint16_t)o->port,
                                     .tls = k->identity.tls,
                                     .faults = o->faults,
                                     .random = random};
    uint16_t port;
    int rc = mu_front_create(&k->loop, &config, k->server, k->kubelets, &k->front, &port);
    if (rc != 0) {
        (void)fprintf(stderr, "muster-kubesim: cannot listen on %s port %u: %s\n", o->host, o->port,
                      rc > -10000 ? uv_strerror(rc) : mu_error_text(rc));
        return 1;
    }
    watch_signals(k);
    rc = uv_timer_init(&k->loop, &k->kinds_timer);
    MU_ASSERT(rc == 0);
    k->kinds_timer.data = k;
    on_kinds_due(&k->kinds_timer);
    mu_log(MU_LOG_INFO, "serving", MU_F_TEXT("host", o->host), MU_F_U64("port", port),
           MU_F_BOOL("tls", k->identity.tls != NULL), MU_F_U64("nodes", o->nodes), MU_F_END);
    int status = tell(k, port);
    if (status != 0)
        stop(k);
    (void)uv_run(&k->loop, UV_RUN_DEFAULT);
    return status;
}

/* Certificates first: without them nothing else is worth beginning. Returns the exit status. */
static int identify(struct kubesim *k)
{
    const struct options *o = k->options;
    struct mu_error error;
    int rc = 0;
    if (o->tls_cert != NULL)
        rc = load_identity(k, &error);
    else if (o->tls || o->kubeconfig != NULL)
        rc = mu_identity_make(mu_str_of(o->host), &k->identity, &error);
    if (rc != 0)
        (void)fprintf(stderr, "muster-kubesim: %s\n", error.text);
    return rc == 0 ? 0 : 1;
}

static int run(struct kubesim *k)
{
    const struct options *o = k->options;
    const struct mu_clock *clock = mu_clock_real();
    uint64_t start_ns = clock->now_ns(clock);
    k->start_ns = start_ns;
    const struct mu_apiserver_config server = {
        .wall_base_ns = clock->wall_ns(clock) - start_ns,
        .start_ns = start_ns,
        .authenticate = k->identity.tls != NULL,
        .admin_token = {(const char *)k->identity.token.data, (uint32_t)k->identity.token.len}};
    const struct mu_kubelets_config kubelets = {.start_ns_min = POD_START_NS_MIN / o->speed,
                                                .start_ns_max = POD_START_NS_MAX / o->speed};
    struct mu_random random;
    int status;
    mu_random_init_seed(&random, o->seed);
    k->server = mu_apiserver_create(&server, &random);
    k->kubelets = k->server != NULL ? mu_kubelets_create(k->server, &kubelets, &random) : NULL;
    if (k->kubelets == NULL || create_nodes(k, o->nodes) != 0) {
        (void)fprintf(stderr, "muster-kubesim: cannot start: out of memory\n");
        status = 1;
    } else {
        status = serve(k, &random);
    }
    mu_kubelets_destroy(k->kubelets);
    mu_apiserver_destroy(k->server);
    return status;
}

int main(int argc, char **argv)
{
    struct options o;
    struct kubesim k = {.options = &o};
    int status = read_options(&o, argc, argv);
    if (status >= 0)
        return status;
    (void)signal(SIGPIPE, SIG_IGN);
    (void)mu_open_files_raise();
    const struct mu_log_config log = {
        .level = MU_LOG_INFO, .format = (enum mu_log_format)o.log_format, .clock = mu_clock_real()};
    mu_log_configure(&log);
    int rc = uv_loop_init(&k.loop);
    MU_ASSERT(rc == 0);
    status = identify(&k);
    if (status == 0)
        status = run(&k);
    mu_identity_fini(&k.identity);
    (void)uv_run(&k.loop, UV_RUN_DEFAULT); /* what could not listen is closing still */
    rc = uv_loop_close(&k.loop);
    MU_ASSERT(rc == 0);
    return status;
}
