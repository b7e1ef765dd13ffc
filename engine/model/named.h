#ifndef MU_ENGINE_MODEL_NAMED_H
#define MU_ENGINE_MODEL_NAMED_H
/*
 * The terms of a node affinity by the nodes that they name.
 *
 * Terms are alternatives, and one that asks for a hostname or a node's name among some values can
 * hold on no other node. A thousand of them, each for a node of its own, would be looked at for
 * every node; from here a node finds those that name it. What names nobody is left to look at.
 */
#include "engine/limits.h"
#include "engine/model/model.h"

struct mu_named_term {
    uint64_t node; /* what is named (hostname or name) and its symbol */
    uint32_t term;
};
struct mu_named {
    const struct mu_affinity *affinity;
    uint32_t count;      /* of `terms`, sorted by node */
    uint32_t rest_count; /* terms that name nobody */
    uint32_t rest[MU_SELECTOR_TERMS_MAX];
    struct mu_named_term terms[MU_VALUES_MAX];
};

/* Sort the terms of an affinity, which must outlive this. Cost: O(values * log values). */
void mu_named_make(struct mu_named *named, const struct mu_model *model,
                   const struct mu_affinity *affinity);
/* The answer of mu_affinity_selects(). *looks rises by the requirements that may have been looked
 * at. Cost: O(log values + requirements of the terms that name the node, or nobody). */
bool mu_named_selects(const struct mu_named *named, const struct mu_model *model,
                      const struct mu_labels_view *labels, struct mu_symbol name, uint64_t *looks);
/* Requirements of all terms: what one look at every term costs at most. */
uint32_t mu_named_looks(const struct mu_affinity *affinity);

#endif
