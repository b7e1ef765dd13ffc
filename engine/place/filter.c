#include "engine/place/filter.h"

#include <string.h>

#include "engine/base/assert.h"
#include "engine/base/bitset.h"
#include "engine/base/hash.h"
#include "engine/base/index.h"
#include "engine/base/mem.h"
#include "engine/model/named.h"
#include "engine/device.h"

/*
 * Masks and the log. Rows that changed go into a ring, each with a number of its own; a mask
 * remembers how far it has read. Whoever asks for it has a class, and so its affinity and tolerance
 * are there to judge the rows that it has not read; nobody asks for masks of classes that are gone,
 * and those cost nothing. Where the ring has gone round, or a good part of all rows has changed,
 * the mask is filled anew.
 *
 * Counts by verdict are a by-product of filling. A row that is judged again may leave one kind of
 * refusal for another, which the bits do not show: the counts are then made again when needed.
 */

#define MASKS_MAX (1u << 20)
#define LOG_ROWS  (2 * MU_STATIC_CHANGED_MAX) /* a power of two */
_Static_assert((LOG_ROWS & (LOG_ROWS - 1)) == 0, "used as a mask");
#define NAMED_LOOKS 64u    /* requirements from which on nodes find the terms that name them */
enum { REFILL_SHARE = 8 }; /* more than one row in so many changed: fill anew */

/* What a mask depends on. */
struct mask_key {
    uint64_t affinity; /* ids */
    uint64_t tolerance;
};
/* A mask with its bits behind it, in one block. */
struct mask {
    struct mu_filter_mask public;
    uint64_t *words[MU_LEVELS_MAX]; /* the same as public.bits */
    size_t word_count;              /* of all levels, one behind another */
    struct mask_key key;
    uint64_t hash;
    size_t bytes;
    uint64_t read; /* rows of the log */
    bool counted;
    uint32_t refused[MU_VERDICT_KINDS]; /* counted: nodes by static verdict; MU_FITS: that pass */
};

struct mu_filter {
    const struct mu_scan_ops *ops;
    const struct mu_snapshot *snapshot;
    const struct mu_model *model;
    uint64_t model_serial; /* of the masks, with static_generation and rows */
    uint64_t static_generation;
    uint32_t row_cap;
    uint64_t epoch;
    uint64_t version_last;
    uint64_t judged;
    uint64_t looks;
    struct mu_named *named; /* scratch, made once it is needed */
    uint32_t log[LOG_ROWS]; /* row n at n % LOG_ROWS */
    uint64_t logged;        /* rows ever put there */
    struct mu_index *index;
    struct mask **masks;
    uint32_t mask_count;
    uint32_t mask_cap;
    uint64_t bytes;
    /* Scratch of one evaluation: 0 not judged yet, 1 passes, 2 refused; by set index. */
    uint8_t *label_judged;
    uint32_t label_cap;
    uint8_t *taint_judged;
    uint32_t taint_cap;
};

/* ---- keys --------------------------------------------------------------------------------- */

/* The affinity whose mask a class uses. */
static const struct mu_affinity *bare_of(const struct mu_model *model,
                                         const struct mu_class *class_)
{
    return mu_model_get_affinity(model, mu_model_get_affinity(model, class_->affinity)->bare);
}

static uint64_t key_hash(const struct mask_key *key)
{
    return mu_hash_mix(key->affinity, key->tolerance);
}

static bool index_equal(const void *context, uint32_t value, const void *key_)
{
    const struct mu_filter *filter = context;
    const struct mask_key *a = &filter->masks[value]->key;
    const struct mask_key *b = key_;
    return a->affinity == b->affinity && a->tolerance == b->tolerance;
}

static uint64_t index_hash(const void *context, uint32_t value)
{
    const struct mu_filter *filter = context;
    return filter->masks[value]->hash;
}

/* ---- lifetime ----------------------------------------------------------------------------- */

