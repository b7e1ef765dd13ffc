#include "engine/place/terms_priv.h"

#include <string.h>

#include "engine/base/assert.h"
#include "engine/base/bitset.h"
#include "engine/base/mem.h"

/*
 * Preferences about other pods, after kube-scheduler's InterPodAffinity and PodTopologySpread.
 *
 * Affinity. A row's sum is, over its domains, weight * count for the pod's own preferred terms
 * (negative for anti-affinity), for preferred terms of placed pods that match this one, and once
 * the count for their required affinity terms. Rows are ranked between the smallest and the largest
 * sum: bonus = (sum - min) / (max - min) of affinity_most; nothing when all sums are equal.
 *
 * Spread (ScheduleAnyway). A row's load is the sum over its constraints of
 *
 *     count in its domain * ln(domains + 2) + max_skew - 1
 *
 * to the nearest integer, and its bonus (max + min - load) / max of spread_most, or all of that
 * where max is 0; a row that lacks one of the keys gets none. The logarithm is an integer in 2^-16,
 * so that all machines agree.
 *
 * Where this differs: rows of the mask are compared, which have not been held against their room;
 * the number of domains is that of eligible nodes; and a load that comes to 2^-16 for each pod near
 * the middle of two integers may be rounded down where it is rounded up there.
 */

/* The binary logarithm digit by digit, times ln 2: with 14 digits more than are kept. */
int64_t mu_terms_ln(uint64_t x)
{
    __extension__ typedef unsigned __int128 wide;
    enum { DIGITS = 30 };
    const uint64_t ln2 = 2977044471; /* 2^32 * ln 2 */
    uint32_t whole = 63 - (uint32_t)__builtin_clzll(x);
    uint64_t part = whole > 31 ? x >> (whole - 31) : x << (31 - whole); /* in [2^31, 2^32) */
    uint64_t log = (uint64_t)whole << DIGITS;
    for (uint32_t digit = DIGITS; digit-- > 0;) {
        part = part * part >> 31;
        if (part >= UINT64_C(1) << 32) {
            part >>= 1;
            log |= UINT64_C(1) << digit;
        }
    }
    return (int64_t)((wide)log * ln2 >> (DIGITS + 32 - MU_TERMS_LN_SHIFT));
}

/* A load to the nearest number, as it is compared. */
static int64_t rounded(int64_t load)
{
    return (load + (INT64_C(1) << (MU_TERMS_LN_SHIFT - 1))) >> MU_TERMS_LN_SHIFT;
}

/* Room for as many rows; what was there is lost. */
static int reserve(struct mu_terms *terms, uint32_t rows)
{
    if (terms->bonus != NULL && rows <= terms->bonus_cap)
        return 0;
    uint32_t cap = (rows + rows / 8) / MU_NODE_CHUNK * MU_NODE_CHUNK + MU_NODE_CHUNK;
    size_t entries = cap, total = 0;
    for (uint32_t l = 0; l < MU_LEVELS_MAX; l++) {
        total += (entries + MU_NODE_CHUNK - 1) / MU_NODE_CHUNK * MU_NODE_CHUNK;
        entries = (entries + MU_NODE_CHUNK - 1) / MU_NODE_CHUNK;
    }
    int64_t *raw = mu_mem_zalloc_aligned(64, cap * sizeof *raw);
    int64_t *bonus = mu_mem_zalloc_aligned(64, total * sizeof *bonus);
    if (raw == NULL || bonus == NULL) {
        mu_mem_free(raw);
        mu_mem_free(bonus);
        return MU_ENOMEM;
    }
    mu_mem_free(terms->raw);
    mu_mem_free(terms->bonus);
    terms->raw = raw;
    terms->bonus = bonus;
    terms->bonus_cap = cap;
    return 0;
}

/* ---- affinity ------------------------------------------------------------------------------- */

/* The censuses of a class's preferences, and of others' about the kin. */
static int affinity_parts(struct mu_terms *terms, struct mu_class_ix class_ix, struct mu_kin_ix kin,
                          struct mu_sum *sum)
{
    const struct mu_snapshot *s = terms->snapshot;
    const struct mu_class *class_ = mu_model_get_class(s->model, class_ix);
    const struct mu_class_census *asked = mu_terms_of_class(s, class_ix);
    const struct mu_kin_census *k = mu_terms_of_kin(s, kin);
    int error = 0;
    for (uint32_t i = 0; asked != NULL && i < class_->term_count && error == 0; i++) {
        int64_t weight = class_->terms[i].weight;
        if (class_->terms[i].kind >= MU_TERM_PREFERRED && mu_census_is(asked->terms[i]))
            error = mu_sum_add(terms, sum, asked->terms[i].v,
                               class_->terms[i].kind == MU_TERM_PREFERRED ? weight : -weight);
    }
    for (uint32_t i = 0; k != NULL && i < k->carry_count && error == 0; i++) {
        const struct mu_census *census = &s->censuses[k->carry[i].v];
        int64_t weight = census->term == MU_TERM_PREFERRED  ? census->weight
                         : census->term == MU_TERM_AFFINITY ? 1
                                                            : -(int64_t)census->weight;
        if (census->term != MU_TERM_ANTI_AFFINITY)
            error = mu_sum_add(terms, sum, k->carry[i].v, weight);
    }
    return error;
}

