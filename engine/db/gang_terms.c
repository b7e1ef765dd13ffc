#include "engine/db/db_priv.h"

#include <string.h>

#include "engine/base/assert.h"

/*
 * What a gang must have before any of its members may go: derived, each time, from its group object
 * or else from what its members claim.
 *
 *     object there        its minimum, its sub-groups, its word on all else; claims are not heard
 *     object missing      nobody is placed, but for a gang whose members state a size
 *     no object at all    the largest size that a member states; of each sub-group the largest
 *                         minimum that anyone states for it, and at least 1 where it must be there
 *
 * The size is the minimum or the sum over the sub-groups, whichever is larger. A sub-group that is
 * named has to have members, or the gang is incomplete; members whose sub-group nobody names are
 * needed for the size at most. Where no sub-group has a minimum but members of a dialect without
 * objects name several, all of each are needed: nothing says that fewer would do.
 *
 * A member of a gang whose object says that there is none (`single`) is in a row of its own, which
 * belongs to that gang's row; it needs nobody, and all else is as the object has it.
 */

const struct mu_group_rec *mu_gang_group(const struct mu_db *db, const struct mu_gang_rec *g)
{
    if (g->home != MU_NONE)
        g = mu_gang_at(db, g->home);
    return g->group == MU_NONE ? NULL : mu_group_at(db, g->group);
}

/* The part of an object that the gang is about; NULL: the object has no such part. */
static const struct mu_named_min *find_part(const struct mu_group_rec *group, struct mu_symbol part)
{
    for (uint32_t i = 0; i < group->subgroup_count; i++)
        if (group->subgroups[i].name.v == part.v)
            return &group->subgroups[i];
    return NULL;
}

static bool group_present(const struct mu_group_rec *group)
{
    return group != NULL && (group->flags & MU_GROUP_PRESENT) != 0;
}

bool mu_gang_wants_singles(const struct mu_db *db, const struct mu_gang_rec *g)
{
    const struct mu_group_rec *group = mu_gang_group(db, g);
    if (!group_present(group))
        return false;
    if (g->home != MU_NONE)
        g = mu_gang_at(db, g->home);
    const struct mu_named_min *part = g->part.v != 0 ? find_part(group, g->part) : NULL;
    return part != NULL ? part->single : (group->flags & MU_GROUP_SINGLE_POLICY) != 0;
}

/* --- sub-groups: ascending symbols ---------------------------------------------------------- */

