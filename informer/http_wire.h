#ifndef MU_INFORMER_HTTP_WIRE_H
#define MU_INFORMER_HTTP_WIRE_H
/*
 * The narrow seam between HTTP and the network. A wire is one byte stream; its protocol (HTTP/2 or
 * HTTP/1.1) gives and takes plain bytes and knows neither sockets nor TLS, which sits inside the
 * wire. A pump is what all wires of one client or server share: buffers, deadlines, and the
 * one place where output happens.
 *
 * Output is pulled, never pushed. A protocol that has something to say kicks its wire; once per
 * turn of the loop, after every socket that was readable has been read, the pump asks each kicked
 * wire for bytes until it has none or the socket takes no more. So hundreds of frames leave in one
 * system call, and a slow peer leaves its data where the protocol's own bounds hold it: the wire
 * keeps at most one buffer of unsent bytes.
 *
 * The kick starts an idle handle. libuv runs idle handles right before it would sleep, and does
 * not sleep while one is active, so output that is asked for at any point of the turn goes out
 * without another wake-up and cannot be forgotten.
 *
 * Every input kicks the wire too. nghttp2 lets 100 requests out before it knows the server's
 * SETTINGS, and what waits behind a stream limit or a window leaves only when it is asked to send
 * after the input that made room: of 1,000 requests submitted at once 100 were answered and the
 * others stood still until then.
 *
 * States of a wire: OPEN -> (finish: output, then FIN, input goes on) -> CLOSING -> closed().
 * With TLS the handshake comes before OPEN: no plain byte goes either way until hooks->secured, and
 * a whole buffer of output becomes full records that leave in one system call. A FIN without
 * close_notify before it is taken as an end all the same: HTTP/2 frames and our server's requests
 * say their own lengths, so nothing that is cut short can look whole.
 *
 * A detached pump has no loop: kicks and deadlines do nothing, the wires' owner calls the hooks.
 * Fuzzing and tests run the protocols that way.
 */
#include <uv.h>
#include "informer/http_wheel.h"
#include "informer/tls_session.h"

#define MU_WIRE_IN_BYTES    (256u << 10)
#define MU_WIRE_OUT_BYTES   (128u << 10)
#define MU_WIRE_PLAIN_BYTES (16u << 10) /* one record */

struct mu_wire;
struct mu_pump;

struct mu_wire_hooks {
    /* TLS: the handshake is done, mu_wire_protocol and mu_wire_peer answer. May close the wire. */
    void (*secured)(struct mu_wire *wire);
    /* Bytes from the peer, borrowed for the call. May close the wire. */
    void (*input)(struct mu_wire *wire, const uint8_t *data, size_t len);
    /* Fill room with up to cap bytes to send; 0: nothing for now; < 0: the protocol has failed,
     * `lost` follows. A wire closed by its own output returns 0. */
    ptrdiff_t (*output)(struct mu_wire *wire, uint8_t *room, size_t cap);
    /* The connection is gone (UV_EOF: ended by the peer). Once at most, and never after
     * mu_wire_close, which it must call now or later. Before it, once, TLS may be gone while the
     * socket is still there (mu_wire_tls_failed): who wants to be sure that the peer reads why
     * finishes, and closes at the second call. */
    void (*lost)(struct mu_wire *wire, int error);
    /* The handle is gone; the wire's storage is the owner's again. */
    void (*closed)(struct mu_wire *wire);
};

struct mu_pump_hooks {
    /* Before and after the wires are flushed, once per kicked turn. */
    void (*turn)(struct mu_pump *pump);
    void (*flushed)(struct mu_pump *pump);
    void (*expired)(struct mu_pump *pump, struct mu_wheel_entry *entry);
    void (*closed)(struct mu_pump *pump);
};

