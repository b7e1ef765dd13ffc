/* Masks, verdicts and counts: against the naive twin, and the order of filters case by case. */
#include "tests/mu_test.h"

#include "engine/base/bitset.h"
#include "engine/base/error.h"
#include "engine/place/filter.h"
#include "tests/support/cluster_random.h"
#include "tests/support/oracle.h"

#define GI      (INT64_C(1) << 30)
#define CLASSES 16

static enum mu_verdict_kind kind_of(const struct mu_cluster *cluster, struct mu_class_ix class_ix,
                                    uint32_t row)
{
    const struct mu_class *c = mu_model_get_class(cluster->model, class_ix);
    return mu_filter_verdict(&cluster->snapshot, c, (struct mu_node_ix){row}).kind;
}

/* A node that every filter refuses; then the reasons are taken away one by one. */
static void test_filter_verdict__every_reason__in_order(void **state)
{
    (void)state;
    struct mu_cluster cluster;
    mu_cluster_init(&cluster, 8, 0);
    const struct mu_taint taint = {MU_STR("dedicated"), MU_STR("gpu"), MU_EFFECT_NO_SCHEDULE};
    const struct mu_label label = {MU_STR("disk"), MU_STR("ssd")};
    const struct mu_amount full[] = {
        {MU_STR("cpu"), 2000}, {MU_STR("memory"), 2 * GI}, {MU_STR("pods"), 1}};
    struct mu_node_object node = {.name = MU_STR("n"),
                                  .taints = &taint,
                                  .taint_count = 1,
                                  .allocatable = full,
                                  .allocatable_count = 3,
                                  .unschedulable = true};
    const struct mu_amount asks[] = {{MU_STR("memory"), 2 * GI}, {MU_STR("cpu"), 2000}};
    const struct mu_pod_object pod = {
        .requests = asks, .request_count = 2, .selector = &label, .selector_count = 1};
    uint32_t row = mu_cluster_node(&cluster, &node);
    mu_cluster_free_add(&cluster, row, MU_RES_PODS, -1);
    struct mu_class_ix c = mu_cluster_class(&cluster, &pod);
    assert_int_equal(kind_of(&cluster, c, row), MU_NO_UNSCHEDULABLE);
    mu_cluster_flags(&cluster, row, MU_NODE_PRESENT);
    assert_int_equal(kind_of(&cluster, c, row), MU_NO_TAINT);

    node.unschedulable = false;
    node.taint_count = 0;
    node.name = MU_STR("n2");
    row = mu_cluster_node(&cluster, &node);
    mu_cluster_free_add(&cluster, row, MU_RES_PODS, -1);
    assert_int_equal(kind_of(&cluster, c, row), MU_NO_NODE_AFFINITY);

    node.labels = &label;
    node.label_count = 1;
    node.name = MU_STR("n3");
    row = mu_cluster_node(&cluster, &node);
    mu_cluster_free_add(&cluster, row, MU_RES_PODS, -1);
    assert_int_equal(kind_of(&cluster, c, row), MU_NO_PODS);
    mu_cluster_free_add(&cluster, row, MU_RES_PODS, 1);
    mu_cluster_free_add(&cluster, row, MU_RES_CPU, -1000);
    mu_cluster_free_add(&cluster, row, MU_RES_MEMORY, -GI);

    /* Both are short: the smaller number is named. */
    const struct mu_class *class_ = mu_model_get_class(cluster.model, c);
    struct mu_verdict verdict =
        mu_filter_verdict(&cluster.snapshot, class_, (struct mu_node_ix){row});
    assert_int_equal(verdict.kind, MU_NO_RESOURCE);
    assert_int_equal(verdict.resource.v, MU_RES_CPU);
    mu_cluster_free_add(&cluster, row, MU_RES_CPU, 1000);
    verdict = mu_filter_verdict(&cluster.snapshot, class_, (struct mu_node_ix){row});
    assert_int_equal(verdict.resource.v, MU_RES_MEMORY);
    mu_cluster_free_add(&cluster, row, MU_RES_MEMORY, GI); /* just enough */
    assert_int_equal(kind_of(&cluster, c, row), MU_FITS);
    mu_cluster_fini(&cluster);
}

