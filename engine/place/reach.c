#include "engine/place/place_priv.h"

#include "engine/base/assert.h"
#include "engine/base/bitset.h"
#include "engine/plan.h"

/*
 * How far a gang gets: its members are placed as a session does it first
 * (engine/session/session.h), every sub-group's minimum and then up to its size, until too few are
 * left. What stops it is the first member of that part which found no node, judged when all that
 * fit are in place.
 *
 * Of a gang that has to stay in one domain this is asked of the domain that seems to take most of
 * it.
 *
 * A session itself counts once for a class, with nothing of the gang placed, since it may have to
 * look at thousands of gangs that wait. This is for the few that are told about.
 */

#define REACH_BYTES_MAX ((size_t)1 << 30)

struct walk {
    struct mu_place *place;
    const struct mu_gang_block *block;
    uint64_t has_node[MU_GANG_MEMBERS_MAX / 64]; /* by member */
    uint32_t placed;
    uint32_t stopped; /* the first member without a node of the part in hand; MU_NONE: none */
};

static bool holds_room(const struct mu_snapshot *snapshot, const struct mu_gang_member *member)
{
    return member->held.v != MU_NONE && member->held.v < snapshot->node_rows &&
           snapshot->nodes[member->held.v].generation == member->held_generation;
}

/* Place `need` of the `count` members from `begin` on that have no node yet; *missing: so many
 * find none. */
static int part_place(struct walk *w, uint32_t begin, uint32_t count, uint32_t need,
                      uint32_t *missing)
{
    w->stopped = MU_NONE;
    for (uint32_t m = begin; m < begin + count && need > 0; m++) {
        const struct mu_gang_member *member = &w->block->members[m];
        const struct mu_place_pod pod = {member->class_ix, member->kin};
        struct mu_node_ix node;
        if (mu_bitset_test(w->has_node, m))
            continue;
        int error =
            holds_room(w->place->snapshot, member)
                ? mu_place_pick_held(w->place, pod, member->held, member->held_devices, &node)
                : mu_place_put(w->place, pod, &node);
        if (error != 0)
            return error;
        if (node.v != MU_NONE) {
            mu_bitset_set(w->has_node, m);
            w->placed++;
            need--;
        } else if (w->stopped == MU_NONE) {
            w->stopped = m;
        }
    }
    *missing = need;
    return 0;
}

static int walk(struct walk *w, const struct mu_gang_row *gang, uint32_t size, uint32_t *missing)
{
    *missing = 0;
    for (uint32_t s = 0; s < w->block->subgroup_count && *missing == 0; s++) {
        const struct mu_gang_subgroup *subgroup = &w->block->subgroups[s];
        int error = part_place(w, subgroup->member_begin, subgroup->member_count,
                               mu_gang_subgroup_need(subgroup), missing);
        if (error != 0)
            return error;
    }
    uint32_t have = gang->placed_count + w->placed;
    if (*missing > 0 || have >= size)
        return 0;
    return part_place(w, 0, w->block->member_count, size - have, missing);
}

/* The domain that takes most of a gang, by the order of names where several do: that of its placed
 * members if it has any. MU_NONE: none takes any member. */
static int best_domain(struct mu_place *place, const struct mu_gang_row *gang, uint32_t size,
                       uint32_t topology, struct mu_place_domain *out)
{
    const struct mu_snapshot *s = place->snapshot;
    struct mu_arena *arena = mu_arena_create(REACH_BYTES_MAX);
    struct mu_place_domains found = {0};
    bool at_home = gang->placed_count > 0 && gang->home.v < s->node_rows;
    out->domain = MU_NONE;
    int error =
        arena == NULL ? MU_ENOMEM : mu_place_domains(place, gang, size, topology, arena, &found);
    for (uint32_t i = 0; error == 0 && i < found.count; i++) {
        const struct mu_place_domain *item = &found.items[i];
        if (at_home ? item->domain == s->topology[topology][gang->home.v]
                    : out->domain == MU_NONE || item->most > out->most)
            *out = *item;
    }
    mu_arena_destroy(arena);
    return error;
}

