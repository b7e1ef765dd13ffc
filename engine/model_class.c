#include <string.h>

#include "engine/base/assert.h"
#include "engine/model.h"
#include "engine/model_priv.h"

/*
 * Classes: one pass over the pod's spec writes the canonical key into scratch,
 *
 *     class_key | demands, by resource number | selector, by key | tolerations
 *
 * and a lookup by it finds the class; most pods of a cluster share a few thousand, so the hit is
 * what has to be fast: it allocates nothing and takes one reference.
 *
 * What makes two specs one class:
 *   demands       zero amounts drop out; an amount named twice is added up; `pods` is not a
 *                 demand (each pod takes one slot)
 *   selector      the hostname pair is kept apart from the others. A key that must have two
 *                 values at once drops out and makes the class impossible, whatever the values
 *   tolerations   without duplicates; EXISTS has no value; those that can tolerate no taint that
 *                 matters (operator NEVER, unknown effect) drop out
 *
 * Resources unknown so far get the next numbers, provisionally: they are registered only when the
 * class has been inserted. Pods may not use up the numbers that are kept for nodes; a pod that
 * would is of an impossible class without that demand (its other demands are still charged when
 * it is bound by someone else).
 */

struct class_key {
    uint32_t demand_count;
    uint32_t selector_count;
    uint32_t toleration_count;
    struct mu_symbol hostname;
    uint32_t impossible;
    uint32_t zero;
};

enum { RESOURCES_FOR_PODS = MU_RESOURCES_MAX - MU_RESOURCES_FOR_NODES };

_Static_assert(sizeof(struct class_key) % _Alignof(struct mu_demand) == 0, "demands follow");
_Static_assert(sizeof(struct mu_toleration_item) == 16, "no padding in a toleration");
_Static_assert(sizeof(struct class_key) + MU_RESOURCES_MAX * sizeof(struct mu_demand) +
                       MU_LABELS_PER_OBJECT * sizeof(struct mu_label_pair) +
                       MU_TOLERATIONS_PER_POD * sizeof(struct mu_toleration_item) <=
                   MU_SCRATCH_BYTES,
               "the largest class fits the scratch");

struct demands {
    int64_t amounts[MU_RESOURCES_MAX]; /* set where mask has a bit */
    uint64_t mask;
    bool impossible;
    uint32_t known_count; /* registered resources; new ones are numbered from here */
    uint32_t new_count;
    struct mu_str new_names[MU_RESOURCES_MAX];
};

/* The number of a resource; MU_RESOURCES_MAX when pods may not name another one. */
static uint32_t resource_number(const struct mu_model *model, struct demands *d, struct mu_str name)
{
    struct mu_resource_ix ix;
    if (mu_resource_find(model->resources, name, &ix))
        return ix.v;
    for (uint32_t i = 0; i < d->new_count; i++) {
        if (mu_str_equal(d->new_names[i], name))
            return d->known_count + i;
    }
    if (d->known_count + d->new_count >= RESOURCES_FOR_PODS)
        return MU_RESOURCES_MAX;
    d->new_names[d->new_count] = name;
    return d->known_count + d->new_count++;
}

static int demands_collect(const struct mu_model *model, const struct mu_pod_object *pod,
                           struct demands *d)
{
    if (pod->request_count > MU_REQUESTS_PER_POD)
        return MU_ELIMIT;
    d->mask = 0;
    d->impossible = false;
    d->known_count = mu_resource_count(model->resources);
    d->new_count = 0;
    for (uint32_t i = 0; i < pod->request_count; i++) {
        const struct mu_amount *request = &pod->requests[i];
        struct mu_str name = request->resource;
        if (request->value < 0 || name.len == 0 || name.len > MU_RESOURCE_NAME_BYTES_MAX)
            return MU_EINVAL;
        if (request->value == 0)
            continue;
        uint32_t number = resource_number(model, d, name);
        if (number == MU_RES_PODS)
            continue;
        if (number == MU_RESOURCES_MAX) {
            d->impossible = true;
            continue;
        }
        uint64_t bit = UINT64_C(1) << number;
        int64_t before = (d->mask & bit) != 0 ? d->amounts[number] : 0;
        d->amounts[number] = mu_amount_add(before, request->value);
        d->impossible = d->impossible || d->amounts[number] == MU_AMOUNT_MAX;
        d->mask |= bit;
    }
    return 0;
}

