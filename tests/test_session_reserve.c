/*
 * What a gang without room means for those behind it: nothing, everything (strict), or nodes that
 * are kept for it once it has waited for long.
 */
#include "tests/mu_test.h"

#include "engine/session/session.h"
#include "tests/support/cluster.h"

#define GI     (INT64_C(1) << 30)
#define SECOND UINT64_C(1000000000)
#define NODES  8

struct rig {
    struct mu_cluster cluster;
    struct mu_session *session;
    const struct mu_plan *plan;
    struct mu_class_ix one, whole; /* a quarter of a node, and all of it */
};

static void rig_init(struct rig *r, const struct mu_session_config *config, uint32_t nodes)
{
    *r = (struct rig){.plan = NULL};
    mu_cluster_init(&r->cluster, nodes, 4000);
    for (uint32_t n = 0; n < nodes; n++) {
        char name[16];
        (void)snprintf(name, sizeof name, "n%u", n);
        (void)mu_cluster_plain_node(&r->cluster, name, 4000, 64 * GI, 20, 0);
    }
    r->one = mu_cluster_plain_class(&r->cluster, 1000, GI, 0);
    r->whole = mu_cluster_plain_class(&r->cluster, 4000, GI, 0);
    r->session = mu_session_create(config);
    assert_non_null(r->session);
}

static void rig_fini(struct rig *r)
{
    mu_session_destroy(r->session);
    mu_cluster_fini(&r->cluster);
}

static void run(struct rig *r, uint64_t now_ns)
{
    assert_int_equal(mu_session_run(r->session, &r->cluster.snapshot, now_ns, &r->plan), 0);
}

/* What is said of a gang that waits; NULL: it is placed. */
static const struct mu_plan_wait *wait_of(const struct rig *r, uint32_t gang)
{
    for (uint32_t w = 0; w < r->plan->wait_count; w++)
        if (r->plan->waits[w].gang.v == gang)
            return &r->plan->waits[w];
    return NULL;
}

static void test_session_run__strict__all_behind_wait(void **state)
{
    (void)state;
    const struct mu_session_config config = {.profile = &mu_profile_pack, .strict = true};
    struct rig r;
    rig_init(&r, &config, 2);
    uint32_t first = mu_cluster_plain_gang(&r.cluster, r.one, 2);
    uint32_t large = mu_cluster_plain_gang(&r.cluster, r.whole, 2);
    uint32_t small = mu_cluster_plain_gang(&r.cluster, r.one, 1);
    uint32_t above = mu_cluster_plain_gang(&r.cluster, r.one, 1);
    uint32_t absent = mu_cluster_plain_gang(&r.cluster, r.one, 2);
    r.cluster.snapshot.gangs[above].priority = 5;
    r.cluster.snapshot.gangs[absent].size = 3; /* a member is missing: it says so all the same */
    run(&r, 0);
    assert_int_equal(r.plan->gang_count, 2);
    assert_int_equal(r.plan->gangs[0].gang.v, above);
    assert_int_equal(r.plan->gangs[1].gang.v, first);
    assert_int_equal(wait_of(&r, large)->kind, MU_WAIT_NO_FIT);
    assert_int_equal(wait_of(&r, small)->kind, MU_WAIT_BEHIND);
    assert_int_equal(wait_of(&r, small)->behind.v, large);
    assert_int_equal(wait_of(&r, absent)->kind, MU_WAIT_MEMBERS);
    rig_fini(&r);
}

/* A gang that misses members does not block the others. */
static void test_session_run__strict_and_incomplete__does_not_block(void **state)
{
    (void)state;
    const struct mu_session_config config = {.profile = &mu_profile_pack, .strict = true};
    struct rig r;
    rig_init(&r, &config, 2);
    uint32_t absent = mu_cluster_plain_gang(&r.cluster, r.one, 2);
    (void)mu_cluster_plain_gang(&r.cluster, r.one, 1);
    r.cluster.snapshot.gangs[absent].size = 3;
    run(&r, 0);
    assert_int_equal(r.plan->gang_count, 1);
    rig_fini(&r);
}

