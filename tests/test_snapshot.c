/* Replicas: what they show, syncs in slices, growth, and how long things stay readable. */
#include "tests/db_fixture.h"

#include "engine/base/random.h"
#include "engine/db/db_priv.h"

static void put_nodes(struct mu_db *db, uint32_t from, uint32_t to, uint64_t version)
{
    char name[16];
    for (uint32_t i = from; i < to; i++) {
        (void)snprintf(name, sizeof name, "n%u", i);
        fixture_put_node(db, name, version, 4 + i % 3);
    }
}

static void put_bound(struct mu_db *db, uint32_t number, uint64_t version, uint32_t node)
{
    struct fixture_pod p;
    char name[16];
    fixture_pod(&p, number, version);
    (void)snprintf(name, sizeof name, "n%u", node);
    p.object.node_name = mu_str_of(name);
    fixture_put(db, &p, 0);
}

/* Compare with a replica made and synced just now. */
static void expect_fresh(struct mu_db *db, const struct mu_snapshot *s)
{
    struct mu_snapshot *fresh = mu_db_replica_create(db);
    assert_non_null(fresh);
    fixture_sync(db, fresh);
    fixture_same(s, fresh);
    mu_db_replica_destroy(db, fresh);
}

static void test_snapshot_sync__first__shows_all(void **state)
{
    (void)state;
    struct mu_db *db = fixture_create(0);
    put_nodes(db, 0, 100, 1);
    put_bound(db, 1, 1, 7);
    struct mu_snapshot *s = mu_db_replica_create(db);
    fixture_sync(db, s);
    assert_int_equal(s->node_count, 100);
    assert_int_equal(s->node_cap % MU_NODE_CHUNK, 0);
    assert_true(s->node_rows <= s->node_cap);
    assert_int_equal(s->resource_count, 4);
    uint32_t row = fixture_row(db, s, "n7");
    assert_int_equal(s->free[MU_RES_CPU][row], 4000);
    assert_int_equal(mu_snapshot_alloc(s, MU_RES_CPU, row), 5000);
    assert_int_equal(mu_snapshot_alloc(s, MU_RES_PODS, row), 110);
    for (uint32_t r = 0; r < s->resource_count; r++) {
        assert_int_equal((uintptr_t)s->free[r] % 64, 0);
        for (uint32_t i = s->node_rows; i < s->node_cap; i++)
            assert_true(s->free[r][i] == 0 && mu_snapshot_alloc(s, r, i) == 0);
    }
    expect_fresh(db, s);
    mu_db_destroy(db);
}

static void test_snapshot_sync__empty_db__has_columns(void **state)
{
    (void)state;
    struct mu_db *db = fixture_create(0);
    struct mu_snapshot *s = mu_db_replica_create(db);
    assert_int_equal(mu_db_replica_sync(db, s, 0), 0);
    assert_int_equal(s->node_rows, 0);
    assert_int_equal(s->generation, 0);
    assert_true(s->node_cap >= MU_NODE_CHUNK);
    assert_non_null(s->free[MU_RES_PODS]);
    mu_db_destroy(db);
}

/* Changes applied but not ended as a batch become one when a replica asks. */
static void test_snapshot_generation__nothing_changed__stays(void **state)
{
    (void)state;
    struct mu_db *db = fixture_create(0);
    struct mu_snapshot *s = mu_db_replica_create(db);
    put_nodes(db, 0, 3, 1);
    fixture_sync(db, s);
    assert_int_equal(s->generation, 1);
    mu_db_batch_end(db);
    fixture_sync(db, s);
    assert_int_equal(s->generation, 1);
    put_bound(db, 1, 1, 0);
    mu_db_batch_end(db);
    put_bound(db, 2, 1, 0);
    fixture_sync(db, s);
    assert_int_equal(s->generation, 3);
    mu_db_destroy(db);
}

