/* The server on real sockets: what takes time, and what TCP does to it. */
#include "informer/http_server_priv.h"
#include "tests/http_harness.h"

static const struct mu_http_server_config defaults;

struct raw {
    uv_tcp_t tcp;
    uv_connect_t connect;
    struct mu_buf in;
    bool connected, ended;
};

static void raw_on_connect(uv_connect_t *request, int status)
{
    assert_int_equal(status, 0);
    ((struct raw *)request->data)->connected = true;
}

static void raw_on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    (void)handle;
    (void)suggested;
    static char room[65536];
    *buf = uv_buf_init(room, sizeof room);
}

static void raw_on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
    struct raw *raw = stream->data;
    if (n < 0)
        raw->ended = true;
    else
        assert_int_equal(mu_buf_append(&raw->in, buf->base, (size_t)n), 0);
}

static void raw_open(struct raw *raw, struct harness *h)
{
    struct sockaddr_in address;
    *raw = (struct raw){0};
    assert_int_equal(uv_tcp_init(&h->loop, &raw->tcp), 0);
    raw->tcp.data = raw->connect.data = raw;
    assert_int_equal(uv_ip4_addr("127.0.0.1", h->port, &address), 0);
    assert_int_equal(
        uv_tcp_connect(&raw->connect, &raw->tcp, (const struct sockaddr *)&address, raw_on_connect),
        0);
    HARNESS_UNTIL(h, raw->connected);
    assert_int_equal(uv_read_start((uv_stream_t *)&raw->tcp, raw_on_alloc, raw_on_read), 0);
}

static void raw_say(struct raw *raw, const char *text)
{
    uv_buf_t buf = uv_buf_init((char *)(uintptr_t)text, (unsigned)strlen(text));
    assert_int_equal(uv_try_write((uv_stream_t *)&raw->tcp, &buf, 1), (int)strlen(text));
}

static bool raw_has(struct raw *raw, const char *text)
{
    return raw->in.len > 0 && memmem(raw->in.data, raw->in.len, text, strlen(text)) != NULL;
}

static void raw_close(struct raw *raw)
{
    uv_close((uv_handle_t *)&raw->tcp, NULL);
    mu_buf_fini(&raw->in);
}

