/*
 * One connection of the client, from name look-up to the closing of its handles.
 *
 *   RESOLVING -> CONNECTING -> (SECURING ->) GREETING -> READY -> CLOSED -> freed
 *        \____________\____________\____________\__________^
 *
 * With TLS the server has to choose HTTP/2 by ALPN: we speak nothing else. A server that refuses
 * our certificate says so behind the handshake (TLS 1.3), while we wait for its SETTINGS.
 *
 * One timer: until READY it is the connect timeout over all addresses and the greeting; after, the
 * keep-alive: a PING after silence, the end when nothing at all comes back. The storage outlives
 * CLOSED until the handle's close and the look-up's callback have both run.
 *
 * The connections of a detached client (no loop: fuzzing) begin in GREETING; whoever made the
 * client calls their wires' hooks, `closed` included once one is CLOSED.
 */
#include "informer/http_client_priv.h"

#include <netdb.h>
#include <stdio.h>
#include "engine/base/assert.h"
#include "engine/base/mem.h"

static void connect_next(struct mu_client_conn *conn);

/* ---- the end ------------------------------------------------------------------------------- */

static void conn_release(struct mu_client_conn *conn)
{
    MU_ASSERT(conn->state == MU_CONN_CLOSED);
    if (conn->wire_live || conn->resolving)
        return;
    MU_ASSERT(mu_link_empty(&conn->calls));
    struct mu_http_client *client = conn->client;
    mu_link_remove(&conn->link);
    if (conn->h2.session != NULL)
        mu_h2_fini(&conn->h2);
    mu_mem_free(conn);
    mu_client_conn_freed(client);
}

/* Put the end of a connection that did not come up, or broke by TLS, into words. */
static void conn_explain(struct mu_client_conn *conn, int error)
{
    const char *problem = conn->wire_live ? mu_wire_problem(&conn->wire) : "";
    bool up = conn->state == MU_CONN_READY;
    if (problem[0] != '\0') /* TLS knows best */
        mu_client_problem(conn->client, error, problem);
    else if (up)
        return;
    else if (error == MU_ETLS) /* and TLS is fine: see on_secured */
        mu_client_problem(conn->client, error, "the server speaks no HTTP/2 (by ALPN)");
    else if (error == MU_ETIMEOUT && conn->state == MU_CONN_RESOLVING)
        mu_client_problem(conn->client, error, "the look-up of the host's name takes too long");
    else if (error == MU_ETIMEOUT && conn->state == MU_CONN_CONNECTING)
        mu_client_problem(conn->client, error, "the server does not answer");
    else if (error == MU_ETIMEOUT && conn->state == MU_CONN_SECURING)
        mu_client_problem(conn->client, error, "the TLS handshake takes too long");
    else if (error == MU_ETIMEOUT)
        mu_client_problem(conn->client, error, "the server is silent after connecting");
    else if (error == MU_EPROTO && conn->wire.tls == NULL)
        mu_client_problem(conn->client, error, "the server speaks no HTTP/2 in cleartext");
    else if (error == UV_EOF && conn->state == MU_CONN_GREETING)
        mu_client_problem(conn->client, error, "the server closed the connection at once");
    else
        mu_client_problem(conn->client, error,
                          error > -10000 ? uv_strerror(error) : mu_error_text(error));
}

void mu_client_conn_fail(struct mu_client_conn *conn, int error)
{
    struct mu_http_client *client = conn->client;
    if (conn->state == MU_CONN_CLOSED)
        return;
    bool was_up = conn->state == MU_CONN_READY;
    if (!conn->stale && !client->closing)
        conn_explain(conn, error);
    conn->state = MU_CONN_CLOSED;
    mu_pump_disarm(&client->pump, &conn->timer);
    if (conn->wire_live)
        mu_wire_close(&conn->wire);
    if (conn->resolving)
        (void)uv_cancel((uv_req_t *)&conn->resolve); /* busy: its callback sees CLOSED */
    while (!mu_link_empty(&conn->calls)) {
        struct mu_call *call = MU_LINK_OWNER(conn->calls.next, struct mu_call, link);
        mu_call_lost(client, call, error, !call->sent);
    }
    if (!was_up && !conn->stale)
        mu_client_conn_down(client, error);
    mu_pump_kick(&client->pump);
    conn_release(conn);
}

