#include "engine/base/index.h"

#include "engine/base/error.h"
#include "engine/base/hash.h"
#include "tests/mu_test.h"

/* Records are 64-bit keys; the index maps a key to its position. */
struct table {
    uint64_t *keys;
    uint64_t hash_mask; /* bits of the hash that survive: fewer bits, more collisions */
};

static uint64_t hash_key(const struct table *t, uint64_t key)
{
    return mu_hash_bytes(&key, sizeof key, 1) & t->hash_mask;
}

static bool key_equal(const void *context, uint32_t value, const void *key)
{
    const struct table *t = context;
    return t->keys[value] == *(const uint64_t *)key;
}

static uint64_t key_hash(const void *context, uint32_t value)
{
    const struct table *t = context;
    return hash_key(t, t->keys[value]);
}

static uint32_t find(const struct mu_index *index, const struct table *t, uint64_t key)
{
    return mu_index_find(index, hash_key(t, key), &key);
}

/* Random inserts, removals and look-ups of keys [0, KEYS) against a plain array of flags. */
static void run_against_twin(uint64_t seed, uint32_t hint, uint32_t keys, uint32_t steps,
                             uint64_t hash_mask)
{
    struct mu_test_run run = mu_test_run_begin(seed);
    struct table t = {mu_mem_calloc(keys, sizeof(uint64_t)), hash_mask};
    bool *present = mu_mem_calloc(keys, sizeof(bool));
    struct mu_index *index = mu_index_create(hint, key_equal, key_hash, &t);
    assert_true(t.keys != NULL && present != NULL && index != NULL);
    uint32_t count = 0;
    for (uint32_t i = 0; i < keys; i++)
        t.keys[i] = mu_hash_mix(i, seed);
    for (; run.step < steps; run.step++) {
        uint32_t i = (uint32_t)mu_random_below(&run.random, keys);
        uint64_t hash = hash_key(&t, t.keys[i]);
        mu_index_prefetch(index, hash);
        MU_TEST_CHECK(&run, find(index, &t, t.keys[i]) == (present[i] ? i : MU_INDEX_NONE));
        /* Waves: mostly growing, then mostly shrinking. */
        bool wants = mu_random_chance(&run.random, run.step / keys % 2 == 0 ? 900 : 100);
        if (wants && !present[i]) {
            MU_TEST_CHECK(&run, mu_index_insert(index, hash, i) == 0);
            count++;
        } else if (!wants && present[i]) {
            mu_index_remove(index, hash, i);
            count--;
        }
        present[i] = wants;
        MU_TEST_CHECK(&run, mu_index_count(index) == count);
    }
    for (uint32_t i = 0; i < keys; i++)
        MU_TEST_CHECK(&run, find(index, &t, t.keys[i]) == (present[i] ? i : MU_INDEX_NONE));
    mu_index_destroy(index);
    mu_mem_free(present);
    mu_mem_free(t.keys);
}

static void test_index__small_table__equals_twin(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++)
        run_against_twin(seed, 0, 100, 5000, UINT64_MAX);
}

static void test_index__many_segments__equals_twin(void **state)
{
    (void)state;
    run_against_twin(21, 0, 100000, 600000, UINT64_MAX);
}

static void test_index__presized__equals_twin(void **state)
{
    (void)state;
    run_against_twin(22, 100000, 100000, 400000, UINT64_MAX);
}

static void test_index__few_hash_bits__equals_twin(void **state)
{
    (void)state;
    /* Long runs of equal tags in one segment: removal must keep every one reachable. */
    run_against_twin(23, 0, 300, 20000, UINT64_C(7) << 32);
    /* All tags share their top bits: splitting in vain up to the last depth, then doubling. */
    run_against_twin(24, 0, 6000, 30000, UINT64_C(0x1fff) << 32);
}

static bool build(void *context)
{
    struct table *t = context;
    struct mu_index *index = mu_index_create(10, key_equal, key_hash, t);
    if (index == NULL)
        return false;
    bool passed = true;
    uint32_t inserted = 0;
    for (uint32_t i = 0; i < 9000 && passed; i++) {
        size_t bytes = mu_index_bytes(index);
        if (mu_index_insert(index, hash_key(t, t->keys[i]), i) == 0) {
            inserted++;
            continue;
        }
        passed = false;
        /* A directory that doubled before the segments failed is the one thing that stays. */
        assert_true(mu_index_bytes(index) <= 2 * bytes);
        assert_int_equal(find(index, t, t->keys[i]), MU_INDEX_NONE);
        /* The same insertion succeeds afterwards: the failure left a sound index. */
        assert_int_equal(mu_index_insert(index, hash_key(t, t->keys[i]), i), 0);
        inserted++;
    }
    assert_int_equal(mu_index_count(index), inserted);
    for (uint32_t i = 0; i < inserted; i++)
        assert_int_equal(find(index, t, t->keys[i]), i);
    mu_index_destroy(index);
    return passed;
}

