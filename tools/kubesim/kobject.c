#include "tools/kubesim/kobject.h"

#include <inttypes.h>
#include <stdio.h>
#include "engine/base/assert.h"
#include "engine/base/buf.h"
#include "engine/base/mem.h"
#include "tools/kubesim/limits.h"
#include "tools/kubesim/wire.h"

/* Field numbers of ObjectMeta. */
enum { META = 1, META_NAME = 1, META_NAMESPACE = 3, META_UID = 5, META_VERSION = 6 };

static struct mu_kobject *allocate(size_t size)
{
    MU_ASSERT(size > 0 && size <= UINT32_MAX);
    struct mu_kobject *object = mu_mem_alloc(sizeof *object + size);
    if (object != NULL) {
        *object = (struct mu_kobject){.refs = 1, .size = (uint32_t)size};
    }
    return object;
}

static void locate(const struct mu_kobject *object, struct mu_str text, uint32_t *at, uint8_t *len)
{
    MU_ASSERT(text.len <= UINT8_MAX);
    *at = text.len == 0 ? 0 : (uint32_t)(text.data - (const char *)object->bytes);
    *len = (uint8_t)text.len;
}

/* Find names and version in the bytes, once: every lookup compares them. */
static void index_names(struct mu_kobject *object)
{
    struct mu_str meta = mu_pb_bytes(mu_kobject_raw(object), META, 0);
    struct mu_pb_field field;
    while (mu_pb_next(&meta, &field) == 1) {
        if (field.number == META_NAME) {
            locate(object, field.bytes, &object->name_at, &object->name_len);
        } else if (field.number == META_NAMESPACE) {
            locate(object, field.bytes, &object->ns_at, &object->ns_len);
        } else if (field.number == META_UID) {
            locate(object, field.bytes, &object->uid_at, &object->uid_len);
        } else if (field.number == META_VERSION) {
            bool number = mu_str_to_u64(field.bytes, &object->version);
            MU_ASSERT(number && object->version > 0);
        }
    }
    MU_ASSERT(object->name_len > 0);
}

struct mu_kobject *mu_kobject_pack(const ProtobufCMessage *message)
{
    size_t size = protobuf_c_message_get_packed_size(message);
    struct mu_kobject *object = allocate(size);
    if (object != NULL) {
        size_t written = protobuf_c_message_pack(message, object->bytes);
        MU_ASSERT(written == size);
        index_names(object);
    }
    return object;
}

/* Copy `from` without its fields `number` and with `bytes` as that field at the end. */
static void replace_field(struct mu_buf *out, struct mu_str from, uint32_t number,
                          struct mu_str bytes)
{
    struct mu_pb_field field;
    while (mu_pb_next(&from, &field) == 1) {
        if (field.number != number) {
            (void)mu_buf_append_str(out, field.whole);
        }
    }
    mu_pb_put_bytes(out, number, bytes);
}

struct mu_kobject *mu_kobject_stamp(const struct mu_kobject *object, uint64_t version)
{
    char text[24];
    int n = snprintf(text, sizeof text, "%" PRIu64, version);
    struct mu_str raw = mu_kobject_raw(object);
    struct mu_buf meta = {0};
    struct mu_buf whole = {0};
    replace_field(&meta, mu_pb_bytes(raw, META, 0), META_VERSION,
                  (struct mu_str){text, (uint32_t)n});
    replace_field(&whole, raw, META, (struct mu_str){(const char *)meta.data, (uint32_t)meta.len});
    struct mu_kobject *copy = NULL;
    if (meta.failed == 0 && whole.failed == 0) {
        copy = allocate(whole.len);
    }
    if (copy != NULL) {
        memcpy(copy->bytes, whole.data, whole.len);
        index_names(copy);
        MU_ASSERT(copy->version == version);
    }
    mu_buf_fini(&meta);
    mu_buf_fini(&whole);
    return copy;
}

struct mu_kobject *mu_kobject_ref(struct mu_kobject *object)
{
    MU_ASSERT(object->refs > 0 && object->refs < UINT32_MAX);
    object->refs++;
    return object;
}

void mu_kobject_unref(struct mu_kobject *object)
{
    if (object == NULL) {
        return;
    }
    MU_ASSERT(object->refs > 0);
    if (--object->refs == 0) {
        mu_mem_free(object);
    }
}
