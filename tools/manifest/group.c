/*
 * Which group a pod names is its dialect's to say (informer/dialect.h), what the group says the
 * codec's (informer/codec_group.h).
 */
#include "tools/manifest/group.h"

#include "engine/base/error.h"
#include "informer/dialect.h"

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
