#include "engine/base/index.h"

#include "engine/base/assert.h"
#include "engine/base/error.h"
#include "engine/base/mem.h"

/*
 * Extendible hashing over open-addressed segments.
 *
 * The upper 32 bits of a hash are its tag, and the tag alone places an entry: its top `depth` bits
 * choose a directory entry, its low bits the home slot in that segment, probing runs linearly from
 * there. Hence growing reads slots only, never the records (a cache miss each, which would make a
 * split of 3,000 entries a matter of hundreds of microseconds), and a removal can close the gap it
 * leaves (no tombstones): both need an entry's home, and the tag tells it. The price: with 2^24
 * entries only some 8 bits of the tag still distinguish the entries met on the way, so that about
 * one lookup in a hundred calls `equal` in vain. The hash callback is used by MU_VERIFY alone: a
 * record whose key changed under the index is found out when its entry moves.
 *
 * A segment doubles until it has MU_INDEX_SEGMENT_SLOTS_MAX slots; from then on it splits in two by
 * the next tag bit, and the directory doubles when a segment is alone in its directory entry. One
 * insertion therefore moves at most one segment (3,072 entries) and copies at most one directory
 * (2^15 words at 2^24 entries). Segments beyond DEPTH_MAX double instead of splitting: a table of
 * 10^9 entries, or a hash whose top bits do not differ; slower, still correct.
 *
 * Invariants
 *   - all 2^(depth - s->depth) directory entries with the same top s->depth bits name segment s;
 *   - between an entry's home and its slot no slot is free (probing ends at the first free one);
 *   - a segment is at most 3/4 full, so that probing ends.
 *
 * A directory word is the address of a segment's slots (aligned to 64 bytes) with log2 of their
 * number in the low bits: a lookup touches one word of the directory and the slot's cache line, but
 * not the segment's header.
 */

enum {
    SLOTS_MIN_LOG2 = 3,
    SLOTS_SPLIT_LOG2 = 12,
    DEPTH_MAX = 18,
    WORD_LOG2_MASK = 63, /* low bits of a directory word */
    SEGMENT_ALIGN = 64
};
_Static_assert(1u << SLOTS_SPLIT_LOG2 == MU_INDEX_SEGMENT_SLOTS_MAX, "one bound, two names");
_Static_assert(SLOTS_SPLIT_LOG2 + DEPTH_MAX <= 32, "a tag has bits for both");

/* slot = tag << 32 | (value + 1); 0 is free. */
struct segment {
    _Alignas(SEGMENT_ALIGN) uint32_t count;
    uint32_t depth; /* tag bits that all of its entries share */
    uint32_t slots_log2;
    _Alignas(SEGMENT_ALIGN) uint64_t slots[]; /* 2^slots_log2 */
};
_Static_assert(sizeof(struct segment) == SEGMENT_ALIGN, "the slots follow the header's line");

struct mu_index {
    uintptr_t *directory; /* 2^depth words */
    uint32_t depth;
    uint32_t count;
    size_t bytes;
    mu_index_equal_fn equal;
    mu_index_hash_fn hash_of;
    const void *context;
};

static uint32_t tag_of(uint64_t hash)
{
    return (uint32_t)(hash >> 32);
}

static uint32_t slot_tag(uint64_t slot)
{
    return (uint32_t)(slot >> 32);
}

static uint32_t slot_value(uint64_t slot)
{
    return (uint32_t)slot - 1;
}

/* The top `depth` bits of a tag. */
static uint32_t prefix(uint32_t tag, uint32_t depth)
{
    return depth == 0 ? 0 : tag >> (32 - depth);
}

static uintptr_t word_of(struct segment *s)
{
    return (uintptr_t)s->slots | s->slots_log2;
}

static uint64_t *word_slots(uintptr_t word)
{
    return (uint64_t *)(word & ~(uintptr_t)WORD_LOG2_MASK);
}

static uint32_t word_mask(uintptr_t word)
{
    return (1u << (word & WORD_LOG2_MASK)) - 1;
}

static struct segment *word_segment(uintptr_t word)
{
    return (struct segment *)((uintptr_t)word_slots(word) - sizeof(struct segment));
}

static size_t segment_bytes(uint32_t slots_log2)
{
    return sizeof(struct segment) + (sizeof(uint64_t) << slots_log2);
}

static struct segment *segment_create(uint32_t depth, uint32_t slots_log2)
{
    struct segment *s = mu_mem_zalloc_aligned(SEGMENT_ALIGN, segment_bytes(slots_log2));
    if (s != NULL) {
        s->depth = depth;
        s->slots_log2 = slots_log2;
    }
    return s;
}

