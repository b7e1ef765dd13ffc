#include "engine/db/census_priv.h"

#include <string.h>

#include "engine/base/assert.h"
#include "engine/base/mem.h"

/*
 * The censuses' part of a replica, brought up to date like the rest of it: by sets of what is
 * dirty, emptied by a sync, lowest number first (db/replica.c says why that cannot tear).
 *
 * Counts lie in a copy per census and per field, as wide as the key has domains, with a set of
 * dirty domains of its own. A census or field of another id, or a key that has outgrown the copy,
 * gets a new copy of zeros with every domain dirty. Zeros are not written, so that of a census of a
 * few pods over a million hosts only a few pages are ever touched.
 *
 * Marks cannot fail: what has no room for its mark has no copy yet, or one too narrow, and is made
 * anew by the sync.
 */
enum { CELLS_PER_ROW = 16 }; /* that cost as much as a row */

/* --- room for marks -------------------------------------------------------------------------- */

static int reserve_marks(struct mu_db *db, size_t offset, uint32_t number)
{
    int rc = 0;
    for (uint32_t i = 0; rc == 0 && i < db->replica_count; i++)
        rc = mu_rowset_reserve((void *)((char *)&db->replicas[i]->counts + offset), number + 1);
    return rc;
}
int mu_census_marks_reserve(struct mu_db *db, uint32_t census)
{
    return reserve_marks(db, offsetof(struct mu_replica_counts, census_dirty), census);
}
int mu_field_marks_reserve(struct mu_db *db, uint32_t field)
{
    return reserve_marks(db, offsetof(struct mu_replica_counts, field_dirty), field);
}
int mu_class_marks_reserve(struct mu_db *db, uint32_t class_number)
{
    return reserve_marks(db, offsetof(struct mu_replica_counts, class_dirty), class_number);
}
int mu_kin_marks_reserve(struct mu_db *db, uint32_t kin)
{
    return reserve_marks(db, offsetof(struct mu_replica_counts, kin_dirty), kin);
}

/* --- marks ----------------------------------------------------------------------------------- */

void mu_census_mark(struct mu_db *db, uint32_t census)
{
    db->term_generation++;
    for (uint32_t i = 0; i < db->replica_count; i++)
        (void)mu_rowset_add(&db->replicas[i]->counts.census_dirty, census);
}

void mu_field_mark(struct mu_db *db, uint32_t field)
{
    db->term_generation++;
    for (uint32_t i = 0; i < db->replica_count; i++)
        (void)mu_rowset_add(&db->replicas[i]->counts.field_dirty, field);
}

static void mark_cell(struct mu_replica_counts *r, struct mu_twins *twins, uint32_t number,
                      uint32_t domain)
{
    if (number >= twins->cap || domain >= twins->twins[number].cap)
        return;
    r->cells += mu_rowset_add(&twins->twins[number].dirty, domain);
}

void mu_census_mark_cell(struct mu_db *db, uint32_t census, uint32_t domain)
{
    mu_census_mark(db, census);
    for (uint32_t i = 0; i < db->replica_count; i++)
        mark_cell(&db->replicas[i]->counts, &db->replicas[i]->counts.censuses, census, domain);
}

void mu_field_mark_cell(struct mu_db *db, uint32_t field, uint32_t domain)
{
    mu_field_mark(db, field);
    for (uint32_t i = 0; i < db->replica_count; i++)
        mark_cell(&db->replicas[i]->counts, &db->replicas[i]->counts.fields, field, domain);
}

void mu_class_mark(struct mu_db *db, uint32_t class_number)
{
    db->term_generation++;
    for (uint32_t i = 0; i < db->replica_count; i++)
        (void)mu_rowset_add(&db->replicas[i]->counts.class_dirty, class_number);
}

void mu_kin_mark(struct mu_db *db, uint32_t kin)
{
    db->term_generation++;
    for (uint32_t i = 0; i < db->replica_count; i++)
        (void)mu_rowset_add(&db->replicas[i]->counts.kin_dirty, kin);
}

void mu_topology_mark(struct mu_db *db, uint32_t topology)
{
    db->term_generation++;
    for (uint32_t i = 0; i < db->replica_count; i++)
        db->replicas[i]->counts.topology_reset |= UINT64_C(1) << topology;
}

