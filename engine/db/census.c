#include "engine/db/census_priv.h"

#include "engine/base/assert.h"
#include "engine/base/hash.h"
#include "engine/base/mem.h"

/*
 * The books: how many pods of some sort there are in each domain (engine/census.h), kept current by
 * the writer. They are opened when the first pod comes that has a rule about other pods or a host
 * port; until then an event costs one look at a flag.
 *
 * In the books is a live pod (not terminal) with its kin, its class and, when it is charged, all it
 * counts for. Two halves again:
 *
 *     leave    before anything changes that a pod counts by - its row, kin, class, phase, or the
 *              labels and taints of its node - it is taken out, by what is still there. Nothing in
 *              this can fail. It is marked, and its row too if that was what changed
 *     enter    a sync begins by entering what is marked, rows before pods. This may fail for want
 *              of memory; what is not entered stays marked, and the sync says so
 *
 * so a count is never patched with anything but what was added to it, and a burst of changes costs
 * one round. Between syncs the books may lack somebody; nobody can see that.
 *
 * New censuses. A class that enters with its first pod asks for its censuses. One that is new has
 * to find those who are there already, in a walk in slices:
 *
 *     keys     are taken by the classes and gangs that ask about them, once some row carries them
 *     rows     get domains of new keys and places in new fields
 *     kins     are matched with new matchers
 *     pods     are counted, those that have entered, in the order of their numbers
 *
 *     WAITING --a walk begins--> BUILDING --it ends--> COMPLETE
 *     any --its matcher turned--> WAITING
 *
 * A BUILDING census counts the pods below the cursor: one that leaves or enters there is taken off
 * or added at once, one beyond it is the walk's to find. The pods are walked only if somebody was
 * `missed`: mostly a new selector matches only the pods that came with it, none of them placed yet.
 * A sync is complete only when no census waits or is being built.
 *
 * What is no longer used (kins, classes, with them censuses, keys, fields) goes in the sweep after
 * all marked pods have entered: a pod that only moves on leaves and enters without loss.
 */
enum { WALK_RATIO = 4 /* things that a walk looks at, for the cost of a row */ };

static bool is_live(const struct mu_pod_rec *p)
{
    return (p->flags & (MU_POD_USED | MU_POD_TERMINAL)) == MU_POD_USED;
}
static bool is_counted(const struct mu_pod_rec *p)
{
    return p->node.v != MU_NONE && mu_pod_charged(p);
}

/* --- what a pod counts for ------------------------------------------------------------------- */

uint32_t mu_census_domain(const struct mu_db *db, const struct mu_census_rec *c,
                          const struct mu_pod_rec *p)
{
    const struct mu_books *b = db->books;
    if (c->own.kind == MU_CENSUS_PORT)
        return p->node.v;
    if (c->own.kind == MU_CENSUS_SPREAD &&
        (c->own.counts_none || (p->flags & MU_POD_TERMINATING) != 0 ||
         !mu_rowset_has(&mu_field_at(b, c->field)->eligible, p->node.v)))
        return MU_NONE;
    if (c->own.firm && mu_pod_only_holds(p))
        return MU_NONE;
    return mu_topology_domain(&b->topologies[c->own.topology], p->node.v);
}

int mu_census_each(struct mu_db *db, uint32_t pod, mu_census_visit_fn visit, int step)
{
    const struct mu_books *b = db->books;
    const struct mu_pod_rec *p = mu_pod_at(db, pod);
    int rc = 0;
    for (uint32_t e = mu_kin_at(b, p->kin.v)->edges; rc == 0 && e != MU_NONE;) {
        const struct mu_edge *edge = mu_slab_at(&b->edges, e);
        uint32_t c = mu_matcher_at(b, edge->matcher)->first;
        for (; rc == 0 && c != MU_NONE; c = mu_census_at(b, c)->next)
            if (mu_census_at(b, c)->own.kind != MU_CENSUS_CARRY)
                rc = visit(db, c, pod, step);
        e = edge->kin_next;
    }
    const struct mu_class *class_ = mu_model_get_class(db->model, p->class_ix);
    if (!mu_class_has_rules(class_))
        return rc;
    const struct mu_class_census *block = mu_class_at(b, p->class_ix)->block;
    for (uint32_t i = 0; rc == 0 && i < block->carry_count; i++)
        if (mu_census_is(block->carry[i]))
            rc = visit(db, block->carry[i].v, pod, step);
    for (uint32_t i = 0; rc == 0 && i < class_->port_count; i++)
        if (mu_census_is(block->ports[i]))
            rc = visit(db, block->ports[i].v, pod, step);
    return rc;
}

