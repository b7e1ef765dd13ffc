#ifndef MU_INFORMER_CONFIG_PROFILE_H
#define MU_INFORMER_CONFIG_PROFILE_H
/*
 * Profiles that a user defines, in a configuration file:
 *
 *     profiles:
 *     - name: inference
 *       weights:                 # by kube-scheduler's plugin names; one that is not named: 0
 *         NodeResourcesFit: 5
 *         TaintToleration: 3
 *       scoringStrategy:         # what NodeResourcesFit goes by; as below when it is not there
 *         type: LeastAllocated   # or MostAllocated
 *         resources: [{name: cpu, weight: 1}, {name: memory, weight: 1}]
 *
 * Plugins: NodeResourcesFit, NodeResourcesBalancedAllocation, TaintToleration, NodeAffinity,
 * PodTopologySpread, InterPodAffinity, ImageLocality, and GpuFragmentation, which is ours. Weights
 * are 0 to MU_PROFILE_WEIGHT_MAX; those of resources, of which each is there once, begin at 1. A
 * name is 1 to 63 of a-z 0-9 - and is none of the built-in ones, so that these stay what they are.
 */
#include "engine/place/profile.h"
#include "informer/config.h"

/* Add the profiles of `profiles:` in a mapping, where it is there. Errors, each one line with its
 * place: MU_EINVAL, MU_ELIMIT; *set is as before. */
int mu_config_profiles(struct mu_config *config, struct mu_config_node *mapping,
                       struct mu_profile_set *set, struct mu_error *error);

#endif
