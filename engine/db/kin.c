#include "engine/db/census_priv.h"

#include "engine/base/assert.h"
#include "engine/base/hash.h"
#include "engine/base/mem.h"

/*
 * Which matchers match which kins, as edges that are found from both sides.
 *
 * A kin's matches are found with its first pod, and completed when matchers arrive: each matcher
 * has a sequence number, and a kin knows all up to its own. Looking at every matcher for every kin
 * would be the product of two large numbers, so matchers hang on anchors, something that a kin must
 * have to be matched: a label (key, value) that some part asks for, else the only namespace of some
 * part, else nothing. A kin looks at the matchers of its labels, of its namespace, and at those
 * without an anchor. With Kubernetes' own selectors (app = x) that is about one for each match. Of
 * an anchor the newest matcher comes first, so that a kin which knows the older ones looks at the
 * new ones alone.
 *
 * Labels of namespaces can turn a matcher with a namespace selector either way. The kins of the
 * namespaces that changed look at those matchers again. Where a kin that is counted turns, the
 * censuses of the matcher begin anew: which of its pods were counted cannot be told any more.
 *
 * A namespace may have labels that are not known: more than are read. Whether a selector of
 * namespaces matches its pods cannot be told then, and counts as a match that the table had no room
 * for: neither what asks nor the pods are placed by it, until they have gone.
 *
 * What a session sees of it is a block per kin: the censuses of its matchers. It is made anew after
 * a match or a census has come or gone (`kins_stale`).
 *
 * A matcher may match a million kins, so nothing goes through all of its matches at once. Whose
 * kins are to be shown anew is noted (`to_touch`), with the match to go on from; so is a matcher
 * that nobody asks any more (`to_drop`): it matches nobody new, its matches go little by little,
 * and it keeps its number until they have. One that is asked again meanwhile is as one that is new,
 * and finds the matches that are left.
 */

/* What looking at one matcher costs, in copied rows: a record and its parts are cold. */
enum { LOOK_ROWS = 1, EDGES_PER_ROW = 4, LINK_LOOKS = 64, EDGE_SEGMENT_SHIFT = 10 };

static struct mu_edge *edge_at(const struct mu_books *b, uint32_t edge)
{
    return mu_slab_at(&b->edges, edge);
}

/* --- anchors --------------------------------------------------------------------------------- */

static uint32_t bucket_of(const struct mu_anchor *a)
{
    if (a->kind == MU_ANCHOR_ALWAYS)
        return MU_ANCHOR_BUCKETS;
    uint64_t hash = mu_hash_mix((uint64_t)a->key << 32 | a->value, a->kind);
    return (uint32_t)(hash >> 32) & (MU_ANCHOR_BUCKETS - 1);
}

/* A label is sharper than a namespace, and any part will do: all must match. */
static struct mu_anchor anchor_of(const struct mu_matcher *m)
{
    struct mu_anchor anchor = {.kind = MU_ANCHOR_ALWAYS};
    for (uint32_t i = 0; i < m->part_count; i++) {
        const struct mu_matcher_part *part = &m->parts[i];
        for (uint32_t r = 0; r < part->selector.count; r++) {
            const struct mu_requirement_item *item = &part->selector.items[r];
            if (item->op == MU_OP_IN && item->value_count == 1)
                return (struct mu_anchor){MU_ANCHOR_LABEL, item->key.v, item->values[0].v};
        }
        if (part->namespace_count == 1 && !part->has_namespace_selector)
            anchor = (struct mu_anchor){MU_ANCHOR_NAMESPACE, 0, part->namespaces[0].v};
    }
    return anchor;
}

static void anchor_link(struct mu_books *b, uint32_t matcher)
{
    struct mu_matcher_rec *m = mu_matcher_at(b, matcher);
    uint32_t *head = &b->anchors[bucket_of(&m->anchor)];
    m->prev = MU_NONE;
    m->next = *head;
    if (*head != MU_NONE)
        mu_matcher_at(b, *head)->prev = matcher;
    *head = matcher;
}

