#include "engine/session/session_priv.h"

#include "engine/base/assert.h"

/*
 * Gangs that are bound in part: fewer members run than the gang needs, and somebody of it waits. A
 * bind was refused on the way, a scheduler ended in between, or members of a running gang vanished.
 *
 * Each run tries to complete such a gang before all others, on any nodes. What this file decides is
 * for how long:
 *
 *     never whole    until its own timeout, where its dialect states one (scheduleTimeoutSeconds of
 *                    scheduler-plugins and Goedel, Koordinator's waiting-time, YuniKorn's
 *                    placeholderTimeoutInSeconds: all of them limit for how long a part of the gang
 *                    may hold room without the rest), else until the operator's deadline
 *     was whole      until the operator's deadline; not at all with MU_SHORT_END, where a gang that
 *                    has lost members is to start anew as one
 *
 * counted from when it was seen to be so. Then its bound members are to be deleted, those that a
 * controller recreates; others are kept, and with them the gang is told to be kept short. While
 * something of it is on its way (a bind that is not answered, room that victims are leaving) it is
 * not judged. A gang without any bound member has no deadline: it takes no room, and waits.
 *
 * The decision is a function of the row, the time and the configuration. The DB holds it against
 * the present before anybody is deleted (mu_db_gang_end).
 */

static uint64_t deadline_ns(const struct mu_session *session, const struct mu_gang_row *row)
{
    uint64_t given_ns = session->config.gang_deadline_ns;
    if (row->timeout_s != 0 && (row->flags & MU_GANG_WHOLE) == 0)
        given_ns = row->timeout_s * UINT64_C(1000000000);
    return given_ns > UINT64_MAX - row->short_ns ? UINT64_MAX : row->short_ns + given_ns;
}

/* Bound in part, and nothing is on its way. */
static bool is_short(const struct mu_session *session, const struct mu_gang_row *row)
{
    return session->config.gang_deadline_ns != 0 && row->short_ns != 0 &&
           row->placed_count == row->bound_count && (row->flags & MU_GANG_ENDING) == 0;
}

static int end_add(struct mu_session *session, uint32_t gang, bool keep)
{
    const struct mu_gang_row *row = &session->snapshot->gangs[gang];
    if (session->ends == NULL) {
        uint32_t most = session->snapshot->pending_gangs;
        session->ends = mu_arena_alloc(session->arena, most * sizeof *session->ends);
        if (session->ends == NULL)
            return MU_ENOMEM;
        session->plan->ends = session->ends;
    }
    const bool kept = keep || row->controlled_count == 0;
    struct mu_plan_wait *wait = &session->waits[session->plan->wait_count - 1];
    MU_ASSERT(wait->gang.v == gang); /* what was just decided of it */
    wait->kept = kept;
    MU_ASSERT(session->plan->end_count < session->snapshot->pending_gangs);
    session->ends[session->plan->end_count++] =
        (struct mu_plan_end){.gang = {gang},
                             .gang_generation = row->generation,
                             .have = row->bound_count,
                             .need = row->size,
                             .since_ns = row->short_ns,
                             .kept = kept};
    return 0;
}

bool mu_session_ends_at_once(struct mu_session *session, uint32_t gang, int *error)
{
    const struct mu_gang_row *row = &session->snapshot->gangs[gang];
    bool ends = session->config.short_gangs == MU_SHORT_END && is_short(session, row) &&
                (row->flags & MU_GANG_WHOLE) != 0 && row->controlled_count > 0;
    if (!ends && (row->flags & MU_GANG_ENDING) == 0)
        return false;
    (void)mu_session_wait(session, gang, MU_WAIT_ENDING);
    if (ends)
        *error = end_add(session, gang, false);
    return true;
}

int mu_session_end_due(struct mu_session *session, uint32_t gang)
{
    const struct mu_gang_row *row = &session->snapshot->gangs[gang];
    if (!is_short(session, row))
        return 0;
    uint64_t at_ns = deadline_ns(session, row);
    if (at_ns <= session->now_ns)
        return end_add(session, gang, session->config.short_gangs == MU_SHORT_KEEP);
    if (at_ns < session->plan->next_ns)
        session->plan->next_ns = at_ns;
    return 0;
}
