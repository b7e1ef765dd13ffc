/* A Kubernetes namespace, translated: what selectors of namespaces look at. */
#include "informer/codec.h"

#include "informer/decode_priv.h"
#include "informer/view_priv.h"

int mu_namespace_decode(struct mu_str raw, struct mu_arena *arena, struct mu_namespace_object *out,
                        struct mu_error *warn, struct mu_error *error)
{
    struct mu_view_namespace view;
    if (warn != NULL)
        warn->code = 0;
    int rc = mu_view_open(raw, &mu_view_of_namespace, arena, "namespace", &view, error);
    if (rc != 0)
        return rc;
    struct mu_decode_identity id;
    if ((rc = mu_decode_identity(view.meta, "namespace", &id, error)) != 0)
        return rc;
    struct mu_namespace_object object = {.name = id.name, .uid = id.uid, .version = id.version};
    const struct mu_pair_list *labels = &view.meta->labels;
    if (labels->count <= MU_LABELS_PER_OBJECT) {
        object.labels = labels->items;
        object.label_count = labels->count;
        *out = object;
        return 0;
    }
    object.labels_unknown = true;
    if (warn != NULL)
        (void)mu_error_set(warn, MU_ELIMIT,
                           "namespace %.*s: metadata.labels: %u entries, expected at most %u: its "
                           "pods are not placed where a rule selects namespaces",
                           MU_STR_ARGS(id.name), labels->count, MU_LABELS_PER_OBJECT);
    *out = object;
    return 0;
}
