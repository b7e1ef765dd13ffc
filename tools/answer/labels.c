/*
 * Requirements are met key by key. If a node's value of a key does not meet all that a term asks of
 * it, the values that could are few: none at all, a listed one, the next number above a bound, 0,
 * or any word. The first that meets all of them is taken; if none does, the term is out of reach.
 */
#include "tools/answer/labels.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* A value of a key: absent, a symbol that is known, or text that was made up. */
struct value {
    bool absent;
    struct mu_str text;
};

struct labeller {
    const struct mu_symtab *symbols;
    const struct mu_affinity *affinity;
    const struct mu_labels_view *labels;
    struct mu_symbol name;
};

static struct value present_value(const struct labeller *l, struct mu_symbol key)
{
    const struct mu_label_set *set = l->labels->set;
    if (key.v == l->labels->hostname_key.v && l->labels->hostname.v == 0)
        return (struct value){.absent = true};
    if (key.v == l->labels->hostname_key.v)
        return (struct value){.text = mu_symbol_str(l->symbols, l->labels->hostname)};
    for (uint32_t i = 0; i < set->count; i++)
        if (set->pairs[i].key.v == key.v)
            return (struct value){.text = mu_symbol_str(l->symbols, set->pairs[i].value)};
    return (struct value){.absent = true};
}

static bool is_listed(const struct labeller *l, const struct mu_requirement_item *r,
                      struct mu_str text)
{
    for (uint32_t i = 0; i < r->value_count; i++)
        if (mu_str_equal(mu_symbol_str(l->symbols, r->values[i]), text))
            return true;
    return false;
}

static bool meets(const struct labeller *l, const struct mu_requirement_item *r,
                  const struct value *v)
{
    int64_t number;
    switch (r->op) {
    case MU_OP_IN:
        return !v->absent && is_listed(l, r, v->text);
    case MU_OP_NOT_IN:
        return v->absent || !is_listed(l, r, v->text);
    case MU_OP_EXISTS:
        return !v->absent;
    case MU_OP_DOES_NOT_EXIST:
        return v->absent;
    case MU_OP_GT:
    case MU_OP_LT:
        return !v->absent && mu_str_to_i64(v->text, &number) &&
               (r->op == MU_OP_GT ? number > r->number : number < r->number);
    case MU_OP_NEVER:
        break;
    }
    return false;
}

/* Whether a value of this key meets the node selector and all that the term asks. */
static bool meets_all(const struct labeller *l, const struct mu_conjunction *term,
                      struct mu_symbol key, const struct value *v)
{
    for (uint32_t i = 0; i < l->affinity->selector_count; i++) {
        const struct mu_label_pair *pair = &l->affinity->selector[i];
        if (pair->key.v == key.v &&
            (v->absent || !mu_str_equal(mu_symbol_str(l->symbols, pair->value), v->text)))
            return false;
    }
    for (uint32_t i = 0; i < term->count; i++)
        if (term->items[i].key.v == key.v && !meets(l, &term->items[i], v))
            return false;
    return true;
}

/* The candidates that a requirement suggests, one by one; false behind the last. */
static bool candidate(const struct labeller *l, const struct mu_requirement_item *r, uint32_t n,
                      struct mu_label_want *want, struct value *out)
{
    *out = (struct value){.absent = n == 0};
    if (n == 0)
        return true;
    if (r->op == MU_OP_IN) {
        if (n <= r->value_count)
            out->text = mu_symbol_str(l->symbols, r->values[n - 1]);
        return n <= r->value_count;
    }
    if (n > 1)
        return false;
    if (r->op == MU_OP_GT && r->number != INT64_MAX) {
        int len = snprintf(want->digits, sizeof want->digits, "%" PRId64,
                           r->number < 0 ? 0 : r->number + 1); /* a label has no sign */
        out->text = (struct mu_str){want->digits, (uint32_t)len};
    } else {
        out->text = r->op == MU_OP_LT ? MU_STR("0") : MU_STR("true");
    }
    return true;
}

