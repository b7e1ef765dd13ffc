#include "engine/session_priv.h"

#include "engine/base/assert.h"

/*
 * A gang for which there is no room asks who could leave (engine/preempt.h). The oracle is the
 * session's own layout, without the search behind it: what a search finds depends on the steps that
 * are left, and an answer has to hold when it is asked for again.
 *
 * Members beyond the minimum displace nobody.
 */

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

int mu_session_preempt(struct mu_session *session, struct mu_attempt *a, bool *done)
{
    struct asking asking = {.session = session, .attempt = a};
    struct mu_preempt_found found;
    *done = false;
    if (!session->config.preempts || session->snapshot->occupants == NULL)
        return 0;
    asking.mixed = a->block->member_count > 1 && !mu_session_uniform(session, a);
    const struct mu_preempt_ask ask = {.place = session->place,
                                       .snapshot = session->snapshot,
                                       .gang = {a->gang},
                                       .size = a->size,
                                       .evict_max = session->evictions_left,
                                       .nodes = session->nodes,
                                       .devices = session->devices,
                                       .lay = lay,
                                       .context = &asking,
                                       .arena = session->arena};
    int error = mu_preempt_find(session->preempt, &ask, &found);
    if (error != 0 || found.outcome != MU_PREEMPT_FOUND)
        return error;
    error = mu_preempt_commit(session->preempt, &ask);
    if (error != 0)
        return error;
    a->placed = 0;
    for (uint32_t m = 0; m < a->block->member_count; m++)
        a->placed += session->nodes[m] != MU_NONE;
    session->evictions_left -= found.cost.pods;
    *done = true;
    return mu_session_gang_add(session, a, &found);
}
