/* HTTP over TLS, over loopback: both protocols, credentials that change, peers that stall or
 * lie. */
#include <poll.h>
#include <sys/socket.h>

#include "informer/limits.h"
#include "tests/http_harness.h"
#include "tests/tls_kit.h"

static struct tls_kit *kit;

static int setup(void **state)
{
    (void)state;
    kit = kit_new();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    kit_free(kit);
    return 0;
}

/* A server that asks for client certificates, and a client that has one. */
static struct harness *tls_pair(struct mu_http_server_config server,
                                struct mu_http_client_config client)
{
    struct harness *h = harness_new();
    server.tls = kit_server(&kit->server, kit->ca);
    client.tls = kit_client(kit->ca, &kit->client, "");
    harness_server(h, server);
    harness_client(h, client);
    mu_tls_unref(server.tls);
    mu_tls_unref(client.tls);
    return h;
}

static struct harness *tls_server(struct mu_http_server_config server)
{
    struct harness *h = harness_new();
    server.tls = kit_server(&kit->server, kit->ca);
    harness_server(h, server);
    mu_tls_unref(server.tls);
    return h;
}

static void tls_client(struct harness *h, struct mu_tls *tls, const char *host)
{
    harness_client(h, (struct mu_http_client_config){.host = mu_str_of(host), .tls = tls});
    mu_tls_unref(tls);
}

static uint32_t connections_of(const struct harness *h)
{
    struct mu_http_client_stats stats;
    mu_http_client_stats(h->client, &stats);
    return stats.connections;
}

/* ---- requests ------------------------------------------------------------------------------- */

static void test_tls_http__requests__answered_over_http2(void **state)
{
    (void)state;
    struct harness *h = tls_pair((struct mu_http_server_config){0},
                                 (struct mu_http_client_config){.host = MU_STR("localhost")});
    for (uint64_t token = 1; token <= 1000; token++)
        harness_get(h, token, "/status?s=200");
    HARNESS_UNTIL(h, h->done == 1000);
    for (uint64_t token = 1; token <= 1000; token++)
        assert_int_equal(h->records[token].status, 200);
    assert_true(h->last_http2 && h->last_tls);
    assert_string_equal(h->last_peer, "alice,system:masters,team");
    assert_string_equal(mu_http_client_problem(h->client), "");
    harness_free(h);
}

static void test_tls_http__big_bodies__whole_both_ways(void **state)
{
    (void)state;
    const uint64_t bytes = 40u << 20;
    struct harness *h = tls_pair((struct mu_http_server_config){.body_max = 64u << 20},
                                 (struct mu_http_client_config){0});
    struct mu_request post = harness_request(1, MU_POST, "/echo");
    post.content = MU_MEDIA_JSON;
    harness_fill(&post.body, bytes);
    harness_send(h, post);
    harness_get(h, 2, "/big?n=50000000");
    harness_get(h, 3, "/stream?n=30000000");
    HARNESS_UNTIL(h, h->done == 3);
    static const uint64_t sizes[] = {40u << 20, 50000000, 30000000};
    for (uint64_t token = 1; token <= 3; token++) {
        assert_int_equal(h->records[token].ends, 1);
        assert_int_equal(h->records[token].bytes, sizes[token - 1]);
        assert_true(h->records[token].pattern_ok);
    }
    assert_true(h->again > 0); /* the stream felt the peer's pace */
    harness_free(h);
}

/* Hundreds of frames still leave in one system call: the server reads them in a few records. */
static void test_tls_http__many_requests__travel_together(void **state)
{
    (void)state;
    struct harness *h =
        tls_pair((struct mu_http_server_config){.streams_max = 1000},
                 (struct mu_http_client_config){.connections = 1, .streams_each = 1000});
    harness_get(h, 1, "/status?s=200");
    HARNESS_UNTIL(h, h->done == 1);
    struct mu_http_client_stats before, after;
    mu_http_client_stats(h->client, &before);
    for (uint64_t token = 2; token <= 501; token++)
        harness_get(h, token, "/status?s=200");
    HARNESS_UNTIL(h, h->done == 501);
    mu_http_client_stats(h->client, &after);
    /* 22 bytes a record: a record of its own for each request would be 11,000 bytes more. A
     * request is about 20 bytes once its fields are in the table. */
    assert_true(after.bytes_out - before.bytes_out < 500 * 35);
    harness_free(h);
}

