#include "engine/hot.h"

#include <string.h>

#include "engine/base/assert.h"
#include "engine/base/bitset.h"
#include "engine/base/mem.h"

#define BLOCK MU_NODE_CHUNK

void mu_hot_init(struct mu_hot *hot)
{
    memset(hot, 0, sizeof *hot);
}

static void tree_free(struct mu_hot_tree *tree)
{
    for (uint32_t l = 0; l < MU_LEVELS_MAX; l++)
        mu_mem_free(tree->keys[l]);
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

static int tree_reserve(struct mu_hot_tree *tree, const struct mu_room *room)
{
    bool enough = true;
    for (uint32_t l = 0; l < room->level_count; l++)
        enough = enough && tree->cap[l] >= room->cap[l];
    if (enough)
        return 0;
    tree_free(tree);
    for (uint32_t l = 0; l < MU_LEVELS_MAX; l++) {
        tree->keys[l] = mu_mem_zalloc_aligned(64, room->cap[l] * sizeof(int64_t));
        if (tree->keys[l] == NULL) {
            tree_free(tree);
            return MU_ENOMEM;
        }
        tree->cap[l] = room->cap[l];
    }
    return 0;
}

struct mu_hot_tree *mu_hot_build(struct mu_hot *hot, const struct mu_room *room, uint64_t class_id,
                                 uint64_t mask_epoch, const struct mu_scan_need *need,
                                 const struct mu_filter_mask *mask)
{
    struct mu_hot_tree *tree = tree_choose(hot, class_id);
    tree->valid = false;
    if (tree_reserve(tree, room) != 0)
        return NULL;
    for (uint32_t l = 0; l < room->level_count; l++) {
        /* The top level is searched as one whole block. */
        uint32_t blocks = (room->count[l] + BLOCK - 1) / BLOCK;
        for (uint32_t b = 0; b < blocks; b++) {
            int64_t largest;
            if (l == 0)
                largest = room->ops->keys(need, &room->columns[0], b * BLOCK, mask->bits[0][b],
                                          tree->keys[0] + b * BLOCK);
            else
                largest = room->ops->max(tree->keys[l] + b * BLOCK);
            if (l + 1 < room->level_count)
                tree->keys[l + 1][b] = largest;
        }
        for (uint32_t e = l + 1 < room->level_count ? blocks : 0; e % BLOCK != 0; e++)
            tree->keys[l + 1][e] = MU_SCORE_KEY_NONE;
    }
    tree->class_id = class_id;
    tree->epoch = room->epoch;
    tree->mask_epoch = mask_epoch;
    tree->changes = room->changes;
    tree->valid = true;
    return tree;
}

static void tree_follow(struct mu_hot_tree *tree, const struct mu_room *room,
                        const struct mu_scan_need *need, const struct mu_filter_mask *mask)
{
    MU_ASSERT(room->changes - tree->changes <= MU_ROOM_LOG);
    for (; tree->changes < room->changes; tree->changes++) {
        uint32_t entry = room->log[tree->changes & (MU_ROOM_LOG - 1)];
        int64_t key = mu_bitset_test(mask->bits[0], entry) ? mu_room_key(room, need, entry)
                                                           : MU_SCORE_KEY_NONE;
        for (uint32_t l = 0;; l++) {
            if (tree->keys[l][entry] == key)
                break;
            tree->keys[l][entry] = key;
            if (l + 1 == room->level_count)
                break;
            entry /= BLOCK;
            key = room->ops->max(tree->keys[l] + entry * BLOCK);
        }
    }
}

/* The winner among all rows below (level, block) whose key is `largest`: several only when score
 * and tie bits collide. */
static uint32_t tree_winner(const struct mu_hot_tree *tree, const struct mu_room *room,
                            uint32_t level, uint32_t block, int64_t largest)
{
    uint32_t winner = MU_NONE;
    uint64_t equal = room->ops->equal(tree->keys[level] + block * BLOCK, largest);
    for (; equal != 0; equal &= equal - 1) {
        uint32_t row = block * BLOCK + (uint32_t)__builtin_ctzll(equal);
        if (level > 0)
            row = tree_winner(tree, room, level - 1, row, largest);
        if (winner == MU_NONE || mu_room_wins_tie(room, row, winner))
            winner = row;
    }
    MU_ASSERT(winner != MU_NONE);
    return winner;
}

uint32_t mu_hot_best(struct mu_hot *hot, struct mu_hot_tree *tree, const struct mu_room *room,
                     const struct mu_scan_need *need, const struct mu_filter_mask *mask)
{
    tree->used = ++hot->stamp;
    tree_follow(tree, room, need, mask);
    uint32_t top = room->level_count - 1;
    int64_t largest = room->ops->max(tree->keys[top]);
    return largest < 0 ? MU_NONE : tree_winner(tree, room, top, 0, largest);
}
