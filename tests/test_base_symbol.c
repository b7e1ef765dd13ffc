#include "engine/base/symbol.h"

#include <pthread.h>
#include <stdatomic.h>

#include "engine/base/error.h"
#include "tests/mu_test.h"

static struct mu_symbol intern(struct mu_symtab *table, const char *text)
{
    struct mu_symbol s = {UINT32_MAX};
    assert_int_equal(mu_symbol_intern(table, mu_str_of(text), &s), 0);
    return s;
}

static bool build(void *context)
{
    (void)context;
    struct mu_symtab *table = mu_symtab_create(10000);
    if (table == NULL)
        return false;
    bool passed = true;
    for (uint32_t i = 0; i < 400 && passed; i++) {
        char text[16];
        (void)snprintf(text, sizeof text, "label-%u", i);
        uint32_t count = mu_symtab_count(table);
        struct mu_symbol s = {12345};
        int error = mu_symbol_intern(table, mu_str_of(text), &s);
        if (error != 0) {
            passed = false;
            assert_int_equal(error, MU_ENOMEM);
            assert_int_equal(s.v, 12345);
            assert_int_equal(mu_symtab_count(table), count);
            assert_false(mu_symbol_find(table, mu_str_of(text), &s));
            s = intern(table, text);
        }
        assert_int_equal(s.v, i + 1); /* a failed attempt used no id up */
    }
    mu_symtab_destroy(table);
    return passed;
}

static void test_symbol_intern__each_allocation_fails__nothing_changes(void **state)
{
    (void)state;
    assert_true(mu_test_fail_each(build, NULL) > 400);
}

static void test_symbol_intern__no_memory_for_next_block__nothing_changes(void **state)
{
    (void)state;
    struct mu_symtab *table = mu_symtab_create(10000);
    char text[16];
    for (uint32_t i = 1; i < 4096; i++) {
        (void)snprintf(text, sizeof text, "%u", i);
        assert_int_equal(intern(table, text).v, i);
    }
    size_t bytes = mu_symtab_bytes(table);
    mu_mem_debug_set((struct mu_mem_debug){.fail_nth = 1});
    struct mu_symbol s;
    assert_int_equal(mu_symbol_intern(table, MU_STR("4096"), &s), MU_ENOMEM);
    assert_int_equal(mu_symtab_bytes(table), bytes);
    assert_int_equal(intern(table, "4096").v, 4096);
    assert_true(mu_symtab_bytes(table) > bytes);
    mu_symtab_destroy(table);
}

static void test_symbol_intern__table_full__limit(void **state)
{
    (void)state;
    struct mu_symtab *table = mu_symtab_create(3); /* the empty string is one of them */
    struct mu_symbol a = intern(table, "a");
    intern(table, "b");
    struct mu_symbol c = {77};
    assert_int_equal(mu_symbol_intern(table, MU_STR("c"), &c), MU_ELIMIT);
    assert_int_equal(c.v, 77);
    assert_int_equal(intern(table, "a").v, a.v); /* known texts still intern */
    mu_symbol_unref(table, a, 1);
    mu_symbol_unref(table, a, 1);
    assert_int_equal(mu_symbol_intern(table, MU_STR("c"), &c), MU_ELIMIT);
    assert_int_equal(mu_symtab_reclaim(table, 1, 10), 1);
    assert_int_equal(mu_symbol_intern(table, MU_STR("c"), &c), 0);
    assert_int_equal(c.v, a.v); /* the id is used again */
    mu_symtab_destroy(table);
}

static void test_symbol_intern__odd_texts__kept_exactly(void **state)
{
    (void)state;
    struct mu_symtab *table = mu_symtab_create(100);
    struct mu_symbol empty = intern(table, "");
    assert_int_equal(empty.v, 0);
    assert_int_equal(mu_symbol_str(table, empty).len, 0);
    assert_string_equal(mu_symbol_str(table, empty).data, "");
    struct mu_symbol with_nul;
    struct mu_str text = {"a\0b", 3};
    assert_int_equal(mu_symbol_intern(table, text, &with_nul), 0);
    assert_true(mu_str_equal(mu_symbol_str(table, with_nul), text));
    assert_int_not_equal(intern(table, "a").v, with_nul.v);
    mu_symbol_unref(table, empty, 1); /* not counted */
    mu_symbol_ref(table, empty);
    assert_int_equal(mu_symtab_reclaim(table, UINT64_MAX, 100), 0);
    assert_int_equal(mu_symtab_count(table), 3);
    mu_symtab_destroy(table);
    mu_symtab_destroy(NULL);
}

