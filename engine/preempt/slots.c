#include "engine/preempt/slots.h"

#include <string.h>

#include "engine/base/assert.h"
#include "engine/place/place.h"

/*
 * A gang of one class that no rule about other pods concerns fits exactly when
 *
 *     S = sum over nodes of how many pods of the class fit there
 *
 * is at least the number of members to place. A unit that leaves raises S on the nodes that it is
 * on, and never lowers it: F is monotone. So one pass that tries to spare each unit of a set that
 * suffices, most important first, ends with a set of which none can be spared.
 *
 * Which set that is depends on the order in which the first one was put together. The order of
 * importance, least important first, gives the set whose most important unit is the least: no
 * budget is violated and no priority touched that need not be. The sums after that may be better
 * in other orders: by weight, by weight for what the unit contributes, and node by node, each time
 * the one whose next slot is cheapest. Then single victims are exchanged for units that are not in
 * the set. The best of all is kept. A few units are searched exhaustively instead.
 *
 * A gang that has to be within one domain of a label is looked at domain by domain.
 */

/* ---- the set ------------------------------------------------------------------------------ */

static int64_t *row_of(const struct mu_slots *s, uint32_t at)
{
    return s->table + (size_t)at * (s->need.count + 1);
}

/* How many pods fit into these amounts, at most as many as are wanted. Mostly none or one do. */
static int64_t slots_in(const struct mu_slots *s, const int64_t *room)
{
    int64_t most = s->want;
    for (uint32_t d = 0; d < s->need.count && most > 0; d++) {
        int64_t amount = s->need.amounts[d], slots = 0;
        if (room[d] >= amount)
            slots = room[d] - amount < amount ? 1 : room[d] / amount;
        most = slots < most ? slots : most;
    }
    return most;
}

static void unit_move(struct mu_slots *s, uint32_t unit, int sign)
{
    const struct mu_slots_part *part = s->parts + s->of[unit].begin,
                               *end = part + s->of[unit].count;
    for (; part < end; part++) {
        int64_t *row = row_of(s, part->at), slots;
        if (s->p->snapshot->devices != NULL && s->rooms[part->at].tracked) {
            mu_row_room_move(s->p, &s->need, &s->rooms[part->at], &s->p->victims.pods[part->pod],
                             sign);
            slots = mu_row_room_slots(&s->need, &s->rooms[part->at], s->want);
        } else {
            const int64_t *amounts = s->kinds + (size_t)part->kind * s->need.count;
            for (uint32_t d = 0; d < s->need.count; d++)
                row[1 + d] += sign * amounts[d];
            slots = slots_in(s, row + 1);
        }
        s->sum += slots - row[0];
        row[0] = slots;
    }
}

void mu_slots_put(struct mu_slots *s, uint32_t unit)
{
    MU_ASSERT(s->p->marks[unit] == 0);
    s->p->marks[unit] = 1;
    unit_move(s, unit, 1);
}

void mu_slots_drop(struct mu_slots *s, uint32_t unit)
{
    MU_ASSERT(s->p->marks[unit] != 0);
    s->p->marks[unit] = 0;
    unit_move(s, unit, -1);
}

/* With a gang goes its surplus. */
static void put_along(struct mu_slots *s, uint32_t unit)
{
    const struct mu_victim_unit *u = &s->p->victims.units[unit];
    if (!mu_slots_has(s, unit))
        mu_slots_put(s, unit);
    for (uint32_t i = 0; (u->flags & MU_VICTIM_WHOLE) != 0 && i < u->surplus_count; i++) {
        uint32_t surplus = u->whole + i;
        if (!mu_slots_has(s, surplus) && mu_victim_below(&s->p->victims.units[surplus], INT32_MAX))
            mu_slots_put(s, surplus);
    }
}

/* Whether the unit has to stay in the set for the sake of its gang. */
static bool is_bound(const struct mu_slots *s, uint32_t unit)
{
    const struct mu_victim_unit *u = &s->p->victims.units[unit];
    return (u->flags & MU_VICTIM_SURPLUS) != 0 && mu_slots_has(s, u->whole);
}