/* Rows change behind and ahead of the slices; whatever the slice size, the end is one moment. */
static void test_snapshot_sync__changes_between_slices__never_torn(void **state)
{
    (void)state;
    for (uint32_t budget = 1; budget < 40; budget += 3) {
        struct mu_db *db = fixture_create(0);
        struct mu_snapshot *s = mu_db_replica_create(db);
        struct mu_random random;
        mu_random_init_seed(&random, budget);
        put_nodes(db, 0, 200, 1);
        uint32_t number = 0;
        for (int round = 0; round < 3; round++) {
            int rc = 1;
            int steps = 0;
            for (; rc == 1; steps++) {
                rc = mu_db_replica_sync(db, s, budget);
                if (rc != 1)
                    break;
                put_bound(db, number++, 1, (uint32_t)mu_random_below(&random, 200));
                if (steps % 5 == 0) {
                    struct fixture_pod p;
                    fixture_pod(&p, number++, 1);
                    fixture_gang(&p, "g", 3);
                    fixture_put(db, &p, 0);
                }
                if (steps % 7 == 0)
                    put_nodes(db, 3, 5, 2 + (uint64_t)steps + 1000 * (uint64_t)round);
            }
            assert_int_equal(rc, 0);
            expect_fresh(db, s);
            for (uint32_t i = 0; i < 100; i++)
                put_bound(db, number++, 1, (uint32_t)mu_random_below(&random, 200));
        }
        mu_db_destroy(db);
    }
}

/* The writer dirties ten times what a slice copies: the sync ends all the same. */
static void test_snapshot_sync__writer_outruns_slices__converges(void **state)
{
    (void)state;
    struct mu_db *db = fixture_create(0);
    struct mu_snapshot *s = mu_db_replica_create(db);
    put_nodes(db, 0, 500, 1);
    uint32_t steps = 1;
    while (mu_db_replica_sync(db, s, 4) == 1) {
        for (uint32_t i = 0; i < 40; i++)
            put_bound(db, steps * 40 + i, 1, (steps * 40 + i) * 7 % 500);
        assert_true(++steps < 200);
    }
    expect_fresh(db, s);
    /* The next sync is back at the small budget. */
    put_nodes(db, 0, 50, 2);
    for (uint32_t i = 0; i < 50; i++)
        put_bound(db, i + 40, 2, 499 - i);
    assert_int_equal(mu_db_replica_sync(db, s, 4), 1);
    mu_db_destroy(db);
}

static void test_snapshot_resources__new_one__column_of_zeros(void **state)
{
    (void)state;
    struct mu_db *db = fixture_create(0);
    struct mu_snapshot *s = mu_db_replica_create(db);
    struct fixture_node n;
    put_nodes(db, 0, 10, 1);
    fixture_sync(db, s);
    assert_int_equal(s->resource_count, 4);
    fixture_node(&n, "gpu", 1, 4, 8);
    assert_int_equal(mu_db_node_upsert(db, &n.object, 0, NULL), 0);
    fixture_sync(db, s);
    assert_int_equal(s->resource_count, 5);
    for (uint32_t row = 0; row < s->node_rows; row++) {
        int64_t gpus = row == fixture_row(db, s, "gpu") ? 8 : 0;
        assert_int_equal(mu_snapshot_alloc(s, 4, row), gpus);
        assert_int_equal(s->free[4][row], gpus);
    }
    mu_db_node_remove(db, MU_STR("gpu"), MU_STR(""));
    fixture_sync(db, s);
    for (uint32_t row = 0; row < s->node_rows; row++)
        assert_true(mu_snapshot_alloc(s, 4, row) == 0 && s->free[4][row] == 0);
    mu_db_destroy(db);
}

static void test_snapshot_resources__more_than_the_bound__rest_not_offered(void **state)
{
    (void)state;
    struct mu_db *db = fixture_create(0);
    struct mu_snapshot *s = mu_db_replica_create(db);
    struct mu_db_counts counts;
    char name[32];
    for (uint32_t i = 0; i <= MU_RESOURCES_MAX - MU_RES_EXTENDED; i++) {
        struct fixture_node n;
        mu_db_counts(db, &counts);
        assert_int_equal(counts.limit_reduced, 0);
        fixture_node(&n, "n", 1 + i, 4 + i, 1);
        (void)snprintf(name, sizeof name, "example.com/r%u", i);
        n.amounts[3].resource = mu_str_of(name);
        assert_int_equal(mu_db_node_upsert(db, &n.object, 0, NULL), 0);
    }
    mu_db_counts(db, &counts);
    assert_int_equal(counts.limit_reduced, 1);
    assert_int_equal(counts.limit_refused, 0);
    fixture_sync(db, s);
    uint32_t row = fixture_row(db, s, "n");
    assert_int_equal(s->resource_count, MU_RESOURCES_MAX);
    assert_int_equal(mu_snapshot_alloc(s, MU_RESOURCES_MAX - 1, row), 0);
    /* The newest object all the same: only what has no number is missing. */
    assert_int_equal(mu_snapshot_alloc(s, 0, row), (4 + MU_RESOURCES_MAX - MU_RES_EXTENDED) * 1000);
    mu_db_destroy(db);
}

