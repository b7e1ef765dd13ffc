#ifndef MU_ENGINE_PLACE_FILTER_H
#define MU_ENGINE_PLACE_FILTER_H
/*
 * Filters: which nodes can take a pod of a class at all.
 *
 * In order, the first that refuses is the verdict:
 *
 *     unschedulable   the node is cordoned and the class does not tolerate that
 *     taints          NoSchedule and NoExecute taints that the class does not tolerate
 *     affinity        node labels, the hostname label and the node's name included
 *     never           a request beyond all that the node has: no pod that leaves could help
 *     pods            a slot per pod
 *     resources       in number order; a resource that is not requested is not looked at; where
 *                     devices are the reason, it is told as such (engine/device.h)
 *
 * Of the last three all that a row lacks is told, whatever the verdict is.
 *
 * The first three are static: they depend on the node object and on the class, not on what is
 * placed. They are evaluated once per *mask key*, that is affinity and tolerance, and set of nodes,
 * into a bitmap over rows. Classes that differ in requests alone share one. Within an evaluation a
 * label set and a taint set are judged once, whatever the number of nodes that carry them. Pins (a
 * hostname, a lone node name) are left out of the key, or every pinned pod would have a bitmap of
 * its own: the mask is that of the affinity's bare form.
 *
 * Where later filters go: one that depends on node objects alone (volume topology, declared
 * features) joins the mask and its key; one that depends on placements (host ports)
 * is compared per row behind the resources; one that depends on domains (spread, inter-pod terms)
 * is a bitmap of its own, changed with each placement and ANDed to the mask.
 *
 * A mask is valid for one static generation. It outlives it where the snapshot lists the rows that
 * have changed: those rows alone are judged again, when the mask is next asked for. Its key is ids,
 * which are never used again, so that a mask whose affinity is gone is merely never asked for.
 */
#include "engine/place/scan.h"
#include "engine/snapshot.h"
#include "engine/verdict.h"

/* Memory for masks; beyond it all are dropped and built again when asked for. */
#define MU_FILTER_BYTES_MAX (UINT64_C(256) << 20)

/* Static feasibility. Level 0 has a bit per row, level l + 1 a bit per word of level l. */
struct mu_filter_mask {
    const uint64_t *bits[MU_LEVELS_MAX];
    uint64_t version; /* unique over the filter's life; another one whenever a bit changes */
};

struct mu_filter; /* opaque */

/* Owns: caller. Errors: NULL when out of memory. Thread: one. */
struct mu_filter *mu_filter_create(const struct mu_scan_ops *ops);
void mu_filter_destroy(struct mu_filter *filter);
/* Work on this snapshot from now on. Masks of another static generation are brought up to date when
 * they are asked for, or forgotten where the snapshot does not say what has changed.
 * Cost: O(changed rows). */
void mu_filter_begin(struct mu_filter *filter, const struct mu_snapshot *snapshot);
/* Forget all masks. */
void mu_filter_drop(struct mu_filter *filter);
/* Moves whenever masks are forgotten or need to be asked for again: one obtained under another
 * epoch must not be used. */
uint64_t mu_filter_epoch(const struct mu_filter *filter);
/* The mask of a class, pins left out. Errors: MU_ENOMEM. Cost: O(1), O(changed rows) the first time
 * in a static generation, or O(rows) the first time of all. */
int mu_filter_mask(struct mu_filter *filter, const struct mu_class *class_,
                   const struct mu_filter_mask **out);

/* Rows judged for masks so far: what they have cost. */
uint64_t mu_filter_judged(const struct mu_filter *filter);
/* Requirements of node affinity that this may have looked at: about 6 ns each. */
uint64_t mu_filter_looks(const struct mu_filter *filter);

/* The verdict of one class on one present row, with all that the row lacks, by the rules above and
 * the snapshot's present room. Thread: any that may read the snapshot.
 * Cost: O(labels + taints + requests). */
struct mu_verdict mu_filter_verdict(const struct mu_snapshot *snapshot,
                                    const struct mu_class *class_, struct mu_node_ix node);
/* Count the present nodes by these verdicts; overwrites *out. Errors: MU_ENOMEM. Cost: O(rows). */
int mu_filter_count(struct mu_filter *filter, const struct mu_class *class_,
                    struct mu_refusals *out);

/* True when the snapshot has columns for a resource; without them no node has any of it. */
static inline bool mu_filter_known(const struct mu_snapshot *snapshot,
                                   struct mu_resource_ix resource)
{
    return resource.v < snapshot->resource_count;
}

#endif
