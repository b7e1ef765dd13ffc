#ifndef MU_ENGINE_SESSION_H
#define MU_ENGINE_SESSION_H
/*
 * A session: queue -> place -> plan over one snapshot, a pure function of (snapshot, now,
 * configuration). Caches only make it faster: the same plan with every cache dropped.
 */
#include "engine/plan.h"

enum mu_score_policy { MU_SCORE_SPREAD, MU_SCORE_PACK };

struct mu_session_config {
    enum mu_score_policy score;
    uint32_t gang_step_budget; /* placement steps per gang before UNDECIDED; 0: default */
    size_t arena_bytes_max;    /* 0: default */
};

struct mu_session; /* opaque; one thread */

/* Owns: caller, until destroy. Errors: NULL when out of memory. */
struct mu_session *mu_session_create(const struct mu_session_config *config);
void mu_session_destroy(struct mu_session *session);
/* Decide over `snapshot` at now_ns. *plan is valid until the next run. The snapshot is unchanged
 * on return. Errors: MU_ENOMEM (no plan). Cost: O(pending gangs * log + placements * scan). */
int mu_session_run(struct mu_session *session, struct mu_snapshot *snapshot, uint64_t now_ns,
                   const struct mu_plan **plan);
/* Forget every cache (tests: the plan must not change). */
void mu_session_drop_caches(struct mu_session *session);
/* "spread" or "pack". Returns 0 or MU_EINVAL. */
int mu_score_policy_parse(struct mu_str text, enum mu_score_policy *out);

#endif
