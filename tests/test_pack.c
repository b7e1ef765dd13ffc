/*
 * Packing against an exhaustive twin on small instances, which it must always decide; larger ones
 * within a budget; and what may not change the answer: more room, bins in another order.
 */
#include "tests/mu_test.h"

#include "engine/base/error.h"
#include "engine/session/pack.h"

#define BINS  6
#define ITEMS 8
#define DIMS  3

/* What is sure to suffice for ITEMS items and BINS bins. */
#define STEPS_SMALL 100000u

struct instance {
    struct mu_pack pack;
    uint32_t bin_types[BINS];
    int64_t room[BINS * DIMS]; /* as asked; the pack works on a copy */
    int64_t scratch[BINS * DIMS];
};

static void instance_random(struct instance *x, struct mu_random *random)
{
    static const int64_t sizes[] = {1, 1, 2, 3, 4, 4, 6, 8};
    *x = (struct instance){0};
    struct mu_pack *p = &x->pack;
    p->dim_count = 1 + (uint32_t)mu_random_below(random, DIMS);
    p->type_count = 1 + (uint32_t)mu_random_below(random, 4);
    p->part_count = 1 + (uint32_t)mu_random_below(random, 2);
    p->bin_count = (uint32_t)mu_random_below(random, BINS + 1);
    uint32_t left = ITEMS, in_part[2] = {0, 0};
    for (uint32_t t = 0; t < p->type_count; t++) {
        struct mu_pack_type *type = &p->types[t];
        uint32_t others = p->type_count - t - 1;
        type->count = 1 + (uint32_t)mu_random_below(random, left - others);
        left -= type->count;
        type->part = (uint32_t)mu_random_below(random, p->part_count);
        in_part[type->part] += type->count;
        for (uint32_t d = 0; d < p->dim_count; d++)
            type->demand[d] =
                d == 0 || mu_random_chance(random, 700) ? sizes[mu_random_below(random, 8)] : 0;
    }
    uint32_t least = 0;
    for (uint32_t part = 0; part < p->part_count; part++) {
        p->part_need[part] = mu_random_chance(random, 600)
                                 ? in_part[part]
                                 : (uint32_t)mu_random_below(random, in_part[part] + 1);
        least += p->part_need[part];
    }
    p->need = least + (uint32_t)mu_random_below(random, ITEMS - left - least + 1);
    int64_t most = 4 + (int64_t)mu_random_below(random, 20);
    for (uint32_t b = 0; b < p->bin_count; b++) {
        x->bin_types[b] =
            mu_random_chance(random, 700) ? 15 : (uint32_t)mu_random_below(random, 16);
        x->bin_types[b] &= (1u << p->type_count) - 1;
        for (uint32_t d = 0; d < p->dim_count; d++)
            x->room[b * p->dim_count + d] = (int64_t)mu_random_below(random, (uint64_t)most) - 1;
    }
}

static struct mu_pack_result solve(struct mu_test_run *run, struct instance *x, uint64_t steps,
                                   struct mu_arena *arena)
{
    struct mu_pack_result result;
    mu_arena_reset(arena);
    x->pack.bin_types = x->bin_types;
    x->pack.bin_free = x->scratch;
    memcpy(x->scratch, x->room, sizeof x->scratch);
    MU_TEST_CHECK(run, mu_pack_solve(&x->pack, steps, arena, &result) == 0);
    return result;
}

static bool goes_into(const struct instance *x, const int64_t *room, uint32_t b, uint32_t t)
{
    bool goes = (x->bin_types[b] >> t & 1) != 0;
    for (uint32_t d = 0; d < x->pack.dim_count; d++) {
        int64_t demand = x->pack.types[t].demand[d];
        goes = goes && (demand == 0 || room[b * x->pack.dim_count + d] >= demand);
    }
    return goes;
}

static void put(const struct instance *x, int64_t *room, uint32_t b, uint32_t t, int sign)
{
    for (uint32_t d = 0; d < x->pack.dim_count; d++)
        room[b * x->pack.dim_count + d] -= sign * x->pack.types[t].demand[d];
}

