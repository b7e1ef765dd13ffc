#include "engine/base/epoch.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#include "engine/base/error.h"
#include "tests/mu_test.h"

static uint32_t freed;

static void count_free(void *object)
{
    *(int *)object = 1;
    freed++;
}

static int reset(void **state)
{
    (void)state;
    freed = 0;
    return 0;
}

static void test_epoch__each_allocation_fails__nothing_changes(void **state)
{
    (void)state;
    mu_mem_debug_set((struct mu_mem_debug){.fail_nth = 1});
    assert_null(mu_epoch_create());
    struct mu_epoch *epoch = mu_epoch_create();
    mu_mem_debug_set((struct mu_mem_debug){.fail_nth = 1});
    assert_null(mu_epoch_register(epoch));
    struct mu_epoch_record *record = mu_epoch_register(epoch);
    int object = 0;
    mu_mem_debug_set((struct mu_mem_debug){.fail_nth = 1});
    assert_int_equal(mu_epoch_retire(record, &object, count_free), MU_ENOMEM);
    mu_epoch_barrier(record);
    assert_int_equal(mu_epoch_poll(record), 0);
    assert_int_equal(object, 0); /* not retired: still the caller's */
    mu_epoch_unregister(record);
    mu_epoch_unregister(NULL);
    mu_epoch_destroy(epoch);
    mu_epoch_destroy(NULL);
}

static void end_without_begin(void *context)
{
    mu_epoch_end(context);
}

static void barrier_inside(void *context)
{
    mu_epoch_begin(context);
    mu_epoch_barrier(context);
}

static void unregister_inside(void *context)
{
    mu_epoch_begin(context);
    mu_epoch_unregister(context);
}

static void unregister_twice(void *context)
{
    mu_epoch_unregister(context);
    mu_epoch_unregister(context);
}

static void test_epoch__misuse__asserts(void **state)
{
    (void)state;
    struct mu_epoch *epoch = mu_epoch_create();
    struct mu_epoch_record *record = mu_epoch_register(epoch);
    assert_true(mu_test_aborts(end_without_begin, record));
    assert_true(mu_test_aborts(barrier_inside, record));
    assert_true(mu_test_aborts(unregister_inside, record));
    assert_true(mu_test_aborts(unregister_twice, record));
    mu_epoch_unregister(record);
    mu_epoch_destroy(epoch);
}

static void test_epoch_poll__reader_inside__frees_only_after_it_left(void **state)
{
    (void)state;
    struct mu_epoch *epoch = mu_epoch_create();
    struct mu_epoch_record *writer = mu_epoch_register(epoch);
    struct mu_epoch_record *reader = mu_epoch_register(epoch);
    int object = 0;
    mu_epoch_begin(reader);
    mu_epoch_begin(reader);
    assert_int_equal(mu_epoch_retire(writer, &object, count_free), 0);
    for (int i = 0; i < 10; i++)
        assert_int_equal(mu_epoch_poll(writer), 0);
    mu_epoch_end(reader); /* still inside the outer section */
    for (int i = 0; i < 10; i++)
        assert_int_equal(mu_epoch_poll(writer), 0);
    assert_int_equal(object, 0);
    mu_epoch_end(reader);
    uint32_t polled = 0;
    for (int i = 0; i < 10; i++)
        polled += mu_epoch_poll(writer);
    assert_int_equal(polled, 1);
    assert_int_equal(object, 1);
    mu_epoch_unregister(reader);
    mu_epoch_unregister(writer);
    mu_epoch_destroy(epoch);
}

static void test_epoch_barrier__nobody_inside__frees_all(void **state)
{
    (void)state;
    struct mu_epoch *epoch = mu_epoch_create();
    struct mu_epoch_record *writer = mu_epoch_register(epoch);
    static int objects[100];
    for (int i = 0; i < 100; i++)
        assert_int_equal(mu_epoch_retire(writer, &objects[i], count_free), 0);
    mu_epoch_barrier(writer);
    assert_int_equal(freed, 100);
    mu_epoch_barrier(writer);
    assert_int_equal(freed, 100);
    mu_epoch_unregister(writer);
    mu_epoch_destroy(epoch);
}

