#include "tests/mu_test.h"

#include "engine/base/error.h"
#include "engine/place/place.h"
#include "engine/place/score.h"
#include "tests/support/cluster_random.h"

#define GI (INT64_C(1) << 30)

/* All that weights may add to a score of the built-in profiles spread and pack. */
#define WHOLE ((INT64_C(1) << 31) - 1024)

struct fixture {
    struct mu_model *model;
    struct mu_score score;
};

static void fixture_init(struct fixture *f, const struct mu_profile *profile)
{
    struct mu_resource_ix ix;
    struct mu_model *model = mu_model_create();
    assert_non_null(model);
    assert_int_equal(mu_resource_intern(mu_model_resources(model), MU_STR("nvidia.com/gpu"), &ix),
                     0);
    assert_int_equal(ix.v, MU_RES_EXTENDED);
    mu_score_compile(&f->score, profile, model, MU_RES_EXTENDED + 1);
    f->model = model;
}

static void fixture_fini(struct fixture *f)
{
    /* cppcheck-suppress uninitvar */
    mu_model_destroy(f->model); /* set by init */
}

static struct mu_score_node node_of(int64_t free_cpu, int64_t free_memory, int64_t cpu,
                                    int64_t memory, uint32_t tie)
{
    return (struct mu_score_node){
        .free = {free_cpu, free_memory}, .alloc = {cpu, memory}, .tie = tie};
}

/* The score of a pod of so much cpu and memory. */
static int64_t score_of(const struct fixture *f, const struct mu_score_node *node, int64_t cpu,
                        int64_t memory)
{
    const int64_t requests[MU_RESOURCES_MAX] = {cpu, memory};
    return mu_score_key(&f->score, node, requests) >> MU_SCORE_TIE_BITS;
}

static void test_score_weight__edges__documented_values(void **state)
{
    (void)state;
    assert_int_equal(mu_score_weight(1000, 0), 0);
    assert_int_equal(mu_score_weight(1000, -5), 0);
    assert_int_equal(mu_score_weight(1000, 1), 1000);
    assert_int_equal(mu_score_weight(1000, 3), 333);
    assert_int_equal(mu_score_weight(-1000, 3), -333);
    assert_int_equal(mu_score_weight(1000, INT64_MAX), 0);
    assert_int_equal(mu_score_weight_limit(1000, 0), 1000);
    assert_int_equal(mu_score_weight_limit(-1000, 7), 142);
}

static void test_score_key__share_of_a_node__half_the_score_per_resource(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f, &mu_profile_spread);
    struct mu_score_node node = node_of(96000, 384 * GI, 96000, 384 * GI, 0);
    int64_t none = score_of(&f, &node, 96000, 384 * GI);
    assert_in_range(none, 0, 4);
    assert_in_range(score_of(&f, &node, 0, 0) - none, WHOLE - 1024, WHOLE);
    assert_in_range(score_of(&f, &node, 48000, 0) - none, WHOLE / 4 * 3 - 1024, WHOLE / 4 * 3);
    assert_in_range(score_of(&f, &node, 48000, 192 * GI) - none, WHOLE / 2 - 1024, WHOLE / 2);
    /* Nothing allocatable scores nothing; room below zero counts as none. */
    struct mu_score_node odd = node_of(-500, 0, 96000, 0, 0);
    assert_int_equal(score_of(&f, &odd, 0, 0), none);
    fixture_fini(&f);
}

static void test_score_key__two_nodes__strategy_then_tie(void **state)
{
    (void)state;
    const struct mu_profile *profiles[] = {&mu_profile_spread, &mu_profile_pack};
    for (int p = 0; p < 2; p++) {
        struct fixture f;
        const int64_t requests[MU_RESOURCES_MAX] = {100, GI};
        fixture_init(&f, profiles[p]);
        struct mu_score_node empty = node_of(8000, 8 * GI, 8000, 8 * GI, 9);
        struct mu_score_node used = node_of(4000, 8 * GI, 8000, 8 * GI, 7);
        assert_true((mu_score_key(&f.score, &empty, requests) >
                     mu_score_key(&f.score, &used, requests)) == (p == 0));
        struct mu_score_node twin = empty;
        twin.tie = 7; /* smaller wins */
        assert_true(mu_score_key(&f.score, &twin, requests) >
                    mu_score_key(&f.score, &empty, requests));
        twin.tie = 8; /* differs from 9 in the bit that the key has no room for */
        assert_int_equal(mu_score_key(&f.score, &twin, requests),
                         mu_score_key(&f.score, &empty, requests));
        fixture_fini(&f);
    }
}

