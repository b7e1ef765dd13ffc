#include "engine/db/db_priv.h"

#include <stdlib.h>
#include <string.h>

#include "engine/base/assert.h"
#include "engine/base/hash.h"
#include "engine/base/mem.h"

/*
 * Gang rows: who belongs together, how many of them must run together, and which of them still
 * want a node.
 *
 * A row exists while it has live members. Its identity is (namespace, source, name); a solo pod
 * has a row to itself, reached through the pod. So has a member of a gang whose object says that
 * there is none: its row hangs on the gang's, its home, which exists while it has such rows, and
 * members move between the two when the object changes its mind. They move in a refresh: what was
 * shown before may be behind, and an admission finds the gang changed. Members hang on a list;
 * everything else in the row is derived from them, not counted along: a change only marks the row
 * stale (O(1)), and before the row is shown to anyone it is recounted in one walk over its members.
 * Sums that are never patched cannot drift, and a burst of arrivals costs one walk.
 *
 * Size.  stated = what db/gang_terms.c makes of object and members. Where nobody states one, the
 * gang is unsettled until an admit freezes the size it was placed with; settle_ns, the last arrival
 * plus the quiet time, is when a session may take it as complete. Members that arrive after the
 * freeze are surplus. The freeze counts while somebody is placed: those who come after are a new
 * generation, and do not wait for members that have ended.
 *
 *     stated > 0                       settled, size = stated
 *     stated = 0, frozen, some placed  settled, size = frozen, or all live members if fewer
 *     else                             not settled, size = 0
 *
 * Where only those count who wait (waiting_only), the minimum of those who come after it was met is
 * added to those who run.
 *
 * Blocks. The members that want a node are shown as an immutable block in canonical order
 * (creation, then UID), made when a stale gang is refreshed. The block it replaces is freed once
 * no replica can reach it.
 *
 * A gang beyond MU_GANG_MEMBERS_MAX or MU_SUBGROUPS_MAX is blocked whole, with MU_RULE_GANG_SPEC,
 * and so is one whose object is missing or asks for what is not built: its pods keep their records
 * and their room.
 */

/* What a visit to a member costs a sync, in copied rows: records of gang and pod are cold. */
enum { VISIT_ROWS = 4 };

struct mu_member_key {
    uint64_t created_s;
    struct mu_uid uid;
    uint32_t pod;
    struct mu_symbol subgroup;
};

/* --- identity ------------------------------------------------------------------------------ */

struct gang_key {
    struct mu_symbol ns;
    struct mu_symbol name;
    uint8_t source;
};

static uint64_t key_hash(const struct gang_key *key)
{
    return mu_hash_mix((uint64_t)key->ns.v << 32 | key->name.v, key->source);
}

static struct gang_key key_of(const struct mu_gang_rec *g)
{
    return (struct gang_key){g->ns, g->name, g->source};
}

bool mu_gang_equal(const void *context, uint32_t value, const void *key)
{
    const struct mu_gang_rec *g = mu_gang_at(context, value);
    const struct gang_key *k = key;
    return g->ns.v == k->ns.v && g->name.v == k->name.v && g->source == k->source;
}

uint64_t mu_gang_hash(const void *context, uint32_t value)
{
    struct gang_key key = key_of(mu_gang_at(context, value));
    return key_hash(&key);
}

bool mu_gang_is(const struct mu_db *db, uint32_t gang, struct mu_symbol ns,
                const struct mu_gang_ref *ref)
{
    const struct mu_gang_rec *g = mu_gang_at(db, gang);
    return g->source == ref->source && g->source != MU_GANG_SOLO && g->ns.v == ns.v &&
           mu_str_equal(mu_symbol_str(db->symbols, g->name), ref->name);
}

/* --- rows ---------------------------------------------------------------------------------- */

/* Room to mark row numbers below `rows`. */
static int marks_reserve(struct mu_db *db, uint32_t rows)
{
    int rc = mu_rowset_reserve(&db->gang_stale, rows);
    for (uint32_t i = 0; rc == 0 && i < db->replica_count; i++)
        rc = mu_rowset_reserve(&db->replicas[i]->gang_dirty, rows);
    return rc;
}

