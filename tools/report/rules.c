#include "tools/report/rules.h"

/* An empty key stands for every key, with Exists alone: the API refuses it with Equal. */
static bool matches(const struct mu_toleration *t, const struct mu_taint *taint)
{
    if (t->effect != MU_EFFECT_ANY && t->effect != taint->effect)
        return false;
    if (t->op == MU_TOLERATE_EXISTS)
        return t->key.len == 0 || mu_str_equal(t->key, taint->key);
    return t->op == MU_TOLERATE_EQUAL && t->key.len > 0 && mu_str_equal(t->key, taint->key) &&
           mu_str_equal(t->value, taint->value);
}

static bool tolerates(const struct mu_pod_object *pod, const struct mu_taint *taint)
{
    for (uint32_t i = 0; i < pod->toleration_count; i++)
        if (matches(&pod->tolerations[i], taint))
            return true;
    return false;
}

/* The last label of that key counts: a later duplicate wins. */
static bool has_label(const struct mu_node_object *node, const struct mu_label *wanted)
{
    for (uint32_t i = node->label_count; i > 0; i--)
        if (mu_str_equal(node->labels[i - 1].key, wanted->key))
            return mu_str_equal(node->labels[i - 1].value, wanted->value);
    return false;
}

enum mu_verdict_kind mu_rules_static(const struct mu_node_object *node,
                                     const struct mu_pod_object *pod)
{
    const struct mu_taint cordon = {.key = MU_STR("node.kubernetes.io/unschedulable"),
                                    .effect = MU_EFFECT_NO_SCHEDULE};
    if (node->unschedulable && !tolerates(pod, &cordon))
        return MU_NO_UNSCHEDULABLE;
    for (uint32_t i = 0; i < node->taint_count; i++) {
        enum mu_taint_effect effect = node->taints[i].effect;
        if ((effect == MU_EFFECT_NO_SCHEDULE || effect == MU_EFFECT_NO_EXECUTE) &&
            !tolerates(pod, &node->taints[i]))
            return MU_NO_TAINT;
    }
    for (uint32_t i = 0; i < pod->selector_count; i++)
        if (!has_label(node, &pod->selector[i]))
            return MU_NO_NODE_AFFINITY;
    return MU_FITS;
}
