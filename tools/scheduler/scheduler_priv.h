#ifndef MU_TOOLS_SCHEDULER_SCHEDULER_PRIV_H
#define MU_TOOLS_SCHEDULER_SCHEDULER_PRIV_H
/* Shared by the ring's rooms: scheduler.c (life and time), feed.c (objects in), commit.c (plans
 * out), evict.c (plans with victims), resume.c (those of a former incarnation), rollback.c (gangs
 * that are ended), durable.c (the journal's slots, and its taking over at the start), report.c
 * (reasons out), audit.c (what the DB has summed up, summed up again). */
#include "engine/base/arena.h"
#include "engine/base/index.h"
#include "informer/toucher.h"
#include "shards/journal.h"
#include "tools/scheduler/backoff.h"
#include "tools/scheduler/scheduler.h"

#define MU_OPEN_BINDS_MAX (1u << 20) /* admitted binds without a final outcome */
#define MU_HOLDS_MAX      (1u << 20)
#define MU_SWEEP_BUDGET   4096u
/* Plans that wait for their victims at once; further ones stay pending. */
#define MU_EVICT_GROUPS_MAX 1024u
/* Writes per journal entry: a larger gang spans several entries, all durable before its first
 * bind. */
#define MU_WRITES_PER_ENTRY MU_JOURNAL_ENTRY_WRITES_MAX

/* Token spaces of the machines. */
#define MU_TOKENS_NODES      (UINT64_C(1) << 56)
#define MU_TOKENS_PODS       (UINT64_C(2) << 56)
#define MU_TOKENS_BINDER     (UINT64_C(3) << 56)
#define MU_TOKENS_REPORTER   (UINT64_C(4) << 56)
#define MU_TOKENS_NAMESPACES (UINT64_C(5) << 56)
#define MU_TOKENS_JOURNAL    (UINT64_C(6) << 56)
#define MU_TOKENS_TOUCHER    (UINT64_C(7) << 56)
#define MU_TOKENS_BUDGETS    (UINT64_C(8) << 56)
#define MU_TOKENS_GROUPS     (UINT64_C(9) << 56) /* and the source << 48 */

/* An admitted gang on its way through journal and binder. Lives until it has left the
 * queue and its last bind is final. */
struct mu_commit_group {
    struct mu_commit_group *next; /* in the queue of groups that wait for the journal */
    uint32_t refs;                /* one of the queue, one of each bind without a final outcome */
    uint32_t bind_count;
    uint32_t entry_count;
    bool claim;           /* none of the gang's members was bound: first bind alone */
    uint32_t *bind_slots; /* bind_count slots of open_binds */
    uint64_t *entries;    /* journal ids */
    char *names;          /* storage of the node names */
    uint64_t serial;      /* its number in the journal */
    char plan[48];        /* its name, as annotation on every bind */
};

enum mu_open_state {
    MU_OPEN_FREE,
    MU_OPEN_JOURNAL, /* waits for the journal */
    MU_OPEN_WRITING, /* with the binder */
    MU_OPEN_REFUSED  /* refused; final once our view has reached `version` */
};
struct mu_open_bind {
    enum mu_open_state state;
    uint32_t serial; /* id = serial << 32 | slot: an old id never names a new bind */
    struct mu_uid uid;
    uint64_t version; /* of the write; REFUSED: what our view must reach */
    uint64_t devices; /* that the pod gets of its node */
    uint64_t entry;   /* journal id */
    struct mu_str node;
    struct mu_commit_group *group;
    uint32_t next_free;
};

/* A plan whose victims have to go first (evict.c). */
enum mu_evict_phase {
    MU_EVICT_JOURNAL, /* waits for the journal */
    MU_EVICT_VICTIMS, /* they are deleted, and waited for */
    MU_EVICT_OVER     /* its binds are on their way, or it was given up; some delete is open */
};
struct mu_evict_group {
    enum mu_evict_phase phase;
    struct mu_plan_gang plan; /* its arrays are ours */
    struct mu_plan_bind *binds;
    struct mu_plan_evict *evicts;
    uint64_t *versions; /* of the victims, as journaled; 0: it was gone */
    uint64_t *entries;  /* journal ids */
    uint32_t entry_count;
    uint32_t write_count; /* in all of them */
    uint32_t sent;        /* evicts [0, sent) were begun, or need nothing */
    uint32_t open;        /* of those without an outcome */
    uint32_t left;        /* evicts [0, left) take no room any more */
    uint64_t deadline_ns;
    bool claim;
};

