/*
 * Preemption finds victims where the whole gang fits once all units of lower priority are gone, and
 * for members of one class that no rule about other pods concerns greedy placing finds that out
 * (engine/preempt/preempt.h). So a priority is tried by letting those units leave, within a trial,
 * and placing the gang. What it takes only grows with the priority: halving finds the lowest.
 *
 * Tried are the priorities one above those of units. Those that the gang outranks already are not:
 * the session has tried them. The gang's own pods are no units here: it would not make itself leave
 * if it was more important.
 */
#include "tools/scheduler/report_priority.h"

#include <stdlib.h>

#include "engine/base/assert.h"
#include "engine/base/mem.h"

/* The highest that a PriorityClass of a user may have. */
#define PRIORITY_USER_MAX 1000000000

/* A cluster that has more gets no answer. Nor does one with so many pods: making units of them
 * would keep the writer for milliseconds. */
#define PRIORITIES_MAX 64u

struct search {
    struct mu_report_priority *p;
    struct mu_place *place;
    const struct mu_snapshot *snapshot;
    struct mu_gang_ix gang;
    uint32_t size;
    uint32_t count;
    int32_t tried[PRIORITIES_MAX]; /* ascending */
};

void mu_report_priority_fini(struct mu_report_priority *p)
{
    mu_victims_fini(&p->victims);
    mu_victims_init(&p->victims);
    p->state = MU_REPORT_PRIORITY_UNKNOWN;
}

void mu_report_priority_begin(struct mu_report_priority *p)
{
    p->state = MU_REPORT_PRIORITY_UNKNOWN;
}

static int by_value(const void *left, const void *right)
{
    int32_t a = *(const int32_t *)left, b = *(const int32_t *)right;
    return (a > b) - (a < b);
}

/* Collect the priorities to try; false: there are too many. */
static bool collect(struct search *s)
{
    const struct mu_victims *v = &s->p->victims;
    const int32_t own = s->snapshot->gangs[s->gang.v].priority;
    for (uint32_t u = 0; u < v->unit_count; u++) {
        const struct mu_victim_unit *unit = &v->units[u];
        uint32_t i = 0;
        if ((unit->flags & MU_VICTIM_LEAVING) != 0 || unit->priority < own ||
            unit->priority >= PRIORITY_USER_MAX)
            continue;
        while (i < s->count && s->tried[i] != unit->priority + 1)
            i++;
        if (i < s->count)
            continue;
        if (s->count == PRIORITIES_MAX)
            return false;
        s->tried[s->count++] = unit->priority + 1;
    }
    qsort(s->tried, s->count, sizeof s->tried[0], by_value);
    return true;
}

static bool is_own(const struct search *s, const struct mu_victim_unit *unit)
{
    const struct mu_victims *v = &s->p->victims;
    return mu_victim_occupant(v, &v->pods[unit->begin])->gang.v == s->gang.v;
}

/* In an open trial: all that a gang of this priority could make leave is gone. */
static int evict_below(const struct search *s, int32_t priority)
{
    const struct mu_victims *v = &s->p->victims;
    int error = 0;
    for (uint32_t u = 0; u < v->unit_count && error == 0; u++) {
        const struct mu_victim_unit *unit = &v->units[u];
        bool leaves = (unit->flags & MU_VICTIM_LEAVING) != 0;
        if (!leaves && (unit->priority >= priority || is_own(s, unit)))
            continue;
        for (uint32_t i = unit->begin; i < unit->begin + unit->count && error == 0; i++)
            error = mu_place_evict(s->place, (struct mu_node_ix){v->pods[i].row},
                                   mu_victim_occupant(v, &v->pods[i]));
    }
    return error;
}

static int try_priority(const struct search *s, int32_t priority, bool *fits)
{
    struct mu_place_reach reach = {.member = MU_NONE};
    mu_place_whom(s->place, priority, s->gang);
    mu_place_trial(s->place);
    int error = evict_below(s, priority);
    if (error == 0)
        error = mu_place_reach(s->place, &s->snapshot->gangs[s->gang.v], s->size, &reach);
    mu_place_rollback(s->place);
    *fits = error == 0 && reach.member == MU_NONE;
    return error;
}

static int build(struct mu_report_priority *p, struct mu_place *place,
                 const struct mu_snapshot *snapshot)
{
    if (p->state != MU_REPORT_PRIORITY_UNKNOWN)
        return 0;
    uint64_t pods = 0;
    for (uint32_t row = 0; row < snapshot->node_rows; row++)
        pods += snapshot->occupants[row] != NULL ? snapshot->occupants[row]->count : 0;
    if (pods > MU_REPORT_PRIORITY_PODS_MAX) {
        p->state = MU_REPORT_PRIORITY_COSTLY;
        return 0;
    }
    int error = mu_victims_build(&p->victims, place, snapshot, p->min_run_s, p->now_s);
    p->state = error == 0 ? MU_REPORT_PRIORITY_KNOWN : MU_REPORT_PRIORITY_UNKNOWN;
    return error;
}

/* The number of trials at most. */
static uint32_t trials(uint32_t count)
{
    uint32_t n = 2;
    for (; count > 1; count -= count / 2)
        n++;
    return n;
}

int mu_report_priority_find(struct mu_report_priority *p, struct mu_place *place,
                            const struct mu_snapshot *snapshot, struct mu_gang_ix gang,
                            uint32_t size, uint64_t reach_rows, uint64_t rows_max, uint64_t *rows,
                            int32_t *out)
{
    struct search s = {
        .p = p, .place = place, .snapshot = snapshot, .gang = gang, .size = size, .count = 0};
    bool fits = false;
    *out = INT32_MIN;
    MU_ASSERT(snapshot->occupants != NULL);
    *rows += snapshot->node_rows;
    int error = build(p, place, snapshot);
    if (error != 0 || p->state != MU_REPORT_PRIORITY_KNOWN || !collect(&s) || s.count == 0)
        return error;
    uint64_t cost = reach_rows + 2 * (uint64_t)p->victims.pod_count + p->victims.unit_count;
    cost *= trials(s.count);
    if (cost > rows_max)
        return 0;
    *rows += cost;
    if (p->victims.leaving_count > 0)
        error = try_priority(&s, snapshot->gangs[gang.v].priority, &fits);
    if (error != 0 || fits)
        return error; /* whoever leaves already is enough */
    error = try_priority(&s, s.tried[s.count - 1], &fits);
    if (error != 0 || !fits)
        return error;
    uint32_t low = 0, high = s.count - 1; /* high is known to do */
    while (low < high && error == 0) {
        uint32_t middle = low + (high - low) / 2;
        error = try_priority(&s, s.tried[middle], &fits);
        if (fits)
            high = middle;
        else
            low = middle + 1;
    }
    *out = error == 0 ? s.tried[high] : INT32_MIN;
    return error;
}
