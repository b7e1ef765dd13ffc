#include "engine/db/census_priv.h"

#include <string.h>

#include "engine/base/assert.h"
#include "engine/base/hash.h"
#include "engine/base/mem.h"
#include "engine/model/named.h"

/*
 * Topology keys in use, the domains that rows are in, and fields: which rows are eligible for a
 * spread constraint, counted by domain.
 *
 * A key has a number while something counts by it: for which some row has to carry it
 * (db/label_key.c). Each value that some row has for it is a domain:
 * numbered from 0, the lowest free number first, given up with the last row that has the value. A
 * row's domain is kept beside the row, so that a pod finds what to count in without looking at
 * labels, and so that what was counted can be taken off after the labels have changed.
 *
 * A row has its domains and its place in the fields from mu_row_enter to mu_census_row_leave. To
 * enter is to add what is missing: it may fail halfway and be repeated, and the walk that brings in
 * a new key is the same call for rows that have entered already. Both leave out what is done.
 *
 * Rows of absent nodes have no domain. The pods on them count nowhere but for host ports.
 */
enum { DOMAIN_SEGMENT_SHIFT = 8, FIELD_SEGMENT_SHIFT = 6, CAP_MIN = 64 };

_Static_assert(MU_TOPOLOGIES_MAX <= 64, "a set of keys is one word");

/* --- pages ----------------------------------------------------------------------------------- */

int mu_pages_init(struct mu_pages *table, uint32_t records_max, uint32_t record_bytes)
{
    uint32_t count = (records_max + MU_PAGE_RECORDS - 1) / MU_PAGE_RECORDS;
    *table = (struct mu_pages){.pages = mu_mem_calloc(count, sizeof *table->pages),
                               .page_count = count,
                               .record_bytes = record_bytes};
    return table->pages == NULL ? MU_ENOMEM : 0;
}

void mu_pages_fini(struct mu_pages *table)
{
    for (uint32_t i = 0; table->pages != NULL && i < table->page_count; i++)
        mu_mem_free(table->pages[i]);
    mu_mem_free(table->pages);
    *table = (struct mu_pages){0};
}

int mu_pages_reserve(struct mu_pages *table, uint32_t number)
{
    uint32_t page = number >> MU_PAGE_SHIFT;
    MU_ASSERT(page < table->page_count);
    if (table->pages[page] == NULL)
        table->pages[page] = mu_mem_calloc(MU_PAGE_RECORDS, table->record_bytes);
    return table->pages[page] == NULL ? MU_ENOMEM : 0;
}

/* --- keys ------------------------------------------------------------------------------------ */

static uint64_t value_hash(uint32_t value)
{
    return mu_hash_mix(value, 0);
}
static bool value_equal(const void *context, uint32_t domain, const void *key)
{
    const struct mu_topology *t = context;
    const struct mu_domain *d = mu_slab_at(&t->domains, domain);
    return d->value.v == *(const uint32_t *)key;
}
static uint64_t domain_hash(const void *context, uint32_t domain)
{
    const struct mu_topology *t = context;
    const struct mu_domain *d = mu_slab_at(&t->domains, domain);
    return value_hash(d->value.v);
}

static void topology_fini(struct mu_topology *t)
{
    mu_index_destroy(t->by_value);
    mu_slab_fini(&t->domains);
    mu_pages_fini(&t->of_row);
    *t = (struct mu_topology){0};
}

int mu_topology_obtain(struct mu_db *db, struct mu_symbol key, bool required, uint32_t *out)
{
    struct mu_books *b = db->books;
    uint32_t hole = MU_NONE;
    uint32_t used = 0;
    for (uint32_t i = 0; i < MU_TOPOLOGIES_MAX; i++) {
        struct mu_topology *t = &b->topologies[i];
        if (t->refs != 0 && t->key.v == key.v) {
            t->refs++;
            *out = i;
            return 0;
        }
        used += t->refs != 0;
        if (t->refs == 0 && hole == MU_NONE)
            hole = i;
    }
    if (used >= (required ? MU_TOPOLOGIES_MAX : MU_TOPOLOGIES_PREFERRED)) {
        b->keys_short = true;
        return MU_ELIMIT;
    }
    struct mu_topology *t = &b->topologies[hole];
    mu_slab_init(&t->domains, sizeof(struct mu_domain), DOMAIN_SEGMENT_SHIFT, MU_NODES_MAX);
    t->by_value = mu_index_create(0, value_equal, domain_hash, t);
    if (t->by_value == NULL || mu_pages_init(&t->of_row, MU_NODES_MAX, sizeof(uint32_t)) != 0) {
        topology_fini(t);
        return MU_ENOMEM;
    }
    mu_symbol_ref(db->symbols, key);
    t->key = key;
    t->refs = 1;
    t->cap = CAP_MIN;
    t->generation = ++b->id_last;
    if (hole >= b->topology_high)
        b->topology_high = hole + 1;
    b->rows_wanted = true;
    mu_topology_mark(db, hole);
    *out = hole;
    return 0;
}

