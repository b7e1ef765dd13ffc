#ifndef MU_TESTS_SUPPORT_WORLD_RANDOM_H
#define MU_TESTS_SUPPORT_WORLD_RANDOM_H
/*
 * Random worlds of objects: nodes in zones and racks, some without labels, cordoned or tainted;
 * namespaces with labels; pods placed and pending that use every rule of engine/object.h, drawn
 * from few words so that they meet. What is made here goes into a cluster DB as well as before the
 * naive rules (tools/report/rules.h), and the two must agree.
 */
#include "engine/base/arena.h"
#include "engine/base/random.h"
#include "engine/db/db.h"
#include "tools/report/rules.h"

struct mu_world_shape {
    uint32_t nodes, namespaces, pods;
    uint32_t placed_permille; /* of the pods: how many have a node from the start */
};
/* Strings and arrays live in `arena`. */
struct mu_world {
    struct mu_arena *arena;
    struct mu_node_object *nodes;
    uint32_t node_count;
    struct mu_rules_namespace *namespaces;
    uint32_t namespace_count;
    struct mu_pod_object *pods;
    uint32_t pod_count;
    uint64_t version; /* of the object changed last */
};
#define MU_WORLD_SCHEDULER "muster"

/* "prefix7", in the arena. Aborts when out of memory. */
struct mu_str mu_world_text(struct mu_arena *arena, const char *prefix, uint32_t number);
/* Aborts when out of memory. Free by destroying the arena. */
void mu_world_random(struct mu_world *world, struct mu_arena *arena, struct mu_random *random,
                     const struct mu_world_shape *shape);
/* One more change: labels, taints or cordon of a node; labels, end or deletion of a pod; labels of
 * a namespace. A node or pod may also have been replaced: by another one, that has its name. */
struct mu_world_changed {
    uint32_t node, pod, ns; /* index of what changed; the others UINT32_MAX */
    struct mu_str replaced; /* UID of the object that went before; empty: it is the same one */
};
struct mu_world_changed mu_world_change(struct mu_world *world, struct mu_random *random);
struct mu_rules_world mu_world_view(const struct mu_world *world);

#endif
