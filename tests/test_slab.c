/* Slabs: stable numbers, lowest first, against a plain list of what is taken. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "engine/base/error.h"
#include "engine/base/mem.h"
#include "engine/base/random.h"
#include "engine/slab.h"

struct record {
    uint32_t value;
    uint32_t generation;
};

static void test_slab__random_operations__lowest_first_and_stable(void **state)
{
    (void)state;
    enum { MAX = 200 };
    for (uint64_t seed = 1; seed <= 10; seed++) {
        struct mu_slab slab;
        struct mu_random random;
        bool taken[MAX] = {false};
        uint32_t values[MAX] = {0};
        struct record *addresses[MAX] = {NULL};
        uint32_t used = 0;
        mu_random_init_seed(&random, seed);
        mu_slab_init(&slab, sizeof(struct record), 4, MAX);
        for (uint32_t step = 1; step < 3000; step++) {
            uint32_t bias = step / 500 % 2 == 0 ? 700 : 300;
            uint32_t number = (uint32_t)mu_random_below(&random, MAX);
            if (mu_random_chance(&random, bias)) {
                uint32_t lowest = 0;
                while (lowest < MAX && taken[lowest])
                    lowest++;
                int rc = mu_slab_take(&slab, &number);
                assert_int_equal(rc, lowest == MAX ? MU_ELIMIT : 0);
                if (rc != 0)
                    continue;
                assert_int_equal(number, lowest);
                struct record *r = mu_slab_at(&slab, number);
                assert_true(addresses[number] == NULL || addresses[number] == r);
                addresses[number] = r;
                assert_int_equal(r->value, values[number]); /* 0, or what was left there */
                r->value = values[number] = step;
                taken[number] = true;
                used++;
            } else if (taken[number]) {
                mu_slab_give(&slab, number);
                taken[number] = false;
                used--;
            }
            uint32_t high = MAX;
            while (high > 0 && !taken[high - 1])
                high--;
            assert_int_equal(slab.used, used);
            assert_int_equal(slab.high, high);
        }
        mu_slab_fini(&slab);
    }
}

static void test_slab_take__out_of_memory__unchanged(void **state)
{
    (void)state;
    struct mu_slab slab;
    uint32_t number = 77;
    uint64_t nth = 1;
    mu_slab_init(&slab, sizeof(struct record), 4, 1000);
    for (int rc = MU_ENOMEM; rc != 0; nth++) {
        mu_mem_debug_set((struct mu_mem_debug){.fail_nth = nth});
        rc = mu_slab_take(&slab, &number);
        mu_mem_debug_set((struct mu_mem_debug){0});
        assert_true(rc == 0 || (rc == MU_ENOMEM && number == 77));
        assert_int_equal(slab.used, rc == 0);
        assert_int_equal(slab.high, rc == 0);
    }
    assert_true(nth > 2);
    assert_int_equal(number, 0);
    mu_slab_fini(&slab);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_slab__random_operations__lowest_first_and_stable),
        cmocka_unit_test(test_slab_take__out_of_memory__unchanged),
    };
    return cmocka_run_group_tests_name("slab", tests, NULL, NULL);
}
