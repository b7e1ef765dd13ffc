/* Tracked nodes and pods: records by slot, found by name, pods listed per node, sums per node. */
#include "tools/kubesim/kubelet_priv.h"

#include <stdio.h>
#include "engine/base/assert.h"
#include "engine/base/clock.h"
#include "engine/base/hash.h"
#include "engine/base/mem.h"
#include "tools/kubesim/limits.h"
#include "tools/kubesim/wire.h"
#include "tools/workload/encode.h"

#define RESOURCES_MAX 65536u /* distinct names; a bound on what hostile objects can add */

enum { META_ANNOTATIONS = 12 };

/* ---- resources ---------------------------------------------------------------------------- */

/* The number of a name. Few names exist: a scan is enough. */
static int intern(struct mu_kubelets *k, struct mu_str name, uint32_t *out)
{
    name.len = name.len < sizeof k->resources[0] ? name.len : sizeof k->resources[0] - 1;
    for (uint32_t i = 0; i < k->resource_count; i++) {
        if (mu_str_equal(mu_str_of(k->resources[i]), name)) {
            *out = i;
            return 0;
        }
    }
    int code = mu_mem_grow((void **)&k->resources, &k->resource_cap, k->resource_count + 1,
                           RESOURCES_MAX, sizeof k->resources[0]);
    if (code == 0) {
        (void)snprintf(k->resources[k->resource_count], sizeof k->resources[0], "%.*s",
                       MU_STR_ARGS(name));
        *out = k->resource_count++;
    }
    return code;
}

/* Translate amounts, leaving out `pods`, whose sum goes to *slots. */
static int translate(struct mu_kubelets *k, const struct mu_amount *from, uint32_t count,
                     struct mu_kubelet_amount **out, uint32_t *out_count, int64_t *slots)
{
    struct mu_kubelet_amount *to = mu_mem_calloc(count + 1, sizeof *to);
    uint32_t n = 0;
    for (uint32_t i = 0; to != NULL && i < count; i++) {
        if (mu_str_equal(from[i].resource, MU_STR("pods"))) {
            *slots = from[i].value;
            continue;
        }
        int code = intern(k, from[i].resource, &to[n].resource);
        if (code != 0) {
            mu_mem_free(to);
            return code;
        }
        to[n++].value = from[i].value;
    }
    *out = to;
    *out_count = n;
    return to == NULL ? MU_ENOMEM : 0;
}

/* ---- finding ------------------------------------------------------------------------------ */

struct pod_key {
    struct mu_str ns, name;
};

static uint64_t hash_pod(struct mu_str ns, struct mu_str name)
{
    return mu_hash_mix(mu_hash_str(ns, 1), mu_hash_str(name, 2));
}

static bool pod_equal(const void *context, uint32_t slot, const void *key)
{
    const struct mu_kubelets *k = context;
    const struct pod_key *want = key;
    const struct mu_kobject *object = k->pods[slot].object;
    return mu_str_equal(mu_kobject_name(object), want->name) &&
           mu_str_equal(mu_kobject_ns(object), want->ns);
}

static uint64_t pod_hash(const void *context, uint32_t slot)
{
    const struct mu_kubelets *k = context;
    const struct mu_kobject *object = k->pods[slot].object;
    return hash_pod(mu_kobject_ns(object), mu_kobject_name(object));
}

static bool node_equal(const void *context, uint32_t slot, const void *key)
{
    const struct mu_kubelets *k = context;
    const struct mu_str *want = key;
    return mu_str_equal(mu_str_of(k->nodes[slot].name), *want);
}

static uint64_t node_hash(const void *context, uint32_t slot)
{
    const struct mu_kubelets *k = context;
    return mu_hash_str(mu_str_of(k->nodes[slot].name), 3);
}

int mu_kubelet_tables_init(struct mu_kubelets *k)
{
    k->free_pod = k->free_node = MU_KUBELET_NONE;
    k->pod_index = mu_index_create(16, pod_equal, pod_hash, k);
    k->node_index = mu_index_create(16, node_equal, node_hash, k);
    return k->pod_index == NULL || k->node_index == NULL ? MU_ENOMEM : 0;
}