/* Where the name is, or would be. */
static uint32_t place_of(const struct mu_gang_terms *t, struct mu_symbol name)
{
    uint32_t low = 0, high = t->subgroup_count;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (t->subgroups[middle].name.v < name.v)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

uint32_t mu_gang_terms_find(const struct mu_gang_terms *t, struct mu_symbol name)
{
    uint32_t i = place_of(t, name);
    return i < t->subgroup_count && t->subgroups[i].name.v == name.v ? i : MU_NONE;
}

static void add_subgroup(struct mu_gang_terms *t, struct mu_symbol name, uint32_t min)
{
    uint32_t i = place_of(t, name);
    min = min == 0 ? 1 : min;
    if (i < t->subgroup_count && t->subgroups[i].name.v == name.v) {
        if (t->subgroups[i].min < min)
            t->subgroups[i].min = min;
        return;
    }
    if (t->subgroup_count == MU_SUBGROUPS_MAX) {
        t->held |= MU_RULE_GANG_SPEC;
        return;
    }
    memmove(&t->subgroups[i + 1], &t->subgroups[i],
            (t->subgroup_count - i) * sizeof t->subgroups[0]);
    t->subgroups[i] = (struct mu_named_min){.name = name, .min = min};
    t->subgroup_count++;
}

/* --- from the object and from claims -------------------------------------------------------- */

static void hear_object(struct mu_gang_terms *t, const struct mu_gang_rec *g,
                        const struct mu_group_rec *group)
{
    t->held |= group->unbuilt;
    t->min = group->min;
    t->timeout_s = group->timeout_s;
    t->pack_key = group->pack_key;
    t->pack_required = (group->flags & MU_GROUP_PACK_REQUIRED) != 0;
    if (g->part.v != 0) {
        const struct mu_named_min *part = find_part(group, g->part);
        if (part == NULL)
            t->held |= MU_RULE_GANG_OBJECT;
        else
            t->min = part->min;
        return;
    }
    for (uint32_t i = 0; i < group->subgroup_count; i++)
        if (group->subgroups[i].min != 0)
            add_subgroup(t, group->subgroups[i].name, group->subgroups[i].min);
}

void mu_gang_terms_begin(const struct mu_db *db, const struct mu_gang_rec *g,
                         struct mu_gang_terms *t)
{
    const struct mu_group_rec *group = mu_gang_group(db, g);
    /* The array is filled as far as it is counted. */
    t->min = t->timeout_s = t->held = t->subgroup_count = 0;
    t->pack_key = (struct mu_symbol){0};
    t->pack_required = t->waiting_only = false;
    t->last_claim = MU_NONE;
    t->object = group_present(group);
    t->must_have = group != NULL && !t->object;
    if (t->object)
        hear_object(t, g, group);
    if (g->source == MU_GANG_SOLO) {
        t->min = 1;
        t->subgroup_count = 0;
    }
}

/* Members who disagree about the domain: the same one whatever the order they came in. */
static void hear_pack_key(const struct mu_db *db, struct mu_gang_terms *t, const uint32_t *words)
{
    const struct mu_symbol key = {words[MU_CLAIM_PACK_KEY]};
    if (key.v == 0)
        return;
    const bool required = (words[MU_CLAIM_FLAGS] & MU_CLAIMS_PACK_REQUIRED) != 0;
    if (t->pack_key.v == 0 || mu_str_compare(mu_symbol_str(db->symbols, key),
                                             mu_symbol_str(db->symbols, t->pack_key)) < 0)
        t->pack_key = key;
    t->pack_required |= required;
}

void mu_gang_terms_hear(const struct mu_db *db, struct mu_gang_terms *t, uint32_t claim)
{
    if (claim == t->last_claim || claim == MU_NONE || t->object)
        return;
    const uint32_t *words = mu_claim_words(db, claim);
    t->last_claim = claim;
    if (t->min < words[MU_CLAIM_SIZE])
        t->min = words[MU_CLAIM_SIZE];
    if (t->timeout_s < words[MU_CLAIM_TIMEOUT])
        t->timeout_s = words[MU_CLAIM_TIMEOUT];
    t->waiting_only |= (words[MU_CLAIM_FLAGS] & MU_CLAIMS_WAITING_ONLY) != 0;
    if (words[MU_CLAIM_SUBGROUP_MIN] != 0)
        add_subgroup(t, (struct mu_symbol){words[MU_CLAIM_SUBGROUP]}, words[MU_CLAIM_SUBGROUP_MIN]);
    for (uint32_t i = 0; i < words[MU_CLAIM_SUBGROUPS]; i++)
        add_subgroup(t, (struct mu_symbol){words[MU_CLAIM_WORDS + 2 * i]},
                     words[MU_CLAIM_WORDS + 2 * i + 1]);
    hear_pack_key(db, t, words);
}

void mu_gang_terms_end(struct mu_gang_terms *t)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < t->subgroup_count; i++)
        sum += t->subgroups[i].min;
    if (sum > MU_GANG_MEMBERS_MAX) {
        t->held |= MU_RULE_GANG_SPEC;
        sum = MU_GANG_MEMBERS_MAX;
    }
    if (t->min < sum)
        t->min = (uint32_t)sum;
    if (t->must_have && t->min == 0)
        t->held |= MU_RULE_GANG_OBJECT;
}

struct mu_symbol mu_gang_subgroup_of(const struct mu_db *db, const struct mu_gang_rec *g,
                                     const struct mu_gang_terms *t, const struct mu_pod_rec *p)
{
    const struct mu_symbol only = {0};
    /* Named, but nobody says that it matters. */
    bool idle = t->subgroup_count == 0 && (g->group != MU_NONE || g->source == MU_GANG_SOLO);
    if (p->claim == MU_NONE || idle)
        return only;
    return (struct mu_symbol){mu_claim_words(db, p->claim)[MU_CLAIM_SUBGROUP]};
}

