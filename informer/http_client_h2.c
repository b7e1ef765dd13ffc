/*
 * HTTP/2 on one connection of the client: nghttp2's callbacks become HEAD, DATA, END and LOST.
 *
 * A stream's user data is its call, NULL once the call is gone: frames of a dropped stream fall
 * through. `conn->streams` counts until nghttp2 closes the stream, so that the server's limit holds
 * even while cancelled streams linger. A call counts as sent from the moment its HEADERS are
 * serialised: `not_sent` may be false of a request that never arrived, never the other way round.
 */
#include "informer/http_client_priv.h"

#include <stdio.h>
#include "engine/base/assert.h"
#include "informer/limits.h"

#ifndef MU_VERSION
#error "MU_VERSION: the project's version, set by the build"
#endif

static struct mu_call *call_of(nghttp2_session *session, int32_t stream_id)
{
    return nghttp2_session_get_stream_user_data(session, stream_id);
}

/* ---- replies ------------------------------------------------------------------------------- */

/* The call leaves its stream; what the stream still brings is ignored. */
static void detach(struct mu_call *call)
{
    (void)nghttp2_session_set_stream_user_data(call->conn->h2.session, call->stream_id, NULL);
}

void mu_client_h2_drop(struct mu_call *call, uint32_t code)
{
    struct mu_client_conn *conn = call->conn;
    if (conn->state != MU_CONN_READY)
        return;
    detach(call);
    /* Out of memory here leaves the stream to the server: it goes with the connection at last. */
    (void)nghttp2_submit_rst_stream(conn->h2.session, NGHTTP2_FLAG_NONE, call->stream_id, code);
    mu_wire_kick(&conn->wire);
}

static void drop_lost(struct mu_call *call, int error)
{
    struct mu_http_client *client = call->conn->client;
    mu_client_h2_drop(call, NGHTTP2_CANCEL);
    mu_call_lost(client, call, error, false);
}

/* The server has said everything. If it did so without waiting for our whole body, stop sending. */
static void finish(struct mu_call *call)
{
    struct mu_http_client *client = call->conn->client;
    if (call->body_sent < call->request.body.len)
        mu_client_h2_drop(call, NGHTTP2_NO_ERROR);
    else
        detach(call);
    mu_call_end(client, call);
}

/* A watch's clock starts again with every sign of life. */
static void heard(struct mu_call *call)
{
    uint64_t timeout_ns = call->request.timeout_ns;
    uint64_t now_ns = call->conn->heard_ns;
    if (call->request.stream && timeout_ns > 0)
        call->due_ns = timeout_ns > UINT64_MAX - now_ns ? UINT64_MAX : now_ns + timeout_ns;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_len, const uint8_t *value, size_t value_len, uint8_t flags,
                     void *user)
{
    (void)flags;
    (void)user;
    struct mu_call *call = call_of(session, frame->hd.stream_id);
    if (call == NULL || call->head_done || name_len > 64 || value_len > 1024)
        return 0;
    struct mu_str n = {(const char *)name, (uint32_t)name_len};
    struct mu_str v = {(const char *)value, (uint32_t)value_len};
    uint64_t number;
    if (mu_str_equal(n, MU_STR(":status"))) {
        call->head.status = mu_str_to_u64(v, &number) && number < 1000 ? (int)number : 0;
    } else if (mu_str_equal(n, MU_STR("content-type"))) {
        call->head.media = mu_http_media(v);
    } else if (mu_str_equal(n, MU_STR("retry-after"))) {
        /* Seconds; the form with a date is not used by API servers. */
        if (mu_str_to_u64(v, &number))
            call->head.retry_after_s = number < UINT32_MAX ? (uint32_t)number : UINT32_MAX;
    }
    return 0;
}

/* HEADERS are complete. False: the call is gone. */
static bool on_head(struct mu_call *call)
{
    if (call->head_done)
        return true; /* trailers */
    if (call->head.status >= 100 && call->head.status < 200) {
        call->head.status = 0; /* 100 Continue and its kin: the real one follows */
        return true;
    }
    call->head_done = true;
    return mu_call_emit(call, &call->head);
}

