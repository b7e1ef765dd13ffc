#ifndef MU_INFORMER_HTTP_CLIENT_PRIV_H
#define MU_INFORMER_HTTP_CLIENT_PRIV_H
/* The client's inside: http_client.c owns the calls and the pool of connections,
 * http_client_conn.c brings one connection up and down, http_client_h2.c speaks HTTP/2 on it. */
#include <sys/socket.h>
#include "engine/base/index.h"
#include "informer/http.h"
#include "informer/http_h2.h"
#include "informer/http_wire.h"
#include "informer/secret.h"

#define MU_CONN_ADDRESSES_MAX 8u

struct mu_client_conn;

enum mu_client_timer { MU_TIMER_CALL, MU_TIMER_CONN, MU_TIMER_RETRY };

/* One request from send to END or LOST. On a queue of the client while conn is NULL, on its
 * connection's list after. It is freed before its last reply is delivered, so that the receiver
 * may do as it likes. */
struct mu_call {
    struct mu_link link;
    struct mu_wheel_entry deadline;
    struct mu_request request;
    struct mu_client_conn *conn;
    uint64_t due_ns;  /* of a stream: moves with every byte, the wheel's entry follows late */
    size_t body_sent; /* bytes given to nghttp2 */
    size_t received;  /* bytes of the reply's body */
    struct mu_reply head;
    uint32_t index; /* in client->calls */
    int32_t stream_id;
    bool sent;      /* its HEADERS may have left: the server may have seen it */
    bool head_done; /* HEAD was delivered */
};

enum mu_conn_state {
    MU_CONN_RESOLVING,  /* the name, in libuv's thread pool */
    MU_CONN_CONNECTING, /* TCP, one address after the other */
    MU_CONN_SECURING,   /* the TLS handshake */
    MU_CONN_GREETING,   /* our preface is out; no request goes before the server's SETTINGS */
    MU_CONN_READY,
    MU_CONN_CLOSED /* waiting for its handles to be gone */
};

struct mu_client_conn {
    struct mu_link link; /* client->conns */
    struct mu_http_client *client;
    enum mu_conn_state state;
    bool draining;    /* GOAWAY, no more stream ids, other TLS: finish what is open, no more */
    bool stale;       /* was coming up with a TLS context that is replaced: nobody's failure */
    bool wire_live;   /* the handle is not closed yet */
    bool resolving;   /* the look-up's callback is due */
    bool pinged;      /* a PING waits for any sign of life */
    int error;        /* of the last address tried */
    uint32_t streams; /* open in nghttp2, cancelled ones included until they are closed there */
    struct mu_link calls;
    struct mu_wheel_entry timer; /* connect timeout, then keep-alive */
    uint64_t heard_ns;           /* last input */
    struct mu_wire wire;
    struct mu_h2 h2;
    uv_getaddrinfo_t resolve;
    uv_connect_t connect;
    uint32_t address_count;
    uint32_t address_next;
    struct sockaddr_storage addresses[MU_CONN_ADDRESSES_MAX];
};

struct mu_http_client {
    struct mu_pump pump;
    struct mu_http_client_config config; /* defaults filled in; host points to host_text */
    char *host_text;
    struct mu_str authority;
    struct mu_secret authorization; /* the header's value; empty: none */
    struct mu_error problem;        /* of the last connection; no text: it came up */
    mu_reply_fn reply;
    void *context;
    struct mu_link conns;
    struct mu_link queue_streams;
    struct mu_link queue_plain;
    struct mu_call **calls; /* by index; NULL: free */
    uint32_t calls_cap;
    uint32_t *calls_free; /* stack of free indexes, as large as calls */
    uint32_t calls_free_cap;
    uint32_t calls_free_count;
    struct mu_index *by_token;
    struct mu_call *emitting; /* its reply is being delivered; NULL once it is gone */
    struct mu_wheel_entry retry;
    uint64_t connect_not_before_ns;
    uint32_t connect_failures; /* in a row */
    uint32_t conn_count;       /* on conns, closed ones included */
    struct mu_http_client_stats stats;
    bool closing; /* mu_http_client_close was called */
    bool closed;  /* everything was told so */
    void (*on_closed)(void *context);
    void *closed_context;
    nghttp2_session_callbacks *h2_callbacks;
    nghttp2_option *h2_option;
};

/* http_client.c */
/* Deliver a reply of a call that goes on. False: the call is gone (cancelled by the receiver). */
bool mu_call_emit(struct mu_call *call, const struct mu_reply *reply);
void mu_call_end(struct mu_http_client *client, struct mu_call *call);
void mu_call_lost(struct mu_http_client *client, struct mu_call *call, int error, bool not_sent);
/* Keep what is to be said about a connection's end. */
void mu_client_problem(struct mu_http_client *client, int error, const char *text);
/* A connection came up / ended before it did / was freed. */
void mu_client_conn_up(struct mu_client_conn *conn);
void mu_client_conn_down(struct mu_http_client *client, int error);
void mu_client_conn_freed(struct mu_http_client *client);

/* http_client_conn.c */
/* Start a connection. Errors: MU_ENOMEM, libuv codes; then there is none. */
int mu_client_conn_open(struct mu_http_client *client);
/* End it: its calls are LOST, its storage goes when the loop has closed its handles. */
void mu_client_conn_fail(struct mu_client_conn *conn, int error);
void mu_client_conn_expired(struct mu_client_conn *conn);

/* http_client_h2.c */
int mu_client_h2_setup(struct mu_http_client *client);
void mu_client_h2_fini(struct mu_http_client *client);
/* Begin a session: preface, SETTINGS, window. Errors: MU_ENOMEM, MU_EPROTO. */
int mu_client_h2_begin(struct mu_client_conn *conn);
/* How many requests more it takes now. */
uint32_t mu_client_h2_room(const struct mu_client_conn *conn);
/* Hand a call to the session. Errors: MU_EAGAIN (no more stream ids; it drains now), MU_ENOMEM,
 * MU_EPROTO; the call is still the caller's. */
int mu_client_h2_submit(struct mu_client_conn *conn, struct mu_call *call);
/* Give up a submitted call's stream; the call is detached from it. */
void mu_client_h2_drop(struct mu_call *call, uint32_t code);

#endif
