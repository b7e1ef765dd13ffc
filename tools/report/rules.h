#ifndef MU_TOOLS_REPORT_RULES_H
#define MU_TOOLS_REPORT_RULES_H
/*
 * The static rules of placement once more, for those who judge a run: the report, and the
 * simulation's checker. On the strings of the objects, from kube-scheduler's documented behaviour;
 * of the engine only the names of the verdicts are used, so that a mistake in its classes, bitmaps
 * and caches shows.
 */
#include "engine/object.h"
#include "engine/verdict.h"

/* The first rule that the node breaks for the pod: unschedulable, taints (NoSchedule and NoExecute),
 * node selector; MU_FITS when none. Says nothing of room. Cost: O(taints * tolerations + labels). */
enum mu_verdict_kind mu_rules_static(const struct mu_node_object *node,
                                     const struct mu_pod_object *pod);

#endif
