/* The HTTP front and the program, over real sockets on loopback. */
#include "tools/kubesim/front.h"

#include <libgen.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>
#include "engine/base/clock.h"
#include "engine/base/error.h"
#include "engine/base/mem.h"
#include "informer/codec.h"
#include "informer/http.h"
#include "tests/kubesim_call.h"

#define PODS   "/api/v1/namespaces/default/pods"
#define TOKENS 512

struct record {
    int status, error;
    bool ended, lost;
    uint64_t bytes;
    struct mu_watch_decoder decoder;
    struct seen *seen; /* streams */
};

struct fixture {
    uv_loop_t loop;
    uv_timer_t watchdog;
    struct mu_apiserver *server;
    struct mu_kubelets *kubelets;
    struct mu_front *front;
    struct mu_http_client *client;
    uint64_t token;
    struct record records[TOKENS];
    bool barked;
    int closed;
};

static void on_reply(void *context, const struct mu_reply *reply)
{
    struct fixture *f = context;
    assert_true(reply->token < TOKENS);
    struct record *r = &f->records[reply->token];
    switch (reply->kind) {
    case MU_REPLY_HEAD:
        r->status = reply->status;
        break;
    case MU_REPLY_DATA:
        r->bytes += reply->data.len;
        if (r->seen != NULL && r->status == 200) {
            struct mu_error error;
            assert_int_equal(
                mu_watch_decoder_feed(&r->decoder, reply->data, seen_event, r->seen, &error), 0);
        }
        break;
    case MU_REPLY_END:
        r->ended = true;
        break;
    case MU_REPLY_LOST:
        r->lost = true;
        r->error = reply->error;
        break;
    }
}

static void on_watchdog(uv_timer_t *timer)
{
    struct fixture *f = timer->data;
    f->barked = true;
}

static struct fixture *open_fixture(const char *faults)
{
    struct fixture *f = mu_mem_zalloc(sizeof *f);
    struct mu_random random;
    struct mu_error error;
    mu_random_init_seed(&random, 1);
    assert_int_equal(uv_loop_init(&f->loop), 0);
    assert_int_equal(uv_timer_init(&f->loop, &f->watchdog), 0);
    f->watchdog.data = f;
    assert_int_equal(uv_timer_start(&f->watchdog, on_watchdog, 60000, 0), 0);
    struct mu_apiserver_config server = {.history_events = 8192};
    struct mu_kubelets_config kubelets = {.start_ns_max = MU_NS_PER_MS};
    f->server = mu_apiserver_create(&server, &random);
    f->kubelets = mu_kubelets_create(f->server, &kubelets, &random);
    struct mu_front_config config = {.host = MU_STR("127.0.0.1"), .random = &random};
    assert_int_equal(mu_faults_parse(faults, &config.faults, &error), 0);
    config.faults.delay_ns_max = config.faults.cut_ns_max = config.faults.late_ns_max =
        50 * MU_NS_PER_MS;
    uint16_t port = 0;
    assert_int_equal(mu_front_create(&f->loop, &config, f->server, f->kubelets, &f->front, &port),
                     0);
    struct mu_http_client_config client = {.host = MU_STR("127.0.0.1"), .port = port};
    assert_int_equal(mu_http_client_create(&f->loop, &client, on_reply, f, &f->client), 0);
    return f;
}

static void on_closed(void *context)
{
    struct fixture *f = context;
    f->closed++;
}

static void close_fixture(struct fixture *f)
{
    mu_front_close(f->front, on_closed, f);
    mu_http_client_close(f->client, on_closed, f);
    uv_close((uv_handle_t *)&f->watchdog, NULL);
    assert_int_equal(uv_run(&f->loop, UV_RUN_DEFAULT), 0);
    assert_int_equal(f->closed, 2);
    assert_int_equal(uv_loop_close(&f->loop), 0);
    mu_kubelets_destroy(f->kubelets);
    mu_apiserver_destroy(f->server);
    for (int i = 0; i < TOKENS; i++) {
        if (f->records[i].seen != NULL) {
            mu_watch_decoder_fini(&f->records[i].decoder);
            mu_mem_free(f->records[i].seen);
        }
    }
    mu_mem_free(f);
}

