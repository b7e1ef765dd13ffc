/* HTTP/2 as the server speaks it, without sockets: the other end is nghttp2's client side. */
#include "informer/limits.h"
#include "tests/http_peer.h"

static const struct mu_http_server_config defaults;

struct h2_reply {
    int32_t stream;
    int status;
    uint32_t interim; /* 1xx seen */
    uint32_t warnings;
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
    static const char warning[] = "299 - \"say \\\"no\\\\\\\"!\"";
    if (name_len == 7 && memcmp(name, "warning", 7) == 0) {
        assert_int_equal(value_len, sizeof warning - 1);
        assert_memory_equal(value, warning, value_len);
        reply_of(user, frame->hd.stream_id)->warnings++;
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

static void test_http2__warnings__headers_of_their_own(void **state)
{
    (void)state;
    struct h2_peer *p = h2_new(defaults);
    int32_t two = h2_request(p, "GET", "/warn?n=2", NULL, 0, 0);
    h2_talk(p, 65536);
    int32_t none = h2_request(p, "GET", "/warn?n=0", NULL, 0, 0);
    int32_t most = h2_request(p, "GET", "/warn?n=100", NULL, 0, 0);
    h2_talk(p, 65536);
    assert_int_equal(reply_of(p, two)->warnings, 2);
    assert_int_equal(reply_of(p, none)->warnings, 0);
    assert_int_equal(reply_of(p, most)->warnings, MU_HTTP_WARNINGS_MAX);
    assert_int_equal(reply_of(p, most)->status, 200);
    assert_int_equal(reply_of(p, most)->bytes, 2);
    h2_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_http2__every_byte_by_itself__answered),
        cmocka_unit_test(test_http2__refusals__their_status_and_the_connection_lives),
        cmocka_unit_test(test_http2__status_without_a_body__none_sent),
        cmocka_unit_test(test_http2__header_bomb__431),
        cmocka_unit_test(test_http2__expect_continue__interim_then_answer),
        cmocka_unit_test(test_http2__peer_resets__aborted_once),
        cmocka_unit_test(test_http2__streams_above_the_limit__refused),
        cmocka_unit_test(test_http2__nonsense_behind_the_preface__goaway_and_linger),
        cmocka_unit_test(test_http2__slow_reader_of_a_large_answer__bounded),
        cmocka_unit_test(test_http2__warnings__headers_of_their_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
