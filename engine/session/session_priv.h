#ifndef MU_ENGINE_SESSION_SESSION_PRIV_H
#define MU_ENGINE_SESSION_SESSION_PRIV_H
/*
 * Inside a session: what its rooms share.
 *
 *   session/session.c         life, the run over the queue, admission, the plan
 *   session/layout.c  laying a gang out: in which order its members come, and onto which nodes
 *   session/topology.c  within one domain of a node label
 *   session/reserve.c what a gang without room means for those behind it
 *   session/search.c  whether any way exists, where those that are tried fail
 *   session/run.c     many pods alike at once: lone ones in the queue, members of a gang
 *   session/known.c   what is known not to fit: counts of room by class, memos, twins
 *   session/preempt.c who leaves for a gang that finds no room
 *   session/wait.c    why a gang waits, for the plan
 *   session/end.c     gangs that are bound in part, and when that ends
 */
#include "engine/base/arena.h"
#include "engine/session/pack.h"
#include "engine/place/place.h"
#include "engine/session/queue.h"
#include "engine/preempt/preempt.h"
#include "engine/session/session.h"

/* How a gang's members are laid out: in which order, and onto which of the nodes that fit. The
 * first is the rule. Where it fails the others are tried, and success is its own proof: by name is
 * what a plain first-fit pass does, largest first is what packing wants. */
enum mu_layout_way {
    MU_BY_SCORE,
    MU_BY_NAME,
    MU_LARGEST_BY_SCORE,
    MU_LARGEST_BEST_FIT,
    MU_LAYOUT_WAYS
};

/* A gang that did not fit the untouched snapshot, and when that is known to hold still. */
struct mu_session_memo {
    bool valid;
    bool uniform; /* members of one class, no held room: less room never helps it. Of any other
                   * gang that may be short, engine/place/place.h remembers by class */
    uint32_t generation, revision;
    bool undecided;
    uint64_t search_steps;      /* undecided: that a search might make */
    uint64_t search_used;       /* that it made */
    uint64_t domain_generation; /* of its pack_key; 0: none */
    uint64_t snapshot_generation, static_generation, capacity_generation;
    struct mu_place_pod failed;
};

/* How often a gang, as it is now, was searched for without an answer: each time is given more
 * steps, and after the last one the snapshot must change. Not a cache, but a part of what a run
 * depends on. */
struct mu_session_effort {
    uint32_t generation, revision;
    uint32_t tries;
    uint64_t snapshot_generation; /* of the last try */
};

/* The last gang of this run that did not fit, and the room that was taken then. */
struct mu_session_misfit {
    uint32_t gang; /* MU_NONE: none yet */
    uint32_t size;
    uint32_t taken;
    bool undecided;
    struct mu_place_pod failed;
};

/* Why the last pod with reasons of its own did not fit: in the plan's arena. */
struct mu_session_refusals {
    struct mu_class_ix class_ix;
    const struct mu_refusals *refusals; /* NULL: none yet */
};

struct mu_session {
    struct mu_session_config config;
    struct mu_profile profile;
    struct mu_arena *arena;
    struct mu_place *place;
    struct mu_preempt *preempt;
    uint32_t now_s;           /* since 1970 */
    uint32_t evictions_max;   /* pods, of each run */
    bool evictions_any_first; /* the first gang of a run may need more */
    uint32_t evictions_left;  /* pods, in this run */
    bool evictions_begun;     /* by this run */
    uint32_t *nodes;          /* scratch: the row of each member of the gang in hand, or MU_NONE */
    uint16_t *devices;        /* scratch: and which of the row's devices */
    uint32_t *order; /* scratch: its members in the order of the attempt, within sub-groups */
    struct mu_session_memo *memos;
    uint32_t memo_cap;
    uint64_t model_serial; /* of the memos and efforts */
    struct mu_session_effort *efforts;
    uint32_t effort_cap;
    struct mu_arena *scratch; /* of one search */
    uint64_t search_left;     /* steps of searches that this run may still make */
    /* The run in hand. */
    struct mu_snapshot *snapshot;
    uint64_t now_ns;
    struct mu_session_misfit misfit;
    struct mu_session_refusals kept;
    struct mu_gang_ix blocked_by; /* strict; MU_NONE: nobody */
    uint64_t *kept_rows;          /* kept for gangs before: a bit per row; NULL: none are */
    struct mu_gang_ix kept_for;   /* the last one of them; MU_NONE: none */
    uint32_t reservation_count;
    struct mu_gang_ix costliest;
    uint64_t costliest_looks;
    struct mu_plan *plan;
    struct mu_plan_gang *gangs;
    struct mu_plan_wait *waits;
    struct mu_plan_end *ends; /* NULL: there is none yet */
    /* Runs: binds that are allocated and not used; a pod of which the last run ended for want of
     * room, class MU_NONE: none. */
    struct mu_plan_bind *spare_binds;
    uint32_t spare_bind_count;
    struct mu_place_pod run_failed;
};

