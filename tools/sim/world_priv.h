#ifndef MU_TOOLS_SIM_WORLD_PRIV_H
#define MU_TOOLS_SIM_WORLD_PRIV_H
/* What world.c (nodes, pods, budgets), world_gangs.c (gangs, dialect by dialect) and world_rules.c
 * (placement rules) share. */
#include "engine/base/random.h"
#include "engine/object.h"
#include "tools/workload/workload.h"

/* The namespaces of a small world beside "default", and the key of the label that changes there. */
#define MU_WORLD_TEAM_A    "team-a"
#define MU_WORLD_TEAM_B    "team-b"
#define MU_WORLD_SPACE_KEY "env"

/* A string of a static table, where MU_STR() is no constant. */
#define MU_WORLD_TEXT(literal)                                                                     \
    {                                                                                              \
        literal, sizeof literal - 1                                                                \
    }

/* The rules of one gang or solo pod, with the room for them. */
struct mu_world_rules {
    struct mu_str ns;
    struct mu_label labels[2];
    uint32_t label_count;
    struct mu_toleration toleration;
    uint32_t toleration_count;
    struct mu_pod_term terms[5];
    uint32_t term_count;
    struct mu_spread spreads[2];
    uint32_t spread_count;
    struct mu_host_port port;
    uint32_t port_count;
    struct mu_node_term node_terms[2];
    uint32_t node_term_count;
    struct mu_preferred_node preferred;
    uint32_t preferred_count;
};
/* What the members of one gang (or a solo pod) have in common. */
struct mu_world_template {
    struct mu_amount requests[3];
    struct mu_label selector;
    struct mu_world_rules rules;
    struct mu_pod_object pod;
    struct mu_label spared; /* annotation of pods that are no victims */
    uint32_t spared_count, grace_s;
    uint64_t arrival_ns, duration_ns;
    bool affinity;
};
/* A pod without a name, which borrows from the template. */
void mu_world_template_pod(const struct mu_world_template *t, struct mu_workload_pod *pod);
/* Add a gang whose members are like `t`, which it changes; *pods: how many there are. */
int mu_world_gang_add(struct mu_workload *w, struct mu_random *r, uint32_t number,
                      struct mu_world_template *t, uint32_t *pods, struct mu_error *error);

void mu_world_rules_draw(struct mu_random *r, struct mu_world_rules *rules);
/* Give them to a pod, which then borrows them. */
void mu_world_rules_apply(const struct mu_world_rules *rules, struct mu_pod_object *pod);

#endif
