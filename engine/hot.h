#ifndef MU_ENGINE_HOT_H
#define MU_ENGINE_HOT_H
/*
 * Hot classes: when many pods of one class follow each other, the keys of that class are kept for
 * every row, with the maximum of each 64 above them, level by level: the best row is at the top, and
 * a placement changes one path. At most MU_HOT_CLASSES classes; the least recently used one gives
 * way.
 *
 * A tree follows the change log of engine/room.h: what changed since it was last used is brought up
 * to date when it is used again. It is worth its O(rows) when a run of one class goes on, and worth
 * following while few changes are missing; the caller decides (engine/place.c). Its answer is that
 * of mu_room_best(), always.
 */
#include "engine/room.h"

#define MU_HOT_CLASSES 16u

struct mu_hot_tree {
    uint64_t class_id;
    uint64_t epoch; /* of the room it was built from */
    uint64_t mask_epoch;
    uint64_t changes; /* of the room, up to which it is current */
    uint64_t used;    /* stamp of the last use */
    bool valid;
    uint32_t cap[MU_LEVELS_MAX];
    int64_t *keys[MU_LEVELS_MAX];
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
                                uint64_t mask_epoch, uint64_t missing);
/* Build one in place of the least recently used. Errors: NULL when out of memory. Cost: O(rows). */
struct mu_hot_tree *mu_hot_build(struct mu_hot *hot, const struct mu_room *room, uint64_t class_id,
                                 uint64_t mask_epoch, const struct mu_scan_need *need,
                                 const struct mu_filter_mask *mask);
/* Bring it up to date and return the best row, or MU_NONE. Cost: O(64 * levels * (1 + changes)). */
uint32_t mu_hot_best(struct mu_hot *hot, struct mu_hot_tree *tree, const struct mu_room *room,
                     const struct mu_scan_need *need, const struct mu_filter_mask *mask);

#endif
