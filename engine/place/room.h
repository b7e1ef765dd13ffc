#ifndef MU_ENGINE_PLACE_ROOM_H
#define MU_ENGINE_PLACE_ROOM_H
/*
 * Room: the nodes of a snapshot as a tree of summaries, and the search for the best of them.
 *
 * Level 0 is the node rows; an entry of level l + 1 sums up 64 entries of level l: the largest free
 * amount of each resource, the largest node term of each form of the score, the smallest weight of
 * each resource there, which makes a class cheapest, and where there are two forms the largest
 * smaller term. A class fits no row below an entry whose free amounts do not fit it, and no row
 * below has a larger key than the key formula gives for the entry:
 *
 *     min(a - x, b - y) <= min(max a - min x, max b - min y, max min(a, b) - min(min x, min y))
 *
 * So one kernel (engine/place/scan.h) serves rows and bounds, and the best row is found by branch
 * and bound, best bound first:
 *
 *     visit(level, block): keys of the 64 entries; while the largest >= the best row so far,
 *                          visit what is below it; at level 0 the largest is a candidate
 *
 * Exact: a bound never lies below a key beneath it. Tight: nodes of equal allocatable rank the same
 * for every class, and the DB keeps rows of one capacity together, so the first row that is visited
 * is nearly always the best and one block per level is looked at. A packing search looks into more
 * blocks, because the fullest node of a block tends to be too full.
 *
 * A change of a row updates its node term at once and marks its block; the summaries of marked
 * blocks are computed again before the next search. The last changes are logged for those who keep
 * something per row (engine/place/hot.h). Summaries of a resource exist once somebody asked for it.
 *
 * From session to session all of it is kept. What a sync has changed is in the snapshot's lists:
 * the rows in them are changes like any others, logged too, so that whoever follows the log follows
 * the cluster. A row whose static columns changed gets its weights anew; one that is new is a hole
 * that is filled. Everything is computed from scratch, and `epoch` moves, when a snapshot does not
 * say what has changed since the one before, or says that a good part has; when rows outgrow the
 * columns; and when the profile means another set of resources.
 *
 * Cost per search: O(64 * levels) where bounds are tight, O(rows) at worst. Per change: O(1), plus
 * O(64 * levels * resources) at the next search.
 */
#include "engine/place/filter.h"
#include "engine/place/scan.h"
#include "engine/place/score.h"
#include "engine/place/sizes.h"

/* Last changes remembered: more than there are between two pods of one of a thousand classes that
 * come in any order. A power of two. */
#define MU_ROOM_LOG 16384u

struct mu_room {
    const struct mu_scan_ops *ops;
    const struct mu_profile *profile;
    struct mu_score score;        /* the profile, for the resources of the model */
    struct mu_snapshot *snapshot; /* NULL: between sessions */
    /* What the columns below were computed from. */
    uint64_t model_serial; /* 0: of none yet */
    uint64_t static_generation;
    uint64_t generation;
    uint32_t resource_count;
    uint32_t rows;
    bool fresh;     /* bases match the snapshot's present free amounts */
    uint64_t ready; /* resources whose summaries do */
    uint64_t epoch; /* moves when bases are computed anew: the log does not reach back over it */
    uint64_t batch; /* moves with it, and with the snapshot's generation */
    /* Levels. */
    uint32_t level_count;
    uint32_t count[MU_LEVELS_MAX]; /* entries */
    uint32_t cap[MU_LEVELS_MAX];   /* entries allocated, whole blocks */
    struct mu_scan_columns columns[MU_LEVELS_MAX];
    int64_t *base[MU_SCORE_FORMS][MU_LEVELS_MAX]; /* of rows: the key of the tie is in them */
    int64_t *both[MU_LEVELS_MAX];                 /* levels >= 1 */
    int64_t *weight[MU_SCORE_FORMS][MU_SCORE_SLOTS][MU_LEVELS_MAX]; /* levels >= 1 */
    int64_t *free[MU_LEVELS_MAX][MU_RESOURCES_MAX];                 /* levels >= 1 */
    struct mu_sizes sizes;                                          /* of rows */
    /* Blocks of rows to sum up again: what changed in each, and which they are. */
    uint64_t *stale; /* resource bits, and bit 63 for the node term */
    uint32_t *stale_blocks;
    uint32_t stale_count;
    /* Rows whose free amounts changed behind the room's back: a bit each, and how many. */
    uint64_t *stray;
    uint32_t stray_count;
    /* Changes: row of change number n is log[n % MU_ROOM_LOG], for the last MU_ROOM_LOG ones, and
     * last[row] is the low half of the number of its last one. */
    uint64_t changes;
    uint32_t *last;
    uint64_t visits; /* blocks that searches have looked at: what they cost */
    uint32_t log[MU_ROOM_LOG];
};

/* `profile` is borrowed for the room's life. */
void mu_room_init(struct mu_room *room, const struct mu_scan_ops *ops,
                  const struct mu_profile *profile);
void mu_room_fini(struct mu_room *room);
/* Work on this snapshot; what still matches it is kept. Cost: O(rows that have changed since the
 * last one, by the snapshot's lists). */
void mu_room_begin(struct mu_room *room, struct mu_snapshot *snapshot);
/* Forget everything computed. */
void mu_room_drop(struct mu_room *room);
int mu_room_prepare_missing(struct mu_room *room, uint64_t resources);
/* Make terms, and the summaries of `resources` (bits), match the snapshot. To be called before the
 * functions below. Errors: MU_ENOMEM. Cost: O(1) when they do, else O(rows). */
