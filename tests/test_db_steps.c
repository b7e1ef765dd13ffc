/* No step of the books grows with what they are about: what goes through a million things goes
 * through a few at a time, and what comes in between is not lost. */
#include "tests/db_fixture.h"

#include "engine/base/random.h"
#include "engine/db/census_priv.h"

enum { KINS = 3000, BUDGET = 64, SLACK = 40 /* one class, one stage more than the budget */ };

/* Pod `number` of app=a with a label of its own, bound to a node; `weight` != 0: it prefers to be
 * away from app=a, so that there is a census of its own for each weight. */
static void put_pod(struct mu_db *db, uint32_t number, uint64_t version, const char *node,
                    int32_t weight)
{
    static const struct mu_str a = {"a", 1};
    static const struct mu_str space = {"default", 7};
    static const struct mu_requirement app_a = {{"app", 3}, MU_OP_IN, &a, 1};
    char own[16];
    (void)snprintf(own, sizeof own, "%u", number);
    const struct mu_label labels[] = {{MU_STR("app"), a}, {MU_STR("own"), mu_str_of(own)}};
    const struct mu_pod_term term = {.kind = MU_TERM_PREFERRED_ANTI,
                                     .weight = weight,
                                     .topology_key = MU_STR("zone"),
                                     .selector = {.requirements = &app_a, .requirement_count = 1},
                                     .namespaces = &space,
                                     .namespace_count = 1};
    struct fixture_pod p;
    fixture_pod(&p, number, version);
    p.object.labels = labels;
    p.object.label_count = 2;
    p.object.node_name = node == NULL ? MU_STR("") : mu_str_of(node);
    p.object.terms = &term;
    p.object.term_count = weight != 0;
    fixture_put(db, &p, 0);
}

static void put_zoned(struct mu_db *db, const char *name, const char *zone)
{
    struct fixture_node n;
    const struct mu_label label = {MU_STR("zone"), mu_str_of(zone)};
    fixture_node(&n, name, 1, 64, 0);
    n.object.labels = &label;
    n.object.label_count = 1;
    assert_int_equal(mu_db_node_upsert(db, &n.object, 0, NULL), 0);
}

static struct mu_db *db_with_kins(void)
{
    struct mu_db *db = fixture_create(0);
    put_zoned(db, "n0", "z0");
    for (uint32_t i = 0; i < KINS; i++)
        put_pod(db, i, 1, "n0", 0);
    return db;
}

/* Refresh until nothing is left. Returns how many steps it took; none went beyond the budget. */
static uint32_t settle(struct mu_db *db)
{
    uint32_t steps = 0;
    while (mu_census_backlog(db) != 0) {
        uint32_t spent = 0;
        assert_int_equal(mu_census_refresh(db, BUDGET, &spent), 0);
        assert_true(spent <= BUDGET + SLACK);
        assert_true(++steps < 100000);
    }
    return steps;
}

/* The same without a bound on a step. Returns what it cost. */
static uint32_t settle_all(struct mu_db *db)
{
    uint32_t all = 0;
    for (uint32_t steps = 0; mu_census_backlog(db) != 0; steps++) {
        uint32_t spent = 0;
        assert_int_equal(mu_census_refresh(db, UINT32_MAX / 2, &spent), 0);
        assert_true(steps < 1000);
        all += spent;
    }
    return all;
}

/* MATCH and CARRY censuses that each of the kins is shown with. */
static void check_shown(struct mu_db *db, struct mu_snapshot *s, uint32_t match, uint32_t carry)
{
    fixture_sync(db, s);
    for (uint32_t i = 0; i < KINS; i++) {
        const struct mu_kin_census *block = s->kin_census[fixture_find(db, i).kin.v];
        assert_int_equal(block == NULL ? 0 : block->match_count, match);
        assert_int_equal(block == NULL ? 0 : block->carry_count, carry);
    }
}

static int32_t counted_by_match(const struct mu_snapshot *s)
{
    for (uint32_t i = 0; i < s->census_count; i++)
        if (s->censuses[i].id != 0 && s->censuses[i].kind == MU_CENSUS_MATCH)
            return (int32_t)s->censuses[i].total;
    return -1;
}

