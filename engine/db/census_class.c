#include "engine/db/census_priv.h"

#include "engine/base/assert.h"
#include "engine/base/hash.h"
#include "engine/base/mem.h"

/*
 * Classes in the books, and the censuses that they ask for.
 *
 * A class with rules has a block of census numbers from its first pod to the sweep after its last:
 * for each term one census of those it matches and one of those that carry it, for each spread and
 * for each port one. Censuses are shared: equal content, one census, with a reference for each
 * number in a block. A census holds its key, its field and its matcher.
 *
 * Where a table is full the number is MU_CENSUS_NONE, that of topology keys MU_CENSUS_NO_KEY: the
 * class can be had and counted, and whoever would place its pods sees that the rule cannot be
 * judged. Of topology keys some are kept back for what is required. A rule over a key that no node
 * carries has MU_CENSUS_VOID and needs none of this; when such keys come and go, or numbers of keys
 * become free, the classes concerned get their block anew (mu_class_keys_follow).
 */
enum {
    CENSUS_SEGMENT_SHIFT = 6,
    CLASS_ROWS = 16,   /* what a new class costs, in copied rows, besides its rules */
    RULES_PER_ROW = 4, /* looked at */
    CLEARED_PER_ROW = 16
};

/* --- censuses -------------------------------------------------------------------------------- */

static uint64_t content_hash(const struct mu_census *c)
{
    uint64_t hash = mu_hash_mix((uint64_t)c->kind << 32 | c->topology, c->matcher.v);
    hash = mu_hash_mix(hash, (uint64_t)c->term << 32 | (uint32_t)c->weight);
    hash = mu_hash_mix(hash, c->keys);
    hash = mu_hash_mix(hash, (uint64_t)c->affinity.v << 32 | c->tolerance.v);
    hash =
        mu_hash_mix(hash, (uint64_t)c->honor_taints << 2 | (uint64_t)c->counts_none << 1 | c->firm);
    hash = mu_hash_mix(hash, (uint64_t)c->port.ip.v << 32 | c->port.port);
    return mu_hash_mix(hash, c->port.protocol);
}
static bool content_equal(const struct mu_census *a, const struct mu_census *b)
{
    return a->kind == b->kind && a->topology == b->topology && a->matcher.v == b->matcher.v &&
           a->term == b->term && a->weight == b->weight && a->keys == b->keys &&
           a->affinity.v == b->affinity.v && a->tolerance.v == b->tolerance.v &&
           a->honor_taints == b->honor_taints && a->counts_none == b->counts_none &&
           a->firm == b->firm && a->port.ip.v == b->port.ip.v && a->port.port == b->port.port &&
           a->port.protocol == b->port.protocol;
}
static bool census_equal(const void *context, uint32_t census, const void *key)
{
    return content_equal(&mu_census_at(context, census)->own, key);
}
static uint64_t census_hash(const void *context, uint32_t census)
{
    return content_hash(&mu_census_at(context, census)->own);
}

/* What a census holds besides its record, in the order in which it is taken. */
enum { HAVE_TOPOLOGY = 1, HAVE_FIELD = 2, HAVE_MATCHER = 4 };

static void parts_release(struct mu_db *db, const struct mu_census *own, uint32_t field,
                          unsigned have)
{
    if ((have & HAVE_MATCHER) != 0)
        mu_matcher_release(db, own->matcher);
    if ((have & HAVE_FIELD) != 0)
        mu_field_unref(db, field);
    if ((have & HAVE_TOPOLOGY) != 0)
        mu_topology_unref(db, own->topology);
}
static unsigned parts_of(const struct mu_census *own)
{
    if (own->kind == MU_CENSUS_PORT)
        return 0;
    return own->kind == MU_CENSUS_SPREAD ? HAVE_TOPOLOGY | HAVE_FIELD | HAVE_MATCHER
                                         : HAVE_TOPOLOGY | HAVE_MATCHER;
}