/* Settle one key of the term. False: out of reach. */
static bool settle_key(const struct labeller *l, const struct mu_conjunction *term,
                       struct mu_symbol key, struct mu_label_want *wants, uint32_t *count)
{
    struct value v = present_value(l, key);
    if (meets_all(l, term, key, &v))
        return true;
    if (key.v == l->labels->hostname_key.v || *count == MU_LABEL_WANTS_MAX)
        return false;
    struct mu_label_want *want = &wants[*count];
    *want = (struct mu_label_want){.key = mu_symbol_str(l->symbols, key)};
    bool found = false;
    for (uint32_t i = 0; i < l->affinity->selector_count && !found; i++) {
        v = (struct value){.text = mu_symbol_str(l->symbols, l->affinity->selector[i].value)};
        found = l->affinity->selector[i].key.v == key.v && meets_all(l, term, key, &v);
    }
    for (uint32_t i = 0; i < term->count && !found; i++)
        for (uint32_t n = 0;
             term->items[i].key.v == key.v && !found && candidate(l, &term->items[i], n, want, &v);
             n++)
            found = meets_all(l, term, key, &v);
    if (!found)
        return false;
    want->value = v.text;
    want->absent = v.absent;
    (*count)++;
    return true;
}

static bool name_matches(const struct labeller *l, const struct mu_conjunction *names)
{
    for (uint32_t i = 0; i < names->count; i++) {
        const struct mu_requirement_item *r = &names->items[i];
        bool listed = false;
        for (uint32_t v = 0; v < r->value_count; v++)
            listed = listed || r->values[v].v == l->name.v;
        if (r->op != MU_OP_IN && r->op != MU_OP_NOT_IN)
            return false;
        if (listed != (r->op == MU_OP_IN))
            return false;
    }
    return !names->nothing;
}

/* All keys of the selector and of one term; a key that comes again is settled already. */
static bool settle_term(const struct labeller *l, const struct mu_conjunction *term,
                        struct mu_label_want *wants, uint32_t *count)
{
    *count = 0;
    if (term->nothing || term->count + l->affinity->selector_count > MU_LABEL_WANTS_MAX)
        return false;
    for (uint32_t i = 0; i < l->affinity->selector_count; i++)
        if (!settle_key(l, term, l->affinity->selector[i].key, wants, count))
            return false;
    for (uint32_t i = 0; i < term->count; i++) {
        bool again = false;
        for (uint32_t e = 0; e < i; e++)
            again = again || term->items[e].key.v == term->items[i].key.v;
        for (uint32_t e = 0; e < l->affinity->selector_count; e++)
            again = again || l->affinity->selector[e].key.v == term->items[i].key.v;
        if (!again && !settle_key(l, term, term->items[i].key, wants, count))
            return false;
    }
    return true;
}

bool mu_labels_wanted(const struct mu_model *model, const struct mu_affinity *affinity,
                      const struct mu_labels_view *labels, struct mu_symbol name,
                      struct mu_label_want wants[MU_LABEL_WANTS_MAX], uint32_t *count)
{
    static const struct mu_conjunction anything = {.count = 0};
    struct labeller l = {mu_model_names(model), affinity, labels, name};
    struct mu_label_want tried[MU_LABEL_WANTS_MAX];
    bool found = false;
    if (affinity->hostname.v != 0 && affinity->hostname.v != labels->hostname.v)
        return false;
    if (!affinity->has_terms)
        return !affinity->nothing && settle_term(&l, &anything, wants, count);
    for (uint32_t t = 0; t < affinity->term_count; t++) {
        const struct mu_node_term_item *term = &affinity->terms[t];
        uint32_t tried_count = 0;
        bool empty = term->labels.count == 0 && term->names.count == 0; /* matches no node */
        if (empty || !name_matches(&l, &term->names) ||
            !settle_term(&l, &term->labels, tried, &tried_count))
            continue;
        if (found && tried_count >= *count)
            continue;
        memcpy(wants, tried, tried_count * sizeof *wants);
        for (uint32_t i = 0; i < tried_count; i++)
            if (tried[i].value.data == tried[i].digits)
                wants[i].value.data = wants[i].digits;
        *count = tried_count;
        found = true;
    }
    return found;
}