/* Make a row; `key` carries references that become the row's. */
static int row_make(struct mu_db *db, const struct gang_key *key, uint32_t *out)
{
    uint32_t gang = MU_NONE;
    int rc = mu_slab_take(&db->gangs, &gang);
    if (rc != 0)
        return rc;
    rc = marks_reserve(db, db->gangs.high);
    if (rc == 0) {
        struct mu_gang_rec *g = mu_gang_at(db, gang);
        MU_ASSERT(!g->used);
        *g = (struct mu_gang_rec){
            .row = {.generation = g->row.generation, .sequence = db->gang_sequence},
            .ns = key->ns,
            .name = key->name,
            .source = key->source,
            .members = MU_NONE,
            .group = MU_NONE,
            .home = MU_NONE,
            .next = MU_NONE,
            .prev = MU_NONE,
            .singles = MU_NONE,
            .used = true};
        if (key->source != MU_GANG_SOLO)
            rc = mu_index_insert(db->gang_by_name, key_hash(key), gang);
        g->used = rc == 0;
    }
    if (rc != 0) {
        mu_slab_give(&db->gangs, gang);
        return rc;
    }
    db->gang_sequence++;
    *out = gang;
    return 0;
}

/* --- rows of one object, rows of one home --------------------------------------------------- */

static void chain(struct mu_db *db, uint32_t *first, uint32_t gang)
{
    struct mu_gang_rec *g = mu_gang_at(db, gang);
    g->prev = MU_NONE;
    g->next = *first;
    if (*first != MU_NONE)
        mu_gang_at(db, *first)->prev = gang;
    *first = gang;
}

static void unchain(struct mu_db *db, uint32_t *first, uint32_t gang)
{
    const struct mu_gang_rec *g = mu_gang_at(db, gang);
    if (g->prev != MU_NONE) {
        mu_gang_at(db, g->prev)->next = g->next;
    } else {
        MU_ASSERT(*first == gang);
        *first = g->next;
    }
    if (g->next != MU_NONE)
        mu_gang_at(db, g->next)->prev = g->prev;
}

/* The row of a new gang with its object's record and its part. `key` as for row_make. */
static int row_make_described(struct mu_db *db, const struct gang_key *key,
                              const struct mu_gang_ref *ref, uint32_t *gang)
{
    uint32_t group = MU_NONE;
    struct mu_symbol part;
    int rc = mu_symbol_intern(db->symbols, ref->part, &part);
    if (rc != 0)
        return rc;
    if (mu_gang_has_object(ref->source))
        rc = mu_group_obtain(db, ref->source, mu_symbol_str(db->symbols, key->ns),
                             ref->object.len > 0 ? ref->object : ref->name, &group);
    if (rc == 0) {
        rc = row_make(db, key, gang);
        if (rc == 0) {
            struct mu_gang_rec *g = mu_gang_at(db, *gang);
            g->part = part;
            g->group = group;
            if (group != MU_NONE) {
                chain(db, &mu_group_at(db, group)->rows, *gang);
                db->group_sources |= 1u << ref->source;
            }
            return 0;
        }
        if (group != MU_NONE)
            mu_group_drop_if_unused(db, group);
    }
    mu_symbol_unref(db->symbols, part, db->reach);
    return rc;
}

int mu_gang_obtain(struct mu_db *db, struct mu_symbol ns, const struct mu_gang_ref *ref,
                   uint32_t *gang)
{
    struct gang_key key = {.ns = ns, .source = (uint8_t)ref->source};
    int rc = mu_symbol_intern(db->symbols, ref->name, &key.name);
    if (rc != 0)
        return rc;
    uint32_t known = MU_NONE;
    if (ref->source != MU_GANG_SOLO)
        known = mu_index_find(db->gang_by_name, key_hash(&key), &key);
    if (known == MU_NONE) {
        rc = row_make_described(db, &key, ref, gang);
        if (rc == 0) {
            mu_symbol_ref(db->symbols, ns);
            return 0;
        }
    } else {
        *gang = known;
    }
    mu_symbol_unref(db->symbols, key.name, db->reach);
    return rc;
}