void mu_topology_mark_row(struct mu_db *db, uint32_t row)
{
    db->term_generation++;
    for (uint32_t i = 0; i < db->replica_count; i++)
        (void)mu_rowset_add(&db->replicas[i]->static_dirty, row);
}

/* --- life ------------------------------------------------------------------------------------ */

int mu_census_replica_init(struct mu_db *db, struct mu_replica *r)
{
    const struct mu_books *b = db->books;
    struct mu_replica_counts *c = &r->counts;
    if (b == NULL)
        return 0;
    uint32_t class_bound = mu_model_class_bound(db->model);
    int rc = mu_rowset_reserve(&c->census_dirty, b->censuses.high);
    if (rc == 0)
        rc = mu_rowset_reserve(&c->field_dirty, b->fields.high);
    if (rc == 0)
        rc = mu_rowset_reserve(&c->class_dirty, class_bound);
    if (rc == 0)
        rc = mu_rowset_reserve(&c->kin_dirty, b->kin_bound);
    if (rc != 0)
        return rc;
    mu_rowset_fill(&c->census_dirty, b->censuses.high);
    mu_rowset_fill(&c->field_dirty, b->fields.high);
    mu_rowset_fill(&c->class_dirty, class_bound);
    mu_rowset_fill(&c->kin_dirty, b->kin_bound);
    return 0;
}

static void twin_drop(struct mu_replica_counts *c, struct mu_twin *twin)
{
    c->cells -= twin->dirty.count;
    mu_rowset_fini(&twin->dirty);
    mu_mem_free(twin->cells);
    mu_mem_free(twin->eligible);
    *twin = (struct mu_twin){0};
}

static void twins_fini(struct mu_replica_counts *c, struct mu_twins *twins)
{
    for (uint32_t i = 0; i < twins->cap; i++)
        twin_drop(c, &twins->twins[i]);
    mu_mem_free(twins->twins);
}

void mu_census_replica_fini(struct mu_replica *r)
{
    struct mu_replica_counts *c = &r->counts;
    twins_fini(c, &c->censuses);
    twins_fini(c, &c->fields);
    mu_rowset_fini(&c->census_dirty);
    mu_rowset_fini(&c->field_dirty);
    mu_rowset_fini(&c->class_dirty);
    mu_rowset_fini(&c->kin_dirty);
    mu_mem_free(r->shown.censuses);
    mu_mem_free((void *)(uintptr_t)r->shown.class_census); /* made here */
    mu_mem_free((void *)(uintptr_t)r->shown.kin_census);
    for (uint32_t i = 0; i < MU_TOPOLOGIES_MAX; i++)
        mu_mem_free(r->shown.topology[i]);
}

/* --- room for what is shown ------------------------------------------------------------------ */

static uint32_t grown(uint32_t need, uint32_t max)
{
    uint64_t cap = (uint64_t)need + need / 8 + 64;
    return cap > max ? max : (uint32_t)cap;
}

/* A wider array of pointers, all NULL, everything dirty. */
static int pointers_reserve(void **array, uint32_t *count, uint32_t need, uint32_t max,
                            struct mu_rowset *dirty)
{
    if (need <= *count)
        return 0;
    uint32_t cap = grown(need, max);
    void *wider = mu_mem_calloc(cap, sizeof(void *));
    if (wider == NULL || mu_rowset_reserve(dirty, cap) != 0) {
        mu_mem_free(wider);
        return MU_ENOMEM;
    }
    mu_mem_free(*array);
    *array = wider;
    *count = cap;
    mu_rowset_fill(dirty, need);
    return 0;
}

/* A longer list, what is new zeroed. */
static int list_reserve(void **list, uint32_t *cap, uint32_t need, uint32_t max, size_t bytes)
{
    uint32_t old = *cap;
    int rc = mu_mem_grow(list, cap, need, max, bytes);
    if (rc == 0 && *cap > old) {
        char *begin;
        memcpy(&begin, list, sizeof begin); /* as mu_mem_grow reads it */
        memset(begin + old * bytes, 0, (*cap - old) * bytes);
    }
    return rc;
}

