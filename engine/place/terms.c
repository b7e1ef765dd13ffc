#include "engine/place/terms.h"

#include <string.h>

#include "engine/base/assert.h"
#include "engine/base/bitset.h"
#include "engine/base/mem.h"
#include "engine/place/terms_priv.h"

/* Counts are looked at for about the cost of one requirement of a selector. */
#define CELLS_PER_LOOK 8u

/* ---- lifetime ----------------------------------------------------------------------------- */

struct mu_terms *mu_terms_create(void)
{
    struct mu_terms *terms = mu_mem_zalloc(sizeof *terms);
    if (terms != NULL)
        mu_domains_init(&terms->domains);
    return terms;
}

void mu_terms_drop(struct mu_terms *terms)
{
    MU_ASSERT(terms->snapshot == NULL);
    mu_views_drop(terms);
    mu_sums_drop(terms);
    for (uint32_t c = 0; c < terms->tracked_cap; c++) {
        mu_mem_free(terms->tracked[c]);
        terms->tracked[c] = NULL;
    }
    mu_domains_drop(&terms->domains);
}

void mu_terms_destroy(struct mu_terms *terms)
{
    if (terms == NULL)
        return;
    mu_terms_drop(terms);
    mu_domains_fini(&terms->domains);
    mu_mem_free(terms->tracked);
    mu_mem_free(terms->views);
    mu_mem_free(terms->ports);
    mu_mask_cut_fini(&terms->cut);
    mu_mem_free(terms->judged.left);
    mu_mem_free(terms->away.rows);
    mu_mem_free(terms->raw);
    mu_mem_free(terms->bonus);
    mu_mem_free(terms);
}

void mu_terms_begin(struct mu_terms *terms, struct mu_snapshot *snapshot)
{
    MU_ASSERT(terms->snapshot == NULL);
    if (terms->model_serial != mu_model_serial(snapshot->model))
        mu_terms_drop(terms);
    terms->model_serial = mu_model_serial(snapshot->model);
    terms->snapshot = snapshot;
    terms->session++;
    terms->state = terms->last_state = 0;
    mu_domains_begin(&terms->domains, snapshot);
}

void mu_terms_end(struct mu_terms *terms)
{
    MU_ASSERT(terms->snapshot != NULL && terms->state == 0);
    terms->snapshot = NULL;
    terms->judged.rows = 0;
}

uint64_t mu_terms_looks(const struct mu_terms *terms)
{
    return terms->cells / CELLS_PER_LOOK;
}

uint64_t mu_terms_state(const struct mu_terms *terms)
{
    return terms->state;
}

void mu_terms_restore(struct mu_terms *terms, uint64_t state)
{
    MU_ASSERT(state <= terms->state);
    terms->state = state;
}

/* ---- who asks, who counts ------------------------------------------------------------------- */

const struct mu_class_census *mu_terms_of_class(const struct mu_snapshot *s,
                                                struct mu_class_ix class_ix)
{
    return class_ix.v < s->class_census_count ? s->class_census[class_ix.v] : NULL;
}

const struct mu_kin_census *mu_terms_of_kin(const struct mu_snapshot *s, struct mu_kin_ix kin)
{
    return kin.v < s->kin_census_count ? s->kin_census[kin.v] : NULL;
}

bool mu_terms_concern(const struct mu_snapshot *snapshot, struct mu_class_ix class_ix,
                      struct mu_kin_ix kin)
{
    const struct mu_kin_census *k = mu_terms_of_kin(snapshot, kin);
    return mu_terms_of_class(snapshot, class_ix) != NULL ||
           (k != NULL && (k->carry_count > 0 || k->partial));
}

bool mu_terms_counted(const struct mu_snapshot *snapshot, struct mu_class_ix class_ix,
                      struct mu_kin_ix kin)
{
    return mu_terms_of_class(snapshot, class_ix) != NULL || mu_terms_of_kin(snapshot, kin) != NULL;
}

static bool contains(const struct mu_census_ix *list, uint32_t count, uint32_t census)
{
    for (uint32_t i = 0; i < count; i++)
        if (list[i].v == census)
            return true;
    return false;
}

