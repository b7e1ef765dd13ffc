/* HTTP/1.1 as the server speaks it, byte by byte and without sockets. */
#include "informer/limits.h"
#include "tests/http_peer.h"

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

static void test_http1__warnings__headers_of_their_own(void **state)
{
    (void)state;
    struct peer p = peer_new(defaults);
    peer_say(&p, "GET /warn?n=2 HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_string_equal(peer_text(&p), "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\n"
                                       "content-length: 2\r\n"
                                       "warning: 299 - \"say \\\"no\\\\\\\"!\"\r\n"
                                       "warning: 299 - \"say \\\"no\\\\\\\"!\"\r\n\r\nok");
    assert_int_equal(p.h->warn_result, 0);
    /* The exchange's storage is used again: no warning is left in it. */
    peer_say(&p, "GET /warn?n=0 HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_string_equal(peer_text(&p), "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\n"
                                       "content-length: 2\r\n\r\nok");
    /* Beyond the bound they are left out; the response goes out all the same. */
    peer_say(&p, "GET /warn?n=65 HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_int_equal(p.h->warn_result, MU_ELIMIT);
    uint32_t count = 0;
    for (const char *at = peer_text(&p); (at = strstr(at, "\r\nwarning: ")) != NULL; at++)
        count++;
    assert_int_equal(count, MU_HTTP_WARNINGS_MAX);
    peer_free(&p);
}

static void respond_long_warning(struct harness *h, struct mu_http_exchange *ex)
{
    static char text[MU_HTTP_WARNINGS_BYTES];
    memset(text, 'w', sizeof text);
    assert_int_equal(mu_http_exchange_warn(ex, MU_STR("kept")), 0);
    mu_mem_debug_set((struct mu_mem_debug){.fail_nth = 1});
    assert_int_equal(mu_http_exchange_warn(ex, (struct mu_str){text, 2000}), MU_ENOMEM);
    mu_mem_debug_set((struct mu_mem_debug){0});
    assert_int_equal(mu_http_exchange_warn(ex, (struct mu_str){text, sizeof text}), MU_ELIMIT);
    assert_int_equal(mu_http_exchange_warn(ex, MU_STR("too")), 0);
    assert_int_equal(mu_http_respond(ex, 200, MU_STR("text/plain"), 0, MU_STR("ok")), 0);
    h->held_count = 0;
}

static void test_http1__warning_that_fails__the_others_stay(void **state)
{
    (void)state;
    struct peer p = peer_new(defaults);
    peer_say(&p, "GET /hold HTTP/1.1\r\nHost: a\r\n\r\n");
    respond_long_warning(p.h, p.h->held[0]);
    peer_pull(&p, 65536);
    assert_non_null(strstr(peer_text(&p), "\r\nwarning: 299 - \"kept\"\r\n"
                                          "warning: 299 - \"too\"\r\n\r\nok"));
    peer_free(&p);
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
        cmocka_unit_test(test_http1__warnings__headers_of_their_own),
        cmocka_unit_test(test_http1__warning_that_fails__the_others_stay),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
