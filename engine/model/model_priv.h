#ifndef MU_ENGINE_MODEL_MODEL_PRIV_H
#define MU_ENGINE_MODEL_MODEL_PRIV_H
/*
 * Inside the model. A call that interns goes through four steps, the first three in scratch:
 *
 *   borrow   texts become symbols. Known ones are only looked up; new ones are interned and noted
 *   sort     the symbols, as integers, into the canonical order; duplicates drop out
 *   find     the canonical bytes are the key of the table: a hit ends here, nothing was allocated
 *   insert   on a miss: the entry, then a reference for each symbol in it (which cannot fail)
 *
 * and always ends with mu_scratch_drop, which gives up the noted symbols: those that no entry took
 * are without a reference again and will be reclaimed. They are given up at generation 0, which is
 * sound because they were absent before this call: no reader can know them.
 *
 * A class is made of entries of other tables (affinity, tolerance, matchers), whose numbers stand
 * in its key. They go the same way as symbols: looked up, or inserted and noted, taken by the class
 * if that is new, and given up in the end.
 *
 * What has a variable shape (selectors) is written as 32-bit words, each list preceded by its
 * length (model/words.c). The words are key and storage at once: decoding makes structs that point
 * into them, in the room that the table keeps behind the key.
 */
#include "engine/base/index.h"
#include "engine/base/symbol.h"
#include "engine/model/intern.h"
#include "engine/limits.h"
#include "engine/model/model.h"

/* Symbols of the largest object: labels of a selector, tolerations, keys and values of requirements
 * (topology keys and weights apart), topology keys, ports, images. */
#define MU_SCRATCH_SYMBOLS                                                                         \
    (2 * (MU_LABELS_PER_OBJECT + MU_TOLERATIONS_PER_POD) + MU_REQUIREMENTS_MAX + MU_VALUES_MAX +   \
     2 * MU_SELECTOR_TERMS_MAX + MU_PORTS_PER_POD + MU_IMAGES_PER_POD + 1)
#define MU_SCRATCH_ENTRIES (2 * MU_SELECTOR_TERMS_MAX + 4)
#define MU_SCRATCH_ITEMS   MU_VALUES_MAX

#define MU_REQUIREMENT_WORDS 5u /* of an item, without its values */
#define MU_CONJUNCTION_WORDS 2u /* without its items */
#define MU_TERM_WORDS        8u /* of a term or part, with its two conjunctions, without items */
/* All selectors of one pod, and the largest key. */
#define MU_SCRATCH_WORDS                                                                           \
    (MU_REQUIREMENT_WORDS * MU_REQUIREMENTS_MAX + MU_VALUES_MAX +                                  \
     MU_TERM_WORDS * 2 * MU_SELECTOR_TERMS_MAX + 2 * MU_LABELS_PER_OBJECT + 4096)

_Static_assert(MU_TOLERATIONS_PER_POD <= MU_SCRATCH_ITEMS, "tolerations fit the scratch");
_Static_assert(MU_TAINTS_PER_NODE <= MU_SCRATCH_ITEMS, "taints fit the scratch");
_Static_assert(MU_LABELS_PER_OBJECT <= MU_SCRATCH_ITEMS, "labels fit the scratch");
_Static_assert(MU_PORTS_PER_POD <= MU_SCRATCH_ITEMS, "ports fit the scratch");
_Static_assert(MU_IMAGES_PER_POD <= MU_SCRATCH_ITEMS && MU_IMAGES_PER_NODE <= MU_SCRATCH_ITEMS,
               "images fit the scratch");
_Static_assert(MU_IMAGES_PER_NODE <= MU_SCRATCH_SYMBOLS, "and so do their names");

struct mu_sort_item {
    uint64_t major;
    uint64_t minor;
};
/* A run of words. */
struct mu_span {
    uint32_t begin;
    uint32_t count;
};
struct mu_words {
    uint32_t count;
    _Alignas(16) uint32_t at[MU_SCRATCH_WORDS];
};
/* An entry that this call has inserted. */
struct mu_noted {
    struct mu_intern *table;
    uint32_t ix;
};

