#include <string.h>

#include "engine/base/assert.h"
#include "engine/base/error.h"
#include "engine/model/model.h"
#include "engine/model/model_priv.h"

/*
 * Entering affinities, tolerances, matchers and kins. Keys, in words (model/words.c):
 *
 *     affinity    nothing, hostname, has terms, selector count, term count,
 *                 selector (key, value)..., node terms (labels, names)...
 *     tolerance   struct mu_toleration_item...
 *     matcher     part count, parts: namespace count, has namespace selector, namespaces...,
 *                 namespace selector, selector
 *     kin         namespace, (key, value)...
 *
 * What makes two node selections one: the hostname pair is kept apart from the other pairs; a key
 * that must have two values at once drops out and leaves `nothing`; node terms are sorted and
 * distinct, and those that no node can match drop out (one of them has to match, so they do not
 * matter). With none left, nothing matches. The parts of a matcher are sorted and distinct too: all
 * of them have to match.
 *
 * A pinned affinity (a hostname, or one term with one node name) also enters its bare form, which
 * all pods share that differ in the pin alone: what is known per affinity for a million nodes (a
 * bitmap) would otherwise be kept once for each of a million pinned pods.
 *
 * Number 0 is the affinity without a rule, the tolerance without a toleration, and the kin without
 * namespace and labels. They are always there, and pods that have none pay for no look-up.
 */

enum { AFFINITY_HEAD = 5 };

_Static_assert(sizeof(struct mu_toleration_item) == 16, "no padding: compared as bytes");
_Static_assert(2 * MU_LABELS_PER_OBJECT + AFFINITY_HEAD <= MU_SCRATCH_WORDS, "a selector fits");
_Static_assert(MU_TOLERATIONS_PER_POD * sizeof(struct mu_toleration_item) <=
                   MU_SCRATCH_WORDS * sizeof(uint32_t),
               "tolerations fit");

/* ---- limits ---- */

struct tally {
    uint64_t requirements;
    uint64_t values;
};

static void tally_selector(struct tally *t, const struct mu_selector *selector)
{
    t->requirements += selector->requirement_count;
    /* Values are counted only as far as it takes to see that there are too many. */
    for (uint32_t i = 0; i < selector->requirement_count && i < MU_REQUIREMENTS_MAX; i++)
        t->values += selector->requirements[i].value_count;
}

static void tally_node_term(struct tally *t, const struct mu_node_term *term)
{
    tally_selector(t, &term->labels);
    tally_selector(t, &term->fields);
}

int mu_select_check(const struct mu_pod_object *pod)
{
    if (pod->selector_count > MU_LABELS_PER_OBJECT ||
        pod->toleration_count > MU_TOLERATIONS_PER_POD ||
        (uint64_t)pod->node_term_count + pod->preferred_node_count > MU_SELECTOR_TERMS_MAX ||
        pod->term_count > MU_SELECTOR_TERMS_MAX || pod->spread_count > MU_SELECTOR_TERMS_MAX ||
        pod->port_count > MU_PORTS_PER_POD || pod->image_count > MU_IMAGES_PER_POD)
        return MU_ELIMIT;
    struct tally t = {0, 0};
    for (uint32_t i = 0; i < pod->node_term_count; i++)
        tally_node_term(&t, &pod->node_terms[i]);
    for (uint32_t i = 0; i < pod->preferred_node_count; i++)
        tally_node_term(&t, &pod->preferred_nodes[i].term);
    for (uint32_t i = 0; i < pod->term_count; i++) {
        const struct mu_pod_term *term = &pod->terms[i];
        tally_selector(&t, &term->selector);
        if (term->namespace_selector != NULL)
            tally_selector(&t, term->namespace_selector);
        t.values += term->namespace_count;
    }
    for (uint32_t i = 0; i < pod->spread_count; i++)
        tally_selector(&t, &pod->spreads[i].selector);
    return t.requirements > MU_REQUIREMENTS_MAX || t.values > MU_VALUES_MAX ? MU_ELIMIT : 0;
}

/* ---- affinities ---- */