static inline int mu_room_prepare(struct mu_room *room, uint64_t resources)
{
    bool prepared = room->fresh && (resources & ~room->ready) == 0;
    return prepared ? 0 : mu_room_prepare_missing(room, resources);
}
/* What a class asks and costs, for the snapshot in hand: fills *need, whose room for demands is
 * demand_count + padding_count + 1. Preferences are left as they are. Cost: O(requests). */
void mu_room_need(const struct mu_room *room, const struct mu_class *class_,
                  struct mu_scan_need *need);
/* One amount is another, for a reason of its own (devices); a change of the row follows. */
void mu_room_set(struct mu_room *room, uint32_t resource, uint32_t row, int64_t amount);
/* Take what `need` asks of a row so many times, or give it back (times < 0). */
void mu_room_change(struct mu_room *room, const struct mu_scan_need *need, uint32_t row,
                    int64_t times);
/* Several pods of one class at once (engine/place/room_drain.c). What a placement does to the key
 * of its own row, whatever the row: never raises it, never lowers it (both: RISES), or that
 * depends. */
enum mu_room_trend { MU_ROOM_MIXED, MU_ROOM_FALLS, MU_ROOM_RISES };
enum mu_room_trend mu_room_trend(const struct mu_room *room, const struct mu_scan_need *need);
/* So many pods fit a row, `most` at most. Static rules are the caller's. */
uint32_t mu_room_slots(const struct mu_room *room, const struct mu_scan_need *need, uint32_t row,
                       uint32_t most);
/* What draining rows for one class looks up once: while the room is prepared and the class, which
 * has no bonus, asks the same. */
struct mu_room_drain {
    struct mu_room *room;
    const struct mu_scan_need *need;
    bool padded;
    int64_t step[MU_SCORE_SLOTS];
    int64_t units[MU_SCORE_FORMS][MU_SCORE_SLOTS], limit[MU_SCORE_FORMS][MU_SCORE_SLOTS];
};
void mu_room_drain_open(struct mu_room_drain *drain, struct mu_room *room,
                        const struct mu_scan_need *need);
/* Take pods' room on a row, one after the other, as long as its key is not below `least`, which is
 * none; `most` of them at most. keys[i] is the key at which the i-th went there, *next the row's
 * key before, then behind them. Terms and amounts follow; what the room keeps of a row is to be
 * told of it before anything is looked for: mu_room_drained(). Returns how many, >= 1. */
uint32_t mu_room_drain(const struct mu_room_drain *drain, uint32_t row, int64_t least,
                       uint32_t most, int64_t *keys, int64_t *next);
/* Take back the last of them: `times`. */
void mu_room_refill(struct mu_room *room, const struct mu_scan_need *need, uint32_t row,
                    uint32_t times);
void mu_room_drained(struct mu_room *room, const struct mu_scan_need *need, uint32_t row);
/* The free amounts of a row are about to be, or were, put back in the snapshot by themselves; and:
 * all are, by now. Cost of the latter: O(rows / 64 + rows put back). */
void mu_room_stray(struct mu_room *room, uint32_t row);
void mu_room_settle(struct mu_room *room);
/* Sum up what changed since. What reads summaries by itself calls it first. */
void mu_room_refresh(struct mu_room *room);
/* A search in progress: the best row so far. */
struct mu_room_search {
    struct mu_room *room;
    const struct mu_scan_need *need;
    const struct mu_filter_mask *mask;
    int64_t best; /* key of `row`, or MU_SCORE_KEY_NONE */
    uint32_t row;
};
/* Look at the 64 rows of a block. Returns the largest key of them. */
int64_t mu_room_visit_rows(struct mu_room_search *search, uint32_t block);
/* The best row of a class, MU_NONE when it fits nowhere. `mask`: rows to look at. */
uint32_t mu_room_best(struct mu_room *room, const struct mu_scan_need *need,
                      const struct mu_filter_mask *mask);
/* The key of one row, MU_SCORE_KEY_NONE when the class does not fit there. Static rules are the
 * caller's. */
int64_t mu_room_key(const struct mu_room *room, const struct mu_scan_need *need, uint32_t row);
/* What a part of the score sees free on a row, before it is clamped, and the least that counts of
 * it. */
static inline int64_t mu_room_free(const struct mu_snapshot *snapshot,
                                   const struct mu_score_part *part, uint32_t row)
{
    int64_t free = snapshot->free[part->resource][row];
    return part->padded == 0 ? free : free - snapshot->free[part->padding][row];
}
static inline int64_t mu_room_least(const struct mu_score_part *part, int64_t alloc)
{
    return part->padded == 0 ? 0 : mu_score_least(alloc, part->shift);
}
/* Whether a row is a hole, and what a unit of a slot's resource weighs on one that is none. */
static inline bool mu_room_hole(const struct mu_room *room, uint32_t row)
{
    return room->base[0][0][row] < 0;
}
static inline int64_t mu_room_weight(const struct mu_room *room, uint32_t form, uint32_t slot,
                                     uint32_t row)
{
    return room->sizes
        .blocks[row / MU_NODE_CHUNK]
               [mu_sizes_weight(room->sizes.slot_count, form, slot) + row % MU_NODE_CHUNK];
}
/* Of two rows with equal keys: true when a wins. */
bool mu_room_wins_tie(const struct mu_room *room, uint32_t a, uint32_t b);

#endif