/* What is not requested is not looked at, however far below zero it is. */
static void test_filter_verdict__best_effort_pod__needs_a_slot_only(void **state)
{
    (void)state;
    struct mu_cluster cluster;
    mu_cluster_init(&cluster, 1, 0);
    uint32_t row = mu_cluster_plain_node(&cluster, "n", 1000, GI, 1, 0);
    mu_cluster_free_add(&cluster, row, MU_RES_CPU, -5000);
    mu_cluster_free_add(&cluster, row, MU_RES_MEMORY, -5 * GI);
    struct mu_class_ix nothing = mu_cluster_plain_class(&cluster, 0, 0, 0);
    assert_int_equal(kind_of(&cluster, nothing, row), MU_FITS);
    assert_int_equal(kind_of(&cluster, mu_cluster_plain_class(&cluster, 1, 0, 0), row),
                     MU_NO_RESOURCE);
    mu_cluster_free_add(&cluster, row, MU_RES_PODS, -1);
    assert_int_equal(kind_of(&cluster, nothing, row), MU_NO_PODS);
    mu_cluster_fini(&cluster);
}

/* Preemption cannot help where the node as a whole is too small for one of the requests. */
static void test_filter_verdict__beyond_the_whole_node__no_preemption(void **state)
{
    (void)state;
    struct mu_cluster cluster;
    mu_cluster_init(&cluster, 1, 0);
    uint32_t row = mu_cluster_plain_node(&cluster, "n", 1000, GI, 10, 0);
    mu_cluster_free_add(&cluster, row, MU_RES_CPU, -500);
    struct {
        int64_t cpu, memory;
        enum mu_verdict_kind want;
        uint32_t resource;
    } cases[] = {
        {500, GI, MU_FITS, 0},
        {501, GI, MU_NO_RESOURCE, MU_RES_CPU},
        {1000, GI, MU_NO_RESOURCE, MU_RES_CPU},
        {1001, GI, MU_NO_RESOURCE_EVER, MU_RES_CPU},
        {501, GI + 1, MU_NO_RESOURCE_EVER, MU_RES_CPU}, /* told as the first one short */
        {500, GI + 1, MU_NO_RESOURCE_EVER, MU_RES_MEMORY},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct mu_class_ix c = mu_cluster_plain_class(&cluster, cases[i].cpu, cases[i].memory, 0);
        struct mu_verdict got = mu_filter_verdict(
            &cluster.snapshot, mu_model_get_class(cluster.model, c), (struct mu_node_ix){row});
        assert_int_equal(got.kind, cases[i].want);
        assert_int_equal(got.resource.v, cases[i].resource);
    }
    /* Without a free slot it is the slot that is told, unless it would not help. */
    mu_cluster_free_add(&cluster, row, MU_RES_PODS, -10);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct mu_class_ix c = mu_cluster_plain_class(&cluster, cases[i].cpu, cases[i].memory, 0);
        struct mu_verdict got = mu_filter_verdict(
            &cluster.snapshot, mu_model_get_class(cluster.model, c), (struct mu_node_ix){row});
        bool ever = cases[i].want == MU_NO_RESOURCE_EVER;
        assert_int_equal(got.kind, ever ? MU_NO_RESOURCE_EVER : MU_NO_PODS);
        assert_int_equal(got.resource.v, ever ? cases[i].resource : 0);
        assert_int_equal(mu_verdict_may_preempt(got.kind), !ever);
    }
    mu_cluster_fini(&cluster);
}