/* ---- the wire's hooks ---------------------------------------------------------------------- */

static struct mu_client_conn *conn_of(struct mu_wire *wire)
{
    return MU_LINK_OWNER(wire, struct mu_client_conn, wire);
}

/* After GOAWAY, or when nghttp2 has given up: nothing more will happen here. */
static bool conn_over(const struct mu_client_conn *conn)
{
    return mu_h2_done(&conn->h2) ||
           (conn->draining && conn->streams == 0 && conn->h2.pending_len == 0 &&
            !nghttp2_session_want_write(conn->h2.session));
}

static void on_input(struct mu_wire *wire, const uint8_t *data, size_t len)
{
    struct mu_client_conn *conn = conn_of(wire);
    if (conn->client->closing)
        return;
    conn->heard_ns = mu_pump_now_ns();
    if (conn->pinged) { /* any sign of life will do */
        conn->pinged = false;
        mu_pump_arm(&conn->client->pump, &conn->timer,
                    conn->heard_ns + conn->client->config.ping_idle_ns);
    }
    int r = mu_h2_input(&conn->h2, data, len);
    if (r != 0)
        mu_client_conn_fail(conn, r);
}

static ptrdiff_t on_output(struct mu_wire *wire, uint8_t *room, size_t cap)
{
    struct mu_client_conn *conn = conn_of(wire);
    if (conn->client->closing)
        return 0;
    ptrdiff_t len = mu_h2_output(&conn->h2, room, cap);
    /* We never end a session by ourselves: without the server's GOAWAY it was nghttp2 that did,
     * and what it sent last says what the server has done wrong. */
    if (len == 0 && conn_over(conn))
        mu_client_conn_fail(conn, conn->draining ? MU_ECLOSED : MU_EPROTO);
    return len;
}

static void on_lost(struct mu_wire *wire, int error)
{
    mu_client_conn_fail(conn_of(wire), error);
}

static void on_closed(struct mu_wire *wire)
{
    struct mu_client_conn *conn = conn_of(wire);
    conn->wire_live = false;
    if (conn->state == MU_CONN_CLOSED)
        conn_release(conn);
    else
        connect_next(conn);
}

static void on_secured(struct mu_wire *wire);

static const struct mu_wire_hooks conn_hooks = {on_secured, on_input, on_output, on_lost,
                                                on_closed};

/* ---- coming up ----------------------------------------------------------------------------- */

/* The peer takes bytes: greet it, or have the wire shake hands first. */
static void conn_greet(struct mu_client_conn *conn)
{
    struct mu_tls *tls = conn->client->config.tls;
    int r = tls != NULL ? mu_wire_secure(&conn->wire, tls, conn->client->config.host.data)
                        : mu_client_h2_begin(conn);
    if (r == 0) {
        conn->state = tls != NULL ? MU_CONN_SECURING : MU_CONN_GREETING;
        r = mu_wire_start(&conn->wire);
    }
    if (r != 0)
        mu_client_conn_fail(conn, r);
}

static void on_secured(struct mu_wire *wire)
{
    struct mu_client_conn *conn = conn_of(wire);
    int r = MU_ETLS;
    conn->heard_ns = mu_pump_now_ns();
    if (mu_str_equal(mu_wire_protocol(wire), MU_STR("h2"))) {
        conn->state = MU_CONN_GREETING;
        r = mu_client_h2_begin(conn);
    }
    if (r != 0)
        mu_client_conn_fail(conn, r);
}

static void on_connect(uv_connect_t *request, int status)
{
    struct mu_client_conn *conn = MU_LINK_OWNER(request, struct mu_client_conn, connect);
    if (conn->state != MU_CONN_CONNECTING)
        return;
    if (status != 0) {
        conn->error = status;
        mu_wire_close(&conn->wire); /* the next address follows when the handle is gone */
        return;
    }
    conn_greet(conn);
}

