/*
 * What a pod says about where it may be: node affinity, rules about other pods, spread, host ports,
 * images (kubernetes-wire §7.3).
 *
 * Weights of preferences are 1 to 100: one of 0 says nothing and is left out, as are preferences
 * without a topology key; one above, which the API server refuses, counts as 100. A rule that must
 * hold is never left out: where it cannot be read, the pod is marked and never placed.
 */
#include "informer/codec_pod_priv.h"

#include "engine/limits.h"

enum { WEIGHT_MAX = 100, PORT_MAX = 65535 };

/* How a list ends that was built piece by piece: 1: it is there; 0: left out; or an error. */
static int settle(struct mu_pod_reader *r, int rc, const char *field)
{
    if (rc == MU_ENOMEM)
        return mu_pod_no_memory(r, field);
    if (rc == 0)
        return 1;
    mu_pod_warn(r, field, MU_STR("*"),
                "the pod's selectors have too many requirements or values; left out");
    r->out->unbuilt |= MU_RULE_OVERSIZED;
    return 0;
}

static void mark_unreadable(struct mu_pod_reader *r, const char *field, struct mu_str name,
                            const char *expected)
{
    mu_pod_warn(r, field, name, expected);
    r->out->unbuilt |= MU_RULE_UNREADABLE;
}

static int32_t read_weight(int32_t weight)
{
    return weight > WEIGHT_MAX ? WEIGHT_MAX : weight;
}

/* --- node affinity ------------------------------------------------------------------------- */

#define NODE_AFFINITY "spec.affinity.nodeAffinity"

static int put_required(struct mu_pod_reader *r, const Kube__NodeSelector *from)
{
    size_t count = from->n_nodeselectorterms;
    r->out->has_node_terms = true; /* none: no node matches */
    if (count > MU_SELECTOR_TERMS_MAX)
        return mu_pod_leave_out(r, NODE_AFFINITY, count, MU_SELECTOR_TERMS_MAX);
    if (count == 0)
        return 0;
    struct mu_node_term *terms = mu_arena_calloc(r->arena, count, sizeof *terms);
    int rc = terms == NULL ? MU_ENOMEM : 0;
    for (size_t i = 0; rc == 0 && i < count; i++)
        rc = mu_pod_node_term(r, from->nodeselectorterms[i], &terms[i]);
    rc = settle(r, rc, NODE_AFFINITY);
    if (rc != 1)
        return rc;
    r->out->node_terms = terms;
    r->out->node_term_count = (uint32_t)count;
    return 0;
}

static bool says_something(const Kube__PreferredSchedulingTerm *from)
{
    const Kube__NodeSelectorTerm *term = from->preference;
    return from->weight > 0 && term != NULL &&
           (term->n_matchexpressions > 0 || term->n_matchfields > 0);
}

static int put_preferred(struct mu_pod_reader *r, const Kube__NodeAffinity *affinity)
{
    size_t all = affinity->n_preferredduringschedulingignoredduringexecution;
    if (all > MU_SELECTOR_TERMS_MAX)
        return mu_pod_leave_out(r, NODE_AFFINITY, all, MU_SELECTOR_TERMS_MAX);
    if (all == 0)
        return 0;
    struct mu_preferred_node *terms = mu_arena_calloc(r->arena, all, sizeof *terms);
    int rc = terms == NULL ? MU_ENOMEM : 0;
    uint32_t count = 0;
    for (size_t i = 0; rc == 0 && i < all; i++) {
        const Kube__PreferredSchedulingTerm *from =
            affinity->preferredduringschedulingignoredduringexecution[i];
        if (!says_something(from))
            continue;
        terms[count].weight = read_weight(from->weight);
        rc = mu_pod_node_term(r, from->preference, &terms[count++].term);
    }
    rc = settle(r, rc, NODE_AFFINITY);
    if (rc != 1)
        return rc;
    r->out->preferred_nodes = terms;
    r->out->preferred_node_count = count;
    return 0;
}

int mu_pod_put_node_affinity(struct mu_pod_reader *r)
{
    const Kube__NodeAffinity *affinity =
        r->spec->affinity == NULL ? NULL : r->spec->affinity->nodeaffinity;
    if (affinity == NULL)
        return 0;
    int rc = 0;
    if (affinity->requiredduringschedulingignoredduringexecution != NULL)
        rc = put_required(r, affinity->requiredduringschedulingignoredduringexecution);
    return rc != 0 ? rc : put_preferred(r, affinity);
}

/* --- rules about other pods ---------------------------------------------------------------- */

#define POD_AFFINITY "spec.affinity.podAffinity"

/* The terms of a pod, of all kinds, under construction. */
struct term_list {
    struct mu_pod_term *items;
    uint32_t count;
    const struct mu_str *own_namespace;
};

