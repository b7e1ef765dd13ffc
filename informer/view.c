/*
 * The tables: which field of which message goes where in a view. Every field of the messages in
 * proto/ has an entry, because form is checked of all of them; tests/test_view.c holds the tables
 * against protobuf-c's descriptors. A message of which nothing is kept has no view.
 */
#include "informer/view_priv.h"

#include <stddef.h>

#include "informer/proto/policy.pb-c.h"

#define KEEP(kind_, view, member, type_)                                                           \
    {                                                                                              \
        .kind = (kind_), .kept = true, .at = offsetof(struct view, member), .type = (type_)        \
    }
#define TEXT(view, member)        KEEP(MU_FIELD_TEXT, view, member, NULL)
#define TEXTS(view, member)       KEEP(MU_FIELD_TEXTS, view, member, NULL)
#define BOOL(view, member)        KEEP(MU_FIELD_BOOL, view, member, NULL)
#define INT32(view, member)       KEEP(MU_FIELD_INT32, view, member, NULL)
#define INT64(view, member)       KEEP(MU_FIELD_INT64, view, member, NULL)
#define ONE(view, member, inner)  KEEP(MU_FIELD_MESSAGE, view, member, &type_##inner)
#define MANY(view, member, inner) KEEP(MU_FIELD_MESSAGES, view, member, &type_##inner)
#define INLINE(inner)                                                                              \
    {                                                                                              \
        .kind = MU_FIELD_INLINE, .kept = true, .type = &type_##inner                               \
    }
