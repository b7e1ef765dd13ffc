#include "tools/report/rules.h"

__extension__ typedef __int128 wide; /* GNU extension: one digit more than fits */

/* A base-10 int64 with an optional sign, as strconv.ParseInt takes it. */
static bool read_number(struct mu_str text, wide *out)
{
    uint32_t at = text.len > 0 && (text.data[0] == '-' || text.data[0] == '+') ? 1 : 0;
    bool negative = at == 1 && text.data[0] == '-';
    *out = 0;
    if (at == text.len)
        return false;
    for (; at < text.len; at++) {
        if (text.data[at] < '0' || text.data[at] > '9')
            return false;
        *out = *out * 10 + (text.data[at] - '0');
        if (*out > (wide)INT64_MAX + (negative ? 1 : 0))
            return false;
    }
    *out = negative ? -*out : *out;
    return true;
}

/* The one way to write that number. */
static bool read_canonical(struct mu_str text, wide *out)
{
    if (!read_number(text, out) || text.data == NULL || text.data[0] == '+')
        return false;
    return text.len == 1 || text.data[text.data[0] == '-' ? 1 : 0] != '0';
}

/* An empty key stands for every key, though the API takes it with Exists alone. */
static bool matches(const struct mu_toleration *t, const struct mu_taint *taint)
{
    wide have, bound;
    if (t->effect != MU_EFFECT_ANY && t->effect != taint->effect)
        return false;
    if (t->key.len > 0 && !mu_str_equal(t->key, taint->key))
        return false;
    switch (t->op) {
    case MU_TOLERATE_EQUAL:
        return mu_str_equal(t->value, taint->value);
    case MU_TOLERATE_EXISTS:
        return true;
    case MU_TOLERATE_LT:
    case MU_TOLERATE_GT:
        if (!read_canonical(taint->value, &have) || !read_canonical(t->value, &bound))
            return false;
        return t->op == MU_TOLERATE_LT ? have < bound : have > bound;
    case MU_TOLERATE_NEVER:
        break;
    }
    return false;
}

static bool tolerates(const struct mu_pod_object *pod, const struct mu_taint *taint)
{
    for (uint32_t i = 0; i < pod->toleration_count; i++)
        if (matches(&pod->tolerations[i], taint))
            return true;
    return false;
}

/* The last label of that key counts: a later duplicate wins. NULL: absent. */
static const struct mu_label *find_label(const struct mu_label *labels, uint32_t count,
                                         struct mu_str key)
{
    for (uint32_t i = count; i > 0; i--)
        if (mu_str_equal(labels[i - 1].key, key))
            return &labels[i - 1];
    return NULL;
}

static bool holds(const struct mu_requirement *r, const struct mu_label *label)
{
    bool listed = false;
    for (uint32_t v = 0; label != NULL && v < r->value_count; v++)
        listed = listed || mu_str_equal(r->values[v], label->value);
    wide have, want;
    switch (r->op) {
    case MU_OP_IN:
        return label != NULL && listed;
    case MU_OP_NOT_IN:
        return label == NULL || !listed;
    case MU_OP_EXISTS:
        return label != NULL;
    case MU_OP_DOES_NOT_EXIST:
        return label == NULL;
    case MU_OP_GT:
    case MU_OP_LT:
        if (label == NULL || r->value_count != 1 || !read_number(label->value, &have) ||
            !read_number(r->values[0], &want))
            return false;
        return r->op == MU_OP_GT ? have > want : have < want;
    case MU_OP_NEVER:
        break;
    }
    return false;
}

bool mu_rules_selects(const struct mu_selector *selector, const struct mu_label *labels,
                      uint32_t label_count)
{
    for (uint32_t i = 0; i < selector->requirement_count && !selector->nothing; i++) {
        const struct mu_requirement *r = &selector->requirements[i];
        if (!holds(r, find_label(labels, label_count, r->key)))
            return false;
    }
    return !selector->nothing;
}

