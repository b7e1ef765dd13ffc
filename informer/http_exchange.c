/*
 * Requests and responses, common to HTTP/1.1 and HTTP/2.
 *
 * A request is collected (fields we know, a body up to its cap) and handed over whole, or refused
 * with a status as soon as that is certain: 405, 413, 431, 503. The response's body waits in `out`
 * and is pulled by the protocol when the peer takes bytes; a writer that goes on above the
 * high-water mark is told, and is refused at the hard bound, so a slow peer costs a bounded amount.
 *
 * Invariants: server->bodies_bytes is the sum of body.len, server->queued_bytes the sum of
 * out.len - out_at, over all exchanges; `handed` is true from on_request until the answer is
 * complete, the exchange was reset, or on_abort was called: exactly one of them ends it.
 */
#include "informer/http_server_priv.h"

#include "engine/base/assert.h"
#include "engine/base/mem.h"
#include "informer/limits.h"

#define SPARE_MAX        256u        /* exchanges kept for re-use */
#define SPARE_BYTES_MAX  (4u << 10)  /* of each buffer of those */
#define STORAGE_KEEP_MAX (16u << 10) /* an empty stream keeps no more than this */
#define COMPACT_MIN      (64u << 10) /* taken bytes that are worth moving the rest for */
#define FIELD_OVERHEAD   32u         /* RFC 9113 §6.5.2 */
#define CONTENT_TYPE_MAX 256u

/* ---- progress ------------------------------------------------------------------------------ */

void mu_progress_begin(struct mu_progress *progress, uint64_t now_ns)
{
    *progress = (struct mu_progress){.at_ns = now_ns};
}

void mu_progress_bytes(struct mu_progress *progress, size_t len, uint64_t now_ns)
{
    progress->moved += len;
    if (progress->moved >= MU_HTTP_PROGRESS_MIN)
        mu_progress_begin(progress, now_ns);
}

/* It is the peer's turn now. Its connection may have waited for the handler a long time. */
static void peers_turn(struct mu_http_exchange *ex, uint64_t now_ns)
{
    mu_progress_begin(&ex->progress, now_ns);
    mu_progress_begin(&ex->conn->progress, now_ns);
}

/* ---- storage ------------------------------------------------------------------------------- */

struct mu_http_exchange *mu_exchange_new(struct mu_server_conn *conn, int32_t stream_id)
{
    struct mu_http_server *server = conn->server;
    struct mu_http_exchange *ex;
    if (!mu_link_empty(&server->spare)) {
        ex = MU_LINK_OWNER(server->spare.next, struct mu_http_exchange, link);
        mu_link_remove(&ex->link);
        server->spare_count--;
    } else {
        ex = mu_mem_zalloc(sizeof *ex);
        if (ex == NULL)
            return NULL;
        mu_link_init(&ex->link);
        mu_link_init(&ex->drained);
        mu_buf_init(&ex->fields, MU_HTTP_HEADER_LIST_MAX);
        mu_buf_init(&ex->body, server->config.body_max);
        mu_buf_init(&ex->warnings, MU_HTTP_WARNINGS_BYTES);
    }
    MU_ASSERT(ex->body.len == 0 && ex->out.len == 0 && ex->out_at == 0 && !ex->handed);
    ex->conn = conn;
    ex->stream_id = stream_id;
    mu_link_append(&conn->exchanges, &ex->link);
    conn->exchange_count++;
    peers_turn(ex, server->now_ns);
    return ex;
}

/* An empty buffer that keeps at most keep bytes of storage. */
static struct mu_buf emptied(struct mu_buf buf, size_t keep)
{
    if (buf.cap > keep)
        mu_buf_fini(&buf);
    mu_buf_clear(&buf);
    return buf;
}

static void body_release(struct mu_http_exchange *ex)
{
    MU_ASSERT(ex->conn->server->bodies_bytes >= ex->body.len);
    ex->conn->server->bodies_bytes -= ex->body.len;
    ex->body = emptied(ex->body, SPARE_BYTES_MAX);
}

