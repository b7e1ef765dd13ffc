#include "engine/place_priv.h"

#include <stdlib.h>
#include <string.h>

#include "engine/base/assert.h"
#include "engine/base/bitset.h"
#include "engine/base/mem.h"

/*
 * Many pods of one class, one after the other, each onto the best row: the same rows as one by one.
 *
 * A placement moves the key of its own row alone, as long as no rule about other pods, nominated
 * pod or device has a say. What it does to that key is the same on all rows (mu_room_trend):
 *
 *     never lowers it   the best row stays the best while it fits: it is filled (packing)
 *     never raises it   each row has a sequence of keys that does not rise, and taking the largest
 *                       head of all sequences again and again is merging them: the order of all
 *                       their elements by (key, tie between rows, number on the row). So the
 *                       elements are found first, in any order, and sorted (spreading)
 *     else              one by one
 *
 * Spreading, a batch is all elements with keys of at least some `least`: a row that has one is
 * drained down to it (mu_room_drain), block by block, where the block's best key says that it has
 * one. Any `least` is right; a good one gives as many elements as are wanted and fit the caches.
 * It is guessed from a sample of the rows at first, and then from how far the last batch went. When
 * there are more than room is for, `least` is raised to the middle of a sample of them, and what is
 * below is put back; of too few, the next batch follows. In the end, those beyond what is wanted
 * are put back: of each row the last ones, since the order on a row is that of its sequence.
 *
 * Sorted is by radix, on how far a key is below the best: only the digits that differ. Equal keys
 * of several rows (a tie of 31 bits of their hashes) are then merged by the rule for ties.
 *
 * The keys are kept over the calls of one session, as long as nothing else is placed in between.
 *
 * Undoing needs no order among the pods of a row: a batch is logged once for each row.
 */

/* Elements of a batch: sorting them stays within the second level of the cache. */
#define BATCH 8192u
/* Keys of all rows are worth computing for one pod in so many rows. */
#define ROWS_PER_POD 32u
/* Rows or elements of which a key is guessed. */
#define SAMPLE 128u
#define DIGIT  8u
#define DIGITS (1u << DIGIT)

/* ---- lifetime ----------------------------------------------------------------------------- */

void mu_place_run_init(struct mu_place_run *run)
{
    memset(run, 0, sizeof *run);
}

void mu_place_run_fini(struct mu_place_run *run)
{
    mu_mem_free(run->keys);
    mu_mem_free(run->best);
    mu_mem_free(run->taken);
    mu_mem_free(run->steps);
    mu_mem_free(run->spare);
    mu_place_run_init(run);
}

static int reserve(struct mu_place_run *run, uint32_t row_cap)
{
    MU_ASSERT(row_cap % MU_NODE_CHUNK == 0);
    if (run->row_cap >= row_cap && run->steps != NULL)
        return 0;
    mu_place_run_fini(run);
    run->keys = mu_mem_zalloc_aligned(64, row_cap * sizeof *run->keys);
    run->best = mu_mem_calloc(row_cap / MU_NODE_CHUNK, sizeof *run->best);
    run->taken = mu_mem_calloc(row_cap, sizeof *run->taken);
    run->steps = mu_mem_calloc(2 * BATCH, sizeof *run->steps);
    run->spare = mu_mem_calloc(2 * BATCH, sizeof *run->spare);
    if (run->keys == NULL || run->best == NULL || run->taken == NULL || run->steps == NULL ||
        run->spare == NULL) {
        mu_place_run_fini(run);
        return MU_ENOMEM;
    }
    run->row_cap = row_cap;
    return 0;
}

/* ---- keys --------------------------------------------------------------------------------- */

static bool keys_current(const struct mu_place *place, const struct mu_place_class *known)
{
    const struct mu_place_run *run = &place->run;
    return run->row_cap > 0 && run->session == place->session && run->class_id == known->id &&
           run->changes == place->room.changes && run->epoch == place->room.epoch &&
           run->taste == known->taste && run->mask_epoch == known->mask_epoch;
}

static void keys_stamp(struct mu_place *place, const struct mu_place_class *known)
{
    struct mu_place_run *run = &place->run;
    run->session = place->session;
    run->class_id = known->id;
    run->changes = place->room.changes;
    run->epoch = place->room.epoch;
    run->taste = known->taste;
    run->mask_epoch = known->mask_epoch;
}

static int by_key(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x < y) - (x > y);
}

