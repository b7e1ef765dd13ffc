#include "tests/mu_test.h"

#include "engine/base/bitset.h"
#include "engine/base/error.h"
#include "engine/base/mem.h"
#include "engine/place/prefer.h"
#include "tests/support/cluster.h"

#define GI (INT64_C(1) << 30)

struct fixture {
    struct mu_cluster cluster;
    struct mu_filter *filter;
    struct mu_score score;
    const struct mu_filter_mask *mask;
    struct mu_prefer_log log;
};

static const struct mu_taint soft[] = {
    {{"a", 1}, {"", 0}, MU_EFFECT_PREFER_NO_SCHEDULE},
    {{"b", 1}, {"x", 1}, MU_EFFECT_PREFER_NO_SCHEDULE},
    {{"hard", 4}, {"", 0}, MU_EFFECT_NO_SCHEDULE},
};

/* A node of zone `zone` with `taint_count` of the taints above from `taints` on. */
static uint32_t node_add(struct fixture *f, const char *name, const char *zone,
                         const struct mu_taint *taints, uint32_t taint_count)
{
    const struct mu_amount amounts[] = {
        {MU_STR("cpu"), 8000}, {MU_STR("memory"), 32 * GI}, {MU_STR("pods"), 110}};
    const struct mu_label labels[] = {{MU_STR("zone"), mu_str_of(zone)}};
    const struct mu_node_object node = {.name = mu_str_of(name),
                                        .uid = mu_str_of(name),
                                        .labels = labels,
                                        .label_count = 1,
                                        .taints = taints,
                                        .taint_count = taint_count,
                                        .allocatable = amounts,
                                        .allocatable_count = 3};
    return mu_cluster_node(&f->cluster, &node);
}

static void fixture_init(struct fixture *f)
{
    memset(f, 0, sizeof *f);
    mu_cluster_init(&f->cluster, 200, 0);
}

static const struct mu_class *class_open(struct fixture *f, const struct mu_pod_object *pod)
{
    struct mu_class_ix ix = mu_cluster_class(&f->cluster, pod);
    const struct mu_class *class_ = mu_model_get_class(f->cluster.model, ix);
    f->filter = mu_filter_create(mu_scan_best());
    assert_non_null(f->filter);
    mu_filter_begin(f->filter, &f->cluster.snapshot);
    assert_int_equal(mu_filter_mask(f->filter, class_, &f->mask), 0);
    mu_score_compile(&f->score, &mu_profile_default, f->cluster.model,
                     f->cluster.snapshot.resource_count);
    mu_prefer_init(&f->log);
    mu_prefer_begin(&f->log, &f->cluster.snapshot);
    return class_;
}

static int bring(struct fixture *f, const struct mu_class *class_, struct mu_prefer **prefer)
{
    return mu_prefer_bring(&f->log, &f->score, class_, f->mask, prefer);
}

static void fixture_fini(struct fixture *f)
{
    mu_filter_destroy(f->filter);
    mu_cluster_fini(&f->cluster);
}

static void test_prefer_bring__soft_taints__fewer_are_liked_more(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    uint32_t none = node_add(&f, "none", "z", NULL, 0);
    uint32_t one = node_add(&f, "one", "z", soft, 1);
    uint32_t two = node_add(&f, "two", "z", soft, 2);
    uint32_t refused = node_add(&f, "refused", "z", soft, 3);
    const struct mu_class *class_ = class_open(&f, &(struct mu_pod_object){0});
    struct mu_prefer *prefer = NULL;
    assert_int_equal(bring(&f, class_, &prefer), 0);
    assert_int_equal(prefer->levels[0][none], f.score.taints);
    assert_int_equal(prefer->levels[0][one], f.score.taints / 2);
    assert_int_equal(prefer->levels[0][two], 0);
    assert_int_equal(prefer->levels[0][refused], 0);
    for (uint32_t l = 1; l < MU_LEVELS_MAX; l++)
        assert_int_equal(prefer->levels[l][0], f.score.taints);
    mu_prefer_destroy(prefer);
    fixture_fini(&f);
}

