#ifndef MU_TOOLS_ANSWER_JUDGE_H
#define MU_TOOLS_ANSWER_JUDGE_H
/* The rules about other pods on one row, in a world that differs from the snapshot by changes that
 * are only thought of (tools/answer/change.h). */
#include "tools/answer/change.h"

/* Pods that have a node, by row: pods[begin[row] .. begin[row + 1]). */
struct mu_placed_pod {
    struct mu_pod_ix ix;
    struct mu_class_ix class_ix;
    struct mu_kin_ix kin;
    bool terminating;
    uint64_t devices; /* of its node, one by one */
};
struct mu_placed {
    const uint32_t *begin;
    const struct mu_placed_pod *pods;
};
/* All of them but the changer's own, listed once and kept in its arena; NULL: no memory.
 * Cost: O(pods), the first time. */
const struct mu_placed *mu_placed_pods(struct mu_changer *changer);
/* Whether the pod is one of those. */
bool mu_is_gone(const struct mu_placed_pod *const *gone, uint32_t count,
                const struct mu_placed_pod *pod);

/* What is different. The row's labels are its own with the changes of labels among `changes`. */
struct mu_judged {
    struct mu_changer *changer;
    uint32_t row; /* passes the static filters by now */
    const struct mu_change *changes;
    uint32_t change_count;
    const struct mu_placed_pod *const *gone; /* pods that have left */
    const uint32_t *gone_rows;
    uint32_t gone_count;
    const struct mu_affinity *affinity;   /* of the pod; NULL: what it was */
    const struct mu_tolerance *tolerance; /* the same */
};
/* Which rules refuse the row then: a bit per enum mu_verdict_kind, without anti-affinity of others.
 * Errors: MU_ENOMEM. Cost: O(rows + the row's pods) per rule. */
int mu_judge(const struct mu_judged *judged, uint32_t *kinds);
/* The pod's host ports that others have on the row then, "8080/TCP,53/UDP"; all of them where it is
 * not known who has them. NULL data: out of memory. */
struct mu_str mu_judge_ports(const struct mu_judged *judged, struct mu_arena *arena);

/* The change of that label that is among them, or NULL. */
const struct mu_change *mu_label_change(const struct mu_change *changes, uint32_t count,
                                        struct mu_str key);

#endif
