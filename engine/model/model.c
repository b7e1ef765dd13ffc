#include "engine/model/model.h"

#include <stdatomic.h>
#include <string.h>

#include "engine/base/assert.h"
#include "engine/base/hash.h"
#include "engine/base/mem.h"
#include "engine/base/random.h"
#include "engine/model/model_priv.h"

/*
 * The model interns at two levels. Texts become symbols; whatever is made of symbols and amounts
 * becomes canonical bytes, and those become an entry of one of nine tables (engine/model/intern.h).
 * The canonical bytes are the content itself, in sorted order: an entry is stored once, compared by
 * memcmp, and read through a head that points into it.
 *
 * Canonical order is by symbol id. Ids are stable as long as the symbol is referenced, and an
 * entry holds its symbols as long as it is in its table, so the order of a present entry never
 * changes; nothing may depend on what the order is.
 *
 * Life of an entry: used -> retired at a generation -> reclaimed once no reader is at or below
 * that generation. Its symbols are released when it is reclaimed, at the generation at which it
 * was retired, and may go in the same pass.
 *
 * How the passes over scratch work is described in model/model_priv.h. Classes are in
 * model/class.c, what they are made of in model/selectors.c (its words in model/words.c), images in
 * model/image.c, namespaces in model/namespace.c, and the rules that read entries in
 * model/select.c.
 */

static const char unschedulable_key[] = "node.kubernetes.io/unschedulable";

/* Keys are compared byte by byte, so nothing that goes into one may have padding. */
_Static_assert(sizeof(struct mu_label_pair) == 8, "no padding in a label pair");
_Static_assert(sizeof(struct mu_taint_item) == 12, "no padding in a taint");
_Static_assert(MU_LABELS_PER_OBJECT * sizeof(struct mu_label_pair) <=
                   MU_SCRATCH_WORDS * sizeof(uint32_t),
               "labels fit");
_Static_assert(MU_TAINTS_PER_NODE * sizeof(struct mu_taint_item) <=
                   MU_SCRATCH_WORDS * sizeof(uint32_t),
               "taints fit");

/* ---- scratch ---- */

int mu_scratch_borrow(struct mu_model *model, struct mu_str text, struct mu_symbol *out)
{
    struct mu_scratch *s = model->scratch;
    if (text.len == 0) {
        out->v = 0;
        return 0;
    }
    if (text.len > MU_STRING_BYTES_MAX)
        return MU_ELIMIT;
    if (mu_symbol_find(model->symbols, text, out))
        return 0;
    MU_ASSERT(s->noted_count < MU_SCRATCH_SYMBOLS);
    int status = mu_symbol_intern(model->symbols, text, out);
    if (status == 0)
        s->noted[s->noted_count++] = *out;
    return status;
}

void mu_scratch_drop(struct mu_model *model)
{
    struct mu_scratch *s = model->scratch;
    for (uint32_t i = 0; i < s->noted_count; i++)
        mu_symbol_unref(model->symbols, s->noted[i], 0);
    for (uint32_t i = 0; i < s->entry_count; i++)
        mu_intern_unref(s->entries[i].table, s->entries[i].ix, 0);
    s->noted_count = 0;
    s->entry_count = 0;
}

static bool item_before(const struct mu_sort_item *a, const struct mu_sort_item *b)
{
    return a->major < b->major || (a->major == b->major && a->minor < b->minor);
}

/* Merge runs of `width` items of `from` into runs twice as wide in `to`. */
static void merge_pass(const struct mu_sort_item *from, struct mu_sort_item *to, uint32_t count,
                       uint32_t width)
{
    for (uint32_t begin = 0; begin < count; begin += 2 * width) {
        uint32_t middle = begin + width < count ? begin + width : count;
        uint32_t end = middle + width < count ? middle + width : count;
        uint32_t a = begin;
        uint32_t b = middle;
        for (uint32_t k = begin; k < end; k++) {
            bool take_b = a == middle || (b < end && item_before(&from[b], &from[a]));
            to[k] = take_b ? from[b++] : from[a++];
        }
    }
}

void mu_scratch_sort(struct mu_scratch *scratch, uint32_t count)
{
    MU_ASSERT(count <= MU_SCRATCH_ITEMS);
    struct mu_sort_item *from = scratch->items;
    struct mu_sort_item *to = scratch->spare;
    uint32_t sorted = 1;
    while (sorted < count && !item_before(&from[sorted], &from[sorted - 1]))
        sorted++;
    if (sorted >= count)
        return;
    for (uint32_t width = 1; width < count; width *= 2) {
        merge_pass(from, to, count, width);
        struct mu_sort_item *swap = from;
        from = to;
        to = swap;
    }
    if (from != scratch->items)
        memcpy(scratch->items, from, count * sizeof *from);
}

