/* The client against servers that misbehave, each frame of them written by hand. */
#include "informer/http_client_priv.h"
#include "tests/http_harness.h"

#include <netdb.h>

/* ---- the puppet: a server on a raw socket --------------------------------------------------- */

#define PUPPET_CONNS_MAX   8u
#define PUPPET_STREAMS_MAX 1024u
#define FRAME_HEAD         9u
#define PREFACE_BYTES      24u

enum frame {
    FRAME_DATA = 0,
    FRAME_HEADERS = 1,
    FRAME_RST = 3,
    FRAME_SETTINGS = 4,
    FRAME_PING = 6,
    FRAME_GOAWAY = 7
};

struct puppet_conn {
    uv_tcp_t tcp;
    struct puppet *puppet;
    struct mu_buf in; /* what has not been taken apart yet */
    bool greeted;     /* the client's preface is gone from `in` */
    bool open;
    uint32_t streams[PUPPET_STREAMS_MAX]; /* ids, in the order of their HEADERS */
    uint32_t stream_count;
    uint32_t pings;
    uint32_t last_rst_code;
    uint32_t rsts;
    uint64_t bytes;
};

struct puppet {
    struct harness *h;
    uv_tcp_t listener;
    struct puppet_conn conns[PUPPET_CONNS_MAX];
    uint32_t conn_count;
    bool mute;      /* say nothing, not even SETTINGS */
    bool ack_pings; /* answer PING */
    const char *greeting;
    uint32_t limit; /* MAX_CONCURRENT_STREAMS; 0: none announced */
};

static void puppet_write(struct puppet_conn *c, const void *data, size_t len)
{
    /* Small writes to a loopback socket that the client reads: always taken at once. */
    uv_buf_t buf = uv_buf_init((char *)(uintptr_t)data, (unsigned)len);
    assert_int_equal(uv_try_write((uv_stream_t *)&c->tcp, &buf, 1), (int)len);
}

static void put32(uint8_t *at, uint32_t value)
{
    for (int i = 0; i < 4; i++)
        at[i] = (uint8_t)(value >> (24 - 8 * i));
}

static uint32_t get32(const uint8_t *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static void puppet_frame(struct puppet_conn *c, enum frame type, uint8_t flags, uint32_t stream,
                         const void *payload, size_t len)
{
    uint8_t frame[FRAME_HEAD + 256];
    assert_true(len <= 256);
    put32(frame, (uint32_t)len << 8);
    frame[3] = (uint8_t)type;
    frame[4] = flags;
    put32(frame + 5, stream);
    if (len > 0)
        memcpy(frame + FRAME_HEAD, payload, len);
    puppet_write(c, frame, FRAME_HEAD + len);
}

static void puppet_two(struct puppet_conn *c, enum frame type, uint32_t stream, uint32_t a,
                       uint32_t b, size_t len)
{
    uint8_t payload[8];
    put32(payload, a);
    put32(payload + 4, b);
    puppet_frame(c, type, 0, stream, payload, len);
}

static void puppet_goaway(struct puppet_conn *c, uint32_t last_stream)
{
    puppet_two(c, FRAME_GOAWAY, 0, last_stream, 0, 8);
}

static void puppet_rst(struct puppet_conn *c, uint32_t stream, uint32_t code)
{
    puppet_two(c, FRAME_RST, stream, code, 0, 4);
}

/* HEADERS with one indexed field: 0x88 is HPACK's `:status: 200`. */
static void puppet_status(struct puppet_conn *c, uint32_t stream, uint8_t indexed, bool end)
{
    puppet_frame(c, FRAME_HEADERS, end ? 5 : 4, stream, &indexed, 1);
}

static void puppet_settings(struct puppet_conn *c)
{
    uint8_t payload[6] = {0, 3};
    size_t len = c->puppet->limit > 0 ? sizeof payload : 0;
    put32(payload + 2, c->puppet->limit);
    puppet_frame(c, FRAME_SETTINGS, 0, 0, payload, len);
}

static void puppet_on_frame(struct puppet_conn *c, uint8_t type, uint8_t flags, uint32_t stream,
                            const uint8_t *payload)
{
    if (type == FRAME_HEADERS) {
        assert_true(c->stream_count < PUPPET_STREAMS_MAX);
        c->streams[c->stream_count++] = stream;
    } else if (type == FRAME_PING && (flags & 1) == 0) {
        c->pings++;
        if (c->puppet->ack_pings)
            puppet_frame(c, FRAME_PING, 1, 0, payload, 8);
    } else if (type == FRAME_RST) {
        c->rsts++;
        c->last_rst_code = get32(payload);
    }
}

static void puppet_parse(struct puppet_conn *c)
{
    if (!c->greeted) {
        if (c->in.len < PREFACE_BYTES)
            return;
        assert_memory_equal(c->in.data, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", PREFACE_BYTES);
        mu_buf_consume(&c->in, PREFACE_BYTES);
        c->greeted = true;
    }
    while (c->in.len >= FRAME_HEAD) {
        size_t len = get32(c->in.data) >> 8;
        if (c->in.len < FRAME_HEAD + len)
            return;
        puppet_on_frame(c, c->in.data[3], c->in.data[4], get32(c->in.data + 5) & 0x7fffffff,
                        c->in.data + FRAME_HEAD);
        mu_buf_consume(&c->in, FRAME_HEAD + len);
    }
}

static void puppet_on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    (void)handle;
    (void)suggested;
    static char room[65536];
    *buf = uv_buf_init(room, sizeof room);
}

static void puppet_drop(struct puppet_conn *c)
{
    if (!c->open)
        return;
    c->open = false;
    uv_close((uv_handle_t *)&c->tcp, NULL);
}

static void puppet_on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
    struct puppet_conn *c = stream->data;
    if (n < 0) {
        puppet_drop(c);
        return;
    }
    c->bytes += (uint64_t)n;
    assert_int_equal(mu_buf_append(&c->in, buf->base, (size_t)n), 0);
    puppet_parse(c);
}

