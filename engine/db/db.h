#ifndef MU_ENGINE_DB_DB_H
#define MU_ENGINE_DB_DB_H
/*
 * The cluster database: one writer, any number of replicas, no locks.
 *
 * The writer applies decoded objects and ledger changes in batches; between batches it brings
 * replicas up to date. Every call below is the writer thread's unless it says otherwise. No single
 * call does more than about 1 ms of work (limits.h: MU_SYNC_ROWS_PER_STEP).
 *
 * Accounting. A node is charged for every pod that is bound to it and not terminal (terminating
 * ones included), and for every ledger entry on it. A pod is charged once: when it is seen bound,
 * its ledger entry becomes the bound charge in the same call.
 *
 * Quiet changes. A pending pod that comes in another version, with all else as it was, leaves
 * nothing to decide: replicas see the new version (a bind's precondition), but no generation or
 * revision moves. So writing a pod's status does not start a session.
 *
 * Versions. An object older than the one already held is ignored and counted; one of the same
 * version is the one already held, and costs a lookup. Both count as listed in a relist.
 *
 * Identity. A pod is its UID: an object with a held name and another UID replaces the held pod. A
 * node is its name; another UID under that name moves the generation of its row.
 *
 * Bounds. A held object never stays at an old version because its new one asks for more than a
 * bound allows: what is beyond is left out, the object takes no part in placing until its next
 * version, and the case is counted (limit_reduced). Refused is only what cannot be held at all: a
 * bad identity, a new object when its table is full, a new node name or gang when theirs is.
 */
#include "engine/base/error.h"
#include "engine/object.h"
#include "engine/plan.h"
#include "engine/snapshot.h"

struct mu_db; /* opaque */

struct mu_db_config {
    const struct mu_str *scheduler_names; /* pods of these are ours; copied */
    uint32_t scheduler_name_count;
    uint64_t quiet_ns; /* an unsized gang is complete when no member arrived for so long */
    uint32_t nodes_hint;
    uint32_t pods_hint;
};

struct mu_db_counts {
    uint32_t nodes; /* present */
    uint32_t namespaces;
    uint32_t pods;              /* not terminal, every scheduler's */
    uint32_t pods_ours_pending; /* live, not seen bound: gated, unbuilt and in flight included */
    uint32_t pods_bound;        /* occupying a node */
    uint32_t ledger;            /* entries in flight or held */
    uint32_t gangs;             /* rows in use, gangs of one included */
    uint32_t groups;            /* group objects */
    uint32_t budgets;           /* disruption budgets */
    uint64_t generation;
    uint64_t stale_ignored; /* objects older than the one held */
    uint64_t
        versions_moved; /* pending pods that came in another version and are otherwise the same */
    uint64_t limit_refused;    /* objects refused by a bound: MU_ELIMIT */
    uint64_t limit_reduced;    /* objects held without what a bound or a bad part kept out */
    uint64_t device_conflicts; /* devices of bound pods that their nodes lack, or do not have so
                                * much of left */
    uint64_t audit_rows;       /* rows recomputed by the audit so far */
    uint64_t audit_rounds;     /* how often everything has been recomputed */
    uint64_t audit_drift;      /* sums, counts and nominations that were wrong and repaired */
};

struct mu_db *mu_db_create(const struct mu_db_config *config);
void mu_db_destroy(struct mu_db *db);
struct mu_model *mu_db_model(struct mu_db *db);
void mu_db_counts(const struct mu_db *db, struct mu_db_counts *out);

/* --- objects ------------------------------------------------------------------------------- */

/* Add or replace. now_ns is the time of arrival (quiet time). Returns 0, also when an older
 * version was ignored, or when a bound kept a part out:
 *   a node whose labels or taints cannot be had offers nothing and has neither; a resource that
 *   has no number left, or a bad name, is not offered; devices that cannot be tracked are not;
 *   images that cannot be had are none (they only count in scores);
 *   a pod whose class cannot be had is MU_RULE_OVERSIZED (never placed) and charged for those of
 *   its requests that can be read; when the table of classes is full, for what it had before.
 * Errors: MU_ENOMEM, MU_ELIMIT, MU_EINVAL with *error naming object and field (may be NULL);
 * nothing has changed. Cost: O(labels + taints), amortised. */
