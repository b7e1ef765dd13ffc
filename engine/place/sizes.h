#ifndef MU_ENGINE_PLACE_SIZES_H
#define MU_ENGINE_PLACE_SIZES_H
/*
 * Sizes: what a score knows of nodes by what they can allocate alone, row by row in blocks of 64:
 * the allocatable amount of each of its resources, and what a unit of it weighs in each form
 * (engine/place/score.h).
 *
 * The DB keeps rows of one capacity together, so nearly all blocks of a large cluster have nodes of
 * one size. Such blocks share their vectors, which costs no memory to speak of and, what matters
 * more, no cache misses: a pick among a million nodes reads the same few kilobytes again and again.
 * A block of nodes that differ has vectors of its own.
 *
 *     block -> vectors     [0]   of no node: amounts 0, weights that no smallest one is above
 *                          [n]   shared: all present rows of the block are of this size
 *                          own   row by row; stays its own until all is built anew
 *
 * A row that is a hole has any weights in a shared block (nobody asks) and the neutral one in a
 * block of its own.
 */
#include "engine/place/score.h"
#include "engine/snapshot.h"

/* Sizes that are shared; blocks of further ones have their own. */
#define MU_SIZES_SHARED 256u
/* A weight that leaves the smallest of its block alone. */
#define MU_SIZES_NEUTRAL INT64_MAX

struct mu_sizes {
    uint32_t slot_count, form_count; /* of the score */
    uint32_t block_cap;
    const int64_t **blocks; /* vectors of each: see mu_sizes_weight */
    uint64_t *own;          /* bit: the block's own */
    uint32_t shared_count;
    int64_t *shared[MU_SIZES_SHARED];
};

/* Zeroed is empty. */
void mu_sizes_fini(struct mu_sizes *sizes);
/* Compute all: for `rows` rows of the snapshot, with room for `row_cap`, whole blocks. Errors:
 * MU_ENOMEM, and it is empty then. Cost: O(rows). */
int mu_sizes_build(struct mu_sizes *sizes, const struct mu_score *score,
                   const struct mu_snapshot *snapshot, uint32_t rows, uint32_t row_cap);
/* The static columns of a row below row_cap have changed. Errors: MU_ENOMEM; it is to be built anew
 * then. Cost: O(slots), O(64 * slots) where its block comes to differ. */
int mu_sizes_follow(struct mu_sizes *sizes, const struct mu_score *score,
                    const struct mu_snapshot *snapshot, uint32_t row);

/* Where in a block's vectors the 64 weights of a slot in a form are, and the amounts of a slot. */
static inline uint32_t mu_sizes_weight(uint32_t slot_count, uint32_t form, uint32_t slot)
{
    return (form * slot_count + slot) * MU_NODE_CHUNK;
}
static inline uint32_t mu_sizes_alloc(uint32_t slot_count, uint32_t form_count, uint32_t slot)
{
    return mu_sizes_weight(slot_count, form_count, slot);
}

#endif
