#include "engine/place/room.h"

#include <string.h>

#include "engine/base/assert.h"
#include "engine/base/bitset.h"
#include "engine/base/mem.h"

#define STALE_BASE    (UINT64_C(1) << 63)
#define STALE_WEIGHTS (UINT64_C(1) << 62)
/* More than one row in so many changed: computing all anew is cheaper, and nobody's log is as
 * long. */
#define ANEW_SHARE    8u
#define BLOCK         MU_NODE_CHUNK
#define ROWS_IN_CACHE 32768u

_Static_assert(MU_RESOURCES_MAX < 62, "bit 63 is the node term, bit 62 the weights");
_Static_assert((MU_ROOM_LOG & (MU_ROOM_LOG - 1)) == 0, "used as a mask");

static uint32_t blocks_of(uint32_t entries)
{
    return (entries + BLOCK - 1) / BLOCK;
}

/* ---- lifetime ----------------------------------------------------------------------------- */

void mu_room_init(struct mu_room *room, const struct mu_scan_ops *ops,
                  const struct mu_profile *profile)
{
    memset(room, 0, sizeof *room);
    room->ops = ops;
    room->profile = profile;
}

static void level_free(int64_t **column)
{
    mu_mem_free(*column);
    *column = NULL;
}

static void levels_free(struct mu_room *room)
{
    for (uint32_t l = 0; l < MU_LEVELS_MAX; l++) {
        level_free(&room->both[l]);
        for (uint32_t f = 0; f < MU_SCORE_FORMS; f++) {
            level_free(&room->base[f][l]);
            for (uint32_t s = 0; s < MU_SCORE_SLOTS; s++)
                level_free(&room->weight[f][s][l]);
        }
        for (uint32_t r = 0; r < MU_RESOURCES_MAX; r++)
            level_free(&room->free[l][r]);
        room->cap[l] = 0;
    }
    mu_sizes_fini(&room->sizes);
    mu_mem_free(room->stale);
    mu_mem_free(room->stale_blocks);
    mu_mem_free(room->last);
    mu_mem_free(room->stray);
    room->stray = NULL;
    room->stray_count = 0;
    room->stale_count = 0;
    room->stale = NULL;
    room->stale_blocks = NULL;
    room->last = NULL;
}

void mu_room_drop(struct mu_room *room)
{
    room->model_serial = 0;
    room->fresh = false;
    room->ready = 0;
    room->epoch++;
}

void mu_room_fini(struct mu_room *room)
{
    levels_free(room);
    mu_room_drop(room);
}

/* ---- static columns ----------------------------------------------------------------------- */

static int64_t *column_alloc(uint32_t entries)
{
    return mu_mem_zalloc_aligned(64, (size_t)entries * sizeof(int64_t));
}

static bool level_alloc(struct mu_room *room, uint32_t l, uint32_t entries)
{
    bool complete = true;
    uint32_t forms = room->profile->balanced > 0 ? 2 : 1;
    for (uint32_t f = 0; f < forms; f++) {
        room->base[f][l] = column_alloc(entries);
        complete = complete && room->base[f][l] != NULL;
    }
    if (l > 0 && forms > 1) {
        /* There are fewer levels than MU_LEVELS_MAX above the first. */
        /* cppcheck-suppress arrayIndexOutOfBoundsCond */
        room->both[l] = column_alloc(entries);
        complete = complete && room->both[l] != NULL;
    }
    return complete;
}

/* Allocate all levels for `rows` rows, with room to grow by a sixteenth: holes are written too. On
 * failure nothing is allocated. Weights and free amounts follow when somebody needs them. */
static int levels_alloc(struct mu_room *room, uint32_t rows)
{
    levels_free(room);
    uint64_t wanted = (uint64_t)rows + rows / 16;
    uint32_t entries = wanted < MU_NODES_MAX ? (uint32_t)wanted : MU_NODES_MAX;
    bool complete = true;
    for (uint32_t l = 0; l < MU_LEVELS_MAX && complete; l++) {
        uint32_t blocks = blocks_of(entries > 0 ? entries : 1);
        complete = level_alloc(room, l, blocks * BLOCK);
        room->cap[l] = blocks * BLOCK;
        entries = blocks;
    }
    if (complete) {
        room->stale = mu_mem_calloc(room->cap[0] / BLOCK, sizeof *room->stale);
        room->stale_blocks = mu_mem_calloc(room->cap[0] / BLOCK, sizeof *room->stale_blocks);
        room->last = mu_mem_calloc(room->cap[0], sizeof *room->last);
        room->stray = mu_mem_calloc(room->cap[0] / BLOCK, sizeof *room->stray);
        complete = room->stale != NULL && room->stale_blocks != NULL && room->last != NULL &&
                   room->stray != NULL;
    }
    if (!complete) {
        levels_free(room);
        return MU_ENOMEM;
    }
    return 0;
}

