#include "engine/place/choose.h"

#include <string.h>

#include "engine/base/assert.h"

/* Nanoseconds, measured on one core of a server of about 2.5 GHz; a factor of two hardly shows. */
#define VISIT_NS  60u /* a block of 64 entries or its keys */
#define MISSED_NS 3u  /* a change, in bounds: most are of rows that changed again */

/* A changed row, in a tree: its path is in the second, the third, or no level of cache when there
 * are sixteen trees of that many rows. */
static uint64_t climb_ns(uint32_t rows)
{
    return rows <= 16384 ? 40 : rows <= 262144 ? 120 : 400;
}

/* The same in ranks: one tree, and so mostly nearer. */
static uint64_t rank_climb_ns(uint32_t rows)
{
    return rows <= 262144 ? 40 : 100;
}

#define MEAN_ONE    16u             /* means are in 1/16 */
#define MEAN_SHIFT  3               /* a new value counts an eighth */
#define FADE_SHIFT  6               /* what is not used loses a 64th of what is used */
#define SILENT_ALL  256u            /* every question unanswered */
#define RANK_ROW_NS 6u              /* building ranks, by row */
#define GUESS_FIRST (4u * MEAN_ONE) /* blocks that bounds are thought to visit before they did */

void mu_choose_init(struct mu_choose *choose)
{
    memset(choose, 0, sizeof *choose);
    mu_hot_init(&choose->hot);
    mu_bounds_init(&choose->bounds);
    mu_rank_init(&choose->rank);
}

void mu_choose_fini(struct mu_choose *choose)
{
    mu_hot_fini(&choose->hot);
    mu_bounds_fini(&choose->bounds);
    mu_rank_fini(&choose->rank);
}

void mu_choose_drop(struct mu_choose *choose)
{
    mu_hot_drop(&choose->hot);
    mu_bounds_drop(&choose->bounds);
    mu_rank_drop(&choose->rank);
}

static uint32_t mean_add(uint32_t mean, uint64_t visits)
{
    uint64_t value = visits < UINT32_MAX / MEAN_ONE / 2 ? visits * MEAN_ONE : UINT32_MAX / 2;
    return (uint32_t)((((uint64_t)mean << MEAN_SHIFT) - mean + value) >> MEAN_SHIFT);
}

/* `mean` was passed over for one that costs `used`: it is tried again once that has cost so many
 * times as much. What may be a hundred times dearer then adds but a small part to the whole. */
static void fade(uint32_t *mean, uint32_t used)
{
    uint32_t part = (used >> FADE_SHIFT) + 1;
    *mean -= *mean < part ? *mean : part;
}

static uint64_t mean_ns(uint32_t mean)
{
    return (uint64_t)mean * VISIT_NS / MEAN_ONE;
}

/* By ranks, when it seems worth it: by other means it would take `otherwise` ns. True: *row is the
 * answer. */
static bool best_by_rank(struct mu_choose *choose, struct mu_room *room,
                         struct mu_choose_class *class_, uint64_t otherwise,
                         const struct mu_scan_need *need, const struct mu_filter_mask *mask,
                         uint32_t *row)
{
    struct mu_rank *rank = &choose->rank;
    if (!mu_rank_serves(rank, room, need))
        return false;
    choose->rank_saved += otherwise * (SILENT_ALL - class_->silent) / SILENT_ALL;
    uint64_t missing = mu_rank_missing(rank, room);
    uint64_t build = (uint64_t)room->rows * RANK_ROW_NS;
    uint64_t update = missing != UINT64_MAX ? missing * rank_climb_ns(room->rows) : build;
    if (choose->rank_saved <= update) {
        class_->silent -= class_->silent >> FADE_SHIFT;
        return false;
    }
    /* Savings are kept, up to what building costs: the start of a session, where much is missing,
     * is paid for by the one before. */
    choose->rank_saved -= update;
    if (choose->rank_saved > build)
        choose->rank_saved = build;
    if (missing == UINT64_MAX && mu_rank_build(rank, room) != 0)
        return false;
    if (!mu_rank_best(rank, room, need, mask, row)) {
        class_->silent += (SILENT_ALL - class_->silent) >> 2;
        return false;
    }
    class_->silent -= class_->silent >> MEAN_SHIFT;
    choose->by_rank++;
    return true;
}

/* Without a tree. */
static uint32_t best_by_blocks(struct mu_choose *choose, struct mu_room *room,
                               struct mu_choose_class *class_, bool by_bounds, uint64_t class_id,
                               uint64_t taste, const struct mu_scan_need *need,
                               const struct mu_filter_mask *mask)
{
    uint64_t before = room->visits;
    uint32_t row = MU_NONE;
    if (by_bounds && mu_bounds_best(&choose->bounds, room, &class_->slot, class_id, taste, need,
                                    mask, &row) == 0) {
        choose->by_bounds++;
        class_->bounds_mean = mean_add(class_->bounds_mean, room->visits - before);
        fade(&class_->search_mean, class_->bounds_mean);
        return row;
    }
    row = mu_room_best(room, need, mask);
    choose->by_search++;
    class_->search_mean = mean_add(class_->search_mean, room->visits - before);
    choose->search_mean = mean_add(choose->search_mean, room->visits - before);
    fade(&class_->bounds_mean, class_->search_mean);
    return row;
}

uint32_t mu_choose_best(struct mu_choose *choose, struct mu_room *room,
                        struct mu_choose_class *class_, uint64_t class_id, uint64_t taste,
                        const struct mu_scan_need *need, const struct mu_filter_mask *mask)
{
    MU_ASSERT(need->bonus[0] == NULL);
    if (!class_->met) {
        class_->met = true;
        class_->changes = room->changes;
        class_->search_mean = choose->search_mean;
        class_->bounds_mean = GUESS_FIRST;
    }
    uint64_t missed = room->changes - class_->changes;
    class_->changes = room->changes;
    uint64_t by_search = mean_ns(class_->search_mean);
    uint64_t by_bounds = mean_ns(class_->bounds_mean) + missed * MISSED_NS;
    bool bounds = room->level_count > 1 && missed <= MU_ROOM_LOG && by_bounds < by_search;
    uint64_t by_blocks = bounds ? by_bounds : by_search;
    uint64_t climb = climb_ns(room->rows);
    uint32_t row;
    if (best_by_rank(choose, room, class_, by_blocks, need, mask, &row))
        return row;
    if (missed * climb < by_blocks) {
        /* The rent is due; a tree that was passed over for a while costs what it missed. */
        uint64_t build = (uint64_t)room->count[0] / MU_NODE_CHUNK * VISIT_NS;
        struct mu_hot_tree *tree = mu_hot_find(&choose->hot, room, class_id, taste, MU_ROOM_LOG);
        uint64_t update = tree != NULL ? (room->changes - tree->changes) * climb : UINT64_MAX;
        class_->saved += by_blocks - missed * climb;
        if (update >= build && class_->saved > build) {
            tree = mu_hot_build(&choose->hot, room, class_id, taste, need, mask);
            choose->trees_built += tree != NULL;
            update = 0;
        }
        if (tree != NULL && class_->saved > update) {
            class_->saved = 0;
            choose->by_tree++;
            return mu_hot_best(&choose->hot, tree, room, need, mask);
        }
    }
    return best_by_blocks(choose, room, class_, bounds, class_id, taste, need, mask);
}