static int census_make(struct mu_db *db, const struct mu_census *want, uint32_t *out)
{
    struct mu_books *b = db->books;
    uint32_t number = MU_NONE;
    uint32_t field = MU_NONE;
    uint32_t cells = mu_topology_cap(db, want->topology);
    unsigned need = parts_of(want);
    unsigned have = 0;
    if (b->cells + cells > MU_CENSUS_CELLS_MAX)
        return MU_ELIMIT;
    int rc = mu_slab_take(&b->censuses, &number);
    if (rc != 0)
        return rc;
    rc = mu_census_marks_reserve(db, number);
    if (rc == 0)
        rc = mu_rowset_reserve(&b->to_clear, number + 1);
    if (rc == 0 && (need & HAVE_TOPOLOGY) != 0) {
        mu_topology_ref(db, want->topology);
        have |= HAVE_TOPOLOGY;
    }
    if (rc == 0 && (need & HAVE_FIELD) != 0) {
        rc = mu_field_obtain(db, want, &field);
        have |= rc == 0 ? HAVE_FIELD : 0;
    }
    if (rc == 0 && (need & HAVE_MATCHER) != 0) {
        rc = mu_matcher_obtain(db, want->matcher);
        have |= rc == 0 ? HAVE_MATCHER : 0;
    }
    struct mu_census_rec *c = mu_census_at(b, number);
    *c = (struct mu_census_rec){.own = *want,
                                .refs = 1,
                                .next = MU_NONE,
                                .field = field,
                                .cells = cells,
                                .state = MU_CENSUS_COMPLETE};
    if (rc == 0)
        rc = mu_index_insert(b->census_by_content, content_hash(want), number);
    if (rc != 0) {
        *c = (struct mu_census_rec){0};
        parts_release(db, want, field, have);
        mu_slab_give(&b->censuses, number);
        return rc;
    }
    c->own.id = ++b->id_last;
    b->cells += cells;
    if (want->kind == MU_CENSUS_PORT) {
        uint32_t *head = &b->ports[want->port.port % MU_PORT_BUCKETS];
        c->next = *head;
        *head = number;
    } else {
        /* The pods that use a port enter with the class that asks for it: nobody is there yet. */
        c->state = MU_CENSUS_WAITING;
        b->waiting++;
        mu_matcher_link(db, number);
    }
    mu_census_mark(db, number);
    *out = number;
    return 0;
}

/* The census of this content, one reference more. Errors: MU_ENOMEM, MU_ELIMIT. */
static int census_obtain(struct mu_db *db, const struct mu_census *want, uint32_t *out)
{
    struct mu_books *b = db->books;
    uint32_t known = mu_index_find(b->census_by_content, content_hash(want), want);
    if (known == MU_INDEX_NONE)
        return census_make(db, want, out);
    mu_census_at(b, known)->refs++;
    *out = known;
    return 0;
}

static void port_unlink(struct mu_books *b, uint32_t census)
{
    const struct mu_census_rec *c = mu_census_at(b, census);
    uint32_t *link = &b->ports[c->own.port.port % MU_PORT_BUCKETS];
    while (*link != census) {
        MU_ASSERT(*link != MU_NONE);
        link = &mu_census_at(b, *link)->next;
    }
    *link = c->next;
}

/* Not in `to_clear` any more. */
static void clear_end(struct mu_books *b, uint32_t census)
{
    struct mu_census_rec *c = mu_census_at(b, census);
    if (!mu_rowset_drop(&b->to_clear, census))
        return;
    MU_ASSERT(b->clear_left >= c->own.domain_count - c->cleared);
    b->clear_left -= c->own.domain_count - c->cleared;
    c->cleared = 0;
}

