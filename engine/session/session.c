#include "engine/session/session_priv.h"

#include <string.h>

#include "engine/base/assert.h"
#include "engine/base/mem.h"
#include "engine/session/queue.h"

/* A member is picked for at most three times: as part of its sub-group's minimum, to make up the
 * size, as one beyond. */
#define STEPS_DEFAULT       (3u * MU_LAYOUT_WAYS * MU_GANG_MEMBERS_MAX)
#define ARENA_BYTES_DEFAULT ((size_t)8 << 30)

/* Steps that the searches of a run may make together: a tenth of a second. And when a gang that
 * ran out of them is looked at again, if nothing happens before. */
#define SEARCH_STEPS_PER_RUN (UINT64_C(1) << 15)
#define SEARCH_AGAIN_NS      UINT64_C(1000000000)
#define SCRATCH_BYTES_MAX    ((size_t)1 << 30)

/* ---- lifetime ----------------------------------------------------------------------------- */

struct mu_session *mu_session_create(const struct mu_session_config *config)
{
    struct mu_session *session = mu_mem_zalloc(sizeof *session);
    if (session == NULL)
        return NULL;
    session->config = *config;
    session->profile = config->profile != NULL ? *config->profile : mu_profile_default;
    session->config.profile = &session->profile;
    if (session->config.gang_step_budget == 0)
        session->config.gang_step_budget = STEPS_DEFAULT;
    session->evictions_max = config->evictions_max == 0 ? UINT32_MAX : config->evictions_max;
    if (session->config.arena_bytes_max == 0)
        session->config.arena_bytes_max = ARENA_BYTES_DEFAULT;
    session->arena = mu_arena_create(session->config.arena_bytes_max);
    session->scratch = mu_arena_create(SCRATCH_BYTES_MAX);
    session->place = mu_place_create(&session->profile, NULL);
    const struct mu_preempt_config preempt = {.min_run_s = config->min_run_s};
    session->preempt = mu_preempt_create(&preempt);
    session->nodes = mu_mem_calloc(MU_GANG_MEMBERS_MAX, sizeof *session->nodes);
    session->devices = mu_mem_calloc(MU_GANG_MEMBERS_MAX, sizeof *session->devices);
    session->order = mu_mem_calloc(MU_GANG_MEMBERS_MAX, sizeof *session->order);
    if (session->preempt == NULL || session->arena == NULL || session->scratch == NULL ||
        session->place == NULL || session->nodes == NULL || session->devices == NULL ||
        session->order == NULL) {
        mu_session_destroy(session);
        return NULL;
    }
    return session;
}

void mu_session_destroy(struct mu_session *session)
{
    if (session == NULL)
        return;
    mu_place_destroy(session->place);
    mu_preempt_destroy(session->preempt);
    mu_arena_destroy(session->arena);
    mu_arena_destroy(session->scratch);
    mu_mem_free(session->nodes);
    mu_mem_free(session->devices);
    mu_mem_free(session->order);
    mu_mem_free(session->memos);
    mu_mem_free(session->efforts);
    mu_mem_free(session);
}

void mu_session_unix(struct mu_session *session, uint32_t now_s)
{
    session->now_s = now_s;
}

void mu_session_evictions(struct mu_session *session, uint32_t max, bool any_first)
{
    session->evictions_max = max;
    session->evictions_any_first = any_first;
}

void mu_session_drop_caches(struct mu_session *session)
{
    mu_preempt_drop_caches(session->preempt);
    mu_place_drop_caches(session->place);
    for (uint32_t g = 0; g < session->memo_cap; g++)
        session->memos[g].valid = false;
}

void mu_session_counts(const struct mu_session *session, struct mu_place_counts *out)
{
    mu_place_counts(session->place, out);
}

uint64_t mu_session_costliest(const struct mu_session *session, struct mu_gang_ix *gang)
{
    *gang = session->costliest;
    return session->costliest_looks;
}

static void note_cost(struct mu_session *session, uint32_t gang, uint64_t looks)
{
    if (looks <= session->costliest_looks)
        return;
    session->costliest_looks = looks;
    session->costliest.v = gang;
}

/* ---- admission ----------------------------------------------------------------------------- */

/* True when the members that can be placed now reach the size and every minimum. */
static bool reachable(const struct mu_attempt *a)
{
    for (uint32_t s = 0; s < a->block->subgroup_count; s++) {
        const struct mu_gang_subgroup *subgroup = &a->block->subgroups[s];
        if (mu_gang_subgroup_need(subgroup) > subgroup->member_count)
            return false;
    }
    return a->row->placed_count + a->block->member_count >= a->size;
}

