#ifndef MU_ENGINE_BASE_CLOCK_H
#define MU_ENGINE_BASE_CLOCK_H
/*
 * Time behind an operation, so that a simulation can own it. State machines take `now_ns` as an
 * argument; only the shells ask a clock.
 *
 * now_ns   monotonic nanoseconds, counts through suspend (CLOCK_BOOTTIME); the only time that
 *          decisions use
 * wall_ns  nanoseconds since the Unix epoch; only for timestamps that people read
 */
#include <stdint.h>

#define MU_NS_PER_US UINT64_C(1000)
#define MU_NS_PER_MS UINT64_C(1000000)
#define MU_NS_PER_S  UINT64_C(1000000000)

struct mu_clock {
    uint64_t (*now_ns)(const struct mu_clock *clock);
    uint64_t (*wall_ns)(const struct mu_clock *clock);
};

/* The machine's clock. Static storage. Thread: any. */
const struct mu_clock *mu_clock_real(void);

/* A clock that stands still until it is told otherwise. `clock` is its first member, so that
 * &v->clock serves as a struct mu_clock. Thread: one. */
struct mu_clock_virtual {
    struct mu_clock clock;
    uint64_t now_ns;
    uint64_t wall_base_ns; /* wall time when now_ns was 0 */
};
void mu_clock_virtual_init(struct mu_clock_virtual *v, uint64_t now_ns, uint64_t wall_base_ns);
/* Move forward to now_ns; asserts that time never goes back. */
void mu_clock_virtual_set(struct mu_clock_virtual *v, uint64_t now_ns);

#endif
