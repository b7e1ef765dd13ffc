#ifndef MU_INFORMER_TOUCHER_H
#define MU_INFORMER_TOUCHER_H
/*
 * Touches pods: a status patch that changes bytes, so that every write which names an older version
 * of the pod is refused from then on. A pure state machine (state, reply or tick, now) ->
 * (outcomes, requests).
 *
 * The patch sets the condition MU_TOUCH_CONDITION, whose message is the mark; whoever touches a
 * pod for another reason takes another mark. It names the UID, and no version: it is to land. It is
 * repeated until it is answered: a repetition that changes nothing any more answers as well.
 */
#include "engine/base/random.h"
#include "informer/call.h"
#include "informer/limits.h"

#define MU_TOUCH_CONDITION "muster.dev/Recovered"

struct mu_touch {
    uint64_t id; /* caller's; returned in the outcome */
    struct mu_str ns, name, uid;
};
struct mu_touch_outcome {
    uint64_t id;
    uint64_t version; /* of the pod, touched; 0: it is gone */
};

struct mu_toucher_config {
    struct mu_str mark;  /* letters, digits and "-"; copied; at most MU_TOUCH_MARK_MAX */
    uint64_t token_base; /* tokens are token_base + [0, 2^48) */
    uint64_t timeout_ns; /* per request; 0: 10 s */
};
struct mu_toucher; /* opaque; one thread */

/* Errors: NULL when out of memory. */
struct mu_toucher *mu_toucher_create(const struct mu_toucher_config *config,
                                     struct mu_random *random);
void mu_toucher_destroy(struct mu_toucher *toucher);
/* Begin a touch; the texts are copied. Errors: MU_ELIMIT (MU_TOUCHES_MAX are open), MU_ENOMEM;
 * nothing begun. */
int mu_toucher_touch(struct mu_toucher *toucher, const struct mu_touch *touch, uint64_t now_ns,
                     struct mu_outbox *out);
/* The next outcome, if there is one. */
bool mu_toucher_take(struct mu_toucher *toucher, struct mu_touch_outcome *outcome);
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