static void anchor_unlink(struct mu_books *b, uint32_t matcher)
{
    struct mu_matcher_rec *m = mu_matcher_at(b, matcher);
    if (m->prev != MU_NONE)
        mu_matcher_at(b, m->prev)->next = m->next;
    else
        b->anchors[bucket_of(&m->anchor)] = m->next;
    if (m->next != MU_NONE)
        mu_matcher_at(b, m->next)->prev = m->prev;
}

/* --- edges ----------------------------------------------------------------------------------- */

static void left_set(struct mu_books *b, struct mu_matcher_rec *m, uint32_t left)
{
    b->matches_left += left;
    b->matches_left -= m->left;
    m->left = left;
}

static void edge_drop(struct mu_books *b, uint32_t edge)
{
    const struct mu_edge *e = edge_at(b, edge);
    if (e->kin_prev != MU_NONE)
        edge_at(b, e->kin_prev)->kin_next = e->kin_next;
    else
        mu_kin_at(b, e->kin)->edges = e->kin_next;
    if (e->kin_next != MU_NONE)
        edge_at(b, e->kin_next)->kin_prev = e->kin_prev;
    struct mu_matcher_rec *m = mu_matcher_at(b, e->matcher);
    if (m->touch == edge)
        m->touch = e->matcher_next;
    m->edge_count--;
    if (m->left > 0)
        left_set(b, m, m->left - 1);
    if (e->matcher_prev != MU_NONE)
        edge_at(b, e->matcher_prev)->matcher_next = e->matcher_next;
    else
        m->edges = e->matcher_next;
    if (e->matcher_next != MU_NONE)
        edge_at(b, e->matcher_next)->matcher_prev = e->matcher_prev;
    (void)mu_rowset_add(&b->kins_stale, e->kin);
    mu_slab_give(&b->edges, edge);
}

/* A match is left out, and both sides say so: what asks the matcher, and the kin's pods, cannot be
 * judged. */
static void leave_out(struct mu_db *db, uint32_t kin, uint32_t matcher)
{
    struct mu_books *b = db->books;
    struct mu_matcher_rec *m = mu_matcher_at(b, matcher);
    db->counts.limit_reduced += !m->overflow;
    m->overflow = true;
    mu_kin_at(b, kin)->partial = true;
    (void)mu_rowset_add(&b->kins_stale, kin);
    for (uint32_t c = m->first; c != MU_NONE; c = mu_census_at(b, c)->next)
        mu_census_mark(db, c);
}

/* With the table full it is left out. */
static int edge_make(struct mu_db *db, uint32_t kin, uint32_t matcher)
{
    struct mu_books *b = db->books;
    struct mu_kin_rec *k = mu_kin_at(b, kin);
    struct mu_matcher_rec *m = mu_matcher_at(b, matcher);
    uint32_t edge = MU_NONE;
    int rc = mu_slab_take(&b->edges, &edge);
    if (rc == MU_ELIMIT) {
        leave_out(db, kin, matcher);
        return 0;
    }
    if (rc != 0)
        return rc;
    *edge_at(b, edge) = (struct mu_edge){.kin = kin,
                                         .matcher = matcher,
                                         .kin_next = k->edges,
                                         .kin_prev = MU_NONE,
                                         .matcher_next = m->edges,
                                         .matcher_prev = MU_NONE};
    if (k->edges != MU_NONE)
        edge_at(b, k->edges)->kin_prev = edge;
    if (m->edges != MU_NONE)
        edge_at(b, m->edges)->matcher_prev = edge;
    k->edges = edge;
    m->edges = edge;
    m->edge_count++;
    (void)mu_rowset_add(&b->kins_stale, kin);
    return 0;
}

static uint32_t edge_find(const struct mu_books *b, uint32_t kin, uint32_t matcher)
{
    uint32_t edge = mu_kin_at(b, kin)->edges;
    while (edge != MU_NONE && edge_at(b, edge)->matcher != matcher)
        edge = edge_at(b, edge)->kin_next;
    return edge;
}

bool mu_kin_matches(const struct mu_books *b, uint32_t kin, uint32_t matcher)
{
    return edge_find(b, kin, matcher) != MU_NONE;
}

