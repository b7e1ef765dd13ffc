#ifndef MU_TOOLS_MANIFEST_UNKNOWN_H
#define MU_TOOLS_MANIFEST_UNKNOWN_H
/*
 * Names that nothing here knows, where the complete schema cannot tell: keys of our own in maps,
 * resources of nodes, fields of PodGroups, whose dialects have no schema here. They change nothing
 * and are told, since a name that is misspelled looks the same.
 */
#include <jansson.h>
#include "engine/object.h"
#include "informer/proto/core.pb-c.h"

/* One of them: where it stands, and a line about it. */
typedef void (*mu_unknown_fn)(void *context, const char *path, const char *text);

/* Thread: any. Cost: O(keys). */
void mu_unknown_of_pod(const Kube__ObjectMeta *meta, mu_unknown_fn tell, void *context);
void mu_unknown_of_node(const Kube__Node *node, mu_unknown_fn tell, void *context);
/* `tree`: the whole PodGroup, of this dialect. */
void mu_unknown_of_group(enum mu_gang_source source, const json_t *tree, mu_unknown_fn tell,
                         void *context);

#endif
