#include "engine/preempt/preempt_priv.h"

#include <string.h>

#include "engine/base/assert.h"
#include "engine/base/mem.h"

/*
 * One pod: the victims of each node by itself, and the best node. Source: kube-scheduler's
 * DefaultPreemption (SelectVictimsOnNode, pickOneNodeForPreemption), with units for pods.
 *
 * Where neither rules about other pods nor nominated ones have a say, a node is judged in numbers
 * (engine/preempt/row.c), and nodes are kept in a heap, best first, for the rest of the session.
 * What happens in a session makes nodes worse, never better: placements take room, victims that
 * are taken use up budgets. So a node may be worse than its place says: it is judged again when it
 * comes first, and goes back if it is. Nodes that victims leave can become better; they are on a
 * list, and those are judged again before anything is looked at.
 *
 * Else each node is judged by placing: units leave in a trial and come back one by one, and the
 * filters say whether the pod passes. As in kube-scheduler a node is left out when what refuses the
 * pod there is nothing that a pod's leaving could change.
 */

/* ---- the units of a row ------------------------------------------------------------------- */

/* List the units that could leave the row for such a priority, most important first, and how many
 * violations each would be. */
static int units_list(struct mu_preempt *p, uint32_t row, int32_t priority)
{
    struct mu_victims *v = &p->victims;
    uint32_t begin = v->row_begin[row], end = v->row_begin[row + 1];
    void *array = p->row_units;
    if (mu_mem_grow(&array, &p->row_unit_cap, end - begin + 1, MU_PODS_MAX, sizeof *p->row_units) !=
        0)
        return MU_ENOMEM;
    p->row_units = array;
    p->row_unit_count = 0;
    for (uint32_t i = begin; i < end; i++) {
        uint32_t unit = v->pods[v->row_pods[i]].unit;
        struct mu_row_unit *last = p->row_units + p->row_unit_count - 1;
        if (p->row_unit_count > 0 && last->unit == unit && last->end == i)
            last->end = i + 1;
        else if (mu_victim_below(&v->units[unit], priority))
            p->row_units[p->row_unit_count++] =
                (struct mu_row_unit){.unit = unit, .begin = i, .end = i + 1};
    }
    for (uint32_t u = 0; v->snapshot->budget_count > 0 && u < p->row_unit_count; u++)
        p->row_units[u].violations = mu_victims_classify(v, p->row_units[u].unit);
    mu_victims_classified(v);
    return 0;
}

/* The violations of a unit of the row; 0 for one that is elsewhere. */
static uint32_t violations_here(const struct mu_preempt *p, uint32_t unit)
{
    for (uint32_t i = 0; i < p->row_unit_count; i++)
        if (p->row_units[i].unit == unit)
            return p->row_units[i].violations;
    return 0;
}

/* Whether the unit leaves anyway, with the gang that is listed as a victim. */
static bool is_taken_along(const struct mu_preempt *p, const struct mu_row_unit *u)
{
    const struct mu_victim_unit *unit = &p->victims.units[u->unit];
    if ((unit->flags & MU_VICTIM_SURPLUS) == 0)
        return false;
    for (uint32_t i = 0; i < p->row_unit_count; i++)
        if (p->row_units[i].unit == unit->whole && p->row_units[i].victim)
            return true;
    return false;
}

/* The cost of the victims, with those that they take along. */
static void units_cost(const struct mu_preempt *p, struct mu_preempt_cost *cost)
{
    const struct mu_victims *v = &p->victims;
    mu_cost_init(cost);
    for (uint32_t i = 0; i < p->row_unit_count; i++) {
        const struct mu_row_unit *u = &p->row_units[i];
        const struct mu_victim_unit *unit = &v->units[u->unit];
        if (!u->victim || is_taken_along(p, u))
            continue;
        mu_cost_add(cost, unit, u->violations);
        for (uint32_t s = 0; (unit->flags & MU_VICTIM_WHOLE) != 0 && s < unit->surplus_count; s++)
            if (mu_victim_below(&v->units[unit->whole + s], INT32_MAX))
                mu_cost_add(cost, &v->units[unit->whole + s], violations_here(p, unit->whole + s));
    }
}

static int units_choose(struct mu_preempt *p)
{
    int error = 0;
    mu_preempt_choose_none(p);
    for (uint32_t i = 0; i < p->row_unit_count && error == 0; i++)
        if (p->row_units[i].victim && !is_taken_along(p, &p->row_units[i]))
            error = mu_preempt_choose(p, p->row_units[i].unit);
    return error;
}

