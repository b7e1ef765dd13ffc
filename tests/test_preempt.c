/*
 * Preemption, case by case: which units leave, who is spared, what is free first, what stands for
 * the rest of a session. Against exhaustive search: test_preempt_search.c.
 */
#include "tests/preempt_rig.h"

#include "engine/base/error.h"

#define GI (INT64_C(1) << 30)

/* `nodes` nodes of 4 cpu, and a class of so many millicores. */
static void rig_plain(struct preempt_rig *rig, uint32_t nodes)
{
    rig_init(rig, nodes, 64);
    for (uint32_t n = 0; n < nodes; n++) {
        char name[16];
        (void)snprintf(name, sizeof name, "n%u", n);
        (void)mu_cluster_plain_node(&rig->cluster, name, 4000, 64 * GI, 110, 0);
    }
    mu_crowd_init(&rig->crowd, &rig->cluster);
}

static struct mu_class_ix cpu(struct preempt_rig *rig, int64_t millis)
{
    return mu_cluster_plain_class(&rig->cluster, millis, 0, 0);
}

/* A pod without a gang. Returns its index. */
static uint32_t add(struct preempt_rig *rig, uint32_t row, int64_t millis, int32_t priority)
{
    return mu_crowd_add(&rig->crowd, row,
                        (struct mu_occupant){.class_ix = cpu(rig, millis),
                                             .gang = {MU_NONE},
                                             .priority = priority,
                                             .started = 1000});
}

/* A member of a gang. */
static uint32_t add_member(struct preempt_rig *rig, uint32_t row, int64_t millis,
                           struct mu_gang_ix gang, uint32_t started)
{
    return mu_crowd_add(
        &rig->crowd, row,
        (struct mu_occupant){.class_ix = cpu(rig, millis),
                             .gang = gang,
                             .priority = rig->cluster.snapshot.gangs[gang.v].priority,
                             .started = started});
}

/* The victims are these pods: ascending, ended by MU_NONE. */
static void assert_victims(const struct mu_preempt_found *found, const uint32_t *pods)
{
    assert_int_equal(found->outcome, MU_PREEMPT_FOUND);
    uint32_t count = 0;
    for (; pods[count] != MU_NONE; count++) {
        bool there = false;
        for (uint32_t i = 0; i < found->evict_count; i++)
            there = there || (found->evicts[i].pod.v == pods[count] && found->evicts[i].flags == 0);
        if (!there)
            fail_msg("pod %u is not among the victims", pods[count]);
    }
    assert_int_equal(found->cost.pods, count);
}
#define VICTIMS(found, ...) assert_victims(&(found), (const uint32_t[]){__VA_ARGS__, MU_NONE})

/* What a gang of `count` pods of this size and priority finds. */
static struct mu_preempt_found asks(struct preempt_rig *rig, int64_t millis, uint32_t count,
                                    int32_t priority)
{
    struct mu_preempt_found found;
    uint32_t gang = rig_gang(rig, cpu(rig, millis), count, priority);
    assert_int_equal(rig_find(rig, gang, &found), 0);
    return found;
}

static void test_preempt_find__lone_pods__as_the_reference_scenarios(void **state)
{
    (void)state;
    struct preempt_rig rig;
    rig_plain(&rig, 3);
    for (uint32_t n = 0; n < 3; n++)
        (void)add(&rig, n, 3000, 100);
    rig_open(&rig);
    struct mu_preempt_found found = asks(&rig, 3000, 1, 1000);
    assert_int_equal(found.outcome, MU_PREEMPT_FOUND);
    assert_int_equal(found.cost.pods, 1);
    assert_int_equal(rig.nodes[0], found.evicts[0].node.v);
    /* equal priority preempts nobody, nor does a gang of four on three nodes */
    assert_int_equal(asks(&rig, 3000, 1, 100).outcome, MU_PREEMPT_NONE);
    assert_int_equal(asks(&rig, 3000, 4, 1000).outcome, MU_PREEMPT_NONE);
    found = asks(&rig, 3000, 2, 1000);
    assert_int_equal(found.outcome, MU_PREEMPT_FOUND);
    assert_int_equal(found.cost.pods, 2);
    rig_close(&rig);
}

