#ifndef MU_TOOLS_SCHEDULER_SCHEDULER_H
#define MU_TOOLS_SCHEDULER_SCHEDULER_H
/*
 * The ring: reflectors -> cluster DB -> snapshot -> (session) -> plan -> ledger and journal ->
 * binder, as one pure state machine. It performs no I/O and owns no thread: a shell (the daemon on
 * libuv, the simulator under virtual time) moves requests and replies, tells the time, and runs the
 * sessions wherever it likes.
 *
 * A session's life: take_snapshot hands out the one replica when there is something to decide; the
 * shell runs mu_session_run on it, in another thread if it has one; give_plan brings it back. In
 * between, replies may be fed freely: what changed meanwhile is found when a gang is admitted.
 *
 * Commit order (design: journal, bind, mark done): admit charges the ledger, the journal makes the
 * entry durable, only then the binder writes. An entry is settled bind by bind; room stays charged
 * until our own view shows the pod bound.
 *
 * A gang with victims: admit holds the room beside them, the journal makes the plan durable, the
 * victims are deleted, and when they are gone the binds go the same way (evict.c).
 *
 * A gang that is bound in part is completed before all others; one that a session gives up is
 * ended: journal, delete what a controller recreates (rollback.c).
 *
 * A start takes over the journal of its predecessor before anything is decided (durable.c). It is
 * kept in ConfigMaps, or in memory, where it ends with the process.
 *
 * What the plans say about waiting pods is written to them as conditions and events (report.c), at
 * a rate of its own and behind the binds; so are bindings that were confirmed. drained does not
 * wait for them.
 */
#include "engine/base/random.h"
#include "engine/db/db.h"
#include "engine/session/session.h"
#include "informer/binder.h"
#include "informer/reflector.h"
#include "informer/reporter.h"
#include "informer/slot_store.h"
#include "shards/recovery.h"

struct mu_scheduler; /* opaque; one thread */

/* What an independent checker may watch (simulation). All calls are synchronous. May be NULL. */
struct mu_scheduler_observer {
    void *context;
    /* An object reached the DB (raw borrowed). removed: it left. */
    void (*object)(void *context, enum mu_db_kind kind, struct mu_str raw, bool removed);
    /* A relist of `kind` began / ended: what was not seen in between is gone. */
    void (*relist)(void *context, enum mu_db_kind kind, bool done);
    /* A gang was admitted: its binds will be written. */
    void (*decision)(void *context, struct mu_db *db, const struct mu_plan_gang *gang);
    /* A gang was admitted whose victims will be deleted first; then comes its decision. */
    void (*preemption)(void *context, struct mu_db *db, const struct mu_plan_gang *gang);
    /* A gang that is bound in part is ended: its bound members that a controller owns will be
     * deleted. */
    void (*ending)(void *context, struct mu_db *db, const struct mu_plan_end *end);
    /* A bind's outcome is known (uid is the canonical text). */
    void (*outcome)(void *context, struct mu_str uid, enum mu_bind_result result);
};

struct mu_scheduler_config {
    const struct mu_str *scheduler_names; /* copied */
    uint32_t scheduler_name_count;        /* >= 1 */
    uint64_t quiet_ns;                    /* unsized gangs; 0: 1 s */
    uint64_t batch_window_ns;             /* from the first change to the session; 0: 2 ms */
    uint64_t evict_ns;                    /* given to victims beyond their grace period; 0: 60 s */
    uint64_t hold_ns; /* room kept for a refused member of a short gang; 0: 30 s */
    /* Evictions that plans may begin in one interval; 0: any number. A plan that needs more has to
     * wait until all that went before is paid off, and is paid off by the intervals after it. */
    uint32_t evictions_per_interval;
    uint64_t eviction_interval_ns; /* 0: 60 s */
    uint32_t in_flight_max;        /* binds; 0: 256 */
    uint32_t page_limit;           /* objects per list page; 0: 500 */
    uint32_t nodes_hint, pods_hint;
    uint64_t incarnation;             /* new at every start, not 0: part of plan names */
    const struct mu_profile *profile; /* the sessions', for its life; NULL: default */
    bool preempts;         /* whether sessions preempt, and that they spare who has run for less: */
    uint32_t min_run_s;    /* for what is told of them alone */
    uint32_t report_rate;  /* conditions and events written a second; 0: none are */
    uint32_t report_burst; /* written at once after a pause; 0: twice the rate */
    struct mu_str report_instance; /* reportingInstance of events; copied */
    uint64_t wall_offset_ns;       /* wall time is now_ns + offset (timestamps) */
    /* The journal: ConfigMaps NAME-0, NAME-1, ... of the namespace; copied. No name: in memory. */
    struct mu_str journal_ns, journal_name;
    uint32_t journal_bytes_per_s; /* 0: 1,000,000 */
    struct mu_slot_memory
        *journal_memory;       /* in memory that outlives the scheduler; NULL: its own */
    uint64_t journal_delay_ns; /* until memory answers */
    bool audit_by_changes;     /* idle time is not spare time: it is virtual (audit.c) */
    struct mu_scheduler_observer observer;
};

