/*
 * Peers that are slow, stalled or lie, in cleartext and over TLS. Each scenario sends some of them
 * at a server while a well-behaved client goes on: that one is served within a few turns of the
 * loop throughout, what the server holds stays bounded, and the foes come to the end that the
 * scenario says.
 */
#include "tests/http_foe.h"

#include <signal.h>

#define IDLE_NS   (250 * MU_NS_PER_MS)
#define BODY_MAX  (1u << 20)
#define FOES_EACH 4u
#define BATCHES   20u
#define HELD_MAX  (48u << 20) /* by the server, the client and the foes' own buffers */

enum fate {
    FATE_DROPPED,  /* the server ends the connection, without an answer */
    FATE_REFUSED,  /* an answer that says so, then the end */
    FATE_ANSWERED, /* what it asked for, then the end */
    FATE_STAYS     /* it is served, or waits, and disturbs nobody */
};

struct scenario {
    const char *name;
    const char *text;      /* said first; NULL: nothing */
    foe_act_fn act;        /* then, once per millisecond; NULL: nothing */
    enum fate fate;        /* of each foe */
    const char *answer;    /* what it hears; NULL: any */
    uint32_t requests;     /* that reach the handler, of each foe */
    bool deaf, half_close; /* reads nothing; ends its direction behind text */
};

/* ---- HTTP/1.1 ----------------------------------------------------------------------------- */

static void act_drip_letter(struct foe *foe)
{
    foe_say(foe, "x", 1);
}

static void act_drip_newline(struct foe *foe)
{
    foe_say(foe, "\r\n", 2);
}

static void act_flood_letters(struct foe *foe)
{
    char letters[4096];
    memset(letters, 'x', sizeof letters);
    while (foe_may_say(foe))
        foe_say(foe, letters, sizeof letters);
}

static void act_flood_fields(struct foe *foe)
{
    while (foe_may_say(foe))
        foe_text(foe, "a: b\r\na: b\r\na: b\r\na: b\r\na: b\r\na: b\r\na: b\r\na: b\r\n");
}

static void act_flood_newlines(struct foe *foe)
{
    char newlines[4096];
    for (size_t i = 0; i < sizeof newlines; i++)
        newlines[i] = i % 2 == 0 ? '\r' : '\n';
    while (foe_may_say(foe))
        foe_say(foe, newlines, sizeof newlines);
}

static void act_flood_requests(struct foe *foe)
{
    while (foe_may_say(foe))
        foe_text(foe, "GET /open HTTP/1.1\r\nHost: a\r\n\r\n");
}

#define HEAD1      " HTTP/1.1\r\nHost: a\r\n"
#define POST       "POST /echo" HEAD1
#define SMUGGLED   "GET /smuggled" HEAD1 "\r\n"
#define BAD        "HTTP/1.1 400 "
#define CHUNKED    "Transfer-Encoding: chunked\r\n"
#define REFUSE(x_) .text = (x_), .fate = FATE_REFUSED, .answer = BAD

