#include <string.h>

#include "engine/base/assert.h"
#include "engine/model/model.h"
#include "engine/model/model_priv.h"

/*
 * Classes: passes over the pod's spec write the canonical key into scratch,
 *
 *     class_key | demands, by resource number | paddings | preferred nodes | terms | spreads
 *               | ports | images
 *
 * and a lookup by it finds the class; most pods of a cluster share a few thousand, so the hit is
 * what has to be fast: it allocates nothing and takes one reference. Selector and tolerations are
 * entries of their own (model/selectors.c), and so is what terms and spreads match: the key has
 * their numbers, which are stable because the class holds them.
 *
 * What makes two specs one class:
 *   demands       zero amounts drop out; an amount named twice is added up; `pods` is not a
 *                 demand (each pod takes one slot)
 *   paddings      as demands, with the sign turned; cpu before memory
 *   preferences   sorted; those that match no node or weigh nothing drop out; equal ones stay,
 *                 since each adds its weight
 *   terms         sorted by kind, then weight; those of required affinity share the matcher of all
 *                 of them
 *   spreads       the hard ones first
 *   ports         sorted, distinct
 *   images        sorted, with repetition: each container pulls its own
 *
 * Resources unknown so far get the next numbers, provisionally: they are registered only when the
 * class has been inserted. Pods may not use up the numbers that are kept for nodes; a pod that
 * would is of an impossible class without that demand (its other demands are still charged when
 * it is bound by someone else). The two resources of padding may be registered as long as there is
 * any number left; without one the class has none.
 */

struct class_key {
    uint32_t demand_count;
    uint32_t impossible; /* by its demands */
    uint32_t affinity;
    uint32_t tolerance;
    uint32_t preferred_count;
    uint32_t preferred_words;
    uint32_t term_count;
    uint32_t spread_count;
    uint32_t hard_spread_count;
    uint32_t port_count;
    uint32_t image_count;
    uint32_t padding_count;
};

enum { RESOURCES_FOR_PODS = MU_RESOURCES_MAX - MU_RESOURCES_FOR_NODES };

_Static_assert(sizeof(struct class_key) % _Alignof(struct mu_demand) == 0, "demands follow");
_Static_assert(sizeof(struct mu_demand) % sizeof(uint32_t) == 0, "words follow the demands");

enum { PADDINGS = 2 };

struct demands {
    int64_t amounts[MU_RESOURCES_MAX]; /* set where mask has a bit */
    uint64_t mask;
    bool impossible;
    uint32_t known_count; /* registered resources; new ones are numbered from here */
    uint32_t new_count;
    struct mu_str new_names[MU_RESOURCES_MAX];
    uint32_t padding_count;
    struct mu_demand paddings[PADDINGS];
};

/* The number of a resource; MU_RESOURCES_MAX where it would be `bound` or more. */
static uint32_t resource_number(const struct mu_model *model, struct demands *d, struct mu_str name,
                                uint32_t bound)
{
    struct mu_resource_ix ix;
    if (mu_resource_find(model->resources, name, &ix))
        return ix.v;
    for (uint32_t i = 0; i < d->new_count; i++) {
        if (mu_str_equal(d->new_names[i], name))
            return d->known_count + i;
    }
    if (d->known_count + d->new_count >= bound)
        return MU_RESOURCES_MAX;
    d->new_names[d->new_count] = name;
    return d->known_count + d->new_count++;
}

static void padding_add(const struct mu_model *model, struct demands *d, struct mu_str name,
                        int64_t amount)
{
    uint32_t number =
        amount > 0 ? resource_number(model, d, name, MU_RESOURCES_MAX) : (uint32_t)MU_RESOURCES_MAX;
    if (number == MU_RESOURCES_MAX)
        return;
    d->paddings[d->padding_count++] =
        (struct mu_demand){{number}, amount < MU_PADDING_MAX ? -amount : -MU_PADDING_MAX};
}

