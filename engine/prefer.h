#ifndef MU_ENGINE_PREFER_H
#define MU_ENGINE_PREFER_H
/*
 * Preferences of a class among nodes that follow from node objects alone: PreferNoSchedule taints
 * that it does not tolerate, and its preferred node affinity. Source: kube-scheduler's
 * TaintToleration and NodeAffinity scores.
 *
 *     taints     most * (largest count - count) / largest count
 *     affinity   most * (sum of the weights of the terms that hold) / largest sum
 *
 * rounded down, `most` being what the profile gives each (engine/score.h). The largest is over the
 * nodes that pass the class's static filters, a pin to one node left out; where it is 0 the part
 * says nothing. Like a mask, a column holds for one static generation.
 *
 * A column has an entry for each row, 0 for those that do not pass, and above them the largest of
 * each 64, level by level, as summaries have. Where all that pass are liked the same there is none.
 */
#include "engine/filter.h"

/* Memory for columns; beyond it the caller forgets them, and builds again what is asked for. */
#define MU_PREFER_BYTES_MAX (UINT64_C(256) << 20)

struct mu_prefer {
    uint64_t bytes;
    int32_t *levels[MU_LEVELS_MAX]; /* 64-byte aligned, whole blocks; in one allocation */
};

/* True when some present node has a PreferNoSchedule taint: else a class without preferred terms is
 * indifferent. Cost: O(rows). */
bool mu_prefer_taints_matter(const struct mu_snapshot *snapshot);
/* The column of a class in *out, NULL when it is indifferent. Owns: caller, until destroy. Errors:
 * MU_ENOMEM; nothing changed. Cost: O(rows), and each label set and taint set judged once. */
int mu_prefer_create(const struct mu_snapshot *snapshot, const struct mu_score *score,
                     const struct mu_class *class_, const struct mu_filter_mask *mask,
                     struct mu_prefer **out);
void mu_prefer_destroy(struct mu_prefer *prefer);

#endif
