#ifndef MU_ENGINE_PLACE_RANK_H
#define MU_ENGINE_PLACE_RANK_H
/*
 * Ranks: one tree of node terms for each kind of node, which serves all classes at once.
 *
 * With one form, and without preferences, a key is base(row) - cost(class, weights of the row)
 * (engine/place/score.h). A *kind* is the rows whose weights are equal: a class costs the same on
 * all of them, so that they rank alike for every class, by base alone. The root of the kind's tree
 * is its largest base. For a class and a kind
 *
 *     the root's row fits                  its key is the largest of the kind: exact
 *     a cost is beyond the coefficient     no row of the kind has so much: nothing there fits
 *     else                                 no key of the kind is above the root's
 *
 * and the best over the kinds is exact unless a kind of the third sort may have a larger one. Then
 * there is no answer from here, and the caller searches. Spreading, the emptiest node of a kind
 * nearly always fits: a pick looks at a row for each kind, a placement climbs one path, however
 * many classes there are. Packing, it nearly never does.
 *
 * Trees follow the room's log of changes, as those of engine/place/hot.h do. Where rows have more
 * than MU_RANK_KINDS different weights there are no ranks. A row whose weights have changed moves
 * to the kind that has them, into its spare leaves; its old leaf stays empty. When there is no such
 * kind or no spare leaf, all is built anew.
 */
#include "engine/place/room.h"
#include "engine/place/tree.h"

#define MU_RANK_KINDS 32u

struct mu_rank_kind {
    int64_t weights[MU_SCORE_SLOTS];
    const struct mu_room *room; /* for ties */
    struct mu_scan_tree tree;   /* of bases, by leaf */
    uint32_t cap;               /* leaves that there is room for */
    uint32_t count;             /* of them in use */
    uint32_t *rows;             /* by leaf */
    uint32_t best;              /* leaf, or MU_NONE */
    int64_t best_base;
};
struct mu_rank {
    bool built;
    uint64_t epoch;   /* of the room that it was built from */
    uint64_t changes; /* of the room, up to which it is current */
    uint64_t refused; /* epoch of the room that has too many kinds */
    uint32_t kind_count;
    struct mu_rank_kind kinds[MU_RANK_KINDS];
    uint32_t *leaf; /* by row: kind above LEAF_BITS, leaf; MU_NONE: a hole */
    uint32_t row_cap;
};

void mu_rank_init(struct mu_rank *rank);
void mu_rank_fini(struct mu_rank *rank);
/* Forget all, keep the memory. */
void mu_rank_drop(struct mu_rank *rank);
/* Whether ranks can answer for a class in this room at all. */
bool mu_rank_serves(const struct mu_rank *rank, const struct mu_room *room,
                    const struct mu_scan_need *need);
/* Changes that it has to be brought up to date with; UINT64_MAX: it has to be built. */
uint64_t mu_rank_missing(const struct mu_rank *rank, const struct mu_room *room);
/* Errors: MU_ENOMEM; MU_ELIMIT: too many kinds. It is then not built. Cost: O(rows). */
int mu_rank_build(struct mu_rank *rank, const struct mu_room *room);
/* Bring it up to date and look. True: *row is the best row of the class, the answer of
 * mu_room_best(), MU_NONE included. False: to be found by other means. It is built,
 * mu_rank_serves() the class, and no more than MU_ROOM_LOG changes are missing.
 * Cost: O(changes * levels + kinds * requests). */
bool mu_rank_best(struct mu_rank *rank, const struct mu_room *room, const struct mu_scan_need *need,
                  const struct mu_filter_mask *mask, uint32_t *row);

#endif
