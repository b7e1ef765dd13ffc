/*
 * Rules of pods: the admission steps that scheduling depends on, validation, what an update may
 * change, and binding. Defaults: pod_defaults.h.
 *
 * Defaults that no rule here reads are not stored but added when a pod is shown (shown.h). Left out
 * on purpose, and said so in the README: quotas, limit ranges, and validation of fields that no
 * scheduler reads.
 */
#include "tools/kubesim/api_priv.h"

#include <stdarg.h>
#include <stdio.h>
#include "engine/base/assert.h"
#include "engine/quantity.h"
#include "tools/kubesim/limits.h"
#include "tools/kubesim/pod_defaults.h"
#include "tools/kubesim/validate.h"

static bool empty(const char *text)
{
    return text == NULL || text[0] == '\0';
}

static bool is(const char *text, const char *word)
{
    return text != NULL && strcmp(text, word) == 0;
}

/* ---- quality of service ---------------------------------------------------------------------- */

static bool same_quantity(const Kube__QuantityEntry *a, const Kube__QuantityEntry *b)
{
    struct mu_quantity x;
    struct mu_quantity y;
    const char *p = a == NULL || a->value == NULL ? NULL : a->value->string;
    const char *q = b == NULL || b->value == NULL ? NULL : b->value->string;
    return !empty(p) && !empty(q) && mu_quantity_parse(mu_str_of(p), &x, NULL) == 0 &&
           mu_quantity_parse(mu_str_of(q), &y, NULL) == 0 && x.nanos == y.nanos && x.nanos != 0;
}

/* Look at the cpu and memory of some containers: whether any of them asks for something, and
 * whether all of them get just what they ask for. */
static void judge_qos(Kube__Container *const *containers, size_t count, bool *any, bool *all)
{
    static const char *const names[] = {"cpu", "memory"};
    for (size_t i = 0; i < count; i++) {
        const Kube__ResourceRequirements *r = containers[i]->resources;
        for (size_t j = 0; j < 2; j++) {
            const Kube__QuantityEntry *request =
                r == NULL ? NULL : mu_quantity_find(r->requests, r->n_requests, names[j]);
            const Kube__QuantityEntry *limit =
                r == NULL ? NULL : mu_quantity_find(r->limits, r->n_limits, names[j]);
            *any |= request != NULL || limit != NULL;
            *all &= same_quantity(request, limit);
        }
    }
}

static const char *qos_of(const Kube__PodSpec *spec)
{
    bool any = false;
    bool all = true;
    judge_qos(spec->containers, spec->n_containers, &any, &all);
    judge_qos(spec->initcontainers, spec->n_initcontainers, &any, &all);
    return !any ? "BestEffort" : all ? "Guaranteed" : "Burstable";
}

/* A new pod is pending, whatever status its creator wrote. */
static int reset_status(struct mu_call *call, Kube__Pod *pod)
{
    pod->status = (Kube__PodStatus *)mu_api_new(call->server, &kube__pod_status__descriptor);
    if (pod->status == NULL) {
        return MU_ENOMEM;
    }
    pod->status->phase = mu_api_text(call->server, MU_STR("Pending"));
    pod->status->qosclass = mu_api_text(call->server, mu_str_of(qos_of(pod->spec)));
    return pod->spec->n_schedulinggates == 0
               ? 0
               : mu_api_set_condition(call, pod->status, "PodScheduled", "False", "SchedulingGated",
                                      "Scheduling is blocked due to non-empty scheduling gates");
}

/* ---- validation --------------------------------------------------------------------------- */

/* Requests may not exceed limits; both must be quantities that are not negative. */
static int validate_resources(struct mu_call *call, const char *field,
                              const Kube__ResourceRequirements *resources)
{
    if (resources == NULL) {
        return 0;
    }
    int code = mu_api_validate_quantities(call, field, resources->n_requests, resources->requests);
    if (code == 0) {
        code = mu_api_validate_quantities(call, field, resources->n_limits, resources->limits);
    }
    for (size_t i = 0; code == 0 && i < resources->n_requests; i++) {
        const Kube__QuantityEntry *request = resources->requests[i];
        const Kube__QuantityEntry *limit =
            mu_quantity_find(resources->limits, resources->n_limits, request->key);
        if (limit == NULL || limit->value == NULL || request->value == NULL ||
            empty(limit->value->string) || empty(request->value->string)) {
            continue;
        }
        struct mu_quantity asked;
        struct mu_quantity most;
        if (mu_quantity_parse(mu_str_of(request->value->string), &asked, NULL) == 0 &&
            mu_quantity_parse(mu_str_of(limit->value->string), &most, NULL) == 0 &&
            asked.nanos > most.nanos) {
            return mu_api_invalid(
                call, field, "Invalid value: %.80s: must be less than or equal to its limit %s",
                request->key, limit->value->string);
        }
    }
    return code;
}

