#ifndef MU_INFORMER_HTTP_H2_H
#define MU_INFORMER_HTTP_H2_H
/*
 * What both sides share of nghttp2: its allocator, bytes in and out, header fields, errors.
 *
 * Neither side announces SETTINGS_NO_RFC7540_PRIORITIES, although it would spare the dependency
 * tree: in 1.52 that path frees a stream's DATA item twice when memory runs out while queueing it.
 */
#include <nghttp2/nghttp2.h>
#include "informer/call.h"

struct mu_h2 {
    nghttp2_session *session;
    const uint8_t *pending; /* the session's, valid until it is asked to send again */
    size_t pending_len;
};

/* nghttp2 on engine/base/mem.h, so that its failures are tested and its memory is counted. */
nghttp2_mem *mu_h2_mem(void);
/* A field with a static name; the value is copied by nghttp2, or borrowed for the session's
 * lifetime by the second form. */
nghttp2_nv mu_h2_nv(struct mu_str name, struct mu_str value);
nghttp2_nv mu_h2_nv_static(struct mu_str name, struct mu_str value);
/* Our code for one of nghttp2's errors. */
int mu_h2_error(int code);
/* Feed bytes. Errors: MU_EPROTO, MU_ENOMEM: the connection cannot go on. */
int mu_h2_input(struct mu_h2 *h2, const uint8_t *data, size_t len);
/* Fill room; 0: nothing due. Errors as above. */
ptrdiff_t mu_h2_output(struct mu_h2 *h2, uint8_t *room, size_t cap);
/* True when the session neither reads nor writes any more: after a GOAWAY has run its course. */
bool mu_h2_done(const struct mu_h2 *h2);
void mu_h2_fini(struct mu_h2 *h2);

/* ASCII, without case. */
bool mu_http_equal_nocase(struct mu_str a, struct mu_str b);

#endif
