/*
 * A request is answered at once, or goes through the gate (tools/kubesim/gate.h) when there are
 * faults; a watch becomes a stream: pulled when the API server says that it
 * has something unread, as far as the peer takes it, and again when the peer has drained.
 *
 *   READY    in `ready`: the next turn pulls from its watch
 *   BLOCKED  the peer's queue is full: waits for on_drain
 *   (else)   nothing unread: waits for a wake or for its own time (bookmark, timeout)
 *
 * Pulling happens once per loop turn, so that a burst of changes travels as one write.
 */
#include "tools/kubesim/front.h"
#include "engine/base/assert.h"
#include "engine/base/clock.h"
#include "engine/base/mem.h"
#include "informer/http.h"
#include "informer/http_link.h"
#include "tools/kubesim/gate.h"

#define PULL_BYTES ((size_t)256 << 10)

/* A request that is in the gate, or a watch that is being served. */
struct stream {
    struct mu_link all;   /* in front->streams once it is served */
    struct mu_link ready; /* in front->ready, or alone */
    struct mu_http_exchange *exchange;
    struct mu_passage *passage; /* in the gate: not NULL */
    struct mu_api_watch *watch;
    uint64_t expire_ns, cut_ns; /* injected ends; UINT64_MAX: never */
    bool blocked;
};

struct mu_front {
    uv_loop_t *loop;
    uv_timer_t timer;
    uv_prepare_t prepare;
    const struct mu_clock *clock;
    struct mu_apiserver *server;
    struct mu_kubelets *kubelets;
    struct mu_http_server *http;
    struct mu_gate *gate;   /* NULL: no faults */
    struct mu_link waiting; /* streams in the gate */
    struct mu_link streams, ready;
    struct mu_buf frames; /* of one pull */
    void (*closed)(void *context);
    void *closed_context;
    uint32_t closing; /* handles not yet closed */
};

static uint64_t now_of(const struct mu_front *f)
{
    return f->clock->now_ns(f->clock);
}

static struct mu_str view(const struct mu_buf *buf)
{
    return (struct mu_str){(const char *)buf->data, (uint32_t)buf->len};
}

static void warn(struct mu_http_exchange *exchange, struct mu_api_response *response);

/* ---- streams ------------------------------------------------------------------------------ */

static void stream_free(struct mu_front *f, struct stream *s)
{
    if (s->passage != NULL)
        mu_gate_abandon(f->gate, s->passage);
    mu_link_remove(&s->all);
    mu_link_remove(&s->ready);
    mu_api_watch_close(s->watch);
    mu_mem_free(s);
}

static void stream_ready(struct mu_front *f, struct stream *s)
{
    if (!s->blocked && mu_link_empty(&s->ready))
        mu_link_append(&f->ready, &s->ready);
}

/* From inside the API server: this watch has something unread. */
static void on_wake(void *context, void *user)
{
    if (user != NULL)
        stream_ready(context, user);
}

static void on_drain(void *context, struct mu_http_exchange *exchange)
{
    struct stream *s = mu_http_exchange_get(exchange);
    if (s == NULL || s->watch == NULL)
        return;
    s->blocked = false;
    stream_ready(context, s);
}

static void on_abort(void *context, struct mu_http_exchange *exchange)
{
    struct stream *s = mu_http_exchange_get(exchange);
    if (s != NULL)
        stream_free(context, s);
}

/* An injected break: part of a frame if there is one to send, then nothing more. */
static void stream_cut(struct mu_front *f, struct stream *s, uint64_t now_ns)
{
    mu_buf_clear(&f->frames);
    (void)mu_api_watch_pull(s->watch, now_ns, 1, &f->frames);
    f->frames.len /= 2;
    int rc = f->frames.len == 0 ? 0 : mu_http_respond_write(s->exchange, view(&f->frames));
    if (rc == 0 || rc == MU_EAGAIN) {
        mu_http_exchange_set(s->exchange, NULL);
        mu_http_exchange_reset(s->exchange);
    }
    stream_free(f, s);
}