void mu_kubelet_tables_fini(struct mu_kubelets *k)
{
    for (uint32_t i = 0; i < k->pod_slots; i++) {
        mu_kobject_unref(k->pods[i].object);
        mu_mem_free(k->pods[i].amounts);
    }
    for (uint32_t i = 0; i < k->node_slots; i++) {
        mu_mem_free(k->nodes[i].room);
        mu_mem_free(k->nodes[i].used);
    }
    mu_mem_free(k->pods);
    mu_mem_free(k->nodes);
    mu_mem_free(k->resources);
    mu_index_destroy(k->pod_index);
    mu_index_destroy(k->node_index);
}

uint32_t mu_kubelet_find_node(const struct mu_kubelets *k, struct mu_str name)
{
    return mu_index_find(k->node_index, mu_hash_str(name, 3), &name);
}

uint32_t mu_kubelet_find_pod(const struct mu_kubelets *k, struct mu_str ns, struct mu_str name)
{
    struct pod_key key = {ns, name};
    return mu_index_find(k->pod_index, hash_pod(ns, name), &key);
}

/* ---- sums --------------------------------------------------------------------------------- */

static int64_t *used_of(struct mu_kubelet_node *node, uint32_t resource, int64_t *room)
{
    for (uint32_t i = 0; i < node->room_count; i++) {
        if (node->room[i].resource == resource) {
            *room = node->room[i].value;
            return &node->used[i];
        }
    }
    return NULL;
}

/* Add the pod's requests to its node, or take them off. Resources that the node lacks are not
 * counted: nothing can be admitted on them. */
static void charge(struct mu_kubelets *k, struct mu_kubelet_pod *pod, bool on)
{
    MU_ASSERT(pod->charged != on);
    struct mu_kubelet_node *node = &k->nodes[pod->node];
    int64_t room = 0;
    for (uint32_t i = 0; i < pod->amount_count; i++) {
        int64_t *used = used_of(node, pod->amounts[i].resource, &room);
        if (used != NULL) {
            *used += on ? pod->amounts[i].value : -pod->amounts[i].value;
        }
    }
    node->pod_count += on ? 1 : -1;
    pod->charged = on;
}

/* An extended resource. One that its node does not offer at all is not held against a pod: as real
 * kubelets have it, it is the cluster's, and whoever bound the pod has accounted for it. */
static bool is_extended(const char *resource)
{
    MU_ASSERT(resource != NULL);
    return strchr(resource, '/') != NULL && strstr(resource, "kubernetes.io/") == NULL;
}

bool mu_kubelet_admit(struct mu_kubelets *k, uint32_t slot, char *reason, size_t size)
{
    struct mu_kubelet_pod *pod = &k->pods[slot];
    struct mu_kubelet_node *node = &k->nodes[pod->node];
    const char *lacks =
        !k->config.admit_all && node->pod_count + 1 > node->pod_room ? "pods" : NULL;
    for (uint32_t i = 0; i < pod->amount_count && lacks == NULL && !k->config.admit_all; i++) {
        int64_t room = 0;
        const char *name = k->resources[pod->amounts[i].resource];
        const int64_t *used = used_of(node, pod->amounts[i].resource, &room);
        int64_t free = used == NULL ? 0 : room - *used;
        bool counts = used != NULL || !is_extended(name);
        if (counts && pod->amounts[i].value > 0 && pod->amounts[i].value > free) {
            lacks = name;
        }
    }
    if (lacks != NULL) {
        (void)snprintf(reason, size, "OutOf%s", lacks);
        return false;
    }
    charge(k, pod, true);
    return true;
}

/* ---- nodes -------------------------------------------------------------------------------- */

/* What the node can hold now; the pods on it are summed anew. */
static void set_room(struct mu_kubelets *k, struct mu_kubelet_node *node,
                     struct mu_kubelet_amount *room, uint32_t count, int64_t *used, int64_t slots)
{
    mu_mem_free(node->room);
    mu_mem_free(node->used);
    node->room = room;
    node->room_count = count;
    node->used = used;
    node->pod_room = slots;
    node->pod_count = 0;
    for (uint32_t at = node->pods; at != MU_KUBELET_NONE; at = k->pods[at].next) {
        if (k->pods[at].charged) {
            k->pods[at].charged = false;
            charge(k, &k->pods[at], true);
        }
    }
}