static void clear(struct mu_slots *s)
{
    for (uint32_t i = 0; i < s->count; i++)
        if (mu_slots_has(s, s->units[i]))
            mu_slots_drop(s, s->units[i]);
}

void mu_slots_offer(struct mu_slots *s)
{
    struct mu_preempt_cost cost;
    mu_cost_init(&cost);
    for (uint32_t i = 0; i < s->count; i++)
        if (mu_slots_has(s, s->units[i]))
            mu_cost_add(&cost, &s->p->victims.units[s->units[i]], s->p->violations[s->units[i]]);
    if (s->found && !mu_preempt_cheaper(&cost, &s->best_cost))
        return;
    s->found = true;
    s->best_cost = cost;
    s->best_count = 0;
    for (uint32_t i = 0; i < s->count; i++)
        if (mu_slots_has(s, s->units[i]))
            s->best[s->best_count++] = s->units[i];
}

/* Spare what can be spared, most important first. A surplus member can be once its gang is. */
static void spare(struct mu_slots *s)
{
    for (int pass = 0; pass < 2; pass++) {
        for (uint32_t i = s->count; i-- > 0;) {
            uint32_t unit = s->units[i];
            if (!mu_slots_has(s, unit) || is_bound(s, unit))
                continue;
            mu_slots_drop(s, unit);
            if (s->sum < s->want)
                mu_slots_put(s, unit);
        }
    }
}

/* ---- orders ------------------------------------------------------------------------------- */

static struct mu_unit_key weight_of(const struct mu_slots *s, uint32_t unit)
{
    const struct mu_victim_unit *u = &s->p->victims.units[unit];
    bool violates = s->p->violations[unit] > 0;
    return (struct mu_unit_key){(uint64_t)violates << 63 | (uint64_t)u->weight,
                                (uint32_t)((int64_t)u->priority - INT32_MIN), unit};
}

/* a / b in 2^-16, at most 2^20. The amounts are shifted together until nothing overflows. */
static uint64_t ratio(int64_t a, int64_t b)
{
    unsigned bits = 64 - (unsigned)__builtin_clzll((uint64_t)a | (uint64_t)b | 1);
    unsigned shift = bits > 47 ? bits - 47 : 0;
    uint64_t part = ((uint64_t)a >> shift << 16) / (((uint64_t)b >> shift) | (b >> shift == 0));
    return part < UINT64_C(1) << 20 ? part : UINT64_C(1) << 20;
}

/* What part of a slot the unit contributes, by what is short where it is. */
static uint64_t share_of(const struct mu_slots *s, uint32_t unit)
{
    const struct mu_slots_range of = s->of[unit];
    uint64_t share = 1;
    for (uint32_t i = of.begin; i < of.begin + of.count; i++) {
        const int64_t *room = row_of(s, s->parts[i].at) + 1;
        const int64_t *amounts = s->kinds + (size_t)s->parts[i].kind * s->need.count;
        uint64_t least = UINT64_C(1) << 20;
        for (uint32_t d = 0; d < s->need.count; d++) {
            uint64_t part = ratio(amounts[d], s->need.amounts[d]);
            if (room[d] < s->need.amounts[d] && part < least)
                least = part;
        }
        share += least;
    }
    return share;
}

/* A unit is a pod or the members of one gang. */
_Static_assert(((UINT64_C(1) << 32) * MU_GANG_MEMBERS_MAX) << 14 < UINT64_C(1) << 63,
               "a unit's weight can be divided by its share");
static struct mu_unit_key price_of(const struct mu_slots *s, uint32_t unit)
{
    struct mu_unit_key key = weight_of(s, unit);
    uint64_t weight = key.high & ~(UINT64_C(1) << 63);
    key.high = (key.high & UINT64_C(1) << 63) | (weight << 14) / share_of(s, unit);
    return key;
}

