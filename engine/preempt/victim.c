#include "engine/preempt/victim.h"

#include <stdlib.h>

#include "engine/base/assert.h"
#include "engine/base/mem.h"

#define WEIGHT_ZERO (INT64_C(1) << 31) /* or pods of negative priority would look like gains */
#define UNITS_MAX   MU_PODS_MAX

/* An occupant that belongs to a gang of several, while gangs are put together. */
struct mu_victim_member {
    uint32_t gang;
    uint32_t row, at;
    int32_t priority;
    uint32_t started;
    bool terminating, fixed; /* fixed: it may not be evicted */
};

/* ---- lifetime ----------------------------------------------------------------------------- */

void mu_victims_init(struct mu_victims *victims)
{
    *victims = (struct mu_victims){.lowest = INT32_MAX, .ripe_s = UINT32_MAX};
}

void mu_victims_fini(struct mu_victims *victims)
{
    mu_mem_free(victims->units);
    mu_mem_free(victims->pods);
    mu_mem_free(victims->row_begin);
    mu_mem_free(victims->row_pods);
    mu_mem_free(victims->row_least);
    mu_mem_free(victims->leaving);
    mu_mem_free(victims->budget_left);
    mu_mem_free(victims->budget_used);
    mu_mem_free(victims->budget_touched);
    mu_mem_free(victims->members);
    mu_victims_init(victims);
}

/* ---- making units ------------------------------------------------------------------------- */

struct maker {
    struct mu_victims *v;
    struct mu_place *place;
    const struct mu_snapshot *snapshot;
    uint32_t protected_s, now_s;
    uint32_t member_count;
};

static int leaving_add(struct mu_victims *v, uint32_t pod)
{
    void *array = v->leaving;
    if (mu_mem_grow(&array, &v->leaving_cap, v->leaving_count + 1, MU_PODS_MAX,
                    sizeof *v->leaving) != 0)
        return MU_ENOMEM;
    v->leaving = array;
    v->leaving[v->leaving_count++] = pod;
    return 0;
}

/* A new unit without pods. */
static int unit_open(struct mu_victims *v, int32_t priority, uint32_t flags)
{
    void *array = v->units;
    if (mu_mem_grow(&array, &v->unit_cap, v->unit_count + 1, UNITS_MAX, sizeof *v->units) != 0)
        return MU_ENOMEM;
    v->units = array;
    v->units[v->unit_count++] = (struct mu_victim_unit){.priority = priority,
                                                        .started = UINT32_MAX,
                                                        .begin = v->pod_count,
                                                        .flags = flags,
                                                        .whole = MU_NONE};
    if ((flags & MU_VICTIM_LEAVING) == 0 && priority < v->lowest)
        v->lowest = priority;
    return 0;
}

/* One more pod of the unit that was opened last. */
static int unit_add(struct mu_victims *v, uint32_t row, uint32_t at)
{
    const struct mu_occupant *occupant = &v->snapshot->occupants[row]->pods[at];
    struct mu_victim_unit *unit = &v->units[v->unit_count - 1];
    void *array = v->pods;
    if (mu_mem_grow(&array, &v->pod_cap, v->pod_count + 1, MU_PODS_MAX, sizeof *v->pods) != 0)
        return MU_ENOMEM;
    v->pods = array;
    uint32_t left = v->leaving_count;
    if ((unit->flags & MU_VICTIM_LEAVING) != 0 && leaving_add(v, v->pod_count) != 0)
        return MU_ENOMEM;
    v->pods[v->pod_count++] = (struct mu_victim_pod){row, at, v->unit_count - 1, left};
    unit->count++;
    unit->weight += occupant->priority + WEIGHT_ZERO;
    if (occupant->started < unit->started)
        unit->started = occupant->started;
    return 0;
}

static int unit_of_one(struct mu_victims *v, uint32_t row, uint32_t at, uint32_t flags)
{
    int error = unit_open(v, v->snapshot->occupants[row]->pods[at].priority, flags);
    return error != 0 ? error : unit_add(v, row, at);
}

static bool is_protected(const struct maker *m, const struct mu_occupant *occupant)
{
    if (m->protected_s == 0)
        return false;
    uint64_t ripe_s = (uint64_t)occupant->started + m->protected_s;
    if (occupant->started == UINT32_MAX)
        return true;
    if (ripe_s > m->now_s && ripe_s < m->v->ripe_s)
        m->v->ripe_s = (uint32_t)ripe_s;
    return ripe_s > m->now_s;
}

