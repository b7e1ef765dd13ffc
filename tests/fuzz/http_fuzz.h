#ifndef MU_TESTS_HTTP_FUZZ_H
#define MU_TESTS_HTTP_FUZZ_H
/*
 * A server's connection without sockets, for the HTTP harnesses. Its handler answers in every way
 * there is, by what the request says: at once, in pieces up to the high-water mark and beyond,
 * later, never, or by a reset.
 *
 * An input opens with three bytes: how the rest is cut into reads, which allocation of the run
 * fails (0: none), and what else happens (enum fuzz_option).
 */
#include <string.h>
#include "engine/base/clock.h"
#include "engine/base/assert.h"
#include "engine/base/mem.h"
#include "informer/http_server_priv.h"
#include "informer/limits.h"

#define FUZZ_INPUT_MAX (32u << 10)
#define FUZZ_HELD_MAX  64u
#define FUZZ_LONG_MAX  16u        /* responses above the high-water mark */
#define FUZZ_LONG      400000u    /* bytes that those would have */
#define FUZZ_PULL_MAX  (8u << 20) /* all of a run in one pull: no chunk is cut by its end */
#define FUZZ_HEAD      3u

enum fuzz_option {
    FUZZ_EOF = 1,   /* the peer ends its direction behind the input */
    FUZZ_LOOK = 2,  /* then the idle time has passed */
    FUZZ_MANY = 4,  /* streams are hardly limited */
    FUZZ_SMALL = 8, /* answers are pulled in small pieces */
};

struct fuzz_server {
    uint8_t options;
    bool oom; /* an allocation was to fail: answers may be missing */
    struct mu_http_server *server;
    struct mu_server_conn *conn;
    struct mu_buf out;
    struct mu_http_exchange *held[FUZZ_HELD_MAX];
    uint32_t held_count;
    uint32_t long_count;
};

static inline void fuzz_stream(struct mu_http_exchange *ex, size_t left)
{
    static const char piece[16384];
    int r = mu_http_respond_begin(ex, 200, MU_STR("application/json"));
    while (r == 0 && left > 0) {
        size_t len = left < sizeof piece ? left : sizeof piece;
        left -= len;
        r = mu_http_respond_write(ex, (struct mu_str){piece, (uint32_t)len});
    }
    if (r == 0 || r == MU_EAGAIN)
        (void)mu_http_respond_end(ex);
}

static inline void fuzz_on_request(void *context, struct mu_http_exchange *ex,
                                   const struct mu_http_request *request)
{
    struct fuzz_server *f = context;
    MU_ASSERT(request->path.len > 0 && request->body.len <= 4096);
    char way = request->path.len > 1 ? request->path.data[1] : '\0';
    mu_http_exchange_set(ex, f);
    if (way == 's') {
        fuzz_stream(ex, 100);
    } else if (way == 't') {
        struct mu_buf body = {0};
        (void)mu_buf_append_str(&body, request->query);
        (void)mu_http_respond_take(ex, 200, request->accept.len < 64 ? request->accept : MU_STR(""),
                                   0, &body);
        mu_buf_fini(&body);
    } else if (way == 'n') { /* the status is the path's number */
        uint64_t number = 0;
        struct mu_str digits = {request->path.data + 2, request->path.len - 2};
        int status = mu_str_to_u64(digits, &number) ? 200 + (int)(number % 400) : 200;
        (void)mu_http_respond(ex, status, MU_STR(""), 0, MU_STR("a body"));
    } else if (way == 'w') { /* so many warnings, which say what the query says */
        uint64_t number = 0;
        struct mu_str digits = {request->path.data + 2, request->path.len - 2};
        (void)mu_str_to_u64(digits, &number);
        for (uint64_t i = 0; i < number % (2 * MU_HTTP_WARNINGS_MAX); i++)
            (void)mu_http_exchange_warn(ex, request->query);
        (void)mu_http_respond(ex, 200, MU_STR(""), 0, MU_STR("warned"));
    } else if (way == 'l' && f->long_count++ < FUZZ_LONG_MAX) {
        fuzz_stream(ex, FUZZ_LONG);
    } else if (way == 'r') {
        mu_http_exchange_reset(ex);
    } else if (way == 'h' && f->held_count < FUZZ_HELD_MAX) {
        f->held[f->held_count++] = ex;
    } else {
        (void)mu_http_respond(ex, request->body.len > 0 ? 200 : 404,
                              request->content_type.len < 64 ? request->content_type
                                                             : MU_STR("text/plain"),
                              request->query.len, request->body);
    }
}