static struct record *ask(struct fixture *f, enum mu_method method, const char *url,
                          const char *body, bool stream)
{
    struct mu_request request = {.token = ++f->token,
                                 .method = method,
                                 .content = MU_MEDIA_JSON,
                                 .stream = stream,
                                 .timeout_ns = 20 * MU_NS_PER_S};
    struct record *r = &f->records[f->token];
    (void)mu_buf_append_text(&request.path, url);
    (void)mu_buf_append_text(&request.body, body);
    if (stream) {
        r->seen = mu_mem_zalloc(sizeof *r->seen);
        mu_watch_decoder_init(&r->decoder);
    }
    assert_int_equal(mu_http_client_send(f->client, &request), 0);
    mu_buf_fini(&request.path);
    mu_buf_fini(&request.body);
    return r;
}

static struct record *ask_pod(struct fixture *f, int i)
{
    char body[160];
    (void)snprintf(body, sizeof body,
                   "{\"metadata\":{\"name\":\"p%d\"},\"spec\":{\"containers\":[{\"name\":"
                   "\"c\"}]}}",
                   i);
    return ask(f, MU_POST, PODS, body, false);
}

static void wait_over(struct fixture *f, const struct record *r)
{
    while (!r->ended && !r->lost && !f->barked) {
        (void)uv_run(&f->loop, UV_RUN_ONCE);
    }
    assert_false(f->barked);
}

static void wait_events(struct fixture *f, const struct record *r, int events)
{
    while (r->seen->events < events && !r->ended && !r->lost && !f->barked) {
        (void)uv_run(&f->loop, UV_RUN_ONCE);
    }
    assert_false(f->barked);
    assert_int_equal(r->seen->events, events);
}

/* ---- faults ------------------------------------------------------------------------------- */

static void test_front__lost_reply__reset_and_handled(void **state)
{
    (void)state;
    struct fixture *f = open_fixture("lost-reply=1000");
    struct record *r[8];
    int lost = 0;
    for (int i = 0; i < 8; i++) {
        r[i] = ask_pod(f, i);
    }
    /* Some are reset at once; the others would be silent until the client's timeout. */
    while (lost == 0 && !f->barked) {
        (void)uv_run(&f->loop, UV_RUN_ONCE);
        for (int i = 0; i < 8; i++) {
            lost += r[i]->lost;
            assert_int_equal(r[i]->status, 0);
        }
    }
    assert_false(f->barked);
    for (int i = 0; i < 8; i++) {
        char url[64];
        (void)snprintf(url, sizeof url, PODS "/p%d", i);
        assert_int_equal(call_status(f->server, MU_GET, url, NULL, NULL, 0), 200);
    }
    close_fixture(f); /* with requests still in the gate */
}

static void test_front__forced_409_and_late__as_planned(void **state)
{
    (void)state;
    struct fixture *f = open_fixture("409=1000");
    struct record *r = ask_pod(f, 0);
    wait_over(f, r);
    assert_int_equal(r->status, 409);
    close_fixture(f);
    f = open_fixture("late=1000");
    r = ask_pod(f, 0);
    wait_over(f, r);
    assert_true(r->lost);
    while (call_status(f->server, MU_GET, PODS "/p0", NULL, NULL, 0) != 200 && !f->barked) {
        (void)uv_run(&f->loop, UV_RUN_NOWAIT); /* landing wakes nobody here */
        uv_sleep(1);
    }
    assert_false(f->barked);
    close_fixture(f);
}

static void test_front__watch_cut_and_expired__seen_by_the_peer(void **state)
{
    (void)state;
    struct fixture *f = open_fixture("cut=1000");
    struct record *r = ask(f, MU_GET, "/api/v1/namespaces?watch=1", "", true);
    wait_over(f, r);
    assert_true(r->lost);
    close_fixture(f);
    f = open_fixture("410=1000");
    int heads = 0, events = 0;
    for (int i = 0; i < 8; i++) {
        r = ask(f, MU_GET, "/api/v1/namespaces?watch=1", "", true);
        wait_over(f, r);
        heads += r->status == 410;
        events += r->status == 200 && r->seen->error_code == 410;
    }
    assert_true(heads > 0 && events > 0 && heads + events == 8);
    close_fixture(f);
}

