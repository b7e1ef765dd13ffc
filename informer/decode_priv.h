#ifndef MU_INFORMER_DECODE_PRIV_H
#define MU_INFORMER_DECODE_PRIV_H
/*
 * protobuf-c behind caps: input above MU_OBJECT_BYTES_MAX is refused unread, and the decoded
 * message lives in the caller's arena, whose own bound caps what a hostile object can unfold to.
 * Nothing is freed piece by piece; the arena's next reset drops it all.
 */
#include "engine/base/arena.h"
#include "engine/base/error.h"
#include "engine/object.h"
#include "informer/proto/core.pb-c.h"
#include "informer/proto/meta.pb-c.h"
#include "informer/view_priv.h"

/* Decode `raw` into the arena. `what` names the kind in *error. Errors: MU_EPROTO (undecodable),
 * MU_ELIMIT (larger than a bound, as it is or unfolded), MU_ENOMEM (arena full or memory out). */
int mu_decode_message(struct mu_str raw, const ProtobufCMessageDescriptor *descriptor,
                      struct mu_arena *arena, const char *what, const void **out,
                      struct mu_error *error);

/* What every object is known by. */
struct mu_decode_identity {
    struct mu_str ns, name, uid;
    uint64_t version;
};
/* Check and take it from metadata (may be NULL). Errors: MU_EPROTO (name or uid missing, version no
 * number), MU_ELIMIT (too long). */
int mu_decode_identity(const struct mu_view_meta *meta, const char *what,
                       struct mu_decode_identity *out, struct mu_error *error);

/* Decimal resourceVersion -> number; empty is 0. Errors: MU_EPROTO. */
int mu_decode_version(struct mu_str text, uint64_t *version);
/* Value of the last entry named `key`, or empty. */
struct mu_str mu_decode_entry(Kube__StringEntry *const *entries, size_t count, const char *key);
/* "" is MU_EFFECT_ANY, unknown words are MU_EFFECT_OTHER. */
enum mu_taint_effect mu_decode_effect(struct mu_str text);

#endif