bool mu_topology_known(const struct mu_books *b, struct mu_symbol key)
{
    bool known = false;
    for (uint32_t i = 0; i < b->topology_high; i++)
        known |= b->topologies[i].refs != 0 && b->topologies[i].key.v == key.v;
    return known;
}

uint32_t mu_topology_left(const struct mu_books *b, bool required)
{
    const uint32_t most = required ? MU_TOPOLOGIES_MAX : MU_TOPOLOGIES_PREFERRED;
    uint32_t used = 0;
    for (uint32_t i = 0; i < b->topology_high; i++)
        used += b->topologies[i].refs != 0;
    return used < most ? most - used : 0;
}

void mu_topology_ref(struct mu_db *db, uint32_t topology)
{
    MU_ASSERT(db->books->topologies[topology].refs > 0);
    db->books->topologies[topology].refs++;
}

void mu_topology_unref(struct mu_db *db, uint32_t topology)
{
    struct mu_books *b = db->books;
    struct mu_topology *t = &b->topologies[topology];
    MU_ASSERT(t->refs > 0);
    if (--t->refs != 0)
        return;
    mu_symbol_unref(db->symbols, t->key, db->reach);
    topology_fini(t);
    b->keys_moved |= b->keys_short;
    b->keys_short = false;
    while (b->topology_high != 0 && b->topologies[b->topology_high - 1].refs == 0)
        b->topology_high--;
    mu_topology_mark(db, topology);
}

uint32_t mu_topology_cap(const struct mu_db *db, uint32_t topology)
{
    if (topology != MU_TOPOLOGY_ROW)
        return db->books->topologies[topology].cap;
    uint32_t cap = CAP_MIN;
    while (cap < mu_row_count(db))
        cap *= 2;
    return cap;
}

/* --- domains --------------------------------------------------------------------------------- */

/* The value that a row has for a key. */
static bool row_value(const struct mu_db *db, const struct mu_node_rec *rec, struct mu_symbol key,
                      struct mu_symbol *value)
{
    /* The hostname label is kept apart from its set, unless it is empty. */
    const struct mu_labels_view labels = mu_model_labels(db->model, rec->labels, rec->hostname);
    const struct mu_label_set *set = labels.set;
    if (rec->hostname.v != 0 && key.v == labels.hostname_key.v) {
        *value = rec->hostname;
        return true;
    }
    uint32_t low = 0;
    uint32_t high = set->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (set->pairs[middle].key.v < key.v)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == set->count || set->pairs[low].key.v != key.v)
        return false;
    *value = set->pairs[low].value;
    return true;
}

void mu_topology_widened(struct mu_db *db, uint32_t topology)
{
    struct mu_books *b = db->books;
    for (uint32_t i = 0; i < b->censuses.high; i++)
        if (mu_census_at(b, i)->refs != 0 && mu_census_at(b, i)->own.topology == topology)
            mu_census_mark(db, i);
    for (uint32_t i = 0; i < b->fields.high; i++)
        if (mu_field_at(b, i)->refs != 0 && mu_field_at(b, i)->topology == topology)
            mu_field_mark(db, i);
}

static int domain_make(struct mu_db *db, uint32_t topology, struct mu_symbol value, uint32_t *out)
{
    struct mu_topology *t = &db->books->topologies[topology];
    uint32_t domain = MU_NONE;
    int rc = mu_slab_take(&t->domains, &domain);
    if (rc != 0)
        return rc;
    *(struct mu_domain *)mu_slab_at(&t->domains, domain) = (struct mu_domain){.value = value};
    rc = mu_index_insert(t->by_value, value_hash(value.v), domain);
    if (rc != 0) {
        mu_slab_give(&t->domains, domain);
        return rc;
    }
    if (t->domains.high > t->cap) {
        t->cap *= 2;
        mu_topology_widened(db, topology);
    }
    *out = domain;
    return 0;
}

/* Returns 1 when the row has got a domain, 0 when nothing changed, or an error. */
static int domain_enter(struct mu_db *db, uint32_t topology, uint32_t row)
{
    struct mu_topology *t = &db->books->topologies[topology];
    struct mu_symbol value;
    if (mu_topology_domain(t, row) != MU_NONE)
        return 0;
    if (!row_value(db, mu_row_rec(db, row), t->key, &value))
        return 0;
    int rc = mu_pages_reserve(&t->of_row, row);
    if (rc != 0)
        return rc;
    uint32_t domain = mu_index_find(t->by_value, value_hash(value.v), &value.v);
    if (domain == MU_NONE)
        rc = domain_make(db, topology, value, &domain);
    if (rc != 0)
        return rc;
    struct mu_domain *d = mu_slab_at(&t->domains, domain);
    d->rows++;
    *(uint32_t *)mu_pages_at(&t->of_row, row) = domain + 1;
    t->generation = ++db->books->id_last;
    return 1;
}

