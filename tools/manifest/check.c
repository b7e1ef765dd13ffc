/* Each check returns false when it has written to `c` what is wrong. Sources: kubernetes
 * pkg/apis/core/validation. */
#include "tools/manifest/check.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include "engine/limits.h"
#include "engine/quantity.h"
#include "engine/resource.h"
#include "informer/dialect.h"
#include "tools/kubesim/validate.h"
#include "tools/manifest/limits.h"

#define WORD_MAX 80 /* of a value in a complaint */
#define NANOS    1000000000u

static bool empty(const char *text)
{
    return text == NULL || text[0] == '\0';
}

static bool is(const char *text, const char *word)
{
    return text != NULL && strcmp(text, word) == 0;
}

static const char *shown(const char *text)
{
    return text != NULL ? text : "";
}

/* Where a check is: the path of what it looks at, and where to complain. */
struct at {
    struct mu_check *c;
    char path[384];
};

__attribute__((format(printf, 2, 3))) static struct at at(struct mu_check *c, const char *format,
                                                          ...)
{
    struct at a = {.c = c};
    va_list args;
    va_start(args, format);
    (void)vsnprintf(a.path, sizeof a.path, format, args);
    va_end(args);
    return a;
}

/* `field` goes behind the path, with its dot or bracket. Always false. */
__attribute__((format(printf, 3, 4))) static bool bad(const struct at *a, const char *field,
                                                      const char *format, ...)
{
    va_list args;
    va_start(args, format);
    (void)vsnprintf(a->c->problem, sizeof a->c->problem, format, args);
    va_end(args);
    (void)snprintf(a->c->path, sizeof a->c->path, "%s%s", a->path, field);
    return false;
}

static bool one_of(const char *text, const char *const *words)
{
    for (; *words != NULL; words++)
        if (is(text, *words))
            return true;
    return false;
}

/* ---- names, labels, quantities ------------------------------------------------------------ */

static bool check_labels(const struct at *a, Kube__StringEntry *const *labels, size_t count)
{
    char field[WORD_MAX + 4];
    for (size_t i = 0; i < count; i++) {
        const char *key = shown(labels[i]->key);
        (void)snprintf(field, sizeof field, "[%.*s]", WORD_MAX, key);
        if (!mu_valid_label_key(mu_str_of(key)))
            return bad(a, field, "'%.*s' is not a label key; expected [prefix/]name", WORD_MAX,
                       key);
        if (!mu_valid_label_value(mu_str_of(labels[i]->value)))
            return bad(a, field,
                       "'%.*s' is not a label value; expected at most 63 letters, digits, '-', "
                       "'_' and '.'",
                       WORD_MAX, shown(labels[i]->value));
    }
    return true;
}

bool mu_check_known_resource(const char *name)
{
    static const char *const known[] = {"cpu", "memory", "ephemeral-storage", NULL};
    return strchr(shown(name), '/') != NULL || one_of(name, known) ||
           mu_str_starts_with(mu_str_of(name), MU_STR("hugepages-"));
}

/* Devices and the like: what has a domain in front that is not Kubernetes' own. */
static bool is_extended(const char *name)
{
    return strchr(shown(name), '/') != NULL &&
           strstr(name, "kubernetes.io/") == NULL; /* node.kubernetes.io/ and so on as well */
}

static bool check_quantities(const struct at *a, Kube__QuantityEntry *const *entries, size_t count)
{
    char field[WORD_MAX + 4];
    for (size_t i = 0; i < count; i++) {
        const Kube__Quantity *value = entries[i]->value;
        const char *text = value == NULL ? "" : shown(value->string);
        struct mu_quantity q;
        (void)snprintf(field, sizeof field, ".%.*s", WORD_MAX, shown(entries[i]->key));
        if (mu_quantity_parse(mu_str_of(text), &q, NULL) != 0)
            return bad(a, field, "'%.*s' is not a quantity; expected a number like 2, 500m or 4Gi",
                       WORD_MAX, text);
        if (q.negative)
            return bad(a, field, "'%.*s' is negative; expected at least 0", WORD_MAX, text);
        if (is_extended(entries[i]->key) && q.nanos % NANOS != 0)
            return bad(a, field,
                       "'%.*s' is no whole number, which what is counted in pieces must be",
                       WORD_MAX, text);
        bool cpu = is(entries[i]->key, "cpu");
        if ((cpu ? mu_quantity_milli_value(&q) : mu_quantity_value(&q)) >= MU_AMOUNT_MAX)
            return bad(a, field, "'%.*s' is beyond all bounds; expected less than 2^63 - 1%s",
                       WORD_MAX, text, cpu ? " thousandths" : "");
    }
    return true;
}

