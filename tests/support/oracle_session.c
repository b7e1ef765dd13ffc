#include "tests/support/oracle.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "engine/base/assert.h"
#include "engine/base/mem.h"

/* ---- gangs -------------------------------------------------------------------------------- */

struct oracle {
    struct mu_snapshot *snapshot;
    const struct mu_profile *profile;
    uint64_t now_ns;
    struct mu_oracle_plan *plan;
    const struct mu_plan *found;
    /* Charges made, to undo. */
    struct charge {
        struct mu_class_ix class_ix;
        uint32_t row;
        uint16_t devices;
    } * charges;
    uint32_t charge_count;
    int way; /* of laying out, as engine/session/session_priv.h orders them: 0 is by score */
    uint32_t *counted_by; /* by class: gang row whose counts are the class's, MU_NONE: none yet */
    uint32_t class_count;
};

static bool goes_before(const struct mu_gang_row *a, const struct mu_gang_row *b)
{
    bool a_short = (a->flags & MU_GANG_SHORT) != 0, b_short = (b->flags & MU_GANG_SHORT) != 0;
    if (a_short != b_short)
        return a_short;
    if (a->priority != b->priority)
        return a->priority > b->priority;
    if (a->created_s != b->created_s)
        return a->created_s < b->created_s;
    return a->sequence < b->sequence;
}

static void charges_undo(struct oracle *o, uint32_t down_to)
{
    while (o->charge_count > down_to) {
        const struct charge *charge = &o->charges[--o->charge_count];
        mu_oracle_move(o->snapshot, charge->class_ix, charge->row, charge->devices, -1);
    }
}

/* What is left of what the class asks for, in 2^-16 of each amount of the node. */
static int64_t rest_of(const struct mu_snapshot *s, const struct mu_class *c, uint32_t row)
{
    int64_t rest = 0;
    for (uint32_t d = 0; d < c->demand_count; d++) {
        uint32_t r = c->demands[d].resource.v;
        int64_t unit = mu_snapshot_alloc(s, r, row) >> 16;
        rest += (s->free[r][row] - c->demands[d].amount) / (unit > 0 ? unit : 1);
    }
    return rest;
}

/* First by name (way 1) or best filled, then by name (way 3). */
static uint32_t pick_another_way(const struct oracle *o, struct mu_class_ix class_ix)
{
    const struct mu_snapshot *s = o->snapshot;
    const struct mu_class *c = mu_model_get_class(s->model, class_ix);
    const struct mu_symtab *symbols = mu_model_names(s->model);
    uint32_t best = MU_NONE;
    for (uint32_t row = 0; row < s->node_rows; row++) {
        if ((s->nodes[row].flags & MU_NODE_PRESENT) == 0 ||
            mu_oracle_verdict(s, c, row).kind != MU_FITS)
            continue;
        if (best == MU_NONE) {
            best = row;
            continue;
        }
        int64_t gain = o->way == 3 ? rest_of(s, c, best) - rest_of(s, c, row) : 0;
        if (gain > 0 ||
            (gain == 0 && mu_str_compare(mu_symbol_str(symbols, s->nodes[row].name),
                                         mu_symbol_str(symbols, s->nodes[best].name)) < 0))
            best = row;
    }
    return best;
}

static int64_t share_of(const struct mu_snapshot *s, struct mu_class_ix class_ix)
{
    const struct mu_class *c = mu_model_get_class(s->model, class_ix);
    int64_t share = 0;
    for (uint32_t d = 0; d < c->demand_count; d++) {
        uint32_t r = c->demands[d].resource.v;
        int64_t total = 0;
        for (uint32_t row = 0; r < s->resource_count && row < s->node_rows; row++)
            total += mu_snapshot_alloc(s, r, row);
        int64_t unit = total >> 20 > 0 ? total >> 20 : 1;
        if (c->demands[d].amount / unit > share)
            share = c->demands[d].amount / unit;
    }
    return share;
}

