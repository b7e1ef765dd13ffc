/*
 * A thousand watchers of the embedded API server, over real sockets, while 10,000 pods are created
 * and bound (1,000 under a sanitizer): half of them streams that share a few connections, half with
 * a connection each. All see everything, in order; one more that reads nothing holds up nobody,
 * costs a bounded amount, and sees everything too once it reads.
 */
#include <fcntl.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>
#include "engine/base/assert.h"
#include "engine/base/clock.h"
#include "engine/base/error.h"
#include "engine/base/mem.h"
#include "informer/codec.h"
#include "informer/http.h"
#include "informer/limits.h"
#include "tests/kubesim_call.h"
#include "tests/mu_test.h"
#include "tools/kubesim/front.h"

#define WATCHERS 1000u
#define SHARED   500u /* of them, over SHARED_CONNECTIONS */
#if MU_VERIFY_ON      /* a tenth where a sanitizer takes ten times as long */
#define PODS 1000u
#else
#define PODS 10000u
#endif
#define EVENTS    (2 * PODS) /* added, bound */
#define IN_FLIGHT 100u
#define CLIENTS   9u /* the first for the shared ones; 64 connections at most each */
#define WRITES    (UINT64_C(1) << 32)
#define PODS_URL  "/api/v1/namespaces/default/pods"

/* By the server: what each watch may hold, and the pods with their history. */
#define HELD_MAX ((size_t)WATCHERS * (MU_HTTP_HIGH_WATER + (64u << 10)) + ((size_t)64 << 20))

struct watcher {
    struct mu_watch_decoder decoder;
    uint64_t version; /* of the newest event */
    uint32_t added, bound;
    bool lost;
};

struct crowd {
    uv_loop_t loop;
    uv_timer_t watchdog;
    bool barked;
    struct mu_apiserver *server;
    struct mu_kubelets *kubelets;
    struct mu_front *front;
    uint16_t port;
    struct mu_http_client *clients[CLIENTS];
    struct mu_http_client *writer;
    struct watcher watchers[WATCHERS];
    uint32_t watching; /* heads seen */
    uint32_t complete; /* watchers that have seen everything */
    uint32_t created, bound, in_flight;
    int closed;
    size_t live_max;
};

/* ---- the watchers ------------------------------------------------------------------------- */

static int on_event(void *context, const struct mu_watch_event *event)
{
    struct watcher *w = context;
    struct mu_object_meta meta;
    if (event->type == MU_WATCH_BOOKMARK)
        return 0;
    assert_true(event->type == MU_WATCH_ADDED || event->type == MU_WATCH_MODIFIED);
    assert_int_equal(mu_meta_decode(event->object.raw, &meta, NULL), 0);
    assert_true(meta.version > w->version);
    w->version = meta.version;
    w->added += event->type == MU_WATCH_ADDED;
    w->bound += event->type == MU_WATCH_MODIFIED;
    return 0;
}

static void on_watch_reply(void *context, const struct mu_reply *reply)
{
    struct crowd *c = context;
    struct watcher *w = &c->watchers[reply->token - 1];
    struct mu_error error;
    switch (reply->kind) {
    case MU_REPLY_HEAD:
        assert_int_equal(reply->status, 200);
        c->watching++;
        break;
    case MU_REPLY_DATA:
        assert_int_equal(mu_watch_decoder_feed(&w->decoder, reply->data, on_event, w, &error), 0);
        if (w->added + w->bound == EVENTS)
            c->complete++;
        break;
    case MU_REPLY_END:
    case MU_REPLY_LOST:
        w->lost = true;
        break;
    }
}

static void start_watching(struct crowd *c)
{
    for (uint32_t i = 0; i < WATCHERS; i++) {
        uint32_t client = i < SHARED ? 0 : 1 + (i - SHARED) % (CLIENTS - 1);
        struct mu_request request = {.token = i + 1, .stream = true};
        mu_watch_decoder_init(&c->watchers[i].decoder);
        (void)mu_buf_append_text(&request.path, PODS_URL "?watch=1");
        assert_int_equal(mu_http_client_send(c->clients[client], &request), 0);
    }
}

