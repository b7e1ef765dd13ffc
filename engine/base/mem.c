#include "engine/base/mem.h"

#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>

#include "engine/base/assert.h"
#include "engine/base/error.h"

#if MU_JEMALLOC
#include <jemalloc/jemalloc.h>
#else
#include <malloc.h>
#include <stdlib.h>
#endif

/*
 * Back ends
 *
 * Release builds use jemalloc by its own entry points (mallocx, rallocx, dallocx, sallocx) rather
 * than by the malloc that it interposes: a build that lost the library fails to link instead of
 * quietly running on another allocator. Sizes below 16 are raised to 16, from where on every
 * jemalloc size class is a multiple of 16: the default alignment costs no flag. Sanitizer builds
 * use malloc, which is what the sanitizers watch.
 *
 * Debug modes
 *
 * One relaxed flag says whether any mode is on; without it the modes cost one predicted branch.
 * Guarded blocks are mappings of their own:
 *
 *     | header page | slack | block | canary | PROT_NONE page |
 *
 * The block ends as near to the guard page as its alignment allows; the canary fills the few bytes
 * between and is checked by free. The block always begins in the page behind the header page, so
 * that the header is found by rounding down.
 *
 * Accounting
 *
 * Each thread owns a counter in a cache line of its own and is its only writer; the sum over all of
 * them is the number of live bytes. A block may be freed by another thread than its allocator's, so
 * that a single counter may go below zero (modulo 2^64): only the sum has a meaning. Threads beyond
 * COUNTERS - 1 share the last counter, with atomic additions.
 */

enum { ALIGN_DEFAULT = 16, ALIGN_MAX = 4096, PAGE_BYTES = 4096 };
enum { COUNTERS = 256, CACHE_LINE = 64 };
enum { BYTE_FRESH = 0xA5, BYTE_FREED = 0xDD, BYTE_CANARY = 0xCB };

static struct {
    atomic_bool any; /* one of the modes below is on */
    bool poison;
    bool guard;
    atomic_uint_fast64_t fail_countdown; /* 0: never */
} modes;

struct counter {
    _Alignas(CACHE_LINE) atomic_uint_fast64_t bytes; /* writer: its thread; readers: any */
};
static struct counter counters[COUNTERS];
static atomic_uint counters_taken;
static _Thread_local struct counter *own_counter;

/* ---- back end ---- */

#if MU_JEMALLOC

static void *back_alloc(size_t align, size_t bytes, bool zero)
{
    int flags = zero ? MALLOCX_ZERO : 0;
    if (align > ALIGN_DEFAULT)
        flags |= MALLOCX_ALIGN(align);
    return mallocx(bytes < ALIGN_DEFAULT ? ALIGN_DEFAULT : bytes, flags);
}

static void *back_realloc(void *old, size_t bytes)
{
    return rallocx(old, bytes < ALIGN_DEFAULT ? ALIGN_DEFAULT : bytes, 0);
}

static void back_free(void *block)
{
    dallocx(block, 0);
}

static size_t back_size(const void *block)
{
    return sallocx(block, 0);
}

static void back_trim(void)
{
    /* arena.<all>.purge; what fails is only not given back. */
    (void)mallctl("thread.tcache.flush", NULL, NULL, NULL, 0);
    (void)mallctl("arena.4096.purge", NULL, NULL, NULL, 0);
}
_Static_assert(MALLCTL_ARENAS_ALL == 4096, "the name above is of all arenas");

#else

static void *back_alloc(size_t align, size_t bytes, bool zero)
{
    if (align <= ALIGN_DEFAULT)
        return zero ? calloc(1, bytes) : malloc(bytes);
    void *block = NULL;
    if (posix_memalign(&block, align, bytes) != 0)
        return NULL;
    if (zero)
        memset(block, 0, bytes);
    return block;
}

static void *back_realloc(void *old, size_t bytes)
{
    return realloc(old, bytes);
}

static void back_free(void *block)
{
    free(block);
}

static size_t back_size(void *block)
{
    return malloc_usable_size(block);
}

static void back_trim(void)
{
    (void)malloc_trim(0);
}

#endif

/* ---- accounting ---- */

