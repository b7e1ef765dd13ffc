#include "engine/room.h"

#include <string.h>

#include "engine/base/assert.h"
#include "engine/base/mem.h"

#define STALE_BASE (UINT64_C(1) << 63)
#define BLOCK      MU_NODE_CHUNK

_Static_assert(MU_RESOURCES_MAX < 63, "bit 63 is the node term");
_Static_assert((MU_ROOM_LOG & (MU_ROOM_LOG - 1)) == 0, "used as a mask");

static uint32_t blocks_of(uint32_t entries)
{
    return (entries + BLOCK - 1) / BLOCK;
}

/* ---- lifetime ----------------------------------------------------------------------------- */

void mu_room_init(struct mu_room *room, const struct mu_scan_ops *ops, enum mu_score_policy policy)
{
    memset(room, 0, sizeof *room);
    room->ops = ops;
    room->policy = policy;
}

static void levels_free(struct mu_room *room)
{
    for (uint32_t l = 0; l < MU_LEVELS_MAX; l++) {
        mu_mem_free(room->base[l]);
        mu_mem_free(room->weight_cpu[l]);
        mu_mem_free(room->weight_memory[l]);
        room->base[l] = room->weight_cpu[l] = room->weight_memory[l] = NULL;
        for (uint32_t r = 0; r < MU_RESOURCES_MAX; r++) {
            mu_mem_free(room->free[l][r]);
            room->free[l][r] = NULL;
        }
        room->cap[l] = 0;
    }
    mu_mem_free(room->tie_key);
    mu_mem_free(room->stale);
    mu_mem_free(room->stale_blocks);
    room->tie_key = NULL;
    room->stale = NULL;
    room->stale_blocks = NULL;
}

void mu_room_drop(struct mu_room *room)
{
    room->model = NULL;
    room->fresh = false;
    room->ready = 0;
    room->epoch++;
}

void mu_room_fini(struct mu_room *room)
{
    levels_free(room);
    mu_room_drop(room);
}

void mu_room_begin(struct mu_room *room, struct mu_snapshot *snapshot)
{
    MU_ASSERT(snapshot->node_cap % BLOCK == 0 && snapshot->node_rows <= snapshot->node_cap);
    room->snapshot = snapshot;
    for (uint32_t r = 0; r < MU_RESOURCES_MAX; r++)
        room->columns[0].free[r] = snapshot->free[r];
    if (room->model != snapshot->model || room->static_generation != snapshot->static_generation ||
        room->rows != snapshot->node_rows)
        room->model = NULL; /* static columns and all that follows from them */
    if (room->model == NULL || room->generation != snapshot->generation) {
        room->fresh = false;
        room->ready = 0;
    }
}

/* ---- static columns ----------------------------------------------------------------------- */

static int64_t *column_alloc(uint32_t entries)
{
    return mu_mem_zalloc_aligned(64, (size_t)entries * sizeof(int64_t));
}

/* Allocate all levels for `rows` rows, with room to grow by a quarter. On failure nothing is
 * allocated. */
static int levels_alloc(struct mu_room *room, uint32_t rows)
{
    levels_free(room);
    uint64_t wanted = (uint64_t)rows + rows / 4;
    uint32_t entries = wanted < MU_NODES_MAX ? (uint32_t)wanted : MU_NODES_MAX;
    bool complete = true;
    for (uint32_t l = 0; l < MU_LEVELS_MAX && complete; l++) {
        uint32_t blocks = blocks_of(entries > 0 ? entries : 1);
        room->base[l] = column_alloc(blocks * BLOCK);
        room->weight_cpu[l] = column_alloc(blocks * BLOCK);
        room->weight_memory[l] = column_alloc(blocks * BLOCK);
        complete =
            room->base[l] != NULL && room->weight_cpu[l] != NULL && room->weight_memory[l] != NULL;
        room->cap[l] = blocks * BLOCK;
        entries = blocks;
    }
    if (complete) {
        room->tie_key = column_alloc(room->cap[0]);
        room->stale = mu_mem_calloc(room->cap[0] / BLOCK, sizeof *room->stale);
        room->stale_blocks = mu_mem_calloc(room->cap[0] / BLOCK, sizeof *room->stale_blocks);
        complete = room->tie_key != NULL && room->stale != NULL && room->stale_blocks != NULL;
    }
    if (!complete) {
        levels_free(room);
        return MU_ENOMEM;
    }
    return 0;
}

