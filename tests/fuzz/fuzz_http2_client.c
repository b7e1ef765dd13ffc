/*
 * HTTP/2 as the client reads it: the input is what a server says, whatever the client asked. No
 * input crashes or leaks; each request has one head at most, nothing behind its end, no more bytes
 * than its cap; and when the client is closed every request has been answered or lost, once.
 *
 * The input opens with three bytes: how the rest is cut into reads, which allocation fails (0:
 * none), and options. The server's SETTINGS come first unless an option leaves them to the input.
 *
 * covers: informer/http_client_h2.c
 * covers: informer/http_client_conn.c:on_input,on_output,on_lost,on_closed,conn_over,conn_release
 * covers: informer/http_client.c:mu_call_emit,mu_call_end,mu_call_lost,queue_assign,pool_pick
 * covers: informer/http_h2.c:mu_h2_input,mu_h2_output,mu_h2_error,mu_h2_done
 * covers: informer/call.c:mu_http_media
 */
#include <string.h>
#include "engine/base/assert.h"
#include "engine/base/clock.h"
#include "engine/base/mem.h"
#include "informer/http_client_priv.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { INPUT_MAX = 32 << 10, TOKENS = 24, FIRST = 8, BODY_MAX = 4096, CONNECTIONS = 4, HEAD = 3 };

enum option {
    NO_SETTINGS = 1, /* the input begins with them, or does not */
    MORE = 2,        /* a reply's end begins another request */
    CANCEL = 4,      /* the first piece of a body is the last that is wanted */
    CLOSE = 8,       /* the second end closes the client */
    LOOK = 16,       /* deadlines and the keep-alive have passed behind the input */
    LOST = 32,       /* the connection ends with the input */
    TWO = 64,        /* two connections, the pieces in turns */
};

struct rig {
    struct mu_http_client *client;
    uint8_t options;
    bool oom;
    bool closed;
    uint32_t sent;  /* tokens 1.. */
    uint32_t ended; /* of those */
    struct {
        bool head, over;
        bool stream;
        size_t bytes;
    } seen[TOKENS + 1];
};

/* What a request is goes by its token: reads, writes small and large, watches. */
static void rig_send(struct rig *rig)
{
    static const char zeros[100000];
    uint64_t token = rig->sent + 1;
    struct mu_request request = {.token = token, .method = MU_GET, .timeout_ns = 1};
    int r = mu_buf_append_text(&request.path, "/api/v1/pods?limit=500");
    if (r == 0 && token % 4 == 2) {
        request.method = MU_POST;
        request.content = token % 8 == 2 ? MU_MEDIA_PROTOBUF : MU_MEDIA_NONE;
        r = mu_buf_append(&request.body, zeros, token % 8 == 2 ? sizeof zeros : 10);
    }
    request.stream = token % 4 == 0;
    if (r == 0)
        r = mu_http_client_send(rig->client, &request);
    if (r == 0) {
        rig->seen[token].stream = request.stream;
        rig->sent++;
    } else {
        MU_ASSERT(rig->oom);
        mu_buf_fini(&request.path);
        mu_buf_fini(&request.body);
    }
}

static void on_closed(void *context)
{
    ((struct rig *)context)->closed = true;
}

static void on_over(struct rig *rig)
{
    rig->ended++;
    if ((rig->options & CLOSE) != 0 && rig->ended == 2 && !rig->client->closing)
        mu_http_client_close(rig->client, on_closed, rig);
    else if ((rig->options & MORE) != 0 && rig->sent < TOKENS && !rig->client->closing)
        rig_send(rig);
}

static void on_reply(void *context, const struct mu_reply *reply)
{
    struct rig *rig = context;
    MU_ASSERT(reply->token > 0 && reply->token <= TOKENS && !rig->seen[reply->token].over);
    switch (reply->kind) {
    case MU_REPLY_HEAD:
        MU_ASSERT(!rig->seen[reply->token].head && reply->status >= 0 && reply->status < 1000);
        rig->seen[reply->token].head = true;
        break;
    case MU_REPLY_DATA:
        MU_ASSERT(rig->seen[reply->token].head);
        rig->seen[reply->token].bytes += reply->data.len;
        MU_ASSERT(rig->seen[reply->token].bytes <= BODY_MAX || rig->seen[reply->token].stream);
        if ((rig->options & CANCEL) != 0) {
            struct mu_request cancel = {.token = reply->token, .cancel = true};
            int r = mu_http_client_send(rig->client, &cancel);
            MU_ASSERT(r == 0);
            rig->seen[reply->token].over = true;
            on_over(rig);
        }
        break;
    case MU_REPLY_END:
        MU_ASSERT(rig->seen[reply->token].head);
        rig->seen[reply->token].over = true;
        on_over(rig);
        break;
    case MU_REPLY_LOST:
        MU_ASSERT(reply->error < 0);
        rig->seen[reply->token].over = true;
        on_over(rig);
        break;
    }
}