static bool is_wanted(const struct instance *x, const uint32_t *placed)
{
    uint32_t part[MU_SUBGROUPS_MAX] = {0}, all = 0;
    for (uint32_t t = 0; t < x->pack.type_count; t++) {
        part[x->pack.types[t].part] += placed[t];
        all += placed[t];
    }
    bool wanted = all >= x->pack.need;
    for (uint32_t p = 0; p < x->pack.part_count; p++)
        wanted = wanted && part[p] >= x->pack.part_need[p];
    return wanted;
}

/* Every way to put the items from the nth of type t on: into a bin not before the last one's, since
 * they are alike, or nowhere. */
static bool any_way(const struct instance *x, int64_t *room, uint32_t t, uint32_t nth,
                    uint32_t from, uint32_t *placed)
{
    if (is_wanted(x, placed))
        return true;
    if (t == x->pack.type_count)
        return false;
    if (nth == x->pack.types[t].count)
        return any_way(x, room, t + 1, 0, 0, placed);
    for (uint32_t b = from; b < x->pack.bin_count; b++) {
        if (!goes_into(x, room, b, t))
            continue;
        put(x, room, b, t, 1);
        placed[t]++;
        bool found = any_way(x, room, t, nth + 1, b, placed);
        placed[t]--;
        put(x, room, b, t, -1);
        if (found)
            return true;
    }
    return any_way(x, room, t + 1, 0, 0, placed);
}

static bool exhaustive(const struct instance *x)
{
    int64_t room[BINS * DIMS];
    uint32_t placed[MU_PACK_TYPES_MAX] = {0};
    memcpy(room, x->room, sizeof room);
    return any_way(x, room, 0, 0, 0, placed);
}

/* What is put fits, and is what is wanted. */
static void puts_check(struct mu_test_run *run, const struct instance *x,
                       const struct mu_pack_result *result)
{
    int64_t room[BINS * DIMS];
    uint32_t placed[MU_PACK_TYPES_MAX] = {0};
    memcpy(room, x->room, sizeof room);
    for (uint32_t i = 0; i < result->put_count; i++) {
        for (uint32_t n = 0; n < result->puts[i].count; n++) {
            MU_TEST_CHECK(run, goes_into(x, room, result->puts[i].bin, result->puts[i].type));
            put(x, room, result->puts[i].bin, result->puts[i].type, 1);
            placed[result->puts[i].type]++;
        }
    }
    for (uint32_t t = 0; t < x->pack.type_count; t++)
        MU_TEST_CHECK(run, placed[t] <= x->pack.types[t].count);
    MU_TEST_CHECK(run, is_wanted(x, placed));
}

static void test_pack_solve__random_small__equals_exhaustive(void **state)
{
    (void)state;
    struct mu_test_run run = mu_test_run_begin(1);
    struct mu_arena *arena = mu_arena_create(64u << 20);
    uint32_t answers[3] = {0};
    uint64_t steps_most = 0;
    for (run.step = 0; run.step < 20000; run.step++) {
        struct instance x;
        instance_random(&x, &run.random);
        struct mu_pack_result result = solve(&run, &x, STEPS_SMALL, arena);
        answers[result.answer]++;
        steps_most = result.steps > steps_most ? result.steps : steps_most;
        MU_TEST_CHECK(&run, result.answer == (exhaustive(&x) ? MU_PACK_FIT : MU_PACK_NO));
        if (result.answer == MU_PACK_FIT)
            puts_check(&run, &x, &result);
    }
    print_message("fit %u, no %u, at most %llu steps\n", answers[MU_PACK_FIT], answers[MU_PACK_NO],
                  (unsigned long long)steps_most);
    assert_true(answers[MU_PACK_FIT] > 1000 && answers[MU_PACK_NO] > 1000);
    mu_arena_destroy(arena);
}

