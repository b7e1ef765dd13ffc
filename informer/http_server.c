/*
 * The server: listening, connections and their limits, and which protocol a connection speaks.
 *
 * A connection starts in DETECT: as long as its bytes are a prefix of HTTP/2's preface nothing is
 * decided; the first other byte makes it HTTP/1.1 (the bytes held back are the preface's, so only
 * their number is kept), the last one HTTP/2.
 *
 * With TLS the protocol is ALPN's choice, HTTP/1.1 without one. A client whose handshake fails is
 * told why (an alert, or 400 in cleartext to a request in cleartext) and LINGERs.
 *
 * Time: a TLS handshake has one deadline from its beginning, whatever comes meanwhile. Each
 * connection has one deadline, a quarter of the idle time away, at which it is looked
 * at. It goes when it is the peer's turn (to finish a request, to take a response, to ask for
 * something at all) and the idle time has passed without progress: a few thousand bytes, or the end
 * of what it was about, so that a byte a second does not keep a connection for days. An HTTP/2
 * stream is judged the same way and reset alone. Waiting for a handler, as a watch does, is
 * nobody's fault.
 *
 * Too many connections: a new one takes the place of the oldest one that has never brought a
 * request, else of the one that has been idle longest. So a flood of connections drives out itself,
 * neither those who are being served nor, for more than a moment, those who come.
 *
 * Ending: a connection whose last word is said is shut down in our direction and LINGERs, input
 * discarded, until the peer closes or a moment has passed: closing at once while input is unread
 * would make TCP reset, and the peer might never see the answer.
 */
#include "informer/http_server_priv.h"

#include <stdio.h>
#include "engine/base/assert.h"
#include "engine/base/clock.h"
#include "engine/base/mem.h"
#include "informer/limits.h"

#define LINGER_NS       (2 * MU_NS_PER_S)
#define ACCEPT_AGAIN_NS (100 * MU_NS_PER_MS)
#define BACKLOG         1024
#define HOST_BYTES_MAX  255u
#define BODY_MAX        ((size_t)1 << 30)
#define LOOKS_PER_IDLE  4u
#define PREFACE_BYTES   24u

static const char plain_answer[] = "HTTP/1.0 400 Bad Request\r\n"
                                   "content-type: text/plain\r\n"
                                   "connection: close\r\n\r\n"
                                   "The client sent an HTTP request to an HTTPS server.\n";
static const uint8_t preface[PREFACE_BYTES + 1] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/* ---- connections --------------------------------------------------------------------------- */

static void server_freeable(struct mu_http_server *server);
static void on_wire_secured(struct mu_wire *wire);
static void on_wire_input(struct mu_wire *wire, const uint8_t *data, size_t len);
static ptrdiff_t on_wire_output(struct mu_wire *wire, uint8_t *room, size_t cap);
static void on_wire_lost(struct mu_wire *wire, int error);
static void on_wire_closed(struct mu_wire *wire);

static const struct mu_wire_hooks wire_hooks = {on_wire_secured, on_wire_input, on_wire_output,
                                                on_wire_lost, on_wire_closed};

static void conn_look_later(struct mu_server_conn *conn)
{
    struct mu_http_server *server = conn->server;
    mu_pump_arm(&server->pump, &conn->timer,
                mu_pump_now_ns() + server->config.idle_timeout_ns / LOOKS_PER_IDLE);
}

struct mu_server_conn *mu_server_conn_new(struct mu_http_server *server)
{
    struct mu_server_conn *conn = mu_mem_zalloc(sizeof *conn);
    if (conn == NULL)
        return NULL;
    conn->server = server;
    mu_link_init(&conn->exchanges);
    mu_link_init(&conn->link);
    mu_wheel_entry_init(&conn->timer, MU_SERVER_TIMER_CONN);
    if (mu_wire_init(&conn->wire, &server->pump, &wire_hooks) != 0) {
        mu_mem_free(conn);
        return NULL;
    }
    server->now_ns = mu_pump_now_ns();
    mu_progress_begin(&conn->progress, server->now_ns);
    mu_link_append(&server->conns, &conn->link);
    server->conn_count++;
    server->alive_count++;
    conn_look_later(conn);
    return conn;
}

static void conn_free(struct mu_server_conn *conn)
{
    struct mu_http_server *server = conn->server;
    MU_ASSERT(conn->dead && conn->exchange_count == 0);
    mu_link_remove(&conn->link);
    if (conn->h2.session != NULL)
        mu_h2_fini(&conn->h2);
    mu_server_h1_end(conn);
    mu_mem_free(conn);
    MU_ASSERT(server->conn_count > 0);
    server->conn_count--;
}

