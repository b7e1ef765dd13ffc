#include "engine/place/bound.h"

#include <string.h>

#include "engine/base/assert.h"
#include "engine/base/bitset.h"
#include "engine/base/error.h"
#include "engine/base/mem.h"

#define BLOCK MU_NODE_CHUNK

void mu_bounds_init(struct mu_bounds *bounds)
{
    memset(bounds, 0, sizeof *bounds);
}

void mu_bounds_fini(struct mu_bounds *bounds)
{
    for (uint32_t s = 0; s < bounds->count; s++)
        mu_mem_free(bounds->sets[s].keys[1]);
    mu_mem_free(bounds->sets);
    memset(bounds, 0, sizeof *bounds);
}

void mu_bounds_drop(struct mu_bounds *bounds)
{
    for (uint32_t s = 0; s < bounds->count; s++)
        bounds->sets[s].class_id = 0;
}

/* ---- sets --------------------------------------------------------------------------------- */

static uint64_t set_bytes(const struct mu_room *room)
{
    uint64_t entries = 0;
    for (uint32_t l = 1; l < MU_LEVELS_MAX; l++)
        entries += room->cap[l];
    return entries * sizeof(int64_t);
}

static int set_add(struct mu_bounds *bounds, const struct mu_room *room)
{
    void *array = bounds->sets;
    if (mu_mem_grow(&array, &bounds->cap, bounds->count + 1, MU_BOUND_SETS_MAX,
                    sizeof *bounds->sets) != 0)
        return MU_ENOMEM;
    bounds->sets = array;
    int64_t *keys = mu_mem_zalloc_aligned(64, set_bytes(room));
    if (keys == NULL)
        return MU_ENOMEM;
    struct mu_bound_set *set = &bounds->sets[bounds->count++];
    memset(set, 0, sizeof *set);
    for (uint32_t l = 1; l < MU_LEVELS_MAX; keys += room->cap[l++])
        set->keys[l] = keys;
    return 0;
}

/* The set of a class, or one that it can have, in *slot. */
static int set_find(struct mu_bounds *bounds, const struct mu_room *room, uint64_t class_id,
                    uint32_t *slot)
{
    if (bounds->row_cap != room->cap[0])
        mu_bounds_fini(bounds);
    bounds->row_cap = room->cap[0];
    if (*slot < bounds->count && bounds->sets[*slot].class_id == class_id)
        return 0;
    uint64_t fit = MU_BOUND_BYTES_MAX / set_bytes(room);
    if (bounds->count < MU_BOUND_SETS_MAX && bounds->count < fit) {
        int error = set_add(bounds, room);
        if (error == 0)
            *slot = bounds->count - 1;
        return error;
    }
    MU_ASSERT(bounds->count > 0);
    *slot = bounds->next++ % bounds->count;
    bounds->sets[*slot].class_id = 0;
    return 0;
}

/* From the summaries that all classes share. */
static void set_fill(struct mu_bound_set *set, struct mu_room *room,
                     const struct mu_scan_need *need, const struct mu_filter_mask *mask)
{
    mu_room_refresh(room);
    for (uint32_t l = 1; l < room->level_count; l++) {
        uint32_t entries = room->count[l], begin = 0;
        for (; begin < entries && l == 1; begin += BLOCK)
            (void)room->ops->keys(need, &room->columns[1], begin, mask->bits[1][begin / BLOCK],
                                  set->keys[1] + begin);
        for (uint32_t e = 0; e < entries && l > 1; e++)
            set->keys[l][e] = room->ops->max(set->keys[l - 1] + e * BLOCK);
        for (uint32_t e = entries; e % BLOCK != 0; e++) /* no rows below */
            set->keys[l][e] = MU_SCORE_KEY_NONE;
    }
}

/* Bring it up to date with the rows that changed since. */
static void set_raise(struct mu_bound_set *set, const struct mu_room *room,
                      const struct mu_scan_need *need, const struct mu_filter_mask *mask)
{
    for (uint64_t n = set->changes; n < room->changes; n++) {
        uint32_t row = room->log[n & (MU_ROOM_LOG - 1)];
        if (room->last[row] != (uint32_t)n || !mu_bitset_test(mask->bits[0], row))
            continue; /* changed again later; not for this class */
        int64_t key = mu_room_key(room, need, row);
        uint32_t entry = row / BLOCK;
        for (uint32_t l = 1; l < room->level_count && key > set->keys[l][entry]; l++) {
            set->keys[l][entry] = key;
            entry /= BLOCK;
        }
    }
}

/* ---- search ------------------------------------------------------------------------------- */

/* Look below an entry of `level` + 1 as long as there may be something as good as the best row.
 * Returns the entry's bound from now on. */
static int64_t visit(struct mu_bound_set *set, struct mu_room_search *search, uint32_t level,
                     uint32_t block)
{
    if (level == 0)
        return mu_room_visit_rows(search, block);
    const struct mu_scan_ops *ops = search->room->ops;
    int64_t left[BLOCK] __attribute__((aligned(64)));
    int64_t *bounds = set->keys[level] + block * BLOCK;
    memcpy(left, bounds, sizeof left);
    search->room->visits++;
    for (int64_t largest = ops->max(left); largest >= 0 && largest >= search->best;
         largest = ops->max(left)) {
        uint32_t i = (uint32_t)__builtin_ctzll(ops->equal(left, largest));
        bounds[i] = visit(set, search, level - 1, block * BLOCK + i);
        MU_ASSERT(bounds[i] <= largest);
        left[i] = MU_SCORE_KEY_NONE;
    }
    return ops->max(bounds);
}

int mu_bounds_best(struct mu_bounds *bounds, struct mu_room *room, uint32_t *slot,
                   uint64_t class_id, uint64_t taste, const struct mu_scan_need *need,
                   const struct mu_filter_mask *mask, uint32_t *row)
{
    MU_ASSERT(room->fresh && room->level_count > 1);
    int error = set_find(bounds, room, class_id, slot);
    if (error != 0)
        return error;
    struct mu_bound_set *set = &bounds->sets[*slot];
    bool current = set->class_id == class_id && set->epoch == room->epoch && set->taste == taste &&
                   set->rows == room->rows && room->changes - set->changes <= MU_ROOM_LOG;
    if (current)
        set_raise(set, room, need, mask);
    else
        set_fill(set, room, need, mask);
    set->class_id = class_id;
    set->epoch = room->epoch;
    set->taste = taste;
    set->rows = room->rows;
    set->changes = room->changes;
    struct mu_room_search search = {room, need, mask, MU_SCORE_KEY_NONE, MU_NONE};
    (void)visit(set, &search, room->level_count - 1, 0);
    *row = search.row;
    return 0;
}
