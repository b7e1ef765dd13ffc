#ifndef MU_INFORMER_DIALECT_PRIV_H
#define MU_INFORMER_DIALECT_PRIV_H
/*
 * A pod on its way to its gang: dialect.c has the keys, the precedence and most dialects,
 * dialect_rich.c those whose annotations carry lists, durations and JSON.
 */
#include "engine/limits.h"
#include "informer/dialect.h"

enum { MU_ON_LABEL = 1, MU_ON_ANNOTATION = 2, MU_ON_BOTH = 3 };

#define MU_KOORDINATOR_PREFIX "gang.scheduling.koordinator.sh/"
/* What is below the prefix and not listed counts as MU_KOORDINATOR_OTHER. */
#define MU_DIALECT_KEYS(X)                                                                         \
    X(MU_OWN_NAME, "muster.dev/pod-group", MU_ON_ANNOTATION)                                       \
    X(MU_OWN_SIZE, "muster.dev/pod-group-size", MU_ON_ANNOTATION)                                  \
    X(MU_PLAIN_NAME, "pod-group", MU_ON_ANNOTATION)                                                \
    X(MU_PLAIN_NAME_ALSO, "pod_group", MU_ON_ANNOTATION)                                           \
    X(MU_VOLCANO_NAME, "scheduling.k8s.io/group-name", MU_ON_ANNOTATION)                           \
    X(MU_VOLCANO_NAME_ALSO, "scheduling.volcano.sh/group-name", MU_ON_ANNOTATION)                  \
    X(MU_VOLCANO_MIN, "scheduling.volcano.sh/group-min-member", MU_ON_ANNOTATION)                  \
    X(MU_VOLCANO_RESOURCES, "scheduling.volcano.sh/group-min-resources", MU_ON_ANNOTATION)         \
    X(MU_VOLCANO_TASK, "volcano.sh/task-spec", MU_ON_ANNOTATION)                                   \
    X(MU_VOLCANO_PREEMPTABLE, "volcano.sh/preemptable", MU_ON_BOTH)                                \
    X(MU_COSCHEDULING_NAME, "scheduling.x-k8s.io/pod-group", MU_ON_LABEL)                          \
    X(MU_COSCHEDULING_OLD, "pod-group.scheduling.sigs.k8s.io", MU_ON_LABEL)                        \
    X(MU_LIGHT_NAME, "pod-group.scheduling.sigs.k8s.io/name", MU_ON_LABEL)                         \
    X(MU_LIGHT_NAME_ALSO, "pod-group.scheduling.x-k8s.io/name", MU_ON_LABEL)                       \
    X(MU_LIGHT_MIN, "pod-group.scheduling.sigs.k8s.io/min-available", MU_ON_LABEL)                 \
    X(MU_LIGHT_MIN_ALSO, "pod-group.scheduling.x-k8s.io/min-available", MU_ON_LABEL)               \
    X(MU_KOORDINATOR_NAME, MU_KOORDINATOR_PREFIX "name", MU_ON_BOTH)                               \
    X(MU_KOORDINATOR_MIN, MU_KOORDINATOR_PREFIX "min-available", MU_ON_BOTH)                       \
    X(MU_KOORDINATOR_TOTAL, MU_KOORDINATOR_PREFIX "total-number", MU_ON_BOTH)                      \
    X(MU_KOORDINATOR_WAIT, MU_KOORDINATOR_PREFIX "waiting-time", MU_ON_BOTH)                       \
    X(MU_KOORDINATOR_MODE, MU_KOORDINATOR_PREFIX "mode", MU_ON_BOTH)                               \
    X(MU_KOORDINATOR_GROUPS, MU_KOORDINATOR_PREFIX "groups", MU_ON_BOTH)                           \
    X(MU_KOORDINATOR_MATCH, MU_KOORDINATOR_PREFIX "match-policy", MU_ON_BOTH)                      \
    X(MU_KOORDINATOR_OTHER, MU_KOORDINATOR_PREFIX, MU_ON_BOTH)                                     \
    X(MU_KAI_NAME, "pod-group-name", MU_ON_ANNOTATION)                                             \
    X(MU_KAI_SUBGROUP, "kai.scheduler/subgroup-name", MU_ON_LABEL)                                 \
    X(MU_KAI_PREEMPTIBILITY, "kai.scheduler/preemptibility", MU_ON_LABEL)                          \
    X(MU_YUNIKORN_APP, "yunikorn.apache.org/app-id", MU_ON_BOTH)                                   \
    X(MU_YUNIKORN_APP_OLD, "applicationId", MU_ON_LABEL)                                           \
    X(MU_YUNIKORN_TASK, "yunikorn.apache.org/task-group-name", MU_ON_ANNOTATION)                   \
    X(MU_YUNIKORN_TASKS, "yunikorn.apache.org/task-groups", MU_ON_ANNOTATION)                      \
    X(MU_YUNIKORN_PARAMETERS, "yunikorn.apache.org/schedulingPolicyParameters", MU_ON_ANNOTATION)  \
    X(MU_KUEUE_NAME, "kueue.x-k8s.io/pod-group-name", MU_ON_LABEL)                                 \
    X(MU_KUEUE_TOTAL, "kueue.x-k8s.io/pod-group-total-count", MU_ON_ANNOTATION)                    \
    X(MU_GODEL_NAME, "godel.bytedance.com/pod-group-name", MU_ON_BOTH)                             \
    X(MU_ARMADA_ID, "armadaproject.io/gangId", MU_ON_ANNOTATION)                                   \
    X(MU_ARMADA_SIZE, "armadaproject.io/gangCardinality", MU_ON_ANNOTATION)                        \
    X(MU_ARMADA_LABEL, "armadaproject.io/gangNodeUniformityLabel", MU_ON_ANNOTATION)