static int new_node(struct mu_kubelets *k, struct mu_str name, uint32_t *slot)
{
    if (k->free_node != MU_KUBELET_NONE) {
        *slot = k->free_node;
    } else {
        int code = mu_mem_grow((void **)&k->nodes, &k->node_cap, k->node_slots + 1, MU_NODES_MAX,
                               sizeof *k->nodes);
        if (code != 0) {
            return code;
        }
        *slot = k->node_slots;
        k->nodes[*slot] = (struct mu_kubelet_node){.next_free = MU_KUBELET_NONE};
    }
    struct mu_kubelet_node *node = &k->nodes[*slot];
    (void)snprintf(node->name, sizeof node->name, "%.*s", MU_STR_ARGS(name));
    int code = mu_index_insert(k->node_index, mu_hash_str(name, 3), *slot);
    if (code != 0) {
        return code; /* the slot stays where it was taken from */
    }
    if (*slot == k->node_slots) {
        k->node_slots++;
    } else {
        k->free_node = node->next_free;
    }
    node->pods = MU_KUBELET_NONE;
    node->live = true;
    node->down = node->evicted = false;
    k->stats.nodes++;
    return 0;
}

int mu_kubelet_set_node(struct mu_kubelets *k, const struct mu_kobject *object, uint32_t *slot)
{
    struct mu_node_object decoded;
    struct mu_error warn, error;
    mu_arena_reset(k->arena);
    int code = mu_node_decode(mu_kobject_raw(object), k->arena, &decoded, &warn, &error);
    if (code == MU_ENOMEM) {
        return code;
    }
    if (code != 0) {
        decoded = (struct mu_node_object){.allocatable_count = 0}; /* unreadable: no room */
    }
    struct mu_kubelet_amount *room = NULL;
    uint32_t count = 0;
    int64_t slots = 0;
    code = translate(k, decoded.allocatable, decoded.allocatable_count, &room, &count, &slots);
    if (code != 0) {
        return code;
    }
    int64_t *used = mu_mem_calloc((size_t)count + 1, sizeof *used);
    *slot = mu_kubelet_find_node(k, mu_kobject_name(object));
    code = used == NULL ? MU_ENOMEM : 0;
    if (code == 0 && *slot == MU_KUBELET_NONE) {
        code = new_node(k, mu_kobject_name(object), slot);
    }
    if (code != 0) {
        mu_mem_free(room);
        mu_mem_free(used);
        return code;
    }
    set_room(k, &k->nodes[*slot], room, count, used, slots);
    return 0;
}

static void unlink_pod(struct mu_kubelets *k, uint32_t slot)
{
    struct mu_kubelet_pod *pod = &k->pods[slot];
    if (pod->node == MU_KUBELET_NONE) {
        return;
    }
    if (pod->charged) {
        charge(k, pod, false);
    }
    if (pod->prev != MU_KUBELET_NONE) {
        k->pods[pod->prev].next = pod->next;
    } else {
        k->nodes[pod->node].pods = pod->next;
    }
    if (pod->next != MU_KUBELET_NONE) {
        k->pods[pod->next].prev = pod->prev;
    }
    pod->node = pod->next = pod->prev = MU_KUBELET_NONE;
}

void mu_kubelet_link_pod(struct mu_kubelets *k, uint32_t slot, uint32_t node)
{
    struct mu_kubelet_pod *pod = &k->pods[slot];
    MU_ASSERT(pod->node == MU_KUBELET_NONE && !pod->charged);
    pod->node = node;
    pod->prev = MU_KUBELET_NONE;
    pod->next = k->nodes[node].pods;
    if (pod->next != MU_KUBELET_NONE) {
        k->pods[pod->next].prev = slot;
    }
    k->nodes[node].pods = slot;
}