/* A toleration of the other effect does not help; one of any effect does. */
static void test_prefer_bring__tolerations__by_key_value_and_effect(void **state)
{
    (void)state;
    const struct mu_toleration tolerations[] = {
        {MU_STR("a"), MU_STR(""), MU_TOLERATE_EXISTS, MU_EFFECT_NO_SCHEDULE},
        {MU_STR("b"), MU_STR("x"), MU_TOLERATE_EQUAL, MU_EFFECT_ANY},
    };
    struct fixture f;
    fixture_init(&f);
    uint32_t a = node_add(&f, "a", "z", soft, 1), b = node_add(&f, "b", "z", soft + 1, 1);
    const struct mu_class *class_ =
        class_open(&f, &(struct mu_pod_object){.tolerations = tolerations, .toleration_count = 2});
    struct mu_prefer *prefer = NULL;
    assert_int_equal(bring(&f, class_, &prefer), 0);
    assert_int_equal(prefer->levels[0][a], 0);
    assert_int_equal(prefer->levels[0][b], f.score.taints);
    mu_prefer_destroy(prefer);
    fixture_fini(&f);
}

static struct mu_pod_object pod_of_terms(const struct mu_preferred_node *terms)
{
    return (struct mu_pod_object){.preferred_nodes = terms, .preferred_node_count = 2};
}

static const struct mu_str zone_1 = {"z1", 2};
static const struct mu_requirement in_zone_1 = {{"zone", 4}, MU_OP_IN, &zone_1, 1};
static const struct mu_requirement any_zone = {{"zone", 4}, MU_OP_EXISTS, NULL, 0};
static const struct mu_preferred_node terms[] = {
    {30, {.labels = {.requirements = &in_zone_1, .requirement_count = 1}}},
    {10, {.labels = {.requirements = &any_zone, .requirement_count = 1}}},
};

static void test_prefer_bring__preferred_terms__by_weight_of_the_largest(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    uint32_t other = node_add(&f, "other", "z0", NULL, 0);
    for (int i = 0; i < 100; i++) { /* the liked one in another block */
        char name[16];
        (void)snprintf(name, sizeof name, "n%d", i);
        (void)node_add(&f, name, "z2", NULL, 0);
    }
    uint32_t liked = node_add(&f, "liked", "z1", NULL, 0);
    struct mu_pod_object pod = pod_of_terms(terms);
    const struct mu_class *class_ = class_open(&f, &pod);
    struct mu_prefer *prefer = NULL;
    assert_int_equal(bring(&f, class_, &prefer), 0);
    assert_int_equal(prefer->levels[0][liked], f.score.node_affinity);
    assert_int_equal(prefer->levels[0][other], f.score.node_affinity / 4);
    assert_int_equal(prefer->levels[1][0], f.score.node_affinity / 4);
    assert_int_equal(prefer->levels[1][1], f.score.node_affinity);
    mu_prefer_destroy(prefer);
    fixture_fini(&f);
}

/* Terms that name nodes are judged for each row, and once: a pod may have a thousand of them. */
static void test_prefer_bring__terms_that_name_nodes__looked_at_once_a_row(void **state)
{
    (void)state;
    enum { ROWS = 100, TERMS = 50 };
    struct fixture f;
    char names[ROWS][16];
    struct mu_str values[TERMS];
    struct mu_requirement fields[TERMS];
    struct mu_preferred_node named[TERMS];
    fixture_init(&f);
    for (uint32_t i = 0; i < ROWS; i++) {
        (void)snprintf(names[i], sizeof names[i], "n%u", i);
        (void)node_add(&f, names[i], "z", NULL, 0);
    }
    for (uint32_t t = 0; t < TERMS; t++) {
        values[t] = mu_str_of(names[t]);
        fields[t] = (struct mu_requirement){MU_STR("metadata.name"), MU_OP_IN, &values[t], 1};
        named[t] = (struct mu_preferred_node){
            .weight = 1 + (int32_t)t,
            .term = {.fields = {.requirements = &fields[t], .requirement_count = 1}}};
    }
    struct mu_pod_object pod = pod_of_terms(named);
    pod.preferred_node_count = TERMS;
    const struct mu_class *class_ = class_open(&f, &pod);
    struct mu_prefer *prefer = NULL;
    assert_int_equal(bring(&f, class_, &prefer), 0);
    for (uint32_t i = 0; i < ROWS; i++) {
        int64_t weight = i < TERMS ? 1 + (int64_t)i : 0;
        assert_int_equal(prefer->levels[0][i], f.score.node_affinity * weight / TERMS);
    }
    assert_int_equal(f.log.looks, ROWS * TERMS * 2);
    mu_prefer_destroy(prefer);
    fixture_fini(&f);
}

static void test_prefer_bring__all_alike__no_column(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    (void)node_add(&f, "n0", "z0", soft, 1);
    (void)node_add(&f, "n1", "z0", soft, 1);
    struct mu_pod_object pod = pod_of_terms(terms);
    const struct mu_class *class_ = class_open(&f, &pod);
    struct mu_prefer *prefer = NULL;
    assert_int_equal(bring(&f, class_, &prefer), 0);
    assert_null(prefer->levels[0]);
    assert_int_equal(prefer->common, f.score.node_affinity);
    mu_prefer_destroy(prefer);
    fixture_fini(&f);
}

