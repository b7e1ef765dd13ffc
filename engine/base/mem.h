#ifndef MU_ENGINE_BASE_MEM_H
#define MU_ENGINE_BASE_MEM_H
/*
 * The allocator: jemalloc in release builds, malloc under the sanitizers. The only place in the
 * project that calls malloc. Debug modes, set once at start or by a test:
 *   poison   fill fresh memory with 0xA5 and freed memory with 0xDD
 *   guard    put each block at the end of its own mapping, a PROT_NONE page behind it
 *   fail_nth the Nth allocation from now (1 = the next) returns NULL; 0 = never
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mu_mem_debug {
    bool poison;
    bool guard;
    uint64_t fail_nth;
};

/* Set the debug modes. A block must be freed under the same guard setting that allocated it.
 * Thread: call while no other thread allocates. */
void mu_mem_debug_set(struct mu_mem_debug debug);

/* Allocate bytes (> 0), aligned to 16; zeroed by mu_mem_zalloc. NULL when out of memory.
 * Owns: caller, until mu_mem_free. Thread: any. */
void *mu_mem_alloc(size_t bytes) __attribute__((malloc, alloc_size(1)));
void *mu_mem_zalloc(size_t bytes) __attribute__((malloc, alloc_size(1)));
/* As mu_mem_alloc, for count * size with overflow checked. Zeroed. */
void *mu_mem_calloc(size_t count, size_t size) __attribute__((malloc, alloc_size(1, 2)));
/* Align to `align` (a power of two, at most 4096): for columns and cache-line owners. Zeroed. */
void *mu_mem_zalloc_aligned(size_t align, size_t bytes) __attribute__((malloc, alloc_size(2)));
/* Align to 64, zeroed, for a column that is visited at random: on huge pages where it is large
 * enough for them and the system allows it, which spares most of the page walks. */
void *mu_mem_zalloc_column(size_t bytes) __attribute__((malloc, alloc_size(1)));
/* Resize to bytes (> 0). On NULL the old block is untouched. old may be NULL. */
void *mu_mem_realloc(void *old, size_t bytes);
/* Free; NULL is fine. Accepts blocks of every function above. */
void mu_mem_free(void *block);

/* Bytes handed out and not yet freed (usable sizes), process-wide. Thread: any. Cost: a sum over
 * per-thread counters. */
size_t mu_mem_live_bytes(void);

/* Give back to the system what is free here, by the allocator's own leave a few seconds later
 * anyway: before resident memory is measured. Thread: any. Cost: O(free pages). */
void mu_mem_trim(void);

/* Grow an array to hold at least `need` elements: doubles, never above `max`. *array and *cap
 * change together. Errors: MU_ENOMEM, MU_ELIMIT (need > max); on error nothing has changed. */
int mu_mem_grow(void **array, uint32_t *cap, uint32_t need, uint32_t max, size_t element_bytes);

#endif