static void test_preempt_find__whole_gang__leaves_together(void **state)
{
    (void)state;
    struct preempt_rig rig;
    rig_plain(&rig, 3);
    struct mu_gang_ix low = mu_crowd_gang(&rig.crowd, 0, 100, 3, 3);
    uint32_t pods[3];
    for (uint32_t n = 0; n < 3; n++)
        pods[n] = add_member(&rig, n, 3000, low, 1000);
    rig_open(&rig);
    struct mu_preempt_found found = asks(&rig, 3000, 1, 1000);
    VICTIMS(found, pods[0], pods[1], pods[2]);
    assert_int_equal(found.evicts[0].gang.v, low.v);
    rig_close(&rig);
}

static void test_preempt_find__free_node__counts_first(void **state)
{
    (void)state;
    struct preempt_rig rig;
    rig_plain(&rig, 3);
    uint32_t first = add(&rig, 0, 3000, 100), second = add(&rig, 1, 3000, 200);
    rig_open(&rig);
    struct mu_preempt_found found = asks(&rig, 3000, 2, 1000);
    VICTIMS(found, first);
    found = asks(&rig, 3000, 3, 1000);
    VICTIMS(found, first, second);
    rig_close(&rig);
}

static void test_preempt_find__surplus__yields_before_the_gang(void **state)
{
    (void)state;
    struct preempt_rig rig;
    rig_plain(&rig, 3);
    struct mu_gang_ix low = mu_crowd_gang(&rig.crowd, 0, 100, 2, 3);
    uint32_t old = add_member(&rig, 0, 3000, low, 1000);
    uint32_t late = add_member(&rig, 1, 3000, low, 3000);
    uint32_t other = add_member(&rig, 2, 3000, low, 2000);
    rig_open(&rig);
    struct mu_preempt_found found = asks(&rig, 3000, 1, 1000);
    VICTIMS(found, late);
    found = asks(&rig, 3000, 2, 1000);
    VICTIMS(found, old, late, other); /* its minimum is gone, so all of it is */
    rig_close(&rig);
}

static void test_preempt_find__single_gang__pod_by_pod(void **state)
{
    (void)state;
    struct preempt_rig rig;
    rig_plain(&rig, 2);
    struct mu_gang_ix low = mu_crowd_gang(&rig.crowd, MU_GANG_SINGLE, 100, 2, 2);
    (void)add_member(&rig, 0, 3000, low, 1000);
    uint32_t late = add_member(&rig, 1, 3000, low, 3000);
    rig_open(&rig);
    struct mu_preempt_found found = asks(&rig, 3000, 1, 1000);
    VICTIMS(found, late);
    rig_close(&rig);
}

static void test_preempt_find__not_a_victim__is_spared(void **state)
{
    (void)state;
    static const uint32_t flags[] = {0, MU_OCCUPANT_SPARED};
    static const uint32_t gang_flags[] = {0, MU_GANG_SPARED};
    for (int which = 0; which < 6; which++) {
        struct preempt_rig rig;
        rig_plain(&rig, 2);
        struct mu_gang_ix low =
            mu_crowd_gang(&rig.crowd, gang_flags[which == 2], 100, 2, which == 4 ? 3 : 2);
        rig.config.min_run_s = which == 3 ? 100 : 0;
        for (uint32_t n = 0; n < 2; n++)
            (void)mu_crowd_add(&rig.crowd, n,
                               (struct mu_occupant){.class_ix = cpu(&rig, 3000),
                                                    .gang = low,
                                                    .flags = (uint16_t)flags[which == 1 && n == 1],
                                                    .priority = 100,
                                                    .started = n == 1 ? 950 : 10});
        rig_open(&rig);
        mu_preempt_begin(rig.preempt, &rig.cluster.snapshot, 1000);
        uint32_t gang = rig_gang(&rig, cpu(&rig, 3000), 1, 1000);
        if (which == 5)
            rig.cluster.snapshot.gangs[gang].flags |= MU_GANG_NEVER;
        struct mu_preempt_found found;
        assert_int_equal(rig_find(&rig, gang, &found), 0);
        /* 0: nothing of it; 1: a pod, 2: the gang is spared; 3: one has not run for long enough; 4:
         * one is on its way; 5: the other never preempts */
        assert_int_equal(found.outcome, which == 0 ? MU_PREEMPT_FOUND : MU_PREEMPT_NONE);
        rig_close(&rig);
    }
}

