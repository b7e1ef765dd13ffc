/* Quantity text: no input crashes, and an accepted one keeps the promises of engine/quantity.h.
 *
 * covers: engine/quantity.c
 */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "engine/base/assert.h"
#include "engine/quantity.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > 4096)
        return 0;
    struct mu_str text = {(const char *)data, (uint32_t)size};
    struct mu_quantity q = {.nanos = 12345, .negative = true, .saturated = true};
    struct mu_error error = {0, ""};
    int status = mu_quantity_parse(text, &q, &error);
    if (status != 0) {
        MU_ASSERT(status == MU_EINVAL && error.code == MU_EINVAL);
        MU_ASSERT(memchr(error.text, '\0', sizeof error.text) != NULL);
        MU_ASSERT(q.nanos == 12345 && q.negative && q.saturated);
        return 0;
    }
    MU_ASSERT(q.nanos <= MU_QUANTITY_NANOS_MAX);
    MU_ASSERT(q.nanos != 0 || !q.negative);
    MU_ASSERT(!q.saturated || q.nanos == MU_QUANTITY_NANOS_MAX);
    int64_t value = mu_quantity_value(&q);
    int64_t milli = mu_quantity_milli_value(&q);
    MU_ASSERT(value != INT64_MIN && milli != INT64_MIN);
    MU_ASSERT(q.negative ? value <= 0 && milli <= value : value >= 0 && milli >= value);
    /* Whole units and thousandths agree: value = ceil(milli / 1000), unless milli saturated. */
    if (milli > -INT64_MAX && milli < INT64_MAX && !q.negative)
        MU_ASSERT(value == milli / 1000 + (milli % 1000 != 0));
    return 0;
}