/* kube-scheduler's formula in floating point: least allocated plus balanced. */
static void test_score_key__default__is_the_smaller_free_share(void **state)
{
    (void)state;
    struct fixture f;
    struct mu_test_run run = mu_test_run_begin(2);
    fixture_init(&f, &mu_profile_default);
    struct mu_score_node full = node_of(0, 0, 1000, GI, 0);
    int64_t none = score_of(&f, &full, 0, 0);
    for (run.step = 0; run.step < 2000; run.step++) {
        struct mu_score_node node = node_of(0, 0, 64000, 256 * GI, 0);
        node.free[0] = mu_random_between(&run.random, 0, node.alloc[0]);
        node.free[1] = mu_random_between(&run.random, 0, node.alloc[1]);
        double cpu = (double)node.free[0] / 64000, memory = (double)node.free[1] / (256.0 * GI);
        double apart = cpu > memory ? cpu - memory : memory - cpu;
        double want = (cpu + memory) / 2 + 1 - apart / 2; /* weights 1 and 1 of 12 */
        double got = 1 + (double)(score_of(&f, &node, 0, 0) - none) / ((double)WHOLE / 12);
        MU_TEST_CHECK(&run, got - want < 1e-4 && want - got < 1e-4);
    }
    fixture_fini(&f);
}

/* A GPU in use weighs more than cpu and memory; a node without any counts as used up. */
static void test_score_key__binpack__devices_first(void **state)
{
    (void)state;
    struct fixture f;
    const int64_t gpu[MU_RESOURCES_MAX] = {1000, GI, 0, 0, 1};
    const int64_t plain[MU_RESOURCES_MAX] = {1000, GI};
    fixture_init(&f, &mu_profile_binpack);
    struct mu_score_node begun = node_of(64000, 256 * GI, 64000, 256 * GI, 0);
    begun.alloc[4] = 8;
    begun.free[4] = 3;
    struct mu_score_node busy = node_of(8000, 32 * GI, 64000, 256 * GI, 0);
    busy.alloc[4] = busy.free[4] = 8;
    struct mu_score_node without = node_of(64000, 256 * GI, 64000, 256 * GI, 0);
    assert_true(mu_score_key(&f.score, &begun, gpu) > mu_score_key(&f.score, &busy, gpu));
    assert_true(mu_score_key(&f.score, &without, plain) > mu_score_key(&f.score, &begun, plain));
    fixture_fini(&f);
}

/* Room and cost of a resource with padding, as kube-scheduler has its non-zero requests; and what
 * is assumed beyond the whole goes on counting, as far again. */
