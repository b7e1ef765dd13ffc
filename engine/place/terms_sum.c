#include "engine/place/terms_priv.h"

#include <string.h>

#include "engine/base/assert.h"
#include "engine/base/mem.h"

/*
 * Sums over counts: what preferences about other pods come to in each domain.
 *
 * A preference is a sum over censuses of weight * count in the row's domain. There may be a
 * thousand of them in a pod, and tens of thousands that other pods have about it, while rows are
 * many and each placement asks anew. So the sum of a pod's censuses is kept by domain, for each
 * topology key one column, and follows the moves of the counts: the domains of all its censuses are
 * looked at once in a session; after that a row costs one addition for each key (of which there are
 * MU_TOPOLOGIES_MAX at most), and a census one comparison and what has moved.
 *
 *     none --asked for--> kept --asked again--> kept, by the moves since
 *                          |  \--a census has moved beyond its log--> made anew
 *                          \--another is asked for, no room--> none: the one asked longest ago
 */

/* Room for so many domains of a key, cleared. */
static int column_reserve(struct mu_terms *terms, struct mu_sum *sum, struct mu_sum_column *column,
                          uint32_t domains)
{
    if (domains > column->cap) {
        uint32_t cap = domains + domains / 8;
        int64_t *sums = mu_mem_calloc(cap, sizeof *sums);
        if (sums == NULL)
            return MU_ENOMEM;
        mu_mem_free(column->sums);
        terms->sum_bytes -= column->cap * sizeof *sums;
        terms->sum_bytes += cap * sizeof *sums;
        sum->bytes -= column->cap * sizeof *sums;
        sum->bytes += cap * sizeof *sums;
        column->sums = sums;
        column->cap = cap;
    }
    memset(column->sums, 0, column->cap * sizeof *column->sums);
    return 0;
}

static void sum_free(struct mu_terms *terms, struct mu_sum *sum)
{
    for (uint32_t c = 0; c < MU_TOPOLOGIES_MAX; c++)
        mu_mem_free(sum->columns[c].sums);
    mu_mem_free(sum->parts);
    MU_ASSERT(terms->sum_bytes >= sum->bytes);
    terms->sum_bytes -= sum->bytes;
    memset(sum, 0, sizeof *sum);
}

void mu_sums_drop(struct mu_terms *terms)
{
    for (uint32_t i = 0; i < MU_SUMS_MAX; i++)
        sum_free(terms, &terms->sums[i]);
}

/* All others go while they take too much together. */
static void sums_fit(struct mu_terms *terms, const struct mu_sum *kept)
{
    for (uint32_t i = 0; i < MU_SUMS_MAX && terms->sum_bytes > MU_SUM_BYTES_MAX; i++)
        if (&terms->sums[i] != kept)
            sum_free(terms, &terms->sums[i]);
}

int mu_sum_add(struct mu_terms *terms, struct mu_sum *sum, uint32_t census, int64_t weight)
{
    if (mu_terms_track(terms, census) == NULL)
        return MU_ENOMEM;
    void *array = sum->parts;
    uint32_t cap = sum->part_cap;
    if (mu_mem_grow(&array, &cap, sum->part_count + 1, MU_SUM_PARTS_MAX, sizeof *sum->parts) != 0)
        return MU_ENOMEM;
    sum->parts = array;
    sum->bytes += (cap - sum->part_cap) * sizeof *sum->parts;
    terms->sum_bytes += (cap - sum->part_cap) * sizeof *sum->parts;
    sum->part_cap = cap;
    sum->parts[sum->part_count++] = (struct mu_sum_part){.census = census, .weight = weight};
    return 0;
}

