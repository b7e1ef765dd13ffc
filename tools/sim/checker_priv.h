#ifndef MU_TOOLS_SIM_CHECKER_PRIV_H
#define MU_TOOLS_SIM_CHECKER_PRIV_H
/* Shared by checker.c (lists, decisions, server), checker_preempt.c (victims), checker_journal.c
 * (what the journal says of what lands) and naive.c (the rules, on strings). */
#include "engine/base/arena.h"
#include "engine/base/buf.h"
#include "engine/limits.h"
#include "tools/report/devices.h"
#include "tools/report/rules.h"
#include "tools/sim/checker.h"

#define MU_CHECKER_OBJECTS_MAX    (1u << 16)
#define MU_CHECKER_VIOLATIONS_MAX 100u
#define MU_NAIVE_GANG_MAX         256u /* members that are looked at */

struct mu_naive_object {
    struct mu_buf raw;
    bool marked; /* relist: not seen yet */
};
struct mu_naive_list {
    struct mu_naive_object *objects;
    uint32_t count, cap;
};
/* A list decoded into an arena. */
struct mu_naive_world {
    struct mu_node_object *nodes;
    uint32_t node_count;
    struct mu_pod_object *pods; /* room for as many again */
    bool *holding;              /* by pod: it only holds room on its node */
    uint32_t pod_count;
    struct mu_rules_namespace *namespaces;
    uint32_t namespace_count;
    bool rules; /* some pod has a rule about others */
};
/* The world as the rules about other pods read it. */
struct mu_rules_world mu_naive_rules(const struct mu_naive_world *world);

/* A pod on a node that no list shows yet: decided, outcome or view outstanding. */
struct mu_naive_decision {
    char uid[MU_UID_BYTES_MAX + 1];
    char node[MU_NAME_BYTES_MAX + 1];
    uint64_t devices;
};

/* A plan with victims, from its admission until its binds are decided, or it is given up. */
struct mu_naive_plan {
    struct mu_naive_decision *binds;
    char (*victims)[MU_UID_BYTES_MAX + 1];
    uint32_t bind_count, victim_count;
};

/* Where each pod was first seen bound (I1), and since when a gang is partly bound (I4). */
struct mu_naive_seen {
    char uid[MU_UID_BYTES_MAX + 1];
    char node[MU_NAME_BYTES_MAX + 1];
    uint64_t partly_since_ns; /* of its gang; kept by the gang's first bound member */
    bool partly, terminating;
};

/* Who has taken the journal over. */
struct mu_naive_epoch {
    uint64_t incarnation, epoch;
};

struct mu_checker {
    struct mu_checker_config config;
    uint64_t step;
    struct mu_arena *arena;
    struct mu_naive_list view[MU_DB_KINDS];
    struct mu_naive_list server[MU_DB_KINDS];
    struct mu_naive_decision *decisions;
    uint32_t decision_count, decision_cap;
    struct mu_naive_plan *plans;
    uint32_t plan_count, plan_cap;
    struct mu_naive_seen *seen;
    uint32_t seen_count, seen_cap;
    struct mu_naive_list budgets; /* on the server */
    struct mu_naive_list slots;   /* of the journal, as ConfigMaps */
    struct mu_naive_epoch *epochs;
    uint32_t epoch_count, epoch_cap;
    uint64_t opened, opened_before; /* the highest of them; before the present step */
    struct mu_violation violations[MU_CHECKER_VIOLATIONS_MAX];
    uint32_t violation_count;
};

/* checker.c */
void __attribute__((format(printf, 3, 4)))
mu_checker_violate(struct mu_checker *c, const char *invariant, const char *format, ...);
/* Everything decoded into the arena: pods in canonical order, nodes by name. */
struct mu_naive_world mu_checker_world(struct mu_checker *c,
                                       struct mu_naive_list lists[MU_DB_KINDS]);
/* Charge every decision that the view does not show yet; forget those that it shows. */
void mu_checker_apply_decisions(struct mu_checker *c, struct mu_naive_world *w);
/* NULL: there is none. */
struct mu_pod_object *mu_naive_find_pod(const struct mu_naive_world *w, const char *uid);
const struct mu_node_object *mu_naive_find_node(const struct mu_naive_world *w, struct mu_str name);

/* checker_preempt.c */
void mu_checker_plans_clear(struct mu_checker *c);
/* A gang goes to its nodes: the plan whose victims it waited for, if there was one, is complete. */
void mu_checker_plan_bound(struct mu_checker *c, const struct mu_naive_world *w, const char *uid);
/* Pods for which room is held while victims leave are on their nodes. */
void mu_checker_apply_plans(struct mu_checker *c, struct mu_db *db, struct mu_naive_world *w);
/* And those for which it is held after their bind was refused. */
void mu_checker_apply_held(struct mu_db *db, struct mu_naive_world *w);
/* No lower pod stands in the way of a pending one that could preempt. */
void mu_checker_rest_preempt(struct mu_checker *c, struct mu_naive_world *w);

/* checker_journal.c */
/* A pod is seen bound, or terminating, for the first time. */
void mu_checker_landed(struct mu_checker *c, const struct mu_pod_object *pod, bool terminating);

/* naive.c: pure functions over decoded objects. */
bool mu_naive_terminal(const struct mu_pod_object *pod);
int64_t mu_naive_amount(const struct mu_amount *amounts, uint32_t count, struct mu_str resource);
/* Sum of `resource` over pods on the node (terminal ones left out); "pods" counts them. */
int64_t mu_naive_used(const struct mu_naive_world *world, struct mu_str node,
                      struct mu_str resource);
/* What is left of each device of a node; whether each pod there that asks for devices names them.
 */
bool mu_naive_devices_left(const struct mu_naive_world *world, const struct mu_node_object *node,
                           struct mu_devices_left *left);
bool mu_naive_same_gang(const struct mu_pod_object *a, const struct mu_pod_object *b);
/* Members alive, of those on a node, and to be bound; stated size (0: none). Pods that are
 * terminating are no members any more. */
struct mu_naive_gang {
    uint32_t members, bound, waiting, size;
    bool parts;   /* it has sub-groups with minima of their own */
    bool parted;  /* of some fewer are bound than its minimum */
    bool lacking; /* and not even with those that wait */
};
struct mu_naive_gang mu_naive_gang_of(const struct mu_naive_world *world,
                                      const struct mu_pod_object *pod, struct mu_str scheduler);
/* Whether the node has what the pod asks for, with these of its devices. */
bool mu_naive_has_room(const struct mu_naive_world *world, const struct mu_node_object *node,
                       const struct mu_pod_object *pod, uint64_t devices);
/* Whether the node takes the pod. *devices: which it would get. */
bool mu_naive_takes(const struct mu_naive_world *world, const struct mu_node_object *node,
                    const struct mu_pod_object *pod, uint64_t *devices);
/* Would every one of `pods` find room now, placed one after another on the first node that takes it
 * (in one domain, where the gang has to keep to one)? They have no node, before and after. */
bool mu_naive_fit(struct mu_naive_world *world, struct mu_pod_object *const *pods, uint32_t count);
/* The same for a gang's waiting members. */
bool mu_naive_gang_fits(struct mu_naive_world *world, const struct mu_pod_object *pod,
                        struct mu_str scheduler);
/* A pod that the scheduler may bind. */
bool mu_naive_wants_node(const struct mu_pod_object *pod, struct mu_str scheduler);

#endif
