#include "engine/base/mem.h"

#include <pthread.h>

#include "engine/base/error.h"
#include "tests/mu_test.h"

static void modes(bool poison, bool guard, uint64_t fail_nth)
{
    mu_mem_debug_set((struct mu_mem_debug){poison, guard, fail_nth});
}

static int modes_off(void **state)
{
    (void)state;
    modes(false, false, 0);
    return 0;
}

static void test_mem_alloc__fail_nth__fails_exactly_once(void **state)
{
    (void)state;
    modes(false, false, 3);
    void *blocks[4];
    for (int i = 0; i < 4; i++)
        blocks[i] = mu_mem_alloc(10);
    assert_non_null(blocks[0]);
    assert_non_null(blocks[1]);
    assert_null(blocks[2]);
    assert_non_null(blocks[3]);
    for (int i = 0; i < 4; i++)
        mu_mem_free(blocks[i]);
}

static void test_mem_alloc__every_function__obeys_fail_nth(void **state)
{
    (void)state;
    size_t live = mu_mem_live_bytes();
    modes(false, false, 1);
    assert_null(mu_mem_alloc(1));
    modes(false, false, 1);
    assert_null(mu_mem_zalloc(1));
    modes(false, false, 1);
    assert_null(mu_mem_calloc(1, 1));
    modes(false, false, 1);
    assert_null(mu_mem_zalloc_aligned(64, 1));
    modes(false, false, 1);
    assert_null(mu_mem_realloc(NULL, 1));
    assert_int_equal(mu_mem_live_bytes(), live);
}

static void test_mem_realloc__out_of_memory__keeps_the_block(void **state)
{
    (void)state;
    char *block = mu_mem_alloc(8);
    assert_non_null(block);
    memcpy(block, "content", 8);
    size_t live = mu_mem_live_bytes();
    modes(false, false, 1);
    assert_null(mu_mem_realloc(block, 1 << 20));
    modes(false, false, 0);
    assert_string_equal(block, "content");
    assert_int_equal(mu_mem_live_bytes(), live);
    mu_mem_free(block);
}

static void test_mem_alloc__absurd_sizes__null(void **state)
{
    (void)state;
    /* volatile: the compilers know that these fail and warn about them. */
    volatile size_t huge = SIZE_MAX;
    volatile size_t half = SIZE_MAX / 2 + 1;
    assert_null(mu_mem_alloc(huge));
    assert_null(mu_mem_zalloc(half));
    assert_null(mu_mem_calloc(half, 2));
    assert_null(mu_mem_calloc(half, 3));
    assert_null(mu_mem_zalloc_aligned(4096, huge));
    void *block = mu_mem_alloc(16);
    assert_null(mu_mem_realloc(block, huge));
    mu_mem_free(block);
    modes(false, true, 0);
    assert_null(mu_mem_alloc(huge));
}

static void alloc_nothing(void *context)
{
    volatile size_t *bytes = context;
    mu_mem_free(mu_mem_alloc(*bytes));
}

static void test_mem_alloc__no_bytes__asserts(void **state)
{
    (void)state;
    volatile size_t bytes = 0;
    assert_true(mu_test_aborts(alloc_nothing, (void *)(uintptr_t)&bytes));
    bytes = 1;
    assert_false(mu_test_aborts(alloc_nothing, (void *)(uintptr_t)&bytes));
}

static bool all(const uint8_t *bytes, size_t count, uint8_t value)
{
    for (size_t i = 0; i < count; i++) {
        if (bytes[i] != value)
            return false;
    }
    return true;
}

/* Every function in every combination of modes: aligned, zeroed where promised, writable. */
static void check_functions(bool poison, bool guard)
{
    static const size_t sizes[] = {1, 8, 15, 16, 17, 100, 4095, 4096, 4097, 70000};
    modes(poison, guard, 0);
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        size_t n = sizes[i];
        uint8_t *plain = mu_mem_alloc(n);
        uint8_t *zeroed = mu_mem_zalloc(n);
        uint8_t *array = mu_mem_calloc(n, 3);
        assert_true(plain != NULL && zeroed != NULL && array != NULL);
        assert_int_equal((uintptr_t)plain % 16, 0);
        assert_int_equal((uintptr_t)zeroed % 16, 0);
        assert_int_equal((uintptr_t)array % 16, 0);
        assert_true(all(zeroed, n, 0) && all(array, 3 * n, 0));
        if (poison)
            assert_true(all(plain, n, 0xA5));
        memset(plain, 7, n);
        memset(zeroed, 7, n);
        plain = mu_mem_realloc(plain, 2 * n);
        assert_true(plain != NULL && all(plain, n, 7));
        memset(plain, 9, 2 * n);
        plain = mu_mem_realloc(plain, n);
        assert_true(plain != NULL && all(plain, n, 9));
        for (size_t align = 1; align <= 4096; align *= 2) {
            uint8_t *aligned = mu_mem_zalloc_aligned(align, n);
            assert_non_null(aligned);
            assert_int_equal((uintptr_t)aligned % align, 0);
            assert_true(all(aligned, n, 0));
            memset(aligned, 1, n);
            mu_mem_free(aligned);
        }
        mu_mem_free(plain);
        mu_mem_free(zeroed);
        mu_mem_free(array);
    }
}

