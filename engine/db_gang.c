#include "engine/db_priv.h"

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
 * has a row to itself, reached through the pod. Members hang on a list; everything else in the row
 * is derived from them, not counted along: a change only marks the row stale (O(1)), and before
 * the row is shown to anyone it is recounted in one walk over its members. Sums that are never
 * patched cannot drift, and a burst of arrivals costs one walk.
 *
 * Size.  stated = largest size stated by a live member. Where none states one, the gang is
 * unsettled until an admit freezes the size it was placed with; settle_ns, the last arrival plus
 * the quiet time, is when a session may take it as complete. Members that arrive after the freeze
 * are surplus. The freeze counts while somebody is placed: those who come after are a new
 * generation, and do not wait for members that have ended.
 *
 *     stated > 0                       settled, size = stated
 *     stated = 0, frozen, some placed  settled, size = frozen, or all live members if fewer
 *     else                             not settled, size = 0
 *
 * Blocks. The members that want a node are shown as an immutable block in canonical order
 * (creation, then UID), made when a stale gang is refreshed. The block it replaces is freed once
 * no replica can reach it.
 *
 * A gang beyond MU_GANG_MEMBERS_MAX or MU_SUBGROUPS_MAX is blocked whole, with MU_RULE_GANG_SPEC:
 * its pods keep their records and their room.
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
        rc = row_make(db, &key, gang);
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
    MU_ASSERT(g->used && g->members == MU_NONE);
    if (g->source != MU_GANG_SOLO)
        mu_index_remove(db->gang_by_name, key_hash(&key), gang);
    mu_symbol_unref(db->symbols, g->name, db->reach);
    mu_symbol_unref(db->symbols, g->ns, db->reach);
    (void)mu_rowset_drop(&db->gang_stale, gang);
    *g = (struct mu_gang_rec){.row.generation = g->row.generation, .members = MU_NONE};
    mu_slab_give(&db->gangs, gang);
}

