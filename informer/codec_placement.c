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

static int put_required(struct mu_pod_reader *r, const struct mu_view_node_selector *from)
{
    uint32_t count = from->terms.count;
    r->out->has_node_terms = true; /* none: no node matches */
    if (count > MU_SELECTOR_TERMS_MAX)
        return mu_pod_leave_out(r, NODE_AFFINITY, count, MU_SELECTOR_TERMS_MAX);
    if (count == 0)
        return 0;
    struct mu_node_term *terms = mu_arena_calloc(r->arena, count, sizeof *terms);
    int rc = terms == NULL ? MU_ENOMEM : 0;
    for (uint32_t i = 0; rc == 0 && i < count; i++)
        rc = mu_pod_node_term(r, &from->terms.items[i], &terms[i]);
    rc = settle(r, rc, NODE_AFFINITY);
    if (rc != 1)
        return rc;
    r->out->node_terms = terms;
    r->out->node_term_count = count;
    return 0;
}

static bool says_something(const struct mu_view_preferred_node *from)
{
    const struct mu_view_node_term *term = from->term;
    return from->weight > 0 && term != NULL &&
           (term->expressions.count > 0 || term->fields.count > 0);
}

static int put_preferred(struct mu_pod_reader *r, const struct mu_view_node_affinity *affinity)
{
    uint32_t all = affinity->preferred.count;
    if (all > MU_SELECTOR_TERMS_MAX)
        return mu_pod_leave_out(r, NODE_AFFINITY, all, MU_SELECTOR_TERMS_MAX);
    if (all == 0)
        return 0;
    struct mu_preferred_node *terms = mu_arena_calloc(r->arena, all, sizeof *terms);
    int rc = terms == NULL ? MU_ENOMEM : 0;
    uint32_t count = 0;
    for (uint32_t i = 0; rc == 0 && i < all; i++) {
        const struct mu_view_preferred_node *from = &affinity->preferred.items[i];
        if (!says_something(from))
            continue;
        terms[count].weight = read_weight(from->weight);
        rc = mu_pod_node_term(r, from->term, &terms[count++].term);
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
    const struct mu_view_node_affinity *affinity =
        r->spec->affinity == NULL ? NULL : r->spec->affinity->node;
    if (affinity == NULL)
        return 0;
    int rc = 0;
    if (affinity->required != NULL)
        rc = put_required(r, affinity->required);
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
                           const struct mu_view_pod_term *from, struct mu_pod_term *to)
{
    if (from->namespaces.count == 0 && from->namespace_selector == NULL) {
        to->namespaces = list->own_namespace;
        to->namespace_count = 1;
        return 0;
    }
    to->namespace_count = from->namespaces.count;
    int rc = mu_pod_values(r, &from->namespaces, &to->namespaces);
    if (rc != 0 || from->namespace_selector == NULL)
        return rc;
    struct mu_selector *selector = mu_arena_calloc(r->arena, 1, sizeof *selector);
    if (selector == NULL)
        return MU_ENOMEM;
    to->namespace_selector = selector;
    return mu_pod_selector(r, from->namespace_selector, NULL, POD_AFFINITY ".namespaceSelector",
                           selector);
}

static int add_term(struct mu_pod_reader *r, struct term_list *list, enum mu_term_kind kind,
                    int32_t weight, const struct mu_view_pod_term *from)
{
    static const struct mu_view_pod_term empty = {.selector = NULL};
    bool preferred = kind == MU_TERM_PREFERRED || kind == MU_TERM_PREFERRED_ANTI;
    if (from == NULL)
        from = &empty;
    struct mu_str key = from->topology_key;
    if (preferred && (weight <= 0 || key.len == 0))
        return 0;
    if (key.len == 0)
        mark_unreadable(r, POD_AFFINITY, MU_STR("topologyKey"), "expected a label's key");
    const struct mu_own_keys own = {
        .in = from->match_keys, .not_in = from->mismatch_keys, .merged_once = true};
    struct mu_pod_term *to = &list->items[list->count++];
    to->kind = kind;
    to->weight = preferred ? read_weight(weight) : 0;
    to->topology_key = key;
    int rc = mu_pod_selector(r, from->selector, &own, POD_AFFINITY ".labelSelector", &to->selector);
    return rc != 0 ? rc : read_namespaces(r, list, from, to);
}

static int add_required(struct mu_pod_reader *r, struct term_list *list, enum mu_term_kind kind,
                        const struct mu_pod_term_list *from)
{
    int rc = 0;
    for (uint32_t i = 0; rc == 0 && i < from->count; i++)
        rc = add_term(r, list, kind, 0, &from->items[i]);
    return rc;
}

static int add_preferred(struct mu_pod_reader *r, struct term_list *list, enum mu_term_kind kind,
                         const struct mu_weighted_term_list *from)
{
    int rc = 0;
    for (uint32_t i = 0; rc == 0 && i < from->count; i++)
        rc = add_term(r, list, kind, from->items[i].weight, from->items[i].term);
    return rc;
}

static int add_terms(struct mu_pod_reader *r, struct term_list *list,
                     const struct mu_view_pod_affinity *with,
                     const struct mu_view_pod_affinity *against)
{
    int rc = add_required(r, list, MU_TERM_AFFINITY, &with->required);
    if (rc == 0)
        rc = add_required(r, list, MU_TERM_ANTI_AFFINITY, &against->required);
    if (rc == 0)
        rc = add_preferred(r, list, MU_TERM_PREFERRED, &with->preferred);
    if (rc == 0)
        rc = add_preferred(r, list, MU_TERM_PREFERRED_ANTI, &against->preferred);
    return rc;
}

int mu_pod_put_terms(struct mu_pod_reader *r)
{
    static const struct mu_view_pod_affinity none = {.required = {NULL, 0}};
    const struct mu_view_affinity *affinity = r->spec->affinity;
    if (affinity == NULL || (affinity->with == NULL && affinity->against == NULL))
        return 0;
    const struct mu_view_pod_affinity *with = affinity->with != NULL ? affinity->with : &none;
    const struct mu_view_pod_affinity *against =
        affinity->against != NULL ? affinity->against : &none;
    size_t all = (size_t)with->required.count + with->preferred.count + against->required.count +
                 against->preferred.count;
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
static bool read_policy(struct mu_pod_reader *r, struct mu_str word, const char *name,
                        bool otherwise)
{
    if (word.len == 0)
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

static int read_spread(struct mu_pod_reader *r, const struct mu_view_spread *from,
                       struct mu_spread *to)
{
    const struct mu_own_keys own = {.in = from->match_keys};
    bool soft = mu_text_is(from->when_unsatisfiable, "ScheduleAnyway");
    if (!soft && !mu_text_is(from->when_unsatisfiable, "DoNotSchedule"))
        mark_unreadable(r, SPREAD, MU_STR("whenUnsatisfiable"),
                        "expected DoNotSchedule or ScheduleAnyway");
    if (from->topology_key.len == 0)
        mark_unreadable(r, SPREAD, MU_STR("topologyKey"), "expected a label's key");
    *to = (struct mu_spread){
        .topology_key = from->topology_key,
        .max_skew = read_positive(r, false, from->max_skew, "maxSkew"),
        .min_domains = read_positive(r, !mu_numbers_have(from->numbers, MU_SPREAD_MIN_DOMAINS),
                                     from->min_domains, "minDomains"),
        .hard = !soft,
        .honor_affinity = read_policy(r, from->affinity_policy, "nodeAffinityPolicy", true),
        .honor_taints = read_policy(r, from->taints_policy, "nodeTaintsPolicy", false),
    };
    return mu_pod_selector(r, from->selector, &own, SPREAD ".labelSelector", &to->selector);
}

int mu_pod_put_spreads(struct mu_pod_reader *r)
{
    uint32_t count = r->spec->spreads.count;
    if (count > MU_SELECTOR_TERMS_MAX)
        return mu_pod_leave_out(r, SPREAD, count, MU_SELECTOR_TERMS_MAX);
    if (count == 0)
        return 0;
    struct mu_spread *spreads = mu_arena_calloc(r->arena, count, sizeof *spreads);
    int rc = spreads == NULL ? MU_ENOMEM : 0;
    for (uint32_t i = 0; rc == 0 && i < count; i++)
        rc = read_spread(r, &r->spec->spreads.items[i], &spreads[i]);
    rc = settle(r, rc, SPREAD);
    if (rc != 1)
        return rc;
    r->out->spreads = spreads;
    r->out->spread_count = count;
    return 0;
}

/* --- host ports ---------------------------------------------------------------------------- */

#define PORTS "spec.containers.ports"

static size_t count_ports(const struct mu_view_container *container)
{
    size_t count = 0;
    for (uint32_t i = 0; i < container->ports.count; i++)
        count += container->ports.items[i].host_port != 0;
    return count;
}

static enum mu_protocol read_protocol(struct mu_pod_reader *r, struct mu_str word)
{
    if (mu_text_is(word, "UDP"))
        return MU_PROTOCOL_UDP;
    if (mu_text_is(word, "SCTP"))
        return MU_PROTOCOL_SCTP;
    if (word.len > 0 && !mu_text_is(word, "TCP"))
        mark_unreadable(r, PORTS, MU_STR("protocol"), "expected TCP, UDP or SCTP");
    return MU_PROTOCOL_TCP;
}

static void add_ports(struct mu_pod_reader *r, const struct mu_view_container *container,
                      struct mu_host_port *ports, uint32_t *count)
{
    for (uint32_t i = 0; i < container->ports.count; i++) {
        const struct mu_view_port *from = &container->ports.items[i];
        if (from->host_port == 0)
            continue;
        if (from->host_port < 0 || from->host_port > PORT_MAX) {
            mark_unreadable(r, PORTS, MU_STR("hostPort"), "expected a number from 1 to 65535");
            continue;
        }
        struct mu_str ip = from->host_ip;
        ports[(*count)++] = (struct mu_host_port){.ip = ip.len > 0 ? ip : MU_STR("0.0.0.0"),
                                                  .protocol = read_protocol(r, from->protocol),
                                                  .port = (uint16_t)from->host_port};
    }
}

/* An ordinary init container is gone when the pod runs, and its ports with it. */
int mu_pod_put_ports(struct mu_pod_reader *r)
{
    const struct mu_container_list *apps = &r->spec->containers;
    const struct mu_container_list *inits = &r->spec->init_containers;
    size_t all = 0;
    for (uint32_t i = 0; i < apps->count; i++)
        all += count_ports(&apps->items[i]);
    for (uint32_t i = 0; i < inits->count; i++)
        all += mu_pod_is_sidecar(&inits->items[i]) ? count_ports(&inits->items[i]) : 0;
    if (all > MU_PORTS_PER_POD)
        return mu_pod_leave_out(r, PORTS, all, MU_PORTS_PER_POD);
    if (all == 0)
        return 0;
    struct mu_host_port *ports = mu_arena_calloc(r->arena, all, sizeof *ports);
    if (ports == NULL)
        return mu_pod_no_memory(r, PORTS);
    uint32_t count = 0;
    for (uint32_t i = 0; i < apps->count; i++)
        add_ports(r, &apps->items[i], ports, &count);
    for (uint32_t i = 0; i < inits->count; i++) {
        if (mu_pod_is_sidecar(&inits->items[i]))
            add_ports(r, &inits->items[i], ports, &count);
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
static struct mu_str normalise_image(struct mu_pod_reader *r, struct mu_str image)
{
    static const char latest[] = ":latest";
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
    const struct mu_container_list *apps = &r->spec->containers;
    const struct mu_container_list *inits = &r->spec->init_containers;
    size_t count = (size_t)inits->count + apps->count;
    if (count > MU_IMAGES_PER_POD)
        count = MU_IMAGES_PER_POD;
    if (count == 0)
        return 0;
    struct mu_image *images = mu_arena_calloc(r->arena, count, sizeof *images);
    if (images == NULL)
        return mu_pod_no_memory(r, "spec.containers.image");
    for (size_t i = 0; i < count; i++) {
        const struct mu_view_container *from =
            i < inits->count ? &inits->items[i] : &apps->items[i - inits->count];
        images[i].name = normalise_image(r, from->image);
        if (images[i].name.data == NULL)
            return mu_pod_no_memory(r, "spec.containers.image");
    }
    r->out->images = images;
    r->out->image_count = (uint32_t)count;
    return 0;
}
