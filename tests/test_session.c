/*
 * A session against its naive twin, on random clusters and over several rounds of changes, with and
 * without caches. The admission rules case by case are in test_gang_admission.c.
 */
#include "tests/mu_test.h"

#include "engine/base/error.h"
#include "engine/base/hash.h"
#include "engine/device.h"
#include "engine/place/place.h"
#include "tests/support/cluster_random.h"
#include "tests/support/oracle.h"

#define GI      (INT64_C(1) << 30)
#define CLASSES 24

static struct mu_session *session_make(const struct mu_profile *profile)
{
    const struct mu_session_config config = {.profile = profile};
    struct mu_session *session = mu_session_create(&config);
    assert_non_null(session);
    return session;
}

static uint64_t snapshot_digest(const struct mu_snapshot *s)
{
    uint64_t digest = mu_hash_bytes(s->nodes, s->node_rows * sizeof *s->nodes, 1);
    for (uint32_t r = 0; r < s->resource_count; r++)
        digest = mu_hash_bytes(s->free[r], s->node_cap * sizeof(int64_t), digest);
    if (s->devices != NULL)
        digest = mu_hash_bytes(s->devices, s->node_rows * sizeof *s->devices, digest);
    return mu_hash_bytes(s->gangs, s->gang_rows * sizeof *s->gangs, digest);
}

/* Random events set what devices have left, whoever holds them: those cannot be given back. */
static bool holds_devices(const struct mu_gang_block *block)
{
    for (uint32_t m = 0; m < block->member_count; m++)
        if (block->members[m].held.v != MU_NONE && block->members[m].held_devices != 0)
            return true;
    return false;
}

/* Beside what the plan places, something stops every gang that waits for room, and no node would
 * take that member. */
static void reach_check(struct mu_test_run *run, struct mu_snapshot *s,
                        const struct mu_profile *profile, const struct mu_plan *plan)
{
    struct mu_place *place = mu_place_create(profile, NULL);
    MU_TEST_CHECK(run, place != NULL);
    mu_place_begin(place, s);
    MU_TEST_CHECK(run, mu_place_apply(place, plan) == 0);
    for (uint32_t w = 0; w < plan->wait_count; w++) {
        const struct mu_plan_wait *wait = &plan->waits[w];
        const struct mu_gang_row *row = &s->gangs[wait->gang.v];
        struct mu_place_reach reach;
        uint32_t nodes = 0;
        if (wait->kind != MU_WAIT_NO_FIT || wait->need <= wait->have || holds_devices(row->block))
            continue;
        mu_place_whom(place, row->priority, wait->gang);
        MU_TEST_CHECK(run, mu_place_reach(place, row, wait->need, &reach) == 0);
        MU_TEST_CHECK(run, reach.member < row->block->member_count);
        MU_TEST_CHECK(run, reach.placed < row->block->member_count);
        MU_TEST_CHECK(run, reach.refusals.by_verdict[MU_FITS] == 0);
        for (uint32_t k = 0; k < MU_VERDICT_KINDS; k++)
            nodes += reach.refusals.by_verdict[k];
        MU_TEST_CHECK(run, nodes == s->node_count);
    }
    mu_place_end(place);
    mu_place_destroy(place);
}

/* One run, held to the oracle, twice (the second has every memo of the first) and once more from
 * nothing. */
static void run_and_check(struct mu_test_run *run, struct mu_session *session,
                          struct mu_cluster *cluster, const struct mu_profile *profile,
                          uint64_t now_ns)
{
    struct mu_snapshot *s = &cluster->snapshot;
    struct mu_oracle_plan want;
    const struct mu_plan *first = NULL;
    uint64_t digest = snapshot_digest(s);
    MU_TEST_CHECK(run, mu_session_run(session, s, now_ns, &first) == 0);
    mu_oracle_session(s, profile, now_ns, first, &want);
    MU_TEST_CHECK(run, snapshot_digest(s) == digest);
    for (int pass = 0; pass < 3; pass++) {
        if (pass == 2 && mu_random_chance(&run->random, 500))
            mu_session_drop_caches(session);
        const struct mu_plan *plan = NULL;
        MU_TEST_CHECK(run, mu_session_run(session, s, now_ns, &plan) == 0);
        MU_TEST_CHECK(run, mu_oracle_plan_equal(s, &want, plan));
        if (pass == 0)
            reach_check(run, s, profile, plan);
        MU_TEST_CHECK(run, snapshot_digest(s) == digest);
    }
    mu_oracle_plan_fini(&want);
}