/* ---- in numbers --------------------------------------------------------------------------- */

static void row_unit_move(const struct mu_preempt *p, const struct mu_row_need *need,
                          struct mu_row_room *r, const struct mu_row_unit *u, int sign)
{
    for (uint32_t i = u->begin; i < u->end; i++)
        mu_row_room_move(p, need, r, &p->victims.pods[p->victims.row_pods[i]], sign);
}

/* Spare the victims that the pod fits with, those that violate a budget first. */
static void reprieve(struct mu_preempt *p, const struct mu_row_need *need, struct mu_row_room *r)
{
    for (int pass = 0; pass < 2; pass++) {
        for (uint32_t i = 0; i < p->row_unit_count; i++) {
            struct mu_row_unit *u = &p->row_units[i];
            if ((u->violations > 0) != (pass == 0) || !u->victim || is_taken_along(p, u))
                continue;
            row_unit_move(p, need, r, u, -1);
            u->victim = mu_row_room_slots(need, r, 1) == 0;
            if (u->victim)
                row_unit_move(p, need, r, u, 1);
        }
    }
}

/* What it costs to make room for one pod on the row. *fits: it can be made; p->row_units says by
 * whom. Cost: O(pods of the row * demands). */
static int row_judge(struct mu_preempt *p, const struct mu_row_need *need, int32_t priority,
                     uint32_t row, bool *fits, struct mu_preempt_cost *cost)
{
    int64_t room[MU_RESOURCES_MAX + 1];
    struct mu_row_room r;
    p->counts.rows_judged++;
    mu_preempt_walk(p, 1 + p->victims.row_begin[row + 1] - p->victims.row_begin[row]);
    mu_cost_init(cost);
    mu_row_room_open(p, need, row, room, &r);
    p->row_unit_count = 0;
    *fits = mu_row_room_slots(need, &r, 1) > 0;
    if (*fits)
        return 0;
    int error = units_list(p, row, priority);
    for (uint32_t i = 0; i < p->row_unit_count && error == 0; i++) {
        p->row_units[i].victim = true;
        row_unit_move(p, need, &r, &p->row_units[i], 1);
    }
    *fits = error == 0 && mu_row_room_slots(need, &r, 1) > 0;
    if (!*fits)
        return error;
    /* A gang that is spared at last leaves its surplus to be spared as well. */
    reprieve(p, need, &r);
    reprieve(p, need, &r);
    units_cost(p, cost);
    return 0;
}

/* ---- the heap ----------------------------------------------------------------------------- */

/* As mu_preempt_cheaper() compares: the lower the better. */
static struct mu_lone_row lone_row(const struct mu_preempt *p, const struct mu_preempt_cost *cost,
                                   uint32_t row, uint32_t stamp)
{
    MU_ASSERT(cost->weight >= 0);
    return (struct mu_lone_row){
        .key = {(uint64_t)cost->violations << 32 | (uint32_t)((int64_t)cost->priority - INT32_MIN),
                (uint64_t)cost->weight, (uint64_t)cost->pods << 32 | (UINT32_MAX - cost->started),
                (uint64_t)p->snapshot->nodes[row].tie << 32 | row},
        .stamp = stamp};
}

static uint32_t row_of(const struct mu_lone_row *entry)
{
    return (uint32_t)entry->key[MU_LONE_COST_WORDS];
}

static bool comes_first(const struct mu_lone_row *a, const struct mu_lone_row *b)
{
    uint32_t i = 0;
    while (i < MU_LONE_COST_WORDS && a->key[i] == b->key[i])
        i++;
    return a->key[i] < b->key[i];
}

static void sift_down(struct mu_lone_heap *heap, uint32_t at)
{
    struct mu_lone_row moved = heap->rows[at];
    for (;;) {
        uint32_t child = 2 * at + 1;
        if (child >= heap->count)
            break;
        if (child + 1 < heap->count && comes_first(&heap->rows[child + 1], &heap->rows[child]))
            child++;
        if (!comes_first(&heap->rows[child], &moved))
            break;
        heap->rows[at] = heap->rows[child];
        at = child;
    }
    heap->rows[at] = moved;
}

