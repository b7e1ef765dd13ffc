#include "engine/db/db.h"

#include <string.h>

#include "engine/base/assert.h"
#include "engine/base/mem.h"
#include "engine/base/random.h"
#include "engine/db/db_priv.h"

/*
 * The cluster DB's life: creation, batches, relists, and freeing what nobody can reach any more.
 * db/db_priv.h says which room holds what, and how calls that can fail keep from changing anything.
 */
enum {
    POD_SEGMENT_SHIFT = 10,
    GANG_SEGMENT_SHIFT = 8,
    RECLAIM_BUDGET = 1024 /* things freed at one boundary: some tens of microseconds */
};

/* --- blocks that replicas show ---------------------------------------------------------------- */

void *mu_shown_alloc(size_t bytes)
{
    struct mu_released *head = mu_mem_alloc(sizeof *head + bytes);
    return head == NULL ? NULL : head + 1;
}

static struct mu_released *head_of(const void *shown)
{
    return (struct mu_released *)(uintptr_t)shown - 1; /* ours to free */
}

void mu_shown_cancel(const void *shown)
{
    if (shown != NULL)
        mu_mem_free(head_of(shown));
}

void mu_shown_release(struct mu_db *db, const void *shown)
{
    if (shown == NULL)
        return;
    struct mu_released *head = head_of(shown);
    *head = (struct mu_released){.tag = db->reach};
    if (db->shown_last != NULL)
        db->shown_last->next = head;
    else
        db->shown_first = head;
    db->shown_last = head;
}

static void reclaim_shown(struct mu_db *db, uint64_t safe, uint32_t budget)
{
    for (uint32_t i = 0; i < budget; i++) {
        struct mu_released *head = db->shown_first;
        if (head == NULL || head->tag > safe)
            break;
        db->shown_first = head->next;
        if (db->shown_first == NULL)
            db->shown_last = NULL;
        mu_mem_free(head);
    }
}

/* --- life ---------------------------------------------------------------------------------- */

static int copy_names(struct mu_db *db, const struct mu_db_config *config)
{
    if (config->scheduler_name_count == 0)
        return 0;
    db->scheduler_names = mu_mem_calloc(config->scheduler_name_count, sizeof *db->scheduler_names);
    if (db->scheduler_names == NULL)
        return MU_ENOMEM;
    for (uint32_t i = 0; i < config->scheduler_name_count; i++) {
        struct mu_str name = config->scheduler_names[i];
        char *copy = mu_mem_alloc(name.len + 1u);
        if (copy == NULL)
            return MU_ENOMEM;
        if (name.len != 0)
            memcpy(copy, name.data, name.len);
        db->scheduler_names[i] = (struct mu_str){copy, name.len};
        db->scheduler_name_count = i + 1;
    }
    return 0;
}

static int create_tables(struct mu_db *db, const struct mu_db_config *config)
{
    int64_t nothing[MU_RESOURCES_MAX] = {0};
    db->model = mu_model_create();
    if (db->model == NULL)
        return MU_ENOMEM;
    db->symbols = mu_model_symbols(db->model);
    int rc = mu_model_capacity(db->model, nothing, &db->capacity_none);
    if (rc != 0)
        return rc;
    db->pod_by_uid = mu_index_create(config->pods_hint, mu_pod_uid_equal, mu_pod_uid_hash, db);
    db->pod_by_name = mu_index_create(config->pods_hint, mu_pod_name_equal, mu_pod_name_hash, db);
    db->gang_by_name = mu_index_create(0, mu_gang_equal, mu_gang_hash, db);
    if (db->pod_by_uid == NULL || db->pod_by_name == NULL || db->gang_by_name == NULL)
        return MU_ENOMEM;
    rc = mu_claims_init(db);
    if (rc == 0)
        rc = mu_groups_init(db);
    if (rc == 0)
        rc = mu_occupants_create(db);
    return rc == 0 ? mu_cover_create(db) : rc;
}

struct mu_db *mu_db_create(const struct mu_db_config *config)
{
    struct mu_db *db = mu_mem_zalloc(sizeof *db);
    if (db == NULL)
        return NULL;
    db->quiet_ns = config->quiet_ns;
    db->nodes_hint = config->nodes_hint > MU_NODES_MAX ? MU_NODES_MAX : config->nodes_hint;
    db->chunk_unused = MU_NONE;
    db->chunk_shared = MU_NONE;
    db->reach = 1;
    struct mu_random random;
    mu_random_init_kernel(&random);
    db->seed = mu_random_u64(&random);
    mu_slab_init(&db->pods, sizeof(struct mu_pod_rec), POD_SEGMENT_SHIFT, MU_PODS_MAX);
    mu_slab_init(&db->gangs, sizeof(struct mu_gang_rec), GANG_SEGMENT_SHIFT, MU_GANGS_MAX);
    if (copy_names(db, config) != 0 || create_tables(db, config) != 0) {
        mu_db_destroy(db);
        return NULL;
    }
    return db;
}