static void census_release(struct mu_db *db, uint32_t census)
{
    struct mu_books *b = db->books;
    struct mu_census_rec *c = mu_census_at(b, census);
    MU_ASSERT(c->refs > 0);
    if (--c->refs != 0)
        return;
    const struct mu_census own = c->own;
    uint32_t field = c->field;
    b->waiting -= c->state == MU_CENSUS_WAITING;
    if (own.kind != MU_CENSUS_PORT)
        mu_matcher_unlink(db, census);
    else
        port_unlink(b, census);
    mu_index_remove(b->census_by_content, content_hash(&own), census);
    b->cells -= c->cells;
    clear_end(b, census);
    mu_mem_free(own.counts);
    *c = (struct mu_census_rec){0};
    mu_census_mark(db, census);
    mu_slab_give(&b->censuses, census);
    parts_release(db, &own, field, parts_of(&own));
}

void mu_census_reset(struct mu_db *db, uint32_t census)
{
    struct mu_books *b = db->books;
    struct mu_census_rec *c = mu_census_at(b, census);
    b->waiting += c->state != MU_CENSUS_WAITING;
    c->state = MU_CENSUS_WAITING;
    c->missed = true;
    c->own.total = 0;
    c->least_known = false;
    /* Who waits counts nobody: nothing is added to what is cleared. */
    if (mu_rowset_add(&b->to_clear, census))
        b->clear_left += c->own.domain_count;
    else
        b->clear_left += c->cleared;
    c->cleared = 0;
    mu_census_mark(db, census);
}

void mu_census_clear(struct mu_db *db, uint32_t budget, uint32_t *spent)
{
    struct mu_books *b = db->books;
    while (b->to_clear.count != 0 && *spent < budget) {
        uint32_t census = mu_rowset_next(&b->to_clear, 0);
        struct mu_census_rec *c = mu_census_at(b, census);
        for (; c->cleared < c->own.domain_count && *spent < budget; c->cleared++) {
            b->clear_left--;
            *spent += c->cleared % CLEARED_PER_ROW == 0;
            if (c->own.counts[c->cleared] == 0)
                continue;
            c->own.counts[c->cleared] = 0;
            mu_census_mark_cell(db, census, c->cleared);
        }
        *spent += 1;
        if (c->cleared == c->own.domain_count)
            clear_end(b, census);
    }
}

/* --- classes --------------------------------------------------------------------------------- */

/* The lists of a class's block while they are being filled. */
struct lists {
    struct mu_census_ix *terms, *spreads, *ports, *carry;
    uint32_t term_count, spread_count, port_count, carry_count;
};

static void lists_release(struct mu_db *db, const struct lists *l)
{
    const struct mu_census_ix *const all[] = {l->terms, l->spreads, l->ports, l->carry};
    const uint32_t counts[] = {l->term_count, l->spread_count, l->port_count, l->carry_count};
    for (uint32_t k = 0; k < 4; k++)
        for (uint32_t i = 0; i < counts[k]; i++)
            if (mu_census_is(all[k][i]))
                census_release(db, all[k][i].v);
}

/* Add to a list what the census of this content is. A full table leaves MU_CENSUS_NONE. */
static int list_add(struct mu_db *db, const struct mu_census *want, struct mu_census_ix *list,
                    uint32_t *count)
{
    uint32_t number = MU_CENSUS_NONE;
    int rc = census_obtain(db, want, &number);
    if (rc == MU_ELIMIT)
        db->counts.limit_reduced++;
    else if (rc != 0)
        return rc;
    list[(*count)++].v = number;
    return 0;
}

/* What a rule has for a census that can be had or need not be: 0 when it is one. */
static uint32_t key_lacks(const struct mu_books *b, struct mu_symbol key, bool required)
{
    if (!mu_label_key_carried(b, key))
        return MU_CENSUS_VOID;
    return mu_topology_known(b, key) || mu_topology_left(b, required) > 0 ? 0 : MU_CENSUS_NO_KEY;
}
static uint32_t term_lacks(const struct mu_books *b, const struct mu_term_item *t)
{
    return key_lacks(b, t->topology_key, t->kind <= MU_TERM_ANTI_AFFINITY);
}

