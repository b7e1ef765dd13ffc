#include "engine/base/random.h"

#include "engine/base/hash.h"
#include "tests/mu_test.h"

static void test_random__seed_0__published_sequence(void **state)
{
    (void)state;
    /* splitmix64(0) gives e220a839..., 6e789e6a..., 06c45d18..., f88bb8a8...; xoshiro256** from
     * there, as every published implementation seeded this way gives them. */
    struct mu_random r;
    mu_random_init_seed(&r, 0);
    assert_true(r.state[0] == UINT64_C(0xe220a8397b1dcdaf));
    assert_true(r.state[1] == UINT64_C(0x6e789e6aa1b965f4));
    assert_true(r.state[2] == UINT64_C(0x06c45d188009454f));
    assert_true(r.state[3] == UINT64_C(0xf88bb8a8724c81ec));
    assert_true(mu_random_u64(&r) == UINT64_C(0x99ec5f36cb75f2b4));
    assert_true(mu_random_u64(&r) == UINT64_C(0xbf6e1f784956452a));
}

static void below_0(void *context)
{
    (void)mu_random_below(context, 0);
}

static void between_nothing(void *context)
{
    (void)mu_random_between(context, 1, 0);
}

static void test_random__empty_ranges__assert(void **state)
{
    (void)state;
    struct mu_random r;
    mu_random_init_seed(&r, 1);
    assert_true(mu_test_aborts(below_0, &r));
    assert_true(mu_test_aborts(between_nothing, &r));
}

static void test_random_below__many_draws__in_range_and_even(void **state)
{
    (void)state;
    struct mu_random r;
    mu_random_init_seed(&r, 7);
    uint32_t counts[10] = {0};
    for (int i = 0; i < 100000; i++)
        counts[mu_random_below(&r, 10)]++;
    for (int i = 0; i < 10; i++)
        assert_in_range(counts[i], 9500, 10500); /* 5 standard deviations */
    for (int i = 0; i < 1000; i++) {
        assert_int_equal(mu_random_below(&r, 1), 0);
        assert_true(mu_random_below(&r, UINT64_MAX) < UINT64_MAX);
    }
}

/* A bound just above 2^63: without rejection small values would come twice as often. */
static void test_random_below__large_bound__no_modulo_bias(void **state)
{
    (void)state;
    struct mu_random r;
    mu_random_init_seed(&r, 8);
    uint64_t bound = (UINT64_C(3) << 62);
    uint32_t thirds[3] = {0};
    for (int i = 0; i < 90000; i++)
        thirds[mu_random_below(&r, bound) >> 62]++;
    for (int i = 0; i < 3; i++)
        assert_in_range(thirds[i], 29300, 30700);
}

static void test_random_between__extremes__in_range(void **state)
{
    (void)state;
    struct mu_random r;
    mu_random_init_seed(&r, 9);
    bool low = false;
    bool high = false;
    for (int i = 0; i < 1000; i++) {
        int64_t v = mu_random_between(&r, -2, 2);
        assert_true(v >= -2 && v <= 2);
        low |= v == -2;
        high |= v == 2;
        assert_true(mu_random_between(&r, INT64_MIN, INT64_MIN + 1) <= INT64_MIN + 1);
        assert_true(mu_random_between(&r, INT64_MAX, INT64_MAX) == INT64_MAX);
    }
    assert_true(low && high);
    bool negative = false;
    bool positive = false;
    for (int i = 0; i < 100; i++) {
        int64_t v = mu_random_between(&r, INT64_MIN, INT64_MAX);
        negative |= v < 0;
        positive |= v > 0;
    }
    assert_true(negative && positive);
}

static void test_random_chance__permille__bounds_and_rate(void **state)
{
    (void)state;
    struct mu_random r;
    mu_random_init_seed(&r, 10);
    uint32_t hits = 0;
    for (int i = 0; i < 100000; i++) {
        assert_false(mu_random_chance(&r, 0));
        assert_true(mu_random_chance(&r, 1000));
        hits += mu_random_chance(&r, 250);
    }
    assert_in_range(hits, 24300, 25700);
}