struct mu_filter *mu_filter_create(const struct mu_scan_ops *ops)
{
    struct mu_filter *filter = mu_mem_zalloc(sizeof *filter);
    if (filter == NULL)
        return NULL;
    filter->ops = ops;
    filter->epoch = 1;
    filter->index = mu_index_create(16, index_equal, index_hash, filter);
    if (filter->index == NULL) {
        mu_mem_free(filter);
        return NULL;
    }
    return filter;
}

void mu_filter_drop(struct mu_filter *filter)
{
    for (uint32_t i = 0; i < filter->mask_count; i++) {
        mu_index_remove(filter->index, filter->masks[i]->hash, i);
        mu_mem_free(filter->masks[i]);
    }
    filter->mask_count = 0;
    filter->bytes = 0;
    filter->epoch++;
}

void mu_filter_destroy(struct mu_filter *filter)
{
    if (filter == NULL)
        return;
    mu_filter_drop(filter);
    mu_index_destroy(filter->index);
    mu_mem_free(filter->masks);
    mu_mem_free(filter->named);
    mu_mem_free(filter->label_judged);
    mu_mem_free(filter->taint_judged);
    mu_mem_free(filter);
}

/* True when the snapshot says which rows have changed since the filter's generation. */
static bool is_listed(const struct mu_filter *filter, const struct mu_snapshot *snapshot)
{
    return snapshot->static_changed != NULL &&
           filter->model_serial == mu_model_serial(snapshot->model) &&
           filter->row_cap == snapshot->node_cap &&
           filter->static_generation >= snapshot->static_base &&
           filter->static_generation <= snapshot->static_generation;
}

void mu_filter_begin(struct mu_filter *filter, const struct mu_snapshot *snapshot)
{
    filter->snapshot = snapshot;
    if (filter->model_serial == mu_model_serial(snapshot->model) &&
        filter->row_cap == snapshot->node_cap &&
        filter->static_generation == snapshot->static_generation)
        return;
    if (is_listed(filter, snapshot)) {
        for (uint32_t i = 0; i < snapshot->static_changed_count; i++)
            filter->log[filter->logged++ & (LOG_ROWS - 1)] = snapshot->static_changed[i];
        filter->epoch++;
    } else {
        mu_filter_drop(filter);
    }
    filter->model = snapshot->model;
    filter->model_serial = mu_model_serial(snapshot->model);
    filter->row_cap = snapshot->node_cap;
    filter->static_generation = snapshot->static_generation;
}

uint64_t mu_filter_judged(const struct mu_filter *filter)
{
    return filter->judged;
}

uint64_t mu_filter_looks(const struct mu_filter *filter)
{
    return filter->looks;
}

uint64_t mu_filter_epoch(const struct mu_filter *filter)
{
    return filter->epoch;
}

/* ---- static rules ------------------------------------------------------------------------- */

/* The rules of one mask. */
struct rules {
    const struct mu_affinity *affinity;
    const struct mu_tolerance *tolerance;
    const struct mu_named *named; /* its terms by the nodes that they name; NULL: look at all */
    uint32_t looks;               /* what that costs, a node */
};

/* The same rules for the judging of many rows. Without memory they are as they were. */
static struct rules rules_for_many(struct mu_filter *filter, const struct rules *rules)
{
    struct rules many = *rules;
    many.looks = mu_named_looks(rules->affinity);
    if (many.looks < NAMED_LOOKS)
        return many;
    if (filter->named == NULL)
        filter->named = mu_mem_alloc(sizeof *filter->named);
    if (filter->named != NULL)
        mu_named_make(filter->named, filter->model, rules->affinity);
    many.named = filter->named;
    return many;
}

static bool judge(uint8_t *judged, bool passes)
{
    *judged = passes ? 1 : 2;
    return passes;
}

/* The names of nodes count: their labels alone do not tell. */
static bool looks_at_names(const struct mu_affinity *affinity)
{
    for (uint32_t i = 0; i < affinity->term_count; i++) {
        if (affinity->terms[i].names.count != 0)
            return true;
    }
    return false;
}