static struct counter *counter_take(void)
{
    unsigned taken = atomic_fetch_add_explicit(&counters_taken, 1, memory_order_relaxed);
    own_counter = &counters[taken < COUNTERS - 1 ? taken : COUNTERS - 1];
    return own_counter;
}

/* Add delta (modulo 2^64) to the calling thread's counter. Relaxed: the counters publish nothing
 * but themselves. */
static void account(uint64_t delta)
{
    struct counter *c = own_counter != NULL ? own_counter : counter_take();
    if (c == &counters[COUNTERS - 1]) {
        atomic_fetch_add_explicit(&c->bytes, delta, memory_order_relaxed);
        return;
    }
    uint64_t bytes = atomic_load_explicit(&c->bytes, memory_order_relaxed);
    atomic_store_explicit(&c->bytes, bytes + delta, memory_order_relaxed);
}

size_t mu_mem_live_bytes(void)
{
    uint64_t sum = 0;
    for (int i = 0; i < COUNTERS; i++)
        sum += atomic_load_explicit(&counters[i].bytes, memory_order_relaxed);
    /* A free seen before the matching allocation of another thread: "a little below zero". */
    return (int64_t)sum < 0 ? 0 : (size_t)sum;
}

void mu_mem_trim(void)
{
    back_trim();
}

/* ---- guarded blocks ---- */

struct guard_header {
    size_t mapping_bytes;
    size_t block_bytes; /* as asked for */
    size_t align;
};

static size_t round_up(size_t n, size_t align)
{
    return (n + align - 1) & ~(align - 1);
}

static struct guard_header *guard_header_of(const void *block)
{
    uintptr_t page = (uintptr_t)block & ~(uintptr_t)(PAGE_BYTES - 1);
    return (struct guard_header *)(page - PAGE_BYTES);
}

static void *guard_alloc(size_t align, size_t bytes)
{
    size_t room = round_up(bytes, align);
    size_t pages_bytes = round_up(room, PAGE_BYTES);
    size_t total = PAGE_BYTES + pages_bytes + PAGE_BYTES;
    uint8_t *map = mmap(NULL, total, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (map == MAP_FAILED)
        return NULL;
    uint8_t *end = map + PAGE_BYTES + pages_bytes;
    if (mprotect(end, PAGE_BYTES, PROT_NONE) != 0) {
        (void)munmap(map, total);
        return NULL;
    }
    *(struct guard_header *)(void *)map = (struct guard_header){total, bytes, align};
    uint8_t *block = end - room;
    memset(block + bytes, BYTE_CANARY, room - bytes);
    MU_ASSERT((void *)guard_header_of(block) == (void *)map);
    return block;
}

static void guard_free(void *block)
{
    struct guard_header *header = guard_header_of(block);
    const uint8_t *bytes = block;
    size_t room = round_up(header->block_bytes, header->align);
    for (size_t i = header->block_bytes; i < room; i++)
        MU_ASSERT(bytes[i] == BYTE_CANARY);
    int failed = munmap(header, header->mapping_bytes);
    MU_ASSERT(failed == 0);
}

/* ---- the debug path ---- */

void mu_mem_debug_set(struct mu_mem_debug debug)
{
    modes.poison = debug.poison;
    modes.guard = debug.guard;
    atomic_store_explicit(&modes.fail_countdown, debug.fail_nth, memory_order_relaxed);
    atomic_store_explicit(&modes.any, debug.poison || debug.guard || debug.fail_nth != 0,
                          memory_order_relaxed);
}

static bool debug_on(void)
{
    return __builtin_expect(atomic_load_explicit(&modes.any, memory_order_relaxed), 0);
}

/* True for exactly one caller: the one that counts fail_nth down to 0. */
static bool debug_fails(void)
{
    uint64_t left = atomic_load_explicit(&modes.fail_countdown, memory_order_relaxed);
    while (left != 0) {
        if (atomic_compare_exchange_weak_explicit(&modes.fail_countdown, &left, left - 1,
                                                  memory_order_relaxed, memory_order_relaxed))
            return left == 1;
    }
    return false;
}

static size_t block_size(void *block)
{
    return debug_on() && modes.guard ? guard_header_of(block)->block_bytes : back_size(block);
}

static void *debug_alloc(size_t align, size_t bytes, bool zero)
{
    if (debug_fails())
        return NULL;
    void *block = modes.guard ? guard_alloc(align, bytes) : back_alloc(align, bytes, zero);
    if (block != NULL && modes.poison && !zero)
        memset(block, BYTE_FRESH, bytes);
    return block;
}

/* ---- the interface ---- */

static void *alloc(size_t align, size_t bytes, bool zero)
{
    MU_ASSERT(bytes > 0);
    /* Beyond this no allocator succeeds, and rounding up could overflow. */
    if (bytes > PTRDIFF_MAX - 4 * (size_t)PAGE_BYTES)
        return NULL;
    void *block = debug_on() ? debug_alloc(align, bytes, zero) : back_alloc(align, bytes, zero);
    if (block != NULL)
        account(block_size(block));
    return block;
}

void *mu_mem_alloc(size_t bytes)
{
    return alloc(ALIGN_DEFAULT, bytes, false);
}

void *mu_mem_zalloc(size_t bytes)
{
    return alloc(ALIGN_DEFAULT, bytes, true);
}

void *mu_mem_calloc(size_t count, size_t size)
{
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes))
        return NULL;
    return alloc(ALIGN_DEFAULT, bytes, true);
}