static int validate_containers(struct mu_call *call, Kube__Container *const *containers,
                               size_t count, const char *field)
{
    for (size_t i = 0; i < count; i++) {
        const Kube__Container *container = containers[i];
        if (!mu_valid_dns_label(mu_str_of(container->name))) {
            return mu_api_invalid(call, field,
                                  "Invalid value: container %zu: name must be a DNS label", i);
        }
        for (size_t j = 0; j < i; j++) {
            if (is(containers[j]->name, container->name)) {
                return mu_api_invalid(call, field, "Duplicate value: \"%s\"", container->name);
            }
        }
        int code = validate_resources(call, field, container->resources);
        if (code != 0) {
            return code;
        }
        for (size_t j = 0; j < container->n_ports; j++) {
            const Kube__ContainerPort *port = container->ports[j];
            if (port->hostport < 0 || port->hostport > 65535 || port->containerport < 0 ||
                port->containerport > 65535) {
                return mu_api_invalid(call, field,
                                      "Invalid value: container %zu: ports must be between 1 and "
                                      "65535",
                                      i);
            }
        }
    }
    return 0;
}

static int validate_tolerations(struct mu_call *call, const Kube__PodSpec *spec)
{
    for (size_t i = 0; i < spec->n_tolerations; i++) {
        const Kube__Toleration *t = spec->tolerations[i];
        bool exists = is(t->operator_, "Exists");
        bool equal = empty(t->operator_) || is(t->operator_, "Equal");
        bool compare = is(t->operator_, "Lt") || is(t->operator_, "Gt");
        if (!exists && !equal && !compare) {
            return mu_api_invalid(
                call, "spec.tolerations",
                "Unsupported value: toleration %zu: operator must be Equal or Exists", i);
        }
        if (exists && !empty(t->value)) {
            return mu_api_invalid(
                call, "spec.tolerations",
                "Invalid value: toleration %zu: value must be empty when operator is Exists", i);
        }
        if (empty(t->key) && !exists) {
            return mu_api_invalid(
                call, "spec.tolerations",
                "Invalid value: toleration %zu: operator must be Exists when key is empty", i);
        }
        if (!empty(t->key) && !mu_valid_label_key(mu_str_of(t->key))) {
            return mu_api_invalid(
                call, "spec.tolerations",
                "Invalid value: toleration %zu: \"%.80s\" is not a qualified name", i, t->key);
        }
    }
    return 0;
}

static int validate_terms(struct mu_call *call, const char *field,
                          Kube__PodAffinityTerm *const *terms, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (empty(terms[i]->topologykey)) {
            return mu_api_invalid(call, field,
                                  "Required value: term %zu: topologyKey can not be empty", i);
        }
    }
    return 0;
}

/* What schedulers read of the spec beside containers. */
static int validate_placement(struct mu_call *call, const Kube__PodSpec *spec)
{
    for (size_t i = 0; i < spec->n_nodeselector; i++) {
        if (!mu_valid_label_key(mu_str_of(spec->nodeselector[i]->key)) ||
            !mu_valid_label_value(mu_str_of(spec->nodeselector[i]->value))) {
            return mu_api_invalid(call, "spec.nodeSelector",
                                  "Invalid value: entry %zu is not a label", i);
        }
    }
    for (size_t i = 0; i < spec->n_topologyspreadconstraints; i++) {
        const Kube__TopologySpreadConstraint *c = spec->topologyspreadconstraints[i];
        if (c->maxskew <= 0 || empty(c->topologykey) ||
            !(is(c->whenunsatisfiable, "DoNotSchedule") ||
              is(c->whenunsatisfiable, "ScheduleAnyway"))) {
            return mu_api_invalid(
                call, "spec.topologySpreadConstraints",
                "Invalid value: constraint %zu needs maxSkew > 0, a topologyKey and "
                "whenUnsatisfiable DoNotSchedule or ScheduleAnyway",
                i);
        }
    }
    for (size_t i = 0; i < spec->n_schedulinggates; i++) {
        if (!mu_valid_label_key(mu_str_of(spec->schedulinggates[i]->name))) {
            return mu_api_invalid(call, "spec.schedulingGates",
                                  "Invalid value: gate %zu: not a qualified name", i);
        }
    }
    if (spec->n_schedulinggates > 0 && !empty(spec->nodename)) {
        return mu_api_invalid(
            call, "spec.nodeName",
            "Forbidden: cannot be set until all schedulingGates have been cleared");
    }
    int code = 0;
    const Kube__Affinity *affinity = spec->affinity;
    if (affinity != NULL && affinity->podaffinity != NULL) {
        code =
            validate_terms(call, "spec.affinity.podAffinity",
                           affinity->podaffinity->requiredduringschedulingignoredduringexecution,
                           affinity->podaffinity->n_requiredduringschedulingignoredduringexecution);
    }
    if (code == 0 && affinity != NULL && affinity->podantiaffinity != NULL) {
        code = validate_terms(
            call, "spec.affinity.podAntiAffinity",
            affinity->podantiaffinity->requiredduringschedulingignoredduringexecution,
            affinity->podantiaffinity->n_requiredduringschedulingignoredduringexecution);
    }
    return code;
}

