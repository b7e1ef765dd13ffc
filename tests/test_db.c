/* The cluster DB's objects: nodes, pods, versions, relists, audit, digest, lack of memory. */
#include "tests/db_fixture.h"

#include "engine/db/db_priv.h"

static struct mu_db_counts counts_of(const struct mu_db *db)
{
    struct mu_db_counts counts;
    mu_db_counts(db, &counts);
    return counts;
}

static int64_t free_of(struct mu_db *db, struct mu_snapshot *s, const char *node, uint32_t resource)
{
    fixture_sync(db, s);
    uint32_t row = fixture_row(db, s, node);
    assert_int_not_equal(row, MU_NONE);
    return s->free[resource][row];
}

/* --- bad input ----------------------------------------------------------------------------- */

static void test_db_node_upsert__bad_names__names_the_field(void **state)
{
    (void)state;
    struct mu_db *db = fixture_create(0);
    struct fixture_node n;
    struct mu_error error;
    char longest[MU_NAME_BYTES_MAX + 2];
    memset(longest, 'n', sizeof longest);
    longest[sizeof longest - 1] = '\0';
    fixture_node(&n, "", 1, 4, 0);
    assert_int_equal(mu_db_node_upsert(db, &n.object, 0, &error), MU_EINVAL);
    assert_non_null(strstr(error.text, "metadata.name"));
    fixture_node(&n, longest, 1, 4, 0);
    assert_int_equal(mu_db_node_upsert(db, &n.object, 0, &error), MU_EINVAL);
    fixture_node(&n, "a", 1, 4, 0);
    n.object.uid = mu_str_of(longest);
    assert_int_equal(mu_db_node_upsert(db, &n.object, 0, &error), MU_EINVAL);
    assert_non_null(strstr(error.text, "node a: metadata.uid"));
    assert_int_equal(mu_db_node_upsert(db, &n.object, 0, NULL), MU_EINVAL);
    mu_db_batch_end(db);
    assert_int_equal(counts_of(db).nodes, 0);
    assert_int_equal(counts_of(db).generation, 0);
    mu_db_destroy(db);
}

static void test_db_pod_upsert__bad_fields__names_the_field(void **state)
{
    (void)state;
    struct mu_db *db = fixture_create(0);
    struct fixture_pod p;
    struct mu_error error;
    fixture_pod(&p, 1, 1);
    p.object.uid.len = 0;
    assert_int_equal(mu_db_pod_upsert(db, &p.object, 0, &error), MU_EINVAL);
    assert_non_null(strstr(error.text, "pod default/pod-1: metadata.uid"));
    fixture_pod(&p, 1, 1);
    p.object.name.len = 0;
    assert_int_equal(mu_db_pod_upsert(db, &p.object, 0, &error), MU_EINVAL);
    assert_non_null(strstr(error.text, "metadata.name"));
    fixture_pod(&p, 1, 1);
    fixture_put(db, &p, 0);
    p.object.name = MU_STR("another");
    assert_int_equal(mu_db_pod_upsert(db, &p.object, 0, &error), MU_EINVAL);
    assert_non_null(strstr(error.text, "no other pod has"));
    assert_int_equal(counts_of(db).pods, 1);
    mu_db_destroy(db);
}

static void test_db_uid__every_form__round_trips(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "01234567-89ab-cdef-0123-456789abcdef", "01234567-89AB-cdef-0123-456789abcdef",
        "ffffffff-ffff-ffff-0123-456789abcdef", "00000000-0000-0000-0000-000000000000",
        "0123456789abcdef0123456789abcdef0123", "x",
        "01234567-89ab-cdef-0123-456789abcde"};
    struct mu_db *db = fixture_create(0);
    for (uint32_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct fixture_pod p;
        struct mu_uid uid;
        char text[MU_UID_BYTES_MAX + 1];
        fixture_pod(&p, i, 1);
        p.object.uid = mu_str_of(texts[i]);
        fixture_put(db, &p, 0);
        assert_int_equal(mu_db_uid_parse(db, mu_str_of(texts[i]), &uid), 0);
        assert_int_equal(mu_db_uid_text(db, uid, text), strlen(texts[i]));
        assert_string_equal(text, texts[i]);
        struct mu_pod_view view;
        assert_true(mu_db_pod_find(db, uid, &view));
        assert_true(mu_str_equal(view.name, mu_str_of(p.name)));
    }
    struct mu_uid uid;
    assert_int_equal(mu_db_uid_parse(db, MU_STR("nobody has it"), &uid), MU_ENOENT);
    assert_int_equal(mu_db_uid_parse(db, MU_STR(""), &uid), MU_EINVAL);
    mu_db_destroy(db);
}

