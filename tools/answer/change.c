/*
 * The row is judged again and again by the engine's own filter, each time with the cause it named
 * taken away: on the row, which is scratch, or in a copy of the class. What is static comes first,
 * then pods that keep this one away and leave, then room, of which they give theirs back, then the
 * other rules about other pods, judged as they would be with all of this done (judge.c). So no
 * change is stated that another one makes needless.
 */
#include "tools/answer/change.h"

#include <string.h>
#include "engine/base/assert.h"
#include "engine/device.h"
#include "engine/place/filter.h"
#include "informer/codec.h"
#include "tools/answer/judge.h"
#include "tools/answer/labels.h"
#include "tools/answer/words.h"

#define REMOVED_MAX  64u /* pods that one node would have to lose */
#define OTHERS_MAX   65536u
#define FIRST_DEVICE "nvidia.com/gpu" /* what a node without devices would get */
#define CHANGES_MAX                                                                                \
    (MU_TAINTS_PER_NODE + MU_LABELS_PER_OBJECT + MU_RESOURCES_MAX + REMOVED_MAX + 16)

struct finder {
    struct mu_changer *c;
    uint32_t row;
    struct mu_class class_; /* copy, without what was waved away */
    bool hopeless;
    const struct mu_affinity *affinity; /* what is left of it; NULL: all of it */
    const struct mu_tolerance *tolerance;
    const struct mu_placed_pod *gone[REMOVED_MAX];
    uint32_t gone_rows[REMOVED_MAX];
    uint32_t gone_count;
    int64_t free_before[MU_RESOURCES_MAX];
    struct mu_device_row devices_before;
    struct mu_label_want wants[MU_LABEL_WANTS_MAX];
    uint32_t count;
    struct mu_change changes[CHANGES_MAX];
};

static struct mu_change *put(struct finder *f, enum mu_change_kind kind, struct mu_str key)
{
    MU_ASSERT(f->count < CHANGES_MAX);
    struct mu_change *change = &f->changes[f->count++];
    *change = (struct mu_change){.kind = kind, .key = key};
    return change;
}

static const struct mu_symtab *names_of(const struct finder *f)
{
    return mu_model_names(f->c->snapshot->model);
}

/* ---- taints ------------------------------------------------------------------------------- */

/* Whoever uncordons a node takes this taint off it as well. */
static bool goes_with_cordon(const struct finder *f, const struct mu_taint_item *taint)
{
    return f->count > 0 && f->changes[0].kind == MU_CHANGE_UNCORDON &&
           taint->effect == MU_EFFECT_NO_SCHEDULE &&
           mu_str_equal(mu_symbol_str(names_of(f), taint->key),
                        MU_STR("node.kubernetes.io/unschedulable"));
}

static void put_toleration(struct finder *f, const struct mu_taint_item *taint)
{
    struct mu_change *change = put(f, MU_CHANGE_TOLERATION, mu_symbol_str(names_of(f), taint->key));
    change->value = mu_symbol_str(names_of(f), taint->value);
    change->effect = taint->effect;
}

static void waive_taints(struct finder *f)
{
    const struct mu_model *model = f->c->snapshot->model;
    struct mu_node_static *node = &f->c->snapshot->nodes[f->row];
    const struct mu_taint_set *set = mu_model_get_taint_set(model, node->taints);
    const struct mu_tolerance *before = mu_model_get_tolerance(model, f->class_.tolerance);
    struct mu_tolerance *now = mu_arena_alloc(f->c->arena, sizeof *now);
    struct mu_toleration_item *items =
        mu_arena_alloc(f->c->arena, ((size_t)before->count + set->count + 1) * sizeof *items);
    f->hopeless = now == NULL || items == NULL;
    if (f->hopeless)
        return;
    *now = *before;
    now->items = items;
    if (before->count > 0)
        memcpy(items, before->items, before->count * sizeof *items);
    for (uint32_t i = 0; i < set->count; i++) {
        const struct mu_taint_set one = {.count = 1, .items = &set->items[i]};
        if (mu_class_tolerates(model, &f->class_, &one) || goes_with_cordon(f, one.items))
            continue;
        put_toleration(f, one.items);
        items[now->count++] = (struct mu_toleration_item){one.items->key, one.items->value,
                                                          MU_TOLERATE_EQUAL, one.items->effect};
    }
    f->tolerance = now;
    node->taints.v = 0;
}