/* `domain`: of the topology, where the gang has to stay in it; topology MU_NONE: it need not. */
static int reach_here(struct mu_place *place, const struct mu_gang_row *gang, uint32_t size,
                      uint32_t topology, uint32_t domain, struct mu_place_reach *out)
{
    struct walk w = {.place = place, .block = gang->block};
    uint32_t missing = 0;
    mu_place_trial(place);
    int error = walk(&w, gang, size, &missing);
    if (error == 0) {
        out->placed = w.placed;
        out->member = missing > 0 ? w.stopped : MU_NONE;
    }
    if (error == 0 && out->member != MU_NONE) {
        const struct mu_gang_member *member = &w.block->members[out->member];
        const struct mu_place_pod pod = {member->class_ix, member->kin};
        error = mu_place_refusals_count(place, pod, topology, domain, &out->refusals);
    }
    mu_place_rollback(place);
    return error;
}

int mu_place_reach(struct mu_place *place, const struct mu_gang_row *gang, uint32_t size,
                   struct mu_place_reach *out)
{
    MU_ASSERT(gang->block != NULL && gang->block->member_count <= MU_GANG_MEMBERS_MAX);
    struct mu_place_domain best = {.domain = MU_NONE};
    uint32_t topology = MU_NONE;
    for (uint32_t t = 0; t < place->snapshot->topology_count && gang->pack_key.v != 0; t++)
        if (place->snapshot->topology_keys[t].v == gang->pack_key.v)
            topology = t;
    out->domain.v = 0;
    if ((gang->flags & MU_GANG_PACK_REQUIRED) == 0)
        return reach_here(place, gang, size, MU_NONE, 0, out);
    int error = topology == MU_NONE ? 0 : best_domain(place, gang, size, topology, &best);
    if (error != 0)
        return error;
    if (best.domain == MU_NONE) { /* nowhere: what stops it is what stops its first member alone */
        const struct mu_gang_member *first = &gang->block->members[0];
        out->placed = 0;
        out->member = 0;
        return mu_place_refusals_count(place, (struct mu_place_pod){first->class_ix, first->kin},
                                       MU_NONE, 0, &out->refusals);
    }
    out->domain = best.value;
    error = mu_place_within(place, topology, best.domain);
    if (error == 0)
        error = reach_here(place, gang, size, topology, best.domain, out);
    (void)mu_place_within(place, MU_NONE, 0);
    return error;
}

/* The binds of a gang are in the order of its members. */
static int apply_gang(struct mu_place *place, const struct mu_plan_gang *planned)
{
    const struct mu_gang_block *block = place->snapshot->gangs[planned->gang.v].block;
    uint32_t m = 0;
    for (uint32_t b = 0; b < planned->bind_count; b++, m++) {
        const struct mu_plan_bind *bind = &planned->binds[b];
        while (m < block->member_count && block->members[m].pod.v != bind->pod.v)
            m++;
        MU_ASSERT(m < block->member_count);
        const struct mu_gang_member *member = &block->members[m];
        mu_place_nomination_over(place, member->pod);
        const struct mu_place_pod pod = {member->class_ix, member->kin};
        const bool waits = planned->evict_count > 0;
        bool stays = holds_room(place->snapshot, member) && member->held.v == bind->node.v;
        int error = 0;
        if (!stays)
            error = mu_place_charge(place, pod, bind->node, (uint16_t)bind->devices, waits);
        else if (!waits)
            error = mu_place_stay(place, pod, bind->node, member->held_devices);
        if (error != 0)
            return error;
    }
    return 0;
}

int mu_place_apply(struct mu_place *place, const struct mu_plan *plan)
{
    MU_ASSERT(place->snapshot->generation == plan->snapshot_generation && place->log_count == 0);
    int error = 0;
    for (uint32_t g = 0; g < plan->gang_count && error == 0; g++)
        error = apply_gang(place, &plan->gangs[g]);
    return error;
}
