/* Image locality: sets of images, the scale of a class, and points. */
#include "tests/mu_test.h"

#include "engine/base/mem.h"
#include "engine/db/db.h"
#include "engine/place/image.h"
#include "tests/support/cluster.h"

#define MI (INT64_C(1) << 20)

/* ---- sets ------------------------------------------------------------------------------------ */

static void test_model_image_set__any_order__one_entry(void **state)
{
    (void)state;
    const struct mu_image a[] = {{MU_STR("b:1"), 2}, {MU_STR("a:1"), 1}, {MU_STR("b:1"), 7}};
    const struct mu_image b[] = {{MU_STR("a:1"), 1}, {MU_STR("b:1"), 2}};
    const struct mu_image other[] = {{MU_STR("a:1"), 1}, {MU_STR("b:1"), 3}};
    struct mu_model *m = mu_model_create();
    struct mu_image_set_ix x, y, z, none;
    assert_int_equal(mu_model_image_set(m, a, 3, &x), 0);
    assert_int_equal(mu_model_image_set(m, b, 2, &y), 0);
    assert_int_equal(mu_model_image_set(m, other, 2, &z), 0);
    assert_int_equal(mu_model_image_set(m, NULL, 0, &none), 0);
    assert_int_equal(x.v, y.v); /* of b:1, the first counts */
    assert_int_not_equal(x.v, z.v);
    assert_int_equal(none.v, 0);
    const struct mu_image_set *set = mu_model_get_image_set(m, x);
    assert_int_equal(set->count, 2);
    for (uint32_t i = 0; i < 2; i++) {
        bool is_a =
            mu_str_equal(mu_symbol_str(mu_model_names(m), set->items[i].name), MU_STR("a:1"));
        assert_int_equal(mu_image_bytes(&set->items[i]), is_a ? 1 : 2);
    }
    assert_true(set->items[0].name.v < set->items[1].name.v);
    mu_model_destroy(m);
}

static void test_model_image_set__sizes_out_of_bounds__brought_in(void **state)
{
    (void)state;
    const struct mu_image images[] = {{MU_STR("a"), -5}, {MU_STR("b"), INT64_MAX}};
    struct mu_model *m = mu_model_create();
    struct mu_image_set_ix ix;
    assert_int_equal(mu_model_image_set(m, images, 2, &ix), 0);
    const struct mu_image_set *set = mu_model_get_image_set(m, ix);
    assert_int_equal(mu_image_bytes(&set->items[0]) + mu_image_bytes(&set->items[1]),
                     MU_IMAGE_BYTES_MAX);
    mu_model_destroy(m);
}

static void test_model_image_set__beyond_limits__nothing_changed(void **state)
{
    (void)state;
    static struct mu_image many[MU_IMAGES_PER_NODE + 1];
    struct mu_model *m = mu_model_create();
    struct mu_image_set_ix ix = {77};
    uint32_t symbols = mu_symtab_count(mu_model_symbols(m));
    uint32_t sets = mu_model_image_set_bound(m);
    assert_int_equal(mu_model_image_set(m, many, MU_IMAGES_PER_NODE + 1, &ix), MU_ELIMIT);
    assert_int_equal(ix.v, 77);
    const struct mu_image images[] = {{MU_STR("a"), 1}, {MU_STR("b"), 2}};
    uint64_t nth = 0;
    int rc;
    do {
        mu_mem_debug_set((struct mu_mem_debug){.fail_nth = ++nth});
        rc = mu_model_image_set(m, images, 2, &ix);
        mu_mem_debug_set((struct mu_mem_debug){0});
        mu_model_reclaim(m, 0, UINT32_MAX);
        assert_true(rc == 0 || (rc == MU_ENOMEM && ix.v == 77));
        assert_true(rc == 0 || (mu_symtab_count(mu_model_symbols(m)) == symbols &&
                                mu_model_image_set_bound(m) == sets));
    } while (rc != 0);
    assert_true(nth > 2);
    mu_model_image_set_unref(m, ix, 5);
    mu_model_reclaim(m, 5, UINT32_MAX); /* the entry, and its names with it */
    assert_int_equal(mu_symtab_count(mu_model_symbols(m)), symbols);
    mu_model_destroy(m);
}

