/*
 * Selectors, translated. Kubernetes has two: of nodes (expressions on labels, fields for the name)
 * and of pods and namespaces (pairs and expressions on labels). Both become conjunctions of
 * requirements.
 *
 * A requirement is read as strictly as kube-scheduler reads it: key and values by the grammar of
 * labels, as many values as the operator takes, whole numbers for Gt and Lt. What it would refuse
 * is MU_OP_NEVER here, which nothing matches. kube-scheduler drops a node term that it cannot read
 * and fails a pod with any other selector that it cannot read; hence the mark on the pod.
 *
 * One bound holds over all selectors of a pod, since they are matched one after the other for the
 * same pod: a list of its spec that finds nothing left of the bound is left out as a whole.
 */
#include "informer/codec_pod_priv.h"

#include "engine/base/assert.h"
#include "informer/names.h"

#define NAME_FIELD "metadata.name"

static const struct {
    const char *word;
    enum mu_op op;
} OPERATORS[] = {
    {"In", MU_OP_IN},         {"NotIn", MU_OP_NOT_IN},
    {"Exists", MU_OP_EXISTS}, {"DoesNotExist", MU_OP_DOES_NOT_EXIST},
    {"Gt", MU_OP_GT},         {"Lt", MU_OP_LT},
};

static enum mu_op read_operator(struct mu_str word)
{
    for (size_t i = 0; i < sizeof OPERATORS / sizeof OPERATORS[0]; i++) {
        if (mu_text_is(word, OPERATORS[i].word))
            return OPERATORS[i].op;
    }
    return MU_OP_NEVER;
}

/* --- what a pod may have ------------------------------------------------------------------- */

static struct mu_requirement *take_requirements(struct mu_pod_reader *r, size_t count, int *rc)
{
    *rc = 0;
    if (count > r->requirements_left)
        *rc = MU_ELIMIT;
    if (count == 0 || *rc != 0)
        return NULL;
    r->requirements_left -= (uint32_t)count;
    struct mu_requirement *items = mu_arena_calloc(r->arena, count, sizeof *items);
    if (items == NULL)
        *rc = MU_ENOMEM;
    return items;
}

/* A copy: numbers among the values are written without leading zeros. */
static int take_values(struct mu_pod_reader *r, const struct mu_text_list *from, struct mu_str **to)
{
    *to = NULL;
    if (from->count > r->values_left)
        return MU_ELIMIT;
    r->values_left -= from->count;
    if (from->count == 0)
        return 0;
    *to = mu_arena_calloc(r->arena, from->count, sizeof **to);
    if (*to == NULL)
        return MU_ENOMEM;
    memcpy(*to, from->items, from->count * sizeof **to);
    return 0;
}

int mu_pod_values(struct mu_pod_reader *r, const struct mu_text_list *from,
                  const struct mu_str **to)
{
    struct mu_str *values;
    int rc = take_values(r, from, &values);
    *to = values;
    return rc;
}

/* --- requirements -------------------------------------------------------------------------- */

static bool arity_holds(enum mu_op op, uint32_t count)
{
    switch (op) {
    case MU_OP_IN:
    case MU_OP_NOT_IN:
        return count >= 1;
    case MU_OP_EXISTS:
    case MU_OP_DOES_NOT_EXIST:
        return count == 0;
    case MU_OP_GT:
    case MU_OP_LT:
        return count == 1;
    case MU_OP_NEVER:
        return false;
    }
    return false;
}

/* A number as Gt and Lt take it, which is a label value too: digits only, so no sign. Leading
 * zeros, which say nothing, are cut off. */
static bool read_number(struct mu_str *text)
{
    int64_t number;
    while (text->len > 1 && text->data[0] == '0')
        *text = (struct mu_str){text->data + 1, text->len - 1};
    return text->len > 0 && text->data[0] != '-' && mu_str_to_i64(*text, &number);
}

/* A requirement on labels: key and values by the grammar, the operator with its arity. */
static bool check_labels(struct mu_requirement *item, struct mu_str *values)
{
    if (!arity_holds(item->op, item->value_count) || !mu_name_is_label_key(item->key))
        return false;
    for (uint32_t i = 0; i < item->value_count; i++) {
        if (!mu_name_is_label_value(values[i]))
            return false;
    }
    return (item->op != MU_OP_GT && item->op != MU_OP_LT) || read_number(&values[0]);
}

static bool check_field(const struct mu_requirement *item)
{
    return mu_str_equal(item->key, MU_STR(NAME_FIELD)) && item->value_count == 1 &&
           (item->op == MU_OP_IN || item->op == MU_OP_NOT_IN);
}

static void make_never(struct mu_requirement *item)
{
    item->op = MU_OP_NEVER;
    item->values = NULL;
    item->value_count = 0;
}

static int node_requirement(struct mu_pod_reader *r, const struct mu_view_expression *from,
                            bool field, struct mu_requirement *to)
{
    struct mu_str *values;
    int rc = take_values(r, &from->values, &values);
    if (rc != 0)
        return rc;
    *to = (struct mu_requirement){.key = from->key,
                                  .op = read_operator(from->op),
                                  .values = values,
                                  .value_count = from->values.count};
    if (!(field ? check_field(to) : check_labels(to, values)))
        make_never(to);
    return 0;
}