/* --- minima --------------------------------------------------------------------------------- */

/* Members that count: those who run and are not picked, or, `joining`, with those who are picked.
 */
static bool counts(const struct mu_pod_rec *p, bool joining)
{
    const bool picked = (p->flags & MU_POD_PICKED) != 0;
    return joining ? picked || mu_pod_role(p) == MU_ROLE_PLACED
                   : !picked && mu_pod_role(p) == MU_ROLE_PLACED;
}

uint32_t mu_gang_frozen(const struct mu_gang_rec *g)
{
    if (g->row.placed_count == 0)
        return 0;
    return g->frozen < g->row.member_count ? g->frozen : g->row.member_count;
}

bool mu_gang_minimum_met(const struct mu_db *db, uint32_t gang, bool joining)
{
    const struct mu_gang_rec *g = mu_gang_at(db, gang);
    struct mu_gang_terms terms;
    uint32_t counted[MU_SUBGROUPS_MAX] = {0};
    uint32_t all = 0;
    mu_gang_terms_begin(db, g, &terms);
    for (uint32_t pod = g->members; pod != MU_NONE; pod = mu_pod_at(db, pod)->gang_next)
        mu_gang_terms_hear(db, &terms, mu_pod_at(db, pod)->claim);
    mu_gang_terms_end(&terms);
    for (uint32_t pod = g->members; pod != MU_NONE; pod = mu_pod_at(db, pod)->gang_next) {
        const struct mu_pod_rec *p = mu_pod_at(db, pod);
        if (!counts(p, joining))
            continue;
        uint32_t i = mu_gang_terms_find(&terms, mu_gang_subgroup_of(db, g, &terms, p));
        all++;
        if (i != MU_NONE)
            counted[i]++;
    }
    for (uint32_t i = 0; i < terms.subgroup_count; i++)
        if (counted[i] < terms.subgroups[i].min)
            return false;
    /* Sub-groups without stated minima run whole. */
    if (g->split && terms.subgroup_count == 0 && all < g->row.member_count)
        return false;
    return all >= (terms.min != 0 ? terms.min : mu_gang_frozen(g));
}

/* How many members its sub-groups lack for their minima, all together. */
static uint32_t subgroups_lack(const struct mu_db *db, const struct mu_gang_rec *g,
                               const struct mu_gang_terms *terms, bool bound)
{
    uint32_t counted[MU_SUBGROUPS_MAX] = {0};
    uint32_t sum = 0;
    for (uint32_t pod = g->members; pod != MU_NONE; pod = mu_pod_at(db, pod)->gang_next) {
        const struct mu_pod_rec *p = mu_pod_at(db, pod);
        const bool is_bound = (p->flags & (MU_POD_BOUND | MU_POD_CONFIRMED)) != 0;
        uint32_t i = MU_NONE;
        if (bound ? is_bound : mu_pod_role(p) == MU_ROLE_PLACED)
            i = mu_gang_terms_find(terms, mu_gang_subgroup_of(db, g, terms, p));
        if (i != MU_NONE)
            counted[i]++;
    }
    for (uint32_t i = 0; i < terms->subgroup_count; i++)
        if (counted[i] < terms->subgroups[i].min)
            sum += terms->subgroups[i].min - counted[i];
    return sum;
}

uint32_t mu_gang_lacks(const struct mu_db *db, const struct mu_gang_rec *g,
                       const struct mu_gang_terms *terms, bool bound)
{
    const uint32_t all = bound ? g->row.bound_count : g->row.placed_count;
    const uint32_t lacks = g->row.size > all ? g->row.size - all : 0;
    if (!g->split || terms->subgroup_count == 0)
        return lacks;
    const uint32_t sum = subgroups_lack(db, g, terms, bound);
    return sum > lacks ? sum : lacks;
}

bool mu_gang_stands_without(const struct mu_db *db, uint32_t gang)
{
    return mu_gang_at(db, gang)->row.size != 0 && mu_gang_minimum_met(db, gang, false);
}
