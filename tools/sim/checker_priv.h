#ifndef MU_TOOLS_SIM_CHECKER_PRIV_H
#define MU_TOOLS_SIM_CHECKER_PRIV_H
/* Shared by checker.c (lists, decisions, server), and naive.c (the rules, on strings). */
#include "engine/base/arena.h"
#include "engine/base/buf.h"
#include "tools/report/devices.h"
#include "tools/report/rules.h"
#include "tools/sim/checker.h"

#define MU_CHECKER_OBJECTS_MAX    (1u << 16)
#define MU_CHECKER_VIOLATIONS_MAX 100u

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
    struct mu_pod_object *pods;
    uint32_t pod_count;
    struct mu_rules_namespace *namespaces;
    uint32_t namespace_count;
};
/* The world as the rules about other pods read it. */
struct mu_rules_world mu_naive_rules(const struct mu_naive_world *world);

/* A pod on a node that no list shows yet: decided, outcome or view outstanding. */
struct mu_naive_decision {
    char uid[MU_UID_BYTES_MAX + 1];
    char node[MU_NAME_BYTES_MAX + 1];
    uint64_t devices;
};

/* naive.c: pure functions over decoded objects. */
bool mu_naive_terminal(const struct mu_pod_object *pod);
int64_t mu_naive_amount(const struct mu_amount *amounts, uint32_t count, struct mu_str resource);
/* Sum of `resource` over pods on the node (terminal ones left out); "pods" counts them. */
int64_t mu_naive_used(const struct mu_naive_world *world, struct mu_str node,
                      struct mu_str resource);
/* What is left of each device of a node; whether each pod there that asks for devices names them. */
bool mu_naive_devices_left(const struct mu_naive_world *world, const struct mu_node_object *node,
                           struct mu_devices_left *left);
bool mu_naive_same_gang(const struct mu_pod_object *a, const struct mu_pod_object *b);
/* Members alive, members on a node, stated size (0: none stated). */
struct mu_naive_gang {
    uint32_t members, bound, waiting, size;
};
struct mu_naive_gang mu_naive_gang_of(const struct mu_naive_world *world,
                                      const struct mu_pod_object *pod, struct mu_str scheduler);
/* Would every waiting member find room now, placed one after another on the first node that
 * takes it? Changes world's pods (node_name) and restores them. */
bool mu_naive_gang_fits(struct mu_naive_world *world, const struct mu_pod_object *pod,
                        struct mu_str scheduler);
/* A pod that the scheduler may bind. */
bool mu_naive_wants_node(const struct mu_pod_object *pod, struct mu_str scheduler);

#endif
