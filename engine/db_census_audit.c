#include "engine/db_census.h"

#include "engine/base/assert.h"
#include "engine/base/mem.h"

/*
 * The audit of the books.
 *
 * Counts. One census after another is counted again into a shadow, in slices over the pods. What
 * happens in between to pods that the audit has passed is followed in the shadow, so that at the
 * end it must equal the count; where it does not, the shadow is right. Who counts is judged from
 * the contents of kin, matcher and class, not from what was noted about them.
 *
 * Rows. A row's domains and its places in fields are judged again from its labels and taints. One
 * that is wrong leaves and enters anew. The eligible nodes of a field must add up over its domains.
 */

static void shadow_end(struct mu_shadow *s)
{
    mu_mem_free(s->counts);
    *s = (struct mu_shadow){.census = s->census};
}

/* The next census that is complete. False: there is none, or no memory. */
static bool shadow_begin(struct mu_db *db)
{
    struct mu_books *b = db->books;
    struct mu_shadow *s = &b->shadow;
    for (uint32_t i = 0; i < b->censuses.high; i++) {
        s->census = s->census + 1 < b->censuses.high ? s->census + 1 : 0;
        const struct mu_census_rec *c = mu_census_at(b, s->census);
        if (c->refs == 0 || c->state != MU_CENSUS_COMPLETE)
            continue;
        s->cap = mu_topology_cap(db, c->own.topology);
        s->counts = mu_mem_calloc(s->cap, sizeof *s->counts);
        s->id = s->counts == NULL ? 0 : c->own.id;
        s->cursor = 0;
        return s->counts != NULL;
    }
    return false;
}

void mu_census_audit_follow(struct mu_db *db, uint32_t census, uint32_t pod, uint32_t domain,
                            int step)
{
    struct mu_shadow *s = &db->books->shadow;
    if (s->id == 0 || s->census != census || pod >= s->cursor)
        return;
    if (domain < s->cap)
        s->counts[domain] += step;
    else
        shadow_end(s);
}

void mu_census_audit_drop(struct mu_db *db)
{
    if (db->books != NULL)
        shadow_end(&db->books->shadow);
}

/* How often a pod counts in a census, from contents alone. */
static int32_t times_counted(struct mu_db *db, const struct mu_census *own,
                             const struct mu_pod_rec *p)
{
    const struct mu_class *c = mu_model_get_class(db->model, p->class_ix);
    int32_t times = 0;
    switch (own->kind) {
    case MU_CENSUS_MATCH:
    case MU_CENSUS_SPREAD:
        return mu_matcher_matches(db->model, mu_model_get_matcher(db->model, own->matcher),
                                  mu_model_get_kin(db->model, p->kin));
    case MU_CENSUS_CARRY:
        for (uint32_t i = 0; i < c->term_count; i++) {
            const struct mu_term_item *t = &c->terms[i];
            times += t->kind == own->term && t->weight == own->weight &&
                     t->matcher.v == own->matcher.v &&
                     t->topology_key.v == db->books->topologies[own->topology].key.v;
        }
        return times;
    case MU_CENSUS_PORT:
        for (uint32_t i = 0; i < c->port_count; i++)
            times += c->ports[i].ip.v == own->port.ip.v && c->ports[i].port == own->port.port &&
                     c->ports[i].protocol == own->port.protocol;
        return times;
    }
    return 0;
}

/* Returns false when what is noted about the pod's kin was wrong: it is right now, and the census
 * begins anew. */
static bool shadow_count(struct mu_db *db, uint32_t pod)
{
    struct mu_books *b = db->books;
    struct mu_shadow *s = &b->shadow;
    const struct mu_census_rec *c = mu_census_at(b, s->census);
    const struct mu_pod_rec *p = mu_pod_at(db, pod);
    if (!mu_rowset_has(&b->pods_in, pod) || p->node.v == MU_NONE || !mu_pod_charged(p))
        return true;
    bool by_kin = c->own.kind == MU_CENSUS_MATCH || c->own.kind == MU_CENSUS_SPREAD;
    if (by_kin && mu_kin_repair(db, p->kin.v, c->own.matcher.v))
        return false;
    uint32_t domain = mu_census_domain(db, c, p);
    if (domain != MU_NONE)
        s->counts[domain] += times_counted(db, &c->own, p);
    return true;
}

