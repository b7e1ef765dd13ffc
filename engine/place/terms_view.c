#include "engine/place/terms_priv.h"

#include <string.h>

#include "engine/base/assert.h"
#include "engine/base/bitset.h"
#include "engine/base/mem.h"

/*
 * Views (engine/place/terms.h), and what they may take.
 *
 * A view is kept for each (census, limit rule) that was asked, for the next time. Limits come from
 * pods: a thousand spread constraints with a thousand skews are a thousand views of one census. So
 * a census keeps the few that were asked last, in that order, and all views together have a bound
 * in bytes. What is forgotten is only slower to ask again.
 */

/* It has to be made anew. */
static void view_clear(struct mu_terms *terms, struct mu_view *view)
{
    if (view->rows != view->over)
        mu_mem_free(view->rows);
    mu_mem_free(view->over);
    terms->view_bytes -= view->bytes;
    view->over = view->rows = NULL;
    view->domain_cap = view->row_cap = 0;
    view->bytes = 0;
    view->census_id = 0;
}

/* All bitmaps are given up, the views stay. */
static void bits_free(struct mu_terms *terms)
{
    for (uint32_t v = 0; v < terms->view_count; v++)
        view_clear(terms, &terms->views[v]);
}

void mu_views_drop(struct mu_terms *terms)
{
    bits_free(terms);
    terms->view_count = 0;
    for (uint32_t c = 0; c < terms->tracked_cap; c++)
        if (terms->tracked[c] != NULL)
            terms->tracked[c]->views = MU_NO_VIEW;
}

static bool is_view(const struct mu_view *view, int32_t skew, int32_t min_domains, bool self)
{
    return view->skew == skew && view->min_domains == min_domains && view->self == self;
}

uint32_t mu_view_find(struct mu_terms *terms, uint32_t census, int32_t skew, int32_t min_domains,
                      bool self)
{
    struct mu_tracked *t = mu_terms_track(terms, census);
    if (t == NULL)
        return MU_NO_VIEW;
    uint32_t count = 0;
    uint32_t *link = &t->views;
    while (*link != MU_NO_VIEW && !is_view(&terms->views[*link], skew, min_domains, self)) {
        if (++count == MU_VIEWS_PER_CENSUS)
            break;
        link = &terms->views[*link].next;
    }
    if (*link != MU_NO_VIEW) { /* to the front; the last of many becomes what is wanted */
        uint32_t v = *link;
        struct mu_view *view = &terms->views[v];
        *link = view->next;
        view->next = t->views;
        t->views = v;
        if (is_view(view, skew, min_domains, self))
            return v;
        view->skew = skew;
        view->min_domains = min_domains;
        view->self = self;
        view->census_id = 0;
        return v;
    }
    if (terms->view_count == MU_VIEWS_MAX)
        mu_views_drop(terms);
    void *array = terms->views;
    if (mu_mem_grow(&array, &terms->view_cap, terms->view_count + 1, MU_VIEWS_MAX,
                    sizeof *terms->views) != 0)
        return MU_NO_VIEW;
    terms->views = array;
    terms->views[terms->view_count] =
        (struct mu_view){.next = t->views, .skew = skew, .min_domains = min_domains, .self = self};
    return t->views = terms->view_count++;
}

/* Bits for so many rows and domains, all 0 when they had to be made anew. */
static int view_reserve(struct mu_terms *terms, struct mu_view *view, bool by_row, uint32_t domains,
                        uint32_t rows)
{
    uint32_t want = by_row && rows > domains ? rows : domains;
    /* The number may be that of another census by now, and one bitmap serves only rows. */
    bool fits = view->over != NULL && (view->rows == view->over) == by_row;
    if (fits && want <= view->domain_cap && rows <= view->row_cap)
        return 0;
    uint32_t domain_cap = want + want / 8 + 64, row_cap = rows + rows / 8 + 64;
    size_t over_words = MU_BITSET_WORDS(by_row ? row_cap + domain_cap : domain_cap);
    size_t row_words = by_row ? 0 : MU_BITSET_WORDS(row_cap);
    size_t bytes = (over_words + row_words) * sizeof *view->over;
    if (terms->view_bytes + bytes > MU_VIEW_BYTES_MAX)
        bits_free(terms);
    uint64_t *over = mu_mem_calloc(over_words, sizeof *over);
    uint64_t *bits = by_row ? over : mu_mem_calloc(row_words, sizeof *bits);
    if (over == NULL || bits == NULL) {
        if (bits != over)
            mu_mem_free(bits);
        mu_mem_free(over);
        return MU_ENOMEM;
    }
    view_clear(terms, view);
    terms->view_bytes += bytes;
    view->bytes = bytes;
    view->over = over;
    view->rows = bits;
    view->domain_cap = domain_cap;
    view->row_cap = row_cap;
    return 0;
}

