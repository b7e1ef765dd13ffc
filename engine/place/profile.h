#ifndef MU_ENGINE_PLACE_PROFILE_H
#define MU_ENGINE_PLACE_PROFILE_H
/*
 * A profile says what makes one feasible node better than another: weights of the parts of the
 * score. It is configuration; engine/place/score.h says how the parts are computed. Integers only.
 *
 * Built-in profiles, by name:
 *     default   kube-scheduler's default weights: least allocated (cpu, memory), balanced
 *               allocation, taints 3, node affinity 2, spread 2, pod affinity 2, images 1
 *     binpack   most allocated, devices above cpu and memory; the preferences as in default
 *     gpu-frag  keeps GPUs usable for the pods that are about: fragmentation gradient descent
 *     spread    least allocated over cpu and memory alone
 *     pack      most allocated over cpu and memory alone
 */
#include <stdbool.h>
#include <stdint.h>
#include "engine/base/error.h"
#include "engine/base/str.h"

enum mu_fit_strategy { MU_LEAST_ALLOCATED, MU_MOST_ALLOCATED };
#define MU_PROFILE_RESOURCES_MAX 4u
#define MU_PROFILE_WEIGHT_MAX    100u

struct mu_profile_resource {
    char name[64]; /* "nvidia.com/gpu" */
    uint32_t weight;
};
struct mu_profile {
    char name[64];
    enum mu_fit_strategy strategy;
    uint32_t fit; /* weight of the resource part; 0: leaves it out, as with all weights */
    uint32_t resource_count;
    struct mu_profile_resource resources[MU_PROFILE_RESOURCES_MAX];
    uint32_t balanced; /* cpu and memory */
    uint32_t taints, node_affinity, spread, pod_affinity, images;
    uint32_t fragmentation;
};

/* Those that a user has defined. */
#define MU_PROFILES_MAX 16u
struct mu_profile_set {
    uint32_t count;
    struct mu_profile profiles[MU_PROFILES_MAX];
};

/* All below: thread any; nothing is changed but what the caller owns.
 *
 * The built-in ones, for code that wants one of them by itself. */
extern const struct mu_profile mu_profile_default, mu_profile_binpack, mu_profile_gpu_frag,
    mu_profile_spread, mu_profile_pack;
/* A built-in profile. Static storage. NULL: no such name. */
const struct mu_profile *mu_profile_find(struct mu_str name);
/* The same, and then one of `own` (NULL: none), which keeps it. */
const struct mu_profile *mu_profile_choose(const struct mu_profile_set *own, struct mu_str name);
/* The same for what a user wrote. Errors: MU_EINVAL with *error, which lists the names. */
int mu_profile_parse(const struct mu_profile_set *own, struct mu_str name,
                     const struct mu_profile **out, struct mu_error *error);
/* The name of built-in profile n; NULL behind the last. */
const char *mu_profile_name(uint32_t n);
/* Weights within bounds, at least one not 0, resources distinct. Errors: MU_EINVAL with *error,
 * which begins with the field as a configuration spells it. */
int mu_profile_check(const struct mu_profile *profile, struct mu_error *error);

#endif