/* Give the peer what it takes. The stream may be gone afterwards. */
static void stream_pump(struct mu_front *f, struct stream *s, uint64_t now_ns)
{
    enum mu_watch_pull pulled = MU_WATCH_MORE;
    while (pulled == MU_WATCH_MORE && !s->blocked) {
        mu_buf_clear(&f->frames);
        pulled = mu_api_watch_pull(s->watch, now_ns, PULL_BYTES, &f->frames);
        int rc = f->frames.len == 0 ? 0 : mu_http_respond_write(s->exchange, view(&f->frames));
        if (rc == MU_EAGAIN) {
            s->blocked = true;
        } else if (rc != 0) {
            stream_free(f, s); /* the exchange is done */
            return;
        }
    }
    if (pulled == MU_WATCH_ENDED) {
        (void)mu_http_respond_end(s->exchange);
        stream_free(f, s);
    }
}

static struct stream *stream_create(struct mu_http_exchange *exchange)
{
    struct stream *s = mu_mem_zalloc(sizeof *s);
    if (s == NULL)
        return NULL;
    *s = (struct stream){.exchange = exchange, .expire_ns = UINT64_MAX, .cut_ns = UINT64_MAX};
    mu_link_init(&s->all);
    mu_link_init(&s->ready);
    return s;
}

/* Begin to serve the watch of a response. On failure the exchange is reset, the stream freed. */
static void stream_open(struct mu_front *f, struct stream *s, struct mu_api_response *response)
{
    static const char protobuf[] = "application/vnd.kubernetes.protobuf;stream=watch";
    const char *type = response->content_type;
    if (type == NULL)
        type = response->media == MU_MEDIA_PROTOBUF ? protobuf : mu_media_text(response->media);
    s->watch = response->watch;
    warn(s->exchange, response);
    int rc = mu_http_respond_begin(s->exchange, 200, mu_str_of(type));
    if (rc != 0) {
        stream_free(f, s); /* the exchange is done */
        return;
    }
    mu_link_remove(&s->all);
    mu_link_append(&f->streams, &s->all);
    mu_http_exchange_set(s->exchange, s);
    mu_api_watch_set_user(s->watch, s);
    stream_ready(f, s);
}

/* ---- requests ----------------------------------------------------------------------------- */

static enum mu_media media_of(struct mu_str content_type)
{
    enum mu_media media = mu_http_media(content_type);
    return media == MU_MEDIA_NONE && content_type.len > 0 ? MU_MEDIA_TEXT : media;
}

/* Each line becomes a Warning header. One that does not fit is left out: the response matters. */
static void warn(struct mu_http_exchange *exchange, struct mu_api_response *response)
{
    struct mu_str left = view(&response->warnings);
    while (left.len > 0) {
        const char *end = memchr(left.data, '\n', left.len);
        uint32_t len = end != NULL ? (uint32_t)(end - left.data) : left.len;
        uint32_t skip = len < left.len ? len + 1 : len;
        if (len > 0)
            (void)mu_http_exchange_warn(exchange, (struct mu_str){left.data, len});
        left = (struct mu_str){left.data + skip, left.len - skip};
    }
    mu_buf_fini(&response->warnings);
}

static void respond(struct mu_http_exchange *exchange, struct mu_api_response *response)
{
    const char *type =
        response->content_type != NULL ? response->content_type : mu_media_text(response->media);
    warn(exchange, response);
    (void)mu_http_respond_take(exchange, response->status, mu_str_of(type), response->retry_after_s,
                               &response->body);
}

/* The gate's reply. */
static void on_answer(void *context, void *user, struct mu_api_response *response,
                      uint64_t expire_ns, uint64_t cut_ns, uint64_t now_ns)
{
    struct mu_front *f = context;
    struct stream *s = user;
    s->passage = NULL;
    if (response->watch != NULL) {
        s->expire_ns = expire_ns != 0 ? now_ns + expire_ns : UINT64_MAX;
        s->cut_ns = cut_ns != 0 ? now_ns + cut_ns : UINT64_MAX;
        stream_open(f, s, response);
        return;
    }
    mu_http_exchange_set(s->exchange, NULL);
    respond(s->exchange, response);
    stream_free(f, s);
}

static void on_lost(void *context, void *user, uint64_t now_ns)
{
    struct stream *s = user;
    (void)now_ns;
    s->passage = NULL;
    mu_http_exchange_set(s->exchange, NULL);
    mu_http_exchange_reset(s->exchange);
    stream_free(context, s);
}