static void test_preempt_find__terminating__is_waited_for(void **state)
{
    (void)state;
    struct preempt_rig rig;
    rig_plain(&rig, 2);
    uint32_t leaves = mu_crowd_add(&rig.crowd, 0,
                                   (struct mu_occupant){.class_ix = cpu(&rig, 2000),
                                                        .gang = {MU_NONE},
                                                        .flags = MU_OCCUPANT_TERMINATING,
                                                        .priority = 2000,
                                                        .started = 1});
    uint32_t low = add(&rig, 0, 2000, 100);
    (void)add(&rig, 1, 4000, 500);
    rig_open(&rig);
    assert_int_equal(asks(&rig, 2000, 1, 1000).outcome, MU_PREEMPT_WAIT);
    /* more than what leaves: somebody goes, and it waits for both */
    struct mu_preempt_found found = asks(&rig, 3000, 1, 1000);
    VICTIMS(found, low);
    assert_int_equal(found.evict_count, 2);
    assert_int_equal(found.evicts[1].pod.v, leaves);
    assert_int_equal(found.evicts[1].flags, MU_EVICT_LEAVING);
    found = asks(&rig, 2000, 2, 1000);
    VICTIMS(found, low);
    assert_int_equal(found.evict_count, 2);
    rig_close(&rig);
}

static void test_preempt_find__budgets__fewest_violations_first(void **state)
{
    (void)state;
    struct preempt_rig rig;
    rig_plain(&rig, 2);
    struct mu_kin_ix kin = mu_crowd_kin(&rig.crowd);
    mu_crowd_cover(&rig.crowd, kin, mu_crowd_budget(&rig.crowd, 0));
    struct mu_occupant covered = {
        .class_ix = cpu(&rig, 3000), .kin = kin, .gang = {MU_NONE}, .priority = 100, .started = 5};
    uint32_t guarded = mu_crowd_add(&rig.crowd, 0, covered);
    uint32_t higher = add(&rig, 1, 3000, 900);
    rig_open(&rig);
    struct mu_preempt_found found = asks(&rig, 3000, 1, 1000);
    VICTIMS(found, higher);
    assert_int_equal(found.cost.violations, 0);
    found = asks(&rig, 3000, 2, 1000);
    VICTIMS(found, guarded, higher);
    assert_int_equal(found.cost.violations, 1);
    rig_close(&rig);
}

static void test_preempt_find__disrupted_pod__uses_no_budget(void **state)
{
    (void)state;
    struct preempt_rig rig;
    rig_plain(&rig, 2);
    struct mu_kin_ix kin = mu_crowd_kin(&rig.crowd);
    uint32_t budget = mu_crowd_budget(&rig.crowd, 0);
    mu_crowd_cover(&rig.crowd, kin, budget);
    struct mu_occupant covered = {.class_ix = cpu(&rig, 3000), .kin = kin, .gang = {MU_NONE}};
    uint32_t pod = mu_crowd_add(&rig.crowd, 0, covered);
    mu_crowd_disrupted(&rig.crowd, budget, pod);
    (void)add(&rig, 1, 3000, 900);
    rig_open(&rig);
    struct mu_preempt_found found = asks(&rig, 3000, 1, 1000);
    VICTIMS(found, pod);
    assert_int_equal(found.cost.violations, 0);
    rig_close(&rig);
}