/* The gang in hand. */
struct mu_attempt {
    uint32_t gang;
    const struct mu_gang_row *row;
    const struct mu_gang_block *block;
    uint32_t size;
    uint32_t placed; /* members given a node in this run */
    uint32_t steps;
    bool out_of_steps;
    enum mu_layout_way way;
    /* MU_BY_NAME, MU_LARGEST_BEST_FIT: the last pick of this layout, MU_NONE: none. */
    struct mu_class_ix last_class;
    uint32_t last_row;
    struct mu_class_ix run_over; /* of this layout: no more of it fit; MU_NONE: none */
    uint64_t search_steps;       /* that a search for it may make */
    uint64_t search_used;        /* that it made */
    bool search_ran_out;         /* without an answer */
    bool search_cut;             /* the run had no more steps for it */
    bool undecided;              /* it was not placed, and may fit all the same */
    struct mu_place_pod failed;  /* first member that found no node, or one of the class that is
                                 * short; class MU_NONE: none yet */
};

static inline struct mu_place_pod mu_session_pod(const struct mu_gang_member *member)
{
    return (struct mu_place_pod){member->class_ix, member->kin};
}
/* Members that must find a node for the gang to be placed; at most member_count of its block. */
uint32_t mu_session_need(const struct mu_attempt *a);

/* The gang goes into the plan, as session->nodes say; `found`: with these victims, or NULL. Errors:
 * MU_ENOMEM. */
int mu_session_gang_add(struct mu_session *session, const struct mu_attempt *a,
                        const struct mu_preempt_found *found);
/* Find victims for a gang that was not laid out, and put it into the plan with them. *done false:
 * it waits. Errors: MU_ENOMEM. */
int mu_session_preempt(struct mu_session *session, struct mu_attempt *a, bool *done);

/* ---- waiting (session/wait.c) ---- */

/* The gang waits; the caller fills in what else there is to say. */
struct mu_plan_wait *mu_session_wait(struct mu_session *session, uint32_t gang,
                                     enum mu_wait_kind kind);
/* It waits because a->failed found no node, undecided or not. Not within a trial. Errors:
 * MU_ENOMEM. */
int mu_session_wait_no_fit(struct mu_session *session, const struct mu_attempt *a);

/* ---- gangs bound in part (session/end.c) ---- */

/* Before it is tried: true when it is not to be, and what becomes of it is in the plan. */
bool mu_session_ends_at_once(struct mu_session *session, uint32_t gang, int *error);
/* It waits: if it is bound in part it is ended, or the plan's next_ns says when. Errors: MU_ENOMEM.
 */
int mu_session_end_due(struct mu_session *session, uint32_t gang);

/* ---- what is known not to fit (session/known.c) ---- */

/* Members of one class (and no held room), which no rule about other pods concerns: greedy misses
 * nothing, every node's slots count. */
bool mu_session_uniform(const struct mu_session *session, const struct mu_attempt *a);
/* A gang of mixed classes fits in no way when of some class more members must be placed than the
 * cluster has room for, were it empty of the others. *is_short then, and a->failed is the first
 * such class. Errors: MU_ENOMEM. */
int mu_session_short(struct mu_session *session, struct mu_attempt *a, bool *is_short);
/* True when the gang is known not to fit what is there now, and a->failed says why: it did not fit
 * before, or one made alike did not. */
bool mu_session_memo_recall(struct mu_session *session, struct mu_attempt *a);
bool mu_session_twin_recall(const struct mu_session *session, struct mu_attempt *a);
/* It does not fit what is there now: it speaks for the next one if that is made alike. */
void mu_session_misses(struct mu_session *session, const struct mu_attempt *a);
/* Steps for the gang's next search, 0: none; and note that it ran out of them. Best effort. */
uint64_t mu_session_effort_steps(const struct mu_session *session, const struct mu_attempt *a);
void mu_session_effort_more(struct mu_session *session, const struct mu_attempt *a);
/* The gang does not fit, and why. Best effort: without memory it is not remembered. */
void mu_session_memo_remember(struct mu_session *session, const struct mu_attempt *a);