/* True when the gang can be tried; else its wait is in the plan. */
static bool admit(struct mu_session *session, struct mu_attempt *a)
{
    const struct mu_gang_row *row = a->row;
    bool settled = (row->flags & MU_GANG_SETTLED) != 0;
    a->size = settled ? row->size : row->member_count;
    if (!settled && session->now_ns < row->settle_ns) {
        mu_session_wait(session, a->gang, MU_WAIT_QUIET)->until_ns = row->settle_ns;
        if (row->settle_ns < session->plan->next_ns)
            session->plan->next_ns = row->settle_ns;
        return false;
    }
    if (row->placed_count > 0 && row->bound_count == 0 && a->block->member_count > 0) {
        /* Its claim is open: no member is bound, so none may follow past it. */
        (void)mu_session_wait(session, a->gang, MU_WAIT_CLAIM);
        return false;
    }
    if (reachable(a) && a->block->member_count > 0)
        return true;
    if (row->blocked_count > 0) {
        enum mu_wait_kind kind = row->blocked_rules != 0 ? MU_WAIT_UNBUILT : MU_WAIT_GATED;
        if (row->blocked_rules == MU_RULE_GANG_OBJECT)
            kind = MU_WAIT_OBJECT;
        mu_session_wait(session, a->gang, kind)->rules = row->blocked_rules;
        return false;
    }
    struct mu_plan_wait *wait = mu_session_wait(session, a->gang, MU_WAIT_MEMBERS);
    wait->have = row->placed_count + a->block->member_count;
    wait->need = a->size;
    return false;
}

/* ---- deciding ------------------------------------------------------------------------------ */

int mu_session_gang_add(struct mu_session *session, const struct mu_attempt *a,
                        const struct mu_preempt_found *found)
{
    const struct mu_snapshot *snapshot = session->snapshot;
    struct mu_plan_bind *binds = mu_arena_alloc(session->arena, a->placed * sizeof *binds);
    if (binds == NULL)
        return MU_ENOMEM;
    uint32_t count = 0;
    for (uint32_t m = 0; m < a->block->member_count; m++) {
        uint32_t node = session->nodes[m];
        if (node == MU_NONE)
            continue;
        const struct mu_gang_member *member = &a->block->members[m];
        binds[count++] = (struct mu_plan_bind){
            .pod = member->pod,
            .uid = member->uid,
            .version = member->version,
            .node = {node},
            .node_generation = snapshot->nodes[node].generation,
            .devices = session->devices[m],
        };
        mu_place_nomination_over(session->place, member->pod);
    }
    MU_ASSERT(count == a->placed);
    MU_ASSERT(a->row->placed_count + count >= a->size);
    session->gangs[session->plan->gang_count++] = (struct mu_plan_gang){
        .gang = {a->gang},
        .gang_generation = a->row->generation,
        .gang_revision = a->row->revision,
        .size = a->size,
        .bind_count = count,
        .binds = binds,
        .evict_count = found == NULL ? 0 : found->evict_count,
        .evicts = found == NULL ? NULL : found->evicts,
        .budget_violations = found == NULL ? 0 : found->cost.violations,
    };
    return 0;
}

/* There is no room for it: somebody leaves, or it waits. */
static int gang_displaces(struct mu_session *session, struct mu_attempt *a)
{
    bool done;
    int error = mu_session_preempt(session, a, &done);
    return error != 0 || done ? error : mu_session_wait_no_fit(session, a);
}

/* It was not laid out. */
static int gang_misses(struct mu_session *session, struct mu_attempt *a)
{
    if (a->out_of_steps && a->failed.class_ix.v == MU_NONE) {
        (void)mu_session_wait(session, a->gang, MU_WAIT_UNDECIDED);
        return 0;
    }
    mu_session_misses(session, a);
    mu_session_memo_remember(session, a);
    if (a->search_ran_out && !a->search_cut) {
        uint64_t again_ns = session->now_ns + SEARCH_AGAIN_NS;
        mu_session_effort_more(session, a);
        if (mu_session_effort_steps(session, a) > 0 && again_ns < session->plan->next_ns)
            session->plan->next_ns = again_ns;
    }
    return gang_displaces(session, a);
}

/* Try an admitted gang: minimum in a trial, then the members beyond. */
static int gang_place(struct mu_session *session, struct mu_attempt *a)
{
    uint32_t members = a->block->member_count;
    MU_ASSERT(members <= MU_GANG_MEMBERS_MAX);
    bool done = false, is_short = false, mixed = members > 1 && !mu_session_uniform(session, a);
    int error = mixed ? mu_session_short(session, a, &is_short) : 0;
    if (error == 0 && is_short)
        return gang_displaces(session, a);
    a->search_steps = mu_session_effort_steps(session, a);
    if (error == 0)
        error = mu_session_lay_out(session, a, mixed, &done);
    if (error != 0)
        return error;
    if (!done)
        return gang_misses(session, a);
    mu_place_commit(session->place);
    error = mu_session_place_beyond(session, a);
    if (error != 0)
        return error;
    if (a->placed > 0)
        return mu_session_gang_add(session, a, NULL);
    return mu_session_wait_no_fit(session, a);
}

