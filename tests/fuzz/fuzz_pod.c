/*
 * Pods, nodes and namespaces from hostile bytes: no crash, no unbounded memory, and what comes out
 * keeps the promises of engine/object.h. The same bytes are read as each of the three, and as a pod
 * that the binder reads back.
 *
 * covers: informer/codec_pod.c informer/codec_node.c informer/tally.c informer/dialect.c
 * covers: informer/codec_placement.c informer/codec_selector.c informer/codec_device.c
 * covers: informer/codec_namespace.c informer/decode.c informer/names.c
 */
#include <stddef.h>
#include <stdint.h>

#include "engine/base/arena.h"
#include "engine/base/assert.h"
#include "engine/resource.h"
#include "informer/codec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_refusal(int rc, const struct mu_error *error)
{
    MU_ASSERT(rc == MU_EPROTO || rc == MU_ELIMIT || rc == MU_ENOMEM);
    MU_ASSERT(rc == error->code && error->text[0] != '\0');
}

static void check_amounts(const struct mu_amount *amounts, uint32_t count, int64_t least)
{
    MU_ASSERT(count <= MU_RESOURCES_MAX);
    for (uint32_t i = 0; i < count; i++) {
        MU_ASSERT(amounts[i].value >= least && amounts[i].resource.len > 0);
        for (uint32_t k = 0; k < i; k++)
            MU_ASSERT(!mu_str_equal(amounts[i].resource, amounts[k].resource));
    }
}

/* What one pod's selectors hold together. */
struct load {
    size_t requirements, values;
};

static void check_selector(const struct mu_selector *selector, bool fields, struct load *load)
{
    MU_ASSERT(!selector->nothing || selector->requirement_count == 0);
    load->requirements += selector->requirement_count;
    for (uint32_t i = 0; i < selector->requirement_count; i++) {
        const struct mu_requirement *item = &selector->requirements[i];
        uint32_t count = item->value_count;
        int64_t number;
        load->values += count;
        switch (item->op) {
        case MU_OP_IN:
        case MU_OP_NOT_IN:
            MU_ASSERT(fields ? count == 1 : count >= 1);
            break;
        case MU_OP_EXISTS:
        case MU_OP_DOES_NOT_EXIST:
        case MU_OP_NEVER:
            MU_ASSERT(count == 0 && (!fields || item->op == MU_OP_NEVER));
            break;
        case MU_OP_GT:
        case MU_OP_LT:
            MU_ASSERT(count == 1 && !fields && mu_str_to_i64(item->values[0], &number));
            break;
        }
        for (uint32_t v = 0; v < count; v++)
            MU_ASSERT(item->values[v].len == 0 || item->values[v].data != NULL);
    }
}

static void check_node_term(const struct mu_node_term *term, struct load *load)
{
    check_selector(&term->labels, false, load);
    check_selector(&term->fields, true, load);
}

static void check_terms(const struct mu_pod_object *pod, struct load *load)
{
    for (uint32_t i = 0; i < pod->term_count; i++) {
        const struct mu_pod_term *term = &pod->terms[i];
        bool preferred = term->kind == MU_TERM_PREFERRED || term->kind == MU_TERM_PREFERRED_ANTI;
        MU_ASSERT(preferred ? term->weight >= 1 && term->weight <= 100 : term->weight == 0);
        MU_ASSERT(term->topology_key.len > 0 || (pod->unbuilt & MU_RULE_UNREADABLE) != 0);
        check_selector(&term->selector, false, load);
        if (term->namespace_selector != NULL)
            check_selector(term->namespace_selector, false, load);
        else
            MU_ASSERT(term->namespace_count > 0);
        bool own = term->namespace_count == 1 && mu_str_equal(term->namespaces[0], pod->ns);
        load->values += own ? 0 : term->namespace_count;
    }
    for (uint32_t i = 0; i < pod->spread_count; i++) {
        MU_ASSERT(pod->spreads[i].max_skew >= 1 && pod->spreads[i].min_domains >= 1);
        check_selector(&pod->spreads[i].selector, false, load);
    }
}

static void check_placement(const struct mu_pod_object *pod)
{
    struct load load = {.values = 0};
    MU_ASSERT(pod->label_count <= MU_LABELS_PER_OBJECT);
    MU_ASSERT(pod->node_term_count <= MU_SELECTOR_TERMS_MAX);
    MU_ASSERT(pod->has_node_terms || pod->node_term_count == 0);
    MU_ASSERT(pod->preferred_node_count <= MU_SELECTOR_TERMS_MAX);
    MU_ASSERT(pod->term_count <= MU_SELECTOR_TERMS_MAX);
    MU_ASSERT(pod->spread_count <= MU_SELECTOR_TERMS_MAX);
    MU_ASSERT(pod->port_count <= MU_PORTS_PER_POD && pod->image_count <= MU_IMAGES_PER_POD);
    for (uint32_t i = 0; i < pod->node_term_count; i++)
        check_node_term(&pod->node_terms[i], &load);
    for (uint32_t i = 0; i < pod->preferred_node_count; i++) {
        MU_ASSERT(pod->preferred_nodes[i].weight >= 1 && pod->preferred_nodes[i].weight <= 100);
        check_node_term(&pod->preferred_nodes[i].term, &load);
    }
    check_terms(pod, &load);
    MU_ASSERT(load.requirements <= MU_REQUIREMENTS_MAX && load.values <= MU_VALUES_MAX);
    for (uint32_t i = 0; i < pod->port_count; i++)
        MU_ASSERT(pod->ports[i].port > 0 && pod->ports[i].ip.len > 0);
    for (uint32_t i = 0; i < pod->image_count; i++)
        MU_ASSERT(pod->images[i].name.len > 0);
    MU_ASSERT(pod->nominated_node.len == 0 || pod->node_name.len == 0);
    MU_ASSERT(pod->devices == 0 || pod->node_name.len > 0);
    MU_ASSERT(pod->devices < UINT64_C(1) << MU_DEVICES_PER_NODE);
}