int mu_model_enter(struct mu_model *model, struct mu_intern *table, const void *data,
                   uint32_t bytes, uint32_t extra_bytes, uint32_t *ix, void **head)
{
    struct mu_intern_key key = {data, bytes, mu_hash_bytes(data, bytes, model->seed)};
    uint32_t found = mu_intern_find(table, &key);
    if (found == MU_INTERN_NONE)
        return mu_intern_insert(table, &key, extra_bytes, ix, head);
    mu_intern_ref(table, found);
    *ix = found;
    *head = NULL;
    return 0;
}

int mu_scratch_enter(struct mu_model *model, struct mu_intern *table, const void *data,
                     uint32_t bytes, uint32_t extra_bytes, uint32_t *ix, void **head)
{
    struct mu_scratch *s = model->scratch;
    struct mu_intern_key key = {data, bytes, mu_hash_bytes(data, bytes, model->seed)};
    *head = NULL;
    *ix = mu_intern_find(table, &key);
    if (*ix != MU_INTERN_NONE)
        return 0;
    MU_ASSERT(s->entry_count < MU_SCRATCH_ENTRIES);
    int status = mu_intern_insert(table, &key, extra_bytes, ix, head);
    if (status == 0)
        s->entries[s->entry_count++] = (struct mu_noted){table, *ix};
    return status;
}

/* ---- create, destroy ---- */

/* What is there from the start: two keys that rules name, and the empty sets as number 0. */
static int enter_fixed(struct mu_model *model)
{
    int status = mu_symbol_intern(model->symbols, mu_str_of(MU_HOSTNAME_KEY), &model->hostname_key);
    if (status == 0)
        status = mu_symbol_intern(model->symbols, mu_str_of(unschedulable_key),
                                  &model->unschedulable_key);
    struct mu_label_set_ix labels = {0};
    struct mu_taint_set_ix taints = {0};
    struct mu_image_set_ix images = {0};
    struct mu_capacity_ix nothing = {0};
    const int64_t amounts[MU_RESOURCES_MAX] = {0};
    struct mu_symbol hostname;
    if (status == 0)
        status = mu_model_label_set(model, NULL, 0, &labels, &hostname);
    if (status == 0)
        status = mu_model_taint_set(model, NULL, 0, &taints);
    if (status == 0)
        status = mu_model_image_set(model, NULL, 0, &images);
    if (status == 0)
        status = mu_model_capacity(model, amounts, &nothing);
    MU_ASSERT(status != 0 || (labels.v == 0 && taints.v == 0 && images.v == 0 && nothing.v == 0));
    if (status == 0)
        status = mu_select_enter_fixed(model);
    return status;
}

/* Written by whoever makes a model, on any thread; nothing else is ordered by it. */
static _Atomic uint64_t last_serial;

struct mu_model *mu_model_create(void)
{
    struct mu_model *m = mu_mem_zalloc_aligned(_Alignof(struct mu_model), sizeof *m);
    if (m == NULL)
        return NULL;
    struct mu_random random;
    mu_random_init_kernel(&random);
    m->seed = mu_random_u64(&random);
    m->serial = atomic_fetch_add_explicit(&last_serial, 1, memory_order_relaxed) + 1;
    m->scratch = mu_mem_zalloc(sizeof *m->scratch);
    m->symbols = mu_symtab_create(MU_SYMBOLS_MAX);
    m->resources = mu_resources_create();
    const struct {
        struct mu_intern *table;
        uint32_t entries_max;
        size_t head_bytes;
    } tables[] = {
        {&m->label_sets, MU_LABEL_SETS_MAX, sizeof(struct mu_label_set)},
        {&m->taint_sets, MU_TAINT_SETS_MAX, sizeof(struct mu_taint_set)},
        {&m->capacities, MU_CAPACITIES_MAX, sizeof(struct mu_capacity)},
        {&m->image_sets, MU_IMAGE_SETS_MAX, sizeof(struct mu_image_set)},
        {&m->affinities, MU_AFFINITIES_MAX, sizeof(struct mu_affinity)},
        {&m->tolerances, MU_TOLERANCES_MAX, sizeof(struct mu_tolerance)},
        {&m->matchers, MU_MATCHERS_MAX, sizeof(struct mu_matcher)},
        {&m->kins, MU_KINS_MAX, sizeof(struct mu_kin)},
        {&m->classes, MU_CLASSES_MAX, sizeof(struct mu_class)},
    };
    bool complete = m->scratch != NULL && m->symbols != NULL && m->resources != NULL &&
                    mu_namespaces_init(m) == 0;
    for (size_t i = 0; complete && i < sizeof tables / sizeof tables[0]; i++)
        complete = mu_intern_init(tables[i].table, tables[i].entries_max,
                                  ((uint32_t)tables[i].head_bytes + 15u) & ~15u) == 0;
    if (!complete || enter_fixed(m) != 0) {
        mu_model_destroy(m);
        return NULL;
    }
    return m;
}

