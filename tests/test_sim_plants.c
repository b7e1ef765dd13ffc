/*
 * The simulation finds what it is for: each unsound shortcut of the commit protocol that is planted
 * into this program (engine/base/plant.h) breaks an invariant on a seed that is known to catch it,
 * and the same seed without it breaks none. After a change of the scheduler a seed's run may be
 * another: then some seed of the first SEEDS_MAX has to catch it, and the table wants that one.
 */
#include "tests/mu_test.h"

#include "engine/base/log.h"
#include "engine/base/plant.h"
#include "tools/sim/sim.h"

#define SEEDS_MAX   60u
#define CLEAN_SEEDS 20u

/* An old scheduler wakes when its successor has just taken over, with what it was about to send. */
#define WAKING "delay=200,reorder=100,409,churn,wake"
/* Writes that land after their sender was told that they were lost, and refusals that are none. */
#define LATE "late=200,409=300,delay=100,churn"

static const struct {
    enum mu_plant plant;
    const char *faults;
    uint64_t seed;
} table[] = {
    {MU_PLANT_UNAWAITED, WAKING, 1},  {MU_PLANT_BLIND, WAKING, 1},
    {MU_PLANT_LOST_IS_IN, WAKING, 1}, {MU_PLANT_BIND_UID, WAKING, 3},
    {MU_PLANT_DELETE_UID, WAKING, 4}, {MU_PLANT_LEAVING, WAKING, 9},
    {MU_PLANT_BIND_RETRY, WAKING, 6}, {MU_PLANT_UNCHECKED, WAKING, 15},
    {MU_PLANT_UNCHANGED, LATE, 10},   {MU_PLANT_FREED, WAKING, 20},
    {MU_PLANT_READ_ONLY, WAKING, 2},  {MU_PLANT_CLOSE_HEAD, WAKING, 1},
    {MU_PLANT_NO_TOUCH, WAKING, 1},   {MU_PLANT_NO_VICTIM, WAKING, 60},
    {MU_PLANT_SAME_BYTES, WAKING, 1},
};
#define TABLE_ROWS (sizeof table / sizeof table[0])

/* Whether the seed breaks an invariant; *first is the one that it breaks first. */
static bool breaks(enum mu_plant plant, const char *faults, uint64_t seed,
                   struct mu_violation *first)
{
    struct mu_sim_small small = {.profile = &mu_profile_default};
    struct mu_error error = {0};
    struct mu_sim_result result;
    assert_int_equal(mu_sim_faults_parse(faults, &small, &error), 0);
    mu_planted = plant;
    int rc = mu_sim_small_run(&small, seed, &result, &error);
    mu_planted = MU_PLANT_NONE;
    if (rc != 0)
        fail_msg("seed %llu: %s", (unsigned long long)seed, error.text);
    *first = result.violations[0];
    return result.violation_count > 0;
}

static void fail_clean(uint64_t seed, const char *faults, const struct mu_violation *first)
{
    fail_msg("without a plant: --profile default --seeds %llu..%llu --faults %s: %s: %s",
             (unsigned long long)seed, (unsigned long long)seed, faults, first->invariant,
             first->what);
}

/* The seed that catches it, `known` if that still does; 0: none. */
static uint64_t caught_by(enum mu_plant plant, const char *faults, uint64_t known,
                          struct mu_violation *first)
{
    if (breaks(plant, faults, known, first))
        return known;
    for (uint64_t seed = 1; seed <= SEEDS_MAX; seed++)
        if (breaks(plant, faults, seed, first))
            return seed;
    return 0;
}

static void test_sim_plants__each__is_caught(void **state)
{
    uint32_t missed = 0;
    (void)state;
    for (size_t i = 0; i < TABLE_ROWS; i++) {
        const char *id = mu_plant_info(table[i].plant)->id, *faults = table[i].faults;
        struct mu_violation first;
        uint64_t seed = caught_by(table[i].plant, faults, table[i].seed, &first);
        if (seed == 0) {
            print_error("%s: no seed up to %u catches it\n", id, SEEDS_MAX);
            missed++;
            continue;
        }
        print_message("%s: seed %llu%s: %s: %s\n", id, (unsigned long long)seed,
                      seed == table[i].seed ? "" : " (not as in the table)", first.invariant,
                      first.what);
        if (breaks(MU_PLANT_NONE, faults, seed, &first))
            fail_clean(seed, faults, &first);
    }
    assert_int_equal(missed, 0);
}

/* These faults are no part of test_sim's. */
static void test_sim_plants__none__is_clean(void **state)
{
    const char *const lists[] = {WAKING, LATE};
    (void)state;
    for (uint64_t seed = 1; seed <= CLEAN_SEEDS; seed++) {
        struct mu_violation first;
        for (size_t i = 0; i < 2; i++)
            if (breaks(MU_PLANT_NONE, lists[i], seed, &first))
                fail_clean(seed, lists[i], &first);
    }
}

static void test_sim_plants__table__has_each_once(void **state)
{
    (void)state;
    assert_int_equal(TABLE_ROWS, MU_PLANTS_END - 1);
    for (size_t i = 0; i < TABLE_ROWS; i++)
        assert_int_equal(table[i].plant, i + 1);
}

static void test_plant_find__ids(void **state)
{
    (void)state;
    for (int i = MU_PLANT_NONE + 1; i < MU_PLANTS_END; i++) {
        const struct mu_plant_info *info = mu_plant_info((enum mu_plant)i);
        assert_int_equal(mu_plant_find(info->id), i);
        assert_true(strlen(info->step) > 0 && strlen(info->what) > 0);
    }
    assert_int_equal(mu_plant_find("list"), MU_PLANT_NONE);
    assert_int_equal(mu_plant_find(""), MU_PLANT_NONE);
    assert_int_equal(mu_plant_find("read-onl"), MU_PLANT_NONE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plant_find__ids),
        cmocka_unit_test(test_sim_plants__table__has_each_once),
        cmocka_unit_test(test_sim_plants__none__is_clean),
        cmocka_unit_test(test_sim_plants__each__is_caught),
    };
    struct mu_log_config quiet = {.level = MU_LOG_ERROR};
    mu_log_configure(&quiet);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
