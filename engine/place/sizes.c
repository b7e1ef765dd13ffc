#include "engine/place/sizes.h"

#include <string.h>

#include "engine/base/assert.h"
#include "engine/base/bitset.h"
#include "engine/base/error.h"
#include "engine/base/mem.h"

#define BLOCK MU_NODE_CHUNK

/* ---- vectors ------------------------------------------------------------------------------ */

static int64_t *vectors_alloc(const struct mu_sizes *sizes)
{
    uint32_t vectors = (sizes->form_count + 1) * sizes->slot_count;
    return mu_mem_zalloc_aligned(64, (vectors > 0 ? vectors : 1) * BLOCK * sizeof(int64_t));
}

/* Entry `at` of vectors: of a node of this capacity; NULL: of none. */
static void entry_write(const struct mu_sizes *sizes, const struct mu_score *score,
                        const struct mu_capacity *capacity, int64_t *vectors, uint32_t at)
{
    for (uint32_t slot = 0; slot < sizes->slot_count; slot++) {
        int64_t alloc = capacity != NULL
                            ? mu_capacity_amount(capacity, score->forms[0].parts[slot].resource)
                            : 0;
        vectors[mu_sizes_alloc(sizes->slot_count, sizes->form_count, slot) + at] = alloc;
        for (uint32_t f = 0; f < sizes->form_count; f++) {
            const struct mu_score_part *part = &score->forms[f].parts[slot];
            vectors[mu_sizes_weight(sizes->slot_count, f, slot) + at] =
                capacity != NULL ? mu_score_weight(part->most, alloc >> part->shift)
                                 : MU_SIZES_NEUTRAL;
        }
    }
}

/* Whether shared vectors are of such nodes. */
static bool is_of(const struct mu_sizes *sizes, const struct mu_score *score,
                  const int64_t *vectors, const struct mu_capacity *capacity)
{
    bool same = vectors != sizes->shared[0];
    for (uint32_t slot = 0; slot < sizes->slot_count; slot++)
        same = same && vectors[mu_sizes_alloc(sizes->slot_count, sizes->form_count, slot)] ==
                           mu_capacity_amount(capacity, score->forms[0].parts[slot].resource);
    return same;
}

/* Add a size that is shared; NULL when out of memory. */
static const int64_t *shared_add(struct mu_sizes *sizes, const struct mu_score *score,
                                 const struct mu_capacity *capacity)
{
    MU_ASSERT(sizes->shared_count < MU_SIZES_SHARED);
    int64_t *vectors = vectors_alloc(sizes);
    if (vectors == NULL)
        return NULL;
    for (uint32_t at = 0; at < BLOCK; at++)
        entry_write(sizes, score, capacity, vectors, at);
    sizes->shared[sizes->shared_count++] = vectors;
    return vectors;
}

/* ---- blocks ------------------------------------------------------------------------------- */

static const struct mu_capacity *capacity_of(const struct mu_snapshot *s, uint32_t row)
{
    return (s->nodes[row].flags & MU_NODE_PRESENT) == 0
               ? NULL
               : mu_model_get_capacity(s->model, s->nodes[row].capacity);
}

/* The capacity of the first present row of a block, NULL: there is none. *mixed: there are others,
 * of another size for the score. */
static const struct mu_capacity *block_capacity(const struct mu_score *score,
                                                const struct mu_snapshot *s, uint32_t block,
                                                uint32_t rows, bool *mixed)
{
    const struct mu_capacity *first = NULL;
    *mixed = false;
    for (uint32_t row = block * BLOCK; row < rows && row < (block + 1) * BLOCK; row++) {
        const struct mu_capacity *capacity = capacity_of(s, row);
        if (first == NULL)
            first = capacity;
        if (capacity == NULL || capacity == first)
            continue;
        for (uint32_t slot = 0; slot < score->slot_count; slot++) {
            uint32_t r = score->forms[0].parts[slot].resource;
            *mixed = *mixed || mu_capacity_amount(capacity, r) != mu_capacity_amount(first, r);
        }
    }
    return first;
}

