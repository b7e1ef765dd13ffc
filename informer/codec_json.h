#ifndef MU_INFORMER_CODEC_JSON_H
#define MU_INFORMER_CODEC_JSON_H
/*
 * Lists, watch streams, metadata and Status in their JSON form, which is all that custom resources
 * have. Objects are handed on as text, cut out of their list or event and not parsed: brackets and
 * strings are followed, so that an object's end is sure, and what lies between them is for whoever
 * reads the object. The protobuf form is in informer/codec.h, which has the types.
 */
#include "informer/codec.h"

/* As mu_list_open, of a whole body. A text that comes with escapes (\u003d) is refused in the head.
 * Errors: MU_EPROTO, or what `item` returned. */
int mu_json_list_open(struct mu_str body, struct mu_list_head *head, mu_list_item_fn item,
                      void *context, struct mu_error *error);
/* As mu_meta_decode. Texts with escapes are empty: names and versions have none. */
int mu_json_meta_decode(struct mu_str raw, struct mu_object_meta *out, struct mu_error *error);
/* As mu_status_decode; an object that says that it is something else is none. Errors: MU_EPROTO,
 * MU_ENOMEM. */
int mu_json_status_decode(struct mu_str body, struct mu_arena *arena, struct mu_status *out);

/* A watch stream is one object after another. Deliver every whole one in (pending + data), with the
 * object's text as envelope.raw. Bytes are looked at once, however they are cut. For
 * mu_watch_decoder_feed, whose errors it has: MU_ELIMIT above MU_WATCH_FRAME_MAX. */
int mu_json_watch_feed(struct mu_watch_decoder *decoder, struct mu_str data,
                       mu_watch_event_fn event, void *context, struct mu_error *error);

#endif