static void test_preempt_find__devices__those_of_the_victim(void **state)
{
    (void)state;
    struct preempt_rig rig;
    rig_init(&rig, 2, 64);
    const struct mu_amount amounts[] = {{MU_STR("cpu"), 64000}, {MU_STR("pods"), 110}};
    for (uint32_t n = 0; n < 2; n++) {
        const struct mu_node_object node = {.name = n == 0 ? MU_STR("a") : MU_STR("b"),
                                            .allocatable = amounts,
                                            .allocatable_count = 2,
                                            .device_resource = MU_STR("x.com/gpu"),
                                            .device_count = 2,
                                            .devices_whole = true};
        (void)mu_cluster_node(&rig.cluster, &node);
    }
    mu_crowd_init(&rig.crowd, &rig.cluster);
    const struct mu_amount whole[] = {{MU_STR("x.com/gpu"), 1}};
    const struct mu_amount part[] = {{MU_STR(MU_GPU_SHARE_RESOURCE), 600}};
    struct mu_pod_object object = {.requests = whole, .request_count = 1};
    struct mu_class_ix gpu = mu_cluster_class(&rig.cluster, &object);
    object.requests = part;
    struct mu_class_ix share = mu_cluster_class(&rig.cluster, &object);
    uint32_t pods[4];
    for (uint32_t i = 0; i < 4; i++)
        pods[i] = mu_crowd_add(&rig.crowd, i / 2,
                               (struct mu_occupant){.class_ix = i < 2 ? gpu : share,
                                                    .gang = {MU_NONE},
                                                    .priority = (int32_t)i,
                                                    .started = 9});
    rig_open(&rig);
    struct mu_preempt_found found;
    uint32_t gang = rig_gang(&rig, share, 1, 1000);
    assert_int_equal(rig_find(&rig, gang, &found), 0);
    VICTIMS(found, pods[0]);
    assert_int_equal(rig.devices[0], 1);
    assert_int_equal(rig_commit(&rig, gang), 0);
    gang = rig_gang(&rig, gpu, 2, 1000);
    assert_int_equal(rig_find(&rig, gang, &found), 0);
    VICTIMS(found, pods[2], pods[3]); /* the first node's devices are spoken for */
    assert_int_equal(rig_commit(&rig, gang), 0);
    rig_close(&rig); /* placing checks that all is as it came */
}

static void test_preempt_commit__victims__are_gone_for_the_next(void **state)
{
    (void)state;
    struct preempt_rig rig;
    rig_plain(&rig, 2);
    uint32_t first = add(&rig, 0, 3000, 100), second = add(&rig, 1, 3000, 200);
    rig_open(&rig);
    struct mu_preempt_found found;
    uint32_t gang = rig_gang(&rig, cpu(&rig, 2000), 1, 1000);
    assert_int_equal(rig_find(&rig, gang, &found), 0);
    VICTIMS(found, first);
    assert_int_equal(rig_commit(&rig, gang), 0);
    /* what is left of its room is worth waiting for, and no victim */
    assert_int_equal(asks(&rig, 2000, 1, 1000).outcome, MU_PREEMPT_WAIT);
    gang = rig_gang(&rig, cpu(&rig, 3000), 1, 1000);
    assert_int_equal(rig_find(&rig, gang, &found), 0);
    VICTIMS(found, second);
    assert_int_equal(rig_commit(&rig, gang), 0);
    assert_int_equal(asks(&rig, 3000, 1, 1000).outcome, MU_PREEMPT_NONE);
    /* for who is not preempting the victims are still there */
    struct mu_node_ix node;
    struct mu_place_pod pod = {.class_ix = cpu(&rig, 500)};
    assert_int_equal(mu_place_pick(rig.place, pod, &node), 0);
    assert_int_equal(node.v, MU_NONE);
    rig_close(&rig);
}

static void test_preempt_find__eviction_budget__nobody_beyond(void **state)
{
    (void)state;
    struct preempt_rig rig;
    rig_plain(&rig, 2);
    (void)add(&rig, 0, 3000, 100);
    (void)add(&rig, 1, 3000, 100);
    rig_open(&rig);
    uint32_t gang = rig_gang(&rig, cpu(&rig, 3000), 2, 1000);
    struct mu_preempt_found found;
    struct mu_preempt_ask ask = rig_ask(&rig, gang);
    ask.evict_max = 1;
    assert_int_equal(mu_preempt_find(rig.preempt, &ask, &found), 0);
    assert_int_equal(found.outcome, MU_PREEMPT_LIMIT);
    assert_int_equal(found.evict_count, 0);
    ask.evict_max = 2;
    assert_int_equal(mu_preempt_find(rig.preempt, &ask, &found), 0);
    assert_int_equal(found.outcome, MU_PREEMPT_FOUND);
    rig_close(&rig);
}

static void test_preempt_find__nothing_moved__is_not_searched_again(void **state)
{
    (void)state;
    struct preempt_rig rig;
    struct mu_preempt_counts counts;
    struct mu_preempt_found found;
    rig_plain(&rig, 2);
    (void)add(&rig, 0, 3000, 2000);
    uint32_t gang = rig_gang(&rig, cpu(&rig, 4000), 2, 1000);
    rig_open(&rig);
    for (uint32_t i = 0; i < 4; i++) {
        if (i == 3)
            rig.cluster.snapshot.occupant_generation++;
        assert_int_equal(rig_find(&rig, gang, &found), 0);
        assert_int_equal(found.outcome, MU_PREEMPT_NONE);
        mu_preempt_counts(rig.preempt, &counts);
        assert_int_equal(counts.recalled, i < 3 ? i : 2);
        mu_preempt_begin(rig.preempt, &rig.cluster.snapshot, 0);
    }
    rig_close(&rig);
}