static void test_prefer_bring__out_of_memory__nothing_changed(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    (void)node_add(&f, "n0", "z0", soft, 1);
    (void)node_add(&f, "n1", "z1", soft, 2);
    struct mu_pod_object pod = pod_of_terms(terms);
    const struct mu_class *class_ = class_open(&f, &pod);
    struct mu_prefer *prefer = NULL;
    uint64_t nth = 0;
    int rc;
    do {
        mu_mem_debug_set((struct mu_mem_debug){.fail_nth = ++nth});
        rc = bring(&f, class_, &prefer);
        mu_mem_debug_set((struct mu_mem_debug){0});
        assert_true(rc == 0 || (rc == MU_ENOMEM && prefer == NULL));
    } while (rc != 0);
    assert_int_equal(nth, 4); /* tally, column, its levels; then it succeeds */
    mu_prefer_destroy(prefer);
    fixture_fini(&f);
}

/* ---- images and following -------------------------------------------------------------------- */

#define MI (INT64_C(1) << 20)

static void test_prefer_bring__images__by_points(void **state)
{
    (void)state;
    const struct mu_image big = {MU_STR("web:1"), 2000 * MI};
    struct fixture f;
    fixture_init(&f);
    uint32_t has = node_add(&f, "has", "z", NULL, 0), lacks = node_add(&f, "lacks", "z", NULL, 0);
    mu_cluster_images(&f.cluster, has, &big, 1);
    const struct mu_class *class_ =
        class_open(&f, &(struct mu_pod_object){.images = &big, .image_count = 1});
    struct mu_prefer *prefer = NULL;
    assert_int_equal(bring(&f, class_, &prefer), 0);
    assert_int_equal(prefer->levels[0][has], f.score.images); /* 2000 MiB on one node of two */
    assert_int_equal(prefer->levels[0][lacks], 0);
    assert_int_equal(prefer->levels[1][0], f.score.images);
    mu_prefer_destroy(prefer);
    fixture_fini(&f);
}

/* Nothing that the class asks for is anywhere: nobody looks at rows. */
static void test_prefer_bring__images_that_no_node_has__null(void **state)
{
    (void)state;
    const struct mu_image web = {MU_STR("web:1"), 2000 * MI}, db = {MU_STR("db:1"), MI};
    struct fixture f;
    fixture_init(&f);
    mu_cluster_images(&f.cluster, node_add(&f, "n", "z", NULL, 0), &db, 1);
    const struct mu_class *class_ =
        class_open(&f, &(struct mu_pod_object){.images = &web, .image_count = 1});
    struct mu_prefer *prefer = NULL;
    assert_int_equal(bring(&f, class_, &prefer), 0);
    assert_null(prefer);
    fixture_fini(&f);
}

enum { NODES = 700, WANTED = 4, STEPS = 1500 };

struct twin_run {
    struct fixture f;
    struct mu_test_run run;
    const struct mu_class *classes[WANTED];
    struct mu_prefer *followed[WANTED];
    uint32_t kept; /* columns that the changes did not make anew */
};

static const struct mu_image pulled[] = {{{"web:1", 5}, 700 * MI},
                                         {{"web:1", 5}, 900 * MI}, /* a tag that was moved */
                                         {{"db:1", 4}, 300 * MI},
                                         {{"side:1", 6}, 90 * MI}};

static void random_images(struct twin_run *t, uint32_t row)
{
    struct mu_image here[3];
    uint32_t count = (uint32_t)mu_random_below(&t->run.random, 4);
    for (uint32_t i = 0; i < count; i++)
        here[i] = pulled[mu_random_below(&t->run.random, 4)];
    mu_cluster_images(&t->f.cluster, row, here, count);
}

static void random_change(struct twin_run *t)
{
    struct mu_cluster *cluster = &t->f.cluster;
    struct mu_random *random = &t->run.random;
    uint32_t row = (uint32_t)mu_random_below(random, cluster->snapshot.node_rows);
    const struct mu_label zone = {MU_STR("zone"),
                                  mu_random_chance(random, 500) ? MU_STR("z1") : MU_STR("z2")};
    if (mu_random_chance(random, 800))
        random_images(t, row);
    else if (mu_random_chance(random, 500))
        mu_cluster_flags(cluster, row, cluster->snapshot.nodes[row].flags ^ MU_NODE_UNSCHEDULABLE);
    else if (mu_random_chance(random, 500))
        mu_cluster_relabel(cluster, row, &zone, 1);
    else if (mu_random_chance(random, 100))
        mu_cluster_taint(cluster, row, soft, (uint32_t)mu_random_below(random, 3));
}

