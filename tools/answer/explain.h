#ifndef MU_TOOLS_ANSWER_EXPLAIN_H
#define MU_TOOLS_ANSWER_EXPLAIN_H
/*
 * Why a pod can or cannot go to each node, by itself: the engine's own verdict and score for every
 * node of a snapshot, and for a node that is refused, what would have to change.
 *
 * Changes. The first filter that refuses a node is its verdict, but often not the only one that
 * would. So the row is looked at again as if the cause were gone, until nothing refuses it: what
 * was waved away on the way, taken together, is the change. Each step takes a cause away that is
 * never met again, so that the steps are bounded by the rules of the pod.
 *
 * Preemption. Nodes are looked at for the pod by itself; whether somebody could make room is a
 * question about its whole gang, which is placed whole or not at all. It is answered by a session,
 * as the one that would evict, over the same snapshot, with nobody else waiting: where the gang is
 * the next to be decided, this is what will be done for it. The same session says why the gang
 * waits, which no look at one of its pods would show.
 *
 * No input or output of its own: the offline command and a live daemon answer with this.
 */
#include "engine/base/arena.h"
#include "engine/db/db.h"
#include "engine/place/profile.h"
#include "tools/answer/settle.h"

enum mu_change_kind {
    MU_CHANGE_UNCORDON,   /* the node */
    MU_CHANGE_TOLERATION, /* the pod gets one: key, value, effect */
    MU_CHANGE_LABEL,      /* the node gets key = value */
    MU_CHANGE_UNLABEL,    /* the node loses key */
    MU_CHANGE_FREE,       /* `amount` more of `key` is freed on the node */
    MU_CHANGE_GROW,       /* the node has `amount` more of `key` */
    MU_CHANGE_PORTS,      /* host ports are freed on the node: value, "8080/TCP,53/UDP" */
    MU_CHANGE_DEVICE,     /* one device of the node has that much left: key, amount */
    MU_CHANGE_REMOVE,     /* pods (key: "ns/name") whose rules keep this one away are gone */
    MU_CHANGE_DROP        /* the pod goes without what key names: "spec.nodeSelector" */
};
struct mu_change {
    enum mu_change_kind kind;
    struct mu_str key, value;
    enum mu_taint_effect effect;
    int64_t amount; /* in the scheduler's unit: cpu in millicores */
};

struct mu_explain_row {
    struct mu_node_ix node;
    struct mu_str name;
    struct mu_verdict verdict;
    int64_t score;         /* feasible: the engine's; larger is better */
    int64_t key;           /* feasible: score with the tie-break */
    struct mu_str message; /* refused: in kube-scheduler's words */
    bool kept;             /* feasible, but the room is kept for pods that are nominated there */
    uint32_t change_count; /* refused: 0 when nothing that is known here would help */
    const struct mu_change *changes;
};

enum mu_preemption_kind {
    MU_PREEMPTION_NOT_ASKED, /* there is room without, or it is not room that the gang waits for */
    MU_PREEMPTION_FOUND,     /* as below */
    MU_PREEMPTION_NOBODY,    /* nobody was found who may be evicted and whose room would do */
    MU_PREEMPTION_NEVER      /* its preemptionPolicy is Never */
};
struct mu_preemption_victim {
    struct mu_str pod; /* ns/name */
    int32_t priority;
};
struct mu_preemption_place {
    struct mu_str pod, node;
};
struct mu_preemption {
    enum mu_preemption_kind kind;
    struct mu_str node; /* where the pod would go; empty: its gang would be placed without it */
    uint32_t victim_count;
    const struct mu_preemption_victim *victims;
    uint32_t violations; /* victims that a disruption budget would have kept */
    uint32_t place_count;
    const struct mu_preemption_place *places; /* all pods of the gang that would be placed */
};

/* The answer. Lives in the arena and in the DB. */
struct mu_explanation {
    struct mu_str pod;  /* ns/name */
    struct mu_str gang; /* ns/name of its gang; empty: it is alone */
    uint32_t gang_size; /* members that are known */
    uint32_t gang_need; /* how many it needs; 0: not said */
    /* Why the gang waits, as mu_settle() would say it; without text: it would be placed, or it is
     * not for this scheduler to say. */
    enum mu_pending_reason gang_reason;
    struct mu_str gang_message;
    uint32_t rules; /* set of enum mu_rule: never placed, all rows are refused */
    bool gated, ours, running;
    uint32_t feasible_count; /* rows[0 .. feasible_count): best first */
    uint32_t row_count;      /* then those refused, by name */
    const struct mu_explain_row *rows;
    struct mu_preemption preemption;
    /* Where the pod was before it was put into the DB as one that waits; what was not said is
     * empty. Only the caller knows: mu_explain() leaves it empty. */
    struct mu_str was_on;
    bool was_finished, was_deleted;
};

/* Explain a pod of `db` on `snapshot`, a replica of it that is in sync: looked at as scratch, and
 * as it was on return. With mu_settle_ask_occupants() before, a gang's message names the priority
 * that would do. Errors: MU_ENOENT (no such pod), MU_ENOMEM. Thread: the DB's writer.
 * Cost: O(nodes * the pod's rules), and a session for its gang. */
int mu_explain(struct mu_db *db, struct mu_snapshot *snapshot, const struct mu_profile *profile,
               struct mu_uid pod, struct mu_arena *arena, struct mu_explanation *out);

#endif
