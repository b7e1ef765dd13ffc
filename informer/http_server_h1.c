/*
 * HTTP/1.1 (and 1.0) on one connection of the server.
 *
 * One request at a time: READING -> ANSWERING -> READING ... or the end, after an error or `close`.
 * While a request is being answered the bytes behind it (pipelining) wait in `ahead`, up to a bound
 * beyond which the socket is not read; so requests are answered in their order, and nothing has to
 * be put in order. Reading goes on while we answer because a gone peer shows itself only to a
 * reader. The library parser is paused by every complete request and never sees `ahead` early.
 *
 * A response in pieces is chunked; to a 1.0 peer it is ended by closing. A request that cannot be
 * parsed or is refused before its end is answered and the connection ends: where the next request
 * would begin is not known.
 */
#include "informer/http_server_priv.h"

#include <stdio.h>
#include "engine/base/assert.h"
#include "engine/base/mem.h"
#include "informer/limits.h"

#if MU_LLHTTP
#include <llhttp.h>
typedef llhttp_t parser_type;
typedef llhttp_settings_t parser_hooks;
#else
#include <http_parser.h>
typedef http_parser parser_type;
typedef http_parser_settings parser_hooks;
#endif

/* What callbacks return, in both libraries. */
#define PARSER_OK   0
#define PARSER_STOP (-1)

#define NAME_MAX_BYTES 64u
/* Room for a chunk's size line, its end and the last chunk. */
#define CHUNK_OVERHEAD 32u

struct mu_h1 {
    parser_type parser;
    struct mu_server_conn *conn;
    struct mu_http_exchange *ex; /* being read or answered; NULL between requests */
    bool answering;              /* ex is complete or refused; input waits */
    bool complete;               /* the parser has paused behind a whole request */
    bool in_value;
    bool has_host;
    bool wants_continue;
    bool keep_alive;
    bool chunked;
    size_t raw_bytes; /* of the header section so far, with what callbacks do not show */
    char name[NAME_MAX_BYTES];
    uint32_t name_len; /* NAME_MAX_BYTES: longer than any that we know */
    struct mu_buf value;
    struct mu_buf target;
    struct mu_buf ahead;
    struct mu_buf head; /* status line and fields, to be written */
    size_t head_at;
};

/* ---- the parser's callbacks ---------------------------------------------------------------- */

/* The exchange that the bytes belong to. NULL: out of memory. */
static struct mu_http_exchange *ensure(struct mu_h1 *h1)
{
    if (h1->ex == NULL)
        h1->ex = mu_exchange_new(h1->conn, 0);
    return h1->ex;
}

static int on_begin(parser_type *parser)
{
    struct mu_h1 *h1 = parser->data;
    h1->in_value = h1->has_host = h1->wants_continue = false;
    h1->name_len = 0;
    mu_buf_clear(&h1->value);
    mu_buf_clear(&h1->target);
    return ensure(h1) != NULL ? PARSER_OK : PARSER_STOP;
}

/* Count and keep a piece; STOP when the header section is too large. */
static int piece(struct mu_h1 *h1, struct mu_buf *to, const char *data, size_t len)
{
    mu_exchange_count(h1->ex, len);
    if (h1->ex->refusal != 0 || mu_buf_append(to, data, len) != 0)
        return PARSER_STOP;
    return PARSER_OK;
}

static int on_url(parser_type *parser, const char *data, size_t len)
{
    struct mu_h1 *h1 = parser->data;
    return piece(h1, &h1->target, data, len);
}

static struct mu_str trimmed(const struct mu_buf *buf)
{
    struct mu_str s = {(const char *)buf->data, (uint32_t)buf->len};
    while (s.len > 0 && (s.data[s.len - 1] == ' ' || s.data[s.len - 1] == '\t'))
        s.len--;
    return s;
}