static int64_t view_limit(const struct mu_view *view, struct mu_tracked *t,
                          const struct mu_census *c)
{
    if (view->skew == 0)
        return 0;
    if (!t->least_known)
        mu_terms_least(t, c);
    int64_t least = t->domains < (uint32_t)view->min_domains ? 0 : t->least;
    return least + view->skew - (view->self ? 1 : 0);
}

/* A domain's count may have crossed the limit. `table` is NULL where the row is the domain. */
static inline void view_check(struct mu_view *view, const struct mu_domain_table *table,
                              const struct mu_census *census, uint32_t domain)
{
    bool over = census->counts[domain] > view->limit;
    if (over == mu_bitset_test(view->over, domain))
        return;
    mu_bitset_assign(view->over, domain, over);
    if (table == NULL)
        return;
    for (uint32_t i = table->begin[domain]; i < table->begin[domain + 1]; i++)
        mu_bitset_assign(view->rows, table->rows[i], over);
}

int mu_view_update(struct mu_terms *terms, uint32_t census_ix, uint32_t v, const uint64_t **out)
{
    const struct mu_snapshot *s = terms->snapshot;
    const struct mu_census *census = &s->censuses[census_ix];
    struct mu_tracked *t = terms->tracked[census_ix];
    struct mu_view *view = &terms->views[v];
    bool by_row = census->topology == MU_TOPOLOGY_ROW;
    const struct mu_domain_table *table = NULL;
    if (!by_row && (table = mu_domains_table(&terms->domains, census->topology)) == NULL)
        return MU_ENOMEM;
    uint32_t domains = by_row ? s->node_rows : table->domain_count;
    domains = domains < census->domain_count ? domains : census->domain_count;
    if (view_reserve(terms, view, by_row, domains, s->node_rows) != 0)
        return MU_ENOMEM;
    int64_t limit = view_limit(view, t, census);
    *out = view->rows;
    uint64_t generation = by_row ? 0 : s->domain_generation[census->topology];
    bool same = view->census_id == census->id && view->domain_generation == generation;
    if (!same) {
        memset(view->over, 0,
               MU_BITSET_WORDS(by_row ? view->row_cap + view->domain_cap : view->domain_cap) * 8);
        if (!by_row)
            memset(view->rows, 0, MU_BITSET_WORDS(view->row_cap) * 8);
    }
    bool near = same && view->session == terms->session && view->limit == limit &&
                t->moves - view->moves <= MU_TERMS_MOVES;
    view->limit = limit;
    terms->cells += MU_VIEW_CELLS + (near ? t->moves - view->moves : domains);
    if (near) {
        for (; view->moves < t->moves; view->moves++)
            view_check(view, table, census,
                       mu_move_domain(t->log[view->moves & (MU_TERMS_MOVES - 1)]));
        return 0;
    }
    for (uint32_t d = 0; d < domains; d++)
        view_check(view, table, census, d);
    view->census_id = census->id;
    view->domain_generation = generation;
    view->session = terms->session;
    view->moves = t->moves;
    return 0;
}

int mu_view_any(struct mu_terms *terms, uint32_t census, const uint64_t **out)
{
    uint32_t v = mu_view_find(terms, census, 0, 0, false);
    return v == MU_NO_VIEW ? MU_ENOMEM : mu_view_update(terms, census, v, out);
}
