#ifndef MU_TOOLS_KUBESIM_INPROC_H
#define MU_TOOLS_KUBESIM_INPROC_H
/*
 * The in-process front: serves outboxes (informer/call.h) under virtual time. Requests go through
 * faults and latencies (tools/kubesim/gate.h) to the API core; replies come back through a
 * callback, in an order that depends on the seed alone. Bodies and watch frames are cut at random
 * places, so that decoders see every split.
 *
 * A driver alternates: machines fill outboxes; submit; move time to mu_inproc_next_ns; run.
 */
#include "informer/call.h"
#include "tools/kubesim/apiserver.h"
#include "tools/kubesim/fault.h"

struct mu_inproc; /* opaque; one thread */

/* A reply for a request of this client. May fill outboxes; must not call into the front. */
typedef void (*mu_inproc_reply_fn)(void *context, uint32_t client, const struct mu_reply *reply);

/* Takes over the server's wake callback. The server is the caller's and outlives the front. Errors:
 * NULL. */
struct mu_inproc *mu_inproc_create(struct mu_apiserver *server, const struct mu_faults *faults,
                                   struct mu_random *random, mu_inproc_reply_fn reply,
                                   void *context);
void mu_inproc_destroy(struct mu_inproc *inproc);
/* Take everything from a client's outbox. Replies come from mu_inproc_run alone, save LOST with
 * MU_ENOMEM (not sent) when memory is out. */
void mu_inproc_submit(struct mu_inproc *inproc, uint32_t client, struct mu_outbox *outbox,
                      uint64_t now_ns);
/* When run has something to do; UINT64_MAX: never, by itself. */
uint64_t mu_inproc_next_ns(const struct mu_inproc *inproc);
/* Do everything that is due at or before now. */
void mu_inproc_run(struct mu_inproc *inproc, uint64_t now_ns);
/* A client is gone: no replies for it from here on, its watches are closed. What it sent still
 * lands. */
void mu_inproc_disconnect(struct mu_inproc *inproc, uint32_t client);
/* No faults from now on; what is late still lands. */
void mu_inproc_heal(struct mu_inproc *inproc);

struct mu_inproc_stats {
    uint64_t requests, answered, lost, timeouts, frames_bytes;
    uint64_t fired[MU_FAULT_COUNT]; /* how often each fault was planned */
    uint64_t orphans; /* writes handled after their client was gone, or had given them up */
    uint32_t open;    /* requests and streams */
};
void mu_inproc_stats(const struct mu_inproc *inproc, struct mu_inproc_stats *out);

#endif