static int demands_collect(const struct mu_model *model, const struct mu_pod_object *pod,
                           struct demands *d)
{
    if (pod->request_count > MU_REQUESTS_PER_POD)
        return MU_ELIMIT;
    if (pod->cpu_padding < 0 || pod->memory_padding < 0)
        return MU_EINVAL;
    d->mask = 0;
    d->impossible = false;
    d->known_count = mu_resource_count(model->resources);
    d->new_count = 0;
    d->padding_count = 0;
    for (uint32_t i = 0; i < pod->request_count; i++) {
        const struct mu_amount *request = &pod->requests[i];
        struct mu_str name = request->resource;
        if (request->value < 0 || name.len == 0 || name.len > MU_RESOURCE_NAME_BYTES_MAX)
            return MU_EINVAL;
        if (request->value == 0)
            continue;
        uint32_t number = resource_number(model, d, name, RESOURCES_FOR_PODS);
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
    padding_add(model, d, MU_STR(MU_CPU_PADDING), pod->cpu_padding);
    padding_add(model, d, MU_STR(MU_MEMORY_PADDING), pod->memory_padding);
    return 0;
}

/* ---- the key ---- */

static void *words_reserve(struct mu_words *words, size_t bytes)
{
    void *at = &words->at[words->count];
    MU_ASSERT(words->count + bytes / sizeof(uint32_t) <= MU_SCRATCH_WORDS);
    memset(at, 0, bytes); /* padding is compared too */
    words->count += (uint32_t)(bytes / sizeof(uint32_t));
    return at;
}

static void put_demands(const struct demands *d, struct class_key *key, struct mu_words *words)
{
    for (uint64_t rest = d->mask; rest != 0; rest &= rest - 1) {
        uint32_t number = (uint32_t)__builtin_ctzll(rest);
        struct mu_demand *demand = words_reserve(words, sizeof *demand);
        demand->resource.v = number;
        demand->amount = d->amounts[number];
        key->demand_count++;
    }
    key->padding_count = d->padding_count;
    for (uint32_t i = 0; i < d->padding_count; i++) {
        struct mu_demand *padding = words_reserve(words, sizeof *padding);
        padding->resource = d->paddings[i].resource;
        padding->amount = d->paddings[i].amount;
    }
}

/* *items: no fewer than the requirements of the preferences. */
static int put_preferred(struct mu_model *model, const struct mu_pod_object *pod,
                         struct class_key *key, struct mu_words *words, uint32_t *items)
{
    struct mu_scratch *scratch = model->scratch;
    uint32_t begin_words = words->count;
    uint32_t count = 0;
    scratch->terms.count = 0;
    for (uint32_t i = 0; i < pod->preferred_node_count; i++) {
        const struct mu_preferred_node *preferred = &pod->preferred_nodes[i];
        uint32_t begin = scratch->terms.count;
        bool never;
        if (preferred->weight <= 0)
            continue;
        mu_words_put(&scratch->terms, (uint32_t)preferred->weight);
        int status = mu_words_node_term(model, &preferred->term, &scratch->terms, &never, items);
        if (status != 0)
            return status;
        if (never)
            scratch->terms.count = begin;
        else
            scratch->term_spans[count++] = (struct mu_span){begin, scratch->terms.count - begin};
    }
    key->preferred_count =
        mu_words_sort(scratch, &scratch->terms, scratch->term_spans, count, false, words);
    key->preferred_words = words->count - begin_words;
    return 0;
}

enum { TERM_ITEM_WORDS = 4, SPREAD_ITEM_WORDS = 6, PORT_ITEM_WORDS = 3 };

/* Every matcher is entered before the first word is put: entering uses the same scratch. */
static int put_terms(struct mu_model *model, const struct mu_pod_object *pod, struct class_key *key,
                     struct mu_words *words)
{
    struct mu_scratch *scratch = model->scratch;
    uint32_t matchers[MU_SELECTOR_TERMS_MAX];
    struct mu_matcher_ix all = {MU_INTERN_NONE};
    for (uint32_t i = 0; i < pod->term_count; i++) {
        const struct mu_pod_term *term = &pod->terms[i];
        struct mu_matcher_ix matcher = all;
        int status = 0;
        if (term->kind != MU_TERM_AFFINITY)
            status = mu_select_term_matcher(model, term, &matcher);
        else if (all.v == MU_INTERN_NONE)
            status = mu_select_affinity_matcher(model, pod, &matcher);
        if (status != 0)
            return status;
        if (term->kind == MU_TERM_AFFINITY)
            all = matcher;
        matchers[i] = matcher.v;
    }
    uint32_t count = 0;
    scratch->terms.count = 0;
    for (uint32_t i = 0; i < pod->term_count; i++) {
        const struct mu_pod_term *term = &pod->terms[i];
        bool required = term->kind == MU_TERM_AFFINITY || term->kind == MU_TERM_ANTI_AFFINITY;
        struct mu_symbol topology_key;
        if (!required && term->weight <= 0)
            continue;
        int status = mu_scratch_borrow(model, term->topology_key, &topology_key);
        if (status != 0)
            return status;
        scratch->term_spans[count++] = (struct mu_span){scratch->terms.count, TERM_ITEM_WORDS};
        mu_words_put(&scratch->terms, (uint32_t)term->kind);
        mu_words_put(&scratch->terms, required ? 0 : (uint32_t)term->weight);
        mu_words_put(&scratch->terms, topology_key.v);
        mu_words_put(&scratch->terms, matchers[i]);
    }
    key->term_count =
        mu_words_sort(scratch, &scratch->terms, scratch->term_spans, count, false, words);
    return 0;
}

enum {
    SPREAD_SOFT = 1,
    SPREAD_HONOR_AFFINITY = 2,
    SPREAD_HONOR_TAINTS = 4,
    SPREAD_COUNTS_NONE = 8
};

static int put_spreads(struct mu_model *model, const struct mu_pod_object *pod,
                       struct class_key *key, struct mu_words *words)
{
    struct mu_scratch *scratch = model->scratch;
    uint32_t matchers[MU_SELECTOR_TERMS_MAX];
    for (uint32_t i = 0; i < pod->spread_count; i++) {
        struct mu_matcher_ix matcher;
        int status = mu_select_spread_matcher(model, pod, &pod->spreads[i], &matcher);
        if (status != 0)
            return status;
        matchers[i] = matcher.v;
    }
    scratch->terms.count = 0;
    for (uint32_t i = 0; i < pod->spread_count; i++) {
        const struct mu_spread *spread = &pod->spreads[i];
        struct mu_symbol topology_key;
        int status = mu_scratch_borrow(model, spread->topology_key, &topology_key);
        if (status != 0)
            return status;
        bool empty = !spread->selector.nothing && spread->selector.requirement_count == 0;
        scratch->term_spans[i] = (struct mu_span){scratch->terms.count, SPREAD_ITEM_WORDS};
        mu_words_put(&scratch->terms, spread->hard ? 0 : SPREAD_SOFT);
        mu_words_put(&scratch->terms, topology_key.v);
        mu_words_put(&scratch->terms, matchers[i]);
        mu_words_put(&scratch->terms, (uint32_t)spread->max_skew);
        mu_words_put(&scratch->terms, (uint32_t)spread->min_domains);
        mu_words_put(&scratch->terms, (spread->honor_affinity ? SPREAD_HONOR_AFFINITY : 0u) |
                                          (spread->honor_taints ? SPREAD_HONOR_TAINTS : 0u) |
                                          (empty ? SPREAD_COUNTS_NONE : 0u));
        key->hard_spread_count += spread->hard;
    }
    key->spread_count = mu_words_sort(scratch, &scratch->terms, scratch->term_spans,
                                      pod->spread_count, false, words);
    return 0;
}

static int put_ports(struct mu_model *model, const struct mu_pod_object *pod, struct class_key *key,
                     struct mu_words *words)
{
    struct mu_sort_item *items = model->scratch->items;
    for (uint32_t i = 0; i < pod->port_count; i++) {
        struct mu_symbol ip;
        int status = mu_scratch_borrow(model, pod->ports[i].ip, &ip);
        if (status != 0)
            return status;
        items[i] = (struct mu_sort_item){
            .major = ip.v, .minor = (uint64_t)pod->ports[i].protocol << 32 | pod->ports[i].port};
    }
    mu_scratch_sort(model->scratch, pod->port_count);
    for (uint32_t i = 0; i < pod->port_count; i++) {
        if (i > 0 && items[i].major == items[i - 1].major && items[i].minor == items[i - 1].minor)
            continue;
        mu_words_put(words, (uint32_t)items[i].major);
        mu_words_put(words, (uint32_t)(items[i].minor >> 32));
        mu_words_put(words, (uint32_t)items[i].minor);
        key->port_count++;
    }
    return 0;
}

static int put_images(struct mu_model *model, const struct mu_pod_object *pod,
                      struct class_key *key, struct mu_words *words)
{
    struct mu_sort_item *items = model->scratch->items;
    for (uint32_t i = 0; i < pod->image_count; i++) {
        struct mu_symbol name;
        int status = mu_scratch_borrow(model, pod->images[i].name, &name);
        if (status != 0)
            return status;
        items[i] = (struct mu_sort_item){.major = name.v};
    }
    mu_scratch_sort(model->scratch, pod->image_count);
    for (uint32_t i = 0; i < pod->image_count; i++)
        mu_words_put(words, (uint32_t)items[i].major);
    key->image_count = pod->image_count;
    return 0;
}

/* Write the key into scratch->class_key; *items as in put_preferred. */
static int key_write(struct mu_model *model, const struct mu_pod_object *pod,
                     const struct demands *d, uint32_t *items)
{
    struct mu_words *words = &model->scratch->class_key;
    struct mu_affinity_ix affinity;
    struct mu_tolerance_ix tolerance;
    words->count = 0;
    *items = 0;
    struct class_key *key = words_reserve(words, sizeof *key);
    int status = mu_select_affinity(model, pod, &affinity);
    if (status == 0)
        status = mu_select_tolerance(model, pod, &tolerance);
    if (status != 0)
        return status;
    key->impossible = d->impossible;
    key->affinity = affinity.v;
    key->tolerance = tolerance.v;
    put_demands(d, key, words);
    if (pod->preferred_node_count != 0)
        status = put_preferred(model, pod, key, words, items);
    if (status == 0 && pod->term_count != 0)
        status = put_terms(model, pod, key, words);
    if (status == 0 && pod->spread_count != 0)
        status = put_spreads(model, pod, key, words);
    if (status == 0)
        status = put_ports(model, pod, key, words);
    if (status == 0)
        status = put_images(model, pod, key, words);
    return status;
}

/* ---- a new entry ---- */

/* What a class has behind its key. */
static uint32_t room_bytes(const struct class_key *key, uint32_t items)
{
    return key->preferred_count * (uint32_t)sizeof(struct mu_preferred_node_item) +
           items * (uint32_t)sizeof(struct mu_requirement_item) +
           key->term_count * (uint32_t)sizeof(struct mu_term_item) +
           key->spread_count * (uint32_t)sizeof(struct mu_spread_item) +
           key->port_count * (uint32_t)sizeof(struct mu_port_item);
}

static void fill_terms(struct mu_class *c, const struct class_key *key, const uint32_t *at,
                       struct mu_term_item *terms)
{
    c->term_count = key->term_count;
    c->terms = terms;
    for (uint32_t i = 0; i < c->term_count; i++, at += TERM_ITEM_WORDS)
        terms[i] =
            (struct mu_term_item){(enum mu_term_kind)at[0], (int32_t)at[1], {at[2]}, {at[3]}};
}

static void fill_spreads(struct mu_class *c, const struct class_key *key, const uint32_t *at,
                         struct mu_spread_item *spreads)
{
    c->spread_count = key->spread_count;
    c->hard_spread_count = key->hard_spread_count;
    c->spreads = spreads;
    for (uint32_t i = 0; i < c->spread_count; i++, at += SPREAD_ITEM_WORDS)
        spreads[i] = (struct mu_spread_item){
            .topology_key = {at[1]},
            .matcher = {at[2]},
            .max_skew = (int32_t)at[3],
            .min_domains = (int32_t)at[4],
            .hard = (at[0] & SPREAD_SOFT) == 0,
            .honor_affinity = (at[5] & SPREAD_HONOR_AFFINITY) != 0,
            .honor_taints = (at[5] & SPREAD_HONOR_TAINTS) != 0,
            .counts_none = (at[5] & SPREAD_COUNTS_NONE) != 0,
        };
}

static void fill_ports(struct mu_class *c, const struct class_key *key, const uint32_t *at,
                       struct mu_port_item *ports)
{
    c->port_count = key->port_count;
    c->ports = ports;
    for (uint32_t i = 0; i < c->port_count; i++, at += PORT_ITEM_WORDS)
        ports[i] = (struct mu_port_item){{at[0]}, (enum mu_protocol)at[1], at[2]};
}

/* What lies behind the demands: decoded into the room behind the key. */
static void fill_rules(struct mu_class *c, const struct class_key *key, const uint32_t *at,
                       void *room, uint32_t items)
{
    struct mu_preferred_node_item *preferred = room;
    struct mu_requirement_item *requirements =
        (struct mu_requirement_item *)(void *)(preferred + key->preferred_count);
    struct mu_term_item *terms = (struct mu_term_item *)(void *)(requirements + items);
    struct mu_spread_item *spreads = (struct mu_spread_item *)(void *)(terms + key->term_count);
    struct mu_port_item *ports = (struct mu_port_item *)(void *)(spreads + key->spread_count);
    struct mu_decoder d = {at, requirements};
    c->preferred_node_count = key->preferred_count;
    c->preferred_nodes = preferred;
    for (uint32_t i = 0; i < key->preferred_count; i++) {
        preferred[i].weight = (int32_t)*d.at++;
        mu_decode_node_term(&d, &preferred[i].term);
    }
    MU_ASSERT(d.at == at + key->preferred_words && d.items <= requirements + items);
    at = d.at;
    fill_terms(c, key, at, terms);
    at += key->term_count * TERM_ITEM_WORDS;
    fill_spreads(c, key, at, spreads);
    at += key->spread_count * SPREAD_ITEM_WORDS;
    fill_ports(c, key, at, ports);
    at += key->port_count * PORT_ITEM_WORDS;
    c->image_count = key->image_count;
    c->images = (const struct mu_symbol *)(const void *)at;
}

/* Point the head of a new entry into its key and take what it refers to. Cannot fail. */
static void class_fill(struct mu_model *model, struct mu_class *c, const struct class_key *key,
                       void *room, uint32_t items, const struct demands *d)
{
    const struct mu_affinity *affinity = mu_intern_head(&model->affinities, key->affinity);
    const struct mu_tolerance *tolerance = mu_intern_head(&model->tolerances, key->tolerance);
    c->demand_count = key->demand_count;
    c->demands = (const struct mu_demand *)(const void *)(key + 1);
    c->padding_count = key->padding_count;
    c->paddings = c->demands + c->demand_count;
    c->affinity.v = key->affinity;
    c->selector_count = affinity->selector_count;
    c->selector = affinity->selector;
    c->hostname = affinity->hostname;
    c->tolerance.v = key->tolerance;
    c->toleration_count = tolerance->count;
    c->tolerations = tolerance->items;
    c->impossible = key->impossible != 0 || affinity->nothing;
    c->resource_mask = d->mask;
    c->id = ++model->id_last;
    fill_rules(c, key, (const uint32_t *)(const void *)(c->paddings + c->padding_count), room,
               items);
    (void)mu_class_parts(model, c, &(struct mu_symbol_change){model->symbols, true, 0});
    for (uint32_t i = 0; i < d->new_count; i++) {
        struct mu_resource_ix ix;
        int status = mu_resource_intern(model->resources, d->new_names[i], &ix);
        MU_ASSERT(status == 0 && ix.v == d->known_count + i);
    }
}

int mu_model_class(struct mu_model *model, const struct mu_pod_object *pod, struct mu_class_ix *out)
{
    struct demands demands;
    uint32_t items = 0;
    int status = mu_select_check(pod);
    if (status == 0)
        status = demands_collect(model, pod, &demands);
    if (status != 0)
        return status;
    status = key_write(model, pod, &demands, &items);
    if (status == 0) {
        const struct mu_words *words = &model->scratch->class_key;
        uint32_t extra = room_bytes((const struct class_key *)(const void *)words->at, items);
        uint32_t ix;
        void *head;
        status = mu_model_enter(model, &model->classes, words->at,
                                words->count * (uint32_t)sizeof(uint32_t), extra, &ix, &head);
        if (status == 0) {
            if (head != NULL)
                class_fill(model, head, mu_intern_key_data(&model->classes, ix),
                           mu_intern_extra(&model->classes, ix), items, &demands);
            out->v = ix;
        }
    }
    mu_scratch_drop(model);
    return status;
}

uint32_t mu_class_parts(struct mu_model *model, const struct mu_class *c,
                        const struct mu_symbol_change *change)
{
    mu_part_apply(change, &model->affinities, c->affinity.v);
    mu_part_apply(change, &model->tolerances, c->tolerance.v);
    uint32_t count = 2 + 2 * c->term_count + 2 * c->spread_count + c->port_count + c->image_count;
    for (uint32_t i = 0; i < c->preferred_node_count; i++) {
        count += mu_conjunction_symbols(&c->preferred_nodes[i].term.labels, change);
        count += mu_conjunction_symbols(&c->preferred_nodes[i].term.names, change);
    }
    for (uint32_t i = 0; i < c->term_count; i++) {
        mu_symbol_apply(change, c->terms[i].topology_key);
        mu_part_apply(change, &model->matchers, c->terms[i].matcher.v);
    }
    for (uint32_t i = 0; i < c->spread_count; i++) {
        mu_symbol_apply(change, c->spreads[i].topology_key);
        mu_part_apply(change, &model->matchers, c->spreads[i].matcher.v);
    }
    for (uint32_t i = 0; i < c->port_count; i++)
        mu_symbol_apply(change, c->ports[i].ip);
    for (uint32_t i = 0; i < c->image_count; i++)
        mu_symbol_apply(change, c->images[i]);
    return count;
}
