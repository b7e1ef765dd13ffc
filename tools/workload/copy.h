#ifndef MU_TOOLS_WORKLOAD_COPY_H
#define MU_TOOLS_WORKLOAD_COPY_H
/*
 * Deep copies of the neutral objects (engine/object.h) into an arena: for those who keep objects
 * beyond the call that lends them. Strings are NUL-terminated behind their length; empty ones are
 * {NULL, 0}.
 */
#include "engine/base/arena.h"
#include "engine/object.h"

/* Copy with everything it points to. Valid as long as the arena's content. Returns false, *to
 * unchanged, when the arena is full or memory is out. Cost: O(bytes). */
bool mu_copy_namespace(struct mu_arena *arena, const struct mu_namespace_object *from,
                       struct mu_namespace_object *to);
bool mu_copy_node(struct mu_arena *arena, const struct mu_node_object *from,
                  struct mu_node_object *to);
bool mu_copy_pod(struct mu_arena *arena, const struct mu_pod_object *from,
                 struct mu_pod_object *to);
bool mu_copy_labels(struct mu_arena *arena, const struct mu_label *from, uint32_t count,
                    const struct mu_label **to);
bool mu_copy_strings(struct mu_arena *arena, const struct mu_str *from, uint32_t count,
                     const struct mu_str **to);

#endif