/* ---- room --------------------------------------------------------------------------------- */

static struct mu_str resource_name(const struct finder *f, struct mu_resource_ix resource)
{
    struct mu_model *model = (struct mu_model *)(uintptr_t)f->c->snapshot->model; /* to read */
    return mu_resource_name(mu_model_resources(model), resource);
}

/* Of one that nobody has heard of: pod slots, which no class has among its demands. */
static uint32_t number_of(const struct finder *f, struct mu_str resource)
{
    struct mu_model *model = (struct mu_model *)(uintptr_t)f->c->snapshot->model; /* to read */
    struct mu_resource_ix ix;
    bool known = mu_resource_find(mu_model_resources(model), resource, &ix);
    return known ? ix.v : (uint32_t)MU_RES_PODS;
}

/* What has to be freed, once the node has as much as is asked at all. */
static void put_room(struct finder *f, struct mu_str resource, int64_t asked, int64_t alloc,
                     int64_t free)
{
    int64_t grow = asked > alloc ? asked - alloc : 0;
    if (grow > 0)
        put(f, MU_CHANGE_GROW, resource)->amount = grow;
    int64_t have = free + grow; /* below 0 where the node is overcommitted, by up to 2^62 */
    bool beyond = have < 0 && asked > MU_AMOUNT_MAX + have;
    if (have < asked)
        put(f, MU_CHANGE_FREE, resource)->amount = beyond ? MU_AMOUNT_MAX : asked - have;
}

/* The demand is met from now on: it is left out of the copy. */
static void drop_demand(struct finder *f, uint32_t d)
{
    struct mu_demand *rest =
        mu_arena_alloc(f->c->arena, (f->class_.demand_count + 1) * sizeof *rest);
    if (rest == NULL) {
        f->hopeless = true;
        return;
    }
    uint32_t count = 0;
    for (uint32_t i = 0; i < f->class_.demand_count; i++)
        if (i != d)
            rest[count++] = f->class_.demands[i];
    f->class_.demands = rest;
    f->class_.demand_count = count;
}

/* ---- devices ------------------------------------------------------------------------------ */

/* A label of this key that the node is to get or to lose, or NULL. */
static const struct mu_change *label_change(const struct finder *f, struct mu_str key)
{
    return mu_label_change(f->changes, f->count, key);
}

/* Whether rules go by this label, which would have to be judged anew: those about other pods, or
 * the pod's own node affinity. */
static bool looks_at(const struct finder *f, struct mu_str key)
{
    const struct mu_affinity *affinity =
        mu_model_get_affinity(f->c->snapshot->model, f->class_.affinity);
    bool looks = false;
    for (uint32_t t = 0; t < f->c->snapshot->topology_count; t++)
        looks = looks ||
                mu_str_equal(mu_symbol_str(names_of(f), f->c->snapshot->topology_keys[t]), key);
    for (uint32_t i = 0; i < affinity->selector_count; i++)
        looks = looks || mu_str_equal(mu_symbol_str(names_of(f), affinity->selector[i].key), key);
    for (uint32_t t = 0; t < affinity->term_count; t++)
        for (uint32_t r = 0; r < affinity->terms[t].labels.count; r++)
            looks = looks ||
                    mu_str_equal(mu_symbol_str(names_of(f), affinity->terms[t].labels.items[r].key),
                                 key);
    return looks;
}