int mu_db_node_upsert(struct mu_db *db, const struct mu_node_object *node, uint64_t now_ns,
                      struct mu_error *error);
int mu_db_pod_upsert(struct mu_db *db, const struct mu_pod_object *pod, uint64_t now_ns,
                     struct mu_error *error);
/* The labels of a namespace, which selectors of namespaces look at, or that it is gone (it has none
 * then, like one that was never seen). Of one whose labels are beyond a bound, or unknown to the
 * source (MU_LABELS_UNKNOWN), the pods that such a selector might match are not placed, nor those
 * that ask.
 * Errors: MU_ENOMEM, MU_ELIMIT (MU_NAMESPACES_MAX); nothing has changed. */
#define MU_LABELS_UNKNOWN UINT32_MAX /* as label_count */
int mu_db_namespace_upsert(struct mu_db *db, struct mu_str name, const struct mu_label *labels,
                           uint32_t label_count, struct mu_error *error);
int mu_db_namespace_remove(struct mu_db *db, struct mu_str name);
/* Group objects, of sources that have them (mu_gang_has_object). A gang of such a source waits
 * while its object is missing (enum mu_rule: MU_RULE_GANG_OBJECT), unless its pods state a size. Of
 * one beyond a bound the members are not placed (MU_RULE_GANG_SPEC). Errors: MU_ENOMEM, MU_ELIMIT,
 * MU_EINVAL; nothing has changed. Cost: O(sub-groups + gangs that it describes: 1 but for
 * MU_GANG_WORKLOAD); their members are looked at by the next sync. */
int mu_db_group_upsert(struct mu_db *db, const struct mu_group_object *object,
                       struct mu_error *error);
void mu_db_group_remove(struct mu_db *db, enum mu_gang_source source, struct mu_str ns,
                        struct mu_str name);
/* A group object and its gang, as its status tells of them. */
struct mu_group_view {
    enum mu_gang_source source;
    struct mu_str ns, name; /* valid until the object is changed */
    uint64_t version, report;
    uint32_t shown;   /* set of enum mu_group_shown */
    bool single;      /* no gang: its pods are placed one by one */
    uint32_t min;     /* members that must run together */
    uint32_t members; /* live pods of ours; of them: */
    uint32_t bound;   /* seen bound, or confirmed by the server */
    uint32_t running;
    bool stands; /* so many are bound that each minimum is met; single: one is */
};
/* The object of a gang: its number, MU_NONE where there is none (or several gangs share one,
 * MU_GANG_WORKLOAD). A number is another object's some time after the object has gone. Cost: O(1).
 */
uint32_t mu_db_gang_group(const struct mu_db *db, struct mu_gang_ix gang);
uint32_t mu_db_group_find(const struct mu_db *db, enum mu_gang_source source, struct mu_str ns,
                          struct mu_str name);
/* False where no object has the number. Cost: O(live members). */
bool mu_db_group_get(const struct mu_db *db, uint32_t group, struct mu_group_view *out);
/* What the object shows from now on, as far as is known here; its next version replaces it. */
void mu_db_group_report(struct mu_db *db, uint32_t group, uint64_t report, uint32_t shown);
/* The objects of each source are listed by themselves: begin and sweep, as below. */
void mu_db_groups_relist(struct mu_db *db, enum mu_gang_source source);
int mu_db_groups_sweep(struct mu_db *db, enum mu_gang_source source, uint32_t budget);
/* Sources whose objects some gang has asked for since the start: bit 1 << enum mu_gang_source. */
uint32_t mu_db_group_sources(const struct mu_db *db);
/* Why the objects of a source cannot be known, for people; NULL: whatever there is is known. The
 * text is kept, not copied. */
