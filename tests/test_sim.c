/*
 * The ring under virtual time with every fault: 200 seeds (MUSTER_SIM_SEEDS overrides), each with
 * the invariants checked after every step. A failing seed prints how to replay it.
 */
#include "tests/mu_test.h"

#include "engine/base/clock.h"
#include "engine/base/log.h"
#include "tools/sim/sim.h"

static struct mu_sim_small everything(void)
{
    struct mu_sim_small small = {.profile = &mu_profile_spread};
    struct mu_error error;
    assert_int_equal(mu_sim_faults_parse("all", &small, &error), 0);
    return small;
}

static uint64_t seeds_wanted(void)
{
    const char *text = getenv("MUSTER_SIM_SEEDS");
    return text != NULL ? strtoull(text, NULL, 10) : 200;
}

static uint32_t run_seed(const struct mu_sim_small *small, uint64_t seed,
                         struct mu_sim_result *result)
{
    struct mu_error error = {0};
    int rc = mu_sim_small_run(small, seed, result, &error);
    if (rc != 0)
        fail_msg("seed %llu: %s", (unsigned long long)seed, error.text);
    for (uint32_t i = 0; i < result->violation_count && i < MU_SIM_VIOLATIONS_KEPT; i++)
        print_error("muster sim --profile %s --seeds %llu..%llu: step %llu: %s: %s\n",
                    small->profile == &mu_profile_pack ? "pack" : "spread",
                    (unsigned long long)seed, (unsigned long long)seed,
                    (unsigned long long)result->violations[i].step, result->violations[i].invariant,
                    result->violations[i].what);
    return result->violation_count;
}

/* What a range of seeds came to. */
struct sum {
    uint64_t bad, steps, touches, roll_forwards, rollbacks, late_writes, preemptions, given_up;
    uint64_t kills[MU_KILL_STEPS][2], pauses[MU_KILL_STEPS][2];
};

static void add(struct sum *sum, const struct mu_sim_result *result)
{
    sum->steps += result->steps;
    sum->touches += result->touches;
    sum->roll_forwards += result->roll_forwards;
    sum->rollbacks += result->rollbacks;
    sum->late_writes += result->late_writes;
    sum->preemptions += result->preemptions;
    sum->given_up += result->given_up;
    for (int step = 0; step < MU_KILL_STEPS; step++) {
        for (int after = 0; after < 2; after++) {
            sum->kills[step][after] += result->kills[step][after];
            sum->pauses[step][after] += result->pauses[step][after];
        }
    }
}

#define LLU(n) ((unsigned long long)(n))

static void test_sim__all_faults__no_invariant_is_violated(void **state)
{
    struct mu_sim_small small = everything();
    struct sum sum = {.bad = 0};
    uint64_t seeds = seeds_wanted();
    (void)state;
    for (uint64_t seed = 1; seed <= seeds; seed++) {
        struct mu_sim_result result;
        small.profile = seed % 2 == 0 ? &mu_profile_pack : &mu_profile_spread;
        sum.bad += run_seed(&small, seed, &result) > 0;
        add(&sum, &result);
    }
    print_message("%llu seeds, %llu steps, %llu touches, %llu roll-forwards, %llu rollbacks, %llu "
                  "late writes, %llu preemptions, %llu given up\n",
                  LLU(seeds), LLU(sum.steps), LLU(sum.touches), LLU(sum.roll_forwards),
                  LLU(sum.rollbacks), LLU(sum.late_writes), LLU(sum.preemptions),
                  LLU(sum.given_up));
    for (int step = 0; step < MU_KILL_STEPS; step++) {
        print_message("at %s: killed %llu before, %llu after; paused %llu before, %llu after\n",
                      mu_kill_step_text((enum mu_kill_step)step), LLU(sum.kills[step][0]),
                      LLU(sum.kills[step][1]), LLU(sum.pauses[step][0]), LLU(sum.pauses[step][1]));
        for (int after = 0; after < 2 && seeds >= 1000; after++)
            assert_true(sum.kills[step][after] > 0 && sum.pauses[step][after] > 0);
    }
    if (seeds >= 200) {
        assert_true(sum.touches > 0 && sum.late_writes > 0);
        assert_true(sum.roll_forwards > 0 && sum.preemptions > 0 && sum.given_up > 0);
    }
    if (seeds >= 1000)
        assert_true(sum.rollbacks > 0); /* a gang is nearly always completed in time */
    assert_int_equal(sum.bad, 0);
    assert_true(sum.steps > seeds * 50); /* the worlds did live */
}