void *mu_mem_zalloc_aligned(size_t align, size_t bytes)
{
    MU_ASSERT(align != 0 && (align & (align - 1)) == 0 && align <= ALIGN_MAX);
    return alloc(align < ALIGN_DEFAULT ? ALIGN_DEFAULT : align, bytes, true);
}

void mu_mem_free(void *block)
{
    if (block == NULL)
        return;
    size_t bytes = block_size(block);
    account(-(uint64_t)bytes);
    if (debug_on()) {
        if (modes.poison) {
            memset(block, BYTE_FREED, modes.guard ? bytes : back_size(block));
            __asm__ volatile("" : : "r"(block) : "memory"); /* a store before free is not dead */
        }
        if (modes.guard) {
            guard_free(block);
            return;
        }
    }
    back_free(block);
}

void *mu_mem_zalloc_column(size_t bytes)
{
    const uintptr_t page = UINT64_C(1) << 21;
    char *block = mu_mem_zalloc_aligned(CACHE_LINE, bytes);
    if (block == NULL)
        return NULL;
    uintptr_t lead = (page - ((uintptr_t)block & (page - 1))) & (page - 1);
    if (bytes > lead && bytes - lead >= page) /* a wish: without it the column is merely slower */
        (void)madvise(block + lead, (bytes - lead) & ~(page - 1), MADV_HUGEPAGE);
    return block;
}

void *mu_mem_realloc(void *old, size_t bytes)
{
    if (old == NULL)
        return mu_mem_alloc(bytes);
    size_t old_bytes = block_size(old);
    if (debug_on()) {
        /* Always move: whoever keeps a pointer into the old block finds out. */
        void *fresh = mu_mem_alloc(bytes);
        if (fresh != NULL) {
            memcpy(fresh, old, old_bytes < bytes ? old_bytes : bytes);
            mu_mem_free(old);
        }
        return fresh;
    }
    MU_ASSERT(bytes > 0);
    if (bytes > PTRDIFF_MAX - 4 * (size_t)PAGE_BYTES)
        return NULL;
    void *block = back_realloc(old, bytes);
    if (block != NULL)
        account(back_size(block) - (uint64_t)old_bytes);
    return block;
}

int mu_mem_grow(void **array, uint32_t *cap, uint32_t need, uint32_t max, size_t element_bytes)
{
    if (need <= *cap)
        return 0;
    if (need > max)
        return MU_ELIMIT;
    uint64_t doubled = *cap == 0 ? 8 : 2 * (uint64_t)*cap;
    if (doubled < need)
        doubled = need;
    uint32_t new_cap = doubled > max ? max : (uint32_t)doubled;
    size_t bytes;
    if (__builtin_mul_overflow((size_t)new_cap, element_bytes, &bytes))
        return MU_ENOMEM;
    /* *array is a caller's `struct x *` seen through a void **: copied, since reading it as a
     * void * would break the aliasing rules. */
    void *old;
    memcpy(&old, array, sizeof old);
    void *fresh = mu_mem_realloc(old, bytes);
    if (fresh == NULL)
        return MU_ENOMEM;
    memcpy(array, &fresh, sizeof fresh);
    *cap = new_cap;
    return 0;
}