/* --- versions and identity ----------------------------------------------------------------- */

static void test_db_upsert__older_version__ignored_and_counted(void **state)
{
    (void)state;
    struct mu_db *db = fixture_create(0);
    struct mu_snapshot *s = mu_db_replica_create(db);
    struct fixture_pod p;
    fixture_put_node(db, "a", 5, 8);
    fixture_put_node(db, "a", 4, 16);
    fixture_pod(&p, 1, 9);
    p.object.node_name = MU_STR("a");
    fixture_put(db, &p, 0);
    fixture_pod(&p, 1, 8);
    fixture_put(db, &p, 0);
    assert_int_equal(counts_of(db).stale_ignored, 2);
    assert_int_equal(free_of(db, s, "a", MU_RES_CPU), 7000);
    uint64_t generation = counts_of(db).generation;
    fixture_pod(&p, 1, 9);
    fixture_put(db, &p, 0);
    mu_db_batch_end(db);
    assert_int_equal(counts_of(db).generation, generation);
    assert_int_equal(counts_of(db).stale_ignored, 2);
    mu_db_destroy(db);
}

static void test_db_pod_upsert__same_name_new_uid__replaces(void **state)
{
    (void)state;
    struct mu_db *db = fixture_create(0);
    struct mu_snapshot *s = mu_db_replica_create(db);
    struct fixture_pod old;
    struct fixture_pod new;
    fixture_put_node(db, "a", 1, 8);
    fixture_pod(&old, 1, 10);
    old.object.node_name = MU_STR("a");
    fixture_put(db, &old, 0);
    fixture_pod(&new, 2, 9);
    new.object.name = mu_str_of(old.name);
    fixture_put(db, &new, 0);
    assert_int_equal(counts_of(db).stale_ignored, 1);
    assert_int_equal(free_of(db, s, "a", MU_RES_CPU), 7000);
    new.object.version = 11;
    fixture_put(db, &new, 0);
    assert_int_equal(free_of(db, s, "a", MU_RES_CPU), 8000);
    assert_int_equal(counts_of(db).pods, 1);
    assert_int_equal(counts_of(db).pods_ours_pending, 1);
    struct mu_pod_view view;
    assert_false(mu_db_pod_find(db, fixture_uid(db, old.uid), &view));
    assert_true(mu_db_pod_find(db, fixture_uid(db, new.uid), &view));
    mu_db_destroy(db);
}

static void test_db_remove__other_uid__keeps(void **state)
{
    (void)state;
    struct mu_db *db = fixture_create(0);
    struct fixture_pod p;
    fixture_put_node(db, "a", 1, 8);
    fixture_pod(&p, 1, 1);
    fixture_put(db, &p, 0);
    mu_db_node_remove(db, MU_STR("a"), MU_STR("nobody"));
    mu_db_pod_remove(db, p.object.ns, p.object.name, MU_STR("nobody"), 0);
    mu_db_pod_remove(db, MU_STR("elsewhere"), p.object.name, MU_STR(""), 0);
    assert_int_equal(counts_of(db).nodes, 1);
    assert_int_equal(counts_of(db).pods, 1);
    mu_db_node_remove(db, MU_STR("a"), MU_STR("node-uid-a"));
    mu_db_pod_remove(db, p.object.ns, p.object.name, p.object.uid, 0);
    mu_db_node_remove(db, MU_STR("a"), MU_STR(""));
    assert_int_equal(counts_of(db).nodes, 0);
    assert_int_equal(counts_of(db).pods, 0);
    mu_db_destroy(db);
}

