#ifndef MU_TESTS_SUPPORT_ORACLE_H
#define MU_TESTS_SUPPORT_ORACLE_H
/*
 * The naive twin of a session: the rules of engine/place/filter.h, engine/place/score.h,
 * engine/session/queue.h and engine/session/session.h written down once more, row by row and gang
 * by gang, with nothing remembered and nothing shared with the engine but the model's content. Slow
 * on purpose.
 */
#include "engine/plan.h"
#include "engine/session/session.h"
#include "tests/support/oracle_device.h"

/* First filter that refuses, by the snapshot's present free amounts, with all that it says. */
struct mu_verdict mu_oracle_verdict(const struct mu_snapshot *snapshot, const struct mu_class *c,
                                    uint32_t row);
void mu_oracle_count(struct mu_refusals *refusals, struct mu_verdict verdict);
/* What preferences are normalised by: the most soft taints, and the most weight of preferred terms,
 * among the rows that pass the static filters; nodes, and those that have each image of the class,
 * with all but the ten highest binary digits 0. */
struct mu_oracle_scale {
    int64_t taints, affinity;
    int64_t nodes, having[MU_IMAGES_PER_POD];
};
/* The score of a row for a class, less what is the same for all rows. */
int64_t mu_oracle_score(const struct mu_snapshot *snapshot, const struct mu_profile *profile,
                        const struct mu_class *c, uint32_t row, struct mu_oracle_scale scale);
/* The best row for a class, or MU_NONE. */
uint32_t mu_oracle_pick(const struct mu_snapshot *snapshot, const struct mu_profile *profile,
                        struct mu_class_ix class_ix);
/* Take (1) or give back (-1) the room of one pod, with these devices of the row. */
void mu_oracle_move(struct mu_snapshot *snapshot, struct mu_class_ix class_ix, uint32_t row,
                    uint16_t devices, int sign);
/* The same for a pod that asks for no devices there. */
void mu_oracle_charge(struct mu_snapshot *snapshot, struct mu_class_ix class_ix, uint32_t row,
                      int sign);
/* Take the room of one pod, with the devices that it gets under the profile: these. */
uint16_t mu_oracle_take(struct mu_snapshot *snapshot, const struct mu_profile *profile,
                        struct mu_class_ix class_ix, uint32_t row);
#define MU_ORACLE_SLOTS_MAX 4096u /* places that a gang looks for at once */

/* What a session has to decide. */
struct mu_oracle_gang {
    bool placed;    /* in the plan's gangs; else the wait below */
    uint32_t order; /* place in the queue */
    uint32_t size;
    uint32_t *nodes;   /* row per pending member of its block, MU_NONE: none */
    uint16_t *devices; /* and which of its devices */
    struct mu_plan_wait wait;
    struct mu_refusals refusals;
};
struct mu_oracle_plan {
    uint32_t gang_rows;
    struct mu_oracle_gang *gangs; /* by gang row */
    uint64_t next_ns;
};
/* Decide over `snapshot`, which is as before on return. Where no layout places a gang and `found`
 * does, by a search, its nodes are taken if the gang may have them; where neither does and the gang
 * is small, all ways are tried, and it is a failure if one exists. Free with mu_oracle_plan_fini.
 */
void mu_oracle_session(struct mu_snapshot *snapshot, const struct mu_profile *profile,
                       uint64_t now_ns, const struct mu_plan *found, struct mu_oracle_plan *out);
void mu_oracle_plan_fini(struct mu_oracle_plan *plan);
/* True when the two agree in everything; else says on stderr where they differ. */
bool mu_oracle_plan_equal(const struct mu_snapshot *snapshot, const struct mu_oracle_plan *want,
                          const struct mu_plan *got);

#endif