/* The member of [begin, begin + count) that comes at place `nth`: canonical, or by falling
 * share. */
static uint32_t member_at(const struct oracle *o, const struct mu_gang_block *block, uint32_t begin,
                          uint32_t count, uint32_t nth)
{
    if (o->way < 2)
        return begin + nth;
    for (uint32_t m = begin; m < begin + count; m++) {
        uint32_t before = 0;
        int64_t share = share_of(o->snapshot, block->members[m].class_ix);
        for (uint32_t n = begin; n < begin + count; n++) {
            int64_t other = share_of(o->snapshot, block->members[n].class_ix);
            before += other > share || (other == share && n < m);
        }
        if (before == nth)
            return m;
    }
    MU_ASSERT(false);
    return begin;
}

/* Where member `nth` of all comes from: sub-groups keep their places. */
static uint32_t member_of_all(const struct oracle *o, const struct mu_gang_block *block,
                              uint32_t nth)
{
    for (uint32_t g = 0; g < block->subgroup_count; g++) {
        const struct mu_gang_subgroup *sub = &block->subgroups[g];
        if (nth >= sub->member_begin && nth < sub->member_begin + sub->member_count)
            return member_at(o, block, sub->member_begin, sub->member_count,
                             nth - sub->member_begin);
    }
    return nth;
}

/* The best row for a member, taken; and which of its devices. */
static uint32_t member_place(struct oracle *o, const struct mu_gang_member *m, uint16_t *devices)
{
    struct mu_snapshot *s = o->snapshot;
    bool holds = m->held.v != MU_NONE && m->held.v < s->node_rows &&
                 s->nodes[m->held.v].generation == m->held_generation;
    if (holds)
        mu_oracle_move(s, m->class_ix, m->held.v, m->held_devices, -1);
    bool by_score = holds || o->way == 0 || o->way == 2;
    uint32_t row =
        by_score ? mu_oracle_pick(s, o->profile, m->class_ix) : pick_another_way(o, m->class_ix);
    if (holds)
        mu_oracle_move(s, m->class_ix, m->held.v, m->held_devices, 1);
    *devices = holds ? m->held_devices : 0;
    if (row != MU_NONE && !(holds && row == m->held.v)) {
        *devices = mu_oracle_take(s, o->profile, m->class_ix, row);
        o->charges[o->charge_count++] = (struct charge){m->class_ix, row, *devices};
    }
    return row;
}

static bool wait_is(struct mu_oracle_gang *out, enum mu_wait_kind kind)
{
    out->wait.kind = kind;
    return false;
}

static bool may_try(struct oracle *o, const struct mu_gang_row *row, struct mu_oracle_gang *out)
{
    const struct mu_gang_block *block = row->block;
    bool settled = (row->flags & MU_GANG_SETTLED) != 0;
    out->size = settled ? row->size : row->member_count;
    if (!settled && o->now_ns < row->settle_ns) {
        out->wait.until_ns = row->settle_ns;
        if (row->settle_ns < o->plan->next_ns)
            o->plan->next_ns = row->settle_ns;
        return wait_is(out, MU_WAIT_QUIET);
    }
    if (row->placed_count > 0 && row->bound_count == 0 && block->member_count > 0)
        return wait_is(out, MU_WAIT_CLAIM);
    uint32_t have = row->placed_count + block->member_count;
    bool enough = have >= out->size && block->member_count > 0;
    for (uint32_t g = 0; g < block->subgroup_count; g++) {
        const struct mu_gang_subgroup *sub = &block->subgroups[g];
        if (sub->min > 0 && sub->placed + sub->member_count < sub->min)
            enough = false;
    }
    if (enough)
        return true;
    if (row->blocked_count > 0) {
        out->wait.rules = row->blocked_rules;
        return wait_is(out, row->blocked_rules != 0 ? MU_WAIT_UNBUILT : MU_WAIT_GATED);
    }
    out->wait.have = have;
    out->wait.need = out->size;
    return wait_is(out, MU_WAIT_MEMBERS);
}