/* --- accounting ---------------------------------------------------------------------------- */

static void test_db_accounting__pod_before_node__charged_on_arrival(void **state)
{
    (void)state;
    struct mu_db *db = fixture_create(0);
    struct mu_snapshot *s = mu_db_replica_create(db);
    struct fixture_pod p;
    fixture_pod(&p, 1, 1);
    p.object.node_name = MU_STR("a");
    fixture_put(db, &p, 0);
    fixture_sync(db, s);
    assert_int_equal(s->node_count, 0);
    assert_int_equal(fixture_row(db, s, "a"), MU_NONE);
    assert_int_equal(counts_of(db).pods_bound, 1);
    fixture_put_node(db, "a", 1, 8);
    assert_int_equal(free_of(db, s, "a", MU_RES_CPU), 7000);
    assert_int_equal(free_of(db, s, "a", MU_RES_PODS), 109);
    assert_int_equal(s->node_count, 1);
    struct mu_pod_view view = fixture_find(db, 1);
    assert_int_equal(view.node.v, fixture_row(db, s, "a"));
    mu_db_destroy(db);
}

static void test_db_accounting__node_returns__pods_charged_again(void **state)
{
    (void)state;
    struct mu_db *db = fixture_create(0);
    struct mu_snapshot *s = mu_db_replica_create(db);
    struct fixture_pod p;
    fixture_put_node(db, "a", 1, 8);
    fixture_pod(&p, 1, 1);
    p.object.node_name = MU_STR("a");
    fixture_put(db, &p, 0);
    fixture_sync(db, s);
    uint32_t row = fixture_row(db, s, "a");
    uint32_t generation = s->nodes[row].generation;
    mu_db_node_remove(db, MU_STR("a"), MU_STR(""));
    fixture_sync(db, s);
    assert_int_equal(fixture_row(db, s, "a"), MU_NONE);
    assert_int_equal(mu_snapshot_alloc(s, MU_RES_CPU, row), 0);
    assert_int_equal(s->node_count, 0);
    fixture_put_node(db, "a", 7, 8);
    assert_int_equal(free_of(db, s, "a", MU_RES_CPU), 7000);
    assert_int_not_equal(s->nodes[fixture_row(db, s, "a")].generation, generation);
    mu_db_destroy(db);
}

static void test_db_accounting__phases__terminal_occupies_nothing(void **state)
{
    (void)state;
    struct mu_db *db = fixture_create(0);
    struct mu_snapshot *s = mu_db_replica_create(db);
    struct fixture_pod p;
    fixture_put_node(db, "a", 1, 8);
    fixture_pod(&p, 1, 1);
    p.object.node_name = MU_STR("a");
    p.object.phase = MU_POD_RUNNING;
    fixture_put(db, &p, 0);
    p.object.version = 2;
    p.object.terminating = true;
    fixture_put(db, &p, 0);
    assert_int_equal(free_of(db, s, "a", MU_RES_CPU), 7000);
    p.object.version = 3;
    p.object.phase = MU_POD_SUCCEEDED;
    fixture_put(db, &p, 0);
    assert_int_equal(free_of(db, s, "a", MU_RES_CPU), 8000);
    assert_int_equal(free_of(db, s, "a", MU_RES_PODS), 110);
    assert_int_equal(counts_of(db).pods_bound, 0);
    assert_int_equal(fixture_find(db, 1).node.v, fixture_row(db, s, "a"));
    mu_db_destroy(db);
}

