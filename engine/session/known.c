#include "engine/session/session_priv.h"

#include <string.h>

#include "engine/base/assert.h"
#include "engine/base/mem.h"

/*
 * What is known not to fit, so that a retry costs little.
 *
 * A memo says that a gang did not fit the untouched snapshot. Of a uniform gang it holds until room
 * grows or a node object changes, since less room never helps it; of any other for that very
 * snapshot. Within a run the last gang that did not fit speaks for those made alike which follow
 * it, as long as nothing was placed in between.
 */

/* Steps of a gang's first search; each time that it runs out of them the next one has four times as
 * many, until it has tried as often as this. */
#define SEARCH_STEPS_FIRST (UINT64_C(1) << 11)
#define SEARCH_TRIES_MAX   3u

/* A gang of mixed classes is held against the room of this many of them, the first ones. */
#define SHORT_CLASSES_MAX 16u

/* Of the domains that the gang may be laid out in; 0: anywhere. */
static uint64_t domain_generation(const struct mu_snapshot *snapshot, const struct mu_gang_row *row)
{
    uint32_t topology = mu_session_topology(snapshot, row->pack_key);
    return topology == MU_NONE ? 0 : snapshot->domain_generation[topology];
}

bool mu_session_memo_recall(struct mu_session *session, struct mu_attempt *a)
{
    const struct mu_snapshot *snapshot = session->snapshot;
    if (session->memos == NULL || a->gang >= session->memo_cap)
        return false;
    MU_ASSERT(session->memos != NULL);
    const struct mu_session_memo *memo = &session->memos[a->gang];
    if (!memo->valid || memo->domain_generation != domain_generation(snapshot, a->row) ||
        memo->generation != a->row->generation || memo->revision != a->row->revision)
        return false;
    /* Who is nominated to a node and was placed on another leaves more room, not less. */
    bool shrunk = snapshot->nominated_count == 0 || mu_place_untouched(session->place);
    /* Without the nodes that are kept for others a mixed gang may be told something else. */
    if (!memo->uniform && mu_place_is_within(session->place))
        return false;
    bool holds = memo->uniform ? shrunk && memo->static_generation == snapshot->static_generation &&
                                     memo->capacity_generation == snapshot->capacity_generation
                               : memo->snapshot_generation == snapshot->generation &&
                                     mu_place_untouched(session->place);
    if (!holds || memo->search_used > session->search_left ||
        (memo->undecided && mu_session_effort_steps(session, a) != memo->search_steps))
        return false; /* it would be searched for with fewer steps, or with more */
    a->failed = memo->failed;
    a->undecided = memo->undecided;
    /* As if it had been searched for: the others get what they would get then. */
    session->search_left -= memo->search_used;
    mu_session_misses(session, a);
    return true;
}

bool mu_session_uniform(const struct mu_session *session, const struct mu_attempt *a)
{
    for (uint32_t m = 0; m < a->block->member_count; m++) {
        const struct mu_gang_member *member = &a->block->members[m];
        if (member->class_ix.v != a->block->members[0].class_ix.v || member->held.v != MU_NONE ||
            mu_terms_concern(session->snapshot, member->class_ix, member->kin))
            return false;
    }
    return true;
}

void mu_session_memo_remember(struct mu_session *session, const struct mu_attempt *a)
{
    if (!mu_place_untouched(session->place) || a->search_cut || mu_place_is_within(session->place))
        return;
    void *array = session->memos;
    uint32_t cap = session->memo_cap;
    if (mu_mem_grow(&array, &cap, a->gang + 1, MU_GANGS_MAX, sizeof *session->memos) != 0)
        return;
    session->memos = array;
    for (; session->memo_cap < cap; session->memo_cap++)
        session->memos[session->memo_cap].valid = false;
    session->memos[a->gang] = (struct mu_session_memo){
        .valid = true,
        .uniform = mu_session_uniform(session, a),
        .generation = a->row->generation,
        .revision = a->row->revision,
        .domain_generation = domain_generation(session->snapshot, a->row),
        .snapshot_generation = session->snapshot->generation,
        .static_generation = session->snapshot->static_generation,
        .capacity_generation = session->snapshot->capacity_generation,
        .undecided = a->undecided,
        .search_steps = a->search_steps,
        .search_used = a->search_used,
        .failed = a->failed,
    };
}

void mu_session_misses(struct mu_session *session, const struct mu_attempt *a)
{
    session->misfit = (struct mu_session_misfit){.gang = a->gang,
                                                 .size = a->size,
                                                 .taken = mu_place_taken(session->place),
                                                 .undecided = a->undecided,
                                                 .failed = a->failed};
}

