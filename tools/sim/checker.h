#ifndef MU_TOOLS_SIM_CHECKER_H
#define MU_TOOLS_SIM_CHECKER_H
/*
 * The invariants, checked by a second, naive implementation: plain lists of raw objects, strings
 * compared as strings, everything recomputed from scratch. It shares the decoder with the scheduler
 * and nothing else: no DB, no classes, no session code.
 *
 *   view    what the scheduler has been shown (its reflectors' objects): decisions are judged by
 *           what it could know (I2, I9, I11, the gang's minimum)
 *   server  what the API server holds: what really happened (I1, I2 against late writes, I3 and I5
 *           by what the journal has when a write lands, I4)
 *
 * One thread. Violations are collected, never fatal: the caller prints seed and step.
 */
#include "engine/db/db.h"
#include "informer/binder.h"

struct mu_checker; /* opaque */

struct mu_violation {
    char invariant[4]; /* "I4" */
    uint64_t step;
    char what[200];
};

struct mu_checker_config {
    struct mu_str scheduler_name; /* ours; borrowed for the checker's life */
    uint64_t gang_deadline_ns; /* I4: longest time that a completable gang may stay partly bound */
};
struct mu_checker *mu_checker_create(const struct mu_checker_config *config);
void mu_checker_destroy(struct mu_checker *checker);
/* The step that violations found from now on belong to. */
void mu_checker_step(struct mu_checker *checker, uint64_t step);

/* The scheduler's view (struct mu_scheduler_observer calls these). */
void mu_checker_view_object(struct mu_checker *checker, enum mu_db_kind kind, struct mu_str raw,
                            bool removed);
void mu_checker_view_relist(struct mu_checker *checker, enum mu_db_kind kind, bool done);
void mu_checker_decision(struct mu_checker *checker, struct mu_db *db,
                         const struct mu_plan_gang *gang);
/* A session has just ended, on what the view shows now: whether its victims are whole units of
 * lower priority that make room for the whole gang, and as few as possible (I5, I6). */
void mu_checker_plan(struct mu_checker *checker, struct mu_db *db, const struct mu_plan *plan);
/* A gang was admitted whose victims go first. */
void mu_checker_preemption(struct mu_checker *checker, struct mu_db *db,
                           const struct mu_plan_gang *gang);
/* The scheduler of this incarnation has taken the journal over, with this epoch: nothing of lower
 * ones may land from now on (I3). */
void mu_checker_opened(struct mu_checker *checker, uint64_t incarnation, uint64_t epoch);
/* The scheduler ended, or stands still; its successor has seen and decided nothing. */
void mu_checker_restart(struct mu_checker *checker);
void mu_checker_outcome(struct mu_checker *checker, struct mu_str uid, enum mu_bind_result result);

/* The server's truth, whole, after something changed: begin, every object, end. */
void mu_checker_server_begin(struct mu_checker *checker);
int mu_checker_server_object(struct mu_checker *checker, enum mu_db_kind kind, struct mu_str raw);
/* A disruption budget. */
void mu_checker_server_budget(struct mu_checker *checker, struct mu_str raw);
/* A ConfigMap; those of the journal say what may land (I3, I5). */
void mu_checker_server_map(struct mu_checker *checker, struct mu_str raw);
void mu_checker_server_end(struct mu_checker *checker, uint64_t now_ns);

/* At rest (no faults, nothing in flight): nothing that would fit may be pending (I8), no gang may
 * be partly bound that could be completed (I4), and the DB equals the server (I7). */
void mu_checker_rest(struct mu_checker *checker, uint64_t db_digest);

uint32_t mu_checker_violations(const struct mu_checker *checker,
                               const struct mu_violation **violations);

#endif