static void test_tls_http__authorization__travels_and_changes(void **state)
{
    (void)state;
    struct harness *h =
        tls_pair((struct mu_http_server_config){0}, (struct mu_http_client_config){0});
    assert_int_equal(mu_http_client_set_authorization(h->client, MU_STR("Bearer first")), 0);
    harness_get(h, 1, "/status?s=200");
    HARNESS_UNTIL(h, h->done == 1);
    assert_string_equal(h->last_authorization, "Bearer first");
    /* Never indexed: the second request carries it whole again, which the table would spare. */
    assert_int_equal(mu_http_client_set_authorization(h->client, MU_STR("Bearer second")), 0);
    harness_get(h, 2, "/status?s=200");
    HARNESS_UNTIL(h, h->done == 2);
    assert_string_equal(h->last_authorization, "Bearer second");
    assert_int_equal(mu_http_client_set_authorization(h->client, MU_STR("")), 0);
    harness_get(h, 3, "/status?s=200");
    HARNESS_UNTIL(h, h->done == 3);
    assert_string_equal(h->last_authorization, "");
    harness_free(h);
}

static void test_tls_http__authorization_that_cannot_be__refused(void **state)
{
    (void)state;
    struct harness *h =
        tls_pair((struct mu_http_server_config){0}, (struct mu_http_client_config){0});
    static char longer[MU_HTTP_AUTHORIZATION_MAX + 1];
    memset(longer, 'x', sizeof longer);
    static const char *const bad[] = {"Bearer a\nb", "Bearer a\r", "Bearer\x7f",
                                      " x",          "x ",         "\xc3"};
    assert_int_equal(mu_http_client_set_authorization(h->client, MU_STR("Bearer kept")), 0);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(mu_http_client_set_authorization(h->client, mu_str_of(bad[i])), MU_EINVAL);
    assert_int_equal(
        mu_http_client_set_authorization(h->client, (struct mu_str){longer, sizeof longer}),
        MU_ELIMIT);
    mu_mem_debug_set((struct mu_mem_debug){.fail_nth = 1});
    assert_int_equal(mu_http_client_set_authorization(h->client, MU_STR("Bearer new")), MU_ENOMEM);
    mu_mem_debug_set((struct mu_mem_debug){0});
    harness_get(h, 1, "/status?s=200");
    HARNESS_UNTIL(h, h->done == 1);
    assert_string_equal(h->last_authorization, "Bearer kept");
    assert_int_equal(mu_http_client_set_authorization(
                         h->client, (struct mu_str){longer, MU_HTTP_AUTHORIZATION_MAX}),
                     0);
    harness_get(h, 2, "/status?s=200");
    HARNESS_UNTIL(h, h->done == 2);
    assert_int_equal(h->records[2].status, 200);
    harness_free(h);
}

/* ---- who is who ----------------------------------------------------------------------------- */

/* One request by this client is LOST before it was sent; the client says why. */
static void assert_refused(struct harness *h, struct mu_tls *tls, const char *host, int error,
                           const char *words)
{
    tls_client(h, tls, host);
    uint32_t done = h->done;
    harness_get(h, done + 1, "/status?s=200");
    HARNESS_UNTIL(h, h->done == done + 1);
    assert_int_equal(h->records[done + 1].losts, 1);
    assert_int_equal(h->records[done + 1].error, error);
    assert_true(h->records[done + 1].not_sent);
    if (strstr(mu_http_client_problem(h->client), words) == NULL)
        fail_msg("expected '%s' in '%s'", words, mu_http_client_problem(h->client));
    assert_int_equal(h->requests, 0);
    harness_close_client(h);
}

