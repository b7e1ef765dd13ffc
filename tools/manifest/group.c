/*
 * Which group a pod names is its dialect's to say (informer/dialect.h).
 *
 * Of an object only what decides on placing is read: the minimum, whether there is a gang at all,
 * the priority. Minimal resources and timeouts have no say: a gang is placed whole or not, at once.
 */
#include "tools/manifest/group.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include "engine/base/error.h"
#include "engine/limits.h"
#include "informer/dialect.h"
#include "tools/kubesim/validate.h"

#define WORD_MAX 80

/* ---- pods --------------------------------------------------------------------------------- */

static int copy_pairs(Kube__StringEntry *const *pairs, size_t count, struct mu_arena *arena,
                      struct mu_label **out)
{
    struct mu_label *copy = mu_arena_alloc(arena, (count + 1) * sizeof *copy);
    if (copy == NULL)
        return MU_ENOMEM;
    for (size_t i = 0; i < count; i++)
        copy[i] = (struct mu_label){mu_str_of(pairs[i]->key), mu_str_of(pairs[i]->value)};
    *out = copy;
    return 0;
}

int mu_group_of_pod(const Kube__Pod *pod, struct mu_arena *arena, struct mu_group_name *out)
{
    const Kube__ObjectMeta *meta = pod->metadata;
    const Kube__PodSpec *spec = pod->spec;
    struct mu_label *labels = NULL;
    struct mu_label *annotations = NULL;
    *out = (struct mu_group_name){.source = MU_GANG_SOLO};
    int rc = copy_pairs(meta->labels, meta->n_labels, arena, &labels);
    if (rc == 0)
        rc = copy_pairs(meta->annotations, meta->n_annotations, arena, &annotations);
    if (rc != 0)
        return rc;
    struct mu_dialect_pod view = {.ns = mu_str_of(meta->namespace_),
                                  .labels = labels,
                                  .label_count = (uint32_t)meta->n_labels,
                                  .annotations = annotations,
                                  .annotation_count = (uint32_t)meta->n_annotations,
                                  .has_group = spec->schedulinggroup != NULL,
                                  .has_workload = spec->workloadref != NULL};
    if (view.has_group)
        view.group = mu_str_of(spec->schedulinggroup->podgroupname);
    if (view.has_workload) {
        view.workload = mu_str_of(spec->workloadref->name);
        view.pod_group = mu_str_of(spec->workloadref->podgroup);
        view.replica = mu_str_of(spec->workloadref->podgroupreplicakey);
    }
    struct mu_gang_ref gang;
    struct mu_dialect_problem problem;
    bool spared;
    rc = mu_dialect_read(&view, arena, &gang, &spared, &problem);
    if (rc != 0 || problem.rule != 0 || !mu_gang_has_object(gang.source))
        return rc;
    out->source = gang.source;
    out->name = gang.object.len > 0 ? gang.object : gang.name;
    return 0;
}

/* ---- objects ------------------------------------------------------------------------------ */

enum mu_gang_source mu_group_dialect(struct mu_str version)
{
    static const struct {
        const char *version;
        enum mu_gang_source source;
    } known[] = {{"scheduling.k8s.io/v1beta1", MU_GANG_NATIVE},
                 {"scheduling.k8s.io/v1alpha3", MU_GANG_NATIVE},
                 {"scheduling.k8s.io/v1alpha2", MU_GANG_NATIVE},
                 {"scheduling.x-k8s.io/v1alpha1", MU_GANG_COSCHEDULING},
                 {"scheduling.volcano.sh/v1beta1", MU_GANG_VOLCANO}};
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (mu_str_equal(version, mu_str_of(known[i].version)))
            return known[i].source;
    return MU_GANG_SOLO;
}

__attribute__((format(printf, 3, 4))) static bool bad(struct mu_check *check, const char *path,
                                                      const char *format, ...)
{
    va_list args;
    va_start(args, format);
    (void)snprintf(check->path, sizeof check->path, "%s", path);
    (void)vsnprintf(check->problem, sizeof check->problem, format, args);
    va_end(args);
    return false;
}

/* A member that may be missing: false when it is there and no text. */
static bool text_of(const json_t *object, const char *key, struct mu_str *out)
{
    const json_t *value = json_object_get(object, key);
    *out = (struct mu_str){NULL, 0};
    if (json_is_string(value))
        *out = (struct mu_str){json_string_value(value), (uint32_t)json_string_length(value)};
    return value == NULL || json_is_null(value) || json_is_string(value);
}

static bool read_meta(const json_t *meta, struct mu_group *out, struct mu_check *check)
{
    if (!text_of(meta, "name", &out->name) || out->name.len == 0)
        return bad(check, "metadata.name", "expected a name");
    if (!mu_valid_dns_subdomain(out->name))
        return bad(check, "metadata.name",
                   "'%.*s' is not a name; expected at most 253 of a-z, 0-9, '-' and '.'", WORD_MAX,
                   out->name.data);
    if (!text_of(meta, "namespace", &out->ns) || (out->ns.len > 0 && !mu_valid_dns_label(out->ns)))
        return bad(check, "metadata.namespace",
                   "expected a namespace: at most 63 of a-z, 0-9 and '-'");
    return true;
}