/* Some of the plan comes true: charged, and the gangs are done. */
static void plan_admit(struct mu_test_run *run, struct mu_cluster *cluster,
                       const struct mu_plan *plan)
{
    for (uint32_t g = 0; g < plan->gang_count; g++) {
        const struct mu_plan_gang *gang = &plan->gangs[g];
        const struct mu_gang_block *block = cluster->snapshot.gangs[gang->gang.v].block;
        if (mu_random_chance(&run->random, 300))
            continue; /* refused: still pending, and its room is free */
        for (uint32_t b = 0, m = 0; b < gang->bind_count; b++, m++) {
            while (!mu_uid_equal(block->members[m].uid, gang->binds[b].uid))
                m++;
            const struct mu_gang_member *member = &block->members[m];
            if (member->held.v == MU_NONE)
                mu_oracle_move(&cluster->snapshot, member->class_ix, gang->binds[b].node.v,
                               (uint16_t)gang->binds[b].devices, 1);
        }
        mu_cluster_gang_done(cluster, gang->gang.v);
    }
}

static void scenario(struct mu_test_run *run, const struct mu_cluster_shape *shape, uint32_t rounds)
{
    struct mu_cluster cluster;
    struct mu_class_ix classes[CLASSES];
    mu_cluster_random(&cluster, &run->random, shape, classes);
    struct mu_profile profile;
    mu_profile_random(&run->random, &profile);
    struct mu_session *session = session_make(&profile);
    uint64_t now_ns = 0;
    for (uint32_t round = 0; round < rounds; round++) {
        while (cluster.snapshot.gang_rows < cluster.snapshot.gang_cap &&
               mu_random_chance(&run->random, 900))
            (void)mu_cluster_random_gang(&cluster, &run->random, classes, shape->classes);
        run_and_check(run, session, &cluster, &profile, now_ns);
        const struct mu_plan *plan = NULL;
        MU_TEST_CHECK(run, mu_session_run(session, &cluster.snapshot, now_ns, &plan) == 0);
        if (mu_random_chance(&run->random, 700))
            plan_admit(run, &cluster, plan);
        uint64_t events = mu_random_below(&run->random, 4);
        for (uint64_t e = 0; e < events; e++)
            mu_cluster_random_event(&cluster, &run->random);
        now_ns += mu_random_below(&run->random, 500);
    }
    mu_session_destroy(session);
    mu_cluster_fini(&cluster);
}

static void test_session_run__random_small_clusters__equals_oracle(void **state)
{
    (void)state;
    struct mu_test_run run = mu_test_run_begin(11);
    const struct mu_cluster_shape shape = {.nodes_max = 40, .classes = CLASSES, .gangs_max = 60};
    for (run.step = 0; run.step < 400; run.step++)
        scenario(&run, &shape, 6);
}

static void test_session_run__random_larger_clusters__equals_oracle(void **state)
{
    (void)state;
    struct mu_test_run run = mu_test_run_begin(12);
    const struct mu_cluster_shape shape = {.nodes_max = 400, .classes = 4, .gangs_max = 200};
    for (run.step = 0; run.step < 12; run.step++)
        scenario(&run, &shape, 3);
}

/* What is cached is of one model. Each cluster here has its own, mostly at the address of the last
 * one, and with the same counts of changes. */
static void test_session_run__cluster_after_cluster__equals_oracle(void **state)
{
    (void)state;
    struct mu_test_run run = mu_test_run_begin(13);
    const struct mu_cluster_shape shape = {.nodes_max = 10, .classes = 4, .gangs_max = 12};
    const struct mu_model *last = NULL;
    struct mu_profile profile;
    uint32_t same_address = 0;
    mu_profile_random(&run.random, &profile);
    struct mu_session *session = session_make(&profile);
    for (run.step = 0; run.step < 200; run.step++) {
        struct mu_cluster cluster;
        struct mu_class_ix classes[CLASSES];
        mu_cluster_random(&cluster, &run.random, &shape, classes);
        same_address += cluster.snapshot.model == last;
        last = cluster.snapshot.model;
        for (uint32_t g = 0; g < 8 && cluster.snapshot.gang_rows < cluster.snapshot.gang_cap; g++)
            (void)mu_cluster_random_gang(&cluster, &run.random, classes, shape.classes);
        run_and_check(&run, session, &cluster, &profile, 0);
        mu_cluster_fini(&cluster);
    }
    print_message("%u of 200 at the address of the last one\n", same_address); /* ASan: none */
    mu_session_destroy(session);
}