size_t mu_exchange_queued(const struct mu_http_exchange *ex)
{
    return ex->out.len - ex->out_at;
}

static void out_release(struct mu_http_exchange *ex)
{
    struct mu_http_server *server = ex->conn->server;
    MU_ASSERT(server->queued_bytes >= mu_exchange_queued(ex));
    server->queued_bytes -= mu_exchange_queued(ex);
    ex->out_at = 0;
    ex->out = emptied(ex->out, SPARE_BYTES_MAX);
}

static void exchange_free(struct mu_http_exchange *ex)
{
    mu_buf_fini(&ex->fields);
    mu_buf_fini(&ex->warnings);
    mu_buf_fini(&ex->body);
    mu_buf_fini(&ex->out);
    mu_mem_free(ex);
}

void mu_exchange_over(struct mu_http_exchange *ex)
{
    struct mu_server_conn *conn = ex->conn;
    struct mu_http_server *server = conn->server;
    if (ex->handed) {
        ex->handed = false;
        if (server->config.on_abort != NULL)
            server->config.on_abort(server->config.context, ex);
    }
    mu_link_remove(&ex->link);
    mu_link_remove(&ex->drained);
    MU_ASSERT(conn->exchange_count > 0);
    conn->exchange_count--;
    body_release(ex);
    out_release(ex);
    if (server->spare_count >= SPARE_MAX) {
        exchange_free(ex);
        return;
    }
    struct mu_buf fields = emptied(ex->fields, SPARE_BYTES_MAX);
    struct mu_buf body = ex->body;
    struct mu_buf out = ex->out;
    mu_buf_fini(&ex->warnings);
    *ex = (struct mu_http_exchange){.fields = fields, .body = body, .out = out};
    mu_buf_init(&ex->warnings, MU_HTTP_WARNINGS_BYTES);
    mu_link_init(&ex->drained);
    mu_link_init(&ex->link);
    mu_link_append(&server->spare, &ex->link);
    server->spare_count++;
}

void mu_exchange_free_spare(struct mu_http_server *server)
{
    while (!mu_link_empty(&server->spare)) {
        struct mu_http_exchange *ex =
            MU_LINK_OWNER(server->spare.next, struct mu_http_exchange, link);
        mu_link_remove(&ex->link);
        exchange_free(ex);
    }
    server->spare_count = 0;
}

/* ---- the request --------------------------------------------------------------------------- */

static void refuse(struct mu_http_exchange *ex, int status)
{
    if (ex->refusal == 0)
        ex->refusal = status;
}

void mu_exchange_count(struct mu_http_exchange *ex, size_t size)
{
    ex->fields_size += size;
    if (ex->fields_size > MU_HTTP_HEADER_LIST_MAX)
        refuse(ex, 431);
}

void mu_exchange_method(struct mu_http_exchange *ex, struct mu_str text)
{
    static const enum mu_method methods[] = {MU_GET, MU_POST, MU_PUT, MU_PATCH, MU_DELETE};
    ex->method_known = false;
    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++) {
        if (mu_str_equal(text, mu_str_of(mu_method_text(methods[i])))) {
            ex->method = methods[i];
            ex->method_known = true;
            return;
        }
    }
}

static void field_store(struct mu_http_exchange *ex, enum mu_http_field which, struct mu_str value)
{
    if (ex->field[which].len > 0 || value.len == 0 || ex->refusal != 0)
        return;
    uint32_t at = (uint32_t)ex->fields.len;
    int r = mu_buf_append_str(&ex->fields, value);
    if (r != 0) {
        refuse(ex, r == MU_ELIMIT ? 431 : 503);
        return;
    }
    ex->field[which].at = at;
    ex->field[which].len = value.len;
}