static void test_score_key__padding__counts_as_requests_do(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f, &mu_profile_default);
    const struct mu_pod_object pod = {.cpu_padding = 100, .memory_padding = GI / 5};
    struct mu_class_ix ix;
    assert_int_equal(mu_model_class(f.model, &pod, &ix), 0);
    const struct mu_class *c = mu_model_get_class(f.model, ix);
    assert_int_equal(c->demand_count, 0);
    assert_int_equal(c->padding_count, 2);
    assert_true(c->resource_mask == 0);
    const uint32_t cpu = c->paddings[0].resource.v, memory = c->paddings[1].resource.v;
    assert_int_equal(c->paddings[0].amount, -100);
    mu_score_compile(&f.score, &mu_profile_default, f.model,
                     mu_resource_count(mu_model_resources(f.model)));
    struct mu_score_node node = node_of(4000, 16 * GI, 4000, 16 * GI, 0);
    node.free[cpu] = 1000; /* of pods that are there and ask for nothing */
    node.free[memory] = 2 * GI;
    const struct mu_score_node same = node_of(3000, 14 * GI, 4000, 16 * GI, 0);
    const int64_t nothing[MU_RESOURCES_MAX] = {0}, asked[MU_RESOURCES_MAX] = {100, GI / 5};
    int64_t assumed[MU_RESOURCES_MAX] = {0};
    assumed[cpu] = -100;
    assumed[memory] = -(GI / 5);
    assert_int_equal(mu_score_key(&f.score, &node, nothing),
                     mu_score_key(&f.score, &same, nothing));
    assert_int_equal(mu_score_key(&f.score, &same, assumed), mu_score_key(&f.score, &same, asked));
    int64_t before = INT64_MAX;
    for (node.free[cpu] = 3000; node.free[cpu] <= 8000; node.free[cpu] += 500) {
        int64_t key = mu_score_key(&f.score, &node, assumed);
        assert_true(key >= 0 && key < before);
        before = key;
    }
    node.free[cpu] = 9000;
    assert_int_equal(mu_score_key(&f.score, &node, assumed), before);
    assumed[cpu] = -MU_PADDING_MAX; /* more than the node: as the whole */
    assert_in_range(mu_score_key(&f.score, &node, assumed), 0, before - 1);
    fixture_fini(&f);
}

static void test_score_compile__unknown_resource__is_left_out(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f, &mu_profile_binpack);
    assert_int_equal(f.score.slot_count, 3); /* no amd.com/gpu */
    mu_score_compile(&f.score, &mu_profile_binpack, f.model, MU_RES_EXTENDED);
    assert_int_equal(f.score.slot_count, 2); /* known, but no node of this snapshot has it */
    fixture_fini(&f);
}

static void test_score_key__any_profile_and_node_that_fits__within_range(void **state)
{
    (void)state;
    struct mu_test_run run = mu_test_run_begin(2);
    for (run.step = 0; run.step < 100000; run.step++) {
        struct mu_profile profile;
        struct fixture f;
        if (run.step % 100 == 0) {
            if (run.step > 0)
                fixture_fini(&f);
            mu_profile_random(&run.random, &profile);
            fixture_init(&f, &profile);
        }
        struct mu_score_node node = {.tie = (uint32_t)mu_random_u64(&run.random)};
        int64_t requests[MU_RESOURCES_MAX] = {0};
        if (run.step % 100 == 50) { /* from now on with padding */
            struct mu_class_ix ix;
            const struct mu_pod_object pod = {.cpu_padding = 1, .memory_padding = 1};
            assert_int_equal(mu_model_class(f.model, &pod, &ix), 0);
            mu_score_compile(&f.score, &profile, f.model,
                             mu_resource_count(mu_model_resources(f.model)));
        }
        for (uint32_t r = MU_RES_EXTENDED + 1; r <= MU_RES_EXTENDED + 2; r++) {
            node.free[r] = (int64_t)(mu_random_u64(&run.random) >> (2 + run.step % 62));
            requests[r] = -mu_random_between(&run.random, 0, MU_PADDING_MAX);
        }
        for (uint32_t r = 0; r <= MU_RES_EXTENDED; r++) {
            node.alloc[r] = (int64_t)(mu_random_u64(&run.random) >> (1 + run.step % 63));
            node.free[r] = mu_random_between(&run.random, 0, node.alloc[r]);
            requests[r] = mu_random_between(&run.random, 0, node.free[r]);
        }
        int64_t key = mu_score_key(&f.score, &node, requests);
        MU_TEST_CHECK(&run, key >= 0 && key < INT64_C(1) << 62);
        if (run.step == 99999)
            fixture_fini(&f);
    }
}