/* A hole's weight leaves the summary of its block alone. */
static int64_t weight_neutral(const struct mu_room *room)
{
    return room->policy == MU_SCORE_SPREAD ? INT64_MAX : 0;
}

static void static_rows(struct mu_room *room)
{
    const struct mu_snapshot *s = room->snapshot;
    int64_t neutral = weight_neutral(room);
    /* Neighbours mostly have equal capacity: divide once per run. */
    int64_t last_cpu = 0, last_memory = 0, weight_cpu = 0, weight_memory = 0;
    for (uint32_t row = 0; row < room->cap[0]; row++) {
        if (row >= room->rows || (s->nodes[row].flags & MU_NODE_PRESENT) == 0) {
            room->tie_key[row] = -1;
            room->weight_cpu[0][row] = room->weight_memory[0][row] = neutral;
            continue;
        }
        int64_t cpu = s->alloc[MU_RES_CPU][row], memory = s->alloc[MU_RES_MEMORY][row];
        if (cpu != last_cpu)
            weight_cpu = mu_score_weight(cpu >> MU_SCORE_SHIFT_CPU);
        if (memory != last_memory)
            weight_memory = mu_score_weight(memory >> MU_SCORE_SHIFT_MEMORY);
        last_cpu = cpu;
        last_memory = memory;
        room->tie_key[row] = mu_score_tie_key(s->nodes[row].tie);
        room->weight_cpu[0][row] = weight_cpu;
        room->weight_memory[0][row] = weight_memory;
    }
}

static int static_prepare(struct mu_room *room)
{
    const struct mu_snapshot *s = room->snapshot;
    if (s->node_rows > room->cap[0] || room->cap[0] == 0) {
        int error = levels_alloc(room, s->node_rows);
        if (error != 0)
            return error;
    }
    room->rows = s->node_rows;
    room->level_count = 0;
    for (uint32_t entries = room->rows;; entries = blocks_of(entries)) {
        MU_ASSERT(room->level_count < MU_LEVELS_MAX);
        room->count[room->level_count++] = entries;
        if (entries <= BLOCK)
            break;
    }
    static_rows(room);
    bool spread = room->policy == MU_SCORE_SPREAD;
    int64_t (*bound)(const int64_t *) = spread ? room->ops->min : room->ops->max;
    for (uint32_t l = 0; l < room->level_count; l++) {
        room->columns[l].base = room->base[l];
        room->columns[l].weight_cpu = room->weight_cpu[l];
        room->columns[l].weight_memory = room->weight_memory[l];
        for (uint32_t e = 0; l > 0 && e < room->cap[l]; e++) {
            bool inside = e < room->count[l];
            room->weight_cpu[l][e] =
                inside ? bound(room->weight_cpu[l - 1] + e * BLOCK) : weight_neutral(room);
            room->weight_memory[l][e] =
                inside ? bound(room->weight_memory[l - 1] + e * BLOCK) : weight_neutral(room);
        }
    }
    room->model = s->model;
    room->static_generation = s->static_generation;
    return 0;
}

/* ---- columns that follow the free amounts -------------------------------------------------- */

static void sum_up(struct mu_room *room, const int64_t *below, int64_t *above, uint32_t l)
{
    for (uint32_t e = 0; e < room->count[l]; e++)
        above[e] = room->ops->max(below + e * BLOCK);
}

