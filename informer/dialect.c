/*
 * Two dialects are built: the plain `pod-group` annotation and Muster's own. All others are only
 * recognised, by the keys below: a pod that carries one is never bound pod by pod, since its
 * owner expects gang semantics that we cannot give yet.
 *
 * Nothing is guessed. Two dialects on one pod, two names, a size without a group or a size that is
 * no number in bounds leave the pod pending with that reason. The gang is still named where a name
 * can be read, so that the rest of the gang waits with it.
 */
#include "informer/dialect.h"

#include "engine/limits.h"

enum place { ON_LABEL = 1, ON_ANNOTATION = 2, ON_BOTH = 3 };

/* Keys that mark a pod as a gang member in a dialect that is not built. Queue and application names
 * alone make no gang: not listed. X(key, place). */
#define UNBUILT_KEYS(X)                                                                            \
    X("scheduling.k8s.io/group-name", ON_ANNOTATION) /* Volcano, with the next three */            \
    X("scheduling.volcano.sh/group-name", ON_ANNOTATION)                                           \
    X("scheduling.volcano.sh/group-min-member", ON_ANNOTATION)                                     \
    X("scheduling.volcano.sh/group-min-resources", ON_ANNOTATION)                                  \
    X("scheduling.x-k8s.io/pod-group", ON_LABEL)    /* scheduler-plugins */                        \
    X("pod-group.scheduling.sigs.k8s.io", ON_LABEL) /* the same, older */                          \
    X("pod-group-name", ON_ANNOTATION)              /* KAI */                                      \
    X("kai.scheduler/subgroup-name", ON_LABEL)      /* KAI */                                      \
    X("yunikorn.apache.org/task-group-name", ON_ANNOTATION)                                        \
    X("yunikorn.apache.org/task-groups", ON_ANNOTATION)                                            \
    X("kueue.x-k8s.io/pod-group-name", ON_LABEL)                                                   \
    X("kueue.x-k8s.io/pod-group-total-count", ON_ANNOTATION)                                       \
    X("godel.bytedance.com/pod-group-name", ON_BOTH)                                               \
    X("armadaproject.io/gangId", ON_ANNOTATION)                                                    \
    X("armadaproject.io/gangCardinality", ON_ANNOTATION)
/* The same for everything below such a prefix, wherever it stands. */
#define UNBUILT_PREFIXES(X)                                                                        \
    X("pod-group.scheduling.sigs.k8s.io/") /* the ancestor of scheduler-plugins */                 \
    X("pod-group.scheduling.x-k8s.io/")    /* the same, respelled */                               \
    X("gang.scheduling.koordinator.sh/")   /* Koordinator */

#define LENGTH_BIT(text, place) | UINT64_C(1) << (sizeof(text) - 1)
#define EQUALS(text, place_)                                                                       \
    || (((place_) & (unsigned)place) != 0 && mu_str_equal(key, MU_STR(text)))
#define BEGINS(text) || mu_str_starts_with(key, MU_STR(text))

/* Nearly all keys of a cluster are ruled out by their length or first letter. */
static bool is_unbuilt_key(struct mu_str key, enum place place)
{
    const uint64_t lengths = 0 UNBUILT_KEYS(LENGTH_BIT);
    if (key.len == 0)
        return false;
    if (key.len < 64 && (lengths >> key.len & 1) != 0 && (false UNBUILT_KEYS(EQUALS)))
        return true;
    return (key.data[0] == 'p' || key.data[0] == 'g') && (false UNBUILT_PREFIXES(BEGINS));
}

static bool any_unbuilt_key(const struct mu_label *pairs, uint32_t count, enum place place)
{
    for (uint32_t i = 0; i < count; i++) {
        if (is_unbuilt_key(pairs[i].key, place))
            return true;
    }
    return false;
}

/* The last pair with this key (a later duplicate wins), or NULL. */
static const struct mu_label *find(const struct mu_label *pairs, uint32_t count, struct mu_str key)
{
    for (uint32_t i = count; i > 0; i--) {
        if (mu_str_equal(pairs[i - 1].key, key))
            return &pairs[i - 1];
    }
    return NULL;
}

static bool name_ok(struct mu_str name)
{
    return name.len > 0 && name.len <= MU_NAME_BYTES_MAX;
}

static bool read_size(struct mu_str text, uint32_t *size)
{
    uint64_t value;
    if (!mu_str_to_u64(text, &value) || value == 0 || value > MU_GANG_MEMBERS_MAX)
        return false;
    *size = (uint32_t)value;
    return true;
}

/* The built dialects. Returns false when what the pod says cannot be read as one gang. */
static bool read_built(const struct mu_label *annotations, uint32_t count, struct mu_gang_ref *gang)
{
    const struct mu_label *own = find(annotations, count, MU_STR(MU_GANG_ANNOTATION));
    const struct mu_label *size = find(annotations, count, MU_STR(MU_GANG_SIZE_ANNOTATION));
    const struct mu_label *plain = find(annotations, count, MU_STR("pod-group"));
    const struct mu_label *variant = find(annotations, count, MU_STR("pod_group"));
    if (plain == NULL)
        plain = variant;
    const struct mu_label *named = own != NULL ? own : plain;
    if (named == NULL)
        return size == NULL;
    if (!name_ok(named->value))
        return false;
    gang->source = own != NULL ? MU_GANG_MUSTER : MU_GANG_PLAIN;
    gang->name = named->value;
    bool ok = plain == NULL || mu_str_equal(plain->value, named->value);
    ok = ok && (variant == NULL || mu_str_equal(variant->value, named->value));
    if (size != NULL)
        ok = ok && own != NULL && read_size(size->value, &gang->size);
    return ok;
}

void mu_dialect_normalise(const struct mu_label *labels, uint32_t label_count,
                          const struct mu_label *annotations, uint32_t annotation_count,
                          bool native, struct mu_gang_ref *gang, uint32_t *unbuilt)
{
    *gang = (struct mu_gang_ref){.source = MU_GANG_SOLO};
    if (!read_built(annotations, annotation_count, gang))
        *unbuilt |= MU_RULE_GANG_SPEC;
    if (native || any_unbuilt_key(labels, label_count, ON_LABEL) ||
        any_unbuilt_key(annotations, annotation_count, ON_ANNOTATION))
        *unbuilt |= MU_RULE_GANG_DIALECT;
}
