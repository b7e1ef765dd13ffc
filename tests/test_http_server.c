/* The server's protocols, byte by byte and without sockets; then what needs a socket and time. */
#include "informer/http_server_priv.h"
#include "informer/limits.h"
#include "tests/http_harness.h"

/* ---- a connection without a socket ---------------------------------------------------------- */

/* Stands in the harness's handler, which wants one, without a loop or a client. */
struct peer {
    struct harness *h;
    struct mu_server_conn *conn;
    struct mu_buf out; /* what the server has said, NUL-terminated by text() */
};

static struct peer peer_new(struct mu_http_server_config config)
{
    struct peer p = {0};
    p.h = mu_mem_zalloc(sizeof *p.h);
    assert_non_null(p.h);
    config.on_request = harness_on_request;
    config.on_abort = harness_on_abort;
    config.on_drain = harness_on_drain;
    config.context = p.h;
    assert_int_equal(mu_server_detached(&config, &p.h->server), 0);
    p.conn = mu_server_conn_new(p.h->server);
    assert_non_null(p.conn);
    assert_int_equal(mu_wire_start(&p.conn->wire), 0);
    return p;
}

static void peer_free(struct peer *p)
{
    mu_server_detached_free(p->h->server);
    mu_mem_free(p->h);
    mu_buf_fini(&p->out);
}

/* Take what the server has to say, a little at a time. */
static void peer_pull(struct peer *p, size_t cap)
{
    uint8_t room[65536];
    for (;;) {
        ptrdiff_t n = mu_server_conn_output(p->conn, room, cap < sizeof room ? cap : sizeof room);
        assert_true(n >= 0);
        if (n == 0)
            break;
        assert_int_equal(mu_buf_append(&p->out, room, (size_t)n), 0);
    }
    mu_server_drained(p->h->server);
}

static void peer_feed(struct peer *p, const void *data, size_t len)
{
    if (len > 0)
        mu_server_conn_input(p->conn, data, len);
}

static const char *peer_text(struct peer *p)
{
    assert_int_equal(mu_buf_append(&p->out, "", 1), 0);
    p->out.len--;
    return (const char *)p->out.data;
}

/* The same for answers with bytes of 0 in them. */
static bool peer_said(const struct peer *p, const char *text)
{
    return memmem(p->out.data, p->out.len, text, strlen(text)) != NULL;
}

static void peer_say(struct peer *p, const char *text)
{
    mu_buf_clear(&p->out);
    peer_feed(p, text, strlen(text));
    peer_pull(p, 65536);
}

static const struct mu_http_server_config defaults;

/* One connection, one text, one answer from the beginning of which is expected. */
static void expect(const char *text, const char *start)
{
    struct peer p = peer_new(defaults);
    peer_say(&p, text);
    const char *answer = peer_text(&p);
    if (strncmp(answer, start, strlen(start)) != 0)
        fail_msg("'%.60s' was answered '%.200s'", text, answer);
    peer_free(&p);
}

/* ---- HTTP/1.1 ------------------------------------------------------------------------------ */

static void test_http1__simple_get__answered_and_kept(void **state)
{
    (void)state;
    struct peer p = peer_new(defaults);
    peer_say(&p, "GET /status?s=200&x HTTP/1.1\r\nHost: a\r\nAccept:  text/plain \r\n"
                 "User-Agent: t\r\n\r\n");
    assert_string_equal(peer_text(&p), "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"
                                       "content-length: 2\r\n\r\n{}");
    assert_string_equal(p.h->last_query, "s=200&x");
    assert_string_equal(p.h->last_accept, "text/plain");
    assert_string_equal(p.h->last_agent, "t");
    assert_false(p.h->last_http2);
    peer_say(&p, "GET /busy HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_string_equal(peer_text(&p), "HTTP/1.1 429 Too Many Requests\r\n"
                                       "content-type: text/plain; charset=utf-8\r\n"
                                       "content-length: 4\r\nretry-after: 7\r\n\r\nbusy");
    peer_free(&p);
}