static void block_release(struct mu_db *db, const struct mu_gang_block *shown)
{
    if (shown == NULL)
        return;
    struct mu_block *block = (struct mu_block *)(uintptr_t)shown; /* first member; ours to free */
    block->tag = db->reach;
    block->next = NULL;
    if (db->released_last != NULL)
        db->released_last->next = block;
    else
        db->released_first = block;
    db->released_last = block;
}

/* Forget a row without members; its number may be taken again. */
static void row_unmake(struct mu_db *db, uint32_t gang)
{
    struct mu_gang_rec *g = mu_gang_at(db, gang);
    struct gang_key key = key_of(g);
    const uint32_t home = g->home;
    MU_ASSERT(g->used && g->members == MU_NONE && g->singles == MU_NONE);
    if (g->source != MU_GANG_SOLO)
        mu_index_remove(db->gang_by_name, key_hash(&key), gang);
    if (home != MU_NONE)
        unchain(db, &mu_gang_at(db, home)->singles, gang);
    if (g->group != MU_NONE) {
        unchain(db, &mu_group_at(db, g->group)->rows, gang);
        mu_group_drop_if_unused(db, g->group);
    }
    mu_gang_topology_drop(db, gang);
    mu_symbol_unref(db->symbols, g->part, db->reach);
    mu_symbol_unref(db->symbols, g->name, db->reach);
    mu_symbol_unref(db->symbols, g->ns, db->reach);
    (void)mu_rowset_drop(&db->gang_stale, gang);
    *g = (struct mu_gang_rec){.row.generation = g->row.generation, .members = MU_NONE};
    mu_slab_give(&db->gangs, gang);
}

static bool is_empty(const struct mu_gang_rec *g)
{
    return g->members == MU_NONE && g->singles == MU_NONE;
}

void mu_gang_cancel(struct mu_db *db, uint32_t gang)
{
    if (is_empty(mu_gang_at(db, gang)))
        row_unmake(db, gang);
}

static void mark_shown(struct mu_db *db, uint32_t gang)
{
    for (uint32_t i = 0; i < db->replica_count; i++)
        (void)mu_rowset_add(&db->replicas[i]->gang_dirty, gang);
}

void mu_gang_drop_if_empty(struct mu_db *db, uint32_t gang)
{
    struct mu_gang_rec *g = mu_gang_at(db, gang);
    if (!is_empty(g))
        return;
    const uint32_t home = g->home;
    block_release(db, g->row.block);
    if ((g->row.flags & MU_GANG_PENDING) != 0)
        db->pending_gangs--;
    mu_occupants_gang_moved(db, &g->row, &(struct mu_gang_row){.flags = 0});
    g->row.generation++;
    mark_shown(db, gang);
    db->changed = true;
    row_unmake(db, gang);
    if (home != MU_NONE)
        mu_gang_drop_if_empty(db, home);
}

void mu_gang_touch(struct mu_db *db, uint32_t gang)
{
    mu_gang_at(db, gang)->row.revision++;
    (void)mu_rowset_add(&db->gang_stale, gang);
    db->changed = true;
}

void mu_gang_renew(struct mu_db *db, uint32_t gang)
{
    (void)mu_rowset_add(&db->gang_stale, gang);
    db->counts.versions_moved++;
}

void mu_gang_terms_moved(struct mu_db *db, uint32_t gang)
{
    mu_gang_touch(db, gang);
    for (uint32_t single = mu_gang_at(db, gang)->singles; single != MU_NONE;
         single = mu_gang_at(db, single)->next)
        mu_gang_touch(db, single);
}

/* --- members ------------------------------------------------------------------------------- */