void mu_server_conn_drop(struct mu_server_conn *conn)
{
    if (conn->dead)
        return;
    conn->dead = true;
    MU_ASSERT(conn->server->alive_count > 0);
    conn->server->alive_count--;
    mu_pump_disarm(&conn->server->pump, &conn->timer);
    mu_wire_close(&conn->wire);
    while (!mu_link_empty(&conn->exchanges))
        mu_exchange_over(MU_LINK_OWNER(conn->exchanges.next, struct mu_http_exchange, link));
}

void mu_server_conn_linger(struct mu_server_conn *conn)
{
    if (conn->dead || conn->protocol == MU_PROTOCOL_LINGER)
        return;
    conn->protocol = MU_PROTOCOL_LINGER;
    while (!mu_link_empty(&conn->exchanges))
        mu_exchange_over(MU_LINK_OWNER(conn->exchanges.next, struct mu_http_exchange, link));
    mu_pump_arm(&conn->server->pump, &conn->timer, mu_pump_now_ns() + LINGER_NS);
    mu_wire_read(&conn->wire, true);
    mu_wire_finish(&conn->wire);
}

/* ---- bytes --------------------------------------------------------------------------------- */

static int detect(struct mu_server_conn *conn, const uint8_t *data, size_t len)
{
    uint32_t held = conn->matched;
    size_t n = 0;
    while (n < len && conn->matched < PREFACE_BYTES && data[n] == preface[conn->matched]) {
        conn->matched++;
        n++;
    }
    if (conn->matched < PREFACE_BYTES && n == len)
        return 0;
    if (conn->matched == PREFACE_BYTES) {
        int r = mu_server_h2_begin(conn);
        if (r != 0)
            return r;
        conn->protocol = MU_PROTOCOL_H2;
        r = mu_server_h2_input(conn, preface, PREFACE_BYTES);
        return r != 0 || n == len ? r : mu_server_h2_input(conn, data + n, len - n);
    }
    int r = mu_server_h1_begin(conn);
    if (r != 0)
        return r;
    conn->protocol = MU_PROTOCOL_H1;
    if (held > 0)
        r = mu_server_h1_input(conn, preface, held);
    return r != 0 || conn->dead ? r : mu_server_h1_input(conn, data, len);
}

void mu_server_conn_input(struct mu_server_conn *conn, const uint8_t *data, size_t len)
{
    int r = 0;
    if (conn->dead || conn->server->closing)
        return;
    conn->server->now_ns = mu_pump_now_ns();
    if (conn->protocol != MU_PROTOCOL_LINGER)
        mu_progress_bytes(&conn->progress, len, conn->server->now_ns);
    switch (conn->protocol) {
    case MU_PROTOCOL_DETECT:
        r = detect(conn, data, len);
        break;
    case MU_PROTOCOL_H1:
        r = mu_server_h1_input(conn, data, len);
        break;
    case MU_PROTOCOL_H2:
        r = mu_server_h2_input(conn, data, len);
        break;
    case MU_PROTOCOL_LINGER:
        break;
    }
    if (r != 0)
        mu_server_conn_drop(conn);
}

ptrdiff_t mu_server_conn_output(struct mu_server_conn *conn, uint8_t *room, size_t cap)
{
    ptrdiff_t len = 0;
    if (conn->dead || conn->server->closing)
        return 0;
    if (conn->protocol == MU_PROTOCOL_H1)
        len = mu_server_h1_output(conn, room, cap);
    else if (conn->protocol == MU_PROTOCOL_H2)
        len = mu_server_h2_output(conn, room, cap);
    if (len > 0)
        mu_progress_bytes(&conn->progress, (size_t)len, conn->server->now_ns);
    return len;
}

/* ---- the wire's and the pump's hooks ------------------------------------------------------- */

static void on_wire_secured(struct mu_wire *wire)
{
    struct mu_server_conn *conn = MU_LINK_OWNER(wire, struct mu_server_conn, wire);
    bool h2 = mu_str_equal(mu_wire_protocol(wire), MU_STR("h2"));
    MU_ASSERT(conn->securing && conn->protocol == MU_PROTOCOL_DETECT);
    conn->securing = false;
    conn->protocol = h2 ? MU_PROTOCOL_H2 : MU_PROTOCOL_H1;
    mu_progress_begin(&conn->progress, mu_pump_now_ns());
    conn_look_later(conn);
    if ((h2 ? mu_server_h2_begin(conn) : mu_server_h1_begin(conn)) != 0)
        mu_server_conn_drop(conn);
}