/* Requirements on the hostname label look at what label sets leave out. */
static bool looks_at_hostnames(const struct mu_affinity *affinity, struct mu_symbol key)
{
    for (uint32_t i = 0; i < affinity->term_count; i++) {
        const struct mu_conjunction *labels = &affinity->terms[i].labels;
        for (uint32_t r = 0; r < labels->count; r++) {
            if (labels->items[r].key.v == key.v)
                return true;
        }
    }
    return affinity->hostname.v != 0;
}

/* The static verdict of a row. */
static enum mu_verdict_kind judge_row(const struct mu_snapshot *snapshot, const struct rules *rules,
                                      uint32_t row, uint64_t *looks)
{
    const struct mu_model *model = snapshot->model;
    const struct mu_node_static *n = &snapshot->nodes[row];
    if ((n->flags & MU_NODE_UNSCHEDULABLE) != 0 && !rules->tolerance->unschedulable)
        return MU_NO_UNSCHEDULABLE;
    if (!mu_tolerance_tolerates(mu_model_names(model), rules->tolerance,
                                mu_model_get_taint_set(model, n->taints)))
        return MU_NO_TAINT;
    const struct mu_labels_view labels = mu_snapshot_labels(snapshot, (struct mu_node_ix){row});
    if (rules->named != NULL)
        return mu_named_selects(rules->named, model, &labels, n->name, looks) ? MU_FITS
                                                                              : MU_NO_NODE_AFFINITY;
    *looks += rules->looks;
    return mu_affinity_selects(model, rules->affinity, &labels, n->name) ? MU_FITS
                                                                         : MU_NO_NODE_AFFINITY;
}

/* The same, each set judged once; for affinities that look at no more than the label set. */
static enum mu_verdict_kind judge_by_sets(struct mu_filter *filter, const struct rules *rules,
                                          uint32_t row)
{
    const struct mu_snapshot *snapshot = filter->snapshot;
    const struct mu_model *model = snapshot->model;
    const struct mu_node_static *n = &snapshot->nodes[row];
    if ((n->flags & MU_NODE_UNSCHEDULABLE) != 0 && !rules->tolerance->unschedulable)
        return MU_NO_UNSCHEDULABLE;
    uint8_t *taints = &filter->taint_judged[n->taints.v];
    if (*taints == 0
            ? !judge(taints, mu_tolerance_tolerates(mu_model_names(model), rules->tolerance,
                                                    mu_model_get_taint_set(model, n->taints)))
            : *taints == 2)
        return MU_NO_TAINT;
    uint8_t *judged = &filter->label_judged[n->labels.v];
    filter->looks += *judged == 0 ? rules->looks : 0;
    const struct mu_labels_view labels = mu_snapshot_labels(snapshot, (struct mu_node_ix){row});
    if (*judged == 0 ? !judge(judged, mu_affinity_selects(model, rules->affinity, &labels, n->name))
                     : *judged == 2)
        return MU_NO_NODE_AFFINITY;
    return MU_FITS;
}

static int scratch_reset(struct mu_filter *filter)
{
    uint32_t labels = mu_model_label_set_bound(filter->model);
    uint32_t taints = mu_model_taint_set_bound(filter->model);
    labels = labels > 0 ? labels : 1;
    taints = taints > 0 ? taints : 1;
    void *array = filter->label_judged;
    if (mu_mem_grow(&array, &filter->label_cap, labels, MU_LABEL_SETS_MAX, 1) != 0)
        return MU_ENOMEM;
    filter->label_judged = array;
    array = filter->taint_judged;
    if (mu_mem_grow(&array, &filter->taint_cap, taints, MU_TAINT_SETS_MAX, 1) != 0)
        return MU_ENOMEM;
    filter->taint_judged = array;
    memset(filter->label_judged, 0, labels);
    memset(filter->taint_judged, 0, taints);
    return 0;
}