/* --- matching -------------------------------------------------------------------------------- */

/* What a look at a kin is about. Before it, each matcher that matches the kin is told its edge: to
 * search among all the kin's edges for every matcher would be their product. */
struct look {
    uint64_t seq;    /* matchers above it are new to the kin */
    bool namespaces; /* those that depend on namespaces are looked at again */
    uint32_t *spent;
};

static void look_begin(struct mu_books *b, uint32_t kin)
{
    b->looks++;
    for (uint32_t e = mu_kin_at(b, kin)->edges; e != MU_NONE; e = edge_at(b, e)->kin_next) {
        struct mu_matcher_rec *m = mu_matcher_at(b, edge_at(b, e)->matcher);
        m->look = b->looks;
        m->edge = e;
    }
}

static bool matches(const struct mu_db *db, uint32_t kin, uint32_t matcher)
{
    return mu_matcher_matches(db->model,
                              mu_model_get_matcher(db->model, (struct mu_matcher_ix){matcher}),
                              mu_model_get_kin(db->model, (struct mu_kin_ix){kin}));
}

static bool untold(const struct mu_db *db, uint32_t kin, uint32_t matcher)
{
    return mu_matcher_untold(db->model,
                             mu_model_get_matcher(db->model, (struct mu_matcher_ix){matcher}),
                             mu_model_get_kin(db->model, (struct mu_kin_ix){kin}));
}

/* Pods of this kin were there before the match was known. */
static void note_missed(struct mu_books *b, uint32_t kin, uint32_t matcher)
{
    if (mu_kin_at(b, kin)->charged == 0)
        return;
    for (uint32_t c = mu_matcher_at(b, matcher)->first; c != MU_NONE; c = mu_census_at(b, c)->next)
        mu_census_at(b, c)->missed = true;
}

/* A kin turned: its counted pods are counted where they should not be, or the other way round. */
static void begin_anew(struct mu_db *db, uint32_t kin, uint32_t matcher)
{
    struct mu_books *b = db->books;
    if (mu_kin_at(b, kin)->charged == 0)
        return;
    for (uint32_t c = mu_matcher_at(b, matcher)->first; c != MU_NONE;
         c = mu_census_at(b, c)->next) {
        enum mu_census_kind kind = mu_census_at(b, c)->own.kind;
        if (kind == MU_CENSUS_MATCH || kind == MU_CENSUS_SPREAD)
            mu_census_reset(db, c);
    }
}

static int look_at(struct mu_db *db, uint32_t kin, uint32_t matcher, const struct look *look)
{
    struct mu_books *b = db->books;
    const struct mu_matcher_rec *m = mu_matcher_at(b, matcher);
    bool fresh = m->seq > look->seq;
    if (!fresh && !(look->namespaces && m->by_namespace))
        return 0;
    /* Also a new one may have an edge: a look that failed halfway is repeated, and a matcher that
     * is asked again after a while may have matches of before, which labels of namespaces have
     * turned since. */
    uint32_t edge = m->look == b->looks ? m->edge : MU_NONE;
    bool is = matches(db, kin, matcher);
    if (m->by_namespace && untold(db, kin, matcher))
        leave_out(db, kin, matcher);
    if (is == (edge != MU_NONE))
        return 0;
    if (!is) {
        edge_drop(b, edge);
        begin_anew(db, kin, matcher);
        return 0;
    }
    int rc = edge_make(db, kin, matcher);
    if (rc == 0 && fresh)
        note_missed(b, kin, matcher);
    else if (rc == 0)
        begin_anew(db, kin, matcher);
    return rc;
}

static int look_bucket(struct mu_db *db, uint32_t kin, struct mu_anchor anchor,
                       const struct look *look)
{
    struct mu_books *b = db->books;
    for (uint32_t matcher = b->anchors[bucket_of(&anchor)]; matcher != MU_NONE;) {
        const struct mu_matcher_rec *m = mu_matcher_at(b, matcher);
        if (!look->namespaces && m->seq <= look->seq)
            return 0; /* the newest come first: the kin knows all from here on */
        if (m->anchor.kind == anchor.kind && m->anchor.key == anchor.key &&
            m->anchor.value == anchor.value) {
            int rc = look_at(db, kin, matcher, look);
            if (rc != 0)
                return rc;
            *look->spent += LOOK_ROWS;
        }
        matcher = m->next;
    }
    return 0;
}

