#include "engine/base/random.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

#include "engine/base/assert.h"

/*
 * xoshiro256** 1.0 (Blackman and Vigna, "Scrambled linear pseudorandom number generators", 2018),
 * its state filled by splitmix64 as its authors advise. Draws below a bound use Lemire's
 * multiplication with rejection ("Fast random integer generation in an interval", 2019). All of it
 * is integer arithmetic: a seed gives the same sequence on every machine.
 */

__extension__ typedef unsigned __int128 u128;

static uint64_t rotate_left(uint64_t x, int k)
{
    return (x << k) | (x >> (64 - k));
}

static uint64_t xoshiro_next(struct mu_random *random)
{
    uint64_t *s = random->state;
    uint64_t result = rotate_left(s[1] * 5, 7) * 9;
    uint64_t t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotate_left(s[3], 45);
    return result;
}

static uint64_t splitmix_next(uint64_t *x)
{
    uint64_t z = (*x += UINT64_C(0x9E3779B97F4A7C15));
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return z ^ (z >> 31);
}

void mu_random_init_seed(struct mu_random *random, uint64_t seed)
{
    random->next = xoshiro_next;
    /* Four successive outputs of splitmix64 are distinct, hence never all zero, which is the one
     * state that xoshiro cannot leave. */
    for (int i = 0; i < 4; i++)
        random->state[i] = splitmix_next(&seed);
}

void mu_random_init_kernel(struct mu_random *random)
{
    uint64_t seed = 0;
    size_t have = 0;
    while (have < sizeof seed) {
        ssize_t n = getrandom((char *)&seed + have, sizeof seed - have, 0);
        MU_ASSERT(n > 0 || (n < 0 && errno == EINTR));
        have += n > 0 ? (size_t)n : 0;
    }
    mu_random_init_seed(random, seed);
}

uint64_t mu_random_u64(struct mu_random *random)
{
    return random->next(random);
}

uint64_t mu_random_below(struct mu_random *random, uint64_t bound)
{
    MU_ASSERT(bound > 0);
    u128 product = (u128)random->next(random) * bound;
    if ((uint64_t)product < bound) {
        uint64_t threshold = (0 - bound) % bound; /* 2^64 mod bound */
        while ((uint64_t)product < threshold)
            product = (u128)random->next(random) * bound;
    }
    return (uint64_t)(product >> 64);
}

int64_t mu_random_between(struct mu_random *random, int64_t low, int64_t high)
{
    MU_ASSERT(low <= high);
    uint64_t span = (uint64_t)high - (uint64_t)low;
    uint64_t offset =
        span == UINT64_MAX ? mu_random_u64(random) : mu_random_below(random, span + 1);
    return (int64_t)((uint64_t)low + offset); /* modulo 2^64, as gcc and clang define it */
}

bool mu_random_chance(struct mu_random *random, uint32_t permille)
{
    return mu_random_below(random, 1000) < permille;
}

void mu_random_fork(struct mu_random *parent, struct mu_random *child)
{
    mu_random_init_seed(child, mu_random_u64(parent));
}