uint64_t mu_model_serial(const struct mu_model *model)
{
    return model->serial;
}

void mu_model_destroy(struct mu_model *model)
{
    if (model == NULL)
        return;
    mu_namespaces_fini(model);
    mu_intern_fini(&model->classes);
    mu_intern_fini(&model->kins);
    mu_intern_fini(&model->matchers);
    mu_intern_fini(&model->tolerances);
    mu_intern_fini(&model->affinities);
    mu_intern_fini(&model->image_sets);
    mu_intern_fini(&model->capacities);
    mu_intern_fini(&model->taint_sets);
    mu_intern_fini(&model->label_sets);
    mu_resources_destroy(model->resources);
    mu_symtab_destroy(model->symbols);
    mu_mem_free(model->scratch);
    mu_mem_free(model);
}

const struct mu_symtab *mu_model_names(const struct mu_model *model)
{
    return model->symbols;
}

const struct mu_resources *mu_model_resource_names(const struct mu_model *model)
{
    return model->resources;
}

struct mu_symtab *mu_model_symbols(struct mu_model *model)
{
    return model->symbols;
}

struct mu_resources *mu_model_resources(struct mu_model *model)
{
    return model->resources;
}

/* ---- label sets ---- */

static uint32_t label_set_symbols(const struct mu_label_set *set,
                                  const struct mu_symbol_change *change)
{
    for (uint32_t i = 0; i < set->count; i++) {
        mu_symbol_apply(change, set->pairs[i].key);
        mu_symbol_apply(change, set->pairs[i].value);
    }
    return 2 * set->count;
}

int mu_labels_borrow(struct mu_model *model, const struct mu_label *labels, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        struct mu_symbol key, value;
        int status = mu_scratch_borrow(model, labels[i].key, &key);
        if (status == 0)
            status = mu_scratch_borrow(model, labels[i].value, &value);
        if (status != 0)
            return status;
        model->scratch->items[i] =
            (struct mu_sort_item){.major = key.v, .minor = (uint64_t)i << 32 | value.v};
    }
    mu_scratch_sort(model->scratch, count);
    return 0;
}

/* Items to pairs in scratch->key: the last of each key, without the hostname. An empty hostname
 * stays a label like any other: it is not per node, and 0 could not tell it from none. */
static uint32_t labels_to_pairs(const struct mu_model *model, uint32_t count,
                                struct mu_symbol *hostname)
{
    const struct mu_sort_item *items = model->scratch->items;
    struct mu_label_pair *pairs = (struct mu_label_pair *)(void *)model->scratch->key.at;
    uint32_t pair_count = 0;
    hostname->v = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (i + 1 < count && items[i + 1].major == items[i].major)
            continue;
        struct mu_symbol key = {(uint32_t)items[i].major};
        struct mu_symbol value = {(uint32_t)items[i].minor};
        if (key.v == model->hostname_key.v && value.v != 0)
            *hostname = value;
        else
            pairs[pair_count++] = (struct mu_label_pair){key, value};
    }
    return pair_count;
}

int mu_model_label_set(struct mu_model *model, const struct mu_label *labels, uint32_t count,
                       struct mu_label_set_ix *out, struct mu_symbol *hostname)
{
    if (count > MU_LABELS_PER_OBJECT)
        return MU_ELIMIT;
    int status = mu_labels_borrow(model, labels, count);
    if (status == 0) {
        struct mu_symbol host;
        uint32_t pair_count = labels_to_pairs(model, count, &host);
        void *head;
        status =
            mu_model_enter(model, &model->label_sets, model->scratch->key.at,
                           pair_count * (uint32_t)sizeof(struct mu_label_pair), 0, &out->v, &head);
        if (status == 0) {
            mu_symbol_ref(model->symbols, host);
            *hostname = host;
            struct mu_label_set *set = head;
            if (set != NULL) {
                set->count = pair_count;
                set->pairs = mu_intern_key_data(&model->label_sets, out->v);
                label_set_symbols(set, &(struct mu_symbol_change){model->symbols, true, 0});
            }
        }
    }
    mu_scratch_drop(model);
    return status;
}

