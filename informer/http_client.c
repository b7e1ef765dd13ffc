/*
 * The client: calls, their queue, and the pool of connections.
 *
 * A call waits in the queue until a connection that is READY has a free stream; the least busy one
 * takes it. The pool opens a connection when more calls wait than the ones being connected will
 * take. A connection takes calls only after the server's SETTINGS have come: so a server that is
 * not HTTP/2, or accepts and is silent, is found out by the connect timeout before any request is
 * at risk, and the server's stream limit is never overrun.
 *
 * When a connection cannot be made and no other is up or coming, every waiting call is LOST,
 * not_sent: the state machines above have their own back-off, a hidden queue helps nobody. The
 * pool itself pauses between attempts (50 ms doubling to 1 s), so that callers who try again at
 * once do not spin.
 *
 * Nothing is delivered from inside send, cancel or close: replies come from reads, deadlines and
 * the pump's turn. A receiver may send, cancel and close from inside a reply.
 */
#include "informer/http_client_priv.h"

#include <stdio.h>
#include "engine/base/assert.h"
#include "engine/base/clock.h"
#include "engine/base/hash.h"
#include "engine/base/mem.h"
#include "informer/limits.h"

#define RETRY_FIRST_NS     (50 * MU_NS_PER_MS)
#define RETRY_DOUBLINGS    5u /* 1.6 s at most */
#define HOST_BYTES_MAX     255u
#define CALLS_FREE_MINIMUM 64u

/* ---- calls --------------------------------------------------------------------------------- */

static bool call_equal(const void *context, uint32_t value, const void *key)
{
    const struct mu_http_client *client = context;
    return client->calls[value]->request.token == *(const uint64_t *)key;
}

static uint64_t token_hash(uint64_t token)
{
    return mu_hash_mix(token, 0);
}

static uint64_t call_hash(const void *context, uint32_t value)
{
    const struct mu_http_client *client = context;
    return token_hash(client->calls[value]->request.token);
}

/* Room for one more call: both arrays grow together, so that a free never fails. */
static int calls_reserve(struct mu_http_client *client)
{
    if (client->calls_free_count > 0)
        return 0;
    uint32_t old = client->calls_cap;
    uint32_t want = old == 0 ? CALLS_FREE_MINIMUM : old + 1;
    void *free_array = client->calls_free;
    int r = mu_mem_grow(&free_array, &client->calls_free_cap, want, MU_HTTP_REQUESTS_MAX,
                        sizeof *client->calls_free);
    client->calls_free = free_array;
    if (r != 0)
        return r;
    void *array = client->calls;
    r = mu_mem_grow(&array, &client->calls_cap, want, MU_HTTP_REQUESTS_MAX,
                    sizeof(struct mu_call *));
    client->calls = array;
    if (r != 0)
        return r;
    MU_ASSERT(client->calls_free_cap >= client->calls_cap);
    for (uint32_t i = client->calls_cap; i > old; i--) {
        client->calls[i - 1] = NULL;
        client->calls_free[client->calls_free_count++] = i - 1;
    }
    return 0;
}

static struct mu_call *call_find(const struct mu_http_client *client, uint64_t token)
{
    uint32_t index = mu_index_find(client->by_token, token_hash(token), &token);
    return index == MU_INDEX_NONE ? NULL : client->calls[index];
}

static int call_new(struct mu_http_client *client, struct mu_request *request, struct mu_call **out)
{
    int r = calls_reserve(client);
    if (r != 0)
        return r;
    struct mu_call *call = mu_mem_zalloc(sizeof *call);
    if (call == NULL)
        return MU_ENOMEM;
    uint32_t index = client->calls_free[client->calls_free_count - 1];
    MU_ASSERT(client->calls[index] == NULL);
    client->calls[index] = call;
    call->request.token = request->token;
    r = mu_index_insert(client->by_token, token_hash(request->token), index);
    if (r != 0) {
        client->calls[index] = NULL;
        mu_mem_free(call);
        return r;
    }
    client->calls_free_count--;
    call->index = index;
    call->request = *request;
    call->head.token = request->token;
    call->head.kind = MU_REPLY_HEAD;
    request->path = (struct mu_buf){0};
    request->body = (struct mu_buf){0};
    mu_link_init(&call->link);
    mu_wheel_entry_init(&call->deadline, MU_TIMER_CALL);
    client->stats.open_requests++;
    *out = call;
    return 0;
}