/* Several requests of all kinds, one behind the other. */
static const char many[] = "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
                           "Content-Length: 11\r\n\r\nhello world"
                           "\r\nPUT /echo HTTP/1.1\r\nhost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
                           "4\r\nabcd\r\n3;ext=1\r\nefg\r\n0\r\nTrailer: x\r\n\r\n"
                           "GET /stream?n=20 HTTP/1.1\r\nHost: a\r\n\r\n"
                           "PATCH http://proxy:80/echo HTTP/1.1\r\nHost: a\r\n"
                           "Content-Length: 0\r\n\r\n"
                           "DELETE /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";

static void test_http1__split_at_every_byte__same_answers(void **state)
{
    (void)state;
    struct peer whole = peer_new(defaults);
    peer_say(&whole, many);
    assert_true(peer_said(&whole, "hello world") && peer_said(&whole, "abcdefg"));
    assert_true(peer_said(&whole, "\r\n14\r\n")); /* one chunk of 20 bytes */
    assert_true(peer_said(&whole, "404 Not Found"));
    assert_int_equal(whole.h->requests, 5);
    for (size_t at = 1; at < sizeof many - 1; at++) {
        struct peer p = peer_new(defaults);
        peer_feed(&p, many, at);
        peer_pull(&p, 65536);
        peer_feed(&p, many + at, sizeof many - 1 - at);
        peer_pull(&p, 65536);
        assert_int_equal(p.out.len, whole.out.len);
        assert_memory_equal(p.out.data, whole.out.data, whole.out.len);
        peer_free(&p);
    }
    struct peer p = peer_new(defaults);
    for (size_t at = 0; at < sizeof many - 1; at++) {
        peer_feed(&p, many + at, 1);
        peer_pull(&p, 65536);
    }
    assert_int_equal(p.out.len, whole.out.len);
    assert_memory_equal(p.out.data, whole.out.data, whole.out.len);
    assert_int_equal(p.conn->protocol, MU_PROTOCOL_LINGER);
    peer_free(&p);
    peer_free(&whole);
}

/* The peer that takes the answers in small pieces gets the same bytes, chunk borders aside. */
static void test_http1__taken_in_small_pieces__body_whole(void **state)
{
    (void)state;
    struct peer p = peer_new(defaults);
    static const char get[] = "GET /big?n=100000 HTTP/1.1\r\nHost: a\r\n\r\n";
    peer_feed(&p, get, sizeof get - 1);
    peer_pull(&p, 7);
    const char *body = strstr(peer_text(&p), "\r\n\r\n");
    assert_non_null(body);
    assert_int_equal(strlen("\r\n\r\n") + 100000,
                     p.out.len - (size_t)(body - (const char *)p.out.data));
    assert_true(harness_is_pattern(body + 4, 100000, 0));
    peer_free(&p);
}

static uint64_t dechunk(struct mu_buf *in, bool *over)
{
    uint64_t total = 0;
    char *at = strstr((char *)in->data, "\r\n\r\n") + 4;
    for (;;) {
        char *end;
        uint64_t len = strtoull(at, &end, 16);
        assert_memory_equal(end, "\r\n", 2);
        if (len == 0) {
            *over = memcmp(end, "\r\n\r\n", 5) == 0; /* and nothing behind it */
            return total;
        }
        assert_true(harness_is_pattern(end + 2, len, total));
        total += len;
        assert_memory_equal(end + 2 + len, "\r\n", 2);
        at = end + 2 + len + 2;
    }
}