struct mu_pump {
    uv_loop_t *loop; /* NULL: detached */
    const struct mu_pump_hooks *hooks;
    uv_idle_t idle;
    uv_timer_t timer;
    uint64_t timer_due_ns; /* UINT64_MAX: not started */
    struct mu_wheel wheel;
    struct mu_link dirty; /* wires with output due */
    uint8_t *in;          /* MU_WIRE_IN_BYTES, shared: reads are consumed at once */
    uint8_t *out;         /* MU_WIRE_OUT_BYTES */
    uint8_t *plain;       /* TLS: MU_WIRE_PLAIN_BYTES, input */
    struct mu_buf cipher; /* TLS: output */
    uint64_t bytes_in;
    uint64_t bytes_out;
    uint32_t handles; /* of idle and timer, not closed yet */
};

struct mu_wire {
    uv_tcp_t tcp;
    uv_write_t write;
    uv_shutdown_t shutdown;
    struct mu_pump *pump;
    const struct mu_wire_hooks *hooks;
    struct mu_link dirty;
    struct mu_tls_session *tls; /* NULL: cleartext */
    uint8_t *rest;              /* bytes that the socket did not take, while a write is under way */
    bool open;                  /* the handle is connected and not closing */
    bool closing;               /* mu_wire_close was called */
    bool reading;               /* input is wanted */
    bool finishing;             /* FIN when the output has dried up */
    bool shut;                  /* FIN is sent or under way */
    bool lost;                  /* hooks->lost was called */
    size_t rest_len;            /* 0: the socket takes more */
};

/* loop NULL: detached. Errors: MU_ENOMEM, libuv codes. */
int mu_pump_init(struct mu_pump *pump, uv_loop_t *loop, const struct mu_pump_hooks *hooks);
/* All wires must be closed. hooks->closed follows; from the call itself when detached. */
void mu_pump_close(struct mu_pump *pump);
/* Have hooks->turn run before the loop sleeps. */
void mu_pump_kick(struct mu_pump *pump);
/* Monotonic time. Not the loop's, which stands still while a callback computes. */
uint64_t mu_pump_now_ns(void);
void mu_pump_arm(struct mu_pump *pump, struct mu_wheel_entry *entry, uint64_t due_ns);
void mu_pump_disarm(struct mu_pump *pump, struct mu_wheel_entry *entry);

/* Prepare a handle, not connected. Errors: libuv codes; the storage is then untouched. */
int mu_wire_init(struct mu_wire *wire, struct mu_pump *pump, const struct mu_wire_hooks *hooks);
/* It is to speak TLS: before mu_wire_start. host: see mu_tls_session_create. Errors: MU_ENOMEM,
 * MU_EINVAL. */
int mu_wire_secure(struct mu_wire *wire, struct mu_tls *tls, const char *host);
/* The handle is connected: begin to read. Errors: libuv codes; close it then. */
int mu_wire_start(struct mu_wire *wire);
/* Output is due. */
void mu_wire_kick(struct mu_wire *wire);
/* Stop or resume input. A stopped wire does not notice that its peer is gone. */
void mu_wire_read(struct mu_wire *wire, bool on);
/* End our direction once the output has dried up. */
void mu_wire_finish(struct mu_wire *wire);
/* Drop the connection; harmless when closing. hooks->closed follows, from the loop. */
void mu_wire_close(struct mu_wire *wire);
/* TLS has failed and nothing plain will pass any more; mu_wire_problem says why. */
bool mu_wire_tls_failed(const struct mu_wire *wire);
/* The peer of a failed one had begun with an HTTP request in cleartext: answer it so. */
bool mu_wire_tls_met_http(const struct mu_wire *wire);
void mu_wire_say_plain(struct mu_wire *wire, struct mu_str text);
/* What mu_tls_session_protocol, _peer and _problem say; "" and NULL in cleartext. */
struct mu_str mu_wire_protocol(const struct mu_wire *wire);
const struct mu_tls_peer *mu_wire_peer(const struct mu_wire *wire);
const char *mu_wire_problem(const struct mu_wire *wire);
/* The peer has torn the connection down: what a stopped wire can still be told. Cost: a system
 * call. */
bool mu_wire_torn_down(const struct mu_wire *wire);
/* Bytes handed to the kernel's side and not taken by it yet. */
size_t mu_wire_unsent(const struct mu_wire *wire);

#endif