void mu_db_groups_unknown(struct mu_db *db, enum mu_gang_source source, const char *why);
/* Disruption budgets. One whose selector is beyond a bound covers nobody; of too many names of
 * disrupted pods the later ones are left out. Errors: MU_ENOMEM, MU_ELIMIT (MU_BUDGETS_MAX),
 * MU_EINVAL; nothing has changed. Cost: O(1); which pods it covers is worked out by syncs. */
int mu_db_budget_upsert(struct mu_db *db, const struct mu_budget_object *budget,
                        struct mu_error *error);
void mu_db_budget_remove(struct mu_db *db, struct mu_str ns, struct mu_str name, struct mu_str uid);
/* A pod of this kin has been evicted: each budget that covers it allows one fewer, until its object
 * comes again. For answers without a cluster, where no controller counts. True: one of them allowed
 * none. Of kins of occupants in a replica that is in sync. Cost: O(budgets that cover the kin). */
bool mu_db_budgets_spend(struct mu_db *db, struct mu_kin_ix kin);
/* They are listed by themselves: begin and sweep, as below. */
void mu_db_budgets_relist(struct mu_db *db);
int mu_db_budgets_sweep(struct mu_db *db, uint32_t budget);
/* Remove. A removed node keeps its pods (they are charged again when it returns). Removing what
 * is absent is fine. `uid` empty: whatever has that name. */
int mu_db_node_remove(struct mu_db *db, struct mu_str name, struct mu_str uid);
int mu_db_pod_remove(struct mu_db *db, struct mu_str ns, struct mu_str name, struct mu_str uid,
                     uint64_t now_ns);

/* Relist as a diff: begin marks, every upsert after it unmarks, and sweep looks at `budget` (> 0)
 * objects a call and removes those still marked; it returns 1 while more is left, 0 when done. */
enum mu_db_kind { MU_DB_NODES, MU_DB_PODS, MU_DB_NAMESPACES, MU_DB_KINDS };
void mu_db_relist_begin(struct mu_db *db, enum mu_db_kind kind);
int mu_db_relist_sweep(struct mu_db *db, enum mu_db_kind kind, uint32_t budget, uint64_t now_ns);

/* The time: what is found to be so from now on, is so since then. It never goes back. */
void mu_db_time(struct mu_db *db, uint64_t now_ns);
/* End a batch: what replicas see next. Moves the generation if anything changed. */
void mu_db_batch_end(struct mu_db *db);

/* --- replicas ------------------------------------------------------------------------------ */

/* A new replica, registered and empty. Owns: the DB; use by hand-over. Errors: NULL (memory or
 * MU_REPLICAS_MAX). */
struct mu_snapshot *mu_db_replica_create(struct mu_db *db);
void mu_db_replica_destroy(struct mu_db *db, struct mu_snapshot *replica);
/* Bring the replica up to the last batch, which is the one in hand: it is ended. At most
 * row_budget rows a call (0: the default bound), more only when changes between the calls outrun
 * it. Returns 0 when the replica is a point in time (generation = the last batch's), 1 when another
 * step is needed (objects may be applied in between), or MU_ENOMEM (call again later). From the
 * first step to the 0 the replica is the writer's. */
int mu_db_replica_sync(struct mu_db *db, struct mu_snapshot *replica, uint32_t row_budget);

/* Replicas show occupants from the next sync on although no pending gang could preempt any, or do
 * no longer. For a small cluster: they are kept up while they are asked for. Cost: O(1). */
void mu_db_occupants_ask(struct mu_db *db, bool asked);

/* --- ledger: decided, not yet confirmed ---------------------------------------------------- */

enum mu_ledger_state {
    MU_LEDGER_NONE,
    MU_LEDGER_IN_FLIGHT, /* a bind may land: charged until the outcome is seen */
    MU_LEDGER_HELD,      /* no write is under way; room kept for this pod */
    MU_LEDGER_WAITING    /* no bind is under way; room kept for it while victims leave */
};

