#include "tools/workload/encode.h"

#include <inttypes.h>
#include <stdio.h>
#include "engine/base/assert.h"
#include "engine/base/clock.h"
#include "informer/codec.h"
#include "informer/dialect.h"
#include "informer/proto/core.pb-c.h"
#include "informer/proto/scheduling.pb-c.h"

/*
 * Messages are built in the scratch arena, packed there, and wrapped into the caller's buffer in
 * one append, so that a failure leaves the buffer as it was. A builder that fails to get memory
 * marks the encoding as failed and goes on with NULL; only the end looks.
 */
struct encoding {
    struct mu_arena *arena;
    bool failed;
};

static void *allocate(struct encoding *e, size_t count, size_t size)
{
    void *block = count == 0 ? NULL : mu_arena_calloc(e->arena, count, size);
    e->failed = e->failed || (count != 0 && block == NULL);
    return block;
}

/* protobuf-c wants writable, NUL-terminated text. */
static char *text_of(struct encoding *e, struct mu_str s)
{
    char *text = allocate(e, (size_t)s.len + 1, 1);
    if (text != NULL && s.len > 0)
        memcpy(text, s.data, s.len);
    return text;
}

static Kube__StringEntry *string_entry(struct encoding *e, struct mu_str key, struct mu_str value)
{
    Kube__StringEntry *entry = allocate(e, 1, sizeof *entry);
    if (entry == NULL)
        return NULL;
    kube__string_entry__init(entry);
    entry->key = text_of(e, key);
    entry->value = text_of(e, value);
    return entry;
}

static Kube__StringEntry **string_entries(struct encoding *e, const struct mu_label *labels,
                                          uint32_t count)
{
    Kube__StringEntry **entries = allocate(e, count, sizeof *entries);
    for (uint32_t i = 0; entries != NULL && i < count; i++)
        entries[i] = string_entry(e, labels[i].key, labels[i].value);
    return entries;
}

/* cpu in cores or millicores, bytes in the largest unit that divides them, everything else as a
 * plain number: people read these in kubectl. */
