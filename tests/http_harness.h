#ifndef MU_TESTS_HTTP_HARNESS_H
#define MU_TESTS_HTTP_HARNESS_H
/*
 * A client and a server of informer/http.h on one loop, over loopback. The server's handler goes
 * by the path; the client's replies are recorded by token. Nothing here is timed tightly: waits
 * end with their condition, and a watchdog of a minute turns a hang into a failure.
 */
#include <stdio.h>
#include "engine/base/clock.h"
#include "informer/http.h"
#include "tests/mu_test.h"

#define HARNESS_TOKENS_MAX  20001u
#define HARNESS_HELD_MAX    4096u
#define HARNESS_WATCHDOG_MS 240000 /* a sanitizer on a busy machine */

struct harness_record {
    uint32_t heads, datas, ends, losts;
    int status;
    enum mu_media media;
    uint32_t retry_after_s;
    int error;
    bool not_sent;
    uint64_t bytes;
    bool pattern_ok; /* every byte so far was the pattern's */
    char first[64];  /* of the body */
};

struct harness {
    uv_loop_t loop;
    uv_timer_t watchdog;
    bool barked;
    struct mu_http_server *server;
    struct mu_http_client *client;
    uint16_t port;
    struct harness_record *records; /* by token */
    uint32_t done;                  /* tokens with END or LOST */
    uint32_t requests;              /* seen by the server */
    uint32_t aborts;
    uint32_t drains;
    uint32_t again; /* writes answered MU_EAGAIN */
    struct mu_http_exchange *held[HARNESS_HELD_MAX];
    uint32_t held_count;
    enum mu_method last_method;
    char last_path[256], last_query[256], last_content_type[128], last_accept[128], last_agent[128];
    uint64_t last_body_len;
    bool last_body_ok;
    int warn_result; /* of the last warning */
    bool last_http2, last_tls;
    char last_authorization[128];
    char last_peer[128]; /* name and groups, by commas */
    uint32_t closed;
    size_t live_before;
    /* Called for each reply, after it was recorded. */
    void (*on_reply)(struct harness *h, const struct mu_reply *reply);
    void *user;
};

/* The test body: byte i of every large one. */
static inline uint8_t harness_byte(uint64_t i)
{
    return (uint8_t)(i * 131 + (i >> 8));
}

static inline bool harness_is_pattern(const void *data, size_t len, uint64_t at)
{
    const uint8_t *bytes = data;
    for (size_t i = 0; i < len; i++) {
        if (bytes[i] != harness_byte(at + i))
            return false;
    }
    return true;
}

static inline void harness_fill(struct mu_buf *buf, uint64_t len)
{
    assert_int_equal(mu_buf_reserve(buf, len), 0);
    for (uint64_t i = 0; i < len; i++)
        buf->data[buf->len++] = harness_byte(i);
}

static inline void harness_on_reply(void *context, const struct mu_reply *reply)
{
    struct harness *h = context;
    assert_true(reply->token > 0 && reply->token < HARNESS_TOKENS_MAX);
    struct harness_record *r = &h->records[reply->token];
    assert_int_equal(r->ends + r->losts, 0); /* nothing comes behind the end */
    switch (reply->kind) {
    case MU_REPLY_HEAD:
        assert_int_equal(r->heads, 0);
        r->heads++;
        r->status = reply->status;
        r->media = reply->media;
        r->retry_after_s = reply->retry_after_s;
        r->pattern_ok = true;
        break;
    case MU_REPLY_DATA:
        assert_int_equal(r->heads, 1);
        r->datas++;
        r->pattern_ok =
            r->pattern_ok && harness_is_pattern(reply->data.data, reply->data.len, r->bytes);
        if (r->bytes < sizeof r->first - 1) {
            size_t room = sizeof r->first - 1 - (size_t)r->bytes;
            memcpy(r->first + r->bytes, reply->data.data,
                   reply->data.len < room ? reply->data.len : room);
        }
        r->bytes += reply->data.len;
        break;
    case MU_REPLY_END:
        assert_int_equal(r->heads, 1);
        r->ends++;
        h->done++;
        break;
    case MU_REPLY_LOST:
        assert_true(reply->error < 0);
        r->losts++;
        r->error = reply->error;
        r->not_sent = reply->not_sent;
        h->done++;
        break;
    }
    if (h->on_reply != NULL)
        h->on_reply(h, reply);
}