static void on_wire_input(struct mu_wire *wire, const uint8_t *data, size_t len)
{
    mu_server_conn_input(MU_LINK_OWNER(wire, struct mu_server_conn, wire), data, len);
}

static ptrdiff_t on_wire_output(struct mu_wire *wire, uint8_t *room, size_t cap)
{
    return mu_server_conn_output(MU_LINK_OWNER(wire, struct mu_server_conn, wire), room, cap);
}

static void on_wire_lost(struct mu_wire *wire, int error)
{
    struct mu_server_conn *conn = MU_LINK_OWNER(wire, struct mu_server_conn, wire);
    if (mu_wire_tls_failed(wire) && conn->protocol != MU_PROTOCOL_LINGER) {
        if (mu_wire_tls_met_http(wire))
            mu_wire_say_plain(wire, MU_STR(plain_answer));
        mu_server_conn_linger(conn);
        return;
    }
    /* A client that ends its direction behind its last request still wants the answer; when that
     * is written the connection lingers, and goes. */
    if (error == UV_EOF && conn->protocol == MU_PROTOCOL_H1 && mu_server_h1_eof(conn))
        return;
    mu_server_conn_drop(conn);
}

static void on_wire_closed(struct mu_wire *wire)
{
    struct mu_server_conn *conn = MU_LINK_OWNER(wire, struct mu_server_conn, wire);
    struct mu_http_server *server = conn->server;
    conn_free(conn);
    server_freeable(server);
}

/* Reset the HTTP/2 streams whose peer owes us something and is silent. */
static void look_at_streams(struct mu_server_conn *conn, uint64_t now_ns, uint64_t idle_ns)
{
    for (struct mu_link *l = conn->exchanges.next; l != &conn->exchanges; l = l->next) {
        struct mu_http_exchange *ex = MU_LINK_OWNER(l, struct mu_http_exchange, link);
        bool peers_turn = !ex->request_done || mu_exchange_queued(ex) > 0;
        if (peers_turn && now_ns - ex->progress.at_ns >= idle_ns)
            mu_server_h2_reset(ex, NGHTTP2_CANCEL);
    }
}

static void conn_look(struct mu_server_conn *conn)
{
    uint64_t idle_ns = conn->server->config.idle_timeout_ns;
    uint64_t now_ns = mu_pump_now_ns();
    if (conn->protocol == MU_PROTOCOL_LINGER || conn->securing) {
        mu_server_conn_drop(conn);
        return;
    }
    if (!conn->wire.reading && mu_wire_torn_down(&conn->wire)) {
        mu_server_conn_drop(conn); /* nobody waits for the answer that holds up the reading */
        return;
    }
    size_t unsent = mu_wire_unsent(&conn->wire);
    if (unsent < conn->unsent)
        mu_progress_bytes(&conn->progress, conn->unsent - unsent, now_ns);
    conn->unsent = unsent;
    if (conn->protocol == MU_PROTOCOL_H2)
        look_at_streams(conn, now_ns, idle_ns);
    bool waits_for_us =
        unsent == 0 && ((conn->protocol == MU_PROTOCOL_H2 && conn->exchange_count > 0) ||
                        (conn->protocol == MU_PROTOCOL_H1 && mu_server_h1_waits_for_handler(conn)));
    if (!waits_for_us && now_ns - conn->progress.at_ns >= idle_ns) {
        if (conn->protocol != MU_PROTOCOL_H2 || unsent > 0) {
            mu_server_conn_drop(conn);
            return;
        }
        mu_server_h2_goaway(conn);
        if (conn->dead)
            return;
    }
    conn_look_later(conn);
}

void mu_server_drained(struct mu_http_server *server)
{
    while (!mu_link_empty(&server->drained)) {
        struct mu_http_exchange *ex =
            MU_LINK_OWNER(server->drained.next, struct mu_http_exchange, drained);
        mu_link_remove(&ex->drained);
        if (ex->handed && server->config.on_drain != NULL)
            server->config.on_drain(server->config.context, ex);
    }
}

static void on_connection(uv_stream_t *listener, int status);

static void on_expired(struct mu_pump *pump, struct mu_wheel_entry *entry)
{
    struct mu_http_server *server = MU_LINK_OWNER(pump, struct mu_http_server, pump);
    if (server->closing)
        return;
    if (entry->kind == MU_SERVER_TIMER_ACCEPT)
        on_connection((uv_stream_t *)&server->listener, 0);
    else
        conn_look(MU_LINK_OWNER(entry, struct mu_server_conn, timer));
}