#define MU_DIALECT_LETTERS "agkmpsvy" /* first ones of the keys */
enum {
#define MU_DIALECT_ENUM(name, text, place) name,
    MU_DIALECT_KEYS(MU_DIALECT_ENUM)
#undef MU_DIALECT_ENUM
        MU_KEY_COUNT
};

struct mu_dialect {
    const struct mu_dialect_pod *pod;
    struct mu_arena *arena;
    struct mu_gang_ref *gang;
    struct mu_dialect_problem *problem;
    int error;                              /* MU_ENOMEM */
    uint64_t have_labels, have_annotations; /* a bit per key */
    struct mu_str labels[MU_KEY_COUNT], annotations[MU_KEY_COUNT];
};

static inline bool mu_dialect_has(const struct mu_dialect *d, unsigned key)
{
    return ((d->have_labels | d->have_annotations) >> key & 1) != 0;
}
/* The value of a key; without data where it is absent. On both places it must be the same. */
struct mu_str mu_dialect_text(struct mu_dialect *d, unsigned key);
/* The same for a name: empty, with a problem, where it is absent or none. */
struct mu_str mu_dialect_name(struct mu_dialect *d, unsigned key);
/* And for a number of pods: 0, with a problem. */
uint32_t mu_dialect_count(struct mu_dialect *d, unsigned key);
/* Note a problem, unless there is one. MU_KEY_COUNT: with no key in particular. */
void mu_dialect_complain(struct mu_dialect *d, unsigned key, const char *expected);
/* The parts with a character in between, in the arena. Without data: no memory, or longer than
 * MU_GANG_NAME_BYTES_MAX, which is a problem. */
struct mu_str mu_dialect_join(struct mu_dialect *d, const struct mu_str *parts, uint32_t count,
                              char between);

void mu_dialect_read_koordinator(struct mu_dialect *d);
void mu_dialect_read_yunikorn(struct mu_dialect *d);

#endif