/* A minimum: missing it is 0. */
static bool read_count(const json_t *object, const char *key, const char *path, json_int_t least,
                       json_int_t *out, struct mu_check *check)
{
    const json_t *value = json_object_get(object, key);
    *out = json_integer_value(value);
    if (value == NULL || json_is_null(value))
        return true;
    if (!json_is_integer(value) || *out < least || *out > MU_GANG_MEMBERS_MAX)
        return bad(check, path, "expected a whole number, %d to %u", (int)least,
                   MU_GANG_MEMBERS_MAX);
    return true;
}

/* Whether there is more than an empty list, object or text. */
static bool says_something(const json_t *value)
{
    return json_array_size(value) > 0 || json_object_size(value) > 0 ||
           json_string_length(value) > 0;
}

static bool read_native(const json_t *spec, struct mu_group *out, struct mu_check *check)
{
    const json_t *policy = json_object_get(spec, "schedulingPolicy");
    const json_t *gang = json_object_get(policy, "gang");
    json_int_t size = 1;
    out->single = json_is_object(json_object_get(policy, "basic"));
    if (out->single == json_is_object(gang))
        return bad(check, "spec.schedulingPolicy", "expected one of basic and gang");
    if (!out->single &&
        !read_count(gang, "minCount", "spec.schedulingPolicy.gang.minCount", 1, &size, check))
        return false;
    if (size == 0)
        return bad(check, "spec.schedulingPolicy.gang.minCount", "expected at least 1");
    out->size = (uint32_t)size;
    if (says_something(json_object_get(json_object_get(spec, "schedulingConstraints"), "topology")))
        out->unbuilt = "spec.schedulingConstraints";
    else if (says_something(json_object_get(spec, "parentCompositePodGroupName")))
        out->unbuilt = "spec.parentCompositePodGroupName";
    else if (says_something(json_object_get(spec, "resourceClaims")))
        out->unbuilt = "spec.resourceClaims";
    return true;
}

/* The minima of tasks add up to one of the whole, which is exact while all members are needed. */
static bool read_tasks(const json_t *spec, struct mu_group *out, struct mu_check *check)
{
    const char *key;
    json_t *value;
    json_int_t sum = 0;
    json_t *tasks = json_object_get(spec, "minTaskMember");
    json_object_foreach(tasks, key, value)
    {
        json_int_t one;
        if (!read_count(tasks, key, "spec.minTaskMember", 0, &one, check))
            return false;
        sum += one;
    }
    if (sum > MU_GANG_MEMBERS_MAX)
        return bad(check, "spec.minTaskMember", "expected at most %u in all", MU_GANG_MEMBERS_MAX);
    out->tasks = sum > 0;
    out->size = sum > out->size ? (uint32_t)sum : out->size;
    return true;
}

static bool read_volcano(const json_t *spec, struct mu_group *out, struct mu_check *check)
{
    const json_t *topology = json_object_get(spec, "networkTopology");
    const char *mode = json_string_value(json_object_get(topology, "mode"));
    if (!read_tasks(spec, out, check))
        return false;
    if (says_something(json_object_get(spec, "subGroupPolicy")))
        out->unbuilt = "spec.subGroupPolicy";
    else if (says_something(topology) && (mode == NULL || strcmp(mode, "soft") != 0))
        out->unbuilt = "spec.networkTopology";
    return true;
}

static bool read_priority(const json_t *spec, struct mu_group *out, struct mu_check *check)
{
    const json_t *priority = json_object_get(spec, "priority");
    json_int_t value = json_integer_value(priority);
    if (!text_of(spec, "priorityClassName", &out->priority_class))
        return bad(check, "spec.priorityClassName", "expected a text");
    if (priority == NULL || json_is_null(priority))
        return true;
    if (!json_is_integer(priority) || value < INT32_MIN || value > INT32_MAX)
        return bad(check, "spec.priority", "expected a 32-bit whole number");
    out->has_priority = true;
    out->priority = (int32_t)value;
    return true;
}

bool mu_group_read(enum mu_gang_source source, const json_t *tree, struct mu_group *out,
                   struct mu_check *check)
{
    const json_t *spec = json_object_get(tree, "spec");
    json_int_t size = 0;
    *out = (struct mu_group){.size = 1};
    if (!read_meta(json_object_get(tree, "metadata"), out, check))
        return false;
    if (spec != NULL && !json_is_null(spec) && !json_is_object(spec))
        return bad(check, "spec", "expected an object");
    if (source == MU_GANG_NATIVE)
        return read_native(spec, out, check) && read_priority(spec, out, check);
    if (!read_count(spec, "minMember", "spec.minMember", source == MU_GANG_VOLCANO ? 0 : 1, &size,
                    check))
        return false;
    out->size = size > 0 ? (uint32_t)size : 1;
    return source != MU_GANG_VOLCANO ||
           (read_volcano(spec, out, check) && read_priority(spec, out, check));
}
