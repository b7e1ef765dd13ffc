#ifndef MU_ENGINE_SESSION_QUEUE_H
#define MU_ENGINE_SESSION_QUEUE_H
/*
 * The order in which a session looks at pending gangs:
 *
 *     1. gangs of which some members run and fewer than the minimum: completed before others start
 *     2. higher priority
 *     3. earlier creation
 *     4. earlier first sight (`sequence`, unique)
 *
 * A blocked gang does not block those behind it; the order only says who chooses first.
 */
#include "engine/base/arena.h"
#include "engine/snapshot.h"

struct mu_queue {
    uint32_t count;
    const uint32_t *rows; /* gang rows, in order */
};

/* Collect and order the pending gangs. Owns: the arena. Errors: MU_ENOMEM.
 * Cost: O(gang rows + pending * log(runs already in order)). */
int mu_queue_build(const struct mu_snapshot *snapshot, struct mu_arena *arena,
                   struct mu_queue *out);

#endif
