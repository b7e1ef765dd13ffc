#include "tools/workload/copy.h"

/*
 * A copier marks failure and goes on with NULL, so that the code reads as a list of fields; the
 * public functions look once at the end and only then touch *to.
 */
struct copier {
    struct mu_arena *arena;
    bool failed;
};

static void *copy_array(struct copier *c, const void *array, uint32_t count, size_t size)
{
    if (count == 0 || c->failed)
        return NULL;
    void *copy = mu_arena_calloc(c->arena, count, size);
    if (copy == NULL) {
        c->failed = true;
        return NULL;
    }
    memcpy(copy, array, count * size);
    return copy;
}

static struct mu_str copy_str(struct copier *c, struct mu_str s)
{
    struct mu_str copy = {NULL, 0};
    if (s.len > 0 && !c->failed) {
        copy = mu_arena_str(c->arena, s);
        c->failed = copy.data == NULL;
    }
    return copy;
}

static const struct mu_label *copy_labels(struct copier *c, const struct mu_label *labels,
                                          uint32_t count)
{
    struct mu_label *copy = copy_array(c, labels, count, sizeof *copy);
    for (uint32_t i = 0; copy != NULL && i < count; i++) {
        copy[i].key = copy_str(c, labels[i].key);
        copy[i].value = copy_str(c, labels[i].value);
    }
    return copy;
}

static const struct mu_amount *copy_amounts(struct copier *c, const struct mu_amount *amounts,
                                            uint32_t count)
{
    struct mu_amount *copy = copy_array(c, amounts, count, sizeof *copy);
    for (uint32_t i = 0; copy != NULL && i < count; i++)
        copy[i].resource = copy_str(c, amounts[i].resource);
    return copy;
}

static const struct mu_taint *copy_taints(struct copier *c, const struct mu_taint *taints,
                                          uint32_t count)
{
    struct mu_taint *copy = copy_array(c, taints, count, sizeof *copy);
    for (uint32_t i = 0; copy != NULL && i < count; i++) {
        copy[i].key = copy_str(c, taints[i].key);
        copy[i].value = copy_str(c, taints[i].value);
    }
    return copy;
}

static const struct mu_toleration *
copy_tolerations(struct copier *c, const struct mu_toleration *tolerations, uint32_t count)
{
    struct mu_toleration *copy = copy_array(c, tolerations, count, sizeof *copy);
    for (uint32_t i = 0; copy != NULL && i < count; i++) {
        copy[i].key = copy_str(c, tolerations[i].key);
        copy[i].value = copy_str(c, tolerations[i].value);
    }
    return copy;
}

/* --- placement rules ----------------------------------------------------------------------- */

static const struct mu_str *copy_strs(struct copier *c, const struct mu_str *from, uint32_t count)
{
    struct mu_str *copy = copy_array(c, from, count, sizeof *copy);
    for (uint32_t i = 0; copy != NULL && i < count; i++)
        copy[i] = copy_str(c, from[i]);
    return copy;
}

static struct mu_selector copy_selector(struct copier *c, const struct mu_selector *from)
{
    struct mu_selector selector = *from;
    struct mu_requirement *copy =
        copy_array(c, from->requirements, from->requirement_count, sizeof *copy);
    for (uint32_t i = 0; copy != NULL && i < from->requirement_count; i++) {
        copy[i].key = copy_str(c, copy[i].key);
        copy[i].values = copy_strs(c, copy[i].values, copy[i].value_count);
    }
    selector.requirements = copy;
    return selector;
}

static const struct mu_node_term *copy_node_terms(struct copier *c, const struct mu_node_term *from,
                                                  uint32_t count)
{
    struct mu_node_term *copy = copy_array(c, from, count, sizeof *copy);
    for (uint32_t i = 0; copy != NULL && i < count; i++) {
        copy[i].labels = copy_selector(c, &from[i].labels);
        copy[i].fields = copy_selector(c, &from[i].fields);
    }
    return copy;
}

static const struct mu_preferred_node *
copy_preferred(struct copier *c, const struct mu_preferred_node *from, uint32_t count)
{
    struct mu_preferred_node *copy = copy_array(c, from, count, sizeof *copy);
    for (uint32_t i = 0; copy != NULL && i < count; i++) {
        copy[i].term.labels = copy_selector(c, &from[i].term.labels);
        copy[i].term.fields = copy_selector(c, &from[i].term.fields);
    }
    return copy;
}

static const struct mu_pod_term *copy_terms(struct copier *c, const struct mu_pod_term *from,
                                            uint32_t count)
{
    struct mu_pod_term *copy = copy_array(c, from, count, sizeof *copy);
    for (uint32_t i = 0; copy != NULL && i < count; i++) {
        copy[i].topology_key = copy_str(c, from[i].topology_key);
        copy[i].selector = copy_selector(c, &from[i].selector);
        copy[i].namespaces = copy_strs(c, from[i].namespaces, from[i].namespace_count);
        if (from[i].namespace_selector == NULL)
            continue;
        struct mu_selector *selector =
            copy_array(c, from[i].namespace_selector, 1, sizeof *selector);
        if (selector != NULL)
            *selector = copy_selector(c, from[i].namespace_selector);
        copy[i].namespace_selector = selector;
    }
    return copy;
}

