/*
 * Built-in profiles and the bounds of any.
 *
 * The weights of default are kube-scheduler's. binpack asks five times as much for a full node as
 * default does for an empty one, so that no single preference but a taint outweighs it. gpu-frag
 * decides by what the fragmentation part says: a part for cpu and memory beside it, however small,
 * cost up to a hundredth of all GPUs in bench/gpu_allocation.c.
 */
#include "engine/place/profile.h"

#include <stdio.h>
#include <string.h>

#define CPU_AND_MEMORY .resource_count = 2, .resources = {{"cpu", 1}, {"memory", 1}}
#define PREFERENCES    .taints = 3, .node_affinity = 2, .spread = 2, .pod_affinity = 2, .images = 1

const struct mu_profile mu_profile_default = {
    .name = "default",
    .strategy = MU_LEAST_ALLOCATED,
    .fit = 1,
    CPU_AND_MEMORY,
    .balanced = 1,
    PREFERENCES,
};
const struct mu_profile mu_profile_binpack = {
    .name = "binpack",
    .strategy = MU_MOST_ALLOCATED,
    .fit = 5,
    .resource_count = 4,
    .resources = {{"cpu", 1}, {"memory", 1}, {"nvidia.com/gpu", 8}, {"amd.com/gpu", 8}},
    PREFERENCES,
};
const struct mu_profile mu_profile_gpu_frag = {
    .name = "gpu-frag",
    .strategy = MU_MOST_ALLOCATED,
    PREFERENCES,
    .fragmentation = 100,
};
const struct mu_profile mu_profile_spread = {
    .name = "spread",
    .strategy = MU_LEAST_ALLOCATED,
    .fit = 1,
    CPU_AND_MEMORY,
};
const struct mu_profile mu_profile_pack = {
    .name = "pack",
    .strategy = MU_MOST_ALLOCATED,
    .fit = 1,
    CPU_AND_MEMORY,
};

static const struct mu_profile *const built_in[] = {
    &mu_profile_default, &mu_profile_binpack, &mu_profile_gpu_frag,
    &mu_profile_spread,  &mu_profile_pack,
};
#define BUILT_IN_COUNT (sizeof built_in / sizeof built_in[0])

const struct mu_profile *mu_profile_find(struct mu_str name)
{
    for (uint32_t n = 0; n < BUILT_IN_COUNT; n++) {
        if (mu_str_equal(name, mu_str_of(built_in[n]->name)))
            return built_in[n];
    }
    return NULL;
}

const struct mu_profile *mu_profile_choose(const struct mu_profile_set *own, struct mu_str name)
{
    const struct mu_profile *found = mu_profile_find(name);
    for (uint32_t n = 0; own != NULL && found == NULL && n < own->count; n++) {
        if (mu_str_equal(name, mu_str_of(own->profiles[n].name)))
            found = &own->profiles[n];
    }
    return found;
}

int mu_profile_parse(const struct mu_profile_set *own, struct mu_str name,
                     const struct mu_profile **out, struct mu_error *error)
{
    const struct mu_profile *found = mu_profile_choose(own, name);
    if (found != NULL) {
        *out = found;
        return 0;
    }
    char more[MU_ERROR_TEXT_BYTES / 2] = "";
    uint32_t len = 0, count = own == NULL ? 0 : own->count;
    for (uint32_t n = 0; n < count && len + sizeof own->profiles[n].name + 2 < sizeof more; n++)
        len += (uint32_t)snprintf(more + len, sizeof more - len, ", %s", own->profiles[n].name);
    return mu_error_set(error, MU_EINVAL,
                        "'%.*s': expected default, binpack, gpu-frag, spread or pack%s",
                        name.len < 64 ? (int)name.len : 64, name.data, more);
}

const char *mu_profile_name(uint32_t n)
{
    return n < BUILT_IN_COUNT ? built_in[n]->name : NULL;
}

static int check_weight(const char *what, uint32_t weight, uint64_t *sum, struct mu_error *error)
{
    if (weight > MU_PROFILE_WEIGHT_MAX)
        return mu_error_set(error, MU_EINVAL, "%s: %u: expected a weight of 0 to %u", what, weight,
                            MU_PROFILE_WEIGHT_MAX);
    *sum += weight;
    return 0;
}

static int check_resources(const struct mu_profile *p, struct mu_error *error)
{
    if (p->resource_count > MU_PROFILE_RESOURCES_MAX)
        return mu_error_set(error, MU_EINVAL, "resources: expected at most %u",
                            MU_PROFILE_RESOURCES_MAX);
    for (uint32_t r = 0; r < p->resource_count; r++) {
        const struct mu_profile_resource *resource = &p->resources[r];
        size_t len = strnlen(resource->name, sizeof resource->name);
        if (len == 0 || len == sizeof resource->name)
            return mu_error_set(error, MU_EINVAL, "resources: expected names of 1 to %zu bytes",
                                sizeof resource->name - 1);
        if (resource->weight == 0 || resource->weight > MU_PROFILE_WEIGHT_MAX)
            return mu_error_set(error, MU_EINVAL, "resources: %s: %u: expected a weight of 1 to %u",
                                resource->name, resource->weight, MU_PROFILE_WEIGHT_MAX);
        for (uint32_t other = 0; other < r; other++) {
            if (strcmp(p->resources[other].name, resource->name) == 0)
                return mu_error_set(error, MU_EINVAL, "resources: %s is there twice",
                                    resource->name);
        }
    }
    uint32_t others = 0;
    for (uint32_t r = 0; r < p->resource_count; r++)
        others +=
            strcmp(p->resources[r].name, "cpu") != 0 && strcmp(p->resources[r].name, "memory") != 0;
    if (p->balanced > 0 && others + 2 > MU_PROFILE_RESOURCES_MAX)
        return mu_error_set(error, MU_EINVAL,
                            "balanced: %u: expected at most %u resources besides cpu and memory",
                            p->balanced, MU_PROFILE_RESOURCES_MAX - 2);
    if (p->fit > 0 && p->resource_count == 0)
        return mu_error_set(error, MU_EINVAL, "fit: %u without resources to weigh", p->fit);
    return 0;
}

int mu_profile_check(const struct mu_profile *profile, struct mu_error *error)
{
    const struct {
        const char *what;
        uint32_t weight;
    } weights[] = {
        {"fit", profile->fit},       {"balanced", profile->balanced},
        {"taints", profile->taints}, {"nodeAffinity", profile->node_affinity},
        {"spread", profile->spread}, {"podAffinity", profile->pod_affinity},
        {"images", profile->images}, {"fragmentation", profile->fragmentation},
    };
    if (profile->strategy != MU_LEAST_ALLOCATED && profile->strategy != MU_MOST_ALLOCATED)
        return mu_error_set(error, MU_EINVAL, "strategy: expected least or most");
    uint64_t sum = 0;
    for (uint32_t w = 0; w < sizeof weights / sizeof weights[0]; w++) {
        int rc = check_weight(weights[w].what, weights[w].weight, &sum, error);
        if (rc != 0)
            return rc;
    }
    if (sum == 0)
        return mu_error_set(error, MU_EINVAL, "all weights are 0: expected one that is not");
    return check_resources(profile, error);
}
