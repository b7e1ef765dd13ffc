#include "engine/db/db_priv.h"

#include <stdlib.h>
#include <string.h>

#include "engine/base/assert.h"
#include "engine/base/mem.h"
#include "engine/db/census_priv.h"

/*
 * Occupants: who is on which row, as victims are looked for (struct mu_occupants).
 *
 * Most of the time nobody could preempt, and nothing of this exists but a short table: for each
 * priority that some pod has, how many pods have it, how many of those are occupants, and how many
 * pending gangs may preempt by it. It is exact and moves with every record, so that one look at its
 * two ends says whether some gang has a higher priority than some occupant (`wanted`). A gang has
 * the priority of one of its members, so its entry is there before the gang counts on it.
 *
 *     OFF       no row has a block
 *     ON        every row that is not stale has the block that its pods make. A change of a pod
 *               marks its row stale; while it is wanted, a sync makes the blocks of stale rows anew
 *               and copies them, a few at a time, before it is complete
 *     DRAINING  the blocks of rows from `drained` on are still there, and are given up a few at
 *               each sync, of which none waits for it
 *
 *     OFF, DRAINING --wanted: all rows stale--> ON --not wanted in MU_OCCUPANTS_IDLE_MAX syncs-->
 *     DRAINING --all given up--> OFF
 *
 * The wait before it goes: a gang of a higher priority that comes and is placed at once must not
 * have a large cluster's blocks made for each of its kind. While nobody wants them, blocks are not
 * kept up, only marked.
 *
 * Blocks are shared by all replicas and released like those of gangs: a replica has a pointer by
 * row, and a set of rows of which it has an old one.
 */

/* What a block costs a sync, in copied rows, its release included; and what a visit to a pod does:
 * its record is cold, and is sorted. */
enum { BLOCK_ROWS = 8, VISIT_ROWS = 2, BATCH_ROWS = 16 };

/* Rows whose pods are loaded together, and how many of each. */
enum { AHEAD_ROWS = 16, AHEAD_PODS = 32 };

enum state { OFF, ON, DRAINING };

struct priority {
    int32_t value;
    uint32_t pods;      /* that have it, and who else holds it */
    uint32_t occupants; /* of them */
    uint32_t gangs;     /* pending, and may preempt */
};
struct mu_occupancy {
    struct priority *priorities; /* ascending; each with some count above 0 */
    uint32_t priority_count, priority_cap;
    enum state state;
    bool asked;             /* somebody wants to see them, whether or not any gang could preempt */
    bool wanted;            /* as of the last sync */
    uint32_t idle;          /* syncs since it was */
    struct mu_pages rows;   /* const struct mu_occupants * by row; not OFF */
    struct mu_rowset stale; /* ON */
    uint32_t drained;       /* DRAINING */
    uint64_t epoch;         /* of the blocks: moves when it goes ON */
    uint64_t generation;
};

/* --- who counts ------------------------------------------------------------------------------ */

static bool is_used(const struct mu_pod_rec *p)
{
    return (p->flags & MU_POD_USED) != 0;
}

static bool is_occupant(const struct mu_pod_rec *p)
{
    const unsigned asked = MU_POD_USED | MU_POD_BOUND | MU_POD_TERMINAL;
    return (p->flags & asked) == (MU_POD_USED | MU_POD_BOUND);
}

static bool may_preempt(uint32_t gang_flags)
{
    return (gang_flags & (MU_GANG_PENDING | MU_GANG_NEVER)) == MU_GANG_PENDING;
}

/* --- priorities ------------------------------------------------------------------------------ */