/* A gang that is being ended (rollback.c). */
#define MU_ROLLBACKS_MAX 256u
struct mu_rollback_pod {
    struct mu_uid uid;
    uint64_t version; /* as journaled */
};
struct mu_rollback {
    struct mu_plan_end end;
    struct mu_rollback_pod *pods;
    uint64_t *entries; /* journal ids */
    uint32_t count, entry_count;
    uint32_t sent;  /* pods [0, sent) were begun, or need nothing */
    uint32_t open;  /* of those without an outcome */
    uint32_t left;  /* pods [0, left) are no members any more */
    bool commenced; /* the first may have been deleted */
};
/* By gang row: a gang that is kept though bound in part, and was told to be. */
struct mu_short_told {
    uint64_t since_ns;
    uint32_t generation;
};

struct mu_hold {
    struct mu_uid uid;
    uint64_t deadline_ns;
    bool live; /* false: a later hold of the same pod counts */
};

/* What was told about a gang (report.c), by its row. */
struct mu_story {
    uint64_t look_ns; /* not looked at before; 0: nothing is known */
    uint64_t due_ns;  /* then there is something to tell; UINT64_MAX: not as far as is known */
    uint64_t told_ns; /* 0: never */
    uint64_t full, shape;
    uint64_t seen;       /* generation of the snapshot at the last look */
    uint32_t generation; /* of the row's occupant */
    uint8_t kind;        /* enum mu_wait_kind at the last look */
    bool late;           /* its time had come by then */
};

/* What the sink of one reflector is given back. */
struct mu_feed {
    struct mu_scheduler *scheduler;
    enum mu_db_kind kind;
};

/* Objects that describe the gangs of one source (groups.c). */
struct mu_group_feed {
    struct mu_scheduler *scheduler;
    enum mu_gang_source source;
    struct mu_reflector *reflector; /* NULL: no gang has asked for them */
    enum mu_group_access access;
    bool settled; /* they are known, or it was found out that they cannot be */
};

struct mu_scheduler {
    struct mu_scheduler_config config;
    struct mu_random random;
    struct mu_db *db;
    struct mu_reflector *reflectors[MU_DB_KINDS];
    struct mu_feed feeds[MU_DB_KINDS];
    struct mu_reflector *budgets; /* of disruption budgets */
    bool budgets_named;           /* that they cannot be read */
    struct mu_group_feed groups[MU_GANG_SOURCES];
    bool groups_settled; /* what the pods of the start asked for */
    uint64_t groups_ns;  /* memory was out: try again then; UINT64_MAX */
    struct mu_binder *binder;
    struct mu_reporter *reporter; /* NULL: nothing is reported */
    struct mu_arena *decode;

    struct mu_journal *journal; /* NULL until it has been taken over */
    struct mu_slot_store *store;
    struct mu_slot_memory *journal_memory; /* our own; NULL: another's, or none */
    struct mu_recovery *recovery;          /* NULL once the journal is ours */
    struct mu_recovery *former;            /* then it, until its plans have been looked at */
    uint32_t leaving_grace_s;              /* the longest that one of its victims may take to go */
    struct mu_toucher *toucher;
    struct mu_recovery_stats recovered;
    struct mu_error journal_failure;
    bool listing;               /* the recovery waits for the list of pods */
    struct mu_buf slot_content; /* of the last write */
    uint32_t slot_number;
    bool slot_unsent;    /* the store had no memory for it: again */
    bool checking;       /* a slot is read or written to see whether it is still ours */
    uint64_t durable_ns; /* memory was out: try again then */
    uint64_t clear_ns;   /* then what is cleared is recorded; UINT64_MAX: nothing was written */

    struct mu_outbox *out; /* the caller's, for the length of one public call */
    uint64_t now_ns;       /* likewise */

    struct mu_snapshot *replica;
    bool session_out; /* the replica is with the shell */
    bool draining;
    uint64_t seen_generation; /* of the last snapshot handed out */
    uint64_t seen_versions;   /* versions_moved at that time */
    uint64_t dirty_ns;        /* first change not yet seen by a session; UINT64_MAX: none */
    uint64_t wake_ns;         /* quiet time of some gang, or a failed session's retry */
    uint64_t pump_ns;         /* a group could not be handed to the binder: try again then */

    struct mu_open_bind *binds;
    uint32_t bind_cap, bind_free, bind_open;
    uint32_t bind_serial;
    struct mu_index *bind_by_uid;
    struct mu_commit_group *commit_head, *commit_tail;
    uint64_t plan_serial;
    struct mu_backoff *backoff; /* pods whose binding the server denies */