void mu_model_label_set_unref(struct mu_model *model, struct mu_label_set_ix ix,
                              struct mu_symbol hostname, uint64_t generation)
{
    mu_intern_unref(&model->label_sets, ix.v, generation);
    mu_symbol_unref(model->symbols, hostname, generation);
}

/* ---- taint sets ---- */

static uint32_t taint_set_symbols(const struct mu_taint_set *set,
                                  const struct mu_symbol_change *change)
{
    for (uint32_t i = 0; i < set->count; i++) {
        mu_symbol_apply(change, set->items[i].key);
        mu_symbol_apply(change, set->items[i].value);
    }
    return 2 * set->count;
}

static int taints_borrow(struct mu_model *model, const struct mu_taint *taints, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        struct mu_symbol key, value;
        int status = mu_scratch_borrow(model, taints[i].key, &key);
        if (status == 0)
            status = mu_scratch_borrow(model, taints[i].value, &value);
        if (status != 0)
            return status;
        model->scratch->items[i] = (struct mu_sort_item){.major = (uint64_t)key.v << 32 | value.v,
                                                         .minor = taints[i].effect};
    }
    mu_scratch_sort(model->scratch, count);
    return 0;
}

/* Items to taints in scratch->key, each once. */
static uint32_t taints_to_items(struct mu_scratch *scratch, uint32_t count)
{
    const struct mu_sort_item *items = scratch->items;
    struct mu_taint_item *taints = (struct mu_taint_item *)(void *)scratch->key.at;
    uint32_t taint_count = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (i > 0 && items[i].major == items[i - 1].major && items[i].minor == items[i - 1].minor)
            continue;
        taints[taint_count++] = (struct mu_taint_item){
            .key = {(uint32_t)(items[i].major >> 32)},
            .value = {(uint32_t)items[i].major},
            .effect = (enum mu_taint_effect)items[i].minor,
        };
    }
    return taint_count;
}

int mu_model_taint_set(struct mu_model *model, const struct mu_taint *taints, uint32_t count,
                       struct mu_taint_set_ix *out)
{
    if (count > MU_TAINTS_PER_NODE)
        return MU_ELIMIT;
    int status = taints_borrow(model, taints, count);
    if (status == 0) {
        uint32_t taint_count = taints_to_items(model->scratch, count);
        void *head;
        status =
            mu_model_enter(model, &model->taint_sets, model->scratch->key.at,
                           taint_count * (uint32_t)sizeof(struct mu_taint_item), 0, &out->v, &head);
        struct mu_taint_set *set = status == 0 ? head : NULL;
        if (set != NULL) {
            set->count = taint_count;
            set->items = mu_intern_key_data(&model->taint_sets, out->v);
            taint_set_symbols(set, &(struct mu_symbol_change){model->symbols, true, 0});
        }
    }
    mu_scratch_drop(model);
    return status;
}

void mu_model_taint_set_unref(struct mu_model *model, struct mu_taint_set_ix ix,
                              uint64_t generation)
{
    mu_intern_unref(&model->taint_sets, ix.v, generation);
}

/* ---- capacities ---- */

int mu_model_capacity(struct mu_model *model, const int64_t *allocatable,
                      struct mu_capacity_ix *out)
{
    /* A cluster may have as many capacities as nodes, and most resources are on few of them. */
    uint32_t count = MU_RESOURCES_MAX;
    while (count > 0 && allocatable[count - 1] == 0)
        count--;
    void *head;
    int status = mu_model_enter(model, &model->capacities, allocatable,
                                count * (uint32_t)sizeof *allocatable, 0, &out->v, &head);
    struct mu_capacity *capacity = status == 0 ? head : NULL;
    if (capacity != NULL) {
        capacity->count = count;
        capacity->amounts = mu_intern_key_data(&model->capacities, out->v);
    }
    return status;
}

void mu_model_capacity_unref(struct mu_model *model, struct mu_capacity_ix ix, uint64_t generation)
{
    mu_intern_unref(&model->capacities, ix.v, generation);
}

/* ---- classes and what they are made of: references only ---- */

#define REFERENCES(name, table)                                                                    \
    void mu_model_##name##_ref(struct mu_model *model, struct mu_##name##_ix ix)                   \
    {                                                                                              \
        mu_intern_ref(&model->table, ix.v);                                                        \
    }                                                                                              \
    void mu_model_##name##_unref(struct mu_model *model, struct mu_##name##_ix ix,                 \
                                 uint64_t generation)                                              \
    {                                                                                              \
        mu_intern_unref(&model->table, ix.v, generation);                                          \
    }