static int look_all(struct mu_db *db, uint32_t kin, const struct look *look)
{
    const struct mu_kin *content = mu_model_get_kin(db->model, (struct mu_kin_ix){kin});
    int rc = look_bucket(db, kin, (struct mu_anchor){.kind = MU_ANCHOR_ALWAYS}, look);
    if (rc == 0)
        rc = look_bucket(db, kin, (struct mu_anchor){MU_ANCHOR_NAMESPACE, 0, content->ns.v}, look);
    for (uint32_t i = 0; rc == 0 && i < content->labels.count; i++) {
        const struct mu_label_pair *pair = &content->labels.pairs[i];
        rc = look_bucket(db, kin, (struct mu_anchor){MU_ANCHOR_LABEL, pair->key.v, pair->value.v},
                         look);
    }
    return rc;
}

bool mu_kin_repair(struct mu_db *db, uint32_t kin, uint32_t matcher, uint32_t *spent)
{
    struct mu_books *b = db->books;
    uint32_t edge = mu_kin_at(b, kin)->edges;
    for (uint32_t looked = 1; edge != MU_NONE && edge_at(b, edge)->matcher != matcher; looked++) {
        edge = edge_at(b, edge)->kin_next;
        *spent += looked % EDGES_PER_ROW == 0;
    }
    bool is = matches(db, kin, matcher);
    if (is == (edge != MU_NONE) || mu_matcher_at(b, matcher)->overflow)
        return false;
    if (!is)
        edge_drop(b, edge);
    else if (edge_make(db, kin, matcher) != 0)
        return false; /* no memory: the next audit comes by */
    begin_anew(db, kin, matcher);
    return true;
}

/* --- matchers -------------------------------------------------------------------------------- */

int mu_matcher_obtain(struct mu_db *db, struct mu_matcher_ix matcher)
{
    struct mu_books *b = db->books;
    int rc = mu_pages_reserve(&b->matchers, matcher.v);
    if (rc == 0)
        rc = mu_rowset_reserve(&b->to_touch, matcher.v + 1);
    if (rc == 0)
        rc = mu_rowset_reserve(&b->to_drop, matcher.v + 1);
    if (rc != 0)
        return rc;
    struct mu_matcher_rec *m = mu_matcher_at(b, matcher.v);
    if (m->refs != 0) {
        m->refs++;
        return 0;
    }
    const struct mu_matcher *content = mu_model_get_matcher(db->model, matcher);
    bool known = mu_rowset_drop(&b->to_drop, matcher.v);
    if (known) {
        left_set(b, m, 0);
    } else {
        mu_model_matcher_ref(db->model, matcher);
        *m = (struct mu_matcher_rec){.edges = MU_NONE};
    }
    *m = (struct mu_matcher_rec){.seq = ++b->matcher_seq,
                                 .refs = 1,
                                 .first = MU_NONE,
                                 .edges = m->edges,
                                 .edge_count = m->edge_count,
                                 .touch = MU_NONE,
                                 .anchor = anchor_of(content)};
    for (uint32_t i = 0; i < content->part_count; i++)
        m->by_namespace |= content->parts[i].has_namespace_selector;
    anchor_link(b, matcher.v);
    b->kins_wanted = true;
    return 0;
}

void mu_matcher_release(struct mu_db *db, struct mu_matcher_ix matcher)
{
    struct mu_books *b = db->books;
    struct mu_matcher_rec *m = mu_matcher_at(b, matcher.v);
    MU_ASSERT(m->refs > 0);
    if (--m->refs != 0)
        return;
    MU_ASSERT(m->first == MU_NONE);
    anchor_unlink(b, matcher.v);
    (void)mu_rowset_drop(&b->to_touch, matcher.v); /* its matches go, and their kins are told */
    m->touch = MU_NONE;
    left_set(b, m, m->edge_count);
    (void)mu_rowset_add(&b->to_drop, matcher.v);
}