static bool has_label(const struct finder *f, struct mu_str key, struct mu_str value)
{
    const struct mu_model *model = f->c->snapshot->model;
    const struct mu_label_set *set =
        mu_model_get_label_set(model, f->c->snapshot->nodes[f->row].labels);
    for (uint32_t i = 0; i < set->count; i++)
        if (mu_str_equal(mu_symbol_str(names_of(f), set->pairs[i].key), key))
            return mu_str_equal(mu_symbol_str(names_of(f), set->pairs[i].value), value);
    return false;
}

/* The node gets a label that says something of its devices, unless it has it. */
static void put_device_label(struct finder *f, struct mu_str key, struct mu_str value)
{
    const struct mu_change *before = label_change(f, key);
    if (before == NULL && has_label(f, key, value))
        return;
    bool agrees =
        before != NULL && before->kind == MU_CHANGE_LABEL && mu_str_equal(before->value, value);
    if (before != NULL ? !agrees : looks_at(f, key))
        f->hopeless = true;
    else if (before == NULL)
        put(f, MU_CHANGE_LABEL, key)->value = value;
}

/* So many devices of the node, and what is left of them by the pods that stay: each has those that
 * it names, or what best fit gives it. From the pods, since a device from which more is taken than
 * it has forgot how much. */
static struct mu_device_row devices_then(struct finder *f, uint32_t share, uint32_t count,
                                         uint32_t resource, bool whole)
{
    const struct mu_model *model = f->c->snapshot->model;
    const struct mu_placed *placed = mu_placed_pods(f->c);
    struct mu_device_row devices;
    mu_device_init(&devices, count, resource, whole);
    f->hopeless = f->hopeless || placed == NULL;
    for (uint32_t i = f->hopeless ? 0 : placed->begin[f->row];
         !f->hopeless && i < placed->begin[f->row + 1]; i++) {
        const struct mu_placed_pod *pod = &placed->pods[i];
        struct mu_device_ask ask =
            mu_device_ask(&devices, share, mu_model_get_class(model, pod->class_ix));
        if (ask.count == 0 || mu_is_gone(f->gone, f->gone_count, pod))
            continue;
        bool named = mu_device_answers(&devices, ask, pod->devices);
        mu_device_take(&devices, ask,
                       named ? (uint16_t)pod->devices : mu_device_choose(&devices, ask));
    }
    return devices;
}

/* The one resource of which the node has devices, or MU_NONE: none. More than one, or more than can
 * be tracked: there is no hope. */
static uint32_t countable_devices(struct finder *f, uint64_t whole)
{
    const struct mu_snapshot *s = f->c->snapshot;
    uint32_t found = MU_NONE;
    for (; whole != 0; whole &= whole - 1) {
        uint32_t r = (uint32_t)__builtin_ctzll(whole);
        if (r >= s->resource_count || mu_snapshot_alloc(s, r, f->row) <= 0)
            continue;
        f->hopeless = f->hopeless || found != MU_NONE ||
                      mu_snapshot_alloc(s, r, f->row) > MU_DEVICES_PER_NODE;
        found = r;
    }
    return found;
}

/* The node comes to share its devices, of which it may need a first one. Whom it has already will
 * hold some: then a device may have to be emptied for the pod. */
static void share_devices(struct finder *f, const struct mu_device_resources *names,
                          struct mu_str share, int64_t asked)
{
    uint32_t whole = countable_devices(f, names->whole);
    put_device_label(f, MU_STR(MU_SHARING_LABEL), MU_STR("true"));
    if (f->hopeless)
        return;
    if (whole == MU_NONE)
        put(f, MU_CHANGE_GROW, MU_STR(FIRST_DEVICE))->amount = 1;
    uint32_t count =
        whole == MU_NONE ? 1 : (uint32_t)mu_snapshot_alloc(f->c->snapshot, whole, f->row);
    uint32_t resource = whole == MU_NONE ? number_of(f, MU_STR(FIRST_DEVICE)) : whole;
    struct mu_device_row then = devices_then(f, names->share, count, resource, false);
    if (mu_device_most_left(&then) < asked)
        put(f, MU_CHANGE_DEVICE, share)->amount = asked - mu_device_most_left(&then);
}

