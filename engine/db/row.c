#include "engine/db/db_priv.h"

#include <string.h>

#include "engine/base/assert.h"
#include "engine/base/mem.h"

/*
 * Node rows: where a node lives, and the sums of what is charged to it.
 *
 * Rows come in chunks of 64. A capacity class with 64 nodes or more fills chunks of its own, so
 * that its rows are contiguous and a bound over a chunk is tight (grouping alone was worth 10x in
 * exact search at a million nodes). Smaller classes share chunks: on real machines allocatable
 * memory differs by a few KiB from one to the next, and a chunk for each such class would waste 63
 * rows of 64. Of a large class at most its first 63 rows are in shared chunks.
 *
 * States of a chunk:
 *     unused  no row in use, on the `chunk_unused` list, values all 0
 *     open    has an owner and a hole, on the owner's list
 *     full    has an owner and no hole, on no list
 *
 * Sums. free[r] = max(allocatable - charges, MU_FREE_MIN), where an absent node has allocatable 0.
 * The floor keeps hostile requests from overflowing; a value on the floor has lost what lies below
 * it, so a row that leaves the floor is recomputed from its pods. Padding, which is charged with
 * the sign turned, stays between 0 and 2^62 (engine/model/model.h). Where devices are tracked one
 * by one, the sums of their two resources are derived from them instead (engine/device.h).
 */

/* --- lists of chunks ----------------------------------------------------------------------- */

static uint32_t *owner_list(struct mu_db *db, uint32_t owner)
{
    if (owner == MU_CHUNK_SHARED)
        return &db->chunk_shared;
    MU_ASSERT(owner < db->capacity_cap);
    return &db->capacities[owner].open;
}

static void list_push(struct mu_db *db, uint32_t *head, uint32_t chunk)
{
    db->chunks[chunk].prev = MU_NONE;
    db->chunks[chunk].next = *head;
    if (*head != MU_NONE)
        db->chunks[*head].prev = chunk;
    *head = chunk;
}

static void list_drop(struct mu_db *db, uint32_t *head, uint32_t chunk)
{
    struct mu_chunk *c = &db->chunks[chunk];
    if (c->prev != MU_NONE) {
        db->chunks[c->prev].next = c->next;
    } else {
        MU_ASSERT(*head == chunk);
        *head = c->next;
    }
    if (c->next != MU_NONE)
        db->chunks[c->next].prev = c->prev;
}

/* --- taking and giving back ---------------------------------------------------------------- */

/* Make one more chunk, unused. Every replica gets room to mark its rows first. */
static int chunk_add(struct mu_db *db)
{
    uint32_t rows = mu_row_count(db) + MU_NODE_CHUNK;
    if (rows > MU_NODES_MAX)
        return MU_ELIMIT;
    for (uint32_t i = 0; i < db->replica_count; i++) {
        int rc = mu_rowset_reserve(&db->replicas[i]->free_dirty, rows);
        if (rc == 0)
            rc = mu_rowset_reserve(&db->replicas[i]->static_dirty, rows);
        if (rc != 0)
            return rc;
    }
    int rc = mu_census_rows_reserve(db, rows);
    if (rc == 0)
        rc = mu_occupants_rows_reserve(db, rows);
    if (rc != 0)
        return rc;
    rc = mu_mem_grow((void **)&db->chunks, &db->chunk_cap, db->chunk_count + 1,
                     MU_NODES_MAX / MU_NODE_CHUNK, sizeof *db->chunks);
    if (rc != 0)
        return rc;
    struct mu_chunk chunk = {.stride = MU_RES_EXTENDED, .owner = MU_CHUNK_SHARED};
    chunk.recs = mu_mem_zalloc_aligned(64, MU_NODE_CHUNK * sizeof *chunk.recs);
    chunk.free = mu_mem_zalloc_aligned(64, MU_NODE_CHUNK * sizeof(int64_t) * chunk.stride);
    if (chunk.recs == NULL || chunk.free == NULL) {
        mu_mem_free(chunk.recs);
        mu_mem_free(chunk.free);
        return MU_ENOMEM;
    }
    for (uint32_t i = 0; i < MU_NODE_CHUNK; i++)
        chunk.recs[i].pods = MU_NONE;
    db->chunks[db->chunk_count] = chunk;
    list_push(db, &db->chunk_unused, db->chunk_count++);
    return 0;
}