/* The selector's pairs into the key; hostname and contradictions go into its head. */
static int put_selector(struct mu_model *model, const struct mu_pod_object *pod)
{
    struct mu_words *key = &model->scratch->key;
    const struct mu_sort_item *items = model->scratch->items;
    uint32_t pair_count = 0;
    for (uint32_t i = 0; i < pod->selector_count; i++) {
        struct mu_symbol name, value;
        int status = mu_scratch_borrow(model, pod->selector[i].key, &name);
        if (status == 0)
            status = mu_scratch_borrow(model, pod->selector[i].value, &value);
        if (status != 0)
            return status;
        model->scratch->items[i] = (struct mu_sort_item){.major = name.v, .minor = value.v};
    }
    mu_scratch_sort(model->scratch, pod->selector_count);
    for (uint32_t begin = 0, end; begin < pod->selector_count; begin = end) {
        bool agreed = true;
        for (end = begin + 1; end < pod->selector_count && items[end].major == items[begin].major;
             end++)
            agreed = agreed && items[end].minor == items[begin].minor;
        uint32_t name = (uint32_t)items[begin].major;
        uint32_t value = (uint32_t)items[begin].minor;
        if (!agreed) {
            key->at[0] = 1;
        } else if (name == model->hostname_key.v && value != 0) {
            key->at[1] = value;
        } else {
            mu_words_put(key, name);
            mu_words_put(key, value);
            pair_count++;
        }
    }
    key->at[3] = pair_count;
    return 0;
}

/* The required terms into the key; *items: no fewer than their requirements. */
static int put_node_terms(struct mu_model *model, const struct mu_pod_object *pod, uint32_t *items)
{
    struct mu_scratch *scratch = model->scratch;
    uint32_t count = 0;
    scratch->terms.count = 0;
    for (uint32_t i = 0; i < pod->node_term_count; i++) {
        bool never;
        uint32_t begin = scratch->terms.count;
        int status = mu_words_node_term(model, &pod->node_terms[i], &scratch->terms, &never, items);
        if (status != 0)
            return status;
        if (!never)
            scratch->term_spans[count++] = (struct mu_span){begin, scratch->terms.count - begin};
    }
    scratch->key.at[2] = 1;
    scratch->key.at[4] =
        mu_words_sort(scratch, &scratch->terms, scratch->term_spans, count, true, &scratch->key);
    if (scratch->key.at[4] == 0)
        scratch->key.at[0] = 1;
    return 0;
}

static void affinity_symbols(const struct mu_affinity *a, const struct mu_symbol_change *change,
                             uint32_t *count)
{
    mu_symbol_apply(change, a->hostname);
    for (uint32_t i = 0; i < a->selector_count; i++) {
        mu_symbol_apply(change, a->selector[i].key);
        mu_symbol_apply(change, a->selector[i].value);
    }
    *count += 1 + 2 * a->selector_count;
    for (uint32_t i = 0; i < a->term_count; i++) {
        *count += mu_conjunction_symbols(&a->terms[i].labels, change);
        *count += mu_conjunction_symbols(&a->terms[i].names, change);
    }
}

/* The node name that a lone term asks for, 0: none, or more than one way to match. */
static struct mu_symbol only_name(const struct mu_affinity *a)
{
    struct mu_symbol name = {0};
    const struct mu_conjunction *names = a->term_count == 1 ? &a->terms[0].names : NULL;
    for (uint32_t i = 0; names != NULL && i < names->count; i++) {
        if (names->items[i].op == MU_OP_IN)
            name = names->items[i].values[0];
    }
    return name;
}

/* Enter the words of scratch->key as an affinity; a pinned one without its bare form. `items`: no
 * fewer than its requirements. */
static int affinity_enter(struct mu_model *model, uint32_t items, uint32_t *ix)
{
    const struct mu_words *key = &model->scratch->key;
    uint32_t terms = key->at[4];
    uint32_t extra = terms * (uint32_t)sizeof(struct mu_node_term_item) +
                     items * (uint32_t)sizeof(struct mu_requirement_item);
    void *head;
    int status = mu_scratch_enter(model, &model->affinities, key->at,
                                  key->count * (uint32_t)sizeof(uint32_t), extra, ix, &head);
    struct mu_affinity *a = status == 0 ? head : NULL;
    if (a == NULL)
        return status;
    const uint32_t *words = mu_intern_key_data(&model->affinities, *ix);
    struct mu_node_term_item *term = mu_intern_extra(&model->affinities, *ix);
    a->nothing = words[0] != 0;
    a->hostname.v = words[1];
    a->has_terms = words[2] != 0;
    a->selector_count = words[3];
    a->term_count = terms;
    a->selector = (const struct mu_label_pair *)(const void *)(words + AFFINITY_HEAD);
    a->terms = term;
    struct mu_decoder d = {words + AFFINITY_HEAD + 2 * a->selector_count,
                           (struct mu_requirement_item *)(void *)(term + terms)};
    for (uint32_t i = 0; i < terms; i++)
        mu_decode_node_term(&d, &term[i]);
    a->only_name = only_name(a);
    a->bare.v = a->hostname.v != 0 || a->only_name.v != 0 ? MU_INTERN_NONE : *ix;
    a->id = ++model->id_last;
    uint32_t count = 0;
    affinity_symbols(a, &(struct mu_symbol_change){model->symbols, true, 0}, &count);
    return 0;
}

