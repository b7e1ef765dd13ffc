/* A Kubernetes namespace, translated: what selectors of namespaces look at. */
#include "informer/codec.h"

#include "informer/decode_priv.h"

int mu_namespace_decode(struct mu_str raw, struct mu_arena *arena, struct mu_namespace_object *out,
                        struct mu_error *warn, struct mu_error *error)
{
    const void *message;
    if (warn != NULL)
        warn->code = 0;
    int rc =
        mu_decode_message(raw, &kube__namespace__descriptor, arena, "namespace", &message, error);
    if (rc != 0)
        return rc;
    const Kube__ObjectMeta *meta = ((const Kube__Namespace *)message)->metadata;
    struct mu_decode_identity id;
    if ((rc = mu_decode_identity(meta, "namespace", &id, error)) != 0)
        return rc;
    struct mu_namespace_object object = {.name = id.name, .uid = id.uid, .version = id.version};
    if (meta->n_labels > MU_LABELS_PER_OBJECT) {
        if (warn != NULL)
            (void)mu_error_set(warn, MU_ELIMIT,
                               "namespace %.*s: metadata.labels: %zu entries, expected at most %u; "
                               "left out",
                               MU_STR_ARGS(id.name), meta->n_labels, MU_LABELS_PER_OBJECT);
    } else if (meta->n_labels > 0) {
        object.labels = mu_decode_pairs(arena, meta->labels, meta->n_labels);
        object.label_count = (uint32_t)meta->n_labels;
        if (object.labels == NULL)
            return mu_error_set(error, MU_ENOMEM, "namespace %.*s: metadata.labels: no memory",
                                MU_STR_ARGS(id.name));
    }
    *out = object;
    return 0;
}