/* A field's name and value are complete. */
static void commit_field(struct mu_h1 *h1)
{
    struct mu_str name = {h1->name, h1->name_len};
    struct mu_str value = trimmed(&h1->value);
    h1->in_value = false;
    if (h1->ex->fields_done)
        return; /* trailers */
    if (mu_http_equal_nocase(name, MU_STR("host"))) {
        h1->has_host = true;
    } else if (mu_http_equal_nocase(name, MU_STR("expect"))) {
        h1->wants_continue = mu_http_equal_nocase(value, MU_STR("100-continue"));
    } else {
        mu_exchange_field(h1->ex, name, value);
    }
}

/* RFC 9110 §5.6.2. The library lets spaces through: `Content-Length : 5` would be a field that we
 * ignore and a proxy before us does not. */
static bool is_token(const char *data, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        char c = data[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (!letter && !(c >= '0' && c <= '9') &&
            (c == '\0' || strchr("!#$%&'*+-.^_`|~", c) == NULL))
            return false;
    }
    return true;
}

static int on_field(parser_type *parser, const char *data, size_t len)
{
    struct mu_h1 *h1 = parser->data;
    if (h1->in_value) {
        commit_field(h1);
        h1->name_len = 0;
        mu_buf_clear(&h1->value);
    }
    mu_exchange_count(h1->ex, len);
    if (h1->ex->refusal == 0 && !is_token(data, len))
        h1->ex->refusal = 400;
    size_t room = NAME_MAX_BYTES - h1->name_len;
    size_t part = len < room ? len : room;
    memcpy(h1->name + h1->name_len, data, part);
    h1->name_len += (uint32_t)part;
    return h1->ex->refusal == 0 ? PARSER_OK : PARSER_STOP;
}

static int on_value(parser_type *parser, const char *data, size_t len)
{
    struct mu_h1 *h1 = parser->data;
    h1->in_value = true;
    return piece(h1, &h1->value, data, len);
}

/* The path and query of a request target: origin form, or absolute form from a proxy's client. */
static struct mu_str target_path(const struct mu_h1 *h1)
{
    struct mu_str t = {(const char *)h1->target.data, (uint32_t)h1->target.len};
    uint32_t scheme = mu_str_starts_with(t, MU_STR("http://"))    ? 7
                      : mu_str_starts_with(t, MU_STR("https://")) ? 8
                                                                  : 0;
    if (scheme == 0)
        return t;
    const char *slash = memchr(t.data + scheme, '/', t.len - scheme);
    if (slash == NULL)
        return MU_STR("/");
    return (struct mu_str){slash, (uint32_t)(t.data + t.len - slash)};
}

static const char *method_text(const parser_type *parser)
{
#if MU_LLHTTP
    return llhttp_method_name((llhttp_method_t)parser->method);
#else
    return http_method_str((enum http_method)parser->method);
#endif
}

static int on_fields_done(parser_type *parser)
{
    struct mu_h1 *h1 = parser->data;
    struct mu_http_exchange *ex = h1->ex;
    struct mu_str path = target_path(h1);
    bool v11 = parser->http_major > 1 || (parser->http_major == 1 && parser->http_minor >= 1);
    if (h1->in_value)
        commit_field(h1);
    if (parser->http_major != 1 && ex->refusal == 0)
        ex->refusal = 505;
    mu_exchange_method(ex, mu_str_of(method_text(parser)));
    mu_exchange_field(ex, MU_STR(":path"), path);
    mu_exchange_fields_done(ex);
    parser->upgrade = 0; /* h2c by upgrade is not offered: go on in HTTP/1.1 */
    if (ex->refusal == 0 && v11 && !h1->has_host)
        ex->refusal = 400;
    uint64_t length = parser->content_length; /* all ones without the field */
    if (ex->refusal == 0 && length != UINT64_MAX && length > h1->conn->server->config.body_max)
        ex->refusal = 413;
    if (ex->refusal != 0)
        return PARSER_STOP;
    if (h1->wants_continue && v11)
        (void)mu_buf_append_text(&h1->head, "HTTP/1.1 100 Continue\r\n\r\n");
    return PARSER_OK;
}

static int on_body(parser_type *parser, const char *data, size_t len)
{
    struct mu_h1 *h1 = parser->data;
    mu_exchange_body(h1->ex, (const uint8_t *)data, len);
    return h1->ex->refusal == 0 ? PARSER_OK : PARSER_STOP;
}

