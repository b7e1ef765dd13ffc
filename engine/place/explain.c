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

/* A row's verdict by the filter and by the rules about other pods, in their places: host ports
 * before the room, the others behind it. */
static struct mu_verdict together(struct mu_verdict verdict, enum mu_verdict_kind others)
{
    bool is_static = verdict.kind != MU_FITS && verdict.kind < MU_NO_PORTS;
    if (is_static || others == MU_FITS || (verdict.kind != MU_FITS && others != MU_NO_PORTS))
        return verdict;
    return mu_verdict_of(others);
}

/* Row by row, but what rules about other pods say of them is found for all at once: there may be
 * tens of thousands of these. `topology`: of the rows in one domain of it; MU_NONE: of all. */
static int count_rows(struct mu_place *place, struct mu_place_pod pod, uint32_t topology,
                      uint32_t domain, struct mu_refusals *out)
{
    const struct mu_snapshot *s = place->snapshot;
    const struct mu_class *class_ = mu_model_get_class(place->model, pod.class_ix);
    const bool concerned = mu_place_concerned(place, pod);
    int error = concerned ? mu_terms_judge(place->terms, pod.class_ix, pod.kin) : 0;
    if (error != 0)
        return error;
    *out = (struct mu_refusals){.by_verdict = {0}};
    for (uint32_t row = 0; row < s->node_rows; row++) {
        if ((s->nodes[row].flags & MU_NODE_PRESENT) == 0 ||
            (topology != MU_NONE && s->topology[topology][row] != domain))
            continue;
        enum mu_verdict_kind others = concerned ? mu_terms_judged(place->terms, row) : MU_FITS;
        struct mu_verdict verdict = mu_filter_verdict(s, class_, (struct mu_node_ix){row});
        mu_refusals_add(out, together(verdict, others), 1);
        place->counts.rows_explained += concerned;
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
    int error = count_rows(place, pod, MU_NONE, 0, &last->refusals);
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
    if (error == 0)
        *out = together(*out, kind);
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

/* Count the rows that refuse only because room is kept there: of those counted, as above. */
static int adjust(struct mu_place *place, struct mu_place_pod pod, uint32_t topology,
                  uint32_t domain, const struct mu_refusals **out)
{
    const struct mu_snapshot *s = place->snapshot;
    bool copied = false;
    for (uint32_t at = 0, row; (row = mu_nominated_row(place, &at)) != MU_NONE;) {
        struct mu_verdict alone, with;
        if ((topology != MU_NONE && s->topology[topology][row] != domain) ||
            !mu_nominated_to(place, row))
            continue;
        int error = mu_place_verdict_alone(place, pod, (struct mu_node_ix){row}, &alone);
        if (error == 0 && alone.kind != MU_FITS)
            continue;
        with = alone;
        if (error == 0)
            error = mu_nominated_verdict(place, pod, row, &with);
        if (error != 0)
            return error;
        if (with.kind == MU_FITS)
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

int mu_place_refusals_count(struct mu_place *place, struct mu_place_pod pod, uint32_t topology,
                            uint32_t domain, struct mu_refusals *out)
{
    const struct mu_refusals *counted = out;
    const bool one_by_one = topology != MU_NONE || mu_place_concerned(place, pod);
    int error = one_by_one ? count_rows(place, pod, topology, domain, out)
                           : mu_filter_count(place->filter,
                                             mu_model_get_class(place->model, pod.class_ix), out);
    if (error == 0 && place->snapshot->nominated_count > 0)
        error = adjust(place, pod, topology, domain, &counted);
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
    return error != 0 || place->snapshot->nominated_count == 0
               ? error
               : adjust(place, pod, MU_NONE, 0, out);
}
