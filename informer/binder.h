#ifndef MU_INFORMER_BINDER_H
#define MU_INFORMER_BINDER_H
/*
 * Writes bindings: a pure state machine (state, reply or tick, now) -> (outcomes, requests).
 *
 * A group is one gang's binds of one plan. `claim` groups (none of the gang's members is bound)
 * send their first bind alone and wait for its answer: a cheap early 409; the rest then go at once.
 * Every bind carries UID and resourceVersion, and the plan's name as annotation, and the pod's
 * devices as another where it has some.
 *
 * A reply that did not arrive, 429 and 5xx mean unknown: the SAME write (same resourceVersion) is
 * repeated after back-off, which needs no further check. A 409 is judged by a consistent GET:
 *   bound to our node with our plan's annotation -> BOUND
 *   bound otherwise                              -> REFUSED (elsewhere)
 *   unbound at a newer version than the write's  -> REFUSED: every copy of the write is dead
 *   unbound at the write's version, terminating  -> REFUSED; GET 404 or other UID -> GONE
 *   unbound at the write's version or an older   -> proves nothing: the same write again
 * Another 4xx is REFUSED if no earlier copy of the write can still land, else judged by GET too.
 * It never picks up a newer resourceVersion for a write: a fresh plan does (commit-protocol §1).
 */
#include "engine/base/random.h"
#include "informer/call.h"
#include "informer/codec.h"

struct mu_bind {
    uint64_t id; /* caller's, unique among open binds; returned in the outcome */
    struct mu_str ns, name, uid, node; /* copied */
    uint64_t version;                  /* > 0 */
    uint64_t devices;                  /* of the node, that the pod gets; 0: not said */
};
struct mu_bind_group {
    struct mu_str plan; /* annotation value; copied */
    bool claim;
    uint32_t count;
    const struct mu_bind *binds;
};

enum mu_bind_result { MU_BIND_BOUND, MU_BIND_REFUSED, MU_BIND_GONE };
struct mu_bind_outcome {
    uint64_t id;
    enum mu_bind_result result;
    uint64_t version; /* newest version seen of the pod; 0: unknown */
    uint32_t attempts;
};
/* Called once for each bind that was taken. Must not call back into the binder. */
typedef void (*mu_bind_outcome_fn)(void *context, const struct mu_bind_outcome *outcome);

struct mu_binder_config {
    uint32_t in_flight_max; /* requests open at once; 0: 256; at most MU_BINDS_IN_FLIGHT_MAX */
    uint64_t token_base;    /* tokens are token_base + [0, 2^48) */
    uint64_t timeout_ns;    /* per request; 0: 30 s */
    mu_bind_outcome_fn outcome;
    void *context;
};
struct mu_binder_stats {
    uint64_t sent, bound, refused, gone, repeated, conflicts, throttled, lost;
    uint32_t queued, in_flight;
};

struct mu_binder; /* opaque; one thread */

struct mu_binder *mu_binder_create(const struct mu_binder_config *config, struct mu_random *random);
void mu_binder_destroy(struct mu_binder *binder);
/* Take a group, all or nothing. When a claim is refused the rest of its group is reported REFUSED
 * without having been sent. Errors: MU_ENOMEM, MU_ELIMIT; nothing taken. */
int mu_binder_submit(struct mu_binder *binder, const struct mu_bind_group *group, uint64_t now_ns,
                     struct mu_outbox *out);
bool mu_binder_reply(struct mu_binder *binder, const struct mu_reply *reply, uint64_t now_ns,
                     struct mu_outbox *out);
void mu_binder_tick(struct mu_binder *binder, uint64_t now_ns, struct mu_outbox *out);
uint64_t mu_binder_next_ns(const struct mu_binder *binder);
/* The watch showed the pod of this bind at `version`: bound to our node under our plan, bound in
 * any other way, deleted, or (none of the three) unbound. Settles it where that is proof, whatever
 * its request is doing. An id that is not open is ignored. */
void mu_binder_observe(struct mu_binder *binder, uint64_t id, uint64_t version,
                       bool bound_as_planned, bool bound_elsewhere, bool gone, uint64_t now_ns,
                       struct mu_outbox *out);
/* What keeps the server from taking binds at all, and people have to mend: our credentials are
 * refused (401), or we may not create bindings (403); "" as soon as a bind has been taken. Valid
 * until the next call that takes the binder. */
const char *mu_binder_problem(const struct mu_binder *binder);
void mu_binder_stats(const struct mu_binder *binder, struct mu_binder_stats *out);

#endif
