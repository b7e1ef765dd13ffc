#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "engine/base/error.h"
#include "engine/base/mem.h"
#include "engine/resource.h"
#include "engine/verdict.h"

static void test_resources_create__out_of_memory__null(void **state)
{
    (void)state;
    mu_mem_debug_set((struct mu_mem_debug){.fail_nth = 1});
    assert_null(mu_resources_create());
    mu_mem_debug_set((struct mu_mem_debug){0});
    mu_resources_destroy(NULL);
}

static void test_resource_intern__bad_names__refused(void **state)
{
    (void)state;
    struct mu_resources *r = mu_resources_create();
    assert_non_null(r);
    struct mu_resource_ix ix = {99};
    char name[MU_RESOURCE_NAME_BYTES_MAX + 1];
    memset(name, 'x', sizeof name);
    assert_int_equal(mu_resource_intern(r, MU_STR(""), &ix), MU_EINVAL);
    assert_int_equal(mu_resource_intern(r, (struct mu_str){name, sizeof name}, &ix), MU_EINVAL);
    assert_int_equal(ix.v, 99);
    assert_int_equal(mu_resource_count(r), MU_RES_EXTENDED);
    struct mu_str longest = {name, MU_RESOURCE_NAME_BYTES_MAX};
    assert_int_equal(mu_resource_intern(r, longest, &ix), 0);
    assert_true(mu_str_equal(mu_resource_name(r, ix), longest));
    mu_resources_destroy(r);
}

static void test_resource_intern__fixed_names__fixed_numbers(void **state)
{
    (void)state;
    static const char *const names[] = {"cpu", "memory", "ephemeral-storage", "pods"};
    struct mu_resources *r = mu_resources_create();
    assert_non_null(r);
    for (uint32_t i = 0; i < MU_RES_EXTENDED; i++) {
        struct mu_resource_ix ix = {99};
        assert_int_equal(mu_resource_intern(r, mu_str_of(names[i]), &ix), 0);
        assert_int_equal(ix.v, i);
    }
    assert_int_equal(mu_resource_count(r), MU_RES_EXTENDED);
    mu_resources_destroy(r);
}

static void test_resource_intern__past_the_bound__limit_and_nothing_changed(void **state)
{
    (void)state;
    struct mu_resources *r = mu_resources_create();
    assert_non_null(r);
    struct mu_resource_ix ix;
    char name[32];
    for (uint32_t i = MU_RES_EXTENDED; i < MU_RESOURCES_MAX; i++) {
        (void)snprintf(name, sizeof name, "example.com/r%u", i);
        assert_false(mu_resource_find(r, mu_str_of(name), &ix));
        assert_int_equal(mu_resource_intern(r, mu_str_of(name), &ix), 0);
        assert_int_equal(ix.v, i);
    }
    ix.v = 99;
    assert_int_equal(mu_resource_intern(r, MU_STR("example.com/more"), &ix), MU_ELIMIT);
    assert_int_equal(ix.v, 99);
    assert_int_equal(mu_resource_count(r), MU_RESOURCES_MAX);
    assert_int_equal(mu_resource_intern(r, MU_STR("example.com/r7"), &ix), 0);
    assert_int_equal(ix.v, 7);
    assert_true(mu_resource_find(r, MU_STR("example.com/r31"), &ix));
    assert_int_equal(ix.v, 31);
    assert_false(mu_resource_find(r, MU_STR("example.com/r3"), &ix));
    mu_resources_destroy(r);
}

static void test_amount_add__large__saturates(void **state)
{
    (void)state;
    assert_true(mu_amount_add(MU_AMOUNT_MAX, 0) == MU_AMOUNT_MAX);
    assert_true(mu_amount_add(MU_AMOUNT_MAX, 1) == MU_AMOUNT_MAX);
    assert_true(mu_amount_add(MU_AMOUNT_MAX - 1, 1) == MU_AMOUNT_MAX);
    assert_true(mu_amount_add(2, 3) == 5);
}

/* Preemption takes pods away: it helps where pods are in the way, and nowhere else. */
static void test_verdict_may_preempt__pods_in_the_way__only_then(void **state)
{
    (void)state;
    static const enum mu_verdict_kind may[] = {
        MU_NO_PORTS,  MU_NO_PODS,   MU_NO_RESOURCE,      MU_NO_DEVICE_FREE,
        MU_NO_DEVICE, MU_NO_SPREAD, MU_NO_ANTI_AFFINITY, MU_NO_EXISTING_ANTI_AFFINITY};
    uint32_t count = 0;
    for (int i = 0; i < MU_VERDICT_KINDS; i++)
        count += mu_verdict_may_preempt((enum mu_verdict_kind)i);
    assert_int_equal(count, sizeof may / sizeof may[0]);
    for (size_t i = 0; i < sizeof may / sizeof may[0]; i++)
        assert_true(mu_verdict_may_preempt(may[i]));
}

static void test_verdict_text__every_kind__its_sentence(void **state)
{
    (void)state;
    for (int i = 0; i < MU_VERDICT_KINDS; i++) {
        assert_true(strlen(mu_verdict_text((enum mu_verdict_kind)i)) > 0);
        assert_true(i == MU_FITS || strlen(mu_verdict_filter((enum mu_verdict_kind)i)) > 0);
    }
    for (int i = 0; i < MU_WAIT_KINDS; i++)
        assert_true(strlen(mu_wait_text((enum mu_wait_kind)i)) > 0);
    assert_string_equal(mu_verdict_text(MU_NO_PODS), "Too many pods");
    assert_string_equal(mu_verdict_filter(MU_NO_PODS), "NodeResourcesFit");
    assert_string_equal(mu_verdict_filter(MU_FITS), "");
    assert_string_equal(mu_wait_text(MU_WAIT_NO_FIT), "no room");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_resources_create__out_of_memory__null),
        cmocka_unit_test(test_resource_intern__bad_names__refused),
        cmocka_unit_test(test_resource_intern__fixed_names__fixed_numbers),
        cmocka_unit_test(test_resource_intern__past_the_bound__limit_and_nothing_changed),
        cmocka_unit_test(test_amount_add__large__saturates),
        cmocka_unit_test(test_verdict_may_preempt__pods_in_the_way__only_then),
        cmocka_unit_test(test_verdict_text__every_kind__its_sentence),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
