#ifndef MU_INFORMER_YAML_EVENTS_H
#define MU_INFORMER_YAML_EVENTS_H
/*
 * libfyaml's events of a text, one by one, behind what it does not check itself.
 *
 * Events, not its documents: a document would first be built in full, with anchors resolved, in
 * memory that is not ours to bound. Here whoever takes the events checks every bound before the
 * next one is asked for. Anchors, aliases and tags are refused, so a value is what stands there.
 */
#include <libfyaml.h>
#include "engine/base/error.h"
#include "engine/base/str.h"

/* Takes one event, which is valid during the call; not 0 ends the parse. Not called for the start
 * and the end of the stream. */
typedef int (*mu_yaml_event_fn)(void *context, struct fy_event *event);

/* Parse text, which `name` stands for in errors: "name:line:column: expected ...". Errors:
 * MU_EINVAL (not YAML, no UTF-8, control characters, anchors, aliases, tags), MU_ENOMEM, what fn
 * returns. Thread: any. Cost: O(bytes). */
int mu_yaml_events(struct mu_str text, const char *name, mu_yaml_event_fn fn, void *context,
                   struct mu_error *error);

/* Lines and columns from 1; 1:1 where libfyaml does not know. */
void mu_yaml_event_at(struct fy_event *event, uint32_t *line, uint32_t *column);

#endif