static void test_http1__stream__chunked_with_drains(void **state)
{
    (void)state;
    struct peer p = peer_new(defaults);
    static const char get[] = "GET /stream?n=3000000 HTTP/1.1\r\nHost: a\r\n\r\n";
    bool over = false;
    peer_feed(&p, get, sizeof get - 1);
    while (p.h->held_count == 0 && p.out.len < 3000000) {
        size_t before = p.out.len;
        peer_pull(&p, 1000);
        assert_true(p.out.len > before); /* a drain brought more */
    }
    peer_pull(&p, 1000);
    (void)peer_text(&p);
    assert_int_equal(dechunk(&p.out, &over), 3000000);
    assert_true(over);
    assert_true(p.h->again > 2);
    peer_free(&p);
}

static void test_http1__version_1_0__closes_unless_asked(void **state)
{
    (void)state;
    struct peer p = peer_new(defaults);
    peer_say(&p, "GET /stream?n=5 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    const char *text = peer_text(&p);
    assert_non_null(strstr(text, "connection: close\r\n\r\n"));
    assert_null(strstr(text, "chunked"));
    assert_int_equal(p.conn->protocol, MU_PROTOCOL_LINGER); /* its end ends the body */
    peer_free(&p);
    p = peer_new(defaults);
    peer_say(&p, "GET /status?s=200 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    assert_non_null(strstr(peer_text(&p), "connection: keep-alive\r\n"));
    peer_say(&p, "GET /status?s=204 HTTP/1.0\r\n\r\n");
    assert_string_equal(peer_text(&p), "HTTP/1.1 204 No Content\r\ncontent-type: "
                                       "application/json\r\nconnection: close\r\n\r\n");
    assert_int_equal(p.conn->protocol, MU_PROTOCOL_LINGER);
    peer_free(&p);
}

static void test_http1__bad_requests__400_and_closed(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "GARBAGE\r\n\r\n",
        "GET\r\n\r\n",
        "GET / HTTP/1.1\r\n\r\n", /* no host */
        "GET / HTTP/1.1\r\nHost: a\r\nbroken line\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nBad\x01Name: x\r\n\r\n",
        "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
        "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\n",
        "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
        "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        ("POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n"
         "Content-Length: 3\r\n\r\n3\r\nabc\r\n0\r\n\r\n"),
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\rX",
        "\x16\x03\x01\x02\x00\x01", /* TLS on the wrong port */
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct peer p = peer_new(defaults);
        peer_say(&p, bad[i]);
        const char *answer = peer_text(&p);
        if (strncmp(answer, "HTTP/1.1 400 Bad Request\r\n", 26) != 0 ||
            strstr(answer, "connection: close\r\n") == NULL || p.h->requests != 0)
            fail_msg("'%.60s' was answered '%.200s'", bad[i], answer);
        assert_int_equal(p.conn->protocol, MU_PROTOCOL_LINGER);
        peer_say(&p, "GET /status?s=200 HTTP/1.1\r\nHost: a\r\n\r\n"); /* nobody listens */
        assert_int_equal(p.out.len, 0);
        peer_free(&p);
    }
}

static void test_http1__refusals__their_status(void **state)
{
    (void)state;
    expect("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 405 ");
    expect("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 405 ");
    expect("GET foo://a/b HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 400 ");
    expect("CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 405 ");
    expect("GET / HTTP/9.9\r\nHost: a\r\n\r\n", "HTTP/1.1 505 ");
    expect("OPTIONS * HTTP/2.0\r\n\r\n", "HTTP/1.1 505 ");
    expect("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3145729\r\n\r\n", "HTTP/1.1 413 ");
    expect("GET /x HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n",
           "HTTP/1.1 404 ");
}

static void test_http1__chunked_body_above_the_cap__413(void **state)
{
    (void)state;
    struct mu_http_server_config config = {.body_max = 10};
    struct peer p = peer_new(config);
    peer_say(&p, "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
                 "a\r\n0123456789\r\n");
    assert_int_equal(p.out.len, 0);
    peer_say(&p, "1\r\nx\r\n0\r\n\r\n");
    assert_non_null(strstr(peer_text(&p), "HTTP/1.1 413 "));
    assert_int_equal(p.h->requests, 0);
    peer_free(&p);
}

