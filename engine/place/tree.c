#include "engine/place/tree.h"

#include <string.h>

#include "engine/base/assert.h"
#include "engine/base/error.h"
#include "engine/base/mem.h"

#define BLOCK MU_SCAN_TREE

void mu_tree_free(struct mu_scan_tree *tree, uint32_t *cap)
{
    for (uint32_t l = 0; l < MU_SCAN_TREE_LEVELS; l++) {
        mu_mem_free(tree->keys[l]);
        mu_mem_free(tree->rows[l]);
    }
    memset(tree, 0, sizeof *tree);
    *cap = 0;
}

int mu_tree_reserve(struct mu_scan_tree *tree, uint32_t *cap, uint32_t leaves)
{
    if (*cap >= leaves && *cap > 0)
        return 0;
    mu_tree_free(tree, cap);
    uint32_t entries = leaves > 0 ? leaves : 1;
    bool complete = true;
    for (uint32_t l = 0; l < MU_SCAN_TREE_LEVELS && complete; l++) {
        uint32_t blocks = (entries + BLOCK - 1) / BLOCK;
        tree->keys[l] = mu_mem_zalloc_aligned(64, blocks * BLOCK * sizeof(int64_t));
        if (l > 0)
            tree->rows[l] = mu_mem_calloc(blocks * BLOCK, sizeof(uint32_t));
        complete = tree->keys[l] != NULL && (l == 0 || tree->rows[l] != NULL);
        entries = blocks;
    }
    if (!complete) {
        mu_tree_free(tree, cap);
        return MU_ENOMEM;
    }
    *cap = leaves > 0 ? leaves : 1;
    return 0;
}

uint32_t mu_tree_build(struct mu_scan_tree *tree, const struct mu_scan_ops *ops, uint32_t leaves)
{
    uint32_t entries = leaves;
    int64_t key;
    for (uint32_t l = 0;; l++) {
        uint32_t blocks = (entries + BLOCK - 1) / BLOCK;
        tree->level_count = l + 1;
        MU_ASSERT(tree->level_count <= MU_SCAN_TREE_LEVELS && blocks > 0);
        if (blocks == 1)
            break;
        for (uint32_t b = 0; b < blocks; b++)
            tree->rows[l + 1][b] = ops->tree_best(tree, l, b * BLOCK, &tree->keys[l + 1][b]);
        for (uint32_t e = blocks; e % BLOCK != 0; e++) /* nothing below */
            tree->keys[l + 1][e] = MU_SCORE_KEY_NONE;
        entries = blocks;
    }
    return ops->tree_best(tree, tree->level_count - 1, 0, &key);
}
