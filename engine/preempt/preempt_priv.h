#ifndef MU_ENGINE_PREEMPT_PREEMPT_PRIV_H
#define MU_ENGINE_PREEMPT_PREEMPT_PRIV_H
/*
 * Inside preemption:
 *
 *   preempt/preempt.c         which way, what is remembered, the answer
 *   preempt/row.c     what one class finds on one row once some pods have left it
 *   preempt/order.c   candidates in the order of importance, classified by budgets
 *   preempt/lone.c    one pod: each node by itself
 *   preempt/slots.c   one class: slots, orders, swaps
 *   preempt/exact.c   one class and a few units: every subset that could be the best
 *   preempt/mixed.c   any gang: by laying it out
 */
#include "engine/device.h"
#include "engine/preempt/preempt.h"
#include "engine/preempt/victim.h"

#define MU_PREEMPT_HEAPS 16u
#define MU_PREEMPT_NONES 256u

/* The amounts of a class that one row has, as pods leave it and come back. */
struct mu_row_room {
    uint32_t row;
    uint32_t share;
    bool tracked;                 /* the class asks for devices that the row tracks */
    struct mu_device_row devices; /* where tracked */
    int64_t *room;                /* by demand of the need */
};
/* A class as rows are judged for it. */
struct mu_row_need {
    const struct mu_class *class_;
    uint32_t count; /* demands, pods the last */
    uint32_t resources[MU_RESOURCES_MAX + 1];
    int64_t amounts[MU_RESOURCES_MAX + 1];
};

/* A row as one pod's candidate. The key is its cost, then the node's tie and the row: of two the
 * lower one, number by number, comes first. */
#define MU_LONE_COST_WORDS 3u
struct mu_lone_row {
    uint64_t key[MU_LONE_COST_WORDS + 1];
    uint32_t stamp; /* of the row when this was found: another one, and it is outdated */
};
/* All rows for one class and priority. */
struct mu_lone_heap {
    uint64_t session; /* 0: not in use */
    uint64_t used;    /* for reuse of the one that was used longest ago */
    uint64_t class_id;
    uint32_t class_ix;
    int32_t priority;
    uint32_t seen; /* entries of the list of touched rows that it knows */
    uint32_t row_cap, count, cap;
    uint32_t *stamps; /* by row */
    struct mu_lone_row *rows;
};

/* A unit with pods on the row that is being judged. */
struct mu_row_unit {
    uint32_t unit;
    uint32_t violations;
    uint32_t begin, end; /* its pods there: row_pods[begin .. end) */
    bool victim;
};

/* What a gang found last. */
struct mu_preempt_memo {
    bool none;
    bool shrinks; /* less room helps it never */
    uint32_t generation, revision;
    uint64_t static_generation, capacity_generation, term_generation, occupant_generation;
    uint64_t snapshot_generation;
    uint32_t now_s;
    uint32_t resume; /* row at which a search that ran out of steps goes on; 0: from the start */
};

struct mu_preempt_none {
    uint64_t session; /* 0: none */
    uint32_t touched; /* rows that victims had left by then */
    uint32_t class_ix, need, pack_key, flags;
    int32_t priority;
};

struct mu_preempt {
    struct mu_preempt_config config;
    struct mu_preempt_counts counts;
    const struct mu_snapshot *snapshot;
    uint64_t model_serial; /* of the memos */
    uint64_t session;
    uint32_t now_s;
    bool built;        /* the index is of this session */
    bool leaving_gone; /* a trial is open in which those who leave already are gone */
    struct mu_victims victims;
    struct mu_arena *arena; /* of the search in hand */
    struct mu_preempt_memo *memos;
    uint32_t memo_cap;
    /* Rows that victims of this session have left. */
    uint32_t *touched;
    uint32_t touched_count, touched_cap;
    struct mu_lone_heap heaps[MU_PREEMPT_HEAPS];
    uint64_t heap_clock;
    struct mu_row_unit *row_units; /* of the row judged last */
    uint32_t row_unit_count, row_unit_cap;
    /* The answer in hand: units, in the order of evicting. */
    uint32_t *chosen;
    uint32_t chosen_count, chosen_cap;
    struct mu_preempt_cost cost;
    /* Marks of units, by number: 0 unless a search says otherwise. */
    uint8_t *marks;
    uint8_t *picked; /* in `chosen` */
    uint32_t *violations;
    uint32_t mark_cap;
    /* By class: a gang of one class for which nobody helped in this session. Nor for one that asks
     * for as much and may do no more. */
    struct mu_preempt_none nones[MU_PREEMPT_NONES];
    /* Steps of this run, of gangs in their order and of those whose turn it is; who asked so far;
     * from which one on it is their turn, in this run and the next (0: in the order). */
    uint64_t spent, spent_in_turn;
    uint32_t asked, turn, next_turn;
    bool refuted; /* the search in hand: there is not room enough, whoever leaves; */
    bool ran_out; /* some rows are left for another time */
};

