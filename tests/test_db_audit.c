/* The audit of the books between changes: what it counts in slices while the cluster grows, what it
 * cannot judge, and what nobody else would look at. */
#include "tests/db_fixture.h"

#include "engine/db/census_priv.h"

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
    struct fixture_pod p;
    char name[16];
    (void)snprintf(name, sizeof name, "n%u", number);
    fixture_pod(&p, number, 1);
    fixture_web(&p, "kubernetes.io/hostname");
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

/* Censuses that were widened take their part of the bound on cells. */
static void check_cells(const struct mu_books *b)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < b->censuses.high; i++) {
        const struct mu_census_rec *c = mu_census_at(b, i);
        assert_true(c->refs == 0 || c->cells >= c->own.domain_count);
        sum += c->refs == 0 ? 0 : c->cells;
    }
    assert_true(b->cells == sum && sum >= GROWN);
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
            assert_int_equal(fixture_audit(db, 64), 0);
        check_cells(db->books);
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
    assert_int_equal(fixture_audit(db, 64), 0);
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
    assert_int_equal(fixture_audit(db, 64), 0);
    struct mu_field *f = mu_field_at(db->books, 0);
    assert_true(f->refs != 0 && mu_rowset_drop(&f->eligible, row));
    put_host(db, HOSTS);
    put_spread(db, HOSTS);
    assert_true(mu_census_backlog(db) != 0);
    assert_true(fixture_audit(db, 64) > 0);
    assert_true(mu_rowset_has(&f->eligible, row));
    assert_int_equal(f->domains[mu_topology_domain(&db->books->topologies[f->topology], row)], 1);
    assert_int_equal(fixture_audit(db, 64), 0);
    mu_db_destroy(db);
}

/* --- images ---------------------------------------------------------------------------------- */

/* A host that lists two images of five, by its number and version. */
static void put_image_host(struct mu_db *db, uint32_t number, uint64_t version)
{
    struct fixture_node n;
    char name[16], first[16], second[16];
    (void)snprintf(name, sizeof name, "n%u", number);
    (void)snprintf(first, sizeof first, "image:%u", (number + (uint32_t)version) % 5);
    (void)snprintf(second, sizeof second, "image:%u", (number + (uint32_t)version + 1) % 5);
    const struct mu_image images[] = {{mu_str_of(first), 1}, {mu_str_of(second), 2}};
    fixture_node(&n, name, version, 64, 0);
    n.object.images = images;
    n.object.image_count = 2;
    assert_int_equal(mu_db_node_upsert(db, &n.object, 0, NULL), 0);
}

static uint32_t *nodes_with(struct mu_db *db, const char *image)
{
    struct mu_symbol name;
    assert_true(mu_symbol_find(db->symbols, mu_str_of(image), &name));
    return &db->image_pages[name.v / MU_IMAGE_PAGE]->nodes[name.v % MU_IMAGE_PAGE];
}

static void test_db_audit__image_counted_wrong__repaired_and_shown(void **state)
{
    (void)state;
    struct mu_db *db = fixture_create(0);
    struct mu_snapshot *s = mu_db_replica_create(db);
    for (uint32_t i = 0; i < HOSTS; i++)
        put_image_host(db, i, 1);
    fixture_sync(db, s);
    assert_int_equal(fixture_audit(db, 64), 0);
    uint32_t right = *nodes_with(db, "image:3");
    *nodes_with(db, "image:3") += 1;
    *nodes_with(db, "image:4") -= 2;
    assert_int_equal(fixture_audit(db, 64), 2);
    assert_int_equal(*nodes_with(db, "image:3"), right);
    fixture_sync(db, s);
    struct mu_symbol name;
    assert_true(mu_symbol_find(db->symbols, MU_STR("image:4"), &name));
    assert_int_equal(mu_snapshot_image_nodes(s, name), 2 * HOSTS / 5);
    assert_int_equal(fixture_audit(db, 64), 0);
    mu_db_destroy(db);
}

/* Nodes come, change and go between the smallest of slices, before and behind the audit. */
static void test_db_audit__images_change_meanwhile__no_drift(void **state)
{
    (void)state;
    struct mu_db *db = fixture_create(0);
    for (uint32_t i = 0; i < HOSTS; i++)
        put_image_host(db, i, 1);
    for (uint32_t step = 0; step < 2000; step++) {
        char name[16];
        (void)snprintf(name, sizeof name, "n%u", step * 7 % HOSTS);
        if (step % 3 == 0)
            put_image_host(db, step * 11 % HOSTS, 2 + step);
        else if (step % 3 == 1)
            (void)mu_db_node_remove(db, mu_str_of(name), MU_STR(""));
        else
            fixture_put_node(db, name, 2 + step, 32); /* another capacity: another row */
        assert_int_equal(mu_db_audit_step(db, 1), 0);
    }
    struct mu_db_counts counts;
    mu_db_counts(db, &counts);
    assert_true(counts.audit_rounds > 5);
    mu_db_destroy(db);
}

