#ifndef MU_ENGINE_SESSION_PACK_H
#define MU_ENGINE_SESSION_PACK_H
/*
 * Whether items of a few types fit into bins of several dimensions, exactly or within a budget of
 * steps: what is left to ask about a gang when laying it out greedily has failed.
 *
 * Items of a type are alike; each type belongs to a part. Wanted is a choice of items that has
 * part_need[p] of each part at least, and `need` in all, and a bin for each of them. No item that
 * is placed ever makes it worse, so that bins can be filled one after the other, each with a
 * *maximal* pattern: so many items of each type that no other one would fit beside them.
 *
 * 1. Reduce. Room beyond what all items together ask for is cut off; bins that are then alike form
 *    a group, of which as many matter as there are items. A bin does not matter when as many
 *    others as there are items are at least as good in everything.
 * 2. Refute. Let every type have a price that is not negative. What must be placed is worth w at
 *    least, and a bin's best pattern v at most; it is NO when all v together are below w. Price 1
 *    for one type counts its places; for a set of types this is Hall's condition; for all that ask
 *    for more than some threshold it counts the large ones; an amount as the price is the sum of a
 *    resource, without what no pattern can use.
 * 3. Search. Depth first over the bins, those that take the fewest types and the smallest ones
 *    first, largest items first within a bin; bounds as in 2 at every step; what failed is
 *    remembered by (bin, items left).
 *
 * The answer is a function of the question and the budget. Bins come in an order of the caller's
 * that breaks ties.
 */
#include "engine/base/arena.h"
#include "engine/limits.h"

#define MU_PACK_TYPES_MAX 16u

struct mu_pack_type {
    uint32_t count; /* items; at least 1 */
    uint32_t part;
    int64_t demand[MU_RESOURCES_MAX]; /* by dimension; not negative; one above 0 at least */
};
struct mu_pack {
    uint32_t dim_count;
    uint32_t type_count;
    uint32_t part_count;
    uint32_t need; /* at most all items, and at least all part_need together */
    uint32_t part_need[MU_SUBGROUPS_MAX];
    struct mu_pack_type types[MU_PACK_TYPES_MAX];
    uint32_t bin_count;
    const uint32_t *bin_types; /* by bin: a bit per type that may go there */
    int64_t *bin_free;         /* by bin, dim_count each; scratch: changed by the call */
};
enum mu_pack_answer { MU_PACK_FIT, MU_PACK_NO, MU_PACK_UNDECIDED };
/* So many items of a type go into a bin. */
struct mu_pack_put {
    uint32_t bin, type, count;
};
struct mu_pack_result {
    enum mu_pack_answer answer;
    uint32_t put_count; /* FIT: at most one for each item */
    const struct mu_pack_put *puts;
    uint64_t steps; /* patterns looked at */
};

/* Answer. `arena` takes what is needed on the way and the result. Errors: MU_ENOMEM.
 * Cost: O(bins * types * dimensions) and O(groups squared) up to a bound, then the steps, each
 * O(types * (dimensions + prices)). */
int mu_pack_solve(const struct mu_pack *pack, uint64_t step_budget, struct mu_arena *arena,
                  struct mu_pack_result *out);

#endif
