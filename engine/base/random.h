#ifndef MU_ENGINE_BASE_RANDOM_H
#define MU_ENGINE_BASE_RANDOM_H
/* Randomness behind an operation: seeded (xoshiro256**, Blackman and Vigna) or the kernel's. */
#include <stdbool.h>
#include <stdint.h>

struct mu_random {
    uint64_t (*next)(struct mu_random *random);
    uint64_t state[4];
};

/* Same seed, same sequence, on every machine. Thread: one user each. */
void mu_random_init_seed(struct mu_random *random, uint64_t seed);
/* Seeded from getrandom(2). */
void mu_random_init_kernel(struct mu_random *random);

uint64_t mu_random_u64(struct mu_random *random);
/* Uniform in [0, bound), bound > 0, without modulo bias. */
uint64_t mu_random_below(struct mu_random *random, uint64_t bound);
/* Uniform in [low, high]. */
int64_t mu_random_between(struct mu_random *random, int64_t low, int64_t high);
/* True with probability permille / 1000. */
bool mu_random_chance(struct mu_random *random, uint32_t permille);
/* A stream of its own for a part of a simulation: one part's draws do not move another's. */
void mu_random_fork(struct mu_random *parent, struct mu_random *child);

#endif
