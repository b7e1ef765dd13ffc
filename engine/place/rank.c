#include "engine/place/rank.h"

#include <string.h>

#include "engine/base/assert.h"
#include "engine/base/bitset.h"
#include "engine/base/error.h"
#include "engine/base/mem.h"

#define LEAF_BITS 24u
#define LEAF_MASK ((UINT32_C(1) << LEAF_BITS) - 1)

_Static_assert(MU_NODES_MAX <= LEAF_MASK / 2, "leaves, spare ones included, are told in 24 bits");
_Static_assert(MU_RANK_KINDS < 1u << (32 - LEAF_BITS), "kinds are told in the rest, with MU_NONE");

/* Leaves that a kind keeps for rows that come to it. */
static uint32_t with_spare(uint32_t rows)
{
    return rows + rows / 16 + MU_SCAN_TREE;
}

/* ---- lifetime ----------------------------------------------------------------------------- */

static void kind_free(struct mu_rank_kind *kind)
{
    mu_tree_free(&kind->tree, &kind->cap);
    mu_mem_free(kind->rows);
    kind->rows = NULL;
}

void mu_rank_init(struct mu_rank *rank)
{
    memset(rank, 0, sizeof *rank);
    rank->refused = UINT64_MAX;
}

void mu_rank_drop(struct mu_rank *rank)
{
    rank->built = false;
    rank->refused = UINT64_MAX;
}

void mu_rank_fini(struct mu_rank *rank)
{
    for (uint32_t k = 0; k < MU_RANK_KINDS; k++)
        kind_free(&rank->kinds[k]);
    mu_mem_free(rank->leaf);
    mu_rank_init(rank);
}

bool mu_rank_serves(const struct mu_rank *rank, const struct mu_room *room,
                    const struct mu_scan_need *need)
{
    return need->form_count == 1 && need->pref[0] == NULL && need->bonus[0] == NULL &&
           rank->refused != room->epoch;
}

uint64_t mu_rank_missing(const struct mu_rank *rank, const struct mu_room *room)
{
    if (!rank->built || rank->epoch != room->epoch || room->changes - rank->changes > MU_ROOM_LOG)
        return UINT64_MAX;
    return room->changes - rank->changes;
}

/* ---- kinds -------------------------------------------------------------------------------- */

static bool wins_tie(const void *context, uint32_t a, uint32_t b)
{
    const struct mu_rank_kind *kind = context;
    return mu_room_wins_tie(kind->room, kind->rows[a], kind->rows[b]);
}

static bool has_weights(const struct mu_rank_kind *kind, const struct mu_room *room, uint32_t row)
{
    for (uint32_t slot = 0; slot < room->score.slot_count; slot++) {
        if (room->score.forms[0].parts[slot].most != 0 &&
            mu_room_weight(room, 0, slot, row) != kind->weights[slot])
            return false;
    }
    return true;
}

/* The kind of a present row, looked for from `guess` on; kind_count: none has its weights. */
static uint32_t kind_of(const struct mu_rank *rank, const struct mu_room *room, uint32_t row,
                        uint32_t guess)
{
    if (guess < rank->kind_count && has_weights(&rank->kinds[guess], room, row))
        return guess;
    uint32_t k = 0;
    while (k < rank->kind_count && !has_weights(&rank->kinds[k], room, row))
        k++;
    return k;
}

/* Give each row its kind, and count the kinds' rows. */
static int kinds_find(struct mu_rank *rank, const struct mu_room *room)
{
    rank->kind_count = 0;
    for (uint32_t row = 0; row < rank->row_cap; row++)
        rank->leaf[row] = MU_NONE;
    uint32_t k = 0;
    for (uint32_t row = 0; row < room->rows; row++) {
        if (mu_room_hole(room, row))
            continue;
        k = kind_of(rank, room, row, k);
        if (k == rank->kind_count) {
            if (k == MU_RANK_KINDS)
                return MU_ELIMIT;
            struct mu_rank_kind *kind = &rank->kinds[rank->kind_count++];
            for (uint32_t slot = 0; slot < room->score.slot_count; slot++)
                kind->weights[slot] = room->score.forms[0].parts[slot].most != 0
                                          ? mu_room_weight(room, 0, slot, row)
                                          : 0;
            kind->count = 0;
        }
        rank->leaf[row] = k << LEAF_BITS | rank->kinds[k].count++;
    }
    return 0;
}