struct mu_scratch {
    struct mu_sort_item items[MU_SCRATCH_ITEMS];
    struct mu_sort_item spare[MU_SCRATCH_ITEMS];
    struct mu_span item_spans[MU_REQUIREMENTS_MAX];   /* of the conjunction at hand, in `raw` */
    struct mu_span term_spans[MU_SELECTOR_TERMS_MAX]; /* of the terms at hand, in `terms` */
    struct mu_span spare_spans[MU_SELECTOR_TERMS_MAX];
    struct mu_symbol noted[MU_SCRATCH_SYMBOLS]; /* interned by this call */
    uint32_t noted_count;
    struct mu_noted entries[MU_SCRATCH_ENTRIES];
    uint32_t entry_count;
    struct mu_words raw;       /* requirements, as they come */
    struct mu_words terms;     /* terms, as they come */
    struct mu_words key;       /* of the entry at hand; a class's parts are entered first */
    struct mu_words class_key; /* a class's, while its parts use `key` */
};
_Static_assert(MU_REQUIREMENTS_MAX <= MU_SELECTOR_TERMS_MAX, "spare_spans serves both");

struct mu_namespace;

struct mu_model {
    uint64_t serial;
    struct mu_intern label_sets;
    struct mu_intern taint_sets;
    struct mu_intern capacities;
    struct mu_intern image_sets;
    struct mu_intern affinities;
    struct mu_intern tolerances;
    struct mu_intern matchers;
    struct mu_intern kins;
    struct mu_intern classes;
    struct mu_symtab *symbols;
    struct mu_resources *resources;
    struct mu_namespace *namespaces;
    uint32_t namespace_count;
    uint32_t namespace_bound; /* records ever used */
    uint32_t namespace_cap;
    uint32_t namespace_mark;            /* of the relist in hand, or of the last one */
    uint32_t namespace_free;            /* list of records given back */
    struct mu_index *namespace_index;   /* by name */
    struct mu_symbol hostname_key;      /* held for the model's life */
    struct mu_symbol unschedulable_key; /* the same */
    uint64_t seed;                      /* random: content comes from outside */
    uint64_t id_last;                   /* of classes, affinities, tolerances */
    struct mu_scratch *scratch;         /* the writer's */
};

/* ---- scratch (model/model.c) ---- */

/* The symbol of text for the call at hand (0 for the empty text), without a reference of its own.
 * Errors: MU_ENOMEM, MU_ELIMIT (longer than MU_STRING_BYTES_MAX, or the table is full). */
int mu_scratch_borrow(struct mu_model *model, struct mu_str text, struct mu_symbol *out);
/* Give up the symbols and entries that the call has interned. */
void mu_scratch_drop(struct mu_model *model);
/* Sort the first count items by (major, minor). Cost: O(count log count), O(count) when sorted. */
void mu_scratch_sort(struct mu_scratch *scratch, uint32_t count);
/* Labels to items, ordered by key and then by position. */
int mu_labels_borrow(struct mu_model *model, const struct mu_label *labels, uint32_t count);

/* Find data, or insert it with extra_bytes behind; a reference in either case. *head is NULL on a
 * hit. Errors: MU_ENOMEM, MU_ELIMIT. */
int mu_model_enter(struct mu_model *model, struct mu_intern *table, const void *data,
                   uint32_t bytes, uint32_t extra_bytes, uint32_t *ix, void **head);
/* The same for a part of the object at hand: without a reference of its own, gone after
 * mu_scratch_drop if nothing took it. */
int mu_scratch_enter(struct mu_model *model, struct mu_intern *table, const void *data,
                     uint32_t bytes, uint32_t extra_bytes, uint32_t *ix, void **head);

/* What happens to each symbol and each part of an entry that comes or goes. */
struct mu_symbol_change {
    struct mu_symtab *symbols;
    bool add;
    uint64_t generation; /* of the release */
};
static inline void mu_symbol_apply(const struct mu_symbol_change *change, struct mu_symbol symbol)
{
    if (change->add)
        mu_symbol_ref(change->symbols, symbol);
    else
        mu_symbol_unref(change->symbols, symbol, change->generation);
}
static inline void mu_part_apply(const struct mu_symbol_change *change, struct mu_intern *table,
                                 uint32_t ix)
{
    if (change->add)
        mu_intern_ref(table, ix);
    else
        mu_intern_unref(table, ix, change->generation);
}

/* ---- words (model/words.c) ---- */

