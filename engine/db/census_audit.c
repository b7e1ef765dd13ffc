#include "engine/db/census_priv.h"

#include "engine/base/assert.h"
#include "engine/base/mem.h"

/*
 * The audit of the books.
 *
 * Counts. One census after another, then one field after another, is counted again into a shadow,
 * in slices over the pods (the rows), and then compared with it, in slices over the domains. What
 * happens in between to those that the audit has passed is followed in the shadow, so that it must
 * equal the count whenever a domain is compared; where it does not, the shadow is right. Who counts
 * is judged from the contents of kin, matcher and class, not from what was noted about them.
 *
 *     none --begin--> counting, `cursor` over pods or rows --all--> comparing, `cursor` over
 *     domains any --what it is of has gone, or has begun anew--> none
 *
 * Rows. A row's domains and its places in fields are judged again from its labels and taints. One
 * that is wrong leaves and enters anew.
 *
 * The books are audited only while they are complete; an audit that finds them behind brings them
 * up to date first, since without a pending pod no sync will.
 */
enum { COUNT_RATIO = 4, COMPARE_RATIO = 16 /* looked at for the cost of a copied row */ };

static void shadow_end(struct mu_shadow *s)
{
    mu_mem_free(s->counts);
    *s = (struct mu_shadow){.next = s->next};
}

/* True for counts that lack what the table of matches has no room for: nobody goes by them. */
static bool lacks_matches(const struct mu_books *b, const struct mu_census_rec *c)
{
    bool by_kin = c->own.kind == MU_CENSUS_MATCH || c->own.kind == MU_CENSUS_SPREAD;
    return by_kin && mu_matcher_at(b, c->own.matcher.v)->overflow;
}

/* What the shadow is of; NULL: it has gone, or cannot be judged any more. */
static struct mu_census_rec *census_of(const struct mu_books *b)
{
    const struct mu_shadow *s = &b->shadow;
    if (s->field || s->number >= b->censuses.high)
        return NULL;
    struct mu_census_rec *c = mu_census_at(b, s->number);
    bool same = c->own.id == s->id && c->state == MU_CENSUS_COMPLETE;
    return same && !lacks_matches(b, c) ? c : NULL;
}
static struct mu_field *field_of(const struct mu_books *b)
{
    const struct mu_shadow *s = &b->shadow;
    if (!s->field || s->number >= b->fields.high)
        return NULL;
    return mu_field_at(b, s->number)->id == s->id ? mu_field_at(b, s->number) : NULL;
}

/* Begin with the next census or field. False: that was the last one. No memory: that one is left
 * out. */
static bool shadow_begin(struct mu_db *db, uint32_t *spent)
{
    struct mu_books *b = db->books;
    struct mu_shadow *s = &b->shadow;
    while (s->next < b->censuses.high + b->fields.high) {
        uint32_t topology = 0;
        s->field = s->next >= b->censuses.high;
        s->number = s->field ? s->next - b->censuses.high : s->next;
        s->next++;
        *spent += 1;
        if (s->field) {
            const struct mu_field *f = mu_field_at(b, s->number);
            s->id = f->refs == 0 ? 0 : f->id;
            topology = f->topology;
        } else {
            const struct mu_census_rec *c = mu_census_at(b, s->number);
            s->id = c->refs == 0 || c->state != MU_CENSUS_COMPLETE ? 0 : c->own.id;
            topology = c->own.topology;
        }
        if (s->id == 0)
            continue;
        s->cap = mu_topology_cap(db, topology);
        s->counts = mu_mem_calloc(s->cap, sizeof *s->counts);
        if (s->counts != NULL)
            return true;
        s->id = 0;
    }
    s->next = 0;
    return false;
}

static void follow(struct mu_shadow *s, uint32_t member, uint32_t domain, int step)
{
    if (domain >= s->cap) { /* made since: another round will see it, with room for it */
        shadow_end(s);
        return;
    }
    if (!s->comparing && member >= s->cursor)
        return;
    s->counts[domain] += step;
    s->total += step;
}

void mu_census_audit_follow(struct mu_db *db, uint32_t census, uint32_t pod, uint32_t domain,
                            int step)
{
    struct mu_shadow *s = &db->books->shadow;
    if (s->id != 0 && !s->field && s->number == census)
        follow(s, pod, domain, step);
}

