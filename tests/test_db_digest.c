/* The digest of the cluster DB: what two DBs must hold alike for it to be equal, and what shows. */
#include "tests/db_fixture.h"

#include "engine/db/db_priv.h"

static void test_db_digest__other_order_same_content__equal(void **state)
{
    (void)state;
    struct mu_db *left = fixture_create(0);
    struct mu_db *right = fixture_create(0);
    char name[16];
    struct fixture_pod p;
    for (uint32_t i = 0; i < 20; i++) {
        (void)snprintf(name, sizeof name, "n%u", i);
        fixture_put_node(left, name, 1, 8);
        (void)snprintf(name, sizeof name, "n%u", 19 - i);
        fixture_put_node(right, name, 1, 8);
        fixture_pod(&p, i, i);
        p.object.node_name = i % 2 == 0 ? MU_STR("n3") : MU_STR("");
        fixture_put(left, &p, 0);
    }
    for (uint32_t i = 20; i-- > 0;) {
        fixture_pod(&p, i, i);
        p.object.node_name = i % 2 == 0 ? MU_STR("n3") : MU_STR("");
        fixture_put(right, &p, 0);
    }
    uint64_t digest = mu_db_digest(left);
    assert_true(digest == mu_db_digest(right));
    fixture_pod(&p, 4, 21);
    p.object.node_name = MU_STR("n4");
    fixture_put(right, &p, 0);
    assert_true(digest != mu_db_digest(right));
    mu_db_pod_remove(left, MU_STR("default"), MU_STR("pod-4"), MU_STR(""), 0);
    assert_true(digest != mu_db_digest(left));
    mu_db_destroy(left);
    mu_db_destroy(right);
}

static void test_db_digest__namespaces__by_their_labels(void **state)
{
    const struct mu_label hosted[] = {{MU_STR("team"), MU_STR("b")},
                                      {MU_STR("kubernetes.io/hostname"), MU_STR("n1")}};
    const struct mu_label turned[] = {hosted[1], hosted[0]};
    (void)state;
    struct mu_db *left = fixture_create(0);
    struct mu_db *right = fixture_create(0);
    uint64_t empty = mu_db_digest(left);
    fixture_put_namespace(left, "one", "a");
    fixture_put_namespace(left, "two", "b");
    fixture_put_namespace(right, "two", "b"); /* other symbols, other order */
    fixture_put_namespace(right, "one", "a");
    assert_true(mu_db_digest(left) != empty);
    assert_true(mu_db_digest(left) == mu_db_digest(right));
    fixture_put_namespace(right, "one", "b");
    assert_true(mu_db_digest(left) != mu_db_digest(right));
    fixture_put_namespace(left, "one", "b");
    fixture_put_namespace(left, "two", "a");
    assert_true(mu_db_digest(left) != mu_db_digest(right)); /* not which labels, but whose */
    assert_int_equal(mu_db_namespace_upsert(left, MU_STR("two"), hosted, 2, NULL), 0);
    assert_true(mu_db_digest(left) != mu_db_digest(right)); /* a label that is kept apart */
    assert_int_equal(mu_db_namespace_upsert(right, MU_STR("two"), turned, 2, NULL), 0);
    assert_true(mu_db_digest(left) == mu_db_digest(right));
    assert_int_equal(mu_db_namespace_remove(left, MU_STR("one")), 0);
    assert_int_equal(mu_db_namespace_remove(left, MU_STR("two")), 0);
    assert_true(mu_db_digest(left) == empty);
    mu_db_destroy(left);
    mu_db_destroy(right);
}

/* A node with the images in this order; one that it lacks is NULL. */
static void put_images(struct mu_db *db, uint64_t version, const char *const *names, int64_t bytes)
{
    struct fixture_node n;
    struct mu_image images[2];
    uint32_t count = 0;
    for (uint32_t i = 0; i < 2; i++)
        if (names[i] != NULL)
            images[count++] = (struct mu_image){mu_str_of(names[i]), bytes};
    fixture_node(&n, "n1", version, 8, 0);
    n.object.images = images;
    n.object.image_count = count;
    assert_int_equal(mu_db_node_upsert(db, &n.object, 0, NULL), 0);
}