/* Small gangs come all the time and stay for a while: a step is a second, and all of the plan comes
 * true. Returns after how many steps the large gang is placed, 0: never. */
static uint32_t steps_until_placed(uint64_t reserve_after_ns, uint32_t *others)
{
    enum { STEPS = 120, STAY = 3, PER_STEP = 12 };
    const struct mu_session_config config = {.profile = &mu_profile_spread,
                                             .reserve_after_ns = reserve_after_ns};
    struct rig r;
    uint32_t leaving[STAY][NODES] = {{0}}, placed_at = 0;
    rig_init(&r, &config, NODES);
    *others = 0;
    for (uint32_t row = 0; row < NODES; row++) /* three quarters are taken at first */
        mu_cluster_free_add(&r.cluster, row, MU_RES_CPU, -3000);
    for (uint32_t row = 0; row < NODES; row++)
        leaving[row % STAY][row] = 3;
    uint32_t large = mu_cluster_plain_gang(&r.cluster, r.whole, 4);
    for (uint32_t step = 0; step < STEPS && placed_at == 0; step++) {
        for (uint32_t row = 0; row < NODES; row++) {
            mu_cluster_free_add(&r.cluster, row, MU_RES_CPU, 1000 * leaving[step % STAY][row]);
            leaving[step % STAY][row] = 0;
        }
        for (uint32_t g = 0; g < PER_STEP; g++)
            (void)mu_cluster_plain_gang(&r.cluster, r.one, 1);
        run(&r, step * SECOND);
        for (uint32_t g = 0; g < r.plan->gang_count; g++) {
            const struct mu_plan_gang *gang = &r.plan->gangs[g];
            if (gang->gang.v == large) {
                placed_at = step;
                continue;
            }
            uint32_t row = gang->binds[0].node.v;
            mu_cluster_free_add(&r.cluster, row, MU_RES_CPU, -1000);
            leaving[step % STAY][row]++;
            mu_cluster_gang_done(&r.cluster, gang->gang.v);
            ++*others;
        }
    }
    rig_fini(&r);
    return placed_at;
}

static void test_session_run__stream_of_small_gangs__large_one_is_served(void **state)
{
    (void)state;
    uint32_t others;
    assert_int_equal(steps_until_placed(0, &others), 0); /* starved without a reservation */
    uint32_t placed_at = steps_until_placed(10 * SECOND, &others);
    assert_in_range(placed_at, 11, 30);
    assert_true(others > 100); /* who went on beside it */
}

static void test_session_run__waited_for_long__nodes_are_kept_for_it_alone(void **state)
{
    (void)state;
    const struct mu_session_config config = {.profile = &mu_profile_spread,
                                             .reserve_after_ns = 10 * SECOND};
    struct rig r;
    rig_init(&r, &config, 4);
    for (uint32_t row = 0; row < 4; row++)
        mu_cluster_free_add(&r.cluster, row, MU_RES_CPU, row < 2 ? -500 : -2000);
    uint32_t above = mu_cluster_plain_gang(&r.cluster, r.one, 1);
    uint32_t large = mu_cluster_plain_gang(&r.cluster, r.whole, 2);
    uint32_t small[8];
    for (uint32_t g = 0; g < 8; g++)
        small[g] = mu_cluster_plain_gang(&r.cluster, r.one, 1);
    r.cluster.snapshot.gangs[above].settle_ns = SECOND;
    for (uint32_t g = 0; g < 8; g++)
        r.cluster.snapshot.gangs[small[g]].settle_ns = 8 * SECOND;
    run(&r, 9 * SECOND);
    assert_int_equal(r.plan->gang_count, 9); /* all but the large one */
    assert_int_equal(r.plan->next_ns, 10 * SECOND);
    assert_int_equal(wait_of(&r, large)->behind.v, MU_NONE);
    run(&r, 10 * SECOND);
    assert_null(wait_of(&r, above)); /* it comes first */
    uint32_t placed = 0;
    for (uint32_t g = 0; g < 8; g++) {
        const struct mu_plan_wait *wait = wait_of(&r, small[g]);
        placed += wait == NULL;
        assert_true(wait == NULL || wait->behind.v == large);
    }
    assert_int_equal(placed, 4); /* on the two fuller nodes */
    for (uint32_t g = 0; g < r.plan->gang_count; g++)
        assert_true(r.plan->gangs[g].gang.v == above || r.plan->gangs[g].binds[0].node.v >= 2);
    mu_session_drop_caches(r.session);
    uint32_t gangs = r.plan->gang_count;
    run(&r, 10 * SECOND);
    assert_int_equal(r.plan->gang_count, gangs);
    run(&r, 20 * SECOND); /* twice as long: another share of nodes */
    for (uint32_t g = 0; g < 8; g++)
        assert_non_null(wait_of(&r, small[g]));
    rig_fini(&r);
}

