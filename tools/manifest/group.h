#ifndef MU_TOOLS_MANIFEST_GROUP_H
#define MU_TOOLS_MANIFEST_GROUP_H
/* Which object describes the gang of a pod. */
#include "engine/base/arena.h"
#include "engine/object.h"
#include "informer/proto/core.pb-c.h"

/* The group that a pod names. */
struct mu_group_name {
    enum mu_gang_source source; /* MU_GANG_SOLO: none that has an object, or none that is sound */
    struct mu_str name;         /* borrowed from the pod or in the arena */
};
/* Errors: MU_ENOMEM (the arena is full). Cost: O(labels and annotations). */
int mu_group_of_pod(const Kube__Pod *pod, struct mu_arena *arena, struct mu_group_name *out);

#endif
