#include "engine/place/place_priv.h"

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
 * Sorted is by radix, in two parts: the rows of the batch by the rule for ties, of which there are
 * fewer than steps, and then their steps, taken in that order, by how far a score is below the
 * best. The latter keeps the order of equal ones, so nothing is compared twice.
 *
 * The keys are kept over the calls of one session, as long as nothing else is placed in between.
 *
 * Undoing needs no order among the pods of a row: a batch is logged once for each row.
 */

/* Steps of a batch: sorting them stays within the second level of the cache. */
#define BATCH 16384u
/* Keys of all rows are worth computing for one pod in so many rows. */
#define ROWS_PER_POD 32u
/* Rows or elements of which a key is guessed. */
#define SAMPLE 128u
/* Digits have so many bits at most; larger ones are worth their counters from so many elements
 * on. */
#define DIGIT_SMALL 8u
#define DIGIT_LARGE 11u
#define MANY        4096u

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
    mu_mem_free(run->rows);
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
    run->rows = mu_mem_calloc(2 * BATCH, sizeof *run->rows);
    if (run->keys == NULL || run->best == NULL || run->taken == NULL || run->steps == NULL ||
        run->spare == NULL || run->rows == NULL) {
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
    struct mu_room_drain drain;
    int64_t most, least; /* keys */
    uint32_t count;      /* of steps */
    uint32_t cap;
};

/* The key at which a step went to its row: the tie of a row never changes. */
static int64_t step_key(const struct batch *b, const struct mu_place_step *step)
{
    int64_t score = (b->most >> MU_SCORE_TIE_BITS) - step->by;
    return score << MU_SCORE_TIE_BITS | mu_score_base_tie(b->place->room.base[0][0][step->at]);
}

/* Those that are put back are of each row the last. */
static void step_back(struct batch *b, const struct mu_place_step *step)
{
    struct mu_place_run *run = &b->place->run;
    MU_ASSERT(run->taken[step->at] > 0);
    run->taken[step->at]--;
    mu_room_refill(&b->place->room, b->need, step->at, 1);
    int64_t key = run->keys[step->at] = step_key(b, step);
    int64_t *best = &run->best[step->at / MU_NODE_CHUNK];
    *best = key > *best ? key : *best;
}

/* Raise `least` to where about half of the steps are left. False: too many keys are equal. */
static bool least_raise(struct batch *b)
{
    struct mu_place_run *run = &b->place->run;
    int64_t sample[SAMPLE];
    for (uint32_t i = 0; i < SAMPLE; i++)
        sample[i] = step_key(b, &run->steps[(uint64_t)i * b->count / SAMPLE]);
    qsort(sample, SAMPLE, sizeof sample[0], by_key);
    int64_t least = sample[SAMPLE / 2];
    if (least == b->least)
        return false;
    b->least = least;
    uint32_t kept = 0;
    for (uint32_t i = b->count; i-- > 0;) {
        if (step_key(b, &run->steps[i]) < least)
            step_back(b, &run->steps[i]);
    }
    for (uint32_t i = 0; i < b->count; i++)
        if (step_key(b, &run->steps[i]) >= least)
            run->steps[kept++] = run->steps[i];
    b->count = kept;
    return true;
}