/* Place up to `need` members of [begin, begin + count) that have no row yet; returns how many are
 * missing. */
static uint32_t members_place(struct oracle *o, const struct mu_gang_block *block,
                              struct mu_oracle_gang *out, uint32_t begin, uint32_t count,
                              uint32_t need, struct mu_class_ix *failed)
{
    for (uint32_t i = begin; i < begin + count && need > 0; i++) {
        uint32_t m = member_of_all(o, block, i);
        if (out->nodes[m] != MU_NONE)
            continue;
        out->nodes[m] = member_place(o, &block->members[m], &out->devices[m]);
        if (out->nodes[m] != MU_NONE)
            need--;
        else if (failed->v == MU_NONE)
            *failed = block->members[m].class_ix;
    }
    return need;
}

static void no_fit(struct oracle *o, uint32_t gang, struct mu_class_ix failed)
{
    const struct mu_gang_row *row = &o->snapshot->gangs[gang];
    struct mu_oracle_gang *out = &o->plan->gangs[gang];
    out->wait.kind = MU_WAIT_NO_FIT;
    out->wait.have = row->placed_count;
    out->wait.need = out->size;
    out->wait.class_ix = failed;
    uint32_t *counted_by = &o->counted_by[failed.v];
    if (*counted_by != MU_NONE) {
        const struct mu_oracle_gang *first = &o->plan->gangs[*counted_by];
        out->refusals = first->refusals;
        return;
    }
    *counted_by = gang;
    const struct mu_class *c = mu_model_get_class(o->snapshot->model, failed);
    for (uint32_t n = 0; n < o->snapshot->node_rows; n++) {
        if ((o->snapshot->nodes[n].flags & MU_NODE_PRESENT) == 0)
            continue;
        mu_oracle_count(&out->refusals, mu_oracle_verdict(o->snapshot, c, n));
    }
}

/* Lay the minimum out in way o->way; returns how many are missing and leaves no trace of a
 * failure. */
static uint32_t minimum_place(struct oracle *o, const struct mu_gang_row *row,
                              struct mu_oracle_gang *out, struct mu_class_ix *failed)
{
    const struct mu_gang_block *block = row->block;
    uint32_t mark = o->charge_count, missing = 0, have = row->placed_count;
    for (uint32_t g = 0; g < block->subgroup_count && missing == 0; g++) {
        const struct mu_gang_subgroup *sub = &block->subgroups[g];
        uint32_t need = sub->min == 0            ? sub->member_count
                        : sub->min > sub->placed ? sub->min - sub->placed
                                                 : 0;
        missing = members_place(o, block, out, sub->member_begin, sub->member_count, need, failed);
        have += need - missing;
    }
    if (missing == 0 && have < out->size)
        missing = members_place(o, block, out, 0, block->member_count, out->size - have, failed);
    if (missing > 0) {
        charges_undo(o, mark);
        for (uint32_t m = 0; m < block->member_count; m++)
            out->nodes[m] = MU_NONE;
    }
    return missing;
}

/* Members of several classes, or with held room. */
static bool mixed(const struct mu_gang_block *block)
{
    bool differ = false;
    for (uint32_t m = 0; m < block->member_count; m++)
        differ = differ || block->members[m].class_ix.v != block->members[0].class_ix.v ||
                 block->members[m].held.v != MU_NONE;
    return differ && block->member_count > 1;
}