/* One block: mask, words of all levels. */
static struct mask *mask_alloc(const struct mask_key *key, uint64_t hash, uint32_t row_cap)
{
    size_t level_words[MU_LEVELS_MAX];
    size_t entries = row_cap, total_words = 0;
    for (uint32_t l = 0; l < MU_LEVELS_MAX; l++) {
        level_words[l] = entries == 0 ? 1 : MU_BITSET_WORDS(entries);
        total_words += level_words[l];
        entries = level_words[l];
    }
    size_t bytes = sizeof(struct mask) + total_words * 8;
    struct mask *mask = mu_mem_zalloc(bytes);
    if (mask == NULL)
        return NULL;
    mask->bytes = bytes;
    mask->key = *key;
    mask->hash = hash;
    mask->word_count = total_words;
    uint64_t *at = (uint64_t *)(void *)(mask + 1);
    for (uint32_t l = 0; l < MU_LEVELS_MAX; l++) {
        mask->words[l] = at;
        mask->public.bits[l] = at;
        at += level_words[l];
    }
    return mask;
}

/* Judge every row: bits and counts. */
static void mask_fill(struct mu_filter *filter, struct mask *mask, const struct rules *rules)
{
    const struct mu_snapshot *snapshot = filter->snapshot;
    const struct rules many = rules_for_many(filter, rules);
    const struct mu_labels_view empty =
        mu_model_labels(snapshot->model, (struct mu_label_set_ix){0}, (struct mu_symbol){0});
    bool by_sets = !looks_at_names(rules->affinity) &&
                   !looks_at_hostnames(rules->affinity, empty.hostname_key);
    memset(mask->words[0], 0, mask->word_count * sizeof *mask->words[0]);
    memset(mask->refused, 0, sizeof mask->refused);
    for (uint32_t row = 0; row < snapshot->node_rows; row++) {
        if ((snapshot->nodes[row].flags & MU_NODE_PRESENT) == 0)
            continue;
        enum mu_verdict_kind kind = by_sets ? judge_by_sets(filter, &many, row)
                                            : judge_row(snapshot, &many, row, &filter->looks);
        mask->refused[kind]++;
        if (kind != MU_FITS)
            continue;
        uint32_t bit = row;
        for (uint32_t l = 0; l < MU_LEVELS_MAX; l++, bit /= 64)
            mu_bitset_set(mask->words[l], bit);
    }
    filter->judged += snapshot->node_rows;
    mask->counted = true;
    mask->read = filter->logged;
    mask->public.version = ++filter->version_last;
}

/* Judge one row again. */
static void mask_row(struct mu_filter *filter, struct mask *mask, const struct rules *rules,
                     uint32_t row)
{
    const struct mu_snapshot *snapshot = filter->snapshot;
    bool present = row < snapshot->node_rows && (snapshot->nodes[row].flags & MU_NODE_PRESENT) != 0;
    bool fits = present && judge_row(snapshot, rules, row, &filter->looks) == MU_FITS;
    bool fitted = mu_bitset_test(mask->words[0], row);
    filter->judged++;
    mask->counted = mask->counted && fits && fitted;
    if (fits == fitted)
        return;
    mask->public.version = ++filter->version_last;
    uint32_t bit = row;
    for (uint32_t l = 0; l < MU_LEVELS_MAX; l++, bit /= 64) {
        if (fits) {
            mu_bitset_set(mask->words[l], bit);
            continue;
        }
        mu_bitset_clear(mask->words[l], bit);
        if (mask->words[l][bit / 64] != 0)
            break; /* its summary stays set */
    }
}

/* Bring a mask up to date, its counts included if `counts`. Errors: MU_ENOMEM; it is then as old as
 * it was. */
static int mask_renew(struct mu_filter *filter, struct mask *mask, const struct rules *rules,
                      bool counts)
{
    uint64_t behind = filter->logged - mask->read;
    bool fill = behind > LOG_ROWS || behind > filter->snapshot->node_rows / REFILL_SHARE;
    if (!fill && behind != 0) {
        const struct rules many = rules_for_many(filter, rules);
        for (; mask->read < filter->logged; mask->read++)
            mask_row(filter, mask, &many, filter->log[mask->read & (LOG_ROWS - 1)]);
    }
    if (!fill && (mask->counted || !counts))
        return 0;
    int error = scratch_reset(filter);
    if (error == 0)
        mask_fill(filter, mask, rules);
    return error;
}

