#include "engine/room.h"

#include "engine/base/assert.h"

/*
 * Several pods of one class onto one row: what the key of the row becomes with each, without
 * looking anything up twice. engine/place_run.c says what it is for.
 */

/* What a placement does to one row. */
struct drain {
    uint32_t slot_count;
    struct {
        int64_t free, step, alloc;
        int64_t weight[MU_SCORE_FORMS];
        int shift;
    } slots[MU_SCORE_SLOTS];
    int64_t cost[MU_SCORE_FORMS]; /* of the class in the forms of the key, preferences included */
    int64_t base[MU_SCORE_FORMS];
};

enum mu_room_trend mu_room_trend(const struct mu_room *room, const struct mu_scan_need *need)
{
    bool rises = false, falls = false;
    for (uint32_t d = 0; d < need->count; d++) {
        for (uint32_t f = 0; f < room->score.form_count; f++) {
            for (uint32_t slot = 0; slot < room->score.slot_count; slot++) {
                const struct mu_score_part *part = &room->score.forms[f].parts[slot];
                if (part->resource != need->demands[d].resource)
                    continue;
                rises = rises || part->most < 0;
                falls = falls || part->most > 0;
            }
        }
    }
    if (falls)
        return rises ? MU_ROOM_MIXED : MU_ROOM_FALLS;
    return MU_ROOM_RISES;
}

static int64_t demand_of(const struct mu_scan_need *need, uint32_t resource)
{
    for (uint32_t d = 0; d < need->count; d++)
        if (need->demands[d].resource == resource)
            return need->demands[d].amount;
    return 0;
}

static void drain_open(struct drain *drain, const struct mu_room *room,
                       const struct mu_scan_need *need, uint32_t row)
{
    const struct mu_snapshot *s = room->snapshot;
    const int64_t *sizes = room->sizes.blocks[row / MU_NODE_CHUNK] + row % MU_NODE_CHUNK;
    drain->slot_count = room->score.slot_count;
    for (uint32_t slot = 0; slot < drain->slot_count; slot++) {
        const struct mu_score_part *part = &room->score.forms[0].parts[slot];
        drain->slots[slot].free = s->free[part->resource][row];
        drain->slots[slot].step = demand_of(need, part->resource);
        drain->slots[slot].alloc =
            sizes[mu_sizes_alloc(drain->slot_count, room->score.form_count, slot)];
        drain->slots[slot].shift = part->shift;
    }
    for (uint32_t f = 0; f < room->score.form_count; f++) {
        uint64_t parts = 0;
        drain->base[f] = room->base[f][0][row];
        for (uint32_t slot = 0; slot < drain->slot_count; slot++)
            drain->slots[slot].weight[f] =
                room->score.forms[f].parts[slot].most != 0 ? mu_room_weight(room, f, slot, row) : 0;
        for (uint32_t c = 0; c < need->cost_count[f]; c++)
            parts += (uint64_t)need->costs[f][c].units *
                     (uint64_t)drain->slots[need->costs[f][c].slot].weight[f];
        drain->cost[f] = mu_score_cost((int64_t)parts);
        if (need->pref[0] != NULL)
            drain->cost[f] -= (int64_t)need->pref[0][row] << MU_SCORE_TIE_BITS;
    }
}

/* One pod more is there: the key of the next, were there room for it. */
static int64_t drain_step(struct drain *drain, const struct mu_room *room)
{
    int64_t key = INT64_MAX;
    for (uint32_t slot = 0; slot < drain->slot_count; slot++)
        drain->slots[slot].free -= drain->slots[slot].step;
    for (uint32_t f = 0; f < room->score.form_count; f++) {
        uint64_t parts = 0;
        for (uint32_t slot = 0; slot < drain->slot_count; slot++)
            parts += (uint64_t)mu_score_room_part(drain->slots[slot].free, drain->slots[slot].alloc,
                                                  drain->slots[slot].shift,
                                                  drain->slots[slot].weight[f]);
        drain->base[f] =
            mu_score_base(room->score.offset, (int64_t)parts, mu_score_base_tie(drain->base[f]));
        int64_t here = drain->base[f] - drain->cost[f];
        key = here < key ? here : key;
    }
    return key;
}

uint32_t mu_room_slots(const struct mu_room *room, const struct mu_scan_need *need, uint32_t row,
                       uint32_t most)
{
    int64_t slots = most;
    for (uint32_t d = 0; d < need->count; d++) {
        int64_t room_for =
            room->snapshot->free[need->demands[d].resource][row] / need->demands[d].amount;
        slots = room_for < slots ? room_for : slots;
    }
    return slots > 0 ? (uint32_t)slots : 0;
}

/* Whether one pod more fits behind `taken` of them, which do. */
static inline bool fits_behind(const struct mu_room *room, const struct mu_scan_need *need,
                               uint32_t row, uint32_t taken)
{
    bool fits = true;
    for (uint32_t d = 0; d < need->count; d++) {
        int64_t amount = need->demands[d].amount;
        fits =
            fits && room->snapshot->free[need->demands[d].resource][row] - taken * amount >= amount;
    }
    return fits;
}

uint32_t mu_room_drain(struct mu_room *room, const struct mu_scan_need *need, uint32_t row,
                       int64_t least, uint32_t most, int64_t *keys, int64_t *next)
{
    MU_ASSERT(room->fresh && row < room->rows && need->bonus[0] == NULL);
    MU_ASSERT(*next >= 0 && *next >= least && most > 0);
    struct drain drain;
    uint32_t count = 0;
    drain_open(&drain, room, need, row);
    while (*next >= least && *next >= 0 && count < most) {
        keys[count++] = *next;
        int64_t key = drain_step(&drain, room);
        *next = fits_behind(room, need, row, count) ? key : MU_SCORE_KEY_NONE;
    }
    for (uint32_t d = 0; d < need->count; d++)
        room->snapshot->free[need->demands[d].resource][row] -= count * need->demands[d].amount;
    for (uint32_t f = 0; f < room->score.form_count; f++)
        room->base[f][0][row] = drain.base[f];
    return count;
}
