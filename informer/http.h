#ifndef MU_INFORMER_HTTP_H
#define MU_INFORMER_HTTP_H
/*
 * HTTP on libuv. Client: HTTP/2 (nghttp2) over a few connections, with TLS and ALPN or in cleartext
 * with prior knowledge. Server: HTTP/2 and HTTP/1.1 on one port, told apart by ALPN or, in
 * cleartext, by the connection preface. All calls and callbacks in the loop's thread.
 */
#include <uv.h>
#include "engine/base/error.h"
#include "informer/call.h"
#include "informer/tls.h"

/* ---- client ------------------------------------------------------------------------------- */

struct mu_http_client_config {
    struct mu_str host; /* name or address, without brackets; copied */
    uint16_t port;
    struct mu_str path;          /* put before every request's ("/k8s/clusters/c-1"); copied */
    struct mu_tls *tls;          /* NULL: cleartext; a reference is taken */
    uint32_t connections;        /* 0: 4; opened on demand */
    uint32_t streams_each;       /* 0: 100; never above the server's SETTINGS */
    size_t body_max;             /* of a non-stream reply; 0: 256 MiB */
    uint64_t connect_timeout_ns; /* 0: 5 s */
    uint64_t ping_idle_ns;       /* PING after so much silence; 0: 30 s */
    uint64_t ping_timeout_ns;    /* close when it is not answered; 0: 15 s */
};
typedef void (*mu_reply_fn)(void *context, const struct mu_reply *reply);

struct mu_http_client; /* opaque */

/* Replies arrive through `reply` from the loop, never from inside send; it may send, cancel and
 * close. Connects on the first send. Owns: caller, until close. Errors: MU_ENOMEM, MU_EINVAL (no
 * host, a path without '/' in front, a bound of informer/limits.h exceeded). */
int mu_http_client_create(uv_loop_t *loop, const struct mu_http_client_config *config,
                          mu_reply_fn reply, void *context, struct mu_http_client **out);
/* Queue a request: takes its path and body buffers (leaves them empty). More than
 * connections * streams_each wait their turn, streams (watches) first. Cancelled requests get no
 * further reply; cancelling what has ended is fine. When no connection can be made and none is up,
 * everything that waits is LOST, not_sent. Errors (the buffers stay the caller's): MU_ENOMEM,
 * MU_ECLOSED, MU_ELIMIT (MU_HTTP_REQUESTS_MAX), MU_EINVAL (token 0 or in use, path not absolute or
 * above MU_HTTP_PATH_MAX). Cost: O(1). */
int mu_http_client_send(struct mu_http_client *client, struct mu_request *request);
/* Send everything in the outbox. Stops at an error and leaves the rest there, except that requests
 * which can never be sent (MU_EINVAL) are dropped; returns the first error. */
int mu_http_client_drain(struct mu_http_client *client, struct mu_outbox *outbox);
/* Close connections; every open request gets LOST (MU_ECLOSED); then `closed` is called once and
 * the client is freed. */
void mu_http_client_close(struct mu_http_client *client, void (*closed)(void *context),
                          void *context);

/* New connections use this context from now on; those that are up take no new requests and end
 * when theirs are answered (streams: when they end). A reference is taken. A client stays what it
 * was created as, cleartext or TLS. */
void mu_http_client_set_tls(struct mu_http_client *client, struct mu_tls *tls);
/* The authorization header of requests sent from now on ("Bearer ..."); copied, the old one wiped;
 * empty: none. Errors: MU_ENOMEM, MU_ELIMIT, MU_EINVAL (bytes that no header may have). */
int mu_http_client_set_authorization(struct mu_http_client *client, struct mu_str value);
/* Why the last connection could not be made or broke by TLS, in words for people ("certificate
 * verify failed: unable to get local issuer certificate"); "" once one has been made. Valid until
 * the loop's next turn. */
const char *mu_http_client_problem(const struct mu_http_client *client);

struct mu_http_client_stats {
    uint64_t requests, replies, lost, connects, goaways, bytes_in, bytes_out;
    uint32_t open_requests, queued, connections;
};
void mu_http_client_stats(const struct mu_http_client *client, struct mu_http_client_stats *out);

/* ---- server ------------------------------------------------------------------------------- */

struct mu_http_exchange; /* one request and its response; opaque */
struct mu_http_server;   /* opaque */