/* Put units in until there are enough, in this order, then spare. */
static void try_order(struct mu_slots *s, const uint32_t *order)
{
    for (uint32_t i = 0; i < s->count && s->sum < s->want; i++)
        put_along(s, order[i]);
    MU_ASSERT(s->sum >= s->want); /* all together do */
    spare(s);
    mu_slots_offer(s);
    clear(s);
}

/* ---- node by node ------------------------------------------------------------------------- */

/* What it takes to have one slot more on a row: its units, least important first, until there is
 * one, less those that can be spared. They are put into the set if `keep`. */
static bool next_slot(struct mu_slots *s, uint32_t at, bool keep, struct mu_preempt_cost *cost)
{
    const struct mu_victims *v = &s->p->victims;
    uint32_t row = s->rooms[at].row, begin = v->row_begin[row], end = v->row_begin[row + 1];
    int64_t before = row_of(s, at)[0];
    uint32_t put[256], count = 0;
    for (int pass = 0; pass < 2; pass++) {
        for (uint32_t i = end; i-- > begin && row_of(s, at)[0] == before && count < 256;) {
            uint32_t unit = v->pods[v->row_pods[i]].unit;
            bool below = mu_victim_below(&v->units[unit], s->gang->row->priority);
            if (!below || mu_slots_has(s, unit) || (s->p->violations[unit] > 0) != (pass == 1))
                continue;
            mu_slots_put(s, unit);
            put[count++] = unit;
        }
    }
    bool done = row_of(s, at)[0] > before;
    mu_cost_init(cost);
    for (uint32_t i = count; i-- > 0;) {
        mu_slots_drop(s, put[i]);
        if (done && row_of(s, at)[0] == before) {
            mu_slots_put(s, put[i]);
            mu_cost_add(cost, &v->units[put[i]], s->p->violations[put[i]]);
        } else {
            put[i] = put[--count];
        }
    }
    for (uint32_t i = 0; !keep && i < count; i++)
        mu_slots_drop(s, put[i]);
    return done;
}

struct offer {
    struct mu_preempt_cost cost;
    uint32_t at;
};

static bool offer_first(const struct offer *a, const struct offer *b)
{
    if (mu_preempt_cheaper(&a->cost, &b->cost))
        return true;
    return !mu_preempt_cheaper(&b->cost, &a->cost) && a->at < b->at;
}

static void offer_sift(struct offer *heap, uint32_t count, uint32_t at)
{
    struct offer moved = heap[at];
    for (uint32_t child; (child = 2 * at + 1) < count; at = child) {
        if (child + 1 < count && offer_first(&heap[child + 1], &heap[child]))
            child++;
        if (!offer_first(&heap[child], &moved))
            break;
        heap[at] = heap[child];
    }
    heap[at] = moved;
}

/* Take the cheapest next slot of all rows, again and again. */
static int try_rows(struct mu_slots *s)
{
    struct offer *heap = mu_arena_alloc(s->p->arena, ((size_t)s->row_count + 1) * sizeof *heap);
    uint32_t count = 0;
    if (heap == NULL)
        return MU_ENOMEM;
    for (uint32_t at = 0; at < s->row_count; at++) {
        heap[count].at = at;
        if (next_slot(s, at, false, &heap[count].cost))
            count++;
    }
    for (uint32_t i = count / 2; i-- > 0;)
        offer_sift(heap, count, i);
    while (count > 0 && s->sum < s->want) {
        struct mu_preempt_cost cost;
        /* Units that span rows can have been taken for another one. */
        bool still = next_slot(s, heap[0].at, false, &cost);
        if (still && !mu_preempt_cheaper(&cost, &heap[0].cost) &&
            !mu_preempt_cheaper(&heap[0].cost, &cost)) {
            (void)next_slot(s, heap[0].at, true, &cost);
            still = next_slot(s, heap[0].at, false, &cost);
        }
        heap[0].cost = cost;
        if (!still)
            heap[0] = heap[--count];
        if (count > 0)
            offer_sift(heap, count, 0);
    }
    if (s->sum >= s->want) {
        for (uint32_t i = 0; i < s->count; i++)
            if (mu_slots_has(s, s->units[i]))
                put_along(s, s->units[i]);
        spare(s);
        mu_slots_offer(s);
    }
    clear(s);
    return 0;
}

