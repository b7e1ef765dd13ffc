#ifndef MU_ENGINE_BASE_BITSET_H
#define MU_ENGINE_BASE_BITSET_H
/* Bit operations on caller-owned arrays of uint64_t words. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MU_BITSET_WORDS(bits) (((size_t)(bits) + 63) / 64)

static inline bool mu_bitset_test(const uint64_t *words, uint32_t bit)
{
    return (words[bit >> 6] >> (bit & 63)) & 1;
}
static inline void mu_bitset_set(uint64_t *words, uint32_t bit)
{
    words[bit >> 6] |= UINT64_C(1) << (bit & 63);
}
static inline void mu_bitset_clear(uint64_t *words, uint32_t bit)
{
    words[bit >> 6] &= ~(UINT64_C(1) << (bit & 63));
}
static inline void mu_bitset_assign(uint64_t *words, uint32_t bit, bool value)
{
    value ? mu_bitset_set(words, bit) : mu_bitset_clear(words, bit);
}
/* First set bit at or after `from`, below `bits`; `bits` when there is none. */
static inline uint32_t mu_bitset_next(const uint64_t *words, uint32_t bits, uint32_t from)
{
    uint64_t at = from; /* 64 bits: the step to the next word may pass UINT32_MAX */
    while (at < bits) {
        uint64_t word = words[at >> 6] >> (at & 63);
        if (word != 0) {
            at += (uint64_t)__builtin_ctzll(word);
            return at < bits ? (uint32_t)at : bits;
        }
        at = (at | 63) + 1;
    }
    return bits;
}
static inline uint32_t mu_bitset_count(const uint64_t *words, uint32_t bits)
{
    uint32_t count = 0;
    for (size_t i = 0; i < MU_BITSET_WORDS(bits); i++)
        count += (uint32_t)__builtin_popcountll(words[i]);
    return count; /* bits beyond `bits` in the last word are kept 0 by their owner */
}

#endif