/* The same of constraints of one hardness: a node must have the keys of all of them, so that one
 * key decides for all. */
static uint32_t spreads_lack(const struct mu_books *b, const struct mu_class *c, uint32_t begin,
                             uint32_t end)
{
    uint32_t fresh[MU_TOPOLOGIES_MAX]; /* keys without a number */
    uint32_t fresh_count = 0;
    const uint32_t left = mu_topology_left(b, begin < c->hard_spread_count);
    uint32_t lacks = 0;
    for (uint32_t i = begin; i < end && lacks != MU_CENSUS_VOID; i++) {
        const struct mu_symbol key = c->spreads[i].topology_key;
        bool seen = lacks != 0 || mu_topology_known(b, key);
        for (uint32_t k = 0; k < fresh_count && !seen; k++)
            seen = fresh[k] == key.v;
        if (!mu_label_key_carried(b, key))
            lacks = MU_CENSUS_VOID;
        else if (!seen && fresh_count == left)
            lacks = MU_CENSUS_NO_KEY;
        else if (!seen)
            fresh[fresh_count++] = key.v;
    }
    return lacks;
}

static void note_lack(struct mu_db *db, uint32_t lacks)
{
    if (lacks != MU_CENSUS_NO_KEY)
        return;
    db->counts.limit_reduced++;
    db->books->keys_short = true;
}

static int add_terms(struct mu_db *db, const struct mu_class *c, struct lists *l)
{
    int rc = 0;
    for (uint32_t i = 0; rc == 0 && i < c->term_count; i++) {
        const struct mu_term_item *t = &c->terms[i];
        struct mu_census want = {
            .kind = MU_CENSUS_MATCH, .matcher = t->matcher, .firm = t->kind == MU_TERM_AFFINITY};
        uint32_t lacks = term_lacks(db->books, t);
        if (lacks != 0) {
            note_lack(db, lacks);
            l->terms[l->term_count++].v = lacks;
            continue;
        }
        rc = mu_topology_obtain(db, t->topology_key, t->kind <= MU_TERM_ANTI_AFFINITY,
                                &want.topology);
        MU_ASSERT(rc != MU_ELIMIT);
        if (rc != 0)
            break;
        rc = list_add(db, &want, l->terms, &l->term_count);
        want.kind = MU_CENSUS_CARRY;
        want.firm = false;
        want.term = t->kind;
        want.weight = t->weight;
        if (rc == 0)
            rc = list_add(db, &want, l->carry, &l->carry_count);
        mu_topology_unref(db, want.topology); /* the censuses hold it */
    }
    return rc;
}

/* Constraints of one hardness. */
static int add_spreads(struct mu_db *db, const struct mu_class *c, struct lists *l, uint32_t begin,
                       uint32_t end)
{
    uint32_t topologies[MU_TOPOLOGIES_MAX];
    uint32_t topology_count = 0;
    uint64_t keys = 0;
    int rc = 0;
    const uint32_t lacks = spreads_lack(db->books, c, begin, end);
    note_lack(db, lacks);
    for (uint32_t i = begin; i < end && lacks != 0; i++)
        l->spreads[l->spread_count++].v = lacks;
    if (lacks != 0)
        return 0;
    for (uint32_t i = begin; rc == 0 && i < end; i++) {
        uint32_t number = MU_NONE;
        rc = mu_topology_obtain(db, c->spreads[i].topology_key, i < c->hard_spread_count, &number);
        MU_ASSERT(rc != MU_ELIMIT);
        if (rc == 0 && (keys >> number & 1) != 0)
            mu_topology_unref(db, number);
        else if (rc == 0)
            topologies[topology_count++] = number;
        keys |= rc == 0 ? UINT64_C(1) << number : 0;
    }
    for (uint32_t i = begin; rc == 0 && i < end; i++) {
        const struct mu_spread_item *s = &c->spreads[i];
        struct mu_census want = {.kind = MU_CENSUS_SPREAD,
                                 .matcher = s->matcher,
                                 .keys = keys,
                                 .affinity = {s->honor_affinity ? c->affinity.v : 0},
                                 .tolerance = {s->honor_taints ? c->tolerance.v : 0},
                                 .honor_taints = s->honor_taints,
                                 .counts_none = s->counts_none};
        for (uint32_t t = 0; t < topology_count; t++)
            if (db->books->topologies[topologies[t]].key.v == s->topology_key.v)
                want.topology = topologies[t];
        rc = list_add(db, &want, l->spreads, &l->spread_count);
    }
    for (uint32_t t = 0; t < topology_count; t++)
        mu_topology_unref(db, topologies[t]); /* the fields hold them */
    return rc;
}