static void test_db_digest__images__by_name_and_size(void **state)
{
    (void)state;
    const struct {
        const char *names[2];
        int64_t bytes;
        bool same;
    } cases[] = {{{"web:1", "db:1"}, 7, true},
                 {{"db:1", "web:1"}, 7, true},
                 {{"db:1", NULL}, 7, false},
                 {{"db:1", "web:2"}, 7, false},
                 {{"db:1", "web:1"}, 8, false}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct mu_db *left = fixture_create(0);
        struct mu_db *right = fixture_create(0);
        put_images(left, 5, cases[0].names, cases[0].bytes);
        put_images(right, 5, cases[i].names, cases[i].bytes);
        assert_int_equal(mu_db_digest(left) == mu_db_digest(right), cases[i].same);
        mu_db_destroy(left);
        mu_db_destroy(right);
    }
}

static void put_nominated(struct mu_db *db, uint32_t number, uint64_t version, const char *node)
{
    struct fixture_pod p;
    fixture_pod(&p, number, version);
    p.object.nominated_node = mu_str_of(node);
    fixture_put(db, &p, 0);
}

static void test_db_digest__nominations__by_pod_and_node(void **state)
{
    (void)state;
    struct mu_db *left = fixture_create(0);
    struct mu_db *right = fixture_create(0);
    put_nominated(left, 1, 3, "n1");
    put_nominated(left, 2, 3, "n2");
    put_nominated(right, 2, 3, "n2");
    put_nominated(right, 1, 3, "n1");
    assert_true(mu_db_digest(left) == mu_db_digest(right));
    /* The same objects, held otherwise: what a nomination that got lost would look like. */
    uint32_t pod = fixture_find(right, 1).ix.v;
    struct mu_symbol other;
    assert_int_equal(mu_symbol_intern(right->symbols, MU_STR("n3"), &other), 0);
    mu_nominated_set(right, pod, other);
    assert_true(mu_db_digest(left) != mu_db_digest(right));
    mu_nominated_set(right, pod, (struct mu_symbol){0});
    mu_pod_at(right, pod)->flags &= (uint16_t) ~(unsigned)MU_POD_NOMINATED;
    assert_true(mu_db_digest(left) != mu_db_digest(right));
    put_nominated(left, 1, 4, "");
    put_nominated(right, 1, 4, "");
    assert_true(mu_db_digest(left) == mu_db_digest(right));
    mu_db_destroy(left);
    mu_db_destroy(right);
}

static void put_group(struct mu_db *db, enum mu_gang_source source, const char *name,
                      uint64_t version)
{
    const struct mu_group_object object = {.ns = MU_STR("default"),
                                           .name = mu_str_of(name),
                                           .source = source,
                                           .version = version,
                                           .min = 1};
    assert_int_equal(mu_db_group_upsert(db, &object, NULL), 0);
}

static void test_db_digest__groups__by_source_name_and_version(void **state)
{
    (void)state;
    struct mu_db *left = fixture_create(0);
    struct mu_db *right = fixture_create(0);
    const uint64_t empty = mu_db_digest(left);
    put_group(left, MU_GANG_VOLCANO, "a", 3);
    put_group(left, MU_GANG_KAI, "b", 4);
    put_group(right, MU_GANG_KAI, "b", 4);
    assert_true(mu_db_digest(left) != empty);
    put_group(right, MU_GANG_VOLCANO, "a", 2);
    assert_true(mu_db_digest(left) != mu_db_digest(right));
    put_group(right, MU_GANG_VOLCANO, "a", 3);
    assert_true(mu_db_digest(left) == mu_db_digest(right));
    mu_db_group_remove(right, MU_GANG_KAI, MU_STR("default"), MU_STR("b"));
    put_group(right, MU_GANG_GODEL, "b", 4);
    assert_true(mu_db_digest(left) != mu_db_digest(right));
    mu_db_group_remove(left, MU_GANG_VOLCANO, MU_STR("default"), MU_STR("a"));
    mu_db_group_remove(left, MU_GANG_KAI, MU_STR("default"), MU_STR("b"));
    assert_true(mu_db_digest(left) == empty);
    mu_db_destroy(left);
    mu_db_destroy(right);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_db_digest__other_order_same_content__equal),
        cmocka_unit_test(test_db_digest__namespaces__by_their_labels),
        cmocka_unit_test(test_db_digest__images__by_name_and_size),
        cmocka_unit_test(test_db_digest__nominations__by_pod_and_node),
        cmocka_unit_test(test_db_digest__groups__by_source_name_and_version),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
