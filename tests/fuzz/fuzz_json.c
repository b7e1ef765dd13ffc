/*
 * JSON of API objects: no input crashes or leaks, and what was read as a message is written and
 * read again to the same bytes. The first byte chooses the kind, the second lets that allocation
 * fail.
 *
 * covers: informer/json_read.c informer/json_object.c:-mu_json_object_write
 */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "engine/base/assert.h"
#include "engine/base/mem.h"
#include "informer/json_object.h"
#include "informer/json_read.h"
#include "informer/limits.h"
#include "tests/schema_random.h"

enum { ARENA_BYTES = 8 << 20, SMALL = 192, SMALL_STEP = 48 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Read text as a message of this type into the arena; NULL: refused. */
static ProtobufCMessage *read_message(const ProtobufCMessageDescriptor *type, struct mu_str text,
                                      struct mu_arena *arena, int *status)
{
    struct mu_json_problems problems = {0};
    struct mu_error error = {0, ""};
    json_t *root = NULL;
    *status = mu_json_text_read(text, &root, &problems, &error);
    MU_ASSERT((*status == 0) == (root != NULL));
    ProtobufCMessage *message = mu_arena_alloc(arena, type->sizeof_message);
    if (message == NULL)
        *status = MU_ENOMEM;
    if (*status == 0) {
        protobuf_c_message_init(type, message);
        *status = mu_json_message_read(message, root, arena, &problems, &error);
    }
    MU_ASSERT(*status == 0 || *status == MU_EINVAL || *status == MU_ENOMEM);
    MU_ASSERT(problems.count <= MU_JSON_PROBLEMS_MAX);
    json_decref(root);
    mu_json_problems_fini(&problems);
    return *status == 0 ? message : NULL;
}

/* The encoding, behind its length. */
static struct mu_str encode(const ProtobufCMessage *message, struct mu_arena *arena)
{
    size_t size = protobuf_c_message_get_packed_size(message);
    uint8_t *bytes = mu_arena_alloc(arena, size + 1);
    if (bytes == NULL)
        return (struct mu_str){NULL, 0};
    return (struct mu_str){(char *)bytes, (uint32_t)protobuf_c_message_pack(message, bytes)};
}

static void check_round_trip(const ProtobufCMessage *message, struct mu_arena *arena)
{
    struct mu_buf text = {0};
    struct mu_error error = {0, ""};
    int status = mu_json_message_write(&text, MU_STR("v1"), MU_STR("Kind"), message, &error);
    MU_ASSERT(status == 0 || status == MU_ENOMEM);
    if (status == 0) {
        struct mu_str json = {(char *)text.data, (uint32_t)text.len};
        const ProtobufCMessage *back = read_message(message->descriptor, json, arena, &status);
        MU_ASSERT(back != NULL || status == MU_ENOMEM);
        struct mu_str a = encode(message, arena);
        struct mu_str b = back == NULL ? a : encode(back, arena);
        MU_ASSERT(a.data == NULL || b.data == NULL || mu_str_equal(a, b));
    }
    mu_buf_fini(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2 || size > 1 << 16)
        return 0;
    size_t live = mu_mem_live_bytes();
    bool small = data[1] >= SMALL;
    struct mu_arena *arena =
        mu_arena_create(small ? SMALL_STEP * (size_t)(data[1] - SMALL + 1) : ARENA_BYTES);
    int status;
    mu_mem_debug_set((struct mu_mem_debug){.fail_nth = small ? 0 : data[1]});
    const ProtobufCMessage *message =
        arena == NULL ? NULL
                      : read_message(schema_kinds[data[0] % SCHEMA_KINDS],
                                     (struct mu_str){(const char *)data + 2, (uint32_t)size - 2},
                                     arena, &status);
    if (message != NULL)
        check_round_trip(message, arena);
    mu_mem_debug_set((struct mu_mem_debug){0});
    mu_arena_destroy(arena);
    MU_ASSERT(mu_mem_live_bytes() == live);
    return 0;
}