int mu_pod_validate(struct mu_call *call, const Kube__Pod *pod)
{
    const Kube__PodSpec *spec = pod->spec;
    if (spec->n_containers == 0) {
        return mu_api_invalid(call, "spec.containers",
                              "Required value: at least one container is required");
    }
    if (spec->terminationgraceperiodseconds < 0) {
        return mu_api_invalid(call, "spec.terminationGracePeriodSeconds",
                              "Invalid value: must be greater than or equal to 0");
    }
    int code = validate_containers(call, spec->containers, spec->n_containers, "spec.containers");
    if (code == 0) {
        code = validate_containers(call, spec->initcontainers, spec->n_initcontainers,
                                   "spec.initContainers");
    }
    if (code == 0) {
        code = validate_resources(call, "spec.resources", spec->resources);
    }
    if (code == 0) {
        code = mu_api_validate_quantities(call, "spec.overhead", spec->n_overhead, spec->overhead);
    }
    if (code == 0) {
        code = validate_tolerations(call, spec);
    }
    return code != 0 ? code : validate_placement(call, spec);
}

/* The account must exist. `default` comes with every namespace and is not looked up: it can only be
 * missing when there was no memory to make it. */
static int admit_account(struct mu_call *call, const char *name)
{
    if (name == NULL || strcmp(name, "default") == 0 ||
        mu_store_get(call->server->store, MU_KIND_SERVICEACCOUNTS, call->route.ns,
                     mu_str_of(name)) != NULL) {
        return 0;
    }
    return mu_api_fail(call, 403, "Forbidden",
                       "pods \"%.*s\" is forbidden: error looking up service account %.*s/%.253s: "
                       "serviceaccount \"%.253s\" not found",
                       MU_STR_ARGS(call->route.name), MU_STR_ARGS(call->route.ns), name, name);
}

int mu_pod_create(struct mu_call *call, ProtobufCMessage *fresh)
{
    Kube__Pod *pod = (Kube__Pod *)fresh;
    if (pod->spec == NULL) {
        return mu_api_invalid(call, "spec.containers", "is required");
    }
    int code = mu_pod_default(call->server->arena, pod);
    call->server->arena_full |= code != 0;
    if (code == 0) {
        code = reset_status(call, pod);
    }
    if (code != 0) {
        return mu_api_internal(call, code);
    }
    code = admit_account(call, pod->spec->serviceaccountname);
    if (code == 0) {
        code = mu_pod_admit_priority(call, pod);
    }
    return code != 0 ? code : mu_pod_validate(call, pod);
}

/* ---- update ------------------------------------------------------------------------------- */

/* Gates may only be removed. */
static bool gates_shrink(const Kube__PodSpec *old, const Kube__PodSpec *spec)
{
    for (size_t i = 0; i < spec->n_schedulinggates; i++) {
        bool found = false;
        for (size_t j = 0; j < old->n_schedulinggates; j++) {
            found |= is(old->schedulinggates[j]->name, spec->schedulinggates[i]->name);
        }
        if (!found) {
            return false;
        }
    }
    return true;
}

/* Tolerations may only be added. */
static bool tolerations_grow(struct mu_apiserver *server, const Kube__PodSpec *old,
                             const Kube__PodSpec *spec)
{
    for (size_t i = 0; i < old->n_tolerations; i++) {
        bool found = false;
        for (size_t j = 0; j < spec->n_tolerations && !found; j++) {
            found = mu_api_same_message(server, &old->tolerations[i]->base,
                                        &spec->tolerations[j]->base);
        }
        if (!found) {
            return false;
        }
    }
    return true;
}