static void test_http_server__half_closed_client__still_answered(void **state)
{
    (void)state;
    struct harness *h = harness_new();
    struct raw raw;
    uv_shutdown_t shutdown;
    harness_server(h, defaults);
    raw_open(&raw, h);
    raw_say(&raw, "GET /big?n=3000000 HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_int_equal(uv_shutdown(&shutdown, (uv_stream_t *)&raw.tcp, NULL), 0);
    HARNESS_UNTIL(h, raw.ended);
    assert_true(raw.in.len > 3000000);
    raw_close(&raw);
    harness_free(h);
}

static void test_http_server__refused_while_the_peer_is_sending__answer_arrives(void **state)
{
    (void)state;
    struct harness *h = harness_new();
    struct raw raw;
    harness_server(h, defaults);
    raw_open(&raw, h);
    raw_say(&raw, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 100000000\r\n\r\n");
    for (int i = 0; i < 100; i++) {
        char piece[1000];
        memset(piece, 'x', sizeof piece);
        uv_buf_t buf = uv_buf_init(piece, sizeof piece);
        (void)uv_try_write((uv_stream_t *)&raw.tcp, &buf, 1); /* may be full */
        (void)uv_run(&h->loop, UV_RUN_NOWAIT);
    }
    HARNESS_UNTIL(h, raw.ended);
    assert_true(raw_has(&raw, "HTTP/1.1 413 "));
    raw_close(&raw);
    harness_free(h);
}

static void test_http_server__silent_peers__closed_after_the_idle_time(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",                       /* says nothing */
        "PRI * HT",               /* cannot make up its mind */
        "GET / HTTP/1.1\r\nHost", /* stops in the middle */
        "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nab",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",              /* HTTP/2 and nothing more */
        "GET /status?s=200 HTTP/1.1\r\nHost: a\r\n\r\n", /* kept alive, unused */
    };
    enum { COUNT = sizeof texts / sizeof *texts };
    struct harness *h = harness_new();
    struct mu_http_server_config config = {.idle_timeout_ns = 100 * MU_NS_PER_MS};
    struct raw raws[COUNT];
    struct raw watch;
    harness_server(h, config);
    raw_open(&watch, h);
    raw_say(&watch, "GET /open HTTP/1.1\r\nHost: a\r\n\r\n");
    HARNESS_UNTIL(h, raw_has(&watch, "1\r\n{\r\n"));
    for (size_t i = 0; i < COUNT; i++) {
        raw_open(&raws[i], h);
        if (texts[i][0] != '\0')
            raw_say(&raws[i], texts[i]);
    }
    for (size_t i = 0; i < COUNT; i++) {
        HARNESS_UNTIL(h, raws[i].ended);
        raw_close(&raws[i]);
    }
    assert_false(watch.ended); /* waits for the handler: nobody's fault */
    assert_int_equal(mu_http_respond_end(h->held[0]), 0);
    HARNESS_UNTIL(h, raw_has(&watch, "0\r\n\r\n"));
    raw_close(&watch);
    harness_free(h);
}

static void test_http_server__peer_that_reads_nothing__dropped_and_aborted(void **state)
{
    (void)state;
    struct harness *h = harness_new();
    struct mu_http_server_config config = {.idle_timeout_ns = 150 * MU_NS_PER_MS};
    struct raw raw;
    harness_server(h, config);
    raw_open(&raw, h);
    assert_int_equal(uv_read_stop((uv_stream_t *)&raw.tcp), 0);
    raw_say(&raw, "GET /stream?n=100000000 HTTP/1.1\r\nHost: a\r\n\r\n");
    HARNESS_UNTIL(h, h->aborts == 1);
    assert_true(h->server->queued_bytes == 0);
    raw_close(&raw);
    harness_free(h);
}

static void test_http_server__connections_above_the_limit__strangers_go_first(void **state)
{
    (void)state;
    enum { SERVED, KEPT, STRANGER, NEXT, LAST, COUNT };
    static const char get[] = "GET /status?s=200 HTTP/1.1\r\nHost: a\r\n\r\n";
    struct harness *h = harness_new();
    struct mu_http_server_config config = {.connections_max = 3};
    struct raw raws[COUNT];
    harness_server(h, config);
    raw_open(&raws[SERVED], h);
    raw_say(&raws[SERVED], "GET /open HTTP/1.1\r\nHost: a\r\n\r\n");
    raw_open(&raws[KEPT], h);
    raw_say(&raws[KEPT], get);
    HARNESS_UNTIL(h, raw_has(&raws[KEPT], "200 OK") && raw_has(&raws[SERVED], "200 OK"));
    raw_open(&raws[STRANGER], h); /* says half a request */
    raw_say(&raws[STRANGER], "GET / HT");
    raw_open(&raws[NEXT], h); /* takes the stranger's place */
    HARNESS_UNTIL(h, raws[STRANGER].ended);
    raw_say(&raws[NEXT], get);
    HARNESS_UNTIL(h, raw_has(&raws[NEXT], "200 OK"));
    raw_open(&raws[LAST], h); /* no stranger is left: the one that was idle longest goes */
    HARNESS_UNTIL(h, raws[KEPT].ended);
    raw_say(&raws[LAST], get);
    HARNESS_UNTIL(h, raw_has(&raws[LAST], "200 OK"));
    assert_false(raws[SERVED].ended || raws[NEXT].ended);
    for (int i = 0; i < COUNT; i++)
        raw_close(&raws[i]);
    harness_free(h);
}

static void test_http_server__all_are_being_served__the_new_one_is_refused(void **state)
{
    (void)state;
    struct harness *h = harness_new();
    struct mu_http_server_config config = {.connections_max = 2};
    struct raw raws[3];
    harness_server(h, config);
    for (int i = 0; i < 2; i++) {
        raw_open(&raws[i], h);
        raw_say(&raws[i], "GET /open HTTP/1.1\r\nHost: a\r\n\r\n");
        HARNESS_UNTIL(h, raw_has(&raws[i], "200 OK"));
    }
    raw_open(&raws[2], h);
    HARNESS_UNTIL(h, raws[2].ended);
    assert_false(raws[0].ended || raws[1].ended);
    for (int i = 0; i < 3; i++)
        raw_close(&raws[i]);
    harness_free(h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_http_server__half_closed_client__still_answered),
        cmocka_unit_test(test_http_server__refused_while_the_peer_is_sending__answer_arrives),
        cmocka_unit_test(test_http_server__silent_peers__closed_after_the_idle_time),
        cmocka_unit_test(test_http_server__peer_that_reads_nothing__dropped_and_aborted),
        cmocka_unit_test(test_http_server__connections_above_the_limit__strangers_go_first),
        cmocka_unit_test(test_http_server__all_are_being_served__the_new_one_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
