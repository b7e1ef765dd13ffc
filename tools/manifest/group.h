#ifndef MU_TOOLS_MANIFEST_GROUP_H
#define MU_TOOLS_MANIFEST_GROUP_H
/*
 * Gangs that an object of their own describes: which one a pod names, and what such an object says.
 * Three dialects: Kubernetes' own PodGroup, that of scheduler-plugins, and Volcano's.
 */
#include <jansson.h>
#include "engine/base/arena.h"
#include "engine/object.h"
#include "informer/proto/core.pb-c.h"
#include "tools/manifest/check.h"

/* The group that a pod names. */
struct mu_group_name {
    enum mu_gang_source source; /* MU_GANG_SOLO: none that has an object, or none that is sound */
    struct mu_str name;         /* borrowed from the pod or in the arena */
};
/* Errors: MU_ENOMEM (the arena is full). Cost: O(labels and annotations). */
int mu_group_of_pod(const Kube__Pod *pod, struct mu_arena *arena, struct mu_group_name *out);

/* The dialect of a PodGroup of this apiVersion; MU_GANG_SOLO: none that is known here. */
enum mu_gang_source mu_group_dialect(struct mu_str version);

/* What an object says. Strings are borrowed from the tree. */
struct mu_group {
    struct mu_str ns, name; /* ns empty: not said */
    uint32_t size;          /* members that must run together, at least 1 */
    bool single;            /* no gang after all: members are placed one by one */
    bool tasks;             /* some of the size is stated task by task */
    const char
        *unbuilt; /* path of a rule that is not built, so that no member is placed; or NULL */
    struct mu_str priority_class; /* empty: not said */
    bool has_priority;
    int32_t priority;
};
/* Read the tree of a PodGroup. False: *check says what is wrong. */
bool mu_group_read(enum mu_gang_source source, const json_t *tree, struct mu_group *out,
                   struct mu_check *check);

#endif