static const struct mu_spread *copy_spreads(struct copier *c, const struct mu_spread *from,
                                            uint32_t count)
{
    struct mu_spread *copy = copy_array(c, from, count, sizeof *copy);
    for (uint32_t i = 0; copy != NULL && i < count; i++) {
        copy[i].topology_key = copy_str(c, from[i].topology_key);
        copy[i].selector = copy_selector(c, &from[i].selector);
    }
    return copy;
}

static const struct mu_host_port *copy_ports(struct copier *c, const struct mu_host_port *from,
                                             uint32_t count)
{
    struct mu_host_port *copy = copy_array(c, from, count, sizeof *copy);
    for (uint32_t i = 0; copy != NULL && i < count; i++)
        copy[i].ip = copy_str(c, from[i].ip);
    return copy;
}

static const struct mu_image *copy_images(struct copier *c, const struct mu_image *from,
                                          uint32_t count)
{
    struct mu_image *copy = copy_array(c, from, count, sizeof *copy);
    for (uint32_t i = 0; copy != NULL && i < count; i++)
        copy[i].name = copy_str(c, from[i].name);
    return copy;
}

static void copy_placement(struct copier *c, const struct mu_pod_object *from,
                           struct mu_pod_object *to)
{
    to->labels = copy_labels(c, from->labels, from->label_count);
    to->node_terms = copy_node_terms(c, from->node_terms, from->node_term_count);
    to->preferred_nodes = copy_preferred(c, from->preferred_nodes, from->preferred_node_count);
    to->terms = copy_terms(c, from->terms, from->term_count);
    to->spreads = copy_spreads(c, from->spreads, from->spread_count);
    to->ports = copy_ports(c, from->ports, from->port_count);
    to->images = copy_images(c, from->images, from->image_count);
    to->nominated_node = copy_str(c, from->nominated_node);
}

/* --- objects ------------------------------------------------------------------------------- */

bool mu_copy_namespace(struct mu_arena *arena, const struct mu_namespace_object *from,
                       struct mu_namespace_object *to)
{
    struct copier c = {.arena = arena};
    struct mu_namespace_object copy = *from;
    copy.name = copy_str(&c, from->name);
    copy.uid = copy_str(&c, from->uid);
    copy.labels = copy_labels(&c, from->labels, from->label_count);
    if (!c.failed)
        *to = copy;
    return !c.failed;
}

bool mu_copy_node(struct mu_arena *arena, const struct mu_node_object *from,
                  struct mu_node_object *to)
{
    struct copier c = {.arena = arena};
    struct mu_node_object copy = *from;
    copy.name = copy_str(&c, from->name);
    copy.uid = copy_str(&c, from->uid);
    copy.labels = copy_labels(&c, from->labels, from->label_count);
    copy.taints = copy_taints(&c, from->taints, from->taint_count);
    copy.allocatable = copy_amounts(&c, from->allocatable, from->allocatable_count);
    copy.images = copy_images(&c, from->images, from->image_count);
    copy.device_resource = copy_str(&c, from->device_resource);
    if (!c.failed)
        *to = copy;
    return !c.failed;
}

bool mu_copy_pod(struct mu_arena *arena, const struct mu_pod_object *from, struct mu_pod_object *to)
{
    struct copier c = {.arena = arena};
    struct mu_pod_object copy = *from;
    copy.ns = copy_str(&c, from->ns);
    copy.name = copy_str(&c, from->name);
    copy.uid = copy_str(&c, from->uid);
    copy.scheduler_name = copy_str(&c, from->scheduler_name);
    copy.node_name = copy_str(&c, from->node_name);
    copy.requests = copy_amounts(&c, from->requests, from->request_count);
    copy.selector = copy_labels(&c, from->selector, from->selector_count);
    copy.tolerations = copy_tolerations(&c, from->tolerations, from->toleration_count);
    copy_placement(&c, from, &copy);
    copy.gang.name = copy_str(&c, from->gang.name);
    copy.gang.subgroup = copy_str(&c, from->gang.subgroup);
    if (!c.failed)
        *to = copy;
    return !c.failed;
}

bool mu_copy_labels(struct mu_arena *arena, const struct mu_label *from, uint32_t count,
                    const struct mu_label **to)
{
    struct copier c = {.arena = arena};
    const struct mu_label *copy = copy_labels(&c, from, count);
    if (!c.failed)
        *to = copy;
    return !c.failed;
}

bool mu_copy_strings(struct mu_arena *arena, const struct mu_str *from, uint32_t count,
                     const struct mu_str **to)
{
    struct copier c = {.arena = arena};
    const struct mu_str *copy = copy_strs(&c, from, count);
    if (!c.failed)
        *to = copy;
    return !c.failed;
}