static inline void harness_copy(char *to, size_t cap, struct mu_str s)
{
    size_t len = s.len < cap - 1 ? s.len : cap - 1;
    if (len > 0)
        memcpy(to, s.data, len);
    to[len] = '\0';
}

/* Write the pattern until the stream has had enough or all of it: the exchange's user pointer is
 * a harness_writer. */
struct harness_writer {
    uint64_t at, total;
};

static inline void harness_write_more(struct harness *h, struct mu_http_exchange *ex)
{
    struct harness_writer *w = mu_http_exchange_get(ex);
    uint8_t piece[5000];
    while (w->at < w->total) {
        size_t len = w->total - w->at < sizeof piece ? (size_t)(w->total - w->at) : sizeof piece;
        for (size_t i = 0; i < len; i++)
            piece[i] = harness_byte(w->at + i);
        w->at += len;
        int r = mu_http_respond_write(ex, (struct mu_str){(const char *)piece, (uint32_t)len});
        if (r == MU_EAGAIN) {
            h->again++;
            return;
        }
        assert_int_equal(r, 0);
    }
    mu_mem_free(w);
    assert_int_equal(mu_http_respond_end(ex), 0);
}

static inline uint64_t harness_query_number(const char *query, const char *name)
{
    const char *at = strstr(query, name);
    return at == NULL ? 0 : strtoull(at + strlen(name), NULL, 10);
}

static inline void harness_answer_big(struct mu_http_exchange *ex, uint64_t n)
{
    struct mu_buf body;
    mu_buf_init(&body, 0);
    harness_fill(&body, n);
    assert_int_equal(
        mu_http_respond_take(ex, 200, MU_STR("application/vnd.kubernetes.protobuf"), 0, &body), 0);
    assert_true(body.data == NULL && body.len == 0);
}

static inline void harness_copy_peer(struct harness *h, const struct mu_tls_peer *peer)
{
    char *at = h->last_peer;
    char *end = h->last_peer + sizeof h->last_peer;
    *at = '\0';
    if (peer == NULL)
        return;
    at += snprintf(at, (size_t)(end - at), "%.*s", MU_STR_ARGS(peer->name));
    for (uint32_t i = 0; i < peer->group_count && at < end; i++)
        at += snprintf(at, (size_t)(end - at), ",%.*s", MU_STR_ARGS(peer->groups[i]));
}

/* Paths: /echo, /status?s=N, /big?n=N, /stream?n=N, /open (begins, stays silent), /hold,
 * /reset, /busy (429), /warn?n=N (N warnings with all that is odd in them). */
