#include "informer/config_profile.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

/* The plugins, and what stands for each in a profile. */
static const struct {
    const char *name;
    size_t at;
} plugins[] = {
    {"NodeResourcesFit", offsetof(struct mu_profile, fit)},
    {"NodeResourcesBalancedAllocation", offsetof(struct mu_profile, balanced)},
    {"TaintToleration", offsetof(struct mu_profile, taints)},
    {"NodeAffinity", offsetof(struct mu_profile, node_affinity)},
    {"PodTopologySpread", offsetof(struct mu_profile, spread)},
    {"InterPodAffinity", offsetof(struct mu_profile, pod_affinity)},
    {"ImageLocality", offsetof(struct mu_profile, images)},
    {"GpuFragmentation", offsetof(struct mu_profile, fragmentation)},
};

/* A weight of the mapping; one that is not there leaves *weight. */
static int read_weight(struct mu_config *config, struct mu_config_node *mapping, const char *key,
                       uint64_t least, uint32_t *weight, struct mu_error *error)
{
    uint64_t value = *weight;
    int rc = mu_config_u64(config, mapping, key, least, MU_PROFILE_WEIGHT_MAX, &value, error);
    if (rc == 0)
        *weight = (uint32_t)value;
    return rc;
}

/* Text that has room in a field of `bytes`. */
static int read_field(const struct mu_config *config, const struct mu_config_node *node,
                      const char *expected, char *out, size_t bytes, struct mu_error *error)
{
    struct mu_str text;
    int rc = mu_config_node_text(config, node, &text, error);
    if (rc != 0)
        return rc;
    if (text.len >= bytes)
        return mu_config_refuse(config, node, expected, error);
    memcpy(out, text.data, text.len);
    out[text.len] = '\0';
    return 0;
}

static int read_name(struct mu_config *config, struct mu_config_node *item,
                     const struct mu_profile_set *set, struct mu_profile *profile,
                     struct mu_error *error)
{
    static const char expected[] = "a name of 1 to 63 of a-z 0-9 -";
    const struct mu_config_node *node = mu_config_find(config, item, "name");
    if (node == NULL)
        return mu_config_refuse(config, item, "a profile with a name", error);
    int rc = read_field(config, node, expected, profile->name, sizeof profile->name, error);
    if (rc != 0)
        return rc;
    if (strspn(profile->name, "abcdefghijklmnopqrstuvwxyz0123456789-") != strlen(profile->name))
        return mu_config_refuse(config, node, expected, error);
    if (mu_profile_find(mu_str_of(profile->name)) != NULL)
        return mu_config_refuse(config, node, "a name that no built-in profile has", error);
    if (mu_profile_choose(set, mu_str_of(profile->name)) != NULL)
        return mu_config_refuse(config, node, "a name that no other profile has", error);
    return 0;
}

static int read_resource(struct mu_config *config, struct mu_config_node *item,
                         struct mu_profile *profile, struct mu_error *error)
{
    if (item->kind != MU_CONFIG_MAPPING)
        return mu_config_refuse(config, item, "a mapping of name and weight", error);
    if (profile->resource_count == MU_PROFILE_RESOURCES_MAX)
        return mu_config_refuse(config, item, "at most 4 resources", error);
    struct mu_profile_resource *resource = &profile->resources[profile->resource_count];
    const struct mu_config_node *name = mu_config_find(config, item, "name");
    if (name == NULL)
        return mu_config_refuse(config, item, "a resource with a name", error);
    int rc = read_field(config, name, "a resource's name of up to 63 bytes", resource->name,
                        sizeof resource->name, error);
    for (uint32_t r = 0; r < profile->resource_count && rc == 0; r++) {
        if (strcmp(profile->resources[r].name, resource->name) == 0)
            rc = mu_config_refuse(config, name, "each resource once", error);
    }
    resource->weight = 1;
    if (rc == 0)
        rc = read_weight(config, item, "weight", 1, &resource->weight, error);
    if (rc == 0)
        profile->resource_count++;
    return rc;
}
_Static_assert(MU_PROFILE_RESOURCES_MAX == 4, "the text above says so");

static int read_strategy(struct mu_config *config, struct mu_config_node *item,
                         struct mu_profile *profile, struct mu_error *error)
{
    static const char *const types[] = {"LeastAllocated", "MostAllocated", NULL};
    struct mu_config_node *strategy = NULL, *resources = NULL;
    uint32_t type = MU_LEAST_ALLOCATED;
    int rc = mu_config_mapping(config, item, "scoringStrategy", &strategy, error);
    if (rc == 0)
        rc = mu_config_choice(config, strategy, "type", types, &type, error);
    if (rc == 0)
        rc = mu_config_sequence(config, strategy, "resources", &resources, error);
    if (rc != 0)
        return rc;
    profile->strategy = (enum mu_fit_strategy)type;
    for (struct mu_config_node *r = resources == NULL ? NULL : resources->child;
         r != NULL && rc == 0; r = r->next)
        rc = read_resource(config, r, profile, error);
    if (rc != 0 || resources != NULL)
        return rc;
    profile->resource_count = 2; /* kube-scheduler's */
    profile->resources[0] = (struct mu_profile_resource){"cpu", 1};
    profile->resources[1] = (struct mu_profile_resource){"memory", 1};
    return 0;
}

static int read_profile(struct mu_config *config, struct mu_config_node *item,
                        struct mu_profile_set *set, struct mu_error *error)
{
    struct mu_profile profile = {.fit = 0};
    struct mu_config_node *weights = NULL;
    if (item->kind != MU_CONFIG_MAPPING)
        return mu_config_refuse(config, item, "a profile: a mapping", error);
    if (set->count == MU_PROFILES_MAX)
        return mu_config_refuse(config, item, "at most 16 profiles", error);
    int rc = read_name(config, item, set, &profile, error);
    if (rc == 0)
        rc = mu_config_mapping(config, item, "weights", &weights, error);
    for (size_t p = 0; p < sizeof plugins / sizeof plugins[0] && rc == 0; p++) {
        void *weight = (unsigned char *)&profile + plugins[p].at;
        rc = read_weight(config, weights, plugins[p].name, 0, weight, error);
    }
    if (rc == 0)
        rc = read_strategy(config, item, &profile, error);
    if (rc != 0)
        return rc;
    struct mu_error why, expected;
    if (mu_profile_check(&profile, &why) != 0) {
        (void)mu_error_set(&expected, 0, "a profile that holds together (%s)", why.text);
        return mu_config_refuse(config, item, expected.text, error);
    }
    set->profiles[set->count++] = profile;
    return 0;
}
_Static_assert(MU_PROFILES_MAX == 16, "the text above says so");

int mu_config_profiles(struct mu_config *config, struct mu_config_node *mapping,
                       struct mu_profile_set *set, struct mu_error *error)
{
    struct mu_config_node *list = NULL;
    uint32_t before = set->count;
    int rc = mu_config_sequence(config, mapping, "profiles", &list, error);
    for (struct mu_config_node *item = list == NULL ? NULL : list->child; item != NULL && rc == 0;
         item = item->next)
        rc = read_profile(config, item, set, error);
    if (rc != 0)
        set->count = before;
    return rc;
}