/* How many pods of the class fit in all, one put after the other where there is still room. */
static uint32_t room_for(struct mu_snapshot *s, struct mu_class_ix class_ix, uint32_t enough)
{
    const struct mu_class *c = mu_model_get_class(s->model, class_ix);
    uint32_t count = 0;
    for (uint32_t row = 0; row < s->node_rows; row++) {
        uint16_t taken[MU_ORACLE_SLOTS_MAX];
        uint32_t here = 0;
        MU_ASSERT(enough <= MU_ORACLE_SLOTS_MAX);
        while ((s->nodes[row].flags & MU_NODE_PRESENT) != 0 && count + here < enough &&
               mu_oracle_verdict(s, c, row).kind == MU_FITS)
            taken[here++] = mu_oracle_take(s, &mu_profile_spread, class_ix, row);
        count += here;
        while (here-- > 0)
            mu_oracle_move(s, class_ix, row, taken[here], -1);
    }
    return count;
}

/* Of which of the gang's first 16 classes there are too few places for those members without held
 * room that cannot be spared; MU_NONE: of none. */
static struct mu_class_ix short_class(struct oracle *o, const struct mu_gang_row *row,
                                      uint32_t size)
{
    const struct mu_gang_block *block = row->block;
    uint32_t minima = 0, classes = 0;
    for (uint32_t g = 0; g < block->subgroup_count; g++) {
        const struct mu_gang_subgroup *sub = &block->subgroups[g];
        minima += sub->min == 0            ? sub->member_count
                  : sub->min > sub->placed ? sub->min - sub->placed
                                           : 0;
    }
    uint32_t rest = size > row->placed_count ? size - row->placed_count : 0;
    uint32_t spare = block->member_count - (minima > rest ? minima : rest);
    for (uint32_t m = 0; m < block->member_count; m++) {
        struct mu_class_ix class_ix = block->members[m].class_ix;
        uint32_t before = 0, count = 0;
        for (uint32_t n = 0; n < block->member_count; n++) {
            bool same =
                block->members[n].class_ix.v == class_ix.v && block->members[n].held.v == MU_NONE;
            before += same && n < m;
            count += same;
        }
        if (before > 0 || block->members[m].held.v != MU_NONE)
            continue;
        if (++classes > 16)
            break;
        if (count > spare && room_for(o->snapshot, class_ix, count - spare) < count - spare)
            return class_ix;
    }
    return (struct mu_class_ix){MU_NONE};
}

/* True when what is left of a node says all about how many more pods of the gang it takes, and its
 * classes are few, those of each sub-group by themselves: then a search must have an answer. */
static bool is_plain(const struct mu_snapshot *s, const struct mu_gang_block *block)
{
    uint32_t types = 0;
    for (uint32_t m = 0; m < block->member_count; m++) {
        const struct mu_class *c = mu_model_get_class(s->model, block->members[m].class_ix);
        if (block->members[m].held.v != MU_NONE)
            return false;
        for (uint32_t d = 0; d < c->demand_count && s->devices != NULL; d++)
            if (c->demands[d].resource.v == s->share_resource)
                return false;
    }
    for (uint32_t g = 0; g < block->subgroup_count; g++) {
        const struct mu_gang_subgroup *sub = &block->subgroups[g];
        for (uint32_t m = sub->member_begin; m < sub->member_begin + sub->member_count; m++) {
            uint32_t n = sub->member_begin;
            while (block->members[n].class_ix.v != block->members[m].class_ix.v)
                n++;
            types += n == m;
        }
    }
    return types <= 16;
}

/* True when the members that have a node are as many as the gang needs. */
static bool is_enough(const struct mu_gang_row *row, const struct mu_oracle_gang *out)
{
    uint32_t all = row->placed_count;
    for (uint32_t g = 0; g < row->block->subgroup_count; g++) {
        const struct mu_gang_subgroup *sub = &row->block->subgroups[g];
        uint32_t here = 0;
        for (uint32_t m = sub->member_begin; m < sub->member_begin + sub->member_count; m++)
            here += out->nodes[m] != MU_NONE;
        all += here;
        if (sub->min == 0 ? here < sub->member_count : sub->placed + here < sub->min)
            return false;
    }
    return all >= out->size;
}

