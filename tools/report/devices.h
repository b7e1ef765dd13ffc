#ifndef MU_TOOLS_REPORT_DEVICES_H
#define MU_TOOLS_REPORT_DEVICES_H
/*
 * Devices that are tracked one by one, once more, for those who judge a run: as plain as can be, on
 * the objects, with nothing of the engine's arithmetic, so that a mistake there shows.
 */
#include "engine/limits.h"
#include "engine/object.h"

/* Thousandths left of each device of a node; below 0: more is taken than there is. */
struct mu_devices_left {
    int64_t millis[MU_DEVICES_PER_NODE];
};

/* True for a resource of which a tracked node's devices say what is left, not its sums. */
bool mu_devices_tell(const struct mu_node_object *node, struct mu_str resource);
/* True for a pod that asks for a part of a device and for whole ones besides: never placed. */
bool mu_devices_mixed(const struct mu_pod_object *pod);
/* Thousandths of devices that the pod asks for, whole ones included, wherever it is. */
int64_t mu_devices_asked(const struct mu_pod_object *pod);
/* All of them free. */
void mu_devices_init(struct mu_devices_left *left, const struct mu_node_object *node);
/* Take what the pod, which is there, asks of its devices (or give it back). False where it does not
 * name the devices that it has: as many as it asks for, each of them the node's; nothing is taken
 * then. True for a pod that asks for none, and for nodes that are not tracked. */
bool mu_devices_charge(struct mu_devices_left *left, const struct mu_node_object *node,
                       const struct mu_pod_object *pod, bool add);
/* Devices for one more pod that is not mixed, those with the least left that suffice. False where
 * the node has none for it, or gives no whole ones. 0 for a pod that asks for none, and for other
 * nodes. */
bool mu_devices_choose(const struct mu_devices_left *left, const struct mu_node_object *node,
                       const struct mu_pod_object *pod, uint64_t *devices);

#endif
