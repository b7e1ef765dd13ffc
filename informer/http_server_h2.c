/*
 * HTTP/2 on one connection of the server.
 *
 * A stream's user data is its exchange, from the first HEADERS until nghttp2 closes the stream;
 * nothing else ends an exchange, so the body's read callback always finds it. A response that ends
 * before its request did is followed by RST_STREAM(NO_ERROR), as RFC 9113 §8.1 has it: the peer
 * may stop sending. nghttp2 acknowledges PING and SETTINGS, refuses streams above our limit, and
 * ends the session on floods of resets, acknowledgements and continuations.
 */
#include "informer/http_server_priv.h"

#include <stdio.h>
#include "engine/base/assert.h"
#include "engine/base/mem.h"
#include "informer/limits.h"

static struct mu_http_exchange *exchange_of(nghttp2_session *session, int32_t stream_id)
{
    return nghttp2_session_get_stream_user_data(session, stream_id);
}

/* ---- requests ------------------------------------------------------------------------------ */

static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
    struct mu_server_conn *conn = user;
    if (frame->headers.cat != NGHTTP2_HCAT_REQUEST || conn->server->closing)
        return 0;
    struct mu_http_exchange *ex = mu_exchange_new(conn, frame->hd.stream_id);
    if (ex == NULL)
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE; /* resets this stream */
    int r = nghttp2_session_set_stream_user_data(session, frame->hd.stream_id, ex);
    MU_ASSERT(r == 0);
    return 0;
}

static void want_continue(struct mu_server_conn *conn, int32_t stream_id)
{
    nghttp2_nv nv = mu_h2_nv_static(MU_STR(":status"), MU_STR("100"));
    /* Without it the peer waits a moment and sends its body all the same. */
    (void)nghttp2_submit_headers(conn->h2.session, NGHTTP2_FLAG_NONE, stream_id, NULL, &nv, 1,
                                 NULL);
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_len, const uint8_t *value, size_t value_len, uint8_t flags,
                     void *user)
{
    (void)flags;
    struct mu_http_exchange *ex = exchange_of(session, frame->hd.stream_id);
    if (ex == NULL || ex->fields_done)
        return 0; /* trailers are ignored */
    mu_exchange_count(ex, name_len + value_len);
    if (ex->refusal != 0)
        return 0;
    struct mu_str n = {(const char *)name, (uint32_t)name_len};
    struct mu_str v = {(const char *)value, (uint32_t)value_len};
    if (mu_str_equal(n, MU_STR(":method")))
        mu_exchange_method(ex, v);
    else if (mu_str_equal(n, MU_STR("expect")) && mu_http_equal_nocase(v, MU_STR("100-continue")))
        want_continue(user, frame->hd.stream_id);
    else
        mu_exchange_field(ex, n, v);
    return 0;
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
    struct mu_server_conn *conn = user;
    if (frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA)
        return 0;
    struct mu_http_exchange *ex = exchange_of(session, frame->hd.stream_id);
    if (ex == NULL || conn->server->closing)
        return 0;
    if (frame->hd.type == NGHTTP2_HEADERS && !ex->fields_done)
        mu_exchange_fields_done(ex);
    if ((frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0)
        mu_exchange_dispatch(ex);
    else
        (void)mu_exchange_refuse(ex);
    return 0;
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t stream_id, const uint8_t *data,
                   size_t len, void *user)
{
    (void)flags;
    (void)user;
    struct mu_http_exchange *ex = exchange_of(session, stream_id);
    if (ex != NULL && !ex->request_done)
        mu_exchange_body(ex, data, len);
    return 0;
}

static int on_stream_close(nghttp2_session *session, int32_t stream_id, uint32_t code, void *user)
{
    (void)code;
    (void)user;
    struct mu_http_exchange *ex = exchange_of(session, stream_id);
    if (ex != NULL) {
        (void)nghttp2_session_set_stream_user_data(session, stream_id, NULL);
        mu_exchange_over(ex);
    }
    return 0;
}

/* ---- responses ----------------------------------------------------------------------------- */

static ssize_t read_body(nghttp2_session *session, int32_t stream_id, uint8_t *room, size_t cap,
                         uint32_t *flags, nghttp2_data_source *source, void *user)
{
    (void)source;
    (void)user;
    struct mu_http_exchange *ex = exchange_of(session, stream_id);
    MU_ASSERT(ex != NULL && ex->begun);
    size_t len = mu_exchange_take(ex, room, cap);
    if (mu_exchange_queued(ex) == 0 && ex->ended)
        *flags |= NGHTTP2_DATA_FLAG_EOF;
    else if (len == 0)
        return NGHTTP2_ERR_DEFERRED; /* mu_server_h2_wake resumes it */
    return (ssize_t)len;
}

int mu_server_h2_respond(struct mu_http_exchange *ex, const struct mu_response_head *head)
{
    char status[8];
    char length[24];
    char retry[16];
    nghttp2_nv nv[4 + MU_HTTP_WARNINGS_MAX];
    size_t n = 0;
    (void)snprintf(status, sizeof status, "%d", head->status);
    nv[n++] = mu_h2_nv(MU_STR(":status"), mu_str_of(status));
    if (head->content_type.len > 0)
        nv[n++] = mu_h2_nv(MU_STR("content-type"), head->content_type);
    if (ex->whole && !ex->bodyless) {
        (void)snprintf(length, sizeof length, "%zu", head->length);
        nv[n++] = mu_h2_nv(MU_STR("content-length"), mu_str_of(length));
    }
    if (head->retry_after_s > 0) {
        (void)snprintf(retry, sizeof retry, "%u", head->retry_after_s);
        nv[n++] = mu_h2_nv(MU_STR("retry-after"), mu_str_of(retry));
    }
    for (struct mu_str warning = {0}; mu_exchange_warning(ex, &warning);)
        nv[n++] = mu_h2_nv(MU_STR("warning"), warning);
    MU_ASSERT(n <= sizeof nv / sizeof *nv);
    nghttp2_data_provider body = {{.ptr = NULL}, read_body};
    bool has_body = !ex->bodyless && (!ex->whole || head->length > 0);
    int r = nghttp2_submit_response(ex->conn->h2.session, ex->stream_id, nv, n,
                                    has_body ? &body : NULL);
    if (r != 0)
        return mu_h2_error(r);
    mu_wire_kick(&ex->conn->wire);
    return 0;
}

void mu_server_h2_wake(struct mu_http_exchange *ex)
{
    /* Refused when the stream is not waiting for data: then it will ask by itself. */
    (void)nghttp2_session_resume_data(ex->conn->h2.session, ex->stream_id);
}

void mu_server_h2_reset(struct mu_http_exchange *ex, uint32_t code)
{
    /* Out of memory leaves the stream open; the idle check comes back to it. */
    (void)nghttp2_submit_rst_stream(ex->conn->h2.session, NGHTTP2_FLAG_NONE, ex->stream_id, code);
    mu_wire_kick(&ex->conn->wire);
}

static int on_frame_sent(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
    (void)user;
    if ((frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA) ||
        (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) == 0)
        return 0;
    struct mu_http_exchange *ex = exchange_of(session, frame->hd.stream_id);
    if (ex != NULL && !ex->request_done)
        (void)nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, frame->hd.stream_id,
                                        NGHTTP2_NO_ERROR);
    return 0;
}