/* One that empty nodes could not hold keeps nobody away. */
static void test_session_run__could_never_fit__nothing_is_kept(void **state)
{
    (void)state;
    const struct mu_session_config config = {.profile = &mu_profile_spread,
                                             .reserve_after_ns = 10 * SECOND};
    struct rig r;
    rig_init(&r, &config, 2);
    uint32_t large = mu_cluster_plain_gang(&r.cluster, r.whole, 3);
    for (uint32_t g = 0; g < 8; g++)
        (void)mu_cluster_plain_gang(&r.cluster, r.one, 1);
    run(&r, 100 * SECOND);
    assert_int_equal(r.plan->gang_count, 8);
    assert_int_equal(wait_of(&r, large)->kind, MU_WAIT_NO_FIT);
    rig_fini(&r);
}

/* Racks of two nodes: the one that is emptier is kept, and the other one is not touched. */
static void test_session_run__must_stay_in_one_rack__one_rack_is_kept(void **state)
{
    (void)state;
    const struct mu_session_config config = {.profile = &mu_profile_spread,
                                             .reserve_after_ns = 10 * SECOND};
    static const char *const racks[] = {"r1", "r1", "r2", "r2"};
    struct rig r;
    rig_init(&r, &config, 4);
    for (uint32_t row = 0; row < 4; row++) {
        const struct mu_label label = {MU_STR("rack"), mu_str_of(racks[row])};
        mu_cluster_relabel(&r.cluster, row, &label, 1);
        mu_cluster_free_add(&r.cluster, row, MU_RES_CPU, row < 2 ? -1000 : -500);
    }
    mu_cluster_free_add(&r.cluster, 3, MU_RES_CPU, 500);
    struct mu_symbol key = mu_cluster_topology(&r.cluster, "rack");
    struct mu_cluster_member members[2] = {{.class_ix = r.whole, .held = MU_NONE},
                                           {.class_ix = r.whole, .held = MU_NONE}};
    const struct mu_cluster_subgroup subgroup = {.min = 2, .member_count = 2, .members = members};
    const struct mu_cluster_gang gang = {.flags = MU_GANG_SETTLED | MU_GANG_PACK_REQUIRED,
                                         .size = 2,
                                         .subgroup_count = 1,
                                         .subgroups = &subgroup,
                                         .pack_key = key};
    (void)mu_cluster_gang(&r.cluster, &gang);
    for (uint32_t g = 0; g < 8; g++)
        (void)mu_cluster_plain_gang(&r.cluster, r.one, 1);
    run(&r, 15 * SECOND);
    assert_int_equal(r.plan->gang_count, 6);
    for (uint32_t g = 0; g < 6; g++)
        assert_true(r.plan->gangs[g].binds[0].node.v < 2);
    rig_fini(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_session_run__strict__all_behind_wait),
        cmocka_unit_test(test_session_run__strict_and_incomplete__does_not_block),
        cmocka_unit_test(test_session_run__stream_of_small_gangs__large_one_is_served),
        cmocka_unit_test(test_session_run__waited_for_long__nodes_are_kept_for_it_alone),
        cmocka_unit_test(test_session_run__could_never_fit__nothing_is_kept),
        cmocka_unit_test(test_session_run__must_stay_in_one_rack__one_rack_is_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