void mu_field_audit_follow(struct mu_db *db, uint32_t field, uint32_t row, uint32_t domain,
                           int step)
{
    struct mu_shadow *s = &db->books->shadow;
    if (s->id != 0 && s->field && s->number == field)
        follow(s, row, domain, step);
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
static bool count_pod(struct mu_db *db, uint32_t pod, uint32_t *spent)
{
    struct mu_books *b = db->books;
    struct mu_shadow *s = &b->shadow;
    const struct mu_census_rec *c = mu_census_at(b, s->number);
    const struct mu_pod_rec *p = mu_pod_at(db, pod);
    if (!mu_rowset_has(&b->pods_in, pod) || p->node.v == MU_NONE || !mu_pod_charged(p))
        return true;
    bool by_kin = c->own.kind == MU_CENSUS_MATCH || c->own.kind == MU_CENSUS_SPREAD;
    if (by_kin && mu_kin_repair(db, p->kin.v, c->own.matcher.v, spent))
        return false;
    uint32_t domain = mu_census_domain(db, c, p);
    if (domain == MU_NONE)
        return true;
    MU_ASSERT(domain < s->cap); /* else it was followed when it entered */
    int32_t times = times_counted(db, &c->own, p);
    s->counts[domain] += times;
    s->total += times;
    return true;
}

static void count_row(struct mu_db *db, uint32_t row)
{
    struct mu_shadow *s = &db->books->shadow;
    const struct mu_field *f = mu_field_at(db->books, s->number);
    if (!mu_rowset_has(&f->eligible, row))
        return;
    uint32_t domain = mu_topology_domain(&db->books->topologies[f->topology], row);
    MU_ASSERT(domain < s->cap); /* as above */
    s->counts[domain]++;
    s->total++;
}

/* Count on until the budget is spent. Returns the drift: 1 when a kin's matches were wrong. */
static uint32_t count_on(struct mu_db *db, uint32_t budget, uint32_t *spent)
{
    struct mu_shadow *s = &db->books->shadow;
    uint32_t bound = s->field ? mu_row_count(db) : db->pods.high;
    while (s->cursor < bound && *spent < budget) {
        uint32_t member = s->cursor++;
        *spent += s->cursor % COUNT_RATIO == 0;
        if (s->field) {
            count_row(db, member);
        } else if (!count_pod(db, member, spent)) {
            shadow_end(s);
            return 1;
        }
    }
    if (s->cursor >= bound) {
        s->comparing = true;
        s->cursor = 0;
    }
    return 0;
}

/* Put the shadow's counts in the place of those that differ, until the budget is spent. */
static uint32_t compare_census(struct mu_db *db, struct mu_census_rec *c, uint32_t budget,
                               uint32_t *spent)
{
    struct mu_shadow *s = &db->books->shadow;
    uint32_t drift = 0;
    for (; s->cursor < c->own.domain_count && *spent < budget; s->cursor++) {
        int32_t is = s->cursor < s->cap ? s->counts[s->cursor] : 0;
        *spent += s->cursor % COMPARE_RATIO == 0;
        if (c->own.counts[s->cursor] == is)
            continue;
        c->own.counts[s->cursor] = is;
        c->least_known = false;
        mu_census_mark_cell(db, s->number, s->cursor);
        drift++;
    }
    s->drift += drift;
    if (s->cursor < c->own.domain_count)
        return drift;
    drift += s->drift == 0 && c->own.total != s->total; /* a total alone: not counted twice */
    if (c->own.total != s->total) {
        c->own.total = s->total;
        mu_census_mark(db, s->number);
    }
    shadow_end(s);
    return drift;
}

static uint32_t compare_field(struct mu_db *db, struct mu_field *f, uint32_t budget,
                              uint32_t *spent)
{
    struct mu_shadow *s = &db->books->shadow;
    uint32_t drift = 0;
    for (; s->cursor < f->cap && *spent < budget; s->cursor++) {
        uint32_t is = s->cursor < s->cap ? (uint32_t)s->counts[s->cursor] : 0;
        *spent += s->cursor % COMPARE_RATIO == 0;
        if (f->domains[s->cursor] == is)
            continue;
        f->domains[s->cursor] = is;
        f->moves++;
        mu_field_mark_cell(db, s->number, s->cursor);
        drift++;
    }
    if (s->cursor >= f->cap)
        shadow_end(s);
    return drift;
}

uint32_t mu_census_audit(struct mu_db *db, uint32_t budget, bool *whole)
{
    struct mu_books *b = db->books;
    uint32_t spent = 0;
    uint32_t drift = 0;
    *whole = b == NULL && !db->books_wanted;
    if (b == NULL || mu_census_backlog(db) != 0) {
        (void)mu_census_refresh(db, budget, &spent); /* no memory: the next call tries again */
        return 0;
    }
    struct mu_shadow *s = &b->shadow;
    while (spent < budget && drift == 0) {
        if (s->id == 0 && !shadow_begin(db, &spent)) {
            *whole = true;
            break;
        }
        struct mu_census_rec *c = census_of(b);
        struct mu_field *f = field_of(b);
        if (c == NULL && f == NULL)
            shadow_end(s);
        else if (!s->comparing)
            drift += count_on(db, budget, &spent);
        else if (c != NULL)
            drift += compare_census(db, c, budget, &spent);
        else
            drift += compare_field(db, f, budget, &spent);
    }
    return drift;
}

uint32_t mu_census_audit_row(struct mu_db *db, uint32_t row, uint32_t *spent)
{
    struct mu_books *b = db->books;
    if (b == NULL || !mu_rowset_has(&b->rows_in, row) || mu_census_backlog(db) != 0)
        return 0;
    bool right = true;
    *spent += mu_row_enter_rows(b);
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
    c->least_known = false;
    mu_census_mark_cell(db, census, domain);
}

void mu_census_debug_field_drift(struct mu_db *db, uint32_t census, uint32_t domain, int32_t by)
{
    const struct mu_census_rec *c = mu_census_at(db->books, census);
    MU_ASSERT(c->refs != 0 && c->field != MU_NONE);
    struct mu_field *f = mu_field_at(db->books, c->field);
    MU_ASSERT(domain < f->cap);
    f->domains[domain] += (uint32_t)by;
    f->moves++;
    mu_field_mark_cell(db, c->field, domain);
}