static inline void mu_words_put(struct mu_words *words, uint32_t word)
{
    MU_ASSERT(words->count < MU_SCRATCH_WORDS);
    words->at[words->count++] = word;
}
/* Append spans of `from` to `to` in canonical order. distinct: equal ones once. Returns how many
 * were written. Cost: O(words log spans). */
uint32_t mu_words_sort(struct mu_scratch *scratch, const struct mu_words *from,
                       struct mu_span *spans, uint32_t count, bool distinct, struct mu_words *to);

enum mu_selector_use { MU_SELECT_LABELS, MU_SELECT_NAMES };
struct mu_conjunction_shape {
    bool nothing;
    uint32_t count; /* items; 0 and not nothing: everything */
};
/* Append a selector in canonical form. MU_SELECT_NAMES: requirements on metadata.name. Errors:
 * MU_ENOMEM, MU_ELIMIT. */
int mu_words_selector(struct mu_model *model, const struct mu_selector *selector,
                      enum mu_selector_use use, struct mu_words *to,
                      struct mu_conjunction_shape *shape);
/* Append a node term. *never: no node can match it, nothing was appended. *items: raised by its
 * requirements. */
int mu_words_node_term(struct mu_model *model, const struct mu_node_term *term, struct mu_words *to,
                       bool *never, uint32_t *items);

/* Reads words back: structs go to `items` on. */
struct mu_decoder {
    const uint32_t *at;
    struct mu_requirement_item *items;
};
void mu_decode_conjunction(struct mu_decoder *d, struct mu_conjunction *out);
static inline void mu_decode_node_term(struct mu_decoder *d, struct mu_node_term_item *out)
{
    mu_decode_conjunction(d, &out->labels);
    mu_decode_conjunction(d, &out->names);
}
/* Apply to every symbol; returns how many there were. */
uint32_t mu_conjunction_symbols(const struct mu_conjunction *c,
                                const struct mu_symbol_change *change);

/* ---- parts of classes (model/selectors.c) ---- */

/* MU_ELIMIT when one of the pod's lists is longer than limits.h allows. */
int mu_select_check(const struct mu_pod_object *pod);
int mu_select_affinity(struct mu_model *model, const struct mu_pod_object *pod,
                       struct mu_affinity_ix *out);
int mu_select_tolerance(struct mu_model *model, const struct mu_pod_object *pod,
                        struct mu_tolerance_ix *out);
/* The matcher of all the pod's required affinity terms. */
int mu_select_affinity_matcher(struct mu_model *model, const struct mu_pod_object *pod,
                               struct mu_matcher_ix *out);
int mu_select_term_matcher(struct mu_model *model, const struct mu_pod_term *term,
                           struct mu_matcher_ix *out);
int mu_select_spread_matcher(struct mu_model *model, const struct mu_pod_object *pod,
                             const struct mu_spread *spread, struct mu_matcher_ix *out);
/* Release what an entry refers to; returns how many things. */
uint32_t mu_affinity_parts(struct mu_model *model, uint32_t ix,
                           const struct mu_symbol_change *change);
uint32_t mu_tolerance_parts(const struct mu_tolerance *tolerance,
                            const struct mu_symbol_change *change);
uint32_t mu_matcher_parts(const struct mu_matcher *matcher, const struct mu_symbol_change *change);
uint32_t mu_kin_parts(const struct mu_kin *kin, const struct mu_symbol_change *change);
uint32_t mu_class_parts(struct mu_model *model, const struct mu_class *c,
                        const struct mu_symbol_change *change);
/* Affinity, tolerance and kin number 0. */
int mu_select_enter_fixed(struct mu_model *model);

/* ---- images (model/image.c) ---- */

/* Release what an entry refers to; returns how many things. */
uint32_t mu_image_set_parts(const struct mu_image_set *set, const struct mu_symbol_change *change);

/* ---- namespaces (model/namespace.c) ---- */

int mu_namespaces_init(struct mu_model *model);
void mu_namespaces_fini(struct mu_model *model);

/* ---- rules (model/select.c) ---- */

/* A base-10 int64 as Go's ParseInt reads it: an optional sign, digits, nothing else. */
bool mu_select_number(struct mu_str text, int64_t *out);
/* The same in canonical form: no plus, no leading zero, no "-0". */
bool mu_select_canonical(struct mu_str text, int64_t *out);

#endif
