/*
 * Rules of the kinds that carry data for others: config maps, leases, disruption budgets. The hooks
 * get the trimmed message (mostly metadata, the rest as unknown fields); a hook that has to look
 * further decodes the object once more by its full schema, which is for reading only.
 */
#include "tools/kubesim/api_priv.h"

#include "informer/proto/policy.pb-c.h"
#include "tools/kubesim/limits.h"
#include "tools/kubesim/schema/coordination.pb-c.h"
#include "tools/kubesim/schema/core.pb-c.h"
#include "tools/kubesim/validate.h"

static bool empty(const char *text)
{
    return text == NULL || text[0] == '\0';
}

ProtobufCMessage *mu_api_full(struct mu_call *call, const ProtobufCMessage *message)
{
    struct mu_apiserver *server = call->server;
    size_t size = protobuf_c_message_get_packed_size(message);
    uint8_t *bytes = mu_api_alloc(server, size + 1);
    if (bytes == NULL) {
        (void)mu_api_no_room(call);
        return NULL;
    }
    (void)protobuf_c_message_pack(message, bytes);
    ProtobufCMessage *full = mu_api_unpack(server, mu_kinds[call->route.kind].schema,
                                           (struct mu_str){(const char *)bytes, (uint32_t)size});
    if (full == NULL && server->arena_full) {
        (void)mu_api_no_room(call);
    } else if (full == NULL) {
        (void)mu_api_fail(call, 400, "BadRequest", "body: not a protobuf %s",
                          mu_kinds[call->route.kind].kind);
    }
    return full;
}

bool mu_api_same_message(struct mu_apiserver *server, const ProtobufCMessage *a,
                         const ProtobufCMessage *b)
{
    if (a == NULL || b == NULL) {
        return a == b;
    }
    size_t size = protobuf_c_message_get_packed_size(a);
    if (size != protobuf_c_message_get_packed_size(b)) {
        return false;
    }
    uint8_t *bytes = mu_api_alloc(server, size * 2 + 1);
    if (bytes == NULL) {
        return false; /* arena_full fails the call, whatever becomes of this */
    }
    (void)protobuf_c_message_pack(a, bytes);
    (void)protobuf_c_message_pack(b, bytes + size);
    return memcmp(bytes, bytes + size, size) == 0;
}

/* ---- config maps -------------------------------------------------------------------------- */

static int check_data_key(struct mu_call *call, const char *field, const char *key)
{
    if (!mu_valid_config_key(mu_str_of(key))) {
        return mu_api_invalid(call, field,
                              "Invalid value: \"%.80s\": a valid config key must consist of "
                              "alphanumeric characters, '-', '_' or '.'",
                              key != NULL ? key : "");
    }
    return 0;
}

static int check_configmap(struct mu_call *call, const Kubeapi__ConfigMap *map)
{
    size_t bytes = 0;
    for (size_t i = 0; i < map->n_data; i++) {
        bytes += mu_str_of(map->data[i]->value).len;
        int code = check_data_key(call, "data", map->data[i]->key);
        if (code != 0) {
            return code;
        }
    }
    for (size_t i = 0; i < map->n_binarydata; i++) {
        const char *key = map->binarydata[i]->key;
        bytes += map->binarydata[i]->value.len;
        int code = check_data_key(call, "binaryData", key);
        if (code != 0) {
            return code;
        }
        for (size_t j = 0; j < map->n_data; j++) {
            if (mu_str_equal(mu_str_of(key), mu_str_of(map->data[j]->key))) {
                return mu_api_invalid(call, "data",
                                      "Invalid value: \"%.80s\": duplicate of key "
                                      "present in binaryData",
                                      key);
            }
        }
    }
    if (bytes > MU_KUBESIM_CONFIGMAP_MAX) {
        return mu_api_invalid(call, "", "Too long: may not be more than %u bytes",
                              MU_KUBESIM_CONFIGMAP_MAX);
    }
    return 0;
}

int mu_configmap_create(struct mu_call *call, ProtobufCMessage *fresh)
{
    const Kubeapi__ConfigMap *map = (const Kubeapi__ConfigMap *)mu_api_full(call, fresh);
    return map == NULL ? MU_EINVAL : check_configmap(call, map);
}

int mu_configmap_update(struct mu_call *call, const ProtobufCMessage *before,
                        ProtobufCMessage *after)
{
    const Kubeapi__ConfigMap *old = (const Kubeapi__ConfigMap *)mu_api_full(call, before);
    Kubeapi__ConfigMap *map = old == NULL ? NULL : (Kubeapi__ConfigMap *)mu_api_full(call, after);
    if (map == NULL) {
        return MU_EINVAL;
    }
    if (old->immutable) {
        if (!map->immutable) {
            return mu_api_invalid(call, "immutable",
                                  "Forbidden: field is immutable when `immutable` is set");
        }
        Kubeapi__ObjectMeta *meta = map->metadata;
        map->metadata = old->metadata;
        bool same = mu_api_same_message(call->server, &old->base, &map->base);
        map->metadata = meta;
        if (!same) {
            return mu_api_invalid(call, "data",
                                  "Forbidden: field is immutable when `immutable` is set");
        }
    }
    return check_configmap(call, map);
}

/* ---- leases ------------------------------------------------------------------------------- */