static void link_member(struct mu_db *db, uint32_t gang, uint32_t pod)
{
    struct mu_gang_rec *g = mu_gang_at(db, gang);
    struct mu_pod_rec *p = mu_pod_at(db, pod);
    MU_ASSERT(g->used && p->gang.v == MU_NONE);
    p->gang.v = gang;
    p->gang_prev = MU_NONE;
    p->gang_next = g->members;
    if (g->members != MU_NONE)
        mu_pod_at(db, g->members)->gang_prev = pod;
    g->members = pod;
    mu_gang_touch(db, gang);
}

void mu_gang_join(struct mu_db *db, uint32_t gang, uint32_t pod, uint64_t now_ns)
{
    link_member(db, gang, pod);
    mu_gang_at(db, gang)->found |= (mu_pod_at(db, pod)->flags & MU_POD_BOUND) != 0;
    mu_gang_at(db, gang)->row.settle_ns =
        now_ns > UINT64_MAX - db->quiet_ns ? UINT64_MAX : now_ns + db->quiet_ns;
}

void mu_gang_leave(struct mu_db *db, uint32_t pod)
{
    struct mu_pod_rec *p = mu_pod_at(db, pod);
    uint32_t gang = p->gang.v;
    MU_ASSERT(gang != MU_NONE);
    if (p->gang_prev != MU_NONE) {
        mu_pod_at(db, p->gang_prev)->gang_next = p->gang_next;
    } else {
        MU_ASSERT(mu_gang_at(db, gang)->members == pod);
        mu_gang_at(db, gang)->members = p->gang_next;
    }
    if (p->gang_next != MU_NONE)
        mu_pod_at(db, p->gang_next)->gang_prev = p->gang_prev;
    p->gang.v = MU_NONE;
    mu_gang_touch(db, gang);
}

/* --- recount ------------------------------------------------------------------------------- */

/* Sums over the members; their claims go into the terms. Returns how many are pending. */
static uint32_t sum_members(const struct mu_db *db, uint32_t gang, struct mu_gang_terms *terms)
{
    struct mu_gang_rec *g = mu_gang_at(db, gang);
    struct mu_gang_row *row = &g->row;
    uint32_t pending = 0;
    unsigned marks = 0;
    const unsigned owned = MU_POD_BOUND | MU_POD_CONTROLLED;
    row->member_count = row->placed_count = row->blocked_count = row->blocked_rules = 0;
    row->bound_count = row->controlled_count = 0;
    row->priority = g->members == MU_NONE ? 0 : INT32_MAX;
    row->priority_high = g->members == MU_NONE ? 0 : INT32_MIN;
    row->created_s = UINT64_MAX;
    row->home.v = MU_NONE;
    for (uint32_t pod = g->members; pod != MU_NONE;) {
        const struct mu_pod_rec *p = mu_pod_at(db, pod);
        enum mu_role role = mu_pod_role(p);
        MU_ASSERT(role != MU_ROLE_NONE && p->gang.v == gang);
        row->member_count++;
        row->placed_count += role == MU_ROLE_PLACED;
        if (role == MU_ROLE_PLACED && p->node.v < row->home.v)
            row->home.v = p->node.v;
        row->bound_count += (p->flags & (MU_POD_BOUND | MU_POD_CONFIRMED)) != 0;
        row->controlled_count += (p->flags & owned) == owned;
        row->blocked_count += role == MU_ROLE_BLOCKED;
        row->blocked_rules |= role == MU_ROLE_BLOCKED ? p->unbuilt : 0;
        pending += role == MU_ROLE_PENDING;
        row->priority = p->priority < row->priority ? p->priority : row->priority;
        row->priority_high = p->priority > row->priority_high ? p->priority : row->priority_high;
        row->created_s = p->created_s < row->created_s ? p->created_s : row->created_s;
        marks |= p->flags;
        mu_gang_terms_hear(db, terms, p->claim);
        pod = p->gang_next;
    }
    row->flags = (marks & MU_POD_NEVER) != 0 ? MU_GANG_NEVER : 0;
    g->risen = 0;
    return pending;
}