/* ---- points ---------------------------------------------------------------------------------- */

static void test_image_round__ten_significant_bits(void **state)
{
    (void)state;
    const uint32_t cases[][2] = {{0, 0},
                                 {1, 1},
                                 {1023, 1023},
                                 {1024, 1024},
                                 {1025, 1024},
                                 {2047, 2046},
                                 {5000, 5000},
                                 {5007, 5000},
                                 {5008, 5008},
                                 {100000, 99968},
                                 {UINT32_MAX, UINT32_MAX << 22}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_int_equal(mu_image_round(cases[i][0]), cases[i][1]);
}

/* A class of up to three containers and a node with some of their images. Points as computed by
 * hand from the rule: sizes in MiB, nodes that have each image, nodes. */
struct points_case {
    const char *what;
    uint32_t nodes;
    uint32_t containers;
    struct {
        bool here;
        int64_t mib;
        uint32_t having;
    } image[3];
    uint32_t points;
};

static const struct points_case points_cases[] = {
    {"none here", 4, 1, {{false, 500, 2}}, 0},
    {"half of the nodes: half its size", 4, 1, {{true, 1046, 2}}, 51}, /* (523 - 23) / 977 */
    {"all nodes: its whole size", 4, 1, {{true, 1000, 4}}, 100},
    {"below the least", 4, 1, {{true, 23, 4}}, 0},
    {"just above it", 4, 1, {{true, 33, 4}}, 1}, /* 10 / 977 */
    {"above the most", 4, 1, {{true, 9000, 4}}, 100},
    {"two containers share a range", 4, 2, {{true, 1000, 4}, {false, 500, 1}}, 49}, /* 977/1977 */
    {"two images add up", 4, 2, {{true, 1000, 4}, {true, 1000, 4}}, 100},
    {"each by its own spread", 4, 2, {{true, 800, 4}, {true, 800, 1}}, 49}, /* (1000-23)/1977 */
    {"three containers", 10, 3, {{true, 1000, 5}, {true, 100, 10}, {false, 1, 1}}, 19},
};

/* Fill the cluster so that image i is on `having` nodes, and return the points of the first. */
static uint32_t points_of(const struct points_case *c)
{
    static const char *const names[] = {"a:1", "b:1", "c:1"};
    struct mu_cluster cluster;
    struct mu_image wanted[3];
    mu_cluster_init(&cluster, c->nodes, 0);
    for (uint32_t n = 0; n < c->nodes; n++) {
        struct mu_image here[3];
        uint32_t count = 0;
        for (uint32_t i = 0; i < c->containers; i++) {
            /* The first node has it or not; the last ones have it as often as asked. */
            bool has = n == 0 ? c->image[i].here
                              : n >= c->nodes - c->image[i].having + (c->image[i].here ? 1 : 0);
            if (has)
                here[count++] = (struct mu_image){mu_str_of(names[i]), c->image[i].mib * MI};
        }
        char name[16];
        (void)snprintf(name, sizeof name, "n%u", n);
        uint32_t row = mu_cluster_plain_node(&cluster, name, 1000, MI, 10, 0);
        mu_cluster_images(&cluster, row, here, count);
    }
    for (uint32_t i = 0; i < c->containers; i++)
        wanted[i] = (struct mu_image){mu_str_of(names[i]), 0};
    struct mu_class_ix ix = mu_cluster_class(
        &cluster, &(struct mu_pod_object){.images = wanted, .image_count = c->containers});
    const struct mu_class *class_ = mu_model_get_class(cluster.model, ix);
    struct mu_image_scale scale;
    bool matters;
    mu_image_scale(&cluster.snapshot, class_, &scale, &matters);
    assert_true(matters);
    uint32_t points = mu_image_points(
        class_, &scale, mu_model_get_image_set(cluster.model, cluster.snapshot.images[0]));
    mu_cluster_fini(&cluster);
    return points;
}

static void test_image_points__cases(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof points_cases / sizeof points_cases[0]; i++) {
        uint32_t points = points_of(&points_cases[i]);
        if (points != points_cases[i].points)
            print_message("%s: %u\n", points_cases[i].what, points);
        assert_int_equal(points, points_cases[i].points);
    }
}