static void test_tls_http__wrong_credentials__lost_with_the_reason(void **state)
{
    (void)state;
    struct harness *h = tls_server((struct mu_http_server_config){0});
    assert_refused(h, kit_client(kit->stranger, NULL, ""), "localhost", MU_ETLS,
                   "unable to get local issuer certificate");
    assert_refused(h, kit_client(kit->ca, NULL, "elsewhere.example"), "localhost", MU_ETLS,
                   "hostname mismatch");
    assert_refused(h, kit_client(kit->ca, NULL, "10.1.2.3"), "127.0.0.1", MU_ETLS,
                   "IP address mismatch");
    assert_refused(h, kit_client(kit->ca, &kit->no_name, ""), "localhost", MU_ETLS,
                   "the server does not accept our certificate: unknown CA");
    /* Without a certificate one is nobody, and nobody else. */
    tls_client(h, kit_client(kit->ca, NULL, ""), "127.0.0.1");
    uint32_t done = h->done;
    harness_get(h, done + 1, "/status?s=200");
    HARNESS_UNTIL(h, h->done == done + 1);
    assert_int_equal(h->records[done + 1].status, 200);
    assert_string_equal(h->last_peer, "");
    assert_true(h->last_tls);
    harness_free(h);
}

static void test_tls_http__cleartext_server__said_so(void **state)
{
    (void)state;
    struct harness *h = harness_new();
    harness_server(h, (struct mu_http_server_config){0});
    tls_client(h, kit_client(kit->ca, NULL, ""), "127.0.0.1");
    harness_get(h, 1, "/status?s=200");
    HARNESS_UNTIL(h, h->done == 1);
    assert_int_equal(h->records[1].losts, 1);
    assert_int_equal(h->records[1].error, MU_ETLS);
    assert_string_equal(mu_http_client_problem(h->client), "the server does not speak TLS");
    harness_free(h);
}

static void test_tls_http__cleartext_client__said_so(void **state)
{
    (void)state;
    struct harness *h = tls_server((struct mu_http_server_config){0});
    harness_client(h, (struct mu_http_client_config){0});
    harness_get(h, 1, "/status?s=200");
    HARNESS_UNTIL(h, h->done == 1);
    assert_int_equal(h->records[1].losts, 1);
    assert_true(h->records[1].not_sent);
    assert_true(mu_http_client_problem(h->client)[0] != '\0');
    assert_int_equal(h->requests, 0);
    harness_free(h);
}

static void test_tls_http__nobody_there__said_so(void **state)
{
    (void)state;
    struct harness *h = tls_server((struct mu_http_server_config){0});
    harness_close_server(h); /* its port is free now */
    tls_client(h, kit_client(kit->ca, NULL, ""), "127.0.0.1");
    harness_get(h, 1, "/status?s=200");
    HARNESS_UNTIL(h, h->done == 1);
    assert_int_equal(h->records[1].error, UV_ECONNREFUSED);
    assert_string_equal(mu_http_client_problem(h->client), "connection refused");
    harness_free(h);
}

/* ---- reload ---------------------------------------------------------------------------------- */

static void test_tls_http__server_reloads__streams_go_on(void **state)
{
    (void)state;
    struct harness *h = tls_pair((struct mu_http_server_config){0},
                                 (struct mu_http_client_config){.connections = 1});
    harness_get(h, 1, "/open");
    HARNESS_UNTIL(h, h->records[1].datas == 1);
    struct mu_tls *expired = kit_server(&kit->expired, kit->ca);
    mu_http_server_set_tls(h->server, expired);
    mu_tls_unref(expired);
    /* The old connection serves requests as before. */
    harness_get(h, 2, "/status?s=200");
    HARNESS_UNTIL(h, h->done == 1);
    assert_int_equal(h->records[2].status, 200);
    /* A new one sees the new certificate. */
    struct mu_http_client *old = h->client;
    tls_client(h, kit_client(kit->ca, NULL, ""), "localhost");
    harness_get(h, 3, "/status?s=200");
    HARNESS_UNTIL(h, h->done == 2);
    assert_int_equal(h->records[3].losts, 1);
    assert_string_equal(mu_http_client_problem(h->client),
                        "certificate verify failed: certificate has expired");
    harness_close_client(h);
    h->client = old;
    assert_int_equal(h->records[1].losts + h->records[1].ends, 0);
    assert_int_equal(mu_http_respond_end(h->held[0]), 0);
    HARNESS_UNTIL(h, h->records[1].ends == 1);
    harness_free(h);
}