/* ---- the session --------------------------------------------------------------------------- */

int mu_server_h2_input(struct mu_server_conn *conn, const uint8_t *data, size_t len)
{
    return mu_h2_input(&conn->h2, data, len);
}

ptrdiff_t mu_server_h2_output(struct mu_server_conn *conn, uint8_t *room, size_t cap)
{
    ptrdiff_t len = mu_h2_output(&conn->h2, room, cap);
    if (len == 0 && mu_h2_done(&conn->h2))
        mu_server_conn_linger(conn);
    return len;
}

void mu_server_h2_goaway(struct mu_server_conn *conn)
{
    if (nghttp2_session_terminate_session(conn->h2.session, NGHTTP2_NO_ERROR) != 0)
        mu_server_conn_drop(conn);
    else
        mu_wire_kick(&conn->wire);
}

int mu_server_h2_begin(struct mu_server_conn *conn)
{
    struct mu_http_server *server = conn->server;
    const nghttp2_settings_entry settings[] = {
        {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, server->config.streams_max},
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, MU_HTTP_SERVER_STREAM_WINDOW},
        {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, MU_HTTP_HEADER_LIST_MAX},
    };
    int r = nghttp2_session_server_new3(&conn->h2.session, server->h2_callbacks, conn,
                                        server->h2_option, mu_h2_mem());
    if (r == 0)
        r = nghttp2_submit_settings(conn->h2.session, NGHTTP2_FLAG_NONE, settings,
                                    sizeof settings / sizeof *settings);
    if (r == 0)
        r = nghttp2_session_set_local_window_size(conn->h2.session, NGHTTP2_FLAG_NONE, 0,
                                                  MU_HTTP_SERVER_CONNECTION_WINDOW);
    return r == 0 ? 0 : mu_h2_error(r);
}

int mu_server_h2_setup(struct mu_http_server *server)
{
    if (nghttp2_session_callbacks_new(&server->h2_callbacks) != 0 ||
        nghttp2_option_new(&server->h2_option) != 0)
        return MU_ENOMEM;
    nghttp2_session_callbacks *c = server->h2_callbacks;
    nghttp2_session_callbacks_set_on_begin_headers_callback(c, on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(c, on_header);
    nghttp2_session_callbacks_set_on_frame_recv_callback(c, on_frame);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(c, on_data);
    nghttp2_session_callbacks_set_on_stream_close_callback(c, on_stream_close);
    nghttp2_session_callbacks_set_on_frame_send_callback(c, on_frame_sent);
    return 0;
}

void mu_server_h2_fini(struct mu_http_server *server)
{
    nghttp2_option_del(server->h2_option);
    nghttp2_session_callbacks_del(server->h2_callbacks);
}
