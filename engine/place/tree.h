#ifndef MU_ENGINE_PLACE_TREE_H
#define MU_ENGINE_PLACE_TREE_H
/*
 * A tree of keys (struct mu_scan_tree): its memory, and building it from its leaves. A changed leaf
 * is climbed by engine/place/scan.h. An entry of level l + 1 is the best of MU_SCAN_TREE entries of
 * level l: its key, and the leaf that has it; the leaf counts as the row in the names of that
 * struct.
 */
#include "engine/place/scan.h"

/* Room for `leaves` leaves; what was in the tree is lost where it has to grow. *cap: leaves that it
 * has room for, 0 at first. Errors: MU_ENOMEM; the tree is then empty and *cap 0. */
int mu_tree_reserve(struct mu_scan_tree *tree, uint32_t *cap, uint32_t leaves);
void mu_tree_free(struct mu_scan_tree *tree, uint32_t *cap);
/* Levels above the leaves [0, leaves), whose keys are there, MU_SCORE_KEY_NONE up to the end of the
 * block; at least one leaf. Returns the best leaf, or MU_NONE. Cost: O(leaves). */
uint32_t mu_tree_build(struct mu_scan_tree *tree, const struct mu_scan_ops *ops, uint32_t leaves);

#endif
