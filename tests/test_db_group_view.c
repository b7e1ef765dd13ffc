/* What can be told of a group object: counts over its gang, and what its status shows. */
#include "tests/db_fixture.h"

#include "tests/mu_test.h"

static const struct mu_gang_ref native = {.source = MU_GANG_NATIVE, .name = {"g", 1}};

static void put_object(struct mu_db *db, const struct mu_group_object *object)
{
    assert_int_equal(mu_db_group_upsert(db, object, NULL), 0);
}

static struct mu_group_object object_of(uint64_t version, uint32_t min)
{
    return (struct mu_group_object){.ns = MU_STR("default"),
                                    .name = MU_STR("g"),
                                    .source = MU_GANG_NATIVE,
                                    .version = version,
                                    .min = min};
}

static void put_member(struct mu_db *db, uint32_t number, uint64_t version, const char *subgroup,
                       const char *node, bool runs)
{
    struct fixture_pod p;
    fixture_pod(&p, number, version);
    p.object.gang = native;
    p.object.gang.subgroup = mu_str_of(subgroup);
    p.object.node_name = mu_str_of(node);
    p.object.phase = runs ? MU_POD_RUNNING : MU_POD_PENDING;
    fixture_put(db, &p, 0);
}

static struct mu_group_view view_of(struct mu_db *db)
{
    struct mu_group_view view;
    uint32_t group = mu_db_group_find(db, MU_GANG_NATIVE, MU_STR("default"), MU_STR("g"));
    assert_true(mu_db_group_get(db, group, &view));
    return view;
}

static void test_group_view__members__are_counted_by_how_far_they_are(void **state)
{
    (void)state;
    struct mu_db *db = fixture_create(0);
    struct mu_group_object o = object_of(1, 2);
    fixture_put_node(db, "a", 1, 8);
    put_object(db, &o);
    struct mu_group_view view = view_of(db);
    assert_int_equal(view.members, 0);
    assert_false(view.stands);
    put_member(db, 1, 1, "", "", false);
    put_member(db, 2, 1, "", "a", false);
    put_member(db, 3, 1, "", "a", true);
    view = view_of(db); /* no sync in between: the row is stale */
    assert_int_equal(view.source, MU_GANG_NATIVE);
    assert_true(mu_str_equal(view.name, MU_STR("g")));
    assert_int_equal(view.min, 2);
    assert_int_equal(view.members, 3);
    assert_int_equal(view.bound, 2);
    assert_int_equal(view.running, 1);
    assert_true(view.stands);
    assert_int_equal(mu_db_gang_group(db, fixture_find(db, 1).gang),
                     mu_db_group_find(db, MU_GANG_NATIVE, MU_STR("default"), MU_STR("g")));
    mu_db_destroy(db);
}

/* Two of part "a" and none of "b" are not a gang of two that stands. */
static void test_group_view__parts__each_minimum_counts(void **state)
{
    const struct mu_group_subgroup parts[] = {{.name = {"a", 1}, .min = 1},
                                              {.name = {"b", 1}, .min = 1}};
    (void)state;
    struct mu_db *db = fixture_create(0);
    struct mu_group_object o = object_of(1, 2);
    o.subgroups = parts;
    o.subgroup_count = 2;
    fixture_put_node(db, "a", 1, 8);
    put_object(db, &o);
    put_member(db, 1, 1, "a", "a", true);
    put_member(db, 2, 1, "a", "a", true);
    put_member(db, 3, 1, "b", "", false);
    assert_false(view_of(db).stands);
    put_member(db, 3, 2, "b", "a", false);
    assert_true(view_of(db).stands);
    mu_db_destroy(db);
}