/* The node comes to give whole devices. */
static void give_devices(struct finder *f, struct mu_str resource, int64_t asked)
{
    MU_ASSERT(f->c->snapshot->devices != NULL); /* the filter found them not to be given */
    struct mu_device_row devices = f->c->snapshot->devices[f->row];
    devices.flags |= MU_DEVICE_WHOLE;
    put_device_label(f, MU_STR(MU_DEVICE_LABEL), MU_STR("honored"));
    put_room(f, resource, asked, devices.count, mu_device_whole_free(&devices));
}

/* A node that would share its devices gets some, which are tracked from then on. Whom it has
 * already will hold some. */
static void grow_devices(struct finder *f, const struct mu_device_resources *names,
                         struct mu_resource_ix resource, int64_t asked)
{
    put_device_label(f, MU_STR(MU_DEVICE_LABEL), MU_STR("honored"));
    put(f, MU_CHANGE_GROW, resource_name(f, resource))->amount = asked;
    struct mu_device_row then = devices_then(f, names->share, (uint32_t)asked, resource.v, true);
    if (mu_device_whole_free(&then) < asked)
        put(f, MU_CHANGE_FREE, resource_name(f, resource))->amount =
            asked - mu_device_whole_free(&then);
}

/* A resource of devices. */
static void waive_devices(struct finder *f, const struct mu_device_resources *names,
                          struct mu_resource_ix resource, int64_t asked)
{
    const struct mu_snapshot *s = f->c->snapshot;
    struct mu_str name = resource_name(f, resource);
    bool known = mu_filter_known(s, resource);
    bool tracked = s->devices != NULL && s->devices[f->row].count != 0;
    int64_t alloc = known ? mu_snapshot_alloc(s, resource.v, f->row) : 0;
    int64_t free = known ? s->free[resource.v][f->row] : 0;
    if (resource.v == names->share && asked > MU_DEVICE_MILLIS)
        f->hopeless = true; /* no device has as much */
    else if (resource.v == names->share && tracked)
        put(f, MU_CHANGE_DEVICE, name)->amount = asked - free;
    else if (resource.v == names->share)
        share_devices(f, names, name, asked);
    else if (mu_device_refusal(s, names, resource.v, asked, f->row) == MU_NO_DEVICE_WHOLE)
        give_devices(f, name, asked);
    else if (alloc == 0 && asked <= MU_DEVICES_PER_NODE &&
             has_label(f, MU_STR(MU_SHARING_LABEL), MU_STR("true")))
        grow_devices(f, names, resource, asked);
    else
        put_room(f, name, asked, alloc, free);
}

/* ---- all resources ------------------------------------------------------------------------ */

static void waive_resource(struct finder *f, struct mu_resource_ix resource)
{
    const struct mu_snapshot *s = f->c->snapshot;
    const struct mu_device_resources names = mu_device_resources(s);
    uint32_t d = 0;
    while (d < f->class_.demand_count && f->class_.demands[d].resource.v != resource.v)
        d++;
    MU_ASSERT(d < f->class_.demand_count); /* the filter has just named it */
    int64_t asked = f->class_.demands[d].amount;
    bool known = mu_filter_known(s, resource);
    if (asked == MU_AMOUNT_MAX) /* no amount is enough */
        f->hopeless = true;
    else if (resource.v == names.share || (names.whole >> resource.v & 1) != 0)
        waive_devices(f, &names, resource, asked);
    else
        put_room(f, resource_name(f, resource), asked,
                 known ? mu_snapshot_alloc(s, resource.v, f->row) : 0,
                 known ? s->free[resource.v][f->row] : 0);
    drop_demand(f, d);
}

static void waive_pods(struct finder *f)
{
    int64_t *free = &f->c->snapshot->free[MU_RES_PODS][f->row];
    int64_t alloc = mu_snapshot_alloc(f->c->snapshot, MU_RES_PODS, f->row);
    put_room(f, MU_STR("pods"), 1, alloc, *free);
    *free = 1;
}