/* How far below the best key about `want` rows reach, by a sample of them. */
static uint64_t width_guess(const struct mu_place_run *run, uint32_t rows, uint32_t want)
{
    int64_t sample[SAMPLE] = {0};
    MU_ASSERT(rows > 0);
    uint32_t count = rows < SAMPLE ? rows : SAMPLE;
    for (uint32_t i = 0; i < count; i++)
        sample[i] = run->keys[(uint64_t)i * rows / count];
    qsort(sample, count, sizeof sample[0], by_key);
    uint64_t at = want < rows ? (uint64_t)want * count / rows : count - 1;
    while (at > 0 && sample[at] < 0)
        at--;
    return sample[0] < 0 ? 0 : (uint64_t)(sample[0] - sample[at]);
}

static int keys_make(struct mu_place *place, const struct mu_place_class *known, uint32_t want)
{
    struct mu_place_run *run = &place->run;
    const struct mu_room *room = &place->room;
    if (keys_current(place, known))
        return 0;
    int error = reserve(run, room->cap[0]);
    if (error != 0)
        return error;
    for (uint32_t block = 0; block * MU_NODE_CHUNK < room->rows; block++)
        run->best[block] =
            room->ops->keys(known->need, &room->columns[0], block * MU_NODE_CHUNK,
                            known->mask->bits[0][block], run->keys + (size_t)block * MU_NODE_CHUNK);
    run->width = width_guess(run, room->rows, want);
    keys_stamp(place, known);
    return 0;
}

/* ---- a batch ------------------------------------------------------------------------------ */

struct batch {
    struct mu_place *place;
    const struct mu_scan_need *need;
    int64_t most, least; /* keys */
    uint32_t count;      /* of steps */
    uint32_t cap;
};

/* The first that is not put back stays; those are of each row the last. */
static void step_back(struct batch *b, const struct mu_place_step *step)
{
    struct mu_place_run *run = &b->place->run;
    MU_ASSERT(run->taken[step->row] > 0);
    run->taken[step->row]--;
    mu_room_refill(&b->place->room, b->need, step->row, 1);
    run->keys[step->row] = b->most - (int64_t)step->below;
}

static void block_renew(struct batch *b, uint32_t row)
{
    uint32_t block = row / MU_NODE_CHUNK;
    b->place->run.best[block] =
        b->place->room.ops->max(b->place->run.keys + (size_t)block * MU_NODE_CHUNK);
}

/* Raise `least` to where about half of the steps are left. False: too many keys are equal. */
static bool least_raise(struct batch *b)
{
    struct mu_place_run *run = &b->place->run;
    int64_t sample[SAMPLE];
    for (uint32_t i = 0; i < SAMPLE; i++)
        sample[i] = b->most - (int64_t)run->steps[(uint64_t)i * b->count / SAMPLE].below;
    qsort(sample, SAMPLE, sizeof sample[0], by_key);
    int64_t least = sample[SAMPLE / 2];
    if (least == b->least)
        return false;
    b->least = least;
    uint32_t kept = 0;
    for (uint32_t i = b->count; i-- > 0;) {
        if (b->most - (int64_t)run->steps[i].below < least) {
            step_back(b, &run->steps[i]);
            block_renew(b, run->steps[i].row);
        }
    }
    for (uint32_t i = 0; i < b->count; i++)
        if (b->most - (int64_t)run->steps[i].below >= least)
            run->steps[kept++] = run->steps[i];
    b->count = kept;
    return true;
}

/* Drain one row down to `least`. */
static void row_drain(struct batch *b, uint32_t row)
{
    struct mu_place_run *run = &b->place->run;
    int64_t keys[MU_NODE_CHUNK];
    uint32_t room_for = b->cap - b->count;
    uint32_t most = room_for < MU_NODE_CHUNK ? room_for : MU_NODE_CHUNK;
    while (run->keys[row] >= b->least && most > 0) {
        uint32_t taken =
            mu_room_drain(&b->place->room, b->need, row, b->least, most, keys, &run->keys[row]);
        for (uint32_t i = 0; i < taken; i++)
            run->steps[b->count++] = (struct mu_place_step){(uint64_t)(b->most - keys[i]), row};
        run->taken[row] += taken;
        room_for = b->cap - b->count;
        most = room_for < MU_NODE_CHUNK ? room_for : MU_NODE_CHUNK;
    }
}

/* All steps with keys of at least `least`. False: it cannot be said which those are, within what
 * there is room for. */
static bool collect(struct batch *b)
{
    struct mu_place_run *run = &b->place->run;
    const struct mu_scan_ops *ops = b->place->room.ops;
    uint32_t blocks = (b->place->room.rows + MU_NODE_CHUNK - 1) / MU_NODE_CHUNK;
    for (uint32_t block = 0; block < blocks; block++) {
        if (run->best[block] < b->least)
            continue;
        const uint32_t begin = block * MU_NODE_CHUNK;
        for (uint64_t left = ~ops->less(run->keys + begin, b->least); left != 0; left &= left - 1) {
            uint32_t row = begin + (uint32_t)__builtin_ctzll(left);
            row_drain(b, row);
            while (run->keys[row] >= b->least) { /* no room for more steps */
                if (!least_raise(b))
                    return false;
                row_drain(b, row);
            }
        }
        run->best[block] = ops->max(run->keys + begin);
    }
    return true;
}