/* Rows of lone pods alike, and gangs of many members alike, on clusters that fill up. */
static void test_session_run__runs_of_pods_alike__equals_oracle(void **state)
{
    (void)state;
    struct mu_test_run run = mu_test_run_begin(13);
    const struct mu_cluster_shape shape = {.nodes_max = 60, .classes = 6, .gangs_max = 400};
    uint64_t in_bulk = 0, waits = 0;
    for (run.step = 0; run.step < 60; run.step++) {
        struct mu_cluster cluster;
        struct mu_class_ix classes[CLASSES];
        struct mu_profile profile;
        mu_cluster_random(&cluster, &run.random, &shape, classes);
        mu_profile_random(&run.random, &profile);
        struct mu_session *session = session_make(&profile);
        struct mu_snapshot *s = &cluster.snapshot;
        while (s->gang_rows + 60 < s->gang_cap) {
            struct mu_class_ix one = classes[mu_random_below(&run.random, shape.classes)];
            bool lone = mu_random_chance(&run.random, 800);
            uint32_t size = lone ? 1 : (uint32_t)mu_random_between(&run.random, 2, 50);
            for (int64_t n = lone ? mu_random_between(&run.random, 1, 60) : 1; n > 0; n--)
                (void)mu_cluster_plain_gang(&cluster, one, size);
            if (mu_random_chance(&run.random, 100))
                (void)mu_cluster_random_gang(&cluster, &run.random, classes, shape.classes);
        }
        run_and_check(&run, session, &cluster, &profile, 0);
        struct mu_place_counts counts;
        const struct mu_plan *plan = NULL;
        MU_TEST_CHECK(&run, mu_session_run(session, s, 0, &plan) == 0);
        mu_session_counts(session, &counts);
        in_bulk += counts.by_run;
        waits += plan->wait_count;
        mu_session_destroy(session);
        mu_cluster_fini(&cluster);
    }
    assert_true(in_bulk > 2000 && waits > 2000);
}

/* The choice depends on names, not on the order of rows. */
static void test_session_run__rows_in_another_order__same_nodes(void **state)
{
    (void)state;
    enum { NODES = 150, PODS = 300 };
    char names[2][PODS][32];
    for (int order = 0; order < 2; order++) {
        struct mu_cluster cluster;
        mu_cluster_init(&cluster, NODES, PODS);
        for (uint32_t n = 0; n < NODES; n++) {
            uint32_t number = order == 0 ? n : (n * 77 + 5) % NODES;
            char name[32];
            (void)snprintf(name, sizeof name, "node-%u", number);
            (void)mu_cluster_plain_node(&cluster, name, number % 3 == 0 ? 8000 : 16000, 32 * GI, 20,
                                        0);
        }
        for (uint32_t p = 0; p < PODS; p++)
            (void)mu_cluster_plain_gang(
                &cluster, mu_cluster_plain_class(&cluster, 500 + p % 7 * 100, GI, 0), 1);
        struct mu_session *session = session_make(&mu_profile_spread);
        const struct mu_plan *plan = NULL;
        assert_int_equal(mu_session_run(session, &cluster.snapshot, 0, &plan), 0);
        assert_int_equal(plan->gang_count, PODS);
        for (uint32_t p = 0; p < PODS; p++) {
            struct mu_symbol name = cluster.snapshot.nodes[plan->gangs[p].binds[0].node.v].name;
            struct mu_str text = mu_symbol_str(mu_model_symbols(cluster.model), name);
            (void)snprintf(names[order][p], sizeof names[order][p], "%.*s", MU_STR_ARGS(text));
        }
        mu_session_destroy(session);
        mu_cluster_fini(&cluster);
    }
    for (uint32_t p = 0; p < PODS; p++)
        assert_string_equal(names[0][p], names[1][p]);
}

/* Picks that had to look at nodes. */
static uint64_t found_by(const struct mu_place_counts *counts)
{
    return counts->by_search + counts->by_bounds + counts->by_tree + counts->by_rank;
}