static const struct scenario http1[] = {
    {.name = "header, a byte at a time",
     .text = "GET /x" HEAD1 "X: ",
     .act = act_drip_letter,
     .fate = FATE_DROPPED},
    {.name = "target, a byte at a time",
     .text = "GET /",
     .act = act_drip_letter,
     .fate = FATE_DROPPED},
    {.name = "body, a byte at a time",
     .text = POST "Content-Length: 100000\r\n\r\n",
     .act = act_drip_letter,
     .fate = FATE_DROPPED},
    {.name = "chunk, a byte at a time",
     .text = POST CHUNKED "\r\nffff\r\n",
     .act = act_drip_letter,
     .fate = FATE_DROPPED},
    {.name = "empty lines, one at a time", .act = act_drip_newline, .fate = FATE_DROPPED},
    {.name = "empty lines without end", .act = act_flood_newlines, .fate = FATE_STAYS},
    {.name = "nothing", .fate = FATE_DROPPED},
    {.name = "length too long",
     .text = POST "Content-Length: 100\r\n\r\nshort",
     .fate = FATE_DROPPED},
    {.name = "half-closed inside a request",
     .text = POST "Content-Length: 100\r\n\r\nshort",
     .fate = FATE_DROPPED,
     .half_close = true},
    {.name = "half-closed behind a request",
     .text = POST "Content-Length: 5\r\n\r\nwhole",
     .fate = FATE_ANSWERED,
     .answer = "200 OK",
     .requests = 1,
     .half_close = true},
    {.name = "header without end",
     .text = "GET /x" HEAD1 "X: ",
     .act = act_flood_letters,
     .fate = FATE_REFUSED,
     .answer = "HTTP/1.1 431 "},
    {.name = "target without end",
     .text = "GET /",
     .act = act_flood_letters,
     .fate = FATE_REFUSED,
     .answer = "HTTP/1.1 431 "},
    {.name = "fields without end",
     .text = "GET /x" HEAD1,
     .act = act_flood_fields,
     .fate = FATE_REFUSED,
     .answer = "HTTP/1.1 431 "},
    {.name = "body beyond its cap",
     .text = POST CHUNKED "\r\nfffffff\r\n",
     .act = act_flood_letters,
     .fate = FATE_REFUSED,
     .answer = "HTTP/1.1 413 "},
    {.name = "body announced beyond its cap",
     .text = POST "Content-Length: 99999999\r\n\r\n",
     .act = act_flood_letters,
     .fate = FATE_REFUSED,
     .answer = "HTTP/1.1 413 "},
    {.name = "requests without end, nothing read",
     .act = act_flood_requests,
     .fate = FATE_STAYS,
     .requests = 1,
     .deaf = true},
    {.name = "a stream that is not read",
     .text = "GET /stream?n=100000000" HEAD1 "\r\n",
     .fate = FATE_DROPPED,
     .requests = 1,
     .deaf = true},
    /* Where does a request end? Whoever sees two ends is refused. */
    {.name = "length too short",
     .text = POST "Content-Length: 2\r\n\r\nab garbage\r\n\r\n",
     .fate = FATE_REFUSED,
     .answer = BAD,
     .requests = 1},
    {.name = "length and chunked",
     REFUSE(POST "Content-Length: 3\r\n" CHUNKED "\r\n0\r\n\r\n" SMUGGLED)},
    {.name = "chunked and length",
     REFUSE(POST CHUNKED "Content-Length: 3\r\n\r\n0\r\n\r\n" SMUGGLED)},
    {.name = "two lengths",
     REFUSE(POST "Content-Length: 0\r\nContent-Length: 44\r\n\r\n" SMUGGLED)},
    {.name = "a list of lengths", REFUSE(POST "Content-Length: 0, 44\r\n\r\n" SMUGGLED)},
    {.name = "a length with a sign", REFUSE(POST "Content-Length: +0\r\n\r\n" SMUGGLED)},
    {.name = "a length with a space", REFUSE(POST "Content-Length: 0 0\r\n\r\n" SMUGGLED)},
    {.name = "a length in hexadecimal", REFUSE(POST "Content-Length: 0x0\r\n\r\n" SMUGGLED)},
    {.name = "an empty length", REFUSE(POST "Content-Length: \r\n\r\n" SMUGGLED)},
    {.name = "a length that overflows",
     REFUSE(POST "Content-Length: 18446744073709551616\r\n\r\n" SMUGGLED)},
    {.name = "a coding that is not chunked",
     REFUSE(POST "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" SMUGGLED)},
    {.name = "chunked is not the last coding",
     REFUSE(POST "Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n" SMUGGLED)},
    {.name = "chunked and another field of it",
     REFUSE(POST CHUNKED "Transfer-Encoding: identity\r\n\r\n0\r\n\r\n" SMUGGLED)},
    {.name = "a space before the colon",
     REFUSE(POST "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n" SMUGGLED)},
    {.name = "a chunk with a sign", REFUSE(POST CHUNKED "\r\n+0\r\n\r\n" SMUGGLED)},
    {.name = "a chunk with a prefix", REFUSE(POST CHUNKED "\r\n0x0\r\n\r\n" SMUGGLED)},
    {.name = "a chunk that overflows", REFUSE(POST CHUNKED "\r\n10000000000000000\r\n" SMUGGLED)},
    {.name = "a chunk without its end", REFUSE(POST CHUNKED "\r\n2\r\nabc\r\n0\r\n\r\n" SMUGGLED)},
    {.name = "chunked in version 1.0", /* whose end is where the connection ends */
     .text = "POST /echo HTTP/1.0\r\n" CHUNKED "\r\n0\r\n\r\n" SMUGGLED,
     .fate = FATE_ANSWERED,
     .answer = "200 OK",
     .requests = 1},
};