/* Whether sub-groups count by themselves. */
static bool is_split(const struct mu_db *db, const struct mu_gang_rec *g,
                     const struct mu_gang_terms *terms)
{
    if (terms->subgroup_count > 0 || g->members == MU_NONE)
        return terms->subgroup_count > 0;
    const struct mu_pod_rec *p = mu_pod_at(db, g->members);
    const struct mu_symbol first = mu_gang_subgroup_of(db, g, terms, p);
    const uint32_t claim = p->claim;
    for (; p->gang_next != MU_NONE;) {
        p = mu_pod_at(db, p->gang_next);
        if (p->claim != claim && mu_gang_subgroup_of(db, g, terms, p).v != first.v)
            return true;
    }
    return false;
}

/* What the object says of the gang as a whole, beside its terms. Pods that are marked as no victims
 * themselves are not the row's matter. */
static void apply_object(const struct mu_db *db, struct mu_gang_rec *g)
{
    const struct mu_group_rec *group = mu_gang_group(db, g);
    struct mu_gang_row *row = &g->row;
    const unsigned flags = group == NULL ? 0 : group->flags;
    if ((flags & MU_GROUP_HAS_PRIORITY) != 0)
        row->priority = row->priority_high = group->priority;
    row->flags |= (flags & MU_GROUP_SINGLE_VICTIMS) != 0 ? MU_GANG_SINGLE : 0;
    row->flags |= (flags & MU_GROUP_SPARED) != 0 ? MU_GANG_SPARED : 0;
    row->flags |= (flags & MU_GROUP_NEVER) != 0 ? MU_GANG_NEVER : 0;
}

/* Size and flags, of a row whose members are summed up. */
static void settle_row(const struct mu_db *db, struct mu_gang_rec *g,
                       const struct mu_gang_terms *terms)
{
    struct mu_gang_row *row = &g->row;
    row->flags |= g->split ? MU_GANG_PARTS : 0;
    if (row->placed_count == 0) {
        g->ended = 0;
        g->whole = g->found = false;
    }
    row->size = terms->min != 0 ? terms->min : mu_gang_frozen(g);
    row->flags |= row->size != 0 ? MU_GANG_SETTLED : 0;
    if (row->placed_count < row->member_count)
        row->flags |= MU_GANG_PENDING;
    if (row->placed_count != 0 && mu_gang_lacks(db, g, terms, false) != 0)
        row->flags |= MU_GANG_SHORT;
    mu_gang_end_settle(db, g, terms);
    if (terms->waiting_only && row->size != 0 && row->placed_count >= row->size)
        row->size += row->placed_count;
    row->flags |= terms->pack_required ? MU_GANG_PACK_REQUIRED : 0;
    row->pack_key = terms->pack_key;
    row->timeout_s = terms->timeout_s;
}

static void recount(struct mu_db *db, uint32_t gang, struct mu_gang_terms *terms)
{
    struct mu_gang_rec *g = mu_gang_at(db, gang);
    struct mu_gang_row *row = &g->row;
    const struct mu_gang_row before = *row;
    MU_ASSERT(g->used && !is_empty(g));
    mu_gang_terms_begin(db, g, terms);
    uint32_t pending = sum_members(db, gang, terms);
    mu_gang_terms_end(terms);
    g->split = is_split(db, g, terms);
    apply_object(db, g);
    if (row->member_count > MU_GANG_MEMBERS_MAX || g->overfull)
        terms->held |= MU_RULE_GANG_SPEC;
    g->held = terms->held != 0;
    if (g->held) {
        row->blocked_count += pending;
        row->blocked_rules |= terms->held;
    }
    settle_row(db, g, terms);
    db->pending_gangs += (row->flags & MU_GANG_PENDING) != 0;
    db->pending_gangs -= (before.flags & MU_GANG_PENDING) != 0;
    mu_occupants_gang_moved(db, &before, row);
}

void mu_gang_recount(struct mu_db *db, uint32_t gang)
{
    struct mu_gang_terms terms;
    recount(db, gang, &terms);
}

/* --- blocks -------------------------------------------------------------------------------- */