/* ---- the writer --------------------------------------------------------------------------- */

static void write_next(struct crowd *c)
{
    char body[256];
    struct mu_request request = {.method = MU_POST, .content = MU_MEDIA_JSON};
    bool create = c->created < PODS;
    uint32_t i = create ? c->created++ : c->bound++;
    request.token = WRITES + (create ? 0 : PODS) + i;
    if (create) {
        (void)snprintf(body, sizeof body,
                       "{\"metadata\":{\"name\":\"p%05u\"},\"spec\":{\"containers\":"
                       "[{\"name\":\"c\",\"image\":\"i\"}]}}",
                       i);
        (void)mu_buf_append_text(&request.path, PODS_URL);
    } else {
        (void)snprintf(body, sizeof body,
                       "{\"metadata\":{\"name\":\"p%05u\"},\"target\":{\"name\":\"n\"}}", i);
        (void)mu_buf_printf(&request.path, PODS_URL "/p%05u/binding", i);
    }
    (void)mu_buf_append_text(&request.body, body);
    assert_int_equal(mu_http_client_send(c->writer, &request), 0);
    c->in_flight++;
}

static void on_write_reply(void *context, const struct mu_reply *reply)
{
    struct crowd *c = context;
    assert_true(reply->kind != MU_REPLY_LOST);
    if (reply->kind == MU_REPLY_HEAD)
        assert_int_equal(reply->status, 201);
    if (reply->kind != MU_REPLY_END)
        return;
    c->in_flight--;
    size_t live = mu_mem_live_bytes();
    c->live_max = live > c->live_max ? live : c->live_max;
    /* A pod is bound once all are created. */
    if (c->created < PODS || (c->in_flight < IN_FLIGHT && c->bound < PODS))
        write_next(c);
}

/* ---- the stalled one ---------------------------------------------------------------------- */

