#ifndef MU_INFORMER_JSON_OBJECT_H
#define MU_INFORMER_JSON_OBJECT_H
/*
 * Kubernetes objects as JSON, straight from their protobuf form: one walk over the descriptors, no
 * tree in between, no code per kind. Our .proto files carry the API's field names, so a
 * descriptor knows its JSON; informer/json_facts.h knows the rest. informer/json_read.h is the way
 * back.
 *
 * Where the two forms differ:
 *   StringEntry and other entries  repeated entries are the members of one JSON object, in order:
 *                                  of a key that comes twice, readers of either form take the later
 *   Quantity                       its text
 *   Time, MicroTime                RFC 3339 in UTC
 *   IntOrString                    a number or a string
 *   FieldsV1, RawExtension         the JSON text that they hold; null when it is none
 *   ExtraValue                     a list
 *   VolumeSource, ProbeHandler ... where Go inlines them: fields of the message around them
 *   bytes                          base64
 * What is empty is left out or printed as the real server does (struct mu_json_presence). Bytes
 * that are no UTF-8 become U+FFFD. Fields that our .proto files do not know are left out.
 */
#include <protobuf-c/protobuf-c.h>
#include "engine/base/arena.h"
#include "engine/base/buf.h"
#include "engine/base/error.h"
#include "informer/json_facts.h"

/* Append a message as a JSON object; with `kind` given, kind and apiVersion come first.
 * Errors: the buffer's (MU_ENOMEM, MU_ELIMIT), MU_EUNSUPPORTED (a field type that no Kubernetes
 * object of ours has; nested deeper than MU_JSON_DEPTH_MAX). On error *out is as it was. Thread:
 * any. Cost: O(bytes). */
int mu_json_message_write(struct mu_buf *out, struct mu_str api_version, struct mu_str kind,
                          const ProtobufCMessage *message, struct mu_error *error);

/* Append `raw`, an encoded object of this kind ("Pod", "Node", "Namespace"): decoded in the arena,
 * then as above. Errors: also MU_EUNSUPPORTED (a kind not known), MU_EPROTO, MU_ELIMIT. */
int mu_json_object_write(struct mu_buf *out, struct mu_str kind, struct mu_str raw,
                         struct mu_arena *arena, struct mu_error *error);

/* Append s as a JSON string, quotes included. Returns 0 or the buffer's error. */
int mu_json_string_write(struct mu_buf *out, struct mu_str s);

#endif
