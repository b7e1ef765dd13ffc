/* Every variant of the kernels against the formulas, on random and extreme columns. */
#include "tests/mu_test.h"

#include "engine/place/scan.h"
#include "engine/place/score.h"

#define ROWS   (4 * MU_NODE_CHUNK)
#define ROUNDS 3000

struct columns {
    int64_t free[3][ROWS] __attribute__((aligned(64)));
    int64_t base[2][ROWS] __attribute__((aligned(64)));
    int64_t both[ROWS] __attribute__((aligned(64)));
    int64_t weight[2][3][ROWS] __attribute__((aligned(64)));
    int64_t blocks[ROWS / MU_NODE_CHUNK][2 * 3 * MU_NODE_CHUNK] __attribute__((aligned(64)));
    const int64_t *sizes[ROWS / MU_NODE_CHUNK]; /* the same weights by block */
    int64_t most[2][3];                         /* coefficients that the weights are of */
    int64_t alloc[3][ROWS] __attribute__((aligned(64)));
    int64_t bonus[ROWS] __attribute__((aligned(64)));
    int32_t pref[ROWS] __attribute__((aligned(64)));
};

static int64_t any_amount(struct mu_random *random)
{
    switch (mu_random_below(random, 6)) {
    case 0:
        return mu_random_between(random, -3, 3);
    case 1:
        return INT64_MAX - (int64_t)mu_random_below(random, 3);
    case 2:
        return -(INT64_MAX - (int64_t)mu_random_below(random, 3));
    default:
        return mu_random_between(random, 0, INT64_C(1) << mu_random_below(random, 62));
    }
}

/* Below 2^61: with another and both extras a key stays within 63 bits. */
static int64_t any_base(struct mu_random *random)
{
    return mu_random_chance(random, 50) ? -1 : (int64_t)(mu_random_u64(random) >> 3);
}

static void columns_fill(struct mu_random *random, struct columns *c)
{
    for (int f = 0; f < 2; f++) {
        for (int s = 0; s < 3; s++)
            c->most[f][s] = mu_random_between(random, -(INT64_C(1) << 59), INT64_C(1) << 59) / 3;
    }
    for (uint32_t i = 0; i < ROWS; i++) {
        for (int r = 0; r < 3; r++) {
            c->free[r][i] = any_amount(random);
            int64_t alloc = any_amount(random);
            c->alloc[r][i] = alloc > 0 ? alloc : 0;
        }
        for (int f = 0; f < 2; f++) {
            c->base[f][i] = any_base(random);
            for (int s = 0; s < 3; s++)
                c->weight[f][s][i] = mu_random_chance(random, 50)
                                         ? INT64_MAX /* a hole */
                                         : mu_score_weight(c->most[f][s], c->alloc[s][i]);
        }
        c->both[i] = any_base(random);
        c->bonus[i] = (int64_t)mu_random_below(random, 1u << 28);
        c->pref[i] = (int32_t)mu_random_below(random, 1u << 28);
    }
    for (uint32_t i = 0; i < ROWS; i++) {
        int64_t *block = c->blocks[i / MU_NODE_CHUNK];
        c->sizes[i / MU_NODE_CHUNK] = block;
        for (uint32_t f = 0; f < 2; f++) {
            for (uint32_t s = 0; s < 3; s++)
                block[mu_sizes_weight(3, f, s) + i % MU_NODE_CHUNK] = c->weight[f][s][i];
        }
    }
}