/* Of what a pod asks for: without a domain in front, names are Kubernetes' own. */
static bool check_asked(const struct at *a, Kube__QuantityEntry *const *entries, size_t count)
{
    char field[WORD_MAX + 4];
    for (size_t i = 0; i < count; i++) {
        const char *name = shown(entries[i]->key);
        (void)snprintf(field, sizeof field, ".%.*s", WORD_MAX, name);
        if (!mu_check_known_resource(name))
            return bad(a, field,
                       "'%.*s' is not a resource; expected cpu, memory, ephemeral-storage, "
                       "hugepages-SIZE or DOMAIN/NAME",
                       WORD_MAX, name);
    }
    return check_quantities(a, entries, count);
}

static bool check_meta(struct mu_check *c, const Kube__ObjectMeta *meta)
{
    struct at a = at(c, "metadata");
    const char *name = meta == NULL ? NULL : meta->name;
    if (empty(name))
        return bad(&a, ".name", "expected a name");
    if (!mu_valid_dns_subdomain(mu_str_of(name)))
        return bad(&a, ".name",
                   "'%.*s' is not a name; expected at most 253 of a-z, 0-9, '-' and '.'", WORD_MAX,
                   name);
    if (!empty(meta->namespace_) && !mu_valid_dns_label(mu_str_of(meta->namespace_)))
        return bad(&a, ".namespace",
                   "'%.*s' is not a namespace; expected at most 63 of a-z, 0-9 and '-'", WORD_MAX,
                   meta->namespace_);
    a = at(c, "metadata.labels");
    return check_labels(&a, meta->labels, meta->n_labels);
}

/* ---- selectors ---------------------------------------------------------------------------- */

/* How many values an operator takes. */
static bool check_value_count(const struct at *a, const char *op, size_t count)
{
    bool none = is(op, "Exists") || is(op, "DoesNotExist");
    bool one = is(op, "Gt") || is(op, "Lt");
    if (none && count > 0)
        return bad(a, ".values", "expected none with %s", op);
    if (one && count != 1)
        return bad(a, ".values", "expected one with %s", op);
    if (!none && count == 0)
        return bad(a, ".values", "expected at least one with %s", op);
    return true;
}

static bool check_selector(const struct at *a, const Kube__LabelSelector *selector)
{
    static const char *const ops[] = {"In", "NotIn", "Exists", "DoesNotExist", NULL};
    if (selector == NULL)
        return true;
    struct at inner = at(a->c, "%s.matchLabels", a->path);
    if (!check_labels(&inner, selector->matchlabels, selector->n_matchlabels))
        return false;
    for (size_t i = 0; i < selector->n_matchexpressions; i++) {
        const Kube__LabelSelectorRequirement *r = selector->matchexpressions[i];
        inner = at(a->c, "%s.matchExpressions[%zu]", a->path, i);
        if (!mu_valid_label_key(mu_str_of(r->key)))
            return bad(&inner, ".key", "'%.*s' is not a label key; expected [prefix/]name",
                       WORD_MAX, shown(r->key));
        if (!one_of(r->operator_, ops))
            return bad(&inner, ".operator",
                       "'%.*s' is none; expected In, NotIn, Exists or DoesNotExist", WORD_MAX,
                       shown(r->operator_));
        if (!check_value_count(&inner, r->operator_, r->n_values))
            return false;
    }
    return true;
}

static bool check_expressions(const struct at *a, Kube__NodeSelectorRequirement *const *list,
                              size_t count)
{
    static const char *const ops[] = {"In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt", NULL};
    for (size_t i = 0; i < count; i++) {
        struct at inner = at(a->c, "%s.matchExpressions[%zu]", a->path, i);
        if (!mu_valid_label_key(mu_str_of(list[i]->key)))
            return bad(&inner, ".key", "'%.*s' is not a label key; expected [prefix/]name",
                       WORD_MAX, shown(list[i]->key));
        if (!one_of(list[i]->operator_, ops))
            return bad(&inner, ".operator",
                       "'%.*s' is none; expected In, NotIn, Exists, DoesNotExist, Gt or Lt",
                       WORD_MAX, shown(list[i]->operator_));
        if (!check_value_count(&inner, list[i]->operator_, list[i]->n_values))
            return false;
    }
    return true;
}