static int on_complete(parser_type *parser)
{
    struct mu_h1 *h1 = parser->data;
    h1->complete = true;
#if MU_LLHTTP
    h1->keep_alive = llhttp_should_keep_alive(parser) != 0;
    return HPE_PAUSED;
#else
    h1->keep_alive = http_should_keep_alive(parser) != 0;
    http_parser_pause(parser, 1);
    return PARSER_OK;
#endif
}

static const parser_hooks hooks = {
    .on_message_begin = on_begin,
    .on_url = on_url,
    .on_header_field = on_field,
    .on_header_value = on_value,
    .on_headers_complete = on_fields_done,
    .on_body = on_body,
    .on_message_complete = on_complete,
};

static void parser_start(struct mu_h1 *h1)
{
#if MU_LLHTTP
    llhttp_init(&h1->parser, HTTP_REQUEST, &hooks);
#else
    http_parser_init(&h1->parser, HTTP_REQUEST);
#endif
    h1->parser.data = h1;
}

/* Run the parser until it has used len bytes, a request is complete, or it failed. Returns the
 * bytes used. */
static size_t parser_run(struct mu_h1 *h1, const uint8_t *data, size_t len, bool *bad)
{
    const char *text = (const char *)data;
#if MU_LLHTTP
    llhttp_errno_t e = llhttp_execute(&h1->parser, text, len);
    if (e == HPE_OK)
        return len;
    size_t used = (size_t)(llhttp_get_error_pos(&h1->parser) - text);
    if (e == HPE_PAUSED)
        llhttp_resume(&h1->parser);
    else if (e == HPE_PAUSED_UPGRADE)
        llhttp_resume_after_upgrade(&h1->parser);
    else
        *bad = true;
    return used;
#else
    size_t used = http_parser_execute(&h1->parser, &hooks, text, len);
    if (HTTP_PARSER_ERRNO(&h1->parser) == HPE_PAUSED)
        http_parser_pause(&h1->parser, 0);
    else if (HTTP_PARSER_ERRNO(&h1->parser) != HPE_OK)
        *bad = true;
    return used;
#endif
}

/* ---- input --------------------------------------------------------------------------------- */

/* The parser has stopped inside a request: answer and end the connection. */
static void answer_broken(struct mu_h1 *h1)
{
    struct mu_http_exchange *ex = ensure(h1);
    if (ex == NULL) {
        mu_server_conn_drop(h1->conn);
        return;
    }
    if (ex->refusal == 0)
        ex->refusal = 400;
    h1->keep_alive = false;
    h1->answering = true;
    (void)mu_exchange_refuse(ex);
}

/* One run of the parser and what follows from it. Returns the bytes used. */
static size_t parse_some(struct mu_server_conn *conn, const uint8_t *data, size_t len)
{
    struct mu_h1 *h1 = conn->h1;
    bool bad = false;
    size_t used = parser_run(h1, data, len, &bad);
    bool in_fields = h1->ex != NULL && !h1->ex->fields_done;
    h1->raw_bytes = in_fields ? h1->raw_bytes + used : 0;
    /* Empty lines and padding produce no callback and would be read for ever. */
    if (in_fields && h1->raw_bytes > 2 * (size_t)MU_HTTP_HEADER_LIST_MAX) {
        h1->ex->refusal = 431;
        bad = true;
    }
    if (bad) {
        answer_broken(h1);
    } else if (h1->complete) {
        h1->complete = false;
        h1->answering = true;
        mu_exchange_dispatch(h1->ex);
    }
    return used;
}

static int parse(struct mu_server_conn *conn, const uint8_t *data, size_t len)
{
    size_t at = 0;
    while (at < len && !conn->dead && !conn->h1->answering)
        at += parse_some(conn, data + at, len - at);
    if (conn->dead || at == len || !conn->h1->keep_alive)
        return 0; /* what follows a connection's last request is nobody's */
    int r = mu_buf_append(&conn->h1->ahead, data + at, len - at);
    if (r == 0 && conn->h1->ahead.len >= MU_HTTP_PIPELINE_MAX)
        mu_wire_read(&conn->wire, false);
    return r;
}