static void test_db_accounting__resized_in_place__recharged(void **state)
{
    (void)state;
    struct mu_db *db = fixture_create(0);
    struct mu_snapshot *s = mu_db_replica_create(db);
    struct fixture_pod p;
    fixture_put_node(db, "a", 1, 8);
    fixture_pod(&p, 1, 1);
    p.object.node_name = MU_STR("a");
    fixture_put(db, &p, 0);
    assert_int_equal(free_of(db, s, "a", MU_RES_CPU), 7000);
    uint64_t room = s->capacity_generation;
    p.object.version = 2;
    p.amounts[0].value = 250;
    fixture_put(db, &p, 0);
    assert_int_equal(free_of(db, s, "a", MU_RES_CPU), 7750);
    assert_true(s->capacity_generation > room);
    mu_db_destroy(db);
}

/* A pod that asks for everything twice over: no overflow, and exact sums once it is gone. */
static void test_db_accounting__absurd_requests__sums_recover(void **state)
{
    (void)state;
    struct mu_db *db = fixture_create(0);
    struct mu_snapshot *s = mu_db_replica_create(db);
    fixture_put_node(db, "a", 1, 8);
    for (uint32_t i = 1; i <= 5; i++) {
        struct fixture_pod p;
        fixture_pod(&p, i, 1);
        p.object.node_name = MU_STR("a");
        p.amounts[0].value = i == 5 ? 1000 : INT64_MAX - (int64_t)i;
        p.amounts[1].value = i == 5 ? GIB : INT64_MAX;
        fixture_put(db, &p, 0);
    }
    assert_int_equal(free_of(db, s, "a", MU_RES_CPU), MU_FREE_MIN);
    for (uint32_t i = 1; i <= 4; i++) {
        struct fixture_pod p;
        fixture_pod(&p, i, 1);
        assert_true(free_of(db, s, "a", MU_RES_MEMORY) < 0);
        mu_db_pod_remove(db, p.object.ns, p.object.name, p.object.uid, 0);
        assert_int_equal(mu_db_audit_step(db, 1000), 0);
    }
    assert_int_equal(free_of(db, s, "a", MU_RES_CPU), 7000);
    assert_int_equal(free_of(db, s, "a", MU_RES_MEMORY), 31 * GIB);
    assert_int_equal(free_of(db, s, "a", MU_RES_PODS), 109);
    mu_db_destroy(db);
}

/* --- rows ---------------------------------------------------------------------------------- */

static void test_db_rows__allocatable_changes__moves_with_its_pods(void **state)
{
    (void)state;
    struct mu_db *db = fixture_create(0);
    struct mu_snapshot *s = mu_db_replica_create(db);
    struct fixture_pod p;
    fixture_put_node(db, "a", 1, 8);
    fixture_pod(&p, 1, 1);
    p.object.node_name = MU_STR("a");
    p.amounts[2].value = 2; /* a resource that no node has */
    p.object.request_count = 3;
    fixture_put(db, &p, 0);
    fixture_sync(db, s);
    uint32_t before = fixture_row(db, s, "a");
    fixture_put_node(db, "a", 2, 16);
    assert_int_equal(free_of(db, s, "a", MU_RES_CPU), 15000);
    uint32_t after = fixture_row(db, s, "a");
    assert_int_not_equal(before, after);
    assert_int_equal(fixture_find(db, 1).node.v, after);
    assert_int_equal(s->nodes[before].flags, 0);
    assert_int_equal(mu_snapshot_alloc(s, MU_RES_CPU, before), 0);
    assert_int_equal(s->free[MU_RES_EXTENDED][before], 0);
    assert_int_equal(s->free[MU_RES_EXTENDED][after], -2);
    assert_int_equal(s->node_count, 1);
    /* Freed rows are taken again, under another generation. */
    uint32_t generation = s->nodes[before].generation;
    fixture_put_node(db, "b", 1, 8);
    fixture_sync(db, s);
    assert_int_equal(fixture_row(db, s, "b"), before);
    assert_int_equal(s->nodes[before].generation, generation);
    mu_db_node_remove(db, MU_STR("b"), MU_STR(""));
    fixture_sync(db, s);
    assert_int_not_equal(s->nodes[before].generation, generation);
    mu_db_destroy(db);
}

/* Two classes of 200 nodes, interleaved: contiguous but for their first nodes. A hundred classes
 * of one node share chunks. */