static void check_gang(const struct mu_pod_object *pod)
{
    const struct mu_gang_ref *gang = &pod->gang;
    MU_ASSERT(gang->source < MU_GANG_SOURCES);
    MU_ASSERT((gang->source == MU_GANG_SOLO) == (gang->name.len == 0));
    MU_ASSERT(gang->name.len <= MU_GANG_NAME_BYTES_MAX && gang->size <= MU_GANG_MEMBERS_MAX);
    MU_ASSERT(gang->subgroup.len <= MU_NAME_BYTES_MAX);
    MU_ASSERT(gang->subgroup_min <= MU_GANG_MEMBERS_MAX);
    MU_ASSERT(gang->subgroup_count <= MU_SUBGROUPS_MAX);
    for (uint32_t i = 0; i < gang->subgroup_count; i++) {
        MU_ASSERT(gang->subgroups[i].name.len > 0);
        MU_ASSERT(gang->subgroups[i].name.len <= MU_NAME_BYTES_MAX);
        MU_ASSERT(gang->subgroups[i].min <= MU_GANG_MEMBERS_MAX);
        bool twice = i > 0 && mu_str_equal(gang->subgroups[i - 1].name, gang->subgroups[i].name);
        MU_ASSERT(!twice || (pod->unbuilt & MU_RULE_GANG_SPEC) != 0);
    }
}

static void try_pod(struct mu_str raw, struct mu_arena *arena)
{
    struct mu_pod_object pod;
    struct mu_error warn;
    struct mu_error error = {.code = 0};
    int rc = mu_pod_decode(raw, arena, &pod, &warn, &error);
    if (rc != 0) {
        check_refusal(rc, &error);
        return;
    }
    MU_ASSERT(pod.name.len > 0 && pod.name.len <= MU_NAME_BYTES_MAX);
    MU_ASSERT(pod.uid.len > 0 && pod.uid.len <= MU_UID_BYTES_MAX);
    MU_ASSERT(pod.ns.len > 0 && pod.node_name.len <= MU_NAME_BYTES_MAX);
    MU_ASSERT(pod.selector_count <= MU_LABELS_PER_OBJECT);
    MU_ASSERT(pod.toleration_count <= MU_TOLERATIONS_PER_POD);
    check_gang(&pod);
    check_amounts(pod.requests, pod.request_count, 1);
    for (uint32_t i = 0; i < pod.request_count; i++)
        MU_ASSERT(pod.requests[i].value < MU_AMOUNT_MAX || (pod.unbuilt & MU_RULE_REQUEST) != 0);
    check_placement(&pod);
}

static void try_node(struct mu_str raw, struct mu_arena *arena)
{
    struct mu_node_object node;
    struct mu_error warn;
    struct mu_error error = {.code = 0};
    int rc = mu_node_decode(raw, arena, &node, &warn, &error);
    if (rc != 0) {
        check_refusal(rc, &error);
        return;
    }
    MU_ASSERT(node.name.len > 0 && node.uid.len > 0);
    MU_ASSERT(node.label_count <= MU_LABELS_PER_OBJECT && node.taint_count <= MU_TAINTS_PER_NODE);
    check_amounts(node.allocatable, node.allocatable_count, 0);
    for (uint32_t i = 0; i < node.allocatable_count; i++)
        MU_ASSERT(node.allocatable[i].value < MU_AMOUNT_MAX);
    MU_ASSERT(node.image_count <= MU_IMAGES_PER_NODE && node.device_count <= MU_DEVICES_PER_NODE);
    for (uint32_t i = 0; i < node.image_count; i++)
        MU_ASSERT(node.images[i].name.len > 0 && node.images[i].bytes >= 0 &&
                  node.images[i].bytes <= MU_IMAGE_BYTES_MAX);
    MU_ASSERT((node.device_count > 0) == (node.device_resource.len > 0));
    MU_ASSERT(!node.devices_whole || node.device_count > 0);
}

static void try_namespace(struct mu_str raw, struct mu_arena *arena)
{
    struct mu_namespace_object ns;
    struct mu_error warn;
    struct mu_error error = {.code = 0};
    int rc = mu_namespace_decode(raw, arena, &ns, &warn, &error);
    if (rc != 0)
        check_refusal(rc, &error);
    else
        MU_ASSERT(ns.name.len > 0 && ns.uid.len > 0 && ns.label_count <= MU_LABELS_PER_OBJECT);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t arena_bytes = MU_DECODE_BYTES_MAX;
    if (size > 1 << 20)
        return 0;
    if (size > 2 && data[0] == '!') { /* little memory: so many pieces of 64 bytes */
        arena_bytes = ((size_t)data[1] + 1) * 64;
        data += 2;
        size -= 2;
    }
    struct mu_str raw = {(const char *)data, (uint32_t)size};
    struct mu_arena *arena = mu_arena_create(arena_bytes);
    struct mu_pod_bound bound;
    struct mu_error error = {.code = 0};
    MU_ASSERT(arena != NULL);
    try_pod(raw, arena);
    mu_arena_reset(arena);
    try_node(raw, arena);
    mu_arena_reset(arena);
    try_namespace(raw, arena);
    mu_arena_reset(arena);
    int rc = mu_pod_bound_decode(raw, arena, &bound, &error);
    if (rc != 0)
        check_refusal(rc, &error);
    else
        MU_ASSERT(bound.uid.len > 0);
    mu_arena_destroy(arena);
    return 0;
}