static char *quantity_text(struct encoding *e, const struct mu_amount *amount)
{
    static const char *const units[] = {"", "Ki", "Mi", "Gi"};
    bool bytes = mu_str_equal(amount->resource, MU_STR("memory")) ||
                 mu_str_equal(amount->resource, MU_STR("ephemeral-storage"));
    int64_t value = amount->value;
    size_t unit = 0;
    char *text = allocate(e, 1, 32);
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

static Kube__QuantityEntry **quantity_entries(struct encoding *e, const struct mu_amount *amounts,
                                              uint32_t count)
{
    Kube__QuantityEntry **entries = allocate(e, count, sizeof *entries);
    for (uint32_t i = 0; entries != NULL && i < count; i++) {
        Kube__QuantityEntry *entry = allocate(e, 1, sizeof *entry);
        Kube__Quantity *quantity = allocate(e, 1, sizeof *quantity);
        if (entry == NULL || quantity == NULL)
            return NULL;
        kube__quantity_entry__init(entry);
        kube__quantity__init(quantity);
        quantity->string = quantity_text(e, &amounts[i]);
        entry->key = text_of(e, amounts[i].resource);
        entry->value = quantity;
        entries[i] = entry;
    }
    return entries;
}

static char *effect_text(struct encoding *e, enum mu_taint_effect effect)
{
    switch (effect) {
    case MU_EFFECT_NO_SCHEDULE:
        return text_of(e, MU_STR("NoSchedule"));
    case MU_EFFECT_PREFER_NO_SCHEDULE:
        return text_of(e, MU_STR("PreferNoSchedule"));
    case MU_EFFECT_NO_EXECUTE:
        return text_of(e, MU_STR("NoExecute"));
    case MU_EFFECT_ANY:
    case MU_EFFECT_OTHER:
        break;
    }
    return NULL; /* absent: a toleration of every effect */
}

static Kube__Taint **taints_of(struct encoding *e, const struct mu_node_object *node)
{
    Kube__Taint **taints = allocate(e, node->taint_count, sizeof *taints);
    for (uint32_t i = 0; taints != NULL && i < node->taint_count; i++) {
        taints[i] = allocate(e, 1, sizeof **taints);
        if (taints[i] == NULL)
            return NULL;
        kube__taint__init(taints[i]);
        taints[i]->key = text_of(e, node->taints[i].key);
        taints[i]->value = text_of(e, node->taints[i].value);
        taints[i]->effect = effect_text(e, node->taints[i].effect);
    }
    return taints;
}

static Kube__Toleration **tolerations_of(struct encoding *e, const struct mu_pod_object *pod)
{
    Kube__Toleration **tolerations = allocate(e, pod->toleration_count, sizeof *tolerations);
    for (uint32_t i = 0; tolerations != NULL && i < pod->toleration_count; i++) {
        const struct mu_toleration *from = &pod->tolerations[i];
        Kube__Toleration *to = allocate(e, 1, sizeof *to);
        if (to == NULL)
            return NULL;
        kube__toleration__init(to);
        bool exists = from->op == MU_TOLERATE_EXISTS;
        to->key = text_of(e, from->key);
        to->operator_ = text_of(e, exists ? MU_STR("Exists") : MU_STR("Equal"));
        to->value = exists ? NULL : text_of(e, from->value);
        to->effect = effect_text(e, from->effect);
        tolerations[i] = to;
    }
    return tolerations;
}

/* One of several GPU models: required node affinity, one term with one expression. */
static Kube__Affinity *affinity_of(struct encoding *e, const struct mu_workload_pod *pod)
{
    if (pod->model_count == 0)
        return NULL;
    Kube__Affinity *affinity = allocate(e, 1, sizeof *affinity);
    Kube__NodeAffinity *node = allocate(e, 1, sizeof *node);
    Kube__NodeSelector *selector = allocate(e, 1, sizeof *selector);
    Kube__NodeSelectorTerm *term = allocate(e, 1, sizeof *term);
    Kube__NodeSelectorRequirement *requirement = allocate(e, 1, sizeof *requirement);
    Kube__NodeSelectorTerm **terms = allocate(e, 1, sizeof *terms);
    Kube__NodeSelectorRequirement **requirements = allocate(e, 1, sizeof *requirements);
    char **values = allocate(e, pod->model_count, sizeof *values);
    if (e->failed)
        return NULL;
    kube__affinity__init(affinity);
    kube__node_affinity__init(node);
    kube__node_selector__init(selector);
    kube__node_selector_term__init(term);
    kube__node_selector_requirement__init(requirement);
    for (uint32_t i = 0; i < pod->model_count; i++)
        values[i] = text_of(e, pod->models[i]);
    requirement->key = text_of(e, MU_STR(MU_GPU_MODEL_LABEL));
    requirement->operator_ = text_of(e, MU_STR("In"));
    requirement->values = values;
    requirement->n_values = pod->model_count;
    requirements[0] = requirement;
    term->matchexpressions = requirements;
    term->n_matchexpressions = 1;
    terms[0] = term;
    selector->nodeselectorterms = terms;
    selector->n_nodeselectorterms = 1;
    node->requiredduringschedulingignoredduringexecution = selector;
    affinity->nodeaffinity = node;
    return affinity;
}

static int finish(struct encoding *e, const ProtobufCMessage *message, struct mu_str api_version,
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

int mu_workload_encode_node(const struct mu_node_object *node, struct mu_arena *scratch,
                            struct mu_buf *out)
{
    mu_arena_reset(scratch);
    struct encoding e = {.arena = scratch};
    Kube__ObjectMeta metadata = KUBE__OBJECT_META__INIT;
    metadata.name = text_of(&e, node->name);
    metadata.labels = string_entries(&e, node->labels, node->label_count);
    metadata.n_labels = node->label_count;
    Kube__NodeSpec spec = KUBE__NODE_SPEC__INIT;
    spec.taints = taints_of(&e, node);
    spec.n_taints = node->taint_count;
    spec.has_unschedulable = node->unschedulable;
    spec.unschedulable = node->unschedulable;
    Kube__NodeCondition ready = KUBE__NODE_CONDITION__INIT;
    ready.type = text_of(&e, MU_STR("Ready"));
    ready.status = text_of(&e, MU_STR("True"));
    Kube__NodeCondition *conditions[] = {&ready};
    Kube__NodeStatus status = KUBE__NODE_STATUS__INIT;
    status.allocatable = quantity_entries(&e, node->allocatable, node->allocatable_count);
    status.n_allocatable = node->allocatable_count;
    status.capacity = status.allocatable;
    status.n_capacity = node->allocatable_count;
    status.conditions = conditions;
    status.n_conditions = 1;
    Kube__Node message = KUBE__NODE__INIT;
    message.metadata = &metadata;
    message.spec = &spec;
    message.status = &status;
    return finish(&e, &message.base, MU_STR("v1"), MU_STR("Node"), out);
}

/* Object names have no sign: "priority-100", "priority-minus-100". */
static char *class_name(struct encoding *e, int32_t priority)
{
    char *name = allocate(e, 1, 32);
    if (name != NULL)
        (void)snprintf(name, 32, "priority-%s%" PRId64, priority < 0 ? "minus-" : "",
                       priority < 0 ? -(int64_t)priority : priority);
    return name;
}

int mu_workload_encode_priority_class(int32_t priority, struct mu_arena *scratch,
                                      struct mu_buf *out)
{
    mu_arena_reset(scratch);
    struct encoding e = {.arena = scratch};
    Kube__ObjectMeta metadata = KUBE__OBJECT_META__INIT;
    metadata.name = class_name(&e, priority);
    Kube__PriorityClass message = KUBE__PRIORITY_CLASS__INIT;
    message.metadata = &metadata;
    message.has_value = 1;
    message.value = priority;
    return finish(&e, &message.base, MU_STR("scheduling.k8s.io/v1"), MU_STR("PriorityClass"), out);
}

#define ANNOTATIONS_MAX 3
#define DURATION_BYTES  24

static void fill_annotations(struct encoding *e, const struct mu_workload_pod *pod, bool durations,
                             Kube__StringEntry **annotations, Kube__ObjectMeta *metadata)
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
    MU_ASSERT(count <= ANNOTATIONS_MAX);
    metadata->annotations = annotations;
    metadata->n_annotations = count;
}

int mu_workload_encode_pod(const struct mu_workload_pod *pod, struct mu_str scheduler_name,
                           bool durations, struct mu_arena *scratch, struct mu_buf *out)
{
    const struct mu_pod_object *object = &pod->object;
    mu_arena_reset(scratch);
    struct encoding e = {.arena = scratch};
    Kube__StringEntry *annotations[ANNOTATIONS_MAX];
    Kube__ObjectMeta metadata = KUBE__OBJECT_META__INIT;
    metadata.name = text_of(&e, object->name);
    metadata.namespace_ = text_of(&e, object->ns);
    fill_annotations(&e, pod, durations, annotations, &metadata);
    Kube__ResourceRequirements resources = KUBE__RESOURCE_REQUIREMENTS__INIT;
    resources.requests = quantity_entries(&e, object->requests, object->request_count);
    resources.n_requests = object->request_count;
    Kube__Container container = KUBE__CONTAINER__INIT;
    container.name = text_of(&e, MU_STR("main"));
    container.image = text_of(&e, MU_STR("pause"));
    container.resources = &resources;
    Kube__Container *containers[] = {&container};
    Kube__PodSpec spec = KUBE__POD_SPEC__INIT;
    spec.containers = containers;
    spec.n_containers = 1;
    spec.restartpolicy = text_of(&e, MU_STR("Never"));
    spec.schedulername = text_of(&e, scheduler_name);
    spec.priorityclassname = object->priority != 0 ? class_name(&e, object->priority) : NULL;
    spec.nodeselector = string_entries(&e, object->selector, object->selector_count);
    spec.n_nodeselector = object->selector_count;
    spec.tolerations = tolerations_of(&e, object);
    spec.n_tolerations = object->toleration_count;
    spec.affinity = affinity_of(&e, pod);
    Kube__PodSchedulingGate gate = KUBE__POD_SCHEDULING_GATE__INIT;
    Kube__PodSchedulingGate *gates[] = {&gate};
    gate.name = text_of(&e, MU_STR("muster.dev/hold"));
    spec.schedulinggates = gates;
    spec.n_schedulinggates = object->gated ? 1 : 0;
    Kube__Pod message = KUBE__POD__INIT;
    message.metadata = &metadata;
    message.spec = &spec;
    return finish(&e, &message.base, MU_STR("v1"), MU_STR("Pod"), out);
}
