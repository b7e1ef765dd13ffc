/*
 * The audit in idle time: the DB recomputes what it has summed up, slice by slice, repairs what is
 * wrong and counts it (stats.db.audit_drift). Drift is a defect of ours; it is logged as one.
 *
 *   resting --something changed--> a round: a slice every AUDIT_PACE_NS --all looked at--> resting
 *
 * Only changes can bring drift, so a DB that has not changed since a round began is not audited
 * again: an idle scheduler burns no CPU. Where a session is due, a slice waits; but work without
 * end would put it off for ever, so after AUDIT_PATIENCE_NS it has its turn.
 *
 * A slice takes some tens of microseconds (64 nodes with their pods), below one part in a hundred
 * of a core; a million nodes take under three minutes.
 *
 * All of this holds where idle time is spare time. Under virtual time it is not: between two
 * changes there is always time for a whole round, and the rounds would be most of the work. There a
 * round begins after as many changes as the one before took slices (config.audit_by_changes), which
 * is a slice for each change, however far apart they are.
 *
 * What the DB had to leave out or found to contradict is counted (stats.db) and named once, when it
 * begins: from then on the counts tell.
 */
#include "engine/base/log.h"
#include "tools/scheduler/scheduler_priv.h"

enum { AUDIT_ROWS = 64 };
#define AUDIT_PACE_NS     (10 * MU_NS_PER_MS)
#define AUDIT_PATIENCE_NS MU_NS_PER_S
#define AUDIT_LOG_NS      MU_NS_PER_S /* at most one line in so long */

void mu_audit_wake(struct mu_scheduler *s, uint64_t generation)
{
    struct mu_db_counts counts;
    if (s->audit_ns != UINT64_MAX || generation == s->audit_generation)
        return;
    if (s->config.audit_by_changes && generation - s->audit_generation < s->audit_slices)
        return;
    mu_db_counts(s->db, &counts);
    s->audit_ns = s->now_ns + AUDIT_PACE_NS;
    s->audit_late_ns = s->now_ns + AUDIT_PATIENCE_NS;
    s->audit_generation = generation;
    s->audit_rounds = counts.audit_rounds;
    s->audit_slices = 0;
}

void mu_audit_note(struct mu_scheduler *s, const struct mu_db_counts *counts)
{
    if (counts->limit_reduced != 0 && !s->reduced_named) {
        s->reduced_named = true;
        mu_log(MU_LOG_WARN, "parts of objects are left out: what depends on them waits",
               MU_F_U64("limit_reduced", counts->limit_reduced), MU_F_END);
    }
    if (counts->device_conflicts != 0 && !s->conflicts_named) {
        s->conflicts_named = true;
        mu_log(MU_LOG_WARN, "bound pods name devices that their nodes lack or gave to others",
               MU_F_U64("device_conflicts", counts->device_conflicts), MU_F_END);
    }
}

static void tell(struct mu_scheduler *s, const struct mu_db_counts *counts)
{
    if (counts->audit_drift == s->audit_told || s->now_ns < s->audit_log_ns)
        return;
    mu_log(MU_LOG_ERROR, "sums were wrong: repaired",
           MU_F_U64("found", counts->audit_drift - s->audit_told),
           MU_F_U64("in_all", counts->audit_drift), MU_F_U64("rounds", counts->audit_rounds),
           MU_F_END);
    s->audit_told = counts->audit_drift;
    s->audit_log_ns = s->now_ns + AUDIT_LOG_NS;
}

void mu_audit_tick(struct mu_scheduler *s, bool busy)
{
    struct mu_db_counts counts;
    if (s->now_ns < s->audit_ns)
        return;
    s->audit_ns = s->now_ns + AUDIT_PACE_NS;
    if (busy && s->now_ns < s->audit_late_ns)
        return;
    s->audit_late_ns = s->now_ns + AUDIT_PATIENCE_NS;
    (void)mu_db_audit_step(s->db, AUDIT_ROWS);
    s->audit_slices++;
    mu_db_counts(s->db, &counts);
    tell(s, &counts);
    if (counts.audit_rounds != s->audit_rounds)
        s->audit_ns = UINT64_MAX; /* mu_audit_wake decides about another round */
}
