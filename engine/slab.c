#include "engine/slab.h"

#include "engine/base/assert.h"
#include "engine/base/error.h"
#include "engine/base/mem.h"

/*
 * Invariant: used + free.count == high, every free number is below high, and high - 1 is used
 * (or high is 0).
 */
void mu_slab_init(struct mu_slab *slab, uint32_t record_bytes, uint32_t segment_shift, uint32_t max)
{
    MU_ASSERT(record_bytes > 0 && max > 0);
    *slab =
        (struct mu_slab){.record_bytes = record_bytes, .segment_shift = segment_shift, .max = max};
}

void mu_slab_fini(struct mu_slab *slab)
{
    for (uint32_t i = 0; i < slab->segment_count; i++)
        mu_mem_free(slab->segments[i]);
    mu_mem_free(slab->segments);
    mu_rowset_fini(&slab->free);
    *slab = (struct mu_slab){0};
}

int mu_slab_take(struct mu_slab *slab, uint32_t *number)
{
    if (slab->free.count != 0) {
        uint32_t lowest = UINT32_MAX;
        (void)mu_rowset_take(&slab->free, &lowest, 1);
        MU_ASSERT(lowest < slab->high);
        slab->used++;
        *number = lowest;
        return 0;
    }
    if (slab->high == slab->max)
        return MU_ELIMIT;
    uint32_t segment = slab->high >> slab->segment_shift;
    /* Room in the free set comes first: giving back must not be able to fail. */
    int rc = mu_rowset_reserve(&slab->free, slab->high + 1);
    if (rc == 0 && segment >= slab->segment_cap)
        rc = mu_mem_grow((void **)&slab->segments, &slab->segment_cap, segment + 1,
                         (slab->max >> slab->segment_shift) + 1, sizeof *slab->segments);
    if (rc != 0)
        return rc;
    if (segment == slab->segment_count) {
        void *records =
            mu_mem_zalloc_aligned(64, (size_t)slab->record_bytes << slab->segment_shift);
        if (records == NULL)
            return MU_ENOMEM;
        slab->segments[slab->segment_count++] = records;
    }
    *number = slab->high++;
    slab->used++;
    return 0;
}

void mu_slab_give(struct mu_slab *slab, uint32_t number)
{
    MU_ASSERT(number < slab->high && slab->used > 0);
    bool added = mu_rowset_add(&slab->free, number);
    MU_ASSERT(added);
    slab->used--;
    while (slab->high > 0 && mu_rowset_drop(&slab->free, slab->high - 1))
        slab->high--;
}