static bool term_matches(const struct mu_node_term *term, const struct mu_node_object *node)
{
    const struct mu_label name = {MU_STR("metadata.name"), node->name};
    if (term->labels.requirement_count == 0 && term->fields.requirement_count == 0)
        return false;
    return mu_rules_selects(&term->labels, node->labels, node->label_count) &&
           mu_rules_selects(&term->fields, &name, 1);
}

/* Node selector and required terms. */
static bool affinity_matches(const struct mu_node_object *node, const struct mu_pod_object *pod)
{
    for (uint32_t i = 0; i < pod->selector_count; i++) {
        const struct mu_label *label =
            find_label(node->labels, node->label_count, pod->selector[i].key);
        if (label == NULL || !mu_str_equal(label->value, pod->selector[i].value))
            return false;
    }
    bool matches_term = !pod->has_node_terms;
    for (uint32_t i = 0; i < pod->node_term_count && !matches_term; i++)
        matches_term = term_matches(&pod->node_terms[i], node);
    return matches_term;
}

static bool taints_tolerated(const struct mu_node_object *node, const struct mu_pod_object *pod)
{
    for (uint32_t i = 0; i < node->taint_count; i++) {
        enum mu_taint_effect effect = node->taints[i].effect;
        if ((effect == MU_EFFECT_NO_SCHEDULE || effect == MU_EFFECT_NO_EXECUTE) &&
            !tolerates(pod, &node->taints[i]))
            return false;
    }
    return true;
}

enum mu_verdict_kind mu_rules_static(const struct mu_node_object *node,
                                     const struct mu_pod_object *pod)
{
    const struct mu_taint cordon = {.key = MU_STR("node.kubernetes.io/unschedulable"),
                                    .effect = MU_EFFECT_NO_SCHEDULE};
    if (node->unschedulable && !tolerates(pod, &cordon))
        return MU_NO_UNSCHEDULABLE;
    if (!taints_tolerated(node, pod))
        return MU_NO_TAINT;
    return affinity_matches(node, pod) ? MU_FITS : MU_NO_NODE_AFFINITY;
}

/* ---- rules about other pods ---------------------------------------------------------------- */

bool mu_rules_any(const struct mu_pod_object *pods, uint32_t pod_count)
{
    for (uint32_t p = 0; p < pod_count; p++)
        if (pods[p].port_count > 0 || pods[p].spread_count > 0 || pods[p].term_count > 0)
            return true;
    return false;
}

static bool is_placed(const struct mu_pod_object *other, const struct mu_pod_object *pod)
{
    return other != pod && other->node_name.len > 0 && other->phase != MU_POD_SUCCEEDED &&
           other->phase != MU_POD_FAILED && !mu_str_equal(other->uid, pod->uid);
}

static const struct mu_node_object *node_of(const struct mu_rules_world *world,
                                            const struct mu_pod_object *pod)
{
    for (uint32_t n = 0; n < world->node_count; n++)
        if (mu_str_equal(world->nodes[n].name, pod->node_name))
            return &world->nodes[n];
    return NULL;
}

/* Both bear the key, with one value. */
static bool same_domain(const struct mu_node_object *a, const struct mu_node_object *b,
                        struct mu_str key)
{
    const struct mu_label *x = find_label(a->labels, a->label_count, key);
    const struct mu_label *y = find_label(b->labels, b->label_count, key);
    return x != NULL && y != NULL && mu_str_equal(x->value, y->value);
}

static bool in_namespaces(const struct mu_rules_world *world, const struct mu_pod_term *term,
                          struct mu_str ns)
{
    for (uint32_t i = 0; i < term->namespace_count; i++)
        if (mu_str_equal(term->namespaces[i], ns))
            return true;
    if (term->namespace_selector == NULL)
        return false;
    for (uint32_t i = 0; i < world->namespace_count; i++)
        if (mu_str_equal(world->namespaces[i].name, ns))
            return mu_rules_selects(term->namespace_selector, world->namespaces[i].labels,
                                    world->namespaces[i].label_count);
    return mu_rules_selects(term->namespace_selector, NULL, 0);
}