/* Whether a pod of this kin is counted in a census of its own rules: it matches itself. */
static bool matches_itself(const struct mu_snapshot *s, struct mu_kin_ix kin, uint32_t census)
{
    const struct mu_census *c = &s->censuses[census];
    const struct mu_kin_census *k = mu_terms_of_kin(s, kin);
    if (c->kind == MU_CENSUS_SPREAD && c->counts_none)
        return true;
    if (k == NULL)
        return false;
    return c->kind == MU_CENSUS_SPREAD ? contains(k->spread, k->spread_count, census)
                                       : contains(k->match, k->match_count, census);
}

bool mu_terms_independent(const struct mu_snapshot *snapshot, struct mu_class_ix class_ix,
                          struct mu_kin_ix kin)
{
    const struct mu_class_census *asked = mu_terms_of_class(snapshot, class_ix);
    const struct mu_class *class_ = mu_model_get_class(snapshot->model, class_ix);
    uint32_t own = 0;
    if (asked == NULL)
        return true;
    /* Ports let one of them onto a node: that is less room there, as an amount would be. */
    for (uint32_t i = 0; i < class_->hard_spread_count; i++) {
        if (!mu_census_is(asked->spreads[i]))
            return true; /* it fits nowhere */
        own += matches_itself(snapshot, kin, asked->spreads[i].v);
    }
    for (uint32_t i = 0; i < class_->term_count; i++) {
        if (class_->terms[i].kind > MU_TERM_ANTI_AFFINITY)
            continue;
        if (asked->terms[i].v == MU_CENSUS_VOID && class_->terms[i].kind == MU_TERM_ANTI_AFFINITY)
            continue;
        if (!mu_census_is(asked->terms[i]))
            return true;
        bool self = matches_itself(snapshot, kin, asked->terms[i].v);
        /* Where the first pod of all goes, the others have to follow. */
        if (self && class_->terms[i].kind == MU_TERM_AFFINITY &&
            snapshot->censuses[asked->terms[i].v].total == 0)
            return false;
        own += self && class_->terms[i].kind == MU_TERM_ANTI_AFFINITY;
    }
    return own <= 1;
}

/* ---- counting ------------------------------------------------------------------------------ */

struct mu_tracked *mu_terms_track(struct mu_terms *terms, uint32_t census)
{
    MU_ASSERT(census < terms->snapshot->census_count);
    if (census >= terms->tracked_cap) {
        void *array = terms->tracked;
        uint32_t cap = terms->tracked_cap;
        if (mu_mem_grow(&array, &cap, census + 1, MU_CENSUSES_MAX, sizeof *terms->tracked) != 0)
            return NULL;
        terms->tracked = array;
        for (; terms->tracked_cap < cap; terms->tracked_cap++)
            terms->tracked[terms->tracked_cap] = NULL;
    }
    struct mu_tracked *t = terms->tracked[census];
    if (t == NULL) {
        t = terms->tracked[census] = mu_mem_zalloc(sizeof *t);
        if (t == NULL)
            return NULL;
        t->views = MU_NO_VIEW;
    }
    if (t->session != terms->session) {
        t->session = terms->session;
        t->moves = 0;
        t->least_known = false;
    }
    return t;
}

void mu_terms_least(struct mu_tracked *t, const struct mu_census *census)
{
    t->domains = 0;
    t->at_least = 0;
    t->least = 0;
    for (uint32_t d = 0; d < census->domain_count; d++) {
        if (census->domains[d] == 0)
            continue;
        if (t->domains++ == 0 || census->counts[d] < t->least) {
            t->least = census->counts[d];
            t->at_least = 0;
        }
        t->at_least += census->counts[d] == t->least;
    }
    t->least_known = true;
}

static void least_follow(struct mu_tracked *t, const struct mu_census *census, uint32_t domain,
                         int sign)
{
    if (!t->least_known || census->domains[domain] == 0)
        return;
    int32_t count = census->counts[domain];
    if (sign > 0) {
        t->at_least -= count - 1 == t->least;
        if (t->at_least == 0)
            mu_terms_least(t, census);
    } else if (count < t->least) {
        t->least = count;
        t->at_least = 1;
    } else {
        t->at_least += count == t->least;
    }
}