static bool check_node_term(const struct at *a, const Kube__NodeSelectorTerm *term)
{
    if (term == NULL)
        return true;
    if (!check_expressions(a, term->matchexpressions, term->n_matchexpressions))
        return false;
    for (size_t i = 0; i < term->n_matchfields; i++) {
        const Kube__NodeSelectorRequirement *r = term->matchfields[i];
        struct at inner = at(a->c, "%s.matchFields[%zu]", a->path, i);
        if (!is(r->key, "metadata.name"))
            return bad(&inner, ".key", "'%.*s' is no field to match; expected metadata.name",
                       WORD_MAX, shown(r->key));
        if (!is(r->operator_, "In") && !is(r->operator_, "NotIn"))
            return bad(&inner, ".operator", "'%.*s' is none; expected In or NotIn", WORD_MAX,
                       shown(r->operator_));
        if (r->n_values != 1)
            return bad(&inner, ".values", "expected one");
    }
    return true;
}

/* ---- affinity ----------------------------------------------------------------------------- */

static bool check_weight(const struct at *a, int32_t weight)
{
    return (weight >= 1 && weight <= 100) || bad(a, ".weight", "%d; expected 1 to 100", weight);
}

static bool check_node_affinity(struct mu_check *c, const Kube__NodeAffinity *affinity)
{
    static const char path[] = "spec.affinity.nodeAffinity";
    if (affinity == NULL)
        return true;
    const Kube__NodeSelector *required = affinity->requiredduringschedulingignoredduringexecution;
    struct at a = at(c, "%s.requiredDuringSchedulingIgnoredDuringExecution", path);
    if (required != NULL && required->n_nodeselectorterms == 0)
        return bad(&a, ".nodeSelectorTerms", "expected at least one");
    for (size_t i = 0; required != NULL && i < required->n_nodeselectorterms; i++) {
        struct at term = at(
            c, "%s.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[%zu]", path, i);
        if (!check_node_term(&term, required->nodeselectorterms[i]))
            return false;
    }
    for (size_t i = 0; i < affinity->n_preferredduringschedulingignoredduringexecution; i++) {
        const Kube__PreferredSchedulingTerm *p =
            affinity->preferredduringschedulingignoredduringexecution[i];
        a = at(c, "%s.preferredDuringSchedulingIgnoredDuringExecution[%zu]", path, i);
        struct at term = at(c, "%s.preference", a.path);
        if (!check_weight(&a, p->weight) || !check_node_term(&term, p->preference))
            return false;
    }
    return true;
}

static bool check_pod_term(const struct at *a, const Kube__PodAffinityTerm *term)
{
    if (term == NULL || empty(term->topologykey))
        return bad(a, ".topologyKey", "expected a label key of nodes");
    if (!mu_valid_label_key(mu_str_of(term->topologykey)))
        return bad(a, ".topologyKey", "'%.*s' is not a label key; expected [prefix/]name", WORD_MAX,
                   term->topologykey);
    struct at selector = at(a->c, "%s.labelSelector", a->path);
    struct at namespaces = at(a->c, "%s.namespaceSelector", a->path);
    return check_selector(&selector, term->labelselector) &&
           check_selector(&namespaces, term->namespaceselector);
}

/* The terms of pod affinity or anti-affinity, which differ in their names alone. */
static bool check_pod_terms(struct mu_check *c, const char *path,
                            Kube__PodAffinityTerm *const *required, size_t required_count,
                            Kube__WeightedPodAffinityTerm *const *preferred, size_t preferred_count)
{
    for (size_t i = 0; i < required_count; i++) {
        struct at a = at(c, "%s.requiredDuringSchedulingIgnoredDuringExecution[%zu]", path, i);
        if (!check_pod_term(&a, required[i]))
            return false;
    }
    for (size_t i = 0; i < preferred_count; i++) {
        struct at a = at(c, "%s.preferredDuringSchedulingIgnoredDuringExecution[%zu]", path, i);
        struct at term = at(c, "%s.podAffinityTerm", a.path);
        if (!check_weight(&a, preferred[i]->weight) ||
            !check_pod_term(&term, preferred[i]->podaffinityterm))
            return false;
    }
    return true;
}

