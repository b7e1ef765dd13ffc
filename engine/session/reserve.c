#include "engine/session/session_priv.h"

#include <stdlib.h>
#include <string.h>

#include "engine/base/assert.h"
#include "engine/base/bitset.h"

/*
 * What a gang that was not placed means for those behind it in the queue.
 *
 * Strict: nothing behind it is placed in this run.
 *
 * Else they may take the room that it waits for, and many small ones could do so for ever. So a
 * gang that has waited for long gets a reservation: nodes that could hold it, were they empty, are
 * kept from all behind it in the queue, and drain. Those with the most places for it that are free
 * now (and then those that are emptiest) come first, so that the same nodes are chosen again while
 * they drain, and others only when they have become better: the room for the gang never shrinks by
 * those behind it. Pods that stay for good may keep nodes from ever being empty, so that another
 * share of nodes is kept for each further time that it has waited as long. Of a gang that must stay
 * in one domain the nodes are of one.
 *
 * A gang that nodes could not hold if all were empty gets none. It has waited since its last member
 * came. All this follows from the snapshot, the time and the configuration.
 */

/* Gangs of a run that get a reservation. */
#define RESERVATIONS_MAX 8u

struct choice {
    uint32_t row;
    uint32_t places; /* free now */
    uint32_t part;   /* of all that is asked for, that is free now, in 1/1024 */
    uint32_t most;   /* places if it was empty */
};

static uint32_t places_of(const struct mu_snapshot *s, const struct mu_class *class_, uint32_t row,
                          bool empty, uint32_t most)
{
    int64_t places = empty ? mu_snapshot_alloc(s, MU_RES_PODS, row) : s->free[MU_RES_PODS][row];
    places = places < most ? places : most;
    for (uint32_t d = 0; d < class_->demand_count && places > 0; d++) {
        uint32_t r = class_->demands[d].resource.v;
        if (r >= s->resource_count)
            return 0;
        int64_t have = empty ? mu_snapshot_alloc(s, r, row) : s->free[r][row];
        int64_t room = have / class_->demands[d].amount;
        places = room < places ? room : places;
    }
    return places > 0 ? (uint32_t)places : 0;
}

/* The part of a row that is free, of what the class asks for most scarcely there, in 1/1024. */
static uint32_t part_of(const struct mu_snapshot *s, const struct mu_class *class_, uint32_t row)
{
    int64_t least = 1024;
    for (uint32_t d = 0; d < class_->demand_count; d++) {
        uint32_t r = class_->demands[d].resource.v;
        int64_t unit = mu_snapshot_alloc(s, r, row) / 1024;
        int64_t part = s->free[r][row] / (unit > 0 ? unit : 1);
        least = part < least ? part : least;
    }
    return least > 0 ? (uint32_t)least : 0;
}

static int choice_compare(const void *left, const void *right, void *context)
{
    const struct mu_snapshot *s = context;
    const struct choice *a = left, *b = right;
    const struct mu_node_static *x = &s->nodes[a->row], *y = &s->nodes[b->row];
    if (a->places != b->places)
        return a->places > b->places ? -1 : 1;
    if (a->part != b->part)
        return a->part > b->part ? -1 : 1;
    if (x->tie != y->tie)
        return x->tie < y->tie ? -1 : 1;
    const struct mu_symtab *symbols = mu_model_names(s->model);
    return mu_str_compare(mu_symbol_str(symbols, x->name), mu_symbol_str(symbols, y->name));
}

/* Nodes of the domain that could hold such a pod if they were empty and are not kept yet, the best
 * first. */