int mu_server_h1_input(struct mu_server_conn *conn, const uint8_t *data, size_t len)
{
    return parse(conn, data, len);
}

/* The response is written: on to the next request, which may be here already. */
static int next_request(struct mu_server_conn *conn)
{
    struct mu_h1 *h1 = conn->h1;
    struct mu_buf ahead = h1->ahead;
    h1->ahead = (struct mu_buf){0};
    h1->answering = false;
    h1->raw_bytes = 0;
    mu_wire_read(&conn->wire, true);
    int r = ahead.len > 0 ? parse(conn, ahead.data, ahead.len) : 0;
    mu_buf_fini(&ahead);
    return r;
}

/* ---- output -------------------------------------------------------------------------------- */

static const char *reason(int status)
{
    switch (status) {
    case 200:
        return "OK";
    case 201:
        return "Created";
    case 202:
        return "Accepted";
    case 204:
        return "No Content";
    case 400:
        return "Bad Request";
    case 401:
        return "Unauthorized";
    case 403:
        return "Forbidden";
    case 404:
        return "Not Found";
    case 405:
        return "Method Not Allowed";
    case 406:
        return "Not Acceptable";
    case 409:
        return "Conflict";
    case 410:
        return "Gone";
    case 413:
        return "Content Too Large";
    case 415:
        return "Unsupported Media Type";
    case 422:
        return "Unprocessable Content";
    case 429:
        return "Too Many Requests";
    case 431:
        return "Request Header Fields Too Large";
    case 500:
        return "Internal Server Error";
    case 503:
        return "Service Unavailable";
    case 504:
        return "Gateway Timeout";
    case 505:
        return "HTTP Version Not Supported";
    default:
        return "Status"; /* the phrase carries no meaning (RFC 9112 §4) */
    }
}

int mu_server_h1_respond(struct mu_http_exchange *ex, const struct mu_response_head *head)
{
    struct mu_h1 *h1 = ex->conn->h1;
    struct mu_buf *out = &h1->head;
    bool v10 = h1->parser.http_major == 1 && h1->parser.http_minor == 0;
    MU_ASSERT(h1->ex == ex && h1->answering);
    h1->chunked = !ex->whole && !ex->bodyless && !v10;
    if (!ex->whole && !ex->bodyless && v10)
        h1->keep_alive = false; /* the end of the connection ends the body */
    (void)mu_buf_printf(out, "HTTP/1.1 %d %s\r\n", head->status, reason(head->status));
    if (head->content_type.len > 0)
        (void)mu_buf_printf(out, "content-type: %.*s\r\n", MU_STR_ARGS(head->content_type));
    if (h1->chunked)
        (void)mu_buf_append_text(out, "transfer-encoding: chunked\r\n");
    else if (ex->whole && !ex->bodyless)
        (void)mu_buf_printf(out, "content-length: %zu\r\n", head->length);
    if (head->retry_after_s > 0)
        (void)mu_buf_printf(out, "retry-after: %u\r\n", head->retry_after_s);
    for (struct mu_str warning = {0}; mu_exchange_warning(ex, &warning);)
        (void)mu_buf_printf(out, "warning: %.*s\r\n", MU_STR_ARGS(warning));
    if (!h1->keep_alive)
        (void)mu_buf_append_text(out, "connection: close\r\n");
    else if (v10)
        (void)mu_buf_append_text(out, "connection: keep-alive\r\n");
    (void)mu_buf_append_text(out, "\r\n");
    mu_wire_kick(&ex->conn->wire);
    return out->failed;
}

static size_t write_head(struct mu_h1 *h1, uint8_t *room, size_t cap)
{
    size_t left = h1->head.len - h1->head_at;
    size_t len = left < cap ? left : cap;
    if (len > 0)
        memcpy(room, h1->head.data + h1->head_at, len);
    h1->head_at += len;
    if (h1->head_at == h1->head.len) {
        h1->head_at = 0;
        mu_buf_clear(&h1->head);
    }
    return len;
}