/* Sums of all rows. *any false: nobody has a preference. */
static int affinity_sums(struct mu_terms *terms, struct mu_class_ix class_ix, struct mu_kin_ix kin,
                         bool *any)
{
    bool known;
    struct mu_sum *sum = mu_sum_find(terms, class_ix, kin, false, &known);
    int error = known ? 0 : affinity_parts(terms, class_ix, kin, sum);
    *any = false;
    if (error != 0)
        return error;
    sum->session = terms->session;
    for (uint32_t p = 0; p < sum->part_count && !*any; p++)
        *any = terms->snapshot->censuses[sum->parts[p].census].total != 0;
    return *any ? mu_sum_rows(terms, sum, terms->raw) : 0;
}

/* Smallest and largest sum of the rows of the mask; false when there is none. */
static bool range(const struct mu_terms *terms, const uint64_t *mask, int64_t *min, int64_t *max)
{
    bool any = false;
    uint32_t rows = terms->snapshot->node_rows;
    for (uint32_t row = mu_bitset_next(mask, rows, 0); row < rows;
         row = mu_bitset_next(mask, rows, row + 1)) {
        int64_t sum = terms->raw[row];
        *min = !any || sum < *min ? sum : *min;
        *max = !any || sum > *max ? sum : *max;
        any = true;
    }
    return any;
}

/* floor(part * most / whole) for 0 <= part <= whole, for each row of many: by a multiplication with
 * the reciprocal, which is cut off and so may come out one too low, which the remainder shows. That
 * takes 1.3 ns where a division takes 3.3. */
struct share {
    uint64_t whole, most, factor;
};

static struct share share_of(int64_t whole, int64_t most)
{
    MU_ASSERT(whole > 0 && most >= 0 && most < INT64_C(1) << 31);
    return (struct share){(uint64_t)whole, (uint64_t)most,
                          ((uint64_t)most << 32) / (uint64_t)whole};
}

static int64_t share(const struct share *s, int64_t signed_part)
{
    __extension__ typedef unsigned __int128 wide;
    const uint64_t part = (uint64_t)signed_part;
    /* One too low at most as long as a part is below 2^32, and then products fit 64 bits. */
    if (s->whole >> 32 != 0)
        return (int64_t)((wide)part * s->most / s->whole);
    uint64_t low = (uint64_t)((wide)part * s->factor >> 32);
    return (int64_t)(low + (part * s->most - low * s->whole >= s->whole));
}

static void affinity_bonus(struct mu_terms *terms, const uint64_t *mask, int64_t most)
{
    int64_t min, max;
    uint32_t rows = terms->snapshot->node_rows;
    if (!range(terms, mask, &min, &max) || min == max)
        return;
    const struct share of = share_of(max - min, most);
    for (uint32_t row = mu_bitset_next(mask, rows, 0); row < rows;
         row = mu_bitset_next(mask, rows, row + 1))
        terms->bonus[row] += share(&of, terms->raw[row] - min);
}

/* ---- spread --------------------------------------------------------------------------------- */

static int spread_parts(struct mu_terms *terms, const struct mu_class *class_,
                        const struct mu_class_census *asked, struct mu_sum *sum)
{
    int error = 0;
    for (uint32_t i = class_->hard_spread_count; i < class_->spread_count && error == 0; i++) {
        uint32_t census = asked->spreads[i].v;
        if (!mu_census_is(asked->spreads[i]))
            continue;
        struct mu_tracked *t = mu_terms_track(terms, census);
        if (t == NULL)
            return MU_ENOMEM;
        if (!t->least_known)
            mu_terms_least(t, &terms->snapshot->censuses[census]);
        error = mu_sum_add(terms, sum, census, mu_terms_ln((uint64_t)t->domains + 2));
    }
    return error;
}