/* ---- swaps -------------------------------------------------------------------------------- */

static void put_best(struct mu_slots *s)
{
    for (uint32_t b = 0; b < s->best_count; b++)
        mu_slots_put(s, s->best[b]);
}

/* The set is the best one. Whether it is better with `in` for `out`: it is the best one then too.
 * `added`: room for units. */
static bool swap_try(struct mu_slots *s, uint32_t out, uint32_t in, uint32_t *added)
{
    const struct mu_victims *v = &s->p->victims;
    const struct mu_victim_unit *u = &v->units[in];
    const struct mu_preempt_cost before = s->best_cost;
    uint32_t count = 0;
    mu_slots_drop(s, out);
    mu_slots_put(s, added[count++] = in);
    for (uint32_t i = 0; (u->flags & MU_VICTIM_WHOLE) != 0 && i < u->surplus_count; i++)
        if (!mu_slots_has(s, u->whole + i) && mu_victim_below(&v->units[u->whole + i], INT32_MAX))
            mu_slots_put(s, added[count++] = u->whole + i);
    if (s->sum < s->want) {
        while (count > 0)
            mu_slots_drop(s, added[--count]);
        if (!mu_slots_has(s, out))
            mu_slots_put(s, out);
        return false;
    }
    spare(s);
    mu_slots_offer(s);
    bool better = mu_preempt_cheaper(&s->best_cost, &before);
    if (!better) {
        (void)mu_preempt_step(s->gang, s->count);
        clear(s);
        put_best(s);
    }
    return better;
}

/* Units that are not in the set, as places in the list of them. */
static uint32_t others_list(const struct mu_slots *s, uint32_t *others)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < s->count; i++)
        if (!mu_slots_has(s, s->units[i]))
            others[count++] = i;
    return count;
}

/* Exchange one victim for another unit where that is better, the most important victim first. The
 * set is the best one. */
static int swap(struct mu_slots *s)
{
    uint32_t *others = mu_arena_alloc(s->p->arena, ((size_t)s->count + 1) * sizeof *others);
    uint32_t *added = mu_arena_alloc(s->p->arena, ((size_t)s->count + 1) * sizeof *added);
    if (others == NULL || added == NULL)
        return MU_ENOMEM;
    for (bool better = true; better;) {
        const uint32_t other_count = others_list(s, others);
        better = false;
        for (uint32_t i = s->count; i-- > 0 && !better;) {
            uint32_t out = s->units[i];
            if (!mu_slots_has(s, out) || is_bound(s, out))
                continue;
            for (uint32_t j = 0; j < other_count && others[j] < i && !better; j++) {
                uint32_t in = s->units[others[j]];
                if (!mu_preempt_step(s->gang, 2 + s->p->victims.units[in].count +
                                                  (uint64_t)s->p->victims.units[out].count))
                    return 0;
                better = swap_try(s, out, in, added);
            }
        }
    }
    return 0;
}

/* ---- one set of rows ---------------------------------------------------------------------- */

/* How often the class fits a row that nobody leaves, nor could. */
static int64_t slots_free(const struct mu_slots *s, uint32_t row)
{
    const struct mu_snapshot *snapshot = s->p->snapshot;
    int64_t room[MU_RESOURCES_MAX + 1];
    struct mu_row_room r;
    if (snapshot->devices != NULL && snapshot->devices[row].count > 0) {
        mu_row_room_open(s->p, &s->need, row, room, &r);
        return mu_row_room_slots(&s->need, &r, s->want);
    }
    for (uint32_t d = 0; d < s->need.count; d++) {
        room[d] = snapshot->free[s->need.resources[d]][row];
        if (room[d] < s->need.amounts[d])
            return 0;
    }
    return slots_in(s, room);
}

