#include "tools/workload/encode.h"

#include <inttypes.h>
#include <stdio.h>
#include "engine/base/assert.h"
#include "engine/base/clock.h"
#include "informer/codec.h"
#include "informer/dialect.h"
#include "informer/proto/scheduling.pb-c.h"
#include "tools/workload/encode_priv.h"

void *mu_encode_alloc(struct mu_encoding *e, size_t count, size_t size)
{
    void *block = count == 0 ? NULL : mu_arena_calloc(e->arena, count, size);
    e->failed = e->failed || (count != 0 && block == NULL);
    return block;
}

char *mu_encode_text(struct mu_encoding *e, struct mu_str s)
{
    char *text = mu_encode_alloc(e, (size_t)s.len + 1, 1);
    if (text != NULL && s.len > 0)
        memcpy(text, s.data, s.len);
    return text;
}

static Kube__StringEntry *string_entry(struct mu_encoding *e, struct mu_str key,
                                       struct mu_str value)
{
    Kube__StringEntry *entry = mu_encode_alloc(e, 1, sizeof *entry);
    if (entry == NULL)
        return NULL;
    kube__string_entry__init(entry);
    entry->key = mu_encode_text(e, key);
    entry->value = mu_encode_text(e, value);
    return entry;
}

Kube__StringEntry **mu_encode_pairs(struct mu_encoding *e, const struct mu_label *labels,
                                    uint32_t count)
{
    Kube__StringEntry **entries = mu_encode_alloc(e, count, sizeof *entries);
    for (uint32_t i = 0; entries != NULL && i < count; i++)
        entries[i] = string_entry(e, labels[i].key, labels[i].value);
    return entries;
}

/* cpu in cores or millicores, bytes in the largest unit that divides them, everything else as a
 * plain number: people read these in kubectl. */
static char *quantity_text(struct mu_encoding *e, const struct mu_amount *amount)
{
    static const char *const units[] = {"", "Ki", "Mi", "Gi"};
    bool bytes = mu_str_equal(amount->resource, MU_STR("memory")) ||
                 mu_str_equal(amount->resource, MU_STR("ephemeral-storage"));
    int64_t value = amount->value;
    size_t unit = 0;
    char *text = mu_encode_alloc(e, 1, 32);
    if (text == NULL)
        return NULL;
    for (; bytes && unit < 3 && value != 0 && value % 1024 == 0; unit++)
        value /= 1024;
    if (!mu_str_equal(amount->resource, MU_STR("cpu")))
        (void)snprintf(text, 32, "%" PRId64 "%s", value, units[unit]);
    else if (amount->value % 1000 == 0)
        (void)snprintf(text, 32, "%" PRId64, amount->value / 1000);
    else
        (void)snprintf(text, 32, "%" PRId64 "m", amount->value);
    return text;
}

static Kube__QuantityEntry **quantity_entries(struct mu_encoding *e,
                                              const struct mu_amount *amounts, uint32_t count)
{
    Kube__QuantityEntry **entries = mu_encode_alloc(e, count, sizeof *entries);
    for (uint32_t i = 0; entries != NULL && i < count; i++) {
        Kube__QuantityEntry *entry = mu_encode_alloc(e, 1, sizeof *entry);
        Kube__Quantity *quantity = mu_encode_alloc(e, 1, sizeof *quantity);
        if (entry == NULL || quantity == NULL)
            return NULL;
        kube__quantity_entry__init(entry);
        kube__quantity__init(quantity);
        quantity->string = quantity_text(e, &amounts[i]);
        entry->key = mu_encode_text(e, amounts[i].resource);
        entry->value = quantity;
        entries[i] = entry;
    }
    return entries;
}

static char *effect_text(struct mu_encoding *e, enum mu_taint_effect effect)
{
    switch (effect) {
    case MU_EFFECT_NO_SCHEDULE:
        return mu_encode_text(e, MU_STR("NoSchedule"));
    case MU_EFFECT_PREFER_NO_SCHEDULE:
        return mu_encode_text(e, MU_STR("PreferNoSchedule"));
    case MU_EFFECT_NO_EXECUTE:
        return mu_encode_text(e, MU_STR("NoExecute"));
    case MU_EFFECT_ANY:
    case MU_EFFECT_OTHER:
        break;
    }
    return NULL; /* absent: a toleration of every effect */
}