static void move(struct mu_terms *terms, uint32_t census_ix, uint32_t row, int sign)
{
    struct mu_census *census = &terms->snapshot->censuses[census_ix];
    struct mu_tracked *t = terms->tracked[census_ix];
    uint32_t domain = mu_domain_of(terms->snapshot, census->topology, row);
    MU_ASSERT(t->session == terms->session);
    if (domain == MU_NONE)
        return;
    MU_ASSERT(domain < census->domain_count && (sign > 0 || census->counts[domain] > 0));
    census->counts[domain] += sign;
    census->total += sign;
    t->log[t->moves++ & (MU_TERMS_MOVES - 1)] = mu_move_of(domain, sign);
    terms->cells += MU_CENSUS_CELLS;
    terms->away_moves += census->kind == MU_CENSUS_CARRY && census->term == MU_TERM_ANTI_AFFINITY;
    if (census->kind == MU_CENSUS_SPREAD)
        least_follow(t, census, domain, sign);
}

/* Everything that a pod of this class and kin is counted in on this row: each census is passed to
 * `visit`, until one returns an error. */
static int each_census(struct mu_terms *terms, struct mu_class_ix class_ix, struct mu_kin_ix kin,
                       uint32_t row, int sign, unsigned as,
                       int (*visit)(struct mu_terms *, uint32_t, uint32_t, int))
{
    const struct mu_snapshot *s = terms->snapshot;
    const struct mu_class_census *c = mu_terms_of_class(s, class_ix);
    const struct mu_kin_census *k = mu_terms_of_kin(s, kin);
    int error = 0;
    for (uint32_t i = 0; k != NULL && i < k->match_count && error == 0; i++)
        if ((as & MU_TERMS_HOLDING) == 0 || !s->censuses[k->match[i].v].firm)
            error = visit(terms, k->match[i].v, row, sign);
    const bool spreads = k != NULL && (as & MU_TERMS_TERMINATING) == 0;
    for (uint32_t i = 0; spreads && i < k->spread_count && error == 0; i++)
        if (mu_bitset_test(s->censuses[k->spread[i].v].eligible, row))
            error = visit(terms, k->spread[i].v, row, sign);
    for (uint32_t i = 0; c != NULL && i < c->carry_count && error == 0; i++)
        if (mu_census_is(c->carry[i]))
            error = visit(terms, c->carry[i].v, row, sign);
    uint32_t ports = c == NULL ? 0 : mu_model_get_class(s->model, class_ix)->port_count;
    for (uint32_t i = 0; i < ports && error == 0; i++)
        if (mu_census_is(c->ports[i]))
            error = visit(terms, c->ports[i].v, row, sign);
    return error;
}

static int visit_track(struct mu_terms *terms, uint32_t census, uint32_t row, int sign)
{
    (void)row;
    (void)sign;
    return mu_terms_track(terms, census) == NULL ? MU_ENOMEM : 0;
}

static int visit_move(struct mu_terms *terms, uint32_t census, uint32_t row, int sign)
{
    move(terms, census, row, sign);
    return 0;
}

int mu_terms_count(struct mu_terms *terms, struct mu_class_ix class_ix, struct mu_kin_ix kin,
                   uint32_t row, int sign, unsigned as)
{
    MU_ASSERT(terms->snapshot != NULL && (sign == 1 || sign == -1));
    if (!mu_terms_counted(terms->snapshot, class_ix, kin))
        return 0;
    int error = each_census(terms, class_ix, kin, row, sign, as, visit_track);
    if (error != 0)
        return error;
    (void)each_census(terms, class_ix, kin, row, sign, as, visit_move);
    terms->state = ++terms->last_state;
    return 0;
}

/* ---- rules --------------------------------------------------------------------------------- */

/* What a rule leaves of the rows, and how it is called when it refuses. */
typedef void (*cut_fn)(void *context, const uint64_t *words, bool keep, enum mu_verdict_kind kind);

/* A rule that refuses everywhere. */
static int cut_nowhere(struct mu_terms *terms, enum mu_verdict_kind kind, cut_fn cut, void *context)
{
    if (mu_mask_cut_reserve(&terms->cut, terms->snapshot->node_rows) != 0)
        return MU_ENOMEM;
    cut(context, terms->cut.rows, true, kind);
    return 0;
}

/* Censuses of ports that are in the way. */
static int cut_range(struct mu_terms *terms, struct mu_port_range range, cut_fn cut, void *context)
{
    terms->cells += (uint64_t)(range.end - range.begin) * MU_CENSUS_CELLS;
    for (uint32_t p = range.begin; p < range.end; p++) {
        uint32_t census = terms->ports[p].census;
        const uint64_t *words;
        if (terms->snapshot->censuses[census].total == 0)
            continue;
        if (mu_view_any(terms, census, &words) != 0)
            return MU_ENOMEM;
        cut(context, words, false, MU_NO_PORTS);
    }
    return 0;
}