static int member_add(struct maker *m, uint32_t row, uint32_t at, bool fixed)
{
    const struct mu_occupant *o = &m->snapshot->occupants[row]->pods[at];
    void *array = m->v->members;
    if (mu_mem_grow(&array, &m->v->member_cap, m->member_count + 1, MU_PODS_MAX,
                    sizeof *m->v->members) != 0)
        return MU_ENOMEM;
    m->v->members = array;
    m->v->members[m->member_count++] =
        (struct mu_victim_member){.gang = o->gang.v,
                                  .row = row,
                                  .at = at,
                                  .priority = o->priority,
                                  .started = o->started,
                                  .terminating = (o->flags & MU_OCCUPANT_TERMINATING) != 0,
                                  .fixed = fixed};
    return 0;
}

/* Sort an occupant into what is a unit by itself, and members of gangs. */
static int occupant_add(struct maker *m, uint32_t row, uint32_t at)
{
    const struct mu_occupant *o = &m->snapshot->occupants[row]->pods[at];
    bool known = false, terminating = (o->flags & MU_OCCUPANT_TERMINATING) != 0;
    int error = mu_place_evictable(m->place, (struct mu_node_ix){row}, o, &known);
    if (error != 0)
        return error;
    if (terminating && known)
        error = unit_of_one(m->v, row, at, MU_VICTIM_LEAVING);
    bool fixed = !known || (o->flags & MU_OCCUPANT_SPARED) != 0 || is_protected(m, o);
    if (error != 0 || o->gang.v == MU_NONE)
        return error != 0 || fixed || terminating ? error : unit_of_one(m->v, row, at, 0);
    MU_ASSERT(o->gang.v < m->snapshot->gang_rows);
    const struct mu_gang_row *gang = &m->snapshot->gangs[o->gang.v];
    bool single = (gang->flags & MU_GANG_SINGLE) != 0;
    if ((gang->flags & MU_GANG_SPARED) != 0)
        return 0;
    if (!single && gang->member_count > 1)
        return member_add(m, row, at, fixed);
    if (fixed || terminating)
        return 0;
    error = unit_of_one(m->v, row, at, 0);
    if (error == 0 && !single && gang->priority_high > o->priority)
        m->v->units[m->v->unit_count - 1].priority = gang->priority_high;
    return error;
}

/* By gang; within one the least important first: those are surplus. */
static int compare_members(const void *left, const void *right)
{
    const struct mu_victim_member *a = left, *b = right;
    if (a->gang != b->gang)
        return a->gang < b->gang ? -1 : 1;
    if (a->priority != b->priority)
        return a->priority < b->priority ? -1 : 1;
    if (a->started != b->started)
        return a->started > b->started ? -1 : 1;
    if (a->row != b->row)
        return a->row > b->row ? -1 : 1;
    return (a->at < b->at) - (a->at > b->at);
}

/* Members that the gang could lose one by one. */
static uint32_t surplus_of(const struct mu_gang_row *gang, uint32_t alive)
{
    bool parts = (gang->flags & MU_GANG_PARTS) != 0 ||
                 (gang->block != NULL && gang->block->subgroup_count > 1);
    if (parts || gang->size == 0 || (gang->flags & MU_GANG_SETTLED) == 0 || alive <= gang->size)
        return 0;
    return alive - gang->size;
}

/* The units of one gang, of which these occupants are all that are listed. */
static int gang_add(struct maker *m, const struct mu_victim_member *members, uint32_t count)
{
    struct mu_victims *v = m->v;
    const struct mu_gang_row *gang = &m->snapshot->gangs[members[0].gang];
    int32_t priority = gang->priority_high;
    uint32_t alive = 0;
    bool fixed = false;
    for (uint32_t i = 0; i < count; i++) {
        alive += !members[i].terminating;
        fixed = fixed || (members[i].fixed && !members[i].terminating);
        priority = members[i].priority > priority ? members[i].priority : priority;
    }
    if (alive == 0 || count < gang->placed_count || gang->bound_count < gang->placed_count)
        return 0; /* the rest of it is on its way */
    uint32_t surplus = surplus_of(gang, alive), first = v->unit_count;
    int error = 0;
    for (uint32_t i = 0, left = surplus; i < count && left > 0 && error == 0; i++) {
        if (members[i].terminating)
            continue;
        left--;
        if (!members[i].fixed)
            error = unit_of_one(v, members[i].row, members[i].at, 0);
    }
    if (fixed || error != 0)
        return error;
    uint32_t whole = v->unit_count;
    MU_ASSERT(whole - first == surplus);
    for (uint32_t u = first; u < whole; u++) {
        v->units[u].flags |= MU_VICTIM_SURPLUS;
        v->units[u].whole = whole;
    }
    error = unit_open(v, priority, MU_VICTIM_WHOLE);
    for (uint32_t i = 0, skip = surplus; i < count && error == 0; i++) {
        if (members[i].terminating)
            continue;
        if (skip > 0)
            skip--;
        else
            error = unit_add(v, members[i].row, members[i].at);
    }
    if (error == 0) {
        v->units[whole].whole = surplus > 0 ? first : MU_NONE;
        v->units[whole].surplus_count = surplus;
    }
    return error;
}