/* Copies of containers with the images of others: only encoded and compared. False: another number
 * of them, or (arena_full) no memory. */
static bool with_images(struct mu_apiserver *server, Kube__Container ***containers, size_t count,
                        Kube__Container *const *images, size_t image_count)
{
    Kube__Container **list = mu_api_alloc(server, (count + 1) * sizeof *list);
    if (list == NULL || count != image_count) {
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        list[i] = mu_api_alloc(server, sizeof *list[i]);
        if (list[i] == NULL) {
            return false;
        }
        *list[i] = *(*containers)[i];
        list[i]->image = images[i]->image;
    }
    *containers = list;
    return true;
}

/* True when the two specs agree in everything that an update may not touch. */
static bool same_fixed_parts(struct mu_apiserver *server, const Kube__PodSpec *old,
                             const Kube__PodSpec *spec)
{
    Kube__PodSpec fixed = *spec; /* shallow: only encoded and compared */
    bool over = old->has_terminationgraceperiodseconds && old->terminationgraceperiodseconds < 0;
    fixed.n_tolerations = old->n_tolerations;
    fixed.tolerations = old->tolerations;
    fixed.n_schedulinggates = old->n_schedulinggates;
    fixed.schedulinggates = old->schedulinggates;
    fixed.has_activedeadlineseconds = old->has_activedeadlineseconds;
    fixed.activedeadlineseconds = old->activedeadlineseconds;
    if (over && spec->terminationgraceperiodseconds == 1) {
        fixed.terminationgraceperiodseconds = old->terminationgraceperiodseconds;
    }
    if (old->n_schedulinggates > 0) { /* placement rules of a gated pod are still its owner's */
        fixed.n_nodeselector = old->n_nodeselector;
        fixed.nodeselector = old->nodeselector;
        fixed.affinity = old->affinity;
    }
    return with_images(server, &fixed.containers, fixed.n_containers, old->containers,
                       old->n_containers) &&
           with_images(server, &fixed.initcontainers, fixed.n_initcontainers, old->initcontainers,
                       old->n_initcontainers) &&
           mu_api_same_message(server, &old->base, &fixed.base);
}

int mu_pod_update(struct mu_call *call, const ProtobufCMessage *before, ProtobufCMessage *after)
{
    const Kube__Pod *old = (const Kube__Pod *)before;
    Kube__Pod *pod = (Kube__Pod *)after;
    MU_ASSERT(old->spec != NULL && old->status != NULL); /* creation saw to both */
    if (pod->spec == NULL) {
        return mu_api_invalid(call, "spec.containers", "is required");
    }
    if (strcmp(empty(old->spec->nodename) ? "" : old->spec->nodename,
               empty(pod->spec->nodename) ? "" : pod->spec->nodename) != 0) {
        return mu_api_invalid(call, "spec.nodeName", "Forbidden: is set by a binding only");
    }
    if (!gates_shrink(old->spec, pod->spec)) {
        return mu_api_invalid(call, "spec.schedulingGates", "Forbidden: only deletion is allowed");
    }
    if (!tolerations_grow(call->server, old->spec, pod->spec)) {
        return mu_api_invalid(call, "spec.tolerations",
                              "Forbidden: existing toleration can not be modified except its "
                              "tolerationSeconds");
    }
    if (!same_fixed_parts(call->server, old->spec, pod->spec)) {
        return mu_api_invalid(call, "spec",
                              "Forbidden: pod updates may not change fields other than "
                              "`spec.containers[*].image`,`spec.initContainers[*].image`,"
                              "`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to "
                              "existing tolerations),`spec.terminationGracePeriodSeconds` (allow "
                              "it to be set to 1 if it was previously negative)");
    }
    if (old->spec->n_schedulinggates > 0 && pod->spec->n_schedulinggates == 0) {
        /* The condition said SchedulingGated; the scheduler owns it from here on. */
        Kube__PodStatus *status = pod->status;
        for (size_t i = 0; i < status->n_conditions; i++) {
            if (is(status->conditions[i]->type, "PodScheduled")) {
                status->conditions[i] = status->conditions[--status->n_conditions];
                break;
            }
        }
    }
    return mu_pod_validate(call, pod);
}

/* ---- binding ------------------------------------------------------------------------------ */

__attribute__((format(printf, 2, 3))) static int bind_conflict(struct mu_call *call,
                                                               const char *format, ...)
{
    char text[400];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return mu_api_fail(call, 409, "Conflict",
                       "Operation cannot be fulfilled on pods/binding \"%.*s\": %s",
                       MU_STR_ARGS(call->route.name), text);
}