/* ---- runs (session/run.c) ---- */

/* Gangs are looked at in the order of the queue, their blocks lie where they were made: while one
 * is decided, those behind it are loaded, step by step along the pointers. */
static inline void mu_session_fetch_ahead(const struct mu_snapshot *snapshot,
                                          const struct mu_queue *queue, uint32_t i)
{
    if (i + 24 < queue->count)
        __builtin_prefetch(&snapshot->gangs[queue->rows[i + 24]]);
    if (i + 16 < queue->count)
        __builtin_prefetch(snapshot->gangs[queue->rows[i + 16]].block);
    if (i + 8 >= queue->count)
        return;
    const struct mu_gang_block *block = snapshot->gangs[queue->rows[i + 8]].block;
    if (block != NULL) {
        __builtin_prefetch(block->members);
        __builtin_prefetch(block->subgroups);
    }
}
/* Decide the lone pods alike that stand in the queue from place i on, as far as they fit: *taken of
 * them, 0 where there is no such run. Errors: MU_ENOMEM. */
int mu_session_lone_run(struct mu_session *session, const struct mu_queue *queue, uint32_t i,
                        uint32_t *taken);
/* Give the members alike from place i of the order on the best nodes, one after the other, `most`
 * of them and as far as they fit: *taken. Errors: MU_ENOMEM; nothing is taken. */
int mu_session_members_run(struct mu_session *session, struct mu_attempt *a, uint32_t i,
                           uint32_t most, uint32_t *taken);

/* ---- laying out (session/layout.c) ---- */

/* Lay the minimum out, in one domain of the gang's pack_key if it has one: as the rule is and,
 * where the gang is `mixed` (of several classes, or with rules about other pods or held room), in
 * other ways then, or as a search has found. session->nodes and devices say where each member goes;
 * what follows is placed in that domain, until mu_session_place_beyond() or mu_place_within(). On
 * success the trial stays open, and members beyond may follow; else nothing is taken, a->failed is
 * the first member that found no node, and a->undecided says whether there may be a way all the
 * same. Errors: MU_ENOMEM, nothing taken. */
int mu_session_lay_out(struct mu_session *session, struct mu_attempt *a, bool mixed, bool *done);
/* The same without regard to domains, on the nodes in hand. */
int mu_session_lay_out_here(struct mu_session *session, struct mu_attempt *a, bool mixed,
                            bool *done);
/* Give member m the best node, if any and if it has none yet. Errors: MU_ENOMEM. */
int mu_session_member_place(struct mu_session *session, struct mu_attempt *a, uint32_t m);

/* ---- domains (session/topology.c) ---- */

/* The number of a topology key; MU_NONE: it has none, as where no node has the label. */
uint32_t mu_session_topology(const struct mu_snapshot *snapshot, struct mu_symbol key);
/* Place the members beyond, each on its own: in the domain of the gang where it is laid out in one,
 * and then, if it need not stay there, anywhere. Errors: MU_ENOMEM. */
int mu_session_place_beyond(struct mu_session *session, struct mu_attempt *a);

/* ---- those behind (session/reserve.c) ---- */

/* The gang waits for room, or is undecided: what follows from it for the rest of the run. Errors:
 * MU_ENOMEM. Cost: O(1), and O(rows * classes + rows log rows) where nodes are kept for it. */
int mu_session_held_up(struct mu_session *session, const struct mu_attempt *a);

/* ---- searching (session/search.c) ---- */

struct mu_session_found {
    struct mu_pack_result result; /* UNDECIDED also where it cannot be asked */
    const uint32_t *row_of;       /* by bin */
    const uint8_t *type_of;       /* by member */
};
/* Whether the minimum fits in some way, and how. Valid until the next search. Nothing is taken.
 * Errors: MU_ENOMEM. Cost: O(rows) and the steps, a->search_steps at most. */
int mu_session_search(struct mu_session *session, struct mu_attempt *a,
                      struct mu_session_found *out);
/* Take what was found, within the open trial; nothing of the gang is placed. *done: all of it fits
 * beside what is kept for nominated pods. Errors: MU_ENOMEM, with some of it taken. */
int mu_session_take_found(struct mu_session *session, struct mu_attempt *a,
                          const struct mu_session_found *found, bool *done);

#endif