static void test_db_rows__classes__large_contiguous_small_shared(void **state)
{
    (void)state;
    struct mu_db *db = fixture_create(0);
    struct mu_snapshot *s = mu_db_replica_create(db);
    char name[32];
    for (uint32_t i = 0; i < 400; i++) {
        (void)snprintf(name, sizeof name, "n%u", i);
        fixture_put_node(db, name, 1, i % 2 == 0 ? 8 : 16);
    }
    for (uint32_t i = 0; i < 100; i++) {
        (void)snprintf(name, sizeof name, "odd%u", i);
        fixture_put_node(db, name, 1, 100 + i);
    }
    fixture_sync(db, s);
    assert_true(s->node_rows <= 500 + 4 * 64);
    uint32_t mixed = 0;
    for (uint32_t chunk = 0; chunk < s->node_rows / 64; chunk++) {
        uint32_t first = MU_NONE;
        bool same = true;
        for (uint32_t row = chunk * 64; row < chunk * 64 + 64; row++) {
            if ((s->nodes[row].flags & MU_NODE_PRESENT) == 0)
                continue;
            first = first == MU_NONE ? s->nodes[row].capacity.v : first;
            same = same && s->nodes[row].capacity.v == first;
        }
        mixed += !same;
    }
    /* 63 of each large class and the 100 odd ones: at most four shared chunks. */
    assert_true(mixed <= 4);
    for (uint32_t i = 0; i < 400; i++) {
        (void)snprintf(name, sizeof name, "n%u", i);
        mu_db_node_remove(db, mu_str_of(name), MU_STR(""));
    }
    uint32_t rows = s->node_rows;
    for (uint32_t i = 0; i < 400; i++) {
        (void)snprintf(name, sizeof name, "m%u", i);
        fixture_put_node(db, name, 1, 32);
    }
    fixture_sync(db, s);
    assert_int_equal(s->node_rows, rows);
    assert_int_equal(s->node_count, 500);
    mu_db_destroy(db);
}

static void test_db_static__same_node_new_version__nothing_dirty(void **state)
{
    (void)state;
    struct mu_db *db = fixture_create(0);
    struct mu_snapshot *s = mu_db_replica_create(db);
    fixture_put_node(db, "a", 1, 8);
    fixture_sync(db, s);
    uint64_t generation = s->generation;
    uint64_t statics = s->static_generation;
    fixture_put_node(db, "a", 2, 8);
    fixture_sync(db, s);
    assert_int_equal(s->generation, generation);
    assert_int_equal(s->static_generation, statics);
    struct fixture_node n;
    fixture_node(&n, "a", 3, 8, 0);
    n.object.unschedulable = true;
    struct mu_label label = {MU_STR("zone"), MU_STR("z")};
    n.object.labels = &label;
    n.object.label_count = 1;
    assert_int_equal(mu_db_node_upsert(db, &n.object, 0, NULL), 0);
    fixture_sync(db, s);
    assert_true(s->generation > generation && s->static_generation > statics);
    uint32_t row = fixture_row(db, s, "a");
    assert_int_equal(s->nodes[row].flags, MU_NODE_PRESENT | MU_NODE_UNSCHEDULABLE);
    assert_int_not_equal(s->nodes[row].labels.v, 0);
    mu_db_destroy(db);
}

/* --- relist -------------------------------------------------------------------------------- */

