#include "engine/session/session_priv.h"

#include <string.h>

#include "engine/base/assert.h"

/*
 * Why a gang waits, in the plan's arena. Thousands of gangs may wait for the same class: counts of
 * nodes are shared by all of them, and copied only where they are of one pod.
 */

static const uint32_t no_counts[MU_RESOURCES_MAX];
_Static_assert(MU_VERDICT_KINDS <= MU_RESOURCES_MAX, "no_counts serves all");

/* Whether it has waited for longer than it states; if not yet, the plan says when. */
static bool is_overdue(struct mu_session *session, const struct mu_gang_row *row)
{
    const uint64_t timeout_ns = row->timeout_s * UINT64_C(1000000000);
    if (timeout_ns == 0 || row->bound_count != 0 || row->settle_ns > UINT64_MAX - timeout_ns)
        return false;
    const uint64_t at_ns = row->settle_ns + timeout_ns;
    if (session->now_ns < at_ns && at_ns < session->plan->next_ns)
        session->plan->next_ns = at_ns;
    return session->now_ns >= at_ns;
}

struct mu_plan_wait *mu_session_wait(struct mu_session *session, uint32_t gang,
                                     enum mu_wait_kind kind)
{
    MU_ASSERT(session->plan->wait_count < session->snapshot->pending_gangs);
    struct mu_plan_wait *wait = &session->waits[session->plan->wait_count++];
    *wait = (struct mu_plan_wait){
        .gang = {gang},
        .gang_generation = session->snapshot->gangs[gang].generation,
        .kind = kind,
        .overdue = is_overdue(session, &session->snapshot->gangs[gang]),
        .behind = {MU_NONE},
        .class_ix = {MU_NONE},
        .nodes_by_verdict = no_counts,
        .nodes_by_reason = no_counts,
        .nodes_by_resource = no_counts,
    };
    return wait;
}

/* Counts that are of one pod are kept with the plan; a row of gangs alike shares them. */
static int refusals_keep(struct mu_session *session, struct mu_class_ix class_ix,
                         const struct mu_refusals **refusals)
{
    struct mu_session_refusals *last = &session->kept;
    if (last->refusals != NULL && last->class_ix.v == class_ix.v &&
        memcmp(last->refusals, *refusals, sizeof **refusals) == 0) {
        *refusals = last->refusals;
        return 0;
    }
    struct mu_refusals *copy = mu_arena_alloc(session->arena, sizeof *copy);
    if (copy == NULL)
        return MU_ENOMEM;
    *copy = **refusals;
    *last = (struct mu_session_refusals){class_ix, copy};
    *refusals = copy;
    return 0;
}

int mu_session_wait_no_fit(struct mu_session *session, const struct mu_attempt *a)
{
    const struct mu_snapshot *snapshot = session->snapshot;
    const struct mu_refusals *refusals;
    int error = mu_place_explain(session->place, a->failed, &refusals);
    if (error == 0 && (snapshot->nominated_count > 0 ||
                       mu_terms_concern(snapshot, a->failed.class_ix, a->failed.kin)))
        error = refusals_keep(session, a->failed.class_ix, &refusals);
    if (error != 0)
        return error;
    struct mu_plan_wait *wait =
        mu_session_wait(session, a->gang, a->undecided ? MU_WAIT_UNDECIDED : MU_WAIT_NO_FIT);
    wait->behind = session->kept_for;
    wait->have = a->row->placed_count;
    wait->need = a->size;
    wait->class_ix = a->failed.class_ix;
    wait->nodes_by_verdict = refusals->by_verdict;
    wait->nodes_by_reason = refusals->by_reason;
    wait->nodes_by_resource = refusals->by_resource;
    return 0;
}