/* `before`: the block that this one replaces, or NULL. The pods that use a port have entered by it:
 * what it had none for stays without. */
static int add_ports(struct mu_db *db, const struct mu_class *c,
                     const struct mu_class_census *before, struct lists *l)
{
    int rc = 0;
    for (uint32_t i = 0; rc == 0 && i < c->port_count; i++) {
        if (before != NULL && !mu_census_is(before->ports[i])) {
            l->ports[l->port_count++] = before->ports[i];
            continue;
        }
        struct mu_census want = {.kind = MU_CENSUS_PORT, .topology = MU_TOPOLOGY_ROW};
        want.port = c->ports[i];
        rc = list_add(db, &want, l->ports, &l->port_count);
    }
    return rc;
}

static int block_make(struct mu_db *db, const struct mu_class *c,
                      const struct mu_class_census *before, const struct mu_class_census **out)
{
    uint32_t count = 2 * c->term_count + c->spread_count + c->port_count;
    struct mu_class_census *block =
        mu_shown_alloc(sizeof *block + count * sizeof(struct mu_census_ix));
    if (block == NULL)
        return MU_ENOMEM;
    struct lists l = {.terms = (struct mu_census_ix *)(block + 1)};
    l.spreads = l.terms + c->term_count;
    l.ports = l.spreads + c->spread_count;
    l.carry = l.ports + c->port_count;
    int rc = add_terms(db, c, &l);
    if (rc == 0)
        rc = add_spreads(db, c, &l, 0, c->hard_spread_count);
    if (rc == 0)
        rc = add_spreads(db, c, &l, c->hard_spread_count, c->spread_count);
    if (rc == 0)
        rc = add_ports(db, c, before, &l);
    if (rc != 0) {
        lists_release(db, &l);
        mu_shown_cancel(block);
        return rc;
    }
    *block = (struct mu_class_census){.terms = l.terms,
                                      .spreads = l.spreads,
                                      .ports = l.ports,
                                      .carry_count = l.carry_count,
                                      .carry = l.carry};
    *out = block;
    return 0;
}

static void block_release(struct mu_db *db, const struct mu_class *c,
                          const struct mu_class_census *block)
{
    const struct lists l = {.terms = (struct mu_census_ix *)(uintptr_t)block->terms,
                            .spreads = (struct mu_census_ix *)(uintptr_t)block->spreads,
                            .ports = (struct mu_census_ix *)(uintptr_t)block->ports,
                            .carry = (struct mu_census_ix *)(uintptr_t)block->carry,
                            .term_count = c->term_count,
                            .spread_count = c->spread_count,
                            .port_count = c->port_count,
                            .carry_count = block->carry_count};
    lists_release(db, &l);
    mu_shown_release(db, block);
}