/* ---- in order ----------------------------------------------------------------------------- */

/* By `below`, stable. */
static void steps_sort(struct mu_place_run *run, uint32_t count)
{
    uint64_t differ = 0;
    for (uint32_t i = 0; i < count; i++)
        differ |= run->steps[i].below ^ run->steps[0].below;
    for (uint32_t shift = 0; shift < 64; shift += DIGIT) {
        uint32_t at[DIGITS] = {0};
        if ((differ >> shift & (DIGITS - 1)) == 0)
            continue;
        for (uint32_t i = 0; i < count; i++)
            at[run->steps[i].below >> shift & (DIGITS - 1)]++;
        for (uint32_t digit = 0, sum = 0; digit < DIGITS; digit++) {
            uint32_t here = at[digit];
            at[digit] = sum;
            sum += here;
        }
        for (uint32_t i = 0; i < count; i++)
            run->spare[at[run->steps[i].below >> shift & (DIGITS - 1)]++] = run->steps[i];
        struct mu_place_step *sorted = run->spare;
        run->spare = run->steps;
        run->steps = sorted;
    }
}

/* Steps [begin, end) with one key, those of a row together: put the rows in order, by merging. */
static void tie_sort(struct batch *b, uint32_t begin, uint32_t end)
{
    struct mu_place_run *run = &b->place->run;
    if (end - begin < 2)
        return;
    uint32_t middle = begin + (end - begin) / 2;
    tie_sort(b, begin, middle);
    tie_sort(b, middle, end);
    uint32_t left = begin, right = middle;
    for (uint32_t at = begin; at < end; at++) {
        bool take_right =
            left == middle ||
            (right < end && run->steps[left].row != run->steps[right].row &&
             mu_room_wins_tie(&b->place->room, run->steps[right].row, run->steps[left].row));
        run->spare[at] = take_right ? run->steps[right++] : run->steps[left++];
    }
    memcpy(run->steps + begin, run->spare + begin, (end - begin) * sizeof *run->steps);
}

static void ties_sort(struct batch *b)
{
    const struct mu_place_step *steps = b->place->run.steps;
    for (uint32_t begin = 0, end; begin < b->count; begin = end) {
        bool several = false;
        for (end = begin + 1; end < b->count && steps[end].below == steps[begin].below; end++)
            several = several || steps[end].row != steps[begin].row;
        if (several)
            tie_sort(b, begin, end);
    }
}

/* ---- together ----------------------------------------------------------------------------- */

/* Put all back that was taken. */
static void batch_undo(struct batch *b)
{
    while (b->count > 0) {
        const struct mu_place_step *step = &b->place->run.steps[--b->count];
        step_back(b, step);
        block_renew(b, step->row);
    }
}

/* The first `want` of the steps stand: their rows, and a log entry for each row. */
static void batch_stand(struct batch *b, struct mu_place_pod pod, uint32_t want, uint32_t *nodes)
{
    struct mu_place *place = b->place;
    while (b->count > want) {
        const struct mu_place_step *step = &place->run.steps[--b->count];
        step_back(b, step);
        block_renew(b, step->row);
    }
    const uint64_t state = mu_terms_state(place->terms);
    for (uint32_t i = 0; i < b->count; i++) {
        uint32_t row = nodes[i] = place->run.steps[i].row;
        if (place->run.taken[row] == 0)
            continue;
        place->log[place->log_count++] =
            (struct mu_place_entry){pod, row, place->run.taken[row], 1, 0, 0, state};
        place->run.taken[row] = 0;
        mu_room_drained(&place->room, b->need, row);
    }
}

/* Place up to `want` pods, the best rows first. *count 0: none fits, or it is to be done one by
 * one. */
static int batch_put(struct mu_place *place, struct mu_place_pod pod,
                     const struct mu_place_class *known, uint32_t want, uint32_t *nodes,
                     uint32_t *count)
{
    struct mu_place_run *run = &place->run;
    uint32_t aim = want < BATCH ? want : BATCH;
    struct batch b = {.place = place, .need = known->need, .most = -1, .cap = 2 * aim};
    *count = 0;
    int error = keys_make(place, known, aim);
    if (error == 0)
        error = mu_place_log_reserve(place, want < b.cap ? want : b.cap);
    if (error != 0)
        return error;
    for (uint32_t block = 0; block * MU_NODE_CHUNK < place->room.rows; block++)
        b.most = run->best[block] > b.most ? run->best[block] : b.most;
    if (b.most < 0)
        return 0;
    b.least = run->width < (uint64_t)b.most ? b.most - (int64_t)run->width : 0;
    if (!collect(&b)) {
        batch_undo(&b);
        return 0;
    }
    MU_ASSERT(b.count > 0 && b.count <= b.cap);
    /* The next batch goes as far below its best, for as many. */
    uint64_t went = (uint64_t)(b.most - b.least) + 1;
    uint64_t scale = (uint64_t)aim * 16 / b.count;
    scale = scale < 4 ? 4 : scale > 32 ? 32 : scale;
    run->width = went / 16 * scale + went % 16;
    steps_sort(run, b.count);
    ties_sort(&b);
    batch_stand(&b, pod, want, nodes);
    *count = b.count;
    run->changes = place->room.changes;
    place->counts.picks += b.count;
    place->counts.by_run += b.count;
    return 0;
}