    struct mu_evict_group **evict_groups; /* by slot; NULL: free */
    uint32_t evict_cap, evict_count;      /* slots, groups */
    uint64_t evictions_since_ns;          /* of what follows; it shrinks with each interval */
    uint64_t evictions_spent;

    struct mu_rollback *rollbacks[MU_ROLLBACKS_MAX]; /* by slot; NULL: free */
    uint32_t rollback_count;
    struct mu_short_told *shorts_told;
    uint32_t shorts_cap;

    struct mu_hold *holds; /* FIFO: holds[hold_head .. hold_count) */
    uint32_t hold_head, hold_count, hold_cap;

    uint64_t audit_ns;         /* next slice of the audit; UINT64_MAX: nothing new to audit */
    uint64_t audit_late_ns;    /* from then on, work does not put it off any longer */
    uint64_t audit_log_ns;     /* no word of drift before that */
    uint64_t audit_generation; /* of the DB when this round began */
    uint64_t audit_rounds;     /* made before it */
    uint64_t audit_told;       /* drift that the log has named */
    uint64_t audit_slices;     /* of this round, or of the last one */
    bool reduced_named, conflicts_named;

    struct mu_story *stories;
    uint32_t story_cap;
    struct mu_report_words *words;

    uint32_t rules_named; /* of blocked pods: those that the log has named */
    struct mu_scheduler_stats stats;
};

/* feed.c: where the reflector of a kind puts its objects; one for each kind. */
struct mu_reflector_sink mu_feed_sink(struct mu_scheduler *s, enum mu_db_kind kind);

/* budgets.c */
int mu_budgets_feed_create(struct mu_scheduler *s); /* MU_ENOMEM */
/* They are known, or the server will not tell. */
bool mu_budgets_feed_settled(const struct mu_scheduler *s);
/* Say so once, if it will not. */
void mu_budgets_feed_note(struct mu_scheduler *s);

/* groups.c */
void mu_groups_feed_init(struct mu_scheduler *s);
void mu_groups_feed_fini(struct mu_scheduler *s);
/* Ask for what gangs have newly asked for; note what has become of it. Ends each input. */
void mu_groups_feed_run(struct mu_scheduler *s);
bool mu_groups_feed_reply(struct mu_scheduler *s, const struct mu_reply *reply);
void mu_groups_feed_tick(struct mu_scheduler *s);
uint64_t mu_groups_feed_next_ns(const struct mu_scheduler *s);
void mu_groups_feed_retry(struct mu_scheduler *s);
/* Where objects of this source are: "/apis/GROUP/VERSION"; empty: nowhere, as far as is known. */
struct mu_str mu_groups_api(const struct mu_scheduler *s, enum mu_gang_source source);
void mu_groups_feed_stats(const struct mu_scheduler *s, struct mu_scheduler_stats *out);

/* durable.c */
int mu_durable_init(struct mu_scheduler *s);
void mu_durable_fini(struct mu_scheduler *s);
/* Go on with whatever inputs have made possible. */
void mu_durable_run(struct mu_scheduler *s);
bool mu_durable_reply(struct mu_scheduler *s, const struct mu_reply *reply);
void mu_durable_tick(struct mu_scheduler *s);
uint64_t mu_durable_next_ns(const struct mu_scheduler *s);
/* Entries may be appended. */
bool mu_durable_open(const struct mu_scheduler *s);
/* Nothing is left to be recorded. */
bool mu_durable_drained(const struct mu_scheduler *s);
const char *mu_durable_problem(const struct mu_scheduler *s);

/* commit.c */
int mu_commit_init(struct mu_scheduler *s);
void mu_commit_fini(struct mu_scheduler *s);
/* Admit what a plan decided and start writing it. */
void mu_commit_plan(struct mu_scheduler *s, const struct mu_snapshot *snapshot,
                    const struct mu_plan *plan);
/* Journal a gang's binds, `admit` it, and hand it to the binder once it is durable. claim: none of
 * its members is bound. Returns 0, MU_ECONFLICT (stays pending), or an error that means: no further
 * gang now. Nothing has changed then. */
typedef int (*mu_commit_admit_fn)(struct mu_db *db, const struct mu_plan_gang *gang,
                                  struct mu_error *why);
int mu_commit_gang(struct mu_scheduler *s, const struct mu_plan_gang *gang, bool claim,
                   mu_commit_admit_fn admit);
/* What to make of a plan that the journal did not take, with so many writes: MU_ECONFLICT,
 * reported, when it never will, else rc. */
int mu_commit_unwritable(struct mu_scheduler *s, const struct mu_plan_gang *gang, uint32_t writes,
                         int rc);
