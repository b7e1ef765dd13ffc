/*
 * Gangs that greedy placement may miss, against all ways there are: on small clusters the answer is
 * always right, and never "undecided". And what happens when steps run out.
 */
#include "tests/mu_test.h"

#include "tests/support/cluster.h"
#include "tests/support/oracle.h"

#define GI       (INT64_C(1) << 30)
#define NODES    6
#define MEMBERS  8
#define DISTINCT 4

static struct mu_session *session_make(void)
{
    struct mu_session *session =
        mu_session_create(&(struct mu_session_config){.profile = &mu_profile_spread});
    assert_non_null(session);
    return session;
}

/* ---- all ways -------------------------------------------------------------------------------- */

struct small {
    struct mu_cluster cluster;
    const struct mu_gang_block *block;
    uint32_t size;
    uint32_t nodes[MEMBERS]; /* by member, MU_NONE: none */
};

static bool is_enough(const struct small *x)
{
    uint32_t all = 0;
    for (uint32_t g = 0; g < x->block->subgroup_count; g++) {
        const struct mu_gang_subgroup *sub = &x->block->subgroups[g];
        uint32_t here = 0;
        for (uint32_t m = sub->member_begin; m < sub->member_begin + sub->member_count; m++)
            here += x->nodes[m] != MU_NONE;
        all += here;
        if (here < (sub->min == 0 ? sub->member_count : sub->min))
            return false;
    }
    return all >= x->size;
}

/* Members come by sub-group; of those that are alike none goes to an earlier node than the one
 * before it. */
static bool any_way(struct small *x, uint32_t m)
{
    struct mu_snapshot *s = &x->cluster.snapshot;
    if (is_enough(x))
        return true;
    if (m == x->block->member_count)
        return false;
    struct mu_class_ix class_ix = x->block->members[m].class_ix;
    const struct mu_class *c = mu_model_get_class(s->model, class_ix);
    uint32_t from = 0;
    bool alike = m > 0 && x->block->members[m - 1].class_ix.v == class_ix.v;
    for (uint32_t g = 0; g < x->block->subgroup_count; g++)
        alike = alike && x->block->subgroups[g].member_begin != m;
    if (alike && x->nodes[m - 1] == MU_NONE)
        return any_way(x, m + 1);
    if (alike)
        from = x->nodes[m - 1];
    for (uint32_t row = from; row < s->node_rows; row++) {
        if (mu_oracle_verdict(s, c, row).kind != MU_FITS)
            continue;
        mu_oracle_charge(s, class_ix, row, 1);
        x->nodes[m] = row;
        bool found = any_way(x, m + 1);
        x->nodes[m] = MU_NONE;
        mu_oracle_charge(s, class_ix, row, -1);
        if (found)
            return true;
    }
    return any_way(x, m + 1);
}

/* ---- random clusters --------------------------------------------------------------------------
 */

static struct mu_class_ix class_random(struct small *x, struct mu_random *random)
{
    int64_t cpu = 1000 * (1 + (int64_t)mu_random_below(random, 6));
    int64_t memory = GI * (int64_t)mu_random_below(random, 6);
    int64_t devices = mu_random_chance(random, 400) ? 1 << mu_random_below(random, 3) : 0;
    return mu_cluster_plain_class(&x->cluster, cpu, memory, devices);
}

static void gang_random(struct small *x, struct mu_random *random)
{
    struct mu_cluster_member members[MEMBERS];
    struct mu_cluster_subgroup subgroups[2];
    struct mu_class_ix classes[DISTINCT];
    uint32_t count = 2 + (uint32_t)mu_random_below(random, MEMBERS - 1), minima = 0;
    uint32_t parts = 1 + (uint32_t)mu_random_below(random, 2);
    for (uint32_t c = 0; c < DISTINCT; c++)
        classes[c] = class_random(x, random);
    for (uint32_t m = 0; m < count; m++)
        members[m] = (struct mu_cluster_member){
            .class_ix = classes[mu_random_below(random, DISTINCT)], .held = MU_NONE};
    uint32_t first = parts == 1 ? count : 1 + (uint32_t)mu_random_below(random, count - 1);
    for (uint32_t p = 0; p < parts; p++) {
        uint32_t here = p == 0 ? first : count - first;
        uint32_t min =
            mu_random_chance(random, 600) ? here : 1 + (uint32_t)mu_random_below(random, here);
        minima += min;
        subgroups[p] = (struct mu_cluster_subgroup){
            .min = min, .member_count = here, .members = &members[p == 0 ? 0 : first]};
    }
    const struct mu_cluster_gang gang = {
        .flags = MU_GANG_SETTLED,
        .size = minima + (uint32_t)mu_random_below(random, count - minima + 1),
        .subgroup_count = parts,
        .subgroups = subgroups};
    uint32_t row = mu_cluster_gang(&x->cluster, &gang);
    x->block = x->cluster.snapshot.gangs[row].block;
    x->size = gang.size;
    for (uint32_t m = 0; m < MEMBERS; m++)
        x->nodes[m] = MU_NONE;
}