/* One chunk of what is queued, and the last chunk when all is said. Sets *over. */
static size_t write_chunk(struct mu_http_exchange *ex, uint8_t *room, size_t cap, bool *over)
{
    size_t len = 0;
    size_t queued = mu_exchange_queued(ex);
    if (cap < 2 * CHUNK_OVERHEAD)
        return 0; /* the next pull brings more room */
    size_t part = queued < cap - CHUNK_OVERHEAD ? queued : cap - CHUNK_OVERHEAD;
    if (part > 0) {
        int line = snprintf((char *)room, CHUNK_OVERHEAD, "%zx\r\n", part);
        MU_ASSERT(line > 0 && (size_t)line <= CHUNK_OVERHEAD - sizeof "\r\n0\r\n\r\n");
        len = (size_t)line;
        len += mu_exchange_take(ex, room + len, part);
        memcpy(room + len, "\r\n", 2);
        len += 2;
    }
    if (ex->ended && part == queued) {
        memcpy(room + len, "0\r\n\r\n", 5);
        len += 5;
        *over = true;
    }
    return len;
}

static size_t write_body(struct mu_h1 *h1, uint8_t *room, size_t cap, bool *over)
{
    struct mu_http_exchange *ex = h1->ex;
    if (h1->chunked)
        return write_chunk(ex, room, cap, over);
    size_t len = ex->bodyless ? 0 : mu_exchange_take(ex, room, cap);
    *over = ex->ended && (ex->bodyless || mu_exchange_queued(ex) == 0);
    return len;
}

/* The current response is in the wire's hands. Returns 0 or an error of the next request. */
static int response_over(struct mu_server_conn *conn)
{
    struct mu_h1 *h1 = conn->h1;
    struct mu_http_exchange *ex = h1->ex;
    h1->ex = NULL;
    mu_exchange_over(ex);
    if (h1->keep_alive)
        return next_request(conn);
    mu_server_conn_linger(conn);
    return 0;
}

ptrdiff_t mu_server_h1_output(struct mu_server_conn *conn, uint8_t *room, size_t cap)
{
    struct mu_h1 *h1 = conn->h1;
    size_t len = 0;
    while (len < cap && !conn->dead && conn->protocol == MU_PROTOCOL_H1) {
        bool over = false;
        size_t part = write_head(h1, room + len, cap - len);
        if (part == 0 && h1->ex != NULL && h1->ex->begun)
            part = write_body(h1, room + len, cap - len, &over);
        len += part;
        if (over) {
            int r = response_over(conn);
            if (r != 0)
                return r;
        } else if (part == 0) {
            break;
        }
    }
    return conn->dead ? 0 : (ptrdiff_t)len;
}

/* ---- life ---------------------------------------------------------------------------------- */

bool mu_server_h1_eof(struct mu_server_conn *conn)
{
    struct mu_h1 *h1 = conn->h1;
    if (h1->ex == NULL || !h1->ex->ended)
        return false;
    h1->keep_alive = false;
    return true;
}

bool mu_server_h1_waits_for_handler(const struct mu_server_conn *conn)
{
    const struct mu_h1 *h1 = conn->h1;
    return h1->ex != NULL && h1->ex->handed && mu_exchange_queued(h1->ex) == 0;
}

int mu_server_h1_begin(struct mu_server_conn *conn)
{
    struct mu_h1 *h1 = mu_mem_zalloc(sizeof *h1);
    if (h1 == NULL)
        return MU_ENOMEM;
    h1->conn = conn;
    conn->h1 = h1;
    parser_start(h1);
    return 0;
}

void mu_server_h1_end(struct mu_server_conn *conn)
{
    struct mu_h1 *h1 = conn->h1;
    if (h1 == NULL)
        return;
    conn->h1 = NULL;
    mu_buf_fini(&h1->value);
    mu_buf_fini(&h1->target);
    mu_buf_fini(&h1->ahead);
    mu_buf_fini(&h1->head);
    mu_mem_free(h1);
}
