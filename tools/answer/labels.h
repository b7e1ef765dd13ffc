#ifndef MU_TOOLS_ANSWER_LABELS_H
#define MU_TOOLS_ANSWER_LABELS_H
/* Which labels a node would need for a pod's node selector and required node affinity. */
#include "engine/model/model.h"

#define MU_LABEL_WANTS_MAX 64u

struct mu_label_want {
    struct mu_str key;
    struct mu_str value;
    bool absent;     /* the label has to go */
    char digits[24]; /* where value is made up */
};

/* The fewest changes of a node's labels with which it matches, of those that one term of the
 * affinity asks for. A node's name and its hostname label are what they are. False: no labels do
 * it, or more than MU_LABEL_WANTS_MAX requirements are to be looked at. Cost: O(requirements
 * squared). */
bool mu_labels_wanted(const struct mu_model *model, const struct mu_affinity *affinity,
                      const struct mu_labels_view *labels, struct mu_symbol name,
                      struct mu_label_want wants[MU_LABEL_WANTS_MAX], uint32_t *count);

#endif