static void small_random(struct small *x, struct mu_random *random)
{
    mu_cluster_init(&x->cluster, NODES + 1, 1);
    uint32_t nodes = 1 + (uint32_t)mu_random_below(random, NODES);
    for (uint32_t n = 0; n < nodes; n++) {
        const char name[] = {'n', (char)('a' + n), 0};
        (void)mu_cluster_plain_node(
            &x->cluster, name, 1000 * (2 + (int64_t)mu_random_below(random, 10)),
            GI * (2 + (int64_t)mu_random_below(random, 10)),
            1 + (int64_t)mu_random_below(random, 6),
            mu_random_chance(random, 700) ? (int64_t)mu_random_below(random, 9) : 0);
    }
    gang_random(x, random);
}

static const struct mu_plan *decide(struct mu_test_run *run, struct mu_session *session,
                                    struct small *x)
{
    const struct mu_plan *plan = NULL;
    MU_TEST_CHECK(run, mu_session_run(session, &x->cluster.snapshot, 0, &plan) == 0);
    MU_TEST_CHECK(run, plan->gang_count + plan->wait_count == 1);
    if (plan->wait_count == 1)
        MU_TEST_CHECK(run, plan->waits[0].kind == MU_WAIT_NO_FIT);
    return plan;
}

/* Every bind fits beside the others, and they are as many as are needed. */
static void plan_check(struct mu_test_run *run, struct small *x, const struct mu_plan_gang *gang)
{
    struct mu_snapshot *s = &x->cluster.snapshot;
    for (uint32_t b = 0, m = 0; b < gang->bind_count; b++, m++) {
        while (x->block->members[m].pod.v != gang->binds[b].pod.v)
            m++;
        struct mu_class_ix class_ix = x->block->members[m].class_ix;
        uint32_t row = gang->binds[b].node.v;
        const struct mu_class *c = mu_model_get_class(s->model, class_ix);
        MU_TEST_CHECK(run, mu_oracle_verdict(s, c, row).kind == MU_FITS);
        mu_oracle_charge(s, class_ix, row, 1);
        x->nodes[m] = row;
    }
    MU_TEST_CHECK(run, is_enough(x));
    for (uint32_t m = 0; m < x->block->member_count; m++) {
        if (x->nodes[m] != MU_NONE)
            mu_oracle_charge(s, x->block->members[m].class_ix, x->nodes[m], -1);
        x->nodes[m] = MU_NONE;
    }
}

static void test_session_run__small_clusters__answer_of_all_ways(void **state)
{
    (void)state;
    struct mu_test_run run = mu_test_run_begin(21);
    uint32_t fits = 0, misses = 0;
    for (run.step = 0; run.step < 4000; run.step++) {
        struct small x;
        small_random(&x, &run.random);
        struct mu_session *session = session_make();
        const struct mu_plan *plan = decide(&run, session, &x);
        bool fit = plan->gang_count == 1;
        if (fit)
            plan_check(&run, &x, &plan->gangs[0]);
        MU_TEST_CHECK(&run, fit == any_way(&x, 0));
        fits += fit;
        misses += !fit;
        mu_session_drop_caches(session);
        plan = decide(&run, session, &x);
        MU_TEST_CHECK(&run, (plan->gang_count == 1) == fit);
        /* More room never makes it worse. */
        uint32_t row = (uint32_t)mu_random_below(&run.random, x.cluster.snapshot.node_rows);
        mu_cluster_free_add(&x.cluster, row, (uint32_t)mu_random_below(&run.random, 2), 3 * GI);
        plan = decide(&run, session, &x);
        MU_TEST_CHECK(&run, plan->gang_count == 1 || !fit);
        mu_session_destroy(session);
        mu_cluster_fini(&x.cluster);
    }
    assert_true(fits > 500 && misses > 500);
}

/* ---- cases ----------------------------------------------------------------------------------- */

/* `counts` members of each class, all needed. */
static uint32_t gang_of(struct mu_cluster *cluster, const struct mu_class_ix *classes,
                        const uint32_t *counts, uint32_t class_count)
{
    struct mu_cluster_member members[256];
    uint32_t count = 0;
    for (uint32_t c = 0; c < class_count; c++)
        for (uint32_t n = 0; n < counts[c]; n++)
            members[count++] = (struct mu_cluster_member){.class_ix = classes[c], .held = MU_NONE};
    const struct mu_cluster_subgroup subgroup = {
        .min = count, .member_count = count, .members = members};
    const struct mu_cluster_gang gang = {
        .flags = MU_GANG_SETTLED, .size = count, .subgroup_count = 1, .subgroups = &subgroup};
    return mu_cluster_gang(cluster, &gang);
}