static void test_epoch_unregister__retired_left__next_owner_or_destroy_frees(void **state)
{
    (void)state;
    struct mu_epoch *epoch = mu_epoch_create();
    struct mu_epoch_record *writer = mu_epoch_register(epoch);
    struct mu_epoch_record *reader = mu_epoch_register(epoch);
    int objects[2] = {0};
    mu_epoch_begin(reader);
    assert_int_equal(mu_epoch_retire(writer, &objects[0], count_free), 0);
    mu_epoch_unregister(writer); /* does not wait for the reader */
    assert_int_equal(freed, 0);
    assert_ptr_equal(mu_epoch_register(epoch), writer); /* taken over, not added */
    mu_epoch_end(reader);
    mu_epoch_barrier(writer);
    assert_int_equal(freed, 1);
    assert_int_equal(mu_epoch_retire(writer, &objects[1], count_free), 0);
    mu_epoch_unregister(writer);
    mu_epoch_unregister(reader);
    mu_epoch_destroy(epoch);
    assert_int_equal(freed, 2);
}

/* Readers follow a shared pointer; the writer replaces the object behind it and retires the old
 * one, whose free spoils it (and, under the sanitizers, makes any later read a report). */
enum { READERS = 2, REPLACEMENTS = 20000, ALIVE = 0x600D };

struct object {
    uint64_t state; /* ALIVE until freed; plain memory */
    uint64_t copy;
};

struct shared {
    struct mu_epoch *epoch;
    _Atomic(struct object *) current; /* writer: test; readers: threads; release, acquire */
    atomic_bool stop;
    atomic_uint wrong;
    atomic_uint reads;
};

static uint32_t objects_freed;

static void free_object(void *p)
{
    struct object *o = p;
    o->state = 0xDEAD;
    o->copy = 0;
    mu_mem_free(o);
    objects_freed++;
}

static struct object *new_object(uint64_t n)
{
    struct object *o = mu_mem_alloc(sizeof *o);
    *o = (struct object){ALIVE + n, ALIVE + n};
    return o;
}

static void *read_objects(void *context)
{
    struct shared *s = context;
    struct mu_epoch_record *record = mu_epoch_register(s->epoch);
    while (!atomic_load(&s->stop)) {
        mu_epoch_begin(record);
        const struct object *o = atomic_load_explicit(&s->current, memory_order_acquire);
        uint64_t state = o->state;
        if (atomic_fetch_add(&s->reads, 1) % 64 == 0)
            (void)sched_yield(); /* let the writer retire it under us */
        if (state < ALIVE || o->copy != state)
            atomic_fetch_add(&s->wrong, 1);
        mu_epoch_end(record);
    }
    mu_epoch_unregister(record);
    return NULL;
}

static void test_epoch__readers_and_writer_threads__no_use_after_free(void **state)
{
    (void)state;
    static struct shared s;
    s.epoch = mu_epoch_create();
    atomic_store(&s.current, new_object(0));
    struct mu_epoch_record *writer = mu_epoch_register(s.epoch);
    pthread_t threads[READERS];
    for (int i = 0; i < READERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, read_objects, &s), 0);
    uint32_t polled = 0;
    for (uint32_t n = 1; n <= REPLACEMENTS || atomic_load(&s.reads) < 1000; n++) {
        struct object *old =
            atomic_exchange_explicit(&s.current, new_object(n), memory_order_acq_rel);
        assert_int_equal(mu_epoch_retire(writer, old, free_object), 0);
        if (n % 16 == 0)
            polled += mu_epoch_poll(writer);
    }
    assert_true(polled == objects_freed);
    mu_epoch_barrier(writer); /* with the readers still at work */
    atomic_store(&s.stop, true);
    for (int i = 0; i < READERS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_int_equal(atomic_load(&s.wrong), 0);
    assert_true(objects_freed >= REPLACEMENTS);
    mu_epoch_unregister(writer);
    mu_epoch_destroy(s.epoch);
    mu_mem_free(atomic_load(&s.current));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_epoch__each_allocation_fails__nothing_changes, reset),
        cmocka_unit_test_setup(test_epoch__misuse__asserts, reset),
        cmocka_unit_test_setup(test_epoch_poll__reader_inside__frees_only_after_it_left, reset),
        cmocka_unit_test_setup(test_epoch_barrier__nobody_inside__frees_all, reset),
        cmocka_unit_test_setup(test_epoch_unregister__retired_left__next_owner_or_destroy_frees,
                               reset),
        cmocka_unit_test(test_epoch__readers_and_writer_threads__no_use_after_free),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
