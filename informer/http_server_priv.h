#ifndef MU_INFORMER_HTTP_SERVER_PRIV_H
#define MU_INFORMER_HTTP_SERVER_PRIV_H
/* The server's inside: http_server.c owns connections and limits, http_exchange.c what is common
 * to requests and responses of both protocols, http_server_h2.c and http_server_h1.c speak them.
 * Fuzzing and tests feed a connection without sockets: mu_server_detached, mu_server_conn_new,
 * mu_server_conn_input, mu_server_conn_output. */
#include "informer/http.h"
#include "informer/http_h2.h"
#include "informer/http_wire.h"

struct mu_server_conn;
struct mu_h1;

enum mu_server_protocol {
    MU_PROTOCOL_DETECT, /* the bytes so far are a prefix of HTTP/2's preface */
    MU_PROTOCOL_H1,
    MU_PROTOCOL_H2,
    MU_PROTOCOL_LINGER /* all is said; input is discarded until the peer has read it and closes */
};

enum mu_server_timer { MU_SERVER_TIMER_CONN, MU_SERVER_TIMER_ACCEPT };

/* How long the peer has been getting nowhere: since at_ns it has moved fewer than
 * MU_HTTP_PROGRESS_MIN bytes. */
struct mu_progress {
    uint64_t at_ns;
    size_t moved;
};

/* Request fields that handlers see. */
enum mu_http_field {
    MU_FIELD_PATH, /* with the query */
    MU_FIELD_CONTENT_TYPE,
    MU_FIELD_ACCEPT,
    MU_FIELD_AUTHORIZATION,
    MU_FIELD_USER_AGENT,
    MU_HTTP_FIELD_COUNT
};

/* One request and its response. The handler owes an answer while `handed`; the storage lives until
 * the stream is closed (HTTP/2) or the response is written (HTTP/1.1). */
struct mu_http_exchange {
    struct mu_link link;    /* conn->exchanges or server->spare */
    struct mu_link drained; /* server->drained */
    struct mu_server_conn *conn;
    void *user;
    int32_t stream_id;
    struct mu_progress progress; /* of the peer, with the request and then the response */
    enum mu_method method;
    bool method_known;
    bool fields_done;  /* its header section is complete */
    bool request_done; /* its body too */
    bool handed;
    bool begun;             /* the response's head is decided */
    bool ended;             /* its body is all in `out` */
    bool whole;             /* its length is known: out holds all of it */
    bool bodyless;          /* its status allows no body: 204, 304; out is not sent */
    bool over_mark;         /* write has said MU_EAGAIN */
    int refusal;            /* status to answer without the handler; 0: none */
    size_t fields_size;     /* RFC 9113 §6.5.2: names, values and 32 each */
    struct mu_buf warnings; /* values of Warning headers, each ended by a NUL */
    uint32_t warning_count;
    struct mu_buf fields;
    struct {
        uint32_t at, len;
    } field[MU_HTTP_FIELD_COUNT];
    struct mu_buf body;
    struct mu_buf out;
    size_t out_at; /* bytes of out that have been taken */
};

struct mu_server_conn {
    struct mu_link link;
    struct mu_http_server *server;
    struct mu_wire wire;
    struct mu_wheel_entry timer;
    enum mu_server_protocol protocol;
    bool securing;    /* the TLS handshake is not done */
    bool dead;        /* dropped; storage goes when the handle is closed */
    bool known;       /* a request of it was handed over */
    uint32_t matched; /* bytes of the preface seen */
    struct mu_progress progress;
    size_t unsent; /* of the wire, when last looked at */
    struct mu_link exchanges;
    uint32_t exchange_count;
    struct mu_h2 h2;
    struct mu_h1 *h1;
};

struct mu_http_server {
    struct mu_pump pump;
    uv_tcp_t listener;
    bool listening;                      /* the listener's handle is not closed yet */
    bool closing;                        /* mu_http_server_close was called */
    bool closed;                         /* connections were told */
    struct mu_http_server_config config; /* defaults filled in */
    struct mu_link conns;
    uint32_t conn_count;                /* on conns, dead ones included */
    uint32_t alive_count;               /* the others */
    struct mu_wheel_entry accept_again; /* a connection waits for memory to be accepted */
    struct mu_link spare;               /* exchanges for re-use */
    uint32_t spare_count;
    struct mu_link drained;
    uint64_t now_ns;       /* of this input or turn */
    uint64_t bodies_bytes; /* of requests that are being collected or handled */
    uint64_t queued_bytes; /* of responses */
    void (*on_closed)(void *context);
    void *closed_context;
    nghttp2_session_callbacks *h2_callbacks;
    nghttp2_option *h2_option;
};

