#include "engine/model/select.h"

#include "engine/base/assert.h"
#include "engine/model/model_priv.h"

/*
 * Selectors on interned content. They compare symbols; only Gt and Lt read texts.
 *
 * Source: Kubernetes' label selectors and node affinity (component-helpers), TaintToleration and
 * InterPodAffinity. What may surprise: NotIn matches where the key is absent; a term without any
 * requirement matches no node, whereas a label selector without one matches every pod; a label
 * that is no number is neither greater nor less.
 */

bool mu_select_number(struct mu_str text, int64_t *out)
{
    uint32_t at = text.len > 0 && (text.data[0] == '-' || text.data[0] == '+') ? 1 : 0;
    bool negative = at == 1 && text.data[0] == '-';
    int64_t value = 0; /* kept below zero: the range is one larger there */
    if (at == text.len)
        return false;
    for (; at < text.len; at++) {
        char c = text.data[at];
        if (c < '0' || c > '9' || __builtin_mul_overflow(value, 10, &value) ||
            __builtin_sub_overflow(value, c - '0', &value))
            return false;
    }
    if (!negative && value == INT64_MIN)
        return false;
    *out = negative ? value : -value;
    return true;
}

bool mu_select_canonical(struct mu_str text, int64_t *out)
{
    uint32_t at = text.len > 0 && text.data[0] == '-' ? 1 : 0;
    if (at == text.len || text.data[0] == '+' || (text.data[at] == '0' && text.len > 1))
        return false;
    return mu_select_number(text, out);
}

/* ---- conjunctions ---- */

/* The value of a label; false: absent. */
static bool label_find(const struct mu_labels_view *labels, struct mu_symbol key,
                       struct mu_symbol *value)
{
    if (labels->hostname.v != 0 && key.v == labels->hostname_key.v) {
        *value = labels->hostname;
        return true;
    }
    uint32_t low = 0, high = labels->set->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (labels->set->pairs[middle].key.v < key.v)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == labels->set->count || labels->set->pairs[low].key.v != key.v)
        return false;
    *value = labels->set->pairs[low].value;
    return true;
}

static bool is_among(const struct mu_symbol *sorted, uint32_t count, struct mu_symbol wanted)
{
    uint32_t low = 0, high = count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (sorted[middle].v < wanted.v)
            low = middle + 1;
        else
            high = middle;
    }
    return low < count && sorted[low].v == wanted.v;
}

static bool item_holds(const struct mu_requirement_item *item, bool present, struct mu_symbol value,
                       const struct mu_symtab *symbols)
{
    int64_t number;
    switch (item->op) {
    case MU_OP_IN:
        return present && is_among(item->values, item->value_count, value);
    case MU_OP_NOT_IN:
        return !present || !is_among(item->values, item->value_count, value);
    case MU_OP_EXISTS:
        return present;
    case MU_OP_DOES_NOT_EXIST:
        return !present;
    case MU_OP_GT:
        return present && mu_select_number(mu_symbol_str(symbols, value), &number) &&
               number > item->number;
    case MU_OP_LT:
        return present && mu_select_number(mu_symbol_str(symbols, value), &number) &&
               number < item->number;
    case MU_OP_NEVER:
        break;
    }
    return false;
}

bool mu_conjunction_holds(const struct mu_conjunction *c, const struct mu_labels_view *labels,
                          const struct mu_symtab *symbols)
{
    for (uint32_t i = 0; i < c->count; i++) {
        struct mu_symbol value = {0};
        bool present = label_find(labels, c->items[i].key, &value);
        if (!item_holds(&c->items[i], present, value, symbols))
            return false;
    }
    return !c->nothing;
}

/* ---- nodes ---- */

bool mu_node_term_holds(const struct mu_model *model, const struct mu_node_term_item *term,
                        const struct mu_labels_view *labels, struct mu_symbol name)
{
    if (term->labels.count + term->names.count == 0 || term->names.nothing)
        return false;
    for (uint32_t i = 0; i < term->names.count; i++) {
        if (!item_holds(&term->names.items[i], true, name, model->symbols))
            return false;
    }
    return mu_conjunction_holds(&term->labels, labels, model->symbols);
}

static bool selector_holds(const struct mu_affinity *affinity, const struct mu_labels_view *labels)
{
    /* Both are sorted by key: one walk. */
    uint32_t at = 0;
    for (uint32_t i = 0; i < affinity->selector_count; i++) {
        const struct mu_label_pair *wanted = &affinity->selector[i];
        while (at < labels->set->count && labels->set->pairs[at].key.v < wanted->key.v)
            at++;
        if (at == labels->set->count || labels->set->pairs[at].key.v != wanted->key.v ||
            labels->set->pairs[at].value.v != wanted->value.v)
            return false;
    }
    return affinity->hostname.v == 0 || affinity->hostname.v == labels->hostname.v;
}