static int gangs_add(struct maker *m)
{
    struct mu_victim_member *members = m->v->members;
    int error = 0;
    if (m->member_count > 0)
        qsort(members, m->member_count, sizeof *members, compare_members);
    for (uint32_t i = 0, end; i < m->member_count && error == 0; i = end) {
        for (end = i + 1; end < m->member_count && members[end].gang == members[i].gang;)
            end++;
        error = gang_add(m, &members[i], end - i);
    }
    return error;
}

/* ---- by row ------------------------------------------------------------------------------- */

bool mu_victim_more_important(const struct mu_victims *victims, uint32_t a, uint32_t b)
{
    const struct mu_victim_unit *x = &victims->units[a], *y = &victims->units[b];
    if (x->priority != y->priority)
        return x->priority > y->priority;
    if (x->count != y->count)
        return x->count > y->count;
    if (x->started != y->started)
        return x->started < y->started;
    const struct mu_victim_pod *p = &victims->pods[x->begin], *q = &victims->pods[y->begin];
    return p->row != q->row ? p->row < q->row : p->at < q->at;
}

/* Which pods each row has, the most important first. Rows have a hundred pods at most, and mostly a
 * few. */
static int rows_fill(struct mu_victims *v)
{
    uint32_t rows = v->snapshot->node_rows;
    void *begin = v->row_begin, *of_rows = v->row_pods;
    if (mu_mem_grow(&begin, &v->row_cap, rows + 1, MU_NODES_MAX + 1, sizeof *v->row_begin) != 0)
        return MU_ENOMEM;
    v->row_begin = begin;
    if (mu_mem_grow(&of_rows, &v->row_pod_cap, v->pod_count + 1, MU_PODS_MAX + 1,
                    sizeof *v->row_pods) != 0)
        return MU_ENOMEM;
    v->row_pods = of_rows;
    void *least = v->row_least;
    if (mu_mem_grow(&least, &v->row_least_cap, rows + 1, MU_NODES_MAX + 1, sizeof *v->row_least) !=
        0)
        return MU_ENOMEM;
    v->row_least = least;
    memset(v->row_begin, 0, (rows + 1) * sizeof *v->row_begin);
    for (uint32_t p = 0; p < v->pod_count; p++)
        v->row_begin[v->pods[p].row]++;
    for (uint32_t row = 1; row <= rows; row++)
        v->row_begin[row] += v->row_begin[row - 1];
    for (uint32_t p = v->pod_count; p-- > 0;)
        v->row_pods[--v->row_begin[v->pods[p].row]] = p;
    for (uint32_t row = 0; row < rows; row++) {
        uint32_t *list = v->row_pods + v->row_begin[row];
        uint32_t count = v->row_begin[row + 1] - v->row_begin[row];
        v->row_least[row] = INT32_MAX;
        for (uint32_t i = 0; i < count; i++) {
            const struct mu_victim_unit *unit = &v->units[v->pods[list[i]].unit];
            int32_t bound = (unit->flags & MU_VICTIM_LEAVING) != 0 ? INT32_MIN : unit->priority;
            v->row_least[row] = bound < v->row_least[row] ? bound : v->row_least[row];
        }
        for (uint32_t i = 1; i < count; i++) {
            uint32_t pod = list[i], at = i;
            for (; at > 0 &&
                   mu_victim_more_important(v, v->pods[pod].unit, v->pods[list[at - 1]].unit);
                 at--)
                list[at] = list[at - 1];
            list[at] = pod;
        }
    }
    return 0;
}

/* ---- budgets ------------------------------------------------------------------------------ */

static int budgets_begin(struct mu_victims *v)
{
    uint32_t count = v->snapshot->budget_count;
    if (count > v->budget_cap) {
        int32_t *left = mu_mem_calloc(count, sizeof *left);
        int32_t *used = mu_mem_calloc(count, sizeof *used);
        uint32_t *touched = mu_mem_calloc(count, sizeof *touched);
        if (left == NULL || used == NULL || touched == NULL) {
            mu_mem_free(left);
            mu_mem_free(used);
            mu_mem_free(touched);
            return MU_ENOMEM;
        }
        mu_mem_free(v->budget_left);
        mu_mem_free(v->budget_used);
        mu_mem_free(v->budget_touched);
        v->budget_left = left;
        v->budget_used = used;
        v->budget_touched = touched;
        v->budget_cap = count;
    }
    for (uint32_t b = 0; b < count; b++)
        v->budget_left[b] = v->snapshot->budgets[b].allowed;
    return 0;
}

