#include "engine/preempt_slots.h"

#include <string.h>

#include "engine/base/assert.h"
#include "engine/place_priv.h"

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

static void unit_move(struct mu_slots *s, uint32_t unit, int sign)
{
    const struct mu_victims *v = &s->p->victims;
    const struct mu_victim_unit *u = &v->units[unit];
    for (uint32_t i = u->begin; i < u->begin + u->count; i++) {
        uint32_t at = s->index[v->pods[i].row];
        if (at == MU_NONE)
            continue;
        mu_row_room_move(s->p, &s->need, &s->rooms[at], &v->pods[i], sign);
        int64_t slots = mu_row_room_slots(&s->need, &s->rooms[at], s->want);
        s->sum += slots - s->slots[at];
        s->slots[at] = slots;
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

/* What part of a slot the unit contributes, in 2^-16, by what is short where it is. */
static uint64_t share_of(const struct mu_slots *s, uint32_t unit)
{
    const struct mu_victims *v = &s->p->victims;
    const struct mu_victim_unit *u = &v->units[unit];
    uint64_t share = 1;
    for (uint32_t i = u->begin; i < u->begin + u->count; i++) {
        uint32_t at = s->index[v->pods[i].row];
        uint64_t least = UINT64_C(1) << 20;
        if (at == MU_NONE)
            continue;
        const struct mu_class *class_ =
            mu_model_get_class(s->p->snapshot->model, mu_victim_occupant(v, &v->pods[i])->class_ix);
        for (uint32_t d = 0; d < s->need.count; d++) {
            int64_t amount = mu_row_amount(class_, s->need.resources[d]);
            if (s->rooms[at].room[d] >= s->need.amounts[d])
                continue;
            /* Doubles are exact to a part in 2^52, and only the order of tries is at stake. */
            uint64_t part = (uint64_t)((double)amount / (double)s->need.amounts[d] * 65536.0);
            least = part < least ? part : least;
        }
        share += least;
    }
    return share;
}

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
    int64_t before = s->slots[at];
    uint32_t put[256], count = 0;
    for (int pass = 0; pass < 2; pass++) {
        for (uint32_t i = end; i-- > begin && s->slots[at] == before && count < 256;) {
            uint32_t unit = v->pods[v->row_pods[i]].unit;
            bool below = mu_victim_below(&v->units[unit], s->gang->row->priority);
            if (!below || mu_slots_has(s, unit) || (s->p->violations[unit] > 0) != (pass == 1))
                continue;
            mu_slots_put(s, unit);
            put[count++] = unit;
        }
    }
    bool done = s->slots[at] > before;
    mu_cost_init(cost);
    for (uint32_t i = count; i-- > 0;) {
        mu_slots_drop(s, put[i]);
        if (done && s->slots[at] == before) {
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

/* Exchange one victim for another unit where that is better. The set is the best one. */
static void swap(struct mu_slots *s)
{
    bool better = true;
    while (better) {
        better = false;
        for (uint32_t i = s->count; i-- > 0 && !better;) {
            uint32_t out = s->units[i];
            if (!mu_slots_has(s, out) || is_bound(s, out))
                continue;
            for (uint32_t j = 0; j < i && !better; j++) {
                uint32_t in = s->units[j];
                if (mu_slots_has(s, in))
                    continue;
                if (!mu_preempt_step(s->gang, 2 + s->p->victims.units[in].count +
                                                  (uint64_t)s->p->victims.units[out].count))
                    return;
                struct mu_preempt_cost before = s->best_cost;
                mu_slots_drop(s, out);
                put_along(s, in);
                if (s->sum >= s->want) {
                    spare(s);
                    mu_slots_offer(s);
                    better = mu_preempt_cheaper(&s->best_cost, &before);
                }
                clear(s);
                for (uint32_t b = 0; b < s->best_count; b++)
                    mu_slots_put(s, s->best[b]);
            }
        }
    }
}

/* ---- one set of rows ---------------------------------------------------------------------- */

/* The rows as they are, those that leave gone, and the units that could leave one of them. */
static int rows_open(struct mu_slots *s, const uint32_t *rows, uint32_t count)
{
    const struct mu_victims *v = &s->p->victims;
    int64_t *amounts =
        mu_arena_alloc(s->p->arena, ((size_t)count + 1) * s->need.count * sizeof *amounts);
    s->row_count = s->count = s->best_count = 0;
    s->sum = 0;
    s->found = false;
    s->rooms = mu_arena_alloc(s->p->arena, ((size_t)count + 1) * sizeof *s->rooms);
    s->slots = mu_arena_alloc(s->p->arena, ((size_t)count + 1) * sizeof *s->slots);
    if (amounts == NULL || s->rooms == NULL || s->slots == NULL)
        return MU_ENOMEM;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t at = s->row_count, begin = v->row_begin[rows[i]], end = v->row_begin[rows[i] + 1];
        mu_row_room_open(s->p, &s->need, rows[i], amounts + (size_t)at * s->need.count,
                         &s->rooms[at]);
        s->slots[at] = mu_row_room_slots(&s->need, &s->rooms[at], s->want);
        s->sum += s->slots[at];
        if (begin == end)
            continue;
        s->index[rows[i]] = s->row_count++;
        for (uint32_t u = begin; u < end; u++) {
            uint32_t unit = v->pods[v->row_pods[u]].unit;
            if (!mu_victim_below(&v->units[unit], s->gang->row->priority) ||
                s->p->violations[unit] == UINT32_MAX)
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
    for (uint32_t b = 0; b < s->best_count && error == 0; b++)
        mu_slots_put(s, s->best[b]);
    if (error == 0)
        swap(s);
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
            if ((domains != NULL && domains[row] == MU_NONE) ||
                mu_nominated_to(s->gang->ask->place, row))
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
    if (rows == NULL || ends == NULL || s.index == NULL || s.units == NULL || s.best == NULL)
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
