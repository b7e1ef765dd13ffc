#ifndef MU_ENGINE_FRAGMENT_H
#define MU_ENGINE_FRAGMENT_H
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
 * The worth enters the score as (worth + MU_FRAGMENT_MAX) * scale, per row and class, where the
 * part of the profile is 2 * MU_FRAGMENT_MAX * scale. A column of it is kept for each of the
 * classes asked for last, and brought up to date by the room's log of changes: cost O(rows *
 * typical * devices^2) for a new column, O(changes * typical * devices^2) for a current one.
 */
#include "engine/device.h"
#include "engine/room.h"

/* Beyond any worth: sixteen devices, all of them lost to all typical requests. */
#define MU_FRAGMENT_MAX     (INT64_C(16) * 1000 * 1000)
#define MU_FRAGMENT_COLUMNS 64u
/* Columns together take no more than this; at least one is kept. */
#define MU_FRAGMENT_BYTES_MAX (UINT64_C(64) << 20)

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

struct mu_fragment_column {
    int64_t *values;
    uint32_t cap;
    uint64_t class_id;
    uint64_t batch, changes, used; /* batch: typical requests may be others in the next one */
};
/* One thread's columns. */
struct mu_fragment {
    struct mu_fragment_column columns[MU_FRAGMENT_COLUMNS];
    uint64_t stamp;
};
void mu_fragment_init(struct mu_fragment *fragment);
void mu_fragment_fini(struct mu_fragment *fragment);
/* The bonus of each row for a class: worth as above where it fits (else anything in the range). The
 * room is prepared; valid until the next call or change. NULL when out of memory. */
const int64_t *mu_fragment_bonus(struct mu_fragment *fragment, const struct mu_room *room,
                                 const struct mu_class *class_, int64_t scale);

#endif