/* ---- node affinity ------------------------------------------------------------------------ */

/* The wanted labels as changes. Values that were made up live on in the arena. */
static void put_labels(struct finder *f, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        const struct mu_label_want *want = &f->wants[i];
        struct mu_change *change =
            put(f, want->absent ? MU_CHANGE_UNLABEL : MU_CHANGE_LABEL, want->key);
        change->value = want->value;
        if (want->value.data != want->digits)
            continue;
        change->value = mu_arena_str(f->c->arena, want->value);
        f->hopeless = f->hopeless || change->value.data == NULL;
    }
}

#define REQUIRED ".requiredDuringSchedulingIgnoredDuringExecution"

static void drop_terms(struct finder *f)
{
    (void)put(f, MU_CHANGE_DROP, MU_STR("spec.affinity.nodeAffinity" REQUIRED));
}

static void drop_selector(struct finder *f)
{
    (void)put(f, MU_CHANGE_DROP, MU_STR("spec.nodeSelector"));
}

/* No labels do for all of it: what goes is the terms, if labels do for the selector; else the
 * selector, if they do for the terms; else both. */
static void drop_affinity(struct finder *f, const struct mu_affinity *affinity,
                          const struct mu_labels_view *labels, struct mu_symbol name)
{
    const struct mu_model *model = f->c->snapshot->model;
    struct mu_affinity *rest = mu_arena_calloc(f->c->arena, 1, sizeof *rest);
    uint32_t count = 0;
    bool elsewhere = affinity->hostname.v != 0 && affinity->hostname.v != labels->hostname.v;
    f->hopeless = rest == NULL;
    if (f->hopeless)
        return;
    f->affinity = rest;
    *rest = (struct mu_affinity){.selector_count = affinity->selector_count,
                                 .selector = affinity->selector,
                                 .hostname = affinity->hostname};
    if (affinity->has_terms && !elsewhere &&
        mu_labels_wanted(model, rest, labels, (struct mu_symbol){0}, f->wants, &count)) {
        drop_terms(f);
        put_labels(f, count);
        return;
    }
    *rest = (struct mu_affinity){.has_terms = affinity->has_terms,
                                 .nothing = affinity->has_terms && affinity->term_count == 0,
                                 .term_count = affinity->term_count,
                                 .terms = affinity->terms,
                                 .only_name = affinity->only_name};
    if (affinity->has_terms && mu_labels_wanted(model, rest, labels, name, f->wants, &count)) {
        drop_selector(f);
        put_labels(f, count);
        return;
    }
    *rest = (struct mu_affinity){.nothing = false};
    if (affinity->has_terms)
        drop_terms(f);
    drop_selector(f);
}

static void waive_affinity(struct finder *f)
{
    const struct mu_snapshot *s = f->c->snapshot;
    const struct mu_node_static *node = &s->nodes[f->row];
    const struct mu_affinity *affinity = mu_model_get_affinity(s->model, f->class_.affinity);
    struct mu_labels_view labels = mu_model_labels(s->model, node->labels, node->hostname);
    uint32_t count = 0;
    if (mu_labels_wanted(s->model, affinity, &labels, node->name, f->wants, &count))
        put_labels(f, count);
    else
        drop_affinity(f, affinity, &labels, node->name);
    f->class_.impossible = false;
    f->class_.selector_count = 0;
    f->class_.hostname.v = 0;
    f->class_.affinity.v = 0;
}

/* ---- rules about other pods --------------------------------------------------------------- */

/* A placed pod with a required anti-affinity term that matches the pod in question. */
struct other {
    const struct mu_placed_pod *pod;
    uint32_t row;
    struct mu_symbol topology_key;
};
struct others {
    uint32_t count;
    bool too_many;
    struct other items[OTHERS_MAX];
};