void mu_db_destroy(struct mu_db *db)
{
    if (db == NULL)
        return;
    while (db->replica_count != 0)
        mu_db_replica_destroy(db, &db->replicas[0]->shown);
    mu_census_destroy(db);
    mu_occupants_destroy(db);
    mu_cover_destroy(db);
    reclaim_shown(db, UINT64_MAX, UINT32_MAX);
    mu_gang_destroy_all(db);
    mu_groups_fini(db);
    mu_pod_destroy_all(db);
    mu_claims_fini(db);
    mu_node_destroy_all(db);
    mu_images_destroy(db);
    mu_mem_free(db->nominations);
    mu_index_destroy(db->pod_by_uid);
    mu_index_destroy(db->pod_by_name);
    mu_index_destroy(db->gang_by_name);
    mu_model_destroy(db->model);
    for (uint32_t i = 0; i < db->scheduler_name_count; i++)
        mu_mem_free((void *)(uintptr_t)db->scheduler_names[i].data); /* our own copy */
    mu_mem_free(db->scheduler_names);
    mu_mem_free(db->class_live);
    mu_mem_free(db);
}

struct mu_model *mu_db_model(struct mu_db *db)
{
    return db->model;
}

void mu_db_counts(const struct mu_db *db, struct mu_db_counts *out)
{
    *out = db->counts;
    out->nodes = db->nodes_present;
    out->namespaces = mu_model_namespace_count(db->model);
    out->gangs = db->gangs.used;
    out->budgets = mu_cover_count(db);
}

int mu_db_refuse(struct mu_db *db, struct mu_error *error, int code, const char *kind,
                 struct mu_str ns, struct mu_str name, const char *what)
{
    db->counts.limit_refused += code == MU_ELIMIT;
    /* A hostile name may be long: enough of it to recognise the object. */
    struct mu_str head = {name.data,
                          name.len > MU_NAME_BYTES_MAX / 2 ? MU_NAME_BYTES_MAX / 2 : name.len};
    struct mu_str ns_head = {ns.data, ns.len > 63 ? 63 : ns.len};
    return mu_error_set(error, code, "%s %.*s%s%.*s: %s%s%s", kind, MU_STR_ARGS(ns_head),
                        ns.len == 0 ? "" : "/", MU_STR_ARGS(head), what,
                        code == MU_EINVAL ? "" : ": ",
                        code == MU_EINVAL ? "" : mu_error_text(code));
}

/* --- batches ------------------------------------------------------------------------------- */

void mu_db_time(struct mu_db *db, uint64_t now_ns)
{
    if (now_ns > db->now_ns)
        db->now_ns = now_ns;
}

void mu_db_batch_end(struct mu_db *db)
{
    if (!db->changed)
        return;
    db->changed = false;
    db->counts.generation++;
    mu_db_reclaim(db);
}

void mu_db_reclaim(struct mu_db *db)
{
    /* Without replicas nobody can reach anything that was released. */
    uint64_t safe = db->replica_count == 0 ? db->reach++ : UINT64_MAX;
    for (uint32_t i = 0; i < db->replica_count; i++)
        safe = db->replicas[i]->reach < safe ? db->replicas[i]->reach : safe;
    for (uint32_t i = 0; i < RECLAIM_BUDGET; i++) {
        struct mu_block *block = db->released_first;
        if (block == NULL || block->tag > safe)
            break;
        db->released_first = block->next;
        if (db->released_first == NULL)
            db->released_last = NULL;
        mu_mem_free(block);
    }
    reclaim_shown(db, safe, RECLAIM_BUDGET);
    mu_model_reclaim(db->model, safe, RECLAIM_BUDGET);
}

/* --- relist -------------------------------------------------------------------------------- */

void mu_db_relist_begin(struct mu_db *db, enum mu_db_kind kind)
{
    db->sweep[kind] = 0;
    if (kind == MU_DB_PODS)
        db->pod_mark++;
    if (kind == MU_DB_NAMESPACES)
        mu_model_namespaces_relist(db->model);
    for (uint32_t i = 0; kind == MU_DB_NODES && i < db->chunk_count; i++)
        db->chunks[i].listed = 0;
}

static void sweep_node(struct mu_db *db, uint32_t row)
{
    if (!mu_row_used(db, row))
        return;
    const struct mu_node_rec *rec = mu_row_rec(db, row);
    if ((rec->flags & MU_NODE_PRESENT) != 0 && !mu_row_listed(db, row))
        mu_node_remove_row(db, row);
}

static void sweep_pod(struct mu_db *db, uint32_t pod, uint64_t now_ns)
{
    const struct mu_pod_rec *p = mu_pod_at(db, pod);
    if ((p->flags & MU_POD_USED) == 0 || p->mark == db->pod_mark)
        return;
    mu_gang_member_ends(db, pod);
    mu_pod_remove_rec(db, pod, now_ns);
}

static uint32_t sweep_bound(const struct mu_db *db, enum mu_db_kind kind)
{
    switch (kind) {
    case MU_DB_NODES:
        return mu_row_count(db);
    case MU_DB_PODS:
        return db->pods.high;
    case MU_DB_NAMESPACES:
        return mu_model_namespace_bound(db->model);
    case MU_DB_KINDS:
        break;
    }
    MU_UNREACHABLE("a kind of object that the DB does not hold");
}

int mu_db_relist_sweep(struct mu_db *db, enum mu_db_kind kind, uint32_t budget, uint64_t now_ns)
{
    MU_ASSERT(budget > 0);
    for (uint32_t looked = 0; looked < budget; looked++) {
        if (db->sweep[kind] >= sweep_bound(db, kind))
            return 0;
        if (kind == MU_DB_NODES)
            sweep_node(db, db->sweep[kind]++);
        else if (kind == MU_DB_PODS)
            sweep_pod(db, db->sweep[kind]++, now_ns);
        else
            mu_namespace_sweep(db, db->sweep[kind]++);
    }
    return 1;
}
