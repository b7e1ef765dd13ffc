#ifndef MU_ENGINE_PLACE_PREFER_H
#define MU_ENGINE_PLACE_PREFER_H
/*
 * Preferences of a class among nodes that follow from node objects alone: PreferNoSchedule taints
 * that it does not tolerate, its preferred node affinity, and images that a node has already.
 * Source: kube-scheduler's TaintToleration, NodeAffinity and ImageLocality scores.
 *
 *     taints     most * (largest count - count) / largest count
 *     affinity   most * (sum of the weights of the terms that hold) / largest sum
 *     images     most * points / 100                                      (engine/place/image.h)
 *
 * rounded down, `most` being what the profile gives each (engine/place/score.h). The largest is
 * over the nodes that pass the class's static filters, a pin to one node left out; where it is 0
 * the part says nothing.
 *
 * A column has an entry for each row, 0 for those that do not pass, and above them the largest of
 * each 64, level by level, as summaries have. Where all that pass are liked the same there is none.
 *
 * A column is of one snapshot, and is brought up to date for the next by the rows that have
 * changed, as long as what all rows are measured by has not: the two largest, and the numbers of
 * nodes, of all and with each image (ten significant bits of them). Where one of these has moved,
 * or may have, it is made anew; the answer is the same. So a node that pulls an image costs one row
 * in most columns, and one that comes is measured like those that are there.
 */
#include "engine/place/filter.h"
#include "engine/place/image.h"

/* Memory for columns; beyond it the caller forgets them, and makes again what is asked for. */
#define MU_PREFER_BYTES_MAX (UINT64_C(256) << 20)
/* Changed rows that a column can make up for. A power of two. */
#define MU_PREFER_LOG 4096u

struct mu_prefer {
    int32_t *levels[MU_LEVELS_MAX]; /* 64-byte aligned, whole blocks; in one allocation. NULL: all
                                     * that pass are liked the same */
    uint64_t bytes;                 /* of all this */
    uint64_t version;               /* another one whenever an entry changes */
    /* What it is made of. */
    uint64_t read; /* rows of the log */
    uint64_t static_generation;
    int32_t taints_max, affinity_max;
    int32_t common; /* without levels: how all are liked that pass; -1: none does */
    struct mu_image_scale images;
};

/* The snapshots that columns follow: which rows have changed, each with a number of its own. */
struct mu_prefer_log {
    const struct mu_snapshot *snapshot;
    uint64_t model_serial; /* of what follows */
    uint32_t row_cap;
    uint64_t static_generation, image_generation;
    uint64_t epoch;  /* moves when columns must be asked for again */
    uint64_t first;  /* columns that have read less are made anew */
    uint64_t logged; /* rows ever put there; row n is at n % MU_PREFER_LOG */
    uint64_t version_last;
    uint64_t looks;                   /* requirements of preferred node affinity looked at, ever */
    bool taints_known, taints_matter; /* some node has a PreferNoSchedule taint */
    uint32_t rows[MU_PREFER_LOG];
};

/* Start out: nothing is known, columns made before must be destroyed. */
void mu_prefer_init(struct mu_prefer_log *log);
/* Work on this snapshot from now on. Cost: O(changed rows). */
void mu_prefer_begin(struct mu_prefer_log *log, const struct mu_snapshot *snapshot);
/* The column of a class for the present snapshot: *prefer is NULL, or as an earlier call left it;
 * NULL afterwards when nothing can make a difference. `mask` is the class's. Owns: caller, until
 * destroy. Errors: MU_ENOMEM; *prefer is as before and must not be used in this epoch.
 * Cost: O(1) or O(rows not read) where that is enough, else O(rows), and each set judged once. */
int mu_prefer_bring(struct mu_prefer_log *log, const struct mu_score *score,
                    const struct mu_class *class_, const struct mu_filter_mask *mask,
                    struct mu_prefer **prefer);
void mu_prefer_destroy(struct mu_prefer *prefer);

#endif