static inline void fuzz_on_abort(void *context, struct mu_http_exchange *ex)
{
    struct fuzz_server *f = context;
    MU_ASSERT(mu_http_exchange_get(ex) == f);
    for (uint32_t i = 0; i < f->held_count; i++) {
        if (f->held[i] == ex)
            f->held[i] = f->held[--f->held_count];
    }
}

/* The allocation that a byte chooses: each of the first, then more rarely. */
static inline uint64_t fuzz_nth(uint8_t byte)
{
    return byte < 192 ? byte : 192 + (uint64_t)(byte - 192) * 16;
}

static inline void fuzz_begin(struct fuzz_server *f, const uint8_t *head)
{
    struct mu_http_server_config config = {.body_max = 4096,
                                           .streams_max = (head[2] & FUZZ_MANY) != 0 ? 400 : 20,
                                           .idle_timeout_ns =
                                               (head[2] & FUZZ_LOOK) != 0 ? 1 : MU_NS_PER_S * 3600,
                                           .on_request = fuzz_on_request,
                                           .on_abort = fuzz_on_abort,
                                           .context = f};
    *f = (struct fuzz_server){.options = head[2], .oom = head[1] != 0};
    int r = mu_server_detached(&config, &f->server);
    MU_ASSERT(r == 0);
    f->conn = mu_server_conn_new(f->server);
    MU_ASSERT(f->conn != NULL);
    r = mu_wire_start(&f->conn->wire);
    MU_ASSERT(r == 0);
    mu_mem_debug_set((struct mu_mem_debug){.fail_nth = fuzz_nth(head[1])});
}

static inline void fuzz_pull(struct fuzz_server *f)
{
    static uint8_t room[FUZZ_PULL_MAX];
    size_t cap = (f->options & FUZZ_SMALL) != 0 ? 1000 : sizeof room;
    ptrdiff_t n;
    while ((n = mu_server_conn_output(f->conn, room, cap)) > 0) {
        int r = mu_buf_append(&f->out, room, (size_t)n);
        MU_ASSERT(r == 0 || f->oom);
    }
    if (n < 0)
        mu_server_conn_drop(f->conn); /* what the wire does */
    mu_server_drained(f->server);
}

/* Answer what was held. */
static inline void fuzz_release(struct fuzz_server *f)
{
    while (f->held_count > 0) {
        struct mu_http_exchange *ex = f->held[--f->held_count];
        (void)mu_http_respond(ex, 503, MU_STR("text/plain"), 1, MU_STR("later"));
        fuzz_pull(f);
    }
}

/* What may follow the last byte. */
static inline void fuzz_after(struct fuzz_server *f)
{
    const struct mu_pump_hooks *hooks = f->server->pump.hooks;
    if ((f->options & FUZZ_EOF) != 0 && !f->conn->dead)
        f->conn->wire.hooks->lost(&f->conn->wire, UV_EOF);
    fuzz_pull(f);
    for (int i = 0; i < 2 && (f->options & FUZZ_LOOK) != 0 && !f->conn->dead; i++) {
        hooks->expired(&f->server->pump, &f->conn->timer);
        fuzz_pull(f);
    }
}

static inline void fuzz_end(struct fuzz_server *f)
{
    mu_mem_debug_set((struct mu_mem_debug){0});
    mu_server_detached_free(f->server);
    MU_ASSERT(f->held_count == 0); /* answered or aborted */
    mu_buf_fini(&f->out);
}

#endif