static void test_filter_verdict__impossible_class__says_why(void **state)
{
    (void)state;
    struct mu_cluster cluster;
    mu_cluster_init(&cluster, 1, 0);
    uint32_t row = mu_cluster_plain_node(&cluster, "n", 1000, GI, 10, 0);
    const struct mu_label both[] = {{MU_STR("a"), MU_STR("1")}, {MU_STR("a"), MU_STR("2")}};
    const struct mu_pod_object torn = {.selector = both, .selector_count = 2};
    const struct mu_amount much = {MU_STR("cpu"), MU_AMOUNT_MAX};
    const struct mu_pod_object greedy = {.requests = &much, .request_count = 1};
    const struct mu_amount unheard = {MU_STR("example.com/none"), 1};
    const struct mu_pod_object odd = {.requests = &unheard, .request_count = 1};
    assert_int_equal(kind_of(&cluster, mu_cluster_class(&cluster, &torn), row),
                     MU_NO_NODE_AFFINITY);
    assert_int_equal(kind_of(&cluster, mu_cluster_class(&cluster, &greedy), row),
                     MU_NO_RESOURCE_EVER);
    assert_int_equal(kind_of(&cluster, mu_cluster_class(&cluster, &odd), row), MU_NO_RESOURCE_EVER);
    mu_cluster_fini(&cluster);
}

/* Mask and counts of one class against the twin's verdict on each row. */
static void check_class(struct mu_test_run *run, const struct mu_cluster *cluster,
                        struct mu_filter *filter, struct mu_class_ix class_ix)
{
    const struct mu_snapshot *s = &cluster->snapshot;
    const struct mu_class *c = mu_model_get_class(s->model, class_ix);
    const struct mu_filter_mask *mask;
    struct mu_refusals counted, expected = {.by_verdict = {0}};
    MU_TEST_CHECK(run, mu_filter_mask(filter, c, &mask) == 0);
    uint32_t rows_above[MU_LEVELS_MAX] = {s->node_rows};
    for (uint32_t row = 0; row < s->node_rows; row++) {
        bool present = (s->nodes[row].flags & MU_NODE_PRESENT) != 0;
        struct mu_class bare = *c; /* pins are not the mask's business */
        bare.affinity = mu_model_get_affinity(s->model, c->affinity)->bare;
        bare.impossible = false;
        bool passes = present && (mu_oracle_verdict(s, &bare, row).kind == MU_FITS ||
                                  mu_oracle_verdict(s, &bare, row).kind >= MU_NO_PORTS);
        MU_TEST_CHECK(run, mu_bitset_test(mask->bits[0], row) == passes);
        if (!present)
            continue;
        struct mu_verdict want = mu_oracle_verdict(s, c, row);
        struct mu_verdict got = mu_filter_verdict(s, c, (struct mu_node_ix){row});
        MU_TEST_CHECK(run, got.kind == want.kind);
        bool short_of = want.kind == MU_NO_RESOURCE || want.kind == MU_NO_RESOURCE_EVER;
        MU_TEST_CHECK(run, !short_of || got.resource.v == want.resource.v);
        MU_TEST_CHECK(run, got.reasons == want.reasons && got.lacking == want.lacking);
        mu_oracle_count(&expected, want);
    }
    for (uint32_t l = 1; l < MU_LEVELS_MAX; l++) {
        rows_above[l] = (rows_above[l - 1] + 63) / 64;
        for (uint32_t e = 0; e < rows_above[l]; e++)
            MU_TEST_CHECK(run, mu_bitset_test(mask->bits[l], e) == (mask->bits[l - 1][e] != 0));
    }
    MU_TEST_CHECK(run, mu_filter_count(filter, c, &counted) == 0);
    MU_TEST_CHECK(run, memcmp(&counted, &expected, sizeof counted) == 0);
}

/* Something about a random node changes: a cordon, its labels, its taints, or that it is there. */
static void static_event(struct mu_cluster *cluster, struct mu_random *random)
{
    const struct mu_label labels[] = {{MU_STR("zone"), MU_STR("z1")},
                                      {MU_STR("disk"), MU_STR("ssd")},
                                      {MU_STR("gen"), MU_STR("7")},
                                      {MU_STR(MU_HOSTNAME_KEY), MU_STR("node-3")}};
    const struct mu_taint taint = {MU_STR("dedicated"), MU_STR("gpu"), MU_EFFECT_NO_SCHEDULE};
    struct mu_snapshot *s = &cluster->snapshot;
    uint32_t row = (uint32_t)mu_random_below(random, s->node_rows);
    if ((s->nodes[row].flags & MU_NODE_PRESENT) == 0)
        return;
    switch (mu_random_below(random, 4)) {
    case 0:
        mu_cluster_flags(cluster, row, s->nodes[row].flags ^ MU_NODE_UNSCHEDULABLE);
        break;
    case 1:
        mu_cluster_relabel(cluster, row, labels + mu_random_below(random, 2),
                           (uint32_t)mu_random_below(random, 3));
        break;
    case 2:
        mu_cluster_taint(cluster, row, &taint, (uint32_t)mu_random_below(random, 2));
        break;
    default:
        if (mu_random_chance(random, 100)) /* it goes: a hole */
            mu_cluster_flags(cluster, row, 0);
        break;
    }
}

