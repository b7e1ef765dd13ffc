#include "engine/base/hash.h"

#include "engine/base/assert.h"

/* Compiled in rather than linked: most keys are 16 to 60 bytes, where the call would cost as much
 * as the hash. The results are the library's. */
#define XXH_INLINE_ALL
#include <xxhash.h>

uint64_t mu_hash_bytes(const void *data, size_t len, uint64_t seed)
{
    MU_ASSERT(data != NULL || len == 0);
    return XXH3_64bits_withSeed(data, len, seed);
}

uint64_t mu_hash_stable(const void *data, size_t len)
{
    MU_ASSERT(data != NULL || len == 0);
    return XXH64(data, len, 0);
}