void mu_kubelet_drop_node(struct mu_kubelets *k, uint32_t slot)
{
    struct mu_kubelet_node *node = &k->nodes[slot];
    while (node->pods != MU_KUBELET_NONE) {
        unlink_pod(k, node->pods);
    }
    mu_index_remove(k->node_index, mu_hash_str(mu_str_of(node->name), 3), slot);
    node->live = false;
    node->generation++;
    node->next_free = k->free_node;
    k->free_node = slot;
    k->stats.nodes--;
}

/* ---- pods --------------------------------------------------------------------------------- */

static uint64_t duration_of(const struct mu_kobject *object)
{
    struct mu_str text = {NULL, 0};
    uint64_t ms = 0;
    struct mu_str meta = mu_pb_bytes(mu_kobject_raw(object), 1, 0);
    bool found = mu_pb_map_get(meta, META_ANNOTATIONS, MU_STR(MU_DURATION_ANNOTATION), &text);
    if (!found || !mu_str_to_u64(text, &ms) || ms > UINT64_MAX / 2 / MU_NS_PER_MS) {
        return 0;
    }
    return ms == 0 ? 1 : ms * MU_NS_PER_MS;
}

static int take_pod_slot(struct mu_kubelets *k, uint32_t *slot)
{
    if (k->free_pod != MU_KUBELET_NONE) {
        *slot = k->free_pod;
        return 0;
    }
    int code =
        mu_mem_grow((void **)&k->pods, &k->pod_cap, k->pod_slots + 1, MU_PODS_MAX, sizeof *k->pods);
    if (code == 0) {
        *slot = k->pod_slots;
        k->pods[*slot] = (struct mu_kubelet_pod){.next = MU_KUBELET_NONE};
    }
    return code;
}

int mu_kubelet_add_pod(struct mu_kubelets *k, struct mu_kobject *object, uint32_t *slot)
{
    struct mu_pod_object decoded;
    struct mu_error warn, error;
    mu_arena_reset(k->arena);
    int code = mu_pod_decode(mu_kobject_raw(object), k->arena, &decoded, &warn, &error);
    if (code == MU_ENOMEM) {
        return code;
    }
    if (code != 0) {
        decoded = (struct mu_pod_object){.request_count = 0};
    }
    struct mu_kubelet_amount *amounts = NULL;
    uint32_t count = 0;
    int64_t slots = 0;
    code = translate(k, decoded.requests, decoded.request_count, &amounts, &count, &slots);
    if (code == 0) {
        code = take_pod_slot(k, slot);
    }
    if (code != 0) {
        mu_mem_free(amounts);
        return code;
    }
    struct mu_kubelet_pod *pod = &k->pods[*slot];
    uint32_t next_free = pod->next;
    uint32_t generation = pod->generation;
    pod->object = object; /* the index reads its key there */
    uint64_t hash = hash_pod(mu_kobject_ns(object), mu_kobject_name(object));
    code = mu_index_insert(k->pod_index, hash, *slot);
    if (code != 0) {
        pod->object = NULL;
        mu_mem_free(amounts);
        return code;
    }
    if (*slot == k->pod_slots) {
        k->pod_slots++;
    } else {
        k->free_pod = next_free;
    }
    *pod = (struct mu_kubelet_pod){.object = mu_kobject_ref(object),
                                   .amounts = amounts,
                                   .amount_count = count,
                                   .node = MU_KUBELET_NONE,
                                   .next = MU_KUBELET_NONE,
                                   .prev = MU_KUBELET_NONE,
                                   .generation = generation,
                                   .due_ns = UINT64_MAX,
                                   .duration_ns = duration_of(object)};
    k->stats.pods++;
    return 0;
}

void mu_kubelet_drop_pod(struct mu_kubelets *k, uint32_t slot)
{
    struct mu_kubelet_pod *pod = &k->pods[slot];
    unlink_pod(k, slot);
    mu_index_remove(k->pod_index,
                    hash_pod(mu_kobject_ns(pod->object), mu_kobject_name(pod->object)), slot);
    mu_kobject_unref(pod->object);
    mu_mem_free(pod->amounts);
    pod->object = NULL;
    pod->amounts = NULL;
    pod->generation++;
    pod->next = k->free_pod;
    k->free_pod = slot;
    k->stats.pods--;
}
