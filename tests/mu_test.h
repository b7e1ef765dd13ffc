#ifndef MU_TESTS_MU_TEST_H
#define MU_TESTS_MU_TEST_H
/*
 * What every test file shares: cmocka with the headers that it wants before it, checks that print
 * the seed of a random run, a loop over every allocation of a piece of code, and a way to see an
 * assertion fail.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "engine/base/mem.h"
#include "engine/base/random.h"

/* A random run: its seed (MUSTER_SEED overrides the fixed default, to replay) and where it is. */
struct mu_test_run {
    uint64_t seed;
    uint64_t step;
    struct mu_random random;
};

static inline struct mu_test_run mu_test_run_begin(uint64_t seed_default)
{
    struct mu_test_run run = {.seed = seed_default};
    const char *text = getenv("MUSTER_SEED");
    if (text != NULL)
        run.seed = strtoull(text, NULL, 10);
    mu_random_init_seed(&run.random, run.seed);
    return run;
}

/* Check inside a random run: says how to repeat it. */
#define MU_TEST_CHECK(run, condition)                                                              \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            print_error("MUSTER_SEED=%llu, step %llu: %s\n", (unsigned long long)(run)->seed,      \
                        (unsigned long long)(run)->step, #condition);                              \
            _fail(__FILE__, __LINE__);                                                             \
        }                                                                                          \
    } while (0)

/* Run `body` with the 1st, 2nd, ... allocation failing, until it passes without meeting a failure.
 * body returns true when it met none. Returns how many allocations were made to fail. */
static inline uint64_t mu_test_fail_each(bool (*body)(void *context), void *context)
{
    for (uint64_t nth = 1; nth < 100000; nth++) {
        size_t live = mu_mem_live_bytes();
        mu_mem_debug_set((struct mu_mem_debug){.fail_nth = nth});
        bool passed = body(context);
        mu_mem_debug_set((struct mu_mem_debug){0});
        assert_int_equal(mu_mem_live_bytes(), live); /* failed or not: nothing leaks */
        if (passed)
            return nth - 1;
    }
    fail_msg("the body fails however late the failing allocation is");
    return 0;
}

/* True when body(context) aborts, as a failed MU_ASSERT does. In a child, without a core file. */
static inline bool mu_test_aborts(void (*body)(void *context), void *context)
{
    (void)fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct rlimit none = {0, 0};
        (void)setrlimit(RLIMIT_CORE, &none);
        (void)signal(SIGABRT, SIG_DFL); /* the test runner's and the sanitizers' handlers */
        if (freopen("/dev/null", "w", stderr) == NULL)
            _exit(2);
        body(context);
        _exit(0);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

#endif
