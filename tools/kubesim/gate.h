#ifndef MU_TOOLS_KUBESIM_GATE_H
#define MU_TOOLS_KUBESIM_GATE_H
/*
 * Requests on their way to the API core and back: the timeline that both fronts share. A request is
 * copied, its plan is drawn, and it is handled, answered, repeated or lost when the time has come.
 *
 * A passage is over with its one callback (`answer` or `lost`), or when its front abandons it; what
 * an abandoned request still does to the server happens all the same. A request that is dropped
 * without the connection breaking calls nothing back: the front's timeout, or its peer's, ends it.
 */
#include "tools/kubesim/apiserver.h"
#include "tools/kubesim/fault.h"

struct mu_gate;    /* opaque; one thread */
struct mu_passage; /* one request; opaque */

struct mu_gate_callbacks {
    void *context;
    /* The reply arrives. The body may be taken (leave it empty); a watch is the front's from here
     * on: expire it after expire_ns, break it after cut_ns (0: never). */
    void (*answer)(void *context, void *user, struct mu_api_response *response, uint64_t expire_ns,
                   uint64_t cut_ns, uint64_t now_ns);
    /* The connection broke before a reply came. */
    void (*lost)(void *context, void *user, uint64_t now_ns);
};

/* faults is copied. Errors: NULL. */
struct mu_gate *mu_gate_create(struct mu_apiserver *server, const struct mu_faults *faults,
                               struct mu_random *random, const struct mu_gate_callbacks *callbacks);
void mu_gate_destroy(struct mu_gate *gate);
/* Send a request (copied). `user` comes back in the callback. The passage is valid until it is
 * over. Errors: NULL, out of memory; nothing was sent. */
struct mu_passage *mu_gate_submit(struct mu_gate *gate, const struct mu_api_request *request,
                                  bool watch, void *user, uint64_t now_ns);
/* No callback for this passage from here on; it is over. */
void mu_gate_abandon(struct mu_gate *gate, struct mu_passage *passage);
uint64_t mu_gate_next_ns(const struct mu_gate *gate);
/* The earliest step if it is due: true when one was made. Callbacks run inside. */
bool mu_gate_step(struct mu_gate *gate, uint64_t now_ns);
/* No faults for requests from now on; what is on its way keeps its plan. */
void mu_gate_heal(struct mu_gate *gate);
/* Requests that change something, handled after they were abandoned. */
uint64_t mu_gate_orphans(const struct mu_gate *gate);
/* How often each fault was planned. */
uint64_t mu_gate_fired(const struct mu_gate *gate, enum mu_fault fault);

#endif