static void add_others(struct others *others, const struct mu_changer *c,
                       const struct mu_placed_pod *pod, uint32_t row)
{
    const struct mu_model *model = c->snapshot->model;
    const struct mu_class *class_ = mu_model_get_class(model, pod->class_ix);
    const struct mu_kin *kin = mu_model_get_kin(model, c->kin);
    for (uint32_t i = 0; i < class_->term_count; i++) {
        const struct mu_term_item *term = &class_->terms[i];
        if (term->kind != MU_TERM_ANTI_AFFINITY ||
            !mu_matcher_matches(model, mu_model_get_matcher(model, term->matcher), kin))
            continue;
        others->too_many = others->too_many || others->count == OTHERS_MAX;
        if (others->too_many)
            return;
        others->items[others->count++] = (struct other){pod, row, term->topology_key};
    }
}

/* All pods are looked at, once: the censuses count them and know no names. NULL: no memory. */
static const struct others *others_of(struct mu_changer *c)
{
    const struct mu_placed *placed = mu_placed_pods(c);
    if (c->others != NULL || placed == NULL)
        return c->others;
    struct others *others = mu_arena_alloc(c->arena, sizeof *others);
    if (others == NULL)
        return NULL;
    others->count = 0;
    others->too_many = false;
    for (uint32_t row = 0; row < c->snapshot->node_rows; row++)
        for (uint32_t i = placed->begin[row]; i < placed->begin[row + 1]; i++)
            add_others(others, c, &placed->pods[i], row);
    c->others = others;
    return others;
}

/* The same for a symbol. */
static const struct mu_change *relabelled(const struct finder *f, struct mu_symbol key)
{
    return label_change(f, mu_symbol_str(names_of(f), key));
}

/* Whether the row would be of the other row's domain, with its labels changed as found so far. */
static bool same_domain(const struct finder *f, struct mu_symbol key, uint32_t other)
{
    const struct mu_snapshot *s = f->c->snapshot;
    const struct mu_change *change = relabelled(f, key);
    if (change != NULL) {
        const struct mu_node_static *node = &s->nodes[other];
        const struct mu_label_set *set = mu_model_get_label_set(s->model, node->labels);
        if (other == f->row)
            return change->kind == MU_CHANGE_LABEL;
        for (uint32_t i = 0; i < set->count; i++)
            if (set->pairs[i].key.v == key.v)
                return change->kind == MU_CHANGE_LABEL &&
                       mu_str_equal(mu_symbol_str(names_of(f), set->pairs[i].value), change->value);
        return false;
    }
    for (uint32_t t = 0; t < s->topology_count; t++)
        if (s->topology_keys[t].v == key.v)
            return s->topology[t][f->row] != MU_NONE &&
                   s->topology[t][f->row] == s->topology[t][other];
    return false;
}

/* Pods that keep this one away would have to go, unless they are too many to be told. */
static int remove_others(struct finder *f)
{
    const struct mu_snapshot *s = f->c->snapshot;
    const struct others *others = others_of(f->c);
    const struct mu_kin_census *kin =
        f->c->kin.v < s->kin_census_count ? s->kin_census[f->c->kin.v] : NULL;
    struct mu_pod_view pod;
    if (others == NULL)
        return MU_ENOMEM;
    f->hopeless = others->too_many || (kin != NULL && kin->partial);
    for (uint32_t i = 0; i < others->count && !f->hopeless; i++) {
        const struct other *o = &others->items[i];
        if ((f->gone_count > 0 && f->gone[f->gone_count - 1] == o->pod) ||
            !same_domain(f, o->topology_key, o->row) || !mu_db_pod_get(f->c->db, o->pod->ix, &pod))
            continue;
        f->hopeless = f->gone_count == REMOVED_MAX;
        struct mu_str name = mu_answer_name(f->c->arena, pod.ns, pod.name);
        if (name.data == NULL)
            return MU_ENOMEM;
        if (f->hopeless)
            continue;
        (void)put(f, MU_CHANGE_REMOVE, name);
        f->gone[f->gone_count] = o->pod;
        f->gone_rows[f->gone_count++] = o->row;
    }
    return 0;
}

