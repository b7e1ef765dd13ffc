#include "tools/kubesim/pod_defaults.h"

#include <string.h>
#include "engine/base/error.h"
#include "tools/kubesim/api_priv.h"

#define TOLERATION_SECONDS 300 /* kube-apiserver's --default-*-toleration-seconds */

static bool empty(const char *text)
{
    return text == NULL || text[0] == '\0';
}

static bool is(const char *text, const char *word)
{
    return text != NULL && strcmp(text, word) == 0;
}

/* ---- parts in the arena ------------------------------------------------------------------- */

static char *copy_text(struct mu_arena *arena, struct mu_str text)
{
    return (char *)(uintptr_t)mu_arena_str(arena, text).data;
}

/* A word of this program as a text: nobody writes to the texts of a message. */
static char *word(const char *text)
{
    return (char *)(uintptr_t)text;
}

static void default_text(char **field, const char *value)
{
    if (empty(*field)) {
        *field = word(value);
    }
}

static void *fresh(struct mu_arena *arena, const ProtobufCMessageDescriptor *type)
{
    ProtobufCMessage *message = mu_arena_zalloc(arena, type->sizeof_message);
    if (message != NULL) {
        protobuf_c_message_init(type, message);
    }
    return message;
}

/* ---- containers --------------------------------------------------------------------------- */

const Kube__QuantityEntry *mu_quantity_find(Kube__QuantityEntry *const *entries, size_t count,
                                            const char *name)
{
    for (size_t i = 0; i < count; i++) {
        if (is(entries[i]->key, name)) {
            return entries[i];
        }
    }
    return NULL;
}

/* A resource with a limit and no request requests its limit. */
static int default_requests(struct mu_arena *arena, Kube__ResourceRequirements *resources)
{
    if (resources == NULL) {
        return 0;
    }
    for (size_t i = 0; i < resources->n_limits; i++) {
        Kube__QuantityEntry *limit = resources->limits[i];
        if (limit->key != NULL &&
            mu_quantity_find(resources->requests, resources->n_requests, limit->key) == NULL &&
            mu_api_push_in(arena, &resources->requests, &resources->n_requests, limit) != 0) {
            return MU_ENOMEM;
        }
    }
    return 0;
}

static int default_containers(struct mu_arena *arena, const Kube__PodSpec *spec,
                              Kube__Container **containers, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (default_requests(arena, containers[i]->resources) != 0) {
            return MU_ENOMEM;
        }
        for (size_t j = 0; j < containers[i]->n_ports; j++) {
            Kube__ContainerPort *port = containers[i]->ports[j];
            default_text(&port->protocol, "TCP");
            if (spec->has_hostnetwork && spec->hostnetwork &&
                !(port->has_hostport && port->hostport != 0)) {
                port->has_hostport = port->has_containerport;
                port->hostport = port->containerport;
            }
        }
    }
    return 0;
}

/* ---- label keys --------------------------------------------------------------------------- */

/* The value of a key: of one that comes twice the later. data NULL: no such key. */
static struct mu_str label_of(const Kube__ObjectMeta *meta, const char *key)
{
    struct mu_str found = {NULL, 0};
    for (size_t i = 0; i < meta->n_labels; i++) {
        if (is(meta->labels[i]->key, key)) {
            found = meta->labels[i]->value != NULL ? mu_str_of(meta->labels[i]->value) : MU_STR("");
        }
    }
    return found;
}

/* Append "key op [own value]" for each listed key that the pod has. */
static int merge_keys(struct mu_arena *arena, const Kube__Pod *pod, Kube__LabelSelector *selector,
                      char *const *keys, size_t count, const char *op)
{
    for (size_t i = 0; selector != NULL && i < count; i++) {
        struct mu_str value = label_of(pod->metadata, keys[i]);
        if (value.data == NULL) {
            continue;
        }
        Kube__LabelSelectorRequirement *requirement =
            fresh(arena, &kube__label_selector_requirement__descriptor);
        if (requirement == NULL) {
            return MU_ENOMEM;
        }
        requirement->key = keys[i];
        requirement->operator_ = word(op);
        int code = mu_api_push_in(arena, &requirement->values, &requirement->n_values,
                                  copy_text(arena, value));
        if (code == 0) {
            code = mu_api_push_in(arena, &selector->matchexpressions, &selector->n_matchexpressions,
                                  requirement);
        }
        if (code != 0) {
            return code;
        }
    }
    return 0;
}

static int merge_term(struct mu_arena *arena, const Kube__Pod *pod, Kube__PodAffinityTerm *term)
{
    if (term == NULL) {
        return 0;
    }
    int code = merge_keys(arena, pod, term->labelselector, term->matchlabelkeys,
                          term->n_matchlabelkeys, "In");
    return code != 0 ? code
                     : merge_keys(arena, pod, term->labelselector, term->mismatchlabelkeys,
                                  term->n_mismatchlabelkeys, "NotIn");
}