static void on_frame_of_call(struct mu_call *call, const nghttp2_frame *frame)
{
    heard(call);
    if (frame->hd.type == NGHTTP2_HEADERS && !on_head(call))
        return;
    if ((frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0)
        finish(call);
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
    struct mu_client_conn *conn = user;
    if (conn->client->closing)
        return 0;
    switch (frame->hd.type) {
    case NGHTTP2_SETTINGS:
        if (conn->state == MU_CONN_GREETING && (frame->hd.flags & NGHTTP2_FLAG_ACK) == 0) {
            conn->state = MU_CONN_READY;
            mu_pump_arm(&conn->client->pump, &conn->timer,
                        conn->heard_ns + conn->client->config.ping_idle_ns);
            mu_client_conn_up(conn);
        }
        break;
    case NGHTTP2_GOAWAY:
        /* nghttp2 closes the streams above the last one served as REFUSED_STREAM. */
        conn->draining = true;
        conn->client->stats.goaways++;
        mu_pump_kick(&conn->client->pump);
        break;
    case NGHTTP2_HEADERS:
    case NGHTTP2_DATA: {
        struct mu_call *call = call_of(session, frame->hd.stream_id);
        if (call != NULL)
            on_frame_of_call(call, frame);
        break;
    }
    default:
        break;
    }
    return 0;
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t stream_id, const uint8_t *data,
                   size_t len, void *user)
{
    (void)flags;
    struct mu_client_conn *conn = user;
    struct mu_call *call = call_of(session, stream_id);
    if (call == NULL || conn->client->closing)
        return 0;
    heard(call);
    if (!call->request.stream && len > conn->client->config.body_max - call->received) {
        drop_lost(call, MU_ELIMIT);
        return 0;
    }
    call->received += call->request.stream ? 0 : len;
    struct mu_reply reply = call->head;
    reply.kind = MU_REPLY_DATA;
    reply.data = (struct mu_str){(const char *)data, (uint32_t)len};
    (void)mu_call_emit(call, &reply);
    return 0;
}

static int on_stream_close(nghttp2_session *session, int32_t stream_id, uint32_t code, void *user)
{
    struct mu_client_conn *conn = user;
    struct mu_call *call = call_of(session, stream_id);
    MU_ASSERT(conn->streams > 0);
    conn->streams--;
    mu_pump_kick(&conn->client->pump); /* room for a waiting call */
    if (call == NULL || conn->client->closing)
        return 0;
    detach(call);
    bool not_sent = !call->sent || code == NGHTTP2_REFUSED_STREAM;
    mu_call_lost(conn->client, call, code == NGHTTP2_PROTOCOL_ERROR ? MU_EPROTO : MU_ECLOSED,
                 not_sent);
    return 0;
}

/* ---- requests ------------------------------------------------------------------------------ */

static int before_frame(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
    (void)user;
    if (frame->hd.type == NGHTTP2_HEADERS) {
        struct mu_call *call = call_of(session, frame->hd.stream_id);
        if (call != NULL)
            call->sent = true;
    }
    return 0;
}

static ssize_t read_body(nghttp2_session *session, int32_t stream_id, uint8_t *room, size_t cap,
                         uint32_t *flags, nghttp2_data_source *source, void *user)
{
    (void)source;
    (void)user;
    struct mu_call *call = call_of(session, stream_id);
    if (call == NULL)
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE; /* dropped: resets the stream */
    size_t left = call->request.body.len - call->body_sent;
    size_t len = left < cap ? left : cap; /* more than cap would fail the connection */
    memcpy(room, call->request.body.data + call->body_sent, len);
    call->body_sent += len;
    if (len == left)
        *flags |= NGHTTP2_DATA_FLAG_EOF;
    return (ssize_t)len;
}

int mu_client_h2_submit(struct mu_client_conn *conn, struct mu_call *call)
{
    const struct mu_request *request = &call->request;
    char length[24];
    nghttp2_nv nv[9];
    size_t n = 0;
    const struct mu_http_client *client = conn->client;
    struct mu_str path = {(const char *)request->path.data, (uint32_t)request->path.len};
    MU_ASSERT(mu_client_h2_room(conn) > 0 && call->conn == NULL);
    nv[n++] = mu_h2_nv_static(MU_STR(":method"), mu_str_of(mu_method_text(request->method)));
    nv[n++] = mu_h2_nv_static(MU_STR(":scheme"),
                              conn->wire.tls != NULL ? MU_STR("https") : MU_STR("http"));
    nv[n++] = mu_h2_nv_static(MU_STR(":authority"), client->authority);
    nv[n++] = mu_h2_nv(MU_STR(":path"), path);
    nv[n++] = mu_h2_nv_static(MU_STR("accept"), request->json
                                                    ? MU_STR("application/json")
                                                    : MU_STR("application/vnd.kubernetes.protobuf, "
                                                             "application/json"));
    nv[n++] = mu_h2_nv_static(MU_STR("user-agent"), MU_STR("muster/" MU_VERSION));
    if (client->authorization.len > 0) {
        /* Never indexed: neither our table nor a proxy's keeps it. nghttp2 has a copy until the
         * frame is sent; the client's own may be replaced before. */
        nv[n] = mu_h2_nv(MU_STR("authorization"), mu_secret_str(&client->authorization));
        nv[n++].flags |= NGHTTP2_NV_FLAG_NO_INDEX;
    }
    nghttp2_data_provider body = {{.ptr = NULL}, read_body};
    bool has_body = request->body.len > 0;
    if (has_body) {
        (void)snprintf(length, sizeof length, "%zu", request->body.len);
        nv[n++] = mu_h2_nv(MU_STR("content-length"), mu_str_of(length));
        if (request->content != MU_MEDIA_NONE)
            nv[n++] =
                mu_h2_nv_static(MU_STR("content-type"), mu_str_of(mu_media_text(request->content)));
    }
    int32_t id =
        nghttp2_submit_request(conn->h2.session, NULL, nv, n, has_body ? &body : NULL, call);
    if (id == NGHTTP2_ERR_STREAM_ID_NOT_AVAILABLE) {
        conn->draining = true; /* 2^30 requests: a fresh connection takes over */
        mu_wire_kick(&conn->wire);
        return MU_EAGAIN;
    }
    if (id < 0)
        return mu_h2_error(id);
    mu_link_remove(&call->link);
    mu_link_append(&conn->calls, &call->link);
    call->conn = conn;
    call->stream_id = id;
    conn->streams++;
    mu_wire_kick(&conn->wire);
    return 0;
}

uint32_t mu_client_h2_room(const struct mu_client_conn *conn)
{
    if (conn->state != MU_CONN_READY || conn->draining)
        return 0;
    uint32_t allowed = nghttp2_session_get_remote_settings(conn->h2.session,
                                                           NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS);
    uint32_t own = conn->client->config.streams_each;
    uint32_t most = own < allowed ? own : allowed;
    return conn->streams < most ? most - conn->streams : 0;
}

/* ---- the session --------------------------------------------------------------------------- */

int mu_client_h2_begin(struct mu_client_conn *conn)
{
    static const nghttp2_settings_entry settings[] = {
        {NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
        {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, 0}, /* of pushes: none */
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, MU_HTTP_CLIENT_STREAM_WINDOW},
    };
    struct mu_http_client *client = conn->client;
    int r = nghttp2_session_client_new3(&conn->h2.session, client->h2_callbacks, conn,
                                        client->h2_option, mu_h2_mem());
    if (r == 0)
        r = nghttp2_submit_settings(conn->h2.session, NGHTTP2_FLAG_NONE, settings,
                                    sizeof settings / sizeof *settings);
    if (r == 0)
        r = nghttp2_session_set_local_window_size(conn->h2.session, NGHTTP2_FLAG_NONE, 0,
                                                  MU_HTTP_CLIENT_CONNECTION_WINDOW);
    return r == 0 ? 0 : mu_h2_error(r);
}

int mu_client_h2_setup(struct mu_http_client *client)
{
    if (nghttp2_session_callbacks_new(&client->h2_callbacks) != 0 ||
        nghttp2_option_new(&client->h2_option) != 0)
        return MU_ENOMEM;
    nghttp2_session_callbacks *c = client->h2_callbacks;
    nghttp2_session_callbacks_set_on_header_callback(c, on_header);
    nghttp2_session_callbacks_set_on_frame_recv_callback(c, on_frame);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(c, on_data);
    nghttp2_session_callbacks_set_on_stream_close_callback(c, on_stream_close);
    nghttp2_session_callbacks_set_before_frame_send_callback(c, before_frame);
    return 0;
}

void mu_client_h2_fini(struct mu_http_client *client)
{
    nghttp2_option_del(client->h2_option);
    nghttp2_session_callbacks_del(client->h2_callbacks);
}