/* The row's devices without those that go. */
static void credit_devices(struct finder *f)
{
    const struct mu_snapshot *s = f->c->snapshot;
    struct mu_device_row *devices = &s->devices[f->row];
    *devices = devices_then(f, s->share_resource, devices->count, devices->resource,
                            (devices->flags & MU_DEVICE_WHOLE) != 0);
    s->free[s->share_resource][f->row] = mu_device_most_left(devices);
    s->free[devices->resource][f->row] = mu_device_whole_free(devices);
}

/* Those that go give their room back. */
static void credit_gone(struct finder *f)
{
    const struct mu_snapshot *s = f->c->snapshot;
    bool any = false;
    const struct mu_device_resources names = mu_device_resources(s);
    bool tracked = s->devices != NULL && s->devices[f->row].count != 0;
    for (uint32_t g = 0; g < f->gone_count; g++) {
        if (f->gone_rows[g] != f->row)
            continue;
        any = true;
        const struct mu_class *class_ = mu_model_get_class(s->model, f->gone[g]->class_ix);
        s->free[MU_RES_PODS][f->row]++;
        for (uint32_t d = 0; d < class_->demand_count; d++) {
            uint32_t r = class_->demands[d].resource.v;
            bool device = r == names.share || (names.whole >> r & 1) != 0;
            if (r < s->resource_count && !(tracked && device))
                s->free[r][f->row] = mu_amount_add(s->free[r][f->row], class_->demands[d].amount);
        }
    }
    if (any && tracked)
        credit_devices(f);
}

/* Whether what was found so far can change what the rules about other pods say. */
static bool moves_rules(const struct finder *f)
{
    for (uint32_t i = 0; i < f->count; i++)
        switch (f->changes[i].kind) {
        case MU_CHANGE_LABEL:
        case MU_CHANGE_UNLABEL:
        case MU_CHANGE_TOLERATION:
        case MU_CHANGE_DROP:
        case MU_CHANGE_REMOVE:
            return true;
        default:
            break;
        }
    return false;
}

/* The rules that refuse the row even so go. `kinds`: those that do as it is. */
static int waive_terms(struct finder *f, uint32_t kinds)
{
    const struct mu_judged judged = {.changer = f->c,
                                     .row = f->row,
                                     .changes = f->changes,
                                     .change_count = f->count,
                                     .gone = f->gone,
                                     .gone_rows = f->gone_rows,
                                     .gone_count = f->gone_count,
                                     .affinity = f->affinity,
                                     .tolerance = f->tolerance};
    int rc = moves_rules(f) ? mu_judge(&judged, &kinds) : 0;
    if ((kinds & (1u << MU_NO_SPREAD_LABEL | 1u << MU_NO_SPREAD | 1u << MU_NO_SPREAD_UNTRACKED)) !=
        0)
        (void)put(f, MU_CHANGE_DROP, MU_STR("spec.topologySpreadConstraints"));
    if (rc == 0 && (kinds & 1u << MU_NO_PORTS) != 0) {
        struct mu_str ports = mu_judge_ports(&judged, f->c->arena);
        rc = ports.data == NULL ? MU_ENOMEM : 0;
        put(f, MU_CHANGE_PORTS, MU_STR("ports"))->value = ports;
    }
    if ((kinds & (1u << MU_NO_POD_AFFINITY | 1u << MU_NO_POD_AFFINITY_UNTRACKED)) != 0)
        (void)put(f, MU_CHANGE_DROP, MU_STR("spec.affinity.podAffinity" REQUIRED));
    if ((kinds & (1u << MU_NO_ANTI_AFFINITY | 1u << MU_NO_ANTI_AFFINITY_UNTRACKED)) != 0)
        (void)put(f, MU_CHANGE_DROP, MU_STR("spec.affinity.podAntiAffinity" REQUIRED));
    return rc;
}

/* ---- all ---------------------------------------------------------------------------------- */