static void test_db_relist__absent_objects__removed_in_slices(void **state)
{
    (void)state;
    struct mu_db *db = fixture_create(0);
    struct fixture_pod p;
    char name[16];
    for (uint32_t i = 0; i < 10; i++) {
        (void)snprintf(name, sizeof name, "n%u", i);
        fixture_put_node(db, name, 1, 8);
        fixture_pod(&p, i, 1);
        fixture_put(db, &p, 0);
    }
    mu_db_relist_begin(db, MU_DB_NODES);
    mu_db_relist_begin(db, MU_DB_PODS);
    fixture_put_node(db, "n3", 1, 8);
    fixture_put_node(db, "n4", 0, 8); /* an older answer still says that it exists */
    fixture_put_node(db, "new", 1, 8);
    fixture_pod(&p, 5, 2);
    fixture_put(db, &p, 0);
    int steps = 1;
    while (mu_db_relist_sweep(db, MU_DB_PODS, 3, 0) == 1)
        steps++;
    assert_true(steps >= 3);
    assert_int_equal(counts_of(db).pods, 1);
    assert_int_equal(counts_of(db).nodes, 11);
    while (mu_db_relist_sweep(db, MU_DB_NODES, 100, 0) == 1)
        ;
    assert_int_equal(counts_of(db).nodes, 3);
    assert_int_equal(fixture_find(db, 5).version, 2);
    mu_db_destroy(db);
}

static bool has_namespace(struct mu_db *db, const char *name)
{
    struct mu_symbol symbol;
    struct mu_labels_view labels;
    return mu_symbol_find(mu_model_symbols(mu_db_model(db)), mu_str_of(name), &symbol) &&
           mu_model_get_namespace(mu_db_model(db), symbol, &labels);
}

static void test_db_relist__absent_namespaces__removed_in_slices(void **state)
{
    (void)state;
    struct mu_db *db = fixture_create(16);
    char name[16];
    for (uint32_t i = 0; i < 10; i++) {
        (void)snprintf(name, sizeof name, "team-%u", i);
        fixture_put_namespace(db, name, "a");
    }
    assert_int_equal(counts_of(db).namespaces, 10);
    mu_db_relist_begin(db, MU_DB_NAMESPACES);
    fixture_put_namespace(db, "team-3", "a"); /* unchanged, and still there */
    fixture_put_namespace(db, "team-4", "b");
    fixture_put_namespace(db, "new", "c");
    int steps = 1;
    while (mu_db_relist_sweep(db, MU_DB_NAMESPACES, 3, 0) == 1)
        steps++;
    assert_true(steps >= 3);
    assert_int_equal(counts_of(db).namespaces, 3);
    assert_true(has_namespace(db, "team-3") && has_namespace(db, "team-4"));
    assert_true(has_namespace(db, "new"));
    assert_false(has_namespace(db, "team-5"));
    fixture_put_namespace(db, "team-5", "a"); /* a record that was given back */
    assert_int_equal(mu_db_relist_sweep(db, MU_DB_NAMESPACES, 100, 0), 0);
    assert_true(has_namespace(db, "team-5"));
    assert_int_equal(mu_db_namespace_remove(db, MU_STR("team-5")), 0);
    assert_false(has_namespace(db, "team-5"));
    mu_db_destroy(db);
}

/* --- audit ---------------------------------------------------------------------------------- */

static void test_db_audit_step__planted_drift__found_and_repaired(void **state)
{
    (void)state;
    struct mu_db *db = fixture_create(0);
    struct mu_snapshot *s = mu_db_replica_create(db);
    char name[16];
    for (uint32_t i = 0; i < 100; i++) {
        (void)snprintf(name, sizeof name, "n%u", i);
        fixture_put_node(db, name, 1, 8);
    }
    fixture_sync(db, s);
    assert_int_equal(mu_db_audit_step(db, 1000), 0);
    assert_int_equal(counts_of(db).audit_rows, s->node_rows);
    mu_row_free(db, fixture_row(db, s, "n42"))[MU_RES_MEMORY] -= 7;
    mu_row_free(db, fixture_row(db, s, "n77"))[MU_RES_CPU] += 1;
    assert_int_equal(fixture_audit(db, 10), 2);
    assert_int_equal(counts_of(db).audit_drift, 2);
    assert_int_equal(free_of(db, s, "n42", MU_RES_MEMORY), 32 * GIB);
    assert_int_equal(free_of(db, s, "n77", MU_RES_CPU), 8000);
    mu_db_destroy(db);
}

/* --- out of memory ------------------------------------------------------------------------- */