/* Take what the session found, if it is what the gang needs and fits. */
static bool take_found(struct oracle *o, uint32_t gang, struct mu_oracle_gang *out)
{
    const struct mu_gang_row *row = &o->snapshot->gangs[gang];
    const struct mu_plan_gang *found = NULL;
    for (uint32_t g = 0; o->found != NULL && g < o->found->gang_count; g++)
        if (o->found->gangs[g].gang.v == gang)
            found = &o->found->gangs[g];
    for (uint32_t b = 0; found != NULL && b < found->bind_count; b++) {
        uint32_t m = 0;
        while (m < row->block->member_count &&
               row->block->members[m].pod.v != found->binds[b].pod.v)
            m++;
        MU_ASSERT(m < row->block->member_count && out->nodes[m] == MU_NONE);
        struct mu_class_ix class_ix = row->block->members[m].class_ix;
        uint32_t node = found->binds[b].node.v;
        const struct mu_class *c = mu_model_get_class(o->snapshot->model, class_ix);
        MU_ASSERT(mu_oracle_verdict(o->snapshot, c, node).kind == MU_FITS);
        out->nodes[m] = node;
        out->devices[m] = (uint16_t)found->binds[b].devices;
        mu_oracle_move(o->snapshot, class_ix, node, out->devices[m], 1);
        o->charges[o->charge_count++] = (struct charge){class_ix, node, out->devices[m]};
    }
    MU_ASSERT(found == NULL || is_enough(row, out));
    return found != NULL;
}

/* Whether any choice of nodes for the members from m on gives the gang what it needs. */
static bool any_way(struct oracle *o, const struct mu_gang_row *row, struct mu_oracle_gang *out,
                    uint32_t m)
{
    struct mu_snapshot *s = o->snapshot;
    if (is_enough(row, out))
        return true;
    if (m == row->block->member_count)
        return false;
    struct mu_class_ix class_ix = row->block->members[m].class_ix;
    const struct mu_class *c = mu_model_get_class(s->model, class_ix);
    bool found = false;
    for (uint32_t node = 0; node < s->node_rows && !found; node++) {
        if ((s->nodes[node].flags & MU_NODE_PRESENT) == 0 ||
            mu_oracle_verdict(s, c, node).kind != MU_FITS)
            continue;
        uint16_t devices = mu_oracle_take(s, o->profile, class_ix, node);
        out->nodes[m] = node;
        found = any_way(o, row, out, m + 1);
        out->nodes[m] = MU_NONE;
        mu_oracle_move(s, class_ix, node, devices, -1);
    }
    return found || any_way(o, row, out, m + 1);
}

static void decide(struct oracle *o, uint32_t gang)
{
    const struct mu_gang_row *row = &o->snapshot->gangs[gang];
    const struct mu_gang_block *block = row->block;
    struct mu_oracle_gang *out = &o->plan->gangs[gang];
    out->wait.class_ix.v = MU_NONE;
    out->nodes = mu_mem_calloc(block->member_count + 1, sizeof *out->nodes);
    out->devices = mu_mem_calloc(block->member_count + 1, sizeof *out->devices);
    MU_ASSERT(out->nodes != NULL && out->devices != NULL);
    for (uint32_t m = 0; m < block->member_count; m++)
        out->nodes[m] = MU_NONE;
    if (!may_try(o, row, out))
        return;
    struct mu_class_ix failed = {MU_NONE}, later = {MU_NONE};
    bool several = mixed(block);
    if (several)
        failed = short_class(o, row, out->size);
    if (failed.v != MU_NONE) {
        no_fit(o, gang, failed);
        return;
    }
    o->way = 0;
    uint32_t missing = minimum_place(o, row, out, &failed);
    for (o->way = 1; missing > 0 && o->way < 4 && several; o->way++)
        missing = minimum_place(o, row, out, &later);
    if (missing > 0 && several && is_plain(o->snapshot, block) && take_found(o, gang, out))
        missing = 0;
    if (missing > 0) {
        bool is_small = o->snapshot->node_rows <= 6 && block->member_count <= 6;
        MU_ASSERT(!is_small || !several || !is_plain(o->snapshot, block) ||
                  !any_way(o, row, out, 0));
        no_fit(o, gang, failed);
        if (several && !is_plain(o->snapshot, block))
            out->wait.kind = MU_WAIT_UNDECIDED;
        return;
    }
    o->way = 0;
    members_place(o, block, out, 0, block->member_count, block->member_count, &failed);
    for (uint32_t m = 0; m < block->member_count; m++)
        out->placed = out->placed || out->nodes[m] != MU_NONE;
    if (!out->placed)
        no_fit(o, gang, failed);
}