static void test_mem__all_modes__blocks_are_as_promised(void **state)
{
    (void)state;
    size_t live = mu_mem_live_bytes();
    check_functions(false, false);
    check_functions(true, false);
    check_functions(false, true);
    check_functions(true, true);
    assert_int_equal(mu_mem_live_bytes(), live);
    mu_mem_free(NULL);
}

struct overrun {
    size_t bytes;
    size_t at;
};

static void overrun_and_free(void *context)
{
    volatile const struct overrun *o = context; /* else the compilers see the overrun */
    modes(false, true, 0);
    volatile uint8_t *block = mu_mem_alloc(o->bytes);
    block[o->at] = 1;
    mu_mem_free((void *)(uintptr_t)block);
}

static void test_mem_free__guarded_block_overrun__asserts(void **state)
{
    (void)state;
    /* 20 bytes in 32: the 21st is canary, found by free. */
    assert_false(mu_test_aborts(overrun_and_free, &(struct overrun){20, 19}));
    assert_true(mu_test_aborts(overrun_and_free, &(struct overrun){20, 20}));
    assert_true(mu_test_aborts(overrun_and_free, &(struct overrun){20, 31}));
}

static void test_mem_free__guarded_block_page_overrun__faults(void **state)
{
    (void)state;
    (void)fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        (void)signal(SIGSEGV, SIG_DFL);
        overrun_and_free(&(struct overrun){32, 32});
        _exit(0);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
}

static void test_mem_grow__limit__nothing_changes(void **state)
{
    (void)state;
    uint32_t *array = NULL;
    uint32_t cap = 0;
    assert_int_equal(mu_mem_grow((void **)&array, &cap, 5, 4, sizeof *array), MU_ELIMIT);
    assert_null(array);
    assert_int_equal(cap, 0);
    modes(false, false, 1);
    assert_int_equal(mu_mem_grow((void **)&array, &cap, 4, 4, sizeof *array), MU_ENOMEM);
    assert_null(array);
    assert_int_equal(cap, 0);
    assert_int_equal(mu_mem_grow((void **)&array, &cap, UINT32_MAX, UINT32_MAX, SIZE_MAX / 2),
                     MU_ENOMEM);
}

static void test_mem_grow__step_by_step__doubles_up_to_max(void **state)
{
    (void)state;
    uint32_t *array = NULL;
    uint32_t cap = 0;
    uint32_t grown = 0;
    for (uint32_t n = 1; n <= 1000; n++) {
        uint32_t before = cap;
        assert_int_equal(mu_mem_grow((void **)&array, &cap, n, 1000, sizeof *array), 0);
        assert_true(cap >= n && cap <= 1000);
        grown += cap != before;
        array[n - 1] = n;
    }
    assert_true(grown <= 8); /* 8, 16, ... 512, 1000 */
    for (uint32_t n = 1; n <= 1000; n++)
        assert_int_equal(array[n - 1], n);
    mu_mem_free(array);
}

static void *allocate_in_thread(void *context)
{
    void **blocks = context;
    for (int i = 0; i < 100; i++)
        blocks[i] = mu_mem_alloc(1000);
    return NULL;
}

static void test_mem_live_bytes__freed_by_another_thread__sum_is_exact(void **state)
{
    (void)state;
    enum { THREADS = 300 }; /* more than there are counters: some share the last */
    static void *blocks[THREADS][100];
    size_t live = mu_mem_live_bytes();
    for (int i = 0; i < THREADS; i++) {
        pthread_t thread;
        assert_int_equal(pthread_create(&thread, NULL, allocate_in_thread, blocks[i]), 0);
        assert_int_equal(pthread_join(thread, NULL), 0);
    }
    assert_true(mu_mem_live_bytes() >= live + (size_t)THREADS * 100 * 1000);
    for (int i = 0; i < THREADS; i++) {
        for (int j = 0; j < 100; j++)
            mu_mem_free(blocks[i][j]);
    }
    assert_int_equal(mu_mem_live_bytes(), live);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_mem_alloc__fail_nth__fails_exactly_once, modes_off),
        cmocka_unit_test_teardown(test_mem_alloc__every_function__obeys_fail_nth, modes_off),
        cmocka_unit_test_teardown(test_mem_realloc__out_of_memory__keeps_the_block, modes_off),
        cmocka_unit_test_teardown(test_mem_alloc__absurd_sizes__null, modes_off),
        cmocka_unit_test_teardown(test_mem_alloc__no_bytes__asserts, modes_off),
        cmocka_unit_test_teardown(test_mem__all_modes__blocks_are_as_promised, modes_off),
        cmocka_unit_test_teardown(test_mem_free__guarded_block_overrun__asserts, modes_off),
        cmocka_unit_test_teardown(test_mem_free__guarded_block_page_overrun__faults, modes_off),
        cmocka_unit_test_teardown(test_mem_grow__limit__nothing_changes, modes_off),
        cmocka_unit_test_teardown(test_mem_grow__step_by_step__doubles_up_to_max, modes_off),
        cmocka_unit_test(test_mem_live_bytes__freed_by_another_thread__sum_is_exact),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