static void test_db_audit__no_memory_for_images__left_out(void **state)
{
    (void)state;
    struct mu_db *db = fixture_create(0);
    for (uint32_t i = 0; i < HOSTS; i++)
        put_image_host(db, i, 1);
    assert_int_equal(fixture_audit(db, 64), 0);
    size_t live = mu_mem_live_bytes();
    for (uint64_t nth = 1; nth <= 3; nth++) {
        bool whole = false;
        mu_mem_debug_set((struct mu_mem_debug){.fail_nth = nth});
        while (!whole)
            assert_int_equal(mu_images_audit(db, 8, &whole), 0);
        mu_mem_debug_set((struct mu_mem_debug){0});
        assert_int_equal(mu_mem_live_bytes(), live);
    }
    *nodes_with(db, "image:0") += 1;
    assert_int_equal(fixture_audit(db, 64), 1);
    mu_db_destroy(db);
}

/* --- nominations ----------------------------------------------------------------------------- */

static void test_db_audit__nominations_wrong__dropped(void **state)
{
    (void)state;
    struct mu_db *db = fixture_create(0);
    struct mu_snapshot *s = mu_db_replica_create(db);
    fixture_put_node(db, "n0", 1, 64);
    for (uint32_t i = 0; i < 6; i++) {
        struct fixture_pod p;
        fixture_pod(&p, i, 1);
        p.object.nominated_node = i < 4 ? MU_STR("n0") : MU_STR("");
        fixture_put(db, &p, 0);
    }
    fixture_sync(db, s);
    assert_int_equal(s->nominated_count, 4);
    assert_int_equal(fixture_audit(db, 64), 0);
    /* One that its pod does not know of, one of no pod, one twice; and a pod without its own. */
    const uint32_t first = fixture_find(db, 0).ix.v;
    const uint32_t planted[] = {fixture_find(db, 5).ix.v, 1u << 30, first};
    for (uint32_t i = 0; i < 3; i++) {
        struct mu_symbol node;
        assert_int_equal(mu_nominated_obtain(db, MU_STR("n0"), true, &node), 0);
        db->nominations[db->nomination_count++] = (struct mu_nomination){planted[i], node};
    }
    mu_pod_at(db, fixture_find(db, 4).ix.v)->flags |= MU_POD_NOMINATED;
    assert_int_equal(fixture_audit(db, 1), 4);
    assert_int_equal(db->nomination_count, 4);
    assert_int_equal(fixture_audit(db, 1), 0);
    fixture_sync(db, s);
    assert_int_equal(s->nominated_count, 4);
    mu_db_pod_remove(db, MU_STR("default"), MU_STR("pod-0"), MU_STR(""), 0);
    assert_int_equal(db->nomination_count, 3);
    mu_db_destroy(db);
}

/* Nodes with hundreds of pods each: a slice looks at fewer of them. */
static void test_db_audit__many_pods_a_node__slices_of_fewer_nodes(void **state)
{
    (void)state;
    enum { NODES = 40, PODS_EACH = 320, SLICE = 64 };
    struct mu_db *db = fixture_create(0);
    struct mu_db_counts before, after;
    for (uint32_t n = 0; n < NODES; n++)
        put_host(db, n);
    mu_db_counts(db, &before);
    assert_int_equal(mu_db_audit_step(db, SLICE), 0);
    mu_db_counts(db, &after);
    assert_true(after.audit_rows - before.audit_rows >= NODES); /* empty ones: all at once */
    for (uint32_t p = 0; p < NODES * PODS_EACH; p++) {
        struct fixture_pod pod;
        char name[16];
        (void)snprintf(name, sizeof name, "n%u", p % NODES);
        fixture_pod(&pod, p, 1);
        pod.object.node_name = mu_str_of(name);
        fixture_put(db, &pod, 0);
    }
    /* The round in hand may have begun without them. */
    const uint64_t rounds = after.audit_rounds + 1;
    for (; after.audit_rounds < rounds; mu_db_counts(db, &after))
        assert_int_equal(mu_db_audit_step(db, SLICE), 0);
    for (uint32_t step = 0; step < NODES / 8; step++) {
        before = after;
        assert_int_equal(mu_db_audit_step(db, SLICE), 0);
        mu_db_counts(db, &after);
        assert_true(after.audit_rows > before.audit_rows); /* and it goes on */
        assert_true(after.audit_rows - before.audit_rows <= SLICE / (PODS_EACH / 16) + 1);
    }
    mu_db_destroy(db);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_db_audit__cluster_grows_meanwhile__no_drift),
        cmocka_unit_test(test_db_audit__table_of_matches_full__no_drift),
        cmocka_unit_test(test_db_audit__books_behind__rows_are_judged_all_the_same),
        cmocka_unit_test(test_db_audit__image_counted_wrong__repaired_and_shown),
        cmocka_unit_test(test_db_audit__images_change_meanwhile__no_drift),
        cmocka_unit_test(test_db_audit__no_memory_for_images__left_out),
        cmocka_unit_test(test_db_audit__nominations_wrong__dropped),
        cmocka_unit_test(test_db_audit__many_pods_a_node__slices_of_fewer_nodes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
