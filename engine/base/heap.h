#ifndef MU_ENGINE_BASE_HEAP_H
#define MU_ENGINE_BASE_HEAP_H
/* A binary min-heap of (key, tie, item): timers and event queues. Equal keys come out in the order
 * of `tie`, so that a simulation is deterministic. One user. */
#include <stdbool.h>
#include <stdint.h>

struct mu_heap_entry {
    uint64_t key;
    uint64_t tie;
    void *item;
};
struct mu_heap {
    struct mu_heap_entry *entries;
    uint32_t count;
    uint32_t cap;
    uint32_t max; /* stated bound */
};

void mu_heap_init(struct mu_heap *heap, uint32_t max);
void mu_heap_fini(struct mu_heap *heap);
/* Errors: MU_ENOMEM, MU_ELIMIT. Cost: O(log count). */
int mu_heap_push(struct mu_heap *heap, struct mu_heap_entry entry);
/* Smallest entry; false when empty. */
bool mu_heap_peek(const struct mu_heap *heap, struct mu_heap_entry *out);
bool mu_heap_pop(struct mu_heap *heap, struct mu_heap_entry *out);

#endif
