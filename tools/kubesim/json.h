#ifndef MU_TOOLS_KUBESIM_JSON_H
#define MU_TOOLS_KUBESIM_JSON_H
/*
 * Reading Kubernetes JSON into any message of informer/proto, by its descriptor: the other direction
 * of informer/json_object.h, which says how the two forms differ.
 *
 * Reading is merging: a JSON object is laid over a message, which is also what a patch does
 * (RFC 7386: null removes, objects merge, everything else replaces). Fields that the message's
 * .proto does not have are ignored, and unknown protobuf fields of the message are kept.
 */
#include <jansson.h>
#include <protobuf-c/protobuf-c.h>
#include "engine/base/arena.h"
#include "engine/base/error.h"

/* Lay the JSON object over message; new parts live in the arena. `strategic`: lists that have a
 * merge key (conditions by type, containers by name ...) are merged by it, `$patch` is obeyed.
 * Errors: MU_EINVAL (names the field and what was expected), MU_ENOMEM; message is then partly
 * changed and to be dropped. */
int mu_kube_json_merge(ProtobufCMessage *message, const json_t *object, bool strategic,
                       struct mu_arena *arena, struct mu_error *error);

#endif
