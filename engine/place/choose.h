#ifndef MU_ENGINE_PLACE_CHOOSE_H
#define MU_ENGINE_PLACE_CHOOSE_H
/*
 * Which of the exact methods finds the best node of a class, by what they have been seen to cost.
 *
 *     search   the summaries that all classes share (engine/place/room.h): nothing to keep current
 *     bounds   the class's own (engine/place/bound.h): what changed since its last pod is looked at
 *     tree     its key on every row (engine/place/hot.h): what changed is climbed, and there are
 * few trees ranks    one tree for each kind of node, for all classes (engine/place/rank.h): what
 * changed is climbed once; says nothing where the best of a kind does not take the class
 *
 * Costs are counted, not timed: blocks visited and changes missed, at so many nanoseconds each.
 * Each class keeps a running mean of what a search and a walk of its bounds visit; the one that it
 * has not used for a while is thought of ever more kindly, so that it is tried again: the more
 * seldom, the dearer it was. A tree is built once what it would have saved adds up to what building
 * it costs, as one who rents skis buys them when the rent adds up to their price: never more than
 * twice what the best choice would have cost. Ranks are asked when what they would save, times the
 * part of a class's questions that they answered lately, has added up to what bringing them up to
 * date costs. The methods agree on the answer, so nothing that is remembered here shows in a plan.
 */
#include "engine/place/bound.h"
#include "engine/place/hot.h"
#include "engine/place/rank.h"

/* What is remembered of a class. Zero-initialised. */
struct mu_choose_class {
    uint64_t changes;     /* of the room when it was last picked for */
    uint64_t saved;       /* what a tree would have saved since one was built, ns */
    uint32_t search_mean; /* blocks visited by a search and by its bounds, in 1/16 */
    uint32_t bounds_mean;
    uint32_t slot;   /* of its bounds */
    uint32_t silent; /* of its questions, ranks left so many unanswered lately, in 1/256 */
    bool met;
};
struct mu_choose {
    struct mu_hot hot;
    struct mu_bounds bounds;
    struct mu_rank rank;
    uint64_t rank_saved;  /* what ranks would have saved since they were last asked, ns */
    uint32_t search_mean; /* of all classes: what a new one is thought to cost */
    uint64_t by_tree, by_search, by_bounds, by_rank, trees_built;
};

void mu_choose_init(struct mu_choose *choose);
void mu_choose_fini(struct mu_choose *choose);
void mu_choose_drop(struct mu_choose *choose);
/* The best row for a class, or MU_NONE; the answer of mu_room_best(). `mask` is the class's own;
 * taste is another whenever its preferences are; and `need` has no bonus. Memory that is short only
 * makes it slower. */
uint32_t mu_choose_best(struct mu_choose *choose, struct mu_room *room,
                        struct mu_choose_class *class_, uint64_t class_id, uint64_t taste,
                        const struct mu_scan_need *need, const struct mu_filter_mask *mask);

#endif
