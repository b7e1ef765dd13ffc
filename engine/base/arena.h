#ifndef MU_ENGINE_BASE_ARENA_H
#define MU_ENGINE_BASE_ARENA_H
/* A bump allocator: many small objects with one lifetime. Chunks are kept over a reset. */
#include <stddef.h>
#include "engine/base/str.h"

struct mu_arena; /* opaque */

/* Create an arena that hands out at most bytes_max, each block rounded up to 16 bytes. Owns:
 * caller, until destroy. Errors: NULL. */
struct mu_arena *mu_arena_create(size_t bytes_max);
void mu_arena_destroy(struct mu_arena *arena);

/* Allocate bytes (0 counts as 1) aligned to 16, uninitialised / zeroed. NULL when bytes_max is
 * reached or memory is out. Valid until the next reset. Thread: the arena's one user.
 * Cost: O(1). */
void *mu_arena_alloc(struct mu_arena *arena, size_t bytes);
void *mu_arena_zalloc(struct mu_arena *arena, size_t bytes);
/* count * size with overflow checked, zeroed. */
void *mu_arena_calloc(struct mu_arena *arena, size_t count, size_t size);
/* Copy s into the arena, NUL-terminated behind its len bytes. data is NULL on failure. */
struct mu_str mu_arena_str(struct mu_arena *arena, struct mu_str s);

/* Forget everything; keeps about the largest use so far as one cached chunk. */
void mu_arena_reset(struct mu_arena *arena);
size_t mu_arena_used_bytes(const struct mu_arena *arena);

#endif