/* Leaves for the rows of each kind. What was there is kept where it fits well: all kinds together
 * take no more than twice what they need. */
static int kinds_reserve(struct mu_rank *rank, const struct mu_room *room)
{
    for (uint32_t k = 0; k < MU_RANK_KINDS; k++) {
        struct mu_rank_kind *kind = &rank->kinds[k];
        kind->room = room;
        uint32_t cap = k < rank->kind_count ? with_spare(kind->count) : 0;
        if (cap > 0 && kind->cap > kind->count && kind->cap <= 2 * cap)
            continue;
        kind_free(kind);
        if (cap == 0)
            continue;
        kind->rows = mu_mem_calloc(cap, sizeof *kind->rows);
        if (kind->rows == NULL || mu_tree_reserve(&kind->tree, &kind->cap, cap) != 0)
            return MU_ENOMEM;
    }
    return 0;
}

static int leaves_reserve(struct mu_rank *rank, const struct mu_room *room)
{
    if (rank->row_cap >= room->cap[0])
        return 0;
    mu_mem_free(rank->leaf);
    rank->row_cap = 0;
    rank->leaf = mu_mem_calloc(room->cap[0], sizeof *rank->leaf);
    if (rank->leaf == NULL)
        return MU_ENOMEM;
    rank->row_cap = room->cap[0];
    return 0;
}

static void best_set(struct mu_rank_kind *kind, uint32_t leaf)
{
    kind->best = leaf;
    kind->best_base = leaf == MU_NONE ? MU_SCORE_KEY_NONE : kind->tree.keys[0][leaf];
}

int mu_rank_build(struct mu_rank *rank, const struct mu_room *room)
{
    MU_ASSERT(room->fresh && room->score.form_count == 1);
    rank->built = false;
    int error = leaves_reserve(rank, room);
    if (error == 0)
        error = kinds_find(rank, room);
    if (error == 0)
        error = kinds_reserve(rank, room);
    if (error == MU_ELIMIT)
        rank->refused = room->epoch;
    if (error != 0)
        return error;
    for (uint32_t row = 0; row < room->rows; row++) {
        if (rank->leaf[row] == MU_NONE)
            continue;
        struct mu_rank_kind *kind = &rank->kinds[rank->leaf[row] >> LEAF_BITS];
        uint32_t leaf = rank->leaf[row] & LEAF_MASK;
        kind->rows[leaf] = row;
        kind->tree.keys[0][leaf] = room->base[0][0][row];
    }
    for (uint32_t k = 0; k < rank->kind_count; k++) {
        struct mu_rank_kind *kind = &rank->kinds[k];
        for (uint32_t leaf = kind->count; leaf < kind->cap; leaf++)
            kind->tree.keys[0][leaf] = MU_SCORE_KEY_NONE;
        for (uint32_t leaf = kind->cap; leaf % MU_SCAN_TREE != 0; leaf++)
            kind->tree.keys[0][leaf] = MU_SCORE_KEY_NONE;
        kind->tree.wins_tie = wins_tie;
        kind->tree.context = kind;
        best_set(kind, mu_tree_build(&kind->tree, room->ops, kind->cap));
    }
    rank->epoch = room->epoch;
    rank->changes = room->changes;
    rank->built = true;
    return 0;
}

/* ---- following ---------------------------------------------------------------------------- */