/* The term of a row before its room is known: the tie alone. What is beyond the rows is holes. */
static void tie_set(struct mu_room *room, uint32_t row)
{
    const struct mu_snapshot *s = room->snapshot;
    bool hole = row >= s->node_rows || (s->nodes[row].flags & MU_NODE_PRESENT) == 0;
    for (uint32_t f = 0; f < room->score.form_count; f++)
        room->base[f][0][row] = hole ? -1 : mu_score_tie_key(s->nodes[row].tie);
}

/* The smallest weights of one resource in one form of each block, level by level. */
static int static_levels(struct mu_room *room, uint32_t f, uint32_t slot)
{
    for (uint32_t l = 1; l < room->level_count; l++) {
        int64_t **weights = &room->weight[f][slot][l];
        if (*weights == NULL)
            *weights = column_alloc(room->cap[l]);
        if (*weights == NULL)
            return MU_ENOMEM;
        room->columns[l].weight[f][slot] = *weights;
        for (uint32_t e = 0; e < room->cap[l]; e++)
            (*weights)[e] =
                e < room->count[l]
                    ? room->ops->min(mu_scan_weights(&room->columns[l - 1], f, slot, e * BLOCK))
                    : MU_SIZES_NEUTRAL;
    }
    return 0;
}

static int static_prepare(struct mu_room *room)
{
    const struct mu_snapshot *s = room->snapshot;
    if (s->node_rows > room->cap[0] || room->cap[0] == 0) {
        int failed = levels_alloc(room, s->node_rows);
        if (failed != 0)
            return failed;
    }
    room->rows = s->node_rows;
    room->level_count = 0;
    for (uint32_t entries = room->rows;; entries = blocks_of(entries)) {
        MU_ASSERT(room->level_count < MU_LEVELS_MAX);
        room->count[room->level_count++] = entries;
        if (entries <= BLOCK)
            break;
    }
    int error = mu_sizes_build(&room->sizes, &room->score, s, room->rows, room->cap[0]);
    if (error != 0)
        return error;
    room->columns[0].sizes = room->sizes.blocks;
    room->columns[0].slot_count = room->sizes.slot_count;
    for (uint32_t row = 0; row < blocks_of(room->rows) * BLOCK; row++)
        tie_set(room, row);
    for (uint32_t l = 0; l < room->level_count; l++) {
        room->columns[l].level = l;
        for (uint32_t f = 0; f < room->score.form_count; f++)
            room->columns[l].base[f] = room->base[f][l];
        room->columns[l].both = l > 0 && room->score.form_count > 1 ? room->both[l] : NULL;
    }
    for (uint32_t f = 0; f < room->score.form_count; f++) {
        for (uint32_t slot = 0; slot < room->score.slot_count; slot++) {
            if (room->score.forms[f].parts[slot].most == 0)
                continue;
            error = static_levels(room, f, slot);
            if (error != 0)
                return error;
        }
    }
    room->model_serial = mu_model_serial(s->model);
    room->static_generation = s->static_generation;
    return 0;
}

/* ---- columns that follow the free amounts -------------------------------------------------- */

static void sum_up(struct mu_room *room, const int64_t *below, int64_t *above, uint32_t l)
{
    for (uint32_t e = 0; e < room->count[l]; e++)
        above[e] = room->ops->max(below + e * BLOCK);
}

static void both_sum_up(struct mu_room *room, uint32_t l, uint32_t entry)
{
    room->both[l][entry] = l == 1 ? room->ops->max_of_min(room->base[0][0] + entry * BLOCK,
                                                          room->base[1][0] + entry * BLOCK)
                                  : room->ops->max(room->both[l - 1] + entry * BLOCK);
}