void mu_exchange_field(struct mu_http_exchange *ex, struct mu_str name, struct mu_str value)
{
    static const struct {
        struct mu_str name;
        enum mu_http_field which;
    } known[] = {
        {{":path", 5}, MU_FIELD_PATH},
        {{"content-type", 12}, MU_FIELD_CONTENT_TYPE},
        {{"accept", 6}, MU_FIELD_ACCEPT},
        {{"authorization", 13}, MU_FIELD_AUTHORIZATION},
        {{"user-agent", 10}, MU_FIELD_USER_AGENT},
    };
    mu_exchange_count(ex, FIELD_OVERHEAD);
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (mu_http_equal_nocase(name, known[i].name)) {
            field_store(ex, known[i].which, value);
            return;
        }
    }
}

static struct mu_str view(const struct mu_http_exchange *ex, enum mu_http_field which)
{
    if (ex->field[which].len == 0)
        return MU_STR("");
    return (struct mu_str){(const char *)ex->fields.data + ex->field[which].at,
                           ex->field[which].len};
}

void mu_exchange_fields_done(struct mu_http_exchange *ex)
{
    ex->fields_done = true;
    if (!ex->method_known)
        refuse(ex, 405);
    if (!mu_str_starts_with(view(ex, MU_FIELD_PATH), MU_STR("/")))
        refuse(ex, 400);
}

void mu_exchange_body(struct mu_http_exchange *ex, const uint8_t *data, size_t len)
{
    struct mu_http_server *server = ex->conn->server;
    mu_progress_bytes(&ex->progress, len, server->now_ns);
    if (ex->refusal != 0 || len == 0)
        return;
    if (len > MU_HTTP_SERVER_BODIES_MAX - server->bodies_bytes) {
        refuse(ex, 503);
        return;
    }
    int r = mu_buf_append(&ex->body, data, len);
    if (r != 0)
        refuse(ex, r == MU_ELIMIT ? 413 : 503);
    else
        server->bodies_bytes += len;
}

static int respond(struct mu_http_exchange *ex, const struct mu_response_head *head);

bool mu_exchange_refuse(struct mu_http_exchange *ex)
{
    if (ex->refusal == 0 || ex->begun || ex->conn->dead)
        return false;
    struct mu_response_head head = {.status = ex->refusal,
                                    .retry_after_s = ex->refusal == 503 ? 1 : 0};
    body_release(ex);
    ex->ended = ex->whole = true;
    (void)respond(ex, &head); /* on failure the stream is reset: a refusal all the same */
    return true;
}

void mu_exchange_dispatch(struct mu_http_exchange *ex)
{
    struct mu_server_conn *conn = ex->conn;
    struct mu_http_server *server = conn->server;
    MU_ASSERT(!ex->handed && !ex->request_done);
    ex->request_done = true;
    if (mu_exchange_refuse(ex) || ex->begun)
        return;
    struct mu_str path = view(ex, MU_FIELD_PATH);
    struct mu_str query = MU_STR("");
    const char *mark = path.len == 0 ? NULL : memchr(path.data, '?', path.len);
    if (mark != NULL) {
        query.data = mark + 1;
        query.len = (uint32_t)(path.data + path.len - query.data);
        path.len = (uint32_t)(mark - path.data);
    }
    struct mu_http_request request = {
        .method = ex->method,
        .path = path,
        .query = query,
        .content_type = view(ex, MU_FIELD_CONTENT_TYPE),
        .accept = view(ex, MU_FIELD_ACCEPT),
        .authorization = view(ex, MU_FIELD_AUTHORIZATION),
        .user_agent = view(ex, MU_FIELD_USER_AGENT),
        .body = {(const char *)ex->body.data, (uint32_t)ex->body.len},
        .http2 = conn->protocol == MU_PROTOCOL_H2,
        .tls = conn->wire.tls != NULL,
        .peer = mu_wire_peer(&conn->wire),
    };
    ex->handed = conn->known = true;
    server->config.on_request(server->config.context, ex, &request);
    if (!conn->dead) /* else the handler reset it, and the exchange with it */
        body_release(ex);
}

