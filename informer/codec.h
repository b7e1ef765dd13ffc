#ifndef MU_INFORMER_CODEC_H
#define MU_INFORMER_CODEC_H
/*
 * Kubernetes on the wire: envelope, lists, watch frames, Status, and the translation of Pods,
 * Nodes and Namespaces into the engine's neutral objects. Input is hostile: every size is capped,
 * every error names the object and field.
 */
#include "engine/base/arena.h"
#include "engine/base/buf.h"
#include "engine/base/error.h"
#include "engine/object.h"
#include "informer/limits.h"

/* The envelope: magic, runtime.Unknown. Views into `body`. Errors: MU_EPROTO, MU_ETRUNCATED. */
struct mu_envelope {
    struct mu_str api_version;
    struct mu_str kind;
    struct mu_str raw; /* the encoded object */
};
int mu_envelope_open(struct mu_str body, struct mu_envelope *out, struct mu_error *error);
bool mu_envelope_has_magic(struct mu_str body);
/* Bytes that mu_envelope_wrap appends. */
size_t mu_envelope_size(struct mu_str api_version, struct mu_str kind, struct mu_str raw);
/* Append magic + Unknown around raw: all of it or nothing. Returns 0 or the buffer's error. */
int mu_envelope_wrap(struct mu_buf *out, struct mu_str api_version, struct mu_str kind,
                     struct mu_str raw);

/* A list: metadata and the items one by one, without decoding them. */
struct mu_list_head {
    struct mu_str resource_version;
    struct mu_str continue_token;
};
typedef int (*mu_list_item_fn)(void *context, struct mu_str raw);
/* Check the framing of the whole list and fill *head, then call item for each; stops at its first
 * non-zero return and returns that. A malformed list yields no item. item NULL: the head only. */
int mu_list_open(struct mu_str raw, struct mu_list_head *head, mu_list_item_fn item, void *context,
                 struct mu_error *error);

/* Watch framing, incremental: feed bytes as they arrive, take whole events out. */
enum mu_watch_type {
    MU_WATCH_ADDED,
    MU_WATCH_MODIFIED,
    MU_WATCH_DELETED,
    MU_WATCH_BOOKMARK,
    MU_WATCH_ERROR
};
struct mu_watch_event {
    enum mu_watch_type type;
    struct mu_envelope object; /* views, valid during the callback */
};
struct mu_watch_decoder {
    struct mu_buf pending;         /* bytes of a frame that is not whole yet */
    int failed;                    /* first error, sticky: the stream cannot be picked up again */
    bool json;                     /* objects of JSON, one after another, instead of frames */
    bool json_string, json_escape; /* where the stream is (codec_json.c) */
    uint32_t json_depth;
};
typedef int (*mu_watch_event_fn)(void *context, const struct mu_watch_event *event);
void mu_watch_decoder_init(struct mu_watch_decoder *decoder);
/* For a stream of JSON: an event's envelope.raw is the object's text. */
void mu_watch_decoder_init_json(struct mu_watch_decoder *decoder);
void mu_watch_decoder_fini(struct mu_watch_decoder *decoder);
/* Deliver every whole event in (pending + data). Errors: MU_ELIMIT (a frame above
 * MU_WATCH_FRAME_MAX, refused from its 4 length bytes alone), MU_EPROTO, MU_ENOMEM, or the
 * callback's. */
int mu_watch_decoder_feed(struct mu_watch_decoder *decoder, struct mu_str data,
                          mu_watch_event_fn event, void *context, struct mu_error *error);
/* True when the stream ended inside a frame (a broken connection, not a clean end). */
bool mu_watch_decoder_partial(const struct mu_watch_decoder *decoder);
/* Append one frame (length, WatchEvent, envelope around raw): all of it or nothing. Errors: the
 * buffer's, MU_ELIMIT (above MU_WATCH_FRAME_MAX). */
int mu_watch_frame_write(struct mu_buf *out, enum mu_watch_type type, struct mu_str api_version,
                         struct mu_str kind, struct mu_str raw);

struct mu_status {
    int code;
    struct mu_str status; /* "Success" or "Failure" */
    struct mu_str reason;
    struct mu_str message;
    struct mu_str cause; /* first details.causes[].reason */
    uint32_t retry_after_s;
};
/* Decode a v1 Status from an enveloped body. MU_EPROTO when the body is not one (plain text). */
int mu_status_decode(struct mu_str body, struct mu_arena *arena, struct mu_status *out);
/* The same for a Status out of its envelope: the object of an ERROR event. */
int mu_status_decode_raw(struct mu_str raw, struct mu_arena *arena, struct mu_status *out);

/* metadata of any object, without decoding the rest: views into raw. uint64 version: decimal
 * resourceVersion. Errors: MU_EPROTO, MU_ETRUNCATED. Cost: one pass over the metadata. */