static int heap_push(struct mu_lone_heap *heap, struct mu_lone_row row)
{
    void *array = heap->rows;
    if (mu_mem_grow(&array, &heap->cap, heap->count + 1, 4 * MU_NODES_MAX, sizeof *heap->rows) != 0)
        return MU_ENOMEM;
    heap->rows = array;
    uint32_t at = heap->count++;
    for (; at > 0 && comes_first(&row, &heap->rows[(at - 1) / 2]); at = (at - 1) / 2)
        heap->rows[at] = heap->rows[(at - 1) / 2];
    heap->rows[at] = row;
    return 0;
}

static void heap_pop(struct mu_lone_heap *heap)
{
    heap->rows[0] = heap->rows[--heap->count];
    if (heap->count > 0)
        sift_down(heap, 0);
}

/* Judge a row, and put it into the heap if it is a candidate. */
static int heap_add(struct mu_preempt *p, struct mu_lone_heap *heap, const struct mu_row_need *need,
                    uint32_t row)
{
    struct mu_preempt_cost cost;
    bool fits;
    int error = row_judge(p, need, heap->priority, row, &fits, &cost);
    if (error != 0 || !fits)
        return error;
    return heap_push(heap, lone_row(p, &cost, row, heap->stamps[row]));
}

/* All rows that no static rule refuses, and that somebody leaves or could: on others the pod has
 * been found not to fit. */
static int heap_fill(struct mu_preempt *p, const struct mu_preempt_gang *gang,
                     struct mu_lone_heap *heap, const struct mu_row_need *need)
{
    void *array = heap->stamps;
    if (mu_mem_grow(&array, &heap->row_cap, p->snapshot->node_rows, MU_NODES_MAX,
                    sizeof *heap->stamps) != 0)
        return MU_ENOMEM;
    heap->stamps = array;
    memset(heap->stamps, 0, p->snapshot->node_rows * sizeof *heap->stamps);
    heap->count = 0;
    heap->seen = p->touched_count;
    for (uint32_t begin = 0; begin < p->snapshot->node_rows; begin += MU_NODE_CHUNK) {
        uint64_t bits;
        int error = mu_place_may(gang->ask->place, gang->pod, begin, &bits);
        mu_preempt_walk(p, 4);
        for (; error == 0 && bits != 0; bits &= bits - 1) {
            uint32_t row = begin + (uint32_t)__builtin_ctzll(bits);
            if (mu_victims_matter(&p->victims, row, heap->priority))
                error = heap_add(p, heap, need, row);
        }
        if (error != 0)
            return error;
    }
    return 0;
}

/* The heap for this class and priority, that of whoever was asked for longest ago if there is none
 * yet; brought up to date. */
static int heap_get(struct mu_preempt *p, const struct mu_preempt_gang *gang,
                    const struct mu_row_need *need, struct mu_lone_heap **out)
{
    struct mu_lone_heap *heap = &p->heaps[0];
    for (uint32_t h = 0; h < MU_PREEMPT_HEAPS; h++) {
        struct mu_lone_heap *one = &p->heaps[h];
        bool same = one->session == p->session && one->class_ix == gang->pod.class_ix.v &&
                    one->class_id == need->class_->id && one->priority == gang->row->priority;
        if (same || one->used < heap->used)
            heap = one;
        if (same)
            break;
    }
    *out = heap;
    heap->used = ++p->heap_clock;
    int error = 0;
    bool known = heap->session == p->session && heap->class_ix == gang->pod.class_ix.v &&
                 heap->class_id == need->class_->id && heap->priority == gang->row->priority;
    if (!known) {
        heap->session = 0;
        heap->class_ix = gang->pod.class_ix.v;
        heap->class_id = need->class_->id;
        heap->priority = gang->row->priority;
        error = heap_fill(p, gang, heap, need);
    }
    while (error == 0 && heap->seen < p->touched_count) {
        uint32_t row = p->touched[heap->seen];
        uint64_t bits;
        heap->stamps[row]++;
        error =
            mu_place_may(gang->ask->place, gang->pod, row / MU_NODE_CHUNK * MU_NODE_CHUNK, &bits);
        if (error == 0 && (bits >> row % MU_NODE_CHUNK & 1) != 0)
            error = heap_add(p, heap, need, row);
        heap->seen++;
    }
    heap->session = error == 0 ? p->session : 0; /* what has failed halfway starts anew */
    return error;
}