void mu_gang_cancel(struct mu_db *db, uint32_t gang)
{
    if (mu_gang_at(db, gang)->members == MU_NONE)
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
    if (g->members != MU_NONE)
        return;
    block_release(db, g->row.block);
    if ((g->row.flags & MU_GANG_PENDING) != 0)
        db->pending_gangs--;
    mu_occupants_gang_moved(db, &g->row, &(struct mu_gang_row){.flags = 0});
    g->row.generation++;
    mark_shown(db, gang);
    db->changed = true;
    row_unmake(db, gang);
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

/* --- members ------------------------------------------------------------------------------- */

void mu_gang_join(struct mu_db *db, uint32_t gang, uint32_t pod, uint64_t now_ns)
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
    g->row.settle_ns = now_ns > UINT64_MAX - db->quiet_ns ? UINT64_MAX : now_ns + db->quiet_ns;
    mu_gang_touch(db, gang);
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

void mu_gang_recount(struct mu_db *db, uint32_t gang)
{
    struct mu_gang_rec *g = mu_gang_at(db, gang);
    struct mu_gang_row *row = &g->row;
    uint32_t pending = 0;
    uint32_t stated = 0;
    MU_ASSERT(g->used && g->members != MU_NONE);
    const struct mu_symbol subgroup = mu_pod_at(db, g->members)->subgroup;
    const struct mu_gang_row before = *row;
    row->member_count = row->placed_count = row->blocked_count = row->blocked_rules = 0;
    row->bound_count = 0;
    row->priority = INT32_MAX;
    row->created_s = UINT64_MAX;
    g->split = false;
    for (uint32_t pod = g->members; pod != MU_NONE;) {
        const struct mu_pod_rec *p = mu_pod_at(db, pod);
        enum mu_role role = mu_pod_role(p);
        MU_ASSERT(role != MU_ROLE_NONE && p->gang.v == gang);
        row->member_count++;
        row->placed_count += role == MU_ROLE_PLACED;
        row->bound_count += (p->flags & (MU_POD_BOUND | MU_POD_CONFIRMED)) != 0;
        row->blocked_count += role == MU_ROLE_BLOCKED;
        row->blocked_rules |= role == MU_ROLE_BLOCKED ? p->unbuilt : 0;
        pending += role == MU_ROLE_PENDING;
        row->priority = p->priority < row->priority ? p->priority : row->priority;
        row->created_s = p->created_s < row->created_s ? p->created_s : row->created_s;
        stated = p->gang_size > stated ? p->gang_size : stated;
        g->split |= p->subgroup.v != subgroup.v;
        pod = p->gang_next;
    }
    if (row->member_count > MU_GANG_MEMBERS_MAX || g->overfull) {
        row->blocked_count += pending;
        row->blocked_rules |= MU_RULE_GANG_SPEC;
    }
    /* With nobody left of those that a size was frozen for, a new generation begins; with fewer
     * left than that, nobody waits for those that have ended. */
    uint32_t frozen = g->frozen < row->member_count ? g->frozen : row->member_count;
    if (row->placed_count == 0)
        frozen = 0;
    row->size = stated != 0 ? stated : frozen;
    row->flags = row->size != 0 ? MU_GANG_SETTLED : 0;
    if (row->placed_count < row->member_count)
        row->flags |= MU_GANG_PENDING;
    if (row->placed_count != 0 && row->placed_count < row->size)
        row->flags |= MU_GANG_SHORT;
    db->pending_gangs += (row->flags & MU_GANG_PENDING) != 0;
    db->pending_gangs -= (before.flags & MU_GANG_PENDING) != 0;
    mu_occupants_gang_moved(db, &before, row);
}

bool mu_gang_stands_without(const struct mu_db *db, uint32_t gang)
{
    const struct mu_gang_rec *g = mu_gang_at(db, gang);
    uint32_t picked = 0;
    for (uint32_t pod = g->members; pod != MU_NONE;) {
        const struct mu_pod_rec *p = mu_pod_at(db, pod);
        picked += (p->flags & MU_POD_PICKED) != 0;
        pod = p->gang_next;
    }
    MU_ASSERT(picked <= g->row.placed_count);
    /* Sub-groups without stated minimums run whole. */
    return g->row.size != 0 && !g->split && g->row.placed_count - picked >= g->row.size;
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
static int keys_collect(struct mu_db *db, const struct mu_gang_rec *g, uint32_t *out)
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
            db->keys[key_count] = (struct mu_member_key){p->created_s, p->uid, pod, p->subgroup};
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

/* The block of a recounted gang with live members that want a node. */
static int block_make(struct mu_db *db, struct mu_gang_rec *g, struct mu_gang_block **out)
{
    bool listed = g->row.member_count <= MU_GANG_MEMBERS_MAX;
    uint32_t key_count = 0;
    int rc = listed ? keys_collect(db, g, &key_count) : 0;
    if (rc != 0)
        return rc;
    uint32_t subgroup_count = 1;
    for (uint32_t i = 1; i < key_count; i++)
        subgroup_count += db->keys[i].subgroup.v != db->keys[i - 1].subgroup.v;
    g->overfull = subgroup_count > MU_SUBGROUPS_MAX;
    if (g->overfull) {
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
    /* One sub-group: the gang's minimum is its own. Several: no dialect states theirs, so all of
     * each. */
    subgroups[0] = (struct mu_gang_subgroup){.min = g->split ? 0 : g->row.size,
                                             .placed = g->split ? 0 : g->row.placed_count};
    uint32_t s = 0;
    uint32_t m = 0;
    for (uint32_t i = 0; i < key_count; i++) {
        if (i > 0 && db->keys[i].subgroup.v != db->keys[i - 1].subgroup.v)
            subgroups[++s] = (struct mu_gang_subgroup){.member_begin = m};
        enum mu_role role = mu_pod_role(mu_pod_at(db, db->keys[i].pod));
        if (role == MU_ROLE_PENDING) {
            MU_ASSERT(m < member_count);
            members[m++] = member_of(db, db->keys[i].pod);
            subgroups[s].member_count++;
        }
        subgroups[s].placed += g->split && role == MU_ROLE_PLACED;
    }
    MU_ASSERT(m == member_count && s + 1 == subgroup_count);
    block->shown = (struct mu_gang_block){subgroup_count, member_count, subgroups, members};
    *out = &block->shown;
    return 0;
}

static int refresh_one(struct mu_db *db, uint32_t gang)
{
    struct mu_gang_rec *g = mu_gang_at(db, gang);
    struct mu_gang_block *block = NULL;
    g->overfull = false;
    mu_gang_recount(db, gang);
    if ((g->row.flags & MU_GANG_PENDING) != 0) {
        int rc = block_make(db, g, &block);
        if (rc != 0)
            return rc;
        if (g->overfull)
            mu_gang_recount(db, gang);
    }
    block_release(db, g->row.block);
    g->row.block = block;
    mark_shown(db, gang);
    return 0;
}

int mu_gang_refresh(struct mu_db *db, uint32_t budget, uint32_t *spent)
{
    while (db->gang_stale.count != 0 && *spent < budget) {
        uint32_t gang = mu_rowset_next(&db->gang_stale, 0);
        int rc = refresh_one(db, gang);
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