uint64_t mu_session_effort_steps(const struct mu_session *session, const struct mu_attempt *a)
{
    uint32_t tries = 0;
    if (a->gang < session->effort_cap) {
        const struct mu_session_effort *effort = &session->efforts[a->gang];
        if (effort->generation == a->row->generation && effort->revision == a->row->revision)
            tries = effort->tries;
        if (tries == SEARCH_TRIES_MAX &&
            effort->snapshot_generation == session->snapshot->generation)
            return 0;
    }
    return SEARCH_STEPS_FIRST << 2 * (tries < SEARCH_TRIES_MAX ? tries : SEARCH_TRIES_MAX - 1);
}

void mu_session_effort_more(struct mu_session *session, const struct mu_attempt *a)
{
    void *array = session->efforts;
    uint32_t cap = session->effort_cap;
    if (mu_mem_grow(&array, &cap, a->gang + 1, MU_GANGS_MAX, sizeof *session->efforts) != 0)
        return;
    session->efforts = array;
    for (; session->effort_cap < cap; session->effort_cap++)
        session->efforts[session->effort_cap].tries = 0;
    struct mu_session_effort *effort = &session->efforts[a->gang];
    if (effort->generation != a->row->generation || effort->revision != a->row->revision)
        effort->tries = 0;
    effort->generation = a->row->generation;
    effort->revision = a->row->revision;
    if (effort->tries < SEARCH_TRIES_MAX)
        effort->tries++;
    effort->snapshot_generation = session->snapshot->generation;
}

/* Gangs made alike wait in rows: what one of them could not have the next cannot, as long as
 * nothing was placed in between. */
bool mu_session_twin_recall(const struct mu_session *session, struct mu_attempt *a)
{
    const struct mu_session_misfit *misfit = &session->misfit;
    /* What is kept for nominated pods is not kept from all gangs alike. */
    if (session->snapshot->nominated_count > 0)
        return false;
    if (misfit->gang == MU_NONE || misfit->taken != mu_place_taken(session->place))
        return false;
    const struct mu_gang_row *row = &session->snapshot->gangs[misfit->gang];
    const struct mu_gang_block *twin = row->block, *block = a->block;
    if (row->pack_key.v != a->row->pack_key.v ||
        ((row->flags ^ a->row->flags) & MU_GANG_PACK_REQUIRED) != 0 ||
        (row->pack_key.v != 0 && row->placed_count > 0 && row->home.v != a->row->home.v))
        return false;
    if (misfit->size != a->size || row->placed_count != a->row->placed_count ||
        twin->member_count != block->member_count || twin->subgroup_count != block->subgroup_count)
        return false;
    for (uint32_t s = 0; s < block->subgroup_count; s++) {
        const struct mu_gang_subgroup *x = &block->subgroups[s], *y = &twin->subgroups[s];
        if (x->min != y->min || x->placed != y->placed || x->member_begin != y->member_begin ||
            x->member_count != y->member_count)
            return false;
    }
    for (uint32_t m = 0; m < block->member_count; m++) {
        const struct mu_gang_member *x = &block->members[m], *y = &twin->members[m];
        if (x->class_ix.v != y->class_ix.v || x->kin.v != y->kin.v || x->held.v != MU_NONE ||
            y->held.v != MU_NONE)
            return false;
    }
    a->failed = misfit->failed;
    a->undecided = misfit->undecided;
    return true;
}

uint32_t mu_session_need(const struct mu_attempt *a)
{
    uint32_t need = mu_place_need(a->row, a->size);
    MU_ASSERT(need <= a->block->member_count);
    return need;
}

/* Room that a member holds is its own, so such members are left out. What is said does not depend
 * on what is remembered. */
int mu_session_short(struct mu_session *session, struct mu_attempt *a, bool *is_short)
{
    const struct mu_gang_block *block = a->block;
    struct mu_place_pod classes[SHORT_CLASSES_MAX];
    uint32_t counts[SHORT_CLASSES_MAX], class_count = 0;
    for (uint32_t m = 0; m < block->member_count; m++) {
        const struct mu_gang_member *member = &block->members[m];
        uint32_t c = 0;
        while (c < class_count && classes[c].class_ix.v != member->class_ix.v)
            c++;
        if (member->held.v != MU_NONE || c == SHORT_CLASSES_MAX)
            continue;
        if (c == class_count) {
            classes[class_count] = mu_session_pod(member);
            counts[class_count++] = 0;
        }
        counts[c]++;
    }
    uint32_t need = mu_session_need(a);
    uint32_t spare = block->member_count - need;
    *is_short = false;
    for (uint32_t c = 0; c < class_count && !*is_short; c++) {
        if (counts[c] <= spare)
            continue;
        int error = mu_place_short(session->place, classes[c], counts[c] - spare, is_short);
        if (error != 0)
            return error;
        if (*is_short)
            a->failed = classes[c];
    }
    return 0;
}
