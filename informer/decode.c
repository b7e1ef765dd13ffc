#include "informer/decode_priv.h"

#include "informer/limits.h"

enum { ALIGN = 8, SLAB_BYTES = 8 << 10 }; /* no message has a member wider than 8 bytes */

/* What protobuf-c calls back with; the two flags tell why a message could not be decoded. */
struct arena_allocator {
    ProtobufCAllocator base;
    struct mu_arena *arena;
    uint8_t *slab; /* the rest of the block that small ones are cut from */
    size_t slab_left;
    size_t left; /* of the bound */
    bool bound_reached;
    bool out_of_memory;
};

static void *take_from_arena(struct arena_allocator *a, size_t size)
{
    if (size > a->left) {
        a->bound_reached = true;
        return NULL;
    }
    a->left -= size;
    void *block = mu_arena_alloc(a->arena, size);
    a->out_of_memory = a->out_of_memory || block == NULL;
    return block;
}

/* protobuf-c asks a hundred times for a pod, mostly for a few bytes: one block serves them all. */
static void *arena_allocator_alloc(void *context, size_t size)
{
    struct arena_allocator *a = context;
    if (size > SLAB_BYTES / 4)
        return take_from_arena(a, size);
    size = (size + ALIGN - 1) & ~(size_t)(ALIGN - 1);
    if (size > a->slab_left) {
        uint8_t *slab = take_from_arena(a, SLAB_BYTES);
        if (slab == NULL)
            return NULL;
        a->slab = slab;
        a->slab_left = SLAB_BYTES;
    }
    void *block = a->slab;
    a->slab += size;
    a->slab_left -= size;
    return block;
}

static void arena_allocator_free(void *context, void *block)
{
    (void)context;
    (void)block;
}

int mu_decode_message(struct mu_str raw, const ProtobufCMessageDescriptor *descriptor,
                      struct mu_arena *arena, const char *what, const void **out,
                      struct mu_error *error)
{
    if (raw.len > MU_OBJECT_BYTES_MAX)
        return mu_error_set(error, MU_ELIMIT, "%s: %u bytes, expected at most %u", what, raw.len,
                            MU_OBJECT_BYTES_MAX);
    struct arena_allocator allocator = {
        .base = {.alloc = arena_allocator_alloc, .free = arena_allocator_free},
        .arena = arena,
        .left = MU_DECODE_BYTES_MAX,
    };
    allocator.base.allocator_data = &allocator;
    const void *message =
        protobuf_c_message_unpack(descriptor, &allocator.base, raw.len, (const uint8_t *)raw.data);
    if (message == NULL && allocator.bound_reached)
        return mu_error_set(error, MU_ELIMIT, "%s: %u bytes unfold to more than %u", what, raw.len,
                            MU_DECODE_BYTES_MAX);
    if (message == NULL && allocator.out_of_memory)
        return mu_error_set(error, MU_ENOMEM, "%s: no memory to decode %u bytes", what, raw.len);
    if (message == NULL)
        return mu_error_set(error, MU_EPROTO, "%s: not a protobuf %s (%u bytes)", what,
                            descriptor->short_name, raw.len);
    *out = message;
    return 0;
}

int mu_decode_identity(const struct mu_view_meta *meta, const char *what,
                       struct mu_decode_identity *out, struct mu_error *error)
{
    if (meta == NULL)
        return mu_error_set(error, MU_EPROTO, "%s: metadata: expected, have none", what);
    struct mu_decode_identity id = {
        .ns = meta->ns,
        .name = meta->name,
        .uid = meta->uid,
    };
    if (id.name.len > MU_NAME_BYTES_MAX || id.ns.len > MU_NAME_BYTES_MAX ||
        id.uid.len > MU_UID_BYTES_MAX)
        return mu_error_set(error, MU_ELIMIT,
                            "%s: metadata: expected names of at most %u and a uid of at most %u "
                            "bytes, have %u, %u and %u",
                            what, MU_NAME_BYTES_MAX, MU_UID_BYTES_MAX, id.ns.len, id.name.len,
                            id.uid.len);
    if (id.name.len == 0 || id.uid.len == 0)
        return mu_error_set(error, MU_EPROTO, "%s \"%.*s\": metadata: expected a name and a uid",
                            what, MU_STR_ARGS(id.name));
    if (mu_decode_version(meta->version, &id.version) != 0)
        return mu_error_set(error, MU_EPROTO,
                            "%s \"%.*s\": metadata.resourceVersion: expected a decimal number",
                            what, MU_STR_ARGS(id.name));
    *out = id;
    return 0;
}

int mu_decode_version(struct mu_str text, uint64_t *version)
{
    *version = 0;
    return text.len == 0 || mu_str_to_u64(text, version) ? 0 : MU_EPROTO;
}

struct mu_str mu_decode_entry(Kube__StringEntry *const *entries, size_t count, const char *key)
{
    for (size_t i = count; i > 0; i--) {
        const Kube__StringEntry *entry = entries[i - 1];
        if (entry->key != NULL && strcmp(entry->key, key) == 0)
            return mu_str_of(entry->value);
    }
    return (struct mu_str){NULL, 0};
}

enum mu_taint_effect mu_decode_effect(struct mu_str text)
{
    if (text.len == 0)
        return MU_EFFECT_ANY;
    if (mu_str_equal(text, MU_STR("NoSchedule")))
        return MU_EFFECT_NO_SCHEDULE;
    if (mu_str_equal(text, MU_STR("PreferNoSchedule")))
        return MU_EFFECT_PREFER_NO_SCHEDULE;
    if (mu_str_equal(text, MU_STR("NoExecute")))
        return MU_EFFECT_NO_EXECUTE;
    return MU_EFFECT_OTHER;
}