/* The rows as they are, those that leave gone, and the units that could leave one of them. */
static int rows_open(struct mu_slots *s, const uint32_t *rows, uint32_t count)
{
    const struct mu_victims *v = &s->p->victims;
    const int32_t priority = s->gang->row->priority;
    const uint32_t stride = s->need.count + 1;
    uint32_t wanted = 0;
    for (uint32_t i = 0; i < count; i++)
        wanted += mu_victims_matter(v, rows[i], priority);
    s->row_count = s->count = s->best_count = 0;
    s->sum = 0;
    s->found = false;
    s->rooms = mu_arena_alloc(s->p->arena, ((size_t)wanted + 1) * sizeof *s->rooms);
    s->table = mu_arena_alloc(s->p->arena, ((size_t)wanted + 1) * stride * sizeof *s->table);
    if (s->table == NULL || s->rooms == NULL)
        return MU_ENOMEM;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t at = s->row_count, begin = v->row_begin[rows[i]], end = v->row_begin[rows[i] + 1];
        if (!mu_victims_matter(v, rows[i], priority)) {
            s->sum += slots_free(s, rows[i]);
            continue;
        }
        mu_row_room_open(s->p, &s->need, rows[i], row_of(s, at) + 1, &s->rooms[at]);
        row_of(s, at)[0] = mu_row_room_slots(&s->need, &s->rooms[at], s->want);
        s->sum += row_of(s, at)[0];
        s->index[rows[i]] = s->row_count++;
        for (uint32_t u = begin; u < end; u++) {
            uint32_t unit = v->pods[v->row_pods[u]].unit;
            if (!mu_victim_below(&v->units[unit], priority) || s->p->violations[unit] == UINT32_MAX)
                continue;
            s->p->violations[unit] = UINT32_MAX; /* listed */
            s->units[s->count++] = unit;
        }
    }
    return 0;
}

/* The surplus of gangs that are listed goes along with them, wherever it is. */
static void along_open(struct mu_slots *s)
{
    uint32_t count = s->count;
    for (uint32_t i = 0; i < count; i++) {
        const struct mu_victim_unit *u = &s->p->victims.units[s->units[i]];
        for (uint32_t n = 0; (u->flags & MU_VICTIM_WHOLE) != 0 && n < u->surplus_count; n++) {
            uint32_t surplus = u->whole + n;
            if (s->p->violations[surplus] == UINT32_MAX ||
                !mu_victim_below(&s->p->victims.units[surplus], s->gang->row->priority))
                continue;
            s->p->violations[surplus] = UINT32_MAX;
            s->units[s->count++] = surplus;
        }
    }
}

#define KINDS_KEPT 64u /* a power of two */

/* What each listed unit has on the rows. Pods of one class have the same; of many classes some are
 * written down more than once. */
static int parts_open(struct mu_slots *s)
{
    const struct mu_victims *v = &s->p->victims;
    const struct mu_model *model = s->p->snapshot->model;
    uint32_t kept_class[KINDS_KEPT], kept_kind[KINDS_KEPT], part_count = 0, kind_count = 0;
    size_t pods = 0;
    for (uint32_t i = 0; i < s->count; i++)
        pods += v->units[s->units[i]].count;
    s->parts = mu_arena_alloc(s->p->arena, (pods + 1) * sizeof *s->parts);
    s->kinds = mu_arena_alloc(s->p->arena, (pods + 1) * s->need.count * sizeof *s->kinds);
    if (s->parts == NULL || s->kinds == NULL)
        return MU_ENOMEM;
    memset(kept_class, 0xff, sizeof kept_class);
    for (uint32_t i = 0; i < s->count; i++) {
        const struct mu_victim_unit *u = &v->units[s->units[i]];
        struct mu_slots_range *of = &s->of[s->units[i]];
        of->begin = part_count;
        for (uint32_t pod = u->begin; pod < u->begin + u->count; pod++) {
            uint32_t at = s->index[v->pods[pod].row];
            if (at == MU_NONE)
                continue;
            struct mu_class_ix ix = mu_victim_occupant(v, &v->pods[pod])->class_ix;
            uint32_t k = ix.v % KINDS_KEPT;
            if (kept_class[k] != ix.v) {
                const struct mu_class *class_ = mu_model_get_class(model, ix);
                kept_class[k] = ix.v;
                kept_kind[k] = kind_count++;
                for (uint32_t d = 0; d < s->need.count; d++)
                    s->kinds[(size_t)kept_kind[k] * s->need.count + d] =
                        mu_row_amount(class_, s->need.resources[d]);
            }
            s->parts[part_count++] = (struct mu_slots_part){at, kept_kind[k], pod};
        }
        of->count = part_count - of->begin;
    }
    return 0;
}