/* The mask of a class, as up to date as can be told without its rules. NULL: out of memory. A new
 * one has read nothing, not even what there was at first. */
static struct mask *mask_get(struct mu_filter *filter, const struct rules *rules, bool *fresh)
{
    const struct mask_key key = {rules->affinity->id, rules->tolerance->id};
    uint64_t hash = key_hash(&key);
    uint32_t found = mu_index_find(filter->index, hash, &key);
    *fresh = found == MU_INDEX_NONE;
    if (!*fresh)
        return filter->masks[found];
    struct mask *mask = scratch_reset(filter) == 0 ? mask_alloc(&key, hash, filter->row_cap) : NULL;
    if (mask == NULL)
        return NULL;
    if (filter->mask_count == MASKS_MAX || filter->bytes + mask->bytes > MU_FILTER_BYTES_MAX)
        mu_filter_drop(filter);
    void *array = filter->masks;
    int error = mu_mem_grow(&array, &filter->mask_cap, filter->mask_count + 1, MASKS_MAX,
                            sizeof *filter->masks);
    filter->masks = array;
    if (error == 0) {
        filter->masks[filter->mask_count] = mask; /* the index asks for it while inserting */
        error = mu_index_insert(filter->index, hash, filter->mask_count);
    }
    if (error != 0) {
        mu_mem_free(mask);
        return NULL;
    }
    filter->mask_count++;
    filter->bytes += mask->bytes;
    return mask;
}

static int mask_obtain(struct mu_filter *filter, const struct mu_class *class_, bool counts,
                       struct mask **out)
{
    const struct rules rules = {.affinity = bare_of(filter->model, class_),
                                .tolerance =
                                    mu_model_get_tolerance(filter->model, class_->tolerance)};
    bool fresh;
    *out = mask_get(filter, &rules, &fresh);
    if (*out == NULL)
        return MU_ENOMEM;
    if (!fresh)
        return mask_renew(filter, *out, &rules, counts);
    mask_fill(filter, *out, &rules);
    return 0;
}

int mu_filter_mask(struct mu_filter *filter, const struct mu_class *class_,
                   const struct mu_filter_mask **out)
{
    struct mask *mask;
    int error = mask_obtain(filter, class_, false, &mask);
    if (error == 0)
        *out = &mask->public;
    return error;
}

/* ---- verdicts ----------------------------------------------------------------------------- */

/* The first resource short, and for what reason; _EVER when what frees up is no help for any
 * one. With all that are short. */
static struct mu_verdict resource_verdict(const struct mu_snapshot *snapshot,
                                          const struct mu_class *class_, uint32_t row)
{
    struct mu_verdict verdict = {.kind = MU_FITS};
    struct mu_device_resources names = {0, MU_NONE};
    for (uint32_t d = 0; d < class_->demand_count; d++) {
        const struct mu_demand *demand = &class_->demands[d];
        uint32_t r = demand->resource.v;
        bool known = mu_filter_known(snapshot, demand->resource);
        if (known && demand->amount != MU_AMOUNT_MAX && demand->amount <= snapshot->free[r][row])
            continue;
        if (r >= MU_RES_EXTENDED && names.share == MU_NONE)
            names = mu_device_resources(snapshot);
        enum mu_verdict_kind kind = mu_device_refusal(snapshot, &names, r, demand->amount, row);
        mu_verdict_lacks(&verdict, kind, demand->resource);
        if (verdict.kind == MU_FITS) {
            verdict.kind = kind;
            verdict.resource = demand->resource;
        } else if (mu_verdict_may_preempt(verdict.kind) && !mu_verdict_may_preempt(kind)) {
            verdict.kind = MU_NO_RESOURCE_EVER;
        }
    }
    return verdict;
}