static int columns_reserve(struct mu_db *db, struct mu_replica *r)
{
    struct mu_snapshot *s = &r->shown;
    struct mu_replica_counts *c = &r->counts;
    for (uint32_t t = 0; t < db->books->topology_high; t++) {
        bool in_use = db->books->topologies[t].refs != 0;
        if (in_use && s->topology[t] == NULL) {
            s->topology[t] = mu_mem_zalloc_aligned(64, s->node_cap * sizeof *s->topology[t]);
            if (s->topology[t] == NULL)
                return MU_ENOMEM;
            c->topology_reset |= UINT64_C(1) << t;
        }
    }
    for (; c->topology_reset != 0; c->topology_reset &= c->topology_reset - 1) {
        uint32_t t = (uint32_t)__builtin_ctzll(c->topology_reset);
        if (s->topology[t] != NULL)
            memset(s->topology[t], 0xff, s->node_cap * sizeof *s->topology[t]);
        /* Rows that have a domain may have been copied before the column was there. */
        if (s->topology[t] != NULL && db->books->topologies[t].refs != 0)
            mu_rowset_fill(&r->static_dirty, mu_row_count(db));
    }
    return 0;
}

int mu_census_replica_reserve(struct mu_db *db, struct mu_replica *r)
{
    const struct mu_books *b = db->books;
    struct mu_snapshot *s = &r->shown;
    struct mu_replica_counts *c = &r->counts;
    if (b == NULL)
        return 0;
    if (c->node_cap != s->node_cap) { /* eligible nodes are copied whole into wider bitmaps */
        if (mu_rowset_reserve(&c->field_dirty, b->fields.high) != 0)
            return MU_ENOMEM;
        mu_rowset_fill(&c->field_dirty, b->fields.high);
        for (uint32_t i = 0; i < c->fields.cap; i++) {
            mu_mem_free(c->fields.twins[i].eligible);
            c->fields.twins[i].eligible = NULL;
        }
        c->node_cap = s->node_cap;
    }
    int rc = columns_reserve(db, r);
    if (rc == 0)
        rc = list_reserve((void **)&c->censuses.twins, &c->censuses.cap, b->censuses.high,
                          MU_CENSUSES_MAX, sizeof *c->censuses.twins);
    if (rc == 0)
        rc = list_reserve((void **)&c->fields.twins, &c->fields.cap, b->fields.high, MU_FIELDS_MAX,
                          sizeof *c->fields.twins);
    if (rc == 0)
        rc = list_reserve((void **)&s->censuses, &c->shown_cap, b->censuses.high, MU_CENSUSES_MAX,
                          sizeof *s->censuses);
    if (rc == 0)
        rc = pointers_reserve((void **)(uintptr_t)&s->class_census, &s->class_census_count,
                              mu_model_class_bound(db->model), MU_CLASSES_MAX, &c->class_dirty);
    if (rc == 0)
        rc = pointers_reserve((void **)(uintptr_t)&s->kin_census, &s->kin_census_count,
                              b->kin_bound, MU_KINS_MAX, &c->kin_dirty);
    return rc;
}

void mu_census_copy_row(const struct mu_db *db, struct mu_replica *r, uint32_t row)
{
    const struct mu_books *b = db->books;
    if (b == NULL)
        return;
    for (uint32_t t = 0; t < b->topology_high; t++)
        if (b->topologies[t].refs != 0)
            r->shown.topology[t][row] = mu_topology_domain(&b->topologies[t], row);
    for (uint32_t i = 0; i < b->fields.high; i++) {
        const struct mu_field *f = mu_field_at(b, i);
        uint64_t *bits = r->counts.fields.twins[i].eligible;
        if (f->refs == 0 || r->counts.fields.twins[i].id != f->id || bits == NULL)
            continue; /* no copy of it yet: it will be made whole */
        uint64_t bit = UINT64_C(1) << (row & 63);
        bits[row >> 6] =
            mu_rowset_has(&f->eligible, row) ? bits[row >> 6] | bit : bits[row >> 6] & ~bit;
    }
}

/* --- copying --------------------------------------------------------------------------------- */