static void put_conjunction(struct mu_words *to, const struct mu_conjunction *c)
{
    mu_words_put(to, c->nothing ? 1 : 0);
    mu_words_put(to, c->count);
    for (uint32_t i = 0; i < c->count; i++) {
        const struct mu_requirement_item *item = &c->items[i];
        mu_words_put(to, item->key.v);
        mu_words_put(to, (uint32_t)item->op);
        mu_words_put(to, item->value_count);
        mu_words_put(to, (uint32_t)(uint64_t)item->number);
        mu_words_put(to, (uint32_t)((uint64_t)item->number >> 32));
        for (uint32_t v = 0; v < item->value_count; v++)
            mu_words_put(to, item->values[v].v);
    }
}

/* The bare form of a pinned affinity; entered like any other. */
static int bare_enter(struct mu_model *model, const struct mu_affinity *a, uint32_t *ix)
{
    struct mu_words *key = &model->scratch->key;
    bool named = a->only_name.v != 0;
    bool terms = a->has_terms && !(named && a->terms[0].labels.count == 0);
    uint32_t items = 0;
    key->count = 0;
    mu_words_put(key, a->nothing ? 1 : 0);
    mu_words_put(key, 0);
    mu_words_put(key, terms ? 1 : 0);
    mu_words_put(key, a->selector_count);
    mu_words_put(key, terms ? a->term_count : 0);
    for (uint32_t i = 0; i < a->selector_count; i++) {
        mu_words_put(key, a->selector[i].key.v);
        mu_words_put(key, a->selector[i].value.v);
    }
    for (uint32_t i = 0; terms && i < a->term_count; i++) {
        static const struct mu_conjunction any = {.nothing = false};
        put_conjunction(key, &a->terms[i].labels);
        put_conjunction(key, named ? &any : &a->terms[i].names);
        items += a->terms[i].labels.count + a->terms[i].names.count;
    }
    return affinity_enter(model, items, ix);
}

int mu_select_affinity(struct mu_model *model, const struct mu_pod_object *pod,
                       struct mu_affinity_ix *out)
{
    struct mu_words *key = &model->scratch->key;
    out->v = 0;
    if (pod->selector_count == 0 && !pod->has_node_terms)
        return 0;
    memset(key->at, 0, AFFINITY_HEAD * sizeof *key->at);
    key->count = AFFINITY_HEAD;
    uint32_t items = 0;
    int status = put_selector(model, pod);
    if (status == 0 && pod->has_node_terms)
        status = put_node_terms(model, pod, &items);
    if (status == 0)
        status = affinity_enter(model, items, &out->v);
    if (status != 0)
        return status;
    /* Without its bare form it is new, or left from a call that failed at this point: nobody's
     * yet, but to be found. */
    struct mu_affinity *a = mu_intern_head(&model->affinities, out->v);
    uint32_t bare;
    if (a->bare.v == MU_INTERN_NONE && (status = bare_enter(model, a, &bare)) == 0) {
        a->bare.v = bare;
        mu_intern_ref(&model->affinities, bare);
    }
    return status;
}

uint32_t mu_affinity_parts(struct mu_model *model, uint32_t ix,
                           const struct mu_symbol_change *change)
{
    const struct mu_affinity *a = mu_intern_head(&model->affinities, ix);
    uint32_t count = 0;
    affinity_symbols(a, change, &count);
    if (a->bare.v != ix && a->bare.v != MU_INTERN_NONE) {
        mu_part_apply(change, &model->affinities, a->bare.v);
        count++;
    }
    return count;
}

/* ---- tolerances ---- */