static bool check_affinity(struct mu_check *c, const Kube__Affinity *affinity)
{
    if (affinity == NULL)
        return true;
    const Kube__PodAffinity *with = affinity->podaffinity;
    const Kube__PodAntiAffinity *apart = affinity->podantiaffinity;
    return check_node_affinity(c, affinity->nodeaffinity) &&
           (with == NULL ||
            check_pod_terms(c, "spec.affinity.podAffinity",
                            with->requiredduringschedulingignoredduringexecution,
                            with->n_requiredduringschedulingignoredduringexecution,
                            with->preferredduringschedulingignoredduringexecution,
                            with->n_preferredduringschedulingignoredduringexecution)) &&
           (apart == NULL ||
            check_pod_terms(c, "spec.affinity.podAntiAffinity",
                            apart->requiredduringschedulingignoredduringexecution,
                            apart->n_requiredduringschedulingignoredduringexecution,
                            apart->preferredduringschedulingignoredduringexecution,
                            apart->n_preferredduringschedulingignoredduringexecution));
}

static bool check_policy(const struct at *a, const char *field, const char *value)
{
    return empty(value) || is(value, "Honor") || is(value, "Ignore") ||
           bad(a, field, "'%.*s' is none; expected Honor or Ignore", WORD_MAX, value);
}

static bool check_spreads(struct mu_check *c, const Kube__PodSpec *spec)
{
    for (size_t i = 0; i < spec->n_topologyspreadconstraints; i++) {
        const Kube__TopologySpreadConstraint *s = spec->topologyspreadconstraints[i];
        struct at a = at(c, "spec.topologySpreadConstraints[%zu]", i);
        struct at selector = at(c, "%s.labelSelector", a.path);
        bool hard = is(s->whenunsatisfiable, "DoNotSchedule");
        if (s->maxskew <= 0)
            return bad(&a, ".maxSkew", "%d; expected at least 1", s->maxskew);
        if (!mu_valid_label_key(mu_str_of(s->topologykey)))
            return bad(&a, ".topologyKey", "'%.*s' is not a label key; expected [prefix/]name",
                       WORD_MAX, shown(s->topologykey));
        if (!hard && !is(s->whenunsatisfiable, "ScheduleAnyway"))
            return bad(&a, ".whenUnsatisfiable",
                       "'%.*s' is none; expected DoNotSchedule or ScheduleAnyway", WORD_MAX,
                       shown(s->whenunsatisfiable));
        if (s->has_mindomains && (s->mindomains <= 0 || !hard))
            return bad(&a, ".minDomains", "%d; expected at least 1, with DoNotSchedule alone",
                       s->mindomains);
        if (!check_policy(&a, ".nodeAffinityPolicy", s->nodeaffinitypolicy) ||
            !check_policy(&a, ".nodeTaintsPolicy", s->nodetaintspolicy) ||
            !check_selector(&selector, s->labelselector))
            return false;
    }
    return true;
}

/* ---- pods --------------------------------------------------------------------------------- */

/* The quantity of that name, which was checked before. Of two the last one counts. */
static const char *find_quantity(Kube__QuantityEntry *const *entries, size_t count,
                                 const char *name, struct mu_quantity *out)
{
    const char *text = NULL;
    for (size_t i = 0; i < count; i++)
        if (is(entries[i]->key, name))
            text = entries[i]->value == NULL ? "" : shown(entries[i]->value->string);
    return text != NULL && mu_quantity_parse(mu_str_of(text), out, NULL) == 0 ? text : NULL;
}