/* What a copy is of. */
struct source {
    uint64_t id; /* 0: it is gone */
    const void *cells;
    uint32_t room; /* cells that it has; the others are 0 */
    uint32_t cap;  /* cells that the copy must have */
};

static int twin_renew(struct mu_replica_counts *c, struct mu_twin *twin, const struct source *from)
{
    if (twin->id == from->id && twin->cap == from->cap)
        return 0;
    struct mu_twin fresh = {.id = from->id, .cap = from->cap};
    fresh.cells = mu_mem_calloc(from->cap, sizeof *fresh.cells);
    if (fresh.cells == NULL || mu_rowset_reserve(&fresh.dirty, from->cap) != 0) {
        mu_mem_free(fresh.cells);
        return MU_ENOMEM;
    }
    mu_rowset_fill(&fresh.dirty, from->room);
    twin_drop(c, twin);
    *twin = fresh;
    c->cells += fresh.dirty.count;
    return 0;
}

/* Returns 1 when all is copied, 0 when the budget is spent, or an error. */
static int twin_copy(struct mu_replica_counts *c, struct mu_twin *twin, const struct source *from,
                     uint32_t budget, uint32_t *spent)
{
    uint32_t domains[CELLS_PER_ROW];
    *spent += 1;
    if (from->id == 0) {
        twin_drop(c, twin);
        return 1;
    }
    int rc = twin_renew(c, twin, from);
    if (rc != 0)
        return rc;
    while (twin->dirty.count != 0) {
        if (*spent >= budget)
            return 0;
        uint32_t count = mu_rowset_take(&twin->dirty, domains, CELLS_PER_ROW);
        for (uint32_t i = 0; i < count; i++) {
            uint32_t d = domains[i];
            uint32_t value = d < from->room ? ((const uint32_t *)from->cells)[d] : 0;
            /* Untouched memory stays so. */
            /* cppcheck-suppress duplicateConditionalAssign */
            if (twin->cells[d] != value)
                twin->cells[d] = value;
        }
        c->cells -= count;
        *spent += 1;
    }
    return 1;
}

static int copy_census(const struct mu_db *db, struct mu_replica *r, uint32_t census,
                       uint32_t budget, uint32_t *spent)
{
    const struct mu_books *b = db->books;
    const struct mu_census_rec *rec = mu_census_at(b, census);
    struct mu_twin *twin = &r->counts.censuses.twins[census];
    struct source from = {.id = 0};
    if (census < b->censuses.high && rec->refs != 0) {
        from = (struct source){.id = rec->own.id,
                               .cells = rec->own.counts,
                               .room = rec->own.domain_count,
                               .cap = mu_topology_cap(db, rec->own.topology)};
    }
    int rc = twin_copy(&r->counts, twin, &from, budget, spent);
    if (rc < 0)
        return rc;
    struct mu_census *shown = &r->shown.censuses[census];
    *shown = (struct mu_census){0};
    if (from.id != 0) {
        *shown = rec->own;
        shown->domain_count = from.cap;
        shown->counts = (int32_t *)(void *)twin->cells;
        if (rec->own.kind != MU_CENSUS_PORT)
            shown->overflow = mu_matcher_at(b, rec->own.matcher.v)->overflow;
    }
    return rc;
}

static int copy_field(const struct mu_db *db, struct mu_replica *r, uint32_t field, uint32_t budget,
                      uint32_t *spent)
{
    const struct mu_field *f = mu_field_at(db->books, field);
    struct source from = {.id = 0};
    if (field < db->books->fields.high && f->refs != 0) {
        from = (struct source){.id = f->id,
                               .cells = f->domains,
                               .room = f->cap,
                               .cap = mu_topology_cap(db, f->topology)};
    }
    struct mu_twin *twin = &r->counts.fields.twins[field];
    int rc = twin_copy(&r->counts, twin, &from, budget, spent);
    if (rc != 1 || from.id == 0 || twin->eligible != NULL)
        return rc;
    uint32_t words = r->shown.node_cap / 64;
    uint32_t have = f->eligible.cap / 64;
    twin->eligible = mu_mem_calloc(words, sizeof *twin->eligible);
    if (twin->eligible == NULL)
        return MU_ENOMEM;
    if (have != 0)
        memcpy(twin->eligible, f->eligible.words,
               (have < words ? have : words) * sizeof *twin->eligible);
    return 1;
}