/* Nodes of 10: a 4 and two 3 each, but never two 4 or three 3 and nothing else. Whatever is largest
 * first goes wrong. */
static void test_session_run__greedy_misses__found_by_search(void **state)
{
    (void)state;
    struct mu_cluster cluster;
    mu_cluster_init(&cluster, 8, 2);
    for (uint32_t n = 0; n < 8; n++) {
        const char name[] = {'n', (char)('a' + n), 0};
        (void)mu_cluster_plain_node(&cluster, name, 10000, 64 * GI, 20, 0);
    }
    const struct mu_class_ix classes[] = {mu_cluster_plain_class(&cluster, 3000, GI, 0),
                                          mu_cluster_plain_class(&cluster, 4000, GI, 0)};
    (void)gang_of(&cluster, classes, (const uint32_t[]){16, 8}, 2);
    struct mu_session *session = session_make();
    const struct mu_plan *plan = NULL;
    assert_int_equal(mu_session_run(session, &cluster.snapshot, 0, &plan), 0);
    assert_int_equal(plan->gang_count, 1);
    assert_int_equal(plan->gangs[0].bind_count, 24);
    /* One less of one node, and no way is left. */
    mu_cluster_free_add(&cluster, 3, MU_RES_CPU, -1);
    assert_int_equal(mu_session_run(session, &cluster.snapshot, 0, &plan), 0);
    assert_int_equal(plan->wait_count, 1);
    assert_int_equal(plan->waits[0].kind, MU_WAIT_NO_FIT);
    mu_session_destroy(session);
    mu_cluster_fini(&cluster);
}

/* Nodes without any waste to spare, and sizes that hardly ever add up: too much to search. */
static void hard_gang(struct mu_cluster *cluster, struct mu_random *random)
{
    struct mu_class_ix classes[16];
    uint32_t counts[16];
    for (uint32_t c = 0; c < 16; c++) {
        counts[c] = 10;
        classes[c] = mu_cluster_plain_class(cluster, 2500 + (int64_t)mu_random_below(random, 2500),
                                            GI * (1 + (int64_t)mu_random_below(random, 8)), 0);
    }
    (void)gang_of(cluster, classes, counts, 16);
}

static void hard_make(struct mu_cluster *cluster, struct mu_random *random, uint32_t gangs)
{
    mu_cluster_init(cluster, 60, gangs);
    for (uint32_t n = 0; n < 60; n++) {
        char name[16];
        (void)snprintf(name, sizeof name, "n%u", n);
        (void)mu_cluster_plain_node(cluster, name, 10300 + (int64_t)mu_random_below(random, 1000),
                                    GI * (13 + (int64_t)mu_random_below(random, 3)), 20, 0);
    }
    for (uint32_t g = 0; g < gangs; g++)
        hard_gang(cluster, random);
}

static void test_session_run__steps_run_out__tried_harder_until_enough(void **state)
{
    (void)state;
    struct mu_random random;
    struct mu_cluster cluster;
    mu_random_init_seed(&random, 5);
    hard_make(&cluster, &random, 1);
    struct mu_session *session = session_make();
    const struct mu_plan *plan = NULL;
    for (uint64_t run = 0; run < 6; run++) {
        uint64_t now_ns = run * 2000000000;
        if (run % 2 == 1)
            mu_session_drop_caches(session); /* what was tried is not one of them */
        assert_int_equal(mu_session_run(session, &cluster.snapshot, now_ns, &plan), 0);
        assert_int_equal(plan->wait_count, 1);
        assert_int_equal(plan->waits[0].kind, MU_WAIT_UNDECIDED);
        assert_int_not_equal(plan->waits[0].class_ix.v, MU_NONE); /* told as for NO_FIT */
        assert_int_equal(plan->waits[0].need, 160);
        if (run < 2)
            assert_int_equal(plan->next_ns, now_ns + 1000000000);
        else
            assert_int_equal(plan->next_ns, UINT64_MAX);
    }
    for (uint32_t n = 0; n < 10; n++) { /* room for all that waits */
        mu_cluster_free_add(&cluster, n, MU_RES_CPU, 100000);
        mu_cluster_free_add(&cluster, n, MU_RES_MEMORY, 100 * GI);
    }
    assert_int_equal(mu_session_run(session, &cluster.snapshot, 0, &plan), 0);
    assert_int_equal(plan->gang_count, 1);
    mu_session_destroy(session);
    mu_cluster_fini(&cluster);
}

