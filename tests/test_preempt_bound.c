/*
 * What searches for victims cost where nobody helps: a run takes the steps that it has and little
 * more, whatever asks; who went without has its turn; what is known is not looked for again.
 */
#include "tests/preempt_rig.h"

#define GI        (INT64_C(1) << 30)
#define NODES     10u
#define GANGS     300u
#define RUN_STEPS 20000u
/* One search may go beyond them: its own steps, and a first answer. */
#define SEARCH_STEPS 4000u
#define SLACK        (SEARCH_STEPS + 2000u)

/* Ten nodes with four pods each. */
static void rig_full(struct preempt_rig *rig)
{
    rig_init(rig, NODES, GANGS + 8);
    rig->config.steps_max = SEARCH_STEPS;
    rig->config.run_steps = RUN_STEPS;
    for (uint32_t n = 0; n < NODES; n++) {
        char name[16];
        (void)snprintf(name, sizeof name, "n%u", n);
        (void)mu_cluster_plain_node(&rig->cluster, name, 4000, 64 * GI, 110, 0);
    }
    mu_crowd_init(&rig->crowd, &rig->cluster);
    for (uint32_t i = 0; i < 4 * NODES; i++)
        (void)mu_crowd_add(
            &rig->crowd, i % NODES,
            (struct mu_occupant){.class_ix = mu_cluster_plain_class(&rig->cluster, 1000, 0, 0),
                                 .gang = {MU_NONE},
                                 .priority = (int32_t)(i % 7),
                                 .started = i});
}

/* A gang that cannot fit, of classes that nobody else has: by turns one pod, three alike, and two
 * classes of which either would fit alone. */
static uint32_t gang_in_vain(struct preempt_rig *rig, uint32_t number)
{
    struct mu_class_ix over = mu_cluster_plain_class(&rig->cluster, 4001, number + 1, 0);
    struct mu_class_ix large = mu_cluster_plain_class(&rig->cluster, 2500, number + 1, 0);
    struct mu_class_ix small = mu_cluster_plain_class(&rig->cluster, 1600, number + 1, 0);
    struct mu_cluster_member list[2 * NODES];
    if (number % 3 < 2)
        return rig_gang(rig, over, number % 3 == 0 ? 1 : 3, 10);
    for (uint32_t m = 0; m < 2 * NODES; m++)
        list[m] = (struct mu_cluster_member){m % 2 == 0 ? large : small, MU_NONE, 0};
    const struct mu_cluster_subgroup subgroup = {2 * NODES, 0, 2 * NODES, list};
    const struct mu_cluster_gang gang = {.flags = MU_GANG_SETTLED,
                                         .priority = 10,
                                         .size = 2 * NODES,
                                         .subgroup_count = 1,
                                         .subgroups = &subgroup};
    return mu_cluster_gang(&rig->cluster, &gang);
}

struct cost {
    uint64_t steps, postponed, recalled;
    uint32_t found;
};

/* A run: all of them ask. `moved`: something has since the last one, and nothing is known. */
static struct cost run(struct preempt_rig *rig, const uint32_t *gangs, uint32_t count, bool moved)
{
    struct mu_preempt_counts before, after;
    struct cost cost = {.found = MU_NONE};
    mu_preempt_counts(rig->preempt, &before);
    rig->cluster.snapshot.generation += moved;
    rig->cluster.snapshot.occupant_generation += moved;
    mu_preempt_begin(rig->preempt, &rig->cluster.snapshot, 0);
    for (uint32_t i = 0; i < count; i++) {
        struct mu_preempt_found found;
        assert_int_equal(rig_find(rig, gangs[i], &found), 0);
        if (found.outcome == MU_PREEMPT_FOUND)
            cost.found = gangs[i];
        else
            assert_true(found.outcome == MU_PREEMPT_NONE || found.outcome == MU_PREEMPT_LATER);
    }
    mu_preempt_counts(rig->preempt, &after);
    cost.steps = after.steps - before.steps;
    cost.postponed = after.postponed - before.postponed;
    cost.recalled = after.recalled - before.recalled;
    return cost;
}