/* Tolerations to items; *count: those that can matter. */
static int tolerations_borrow(struct mu_model *model, const struct mu_pod_object *pod,
                              uint32_t *count)
{
    *count = 0;
    for (uint32_t i = 0; i < pod->toleration_count; i++) {
        const struct mu_toleration *t = &pod->tolerations[i];
        bool compares = t->op == MU_TOLERATE_LT || t->op == MU_TOLERATE_GT;
        int64_t bound;
        if (t->op == MU_TOLERATE_NEVER || t->effect == MU_EFFECT_OTHER ||
            (compares && !mu_select_canonical(t->value, &bound)))
            continue;
        struct mu_symbol key, value = {0};
        int status = mu_scratch_borrow(model, t->key, &key);
        if (status == 0 && t->op != MU_TOLERATE_EXISTS)
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

static uint32_t tolerations_write(const struct mu_scratch *scratch, uint32_t count,
                                  struct mu_toleration_item *out)
{
    const struct mu_sort_item *items = scratch->items;
    uint32_t written = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (i > 0 && items[i].major == items[i - 1].major && items[i].minor == items[i - 1].minor)
            continue;
        out[written++] = (struct mu_toleration_item){
            .key = {(uint32_t)(items[i].major >> 32)},
            .value = {(uint32_t)items[i].major},
            .op = (enum mu_toleration_op)(items[i].minor >> 32),
            .effect = (enum mu_taint_effect)(uint32_t)items[i].minor,
        };
    }
    return written;
}

static int tolerance_enter(struct mu_model *model, uint32_t count, uint32_t *ix)
{
    void *head;
    int status =
        mu_scratch_enter(model, &model->tolerances, model->scratch->key.at,
                         count * (uint32_t)sizeof(struct mu_toleration_item), 0, ix, &head);
    struct mu_tolerance *tolerance = status == 0 ? head : NULL;
    if (tolerance == NULL)
        return status;
    const struct mu_taint_item cordon = {model->unschedulable_key, {0}, MU_EFFECT_NO_SCHEDULE};
    const struct mu_taint_set cordoned = {1, &cordon};
    tolerance->count = count;
    tolerance->items = mu_intern_key_data(&model->tolerances, *ix);
    tolerance->unschedulable = mu_tolerance_tolerates(model->symbols, tolerance, &cordoned);
    tolerance->id = ++model->id_last;
    (void)mu_tolerance_parts(tolerance, &(struct mu_symbol_change){model->symbols, true, 0});
    return 0;
}

int mu_select_tolerance(struct mu_model *model, const struct mu_pod_object *pod,
                        struct mu_tolerance_ix *out)
{
    uint32_t count;
    out->v = 0;
    int status = tolerations_borrow(model, pod, &count);
    if (status != 0 || count == 0)
        return status;
    count = tolerations_write(model->scratch, count,
                              (struct mu_toleration_item *)(void *)model->scratch->key.at);
    return tolerance_enter(model, count, &out->v);
}

uint32_t mu_tolerance_parts(const struct mu_tolerance *tolerance,
                            const struct mu_symbol_change *change)
{
    for (uint32_t i = 0; i < tolerance->count; i++) {
        mu_symbol_apply(change, tolerance->items[i].key);
        mu_symbol_apply(change, tolerance->items[i].value);
    }
    return 2 * tolerance->count;
}

/* ---- matchers ---- */

/* What a matcher's entry needs beside its words. */
struct matcher_draft {
    uint32_t parts;
    uint32_t items;
};

static int put_namespaces(struct mu_model *model, const struct mu_str *namespaces, uint32_t count,
                          struct mu_words *to, uint32_t *written)
{
    struct mu_scratch *scratch = model->scratch;
    for (uint32_t i = 0; i < count; i++) {
        struct mu_symbol ns;
        int status = mu_scratch_borrow(model, namespaces[i], &ns);
        if (status != 0)
            return status;
        scratch->items[i] = (struct mu_sort_item){.major = ns.v};
    }
    mu_scratch_sort(scratch, count);
    *written = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (i > 0 && scratch->items[i].major == scratch->items[i - 1].major)
            continue;
        mu_words_put(to, (uint32_t)scratch->items[i].major);
        ++*written;
    }
    return 0;
}

