#include "engine/base/heap.h"

#include "engine/base/assert.h"
#include "engine/base/error.h"
#include "engine/base/mem.h"

/*
 * entries[0 .. count) is a binary tree by position: the children of i are 2i + 1 and 2i + 2.
 * Invariant: no entry is before its parent. Entries equal in key and tie come out in any order;
 * callers that need one give distinct ties.
 */

static bool before(const struct mu_heap_entry *a, const struct mu_heap_entry *b)
{
    return a->key != b->key ? a->key < b->key : a->tie < b->tie;
}

void mu_heap_init(struct mu_heap *heap, uint32_t max)
{
    *heap = (struct mu_heap){NULL, 0, 0, max};
}

void mu_heap_fini(struct mu_heap *heap)
{
    mu_mem_free(heap->entries);
    *heap = (struct mu_heap){NULL, 0, 0, heap->max};
}

int mu_heap_push(struct mu_heap *heap, struct mu_heap_entry entry)
{
    if (heap->count >= heap->max)
        return MU_ELIMIT;
    int error = mu_mem_grow((void **)&heap->entries, &heap->cap, heap->count + 1, heap->max,
                            sizeof *heap->entries);
    if (error != 0)
        return error;
    uint32_t i = heap->count++;
    while (i > 0) {
        uint32_t parent = (i - 1) / 2;
        if (!before(&entry, &heap->entries[parent]))
            break;
        heap->entries[i] = heap->entries[parent];
        i = parent;
    }
    heap->entries[i] = entry;
    return 0;
}

bool mu_heap_peek(const struct mu_heap *heap, struct mu_heap_entry *out)
{
    if (heap->count == 0)
        return false;
    *out = heap->entries[0];
    return true;
}

bool mu_heap_pop(struct mu_heap *heap, struct mu_heap_entry *out)
{
    if (!mu_heap_peek(heap, out))
        return false;
    struct mu_heap_entry last = heap->entries[--heap->count];
    uint64_t i = 0; /* 64 bits: 2i + 2 may exceed 32 */
    for (;;) {
        uint64_t child = 2 * i + 1;
        if (child >= heap->count)
            break;
        if (child + 1 < heap->count && before(&heap->entries[child + 1], &heap->entries[child]))
            child++;
        if (!before(&heap->entries[child], &last))
            break;
        heap->entries[i] = heap->entries[child];
        i = child;
    }
    if (heap->count > 0)
        heap->entries[i] = last;
    MU_VERIFY(heap->count == 0 || !before(&heap->entries[0], out));
    return true;
}
