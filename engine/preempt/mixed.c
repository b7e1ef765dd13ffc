#include "engine/preempt/preempt_priv.h"

#include <string.h>

#include "engine/base/assert.h"

/*
 * Any gang: of several classes, or one that rules about other pods concern. F is whether the
 * caller's layout places it, which is not monotone: more room can lead a greedy layout astray, a
 * pod that leaves lowers a spread's minimum. So nothing is concluded from sets that were not tried.
 *
 *     0. without rules about other pods there has to be room for each class by itself once all who
 *        could leave have left, or nobody is of use (with such rules too). Counting is cheap
 *     1. units leave in the order of importance, the least first: how many of them have to is found
 *        by doubling and halving, so that nobody more important is touched. Where no rule about
 *        other pods has a say only units that are on a node which some member can use count
 *     2. with the gang where it was laid out then, units that nobody needs come back, most
 *        important first. Where no rule about other pods has a say that is a matter of the node
 *        that a unit is on; else every member has to pass on its node again
 *     3. the gang is laid out anew without each unit that is left; where that works, 2. again
 *
 * Of a few candidates every set is tried instead. What the steps do not suffice for is kept, and
 * counted.
 */

/* As many candidates are tried in every combination, if the steps suffice. */
#define FEW_MAX 10u

/* So many of the least important leave at first. */
#define FIRST_PREFIX 8u

/* Steps of laying out row by row, if that may be done (engine/session/layout.c). */
#define LOOKS_MAX      (1u << 18)
#define LOOKS_PER_STEP 20u

/* Members are looked at by the first so many of their classes. */
#define CLASSES_MAX 16u

struct mixed {
    struct mu_preempt *p;
    struct mu_preempt_gang *gang;
    const struct mu_gang_block *block;
    bool concerned; /* some member is */
    /* Candidates, least important first; those in the set have a mark. */
    uint32_t count;
    uint32_t *units;
    uint32_t set_count;
    uint32_t *nodes;    /* the layout in hand */
    uint64_t lay_steps; /* of laying the gang out, about */
    uint64_t *asked;    /* by row of the snapshot: resources that the layout asks for there */
};

/* ---- the set ------------------------------------------------------------------------------ */

static bool has(const struct mixed *x, uint32_t unit)
{
    return x->p->marks[unit] != 0;
}

static void put(struct mixed *x, uint32_t unit, bool in)
{
    x->set_count += (in ? 1u : 0u) - (has(x, unit) ? 1u : 0u);
    x->p->marks[unit] = in;
}

/* Whether the unit has to stay in the set for the sake of its gang. */
static bool is_bound(const struct mixed *x, uint32_t unit)
{
    const struct mu_victim_unit *u = &x->p->victims.units[unit];
    return (u->flags & MU_VICTIM_SURPLUS) != 0 && has(x, u->whole);
}

/* Lay the gang out with the set gone. The layout is in the ask's nodes. */
static int try_set(struct mixed *x, bool *done)
{
    struct mu_place *place = x->gang->ask->place;
    *done = false;
    mu_place_trial(place);
    int error = mu_preempt_evict_leaving(x->p, place);
    for (uint32_t i = 0; i < x->count && error == 0; i++)
        if (has(x, x->units[i]))
            error = mu_preempt_evict_unit(x->p, place, x->units[i]);
    if (error == 0)
        error = x->gang->ask->lay(x->gang->ask->context, done);
    mu_place_rollback(place);
    if (error == 0 && *done)
        memcpy(x->nodes, x->gang->ask->nodes, x->block->member_count * sizeof *x->nodes);
    return error;
}

static uint64_t try_steps(const struct mixed *x)
{
    return x->set_count + x->lay_steps;
}

/* ---- 1. by importance ---------------------------------------------------------------------- */

/* A gang in the set brings its surplus. */
static void surplus_follow(struct mixed *x)
{
    for (uint32_t i = 0; i < x->count; i++)
        if (!has(x, x->units[i]) && is_bound(x, x->units[i]))
            put(x, x->units[i], true);
}

static int prefix_try(struct mixed *x, uint32_t count, bool *done)
{
    for (uint32_t i = 0; i < x->count; i++)
        put(x, x->units[i], i < count);
    surplus_follow(x);
    return try_set(x, done);
}

/* As few as possible of the least important, as far as doubling and halving find it. More room can
 * lead a layout astray: then less is found than there is, or more taken. */
