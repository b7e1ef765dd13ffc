#include "tests/mu_test.h"

#include "engine/base/error.h"
#include "engine/place/profile.h"

static void test_profile_find__names__built_in_ones_only(void **state)
{
    (void)state;
    static const char *const names[] = {"default", "binpack", "gpu-frag", "spread", "pack"};
    struct mu_error error = {0};
    const struct mu_profile *found = NULL;
    for (uint32_t n = 0; n < 5; n++) {
        assert_string_equal(mu_profile_name(n), names[n]);
        assert_int_equal(mu_profile_parse(NULL, mu_str_of(names[n]), &found, &error), 0);
        assert_string_equal(found->name, names[n]);
        assert_ptr_equal(found, mu_profile_find(mu_str_of(names[n])));
        assert_int_equal(mu_profile_check(found, &error), 0);
    }
    assert_null(mu_profile_name(5));
    assert_null(mu_profile_find(MU_STR("Spread")));
    assert_null(mu_profile_find(MU_STR("")));
    assert_int_equal(mu_profile_parse(NULL, MU_STR("best"), &found, &error), MU_EINVAL);
    assert_string_equal(error.text, "'best': expected default, binpack, gpu-frag, spread or pack");
    assert_string_equal(found->name, "pack");
}

/* kube-scheduler's default weights, as published. */
static void test_profile_find__default__weights_of_kube_scheduler(void **state)
{
    (void)state;
    const struct mu_profile *p = mu_profile_find(MU_STR("default"));
    assert_int_equal(p->strategy, MU_LEAST_ALLOCATED);
    assert_int_equal(p->fit, 1);
    assert_int_equal(p->balanced, 1);
    assert_int_equal(p->taints, 3);
    assert_int_equal(p->node_affinity, 2);
    assert_int_equal(p->spread, 2);
    assert_int_equal(p->pod_affinity, 2);
    assert_int_equal(p->images, 1);
    assert_int_equal(p->resource_count, 2);
    assert_int_equal(p->resources[0].weight, p->resources[1].weight);
}

static void refused(const struct mu_profile *profile, const char *text)
{
    struct mu_error error = {0};
    assert_int_equal(mu_profile_check(profile, &error), MU_EINVAL);
    assert_string_equal(error.text, text);
}

static void test_profile_check__wrong_weights__say_which(void **state)
{
    (void)state;
    struct mu_profile p = mu_profile_default;
    p.taints = 101;
    refused(&p, "taints: 101: expected a weight of 0 to 100");
    p = mu_profile_default;
    p.resources[1].weight = 0;
    refused(&p, "resources: memory: 0: expected a weight of 1 to 100");
    (void)snprintf(p.resources[1].name, sizeof p.resources[1].name, "cpu");
    p.resources[1].weight = 1;
    refused(&p, "resources: cpu is there twice");
    p.resources[1].name[0] = '\0';
    refused(&p, "resources: expected names of 1 to 63 bytes");
    p = mu_profile_default;
    p.resource_count = 0;
    refused(&p, "fit: 1 without resources to weigh");
    p.resource_count = 5;
    refused(&p, "resources: expected at most 4");
    p = mu_profile_binpack;
    (void)snprintf(p.resources[0].name, sizeof p.resources[0].name, "x.com/y");
    p.balanced = 1;
    refused(&p, "balanced: 1: expected at most 2 resources besides cpu and memory");
    p.strategy = (enum mu_fit_strategy)7;
    refused(&p, "strategy: expected least or most");
    p = (struct mu_profile){.name = "none"};
    refused(&p, "all weights are 0: expected one that is not");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_profile_find__names__built_in_ones_only),
        cmocka_unit_test(test_profile_find__default__weights_of_kube_scheduler),
        cmocka_unit_test(test_profile_check__wrong_weights__say_which),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