/* Masks that are carried on, over handed-over lists of every length, some of them too long. */
static void test_filter_mask__nodes_change__equals_oracle(void **state)
{
    (void)state;
    struct mu_test_run run = mu_test_run_begin(22);
    const struct mu_cluster_shape shape = {.nodes_max = 300, .classes = CLASSES};
    uint32_t carried = 0;
    for (run.step = 0; run.step < 100; run.step++) {
        struct mu_cluster cluster;
        struct mu_class_ix classes[CLASSES];
        mu_cluster_random(&cluster, &run.random, &shape, classes);
        struct mu_filter *filter = mu_filter_create(mu_scan_best());
        mu_cluster_track(&cluster);
        mu_filter_begin(filter, &cluster.snapshot);
        for (int round = 0; round < 12 && cluster.snapshot.node_rows > 0; round++) {
            uint64_t before = mu_filter_judged(filter);
            uint32_t first = (uint32_t)mu_random_below(&run.random, CLASSES);
            for (uint32_t c = first; c < CLASSES; c++) /* some masks fall behind */
                check_class(&run, &cluster, filter, classes[c]);
            carried += mu_filter_judged(filter) - before < cluster.snapshot.node_rows;
            mu_cluster_handed_over(&cluster);
            uint64_t events = mu_random_below(&run.random, round % 4 == 3 ? 200 : 8);
            for (uint64_t e = 0; e < events; e++)
                static_event(&cluster, &run.random);
            mu_filter_begin(filter, &cluster.snapshot);
        }
        mu_filter_destroy(filter);
        mu_cluster_fini(&cluster);
    }
    assert_true(carried > 100);
}

/* A label, a taint or a cordon costs one row a mask, and nothing the masks that nobody asks for. */
static void test_filter_mask__one_node_changed__one_row_judged(void **state)
{
    (void)state;
    struct mu_cluster cluster;
    enum { NODES = 5000, MASKS = 5 };
    mu_cluster_init(&cluster, NODES, 0);
    struct mu_filter *filter = mu_filter_create(mu_scan_best());
    const struct mu_class *classes[MASKS];
    const struct mu_filter_mask *mask;
    const struct mu_label fast = {MU_STR("disk"), MU_STR("ssd")};
    char value[MASKS][8];
    for (uint32_t n = 0; n < NODES; n++) {
        char name[16];
        (void)snprintf(name, sizeof name, "n%u", n);
        (void)mu_cluster_plain_node(&cluster, name, 1000, GI, 10, 0);
    }
    mu_cluster_track(&cluster);
    for (uint32_t c = 0; c < MASKS; c++) {
        (void)snprintf(value[c], sizeof value[c], "%s", c == 0 ? "ssd" : "x");
        value[c][0] = (char)(value[c][0] + (c == 0 ? 0 : (int)c - 1));
        const struct mu_label label = {MU_STR("disk"), mu_str_of(value[c])};
        const struct mu_pod_object pod = {.selector = &label, .selector_count = 1};
        classes[c] = mu_model_get_class(cluster.model, mu_cluster_class(&cluster, &pod));
    }
    mu_filter_begin(filter, &cluster.snapshot);
    for (uint32_t c = 0; c < MASKS; c++)
        assert_int_equal(mu_filter_mask(filter, classes[c], &mask), 0);
    assert_int_equal(mu_filter_judged(filter), MASKS * NODES);
    mu_cluster_handed_over(&cluster);
    mu_cluster_relabel(&cluster, 4321, &fast, 1);
    mu_filter_begin(filter, &cluster.snapshot);
    assert_int_equal(mu_filter_judged(filter), MASKS * NODES);
    for (int again = 0; again < 2; again++) {
        for (uint32_t c = 0; c < MASKS - 1; c++) {
            assert_int_equal(mu_filter_mask(filter, classes[c], &mask), 0);
            assert_int_equal(mu_bitset_test(mask->bits[0], 4321), c == 0);
        }
        assert_int_equal(mu_filter_judged(filter), MASKS * NODES + MASKS - 1);
    }
    uint64_t version = mask->version;
    mu_cluster_handed_over(&cluster);
    mu_cluster_taint(&cluster, 17, NULL, 0); /* still refused: the bits are as they were */
    mu_filter_begin(filter, &cluster.snapshot);
    assert_int_equal(mu_filter_mask(filter, classes[MASKS - 2], &mask), 0);
    assert_true(mask->version == version);
    mu_filter_destroy(filter);
    mu_cluster_fini(&cluster);
}

