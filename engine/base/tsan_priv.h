#ifndef MU_ENGINE_BASE_TSAN_PRIV_H
#define MU_ENGINE_BASE_TSAN_PRIV_H
/*
 * ThreadSanitizer does not understand Concurrency Kit's inline assembly and reports races in
 * correct code. The files that wrap it (*_ck.c) are therefore built without it, with
 * MU_TSAN_ANNOTATE=1, and state each hand-over themselves: a release before an item becomes
 * visible, an acquire behind what made it visible. Both name one object; a wrong hand-over by a
 * caller is still found.
 */
#if MU_TSAN_ANNOTATE
/* Of the ThreadSanitizer runtime; no header declares them for C. */
void __tsan_acquire(void *address);
void __tsan_release(void *address);
#define mu_tsan_acquire(address) __tsan_acquire(address)
#define mu_tsan_release(address) __tsan_release(address)
#else
#define mu_tsan_acquire(address) ((void)(address))
#define mu_tsan_release(address) ((void)(address))
#endif

#endif