static void test_session_run__nothing_changed__scans_nothing(void **state)
{
    (void)state;
    struct mu_cluster cluster;
    mu_cluster_init(&cluster, 10, 100);
    (void)mu_cluster_plain_node(&cluster, "a", 4000, 8 * GI, 10, 0);
    (void)mu_cluster_plain_node(&cluster, "b", 4000, 8 * GI, 10, 0);
    struct mu_class_ix huge = mu_cluster_plain_class(&cluster, 64000, GI, 0);
    struct mu_class_ix three = mu_cluster_plain_class(&cluster, 3000, GI, 0);
    for (int g = 0; g < 50; g++)
        (void)mu_cluster_plain_gang(&cluster, huge, 1);
    for (uint32_t g = 0; g < 50; g++)
        (void)mu_cluster_plain_gang(&cluster, three, 3 + g % 2u); /* two fit; no twins in a row */
    struct mu_session *session = session_make(&mu_profile_spread);
    struct mu_place_counts before, after;
    const struct mu_plan *plan = NULL;
    assert_int_equal(mu_session_run(session, &cluster.snapshot, 0, &plan), 0);
    assert_int_equal(plan->wait_count, 100);
    mu_session_counts(session, &before);
    assert_int_equal(found_by(&before), 1 + 50 * 3); /* one for the huge ones */
    assert_int_equal(mu_session_run(session, &cluster.snapshot, 1, &plan), 0);
    /* Room taken elsewhere changes nothing for those who wait. */
    mu_cluster_free_add(&cluster, 0, MU_RES_CPU, -100);
    assert_int_equal(mu_session_run(session, &cluster.snapshot, 2, &plan), 0);
    mu_session_counts(session, &after);
    assert_int_equal(found_by(&after), found_by(&before));
    /* Room that grows does. */
    mu_cluster_free_add(&cluster, 0, MU_RES_CPU, 100);
    assert_int_equal(mu_session_run(session, &cluster.snapshot, 3, &plan), 0);
    mu_session_counts(session, &after);
    assert_int_equal(found_by(&after), 2 * (1 + 50 * 3));
    mu_session_destroy(session);
    mu_cluster_fini(&cluster);
}

/* A launcher and workers: what is said of them, whatever is remembered, as room shrinks. */
static void test_session_run__mixed_gang_short__known_until_room_grows(void **state)
{
    (void)state;
    struct mu_cluster cluster;
    mu_cluster_init(&cluster, 10, 8);
    for (uint32_t n = 0; n < 5; n++) {
        const char name[] = {(char)('a' + n), 0};
        (void)mu_cluster_plain_node(&cluster, name, 4000, 8 * GI, 10, 0);
    }
    struct mu_class_ix launcher = mu_cluster_plain_class(&cluster, 1000, GI, 0);
    struct mu_class_ix worker = mu_cluster_plain_class(&cluster, 3000, GI, 0);
    struct mu_cluster_member members[8];
    for (uint32_t m = 0; m < 8; m++)
        members[m] =
            (struct mu_cluster_member){.class_ix = m == 0 ? launcher : worker, .held = MU_NONE};
    for (uint32_t g = 0; g < 4; g++) { /* no two alike in a row */
        const struct mu_cluster_subgroup subgroup = {
            .min = 7 + g % 2, .member_count = 7 + g % 2, .members = members};
        const struct mu_cluster_gang gang = {.flags = MU_GANG_SETTLED,
                                             .size = subgroup.min,
                                             .subgroup_count = 1,
                                             .subgroups = &subgroup};
        (void)mu_cluster_gang(&cluster, &gang);
    }
    struct mu_session *session = session_make(&mu_profile_spread);
    struct mu_place_counts counts;
    const struct mu_plan *plan = NULL;
    for (int step = 0; step < 4; step++) {
        assert_int_equal(mu_session_run(session, &cluster.snapshot, 0, &plan), 0);
        assert_int_equal(plan->wait_count, 4);
        for (uint32_t w = 0; w < 4; w++)
            assert_int_equal(plan->waits[w].class_ix.v, step < 3 ? worker.v : launcher.v);
        /* At last not even the launcher fits, and it comes first. */
        for (uint32_t row = 0; step == 2 && row < 5; row++)
            mu_cluster_free_add(&cluster, row, MU_RES_CPU, row == 0 ? -2500 : -3500);
        if (step < 2)
            mu_cluster_free_add(&cluster, 0, MU_RES_CPU, -500);
    }
    mu_session_counts(session, &counts);
    assert_int_equal(counts.picks, 0); /* nothing was laid out */
    for (uint32_t row = 0; row < 5; row++)
        mu_cluster_free_add(&cluster, row, MU_RES_CPU, 9500);
    assert_int_equal(mu_session_run(session, &cluster.snapshot, 0, &plan), 0);
    assert_int_equal(plan->gang_count, 2); /* 15 workers' room */
    mu_session_destroy(session);
    mu_cluster_fini(&cluster);
}