static void test_preempt_find__in_vain__within_the_steps_of_a_run(void **state)
{
    (void)state;
    struct preempt_rig rig;
    uint32_t gangs[GANGS];
    rig_full(&rig);
    for (uint32_t i = 0; i < GANGS; i++)
        gangs[i] = gang_in_vain(&rig, i);
    rig_open(&rig);
    for (uint32_t n = 0; n < 5; n++) {
        const struct cost cost = run(&rig, gangs, GANGS, true);
        assert_true(cost.steps > RUN_STEPS / 2);
        assert_true(cost.steps <= RUN_STEPS + 2 * SLACK);
        assert_true(cost.postponed > 0);
        assert_int_equal(cost.found, MU_NONE);
    }
    rig_close(&rig);
}

static void test_preempt_find__nothing_moves__nothing_is_looked_for_again(void **state)
{
    (void)state;
    struct preempt_rig rig;
    uint32_t gangs[GANGS], runs = 0;
    rig_full(&rig);
    for (uint32_t i = 0; i < GANGS; i++)
        gangs[i] = gang_in_vain(&rig, i);
    rig_open(&rig);
    struct cost cost;
    do {
        cost = run(&rig, gangs, GANGS, false);
        assert_true(cost.steps <= RUN_STEPS + 2 * SLACK);
        runs++;
    } while (cost.postponed > 0 && runs < GANGS);
    assert_true(runs > 2 && runs < GANGS);
    cost = run(&rig, gangs, GANGS, false);
    assert_int_equal(cost.steps, 0);
    assert_int_equal(cost.recalled, GANGS);
    rig_close(&rig);
}

static void test_preempt_find__last_of_many__has_its_turn(void **state)
{
    (void)state;
    struct preempt_rig rig;
    uint32_t gangs[GANGS + 1], runs = 0;
    rig_full(&rig);
    for (uint32_t i = 0; i < GANGS; i++)
        gangs[i] = gang_in_vain(&rig, i);
    gangs[GANGS] = rig_gang(&rig, mu_cluster_plain_class(&rig.cluster, 1000, 0, 0), 2, 10);
    rig_open(&rig);
    struct cost cost;
    do { /* all is new in each run: the first of them are looked at again and again */
        cost = run(&rig, gangs, GANGS + 1, true);
        runs++;
    } while (cost.found == MU_NONE && runs < GANGS);
    assert_int_equal(cost.found, gangs[GANGS]);
    assert_true(runs > 1);
    rig_close(&rig);
}

static void test_preempt_find__too_large_for_every_node__is_counted_not_laid_out(void **state)
{
    (void)state;
    struct preempt_rig rig;
    struct mu_cluster_member list[2];
    rig_full(&rig);
    list[0] =
        (struct mu_cluster_member){mu_cluster_plain_class(&rig.cluster, 1000, 0, 0), MU_NONE, 0};
    list[1] =
        (struct mu_cluster_member){mu_cluster_plain_class(&rig.cluster, 4001, 0, 0), MU_NONE, 0};
    const struct mu_cluster_subgroup subgroup = {2, 0, 2, list};
    const struct mu_cluster_gang gang = {.flags = MU_GANG_SETTLED,
                                         .priority = 10,
                                         .size = 2,
                                         .subgroup_count = 1,
                                         .subgroups = &subgroup};
    const uint32_t ix = mu_cluster_gang(&rig.cluster, &gang);
    rig_open(&rig);
    const struct cost first = run(&rig, &ix, 1, true);
    assert_int_equal(first.found, MU_NONE);
    assert_true(first.steps < 200);
    /* which holds whatever else comes and goes, as long as no room grows and nobody moves */
    rig.cluster.snapshot.generation++;
    assert_int_equal(run(&rig, &ix, 1, false).steps, 0);
    rig_close(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_preempt_find__in_vain__within_the_steps_of_a_run),
        cmocka_unit_test(test_preempt_find__nothing_moves__nothing_is_looked_for_again),
        cmocka_unit_test(test_preempt_find__last_of_many__has_its_turn),
        cmocka_unit_test(test_preempt_find__too_large_for_every_node__is_counted_not_laid_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