/* Header sections without end, in every part of them. */
static void test_http1__header_section_above_the_cap__431(void **state)
{
    (void)state;
    static const char *const starts[] = {
        "GET /",
        "GET / HTTP/1.1\r\n",
        "GET / HTTP/1.1\r\nName: ",
        "GET / HTTP/1.1\r\nName:",
    };
    static const char *const fills[] = {"aaaaaaaa", "A: b\r\n", "value va", "        "};
    for (size_t i = 0; i < 4; i++) {
        struct peer p = peer_new(defaults);
        peer_feed(&p, starts[i], strlen(starts[i]));
        for (size_t fed = 0; fed < 200000; fed += strlen(fills[i]))
            peer_feed(&p, fills[i], strlen(fills[i]));
        peer_pull(&p, 65536);
        if (strncmp(peer_text(&p), "HTTP/1.1 431 ", 13) != 0)
            fail_msg("'%s' filled with '%s': '%.100s'", starts[i], fills[i], peer_text(&p));
        peer_free(&p);
    }
}

static void test_http1__expect_continue__told_to_go_on(void **state)
{
    (void)state;
    struct peer p = peer_new(defaults);
    peer_say(&p, "POST /echo HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n"
                 "Content-Length: 2\r\n\r\n");
    assert_string_equal(peer_text(&p), "HTTP/1.1 100 Continue\r\n\r\n");
    peer_say(&p, "hi");
    assert_non_null(strstr(peer_text(&p), "HTTP/1.1 200 OK"));
    peer_free(&p);
    expect("POST /echo HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n"
           "Content-Length: 99999999\r\n\r\n",
           "HTTP/1.1 413 ");
}

static void test_http1__pipelined_behind_a_slow_one__in_order_and_bounded(void **state)
{
    (void)state;
    struct peer p = peer_new(defaults);
    peer_say(&p, "GET /hold HTTP/1.1\r\nHost: a\r\n\r\nGET /status?s=201 HTTP/1.1\r\nHost: a\r\n"
                 "\r\n");
    assert_int_equal(p.out.len, 0);
    assert_int_equal(p.h->requests, 1); /* the second has not been looked at */
    assert_true(p.conn->wire.reading);
    static const char more[] = "GET /status?s=202 HTTP/1.1\r\nHost: a\r\n\r\n";
    uint32_t sent = 0;
    while (p.conn->wire.reading) {
        assert_true(sent * sizeof more < 4 * MU_HTTP_PIPELINE_MAX);
        peer_feed(&p, more, sizeof more - 1);
        sent++;
    }
    assert_int_equal(mu_http_respond(p.h->held[0], 200, MU_STR("text/plain"), 0, MU_STR("held")),
                     0);
    peer_pull(&p, 65536);
    assert_true(p.conn->wire.reading);
    const char *text = peer_text(&p);
    const char *first = strstr(text, "200 OK");
    const char *second = strstr(text, "201 Created");
    const char *third = strstr(text, "202 Accepted");
    assert_true(first != NULL && second != NULL && third != NULL);
    assert_true(first < second && second < third);
    assert_int_equal(p.h->requests, 2 + sent);
    peer_free(&p);
}

static void test_http1__dropped_while_answering__aborted_once(void **state)
{
    (void)state;
    struct peer p = peer_new(defaults);
    peer_say(&p, "GET /open HTTP/1.1\r\nHost: a\r\n\r\n");
    mu_server_conn_drop(p.conn);
    assert_int_equal(p.h->aborts, 1);
    peer_free(&p);
}