/* What a gang asks for, seen once for all ways. */
struct mu_preempt_gang {
    const struct mu_preempt_ask *ask;
    const struct mu_gang_row *row;
    uint32_t need;           /* members to place */
    bool uniform;            /* of one class, no held room, no rule about other pods */
    struct mu_place_pod pod; /* uniform, or need 1: of the first member */
    uint32_t member;         /* need 1: the one member it can be, MU_NONE: one of several */
    uint32_t steps;          /* left */
};

/* ---- preempt/preempt.c ---- */

void mu_cost_init(struct mu_preempt_cost *cost);
void mu_cost_add(struct mu_preempt_cost *cost, const struct mu_victim_unit *unit,
                 uint32_t violations);
/* The answer in hand is empty; one unit more. Errors: MU_ENOMEM. */
void mu_preempt_choose_none(struct mu_preempt *p);
int mu_preempt_choose(struct mu_preempt *p, uint32_t unit);
/* Evict, in the open trial: one unit's pods; all who leave already. Errors: MU_ENOMEM. */
int mu_preempt_evict_unit(struct mu_preempt *p, struct mu_place *place, uint32_t unit);
int mu_preempt_evict_leaving(struct mu_preempt *p, struct mu_place *place);
/* True, and the steps are gone from the budget, while there are so many. */
static inline bool mu_preempt_step(struct mu_preempt_gang *gang, uint64_t steps)
{
    bool enough = gang->steps >= steps;
    gang->steps = enough ? gang->steps - (uint32_t)steps : 0;
    return enough;
}

/* The gang's memo, of whoever was in its row last; NULL: there is no memory for it. */
struct mu_preempt_memo *mu_preempt_memo(struct mu_preempt *p, const struct mu_preempt_gang *gang);
/* Steps that are taken whether there are any left or not. */
static inline void mu_preempt_walk(struct mu_preempt *p, uint64_t steps)
{
    p->counts.steps += steps;
}

/* ---- preempt/order.c ---- */

/* Sort keys by (high, low), ascending and stable. `room`: as many again. Cost: O(count) a digit
 * that is not the same in all. */
struct mu_unit_key {
    uint64_t high;
    uint32_t low;
    uint32_t unit;
};
void mu_unit_keys_sort(struct mu_unit_key *keys, struct mu_unit_key *room, uint32_t count);
/* Bring units into the order of importance, the least first, and behind them those that violate a
 * budget, in the same order; p->violations says how often. Errors: MU_ENOMEM. */
int mu_preempt_order(struct mu_preempt *p, uint32_t *units, uint32_t count);

/* ---- preempt/row.c ---- */

void mu_row_need_of(const struct mu_snapshot *snapshot, struct mu_class_ix class_ix,
                    struct mu_row_need *out);
/* What a pod of the class takes of a resource. */
int64_t mu_row_amount(const struct mu_class *class_, uint32_t resource);
/* What is free on a row, with those that leave it gone. `room` has need->count entries. */
void mu_row_room_open(const struct mu_preempt *p, const struct mu_row_need *need, uint32_t row,
                      int64_t *room, struct mu_row_room *out);
/* A pod of the row leaves (1) or is back (-1). */
void mu_row_room_move(const struct mu_preempt *p, const struct mu_row_need *need,
                      struct mu_row_room *r, const struct mu_victim_pod *pod, int sign);
/* How many pods of the class fit, at most `most`. */
int64_t mu_row_room_slots(const struct mu_row_need *need, const struct mu_row_room *r,
                          int64_t most);

/* Whether there would be room for `want` pods of the class, each by itself, if all units below this
 * priority left: what rules about other pods say is not asked. Errors: MU_ENOMEM. Cost: O(rows +
 * pods of rows that somebody could leave), less where there is. */
int mu_row_enough(struct mu_preempt *p, struct mu_place *place, struct mu_place_pod pod,
                  int32_t priority, uint32_t want, bool *enough);

/* ---- the ways: the answer is in p->chosen, p->cost; *outcome says which ---- */

int mu_preempt_lone(struct mu_preempt *p, struct mu_preempt_gang *gang,
                    enum mu_preempt_outcome *outcome, uint32_t *row);
/* Whether nobody still helps a lone pod for which nobody helped when `touched` rows were. */
bool mu_preempt_lone_none(struct mu_preempt *p, const struct mu_preempt_gang *gang,
                          uint32_t touched);
int mu_preempt_slots(struct mu_preempt *p, struct mu_preempt_gang *gang,
                     enum mu_preempt_outcome *outcome);
int mu_preempt_mixed(struct mu_preempt *p, struct mu_preempt_gang *gang,
                     enum mu_preempt_outcome *outcome);

#endif