static void answer_now(struct mu_front *f, struct mu_http_exchange *exchange,
                       const struct mu_api_request *request)
{
    struct mu_api_response response = {0};
    mu_apiserver_handle(f->server, request, now_of(f), &response);
    if (response.watch == NULL) {
        respond(exchange, &response);
    } else {
        struct stream *s = stream_create(exchange);
        if (s != NULL) {
            stream_open(f, s, &response);
        } else {
            mu_api_watch_close(response.watch);
            mu_http_exchange_reset(exchange);
        }
    }
    mu_buf_fini(&response.body);
    mu_buf_fini(&response.warnings);
}

static void on_request(void *context, struct mu_http_exchange *exchange,
                       const struct mu_http_request *http)
{
    static const char watch_mark[] = "watch=";
    struct mu_front *f = context;
    struct mu_api_request request = {.method = http->method,
                                     .path = http->path,
                                     .query = http->query,
                                     .content = media_of(http->content_type),
                                     .accept = http->accept,
                                     .authorization = http->authorization,
                                     .peer = http->peer,
                                     .body = http->body};
    if (f->gate == NULL) {
        answer_now(f, exchange, &request);
        return;
    }
    bool watch = http->query.len > 0 && memmem(http->query.data, http->query.len, watch_mark,
                                               sizeof watch_mark - 1) != NULL;
    struct stream *s = stream_create(exchange);
    if (s != NULL)
        s->passage = mu_gate_submit(f->gate, &request, watch, s, now_of(f));
    if (s == NULL || s->passage == NULL) {
        mu_mem_free(s);
        mu_http_exchange_reset(exchange);
        return;
    }
    mu_link_append(&f->waiting, &s->all);
    mu_http_exchange_set(exchange, s);
}

/* ---- time --------------------------------------------------------------------------------- */