/* ---- HTTP/2 ------------------------------------------------------------------------------- */

#define PREFACE2 "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

static void frame(struct foe *foe, uint8_t type, uint8_t flags, uint32_t stream, const void *data,
                  size_t len)
{
    uint8_t head[9 + 64] = {0,
                            (uint8_t)(len >> 8),
                            (uint8_t)len,
                            type,
                            flags,
                            (uint8_t)(stream >> 24),
                            (uint8_t)(stream >> 16),
                            (uint8_t)(stream >> 8),
                            (uint8_t)stream};
    assert_true(len <= 64);
    if (len > 0)
        memcpy(head + 9, data, len);
    foe_say(foe, head, 9 + len);
}

/* :method GET (or POST), :scheme http, :path, :authority a. */
static void headers(struct foe *foe, uint32_t stream, const char *path, bool post, bool end)
{
    uint8_t block[64] = {post ? 0x83 : 0x82, 0x86, 0x41, 1, 'a', 0x04};
    size_t len = strlen(path);
    assert_true(len < 48);
    block[6] = (uint8_t)len;
    memcpy(block + 7, path, len);
    frame(foe, 1, end ? 5 : 4, stream, block, 7 + len);
}

static void preface(struct foe *foe, uint32_t window)
{
    uint8_t setting[6] = {0,
                          4,
                          (uint8_t)(window >> 24),
                          (uint8_t)(window >> 16),
                          (uint8_t)(window >> 8),
                          (uint8_t)window};
    foe_text(foe, PREFACE2);
    frame(foe, 4, 0, 0, setting, sizeof setting);
}

static bool first(struct foe *foe)
{
    return foe->step++ == 0;
}

static void act2_drip_header(struct foe *foe)
{
    static const uint8_t head[] = {0, 0x40, 0, 1, 4, 0, 0, 0, 1, 0x82, 0x00, 0x7f, 0xff, 0x7f};
    if (first(foe)) {
        preface(foe, 65535);
        foe_say(foe, head, sizeof head); /* a name of 16,510 bytes */
    }
    foe_say(foe, "x", 1);
}

static void act2_drip_body(struct foe *foe)
{
    if (first(foe)) {
        preface(foe, 65535);
        headers(foe, 1, "/echo", true, false);
    }
    frame(foe, 0, 0, 1, "x", 1);
}

static void act2_zero_window(struct foe *foe)
{
    if (!first(foe))
        return;
    preface(foe, 0);
    headers(foe, 1, "/big?n=4000000", false, true);
    headers(foe, 3, "/stream?n=4000000", false, true);
}

static void act2_tiny_window(struct foe *foe)
{
    static const uint8_t one[4] = {0, 0, 0, 1};
    if (first(foe)) {
        preface(foe, 1);
        headers(foe, 1, "/big?n=4000000", false, true);
    }
    frame(foe, 8, 0, 1, one, sizeof one);
}

static void act2_deaf(struct foe *foe)
{
    static const uint8_t much[4] = {0x7f, 0, 0, 0};
    if (!first(foe))
        return;
    preface(foe, 0x7fffffff);
    frame(foe, 8, 0, 0, much, sizeof much);
    headers(foe, 1, "/stream?n=100000000", false, true);
}

static void act2_settings(struct foe *foe)
{
    static const uint8_t setting[6] = {0, 3, 0, 0, 0, 100};
    if (first(foe))
        preface(foe, 65535);
    while (foe_may_say(foe))
        frame(foe, 4, 0, 0, setting, sizeof setting);
}

static void act2_pings(struct foe *foe)
{
    if (first(foe))
        preface(foe, 65535);
    while (foe_may_say(foe))
        frame(foe, 6, 0, 0, "12345678", 8);
}

