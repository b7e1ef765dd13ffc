#include "engine/model/named.h"

#include <stdlib.h>

#include "engine/base/assert.h"

enum named_by { BY_NAME, BY_HOSTNAME };

static uint64_t node_key(enum named_by by, struct mu_symbol symbol)
{
    return (uint64_t)by << 32 | symbol.v;
}

static int compare(const void *a, const void *b)
{
    const struct mu_named_term *x = a, *y = b;
    if (x->node != y->node)
        return x->node < y->node ? -1 : 1;
    return (x->term > y->term) - (x->term < y->term);
}

static uint32_t looks_of(const struct mu_node_term_item *term)
{
    return 1 + term->labels.count + term->names.count;
}

uint32_t mu_named_looks(const struct mu_affinity *affinity)
{
    uint32_t looks = 1;
    for (uint32_t i = 0; i < affinity->term_count; i++)
        looks += looks_of(&affinity->terms[i]);
    return looks;
}

/* The first requirement of a term by which it names nodes; NULL: it has none. */
static const struct mu_requirement_item *naming(const struct mu_node_term_item *term,
                                                struct mu_symbol hostname_key, enum named_by *by)
{
    for (uint32_t i = 0; i < term->names.count; i++) {
        *by = BY_NAME;
        if (term->names.items[i].op == MU_OP_IN)
            return &term->names.items[i];
    }
    for (uint32_t i = 0; i < term->labels.count; i++) {
        const struct mu_requirement_item *item = &term->labels.items[i];
        *by = BY_HOSTNAME;
        if (item->op == MU_OP_IN && item->key.v == hostname_key.v)
            return item;
    }
    return NULL;
}

void mu_named_make(struct mu_named *named, const struct mu_model *model,
                   const struct mu_affinity *affinity)
{
    const struct mu_labels_view empty =
        mu_model_labels(model, (struct mu_label_set_ix){0}, (struct mu_symbol){0});
    named->affinity = affinity;
    named->count = named->rest_count = 0;
    MU_ASSERT(affinity->term_count <= MU_SELECTOR_TERMS_MAX);
    for (uint32_t t = 0; t < affinity->term_count; t++) {
        enum named_by by;
        const struct mu_requirement_item *item =
            naming(&affinity->terms[t], empty.hostname_key, &by);
        if (item == NULL) {
            named->rest[named->rest_count++] = t;
            continue;
        }
        for (uint32_t v = 0; v < item->value_count; v++) {
            MU_ASSERT(named->count < MU_VALUES_MAX);
            named->terms[named->count++] = (struct mu_named_term){node_key(by, item->values[v]), t};
        }
    }
    qsort(named->terms, named->count, sizeof *named->terms, compare);
}

/* Whether a term holds that names this node. */
static bool named_holds(const struct mu_named *named, uint64_t node, const struct mu_model *model,
                        const struct mu_labels_view *labels, struct mu_symbol name, uint64_t *looks)
{
    uint32_t low = 0, high = named->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (named->terms[middle].node < node)
            low = middle + 1;
        else
            high = middle;
    }
    for (; low < named->count && named->terms[low].node == node; low++) {
        const struct mu_node_term_item *term = &named->affinity->terms[named->terms[low].term];
        *looks += looks_of(term);
        if (mu_node_term_holds(model, term, labels, name))
            return true;
    }
    return false;
}

bool mu_named_selects(const struct mu_named *named, const struct mu_model *model,
                      const struct mu_labels_view *labels, struct mu_symbol name, uint64_t *looks)
{
    struct mu_affinity bare = *named->affinity;
    bare.has_terms = false;
    bare.term_count = 0;
    *looks += 1;
    if (!mu_affinity_selects(model, &bare, labels, name))
        return false;
    /* A hostname label without a value is among the others, and its symbol is 0, as here. */
    if (!named->affinity->has_terms ||
        named_holds(named, node_key(BY_NAME, name), model, labels, name, looks) ||
        named_holds(named, node_key(BY_HOSTNAME, labels->hostname), model, labels, name, looks))
        return true;
    for (uint32_t i = 0; i < named->rest_count; i++) {
        const struct mu_node_term_item *term = &named->affinity->terms[named->rest[i]];
        *looks += looks_of(term);
        if (mu_node_term_holds(model, term, labels, name))
            return true;
    }
    return false;
}