/* Take away what the verdict names. */
static void waive(struct finder *f, struct mu_verdict verdict)
{
    switch (verdict.kind) {
    case MU_NO_UNSCHEDULABLE:
        (void)put(f, MU_CHANGE_UNCORDON, MU_STR(""));
        f->c->snapshot->nodes[f->row].flags &= ~(uint32_t)MU_NODE_UNSCHEDULABLE;
        break;
    case MU_NO_TAINT:
        waive_taints(f);
        break;
    case MU_NO_NODE_AFFINITY:
        waive_affinity(f);
        break;
    case MU_NO_PODS:
        waive_pods(f);
        break;
    case MU_NO_RESOURCE:
    case MU_NO_RESOURCE_EVER:
    case MU_NO_DEVICE_SHARED:
    case MU_NO_DEVICE_WHOLE:
    case MU_NO_DEVICE_FREE:
    case MU_NO_DEVICE:
        waive_resource(f, verdict.resource);
        break;
    default: /* what no change to this node mends */
        f->hopeless = true;
    }
}

static bool is_static(enum mu_verdict_kind kind)
{
    return kind == MU_NO_UNSCHEDULABLE || kind == MU_NO_TAINT || kind == MU_NO_NODE_AFFINITY;
}

/* Take away what the filter names, as long as it is static, or all of it. */
static void waive_verdicts(struct finder *f, bool all)
{
    uint32_t steps = 4 + MU_RESOURCES_MAX;
    while (!f->hopeless) {
        struct mu_verdict verdict =
            mu_filter_verdict(f->c->snapshot, &f->class_, (struct mu_node_ix){f->row});
        if (verdict.kind == MU_FITS || (!all && !is_static(verdict.kind)))
            break;
        MU_ASSERT(steps-- > 0);
        waive(f, verdict);
    }
}

static int find(struct finder *f)
{
    struct mu_snapshot *s = f->c->snapshot;
    const struct mu_node_static before = s->nodes[f->row];
    uint32_t kinds = 0;
    int rc = mu_terms_verdicts(f->c->terms, f->c->class_ix, f->c->kin, f->row, &kinds);
    if (rc != 0)
        return rc;
    for (uint32_t r = 0; r < s->resource_count; r++)
        f->free_before[r] = s->free[r][f->row];
    if (s->devices != NULL)
        f->devices_before = s->devices[f->row];
    waive_verdicts(f, false);
    bool apart = (kinds & 1u << MU_NO_EXISTING_ANTI_AFFINITY) != 0 || moves_rules(f);
    if (!f->hopeless && apart)
        rc = remove_others(f);
    credit_gone(f);
    if (rc == 0)
        waive_verdicts(f, true);
    s->nodes[f->row] = before;
    for (uint32_t r = 0; r < s->resource_count; r++)
        s->free[r][f->row] = f->free_before[r];
    if (s->devices != NULL)
        s->devices[f->row] = f->devices_before;
    return rc == 0 && !f->hopeless ? waive_terms(f, kinds) : rc;
}

int mu_change_find(struct mu_changer *changer, struct mu_node_ix node,
                   const struct mu_change **changes, uint32_t *count)
{
    if (changer->finder == NULL)
        changer->finder = mu_arena_alloc(changer->arena, sizeof(struct finder));
    struct finder *f = changer->finder;
    if (f == NULL)
        return MU_ENOMEM;
    f->c = changer;
    f->row = node.v;
    f->class_ = *mu_model_get_class(changer->snapshot->model, changer->class_ix);
    f->hopeless = false;
    f->affinity = NULL;
    f->tolerance = NULL;
    f->gone_count = 0;
    f->count = 0;
    int rc = find(f);
    *count = rc != 0 || f->hopeless ? 0 : f->count;
    struct mu_change *copy = mu_arena_calloc(changer->arena, (size_t)*count + 1, sizeof *copy);
    if (copy == NULL)
        return MU_ENOMEM;
    memcpy(copy, f->changes, *count * sizeof *copy);
    *changes = copy;
    return rc;
}