/* What a part of the score sees free in a block of rows; `space` has room for that. */
static const int64_t *block_free(const struct mu_room *room, const struct mu_score_part *part,
                                 uint32_t block, int64_t space[BLOCK])
{
    if (part->padded == 0)
        return room->snapshot->free[part->resource] + block * BLOCK;
    for (uint32_t i = 0; i < BLOCK; i++)
        space[i] = mu_room_free(room->snapshot, part, block * BLOCK + i);
    return space;
}

/* Node terms of a block of rows in one form. */
static void block_bases(struct mu_room *room, uint32_t f, uint32_t block)
{
    const struct mu_sizes *sizes = &room->sizes;
    const int64_t *vectors = sizes->blocks[block];
    int64_t space[MU_SCORE_SLOTS][BLOCK] __attribute__((aligned(64)));
    struct mu_scan_room inputs = {.offset = room->score.offset};
    for (uint32_t slot = 0; slot < sizes->slot_count; slot++) {
        const struct mu_score_part *part = &room->score.forms[f].parts[slot];
        if (part->most == 0)
            continue;
        inputs.slots[inputs.slot_count].free = block_free(room, part, block, space[slot]);
        inputs.slots[inputs.slot_count].padded = part->padded != 0;
        inputs.slots[inputs.slot_count].alloc =
            vectors + mu_sizes_alloc(sizes->slot_count, sizes->form_count, slot);
        inputs.slots[inputs.slot_count].weight =
            vectors + mu_sizes_weight(sizes->slot_count, f, slot);
        inputs.slots[inputs.slot_count++].shift = part->shift;
    }
    room->ops->bases(&inputs, room->base[f][0] + block * BLOCK);
}

static void bases_prepare(struct mu_room *room)
{
    const struct mu_snapshot *s = room->snapshot;
    for (uint32_t f = 0; f < room->score.form_count; f++) {
        for (uint32_t block = 0; block < blocks_of(room->rows); block++)
            block_bases(room, f, block);
        for (uint32_t l = 1; l < room->level_count; l++)
            sum_up(room, room->base[f][l - 1], room->base[f][l], l);
    }
    for (uint32_t l = 1; room->score.form_count > 1 && l < room->level_count; l++) {
        for (uint32_t e = 0; e < room->count[l]; e++)
            both_sum_up(room, l, e);
    }
    for (uint32_t i = 0; i < room->stale_count; i++)
        room->stale[room->stale_blocks[i]] = 0;
    room->stale_count = 0;
    room->generation = s->generation;
    room->fresh = true;
    room->ready = 0;
    room->epoch++;
    room->batch++;
}

static int resource_prepare(struct mu_room *room, uint32_t r)
{
    for (uint32_t l = 1; l < room->level_count; l++) {
        if (room->free[l][r] == NULL) {
            room->free[l][r] = column_alloc(room->cap[l]);
            if (room->free[l][r] == NULL)
                return MU_ENOMEM;
        }
        room->columns[l].free[r] = room->free[l][r];
    }
    for (uint32_t l = 1; l < room->level_count; l++)
        sum_up(room, room->columns[l - 1].free[r], room->free[l][r], l);
    room->ready |= UINT64_C(1) << r;
    return 0;
}

int mu_room_prepare_missing(struct mu_room *room, uint64_t resources)
{
    if (room->model_serial == 0) {
        int error = static_prepare(room);
        if (error != 0)
            return error;
    }
    if (!room->fresh)
        bases_prepare(room);
    for (uint64_t missing = resources & ~room->ready; missing != 0; missing &= missing - 1) {
        int error = resource_prepare(room, (uint32_t)__builtin_ctzll(missing));
        if (error != 0)
            return error;
    }
    return 0;
}

/* ---- what a class asks --------------------------------------------------------------------- */

static int64_t demand_of(const struct mu_class *class_, uint32_t resource)
{
    for (uint32_t d = 0; d < class_->demand_count; d++) {
        if (class_->demands[d].resource.v == resource)
            return class_->demands[d].amount;
    }
    return resource == MU_RES_PODS ? 1 : 0;
}

/* What the class has of a padding; >= 0. */
static int64_t padding_of(const struct mu_class *class_, uint32_t padding)
{
    for (uint32_t p = 0; p < class_->padding_count; p++) {
        if (class_->paddings[p].resource.v == padding)
            return -class_->paddings[p].amount;
    }
    return 0;
}