void mu_oracle_session(struct mu_snapshot *snapshot, const struct mu_profile *profile,
                       uint64_t now_ns, const struct mu_plan *found, struct mu_oracle_plan *out)
{
    uint32_t members = 0;
    for (uint32_t g = 0; g < snapshot->gang_rows; g++)
        members += snapshot->gangs[g].block != NULL ? snapshot->gangs[g].block->member_count : 0;
    struct oracle o = {
        .snapshot = snapshot, .profile = profile, .now_ns = now_ns, .plan = out, .found = found};
    o.class_count = mu_model_class_bound(snapshot->model);
    o.charges = mu_mem_calloc(members + 1, sizeof *o.charges);
    o.counted_by = mu_mem_calloc(o.class_count + 1, sizeof *o.counted_by);
    out->gang_rows = snapshot->gang_rows;
    out->gangs = mu_mem_calloc(snapshot->gang_rows + 1, sizeof *out->gangs);
    out->next_ns = UINT64_MAX;
    bool *seen = mu_mem_calloc(snapshot->gang_rows + 1, sizeof *seen);
    MU_ASSERT(o.charges != NULL && o.counted_by != NULL && out->gangs != NULL && seen != NULL);
    for (uint32_t c = 0; c < o.class_count; c++)
        o.counted_by[c] = MU_NONE;
    for (uint32_t order = 0;; order++) {
        uint32_t next = MU_NONE;
        for (uint32_t g = 0; g < snapshot->gang_rows; g++) {
            bool candidate = !seen[g] && (snapshot->gangs[g].flags & MU_GANG_PENDING) != 0;
            if (candidate &&
                (next == MU_NONE || goes_before(&snapshot->gangs[g], &snapshot->gangs[next])))
                next = g;
        }
        if (next == MU_NONE)
            break;
        seen[next] = true;
        out->gangs[next].order = order;
        decide(&o, next);
    }
    charges_undo(&o, 0);
    mu_mem_free(o.charges);
    mu_mem_free(o.counted_by);
    mu_mem_free(seen);
}

void mu_oracle_plan_fini(struct mu_oracle_plan *plan)
{
    for (uint32_t g = 0; g < plan->gang_rows; g++) {
        mu_mem_free(plan->gangs[g].nodes);
        mu_mem_free(plan->gangs[g].devices);
    }
    mu_mem_free(plan->gangs);
    memset(plan, 0, sizeof *plan);
}

/* ---- comparing ---------------------------------------------------------------------------- */

static bool differ(const char *what, uint32_t gang, uint64_t want, uint64_t got)
{
    (void)fprintf(stderr, "gang %" PRIu32 ": %s: oracle %" PRIu64 ", session %" PRIu64 "\n", gang,
                  what, want, got);
    return false;
}