/* Each class alone has its room, together they have not: gangs alike are laid out once. */
static void test_session_run__mixed_gangs_alike__laid_out_once(void **state)
{
    (void)state;
    struct mu_cluster cluster;
    mu_cluster_init(&cluster, 10, 60);
    (void)mu_cluster_plain_node(&cluster, "a", 4000, 8 * GI, 10, 0);
    (void)mu_cluster_plain_node(&cluster, "b", 4000, 8 * GI, 10, 0);
    struct mu_cluster_member members[] = {
        {.class_ix = mu_cluster_plain_class(&cluster, 2000, GI, 0), .held = MU_NONE},
        {.class_ix = mu_cluster_plain_class(&cluster, 3000, GI, 0), .held = MU_NONE},
        {.class_ix = mu_cluster_plain_class(&cluster, 3000, GI, 0), .held = MU_NONE},
    };
    const struct mu_cluster_subgroup subgroup = {.min = 3, .member_count = 3, .members = members};
    const struct mu_cluster_gang gang = {
        .flags = MU_GANG_SETTLED, .size = 3, .subgroup_count = 1, .subgroups = &subgroup};
    uint64_t picks[2];
    uint32_t made = 0;
    for (int round = 0; round < 2; round++) {
        for (; made < (round == 0 ? 1u : 50u); made++)
            (void)mu_cluster_gang(&cluster, &gang);
        struct mu_session *session = session_make(&mu_profile_spread);
        struct mu_place_counts counts;
        const struct mu_plan *plan = NULL;
        assert_int_equal(mu_session_run(session, &cluster.snapshot, 0, &plan), 0);
        assert_int_equal(plan->wait_count, made);
        mu_session_counts(session, &counts);
        picks[round] = counts.picks;
        mu_session_destroy(session);
    }
    assert_true(picks[0] > 0);
    assert_int_equal(picks[0], picks[1]);
    mu_cluster_fini(&cluster);
}

static void test_session_run__step_budget_runs_out__undecided(void **state)
{
    (void)state;
    struct mu_cluster cluster;
    mu_cluster_init(&cluster, 4, 4);
    (void)mu_cluster_plain_node(&cluster, "a", 64000, 64 * GI, 100, 0);
    struct mu_class_ix c = mu_cluster_plain_class(&cluster, 100, GI, 0);
    uint32_t wide = mu_cluster_plain_gang(&cluster, c, 9);
    uint32_t narrow = mu_cluster_plain_gang(&cluster, c, 8);
    const struct mu_session_config config = {.profile = &mu_profile_pack, .gang_step_budget = 8};
    struct mu_session *session = mu_session_create(&config);
    const struct mu_plan *plan = NULL;
    assert_int_equal(mu_session_run(session, &cluster.snapshot, 0, &plan), 0);
    assert_int_equal(plan->wait_count, 1);
    assert_int_equal(plan->waits[0].gang.v, wide);
    assert_int_equal(plan->waits[0].kind, MU_WAIT_UNDECIDED);
    assert_int_equal(plan->gang_count, 1);
    assert_int_equal(plan->gangs[0].gang.v, narrow);
    assert_int_equal(plan->gangs[0].bind_count, 8);
    mu_session_destroy(session);
    mu_cluster_fini(&cluster);
}

/* ---- out of memory -------------------------------------------------------------------------- */

struct oom_fixture {
    struct mu_cluster *cluster;
    uint64_t digest;
    uint32_t gangs; /* placed when memory suffices */
};

