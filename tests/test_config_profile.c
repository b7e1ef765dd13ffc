/* Profiles that a user defines: what they mean, and one line for each mistake. */
#include "tests/mu_test.h"

#include "informer/config_profile.h"

static int parse(const char *text, struct mu_profile_set *set, struct mu_error *error)
{
    struct mu_config *config = NULL;
    int rc = mu_config_parse(mu_str_of(text), "p.yaml", &config, error);
    assert_int_equal(rc, 0);
    rc = mu_config_profiles(config, mu_config_root(config), set, error);
    if (rc == 0)
        rc = mu_config_finish(config, error);
    mu_config_destroy(config);
    return rc;
}

static void test_config_profiles__all_of_it__as_written(void **state)
{
    (void)state;
    static struct mu_profile_set set;
    struct mu_error error;
    assert_int_equal(
        parse(
            "profiles:\n"
            "- name: inference\n"
            "  weights: {NodeResourcesFit: 5, NodeResourcesBalancedAllocation: 4, NodeAffinity: 3,"
            " TaintToleration: 2, PodTopologySpread: 6, InterPodAffinity: 7, ImageLocality: 100,"
            " GpuFragmentation: 8}\n"
            "  scoringStrategy:\n"
            "    type: MostAllocated\n"
            "    resources: [{name: cpu, weight: 2}, {name: nvidia.com/gpu, weight: 9}]\n"
            "- {name: plain, weights: {NodeResourcesFit: 1}}\n",
            &set, &error),
        0);
    assert_int_equal(set.count, 2);
    const struct mu_profile *p = mu_profile_choose(&set, MU_STR("inference"));
    assert_non_null(p);
    assert_int_equal(p->fit, 5);
    assert_int_equal(p->balanced, 4);
    assert_int_equal(p->node_affinity, 3);
    assert_int_equal(p->taints, 2);
    assert_int_equal(p->spread, 6);
    assert_int_equal(p->pod_affinity, 7);
    assert_int_equal(p->images, 100);
    assert_int_equal(p->fragmentation, 8);
    assert_int_equal(p->strategy, MU_MOST_ALLOCATED);
    assert_int_equal(p->resource_count, 2);
    assert_string_equal(p->resources[1].name, "nvidia.com/gpu");
    assert_int_equal(p->resources[1].weight, 9);
    /* What is not said is kube-scheduler's default, or 0. */
    p = mu_profile_choose(&set, MU_STR("plain"));
    assert_int_equal(p->strategy, MU_LEAST_ALLOCATED);
    assert_int_equal(p->resource_count, 2);
    assert_string_equal(p->resources[1].name, "memory");
    assert_int_equal(p->balanced + p->taints + p->images, 0);
}

static void test_config_profiles__mistakes__one_line_with_its_place(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"profiles: 7\n", "p.yaml:1:1: 'profiles': expected a sequence, found '7'"},
        {"profiles: [x]\n", "p.yaml:1:12: expected a profile: a mapping, found 'x'"},
        {"profiles:\n- weights: {}\n", "expected a profile with a name"},
        {"profiles:\n- name: A\n", "p.yaml:2:3: 'name': expected a name of 1 to 63"},
        {"profiles:\n- name: pack\n", "expected a name that no built-in profile has"},
        {"profiles:\n- {name: a, weights: {NodeAffinity: 1}}\n- name: a\n",
         "p.yaml:3:3: 'name': expected a name that no other profile has, found 'a'"},
        {"profiles:\n- name: a\n  weights: {NodeAffinity: 1, ImageLocalty: 1}\n",
         "p.yaml:3:30: unknown key 'ImageLocalty' in 'weights'; expected one of: NodeResourcesFit"},
        {"profiles:\n- name: a\n  weights: {ImageLocality: 101}\n",
         "'ImageLocality': expected a whole number from 0 to 100, found '101'"},
        {"profiles:\n- name: a\n  weights: {ImageLocality: many}\n", "found 'many'"},
        {"profiles:\n- name: a\n  weights: {}\n", "all weights are 0"},
        {"profiles:\n- name: a\n  weights: {NodeAffinity: 1}\n  weight: {}\n",
         "unknown key 'weight'"},
        {"profiles:\n- name: a\n  weights: {NodeAffinity: 1}\n"
         "  scoringStrategy: {type: RequestedToCapacityRatio}\n",
         "p.yaml:4:21: 'type': expected"},
        {"profiles:\n- name: a\n  scoringStrategy: {resources: [{name: cpu, weight: 0}]}\n",
         "'weight': expected a whole number from 1 to 100, found '0'"},
        {"profiles:\n- name: a\n  scoringStrategy: {resources: [{name: cpu}, {name: cpu}]}\n",
         "'name': expected each resource once, found 'cpu'"},
        {"profiles:\n- name: a\n  scoringStrategy: {resources: [{weight: 1}]}\n",
         "expected a resource with a name"},
        {"profiles:\n- name: a\n  scoringStrategy: {resources: [cpu]}\n",
         "expected a mapping of name and weight, found 'cpu'"},
        {"profiles:\n- name: a\n  weights: {NodeResourcesFit: 1}\n"
         "  scoringStrategy: {resources: []}\n",
         "fit: 1 without resources"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        static struct mu_profile_set set;
        struct mu_error error = {0, ""};
        set.count = 0;
        int rc = parse(cases[i][0], &set, &error);
        if (rc != MU_EINVAL || strstr(error.text, cases[i][1]) == NULL)
            print_message("%s-> %d %s\n", cases[i][0], rc, error.text);
        assert_int_equal(rc, MU_EINVAL);
        assert_non_null(strstr(error.text, cases[i][1]));
        assert_null(strchr(error.text, '\n'));
    }
}

static void test_config_profiles__too_many__set_as_before(void **state)
{
    (void)state;
    static struct mu_profile_set set;
    char text[4096] = "profiles:\n";
    struct mu_error error;
    for (uint32_t i = 0; i <= MU_PROFILES_MAX; i++) {
        size_t len = strlen(text);
        (void)snprintf(text + len, sizeof text - len, "- {name: p%u, weights: {NodeAffinity: 1}}\n",
                       i);
    }
    assert_int_equal(parse(text, &set, &error), MU_EINVAL);
    assert_non_null(strstr(error.text, "at most 16 profiles"));
    assert_int_equal(set.count, 0);
}

static void test_profile_parse__unknown_name__lists_the_users(void **state)
{
    (void)state;
    static struct mu_profile_set set = {.count = 1, .profiles = {{.name = "mine"}}};
    const struct mu_profile *found = NULL;
    struct mu_error error;
    assert_int_equal(mu_profile_parse(&set, MU_STR("mine"), &found, &error), 0);
    assert_ptr_equal(found, &set.profiles[0]);
    assert_int_equal(mu_profile_parse(&set, MU_STR("yours"), &found, &error), MU_EINVAL);
    assert_non_null(strstr(error.text, "spread or pack, mine"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_config_profiles__all_of_it__as_written),
        cmocka_unit_test(test_config_profiles__mistakes__one_line_with_its_place),
        cmocka_unit_test(test_config_profiles__too_many__set_as_before),
        cmocka_unit_test(test_profile_parse__unknown_name__lists_the_users),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