static void domain_leave(struct mu_db *db, uint32_t topology, uint32_t row)
{
    struct mu_topology *t = &db->books->topologies[topology];
    uint32_t domain = mu_topology_domain(t, row);
    if (domain == MU_NONE)
        return;
    struct mu_domain *d = mu_slab_at(&t->domains, domain);
    MU_ASSERT(d->rows > 0);
    *(uint32_t *)mu_pages_at(&t->of_row, row) = 0;
    t->generation = ++db->books->id_last;
    if (--d->rows == 0) {
        mu_index_remove(t->by_value, value_hash(d->value.v), domain);
        mu_slab_give(&t->domains, domain);
    }
}

bool mu_topology_audit(const struct mu_db *db, uint32_t topology, uint32_t row)
{
    const struct mu_topology *t = &db->books->topologies[topology];
    uint32_t domain = mu_topology_domain(t, row);
    struct mu_symbol value;
    if (!row_value(db, mu_row_rec(db, row), t->key, &value))
        return domain == MU_NONE;
    const struct mu_domain *d = domain == MU_NONE ? NULL : mu_slab_at(&t->domains, domain);
    return d != NULL && d->value.v == value.v;
}

/* --- fields ---------------------------------------------------------------------------------- */

int mu_field_obtain(struct mu_db *db, const struct mu_census *want, uint32_t *out)
{
    struct mu_books *b = db->books;
    for (uint32_t i = 0; i < b->fields.high; i++) {
        struct mu_field *f = mu_field_at(b, i);
        if (f->refs != 0 && f->topology == want->topology && f->keys == want->keys &&
            f->affinity.v == want->affinity.v && f->tolerance.v == want->tolerance.v &&
            f->honor_taints == want->honor_taints) {
            f->refs++;
            *out = i;
            return 0;
        }
    }
    uint32_t field = MU_NONE;
    int rc = mu_slab_take(&b->fields, &field);
    if (rc != 0)
        return rc;
    rc = mu_field_marks_reserve(db, field);
    if (rc != 0) {
        mu_slab_give(&b->fields, field);
        return rc;
    }
    uint32_t looks = mu_named_looks(mu_model_get_affinity(db->model, want->affinity));
    *mu_field_at(b, field) = (struct mu_field){.id = ++b->id_last,
                                               .refs = 1,
                                               .topology = want->topology,
                                               .keys = want->keys,
                                               .affinity = want->affinity,
                                               .tolerance = want->tolerance,
                                               .honor_taints = want->honor_taints,
                                               .looks = looks};
    b->field_looks += looks;
    mu_model_affinity_ref(db->model, want->affinity);
    mu_model_tolerance_ref(db->model, want->tolerance);
    for (uint64_t left = want->keys; left != 0; left &= left - 1)
        mu_topology_ref(db, (uint32_t)__builtin_ctzll(left));
    b->rows_wanted = true;
    mu_field_mark(db, field);
    *out = field;
    return 0;
}

static void field_fini(struct mu_field *f)
{
    mu_rowset_fini(&f->eligible);
    mu_mem_free(f->domains);
    *f = (struct mu_field){0};
}

void mu_field_unref(struct mu_db *db, uint32_t field)
{
    struct mu_field *f = mu_field_at(db->books, field);
    MU_ASSERT(f->refs > 0);
    if (--f->refs != 0)
        return;
    for (uint64_t left = f->keys; left != 0; left &= left - 1)
        mu_topology_unref(db, (uint32_t)__builtin_ctzll(left));
    mu_model_affinity_unref(db->model, f->affinity, db->reach);
    mu_model_tolerance_unref(db->model, f->tolerance, db->reach);
    db->books->field_looks -= f->looks;
    field_fini(f);
    mu_field_mark(db, field);
    mu_slab_give(&db->books->fields, field);
}

bool mu_field_eligible(const struct mu_db *db, const struct mu_field *field, uint32_t row)
{
    const struct mu_node_rec *rec = mu_row_rec(db, row);
    if ((rec->flags & MU_NODE_PRESENT) == 0)
        return false;
    for (uint64_t left = field->keys; left != 0; left &= left - 1) {
        const struct mu_topology *t = &db->books->topologies[__builtin_ctzll(left)];
        if (mu_topology_domain(t, row) == MU_NONE)
            return false;
    }
    const struct mu_labels_view labels = mu_model_labels(db->model, rec->labels, rec->hostname);
    if (!mu_affinity_selects(db->model, mu_model_get_affinity(db->model, field->affinity), &labels,
                             rec->name))
        return false;
    const struct mu_taint_set_ix taints = {rec->taints};
    return !field->honor_taints ||
           mu_tolerance_tolerates(db->symbols, mu_model_get_tolerance(db->model, field->tolerance),
                                  mu_model_get_taint_set(db->model, taints));
}

