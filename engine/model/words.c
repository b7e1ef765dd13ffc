#include <string.h>

#include "engine/base/assert.h"
#include "engine/base/error.h"
#include "engine/model/model_priv.h"

/*
 * Selectors as words.
 *
 *     conjunction   nothing, item count, items
 *     item          key, operator, value count, number (low, high), values
 *
 * What makes two selectors one: items are sorted and distinct, and so are the values of each; a
 * comparison keeps its number, not how it was written; a selector with a requirement that nothing
 * meets is `nothing`, without items. Lists are compared word by word: symbol ids are stable while
 * an entry holds them, so equal content has equal words.
 *
 * A requirement of the wrong shape (no value for In, two for Gt, a number that is none) cannot be
 * met. The source has said so with MU_OP_NEVER already; it is checked here once more, because what
 * follows relies on it.
 */

static const struct mu_str name_field = {"metadata.name", 13};

/* ---- sorting ---- */

static int span_compare(const uint32_t *words, const struct mu_span *a, const struct mu_span *b)
{
    uint32_t common = a->count < b->count ? a->count : b->count;
    for (uint32_t i = 0; i < common; i++) {
        uint32_t x = words[a->begin + i];
        uint32_t y = words[b->begin + i];
        if (x != y)
            return x < y ? -1 : 1;
    }
    return (a->count > b->count) - (a->count < b->count);
}

/* Merge runs of `width` spans of `from` into runs twice as wide in `to`. */
static void merge_pass(const uint32_t *words, const struct mu_span *from, struct mu_span *to,
                       uint32_t count, uint32_t width)
{
    for (uint32_t begin = 0; begin < count; begin += 2 * width) {
        uint32_t middle = begin + width < count ? begin + width : count;
        uint32_t end = middle + width < count ? middle + width : count;
        uint32_t a = begin;
        uint32_t b = middle;
        for (uint32_t k = begin; k < end; k++) {
            bool take_b = a == middle || (b < end && span_compare(words, &from[b], &from[a]) < 0);
            to[k] = take_b ? from[b++] : from[a++];
        }
    }
}

uint32_t mu_words_sort(struct mu_scratch *scratch, const struct mu_words *from,
                       struct mu_span *spans, uint32_t count, bool distinct, struct mu_words *to)
{
    MU_ASSERT(count <= MU_SELECTOR_TERMS_MAX && from != to);
    struct mu_span *a = spans;
    struct mu_span *b = scratch->spare_spans;
    for (uint32_t width = 1; width < count; width *= 2) {
        merge_pass(from->at, a, b, count, width);
        struct mu_span *swap = a;
        a = b;
        b = swap;
    }
    uint32_t written = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (distinct && i > 0 && span_compare(from->at, &a[i - 1], &a[i]) == 0)
            continue;
        for (uint32_t w = 0; w < a[i].count; w++)
            mu_words_put(to, from->at[a[i].begin + w]);
        written++;
    }
    return written;
}

/* ---- writing ---- */

static bool is_shaped(const struct mu_requirement *r, enum mu_selector_use use, int64_t *number)
{
    *number = 0;
    if (use == MU_SELECT_NAMES)
        return mu_str_equal(r->key, name_field) && r->value_count == 1 &&
               (r->op == MU_OP_IN || r->op == MU_OP_NOT_IN);
    switch (r->op) {
    case MU_OP_IN:
    case MU_OP_NOT_IN:
        return r->value_count > 0;
    case MU_OP_EXISTS:
    case MU_OP_DOES_NOT_EXIST:
        return r->value_count == 0;
    case MU_OP_GT:
    case MU_OP_LT:
        return r->value_count == 1 && mu_select_number(r->values[0], number);
    case MU_OP_NEVER:
        break;
    }
    return false;
}

/* Append the distinct values of a requirement, sorted. */
static int put_values(struct mu_model *model, const struct mu_requirement *r, struct mu_words *to,
                      uint32_t *count)
{
    struct mu_scratch *scratch = model->scratch;
    for (uint32_t i = 0; i < r->value_count; i++) {
        struct mu_symbol value;
        int status = mu_scratch_borrow(model, r->values[i], &value);
        if (status != 0)
            return status;
        scratch->items[i] = (struct mu_sort_item){.major = value.v};
    }
    mu_scratch_sort(scratch, r->value_count);
    *count = 0;
    for (uint32_t i = 0; i < r->value_count; i++) {
        if (i > 0 && scratch->items[i].major == scratch->items[i - 1].major)
            continue;
        mu_words_put(to, (uint32_t)scratch->items[i].major);
        ++*count;
    }
    return 0;
}