/* ---- the front ---------------------------------------------------------------------------- */

static void test_front__create_bind_watch__kubelet_runs_it(void **state)
{
    (void)state;
    struct fixture *f = open_fixture("");
    struct record *watch = ask(f, MU_GET, "/api/v1/pods?watch=1&timeoutSeconds=2", "", true);
    struct record *r = ask(f, MU_POST, "/api/v1/nodes",
                           "{\"metadata\":{\"name\":\"n1\"},\"status\":{\"allocatable\":{\"cpu\":"
                           "\"4\",\"pods\":\"9\"}}}",
                           false);
    wait_over(f, r);
    assert_int_equal(r->status, 201);
    r = ask_pod(f, 0);
    wait_over(f, r);
    assert_int_equal(r->status, 201);
    r = ask(f, MU_POST, PODS "/p0/binding",
            "{\"metadata\":{\"name\":\"p0\"},\"target\":{\"name\":\"n1\"}}", false);
    wait_over(f, r);
    assert_int_equal(r->status, 201);
    wait_events(f, watch, 3);
    assert_string_equal(watch->seen->text, "ADDED p0\nMODIFIED p0\nMODIFIED p0\n");
    wait_over(f, watch);
    assert_true(watch->ended); /* its time is over: a clean end */
    assert_false(mu_watch_decoder_partial(&watch->decoder));
    r = ask(f, MU_GET, PODS "/none", "", false);
    wait_over(f, r);
    assert_int_equal(r->status, 404);
    close_fixture(f);
}

static void test_front__more_than_the_peer_takes__all_arrives(void **state)
{
    (void)state;
    struct fixture *f = open_fixture("");
    struct mu_buf body = {0};
    char pad[8192];
    memset(pad, 'x', sizeof pad);
    pad[sizeof pad - 1] = '\0';
    for (int i = 0; i < 2000; i++) { /* 16 MB: far above the high-water mark */
        mu_buf_clear(&body);
        (void)mu_buf_printf(&body,
                            "{\"metadata\":{\"name\":\"p%d\",\"annotations\":{\"pad\":\"%s\"}},"
                            "\"spec\":{\"containers\":[{\"name\":\"c\"}]}}",
                            i, pad);
        (void)mu_buf_append(&body, "", 1);
        assert_int_equal(call_status(f->server, MU_POST, PODS, (const char *)body.data, NULL, 0),
                         201);
    }
    mu_buf_fini(&body);
    struct record *a = ask(f, MU_GET, "/api/v1/pods?watch=1", "", true);
    struct record *b = ask(f, MU_GET, "/api/v1/pods?watch=1", "", true);
    struct record *list = ask(f, MU_GET, PODS, "", false);
    wait_events(f, a, 2000);
    wait_events(f, b, 2000);
    wait_over(f, list);
    assert_true(list->bytes > 16000000);
    close_fixture(f); /* with streams open */
}

static void test_front__peer_gives_up__others_go_on(void **state)
{
    (void)state;
    struct fixture *f = open_fixture("");
    struct record *a = ask(f, MU_GET, "/api/v1/pods?watch=1&resourceVersion=1", "", true);
    uint64_t first = f->token;
    struct record *b = ask(f, MU_GET, "/api/v1/pods?watch=1&resourceVersion=1", "", true);
    wait_over(f, ask_pod(f, 0));
    wait_events(f, a, 1);
    wait_events(f, b, 1);
    struct mu_request cancel = {.token = first, .cancel = true};
    assert_int_equal(mu_http_client_send(f->client, &cancel), 0);
    wait_over(f, ask_pod(f, 1));
    wait_events(f, b, 2);
    assert_int_equal(a->seen->events, 1);
    close_fixture(f);
}

/* ---- the program -------------------------------------------------------------------------- */

static pid_t start_program(char *const *arguments)
{
    static char path[4096];
    ssize_t len = readlink("/proc/self/exe", path, sizeof path - 32);
    assert_true(len > 0);
    path[len] = '\0';
    char *folder = dirname(path);
    char program[4200];
    (void)snprintf(program, sizeof program, "%s/muster-kubesim", folder);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        (void)!freopen("/dev/null", "w", stderr);
        (void)execv(program, arguments);
        _exit(127);
    }
    return pid;
}

