#include "engine/preempt/slots.h"

#include "engine/base/assert.h"

/*
 * Every subset of a few units, by branch and bound on the whole tuple.
 *
 * Units are decided one by one, the most important first, while those that are undecided are taken
 * to leave. So a unit can be spared only if there are slots enough without it and with all that
 * come later, or nothing below could be an answer; and a branch whose victims so far cost more than
 * the best answer cannot become better, for victims only add to the cost. (The start of the highest
 * ones can become later by a higher one alone, which costs more already.)
 *
 * A gang leaves with its surplus: whichever of the two is decided first, the other follows.
 */

enum { DECIDED = 2 }; /* a mark: the unit leaves, for this branch */

struct exact {
    struct mu_slots *s;
    uint32_t steps;
};

/* Whether victims so far, perhaps with more, could still be the best. */
static bool could_win(const struct mu_slots *s, const struct mu_preempt_cost *cost)
{
    return !s->found || !mu_preempt_cheaper(&s->best_cost, cost);
}

/* Whether the unit may be spared, or may leave, by what was decided of its gang. */
static bool may_spare(const struct mu_slots *s, uint32_t unit)
{
    const struct mu_victim_unit *u = &s->p->victims.units[unit];
    return (u->flags & MU_VICTIM_SURPLUS) == 0 || s->p->marks[u->whole] != DECIDED;
}

static bool may_leave(const struct mu_slots *s, uint32_t unit)
{
    const struct mu_victim_unit *u = &s->p->victims.units[unit];
    bool all = true;
    for (uint32_t i = 0; (u->flags & MU_VICTIM_WHOLE) != 0 && i < u->surplus_count; i++)
        all = all && (mu_slots_has(s, u->whole + i) ||
                      !mu_victim_below(&s->p->victims.units[u->whole + i], INT32_MAX));
    return all;
}

static void decide(struct exact *x, uint32_t left, struct mu_preempt_cost cost)
{
    struct mu_slots *s = x->s;
    if (x->steps == 0 || !could_win(s, &cost))
        return;
    x->steps--;
    if (left == 0) {
        mu_slots_offer(s);
        return;
    }
    uint32_t unit = s->units[left - 1];
    if (may_spare(s, unit)) {
        mu_slots_drop(s, unit);
        if (s->sum >= s->want)
            decide(x, left - 1, cost);
        mu_slots_put(s, unit);
    }
    if (may_leave(s, unit)) {
        mu_cost_add(&cost, &s->p->victims.units[unit], s->p->violations[unit]);
        s->p->marks[unit] = DECIDED;
        decide(x, left - 1, cost);
        s->p->marks[unit] = 1;
    }
}

bool mu_slots_exact(struct mu_slots *s)
{
    struct exact x = {.s = s, .steps = s->gang->steps};
    struct mu_preempt_cost cost;
    MU_ASSERT(s->count <= MU_PREEMPT_EXACT_MAX);
    mu_cost_init(&cost);
    for (uint32_t i = 0; i < s->count; i++)
        mu_slots_put(s, s->units[i]);
    decide(&x, s->count, cost);
    for (uint32_t i = 0; i < s->count; i++)
        mu_slots_drop(s, s->units[i]);
    s->gang->steps = x.steps;
    return x.steps > 0;
}
