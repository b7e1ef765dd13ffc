#ifndef MU_INFORMER_CODEC_GROUP_H
#define MU_INFORMER_CODEC_GROUP_H
/*
 * Objects that describe gangs, from JSON: Kubernetes' own PodGroup, Workload (of 1.35) and
 * CompositePodGroup, and the PodGroups of scheduler-plugins, Volcano, KAI and Goedel.
 *
 *   source        min                 sub-groups        other
 *   native        gang.minCount       -                 basic; topology, required; disruptionMode,
 *                                                       `single` unless stated; priority,
 *                                                       preemptionPolicy
 *   Workload      -                   podGroups[]       each a part: gang.minCount or basic
 *   scheduler-plugins, Goedel  minMember  -             scheduleTimeoutSeconds
 *   Volcano       minMember, >= 1     minTaskMember     volcano.sh/preemptable on the object
 *   KAI           minMember           subGroups[]       topologyConstraint, preemptibility
 *
 * KAI's sub-groups within sub-groups come as those that have pods.
 *
 * What is not built is named in the object's `unbuilt`, so that no member is placed: sub-groups
 * with domains of their own, KAI's sub-groups of which not all children have to run, or which ask
 * for more than their children do, several domains, Volcano's hard networkTopology and
 * subGroupPolicy, resource claims, a parent. Minimal resources and queues have no say: a gang is
 * placed whole or not at all.
 */
#include <jansson.h>
#include "engine/base/arena.h"
#include "engine/base/error.h"
#include "engine/object.h"

/* The dialect of an object of this kind; MU_GANG_SOLO: it describes no gang. */
enum mu_gang_source mu_group_source(struct mu_str api_version, struct mu_str kind);

struct mu_group_reading {
    struct mu_group_object object;
    struct mu_str priority_class; /* empty: none named. Its value is not in the object */
    const char *unbuilt;          /* path of the first thing that is not built; NULL: none */
    bool beyond;                  /* MU_EINVAL: sound, but beyond a bound of ours */
    char path[160];               /* MU_EINVAL: of the field, and what is wrong with it */
    char problem[160];
};
/* Read one. Texts and arrays are made in the arena. Errors: MU_EINVAL: a field is not as it must
 * be; the object has its identity, as far as that could be read, and MU_RULE_GANG_SPEC. MU_ENOMEM.
 * Thread: any. Cost: O(the object). */
int mu_group_read(enum mu_gang_source source, const json_t *tree, struct mu_arena *arena,
                  struct mu_group_reading *out);
/* The same from a text of JSON, as a server sends it. A field that is not as it must be keeps the
 * members from being placed and is told in *warn: whoever keeps the object never stays at an older
 * version of it. Errors: MU_EPROTO (no JSON object, or one without a name), MU_ENOMEM. */
int mu_group_decode(enum mu_gang_source source, struct mu_str text, struct mu_arena *arena,
                    struct mu_group_object *out, struct mu_error *warn, struct mu_error *error);

#endif
