#ifndef MU_ENGINE_SLAB_H
#define MU_ENGINE_SLAB_H
/*
 * A table of equal records with stable numbers and stable addresses: segments that never move. The
 * lowest free number is taken first and the high-water mark falls again when the top is given
 * back, so that a table is as short after a burst as before it (sessions walk gang rows).
 *
 * A record's content survives mu_slab_give: its user keeps generations there. A record that is
 * taken for the first time is zeroed. One user. Memory errors leave the slab unchanged.
 */
#include <stddef.h>
#include <stdint.h>
#include "engine/rowset.h"

struct mu_slab {
    void **segments;
    uint32_t segment_count;
    uint32_t segment_cap;
    uint32_t segment_shift; /* records per segment: 1 << shift */
    uint32_t record_bytes;
    uint32_t max;  /* stated bound on numbers */
    uint32_t high; /* numbers below it have been taken; those in `free` are given back */
    uint32_t used;
    struct mu_rowset free;
};

void mu_slab_init(struct mu_slab *slab, uint32_t record_bytes, uint32_t segment_shift,
                  uint32_t max);
void mu_slab_fini(struct mu_slab *slab);
/* Take the lowest free number. Errors: MU_ENOMEM, MU_ELIMIT. */
int mu_slab_take(struct mu_slab *slab, uint32_t *number);
void mu_slab_give(struct mu_slab *slab, uint32_t number);
static inline void *mu_slab_at(const struct mu_slab *slab, uint32_t number)
{
    uint32_t offset = number & ((1u << slab->segment_shift) - 1);
    return (char *)slab->segments[number >> slab->segment_shift] +
           (size_t)offset * slab->record_bytes;
}

#endif
