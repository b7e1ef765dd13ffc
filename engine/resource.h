#ifndef MU_ENGINE_RESOURCE_H
#define MU_ENGINE_RESOURCE_H
/*
 * Resources by number. The first four are fixed; extended ones are registered by name, in order of
 * first sight, up to MU_RESOURCES_MAX, and never forgotten: what that means for pods that make
 * names up is said where their requests are read (mu_model_class).
 *
 * Amounts are int64 in the scheduler's unit: cpu in millicores, everything else in its own unit
 * (bytes, devices, thousandths). Arithmetic saturates at MU_AMOUNT_MAX; a request of MU_AMOUNT_MAX
 * is unschedulable.
 */
#include <stdbool.h>
#include <stdint.h>
#include "engine/base/str.h"
#include "engine/limits.h"

struct mu_resource_ix {
    uint32_t v;
};
#define MU_RES_CPU       0u /* millicores */
#define MU_RES_MEMORY    1u /* bytes */
#define MU_RES_EPHEMERAL 2u /* bytes */
#define MU_RES_PODS      3u /* pod slots */
#define MU_RES_EXTENDED  4u /* first extended resource */

#define MU_AMOUNT_MAX INT64_MAX

/* a + b for non-negative a, b, capped at MU_AMOUNT_MAX. */
static inline int64_t mu_amount_add(int64_t a, int64_t b)
{
    int64_t sum;
    return __builtin_add_overflow(a, b, &sum) ? MU_AMOUNT_MAX : sum;
}

struct mu_resources; /* opaque registry: name <-> number; one writer, names readable anywhere */

/* Thread: one writer creates, interns and destroys; names of numbers that were handed over are read
 * by any. Errors: NULL when out of memory. */
struct mu_resources *mu_resources_create(void);
void mu_resources_destroy(struct mu_resources *resources);
/* Number of `name`, registering it if new. Errors: MU_ELIMIT (table full), MU_EINVAL (empty or
 * longer than MU_RESOURCE_NAME_BYTES_MAX). Thread: the writer. */
int mu_resource_intern(struct mu_resources *resources, struct mu_str name,
                       struct mu_resource_ix *out);
/* Number if known; false otherwise. */
bool mu_resource_find(const struct mu_resources *resources, struct mu_str name,
                      struct mu_resource_ix *out);
/* Name of a number; valid as long as the registry. Thread: any that learned the number by a
 * hand-over. */
struct mu_str mu_resource_name(const struct mu_resources *resources, struct mu_resource_ix ix);
uint32_t mu_resource_count(const struct mu_resources *resources);

#endif