static void test_snapshot_growth__beyond_the_hint__all_shown(void **state)
{
    (void)state;
    struct mu_db *db = fixture_create(100);
    struct mu_snapshot *s = mu_db_replica_create(db);
    uint32_t done = 0;
    for (uint32_t next = 50; next < 1000; done = next, next += next / 3) {
        put_nodes(db, done, next, 1);
        for (uint32_t i = done; i < next; i++) {
            struct fixture_pod p;
            fixture_pod(&p, i, 1);
            fixture_put(db, &p, 0);
        }
        fixture_sync(db, s);
        assert_int_equal(s->node_count, next);
        assert_int_equal(s->pending_gangs, next);
        expect_fresh(db, s);
    }
    /* After the burst the gang table is short again. */
    for (uint32_t i = 0; i < done; i++)
        put_bound(db, i, 2, i);
    fixture_sync(db, s);
    assert_int_equal(s->gang_rows, 0);
    mu_db_destroy(db);
}

/* What a replica shows stays readable and unchanged while others move on. */
static void test_snapshot_reach__held_replica__keeps_its_blocks(void **state)
{
    (void)state;
    struct mu_db *db = fixture_create(0);
    struct mu_snapshot *held = mu_db_replica_create(db);
    struct mu_snapshot *moving = mu_db_replica_create(db);
    struct fixture_pod p;
    fixture_pod(&p, 1, 1);
    fixture_gang(&p, "g", 2);
    fixture_put(db, &p, 0);
    fixture_sync(db, held);
    fixture_sync(db, moving);
    const struct mu_gang_block *block = held->gangs[0].block;
    assert_true(block == moving->gangs[0].block);
    for (uint64_t version = 2; version < 50; version++) {
        p.object.version = version;
        p.amounts[0].value = (int64_t)version; /* another class each time */
        fixture_put(db, &p, 0);
        fixture_sync(db, moving);
        assert_true(moving->gangs[0].block->members[0].version == version);
    }
    mu_db_pod_remove(db, p.object.ns, p.object.name, MU_STR(""), 0);
    fixture_sync(db, moving);
    assert_int_equal(block->member_count, 1);
    assert_int_equal(block->members[0].version, 1);
    const struct mu_class *c = mu_model_get_class(held->model, block->members[0].class_ix);
    assert_int_equal(c->demands[0].amount, 1000);
    assert_non_null(db->released_first);
    fixture_sync(db, held);
    assert_null(db->released_first);
    mu_db_destroy(db);
}

static void test_snapshot_reach__no_replica_or_unsynced__pins_nothing(void **state)
{
    (void)state;
    struct mu_db *db = fixture_create(0);
    struct mu_snapshot *s = mu_db_replica_create(db);
    struct fixture_pod p;
    fixture_pod(&p, 1, 1);
    fixture_put(db, &p, 0);
    fixture_sync(db, s);
    (void)mu_db_replica_create(db); /* never synced */
    for (uint64_t version = 2; version < 10; version++) {
        p.object.version = version;
        fixture_put(db, &p, 0);
        fixture_sync(db, s);
        assert_null(db->released_first);
    }
    mu_db_replica_destroy(db, s);
    mu_db_pod_remove(db, p.object.ns, p.object.name, MU_STR(""), 0);
    mu_db_batch_end(db);
    assert_null(db->released_first);
    mu_db_destroy(db);
}

static void put_cordoned(struct mu_db *db, const char *name, uint64_t version)
{
    struct fixture_node n;
    fixture_node(&n, name, version, 4, 0);
    n.object.unschedulable = true;
    assert_int_equal(mu_db_node_upsert(db, &n.object, 0, NULL), 0);
}

static bool is_listed(const struct mu_snapshot *s, uint32_t row)
{
    for (uint32_t i = 0; i < s->static_changed_count; i++) {
        if (s->static_changed[i] == row)
            return true;
    }
    return false;
}

