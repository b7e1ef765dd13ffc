#include "engine/db/db_priv.h"

#include <string.h>

#include "engine/base/assert.h"
#include "engine/base/mem.h"

/*
 * Replicas: flat copies of what sessions read, brought up to date by copying dirty rows.
 *
 * Each replica has three sets of dirty rows: sums (free columns), static columns, gang rows. A
 * change adds to every replica's sets; a sync empties them, lowest row first.
 *
 * Why it cannot tear. A sync may take several steps with changes in between. A row that changes
 * after it was copied is dirty again. A step ends the sync only when all sets are empty within one
 * call, that is, at one boundary between batches; then every row equals the master's, whenever it
 * was copied. Until then the replica belongs to the writer and nobody reads it.
 *
 * Why it ends. When a step leaves no fewer dirty rows than the step before it left, the budget
 * doubles for the rest of this sync: either the backlog shrinks with every step, or the budget
 * outgrows it.
 *
 * Growing. New columns start out zeroed with all rows dirty, so that the copying is sliced like
 * any other. A resource that appears adds a column of zeros: rows that have it are dirty anyway.
 * Values at and beyond a chunk's stride are 0 in the master and were never written in a replica.
 */
enum {
    BATCH = 16, /* rows whose cache lines are under way at once */
    EFFORT_MAX = 16,
    ALIGN = 64
};

static struct mu_replica *replica_of(struct mu_snapshot *snapshot)
{
    return (struct mu_replica *)snapshot; /* its first member */
}

/* --- life ---------------------------------------------------------------------------------- */

static void replica_free(struct mu_replica *r)
{
    for (uint32_t i = 0; i < MU_RESOURCES_MAX; i++)
        mu_mem_free(r->shown.free[i]);
    mu_mem_free(r->shown.nodes);
    mu_mem_free(r->shown.devices);
    mu_mem_free(r->shown.gangs);
    mu_images_replica_fini(r);
    mu_occupants_replica_fini(r);
    mu_mem_free(r->nominated);
    mu_census_replica_fini(r);
    mu_rowset_fini(&r->free_dirty);
    mu_rowset_fini(&r->static_dirty);
    mu_rowset_fini(&r->gang_dirty);
    mu_mem_free(r);
}

struct mu_snapshot *mu_db_replica_create(struct mu_db *db)
{
    if (db->replica_count == MU_REPLICAS_MAX)
        return NULL;
    struct mu_replica *r = mu_mem_zalloc(sizeof *r);
    if (r == NULL)
        return NULL;
    uint32_t rows = mu_row_count(db);
    if (mu_rowset_reserve(&r->free_dirty, rows) != 0 ||
        mu_rowset_reserve(&r->static_dirty, rows) != 0 ||
        mu_rowset_reserve(&r->gang_dirty, db->gangs.high) != 0 ||
        mu_census_replica_init(db, r) != 0) {
        replica_free(r);
        return NULL;
    }
    mu_rowset_fill(&r->free_dirty, rows);
    mu_rowset_fill(&r->static_dirty, rows);
    mu_rowset_fill(&r->gang_dirty, db->gangs.high);
    r->shown.model = db->model;
    r->reach = UINT64_MAX; /* shows nothing, pins nothing */
    db->replicas[db->replica_count++] = r;
    return &r->shown;
}

void mu_db_replica_destroy(struct mu_db *db, struct mu_snapshot *replica)
{
    if (replica == NULL)
        return;
    uint32_t i = 0;
    while (i < db->replica_count && db->replicas[i] != replica_of(replica))
        i++;
    MU_ASSERT(i < db->replica_count);
    db->replicas[i] = db->replicas[--db->replica_count];
    replica_free(replica_of(replica));
}

/* --- room ---------------------------------------------------------------------------------- */

/* An eighth more than needed, in whole chunks: growing copies every row again. `hint` is how many
 * rows are expected in use; a sixty-fourth more has room for holes. */
static uint32_t grown(uint32_t need, uint32_t hint, uint32_t max)
{
    uint64_t expected = (uint64_t)hint + hint / 64 + MU_NODE_CHUNK;
    uint64_t cap = need <= expected && hint != 0 ? expected : (uint64_t)need + need / 8;
    cap = (cap + MU_NODE_CHUNK - 1) / MU_NODE_CHUNK * MU_NODE_CHUNK;
    return cap > max ? max : (uint32_t)cap;
}