static int selector_borrow(struct mu_model *model, const struct mu_pod_object *pod)
{
    if (pod->selector_count > MU_LABELS_PER_OBJECT)
        return MU_ELIMIT;
    for (uint32_t i = 0; i < pod->selector_count; i++) {
        struct mu_symbol key, value;
        int status = mu_scratch_borrow(model, pod->selector[i].key, &key);
        if (status == 0)
            status = mu_scratch_borrow(model, pod->selector[i].value, &value);
        if (status != 0)
            return status;
        model->scratch->items[i] = (struct mu_sort_item){.major = key.v, .minor = value.v};
    }
    mu_scratch_sort(model->scratch, pod->selector_count);
    return 0;
}

/* Items to pairs at `out`; hostname and contradictions go into *key. */
static void selector_write(const struct mu_model *model, uint32_t count, struct class_key *key,
                           struct mu_label_pair *out)
{
    const struct mu_sort_item *items = model->scratch->items;
    for (uint32_t begin = 0, end; begin < count; begin = end) {
        bool agreed = true;
        for (end = begin + 1; end < count && items[end].major == items[begin].major; end++)
            agreed = agreed && items[end].minor == items[begin].minor;
        struct mu_label_pair pair = {{(uint32_t)items[begin].major},
                                     {(uint32_t)items[begin].minor}};
        if (!agreed)
            key->impossible = 1;
        else if (pair.key.v == model->hostname_key.v && pair.value.v != 0)
            key->hostname = pair.value;
        else
            out[key->selector_count++] = pair;
    }
}

/* Tolerations to items; *count: those that can matter. */
static int tolerations_borrow(struct mu_model *model, const struct mu_pod_object *pod,
                              uint32_t *count)
{
    if (pod->toleration_count > MU_TOLERATIONS_PER_POD)
        return MU_ELIMIT;
    *count = 0;
    for (uint32_t i = 0; i < pod->toleration_count; i++) {
        const struct mu_toleration *t = &pod->tolerations[i];
        if (t->op == MU_TOLERATE_NEVER || t->effect == MU_EFFECT_OTHER)
            continue;
        struct mu_symbol key, value = {0};
        int status = mu_scratch_borrow(model, t->key, &key);
        if (status == 0 && t->op == MU_TOLERATE_EQUAL)
            status = mu_scratch_borrow(model, t->value, &value);
        if (status != 0)
            return status;
        model->scratch->items[(*count)++] =
            (struct mu_sort_item){.major = (uint64_t)key.v << 32 | value.v,
                                  .minor = (uint64_t)t->op << 32 | (uint64_t)t->effect};
    }
    mu_scratch_sort(model->scratch, *count);
    return 0;
}

static void tolerations_write(const struct mu_scratch *scratch, uint32_t count,
                              struct class_key *key, struct mu_toleration_item *out)
{
    const struct mu_sort_item *items = scratch->items;
    for (uint32_t i = 0; i < count; i++) {
        if (i > 0 && items[i].major == items[i - 1].major && items[i].minor == items[i - 1].minor)
            continue;
        out[key->toleration_count++] = (struct mu_toleration_item){
            .key = {(uint32_t)(items[i].major >> 32)},
            .value = {(uint32_t)items[i].major},
            .op = (enum mu_toleration_op)(items[i].minor >> 32),
            .effect = (enum mu_taint_effect)(uint32_t)items[i].minor,
        };
    }
}