static void test_tls_http__client_reloads__old_connections_drain(void **state)
{
    (void)state;
    struct harness *h = tls_pair((struct mu_http_server_config){0},
                                 (struct mu_http_client_config){.connections = 2});
    harness_get(h, 1, "/open");
    HARNESS_UNTIL(h, h->records[1].datas == 1);
    assert_string_equal(h->last_peer, "alice,system:masters,team");
    struct mu_tls *nobody = kit_client(kit->ca, NULL, "");
    mu_http_client_set_tls(h->client, nobody);
    mu_http_client_set_tls(h->client, nobody); /* the same: nothing happens */
    mu_tls_unref(nobody);
    assert_int_equal(connections_of(h), 0); /* none takes requests */
    harness_get(h, 2, "/status?s=200");
    HARNESS_UNTIL(h, h->done == 1);
    assert_int_equal(h->records[2].status, 200);
    assert_string_equal(h->last_peer, ""); /* over a new connection */
    struct mu_http_client_stats stats;
    mu_http_client_stats(h->client, &stats);
    assert_int_equal(stats.connects, 2);
    /* The stream goes on, and its connection ends with it. */
    assert_int_equal(mu_http_respond_write(h->held[0], MU_STR("more")), 0);
    HARNESS_UNTIL(h, h->records[1].datas == 2);
    assert_int_equal(mu_http_respond_end(h->held[0]), 0);
    HARNESS_UNTIL(h, h->records[1].ends == 1);
    assert_int_equal(h->records[1].losts, 0);
    harness_free(h);
}

/* Wrong credentials are corrected while requests come: the next one goes through at once. */
static void test_tls_http__client_reloads_after_failure__works(void **state)
{
    (void)state;
    struct harness *h = tls_server((struct mu_http_server_config){0});
    tls_client(h, kit_client(kit->stranger, NULL, ""), "localhost");
    for (uint64_t token = 1; token <= 3; token++) {
        harness_get(h, token, "/status?s=200");
        HARNESS_UNTIL(h, h->done == token);
        assert_int_equal(h->records[token].losts, 1);
    }
    struct mu_tls *good = kit_client(kit->ca, &kit->client, "");
    mu_http_client_set_tls(h->client, good);
    mu_tls_unref(good);
    harness_get(h, 4, "/status?s=200");
    HARNESS_UNTIL(h, h->done == 4);
    assert_int_equal(h->records[4].status, 200);
    assert_string_equal(mu_http_client_problem(h->client), "");
    harness_free(h);
}

/* While a connection is coming up: what waits for it waits for the next one. */
static void test_tls_http__client_reloads_while_connecting__nothing_is_lost(void **state)
{
    (void)state;
    struct harness *h = tls_server((struct mu_http_server_config){0});
    tls_client(h, kit_client(kit->stranger, NULL, ""), "localhost");
    harness_get(h, 1, "/status?s=200");
    (void)uv_run(&h->loop, UV_RUN_NOWAIT); /* the first connection is under way */
    struct mu_tls *good = kit_client(kit->ca, &kit->client, "");
    mu_http_client_set_tls(h->client, good);
    mu_tls_unref(good);
    HARNESS_UNTIL(h, h->done == 1);
    assert_int_equal(h->records[1].losts, 0);
    assert_int_equal(h->records[1].status, 200);
    harness_free(h);
}

/* ---- peers by hand --------------------------------------------------------------------------- */

static int dial(const struct harness *h)
{
    struct sockaddr_in address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(uv_ip4_addr("127.0.0.1", h->port, &address), 0);
    assert_int_equal(connect(fd, (const struct sockaddr *)&address, sizeof address), 0);
    return fd;
}

/* Read until the server closes; the harness's loop runs meanwhile. Returns the bytes. */
static size_t hear(struct harness *h, int fd, char *room, size_t cap)
{
    size_t len = 0;
    for (;;) {
        struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
        assert_false(h->barked);
        (void)uv_run(&h->loop, UV_RUN_NOWAIT);
        if (poll(&poll_fd, 1, 1) == 0)
            continue;
        ssize_t n = recv(fd, room + len, cap - 1 - len, 0);
        if (n <= 0)
            break;
        len += (size_t)n;
    }
    room[len] = '\0';
    return len;
}