/* Vectors of its own for a block. */
static int block_separate(struct mu_sizes *sizes, const struct mu_score *score,
                          const struct mu_snapshot *s, uint32_t block, uint32_t rows)
{
    int64_t *vectors = vectors_alloc(sizes);
    if (vectors == NULL)
        return MU_ENOMEM;
    for (uint32_t at = 0; at < BLOCK; at++) {
        uint32_t row = block * BLOCK + at;
        entry_write(sizes, score, row < rows ? capacity_of(s, row) : NULL, vectors, at);
    }
    sizes->blocks[block] = vectors;
    mu_bitset_set(sizes->own, block);
    return 0;
}

/* Choose the vectors of a block that has none of its own, beginning with those of `guess`. */
static int block_choose(struct mu_sizes *sizes, const struct mu_score *score,
                        const struct mu_snapshot *s, uint32_t block, uint32_t rows,
                        const int64_t *guess)
{
    bool mixed;
    const struct mu_capacity *capacity = block_capacity(score, s, block, rows, &mixed);
    if (mixed)
        return block_separate(sizes, score, s, block, rows);
    const int64_t *vectors = capacity == NULL ? sizes->shared[0] : NULL;
    if (vectors == NULL && is_of(sizes, score, guess, capacity))
        vectors = guess;
    for (uint32_t i = 1; i < sizes->shared_count && vectors == NULL; i++)
        vectors = is_of(sizes, score, sizes->shared[i], capacity) ? sizes->shared[i] : NULL;
    if (vectors == NULL && sizes->shared_count == MU_SIZES_SHARED)
        return block_separate(sizes, score, s, block, rows);
    if (vectors == NULL)
        vectors = shared_add(sizes, score, capacity);
    if (vectors == NULL)
        return MU_ENOMEM;
    sizes->blocks[block] = vectors;
    return 0;
}

/* ---- all of them -------------------------------------------------------------------------- */

void mu_sizes_fini(struct mu_sizes *sizes)
{
    const bool whole = sizes->blocks != NULL && sizes->own != NULL;
    for (uint32_t block = 0; whole && block < sizes->block_cap; block++) {
        if (mu_bitset_test(sizes->own, block))
            mu_mem_free((void *)(uintptr_t)sizes->blocks[block]);
    }
    for (uint32_t i = 0; i < sizes->shared_count; i++)
        mu_mem_free(sizes->shared[i]);
    mu_mem_free((void *)sizes->blocks);
    mu_mem_free(sizes->own);
    memset(sizes, 0, sizeof *sizes);
}

int mu_sizes_build(struct mu_sizes *sizes, const struct mu_score *score,
                   const struct mu_snapshot *snapshot, uint32_t rows, uint32_t row_cap)
{
    MU_ASSERT(row_cap % BLOCK == 0 && rows <= row_cap);
    mu_sizes_fini(sizes);
    sizes->slot_count = score->slot_count;
    sizes->form_count = score->form_count;
    const uint32_t blocks = row_cap / BLOCK;
    sizes->blocks = mu_mem_calloc(blocks, sizeof(*sizes->blocks));
    sizes->own = mu_mem_calloc(MU_BITSET_WORDS(blocks), sizeof *sizes->own);
    const int64_t *none =
        sizes->blocks != NULL && sizes->own != NULL ? shared_add(sizes, score, NULL) : NULL;
    if (none == NULL) {
        mu_sizes_fini(sizes);
        return MU_ENOMEM;
    }
    sizes->block_cap = blocks;
    int error = 0;
    const int64_t *guess = none;
    for (uint32_t block = 0; block < blocks && error == 0; block++) {
        error = block_choose(sizes, score, snapshot, block, rows, guess);
        if (error == 0 && !mu_bitset_test(sizes->own, block))
            guess = sizes->blocks[block];
    }
    if (error != 0)
        mu_sizes_fini(sizes);
    return error;
}

int mu_sizes_follow(struct mu_sizes *sizes, const struct mu_score *score,
                    const struct mu_snapshot *snapshot, uint32_t row)
{
    const uint32_t block = row / BLOCK;
    MU_ASSERT(block < sizes->block_cap && row < snapshot->node_rows);
    const struct mu_capacity *capacity = capacity_of(snapshot, row);
    const int64_t *vectors = sizes->blocks[block];
    if (mu_bitset_test(sizes->own, block)) {
        entry_write(sizes, score, capacity, (int64_t *)(uintptr_t)vectors, row % BLOCK);
        return 0;
    }
    if (capacity == NULL || is_of(sizes, score, vectors, capacity))
        return 0;
    return block_choose(sizes, score, snapshot, block, snapshot->node_rows, vectors);
}
