/*
 * Bindings over HTTP/2 on loopback, client side: the client keeps `in_flight` Binding POSTs open
 * against a server in a thread of its own, which answers each with 201 and a small Status. A round
 * is a number of requests, from the first sent to the last answered. Client and server share the
 * process, not a core, if there are two. bind_tls does the same over TLS 1.3, with a certificate on
 * both sides.
 *
 * Checked: every request has had one answer, 201 with the whole Status, and the server has seen
 * whole Bindings.
 */
#include "bench/bench.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "engine/base/assert.h"
#include "engine/base/clock.h"
#include "informer/codec.h"
#include "informer/http.h"
#include "informer/pki.h"

struct shape {
    uint32_t in_flight;
    uint32_t requests; /* of one round */
    bool tls;
};

/* ---- certificates --------------------------------------------------------------------------- */

struct contexts {
    struct mu_tls *server, *client; /* NULL: cleartext */
};

static struct mu_str view(const struct mu_buf *buf)
{
    return (struct mu_str){(const char *)buf->data, (uint32_t)buf->len};
}

static struct contexts contexts_make(void)
{
    const struct mu_clock *clock = mu_clock_real();
    int64_t now_s = (int64_t)(clock->wall_ns(clock) / MU_NS_PER_S);
    const struct mu_pki_validity validity = {now_s - 3600, now_s + 86400};
    const struct mu_str address = MU_STR("127.0.0.1");
    struct contexts both = {NULL, NULL};
    struct mu_pki *ca = NULL;
    struct mu_buf cert = {0};
    struct mu_buf key = {0};
    int r = mu_pki_create(MU_STR("bench"), validity, &ca, NULL);
    MU_ASSERT(r == 0);
    const struct mu_pki_request request = {.common_name = MU_STR("bench"),
                                           .addresses = &address,
                                           .address_count = 1,
                                           .server = true,
                                           .client = true,
                                           .validity = validity};
    r = mu_pki_issue(ca, &request, &cert, &key, NULL);
    MU_ASSERT(r == 0);
    const struct mu_tls_server_config server = {
        .cert = view(&cert), .key = view(&key), .client_ca = mu_pki_ca(ca)};
    const struct mu_tls_client_config client = {
        .ca = mu_pki_ca(ca), .cert = view(&cert), .key = view(&key)};
    r = mu_tls_server_create(&server, &both.server, NULL);
    MU_ASSERT(r == 0);
    r = mu_tls_client_create(&client, &both.client, NULL);
    MU_ASSERT(r == 0);
    mu_buf_fini(&cert);
    mu_pki_wipe(&key);
    mu_pki_destroy(ca);
    return both;
}

/* ---- the server's thread -------------------------------------------------------------------- */

struct answerer {
    pthread_t thread;
    uv_sem_t ready; /* posted by the thread when `port` and `stop` are there */
    uv_async_t stop;
    uint16_t port;
    struct mu_tls *tls;
    struct mu_http_server *server;
    struct mu_str reply;
    size_t body_bytes; /* of every request */
    uint64_t wrong;    /* requests with another body; read when the thread has ended */
};

static void on_request(void *context, struct mu_http_exchange *exchange,
                       const struct mu_http_request *request)
{
    struct answerer *a = context;
    a->wrong += request->body.len != a->body_bytes || !mu_envelope_has_magic(request->body);
    int r =
        mu_http_respond(exchange, 201, MU_STR("application/vnd.kubernetes.protobuf"), 0, a->reply);
    MU_ASSERT(r == 0);
}

static void on_stop(uv_async_t *stop)
{
    struct answerer *a = stop->data;
    mu_http_server_close(a->server, NULL, NULL);
    uv_close((uv_handle_t *)stop, NULL);
}

static void *answer(void *context)
{
    struct answerer *a = context;
    uv_loop_t loop;
    int r = uv_loop_init(&loop);
    MU_ASSERT(r == 0);
    const struct mu_http_server_config config = {
        .host = MU_STR("127.0.0.1"), .tls = a->tls, .on_request = on_request, .context = a};
    r = mu_http_server_create(&loop, &config, &a->server, &a->port);
    MU_ASSERT(r == 0);
    a->stop.data = a;
    r = uv_async_init(&loop, &a->stop, on_stop);
    MU_ASSERT(r == 0);
    uv_sem_post(&a->ready);
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    r = uv_loop_close(&loop);
    MU_ASSERT(r == 0);
    return NULL;
}

/* ---- the client ----------------------------------------------------------------------------- */

struct binder {
    uv_loop_t loop;
    struct mu_http_client *client;
    struct mu_buf binding; /* the body of every request */
    uint64_t sent, ended, lost, wrong;
    uint64_t until; /* send no more than this */
    uint64_t bytes; /* of all replies */
};

