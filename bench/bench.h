#ifndef MU_BENCH_BENCH_H
#define MU_BENCH_BENCH_H
/*
 * Benches in C over Google Benchmark. A bench is a body and a name, registered where it is defined:
 *
 *     static void body(struct mu_bench *bench, const void *argument)
 *     {
 *         ... set up ...
 *         while (mu_bench_running(bench))
 *             ... the work that is timed ...
 *         MU_BENCH_CHECK(bench, answer == expected);
 *         mu_bench_items(bench, items_in_all_rounds);
 *         ... tear down ...
 *     }
 *     MU_BENCH(place_1, "place/nodes:5000/classes:1/score:spread", body, &shape)
 *
 * Every bench checks its answer: a fast wrong answer is no result, and a compiler may drop work
 * that nobody looks at. Its shape is in its name. Each has a twin "<name>/small" of the same body
 * that runs in well under a second, for ctest. One file per subject, bench/bench_<subject>.c, is
 * all that a new bench needs.
 */
#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct mu_bench; /* opaque: one run of one bench */

/* May be called several times with different numbers of rounds. */
typedef void (*mu_bench_fn)(struct mu_bench *bench, const void *argument);

struct mu_bench_def {
    const char *name;
    mu_bench_fn body;
    const void *argument;
    /* Rates are per second of the body's CPU time, or of the wall's: for bodies that wait for
     * others. */
    bool wall;
    struct mu_bench_def *next;
};
/* Add to the list that main() runs. Owns: nobody, static storage. */
void mu_bench_register(struct mu_bench_def *def);

/* True while another round is wanted. The clock runs from the first call to the one that says
 * no. */
bool mu_bench_running(struct mu_bench *bench);
/* Stop and start the clock within a round. Cost: a system call each; not for rounds below 1 ms. */
void mu_bench_pause(struct mu_bench *bench);
void mu_bench_resume(struct mu_bench *bench);
/* Items handled in all rounds: reported as items_per_second. Last, when the rounds are over. */
void mu_bench_items(struct mu_bench *bench, uint64_t items);
/* Wall time on the clock so far, pauses left out. */
double mu_bench_seconds(const struct mu_bench *bench);
/* Another figure to report: as it is, or averaged over rounds. */
void mu_bench_counter(struct mu_bench *bench, const char *name, double value);
void mu_bench_counter_per_round(struct mu_bench *bench, const char *name, double value);
/* The answer is wrong: reported as an error, and the program's exit status is 1. */
void mu_bench_fail(struct mu_bench *bench, const char *why);

#define MU_BENCH_CHECK(bench, condition)                                                           \
    do {                                                                                           \
        if (!(condition))                                                                          \
            mu_bench_fail((bench), "wrong answer: " #condition);                                   \
    } while (0)

#define MU_BENCH_DEFINE(id, name_, body_, argument_, wall_)                                        \
    __attribute__((constructor)) static void mu_bench_register_##id(void)                          \
    {                                                                                              \
        static struct mu_bench_def def = {(name_), (body_), (argument_), (wall_), 0};              \
        mu_bench_register(&def);                                                                   \
    }
#define MU_BENCH(id, name, body, argument)      MU_BENCH_DEFINE(id, name, body, argument, false)
#define MU_BENCH_WALL(id, name, body, argument) MU_BENCH_DEFINE(id, name, body, argument, true)

#ifdef __cplusplus
}
#endif

#endif
