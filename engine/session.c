#include "engine/session.h"

#include <string.h>

#include "engine/base/arena.h"
#include "engine/base/assert.h"
#include "engine/base/mem.h"
#include "engine/filter.h"
#include "engine/place.h"
#include "engine/queue.h"

/* A member is picked for at most three times: as part of its sub-group's minimum, to make up the
 * size, as one beyond. */
#define STEPS_DEFAULT       (3u * LAYOUT_WAYS * MU_GANG_MEMBERS_MAX)
#define ARENA_BYTES_DEFAULT ((size_t)8 << 30)

/* A gang of mixed classes that the greedy pass misses is tried again in other ways, as long as one
 * way looks at no more rows than this: some milliseconds. */
#define CONSTRUCT_ROWS_MAX (1u << 18)

/* A gang of mixed classes is held against the room of this many of them, the first ones. */
#define SHORT_CLASSES_MAX 16u

/* How a gang's members are laid out: in which order, and onto which of the nodes that fit. The
 * first is the rule. Where it fails the others are tried, and success is its own proof: by name is
 * what a plain first-fit pass does, largest first is what packing wants. */
enum layout_way { BY_SCORE, BY_NAME, LARGEST_BY_SCORE, LARGEST_BEST_FIT, LAYOUT_WAYS };

/* A gang that did not fit the untouched snapshot, and when that is known to hold still. */
struct gang_memo {
    bool valid;
    bool uniform; /* members of one class, no held room: less room never helps it. Of any other
                   * gang that may be short, engine/place.h remembers by class */
    uint32_t generation, revision;
    uint64_t snapshot_generation, static_generation, capacity_generation;
    struct mu_place_pod failed;
};

/* The last gang of this run that did not fit, and the room that was taken then. */
struct misfit {
    uint32_t gang; /* MU_NONE: none yet */
    uint32_t size;
    uint32_t taken;
    struct mu_place_pod failed;
};

/* Why the last pod with reasons of its own did not fit: in the plan's arena. */
struct kept_refusals {
    struct mu_class_ix class_ix;
    const struct mu_refusals *refusals; /* NULL: none yet */
};

struct mu_session {
    struct mu_session_config config;
    struct mu_profile profile;
    struct mu_arena *arena;
    struct mu_place *place;
    uint32_t *nodes;   /* scratch: the row of each member of the gang in hand, or MU_NONE */
    uint16_t *devices; /* scratch: and which of the row's devices */
    uint32_t *order;   /* scratch: its members in the order of the attempt, within sub-groups */
    struct gang_memo *memos;
    uint32_t memo_cap;
    const struct mu_model *model; /* of the memos */
    /* The run in hand. */
    struct mu_snapshot *snapshot;
    uint64_t now_ns;
    struct misfit misfit;
    struct kept_refusals kept;
    struct mu_gang_ix costliest;
    uint64_t costliest_looks;
    struct mu_plan *plan;
    struct mu_plan_gang *gangs;
    struct mu_plan_wait *waits;
};

/* The gang in hand. */
struct attempt {
    uint32_t gang;
    const struct mu_gang_row *row;
    const struct mu_gang_block *block;
    uint32_t size;
    uint32_t placed; /* members given a node in this run */
    uint32_t steps;
    bool out_of_steps;
    enum layout_way way;
    /* BY_NAME, LARGEST_BEST_FIT: the last pick of this layout, MU_NONE: none. */
    struct mu_class_ix last_class;
    uint32_t last_row;
    struct mu_place_pod failed; /* first member that found no node, or one of the class that is
                                 * short; class MU_NONE: none yet */
};

static struct mu_place_pod pod_of(const struct mu_gang_member *member)
{
    return (struct mu_place_pod){member->class_ix, member->kin};
}