int mu_lease_create(struct mu_call *call, ProtobufCMessage *fresh)
{
    const Kubeapi__Lease *lease = (const Kubeapi__Lease *)mu_api_full(call, fresh);
    if (lease == NULL) {
        return MU_EINVAL;
    }
    const Kubeapi__LeaseSpec *spec = lease->spec;
    if (spec != NULL && spec->has_leasedurationseconds && spec->leasedurationseconds <= 0) {
        return mu_api_invalid(call, "spec.leaseDurationSeconds",
                              "Invalid value: %d: must be greater than 0",
                              spec->leasedurationseconds);
    }
    if (spec != NULL && spec->has_leasetransitions && spec->leasetransitions < 0) {
        return mu_api_invalid(call, "spec.leaseTransitions",
                              "Invalid value: %d: must be greater than or equal to 0",
                              spec->leasetransitions);
    }
    return 0;
}

int mu_lease_update(struct mu_call *call, const ProtobufCMessage *before, ProtobufCMessage *after)
{
    (void)before;
    return mu_lease_create(call, after);
}

/* ---- label selectors ---------------------------------------------------------------------- */

int mu_api_validate_selector(struct mu_call *call, const char *field,
                             const Kube__LabelSelector *selector)
{
    for (size_t i = 0; selector != NULL && i < selector->n_matchlabels; i++) {
        const Kube__StringEntry *entry = selector->matchlabels[i];
        if (!mu_valid_label_key(mu_str_of(entry->key)) ||
            !mu_valid_label_value(mu_str_of(entry->value))) {
            return mu_api_invalid(call, field,
                                  "Invalid value: entry %zu of matchLabels is not a "
                                  "label",
                                  i);
        }
    }
    for (size_t i = 0; selector != NULL && i < selector->n_matchexpressions; i++) {
        const Kube__LabelSelectorRequirement *term = selector->matchexpressions[i];
        const char *op = empty(term->operator_) ? "" : term->operator_;
        bool set = strcmp(op, "In") == 0 || strcmp(op, "NotIn") == 0;
        bool presence = strcmp(op, "Exists") == 0 || strcmp(op, "DoesNotExist") == 0;
        if (!mu_valid_label_key(mu_str_of(term->key)) || !(set || presence)) {
            return mu_api_invalid(call, field,
                                  "Invalid value: expression %zu needs a label key and operator "
                                  "In, NotIn, Exists or DoesNotExist",
                                  i);
        }
        if (set != (term->n_values > 0)) {
            return mu_api_invalid(call, field,
                                  set ? "Required value: expression %zu: must be specified when "
                                        "`operator` is 'In' or 'NotIn'"
                                      : "Forbidden: expression %zu: may not be specified when "
                                        "`operator` is 'Exists' or 'DoesNotExist'",
                                  i);
        }
    }
    return 0;
}

/* ---- disruption budgets ------------------------------------------------------------------- */

/* "0%" to "100%". */
static bool valid_percent(const char *text)
{
    size_t len = empty(text) ? 0 : strlen(text);
    uint64_t value = 0;
    return len > 1 && text[len - 1] == '%' &&
           mu_str_to_u64((struct mu_str){text, (uint32_t)len - 1}, &value) && value <= 100;
}

static int check_bound(struct mu_call *call, const char *field, const Kube__IntOrString *bound)
{
    if (bound == NULL) {
        return 0;
    }
    if (bound->type == 0 && bound->intval < 0) {
        return mu_api_invalid(call, field, "Invalid value: %d: must be greater than or equal to 0",
                              bound->intval);
    }
    if (bound->type != 0 && !valid_percent(bound->strval)) {
        return mu_api_invalid(call, field,
                              "Invalid value: \"%.40s\": a valid percent string must be a number "
                              "of at most 100 followed by '%%'",
                              empty(bound->strval) ? "" : bound->strval);
    }
    return 0;
}

static int check_budget(struct mu_call *call, const Kube__PodDisruptionBudget *budget)
{
    const Kube__PodDisruptionBudgetSpec *spec = budget->spec;
    if (spec == NULL) {
        return 0; /* selects nothing */
    }
    if (spec->minavailable != NULL && spec->maxunavailable != NULL) {
        return mu_api_invalid(call, "spec",
                              "Invalid value: minAvailable and maxUnavailable cannot be both set");
    }
    int code = check_bound(call, "spec.minAvailable", spec->minavailable);
    if (code == 0) {
        code = check_bound(call, "spec.maxUnavailable", spec->maxunavailable);
    }
    if (code != 0) {
        return code;
    }
    const char *policy = spec->unhealthypodevictionpolicy;
    if (!empty(policy) && strcmp(policy, "IfHealthyBudget") != 0 &&
        strcmp(policy, "AlwaysAllow") != 0) {
        return mu_api_invalid(call, "spec.unhealthyPodEvictionPolicy",
                              "Unsupported value: \"%.40s\": supported values: \"AlwaysAllow\", "
                              "\"IfHealthyBudget\"",
                              policy);
    }
    return mu_api_validate_selector(call, "spec.selector", spec->selector);
}

int mu_budget_create(struct mu_call *call, ProtobufCMessage *fresh)
{
    return check_budget(call, (const Kube__PodDisruptionBudget *)fresh);
}

int mu_budget_update(struct mu_call *call, const ProtobufCMessage *before, ProtobufCMessage *after)
{
    (void)before;
    return check_budget(call, (const Kube__PodDisruptionBudget *)after);
}
