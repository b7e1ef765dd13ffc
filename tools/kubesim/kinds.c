#include "tools/kubesim/kinds.h"

#include "tools/kubesim/api_priv.h"

static const struct mu_kind_field no_fields[] = {{NULL, {0, 0}, false}};
static const struct mu_kind_field pod_fields[] = {{"spec.nodeName", {2, 10}, false},
                                                  {"spec.schedulerName", {2, 19}, false},
                                                  {"spec.restartPolicy", {2, 3}, false},
                                                  {"spec.serviceAccountName", {2, 8}, false},
                                                  {"status.phase", {3, 1}, false},
                                                  {"spec.hostNetwork", {2, 11}, true},
                                                  {"status.nominatedNodeName", {3, 11}, false},
                                                  {NULL, {0, 0}, false}};
static const struct mu_kind_field node_fields[] = {{"spec.unschedulable", {2, 4}, true},
                                                   {NULL, {0, 0}, false}};
static const struct mu_kind_field namespace_fields[] = {{"status.phase", {3, 1}, false},
                                                        {NULL, {0, 0}, false}};

static const struct mu_kind_sub pod_subs[] = {{"binding", "", "v1", "Binding", mu_api_bind},
                                              {NULL, NULL, NULL, NULL, NULL}};

const struct mu_kind mu_kinds[MU_KIND_COUNT] = {
    [MU_KIND_PODS] = {.group = "",
                      .version = "v1",
                      .api_version = "v1",
                      .kind = "Pod",
                      .list_kind = "PodList",
                      .plural = "pods",
                      .singular = "pod",
                      .namespaced = true,
                      .has_status = true,
                      .has_generation = true,
                      .subs = pod_subs,
                      .descriptor = &kube__pod__descriptor,
                      .fields = pod_fields,
                      .create = mu_pod_create,
                      .update = mu_pod_update},
    [MU_KIND_NODES] = {.group = "",
                       .version = "v1",
                       .api_version = "v1",
                       .kind = "Node",
                       .list_kind = "NodeList",
                       .plural = "nodes",
                       .singular = "node",
                       .has_status = true,
                       .descriptor = &kube__node__descriptor,
                       .fields = node_fields,
                       .create = mu_node_create,
                       .update = mu_node_update},
    [MU_KIND_NAMESPACES] = {.group = "",
                            .version = "v1",
                            .api_version = "v1",
                            .kind = "Namespace",
                            .list_kind = "NamespaceList",
                            .plural = "namespaces",
                            .singular = "namespace",
                            .has_status = true,
                            .descriptor = &kube__namespace__descriptor,
                            .fields = namespace_fields,
                            .create = mu_namespace_create},
    [MU_KIND_PRIORITYCLASSES] = {.group = "scheduling.k8s.io",
                                 .version = "v1",
                                 .api_version = "scheduling.k8s.io/v1",
                                 .kind = "PriorityClass",
                                 .list_kind = "PriorityClassList",
                                 .plural = "priorityclasses",
                                 .singular = "priorityclass",
                                 .descriptor = &kube__priority_class__descriptor,
                                 .fields = no_fields,
                                 .create = mu_priorityclass_create,
                                 .update = mu_priorityclass_update},
};

static bool same(struct mu_str text, const char *want)
{
    return mu_str_equal(text, mu_str_of(want));
}

enum mu_kind_ix mu_kind_find(struct mu_str group, struct mu_str version, struct mu_str plural,
                             const struct mu_kind_api **api)
{
    *api = NULL;
    for (enum mu_kind_ix kind = 0; kind < MU_KIND_COUNT; kind++) {
        const struct mu_kind *row = &mu_kinds[kind];
        if (!same(plural, row->plural)) {
            continue;
        }
        if (same(group, row->group) && same(version, row->version)) {
            return kind;
        }
        for (const struct mu_kind_api *a = row->apis; a != NULL && a->group != NULL; a++) {
            if (same(group, a->group) && same(version, a->version)) {
                *api = a;
                return kind;
            }
        }
    }
    return MU_KIND_COUNT;
}

const struct mu_kind_sub *mu_kind_sub_find(const struct mu_kind *kind, struct mu_str name)
{
    const struct mu_kind_sub *sub = kind->subs;
    while (sub != NULL && sub->name != NULL && !same(name, sub->name)) {
        sub++;
    }
    return sub == NULL || sub->name == NULL ? NULL : sub;
}

enum mu_kind_ix mu_kind_by_plural(const char *plural)
{
    enum mu_kind_ix kind = 0;
    while (kind < MU_KIND_COUNT && strcmp(mu_kinds[kind].plural, plural) != 0) {
        kind++;
    }
    return kind;
}