/* The chunk in which a class takes its next row: one with a hole. */
static int chunk_for(struct mu_db *db, uint32_t capacity, uint32_t *out)
{
    struct mu_capacity_rows *class_rows = &db->capacities[capacity];
    uint32_t owner = class_rows->rows < MU_NODE_CHUNK - 1 ? MU_CHUNK_SHARED : capacity;
    uint32_t chunk = class_rows->open != MU_NONE ? class_rows->open : *owner_list(db, owner);
    if (chunk == MU_NONE) {
        if (db->chunk_unused == MU_NONE) {
            int rc = chunk_add(db);
            if (rc != 0)
                return rc;
        }
        chunk = db->chunk_unused;
        list_drop(db, &db->chunk_unused, chunk);
        db->chunks[chunk].owner = owner;
        list_push(db, owner_list(db, owner), chunk);
    }
    *out = chunk;
    return 0;
}

static int capacity_reserve(struct mu_db *db, uint32_t capacity)
{
    uint32_t old = db->capacity_cap;
    int rc = 0;
    if (capacity >= old)
        rc = mu_mem_grow((void **)&db->capacities, &db->capacity_cap, capacity + 1,
                         MU_CAPACITIES_MAX, sizeof *db->capacities);
    for (uint32_t i = old; i < db->capacity_cap; i++)
        db->capacities[i] = (struct mu_capacity_rows){0, MU_NONE};
    return rc;
}

static uint32_t capacity_stride(const struct mu_db *db, struct mu_capacity_ix capacity)
{
    uint32_t count = mu_model_get_capacity(db->model, capacity)->count;
    return count > MU_RES_EXTENDED ? count : MU_RES_EXTENDED;
}

int mu_row_obtain(struct mu_db *db, struct mu_capacity_ix capacity, uint32_t *row)
{
    uint32_t chunk = MU_NONE;
    int rc = capacity_reserve(db, capacity.v);
    if (rc == 0)
        rc = chunk_for(db, capacity.v, &chunk);
    if (rc != 0)
        return rc;
    struct mu_chunk *c = &db->chunks[chunk];
    MU_ASSERT(c->used != UINT64_MAX);
    uint32_t slot = (uint32_t)__builtin_ctzll(~c->used);
    c->used |= UINT64_C(1) << slot;
    if (c->used == UINT64_MAX)
        list_drop(db, owner_list(db, c->owner), chunk);
    db->capacities[capacity.v].rows++;
    uint32_t taken = chunk * MU_NODE_CHUNK + slot;
    rc = mu_row_reserve(db, taken, capacity_stride(db, capacity));
    if (rc != 0) {
        mu_row_cancel(db, capacity, taken);
        return rc;
    }
    *row = taken;
    return 0;
}

void mu_row_cancel(struct mu_db *db, struct mu_capacity_ix capacity, uint32_t row)
{
    MU_ASSERT(mu_row_used(db, row));
    struct mu_chunk *c = mu_row_chunk(db, row);
    struct mu_node_rec *rec = mu_row_rec(db, row);
    uint32_t chunk = row / MU_NODE_CHUNK;
    MU_ASSERT(rec->pods == MU_NONE && mu_row_images(db, row).v == 0);
    *rec = (struct mu_node_rec){.generation = rec->generation, .pods = MU_NONE};
    memset(mu_row_free(db, row), 0, c->stride * sizeof(int64_t));
    if (c->devices != NULL)
        c->devices[row % MU_NODE_CHUNK] = (struct mu_device_row){.count = 0};
    if (c->used == UINT64_MAX)
        list_push(db, owner_list(db, c->owner), chunk);
    c->used &= ~(UINT64_C(1) << (row % MU_NODE_CHUNK));
    if (c->used == 0) {
        list_drop(db, owner_list(db, c->owner), chunk);
        c->owner = MU_CHUNK_SHARED;
        list_push(db, &db->chunk_unused, chunk);
    }
    MU_ASSERT(db->capacities[capacity.v].rows > 0);
    db->capacities[capacity.v].rows--;
}