static int cut_ports(struct mu_terms *terms, const struct mu_class *class_, cut_fn cut,
                     void *context)
{
    int error = class_->port_count > 0 ? mu_ports_collect(terms) : 0;
    for (uint32_t i = 0; error == 0 && i < class_->port_count; i++) {
        struct mu_port_range ranges[MU_PORT_RANGES_MAX];
        uint32_t count = mu_ports_in_the_way(terms, &class_->ports[i], ranges);
        for (uint32_t r = 0; r < count && error == 0; r++)
            error = cut_range(terms, ranges[r], cut, context);
    }
    return error;
}

/* A class does not keep the order in which its constraints are written. Of several that refuse a
 * row kube-scheduler tells the first one; here a missing label is told first, which no preemption
 * mends whatever the others say. */
static int cut_spread(struct mu_terms *terms, const struct mu_class *class_,
                      const struct mu_class_census *asked, struct mu_kin_ix kin, cut_fn cut,
                      void *context)
{
    const struct mu_snapshot *s = terms->snapshot;
    if (class_->hard_spread_count > 0 && asked->spreads[0].v == MU_CENSUS_VOID)
        return cut_nowhere(terms, MU_NO_SPREAD_LABEL, cut, context); /* as all of them are */
    for (uint32_t i = 0; i < class_->hard_spread_count; i++) {
        const struct mu_domain_table *table =
            mu_domains_table(&terms->domains, s->censuses[asked->spreads[i].v].topology);
        if (table == NULL)
            return MU_ENOMEM;
        cut(context, table->has_key, true, MU_NO_SPREAD_LABEL);
    }
    for (uint32_t i = 0; i < class_->hard_spread_count; i++) {
        const struct mu_spread_item *spread = &class_->spreads[i];
        uint32_t census = asked->spreads[i].v;
        uint32_t v = mu_view_find(terms, census, spread->max_skew, spread->min_domains,
                                  matches_itself(s, kin, census));
        const uint64_t *words;
        int error = v == MU_NO_VIEW ? MU_ENOMEM : mu_view_update(terms, census, v, &words);
        if (error != 0)
            return error;
        cut(context, words, false, MU_NO_SPREAD);
    }
    return 0;
}

static int cut_affinity(struct mu_terms *terms, const struct mu_class *class_,
                        const struct mu_class_census *asked, struct mu_kin_ix kin, cut_fn cut,
                        void *context)
{
    const struct mu_snapshot *s = terms->snapshot;
    bool any = false, first = true;
    for (uint32_t i = 0; i < class_->term_count; i++) {
        if (class_->terms[i].kind != MU_TERM_AFFINITY)
            continue;
        if (asked->terms[i].v == MU_CENSUS_VOID)
            return cut_nowhere(terms, MU_NO_POD_AFFINITY, cut, context);
        any = true;
        first = first && s->censuses[asked->terms[i].v].total == 0 &&
                matches_itself(s, kin, asked->terms[i].v);
    }
    for (uint32_t i = 0; any && i < class_->term_count; i++) {
        uint32_t census = asked->terms[i].v;
        const uint64_t *words = NULL;
        if (class_->terms[i].kind != MU_TERM_AFFINITY)
            continue;
        if (first) {
            const struct mu_domain_table *table =
                mu_domains_table(&terms->domains, s->censuses[census].topology);
            if (table == NULL)
                return MU_ENOMEM;
            words = table->has_key;
        } else if (mu_view_any(terms, census, &words) != 0) {
            return MU_ENOMEM;
        }
        cut(context, words, true, MU_NO_POD_AFFINITY);
    }
    return 0;
}

static int cut_anti(struct mu_terms *terms, const struct mu_class *class_,
                    const struct mu_class_census *asked, cut_fn cut, void *context)
{
    const struct mu_snapshot *s = terms->snapshot;
    for (uint32_t i = 0; i < class_->term_count; i++) {
        const uint64_t *words;
        if (class_->terms[i].kind != MU_TERM_ANTI_AFFINITY || asked->terms[i].v == MU_CENSUS_VOID ||
            s->censuses[asked->terms[i].v].total == 0)
            continue;
        if (mu_view_any(terms, asked->terms[i].v, &words) != 0)
            return MU_ENOMEM;
        cut(context, words, false, MU_NO_ANTI_AFFINITY);
    }
    return 0;
}