int mu_census_room(struct mu_db *db, uint32_t census, uint32_t pod, int step)
{
    struct mu_books *b = db->books;
    struct mu_census_rec *c = mu_census_at(b, census);
    uint32_t domain = mu_census_domain(db, c, mu_pod_at(db, pod));
    (void)step;
    if (domain == MU_NONE || domain < c->own.domain_count)
        return 0;
    uint32_t cap = mu_topology_cap(db, c->own.topology);
    MU_ASSERT(domain < cap);
    int32_t *wider = mu_mem_calloc(cap, sizeof *wider);
    if (wider == NULL)
        return MU_ENOMEM;
    for (uint32_t d = 0; d < c->own.domain_count; d++)
        if (c->own.counts[d] != 0) /* what is 0 stays untouched memory */
            wider[d] = c->own.counts[d];
    if (mu_rowset_has(&db->books->to_clear, census)) /* it has more to be gone through */
        db->books->clear_left += cap - c->own.domain_count;
    mu_mem_free(c->own.counts);
    c->own.counts = wider;
    c->own.domain_count = cap;
    c->least_known = false;
    if (cap > c->cells) {
        b->cells += cap - c->cells;
        c->cells = cap;
    }
    return 0;
}

void mu_census_add(struct mu_db *db, struct mu_census_rec *c, uint32_t domain, int step)
{
    MU_ASSERT(domain < c->own.domain_count && (step == 1 || step == -1));
    int32_t was = c->own.counts[domain];
    c->own.counts[domain] = was + step;
    c->own.total += step;
    if (!c->least_known)
        return;
    const struct mu_field *f = mu_field_at(db->books, c->field);
    if (domain >= f->cap || f->domains[domain] == 0)
        return;
    /* By ones, so that the least moves by one at most; nobody is below it. */
    if (step > 0 && was == c->least) {
        c->least_known = --c->at_least != 0;
    } else if (step < 0 && was == c->least) {
        c->least--;
        c->at_least = 1;
    } else if (step < 0 && was - 1 == c->least) {
        c->at_least++;
    }
}

int32_t mu_census_least(struct mu_db *db, uint32_t census, uint32_t *domains)
{
    struct mu_census_rec *c = mu_census_at(db->books, census);
    const struct mu_field *f = mu_field_at(db->books, c->field);
    if (!c->least_known || c->least_moves != f->moves) {
        c->least = INT32_MAX;
        c->at_least = c->least_domains = 0;
        for (uint32_t d = 0; d < f->cap; d++) {
            if (f->domains[d] == 0)
                continue;
            int32_t count = d < c->own.domain_count ? c->own.counts[d] : 0;
            c->at_least = count < c->least ? 1 : c->at_least + (count == c->least);
            c->least = count < c->least ? count : c->least;
            c->least_domains++;
        }
        c->least_known = true;
        c->least_moves = f->moves;
    }
    *domains = c->least_domains;
    return c->least;
}

static void shift(struct mu_db *db, uint32_t census, uint32_t pod, int step)
{
    struct mu_census_rec *c = mu_census_at(db->books, census);
    uint32_t domain = mu_census_domain(db, c, mu_pod_at(db, pod));
    if (domain == MU_NONE)
        return;
    mu_census_add(db, c, domain, step);
    mu_census_mark_cell(db, census, domain);
    mu_census_audit_follow(db, census, pod, domain, step);
}

static int visit_count(struct mu_db *db, uint32_t census, uint32_t pod, int step)
{
    const struct mu_books *b = db->books;
    struct mu_census_rec *c = mu_census_at(b, census);
    bool counts = c->state == MU_CENSUS_COMPLETE ||
                  (c->state == MU_CENSUS_BUILDING && b->stage == MU_STAGE_PODS && pod < b->cursor);
    if (counts)
        shift(db, census, pod, step);
    else
        c->missed = true;
    return 0;
}