void mu_room_need(const struct mu_room *room, const struct mu_class *class_,
                  struct mu_scan_need *need)
{
    need->count = 0;
    need->demands[need->count++] = (struct mu_scan_demand){1, MU_RES_PODS};
    for (uint32_t d = 0; d < class_->demand_count; d++) {
        MU_ASSERT(class_->demands[d].amount > 0 && class_->demands[d].resource.v != MU_RES_PODS);
        need->demands[need->count++] =
            (struct mu_scan_demand){class_->demands[d].amount, class_->demands[d].resource.v};
    }
    need->padding_count = 0;
    for (uint32_t p = 0; p < class_->padding_count; p++) {
        const struct mu_demand *padding = &class_->paddings[p];
        MU_ASSERT(padding->amount < 0);
        if (padding->resource.v < room->resource_count)
            need->demands[need->count + need->padding_count++] =
                (struct mu_scan_demand){padding->amount, padding->resource.v};
    }
    need->form_count = room->score.form_count;
    for (uint32_t f = 0; f < need->form_count; f++) {
        need->cost_count[f] = 0;
        for (uint32_t slot = 0; slot < room->score.slot_count; slot++) {
            const struct mu_score_part *part = &room->score.forms[f].parts[slot];
            int64_t padding = padding_of(class_, part->padding);
            int64_t units =
                mu_amount_add(demand_of(class_, part->resource), padding) >> part->shift;
            if (units > 0 && part->most != 0)
                need->costs[f][need->cost_count[f]++] = (struct mu_scan_cost){
                    slot, padding > 0, units, mu_score_weight_limit(part->most, units)};
        }
    }
}

/* ---- changes ------------------------------------------------------------------------------ */

static void bases_update(struct mu_room *room, uint32_t row)
{
    const struct mu_snapshot *s = room->snapshot;
    const int64_t *sizes = room->sizes.blocks[row / BLOCK] + row % BLOCK;
    const uint32_t slots = room->score.slot_count, forms = room->score.form_count;
    for (uint32_t f = 0; f < forms; f++) {
        uint64_t parts = 0;
        for (uint32_t slot = 0; slot < slots; slot++) {
            const struct mu_score_part *part = &room->score.forms[f].parts[slot];
            if (part->most == 0)
                continue;
            const int64_t alloc = sizes[mu_sizes_alloc(slots, forms, slot)];
            parts += (uint64_t)mu_score_room_part(mu_room_free(s, part, row), alloc,
                                                  mu_room_least(part, alloc), part->shift,
                                                  sizes[mu_sizes_weight(slots, f, slot)]);
        }
        int64_t *base = &room->base[f][0][row];
        *base = mu_score_base(room->score.offset, (int64_t)parts, mu_score_base_tie(*base));
    }
}

static void mark(struct mu_room *room, uint32_t row, uint64_t touched)
{
    uint64_t *stale = &room->stale[row / BLOCK];
    if (*stale == 0)
        room->stale_blocks[room->stale_count++] = row / BLOCK;
    *stale |= touched;
}

void mu_room_set(struct mu_room *room, uint32_t resource, uint32_t row, int64_t amount)
{
    MU_ASSERT(room->fresh && row < room->rows);
    room->snapshot->free[resource][row] = amount;
    bases_update(room, row);
    mark(room, row, STALE_BASE | UINT64_C(1) << resource);
}

static void log_row(struct mu_room *room, uint32_t row)
{
    room->last[row] = (uint32_t)room->changes;
    room->log[room->changes++ & (MU_ROOM_LOG - 1)] = row;
}

/* All about a row may have changed but its static columns, or they too (STALE_WEIGHTS). */
static void row_renew(struct mu_room *room, uint32_t row, uint64_t touched)
{
    bases_update(room, row);
    mark(room, row, touched | STALE_BASE | room->ready);
    log_row(room, row);
}

/* What `need` asks of a row, so many times. */
static void amounts_change(struct mu_room *room, const struct mu_scan_need *need, uint32_t row,
                           int64_t times)
{
    MU_ASSERT(room->fresh && row < room->rows);
    for (uint32_t d = 0; d < need->count + need->padding_count; d++)
        room->snapshot->free[need->demands[d].resource][row] -= times * need->demands[d].amount;
    bases_update(room, row);
}