/* ---- the response -------------------------------------------------------------------------- */

/* The response cannot go on: nobody owes anything any more, the peer sees a broken stream. */
static void break_off(struct mu_http_exchange *ex, uint32_t code)
{
    ex->handed = false;
    if (ex->conn->protocol == MU_PROTOCOL_H2)
        mu_server_h2_reset(ex, code);
    else
        mu_server_conn_drop(ex->conn);
}

static int respond(struct mu_http_exchange *ex, const struct mu_response_head *head)
{
    MU_ASSERT(!ex->begun && head->status >= 200 && head->status <= 599);
    MU_ASSERT(head->content_type.len <= CONTENT_TYPE_MAX);
    struct mu_http_server *server = ex->conn->server;
    ex->begun = true;
    ex->bodyless = head->status == 204 || head->status == 304;
    peers_turn(ex, mu_pump_now_ns());
    int r = server->queued_bytes > MU_HTTP_SERVER_QUEUE_MAX ? MU_ELIMIT : 0;
    if (r == 0)
        r = ex->conn->protocol == MU_PROTOCOL_H2 ? mu_server_h2_respond(ex, head)
                                                 : mu_server_h1_respond(ex, head);
    if (r != 0)
        break_off(ex, NGHTTP2_INTERNAL_ERROR);
    return r;
}

static void wake(struct mu_http_exchange *ex)
{
    if (ex->conn->protocol == MU_PROTOCOL_H2)
        mu_server_h2_wake(ex);
    mu_wire_kick(&ex->conn->wire);
}

/* Code, agent, quoted text: RFC 7234 §5.5. */
int mu_http_exchange_warn(struct mu_http_exchange *ex, struct mu_str text)
{
    MU_ASSERT(ex->handed && !ex->begun);
    struct mu_buf *to = &ex->warnings;
    size_t before = to->len;
    if (ex->warning_count == MU_HTTP_WARNINGS_MAX)
        return MU_ELIMIT;
    (void)mu_buf_append_text(to, "299 - \"");
    for (uint32_t i = 0; i < text.len; i++) {
        char c = text.data[i];
        if ((unsigned char)c < 0x20 || c == 0x7f)
            continue;
        if (c == '"' || c == '\\')
            (void)mu_buf_append(to, "\\", 1);
        (void)mu_buf_append(to, &c, 1);
    }
    int r = mu_buf_append(to, "\"", sizeof "\""); /* with its NUL */
    if (r != 0) {
        to->len = before;
        to->failed = 0;
        return r;
    }
    ex->warning_count++;
    return 0;
}

bool mu_exchange_warning(const struct mu_http_exchange *ex, struct mu_str *value)
{
    if (ex->warning_count == 0)
        return false;
    const char *end = (const char *)ex->warnings.data + ex->warnings.len;
    const char *at =
        value->data == NULL ? (const char *)ex->warnings.data : value->data + value->len + 1;
    if (at == end)
        return false;
    *value = mu_str_of(at);
    return true;
}

void mu_http_exchange_set(struct mu_http_exchange *ex, void *user)
{
    ex->user = user;
}

void *mu_http_exchange_get(const struct mu_http_exchange *ex)
{
    return ex->user;
}

static int respond_whole(struct mu_http_exchange *ex, int status, struct mu_str content_type,
                         uint32_t retry_after_s)
{
    struct mu_response_head head = {status, content_type, retry_after_s, ex->out.len};
    ex->conn->server->queued_bytes += ex->out.len;
    ex->handed = false;
    ex->ended = ex->whole = true;
    return respond(ex, &head);
}