/* Neither namespaces nor a selector of them: the pod's own. */
static int read_namespaces(struct mu_pod_reader *r, struct term_list *list,
                           const Kube__PodAffinityTerm *from, struct mu_pod_term *to)
{
    if (from->n_namespaces == 0 && from->namespaceselector == NULL) {
        to->namespaces = list->own_namespace;
        to->namespace_count = 1;
        return 0;
    }
    to->namespace_count = (uint32_t)from->n_namespaces;
    int rc = mu_pod_values(r, from->namespaces, from->n_namespaces, &to->namespaces);
    if (rc != 0 || from->namespaceselector == NULL)
        return rc;
    struct mu_selector *selector = mu_arena_calloc(r->arena, 1, sizeof *selector);
    if (selector == NULL)
        return MU_ENOMEM;
    to->namespace_selector = selector;
    return mu_pod_selector(r, from->namespaceselector, NULL, POD_AFFINITY ".namespaceSelector",
                           selector);
}

static int add_term(struct mu_pod_reader *r, struct term_list *list, enum mu_term_kind kind,
                    int32_t weight, const Kube__PodAffinityTerm *from)
{
    static const Kube__PodAffinityTerm empty = KUBE__POD_AFFINITY_TERM__INIT;
    bool preferred = kind == MU_TERM_PREFERRED || kind == MU_TERM_PREFERRED_ANTI;
    if (from == NULL)
        from = &empty;
    struct mu_str key = mu_str_of(from->topologykey);
    if (preferred && (weight <= 0 || key.len == 0))
        return 0;
    if (key.len == 0)
        mark_unreadable(r, POD_AFFINITY, MU_STR("topologyKey"), "expected a label's key");
    const struct mu_own_keys own = {.in = from->matchlabelkeys,
                                    .in_count = from->n_matchlabelkeys,
                                    .not_in = from->mismatchlabelkeys,
                                    .not_in_count = from->n_mismatchlabelkeys,
                                    .merged_once = true};
    struct mu_pod_term *to = &list->items[list->count++];
    to->kind = kind;
    to->weight = preferred ? read_weight(weight) : 0;
    to->topology_key = key;
    int rc =
        mu_pod_selector(r, from->labelselector, &own, POD_AFFINITY ".labelSelector", &to->selector);
    return rc != 0 ? rc : read_namespaces(r, list, from, to);
}

static int add_required(struct mu_pod_reader *r, struct term_list *list, enum mu_term_kind kind,
                        Kube__PodAffinityTerm *const *from, size_t count)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < count; i++)
        rc = add_term(r, list, kind, 0, from[i]);
    return rc;
}

static int add_preferred(struct mu_pod_reader *r, struct term_list *list, enum mu_term_kind kind,
                         Kube__WeightedPodAffinityTerm *const *from, size_t count)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < count; i++)
        rc = add_term(r, list, kind, from[i]->weight, from[i]->podaffinityterm);
    return rc;
}

static int add_terms(struct mu_pod_reader *r, struct term_list *list, const Kube__PodAffinity *with,
                     const Kube__PodAntiAffinity *against)
{
    int rc = add_required(r, list, MU_TERM_AFFINITY,
                          with->requiredduringschedulingignoredduringexecution,
                          with->n_requiredduringschedulingignoredduringexecution);
    if (rc == 0)
        rc = add_required(r, list, MU_TERM_ANTI_AFFINITY,
                          against->requiredduringschedulingignoredduringexecution,
                          against->n_requiredduringschedulingignoredduringexecution);
    if (rc == 0)
        rc = add_preferred(r, list, MU_TERM_PREFERRED,
                           with->preferredduringschedulingignoredduringexecution,
                           with->n_preferredduringschedulingignoredduringexecution);
    if (rc == 0)
        rc = add_preferred(r, list, MU_TERM_PREFERRED_ANTI,
                           against->preferredduringschedulingignoredduringexecution,
                           against->n_preferredduringschedulingignoredduringexecution);
    return rc;
}