static int by_importance(struct mixed *x, bool *found)
{
    uint32_t low = 0, good = 0;
    bool done = false;
    int error = 0;
    *found = false;
    while (error == 0 && !*found && good < x->count) {
        low = good;
        good = good < FIRST_PREFIX / 2 ? FIRST_PREFIX : 2 * good;
        good = good < x->count ? good : x->count;
        if (!mu_preempt_step(x->gang, good + x->lay_steps)) {
            x->p->counts.unproved++;
            return 0;
        }
        error = prefix_try(x, good, found);
    }
    done = *found;
    while (error == 0 && *found && low + 1 < good) {
        uint32_t middle = low + (good - low) / 2;
        if (!mu_preempt_step(x->gang, middle + x->lay_steps))
            break;
        error = prefix_try(x, middle, &done);
        if (done)
            good = middle;
        else
            low = middle;
    }
    if (error == 0 && *found && !done)
        error = prefix_try(x, good, &done); /* its layout, once more */
    MU_ASSERT(error != 0 || !*found || done);
    return error;
}

/* ---- 2. sparing against a layout ----------------------------------------------------------- */

static struct mu_place_pod pod_of(const struct mixed *x, uint32_t m)
{
    return (struct mu_place_pod){x->block->members[m].class_ix, x->block->members[m].kin};
}

/* Whether the member's room on its node is one that it holds: charged already. */
static bool holds(const struct mixed *x, uint32_t m)
{
    const struct mu_gang_member *member = &x->block->members[m];
    return member->held.v != MU_NONE && member->held.v == x->nodes[m] &&
           x->p->snapshot->nodes[member->held.v].generation == member->held_generation;
}

/* With the set gone, in the open trial: every member takes its node again. *done: all could. */
static int members_take(struct mixed *x, bool *done)
{
    struct mu_place *place = x->gang->ask->place;
    int error = 0;
    *done = true;
    for (uint32_t m = 0; m < x->block->member_count && error == 0 && *done; m++) {
        struct mu_node_ix node = {x->nodes[m]};
        struct mu_verdict verdict;
        if (node.v == MU_NONE)
            continue;
        if (holds(x, m)) {
            error = mu_place_stay(place, pod_of(x, m), node, x->block->members[m].held_devices);
            continue;
        }
        error = mu_place_verdict(place, pod_of(x, m), node, &verdict);
        *done = error == 0 && verdict.kind == MU_FITS;
        if (*done)
            error = mu_place_take(place, pod_of(x, m), node);
    }
    return error;
}

static int set_holds(struct mixed *x, bool *holds_still)
{
    struct mu_place *place = x->gang->ask->place;
    mu_place_trial(place);
    int error = mu_preempt_evict_leaving(x->p, place);
    for (uint32_t i = 0; i < x->count && error == 0; i++)
        if (has(x, x->units[i]))
            error = mu_preempt_evict_unit(x->p, place, x->units[i]);
    *holds_still = false;
    if (error == 0)
        error = members_take(x, holds_still);
    mu_place_rollback(place);
    return error;
}

/* What the layout asks for, by row. */
static void asked_mark(struct mixed *x, bool on)
{
    for (uint32_t m = 0; m < x->block->member_count; m++) {
        if (x->nodes[m] == MU_NONE)
            continue;
        const struct mu_class *class_ =
            mu_model_get_class(x->p->snapshot->model, x->block->members[m].class_ix);
        if (on)
            x->asked[x->nodes[m]] |= class_->resource_mask | UINT64_C(1) << MU_RES_PODS;
        else
            x->asked[x->nodes[m]] = 0;
    }
}

/* Whether one pod can come back to its row, in the open trial: the layout keeps its room. */
static bool pod_fits(const struct mixed *x, const struct mu_victim_pod *pod)
{
    const struct mu_snapshot *s = x->p->snapshot;
    const struct mu_occupant *o = mu_victim_occupant(&x->p->victims, pod);
    const struct mu_class *class_ = mu_model_get_class(s->model, o->class_ix);
    if (x->asked[pod->row] == 0)
        return true;
    for (uint64_t left = x->asked[pod->row]; left != 0; left &= left - 1) {
        uint32_t r = (uint32_t)__builtin_ctzll(left);
        if (s->free[r][pod->row] < mu_row_amount(class_, r) && mu_row_amount(class_, r) > 0)
            return false;
    }
    if (s->devices == NULL || s->devices[pod->row].count == 0)
        return true;
    struct mu_device_ask ask = mu_device_ask(&s->devices[pod->row], s->share_resource, class_);
    return ask.count == 0 || (s->devices[pod->row].flags & MU_DEVICE_OVER) != 0 ||
           mu_device_fits(&s->devices[pod->row], ask, o->devices);
}