/* Everything that anybody can see of a DB, condensed. */
static uint64_t fingerprint(struct mu_db *db)
{
    struct mu_db_counts counts;
    mu_db_batch_end(db);
    mu_db_counts(db, &counts);
    uint64_t hash = mu_db_digest(db) ^ counts.generation << 32;
    hash = hash * 31 + counts.nodes + counts.pods * 3u + counts.pods_ours_pending * 5u;
    hash = hash * 31 + counts.pods_bound + counts.ledger * 3u + counts.gangs * 5u;
    for (uint32_t row = 0; row < mu_row_count(db); row++) {
        const int64_t *free = mu_row_free(db, row);
        if (!mu_row_used(db, row))
            continue;
        hash = hash * 31 + row;
        hash = hash * 31 + mu_row_rec(db, row)->generation + mu_row_rec(db, row)->capacity.v;
        for (uint32_t r = 0; r < MU_RES_EXTENDED; r++)
            hash = hash * 31 + (uint64_t)free[r];
    }
    for (uint32_t gang = 0; gang < db->gangs.high; gang++)
        if (mu_gang_at(db, gang)->used)
            hash = hash * 31 + gang + mu_gang_at(db, gang)->row.revision * 7u;
    return hash;
}

struct oom_case {
    const char *what;
    int (*run)(struct mu_db *db);
};

static int oom_new_node(struct mu_db *db)
{
    struct fixture_node n;
    struct mu_label labels[2] = {{MU_STR("zone"), MU_STR("z9")},
                                 {MU_STR("kubernetes.io/hostname"), MU_STR("fresh")}};
    struct mu_taint taint = {MU_STR("key"), MU_STR("value"), MU_EFFECT_NO_SCHEDULE};
    fixture_node(&n, "fresh", 1, 77, 3);
    n.object.labels = labels;
    n.object.label_count = 2;
    n.object.taints = &taint;
    n.object.taint_count = 1;
    return mu_db_node_upsert(db, &n.object, 0, NULL);
}
static int oom_moved_node(struct mu_db *db)
{
    struct fixture_node n;
    fixture_node(&n, "a", 9, 99, 8);
    return mu_db_node_upsert(db, &n.object, 0, NULL);
}
static int oom_bound_pod(struct mu_db *db)
{
    struct fixture_pod p;
    fixture_pod(&p, 50, 1);
    p.object.ns = MU_STR("another-namespace");
    p.object.uid = MU_STR("not a uuid");
    p.object.node_name = MU_STR("unknown-node");
    p.amounts[2].value = 1;
    p.object.request_count = 3;
    fixture_gang(&p, "fresh-gang", 2);
    p.object.gang.subgroup = MU_STR("workers");
    return mu_db_pod_upsert(db, &p.object, 0, NULL);
}
static int oom_solo_pod(struct mu_db *db)
{
    struct fixture_pod p;
    fixture_pod(&p, 51, 1);
    return mu_db_pod_upsert(db, &p.object, 0, NULL);
}
static int oom_gang_move(struct mu_db *db)
{
    struct fixture_pod p;
    fixture_pod(&p, 1, 5);
    p.amounts[0].value = 123;
    p.object.node_name = MU_STR("another-unknown-node");
    fixture_gang(&p, "other-gang", 3);
    return mu_db_pod_upsert(db, &p.object, 0, NULL);
}
static int oom_replaced_pod(struct mu_db *db)
{
    struct fixture_pod p;
    fixture_pod(&p, 60, 5);
    p.object.name = MU_STR("pod-1");
    return mu_db_pod_upsert(db, &p.object, 0, NULL);
}