static void act2_rapid_reset(struct foe *foe)
{
    static const uint8_t cancel[4] = {0, 0, 0, 8};
    if (first(foe))
        preface(foe, 65535);
    while (foe_may_say(foe)) {
        uint32_t stream = (uint32_t)(2 * foe->step++ - 1);
        headers(foe, stream, "/open", false, true);
        frame(foe, 3, 0, stream, cancel, sizeof cancel);
    }
}

static void act2_empty_data(struct foe *foe)
{
    if (first(foe)) {
        preface(foe, 65535);
        headers(foe, 1, "/echo", true, false);
    }
    while (foe_may_say(foe))
        frame(foe, 0, 0, 1, NULL, 0);
}

static void act2_continuations(struct foe *foe)
{
    if (first(foe)) {
        preface(foe, 65535);
        frame(foe, 1, 0, 1, "\x82", 1);
    }
    while (foe_may_say(foe))
        frame(foe, 9, 0, 1, NULL, 0);
}

static void act2_continued_fields(struct foe *foe)
{
    if (first(foe)) {
        preface(foe, 65535);
        frame(foe, 1, 0, 1, "\x82", 1);
    }
    while (foe_may_say(foe))
        frame(foe, 9, 0, 1, "\0\1a\1b\0\1a\1b\0\1a\1b\0\1a\1b", 20);
}

static void act2_streams(struct foe *foe)
{
    if (!first(foe))
        return;
    preface(foe, 65535);
    for (uint32_t i = 0; i < 200; i++)
        headers(foe, 2 * i + 1, "/open", false, true);
}

static void act2_priorities(struct foe *foe)
{
    if (first(foe))
        preface(foe, 65535);
    while (foe_may_say(foe)) {
        uint8_t priority[5] = {0, 0, 0, 0, 7};
        frame(foe, 2, 0, (uint32_t)(2 * (foe->step++ % 100000) + 1), priority, sizeof priority);
    }
}

static void act2_unknown(struct foe *foe)
{
    if (first(foe))
        preface(foe, 65535);
    while (foe_may_say(foe))
        frame(foe, 0xbe, 0, 0, "whatever", 8);
}

static void act2_length(struct foe *foe)
{
    if (!first(foe))
        return;
    preface(foe, 65535);
    /* content-length 2 (28 in the static table), then 4 bytes. */
    frame(foe, 1, 4, 1,
          "\x83\x86\x84\x41\1a\x0f\x0d\1"
          "2",
          10);
    frame(foe, 0, 1, 1, "four", 4);
}

static void act2_huge_frame(struct foe *foe)
{
    if (first(foe)) {
        preface(foe, 65535);
        foe_say(foe, "\xff\xff\xff\0\0\0\0\0\1", 9);
    }
    act_flood_letters(foe);
}

static const struct scenario http2[] = {
    {.name = "preface, and nothing", .text = PREFACE2, .fate = FATE_DROPPED},
    {.name = "preface, half", .text = "PRI * HTTP/2.0\r\n", .fate = FATE_DROPPED},
    {.name = "header, a byte at a time", .act = act2_drip_header, .fate = FATE_DROPPED},
    {.name = "body, a byte at a time", .act = act2_drip_body, .fate = FATE_DROPPED},
    {.name = "a window of 0", .act = act2_zero_window, .fate = FATE_DROPPED, .requests = 2},
    {.name = "a window of 1, and 1 more",
     .act = act2_tiny_window,
     .fate = FATE_DROPPED,
     .requests = 1},
    {.name = "a stream that is not read",
     .act = act2_deaf,
     .fate = FATE_DROPPED,
     .requests = 1,
     .deaf = true},
    {.name = "SETTINGS without end", .act = act2_settings, .fate = FATE_STAYS},
    {.name = "SETTINGS without end, nothing read",
     .act = act2_settings,
     .fate = FATE_DROPPED,
     .deaf = true},
    {.name = "PING without end", .act = act2_pings, .fate = FATE_STAYS},
    {.name = "PING without end, nothing read",
     .act = act2_pings,
     .fate = FATE_DROPPED,
     .deaf = true},
    {.name = "requests and resets without end",
     .act = act2_rapid_reset,
     .fate = FATE_DROPPED,
     .requests = UINT32_MAX},
    {.name = "DATA of no bytes without end", .act = act2_empty_data, .fate = FATE_STAYS},
    {.name = "CONTINUATION of no bytes without end",
     .act = act2_continuations,
     .fate = FATE_DROPPED},
    {.name = "CONTINUATION of fields without end",
     .act = act2_continued_fields,
     .fate = FATE_DROPPED},
    {.name = "streams beyond the limit", .act = act2_streams, .fate = FATE_STAYS, .requests = 20},
    {.name = "PRIORITY without end", .act = act2_priorities, .fate = FATE_STAYS},
    {.name = "unknown frames without end", .act = act2_unknown, .fate = FATE_STAYS},
    {.name = "a length that is not true", .act = act2_length, .fate = FATE_DROPPED},
    {.name = "a frame of 16 MiB", .act = act2_huge_frame, .fate = FATE_DROPPED},
};