/* Write the key into scratch; *bytes: its length. */
static int key_write(struct mu_model *model, const struct mu_pod_object *pod,
                     const struct demands *d, uint32_t *bytes)
{
    struct mu_scratch *scratch = model->scratch;
    struct class_key *key = (struct class_key *)(void *)scratch->key;
    *key = (struct class_key){.impossible = d->impossible};
    struct mu_demand *demand = (struct mu_demand *)(void *)(key + 1);
    for (uint64_t rest = d->mask; rest != 0; rest &= rest - 1) {
        uint32_t number = (uint32_t)__builtin_ctzll(rest);
        memset(demand, 0, sizeof *demand); /* its padding is compared too */
        demand->resource.v = number;
        demand->amount = d->amounts[number];
        demand++;
        key->demand_count++;
    }
    struct mu_label_pair *pairs = (struct mu_label_pair *)(void *)demand;
    int status = selector_borrow(model, pod);
    if (status != 0)
        return status;
    selector_write(model, pod->selector_count, key, pairs);
    uint32_t count;
    status = tolerations_borrow(model, pod, &count);
    if (status != 0)
        return status;
    struct mu_toleration_item *tolerations =
        (struct mu_toleration_item *)(void *)(pairs + key->selector_count);
    tolerations_write(scratch, count, key, tolerations);
    *bytes = (uint32_t)((unsigned char *)(tolerations + key->toleration_count) - scratch->key);
    MU_ASSERT(*bytes <= sizeof scratch->key);
    return 0;
}

/* Point the head of a new entry into its key and take what it refers to. Cannot fail. */
static void class_fill(struct mu_model *model, struct mu_class *c, const struct class_key *key,
                       const struct demands *d)
{
    c->demand_count = key->demand_count;
    c->demands = (const struct mu_demand *)(const void *)(key + 1);
    c->selector_count = key->selector_count;
    c->selector = (const struct mu_label_pair *)(const void *)(c->demands + c->demand_count);
    c->toleration_count = key->toleration_count;
    c->tolerations =
        (const struct mu_toleration_item *)(const void *)(c->selector + c->selector_count);
    c->hostname = key->hostname;
    c->impossible = key->impossible != 0;
    c->resource_mask = d->mask;
    c->id = ++model->class_id_last;
    (void)mu_class_symbols(c, &(struct mu_symbol_change){model->symbols, true, 0});
    for (uint32_t i = 0; i < d->new_count; i++) {
        struct mu_resource_ix ix;
        int status = mu_resource_intern(model->resources, d->new_names[i], &ix);
        MU_ASSERT(status == 0 && ix.v == d->known_count + i);
    }
}

int mu_model_class(struct mu_model *model, const struct mu_pod_object *pod, struct mu_class_ix *out)
{
    struct demands demands;
    uint32_t bytes = 0;
    int status = demands_collect(model, pod, &demands);
    if (status != 0)
        return status;
    status = key_write(model, pod, &demands, &bytes);
    if (status == 0) {
        void *head;
        status = mu_model_enter(model, &model->classes, model->scratch->key, bytes, &out->v, &head);
        if (status == 0 && head != NULL)
            class_fill(model, head, mu_intern_key_data(&model->classes, out->v), &demands);
    }
    mu_scratch_drop(model);
    return status;
}

uint32_t mu_class_symbols(const struct mu_class *c, const struct mu_symbol_change *change)
{
    mu_symbol_apply(change, c->hostname);
    for (uint32_t i = 0; i < c->selector_count; i++) {
        mu_symbol_apply(change, c->selector[i].key);
        mu_symbol_apply(change, c->selector[i].value);
    }
    for (uint32_t i = 0; i < c->toleration_count; i++) {
        mu_symbol_apply(change, c->tolerations[i].key);
        mu_symbol_apply(change, c->tolerations[i].value);
    }
    return 1 + 2 * c->selector_count + 2 * c->toleration_count;
}