static bool term_selects(const struct mu_rules_world *world, const struct mu_pod_term *term,
                         const struct mu_pod_object *pod)
{
    return in_namespaces(world, term, pod->ns) &&
           mu_rules_selects(&term->selector, pod->labels, pod->label_count);
}

/* Every required affinity term of `pod` selects `other`. */
static bool all_terms_select(const struct mu_rules_world *world, const struct mu_pod_object *pod,
                             const struct mu_pod_object *other)
{
    for (uint32_t i = 0; i < pod->term_count; i++)
        if (pod->terms[i].kind == MU_TERM_AFFINITY && !term_selects(world, &pod->terms[i], other))
            return false;
    return true;
}

static bool ports_conflict(const struct mu_pod_object *a, const struct mu_pod_object *b)
{
    const struct mu_str every = MU_STR("0.0.0.0");
    for (uint32_t i = 0; i < a->port_count; i++) {
        for (uint32_t j = 0; j < b->port_count; j++) {
            const struct mu_host_port *x = &a->ports[i], *y = &b->ports[j];
            if (x->port == y->port && x->protocol == y->protocol &&
                (mu_str_equal(x->ip, y->ip) || mu_str_equal(x->ip, every) ||
                 mu_str_equal(y->ip, every)))
                return true;
        }
    }
    return false;
}

static bool breaks_ports(const struct mu_rules_world *world, const struct mu_node_object *node,
                         const struct mu_pod_object *pod)
{
    for (uint32_t p = 0; p < world->pod_count; p++) {
        const struct mu_pod_object *other = &world->pods[p];
        if (is_placed(other, pod) && mu_str_equal(other->node_name, node->name) &&
            ports_conflict(pod, other))
            return true;
    }
    return false;
}

/* A node on which a constraint counts pods. */
static bool spread_counts(const struct mu_node_object *node, const struct mu_pod_object *pod,
                          const struct mu_spread *spread)
{
    for (uint32_t i = 0; i < pod->spread_count; i++)
        if (pod->spreads[i].hard == spread->hard &&
            find_label(node->labels, node->label_count, pod->spreads[i].topology_key) == NULL)
            return false;
    return (!spread->honor_affinity || affinity_matches(node, pod)) &&
           (!spread->honor_taints || taints_tolerated(node, pod));
}

/* Matching pods in the domain of `node`. */
static int64_t spread_count(const struct mu_rules_world *world, const struct mu_node_object *node,
                            const struct mu_pod_object *pod, const struct mu_spread *spread)
{
    int64_t count = 0;
    for (uint32_t p = 0; p < world->pod_count; p++) {
        const struct mu_pod_object *other = &world->pods[p];
        const struct mu_node_object *home = is_placed(other, pod) ? node_of(world, other) : NULL;
        if (home == NULL || other->terminating || !mu_str_equal(other->ns, pod->ns) ||
            spread->selector.requirement_count == 0 ||
            !mu_rules_selects(&spread->selector, other->labels, other->label_count))
            continue;
        count += spread_counts(home, pod, spread) && same_domain(home, node, spread->topology_key);
    }
    return count;
}

/* The least loaded domain; 0 when there are fewer than asked for. */
static int64_t spread_least(const struct mu_rules_world *world, const struct mu_pod_object *pod,
                            const struct mu_spread *spread)
{
    int64_t least = 0;
    int32_t domains = 0;
    for (uint32_t n = 0; n < world->node_count; n++) {
        const struct mu_node_object *node = &world->nodes[n];
        bool fresh = spread_counts(node, pod, spread);
        for (uint32_t m = 0; m < n && fresh; m++)
            fresh = !spread_counts(&world->nodes[m], pod, spread) ||
                    !same_domain(&world->nodes[m], node, spread->topology_key);
        if (!fresh)
            continue;
        int64_t count = spread_count(world, node, pod, spread);
        least = domains++ == 0 || count < least ? count : least;
    }
    return domains < spread->min_domains ? 0 : least;
}

