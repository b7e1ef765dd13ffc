#include "engine/place/scan.h"

#include <stddef.h>

#include "engine/place/score.h"

/* Bit i of a mask, by entry: kept in memory, where a vector of it is one load. */
#define BITS_8(n)                                                                                  \
    UINT64_C(1) << (n), UINT64_C(1) << ((n) + 1), UINT64_C(1) << ((n) + 2),                        \
        UINT64_C(1) << ((n) + 3), UINT64_C(1) << ((n) + 4), UINT64_C(1) << ((n) + 5),              \
        UINT64_C(1) << ((n) + 6), UINT64_C(1) << ((n) + 7)
static const uint64_t entry_bit[MU_NODE_CHUNK] __attribute__((aligned(64))) = {
    BITS_8(0), BITS_8(8), BITS_8(16), BITS_8(24), BITS_8(32), BITS_8(40), BITS_8(48), BITS_8(56),
};

/* What GNU vectors cannot say: the top bits of the lanes as an integer. */
#if defined(__x86_64__)
#include <immintrin.h>
#define LANE_BITS_2(m) ((uint64_t)(uint32_t)_mm_movemask_pd((__m128d)(m)))
#define LANE_BITS_4(m) ((uint64_t)(uint32_t)_mm256_movemask_pd((__m256d)(m)))
#define LANE_BITS_8(m) ((uint64_t)_mm512_movepi64_mask((__m512i)(m)))
#else
#define LANE_BITS_2(m) (((uint64_t)(m)[0] & 1) | ((uint64_t)(m)[1] & 2))
#endif

/* SSE2 on x86-64, NEON on AArch64: what every machine of the architecture has. */
#define NAME(x)   x##_baseline
#define NAME_TEXT "baseline"
#define TARGET
#define LANES     2
#define LANE_BITS LANE_BITS_2
#include "engine/place/scan_body.h"

#if defined(__x86_64__)
#define NAME(x)   x##_avx2
#define NAME_TEXT "avx2"
#define TARGET    __attribute__((target("avx2")))
#define LANES     4
#define LANE_BITS LANE_BITS_4
#include "engine/place/scan_body.h"

#define NAME(x)   x##_avx512
#define NAME_TEXT "avx512"
#define TARGET    __attribute__((target("avx512f,avx512dq,avx512vl,avx512bw")))
#define LANES     8
#define LANE_BITS LANE_BITS_8
#include "engine/place/scan_body.h"
#endif

const struct mu_scan_ops *mu_scan_variant(uint32_t n)
{
    const struct mu_scan_ops *found[3];
    uint32_t count = 0;
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bw"))
        found[count++] = &ops_avx512;
    if (__builtin_cpu_supports("avx2"))
        found[count++] = &ops_avx2;
#endif
    found[count++] = &ops_baseline;
    return n < count ? found[n] : NULL;
}