/* The walk has come to a pod. */
static int visit_found(struct mu_db *db, uint32_t census, uint32_t pod, int step)
{
    if (mu_census_at(db->books, census)->state == MU_CENSUS_BUILDING)
        shift(db, census, pod, step);
    return 0;
}

/* --- entering and leaving -------------------------------------------------------------------- */

static int pod_enter(struct mu_db *db, uint32_t pod, uint32_t *spent)
{
    struct mu_books *b = db->books;
    const struct mu_pod_rec *p = mu_pod_at(db, pod);
    *spent += 1;
    if (!is_live(p) || mu_rowset_has(&b->pods_in, pod))
        return 0;
    int rc = mu_kin_enter(db, p->kin, spent);
    if (rc != 0)
        return rc;
    rc = mu_class_enter(db, p->class_ix, spent);
    if (rc == 0 && is_counted(p)) {
        rc = mu_census_each(db, pod, mu_census_room, 1);
        if (rc != 0)
            mu_class_exit(db, p->class_ix);
    }
    if (rc != 0) {
        mu_kin_exit(db, p->kin);
        return rc;
    }
    (void)mu_rowset_add(&b->pods_in, pod);
    if (is_counted(p)) {
        mu_kin_at(b, p->kin.v)->charged++;
        (void)mu_census_each(db, pod, visit_count, 1);
    }
    return 0;
}

void mu_census_pod_leave(struct mu_db *db, uint32_t pod)
{
    struct mu_books *b = db->books;
    if (b == NULL)
        return;
    (void)mu_rowset_add(&b->pods_dirty, pod);
    db->changed = true;
    if (!mu_rowset_drop(&b->pods_in, pod))
        return;
    const struct mu_pod_rec *p = mu_pod_at(db, pod);
    if (is_counted(p)) {
        (void)mu_census_each(db, pod, visit_count, -1);
        MU_ASSERT(mu_kin_at(b, p->kin.v)->charged > 0);
        mu_kin_at(b, p->kin.v)->charged--;
    }
    mu_class_exit(db, p->class_ix);
    mu_kin_exit(db, p->kin);
}

void mu_census_class_seen(struct mu_db *db, struct mu_class_ix class_ix)
{
    db->books_wanted |= mu_class_has_rules(mu_model_get_class(db->model, class_ix));
}

void mu_census_namespace(struct mu_db *db, struct mu_symbol ns)
{
    struct mu_books *b = db->books;
    if (b == NULL)
        return;
    if (b->changed.count < MU_CHANGED_NAMESPACES)
        b->changed.ns[b->changed.count++] = ns;
    else
        b->changed.all = true;
    b->kins_wanted = true;
    db->changed = true;
    mu_census_audit_drop(db); /* it would judge by the new labels, and follow by the old */
}

/* --- bringing the books up to date ----------------------------------------------------------- */

static int enter_marked(struct mu_db *db, uint32_t budget, uint32_t *spent)
{
    struct mu_books *b = db->books;
    uint32_t number;
    while (*spent < budget && mu_rowset_take(&b->rows_dirty, &number, 1) != 0) {
        int rc = mu_row_enter(db, number);
        if (rc != 0) {
            (void)mu_rowset_add(&b->rows_dirty, number);
            return rc;
        }
        *spent += 1 + mu_row_enter_rows(b);
    }
    while (*spent < budget && mu_rowset_take(&b->pods_dirty, &number, 1) != 0) {
        int rc = number < db->pods.high ? pod_enter(db, number, spent) : 0;
        if (rc != 0) {
            (void)mu_rowset_add(&b->pods_dirty, number);
            return rc;
        }
    }
    return 0;
}

static void sweep(struct mu_db *db, uint32_t budget, uint32_t *spent)
{
    mu_class_sweep(db, budget, spent);
    mu_kin_sweep(db, budget, spent);
}

static uint32_t stage_bound(const struct mu_db *db, enum mu_stage stage)
{
    switch (stage) {
    case MU_STAGE_KEYS:
        return mu_model_class_bound(db->model) > db->gangs.high ? mu_model_class_bound(db->model)
                                                                : db->gangs.high;
    case MU_STAGE_ROWS:
        return mu_row_count(db);
    case MU_STAGE_KINS:
        return db->books->kin_bound;
    case MU_STAGE_PODS:
        return db->pods.high;
    case MU_STAGE_NONE:
        return 0;
    }
    return 0;
}

