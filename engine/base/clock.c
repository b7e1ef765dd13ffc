#include "engine/base/clock.h"

#include <time.h>

#include "engine/base/assert.h"

static uint64_t read_clock(clockid_t id)
{
    struct timespec t;
    int failed = clock_gettime(id, &t);
    MU_ASSERT(failed == 0); /* only an unknown clock or a bad pointer fails */
    return (uint64_t)t.tv_sec * MU_NS_PER_S + (uint64_t)t.tv_nsec;
}

static uint64_t real_now_ns(const struct mu_clock *clock)
{
    (void)clock;
    return read_clock(CLOCK_BOOTTIME);
}

static uint64_t real_wall_ns(const struct mu_clock *clock)
{
    (void)clock;
    return read_clock(CLOCK_REALTIME);
}

const struct mu_clock *mu_clock_real(void)
{
    static const struct mu_clock real = {real_now_ns, real_wall_ns};
    return &real;
}

/* The virtual clock: `clock` is the first member, so the addresses are the same. */
static uint64_t virtual_now_ns(const struct mu_clock *clock)
{
    return ((const struct mu_clock_virtual *)(const void *)clock)->now_ns;
}

static uint64_t virtual_wall_ns(const struct mu_clock *clock)
{
    const struct mu_clock_virtual *v = (const void *)clock;
    return v->wall_base_ns + v->now_ns;
}

void mu_clock_virtual_init(struct mu_clock_virtual *v, uint64_t now_ns, uint64_t wall_base_ns)
{
    *v = (struct mu_clock_virtual){{virtual_now_ns, virtual_wall_ns}, now_ns, wall_base_ns};
}

void mu_clock_virtual_set(struct mu_clock_virtual *v, uint64_t now_ns)
{
    MU_ASSERT(now_ns >= v->now_ns);
    v->now_ns = now_ns;
}