/* The topology key of a class's rule: terms first, then spreads. */
static struct mu_symbol rule_key(const struct mu_class *c, uint32_t rule)
{
    return rule < c->term_count ? c->terms[rule].topology_key
                                : c->spreads[rule - c->term_count].topology_key;
}
static void keys_unask(struct mu_books *b, const struct mu_class *c, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        mu_label_key_unask(b, rule_key(c, i));
}
static int keys_ask(struct mu_books *b, const struct mu_class *c)
{
    for (uint32_t i = 0; i < c->term_count + c->spread_count; i++) {
        if (mu_label_key_ask(b, rule_key(c, i)) == 0)
            continue;
        keys_unask(b, c, i);
        return MU_ENOMEM;
    }
    return 0;
}

/* The first pod of a class with rules: its censuses and its block. */
static int class_make(struct mu_db *db, const struct mu_class *c, struct mu_class_ix class_ix)
{
    struct mu_books *b = db->books;
    int rc = mu_rowset_reserve(&b->classes_idle, class_ix.v + 1);
    if (rc == 0)
        rc = mu_class_marks_reserve(db, class_ix.v);
    if (rc == 0)
        rc = keys_ask(b, c);
    if (rc != 0)
        return rc;
    rc = block_make(db, c, NULL, &mu_class_at(b, class_ix)->block);
    if (rc != 0) {
        keys_unask(b, c, c->term_count + c->spread_count);
        return rc;
    }
    mu_model_class_ref(db->model, class_ix);
    mu_class_mark(db, class_ix.v);
    return 0;
}

/* What a rule has is not what it can have. */
static bool is_stale(struct mu_census_ix has, uint32_t lacks)
{
    return has.v != lacks &&
           (lacks == MU_CENSUS_VOID || has.v == MU_CENSUS_VOID || has.v == MU_CENSUS_NO_KEY);
}

/* Whether the block leaves a rule unjudged for want of a number. */
static bool block_is_short(const struct mu_class *c, const struct mu_class_census *block)
{
    bool is_short = false;
    for (uint32_t i = 0; i < c->term_count; i++)
        is_short |= block->terms[i].v == MU_CENSUS_NO_KEY;
    for (uint32_t i = 0; i < c->spread_count; i++)
        is_short |= block->spreads[i].v == MU_CENSUS_NO_KEY;
    return is_short;
}

static bool block_is_stale(const struct mu_books *b, const struct mu_class *c,
                           const struct mu_class_census *block)
{
    const uint32_t hard = c->hard_spread_count;
    for (uint32_t i = 0; i < c->term_count; i++)
        if (is_stale(block->terms[i], term_lacks(b, &c->terms[i])))
            return true;
    if (hard > 0 && is_stale(block->spreads[0], spreads_lack(b, c, 0, hard)))
        return true;
    return hard < c->spread_count &&
           is_stale(block->spreads[hard], spreads_lack(b, c, hard, c->spread_count));
}

static bool lists_carry(const struct mu_class_census *block, uint32_t census)
{
    for (uint32_t i = 0; i < block->carry_count; i++)
        if (block->carry[i].v == census)
            return true;
    return false;
}

/* Pods of the class are counted by its old block. In a census that only the old one carries there
 * is nobody: no row has its key. One that only the new one carries has yet to find them. */
int mu_class_keys_follow(struct mu_db *db, uint32_t class_number, uint32_t *spent)
{
    struct mu_books *b = db->books;
    const struct mu_class_ix class_ix = {class_number};
    struct mu_class_rec *rec =
        class_number < mu_model_class_bound(db->model) ? mu_class_at(b, class_ix) : NULL;
    if (rec == NULL || rec->block == NULL)
        return 0;
    const struct mu_class *c = mu_model_get_class(db->model, class_ix);
    const struct mu_class_census *before = rec->block;
    const struct mu_class_census *after = NULL;
    *spent += 1 + (c->term_count + c->spread_count) / RULES_PER_ROW;
    if (!block_is_stale(b, c, before)) {
        b->keys_short |= block_is_short(c, before);
        return 0;
    }
    int rc = block_make(db, c, before, &after);
    if (rc != 0)
        return rc;
    *spent += CLASS_ROWS + c->term_count + c->spread_count;
    for (uint32_t i = 0; i < after->carry_count; i++)
        if (mu_census_is(after->carry[i]) && !lists_carry(before, after->carry[i].v))
            mu_census_reset(db, after->carry[i].v);
    rec->block = after;
    block_release(db, c, before);
    mu_class_mark(db, class_number);
    return 0;
}