bool mu_affinity_selects(const struct mu_model *model, const struct mu_affinity *affinity,
                         const struct mu_labels_view *labels, struct mu_symbol name)
{
    if (affinity->nothing || !selector_holds(affinity, labels))
        return false;
    bool matched = !affinity->has_terms;
    for (uint32_t i = 0; i < affinity->term_count && !matched; i++)
        matched = mu_node_term_holds(model, &affinity->terms[i], labels, name);
    return matched;
}

/* ---- taints ---- */

/* A value that is no canonical number is neither below nor above. */
static bool compares(const struct mu_symtab *symbols, const struct mu_toleration_item *t,
                     const struct mu_taint_item *taint)
{
    int64_t have, bound;
    if (!mu_select_canonical(mu_symbol_str(symbols, taint->value), &have) ||
        !mu_select_canonical(mu_symbol_str(symbols, t->value), &bound))
        return false;
    return t->op == MU_TOLERATE_LT ? have < bound : have > bound;
}

bool mu_toleration_holds(const struct mu_symtab *symbols, const struct mu_toleration_item *t,
                         const struct mu_taint_item *taint)
{
    if (t->effect != MU_EFFECT_ANY && t->effect != taint->effect)
        return false;
    if (t->key.v != 0 && t->key.v != taint->key.v)
        return false;
    switch (t->op) {
    case MU_TOLERATE_EQUAL:
        return t->value.v == taint->value.v;
    case MU_TOLERATE_EXISTS:
        return true;
    case MU_TOLERATE_LT:
    case MU_TOLERATE_GT:
        return compares(symbols, t, taint);
    case MU_TOLERATE_NEVER:
        break;
    }
    return false;
}

bool mu_tolerance_tolerates(const struct mu_symtab *symbols, const struct mu_tolerance *tolerance,
                            const struct mu_taint_set *taints)
{
    for (uint32_t i = 0; i < taints->count; i++) {
        const struct mu_taint_item *taint = &taints->items[i];
        bool tolerated =
            taint->effect != MU_EFFECT_NO_SCHEDULE && taint->effect != MU_EFFECT_NO_EXECUTE;
        for (uint32_t t = 0; t < tolerance->count && !tolerated; t++)
            tolerated = mu_toleration_holds(symbols, &tolerance->items[t], taint);
        if (!tolerated)
            return false;
    }
    return true;
}

/* ---- pods ---- */

static bool part_matches(const struct mu_model *model, const struct mu_matcher_part *part,
                         const struct mu_kin *kin)
{
    const struct mu_labels_view labels = {.set = &kin->labels};
    if (!mu_conjunction_holds(&part->selector, &labels, model->symbols))
        return false;
    if (is_among(part->namespaces, part->namespace_count, kin->ns))
        return true;
    if (!part->has_namespace_selector)
        return false;
    static const struct mu_label_set none = {.count = 0};
    struct mu_labels_view ns;
    if (!mu_model_get_namespace(model, kin->ns, &ns))
        ns = (struct mu_labels_view){.set = &none};
    return mu_conjunction_holds(&part->namespace_selector, &ns, model->symbols);
}

bool mu_matcher_matches(const struct mu_model *model, const struct mu_matcher *matcher,
                        const struct mu_kin *kin)
{
    MU_ASSERT(matcher->part_count > 0);
    for (uint32_t i = 0; i < matcher->part_count; i++) {
        if (!part_matches(model, &matcher->parts[i], kin))
            return false;
    }
    return true;
}

/* True for a part that would match if its selector of namespaces did. */
static bool part_hangs(const struct mu_model *model, const struct mu_matcher_part *part,
                       const struct mu_kin *kin)
{
    const struct mu_labels_view labels = {.set = &kin->labels};
    return part->has_namespace_selector && part->namespace_selector.count > 0 &&
           !is_among(part->namespaces, part->namespace_count, kin->ns) &&
           mu_conjunction_holds(&part->selector, &labels, model->symbols);
}

bool mu_matcher_untold(const struct mu_model *model, const struct mu_matcher *matcher,
                       const struct mu_kin *kin)
{
    bool untold = false;
    if (!mu_model_namespace_unknown(model, kin->ns))
        return false;
    for (uint32_t i = 0; i < matcher->part_count; i++) {
        bool hangs = part_hangs(model, &matcher->parts[i], kin);
        if (!hangs && !part_matches(model, &matcher->parts[i], kin))
            return false;
        untold = untold || hangs;
    }
    return untold;
}

/* ---- classes ---- */

bool mu_class_tolerates(const struct mu_model *m, const struct mu_class *c,
                        const struct mu_taint_set *taints)
{
    return mu_tolerance_tolerates(m->symbols, mu_model_get_tolerance(m, c->tolerance), taints);
}

bool mu_class_tolerates_unschedulable(const struct mu_model *m, const struct mu_class *c)
{
    return mu_model_get_tolerance(m, c->tolerance)->unschedulable;
}

bool mu_class_selects(const struct mu_model *m, const struct mu_class *c,
                      const struct mu_labels_view *labels, struct mu_symbol name)
{
    return !c->impossible &&
           mu_affinity_selects(m, mu_model_get_affinity(m, c->affinity), labels, name);
}