int mu_pod_put_terms(struct mu_pod_reader *r)
{
    static const Kube__PodAffinity no_with = KUBE__POD_AFFINITY__INIT;
    static const Kube__PodAntiAffinity no_against = KUBE__POD_ANTI_AFFINITY__INIT;
    const Kube__Affinity *affinity = r->spec->affinity;
    if (affinity == NULL || (affinity->podaffinity == NULL && affinity->podantiaffinity == NULL))
        return 0;
    const Kube__PodAffinity *with =
        affinity->podaffinity != NULL ? affinity->podaffinity : &no_with;
    const Kube__PodAntiAffinity *against =
        affinity->podantiaffinity != NULL ? affinity->podantiaffinity : &no_against;
    size_t all = with->n_requiredduringschedulingignoredduringexecution +
                 with->n_preferredduringschedulingignoredduringexecution +
                 against->n_requiredduringschedulingignoredduringexecution +
                 against->n_preferredduringschedulingignoredduringexecution;
    if (all > MU_SELECTOR_TERMS_MAX)
        return mu_pod_leave_out(r, POD_AFFINITY, all, MU_SELECTOR_TERMS_MAX);
    if (all == 0)
        return 0;
    struct mu_str *own = mu_arena_calloc(r->arena, 1, sizeof *own);
    struct term_list list = {.items = mu_arena_calloc(r->arena, all, sizeof *list.items),
                             .own_namespace = own};
    if (own == NULL || list.items == NULL)
        return mu_pod_no_memory(r, POD_AFFINITY);
    *own = r->out->ns;
    int rc = settle(r, add_terms(r, &list, with, against), POD_AFFINITY);
    if (rc != 1)
        return rc;
    r->out->terms = list.items;
    r->out->term_count = list.count;
    return 0;
}

/* --- spread -------------------------------------------------------------------------------- */

#define SPREAD "spec.topologySpreadConstraints"

/* "Honor" or "Ignore"; absent: `otherwise`. */
static bool read_policy(struct mu_pod_reader *r, const char *word, const char *name, bool otherwise)
{
    if (word == NULL || word[0] == '\0')
        return otherwise;
    if (!mu_text_is(word, "Honor") && !mu_text_is(word, "Ignore"))
        mark_unreadable(r, SPREAD, mu_str_of(name), "expected Honor or Ignore");
    return !mu_text_is(word, "Ignore");
}

/* A number that must be at least 1; `absent` says that it is 1. */
static int32_t read_positive(struct mu_pod_reader *r, bool absent, int32_t value, const char *name)
{
    if (absent || value >= 1)
        return absent ? 1 : value;
    mark_unreadable(r, SPREAD, mu_str_of(name), "expected a number of at least 1");
    return 1;
}

static int read_spread(struct mu_pod_reader *r, const Kube__TopologySpreadConstraint *from,
                       struct mu_spread *to)
{
    const struct mu_own_keys own = {.in = from->matchlabelkeys, .in_count = from->n_matchlabelkeys};
    bool soft = mu_text_is(from->whenunsatisfiable, "ScheduleAnyway");
    if (!soft && !mu_text_is(from->whenunsatisfiable, "DoNotSchedule"))
        mark_unreadable(r, SPREAD, MU_STR("whenUnsatisfiable"),
                        "expected DoNotSchedule or ScheduleAnyway");
    if (from->topologykey == NULL || from->topologykey[0] == '\0')
        mark_unreadable(r, SPREAD, MU_STR("topologyKey"), "expected a label's key");
    *to = (struct mu_spread){
        .topology_key = mu_str_of(from->topologykey),
        .max_skew = read_positive(r, false, from->maxskew, "maxSkew"),
        .min_domains = read_positive(r, !from->has_mindomains, from->mindomains, "minDomains"),
        .hard = !soft,
        .honor_affinity = read_policy(r, from->nodeaffinitypolicy, "nodeAffinityPolicy", true),
        .honor_taints = read_policy(r, from->nodetaintspolicy, "nodeTaintsPolicy", false),
    };
    return mu_pod_selector(r, from->labelselector, &own, SPREAD ".labelSelector", &to->selector);
}

int mu_pod_put_spreads(struct mu_pod_reader *r)
{
    size_t count = r->spec->n_topologyspreadconstraints;
    if (count > MU_SELECTOR_TERMS_MAX)
        return mu_pod_leave_out(r, SPREAD, count, MU_SELECTOR_TERMS_MAX);
    if (count == 0)
        return 0;
    struct mu_spread *spreads = mu_arena_calloc(r->arena, count, sizeof *spreads);
    int rc = spreads == NULL ? MU_ENOMEM : 0;
    for (size_t i = 0; rc == 0 && i < count; i++)
        rc = read_spread(r, r->spec->topologyspreadconstraints[i], &spreads[i]);
    rc = settle(r, rc, SPREAD);
    if (rc != 1)
        return rc;
    r->out->spreads = spreads;
    r->out->spread_count = (uint32_t)count;
    return 0;
}

/* --- host ports ---------------------------------------------------------------------------- */

#define PORTS "spec.containers.ports"

static size_t count_ports(const Kube__Container *container)
{
    size_t count = 0;
    for (size_t i = 0; i < container->n_ports; i++)
        count += container->ports[i]->hostport != 0;
    return count;
}