/* Canonical order: sub-group by name, then creation, then UID. */
static int key_compare(const void *left, const void *right, void *context)
{
    const struct mu_db *db = context;
    const struct mu_member_key *a = left;
    const struct mu_member_key *b = right;
    if (a->subgroup.v != b->subgroup.v)
        return mu_str_compare(mu_symbol_str(db->symbols, a->subgroup),
                              mu_symbol_str(db->symbols, b->subgroup));
    if (a->created_s != b->created_s)
        return a->created_s < b->created_s ? -1 : 1;
    return mu_uid_compare(db, a->uid, b->uid);
}

/* Collect the members that the block is about into db->keys, in canonical order: the pending
 * ones, and in a split gang the others too, since each sub-group counts its own. */
static int keys_collect(struct mu_db *db, const struct mu_gang_rec *g,
                        const struct mu_gang_terms *terms, uint32_t *out)
{
    int rc = 0;
    if (g->row.member_count > db->key_cap)
        rc = mu_mem_grow((void **)&db->keys, &db->key_cap, g->row.member_count, MU_GANG_MEMBERS_MAX,
                         sizeof *db->keys);
    if (rc != 0)
        return rc;
    uint32_t key_count = 0;
    bool sorted = true;
    for (uint32_t pod = g->members; pod != MU_NONE;) {
        const struct mu_pod_rec *p = mu_pod_at(db, pod);
        if (g->split || mu_pod_role(p) == MU_ROLE_PENDING) {
            db->keys[key_count] = (struct mu_member_key){p->created_s, p->uid, pod,
                                                         mu_gang_subgroup_of(db, g, terms, p)};
            /* The list has the last arrival first, so an ordered gang is found descending. */
            sorted = sorted && (key_count == 0 || key_compare(&db->keys[key_count - 1],
                                                              &db->keys[key_count], db) > 0);
            key_count++;
        }
        pod = p->gang_next;
    }
    if (sorted) {
        for (uint32_t i = 0; i < key_count / 2; i++) {
            struct mu_member_key swap = db->keys[i];
            db->keys[i] = db->keys[key_count - 1 - i];
            db->keys[key_count - 1 - i] = swap;
        }
    } else {
        qsort_r(db->keys, key_count, sizeof *db->keys, key_compare, db);
    }
    *out = key_count;
    return 0;
}

static struct mu_gang_member member_of(const struct mu_db *db, uint32_t pod)
{
    const struct mu_pod_rec *p = mu_pod_at(db, pod);
    struct mu_gang_member m = {.pod = {pod},
                               .class_ix = p->class_ix,
                               .kin = p->kin,
                               .uid = p->uid,
                               .version = p->version,
                               .held = {MU_NONE}};
    if (p->ledger == MU_LEDGER_HELD) {
        const struct mu_node_rec *rec = mu_row_rec(db, p->node.v);
        if ((rec->flags & MU_NODE_PRESENT) != 0) {
            m.held = p->node;
            m.held_generation = rec->generation;
            m.held_devices = p->devices;
        }
    }
    return m;
}

/* How many sub-groups the block has: those of the keys, and those that should have members. */
static uint32_t count_subgroups(const struct mu_db *db, const struct mu_gang_terms *terms,
                                uint32_t key_count)
{
    uint32_t listed = 0, known = 0;
    for (uint32_t i = 0; i < key_count; i++) {
        if (i > 0 && db->keys[i].subgroup.v == db->keys[i - 1].subgroup.v)
            continue;
        listed++;
        known += mu_gang_terms_find(terms, db->keys[i].subgroup) != MU_NONE;
    }
    uint32_t count = listed + terms->subgroup_count - known;
    return count == 0 ? 1 : count;
}

/* The minimum of a sub-group of a split gang. */
static uint32_t subgroup_min(const struct mu_gang_terms *terms, struct mu_symbol subgroup)
{
    if (terms->subgroup_count == 0)
        return 0;
    uint32_t i = mu_gang_terms_find(terms, subgroup);
    return i == MU_NONE ? MU_MIN_NONE : terms->subgroups[i].min;
}