bool mu_preempt_lone_none(struct mu_preempt *p, const struct mu_preempt_gang *gang,
                          uint32_t touched)
{
    struct mu_row_need need;
    struct mu_preempt_cost cost;
    bool fits = false;
    int error = 0;
    mu_row_need_of(p->snapshot, gang->pod.class_ix, &need);
    for (uint32_t i = touched; i < p->touched_count && !fits && error == 0; i++) {
        uint32_t row = p->touched[i];
        uint64_t bits;
        error =
            mu_place_may(gang->ask->place, gang->pod, row / MU_NODE_CHUNK * MU_NODE_CHUNK, &bits);
        if (error == 0 && (bits >> row % MU_NODE_CHUNK & 1) != 0)
            error = row_judge(p, &need, gang->row->priority, row, &fits, &cost);
    }
    return error == 0 && !fits;
}

/* The best row, judged as it is now. */
static int by_numbers(struct mu_preempt *p, struct mu_preempt_gang *gang,
                      enum mu_preempt_outcome *outcome, uint32_t *row)
{
    struct mu_row_need need;
    struct mu_lone_heap *heap;
    mu_row_need_of(p->snapshot, gang->pod.class_ix, &need);
    int error = heap_get(p, gang, &need, &heap);
    *outcome = MU_PREEMPT_NONE;
    while (error == 0 && heap->count > 0) {
        const struct mu_lone_row first = heap->rows[0];
        const uint32_t at = row_of(&first);
        struct mu_preempt_cost cost;
        bool fits;
        if (first.stamp != heap->stamps[at]) {
            heap_pop(heap);
            continue;
        }
        error = row_judge(p, &need, heap->priority, at, &fits, &cost);
        if (error != 0)
            break;
        if (!fits) {
            heap_pop(heap);
            continue;
        }
        heap->rows[0] = lone_row(p, &cost, at, first.stamp);
        if (comes_first(&first, &heap->rows[0])) {
            sift_down(heap, 0);
            continue;
        }
        *row = at;
        p->cost = cost;
        *outcome = cost.pods == 0 ? MU_PREEMPT_WAIT : MU_PREEMPT_FOUND;
        return units_choose(p);
    }
    return error;
}

/* ---- by placing --------------------------------------------------------------------------- */

static int passes(const struct mu_preempt_gang *gang, uint32_t row, struct mu_verdict *verdict)
{
    return mu_place_verdict(gang->ask->place, gang->pod, (struct mu_node_ix){row}, verdict);
}

/* A unit is back where it was, in the open trial. */
static int unit_return(struct mu_preempt *p, struct mu_place *place, uint32_t unit)
{
    const struct mu_victims *v = &p->victims;
    const struct mu_victim_unit *u = &v->units[unit];
    int error = 0;
    for (uint32_t i = u->begin; i < u->begin + u->count && error == 0; i++)
        error = mu_place_return(place, (struct mu_node_ix){v->pods[i].row},
                                mu_victim_occupant(v, &v->pods[i]));
    return error;
}

/* All units of the row are gone: bring back those that the pod passes with. */
static int reprieve_by_placing(struct mu_preempt *p, const struct mu_preempt_gang *gang,
                               uint32_t row)
{
    int error = 0;
    for (int pass = 0; pass < 2; pass++) {
        for (uint32_t i = 0; i < p->row_unit_count && error == 0; i++) {
            struct mu_row_unit *u = &p->row_units[i];
            struct mu_verdict verdict;
            if ((u->violations > 0) != (pass == 0) || !u->victim || is_taken_along(p, u))
                continue;
            error = unit_return(p, gang->ask->place, u->unit);
            if (error == 0)
                error = passes(gang, row, &verdict);
            if (error == 0)
                u->victim = verdict.kind != MU_FITS;
            if (error == 0 && u->victim)
                error = mu_preempt_evict_unit(p, gang->ask->place, u->unit);
        }
    }
    return error;
}

/* The same as row_judge(), in a trial that the caller rolls back. */
static int row_try(struct mu_preempt *p, struct mu_preempt_gang *gang, uint32_t row, bool *fits,
                   struct mu_preempt_cost *cost)
{
    struct mu_place *place = gang->ask->place;
    struct mu_verdict verdict;
    int error = passes(gang, row, &verdict);
    *fits = false;
    mu_cost_init(cost);
    p->row_unit_count = 0;
    if (error != 0 || !mu_verdict_may_preempt(verdict.kind))
        return error;
    error = units_list(p, row, gang->row->priority);
    for (uint32_t i = 0; i < p->row_unit_count && error == 0; i++) {
        p->row_units[i].victim = true;
        error = mu_preempt_evict_unit(p, place, p->row_units[i].unit);
    }
    if (error == 0)
        error = passes(gang, row, &verdict);
    *fits = error == 0 && verdict.kind == MU_FITS && p->row_unit_count > 0;
    if (*fits)
        error = reprieve_by_placing(p, gang, row);
    units_cost(p, cost);
    /* What leaves already is not enough (it was tried), so somebody is left. */
    *fits = *fits && cost->pods > 0;
    return error;
}