REFERENCES(class, classes)
REFERENCES(kin, kins)
REFERENCES(affinity, affinities)
REFERENCES(tolerance, tolerances)
REFERENCES(matcher, matchers)

/* ---- reclaiming ---- */

/* Release what an entry refers to; returns how many things. */
static uint32_t entry_parts(struct mu_model *model, const struct mu_intern *table, uint32_t ix,
                            const struct mu_symbol_change *change)
{
    if (table == &model->label_sets)
        return label_set_symbols(mu_intern_head(table, ix), change);
    if (table == &model->taint_sets)
        return taint_set_symbols(mu_intern_head(table, ix), change);
    if (table == &model->image_sets)
        return mu_image_set_parts(mu_intern_head(table, ix), change);
    if (table == &model->classes)
        return mu_class_parts(model, mu_intern_head(table, ix), change);
    if (table == &model->affinities)
        return mu_affinity_parts(model, ix, change);
    if (table == &model->tolerances)
        return mu_tolerance_parts(mu_intern_head(table, ix), change);
    if (table == &model->matchers)
        return mu_matcher_parts(mu_intern_head(table, ix), change);
    if (table == &model->kins)
        return mu_kin_parts(mu_intern_head(table, ix), change);
    MU_ASSERT(table == &model->capacities);
    return 0;
}

void mu_model_reclaim(struct mu_model *model, uint64_t safe_generation, uint32_t budget)
{
    /* Classes before what they hold: it may go in the same pass. */
    struct mu_intern *tables[] = {&model->classes,    &model->affinities, &model->tolerances,
                                  &model->matchers,   &model->kins,       &model->label_sets,
                                  &model->taint_sets, &model->image_sets, &model->capacities};
    uint32_t steps = 0;
    for (size_t i = 0; i < sizeof tables / sizeof tables[0]; i++) {
        while (steps < budget) {
            struct mu_symbol_change release = {model->symbols, false, 0};
            uint32_t ix = mu_intern_oldest(tables[i], safe_generation, &release.generation);
            if (ix == MU_INTERN_NONE)
                break;
            steps += 1 + entry_parts(model, tables[i], ix, &release);
            mu_intern_free(tables[i], ix);
        }
    }
    (void)mu_symtab_reclaim(model->symbols, safe_generation, budget);
}

/* ---- reading ---- */

const struct mu_label_set *mu_model_get_label_set(const struct mu_model *m,
                                                  struct mu_label_set_ix ix)
{
    return mu_intern_head(&m->label_sets, ix.v);
}

const struct mu_taint_set *mu_model_get_taint_set(const struct mu_model *m,
                                                  struct mu_taint_set_ix ix)
{
    return mu_intern_head(&m->taint_sets, ix.v);
}

struct mu_labels_view mu_model_labels(const struct mu_model *m, struct mu_label_set_ix labels,
                                      struct mu_symbol hostname)
{
    return (struct mu_labels_view){mu_intern_head(&m->label_sets, labels.v), m->hostname_key,
                                   hostname};
}

const struct mu_affinity *mu_model_get_affinity(const struct mu_model *m, struct mu_affinity_ix ix)
{
    return mu_intern_head(&m->affinities, ix.v);
}

const struct mu_tolerance *mu_model_get_tolerance(const struct mu_model *m,
                                                  struct mu_tolerance_ix ix)
{
    return mu_intern_head(&m->tolerances, ix.v);
}

const struct mu_matcher *mu_model_get_matcher(const struct mu_model *m, struct mu_matcher_ix ix)
{
    return mu_intern_head(&m->matchers, ix.v);
}

const struct mu_kin *mu_model_get_kin(const struct mu_model *m, struct mu_kin_ix ix)
{
    return mu_intern_head(&m->kins, ix.v);
}

const struct mu_class *mu_model_get_class(const struct mu_model *m, struct mu_class_ix ix)
{
    return mu_intern_head(&m->classes, ix.v);
}

const struct mu_capacity *mu_model_get_capacity(const struct mu_model *m, struct mu_capacity_ix ix)
{
    return mu_intern_head(&m->capacities, ix.v);
}

#define BOUND(name, table)                                                                         \
    uint32_t mu_model_##name##_bound(const struct mu_model *m)                                     \
    {                                                                                              \
        return mu_intern_bound(&m->table);                                                         \
    }

BOUND(class, classes)
BOUND(label_set, label_sets)
BOUND(taint_set, taint_sets)