/* ---- running them ------------------------------------------------------------------------- */

static bool fate_is_done(const struct scenario *s, const struct stage *stage)
{
    /* Who reads nothing does not see its end: it is behind what was not read. */
    bool over = s->deaf ? stage->h->server->alive_count == 1 : stage_all_ended(stage);
    return s->fate == FATE_STAYS || over;
}

static void check_fate(const struct scenario *s, const struct foe *foe)
{
    switch (s->fate) {
    case FATE_DROPPED:
        assert_true(foe->ended || foe->deaf);
        assert_false(foe_heard(foe, "HTTP/1.1 "));
        break;
    case FATE_REFUSED:
    case FATE_ANSWERED:
        assert_true(foe->ended && (s->answer == NULL || foe_heard(foe, s->answer)));
        break;
    case FATE_STAYS:
        break;
    }
}

static void run_scenario(const struct scenario *s, enum stage_tls tls)
{
    struct mu_http_server_config config = {.idle_timeout_ns = IDLE_NS,
                                           .handshake_timeout_ns = IDLE_NS,
                                           .body_max = BODY_MAX,
                                           .streams_max = 20};
    struct stage *stage = stage_new(config, tls);
    struct harness *h = stage->h;
    print_message("    %-40s %s ", s->name, tls != STAGE_CLEAR ? "TLS  " : "clear");
    stage_serve(stage); /* connects */
    stage->live_max = stage->live_base = mu_mem_live_bytes();
    uint32_t own = h->requests - FOE_BATCH * stage->batches;
    assert_int_equal(own, 0);
    for (uint32_t i = 0; i < FOES_EACH; i++) {
        struct foe *foe = foe_open(stage, NULL);
        HARNESS_UNTIL(h, foe_ready(foe));
        if (s->text != NULL)
            foe_text(foe, s->text);
        HARNESS_UNTIL(h, foe->out.len == 0);
        if (s->half_close)
            foe_end_writing(foe);
        foe->act = s->act;
        foe->deaf = s->deaf;
    }
    STAGE_SERVE(stage, BATCHES, fate_is_done(s, stage));
    for (uint32_t i = 0; i < FOES_EACH; i++)
        check_fate(s, &stage->foes[i]);
    own = h->requests - FOE_BATCH * stage->batches;
    if (s->requests != UINT32_MAX)
        assert_int_equal(own, FOES_EACH * s->requests);
    assert_true(stage->live_max - stage->live_base <= HELD_MAX);
    /* With the foes gone nothing of theirs is left. */
    for (uint32_t i = 0; i < FOES_EACH; i++)
        foe_close(&stage->foes[i]);
    STAGE_SERVE(stage, 1, h->server->alive_count == 1);
    assert_true(h->server->queued_bytes == 0 && h->server->bodies_bytes == 0);
    print_message("%3u batches, at most %3u turns, %5u KiB\n", stage->batches,
                  (unsigned)stage->turns_max,
                  (unsigned)((stage->live_max - stage->live_base) >> 10));
    stage_free(stage);
}

static void run_all(const struct scenario *scenarios, size_t count, enum stage_tls tls)
{
    const char *only = getenv("MUSTER_SCENARIO");
    for (size_t i = 0; i < count; i++) {
        if (only == NULL || strcmp(only, scenarios[i].name) == 0)
            run_scenario(&scenarios[i], tls);
    }
}