/* http_server.c */
/* A server without sockets; free it with mu_server_detached_free. Errors: MU_ENOMEM, MU_EINVAL. */
int mu_server_detached(const struct mu_http_server_config *config, struct mu_http_server **out);
void mu_server_detached_free(struct mu_http_server *server);
/* A connection; its wire is initialised. NULL: out of memory. */
struct mu_server_conn *mu_server_conn_new(struct mu_http_server *server);
void mu_server_conn_input(struct mu_server_conn *conn, const uint8_t *data, size_t len);
ptrdiff_t mu_server_conn_output(struct mu_server_conn *conn, uint8_t *room, size_t cap);
/* End it now: exchanges are aborted, the wire is closed. */
void mu_server_conn_drop(struct mu_server_conn *conn);
/* Everything is written: end our direction, discard what still comes, close soon. */
void mu_server_conn_linger(struct mu_server_conn *conn);
/* Deliver on_drain where it is due. */
void mu_server_drained(struct mu_http_server *server);

/* http_exchange.c */
/* The peer's turn begins; it gave or took bytes. */
void mu_progress_begin(struct mu_progress *progress, uint64_t now_ns);
void mu_progress_bytes(struct mu_progress *progress, size_t len, uint64_t now_ns);
/* NULL: out of memory. */
struct mu_http_exchange *mu_exchange_new(struct mu_server_conn *conn, int32_t stream_id);
/* It is over: on_abort if the handler still owes an answer, then the storage is taken back. */
void mu_exchange_over(struct mu_http_exchange *exchange);
void mu_exchange_free_spare(struct mu_http_server *server);
/* Count `size` bytes of header section. */
void mu_exchange_count(struct mu_http_exchange *exchange, size_t size);
/* A field of the request, name in any case. The first of several counts. */
void mu_exchange_field(struct mu_http_exchange *exchange, struct mu_str name, struct mu_str value);
void mu_exchange_method(struct mu_http_exchange *exchange, struct mu_str method);
void mu_exchange_body(struct mu_http_exchange *exchange, const uint8_t *data, size_t len);
/* The header section is complete: refuse what can be refused now. */
void mu_exchange_fields_done(struct mu_http_exchange *exchange);
/* Hand a complete request to the handler, or answer a refused one. */
void mu_exchange_dispatch(struct mu_http_exchange *exchange);
/* Answer a refusal now, if there is one and nothing was answered yet. True: it was. */
bool mu_exchange_refuse(struct mu_http_exchange *exchange);
/* Move up to cap bytes of the response's body into room. */
size_t mu_exchange_take(struct mu_http_exchange *exchange, uint8_t *room, size_t cap);
size_t mu_exchange_queued(const struct mu_http_exchange *exchange);

/* The next value of a Warning header; start with an empty one. False: that was the last. */
bool mu_exchange_warning(const struct mu_http_exchange *exchange, struct mu_str *value);

/* What a protocol does with a response. */
struct mu_response_head {
    int status;
    struct mu_str content_type;
    uint32_t retry_after_s;
    size_t length; /* of a whole response */
};

/* http_server_h2.c */
int mu_server_h2_setup(struct mu_http_server *server);
void mu_server_h2_fini(struct mu_http_server *server);
int mu_server_h2_begin(struct mu_server_conn *conn);
int mu_server_h2_input(struct mu_server_conn *conn, const uint8_t *data, size_t len);
ptrdiff_t mu_server_h2_output(struct mu_server_conn *conn, uint8_t *room, size_t cap);
int mu_server_h2_respond(struct mu_http_exchange *exchange, const struct mu_response_head *head);
void mu_server_h2_wake(struct mu_http_exchange *exchange);
void mu_server_h2_reset(struct mu_http_exchange *exchange, uint32_t code);
/* Say GOAWAY: an idle connection is to go. */
void mu_server_h2_goaway(struct mu_server_conn *conn);

/* http_server_h1.c */
int mu_server_h1_begin(struct mu_server_conn *conn);
void mu_server_h1_end(struct mu_server_conn *conn);
int mu_server_h1_input(struct mu_server_conn *conn, const uint8_t *data, size_t len);
ptrdiff_t mu_server_h1_output(struct mu_server_conn *conn, uint8_t *room, size_t cap);
int mu_server_h1_respond(struct mu_http_exchange *exchange, const struct mu_response_head *head);
/* The peer has ended its direction. True: a whole response is still to be written to it. */
bool mu_server_h1_eof(struct mu_server_conn *conn);
/* The handler has the request and nothing is to be written: the peer is not the one to wait for. */
bool mu_server_h1_waits_for_handler(const struct mu_server_conn *conn);

#endif
