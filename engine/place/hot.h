#ifndef MU_ENGINE_PLACE_HOT_H
#define MU_ENGINE_PLACE_HOT_H
/*
 * Hot classes: when many pods of one class follow each other, the keys of that class are kept for
 * every row, with the best of each 16, key and row, above them, level by level: the best row is at
 * the top, and a placement changes one path. At most MU_HOT_CLASSES classes; the least recently
 * used one gives way.
 *
 * A path is followed upwards without waiting for what was just stored: the best of a block is the
 * better of the changed entry, which is at hand, and of the 15 others, which can be looked at for
 * all levels at once.
 *
 * A tree follows the change log of engine/place/room.h, over sessions too: what changed since it
 * was last used is brought up to date when it is used again. It is worth its O(rows) when a run of
 * one class goes on, and worth following while few changes are missing; the caller decides
 * (engine/place/choose.h). Its answer is that of mu_room_best(), always.
 */
#include "engine/place/room.h"
#include "engine/place/tree.h"

#define MU_HOT_CLASSES 16u

struct mu_hot_tree {
    uint64_t class_id;
    uint64_t epoch;   /* of the room it was built from */
    uint64_t taste;   /* of the class: what it prefers */
    uint64_t changes; /* of the room, up to which it is current */
    uint64_t used;    /* stamp of the last use */
    bool valid;
    uint32_t best;    /* row, or MU_NONE */
    uint32_t row_cap; /* rows that the levels are allocated for */
    struct mu_scan_tree levels;
};
struct mu_hot {
    uint64_t stamp;
    struct mu_hot_tree trees[MU_HOT_CLASSES];
};

void mu_hot_init(struct mu_hot *hot);
void mu_hot_fini(struct mu_hot *hot);
void mu_hot_drop(struct mu_hot *hot);
/* The tree of a class if there is one that can still be brought up to date with at most `missing`
 * changes; NULL otherwise. */
struct mu_hot_tree *mu_hot_find(struct mu_hot *hot, const struct mu_room *room, uint64_t class_id,
                                uint64_t taste, uint64_t missing);
/* Build one in place of the least recently used. Errors: NULL when out of memory. Cost: O(rows). */
struct mu_hot_tree *mu_hot_build(struct mu_hot *hot, const struct mu_room *room, uint64_t class_id,
                                 uint64_t taste, const struct mu_scan_need *need,
                                 const struct mu_filter_mask *mask);
/* Bring it up to date and return the best row, or MU_NONE. Cost: O(1 + changes * levels). */
uint32_t mu_hot_best(struct mu_hot *hot, struct mu_hot_tree *tree, const struct mu_room *room,
                     const struct mu_scan_need *need, const struct mu_filter_mask *mask);

#endif