/* How we stand to the objects that describe the gangs of one source. */
enum mu_group_access {
    MU_GROUPS_UNASKED,   /* no gang has asked for any */
    MU_GROUPS_KNOWN,     /* listed, or about to be: no trouble */
    MU_GROUPS_ABSENT,    /* the server has no such kind, now */
    MU_GROUPS_FORBIDDEN, /* it does not let us list them (403) */
    MU_GROUPS_FAILING    /* it fails in another way, again and again */
};
struct mu_scheduler_stats {
    struct mu_db_counts db;
    struct mu_reflector_stats nodes, pods, namespaces;
    struct mu_reflector_stats groups[MU_GANG_SOURCES]; /* zero where access says UNASKED */
    enum mu_group_access group_access[MU_GANG_SOURCES];
    struct mu_binder_stats binder;
    struct mu_reporter_stats reporter; /* zero when nothing is reported */
    uint64_t sessions, plans_admitted, plans_conflicted, binds_planned;
    uint64_t plans_completing; /* of those admitted: for a gang that was partly placed */
    uint64_t plans_preempting; /* admitted with victims */
    uint64_t plans_resumed;    /* of a former incarnation: admitted for its victims' room */
    uint64_t plans_given_up;   /* of those: the proof did not hold any more, or the deadline came */
    uint64_t victims;          /* deletes begun */
    uint64_t gangs_rolled_back; /* bound in part, and ended: their first delete was begun */
    uint64_t members_ended;     /* deletes begun of these */
    uint64_t gangs_kept_short;  /* bound in part past their deadline, kept and told to be */
    uint64_t plans_unwritable;  /* too large for the journal: reported, stay pending */
    uint64_t binds_denied;      /* refused by the server although nothing changed */
    uint64_t bad_objects; /* objects that could not be decoded or stored, reported and skipped */
    uint64_t waits[MU_WAIT_KINDS]; /* gangs of the last plan by why they wait */
    uint32_t short_gangs;          /* partly placed gangs that the last plan could not complete */
    uint32_t preempting;           /* gangs whose victims are waited for */
    uint32_t journal_open;         /* entries */
    struct mu_slot_store_stats journal;
    struct mu_recovery_stats recovered; /* when the journal was taken over */
    uint64_t journal_epoch;             /* 0: it is not ours yet */
    /* Why a reflector does not go on, or no bind or slot is taken, in words; empty when healthy.
     * Valid until the next call. */
    const char *nodes_problem, *pods_problem, *namespaces_problem, *binds_problem;
    const char *journal_problem;
    bool synced; /* first lists of all three are in, and the journal is ours: before, nothing is
                  * decided */
    bool journal_fenced;
    bool journal_failed; /* it cannot be taken over, ever: journal_problem says why */
};

/* Owns: caller, until destroy. *random is forked from. Errors: NULL. */
struct mu_scheduler *mu_scheduler_create(const struct mu_scheduler_config *config,
                                         struct mu_random *random);
/* The replica must have been given back. */
void mu_scheduler_destroy(struct mu_scheduler *scheduler);

/* Ask for the first lists. */
void mu_scheduler_start(struct mu_scheduler *scheduler, uint64_t now_ns, struct mu_outbox *out);
/* Feed a reply; false when its token is not ours. Cost: O(bytes), in batches of one DATA. */
bool mu_scheduler_reply(struct mu_scheduler *scheduler, const struct mu_reply *reply,
                        uint64_t now_ns, struct mu_outbox *out);
/* Time has passed: call at or after mu_scheduler_next_ns. */
void mu_scheduler_tick(struct mu_scheduler *scheduler, uint64_t now_ns, struct mu_outbox *out);
/* When tick or take_snapshot next has something to do; UINT64_MAX: only a reply will tell. */
uint64_t mu_scheduler_next_ns(const struct mu_scheduler *scheduler);

/* The synced replica if a session is due, else NULL. The caller owns it until give_plan. */
struct mu_snapshot *mu_scheduler_take_snapshot(struct mu_scheduler *scheduler, uint64_t now_ns);
/* What the session on it may evict, for mu_session_evictions. */
void mu_scheduler_evictions(const struct mu_scheduler *scheduler, uint64_t now_ns, uint32_t *max,
                            bool *any_first);
/* Take the replica back, with the session's plan (borrowed for the call) or NULL when the session
 * failed (it is tried again after a pause). */
void mu_scheduler_give_plan(struct mu_scheduler *scheduler, struct mu_snapshot *snapshot,
                            const struct mu_plan *plan, uint64_t now_ns, struct mu_outbox *out);

/* We have new credentials: lists and watches that were refused are asked for at the next tick. */
void mu_scheduler_retry(struct mu_scheduler *scheduler, uint64_t now_ns);

/* The wall clock was set: its offset to now_ns from now on. */
void mu_scheduler_set_wall(struct mu_scheduler *scheduler, uint64_t wall_offset_ns);

/* No new session from now on; what is in flight goes on. drained: nothing is in flight. */
void mu_scheduler_drain(struct mu_scheduler *scheduler);
bool mu_scheduler_drained(const struct mu_scheduler *scheduler);

/* Nothing is decided any more: the journal has been closed by another, or cannot be taken over. */
bool mu_scheduler_ended(const struct mu_scheduler *scheduler);

struct mu_db *mu_scheduler_db(struct mu_scheduler *scheduler);
void mu_scheduler_stats(const struct mu_scheduler *scheduler, struct mu_scheduler_stats *out);

#endif