static int choices_make(struct mu_session *session, struct mu_place_pod pod, uint32_t topology,
                        uint32_t domain, struct choice *choices, uint32_t *count)
{
    const struct mu_snapshot *s = session->snapshot;
    const struct mu_class *class_ = mu_model_get_class(s->model, pod.class_ix);
    *count = 0;
    for (uint32_t begin = 0; begin < s->node_rows; begin += MU_NODE_CHUNK) {
        uint64_t bits;
        int error = mu_place_may(session->place, pod, begin, &bits);
        if (error != 0)
            return error;
        for (bits &= ~session->kept_rows[begin / MU_NODE_CHUNK]; bits != 0; bits &= bits - 1) {
            uint32_t row = begin + (uint32_t)__builtin_ctzll(bits);
            uint32_t most = places_of(s, class_, row, true, MU_GANG_MEMBERS_MAX);
            if (most == 0 || (topology != MU_NONE && s->topology[topology][row] != domain))
                continue;
            choices[(*count)++] =
                (struct choice){row, places_of(s, class_, row, false, MU_GANG_MEMBERS_MAX),
                                part_of(s, class_, row), most};
        }
    }
    qsort_r(choices, *count, sizeof *choices, choice_compare, session->snapshot);
    return 0;
}

/* True when member m is the first of its class; *want: members of the class that must find a node,
 * whoever else is left out. */
static bool is_first(const struct mu_attempt *a, uint32_t m, uint32_t *want)
{
    const struct mu_gang_block *block = a->block;
    uint32_t spare = block->member_count - mu_session_need(a), count = 0;
    for (uint32_t n = 0; n < block->member_count; n++) {
        if (block->members[n].class_ix.v != block->members[m].class_ix.v)
            continue;
        if (n < m)
            return false;
        count++;
    }
    *want = count > spare ? count - spare : 0;
    return true;
}

/* Keep nodes for `shares` times the members that must find one, class by class. *enough: there are
 * as many as for one share; else the rows kept so far are to be dropped. */
static int keep(struct mu_session *session, const struct mu_attempt *a, uint32_t topology,
                uint32_t domain, uint64_t shares, bool *enough)
{
    uint32_t want = 0, count = 0;
    struct choice *choices =
        mu_arena_alloc(session->scratch, session->snapshot->node_rows * sizeof *choices);
    *enough = true;
    if (choices == NULL)
        return MU_ENOMEM;
    for (uint32_t m = 0; m < a->block->member_count && *enough; m++) {
        if (!is_first(a, m, &want))
            continue;
        int error = choices_make(session, mu_session_pod(&a->block->members[m]), topology, domain,
                                 choices, &count);
        if (error != 0)
            return error;
        uint64_t places = 0;
        for (uint32_t c = 0; c < count && places < want * shares; c++) {
            mu_bitset_set(session->kept_rows, choices[c].row);
            places += choices[c].most;
        }
        *enough = places >= want;
    }
    return 0;
}

/* A domain, summed up over its nodes. */
struct domain_sum {
    uint64_t most, places; /* for one class: if they were empty, and free now */
    uint64_t free;         /* members that find room now, as far as they must */
    uint64_t part;         /* of its nodes that is free */
    uint32_t tie;          /* smallest of its nodes */
    bool fails;            /* some class has too few places even if they were empty */
};

static int domain_add_class(struct mu_session *session, struct mu_place_pod pod, uint32_t want,
                            uint32_t topology, struct domain_sum *sums)
{
    const struct mu_snapshot *s = session->snapshot;
    const struct mu_class *class_ = mu_model_get_class(s->model, pod.class_ix);
    for (uint32_t begin = 0; begin < s->node_rows; begin += MU_NODE_CHUNK) {
        uint64_t bits;
        int error = mu_place_may(session->place, pod, begin, &bits);
        if (error != 0)
            return error;
        for (bits &= ~session->kept_rows[begin / MU_NODE_CHUNK]; bits != 0; bits &= bits - 1) {
            uint32_t row = begin + (uint32_t)__builtin_ctzll(bits);
            uint32_t domain = s->topology[topology][row];
            if (domain == MU_NONE)
                continue;
            struct domain_sum *sum = &sums[domain];
            sum->most += places_of(s, class_, row, true, want);
            sum->places += places_of(s, class_, row, false, want);
            sum->part += part_of(s, class_, row);
            sum->tie = s->nodes[row].tie < sum->tie ? s->nodes[row].tie : sum->tie;
        }
    }
    for (uint32_t d = 0; d < s->domain_bound[topology]; d++) {
        sums[d].fails = sums[d].fails || sums[d].most < want;
        sums[d].free += sums[d].places < want ? sums[d].places : want;
        sums[d].most = sums[d].places = 0;
    }
    return 0;
}