/* A row changed: its base, and perhaps what it is. False: only building anew helps. */
static bool row_follow(struct mu_rank *rank, const struct mu_room *room, uint32_t row)
{
    uint32_t at = rank->leaf[row];
    bool present = !mu_room_hole(room, row);
    if (at != MU_NONE) {
        struct mu_rank_kind *kind = &rank->kinds[at >> LEAF_BITS];
        uint32_t leaf = at & LEAF_MASK;
        bool stays = present && has_weights(kind, room, row);
        int64_t base = stays ? room->base[0][0][row] : MU_SCORE_KEY_NONE;
        best_set(kind, room->ops->climb(&kind->tree, leaf, base));
        if (stays)
            return true;
        rank->leaf[row] = MU_NONE;
    }
    if (!present)
        return true;
    uint32_t k = kind_of(rank, room, row, 0);
    if (k == rank->kind_count || rank->kinds[k].count == rank->kinds[k].cap)
        return false;
    struct mu_rank_kind *kind = &rank->kinds[k];
    uint32_t leaf = kind->count++;
    kind->rows[leaf] = row;
    rank->leaf[row] = k << LEAF_BITS | leaf;
    best_set(kind, room->ops->climb(&kind->tree, leaf, room->base[0][0][row]));
    return true;
}

static bool follow(struct mu_rank *rank, const struct mu_room *room)
{
    MU_ASSERT(rank->built && mu_rank_missing(rank, room) <= MU_ROOM_LOG);
    for (; rank->changes < room->changes; rank->changes++) {
        uint32_t row = room->log[rank->changes & (MU_ROOM_LOG - 1)];
        if (room->last[row] != (uint32_t)rank->changes)
            continue; /* changed again later */
        if (!row_follow(rank, room, row)) {
            rank->built = false;
            return false;
        }
    }
    return true;
}

/* ---- picking ------------------------------------------------------------------------------ */

/* What the class costs on rows of the kind. False: so much that nothing there fits. */
static inline bool cost_of(const struct mu_rank_kind *kind, const struct mu_scan_need *need,
                           int64_t *cost)
{
    uint64_t parts = 0;
    for (uint32_t c = 0; c < need->cost_count[0]; c++) {
        const struct mu_scan_cost *part = &need->costs[0][c];
        int64_t weight = kind->weights[part->slot];
        if (!part->padded && (weight > part->limit || weight < -part->limit))
            return false;
        parts += (uint64_t)mu_score_cost_part(part->units, weight, part->limit);
    }
    *cost = mu_score_cost((int64_t)parts);
    return true;
}

static inline bool fits(const struct mu_room *room, const struct mu_scan_need *need,
                        const struct mu_filter_mask *mask, uint32_t row)
{
    if (!mu_bitset_test(mask->bits[0], row))
        return false;
    for (uint32_t d = 0; d < need->count; d++) {
        if (room->snapshot->free[need->demands[d].resource][row] < need->demands[d].amount)
            return false;
    }
    return true;
}

bool mu_rank_best(struct mu_rank *rank, const struct mu_room *room, const struct mu_scan_need *need,
                  const struct mu_filter_mask *mask, uint32_t *out)
{
    MU_ASSERT(mu_rank_serves(rank, room, need));
    if (!follow(rank, room))
        return false;
    uint32_t best = MU_NONE;
    int64_t best_key = MU_SCORE_KEY_NONE, unknown = MU_SCORE_KEY_NONE;
    for (uint32_t k = 0; k < rank->kind_count; k++) {
        const struct mu_rank_kind *kind = &rank->kinds[k];
        int64_t cost;
        if (kind->best == MU_NONE || !cost_of(kind, need, &cost))
            continue;
        int64_t key = kind->best_base - cost;
        if (key < best_key)
            continue;
        uint32_t row = kind->rows[kind->best];
        if (!fits(room, need, mask, row)) {
            unknown = key > unknown ? key : unknown;
        } else if (key > best_key || mu_room_wins_tie(room, row, best)) {
            best = row;
            best_key = key;
        }
    }
    /* Where bounds and the best are equal the tie may be lost. A bound below 0 is no key. */
    *out = best;
    return unknown < 0 || unknown < best_key;
}
