#ifndef MU_ENGINE_BASE_ASSERT_H
#define MU_ENGINE_BASE_ASSERT_H
/*
 * MU_ASSERT stays on in every build: a scheduler that goes on after a broken invariant hands out
 * room that it does not have. MU_VERIFY is for checks that cost more than the code they guard; it
 * is compiled in where MU_VERIFY_ON is 1 (sanitizer, fuzz and coverage builds).
 */
#ifndef MU_VERIFY_ON
#define MU_VERIFY_ON 0
#endif

/* Print "file:line: assertion failed: text" to stderr and abort. Thread: any. */
_Noreturn void mu_assert_fail(const char *file, int line, const char *text);

#define MU_ASSERT(condition)                                                                       \
    (__builtin_expect(!!(condition), 1) ? (void)0 : mu_assert_fail(__FILE__, __LINE__, #condition))

/* Code that no input can reach: the end of a switch over every state. Never returns. */
#define MU_UNREACHABLE(why) mu_assert_fail(__FILE__, __LINE__, "unreachable: " why)

#if MU_VERIFY_ON
#define MU_VERIFY(condition) MU_ASSERT(condition)
#else
#define MU_VERIFY(condition) ((void)sizeof(!!(condition)))
#endif

#endif