static Kube__Taint **taints_of(struct mu_encoding *e, const struct mu_node_object *node)
{
    Kube__Taint **taints = mu_encode_alloc(e, node->taint_count, sizeof *taints);
    for (uint32_t i = 0; taints != NULL && i < node->taint_count; i++) {
        taints[i] = mu_encode_alloc(e, 1, sizeof **taints);
        if (taints[i] == NULL)
            return NULL;
        kube__taint__init(taints[i]);
        taints[i]->key = mu_encode_text(e, node->taints[i].key);
        taints[i]->value = mu_encode_text(e, node->taints[i].value);
        taints[i]->effect = effect_text(e, node->taints[i].effect);
    }
    return taints;
}

static Kube__Toleration **tolerations_of(struct mu_encoding *e, const struct mu_pod_object *pod)
{
    Kube__Toleration **tolerations = mu_encode_alloc(e, pod->toleration_count, sizeof *tolerations);
    for (uint32_t i = 0; tolerations != NULL && i < pod->toleration_count; i++) {
        const struct mu_toleration *from = &pod->tolerations[i];
        Kube__Toleration *to = mu_encode_alloc(e, 1, sizeof *to);
        if (to == NULL)
            return NULL;
        kube__toleration__init(to);
        bool exists = from->op == MU_TOLERATE_EXISTS;
        to->key = mu_encode_text(e, from->key);
        to->operator_ = mu_encode_text(e, exists ? MU_STR("Exists") : MU_STR("Equal"));
        to->value = exists ? NULL : mu_encode_text(e, from->value);
        to->effect = effect_text(e, from->effect);
        tolerations[i] = to;
    }
    return tolerations;
}

static int finish(struct mu_encoding *e, const ProtobufCMessage *message, struct mu_str api_version,
                  struct mu_str kind, struct mu_buf *out)
{
    if (e->failed)
        return MU_ENOMEM;
    size_t size = protobuf_c_message_get_packed_size(message);
    uint8_t *raw = mu_arena_alloc(e->arena, size + 1);
    if (raw == NULL)
        return MU_ENOMEM;
    MU_ASSERT(protobuf_c_message_pack(message, raw) == size);
    return mu_envelope_wrap(out, api_version, kind,
                            (struct mu_str){(const char *)raw, (uint32_t)size});
}

static Kube__ContainerImage **images_of(struct mu_encoding *e, const struct mu_node_object *node)
{
    Kube__ContainerImage **images = mu_encode_alloc(e, node->image_count, sizeof *images);
    for (uint32_t i = 0; images != NULL && i < node->image_count; i++) {
        char **name = mu_encode_alloc(e, 1, sizeof *name);
        images[i] = mu_encode_alloc(e, 1, sizeof **images);
        if (name == NULL || images[i] == NULL)
            return NULL;
        kube__container_image__init(images[i]);
        *name = mu_encode_text(e, node->images[i].name);
        images[i]->names = name;
        images[i]->n_names = 1;
        images[i]->has_sizebytes = true;
        images[i]->sizebytes = node->images[i].bytes;
    }
    return images;
}

int mu_workload_encode_node(const struct mu_node_object *node, struct mu_arena *scratch,
                            struct mu_buf *out)
{
    mu_arena_reset(scratch);
    struct mu_encoding e = {.arena = scratch};
    Kube__ObjectMeta metadata = KUBE__OBJECT_META__INIT;
    metadata.name = mu_encode_text(&e, node->name);
    metadata.labels = mu_encode_pairs(&e, node->labels, node->label_count);
    metadata.n_labels = node->label_count;
    Kube__NodeSpec spec = KUBE__NODE_SPEC__INIT;
    spec.taints = taints_of(&e, node);
    spec.n_taints = node->taint_count;
    spec.has_unschedulable = node->unschedulable;
    spec.unschedulable = node->unschedulable;
    Kube__NodeCondition ready = KUBE__NODE_CONDITION__INIT;
    ready.type = mu_encode_text(&e, MU_STR("Ready"));
    ready.status = mu_encode_text(&e, MU_STR("True"));
    Kube__NodeCondition *conditions[] = {&ready};
    Kube__NodeStatus status = KUBE__NODE_STATUS__INIT;
    status.allocatable = quantity_entries(&e, node->allocatable, node->allocatable_count);
    status.n_allocatable = node->allocatable_count;
    status.capacity = status.allocatable;
    status.n_capacity = node->allocatable_count;
    status.conditions = conditions;
    status.n_conditions = 1;
    status.images = images_of(&e, node);
    status.n_images = node->image_count;
    Kube__Node message = KUBE__NODE__INIT;
    message.metadata = &metadata;
    message.spec = &spec;
    message.status = &status;
    return finish(&e, &message.base, MU_STR("v1"), MU_STR("Node"), out);
}