/* Take the call out of everything that knows it. Its stream must have been dropped or be over. */
static void call_free(struct mu_http_client *client, struct mu_call *call)
{
    if (client->emitting == call)
        client->emitting = NULL;
    if (call->conn == NULL)
        client->stats.queued--;
    mu_link_remove(&call->link);
    mu_pump_disarm(&client->pump, &call->deadline);
    mu_index_remove(client->by_token, token_hash(call->request.token), call->index);
    client->calls[call->index] = NULL;
    client->calls_free[client->calls_free_count++] = call->index;
    client->stats.open_requests--;
    mu_buf_fini(&call->request.path);
    mu_buf_fini(&call->request.body);
    mu_mem_free(call);
}

bool mu_call_emit(struct mu_call *call, const struct mu_reply *reply)
{
    struct mu_http_client *client = call->conn->client;
    MU_ASSERT(client->emitting == NULL);
    client->emitting = call;
    client->reply(client->context, reply);
    bool goes_on = client->emitting == call;
    client->emitting = NULL;
    return goes_on;
}

void mu_call_end(struct mu_http_client *client, struct mu_call *call)
{
    struct mu_reply reply = call->head;
    reply.kind = MU_REPLY_END;
    client->stats.replies++;
    call_free(client, call);
    client->reply(client->context, &reply);
}

void mu_call_lost(struct mu_http_client *client, struct mu_call *call, int error, bool not_sent)
{
    MU_ASSERT(error < 0);
    struct mu_reply reply = {.token = call->request.token,
                             .kind = MU_REPLY_LOST,
                             .status = call->head.status,
                             .error = error == UV_EOF ? MU_ECLOSED : error,
                             .not_sent = not_sent};
    client->stats.lost++;
    call_free(client, call);
    client->reply(client->context, &reply);
}

static void call_expired(struct mu_http_client *client, struct mu_call *call)
{
    if (call->due_ns > mu_pump_now_ns()) { /* a stream that was heard meanwhile */
        mu_pump_arm(&client->pump, &call->deadline, call->due_ns);
        return;
    }
    bool not_sent = !call->sent;
    if (call->conn != NULL)
        mu_client_h2_drop(call, NGHTTP2_CANCEL);
    mu_call_lost(client, call, MU_ETIMEOUT, not_sent);
}

/* ---- the queue and the pool ---------------------------------------------------------------- */

/* Lose everything that waits. What its receivers send meanwhile starts anew. */
static void queue_lost(struct mu_http_client *client, int error)
{
    struct mu_link all;
    mu_link_init(&all);
    mu_link_splice(&all, &client->queue_streams);
    mu_link_splice(&all, &client->queue_plain);
    while (!mu_link_empty(&all))
        mu_call_lost(client, MU_LINK_OWNER(all.next, struct mu_call, link), error, true);
}

static struct mu_call *queue_first(struct mu_http_client *client)
{
    struct mu_link *queue =
        mu_link_empty(&client->queue_streams) ? &client->queue_plain : &client->queue_streams;
    return mu_link_empty(queue) ? NULL : MU_LINK_OWNER(queue->next, struct mu_call, link);
}

/* The least busy connection with room, or NULL. */
static struct mu_client_conn *pool_pick(struct mu_http_client *client)
{
    struct mu_client_conn *best = NULL;
    for (struct mu_link *l = client->conns.next; l != &client->conns; l = l->next) {
        struct mu_client_conn *conn = MU_LINK_OWNER(l, struct mu_client_conn, link);
        if (mu_client_h2_room(conn) > 0 && (best == NULL || conn->streams < best->streams))
            best = conn;
    }
    return best;
}

static void pool_count(const struct mu_http_client *client, uint32_t *coming, uint32_t *usable)
{
    *coming = *usable = 0;
    for (const struct mu_link *l = client->conns.next; l != &client->conns; l = l->next) {
        const struct mu_client_conn *conn = MU_LINK_OWNER(l, struct mu_client_conn, link);
        if (conn->state == MU_CONN_CLOSED || conn->draining)
            continue;
        *usable += 1;
        *coming += conn->state != MU_CONN_READY;
    }
}

/* Open connections while more calls wait than the coming ones will take. */
static void pool_open(struct mu_http_client *client)
{
    uint32_t coming;
    uint32_t usable;
    pool_count(client, &coming, &usable);
    while (usable < client->config.connections &&
           client->stats.queued > (uint64_t)coming * client->config.streams_each) {
        if (client->connect_not_before_ns > mu_pump_now_ns()) {
            mu_pump_arm(&client->pump, &client->retry, client->connect_not_before_ns);
            return;
        }
        int r = mu_client_conn_open(client);
        if (r != 0) {
            mu_client_conn_down(client, r);
            return;
        }
        usable++;
        coming++;
    }
}