static void on_listener_closed(uv_handle_t *handle)
{
    struct mu_http_server *server = handle->data;
    server->listening = false;
    server_freeable(server);
}

/* mu_http_server_close, from the loop: nobody is inside a callback of ours. */
static void server_shut(struct mu_http_server *server)
{
    if (server->listening)
        uv_close((uv_handle_t *)&server->listener, on_listener_closed);
    for (struct mu_link *l = server->conns.next; l != &server->conns; l = l->next)
        mu_server_conn_drop(MU_LINK_OWNER(l, struct mu_server_conn, link));
    server->closed = true;
    server_freeable(server);
}

static void on_turn(struct mu_pump *pump)
{
    struct mu_http_server *server = MU_LINK_OWNER(pump, struct mu_http_server, pump);
    server->now_ns = mu_pump_now_ns();
    if (server->closing && !server->closed)
        server_shut(server);
}

static void on_flushed(struct mu_pump *pump)
{
    mu_server_drained(MU_LINK_OWNER(pump, struct mu_http_server, pump));
}

static void server_free(struct mu_http_server *server)
{
    mu_exchange_free_spare(server);
    mu_server_h2_fini(server);
    mu_tls_unref(server->config.tls);
    mu_mem_free(server);
}

static void on_pump_closed(struct mu_pump *pump)
{
    struct mu_http_server *server = MU_LINK_OWNER(pump, struct mu_http_server, pump);
    void (*closed)(void *) = server->on_closed;
    void *context = server->closed_context;
    MU_ASSERT(server->bodies_bytes == 0 && server->queued_bytes == 0);
    server_free(server);
    if (closed != NULL)
        closed(context);
}

/* The last handle but the pump's is gone: the pump's follow. */
static void server_freeable(struct mu_http_server *server)
{
    if (server->closed && !server->listening && server->conn_count == 0)
        mu_pump_close(&server->pump);
}

static const struct mu_pump_hooks server_hooks = {on_turn, on_flushed, on_expired, on_pump_closed};

/* ---- listening ----------------------------------------------------------------------------- */

/* Whose place a new connection takes when there are too many; itself when all are being served. */
static struct mu_server_conn *conn_to_spare(struct mu_server_conn *fresh)
{
    struct mu_server_conn *spare = fresh;
    const struct mu_link *conns = &fresh->server->conns;
    for (struct mu_link *l = conns->next; l != conns; l = l->next) {
        struct mu_server_conn *conn = MU_LINK_OWNER(l, struct mu_server_conn, link);
        if (conn->dead || conn == fresh)
            continue;
        if (!conn->known)
            return conn; /* the list is in the order of arrival */
        bool idle = conn->exchange_count == 0 && mu_wire_unsent(&conn->wire) == 0;
        if (idle && (spare == fresh || conn->progress.at_ns < spare->progress.at_ns))
            spare = conn;
    }
    return spare;
}

static void on_connection(uv_stream_t *listener, int status)
{
    struct mu_http_server *server = listener->data;
    if (status != 0 || server->closing)
        return;
    struct mu_server_conn *conn = mu_server_conn_new(server);
    if (conn == NULL) { /* libuv reports no further one until this one is accepted */
        mu_pump_arm(&server->pump, &server->accept_again, mu_pump_now_ns() + ACCEPT_AGAIN_NS);
        return;
    }
    int r = uv_accept(listener, (uv_stream_t *)&conn->wire.tcp);
    if (r == 0 && server->alive_count > server->config.connections_max) {
        struct mu_server_conn *spare = conn_to_spare(conn);
        if (spare == conn)
            r = MU_ELIMIT;
        else
            mu_server_conn_drop(spare);
    }
    if (r == 0 && server->config.tls != NULL) {
        conn->securing = true;
        mu_pump_arm(&server->pump, &conn->timer,
                    mu_pump_now_ns() + server->config.handshake_timeout_ns);
        r = mu_wire_secure(&conn->wire, server->config.tls, NULL);
    }
    if (r == 0)
        r = mu_wire_start(&conn->wire);
    if (r != 0)
        mu_server_conn_drop(conn);
}