/* Sum up all parts. */
static int sum_make(struct mu_terms *terms, struct mu_sum *sum)
{
    const struct mu_snapshot *s = terms->snapshot;
    uint32_t domains[MU_TOPOLOGIES_MAX] = {0};
    sum->made = false;
    for (uint32_t p = 0; p < sum->part_count; p++) {
        const struct mu_census *census = &s->censuses[sum->parts[p].census];
        MU_ASSERT(census->topology < MU_TOPOLOGIES_MAX);
        uint32_t *most = &domains[census->topology];
        *most = census->domain_count > *most ? census->domain_count : *most;
    }
    sum->keys = 0;
    for (uint32_t t = 0; t < MU_TOPOLOGIES_MAX; t++) {
        if (domains[t] == 0)
            continue;
        sum->keys |= UINT64_C(1) << t;
        if (column_reserve(terms, sum, &sum->columns[t], domains[t]) != 0)
            return MU_ENOMEM;
    }
    for (uint32_t p = 0; p < sum->part_count; p++) {
        struct mu_sum_part *part = &sum->parts[p];
        const struct mu_census *census = &s->censuses[part->census];
        int64_t *sums = sum->columns[census->topology].sums;
        part->moves = terms->tracked[part->census]->moves;
        if (census->total == 0)
            continue;
        terms->cells += census->domain_count;
        for (uint32_t d = 0; d < census->domain_count; d++)
            sums[d] += part->weight * census->counts[d];
    }
    sum->made = true;
    sums_fit(terms, sum);
    return 0;
}

/* True when all parts were near enough to follow. */
static bool sum_follow(struct mu_terms *terms, struct mu_sum *sum)
{
    for (uint32_t p = 0; p < sum->part_count; p++) {
        struct mu_sum_part *part = &sum->parts[p];
        const struct mu_tracked *t = terms->tracked[part->census];
        if (t->moves == part->moves)
            continue;
        if (t->moves - part->moves > MU_TERMS_MOVES)
            return false;
        int64_t *sums = sum->columns[terms->snapshot->censuses[part->census].topology].sums;
        for (; part->moves < t->moves; part->moves++, terms->cells++) {
            uint32_t move = t->log[part->moves & (MU_TERMS_MOVES - 1)];
            sums[mu_move_domain(move)] += mu_move_sign(move) * part->weight;
        }
    }
    return true;
}

struct mu_sum *mu_sum_find(struct mu_terms *terms, struct mu_class_ix class_ix,
                           struct mu_kin_ix kin, bool spread, bool *known)
{
    struct mu_sum *oldest = &terms->sums[0];
    for (uint32_t i = 0; i < MU_SUMS_MAX; i++) {
        struct mu_sum *sum = &terms->sums[i];
        *known = sum->session == terms->session && sum->class_ix.v == class_ix.v &&
                 sum->kin.v == kin.v && sum->spread == spread;
        if (*known) {
            sum->used = ++terms->sum_stamp;
            return sum;
        }
        oldest = sum->used < oldest->used ? sum : oldest;
    }
    oldest->session = 0;
    oldest->part_count = 0;
    oldest->made = false;
    oldest->class_ix = class_ix;
    oldest->kin = kin;
    oldest->spread = spread;
    oldest->used = ++terms->sum_stamp;
    return oldest;
}

int mu_sum_rows(struct mu_terms *terms, struct mu_sum *sum, int64_t *rows)
{
    const struct mu_snapshot *s = terms->snapshot;
    if (!sum->made || !sum_follow(terms, sum)) {
        int error = sum_make(terms, sum);
        if (error != 0)
            return error;
    }
    memset(rows, 0, s->node_rows * sizeof *rows);
    terms->cells += sum->part_count;
    for (uint64_t left = sum->keys; left != 0; left &= left - 1) {
        uint32_t topology = (uint32_t)__builtin_ctzll(left);
        const int64_t *sums = sum->columns[topology].sums;
        const uint32_t *column = s->topology[topology];
        terms->cells += s->node_rows;
        for (uint32_t row = 0; row < s->node_rows; row++)
            rows[row] += column[row] == MU_NONE ? 0 : sums[column[row]];
    }
    return 0;
}
