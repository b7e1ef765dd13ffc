#ifndef MU_ENGINE_PLACE_SCAN_H
#define MU_ENGINE_PLACE_SCAN_H
/*
 * The inner loops of placement, over blocks of 64 entries of flat columns. An entry is a node row,
 * or a summary of 64 entries one level below (engine/place/room.h): the same loops serve both,
 * because a summary has the same columns.
 *
 * The bodies are plain C without branches, written once and compiled for several instruction sets;
 * mu_scan_best() picks at run time. All variants give the same bits.
 */
#include <stdbool.h>
#include <stdint.h>
#include "engine/place/score.h"
#include "engine/place/sizes.h"
#include "engine/snapshot.h"

/* Levels of 64-fold summaries over node rows, rows themselves included (engine/place/room.h). */
#define MU_LEVELS_MAX 4u
_Static_assert(MU_NODES_MAX <= 64u * 64 * 64 * 64, "the top level is one block");

/* What a class asks of a node, ready for scanning. */
struct mu_scan_demand {
    int64_t amount; /* > 0, of paddings < 0 */
    uint32_t resource;
};
/* Its cost in a form of the score: requests and padding in units by slot, and
 * mu_score_weight_limit() of them. */
struct mu_scan_cost {
    uint32_t slot;
    bool padded;          /* larger weights than `limit` may be of nodes where it fits */
    int64_t units, limit; /* units > 0 */
};
struct mu_scan_need {
    uint32_t form_count;
    uint32_t cost_count[MU_SCORE_FORMS];
    struct mu_scan_cost costs[MU_SCORE_FORMS][MU_SCORE_SLOTS];
    /* What the class prefers, by entry of each level, the largest of those below; in score units,
     * >= 0. NULL: nothing. */
    const int32_t *pref[MU_LEVELS_MAX];
    /* The same for what depends on the pods placed, which the caller keeps current. A level of
     * which it keeps none (NULL) is taken to have bonus_max throughout; level 0 NULL: nothing. */
    const int64_t *bonus[MU_LEVELS_MAX];
    int64_t bonus_max;
    uint32_t count;         /* resources to compare, pods included */
    uint32_t padding_count; /* behind them: taken without being asked for, amounts < 0 */
    struct mu_scan_demand demands[];
};

/* Columns of one level. Padded to whole blocks, 64-byte aligned. */
struct mu_scan_columns {
    uint32_t level;
    const int64_t *free[MU_RESOURCES_MAX];
    /* By form: the node's term of the key; the largest of a summary's entries; -1: hole. */
    const int64_t *base[MU_SCORE_FORMS];
    /* Two forms, levels >= 1: the largest of a row's smaller term. */
    const int64_t *both;
    /* The smallest of a summary's entries, where `sizes` is NULL; else by block, as in
     * engine/place/sizes.h, with the slots of the score. */
    const int64_t *weight[MU_SCORE_FORMS][MU_SCORE_SLOTS];
    const int64_t *const *sizes;
    uint32_t slot_count;
};
/* The weights of the 64 entries at `begin`. */
static inline const int64_t *mu_scan_weights(const struct mu_scan_columns *columns, uint32_t form,
                                             uint32_t slot, uint32_t begin)
{
    if (columns->sizes == NULL)
        return columns->weight[form][slot] + begin;
    return columns->sizes[begin / MU_NODE_CHUNK] + mu_sizes_weight(columns->slot_count, form, slot);
}

/* Keys of one class by row, and above each block of MU_SCAN_TREE entries the largest, level by
 * level up to a single block. Fewer entries to a block than in a scan: a path is climbed for every
 * single placement, and a block is then two loads. */
#define MU_SCAN_TREE        16u
#define MU_SCAN_TREE_LEVELS 6u
struct mu_scan_tree {
    uint32_t level_count;
    int64_t *keys[MU_SCAN_TREE_LEVELS];  /* whole blocks, 64-byte aligned */
    uint32_t *rows[MU_SCAN_TREE_LEVELS]; /* levels >= 1: the row that has the key */
    bool (*wins_tie)(const void *context, uint32_t a, uint32_t b); /* of rows with equal keys */
    const void *context;
};
_Static_assert(MU_NODES_MAX <= 1u << 24, "six levels of 16 hold all rows");
/* The row behind an entry. */
static inline uint32_t mu_scan_tree_row(const struct mu_scan_tree *tree, uint32_t level,
                                        uint32_t entry)
{
    return level == 0 ? entry : tree->rows[level][entry];
}

struct mu_scan_room;
struct mu_scan_ops {
    const char *name;
    /* Keys of the 64 entries at `begin`: out[i] = key where bit i of mask is set and all amounts
     * fit, else MU_SCORE_KEY_NONE. Returns the largest. */
    int64_t (*keys)(const struct mu_scan_need *need, const struct mu_scan_columns *columns,
                    uint32_t begin, uint64_t mask, int64_t out[MU_NODE_CHUNK]);
    /* Largest, smallest of 64 values. */
    int64_t (*max)(const int64_t values[MU_NODE_CHUNK]);
    int64_t (*min)(const int64_t values[MU_NODE_CHUNK]);
    /* Bit i: values[i] == value; values[i] < value. */
    uint64_t (*equal)(const int64_t values[MU_NODE_CHUNK], int64_t value);
    uint64_t (*less)(const int64_t values[MU_NODE_CHUNK], int64_t value);
    /* Node terms of 64 rows in one form, from terms of the same rows: mu_score_base() with the tie
     * that is in them. A hole's, -1, stays. */
    void (*bases)(const struct mu_scan_room *room, int64_t terms[MU_NODE_CHUNK]);
    /* The largest of the smaller of each pair. */
    int64_t (*max_of_min)(const int64_t a[MU_NODE_CHUNK], const int64_t b[MU_NODE_CHUNK]);
    /* The key of a row has changed: store it, and the best of each block on the way up. Returns the
     * best row of all, or MU_NONE. */
    uint32_t (*climb)(const struct mu_scan_tree *tree, uint32_t row, int64_t key);
    /* The best of the block of a tree's `level` that begins at entry `begin`: its row, and its key
     * in *key; MU_NONE and MU_SCORE_KEY_NONE where there is none. */
    uint32_t (*tree_best)(const struct mu_scan_tree *tree, uint32_t level, uint32_t begin,
                          int64_t *key);
};
/* Inputs of `bases`: 64 of each slot that the form has. */
struct mu_scan_room {
    uint32_t slot_count;
    struct {
        const int64_t *free, *alloc, *weight;
        int shift;
        bool padded; /* `free` may count as far below 0 as `alloc` is above */
    } slots[MU_SCORE_SLOTS];
    int64_t offset;
};

/* The variants that this machine can run, best first; NULL behind the last one. Static storage.
 * Thread: any. */
const struct mu_scan_ops *mu_scan_variant(uint32_t n);
static inline const struct mu_scan_ops *mu_scan_best(void)
{
    return mu_scan_variant(0);
}

#endif
