/*
 * Pods and nodes from hostile bytes: no crash, no unbounded memory, and what comes out keeps the
 * promises of engine/object.h. The same bytes are read as a pod, as a node and as a pod that the
 * binder reads back.
 *
 * covers: informer/codec_pod.c informer/codec_node.c informer/tally.c informer/dialect.c
 * covers: informer/decode.c
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
    MU_ASSERT(pod.gang.size <= MU_GANG_MEMBERS_MAX && pod.gang.name.len <= MU_NAME_BYTES_MAX);
    MU_ASSERT((pod.gang.source == MU_GANG_SOLO) == (pod.gang.name.len == 0));
    check_amounts(pod.requests, pod.request_count, 1);
    for (uint32_t i = 0; i < pod.request_count; i++)
        MU_ASSERT(pod.requests[i].value < MU_AMOUNT_MAX || (pod.unbuilt & MU_RULE_REQUEST) != 0);
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
    int rc = mu_pod_bound_decode(raw, arena, &bound, &error);
    if (rc != 0)
        check_refusal(rc, &error);
    else
        MU_ASSERT(bound.uid.len > 0);
    mu_arena_destroy(arena);
    return 0;
}