/* Add a part: pods of these namespaces that the selector matches. */
static int put_part(struct mu_model *model, const struct mu_str *namespaces, uint32_t count,
                    const struct mu_selector *namespace_selector,
                    const struct mu_selector *selector, struct matcher_draft *draft)
{
    static const struct mu_selector none = {.nothing = true};
    struct mu_scratch *scratch = model->scratch;
    struct mu_words *to = &scratch->terms;
    struct mu_conjunction_shape ns_shape, shape;
    uint32_t begin = to->count, written = 0;
    mu_words_put(to, 0);
    mu_words_put(to, namespace_selector != NULL ? 1 : 0);
    int status = put_namespaces(model, namespaces, count, to, &written);
    to->at[begin] = written;
    if (status == 0)
        status = mu_words_selector(model, namespace_selector != NULL ? namespace_selector : &none,
                                   MU_SELECT_LABELS, to, &ns_shape);
    if (status == 0)
        status = mu_words_selector(model, selector, MU_SELECT_LABELS, to, &shape);
    if (status != 0)
        return status;
    draft->items += ns_shape.count + shape.count;
    scratch->term_spans[draft->parts++] = (struct mu_span){begin, to->count - begin};
    return 0;
}

static int matcher_enter(struct mu_model *model, const struct matcher_draft *draft,
                         struct mu_matcher_ix *out)
{
    struct mu_scratch *scratch = model->scratch;
    struct mu_words *key = &scratch->key;
    key->count = 0;
    mu_words_put(key, 0);
    key->at[0] =
        mu_words_sort(scratch, &scratch->terms, scratch->term_spans, draft->parts, true, key);
    uint32_t extra = key->at[0] * (uint32_t)sizeof(struct mu_matcher_part) +
                     draft->items * (uint32_t)sizeof(struct mu_requirement_item);
    void *head;
    int status = mu_scratch_enter(model, &model->matchers, key->at,
                                  key->count * (uint32_t)sizeof(uint32_t), extra, &out->v, &head);
    struct mu_matcher *matcher = status == 0 ? head : NULL;
    if (matcher == NULL)
        return status;
    const uint32_t *words = mu_intern_key_data(&model->matchers, out->v);
    struct mu_matcher_part *parts = mu_intern_extra(&model->matchers, out->v);
    matcher->part_count = words[0];
    matcher->parts = parts;
    struct mu_decoder d = {words + 1,
                           (struct mu_requirement_item *)(void *)(parts + matcher->part_count)};
    for (uint32_t i = 0; i < matcher->part_count; i++) {
        parts[i].namespace_count = *d.at++;
        parts[i].has_namespace_selector = *d.at++ != 0;
        parts[i].namespaces = (const struct mu_symbol *)(const void *)d.at;
        d.at += parts[i].namespace_count;
        mu_decode_conjunction(&d, &parts[i].namespace_selector);
        mu_decode_conjunction(&d, &parts[i].selector);
    }
    (void)mu_matcher_parts(matcher, &(struct mu_symbol_change){model->symbols, true, 0});
    return 0;
}

static int put_term(struct mu_model *model, const struct mu_pod_term *term,
                    struct matcher_draft *draft)
{
    return put_part(model, term->namespaces, term->namespace_count, term->namespace_selector,
                    &term->selector, draft);
}

int mu_select_affinity_matcher(struct mu_model *model, const struct mu_pod_object *pod,
                               struct mu_matcher_ix *out)
{
    struct matcher_draft draft = {0, 0};
    model->scratch->terms.count = 0;
    for (uint32_t i = 0; i < pod->term_count; i++) {
        if (pod->terms[i].kind != MU_TERM_AFFINITY)
            continue;
        int status = put_term(model, &pod->terms[i], &draft);
        if (status != 0)
            return status;
    }
    MU_ASSERT(draft.parts > 0);
    return matcher_enter(model, &draft, out);
}

int mu_select_term_matcher(struct mu_model *model, const struct mu_pod_term *term,
                           struct mu_matcher_ix *out)
{
    struct matcher_draft draft = {0, 0};
    model->scratch->terms.count = 0;
    int status = put_term(model, term, &draft);
    return status == 0 ? matcher_enter(model, &draft, out) : status;
}

int mu_select_spread_matcher(struct mu_model *model, const struct mu_pod_object *pod,
                             const struct mu_spread *spread, struct mu_matcher_ix *out)
{
    struct matcher_draft draft = {0, 0};
    model->scratch->terms.count = 0;
    int status = put_part(model, &pod->ns, 1, NULL, &spread->selector, &draft);
    return status == 0 ? matcher_enter(model, &draft, out) : status;
}

