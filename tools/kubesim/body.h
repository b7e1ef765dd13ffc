#ifndef MU_TOOLS_KUBESIM_BODY_H
#define MU_TOOLS_KUBESIM_BODY_H
/*
 * Request bodies: protobuf, JSON or YAML into messages.
 *
 *   protobuf ──check against the schema──────────────────────────┐
 *   JSON, YAML ─▶ tree ─▶ message of the schema ─▶ its encoding ──┴─▶ message of the rules
 *
 * The schema has every field, the rules' message those that the rules look at; what it does not
 * know stays in its unknown fields and is encoded with it, so nothing is lost. An encoding is
 * checked against the schema when it comes in, so whatever is stored can be decoded by it later.
 */
#include <jansson.h>
#include "informer/json_read.h"
#include "tools/kubesim/api_priv.h"

/* fieldValidation: what becomes of fields that are unknown or come twice. */
enum mu_strictness { MU_IGNORE, MU_WARN, MU_STRICT };
/* The request's. Errors: answered (422) when the parameter is none of the three. */
int mu_body_strictness(struct mu_call *call, enum mu_strictness *out);
/* Turn the problems into warnings of the response. Errors: answered (500). */
int mu_body_warn(struct mu_call *call, const struct mu_json_problems *problems);
/* `strict decoding error: unknown field "a", ...` in the arena; NULL: out of memory. */
const char *mu_body_strict_text(struct mu_call *call, const struct mu_json_problems *problems);

/* What a kind's objects are in the group version of the request. */
struct mu_body_form {
    const char *api_version;
    const ProtobufCMessageDescriptor *schema;
    const struct mu_renumber *renumber; /* NULL: stored as served */
};
struct mu_body_form mu_body_form_of(const struct mu_call *call);

/* The kind's message for an encoding in the request's form, and an encoding in the request's form
 * for a stored one. Views and messages live in the arena. Errors: answered. */
int mu_body_to_stored(struct mu_call *call, struct mu_str served, ProtobufCMessage **out);
int mu_body_to_served(struct mu_call *call, struct mu_str stored, struct mu_str *out);
/* A message's encoding, in the arena. Errors: answered. */
int mu_body_encode(struct mu_call *call, const ProtobufCMessage *message, struct mu_str *out);

/* Decode the body as an object of the route's kind. Errors: answered. */
int mu_body_object(struct mu_call *call, ProtobufCMessage **out);

#endif