static bool is_disrupted(const struct mu_snapshot *s, uint32_t budget, struct mu_pod_ix pod)
{
    const struct mu_pod_ix *list = s->budget_disrupted + s->budgets[budget].disrupted_begin;
    uint32_t low = 0, high = s->budgets[budget].disrupted_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (list[middle].v < pod.v)
            low = middle + 1;
        else
            high = middle;
    }
    return low < s->budgets[budget].disrupted_count && list[low].v == pod.v;
}

static const struct mu_kin_budgets *budgets_of(const struct mu_snapshot *s, struct mu_kin_ix kin)
{
    return kin.v < s->kin_budgets_count ? s->kin_budgets[kin.v] : NULL;
}

/* True when the pod finds nothing left in one of its budgets. */
static bool pod_violates(struct mu_victims *v, const struct mu_occupant *occupant)
{
    const struct mu_kin_budgets *of = budgets_of(v->snapshot, occupant->kin);
    bool violates = false;
    for (uint32_t i = 0; of != NULL && i < of->count; i++) {
        uint32_t b = of->budgets[i];
        if (is_disrupted(v->snapshot, b, occupant->pod))
            continue;
        if (v->budget_used[b]++ == 0)
            v->budget_touched[v->budget_touched_count++] = b;
        violates = violates || (int64_t)v->budget_left[b] < v->budget_used[b];
    }
    return violates;
}

uint32_t mu_victims_classify(struct mu_victims *victims, uint32_t unit)
{
    const struct mu_victim_unit *u = &victims->units[unit];
    uint32_t violations = 0;
    for (uint32_t i = 0; victims->snapshot->budget_count > 0 && i < u->count; i++)
        violations +=
            pod_violates(victims, mu_victim_occupant(victims, &victims->pods[u->begin + i]));
    return violations;
}

void mu_victims_classified(struct mu_victims *victims)
{
    while (victims->budget_touched_count > 0)
        victims->budget_used[victims->budget_touched[--victims->budget_touched_count]] = 0;
}

/* ---- all ---------------------------------------------------------------------------------- */

int mu_victims_build(struct mu_victims *victims, struct mu_place *place,
                     const struct mu_snapshot *snapshot, uint32_t protected_s, uint32_t now_s)
{
    struct maker m = {.v = victims,
                      .place = place,
                      .snapshot = snapshot,
                      .protected_s = protected_s,
                      .now_s = now_s};
    MU_ASSERT(snapshot->occupants != NULL);
    victims->snapshot = snapshot;
    victims->unit_count = victims->pod_count = victims->leaving_count = 0;
    victims->lowest = INT32_MAX;
    victims->ripe_s = UINT32_MAX;
    int error = budgets_begin(victims);
    for (uint32_t row = 0; row < snapshot->node_rows && error == 0; row++) {
        const struct mu_occupants *list = snapshot->occupants[row];
        if (list == NULL || (snapshot->nodes[row].flags & MU_NODE_PRESENT) == 0)
            continue;
        for (uint32_t at = 0; at < list->count && error == 0; at++)
            error = occupant_add(&m, row, at);
    }
    if (error == 0)
        error = gangs_add(&m);
    return error != 0 ? error : rows_fill(victims);
}

int mu_victims_reserve(struct mu_victims *victims, uint32_t pods)
{
    void *array = victims->leaving;
    if (mu_mem_grow(&array, &victims->leaving_cap, victims->leaving_count + pods, MU_PODS_MAX,
                    sizeof *victims->leaving) != 0)
        return MU_ENOMEM;
    victims->leaving = array;
    return 0;
}

bool mu_victims_take(struct mu_victims *victims, uint32_t unit)
{
    bool covered = false;
    struct mu_victims *v = victims;
    struct mu_victim_unit *u = &v->units[unit];
    MU_ASSERT((u->flags & MU_VICTIM_LEAVING) == 0 && v->leaving_count + u->count <= v->leaving_cap);
    u->flags |= MU_VICTIM_LEAVING;
    for (uint32_t i = 0; i < u->count; i++) {
        const struct mu_occupant *o = mu_victim_occupant(v, &v->pods[u->begin + i]);
        const struct mu_kin_budgets *of = budgets_of(v->snapshot, o->kin);
        v->pods[u->begin + i].left = v->leaving_count;
        v->row_least[v->pods[u->begin + i].row] = INT32_MIN;
        v->leaving[v->leaving_count++] = u->begin + i;
        for (uint32_t b = 0; of != NULL && b < of->count; b++) {
            covered = true;
            if (v->budget_left[of->budgets[b]] > INT32_MIN &&
                !is_disrupted(v->snapshot, of->budgets[b], o->pod))
                v->budget_left[of->budgets[b]]--;
        }
    }
    return covered;
}