static void test_index_insert__each_allocation_fails__index_stays_sound(void **state)
{
    (void)state;
    struct table t = {mu_mem_calloc(9000, sizeof(uint64_t)), UINT64_MAX};
    for (uint32_t i = 0; i < 9000; i++)
        t.keys[i] = mu_hash_mix(i, 5);
    assert_true(mu_test_fail_each(build, &t) >= 15);
    mu_mem_free(t.keys);
}

static bool create_presized(void *context)
{
    struct mu_index *index = mu_index_create(50000, key_equal, key_hash, context);
    mu_index_destroy(index);
    return index != NULL;
}

static void test_index_create__each_allocation_fails__null_and_no_leak(void **state)
{
    (void)state;
    struct table t = {NULL, UINT64_MAX};
    assert_true(mu_test_fail_each(create_presized, &t) >= 18);
}

static void test_index_create__hint__grows_no_more(void **state)
{
    (void)state;
    enum { N = 200000 };
    struct table t = {mu_mem_calloc(N, sizeof(uint64_t)), UINT64_MAX};
    struct mu_index *index = mu_index_create(N, key_equal, key_hash, &t);
    assert_non_null(index);
    size_t bytes = mu_index_bytes(index);
    assert_true(bytes <= 25 * (size_t)N);
    for (uint32_t i = 0; i < N; i++) {
        t.keys[i] = mu_hash_mix(i, 9);
        assert_int_equal(mu_index_insert(index, hash_key(&t, t.keys[i]), i), 0);
    }
    assert_int_equal(mu_index_bytes(index), bytes);
    mu_index_destroy(index);
    mu_mem_free(t.keys);
}

static void remove_absent(void *context)
{
    struct table *t = context;
    struct mu_index *index = mu_index_create(10, key_equal, key_hash, t);
    mu_index_remove(index, hash_key(t, t->keys[0]), 0);
    mu_index_destroy(index);
}

static void insert_none(void *context)
{
    struct table *t = context;
    struct mu_index *index = mu_index_create(10, key_equal, key_hash, t);
    (void)mu_index_insert(index, 1, MU_INDEX_NONE);
    mu_index_destroy(index);
}

static void test_index__misuse__asserts(void **state)
{
    (void)state;
    uint64_t key = 1;
    struct table t = {&key, UINT64_MAX};
    assert_true(mu_test_aborts(remove_absent, &t));
    assert_true(mu_test_aborts(insert_none, &t));
}

static void test_index_find__same_tag_other_key__not_found(void **state)
{
    (void)state;
    uint64_t keys[2] = {1, 2};
    struct table t = {keys, 0}; /* every hash is 0 */
    struct mu_index *index = mu_index_create(0, key_equal, key_hash, &t);
    assert_non_null(index);
    assert_int_equal(mu_index_insert(index, 0, 0), 0);
    assert_int_equal(find(index, &t, 1), 0);
    assert_int_equal(find(index, &t, 2), MU_INDEX_NONE);
    assert_int_equal(mu_index_insert(index, 0, 1), 0);
    mu_index_remove(index, 0, 0);
    assert_int_equal(find(index, &t, 1), MU_INDEX_NONE);
    assert_int_equal(find(index, &t, 2), 1);
    mu_index_destroy(index);
    mu_index_destroy(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_index_insert__each_allocation_fails__index_stays_sound),
        cmocka_unit_test(test_index_create__each_allocation_fails__null_and_no_leak),
        cmocka_unit_test(test_index__misuse__asserts),
        cmocka_unit_test(test_index_find__same_tag_other_key__not_found),
        cmocka_unit_test(test_index_create__hint__grows_no_more),
        cmocka_unit_test(test_index__small_table__equals_twin),
        cmocka_unit_test(test_index__many_segments__equals_twin),
        cmocka_unit_test(test_index__presized__equals_twin),
        cmocka_unit_test(test_index__few_hash_bits__equals_twin),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