static enum mu_protocol read_protocol(struct mu_pod_reader *r, const char *word)
{
    if (mu_text_is(word, "UDP"))
        return MU_PROTOCOL_UDP;
    if (mu_text_is(word, "SCTP"))
        return MU_PROTOCOL_SCTP;
    if (word != NULL && word[0] != '\0' && !mu_text_is(word, "TCP"))
        mark_unreadable(r, PORTS, MU_STR("protocol"), "expected TCP, UDP or SCTP");
    return MU_PROTOCOL_TCP;
}

static void add_ports(struct mu_pod_reader *r, const Kube__Container *container,
                      struct mu_host_port *ports, uint32_t *count)
{
    for (size_t i = 0; i < container->n_ports; i++) {
        const Kube__ContainerPort *from = container->ports[i];
        if (from->hostport == 0)
            continue;
        if (from->hostport < 0 || from->hostport > PORT_MAX) {
            mark_unreadable(r, PORTS, MU_STR("hostPort"), "expected a number from 1 to 65535");
            continue;
        }
        struct mu_str ip = mu_str_of(from->hostip);
        ports[(*count)++] = (struct mu_host_port){.ip = ip.len > 0 ? ip : MU_STR("0.0.0.0"),
                                                  .protocol = read_protocol(r, from->protocol),
                                                  .port = (uint16_t)from->hostport};
    }
}

/* An ordinary init container is gone when the pod runs, and its ports with it. */
int mu_pod_put_ports(struct mu_pod_reader *r)
{
    const Kube__PodSpec *spec = r->spec;
    size_t all = 0;
    for (size_t i = 0; i < spec->n_containers; i++)
        all += count_ports(spec->containers[i]);
    for (size_t i = 0; i < spec->n_initcontainers; i++)
        all +=
            mu_pod_is_sidecar(spec->initcontainers[i]) ? count_ports(spec->initcontainers[i]) : 0;
    if (all > MU_PORTS_PER_POD)
        return mu_pod_leave_out(r, PORTS, all, MU_PORTS_PER_POD);
    if (all == 0)
        return 0;
    struct mu_host_port *ports = mu_arena_calloc(r->arena, all, sizeof *ports);
    if (ports == NULL)
        return mu_pod_no_memory(r, PORTS);
    uint32_t count = 0;
    for (size_t i = 0; i < spec->n_containers; i++)
        add_ports(r, spec->containers[i], ports, &count);
    for (size_t i = 0; i < spec->n_initcontainers; i++) {
        if (mu_pod_is_sidecar(spec->initcontainers[i]))
            add_ports(r, spec->initcontainers[i], ports, &count);
    }
    r->out->ports = ports;
    r->out->port_count = count;
    return 0;
}

/* --- images -------------------------------------------------------------------------------- */

static bool has_tag(struct mu_str image)
{
    const char *colon = image.len == 0 ? NULL : memrchr(image.data, ':', image.len);
    const char *slash = image.len == 0 ? NULL : memrchr(image.data, '/', image.len);
    return colon != NULL && (slash == NULL || colon > slash);
}

/* As a node would name it: with the tag ":latest" where it has neither tag nor digest. No node has
 * an image without a name, or one whose name is beyond its bound. data is NULL without memory. */
static struct mu_str normalise_image(struct mu_pod_reader *r, const char *text)
{
    static const char latest[] = ":latest";
    struct mu_str image = mu_str_of(text);
    if (image.len > MU_IMAGE_NAME_BYTES_MAX)
        image.len = 0;
    if (has_tag(image))
        return image;
    char *copy = mu_arena_alloc(r->arena, image.len + sizeof latest);
    if (copy == NULL)
        return (struct mu_str){NULL, 0};
    if (image.len > 0)
        memcpy(copy, image.data, image.len);
    memcpy(copy + image.len, latest, sizeof latest);
    return (struct mu_str){copy, image.len + (uint32_t)sizeof latest - 1};
}

/* Only scores look at images: of more than the bound, the first ones count, and the pod is as
 * placeable as ever. */
int mu_pod_put_images(struct mu_pod_reader *r)
{
    const Kube__PodSpec *spec = r->spec;
    size_t count = spec->n_initcontainers + spec->n_containers;
    if (count > MU_IMAGES_PER_POD)
        count = MU_IMAGES_PER_POD;
    if (count == 0)
        return 0;
    struct mu_image *images = mu_arena_calloc(r->arena, count, sizeof *images);
    if (images == NULL)
        return mu_pod_no_memory(r, "spec.containers.image");
    for (size_t i = 0; i < count; i++) {
        bool init = i < spec->n_initcontainers;
        const Kube__Container *from =
            init ? spec->initcontainers[i] : spec->containers[i - spec->n_initcontainers];
        images[i].name = normalise_image(r, from->image);
        if (images[i].name.data == NULL)
            return mu_pod_no_memory(r, "spec.containers.image");
    }
    r->out->images = images;
    r->out->image_count = (uint32_t)count;
    return 0;
}