/* Place an admitted gang, or say why not. */
static int gang_try(struct mu_session *session, struct mu_attempt *a)
{
    mu_place_whom(session->place, a->row->priority, (struct mu_gang_ix){a->gang});
    if (mu_session_memo_recall(session, a))
        return gang_displaces(session, a);
    if (mu_session_twin_recall(session, a)) {
        mu_session_memo_remember(session, a);
        return gang_displaces(session, a);
    }
    return gang_place(session, a);
}

static int gang_decide(struct mu_session *session, uint32_t gang)
{
    const struct mu_gang_row *row = &session->snapshot->gangs[gang];
    struct mu_attempt a = {
        .gang = gang, .row = row, .block = row->block, .failed = {{MU_NONE}, {0}}};
    MU_ASSERT(row->block != NULL);
    int error = 0;
    if (mu_session_ends_at_once(session, gang, &error))
        return error;
    if (!admit(session, &a))
        return mu_session_end_due(session, gang);
    if (session->blocked_by.v != MU_NONE) {
        mu_session_wait(session, gang, MU_WAIT_BEHIND)->behind = session->blocked_by;
        return mu_session_end_due(session, gang);
    }
    uint32_t waits = session->plan->wait_count;
    error = gang_try(session, &a);
    if (error != 0 || session->plan->wait_count == waits)
        return error;
    error = mu_session_end_due(session, gang);
    return error == 0 ? mu_session_held_up(session, &a) : error;
}

/* ---- a run -------------------------------------------------------------------------------- */

static int run(struct mu_session *session)
{
    struct mu_snapshot *snapshot = session->snapshot;
    uint32_t pending = snapshot->pending_gangs;
    session->plan = mu_arena_zalloc(session->arena, sizeof *session->plan);
    session->gangs = mu_arena_alloc(session->arena, pending * sizeof *session->gangs);
    session->waits = mu_arena_alloc(session->arena, pending * sizeof *session->waits);
    if (session->plan == NULL || session->gangs == NULL || session->waits == NULL)
        return MU_ENOMEM;
    session->plan->snapshot_generation = snapshot->generation;
    session->plan->gangs = session->gangs;
    session->plan->waits = session->waits;
    session->plan->next_ns = UINT64_MAX;
    session->ends = NULL;
    session->misfit.gang = MU_NONE;
    session->blocked_by.v = session->kept_for.v = MU_NONE;
    session->kept_rows = NULL;
    session->reservation_count = 0;
    session->search_left = SEARCH_STEPS_PER_RUN;
    session->kept.refusals = NULL;
    session->spare_bind_count = 0;
    session->run_failed.class_ix.v = MU_NONE;
    struct mu_queue queue = {0, NULL};
    int error = mu_queue_build(snapshot, session->arena, &queue);
    struct mu_place_counts counts;
    mu_place_counts(session->place, &counts);
    session->costliest = (struct mu_gang_ix){MU_NONE};
    session->costliest_looks = 0;
    for (uint32_t i = 0; i < queue.count && error == 0; i++) {
        uint64_t looks = counts.looks;
        uint32_t taken, gang = queue.rows[i];
        mu_session_fetch_ahead(snapshot, &queue, i);
        error = mu_session_lone_run(session, &queue, i, &taken);
        if (error == 0 && taken == 0)
            error = gang_decide(session, gang);
        else if (error == 0)
            i += taken - 1;
        mu_place_counts(session->place, &counts);
        note_cost(session, gang, counts.looks - looks);
    }
    return error;
}

int mu_session_run(struct mu_session *session, struct mu_snapshot *snapshot, uint64_t now_ns,
                   const struct mu_plan **plan)
{
    mu_arena_reset(session->arena);
    if (session->model_serial != mu_model_serial(snapshot->model)) {
        for (uint32_t g = 0; g < session->memo_cap; g++)
            session->memos[g].valid = false;
        for (uint32_t g = 0; g < session->effort_cap; g++)
            session->efforts[g].tries = 0;
    }
    session->model_serial = mu_model_serial(snapshot->model);
    session->snapshot = snapshot;
    session->now_ns = now_ns;
    session->evictions_left = session->evictions_max;
    session->evictions_begun = false;
    mu_place_begin(session->place, snapshot);
    mu_preempt_begin(session->preempt, snapshot, session->now_s);
    int error = run(session);
    mu_place_end(session->place);
    session->snapshot = NULL;
    if (error != 0)
        return error;
    MU_ASSERT(session->plan->gang_count + session->plan->wait_count == snapshot->pending_gangs);
    *plan = session->plan;
    return 0;
}