static void queue_assign(struct mu_http_client *client)
{
    struct mu_call *call;
    while ((call = queue_first(client)) != NULL) {
        struct mu_client_conn *conn = pool_pick(client);
        if (conn == NULL)
            break;
        int r = mu_client_h2_submit(conn, call);
        if (r == 0)
            client->stats.queued--;
        else if (r != MU_EAGAIN)
            mu_call_lost(client, call, r, true);
    }
    pool_open(client);
}

void mu_client_conn_up(struct mu_client_conn *conn)
{
    struct mu_http_client *client = conn->client;
    client->connect_failures = 0;
    client->connect_not_before_ns = 0;
    client->problem.text[0] = '\0';
    client->stats.connects++;
    mu_pump_kick(&client->pump);
}

void mu_client_problem(struct mu_http_client *client, int error, const char *text)
{
    (void)mu_error_set(&client->problem, error, "%s", text);
}

void mu_client_conn_down(struct mu_http_client *client, int error)
{
    uint32_t doublings =
        client->connect_failures < RETRY_DOUBLINGS ? client->connect_failures : RETRY_DOUBLINGS;
    client->connect_failures++;
    client->connect_not_before_ns = mu_pump_now_ns() + (RETRY_FIRST_NS << doublings);
    uint32_t coming;
    uint32_t usable;
    pool_count(client, &coming, &usable);
    if (usable == 0)
        queue_lost(client, error);
    mu_pump_kick(&client->pump);
}

/* ---- the pump's hooks ---------------------------------------------------------------------- */

/* Tell everybody that it is over. The connections' storage goes with their handles. */
static void client_shut(struct mu_http_client *client)
{
    struct mu_link *l = client->conns.next;
    while (l != &client->conns) {
        struct mu_client_conn *conn = MU_LINK_OWNER(l, struct mu_client_conn, link);
        l = l->next; /* conn may be freed at once; the others are not touched by that */
        mu_client_conn_fail(conn, MU_ECLOSED);
    }
    queue_lost(client, MU_ECLOSED);
    mu_pump_disarm(&client->pump, &client->retry);
    client->closed = true;
    if (client->conn_count == 0)
        mu_pump_close(&client->pump);
}

void mu_client_conn_freed(struct mu_http_client *client)
{
    MU_ASSERT(client->conn_count > 0);
    client->conn_count--;
    if (client->closed && client->conn_count == 0)
        mu_pump_close(&client->pump);
    else
        mu_pump_kick(&client->pump);
}

static void on_turn(struct mu_pump *pump)
{
    struct mu_http_client *client = MU_LINK_OWNER(pump, struct mu_http_client, pump);
    if (client->closed)
        return;
    if (client->closing)
        client_shut(client);
    else
        queue_assign(client);
}

static void on_flushed(struct mu_pump *pump)
{
    (void)pump;
}

static void on_expired(struct mu_pump *pump, struct mu_wheel_entry *entry)
{
    struct mu_http_client *client = MU_LINK_OWNER(pump, struct mu_http_client, pump);
    if (client->closing)
        return;
    if (entry->kind == MU_TIMER_CALL)
        call_expired(client, MU_LINK_OWNER(entry, struct mu_call, deadline));
    else if (entry->kind == MU_TIMER_CONN)
        mu_client_conn_expired(MU_LINK_OWNER(entry, struct mu_client_conn, timer));
    else
        mu_pump_kick(pump);
}

static void client_free(struct mu_http_client *client)
{
    mu_client_h2_fini(client);
    mu_index_destroy(client->by_token);
    mu_mem_free(client->calls);
    mu_mem_free(client->calls_free);
    mu_mem_free(client->host_text);
    mu_secret_fini(&client->authorization);
    mu_tls_unref(client->config.tls);
    mu_mem_free(client);
}

static void on_pump_closed(struct mu_pump *pump)
{
    struct mu_http_client *client = MU_LINK_OWNER(pump, struct mu_http_client, pump);
    void (*closed)(void *) = client->on_closed;
    void *context = client->closed_context;
    MU_ASSERT(client->stats.open_requests == 0 && client->conn_count == 0);
    client_free(client);
    if (closed != NULL)
        closed(context);
}