/* Its matches go, until the budget is spent; with the last one its record. */
static void drop_some(struct mu_db *db, uint32_t matcher, uint32_t budget, uint32_t *spent)
{
    struct mu_books *b = db->books;
    struct mu_matcher_rec *m = mu_matcher_at(b, matcher);
    for (uint32_t dropped = 1; m->edges != MU_NONE && *spent < budget; dropped++) {
        edge_drop(b, m->edges);
        *spent += dropped % EDGES_PER_ROW == 0;
    }
    *spent += 1;
    if (m->edges != MU_NONE)
        return;
    MU_ASSERT(m->edge_count == 0 && m->left == 0);
    (void)mu_rowset_drop(&b->to_drop, matcher);
    *m = (struct mu_matcher_rec){0};
    mu_model_matcher_unref(db->model, (struct mu_matcher_ix){matcher}, db->reach);
}

/* A census has come or gone: the blocks of the kins that it is about are no longer true. */
static void touch_kins(struct mu_books *b, uint32_t matcher)
{
    struct mu_matcher_rec *m = mu_matcher_at(b, matcher);
    m->touch = m->edges;
    left_set(b, m, m->edge_count);
    if (m->edges != MU_NONE)
        (void)mu_rowset_add(&b->to_touch, matcher);
}

static void touch_some(struct mu_books *b, uint32_t matcher, uint32_t budget, uint32_t *spent)
{
    struct mu_matcher_rec *m = mu_matcher_at(b, matcher);
    for (uint32_t touched = 1; m->touch != MU_NONE && *spent < budget; touched++) {
        (void)mu_rowset_add(&b->kins_stale, edge_at(b, m->touch)->kin);
        m->touch = edge_at(b, m->touch)->matcher_next;
        left_set(b, m, m->left > 0 ? m->left - 1 : 0);
        *spent += touched % EDGES_PER_ROW == 0;
    }
    *spent += 1;
    if (m->touch != MU_NONE)
        return;
    left_set(b, m, 0);
    (void)mu_rowset_drop(&b->to_touch, matcher);
}

void mu_matcher_link(struct mu_db *db, uint32_t census)
{
    struct mu_books *b = db->books;
    struct mu_census_rec *c = mu_census_at(b, census);
    struct mu_matcher_rec *m = mu_matcher_at(b, c->own.matcher.v);
    c->next = m->first;
    m->first = census;
    /* With many of them, somebody is there already, most likely. */
    c->missed = m->edge_count > LINK_LOOKS;
    for (uint32_t e = m->edges; e != MU_NONE && !c->missed; e = edge_at(b, e)->matcher_next)
        c->missed = mu_kin_at(b, edge_at(b, e)->kin)->charged != 0;
    touch_kins(b, c->own.matcher.v);
}

void mu_matcher_unlink(struct mu_db *db, uint32_t census)
{
    struct mu_books *b = db->books;
    struct mu_matcher_rec *m = mu_matcher_at(b, mu_census_at(b, census)->own.matcher.v);
    uint32_t *link = &m->first;
    while (*link != census) {
        MU_ASSERT(*link != MU_NONE);
        link = &mu_census_at(b, *link)->next;
    }
    *link = mu_census_at(b, census)->next;
    touch_kins(b, mu_census_at(b, census)->own.matcher.v);
}

/* --- kins ------------------------------------------------------------------------------------ */

/* Forget a kin that no pod is of. */
static void kin_forget(struct mu_db *db, uint32_t kin)
{
    struct mu_books *b = db->books;
    struct mu_kin_rec *k = mu_kin_at(b, kin);
    MU_ASSERT(k->used && k->uses == 0 && k->charged == 0);
    while (k->edges != MU_NONE)
        edge_drop(b, k->edges);
    mu_shown_release(db, k->block);
    if (k->block != NULL)
        mu_kin_mark(db, kin);
    (void)mu_rowset_drop(&b->kins_stale, kin);
    *k = (struct mu_kin_rec){.edges = MU_NONE};
    mu_model_kin_unref(db->model, (struct mu_kin_ix){kin}, db->reach);
}

