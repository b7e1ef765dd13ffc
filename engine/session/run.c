#include "engine/session/session_priv.h"

#include "engine/base/assert.h"

/*
 * Runs: pods that one decides in a row and that only differ by name. Replicas of a deployment come
 * so, as lone gangs one behind the other in the queue, and the members of most gangs. What is
 * decided for each alone is then the same work over and over; here placing gets the whole run
 * (mu_place_put_run), and the plan's entries are written in one pass before it, while the queue's
 * rows are at hand, and their nodes in another.
 *
 * The plan is the one that comes out gang by gang: a run takes only gangs that would be admitted as
 * they are, and ends before the first that finds no node. That one is decided by itself, waits for
 * the reasons that there are, and a run of its class is not tried again in this session.
 *
 * Priorities need not be equal: they have no say among gangs that take nobody's room, as long as no
 * room is kept for nominated pods.
 */

/* The only member, when the gang is a lone pod that is to be placed like any other; else NULL. */
static const struct mu_gang_member *lone_member(const struct mu_session *session,
                                                const struct mu_gang_row *row, uint32_t *size)
{
    const struct mu_gang_block *block = row->block;
    bool settled = (row->flags & MU_GANG_SETTLED) != 0;
    *size = settled ? row->size : row->member_count;
    if (block->member_count != 1 || block->subgroup_count != 1 || *size > 1 ||
        row->placed_count > 0 || row->pack_key.v != 0 ||
        (!settled && session->now_ns < row->settle_ns))
        return NULL;
    const struct mu_gang_subgroup *subgroup = &block->subgroups[0];
    bool whole = subgroup->member_count == 1 && mu_gang_subgroup_need(subgroup) <= 1;
    return whole && block->members[0].held.v == MU_NONE ? &block->members[0] : NULL;
}

static bool is_like(const struct mu_gang_member *a, const struct mu_gang_member *b)
{
    return a->class_ix.v == b->class_ix.v && a->kin.v == b->kin.v;
}

/* Room for the binds of a run, *count of them at most. */
static struct mu_plan_bind *binds_reserve(struct mu_session *session, uint32_t *count)
{
    if (session->spare_bind_count == 0) {
        session->spare_binds =
            mu_arena_alloc(session->arena, MU_GANG_MEMBERS_MAX * sizeof *session->spare_binds);
        session->spare_bind_count = session->spare_binds != NULL ? MU_GANG_MEMBERS_MAX : 0;
    }
    *count = *count < session->spare_bind_count ? *count : session->spare_bind_count;
    return session->spare_binds;
}

/* Write the entries of lone gangs like `first` from queue place i on, up to `most`, as if they had
 * a node. Returns how many. */
static uint32_t run_write(struct mu_session *session, const struct mu_queue *queue, uint32_t i,
                          uint32_t most, const struct mu_gang_member *first,
                          struct mu_plan_bind *binds)
{
    struct mu_plan_gang *gangs = &session->gangs[session->plan->gang_count];
    uint32_t count = 0;
    for (; count < most; count++) {
        const uint32_t gang = queue->rows[i + count];
        const struct mu_gang_row *row = &session->snapshot->gangs[gang];
        uint32_t size;
        mu_session_fetch_ahead(session->snapshot, queue, i + count);
        const struct mu_gang_member *member = lone_member(session, row, &size);
        if (member == NULL || !is_like(member, first))
            break;
        binds[count] = (struct mu_plan_bind){
            .pod = member->pod, .uid = member->uid, .version = member->version};
        gangs[count] = (struct mu_plan_gang){
            .gang = {gang},
            .gang_generation = row->generation,
            .gang_revision = row->revision,
            .size = size,
            .bind_count = 1,
            .binds = &binds[count],
        };
    }
    return count;
}

int mu_session_lone_run(struct mu_session *session, const struct mu_queue *queue, uint32_t i,
                        uint32_t *taken)
{
    const struct mu_snapshot *snapshot = session->snapshot;
    const struct mu_gang_member *first, *second;
    uint32_t size, most = queue->count - i;
    *taken = 0;
    if (most < 2 || snapshot->nominated_count > 0 || session->blocked_by.v != MU_NONE ||
        mu_place_is_within(session->place))
        return 0;
    first = lone_member(session, &snapshot->gangs[queue->rows[i]], &size);
    if (first == NULL || (session->run_failed.class_ix.v == first->class_ix.v &&
                          session->run_failed.kin.v == first->kin.v))
        return 0;
    second = lone_member(session, &snapshot->gangs[queue->rows[i + 1]], &size);
    if (second == NULL || !is_like(first, second))
        return 0;
    struct mu_plan_bind *binds = binds_reserve(session, &most);
    if (binds == NULL)
        return MU_ENOMEM;
    uint32_t count = run_write(session, queue, i, most, first, binds);
    int error = mu_place_put_run(session->place, mu_session_pod(first), count, session->nodes,
                                 session->devices, taken);
    if (error != 0)
        return error;
    for (uint32_t n = 0; n < *taken; n++) {
        const uint32_t node = session->nodes[n];
        binds[n].node.v = node;
        binds[n].node_generation = snapshot->nodes[node].generation;
        binds[n].devices = session->devices[n];
    }
    if (*taken < count)
        session->run_failed = mu_session_pod(first);
    session->plan->gang_count += *taken;
    session->spare_binds += *taken;
    session->spare_bind_count -= *taken;
    return 0;
}

int mu_session_members_run(struct mu_session *session, struct mu_attempt *a, uint32_t i,
                           uint32_t most, uint32_t *taken)
{
    const struct mu_gang_member *members = a->block->members;
    const uint32_t begin = session->order[i];
    const uint32_t steps_left = session->config.gang_step_budget - a->steps;
    uint32_t count = 0;
    const bool scored = a->way == MU_BY_SCORE || a->way == MU_LARGEST_BY_SCORE;
    most = most < steps_left ? most : steps_left;
    *taken = 0;
    if (!scored || members[begin].class_ix.v == a->run_over.v)
        return 0;
    while (count < most && session->order[i + count] == begin + count &&
           session->nodes[begin + count] == MU_NONE && members[begin + count].held.v == MU_NONE &&
           is_like(&members[begin], &members[begin + count]))
        count++;
    if (count < 2)
        return 0;
    int error = mu_place_put_run(session->place, mu_session_pod(&members[begin]), count,
                                 &session->nodes[begin], &session->devices[begin], taken);
    for (uint32_t m = begin + (error == 0 ? *taken : 0); m < begin + count; m++)
        session->nodes[m] = MU_NONE;
    a->steps += *taken;
    a->placed += *taken;
    if (*taken < count)
        a->run_over = members[begin].class_ix;
    return error;
}
