#include "engine/place/room.h"

#include "engine/base/assert.h"

/*
 * Several pods of one class onto one row: what the key of the row becomes with each, without
 * looking anything up twice. engine/place/run.c says what it is for.
 *
 * Keys are computed as far as they are wanted, and what fits is counted behind that: a key that is
 * one too many is a few additions, and a row seldom ends.
 */

/* What a placement does to one row. */
struct drain {
    int64_t free[MU_SCORE_SLOTS], step[MU_SCORE_SLOTS], alloc[MU_SCORE_SLOTS];
    int64_t least[MU_SCORE_SLOTS]; /* where there is padding; else 0 */
    int64_t weight[MU_SCORE_FORMS][MU_SCORE_SLOTS];
    int shift[MU_SCORE_SLOTS];
    int64_t cost[MU_SCORE_FORMS]; /* of the class in the forms of the key, preferences included */
    int64_t base[MU_SCORE_FORMS];
    int64_t offset;
};

enum mu_room_trend mu_room_trend(const struct mu_room *room, const struct mu_scan_need *need)
{
    bool rises = false, falls = false;
    for (uint32_t d = 0; d < need->count + need->padding_count; d++) {
        const uint32_t resource = need->demands[d].resource;
        for (uint32_t f = 0; f < room->score.form_count; f++) {
            for (uint32_t slot = 0; slot < room->score.slot_count; slot++) {
                const struct mu_score_part *part = &room->score.forms[f].parts[slot];
                if (part->resource != resource && part->padding != resource)
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

/* What is taken of a resource or of a padding, and counts below 0 then. */
static int64_t demand_of(const struct mu_scan_need *need, uint32_t resource)
{
    for (uint32_t d = 0; d < need->count + need->padding_count; d++)
        if (need->demands[d].resource == resource)
            return need->demands[d].amount;
    return 0;
}

void mu_room_drain_open(struct mu_room_drain *drain, struct mu_room *room,
                        const struct mu_scan_need *need)
{
    MU_ASSERT(room->fresh && need->bonus[0] == NULL);
    *drain = (struct mu_room_drain){.room = room, .need = need};
    for (uint32_t slot = 0; slot < room->score.slot_count; slot++) {
        const struct mu_score_part *part = &room->score.forms[0].parts[slot];
        drain->step[slot] =
            mu_amount_add(demand_of(need, part->resource), -demand_of(need, part->padding));
        drain->padded = drain->padded || part->padded != 0;
    }
    for (uint32_t f = 0; f < room->score.form_count; f++) {
        for (uint32_t c = 0; c < need->cost_count[f]; c++) {
            drain->units[f][need->costs[f][c].slot] = need->costs[f][c].units;
            drain->limit[f][need->costs[f][c].slot] = need->costs[f][c].limit;
        }
    }
}

static inline __attribute__((always_inline)) void row_read(const struct mu_room_drain *open,
                                                           uint32_t row, uint32_t forms,
                                                           uint32_t slots, bool padded,
                                                           struct drain *out)
{
    const struct mu_room *room = open->room;
    const int64_t *sizes = room->sizes.blocks[row / MU_NODE_CHUNK] + row % MU_NODE_CHUNK;
    for (uint32_t slot = 0; slot < slots; slot++) {
        const struct mu_score_part *part = &room->score.forms[0].parts[slot];
        out->free[slot] = padded ? mu_room_free(room->snapshot, part, row)
                                 : room->snapshot->free[part->resource][row];
        out->step[slot] = open->step[slot];
        out->alloc[slot] = sizes[mu_sizes_alloc(slots, forms, slot)];
        out->least[slot] = padded ? mu_room_least(part, out->alloc[slot]) : 0;
        out->shift[slot] = part->shift;
    }
    for (uint32_t f = 0; f < forms; f++) {
        uint64_t parts = 0;
        out->base[f] = room->base[f][0][row];
        for (uint32_t slot = 0; slot < slots; slot++) {
            bool counts = room->score.forms[f].parts[slot].most != 0;
            out->weight[f][slot] = counts ? sizes[mu_sizes_weight(slots, f, slot)] : 0;
            parts += (uint64_t)mu_score_cost_part(open->units[f][slot], out->weight[f][slot],
                                                  open->limit[f][slot]);
        }
        out->cost[f] = mu_score_cost((int64_t)parts);
        if (open->need->pref[0] != NULL)
            out->cost[f] -= (int64_t)open->need->pref[0][row] << MU_SCORE_TIE_BITS;
    }
    out->offset = room->score.offset;
}

/* One pod more is there: the key of the next, were there room for it. */
static inline __attribute__((always_inline)) int64_t row_step(struct drain *drain, uint32_t forms,
                                                              uint32_t slots, bool padded)
{
    int64_t key = INT64_MAX;
    for (uint32_t slot = 0; slot < slots; slot++)
        drain->free[slot] -= drain->step[slot];
    for (uint32_t f = 0; f < forms; f++) {
        uint64_t parts = 0;
        for (uint32_t slot = 0; slot < slots; slot++)
            parts += (uint64_t)mu_score_room_part(drain->free[slot], drain->alloc[slot],
                                                  padded ? drain->least[slot] : 0,
                                                  drain->shift[slot], drain->weight[f][slot]);
        drain->base[f] =
            mu_score_base(drain->offset, (int64_t)parts, mu_score_base_tie(drain->base[f]));
        int64_t here = drain->base[f] - drain->cost[f];
        key = here < key ? here : key;
    }
    return key;
}

/* Inlined with the numbers of forms and slots that profiles usually have, so that a row is in
 * registers. */
static inline __attribute__((always_inline)) uint32_t
row_drain(const struct mu_room_drain *open, uint32_t row, uint32_t forms, uint32_t slots,
          bool padded, int64_t least, uint32_t most, int64_t *keys, int64_t *next)
{
    struct drain drain;
    int64_t key = *next;
    uint32_t count = 0;
    row_read(open, row, forms, slots, padded, &drain);
    do {
        keys[count++] = key;
        key = row_step(&drain, forms, slots, padded);
    } while (key >= least && count < most);
    *next = key;
    for (uint32_t f = 0; f < forms; f++)
        open->room->base[f][0][row] = drain.base[f];
    return count;
}

static uint32_t drain_some(const struct mu_room_drain *open, uint32_t row, int64_t least,
                           uint32_t most, int64_t *keys, int64_t *next)
{
    const uint32_t forms = open->room->score.form_count, slots = open->room->score.slot_count;
    if (forms == 1 && slots == 2 && !open->padded)
        return row_drain(open, row, 1, 2, false, least, most, keys, next);
    if (forms == 2 && slots == 2 && !open->padded)
        return row_drain(open, row, 2, 2, false, least, most, keys, next);
    if (forms == 1 && slots == 2)
        return row_drain(open, row, 1, 2, true, least, most, keys, next);
    if (forms == 2 && slots == 2)
        return row_drain(open, row, 2, 2, true, least, most, keys, next);
    return row_drain(open, row, forms, slots, true, least, most, keys, next);
}

uint32_t mu_room_slots(const struct mu_room *room, const struct mu_scan_need *need, uint32_t row,
                       uint32_t most)
{
    int64_t slots = most;
    for (uint32_t d = 0; d < need->count && slots > 0; d++) {
        const int64_t amount = need->demands[d].amount;
        const int64_t free = room->snapshot->free[need->demands[d].resource][row];
        int64_t all;
        if (__builtin_mul_overflow(slots, amount, &all) || free < all)
            slots = free / amount;
    }
    return slots > 0 ? (uint32_t)slots : 0;
}

uint32_t mu_room_drain(const struct mu_room_drain *open, uint32_t row, int64_t least, uint32_t most,
                       int64_t *keys, int64_t *next)
{
    const struct mu_room *room = open->room;
    const struct mu_scan_need *need = open->need;
    const int64_t first = *next;
    MU_ASSERT(row < room->rows && first >= 0 && first >= least && least >= 0 && most > 0);
    uint32_t count = drain_some(open, row, least, most, keys, next);
    uint32_t slots = mu_room_slots(room, need, row, count + 1);
    MU_ASSERT(slots > 0); /* it has a key */
    if (slots < count) {
        *next = first;
        count = drain_some(open, row, least, slots, keys, next);
    }
    if (slots == count)
        *next = MU_SCORE_KEY_NONE;
    for (uint32_t d = 0; d < need->count + need->padding_count; d++)
        room->snapshot->free[need->demands[d].resource][row] -= count * need->demands[d].amount;
    return count;
}