int mu_kin_enter(struct mu_db *db, struct mu_kin_ix kin, uint32_t *spent)
{
    struct mu_books *b = db->books;
    int rc = mu_pages_reserve(&b->kins, kin.v);
    if (rc == 0 && mu_kin_at(b, kin.v)->used) {
        if (mu_kin_at(b, kin.v)->uses++ == 0)
            (void)mu_rowset_drop(&b->kins_idle, kin.v);
        return 0;
    }
    if (rc == 0)
        rc = mu_rowset_reserve(&b->kins_idle, kin.v + 1);
    if (rc == 0)
        rc = mu_rowset_reserve(&b->kins_stale, kin.v + 1);
    if (rc == 0)
        rc = mu_kin_marks_reserve(db, kin.v);
    if (rc != 0)
        return rc;
    struct mu_kin_rec *k = mu_kin_at(b, kin.v);
    *k = (struct mu_kin_rec){.ns = mu_model_get_kin(db->model, kin)->ns,
                             .edges = MU_NONE,
                             .seq = b->matcher_seq,
                             .used = true};
    mu_model_kin_ref(db->model, kin);
    look_begin(b, kin.v); /* it has none */
    rc = look_all(db, kin.v, &(struct look){.spent = spent});
    if (rc != 0) {
        kin_forget(db, kin.v);
        return rc;
    }
    k->uses = 1;
    if (kin.v >= b->kin_bound)
        b->kin_bound = kin.v + 1;
    return 0;
}

void mu_kin_exit(struct mu_db *db, struct mu_kin_ix kin)
{
    struct mu_books *b = db->books;
    struct mu_kin_rec *k = mu_kin_at(b, kin.v);
    MU_ASSERT(k->used && k->uses > 0);
    if (--k->uses == 0)
        (void)mu_rowset_add(&b->kins_idle, kin.v);
}

static bool ns_changed(const struct mu_changed_namespaces *changed, struct mu_symbol ns)
{
    for (uint32_t i = 0; i < changed->count; i++)
        if (changed->ns[i].v == ns.v)
            return true;
    return changed->all;
}

int mu_kin_extend(struct mu_db *db, uint32_t kin, uint32_t *spent)
{
    struct mu_books *b = db->books;
    struct mu_kin_rec *k = mu_kin_at(b, kin);
    if (k == NULL || !k->used)
        return 0;
    struct look look = {.seq = k->seq, .namespaces = ns_changed(&b->changed_now, k->ns)};
    look.spent = spent;
    if (k->seq == b->matcher_seq && !look.namespaces)
        return 0;
    look_begin(b, kin);
    int rc = look_all(db, kin, &look);
    if (rc == 0)
        k->seq = b->matcher_seq;
    return rc;
}

void mu_kin_sweep(struct mu_db *db, uint32_t budget, uint32_t *spent)
{
    struct mu_books *b = db->books;
    uint32_t kin;
    while (*spent < budget && mu_rowset_take(&b->kins_idle, &kin, 1) != 0) {
        kin_forget(db, kin);
        *spent += LOOK_ROWS;
    }
    while (b->kin_bound != 0) {
        const struct mu_kin_rec *k = mu_kin_at(b, b->kin_bound - 1);
        if (k != NULL && k->used)
            break;
        b->kin_bound--;
        *spent += 1;
        if (*spent >= budget)
            break;
    }
}

/* --- shown blocks ---------------------------------------------------------------------------- */

static bool is_shown(const struct mu_census *c, enum mu_census_kind kind)
{
    return c->kind == kind && !c->counts_none;
}

/* The censuses of one kind, into `out` unless it is NULL. Returns how many. */
static uint32_t collect(const struct mu_books *b, uint32_t kin, enum mu_census_kind kind,
                        struct mu_census_ix *out)
{
    uint32_t count = 0;
    for (uint32_t e = mu_kin_at(b, kin)->edges; e != MU_NONE; e = edge_at(b, e)->kin_next) {
        uint32_t c = mu_matcher_at(b, edge_at(b, e)->matcher)->first;
        for (; c != MU_NONE; c = mu_census_at(b, c)->next) {
            if (!is_shown(&mu_census_at(b, c)->own, kind))
                continue;
            if (out != NULL)
                out[count].v = c;
            count++;
        }
    }
    return count;
}