/* Known, and not looked at. */
#define NO(kind_)                                                                                  \
    {                                                                                              \
        .kind = (MU_FIELD_##kind_)                                                                 \
    }
#define NO_ONE(inner)                                                                              \
    {                                                                                              \
        .kind = MU_FIELD_MESSAGE, .type = &type_##inner                                            \
    }
#define NO_MANY(inner)                                                                             \
    {                                                                                              \
        .kind = MU_FIELD_MESSAGES, .type = &type_##inner                                           \
    }

#define TYPE_OF(bytes_, numbers, stem, fields_)                                                    \
    {                                                                                              \
        .fields = (fields_), .field_count = sizeof(fields_) / sizeof((fields_)[0]),                \
        .bytes = (bytes_), .has_numbers = (numbers), .descriptor = &kube__##stem##__descriptor     \
    }
#define TYPE(name, view, stem)                                                                     \
    static const struct mu_view_type type_##name = TYPE_OF(sizeof(struct view), false, stem, name)
/* One whose view begins with its numbers. */
#define NUMBERED(name, view, stem)                                                                 \
    _Static_assert(offsetof(struct view, numbers) == 0, "numbers come first");                     \
    static const struct mu_view_type type_##name = TYPE_OF(sizeof(struct view), true, stem, name)
/* One without a view. */
#define FORM(name, stem)                                                                           \
    static const struct mu_view_type type_##name = TYPE_OF(0, false, stem, name)

/* --- metadata ------------------------------------------------------------------------------- */

static const struct mu_field pair[] = {
    [1] = TEXT(mu_label, key),
    [2] = TEXT(mu_label, value),
};
static const struct mu_view_type type_pair = {
    .fields = pair,
    .field_count = sizeof pair / sizeof pair[0],
    .bytes = sizeof(struct mu_label),
    .is_pair = true,
    .descriptor = &kube__string_entry__descriptor,
};

/* The quantity's text becomes the value of the pair around it. */
static const struct mu_field quantity[] = {
    [1] = TEXT(mu_label, value),
};
TYPE(quantity, mu_label, quantity);

static const struct mu_field amount[] = {
    [1] = TEXT(mu_label, key),
    [2] = INLINE(quantity),
};
TYPE(amount, mu_label, quantity_entry);

static const struct mu_field time[] = {
    [1] = INT64(mu_view_time, seconds),
    [2] = NO(INT32),
};
TYPE(time, mu_view_time, time);

static const struct mu_field owner[] = {
    [1] = NO(TEXT),
    [3] = NO(TEXT),
    [4] = NO(TEXT),
    [5] = NO(TEXT),
    [6] = BOOL(mu_view_owner, controller),
    [7] = NO(BOOL),
};
TYPE(owner, mu_view_owner, owner_reference);

static const struct mu_field meta[] = {
    [1] = TEXT(mu_view_meta, name),
    [2] = NO(TEXT),
    [3] = TEXT(mu_view_meta, ns),
    [4] = NO(TEXT),
    [5] = TEXT(mu_view_meta, uid),
    [6] = TEXT(mu_view_meta, version),
    [7] = NO(INT64),
    [8] = ONE(mu_view_meta, created, time),
    [9] = ONE(mu_view_meta, deleted, time),
    [10] = NO(INT64),
    [11] = MANY(mu_view_meta, labels, pair),
    [12] = MANY(mu_view_meta, annotations, pair),
    [13] = MANY(mu_view_meta, owners, owner),
    [14] = NO(TEXTS),
};
TYPE(meta, mu_view_meta, object_meta);

static const struct mu_field label_expression[] = {
    [1] = TEXT(mu_view_expression, key),
    [2] = TEXT(mu_view_expression, op),
    [3] = TEXTS(mu_view_expression, values),
};
TYPE(label_expression, mu_view_expression, label_selector_requirement);

static const struct mu_field selector[] = {
    [1] = MANY(mu_view_selector, labels, pair),
    [2] = MANY(mu_view_selector, expressions, label_expression),
};
TYPE(selector, mu_view_selector, label_selector);

/* --- containers ----------------------------------------------------------------------------- */

static const struct mu_field container_claim[] = {[1] = NO(TEXT), [2] = NO(TEXT)};
FORM(container_claim, resource_claim);

static const struct mu_field resources[] = {
    [1] = NO_MANY(amount),
    [2] = MANY(mu_view_resources, requests, amount),
    [MU_RESOURCES_CLAIMS] = NO_MANY(container_claim),
};
NUMBERED(resources, mu_view_resources, resource_requirements);

static const struct mu_field port[] = {
    [1] = NO(TEXT),
    [2] = INT32(mu_view_port, host_port),
    [3] = NO(INT32),
    [4] = TEXT(mu_view_port, protocol),
    [5] = TEXT(mu_view_port, host_ip),
};
TYPE(port, mu_view_port, container_port);

static const struct mu_field restart_rule[] = {
    [1] = TEXT(mu_view_restart_rule, action),
};
TYPE(restart_rule, mu_view_restart_rule, container_restart_rule);

static const struct mu_field container[] = {
    [1] = TEXT(mu_view_container, name),
    [2] = TEXT(mu_view_container, image),
    [6] = MANY(mu_view_container, ports, port),
    [8] = ONE(mu_view_container, resources, resources),
    [24] = TEXT(mu_view_container, restart_policy),
    [25] = MANY(mu_view_container, restart_rules, restart_rule),
};
TYPE(container, mu_view_container, container);

/* --- affinity, spread, tolerations ---------------------------------------------------------- */

static const struct mu_field node_expression[] = {
    [1] = TEXT(mu_view_expression, key),
    [2] = TEXT(mu_view_expression, op),
    [3] = TEXTS(mu_view_expression, values),
};
TYPE(node_expression, mu_view_expression, node_selector_requirement);

static const struct mu_field node_term[] = {
    [1] = MANY(mu_view_node_term, expressions, node_expression),
    [2] = MANY(mu_view_node_term, fields, node_expression),
};
TYPE(node_term, mu_view_node_term, node_selector_term);

static const struct mu_field node_selector[] = {
    [1] = MANY(mu_view_node_selector, terms, node_term),
};
TYPE(node_selector, mu_view_node_selector, node_selector);

static const struct mu_field preferred_node[] = {
    [1] = INT32(mu_view_preferred_node, weight),
    [2] = ONE(mu_view_preferred_node, term, node_term),
};
TYPE(preferred_node, mu_view_preferred_node, preferred_scheduling_term);

static const struct mu_field node_affinity[] = {
    [1] = ONE(mu_view_node_affinity, required, node_selector),
    [2] = MANY(mu_view_node_affinity, preferred, preferred_node),
};
TYPE(node_affinity, mu_view_node_affinity, node_affinity);

static const struct mu_field pod_term[] = {
    [1] = ONE(mu_view_pod_term, selector, selector),
    [2] = TEXTS(mu_view_pod_term, namespaces),
    [3] = TEXT(mu_view_pod_term, topology_key),
    [4] = ONE(mu_view_pod_term, namespace_selector, selector),
    [5] = TEXTS(mu_view_pod_term, match_keys),
    [6] = TEXTS(mu_view_pod_term, mismatch_keys),
};
TYPE(pod_term, mu_view_pod_term, pod_affinity_term);

static const struct mu_field weighted_term[] = {
    [1] = INT32(mu_view_weighted_term, weight),
    [2] = ONE(mu_view_weighted_term, term, pod_term),
};
TYPE(weighted_term, mu_view_weighted_term, weighted_pod_affinity_term);

static const struct mu_field pod_affinity[] = {
    [1] = MANY(mu_view_pod_affinity, required, pod_term),
    [2] = MANY(mu_view_pod_affinity, preferred, weighted_term),
};
TYPE(pod_affinity, mu_view_pod_affinity, pod_affinity);

static const struct mu_field pod_anti_affinity[] = {
    [1] = MANY(mu_view_pod_affinity, required, pod_term),
    [2] = MANY(mu_view_pod_affinity, preferred, weighted_term),
};
TYPE(pod_anti_affinity, mu_view_pod_affinity, pod_anti_affinity);

static const struct mu_field affinity[] = {
    [1] = ONE(mu_view_affinity, node, node_affinity),
    [2] = ONE(mu_view_affinity, with, pod_affinity),
    [3] = ONE(mu_view_affinity, against, pod_anti_affinity),
};
TYPE(affinity, mu_view_affinity, affinity);

static const struct mu_field toleration[] = {
    [1] = TEXT(mu_view_toleration, key),
    [2] = TEXT(mu_view_toleration, op),
    [3] = TEXT(mu_view_toleration, value),
    [4] = TEXT(mu_view_toleration, effect),
    [5] = NO(INT64),
};
TYPE(toleration, mu_view_toleration, toleration);

static const struct mu_field spread[] = {
    [1] = INT32(mu_view_spread, max_skew),
    [2] = TEXT(mu_view_spread, topology_key),
    [3] = TEXT(mu_view_spread, when_unsatisfiable),
    [4] = ONE(mu_view_spread, selector, selector),
    [MU_SPREAD_MIN_DOMAINS] = INT32(mu_view_spread, min_domains),
    [6] = TEXT(mu_view_spread, affinity_policy),
    [7] = TEXT(mu_view_spread, taints_policy),
    [8] = TEXTS(mu_view_spread, match_keys),
};
NUMBERED(spread, mu_view_spread, topology_spread_constraint);

/* --- volumes -------------------------------------------------------------------------------- */

static const struct mu_field present_source[1];
FORM(present_source, present_volume_source);

static const struct mu_field claim_source[] = {[1] = NO(TEXT), [2] = NO(BOOL)};
FORM(claim_source, persistent_volume_claim_volume_source);

static const struct mu_field volume_source[] = {
    [1] = NO_ONE(present_source),  [2] = NO_ONE(present_source),  [3] = NO_ONE(present_source),
    [4] = NO_ONE(present_source),  [8] = NO_ONE(present_source),  [10] = NO_ONE(claim_source),
    [11] = NO_ONE(present_source), [13] = NO_ONE(present_source), [20] = NO_ONE(present_source),
    [22] = NO_ONE(present_source), [24] = NO_ONE(present_source), [28] = NO_ONE(present_source),
    [29] = NO_ONE(present_source),
};
NUMBERED(volume_source, mu_view_volume_source, volume_source);

static const struct mu_field volume[] = {
    [1] = NO(TEXT),
    [2] = ONE(mu_view_volume, source, volume_source),
};
TYPE(volume, mu_view_volume, volume);

/* --- pods ----------------------------------------------------------------------------------- */

static const struct mu_field pod_os[] = {[1] = NO(TEXT)};
FORM(pod_os, pod_os);

static const struct mu_field gate[] = {[1] = NO(TEXT)};
FORM(gate, pod_scheduling_gate);

static const struct mu_field pod_claim[] = {[1] = NO(TEXT), [3] = NO(TEXT), [4] = NO(TEXT)};
FORM(pod_claim, pod_resource_claim);

static const struct mu_field workload_ref[] = {
    [1] = TEXT(mu_view_workload_ref, name),
    [2] = TEXT(mu_view_workload_ref, pod_group),
    [3] = TEXT(mu_view_workload_ref, replica),
};
TYPE(workload_ref, mu_view_workload_ref, workload_reference);

static const struct mu_field scheduling_group[] = {[1] = TEXT(mu_view_scheduling_group, name)};
TYPE(scheduling_group, mu_view_scheduling_group, pod_scheduling_group);

static const struct mu_field spec[] = {
    [1] = MANY(mu_view_spec, volumes, volume),
    [2] = MANY(mu_view_spec, containers, container),
    [3] = NO(TEXT),
    [4] = NO(INT64),
    [5] = NO(INT64),
    [7] = MANY(mu_view_spec, node_selector, pair),
    [8] = NO(TEXT),
    [10] = TEXT(mu_view_spec, node_name),
    [11] = BOOL(mu_view_spec, host_network),
    [18] = ONE(mu_view_spec, affinity, affinity),
    [19] = TEXT(mu_view_spec, scheduler_name),
    [20] = MANY(mu_view_spec, init_containers, container),
    [22] = MANY(mu_view_spec, tolerations, toleration),
    [24] = NO(TEXT),
    [25] = INT32(mu_view_spec, priority),
    [29] = NO(TEXT),
    [31] = TEXT(mu_view_spec, preemption_policy),
    [32] = MANY(mu_view_spec, overhead, amount),
    [33] = MANY(mu_view_spec, spreads, spread),
    [36] = NO_ONE(pod_os),
    [MU_SPEC_HOST_USERS] = BOOL(mu_view_spec, host_users),
    [MU_SPEC_GATES] = NO_MANY(gate),
    [MU_SPEC_RESOURCE_CLAIMS] = NO_MANY(pod_claim),
    [40] = ONE(mu_view_spec, resources, resources),
    [42] = ONE(mu_view_spec, workload, workload_ref),
    [43] = ONE(mu_view_spec, group, scheduling_group),
};
NUMBERED(spec, mu_view_spec, pod_spec);

static const struct mu_field condition[] = {
    [1] = TEXT(mu_view_condition, type),
    [2] = TEXT(mu_view_condition, status),
    [3] = NO_ONE(time),
    [4] = NO_ONE(time),
    [5] = TEXT(mu_view_condition, reason),
    [6] = TEXT(mu_view_condition, message),
    [7] = NO(INT64),
};
TYPE(condition, mu_view_condition, pod_condition);

static const struct mu_field container_status[] = {
    [1] = TEXT(mu_view_container_status, name),
    [4] = NO(BOOL),
    [5] = NO(INT32),
    [10] = MANY(mu_view_container_status, allocated, amount),
    [11] = ONE(mu_view_container_status, resources, resources),
};
TYPE(container_status, mu_view_container_status, container_status);

static const struct mu_field status[] = {
    [1] = TEXT(mu_view_status, phase),
    [2] = MANY(mu_view_status, conditions, condition),
    [3] = NO(TEXT),
    [4] = NO(TEXT),
    [7] = ONE(mu_view_status, started, time),
    [8] = MANY(mu_view_status, containers, container_status),
    [9] = NO(TEXT),
    [10] = MANY(mu_view_status, init_containers, container_status),
    [11] = TEXT(mu_view_status, nominated_node),
    [19] = MANY(mu_view_status, allocated, amount),
    [20] = ONE(mu_view_status, resources, resources),
};
TYPE(status, mu_view_status, pod_status);

static const struct mu_field pod[] = {
    [1] = ONE(mu_view_pod, meta, meta),
    [2] = ONE(mu_view_pod, spec, spec),
    [3] = ONE(mu_view_pod, status, status),
};
const struct mu_view_type mu_view_of_pod = TYPE_OF(sizeof(struct mu_view_pod), false, pod, pod);

/* --- nodes and namespaces ------------------------------------------------------------------- */

static const struct mu_field taint[] = {
    [1] = TEXT(mu_view_taint, key),
    [2] = TEXT(mu_view_taint, value),
    [3] = TEXT(mu_view_taint, effect),
    [4] = NO_ONE(time),
};
TYPE(taint, mu_view_taint, taint);

static const struct mu_field node_spec[] = {
    [1] = NO(TEXT),
    [3] = NO(TEXT),
    [4] = BOOL(mu_view_node_spec, unschedulable),
    [5] = MANY(mu_view_node_spec, taints, taint),
};
TYPE(node_spec, mu_view_node_spec, node_spec);

static const struct mu_field node_condition[] = {
    [1] = NO(TEXT),     [2] = NO(TEXT), [3] = NO_ONE(time),
    [4] = NO_ONE(time), [5] = NO(TEXT), [6] = NO(TEXT),
};
FORM(node_condition, node_condition);

static const struct mu_field system_info[] = {
    [4] = NO(TEXT), [5] = NO(TEXT), [7] = NO(TEXT), [9] = NO(TEXT), [10] = NO(TEXT),
};
FORM(system_info, node_system_info);

static const struct mu_field image[] = {
    [1] = TEXTS(mu_view_image, names),
    [2] = INT64(mu_view_image, bytes),
};
TYPE(image, mu_view_image, container_image);

static const struct mu_field node_status[] = {
    [1] = NO_MANY(amount),
    [2] = MANY(mu_view_node_status, allocatable, amount),
    [3] = NO(TEXT),
    [4] = NO_MANY(node_condition),
    [7] = NO_ONE(system_info),
    [8] = MANY(mu_view_node_status, images, image),
    [14] = NO(TEXTS),
};
TYPE(node_status, mu_view_node_status, node_status);

static const struct mu_field node[] = {
    [1] = ONE(mu_view_node, meta, meta),
    [2] = ONE(mu_view_node, spec, node_spec),
    [3] = ONE(mu_view_node, status, node_status),
};
const struct mu_view_type mu_view_of_node = TYPE_OF(sizeof(struct mu_view_node), false, node, node);

static const struct mu_field namespace_spec[] = {[1] = NO(TEXTS)};
FORM(namespace_spec, namespace_spec);

static const struct mu_field namespace_status[] = {[1] = NO(TEXT)};
FORM(namespace_status, namespace_status);

static const struct mu_field namespace[] = {
    [1] = ONE(mu_view_namespace, meta, meta),
    [2] = NO_ONE(namespace_spec),
    [3] = NO_ONE(namespace_status),
};
const struct mu_view_type mu_view_of_namespace =
    TYPE_OF(sizeof(struct mu_view_namespace), false, namespace, namespace);

/* --- disruption budgets --------------------------------------------------------------------- */

static const struct mu_field int_or_text[] = {
    [1] = INT64(mu_view_int_or_text, type),
    [2] = INT32(mu_view_int_or_text, number),
    [3] = TEXT(mu_view_int_or_text, text),
};
TYPE(int_or_text, mu_view_int_or_text, int_or_string);

static const struct mu_field budget_spec[] = {
    [1] = ONE(mu_view_budget_spec, min_available, int_or_text),
    [2] = ONE(mu_view_budget_spec, selector, selector),
    [3] = ONE(mu_view_budget_spec, max_unavailable, int_or_text),
    [4] = NO(TEXT),
};
TYPE(budget_spec, mu_view_budget_spec, pod_disruption_budget_spec);

static const struct mu_field disrupted[] = {
    [1] = TEXT(mu_view_disrupted, name),
    [2] = NO_ONE(time),
};
TYPE(disrupted, mu_view_disrupted, time_entry);

static const struct mu_field budget_condition[] = {
    [1] = NO(TEXT),     [2] = NO(TEXT), [3] = NO(INT64),
    [4] = NO_ONE(time), [5] = NO(TEXT), [6] = NO(TEXT),
};
FORM(budget_condition, condition);

static const struct mu_field budget_status[] = {
    [1] = NO(INT64),
    [2] = MANY(mu_view_budget_status, disrupted, disrupted),
    [3] = INT32(mu_view_budget_status, allowed),
    [4] = NO(INT32),
    [5] = NO(INT32),
    [6] = NO(INT32),
    [7] = NO_MANY(budget_condition),
};
NUMBERED(budget_status, mu_view_budget_status, pod_disruption_budget_status);

static const struct mu_field budget[] = {
    [1] = ONE(mu_view_budget, meta, meta),
    [2] = ONE(mu_view_budget, spec, budget_spec),
    [3] = ONE(mu_view_budget, status, budget_status),
};
const struct mu_view_type mu_view_of_budget =
    TYPE_OF(sizeof(struct mu_view_budget), false, pod_disruption_budget, budget);
