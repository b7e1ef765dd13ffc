#ifndef MU_ENGINE_PLACE_CUT_H
#define MU_ENGINE_PLACE_CUT_H
/* A mask that is made from another one by leaving rows out: by rules about other pods, or for a
 * part of the nodes (engine/place/filter.h). */
#include "engine/place/filter.h"

/* A zeroed one has no memory yet. */
struct mu_mask_cut {
    struct mu_filter_mask mask; /* once sealed; its words are `words` */
    uint64_t *words;            /* of all levels; level 0 is written by the owner, then sealed */
    uint64_t *rows;             /* the owner's own, a bit per row; zeroed when made */
    uint32_t row_cap;
};

/* Room for so many rows; contents are lost where it grows. Errors: MU_ENOMEM; as it was. */
int mu_mask_cut_reserve(struct mu_mask_cut *cut, uint32_t rows);
void mu_mask_cut_fini(struct mu_mask_cut *cut);
/* Level 0 of a mask of `rows` rows, that of `whole` with rows taken away, has been written: make
 * the levels above it. cut->mask is then of `whole`'s version. Cost: O(rows / 64). */
void mu_mask_cut_seal(struct mu_mask_cut *cut, const struct mu_filter_mask *whole, uint32_t rows);

#endif