static void puppet_on_connection(uv_stream_t *listener, int status)
{
    struct puppet *p = listener->data;
    assert_int_equal(status, 0);
    assert_true(p->conn_count < PUPPET_CONNS_MAX);
    struct puppet_conn *c = &p->conns[p->conn_count++];
    assert_int_equal(uv_tcp_init(&p->h->loop, &c->tcp), 0);
    c->tcp.data = c;
    c->puppet = p;
    c->open = true;
    assert_int_equal(uv_accept(listener, (uv_stream_t *)&c->tcp), 0);
    assert_int_equal(uv_read_start((uv_stream_t *)&c->tcp, puppet_on_alloc, puppet_on_read), 0);
    if (p->greeting != NULL)
        puppet_write(c, p->greeting, strlen(p->greeting));
    else if (!p->mute)
        puppet_settings(c);
}

/* p's knobs are set by the caller, the rest is zero. */
static struct harness *puppet_start(struct puppet *p, struct mu_http_client_config client)
{
    struct harness *h = harness_new();
    struct sockaddr_in address;
    int len = sizeof address;
    p->h = h;
    assert_int_equal(uv_ip4_addr("127.0.0.1", 0, &address), 0);
    assert_int_equal(uv_tcp_init(&h->loop, &p->listener), 0);
    p->listener.data = p;
    assert_int_equal(uv_tcp_bind(&p->listener, (const struct sockaddr *)&address, 0), 0);
    assert_int_equal(uv_listen((uv_stream_t *)&p->listener, 16, puppet_on_connection), 0);
    assert_int_equal(uv_tcp_getsockname(&p->listener, (struct sockaddr *)&address, &len), 0);
    h->port = ntohs(address.sin_port);
    harness_client(h, client);
    return h;
}

static void puppet_stop(struct puppet *p)
{
    uv_close((uv_handle_t *)&p->listener, NULL);
    for (uint32_t i = 0; i < p->conn_count; i++) {
        puppet_drop(&p->conns[i]);
        mu_buf_fini(&p->conns[i].in);
    }
    harness_free(p->h);
}

static const struct mu_http_client_config client_defaults;

static void assert_lost(const struct harness *h, uint64_t token, int error, bool not_sent)
{
    assert_int_equal(h->records[token].losts, 1);
    assert_int_equal(h->records[token].error, error);
    assert_int_equal(h->records[token].not_sent, not_sent);
}

/* ---- no connection ------------------------------------------------------------------------- */