struct mu_object_meta {
    struct mu_str ns, name, uid;
    struct mu_str resource_version;
    uint64_t version;        /* 0 when absent */
    bool initial_events_end; /* annotation k8s.io/initial-events-end: "true" */
};
int mu_meta_decode(struct mu_str raw, struct mu_object_meta *out, struct mu_error *error);

/* Decode and translate (kubernetes-wire §2, §3.3; gang dialects by informer/dialect.h). Strings
 * and arrays live in the arena, in raw or in the program. What cannot be taken over does not fail
 * the decode, so that whoever keeps the object never stays at an older version of it; `warn` names
 * the first such part:
 *   a quantity that cannot be read, too many resources, or a resource name above
 *   MU_RESOURCE_NAME_BYTES_MAX: a pod is marked MU_RULE_REQUEST and has what was read; a node
 *   offers none of it;
 *   a list above its bound is left out: a pod is marked MU_RULE_OVERSIZED, a node is unschedulable
 *   (in the place of taints: two that only a pod that tolerates every taint tolerates);
 *   spec.nodeName or spec.schedulerName above MU_NAME_BYTES_MAX: cut there, MU_RULE_OVERSIZED;
 *   a selector, constraint or host port that cannot be read: MU_RULE_UNREADABLE (in node affinity a
 *   requirement that never holds, without a mark, as kube-scheduler has it).
 * Only scores look at images: of too many the first ones are taken, without a mark.
 * Errors: MU_EPROTO (undecodable), MU_ELIMIT (an identity too long, or an object beyond
 * MU_OBJECT_BYTES_MAX or MU_DECODE_BYTES_MAX), MU_ENOMEM (memory is out, or the arena was created
 * for less than MU_DECODE_ARENA_BYTES). */
int mu_pod_decode(struct mu_str raw, struct mu_arena *arena, struct mu_pod_object *out,
                  struct mu_error *warn, struct mu_error *error);
/* What a condition PodScheduled=False says, in 64 bits, never 0: struct mu_pod_object's report. */
uint64_t mu_pod_report_digest(struct mu_str reason, struct mu_str message);
int mu_node_decode(struct mu_str raw, struct mu_arena *arena, struct mu_node_object *out,
                   struct mu_error *warn, struct mu_error *error);
/* The same for a namespace; too many labels are left out, with a warning. */
int mu_namespace_decode(struct mu_str raw, struct mu_arena *arena, struct mu_namespace_object *out,
                        struct mu_error *warn, struct mu_error *error);
/* What a disruption budget asks for, from which the disruption controller works out what it allows:
 * pods that must stay, or that may be missing, as a number or of a hundred that are expected. */
struct mu_budget_wish {
    enum { MU_BUDGET_ASKS_NOTHING, MU_BUDGET_MIN_AVAILABLE, MU_BUDGET_MAX_UNAVAILABLE } kind;
    bool percent;
    int32_t value;
    bool stated; /* the status says something, so that a controller has written it */
};
/* The same for a disruption budget. A selector that is absent, empty, beyond a bound or unreadable
 * covers nobody; without a status nothing is allowed. `wish` may be NULL. */
int mu_budget_decode(struct mu_str raw, struct mu_arena *arena, struct mu_budget_object *out,
                     struct mu_budget_wish *wish, struct mu_error *warn, struct mu_error *error);
/* On a bound pod: numbers of the devices that it was given ("0,3"). */
#define MU_DEVICE_ANNOTATION "muster.dev/gpu-index"
/* On a node, "true": its devices (the one resource named <vendor>/gpu) are tracked one by one. */
#define MU_SHARING_LABEL "muster.dev/gpu-sharing"
/* On such a node, "honored": its device plugin gives a pod the devices that we choose, so that it
 * may take pods that ask for whole ones. */
#define MU_DEVICE_LABEL "muster.dev/gpu-index"

/* A v1 Binding in its envelope. Annotations carry the plan's name (`muster.dev/plan`) and the
 * devices that the pod gets (MU_DEVICE_ANNOTATION, "0,3"); the server copies them to the pod. */
struct mu_binding {
    struct mu_str ns, name, uid;
    uint64_t version; /* 0: no precondition */
    struct mu_str node;
    struct mu_str plan; /* empty: no annotation */
    uint64_t devices;   /* bit per device; 0: no annotation */
};
#define MU_PLAN_ANNOTATION "muster.dev/plan"
int mu_binding_encode(struct mu_buf *out, const struct mu_binding *binding);

/* What the binder needs to judge a pod that it has read back. */
struct mu_pod_bound {
    struct mu_str uid, node, plan;
    uint64_t version;
    uint32_t grace_s; /* of a terminating pod */
    bool terminating, terminal;
};
int mu_pod_bound_decode(struct mu_str raw, struct mu_arena *arena, struct mu_pod_bound *out,
                        struct mu_error *error);

#endif