static void test_pack_solve__more_room_or_another_order__no_worse(void **state)
{
    (void)state;
    struct mu_test_run run = mu_test_run_begin(2);
    struct mu_arena *arena = mu_arena_create(64u << 20);
    uint32_t fits = 0;
    for (run.step = 0; run.step < 5000; run.step++) {
        struct instance x, turned;
        instance_random(&x, &run.random);
        bool fit = solve(&run, &x, STEPS_SMALL, arena).answer == MU_PACK_FIT;
        fits += fit;
        turned = x;
        uint32_t bins = x.pack.bin_count, dims = x.pack.dim_count;
        for (uint32_t b = 0; b < bins; b++) {
            turned.bin_types[b] = x.bin_types[bins - 1 - b];
            memcpy(&turned.room[b * dims], &x.room[(bins - 1 - b) * dims], dims * sizeof *x.room);
        }
        MU_TEST_CHECK(&run,
                      (solve(&run, &turned, STEPS_SMALL, arena).answer == MU_PACK_FIT) == fit);
        if (bins == 0 || !fit)
            continue;
        x.room[mu_random_below(&run.random, bins * dims)] +=
            1 + (int64_t)mu_random_below(&run.random, 4);
        x.bin_types[mu_random_below(&run.random, bins)] |= (1u << x.pack.type_count) - 1;
        MU_TEST_CHECK(&run, solve(&run, &x, STEPS_SMALL, arena).answer == MU_PACK_FIT);
    }
    assert_true(fits > 500);
    mu_arena_destroy(arena);
}

/* Without steps it is never wrong: what is undecided may be either. */
static void test_pack_solve__few_steps__undecided_or_right(void **state)
{
    (void)state;
    struct mu_test_run run = mu_test_run_begin(3);
    struct mu_arena *arena = mu_arena_create(64u << 20);
    uint32_t undecided = 0;
    for (run.step = 0; run.step < 5000; run.step++) {
        struct instance x;
        instance_random(&x, &run.random);
        uint64_t budget = mu_random_below(&run.random, 30);
        struct mu_pack_result result = solve(&run, &x, budget, arena);
        undecided += result.answer == MU_PACK_UNDECIDED;
        if (result.answer != MU_PACK_UNDECIDED)
            MU_TEST_CHECK(&run, exhaustive(&x) == (result.answer == MU_PACK_FIT));
        MU_TEST_CHECK(&run, result.steps <= budget + 100);
    }
    assert_true(undecided > 100);
    mu_arena_destroy(arena);
}

/* ---- larger ones, with an answer that is known ------------------------------------------------
 */

struct large {
    struct mu_pack pack;
    uint32_t *bin_types;
    int64_t *room;
};

static void large_make(struct large *x, uint32_t bins, uint32_t dims)
{
    *x = (struct large){.pack = {.dim_count = dims, .part_count = 1, .bin_count = bins}};
    x->bin_types = mu_mem_calloc(bins, sizeof *x->bin_types);
    x->room = mu_mem_calloc((size_t)bins * dims, sizeof *x->room);
    assert_true(x->bin_types != NULL && x->room != NULL);
    x->pack.bin_types = x->bin_types;
    x->pack.bin_free = x->room;
}

static void large_fini(struct large *x)
{
    mu_mem_free(x->bin_types);
    mu_mem_free(x->room);
}

/* Bins are cut from full ones, so that only a packing without any waste holds all. */
static void test_pack_solve__no_waste_allowed__found(void **state)
{
    (void)state;
    struct mu_arena *arena = mu_arena_create(64u << 20);
    struct mu_pack_result result;
    struct large x;
    large_make(&x, 200, 2);
    for (uint32_t b = 0; b < 200; b++) { /* a 5 and a 3, or four 2, beside memory that is ample */
        x.bin_types[b] = 7;
        x.room[2 * b] = 8;
        x.room[2 * b + 1] = 100 + b;
    }
    x.pack.type_count = 3;
    x.pack.types[0] = (struct mu_pack_type){.count = 100, .demand = {5, 1}};
    x.pack.types[1] = (struct mu_pack_type){.count = 100, .demand = {3, 1}};
    x.pack.types[2] = (struct mu_pack_type){.count = 400, .demand = {2, 1}};
    x.pack.need = x.pack.part_need[0] = 600;
    assert_int_equal(mu_pack_solve(&x.pack, 100000, arena, &result), 0);
    assert_int_equal(result.answer, MU_PACK_FIT);
    mu_arena_reset(arena);
    for (uint32_t b = 0; b < 200; b++)
        x.room[2 * b] = b == 0 ? 7 : 8; /* one less is one too few */
    assert_int_equal(mu_pack_solve(&x.pack, 100000, arena, &result), 0);
    assert_int_equal(result.answer, MU_PACK_NO);
    large_fini(&x);
    mu_arena_destroy(arena);
}