typedef int (*copy_fn)(const struct mu_db *db, struct mu_replica *r, uint32_t number,
                       uint32_t budget, uint32_t *spent);

/* Copy what a set names, until the budget is spent. A number beyond `bound` has gone with its
 * table's top and has a copy only if it had one before. */
static int copy_set(const struct mu_db *db, struct mu_replica *r, struct mu_rowset *set,
                    uint32_t bound, copy_fn copy, uint32_t budget, uint32_t *spent)
{
    while (set->count != 0 && *spent < budget) {
        uint32_t number = mu_rowset_next(set, 0);
        int rc = number < bound ? copy(db, r, number, budget, spent) : 1;
        if (rc < 0)
            return rc;
        if (rc == 1)
            (void)mu_rowset_drop(set, number);
    }
    return 0;
}

static void copy_pointers(const struct mu_db *db, struct mu_replica *r, uint32_t budget,
                          uint32_t *spent)
{
    const struct mu_books *b = db->books;
    struct mu_replica_counts *c = &r->counts;
    const struct mu_class_census **classes =
        (const struct mu_class_census **)(uintptr_t)r->shown.class_census;
    const struct mu_kin_census **kins =
        (const struct mu_kin_census **)(uintptr_t)r->shown.kin_census;
    uint32_t number;
    while (*spent < budget && mu_rowset_take(&c->class_dirty, &number, 1) != 0) {
        const struct mu_class_rec *rec = mu_pages_at(&b->classes, number);
        MU_ASSERT(number < r->shown.class_census_count);
        classes[number] = rec == NULL ? NULL : rec->block;
        *spent += 1;
    }
    while (*spent < budget && mu_rowset_take(&c->kin_dirty, &number, 1) != 0) {
        const struct mu_kin_rec *k = mu_kin_at(b, number);
        *spent += 1;
        if (number < r->shown.kin_census_count)
            kins[number] = k == NULL ? NULL : k->block;
    }
}

int mu_census_copy(struct mu_db *db, struct mu_replica *r, uint32_t budget, uint32_t *spent)
{
    struct mu_replica_counts *c = &r->counts;
    if (db->books == NULL)
        return 0;
    copy_pointers(db, r, budget, spent);
    int rc = copy_set(db, r, &c->field_dirty, c->fields.cap, copy_field, budget, spent);
    if (rc == 0)
        rc = copy_set(db, r, &c->census_dirty, c->censuses.cap, copy_census, budget, spent);
    return rc;
}

uint64_t mu_census_replica_backlog(const struct mu_replica *r)
{
    const struct mu_replica_counts *c = &r->counts;
    return (uint64_t)c->census_dirty.count + c->field_dirty.count + c->class_dirty.count +
           c->kin_dirty.count + c->cells / CELLS_PER_ROW;
}

void mu_census_show(const struct mu_db *db, struct mu_replica *r)
{
    const struct mu_books *b = db->books;
    struct mu_snapshot *s = &r->shown;
    s->term_generation = db->term_generation;
    if (b == NULL)
        return;
    s->topology_count = b->topology_high;
    for (uint32_t t = 0; t < MU_TOPOLOGIES_MAX; t++) {
        s->topology_keys[t] = b->topologies[t].key;
        s->domain_generation[t] = b->topologies[t].generation;
        s->domain_bound[t] = b->topologies[t].refs != 0 ? b->topologies[t].domains.high : 0;
    }
    s->census_count = b->censuses.high;
    for (uint32_t i = 0; i < s->census_count; i++) {
        const struct mu_census_rec *rec = mu_census_at(b, i);
        if (rec->refs == 0 || rec->field == MU_NONE)
            continue;
        MU_ASSERT(s->censuses[i].id == rec->own.id);
        const struct mu_twin *twin = &r->counts.fields.twins[rec->field];
        MU_ASSERT(twin->eligible != NULL);
        s->censuses[i].domains = twin->cells;
        s->censuses[i].eligible = twin->eligible;
    }
}