static const struct mu_pump_hooks client_hooks = {on_turn, on_flushed, on_expired, on_pump_closed};

/* ---- public -------------------------------------------------------------------------------- */

/* host_text: the name, NUL, then the authority (an IPv6 address in brackets) and the port, NUL,
 * then the path. */
static int client_host(struct mu_http_client *client, const struct mu_http_client_config *config)
{
    size_t bytes = 2 * (size_t)config->host.len + sizeof "[]:65535" + 1 + config->path.len;
    char *text = mu_mem_alloc(bytes);
    if (text == NULL)
        return MU_ENOMEM;
    memcpy(text, config->host.data, config->host.len);
    text[config->host.len] = '\0';
    bool v6 = strchr(text, ':') != NULL;
    char *authority = text + config->host.len + 1;
    int len = snprintf(authority, bytes - config->host.len - 1, "%s%.*s%s:%u", v6 ? "[" : "",
                       MU_STR_ARGS(config->host), v6 ? "]" : "", (unsigned)config->port);
    MU_ASSERT(len > 0 && (size_t)len < bytes - config->host.len - 1);
    client->host_text = text;
    client->config.host.data = text;
    client->authority = (struct mu_str){authority, (uint32_t)len};
    client->config.path.data = authority + len + 1;
    if (config->path.len > 0)
        memcpy(authority + len + 1, config->path.data, config->path.len);
    return 0;
}

static void client_defaults(struct mu_http_client_config *config)
{
    if (config->connections == 0)
        config->connections = 4;
    if (config->streams_each == 0)
        config->streams_each = 100;
    if (config->body_max == 0)
        config->body_max = (size_t)256 << 20;
    if (config->connect_timeout_ns == 0)
        config->connect_timeout_ns = 5 * MU_NS_PER_S;
    if (config->ping_idle_ns == 0)
        config->ping_idle_ns = 30 * MU_NS_PER_S;
    if (config->ping_timeout_ns == 0)
        config->ping_timeout_ns = 15 * MU_NS_PER_S;
}

static bool client_config_ok(const struct mu_http_client_config *config, mu_reply_fn reply)
{
    return config->host.len > 0 && config->host.len <= HOST_BYTES_MAX &&
           memchr(config->host.data, 0, config->host.len) == NULL && config->port != 0 &&
           config->path.len <= MU_SERVER_PATH_MAX &&
           (config->path.len == 0 || config->path.data[0] == '/') &&
           config->connections <= MU_HTTP_CONNECTIONS_MAX &&
           config->streams_each <= MU_HTTP_REQUESTS_MAX && reply != NULL;
}

int mu_http_client_create(uv_loop_t *loop, const struct mu_http_client_config *config,
                          mu_reply_fn reply, void *context, struct mu_http_client **out)
{
    if (!client_config_ok(config, reply))
        return MU_EINVAL;
    struct mu_http_client *client = mu_mem_zalloc(sizeof *client);
    if (client == NULL)
        return MU_ENOMEM;
    client->config = *config;
    client_defaults(&client->config);
    if (config->tls != NULL)
        (void)mu_tls_ref(config->tls);
    client->reply = reply;
    client->context = context;
    mu_link_init(&client->conns);
    mu_link_init(&client->queue_streams);
    mu_link_init(&client->queue_plain);
    mu_wheel_entry_init(&client->retry, MU_TIMER_RETRY);
    client->by_token = mu_index_create(64, call_equal, call_hash, client);
    int r = client->by_token == NULL ? MU_ENOMEM : client_host(client, config);
    if (r == 0)
        r = mu_client_h2_setup(client);
    if (r == 0)
        r = mu_pump_init(&client->pump, loop, &client_hooks);
    if (r != 0) {
        client_free(client);
        return r;
    }
    *out = client;
    return 0;
}

static void client_cancel(struct mu_http_client *client, uint64_t token)
{
    struct mu_call *call = call_find(client, token);
    if (call == NULL)
        return; /* it ended first: the canceller cannot know */
    if (call->conn != NULL)
        mu_client_h2_drop(call, NGHTTP2_CANCEL);
    call_free(client, call);
}

/* The room has been reserved. */
static void path_prepend(struct mu_buf *path, struct mu_str before)
{
    if (before.len == 0)
        return;
    MU_ASSERT(path->cap > path->len + before.len);
    memmove(path->data + before.len, path->data, path->len);
    memcpy(path->data, before.data, before.len);
    path->len += before.len;
}

