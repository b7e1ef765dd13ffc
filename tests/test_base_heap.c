#include "engine/base/heap.h"

#include "engine/base/error.h"
#include "tests/mu_test.h"

static void test_heap_push__bound_and_memory__nothing_changes(void **state)
{
    (void)state;
    struct mu_heap heap;
    struct mu_heap_entry e = {1, 1, NULL};
    mu_heap_init(&heap, 2);
    mu_mem_debug_set((struct mu_mem_debug){.fail_nth = 1});
    assert_int_equal(mu_heap_push(&heap, e), MU_ENOMEM);
    assert_int_equal(heap.count, 0);
    assert_false(mu_heap_peek(&heap, &e));
    assert_false(mu_heap_pop(&heap, &e));
    assert_int_equal(mu_heap_push(&heap, (struct mu_heap_entry){2, 0, NULL}), 0);
    assert_int_equal(mu_heap_push(&heap, (struct mu_heap_entry){1, 0, NULL}), 0);
    assert_int_equal(mu_heap_push(&heap, (struct mu_heap_entry){0, 0, NULL}), MU_ELIMIT);
    assert_int_equal(heap.count, 2);
    assert_true(mu_heap_pop(&heap, &e) && e.key == 1);
    assert_int_equal(mu_heap_push(&heap, (struct mu_heap_entry){0, 0, NULL}), 0);
    assert_true(mu_heap_pop(&heap, &e) && e.key == 0);
    assert_true(mu_heap_pop(&heap, &e) && e.key == 2);
    assert_false(mu_heap_pop(&heap, &e));
    mu_heap_fini(&heap);
    mu_heap_fini(&heap);
}

/* The twin is an unsorted array; its smallest entry is found by looking at all. */
static uint32_t twin_smallest(const struct mu_heap_entry *twin, uint32_t count)
{
    uint32_t best = 0;
    for (uint32_t i = 1; i < count; i++) {
        if (twin[i].key < twin[best].key ||
            (twin[i].key == twin[best].key && twin[i].tie < twin[best].tie))
            best = i;
    }
    return best;
}

static void run_against_twin(uint64_t seed, uint64_t keys)
{
    struct mu_test_run run = mu_test_run_begin(seed);
    enum { MAX = 500 };
    static struct mu_heap_entry twin[MAX];
    static int items[20001];
    uint32_t count = 0;
    struct mu_heap heap;
    mu_heap_init(&heap, MAX);
    for (; run.step < 20000; run.step++) {
        bool growing = run.step / 2000 % 2 == 0;
        if (mu_random_chance(&run.random, growing ? 700 : 300)) {
            struct mu_heap_entry e = {mu_random_below(&run.random, keys), run.step,
                                      &items[run.step]};
            int error = mu_heap_push(&heap, e);
            MU_TEST_CHECK(&run, error == (count == MAX ? MU_ELIMIT : 0));
            if (error == 0)
                twin[count++] = e;
        } else {
            struct mu_heap_entry peeked = {0};
            struct mu_heap_entry popped = {0};
            MU_TEST_CHECK(&run, mu_heap_peek(&heap, &peeked) == (count > 0));
            MU_TEST_CHECK(&run, mu_heap_pop(&heap, &popped) == (count > 0));
            if (count == 0)
                continue;
            uint32_t best = twin_smallest(twin, count);
            MU_TEST_CHECK(&run, popped.item == twin[best].item && peeked.item == popped.item);
            MU_TEST_CHECK(&run, popped.key == twin[best].key && popped.tie == twin[best].tie);
            twin[best] = twin[--count];
        }
        MU_TEST_CHECK(&run, heap.count == count);
    }
    mu_heap_fini(&heap);
}

static void test_heap__random_operations__equal_twin(void **state)
{
    (void)state;
    run_against_twin(4, 10); /* many equal keys: order by tie */
    run_against_twin(5, 1000);
    run_against_twin(6, UINT64_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_heap_push__bound_and_memory__nothing_changes),
        cmocka_unit_test(test_heap__random_operations__equal_twin),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