static void test_symtab_reclaim__generation_not_safe__keeps_text(void **state)
{
    (void)state;
    struct mu_symtab *table = mu_symtab_create(100);
    size_t bytes = mu_symtab_bytes(table);
    struct mu_symbol a = intern(table, "a");
    struct mu_symbol b = intern(table, "b");
    struct mu_symbol c = intern(table, "c");
    mu_symbol_unref(table, b, 7);
    mu_symbol_unref(table, a, 9);
    mu_symbol_unref(table, c, 8); /* below its elder: counts as 9 */
    assert_int_equal(mu_symtab_reclaim(table, 6, 10), 0);
    assert_string_equal(mu_symbol_str(table, b).data, "b");
    struct mu_symbol found;
    assert_true(mu_symbol_find(table, MU_STR("b"), &found));
    assert_int_equal(found.v, b.v);
    assert_int_equal(mu_symtab_reclaim(table, 8, 10), 1);
    assert_false(mu_symbol_find(table, MU_STR("b"), &found));
    assert_int_equal(intern(table, "a").v, a.v); /* revived */
    assert_int_equal(mu_symtab_reclaim(table, 9, 0), 0);
    assert_int_equal(mu_symtab_reclaim(table, 9, 10), 1);
    assert_string_equal(mu_symbol_str(table, a).data, "a");
    mu_symbol_unref(table, a, 10);
    assert_int_equal(mu_symtab_reclaim(table, 10, 10), 1);
    assert_int_equal(mu_symtab_bytes(table), bytes);
    mu_symtab_destroy(table);
}

static void unref_twice(void *context)
{
    struct mu_symtab *table = context;
    struct mu_symbol a = intern(table, "a");
    mu_symbol_unref(table, a, 1);
    mu_symbol_unref(table, a, 1);
}

static void test_symbol_unref__without_reference__asserts(void **state)
{
    (void)state;
    struct mu_symtab *table = mu_symtab_create(10);
    assert_true(mu_test_aborts(unref_twice, table));
    mu_symtab_destroy(table);
}

/* The twin: per text its references, the effective generation of its last unref and its id. */
struct twin {
    uint32_t refs;
    bool present;
    uint64_t generation;
    struct mu_symbol id;
};

enum { TEXTS = 3000 };

static void text_of(uint32_t i, char text[32])
{
    (void)snprintf(text, 32, "text/%u-%.*s", i, (int)(i % 13), "abcdefghijklm");
}

static uint32_t twin_reclaim(struct twin *twin, uint64_t safe)
{
    uint32_t freed = 0;
    for (uint32_t i = 0; i < TEXTS; i++) {
        if (twin[i].present && twin[i].refs == 0 && twin[i].generation <= safe) {
            twin[i].present = false;
            freed++;
        }
    }
    return freed;
}

static void check_all(struct mu_test_run *run, const struct mu_symtab *table,
                      const struct twin *twin)
{
    uint32_t count = 1;
    for (uint32_t i = 0; i < TEXTS; i++) {
        char text[32];
        text_of(i, text);
        struct mu_symbol found;
        bool is_found = mu_symbol_find(table, mu_str_of(text), &found);
        MU_TEST_CHECK(run, is_found == twin[i].present);
        count += twin[i].present;
        if (!is_found)
            continue;
        MU_TEST_CHECK(run, found.v == twin[i].id.v);
        MU_TEST_CHECK(run, mu_str_equal(mu_symbol_str(table, found), mu_str_of(text)));
    }
    MU_TEST_CHECK(run, mu_symtab_count(table) == count);
}