/* Requests within their limits; of what cannot be overcommitted they are the limits. */
static bool check_limits(const struct at *a, const Kube__ResourceRequirements *resources)
{
    char field[WORD_MAX + 4];
    size_t most_of =
        resources->n_requests > resources->n_limits ? resources->n_requests : resources->n_limits;
    if (most_of > MU_MANIFEST_RESOURCES_MAX)
        return bad(a, "", "%zu here or among the limits; expected at most %u", most_of,
                   MU_MANIFEST_RESOURCES_MAX);
    for (size_t i = 0; i < resources->n_requests; i++) {
        const char *name = shown(resources->requests[i]->key);
        bool exact = is_extended(name) || mu_str_starts_with(mu_str_of(name), MU_STR("hugepages-"));
        struct mu_quantity asked, most;
        const char *limit = find_quantity(resources->limits, resources->n_limits, name, &most);
        if (limit == NULL ||
            find_quantity(resources->requests, resources->n_requests, name, &asked) == NULL)
            continue;
        (void)snprintf(field, sizeof field, ".%.*s", WORD_MAX, name);
        if (exact && asked.nanos != most.nanos)
            return bad(a, field, "expected as much as its limit, %.*s", WORD_MAX, limit);
        if (asked.nanos > most.nanos)
            return bad(a, field, "expected at most its limit, %.*s", WORD_MAX, limit);
    }
    return true;
}

static bool check_resources(struct mu_check *c, const char *path,
                            const Kube__ResourceRequirements *resources)
{
    if (resources == NULL)
        return true;
    struct at requests = at(c, "%s.requests", path);
    struct at limits = at(c, "%s.limits", path);
    return check_asked(&requests, resources->requests, resources->n_requests) &&
           check_asked(&limits, resources->limits, resources->n_limits) &&
           check_limits(&requests, resources);
}

static bool check_port(const struct at *a, const char *field, int32_t port)
{
    return (port >= 0 && port <= 65535) || bad(a, field, "%d; expected 1 to 65535", port);
}

static bool check_containers(struct mu_check *c, const char *list,
                             Kube__Container *const *containers, size_t count)
{
    static const char *const protocols[] = {"", "TCP", "UDP", "SCTP", NULL};
    for (size_t i = 0; i < count; i++) {
        const Kube__Container *container = containers[i];
        struct at resources = at(c, "spec.%s[%zu].resources", list, i);
        if (!check_resources(c, resources.path, container->resources))
            return false;
        for (size_t j = 0; j < container->n_ports; j++) {
            const Kube__ContainerPort *port = container->ports[j];
            struct at a = at(c, "spec.%s[%zu].ports[%zu]", list, i, j);
            if (!check_port(&a, ".hostPort", port->hostport) ||
                !check_port(&a, ".containerPort", port->containerport))
                return false;
            if (!one_of(shown(port->protocol), protocols))
                return bad(&a, ".protocol", "'%.*s' is none; expected TCP, UDP or SCTP", WORD_MAX,
                           port->protocol);
        }
    }
    return true;
}

/* No two of one name among containers and init containers. */
static bool check_names(struct mu_check *c, const Kube__PodSpec *spec)
{
    const size_t count = spec->n_containers;
    if (count + spec->n_initcontainers > MU_MANIFEST_CONTAINERS_MAX) {
        struct at all = at(c, "spec");
        return bad(&all, ".containers", "%zu with init containers; expected at most %u",
                   count + spec->n_initcontainers, MU_MANIFEST_CONTAINERS_MAX);
    }
    for (size_t i = 0; i < count + spec->n_initcontainers; i++) {
        const bool init = i >= count;
        const char *name = init ? spec->initcontainers[i - count]->name : spec->containers[i]->name;
        struct at a =
            at(c, "spec.%s[%zu]", init ? "initContainers" : "containers", init ? i - count : i);
        for (size_t j = 0; j < i && !empty(name); j++)
            if (is(j < count ? spec->containers[j]->name : spec->initcontainers[j - count]->name,
                   name))
                return bad(&a, ".name", "'%.*s' is the name of an earlier one", WORD_MAX, name);
    }
    return true;
}