static void test_group_view__basic__stands_with_its_first_pod(void **state)
{
    (void)state;
    struct mu_db *db = fixture_create(0);
    struct mu_snapshot *s = mu_db_replica_create(db);
    struct mu_group_object o = object_of(1, 0);
    o.single_policy = true;
    fixture_put_node(db, "a", 1, 8);
    put_object(db, &o);
    put_member(db, 1, 1, "", "", false);
    put_member(db, 2, 1, "", "", false);
    fixture_sync(db, s); /* they are in rows of their own now */
    assert_true(view_of(db).single);
    assert_int_equal(view_of(db).members, 2);
    assert_false(view_of(db).stands);
    put_member(db, 2, 2, "", "a", false);
    assert_true(view_of(db).stands);
    assert_int_equal(view_of(db).bound, 1);
    assert_int_equal(mu_db_gang_group(db, fixture_find(db, 2).gang),
                     mu_db_group_find(db, MU_GANG_NATIVE, MU_STR("default"), MU_STR("g")));
    mu_db_destroy(db);
}

/* What its status shows comes with each version, is said by its writer until the next one comes,
 * and is nothing that anybody has to decide on. Neither is that a pod runs. */
static void test_group_view__status__is_a_quiet_change(void **state)
{
    (void)state;
    struct mu_db *db = fixture_create(0);
    struct mu_db_counts before, after;
    struct mu_group_object o = object_of(1, 2);
    fixture_put_node(db, "a", 1, 8);
    put_object(db, &o);
    put_member(db, 1, 1, "", "", false);
    put_member(db, 2, 1, "", "a", false);
    mu_db_batch_end(db);
    mu_db_counts(db, &before);
    o.version = 2;
    o.report = 77;
    o.shown = MU_GROUP_SHOWS_WAITING;
    put_object(db, &o);
    put_member(db, 2, 2, "", "a", true);
    assert_true(view_of(db).report == 77);
    assert_int_equal(view_of(db).shown, MU_GROUP_SHOWS_WAITING);
    assert_int_equal(view_of(db).running, 1);
    uint32_t group = mu_db_group_find(db, MU_GANG_NATIVE, MU_STR("default"), MU_STR("g"));
    mu_db_group_report(db, group, 78, MU_GROUP_SHOWS_PLACED);
    assert_true(view_of(db).report == 78);
    assert_int_equal(view_of(db).shown, MU_GROUP_SHOWS_PLACED);
    put_object(db, &o); /* the version that is known: what was written is newer */
    assert_true(view_of(db).report == 78);
    mu_db_batch_end(db);
    mu_db_counts(db, &after);
    assert_int_equal(after.generation, before.generation);
    mu_db_destroy(db);
}

static void test_group_view__no_object__no_number(void **state)
{
    (void)state;
    struct mu_db *db = fixture_create(0);
    struct mu_group_object o = object_of(1, 1);
    struct mu_group_view view;
    struct fixture_pod solo;
    put_member(db, 1, 1, "", "", false);
    fixture_pod(&solo, 9, 1);
    fixture_put(db, &solo, 0);
    assert_int_equal(mu_db_gang_group(db, fixture_find(db, 1).gang), MU_NONE);
    assert_int_equal(mu_db_gang_group(db, fixture_find(db, 9).gang), MU_NONE);
    assert_int_equal(mu_db_gang_group(db, (struct mu_gang_ix){12345}), MU_NONE);
    assert_int_equal(mu_db_group_find(db, MU_GANG_NATIVE, MU_STR("default"), MU_STR("g")), MU_NONE);
    assert_false(mu_db_group_get(db, MU_NONE, &view));
    put_object(db, &o);
    uint32_t group = mu_db_gang_group(db, fixture_find(db, 1).gang);
    assert_true(mu_db_group_get(db, group, &view));
    mu_db_group_remove(db, MU_GANG_NATIVE, MU_STR("default"), MU_STR("g"));
    assert_false(mu_db_group_get(db, group, &view));
    mu_db_group_report(db, group, 5, 0); /* too late: nothing happens */
    put_object(db, &o);
    assert_true(view_of(db).report == 0);
    mu_db_destroy(db);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_group_view__members__are_counted_by_how_far_they_are),
        cmocka_unit_test(test_group_view__parts__each_minimum_counts),
        cmocka_unit_test(test_group_view__basic__stands_with_its_first_pod),
        cmocka_unit_test(test_group_view__status__is_a_quiet_change),
        cmocka_unit_test(test_group_view__no_object__no_number),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
