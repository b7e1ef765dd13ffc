#ifndef MU_TOOLS_ANSWER_SETTLE_H
#define MU_TOOLS_ANSWER_SETTLE_H
/*
 * Where everything that waits would go: sessions over a DB, one after another, each binding applied
 * as if the cluster had taken it at once, until a session has nothing to decide. Time is virtual:
 * it jumps to when the next session would have something to do. Victims leave at once, and nobody
 * puts them back; how long they have run and how many go is not limited. A pod that was placed here
 * and had to leave later is among the bindings and among the evictions.
 *
 * What was decided is told by name, in the order of the decisions.
 */
#include "engine/base/arena.h"
#include "engine/db/db.h"
#include "engine/session/session.h"

enum mu_pending_reason {
    MU_PENDING_UNSCHEDULABLE, /* no node, or not enough of them for its gang */
    MU_PENDING_GATED,         /* scheduling gates */
    MU_PENDING_GANG,          /* waits for others of its gang */
    MU_PENDING_UNSUPPORTED,   /* uses a rule that is not built */
    MU_PENDING_UNDECIDED      /* a step budget ran out */
};
/* "Unschedulable", "SchedulingGated", ... Static storage. */
const char *mu_pending_reason_text(enum mu_pending_reason reason);
/* What the members of a gang wait for that have no reason of their own. */
enum mu_pending_reason mu_pending_reason_of(const struct mu_plan_wait *wait);

/* Names are "ns/name"; the gang of a lone pod is the pod. */
struct mu_settled_binding {
    struct mu_str pod, node, gang;
    uint64_t devices; /* bit per device of the node that the pod gets; 0: none is tracked */
};
struct mu_settled_eviction {
    struct mu_str pod, gang; /* the victim */
    struct mu_str by;        /* the gang that it makes room for */
    bool violates;           /* a disruption budget that covers it allowed no more evictions */
};
struct mu_settled_pending {
    struct mu_uid uid;
    struct mu_str pod, gang, message;
    enum mu_pending_reason reason;
};
struct mu_settled {
    uint32_t binding_count, eviction_count, pending_count;
    const struct mu_settled_binding *bindings;
    const struct mu_settled_eviction *evictions;
    const struct mu_settled_pending *pending; /* by UID */
    uint32_t sessions;
};

struct mu_settle_config {
    struct mu_session_config session;
    uint64_t now_ns; /* start of virtual time */
    /* The plan's bind is charged in the ledger: make the DB see the pod as bound. Not 0 ends it. */
    int (*bind)(void *context, const struct mu_plan_bind *bind, uint64_t now_ns);
    /* May be NULL. */
    void (*progress)(void *context, uint32_t bound, uint32_t waiting);
    void *context;
};
/* From which priority a gang would be placed is told of clusters up to a size. For that it needs to
 * be seen who is where, also by those that could make nobody leave: to be called before a replica
 * is brought up to date whose waits are told. Cost: O(1). */
void mu_settle_ask_occupants(struct mu_db *db);
/* Run. *out lives in the arena. Errors: MU_ENOMEM, what bind returned, MU_ECONFLICT with *error
 * (the DB does not take a plan of its own snapshot: a bug). Thread: the DB's writer. */
int mu_settle(struct mu_db *db, const struct mu_settle_config *config, struct mu_arena *arena,
              struct mu_settled *out, struct mu_error *error);

#endif