int mu_workload_encode_namespace(const struct mu_namespace_object *ns, struct mu_arena *scratch,
                                 struct mu_buf *out)
{
    mu_arena_reset(scratch);
    struct mu_encoding e = {.arena = scratch};
    Kube__ObjectMeta metadata = KUBE__OBJECT_META__INIT;
    metadata.name = mu_encode_text(&e, ns->name);
    metadata.labels = mu_encode_pairs(&e, ns->labels, ns->label_count);
    metadata.n_labels = ns->label_count;
    Kube__Namespace message = KUBE__NAMESPACE__INIT;
    message.metadata = &metadata;
    return finish(&e, &message.base, MU_STR("v1"), MU_STR("Namespace"), out);
}

/* Object names have no sign: "priority-100", "priority-minus-100-never". */
static char *class_name(struct mu_encoding *e, int32_t priority, bool never)
{
    char *name = mu_encode_alloc(e, 1, 32);
    if (name != NULL)
        (void)snprintf(name, 32, "priority-%s%" PRId64 "%s", priority < 0 ? "minus-" : "",
                       priority < 0 ? -(int64_t)priority : priority, never ? "-never" : "");
    return name;
}

int mu_workload_encode_priority_class(int32_t priority, bool never, struct mu_arena *scratch,
                                      struct mu_buf *out)
{
    mu_arena_reset(scratch);
    struct mu_encoding e = {.arena = scratch};
    Kube__ObjectMeta metadata = KUBE__OBJECT_META__INIT;
    metadata.name = class_name(&e, priority, never);
    Kube__PriorityClass message = KUBE__PRIORITY_CLASS__INIT;
    message.metadata = &metadata;
    message.has_value = 1;
    message.value = priority;
    message.preemptionpolicy = never ? mu_encode_text(&e, MU_STR("Never")) : NULL;
    return finish(&e, &message.base, MU_STR("scheduling.k8s.io/v1"), MU_STR("PriorityClass"), out);
}

#define ANNOTATIONS_MAX (4 + MU_WORKLOAD_ANNOTATIONS_MAX)
#define DURATION_BYTES  24

/* "0,3" */
static struct mu_str devices_text(struct mu_encoding *e, uint64_t devices)
{
    enum { BYTES = 4 * 64 };
    char *text = mu_encode_alloc(e, 1, BYTES);
    int len = 0;
    for (unsigned i = 0; text != NULL && i < 64; i++) {
        if ((devices >> i & 1) != 0)
            len += snprintf(text + len, (size_t)(BYTES - len), "%s%u", len > 0 ? "," : "", i);
    }
    return (struct mu_str){text, (uint32_t)len};
}

static void fill_annotations(struct mu_encoding *e, const struct mu_workload_pod *pod,
                             bool durations, Kube__StringEntry **annotations,
                             Kube__ObjectMeta *metadata)
{
    const struct mu_gang_ref *gang = &pod->object.gang;
    size_t count = 0;
    char number[DURATION_BYTES];
    if (gang->source == MU_GANG_PLAIN)
        annotations[count++] = string_entry(e, MU_STR("pod-group"), gang->name);
    if (gang->source == MU_GANG_MUSTER)
        annotations[count++] = string_entry(e, MU_STR(MU_GANG_ANNOTATION), gang->name);
    if (gang->source == MU_GANG_MUSTER && gang->size > 0) {
        (void)snprintf(number, sizeof number, "%" PRIu32, gang->size);
        annotations[count++] = string_entry(e, MU_STR(MU_GANG_SIZE_ANNOTATION), mu_str_of(number));
    }
    if (durations && pod->duration_ns > 0) {
        uint64_t ms = pod->duration_ns / MU_NS_PER_MS;
        (void)snprintf(number, sizeof number, "%" PRIu64, ms > 0 ? ms : 1);
        annotations[count++] = string_entry(e, MU_STR(MU_DURATION_ANNOTATION), mu_str_of(number));
    }
    if (pod->object.devices != 0)
        annotations[count++] =
            string_entry(e, MU_STR(MU_DEVICE_ANNOTATION), devices_text(e, pod->object.devices));
    for (uint32_t i = 0; i < pod->annotation_count; i++)
        annotations[count++] = string_entry(e, pod->annotations[i].key, pod->annotations[i].value);
    MU_ASSERT(count <= ANNOTATIONS_MAX);
    metadata->annotations = annotations;
    metadata->n_annotations = count;
}

/* Who would make the pod again. Nobody looks the owner up. */
static void fill_owner(struct mu_encoding *e, const struct mu_pod_object *object,
                       Kube__OwnerReference *owner, Kube__OwnerReference **owners,
                       Kube__ObjectMeta *metadata)
{
    if (!object->controlled)
        return;
    owner->apiversion = mu_encode_text(e, MU_STR("batch/v1"));
    owner->kind = mu_encode_text(e, MU_STR("Job"));
    owner->name = mu_encode_text(e, MU_STR("owner"));
    owner->uid = mu_encode_text(e, MU_STR("00000000-0000-4000-8000-000000000001"));
    owner->has_controller = owner->controller = true;
    owners[0] = owner;
    metadata->ownerreferences = owners;
    metadata->n_ownerreferences = 1;
}

