/* Rules of metadata, nodes and priority classes, and priority admission of pods. */
#include "tools/kubesim/api_priv.h"

#include <stdio.h>
#include "engine/base/assert.h"
#include "engine/base/mem.h"
#include "engine/quantity.h"
#include "tools/kubesim/limits.h"
#include "tools/kubesim/validate.h"

#define ANNOTATIONS_BYTES_MAX (256u << 10)

static bool empty(const char *text)
{
    return text == NULL || text[0] == '\0';
}

/* ---- metadata ----------------------------------------------------------------------------- */

static int validate_maps(struct mu_call *call, const Kube__ObjectMeta *meta)
{
    for (size_t i = 0; i < meta->n_labels; i++) {
        struct mu_str key = mu_str_of(meta->labels[i]->key);
        struct mu_str value = mu_str_of(meta->labels[i]->value);
        if (!mu_valid_label_key(key) || !mu_valid_label_value(value)) {
            return mu_api_invalid(
                call, "metadata.labels",
                "Invalid value: \"%.80s=%.80s\": not a qualified name and a value of at most "
                "63 letters, digits, '-', '_', '.'",
                key.data != NULL ? key.data : "", value.data != NULL ? value.data : "");
        }
    }
    size_t bytes = 0;
    for (size_t i = 0; i < meta->n_annotations; i++) {
        struct mu_str key = mu_str_of(meta->annotations[i]->key);
        bytes += key.len + mu_str_of(meta->annotations[i]->value).len;
        if (!mu_valid_label_key(key)) {
            return mu_api_invalid(call, "metadata.annotations",
                                  "Invalid value: \"%.80s\": must be a qualified name",
                                  key.data != NULL ? key.data : "");
        }
    }
    if (bytes > ANNOTATIONS_BYTES_MAX) {
        return mu_api_invalid(call, "metadata.annotations",
                              "Too long: may not be more than %u bytes in all",
                              ANNOTATIONS_BYTES_MAX);
    }
    return 0;
}

int mu_api_validate_meta(struct mu_call *call, const struct mu_kind *kind,
                         const Kube__ObjectMeta *meta)
{
    struct mu_str name = mu_str_of(meta->name);
    if (name.len == 0) {
        return mu_api_invalid(call, "metadata.name",
                              "Required value: name or generateName is required");
    }
    bool label = kind == &mu_kinds[MU_KIND_NAMESPACES];
    if (label ? !mu_valid_dns_label(name) : !mu_valid_dns_subdomain(name)) {
        if (name.len > (label ? 63u : 253u)) {
            return mu_api_invalid(call, "metadata.name",
                                  "Invalid value: \"%.80s...\": must be no more than %d characters",
                                  name.data, label ? 63 : 253);
        }
        return mu_api_invalid(call, "metadata.name",
                              "Invalid value: \"%s\": a lowercase RFC 1123 %s must consist of "
                              "lower case alphanumeric characters, %s, and must start and end with "
                              "an alphanumeric character",
                              name.data, label ? "label" : "subdomain",
                              label ? "or '-'" : "'-' or '.'");
    }
    return validate_maps(call, meta);
}

int mu_api_validate_quantities(struct mu_call *call, const char *field, size_t count,
                               Kube__QuantityEntry *const *entries)
{
    for (size_t i = 0; i < count; i++) {
        const char *name = entries[i]->key;
        if (!mu_valid_label_key(mu_str_of(name))) {
            return mu_api_invalid(call, field, "Invalid value: \"%.80s\": must be a resource name",
                                  name != NULL ? name : "");
        }
        const char *text = entries[i]->value == NULL ? NULL : entries[i]->value->string;
        struct mu_quantity quantity;
        struct mu_error error = {0, ""};
        /* An absent quantity is the zero one. */
        if (!empty(text) && mu_quantity_parse(mu_str_of(text), &quantity, &error) != 0) {
            return mu_api_invalid(call, field, "Invalid value: %.80s: %s", name, error.text);
        }
        if (!empty(text) && quantity.negative) {
            return mu_api_invalid(
                call, field, "Invalid value: %.80s: '%.40s': must be greater than or equal to 0",
                name, text);
        }
    }
    return 0;
}