static bool segment_full(const struct segment *s)
{
    return s->count + 1 > (3u << s->slots_log2) / 4;
}

static void segment_put(struct segment *s, uint64_t slot)
{
    uint32_t mask = (1u << s->slots_log2) - 1;
    uint32_t i = slot_tag(slot) & mask;
    while (s->slots[i] != 0)
        i = (i + 1) & mask;
    s->slots[i] = slot;
    s->count++;
}

/* Let the directory name `s` wherever the prefix of s->depth bits is `top`. */
static void directory_set(struct mu_index *index, struct segment *s, uint32_t top)
{
    uint32_t span_log2 = index->depth - s->depth;
    size_t begin = (size_t)top << span_log2;
    for (size_t i = 0; i < (size_t)1 << span_log2; i++)
        index->directory[begin + i] = word_of(s);
}

/* ---- create, destroy ---- */

static bool fill_directory(struct mu_index *index, uint32_t slots_log2)
{
    for (uint32_t i = 0; i < 1u << index->depth; i++) {
        struct segment *s = segment_create(index->depth, slots_log2);
        if (s == NULL)
            return false;
        index->directory[i] = word_of(s);
        index->bytes += segment_bytes(slots_log2);
    }
    return true;
}

struct mu_index *mu_index_create(uint32_t count_hint, mu_index_equal_fn equal,
                                 mu_index_hash_fn hash_of, const void *context)
{
    MU_ASSERT(equal != NULL && hash_of != NULL);
    /* Two thirds full at the hint: the spread of a uniform hash over segments (some 2 %) stays
     * below the three quarters at which one grows. */
    uint64_t slots = (uint64_t)count_hint + count_hint / 2 + 1;
    uint32_t slots_log2 = SLOTS_MIN_LOG2;
    uint32_t depth = 0;
    while ((UINT64_C(1) << slots_log2) < slots && slots_log2 < SLOTS_SPLIT_LOG2)
        slots_log2++;
    while ((UINT64_C(1) << (slots_log2 + depth)) < slots && depth < DEPTH_MAX)
        depth++;

    struct mu_index *index = mu_mem_zalloc(sizeof *index);
    if (index == NULL)
        return NULL;
    index->depth = depth;
    index->equal = equal;
    index->hash_of = hash_of;
    index->context = context;
    index->directory = mu_mem_calloc((size_t)1 << depth, sizeof *index->directory);
    index->bytes = sizeof *index + (sizeof *index->directory << depth);
    if (index->directory == NULL || !fill_directory(index, slots_log2)) {
        mu_index_destroy(index);
        return NULL;
    }
    return index;
}

void mu_index_destroy(struct mu_index *index)
{
    if (index == NULL)
        return;
    uint64_t words = index->directory == NULL ? 0 : UINT64_C(1) << index->depth;
    for (uint64_t i = 0; i < words && index->directory[i] != 0;) {
        struct segment *s = word_segment(index->directory[i]);
        i += UINT64_C(1) << (index->depth - s->depth);
        mu_mem_free(s);
    }
    mu_mem_free(index->directory);
    mu_mem_free(index);
}

/* ---- growing ---- */

/* Replace s by one segment of twice the slots. */
static int segment_double(struct mu_index *index, struct segment *s, uint32_t tag)
{
    struct segment *bigger = segment_create(s->depth, s->slots_log2 + 1);
    if (bigger == NULL)
        return MU_ENOMEM;
    for (uint32_t i = 0; i < 1u << s->slots_log2; i++) {
        if (s->slots[i] != 0)
            segment_put(bigger, s->slots[i]);
    }
    MU_ASSERT(bigger->count == s->count);
    directory_set(index, bigger, prefix(tag, bigger->depth));
    index->bytes += segment_bytes(bigger->slots_log2) - segment_bytes(s->slots_log2);
    mu_mem_free(s);
    return 0;
}

static int directory_double(struct mu_index *index)
{
    size_t words = (size_t)1 << index->depth;
    uintptr_t *bigger = mu_mem_calloc(2 * words, sizeof *bigger);
    if (bigger == NULL)
        return MU_ENOMEM;
    for (size_t i = 0; i < words; i++)
        bigger[2 * i] = bigger[2 * i + 1] = index->directory[i];
    mu_mem_free(index->directory);
    index->directory = bigger;
    index->depth++;
    index->bytes += words * sizeof *bigger;
    return 0;
}