/* Bring one unit back if it fits. */
static int unit_spare(struct mixed *x, uint32_t unit)
{
    const struct mu_victims *v = &x->p->victims;
    const struct mu_victim_unit *u = &v->units[unit];
    struct mu_place *place = x->gang->ask->place;
    uint32_t back = 0;
    int error = 0;
    for (; error == 0 && back < u->count && pod_fits(x, &v->pods[u->begin + back]); back++)
        error = mu_place_return(place, (struct mu_node_ix){v->pods[u->begin + back].row},
                                mu_victim_occupant(v, &v->pods[u->begin + back]));
    if (error == 0 && back == u->count) {
        put(x, unit, false);
        return 0;
    }
    for (; error == 0 && back > 0; back--)
        error = mu_place_evict(place, (struct mu_node_ix){v->pods[u->begin + back - 1].row},
                               mu_victim_occupant(v, &v->pods[u->begin + back - 1]));
    return error;
}

/* No rule about other pods has a say: unit by unit, all in one trial. */
static int spare_by_room(struct mixed *x)
{
    struct mu_place *place = x->gang->ask->place;
    bool done = false;
    mu_place_trial(place);
    int error = mu_preempt_evict_leaving(x->p, place);
    for (uint32_t i = 0; i < x->count && error == 0; i++)
        if (has(x, x->units[i]))
            error = mu_preempt_evict_unit(x->p, place, x->units[i]);
    if (error == 0)
        error = members_take(x, &done);
    asked_mark(x, true);
    for (int pass = 0; pass < 2 && done; pass++)
        for (uint32_t i = x->count; i-- > 0 && error == 0;)
            if (has(x, x->units[i]) && !is_bound(x, x->units[i]))
                error = unit_spare(x, x->units[i]);
    asked_mark(x, false);
    mu_place_rollback(place);
    return error;
}

/* Take the units of a part of the list out of the set, if every member passes without them. */
static int part_spare(struct mixed *x, const uint32_t *part, uint32_t count)
{
    bool holds_still;
    for (uint32_t i = 0; i < count; i++)
        put(x, part[i], false);
    int error = set_holds(x, &holds_still);
    for (uint32_t i = 0; i < count && (error != 0 || !holds_still); i++)
        put(x, part[i], true);
    return error;
}

/* Ever smaller parts of the set, most important first. */
static int spare_by_rules(struct mixed *x)
{
    uint32_t *list = mu_arena_alloc(x->p->arena, ((size_t)x->count + 1) * sizeof *list);
    int error = list == NULL ? MU_ENOMEM : 0;
    for (uint32_t size = x->set_count; error == 0 && size > 0; size /= 2) {
        uint32_t count = 0;
        for (uint32_t i = x->count; i-- > 0;)
            if (has(x, x->units[i]) && (size > 1 || !is_bound(x, x->units[i])))
                list[count++] = x->units[i];
        for (uint32_t begin = 0; error == 0 && begin < count; begin += size) {
            if (!mu_preempt_step(x->gang, try_steps(x)))
                return 0;
            uint32_t part = count - begin < size ? count - begin : size;
            error = part_spare(x, list + begin, part);
        }
    }
    return error;
}

static int spare(struct mixed *x)
{
    int error = x->concerned ? spare_by_rules(x) : spare_by_room(x);
    surplus_follow(x);
    return error;
}

/* ---- 3. laying out anew -------------------------------------------------------------------- */

static int unit_try_without(struct mixed *x, uint32_t unit, bool *done)
{
    put(x, unit, false);
    int error = try_set(x, done);
    if (error != 0 || !*done)
        put(x, unit, true);
    return error;
}

static int lay_anew(struct mixed *x)
{
    bool changed = true;
    int error = 0;
    while (changed && error == 0) {
        changed = false;
        for (uint32_t i = x->count; i-- > 0 && error == 0;) {
            bool done = false;
            if (!has(x, x->units[i]) || is_bound(x, x->units[i]))
                continue;
            if (!mu_preempt_step(x->gang, try_steps(x))) {
                x->p->counts.unproved += x->set_count;
                return 0;
            }
            error = unit_try_without(x, x->units[i], &done);
            if (error == 0 && done) {
                changed = true;
                error = spare(x);
            }
        }
    }
    return error;
}