/* The rows that one anti-affinity term after the other keeps the kin from, to a cut of each. */
static int cut_carried(struct mu_terms *terms, const struct mu_kin_census *k, cut_fn cut,
                       void *context)
{
    const struct mu_snapshot *s = terms->snapshot;
    terms->cells += (uint64_t)k->carry_count * MU_CENSUS_CELLS;
    for (uint32_t i = 0; i < k->carry_count; i++) {
        const struct mu_census *census = &s->censuses[k->carry[i].v];
        const uint64_t *words;
        if (census->term != MU_TERM_ANTI_AFFINITY || census->total == 0)
            continue;
        if (mu_view_any(terms, k->carry[i].v, &words) != 0)
            return MU_ENOMEM;
        cut(context, words, false, MU_NO_EXISTING_ANTI_AFFINITY);
    }
    return 0;
}

static void unite(void *context, const uint64_t *words, bool keep, enum mu_verdict_kind kind)
{
    struct mu_terms *terms = context;
    const size_t count = MU_BITSET_WORDS(terms->snapshot->node_rows);
    MU_ASSERT(!keep && kind == MU_NO_EXISTING_ANTI_AFFINITY);
    terms->cells += count;
    for (size_t w = 0; w < count; w++)
        terms->away.rows[w] |= words[w];
}

static int away_make(struct mu_terms *terms, const struct mu_kin_census *k)
{
    struct mu_kept_away *away = &terms->away;
    const uint32_t rows = terms->snapshot->node_rows;
    away->made = false;
    if (away->rows == NULL || rows > away->row_cap) {
        uint32_t cap = rows + rows / 8 + 64;
        uint64_t *bits = mu_mem_calloc(MU_BITSET_WORDS(cap), sizeof *bits);
        if (bits == NULL)
            return MU_ENOMEM;
        mu_mem_free(away->rows);
        away->rows = bits;
        away->row_cap = cap;
    }
    memset(away->rows, 0, MU_BITSET_WORDS(rows) * sizeof *away->rows);
    int error = cut_carried(terms, k, unite, terms);
    away->made = error == 0;
    return error;
}

/* Others' terms are gone through once for all that is asked while their counts stay: whoever is
 * preempted for or explained asks for row after row. For one row alone they are gone through by
 * themselves, as long as that costs less than to unite all rows of them. */
static int cut_existing(struct mu_terms *terms, struct mu_kin_ix kin, bool one_row, cut_fn cut,
                        void *context)
{
    const struct mu_snapshot *s = terms->snapshot;
    const struct mu_kin_census *k = mu_terms_of_kin(s, kin);
    struct mu_kept_away *away = &terms->away;
    if (k != NULL && k->partial &&
        cut_nowhere(terms, MU_NO_EXISTING_ANTI_AFFINITY, cut, context) != 0)
        return MU_ENOMEM;
    if (k == NULL || k->carry_count <= 1) /* one is its own union */
        return k == NULL ? 0 : cut_carried(terms, k, cut, context);
    if (away->kin.v != kin.v || away->session != terms->session ||
        away->moves != terms->away_moves) {
        away->made = false;
        away->asked = 0;
        away->kin = kin;
        away->session = terms->session;
        away->moves = terms->away_moves;
    }
    if (!away->made && one_row && away->asked++ <= MU_BITSET_WORDS(s->node_rows) / 64)
        return cut_carried(terms, k, cut, context);
    int error = away->made ? 0 : away_make(terms, k);
    if (error == 0)
        cut(context, away->rows, false, MU_NO_EXISTING_ANTI_AFFINITY);
    return error;
}

/* No census (a table is full), or one that lacks pods. */
static bool cannot_tell(const struct mu_snapshot *s, struct mu_census_ix census)
{
    return census.v != MU_CENSUS_VOID && (!mu_census_is(census) || s->censuses[census.v].overflow);
}

/* How it is told: a rule that lacks a topology key's number by a sentence of its own. */
static enum mu_verdict_kind untold(struct mu_census_ix census, enum mu_verdict_kind rule,
                                   enum mu_verdict_kind untracked)
{
    return census.v == MU_CENSUS_NO_KEY ? untracked : rule;
}