static int stalled_open(const struct crowd *c)
{
    static const char request[] = "GET " PODS_URL "?watch=1 HTTP/1.1\r\nHost: a\r\n"
                                  "Accept: application/json\r\n\r\n";
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons(c->port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    int small = 16384; /* the kernel is not to read in its place */
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    assert_int_equal(connect(fd, (const struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(send(fd, request, sizeof request - 1, MSG_NOSIGNAL), sizeof request - 1);
    assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
    return fd;
}

struct stalled {
    int fd;
    uint32_t events;
    char last; /* byte read */
};

/* Read what there is; count the events: each is a line that ends an object. */
static bool stalled_read(struct stalled *s)
{
    static char room[1 << 16];
    ssize_t n;
    while ((n = recv(s->fd, room, sizeof room, 0)) > 0) {
        for (ssize_t i = 0; i < n; i++) {
            s->events += room[i] == '\n' && s->last == '}';
            s->last = room[i];
        }
    }
    return n != 0;
}

/* ---- the crowd ---------------------------------------------------------------------------- */

static void on_watchdog(uv_timer_t *timer)
{
    ((struct crowd *)timer->data)->barked = true;
}

#define UNTIL(c_, condition_)                                                                      \
    do {                                                                                           \
        while (!(condition_)) {                                                                    \
            assert_false((c_)->barked);                                                            \
            (void)uv_run(&(c_)->loop, UV_RUN_ONCE);                                                \
        }                                                                                          \
    } while (0)

static void make_client(struct crowd *c, uint32_t connections, uint32_t streams, mu_reply_fn reply,
                        struct mu_http_client **out)
{
    struct mu_http_client_config config = {.host = MU_STR("127.0.0.1"),
                                           .port = c->port,
                                           .connections = connections,
                                           .streams_each = streams};
    assert_int_equal(mu_http_client_create(&c->loop, &config, reply, c, out), 0);
}

static struct crowd *crowd_new(void)
{
    struct crowd *c = mu_mem_zalloc(sizeof *c);
    struct mu_random random;
    assert_non_null(c);
    mu_random_init_seed(&random, 1);
    assert_int_equal(uv_loop_init(&c->loop), 0);
    assert_int_equal(uv_timer_init(&c->loop, &c->watchdog), 0);
    c->watchdog.data = c;
    assert_int_equal(uv_timer_start(&c->watchdog, on_watchdog, 120000, 0), 0);
    struct mu_apiserver_config server = {0};
    struct mu_kubelets_config kubelets = {.start_ns_min = 3600 * MU_NS_PER_S,
                                          .start_ns_max = 3601 * MU_NS_PER_S};
    c->server = mu_apiserver_create(&server, &random);
    c->kubelets = mu_kubelets_create(c->server, &kubelets, &random);
    struct mu_front_config front = {.host = MU_STR("127.0.0.1"), .random = &random};
    assert_int_equal(mu_front_create(&c->loop, &front, c->server, c->kubelets, &c->front, &c->port),
                     0);
    make_client(c, 5, SHARED / 5, on_watch_reply, &c->clients[0]);
    for (uint32_t i = 1; i < CLIENTS; i++)
        make_client(c, 64, 1, on_watch_reply, &c->clients[i]);
    make_client(c, 1, IN_FLIGHT, on_write_reply, &c->writer);
    assert_int_equal(call_status(c->server, MU_POST, "/api/v1/nodes",
                                 "{\"metadata\":{\"name\":\"n\"}}", NULL, 0),
                     201);
    return c;
}

static void on_closed(void *context)
{
    ((struct crowd *)context)->closed++;
}

static void crowd_free(struct crowd *c)
{
    for (uint32_t i = 0; i < CLIENTS; i++)
        mu_http_client_close(c->clients[i], on_closed, c);
    mu_http_client_close(c->writer, on_closed, c);
    mu_front_close(c->front, on_closed, c);
    uv_close((uv_handle_t *)&c->watchdog, NULL);
    assert_int_equal(uv_run(&c->loop, UV_RUN_DEFAULT), 0);
    assert_int_equal(c->closed, CLIENTS + 2);
    assert_int_equal(uv_loop_close(&c->loop), 0);
    mu_kubelets_destroy(c->kubelets);
    mu_apiserver_destroy(c->server);
    for (uint32_t i = 0; i < WATCHERS; i++)
        mu_watch_decoder_fini(&c->watchers[i].decoder);
    mu_mem_free(c);
}

static void test_watchers__1000_and_one_stalled__all_see_all(void **state)
{
    (void)state;
    struct crowd *c = crowd_new();
    start_watching(c);
    UNTIL(c, c->watching == WATCHERS);
    struct stalled stalled = {.fd = stalled_open(c)};
    for (int i = 0; i < 20; i++) /* its watch begins before the first pod */
        (void)uv_run(&c->loop, UV_RUN_NOWAIT);
    size_t base = mu_mem_live_bytes();
    uint64_t start_ns = uv_hrtime();
    for (uint32_t i = 0; i < IN_FLIGHT; i++)
        write_next(c);
    UNTIL(c, c->complete == WATCHERS);
    double took_s = (double)(uv_hrtime() - start_ns) / 1e9;
    for (uint32_t i = 0; i < WATCHERS; i++) {
        const struct watcher *w = &c->watchers[i];
        assert_true(!w->lost && w->added == PODS && w->bound == PODS);
    }
    print_message("    %u events each to %u watchers in %.1f s, %.0f thousand a second; at most "
                  "%zu MiB held\n",
                  EVENTS, WATCHERS, took_s, EVENTS * (WATCHERS / 1e3) / took_s,
                  (c->live_max - base) >> 20);
    assert_true(c->live_max - base <= HELD_MAX);
    /* Now it reads, unless this took so long that the server has let go of it. */
    while (took_s < 50 && stalled.events < EVENTS) {
        assert_false(c->barked);
        (void)uv_run(&c->loop, UV_RUN_NOWAIT);
        assert_true(stalled_read(&stalled));
    }
    (void)close(stalled.fd);
    crowd_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_watchers__1000_and_one_stalled__all_see_all),
    };
    struct rlimit files;
    (void)signal(SIGPIPE, SIG_IGN);
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) { /* two ends of 505 connections */
        files.rlim_cur = files.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &files);
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