/* Drain one row down to `least`. */
static void row_drain(struct batch *b, uint32_t row)
{
    struct mu_place_run *run = &b->place->run;
    const int64_t top = b->most >> MU_SCORE_TIE_BITS;
    int64_t keys[MU_NODE_CHUNK];
    while (run->keys[row] >= b->least && b->count < b->cap) {
        uint32_t room_for = b->cap - b->count;
        uint32_t most = room_for < MU_NODE_CHUNK ? room_for : MU_NODE_CHUNK;
        uint32_t taken = mu_room_drain(&b->drain, row, b->least, most, keys, &run->keys[row]);
        for (uint32_t i = 0; i < taken; i++)
            run->steps[b->count++] =
                (struct mu_place_step){(uint32_t)(top - (keys[i] >> MU_SCORE_TIE_BITS)), row};
        run->taken[row] += taken;
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

static void swap(struct mu_place_step **a, struct mu_place_step **b)
{
    struct mu_place_step *other = *a;
    *a = *b;
    *b = other;
}

/* Stable; uses the spare ones. As few passes as there are large digits, with digits no larger than
 * that takes. */
static void sort(struct mu_place_run *run, struct mu_place_step **items, uint32_t count)
{
    uint32_t at[1u << DIGIT_LARGE];
    uint32_t differ = 0;
    for (uint32_t i = 0; i < count; i++)
        differ |= (*items)[i].by ^ (*items)[0].by;
    if (differ == 0)
        return;
    const uint32_t most = count < MANY ? DIGIT_SMALL : DIGIT_LARGE;
    const uint32_t width = 32 - (uint32_t)__builtin_clz(differ), passes = (width + most - 1) / most;
    const uint32_t bits = (width + passes - 1) / passes, mask = (1u << bits) - 1;
    for (uint32_t shift = 0; shift < width; shift += bits) {
        const struct mu_place_step *from = *items;
        memset(at, 0, (mask + 1) * sizeof at[0]);
        for (uint32_t i = 0; i < count; i++)
            at[from[i].by >> shift & mask]++;
        for (uint32_t digit = 0, sum = 0; digit <= mask; digit++) {
            uint32_t here = at[digit];
            at[digit] = sum;
            sum += here;
        }
        for (uint32_t i = 0; i < count; i++)
            run->spare[at[from[i].by >> shift & mask]++] = from[i];
        swap(items, &run->spare);
    }
}

/* Rows [begin, end) whose hashes tie: in the order of their names, by merging. */
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
            (right < end && mu_room_wins_tie(&b->place->room, run->steps[run->rows[right].at].at,
                                             run->steps[run->rows[left].at].at));
        run->spare[at] = take_right ? run->rows[right++] : run->rows[left++];
    }
    memcpy(run->rows + begin, run->spare + begin, (end - begin) * sizeof *run->rows);
}

static uint32_t tie_of(int64_t base)
{
    return (INT32_MAX - (uint32_t)mu_score_base_tie(base)) >> 1;
}

/* The rows of the batch in the order of ties: for each its first step. Those of a row are together.
 * A bit less of the hash takes a pass less, and names decide between the few that it leaves alike.
 * Returns how many. */
static uint32_t rows_sort(struct batch *b)
{
    struct mu_place_run *run = &b->place->run;
    const int64_t *base = b->place->room.base[0][0];
    uint32_t count = 0;
    for (uint32_t i = 0; i < b->count; i++) {
        uint32_t row = run->steps[i].at;
        if (i > 0 && run->steps[i - 1].at == row)
            continue;
        run->rows[count++] = (struct mu_place_step){tie_of(base[row]), i};
    }
    sort(run, &run->rows, count);
    for (uint32_t begin = 0, end; begin < count; begin = end) {
        end = begin + 1;
        while (end < count && run->rows[end].by == run->rows[begin].by)
            end++;
        tie_sort(b, begin, end);
    }
    return count;
}

/* By score, then by the rule for ties, on a row as they come. */
static void steps_sort(struct batch *b)
{
    struct mu_place_run *run = &b->place->run;
    uint32_t rows = rows_sort(b), count = 0;
    for (uint32_t r = 0; r < rows; r++) {
        uint32_t i = run->rows[r].at, row = run->steps[i].at;
        for (; i < b->count && run->steps[i].at == row; i++)
            run->spare[count++] = run->steps[i];
    }
    MU_ASSERT(count == b->count);
    swap(&run->steps, &run->spare);
    sort(run, &run->steps, count);
}

/* ---- together ----------------------------------------------------------------------------- */

/* Put all back that was taken. */
static void batch_undo(struct batch *b)
{
    while (b->count > 0)
        step_back(b, &b->place->run.steps[--b->count]);
}

/* The first `want` of the steps stand: their rows, and a log entry for each row. */
static void batch_stand(struct batch *b, struct mu_place_pod pod, uint32_t want, uint32_t *nodes)
{
    struct mu_place *place = b->place;
    while (b->count > want)
        step_back(b, &place->run.steps[--b->count]);
    const uint64_t state = mu_terms_state(place->terms);
    for (uint32_t i = 0; i < b->count; i++) {
        uint32_t row = nodes[i] = place->run.steps[i].at;
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
    mu_room_drain_open(&b.drain, &place->room, b.need);
    if (!collect(&b)) {
        batch_undo(&b);
        return 0;
    }
    MU_ASSERT(b.count > 0 && b.count <= b.cap);
    /* The next batch goes as far below its best, for as many. */
    uint64_t went = (uint64_t)(b.most - b.least) + 1;
    uint64_t scale = (uint64_t)aim * 16 / b.count;
    scale = scale < 4 ? 4 : scale > 128 ? 128 : scale;
    run->width = went / 16 * scale + went % 16;
    steps_sort(&b);
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