/* Admit one gang of a plan: check it against the present (rows, generations, versions, phase,
 * node rules, room, minimum, rules about other pods) and charge all of its binds as IN_FLIGHT, or
 * none. Room held for its own pods counts as free. Freezes an unsettled gang's size; an unsettled
 * gang must have the plan's revision, a settled one may have moved on. Returns 0; MU_ECONFLICT when
 * the world has moved since the snapshot (nothing charged; the gang stays pending); MU_ENOMEM.
 * Cost: O(members).
 *
 * With victims (evict_count > 0): those of them that are still there must be on those nodes, whole
 * units of strictly lower priority, and none that is marked as no victim; all else is checked as if
 * they were gone, and the binds become WAITING: charged beside their victims, so that what is free
 * may fall below zero. Victims that are gone already, or terminating, are fine: with all of them
 * gone it is a way to get the room back after a restart. Cost: and O(victims, members of their
 * gangs, pods on the nodes of the binds). */
int mu_db_admit(struct mu_db *db, const struct mu_plan_gang *gang, struct mu_error *why);

/* A plan of which a journal has kept who goes where: the pods' UIDs and the nodes of `binds`, which
 * are the gang's, and the evictions. All else is filled in as it is now, devices as the evictions
 * leave them; it is admitted by mu_db_admit. Returns 0, MU_ENOMEM, or MU_ECONFLICT: the pods are
 * not members of one gang, a node is gone or has no room. Cost: as mu_db_admit. */
int mu_db_plan_again(struct mu_db *db, struct mu_plan_gang *gang, struct mu_plan_bind *binds,
                     struct mu_error *why);

/* Prove a plan again whose binds are WAITING, on the present: before its first eviction, and before
 * each batch of them. As mu_db_admit checks it, but versions and the revision may have moved.
 * Changes nothing. Returns 0, MU_ECONFLICT, MU_ENOMEM. */
int mu_db_reprove(struct mu_db *db, const struct mu_plan_gang *gang, struct mu_error *why);
/* The first of the plan's victims, from index `from` on, that still takes room (a terminating one
 * does); evict_count: none. */
uint32_t mu_db_evict_left(const struct mu_db *db, const struct mu_plan_gang *gang, uint32_t from);
/* Prove it once more, with all victims gone: its binds are IN_FLIGHT from now on. Their versions
 * are those of the pods now (mu_db_pod_find). Returns 0; MU_ECONFLICT, also while a victim is left,
 * or MU_ENOMEM: nothing has changed. */
int mu_db_waiting_bind(struct mu_db *db, const struct mu_plan_gang *gang, struct mu_error *why);
/* Give up the room of those of its binds that are WAITING: they are pending again. */
void mu_db_waiting_drop(struct mu_db *db, const struct mu_plan_gang *gang);

/* Admit a plan's end of a gang: the same gang, still bound in part, with nothing of it on its way
 * to a node and a bound member that has a controller. From then on nobody of it is placed
 * (MU_GANG_ENDING), and room held for its members is free. Returns 0, or MU_ECONFLICT: nothing has
 * changed. Cost: O(members). */
int mu_db_gang_end(struct mu_db *db, const struct mu_plan_end *end, struct mu_error *why);
/* Whether that still holds, before its first member is deleted. */
bool mu_db_gang_end_holds(struct mu_db *db, const struct mu_plan_end *end);
/* It is over, or given up. A gang that is another by now, or gone: nothing happens. */
void mu_db_gang_end_over(struct mu_db *db, const struct mu_plan_end *end);

/* A bind is known not to have happened and never to happen (refused, pod moved on): the room stays
 * HELD for the pod if `hold`, else it is freed; a terminating pod holds none. No entry, or a bind
 * that was confirmed: nothing happens. */
void mu_db_bind_refused(struct mu_db *db, struct mu_uid uid, bool hold);
/* The server confirmed the bind; the charge stays until the pod is seen bound. */
void mu_db_bind_confirmed(struct mu_db *db, struct mu_uid uid);
/* True when some member of this pod's gang is bound: what is missing completes a gang. */
bool mu_db_gang_started(struct mu_db *db, struct mu_uid uid);
/* Add a rule to those that keep the pod from being placed, or take it away. It lasts until the pod
 * arrives with something changed that placing depends on. An unknown pod: nothing happens. */