/* Orders beyond the first, while the budget lasts. */
static int improve(struct mu_slots *s)
{
    static struct mu_unit_key (*const of[])(const struct mu_slots *, uint32_t) = {weight_of,
                                                                                  price_of};
    uint64_t pods = 0;
    int error = 0;
    for (uint32_t i = 0; i < s->count; i++)
        pods += s->p->victims.units[s->units[i]].count;
    uint32_t *order = mu_arena_alloc(s->p->arena, ((size_t)s->count + 1) * sizeof *order);
    struct mu_unit_key *keys =
        mu_arena_alloc(s->p->arena, ((size_t)s->count + 1) * 2 * sizeof *keys);
    if (order == NULL || keys == NULL)
        return MU_ENOMEM;
    for (uint32_t k = 0; k < 2; k++) {
        if (!mu_preempt_step(s->gang, 4 * pods))
            return 0;
        for (uint32_t i = 0; i < s->count; i++)
            keys[i] = of[k](s, s->units[i]);
        mu_unit_keys_sort(keys, keys + s->count, s->count);
        for (uint32_t i = 0; i < s->count; i++)
            order[i] = keys[i].unit;
        try_order(s, order);
    }
    if (error == 0 && mu_preempt_step(s->gang, 16 * pods))
        error = try_rows(s);
    if (error != 0)
        return error;
    put_best(s);
    error = swap(s);
    clear(s);
    return error;
}

/* The best set for these rows. *enough: those who leave already suffice. */
static int rows_solve(struct mu_slots *s, const uint32_t *rows, uint32_t count, bool *enough)
{
    int error = rows_open(s, rows, count);
    *enough = error == 0 && s->sum >= s->want;
    if (error == 0 && !*enough) {
        along_open(s);
        error = parts_open(s);
    }
    mu_preempt_walk(s->p, count / 16 + 4 * (uint64_t)s->count);
    if (error == 0 && !*enough) {
        error = mu_preempt_order(s->p, s->units, s->count);
    }
    for (uint32_t i = 0; error == 0 && !*enough && i < s->count && s->sum < s->want; i++)
        put_along(s, s->units[i]);
    if (error == 0 && !*enough && s->sum >= s->want) {
        /* The first answer: put in by importance. */
        spare(s);
        mu_slots_offer(s);
        clear(s);
        bool all = s->count <= MU_PREEMPT_EXACT_MAX && mu_slots_exact(s);
        error = all ? 0 : improve(s);
    }
    clear(s);
    for (uint32_t i = 0; i < s->count; i++)
        s->p->violations[s->units[i]] = 0;
    for (uint32_t i = 0; i < count; i++)
        s->index[rows[i]] = MU_NONE;
    return error;
}

/* ---- all ---------------------------------------------------------------------------------- */

/* Rows that the class can use, grouped by the domain that the gang has to be in, if any. `ends`:
 * one past the last row of each group. */