void mu_row_release(struct mu_db *db, struct mu_capacity_ix capacity, uint32_t row)
{
    mu_row_rec(db, row)->generation++;
    mu_row_cancel(db, capacity, row);
    mu_row_mark_free(db, row);
    mu_row_mark_static(db, row);
}

int mu_row_reserve(struct mu_db *db, uint32_t row, uint32_t resources)
{
    struct mu_chunk *c = mu_row_chunk(db, row);
    MU_ASSERT(resources <= MU_RESOURCES_MAX);
    if (resources <= c->stride)
        return 0;
    int64_t *wider = mu_mem_zalloc_aligned(64, MU_NODE_CHUNK * sizeof(int64_t) * resources);
    if (wider == NULL)
        return MU_ENOMEM;
    for (uint32_t i = 0; i < MU_NODE_CHUNK; i++)
        memcpy(wider + (size_t)i * resources, c->free + (size_t)i * c->stride,
               c->stride * sizeof(int64_t));
    mu_mem_free(c->free);
    c->free = wider;
    c->stride = resources;
    return 0;
}

/* --- marks --------------------------------------------------------------------------------- */

void mu_row_mark_free(struct mu_db *db, uint32_t row)
{
    db->changed = true;
    for (uint32_t i = 0; i < db->replica_count; i++)
        (void)mu_rowset_add(&db->replicas[i]->free_dirty, row);
}

void mu_row_mark_static(struct mu_db *db, uint32_t row)
{
    db->changed = true;
    db->static_generation++;
    for (uint32_t i = 0; i < db->replica_count; i++)
        (void)mu_rowset_add(&db->replicas[i]->static_dirty, row);
}

void mu_row_mark_images(struct mu_db *db, uint32_t row)
{
    db->changed = true;
    for (uint32_t i = 0; i < db->replica_count; i++)
        (void)mu_rowset_add(&db->replicas[i]->static_dirty, row);
}

/* --- charges ------------------------------------------------------------------------------- */

uint32_t mu_row_class_stride(const struct mu_db *db, struct mu_class_ix class_ix)
{
    const struct mu_class *c = mu_model_get_class(db->model, class_ix);
    uint32_t stride = MU_RES_EXTENDED;
    if (c->demand_count != 0 && c->demands[c->demand_count - 1].resource.v >= stride)
        stride = c->demands[c->demand_count - 1].resource.v + 1;
    for (uint32_t i = 0; i < c->padding_count; i++)
        if (c->paddings[i].resource.v >= stride)
            stride = c->paddings[i].resource.v + 1;
    return stride;
}

static int64_t subtract(int64_t value, int64_t amount)
{
    int64_t rest;
    if (__builtin_sub_overflow(value, amount, &rest) || rest < MU_FREE_MIN)
        return MU_FREE_MIN;
    return rest;
}

/* The sums of the devices' resources follow from the devices, whatever was done to them before. */
static void derive(struct mu_db *db, uint32_t row)
{
    const struct mu_device_row *devices = mu_row_devices(db, row);
    if (devices != NULL)
        mu_row_devices_derive(db, devices, mu_row_chunk(db, row)->stride, mu_row_free(db, row));
}

uint16_t mu_row_charge(struct mu_db *db, uint32_t row, struct mu_class_ix class_ix, uint16_t named)
{
    const struct mu_class *c = mu_model_get_class(db->model, class_ix);
    int64_t *free = mu_row_free(db, row);
    MU_ASSERT(mu_row_class_stride(db, class_ix) <= mu_row_chunk(db, row)->stride);
    for (uint32_t i = 0; i < c->demand_count; i++) {
        int64_t *value = &free[c->demands[i].resource.v];
        *value = subtract(*value, c->demands[i].amount);
    }
    for (uint32_t i = 0; i < c->padding_count; i++)
        free[c->paddings[i].resource.v] -= c->paddings[i].amount;
    free[MU_RES_PODS] = subtract(free[MU_RES_PODS], 1);
    uint16_t charged = mu_row_devices_charge(db, row, class_ix, named);
    derive(db, row);
    mu_row_mark_free(db, row);
    return charged;
}