void mu_room_change(struct mu_room *room, const struct mu_scan_need *need, uint32_t row,
                    int64_t times)
{
    amounts_change(room, need, row, times);
    mu_room_drained(room, need, row);
}

void mu_room_refill(struct mu_room *room, const struct mu_scan_need *need, uint32_t row,
                    uint32_t times)
{
    amounts_change(room, need, row, -(int64_t)times);
}

void mu_room_drained(struct mu_room *room, const struct mu_scan_need *need, uint32_t row)
{
    uint64_t touched = STALE_BASE;
    for (uint32_t d = 0; d < need->count; d++)
        touched |= UINT64_C(1) << need->demands[d].resource;
    mark(room, row, touched);
    log_row(room, row);
}

static void weights_sum_up(struct mu_room *room, uint32_t l, uint32_t entry)
{
    for (uint32_t f = 0; f < room->score.form_count; f++) {
        for (uint32_t slot = 0; slot < room->score.slot_count; slot++) {
            if (room->score.forms[f].parts[slot].most != 0)
                room->weight[f][slot][l][entry] =
                    room->ops->min(mu_scan_weights(&room->columns[l - 1], f, slot, entry * BLOCK));
        }
    }
}

/* Sum up the marked blocks again. A resource without summaries is left for resource_prepare(). */
void mu_room_refresh(struct mu_room *room)
{
    for (uint32_t i = 0; i < room->stale_count; i++) {
        uint32_t entry = room->stale_blocks[i];
        uint64_t touched = room->stale[entry];
        room->stale[entry] = 0;
        for (uint32_t l = 1; l < room->level_count; l++, entry /= BLOCK) {
            for (uint32_t f = 0; f < room->score.form_count; f++)
                room->base[f][l][entry] = room->ops->max(room->base[f][l - 1] + entry * BLOCK);
            if (room->score.form_count > 1)
                both_sum_up(room, l, entry);
            if ((touched & STALE_WEIGHTS) != 0)
                weights_sum_up(room, l, entry);
            for (uint64_t rest = touched & room->ready; rest != 0; rest &= rest - 1) {
                uint32_t r = (uint32_t)__builtin_ctzll(rest);
                room->free[l][r][entry] =
                    room->ops->max(room->columns[l - 1].free[r] + entry * BLOCK);
            }
        }
    }
    room->stale_count = 0;
}

/* ---- from snapshot to snapshot -------------------------------------------------------------- */

static bool is_static_same(const struct mu_room *room, const struct mu_snapshot *s)
{
    return room->model_serial == mu_model_serial(s->model) &&
           room->static_generation == s->static_generation && room->rows == s->node_rows &&
           room->resource_count == s->resource_count;
}

/* The profile means the same for a snapshot that may know more resources. */
static bool is_score_same(const struct mu_room *room, const struct mu_snapshot *s)
{
    if (room->resource_count == s->resource_count)
        return true;
    struct mu_score score;
    mu_score_compile(&score, room->profile, s->model, s->resource_count);
    return memcmp(&score, &room->score, sizeof score) == 0;
}

/* True when all is computed, and the snapshot says which rows have changed since: few enough, and
 * the levels have room for new ones. */
static bool is_followed(const struct mu_room *room, const struct mu_snapshot *s)
{
    if (!room->fresh || room->model_serial != mu_model_serial(s->model) || room->rows == 0)
        return false;
    bool frees = room->generation != s->generation;
    bool statics = room->static_generation != s->static_generation;
    if ((frees && (s->free_changed == NULL || room->generation < s->free_base ||
                   room->generation > s->generation)) ||
        (statics && (s->static_changed == NULL || room->static_generation < s->static_base ||
                     room->static_generation > s->static_generation)))
        return false;
    uint64_t listed =
        (uint64_t)(frees ? s->free_changed_count : 0) + (statics ? s->static_changed_count : 0);
    uint64_t rows_max = UINT64_C(1) << (6 * room->level_count);
    bool grown = s->node_rows > room->rows && statics && s->node_rows <= room->cap[0] &&
                 s->node_rows <= rows_max;
    return (grown || s->node_rows == room->rows) && listed <= room->rows / ANEW_SHARE &&
           is_score_same(room, s);
}