/* What the row costs, by placing; rows that do not have the amounts are not tried. */
static int row_look(struct mu_preempt *p, struct mu_preempt_gang *gang,
                    const struct mu_row_need *need, uint32_t row, bool *fits,
                    struct mu_preempt_cost *cost)
{
    uint64_t bits = 0;
    *fits = false;
    if (!mu_victims_matter(&p->victims, row, gang->row->priority))
        return 0;
    int error =
        mu_place_may(gang->ask->place, gang->pod, row / MU_NODE_CHUNK * MU_NODE_CHUNK, &bits);
    if (error == 0 && (bits >> row % MU_NODE_CHUNK & 1) != 0)
        error = row_judge(p, need, gang->row->priority, row, fits, cost);
    if (error != 0 || !*fits)
        return error;
    *fits = false;
    uint32_t pods = p->victims.row_begin[row + 1] - p->victims.row_begin[row];
    p->ran_out = !mu_preempt_step(gang, 4 + 4 * (uint64_t)pods);
    if (p->ran_out)
        return 0;
    mu_place_trial(gang->ask->place);
    error = row_try(p, gang, row, fits, cost);
    mu_place_rollback(gang->ask->place);
    return error;
}

/* The best of all rows. Those who leave already are gone in the trial around this. A search that
 * runs out of steps with nobody found goes on from there the next time. */
static int rows_try(struct mu_preempt *p, struct mu_preempt_gang *gang,
                    enum mu_preempt_outcome *outcome, uint32_t *best)
{
    struct mu_row_need need;
    struct mu_lone_row first = {.stamp = 0};
    struct mu_preempt_memo *memo = mu_preempt_memo(p, gang);
    bool goes_on = memo != NULL && !memo->none && memo->generation == gang->row->generation &&
                   memo->resume < p->snapshot->node_rows;
    uint32_t row = goes_on ? memo->resume : 0;
    int error = 0;
    *best = MU_NONE;
    mu_row_need_of(p->snapshot, gang->pod.class_ix, &need);
    for (; row < p->snapshot->node_rows && error == 0; row++) {
        struct mu_preempt_cost cost;
        bool fits;
        error = row_look(p, gang, &need, row, &fits, &cost);
        if (p->ran_out)
            break;
        if (error != 0 || !fits)
            continue;
        const struct mu_lone_row one = lone_row(p, &cost, row, 0);
        if (*best == MU_NONE || comes_first(&one, &first)) {
            first = one;
            *best = row;
            p->cost = cost;
            error = units_choose(p);
        }
    }
    p->counts.unproved += p->ran_out;
    if (memo != NULL)
        *memo = (struct mu_preempt_memo){.generation = gang->row->generation,
                                         .resume = p->ran_out && *best == MU_NONE ? row : 0};
    p->ran_out = p->ran_out && memo != NULL;
    if (error == 0 && *best != MU_NONE)
        *outcome = MU_PREEMPT_FOUND;
    return error;
}

static int by_placing(struct mu_preempt *p, struct mu_preempt_gang *gang,
                      enum mu_preempt_outcome *outcome, uint32_t *row)
{
    struct mu_place *place = gang->ask->place;
    struct mu_node_ix node = {MU_NONE};
    *outcome = MU_PREEMPT_NONE;
    mu_place_trial(place);
    int error = mu_preempt_evict_leaving(p, place);
    p->leaving_gone = true;
    if (error == 0 && p->victims.leaving_count > 0)
        error = mu_place_pick(place, gang->pod, &node);
    if (error == 0 && node.v != MU_NONE)
        *outcome = MU_PREEMPT_WAIT;
    else if (error == 0)
        error = rows_try(p, gang, outcome, row);
    mu_place_rollback(place);
    p->leaving_gone = false;
    return error;
}

int mu_preempt_lone(struct mu_preempt *p, struct mu_preempt_gang *gang,
                    enum mu_preempt_outcome *outcome, uint32_t *row)
{
    bool concerned = p->snapshot->nominated_count > 0 ||
                     mu_terms_concern(p->snapshot, gang->pod.class_ix, gang->pod.kin);
    return concerned ? by_placing(p, gang, outcome, row) : by_numbers(p, gang, outcome, row);
}
