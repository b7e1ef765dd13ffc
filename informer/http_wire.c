#include "informer/http_wire.h"

#include <poll.h>
#include <string.h>
#include "engine/base/assert.h"
#include "engine/base/clock.h"
#include "engine/base/error.h"
#include "engine/base/mem.h"

/* Buffers that one wire may send per turn, so that a fast reader of one huge response does not
 * keep the loop from the other wires. */
#define ROUNDS_PER_TURN 8

/* ---- pump ---------------------------------------------------------------------------------- */

static void on_idle(uv_idle_t *idle);
static void on_timer(uv_timer_t *timer);

int mu_pump_init(struct mu_pump *pump, uv_loop_t *loop, const struct mu_pump_hooks *hooks)
{
    memset(pump, 0, sizeof *pump);
    pump->hooks = hooks;
    pump->timer_due_ns = UINT64_MAX;
    mu_link_init(&pump->dirty);
    mu_wheel_init(&pump->wheel, mu_pump_now_ns());
    pump->in = mu_mem_alloc(MU_WIRE_IN_BYTES);
    pump->out = mu_mem_alloc(MU_WIRE_OUT_BYTES);
    if (pump->in == NULL || pump->out == NULL) {
        mu_mem_free(pump->in);
        mu_mem_free(pump->out);
        return MU_ENOMEM;
    }
    if (loop == NULL)
        return 0;
    pump->loop = loop;
    /* Neither can fail in libuv; both are checked all the same. */
    int r = uv_idle_init(loop, &pump->idle);
    MU_ASSERT(r == 0);
    r = uv_timer_init(loop, &pump->timer);
    MU_ASSERT(r == 0);
    pump->idle.data = pump;
    pump->timer.data = pump;
    pump->handles = 2;
    return 0;
}

static void pump_gone(struct mu_pump *pump)
{
    mu_mem_free(pump->in);
    mu_mem_free(pump->out);
    mu_mem_free(pump->plain);
    mu_buf_fini(&pump->cipher);
    pump->hooks->closed(pump);
}

static void on_pump_handle_closed(uv_handle_t *handle)
{
    struct mu_pump *pump = handle->data;
    MU_ASSERT(pump->handles > 0);
    if (--pump->handles == 0)
        pump_gone(pump);
}

void mu_pump_close(struct mu_pump *pump)
{
    MU_ASSERT(mu_link_empty(&pump->dirty));
    if (pump->loop == NULL) {
        pump_gone(pump);
        return;
    }
    uv_close((uv_handle_t *)&pump->idle, on_pump_handle_closed);
    uv_close((uv_handle_t *)&pump->timer, on_pump_handle_closed);
}

void mu_pump_kick(struct mu_pump *pump)
{
    if (pump->loop != NULL && !uv_is_closing((uv_handle_t *)&pump->idle))
        (void)uv_idle_start(&pump->idle, on_idle); /* fails only without a callback */
}

uint64_t mu_pump_now_ns(void)
{
    return uv_hrtime();
}

static void timer_set(struct mu_pump *pump, uint64_t due_ns)
{
    if (pump->loop == NULL || uv_is_closing((uv_handle_t *)&pump->timer))
        return;
    pump->timer_due_ns = due_ns;
    if (due_ns == UINT64_MAX) {
        (void)uv_timer_stop(&pump->timer);
        return;
    }
    uint64_t now_ns = mu_pump_now_ns();
    uint64_t wait_ms = due_ns > now_ns ? (due_ns - now_ns) / MU_NS_PER_MS + 1 : 0;
    /* uv_timer_start counts from the loop's own, possibly old, time. */
    uv_update_time(pump->loop);
    (void)uv_timer_start(&pump->timer, on_timer, wait_ms, 0);
}

void mu_pump_arm(struct mu_pump *pump, struct mu_wheel_entry *entry, uint64_t due_ns)
{
    mu_wheel_arm(&pump->wheel, entry, due_ns);
    uint64_t tick_ns = entry->tick < UINT64_MAX / MU_WHEEL_TICK_NS ? entry->tick * MU_WHEEL_TICK_NS
                                                                   : UINT64_MAX - 1;
    if (tick_ns < pump->timer_due_ns)
        timer_set(pump, tick_ns);
}