static void test_db_steps__census_of_many_kins__is_shown_in_slices(void **state)
{
    (void)state;
    struct mu_db *db = db_with_kins();
    struct mu_snapshot *s = mu_db_replica_create(db);
    put_pod(db, KINS, 1, NULL, 10);
    (void)settle(db);
    check_shown(db, s, 1, 1);
    /* One census more for the same kins: marking them takes many steps. */
    put_pod(db, KINS + 1, 1, NULL, 20);
    uint32_t spent = 0;
    assert_int_equal(mu_census_refresh(db, BUDGET, &spent), 0);
    assert_int_equal(db->books->to_touch.count, 1);
    assert_true(db->books->kins_stale.count < KINS);
    assert_true(settle(db) > KINS / BUDGET / 8);
    check_shown(db, s, 1, 2);
    assert_int_equal(counted_by_match(s), KINS);
    mu_db_destroy(db);
}

/* The matcher goes, and comes back while its matches are still being dropped. */
static void test_db_steps__matcher_of_many_kins__goes_in_slices(void **state)
{
    (void)state;
    for (uint32_t after = 0; after < 3; after++) { /* nothing, some, all of it dropped */
        struct mu_db *db = db_with_kins();
        struct mu_snapshot *s = mu_db_replica_create(db);
        put_pod(db, KINS, 1, NULL, 10);
        (void)settle(db);
        put_pod(db, KINS, 2, NULL, 0);
        uint32_t edges = db->books->edges.used;
        assert_int_equal(edges, KINS + 1);
        uint32_t spent = 0;
        assert_int_equal(mu_census_refresh(db, BUDGET, &spent), 0);
        assert_true(db->books->edges.used > edges / 2); /* not all at once */
        if (after == 2) {
            assert_true(settle(db) > 4);
            assert_int_equal(db->books->edges.used, 0);
            check_shown(db, s, 0, 0);
        } else if (after == 1) {
            spent = 0;
            assert_int_equal(mu_census_refresh(db, 4 * BUDGET, &spent), 0);
            assert_true(db->books->edges.used < edges && db->books->edges.used > 0);
        }
        put_pod(db, KINS, 3, NULL, 10);
        (void)settle(db);
        check_shown(db, s, 1, 1);
        assert_int_equal(counted_by_match(s), KINS);
        mu_db_destroy(db);
    }
}

/* A pending pod of this number, with a matcher that looks at a key of its own: one without a label
 * to go by. */
static void put_asking(struct mu_db *db, uint32_t i)
{
    static const struct mu_str space = {"default", 7};
    char key[16];
    (void)snprintf(key, sizeof key, "key-%u", i);
    const struct mu_requirement has_key = {mu_str_of(key), MU_OP_EXISTS, NULL, 0};
    const struct mu_pod_term term = {.kind = MU_TERM_PREFERRED_ANTI,
                                     .weight = 1,
                                     .topology_key = MU_STR("zone"),
                                     .selector = {.requirements = &has_key, .requirement_count = 1},
                                     .namespaces = &space,
                                     .namespace_count = 1};
    struct fixture_pod p;
    fixture_pod(&p, i, 1);
    p.object.terms = &term;
    p.object.term_count = 1;
    fixture_put(db, &p, 0);
}

/* A kin that comes looks at every matcher without a label to go by: that counts, too. */
static void test_db_steps__kins_among_many_matchers__enter_in_slices(void **state)
{
    (void)state;
    enum { MATCHERS = 2 * BUDGET, COMING = 50 };
    struct mu_db *db = fixture_create(0);
    put_zoned(db, "n0", "z0");
    for (uint32_t i = 0; i < MATCHERS; i++)
        put_asking(db, i);
    while (mu_census_backlog(db) != 0) {
        uint32_t spent = 0;
        assert_int_equal(mu_census_refresh(db, BUDGET, &spent), 0);
    }
    for (uint32_t i = 0; i < COMING; i++)
        put_pod(db, MATCHERS + i, 1, "n0", 0);
    uint32_t spent = 0;
    assert_int_equal(mu_census_refresh(db, BUDGET, &spent), 0);
    assert_int_equal(db->books->pods_dirty.count, COMING - 1); /* one has looked at all of them */
    assert_true(spent >= MATCHERS);
    mu_db_destroy(db);
}