static void bases_prepare(struct mu_room *room)
{
    const struct mu_snapshot *s = room->snapshot;
    struct mu_scan_room inputs = {
        .free_cpu = s->free[MU_RES_CPU],
        .free_memory = s->free[MU_RES_MEMORY],
        .alloc_cpu = s->alloc[MU_RES_CPU],
        .alloc_memory = s->alloc[MU_RES_MEMORY],
        .weight_cpu = room->weight_cpu[0],
        .weight_memory = room->weight_memory[0],
        .tie_key = room->tie_key,
        .pack = room->policy == MU_SCORE_PACK,
    };
    for (uint32_t begin = 0; begin < room->rows; begin += BLOCK)
        room->ops->bases(&inputs, begin, room->base[0] + begin);
    for (uint32_t l = 1; l < room->level_count; l++)
        sum_up(room, room->base[l - 1], room->base[l], l);
    for (uint32_t i = 0; i < room->stale_count; i++)
        room->stale[room->stale_blocks[i]] = 0;
    room->stale_count = 0;
    room->generation = s->generation;
    room->fresh = true;
    room->ready = 0;
    room->epoch++;
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
    if (room->model == NULL) {
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

/* ---- changes ------------------------------------------------------------------------------ */

static int64_t base_of(const struct mu_room *room, uint32_t row)
{
    const struct mu_snapshot *s = room->snapshot;
    uint64_t parts = mu_score_room_part(s->free[MU_RES_CPU][row], s->alloc[MU_RES_CPU][row],
                                        MU_SCORE_SHIFT_CPU, room->weight_cpu[0][row]) +
                     mu_score_room_part(s->free[MU_RES_MEMORY][row], s->alloc[MU_RES_MEMORY][row],
                                        MU_SCORE_SHIFT_MEMORY, room->weight_memory[0][row]);
    return mu_score_base(room->policy, parts, room->tie_key[row]);
}

void mu_room_change(struct mu_room *room, const struct mu_scan_need *need, uint32_t row, int sign)
{
    MU_ASSERT(room->fresh && row < room->rows);
    struct mu_snapshot *s = room->snapshot;
    uint64_t touched = STALE_BASE;
    for (uint32_t d = 0; d < need->count; d++) {
        int64_t *amount = &s->free[need->demands[d].resource][row];
        *amount -= sign * need->demands[d].amount;
        touched |= UINT64_C(1) << need->demands[d].resource;
    }
    room->base[0][row] = base_of(room, row);
    uint64_t *stale = &room->stale[row / BLOCK];
    if (*stale == 0)
        room->stale_blocks[room->stale_count++] = row / BLOCK;
    *stale |= touched;
    room->log[room->changes++ & (MU_ROOM_LOG - 1)] = row;
}

/* Sum up the marked blocks again. A resource without summaries is left for resource_prepare(). */
static void refresh(struct mu_room *room)
{
    for (uint32_t i = 0; i < room->stale_count; i++) {
        uint32_t entry = room->stale_blocks[i];
        uint64_t touched = room->stale[entry];
        room->stale[entry] = 0;
        for (uint32_t l = 1; l < room->level_count; l++, entry /= BLOCK) {
            room->base[l][entry] = room->ops->max(room->base[l - 1] + entry * BLOCK);
            for (uint64_t rest = touched & room->ready; rest != 0; rest &= rest - 1) {
                uint32_t r = (uint32_t)__builtin_ctzll(rest);
                room->free[l][r][entry] =
                    room->ops->max(room->columns[l - 1].free[r] + entry * BLOCK);
            }
        }
    }
    room->stale_count = 0;
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

struct search {
    struct mu_room *room;
    const struct mu_scan_need *need;
    const struct mu_filter_mask *mask;
    int64_t best; /* key of `row`, or none */
    uint32_t row;
};

static void visit(struct search *search, uint32_t level, uint32_t block)
{
    int64_t keys[BLOCK] __attribute__((aligned(64)));
    struct mu_room *room = search->room;
    const struct mu_scan_ops *ops = room->ops;
    uint64_t mask = search->mask->bits[level][block];
    int64_t largest = ops->keys(search->need, &room->columns[level], block * BLOCK, mask, keys);
    if (level > 0) {
        while (largest >= 0 && largest >= search->best) {
            uint32_t i = (uint32_t)__builtin_ctzll(ops->equal(keys, largest));
            visit(search, level - 1, block * BLOCK + i);
            keys[i] = MU_SCORE_KEY_NONE;
            largest = ops->max(keys);
        }
        return;
    }
    if (largest < 0 || largest < search->best)
        return;
    for (uint64_t equal = ops->equal(keys, largest); equal != 0; equal &= equal - 1) {
        uint32_t row = block * BLOCK + (uint32_t)__builtin_ctzll(equal);
        if (largest > search->best || mu_room_wins_tie(room, row, search->row)) {
            search->best = largest;
            search->row = row;
        }
    }
}

uint32_t mu_room_best(struct mu_room *room, const struct mu_scan_need *need,
                      const struct mu_filter_mask *mask)
{
    MU_ASSERT(room->fresh);
    refresh(room);
    struct search search = {room, need, mask, MU_SCORE_KEY_NONE, MU_NONE};
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
    uint64_t cost = (uint64_t)need->units_cpu * (uint64_t)room->weight_cpu[0][row] +
                    (uint64_t)need->units_memory * (uint64_t)room->weight_memory[0][row];
    cost = cost >> MU_SCORE_SUM_SHIFT << MU_SCORE_TIE_BITS;
    uint64_t sign = (uint64_t)need->sign;
    return (int64_t)((uint64_t)room->base[0][row] + ((cost ^ sign) - sign));
}