static void test_tls_http__cleartext_http1__is_told(void **state)
{
    (void)state;
    static const char request[] = "GET /api HTTP/1.1\r\nhost: x\r\n\r\n";
    struct harness *h = tls_server((struct mu_http_server_config){0});
    char room[1000];
    int fd = dial(h);
    assert_int_equal(send(fd, request, sizeof request - 1, 0), sizeof request - 1);
    (void)hear(h, fd, room, sizeof room);
    assert_true(strncmp(room, "HTTP/1.0 400 Bad Request\r\n", 26) == 0);
    assert_non_null(strstr(room, "\r\n\r\nThe client sent an HTTP request to an HTTPS server.\n"));
    assert_int_equal(h->requests, 0);
    (void)close(fd);
    harness_free(h);
}

static void test_tls_http__garbage__closed(void **state)
{
    (void)state;
    struct mu_test_run run = mu_test_run_begin(21);
    struct harness *h = tls_server((struct mu_http_server_config){0});
    for (; run.step < 50; run.step++) {
        char room[1000];
        uint8_t data[300];
        size_t len = 16 + mu_random_below(&run.random, sizeof data - 16);
        for (size_t i = 0; i < len; i++)
            data[i] = (uint8_t)mu_random_below(&run.random, 256);
        data[0] = (uint8_t)(data[0] | 0x80); /* not a handshake record: no need to wait for more */
        int fd = dial(h);
        assert_true(send(fd, data, len, 0) > 0);
        MU_TEST_CHECK(&run, hear(h, fd, room, sizeof room) < 64); /* an alert at most */
        (void)close(fd);
    }
    assert_int_equal(h->requests, 0);
    harness_free(h);
}

/* Slots are few here: who stalls in the handshake loses his, whatever he dribbles. */
static void test_tls_http__stalled_handshakes__free_their_slots(void **state)
{
    (void)state;
    struct harness *h = tls_server((struct mu_http_server_config){
        .connections_max = 4, .handshake_timeout_ns = 200 * MU_NS_PER_MS});
    /* The beginning of a record that would be a ClientHello of 512 bytes. */
    static const uint8_t hello[] = {22, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3};
    int fds[4];
    char room[100];
    for (int i = 0; i < 4; i++)
        fds[i] = dial(h);
    for (size_t at = 0; at < sizeof hello; at++) { /* 1 byte at a time, for 110 ms */
        for (int i = 1; i < 4; i++)
            assert_int_equal(send(fds[i], hello + at, 1, MSG_NOSIGNAL), 1);
        harness_nap(h, 10);
    }
    for (int i = 0; i < 4; i++) {
        (void)hear(h, fds[i], room, sizeof room);
        (void)close(fds[i]);
    }
    tls_client(h, kit_client(kit->ca, &kit->client, ""), "127.0.0.1");
    harness_get(h, 1, "/status?s=200");
    HARNESS_UNTIL(h, h->done == 1);
    assert_int_equal(h->records[1].status, 200);
    harness_free(h);
}

