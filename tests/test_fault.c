#include "tools/kubesim/fault.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>
#include "engine/base/clock.h"

static void refuses(const char *list, const char *says)
{
    struct mu_faults faults = {.permille = {7}};
    struct mu_error error = {0, ""};
    assert_int_equal(mu_faults_parse(list, &faults, &error), MU_EINVAL);
    assert_int_equal(faults.permille[0], 7);
    if (strstr(error.text, says) == NULL || strchr(error.text, '\n') != NULL) {
        fail_msg("'%s': %s", list, error.text);
    }
}

static void test_faults_parse__wrong_lists__one_line(void **state)
{
    (void)state;
    refuses("dropp", "'dropp' is not a fault; expected some of drop,delay");
    refuses("drop,", "ends with a comma");
    refuses(",drop", "'' is not a fault");
    refuses("drop,,delay", "'' is not a fault");
    refuses("drop=1001", "fault drop: '1001' is not between 0 and 1000");
    refuses("drop=-1", "fault drop: '-1'");
    refuses("late=", "fault late: ''");
    refuses("409=x", "fault 409: 'x'");
    refuses("drop =1", "'drop ' is not a fault");
}

static void test_faults_parse__lists__permilles(void **state)
{
    (void)state;
    struct mu_faults faults = {.permille = {7}, .delay_ns_max = 9};
    struct mu_error error = {0, ""};
    assert_int_equal(mu_faults_parse("", &faults, &error), 0);
    for (int i = 0; i < MU_FAULT_COUNT; i++) {
        assert_int_equal(faults.permille[i], 0);
    }
    assert_int_equal(mu_faults_parse("drop=5,409=1000,lost-reply=0,cut", &faults, &error), 0);
    assert_int_equal(faults.permille[MU_FAULT_DROP], 5);
    assert_int_equal(faults.permille[MU_FAULT_409], 1000);
    assert_int_equal(faults.permille[MU_FAULT_LOST_REPLY], 0);
    assert_true(faults.permille[MU_FAULT_CUT] > 0);
    assert_int_equal(faults.permille[MU_FAULT_LATE], 0);
    assert_int_equal(mu_faults_parse(MU_FAULTS_ALL, &faults, &error), 0);
    for (int i = 0; i < MU_FAULT_COUNT; i++) {
        assert_true(faults.permille[i] > 0);
        assert_non_null(strstr(MU_FAULTS_ALL, mu_fault_name((enum mu_fault)i)));
    }
}

static struct mu_fault_plan plan_with(const char *list, struct mu_fault_request request)
{
    struct mu_faults faults;
    struct mu_error error;
    struct mu_random random;
    struct mu_fault_plan plan;
    mu_random_init_seed(&random, 42);
    assert_int_equal(mu_faults_parse(list, &faults, &error), 0);
    mu_fault_plan(&faults, &random, &request, &plan);
    return plan;
}

static void test_fault_plan__no_faults__only_latency(void **state)
{
    (void)state;
    struct mu_fault_plan plan = plan_with("", (struct mu_fault_request){.write = true});
    assert_true(plan.arrives && plan.answers);
    assert_false(plan.again || plan.reset);
    assert_int_equal(plan.forced, 0);
    assert_in_range(plan.arrive_ns, 100 * MU_NS_PER_US, MU_NS_PER_MS);
    assert_in_range(plan.reply_ns, 100 * MU_NS_PER_US, MU_NS_PER_MS);
    assert_int_equal(plan.fired, 0);
}

static void test_fault_plan__each_knob__does_its_own(void **state)
{
    (void)state;
    const struct mu_fault_request read = {false, false, false};
    const struct mu_fault_request write = {.write = true};
    const struct mu_fault_request watch = {.watch = true};
    const struct mu_fault_request page = {.page = true};
    struct mu_fault_plan plan = plan_with("drop=1000", write);
    assert_false(plan.arrives || plan.answers);
    plan = plan_with("lost-reply=1000", write);
    assert_true(plan.arrives && !plan.answers);
    plan = plan_with("late=1000", write);
    assert_true(plan.arrives && !plan.answers && plan.reset);
    assert_true(plan.arrive_ns > plan.reset_ns); /* told lost first, landing later */
    plan = plan_with("late=1000,409=1000", write);
    assert_int_equal(plan.forced, 0);
    plan = plan_with("duplicate=1000", write);
    assert_true(plan.again && plan.again_ns > plan.arrive_ns && plan.answers);
    assert_false(plan_with("duplicate=1000", watch).again);
    plan = plan_with("delay=1000", read);
    assert_true(plan.arrive_ns > 2 * MU_NS_PER_MS || plan.reply_ns > 2 * MU_NS_PER_MS);
    assert_true(plan_with("reorder=1000", read).arrive_ns > MU_NS_PER_MS);
    assert_int_equal(plan_with("409=1000", write).forced, 409);
    assert_int_equal(plan_with("409=1000", read).forced, 0);
    assert_int_equal(plan_with("429=1000", read).forced, 429);
    assert_int_equal(plan_with("410=1000", read).forced, 0);
    assert_int_equal(plan_with("410=1000", page).forced, 410);
    plan = plan_with("410=1000", watch);
    assert_true((plan.forced == 410) != (plan.expire_ns > 0));
    assert_true(plan_with("cut=1000", watch).cut_ns > 0);
    assert_int_equal(plan_with("cut=1000", read).cut_ns, 0);
}

static void test_fault_plan__many_draws__near_the_permille_and_repeatable(void **state)
{
    (void)state;
    struct mu_faults faults;
    struct mu_error error;
    struct mu_random random, same;
    struct mu_fault_request write = {.write = true};
    assert_int_equal(mu_faults_parse("drop=100,409=20,delay=500", &faults, &error), 0);
    mu_random_init_seed(&random, 7);
    mu_random_init_seed(&same, 7);
    int count[MU_FAULT_COUNT] = {0};
    for (int i = 0; i < 10000; i++) {
        struct mu_fault_plan plan, again;
        mu_fault_plan(&faults, &random, &write, &plan);
        mu_fault_plan(&faults, &same, &write, &again);
        assert_true(plan.fired == again.fired && plan.arrive_ns == again.arrive_ns &&
                    plan.reply_ns == again.reply_ns && plan.reset_ns == again.reset_ns);
        for (int j = 0; j < MU_FAULT_COUNT; j++) {
            count[j] += (int)(plan.fired >> j & 1);
        }
    }
    assert_in_range(count[MU_FAULT_DROP], 850, 1150);
    assert_in_range(count[MU_FAULT_409], 140, 260);
    assert_in_range(count[MU_FAULT_DELAY], 4700, 5300);
    assert_int_equal(count[MU_FAULT_LATE], 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_faults_parse__wrong_lists__one_line),
        cmocka_unit_test(test_faults_parse__lists__permilles),
        cmocka_unit_test(test_fault_plan__no_faults__only_latency),
        cmocka_unit_test(test_fault_plan__each_knob__does_its_own),
        cmocka_unit_test(test_fault_plan__many_draws__near_the_permille_and_repeatable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
