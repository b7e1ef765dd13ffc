#include "engine/base/arena.h"

#include "tests/mu_test.h"

static void test_arena_alloc__out_of_memory__null_and_usable(void **state)
{
    (void)state;
    mu_mem_debug_set((struct mu_mem_debug){.fail_nth = 1});
    assert_null(mu_arena_create(1000));
    struct mu_arena *arena = mu_arena_create(1000);
    mu_mem_debug_set((struct mu_mem_debug){.fail_nth = 1});
    assert_null(mu_arena_alloc(arena, 10));
    assert_int_equal(mu_arena_used_bytes(arena), 0);
    assert_non_null(mu_arena_alloc(arena, 10));
    mu_arena_destroy(arena);
    mu_arena_destroy(NULL);
}

static void test_arena_alloc__bound__exact(void **state)
{
    (void)state;
    struct mu_arena *arena = mu_arena_create(160);
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 9; i++)
            assert_non_null(mu_arena_alloc(arena, 1));
        assert_null(mu_arena_alloc(arena, 17));
        assert_non_null(mu_arena_alloc(arena, 0));
        assert_null(mu_arena_alloc(arena, 0));
        assert_null(mu_arena_str(arena, MU_STR("x")).data);
        assert_int_equal(mu_arena_used_bytes(arena), 160);
        mu_arena_reset(arena);
        assert_int_equal(mu_arena_used_bytes(arena), 0);
    }
    assert_null(mu_arena_alloc(arena, SIZE_MAX));
    assert_null(mu_arena_alloc(arena, SIZE_MAX - 20));
    assert_null(mu_arena_calloc(arena, SIZE_MAX / 2, 3));
    assert_non_null(mu_arena_calloc(arena, 10, 16));
    mu_arena_destroy(arena);
}

static void test_arena_str__copy__terminated(void **state)
{
    (void)state;
    struct mu_arena *arena = mu_arena_create(1000);
    char source[] = "text and more";
    struct mu_str copy = mu_arena_str(arena, (struct mu_str){source, 4});
    memset(source, 0, sizeof source);
    assert_int_equal(copy.len, 4);
    assert_string_equal(copy.data, "text");
    struct mu_str empty = mu_arena_str(arena, (struct mu_str){NULL, 0});
    assert_non_null(empty.data);
    assert_string_equal(empty.data, "");
    mu_arena_destroy(arena);
}

static void test_arena_reset__same_load_again__allocates_no_more(void **state)
{
    (void)state;
    struct mu_arena *arena = mu_arena_create(64 << 20);
    for (int round = 0; round < 4; round++) {
        /* Any allocation below would be the failing one from the second round on. */
        mu_mem_debug_set((struct mu_mem_debug){.fail_nth = round < 1 ? 0 : 1});
        for (int i = 0; i < 3000; i++)
            assert_non_null(mu_arena_alloc(arena, 1000));
        mu_mem_debug_set((struct mu_mem_debug){0});
        mu_arena_reset(arena);
    }
    mu_arena_destroy(arena);
}

static void test_arena_reset__out_of_memory__still_usable(void **state)
{
    (void)state;
    struct mu_arena *arena = mu_arena_create(64 << 20);
    for (int i = 0; i < 3000; i++)
        assert_non_null(mu_arena_alloc(arena, 1000));
    mu_mem_debug_set((struct mu_mem_debug){.fail_nth = 1});
    mu_arena_reset(arena);
    mu_mem_debug_set((struct mu_mem_debug){0});
    assert_int_equal(mu_arena_used_bytes(arena), 0);
    assert_non_null(mu_arena_alloc(arena, 1000));
    mu_arena_destroy(arena);
}

/* Blocks of random sizes keep what is written to them, are aligned and do not overlap. */
static void test_arena__random_blocks__keep_their_content(void **state)
{
    (void)state;
    struct mu_test_run run = mu_test_run_begin(3);
    enum { BLOCKS = 2000 };
    static uint8_t *blocks[BLOCKS];
    static size_t sizes[BLOCKS];
    struct mu_arena *arena = mu_arena_create(256 << 20);
    for (int round = 0; round < 10; round++) {
        size_t used = 0;
        for (int i = 0; i < BLOCKS; i++, run.step++) {
            uint64_t limit = mu_random_chance(&run.random, 10) ? 100000 : 500;
            sizes[i] = mu_random_below(&run.random, limit);
            bool zeroed = mu_random_chance(&run.random, 500);
            blocks[i] = zeroed ? mu_arena_zalloc(arena, sizes[i]) : mu_arena_alloc(arena, sizes[i]);
            MU_TEST_CHECK(&run, blocks[i] != NULL && (uintptr_t)blocks[i] % 16 == 0);
            for (size_t b = 0; zeroed && b < sizes[i]; b++)
                MU_TEST_CHECK(&run, blocks[i][b] == 0);
            memset(blocks[i], i & 0xff, sizes[i]);
            used += sizes[i] == 0 ? 16 : (sizes[i] + 15) / 16 * 16;
            MU_TEST_CHECK(&run, mu_arena_used_bytes(arena) == used);
        }
        for (int i = 0; i < BLOCKS; i++) {
            for (size_t b = 0; b < sizes[i]; b++)
                MU_TEST_CHECK(&run, blocks[i][b] == (i & 0xff));
        }
        mu_arena_reset(arena);
    }
    mu_arena_destroy(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_arena_alloc__out_of_memory__null_and_usable),
        cmocka_unit_test(test_arena_alloc__bound__exact),
        cmocka_unit_test(test_arena_str__copy__terminated),
        cmocka_unit_test(test_arena_reset__same_load_again__allocates_no_more),
        cmocka_unit_test(test_arena_reset__out_of_memory__still_usable),
        cmocka_unit_test(test_arena__random_blocks__keep_their_content),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
