#ifndef MU_INFORMER_TLS_SESSION_H
#define MU_INFORMER_TLS_SESSION_H
/*
 * TLS on one connection, without I/O: encrypted bytes go in and come out, the wire moves them
 * (informer/http_wire.h).
 *
 *   feed  -> handshake (until it is done) -> read, read, ... until 0
 *   write, finish, flush -> bytes for the socket
 *
 * What is made while reading (handshake, alerts) waits inside, bounded by MU_TLS_OUT_MAX, until
 * flush, write or finish puts it before what they have to say.
 */
#include <stddef.h>
#include "engine/base/buf.h"
#include "informer/tls.h"

struct mu_tls_session; /* opaque; one thread */

/* host: what is connected to, a name or an address; verified and sent as the context says; not used
 * by a server. Takes a reference of tls. Errors: MU_ENOMEM, MU_EINVAL (a host that cannot be
 * verified, too long for example). */
int mu_tls_session_create(struct mu_tls *tls, const char *host, struct mu_tls_session **out);
void mu_tls_session_destroy(struct mu_tls_session *session); /* NULL is fine */

/* Bytes from the peer; borrowed until handshake or read has returned 0 or an error. */
void mu_tls_session_feed(struct mu_tls_session *session, const uint8_t *data, size_t len);
/* Go on with it. 1: done, 0: waits for the peer. Errors: MU_ETLS (problem says why; what flush
 * gives is the alert), MU_ENOMEM, MU_ELIMIT. A client calls it once before there is anything to
 * feed. */
int mu_tls_session_handshake(struct mu_tls_session *session);
/* Up to cap plain bytes; 0: all that was fed is used up. After the handshake. Errors as above, and
 * MU_ECLOSED: the peer has ended its direction properly. */
ptrdiff_t mu_tls_session_read(struct mu_tls_session *session, uint8_t *room, size_t cap);
bool mu_tls_session_established(const struct mu_tls_session *session);
/* An error was returned: nothing but flush makes sense any more. */
bool mu_tls_session_failed(const struct mu_tls_session *session);

/* Append to *out. Errors: MU_ENOMEM, MU_ELIMIT (out's bound), MU_ETLS: the connection is lost. */
int mu_tls_session_flush(struct mu_tls_session *session, struct mu_buf *out);
int mu_tls_session_write(struct mu_tls_session *session, const uint8_t *data, size_t len,
                         struct mu_buf *out);
/* close_notify: what the peer has of ours is all there is. */
int mu_tls_session_finish(struct mu_tls_session *session, struct mu_buf *out);

/* Outside of TLS, for a peer that speaks none: flush gives it too. Only when failed. */
int mu_tls_session_say_plain(struct mu_tls_session *session, struct mu_str text);
/* The peer began with an HTTP request instead of a handshake. */
bool mu_tls_session_met_http(const struct mu_tls_session *session);
/* The connection ended during the handshake: put that into words. */
void mu_tls_session_cut(struct mu_tls_session *session);

/* "h2", "http/1.1", or empty: not negotiated. After the handshake. */
struct mu_str mu_tls_session_protocol(const struct mu_tls_session *session);
/* Of a verified client certificate with a name in it; NULL: none. After the handshake. */
const struct mu_tls_peer *mu_tls_session_peer(const struct mu_tls_session *session);
/* One line for people; "" when nothing is wrong. */
const char *mu_tls_session_problem(const struct mu_tls_session *session);

#endif
