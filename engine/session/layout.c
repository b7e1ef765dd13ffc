#include "engine/session/session_priv.h"

#include <string.h>

/*
 * Laying a gang out: every sub-group's minimum, then members up to the size, in the order of the
 * attempt; a member that fits nowhere is passed over while enough others are left. All of it is in
 * one trial, which a failure rolls back.
 *
 * The rule is exact for members of one class, and where only one rule about other pods changes with
 * what they take (engine/place/terms.h). Where it fails for others, the question is whether any way
 * exists. Bounds and a search (session/search.c) may say that there is none, and then that is the
 * answer. Else three more layouts are tried, which keep to nodes as the rule does or pack better,
 * and at last what the search has found. If nothing was found and nothing refuted, the gang is
 * undecided: that is told, and it is searched for with more steps from time to time.
 */

/* A gang of mixed classes that the greedy pass misses is tried again in other ways, as long as one
 * way looks at no more rows than this: some milliseconds. */
#define CONSTRUCT_ROWS_MAX (1u << 18)

/* Members alike that are placed in one call rather than one by one. */
#define RUN_WORTH_WHILE 16u

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
static int pick_by_scan(struct mu_session *session, struct mu_attempt *a, struct mu_place_pod pod,
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
            int64_t rest = a->way == MU_LARGEST_BEST_FIT ? leftover(snapshot, class_, row) : 0;
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

int mu_session_member_place(struct mu_session *session, struct mu_attempt *a, uint32_t m)
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
        error = mu_place_pick_held(session->place, mu_session_pod(member), member->held,
                                   member->held_devices, &node);
    } else {
        bool scored = a->way == MU_BY_SCORE || a->way == MU_LARGEST_BY_SCORE;
        if (scored) {
            error = mu_place_put(session->place, mu_session_pod(member), &node);
        } else {
            error = pick_by_scan(session, a, mu_session_pod(member), &node);
            if (error == 0 && node.v != MU_NONE)
                error = mu_place_take(session->place, mu_session_pod(member), node);
        }
    }
    if (error != 0)
        return error;
    if (node.v == MU_NONE) {
        if (a->failed.class_ix.v == MU_NONE)
            a->failed = mu_session_pod(member);
        return 0;
    }
    session->nodes[m] = node.v;
    session->devices[m] = mu_place_devices(session->place);
    a->placed++;
    return 0;
}

/* Place `need` of the `count` members from `begin` on that have no node yet, in order. Stops as
 * soon as too few are left. *done says whether all `need` have a node. */
static int members_place(struct mu_session *session, struct mu_attempt *a, uint32_t begin,
                         uint32_t count, uint32_t need, bool *done)
{
    const uint32_t target = a->placed + need, end = begin + count;
    for (uint32_t i = begin; i < end && a->placed != target && !a->out_of_steps;) {
        uint32_t most = target - a->placed < end - i ? target - a->placed : end - i, taken = 0;
        if (a->placed + (end - i) < target)
            break;
        int error =
            most >= RUN_WORTH_WHILE ? mu_session_members_run(session, a, i, most, &taken) : 0;
        if (error == 0 && taken == 0)
            error = mu_session_member_place(session, a, session->order[i]);
        if (error != 0)
            return error;
        i += taken > 0 ? taken : 1;
    }
    *done = a->placed == target;
    return 0;
}

/* Place what must run together. */
static int minimum_place(struct mu_session *session, struct mu_attempt *a, bool *done)
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

/* Largest share first, equal ones as they are: a merge sort from the bottom up. */
static void order_sort(uint32_t *order, uint32_t *spare, const int64_t *share, uint32_t count)
{
    for (uint32_t width = 1; width < count; width *= 2) {
        for (uint32_t begin = 0; begin < count; begin += 2 * width) {
            uint32_t middle = begin + width < count ? begin + width : count;
            uint32_t end = middle + width < count ? middle + width : count;
            uint32_t left = begin, right = middle;
            for (uint32_t at = begin; at < end; at++) {
                bool take_right =
                    left == middle || (right < end && share[order[right]] > share[order[left]]);
                spare[at] = take_right ? order[right++] : order[left++];
            }
        }
        memcpy(order, spare, count * sizeof *order);
    }
}

