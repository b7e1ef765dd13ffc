#ifndef MU_TOOLS_KUBESIM_KOBJECT_H
#define MU_TOOLS_KUBESIM_KOBJECT_H
/*
 * One version of one object: its encoded protobuf, immutable and reference counted, with the three
 * names that the store needs located inside the bytes. A header of 32 bytes per object, nothing is
 * kept decoded. One thread.
 */
#include <protobuf-c/protobuf-c.h>
#include "engine/base/str.h"

struct mu_kobject {
    uint32_t refs;
    uint32_t size;
    uint64_t version; /* metadata.resourceVersion; 0: none, an object that is not stored */
    uint32_t ns_at, name_at, uid_at;
    uint8_t ns_len, name_len, uid_len; /* API names fit: at most 253, UIDs 128 */
    uint8_t bytes[];
};

/* Encode a message whose field 1 is an ObjectMeta. Returns NULL when out of
 * memory. Asserts lengths: validation comes before. Owns: caller, one reference. */
struct mu_kobject *mu_kobject_pack(const ProtobufCMessage *message);
/* The same object with another resourceVersion: what a DELETED event carries. NULL: memory. */
struct mu_kobject *mu_kobject_stamp(const struct mu_kobject *object, uint64_t version);
struct mu_kobject *mu_kobject_ref(struct mu_kobject *object);
void mu_kobject_unref(struct mu_kobject *object); /* NULL is fine */

static inline struct mu_str mu_kobject_raw(const struct mu_kobject *o)
{
    return (struct mu_str){(const char *)o->bytes, o->size};
}
static inline struct mu_str mu_kobject_ns(const struct mu_kobject *o)
{
    return (struct mu_str){(const char *)o->bytes + o->ns_at, o->ns_len};
}
static inline struct mu_str mu_kobject_name(const struct mu_kobject *o)
{
    return (struct mu_str){(const char *)o->bytes + o->name_at, o->name_len};
}
static inline struct mu_str mu_kobject_uid(const struct mu_kobject *o)
{
    return (struct mu_str){(const char *)o->bytes + o->uid_at, o->uid_len};
}

#endif