/* Where only those count who wait, and all minima are met: as many again. */
static void raise_minima(const struct mu_gang_rec *g, const struct mu_gang_terms *terms,
                         struct mu_gang_subgroup *subgroups, uint32_t count)
{
    if (!terms->waiting_only || terms->min == 0 || g->row.placed_count < terms->min || !g->split)
        return;
    for (uint32_t s = 0; s < count; s++)
        if (subgroups[s].min != 0 && subgroups[s].min != MU_MIN_NONE)
            subgroups[s].min += subgroups[s].placed;
}

/* Write members and sub-groups of a split gang, or all of another one as its only sub-group. */
static uint32_t block_fill(const struct mu_db *db, const struct mu_gang_rec *g,
                           const struct mu_gang_terms *terms, uint32_t key_count,
                           struct mu_gang_subgroup *subgroups, struct mu_gang_member *members)
{
    bool seen[MU_SUBGROUPS_MAX] = {false};
    uint32_t s = 0, m = 0;
    /* Not split: the gang's minimum is its own. */
    subgroups[0] = (struct mu_gang_subgroup){.min = g->split ? 0 : g->row.size,
                                             .placed = g->split ? 0 : g->row.placed_count};
    for (uint32_t i = 0; i < key_count; i++) {
        const struct mu_symbol subgroup = db->keys[i].subgroup;
        if (g->split && (i == 0 || subgroup.v != db->keys[i - 1].subgroup.v)) {
            uint32_t known = mu_gang_terms_find(terms, subgroup);
            if (known != MU_NONE)
                seen[known] = true;
            s += i > 0;
            subgroups[s] =
                (struct mu_gang_subgroup){.min = subgroup_min(terms, subgroup), .member_begin = m};
        }
        enum mu_role role = mu_pod_role(mu_pod_at(db, db->keys[i].pod));
        if (role == MU_ROLE_PENDING) {
            members[m++] = member_of(db, db->keys[i].pod);
            subgroups[s].member_count++;
        }
        subgroups[s].placed += g->split && role == MU_ROLE_PLACED;
    }
    uint32_t count = key_count == 0 && g->split ? 0 : s + 1;
    for (uint32_t i = 0; g->split && i < terms->subgroup_count; i++)
        if (!seen[i])
            subgroups[count++] =
                (struct mu_gang_subgroup){.min = terms->subgroups[i].min, .member_begin = m};
    raise_minima(g, terms, subgroups, count);
    return m;
}

/* The block of a recounted gang with live members that want a node. */
static int block_make(struct mu_db *db, struct mu_gang_rec *g, const struct mu_gang_terms *terms,
                      struct mu_gang_block **out)
{
    uint32_t key_count = 0;
    int rc = g->held ? 0 : keys_collect(db, g, terms, &key_count);
    if (rc != 0)
        return rc;
    uint32_t subgroup_count = g->split && !g->held ? count_subgroups(db, terms, key_count) : 1;
    g->overfull = subgroup_count > MU_SUBGROUPS_MAX;
    const bool listed = !g->held && !g->overfull;
    if (!listed) {
        key_count = 0;
        subgroup_count = 1;
    }
    uint32_t member_count =
        key_count == 0 ? 0 : g->row.member_count - g->row.placed_count - g->row.blocked_count;
    struct mu_block *block =
        mu_mem_alloc(sizeof *block + member_count * sizeof(struct mu_gang_member) +
                     subgroup_count * sizeof(struct mu_gang_subgroup));
    if (block == NULL)
        return MU_ENOMEM;
    struct mu_gang_member *members = (struct mu_gang_member *)(block + 1);
    struct mu_gang_subgroup *subgroups = (struct mu_gang_subgroup *)(members + member_count);
    if (listed) {
        uint32_t filled = block_fill(db, g, terms, key_count, subgroups, members);
        MU_ASSERT(filled == member_count);
    } else {
        subgroups[0] = (struct mu_gang_subgroup){.min = g->split ? 0 : g->row.size,
                                                 .placed = g->split ? 0 : g->row.placed_count};
    }
    block->shown = (struct mu_gang_block){subgroup_count, member_count, subgroups, members};
    *out = &block->shown;
    return 0;
}

