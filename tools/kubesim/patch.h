#ifndef MU_TOOLS_KUBESIM_PATCH_H
#define MU_TOOLS_KUBESIM_PATCH_H
/*
 * The three patches of the Kubernetes API, on trees. They know nothing of messages but, the
 * strategic one, the rules by which lists merge (informer/json_facts.h): the patched tree is read
 * as any other object, so a patch that makes nonsense of it is refused there.
 *
 * Each changes *target in place; on an error it is partly changed and to be dropped. Parts of the
 * patch are shared or copied into it. Errors: MU_EINVAL (the patch is malformed, or does not apply:
 * *error says which), MU_ELIMIT (tools/kubesim/limits.h), MU_ENOMEM. Thread: any.
 */
#include <jansson.h>
#include <protobuf-c/protobuf-c.h>
#include "engine/base/error.h"
#include "engine/base/str.h"

/* RFC 7386: null removes, objects merge, everything else replaces. Cost: O(patch). */
int mu_patch_merge(json_t **target, const json_t *patch, struct mu_error *error);

/* RFC 6902: add, remove, replace, move, copy and test, in order. Cost: O(patch) lookups; what copy
 * and move carry is bounded. */
int mu_patch_json(json_t **target, const json_t *patch, struct mu_error *error);

/* Strategic merge of an object of this type. Lists merge by their key or as sets where the API says
 * so; $patch (merge, replace, delete), $retainKeys, $setElementOrder/ and $deleteFromPrimitiveList/
 * are obeyed. Cost: O(patch + the lists that it names). */
int mu_patch_strategic(json_t **target, const json_t *patch, const ProtobufCMessageDescriptor *type,
                       struct mu_error *error);

/* Objects and arrays inside each other; a scalar is 0. */
uint32_t mu_patch_depth(const json_t *value);

struct mu_call;
/* Whether the call's media type is one of a patch that its kind takes. Errors: answered with
 * 415. */
int mu_patch_check_media(struct mu_call *call);
/* Apply the call's body, by its media type, to a stored object, in the group version of the
 * request. The media type was checked. *after: the kind's message, in the arena; NULL: the patch
 * changes nothing. Errors: answered. */
int mu_patch_object(struct mu_call *call, struct mu_str stored, ProtobufCMessage **after);

#endif