static int reserve_nodes(struct mu_db *db, struct mu_replica *r)
{
    struct mu_snapshot *s = &r->shown;
    uint32_t rows = mu_row_count(db);
    if (s->node_cap != 0 && rows <= s->node_cap)
        return 0;
    uint32_t cap = grown(rows == 0 ? 1 : rows, db->nodes_hint, MU_NODES_MAX);
    struct mu_snapshot wide = {.nodes = mu_mem_zalloc_aligned(ALIGN, cap * sizeof *s->nodes)};
    bool failed = wide.nodes == NULL;
    for (uint32_t i = 0; i < s->resource_count && !failed; i++) {
        wide.free[i] = mu_mem_zalloc_column(cap * sizeof(int64_t));
        failed = wide.free[i] == NULL;
    }
    /* The set that is not installed is the one to free. */
    struct mu_snapshot dropped = failed ? wide : *s;
    for (uint32_t i = 0; i < s->resource_count; i++) {
        mu_mem_free(dropped.free[i]);
        if (!failed)
            s->free[i] = wide.free[i];
    }
    mu_mem_free(dropped.nodes);
    if (failed)
        return MU_ENOMEM;
    for (uint32_t t = 0; t < MU_TOPOLOGIES_MAX; t++) { /* made anew where they are in use */
        mu_mem_free(s->topology[t]);
        s->topology[t] = NULL;
    }
    s->nodes = wide.nodes;
    s->node_cap = cap;
    mu_mem_free(s->devices); /* reserve_devices makes them anew */
    s->devices = NULL;
    mu_mem_free(s->images); /* the same, by mu_images_replica_reserve */
    s->images = NULL;
    mu_rowset_fill(&r->free_dirty, rows);
    mu_rowset_fill(&r->static_dirty, rows);
    return 0;
}

static int reserve_resources(struct mu_db *db, struct mu_replica *r)
{
    struct mu_snapshot *s = &r->shown;
    uint32_t want = mu_resource_count(mu_model_resources(db->model));
    MU_ASSERT(want <= MU_RESOURCES_MAX);
    while (s->resource_count < want) {
        int64_t *free = mu_mem_zalloc_column(s->node_cap * sizeof(int64_t));
        if (free == NULL)
            return MU_ENOMEM;
        s->free[s->resource_count++] = free;
    }
    return 0;
}

/* Once some node's devices are tracked. */
static int reserve_devices(struct mu_db *db, struct mu_replica *r)
{
    struct mu_snapshot *s = &r->shown;
    if (!db->devices_tracked || s->devices != NULL)
        return 0;
    s->devices = mu_mem_zalloc_aligned(ALIGN, s->node_cap * sizeof *s->devices);
    if (s->devices == NULL)
        return MU_ENOMEM;
    s->share_resource = db->share_resource;
    mu_rowset_fill(&r->free_dirty, mu_row_count(db));
    return 0;
}

static int reserve_gangs(struct mu_db *db, struct mu_replica *r)
{
    struct mu_snapshot *s = &r->shown;
    uint32_t rows = db->gangs.high;
    if (rows <= s->gang_cap)
        return 0;
    uint32_t cap = grown(rows, 0, MU_GANGS_MAX);
    struct mu_gang_row *gangs = mu_mem_zalloc_aligned(ALIGN, cap * sizeof *gangs);
    if (gangs == NULL)
        return MU_ENOMEM;
    mu_mem_free(s->gangs);
    s->gangs = gangs;
    s->gang_cap = cap;
    mu_rowset_fill(&r->gang_dirty, rows);
    return 0;
}

/* --- copying ------------------------------------------------------------------------------- */

/* Sessions bring what they know of columns up to date by the rows that a sync has copied: a
 * superset of those that differ from what the replica showed last. */
static void note_changed(uint32_t *rows, uint32_t *count, uint32_t bound, uint32_t row)
{
    if (*count < bound)
        rows[*count] = row;
    if (*count <= bound)
        ++*count;
}

/* Rows on their way through copy_free, and where their sums lie. */
struct batch {
    uint32_t count;
    uint32_t rows[BATCH];
    uint32_t strides[BATCH];
    const int64_t *from[BATCH];
};

