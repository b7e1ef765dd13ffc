#ifndef MU_ENGINE_PLACE_FRAGMENT_H
#define MU_ENGINE_PLACE_FRAGMENT_H
/*
 * Fragmentation: how much of a node's free devices the pods that are about could not use, and how
 * much less or more a placement makes it. Source: Weng et al., "Beware of Fragmentation: Scheduling
 * GPU-Sharing Workloads with Fragmentation Gradient Descent", USENIX ATC 2023.
 *
 * The pods that are about are the snapshot's typical requests, each with its share of them in
 * thousandths (struct mu_typical). For a tracked node and a typical request t
 *
 *     F(node, t) = what all devices have left, where t does not fit for cpu, memory, pod slots
 *                  or devices; else what is left on those devices that t cannot use: with less
 *                  than its share left, or for whole ones not entirely free
 *     F(node)    = sum over t of share(t) * F(node, t)        at most 16 * 1000 * 1000
 *
 * A placement is worth F before - F after: the more, the better. Of the devices that suffice the
 * one with the largest worth is chosen, of equals the one with the least left, then the lowest
 * number. On a node that is not tracked every placement is worth 0. Selectors and taints are not
 * looked at.
 *
 * The worth enters the score per row and class, as a share of what the profile gives this part at
 * most (mu_fragment_share). Rows are found by bounds that classes share,
 * below. Where these are not enough (preferences that look at placed pods, a score that is asked
 * for) there is a column of it for each of the classes asked for last, brought up to date by the
 * room's log of changes: cost O(rows * typical * devices) for a new column, O(changes * typical *
 * devices) for a current one.
 */
#include "engine/device.h"
#include "engine/place/room.h"

/* Beyond any worth: sixteen devices, all of them lost to all typical requests. */
#define MU_FRAGMENT_MAX     (INT64_C(16) * 1000 * 1000)
#define MU_FRAGMENT_COLUMNS 64u
/* Columns together take no more than this; at least one is kept. */
#define MU_FRAGMENT_BYTES_MAX (UINT64_C(64) << 20)

/* What a worth adds to a score, between 0 and `most`: in whole steps of a unit of worth where
 * `most` has one for each, else as much as rounding leaves of a small part. */
static inline int64_t mu_fragment_share(int64_t worth, int64_t most)
{
    int64_t scale = most / (2 * MU_FRAGMENT_MAX);
    return scale > 0 ? (worth + MU_FRAGMENT_MAX) * scale
                     : (worth + MU_FRAGMENT_MAX) * most / (2 * MU_FRAGMENT_MAX);
}

/* What a pod takes of a row. */
struct mu_fragment_pod {
    int64_t cpu, memory;
    struct mu_device_ask ask;
};

/* F(node) of a row as it is. 0 where it is not tracked. */
int64_t mu_fragment_of(const struct mu_snapshot *snapshot, uint32_t row);
/* The worth of placing the pod, which fits, on a tracked or other row, and the devices it gets. */
int64_t mu_fragment_worth(const struct mu_snapshot *snapshot, uint32_t row,
                          const struct mu_fragment_pod *pod, uint16_t *devices);

/* Bounds. A pod that takes less of cpu and memory fragments a row no more than one that takes more
 * and asks for the same devices. So all classes that differ in cpu and memory alone share a column
 * of bounds: the bonus of the least of either that any of them asks for, with the largest of each
 * 64 above it. A search by bounds finds a row; its own bonus is computed, and unless it is the
 * bound it takes the bound's place, until the best row is one whose bonus is its own. Then the
 * bounds are put back. Cost per change: O(bounds in use * typical * devices); per pick: that of a
 * search for each row that promised too much, and after MU_FRAGMENT_TRIES of them that of a
 * column. */
#define MU_FRAGMENT_BOUNDS  64u
#define MU_FRAGMENT_DEMANDS 8u
#define MU_FRAGMENT_TRIES   64u
struct mu_fragment_bound {
    int64_t *levels[MU_LEVELS_MAX];
    uint32_t cap[MU_LEVELS_MAX];
    struct mu_demand demands[MU_FRAGMENT_DEMANDS];
    uint32_t demand_count; /* 0: unused */
    uint64_t batch, changes, used;
};

struct mu_fragment_column {
    int64_t *values;
    uint32_t cap;
    uint64_t class_id;
    uint64_t batch, changes, used; /* batch: typical requests may be others in the next one */
};
/* One thread's columns. */
struct mu_fragment {
    struct mu_fragment_column columns[MU_FRAGMENT_COLUMNS];
    struct mu_fragment_bound bounds[MU_FRAGMENT_BOUNDS];
    struct mu_fragment_bound *open; /* whose values of these rows are not bounds for the moment */
    uint32_t tried_count;
    uint32_t tried[MU_FRAGMENT_TRIES];
    int64_t bound_of[MU_FRAGMENT_TRIES];
    uint64_t stamp;
};
void mu_fragment_init(struct mu_fragment *fragment);
void mu_fragment_fini(struct mu_fragment *fragment);
/* The bonus of each row for a class: the share of `most` as above where it fits (else anything in
 * the range). The room is prepared; valid until the next call or change. NULL when out of memory.
 */
const int64_t *mu_fragment_bonus(struct mu_fragment *fragment, const struct mu_room *room,
                                 const struct mu_class *class_, int64_t most);
/* Bounds of the bonus for a class, level by level as in the room, until the next change or
 * mu_fragment_close(). False: no memory, or a class of too many resources. */
bool mu_fragment_open(struct mu_fragment *fragment, const struct mu_room *room,
                      const struct mu_class *class_, int64_t most,
                      const int64_t *levels[MU_LEVELS_MAX]);
/* True when the bound of a row is the class's bonus. If not it is from now on, which may leave
 * another row the best; *tries_left says whether that can be done once more. */
bool mu_fragment_settle(struct mu_fragment *fragment, const struct mu_room *room,
                        const struct mu_class *class_, int64_t most, uint32_t row,
                        bool *tries_left);
void mu_fragment_close(struct mu_fragment *fragment);

#endif