static void connect_next(struct mu_client_conn *conn)
{
    if (conn->address_next == conn->address_count) {
        mu_client_conn_fail(conn, conn->error);
        return;
    }
    const struct sockaddr *address =
        (const struct sockaddr *)&conn->addresses[conn->address_next++];
    conn->state = MU_CONN_CONNECTING;
    int r = mu_wire_init(&conn->wire, &conn->client->pump, &conn_hooks);
    if (r != 0) {
        mu_client_conn_fail(conn, r);
        return;
    }
    conn->wire_live = true;
    if (conn->client->pump.loop == NULL) {
        conn_greet(conn);
        return;
    }
    r = uv_tcp_connect(&conn->connect, &conn->wire.tcp, address, on_connect);
    if (r != 0) {
        conn->error = r;
        mu_wire_close(&conn->wire);
    }
}

static void on_resolved(uv_getaddrinfo_t *request, int status, struct addrinfo *list)
{
    struct mu_client_conn *conn = MU_LINK_OWNER(request, struct mu_client_conn, resolve);
    conn->resolving = false;
    for (const struct addrinfo *a = list; a != NULL; a = a->ai_next) {
        if (conn->address_count == MU_CONN_ADDRESSES_MAX || a->ai_addrlen > sizeof *conn->addresses)
            break;
        memcpy(&conn->addresses[conn->address_count++], a->ai_addr, a->ai_addrlen);
    }
    uv_freeaddrinfo(list);
    conn->error = status != 0 ? status : UV_EAI_NONAME;
    if (conn->state == MU_CONN_CLOSED)
        conn_release(conn);
    else
        connect_next(conn);
}

/* The host is an address: no look-up. */
static bool host_is_address(struct mu_client_conn *conn)
{
    const struct mu_http_client_config *config = &conn->client->config;
    struct sockaddr_storage *to = &conn->addresses[0];
    if (uv_ip4_addr(config->host.data, config->port, (struct sockaddr_in *)to) != 0 &&
        uv_ip6_addr(config->host.data, config->port, (struct sockaddr_in6 *)to) != 0)
        return false;
    conn->address_count = 1;
    return true;
}

static int resolve_start(struct mu_client_conn *conn)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    char port[8];
    (void)snprintf(port, sizeof port, "%u", (unsigned)conn->client->config.port);
    int r = uv_getaddrinfo(conn->client->pump.loop, &conn->resolve, on_resolved,
                           conn->client->config.host.data, port, &hints);
    conn->resolving = r == 0;
    return r;
}

int mu_client_conn_open(struct mu_http_client *client)
{
    struct mu_client_conn *conn = mu_mem_zalloc(sizeof *conn);
    if (conn == NULL)
        return MU_ENOMEM;
    conn->client = client;
    conn->state = MU_CONN_RESOLVING;
    mu_link_init(&conn->link);
    mu_link_init(&conn->calls);
    mu_wheel_entry_init(&conn->timer, MU_TIMER_CONN);
    bool known = host_is_address(conn);
    int r = known ? 0 : resolve_start(conn);
    if (r != 0) {
        mu_mem_free(conn);
        return r;
    }
    mu_link_append(&client->conns, &conn->link);
    client->conn_count++;
    mu_pump_arm(&client->pump, &conn->timer, mu_pump_now_ns() + client->config.connect_timeout_ns);
    if (known)
        connect_next(conn);
    return 0;
}

/* ---- the timer ----------------------------------------------------------------------------- */

void mu_client_conn_expired(struct mu_client_conn *conn)
{
    const struct mu_http_client_config *config = &conn->client->config;
    if (conn->state != MU_CONN_READY) {
        mu_client_conn_fail(conn, MU_ETIMEOUT);
        return;
    }
    uint64_t now_ns = mu_pump_now_ns();
    uint64_t due_ns = conn->heard_ns + config->ping_idle_ns;
    if (conn->pinged) { /* still: nothing was heard */
        mu_client_conn_fail(conn, MU_ETIMEOUT);
        return;
    }
    if (due_ns <= now_ns) {
        int r = nghttp2_submit_ping(conn->h2.session, NGHTTP2_FLAG_NONE, NULL);
        if (r != 0) {
            mu_client_conn_fail(conn, mu_h2_error(r));
            return;
        }
        conn->pinged = true;
        due_ns = now_ns + config->ping_timeout_ns;
        mu_wire_kick(&conn->wire);
    }
    mu_pump_arm(&conn->client->pump, &conn->timer, due_ns);
}