/* The column that has followed against one made now. */
static void columns_compare(struct twin_run *t, uint32_t c)
{
    struct fixture *f = &t->f;
    struct mu_prefer *fresh = NULL, *before = t->followed[c];
    MU_TEST_CHECK(&t->run, mu_filter_mask(f->filter, t->classes[c], &f->mask) == 0);
    MU_TEST_CHECK(&t->run, bring(f, t->classes[c], &fresh) == 0);
    MU_TEST_CHECK(&t->run, bring(f, t->classes[c], &t->followed[c]) == 0);
    const struct mu_prefer *followed = t->followed[c];
    t->kept += followed != NULL && followed == before;
    MU_TEST_CHECK(&t->run, (followed == NULL) == (fresh == NULL));
    if (fresh == NULL)
        return;
    const int32_t *expected = fresh->levels[0], *got = followed->levels[0];
    for (uint32_t row = 0; row < f->cluster.snapshot.node_cap; row++) {
        bool passes = mu_bitset_test(f->mask->bits[0], row);
        int32_t want = expected != NULL ? expected[row] : passes ? fresh->common : 0;
        int32_t have = got != NULL ? got[row] : passes ? followed->common : 0;
        MU_TEST_CHECK(&t->run, want == have);
        for (uint32_t l = 1, e = row / 64; got != NULL && expected != NULL && l < MU_LEVELS_MAX;
             l++, e /= 64)
            MU_TEST_CHECK(&t->run, followed->levels[l][e] == fresh->levels[l][e]);
    }
    mu_prefer_destroy(fresh);
}

static void test_prefer_bring__random_changes__equals_a_new_column(void **state)
{
    (void)state;
    static struct twin_run t;
    t = (struct twin_run){.run = mu_test_run_begin(57)};
    memset(&t.f, 0, sizeof t.f);
    mu_cluster_init(&t.f.cluster, NODES, 0);
    for (uint32_t n = 0; n < NODES; n++) {
        char name[16];
        (void)snprintf(name, sizeof name, "n%u", n);
        random_images(&t, node_add(&t.f, name, n % 2 == 0 ? "z1" : "z2", NULL, 0));
    }
    struct mu_pod_object pods[WANTED] = {{.images = pulled, .image_count = 2},
                                         {.images = pulled + 2, .image_count = 2},
                                         pod_of_terms(terms),
                                         {.images = pulled, .image_count = 4}};
    pods[3].preferred_nodes = terms;
    pods[3].preferred_node_count = 2;
    for (uint32_t c = 0; c < WANTED; c++)
        t.classes[c] =
            mu_model_get_class(t.f.cluster.model, mu_cluster_class(&t.f.cluster, &pods[c]));
    (void)class_open(&t.f, &pods[0]);
    mu_cluster_track(&t.f.cluster);
    for (t.run.step = 0; t.run.step < STEPS; t.run.step++) {
        for (uint64_t n = mu_random_below(&t.run.random, 3); n > 0; n--)
            random_change(&t);
        mu_filter_begin(t.f.filter, &t.f.cluster.snapshot);
        mu_prefer_begin(&t.f.log, &t.f.cluster.snapshot);
        mu_cluster_handed_over(&t.f.cluster);
        uint32_t asked = (uint32_t)mu_random_below(&t.run.random, WANTED);
        columns_compare(&t, asked);
    }
    assert_true(t.kept > STEPS / 10); /* there was something to follow */
    for (uint32_t c = 0; c < WANTED; c++)
        mu_prefer_destroy(t.followed[c]);
    fixture_fini(&t.f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_prefer_bring__soft_taints__fewer_are_liked_more),
        cmocka_unit_test(test_prefer_bring__tolerations__by_key_value_and_effect),
        cmocka_unit_test(test_prefer_bring__preferred_terms__by_weight_of_the_largest),
        cmocka_unit_test(test_prefer_bring__terms_that_name_nodes__looked_at_once_a_row),
        cmocka_unit_test(test_prefer_bring__all_alike__no_column),
        cmocka_unit_test(test_prefer_bring__images__by_points),
        cmocka_unit_test(test_prefer_bring__images_that_no_node_has__null),
        cmocka_unit_test(test_prefer_bring__random_changes__equals_a_new_column),
        cmocka_unit_test(test_prefer_bring__out_of_memory__nothing_changed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