/* Gangs share the steps of a run. What is remembered of some must not leave more to the others. */
static void test_session_run__several_undecided__same_with_caches_dropped(void **state)
{
    (void)state;
    struct mu_random random;
    struct mu_cluster cluster;
    mu_random_init_seed(&random, 8);
    hard_make(&cluster, &random, 5);
    struct mu_session *session = session_make(), *forgetful = session_make();
    const struct mu_plan *plan = NULL, *other = NULL;
    uint32_t undecided = 0;
    for (uint64_t run = 0; run < 7; run++) {
        uint64_t now_ns = run * 2000000000;
        mu_session_drop_caches(forgetful);
        if (run == 5)
            mu_cluster_free_add(&cluster, 0, MU_RES_CPU, -1);
        assert_int_equal(mu_session_run(session, &cluster.snapshot, now_ns, &plan), 0);
        assert_int_equal(mu_session_run(forgetful, &cluster.snapshot, now_ns, &other), 0);
        assert_int_equal(plan->wait_count, other->wait_count);
        assert_int_equal(plan->next_ns, other->next_ns);
        for (uint32_t w = 0; w < plan->wait_count; w++) {
            assert_int_equal(plan->waits[w].gang.v, other->waits[w].gang.v);
            assert_int_equal(plan->waits[w].kind, other->waits[w].kind);
            undecided += plan->waits[w].kind == MU_WAIT_UNDECIDED;
        }
    }
    assert_true(undecided > 10);
    mu_session_destroy(session);
    mu_session_destroy(forgetful);
    mu_cluster_fini(&cluster);
}

/* As many members as there may be, of three classes. */
static void test_session_run__largest_gang_of_several_classes__placed(void **state)
{
    (void)state;
    enum { LARGE_NODES = 4096, PER_NODE = 4 };
    static struct mu_cluster_member members[LARGE_NODES * PER_NODE];
    struct mu_cluster cluster;
    mu_cluster_init(&cluster, LARGE_NODES, 1);
    for (uint32_t n = 0; n < LARGE_NODES; n++) {
        char name[16];
        (void)snprintf(name, sizeof name, "n%u", n);
        (void)mu_cluster_plain_node(&cluster, name, 13000, 64 * GI, 20, 0);
    }
    const struct mu_class_ix classes[] = {mu_cluster_plain_class(&cluster, 4000, GI, 0),
                                          mu_cluster_plain_class(&cluster, 3000, GI, 0),
                                          mu_cluster_plain_class(&cluster, 1500, GI, 0)};
    for (uint32_t m = 0; m < LARGE_NODES * PER_NODE; m++)
        members[m] = (struct mu_cluster_member){
            .class_ix = classes[m % PER_NODE < 2 ? m % PER_NODE : 2], .held = MU_NONE};
    const struct mu_cluster_subgroup subgroup = {
        .min = LARGE_NODES * PER_NODE, .member_count = LARGE_NODES * PER_NODE, .members = members};
    const struct mu_cluster_gang gang = {.flags = MU_GANG_SETTLED,
                                         .size = LARGE_NODES * PER_NODE,
                                         .subgroup_count = 1,
                                         .subgroups = &subgroup};
    (void)mu_cluster_gang(&cluster, &gang);
    struct mu_session *session = session_make();
    const struct mu_plan *plan = NULL;
    assert_int_equal(mu_session_run(session, &cluster.snapshot, 0, &plan), 0);
    assert_int_equal(plan->gang_count, 1);
    assert_int_equal(plan->gangs[0].bind_count, LARGE_NODES * PER_NODE);
    for (uint32_t n = 0; n < LARGE_NODES; n++)
        mu_cluster_free_add(&cluster, n, MU_RES_CPU, n == 0 ? -3001 : -3000);
    assert_int_equal(mu_session_run(session, &cluster.snapshot, 0, &plan), 0);
    assert_int_equal(plan->wait_count, 1);
    assert_int_equal(plan->waits[0].kind, MU_WAIT_NO_FIT); /* by the sum of what is asked for */
    mu_session_destroy(session);
    mu_cluster_fini(&cluster);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_session_run__small_clusters__answer_of_all_ways),
        cmocka_unit_test(test_session_run__greedy_misses__found_by_search),
        cmocka_unit_test(test_session_run__steps_run_out__tried_harder_until_enough),
        cmocka_unit_test(test_session_run__several_undecided__same_with_caches_dropped),
        cmocka_unit_test(test_session_run__largest_gang_of_several_classes__placed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