static int check_binding(struct mu_call *call, const Kube__Binding *binding)
{
    const Kube__ObjectMeta *meta = binding->metadata;
    if (meta == NULL || !mu_str_equal(mu_str_of(meta->name), call->route.name) ||
        (!empty(meta->namespace_) && !mu_str_equal(mu_str_of(meta->namespace_), call->route.ns))) {
        return mu_api_fail(call, 400, "BadRequest",
                           "name and namespace in the binding do not match those in the URL");
    }
    const Kube__ObjectReference *target = binding->target;
    if (target == NULL || !(empty(target->kind) || is(target->kind, "Node"))) {
        return mu_api_invalid(call, "target.kind", "unsupported value, expected \"Node\"");
    }
    if (!mu_valid_dns_subdomain(mu_str_of(target->name))) {
        return mu_api_invalid(call, "target.name", "expected the name of a node");
    }
    return 0;
}

/* Whether this pod, as it is, may be bound by this binding. */
static int check_bindable(struct mu_call *call, const struct mu_kobject *object,
                          const Kube__Pod *pod, const Kube__ObjectMeta *want)
{
    uint64_t version = 0;
    if (!empty(want->uid) && !mu_str_equal(mu_str_of(want->uid), mu_kobject_uid(object))) {
        return bind_conflict(call, "Precondition failed: UID in precondition: %s", want->uid);
    }
    if (!empty(want->resourceversion) &&
        (!mu_str_to_u64(mu_str_of(want->resourceversion), &version) ||
         version != object->version)) {
        return bind_conflict(call, "Precondition failed: ResourceVersion in precondition: %.80s",
                             want->resourceversion);
    }
    if (pod->metadata->deletiontimestamp != NULL) {
        return bind_conflict(call, "pod %s is being deleted, cannot be assigned to a host",
                             pod->metadata->name);
    }
    if (!empty(pod->spec->nodename)) {
        return bind_conflict(call, "pod is already assigned to node \"%s\"", pod->spec->nodename);
    }
    if (pod->spec->n_schedulinggates > 0) {
        return bind_conflict(call, "pod %s has non-empty .spec.schedulingGates",
                             pod->metadata->name);
    }
    return 0;
}

static int assign(struct mu_call *call, Kube__Pod *pod, const Kube__Binding *binding)
{
    const Kube__ObjectMeta *from = binding->metadata;
    pod->spec->nodename = binding->target->name;
    pod->status->nominatednodename = NULL;
    int code = mu_api_set_condition(call, pod->status, "PodScheduled", "True", NULL, NULL);
    for (size_t i = 0; code == 0 && i < from->n_annotations; i++) {
        code = mu_api_map_set(call->server, &pod->metadata->annotations,
                              &pod->metadata->n_annotations, mu_str_of(from->annotations[i]->key),
                              mu_str_of(from->annotations[i]->value));
    }
    if (code != 0) {
        return mu_api_internal(call, code);
    }
    return mu_api_validate_meta(call, &mu_kinds[MU_KIND_PODS], pod->metadata);
}

int mu_api_bind(struct mu_call *call)
{
    static const char *const versions[] = {"v1", NULL};
    struct mu_apiserver *server = call->server;
    ProtobufCMessage *body = NULL;
    int code = mu_api_body(call, &kube__binding__descriptor, versions, "Binding", &body);
    const Kube__Binding *binding = (const Kube__Binding *)body;
    if (code == 0) {
        code = check_binding(call, binding);
    }
    if (code != 0) {
        return code;
    }
    struct mu_kobject *object =
        mu_store_get(server->store, MU_KIND_PODS, call->route.ns, call->route.name);
    if (object == NULL) {
        return mu_api_fail(call, 404, "NotFound", "pods \"%.*s\" not found",
                           MU_STR_ARGS(call->route.name));
    }
    Kube__Pod *pod =
        (Kube__Pod *)mu_api_unpack(server, &kube__pod__descriptor, mu_kobject_raw(object));
    if (pod == NULL) {
        return mu_api_internal(call, MU_ENOMEM);
    }
    code = check_bindable(call, object, pod, binding->metadata);
    if (code == 0) {
        code = assign(call, pod, binding);
    }
    if (code == 0) {
        code = mu_api_store(call, MU_KIND_PODS, &pod->base, NULL);
    }
    return code != 0 ? code : mu_api_success(call, 201);
}
