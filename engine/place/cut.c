#include "engine/place/cut.h"

#include <string.h>

#include "engine/base/assert.h"
#include "engine/base/bitset.h"
#include "engine/base/mem.h"

int mu_mask_cut_reserve(struct mu_mask_cut *cut, uint32_t rows)
{
    if (cut->words != NULL && rows <= cut->row_cap)
        return 0;
    uint32_t cap = rows + rows / 8 + 64;
    size_t entries = cap, total = 0;
    for (uint32_t l = 0; l < MU_LEVELS_MAX; l++)
        total += entries = MU_BITSET_WORDS(entries);
    uint64_t *words = mu_mem_calloc(total, sizeof *words);
    uint64_t *bits = mu_mem_calloc(MU_BITSET_WORDS(cap), sizeof *bits);
    if (words == NULL || bits == NULL) {
        mu_mem_free(words);
        mu_mem_free(bits);
        return MU_ENOMEM;
    }
    mu_mask_cut_fini(cut);
    cut->words = words;
    cut->rows = bits;
    cut->row_cap = cap;
    return 0;
}

void mu_mask_cut_fini(struct mu_mask_cut *cut)
{
    mu_mem_free(cut->words);
    mu_mem_free(cut->rows);
}

void mu_mask_cut_seal(struct mu_mask_cut *cut, const struct mu_filter_mask *whole, uint32_t rows)
{
    MU_ASSERT(rows <= cut->row_cap);
    size_t count = MU_BITSET_WORDS(rows > 0 ? rows : 1);
    uint64_t *below = cut->words;
    cut->mask = *whole;
    cut->mask.bits[0] = below;
    for (uint32_t l = 1; l < MU_LEVELS_MAX; l++) {
        uint64_t *above = below + count;
        size_t above_count = MU_BITSET_WORDS(count);
        memset(above, 0, above_count * sizeof *above);
        for (size_t w = 0; w < count; w++)
            above[w / 64] |= (uint64_t)(below[w] != 0) << w % 64;
        cut->mask.bits[l] = below = above;
        count = above_count;
    }
}