bool mu_row_floored(const struct mu_db *db, uint32_t row)
{
    const int64_t *free = mu_row_free(db, row);
    const struct mu_device_row *devices = mu_row_devices(db, row);
    bool floored = devices != NULL && (devices->flags & MU_DEVICE_OVER) != 0;
    for (uint32_t r = 0; r < mu_row_chunk(db, row)->stride; r++)
        floored |= free[r] == MU_FREE_MIN;
    return floored;
}

/* The pod is no longer on the row's list, or no longer charged: a recount must not see it. */
void mu_row_uncharge(struct mu_db *db, uint32_t row, struct mu_class_ix class_ix, uint16_t devices)
{
    const struct mu_class *c = mu_model_get_class(db->model, class_ix);
    int64_t *free = mu_row_free(db, row);
    struct mu_device_row *tracked = mu_row_devices(db, row);
    if (mu_row_floored(db, row)) {
        mu_row_restore(db, row);
    } else {
        for (uint32_t i = 0; i < c->demand_count; i++)
            free[c->demands[i].resource.v] += c->demands[i].amount;
        for (uint32_t i = 0; i < c->padding_count; i++)
            free[c->paddings[i].resource.v] += c->paddings[i].amount;
        free[MU_RES_PODS]++;
        if (tracked != NULL)
            mu_device_give(tracked, mu_row_device_ask(db, tracked, class_ix), devices);
        derive(db, row);
    }
    if ((mu_row_rec(db, row)->flags & MU_NODE_PRESENT) != 0)
        db->capacity_generation++;
    mu_row_mark_free(db, row);
}

__extension__ typedef __int128 wide; /* GNU extension: sums of hostile requests */

uint32_t mu_row_sum(const struct mu_db *db, uint32_t row, uint16_t without, int64_t *out,
                    struct mu_device_row *devices)
{
    const struct mu_node_rec *rec = mu_row_rec(db, row);
    uint32_t pods = 0;
    wide sums[MU_RESOURCES_MAX] = {0};
    if ((rec->flags & MU_NODE_PRESENT) != 0) {
        const struct mu_capacity *capacity = mu_model_get_capacity(db->model, rec->capacity);
        for (uint32_t r = 0; r < capacity->count; r++)
            sums[r] = capacity->amounts[r];
    }
    for (uint32_t pod = rec->pods; pod != MU_NONE;) {
        const struct mu_pod_rec *p = mu_pod_at(db, pod);
        MU_ASSERT(p->node.v == row);
        if (mu_pod_charged(p) && (p->flags & without) == 0) {
            const struct mu_class *c = mu_model_get_class(db->model, p->class_ix);
            for (uint32_t i = 0; i < c->demand_count; i++)
                sums[c->demands[i].resource.v] -= c->demands[i].amount;
            for (uint32_t i = 0; i < c->padding_count; i++)
                sums[c->paddings[i].resource.v] -= c->paddings[i].amount;
            sums[MU_RES_PODS]--;
        }
        pods++;
        pod = p->node_next;
    }
    for (uint32_t r = 0; r < MU_RESOURCES_MAX; r++)
        out[r] = sums[r] < MU_FREE_MIN ? MU_FREE_MIN : (int64_t)sums[r];
    *devices = (struct mu_device_row){.count = 0};
    if (mu_row_devices(db, row) != NULL) {
        mu_row_devices_sum(db, row, without, devices);
        mu_row_devices_derive(db, devices, MU_RESOURCES_MAX, out);
    }
    return pods;
}

void mu_row_restore(struct mu_db *db, uint32_t row)
{
    int64_t sums[MU_RESOURCES_MAX];
    struct mu_device_row devices;
    (void)mu_row_sum(db, row, 0, sums, &devices);
    memcpy(mu_row_free(db, row), sums, mu_row_chunk(db, row)->stride * sizeof *sums);
    if (devices.count != 0)
        *mu_row_devices(db, row) = devices;
}