static void on_timer(uv_timer_t *timer)
{
    (void)timer; /* `turn` looks at everything that is due */
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* Streams whose own time has come are made ready, expired or cut. Returns the next such time. */
static uint64_t run_streams(struct mu_front *f, uint64_t now_ns)
{
    uint64_t next_ns = UINT64_MAX;
    for (struct mu_link *at = f->streams.next; at != &f->streams;) {
        struct stream *s = MU_LINK_OWNER(at, struct stream, all);
        at = at->next;
        if (s->cut_ns <= now_ns) {
            stream_cut(f, s, now_ns);
            at = f->streams.next; /* whatever else that closed: look anew */
            continue;
        }
        if (s->expire_ns <= now_ns) {
            s->expire_ns = UINT64_MAX;
            mu_api_watch_expire(s->watch);
        }
        uint64_t due_ns = mu_api_watch_next_ns(s->watch);
        if (due_ns <= now_ns)
            stream_ready(f, s);
        else
            next_ns = earlier(next_ns, due_ns);
        next_ns = earlier(next_ns, earlier(s->cut_ns, s->expire_ns));
    }
    return next_ns;
}

static void turn(uv_prepare_t *prepare)
{
    struct mu_front *f = prepare->data;
    uint64_t now_ns = now_of(f);
    while (f->gate != NULL && mu_gate_step(f->gate, now_ns)) {
    }
    if (mu_kubelets_next_ns(f->kubelets) <= now_ns)
        mu_kubelets_run(f->kubelets, now_ns);
    uint64_t next_ns = earlier(run_streams(f, now_ns), mu_kubelets_next_ns(f->kubelets));
    if (f->gate != NULL)
        next_ns = earlier(next_ns, mu_gate_next_ns(f->gate));
    struct mu_link due;
    mu_link_init(&due);
    mu_link_splice(&due, &f->ready); /* what becomes ready meanwhile waits for the next turn */
    while (!mu_link_empty(&due)) {
        struct stream *s = MU_LINK_OWNER(due.next, struct stream, ready);
        mu_link_remove(&s->ready);
        stream_pump(f, s, now_ns);
    }
    if (!mu_link_empty(&f->ready))
        next_ns = now_ns;
    if (next_ns == UINT64_MAX) {
        uv_timer_stop(&f->timer);
        return;
    }
    uint64_t wait_ms = next_ns <= now_ns ? 0 : (next_ns - now_ns + MU_NS_PER_MS - 1) / MU_NS_PER_MS;
    uv_update_time(f->loop);
    (void)uv_timer_start(&f->timer, on_timer, wait_ms, 0);
}

/* ---- life --------------------------------------------------------------------------------- */

/* A gate only where there are faults: its copies are not free. */
static bool create_gate(struct mu_front *f, const struct mu_front_config *config)
{
    struct mu_faults faults = config->faults;
    struct mu_gate_callbacks callbacks = {f, on_answer, on_lost};
    uint32_t sum = 0;
    for (int i = 0; i < MU_FAULT_COUNT; i++)
        sum += faults.permille[i];
    if (sum == 0)
        return true;
    if (faults.latency_ns_max == 0)
        faults.latency_ns_min = faults.latency_ns_max = 1; /* the wire has its own */
    f->gate = mu_gate_create(f->server, &faults, config->random, &callbacks);
    return f->gate != NULL;
}

int mu_front_create(uv_loop_t *loop, const struct mu_front_config *config,
                    struct mu_apiserver *server, struct mu_kubelets *kubelets,
                    struct mu_front **out, uint16_t *port)
{
    struct mu_front *f = mu_mem_zalloc(sizeof *f);
    if (f == NULL)
        return MU_ENOMEM;
    *f = (struct mu_front){
        .loop = loop, .clock = mu_clock_real(), .server = server, .kubelets = kubelets};
    mu_link_init(&f->waiting);
    mu_link_init(&f->streams);
    mu_link_init(&f->ready);
    if (!create_gate(f, config)) {
        mu_mem_free(f);
        return MU_ENOMEM;
    }
    struct mu_http_server_config http = {.host = config->host,
                                         .port = config->port,
                                         .tls = config->tls,
                                         .on_request = on_request,
                                         .on_abort = on_abort,
                                         .on_drain = on_drain,
                                         .context = f};
    int rc = mu_http_server_create(loop, &http, &f->http, port);
    if (rc != 0) {
        mu_gate_destroy(f->gate);
        mu_mem_free(f);
        return rc;
    }
    mu_apiserver_on_wake(server, on_wake, f);
    MU_ASSERT(uv_timer_init(loop, &f->timer) == 0);
    MU_ASSERT(uv_prepare_init(loop, &f->prepare) == 0);
    f->timer.data = f->prepare.data = f;
    MU_ASSERT(uv_prepare_start(&f->prepare, turn) == 0);
    *out = f;
    return 0;
}

void mu_front_set_tls(struct mu_front *f, struct mu_tls *tls)
{
    mu_http_server_set_tls(f->http, tls);
}

static void closed_one(struct mu_front *f)
{
    if (--f->closing > 0)
        return;
    void (*closed)(void *context) = f->closed;
    void *context = f->closed_context;
    mu_apiserver_on_wake(f->server, NULL, NULL);
    mu_gate_destroy(f->gate);
    mu_buf_fini(&f->frames);
    mu_mem_free(f);
    if (closed != NULL)
        closed(context);
}

static void on_server_closed(void *context)
{
    closed_one(context);
}

static void on_handle_closed(uv_handle_t *handle)
{
    closed_one(handle->data);
}

void mu_front_close(struct mu_front *f, void (*closed)(void *context), void *context)
{
    f->closed = closed;
    f->closed_context = context;
    f->closing = 3;
    while (!mu_link_empty(&f->streams)) {
        struct stream *s = MU_LINK_OWNER(f->streams.next, struct stream, all);
        mu_http_exchange_set(s->exchange, NULL);
        (void)mu_http_respond_end(s->exchange);
        stream_free(f, s);
    }
    while (!mu_link_empty(&f->waiting)) {
        struct stream *s = MU_LINK_OWNER(f->waiting.next, struct stream, all);
        mu_http_exchange_set(s->exchange, NULL);
        mu_http_exchange_reset(s->exchange);
        stream_free(f, s);
    }
    mu_http_server_close(f->http, on_server_closed, f);
    uv_close((uv_handle_t *)&f->timer, on_handle_closed);
    uv_close((uv_handle_t *)&f->prepare, on_handle_closed);
}