static void test_sim__no_faults__comes_to_rest_clean(void **state)
{
    struct mu_sim_small small = {.profile = &mu_profile_pack};
    struct mu_error error;
    (void)state;
    assert_int_equal(mu_sim_faults_parse("none", &small, &error), 0);
    assert_false(small.churn || small.kills || small.pauses);
    for (uint64_t seed = 1; seed <= 10; seed++) {
        struct mu_sim_result result;
        assert_int_equal(run_seed(&small, seed, &result), 0);
        assert_true(result.rested);
    }
}

/* Seeds beyond those that are always run, each of which broke an invariant once. */
static void test_sim__seeds_that_failed_once__hold(void **state)
{
    static const struct {
        uint64_t seed;
        const struct mu_profile *profile;
    } cases[] = {
        {170, &mu_profile_pack},   {520, &mu_profile_pack}, {520, &mu_profile_spread},
        {647, &mu_profile_spread}, {647, &mu_profile_pack}, {881, &mu_profile_spread},
        {881, &mu_profile_pack},   {950, &mu_profile_pack}, {950, &mu_profile_spread},
    };
    struct mu_sim_small small = everything();
    uint32_t bad = 0;
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct mu_sim_result result;
        small.profile = cases[i].profile;
        bad += run_seed(&small, cases[i].seed, &result) > 0;
    }
    assert_int_equal(bad, 0);
}

/* I10 */
static void test_sim__same_seed__same_trace(void **state)
{
    struct mu_sim_small small = everything();
    (void)state;
    for (uint64_t seed = 1; seed <= 5; seed++) {
        struct mu_sim_result first, second, other;
        (void)run_seed(&small, seed, &first);
        (void)run_seed(&small, seed, &second);
        (void)run_seed(&small, seed + 1000, &other);
        assert_true(first.trace_hash == second.trace_hash);
        assert_true(first.steps == second.steps);
        assert_true(first.trace_hash != other.trace_hash);
    }
}

static void test_sim_faults__words(void **state)
{
    struct mu_sim_small small;
    struct mu_error error;
    (void)state;
    assert_int_equal(mu_sim_faults_parse("churn", &small, &error), 0);
    assert_true(small.churn);
    assert_int_equal(mu_sim_faults_parse("drop,churn,409", &small, &error), 0);
    assert_true(small.churn);
    assert_int_equal(mu_sim_faults_parse("drop", &small, &error), 0);
    assert_false(small.churn || small.kills);
    assert_int_equal(mu_sim_faults_parse("kill,drop", &small, &error), 0);
    assert_true(small.kills && !small.churn && !small.pauses);
    assert_int_equal(mu_sim_faults_parse("pause", &small, &error), 0);
    assert_true(small.pauses && !small.kills && !small.wakes);
    assert_int_equal(mu_sim_faults_parse("wake", &small, &error), 0);
    assert_true(small.wakes && small.pauses && !small.kills);
    assert_int_equal(mu_sim_faults_parse("all", &small, &error), 0);
    assert_true(small.pauses && small.kills && small.churn && !small.wakes);
    assert_int_equal(mu_sim_faults_parse("drop,bogus", &small, &error), MU_EINVAL);
    assert_non_null(strstr(error.text, "bogus"));
    assert_non_null(strstr(error.text, "churn"));
}

/* What no list can hold, but a caller may make. */
static void test_sim_run__object_refused__ends_in_the_servers_words(void **state)
{
    struct mu_workload *workload = mu_workload_create();
    const struct mu_label label = {MU_STR("zone"), MU_STR("not a label value")};
    const struct mu_node_object node = {.name = MU_STR("n1"), .labels = &label, .label_count = 1};
    struct mu_sim_config config = {.seed = 1, .workload = workload, .horizon_ns = MU_NS_PER_S * 9};
    struct mu_sim_result result;
    struct mu_error error = {0};
    (void)state;
    assert_int_equal(mu_workload_add_node(workload, &node, "test", &error), 0);
    struct mu_sim *sim = mu_sim_create(&config);
    assert_non_null(sim);
    assert_int_equal(mu_sim_run(sim, &result, NULL, NULL, &error), MU_EINVAL);
    assert_non_null(strstr(error.text, "refused with HTTP 422: Node \"n1\" is invalid"));
    mu_sim_destroy(sim);
    mu_workload_destroy(workload);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sim__no_faults__comes_to_rest_clean),
        cmocka_unit_test(test_sim__seeds_that_failed_once__hold),
        cmocka_unit_test(test_sim__same_seed__same_trace),
        cmocka_unit_test(test_sim_faults__words),
        cmocka_unit_test(test_sim_run__object_refused__ends_in_the_servers_words),
        cmocka_unit_test(test_sim__all_faults__no_invariant_is_violated),
    };
    struct mu_log_config quiet = {.level = MU_LOG_ERROR};
    mu_log_configure(&quiet);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