void mu_pump_disarm(struct mu_pump *pump, struct mu_wheel_entry *entry)
{
    mu_wheel_disarm(&pump->wheel, entry);
}

static void on_timer(uv_timer_t *timer)
{
    struct mu_pump *pump = timer->data;
    uint64_t now_ns = mu_pump_now_ns();
    struct mu_wheel_entry *entry;
    /* `now` stays put: an entry that is re-armed by its own expiry does not come back here. */
    pump->timer_due_ns = 0;
    while ((entry = mu_wheel_pop(&pump->wheel, now_ns)) != NULL)
        pump->hooks->expired(pump, entry);
    timer_set(pump, mu_wheel_next_ns(&pump->wheel));
}

static void wire_flush(struct mu_wire *wire);

static void on_idle(uv_idle_t *idle)
{
    struct mu_pump *pump = idle->data;
    struct mu_link now;
    pump->hooks->turn(pump);
    /* Wires kicked by the flush itself wait for the next turn. */
    mu_link_init(&now);
    mu_link_splice(&now, &pump->dirty);
    (void)uv_idle_stop(idle);
    while (!mu_link_empty(&now)) {
        struct mu_wire *wire = MU_LINK_OWNER(now.next, struct mu_wire, dirty);
        mu_link_remove(&wire->dirty);
        wire_flush(wire);
    }
    pump->hooks->flushed(pump);
}

/* ---- wire ---------------------------------------------------------------------------------- */

int mu_wire_init(struct mu_wire *wire, struct mu_pump *pump, const struct mu_wire_hooks *hooks)
{
    if (pump->loop != NULL) {
        int r = uv_tcp_init(pump->loop, &wire->tcp);
        if (r != 0)
            return r;
    }
    wire->tcp.data = wire;
    wire->pump = pump;
    wire->hooks = hooks;
    wire->tls = NULL;
    wire->rest = NULL;
    wire->rest_len = 0;
    wire->open = wire->closing = wire->reading = false;
    wire->finishing = wire->shut = wire->lost = false;
    mu_link_init(&wire->dirty);
    return 0;
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    (void)suggested;
    struct mu_wire *wire = handle->data;
    *buf = uv_buf_init((char *)wire->pump->in, MU_WIRE_IN_BYTES);
}

static void wire_lost(struct mu_wire *wire, int error)
{
    if (wire->lost || wire->closing)
        return;
    wire->lost = true;
    wire->hooks->lost(wire, error);
}

static int wire_send(struct mu_wire *wire, uint8_t *data, size_t len);

/* ---- TLS ----------------------------------------------------------------------------------- */

/* Our last word leaves at once if it can: the owner may close in the next moment. What the socket
 * does not take now stays with the session, for an owner that finishes first. */
static void tls_failed(struct mu_wire *wire, int error)
{
    struct mu_buf *cipher = &wire->pump->cipher;
    mu_buf_clear(cipher);
    if (wire->rest_len == 0 && mu_tls_session_flush(wire->tls, cipher) == 0 && cipher->len > 0)
        (void)wire_send(wire, cipher->data, cipher->len);
    if (!wire->lost)
        wire->hooks->lost(wire, error);
}

static int tls_handshake(struct mu_wire *wire)
{
    int r = mu_tls_session_handshake(wire->tls);
    if (r < 0)
        tls_failed(wire, r);
    else if (r == 1)
        wire->hooks->secured(wire);
    return r;
}

/* Everything that came is used before this returns, or the connection is over. */
static void tls_input(struct mu_wire *wire, const uint8_t *data, size_t len)
{
    struct mu_tls_session *tls = wire->tls;
    uint8_t *plain = wire->pump->plain;
    if (mu_tls_session_failed(tls) || wire->lost)
        return;
    mu_tls_session_feed(tls, data, len);
    if (!mu_tls_session_established(tls) && tls_handshake(wire) != 1)
        return;
    ptrdiff_t n = 0;
    while (!wire->closing && (n = mu_tls_session_read(tls, plain, MU_WIRE_PLAIN_BYTES)) > 0)
        wire->hooks->input(wire, plain, (size_t)n);
    if (wire->closing)
        return;
    if (n == MU_ECLOSED)
        wire_lost(wire, UV_EOF);
    else if (n < 0)
        tls_failed(wire, (int)n);
}

