/*
 * Placement rules as the API takes them: the way back of informer/codec_placement.c. Labels that
 * were pairs once come out as expressions, and keys merged with the pod's own values stay merged:
 * decoded again, the rules are the same.
 */
#include "tools/workload/encode_priv.h"

static char *operator_of(struct mu_encoding *e, enum mu_op op)
{
    switch (op) {
    case MU_OP_IN:
        return mu_encode_text(e, MU_STR("In"));
    case MU_OP_NOT_IN:
        return mu_encode_text(e, MU_STR("NotIn"));
    case MU_OP_EXISTS:
        return mu_encode_text(e, MU_STR("Exists"));
    case MU_OP_DOES_NOT_EXIST:
        return mu_encode_text(e, MU_STR("DoesNotExist"));
    case MU_OP_GT:
        return mu_encode_text(e, MU_STR("Gt"));
    case MU_OP_LT:
        return mu_encode_text(e, MU_STR("Lt"));
    case MU_OP_NEVER:
        break;
    }
    return mu_encode_text(e, MU_STR("Never")); /* no operator of that name: it never matches */
}

static char **texts_of(struct mu_encoding *e, const struct mu_str *from, uint32_t count)
{
    char **texts = mu_encode_alloc(e, count, sizeof *texts);
    for (uint32_t i = 0; texts != NULL && i < count; i++)
        texts[i] = mu_encode_text(e, from[i]);
    return texts;
}

/* --- node affinity ------------------------------------------------------------------------- */

static Kube__NodeSelectorRequirement *node_requirement(struct mu_encoding *e,
                                                       const struct mu_requirement *from)
{
    Kube__NodeSelectorRequirement *to = mu_encode_alloc(e, 1, sizeof *to);
    if (to == NULL)
        return NULL;
    kube__node_selector_requirement__init(to);
    to->key = mu_encode_text(e, from->key);
    to->operator_ = operator_of(e, from->op);
    to->values = texts_of(e, from->values, from->value_count);
    to->n_values = from->value_count;
    return to;
}

/* Those of a selector, and one more unless it is NULL. */
static Kube__NodeSelectorRequirement **node_requirements(struct mu_encoding *e,
                                                         const struct mu_selector *from,
                                                         const struct mu_requirement *more,
                                                         size_t *count)
{
    *count = (size_t)from->requirement_count + (more != NULL);
    Kube__NodeSelectorRequirement **to = mu_encode_alloc(e, *count, sizeof *to);
    for (uint32_t i = 0; to != NULL && i < *count; i++)
        to[i] = node_requirement(e, i < from->requirement_count ? &from->requirements[i] : more);
    return to;
}

static Kube__NodeSelectorTerm *node_term(struct mu_encoding *e, const struct mu_node_term *from,
                                         const struct mu_requirement *more)
{
    Kube__NodeSelectorTerm *to = mu_encode_alloc(e, 1, sizeof *to);
    if (to == NULL)
        return NULL;
    kube__node_selector_term__init(to);
    to->matchexpressions = node_requirements(e, &from->labels, more, &to->n_matchexpressions);
    to->matchfields = node_requirements(e, &from->fields, NULL, &to->n_matchfields);
    return to;
}

/* One of several GPU models is a requirement on each term, or the only term. */
static Kube__NodeSelector *required_nodes(struct mu_encoding *e, const struct mu_workload_pod *pod)
{
    static const struct mu_node_term every = {.labels = {.nothing = false}};
    const struct mu_pod_object *object = &pod->object;
    const struct mu_requirement model = {.key = MU_STR(MU_GPU_MODEL_LABEL),
                                         .op = MU_OP_IN,
                                         .values = pod->models,
                                         .value_count = pod->model_count};
    const struct mu_requirement *more = pod->model_count > 0 ? &model : NULL;
    if (!object->has_node_terms && more == NULL)
        return NULL;
    const struct mu_node_term *from = object->has_node_terms ? object->node_terms : &every;
    uint32_t count = object->has_node_terms ? object->node_term_count : 1;
    Kube__NodeSelector *to = mu_encode_alloc(e, 1, sizeof *to);
    if (to == NULL)
        return NULL;
    kube__node_selector__init(to);
    to->nodeselectorterms = mu_encode_alloc(e, count, sizeof *to->nodeselectorterms);
    for (uint32_t i = 0; to->nodeselectorterms != NULL && i < count; i++)
        to->nodeselectorterms[i] = node_term(e, &from[i], more);
    to->n_nodeselectorterms = count;
    return to;
}

