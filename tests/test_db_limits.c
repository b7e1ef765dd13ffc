/* Objects beyond a bound: the DB holds their newest version without what is too much. */
#include "tests/db_fixture.h"

#include "engine/limits.h"

static struct mu_db_counts counts_of(const struct mu_db *db)
{
    struct mu_db_counts counts;
    mu_db_counts(db, &counts);
    return counts;
}

static int64_t free_cpu(struct mu_db *db, struct mu_snapshot *s, const char *node)
{
    fixture_sync(db, s);
    uint32_t row = fixture_row(db, s, node);
    assert_int_not_equal(row, MU_NONE);
    return s->free[MU_RES_CPU][row];
}

static struct mu_toleration tolerations[MU_TOLERATIONS_PER_POD + 1];

static void oversize(struct fixture_pod *p)
{
    p->object.tolerations = tolerations;
    p->object.toleration_count = MU_TOLERATIONS_PER_POD + 1;
}

static void test_db_pod_upsert__update_beyond_a_bound__newest_version_blocked(void **state)
{
    (void)state;
    struct mu_db *db = fixture_create(0);
    struct fixture_pod p;
    fixture_pod(&p, 1, 1);
    fixture_put(db, &p, 0);
    fixture_pod(&p, 1, 2);
    oversize(&p);
    fixture_put(db, &p, 0);
    assert_int_equal(fixture_find(db, 1).version, 2);
    assert_int_equal(fixture_find(db, 1).unbuilt, MU_RULE_OVERSIZED);
    assert_int_equal(counts_of(db).limit_reduced, 1);
    assert_int_equal(counts_of(db).limit_refused, 0);
    fixture_pod(&p, 1, 3); /* within its bounds again: as if nothing had been */
    fixture_put(db, &p, 0);
    assert_int_equal(fixture_find(db, 1).version, 3);
    assert_int_equal(fixture_find(db, 1).unbuilt, 0);
    mu_db_destroy(db);
}

static void test_db_pod_upsert__bound_and_beyond_a_bound__charged(void **state)
{
    (void)state;
    struct mu_db *db = fixture_create(0);
    struct mu_snapshot *s = mu_db_replica_create(db);
    struct fixture_pod p;
    static char huge[MU_STRING_BYTES_MAX + 1];
    struct mu_label selector = {MU_STR("k"), {huge, sizeof huge}};
    fixture_put_node(db, "n", 1, 8);
    fixture_pod(&p, 1, 1); /* never seen before */
    oversize(&p);
    p.object.node_name = MU_STR("n");
    fixture_put(db, &p, 0);
    assert_int_equal(free_cpu(db, s, "n"), 7000);
    fixture_pod(&p, 2, 1); /* one bad request among good ones */
    p.amounts[1].value = -1;
    p.object.node_name = MU_STR("n");
    fixture_put(db, &p, 0);
    assert_int_equal(free_cpu(db, s, "n"), 6000);
    fixture_pod(&p, 3, 1); /* a text that is no symbol */
    p.object.selector = &selector;
    p.object.selector_count = 1;
    p.object.node_name = MU_STR("n");
    fixture_put(db, &p, 0);
    assert_int_equal(free_cpu(db, s, "n"), 5000);
    assert_int_equal(counts_of(db).limit_reduced, 3);
    assert_int_equal(mu_db_audit_step(db, 1000), 0);
    for (uint32_t i = 1; i <= 3; i++) {
        fixture_pod(&p, i, 0);
        assert_int_equal(mu_db_pod_remove(db, p.object.ns, p.object.name, p.object.uid, 0), 0);
    }
    assert_int_equal(free_cpu(db, s, "n"), 8000);
    mu_db_destroy(db);
}

static void test_db_pod_upsert__class_table_full__held_keeps_its_class(void **state)
{
    (void)state;
    struct mu_db *db = fixture_create(0);
    struct mu_snapshot *s = mu_db_replica_create(db);
    struct mu_class_ix ix;
    struct fixture_pod p;
    struct mu_error error;
    fixture_put_node(db, "n", 1, 8);
    fixture_pod(&p, 1, 1);
    fixture_put(db, &p, 0);
    int rc = 0;
    for (int64_t i = 0; rc == 0; i++) {
        struct mu_amount request = {MU_STR("cpu"), 100000 + i};
        struct mu_pod_object other = {.requests = &request, .request_count = 1};
        rc = mu_model_class(mu_db_model(db), &other, &ix);
    }
    assert_int_equal(rc, MU_ELIMIT);
    fixture_pod(&p, 1, 2);
    p.amounts[0].value = 2000;
    p.object.node_name = MU_STR("n");
    fixture_put(db, &p, 0);
    assert_int_equal(fixture_find(db, 1).version, 2);
    assert_int_equal(fixture_find(db, 1).unbuilt, MU_RULE_OVERSIZED);
    assert_int_equal(free_cpu(db, s, "n"), 7000); /* what it had before */
    fixture_pod(&p, 2, 1);
    p.amounts[0].value = 2000;
    assert_int_equal(mu_db_pod_upsert(db, &p.object, 0, &error), MU_ELIMIT);
    assert_non_null(strstr(error.text, "pod default/pod-2: spec"));
    assert_int_equal(counts_of(db).pods, 1);
    assert_int_equal(counts_of(db).limit_reduced, 1);
    fixture_pod(&p, 1, 0);
    assert_int_equal(mu_db_pod_remove(db, p.object.ns, p.object.name, p.object.uid, 0), 0);
    assert_int_equal(free_cpu(db, s, "n"), 8000);
    mu_db_destroy(db);
}

static void test_db_node_upsert__labels_or_taints_beyond_a_bound__offers_nothing(void **state)
{
    (void)state;
    static struct mu_taint taints[MU_TAINTS_PER_NODE + 1];
    static char huge[MU_STRING_BYTES_MAX + 1];
    struct mu_label label = {MU_STR("k"), {huge, sizeof huge}};
    struct mu_db *db = fixture_create(0);
    struct mu_snapshot *s = mu_db_replica_create(db);
    struct fixture_pod p;
    fixture_put_node(db, "n", 1, 8);
    fixture_pod(&p, 1, 1);
    p.object.node_name = MU_STR("n");
    fixture_put(db, &p, 0);
    for (uint32_t i = 0; i < 2; i++) {
        struct fixture_node n;
        fixture_node(&n, "n", 2 + 2 * i, 8, 0);
        n.object.labels = i == 0 ? &label : NULL;
        n.object.label_count = i == 0;
        n.object.taints = i == 0 ? NULL : taints;
        n.object.taint_count = i == 0 ? 0 : MU_TAINTS_PER_NODE + 1;
        assert_int_equal(mu_db_node_upsert(db, &n.object, 0, NULL), 0);
        assert_int_equal(counts_of(db).limit_reduced, 1 + i);
        assert_int_equal(free_cpu(db, s, "n"), -1000);
        assert_int_equal(mu_snapshot_alloc(s, MU_RES_PODS, fixture_row(db, s, "n")), 0);
        fixture_put_node(db, "n", 3 + 2 * i, 8);
        assert_int_equal(free_cpu(db, s, "n"), 7000);
    }
    assert_int_equal(mu_db_audit_step(db, 1000), 0);
    mu_db_destroy(db);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_db_pod_upsert__update_beyond_a_bound__newest_version_blocked),
        cmocka_unit_test(test_db_pod_upsert__bound_and_beyond_a_bound__charged),
        cmocka_unit_test(test_db_pod_upsert__class_table_full__held_keeps_its_class),
        cmocka_unit_test(test_db_node_upsert__labels_or_taints_beyond_a_bound__offers_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