/* ---- a few candidates ---------------------------------------------------------------------- */

static void set_cost(const struct mixed *x, struct mu_preempt_cost *cost)
{
    mu_cost_init(cost);
    for (uint32_t i = 0; i < x->count; i++)
        if (has(x, x->units[i]))
            mu_cost_add(cost, &x->p->victims.units[x->units[i]], x->p->violations[x->units[i]]);
}

/* The set whose members are the bits. False: a gang in it would leave surplus behind. */
static bool set_bits(struct mixed *x, uint32_t bits)
{
    bool valid = true;
    for (uint32_t i = 0; i < x->count; i++)
        put(x, x->units[i], (bits >> i & 1) != 0);
    for (uint32_t i = 0; i < x->count; i++)
        valid = valid && (has(x, x->units[i]) || !is_bound(x, x->units[i]));
    return valid;
}

/* Every set that is better than the best so far, by laying the gang out. The best one is the set
 * then. */
static int every_set(struct mixed *x, bool *found)
{
    struct mu_preempt_cost best = {.pods = 0}, cost;
    uint32_t best_bits = 0;
    int error = 0;
    *found = false;
    for (uint32_t bits = 1; bits < 1u << x->count && error == 0; bits++) {
        bool done;
        if (!set_bits(x, bits))
            continue;
        set_cost(x, &cost);
        if (*found && !mu_preempt_cheaper(&cost, &best))
            continue;
        error = try_set(x, &done);
        if (error == 0 && done) {
            *found = true;
            best = cost;
            best_bits = bits;
        }
    }
    (void)set_bits(x, best_bits);
    return error;
}

/* ---- all ---------------------------------------------------------------------------------- */

/* The classes of members that hold no room, and how many members each has; those beyond
 * CLASSES_MAX are not among them. */
struct kinds {
    uint32_t count;
    bool all; /* none is left out */
    struct mu_place_pod pods[CLASSES_MAX];
    uint32_t members[CLASSES_MAX];
};

static void kinds_list(const struct mixed *x, struct kinds *kinds)
{
    *kinds = (struct kinds){.all = true};
    for (uint32_t m = 0; m < x->block->member_count; m++) {
        const struct mu_place_pod pod = pod_of(x, m);
        uint32_t k = 0;
        while (k < kinds->count && kinds->pods[k].class_ix.v != pod.class_ix.v)
            k++;
        kinds->all = kinds->all && k < CLASSES_MAX && x->block->members[m].held.v == MU_NONE;
        if (k == CLASSES_MAX || x->block->members[m].held.v != MU_NONE)
            continue;
        if (k == kinds->count) {
            kinds->pods[k] = pod;
            kinds->members[kinds->count++] = 0;
        }
        kinds->members[k]++;
    }
}

/* Whether some class has too few places for those of its members that have to be placed, whoever
 * leaves. */
static int refute(struct mixed *x, const struct kinds *kinds, bool *refuted)
{
    const uint32_t spare = x->block->member_count - x->gang->need;
    bool enough = true;
    int error = 0;
    for (uint32_t k = 0; k < kinds->count && enough && error == 0; k++)
        if (kinds->members[k] > spare)
            error = mu_row_enough(x->p, x->gang->ask->place, kinds->pods[k], x->gang->row->priority,
                                  kinds->members[k] - spare, &enough);
    *refuted = error == 0 && !enough;
    return error;
}

/* Rows that some member can use: a bit each. */
static int useful_mark(const struct mixed *x, const struct kinds *kinds, uint64_t *useful)
{
    const bool any = x->concerned || !kinds->all;
    int error = 0;
    for (uint32_t begin = 0; begin < x->p->snapshot->node_rows && error == 0;
         begin += MU_NODE_CHUNK) {
        uint64_t all = any ? UINT64_MAX : 0, bits = 0;
        for (uint32_t k = 0; k < kinds->count && !any && error == 0; k++) {
            error = mu_place_may(x->gang->ask->place, kinds->pods[k], begin, &bits);
            all |= bits;
        }
        useful[begin / MU_NODE_CHUNK] = all;
    }
    return error;
}

static bool is_useful(const struct mixed *x, const uint64_t *useful, uint32_t unit)
{
    const struct mu_victims *v = &x->p->victims;
    const struct mu_victim_unit *u = &v->units[unit];
    bool is = false;
    for (uint32_t i = u->begin; i < u->begin + u->count && !is; i++)
        is = (useful[v->pods[i].row / MU_NODE_CHUNK] >> v->pods[i].row % MU_NODE_CHUNK & 1) != 0;
    return is;
}