static int node_requirements(struct mu_pod_reader *r, const struct mu_expression_list *from,
                             bool fields, struct mu_selector *to)
{
    int rc;
    struct mu_requirement *items = take_requirements(r, from->count, &rc);
    for (uint32_t i = 0; rc == 0 && i < from->count; i++)
        rc = node_requirement(r, &from->items[i], fields, &items[i]);
    if (rc == 0)
        *to = (struct mu_selector){.requirements = items, .requirement_count = from->count};
    return rc;
}

int mu_pod_node_term(struct mu_pod_reader *r, const struct mu_view_node_term *from,
                     struct mu_node_term *to)
{
    *to = (struct mu_node_term){.labels = {.nothing = false}};
    int rc = node_requirements(r, &from->expressions, false, &to->labels);
    if (rc == 0)
        rc = node_requirements(r, &from->fields, true, &to->fields);
    return rc;
}

/* --- selectors of pods and namespaces ------------------------------------------------------ */

/* A selector under construction. */
struct draft {
    struct mu_pod_reader *r;
    const char *field; /* for warnings */
    struct mu_requirement *items;
    uint32_t count;
};

static void check_draft(struct draft *d, struct mu_requirement *item, struct mu_str *values)
{
    bool node_only = item->op == MU_OP_GT || item->op == MU_OP_LT;
    if (!node_only && check_labels(item, values))
        return;
    d->r->out->unbuilt |= MU_RULE_UNREADABLE;
    mu_pod_warn(d->r, d->field, item->key, "expected a requirement on labels");
    make_never(item);
}

static int add_pair(struct draft *d, struct mu_str key, enum mu_op op, struct mu_str value)
{
    const struct mu_text_list one = {&value, 1};
    struct mu_str *values;
    int rc = take_values(d->r, &one, &values);
    if (rc != 0)
        return rc;
    MU_ASSERT(d->items != NULL); /* as many were taken as there are pairs and expressions */
    struct mu_requirement *item = &d->items[d->count++];
    *item = (struct mu_requirement){.key = key, .op = op, .values = values, .value_count = 1};
    check_draft(d, item, values);
    return 0;
}

static int add_expression(struct draft *d, const struct mu_view_expression *from)
{
    struct mu_str *values;
    int rc = take_values(d->r, &from->values, &values);
    if (rc != 0)
        return rc;
    MU_ASSERT(d->items != NULL);
    struct mu_requirement *item = &d->items[d->count++];
    *item = (struct mu_requirement){.key = from->key,
                                    .op = read_operator(from->op),
                                    .values = values,
                                    .value_count = from->values.count};
    check_draft(d, item, values);
    return 0;
}

/* Is it there already? `any_value`: with whatever value. */
static bool has_pair(const struct draft *d, struct mu_str key, enum mu_op op, struct mu_str value,
                     bool any_value)
{
    for (uint32_t i = 0; i < d->count; i++) {
        const struct mu_requirement *item = &d->items[i];
        if (item->op == op && item->value_count == 1 && mu_str_equal(item->key, key) &&
            (any_value || mu_str_equal(item->values[0], value)))
            return true;
    }
    return false;
}

/* Merge keys with the pod's own values. A key that the pod does not have says nothing. */
static int add_own(struct draft *d, const struct mu_text_list *keys, enum mu_op op,
                   bool merged_once)
{
    const struct mu_pod_object *pod = d->r->out;
    int rc = 0;
    for (uint32_t k = 0; rc == 0 && k < keys->count; k++) {
        struct mu_str key = keys->items[k];
        uint32_t i = pod->label_count;
        while (i > 0 && !mu_str_equal(pod->labels[i - 1].key, key))
            i--;
        if (i > 0 && !has_pair(d, key, op, pod->labels[i - 1].value, merged_once))
            rc = add_pair(d, key, op, pod->labels[i - 1].value);
    }
    return rc;
}

int mu_pod_selector(struct mu_pod_reader *r, const struct mu_view_selector *from,
                    const struct mu_own_keys *own, const char *field, struct mu_selector *to)
{
    static const struct mu_own_keys none = {.merged_once = false};
    *to = (struct mu_selector){.nothing = from == NULL};
    if (from == NULL)
        return 0;
    if (own == NULL)
        own = &none;
    int rc;
    size_t count =
        (size_t)from->labels.count + from->expressions.count + own->in.count + own->not_in.count;
    struct draft d = {.r = r, .field = field, .items = take_requirements(r, count, &rc)};
    for (uint32_t i = 0; rc == 0 && i < from->labels.count; i++)
        rc = add_pair(&d, from->labels.items[i].key, MU_OP_IN, from->labels.items[i].value);
    for (uint32_t i = 0; rc == 0 && i < from->expressions.count; i++)
        rc = add_expression(&d, &from->expressions.items[i]);
    if (rc == 0)
        rc = add_own(&d, &own->in, MU_OP_IN, own->merged_once);
    if (rc == 0)
        rc = add_own(&d, &own->not_in, MU_OP_NOT_IN, own->merged_once);
    to->requirements = d.items;
    to->requirement_count = d.count;
    return rc;
}