struct mu_verdict mu_filter_verdict(const struct mu_snapshot *snapshot,
                                    const struct mu_class *class_, struct mu_node_ix node)
{
    MU_ASSERT(node.v < snapshot->node_rows);
    const struct mu_model *model = snapshot->model;
    MU_ASSERT((snapshot->nodes[node.v].flags & MU_NODE_PRESENT) != 0);
    const struct rules rules = {.affinity = mu_model_get_affinity(model, class_->affinity),
                                .tolerance = mu_model_get_tolerance(model, class_->tolerance)};
    uint64_t looks = 0; /* of one row: nobody asks */
    enum mu_verdict_kind kind = judge_row(snapshot, &rules, node.v, &looks);
    if (kind != MU_FITS)
        return mu_verdict_of(kind);
    struct mu_verdict verdict = resource_verdict(snapshot, class_, node.v);
    bool ever = verdict.kind != MU_FITS && !mu_verdict_may_preempt(verdict.kind);
    bool full = snapshot->free[MU_RES_PODS][node.v] < 1;
    if (class_->impossible)
        verdict.reasons |= UINT32_C(1) << MU_NO_RESOURCE_NAMED;
    if (full)
        verdict.reasons |= UINT32_C(1) << MU_NO_PODS;
    /* Impossible for no reason so far: it asks for a resource without a number. */
    if (!ever && (class_->impossible || full)) {
        verdict.kind = class_->impossible ? MU_NO_RESOURCE_NAMED : MU_NO_PODS;
        verdict.resource.v = 0;
    }
    return verdict;
}

/* Row by row: for a class whose static verdicts are not all in a mask. */
static void count_rows(const struct mu_snapshot *snapshot, const struct mu_class *class_,
                       struct mu_refusals *out)
{
    for (uint32_t row = 0; row < snapshot->node_rows; row++) {
        if ((snapshot->nodes[row].flags & MU_NODE_PRESENT) == 0)
            continue;
        mu_refusals_add(out, mu_filter_verdict(snapshot, class_, (struct mu_node_ix){row}), 1);
    }
}

/* What counting blocks of rows by their first resource short needs to know. */
struct block_counter {
    const struct mu_scan_ops *ops;
    const struct mu_snapshot *snapshot;
    const struct mu_class *class_;
    struct mu_device_resources devices;
    struct mu_refusals *out;
};

/* Rows of a block by what is said of them together. */
struct block_rows {
    uint64_t full; /* no pod slot is free */
    uint64_t ever; /* a request is beyond all that the node has */
};

/* Rows of the block that are short of a device resource: each has its reason. `first`: those of
 * them that are short of nothing before it. Returns those of `first` whose verdict is as that of
 * any resource. */
static uint64_t count_devices(const struct block_counter *c, uint32_t begin, uint64_t rows,
                              uint64_t first, const struct block_rows *of,
                              const struct mu_demand *demand)
{
    uint64_t plain = 0;
    for (; rows != 0; rows &= rows - 1) {
        uint32_t i = (uint32_t)__builtin_ctzll(rows);
        enum mu_verdict_kind kind = mu_device_refusal(c->snapshot, &c->devices, demand->resource.v,
                                                      demand->amount, begin + i);
        bool ever = (of->ever >> i & 1) != 0,
             is_plain = kind == MU_NO_RESOURCE || kind == MU_NO_RESOURCE_EVER;
        if (is_plain)
            c->out->by_resource[demand->resource.v]++;
        else
            c->out->by_reason[kind]++;
        if ((first >> i & 1) == 0)
            continue;
        if (mu_verdict_may_preempt(kind) && !ever && (of->full >> i & 1) != 0)
            c->out->by_verdict[MU_NO_PODS]++;
        else if ((mu_verdict_may_preempt(kind) && ever) || is_plain)
            plain |= UINT64_C(1) << i;
        else
            c->out->by_verdict[kind]++;
    }
    return plain;
}

/* The rows of a block, out of `rows`, that can allocate less than `amount` when they are empty. */
static uint64_t never_enough(const struct mu_snapshot *snapshot, uint32_t begin, uint64_t rows,
                             const struct mu_demand *demand)
{
    uint64_t never = 0;
    struct mu_capacity_ix last = {MU_NONE}; /* neighbours mostly have one capacity */
    bool less = false;
    for (uint64_t left = rows; left != 0; left &= left - 1) {
        uint32_t i = (uint32_t)__builtin_ctzll(left);
        struct mu_capacity_ix capacity = snapshot->nodes[begin + i].capacity;
        if (capacity.v != last.v)
            less = mu_capacity_amount(mu_model_get_capacity(snapshot->model, capacity),
                                      demand->resource.v) < demand->amount;
        last = capacity;
        never |= (uint64_t)less << i;
    }
    return never;
}