/* Stage 1: which rows; start loading their chunks' heads. */
static void batch_take(const struct mu_db *db, struct mu_replica *r, struct batch *b, uint32_t max)
{
    b->count = mu_rowset_take(&r->free_dirty, b->rows, max < BATCH ? max : BATCH);
    for (uint32_t i = 0; i < b->count; i++) {
        __builtin_prefetch(mu_row_chunk(db, b->rows[i]), 0, 3);
        note_changed(r->free_changed, &r->free_changed_count, MU_FREE_CHANGED_MAX, b->rows[i]);
    }
}

/* Stage 2: start loading the sums and the cache lines that they go to. */
static void batch_prefetch(const struct mu_db *db, const struct mu_snapshot *s, struct batch *b)
{
    for (uint32_t i = 0; i < b->count; i++) {
        uint32_t row = b->rows[i];
        b->strides[i] = mu_row_chunk(db, row)->stride;
        b->from[i] = mu_row_free(db, row);
        MU_ASSERT(b->strides[i] <= s->resource_count);
        __builtin_prefetch(b->from[i], 0, 3);
        for (uint32_t c = 0; c < b->strides[i]; c++)
            __builtin_prefetch(&s->free[c][row], 1, 3);
    }
}

/* Stage 3. */
static void batch_copy(const struct mu_db *db, const struct mu_snapshot *s, const struct batch *b)
{
    for (uint32_t i = 0; i < b->count; i++)
        for (uint32_t c = 0; c < b->strides[i]; c++)
            s->free[c][b->rows[i]] = b->from[i][c];
    for (uint32_t i = 0; s->devices != NULL && i < b->count; i++) {
        const struct mu_device_row *devices = mu_row_devices(db, b->rows[i]);
        s->devices[b->rows[i]] = devices != NULL ? *devices : (struct mu_device_row){.count = 0};
    }
}

/* Copy at most `max` dirty rows of sums. Three batches are under way, one in each stage, so that
 * the misses of many rows overlap. Returns how many rows were copied. */
static uint32_t copy_free(const struct mu_db *db, struct mu_replica *r, uint32_t max)
{
    const struct mu_snapshot *s = &r->shown;
    struct batch batches[3];
    uint32_t taken = 0;
    batches[0].count = batches[1].count = 0;
    for (uint32_t turn = 0;; turn++) {
        struct batch *first = &batches[(turn + 2) % 3];
        struct batch *second = &batches[(turn + 1) % 3];
        struct batch *third = &batches[turn % 3];
        batch_take(db, r, first, max - taken);
        taken += first->count;
        batch_prefetch(db, s, second);
        batch_copy(db, s, third);
        if (first->count + second->count == 0)
            return taken;
    }
}

static void copy_static_row(const struct mu_db *db, struct mu_replica *r, uint32_t row)
{
    struct mu_snapshot *s = &r->shown;
    const struct mu_node_rec *rec = mu_row_rec(db, row);
    mu_census_copy_row(db, r, row);
    if (s->images != NULL)
        s->images[row] = mu_row_images(db, row);
    if ((rec->flags & MU_NODE_PRESENT) != 0) {
        s->nodes[row] = (struct mu_node_static){.flags = rec->flags,
                                                .labels = rec->labels,
                                                .taints = {rec->taints},
                                                .capacity = rec->capacity,
                                                .name = rec->name,
                                                .hostname = rec->hostname,
                                                .tie = rec->tie,
                                                .generation = rec->generation};
    } else {
        s->nodes[row] = (struct mu_node_static){.generation = rec->generation};
    }
}

static uint32_t copy_static(const struct mu_db *db, struct mu_replica *r, uint32_t max)
{
    uint32_t rows[BATCH];
    uint32_t copied = 0;
    while (copied < max) {
        uint32_t left = max - copied;
        uint32_t n = mu_rowset_take(&r->static_dirty, rows, left < BATCH ? left : BATCH);
        if (n == 0)
            break;
        for (uint32_t i = 0; i < n; i++) {
            copy_static_row(db, r, rows[i]);
            note_changed(r->static_changed, &r->static_changed_count, MU_STATIC_CHANGED_MAX,
                         rows[i]);
        }
        copied += n;
    }
    return copied;
}