/* ---- nodes ---------------------------------------------------------------------------- */

static int validate_node(struct mu_call *call, const Kube__Node *node)
{
    for (size_t i = 0; node->spec != NULL && i < node->spec->n_taints; i++) {
        const Kube__Taint *taint = node->spec->taints[i];
        bool effect = taint->effect != NULL && (strcmp(taint->effect, "NoSchedule") == 0 ||
                                                strcmp(taint->effect, "PreferNoSchedule") == 0 ||
                                                strcmp(taint->effect, "NoExecute") == 0);
        if (!mu_valid_label_key(mu_str_of(taint->key)) || !effect ||
            !mu_valid_label_value(mu_str_of(taint->value))) {
            return mu_api_invalid(
                call, "spec.taints",
                "Invalid value: taint %zu needs a qualified key, a label value and effect "
                "NoSchedule, PreferNoSchedule or NoExecute",
                i);
        }
    }
    if (node->status == NULL) {
        return 0;
    }
    int code = mu_api_validate_quantities(call, "status.capacity", node->status->n_capacity,
                                          node->status->capacity);
    return code != 0
               ? code
               : mu_api_validate_quantities(call, "status.allocatable", node->status->n_allocatable,
                                            node->status->allocatable);
}

int mu_node_create(struct mu_call *call, ProtobufCMessage *fresh)
{
    const Kube__Node *node = (const Kube__Node *)fresh;
    if (node->status != NULL && node->status->n_allocatable == 0) {
        node->status->n_allocatable = node->status->n_capacity; /* all of it, unless told */
        node->status->allocatable = node->status->capacity;
    }
    return validate_node(call, node);
}

int mu_node_update(struct mu_call *call, const ProtobufCMessage *before, ProtobufCMessage *after)
{
    (void)before;
    return validate_node(call, (const Kube__Node *)after);
}

/* ---- priority classes --------------------------------------------------------------------- */

#define USER_PRIORITY_MAX 1000000000

int mu_priorityclass_create(struct mu_call *call, ProtobufCMessage *fresh)
{
    const Kube__PriorityClass *class = (const Kube__PriorityClass *)fresh;
    bool system = mu_str_starts_with(call->route.name, MU_STR("system-"));
    bool known = mu_str_equal(call->route.name, MU_STR("system-cluster-critical")) ||
                 mu_str_equal(call->route.name, MU_STR("system-node-critical"));
    if (system && !known) {
        return mu_api_invalid(call, "metadata.name",
                              "Forbidden: priority class names with 'system-' prefix are "
                              "reserved for system use only");
    }
    if (!system && class->value > USER_PRIORITY_MAX) {
        return mu_api_invalid(call, "value",
                              "Forbidden: maximum allowed value of a user defined priority is "
                              "%d",
                              USER_PRIORITY_MAX);
    }
    const char *policy = class->preemptionpolicy;
    if (!empty(policy) && strcmp(policy, "Never") != 0 &&
        strcmp(policy, "PreemptLowerPriority") != 0) {
        return mu_api_invalid(call, "preemptionPolicy",
                              "Unsupported value: \"%.40s\": supported values: \"Never\", "
                              "\"PreemptLowerPriority\"",
                              policy);
    }
    return 0;
}

int mu_priorityclass_update(struct mu_call *call, const ProtobufCMessage *before,
                            ProtobufCMessage *after)
{
    const Kube__PriorityClass *old = (const Kube__PriorityClass *)before;
    const Kube__PriorityClass *class = (const Kube__PriorityClass *)after;
    if (old->value != class->value) {
        return mu_api_invalid(call, "value", "Forbidden: may not be changed in an update.");
    }
    return 0;
}

