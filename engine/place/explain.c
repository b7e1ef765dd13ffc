#include "engine/place/place_priv.h"

#include <string.h>

#include "engine/base/assert.h"
#include "engine/base/mem.h"

/*
 * Why such a pod does not fit: one row's verdict by all rules, and the count of them over all
 * nodes.
 */

_Static_assert(MU_NO_NODE_AFFINITY < MU_NO_PORTS && MU_NO_PORTS < MU_NO_PODS,
               "host ports come behind the static rules and before the room");

/* The same as mu_filter_count() with the rules about other pods in their places: host ports before
 * the room, the others behind it. */
static int count_concerned(struct mu_place *place, struct mu_place_pod pod, struct mu_refusals *out)
{
    const struct mu_snapshot *snapshot = place->snapshot;
    *out = (struct mu_refusals){.by_verdict = {0}};
    for (uint32_t row = 0; row < snapshot->node_rows; row++) {
        struct mu_verdict verdict;
        if ((snapshot->nodes[row].flags & MU_NODE_PRESENT) == 0)
            continue;
        int error = mu_place_verdict_alone(place, pod, (struct mu_node_ix){row}, &verdict);
        if (error != 0)
            return error;
        place->counts.rows_explained++;
        mu_refusals_add(out, verdict, 1);
    }
    return 0;
}

/* Replicas that find no room wait in a row: as long as nothing is placed in between, what is said
 * of one holds for the next. */
static int explain_concerned(struct mu_place *place, struct mu_place_pod pod,
                             const struct mu_refusals **out)
{
    struct mu_place_reasons_of *last = &place->reasons;
    *out = &last->refusals;
    if (last->session == place->session && last->taken == place->log_count &&
        last->pod.class_ix.v == pod.class_ix.v && last->pod.kin.v == pod.kin.v)
        return 0;
    last->session = 0;
    int error = count_concerned(place, pod, &last->refusals);
    if (error != 0)
        return error;
    last->pod = pod;
    last->session = place->session;
    last->taken = place->log_count;
    return 0;
}

int mu_place_verdict_alone(struct mu_place *place, struct mu_place_pod pod, struct mu_node_ix node,
                           struct mu_verdict *out)
{
    MU_ASSERT(place->snapshot != NULL);
    *out = mu_filter_verdict(place->snapshot, mu_model_get_class(place->model, pod.class_ix), node);
    if (!mu_place_concerned(place, pod) || (out->kind != MU_FITS && out->kind < MU_NO_PORTS))
        return 0;
    enum mu_verdict_kind kind;
    int error = mu_terms_verdict(place->terms, pod.class_ix, pod.kin, node.v, &kind);
    if (error == 0 && kind != MU_FITS && (out->kind == MU_FITS || kind == MU_NO_PORTS))
        *out = mu_verdict_of(kind);
    return error;
}

int mu_place_verdict(struct mu_place *place, struct mu_place_pod pod, struct mu_node_ix node,
                     struct mu_verdict *out)
{
    int error = mu_place_verdict_alone(place, pod, node, out);
    if (error != 0 || out->kind != MU_FITS || !mu_nominated_to(place, node.v))
        return error;
    return mu_nominated_verdict(place, pod, node.v, out);
}

/* Count the rows that refuse, or lack more, only because room is kept there. */
static int adjust(struct mu_place *place, struct mu_place_pod pod, const struct mu_refusals **out)
{
    bool copied = false;
    for (uint32_t at = 0, row; (row = mu_nominated_row(place, &at)) != MU_NONE;) {
        struct mu_verdict alone, with;
        int error = mu_place_verdict_alone(place, pod, (struct mu_node_ix){row}, &alone);
        if (error == 0)
            error = mu_place_verdict(place, pod, (struct mu_node_ix){row}, &with);
        if (error != 0)
            return error;
        if (alone.kind == with.kind && alone.reasons == with.reasons &&
            alone.lacking == with.lacking)
            continue;
        if (!copied)
            place->adjusted = **out;
        copied = true;
        mu_refusals_add(&place->adjusted, alone, -1);
        mu_refusals_add(&place->adjusted, with, 1);
    }
    if (copied)
        *out = &place->adjusted;
    return 0;
}

/* Without what is kept for nominated pods. */
static int count_alone(struct mu_place *place, struct mu_place_pod pod, struct mu_refusals *out)
{
    if (mu_place_concerned(place, pod))
        return count_concerned(place, pod, out);
    return mu_filter_count(place->filter, mu_model_get_class(place->model, pod.class_ix), out);
}

int mu_place_refusals_count(struct mu_place *place, struct mu_place_pod pod,
                            struct mu_refusals *out)
{
    const struct mu_refusals *counted = out;
    int error = count_alone(place, pod, out);
    if (error == 0 && place->snapshot->nominated_count > 0)
        error = adjust(place, pod, &counted);
    if (error == 0 && counted != out)
        *out = *counted;
    return error;
}

/* The counts of a class that no rule about other pods concerns. */
static int explain_class(struct mu_place *place, struct mu_class_ix class_ix,
                         const struct mu_refusals **out)
{
    const struct mu_snapshot *snapshot = place->snapshot;
    struct mu_place_class *known = mu_place_class_get(place, class_ix);
    if (known == NULL)
        return MU_ENOMEM;
    if (known->refusals == NULL) {
        known->refusals = mu_mem_zalloc(sizeof *known->refusals);
        if (known->refusals == NULL)
            return MU_ENOMEM;
    }
    bool untouched = place->log_count == 0;
    bool counted = known->refusals_session == place->session ||
                   (untouched && known->refusals_untouched &&
                    known->refusals_generation == snapshot->generation &&
                    known->refusals_static == snapshot->static_generation);
    if (!counted) {
        known->refusals_untouched = false;
        known->refusals_session = 0;
        int error = mu_filter_count(place->filter, mu_model_get_class(place->model, class_ix),
                                    known->refusals);
        if (error != 0)
            return error;
        known->refusals_untouched = untouched;
        known->refusals_generation = snapshot->generation;
        known->refusals_static = snapshot->static_generation;
    }
    known->refusals_session = place->session;
    *out = known->refusals;
    return 0;
}

int mu_place_explain(struct mu_place *place, struct mu_place_pod pod,
                     const struct mu_refusals **out)
{
    MU_ASSERT(place->snapshot != NULL && !place->in_trial);
    int error = mu_place_concerned(place, pod) ? explain_concerned(place, pod, out)
                                               : explain_class(place, pod.class_ix, out);
    return error != 0 || place->snapshot->nominated_count == 0 ? error : adjust(place, pod, out);
}