/* The first entry that is not below the value. */
static uint32_t priority_find(const struct mu_occupancy *o, int32_t value)
{
    uint32_t low = 0;
    for (uint32_t high = o->priority_count; low < high;) {
        uint32_t middle = low + (high - low) / 2;
        if (o->priorities[middle].value < value)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static struct priority *priority_get(const struct mu_occupancy *o, int32_t value)
{
    struct priority *entry = &o->priorities[priority_find(o, value)];
    MU_ASSERT(entry < o->priorities + o->priority_count && entry->value == value);
    return entry;
}

static void priority_drop_if_idle(struct mu_occupancy *o, struct priority *entry)
{
    if ((entry->pods | entry->occupants | entry->gangs) != 0)
        return;
    struct priority *end = o->priorities + o->priority_count--;
    memmove(entry, entry + 1, (size_t)(end - entry - 1) * sizeof *entry);
}

/* One more that has this priority; room was reserved. */
static struct priority *priority_hold(struct mu_occupancy *o, int32_t value)
{
    uint32_t at = priority_find(o, value);
    MU_ASSERT(o->priority_cap > 0);
    struct priority *entry = &o->priorities[at];
    if (at == o->priority_count || entry->value != value) {
        MU_ASSERT(o->priority_count < o->priority_cap);
        memmove(entry + 1, entry, (o->priority_count - at) * sizeof *entry);
        *entry = (struct priority){.value = value};
        o->priority_count++;
    }
    entry->pods++;
    return entry;
}

static void pod_add(struct mu_occupancy *o, const struct mu_pod_rec *p)
{
    priority_hold(o, p->priority)->occupants += is_occupant(p);
}

static void pod_take_off(struct mu_occupancy *o, const struct mu_pod_rec *p)
{
    struct priority *entry = priority_get(o, p->priority);
    MU_ASSERT(entry->pods > 0 && entry->occupants >= is_occupant(p));
    entry->pods--;
    entry->occupants -= is_occupant(p);
    priority_drop_if_idle(o, entry);
}

/* Whether some gang may preempt some occupant by their priorities. */
static bool is_wanted(const struct mu_occupancy *o)
{
    uint32_t lowest = 0;
    if (o->asked)
        return true;
    while (lowest < o->priority_count && o->priorities[lowest].occupants == 0)
        lowest++;
    for (uint32_t highest = o->priority_count; highest > lowest + 1; highest--)
        if (o->priorities[highest - 1].gangs != 0)
            return true;
    return false;
}

void mu_db_occupants_ask(struct mu_db *db, bool asked)
{
    db->occupancy->asked = asked;
}

int mu_occupants_reserve(struct mu_db *db, int32_t priority)
{
    struct mu_occupancy *o = db->occupancy;
    uint32_t at = priority_find(o, priority);
    if (at < o->priority_count && o->priorities[at].value == priority)
        return 0;
    return mu_mem_grow((void **)&o->priorities, &o->priority_cap, o->priority_count + 1,
                       MU_PODS_MAX + MU_GANGS_MAX, sizeof *o->priorities);
}

int mu_occupants_hold(struct mu_db *db, int32_t priority)
{
    int rc = mu_occupants_reserve(db, priority);
    if (rc == 0)
        (void)priority_hold(db->occupancy, priority);
    return rc;
}

void mu_occupants_let_go(struct mu_db *db, int32_t priority)
{
    struct priority *entry = priority_get(db->occupancy, priority);
    MU_ASSERT(entry->pods > 0);
    entry->pods--;
    priority_drop_if_idle(db->occupancy, entry);
}

/* --- what moves ------------------------------------------------------------------------------ */

static void mark(struct mu_db *db, uint32_t row)
{
    struct mu_occupancy *o = db->occupancy;
    if (o->state == ON)
        (void)mu_rowset_add(&o->stale, row);
    db->changed |= o->wanted;
}

/* Whether both are shown alike on their rows. */
static bool shown_alike(const struct mu_pod_rec *a, const struct mu_pod_rec *b)
{
    const unsigned shown = MU_POD_TERMINATING | MU_POD_SPARED | MU_POD_CONTROLLED;
    return a->node.v == b->node.v && ((a->flags ^ b->flags) & shown) == 0 &&
           a->class_ix.v == b->class_ix.v && a->kin.v == b->kin.v && a->gang.v == b->gang.v &&
           a->priority == b->priority && a->started_s == b->started_s && a->devices == b->devices &&
           mu_uid_equal(a->uid, b->uid);
}

void mu_occupants_pod_moved(struct mu_db *db, const struct mu_pod_rec *before,
                            const struct mu_pod_rec *after)
{
    struct mu_occupancy *o = db->occupancy;
    bool was = is_occupant(before);
    bool is = is_occupant(after);
    if (is_used(before) != is_used(after) || before->priority != after->priority || was != is) {
        if (is_used(after))
            pod_add(o, after);
        if (is_used(before))
            pod_take_off(o, before);
    }
    if (was && is && shown_alike(before, after))
        return;
    if (was)
        mark(db, before->node.v);
    if (is)
        mark(db, after->node.v);
}

void mu_occupants_row_moved(struct mu_db *db, uint32_t from, uint32_t to)
{
    mark(db, from);
    mark(db, to);
}

/* Whether both say the same of their pods as victims. */
static bool victims_alike(const struct mu_gang_row *a, const struct mu_gang_row *b)
{
    const uint32_t shown = MU_GANG_SPARED | MU_GANG_SINGLE | MU_GANG_PARTS;
    return ((a->flags ^ b->flags) & shown) == 0 && a->priority_high == b->priority_high &&
           a->size == b->size && a->placed_count == b->placed_count &&
           a->bound_count == b->bound_count;
}

void mu_occupants_gang_moved(struct mu_db *db, const struct mu_gang_row *before,
                             const struct mu_gang_row *after)
{
    struct mu_occupancy *o = db->occupancy;
    bool was = may_preempt(before->flags);
    bool is = may_preempt(after->flags);
    if ((before->bound_count | after->bound_count) != 0 && !victims_alike(before, after))
        o->generation++;
    if (was == is && (!is || before->priority == after->priority))
        return;
    if (is)
        priority_get(o, after->priority)->gangs++;
    if (was) {
        struct priority *entry = priority_get(o, before->priority);
        MU_ASSERT(entry->gangs > 0);
        entry->gangs--;
        priority_drop_if_idle(o, entry);
    }
}

void mu_occupants_moved(struct mu_db *db)
{
    db->occupancy->generation++;
    db->changed |= db->occupancy->wanted;
}

int mu_occupants_rows_reserve(struct mu_db *db, uint32_t rows)
{
    struct mu_occupancy *o = db->occupancy;
    return o->state == ON ? mu_rowset_reserve(&o->stale, rows) : 0;
}

/* --- blocks ---------------------------------------------------------------------------------- */

static int by_uid(const void *left, const void *right, void *context)
{
    const struct mu_db *db = context;
    const struct mu_occupant *a = left;
    const struct mu_occupant *b = right;
    return mu_uid_compare(db, mu_pod_at(db, a->pod.v)->uid, mu_pod_at(db, b->pod.v)->uid);
}

static struct mu_occupant occupant_of(uint32_t pod, const struct mu_pod_rec *p)
{
    unsigned flags = 0;
    flags |= (p->flags & MU_POD_TERMINATING) != 0 ? MU_OCCUPANT_TERMINATING : 0u;
    flags |= (p->flags & MU_POD_SPARED) != 0 ? MU_OCCUPANT_SPARED : 0u;
    flags |= (p->flags & MU_POD_CONTROLLED) != 0 ? MU_OCCUPANT_CONTROLLED : 0u;
    return (struct mu_occupant){.pod = {pod},
                                .check = mu_uid_check(p->uid),
                                .class_ix = p->class_ix,
                                .kin = p->kin,
                                .gang = p->gang,
                                .priority = p->priority,
                                .started = p->started_s,
                                .devices = p->devices,
                                .flags = (uint16_t)flags};
}

/* The block of a row's pods, NULL for none. */
static int block_make(struct mu_db *db, uint32_t row, struct mu_occupants **out, uint32_t *spent)
{
    uint32_t listed = 0;
    uint32_t count = 0;
    const uint32_t first = mu_row_rec(db, row)->pods;
    *out = NULL;
    for (uint32_t pod = first; pod != MU_NONE && listed <= MU_OCCUPANTS_MAX; listed++) {
        const struct mu_pod_rec *p = mu_pod_at(db, pod);
        count += is_occupant(p);
        pod = p->node_next;
    }
    *spent += BLOCK_ROWS + VISIT_ROWS * listed;
    if (count == 0 || listed > MU_OCCUPANTS_MAX)
        return 0;
    struct mu_occupants *block = mu_shown_alloc(sizeof *block + count * sizeof block->pods[0]);
    if (block == NULL)
        return MU_ENOMEM;
    block->count = 0;
    for (uint32_t pod = first; pod != MU_NONE;) {
        const struct mu_pod_rec *p = mu_pod_at(db, pod);
        if (is_occupant(p))
            block->pods[block->count++] = occupant_of(pod, p);
        pod = p->node_next;
    }
    MU_ASSERT(block->count == count);
    qsort_r(block->pods, count, sizeof block->pods[0], by_uid, db);
    *out = block;
    return 0;
}

static const struct mu_occupants **slot_of(const struct mu_occupancy *o, uint32_t row)
{
    return mu_pages_at(&o->rows, row);
}

static void block_release(struct mu_db *db, const struct mu_occupants **slot)
{
    for (uint32_t i = 0; *slot != NULL && i < (*slot)->count; i++)
        mu_cover_kin_exit(db, (*slot)->pods[i].kin);
    mu_shown_release(db, *slot);
    *slot = NULL;
}

static int row_refresh(struct mu_db *db, uint32_t row, uint32_t *spent)
{
    struct mu_occupancy *o = db->occupancy;
    struct mu_occupants *block = NULL;
    int rc = mu_pages_reserve(&o->rows, row);
    for (uint32_t i = 0; rc == 0 && i < db->replica_count; i++)
        if (db->replicas[i]->occupants != NULL)
            rc = mu_rowset_reserve(&db->replicas[i]->occupants_dirty, mu_row_count(db));
    if (rc == 0)
        rc = block_make(db, row, &block, spent);
    if (rc != 0)
        return rc;
    for (uint32_t i = 0; rc == 0 && block != NULL && i < block->count; i++)
        rc = mu_cover_kin_reserve(db, block->pods[i].kin);
    if (rc != 0) {
        mu_shown_cancel(block);
        return rc;
    }
    const struct mu_occupants **slot = slot_of(o, row);
    if (*slot == NULL && block == NULL)
        return 0;
    for (uint32_t i = 0; block != NULL && i < block->count; i++)
        mu_cover_kin_enter(db, block->pods[i].kin);
    block_release(db, slot);
    *slot = block;
    o->generation++;
    for (uint32_t i = 0; i < db->replica_count; i++)
        if (db->replicas[i]->occupants != NULL)
            (void)mu_rowset_add(&db->replicas[i]->occupants_dirty, row);
    return 0;
}

uint32_t mu_occupants_audit_row(struct mu_db *db, uint32_t row)
{
    struct mu_occupancy *o = db->occupancy;
    struct mu_occupants *block = NULL;
    uint32_t spent = 0;
    if (o->state != ON || mu_rowset_has(&o->stale, row) || block_make(db, row, &block, &spent) != 0)
        return 0; /* no memory: the next audit comes by */
    const struct mu_occupants *const *slot = slot_of(o, row);
    const struct mu_occupants *shown = slot == NULL ? NULL : *slot;
    bool wrong = (shown == NULL) != (block == NULL);
    if (shown != NULL && block != NULL)
        wrong = shown->count != block->count ||
                memcmp(shown->pods, block->pods, block->count * sizeof block->pods[0]) != 0;
    mu_shown_cancel(block);
    if (wrong)
        mark(db, row);
    return wrong;
}

/* The pods of a row are a list, whose records lie anywhere: those of the next rows are loaded side
 * by side, as far as rows mostly have pods. */
static void load_ahead(const struct mu_db *db)
{
    const struct mu_rowset *stale = &db->occupancy->stale;
    uint32_t pods[AHEAD_ROWS], count = 0;
    for (uint32_t row = mu_rowset_next(stale, 0); row != UINT32_MAX && count < AHEAD_ROWS;
         row = mu_rowset_next(stale, row + 1)) {
        pods[count] = mu_row_rec(db, row)->pods;
        if (pods[count] != MU_NONE)
            __builtin_prefetch(mu_pod_at(db, pods[count++]));
    }
    for (uint32_t depth = 1; count > 0 && depth < AHEAD_PODS; depth++) {
        uint32_t kept = 0;
        for (uint32_t i = 0; i < count; i++) {
            pods[kept] = mu_pod_at(db, pods[i])->node_next;
            if (pods[kept] != MU_NONE)
                __builtin_prefetch(mu_pod_at(db, pods[kept++]));
        }
        count = kept;
    }
}

static int refresh(struct mu_db *db, uint32_t budget, uint32_t *spent)
{
    struct mu_rowset *stale = &db->occupancy->stale;
    for (uint32_t done = 0; stale->count != 0 && *spent < budget; done++) {
        if (done % AHEAD_ROWS == 0)
            load_ahead(db);
        uint32_t row = mu_rowset_next(stale, 0);
        int rc = row_refresh(db, row, spent);
        if (rc != 0)
            return rc;
        (void)mu_rowset_drop(stale, row);
    }
    return 0;
}

/* --- on and off ------------------------------------------------------------------------------ */

static int switch_on(struct mu_db *db)
{
    struct mu_occupancy *o = db->occupancy;
    uint32_t rows = mu_row_count(db);
    int rc = mu_rowset_reserve(&o->stale, rows);
    if (rc == 0 && o->state == OFF)
        rc = mu_pages_init(&o->rows, MU_NODES_MAX, sizeof(const struct mu_occupants *));
    if (rc != 0)
        return rc;
    mu_rowset_fill(&o->stale, rows);
    o->state = ON;
    o->epoch++;
    return 0;
}

static void switch_off(struct mu_occupancy *o)
{
    mu_rowset_fini(&o->stale);
    o->drained = 0;
    o->state = DRAINING;
}

static void drain(struct mu_db *db, uint32_t budget, uint32_t *spent)
{
    struct mu_occupancy *o = db->occupancy;
    for (; o->drained < mu_row_count(db) && *spent < budget; o->drained++, ++*spent) {
        const struct mu_occupants **slot = slot_of(o, o->drained);
        if (slot != NULL)
            block_release(db, slot);
    }
    if (o->drained < mu_row_count(db))
        return;
    mu_pages_fini(&o->rows);
    mu_cover_rest(db);
    o->state = OFF;
}

/* --- replicas -------------------------------------------------------------------------------- */

/* A column as wide as the others, of these blocks: one of an earlier epoch has pointers to blocks
 * that were given up without a mark. */
static int column_reserve(struct mu_db *db, struct mu_replica *r)
{
    uint32_t cap = r->shown.node_cap;
    bool current = r->occupants_epoch == db->occupancy->epoch;
    if (r->occupants != NULL && r->occupants_cap == cap && current)
        return 0;
    int rc = mu_rowset_reserve(&r->occupants_dirty, mu_row_count(db));
    const struct mu_occupants **column = mu_mem_calloc(cap, sizeof *column);
    if (rc != 0 || column == NULL) {
        mu_mem_free(column);
        return MU_ENOMEM;
    }
    if (!current)
        mu_cover_replica_fini(r);
    mu_mem_free(r->occupants);
    r->occupants = column;
    r->occupants_cap = cap;
    r->occupants_epoch = db->occupancy->epoch;
    mu_rowset_fill(&r->occupants_dirty, mu_row_count(db));
    return 0;
}

static void column_drop(struct mu_replica *r)
{
    mu_cover_replica_fini(r);
    mu_mem_free(r->occupants);
    r->occupants = NULL;
    mu_rowset_fini(&r->occupants_dirty);
}

static void copy(const struct mu_db *db, struct mu_replica *r, uint32_t budget, uint32_t *spent)
{
    uint32_t rows[BATCH_ROWS];
    while (*spent < budget) {
        uint32_t left = budget - *spent;
        uint32_t n =
            mu_rowset_take(&r->occupants_dirty, rows, left < BATCH_ROWS ? left : BATCH_ROWS);
        for (uint32_t i = 0; i < n; i++) {
            const struct mu_occupants **slot = slot_of(db->occupancy, rows[i]);
            r->occupants[rows[i]] = slot == NULL ? NULL : *slot;
        }
        *spent += n;
        if (n == 0)
            return;
    }
}

int mu_occupants_sync(struct mu_db *db, struct mu_replica *r, uint32_t budget, uint32_t *spent)
{
    struct mu_occupancy *o = db->occupancy;
    int rc = 0;
    o->wanted = db->gang_stale.count == 0 && is_wanted(o);
    if (o->wanted && o->state != ON)
        rc = switch_on(db);
    if (rc == 0 && o->wanted && o->stale.count != 0) {
        rc = refresh(db, budget, spent);
        mu_db_reclaim(
            db); /* as much as a step releases: what replicas have passed is not piled up */
    }
    if (rc == 0 && o->wanted)
        rc = column_reserve(db, r);
    if (rc == 0 && o->wanted)
        rc = mu_cover_sync(db, r, budget, spent);
    if (rc != 0)
        return rc;
    if (o->state != ON)
        column_drop(r);
    if (o->state == DRAINING)
        drain(db, budget, spent);
    if (o->wanted)
        copy(db, r, budget, spent);
    return 0;
}

uint64_t mu_occupants_backlog(const struct mu_db *db, const struct mu_replica *r)
{
    const struct mu_occupancy *o = db->occupancy;
    if (!o->wanted)
        return 0;
    return (uint64_t)o->stale.count + r->occupants_dirty.count + mu_cover_backlog(db, r);
}

void mu_occupants_show(struct mu_db *db, struct mu_replica *r)
{
    struct mu_occupancy *o = db->occupancy;
    MU_ASSERT(!o->wanted || (o->state == ON && r->occupants_cap == r->shown.node_cap));
    o->idle = o->wanted ? 0 : o->idle + 1;
    if (o->state == ON && o->idle > MU_OCCUPANTS_IDLE_MAX)
        switch_off(o);
    r->shown.occupants = o->wanted ? r->occupants : NULL;
    r->shown.occupant_generation = o->generation;
    mu_cover_show(db, r, o->wanted);
}

void mu_occupants_replica_fini(struct mu_replica *r)
{
    column_drop(r);
}

/* --- life ------------------------------------------------------------------------------------ */

int mu_occupants_create(struct mu_db *db)
{
    db->occupancy = mu_mem_zalloc(sizeof *db->occupancy);
    return db->occupancy == NULL ? MU_ENOMEM : 0;
}

void mu_occupants_destroy(struct mu_db *db)
{
    struct mu_occupancy *o = db->occupancy;
    if (o == NULL)
        return;
    for (uint32_t row = 0; o->state != OFF && row < mu_row_count(db); row++)
        if (slot_of(o, row) != NULL)
            block_release(db, slot_of(o, row));
    mu_pages_fini(&o->rows);
    mu_rowset_fini(&o->stale);
    mu_mem_free(o->priorities);
    mu_mem_free(o);
}