static Kube__NodeAffinity *node_affinity(struct mu_encoding *e, const struct mu_workload_pod *pod)
{
    const struct mu_pod_object *object = &pod->object;
    Kube__NodeSelector *required = required_nodes(e, pod);
    uint32_t count = object->preferred_node_count;
    if (required == NULL && count == 0)
        return NULL;
    Kube__NodeAffinity *to = mu_encode_alloc(e, 1, sizeof *to);
    Kube__PreferredSchedulingTerm **terms = mu_encode_alloc(e, count, sizeof *terms);
    if (to == NULL)
        return NULL;
    kube__node_affinity__init(to);
    for (uint32_t i = 0; terms != NULL && i < count; i++) {
        terms[i] = mu_encode_alloc(e, 1, sizeof **terms);
        if (terms[i] == NULL)
            return NULL;
        kube__preferred_scheduling_term__init(terms[i]);
        terms[i]->has_weight = true;
        terms[i]->weight = object->preferred_nodes[i].weight;
        terms[i]->preference = node_term(e, &object->preferred_nodes[i].term, NULL);
    }
    to->requiredduringschedulingignoredduringexecution = required;
    to->preferredduringschedulingignoredduringexecution = terms;
    to->n_preferredduringschedulingignoredduringexecution = count;
    return to;
}

/* --- rules about other pods ---------------------------------------------------------------- */

/* Nothing is selected by no selector. */
static Kube__LabelSelector *label_selector(struct mu_encoding *e, const struct mu_selector *from)
{
    Kube__LabelSelector *to = from->nothing ? NULL : mu_encode_alloc(e, 1, sizeof *to);
    if (to == NULL)
        return NULL;
    kube__label_selector__init(to);
    uint32_t count = from->requirement_count;
    Kube__LabelSelectorRequirement **list = mu_encode_alloc(e, count, sizeof *list);
    for (uint32_t i = 0; list != NULL && i < count; i++) {
        const struct mu_requirement *item = &from->requirements[i];
        list[i] = mu_encode_alloc(e, 1, sizeof **list);
        if (list[i] == NULL)
            return NULL;
        kube__label_selector_requirement__init(list[i]);
        list[i]->key = mu_encode_text(e, item->key);
        list[i]->operator_ = operator_of(e, item->op);
        list[i]->values = texts_of(e, item->values, item->value_count);
        list[i]->n_values = item->value_count;
    }
    to->matchexpressions = list;
    to->n_matchexpressions = count;
    return to;
}

static Kube__PodAffinityTerm *pod_term(struct mu_encoding *e, const struct mu_pod_term *from)
{
    Kube__PodAffinityTerm *to = mu_encode_alloc(e, 1, sizeof *to);
    if (to == NULL)
        return NULL;
    kube__pod_affinity_term__init(to);
    to->topologykey = mu_encode_text(e, from->topology_key);
    to->labelselector = label_selector(e, &from->selector);
    to->namespaces = texts_of(e, from->namespaces, from->namespace_count);
    to->n_namespaces = from->namespace_count;
    if (from->namespace_selector != NULL)
        to->namespaceselector = label_selector(e, from->namespace_selector);
    return to;
}

static uint32_t count_terms(const struct mu_pod_object *pod, enum mu_term_kind kind)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < pod->term_count; i++)
        count += pod->terms[i].kind == kind;
    return count;
}

static Kube__PodAffinityTerm **required_terms(struct mu_encoding *e,
                                              const struct mu_pod_object *pod,
                                              enum mu_term_kind kind, size_t *count)
{
    Kube__PodAffinityTerm **list = mu_encode_alloc(e, count_terms(pod, kind), sizeof *list);
    *count = 0;
    for (uint32_t i = 0; list != NULL && i < pod->term_count; i++) {
        if (pod->terms[i].kind == kind)
            list[(*count)++] = pod_term(e, &pod->terms[i]);
    }
    return list;
}

static Kube__WeightedPodAffinityTerm **preferred_terms(struct mu_encoding *e,
                                                       const struct mu_pod_object *pod,
                                                       enum mu_term_kind kind, size_t *count)
{
    Kube__WeightedPodAffinityTerm **list = mu_encode_alloc(e, count_terms(pod, kind), sizeof *list);
    *count = 0;
    for (uint32_t i = 0; list != NULL && i < pod->term_count; i++) {
        if (pod->terms[i].kind != kind)
            continue;
        Kube__WeightedPodAffinityTerm *to = mu_encode_alloc(e, 1, sizeof *to);
        if (to == NULL)
            return NULL;
        kube__weighted_pod_affinity_term__init(to);
        to->has_weight = true;
        to->weight = pod->terms[i].weight;
        to->podaffinityterm = pod_term(e, &pod->terms[i]);
        list[(*count)++] = to;
    }
    return list;
}

