#ifndef MU_INFORMER_JSON_READ_H
#define MU_INFORMER_JSON_READ_H
/*
 * JSON into any message of ours, by its descriptor: the way back of informer/json_object.h, which
 * says how the two forms differ. A tree of jansson stands in between, because patches work on it.
 *
 * What JSON says with null, "", 0, [] or {} where absence means the same (struct mu_json_presence)
 * is not set in the message: however a client spells an object, its encoding is the same.
 */
#include <jansson.h>
#include <protobuf-c/protobuf-c.h>
#include "engine/base/arena.h"
#include "engine/base/buf.h"
#include "engine/base/error.h"

/* What a strict reader refuses and others warn of, one line each, as the real server words it:
 *   unknown field "spec.containers[0].foo"
 *   duplicate field "metadata.name"
 * Zero-initialised is valid and empty; freed with mu_json_problems_fini. */
struct mu_json_problems {
    struct mu_buf lines;
    uint32_t count; /* of lines; at most MU_JSON_PROBLEMS_MAX, what comes after is not told */
};
void mu_json_problems_fini(struct mu_json_problems *problems);

/* Parse text that must be one JSON object. Of a key that comes twice in an object the later value
 * counts; with `problems` (may be NULL) it is told. Owns: caller, json_decref. Errors: MU_EINVAL
 * (says where), MU_ENOMEM; *out unchanged. Thread: any. Cost: O(bytes). */
int mu_json_text_read(struct mu_str text, json_t **out, struct mu_json_problems *problems,
                      struct mu_error *error);

/* As above for any JSON value: a patch may be a list. */
int mu_json_value_read(struct mu_str text, json_t **out, struct mu_json_problems *problems,
                       struct mu_error *error);

/* Fill an initialised, empty message from a JSON object; parts are allocated in the arena. Unknown
 * fields are left out, and told with `problems` (may be NULL). Errors: MU_EINVAL (the field's path
 * and what was expected), MU_ENOMEM (arena full, too); the message is then partly filled and to be
 * dropped. Thread: any. Cost: O(bytes), tens of microseconds for a pod. */
int mu_json_message_read(ProtobufCMessage *message, const json_t *object, struct mu_arena *arena,
                         struct mu_json_problems *problems, struct mu_error *error);

/* Note a problem: the line is made as by printf. Errors: the buffer's (MU_ENOMEM). */
int mu_json_problem(struct mu_json_problems *problems, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