/* A generation that the list does not reach back to, or one that lies ahead: nothing is carried. */
static void test_filter_begin__list_does_not_reach__masks_forgotten(void **state)
{
    (void)state;
    struct mu_cluster cluster;
    mu_cluster_init(&cluster, 100, 0);
    for (uint32_t n = 0; n < 100; n++)
        (void)mu_cluster_plain_node(&cluster, "n", 1000, GI, 10, 0);
    struct mu_filter *filter = mu_filter_create(mu_scan_best());
    const struct mu_class *c =
        mu_model_get_class(cluster.model, mu_cluster_plain_class(&cluster, 1, 0, 0));
    const struct mu_filter_mask *mask;
    mu_cluster_track(&cluster);
    mu_filter_begin(filter, &cluster.snapshot);
    assert_int_equal(mu_filter_mask(filter, c, &mask), 0);
    mu_cluster_flags(&cluster, 3, MU_NODE_PRESENT | MU_NODE_UNSCHEDULABLE);
    mu_cluster_handed_over(&cluster); /* a snapshot that this filter did not see */
    mu_cluster_flags(&cluster, 4, MU_NODE_PRESENT | MU_NODE_UNSCHEDULABLE);
    mu_filter_begin(filter, &cluster.snapshot);
    assert_int_equal(mu_filter_mask(filter, c, &mask), 0);
    assert_false(mu_bitset_test(mask->bits[0], 3));
    assert_false(mu_bitset_test(mask->bits[0], 4));
    struct mu_snapshot older = cluster.snapshot; /* another replica, not yet so far */
    older.static_generation--;
    older.nodes[4].flags = MU_NODE_PRESENT;
    mu_filter_begin(filter, &older);
    assert_int_equal(mu_filter_mask(filter, c, &mask), 0);
    assert_true(mu_bitset_test(mask->bits[0], 4));
    mu_filter_destroy(filter);
    mu_cluster_fini(&cluster);
}

static void test_filter_mask__random_clusters__equals_oracle(void **state)
{
    (void)state;
    struct mu_test_run run = mu_test_run_begin(21);
    const struct mu_cluster_shape shape = {.nodes_max = 200, .classes = CLASSES};
    for (run.step = 0; run.step < 200; run.step++) {
        struct mu_cluster cluster;
        struct mu_class_ix classes[CLASSES];
        mu_cluster_random(&cluster, &run.random, &shape, classes);
        struct mu_filter *filter = mu_filter_create(mu_scan_best());
        for (int round = 0; round < 4; round++) {
            mu_filter_begin(filter, &cluster.snapshot);
            for (uint32_t c = 0; c < CLASSES; c++)
                check_class(&run, &cluster, filter, classes[c]);
            for (int e = 0; e < 20; e++)
                mu_cluster_random_event(&cluster, &run.random);
        }
        mu_filter_destroy(filter);
        mu_cluster_fini(&cluster);
    }
}