/* A required rule whose census cannot tell cannot be judged: how the class is refused then,
 * everywhere. MU_FITS: all can. */
static enum mu_verdict_kind unjudged(const struct mu_snapshot *s, const struct mu_class *class_,
                                     const struct mu_class_census *asked)
{
    for (uint32_t i = 0; i < class_->port_count; i++)
        if (cannot_tell(s, asked->ports[i]))
            return MU_NO_PORTS;
    for (uint32_t i = 0; i < class_->hard_spread_count; i++)
        if (cannot_tell(s, asked->spreads[i]))
            return untold(asked->spreads[i], MU_NO_SPREAD, MU_NO_SPREAD_UNTRACKED);
    for (uint32_t i = 0; i < class_->term_count; i++)
        if (class_->terms[i].kind <= MU_TERM_ANTI_AFFINITY && cannot_tell(s, asked->terms[i]))
            return class_->terms[i].kind == MU_TERM_AFFINITY
                       ? untold(asked->terms[i], MU_NO_POD_AFFINITY, MU_NO_POD_AFFINITY_UNTRACKED)
                       : untold(asked->terms[i], MU_NO_ANTI_AFFINITY,
                                MU_NO_ANTI_AFFINITY_UNTRACKED);
    return MU_FITS;
}

/* All rules on a class and kin, in the order in which they refuse; `one_row`: that is all that the
 * cut looks at. */
static int cut_all(struct mu_terms *terms, struct mu_class_ix class_ix, struct mu_kin_ix kin,
                   bool one_row, cut_fn cut, void *context)
{
    const struct mu_class *class_ = mu_model_get_class(terms->snapshot->model, class_ix);
    const struct mu_class_census *asked = mu_terms_of_class(terms->snapshot, class_ix);
    int error = 0;
    enum mu_verdict_kind kind = asked != NULL ? unjudged(terms->snapshot, class_, asked) : MU_FITS;
    if (kind != MU_FITS)
        return cut_nowhere(terms, kind, cut, context);
    if (asked != NULL) {
        error = cut_ports(terms, class_, cut, context);
        if (error == 0)
            error = cut_spread(terms, class_, asked, kin, cut, context);
        if (error == 0)
            error = cut_affinity(terms, class_, asked, kin, cut, context);
        if (error == 0)
            error = cut_anti(terms, class_, asked, cut, context);
    }
    return error == 0 ? cut_existing(terms, kin, one_row, cut, context) : error;
}

/* ---- the rows that pass --------------------------------------------------------------------- */

struct words_left {
    struct mu_terms *terms;
    uint64_t *words;
    size_t count;
};

static void cut_words(void *context, const uint64_t *words, bool keep, enum mu_verdict_kind kind)
{
    const struct words_left *left = context;
    const uint64_t flip = keep ? 0 : UINT64_MAX;
    (void)kind;
    left->terms->cells += left->count;
    for (size_t w = 0; w < left->count; w++)
        left->words[w] &= words[w] ^ flip;
}

int mu_terms_mask(struct mu_terms *terms, struct mu_class_ix class_ix, struct mu_kin_ix kin,
                  const struct mu_filter_mask *mask, const struct mu_filter_mask **out)
{
    MU_ASSERT(terms->snapshot != NULL);
    uint32_t rows = terms->snapshot->node_rows;
    if (mu_mask_cut_reserve(&terms->cut, rows) != 0)
        return MU_ENOMEM;
    struct words_left left = {terms, terms->cut.words, MU_BITSET_WORDS(rows > 0 ? rows : 1)};
    memcpy(left.words, mask->bits[0], left.count * sizeof *left.words);
    int error = cut_all(terms, class_ix, kin, false, cut_words, &left);
    if (error != 0)
        return error;
    mu_mask_cut_seal(&terms->cut, mask, rows);
    *out = &terms->cut.mask;
    return 0;
}

/* ---- one row -------------------------------------------------------------------------------- */

struct row_verdict {
    uint32_t row;
    enum mu_verdict_kind kind;
};

static void cut_row(void *context, const uint64_t *words, bool keep, enum mu_verdict_kind kind)
{
    struct row_verdict *verdict = context;
    if (verdict->kind == MU_FITS && mu_bitset_test(words, verdict->row) != keep)
        verdict->kind = kind;
}