/* Views, valid during on_request. path is still percent-encoded; query without '?'. */
struct mu_http_request {
    enum mu_method method;
    struct mu_str path, query, content_type, accept, authorization, user_agent;
    struct mu_str body; /* whole; capped at body_max (413 is answered by the server) */
    bool http2;
    bool tls;
    const struct mu_tls_peer *peer; /* of a verified client certificate; NULL: none */
};
struct mu_http_server_config {
    struct mu_str host;            /* "127.0.0.1"; copied */
    uint16_t port;                 /* 0: any free one */
    struct mu_tls *tls;            /* NULL: cleartext; a reference is taken */
    size_t body_max;               /* 0: 3 MiB */
    uint32_t connections_max;      /* 0: 4096 */
    uint32_t streams_max;          /* per HTTP/2 connection; 0: 250 */
    uint64_t idle_timeout_ns;      /* a peer that makes no progress on a request; 0: 60 s */
    uint64_t handshake_timeout_ns; /* TLS, from accept to its end; 0: 10 s */
    /* Must respond, now or later, exactly once (or begin/write/end). */
    void (*on_request)(void *context, struct mu_http_exchange *exchange,
                       const struct mu_http_request *request);
    /* The peer is gone, or the server closed, before the response ended. The exchange is invalid
     * afterwards. May be NULL. */
    void (*on_abort)(void *context, struct mu_http_exchange *exchange);
    /* A stream whose queue was above the high-water mark is below the low one. May be NULL. */
    void (*on_drain)(void *context, struct mu_http_exchange *exchange);
    void *context;
};

/* Bind and listen. host is an address. *port_out: the port in use. Owns: caller, until close.
 * Errors: libuv codes, MU_ENOMEM, MU_EINVAL. */
int mu_http_server_create(uv_loop_t *loop, const struct mu_http_server_config *config,
                          struct mu_http_server **out, uint16_t *port_out);
/* Stop listening, drop connections (open exchanges are aborted); then `closed` (may be NULL) is
 * called once and the server is freed. */
void mu_http_server_close(struct mu_http_server *server, void (*closed)(void *context),
                          void *context);

/* New connections use this context from now on; those that are up keep theirs. A reference is
 * taken. A server stays what it was created as, cleartext or TLS. */
void mu_http_server_set_tls(struct mu_http_server *server, struct mu_tls *tls);

/* Add a header `Warning: 299 - "text"` to the response that is to come; kubectl prints it. Quotes
 * are escaped, control characters dropped. Errors: MU_ENOMEM, MU_ELIMIT (the exchange goes on). */
int mu_http_exchange_warn(struct mu_http_exchange *exchange, struct mu_str text);
void mu_http_exchange_set(struct mu_http_exchange *exchange, void *user);
void *mu_http_exchange_get(const struct mu_http_exchange *exchange);
/* Whole response; body is copied. retry_after_s 0: no header. The exchange is done afterwards, also
 * on an error (MU_ENOMEM; MU_ELIMIT: MU_HTTP_SERVER_QUEUE_MAX), which the peer sees as a reset. */
int mu_http_respond(struct mu_http_exchange *exchange, int status, struct mu_str content_type,
                    uint32_t retry_after_s, struct mu_str body);
/* As above, but takes body's storage (leaves it empty): large lists are not copied. */
int mu_http_respond_take(struct mu_http_exchange *exchange, int status, struct mu_str content_type,
                         uint32_t retry_after_s, struct mu_buf *body);
/* A response in pieces (watch). write copies data and returns 0, or MU_EAGAIN when it is queued but
 * the queue is above the high-water mark (256 KiB: wait for on_drain), or an error (MU_ENOMEM;
 * MU_ELIMIT: MU_HTTP_STREAM_QUEUE_MAX), after which the exchange is done. */
int mu_http_respond_begin(struct mu_http_exchange *exchange, int status,
                          struct mu_str content_type);
int mu_http_respond_write(struct mu_http_exchange *exchange, struct mu_str data);
int mu_http_respond_end(struct mu_http_exchange *exchange);
/* Break the response off without an end (fault injection: lost reply): HTTP/2 resets the stream,
 * HTTP/1.1 drops the connection. The exchange is done; no on_abort. */
void mu_http_exchange_reset(struct mu_http_exchange *exchange);

#endif