/* Two types share the only bins that each may use; sums and places of each alone suffice. */
static void test_pack_solve__hall_condition_broken__refuted_without_search(void **state)
{
    (void)state;
    struct mu_arena *arena = mu_arena_create(64u << 20);
    struct mu_pack_result result;
    struct large x;
    large_make(&x, 60, 1);
    for (uint32_t b = 0; b < 60; b++) {
        x.bin_types[b] = b < 29 ? 3 : 4;
        x.room[b] = 10;
    }
    x.pack.type_count = 3;
    x.pack.types[0] = (struct mu_pack_type){.count = 15, .demand = {7}};
    x.pack.types[1] = (struct mu_pack_type){.count = 15, .demand = {6}};
    x.pack.types[2] = (struct mu_pack_type){.count = 5, .demand = {1}};
    x.pack.need = x.pack.part_need[0] = 35;
    assert_int_equal(mu_pack_solve(&x.pack, 1000, arena, &result), 0);
    assert_int_equal(result.answer, MU_PACK_NO);
    assert_true(result.steps < 100);
    large_fini(&x);
    mu_arena_destroy(arena);
}

static void test_pack_solve__amounts_near_the_end_of_the_range__no_overflow(void **state)
{
    (void)state;
    struct mu_arena *arena = mu_arena_create(64u << 20);
    struct mu_pack_result result;
    struct large x;
    large_make(&x, 3, 1);
    for (uint32_t b = 0; b < 3; b++) {
        x.bin_types[b] = 3;
        x.room[b] = INT64_MAX / 2;
    }
    x.pack.type_count = 2;
    x.pack.types[0] = (struct mu_pack_type){.count = 2, .demand = {INT64_MAX / 2}};
    x.pack.types[1] = (struct mu_pack_type){.count = 2, .demand = {INT64_MAX / 4}};
    x.pack.need = x.pack.part_need[0] = 4;
    assert_int_equal(mu_pack_solve(&x.pack, 1000, arena, &result), 0);
    assert_int_equal(result.answer, MU_PACK_FIT);
    x.pack.types[1].demand[0]++;
    mu_arena_reset(arena);
    for (uint32_t b = 0; b < 3; b++)
        x.room[b] = INT64_MAX / 2;
    assert_int_equal(mu_pack_solve(&x.pack, 1000, arena, &result), 0);
    assert_int_equal(result.answer, MU_PACK_NO);
    large_fini(&x);
    mu_arena_destroy(arena);
}

static void test_pack_solve__arena_too_small__no_memory(void **state)
{
    (void)state;
    struct mu_test_run run = mu_test_run_begin(4);
    struct instance x;
    struct mu_pack_result result;
    uint32_t short_of = 0;
    do
        instance_random(&x, &run.random);
    while (x.pack.bin_count < BINS || x.pack.type_count < 3);
    for (size_t bytes = 64; bytes < 8u << 20; bytes *= 2) {
        struct mu_arena *arena = mu_arena_create(bytes);
        assert_non_null(arena);
        x.pack.bin_types = x.bin_types;
        x.pack.bin_free = x.scratch;
        memcpy(x.scratch, x.room, sizeof x.scratch);
        int error = mu_pack_solve(&x.pack, 1000, arena, &result);
        assert_true(error == 0 || error == MU_ENOMEM);
        short_of += error != 0;
        mu_arena_destroy(arena);
    }
    assert_true(short_of > 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pack_solve__arena_too_small__no_memory),
        cmocka_unit_test(test_pack_solve__random_small__equals_exhaustive),
        cmocka_unit_test(test_pack_solve__more_room_or_another_order__no_worse),
        cmocka_unit_test(test_pack_solve__few_steps__undecided_or_right),
        cmocka_unit_test(test_pack_solve__no_waste_allowed__found),
        cmocka_unit_test(test_pack_solve__hall_condition_broken__refuted_without_search),
        cmocka_unit_test(test_pack_solve__amounts_near_the_end_of_the_range__no_overflow),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