static const uint32_t no_counts[MU_RESOURCES_MAX];
_Static_assert(MU_VERDICT_KINDS <= MU_RESOURCES_MAX, "no_counts serves all");

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
    if (session->config.arena_bytes_max == 0)
        session->config.arena_bytes_max = ARENA_BYTES_DEFAULT;
    session->arena = mu_arena_create(session->config.arena_bytes_max);
    session->place = mu_place_create(&session->profile, NULL);
    session->nodes = mu_mem_calloc(MU_GANG_MEMBERS_MAX, sizeof *session->nodes);
    session->devices = mu_mem_calloc(MU_GANG_MEMBERS_MAX, sizeof *session->devices);
    session->order = mu_mem_calloc(MU_GANG_MEMBERS_MAX, sizeof *session->order);
    if (session->arena == NULL || session->place == NULL || session->nodes == NULL ||
        session->devices == NULL || session->order == NULL) {
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
    mu_arena_destroy(session->arena);
    mu_mem_free(session->nodes);
    mu_mem_free(session->devices);
    mu_mem_free(session->order);
    mu_mem_free(session->memos);
    mu_mem_free(session);
}

void mu_session_drop_caches(struct mu_session *session)
{
    mu_place_drop_caches(session->place);
    if (session->memos != NULL)
        memset(session->memos, 0, session->memo_cap * sizeof *session->memos);
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

/* ---- waiting ------------------------------------------------------------------------------ */

static struct mu_plan_wait *wait_add(struct mu_session *session, uint32_t gang,
                                     enum mu_wait_kind kind)
{
    MU_ASSERT(session->plan->wait_count < session->snapshot->pending_gangs);
    struct mu_plan_wait *wait = &session->waits[session->plan->wait_count++];
    *wait = (struct mu_plan_wait){
        .gang = {gang},
        .gang_generation = session->snapshot->gangs[gang].generation,
        .kind = kind,
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
    struct kept_refusals *last = &session->kept;
    if (last->refusals != NULL && last->class_ix.v == class_ix.v &&
        memcmp(last->refusals, *refusals, sizeof **refusals) == 0) {
        *refusals = last->refusals;
        return 0;
    }
    struct mu_refusals *copy = mu_arena_alloc(session->arena, sizeof *copy);
    if (copy == NULL)
        return MU_ENOMEM;
    *copy = **refusals;
    *last = (struct kept_refusals){class_ix, copy};
    *refusals = copy;
    return 0;
}

static int wait_no_fit(struct mu_session *session, const struct attempt *a)
{
    const struct mu_snapshot *snapshot = session->snapshot;
    const struct mu_refusals *refusals;
    int error = mu_place_explain(session->place, a->failed, &refusals);
    if (error == 0 && (snapshot->nominated_count > 0 ||
                       mu_terms_concern(snapshot, a->failed.class_ix, a->failed.kin)))
        error = refusals_keep(session, a->failed.class_ix, &refusals);
    if (error != 0)
        return error;
    struct mu_plan_wait *wait = wait_add(session, a->gang, MU_WAIT_NO_FIT);
    wait->have = a->row->placed_count;
    wait->need = a->size;
    wait->class_ix = a->failed.class_ix;
    wait->nodes_by_verdict = refusals->by_verdict;
    wait->nodes_by_reason = refusals->by_reason;
    wait->nodes_by_resource = refusals->by_resource;
    return 0;
}

/* True when the members that can be placed now reach the size and every minimum. */
static bool reachable(const struct attempt *a)
{
    for (uint32_t s = 0; s < a->block->subgroup_count; s++) {
        const struct mu_gang_subgroup *subgroup = &a->block->subgroups[s];
        if (mu_gang_subgroup_need(subgroup) > subgroup->member_count)
            return false;
    }
    return a->row->placed_count + a->block->member_count >= a->size;
}

/* True when the gang can be tried; else its wait is in the plan. */
static bool admit(struct mu_session *session, struct attempt *a)
{
    const struct mu_gang_row *row = a->row;
    bool settled = (row->flags & MU_GANG_SETTLED) != 0;
    a->size = settled ? row->size : row->member_count;
    if (!settled && session->now_ns < row->settle_ns) {
        wait_add(session, a->gang, MU_WAIT_QUIET)->until_ns = row->settle_ns;
        if (row->settle_ns < session->plan->next_ns)
            session->plan->next_ns = row->settle_ns;
        return false;
    }
    if (row->placed_count > 0 && row->bound_count == 0 && a->block->member_count > 0) {
        /* Its claim is open: no member is bound, so none may follow past it. */
        (void)wait_add(session, a->gang, MU_WAIT_CLAIM);
        return false;
    }
    if (reachable(a) && a->block->member_count > 0)
        return true;
    if (row->blocked_count > 0) {
        enum mu_wait_kind kind = row->blocked_rules != 0 ? MU_WAIT_UNBUILT : MU_WAIT_GATED;
        wait_add(session, a->gang, kind)->rules = row->blocked_rules;
        return false;
    }
    struct mu_plan_wait *wait = wait_add(session, a->gang, MU_WAIT_MEMBERS);
    wait->have = row->placed_count + a->block->member_count;
    wait->need = a->size;
    return false;
}

/* ---- what is known not to fit -------------------------------------------------------------- */

static bool memo_recall(struct mu_session *session, struct attempt *a)
{
    const struct mu_snapshot *snapshot = session->snapshot;
    if (session->memos == NULL || a->gang >= session->memo_cap)
        return false;
    MU_ASSERT(session->memos != NULL);
    const struct gang_memo *memo = &session->memos[a->gang];
    if (!memo->valid || memo->generation != a->row->generation ||
        memo->revision != a->row->revision)
        return false;
    /* Who is nominated to a node and was placed on another leaves more room, not less. */
    bool shrunk = snapshot->nominated_count == 0 || mu_place_untouched(session->place);
    bool holds = memo->uniform ? shrunk && memo->static_generation == snapshot->static_generation &&
                                     memo->capacity_generation == snapshot->capacity_generation
                               : memo->snapshot_generation == snapshot->generation &&
                                     mu_place_untouched(session->place);
    if (holds)
        a->failed = memo->failed;
    return holds;
}

/* Members of one class (and no held room), which no rule about other pods concerns: greedy misses
 * nothing, every node's slots count. */
static bool gang_uniform(const struct mu_session *session, const struct attempt *a)
{
    for (uint32_t m = 0; m < a->block->member_count; m++) {
        const struct mu_gang_member *member = &a->block->members[m];
        if (member->class_ix.v != a->block->members[0].class_ix.v || member->held.v != MU_NONE ||
            mu_terms_concern(session->snapshot, member->class_ix, member->kin))
            return false;
    }
    return true;
}

/* Best effort: without memory it is not remembered. */
static void memo_remember(struct mu_session *session, const struct attempt *a)
{
    if (!mu_place_untouched(session->place))
        return;
    void *array = session->memos;
    uint32_t cap = session->memo_cap;
    if (mu_mem_grow(&array, &cap, a->gang + 1, MU_GANGS_MAX, sizeof *session->memos) != 0)
        return;
    session->memos = array;
    for (; session->memo_cap < cap; session->memo_cap++)
        session->memos[session->memo_cap].valid = false;
    session->memos[a->gang] = (struct gang_memo){
        .valid = true,
        .uniform = gang_uniform(session, a),
        .generation = a->row->generation,
        .revision = a->row->revision,
        .snapshot_generation = session->snapshot->generation,
        .static_generation = session->snapshot->static_generation,
        .capacity_generation = session->snapshot->capacity_generation,
        .failed = a->failed,
    };
}

/* Gangs made alike wait in rows: what one of them could not have the next cannot, as long as
 * nothing was placed in between. */
static bool twin_recall(const struct mu_session *session, struct attempt *a)
{
    const struct misfit *misfit = &session->misfit;
    /* What is kept for nominated pods is not kept from all gangs alike. */
    if (session->snapshot->nominated_count > 0)
        return false;
    if (misfit->gang == MU_NONE || misfit->taken != mu_place_taken(session->place))
        return false;
    const struct mu_gang_row *row = &session->snapshot->gangs[misfit->gang];
    const struct mu_gang_block *twin = row->block, *block = a->block;
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
    return true;
}

/* A gang of mixed classes fits in no way when of some class more members must be placed than the
 * cluster has room for, were it empty of the others. Room that a member holds is its own, so such
 * members are left out. *is_short then, and a->failed is the first such class: what is said does
 * not depend on what is remembered. */
static int gang_short(struct mu_session *session, struct attempt *a, bool *is_short)
{
    const struct mu_gang_block *block = a->block;
    struct mu_place_pod classes[SHORT_CLASSES_MAX];
    uint32_t counts[SHORT_CLASSES_MAX], class_count = 0, need = 0;
    for (uint32_t m = 0; m < block->member_count; m++) {
        const struct mu_gang_member *member = &block->members[m];
        uint32_t c = 0;
        while (c < class_count && classes[c].class_ix.v != member->class_ix.v)
            c++;
        if (member->held.v != MU_NONE || c == SHORT_CLASSES_MAX)
            continue;
        if (c == class_count) {
            classes[class_count] = pod_of(member);
            counts[class_count++] = 0;
        }
        counts[c]++;
    }
    for (uint32_t s = 0; s < block->subgroup_count; s++)
        need += mu_gang_subgroup_need(&block->subgroups[s]);
    if (a->size > a->row->placed_count + need)
        need = a->size - a->row->placed_count;
    MU_ASSERT(need <= block->member_count);
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

/* ---- placing ------------------------------------------------------------------------------ */

/* What part of the cluster a class asks for, of the resource of which it asks most, in 2^-20. */
static int64_t dominant_share(const struct mu_snapshot *snapshot, const struct mu_class *class_,
                              const int64_t *total)
{
    int64_t share = 0;
    for (uint32_t d = 0; d < class_->demand_count; d++) {
        uint32_t r = class_->demands[d].resource.v;
        int64_t unit = r < snapshot->resource_count ? total[r] >> 20 : 0;
        int64_t part = class_->demands[d].amount / (unit > 0 ? unit : 1);
        if (part > share)
            share = part;
    }
    return share;
}

/* What is left on a node after a pod of this class, summed over what the class asks for, each in
 * 2^-16 of the node's own amount: the less, the better the fit. */
static int64_t leftover(const struct mu_snapshot *snapshot, const struct mu_class *class_,
                        uint32_t row)
{
    int64_t sum = 0;
    for (uint32_t d = 0; d < class_->demand_count; d++) {
        uint32_t r = class_->demands[d].resource.v;
        int64_t unit = mu_snapshot_alloc(snapshot, r, row) >> 16;
        sum += (snapshot->free[r][row] - class_->demands[d].amount) / (unit > 0 ? unit : 1);
    }
    return sum;
}

/* Of two nodes that fit, or the first alone: true when `row` comes before `best`. */
static bool comes_first(const struct mu_snapshot *snapshot, uint32_t row, int64_t row_rest,
                        uint32_t best, int64_t best_rest)
{
    if (best == MU_NONE || row_rest != best_rest)
        return best == MU_NONE || row_rest < best_rest;
    const struct mu_symtab *symbols = mu_model_names(snapshot->model);
    return mu_str_compare(mu_symbol_str(symbols, snapshot->nodes[row].name),
                          mu_symbol_str(symbols, snapshot->nodes[best].name)) < 0;
}

/* The node that fits and comes first by name, or is filled best, names breaking ties.
 *
 * Within a layout room only shrinks. So, where no rule about other pods concerns the pod, the first
 * by name stays the first for its class while it fits, and the best filled one, which the pod has
 * filled further, stays the best for a class that goes on. Cost: O(1) then, else O(rows / 64 *
 * requests + rows that fit). */
static int pick_by_scan(struct mu_session *session, struct attempt *a, struct mu_place_pod pod,
                        struct mu_node_ix *out)
{
    const struct mu_snapshot *snapshot = session->snapshot;
    const struct mu_class *class_ = mu_model_get_class(snapshot->model, pod.class_ix);
    bool concerned = mu_terms_concern(snapshot, pod.class_ix, pod.kin);
    uint64_t bits = 0;
    int64_t best = 0;
    int error = 0;
    if (!concerned && a->last_row != MU_NONE && a->last_class.v == pod.class_ix.v) {
        error =
            mu_place_fits(session->place, pod, a->last_row / MU_NODE_CHUNK * MU_NODE_CHUNK, &bits);
        if (error == 0 && (bits >> a->last_row % MU_NODE_CHUNK & 1) != 0) {
            out->v = a->last_row;
            return 0;
        }
    }
    out->v = MU_NONE;
    for (uint32_t begin = 0; error == 0 && begin < snapshot->node_rows; begin += MU_NODE_CHUNK) {
        error = mu_place_fits(session->place, pod, begin, &bits);
        for (; error == 0 && bits != 0; bits &= bits - 1) {
            uint32_t row = begin + (uint32_t)__builtin_ctzll(bits);
            int64_t rest = a->way == LARGEST_BEST_FIT ? leftover(snapshot, class_, row) : 0;
            if (comes_first(snapshot, row, rest, out->v, best)) {
                best = rest;
                out->v = row;
            }
        }
    }
    a->last_class = pod.class_ix;
    a->last_row = concerned ? MU_NONE : out->v;
    return error;
}

/* Give member m the best node, if any and if it has none yet. */
static int member_place(struct mu_session *session, struct attempt *a, uint32_t m)
{
    if (session->nodes[m] != MU_NONE)
        return 0;
    if (a->steps == session->config.gang_step_budget) {
        a->out_of_steps = true;
        return 0;
    }
    a->steps++;
    const struct mu_gang_member *member = &a->block->members[m];
    struct mu_node_ix node = {MU_NONE};
    bool holds = member->held.v != MU_NONE && member->held.v < session->snapshot->node_rows &&
                 session->snapshot->nodes[member->held.v].generation == member->held_generation;
    int error;
    if (holds) {
        a->last_row = MU_NONE; /* this may fill another node further */
        error = mu_place_pick_held(session->place, pod_of(member), member->held,
                                   member->held_devices, &node);
    } else {
        bool scored = a->way == BY_SCORE || a->way == LARGEST_BY_SCORE;
        if (scored) {
            error = mu_place_put(session->place, pod_of(member), &node);
        } else {
            error = pick_by_scan(session, a, pod_of(member), &node);
            if (error == 0 && node.v != MU_NONE)
                error = mu_place_take(session->place, pod_of(member), node);
        }
    }
    if (error != 0)
        return error;
    if (node.v == MU_NONE) {
        if (a->failed.class_ix.v == MU_NONE)
            a->failed = pod_of(member);
        return 0;
    }
    session->nodes[m] = node.v;
    session->devices[m] = mu_place_devices(session->place);
    a->placed++;
    return 0;
}

/* Place `need` of the `count` members from `begin` on that have no node yet, in order. Stops as
 * soon as too few are left. *done says whether all `need` have a node. */
static int members_place(struct mu_session *session, struct attempt *a, uint32_t begin,
                         uint32_t count, uint32_t need, bool *done)
{
    uint32_t target = a->placed + need;
    for (uint32_t i = begin; i < begin + count; i++) {
        uint32_t left = begin + count - i;
        if (a->placed == target || a->placed + left < target || a->out_of_steps)
            break;
        int error = member_place(session, a, session->order[i]);
        if (error != 0)
            return error;
    }
    *done = a->placed == target;
    return 0;
}

/* Place what must run together. */
static int minimum_place(struct mu_session *session, struct attempt *a, bool *done)
{
    const struct mu_gang_block *block = a->block;
    *done = true;
    for (uint32_t s = 0; s < block->subgroup_count && *done; s++) {
        const struct mu_gang_subgroup *subgroup = &block->subgroups[s];
        int error = members_place(session, a, subgroup->member_begin, subgroup->member_count,
                                  mu_gang_subgroup_need(subgroup), done);
        if (error != 0)
            return error;
    }
    uint32_t have = a->row->placed_count + a->placed;
    if (!*done || have >= a->size)
        return 0;
    /* Members that have a node already are passed over; that they count as left there only delays
     * giving up. */
    return members_place(session, a, 0, block->member_count, a->size - have, done);
}

static int gang_add(struct mu_session *session, const struct attempt *a)
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
    };
    return 0;
}

/* Canonical order, or largest dominant share first within each sub-group, equal ones in canonical
 * order. */
static int lay_order(struct mu_session *session, const struct attempt *a)
{
    const struct mu_snapshot *snapshot = session->snapshot;
    const struct mu_gang_block *block = a->block;
    for (uint32_t m = 0; m < block->member_count; m++)
        session->order[m] = m;
    if (a->way == BY_SCORE || a->way == BY_NAME)
        return 0;
    int64_t *share = mu_arena_alloc(session->arena, block->member_count * sizeof *share);
    if (share == NULL)
        return MU_ENOMEM;
    int64_t total[MU_RESOURCES_MAX] = {0};
    for (uint32_t row = 0; row < snapshot->node_rows; row++)
        for (uint32_t r = 0; r < snapshot->resource_count; r++)
            total[r] = mu_amount_add(total[r], mu_snapshot_alloc(snapshot, r, row));
    for (uint32_t m = 0; m < block->member_count; m++)
        share[m] = dominant_share(
            snapshot, mu_model_get_class(snapshot->model, block->members[m].class_ix), total);
    for (uint32_t s = 0; s < block->subgroup_count; s++) {
        uint32_t begin = block->subgroups[s].member_begin;
        uint32_t end = begin + block->subgroups[s].member_count;
        for (uint32_t i = begin + 1; i < end; i++) { /* stable; CONSTRUCT_ROWS_MAX bounds it */
            uint32_t m = session->order[i], at = i;
            for (; at > begin && share[session->order[at - 1]] < share[m]; at--)
                session->order[at] = session->order[at - 1];
            session->order[at] = m;
        }
    }
    return 0;
}

/* Lay the minimum out in one way. On success the trial stays open. */
static int lay_out(struct mu_session *session, struct attempt *a, enum layout_way way, bool *done)
{
    a->way = way;
    a->placed = 0;
    a->last_row = MU_NONE;
    for (uint32_t m = 0; m < a->block->member_count; m++)
        session->nodes[m] = MU_NONE;
    int error = lay_order(session, a);
    if (error != 0)
        return error;
    mu_place_trial(session->place);
    error = minimum_place(session, a, done);
    if (error != 0 || !*done)
        mu_place_rollback(session->place);
    return error;
}

/* Try an admitted gang: minimum in a trial, then the members beyond. */
static int gang_place(struct mu_session *session, struct attempt *a)
{
    uint32_t members = a->block->member_count;
    MU_ASSERT(members <= MU_GANG_MEMBERS_MAX);
    bool done = false, is_short = false, mixed = members > 1 && !gang_uniform(session, a);
    int error = mixed ? gang_short(session, a, &is_short) : 0;
    if (error == 0 && is_short)
        return wait_no_fit(session, a);
    if (error == 0)
        error = lay_out(session, a, BY_SCORE, &done);
    struct mu_place_pod failed = a->failed;
    bool again = (uint64_t)members * session->snapshot->node_rows <= CONSTRUCT_ROWS_MAX && mixed &&
                 !a->out_of_steps;
    for (int way = BY_NAME; error == 0 && !done && again && way < LAYOUT_WAYS; way++)
        error = lay_out(session, a, (enum layout_way)way, &done);
    if (error != 0)
        return error;
    if (!done) {
        if (a->out_of_steps) {
            (void)wait_add(session, a->gang, MU_WAIT_UNDECIDED);
            return 0;
        }
        a->failed = failed;
        session->misfit = (struct misfit){a->gang, a->size, mu_place_taken(session->place), failed};
        memo_remember(session, a);
        return wait_no_fit(session, a);
    }
    mu_place_commit(session->place);
    a->way = BY_SCORE;
    for (uint32_t m = 0; m < members && !a->out_of_steps; m++) {
        error = member_place(session, a, m);
        if (error != 0)
            return error;
    }
    if (a->placed > 0)
        return gang_add(session, a);
    return wait_no_fit(session, a);
}

static int gang_decide(struct mu_session *session, uint32_t gang)
{
    const struct mu_gang_row *row = &session->snapshot->gangs[gang];
    struct attempt a = {.gang = gang, .row = row, .block = row->block, .failed = {{MU_NONE}, {0}}};
    MU_ASSERT(row->block != NULL);
    if (!admit(session, &a))
        return 0;
    mu_place_whom(session->place, row->priority, (struct mu_gang_ix){gang});
    if (memo_recall(session, &a))
        return wait_no_fit(session, &a);
    if (twin_recall(session, &a)) {
        memo_remember(session, &a);
        return wait_no_fit(session, &a);
    }
    return gang_place(session, &a);
}

/* ---- a run -------------------------------------------------------------------------------- */

/* Gangs are looked at in the order of the queue, their blocks lie where they were made: while one
 * is decided, those behind it are loaded, step by step along the pointers. */
static void fetch_ahead(const struct mu_snapshot *snapshot, const struct mu_queue *queue,
                        uint32_t i)
{
    if (i + 24 < queue->count)
        __builtin_prefetch(&snapshot->gangs[queue->rows[i + 24]]);
    if (i + 16 < queue->count)
        __builtin_prefetch(snapshot->gangs[queue->rows[i + 16]].block);
    if (i + 8 >= queue->count)
        return;
    const struct mu_gang_block *block = snapshot->gangs[queue->rows[i + 8]].block;
    if (block != NULL) {
        __builtin_prefetch(block->members);
        __builtin_prefetch(block->subgroups);
    }
}

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
    session->misfit.gang = MU_NONE;
    session->kept.refusals = NULL;
    struct mu_queue queue = {0, NULL};
    int error = mu_queue_build(snapshot, session->arena, &queue);
    struct mu_place_counts counts;
    mu_place_counts(session->place, &counts);
    session->costliest = (struct mu_gang_ix){MU_NONE};
    session->costliest_looks = 0;
    for (uint32_t i = 0; i < queue.count && error == 0; i++) {
        uint64_t looks = counts.looks;
        fetch_ahead(snapshot, &queue, i);
        error = gang_decide(session, queue.rows[i]);
        mu_place_counts(session->place, &counts);
        note_cost(session, queue.rows[i], counts.looks - looks);
    }
    return error;
}

int mu_session_run(struct mu_session *session, struct mu_snapshot *snapshot, uint64_t now_ns,
                   const struct mu_plan **plan)
{
    mu_arena_reset(session->arena);
    if (session->model != snapshot->model && session->memos != NULL)
        memset(session->memos, 0, session->memo_cap * sizeof *session->memos);
    session->model = snapshot->model;
    session->snapshot = snapshot;
    session->now_ns = now_ns;
    mu_place_begin(session->place, snapshot);
    int error = run(session);
    mu_place_end(session->place);
    session->snapshot = NULL;
    if (error != 0)
        return error;
    MU_ASSERT(session->plan->gang_count + session->plan->wait_count == snapshot->pending_gangs);
    *plan = session->plan;
    return 0;
}
