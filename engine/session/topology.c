#include "engine/session/session_priv.h"

#include "engine/base/assert.h"

/*
 * All members of a gang in one domain of a node label.
 *
 * The domain in which members run or are on their way is the only one. Else those with enough room
 * are tried, the one with the fewest places first, so that larger ones stay whole for larger gangs;
 * within a domain the gang is laid out as any other. For members of one class that no rule about
 * other pods concerns the first trial succeeds; where many domains have to be tried in vain, the
 * rest are left and the gang is undecided. A gang that only prefers one domain is laid out anywhere
 * then, and its members beyond the minimum go elsewhere when their domain is full.
 *
 * A label that no node has is no key of the snapshot; the gang fits nowhere then, if it must.
 */

/* Domains that are tried for a gang in a run. */
#define DOMAINS_TRIED_MAX 32u

uint32_t mu_session_topology(const struct mu_snapshot *snapshot, struct mu_symbol key)
{
    for (uint32_t t = 0; t < snapshot->topology_count && key.v != 0; t++)
        if (snapshot->topology_keys[t].v == key.v)
            return t;
    return MU_NONE;
}

/* The domains to try, in order; *more: there are others. */
static int candidates(struct mu_session *session, const struct mu_attempt *a, uint32_t topology,
                      uint32_t *domains, uint32_t *count, bool *more)
{
    struct mu_place_domains found;
    *count = 0;
    *more = false;
    if (a->row->placed_count > 0 && a->row->home.v < session->snapshot->node_rows) {
        domains[0] = session->snapshot->topology[topology][a->row->home.v];
        *count = domains[0] != MU_NONE;
        return 0;
    }
    mu_arena_reset(session->scratch);
    int error =
        mu_place_domains(session->place, a->row, a->size, topology, session->scratch, &found);
    for (uint32_t i = 0; error == 0 && i < found.count && found.items[i].enough; i++) {
        *more = *count == DOMAINS_TRIED_MAX;
        if (*more)
            break;
        domains[(*count)++] = found.items[i].domain;
    }
    return error;
}

int mu_session_lay_out(struct mu_session *session, struct mu_attempt *a, bool mixed, bool *done)
{
    uint32_t topology = mu_session_topology(session->snapshot, a->row->pack_key);
    uint32_t domains[DOMAINS_TRIED_MAX], count = 0;
    bool required = (a->row->flags & MU_GANG_PACK_REQUIRED) != 0, undecided = false;
    int error = 0;
    *done = false;
    if (a->row->pack_key.v == 0)
        return mu_session_lay_out_here(session, a, mixed, done);
    if (topology != MU_NONE)
        error = candidates(session, a, topology, domains, &count, &undecided);
    struct mu_place_pod failed = mu_session_pod(&a->block->members[0]);
    for (uint32_t i = 0; i < count && error == 0 && !*done; i++) {
        a->failed.class_ix.v = MU_NONE;
        error = mu_place_within(session->place, topology, domains[i]);
        if (error == 0)
            error = mu_session_lay_out_here(session, a, mixed, done);
        if (error != 0 || !*done)
            (void)mu_place_within(session->place, MU_NONE, 0);
        undecided = undecided || a->undecided;
        failed = i == 0 && a->failed.class_ix.v != MU_NONE ? a->failed : failed;
    }
    if (error == 0 && !*done && !required) {
        a->failed.class_ix.v = MU_NONE;
        return mu_session_lay_out_here(session, a, mixed, done);
    }
    a->undecided = undecided && !*done;
    a->failed = failed;
    return error;
}

int mu_session_place_beyond(struct mu_session *session, struct mu_attempt *a)
{
    bool packed = a->row->pack_key.v != 0 && mu_place_is_within(session->place);
    uint32_t passes = packed && (a->row->flags & MU_GANG_PACK_REQUIRED) == 0 ? 2 : 1;
    int error = 0;
    for (uint32_t pass = 0; pass < passes && error == 0; pass++) {
        if (pass > 0)
            error = mu_place_within(session->place, MU_NONE, 0);
        for (uint32_t m = 0; m < a->block->member_count && !a->out_of_steps && error == 0; m++)
            error = mu_session_member_place(session, a, m);
    }
    if (error == 0 && packed)
        error = mu_place_within(session->place, MU_NONE, 0);
    return error;
}
