#ifndef MU_TOOLS_ANSWER_CHANGE_H
#define MU_TOOLS_ANSWER_CHANGE_H
/* What would have to change for one node to take one pod (tools/answer/explain.h). */
#include "engine/place/terms.h"
#include "tools/answer/explain.h"

struct mu_placed;
struct mu_changer {
    struct mu_snapshot *snapshot;
    struct mu_terms *terms; /* of this snapshot, begun */
    struct mu_arena *arena;
    struct mu_db *db;
    struct mu_uid self; /* the pod */
    struct mu_class_ix class_ix;
    struct mu_kin_ix kin;
    void *finder; /* NULL; these three are kept from call to call */
    void *others;
    const struct mu_placed *placed; /* tools/answer/judge.h */
};

/* The changes that together let the pod onto the row, which refuses it now, and none of them could
 * be left out. *count is 0 when nothing would do. The snapshot is as it was on return.
 * Errors: MU_ENOMEM. */
int mu_change_find(struct mu_changer *changer, struct mu_node_ix node,
                   const struct mu_change **changes, uint32_t *count);

#endif