int mu_terms_verdict(struct mu_terms *terms, struct mu_class_ix class_ix, struct mu_kin_ix kin,
                     uint32_t row, enum mu_verdict_kind *out)
{
    MU_ASSERT(terms->snapshot != NULL && row < terms->snapshot->node_rows);
    struct row_verdict verdict = {row, MU_FITS};
    int error = cut_all(terms, class_ix, kin, true, cut_row, &verdict);
    *out = verdict.kind;
    return error;
}

struct row_verdicts {
    uint32_t row;
    uint32_t kinds;
};

static void collect_row(void *context, const uint64_t *words, bool keep, enum mu_verdict_kind kind)
{
    struct row_verdicts *verdicts = context;
    if (mu_bitset_test(words, verdicts->row) != keep)
        verdicts->kinds |= 1u << kind;
}

int mu_terms_verdicts(struct mu_terms *terms, struct mu_class_ix class_ix, struct mu_kin_ix kin,
                      uint32_t row, uint32_t *out)
{
    MU_ASSERT(terms->snapshot != NULL && row < terms->snapshot->node_rows);
    struct row_verdicts verdicts = {row, 0};
    int error = cut_all(terms, class_ix, kin, true, collect_row, &verdicts);
    *out = verdicts.kinds;
    return error;
}

/* ---- every row ------------------------------------------------------------------------------ */

static int judged_reserve(struct mu_judged *judged, uint32_t rows)
{
    if (judged->left != NULL && rows <= judged->row_cap)
        return 0;
    uint32_t cap = rows + rows / 8 + 64;
    size_t words = MU_BITSET_WORDS(cap);
    uint64_t *bits = mu_mem_calloc((1 + MU_JUDGED_DIGITS) * words, sizeof *bits);
    if (bits == NULL)
        return MU_ENOMEM;
    mu_mem_free(judged->left);
    judged->left = bits;
    for (uint32_t d = 0; d < MU_JUDGED_DIGITS; d++)
        judged->digits[d] = bits + (1 + d) * words;
    judged->row_cap = cap;
    return 0;
}

static void split_rows(void *context, const uint64_t *words, bool keep, enum mu_verdict_kind kind)
{
    struct mu_terms *terms = context;
    struct mu_judged *judged = &terms->judged;
    const uint64_t flip = keep ? UINT64_MAX : 0;
    const size_t count = MU_BITSET_WORDS(judged->rows);
    terms->cells += count;
    for (size_t w = 0; w < count; w++) {
        uint64_t refused = judged->left[w] & (words[w] ^ flip);
        if (refused == 0)
            continue;
        judged->left[w] &= ~refused;
        for (uint32_t d = 0; d < MU_JUDGED_DIGITS; d++)
            if (((unsigned)kind >> d & 1) != 0)
                judged->digits[d][w] |= refused;
    }
}

int mu_terms_judge(struct mu_terms *terms, struct mu_class_ix class_ix, struct mu_kin_ix kin)
{
    MU_ASSERT(terms->snapshot != NULL);
    struct mu_judged *judged = &terms->judged;
    judged->rows = 0;
    if (judged_reserve(judged, terms->snapshot->node_rows) != 0)
        return MU_ENOMEM;
    judged->rows = terms->snapshot->node_rows;
    const size_t bytes = MU_BITSET_WORDS(judged->rows) * sizeof *judged->left;
    memset(judged->left, 0xff, bytes);
    for (uint32_t d = 0; d < MU_JUDGED_DIGITS; d++)
        memset(judged->digits[d], 0, bytes);
    int error = cut_all(terms, class_ix, kin, false, split_rows, terms);
    if (error != 0)
        judged->rows = 0;
    return error;
}

enum mu_verdict_kind mu_terms_judged(const struct mu_terms *terms, uint32_t row)
{
    const struct mu_judged *judged = &terms->judged;
    unsigned kind = 0;
    MU_ASSERT(row < judged->rows);
    for (uint32_t d = 0; d < MU_JUDGED_DIGITS; d++)
        kind |= (unsigned)mu_bitset_test(judged->digits[d], row) << d;
    MU_ASSERT(kind < MU_VERDICT_KINDS);
    return (enum mu_verdict_kind)kind;
}