static int refresh_one(struct mu_db *db, uint32_t gang)
{
    struct mu_gang_rec *g = mu_gang_at(db, gang);
    struct mu_gang_terms terms;
    struct mu_gang_block *block = NULL;
    g->overfull = false;
    recount(db, gang, &terms);
    int rc = mu_gang_topology_follow(db, gang);
    if (rc != 0)
        return rc;
    if ((g->row.flags & MU_GANG_PENDING) != 0) {
        rc = block_make(db, g, &terms, &block);
        if (rc != 0)
            return rc;
        if (g->overfull)
            recount(db, gang, &terms);
    }
    block_release(db, g->row.block);
    g->row.block = block;
    mark_shown(db, gang);
    return 0;
}

/* --- members that move between a row and its home -------------------------------------------- */

static void move_member(struct mu_db *db, uint32_t pod, uint32_t to)
{
    const struct mu_pod_rec before = *mu_pod_at(db, pod);
    mu_gang_leave(db, pod);
    link_member(db, to, pod);
    mu_occupants_pod_moved(db, &before, mu_pod_at(db, pod));
}

/* A member of a gang that is none gets a row of its own. Errors: MU_ENOMEM, MU_ELIMIT. */
static int move_out(struct mu_db *db, uint32_t home, uint32_t pod)
{
    const struct gang_key key = {.ns = mu_gang_at(db, home)->ns, .source = MU_GANG_SOLO};
    uint32_t single;
    int rc = row_make(db, &key, &single);
    if (rc != 0)
        return rc;
    mu_symbol_ref(db->symbols, key.ns);
    mu_gang_at(db, single)->home = home;
    chain(db, &mu_gang_at(db, home)->singles, single);
    move_member(db, pod, single);
    return 0;
}

/* Bring the members of a gang to where its object wants them, a bounded number a call. Returns 0,
 * 1 when some are left, or an error (those who moved stay). */
static int rehouse(struct mu_db *db, uint32_t gang, uint32_t budget, uint32_t *spent)
{
    const struct mu_gang_rec *g = mu_gang_at(db, gang);
    const bool apart = mu_gang_wants_singles(db, g);
    while ((apart ? g->members : g->singles) != MU_NONE) {
        if (*spent >= budget)
            return 1;
        *spent += VISIT_ROWS;
        if (apart) {
            int rc = move_out(db, gang, g->members);
            if (rc != 0)
                return rc;
            continue;
        }
        const uint32_t single = g->singles;
        move_member(db, mu_gang_at(db, single)->members, gang);
        mu_gang_drop_if_empty(db, single); /* home stays: it has a member */
    }
    return 0;
}

int mu_gang_refresh(struct mu_db *db, uint32_t budget, uint32_t *spent)
{
    while (db->gang_stale.count != 0 && *spent < budget) {
        uint32_t gang = mu_rowset_next(&db->gang_stale, 0);
        int rc = 0;
        if (mu_gang_at(db, gang)->group != MU_NONE)
            rc = rehouse(db, gang, budget, spent);
        if (rc > 0)
            return 0; /* the budget is spent, and the row stays stale */
        if (rc == 0)
            rc = refresh_one(db, gang);
        if (rc != 0)
            return rc;
        (void)mu_rowset_drop(&db->gang_stale, gang);
        *spent += VISIT_ROWS * (1 + mu_gang_at(db, gang)->row.member_count);
    }
    return 0;
}

void mu_gang_destroy_all(struct mu_db *db)
{
    for (uint32_t gang = 0; gang < db->gangs.high; gang++)
        block_release(db, mu_gang_at(db, gang)->row.block); /* NULL in a free row */
    for (struct mu_block *block = db->released_first; block != NULL;) {
        struct mu_block *next = block->next;
        mu_mem_free(block);
        block = next;
    }
    mu_mem_free(db->keys);
    mu_slab_fini(&db->gangs);
    mu_rowset_fini(&db->gang_stale);
}