static enum mu_verdict_kind spread_verdict(const struct mu_rules_world *world,
                                           const struct mu_node_object *node,
                                           const struct mu_pod_object *pod)
{
    for (uint32_t i = 0; i < pod->spread_count; i++)
        if (pod->spreads[i].hard &&
            find_label(node->labels, node->label_count, pod->spreads[i].topology_key) == NULL)
            return MU_NO_SPREAD_LABEL;
    for (uint32_t i = 0; i < pod->spread_count; i++) {
        const struct mu_spread *spread = &pod->spreads[i];
        if (!spread->hard)
            continue;
        int self = mu_rules_selects(&spread->selector, pod->labels, pod->label_count) ? 1 : 0;
        int64_t count = spread_count(world, node, pod, spread);
        if (count + self - spread_least(world, pod, spread) > spread->max_skew)
            return MU_NO_SPREAD;
    }
    return MU_FITS;
}

/* Whether a pod that all affinity terms select is placed anywhere on a node that bears the key (of
 * `node`'s domain only, where `node` is given). */
static bool friend_exists(const struct mu_rules_world *world, const struct mu_pod_object *pod,
                          struct mu_str key, const struct mu_node_object *node)
{
    for (uint32_t p = 0; p < world->pod_count; p++) {
        const struct mu_pod_object *other = &world->pods[p];
        if (world->holding != NULL && world->holding[p])
            continue;
        const struct mu_node_object *home = is_placed(other, pod) ? node_of(world, other) : NULL;
        if (home != NULL && same_domain(home, node != NULL ? node : home, key) &&
            all_terms_select(world, pod, other))
            return true;
    }
    return false;
}

static bool breaks_affinity(const struct mu_rules_world *world, const struct mu_node_object *node,
                            const struct mu_pod_object *pod)
{
    bool breaks = false, any = false, first = all_terms_select(world, pod, pod);
    for (uint32_t i = 0; i < pod->term_count; i++) {
        const struct mu_pod_term *term = &pod->terms[i];
        if (term->kind != MU_TERM_AFFINITY)
            continue;
        if (find_label(node->labels, node->label_count, term->topology_key) == NULL)
            return true;
        any = any || friend_exists(world, pod, term->topology_key, NULL);
        breaks = breaks || !friend_exists(world, pod, term->topology_key, node);
    }
    return breaks && (any || !first);
}

static bool breaks_anti(const struct mu_rules_world *world, const struct mu_node_object *node,
                        const struct mu_pod_object *pod, bool own)
{
    for (uint32_t p = 0; p < world->pod_count; p++) {
        const struct mu_pod_object *other = &world->pods[p];
        const struct mu_node_object *home = is_placed(other, pod) ? node_of(world, other) : NULL;
        const struct mu_pod_object *carrier = own ? pod : other;
        for (uint32_t i = 0; home != NULL && i < carrier->term_count; i++)
            if (carrier->terms[i].kind == MU_TERM_ANTI_AFFINITY &&
                term_selects(world, &carrier->terms[i], own ? other : pod) &&
                same_domain(home, node, carrier->terms[i].topology_key))
                return true;
    }
    return false;
}

enum mu_verdict_kind mu_rules_others(const struct mu_rules_world *world,
                                     const struct mu_node_object *node,
                                     const struct mu_pod_object *pod)
{
    if (breaks_ports(world, node, pod))
        return MU_NO_PORTS;
    enum mu_verdict_kind spread = spread_verdict(world, node, pod);
    if (spread != MU_FITS)
        return spread;
    if (breaks_affinity(world, node, pod))
        return MU_NO_POD_AFFINITY;
    if (breaks_anti(world, node, pod, true))
        return MU_NO_ANTI_AFFINITY;
    return breaks_anti(world, node, pod, false) ? MU_NO_EXISTING_ANTI_AFFINITY : MU_FITS;
}
