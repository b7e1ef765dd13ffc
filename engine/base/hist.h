#ifndef MU_ENGINE_BASE_HIST_H
#define MU_ENGINE_BASE_HIST_H
/*
 * A log-linear histogram of uint64_t values: each power of two is cut into 32 equal parts, so a
 * quantile is at most 1/32 above the true value. Fixed size, mergeable. One writer.
 */
#include <stdint.h>

#define MU_HIST_SUB_BITS 5
#define MU_HIST_BUCKETS  ((64 - MU_HIST_SUB_BITS + 1) << MU_HIST_SUB_BITS)

struct mu_hist {
    uint64_t count;
    uint64_t sum; /* saturating */
    uint64_t min; /* UINT64_MAX when empty */
    uint64_t max;
    uint64_t buckets[MU_HIST_BUCKETS];
};

void mu_hist_init(struct mu_hist *hist);
void mu_hist_add(struct mu_hist *hist, uint64_t value);
void mu_hist_merge(struct mu_hist *into, const struct mu_hist *from);
/* Upper bound of the bucket that holds the permille-th part of all values (500 = median,
 * 990 = p99), never above max; 0 when empty. */
uint64_t mu_hist_quantile(const struct mu_hist *hist, uint32_t permille);

#endif