static void test_snapshot_static_changed__between_two_syncs__those_rows(void **state)
{
    (void)state;
    struct mu_db *db = fixture_create(0);
    put_nodes(db, 0, 100, 1);
    struct mu_snapshot *s = mu_db_replica_create(db);
    struct mu_snapshot *late = mu_db_replica_create(db);
    fixture_sync(db, s);
    assert_true(s->static_changed != NULL && s->static_changed_count >= 100);
    uint64_t first = s->static_generation;
    put_cordoned(db, "n0", 2);
    put_bound(db, 1, 1, 7); /* room is no static column */
    fixture_sync(db, s);
    assert_true(s->static_base == first && s->static_generation > first);
    assert_int_equal(s->static_changed_count, 1);
    assert_true(is_listed(s, fixture_row(db, s, "n0")));
    fixture_sync(db, s);
    assert_int_equal(s->static_changed_count, 0);
    assert_true(s->static_base == s->static_generation);
    /* In slices: what changes in between is listed too. */
    put_cordoned(db, "n3", 2);
    put_nodes(db, 100, 160, 1);
    assert_int_equal(mu_db_replica_sync(db, s, 1), 1);
    put_cordoned(db, "n6", 2);
    fixture_sync(db, s);
    assert_true(is_listed(s, fixture_row(db, s, "n3")));
    assert_true(is_listed(s, fixture_row(db, s, "n6")));
    assert_true(is_listed(s, fixture_row(db, s, "n159")));
    /* One that is synced seldom lists what it has missed. */
    fixture_sync(db, late);
    assert_int_equal(late->static_base, 0);
    assert_true(late->static_changed_count >= 160);
    /* More than a list holds. */
    put_nodes(db, 0, MU_STATIC_CHANGED_MAX + 1, 3);
    fixture_sync(db, s);
    assert_null(s->static_changed);
    put_cordoned(db, "n0", 4);
    fixture_sync(db, s);
    assert_int_equal(s->static_changed_count, 1);
    mu_db_destroy(db);
}

static bool is_freed(const struct mu_snapshot *s, uint32_t row)
{
    for (uint32_t i = 0; i < s->free_changed_count; i++) {
        if (s->free_changed[i] == row)
            return true;
    }
    return false;
}

static void test_snapshot_free_changed__between_two_syncs__those_rows(void **state)
{
    (void)state;
    struct mu_db *db = fixture_create(0);
    put_nodes(db, 0, 100, 1);
    struct mu_snapshot *s = mu_db_replica_create(db);
    fixture_sync(db, s);
    assert_true(s->free_changed != NULL && s->free_changed_count >= 100);
    uint64_t first = s->generation;
    put_bound(db, 1, 1, 7);
    fixture_sync(db, s);
    assert_true(s->free_base == first && s->generation > first);
    assert_int_equal(s->free_changed_count, 1);
    assert_true(is_freed(s, fixture_row(db, s, "n7")));
    first = s->generation;
    fixture_sync(db, s);
    assert_int_equal(s->free_base, first);
    assert_non_null(s->free_changed);
    assert_int_equal(s->free_changed_count, 0);
    /* In slices: what changes in between is listed too, from the state that was shown. */
    put_bound(db, 2, 1, 3);
    put_nodes(db, 100, 160, 1);
    first = s->generation;
    assert_int_equal(mu_db_replica_sync(db, s, 1), 1);
    put_bound(db, 3, 1, 6);
    fixture_sync(db, s);
    assert_int_equal(s->free_base, first);
    assert_true(is_freed(s, fixture_row(db, s, "n3")) && is_freed(s, fixture_row(db, s, "n6")) &&
                is_freed(s, fixture_row(db, s, "n159")));
    /* More than a list holds, and the list is short again after that. */
    put_nodes(db, 0, MU_FREE_CHANGED_MAX + 1, 3);
    fixture_sync(db, s);
    assert_null(s->free_changed);
    put_bound(db, 4, 1, 8);
    fixture_sync(db, s);
    assert_int_equal(s->free_changed_count, 1);
    mu_db_destroy(db);
}

