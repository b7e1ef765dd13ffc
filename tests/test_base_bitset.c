#include "engine/base/bitset.h"

#include "tests/mu_test.h"

static void run_against_twin(uint32_t bits, uint64_t seed)
{
    struct mu_test_run run = mu_test_run_begin(seed);
    static uint64_t words[MU_BITSET_WORDS(1000)];
    static bool twin[1000];
    memset(words, 0, sizeof words);
    memset(twin, 0, sizeof twin);
    for (; run.step < 3000; run.step++) {
        uint32_t bit = (uint32_t)mu_random_below(&run.random, bits);
        switch (mu_random_below(&run.random, 4)) {
        case 0:
            mu_bitset_set(words, bit);
            twin[bit] = true;
            break;
        case 1:
            mu_bitset_clear(words, bit);
            twin[bit] = false;
            break;
        default:
            twin[bit] = mu_random_chance(&run.random, 100);
            mu_bitset_assign(words, bit, twin[bit]);
        }
        uint32_t from = (uint32_t)mu_random_below(&run.random, bits + 2);
        uint32_t next = from < bits ? from : bits;
        while (next < bits && !twin[next])
            next++;
        MU_TEST_CHECK(&run, mu_bitset_next(words, bits, from) == next);
        uint32_t count = 0;
        for (uint32_t i = 0; i < bits; i++) {
            count += twin[i];
            MU_TEST_CHECK(&run, mu_bitset_test(words, i) == twin[i]);
        }
        MU_TEST_CHECK(&run, mu_bitset_count(words, bits) == count);
    }
}

static void test_bitset__random_operations__equal_twin(void **state)
{
    (void)state;
    static const uint32_t sizes[] = {1, 63, 64, 65, 127, 128, 1000};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
        run_against_twin(sizes[i], 100 + i);
}

static void test_bitset_next__bit_beyond_the_end__not_seen(void **state)
{
    (void)state;
    uint64_t words[2] = {0, UINT64_C(1) << 10};
    assert_int_equal(mu_bitset_next(words, 74, 0), 74);
    assert_int_equal(mu_bitset_next(words, 75, 0), 74);
    assert_int_equal(mu_bitset_next(words, 0, 0), 0);
    assert_int_equal(mu_bitset_count(words, 0), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bitset_next__bit_beyond_the_end__not_seen),
        cmocka_unit_test(test_bitset__random_operations__equal_twin),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