void mu_db_pod_block(struct mu_db *db, struct mu_uid uid, uint32_t rule, bool on);
/* What the pod's object shows as its reason for waiting from now on, as far as is known here; its
 * next version replaces it. An unknown pod: nothing happens. */
void mu_db_pod_report(struct mu_db *db, struct mu_uid uid, uint64_t digest);
/* Drop HELD room (deadline passed). */
void mu_db_held_release(struct mu_db *db, struct mu_uid uid);
enum mu_ledger_state mu_db_ledger_state(const struct mu_db *db, struct mu_uid uid,
                                        struct mu_node_ix *node);

/* --- looking up (writer thread) ------------------------------------------------------------ */

/* The UID of a text. Errors: MU_EINVAL (empty or too long), MU_ENOENT (not a lower-case UUID, and
 * nothing in the DB has it). */
int mu_db_uid_parse(struct mu_db *db, struct mu_str text, struct mu_uid *out);
struct mu_pod_view {
    struct mu_pod_ix ix;
    struct mu_uid uid;
    struct mu_str ns, name; /* valid until the pod is changed */
    uint64_t version;
    struct mu_node_ix node; /* bound to; MU_NONE: unbound */
    struct mu_class_ix class_ix;
    struct mu_kin_ix kin;
    struct mu_gang_ix gang; /* MU_NONE when it has none */
    int32_t priority;
    bool ours, terminating, terminal, gated, controlled;
    uint32_t unbuilt;
    uint64_t devices; /* of its node, one by one; 0: none, or not bound */
    uint64_t report;  /* struct mu_pod_object */
};
bool mu_db_pod_get(const struct mu_db *db, struct mu_pod_ix ix, struct mu_pod_view *out);
bool mu_db_pod_find(const struct mu_db *db, struct mu_uid uid, struct mu_pod_view *out);
/* A victim of a plan as it is now, which its eviction names; false: it takes no room any more. */
bool mu_db_evict_get(const struct mu_db *db, const struct mu_plan_evict *evict,
                     struct mu_pod_view *out);
/* The members of a gang one by one, in no order: *pod is MU_NONE before the first. False when there
 * is none (any more). The gang must not change in between. */
bool mu_db_gang_member(const struct mu_db *db, struct mu_gang_ix gang, struct mu_pod_ix *pod);
/* "canonical UUID" or the raw text; buf has MU_UID_BYTES_MAX + 1 bytes. Returns the length. */
uint32_t mu_db_uid_text(const struct mu_db *db, struct mu_uid uid, char *buf);
/* The row of a name, also of an absent node that pods name; MU_NONE: there is none. */
struct mu_node_ix mu_db_node_find(const struct mu_db *db, struct mu_str name);
/* Name of a node row, also of an absent node that pods name; empty where there is none. */
struct mu_str mu_db_node_name(const struct mu_db *db, struct mu_node_ix ix);
struct mu_str mu_db_gang_ns(const struct mu_db *db, struct mu_gang_ix ix);
struct mu_str mu_db_gang_name(const struct mu_db *db, struct mu_gang_ix ix); /* solo: pod's name */
/* Why its object cannot be known (mu_db_groups_unknown); NULL: nothing is said. */
const char *mu_db_gang_object_unknown(const struct mu_db *db, struct mu_gang_ix ix);

/* --- audit --------------------------------------------------------------------------------- */

/* Recompute the sums of the next node rows from their pods and ledger entries, what rules about
 * other pods are answered from, nodes by image, and nominations, for the cost of about `rows` (> 0)
 * of each a call; repair and count drift. Everything has been looked at once when
 * counts.audit_rounds moves. Call in idle time. Returns the drift found by this call: 0 most
 * likely. Cost: O(rows and their pods). */
uint32_t mu_db_audit_step(struct mu_db *db, uint32_t rows);
/* Order-independent digest of nodes (names, uids, versions, images), pods (names, uids, versions,
 * binding, the nominations that are held), namespaces (names, labels), budgets (names, uids,
 * versions) and group objects (names, versions): equal content, equal digest (I7). Cost:
 * O(objects). */
uint64_t mu_db_digest(const struct mu_db *db);

#endif