static int rows_list(struct mu_slots *s, uint32_t *rows, uint32_t *ends, uint32_t *groups)
{
    const struct mu_snapshot *snapshot = s->p->snapshot;
    const struct mu_gang_row *gang = s->gang->row;
    const uint32_t *domains = NULL;
    uint32_t count = 0, bound = 1;
    if ((gang->flags & MU_GANG_PACK_REQUIRED) != 0 && gang->pack_key.v != 0) {
        bound = 0;
        for (uint32_t t = 0; t < snapshot->topology_count; t++) {
            if (snapshot->topology_keys[t].v != gang->pack_key.v)
                continue;
            domains = snapshot->topology[t];
            bound = snapshot->domain_bound[t];
        }
    }
    *groups = bound;
    uint32_t *found =
        mu_arena_alloc(s->p->arena, ((size_t)snapshot->node_rows + 1) * sizeof *found);
    if (found == NULL)
        return MU_ENOMEM;
    memset(ends, 0, ((size_t)bound + 1) * sizeof *ends);
    for (uint32_t begin = 0; bound > 0 && begin < snapshot->node_rows; begin += MU_NODE_CHUNK) {
        uint64_t bits;
        int error = mu_place_may(s->gang->ask->place, s->gang->pod, begin, &bits);
        if (error != 0)
            return error;
        for (; bits != 0; bits &= bits - 1) {
            uint32_t row = begin + (uint32_t)__builtin_ctzll(bits);
            if (domains != NULL && domains[row] == MU_NONE)
                continue;
            found[count++] = row;
            ends[domains == NULL ? 0 : domains[row]]++;
        }
    }
    for (uint32_t g = 0, at = 0; g < bound; g++) {
        uint32_t size = ends[g];
        ends[g] = at;
        at += size;
    }
    for (uint32_t i = 0; i < count; i++)
        rows[ends[domains == NULL ? 0 : domains[found[i]]]++] = found[i];
    return 0;
}

static uint32_t groups_max(const struct mu_snapshot *snapshot)
{
    uint32_t most = 1;
    for (uint32_t t = 0; t < snapshot->topology_count; t++)
        most = snapshot->domain_bound[t] > most ? snapshot->domain_bound[t] : most;
    return most;
}

int mu_preempt_slots(struct mu_preempt *p, struct mu_preempt_gang *gang,
                     enum mu_preempt_outcome *outcome)
{
    const uint32_t node_rows = p->snapshot->node_rows;
    struct mu_slots s = {.p = p, .gang = gang, .want = gang->need};
    uint32_t groups = 0, begin = 0;
    *outcome = MU_PREEMPT_NONE;
    mu_row_need_of(p->snapshot, gang->pod.class_ix, &s.need);
    uint32_t *rows = mu_arena_alloc(p->arena, ((size_t)node_rows + 1) * sizeof *rows);
    uint32_t *ends = mu_arena_alloc(p->arena, ((size_t)groups_max(p->snapshot) + 1) * sizeof *ends);
    s.index = mu_arena_alloc(p->arena, ((size_t)node_rows + 1) * sizeof *s.index);
    s.units = mu_arena_alloc(p->arena, ((size_t)p->victims.unit_count + 1) * sizeof *s.units);
    s.best = mu_arena_alloc(p->arena, ((size_t)p->victims.unit_count + 1) * sizeof *s.best);
    s.of = mu_arena_alloc(p->arena, ((size_t)p->victims.unit_count + 1) * sizeof *s.of);
    MU_ASSERT(p->snapshot->nominated_count == 0); /* nobody else's room is kept on any row */
    if (rows == NULL || ends == NULL || s.index == NULL || s.units == NULL || s.best == NULL ||
        s.of == NULL)
        return MU_ENOMEM;
    memset(s.index, 0xff, ((size_t)node_rows + 1) * sizeof *s.index);
    int error = rows_list(&s, rows, ends, &groups);
    for (uint32_t g = 0; g < groups && error == 0; begin = ends[g++]) {
        bool enough = false;
        error = rows_solve(&s, rows + begin, ends[g] - begin, &enough);
        if (error == 0 && enough) {
            *outcome = MU_PREEMPT_WAIT;
            break;
        }
        if (error != 0 || !s.found ||
            (*outcome == MU_PREEMPT_FOUND && !mu_preempt_cheaper(&s.best_cost, &p->cost)))
            continue;
        *outcome = MU_PREEMPT_FOUND;
        p->cost = s.best_cost;
        mu_preempt_choose_none(p);
        for (uint32_t i = 0; i < s.best_count && error == 0; i++)
            error = mu_preempt_choose(p, s.best[i]);
    }
    return error;
}