static bool check_tolerations(struct mu_check *c, const Kube__PodSpec *spec)
{
    static const char *const ops[] = {"", "Equal", "Exists", "Lt", "Gt", NULL};
    static const char *const effects[] = {"", "NoSchedule", "PreferNoSchedule", "NoExecute", NULL};
    for (size_t i = 0; i < spec->n_tolerations; i++) {
        const Kube__Toleration *t = spec->tolerations[i];
        struct at a = at(c, "spec.tolerations[%zu]", i);
        if (!one_of(shown(t->operator_), ops))
            return bad(&a, ".operator", "'%.*s' is none; expected Equal, Exists, Lt or Gt",
                       WORD_MAX, t->operator_);
        if (!one_of(shown(t->effect), effects))
            return bad(&a, ".effect",
                       "'%.*s' is none; expected NoSchedule, PreferNoSchedule or NoExecute",
                       WORD_MAX, t->effect);
        if (is(t->operator_, "Exists") && !empty(t->value))
            return bad(&a, ".value", "expected none with Exists");
        if (empty(t->key) && !is(t->operator_, "Exists"))
            return bad(&a, ".operator", "expected Exists, since there is no key");
        if (!empty(t->key) && !mu_valid_label_key(mu_str_of(t->key)))
            return bad(&a, ".key", "'%.*s' is not a taint's key; expected [prefix/]name", WORD_MAX,
                       t->key);
    }
    return true;
}

/* Digits with one point, above 0 and below 1: as informer/codec_device.c reads it. */
static bool is_fraction(const char *text)
{
    struct mu_quantity q;
    struct mu_str all = mu_str_of(text);
    uint32_t points = 0;
    for (uint32_t i = 0; i < all.len; i++) {
        points += all.data[i] == '.';
        if (all.data[i] != '.' && (all.data[i] < '0' || all.data[i] > '9'))
            return false;
    }
    return points == 1 && all.len <= 32 && mu_quantity_parse(all, &q, NULL) == 0 && q.nanos > 0 &&
           q.nanos < 1000000000u;
}

/* Whether it is still to be placed by us: `muster` asks for the pods of these schedulers. What is
 * settled, or another's to place, was taken by an API server as it is. */
static bool is_to_be_placed(const Kube__Pod *pod)
{
    static const char *const ours[] = {"", "default-scheduler", "muster", NULL};
    const char *phase = pod->status != NULL ? shown(pod->status->phase) : "";
    const Kube__PodSpec *spec = pod->spec;
    bool settled =
        is(phase, "Succeeded") || is(phase, "Failed") || pod->metadata->deletiontimestamp != NULL;
    return !settled &&
           (spec == NULL || (empty(spec->nodename) && one_of(shown(spec->schedulername), ours)));
}

/* Those that decide on placing. No API server looks at them. */
static bool check_annotations(struct mu_check *c, const Kube__ObjectMeta *meta)
{
    struct at a = at(c, "metadata.annotations");
    for (size_t i = 0; i < meta->n_annotations; i++) {
        const char *key = shown(meta->annotations[i]->key);
        const char *value = shown(meta->annotations[i]->value);
        uint64_t size = 0;
        if (is(key, MU_GANG_SIZE_ANNOTATION) &&
            (!mu_str_to_u64(mu_str_of(value), &size) || size == 0 || size > MU_GANG_MEMBERS_MAX))
            return bad(&a, "[" MU_GANG_SIZE_ANNOTATION "]",
                       "'%.*s' is not a size; expected a whole number, 1 to %u", WORD_MAX, value,
                       MU_GANG_MEMBERS_MAX);
        if (is(key, "gpu-fraction") && !is_fraction(value))
            return bad(&a, "[gpu-fraction]",
                       "'%.*s' is not a share; expected a number such as 0.5, above 0 and below 1",
                       WORD_MAX, value);
    }
    return true;
}

static bool check_preempting(struct mu_check *c, const char *field, const char *policy)
{
    struct at a = at(c, "%s", field);
    return empty(policy) || is(policy, "Never") || is(policy, "PreemptLowerPriority") ||
           bad(&a, "", "'%.*s' is none; expected Never or PreemptLowerPriority", WORD_MAX, policy);
}