static bool binds_equal(const struct mu_snapshot *s, const struct mu_oracle_gang *want,
                        const struct mu_plan_gang *got)
{
    const struct mu_gang_row *row = &s->gangs[got->gang.v];
    uint32_t at = 0;
    for (uint32_t m = 0; m < row->block->member_count; m++) {
        if (want->nodes[m] == MU_NONE)
            continue;
        if (at == got->bind_count)
            return differ("too few binds", got->gang.v, at + 1, got->bind_count);
        const struct mu_plan_bind *bind = &got->binds[at++];
        const struct mu_gang_member *member = &row->block->members[m];
        if (bind->node.v != want->nodes[m])
            return differ("node", got->gang.v, want->nodes[m], bind->node.v);
        if (bind->devices != want->devices[m])
            return differ("devices", got->gang.v, want->devices[m], bind->devices);
        if (bind->pod.v != member->pod.v || !mu_uid_equal(bind->uid, member->uid) ||
            bind->version != member->version)
            return differ("pod", got->gang.v, member->pod.v, bind->pod.v);
        if (bind->node_generation != s->nodes[bind->node.v].generation)
            return differ("node generation", got->gang.v, 0, bind->node_generation);
    }
    if (at != got->bind_count)
        return differ("binds", got->gang.v, at, got->bind_count);
    if (want->size != got->size)
        return differ("size", got->gang.v, want->size, got->size);
    return row->generation == got->gang_generation && row->revision == got->gang_revision;
}

static bool wait_equal(const struct mu_oracle_gang *want, const struct mu_plan_wait *got)
{
    uint32_t gang = got->gang.v;
    const struct mu_plan_wait *w = &want->wait;
    if (w->kind != got->kind)
        return differ("wait", gang, w->kind, got->kind);
    if (w->have != got->have)
        return differ("have", gang, w->have, got->have);
    if (w->need != got->need)
        return differ("need", gang, w->need, got->need);
    if (w->rules != got->rules || w->until_ns != got->until_ns)
        return differ("rules or until", gang, w->until_ns, got->until_ns);
    if (w->class_ix.v != got->class_ix.v)
        return differ("class", gang, w->class_ix.v, got->class_ix.v);
    for (uint32_t k = 0; k < MU_VERDICT_KINDS; k++) {
        if (want->refusals.by_verdict[k] != got->nodes_by_verdict[k])
            return differ(mu_verdict_text(k), gang, want->refusals.by_verdict[k],
                          got->nodes_by_verdict[k]);
        if (want->refusals.by_reason[k] != got->nodes_by_reason[k])
            return differ("told reason", gang, want->refusals.by_reason[k],
                          got->nodes_by_reason[k]);
    }
    for (uint32_t r = 0; r < MU_RESOURCES_MAX; r++) {
        if (want->refusals.by_resource[r] != got->nodes_by_resource[r])
            return differ("short of a resource", gang, want->refusals.by_resource[r],
                          got->nodes_by_resource[r]);
    }
    return true;
}

bool mu_oracle_plan_equal(const struct mu_snapshot *snapshot, const struct mu_oracle_plan *want,
                          const struct mu_plan *got)
{
    if (want->next_ns != got->next_ns || got->snapshot_generation != snapshot->generation)
        return differ("next_ns or generation", MU_NONE, want->next_ns, got->next_ns);
    if (got->gang_count + got->wait_count != snapshot->pending_gangs)
        return differ("gangs", MU_NONE, snapshot->pending_gangs, got->gang_count + got->wait_count);
    for (uint32_t i = 0; i < got->gang_count; i++) {
        const struct mu_oracle_gang *gang = &want->gangs[got->gangs[i].gang.v];
        if (!gang->placed)
            return differ("placed", got->gangs[i].gang.v, 0, 1);
        if (i > 0 && gang->order <= want->gangs[got->gangs[i - 1].gang.v].order)
            return differ("order", got->gangs[i].gang.v, gang->order, i);
        if (!binds_equal(snapshot, gang, &got->gangs[i]))
            return false;
    }
    for (uint32_t i = 0; i < got->wait_count; i++) {
        const struct mu_oracle_gang *gang = &want->gangs[got->waits[i].gang.v];
        if (gang->placed)
            return differ("placed", got->waits[i].gang.v, 1, 0);
        if (!wait_equal(gang, &got->waits[i]))
            return false;
    }
    return true;
}
