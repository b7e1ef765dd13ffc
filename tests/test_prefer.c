#include "tests/mu_test.h"

#include "engine/base/error.h"
#include "engine/base/mem.h"
#include "engine/prefer.h"
#include "tests/support/cluster.h"

#define GI (INT64_C(1) << 30)

struct fixture {
    struct mu_cluster cluster;
    struct mu_filter *filter;
    struct mu_score score;
    const struct mu_filter_mask *mask;
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
    return class_;
}

static void fixture_fini(struct fixture *f)
{
    mu_filter_destroy(f->filter);
    mu_cluster_fini(&f->cluster);
}

static void test_prefer_create__soft_taints__fewer_are_liked_more(void **state)
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
    assert_true(mu_prefer_taints_matter(&f.cluster.snapshot));
    assert_int_equal(mu_prefer_create(&f.cluster.snapshot, &f.score, class_, f.mask, &prefer), 0);
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
static void test_prefer_create__tolerations__by_key_value_and_effect(void **state)
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
    assert_int_equal(mu_prefer_create(&f.cluster.snapshot, &f.score, class_, f.mask, &prefer), 0);
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

static void test_prefer_create__preferred_terms__by_weight_of_the_largest(void **state)
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
    assert_false(mu_prefer_taints_matter(&f.cluster.snapshot));
    assert_int_equal(mu_prefer_create(&f.cluster.snapshot, &f.score, class_, f.mask, &prefer), 0);
    assert_int_equal(prefer->levels[0][liked], f.score.node_affinity);
    assert_int_equal(prefer->levels[0][other], f.score.node_affinity / 4);
    assert_int_equal(prefer->levels[1][0], f.score.node_affinity / 4);
    assert_int_equal(prefer->levels[1][1], f.score.node_affinity);
    mu_prefer_destroy(prefer);
    fixture_fini(&f);
}

static void test_prefer_create__all_alike__no_column(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    (void)node_add(&f, "n0", "z0", soft, 1);
    (void)node_add(&f, "n1", "z0", soft, 1);
    struct mu_pod_object pod = pod_of_terms(terms);
    const struct mu_class *class_ = class_open(&f, &pod);
    struct mu_prefer *prefer = NULL;
    assert_int_equal(mu_prefer_create(&f.cluster.snapshot, &f.score, class_, f.mask, &prefer), 0);
    assert_null(prefer);
    mu_prefer_destroy(prefer);
    fixture_fini(&f);
}

static void test_prefer_create__out_of_memory__nothing_changed(void **state)
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
        rc = mu_prefer_create(&f.cluster.snapshot, &f.score, class_, f.mask, &prefer);
        mu_mem_debug_set((struct mu_mem_debug){0});
        assert_true(rc == 0 || (rc == MU_ENOMEM && prefer == NULL));
    } while (rc != 0);
    assert_int_equal(nth, 4); /* tally, column, its levels; then it succeeds */
    mu_prefer_destroy(prefer);
    fixture_fini(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_prefer_create__soft_taints__fewer_are_liked_more),
        cmocka_unit_test(test_prefer_create__tolerations__by_key_value_and_effect),
        cmocka_unit_test(test_prefer_create__preferred_terms__by_weight_of_the_largest),
        cmocka_unit_test(test_prefer_create__all_alike__no_column),
        cmocka_unit_test(test_prefer_create__out_of_memory__nothing_changed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