static void test_http_client__refused__lost_not_sent_each_time(void **state)
{
    (void)state;
    struct puppet p = {0};
    struct harness *h = puppet_start(&p, client_defaults);
    uv_close((uv_handle_t *)&p.listener, NULL); /* the port is free, and nobody listens */
    (void)uv_run(&h->loop, UV_RUN_NOWAIT);
    for (uint32_t i = 1; i <= 300; i++)
        harness_get(h, i, "/x");
    HARNESS_UNTIL(h, h->done == 300);
    for (uint32_t i = 1; i <= 300; i++)
        assert_lost(h, i, UV_ECONNREFUSED, true);
    harness_get(h, 301, "/x"); /* after a pause of the pool, not at once and not never */
    HARNESS_UNTIL(h, h->done == 301);
    assert_lost(h, 301, UV_ECONNREFUSED, true);
    struct mu_http_client_stats stats;
    mu_http_client_stats(h->client, &stats);
    assert_int_equal(stats.connects, 0);
    assert_int_equal(stats.lost, 301);
    harness_free(h);
}

static void test_http_client__silent_server__connect_timeout(void **state)
{
    (void)state;
    struct puppet p = {.mute = true};
    struct mu_http_client_config client = {.connect_timeout_ns = 100 * MU_NS_PER_MS};
    struct harness *h = puppet_start(&p, client);
    harness_get(h, 1, "/x");
    HARNESS_UNTIL(h, h->done == 1);
    assert_lost(h, 1, MU_ETIMEOUT, true);
    assert_int_equal(p.conns[0].stream_count, 0); /* nothing was risked */
    puppet_stop(&p);
}

static void test_http_client__not_http2__lost_not_sent(void **state)
{
    (void)state;
    struct puppet p = {.greeting = "HTTP/1.1 400 Bad Request\r\n\r\n"};
    struct harness *h = puppet_start(&p, client_defaults);
    harness_get(h, 1, "/x");
    HARNESS_UNTIL(h, h->done == 1);
    assert_lost(h, 1, MU_EPROTO, true);
    puppet_stop(&p);
}

static void test_http_client__name_with_several_addresses__connects(void **state)
{
    struct addrinfo *found = NULL;
    (void)state;
    if (getaddrinfo("localhost", NULL, NULL, &found) != 0) {
        print_message("skipped: this machine does not know the name localhost\n");
        skip();
    }
    freeaddrinfo(found);
    struct puppet p = {0};
    /* Resolves to ::1 as well where there is IPv6; nobody listens there. */
    struct mu_http_client_config client = {.host = MU_STR("localhost")};
    struct harness *h = puppet_start(&p, client);
    harness_get(h, 1, "/x");
    HARNESS_UNTIL(h, p.conns[0].stream_count == 1);
    puppet_status(&p.conns[0], 1, 0x88, true);
    HARNESS_UNTIL(h, h->done == 1);
    assert_int_equal(h->records[1].status, 200);
    puppet_stop(&p);
}

static void test_http_client_close__during_name_lookup__closes(void **state)
{
    (void)state;
    struct puppet p = {0};
    struct mu_http_client_config client = {.host = MU_STR("localhost")};
    struct harness *h = puppet_start(&p, client);
    harness_get(h, 1, "/x");
    (void)uv_run(&h->loop, UV_RUN_NOWAIT);
    harness_close_client(h);
    assert_lost(h, 1, MU_ECLOSED, true);
    puppet_stop(&p);
}

/* ---- what a server may do ------------------------------------------------------------------ */

static void test_http_client__goaway__higher_streams_lost_others_finish(void **state)
{
    (void)state;
    struct puppet p = {0};
    struct mu_http_client_config client = {.connections = 1};
    struct harness *h = puppet_start(&p, client);
    for (uint32_t i = 1; i <= 3; i++)
        harness_get(h, i, "/x");
    HARNESS_UNTIL(h, p.conns[0].stream_count == 3);
    puppet_goaway(&p.conns[0], p.conns[0].streams[0]);
    HARNESS_UNTIL(h, h->done == 2);
    assert_lost(h, 2, MU_ECLOSED, true);
    assert_lost(h, 3, MU_ECLOSED, true);
    /* New requests take a new connection while the old one finishes its own. */
    harness_get(h, 4, "/x");
    HARNESS_UNTIL(h, p.conns[1].stream_count == 1);
    assert_int_equal(h->records[1].heads, 0);
    puppet_status(&p.conns[0], p.conns[0].streams[0], 0x88, true);
    puppet_status(&p.conns[1], 1, 0x88, true);
    HARNESS_UNTIL(h, h->done == 4);
    assert_int_equal(h->records[1].ends, 1);
    assert_int_equal(h->records[4].ends, 1);
    HARNESS_UNTIL(h, !p.conns[0].open); /* drained: the client has closed it */
    assert_true(p.conns[1].open);
    struct mu_http_client_stats stats;
    mu_http_client_stats(h->client, &stats);
    assert_int_equal(stats.goaways, 1);
    assert_int_equal(stats.connects, 2);
    puppet_stop(&p);
}

