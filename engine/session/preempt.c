#include "engine/session/session_priv.h"

#include "engine/base/assert.h"

/*
 * A gang for which there is no room asks who could leave (engine/preempt/preempt.h). The oracle is
 * the session's own layout, without the search behind it: what a search finds depends on the steps
 * that are left, and an answer has to hold when it is asked for again.
 *
 * Members beyond the minimum displace nobody.
 *
 * A run that has no steps left to ask for all of them is followed by another soon, though nothing
 * may have moved: those that went without have their turn in it (engine/preempt/preempt.h).
 */

#define NS_PER_S UINT64_C(1000000000)
#define LATER_NS UINT64_C(100000000)

struct asking {
    struct mu_session *session;
    const struct mu_attempt *attempt;
    bool mixed;
};

static int lay(void *context, bool *done)
{
    const struct asking *asking = context;
    struct mu_session *session = asking->session;
    struct mu_attempt a = *asking->attempt;
    a.steps = 0;
    a.placed = 0;
    a.search_steps = 0;
    a.out_of_steps = a.search_ran_out = a.search_cut = false;
    a.failed.class_ix.v = MU_NONE;
    int error = mu_session_lay_out(session, &a, asking->mixed, done);
    if (error != 0 || !*done)
        return error;
    mu_place_commit(session->place);
    if (a.row->pack_key.v != 0)
        error = mu_place_within(session->place, MU_NONE, 0);
    return error;
}

/* Pods that have not run for long enough will have, although nothing else changes. */
static void look_again_when_ripe(struct mu_session *session)
{
    uint32_t ripe_s = mu_preempt_ripe_s(session->preempt);
    if (ripe_s == UINT32_MAX)
        return;
    uint64_t wait_s = ripe_s > session->now_s ? ripe_s - session->now_s : 1;
    uint64_t again_ns = session->now_ns + wait_s * NS_PER_S;
    if (again_ns < session->plan->next_ns)
        session->plan->next_ns = again_ns;
}

int mu_session_preempt(struct mu_session *session, struct mu_attempt *a, bool *done)
{
    struct asking asking = {.session = session, .attempt = a};
    struct mu_preempt_found found;
    *done = false;
    if (!session->config.preempts || session->snapshot->occupants == NULL)
        return 0;
    bool any = session->evictions_any_first && !session->evictions_begun;
    if (!any && session->evictions_left == 0) {
        session->plan->evictions_short = true; /* for all that is known: nobody has looked */
        return 0;
    }
    asking.mixed = a->block->member_count > 1 && !mu_session_uniform(session, a);
    const struct mu_preempt_ask ask = {.place = session->place,
                                       .snapshot = session->snapshot,
                                       .gang = {a->gang},
                                       .size = a->size,
                                       .evict_max = any ? UINT32_MAX : session->evictions_left,
                                       .nodes = session->nodes,
                                       .devices = session->devices,
                                       .lay = lay,
                                       .context = &asking,
                                       .arena = session->arena};
    int error = mu_preempt_find(session->preempt, &ask, &found);
    if (error == 0 && found.outcome == MU_PREEMPT_LIMIT) {
        session->evictions_left = 0;
        session->plan->evictions_short = true;
    }
    if (error == 0 && found.outcome != MU_PREEMPT_FOUND)
        look_again_when_ripe(session);
    if (error == 0 && found.outcome == MU_PREEMPT_LATER &&
        session->now_ns + LATER_NS < session->plan->next_ns)
        session->plan->next_ns = session->now_ns + LATER_NS;
    if (error != 0 || found.outcome != MU_PREEMPT_FOUND)
        return error;
    error = mu_preempt_commit(session->preempt, &ask);
    if (error != 0)
        return error;
    a->placed = 0;
    for (uint32_t m = 0; m < a->block->member_count; m++)
        a->placed += session->nodes[m] != MU_NONE;
    session->evictions_begun = true;
    session->evictions_left -=
        found.cost.pods < session->evictions_left ? found.cost.pods : session->evictions_left;
    *done = true;
    return mu_session_gang_add(session, a, &found);
}