/* Put the shadow's counts in the place of those that differ. Returns how many. */
static uint32_t shadow_compare(struct mu_db *db)
{
    struct mu_books *b = db->books;
    struct mu_shadow *s = &b->shadow;
    struct mu_census_rec *c = mu_census_at(b, s->census);
    uint32_t drift = 0;
    int64_t total = 0;
    for (uint32_t d = 0; d < c->own.domain_count; d++) {
        int32_t is = d < s->cap ? s->counts[d] : 0;
        total += is;
        if (c->own.counts[d] == is)
            continue;
        c->own.counts[d] = is;
        mu_census_mark_cell(db, s->census, d);
        drift++;
    }
    drift += drift == 0 && c->own.total != total;
    c->own.total = total;
    if (drift != 0)
        mu_census_mark(db, s->census);
    return drift;
}

static uint32_t audit_field(struct mu_db *db, uint32_t field)
{
    struct mu_field *f = mu_field_at(db->books, field);
    uint64_t sum = 0;
    for (uint32_t d = 0; d < f->cap; d++)
        sum += f->domains[d];
    if (sum == f->eligible.count)
        return 0;
    /* Only now, and once: a walk over all rows. */
    for (uint32_t d = 0; d < f->cap; d++) {
        if (f->domains[d] != 0)
            mu_field_mark_cell(db, field, d);
        f->domains[d] = 0;
    }
    for (uint32_t row = mu_rowset_next(&f->eligible, 0); row != UINT32_MAX;
         row = mu_rowset_next(&f->eligible, row + 1)) {
        uint32_t domain = mu_topology_domain(&db->books->topologies[f->topology], row);
        MU_ASSERT(domain < f->cap);
        f->domains[domain]++;
        mu_field_mark_cell(db, field, domain);
    }
    return 1;
}

uint32_t mu_census_audit(struct mu_db *db, uint32_t pods)
{
    struct mu_books *b = db->books;
    if (b == NULL || mu_census_backlog(db) != 0)
        return 0;
    struct mu_shadow *s = &b->shadow;
    if (s->id != 0 &&
        (s->census >= b->censuses.high || mu_census_at(b, s->census)->own.id != s->id))
        shadow_end(s);
    if (s->id == 0 && !shadow_begin(db))
        return 0;
    for (uint32_t i = 0; i < pods && s->cursor < db->pods.high; i++) {
        if (!shadow_count(db, s->cursor++)) {
            shadow_end(s);
            return 1;
        }
    }
    if (s->cursor < db->pods.high)
        return 0;
    uint32_t field = mu_census_at(b, s->census)->field;
    uint32_t drift = shadow_compare(db);
    drift += field == MU_NONE ? 0 : audit_field(db, field);
    shadow_end(s);
    return drift;
}

uint32_t mu_census_audit_row(struct mu_db *db, uint32_t row)
{
    struct mu_books *b = db->books;
    if (b == NULL || !mu_rowset_has(&b->rows_in, row) || mu_census_backlog(db) != 0)
        return 0;
    bool right = true;
    for (uint32_t t = 0; t < b->topology_high; t++)
        right = right && (b->topologies[t].refs == 0 || mu_topology_audit(db, t, row));
    for (uint32_t i = 0; i < b->fields.high; i++) {
        const struct mu_field *f = mu_field_at(b, i);
        right = right &&
                (f->refs == 0 || mu_field_eligible(db, f, row) == mu_rowset_has(&f->eligible, row));
    }
    if (!right)
        mu_census_row_leave(db, row);
    return !right;
}

void mu_census_debug_drift(struct mu_db *db, uint32_t census, uint32_t domain, int32_t by)
{
    struct mu_census_rec *c = mu_census_at(db->books, census);
    MU_ASSERT(c->refs != 0 && domain < c->own.domain_count);
    c->own.counts[domain] += by;
    c->own.total += by;
    mu_census_mark_cell(db, census, domain);
}

void mu_census_debug_field_drift(struct mu_db *db, uint32_t census, uint32_t domain, int32_t by)
{
    const struct mu_census_rec *c = mu_census_at(db->books, census);
    MU_ASSERT(c->refs != 0 && c->field != MU_NONE);
    struct mu_field *f = mu_field_at(db->books, c->field);
    MU_ASSERT(domain < f->cap);
    f->domains[domain] += (uint32_t)by;
    mu_field_mark_cell(db, c->field, domain);
}
