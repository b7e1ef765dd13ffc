/* The audit of the books between changes: what it counts in slices while the cluster grows, what it
 * cannot judge, and what nobody else would look at. */
#include "tests/db_fixture.h"

#include "engine/db_census.h"

enum { HOSTS = 60, GROWN = 80 /* beyond the 64 domains that counts are made for at first */ };

static void put_host(struct mu_db *db, uint32_t number)
{
    struct fixture_node n;
    char name[16];
    (void)snprintf(name, sizeof name, "n%u", number);
    const struct mu_label host = {MU_STR("kubernetes.io/hostname"), mu_str_of(name)};
    fixture_node(&n, name, 1, 64, 0);
    n.object.labels = &host;
    n.object.label_count = 1;
    assert_int_equal(mu_db_node_upsert(db, &n.object, 0, NULL), 0);
}

/* A pod of app=web, bound to the host of its number, that is spread over hosts. */
static void put_spread(struct mu_db *db, uint32_t number)
{
    static const struct mu_str web = {"web", 3};
    static const struct mu_requirement app_web = {{"app", 3}, MU_OP_IN, &web, 1};
    static const struct mu_label label = {{"app", 3}, {"web", 3}};
    const struct mu_spread spread = {.topology_key = MU_STR("kubernetes.io/hostname"),
                                     .selector = {.requirements = &app_web, .requirement_count = 1},
                                     .max_skew = 1,
                                     .min_domains = 1,
                                     .hard = true};
    struct fixture_pod p;
    char name[16];
    (void)snprintf(name, sizeof name, "n%u", number);
    fixture_pod(&p, number, 1);
    p.object.labels = &label;
    p.object.label_count = 1;
    p.object.spreads = &spread;
    p.object.spread_count = 1;
    p.object.node_name = mu_str_of(name);
    fixture_put(db, &p, 0);
}

static struct mu_db *db_with_spread(struct mu_snapshot **s)
{
    struct mu_db *db = fixture_create(0);
    *s = mu_db_replica_create(db);
    for (uint32_t i = 0; i < HOSTS; i++) {
        put_host(db, i);
        put_spread(db, i);
    }
    fixture_sync(db, *s);
    assert_non_null(db->books);
    return db;
}

/* To the end of the round. Returns the drift found. */
static uint32_t audit_round(struct mu_db *db)
{
    uint32_t drift = 0;
    struct mu_db_counts before, counts;
    mu_db_counts(db, &before);
    counts = before;
    for (int i = 0; counts.audit_rounds == before.audit_rounds; i++) {
        assert_true(i < 3000);
        drift += mu_db_audit_step(db, 64);
        mu_db_counts(db, &counts);
    }
    return drift;
}

/* Audit in the smallest slices until one is in the midst of counting a census, or a field. */
static void audit_into(struct mu_db *db, bool field)
{
    const struct mu_shadow *shadow = &db->books->shadow;
    for (int i = 0; i < 100000; i++) {
        if (shadow->id != 0 && shadow->field == field && !shadow->comparing && shadow->cursor > 0)
            return;
        assert_int_equal(mu_db_audit_step(db, 1), 0);
    }
    fail_msg("expected an audit under way");
}

/* Hosts that come while their domains are counted are more than the count has room for. */
static void test_db_audit__cluster_grows_meanwhile__no_drift(void **state)
{
    (void)state;
    for (int field = 0; field < 2; field++) {
        struct mu_snapshot *s;
        struct mu_db *db = db_with_spread(&s);
        audit_into(db, field != 0);
        assert_true(db->books->shadow.cap < GROWN && db->books->shadow.cursor < HOSTS);
        for (uint32_t i = HOSTS; i < GROWN; i++) {
            put_host(db, i);
            put_spread(db, i);
        }
        fixture_sync(db, s);
        for (int round = 0; round < 3; round++)
            assert_int_equal(audit_round(db), 0);
        mu_db_destroy(db);
    }
}

/* With the table of matches full, counts lack somebody: that is told, and is not drift. */
static void test_db_audit__table_of_matches_full__no_drift(void **state)
{
    (void)state;
    struct mu_snapshot *s;
    struct mu_db *db = db_with_spread(&s);
    db->books->edges.max = db->books->edges.used + 2;
    static const struct mu_requirement own = {{"own", 3}, MU_OP_EXISTS, NULL, 0};
    static const struct mu_str space = {"default", 7};
    const struct mu_pod_term term = {.kind = MU_TERM_PREFERRED_ANTI,
                                     .weight = 1,
                                     .topology_key = MU_STR("kubernetes.io/hostname"),
                                     .selector = {.requirements = &own, .requirement_count = 1},
                                     .namespaces = &space,
                                     .namespace_count = 1};
    for (uint32_t i = 0; i < 10; i++) {
        struct fixture_pod p;
        char text[8];
        (void)snprintf(text, sizeof text, "%u", i);
        const struct mu_label label = {MU_STR("own"), mu_str_of(text)};
        fixture_pod(&p, HOSTS + i, 1);
        p.object.labels = &label;
        p.object.label_count = 1;
        p.object.terms = &term;
        p.object.term_count = i == 0;
        p.object.node_name = MU_STR("n0");
        fixture_put(db, &p, 0);
    }
    fixture_sync(db, s);
    struct mu_db_counts counts;
    mu_db_counts(db, &counts);
    assert_true(counts.limit_reduced > 0);
    assert_int_equal(audit_round(db), 0);
    mu_db_destroy(db);
}

/* No pod waits, so that no sync brings the books up to date: the audit of rows is not to pass over
 * what it finds behind. */
static void test_db_audit__books_behind__rows_are_judged_all_the_same(void **state)
{
    (void)state;
    struct mu_snapshot *s;
    struct mu_db *db = db_with_spread(&s);
    uint32_t row = fixture_row(db, s, "n7");
    assert_int_equal(audit_round(db), 0);
    struct mu_field *f = mu_field_at(db->books, 0);
    assert_true(f->refs != 0 && mu_rowset_drop(&f->eligible, row));
    put_host(db, HOSTS);
    put_spread(db, HOSTS);
    assert_true(mu_census_backlog(db) != 0);
    assert_true(audit_round(db) > 0);
    assert_true(mu_rowset_has(&f->eligible, row));
    assert_int_equal(f->domains[mu_topology_domain(&db->books->topologies[f->topology], row)], 1);
    assert_int_equal(audit_round(db), 0);
    mu_db_destroy(db);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_db_audit__cluster_grows_meanwhile__no_drift),
        cmocka_unit_test(test_db_audit__table_of_matches_full__no_drift),
        cmocka_unit_test(test_db_audit__books_behind__rows_are_judged_all_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