static int field_enter(struct mu_db *db, uint32_t field, uint32_t row)
{
    struct mu_field *f = mu_field_at(db->books, field);
    if (mu_rowset_has(&f->eligible, row) || !mu_field_eligible(db, f, row))
        return 0;
    uint32_t domain = mu_topology_domain(&db->books->topologies[f->topology], row);
    MU_ASSERT(domain != MU_NONE);
    int rc = mu_rowset_reserve(&f->eligible, row + 1);
    if (rc == 0 && domain >= f->cap) {
        uint32_t cap = mu_topology_cap(db, f->topology);
        uint32_t *wider = mu_mem_calloc(cap, sizeof *wider);
        if (wider == NULL)
            return MU_ENOMEM;
        if (f->cap != 0)
            memcpy(wider, f->domains, f->cap * sizeof *wider);
        mu_mem_free(f->domains);
        f->domains = wider;
        f->cap = cap;
    }
    if (rc != 0)
        return rc;
    (void)mu_rowset_add(&f->eligible, row);
    f->domains[domain]++;
    f->moves++;
    mu_field_mark_cell(db, field, domain);
    mu_field_audit_follow(db, field, row, domain, 1);
    mu_topology_mark_row(db, row);
    return 0;
}

static void field_leave(struct mu_db *db, uint32_t field, uint32_t row)
{
    struct mu_field *f = mu_field_at(db->books, field);
    if (!mu_rowset_has(&f->eligible, row))
        return;
    uint32_t domain = mu_topology_domain(&db->books->topologies[f->topology], row);
    MU_ASSERT(domain < f->cap && f->domains[domain] > 0);
    (void)mu_rowset_drop(&f->eligible, row);
    f->domains[domain]--;
    f->moves++;
    mu_field_mark_cell(db, field, domain);
    mu_field_audit_follow(db, field, row, domain, -1);
}

/* --- rows ------------------------------------------------------------------------------------ */

int mu_row_enter(struct mu_db *db, uint32_t row)
{
    struct mu_books *b = db->books;
    bool changed = false;
    int rc = 0;
    if (row >= mu_row_count(db) || (mu_row_rec(db, row)->flags & MU_NODE_PRESENT) == 0)
        return 0;
    rc = mu_label_keys_reserve(db, row);
    for (uint32_t i = 0; i < b->topology_high && rc >= 0; i++) {
        if (b->topologies[i].refs == 0)
            continue;
        rc = domain_enter(db, i, row);
        changed |= rc == 1;
    }
    if (changed)
        mu_topology_mark_row(db, row);
    for (uint32_t i = 0; i < b->fields.high && rc >= 0; i++)
        if (mu_field_at(b, i)->refs != 0)
            rc = field_enter(db, i, row);
    if (rc < 0)
        return rc;
    if (mu_rowset_add(&b->rows_in, row))
        mu_label_keys_count(db, row, 1);
    return 0;
}

void mu_census_row_leave(struct mu_db *db, uint32_t row)
{
    struct mu_books *b = db->books;
    if (b == NULL)
        return;
    for (uint32_t pod = mu_row_rec(db, row)->pods; pod != MU_NONE;) {
        mu_census_pod_leave(db, pod);
        pod = mu_pod_at(db, pod)->node_next;
    }
    for (uint32_t i = 0; i < b->fields.high; i++)
        if (mu_field_at(b, i)->refs != 0)
            field_leave(db, i, row);
    for (uint32_t i = 0; i < b->topology_high; i++)
        if (b->topologies[i].refs != 0)
            domain_leave(db, i, row);
    if (mu_rowset_drop(&b->rows_in, row))
        mu_label_keys_count(db, row, -1);
    (void)mu_rowset_add(&b->rows_dirty, row);
    mu_topology_mark_row(db, row);
    db->changed = true;
}

void mu_topology_init(struct mu_books *b)
{
    mu_slab_init(&b->fields, sizeof(struct mu_field), FIELD_SEGMENT_SHIFT, MU_FIELDS_MAX);
}

void mu_topology_destroy_all(struct mu_db *db)
{
    struct mu_books *b = db->books;
    for (uint32_t i = 0; i < b->fields.high; i++)
        field_fini(mu_field_at(b, i));
    mu_slab_fini(&b->fields);
    for (uint32_t i = 0; i < MU_TOPOLOGIES_MAX; i++)
        topology_fini(&b->topologies[i]);
}