static void test_random_fork__draws_of_child__do_not_move_parent(void **state)
{
    (void)state;
    struct mu_random a;
    struct mu_random b;
    struct mu_random child_a;
    struct mu_random child_b;
    mu_random_init_seed(&a, 11);
    mu_random_init_seed(&b, 11);
    mu_random_fork(&a, &child_a);
    mu_random_fork(&b, &child_b);
    for (int i = 0; i < 100; i++)
        (void)mu_random_u64(&child_a);
    bool differ = false;
    for (int i = 0; i < 100; i++) {
        uint64_t next = mu_random_u64(&a);
        assert_true(next == mu_random_u64(&b));
        differ |= next != mu_random_u64(&child_b);
    }
    assert_true(differ);
}

static void test_random_init_kernel__twice__different(void **state)
{
    (void)state;
    struct mu_random a;
    struct mu_random b;
    mu_random_init_kernel(&a);
    mu_random_init_kernel(&b);
    assert_true(mu_random_u64(&a) != mu_random_u64(&b)); /* wrong once in 2^64 runs */
}

static void test_hash_stable__published_vectors__equal(void **state)
{
    (void)state;
    /* XXH64, seed 0: part of the published bucket table. */
    assert_true(mu_hash_stable("", 0) == UINT64_C(0xef46db3751d8e999));
    assert_true(mu_hash_stable(NULL, 0) == UINT64_C(0xef46db3751d8e999));
    assert_true(mu_hash_stable("a", 1) == UINT64_C(0xd24ec4f1a98c6e5b));
    assert_true(mu_hash_stable("abc", 3) == UINT64_C(0x44bc2cf5ad770999));
}

static void test_hash_bytes__seed_length_and_content__all_matter(void **state)
{
    (void)state;
    uint64_t h = mu_hash_bytes("node-1", 6, 1);
    assert_true(h == mu_hash_str(MU_STR("node-1"), 1));
    assert_true(h != mu_hash_bytes("node-1", 6, 2));
    assert_true(h != mu_hash_bytes("node-1", 5, 1));
    assert_true(h != mu_hash_bytes("node-2", 6, 1));
    assert_true(mu_hash_bytes(NULL, 0, 1) == mu_hash_bytes("", 0, 1));
}

static int compare_u64(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a;
    uint64_t y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static void test_hash_mix__small_numbers__no_collision(void **state)
{
    (void)state;
    enum { SIDE = 300 };
    static uint64_t mixed[SIDE * SIDE];
    for (uint64_t a = 0; a < SIDE; a++) {
        for (uint64_t b = 0; b < SIDE; b++)
            mixed[a * SIDE + b] = mu_hash_mix(a, b);
    }
    qsort(mixed, SIDE * SIDE, sizeof mixed[0], compare_u64);
    for (size_t i = 1; i < SIDE * SIDE; i++)
        assert_true(mixed[i] != mixed[i - 1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random__empty_ranges__assert),
        cmocka_unit_test(test_random__seed_0__published_sequence),
        cmocka_unit_test(test_random_below__many_draws__in_range_and_even),
        cmocka_unit_test(test_random_below__large_bound__no_modulo_bias),
        cmocka_unit_test(test_random_between__extremes__in_range),
        cmocka_unit_test(test_random_chance__permille__bounds_and_rate),
        cmocka_unit_test(test_random_fork__draws_of_child__do_not_move_parent),
        cmocka_unit_test(test_random_init_kernel__twice__different),
        cmocka_unit_test(test_hash_stable__published_vectors__equal),
        cmocka_unit_test(test_hash_bytes__seed_length_and_content__all_matter),
        cmocka_unit_test(test_hash_mix__small_numbers__no_collision),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
