#ifndef MU_BENCH_TIMES_H
#define MU_BENCH_TIMES_H
/*
 * Times of single rounds, for benches of what one session takes: on the wall, and what the thread
 * itself ran, which other processes that share the core do not lengthen. Of more rounds than are
 * kept the last ones count.
 */
#include <stdlib.h>
#include <time.h>

#include "bench/bench.h"
#include "engine/base/assert.h"
#include "engine/base/mem.h"

#define MU_BENCH_ROUNDS_KEPT 65536u

struct mu_bench_times {
    uint64_t rounds;
    uint64_t wall_begin_ns, own_begin_ns;
    uint64_t wall_ns[MU_BENCH_ROUNDS_KEPT], own_ns[MU_BENCH_ROUNDS_KEPT];
};

static inline struct mu_bench_times *mu_bench_times_create(void)
{
    struct mu_bench_times *times = mu_mem_zalloc(sizeof *times);
    MU_ASSERT(times != NULL);
    return times;
}

static inline void mu_bench_times_destroy(struct mu_bench_times *times)
{
    mu_mem_free(times);
}

static inline uint64_t mu_bench_now_ns(clockid_t clock)
{
    struct timespec now;
    int error = clock_gettime(clock, &now);
    MU_ASSERT(error == 0);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static inline void mu_bench_times_begin(struct mu_bench_times *times)
{
    times->wall_begin_ns = mu_bench_now_ns(CLOCK_MONOTONIC);
    times->own_begin_ns = mu_bench_now_ns(CLOCK_THREAD_CPUTIME_ID);
}

static inline void mu_bench_times_end(struct mu_bench_times *times)
{
    uint64_t at = times->rounds++ % MU_BENCH_ROUNDS_KEPT;
    times->own_ns[at] = mu_bench_now_ns(CLOCK_THREAD_CPUTIME_ID) - times->own_begin_ns;
    times->wall_ns[at] = mu_bench_now_ns(CLOCK_MONOTONIC) - times->wall_begin_ns;
}

static inline int mu_bench_times_by_value(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* The permille-th shortest of the rounds, in milliseconds; there has been one. Sorts. */
static inline double mu_bench_times_ms(struct mu_bench_times *times, bool own, uint32_t permille)
{
    uint64_t *list = own ? times->own_ns : times->wall_ns;
    uint64_t kept =
        times->rounds < MU_BENCH_ROUNDS_KEPT ? times->rounds : (uint64_t)MU_BENCH_ROUNDS_KEPT;
    MU_ASSERT(kept > 0 && permille < 1000);
    qsort(list, kept, sizeof *list, mu_bench_times_by_value);
    uint64_t ns = list[kept * permille / 1000];
    return (double)ns / 1e6;
}

#endif