bool mu_check_pod(const Kube__Pod *pod, struct mu_check *out)
{
    const Kube__PodSpec *spec = pod->spec;
    if (!check_meta(out, pod->metadata) ||
        (is_to_be_placed(pod) && !check_annotations(out, pod->metadata)))
        return false;
    struct at a = at(out, "spec");
    if (spec == NULL || spec->n_containers == 0)
        return bad(&a, ".containers", "expected at least one");
    if (spec->n_schedulinggates > 0 && !empty(spec->nodename))
        return bad(&a, ".nodeName", "expected none while there are schedulingGates");
    struct at selector = at(out, "spec.nodeSelector");
    struct at overhead = at(out, "spec.overhead");
    return check_containers(out, "containers", spec->containers, spec->n_containers) &&
           check_containers(out, "initContainers", spec->initcontainers, spec->n_initcontainers) &&
           check_names(out, spec) && check_resources(out, "spec.resources", spec->resources) &&
           check_asked(&overhead, spec->overhead, spec->n_overhead) &&
           check_labels(&selector, spec->nodeselector, spec->n_nodeselector) &&
           check_tolerations(out, spec) && check_affinity(out, spec->affinity) &&
           check_spreads(out, spec) &&
           check_preempting(out, "spec.preemptionPolicy", spec->preemptionpolicy);
}

/* ---- the other kinds ---------------------------------------------------------------------- */

static bool check_taints(struct mu_check *c, const Kube__NodeSpec *spec)
{
    static const char *const effects[] = {"NoSchedule", "PreferNoSchedule", "NoExecute", NULL};
    for (size_t i = 0; i < spec->n_taints; i++) {
        const Kube__Taint *t = spec->taints[i];
        struct at a = at(c, "spec.taints[%zu]", i);
        if (!mu_valid_label_key(mu_str_of(t->key)))
            return bad(&a, ".key", "'%.*s' is not a taint's key; expected [prefix/]name", WORD_MAX,
                       shown(t->key));
        if (!one_of(t->effect, effects))
            return bad(&a, ".effect",
                       "'%.*s' is none; expected NoSchedule, PreferNoSchedule or NoExecute",
                       WORD_MAX, shown(t->effect));
    }
    return true;
}

bool mu_check_node(const Kube__Node *node, struct mu_check *out)
{
    if (!check_meta(out, node->metadata) || (node->spec != NULL && !check_taints(out, node->spec)))
        return false;
    const Kube__NodeStatus *status = node->status;
    struct at allocatable = at(out, "status.allocatable");
    struct at capacity = at(out, "status.capacity");
    return status == NULL ||
           (check_quantities(&allocatable, status->allocatable, status->n_allocatable) &&
            check_quantities(&capacity, status->capacity, status->n_capacity));
}

bool mu_check_namespace(const Kube__Namespace *ns, struct mu_check *out)
{
    if (!check_meta(out, ns->metadata))
        return false;
    struct at a = at(out, "metadata");
    return mu_valid_dns_label(mu_str_of(ns->metadata->name)) ||
           bad(&a, ".name", "'%.*s' is not a namespace; expected at most 63 of a-z, 0-9 and '-'",
               WORD_MAX, ns->metadata->name);
}

bool mu_check_priority_class(const Kube__PriorityClass *class_, struct mu_check *out)
{
    return check_meta(out, class_->metadata) && /* a value that is missing is 0 */
           check_preempting(out, "preemptionPolicy", class_->preemptionpolicy);
}

/* A count of pods, or a share of them. */
static bool check_pods(const struct at *a, const Kube__IntOrString *pods)
{
    if (pods == NULL)
        return true;
    if (pods->type == 0)
        return pods->intval >= 0 ? true : bad(a, "", "expected 0 or more");
    const char *text = shown(pods->strval);
    size_t digits = strspn(text, "0123456789");
    if (digits == 0 || digits > 3 || strcmp(text + digits, "%") != 0)
        return bad(a, "", "'%.*s' is neither a number nor a percentage such as 50%%", WORD_MAX,
                   text);
    return true;
}

bool mu_check_budget(const Kube__PodDisruptionBudget *budget, struct mu_check *out)
{
    const Kube__PodDisruptionBudgetSpec *spec = budget->spec;
    if (!check_meta(out, budget->metadata))
        return false;
    if (spec == NULL)
        return true;
    struct at min = at(out, "spec.minAvailable");
    struct at max = at(out, "spec.maxUnavailable");
    struct at selector = at(out, "spec.selector");
    if (spec->minavailable != NULL && spec->maxunavailable != NULL)
        return bad(&max, "", "expected only one of minAvailable and maxUnavailable");
    return check_pods(&min, spec->minavailable) && check_pods(&max, spec->maxunavailable) &&
           check_selector(&selector, spec->selector);
}
