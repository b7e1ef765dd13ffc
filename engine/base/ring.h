#ifndef MU_ENGINE_BASE_RING_H
#define MU_ENGINE_BASE_RING_H
/*
 * Bounded rings of pointers over Concurrency Kit (ring_ck.c alone includes it).
 * The pushing side releases, the popping side acquires: what was written before a push is visible
 * after the pop of that pointer.
 */
#include <stdbool.h>
#include <stdint.h>

struct mu_ring; /* opaque */

/* Room for at least capacity pointers (rounded up to a power of two). Errors: NULL. */
struct mu_ring *mu_ring_create(uint32_t capacity);
/* Must be empty of anything the caller still owns. NULL is fine. */
void mu_ring_destroy(struct mu_ring *ring);

/* One producer, one consumer. false: full / empty. Cost: O(1), wait-free. */
bool mu_ring_push_spsc(struct mu_ring *ring, void *item);
bool mu_ring_pop_spsc(struct mu_ring *ring, void **item);
/* Many producers, one consumer. A ring is used with one pair only. The consumer never waits; a
 * producer waits for those that took a slot before it to finish (a few instructions, unless the
 * kernel stops one of them just there). */
bool mu_ring_push_mpsc(struct mu_ring *ring, void *item);
bool mu_ring_pop_mpsc(struct mu_ring *ring, void **item);
/* Pointers in the ring: exact without concurrent users, else a moment's value. Thread: any. */
uint32_t mu_ring_count(const struct mu_ring *ring);

#endif
