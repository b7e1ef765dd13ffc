/* Sets of row numbers, against a plain array of flags. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "engine/base/error.h"
#include "engine/base/mem.h"
#include "engine/base/random.h"
#include "engine/rowset.h"

enum { ROWS = 20000 };

static void check(const struct mu_rowset *set, const bool *twin)
{
    uint32_t count = 0;
    uint32_t expected = UINT32_MAX;
    for (uint32_t row = ROWS; row-- > 0;) {
        assert_int_equal(mu_rowset_has(set, row), twin[row]);
        count += twin[row];
        expected = twin[row] ? row : expected;
        if (row % 97 == 0)
            assert_int_equal(mu_rowset_next(set, row), expected);
    }
    assert_int_equal(set->count, count);
}

static void test_rowset__random_operations__equals_flags(void **state)
{
    (void)state;
    static bool twin[ROWS];
    static uint32_t rows[ROWS];
    for (uint64_t seed = 1; seed <= 8; seed++) {
        struct mu_rowset set = {0};
        struct mu_random random;
        mu_random_init_seed(&random, seed);
        memset(twin, 0, sizeof twin);
        assert_int_equal(mu_rowset_reserve(&set, ROWS), 0);
        for (int step = 0; step < 300; step++) {
            uint32_t n = (uint32_t)mu_random_below(&random, 60);
            uint32_t base = (uint32_t)mu_random_below(&random, ROWS - 200);
            switch (mu_random_below(&random, 6)) {
            case 0:
            case 1:
            case 2:
                for (uint32_t i = 0; i < n; i++) {
                    uint32_t row = base + (uint32_t)mu_random_below(&random, 200);
                    assert_int_equal(mu_rowset_add(&set, row), !twin[row]);
                    twin[row] = true;
                }
                break;
            case 3:
                for (uint32_t i = 0; i < n; i++) {
                    uint32_t row = base + (uint32_t)mu_random_below(&random, 200);
                    assert_int_equal(mu_rowset_drop(&set, row), twin[row]);
                    twin[row] = false;
                }
                break;
            case 4: {
                uint32_t taken = mu_rowset_take(&set, rows, n);
                uint32_t row = 0;
                for (uint32_t i = 0; i < taken; i++, row++) {
                    while (!twin[row])
                        assert_true(++row < ROWS);
                    assert_int_equal(rows[i], row);
                    twin[row] = false;
                }
                for (; taken < n && row < ROWS; row++)
                    assert_false(twin[row]);
                break;
            }
            default:
                if (step % 50 == 0) {
                    mu_rowset_fill(&set, base);
                    memset(twin, 1, base);
                } else if (step % 51 == 0) {
                    mu_rowset_clear(&set);
                    memset(twin, 0, sizeof twin);
                }
            }
            check(&set, twin);
        }
        mu_rowset_fini(&set);
    }
}

static void test_rowset_reserve__out_of_memory__keeps_content(void **state)
{
    (void)state;
    struct mu_rowset set = {0};
    assert_int_equal(mu_rowset_next(&set, 0), UINT32_MAX);
    assert_false(mu_rowset_has(&set, 0));
    mu_rowset_fill(&set, 0);
    mu_rowset_clear(&set);
    assert_int_equal(mu_rowset_reserve(&set, 1), 0);
    uint32_t last = set.cap - 1;
    assert_true(mu_rowset_add(&set, last));
    for (uint64_t nth = 1; nth <= 2; nth++) {
        mu_mem_debug_set((struct mu_mem_debug){.fail_nth = nth});
        assert_int_equal(mu_rowset_reserve(&set, last + 2), MU_ENOMEM);
        mu_mem_debug_set((struct mu_mem_debug){0});
        assert_int_equal(mu_rowset_next(&set, 0), last);
    }
    assert_int_equal(mu_rowset_reserve(&set, last + 2), 0);
    assert_true(set.cap > last + 1);
    assert_int_equal(mu_rowset_next(&set, 0), last);
    assert_int_equal(mu_rowset_next(&set, last + 1), UINT32_MAX);
    mu_rowset_fini(&set);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rowset__random_operations__equals_flags),
        cmocka_unit_test(test_rowset_reserve__out_of_memory__keeps_content),
    };
    return cmocka_run_group_tests_name("rowset", tests, NULL, NULL);
}