int mu_wire_secure(struct mu_wire *wire, struct mu_tls *tls, const char *host)
{
    struct mu_pump *pump = wire->pump;
    MU_ASSERT(wire->tls == NULL && !wire->open && !wire->closing && pump->loop != NULL);
    if (pump->plain == NULL)
        pump->plain = mu_mem_alloc(MU_WIRE_PLAIN_BYTES);
    if (pump->plain == NULL)
        return MU_ENOMEM;
    return mu_tls_session_create(tls, host, &wire->tls);
}

bool mu_wire_tls_failed(const struct mu_wire *wire)
{
    return wire->tls != NULL && mu_tls_session_failed(wire->tls);
}

bool mu_wire_tls_met_http(const struct mu_wire *wire)
{
    return wire->tls != NULL && mu_tls_session_met_http(wire->tls);
}

void mu_wire_say_plain(struct mu_wire *wire, struct mu_str text)
{
    (void)mu_tls_session_say_plain(wire->tls, text); /* out of memory: it hears nothing */
    mu_wire_kick(wire);
}

struct mu_str mu_wire_protocol(const struct mu_wire *wire)
{
    return wire->tls != NULL ? mu_tls_session_protocol(wire->tls) : MU_STR("");
}

const struct mu_tls_peer *mu_wire_peer(const struct mu_wire *wire)
{
    return wire->tls != NULL ? mu_tls_session_peer(wire->tls) : NULL;
}

const char *mu_wire_problem(const struct mu_wire *wire)
{
    return wire->tls != NULL ? mu_tls_session_problem(wire->tls) : "";
}

/* ---- the handle ---------------------------------------------------------------------------- */

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
    struct mu_wire *wire = stream->data;
    if (n == 0 || wire->closing)
        return;
    if (n < 0) {
        if (wire->tls != NULL)
            mu_tls_session_cut(wire->tls);
        wire_lost(wire, (int)n);
        return;
    }
    wire->pump->bytes_in += (uint64_t)n;
    if (wire->tls != NULL)
        tls_input(wire, (const uint8_t *)buf->base, (size_t)n);
    else
        wire->hooks->input(wire, (const uint8_t *)buf->base, (size_t)n);
    mu_wire_kick(wire);
}

int mu_wire_start(struct mu_wire *wire)
{
    MU_ASSERT(!wire->closing && !wire->open);
    if (wire->pump->loop != NULL) {
        (void)uv_tcp_nodelay(&wire->tcp, 1); /* a refusal costs latency only */
        int r = uv_read_start((uv_stream_t *)&wire->tcp, on_alloc, on_read);
        if (r != 0)
            return r;
    }
    wire->open = wire->reading = true;
    mu_wire_kick(wire);
    if (wire->tls == NULL)
        return 0;
    int r = mu_tls_session_handshake(wire->tls); /* a client's first flight */
    return r < 0 ? r : 0;
}

void mu_wire_kick(struct mu_wire *wire)
{
    if (!wire->open || wire->pump->loop == NULL)
        return;
    if (mu_link_empty(&wire->dirty))
        mu_link_append(&wire->pump->dirty, &wire->dirty);
    mu_pump_kick(wire->pump);
}

void mu_wire_read(struct mu_wire *wire, bool on)
{
    if (!wire->open || wire->reading == on)
        return;
    wire->reading = on;
    if (wire->pump->loop == NULL)
        return;
    int r = on ? uv_read_start((uv_stream_t *)&wire->tcp, on_alloc, on_read)
               : uv_read_stop((uv_stream_t *)&wire->tcp);
    if (r != 0)
        wire_lost(wire, r);
}

void mu_wire_finish(struct mu_wire *wire)
{
    wire->finishing = true;
    mu_wire_kick(wire);
}

static void on_handle_closed(uv_handle_t *handle)
{
    struct mu_wire *wire = handle->data;
    MU_ASSERT(wire->closing && wire->rest == NULL);
    mu_tls_session_destroy(wire->tls);
    wire->tls = NULL;
    wire->hooks->closed(wire);
}

void mu_wire_close(struct mu_wire *wire)
{
    if (wire->closing)
        return;
    wire->closing = true;
    wire->open = wire->reading = false;
    mu_link_remove(&wire->dirty);
    if (wire->pump->loop != NULL)
        uv_close((uv_handle_t *)&wire->tcp, on_handle_closed);
}

