#ifndef MU_INFORMER_JSON_OBJECT_H
#define MU_INFORMER_JSON_OBJECT_H
/*
 * Kubernetes objects as JSON, straight from their protobuf form: one walk over the descriptors, no
 * tree in between, no code per kind. Our .proto files carry the API's field names, so a
 * descriptor knows its JSON.
 *
 * Where the two forms differ:
 *   StringEntry, QuantityEntry  repeated entries are the members of one JSON object, in order: of
 *                               a key that comes twice, readers of either form take the later
 *   Quantity                    its text
 *   Time, MicroTime             RFC 3339 in UTC; left out when not set
 *   Volume.volumeSource         its fields are the volume's own
 * Empty strings and absent fields are left out. Bytes that are no UTF-8 become U+FFFD. Fields that
 * our .proto files do not know are left out too.
 */
#include <protobuf-c/protobuf-c.h>
#include "engine/base/arena.h"
#include "engine/base/buf.h"
#include "engine/base/error.h"

/* Messages whose JSON is not an object of their fields. */
enum mu_json_shape {
    MU_JSON_OBJECT,
    MU_JSON_QUANTITY,   /* its text */
    MU_JSON_TIME,       /* RFC 3339, seconds */
    MU_JSON_MICRO_TIME, /* RFC 3339, microseconds */
    MU_JSON_ENTRY,      /* repeated: members of one JSON object */
    MU_JSON_INLINE      /* its fields are those of the message around it */
};
/* The shape of a field's values. Thread: any. */
enum mu_json_shape mu_json_shape_of(const ProtobufCFieldDescriptor *field);

/* Append a message as a JSON object; with `kind` given, kind and apiVersion come first.
 * Errors: the buffer's (MU_ENOMEM, MU_ELIMIT), MU_EUNSUPPORTED (a field type that no Kubernetes
 * object of ours has). On error *out is as it was. Thread: any. Cost: O(bytes). */
int mu_json_message_write(struct mu_buf *out, struct mu_str api_version, struct mu_str kind,
                          const ProtobufCMessage *message, struct mu_error *error);

/* Append `raw`, an encoded object of this kind ("Pod", "Node", "Namespace"): decoded in the arena,
 * then as above. Errors: also MU_EUNSUPPORTED (a kind not known), MU_EPROTO, MU_ELIMIT. */
int mu_json_object_write(struct mu_buf *out, struct mu_str kind, struct mu_str raw,
                         struct mu_arena *arena, struct mu_error *error);

/* Append s as a JSON string, quotes included. Returns 0 or the buffer's error. */
int mu_json_string_write(struct mu_buf *out, struct mu_str s);

#endif
