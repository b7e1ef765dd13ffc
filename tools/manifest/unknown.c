#include "tools/manifest/unknown.h"

#include <stdio.h>
#include <string.h>
#include "informer/codec.h"
#include "informer/dialect.h"
#include "tools/manifest/check.h"

#define PATH_BYTES 512

struct teller {
    mu_unknown_fn tell;
    void *context;
};

static bool is_known(const char *name, const char *const *known)
{
    while (*known != NULL && strcmp(name, *known) != 0)
        known++;
    return *known != NULL;
}

/* ---- keys of maps ------------------------------------------------------------------------- */

static void tell_key(const struct teller *t, const char *path, const char *meaning)
{
    char text[PATH_BYTES + 64];
    (void)snprintf(text, sizeof text, "%s: %s", path, meaning);
    t->tell(t->context, path, text);
}

/* Our own keys that we do not know are misspelled, or stand in the wrong place. */
static void tell_own_keys(const struct teller *t, const char *map, Kube__StringEntry *const *pairs,
                          size_t count, const char *const *known)
{
    static const char prefix[] = "muster.dev/";
    char path[PATH_BYTES];
    for (size_t i = 0; i < count; i++) {
        const char *key = pairs[i]->key;
        if (key == NULL || strncmp(key, prefix, sizeof prefix - 1) != 0 || is_known(key, known))
            continue;
        (void)snprintf(path, sizeof path, "%s[%s]", map, key);
        tell_key(t, path, "not known here: ignored");
    }
}

void mu_unknown_of_pod(const Kube__ObjectMeta *meta, mu_unknown_fn tell, void *context)
{
    static const char *const annotations[] = {MU_GANG_ANNOTATION, MU_GANG_SIZE_ANNOTATION,
                                              MU_DEVICE_ANNOTATION, MU_PLAN_ANNOTATION, NULL};
    static const char *const labels[] = {NULL};
    const struct teller t = {tell, context};
    tell_own_keys(&t, "metadata.annotations", meta->annotations, meta->n_annotations, annotations);
    tell_own_keys(&t, "metadata.labels", meta->labels, meta->n_labels, labels);
}

/* What a node has is told by whoever runs it, so that a resource that no pod can ask for is no
 * error. */
void mu_unknown_of_node(const Kube__Node *node, mu_unknown_fn tell, void *context)
{
    static const char *const labels[] = {MU_SHARING_LABEL, MU_DEVICE_LABEL, NULL};
    static const char *const annotations[] = {NULL};
    const struct teller t = {tell, context};
    const Kube__ObjectMeta *meta = node->metadata;
    const Kube__NodeStatus *status = node->status;
    tell_own_keys(&t, "metadata.labels", meta->labels, meta->n_labels, labels);
    tell_own_keys(&t, "metadata.annotations", meta->annotations, meta->n_annotations, annotations);
    for (size_t i = 0; status != NULL && i < status->n_allocatable; i++) {
        const char *name = status->allocatable[i]->key;
        if (name != NULL && !mu_check_known_resource(name) && strcmp(name, "pods") != 0 &&
            !mu_str_starts_with(mu_str_of(name), MU_STR("attachable-volumes-"))) {
            char path[PATH_BYTES];
            (void)snprintf(path, sizeof path, "status.allocatable.%s", name);
            tell_key(&t, path, "no resource that pods can ask for");
        }
    }
}

/* ---- fields of PodGroups ------------------------------------------------------------------ */

/* In the words that are used where a schema tells. */
static void tell_fields(const struct teller *t, const json_t *object, const char *path,
                        const char *const *known)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)object, key, value)
    {
        char field[PATH_BYTES], text[PATH_BYTES + 64];
        if (is_known(key, known))
            continue;
        (void)snprintf(field, sizeof field, "%s%s%s", path, path[0] != '\0' ? "." : "", key);
        (void)snprintf(text, sizeof text, "unknown field \"%s\": ignored", field);
        t->tell(t->context, field, text);
    }
}

void mu_unknown_of_group(enum mu_gang_source source, const json_t *tree, mu_unknown_fn tell,
                         void *context)
{
    static const char *const object[] = {"apiVersion", "kind", "metadata", "spec", "status", NULL};
    static const char *const plugins[] = {"minMember", "minResources", "scheduleTimeoutSeconds",
                                          NULL};
    static const char *const volcano[] = {"minMember",       "minTaskMember",     "minResources",
                                          "queue",           "priorityClassName", "priority",
                                          "networkTopology", "subGroupPolicy",    NULL};
    static const char *const native[] = {"schedulingPolicy",
                                         "schedulingConstraints",
                                         "podGroupTemplateRef",
                                         "workloadRef",
                                         "parentCompositePodGroupName",
                                         "resourceClaims",
                                         "disruptionMode",
                                         "priorityClassName",
                                         "priority",
                                         "preemptionPolicy",
                                         NULL};
    static const char *const workload[] = {"controllerRef", "podGroups", NULL};
    static const char *const kai[] = {"minMember",         "queue",
                                      "priorityClassName", "priority",
                                      "subGroups",         "topologyConstraint",
                                      "preemptibility",    "markUnschedulable",
                                      "schedulingBackoff", NULL};
    static const char *const godel[] = {"minMember",
                                        "minResources",
                                        "scheduleTimeoutSeconds",
                                        "priorityClassName",
                                        "priority",
                                        "application",
                                        "affinity",
                                        NULL};
    static const char *const *const fields[MU_GANG_SOURCES] = {
        [MU_GANG_NATIVE] = native,   [MU_GANG_COSCHEDULING] = plugins,
        [MU_GANG_VOLCANO] = volcano, [MU_GANG_WORKLOAD] = workload,
        [MU_GANG_KAI] = kai,         [MU_GANG_GODEL] = godel};
    static const char *const policy[] = {"basic", "gang", NULL};
    static const char *const gang[] = {"minCount", NULL};
    const struct teller t = {tell, context};
    const json_t *spec = json_object_get(tree, "spec");
    tell_fields(&t, tree, "", object);
    tell_fields(&t, spec, "spec", fields[source]);
    if (source != MU_GANG_NATIVE)
        return;
    const json_t *said = json_object_get(spec, "schedulingPolicy");
    tell_fields(&t, said, "spec.schedulingPolicy", policy);
    tell_fields(&t, json_object_get(said, "gang"), "spec.schedulingPolicy.gang", gang);
}