static void test_symbol__random_operations__equal_twin(void **state)
{
    (void)state;
    struct mu_test_run run = mu_test_run_begin(31);
    static struct twin twin[TEXTS];
    struct mu_symtab *table = mu_symtab_create(TEXTS + 1);
    uint64_t generation = 1;
    for (; run.step < 200000; run.step++) {
        uint32_t i = (uint32_t)mu_random_below(&run.random, TEXTS);
        struct twin *t = &twin[i];
        char text[32];
        text_of(i, text);
        switch (mu_random_below(&run.random, 4)) {
        case 0: {
            struct mu_symbol id = intern(table, text);
            MU_TEST_CHECK(&run, !t->present || id.v == t->id.v);
            *t = (struct twin){t->present ? t->refs + 1 : 1, true, 0, id};
            break;
        }
        case 1:
            if (t->present) {
                mu_symbol_ref(table, t->id);
                t->refs++;
            }
            break;
        default: /* twice as often, so that many fall to zero */
            if (t->present && t->refs > 0) {
                mu_symbol_unref(table, t->id, generation);
                if (--t->refs == 0)
                    t->generation = generation;
            }
        }
        if (mu_random_chance(&run.random, 20))
            generation++;
        if (mu_random_chance(&run.random, 5)) {
            uint64_t safe = generation - mu_random_below(&run.random, generation);
            uint32_t expected = twin_reclaim(twin, safe);
            uint32_t freed = 0;
            uint32_t part;
            while ((part = mu_symtab_reclaim(table, safe, 7)) > 0)
                freed += part;
            MU_TEST_CHECK(&run, freed == expected);
        }
        if (run.step % 20000 == 0)
            check_all(&run, table, twin);
    }
    check_all(&run, table, twin);
    mu_symtab_destroy(table);
}

/* Readers follow the ids that the writer publishes while it interns on. */
struct shared {
    struct mu_symtab *table;
    atomic_uint published; /* ids [1, published] may be read; writer: test, readers: threads.
                              release by the writer, acquire by the readers */
    atomic_bool wrong;
};

enum { PUBLISHED = 20000 };

static void *read_published(void *context)
{
    struct shared *s = context;
    uint32_t seen = 0;
    while (seen < PUBLISHED) {
        seen = atomic_load_explicit(&s->published, memory_order_acquire);
        for (uint32_t id = seen > 50 ? seen - 50 : 1; id <= seen; id++) {
            char text[16];
            int len = snprintf(text, sizeof text, "t%u", id);
            struct mu_str got = mu_symbol_str(s->table, (struct mu_symbol){id});
            if (got.len != (uint32_t)len || memcmp(got.data, text, (size_t)len) != 0)
                atomic_store(&s->wrong, true);
        }
    }
    return NULL;
}

static void test_symbol_str__other_threads__read_while_writer_interns(void **state)
{
    (void)state;
    struct shared s = {.table = mu_symtab_create(PUBLISHED + 1)};
    pthread_t readers[2];
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&readers[i], NULL, read_published, &s), 0);
    for (uint32_t id = 1; id <= PUBLISHED; id++) {
        char text[16];
        (void)snprintf(text, sizeof text, "t%u", id);
        struct mu_symbol symbol = intern(s.table, text);
        assert_int_equal(symbol.v, id);
        atomic_store_explicit(&s.published, id, memory_order_release);
        mu_symbol_ref(s.table, symbol); /* what readers do not read may change under them */
        mu_symbol_unref(s.table, symbol, 1);
    }
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_join(readers[i], NULL), 0);
    assert_false(atomic_load(&s.wrong));
    mu_symtab_destroy(s.table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_symbol_intern__each_allocation_fails__nothing_changes),
        cmocka_unit_test(test_symbol_intern__no_memory_for_next_block__nothing_changes),
        cmocka_unit_test(test_symbol_intern__table_full__limit),
        cmocka_unit_test(test_symbol_unref__without_reference__asserts),
        cmocka_unit_test(test_symbol_intern__odd_texts__kept_exactly),
        cmocka_unit_test(test_symtab_reclaim__generation_not_safe__keeps_text),
        cmocka_unit_test(test_symbol__random_operations__equal_twin),
        cmocka_unit_test(test_symbol_str__other_threads__read_while_writer_interns),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