/* False: out of memory, and all is to be computed anew. */
static bool rows_follow(struct mu_room *room)
{
    const struct mu_snapshot *s = room->snapshot;
    for (uint32_t row = room->rows; row < blocks_of(s->node_rows) * BLOCK; row++)
        tie_set(room, row);
    room->rows = s->node_rows;
    room->resource_count = s->resource_count;
    for (uint32_t l = 0, entries = room->rows; l < room->level_count; l++) {
        room->count[l] = entries;
        entries = blocks_of(entries);
    }
    if (room->static_generation != s->static_generation) {
        for (uint32_t i = 0; i < s->static_changed_count; i++) {
            uint32_t row = s->static_changed[i];
            if (mu_sizes_follow(&room->sizes, &room->score, s, row) != 0)
                return false;
            tie_set(room, row);
            row_renew(room, row, STALE_WEIGHTS);
        }
        room->static_generation = s->static_generation;
    }
    if (room->generation != s->generation) {
        for (uint32_t i = 0; i < s->free_changed_count; i++)
            row_renew(room, s->free_changed[i], 0);
        room->generation = s->generation;
        room->batch++;
    }
    return true;
}

/* All of it is to be computed anew. Weights may stay: those of marked blocks are summed up first,
 * from the room's own columns. The snapshot in hand may be another one, with fewer rows and
 * resources than the marks are about. */
static void give_up(struct mu_room *room)
{
    for (uint32_t i = 0; i < room->stale_count; i++) {
        uint32_t entry = room->stale_blocks[i];
        bool weights = (room->stale[entry] & STALE_WEIGHTS) != 0;
        room->stale[entry] = 0;
        for (uint32_t l = 1; l < room->level_count && weights; l++, entry /= BLOCK)
            weights_sum_up(room, l, entry);
    }
    room->stale_count = 0;
    room->fresh = false;
    room->ready = 0;
}

void mu_room_begin(struct mu_room *room, struct mu_snapshot *snapshot)
{
    MU_ASSERT(snapshot->node_cap % BLOCK == 0 && snapshot->node_rows <= snapshot->node_cap);
    MU_ASSERT(room->stray_count == 0);
    room->snapshot = snapshot;
    for (uint32_t r = 0; r < MU_RESOURCES_MAX; r++)
        room->columns[0].free[r] = snapshot->free[r];
    bool followed = is_followed(room, snapshot);
    if (followed && rows_follow(room))
        return;
    give_up(room);
    if (!followed && is_static_same(room, snapshot))
        return;
    room->model_serial = 0; /* static columns and all that follows from them */
    room->resource_count = snapshot->resource_count;
    mu_score_compile(&room->score, room->profile, snapshot->model, snapshot->resource_count);
}

void mu_room_stray(struct mu_room *room, uint32_t row)
{
    MU_ASSERT(row < room->rows);
    room->stray_count += !mu_bitset_test(room->stray, row);
    mu_bitset_set(room->stray, row);
}

void mu_room_settle(struct mu_room *room)
{
    if (room->stray_count > room->rows / ANEW_SHARE)
        give_up(room);
    for (uint32_t word = 0; room->stray_count > 0; word++) {
        MU_ASSERT(word < room->cap[0] / BLOCK);
        uint64_t bits = room->stray[word];
        room->stray[word] = 0;
        room->stray_count -= (uint32_t)__builtin_popcountll(bits);
        for (; bits != 0 && room->fresh; bits &= bits - 1)
            row_renew(room, word * BLOCK + (uint32_t)__builtin_ctzll(bits), 0);
    }
}

/* ---- search ------------------------------------------------------------------------------- */

bool mu_room_wins_tie(const struct mu_room *room, uint32_t a, uint32_t b)
{
    const struct mu_snapshot *s = room->snapshot;
    if (s->nodes[a].tie != s->nodes[b].tie)
        return s->nodes[a].tie < s->nodes[b].tie;
    /* The getter wants the writer's model, but reading a text is anybody's. */
    const struct mu_symtab *symbols = mu_model_names(s->model);
    int order = mu_str_compare(mu_symbol_str(symbols, s->nodes[a].name),
                               mu_symbol_str(symbols, s->nodes[b].name));
    return order != 0 ? order < 0 : a < b;
}