static void test_http_client__reset_streams__refused_is_not_sent(void **state)
{
    (void)state;
    struct puppet p = {0};
    struct harness *h = puppet_start(&p, client_defaults);
    for (uint32_t i = 1; i <= 3; i++)
        harness_get(h, i, "/x");
    struct puppet_conn *c = &p.conns[0];
    HARNESS_UNTIL(h, c->stream_count == 3);
    puppet_rst(c, c->streams[0], NGHTTP2_REFUSED_STREAM);
    puppet_rst(c, c->streams[1], NGHTTP2_INTERNAL_ERROR);
    puppet_rst(c, c->streams[2], NGHTTP2_PROTOCOL_ERROR);
    HARNESS_UNTIL(h, h->done == 3);
    assert_lost(h, 1, MU_ECLOSED, true);
    assert_lost(h, 2, MU_ECLOSED, false);
    assert_lost(h, 3, MU_EPROTO, false);
    puppet_stop(&p);
}

static void test_http_client__server_gone_mid_reply__lost_sent(void **state)
{
    (void)state;
    struct puppet p = {0};
    struct harness *h = puppet_start(&p, client_defaults);
    harness_get(h, 1, "/x");
    struct puppet_conn *c = &p.conns[0];
    HARNESS_UNTIL(h, c->stream_count == 1);
    puppet_status(c, 1, 0x88, false);
    puppet_frame(c, FRAME_DATA, 0, 1, "abc", 3);
    puppet_drop(c);
    HARNESS_UNTIL(h, h->done == 1);
    assert_int_equal(h->records[1].heads, 1);
    assert_int_equal(h->records[1].bytes, 3);
    assert_lost(h, 1, MU_ECLOSED, false);
    puppet_stop(&p);
}

/* Fill the sockets' buffers with requests until the client cannot write: the rest is with nghttp2,
 * or in the wire, and has not been sent. Returns the puppet's only connection. */
static struct puppet_conn *fill_up(struct puppet *p, uint32_t requests)
{
    struct harness *h = p->h;
    static char path[15001];
    memset(path, 'p', sizeof path - 1);
    path[0] = '/';
    harness_get(h, requests + 1, "/first");
    HARNESS_UNTIL(h, p->conns[0].stream_count == 1);
    assert_int_equal(uv_read_stop((uv_stream_t *)&p->conns[0].tcp), 0);
    for (uint32_t i = 1; i <= requests; i++)
        harness_get(h, i, path);
    uint64_t before = 0;
    struct mu_http_client_stats stats = {.bytes_out = 1};
    while (stats.bytes_out != before) { /* as long as anything moves */
        before = stats.bytes_out;
        harness_nap(h, 20);
        mu_http_client_stats(h->client, &stats);
    }
    assert_int_equal(stats.queued, 0);
    return &p->conns[0];
}

static void test_http_client_cancel__behind_a_full_socket__never_sent(void **state)
{
    (void)state;
    struct puppet p = {0};
    struct mu_http_client_config client = {.connections = 1, .streams_each = 1000};
    struct harness *h = puppet_start(&p, client);
    struct puppet_conn *c = fill_up(&p, 900); /* 13 MB */
    for (uint32_t i = 801; i <= 900; i++)
        harness_cancel(h, i);
    assert_int_equal(uv_read_start((uv_stream_t *)&c->tcp, puppet_on_alloc, puppet_on_read), 0);
    HARNESS_UNTIL(h, c->stream_count == 801);
    for (uint32_t i = 0; i < c->stream_count; i++)
        puppet_status(c, c->streams[i], 0x88, true);
    HARNESS_UNTIL(h, h->done == 801);
    harness_get(h, 902, "/after"); /* their streams are not counted any more */
    HARNESS_UNTIL(h, c->stream_count == 802);
    assert_int_equal(c->rsts, 0);
    puppet_stop(&p);
}

