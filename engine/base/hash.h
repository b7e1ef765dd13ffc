#ifndef MU_ENGINE_BASE_HASH_H
#define MU_ENGINE_BASE_HASH_H
/* Hashing. mu_hash_* (XXH3) is for tables in memory; mu_hash_stable (XXH64, seed 0) is part of
 * published formats (bucket table) and may never change without a version. */
#include <stddef.h>
#include <stdint.h>
#include "engine/base/str.h"

uint64_t mu_hash_bytes(const void *data, size_t len, uint64_t seed);
static inline uint64_t mu_hash_str(struct mu_str s, uint64_t seed)
{
    return mu_hash_bytes(s.data, s.len, seed);
}
/* Mix two 64-bit values into one (for composed keys). For a fixed b, different a give different
 * results, and the other way round. The steps are those of splitmix64's finaliser. */
static inline uint64_t mu_hash_mix(uint64_t a, uint64_t b)
{
    uint64_t h = a + UINT64_C(0x9E3779B97F4A7C15);
    h = (h ^ (h >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    h = (h ^ (h >> 27)) + b;
    h = (h ^ (h >> 32)) * UINT64_C(0x94D049BB133111EB);
    return h ^ (h >> 31);
}
uint64_t mu_hash_stable(const void *data, size_t len);

#endif