/* Count the rows of a block that are short of anything, and return them; of several resources, the
 * verdict is that of the first. */
static uint64_t count_refused(const struct block_counter *c, uint32_t begin, uint64_t left)
{
    const struct mu_snapshot *snapshot = c->snapshot;
    struct mu_refusals *out = c->out;
    struct block_rows of = {.full = left & c->ops->less(snapshot->free[MU_RES_PODS] + begin, 1)};
    uint64_t short_of = 0, plain = 0;
    for (uint32_t d = 0; d < c->class_->demand_count; d++) {
        const struct mu_demand *demand = &c->class_->demands[d];
        uint32_t r = demand->resource.v;
        uint64_t refused = left & c->ops->less(snapshot->free[r] + begin, demand->amount);
        short_of |= refused;
        of.ever |= never_enough(snapshot, begin, refused, demand);
    }
    out->by_reason[MU_NO_PODS] += (uint32_t)__builtin_popcountll(of.full);
    out->by_verdict[MU_NO_PODS] += (uint32_t)__builtin_popcountll(of.full & ~short_of);
    uint64_t rest = short_of;
    for (uint32_t d = 0; d < c->class_->demand_count && short_of != 0; d++) {
        const struct mu_demand *demand = &c->class_->demands[d];
        uint32_t r = demand->resource.v;
        uint64_t refused = short_of & c->ops->less(snapshot->free[r] + begin, demand->amount);
        uint64_t first = rest & refused;
        rest &= ~refused;
        if (r == c->devices.share || (c->devices.whole >> r & 1) != 0)
            first = count_devices(c, begin, refused, first, &of, demand);
        else
            out->by_resource[r] += (uint32_t)__builtin_popcountll(refused);
        uint64_t full = first & of.full & ~of.ever;
        out->by_verdict[MU_NO_PODS] += (uint32_t)__builtin_popcountll(full);
        plain |= first & ~full;
    }
    out->by_verdict[MU_NO_RESOURCE] += (uint32_t)__builtin_popcountll(plain & ~of.ever);
    out->by_verdict[MU_NO_RESOURCE_EVER] += (uint32_t)__builtin_popcountll(plain & of.ever);
    return short_of | of.full;
}

int mu_filter_count(struct mu_filter *filter, const struct mu_class *class_,
                    struct mu_refusals *out)
{
    const struct mu_snapshot *snapshot = filter->snapshot;
    struct mask *mask = NULL;
    const struct mu_affinity *affinity = mu_model_get_affinity(snapshot->model, class_->affinity);
    bool masked = affinity->bare.v == class_->affinity.v && !class_->impossible;
    for (uint32_t d = 0; d < class_->demand_count; d++)
        masked = masked && mu_filter_known(snapshot, class_->demands[d].resource);
    if (masked) {
        int error = mask_obtain(filter, class_, true, &mask);
        if (error != 0)
            return error;
    }
    *out = (struct mu_refusals){.by_verdict = {0}};
    if (!masked) {
        count_rows(snapshot, class_, out);
        return 0;
    }
    struct block_counter counter = {filter->ops, snapshot, class_, mu_device_resources(snapshot),
                                    out};
    for (uint32_t begin = 0; begin < snapshot->node_rows; begin += MU_NODE_CHUNK) {
        uint64_t left = mask->words[0][begin / MU_NODE_CHUNK];
        uint64_t refused = left == 0 ? 0 : count_refused(&counter, begin, left);
        out->by_verdict[MU_FITS] += (uint32_t)__builtin_popcountll(left & ~refused);
    }
    for (int kind = MU_NO_UNSCHEDULABLE; kind <= MU_NO_NODE_AFFINITY; kind++)
        out->by_verdict[kind] = out->by_reason[kind] = mask->refused[kind];
    return 0;
}
