#include "engine/db/db_priv.h"

#include <string.h>

#include "engine/base/hash.h"

/*
 * The audit recomputes node sums and devices from pods and ledger entries, what pods count for from
 * their and the nodes' contents (db/census_audit.c), and how many nodes have each image
 * (db/image.c); it holds nominations against the pods (db/nominated.c). The digest condenses what
 * the DB holds so that it can be compared with another DB, or with one fed from the server's own
 * list.
 */

enum { PODS_PER_ROW = 16 /* pods of a row summed up for the cost of a copied row */ };

static bool audit_row(struct mu_db *db, uint32_t row, uint32_t *spent)
{
    int64_t sums[MU_RESOURCES_MAX];
    size_t bytes = mu_row_chunk(db, row)->stride * sizeof *sums;
    db->audit_behind |= mu_census_backlog(db) != 0;
    bool others_wrong = mu_census_audit_row(db, row, spent) != 0;
    others_wrong |= mu_occupants_audit_row(db, row) != 0;
    struct mu_device_row devices;
    *spent += 1 + mu_row_sum(db, row, 0, sums, &devices) / PODS_PER_ROW;
    if (memcmp(sums, mu_row_free(db, row), bytes) == 0 &&
        (devices.count == 0 || memcmp(&devices, mu_row_devices(db, row), sizeof devices) == 0))
        return others_wrong;
    mu_row_restore(db, row);
    mu_row_mark_free(db, row);
    db->capacity_generation++; /* the repaired room may be larger */
    return true;
}

/* The next rows of this round, for the cost of so many. Domains are judged by books that are up to
 * date; without a pending pod nobody else brings them there. */
static uint32_t audit_rows(struct mu_db *db, uint32_t budget)
{
    uint32_t drift = 0;
    uint32_t spent = 0;
    if (mu_census_backlog(db) != 0)
        (void)mu_census_refresh(db, budget, &spent); /* no memory: the next call tries again */
    spent = 0;
    while (spent < budget && db->audit_next < mu_row_count(db)) {
        drift += audit_row(db, db->audit_next++, &spent);
        db->counts.audit_rows++;
    }
    if (db->audit_next >= mu_row_count(db)) {
        db->audit_next = 0;
        db->audit_rows = true;
    }
    return drift;
}

uint32_t mu_db_audit_step(struct mu_db *db, uint32_t rows)
{
    uint32_t drift = 0;
    if (!db->audit_rows)
        drift += audit_rows(db, rows);
    if (!db->audit_books)
        drift += mu_census_audit(db, rows, &db->audit_books);
    if (!db->audit_images)
        drift += mu_images_audit(db, rows, &db->audit_images);
    if (!db->audit_nominations)
        drift += mu_nominated_audit(db, rows, &db->audit_nominations);
    if (db->audit_rows && db->audit_books && db->audit_images && db->audit_nominations) {
        /* Rows that were looked at while the books were behind have their domains still to come. */
        bool whole = !db->audit_behind;
        db->audit_rows = db->audit_behind = false;
        db->audit_books = db->audit_images = db->audit_nominations = !whole;
        db->counts.audit_rounds += whole;
    }
    db->counts.audit_drift += drift;
    db->changed |= drift != 0; /* sessions decide anew by what is right */
    return drift;
}

static uint64_t mix_uid(const struct mu_db *db, uint64_t hash, struct mu_uid uid)
{
    char text[MU_UID_BYTES_MAX + 1];
    uint32_t len = mu_db_uid_text(db, uid, text);
    return mu_hash_mix(hash, mu_hash_bytes(text, len, 0));
}

/* Sets are summed: their order is that of symbols, which differs from DB to DB. */
static uint64_t digest_images(const struct mu_db *db, uint32_t row)
{
    const struct mu_image_set *set = mu_model_get_image_set(db->model, mu_row_images(db, row));
    uint64_t sum = 0;
    for (uint32_t i = 0; i < set->count; i++)
        sum += mu_hash_str(mu_symbol_str(db->symbols, set->items[i].name),
                           (uint64_t)mu_image_bytes(&set->items[i]));
    return sum;
}

static uint64_t digest_node(const struct mu_db *db, uint32_t row)
{
    const struct mu_node_rec *rec = mu_row_rec(db, row);
    uint64_t hash = mu_hash_str(mu_symbol_str(db->symbols, rec->name), MU_DB_NODES);
    hash = mu_hash_mix(mix_uid(db, hash, rec->uid), rec->version);
    return mu_hash_mix(hash, digest_images(db, row));
}

static uint64_t digest_pod(const struct mu_db *db, uint32_t pod)
{
    const struct mu_pod_rec *p = mu_pod_at(db, pod);
    uint64_t hash = mu_hash_str(mu_symbol_str(db->symbols, p->ns), MU_DB_PODS);
    hash = mu_hash_mix(hash, mu_hash_str(mu_pod_name(p), 0));
    hash = mu_hash_mix(mix_uid(db, hash, p->uid), p->version);
    struct mu_str node = {NULL, 0};
    if ((p->flags & MU_POD_BOUND) != 0)
        node = mu_db_node_name(db, p->node);
    if ((p->flags & MU_POD_NOMINATED) != 0)
        hash = mu_hash_mix(hash,
                           mu_hash_str(mu_symbol_str(db->symbols, mu_nominated_node(db, pod)), 0));
    return mu_hash_mix(hash, mu_hash_str(node, 0));
}

static uint64_t digest_label(const struct mu_db *db, struct mu_symbol key, struct mu_symbol value)
{
    return mu_hash_mix(mu_hash_str(mu_symbol_str(db->symbols, key), 0),
                       mu_hash_str(mu_symbol_str(db->symbols, value), 1));
}

static uint64_t digest_namespace(const struct mu_db *db, struct mu_symbol name,
                                 const struct mu_labels_view *labels)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < labels->set->count; i++)
        sum += digest_label(db, labels->set->pairs[i].key, labels->set->pairs[i].value);
    if (labels->hostname.v != 0)
        sum += digest_label(db, labels->hostname_key, labels->hostname);
    return mu_hash_mix(mu_hash_str(mu_symbol_str(db->symbols, name), MU_DB_NAMESPACES), sum);
}

static uint64_t digest_group(const struct mu_db *db, const struct mu_group_rec *g)
{
    uint64_t hash = mu_hash_str(mu_symbol_str(db->symbols, g->ns), MU_DB_KINDS + 1u + g->source);
    hash = mu_hash_mix(hash, mu_hash_str(mu_symbol_str(db->symbols, g->name), 0));
    return mu_hash_mix(hash, g->version);
}

uint64_t mu_db_digest(const struct mu_db *db)
{
    uint64_t digest = 0;
    for (uint32_t row = 0; row < mu_row_count(db); row++)
        if ((mu_row_rec(db, row)->flags & MU_NODE_PRESENT) != 0)
            digest += digest_node(db, row);
    for (uint32_t pod = 0; pod < db->pods.high; pod++)
        if ((mu_pod_at(db, pod)->flags & MU_POD_USED) != 0)
            digest += digest_pod(db, pod);
    for (uint32_t at = 0; at < mu_model_namespace_bound(db->model); at++) {
        struct mu_symbol name;
        struct mu_labels_view labels;
        if (mu_model_namespace_at(db->model, at, &name, &labels))
            digest += digest_namespace(db, name, &labels);
    }
    for (uint32_t group = 0; group < db->groups.high; group++)
        if ((mu_group_at(db, group)->flags & MU_GROUP_PRESENT) != 0)
            digest += digest_group(db, mu_group_at(db, group));
    return digest + mu_cover_digest(db);
}
