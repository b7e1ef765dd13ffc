#include "engine/base/assert.h"
#include "engine/model.h"
#include "engine/model_priv.h"

/*
 * Static rules: those that depend on nothing but interned content, so that a session evaluates
 * each once per pair of ids. They compare symbols only and run in any thread.
 */

static bool tolerates(const struct mu_toleration_item *t, const struct mu_taint_item *taint)
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
    case MU_TOLERATE_NEVER:
        return false;
    }
    return false;
}

static bool any_tolerates(const struct mu_class *c, const struct mu_taint_item *taint)
{
    for (uint32_t i = 0; i < c->toleration_count; i++) {
        if (tolerates(&c->tolerations[i], taint))
            return true;
    }
    return false;
}

bool mu_class_tolerates(const struct mu_class *c, const struct mu_taint_set *taints)
{
    for (uint32_t i = 0; i < taints->count; i++) {
        const struct mu_taint_item *taint = &taints->items[i];
        bool filters =
            taint->effect == MU_EFFECT_NO_SCHEDULE || taint->effect == MU_EFFECT_NO_EXECUTE;
        if (filters && !any_tolerates(c, taint))
            return false;
    }
    return true;
}

bool mu_class_tolerates_unschedulable(const struct mu_model *m, const struct mu_class *c)
{
    struct mu_taint_item cordon = {m->unschedulable_key, {0}, MU_EFFECT_NO_SCHEDULE};
    return any_tolerates(c, &cordon);
}

bool mu_class_selects(const struct mu_class *c, const struct mu_label_set *labels,
                      struct mu_symbol hostname)
{
    if (c->impossible || (c->hostname.v != 0 && c->hostname.v != hostname.v))
        return false;
    /* Both are sorted by key: one walk. */
    uint32_t at = 0;
    for (uint32_t i = 0; i < c->selector_count; i++) {
        const struct mu_label_pair *wanted = &c->selector[i];
        while (at < labels->count && labels->pairs[at].key.v < wanted->key.v)
            at++;
        if (at == labels->count || labels->pairs[at].key.v != wanted->key.v ||
            labels->pairs[at].value.v != wanted->value.v)
            return false;
    }
    return true;
}