Kube__Affinity *mu_encode_affinity(struct mu_encoding *e, const struct mu_workload_pod *pod)
{
    const struct mu_pod_object *object = &pod->object;
    Kube__NodeAffinity *nodes = node_affinity(e, pod);
    if (nodes == NULL && object->term_count == 0)
        return NULL;
    Kube__Affinity *affinity = mu_encode_alloc(e, 1, sizeof *affinity);
    Kube__PodAffinity *with = mu_encode_alloc(e, 1, sizeof *with);
    Kube__PodAntiAffinity *against = mu_encode_alloc(e, 1, sizeof *against);
    if (e->failed)
        return NULL;
    kube__affinity__init(affinity);
    kube__pod_affinity__init(with);
    kube__pod_anti_affinity__init(against);
    with->requiredduringschedulingignoredduringexecution = required_terms(
        e, object, MU_TERM_AFFINITY, &with->n_requiredduringschedulingignoredduringexecution);
    with->preferredduringschedulingignoredduringexecution = preferred_terms(
        e, object, MU_TERM_PREFERRED, &with->n_preferredduringschedulingignoredduringexecution);
    against->requiredduringschedulingignoredduringexecution =
        required_terms(e, object, MU_TERM_ANTI_AFFINITY,
                       &against->n_requiredduringschedulingignoredduringexecution);
    against->preferredduringschedulingignoredduringexecution =
        preferred_terms(e, object, MU_TERM_PREFERRED_ANTI,
                        &against->n_preferredduringschedulingignoredduringexecution);
    affinity->nodeaffinity = nodes;
    if (count_terms(object, MU_TERM_AFFINITY) + count_terms(object, MU_TERM_PREFERRED) > 0)
        affinity->podaffinity = with;
    if (count_terms(object, MU_TERM_ANTI_AFFINITY) + count_terms(object, MU_TERM_PREFERRED_ANTI) >
        0)
        affinity->podantiaffinity = against;
    return affinity;
}

/* --- spread, ports ------------------------------------------------------------------------- */

Kube__TopologySpreadConstraint **mu_encode_spreads(struct mu_encoding *e,
                                                   const struct mu_pod_object *pod)
{
    Kube__TopologySpreadConstraint **list = mu_encode_alloc(e, pod->spread_count, sizeof *list);
    for (uint32_t i = 0; list != NULL && i < pod->spread_count; i++) {
        const struct mu_spread *from = &pod->spreads[i];
        Kube__TopologySpreadConstraint *to = list[i] = mu_encode_alloc(e, 1, sizeof *to);
        if (to == NULL)
            return NULL;
        kube__topology_spread_constraint__init(to);
        to->has_maxskew = true;
        to->maxskew = from->max_skew;
        to->topologykey = mu_encode_text(e, from->topology_key);
        to->whenunsatisfiable =
            mu_encode_text(e, from->hard ? MU_STR("DoNotSchedule") : MU_STR("ScheduleAnyway"));
        to->labelselector = label_selector(e, &from->selector);
        to->has_mindomains = from->min_domains > 1; /* refused beside ScheduleAnyway */
        to->mindomains = from->min_domains;
        to->nodeaffinitypolicy =
            mu_encode_text(e, from->honor_affinity ? MU_STR("Honor") : MU_STR("Ignore"));
        to->nodetaintspolicy =
            mu_encode_text(e, from->honor_taints ? MU_STR("Honor") : MU_STR("Ignore"));
    }
    return list;
}

void mu_encode_ports(struct mu_encoding *e, const struct mu_pod_object *pod, Kube__Container *to)
{
    static const struct mu_str protocols[] = {[MU_PROTOCOL_TCP] = {"TCP", 3},
                                              [MU_PROTOCOL_UDP] = {"UDP", 3},
                                              [MU_PROTOCOL_SCTP] = {"SCTP", 4}};
    Kube__ContainerPort **list = mu_encode_alloc(e, pod->port_count, sizeof *list);
    for (uint32_t i = 0; list != NULL && i < pod->port_count; i++) {
        const struct mu_host_port *from = &pod->ports[i];
        Kube__ContainerPort *port = list[i] = mu_encode_alloc(e, 1, sizeof *port);
        if (port == NULL)
            return;
        kube__container_port__init(port);
        port->has_hostport = port->has_containerport = true;
        port->hostport = port->containerport = from->port;
        port->protocol = mu_encode_text(e, protocols[from->protocol]);
        port->hostip = mu_encode_text(e, from->ip);
    }
    to->ports = list;
    to->n_ports = pod->port_count;
}