static int kin_show(struct mu_db *db, uint32_t kin, uint32_t *spent)
{
    struct mu_books *b = db->books;
    struct mu_kin_rec *k = mu_kin_at(b, kin);
    uint32_t match = collect(b, kin, MU_CENSUS_MATCH, NULL);
    uint32_t spread = collect(b, kin, MU_CENSUS_SPREAD, NULL);
    uint32_t carry = collect(b, kin, MU_CENSUS_CARRY, NULL);
    struct mu_kin_census *block = NULL;
    *spent += 1 + (match + spread + carry) / 4;
    if (match + spread + carry != 0 || k->partial) {
        block =
            mu_shown_alloc(sizeof *block + (match + spread + carry) * sizeof(struct mu_census_ix));
        if (block == NULL)
            return MU_ENOMEM;
        struct mu_census_ix *list = (struct mu_census_ix *)(block + 1);
        *block = (struct mu_kin_census){.partial = k->partial,
                                        .match_count = match,
                                        .spread_count = spread,
                                        .carry_count = carry,
                                        .match = list,
                                        .spread = list + match,
                                        .carry = list + match + spread};
        (void)collect(b, kin, MU_CENSUS_MATCH, list);
        (void)collect(b, kin, MU_CENSUS_SPREAD, list + match);
        (void)collect(b, kin, MU_CENSUS_CARRY, list + match + spread);
    }
    mu_shown_release(db, k->block);
    k->block = block;
    mu_kin_mark(db, kin);
    return 0;
}

int mu_kin_refresh(struct mu_db *db, uint32_t budget, uint32_t *spent)
{
    struct mu_books *b = db->books;
    while (b->to_drop.count != 0 && *spent < budget)
        drop_some(db, mu_rowset_next(&b->to_drop, 0), budget, spent);
    while (b->to_touch.count != 0 && *spent < budget)
        touch_some(b, mu_rowset_next(&b->to_touch, 0), budget, spent);
    while (b->kins_stale.count != 0 && *spent < budget) {
        uint32_t kin = mu_rowset_next(&b->kins_stale, 0);
        int rc = kin_show(db, kin, spent);
        if (rc != 0)
            return rc;
        (void)mu_rowset_drop(&b->kins_stale, kin);
    }
    return 0;
}

/* --- life ------------------------------------------------------------------------------------ */

int mu_kin_init(struct mu_books *b)
{
    mu_slab_init(&b->edges, sizeof(struct mu_edge), EDGE_SEGMENT_SHIFT, MU_MATCHES_MAX);
    b->anchors = mu_mem_alloc((MU_ANCHOR_BUCKETS + 1) * sizeof *b->anchors);
    if (b->anchors == NULL)
        return MU_ENOMEM;
    for (uint32_t i = 0; i <= MU_ANCHOR_BUCKETS; i++)
        b->anchors[i] = MU_NONE;
    int rc = mu_pages_init(&b->matchers, MU_MATCHERS_MAX, sizeof(struct mu_matcher_rec));
    return rc != 0 ? rc : mu_pages_init(&b->kins, MU_KINS_MAX, sizeof(struct mu_kin_rec));
}

void mu_kin_destroy_all(struct mu_db *db)
{
    struct mu_books *b = db->books;
    for (uint32_t i = 0; i < b->kin_bound; i++) {
        const struct mu_kin_rec *k = mu_kin_at(b, i);
        if (k != NULL)
            mu_shown_release(db, k->block);
    }
    mu_slab_fini(&b->edges);
    mu_pages_fini(&b->matchers);
    mu_pages_fini(&b->kins);
    mu_rowset_fini(&b->kins_idle);
    mu_rowset_fini(&b->kins_stale);
    mu_rowset_fini(&b->to_touch);
    mu_rowset_fini(&b->to_drop);
    mu_mem_free(b->anchors);
}
