#include "engine/rowset.h"

#include <string.h>

#include "engine/base/assert.h"
#include "engine/base/error.h"
#include "engine/base/mem.h"

/*
 * Invariants: summary bit w is set exactly when words[w] != 0; count is the number of set bits;
 * no set bit lies below `first`, a hint that only spares scanning.
 */
enum { ROWS_PER_SUMMARY_WORD = 64 * 64 };

void mu_rowset_fini(struct mu_rowset *set)
{
    mu_mem_free(set->words);
    mu_mem_free(set->summary);
    *set = (struct mu_rowset){0};
}

int mu_rowset_reserve(struct mu_rowset *set, uint32_t rows)
{
    if (rows <= set->cap)
        return 0;
    uint32_t cap = set->cap < ROWS_PER_SUMMARY_WORD ? ROWS_PER_SUMMARY_WORD : set->cap;
    while (cap < rows)
        cap *= 2;
    uint64_t *words = mu_mem_calloc(cap / 64, sizeof *words);
    uint64_t *summary = mu_mem_calloc(cap / ROWS_PER_SUMMARY_WORD, sizeof *summary);
    if (words == NULL || summary == NULL) {
        mu_mem_free(words);
        mu_mem_free(summary);
        return MU_ENOMEM;
    }
    if (set->cap != 0) {
        memcpy(words, set->words, set->cap / 64 * sizeof *words);
        memcpy(summary, set->summary, set->cap / ROWS_PER_SUMMARY_WORD * sizeof *summary);
    }
    mu_mem_free(set->words);
    mu_mem_free(set->summary);
    set->words = words;
    set->summary = summary;
    set->cap = cap;
    return 0;
}

bool mu_rowset_add(struct mu_rowset *set, uint32_t row)
{
    MU_ASSERT(row < set->cap);
    uint64_t bit = UINT64_C(1) << (row & 63);
    uint64_t *word = &set->words[row >> 6];
    if ((*word & bit) != 0)
        return false;
    *word |= bit;
    set->summary[row >> 12] |= UINT64_C(1) << (row >> 6 & 63);
    set->count++;
    if (row < set->first || set->count == 1)
        set->first = row;
    return true;
}

bool mu_rowset_drop(struct mu_rowset *set, uint32_t row)
{
    MU_ASSERT(row < set->cap);
    uint64_t bit = UINT64_C(1) << (row & 63);
    uint64_t *word = &set->words[row >> 6];
    if ((*word & bit) == 0)
        return false;
    *word &= ~bit;
    if (*word == 0)
        set->summary[row >> 12] &= ~(UINT64_C(1) << (row >> 6 & 63));
    MU_ASSERT(set->count > 0);
    set->count--;
    return true;
}

bool mu_rowset_has(const struct mu_rowset *set, uint32_t row)
{
    return row < set->cap && (set->words[row >> 6] >> (row & 63) & 1) != 0;
}

void mu_rowset_fill(struct mu_rowset *set, uint32_t rows)
{
    MU_ASSERT(rows <= set->cap);
    for (uint32_t w = 0; w < (rows + 63) / 64; w++) {
        uint32_t left = rows - w * 64;
        uint64_t mask = left >= 64 ? UINT64_MAX : (UINT64_C(1) << left) - 1;
        set->count += (uint32_t)__builtin_popcountll(mask & ~set->words[w]);
        set->words[w] |= mask;
        set->summary[w >> 6] |= UINT64_C(1) << (w & 63);
    }
    if (rows != 0)
        set->first = 0;
}

uint32_t mu_rowset_next(const struct mu_rowset *set, uint32_t from)
{
    if (from < set->first)
        from = set->first;
    if (set->count == 0 || from >= set->cap)
        return UINT32_MAX;
    uint32_t w = from >> 6;
    uint64_t word = set->words[w] & UINT64_MAX << (from & 63);
    if (word != 0)
        return w * 64 + (uint32_t)__builtin_ctzll(word);
    uint32_t words = set->cap / 64;
    for (w++; w < words; w = (w | 63) + 1) {
        uint64_t groups = set->summary[w >> 6] & UINT64_MAX << (w & 63);
        if (groups != 0) {
            w = (w & ~63u) + (uint32_t)__builtin_ctzll(groups);
            MU_ASSERT(set->words[w] != 0);
            return w * 64 + (uint32_t)__builtin_ctzll(set->words[w]);
        }
    }
    return UINT32_MAX;
}

uint32_t mu_rowset_take(struct mu_rowset *set, uint32_t *rows, uint32_t max)
{
    uint32_t taken = 0;
    if (max > set->count)
        max = set->count;
    /* No bit lies below `first`: whole summary words may be taken from the group it is in. */
    for (uint32_t group = set->first >> 12; taken < max; group++) {
        MU_ASSERT(group < set->cap / ROWS_PER_SUMMARY_WORD); /* count says that there are more */
        uint64_t left = set->summary[group];
        while (left != 0 && taken < max) {
            uint32_t w = group * 64 + (uint32_t)__builtin_ctzll(left);
            uint64_t word = set->words[w];
            for (; word != 0 && taken < max; word &= word - 1)
                rows[taken++] = w * 64 + (uint32_t)__builtin_ctzll(word);
            set->words[w] = word;
            if (word == 0)
                left &= left - 1;
        }
        set->summary[group] = left;
    }
    if (taken != 0) {
        set->count -= taken;
        set->first = rows[taken - 1] + 1;
    }
    return taken;
}

void mu_rowset_clear(struct mu_rowset *set)
{
    if (set->cap != 0) {
        memset(set->words, 0, set->cap / 64 * sizeof *set->words);
        memset(set->summary, 0, set->cap / ROWS_PER_SUMMARY_WORD * sizeof *set->summary);
    }
    set->count = 0;
    set->first = 0;
}
