/* Every variant of the kernels against the formulas, on random and extreme columns. */
#include "tests/mu_test.h"

#include "engine/scan.h"
#include "engine/score.h"

#define ROWS   (4 * MU_NODE_CHUNK)
#define ROUNDS 3000

struct columns {
    int64_t free[3][ROWS] __attribute__((aligned(64)));
    int64_t base[ROWS] __attribute__((aligned(64)));
    int64_t weight_cpu[ROWS] __attribute__((aligned(64)));
    int64_t weight_memory[ROWS] __attribute__((aligned(64)));
    int64_t tie_key[ROWS] __attribute__((aligned(64)));
    int64_t alloc[2][ROWS] __attribute__((aligned(64)));
};

static int64_t any_amount(struct mu_random *random)
{
    switch (mu_random_below(random, 6)) {
    case 0:
        return mu_random_between(random, -3, 3);
    case 1:
        return INT64_MAX - (int64_t)mu_random_below(random, 3);
    case 2:
        return -(INT64_MAX - (int64_t)mu_random_below(random, 3));
    default:
        return mu_random_between(random, 0, INT64_C(1) << mu_random_below(random, 62));
    }
}

static void columns_fill(struct mu_random *random, struct columns *c)
{
    for (uint32_t i = 0; i < ROWS; i++) {
        for (int r = 0; r < 3; r++)
            c->free[r][i] = any_amount(random);
        for (int r = 0; r < 2; r++) {
            int64_t alloc = any_amount(random);
            c->alloc[r][i] = alloc > 0 ? alloc : 0;
        }
        c->base[i] = mu_random_chance(random, 50)
                         ? -1
                         : (int64_t)(mu_random_u64(random) >> 2); /* below 2^62 */
        c->weight_cpu[i] = mu_score_weight(c->alloc[0][i] >> MU_SCORE_SHIFT_CPU);
        c->weight_memory[i] = mu_score_weight(c->alloc[1][i] >> MU_SCORE_SHIFT_MEMORY);
        if (mu_random_chance(random, 100))
            c->weight_cpu[i] = INT64_MAX; /* a hole */
        c->tie_key[i] =
            mu_random_chance(random, 50) ? -1 : mu_score_tie_key((uint32_t)mu_random_u64(random));
    }
}

static int64_t key_naive(const struct mu_scan_need *need, const struct columns *c, uint32_t row)
{
    for (uint32_t d = 0; d < need->count; d++) {
        if (c->free[need->demands[d].resource][row] < need->demands[d].amount)
            return MU_SCORE_KEY_NONE;
    }
    int64_t cpu = c->weight_cpu[row], memory = c->weight_memory[row];
    cpu = cpu < need->limit_cpu ? cpu : need->limit_cpu;
    memory = memory < need->limit_memory ? memory : need->limit_memory;
    int64_t cost = (need->units_cpu * cpu + need->units_memory * memory) >> MU_SCORE_SUM_SHIFT;
    int64_t step = cost * (INT64_C(1) << MU_SCORE_TIE_BITS);
    return need->sign == 0 ? c->base[row] + step : c->base[row] - step;
}

static void check_keys(struct mu_test_run *run, const struct mu_scan_ops *ops,
                       const struct columns *c)
{
    static union {
        struct mu_scan_need need;
        char bytes[sizeof(struct mu_scan_need) + 3 * sizeof(struct mu_scan_demand)];
    } store;
    struct mu_scan_need *need = &store.need;
    memset(&store, 0, sizeof store);
    need->sign = mu_random_chance(&run->random, 500) ? -1 : 0;
    for (uint32_t r = 0; r < 3; r++) {
        int64_t amount = any_amount(&run->random);
        if (amount <= 0)
            continue;
        need->demands[need->count++] = (struct mu_scan_demand){amount, r};
        if (r == 0)
            need->units_cpu = amount >> MU_SCORE_SHIFT_CPU;
        if (r == 1)
            need->units_memory = amount >> MU_SCORE_SHIFT_MEMORY;
    }
    need->limit_cpu = mu_score_weight_limit(need->units_cpu);
    need->limit_memory = mu_score_weight_limit(need->units_memory);
    const struct mu_scan_columns columns = {
        .free = {c->free[0], c->free[1], c->free[2]},
        .base = c->base,
        .weight_cpu = c->weight_cpu,
        .weight_memory = c->weight_memory,
    };
    int64_t out[MU_NODE_CHUNK] __attribute__((aligned(64)));
    uint32_t begin = MU_NODE_CHUNK * (uint32_t)mu_random_below(&run->random, 4);
    uint64_t mask = mu_random_chance(&run->random, 100) ? 0 : mu_random_u64(&run->random);
    int64_t largest = ops->keys(need, &columns, begin, mask, out);
    int64_t want_largest = INT64_MIN;
    for (uint32_t i = 0; i < MU_NODE_CHUNK; i++) {
        int64_t want = (mask >> i & 1) != 0 ? key_naive(need, c, begin + i) : MU_SCORE_KEY_NONE;
        MU_TEST_CHECK(run, out[i] == want);
        want_largest = want > want_largest ? want : want_largest;
    }
    MU_TEST_CHECK(run, largest == want_largest);
}