static inline void harness_on_request(void *context, struct mu_http_exchange *ex,
                                      const struct mu_http_request *request)
{
    struct harness *h = context;
    h->requests++;
    h->last_method = request->method;
    harness_copy(h->last_path, sizeof h->last_path, request->path);
    harness_copy(h->last_query, sizeof h->last_query, request->query);
    harness_copy(h->last_content_type, sizeof h->last_content_type, request->content_type);
    harness_copy(h->last_accept, sizeof h->last_accept, request->accept);
    harness_copy(h->last_agent, sizeof h->last_agent, request->user_agent);
    h->last_body_len = request->body.len;
    h->last_body_ok = harness_is_pattern(request->body.data, request->body.len, 0);
    h->last_http2 = request->http2;
    h->last_tls = request->tls;
    harness_copy(h->last_authorization, sizeof h->last_authorization, request->authorization);
    harness_copy_peer(h, request->peer);
    const char *path = h->last_path;
    if (strcmp(path, "/echo") == 0) {
        (void)mu_http_respond(ex, 200, request->content_type, 0, request->body);
    } else if (strcmp(path, "/status") == 0) {
        (void)mu_http_respond(ex, (int)harness_query_number(h->last_query, "s="),
                              MU_STR("application/json"), 0, MU_STR("{}"));
    } else if (strcmp(path, "/big") == 0) {
        harness_answer_big(ex, harness_query_number(h->last_query, "n="));
    } else if (strcmp(path, "/stream") == 0) {
        struct harness_writer *w = mu_mem_zalloc(sizeof *w);
        assert_non_null(w);
        w->total = harness_query_number(h->last_query, "n=");
        mu_http_exchange_set(ex, w);
        assert_int_equal(mu_http_respond_begin(
                             ex, 200, MU_STR("application/vnd.kubernetes.protobuf;stream=watch")),
                         0);
        harness_write_more(h, ex);
    } else if (strcmp(path, "/hold") == 0 || strcmp(path, "/open") == 0) {
        while (h->held_count > 0 && h->held[h->held_count - 1] == NULL)
            h->held_count--; /* aborted */
        assert_true(h->held_count < HARNESS_HELD_MAX);
        h->held[h->held_count++] = ex;
        if (strcmp(path, "/open") == 0) {
            assert_int_equal(mu_http_respond_begin(ex, 200, MU_STR("application/json")), 0);
            (void)mu_http_respond_write(ex, MU_STR("{"));
        }
    } else if (strcmp(path, "/reset") == 0) {
        mu_http_exchange_reset(ex);
    } else if (strcmp(path, "/warn") == 0) {
        uint64_t n = harness_query_number(h->last_query, "n=");
        for (uint64_t i = 0; i < n; i++)
            h->warn_result = mu_http_exchange_warn(ex, MU_STR("say \"no\\\"\r\n\x7f!"));
        (void)mu_http_respond(ex, 200, MU_STR("text/plain"), 0, MU_STR("ok"));
    } else if (strcmp(path, "/busy") == 0) {
        (void)mu_http_respond(ex, 429, MU_STR("text/plain; charset=utf-8"), 7, MU_STR("busy"));
    } else {
        (void)mu_http_respond(ex, 404, MU_STR("text/plain"), 0, MU_STR("no such thing"));
    }
}

static inline void harness_on_abort(void *context, struct mu_http_exchange *ex)
{
    struct harness *h = context;
    h->aborts++;
    for (uint32_t i = 0; i < h->held_count; i++) {
        if (h->held[i] == ex)
            h->held[i] = NULL;
    }
    mu_mem_free(mu_http_exchange_get(ex)); /* a writer, or NULL */
}

static inline void harness_on_drain(void *context, struct mu_http_exchange *ex)
{
    struct harness *h = context;
    h->drains++;
    harness_write_more(h, ex);
}

static inline void harness_bark(uv_timer_t *timer)
{
    ((struct harness *)timer->data)->barked = true;
}

static inline struct harness *harness_new(void)
{
    size_t live = mu_mem_live_bytes();
    struct harness *h = mu_mem_zalloc(sizeof *h);
    assert_non_null(h);
    h->live_before = live;
    h->records = mu_mem_calloc(HARNESS_TOKENS_MAX, sizeof *h->records);
    assert_non_null(h->records);
    assert_int_equal(uv_loop_init(&h->loop), 0);
    assert_int_equal(uv_timer_init(&h->loop, &h->watchdog), 0);
    h->watchdog.data = h;
    assert_int_equal(uv_timer_start(&h->watchdog, harness_bark, HARNESS_WATCHDOG_MS, 0), 0);
    return h;
}

