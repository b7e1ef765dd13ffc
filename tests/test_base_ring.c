#include "engine/base/ring.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#include "tests/mu_test.h"

static void test_ring_create__each_allocation_fails__null_and_no_leak(void **state)
{
    (void)state;
    size_t live = mu_mem_live_bytes();
    for (uint64_t nth = 1; nth <= 2; nth++) {
        mu_mem_debug_set((struct mu_mem_debug){.fail_nth = nth});
        assert_null(mu_ring_create(8));
    }
    mu_mem_debug_set((struct mu_mem_debug){0});
    struct mu_ring *ring = mu_ring_create(8);
    assert_non_null(ring);
    mu_ring_destroy(ring);
    mu_ring_destroy(NULL);
    assert_int_equal(mu_mem_live_bytes(), live);
}

static void create_empty(void *context)
{
    (void)context;
    mu_ring_destroy(mu_ring_create(0));
}

static void test_ring_create__no_capacity__asserts(void **state)
{
    (void)state;
    assert_true(mu_test_aborts(create_empty, NULL));
}

typedef bool (*push_fn)(struct mu_ring *ring, void *item);
typedef bool (*pop_fn)(struct mu_ring *ring, void **item);

/* One thread against a plain queue, full and empty included. */
static void run_against_twin(uint32_t capacity, uint32_t room, push_fn push, pop_fn pop)
{
    struct mu_test_run run = mu_test_run_begin(capacity);
    static int items[50001];
    struct mu_ring *ring = mu_ring_create(capacity);
    uint64_t head = 0;
    uint64_t tail = 0;
    for (; run.step < 50000; run.step++) {
        bool filling = run.step / (4 * room) % 2 == 0;
        if (mu_random_chance(&run.random, filling ? 800 : 200)) {
            bool pushed = push(ring, &items[tail]);
            MU_TEST_CHECK(&run, pushed == (tail - head < room));
            tail += pushed;
        } else {
            void *item = NULL;
            bool popped = pop(ring, &item);
            MU_TEST_CHECK(&run, popped == (tail > head));
            MU_TEST_CHECK(&run, item == (popped ? &items[head] : NULL));
            head += popped;
        }
        MU_TEST_CHECK(&run, mu_ring_count(ring) == tail - head);
    }
    mu_ring_destroy(ring);
}

static void test_ring__one_thread__equals_queue(void **state)
{
    (void)state;
    run_against_twin(1, 3, mu_ring_push_spsc, mu_ring_pop_spsc);
    run_against_twin(3, 3, mu_ring_push_spsc, mu_ring_pop_spsc);
    run_against_twin(4, 7, mu_ring_push_mpsc, mu_ring_pop_mpsc);
    run_against_twin(100, 127, mu_ring_push_mpsc, mu_ring_pop_mpsc);
}

/* Threads: each producer sends its numbers in order, as objects that it fills just before. The
 * consumer sees each producer's numbers in order, filled, and none lost or twice. */
enum { PRODUCERS = 3, PER_PRODUCER = 20000 };
/* Through a tiny ring: on a busy machine each few of them cost a time slice. */
enum { FEW = 300 };

struct message {
    uint32_t producer;
    uint32_t number;
    uint64_t check; /* plain memory: a race on it is what ThreadSanitizer would find */
};

struct producer {
    struct mu_ring *ring;
    push_fn push;
    uint32_t id;
    uint32_t count;
    struct message messages[PER_PRODUCER];
};

static uint64_t check_of(uint32_t producer, uint32_t number)
{
    return (uint64_t)producer * 1000003 + number * UINT64_C(7919) + 1;
}

static void *produce(void *context)
{
    struct producer *p = context;
    for (uint32_t i = 0; i < p->count; i++) {
        p->messages[i] = (struct message){p->id, i, check_of(p->id, i)};
        while (!p->push(p->ring, &p->messages[i]))
            (void)sched_yield();
    }
    return NULL;
}

static void run_threads(uint32_t producers, uint32_t count, uint32_t capacity, push_fn push,
                        pop_fn pop)
{
    static struct producer all[PRODUCERS];
    pthread_t threads[PRODUCERS];
    uint32_t next[PRODUCERS] = {0};
    struct mu_ring *ring = mu_ring_create(capacity);
    for (uint32_t i = 0; i < producers; i++) {
        all[i].ring = ring;
        all[i].push = push;
        all[i].id = i;
        all[i].count = count;
        assert_int_equal(pthread_create(&threads[i], NULL, produce, &all[i]), 0);
    }
    for (uint32_t seen = 0; seen < producers * count;) {
        void *item;
        if (!pop(ring, &item)) {
            (void)sched_yield();
            continue;
        }
        const struct message *m = item;
        assert_true(m->producer < producers);
        assert_int_equal(m->number, next[m->producer]++);
        assert_true(m->check == check_of(m->producer, m->number));
        seen++;
    }
    for (uint32_t i = 0; i < producers; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_int_equal(mu_ring_count(ring), 0);
    mu_ring_destroy(ring);
}

static void test_ring_spsc__two_threads__in_order_and_complete(void **state)
{
    (void)state;
    run_threads(1, FEW, 2, mu_ring_push_spsc, mu_ring_pop_spsc);
    run_threads(1, PER_PRODUCER, 1000, mu_ring_push_spsc, mu_ring_pop_spsc);
}

static void test_ring_mpsc__four_threads__in_order_and_complete(void **state)
{
    (void)state;
    run_threads(PRODUCERS, FEW, 2, mu_ring_push_mpsc, mu_ring_pop_mpsc);
    run_threads(PRODUCERS, PER_PRODUCER, 1000, mu_ring_push_mpsc, mu_ring_pop_mpsc);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ring_create__each_allocation_fails__null_and_no_leak),
        cmocka_unit_test(test_ring_create__no_capacity__asserts),
        cmocka_unit_test(test_ring__one_thread__equals_queue),
        cmocka_unit_test(test_ring_spsc__two_threads__in_order_and_complete),
        cmocka_unit_test(test_ring_mpsc__four_threads__in_order_and_complete),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