static int candidates_list(struct mixed *x, const struct kinds *kinds)
{
    const struct mu_victims *v = &x->p->victims;
    const size_t chunks = x->p->snapshot->node_rows / MU_NODE_CHUNK + 1;
    uint64_t *useful = mu_arena_alloc(x->p->arena, chunks * sizeof *useful);
    int error = useful == NULL ? MU_ENOMEM : useful_mark(x, kinds, useful);
    if (error != 0)
        return error;
    uint32_t last = MU_NONE; /* a gang that was looked at last: its surplus goes with it */
    bool last_useful = false;
    for (uint32_t u = 0; u < v->unit_count; u++) {
        const bool surplus = (v->units[u].flags & MU_VICTIM_SURPLUS) != 0;
        if (!mu_victim_below(&v->units[u], x->gang->row->priority))
            continue;
        if (surplus && v->units[u].whole != last) {
            last = v->units[u].whole;
            last_useful = is_useful(x, useful, last);
        }
        if ((surplus && last_useful) || is_useful(x, useful, u))
            x->units[x->count++] = u;
    }
    return mu_preempt_order(x->p, x->units, x->count);
}

static int solve(struct mixed *x, enum mu_preempt_outcome *outcome)
{
    bool done;
    struct kinds kinds;
    mu_preempt_walk(x->p, x->lay_steps);
    int error = try_set(x, &done);
    if (error == 0 && done)
        *outcome = MU_PREEMPT_WAIT;
    if (error != 0 || done)
        return error;
    kinds_list(x, &kinds);
    error = refute(x, &kinds, &x->p->refuted);
    if (error != 0 || x->p->refuted)
        return error;
    error = candidates_list(x, &kinds);
    mu_preempt_walk(x->p, x->count);
    bool few = x->count <= FEW_MAX &&
               mu_preempt_step(x->gang, ((uint64_t)1 << x->count) * (try_steps(x) + x->count));
    if (error == 0)
        error = few ? every_set(x, &done) : by_importance(x, &done);
    if (error != 0 || !done)
        return error;
    error =
        spare(x); /* also of few: greedy finds no way for less, but this layout may do with it */
    if (error == 0 && !few)
        error = lay_anew(x);
    *outcome = MU_PREEMPT_FOUND;
    set_cost(x, &x->p->cost);
    mu_preempt_choose_none(x->p);
    for (uint32_t i = 0; i < x->count && error == 0; i++)
        if (has(x, x->units[i]))
            error = mu_preempt_choose(x->p, x->units[i]);
    return error;
}

int mu_preempt_mixed(struct mu_preempt *p, struct mu_preempt_gang *gang,
                     enum mu_preempt_outcome *outcome)
{
    struct mixed x = {.p = p, .gang = gang, .block = gang->row->block};
    *outcome = MU_PREEMPT_NONE;
    x.units = mu_arena_alloc(p->arena, ((size_t)p->victims.unit_count + 1) * sizeof *x.units);
    x.nodes = mu_arena_alloc(p->arena, ((size_t)x.block->member_count + 1) * sizeof *x.nodes);
    x.asked = mu_arena_calloc(p->arena, (size_t)p->snapshot->node_rows + 1, sizeof *x.asked);
    if (x.units == NULL || x.nodes == NULL || x.asked == NULL)
        return MU_ENOMEM;
    for (uint32_t m = 0; m < x.block->member_count; m++)
        x.concerned = x.concerned || mu_terms_concern(p->snapshot, x.block->members[m].class_ix,
                                                      x.block->members[m].kin);
    x.concerned = x.concerned || p->snapshot->nominated_count > 0;
    /* A layout that fails is tried in other ways, row by row, where they are few. */
    uint64_t looks = (uint64_t)x.block->member_count * p->snapshot->node_rows;
    x.lay_steps = 16 + 8 * (uint64_t)x.block->member_count + p->victims.leaving_count +
                  (x.block->member_count > 1 && looks <= LOOKS_MAX ? looks / LOOKS_PER_STEP : 0);
    int error = solve(&x, outcome);
    for (uint32_t i = 0; i < x.count; i++) {
        p->marks[x.units[i]] = 0;
        p->violations[x.units[i]] = 0;
    }
    return error;
}