static bool oom_body(void *context)
{
    struct oom_fixture *fixture = context;
    const struct mu_session_config config = {.profile = &mu_profile_spread};
    struct mu_session *session = mu_session_create(&config);
    if (session == NULL)
        return false;
    const struct mu_plan *plan = NULL;
    int error = mu_session_run(session, &fixture->cluster->snapshot, 0, &plan);
    if (error == 0)
        assert_int_equal(plan->gang_count, fixture->gangs);
    else
        assert_int_equal(error, MU_ENOMEM);
    assert_int_equal(snapshot_digest(&fixture->cluster->snapshot), fixture->digest);
    if (error != 0) { /* the same session goes on once there is memory */
        mu_mem_debug_set((struct mu_mem_debug){0});
        assert_int_equal(mu_session_run(session, &fixture->cluster->snapshot, 0, &plan), 0);
        assert_int_equal(plan->gang_count, fixture->gangs);
    }
    mu_session_destroy(session);
    return error == 0;
}

static void test_session_run__each_allocation_fails__unchanged_and_usable(void **state)
{
    (void)state;
    struct mu_cluster cluster;
    mu_cluster_init(&cluster, 100, 80);
    for (uint32_t n = 0; n < 100; n++) {
        char name[16];
        (void)snprintf(name, sizeof name, "n%u", n);
        (void)mu_cluster_plain_node(&cluster, name, 4000, 8 * GI, 10, 0);
    }
    for (uint32_t g = 0; g < 60; g++) /* a run long enough for a tree, then classes of their own */
        (void)mu_cluster_plain_gang(&cluster, mu_cluster_plain_class(&cluster, 100, GI, 0), 1);
    for (uint32_t g = 0; g < 10; g++)
        (void)mu_cluster_plain_gang(&cluster, mu_cluster_plain_class(&cluster, 100 + g, GI, 0), 3);
    for (uint32_t g = 0; g < 10; g++)
        (void)mu_cluster_plain_gang(&cluster, mu_cluster_plain_class(&cluster, 9000, GI, 0), 3);
    struct oom_fixture fixture = {&cluster, snapshot_digest(&cluster.snapshot), 70};
    /* A memo or a tree that finds no memory is done without, so not every failure shows. */
    for (uint64_t nth = 1, passes = 0; passes < 8; nth++) {
        size_t live = mu_mem_live_bytes();
        mu_mem_debug_set((struct mu_mem_debug){.fail_nth = nth});
        passes = oom_body(&fixture) ? passes + 1 : 0;
        mu_mem_debug_set((struct mu_mem_debug){0});
        assert_int_equal(mu_mem_live_bytes(), live);
        assert_true(nth < 10000);
    }
    mu_cluster_fini(&cluster);
}

static void test_session_run__arena_bound_reached__no_memory_and_unchanged(void **state)
{
    (void)state;
    struct mu_cluster cluster;
    mu_cluster_init(&cluster, 4, 1000);
    (void)mu_cluster_plain_node(&cluster, "a", 64000, 64 * GI, 2000, 0);
    struct mu_class_ix c = mu_cluster_plain_class(&cluster, 1, 1, 0);
    for (uint32_t g = 0; g < 1000; g++)
        (void)mu_cluster_plain_gang(&cluster, c, 1);
    const struct mu_session_config config = {.arena_bytes_max = 200000};
    struct mu_session *session = mu_session_create(&config);
    uint64_t digest = snapshot_digest(&cluster.snapshot);
    const struct mu_plan *plan = NULL;
    assert_int_equal(mu_session_run(session, &cluster.snapshot, 0, &plan), MU_ENOMEM);
    assert_null(plan);
    assert_int_equal(snapshot_digest(&cluster.snapshot), digest);
    mu_session_destroy(session);
    mu_cluster_fini(&cluster);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_session_run__each_allocation_fails__unchanged_and_usable),
        cmocka_unit_test(test_session_run__arena_bound_reached__no_memory_and_unchanged),
        cmocka_unit_test(test_session_run__random_small_clusters__equals_oracle),
        cmocka_unit_test(test_session_run__random_larger_clusters__equals_oracle),
        cmocka_unit_test(test_session_run__cluster_after_cluster__equals_oracle),
        cmocka_unit_test(test_session_run__runs_of_pods_alike__equals_oracle),
        cmocka_unit_test(test_session_run__rows_in_another_order__same_nodes),
        cmocka_unit_test(test_session_run__nothing_changed__scans_nothing),
        cmocka_unit_test(test_session_run__mixed_gang_short__known_until_room_grows),
        cmocka_unit_test(test_session_run__mixed_gangs_alike__laid_out_once),
        cmocka_unit_test(test_session_run__step_budget_runs_out__undecided),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