static int add_priority(void *context, struct mu_kobject *object)
{
    struct mu_apiserver *server = context;
    int code =
        mu_mem_grow((void **)&server->priorities, &server->priority_cap, server->priority_count + 1,
                    MU_KUBESIM_OBJECTS_MAX, sizeof server->priorities[0]);
    if (code != 0) {
        return code;
    }
    const Kube__PriorityClass *class = (const Kube__PriorityClass *)mu_api_unpack(
        server, &kube__priority_class__descriptor, mu_kobject_raw(object));
    if (class == NULL) {
        return MU_ENOMEM;
    }
    server->priorities[server->priority_count++] = (struct mu_priority_entry){
        .name = mu_kobject_name(object),
        .object = mu_kobject_ref(object),
        .value = class->has_value ? class->value : 0,
        .global_default = class->has_globaldefault && class->globaldefault,
        .never = class->preemptionpolicy != NULL && strcmp(class->preemptionpolicy, "Never") == 0};
    return 0;
}

/* Pods are created far more often than classes change: the classes are kept decoded. */
static int refresh_priorities(struct mu_apiserver *server)
{
    uint64_t head = mu_store_head(server->store, MU_KIND_PRIORITYCLASSES);
    if (server->priority_head == head) {
        return 0;
    }
    for (uint32_t i = 0; i < server->priority_count; i++) {
        mu_kobject_unref(server->priorities[i].object);
    }
    server->priority_count = 0;
    server->priority_head = UINT64_MAX;
    struct mu_store_range all = {.version = 0};
    int code = mu_store_walk(server->store, MU_KIND_PRIORITYCLASSES, &all, add_priority, server);
    if (code == 0) {
        server->priority_head = head;
    }
    return code;
}

/* The class that the pod names, or the default one (of several the lowest), or NULL. */
static const struct mu_priority_entry *find_priority(const struct mu_apiserver *server,
                                                     const char *name)
{
    const struct mu_priority_entry *found = NULL;
    for (uint32_t i = 0; i < server->priority_count; i++) {
        const struct mu_priority_entry *entry = &server->priorities[i];
        if (!empty(name) && mu_str_equal(entry->name, mu_str_of(name))) {
            return entry;
        }
        if (empty(name) && entry->global_default &&
            (found == NULL || entry->value < found->value)) {
            found = entry;
        }
    }
    return found;
}

int mu_pod_admit_priority(struct mu_call *call, Kube__Pod *pod)
{
    struct mu_apiserver *server = call->server;
    Kube__PodSpec *spec = pod->spec;
    int code = refresh_priorities(server);
    if (code != 0) {
        return mu_api_internal(call, code);
    }
    const struct mu_priority_entry *entry = find_priority(server, spec->priorityclassname);
    if (entry == NULL && !empty(spec->priorityclassname)) {
        return mu_api_fail(call, 403, "Forbidden",
                           "pods \"%s\" is forbidden: no PriorityClass with name %.80s was found",
                           pod->metadata->name, spec->priorityclassname);
    }
    int32_t value = entry == NULL ? 0 : entry->value;
    if (spec->has_priority && spec->priority != value) {
        return mu_api_fail(call, 403, "Forbidden",
                           "pods \"%s\" is forbidden: the integer value of priority (%d) must not "
                           "be provided in pod spec; priority admission controller computed %d "
                           "from the given PriorityClass name",
                           pod->metadata->name, spec->priority, value);
    }
    const char *policy = entry != NULL && entry->never ? "Never" : "PreemptLowerPriority";
    if (!empty(spec->preemptionpolicy) && strcmp(spec->preemptionpolicy, policy) != 0) {
        return mu_api_fail(call, 403, "Forbidden",
                           "pods \"%s\" is forbidden: the string value of PreemptionPolicy "
                           "(%.40s) must not be provided in pod spec; priority admission "
                           "controller computed %s from the given PriorityClass name",
                           pod->metadata->name, spec->preemptionpolicy, policy);
    }
    spec->has_priority = 1;
    spec->priority = value;
    spec->preemptionpolicy = mu_api_text(server, mu_str_of(policy));
    if (entry != NULL) {
        spec->priorityclassname = mu_api_text(server, entry->name);
    }
    return 0;
}