static void test_http1__reset__connection_dropped(void **state)
{
    (void)state;
    struct peer p = peer_new(defaults);
    peer_say(&p, "GET /reset HTTP/1.1\r\nHost: a\r\n\r\nGET /x HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_true(p.conn->dead);
    assert_int_equal(p.out.len, 0);
    assert_int_equal(p.h->requests, 1);
    assert_int_equal(p.h->aborts, 0);
    peer_free(&p);
}

/* ---- HTTP/2, spoken by a session of nghttp2's client side ------------------------------------ */

struct h2_reply {
    int32_t stream;
    int status;
    uint32_t interim; /* 1xx seen */
    uint64_t bytes;
    bool closed;
    uint32_t code; /* it was closed with */
};

struct h2_peer {
    struct peer p;
    nghttp2_session *session;
    struct h2_reply replies[64];
    uint32_t count;
    uint64_t body_left; /* of the request that read_zeros sends */
};

static struct h2_reply *reply_of(struct h2_peer *p, int32_t stream)
{
    for (uint32_t i = 0; i < p->count; i++) {
        if (p->replies[i].stream == stream)
            return &p->replies[i];
    }
    assert_true(p->count < 64);
    p->replies[p->count] = (struct h2_reply){.stream = stream};
    return &p->replies[p->count++];
}

static int h2_on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                        size_t name_len, const uint8_t *value, size_t value_len, uint8_t flags,
                        void *user)
{
    (void)session;
    (void)flags;
    if (name_len == 7 && memcmp(name, ":status", 7) == 0 && value_len == 3) {
        int status = (value[0] - 48) * 100 + (value[1] - 48) * 10 + (value[2] - 48);
        struct h2_reply *r = reply_of(user, frame->hd.stream_id);
        if (status < 200)
            r->interim++;
        else
            r->status = status;
    }
    return 0;
}

static int h2_on_data(nghttp2_session *session, uint8_t flags, int32_t stream, const uint8_t *data,
                      size_t len, void *user)
{
    (void)session;
    (void)flags;
    (void)data;
    reply_of(user, stream)->bytes += len;
    return 0;
}

static int h2_on_close(nghttp2_session *session, int32_t stream, uint32_t code, void *user)
{
    (void)session;
    struct h2_reply *r = reply_of(user, stream);
    r->closed = true;
    r->code = code;
    return 0;
}

/* The client's side speaks without listening. */
static void h2_shout(struct h2_peer *p)
{
    const uint8_t *data;
    ssize_t n;
    while ((n = nghttp2_session_mem_send(p->session, &data)) > 0)
        peer_feed(&p->p, data, (size_t)n);
    assert_int_equal(n, 0);
}

/* Let both sides talk until neither has anything to say. at_once: bytes handed over at a time. */
static void h2_talk(struct h2_peer *p, size_t at_once)
{
    bool said = true;
    while (said) {
        const uint8_t *data;
        ssize_t n = nghttp2_session_mem_send(p->session, &data);
        assert_true(n >= 0);
        said = n > 0;
        for (ssize_t at = 0; at < n; at += (ssize_t)at_once)
            peer_feed(&p->p, data + at, (size_t)(n - at) < at_once ? (size_t)(n - at) : at_once);
        mu_buf_clear(&p->p.out);
        peer_pull(&p->p, 65536);
        said = said || p->p.out.len > 0;
        if (p->p.out.len > 0)
            assert_int_equal(nghttp2_session_mem_recv(p->session, p->p.out.data, p->p.out.len),
                             (ssize_t)p->p.out.len);
    }
}

