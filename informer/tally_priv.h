#ifndef MU_INFORMER_TALLY_PRIV_H
#define MU_INFORMER_TALLY_PRIV_H
/*
 * Amounts by resource name, for summing what a pod asks for and what a node offers. Few names, so
 * a flat list. Sums saturate at MU_AMOUNT_MAX. Names are borrowed.
 */
#include <stdbool.h>
#include "engine/object.h"
#include "engine/resource.h"

struct mu_tally {
    uint32_t count;
    bool overflow; /* a name beyond MU_RESOURCES_MAX was left out */
    struct mu_amount items[MU_RESOURCES_MAX];
};

static inline void mu_tally_init(struct mu_tally *tally)
{
    tally->count = 0;
    tally->overflow = false;
}
/* Make the amount of `name` exactly / at least / larger by `value` (>= 0). */
void mu_tally_set(struct mu_tally *tally, struct mu_str name, int64_t value);
void mu_tally_max(struct mu_tally *tally, struct mu_str name, int64_t value);
void mu_tally_add(struct mu_tally *tally, struct mu_str name, int64_t value);
/* The same for all of `other`. */
void mu_tally_max_all(struct mu_tally *tally, const struct mu_tally *other);
void mu_tally_add_all(struct mu_tally *tally, const struct mu_tally *other);

enum mu_tally_unit {
    MU_UNIT_NONE,  /* the scheduler does not look at this resource */
    MU_UNIT_MILLI, /* cpu */
    MU_UNIT_VALUE
};
/* Unit of a resource name. `pods` is MU_UNIT_VALUE on nodes and MU_UNIT_NONE in requests (each pod
 * counts one). Source: kubernetes-wire.md §3.2. */
enum mu_tally_unit mu_tally_unit(struct mu_str name, bool node);

enum mu_tally_fault { MU_TALLY_OK, MU_TALLY_UNREADABLE, MU_TALLY_NEGATIVE, MU_TALLY_HUGE };
/* Read one quantity; one without data is absent, and 0. *value is 0 when unreadable or negative and
 * MU_AMOUNT_MAX when huge. */
enum mu_tally_fault mu_tally_read(struct mu_str quantity, enum mu_tally_unit unit, int64_t *value);
const char *mu_tally_fault_text(enum mu_tally_fault fault);

#endif