static inline void harness_server(struct harness *h, struct mu_http_server_config config)
{
    config.host = MU_STR("127.0.0.1");
    config.on_request = harness_on_request;
    config.on_abort = harness_on_abort;
    config.on_drain = harness_on_drain;
    config.context = h;
    assert_int_equal(mu_http_server_create(&h->loop, &config, &h->server, &h->port), 0);
}

static inline void harness_client(struct harness *h, struct mu_http_client_config config)
{
    if (config.host.len == 0)
        config.host = MU_STR("127.0.0.1");
    config.port = h->port;
    assert_int_equal(mu_http_client_create(&h->loop, &config, harness_on_reply, h, &h->client), 0);
}

static inline struct harness *harness_pair(struct mu_http_server_config server,
                                           struct mu_http_client_config client)
{
    struct harness *h = harness_new();
    harness_server(h, server);
    harness_client(h, client);
    return h;
}

static inline struct mu_request harness_request(uint64_t token, enum mu_method method,
                                                const char *path)
{
    struct mu_request request = {.token = token, .method = method};
    assert_int_equal(mu_buf_append_text(&request.path, path), 0);
    return request;
}

static inline void harness_send(struct harness *h, struct mu_request request)
{
    assert_int_equal(mu_http_client_send(h->client, &request), 0);
    assert_true(request.path.data == NULL && request.body.data == NULL);
}

static inline void harness_get(struct harness *h, uint64_t token, const char *path)
{
    harness_send(h, harness_request(token, MU_GET, path));
}

static inline void harness_cancel(struct harness *h, uint64_t token)
{
    struct mu_request cancel = {.token = token, .cancel = true};
    assert_int_equal(mu_http_client_send(h->client, &cancel), 0);
}

/* Turn the loop until the condition holds. */
#define HARNESS_UNTIL(h_, condition_)                                                              \
    do {                                                                                           \
        while (!(condition_)) {                                                                    \
            assert_false((h_)->barked);                                                            \
            (void)uv_run(&(h_)->loop, UV_RUN_ONCE);                                                \
        }                                                                                          \
    } while (0)

static inline void harness_nap_over(uv_timer_t *timer)
{
    *(bool *)timer->data = true;
}

/* Let the loop run for a while: to see that something does not happen. */
static inline void harness_nap(struct harness *h, uint64_t ms)
{
    uv_timer_t timer;
    bool over = false;
    assert_int_equal(uv_timer_init(&h->loop, &timer), 0);
    timer.data = &over;
    assert_int_equal(uv_timer_start(&timer, harness_nap_over, ms, 0), 0);
    HARNESS_UNTIL(h, over);
    uv_close((uv_handle_t *)&timer, NULL);
    (void)uv_run(&h->loop, UV_RUN_NOWAIT);
}

static inline void harness_on_closed(void *context)
{
    ((struct harness *)context)->closed++;
}

static inline void harness_close_client(struct harness *h)
{
    uint32_t closed = h->closed;
    mu_http_client_close(h->client, harness_on_closed, h);
    HARNESS_UNTIL(h, h->closed == closed + 1);
    h->client = NULL;
}

static inline void harness_close_server(struct harness *h)
{
    uint32_t closed = h->closed;
    mu_http_server_close(h->server, harness_on_closed, h);
    HARNESS_UNTIL(h, h->closed == closed + 1);
    h->server = NULL;
}

/* Close what is open; nothing may be left, neither handles nor memory. */
static inline void harness_free(struct harness *h)
{
    if (h->client != NULL)
        harness_close_client(h);
    if (h->server != NULL)
        harness_close_server(h);
    uv_close((uv_handle_t *)&h->watchdog, NULL);
    (void)uv_run(&h->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&h->loop), 0);
    size_t live = h->live_before;
    mu_mem_free(h->records);
    mu_mem_free(h);
    assert_int_equal(mu_mem_live_bytes(), live);
}

#endif