int mu_http_respond(struct mu_http_exchange *ex, int status, struct mu_str content_type,
                    uint32_t retry_after_s, struct mu_str body)
{
    MU_ASSERT(ex->handed && !ex->begun && ex->out.len == 0);
    int r = mu_buf_append_str(&ex->out, body);
    if (r != 0) {
        break_off(ex, NGHTTP2_INTERNAL_ERROR);
        return r;
    }
    return respond_whole(ex, status, content_type, retry_after_s);
}

int mu_http_respond_take(struct mu_http_exchange *ex, int status, struct mu_str content_type,
                         uint32_t retry_after_s, struct mu_buf *body)
{
    MU_ASSERT(ex->handed && !ex->begun && ex->out.len == 0);
    mu_buf_fini(&ex->out);
    ex->out = *body;
    ex->out.max = 0;
    ex->out.failed = 0;
    *body = (struct mu_buf){.max = body->max};
    return respond_whole(ex, status, content_type, retry_after_s);
}

int mu_http_respond_begin(struct mu_http_exchange *ex, int status, struct mu_str content_type)
{
    MU_ASSERT(ex->handed && !ex->begun);
    struct mu_response_head head = {.status = status, .content_type = content_type};
    return respond(ex, &head);
}

int mu_http_respond_write(struct mu_http_exchange *ex, struct mu_str data)
{
    struct mu_http_server *server = ex->conn->server;
    MU_ASSERT(ex->handed && ex->begun && !ex->ended);
    size_t queued = mu_exchange_queued(ex);
    int r = 0;
    if (data.len > MU_HTTP_STREAM_QUEUE_MAX - queued ||
        server->queued_bytes > MU_HTTP_SERVER_QUEUE_MAX)
        r = MU_ELIMIT;
    if (r == 0)
        r = mu_buf_append_str(&ex->out, data);
    if (r != 0) {
        break_off(ex, NGHTTP2_ENHANCE_YOUR_CALM);
        return r;
    }
    if (queued == 0)
        peers_turn(ex, mu_pump_now_ns());
    server->queued_bytes += data.len;
    wake(ex);
    if (queued + data.len <= MU_HTTP_HIGH_WATER)
        return 0;
    ex->over_mark = true;
    mu_link_remove(&ex->drained); /* a drain that was due is not any more */
    return MU_EAGAIN;
}

int mu_http_respond_end(struct mu_http_exchange *ex)
{
    MU_ASSERT(ex->handed && ex->begun && !ex->ended);
    ex->handed = false;
    ex->ended = true;
    mu_link_remove(&ex->drained);
    wake(ex);
    return 0;
}

void mu_http_exchange_reset(struct mu_http_exchange *ex)
{
    MU_ASSERT(ex->handed);
    break_off(ex, NGHTTP2_INTERNAL_ERROR);
}

size_t mu_exchange_take(struct mu_http_exchange *ex, uint8_t *room, size_t cap)
{
    struct mu_http_server *server = ex->conn->server;
    size_t queued = mu_exchange_queued(ex);
    size_t len = queued < cap ? queued : cap;
    if (len == 0)
        return 0;
    memcpy(room, ex->out.data + ex->out_at, len);
    ex->out_at += len;
    mu_progress_bytes(&ex->progress, len, server->now_ns);
    MU_ASSERT(server->queued_bytes >= len);
    server->queued_bytes -= len;
    if (len == queued) {
        ex->out_at = 0;
        ex->out = emptied(ex->out, STORAGE_KEEP_MAX);
    } else if (!ex->whole && ex->out_at >= COMPACT_MIN && ex->out_at >= ex->out.len / 2) {
        mu_buf_consume(&ex->out, ex->out_at); /* moves at most what it drops: O(1) per byte */
        ex->out_at = 0;
    }
    if (ex->over_mark && ex->handed && queued - len <= MU_HTTP_LOW_WATER) {
        ex->over_mark = false;
        mu_link_append(&server->drained, &ex->drained);
    }
    return len;
}