/* By the formulas, wrapping as unsigned numbers do where a hole is looked at. */
static int64_t key_naive(const struct mu_scan_need *need, const struct mu_scan_columns *columns,
                         uint32_t row)
{
    for (uint32_t d = 0; d < need->count; d++) {
        if (columns->free[need->demands[d].resource][row] < need->demands[d].amount)
            return MU_SCORE_KEY_NONE;
    }
    int64_t least_cost = INT64_MAX, least = INT64_MAX;
    for (uint32_t f = 0; f < need->form_count; f++) {
        uint64_t sum = 0;
        for (uint32_t i = 0; i < need->cost_count[f]; i++) {
            const struct mu_scan_cost *cost = &need->costs[f][i];
            int64_t weight = columns->weight[f][cost->slot][row];
            weight = weight < -cost->limit ? -cost->limit : weight;
            weight = cost->padded && weight > cost->limit ? cost->limit : weight;
            sum += (uint64_t)cost->units * (uint64_t)weight;
        }
        int64_t cost = mu_score_cost((int64_t)sum);
        int64_t key = (int64_t)((uint64_t)columns->base[f][row] - (uint64_t)cost);
        least_cost = cost < least_cost ? cost : least_cost;
        least = key < least ? key : least;
    }
    if (need->form_count == 2 && columns->both != NULL) {
        int64_t bound = (int64_t)((uint64_t)columns->both[row] - (uint64_t)least_cost);
        least = bound < least ? bound : least;
    }
    uint64_t extra = need->pref[0] != NULL ? (uint64_t)need->pref[0][row] : 0;
    if (need->bonus[0] != NULL)
        extra +=
            (uint64_t)(need->bonus[columns->level] != NULL ? need->bonus[0][row] : need->bonus_max);
    return (int64_t)((uint64_t)least + (extra << MU_SCORE_TIE_BITS));
}

static void need_draw(struct mu_random *random, const struct columns *c, struct mu_scan_need *need)
{
    need->form_count = 1 + (uint32_t)mu_random_below(random, 2);
    for (uint32_t r = 0; r < 3; r++) {
        int64_t amount = any_amount(random);
        if (amount <= 0)
            continue;
        need->demands[need->count++] = (struct mu_scan_demand){amount, r};
        for (uint32_t f = 0; f < need->form_count; f++)
            need->costs[f][need->cost_count[f]++] =
                (struct mu_scan_cost){r, mu_random_chance(random, 300), amount,
                                      mu_score_weight_limit(c->most[f][r], amount)};
    }
    if (mu_random_chance(random, 300))
        need->pref[0] = need->pref[1] = c->pref;
    need->bonus_max = (int64_t)mu_random_below(random, 1u << 28);
    if (mu_random_chance(random, 300))
        need->bonus[0] = c->bonus;
    if (mu_random_chance(random, 500))
        need->bonus[1] = need->bonus[0];
}

static void check_keys(struct mu_test_run *run, const struct mu_scan_ops *ops,
                       const struct columns *c)
{
    static union {
        struct mu_scan_need need;
        char bytes[sizeof(struct mu_scan_need) + 3 * sizeof(struct mu_scan_demand)];
    } store;
    struct mu_scan_need *need = &store.need;
    memset(&store, 0, sizeof store);
    need_draw(&run->random, c, need);
    struct mu_scan_columns columns = {
        .level = (uint32_t)mu_random_below(&run->random, 2),
        .free = {c->free[0], c->free[1], c->free[2]},
        .base = {c->base[0], c->base[1]},
        .both = mu_random_chance(&run->random, 500) ? c->both : NULL,
    };
    for (int f = 0; f < 2; f++) {
        for (int s = 0; s < 3; s++)
            columns.weight[f][s] = c->weight[f][s];
    }
    if (mu_random_chance(&run->random, 500)) {
        columns.sizes = c->sizes;
        columns.slot_count = 3;
    }
    int64_t out[MU_NODE_CHUNK] __attribute__((aligned(64)));
    uint32_t begin = MU_NODE_CHUNK * (uint32_t)mu_random_below(&run->random, 4);
    uint64_t mask = mu_random_chance(&run->random, 100) ? 0 : mu_random_u64(&run->random);
    int64_t largest = ops->keys(need, &columns, begin, mask, out);
    int64_t want_largest = INT64_MIN;
    for (uint32_t i = 0; i < MU_NODE_CHUNK; i++) {
        bool in = (mask >> i & 1) != 0;
        int64_t want = in ? key_naive(need, &columns, begin + i) : MU_SCORE_KEY_NONE;
        MU_TEST_CHECK(run, out[i] == want);
        want_largest = want > want_largest ? want : want_largest;
    }
    MU_TEST_CHECK(run, largest == want_largest);
}

