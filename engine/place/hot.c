#include "engine/place/hot.h"

#include <string.h>

#include "engine/base/assert.h"
#include "engine/base/bitset.h"
#include "engine/base/mem.h"

_Static_assert(MU_NODE_CHUNK % MU_SCAN_TREE == 0, "a chunk of rows is whole blocks");

void mu_hot_init(struct mu_hot *hot)
{
    memset(hot, 0, sizeof *hot);
}

void mu_hot_fini(struct mu_hot *hot)
{
    for (uint32_t t = 0; t < MU_HOT_CLASSES; t++)
        mu_tree_free(&hot->trees[t].levels, &hot->trees[t].row_cap);
}

void mu_hot_drop(struct mu_hot *hot)
{
    for (uint32_t t = 0; t < MU_HOT_CLASSES; t++)
        hot->trees[t].valid = false;
}

struct mu_hot_tree *mu_hot_find(struct mu_hot *hot, const struct mu_room *room, uint64_t class_id,
                                uint64_t taste, uint64_t missing)
{
    for (uint32_t t = 0; t < MU_HOT_CLASSES; t++) {
        struct mu_hot_tree *tree = &hot->trees[t];
        if (!tree->valid || tree->class_id != class_id)
            continue;
        bool current = tree->epoch == room->epoch && tree->taste == taste &&
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

static bool wins_tie(const void *context, uint32_t a, uint32_t b)
{
    return mu_room_wins_tie(context, a, b);
}

struct mu_hot_tree *mu_hot_build(struct mu_hot *hot, const struct mu_room *room, uint64_t class_id,
                                 uint64_t taste, const struct mu_scan_need *need,
                                 const struct mu_filter_mask *mask)
{
    struct mu_hot_tree *tree = tree_choose(hot, class_id);
    tree->valid = false;
    /* As many rows as the room has columns for, so that a tree outlives small growth. */
    if (mu_tree_reserve(&tree->levels, &tree->row_cap, room->cap[0]) != 0)
        return NULL;
    tree->levels.wins_tie = wins_tie;
    tree->levels.context = room;
    for (uint32_t begin = 0; begin < room->rows; begin += MU_NODE_CHUNK)
        (void)room->ops->keys(need, &room->columns[0], begin, mask->bits[0][begin / MU_NODE_CHUNK],
                              tree->levels.keys[0] + begin);
    uint32_t filled = (room->rows + MU_NODE_CHUNK - 1) / MU_NODE_CHUNK * MU_NODE_CHUNK;
    for (uint32_t row = filled; row < room->cap[0]; row++) /* those that are to come */
        tree->levels.keys[0][row] = MU_SCORE_KEY_NONE;
    tree->best = mu_tree_build(&tree->levels, room->ops, room->cap[0]);
    tree->class_id = class_id;
    tree->epoch = room->epoch;
    tree->taste = taste;
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