/* Kins that know many matchers look at the one that is new, and not at the others again. */
static void test_db_steps__one_matcher_more__is_all_that_is_looked_at(void **state)
{
    (void)state;
    enum { MATCHERS = 200, THERE = 60 };
    struct mu_db *db = fixture_create(0);
    put_zoned(db, "n0", "z0");
    for (uint32_t i = 0; i < MATCHERS; i++)
        put_asking(db, i);
    for (uint32_t i = 0; i < THERE; i++)
        put_pod(db, MATCHERS + i, 1, "n0", 0);
    (void)settle_all(db);
    put_asking(db, MATCHERS + THERE);
    uint32_t spent = settle_all(db);
    assert_true(spent > 0);
    assert_true(spent < THERE * MATCHERS / 8); /* each look is one */
    mu_db_destroy(db);
}

/* Labels of a namespace turn a matcher: its counts begin anew, in slices over the domains. */
static void test_db_steps__census_of_many_domains__is_cleared_in_slices(void **state)
{
    (void)state;
    static const struct mu_requirement team = {{"team", 4}, MU_OP_EXISTS, NULL, 0};
    const struct mu_label red = {MU_STR("team"), MU_STR("red")};
    const struct mu_selector teams = {.requirements = &team, .requirement_count = 1};
    const struct mu_pod_term term = {.kind = MU_TERM_PREFERRED_ANTI,
                                     .weight = 1,
                                     .topology_key = MU_STR("zone"),
                                     .namespace_selector = &teams};
    struct mu_db *db = fixture_create(0);
    struct mu_snapshot *s = mu_db_replica_create(db);
    char name[16];
    assert_int_equal(mu_db_namespace_upsert(db, MU_STR("default"), &red, 1, NULL), 0);
    for (uint32_t i = 0; i < KINS; i++) { /* a zone each, with a pod */
        (void)snprintf(name, sizeof name, "n%u", i);
        put_zoned(db, name, name);
        put_pod(db, i, 1, name, 0);
    }
    struct fixture_pod p;
    fixture_pod(&p, KINS, 1);
    p.object.terms = &term;
    p.object.term_count = 1;
    fixture_put(db, &p, 0);
    (void)settle(db);
    fixture_sync(db, s);
    assert_int_equal(counted_by_match(s), KINS);
    assert_int_equal(mu_db_namespace_upsert(db, MU_STR("default"), NULL, 0, NULL), 0);
    (void)settle(db);
    fixture_sync(db, s);
    assert_int_equal(counted_by_match(s), 0);
    assert_int_equal(mu_db_namespace_upsert(db, MU_STR("default"), &red, 1, NULL), 0);
    (void)settle(db);
    fixture_sync(db, s);
    assert_int_equal(counted_by_match(s), KINS);
    mu_db_destroy(db);
}

enum { IMAGE_NODES = 800, IMAGES_EACH = 256, PAGES_A_STEP = 64 };

/* Node `number` lists images that no other node lists, or none. */
static void put_images(struct mu_db *db, uint32_t number, uint64_t version, bool any)
{
    static char names[IMAGES_EACH][32];
    static struct mu_image images[IMAGES_EACH];
    char name[16];
    for (uint32_t i = 0; i < IMAGES_EACH; i++) {
        (void)snprintf(names[i], sizeof names[i], "image-%u-%u", number, i);
        images[i] = (struct mu_image){mu_str_of(names[i]), 1 << 20};
    }
    (void)snprintf(name, sizeof name, "n%u", number);
    struct fixture_node n;
    fixture_node(&n, name, version, 64, 0);
    n.object.images = images;
    n.object.image_count = any ? IMAGES_EACH : 0;
    assert_int_equal(mu_db_node_upsert(db, &n.object, 0, NULL), 0);
}

static uint32_t pages_behind(const struct mu_db *db, const struct mu_snapshot *s)
{
    const struct mu_replica *r = (const struct mu_replica *)s; /* its first member */
    uint32_t behind = 0;
    for (uint32_t page = 0; page < db->image_page_bound; page++) {
        const struct mu_image_page *from = db->image_pages[page], *copy = r->image_pages[page];
        behind += from != NULL && (copy == NULL || copy->moved != from->moved);
    }
    return behind;
}

static void check_images(const struct mu_db *db, const struct mu_snapshot *s)
{
    assert_int_equal(pages_behind(db, s), 0);
    for (uint32_t page = 0; page < db->image_page_bound; page++)
        for (uint32_t i = 0; db->image_pages[page] != NULL && i < MU_IMAGE_PAGE; i++)
            assert_int_equal(
                mu_snapshot_image_nodes(s, (struct mu_symbol){page * MU_IMAGE_PAGE + i}),
                db->image_pages[page]->nodes[i]);
}