static inline void fetch(const int64_t *column, uint32_t block)
{
    for (uint32_t line = 0; line < BLOCK * sizeof *column / 64; line++)
        __builtin_prefetch(column + block * BLOCK + line * 8);
}

/* All columns of a block at once: one after the other they would be waited for in turn. Of few rows
 * they are in the cache anyway. */
static void block_fetch(const struct mu_room *room, const struct mu_scan_need *need, uint32_t block)
{
    if (room->rows < ROWS_IN_CACHE)
        return;
    const struct mu_scan_columns *columns = &room->columns[0];
    const bool own = mu_bitset_test(room->sizes.own, block); /* shared ones are at hand */
    for (uint32_t d = 0; d < need->count; d++)
        fetch(columns->free[need->demands[d].resource], block);
    for (uint32_t f = 0; f < need->form_count; f++) {
        fetch(columns->base[f], block);
        for (uint32_t c = 0; own && c < need->cost_count[f]; c++)
            fetch(mu_scan_weights(columns, f, need->costs[f][c].slot, block * BLOCK), 0);
    }
}

int64_t mu_room_visit_rows(struct mu_room_search *search, uint32_t block)
{
    block_fetch(search->room, search->need, block);

    int64_t keys[BLOCK] __attribute__((aligned(64)));
    struct mu_room *room = search->room;
    int64_t largest = room->ops->keys(search->need, &room->columns[0], block * BLOCK,
                                      search->mask->bits[0][block], keys);
    room->visits++;
    if (largest < 0 || largest < search->best)
        return largest;
    for (uint64_t equal = room->ops->equal(keys, largest); equal != 0; equal &= equal - 1) {
        uint32_t row = block * BLOCK + (uint32_t)__builtin_ctzll(equal);
        if (largest > search->best || mu_room_wins_tie(room, row, search->row)) {
            search->best = largest;
            search->row = row;
        }
    }
    return largest;
}

static void visit(struct mu_room_search *search, uint32_t level, uint32_t block)
{
    if (level == 0) {
        (void)mu_room_visit_rows(search, block);
        return;
    }
    int64_t keys[BLOCK] __attribute__((aligned(64)));
    struct mu_room *room = search->room;
    const struct mu_scan_ops *ops = room->ops;
    room->visits++;
    int64_t largest = ops->keys(search->need, &room->columns[level], block * BLOCK,
                                search->mask->bits[level][block], keys);
    while (largest >= 0 && largest >= search->best) {
        uint32_t i = (uint32_t)__builtin_ctzll(ops->equal(keys, largest));
        visit(search, level - 1, block * BLOCK + i);
        keys[i] = MU_SCORE_KEY_NONE;
        largest = ops->max(keys);
    }
}

uint32_t mu_room_best(struct mu_room *room, const struct mu_scan_need *need,
                      const struct mu_filter_mask *mask)
{
    MU_ASSERT(room->fresh);
    mu_room_refresh(room);
    struct mu_room_search search = {room, need, mask, MU_SCORE_KEY_NONE, MU_NONE};
    visit(&search, room->level_count - 1, 0);
    return search.row;
}

int64_t mu_room_key(const struct mu_room *room, const struct mu_scan_need *need, uint32_t row)
{
    const struct mu_snapshot *s = room->snapshot;
    for (uint32_t d = 0; d < need->count; d++) {
        if (s->free[need->demands[d].resource][row] < need->demands[d].amount)
            return MU_SCORE_KEY_NONE;
    }
    int64_t key = INT64_MAX;
    for (uint32_t f = 0; f < need->form_count; f++) {
        uint64_t cost = 0;
        for (uint32_t c = 0; c < need->cost_count[f]; c++)
            cost += (uint64_t)mu_score_cost_part(
                need->costs[f][c].units, mu_room_weight(room, f, need->costs[f][c].slot, row),
                need->costs[f][c].limit);
        int64_t here = room->base[f][0][row] - mu_score_cost((int64_t)cost);
        key = here < key ? here : key;
    }
    if (need->pref[0] != NULL)
        key += (int64_t)need->pref[0][row] << MU_SCORE_TIE_BITS;
    if (need->bonus[0] != NULL)
        key += need->bonus[0][row] << MU_SCORE_TIE_BITS;
    return key;
}