/* Replace s by two segments that differ in the next tag bit. A directory doubled in vain (no memory
 * for the segments) stays doubled: it says the same. */
static int segment_split(struct mu_index *index, struct segment *s, uint32_t tag)
{
    if (s->depth == index->depth) {
        int error = directory_double(index);
        if (error != 0)
            return error;
    }
    struct segment *half[2] = {segment_create(s->depth + 1, s->slots_log2),
                               segment_create(s->depth + 1, s->slots_log2)};
    if (half[0] == NULL || half[1] == NULL) {
        mu_mem_free(half[0]);
        mu_mem_free(half[1]);
        return MU_ENOMEM;
    }
    for (uint32_t i = 0; i < 1u << s->slots_log2; i++) {
        uint64_t slot = s->slots[i];
        if (slot == 0)
            continue;
        MU_VERIFY(tag_of(index->hash_of(index->context, slot_value(slot))) == slot_tag(slot));
        segment_put(half[(slot_tag(slot) >> (31 - s->depth)) & 1], slot);
    }
    MU_ASSERT(half[0]->count + half[1]->count == s->count);
    uint32_t top = prefix(tag, s->depth) << 1;
    directory_set(index, half[0], top);
    directory_set(index, half[1], top + 1);
    index->bytes += segment_bytes(s->slots_log2);
    mu_mem_free(s);
    return 0;
}

/* ---- find, insert, remove ---- */

static uintptr_t word_for(const struct mu_index *index, uint32_t tag)
{
    return index->directory[prefix(tag, index->depth)];
}

uint32_t mu_index_find(const struct mu_index *index, uint64_t hash, const void *key)
{
    uint32_t tag = tag_of(hash);
    uintptr_t word = word_for(index, tag);
    const uint64_t *slots = word_slots(word);
    uint32_t mask = word_mask(word);
    for (uint32_t i = tag & mask; slots[i] != 0; i = (i + 1) & mask) {
        if (slot_tag(slots[i]) == tag && index->equal(index->context, slot_value(slots[i]), key))
            return slot_value(slots[i]);
    }
    return MU_INDEX_NONE;
}

int mu_index_insert(struct mu_index *index, uint64_t hash, uint32_t value)
{
    MU_ASSERT(value != MU_INDEX_NONE);
    uint32_t tag = tag_of(hash);
    struct segment *s = word_segment(word_for(index, tag));
    /* Once is nearly always enough; every entry may fall into one half of a split, though. */
    while (segment_full(s)) {
        bool splits = s->slots_log2 >= SLOTS_SPLIT_LOG2 && s->depth < DEPTH_MAX;
        int error = splits ? segment_split(index, s, tag) : segment_double(index, s, tag);
        if (error != 0)
            return error;
        s = word_segment(word_for(index, tag));
    }
    segment_put(s, (uint64_t)tag << 32 | (value + 1));
    index->count++;
    return 0;
}

void mu_index_remove(struct mu_index *index, uint64_t hash, uint32_t value)
{
    uint64_t wanted = (uint64_t)tag_of(hash) << 32 | (value + 1);
    struct segment *s = word_segment(word_for(index, tag_of(hash)));
    uint32_t mask = (1u << s->slots_log2) - 1;
    uint32_t gap = tag_of(hash) & mask;
    while (s->slots[gap] != wanted) {
        MU_ASSERT(s->slots[gap] != 0); /* the value was there */
        gap = (gap + 1) & mask;
    }
    /* Close the gap: an entry further on moves into it unless its home lies behind the gap. */
    for (uint32_t i = (gap + 1) & mask; s->slots[i] != 0; i = (i + 1) & mask) {
        uint32_t home = slot_tag(s->slots[i]) & mask;
        if (((i - home) & mask) >= ((i - gap) & mask)) {
            s->slots[gap] = s->slots[i];
            gap = i;
        }
    }
    s->slots[gap] = 0;
    MU_ASSERT(s->count > 0 && index->count > 0);
    s->count--;
    index->count--;
}

void mu_index_prefetch(const struct mu_index *index, uint64_t hash)
{
    uintptr_t word = word_for(index, tag_of(hash));
    __builtin_prefetch(&word_slots(word)[tag_of(hash) & word_mask(word)]);
}

uint32_t mu_index_count(const struct mu_index *index)
{
    return index->count;
}

size_t mu_index_bytes(const struct mu_index *index)
{
    return index->bytes;
}