/* Which nodes have which image is shown a few pages at a time, also while it changes. */
static void test_db_steps__images_of_many_names__are_shown_in_slices(void **state)
{
    (void)state;
    struct mu_db *db = fixture_create(0);
    struct mu_snapshot *s = mu_db_replica_create(db);
    for (uint32_t n = 0; n < IMAGE_NODES; n++)
        put_images(db, n, 1, true);
    fixture_sync(db, s);
    check_images(db, s);
    for (uint32_t n = 0; n < IMAGE_NODES; n++)
        put_images(db, n, 2, n % 4 == 0);
    uint32_t behind = pages_behind(db, s), steps = 0;
    assert_true(behind > 2 * PAGES_A_STEP);
    for (int more = 1; more == 1; steps++) {
        more = mu_db_replica_sync(db, s, 0);
        assert_true(more >= 0 && steps < 1000);
        uint32_t left = pages_behind(db, s);
        assert_true(behind <= left + PAGES_A_STEP);
        behind = left;
        if (steps == 1) { /* one that the pass has come by, most likely */
            put_images(db, 0, 3, false);
            behind = pages_behind(db, s);
        }
    }
    assert_true(steps > 2);
    check_images(db, s);
    mu_db_replica_destroy(db, s);
    mu_db_destroy(db);
}

/* The least count, kept along, against one that is looked for. */
static void test_db_steps__least_of_a_spread__is_that_of_a_scan(void **state)
{
    (void)state;
    enum { NODES = 12, PODS = 40 };
    struct mu_db *db = fixture_create(0);
    struct mu_random random;
    char name[16], zone[16];
    mu_random_init_seed(&random, 5);
    uint64_t version = 1;
    for (uint32_t i = 0; i < 4000; i++, version++) {
        uint32_t node = (uint32_t)mu_random_below(&random, NODES);
        (void)snprintf(name, sizeof name, "n%u", node);
        (void)snprintf(zone, sizeof zone, "z%u", node / 2);
        uint64_t what = mu_random_below(&random, 10);
        if (what == 0) {
            assert_int_equal(mu_db_node_remove(db, mu_str_of(name), MU_STR("")), 0);
        } else if (what == 1) {
            put_zoned(db, name, zone);
        } else {
            struct fixture_pod p;
            uint32_t number = (uint32_t)mu_random_below(&random, PODS);
            fixture_pod(&p, number, version);
            if (mu_random_below(&random, 2) == 0) {
                assert_int_equal(mu_db_pod_remove(db, p.object.ns, p.object.name, p.object.uid, 0),
                                 0);
            } else {
                fixture_web(&p, "zone");
                p.object.node_name = mu_str_of(name);
                fixture_put(db, &p, 0);
            }
        }
        if (db->books == NULL && !db->books_wanted)
            continue;
        (void)settle(db);
        const struct mu_books *b = db->books;
        for (uint32_t c = 0; c < b->censuses.high; c++) {
            const struct mu_census_rec *rec = mu_census_at(b, c);
            if (rec->refs == 0 || mu_random_below(&random, 3) == 0)
                continue;
            const struct mu_field *f = mu_field_at(b, rec->field);
            int32_t least = INT32_MAX;
            uint32_t domains = 0, found;
            for (uint32_t d = 0; d < f->cap; d++) {
                if (f->domains[d] == 0)
                    continue;
                int32_t count = d < rec->own.domain_count ? rec->own.counts[d] : 0;
                least = count < least ? count : least;
                domains++;
            }
            assert_int_equal(mu_census_least(db, c, &found), least);
            assert_int_equal(found, domains);
        }
    }
    mu_db_destroy(db);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_db_steps__census_of_many_kins__is_shown_in_slices),
        cmocka_unit_test(test_db_steps__matcher_of_many_kins__goes_in_slices),
        cmocka_unit_test(test_db_steps__kins_among_many_matchers__enter_in_slices),
        cmocka_unit_test(test_db_steps__one_matcher_more__is_all_that_is_looked_at),
        cmocka_unit_test(test_db_steps__census_of_many_domains__is_cleared_in_slices),
        cmocka_unit_test(test_db_steps__images_of_many_names__are_shown_in_slices),
        cmocka_unit_test(test_db_steps__least_of_a_spread__is_that_of_a_scan),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