int mu_http_client_send(struct mu_http_client *client, struct mu_request *request)
{
    if (request->cancel) {
        client_cancel(client, request->token);
        mu_buf_fini(&request->path);
        mu_buf_fini(&request->body);
        return 0;
    }
    if (client->closing)
        return MU_ECLOSED;
    if (request->token == 0 || request->path.failed != 0 || request->body.failed != 0 ||
        request->path.len == 0 || request->path.len > MU_HTTP_PATH_MAX ||
        request->path.data[0] != '/' || call_find(client, request->token) != NULL)
        return MU_EINVAL;
    struct mu_call *call = NULL;
    int r = mu_buf_reserve(&request->path, client->config.path.len);
    if (r == 0)
        r = call_new(client, request, &call);
    if (r != 0)
        return r;
    path_prepend(&call->request.path, client->config.path);
    mu_link_append(call->request.stream ? &client->queue_streams : &client->queue_plain,
                   &call->link);
    client->stats.queued++;
    client->stats.requests++;
    if (call->request.timeout_ns > 0) {
        uint64_t now_ns = mu_pump_now_ns();
        call->due_ns = call->request.timeout_ns > UINT64_MAX - now_ns
                           ? UINT64_MAX
                           : now_ns + call->request.timeout_ns;
        mu_pump_arm(&client->pump, &call->deadline, call->due_ns);
    }
    mu_pump_kick(&client->pump);
    return 0;
}

int mu_http_client_drain(struct mu_http_client *client, struct mu_outbox *outbox)
{
    int first = 0;
    while (!mu_outbox_empty(outbox)) {
        /* Look before taking: what cannot be sent now stays. What never can must not block. */
        int r = mu_http_client_send(client, &outbox->requests[outbox->taken]);
        if (r != 0 && r != MU_EINVAL)
            return r;
        if (first == 0)
            first = r;
        (void)mu_outbox_take(outbox);
    }
    return first;
}

void mu_http_client_close(struct mu_http_client *client, void (*closed)(void *context),
                          void *context)
{
    MU_ASSERT(!client->closing);
    client->closing = true;
    client->on_closed = closed;
    client->closed_context = context;
    mu_pump_kick(&client->pump);
}

void mu_http_client_set_tls(struct mu_http_client *client, struct mu_tls *tls)
{
    MU_ASSERT((client->config.tls != NULL) == (tls != NULL));
    if (client->config.tls == tls)
        return;
    mu_tls_unref(client->config.tls);
    client->config.tls = tls != NULL ? mu_tls_ref(tls) : NULL;
    struct mu_link *l = client->conns.next;
    while (l != &client->conns) {
        struct mu_client_conn *conn = MU_LINK_OWNER(l, struct mu_client_conn, link);
        l = l->next; /* conn may be freed at once */
        if (conn->state == MU_CONN_CLOSED)
            continue;
        conn->draining = true;
        conn->stale = true;
        if (conn->state == MU_CONN_READY)
            mu_wire_kick(&conn->wire); /* an idle one ends at its next output */
        else
            mu_client_conn_fail(conn, MU_ECLOSED);
    }
    /* What was wrong may be right now: who waits need not wait for the pause to end. */
    client->connect_failures = 0;
    client->connect_not_before_ns = 0;
    mu_pump_kick(&client->pump);
}

int mu_http_client_set_authorization(struct mu_http_client *client, struct mu_str value)
{
    struct mu_secret copy = {0};
    if (value.len > MU_HTTP_AUTHORIZATION_MAX)
        return MU_ELIMIT;
    for (uint32_t i = 0; i < value.len; i++) {
        if (value.data[i] < 0x20 || value.data[i] > 0x7e)
            return MU_EINVAL;
    }
    if (value.len > 0 && (value.data[0] == ' ' || value.data[value.len - 1] == ' '))
        return MU_EINVAL;
    int r = value.len > 0 ? mu_secret_copy(value, &copy) : 0;
    if (r != 0)
        return r;
    mu_secret_fini(&client->authorization);
    client->authorization = copy;
    return 0;
}

const char *mu_http_client_problem(const struct mu_http_client *client)
{
    return client->problem.text;
}

void mu_http_client_stats(const struct mu_http_client *client, struct mu_http_client_stats *out)
{
    *out = client->stats;
    out->bytes_in = client->pump.bytes_in;
    out->bytes_out = client->pump.bytes_out;
    uint32_t coming;
    pool_count(client, &coming, &out->connections);
}