static void test_http_client__lost_behind_a_full_socket__not_sent(void **state)
{
    (void)state;
    struct puppet p = {0};
    struct mu_http_client_config client = {.connections = 1, .streams_each = 1000};
    struct harness *h = puppet_start(&p, client);
    struct puppet_conn *c = fill_up(&p, 900);
    puppet_drop(c);
    HARNESS_UNTIL(h, h->done == 901);
    assert_int_equal(h->records[901].losts, 1);
    assert_false(h->records[901].not_sent);
    assert_false(h->records[1].not_sent);  /* may have arrived */
    assert_true(h->records[900].not_sent); /* certainly has not */
    puppet_stop(&p);
}

static void test_http_client__broken_frames__lost_protocol(void **state)
{
    (void)state;
    struct puppet p = {0};
    struct harness *h = puppet_start(&p, client_defaults);
    harness_get(h, 1, "/x");
    struct puppet_conn *c = &p.conns[0];
    HARNESS_UNTIL(h, c->stream_count == 1);
    puppet_status(c, 1, 0xff, true); /* no such HPACK entry */
    HARNESS_UNTIL(h, h->done == 1);
    assert_lost(h, 1, MU_EPROTO, false);
    HARNESS_UNTIL(h, !c->open);
    puppet_stop(&p);
}

static void test_http_client__interim_and_trailers__one_head(void **state)
{
    (void)state;
    struct puppet p = {0};
    struct harness *h = puppet_start(&p, client_defaults);
    harness_get(h, 1, "/x");
    struct puppet_conn *c = &p.conns[0];
    HARNESS_UNTIL(h, c->stream_count == 1);
    /* `:status: 103` as a literal with an indexed name, then the real one, DATA, and trailers. */
    puppet_frame(c, FRAME_HEADERS, 4, 1,
                 "\x08\x03"
                 "103",
                 5);
    puppet_frame(c, 0x2a, 0, 1, "unknown frame type", 18);
    puppet_status(c, 1, 0x88, false);
    puppet_frame(c, FRAME_DATA, 0, 1, "abc", 3);
    puppet_frame(c, FRAME_HEADERS, 5, 1,
                 "\x00\x01"
                 "t"
                 "\x01"
                 "v",
                 5);
    HARNESS_UNTIL(h, h->done == 1);
    assert_int_equal(h->records[1].status, 200);
    assert_int_equal(h->records[1].heads, 1);
    assert_int_equal(h->records[1].ends, 1);
    puppet_stop(&p);
}

static void test_http_client__answer_before_the_body_is_sent__end_and_reset(void **state)
{
    (void)state;
    struct puppet p = {0}; /* takes 64 KiB of the body, no more */
    struct harness *h = puppet_start(&p, client_defaults);
    struct mu_request request = harness_request(1, MU_POST, "/x");
    harness_fill(&request.body, 1 << 20);
    harness_send(h, request);
    struct puppet_conn *c = &p.conns[0];
    HARNESS_UNTIL(h, c->bytes > 65535);
    assert_int_equal(h->done, 0);
    puppet_status(c, 1, 0x88, true);
    HARNESS_UNTIL(h, h->done == 1 && c->rsts == 1);
    assert_int_equal(h->records[1].ends, 1);
    assert_int_equal(c->last_rst_code, NGHTTP2_NO_ERROR);
    puppet_stop(&p);
}

static void test_http_client__server_lowers_the_limit__never_more_open(void **state)
{
    (void)state;
    struct puppet p = {.limit = 2};
    struct mu_http_client_config client = {.connections = 1};
    struct harness *h = puppet_start(&p, client);
    for (uint32_t i = 1; i <= 20; i++)
        harness_get(h, i, "/x");
    struct puppet_conn *c = &p.conns[0];
    for (uint32_t answered = 0; answered < 20; answered++) {
        HARNESS_UNTIL(h, c->stream_count > answered);
        assert_true(c->stream_count <= answered + 2);
        puppet_status(c, c->streams[answered], 0x88, true);
    }
    HARNESS_UNTIL(h, h->done == 20);
    puppet_stop(&p);
}

static void test_http_client__streams_first__a_watch_does_not_wait(void **state)
{
    (void)state;
    struct puppet p = {.limit = 1};
    struct mu_http_client_config client = {.connections = 1};
    struct harness *h = puppet_start(&p, client);
    for (uint32_t i = 1; i <= 5; i++)
        harness_get(h, i, "/x");
    struct puppet_conn *c = &p.conns[0];
    HARNESS_UNTIL(h, c->stream_count == 1);
    struct mu_request watch = harness_request(6, MU_GET, "/watch");
    watch.stream = true;
    harness_send(h, watch);
    puppet_status(c, c->streams[0], 0x88, true);
    HARNESS_UNTIL(h, c->stream_count == 2);
    puppet_status(c, c->streams[1], 0x88, false);
    HARNESS_UNTIL(h, h->records[6].heads == 1);
    assert_int_equal(h->done, 1);
    puppet_stop(&p);
}