/* A server that accepts and is silent: the connect timeout covers the handshake. */
static void test_tls_http__silent_server__times_out(void **state)
{
    (void)state;
    struct harness *h = harness_new();
    struct sockaddr_in address;
    socklen_t len = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(uv_ip4_addr("127.0.0.1", 0, &address), 0);
    assert_int_equal(bind(fd, (const struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(fd, 8), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &len), 0);
    h->port = ntohs(address.sin_port);
    struct mu_tls *tls = kit_client(kit->ca, NULL, "");
    harness_client(
        h, (struct mu_http_client_config){.tls = tls, .connect_timeout_ns = 100 * MU_NS_PER_MS});
    mu_tls_unref(tls);
    harness_get(h, 1, "/status?s=200");
    HARNESS_UNTIL(h, h->done == 1);
    assert_int_equal(h->records[1].error, MU_ETIMEOUT);
    assert_true(h->records[1].not_sent);
    assert_string_equal(mu_http_client_problem(h->client), "the TLS handshake takes too long");
    (void)close(fd);
    harness_free(h);
}

/* ---- OpenSSL's own client -------------------------------------------------------------------- */

struct raw_conn {
    struct raw_tls tls;
    int fd;
};

/* Carry bytes between OpenSSL and the socket while the harness's loop runs. False: the socket has
 * come to its end. */
static bool raw_pump(struct harness *h, struct raw_conn *c, size_t step)
{
    char room[16384];
    int n;
    while ((n = BIO_read(c->tls.out, room, sizeof room)) > 0) {
        for (int at = 0; at < n;) {
            size_t left = (size_t)(n - at);
            ssize_t sent = send(c->fd, room + at, left < step ? left : step, MSG_NOSIGNAL);
            if (sent <= 0)
                return false;
            at += (int)sent;
            (void)uv_run(&h->loop, UV_RUN_NOWAIT);
        }
    }
    assert_false(h->barked);
    (void)uv_run(&h->loop, UV_RUN_NOWAIT);
    struct pollfd poll_fd = {.fd = c->fd, .events = POLLIN};
    if (poll(&poll_fd, 1, 1) == 0)
        return true;
    ssize_t got = recv(c->fd, room, sizeof room, 0);
    if (got <= 0)
        return false;
    assert_int_equal(BIO_write(c->tls.in, room, (int)got), (int)got);
    return true;
}

static struct raw_conn raw_dial(struct harness *h, int version, const char *alpn, size_t step)
{
    struct raw_conn c = {.tls = raw_new(false, version, version, alpn, NULL), .fd = dial(h)};
    while (SSL_do_handshake(c.tls.ssl) != 1) {
        assert_int_equal(SSL_get_error(c.tls.ssl, -1), SSL_ERROR_WANT_READ);
        assert_true(raw_pump(h, &c, step));
    }
    return c;
}

static void raw_hang_up(struct raw_conn *c)
{
    raw_free(&c->tls);
    (void)close(c->fd);
}

/* Read an answer up to its end mark. */
static void raw_expect(struct harness *h, struct raw_conn *c, size_t step, const char *end)
{
    char room[4096];
    size_t len = 0;
    for (;;) {
        int n = SSL_read(c->tls.ssl, room + len, (int)(sizeof room - 1 - len));
        if (n > 0) {
            len += (size_t)n;
            room[len] = '\0';
            if (strstr(room, end) != NULL)
                return;
            continue;
        }
        assert_int_equal(SSL_get_error(c->tls.ssl, n), SSL_ERROR_WANT_READ);
        assert_true(raw_pump(h, c, step));
    }
}

static void test_tls_http__http1__with_and_without_alpn(void **state)
{
    (void)state;
    static const char request[] = "GET /busy HTTP/1.1\r\nhost: x\r\n\r\n";
    static const char *const alpn[] = {NULL, "\x08http/1.1"};
    static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
    struct harness *h = tls_server((struct mu_http_server_config){0});
    for (size_t i = 0; i < 8; i++) {
        size_t step = i / 4 == 0 ? SIZE_MAX : 1;
        struct raw_conn c = raw_dial(h, versions[i / 2 % 2], alpn[i % 2], step);
        for (int k = 0; k < 2; k++) { /* the connection is kept */
            assert_int_equal(SSL_write(c.tls.ssl, request, sizeof request - 1), sizeof request - 1);
            raw_expect(h, &c, step, "\r\n\r\nbusy");
        }
        assert_false(h->last_http2);
        assert_true(h->last_tls);
        raw_hang_up(&c);
    }
    assert_int_equal(h->requests, 16);
    harness_free(h);
}

/* h2 was chosen: HTTP/1.1 on it is a lie. Without a choice HTTP/2's preface is one. */
static void test_tls_http__other_protocol_than_chosen__refused(void **state)
{
    (void)state;
    static const struct {
        const char *alpn, *text;
    } cases[] = {{"\x02h2", "GET /busy HTTP/1.1\r\nhost: x\r\n\r\n"},
                 {NULL, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"}};
    struct harness *h = tls_server((struct mu_http_server_config){0});
    for (size_t i = 0; i < 2; i++) {
        char room[4096];
        struct raw_conn c = raw_dial(h, TLS1_3_VERSION, cases[i].alpn, SIZE_MAX);
        int len = (int)strlen(cases[i].text);
        assert_int_equal(SSL_write(c.tls.ssl, cases[i].text, len), len);
        while (raw_pump(h, &c, SIZE_MAX))
            while (SSL_read(c.tls.ssl, room, sizeof room) > 0) {
            }
        raw_hang_up(&c);
    }
    assert_int_equal(h->requests, 0);
    harness_free(h);
}

/* close_notify, or FIN without it, behind a request that is still being answered. */
static void test_tls_http__half_closed__is_answered(void **state)
{
    (void)state;
    static const char request[] = "GET /hold HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    struct harness *h = tls_server((struct mu_http_server_config){0});
    struct raw_conn c = raw_dial(h, TLS1_3_VERSION, NULL, SIZE_MAX);
    assert_int_equal(SSL_write(c.tls.ssl, request, sizeof request - 1), sizeof request - 1);
    while (h->held_count == 0)
        assert_true(raw_pump(h, &c, SIZE_MAX));
    assert_int_equal(mu_http_respond(h->held[0], 200, MU_STR("text/plain"), 0, MU_STR("late")), 0);
    assert_int_equal(SSL_shutdown(c.tls.ssl), 0);
    raw_expect(h, &c, SIZE_MAX, "\r\n\r\nlate");
    /* The server ends properly as well. */
    char room[10];
    int n;
    while ((n = SSL_read(c.tls.ssl, room, sizeof room)) <= 0 &&
           SSL_get_error(c.tls.ssl, n) == SSL_ERROR_WANT_READ)
        assert_true(raw_pump(h, &c, SIZE_MAX));
    assert_int_equal(SSL_get_error(c.tls.ssl, n), SSL_ERROR_ZERO_RETURN);
    assert_int_equal(h->aborts, 0);
    raw_hang_up(&c);
    harness_free(h);
}

/* A peer that goes without a word aborts what was being answered, and leaves nothing behind. */
static void test_tls_http__gone_without_a_word__aborted(void **state)
{
    (void)state;
    static const char request[] = "GET /hold HTTP/1.1\r\nhost: x\r\n\r\n";
    struct harness *h = tls_server((struct mu_http_server_config){0});
    struct raw_conn c = raw_dial(h, TLS1_2_VERSION, NULL, SIZE_MAX);
    assert_int_equal(SSL_write(c.tls.ssl, request, sizeof request - 1), sizeof request - 1);
    while (h->held_count == 0)
        assert_true(raw_pump(h, &c, SIZE_MAX));
    raw_hang_up(&c);
    HARNESS_UNTIL(h, h->aborts == 1);
    harness_free(h);
}

/* ---- curl ------------------------------------------------------------------------------------ */

/* Run it while the harness's loop serves. Returns its exit status. */
static int run_curl(struct harness *h, const char *command)
{
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        (void)execl("/bin/sh", "sh", "-c", command, (char *)NULL);
        _exit(127);
    }
    int status = 0;
    while (waitpid(child, &status, WNOHANG) == 0) {
        assert_false(h->barked);
        (void)uv_run(&h->loop, UV_RUN_NOWAIT);
        (void)poll(NULL, 0, 1);
    }
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void write_file(const char *folder, const char *name, struct mu_str text)
{
    char path[200];
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    assert_int_equal(fwrite(text.data, 1, text.len, file), text.len);
    assert_int_equal(fclose(file), 0);
}

static void test_tls_http__curl__both_protocols(void **state)
{
    (void)state;
    char folder[] = "/tmp/muster-tls-XXXXXX";
    char command[1000];
    if (access("/usr/bin/curl", X_OK) != 0) {
        skip();
        return;
    }
    assert_non_null(mkdtemp(folder));
    write_file(folder, "ca", mu_pki_ca(kit->ca));
    write_file(folder, "cert", kit_str(&kit->client.cert));
    write_file(folder, "key", kit_str(&kit->client.key));
    struct harness *h = tls_server((struct mu_http_server_config){0});
    static const char *const ways[] = {"--http1.1", "--http2", "--tls-max 1.2", "--no-alpn"};
    for (uint32_t i = 0; i < sizeof ways / sizeof ways[0]; i++) {
        (void)snprintf(command, sizeof command,
                       "curl -s %s --cacert %s/ca --cert %s/cert --key %s/key -o %s/out "
                       "'https://localhost:%u/big?n=3000000' && test $(wc -c <%s/out) = 3000000",
                       ways[i], folder, folder, folder, folder, h->port, folder);
        assert_int_equal(run_curl(h, command), 0);
        assert_int_equal(h->requests, i + 1);
        assert_string_equal(h->last_peer, "alice,system:masters,team");
        assert_true(h->last_http2 == (i == 1 || i == 2));
    }
    (void)snprintf(command, sizeof command, "curl -s https://127.0.0.1:%u/", h->port);
    assert_int_equal(run_curl(h, command), 60); /* certificate not to be trusted */
    static const char *const files[] = {"ca", "cert", "key", "out"};
    for (uint32_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        (void)snprintf(command, sizeof command, "%s/%s", folder, files[i]);
        assert_int_equal(unlink(command), 0);
    }
    assert_int_equal(rmdir(folder), 0);
    harness_free(h);
}

/* ---- memory ---------------------------------------------------------------------------------- */

/* Whichever allocation fails: every request has its answer or is LOST, and nothing is left. */
static void test_tls_http__out_of_memory__every_request_ends(void **state)
{
    (void)state;
    uint32_t lost = 0;
    for (uint64_t nth = 1; nth < 400; nth += nth < 60 ? 1 : 7) {
        struct harness *h = tls_pair((struct mu_http_server_config){0},
                                     (struct mu_http_client_config){
                                         .connections = 1, .connect_timeout_ns = 2 * MU_NS_PER_S});
        struct mu_request post = harness_request(1, MU_POST, "/echo");
        harness_fill(&post.body, 50000);
        harness_send(h, post);
        harness_get(h, 2, "/status?s=200");
        mu_mem_debug_set((struct mu_mem_debug){.fail_nth = nth});
        HARNESS_UNTIL(h, h->done == 2);
        mu_mem_debug_set((struct mu_mem_debug){0});
        lost += h->records[1].losts + h->records[2].losts;
        harness_free(h);
    }
    assert_true(lost > 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tls_http__requests__answered_over_http2),
        cmocka_unit_test(test_tls_http__big_bodies__whole_both_ways),
        cmocka_unit_test(test_tls_http__many_requests__travel_together),
        cmocka_unit_test(test_tls_http__authorization__travels_and_changes),
        cmocka_unit_test(test_tls_http__authorization_that_cannot_be__refused),
        cmocka_unit_test(test_tls_http__wrong_credentials__lost_with_the_reason),
        cmocka_unit_test(test_tls_http__cleartext_server__said_so),
        cmocka_unit_test(test_tls_http__cleartext_client__said_so),
        cmocka_unit_test(test_tls_http__nobody_there__said_so),
        cmocka_unit_test(test_tls_http__server_reloads__streams_go_on),
        cmocka_unit_test(test_tls_http__client_reloads__old_connections_drain),
        cmocka_unit_test(test_tls_http__client_reloads_after_failure__works),
        cmocka_unit_test(test_tls_http__client_reloads_while_connecting__nothing_is_lost),
        cmocka_unit_test(test_tls_http__cleartext_http1__is_told),
        cmocka_unit_test(test_tls_http__garbage__closed),
        cmocka_unit_test(test_tls_http__stalled_handshakes__free_their_slots),
        cmocka_unit_test(test_tls_http__silent_server__times_out),
        cmocka_unit_test(test_tls_http__http1__with_and_without_alpn),
        cmocka_unit_test(test_tls_http__other_protocol_than_chosen__refused),
        cmocka_unit_test(test_tls_http__half_closed__is_answered),
        cmocka_unit_test(test_tls_http__gone_without_a_word__aborted),
        cmocka_unit_test(test_tls_http__curl__both_protocols),
        cmocka_unit_test(test_tls_http__out_of_memory__every_request_ends),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
