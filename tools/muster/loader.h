#ifndef MU_TOOLS_MUSTER_LOADER_H
#define MU_TOOLS_MUSTER_LOADER_H
/*
 * Creates many objects over the API, a bounded number in flight: a pure state machine on the same
 * seam as the scheduler's. A lost reply or 429 or 5xx repeats the POST (a 409 AlreadyExists then
 * means that the first one arrived); any other refusal ends the load with the server's words.
 */
#include "engine/base/error.h"
#include "informer/call.h"

struct mu_loader_config {
    uint32_t count;
    uint32_t in_flight_max; /* 0: 256 */
    uint64_t token_base;    /* tokens are token_base + index */
    /* Append path and body of object i. Returns 0 or an error, which ends the load. */
    int (*encode)(void *context, uint32_t i, struct mu_buf *path, struct mu_buf *body);
    /* Object i is not sent before this time; ascending in i. NULL: all may go at once. */
    uint64_t (*due_ns)(void *context, uint32_t i);
    /* Object i is about to be sent for the first time. May be NULL. */
    void (*sending)(void *context, uint32_t i, uint64_t now_ns);
    void *context;
};

struct mu_loader; /* opaque; one thread */

struct mu_loader *mu_loader_create(const struct mu_loader_config *config);
void mu_loader_destroy(struct mu_loader *loader);
/* Send what is due, as far as the budget allows: call at start and when next_ns has come. */
void mu_loader_tick(struct mu_loader *loader, uint64_t now_ns, struct mu_outbox *out);
bool mu_loader_reply(struct mu_loader *loader, const struct mu_reply *reply, uint64_t now_ns,
                     struct mu_outbox *out);
/* When tick has something to do by itself; UINT64_MAX: only after a reply, or never again. */
uint64_t mu_loader_next_ns(const struct mu_loader *loader);
uint32_t mu_loader_created(const struct mu_loader *loader);
bool mu_loader_done(const struct mu_loader *loader);
/* 0, or the error that ended the load, with words. */
int mu_loader_failed(const struct mu_loader *loader, struct mu_error *error);

#endif