/* Fail the first allocation, then the second ...: until the call succeeds it changes nothing. */
static void test_db_upsert__out_of_memory_anywhere__changes_nothing(void **state)
{
    (void)state;
    static const struct oom_case cases[] = {
        {"new node", oom_new_node},    {"moved node", oom_moved_node},
        {"bound pod", oom_bound_pod},  {"solo pod", oom_solo_pod},
        {"gang moved", oom_gang_move}, {"replaced pod", oom_replaced_pod}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint64_t nth = 1;
        int rc = MU_ENOMEM;
        for (; rc == MU_ENOMEM; nth++) {
            /* A fresh DB each time, so that every table still has to grow. */
            struct mu_db *db = fixture_create(0);
            struct mu_snapshot *s = mu_db_replica_create(db);
            struct fixture_pod p;
            if (i != 0)
                fixture_put_node(db, "a", 1, 8);
            if (i != 2 && i != 3) {
                fixture_pod(&p, 1, 1);
                p.object.node_name = i == 1 ? MU_STR("a") : MU_STR("");
                fixture_gang(&p, "gang", 1);
                fixture_put(db, &p, 0);
            }
            fixture_sync(db, s);
            uint64_t before = fingerprint(db);
            mu_mem_debug_set((struct mu_mem_debug){.fail_nth = nth});
            rc = cases[i].run(db);
            mu_mem_debug_set((struct mu_mem_debug){0});
            if (rc != 0 && (rc != MU_ENOMEM || fingerprint(db) != before))
                fail_msg("%s: allocation %llu failed, rc %d, state moved %d", cases[i].what,
                         (unsigned long long)nth, rc, fingerprint(db) != before);
            assert_int_equal(mu_db_audit_step(db, 1000), 0);
            assert_int_equal(cases[i].run(db), 0); /* and it can be tried again */
            fixture_sync(db, s);
            mu_db_destroy(db);
            assert_true(nth < 1000);
        }
        assert_true(nth > 2); /* the sweep met an allocation at all */
    }
}

static void test_db_create__out_of_memory_anywhere__leaks_nothing(void **state)
{
    (void)state;
    struct mu_db *db = NULL;
    mu_db_destroy(fixture_create(100)); /* warm whatever is made once a process */
    size_t baseline = mu_mem_live_bytes();
    for (uint64_t nth = 1; db == NULL; nth++) {
        mu_mem_debug_set((struct mu_mem_debug){.fail_nth = nth});
        db = fixture_create(100);
        mu_mem_debug_set((struct mu_mem_debug){0});
        if (db == NULL)
            assert_int_equal(mu_mem_live_bytes(), baseline);
        assert_true(nth < 1000);
    }
    assert_true(mu_mem_live_bytes() > baseline);
    mu_db_destroy(db);
    assert_int_equal(mu_mem_live_bytes(), baseline);
    mu_db_destroy(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_db_node_upsert__bad_names__names_the_field),
        cmocka_unit_test(test_db_pod_upsert__bad_fields__names_the_field),
        cmocka_unit_test(test_db_uid__every_form__round_trips),
        cmocka_unit_test(test_db_upsert__older_version__ignored_and_counted),
        cmocka_unit_test(test_db_pod_upsert__same_name_new_uid__replaces),
        cmocka_unit_test(test_db_remove__other_uid__keeps),
        cmocka_unit_test(test_db_accounting__pod_before_node__charged_on_arrival),
        cmocka_unit_test(test_db_accounting__node_returns__pods_charged_again),
        cmocka_unit_test(test_db_accounting__phases__terminal_occupies_nothing),
        cmocka_unit_test(test_db_accounting__resized_in_place__recharged),
        cmocka_unit_test(test_db_accounting__absurd_requests__sums_recover),
        cmocka_unit_test(test_db_rows__allocatable_changes__moves_with_its_pods),
        cmocka_unit_test(test_db_rows__classes__large_contiguous_small_shared),
        cmocka_unit_test(test_db_static__same_node_new_version__nothing_dirty),
        cmocka_unit_test(test_db_relist__absent_objects__removed_in_slices),
        cmocka_unit_test(test_db_relist__absent_namespaces__removed_in_slices),
        cmocka_unit_test(test_db_audit_step__planted_drift__found_and_repaired),
        cmocka_unit_test(test_db_upsert__out_of_memory_anywhere__changes_nothing),
        cmocka_unit_test(test_db_create__out_of_memory_anywhere__leaks_nothing),
    };
    return cmocka_run_group_tests_name("db", tests, NULL, NULL);
}