/* Begin to write what the journal has to, hand durable groups to the binder. */
void mu_commit_pump(struct mu_scheduler *s);
/* The DB's view of this pod has changed (gone: it left). */
void mu_commit_observe(struct mu_scheduler *s, struct mu_uid uid, bool gone);
/* A relist may have removed pods without a word: settle binds whose pod is not there any more. */
void mu_commit_observe_all(struct mu_scheduler *s);
/* Release held room, and let pods be tried again, whose time has come. */
void mu_commit_expire(struct mu_scheduler *s);
uint64_t mu_commit_next_ns(const struct mu_scheduler *s);
void mu_commit_outcome(void *context, const struct mu_bind_outcome *outcome);

/* evict.c. Journal and admit a gang that has victims; extra_ns: what is added to its deadline.
 * Returns as mu_commit_gang. */
int mu_evict_gang(struct mu_scheduler *s, const struct mu_plan_gang *gang, bool claim,
                  uint64_t extra_ns);
/* Go on with every plan as far as possible. */
void mu_evict_pump(struct mu_scheduler *s);
void mu_evict_outcome(struct mu_scheduler *s, const struct mu_touch_outcome *outcome);
/* When more may be evicted than now; UINT64_MAX: nothing is held back. */
uint64_t mu_evict_refill_ns(const struct mu_scheduler *s);
uint64_t mu_evict_next_ns(const struct mu_scheduler *s);
/* No delete is open. */
bool mu_evict_drained(const struct mu_scheduler *s);
void mu_evict_fini(struct mu_scheduler *s);

/* rollback.c. Begin what a plan ends. */
void mu_rollback_plan(struct mu_scheduler *s, const struct mu_plan *plan);
/* Go on with every one as far as possible. */
void mu_rollback_pump(struct mu_scheduler *s);
/* False: it is not one of its deletes. */
bool mu_rollback_outcome(struct mu_scheduler *s, const struct mu_touch_outcome *outcome);
/* No delete is open. */
bool mu_rollback_drained(const struct mu_scheduler *s);
void mu_rollback_fini(struct mu_scheduler *s);

/* resume.c. Plans with victims that the former incarnation had under way go on, once all is known
 * that they need: before the first session. */
void mu_resume_run(struct mu_scheduler *s);
/* durable.c. The pod of a journaled write, in our view. */
bool mu_durable_find_pod(const struct mu_scheduler *s, const struct mu_journal_write *write,
                         struct mu_pod_view *pod);
/* scheduler.c. All first lists are in. */
bool mu_scheduler_synced(const struct mu_scheduler *s);

/* audit.c. After a batch: begin a round where something has changed since the last one began. */
void mu_audit_wake(struct mu_scheduler *s, uint64_t generation);
/* The next slice, if it is due. busy: there is work to do; it is put off, but not for ever. */
void mu_audit_tick(struct mu_scheduler *s, bool busy);
/* Name what the DB's counts say for the first time. */
void mu_audit_note(struct mu_scheduler *s, const struct mu_db_counts *counts);

/* report.c. Without a rate of reports nothing happens. */
int mu_report_init(struct mu_scheduler *s);
void mu_report_fini(struct mu_scheduler *s);
/* Tell what is new about the gangs that wait; may ask for a session by s->wake_ns. */
void mu_report_plan(struct mu_scheduler *s, struct mu_snapshot *snapshot,
                    const struct mu_plan *plan);
/* A bind was confirmed. */
void mu_report_bound_pod(struct mu_scheduler *s, struct mu_uid uid, struct mu_str node);
/* A victim is being deleted for that gang, whose binds name its pods. */
void mu_report_preempted(struct mu_scheduler *s, const struct mu_pod_view *victim,
                         const struct mu_plan_gang *gang);

/* group_status.c. The reporter's questions. */
bool mu_group_status_subject(void *context, uint32_t group, struct mu_report_group *out);
void mu_group_status_written(void *context, uint32_t group, uint64_t report, uint32_t shown);
/* The gang waits for this; NULL: something else about it has moved. Cost: O(1). */
void mu_group_status_told(struct mu_scheduler *s, struct mu_gang_ix gang,
                          struct mu_report_text *text);
/* A group object has arrived in the DB. Cost: O(1). */
void mu_group_status_seen(struct mu_scheduler *s, enum mu_gang_source source, struct mu_str ns,
                          struct mu_str name);
/* A pod has. */
void mu_group_status_pod(struct mu_scheduler *s, const struct mu_pod_object *pod);

#endif
