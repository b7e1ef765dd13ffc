#ifndef MU_ENGINE_QUANTITY_H
#define MU_ENGINE_QUANTITY_H
/*
 * Kubernetes resource quantities: [sign] number suffix, exact to 10^-9, finer input rounded up in
 * magnitude. Held as a sign and a 128-bit count of nano units, saturating.
 */
#include <stdbool.h>
#include <stdint.h>
#include "engine/base/error.h"
#include "engine/base/str.h"

__extension__ typedef unsigned __int128 mu_u128; /* GNU extension */

struct mu_quantity {
    mu_u128 nanos;  /* magnitude in 10^-9; saturates at MU_QUANTITY_NANOS_MAX */
    bool negative;  /* never set with nanos == 0 */
    bool saturated; /* the written value is larger than what nanos can hold */
};
#define MU_QUANTITY_NANOS_MAX ((mu_u128)INT64_MAX * 1000000000u)

/* Parse text by the full grammar (decimal SI n u m k M G T P E, binary Ki..Ei, exponents).
 * Errors: MU_EINVAL with *error naming what was expected; *out unchanged.
 * Source: kubernetes apimachinery resource.Quantity. Cost: O(len). Thread: any. */
int mu_quantity_parse(struct mu_str text, struct mu_quantity *out, struct mu_error *error);
/* ceil(q) and ceil(q * 1000), towards +infinity, saturating at INT64_MAX and -INT64_MAX. */
int64_t mu_quantity_value(const struct mu_quantity *q);
int64_t mu_quantity_milli_value(const struct mu_quantity *q);

#endif