/* Load of all rows; -1 where a key is missing. *any false: no constraint. */
static int spread_loads(struct mu_terms *terms, struct mu_class_ix class_ix, struct mu_kin_ix kin,
                        bool *any)
{
    const struct mu_snapshot *s = terms->snapshot;
    const struct mu_class *class_ = mu_model_get_class(s->model, class_ix);
    const struct mu_class_census *asked = mu_terms_of_class(s, class_ix);
    *any = asked != NULL && class_->hard_spread_count < class_->spread_count &&
           asked->spreads[class_->hard_spread_count].v != MU_CENSUS_VOID; /* as all of them are */
    if (!*any)
        return 0;
    bool known;
    struct mu_sum *sum = mu_sum_find(terms, class_ix, kin, true, &known);
    int error = known ? 0 : spread_parts(terms, class_, asked, sum);
    if (error != 0)
        return error;
    sum->session = terms->session;
    error = mu_sum_rows(terms, sum, terms->raw);
    if (error != 0)
        return error;
    int64_t skews = 0;
    for (uint32_t i = class_->hard_spread_count; i < class_->spread_count; i++)
        if (mu_census_is(asked->spreads[i]))
            skews += (int64_t)(class_->spreads[i].max_skew - 1) << MU_TERMS_LN_SHIFT;
    for (uint32_t row = 0; row < s->node_rows; row++)
        terms->raw[row] += skews;
    for (uint64_t left = sum->keys; left != 0; left &= left - 1) {
        const uint32_t *column = s->topology[__builtin_ctzll(left)];
        for (uint32_t row = 0; row < s->node_rows; row++)
            terms->raw[row] = column[row] == MU_NONE ? -1 : terms->raw[row];
    }
    return 0;
}

static void spread_bonus(struct mu_terms *terms, const uint64_t *mask, int64_t most)
{
    uint32_t rows = terms->snapshot->node_rows;
    int64_t min = 0, max = -1;
    for (uint32_t row = mu_bitset_next(mask, rows, 0); row < rows;
         row = mu_bitset_next(mask, rows, row + 1)) {
        int64_t load = rounded(terms->raw[row]);
        if (terms->raw[row] < 0)
            continue;
        min = max < 0 || load < min ? load : min;
        max = load > max ? load : max;
    }
    const struct share of = share_of(max > 0 ? max : 1, most);
    for (uint32_t row = mu_bitset_next(mask, rows, 0); row < rows && max >= 0;
         row = mu_bitset_next(mask, rows, row + 1))
        if (terms->raw[row] >= 0)
            terms->bonus[row] += max == 0 ? most : share(&of, max + min - rounded(terms->raw[row]));
}

/* ---- together ------------------------------------------------------------------------------- */

/* The largest of 64 entries, level by level. */
static void levels_fill(struct mu_terms *terms, struct mu_terms_preference *out)
{
    int64_t *below = terms->bonus;
    uint32_t count = terms->snapshot->node_rows;
    size_t below_cap = terms->bonus_cap;
    out->bonus[0] = below;
    for (uint32_t l = 1; l < MU_LEVELS_MAX; l++) {
        int64_t *above = below + (below_cap + MU_NODE_CHUNK - 1) / MU_NODE_CHUNK * MU_NODE_CHUNK;
        uint32_t entries = (count + MU_NODE_CHUNK - 1) / MU_NODE_CHUNK;
        below_cap = (below_cap + MU_NODE_CHUNK - 1) / MU_NODE_CHUNK;
        for (uint32_t e = 0; e < entries; e++) {
            int64_t most = 0;
            for (uint32_t i = e * MU_NODE_CHUNK; i < count && i < (e + 1) * MU_NODE_CHUNK; i++)
                most = below[i] > most ? below[i] : most;
            above[e] = most;
        }
        out->bonus[l] = below = above;
        count = entries;
    }
}

int mu_terms_prefer(struct mu_terms *terms, struct mu_class_ix class_ix, struct mu_kin_ix kin,
                    int64_t spread_most, int64_t affinity_most, const struct mu_filter_mask *mask,
                    struct mu_terms_preference *out)
{
    MU_ASSERT(terms->snapshot != NULL);
    if ((spread_most == 0 && affinity_most == 0) ||
        !mu_terms_concern(terms->snapshot, class_ix, kin))
        return 0;
    if (reserve(terms, terms->snapshot->node_rows) != 0)
        return MU_ENOMEM;
    memset(terms->bonus, 0, terms->bonus_cap * sizeof *terms->bonus);
    if (out->bonus[0] != NULL)
        memcpy(terms->bonus, out->bonus[0], terms->snapshot->node_rows * sizeof *terms->bonus);
    bool near = false, apart = false;
    int error = affinity_most > 0 ? affinity_sums(terms, class_ix, kin, &near) : 0;
    if (error == 0 && near)
        affinity_bonus(terms, mask->bits[0], affinity_most);
    if (error == 0 && spread_most > 0)
        error = spread_loads(terms, class_ix, kin, &apart);
    if (error == 0 && apart)
        spread_bonus(terms, mask->bits[0], spread_most);
    if (error != 0 || !(near || apart))
        return error;
    levels_fill(terms, out);
    out->most += spread_most + affinity_most;
    return 0;
}