/* ---- memory ------------------------------------------------------------------------------- */

static bool memory_round(void *context)
{
    struct preempt_rig *rig = context;
    struct mu_preempt *preempt = mu_preempt_create(&rig->config);
    struct mu_place *place = preempt == NULL ? NULL : mu_place_create(&mu_profile_spread, NULL);
    struct mu_arena *arena = place == NULL ? NULL : mu_arena_create((size_t)64 << 20);
    int error = arena == NULL ? MU_ENOMEM : 0;
    if (error == 0) {
        mu_place_begin(place, &rig->cluster.snapshot);
        mu_preempt_begin(preempt, &rig->cluster.snapshot, 0);
        rig->place = place;
        for (uint32_t gang = 1; gang < 4 && error == 0; gang++) {
            struct mu_preempt_found found = {.outcome = MU_PREEMPT_NONE};
            struct mu_preempt_ask ask = rig_ask(rig, gang);
            ask.arena = arena;
            error = mu_preempt_find(preempt, &ask, &found);
            if (error == 0) {
                assert_int_equal(found.outcome, MU_PREEMPT_FOUND);
                error = mu_preempt_commit(preempt, &ask);
            }
        }
        mu_place_end(place);
    }
    mu_arena_destroy(arena);
    mu_place_destroy(place);
    mu_preempt_destroy(preempt);
    assert_true(error == 0 || error == MU_ENOMEM);
    return error == 0;
}

static void test_preempt_find__memory_out__nothing_is_left_behind(void **state)
{
    (void)state;
    struct preempt_rig rig;
    rig_plain(&rig, 4);
    struct mu_gang_ix low = mu_crowd_gang(&rig.crowd, 0, 100, 1, 3);
    assert_int_equal(low.v, 0);
    for (uint32_t n = 0; n < 3; n++)
        (void)add_member(&rig, n, 1000, low, n);
    for (uint32_t n = 0; n < 8; n++)
        (void)add(&rig, n / 2, 1400, (int32_t)n);
    (void)rig_gang(&rig, cpu(&rig, 2800), 1, 1000);
    (void)rig_gang(&rig, cpu(&rig, 1300), 2, 1000);
    const struct mu_cluster_member members[] = {{cpu(&rig, 1500), MU_NONE, 0},
                                                {cpu(&rig, 1200), MU_NONE, 0}};
    const struct mu_cluster_subgroup subgroup = {2, 0, 2, members};
    const struct mu_cluster_gang mixed = {.flags = MU_GANG_SETTLED,
                                          .priority = 1000,
                                          .size = 2,
                                          .subgroup_count = 1,
                                          .subgroups = &subgroup};
    assert_int_equal(mu_cluster_gang(&rig.cluster, &mixed), 3);
    assert_true(mu_test_fail_each(memory_round, &rig) > 20);
    mu_crowd_fini(&rig.crowd);
    mu_cluster_fini(&rig.cluster);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_preempt_find__lone_pods__as_the_reference_scenarios),
        cmocka_unit_test(test_preempt_find__whole_gang__leaves_together),
        cmocka_unit_test(test_preempt_find__free_node__counts_first),
        cmocka_unit_test(test_preempt_find__surplus__yields_before_the_gang),
        cmocka_unit_test(test_preempt_find__single_gang__pod_by_pod),
        cmocka_unit_test(test_preempt_find__not_a_victim__is_spared),
        cmocka_unit_test(test_preempt_find__terminating__is_waited_for),
        cmocka_unit_test(test_preempt_find__budgets__fewest_violations_first),
        cmocka_unit_test(test_preempt_find__disrupted_pod__uses_no_budget),
        cmocka_unit_test(test_preempt_find__devices__those_of_the_victim),
        cmocka_unit_test(test_preempt_commit__victims__are_gone_for_the_next),
        cmocka_unit_test(test_preempt_find__eviction_budget__nobody_beyond),
        cmocka_unit_test(test_preempt_find__nothing_moved__is_not_searched_again),
        cmocka_unit_test(test_preempt_find__memory_out__nothing_is_left_behind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
