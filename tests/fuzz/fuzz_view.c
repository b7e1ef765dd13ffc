/*
 * The walker of pods, nodes and namespaces against protobuf-c: whatever bytes it takes, protobuf-c
 * takes too, and both lead to the same view, field by field. The first byte says which of the three
 * the rest is read as; '!' in front of it gives both so little memory as the byte behind says.
 *
 * covers: informer/walk.c informer/unpack.c
 */
#include <stddef.h>
#include <stdint.h>

#include "engine/base/arena.h"
#include "engine/base/assert.h"
#include "informer/limits.h"
#include "tests/view_equal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct mu_view_type *type_of(uint8_t letter)
{
    return letter == 'n'   ? &mu_view_of_node
           : letter == 's' ? &mu_view_of_namespace
                           : &mu_view_of_pod;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t arena_bytes = MU_DECODE_ARENA_BYTES;
    bool starved = size > 2 && data[0] == '!';
    if (starved) {
        arena_bytes = ((size_t)data[1] + 1) * 64;
        data += 2;
        size -= 2;
    }
    if (size < 1 || size > 1 << 20)
        return 0;
    const struct mu_view_type *type = type_of(data[0]);
    const struct mu_str raw = {(const char *)data + 1, (uint32_t)size - 1};
    struct mu_arena *walker = mu_arena_create(arena_bytes);
    struct mu_arena *judge = mu_arena_create(arena_bytes);
    struct mu_view_pod walked, unpacked; /* as large as any of the three */
    struct mu_error error = {.code = 0};
    MU_ASSERT(walker != NULL && judge != NULL && type->bytes <= sizeof walked);
    bool took = mu_view_walk(raw, type, walker, &walked);
    int rc = mu_view_unpack(raw, type, judge, "object", &unpacked, &error);
    MU_ASSERT(rc == error.code && (rc == 0 || error.text[0] != '\0'));
    MU_ASSERT(starved || rc == 0 || !took);
    MU_ASSERT(rc != 0 || !took || view_equal(type, &walked, &unpacked));
    /* By whichever way: what protobuf-c takes is taken, what it refuses is refused. */
    mu_arena_reset(walker);
    int opened = mu_view_open(raw, type, walker, "object", &walked, &error);
    MU_ASSERT(starved || opened == rc);
    MU_ASSERT(opened != 0 || rc != 0 || view_equal(type, &walked, &unpacked));
    mu_arena_destroy(walker);
    mu_arena_destroy(judge);
    return 0;
}