/* Whether a census that is being built lacks somebody. */
static bool any_missed(const struct mu_books *b)
{
    bool missed = false;
    for (uint32_t i = 0; i < b->censuses.high; i++)
        missed |= mu_census_at(b, i)->state == MU_CENSUS_BUILDING && mu_census_at(b, i)->missed;
    return missed;
}

static void set_states(struct mu_books *b, enum mu_census_state from, enum mu_census_state to)
{
    for (uint32_t i = 0; i < b->censuses.high; i++) {
        struct mu_census_rec *c = mu_census_at(b, i);
        if (c->refs == 0 || c->state != from)
            continue;
        c->state = (uint8_t)to;
        c->missed &= to != MU_CENSUS_COMPLETE;
    }
}

/* On to the next stage that has work; censuses that wait are taken on behind the keys. */
static void stage_next(struct mu_db *db)
{
    struct mu_books *b = db->books;
    b->cursor = 0;
    if (b->stage == MU_STAGE_NONE) {
        b->stage = MU_STAGE_KEYS;
        if (b->keys_moved) {
            b->keys_moved = false;
            return;
        }
    }
    if (b->stage == MU_STAGE_KEYS) {
        set_states(b, MU_CENSUS_WAITING, MU_CENSUS_BUILDING);
        b->waiting = 0;
        b->stage = MU_STAGE_ROWS;
        if (b->rows_wanted) {
            b->rows_wanted = false;
            return;
        }
    }
    if (b->stage == MU_STAGE_ROWS) {
        b->stage = MU_STAGE_KINS;
        b->changed_now = b->changed;
        b->changed = (struct mu_changed_namespaces){0};
        if (b->kins_wanted) {
            b->kins_wanted = false;
            return;
        }
    }
    if (b->stage == MU_STAGE_KINS) {
        b->stage = MU_STAGE_PODS;
        b->changed_now = (struct mu_changed_namespaces){0};
        if (any_missed(b))
            return;
    }
    set_states(b, MU_CENSUS_BUILDING, MU_CENSUS_COMPLETE);
    b->stage = MU_STAGE_NONE;
    db->term_generation++;
}

static int walk_one(struct mu_db *db, uint32_t number, uint32_t *spent)
{
    struct mu_books *b = db->books;
    int rc = 0;
    switch (b->stage) {
    case MU_STAGE_KEYS:
        rc = mu_class_keys_follow(db, number, spent);
        return rc != 0 ? rc : mu_gang_keys_follow(db, number);
    case MU_STAGE_ROWS:
        if (!mu_rowset_has(&b->rows_in, number))
            return 0;
        *spent += mu_row_enter_rows(b);
        return mu_row_enter(db, number);
    case MU_STAGE_KINS:
        return mu_kin_extend(db, number, spent);
    case MU_STAGE_PODS:
        if (!mu_rowset_has(&b->pods_in, number) || !is_counted(mu_pod_at(db, number)))
            return 0;
        rc = mu_census_each(db, number, mu_census_room, 1);
        return rc != 0 ? rc : mu_census_each(db, number, visit_found, 1);
    case MU_STAGE_NONE:
        break;
    }
    MU_UNREACHABLE("a walk has a stage");
}

static bool walk_wanted(const struct mu_books *b)
{
    return b->stage != MU_STAGE_NONE || b->waiting != 0 || b->rows_wanted || b->kins_wanted ||
           b->keys_moved;
}

static int walk(struct mu_db *db, uint32_t budget, uint32_t *spent)
{
    struct mu_books *b = db->books;
    uint32_t looked = 0;
    while (*spent < budget && walk_wanted(b)) {
        if (b->stage <= MU_STAGE_KEYS && b->to_clear.count != 0) { /* before they are built */
            mu_census_clear(db, budget, spent);
            continue;
        }
        if (b->cursor >= stage_bound(db, b->stage)) {
            stage_next(db);
            *spent += 1 + b->censuses.high / WALK_RATIO;
            continue;
        }
        int rc = walk_one(db, b->cursor, spent);
        if (rc != 0)
            return rc;
        b->cursor++;
        *spent += ++looked % WALK_RATIO == 0;
    }
    return 0;
}