static void test_filter_mask__classes_that_differ_in_requests__share_one(void **state)
{
    (void)state;
    struct mu_cluster cluster;
    mu_cluster_init(&cluster, 3, 0);
    (void)mu_cluster_plain_node(&cluster, "n", 1000, GI, 10, 0);
    const struct mu_class *a =
        mu_model_get_class(cluster.model, mu_cluster_plain_class(&cluster, 1, 0, 0));
    const struct mu_class *b =
        mu_model_get_class(cluster.model, mu_cluster_plain_class(&cluster, 2, 3, 0));
    struct mu_filter *filter = mu_filter_create(mu_scan_best());
    const struct mu_filter_mask *mask_a, *mask_b;
    mu_filter_begin(filter, &cluster.snapshot);
    assert_int_equal(mu_filter_mask(filter, a, &mask_a), 0);
    assert_int_equal(mu_filter_mask(filter, b, &mask_b), 0);
    assert_ptr_equal(mask_a, mask_b);
    /* The same static generation keeps it; another forgets it and says so. */
    uint64_t epoch = mu_filter_epoch(filter);
    mu_cluster_free_add(&cluster, 0, MU_RES_CPU, -1);
    mu_filter_begin(filter, &cluster.snapshot);
    assert_int_equal(mu_filter_epoch(filter), epoch);
    mu_cluster_flags(&cluster, 0, MU_NODE_PRESENT | MU_NODE_UNSCHEDULABLE);
    mu_filter_begin(filter, &cluster.snapshot);
    assert_int_not_equal(mu_filter_epoch(filter), epoch);
    assert_int_equal(mu_filter_mask(filter, a, &mask_a), 0);
    assert_false(mu_bitset_test(mask_a->bits[0], 0));
    mu_filter_destroy(filter);
    mu_cluster_fini(&cluster);
}

static bool oom_body(void *context)
{
    struct mu_cluster *cluster = context;
    struct mu_filter *filter = mu_filter_create(mu_scan_best());
    if (filter == NULL)
        return false;
    mu_filter_begin(filter, &cluster->snapshot);
    int error = 0;
    for (uint32_t c = 0; c < 5 && error == 0; c++) { /* classes 0 .. 4, as made below */
        const struct mu_filter_mask *mask;
        error = mu_filter_mask(filter, mu_model_get_class(cluster->model, (struct mu_class_ix){c}),
                               &mask);
        if (error == 0)
            assert_int_equal(mask->bits[0][0], 0); /* no label, no match */
    }
    if (error != 0)
        assert_int_equal(error, MU_ENOMEM);
    mu_filter_destroy(filter);
    return error == 0;
}

static void test_filter_mask__each_allocation_fails__error_and_no_leak(void **state)
{
    (void)state;
    struct mu_cluster cluster;
    mu_cluster_init(&cluster, 1, 0);
    (void)mu_cluster_plain_node(&cluster, "n", 1000, GI, 10, 0);
    for (uint32_t c = 0; c < 5; c++) {
        char value[8];
        (void)snprintf(value, sizeof value, "v%u", c);
        const struct mu_label label = {MU_STR("k"), mu_str_of(value)};
        const struct mu_pod_object pod = {.selector = &label, .selector_count = 1};
        assert_int_equal(mu_cluster_class(&cluster, &pod).v, c);
    }
    assert_true(mu_test_fail_each(oom_body, &cluster) > 5);
    mu_cluster_fini(&cluster);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_filter_mask__each_allocation_fails__error_and_no_leak),
        cmocka_unit_test(test_filter_verdict__every_reason__in_order),
        cmocka_unit_test(test_filter_verdict__best_effort_pod__needs_a_slot_only),
        cmocka_unit_test(test_filter_verdict__beyond_the_whole_node__no_preemption),
        cmocka_unit_test(test_filter_verdict__impossible_class__says_why),
        cmocka_unit_test(test_filter_mask__random_clusters__equals_oracle),
        cmocka_unit_test(test_filter_mask__nodes_change__equals_oracle),
        cmocka_unit_test(test_filter_mask__one_node_changed__one_row_judged),
        cmocka_unit_test(test_filter_begin__list_does_not_reach__masks_forgotten),
        cmocka_unit_test(test_filter_mask__classes_that_differ_in_requests__share_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
