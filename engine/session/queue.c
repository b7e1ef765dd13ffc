/*
 * A natural merge sort: runs that are in order already are found and merged pairwise. Rows mostly
 * come in the order of first sight, so that gangs of one priority are a single run, and sorting
 * them is one pass: that is tried first, on the rows alone. Stable and deterministic, in the arena.
 */
#include "engine/session/queue.h"

#include <string.h>

#include "engine/base/assert.h"

struct key {
    uint64_t rank; /* SHORT first, then priority descending: smaller goes first */
    uint64_t created_s;
    uint64_t sequence;
    uint32_t row;
};

static struct key key_of(const struct mu_gang_row *gang, uint32_t row)
{
    uint64_t started = (gang->flags & MU_GANG_SHORT) != 0 ? 0 : 1;
    uint64_t priority = (uint64_t)((int64_t)INT32_MAX - gang->priority); /* 0 .. 2^32 - 1 */
    return (struct key){started << 32 | priority, gang->created_s, gang->sequence, row};
}

static bool before(const struct key *a, const struct key *b)
{
    if (a->rank != b->rank)
        return a->rank < b->rank;
    if (a->created_s != b->created_s)
        return a->created_s < b->created_s;
    return a->sequence < b->sequence;
}

/* End of the run that begins at `begin`. */
static uint32_t run_end(const struct key *keys, uint32_t count, uint32_t begin)
{
    uint32_t end = begin + 1;
    while (end < count && !before(&keys[end], &keys[end - 1]))
        end++;
    return end;
}

static void merge(const struct key *from, struct key *to, uint32_t begin, uint32_t middle,
                  uint32_t end)
{
    uint32_t left = begin, right = middle;
    for (uint32_t at = begin; at < end; at++) {
        bool take_right = left == middle || (right < end && before(&from[right], &from[left]));
        to[at] = take_right ? from[right++] : from[left++];
    }
}

/* Sort using `spare`; returns whichever of the two holds the result. */
static struct key *sort(struct key *keys, struct key *spare, uint32_t count)
{
    for (;;) {
        uint32_t runs = 0;
        for (uint32_t begin = 0; begin < count; runs++) {
            uint32_t middle = run_end(keys, count, begin);
            if (middle == count && runs == 0)
                return keys;
            uint32_t end = middle < count ? run_end(keys, count, middle) : count;
            merge(keys, spare, begin, middle, end);
            begin = end;
        }
        struct key *sorted = spare;
        spare = keys;
        keys = sorted;
    }
}

/* The pending rows as they come. Returns whether that is their order already. */
static bool list(const struct mu_snapshot *snapshot, uint32_t *rows)
{
    struct key last = {0};
    uint32_t count = 0;
    bool ordered = true;
    for (uint32_t row = 0; row < snapshot->gang_rows; row++) {
        const struct mu_gang_row *gang = &snapshot->gangs[row];
        if ((gang->flags & MU_GANG_PENDING) == 0)
            continue;
        MU_ASSERT(count < snapshot->pending_gangs);
        rows[count++] = row;
        if (!ordered)
            continue;
        const struct key key = key_of(gang, row);
        ordered = !before(&key, &last);
        last = key;
    }
    MU_ASSERT(count == snapshot->pending_gangs);
    return ordered;
}

int mu_queue_build(const struct mu_snapshot *snapshot, struct mu_arena *arena, struct mu_queue *out)
{
    uint32_t pending = snapshot->pending_gangs;
    uint32_t *rows = mu_arena_alloc(arena, pending * sizeof *rows);
    if (rows == NULL)
        return MU_ENOMEM;
    if (!list(snapshot, rows)) {
        struct key *keys = mu_arena_alloc(arena, pending * sizeof *keys);
        struct key *spare = mu_arena_alloc(arena, pending * sizeof *keys);
        if (keys == NULL || spare == NULL)
            return MU_ENOMEM;
        for (uint32_t i = 0; i < pending; i++)
            keys[i] = key_of(&snapshot->gangs[rows[i]], rows[i]);
        const struct key *sorted = sort(keys, spare, pending);
        for (uint32_t i = 0; i < pending; i++)
            rows[i] = sorted[i].row;
    }
    out->count = pending;
    out->rows = rows;
    return 0;
}
