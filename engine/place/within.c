#include "engine/place/place_priv.h"

#include <string.h>

#include "engine/base/assert.h"
#include "engine/base/bitset.h"
#include "engine/base/mem.h"

/*
 * Placing on a part of the nodes: those of one domain, less those that are kept for others. They
 * are a bitmap over rows, which is laid over the mask of whatever is picked; the search over all
 * summaries heeds masks, so that the answer is that of a naive scan over the part. What the part
 * has no room for the whole may have: that a class fits nowhere is not remembered meanwhile. That
 * it fits nowhere in the whole holds for each part.
 */

static int reserve(struct mu_place_within *w, uint32_t rows)
{
    if (w->words != NULL && rows <= w->row_cap)
        return 0;
    uint32_t cap = rows + rows / 8 + 64;
    size_t entries = cap, total = 0;
    for (uint32_t l = 0; l < MU_LEVELS_MAX; l++)
        total += entries = MU_BITSET_WORDS(entries);
    uint64_t *words = mu_mem_calloc(total, sizeof *words);
    uint64_t *part = mu_mem_calloc(MU_BITSET_WORDS(cap), sizeof *part);
    if (words == NULL || part == NULL) {
        mu_mem_free(words);
        mu_mem_free(part);
        return MU_ENOMEM;
    }
    mu_mem_free(w->words);
    mu_mem_free(w->rows);
    w->words = words;
    w->rows = part;
    w->row_cap = cap;
    return 0;
}

/* The rows of the part, anew. */
static void rows_choose(struct mu_place *place)
{
    struct mu_place_within *w = &place->within;
    const struct mu_snapshot *s = place->snapshot;
    for (uint32_t begin = 0; begin < s->node_rows; begin += MU_NODE_CHUNK) {
        uint64_t bits = UINT64_MAX;
        uint32_t end = s->node_rows - begin < MU_NODE_CHUNK ? s->node_rows - begin : MU_NODE_CHUNK;
        if (w->topology != MU_NONE) {
            bits = 0;
            for (uint32_t i = 0; i < end; i++)
                bits |= (uint64_t)(s->topology[w->topology][begin + i] == w->domain) << i;
        }
        if (w->kept != NULL)
            bits &= ~w->kept[begin / MU_NODE_CHUNK];
        w->rows[begin / MU_NODE_CHUNK] = bits;
    }
}

static int part_set(struct mu_place *place)
{
    struct mu_place_within *w = &place->within;
    w->of = NULL;
    place->bonus.session = 0; /* it is about the rows of a mask */
    w->on = w->topology != MU_NONE || w->kept != NULL;
    if (!w->on)
        return 0;
    if (reserve(w, place->snapshot->node_rows) != 0) {
        w->topology = MU_NONE;
        w->kept = NULL;
        w->on = false;
        return MU_ENOMEM;
    }
    rows_choose(place);
    return 0;
}

int mu_place_within(struct mu_place *place, uint32_t topology, uint32_t domain)
{
    MU_ASSERT(place->snapshot != NULL &&
              (topology == MU_NONE || topology < place->snapshot->topology_count));
    if (topology == MU_NONE && place->within.topology == MU_NONE)
        return 0;
    place->within.topology = topology;
    place->within.domain = domain;
    return part_set(place);
}

int mu_place_without(struct mu_place *place, const uint64_t *rows)
{
    MU_ASSERT(place->snapshot != NULL);
    if (rows == NULL && place->within.kept == NULL)
        return 0;
    place->within.kept = rows;
    return part_set(place);
}

bool mu_place_is_within(const struct mu_place *place)
{
    return place->within.on;
}

void mu_place_within_begin(struct mu_place *place)
{
    struct mu_place_within *w = &place->within;
    w->topology = MU_NONE;
    w->kept = NULL;
    w->on = false;
    w->of = NULL;
}

void mu_place_within_fini(struct mu_place *place)
{
    mu_mem_free(place->within.words);
    mu_mem_free(place->within.rows);
}

void mu_place_within_cut(struct mu_place *place, const struct mu_place_class *known,
                         const struct mu_filter_mask **mask)
{
    struct mu_place_within *w = &place->within;
    const struct mu_filter_mask *whole = *mask;
    *mask = &w->mask;
    /* The class's own mask is the same as long as its version is; others change with the counts. */
    if (w->of == whole && whole == known->mask && w->mask.version == whole->version)
        return;
    uint32_t rows = place->snapshot->node_rows;
    size_t count = MU_BITSET_WORDS(rows > 0 ? rows : 1);
    uint64_t *below = w->words;
    for (size_t i = 0; i < count; i++)
        below[i] = whole->bits[0][i] & w->rows[i];
    w->mask = *whole;
    w->mask.bits[0] = below;
    for (uint32_t l = 1; l < MU_LEVELS_MAX; l++) {
        uint64_t *above = below + count;
        size_t above_count = MU_BITSET_WORDS(count);
        memset(above, 0, above_count * sizeof *above);
        for (size_t i = 0; i < count; i++)
            above[i / 64] |= (uint64_t)(below[i] != 0) << i % 64;
        w->mask.bits[l] = below = above;
        count = above_count;
    }
    w->of = whole == known->mask ? whole : NULL;
}
