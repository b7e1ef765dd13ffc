#ifndef MU_INFORMER_TOUCHER_H
#define MU_INFORMER_TOUCHER_H
/*
 * Writes to pods other than bindings: a pure state machine (state, reply or tick, now) ->
 * (outcomes, requests).
 *
 *   touch     a status patch that changes bytes, so that every write which names an older version
 *             of the pod is refused from then on: the condition MU_TOUCH_CONDITION, whose message
 *             is the mark. It names the UID, and no version: it is to land. Whoever touches a pod
 *             for another reason takes another mark.
 *   eviction  the condition DisruptionTarget=True with its cause, which changes when the eviction
 *             begins, then a DELETE with the pod's own grace period. Both name UID and
 *             resourceVersion.
 *
 * What is not answered is repeated, until it is. The same write with the same version may be
 * repeated at any time. An eviction that goes on at a version seen later first waits for a check: a
 * quorum reading of the journal, begun after that version was seen, which finds our epoch
 * (commit-protocol.md section 1, step 4). The caller makes it:
 *
 *     wants_check -> check_begun, read -> checked
 */
#include "engine/base/random.h"
#include "informer/call.h"
#include "informer/limits.h"

#define MU_TOUCH_CONDITION "muster.dev/Recovered"

enum mu_touch_cause {
    MU_TOUCH_PREEMPTED, /* PreemptionByScheduler */
    MU_TOUCH_GANG_SHORT /* GangBelowMinimum */
};
struct mu_touch {
    uint64_t id; /* caller's; returned in the outcome */
    struct mu_str ns, name, uid;
    uint64_t version;          /* eviction: the pod's, when its plan was journaled; 0: a touch */
    enum mu_touch_cause cause; /* of an eviction */
};
struct mu_touch_outcome {
    uint64_t id;
    bool evicted;
    uint64_t version; /* of the pod, touched or terminating; 0: it is gone */
    uint32_t grace_s; /* of a terminating pod: how long it may take to go */
};

struct mu_toucher_config {
    struct mu_str scheduler_name; /* told to victims; copied, cut to MU_TOUCH_MARK_MAX */
    struct mu_str mark;           /* letters, digits and "-"; copied; at most MU_TOUCH_MARK_MAX */
    uint64_t token_base;          /* tokens are token_base + [0, 2^48) */
    uint64_t timeout_ns;          /* per request; 0: 10 s */
    uint64_t wall_offset_ns;      /* wall time is now_ns + offset */
};
struct mu_toucher; /* opaque; one thread */

/* Errors: NULL when out of memory. */
struct mu_toucher *mu_toucher_create(const struct mu_toucher_config *config,
                                     struct mu_random *random);
void mu_toucher_destroy(struct mu_toucher *toucher);
/* Wall time is now_ns + offset for what begins from now on. */
void mu_toucher_set_wall(struct mu_toucher *toucher, uint64_t offset_ns);
/* Begin a touch or an eviction; the texts are copied. Errors: MU_ELIMIT (MU_TOUCHES_MAX are open),
 * MU_ENOMEM; nothing begun. */
int mu_toucher_touch(struct mu_toucher *toucher, const struct mu_touch *touch, uint64_t now_ns,
                     struct mu_outbox *out);
/* The next outcome, if there is one. */
bool mu_toucher_take(struct mu_toucher *toucher, struct mu_touch_outcome *outcome);
/* How many more may be begun. */
uint32_t mu_toucher_room(const struct mu_toucher *toucher);

/* Some eviction waits for a check that begins from now on, and none is under way. */
bool mu_toucher_wants_check(const struct mu_toucher *toucher);
void mu_toucher_check_begun(struct mu_toucher *toucher);
/* Our epoch was found; else nothing more is written for those that wait, ever. */
void mu_toucher_checked(struct mu_toucher *toucher, bool ours, uint64_t now_ns,
                        struct mu_outbox *out);

/* False when the token is not ours. */
bool mu_toucher_reply(struct mu_toucher *toucher, const struct mu_reply *reply, uint64_t now_ns,
                      struct mu_outbox *out);
void mu_toucher_tick(struct mu_toucher *toucher, uint64_t now_ns, struct mu_outbox *out);
/* When tick next has something to do; UINT64_MAX: only a reply will tell. */
uint64_t mu_toucher_next_ns(const struct mu_toucher *toucher);
/* What keeps the server from taking touches, in words; empty: nothing. Valid until the next call.
 */
const char *mu_toucher_problem(const struct mu_toucher *toucher);

#endif