/* Pods that ask for no cpu or no memory spread like those that do, and leave these their room. */
static void test_score__pods_without_requests__spread(void **state)
{
    (void)state;
    static const struct mu_profile *const profiles[] = {&mu_profile_default, &mu_profile_spread,
                                                        &mu_profile_pack};
    for (int p = 0; p < 3; p++) {
        struct mu_cluster cluster;
        struct mu_node_ix node;
        uint32_t counts[3] = {0};
        mu_cluster_init(&cluster, 3, 0);
        for (uint32_t n = 0; n < 3; n++) {
            char name[16];
            (void)snprintf(name, sizeof name, "n%u", n);
            (void)mu_cluster_plain_node(&cluster, name, 8000, 16 * GI, 110, 0);
        }
        const struct mu_pod_object pod = {.cpu_padding = 100, .memory_padding = 200 * (GI >> 10)};
        struct mu_class_ix none = mu_cluster_class(&cluster, &pod);
        struct mu_class_ix half = mu_cluster_plain_class(&cluster, 4000, 8 * GI, 0);
        struct mu_place *place = mu_place_create(profiles[p], NULL);
        mu_place_begin(place, &cluster.snapshot);
        for (int i = 0; i < 30; i++) {
            assert_int_equal(mu_place_put(place, (struct mu_place_pod){.class_ix = none}, &node),
                             0);
            assert_int_not_equal(node.v, MU_NONE);
            counts[node.v]++;
        }
        /* Packing, the fullest is as good a node for them as for any other pod. */
        bool spreads = profiles[p] != &mu_profile_pack;
        for (uint32_t n = 0; n < 3; n++)
            assert_true(counts[n] == (spreads ? 10 : 30) || (!spreads && counts[n] == 0));
        /* Filters do not know of them: a node that is full of them has room for two halves. */
        for (int i = 0; i < 6; i++) {
            assert_int_equal(mu_place_put(place, (struct mu_place_pod){.class_ix = half}, &node),
                             0);
            assert_int_not_equal(node.v, MU_NONE);
        }
        mu_place_end(place);
        mu_place_destroy(place);
        mu_cluster_fini(&cluster);
    }
}

/* Beyond the whole of a node they go on spreading. */
static void test_score__more_assumed_than_there_is__spreads_on(void **state)
{
    (void)state;
    struct mu_cluster cluster;
    struct mu_node_ix node;
    uint32_t counts[2] = {0};
    mu_cluster_init(&cluster, 2, 0);
    (void)mu_cluster_plain_node(&cluster, "a", 1000, GI, 110, 0);
    (void)mu_cluster_plain_node(&cluster, "b", 1000, GI, 110, 0);
    const struct mu_pod_object pod = {.cpu_padding = 100, .memory_padding = 1};
    struct mu_class_ix none = mu_cluster_class(&cluster, &pod);
    struct mu_place *place = mu_place_create(&mu_profile_default, NULL);
    mu_place_begin(place, &cluster.snapshot);
    for (int i = 0; i < 38; i++) { /* 1.9 times the cpu */
        assert_int_equal(mu_place_put(place, (struct mu_place_pod){.class_ix = none}, &node), 0);
        assert_int_not_equal(node.v, MU_NONE);
        counts[node.v]++;
    }
    assert_int_equal(counts[0], 19);
    assert_int_equal(counts[1], 19);
    mu_place_end(place);
    mu_place_destroy(place);
    mu_cluster_fini(&cluster);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_score_weight__edges__documented_values),
        cmocka_unit_test(test_score_key__share_of_a_node__half_the_score_per_resource),
        cmocka_unit_test(test_score_key__two_nodes__strategy_then_tie),
        cmocka_unit_test(test_score_key__default__is_the_smaller_free_share),
        cmocka_unit_test(test_score_key__binpack__devices_first),
        cmocka_unit_test(test_score_key__padding__counts_as_requests_do),
        cmocka_unit_test(test_score_compile__unknown_resource__is_left_out),
        cmocka_unit_test(test_score_key__any_profile_and_node_that_fits__within_range),
        cmocka_unit_test(test_score__pods_without_requests__spread),
        cmocka_unit_test(test_score__more_assumed_than_there_is__spreads_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