static int exit_status(pid_t pid)
{
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void test_program__wrong_flags__exit_2(void **state)
{
    (void)state;
    char name[] = "muster-kubesim", port[] = "--port", far[] = "70000", faults[] = "--faults=nope";
    char host[] = "--host=203.0.113.1"; /* not an address of this machine */
    char *const bad_port[] = {name, port, far, NULL};
    char *const bad_faults[] = {name, faults, NULL};
    char *const no_value[] = {name, port, NULL};
    char *const bad_host[] = {name, host, NULL};
    assert_int_equal(exit_status(start_program(bad_port)), 2);
    assert_int_equal(exit_status(start_program(bad_faults)), 2);
    assert_int_equal(exit_status(start_program(no_value)), 2);
    char name_host[] = "--host=localhost", long_host[400] = "--host=::1%";
    char *const no_address[] = {name, name_host, NULL};
    char *const too_long[] = {name, long_host, NULL};
    memset(long_host + strlen(long_host), 'z', sizeof long_host - 1 - strlen(long_host));
    assert_int_equal(exit_status(start_program(bad_host)), 1);
    assert_int_equal(exit_status(start_program(no_address)), 2);
    assert_int_equal(exit_status(start_program(too_long)), 2);
}

static void announces_serves_and_ends(const char *host, const char *expected)
{
    char folder[] = "/tmp/muster-kubesim-XXXXXX";
    assert_non_null(mkdtemp(folder));
    char file[64], announce[96], on[320], url[512] = "";
    (void)snprintf(file, sizeof file, "%s/url", folder);
    (void)snprintf(announce, sizeof announce, "--announce=%s", file);
    (void)snprintf(on, sizeof on, "--host=%s", host);
    char name[] = "muster-kubesim", nodes[] = "--nodes=3";
    char *const arguments[] = {name, announce, nodes, on, NULL};
    pid_t pid = start_program(arguments);
    FILE *in = NULL;
    for (int i = 0; i < 6000 && (in = fopen(file, "re")) == NULL; i++) {
        uv_sleep(10);
    }
    assert_non_null(in); /* whole, since it was renamed into place */
    assert_non_null(fgets(url, sizeof url, in));
    (void)fclose(in);
    unsigned port = 0;
    char end = 0;
    assert_memory_equal(url, expected, strlen(expected));
    assert_int_equal(sscanf(url + strlen(expected), ":%u%c", &port, &end), 2);
    assert_true(end == '\n' && port > 0);
    assert_int_equal(kill(pid, SIGTERM), 0);
    assert_int_equal(exit_status(pid), 0);
    (void)unlink(file);
    (void)rmdir(folder);
}

static void test_program__announces_serves_and_ends(void **state)
{
    char host[256], expected[300];
    struct sockaddr_in6 loopback;
    (void)state;
    announces_serves_and_ends("127.0.0.1", "http://127.0.0.1");
    assert_int_equal(uv_ip6_addr("::1", 0, &loopback), 0);
    int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool v6 = fd >= 0 && bind(fd, (const struct sockaddr *)&loopback, sizeof loopback) == 0;
    (void)close(fd);
    if (!v6) /* a machine without IPv6 */
        return;
    (void)snprintf(host, sizeof host, "::1%%%0251d", 0); /* as long as a host may be */
    assert_int_equal(strlen(host), 255);
    (void)snprintf(expected, sizeof expected, "http://[%s]", host);
    announces_serves_and_ends(host, expected);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_front__lost_reply__reset_and_handled),
        cmocka_unit_test(test_front__forced_409_and_late__as_planned),
        cmocka_unit_test(test_front__watch_cut_and_expired__seen_by_the_peer),
        cmocka_unit_test(test_front__create_bind_watch__kubelet_runs_it),
        cmocka_unit_test(test_front__more_than_the_peer_takes__all_arrives),
        cmocka_unit_test(test_front__peer_gives_up__others_go_on),
        cmocka_unit_test(test_program__wrong_flags__exit_2),
        cmocka_unit_test(test_program__announces_serves_and_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