/* Canonical order, or largest dominant share first within each sub-group, equal ones in canonical
 * order. */
static int lay_order(struct mu_session *session, const struct mu_attempt *a)
{
    const struct mu_snapshot *snapshot = session->snapshot;
    const struct mu_gang_block *block = a->block;
    for (uint32_t m = 0; m < block->member_count; m++)
        session->order[m] = m;
    if (a->way == MU_BY_SCORE || a->way == MU_BY_NAME)
        return 0;
    int64_t *share = mu_arena_alloc(session->arena, block->member_count * sizeof *share);
    uint32_t *spare = mu_arena_alloc(session->arena, block->member_count * sizeof *spare);
    if (share == NULL || spare == NULL)
        return MU_ENOMEM;
    int64_t total[MU_RESOURCES_MAX] = {0};
    for (uint32_t row = 0; row < snapshot->node_rows; row++)
        for (uint32_t r = 0; r < snapshot->resource_count; r++)
            total[r] = mu_amount_add(total[r], mu_snapshot_alloc(snapshot, r, row));
    for (uint32_t m = 0; m < block->member_count; m++)
        share[m] = dominant_share(
            snapshot, mu_model_get_class(snapshot->model, block->members[m].class_ix), total);
    for (uint32_t s = 0; s < block->subgroup_count; s++)
        order_sort(session->order + block->subgroups[s].member_begin, spare, share,
                   block->subgroups[s].member_count);
    return 0;
}

/* On success the trial stays open. */
static int lay_one_way(struct mu_session *session, struct mu_attempt *a, enum mu_layout_way way,
                       bool *done)
{
    a->way = way;
    a->placed = 0;
    a->last_row = MU_NONE;
    a->run_over.v = MU_NONE;
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

/* As the search has found it. On success the trial stays open. */
static int lay_found(struct mu_session *session, struct mu_attempt *a,
                     const struct mu_session_found *found, bool *done)
{
    a->placed = 0;
    for (uint32_t m = 0; m < a->block->member_count; m++)
        session->nodes[m] = MU_NONE;
    mu_place_trial(session->place);
    int error = mu_session_take_found(session, a, found, done);
    if (error != 0 || !*done)
        mu_place_rollback(session->place);
    return error;
}

/* Members that are alike to all rules, where placing one somewhere never costs the others more than
 * its place. */
static bool is_greedy_exact(const struct mu_session *session, const struct mu_attempt *a)
{
    const struct mu_gang_member *first = &a->block->members[0];
    for (uint32_t m = 0; m < a->block->member_count; m++) {
        const struct mu_gang_member *member = &a->block->members[m];
        if (member->class_ix.v != first->class_ix.v || member->kin.v != first->kin.v ||
            member->held.v != MU_NONE)
            return false;
    }
    return mu_terms_independent(session->snapshot, first->class_ix, first->kin);
}

int mu_session_lay_out_here(struct mu_session *session, struct mu_attempt *a, bool mixed,
                            bool *done)
{
    int error = lay_one_way(session, a, MU_BY_SCORE, done);
    struct mu_session_found found = {.result = {.answer = MU_PACK_NO}};
    struct mu_place_pod failed = a->failed;
    uint64_t looks = (uint64_t)a->block->member_count * session->snapshot->node_rows;
    bool again = error == 0 && !*done && mixed && !a->out_of_steps && !is_greedy_exact(session, a);
    if (again)
        error = mu_session_search(session, a, &found);
    again = again && found.result.answer != MU_PACK_NO;
    for (int way = MU_BY_NAME;
         error == 0 && !*done && again && looks <= CONSTRUCT_ROWS_MAX && way < MU_LAYOUT_WAYS;
         way++)
        error = lay_one_way(session, a, (enum mu_layout_way)way, done);
    if (error == 0 && !*done && again && found.result.answer == MU_PACK_FIT)
        error = lay_found(session, a, &found, done);
    a->undecided = error == 0 && !*done && (again || a->out_of_steps);
    a->failed = failed; /* what is said is what the rule met */
    a->way = MU_BY_SCORE;
    return error;
}