static int merge_terms(struct mu_arena *arena, const Kube__Pod *pod,
                       Kube__PodAffinityTerm **required, size_t required_count,
                       Kube__WeightedPodAffinityTerm **preferred, size_t preferred_count)
{
    int code = 0;
    for (size_t i = 0; code == 0 && i < required_count; i++) {
        code = merge_term(arena, pod, required[i]);
    }
    for (size_t i = 0; code == 0 && i < preferred_count; i++) {
        code = merge_term(arena, pod, preferred[i]->podaffinityterm);
    }
    return code;
}

/* matchLabelKeys and mismatchLabelKeys become part of the selectors: schedulers read only those. */
static int merge_label_keys(struct mu_arena *arena, const Kube__Pod *pod)
{
    const Kube__Affinity *affinity = pod->spec->affinity;
    int code = 0;
    if (affinity != NULL && affinity->podaffinity != NULL) {
        Kube__PodAffinity *a = affinity->podaffinity;
        code = merge_terms(arena, pod, a->requiredduringschedulingignoredduringexecution,
                           a->n_requiredduringschedulingignoredduringexecution,
                           a->preferredduringschedulingignoredduringexecution,
                           a->n_preferredduringschedulingignoredduringexecution);
    }
    if (code == 0 && affinity != NULL && affinity->podantiaffinity != NULL) {
        Kube__PodAntiAffinity *a = affinity->podantiaffinity;
        code = merge_terms(arena, pod, a->requiredduringschedulingignoredduringexecution,
                           a->n_requiredduringschedulingignoredduringexecution,
                           a->preferredduringschedulingignoredduringexecution,
                           a->n_preferredduringschedulingignoredduringexecution);
    }
    for (size_t i = 0; code == 0 && i < pod->spec->n_topologyspreadconstraints; i++) {
        Kube__TopologySpreadConstraint *spread = pod->spec->topologyspreadconstraints[i];
        code = merge_keys(arena, pod, spread->labelselector, spread->matchlabelkeys,
                          spread->n_matchlabelkeys, "In");
    }
    return code;
}

int mu_pod_default(struct mu_arena *arena, Kube__Pod *pod)
{
    Kube__PodSpec *spec = pod->spec;
    default_text(&spec->schedulername, "default-scheduler");
    default_text(&spec->restartpolicy, "Always");
    default_text(&spec->serviceaccountname, "default");
    if (!spec->has_terminationgraceperiodseconds) {
        spec->has_terminationgraceperiodseconds = 1;
        spec->terminationgraceperiodseconds = 30;
    }
    int code = default_containers(arena, spec, spec->containers, spec->n_containers);
    if (code == 0) {
        code = default_containers(arena, spec, spec->initcontainers, spec->n_initcontainers);
    }
    if (code == 0) {
        code = default_requests(arena, spec->resources);
    }
    return code != 0 ? code : merge_label_keys(arena, pod);
}

/* ---- tolerations -------------------------------------------------------------------------- */

/* As the admission plugin asks, whatever the operator. */
static bool names_taint(const Kube__PodSpec *spec, const char *key)
{
    for (size_t i = 0; i < spec->n_tolerations; i++) {
        const Kube__Toleration *t = spec->tolerations[i];
        if ((empty(t->key) || is(t->key, key)) &&
            (empty(t->effect) || is(t->effect, "NoExecute"))) {
            return true;
        }
    }
    return false;
}

int mu_pod_default_tolerations(struct mu_arena *arena, Kube__PodSpec *spec)
{
    static const char *const keys[] = {"node.kubernetes.io/not-ready",
                                       "node.kubernetes.io/unreachable"};
    bool missing[2] = {!names_taint(spec, keys[0]), !names_taint(spec, keys[1])};
    for (size_t i = 0; i < 2; i++) {
        if (!missing[i]) {
            continue;
        }
        Kube__Toleration *t = fresh(arena, &kube__toleration__descriptor);
        if (t == NULL || mu_api_push_in(arena, &spec->tolerations, &spec->n_tolerations, t) != 0) {
            return MU_ENOMEM;
        }
        t->key = word(keys[i]);
        t->operator_ = word("Exists");
        t->effect = word("NoExecute");
        t->has_tolerationseconds = 1;
        t->tolerationseconds = TOLERATION_SECONDS;
    }
    return 0;
}

/* ---- namespaces --------------------------------------------------------------------------- */

int mu_namespace_default(struct mu_arena *arena, Kube__Namespace *ns)
{
    static const char key[] = "kubernetes.io/metadata.name";
    Kube__ObjectMeta *meta = ns->metadata;
    for (size_t i = 0; i < meta->n_labels; i++) {
        if (is(meta->labels[i]->key, key)) {
            meta->labels[i]->value = meta->name;
            return 0;
        }
    }
    Kube__StringEntry *label = fresh(arena, &kube__string_entry__descriptor);
    if (label == NULL || mu_api_push_in(arena, &meta->labels, &meta->n_labels, label) != 0) {
        return MU_ENOMEM;
    }
    label->key = word(key);
    label->value = meta->name;
    return 0;
}