static void check_bases(struct mu_test_run *run, const struct mu_scan_ops *ops,
                        const struct columns *c)
{
    bool pack = mu_random_chance(&run->random, 500);
    const struct mu_scan_room room = {
        .free_cpu = c->free[0],
        .free_memory = c->free[1],
        .alloc_cpu = c->alloc[0],
        .alloc_memory = c->alloc[1],
        .weight_cpu = c->weight_cpu,
        .weight_memory = c->weight_memory,
        .tie_key = c->tie_key,
        .pack = pack,
    };
    int64_t out[MU_NODE_CHUNK] __attribute__((aligned(64)));
    uint32_t begin = MU_NODE_CHUNK * (uint32_t)mu_random_below(&run->random, 4);
    ops->bases(&room, begin, out);
    for (uint32_t i = 0; i < MU_NODE_CHUNK; i++) {
        uint32_t row = begin + i;
        uint64_t parts = mu_score_room_part(c->free[0][row], c->alloc[0][row], MU_SCORE_SHIFT_CPU,
                                            c->weight_cpu[row]) +
                         mu_score_room_part(c->free[1][row], c->alloc[1][row],
                                            MU_SCORE_SHIFT_MEMORY, c->weight_memory[row]);
        if (c->tie_key[row] < 0)
            MU_TEST_CHECK(run, out[i] == -1);
        else if (c->weight_cpu[row] != INT64_MAX)
            MU_TEST_CHECK(run, out[i] == mu_score_base(pack ? MU_SCORE_PACK : MU_SCORE_SPREAD,
                                                       parts, c->tie_key[row]));
    }
}

static void check_reductions(struct mu_test_run *run, const struct mu_scan_ops *ops,
                             const struct columns *c)
{
    const int64_t *values = c->free[mu_random_below(&run->random, 3)];
    int64_t value = values[mu_random_below(&run->random, MU_NODE_CHUNK)];
    int64_t max = INT64_MIN, min = INT64_MAX;
    uint64_t equal = 0, less = 0;
    for (uint32_t i = 0; i < MU_NODE_CHUNK; i++) {
        max = values[i] > max ? values[i] : max;
        min = values[i] < min ? values[i] : min;
        equal |= (uint64_t)(values[i] == value) << i;
        less |= (uint64_t)(values[i] < value) << i;
    }
    MU_TEST_CHECK(run, ops->max(values) == max);
    MU_TEST_CHECK(run, ops->min(values) == min);
    MU_TEST_CHECK(run, ops->equal(values, value) == equal);
    MU_TEST_CHECK(run, ops->less(values, value) == less);
}

static void test_scan_variant__random_columns__equals_formulas(void **state)
{
    (void)state;
    static struct columns columns;
    uint32_t variants = 0;
    while (mu_scan_variant(variants) != NULL)
        variants++;
    assert_in_range(variants, 1, 3);
    struct mu_test_run run = mu_test_run_begin(1);
    for (run.step = 0; run.step < ROUNDS; run.step++) {
        columns_fill(&run.random, &columns);
        for (uint32_t v = 0; v < variants; v++) {
            check_keys(&run, mu_scan_variant(v), &columns);
            check_bases(&run, mu_scan_variant(v), &columns);
            check_reductions(&run, mu_scan_variant(v), &columns);
        }
    }
}

static void test_scan_variant__last__runs_everywhere(void **state)
{
    (void)state;
    uint32_t v = 0;
    while (mu_scan_variant(v + 1) != NULL)
        v++;
    assert_string_equal(mu_scan_variant(v)->name, "baseline");
    assert_ptr_equal(mu_scan_best(), mu_scan_variant(0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_scan_variant__random_columns__equals_formulas),
        cmocka_unit_test(test_scan_variant__last__runs_everywhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