static bool is_better(const struct domain_sum *a, const struct domain_sum *b)
{
    if (a->free != b->free)
        return a->free > b->free;
    return a->part != b->part ? a->part > b->part : a->tie < b->tie;
}

/* The domain in which nodes are kept for a gang that must stay in one: where members of it are, or
 * of those that could hold it the one where most of it finds room now. MU_NONE: there is none. */
static int domain_choose(struct mu_session *session, const struct mu_attempt *a, uint32_t topology,
                         uint32_t *best)
{
    const struct mu_snapshot *s = session->snapshot;
    uint32_t bound = s->domain_bound[topology], want = 0;
    *best = MU_NONE;
    if (a->row->placed_count > 0 && a->row->home.v < s->node_rows) {
        *best = s->topology[topology][a->row->home.v];
        return 0;
    }
    struct domain_sum *sums = mu_arena_calloc(session->scratch, bound + 1, sizeof *sums);
    if (sums == NULL)
        return MU_ENOMEM;
    for (uint32_t d = 0; d < bound; d++)
        sums[d].tie = UINT32_MAX;
    for (uint32_t m = 0; m < a->block->member_count; m++) {
        int error = !is_first(a, m, &want)
                        ? 0
                        : domain_add_class(session, mu_session_pod(&a->block->members[m]), want,
                                           topology, sums);
        if (error != 0)
            return error;
    }
    for (uint32_t d = 0; d < bound; d++) {
        if (!sums[d].fails && (*best == MU_NONE || is_better(&sums[d], &sums[*best])))
            *best = d;
    }
    return 0;
}

/* Keep nodes for the gang, if they could hold it. */
static int reserve(struct mu_session *session, const struct mu_attempt *a, uint64_t shares)
{
    const struct mu_snapshot *s = session->snapshot;
    size_t words = MU_BITSET_WORDS(s->node_rows);
    uint32_t topology = mu_session_topology(s, a->row->pack_key);
    bool required = (a->row->flags & MU_GANG_PACK_REQUIRED) != 0, enough = false;
    uint32_t domain = MU_NONE;
    int error = 0;
    if (s->node_rows == 0 || (required && topology == MU_NONE))
        return 0;
    if (session->kept_rows == NULL) {
        session->kept_rows = mu_arena_calloc(session->arena, words, sizeof *session->kept_rows);
        if (session->kept_rows == NULL)
            return MU_ENOMEM;
    }
    mu_arena_reset(session->scratch);
    uint64_t *before = mu_arena_alloc(session->scratch, words * sizeof *before);
    if (before == NULL)
        return MU_ENOMEM;
    memcpy(before, session->kept_rows, words * sizeof *before);
    if (required)
        error = domain_choose(session, a, topology, &domain);
    if (error == 0 && (!required || domain != MU_NONE))
        error = keep(session, a, required ? topology : MU_NONE, domain, shares, &enough);
    if (error != 0 || !enough) {
        memcpy(session->kept_rows, before, words * sizeof *before);
        return error;
    }
    session->reservation_count++;
    session->kept_for = (struct mu_gang_ix){a->gang};
    session->misfit.gang = MU_NONE; /* what it could not have is less than what those behind can */
    return mu_place_without(session->place, session->kept_rows);
}

int mu_session_held_up(struct mu_session *session, const struct mu_attempt *a)
{
    uint64_t after = session->config.reserve_after_ns, since = a->row->settle_ns;
    if (session->config.strict) {
        session->blocked_by = (struct mu_gang_ix){a->gang};
        return 0;
    }
    if (after == 0 || since > UINT64_MAX - after || session->reservation_count == RESERVATIONS_MAX)
        return 0;
    if (session->now_ns < since + after) {
        if (since + after < session->plan->next_ns)
            session->plan->next_ns = since + after;
        return 0;
    }
    return reserve(session, a, (session->now_ns - since) / after);
}