static void send_one(struct binder *b)
{
    struct mu_request request = {.token = ++b->sent,
                                 .method = MU_POST,
                                 .content = MU_MEDIA_PROTOBUF,
                                 .timeout_ns = 30 * MU_NS_PER_S};
    int r = mu_buf_printf(&request.path, "/api/v1/namespaces/default/pods/worker-%llu/binding",
                          (unsigned long long)b->sent % 100000);
    if (r == 0)
        r = mu_buf_append(&request.body, b->binding.data, b->binding.len);
    if (r == 0)
        r = mu_http_client_send(b->client, &request);
    MU_ASSERT(r == 0);
}

static void on_reply(void *context, const struct mu_reply *reply)
{
    struct binder *b = context;
    b->bytes += reply->kind == MU_REPLY_DATA ? reply->data.len : 0;
    b->wrong +=
        reply->kind == MU_REPLY_HEAD && (reply->status != 201 || reply->media != MU_MEDIA_PROTOBUF);
    b->ended += reply->kind == MU_REPLY_END;
    b->lost += reply->kind == MU_REPLY_LOST;
    bool over = reply->kind == MU_REPLY_END || reply->kind == MU_REPLY_LOST;
    if (over && b->sent < b->until)
        send_one(b);
}

static void round_of(struct binder *b, uint32_t requests, uint32_t in_flight)
{
    b->until = b->sent + requests;
    while (b->sent < b->until && b->sent - b->ended - b->lost < in_flight)
        send_one(b);
    while (b->ended + b->lost < b->until)
        (void)uv_run(&b->loop, UV_RUN_ONCE);
}

/* ---- the bench ------------------------------------------------------------------------------ */

static void messages(struct mu_buf *binding, struct mu_buf *status)
{
    const struct mu_binding bind = {
        .ns = MU_STR("default"),
        .name = MU_STR("worker-1"),
        .uid = MU_STR("00000000-0000-4000-8000-000000000001"),
        .version = 1234567,
        .node = MU_STR("node-000001"),
        .plan = MU_STR("0000000000000001"),
    };
    /* Status{status "Success", code 201}. */
    static const char raw[] = "\x12\x07Success\x30\xc9\x01";
    int r = mu_binding_encode(binding, &bind);
    MU_ASSERT(r == 0);
    r = mu_envelope_wrap(status, MU_STR("v1"), MU_STR("Status"), MU_STR(raw));
    MU_ASSERT(r == 0);
}

static void body(struct mu_bench *bench, const void *argument)
{
    const struct shape *shape = argument;
    struct mu_buf status = {0};
    struct contexts contexts = {NULL, NULL};
    if (shape->tls)
        contexts = contexts_make();
    struct answerer a = {.tls = contexts.server};
    struct binder b = {.sent = 0};
    messages(&b.binding, &status);
    a.reply = (struct mu_str){(const char *)status.data, (uint32_t)status.len};
    a.body_bytes = b.binding.len;
    int r = uv_sem_init(&a.ready, 0);
    MU_ASSERT(r == 0);
    r = pthread_create(&a.thread, NULL, answer, &a);
    MU_ASSERT(r == 0);
    uv_sem_wait(&a.ready);
    r = uv_loop_init(&b.loop);
    MU_ASSERT(r == 0);
    const struct mu_http_client_config config = {
        .host = MU_STR("127.0.0.1"), .port = a.port, .tls = contexts.client};
    r = mu_http_client_create(&b.loop, &config, on_reply, &b, &b.client);
    MU_ASSERT(r == 0);
    round_of(&b, shape->in_flight, shape->in_flight); /* connects */

    uint64_t before = b.ended;
    while (mu_bench_running(bench))
        round_of(&b, shape->requests, shape->in_flight);
    mu_bench_items(bench, b.ended - before);
    MU_BENCH_CHECK(bench, b.ended == b.sent && b.lost == 0 && b.wrong == 0);
    MU_BENCH_CHECK(bench, b.bytes == b.ended * status.len);

    mu_http_client_close(b.client, NULL, NULL);
    (void)uv_run(&b.loop, UV_RUN_DEFAULT);
    r = uv_loop_close(&b.loop);
    MU_ASSERT(r == 0);
    r = uv_async_send(&a.stop);
    MU_ASSERT(r == 0);
    r = pthread_join(a.thread, NULL);
    MU_ASSERT(r == 0);
    MU_BENCH_CHECK(bench, a.wrong == 0);
    uv_sem_destroy(&a.ready);
    mu_tls_unref(contexts.server);
    mu_tls_unref(contexts.client);
    mu_buf_fini(&b.binding);
    mu_buf_fini(&status);
}

static const struct shape shape_100 = {100, 20000, false};
static const struct shape shape_small = {100, 1000, false};
static const struct shape shape_tls_100 = {100, 20000, true};
static const struct shape shape_tls_small = {100, 1000, true};
MU_BENCH_WALL(bind_100, "bind/inflight:100", body, &shape_100)
MU_BENCH_WALL(bind_small, "bind/inflight:100/small", body, &shape_small)
MU_BENCH_WALL(bind_tls_100, "bind_tls/inflight:100", body, &shape_tls_100)
MU_BENCH_WALL(bind_tls_small, "bind_tls/inflight:100/small", body, &shape_tls_small)