static void test_http_hostile__http1__others_are_served(void **state)
{
    (void)state;
    run_all(http1, sizeof http1 / sizeof *http1, STAGE_CLEAR);
}

static void test_http_hostile__http1_in_tls__others_are_served(void **state)
{
    (void)state;
    run_all(http1, sizeof http1 / sizeof *http1, STAGE_TLS_H1);
}

static void test_http_hostile__http2__others_are_served(void **state)
{
    (void)state;
    run_all(http2, sizeof http2 / sizeof *http2, STAGE_CLEAR);
}

static void test_http_hostile__http2_in_tls__others_are_served(void **state)
{
    (void)state;
    run_all(http2, sizeof http2 / sizeof *http2, STAGE_TLS_H2);
}

/* ---- connections -------------------------------------------------------------------------- */

static void act_half_a_request(struct foe *foe)
{
    if (first(foe))
        foe_text(foe, "GET /x HTTP/1.1\r\n");
}

/* Four times as many connections as there may be, half a request in each, all at once; among them
 * somebody who wants something. */
static void flood_connections(enum stage_tls tls)
{
    enum { CONNECTIONS = 64 };
    struct mu_http_server_config config = {.connections_max = CONNECTIONS,
                                           .idle_timeout_ns = 60 * MU_NS_PER_S};
    struct stage *stage = stage_new(config, tls);
    struct harness *h = stage->h;
    stage_serve(stage);
    for (uint32_t i = 0; i < 4 * CONNECTIONS; i++)
        (void)foe_open(stage, act_half_a_request);
    STAGE_SERVE(stage, BATCHES, true);
    struct foe *guest = foe_open(stage, NULL);
    foe_text(guest, "GET /status?s=200 HTTP/1.1\r\nHost: a\r\n\r\n");
    STAGE_SERVE(stage, BATCHES, foe_heard(guest, "200 OK"));
    assert_true(h->server->alive_count <= CONNECTIONS);
    assert_int_equal(h->requests, FOE_BATCH * stage->batches + 1);
    stage_free(stage);
}

static void test_http_hostile__connections_without_end__guests_are_served(void **state)
{
    (void)state;
    flood_connections(STAGE_CLEAR);
    flood_connections(STAGE_TLS_H1);
}

/* Handshakes that do not begin, begin and stop, or are something else. */
static void test_http_hostile__no_handshake__others_are_served(void **state)
{
    (void)state;
    static const struct scenario scenarios[] = {
        {.name = "nothing", .fate = FATE_DROPPED},
        {.name = "half a ClientHello", .text = "\x16\x03\x01\x02\x01\x01", .fate = FATE_DROPPED},
        {.name = "a record, a byte at a time",
         .text = "\x16\x03\x01\x40",
         .act = act_drip_letter,
         .fate = FATE_DROPPED},
        {.name = "records without end",
         .text = "\x16\x03\x01",
         .act = act_flood_letters,
         .fate = FATE_DROPPED},
        {.name = "a request in cleartext",
         .text = "GET /x" HEAD1 "\r\n",
         .fate = FATE_REFUSED,
         .answer = "HTTP/1.0 400 "},
    };
    for (size_t i = 0; i < sizeof scenarios / sizeof *scenarios; i++)
        run_scenario(&scenarios[i], STAGE_TLS_PLAIN);
}

int main(void)
{
#if defined(__SANITIZE_THREAD__)
    /* It slows the loop down until deadlines pass that are meant for peers. */
    (void)puts("skipped: one thread, nothing for ThreadSanitizer to see");
    return 77;
#endif
    (void)signal(SIGPIPE, SIG_IGN); /* OpenSSL writes to what the server has closed */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_http_hostile__http1__others_are_served),
        cmocka_unit_test(test_http_hostile__http1_in_tls__others_are_served),
        cmocka_unit_test(test_http_hostile__http2__others_are_served),
        cmocka_unit_test(test_http_hostile__http2_in_tls__others_are_served),
        cmocka_unit_test(test_http_hostile__connections_without_end__guests_are_served),
        cmocka_unit_test(test_http_hostile__no_handshake__others_are_served),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
