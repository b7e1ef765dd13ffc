#ifndef MU_TOOLS_ANSWER_PREEMPTION_H
#define MU_TOOLS_ANSWER_PREEMPTION_H
/* Who would have to go so that a pod is placed, with its gang, and why the gang waits where
 * nobody's leaving would do (tools/answer/explain.h). */
#include "tools/answer/explain.h"

/* Ask for a pod of `db` on `snapshot`, a replica of it that is in sync; as it was on return. Of
 * *out `gang` is read, and `preemption`, `gang_reason` and `gang_message` are set; they live in the
 * arena. Errors: MU_ENOMEM. Thread: the DB's writer. Cost: a session for one gang. */
int mu_preemption_find(struct mu_db *db, const struct mu_snapshot *snapshot,
                       const struct mu_profile *profile, const struct mu_pod_view *pod,
                       struct mu_arena *arena, struct mu_explanation *out);

#endif