/* Fill the best row. */
static int row_fill(struct mu_place *place, struct mu_place_pod pod,
                    const struct mu_place_class *known, uint32_t want, uint32_t *nodes,
                    uint32_t *count)
{
    struct mu_node_ix node;
    *count = 0;
    int error = mu_place_put(place, pod, &node);
    if (error != 0 || node.v == MU_NONE)
        return error;
    uint32_t more = mu_room_slots(&place->room, known->need, node.v, want - 1);
    if (more > 0) {
        struct mu_place_entry *entry = &place->log[place->log_count - 1];
        entry->times += more;
        mu_room_change(&place->room, known->need, node.v, more);
    }
    *count = 1 + more;
    for (uint32_t i = 0; i < *count; i++)
        nodes[i] = node.v;
    place->counts.picks += more;
    place->counts.by_run += more;
    return 0;
}

static int put_one(struct mu_place *place, struct mu_place_pod pod, uint32_t *node,
                   uint16_t *devices, uint32_t *count)
{
    struct mu_node_ix out;
    int error = mu_place_put(place, pod, &out);
    *count = error == 0 && out.v != MU_NONE;
    *node = out.v;
    *devices = mu_place_devices(place);
    return error;
}

/* Whether a placement of such a pod moves nothing but the amounts of its row. */
static bool is_plain(const struct mu_place *place, struct mu_place_pod pod,
                     const struct mu_place_class *known)
{
    const struct mu_snapshot *s = place->snapshot;
    bool plain = !mu_place_none_recall(place, known, pod) && !mu_place_is_within(place) &&
                 !place->given && s->nominated_count == 0 && !mu_place_pinned(known) &&
                 !mu_place_fragmenting(place) && s->node_rows > 0 &&
                 !mu_terms_counted(s, pod.class_ix, pod.kin);
    /* Which resource is a device is each row's own word: a class that asks for anything but what
     * all rows have may ask for devices. */
    for (uint32_t d = 0; d < known->need->count && plain && s->devices != NULL; d++)
        plain = known->need->demands[d].resource < MU_RES_EXTENDED;
    return plain;
}

int mu_place_put_run(struct mu_place *place, struct mu_place_pod pod, uint32_t want,
                     uint32_t *nodes, uint16_t *devices, uint32_t *count)
{
    MU_ASSERT(place->snapshot != NULL);
    const uint32_t mark = place->log_count;
    struct mu_place_class *known = mu_place_class_get(place, pod.class_ix);
    *count = 0;
    int error = known == NULL ? MU_ENOMEM : 0;
    if (error == 0 && !known->nowhere)
        error = mu_place_class_prepare(place, pod.class_ix, known);
    if (error != 0)
        return error;
    bool plain = is_plain(place, pod, known), one_by_one = false;
    enum mu_room_trend trend = plain ? mu_room_trend(&place->room, known->need) : MU_ROOM_MIXED;
    if (plain) { /* what the need says may be about another pod of the class */
        place->bonus.session = 0;
        memset(known->need->bonus, 0, sizeof known->need->bonus);
        known->need->bonus_max = 0;
    }
    memset(devices, 0, want * sizeof *devices);
    while (*count < want && error == 0) {
        uint32_t left = want - *count, done = 0;
        uint32_t *out = nodes + *count;
        bool bulk = trend == MU_ROOM_FALLS && !one_by_one &&
                    (keys_current(place, known) || left >= place->room.rows / ROWS_PER_POD);
        if (bulk)
            error = batch_put(place, pod, known, left, out, &done);
        one_by_one = one_by_one || (bulk && done == 0);
        if (error == 0 && done == 0 && trend == MU_ROOM_RISES)
            error = row_fill(place, pod, known, left, out, &done);
        else if (error == 0 && done == 0)
            error = put_one(place, pod, out, devices + *count, &done);
        if (error == 0 && done == 0)
            break;
        *count += done;
    }
    if (error != 0) {
        mu_place_undo(place, mark);
        *count = 0;
    }
    return error;
}