static int put_item(struct mu_model *model, const struct mu_requirement *r,
                    enum mu_selector_use use, int64_t number, struct mu_words *to)
{
    struct mu_symbol key = {0}; /* names have none */
    int status = use == MU_SELECT_LABELS ? mu_scratch_borrow(model, r->key, &key) : 0;
    if (status != 0)
        return status;
    mu_words_put(to, key.v);
    mu_words_put(to, (uint32_t)r->op);
    uint32_t count_at = to->count;
    mu_words_put(to, 0);
    mu_words_put(to, (uint32_t)(uint64_t)number);
    mu_words_put(to, (uint32_t)((uint64_t)number >> 32));
    if (r->op == MU_OP_IN || r->op == MU_OP_NOT_IN)
        status = put_values(model, r, to, &to->at[count_at]);
    return status;
}

int mu_words_selector(struct mu_model *model, const struct mu_selector *selector,
                      enum mu_selector_use use, struct mu_words *to,
                      struct mu_conjunction_shape *shape)
{
    struct mu_scratch *scratch = model->scratch;
    struct mu_words *raw = &scratch->raw;
    raw->count = 0;
    *shape = (struct mu_conjunction_shape){.nothing = selector->nothing};
    MU_ASSERT(selector->requirement_count <= MU_REQUIREMENTS_MAX);
    uint32_t count = 0;
    for (uint32_t i = 0; i < selector->requirement_count && !shape->nothing; i++) {
        const struct mu_requirement *r = &selector->requirements[i];
        int64_t number;
        if (!is_shaped(r, use, &number)) {
            shape->nothing = true;
            break;
        }
        uint32_t begin = raw->count;
        int status = put_item(model, r, use, number, raw);
        if (status != 0)
            return status;
        scratch->item_spans[count++] = (struct mu_span){begin, raw->count - begin};
    }
    mu_words_put(to, shape->nothing ? 1 : 0);
    uint32_t count_at = to->count;
    mu_words_put(to, 0);
    if (!shape->nothing)
        shape->count = mu_words_sort(scratch, raw, scratch->item_spans, count, true, to);
    to->at[count_at] = shape->count;
    return 0;
}

int mu_words_node_term(struct mu_model *model, const struct mu_node_term *term, struct mu_words *to,
                       bool *never, uint32_t *items)
{
    struct mu_conjunction_shape labels, names;
    uint32_t begin = to->count;
    int status = mu_words_selector(model, &term->labels, MU_SELECT_LABELS, to, &labels);
    if (status == 0)
        status = mu_words_selector(model, &term->fields, MU_SELECT_NAMES, to, &names);
    if (status != 0)
        return status;
    *never = labels.nothing || names.nothing || labels.count + names.count == 0;
    if (*never)
        to->count = begin;
    else
        *items += labels.count + names.count;
    return 0;
}

/* ---- reading ---- */

_Static_assert(sizeof(struct mu_symbol) == sizeof(uint32_t), "symbols lie among the words");

void mu_decode_conjunction(struct mu_decoder *d, struct mu_conjunction *out)
{
    out->nothing = *d->at++ != 0;
    out->count = *d->at++;
    out->items = d->items;
    for (uint32_t i = 0; i < out->count; i++) {
        struct mu_requirement_item *item = d->items++;
        item->key.v = *d->at++;
        item->op = (enum mu_op) * d->at++;
        item->value_count = *d->at++;
        uint64_t low = *d->at++;
        uint64_t high = *d->at++;
        item->number = (int64_t)(high << 32 | low);
        item->values = (const struct mu_symbol *)(const void *)d->at;
        d->at += item->value_count;
    }
}

uint32_t mu_conjunction_symbols(const struct mu_conjunction *c,
                                const struct mu_symbol_change *change)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < c->count; i++) {
        const struct mu_requirement_item *item = &c->items[i];
        mu_symbol_apply(change, item->key);
        for (uint32_t v = 0; v < item->value_count; v++)
            mu_symbol_apply(change, item->values[v]);
        count += 1 + item->value_count;
    }
    return count;
}
