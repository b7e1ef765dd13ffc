#include "engine/place/place_priv.h"

#include "engine/base/assert.h"
#include "engine/base/bitset.h"

/*
 * Placing on a part of the nodes: those of one domain, less those that are kept for others. They
 * are a bitmap over rows, which is laid over the mask of whatever is picked; the search over all
 * summaries heeds masks, so that the answer is that of a naive scan over the part. What the part
 * has no room for the whole may have: that a class fits nowhere is not remembered meanwhile. That
 * it fits nowhere in the whole holds for each part.
 */

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
        w->cut.rows[begin / MU_NODE_CHUNK] = bits;
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
    if (mu_mask_cut_reserve(&w->cut, place->snapshot->node_rows) != 0) {
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
    mu_mask_cut_fini(&place->within.cut);
}

void mu_place_within_cut(struct mu_place *place, const struct mu_place_class *known,
                         const struct mu_filter_mask **mask)
{
    struct mu_place_within *w = &place->within;
    const struct mu_filter_mask *whole = *mask;
    *mask = &w->cut.mask;
    /* The class's own mask is the same as long as its version is; others change with the counts. */
    if (w->of == whole && whole == known->mask && w->cut.mask.version == whole->version)
        return;
    uint32_t rows = place->snapshot->node_rows;
    for (size_t i = 0; i < MU_BITSET_WORDS(rows > 0 ? rows : 1); i++)
        w->cut.words[i] = whole->bits[0][i] & w->cut.rows[i];
    mu_mask_cut_seal(&w->cut, whole, rows);
    w->of = whole == known->mask ? whole : NULL;
}