static uint32_t copy_gangs(const struct mu_db *db, struct mu_replica *r, uint32_t max)
{
    uint32_t rows[BATCH];
    uint32_t copied = 0;
    while (copied < max) {
        uint32_t left = max - copied;
        uint32_t n = mu_rowset_take(&r->gang_dirty, rows, left < BATCH ? left : BATCH);
        if (n == 0)
            break;
        /* Rows beyond the high-water mark are not shown; one that comes back is dirty again. */
        for (uint32_t i = 0; i < n; i++)
            if (rows[i] < db->gangs.high)
                r->shown.gangs[rows[i]] = mu_gang_at(db, rows[i])->row;
        copied += n;
    }
    return copied;
}

/* --- sync ---------------------------------------------------------------------------------- */

static uint64_t backlog_of(const struct mu_db *db, const struct mu_replica *r)
{
    return (uint64_t)r->free_dirty.count + r->static_dirty.count + r->gang_dirty.count +
           db->gang_stale.count + mu_census_backlog(db) + mu_census_replica_backlog(r) +
           mu_occupants_backlog(db, r) + mu_images_backlog(db, r);
}

static void show(struct mu_db *db, struct mu_replica *r)
{
    struct mu_snapshot *s = &r->shown;
    MU_ASSERT(mu_row_count(db) <= s->node_cap && db->gangs.high <= s->gang_cap);
    s->free_base = s->generation;
    mu_typical_show(db, s); /* may move the generation */
    s->generation = db->counts.generation;
    s->node_rows = mu_row_count(db);
    s->node_count = db->nodes_present;
    s->static_base = s->static_generation;
    s->static_generation = db->static_generation;
    bool listed = r->static_changed_count <= MU_STATIC_CHANGED_MAX;
    s->static_changed = listed ? r->static_changed : NULL;
    s->static_changed_count = listed ? r->static_changed_count : 0;
    listed = r->free_changed_count <= MU_FREE_CHANGED_MAX;
    s->free_changed = listed ? r->free_changed : NULL;
    s->free_changed_count = listed ? r->free_changed_count : 0;
    r->shows = true;
    s->capacity_generation = db->capacity_generation;
    mu_images_show(db, r);
    mu_nominated_show(db, r);
    mu_occupants_show(db, r);
    s->gang_rows = db->gangs.high;
    s->pending_gangs = db->pending_gangs;
    mu_census_show(db, r);
    r->backlog = 0;
    r->effort = 0;
    r->reach = db->reach++;
    mu_db_reclaim(db);
}

int mu_db_replica_sync(struct mu_db *db, struct mu_snapshot *replica, uint32_t row_budget)
{
    struct mu_replica *r = replica_of(replica);
    mu_db_batch_end(db);
    r->reach = UINT64_MAX; /* nobody reads it until it is handed back */
    if (r->shows)
        r->static_changed_count = r->free_changed_count = 0;
    r->shows = false;
    int rc = reserve_nodes(db, r);
    if (rc == 0)
        rc = reserve_resources(db, r);
    if (rc == 0)
        rc = reserve_devices(db, r);
    if (rc == 0)
        rc = mu_images_replica_reserve(db, r);
    if (rc == 0)
        rc = mu_nominated_replica_reserve(db, r);
    uint64_t budget64 = (uint64_t)(row_budget != 0 ? row_budget : MU_SYNC_ROWS_PER_STEP)
                        << r->effort;
    uint32_t budget = budget64 > UINT32_MAX / 2 ? UINT32_MAX / 2 : (uint32_t)budget64;
    uint32_t spent = 0;
    if (rc == 0)
        rc = mu_gang_refresh(db, budget, &spent);
    if (rc == 0)
        rc = mu_census_refresh(db, budget, &spent);
    if (rc == 0)
        rc = reserve_gangs(db, r);
    if (rc == 0)
        rc = mu_census_replica_reserve(db, r);
    if (rc == 0)
        rc = mu_census_copy(db, r, budget, &spent);
    if (rc == 0)
        rc = mu_occupants_sync(db, r, budget, &spent);
    if (rc == 0)
        rc = mu_images_copy(db, r);
    if (rc != 0)
        return rc;
    if (spent < budget)
        spent += copy_gangs(db, r, budget - spent);
    if (spent < budget)
        spent += copy_static(db, r, budget - spent);
    if (spent < budget)
        spent += copy_free(db, r, budget - spent);
    uint64_t backlog = backlog_of(db, r);
    if (backlog == 0) {
        show(db, r);
        return 0;
    }
    if (r->backlog != 0 && backlog >= r->backlog && r->effort < EFFORT_MAX)
        r->effort++;
    r->backlog = backlog;
    return 1;
}
