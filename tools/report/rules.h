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

/* The first rule that the node breaks for the pod: unschedulable, taints (NoSchedule and
 * NoExecute), node selector and required node affinity; MU_FITS when none. Says nothing of room.
 * Cost: O(taints * tolerations + labels * requirements). */
enum mu_verdict_kind mu_rules_static(const struct mu_node_object *node,
                                     const struct mu_pod_object *pod);
/* Whether labels satisfy a selector. A later duplicate of a label wins. */
bool mu_rules_selects(const struct mu_selector *selector, const struct mu_label *labels,
                      uint32_t label_count);

/* The objects that rules about other pods look at. A pod with a node name that has not ended is
 * placed there. Namespaces that are not listed have no labels. */
struct mu_rules_namespace {
    struct mu_str name;
    const struct mu_label *labels;
    uint32_t label_count;
};
struct mu_rules_world {
    const struct mu_node_object *nodes;
    uint32_t node_count;
    const struct mu_pod_object *pods;
    uint32_t pod_count;
    const struct mu_rules_namespace *namespaces;
    uint32_t namespace_count;
    const bool *holding; /* by pod: it only holds room, and nobody's required affinity is met by
                          * it; NULL: none does */
};
/* Whether any of these pods uses a rule about other pods: if none does, no node breaks one. */
bool mu_rules_any(const struct mu_pod_object *pods, uint32_t pod_count);
/* The first of the rules about other pods that the node breaks: host ports, spread, affinity,
 * anti-affinity, anti-affinity of placed pods; MU_FITS when none. `node` is one of the world's; the
 * pod itself is left out where it is one of them. Cost: O(pods * terms * nodes), on purpose. */
enum mu_verdict_kind mu_rules_others(const struct mu_rules_world *world,
                                     const struct mu_node_object *node,
                                     const struct mu_pod_object *pod);

#endif