int mu_model_matcher(struct mu_model *model, struct mu_str ns, const struct mu_selector *selector,
                     struct mu_matcher_ix *out)
{
    const struct mu_pod_term term = {
        .selector = *selector, .namespaces = &ns, .namespace_count = 1};
    int status = mu_select_check(&(struct mu_pod_object){.terms = &term, .term_count = 1});
    if (status == 0)
        status = mu_select_term_matcher(model, &term, out);
    if (status == 0)
        mu_intern_ref(&model->matchers, out->v);
    mu_scratch_drop(model);
    return status;
}

uint32_t mu_matcher_parts(const struct mu_matcher *matcher, const struct mu_symbol_change *change)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < matcher->part_count; i++) {
        const struct mu_matcher_part *part = &matcher->parts[i];
        for (uint32_t n = 0; n < part->namespace_count; n++)
            mu_symbol_apply(change, part->namespaces[n]);
        count += part->namespace_count;
        count += mu_conjunction_symbols(&part->namespace_selector, change);
        count += mu_conjunction_symbols(&part->selector, change);
    }
    return count;
}

/* ---- kins ---- */

uint32_t mu_kin_parts(const struct mu_kin *kin, const struct mu_symbol_change *change)
{
    mu_symbol_apply(change, kin->ns);
    for (uint32_t i = 0; i < kin->labels.count; i++) {
        mu_symbol_apply(change, kin->labels.pairs[i].key);
        mu_symbol_apply(change, kin->labels.pairs[i].value);
    }
    return 1 + 2 * kin->labels.count;
}

/* Namespace and labels into the key: the last of each key. */
static int put_kin(struct mu_model *model, const struct mu_pod_object *pod)
{
    struct mu_words *key = &model->scratch->key;
    const struct mu_sort_item *items = model->scratch->items;
    struct mu_symbol ns;
    int status = mu_scratch_borrow(model, pod->ns, &ns);
    if (status == 0)
        status = mu_labels_borrow(model, pod->labels, pod->label_count);
    if (status != 0)
        return status;
    key->count = 0;
    mu_words_put(key, ns.v);
    for (uint32_t i = 0; i < pod->label_count; i++) {
        if (i + 1 < pod->label_count && items[i + 1].major == items[i].major)
            continue;
        mu_words_put(key, (uint32_t)items[i].major);
        mu_words_put(key, (uint32_t)items[i].minor);
    }
    return 0;
}

int mu_model_kin(struct mu_model *model, const struct mu_pod_object *pod, struct mu_kin_ix *out)
{
    if (pod->label_count > MU_LABELS_PER_OBJECT)
        return MU_ELIMIT;
    const struct mu_words *key = &model->scratch->key;
    int status = put_kin(model, pod);
    if (status == 0) {
        void *head;
        status = mu_model_enter(model, &model->kins, key->at,
                                key->count * (uint32_t)sizeof(uint32_t), 0, &out->v, &head);
        struct mu_kin *kin = status == 0 ? head : NULL;
        if (kin != NULL) {
            const uint32_t *words = mu_intern_key_data(&model->kins, out->v);
            kin->ns.v = words[0];
            kin->labels.count = (key->count - 1) / 2;
            kin->labels.pairs = (const struct mu_label_pair *)(const void *)(words + 1);
            (void)mu_kin_parts(kin, &(struct mu_symbol_change){model->symbols, true, 0});
        }
    }
    mu_scratch_drop(model);
    return status;
}

/* ---- number 0 ---- */

int mu_select_enter_fixed(struct mu_model *model)
{
    struct mu_words *key = &model->scratch->key;
    uint32_t affinity_ix = 0, tolerance_ix = 0;
    struct mu_kin_ix kin = {0};
    const struct mu_pod_object nobody = {.request_count = 0};
    memset(key->at, 0, AFFINITY_HEAD * sizeof *key->at);
    key->count = AFFINITY_HEAD;
    int status = affinity_enter(model, 0, &affinity_ix);
    if (status == 0)
        status = tolerance_enter(model, 0, &tolerance_ix);
    if (status == 0) {
        mu_intern_ref(&model->affinities, affinity_ix);
        mu_intern_ref(&model->tolerances, tolerance_ix);
    }
    mu_scratch_drop(model);
    if (status == 0)
        status = mu_model_kin(model, &nobody, &kin);
    MU_ASSERT(status != 0 || affinity_ix + tolerance_ix + kin.v == 0);
    return status;
}
