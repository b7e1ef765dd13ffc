#include "engine/base/hist.h"

#include "tests/mu_test.h"

static int compare_u64(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a;
    uint64_t y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* The twin keeps all values sorted: a quantile is an element. */
static void check_quantiles(struct mu_test_run *run, const struct mu_hist *hist,
                            const uint64_t *sorted, uint64_t count)
{
    for (uint32_t permille = 0; permille <= 1000; permille += 5) {
        uint64_t rank = (count * permille + 999) / 1000;
        uint64_t truth = sorted[rank == 0 ? 0 : rank - 1];
        uint64_t got = mu_hist_quantile(hist, permille);
        MU_TEST_CHECK(run, got >= truth);
        MU_TEST_CHECK(run, got - truth <= truth / 32);
        MU_TEST_CHECK(run, got <= hist->max);
    }
}

static void test_hist__random_values__quantiles_near_sorted_twin(void **state)
{
    (void)state;
    enum { N = 5000 };
    static uint64_t values[N];
    static struct mu_hist hist;
    static struct mu_hist half;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct mu_test_run run = mu_test_run_begin(seed);
        uint64_t sum = 0;
        uint64_t spread = 64 - seed * 3; /* from large values to small ones */
        mu_hist_init(&hist);
        mu_hist_init(&half);
        for (; run.step < N; run.step++) {
            uint64_t shift = 64 - spread + mu_random_below(&run.random, spread);
            uint64_t v = mu_random_u64(&run.random) >> shift >> 13; /* the sum stays exact */
            values[run.step] = v;
            mu_hist_add(run.step % 2 == 0 ? &hist : &half, v);
            sum += v;
        }
        mu_hist_merge(&hist, &half);
        qsort(values, N, sizeof values[0], compare_u64);
        MU_TEST_CHECK(&run, hist.count == N && hist.sum == sum);
        MU_TEST_CHECK(&run, hist.min == values[0] && hist.max == values[N - 1]);
        check_quantiles(&run, &hist, values, N);
    }
}

static void test_hist__every_power_of_two_and_neighbours__own_quantile(void **state)
{
    (void)state;
    static struct mu_hist hist;
    struct mu_test_run run = mu_test_run_begin(0);
    for (int bit = 0; bit < 64; bit++) {
        for (int d = -1; d <= 1; d++, run.step++) {
            uint64_t v = (UINT64_C(1) << bit) + (uint64_t)(int64_t)d;
            mu_hist_init(&hist);
            mu_hist_add(&hist, v);
            /* Alone, a value is its own maximum, and no quantile is above it. */
            MU_TEST_CHECK(&run, mu_hist_quantile(&hist, 500) == v);
            mu_hist_add(&hist, UINT64_MAX);
            uint64_t got = mu_hist_quantile(&hist, 500);
            MU_TEST_CHECK(&run, got >= v && got - v <= v / 32);
            MU_TEST_CHECK(&run, mu_hist_quantile(&hist, 1000) == UINT64_MAX);
        }
    }
}

static void test_hist__empty__zero_and_mergeable(void **state)
{
    (void)state;
    static struct mu_hist empty;
    static struct mu_hist other;
    mu_hist_init(&empty);
    mu_hist_init(&other);
    assert_int_equal(mu_hist_quantile(&empty, 990), 0);
    assert_true(empty.min == UINT64_MAX && empty.max == 0);
    mu_hist_add(&other, 7);
    mu_hist_merge(&empty, &other);
    assert_int_equal(mu_hist_quantile(&empty, 0), 7);
    mu_hist_init(&other);
    mu_hist_merge(&empty, &other);
    assert_true(empty.count == 1 && empty.min == 7 && empty.max == 7);
}

static void test_hist__sum__saturates(void **state)
{
    (void)state;
    static struct mu_hist hist;
    static struct mu_hist twice;
    mu_hist_init(&hist);
    mu_hist_add(&hist, UINT64_MAX - 1);
    mu_hist_add(&hist, 1);
    assert_true(hist.sum == UINT64_MAX);
    mu_hist_add(&hist, 5);
    assert_true(hist.sum == UINT64_MAX);
    mu_hist_init(&twice);
    mu_hist_merge(&twice, &hist);
    mu_hist_merge(&twice, &hist);
    assert_true(twice.sum == UINT64_MAX && twice.count == 6);
}

static void quantile_1001(void *context)
{
    (void)mu_hist_quantile(context, 1001);
}

static void test_hist_quantile__above_1000__asserts(void **state)
{
    (void)state;
    static struct mu_hist hist;
    mu_hist_init(&hist);
    assert_true(mu_test_aborts(quantile_1001, &hist));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hist_quantile__above_1000__asserts),
        cmocka_unit_test(test_hist__empty__zero_and_mergeable),
        cmocka_unit_test(test_hist__sum__saturates),
        cmocka_unit_test(test_hist__every_power_of_two_and_neighbours__own_quantile),
        cmocka_unit_test(test_hist__random_values__quantiles_near_sorted_twin),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