int mu_class_enter(struct mu_db *db, struct mu_class_ix class_ix, uint32_t *spent)
{
    struct mu_books *b = db->books;
    const struct mu_class *c = mu_model_get_class(db->model, class_ix);
    if (!mu_class_has_rules(c))
        return 0;
    int rc = mu_pages_reserve(&b->classes, class_ix.v);
    if (rc == 0 && mu_class_at(b, class_ix)->block == NULL) {
        *spent += CLASS_ROWS + c->term_count + c->spread_count + c->port_count;
        rc = class_make(db, c, class_ix);
    }
    if (rc == 0 && mu_class_at(b, class_ix)->uses++ == 0)
        (void)mu_rowset_drop(&b->classes_idle, class_ix.v);
    return rc;
}

void mu_class_exit(struct mu_db *db, struct mu_class_ix class_ix)
{
    struct mu_books *b = db->books;
    if (!mu_class_has_rules(mu_model_get_class(db->model, class_ix)))
        return;
    struct mu_class_rec *rec = mu_class_at(b, class_ix);
    MU_ASSERT(rec->uses > 0);
    if (--rec->uses == 0)
        (void)mu_rowset_add(&b->classes_idle, class_ix.v);
}

static void class_forget(struct mu_db *db, struct mu_class_ix class_ix)
{
    struct mu_class_rec *rec = mu_class_at(db->books, class_ix);
    const struct mu_class *c = mu_model_get_class(db->model, class_ix);
    const struct mu_class_census *block = rec->block;
    MU_ASSERT(rec->uses == 0 && block != NULL);
    block_release(db, c, block);
    keys_unask(db->books, c, c->term_count + c->spread_count);
    *rec = (struct mu_class_rec){0};
    mu_class_mark(db, class_ix.v);
    mu_model_class_unref(db->model, class_ix, db->reach);
}

void mu_class_sweep(struct mu_db *db, uint32_t budget, uint32_t *spent)
{
    uint32_t number;
    while (*spent < budget && mu_rowset_take(&db->books->classes_idle, &number, 1) != 0) {
        class_forget(db, (struct mu_class_ix){number});
        *spent += CLASS_ROWS;
    }
}

int mu_class_init(struct mu_books *b)
{
    mu_slab_init(&b->censuses, sizeof(struct mu_census_rec), CENSUS_SEGMENT_SHIFT, MU_CENSUSES_MAX);
    for (uint32_t i = 0; i < MU_PORT_BUCKETS; i++)
        b->ports[i] = MU_NONE;
    b->census_by_content = mu_index_create(0, census_equal, census_hash, b);
    if (b->census_by_content == NULL)
        return MU_ENOMEM;
    return mu_pages_init(&b->classes, MU_CLASSES_MAX, sizeof(struct mu_class_rec));
}

void mu_class_destroy_all(struct mu_db *db)
{
    struct mu_books *b = db->books;
    uint32_t class_bound = mu_model_class_bound(db->model);
    for (uint32_t i = 0; b->classes.pages != NULL && i < class_bound; i++) {
        const struct mu_class_rec *rec = mu_pages_at(&b->classes, i);
        if (rec != NULL)
            mu_shown_release(db, rec->block);
    }
    for (uint32_t i = 0; i < b->censuses.high; i++)
        mu_mem_free(mu_census_at(b, i)->own.counts); /* NULL in a free record */
    mu_slab_fini(&b->censuses);
    mu_index_destroy(b->census_by_content);
    mu_pages_fini(&b->classes);
    mu_rowset_fini(&b->classes_idle);
    mu_rowset_fini(&b->to_clear);
}