size_t mu_wire_unsent(const struct mu_wire *wire)
{
    return wire->rest_len == 0 ? 0
                               : uv_stream_get_write_queue_size((const uv_stream_t *)&wire->tcp);
}

bool mu_wire_torn_down(const struct mu_wire *wire)
{
    struct pollfd look = {.fd = -1}; /* without events: errors and hang-ups alone */
    if (wire->pump->loop == NULL || uv_fileno((const uv_handle_t *)&wire->tcp, &look.fd) != 0)
        return false;
    return poll(&look, 1, 0) == 1;
}

static void on_written(uv_write_t *write, int status)
{
    struct mu_wire *wire = write->handle->data;
    mu_mem_free(wire->rest);
    wire->rest = NULL;
    wire->rest_len = 0;
    if (wire->closing)
        return;
    if (status != 0)
        wire_lost(wire, status);
    else
        mu_wire_kick(wire);
}

/* Send len bytes of the shared buffer; what the socket does not take now is copied and follows by
 * itself. Returns 0, or an error that ends the connection. */
static int wire_send(struct mu_wire *wire, uint8_t *data, size_t len)
{
    uv_buf_t buf = uv_buf_init((char *)data, (unsigned)len);
    int n = uv_try_write((uv_stream_t *)&wire->tcp, &buf, 1);
    if (n == UV_EAGAIN)
        n = 0;
    if (n < 0)
        return n;
    wire->pump->bytes_out += len;
    if ((size_t)n == len)
        return 0;
    wire->rest_len = len - (size_t)n;
    wire->rest = mu_mem_alloc(wire->rest_len);
    if (wire->rest == NULL) {
        wire->rest_len = 0;
        return MU_ENOMEM;
    }
    memcpy(wire->rest, data + n, wire->rest_len);
    buf = uv_buf_init((char *)wire->rest, (unsigned)wire->rest_len);
    int r = uv_write(&wire->write, (uv_stream_t *)&wire->tcp, &buf, 1, on_written);
    if (r != 0) {
        mu_mem_free(wire->rest);
        wire->rest = NULL;
        wire->rest_len = 0;
    }
    return r;
}

static void on_shut(uv_shutdown_t *request, int status)
{
    /* The peer's FIN or a failed read ends the wire; a FIN that did not go out changes nothing. */
    (void)request;
    (void)status;
}

/* The next bytes for the socket, in one of the pump's buffers. 0: nothing for now; < 0: the
 * connection cannot go on. */
static ptrdiff_t wire_pull(struct mu_wire *wire, uint8_t **data)
{
    struct mu_pump *pump = wire->pump;
    struct mu_buf *cipher = &pump->cipher;
    ptrdiff_t len = 0;
    int r = 0;
    *data = pump->out;
    if (wire->tls == NULL ||
        (mu_tls_session_established(wire->tls) && !mu_tls_session_failed(wire->tls)))
        len = wire->hooks->output(wire, pump->out, MU_WIRE_OUT_BYTES);
    MU_ASSERT(len < 0 || (size_t)len <= MU_WIRE_OUT_BYTES);
    if (wire->tls == NULL || len < 0 || !wire->open)
        return len;
    mu_buf_clear(cipher);
    if (len > 0)
        r = mu_tls_session_write(wire->tls, pump->out, (size_t)len, cipher);
    else if (wire->finishing)
        r = mu_tls_session_finish(wire->tls, cipher);
    else
        r = mu_tls_session_flush(wire->tls, cipher);
    *data = cipher->data;
    return r != 0 ? r : (ptrdiff_t)cipher->len;
}

static void wire_flush(struct mu_wire *wire)
{
    for (int round = 0; round < ROUNDS_PER_TURN; round++) {
        uint8_t *data;
        if (!wire->open || wire->rest_len > 0 || wire->shut)
            return;
        ptrdiff_t len = wire_pull(wire, &data);
        if (!wire->open)
            return; /* closed by its own output */
        if (len == 0) {
            if (wire->finishing) {
                wire->shut = true;
                (void)uv_shutdown(&wire->shutdown, (uv_stream_t *)&wire->tcp, on_shut);
            }
            return;
        }
        int r = len < 0 ? (int)len : wire_send(wire, data, (size_t)len);
        if (r != 0) {
            wire_lost(wire, r);
            return;
        }
    }
    mu_wire_kick(wire);
}
