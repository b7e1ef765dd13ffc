#ifndef MU_TOOLS_ANSWER_PREEMPTION_H
#define MU_TOOLS_ANSWER_PREEMPTION_H
/* Who would have to go so that a pod is placed, with its gang (tools/answer/explain.h). */
#include "tools/answer/explain.h"

/* Ask for a pod of `db` on `snapshot`, a replica of it that is in sync; as it was on return. *out
 * lives in the arena. Errors: MU_ENOMEM. Thread: the DB's writer. Cost: a session for one gang. */
int mu_preemption_find(const struct mu_db *db, const struct mu_snapshot *snapshot,
                       const struct mu_profile *profile, const struct mu_pod_view *pod,
                       struct mu_arena *arena, struct mu_preemption *out);

#endif