static void server_defaults(struct mu_http_server_config *config)
{
    if (config->body_max == 0)
        config->body_max = (size_t)3 << 20;
    if (config->connections_max == 0)
        config->connections_max = 4096;
    if (config->streams_max == 0)
        config->streams_max = 250;
    if (config->idle_timeout_ns == 0)
        config->idle_timeout_ns = 60 * MU_NS_PER_S;
    if (config->handshake_timeout_ns == 0)
        config->handshake_timeout_ns = 10 * MU_NS_PER_S;
}

static int server_new(const struct mu_http_server_config *config, uv_loop_t *loop,
                      struct mu_http_server **out)
{
    if (config->on_request == NULL || config->body_max > BODY_MAX)
        return MU_EINVAL;
    struct mu_http_server *server = mu_mem_zalloc(sizeof *server);
    if (server == NULL)
        return MU_ENOMEM;
    server->config = *config;
    server->config.host = MU_STR(""); /* used while listening only */
    server_defaults(&server->config);
    if (config->tls != NULL)
        (void)mu_tls_ref(config->tls);
    mu_link_init(&server->conns);
    mu_link_init(&server->spare);
    mu_link_init(&server->drained);
    mu_wheel_entry_init(&server->accept_again, MU_SERVER_TIMER_ACCEPT);
    int r = mu_server_h2_setup(server);
    if (r == 0)
        r = mu_pump_init(&server->pump, loop, &server_hooks);
    if (r != 0) {
        server_free(server);
        return r;
    }
    server->now_ns = mu_pump_now_ns();
    *out = server;
    return 0;
}

int mu_server_detached(const struct mu_http_server_config *config, struct mu_http_server **out)
{
    return server_new(config, NULL, out);
}

void mu_server_detached_free(struct mu_http_server *server)
{
    MU_ASSERT(server->pump.loop == NULL);
    while (!mu_link_empty(&server->conns)) {
        struct mu_server_conn *conn =
            MU_LINK_OWNER(server->conns.next, struct mu_server_conn, link);
        mu_server_conn_drop(conn);
        conn_free(conn);
    }
    mu_pump_close(&server->pump);
}

static int server_listen(struct mu_http_server *server, const struct mu_http_server_config *config,
                         uint16_t *port_out)
{
    char host[HOST_BYTES_MAX + 1];
    struct sockaddr_storage address = {0};
    if (config->host.len == 0 || config->host.len > HOST_BYTES_MAX)
        return MU_EINVAL;
    memcpy(host, config->host.data, config->host.len);
    host[config->host.len] = '\0';
    if (uv_ip4_addr(host, config->port, (struct sockaddr_in *)&address) != 0 &&
        uv_ip6_addr(host, config->port, (struct sockaddr_in6 *)&address) != 0)
        return MU_EINVAL;
    int r = uv_tcp_init(server->pump.loop, &server->listener);
    if (r != 0)
        return r;
    server->listener.data = server;
    server->listening = true;
    r = uv_tcp_bind(&server->listener, (const struct sockaddr *)&address, 0);
    if (r == 0)
        r = uv_listen((uv_stream_t *)&server->listener, BACKLOG, on_connection);
    int len = (int)sizeof address;
    if (r == 0)
        r = uv_tcp_getsockname(&server->listener, (struct sockaddr *)&address, &len);
    if (r == 0)
        *port_out =
            ntohs(address.ss_family == AF_INET6 ? ((const struct sockaddr_in6 *)&address)->sin6_port
                                                : ((const struct sockaddr_in *)&address)->sin_port);
    return r;
}

/* ---- public -------------------------------------------------------------------------------- */

int mu_http_server_create(uv_loop_t *loop, const struct mu_http_server_config *config,
                          struct mu_http_server **out, uint16_t *port_out)
{
    struct mu_http_server *server = NULL;
    MU_ASSERT(loop != NULL);
    int r = server_new(config, loop, &server);
    if (r != 0)
        return r;
    r = server_listen(server, config, port_out);
    if (r != 0) {
        mu_http_server_close(server, NULL, NULL); /* its handles need the loop's next turn */
        return r;
    }
    *out = server;
    return 0;
}

void mu_http_server_close(struct mu_http_server *server, void (*closed)(void *context),
                          void *context)
{
    MU_ASSERT(!server->closing);
    server->closing = true;
    server->on_closed = closed;
    server->closed_context = context;
    mu_pump_kick(&server->pump);
}

void mu_http_server_set_tls(struct mu_http_server *server, struct mu_tls *tls)
{
    MU_ASSERT((server->config.tls != NULL) == (tls != NULL));
    struct mu_tls *old = server->config.tls;
    server->config.tls = tls != NULL ? mu_tls_ref(tls) : NULL;
    mu_tls_unref(old);
}
