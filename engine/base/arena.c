#include "engine/base/arena.h"

#include <stdint.h>
#include <string.h>

#include "engine/base/assert.h"
#include "engine/base/mem.h"

/*
 * Chunks form a list, newest first; allocation bumps the newest. A new chunk is as large as all
 * before it together (between CHUNK_MIN and CHUNK_GROW_MAX, or what one large allocation needs), so
 * that their number grows with the logarithm of the use. Reset turns more than one chunk into a
 * single one of their summed size: an arena that is used again and again soon lives in one chunk,
 * which no reset gives back, and its allocations never search.
 *
 * The bound is on what is handed out (each block rounded up to 16 bytes), so that it does not
 * depend on how blocks happen to fall into chunks. The chunks behind may hold about twice as much.
 *
 * Under AddressSanitizer everything that is not handed out is poisoned: reads past a block's end
 * and uses after a reset are reported like those of a malloc'ed block.
 */

#if defined(__SANITIZE_ADDRESS__)
#define ARENA_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ARENA_ASAN 1
#endif
#endif
#ifdef ARENA_ASAN
#include <sanitizer/asan_interface.h>
#define POISON(at, bytes)   ASAN_POISON_MEMORY_REGION((at), (bytes))
#define UNPOISON(at, bytes) ASAN_UNPOISON_MEMORY_REGION((at), (bytes))
#else
#define POISON(at, bytes)   ((void)(at), (void)(bytes))
#define UNPOISON(at, bytes) ((void)(at), (void)(bytes))
#endif

enum { ALIGN = 16, CHUNK_MIN = 16 << 10, CHUNK_GROW_MAX = 16 << 20 };

struct chunk {
    struct chunk *older;
    size_t bytes; /* behind this header */
    size_t used;
    size_t padding; /* keeps the header a multiple of ALIGN */
};
_Static_assert(sizeof(struct chunk) % ALIGN == 0, "blocks behind the header are aligned");

struct mu_arena {
    struct chunk *newest; /* NULL: none */
    size_t bytes_max;
    size_t used;     /* handed out since the last reset, rounded */
    size_t capacity; /* summed bytes of the chunks */
};

static uint8_t *chunk_data(struct chunk *c)
{
    return (uint8_t *)(c + 1);
}

struct mu_arena *mu_arena_create(size_t bytes_max)
{
    struct mu_arena *arena = mu_mem_zalloc(sizeof *arena);
    if (arena != NULL)
        arena->bytes_max = bytes_max;
    return arena;
}

static void free_chunks(struct mu_arena *arena)
{
    struct chunk *c = arena->newest;
    while (c != NULL) {
        struct chunk *older = c->older;
        UNPOISON(chunk_data(c), c->bytes);
        mu_mem_free(c);
        c = older;
    }
    arena->newest = NULL;
    arena->capacity = 0;
}

void mu_arena_destroy(struct mu_arena *arena)
{
    if (arena == NULL)
        return;
    free_chunks(arena);
    mu_mem_free(arena);
}

/* Put a chunk of exactly `bytes` in front. false: out of memory, nothing changed. */
static bool add_chunk(struct mu_arena *arena, size_t bytes)
{
    size_t total;
    if (__builtin_add_overflow(bytes, sizeof(struct chunk), &total))
        return false;
    struct chunk *c = mu_mem_alloc(total);
    if (c == NULL)
        return false;
    *c = (struct chunk){arena->newest, bytes, 0, 0};
    POISON(chunk_data(c), c->bytes);
    arena->newest = c;
    arena->capacity += bytes;
    return true;
}

static size_t next_chunk_bytes(const struct mu_arena *arena, size_t need)
{
    size_t bytes = arena->capacity;
    if (bytes < CHUNK_MIN)
        bytes = CHUNK_MIN;
    if (bytes > CHUNK_GROW_MAX)
        bytes = CHUNK_GROW_MAX;
    return bytes < need ? need : bytes;
}

void *mu_arena_alloc(struct mu_arena *arena, size_t bytes)
{
    size_t need;
    if (__builtin_add_overflow(bytes, (size_t)(ALIGN - 1), &need))
        return NULL;
    need &= ~(size_t)(ALIGN - 1);
    if (need == 0)
        need = ALIGN; /* an empty block has an address of its own */
    if (need > arena->bytes_max - arena->used)
        return NULL;
    struct chunk *c = arena->newest;
    if (c == NULL || need > c->bytes - c->used) {
        if (!add_chunk(arena, next_chunk_bytes(arena, need)))
            return NULL;
        c = arena->newest;
    }
    void *block = chunk_data(c) + c->used;
    c->used += need;
    arena->used += need;
    MU_ASSERT(c->used <= c->bytes && arena->used <= arena->bytes_max);
    UNPOISON(block, bytes);
    return block;
}

void *mu_arena_zalloc(struct mu_arena *arena, size_t bytes)
{
    void *block = mu_arena_alloc(arena, bytes);
    if (block != NULL)
        memset(block, 0, bytes);
    return block;
}

void *mu_arena_calloc(struct mu_arena *arena, size_t count, size_t size)
{
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes))
        return NULL;
    return mu_arena_zalloc(arena, bytes);
}

struct mu_str mu_arena_str(struct mu_arena *arena, struct mu_str s)
{
    char *copy = mu_arena_alloc(arena, (size_t)s.len + 1);
    if (copy == NULL)
        return (struct mu_str){NULL, 0};
    if (s.len > 0)
        memcpy(copy, s.data, s.len);
    copy[s.len] = '\0';
    return (struct mu_str){copy, s.len};
}

void mu_arena_reset(struct mu_arena *arena)
{
    arena->used = 0;
    if (arena->newest == NULL)
        return;
    if (arena->newest->older != NULL) {
        size_t bytes = arena->capacity;
        free_chunks(arena);
        /* Out of memory is no error here: the next allocation asks again, for less. */
        if (!add_chunk(arena, bytes))
            return;
    }
    arena->newest->used = 0;
    POISON(chunk_data(arena->newest), arena->newest->bytes);
}

size_t mu_arena_used_bytes(const struct mu_arena *arena)
{
    return arena->used;
}
