#ifndef MU_TESTS_HTTP_PEER_H
#define MU_TESTS_HTTP_PEER_H
/* A server's connection without a socket: bytes in, bytes out, the harness's handler behind it. */
#include "informer/http_server_priv.h"
#include "tests/http_harness.h"

/* Stands in the harness's handler, which wants one, without a loop or a client. */
struct peer {
    struct harness *h;
    struct mu_server_conn *conn;
    struct mu_buf out; /* what the server has said, NUL-terminated by text() */
};

static inline struct peer peer_new(struct mu_http_server_config config)
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

static inline void peer_free(struct peer *p)
{
    mu_server_detached_free(p->h->server);
    mu_mem_free(p->h);
    mu_buf_fini(&p->out);
}

/* Take what the server has to say, a little at a time. */
static inline void peer_pull(struct peer *p, size_t cap)
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

static inline void peer_feed(struct peer *p, const void *data, size_t len)
{
    if (len > 0)
        mu_server_conn_input(p->conn, data, len);
}

static inline const char *peer_text(struct peer *p)
{
    assert_int_equal(mu_buf_append(&p->out, "", 1), 0);
    p->out.len--;
    return (const char *)p->out.data;
}

/* The same for answers with bytes of 0 in them. */
static inline bool peer_said(const struct peer *p, const char *text)
{
    return memmem(p->out.data, p->out.len, text, strlen(text)) != NULL;
}

static inline void peer_say(struct peer *p, const char *text)
{
    mu_buf_clear(&p->out);
    peer_feed(p, text, strlen(text));
    peer_pull(p, 65536);
}

#endif