int mu_census_refresh(struct mu_db *db, uint32_t budget, uint32_t *spent)
{
    if (db->books == NULL && db->books_wanted) {
        int rc = mu_census_open(db);
        if (rc != 0)
            return rc;
    }
    struct mu_books *b = db->books;
    if (b == NULL)
        return 0;
    int rc = enter_marked(db, budget, spent);
    if (rc != 0 || b->rows_dirty.count + b->pods_dirty.count != 0)
        return rc;
    sweep(db, budget, spent);
    rc = walk(db, budget, spent);
    if (rc == 0)
        rc = mu_kin_refresh(db, budget, spent);
    return rc;
}

uint64_t mu_census_backlog(const struct mu_db *db)
{
    const struct mu_books *b = db->books;
    if (b == NULL)
        return db->books_wanted;
    uint64_t left = (uint64_t)b->rows_dirty.count + b->pods_dirty.count + b->kins_idle.count +
                    b->classes_idle.count + b->kins_stale.count;
    /* What leaves one of these may come to kins_stale: each counts twice, so that it shrinks. */
    left += 2 * b->matches_left + b->to_touch.count + b->to_drop.count + b->clear_left / WALK_RATIO;
    /* All stages from the start, so that what is left only shrinks. */
    if (walk_wanted(b))
        left++;
    for (uint32_t s = b->stage + (b->stage == MU_STAGE_NONE); walk_wanted(b) && s <= MU_STAGE_PODS;
         s++)
        left += stage_bound(db, (enum mu_stage)s) - (s == (uint32_t)b->stage ? b->cursor : 0);
    return left;
}

/* --- life ------------------------------------------------------------------------------------ */

static int books_init(struct mu_db *db, struct mu_books *b)
{
    mu_topology_init(b);
    int rc = mu_label_keys_init(b);
    if (rc == 0)
        rc = mu_class_init(b);
    if (rc == 0)
        rc = mu_kin_init(b);
    if (rc == 0)
        rc = mu_rowset_reserve(&b->rows_in, mu_row_count(db));
    if (rc == 0)
        rc = mu_rowset_reserve(&b->rows_dirty, mu_row_count(db));
    if (rc == 0)
        rc = mu_rowset_reserve(&b->pods_in, db->pods.high);
    if (rc == 0)
        rc = mu_rowset_reserve(&b->pods_dirty, db->pods.high);
    return rc;
}

void mu_census_destroy(struct mu_db *db)
{
    struct mu_books *b = db->books;
    if (b == NULL)
        return;
    mu_census_audit_drop(db);
    mu_label_keys_fini(b);
    mu_kin_destroy_all(db);
    mu_topology_destroy_all(db);
    mu_class_destroy_all(db); /* last: it frees what all of them have shown */
    mu_rowset_fini(&b->pods_in);
    mu_rowset_fini(&b->pods_dirty);
    mu_rowset_fini(&b->rows_in);
    mu_rowset_fini(&b->rows_dirty);
    mu_mem_free(b);
    db->books = NULL;
}

int mu_census_open(struct mu_db *db)
{
    MU_ASSERT(db->books == NULL);
    struct mu_books *b = mu_mem_zalloc(sizeof *b);
    if (b == NULL)
        return MU_ENOMEM;
    db->books = b;
    int rc = books_init(db, b);
    if (rc != 0) {
        mu_census_destroy(db);
        return rc;
    }
    mu_rowset_fill(&b->rows_dirty, mu_row_count(db));
    mu_rowset_fill(&b->pods_dirty, db->pods.high);
    return 0;
}

int mu_census_pods_reserve(struct mu_db *db, uint32_t pods)
{
    if (db->books == NULL)
        return 0;
    int rc = mu_rowset_reserve(&db->books->pods_in, pods);
    return rc != 0 ? rc : mu_rowset_reserve(&db->books->pods_dirty, pods);
}

int mu_census_rows_reserve(struct mu_db *db, uint32_t rows)
{
    if (db->books == NULL)
        return 0;
    int rc = mu_rowset_reserve(&db->books->rows_in, rows);
    if (rc == 0)
        rc = mu_rowset_reserve(&db->books->rows_dirty, rows);
    if (rc == 0 && rows > mu_topology_cap(db, MU_TOPOLOGY_ROW))
        mu_topology_widened(db, MU_TOPOLOGY_ROW);
    return rc;
}
