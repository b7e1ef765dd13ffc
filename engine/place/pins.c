#include "engine/place/place_priv.h"

#include <stdlib.h>

#include "engine/base/assert.h"
#include "engine/base/bitset.h"
#include "engine/base/mem.h"

/*
 * Rows by name and by hostname, for classes that are pinned to one of either: a DaemonSet has a pod
 * for each node, and each of those is a class that only its node is looked at for.
 *
 * An entry is a symbol and a row in one word, and the entries are sorted, so that the rows of a
 * symbol stand together and ascend. They are made at the first pick of a pinned class, and brought
 * up to date at the first of a session: entries of rows that have changed are dropped, those rows'
 * new ones sorted and merged in.
 *
 *     none --pinned pick--> current --rows change--> behind --pinned pick--> current
 *     any --another model (mu_place_begin), more rows, too many changes, no memory--> none
 *
 * Without memory for them everything works by a look at each row, as before they were made.
 */
enum pin_kind { PIN_NAME, PIN_HOSTNAME };

static uint64_t entry_of(struct mu_symbol symbol, uint32_t row)
{
    return (uint64_t)symbol.v << 32 | row;
}

void mu_place_pins_fini(struct mu_place_pins *pins)
{
    for (int k = 0; k < MU_PLACE_PIN_KINDS; k++)
        mu_mem_free(pins->entries[k]);
    mu_mem_free(pins->fresh);
    mu_mem_free(pins->changed);
    *pins = (struct mu_place_pins){0};
}

static int entry_compare(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* The entry of a row; 0: it has none. */
static uint64_t entry_at(const struct mu_snapshot *s, int kind, uint32_t row)
{
    const struct mu_node_static *n = &s->nodes[row];
    const struct mu_symbol symbol = kind == PIN_NAME ? n->name : n->hostname;
    if (row >= s->node_rows || (n->flags & MU_NODE_PRESENT) == 0 || symbol.v == 0)
        return 0;
    return entry_of(symbol, row);
}

static bool make(struct mu_place_pins *pins, const struct mu_snapshot *s)
{
    mu_place_pins_fini(pins);
    pins->fresh = mu_mem_calloc(MU_STATIC_CHANGED_MAX, sizeof *pins->fresh);
    pins->changed = mu_mem_calloc(MU_BITSET_WORDS(s->node_cap + 1), sizeof *pins->changed);
    bool made = pins->fresh != NULL && pins->changed != NULL;
    for (int k = 0; k < MU_PLACE_PIN_KINDS && made; k++) {
        pins->entries[k] = mu_mem_calloc((size_t)s->node_cap + 1, sizeof *pins->entries[k]);
        made = pins->entries[k] != NULL;
        for (uint32_t row = 0; row < s->node_rows && made; row++) {
            const uint64_t entry = entry_at(s, k, row);
            pins->entries[k][pins->count[k]] = entry;
            pins->count[k] += entry != 0;
        }
        if (made)
            qsort(pins->entries[k], pins->count[k], sizeof *pins->entries[k], entry_compare);
    }
    if (!made)
        mu_place_pins_fini(pins);
    return made;
}

/* Rows of `fresh`, each once, have other entries than before. */
static void merge(struct mu_place_pins *pins, const struct mu_snapshot *s, int k,
                  const uint32_t *rows, uint32_t row_count)
{
    uint64_t *entries = pins->entries[k];
    uint32_t kept = 0, fresh = 0;
    for (uint32_t i = 0; i < pins->count[k]; i++) {
        entries[kept] = entries[i];
        kept += !mu_bitset_test(pins->changed, (uint32_t)entries[i]);
    }
    for (uint32_t i = 0; i < row_count; i++) {
        const uint64_t entry = entry_at(s, k, rows[i]);
        pins->fresh[fresh] = entry;
        fresh += entry != 0;
    }
    qsort(pins->fresh, fresh, sizeof *pins->fresh, entry_compare);
    uint32_t end = 0; /* a row may be listed more than once */
    for (uint32_t i = 0; i < fresh; i++)
        if (i == 0 || pins->fresh[i] != pins->fresh[end - 1])
            pins->fresh[end++] = pins->fresh[i];
    pins->count[k] = kept + end;
    MU_ASSERT(pins->count[k] <= s->node_cap);
    while (end > 0) { /* from behind: nothing is written over that is still to be read */
        const bool old = kept > 0 && entries[kept - 1] > pins->fresh[end - 1];
        entries[kept + end - 1] = old ? entries[kept - 1] : pins->fresh[end - 1];
        kept -= old;
        end -= !old;
    }
}

static bool is_listed(const struct mu_place_pins *pins, const struct mu_snapshot *s)
{
    return s->static_changed != NULL && s->static_changed_count <= MU_STATIC_CHANGED_MAX &&
           pins->static_generation >= s->static_base &&
           pins->static_generation <= s->static_generation;
}

bool mu_place_pins_current(struct mu_place *place)
{
    struct mu_place_pins *pins = &place->pins;
    const struct mu_snapshot *s = place->snapshot;
    if (pins->session == place->session)
        return true;
    const bool same = pins->entries[0] != NULL && pins->row_cap == s->node_cap;
    if (same && pins->static_generation != s->static_generation && is_listed(pins, s)) {
        for (uint32_t i = 0; i < s->static_changed_count; i++)
            mu_bitset_assign(pins->changed, s->static_changed[i], true);
        for (int k = 0; k < MU_PLACE_PIN_KINDS; k++)
            merge(pins, s, k, s->static_changed, s->static_changed_count);
        for (uint32_t i = 0; i < s->static_changed_count; i++)
            mu_bitset_assign(pins->changed, s->static_changed[i], false);
    } else if ((!same || pins->static_generation != s->static_generation) && !make(pins, s)) {
        return false;
    }
    pins->row_cap = s->node_cap;
    pins->static_generation = s->static_generation;
    pins->session = place->session;
    return true;
}

struct mu_place_pin_rows mu_place_pin_rows(const struct mu_place *place,
                                           const struct mu_place_class *known, uint32_t begin)
{
    const struct mu_place_pins *pins = &place->pins;
    const int k = known->only_name.v != 0 ? PIN_NAME : PIN_HOSTNAME;
    const struct mu_symbol symbol = k == PIN_NAME ? known->only_name : known->hostname;
    const uint64_t first = entry_of(symbol, begin);
    MU_ASSERT(mu_place_pinned(known) && pins->session == place->session);
    uint32_t low = 0, high = pins->count[k];
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (pins->entries[k][middle] < first)
            low = middle + 1;
        else
            high = middle;
    }
    return (struct mu_place_pin_rows){pins->entries[k] + low, pins->entries[k] + pins->count[k],
                                      symbol};
}