/* Take what the client says; give back what has ended; let it go on. */
static void rig_turn(struct rig *rig)
{
    static uint8_t room[1 << 20];
    struct mu_http_client *client = rig->client;
    for (int round = 0; round < 3 && !rig->closed; round++) {
        client->pump.hooks->turn(&client->pump);
        struct mu_link *l = rig->closed ? NULL : client->conns.next;
        while (l != NULL && l != &client->conns) {
            struct mu_client_conn *conn = MU_LINK_OWNER(l, struct mu_client_conn, link);
            ptrdiff_t n = 1;
            while (n > 0 && conn->wire.open)
                n = conn->wire.hooks->output(&conn->wire, room, sizeof room);
            if (n < 0 && conn->wire.open)
                conn->wire.hooks->lost(&conn->wire, (int)n);
            l = l->next;
            bool last = client->closed && client->conn_count == 1;
            if (conn->state == MU_CONN_CLOSED)
                conn->wire.hooks->closed(&conn->wire); /* frees it; the last one the client */
            if (last)
                l = NULL;
        }
        if (!rig->closed)
            client->connect_not_before_ns = 0;
    }
}

/* The index-th connection that is up, from 0; the last one when there are fewer. */
static struct mu_client_conn *rig_conn(const struct rig *rig, size_t index)
{
    struct mu_client_conn *found = NULL;
    if (rig->closed)
        return NULL;
    for (struct mu_link *l = rig->client->conns.next; l != &rig->client->conns; l = l->next) {
        struct mu_client_conn *conn = MU_LINK_OWNER(l, struct mu_client_conn, link);
        if (conn->wire.open)
            found = conn;
        if (found != NULL && index-- == 0)
            break;
    }
    return found;
}

/* Everything whose time could come, has come. */
static void rig_look(struct rig *rig)
{
    for (int i = 0; i < 3; i++) {
        struct mu_client_conn *conn = rig_conn(rig, 0);
        if (conn != NULL)
            mu_client_conn_expired(conn);
        rig_turn(rig);
        for (uint32_t c = 0; !rig->closed && c < rig->client->calls_cap && i == 1; c++) {
            struct mu_call *call = rig->client->calls[c];
            if (call != NULL)
                rig->client->pump.hooks->expired(&rig->client->pump, &call->deadline);
        }
    }
}

static void rig_feed(struct rig *rig, const uint8_t *data, size_t size)
{
    static const uint8_t settings[] = "\0\0\6\4\0\0\0\0\0\0\3\0\0\0\5"; /* five streams */
    size_t step = 1 + (size_t)data[0] * 4;
    rig_turn(rig);
    for (size_t at = HEAD; at < size && !rig->closed; at += step) {
        size_t index = (rig->options & TWO) != 0 ? at / step % 2 : 0;
        struct mu_client_conn *conn = rig_conn(rig, index);
        if (conn == NULL || rig->client->stats.connects > CONNECTIONS)
            break;
        if (conn->heard_ns == 0 && (rig->options & NO_SETTINGS) == 0) {
            conn->wire.hooks->input(&conn->wire, settings, sizeof settings - 1);
            rig_turn(rig); /* the requests leave */
            conn = rig_conn(rig, index);
        }
        if (conn != NULL)
            conn->wire.hooks->input(&conn->wire, data + at, size - at < step ? size - at : step);
        rig_turn(rig);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size <= HEAD || size > INPUT_MAX)
        return 0;
    size_t live = mu_mem_live_bytes();
    struct rig rig = {.options = data[2], .oom = data[1] != 0};
    struct mu_http_client_config config = {.host = MU_STR("127.0.0.1"),
                                           .port = 1,
                                           .connections = (data[2] & TWO) != 0 ? 2 : 1,
                                           .streams_each = 5,
                                           .body_max = BODY_MAX,
                                           .ping_idle_ns = 1,
                                           .ping_timeout_ns = 1};
    int r = mu_http_client_create(NULL, &config, on_reply, &rig, &rig.client);
    MU_ASSERT(r == 0);
    uint64_t nth = data[1] < 128 ? data[1] : 128 + (uint64_t)(data[1] - 128) * 8;
    mu_mem_debug_set((struct mu_mem_debug){.fail_nth = nth});
    for (int i = 0; i < FIRST; i++)
        rig_send(&rig);
    rig_feed(&rig, data, size);
    if ((rig.options & LOOK) != 0)
        rig_look(&rig);
    struct mu_client_conn *conn = rig_conn(&rig, 0);
    if ((rig.options & LOST) != 0 && conn != NULL)
        conn->wire.hooks->lost(&conn->wire, UV_EOF);
    if (!rig.closed && !rig.client->closing)
        mu_http_client_close(rig.client, on_closed, &rig);
    rig_turn(&rig);
    mu_mem_debug_set((struct mu_mem_debug){0});
    MU_ASSERT(rig.closed && rig.ended == rig.sent);
    MU_ASSERT(mu_mem_live_bytes() == live);
    return 0;
}
