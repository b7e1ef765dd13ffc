#include "engine/hot.h"

#include <string.h>

#include "engine/base/assert.h"
#include "engine/base/bitset.h"
#include "engine/base/mem.h"

#define BLOCK MU_SCAN_TREE

_Static_assert(MU_NODE_CHUNK % BLOCK == 0, "a chunk of rows is whole blocks");

void mu_hot_init(struct mu_hot *hot)
{
    memset(hot, 0, sizeof *hot);
}

static void tree_free(struct mu_hot_tree *tree)
{
    for (uint32_t l = 0; l < MU_SCAN_TREE_LEVELS; l++) {
        mu_mem_free(tree->levels.keys[l]);
        mu_mem_free(tree->levels.rows[l]);
    }
    memset(tree, 0, sizeof *tree);
}

void mu_hot_fini(struct mu_hot *hot)
{
    for (uint32_t t = 0; t < MU_HOT_CLASSES; t++)
        tree_free(&hot->trees[t]);
}

void mu_hot_drop(struct mu_hot *hot)
{
    for (uint32_t t = 0; t < MU_HOT_CLASSES; t++)
        hot->trees[t].valid = false;
}

struct mu_hot_tree *mu_hot_find(struct mu_hot *hot, const struct mu_room *room, uint64_t class_id,
                                uint64_t mask_epoch, uint64_t missing)
{
    for (uint32_t t = 0; t < MU_HOT_CLASSES; t++) {
        struct mu_hot_tree *tree = &hot->trees[t];
        if (!tree->valid || tree->class_id != class_id)
            continue;
        bool current = tree->epoch == room->epoch && tree->mask_epoch == mask_epoch &&
                       room->changes - tree->changes <= missing;
        return current ? tree : NULL;
    }
    return NULL;
}

/* The tree of this class, else a free one, else the least recently used. */
static struct mu_hot_tree *tree_choose(struct mu_hot *hot, uint64_t class_id)
{
    struct mu_hot_tree *oldest = &hot->trees[0];
    for (uint32_t t = 0; t < MU_HOT_CLASSES; t++) {
        struct mu_hot_tree *tree = &hot->trees[t];
        if (tree->valid && tree->class_id == class_id)
            return tree;
        uint64_t used = tree->valid ? tree->used : 0;
        if (used < (oldest->valid ? oldest->used : 0))
            oldest = tree;
    }
    return oldest;
}

/* Levels for as many rows as the room has columns for, so that a tree outlives small growth. */
static int tree_reserve(struct mu_hot_tree *tree, const struct mu_room *room)
{
    if (tree->row_cap >= room->cap[0])
        return 0;
    tree_free(tree);
    uint32_t entries = room->cap[0];
    bool complete = true;
    for (uint32_t l = 0; l < MU_SCAN_TREE_LEVELS && complete; l++) {
        uint32_t blocks = (entries + BLOCK - 1) / BLOCK;
        tree->levels.keys[l] = mu_mem_zalloc_aligned(64, blocks * BLOCK * sizeof(int64_t));
        if (l > 0)
            tree->levels.rows[l] = mu_mem_calloc(blocks * BLOCK, sizeof(uint32_t));
        complete = tree->levels.keys[l] != NULL && (l == 0 || tree->levels.rows[l] != NULL);
        entries = blocks;
    }
    if (!complete) {
        tree_free(tree);
        return MU_ENOMEM;
    }
    tree->row_cap = room->cap[0];
    return 0;
}

static bool wins_tie(const void *context, uint32_t a, uint32_t b)
{
    return mu_room_wins_tie(context, a, b);
}

/* The best of the block of `level` that begins at `begin`: its row, and its key in *key. */
static uint32_t block_best(const struct mu_scan_tree *levels, uint32_t level, uint32_t begin,
                           int64_t *key)
{
    uint32_t best = MU_NONE;
    *key = MU_SCORE_KEY_NONE;
    for (uint32_t e = begin; e < begin + BLOCK; e++) {
        int64_t rival_key = levels->keys[level][e];
        if (rival_key < 0 || rival_key < *key)
            continue;
        uint32_t rival = mu_scan_tree_row(levels, level, e);
        if (rival_key > *key || wins_tie(levels->context, rival, best))
            best = rival;
        *key = rival_key;
    }
    return best;
}

/* Levels above the rows, whose keys are there. */
static void levels_build(struct mu_hot_tree *tree, uint32_t rows)
{
    struct mu_scan_tree *levels = &tree->levels;
    uint32_t entries = rows;
    for (uint32_t l = 0;; l++) {
        uint32_t blocks = (entries + BLOCK - 1) / BLOCK;
        levels->level_count = l + 1;
        MU_ASSERT(levels->level_count <= MU_SCAN_TREE_LEVELS && blocks > 0);
        if (blocks == 1)
            break;
        for (uint32_t b = 0; b < blocks; b++)
            levels->rows[l + 1][b] = block_best(levels, l, b * BLOCK, &levels->keys[l + 1][b]);
        for (uint32_t e = blocks; e % BLOCK != 0; e++) /* no rows below */
            levels->keys[l + 1][e] = MU_SCORE_KEY_NONE;
        entries = blocks;
    }
    int64_t key;
    tree->best = block_best(levels, levels->level_count - 1, 0, &key);
}

struct mu_hot_tree *mu_hot_build(struct mu_hot *hot, const struct mu_room *room, uint64_t class_id,
                                 uint64_t mask_epoch, const struct mu_scan_need *need,
                                 const struct mu_filter_mask *mask)
{
    struct mu_hot_tree *tree = tree_choose(hot, class_id);
    tree->valid = false;
    if (tree_reserve(tree, room) != 0)
        return NULL;
    tree->levels.wins_tie = wins_tie;
    tree->levels.context = room;
    for (uint32_t begin = 0; begin < room->rows; begin += MU_NODE_CHUNK)
        (void)room->ops->keys(need, &room->columns[0], begin, mask->bits[0][begin / MU_NODE_CHUNK],
                              tree->levels.keys[0] + begin);
    levels_build(tree, room->rows);
    tree->class_id = class_id;
    tree->epoch = room->epoch;
    tree->mask_epoch = mask_epoch;
    tree->changes = room->changes;
    tree->valid = true;
    return tree;
}

uint32_t mu_hot_best(struct mu_hot *hot, struct mu_hot_tree *tree, const struct mu_room *room,
                     const struct mu_scan_need *need, const struct mu_filter_mask *mask)
{
    MU_ASSERT(room->changes - tree->changes <= MU_ROOM_LOG);
    tree->used = ++hot->stamp;
    for (; tree->changes < room->changes; tree->changes++) {
        uint32_t row = room->log[tree->changes & (MU_ROOM_LOG - 1)];
        if (room->last[row] != (uint32_t)tree->changes)
            continue; /* changed again later */
        bool in_mask = mu_bitset_test(mask->bits[0], row);
        int64_t key = in_mask ? mu_room_key(room, need, row) : MU_SCORE_KEY_NONE;
        tree->best = room->ops->climb(&tree->levels, row, key);
    }
    return tree->best;
}