/* Two containers of one image: it counts for both. */
static void test_image_points__one_image_twice__counts_twice(void **state)
{
    (void)state;
    const struct mu_image two[] = {{MU_STR("a:1"), 600 * MI}, {MU_STR("a:1"), 600 * MI}};
    struct mu_cluster cluster;
    mu_cluster_init(&cluster, 1, 0);
    mu_cluster_images(&cluster, mu_cluster_plain_node(&cluster, "n", 1, 1, 1, 0), two, 1);
    struct mu_class_ix ix =
        mu_cluster_class(&cluster, &(struct mu_pod_object){.images = two, .image_count = 2});
    const struct mu_class *class_ = mu_model_get_class(cluster.model, ix);
    struct mu_image_scale scale;
    bool matters;
    mu_image_scale(&cluster.snapshot, class_, &scale, &matters);
    assert_int_equal(
        mu_image_points(class_, &scale,
                        mu_model_get_image_set(cluster.model, cluster.snapshot.images[0])),
        59); /* (1200 - 23) / (2000 - 23) */
    mu_cluster_fini(&cluster);
}

/* 64 containers of the largest image that can be: no overflow. */
static void test_image_points__largest_of_all__full_points(void **state)
{
    (void)state;
    struct mu_image images[MU_IMAGES_PER_POD];
    for (uint32_t i = 0; i < MU_IMAGES_PER_POD; i++)
        images[i] = (struct mu_image){MU_STR("a:1"), MU_IMAGE_BYTES_MAX};
    struct mu_cluster cluster;
    mu_cluster_init(&cluster, 1, 0);
    mu_cluster_images(&cluster, mu_cluster_plain_node(&cluster, "n", 1, 1, 1, 0), images, 1);
    struct mu_class_ix ix = mu_cluster_class(
        &cluster, &(struct mu_pod_object){.images = images, .image_count = MU_IMAGES_PER_POD});
    const struct mu_class *class_ = mu_model_get_class(cluster.model, ix);
    struct mu_image_scale scale;
    bool matters;
    mu_image_scale(&cluster.snapshot, class_, &scale, &matters);
    assert_int_equal(
        mu_image_points(class_, &scale,
                        mu_model_get_image_set(cluster.model, cluster.snapshot.images[0])),
        MU_IMAGE_POINTS);
    mu_cluster_fini(&cluster);
}

/* ---- in the database ------------------------------------------------------------------------- */

enum { NODES = 4096, SETS = 3, EACH = 50 };

/* A node of one of three pools, with `count` images of its pool. */
static void node_send(struct mu_db *db, uint32_t n, uint64_t version, uint32_t count)
{
    static char names[SETS][EACH][32];
    static struct mu_image images[SETS][EACH];
    const struct mu_amount amounts[] = {{MU_STR("cpu"), 1000}, {MU_STR("pods"), 10}};
    char name[16];
    uint32_t pool = n % SETS;
    for (uint32_t i = 0; i < count; i++) {
        (void)snprintf(names[pool][i], sizeof names[pool][i], "registry/%u/%u:1", pool, i);
        images[pool][i] = (struct mu_image){mu_str_of(names[pool][i]), i * MI};
    }
    (void)snprintf(name, sizeof name, "n%u", n);
    const struct mu_node_object node = {.name = mu_str_of(name),
                                        .uid = mu_str_of(name),
                                        .version = version,
                                        .allocatable = amounts,
                                        .allocatable_count = 2,
                                        .images = images[pool],
                                        .image_count = count};
    assert_int_equal(mu_db_node_upsert(db, &node, 0, NULL), 0);
}

/* Live bytes of a database of NODES nodes with so many images each, and one replica of it. */
static size_t bytes_with(uint32_t images)
{
    size_t before = mu_mem_live_bytes();
    struct mu_db *db = mu_db_create(&(struct mu_db_config){.nodes_hint = NODES});
    struct mu_snapshot *s = mu_db_replica_create(db);
    for (uint32_t n = 0; n < NODES; n++)
        node_send(db, n, 1, images);
    while (mu_db_replica_sync(db, s, 0) == 1) {
    }
    assert_int_equal(s->node_count, NODES);
    size_t bytes = mu_mem_live_bytes() - before;
    mu_db_replica_destroy(db, s);
    mu_db_destroy(db);
    return bytes;
}

