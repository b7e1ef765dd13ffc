#ifndef MU_TOOLS_SCHEDULER_BACKOFF_H
#define MU_TOOLS_SCHEDULER_BACKOFF_H
/*
 * Pods whose binding the server denies (403, 422 ...) although nothing changed: the same write
 * would be denied again at once. Each waits 1 s, then twice as long each time, up to 5 min; who was
 * not denied again for as long as it had waited is forgotten.
 *
 *   (unknown) -> WAITING until its time -> REMEMBERED until forgotten -> (unknown)
 */
#include <stdbool.h>
#include <stdint.h>
#include "engine/snapshot.h"

#define MU_BACKOFF_FIRST_NS (UINT64_C(1) * 1000000000)
#define MU_BACKOFF_LAST_NS  (UINT64_C(300) * 1000000000)
#define MU_BACKOFF_PODS_MAX (1u << 20)

struct mu_backoff; /* opaque; one thread */

struct mu_backoff *mu_backoff_create(void);
void mu_backoff_destroy(struct mu_backoff *backoff);
/* This pod was denied. Returns when it may be tried again; now_ns when memory is out (no wait).
 * *first: it was not known. Cost: O(log pods). */
uint64_t mu_backoff_denied(struct mu_backoff *backoff, struct mu_uid uid, uint64_t now_ns,
                           bool *first);
/* A pod whose wait is over, one a call; false when there is none. */
bool mu_backoff_due(struct mu_backoff *backoff, uint64_t now_ns, struct mu_uid *uid);
/* When mu_backoff_due has something to do; UINT64_MAX: never. */
uint64_t mu_backoff_next_ns(const struct mu_backoff *backoff);
uint32_t mu_backoff_waiting(const struct mu_backoff *backoff);

#endif