/* The first container asks for everything; further ones only have an image. */
static void fill_containers(struct mu_encoding *e, const struct mu_pod_object *object,
                            Kube__PodSpec *spec)
{
    uint32_t count = object->image_count > 0 ? object->image_count : 1;
    Kube__Container **containers = mu_encode_alloc(e, count, sizeof *containers);
    for (uint32_t i = 0; containers != NULL && i < count; i++) {
        Kube__Container *c = containers[i] = mu_encode_alloc(e, 1, sizeof *c);
        char name[16] = "main";
        if (c == NULL)
            return;
        kube__container__init(c);
        if (i > 0)
            (void)snprintf(name, sizeof name, "main-%" PRIu32, i);
        c->name = mu_encode_text(e, mu_str_of(name));
        c->image =
            mu_encode_text(e, object->image_count > 0 ? object->images[i].name : MU_STR("pause"));
    }
    spec->containers = containers;
    spec->n_containers = count;
    Kube__ResourceRequirements *resources = mu_encode_alloc(e, 1, sizeof *resources);
    if (e->failed)
        return;
    kube__resource_requirements__init(resources);
    resources->requests = quantity_entries(e, object->requests, object->request_count);
    resources->n_requests = object->request_count;
    containers[0]->resources = resources;
    mu_encode_ports(e, object, containers[0]);
}

int mu_workload_encode_pod(const struct mu_workload_pod *pod, struct mu_str scheduler_name,
                           bool durations, struct mu_arena *scratch, struct mu_buf *out)
{
    const struct mu_pod_object *object = &pod->object;
    mu_arena_reset(scratch);
    struct mu_encoding e = {.arena = scratch};
    Kube__StringEntry *annotations[ANNOTATIONS_MAX];
    Kube__ObjectMeta metadata = KUBE__OBJECT_META__INIT;
    metadata.name = mu_encode_text(&e, object->name);
    metadata.namespace_ = mu_encode_text(&e, object->ns);
    metadata.labels = mu_encode_pairs(&e, object->labels, object->label_count);
    metadata.n_labels = object->label_count;
    fill_annotations(&e, pod, durations, annotations, &metadata);
    Kube__OwnerReference owner = KUBE__OWNER_REFERENCE__INIT;
    Kube__OwnerReference *owners[1];
    fill_owner(&e, object, &owner, owners, &metadata);
    Kube__PodSpec spec = KUBE__POD_SPEC__INIT;
    fill_containers(&e, object, &spec);
    spec.restartpolicy = mu_encode_text(&e, MU_STR("Never"));
    spec.schedulername = mu_encode_text(&e, scheduler_name);
    spec.nodename = object->node_name.len > 0 ? mu_encode_text(&e, object->node_name) : NULL;
    if (object->priority != 0 || object->never_preempts)
        spec.priorityclassname = class_name(&e, object->priority, object->never_preempts);
    spec.has_terminationgraceperiodseconds = pod->grace_s > 0;
    spec.terminationgraceperiodseconds = pod->grace_s;
    spec.nodeselector = mu_encode_pairs(&e, object->selector, object->selector_count);
    spec.n_nodeselector = object->selector_count;
    spec.tolerations = tolerations_of(&e, object);
    spec.n_tolerations = object->toleration_count;
    spec.affinity = mu_encode_affinity(&e, pod);
    spec.topologyspreadconstraints = mu_encode_spreads(&e, object);
    spec.n_topologyspreadconstraints = object->spread_count;
    Kube__PodSchedulingGate gate = KUBE__POD_SCHEDULING_GATE__INIT;
    Kube__PodSchedulingGate *gates[] = {&gate};
    gate.name = mu_encode_text(&e, MU_STR("muster.dev/hold"));
    spec.schedulinggates = gates;
    spec.n_schedulinggates = object->gated ? 1 : 0;
    Kube__PodStatus status = KUBE__POD_STATUS__INIT;
    status.nominatednodename = mu_encode_text(&e, object->nominated_node);
    Kube__Pod message = KUBE__POD__INIT;
    message.metadata = &metadata;
    message.spec = &spec;
    message.status = object->nominated_node.len > 0 ? &status : NULL;
    return finish(&e, &message.base, MU_STR("v1"), MU_STR("Pod"), out);
}
