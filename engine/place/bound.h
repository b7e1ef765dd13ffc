#ifndef MU_ENGINE_PLACE_BOUND_H
#define MU_ENGINE_PLACE_BOUND_H
/*
 * Bounds of a class: for every block of 64 rows a number that no key of the class in that block
 * exceeds, and for every 64 of those their largest, level by level.
 *
 * The summaries of engine/place/room.h serve all classes at once, and where rows of a block differ
 * they promise too much: packing wants the fullest node, and the fullest node of a block is mostly
 * too full. A class's own bounds forget nothing that was found out: a block that was looked into
 * keeps its largest key as its bound.
 *
 *     filled     from the summaries, O(rows / 64)
 *     raised     a row that changed since the last use raises what is above it to its present key;
 *                one that was changed several times does so once
 *     lowered    by looking: visit the block of the largest bound, put what is found in its place,
 *                and go on until no bound is above the best key
 *
 * Invariant: between uses a bound is at least every key below it as of change `changes` of the
 * room; so the answer is that of mu_room_best(), always.
 */
#include "engine/place/room.h"

/* Memory of all classes' bounds; beyond it the one filled first gives way. */
#define MU_BOUND_BYTES_MAX (UINT64_C(256) << 20)
#define MU_BOUND_SETS_MAX  4096u

struct mu_bound_set {
    uint64_t class_id;            /* 0: not in use */
    uint64_t epoch;               /* of the room it was filled from */
    uint64_t taste;               /* of the class: what it prefers */
    uint32_t rows;                /* of the room, when it was filled */
    uint64_t changes;             /* of the room, up to which it is current */
    int64_t *keys[MU_LEVELS_MAX]; /* levels >= 1, in one allocation */
};
struct mu_bounds {
    struct mu_bound_set *sets;
    uint32_t count, cap;
    uint32_t next;    /* to give way, once there are as many as may be */
    uint32_t row_cap; /* rows that the levels of all sets are allocated for */
};

void mu_bounds_init(struct mu_bounds *bounds);
void mu_bounds_fini(struct mu_bounds *bounds);
/* Forget all, keep the memory. */
void mu_bounds_drop(struct mu_bounds *bounds);
/* The best row of a class in *row, or MU_NONE. `slot` is the caller's note of where its bounds are,
 * kept from call to call. The room has more than one level. Errors: MU_ENOMEM; nothing changed.
 * Cost: O(changes since the last use + 64 * blocks visited). */
int mu_bounds_best(struct mu_bounds *bounds, struct mu_room *room, uint32_t *slot,
                   uint64_t class_id, uint64_t taste, const struct mu_scan_need *need,
                   const struct mu_filter_mask *mask, uint32_t *row);

#endif