static struct h2_peer *h2_new(struct mu_http_server_config config)
{
    struct h2_peer *p = mu_mem_zalloc(sizeof *p);
    nghttp2_session_callbacks *c;
    assert_non_null(p);
    p->p = peer_new(config);
    assert_int_equal(nghttp2_session_callbacks_new(&c), 0);
    nghttp2_session_callbacks_set_on_header_callback(c, h2_on_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(c, h2_on_data);
    nghttp2_session_callbacks_set_on_stream_close_callback(c, h2_on_close);
    nghttp2_option *option;
    assert_int_equal(nghttp2_option_new(&option), 0);
    nghttp2_option_set_max_send_header_block_length(option, 1 << 20); /* be a nuisance */
    assert_int_equal(nghttp2_session_client_new2(&p->session, c, p, option), 0);
    nghttp2_option_del(option);
    nghttp2_session_callbacks_del(c);
    assert_int_equal(nghttp2_submit_settings(p->session, 0, NULL, 0), 0);
    return p;
}

static void h2_free(struct h2_peer *p)
{
    nghttp2_session_del(p->session);
    peer_free(&p->p);
    mu_mem_free(p);
}

static nghttp2_nv h2_nv(const char *name, const char *value)
{
    return (nghttp2_nv){(uint8_t *)(uintptr_t)name, (uint8_t *)(uintptr_t)value, strlen(name),
                        strlen(value), NGHTTP2_NV_FLAG_NONE};
}

static ssize_t read_zeros(nghttp2_session *session, int32_t stream, uint8_t *room, size_t cap,
                          uint32_t *flags, nghttp2_data_source *source, void *user)
{
    (void)session;
    (void)stream;
    (void)source;
    struct h2_peer *p = user;
    size_t len = p->body_left < cap ? (size_t)p->body_left : cap;
    memset(room, 0, len);
    p->body_left -= len;
    if (p->body_left == 0)
        *flags |= NGHTTP2_DATA_FLAG_EOF;
    return (ssize_t)len;
}

/* A request with `extra` further fields, `body` bytes long. */
static int32_t h2_request(struct h2_peer *p, const char *method, const char *path,
                          const nghttp2_nv *extra, size_t extra_count, uint64_t body)
{
    nghttp2_nv nv[64];
    size_t n = 0;
    nv[n++] = h2_nv(":method", method);
    nv[n++] = h2_nv(":scheme", "http");
    nv[n++] = h2_nv(":authority", "a");
    nv[n++] = h2_nv(":path", path);
    assert_true(extra_count <= 60);
    for (size_t i = 0; i < extra_count; i++)
        nv[n++] = extra[i];
    p->body_left = body;
    nghttp2_data_provider provider = {{.ptr = NULL}, read_zeros};
    int32_t id = nghttp2_submit_request(p->session, NULL, nv, n, body > 0 ? &provider : NULL, NULL);
    assert_true(id > 0);
    return id;
}

static void test_http2__every_byte_by_itself__answered(void **state)
{
    (void)state;
    struct h2_peer *p = h2_new(defaults);
    int32_t a = h2_request(p, "POST", "/echo?x=y", NULL, 0, 100);
    h2_talk(p, 1);
    assert_int_equal(reply_of(p, a)->status, 200);
    assert_int_equal(reply_of(p, a)->bytes, 100);
    assert_true(p->p.h->last_http2);
    assert_string_equal(p->p.h->last_query, "x=y");
    h2_free(p);
}

static void test_http2__refusals__their_status_and_the_connection_lives(void **state)
{
    (void)state;
    struct mu_http_server_config config = {.body_max = 1000};
    struct h2_peer *p = h2_new(config);
    int32_t method = h2_request(p, "OPTIONS", "/x", NULL, 0, 0);
    h2_talk(p, 65536);
    assert_int_equal(reply_of(p, method)->status, 405);
    int32_t body = h2_request(p, "POST", "/echo", NULL, 0, 5000000);
    h2_talk(p, 65536);
    assert_int_equal(reply_of(p, body)->status, 413);
    assert_true(reply_of(p, body)->closed);
    assert_int_equal(reply_of(p, body)->code, NGHTTP2_NO_ERROR);
    assert_true(p->body_left > 0); /* told to stop */
    int32_t fine = h2_request(p, "POST", "/echo", NULL, 0, 1000);
    h2_talk(p, 65536);
    assert_int_equal(reply_of(p, fine)->status, 200);
    assert_int_equal(p->p.h->requests, 1);
    assert_int_equal(p->p.h->server->bodies_bytes, 0);
    h2_free(p);
}

static void test_http2__status_without_a_body__none_sent(void **state)
{
    (void)state;
    struct h2_peer *p = h2_new(defaults);
    int32_t id = h2_request(p, "GET", "/status?s=204", NULL, 0, 0);
    h2_talk(p, 65536);
    assert_int_equal(reply_of(p, id)->status, 204);
    assert_int_equal(reply_of(p, id)->bytes, 0);
    assert_true(reply_of(p, id)->closed);
    assert_int_equal(reply_of(p, id)->code, NGHTTP2_NO_ERROR);
    assert_int_equal(p->p.h->server->queued_bytes, 0);
    h2_free(p);
}

/* HPACK makes a large field cheap to repeat: 4,000 bytes once, then one byte each. */
static void test_http2__header_bomb__431(void **state)
{
    (void)state;
    static char value[3900];
    memset(value, 'v', sizeof value - 1);
    struct h2_peer *p = h2_new(defaults);
    nghttp2_nv extra[40];
    for (size_t i = 0; i < 40; i++)
        extra[i] = h2_nv("x-bomb", value);
    int32_t id = h2_request(p, "GET", "/x", extra, 40, 0);
    h2_talk(p, 65536);
    assert_int_equal(reply_of(p, id)->status, 431);
    id = h2_request(p, "GET", "/status?s=200", extra, 7, 0); /* below the cap */
    h2_talk(p, 65536);
    assert_int_equal(reply_of(p, id)->status, 200);
    assert_int_equal(p->p.h->requests, 1);
    h2_free(p);
}

static void test_http2__expect_continue__interim_then_answer(void **state)
{
    (void)state;
    struct h2_peer *p = h2_new(defaults);
    nghttp2_nv expect_field = h2_nv("expect", "100-continue");
    int32_t id = h2_request(p, "POST", "/echo", &expect_field, 1, 10);
    h2_talk(p, 65536);
    assert_int_equal(reply_of(p, id)->interim, 1);
    assert_int_equal(reply_of(p, id)->status, 200);
    h2_free(p);
}

static void test_http2__peer_resets__aborted_once(void **state)
{
    (void)state;
    struct h2_peer *p = h2_new(defaults);
    int32_t hold = h2_request(p, "GET", "/hold", NULL, 0, 0);
    int32_t open = h2_request(p, "GET", "/open", NULL, 0, 0);
    h2_talk(p, 65536);
    assert_int_equal(reply_of(p, open)->bytes, 1);
    assert_int_equal(nghttp2_submit_rst_stream(p->session, 0, hold, NGHTTP2_CANCEL), 0);
    h2_talk(p, 65536);
    assert_int_equal(p->p.h->aborts, 1);
    assert_null(p->p.h->held[0]);
    assert_int_equal(mu_http_respond_end(p->p.h->held[1]), 0);
    h2_talk(p, 65536);
    assert_true(reply_of(p, open)->closed);
    assert_int_equal(p->p.h->aborts, 1);
    h2_free(p);
}

static void test_http2__streams_above_the_limit__refused(void **state)
{
    (void)state;
    struct mu_http_server_config config = {.streams_max = 3};
    struct h2_peer *p = h2_new(config);
    /* Before the server's SETTINGS are known a client may send more. */
    for (int i = 0; i < 5; i++)
        (void)h2_request(p, "GET", "/hold", NULL, 0, 0);
    h2_shout(p);
    h2_talk(p, 65536);
    assert_int_equal(p->p.h->requests, 3);
    assert_true(reply_of(p, 7)->closed && reply_of(p, 9)->closed);
    assert_int_equal(reply_of(p, 7)->code, NGHTTP2_REFUSED_STREAM);
    h2_free(p);
}

static void test_http2__nonsense_behind_the_preface__goaway_and_linger(void **state)
{
    (void)state;
    struct peer p = peer_new(defaults);
    peer_say(&p, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nthis is no frame at all, is it?");
    assert_true(p.out.len > 0);
    assert_true(p.conn->dead || p.conn->protocol == MU_PROTOCOL_LINGER);
    peer_free(&p);
}

static void test_http2__slow_reader_of_a_large_answer__bounded(void **state)
{
    (void)state;
    struct h2_peer *p = h2_new(defaults);
    int32_t id = h2_request(p, "GET", "/stream?n=10000000", NULL, 0, 0);
    h2_shout(p);
    peer_pull(&p->p, 65536); /* what the peer's window of 64 KiB takes */
    assert_true(p->p.h->server->queued_bytes > MU_HTTP_LOW_WATER);
    assert_true(p->p.h->server->queued_bytes <= MU_HTTP_HIGH_WATER);
    assert_int_equal(nghttp2_session_mem_recv(p->session, p->p.out.data, p->p.out.len),
                     p->p.out.len);
    h2_talk(p, 65536);
    assert_int_equal(reply_of(p, id)->bytes, 10000000);
    assert_int_equal(p->p.h->server->queued_bytes, 0);
    h2_free(p);
}

/* ---- sockets and time ---------------------------------------------------------------------- */

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

static void test_http_server__connections_above_the_limit__closed_at_once(void **state)
{
    (void)state;
    struct harness *h = harness_new();
    struct mu_http_server_config config = {.connections_max = 2};
    struct raw raws[3];
    harness_server(h, config);
    for (int i = 0; i < 3; i++)
        raw_open(&raws[i], h);
    HARNESS_UNTIL(h, raws[2].ended);
    raw_say(&raws[0], "GET /status?s=200 HTTP/1.1\r\nHost: a\r\n\r\n");
    HARNESS_UNTIL(h, raw_has(&raws[0], "200 OK"));
    assert_false(raws[1].ended);
    for (int i = 0; i < 3; i++)
        raw_close(&raws[i]);
    harness_free(h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_http1__simple_get__answered_and_kept),
        cmocka_unit_test(test_http1__split_at_every_byte__same_answers),
        cmocka_unit_test(test_http1__taken_in_small_pieces__body_whole),
        cmocka_unit_test(test_http1__stream__chunked_with_drains),
        cmocka_unit_test(test_http1__version_1_0__closes_unless_asked),
        cmocka_unit_test(test_http1__bad_requests__400_and_closed),
        cmocka_unit_test(test_http1__refusals__their_status),
        cmocka_unit_test(test_http1__chunked_body_above_the_cap__413),
        cmocka_unit_test(test_http1__header_section_above_the_cap__431),
        cmocka_unit_test(test_http1__expect_continue__told_to_go_on),
        cmocka_unit_test(test_http1__pipelined_behind_a_slow_one__in_order_and_bounded),
        cmocka_unit_test(test_http1__dropped_while_answering__aborted_once),
        cmocka_unit_test(test_http1__reset__connection_dropped),
        cmocka_unit_test(test_http2__every_byte_by_itself__answered),
        cmocka_unit_test(test_http2__refusals__their_status_and_the_connection_lives),
        cmocka_unit_test(test_http2__status_without_a_body__none_sent),
        cmocka_unit_test(test_http2__header_bomb__431),
        cmocka_unit_test(test_http2__expect_continue__interim_then_answer),
        cmocka_unit_test(test_http2__peer_resets__aborted_once),
        cmocka_unit_test(test_http2__streams_above_the_limit__refused),
        cmocka_unit_test(test_http2__nonsense_behind_the_preface__goaway_and_linger),
        cmocka_unit_test(test_http2__slow_reader_of_a_large_answer__bounded),
        cmocka_unit_test(test_http_server__half_closed_client__still_answered),
        cmocka_unit_test(test_http_server__refused_while_the_peer_is_sending__answer_arrives),
        cmocka_unit_test(test_http_server__silent_peers__closed_after_the_idle_time),
        cmocka_unit_test(test_http_server__peer_that_reads_nothing__dropped_and_aborted),
        cmocka_unit_test(test_http_server__connections_above_the_limit__closed_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