static void check_bases(struct mu_test_run *run, const struct mu_scan_ops *ops,
                        const struct columns *c)
{
    uint32_t f = (uint32_t)mu_random_below(&run->random, 2);
    struct mu_scan_room room = {
        .slot_count = (uint32_t)mu_random_below(&run->random, 4),
        .offset = (int64_t)mu_random_below(&run->random, 1u << 30),
    };
    int64_t out[MU_NODE_CHUNK] __attribute__((aligned(64)));
    uint32_t begin = MU_NODE_CHUNK * (uint32_t)mu_random_below(&run->random, 4);
    for (uint32_t s = 0; s < room.slot_count; s++) {
        room.slots[s].free = c->free[s] + begin;
        room.slots[s].alloc = c->alloc[s] + begin;
        room.slots[s].weight = c->weight[f][s] + begin;
        room.slots[s].shift = s == 1 ? 10 : 0;
        room.slots[s].padded = mu_random_chance(&run->random, 500);
    }
    memcpy(out, c->base[f] + begin, sizeof out);
    ops->bases(&room, out);
    for (uint32_t i = 0; i < MU_NODE_CHUNK; i++) {
        uint32_t row = begin + i;
        uint64_t parts = 0;
        for (uint32_t s = 0; s < room.slot_count; s++)
            parts += (uint64_t)mu_score_room_part(
                room.slots[s].free[i], room.slots[s].alloc[i],
                room.slots[s].padded ? mu_score_least(room.slots[s].alloc[i], room.slots[s].shift)
                                     : 0,
                room.slots[s].shift, room.slots[s].weight[i]);
        int64_t tie = c->base[f][row] % (INT64_C(1) << MU_SCORE_TIE_BITS);
        int64_t want = c->base[f][row] < 0 ? -1 : mu_score_base(room.offset, (int64_t)parts, tie);
        MU_TEST_CHECK(run, out[i] == want);
    }
}

static void check_reductions(struct mu_test_run *run, const struct mu_scan_ops *ops,
                             const struct columns *c)
{
    const int64_t *values = c->free[mu_random_below(&run->random, 3)];
    int64_t value = values[mu_random_below(&run->random, MU_NODE_CHUNK)];
    int64_t max = INT64_MIN, min = INT64_MAX;
    int64_t max_of_min = INT64_MIN;
    const int64_t *other = c->free[mu_random_below(&run->random, 3)];
    uint64_t equal = 0, less = 0;
    for (uint32_t i = 0; i < MU_NODE_CHUNK; i++) {
        max = values[i] > max ? values[i] : max;
        min = values[i] < min ? values[i] : min;
        int64_t smaller = values[i] < other[i] ? values[i] : other[i];
        max_of_min = smaller > max_of_min ? smaller : max_of_min;
        equal |= (uint64_t)(values[i] == value) << i;
        less |= (uint64_t)(values[i] < value) << i;
    }
    MU_TEST_CHECK(run, ops->max(values) == max);
    MU_TEST_CHECK(run, ops->min(values) == min);
    MU_TEST_CHECK(run, ops->max_of_min(values, other) == max_of_min);
    MU_TEST_CHECK(run, ops->equal(values, value) == equal);
    MU_TEST_CHECK(run, ops->less(values, value) == less);
}

static void test_scan_variant__random_columns__equals_formulas(void **state)
{
    (void)state;
    static struct columns columns;
    uint32_t variants = 0;
    while (mu_scan_variant(variants) != NULL)
        variants++;
    assert_in_range(variants, 1, 3);
    struct mu_test_run run = mu_test_run_begin(1);
    for (run.step = 0; run.step < ROUNDS; run.step++) {
        columns_fill(&run.random, &columns);
        for (uint32_t v = 0; v < variants; v++) {
            check_keys(&run, mu_scan_variant(v), &columns);
            check_bases(&run, mu_scan_variant(v), &columns);
            check_reductions(&run, mu_scan_variant(v), &columns);
        }
    }
}

static void test_scan_variant__last__runs_everywhere(void **state)
{
    (void)state;
    uint32_t v = 0;
    while (mu_scan_variant(v + 1) != NULL)
        v++;
    assert_string_equal(mu_scan_variant(v)->name, "baseline");
    assert_ptr_equal(mu_scan_best(), mu_scan_variant(0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_scan_variant__random_columns__equals_formulas),
        cmocka_unit_test(test_scan_variant__last__runs_everywhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