static void test_db_images__fifty_in_common_sets__a_few_bytes_a_node(void **state)
{
    (void)state;
    size_t none = bytes_with(0), some = bytes_with(EACH);
    /* Beside the tables, which 4096 nodes share: two numbers of four bytes. */
    size_t tables = 2 * MU_IMAGE_PAGES * sizeof(void *) + (64 << 10);
    assert_true(some > none);
    assert_true(some - none < tables + NODES * 10);
}

/* An image that was pulled is no change for filters; the row is named. */
static void test_db_images__pulled__static_generation_stays(void **state)
{
    (void)state;
    struct mu_db *db = mu_db_create(&(struct mu_db_config){0});
    struct mu_snapshot *s = mu_db_replica_create(db);
    for (uint32_t n = 0; n < 10; n++)
        node_send(db, n, 1, 2);
    assert_int_equal(mu_db_replica_sync(db, s, 0), 0);
    uint64_t static_generation = s->static_generation, image_generation = s->image_generation;
    node_send(db, 4, 2, 3);
    node_send(db, 5, 2, 2); /* nothing new */
    assert_int_equal(mu_db_replica_sync(db, s, 0), 0);
    assert_int_equal(s->static_generation, static_generation);
    assert_true(s->image_generation > image_generation && s->image_base == image_generation);
    assert_int_equal(s->static_changed_count, 1);
    assert_int_equal(mu_model_get_image_set(s->model, s->images[s->static_changed[0]])->count, 3);
    mu_db_replica_destroy(db, s);
    mu_db_destroy(db);
}

struct attempt {
    struct mu_db *db;
    struct mu_snapshot *s;
};

static bool images_change(void *context)
{
    struct attempt *a = context;
    const struct mu_amount amounts[] = {{MU_STR("cpu"), 1000}, {MU_STR("pods"), 10}};
    const struct mu_image image = {MU_STR("new:1"), 5};
    const struct mu_node_object node = {.name = MU_STR("n0"),
                                        .uid = MU_STR("n0"),
                                        .version = 2,
                                        .allocatable = amounts,
                                        .allocatable_count = 2,
                                        .images = &image,
                                        .image_count = 1};
    int rc = mu_db_node_upsert(a->db, &node, 0, NULL);
    assert_true(rc == 0 || rc == MU_ENOMEM);
    if (rc == 0)
        rc = mu_db_replica_sync(a->db, a->s, 0);
    return rc == 0;
}

static void test_db_images__out_of_memory__as_before_or_done(void **state)
{
    (void)state;
    for (uint64_t nth = 1;; nth++) {
        struct attempt a = {.db = mu_db_create(&(struct mu_db_config){0})};
        a.s = mu_db_replica_create(a.db);
        node_send(a.db, 0, 1, 0);
        assert_int_equal(mu_db_replica_sync(a.db, a.s, 0), 0);
        mu_mem_debug_set((struct mu_mem_debug){.fail_nth = nth});
        bool passed = images_change(&a);
        mu_mem_debug_set((struct mu_mem_debug){0});
        assert_true(images_change(&a)); /* the same again, with memory */
        assert_int_equal(mu_model_get_image_set(a.s->model, a.s->images[0])->count, 1);
        mu_db_replica_destroy(a.db, a.s);
        mu_db_destroy(a.db);
        if (passed) {
            assert_true(nth > 5);
            return;
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_model_image_set__any_order__one_entry),
        cmocka_unit_test(test_model_image_set__sizes_out_of_bounds__brought_in),
        cmocka_unit_test(test_model_image_set__beyond_limits__nothing_changed),
        cmocka_unit_test(test_image_round__ten_significant_bits),
        cmocka_unit_test(test_image_points__cases),
        cmocka_unit_test(test_image_points__one_image_twice__counts_twice),
        cmocka_unit_test(test_image_points__largest_of_all__full_points),
        cmocka_unit_test(test_db_images__fifty_in_common_sets__a_few_bytes_a_node),
        cmocka_unit_test(test_db_images__pulled__static_generation_stays),
        cmocka_unit_test(test_db_images__out_of_memory__as_before_or_done),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