static void test_snapshot_create__more_than_the_bound__null(void **state)
{
    (void)state;
    struct mu_db *db = fixture_create(0);
    struct mu_snapshot *replicas[MU_REPLICAS_MAX];
    for (uint32_t i = 0; i < MU_REPLICAS_MAX; i++) {
        replicas[i] = mu_db_replica_create(db);
        assert_non_null(replicas[i]);
    }
    assert_null(mu_db_replica_create(db));
    mu_db_replica_destroy(db, replicas[5]);
    mu_db_replica_destroy(db, NULL);
    assert_non_null(mu_db_replica_create(db));
    mu_db_destroy(db);
}

/* Fail each allocation of a first sync, and of a sync that has to grow; the next call succeeds and
 * shows all. */
static void test_snapshot_sync__out_of_memory_anywhere__next_call_completes(void **state)
{
    (void)state;
    for (int grow = 0; grow < 2; grow++) {
        int rc = MU_ENOMEM;
        uint64_t nth = 1;
        for (; rc == MU_ENOMEM; nth++) {
            struct mu_db *db = fixture_create(0);
            struct mu_snapshot *s = mu_db_replica_create(db);
            put_nodes(db, 0, 20, 1);
            if (grow == 1)
                fixture_sync(db, s);
            put_nodes(db, 20, 300, 1);
            struct fixture_node n;
            fixture_node(&n, "gpu", 1, 4, 8);
            assert_int_equal(mu_db_node_upsert(db, &n.object, 0, NULL), 0);
            for (uint32_t i = 0; i < 5; i++) {
                struct fixture_pod p;
                fixture_pod(&p, i, 1);
                if (i > 1)
                    fixture_gang(&p, "g", 3);
                fixture_put(db, &p, 0);
            }
            mu_mem_debug_set((struct mu_mem_debug){.fail_nth = nth});
            rc = mu_db_replica_sync(db, s, 0);
            mu_mem_debug_set((struct mu_mem_debug){0});
            assert_true(rc == 0 || rc == MU_ENOMEM);
            fixture_sync(db, s);
            assert_int_equal(s->node_count, 301);
            assert_int_equal(s->pending_gangs, 3);
            expect_fresh(db, s);
            mu_db_destroy(db);
            assert_true(nth < 1000);
        }
        assert_true(nth > 10);
    }
}

static void test_snapshot_create__out_of_memory_anywhere__null(void **state)
{
    (void)state;
    struct mu_db *db = fixture_create(0);
    struct mu_snapshot *s = NULL;
    put_nodes(db, 0, 100, 1);
    put_bound(db, 1, 1, 1);
    struct fixture_pod p;
    fixture_pod(&p, 2, 1);
    fixture_put(db, &p, 0);
    size_t live = mu_mem_live_bytes();
    for (uint64_t nth = 1; s == NULL; nth++) {
        mu_mem_debug_set((struct mu_mem_debug){.fail_nth = nth});
        s = mu_db_replica_create(db);
        mu_mem_debug_set((struct mu_mem_debug){0});
        assert_int_equal(mu_mem_live_bytes() == live, s == NULL);
        assert_true(nth < 100);
    }
    fixture_sync(db, s);
    expect_fresh(db, s);
    mu_db_destroy(db);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_snapshot_sync__first__shows_all),
        cmocka_unit_test(test_snapshot_sync__empty_db__has_columns),
        cmocka_unit_test(test_snapshot_generation__nothing_changed__stays),
        cmocka_unit_test(test_snapshot_sync__changes_between_slices__never_torn),
        cmocka_unit_test(test_snapshot_sync__writer_outruns_slices__converges),
        cmocka_unit_test(test_snapshot_resources__new_one__column_of_zeros),
        cmocka_unit_test(test_snapshot_resources__more_than_the_bound__rest_not_offered),
        cmocka_unit_test(test_snapshot_growth__beyond_the_hint__all_shown),
        cmocka_unit_test(test_snapshot_reach__held_replica__keeps_its_blocks),
        cmocka_unit_test(test_snapshot_reach__no_replica_or_unsynced__pins_nothing),
        cmocka_unit_test(test_snapshot_static_changed__between_two_syncs__those_rows),
        cmocka_unit_test(test_snapshot_free_changed__between_two_syncs__those_rows),
        cmocka_unit_test(test_snapshot_create__more_than_the_bound__null),
        cmocka_unit_test(test_snapshot_sync__out_of_memory_anywhere__next_call_completes),
        cmocka_unit_test(test_snapshot_create__out_of_memory_anywhere__null),
    };
    return cmocka_run_group_tests_name("snapshot", tests, NULL, NULL);
}
