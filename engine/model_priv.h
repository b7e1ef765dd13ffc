#ifndef MU_ENGINE_MODEL_PRIV_H
#define MU_ENGINE_MODEL_PRIV_H
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
 */
#include "engine/base/symbol.h"
#include "engine/intern.h"
#include "engine/limits.h"
#include "engine/model.h"

/* Two symbols for each label, and for each toleration beside the labels of a selector. */
#define MU_SCRATCH_SYMBOLS (2 * (MU_LABELS_PER_OBJECT + MU_TOLERATIONS_PER_POD))
#define MU_SCRATCH_ITEMS   MU_LABELS_PER_OBJECT
#define MU_SCRATCH_BYTES   (1u << 15) /* the largest key; asserted where keys are built */

_Static_assert(MU_TOLERATIONS_PER_POD <= MU_SCRATCH_ITEMS, "tolerations fit the scratch");
_Static_assert(MU_TAINTS_PER_NODE <= MU_SCRATCH_ITEMS, "taints fit the scratch");

struct mu_sort_item {
    uint64_t major;
    uint64_t minor;
};

struct mu_scratch {
    struct mu_sort_item items[MU_SCRATCH_ITEMS];
    struct mu_sort_item spare[MU_SCRATCH_ITEMS];
    struct mu_symbol noted[MU_SCRATCH_SYMBOLS]; /* interned by this call */
    uint32_t noted_count;
    _Alignas(16) unsigned char key[MU_SCRATCH_BYTES];
};

struct mu_model {
    struct mu_intern label_sets;
    struct mu_intern taint_sets;
    struct mu_intern capacities;
    struct mu_intern classes;
    struct mu_symtab *symbols;
    struct mu_resources *resources;
    struct mu_symbol hostname_key;      /* held for the model's life */
    struct mu_symbol unschedulable_key; /* the same */
    uint64_t seed;                      /* random: content comes from outside */
    uint64_t class_id_last;
    struct mu_scratch *scratch; /* the writer's */
};

/* The symbol of text for the call at hand (0 for the empty text), without a reference of its own.
 * Errors: MU_ENOMEM, MU_ELIMIT (longer than MU_STRING_BYTES_MAX, or the table is full). */
int mu_scratch_borrow(struct mu_model *model, struct mu_str text, struct mu_symbol *out);
/* End of every call that borrowed. */
void mu_scratch_drop(struct mu_model *model);
/* Sort the first count items by (major, minor). Cost: O(count log count), O(count) when sorted. */
void mu_scratch_sort(struct mu_scratch *scratch, uint32_t count);

/* Find the first `bytes` bytes of scratch->key, or insert them; a reference in either case. *head
 * is NULL on a hit. Errors: MU_ENOMEM, MU_ELIMIT. */
int mu_model_enter(struct mu_model *model, struct mu_intern *table, const void *data,
                   uint32_t bytes, uint32_t *ix, void **head);

/* What happens to each symbol of an entry that comes or goes. */
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
/* Apply to every symbol of a class; returns how many there were. */
uint32_t mu_class_symbols(const struct mu_class *c, const struct mu_symbol_change *change);

#endif
