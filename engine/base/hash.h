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
/* Mix two 64-bit values into one (for composed keys). */
static inline uint64_t mu_hash_mix(uint64_t a, uint64_t b)
{
    uint64_t h = (a ^ (b + UINT64_C(0x9E3779B97F4A7C15) + (a << 6) + (a >> 2)));
    h ^= h >> 32;
    h *= UINT64_C(0xD6E8FEB86659FD93);
    h ^= h >> 32;
    return h;
}
uint64_t mu_hash_stable(const void *data, size_t len);

#endif