static void test_http_client__stream_ids_used_up__next_connection(void **state)
{
    (void)state;
    struct puppet p = {0};
    struct mu_http_client_config client = {.connections = 1};
    struct harness *h = puppet_start(&p, client);
    harness_get(h, 1, "/x");
    HARNESS_UNTIL(h, p.conns[0].stream_count == 1);
    struct mu_client_conn *conn = MU_LINK_OWNER(h->client->conns.next, struct mu_client_conn, link);
    assert_int_equal(nghttp2_session_set_next_stream_id(conn->h2.session, INT32_MAX), 0);
    harness_get(h, 2, "/x");
    harness_get(h, 3, "/x");
    HARNESS_UNTIL(h, p.conns[1].stream_count == 1);
    puppet_status(&p.conns[0], 1, 0x88, true);
    puppet_status(&p.conns[0], INT32_MAX, 0x88, true);
    puppet_status(&p.conns[1], 1, 0x88, true);
    HARNESS_UNTIL(h, h->done == 3);
    for (uint32_t i = 1; i <= 3; i++)
        assert_int_equal(h->records[i].ends, 1);
    puppet_stop(&p);
}

/* ---- keep-alive ---------------------------------------------------------------------------- */

static void test_http_client__ping_unanswered__lost(void **state)
{
    (void)state;
    struct puppet p = {0};
    struct mu_http_client_config client = {.ping_idle_ns = 60 * MU_NS_PER_MS,
                                           .ping_timeout_ns = 60 * MU_NS_PER_MS};
    struct harness *h = puppet_start(&p, client);
    harness_get(h, 1, "/x");
    HARNESS_UNTIL(h, h->done == 1);
    assert_lost(h, 1, MU_ETIMEOUT, false);
    assert_int_equal(p.conns[0].pings, 1);
    puppet_stop(&p);
}

static void test_http_client__ping_answered__waits_on(void **state)
{
    (void)state;
    struct puppet p = {.ack_pings = true};
    struct mu_http_client_config client = {.ping_idle_ns = 30 * MU_NS_PER_MS,
                                           .ping_timeout_ns = 20 * MU_NS_PER_S};
    struct harness *h = puppet_start(&p, client);
    harness_get(h, 1, "/x");
    struct puppet_conn *c = &p.conns[0];
    HARNESS_UNTIL(h, c->pings == 4);
    assert_int_equal(h->done, 0);
    puppet_status(c, 1, 0x88, true);
    HARNESS_UNTIL(h, h->done == 1);
    assert_int_equal(h->records[1].ends, 1);
    puppet_stop(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_http_client__refused__lost_not_sent_each_time),
        cmocka_unit_test(test_http_client__silent_server__connect_timeout),
        cmocka_unit_test(test_http_client__not_http2__lost_not_sent),
        cmocka_unit_test(test_http_client__name_with_several_addresses__connects),
        cmocka_unit_test(test_http_client_close__during_name_lookup__closes),
        cmocka_unit_test(test_http_client__goaway__higher_streams_lost_others_finish),
        cmocka_unit_test(test_http_client__reset_streams__refused_is_not_sent),
        cmocka_unit_test(test_http_client__server_gone_mid_reply__lost_sent),
        cmocka_unit_test(test_http_client_cancel__behind_a_full_socket__never_sent),
        cmocka_unit_test(test_http_client__lost_behind_a_full_socket__not_sent),
        cmocka_unit_test(test_http_client__broken_frames__lost_protocol),
        cmocka_unit_test(test_http_client__interim_and_trailers__one_head),
        cmocka_unit_test(test_http_client__answer_before_the_body_is_sent__end_and_reset),
        cmocka_unit_test(test_http_client__server_lowers_the_limit__never_more_open),
        cmocka_unit_test(test_http_client__streams_first__a_watch_does_not_wait),
        cmocka_unit_test(test_http_client__stream_ids_used_up__next_connection),
        cmocka_unit_test(test_http_client__ping_unanswered__lost),
        cmocka_unit_test(test_http_client__ping_answered__waits_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
