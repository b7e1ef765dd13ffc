#include "engine/base/hist.h"

#include <string.h>

#include "engine/base/assert.h"

/*
 * Values below 2^SUB have a bucket each. Above, the top SUB + 1 bits of a value choose its bucket:
 * the position of the highest bit chooses a row of 2^SUB buckets, the next SUB bits the one in it.
 * A bucket of row r is 2^(r-1) wide and begins at least at 2^SUB times its width: hence the bound
 * of 1/32 on the error of a quantile.
 */

enum { SUB = MU_HIST_SUB_BITS, ROW = 1 << SUB };
_Static_assert(MU_HIST_BUCKETS == (64 - SUB + 1) * ROW, "a row per position of the highest bit");

static uint32_t bucket_of(uint64_t value)
{
    if (value < ROW)
        return (uint32_t)value;
    uint32_t shift = 63 - (uint32_t)__builtin_clzll(value) - SUB;
    uint32_t bucket = (shift + 1) * ROW + (uint32_t)((value >> shift) & (ROW - 1));
    MU_ASSERT(bucket < MU_HIST_BUCKETS);
    return bucket;
}

static uint64_t bucket_upper(uint32_t bucket)
{
    if (bucket < ROW)
        return bucket;
    uint32_t shift = bucket / ROW - 1;
    uint64_t low = (uint64_t)(ROW + bucket % ROW) << shift;
    return low + ((UINT64_C(1) << shift) - 1);
}

static uint64_t add_saturating(uint64_t a, uint64_t b)
{
    uint64_t sum;
    return __builtin_add_overflow(a, b, &sum) ? UINT64_MAX : sum;
}

void mu_hist_init(struct mu_hist *hist)
{
    memset(hist, 0, sizeof *hist);
    hist->min = UINT64_MAX;
}

void mu_hist_add(struct mu_hist *hist, uint64_t value)
{
    hist->count++;
    hist->sum = add_saturating(hist->sum, value);
    if (value < hist->min)
        hist->min = value;
    if (value > hist->max)
        hist->max = value;
    hist->buckets[bucket_of(value)]++;
}

void mu_hist_merge(struct mu_hist *into, const struct mu_hist *from)
{
    into->count += from->count;
    into->sum = add_saturating(into->sum, from->sum);
    if (from->min < into->min)
        into->min = from->min;
    if (from->max > into->max)
        into->max = from->max;
    for (uint32_t i = 0; i < MU_HIST_BUCKETS; i++)
        into->buckets[i] += from->buckets[i];
}

uint64_t mu_hist_quantile(const struct mu_hist *hist, uint32_t permille)
{
    MU_ASSERT(permille <= 1000);
    if (hist->count == 0)
        return 0;
    /* rank = ceil(count * permille / 1000), at least 1; in two parts, against overflow. */
    uint64_t rank = hist->count / 1000 * permille + (hist->count % 1000 * permille + 999) / 1000;
    if (rank == 0)
        rank = 1;
    uint64_t seen = 0;
    for (uint32_t i = 0; i < MU_HIST_BUCKETS; i++) {
        seen += hist->buckets[i];
        if (seen >= rank) {
            uint64_t upper = bucket_upper(i);
            return upper < hist->max ? upper : hist->max;
        }
    }
    mu_assert_fail(__FILE__, __LINE__, "the buckets sum up to count");
}
