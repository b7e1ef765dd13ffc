#include "shards/bucket.h"

#include "tests/mu_test.h"

enum { MEMBERS_MAX = 64, EPSILON = 20 };
__extension__ typedef unsigned __int128 u128;

static uint32_t weights[MU_BUCKETS];
static struct mu_bucket_table table;
static struct mu_bucket_table next_table;

static int reset(void **state)
{
    (void)state;
    mu_bucket_table_init(&table);
    memset(weights, 0, sizeof weights);
    return 0;
}

static int advance(const struct mu_bucket_member *members, uint32_t count)
{
    struct mu_error error;
    return mu_bucket_table_next(&table, members, count, weights, EPSILON, &table, &error);
}

static uint32_t imbalance(const struct mu_bucket_member *members, uint32_t count)
{
    return mu_bucket_imbalance_permille(&table, members, count, weights);
}

/* ---- errors ---- */

static void check_refused(const struct mu_bucket_member *members, uint32_t count, uint32_t epsilon,
                          const char *part_of_text)
{
    struct mu_error error = {0};
    memset(&next_table, 0x5A, sizeof next_table);
    static struct mu_bucket_table untouched;
    memset(&untouched, 0x5A, sizeof untouched);
    assert_int_equal(
        mu_bucket_table_next(&table, members, count, weights, epsilon, &next_table, &error),
        MU_EINVAL);
    assert_non_null(strstr(error.text, part_of_text));
    assert_memory_equal(&next_table, &untouched, sizeof untouched);
}

static void test_bucket_table_next__bad_input__refused(void **state)
{
    (void)state;
    const struct mu_bucket_member ok[] = {{3, 1}};
    const struct mu_bucket_member weightless[] = {{3, 1}, {4, 0}};
    const struct mu_bucket_member twice[] = {{3, 1}, {5, 1}, {3, 2}};
    const struct mu_bucket_member large[] = {{MU_SHARDS_MAX, 1}};
    check_refused(ok, 0, EPSILON, "0 members");
    check_refused(ok, MU_SHARDS_MAX + 1, EPSILON, "1025 members");
    check_refused(weightless, 2, EPSILON, "shard 4: weight 0");
    check_refused(twice, 3, EPSILON, "shard 3: named twice");
    check_refused(large, 1, EPSILON, "shard 1024");
    check_refused(ok, 1, 1001, "epsilon 1001");
    table.hash_version = 2;
    check_refused(ok, 1, EPSILON, "hash version 2");
}

static bool next_for_fail_each(void *context)
{
    const struct mu_bucket_member members[] = {{0, 1}, {1, 1}};
    (void)context;
    memset(&next_table, 0x5A, sizeof next_table);
    struct mu_error error;
    int rc = mu_bucket_table_next(&table, members, 2, weights, EPSILON, &next_table, &error);
    if (rc == 0)
        return true;
    assert_int_equal(rc, MU_ENOMEM);
    assert_int_equal(next_table.hash_version, 0x5A5A5A5A);
    return false;
}

static void test_bucket_table_next__each_allocation_fails__next_unchanged(void **state)
{
    (void)state;
    assert_int_equal(mu_test_fail_each(next_for_fail_each, NULL), 2);
}

static void test_bucket_of__published_hash__golden(void **state)
{
    (void)state;
    /* XXH64 of "", "a" and "abc" ends in 8e999 ... 6e5b, ... 0999: modulo 16,384 (14 bits). */
    assert_int_equal(mu_bucket_of(MU_STR("")), 0xe999 & 0x3fff);
    assert_int_equal(mu_bucket_of(MU_STR("a")), 0x6e5b & 0x3fff);
    assert_int_equal(mu_bucket_of(MU_STR("abc")), 0x0999 & 0x3fff);
}

/* ---- the naive twin: the rules of bucket.c, by looking at everything each time ---- */

struct twin {
    struct mu_bucket_member members[MEMBERS_MAX]; /* by rising shard number */
    uint32_t count;
    uint16_t owner[MU_BUCKETS];
    uint32_t weight[MU_BUCKETS]; /* of the class at hand; 0: not of the class */
    uint64_t load[MEMBERS_MAX];
    bool passed_over[MEMBERS_MAX];
};
static struct twin twin;

static void twin_loads(void)
{
    memset(twin.load, 0, sizeof twin.load);
    for (uint32_t b = 0; b < MU_BUCKETS; b++) {
        for (uint32_t m = 0; m < twin.count; m++) {
            if (twin.owner[b] == twin.members[m].shard)
                twin.load[m] += twin.weight[b];
        }
    }
}

/* Cross-multiplied level of m against that of n. */
static bool twin_less(uint32_t m, uint32_t n)
{
    return (u128)twin.load[m] * twin.members[n].weight <
           (u128)twin.load[n] * twin.members[m].weight;
}

static uint32_t twin_emptiest(void)
{
    uint32_t best = 0;
    for (uint32_t m = 1; m < twin.count; m++)
        best = twin_less(m, best) ? m : best;
    return best;
}

static uint32_t twin_fullest(void)
{
    uint32_t best = MEMBERS_MAX;
    for (uint32_t m = 0; m < twin.count; m++) {
        if (!twin.passed_over[m] && (best == MEMBERS_MAX || twin_less(best, m)))
            best = m;
    }
    return best;
}

static void twin_orphans(uint32_t heaviest)
{
    for (uint32_t w = heaviest; w > 0; w--) {
        for (uint32_t b = 0; b < MU_BUCKETS; b++) {
            if (twin.weight[b] != w || twin.owner[b] != MU_BUCKET_NONE)
                continue;
            uint32_t m = twin_emptiest();
            twin.owner[b] = twin.members[m].shard;
            twin.load[m] += w;
        }
    }
}

/* Heaviest bucket of `from` that weighs at most cap (lowest number wins), or lightest at all
 * (highest number wins); MU_BUCKETS: none. */
static uint32_t twin_pick(uint32_t from, uint64_t cap, bool lightest)
{
    uint32_t best = MU_BUCKETS;
    for (uint32_t b = 0; b < MU_BUCKETS; b++) {
        uint32_t w = twin.weight[b];
        if (w == 0 || twin.owner[b] != twin.members[from].shard || (!lightest && w > cap))
            continue;
        if (best == MU_BUCKETS || (lightest ? w <= twin.weight[best] : w > twin.weight[best]))
            best = b;
    }
    return best;
}

static void twin_even_out(void)
{
    uint64_t total = 0;
    uint64_t sum = 0;
    for (uint32_t b = 0; b < MU_BUCKETS; b++)
        total += twin.weight[b];
    for (uint32_t m = 0; m < twin.count; m++)
        sum += twin.members[m].weight;
    memset(twin.passed_over, 0, sizeof twin.passed_over);
    for (;;) {
        uint32_t from = twin_fullest();
        uint32_t to = twin_emptiest();
        if (from == MEMBERS_MAX || from == to)
            return;
        u128 share_from = (u128)total * twin.members[from].weight; /* times sum */
        u128 share_to = (u128)total * twin.members[to].weight;
        if ((u128)twin.load[from] * sum * 1000 <= share_from * (1000 + EPSILON) &&
            (u128)twin.load[to] * sum * 1000 >= share_to * (1000 - EPSILON))
            return;
        uint64_t cap = 0;
        while ((u128)(twin.load[from] - cap) * sum > share_from &&
               (u128)(twin.load[to] + cap) * sum < share_to)
            cap++; /* one beyond, unless both shares are met exactly */
        while (cap > 0 && ((u128)(twin.load[from] - cap) * sum < share_from ||
                           (u128)(twin.load[to] + cap) * sum > share_to))
            cap--;
        uint32_t b = twin_pick(from, cap, false);
        if (b == MU_BUCKETS) {
            b = twin_pick(from, 0, true);
            if (b != MU_BUCKETS &&
                (u128)(twin.load[to] + twin.weight[b]) * twin.members[from].weight >
                    (u128)(twin.load[from] - twin.weight[b]) * twin.members[to].weight)
                b = MU_BUCKETS;
        }
        if (b == MU_BUCKETS) {
            twin.passed_over[from] = true;
            continue;
        }
        twin.owner[b] = twin.members[to].shard;
        twin.load[from] -= twin.weight[b];
        twin.load[to] += twin.weight[b];
    }
}

static void twin_next(uint32_t heaviest)
{
    for (uint32_t b = 0; b < MU_BUCKETS; b++) {
        bool owned = false;
        for (uint32_t m = 0; m < twin.count; m++)
            owned |= twin.owner[b] == twin.members[m].shard;
        if (!owned)
            twin.owner[b] = MU_BUCKET_NONE;
    }
    for (int weighted = 1; weighted >= 0; weighted--) {
        for (uint32_t b = 0; b < MU_BUCKETS; b++)
            twin.weight[b] = weighted ? weights[b] : weights[b] == 0;
        twin_loads();
        twin_orphans(weighted ? heaviest : 1);
        twin_even_out();
    }
}

/* Join, leave or re-weigh members, or change bucket weights. Members stay sorted. */
static void change_something(struct mu_test_run *run, uint32_t heaviest)
{
    uint64_t what = mu_random_below(&run->random, 4);
    if (twin.count == 0 || (what == 0 && twin.count < MEMBERS_MAX)) {
        uint16_t shard = (uint16_t)mu_random_below(&run->random, MU_SHARDS_MAX);
        uint32_t at = 0;
        while (at < twin.count && twin.members[at].shard < shard)
            at++;
        if (at < twin.count && twin.members[at].shard == shard)
            return;
        memmove(&twin.members[at + 1], &twin.members[at],
                (twin.count - at) * sizeof twin.members[0]);
        uint32_t weight = 1 + (uint32_t)mu_random_below(&run->random, 3);
        twin.members[at] = (struct mu_bucket_member){shard, weight};
        twin.count++;
    } else if (what == 1 && twin.count > 1) {
        uint32_t at = (uint32_t)mu_random_below(&run->random, twin.count);
        memmove(&twin.members[at], &twin.members[at + 1],
                (twin.count - at - 1) * sizeof twin.members[0]);
        twin.count--;
    } else if (what == 2) {
        uint32_t at = (uint32_t)mu_random_below(&run->random, twin.count);
        twin.members[at].weight = 1 + (uint32_t)mu_random_below(&run->random, 3);
    } else {
        for (int i = 0; i < 1000; i++) {
            uint32_t b = (uint32_t)mu_random_below(&run->random, MU_BUCKETS);
            bool empty = mu_random_chance(&run->random, 300);
            weights[b] = empty ? 0 : (uint32_t)mu_random_below(&run->random, heaviest + 1);
        }
    }
}

static void run_against_twin(uint64_t seed, uint32_t heaviest, uint32_t start_members,
                             uint32_t steps)
{
    struct mu_test_run run = mu_test_run_begin(seed);
    (void)reset(NULL);
    memset(&twin, 0, sizeof twin);
    memcpy(twin.owner, table.owner, sizeof twin.owner);
    for (uint32_t i = 0; i < start_members; i++)
        twin.members[twin.count++] = (struct mu_bucket_member){(uint16_t)(i * 7), 1 + i % 2};
    for (; run.step < steps; run.step++) {
        change_something(&run, heaviest);
        struct mu_bucket_member shuffled[MEMBERS_MAX];
        memcpy(shuffled, twin.members, sizeof shuffled);
        for (uint32_t i = twin.count; i > 1; i--) {
            uint32_t j = (uint32_t)mu_random_below(&run.random, i);
            struct mu_bucket_member swap = shuffled[i - 1];
            shuffled[i - 1] = shuffled[j];
            shuffled[j] = swap;
        }
        uint64_t epoch = table.epoch;
        bool same = true;
        twin_next(heaviest);
        for (uint32_t b = 0; b < MU_BUCKETS; b++)
            same &= twin.owner[b] == table.owner[b];
        MU_TEST_CHECK(&run, advance(shuffled, twin.count) == 0);
        MU_TEST_CHECK(&run, memcmp(table.owner, twin.owner, sizeof twin.owner) == 0);
        MU_TEST_CHECK(&run, table.epoch == epoch + (same ? 0 : 1));
    }
}

static void test_bucket_table_next__random_changes__equals_twin(void **state)
{
    (void)state;
    run_against_twin(1, 40, 0, 20);
    run_against_twin(2, 3, 20, 10);
    run_against_twin(3, 500, 50, 6);
}

/* ---- properties ---- */

/* Weights as a million nodes of mixed size give them. */
static void weigh_like_nodes(struct mu_random *random, uint32_t nodes)
{
    static const uint32_t sizes[] = {8, 16, 16, 32, 64, 96};
    memset(weights, 0, sizeof weights);
    for (uint32_t i = 0; i < nodes; i++)
        weights[mu_random_below(random, MU_BUCKETS)] += sizes[mu_random_below(random, 6)];
}

static uint64_t moved_weight(const struct mu_bucket_table *a, const struct mu_bucket_table *b)
{
    uint64_t moved = 0;
    for (uint32_t i = 0; i < MU_BUCKETS; i++)
        moved += a->owner[i] != b->owner[i] ? weights[i] : 0;
    return moved;
}

static uint64_t total_weight(void)
{
    uint64_t total = 0;
    for (uint32_t i = 0; i < MU_BUCKETS; i++)
        total += weights[i];
    return total;
}

static void test_bucket_table_next__add_and_remove_member__moves_about_the_ideal(void **state)
{
    (void)state;
    struct mu_random random;
    mu_random_init_seed(&random, 5);
    weigh_like_nodes(&random, 1000000);
    struct mu_bucket_member members[257];
    uint64_t weight_sum = 0;
    for (uint16_t i = 0; i < 257; i++) {
        members[i] = (struct mu_bucket_member){i, 1 + i % 2};
        weight_sum += members[i].weight;
    }
    uint64_t total = total_weight();
    assert_int_equal(advance(members, 256), 0);
    assert_int_equal(table.epoch, 1);
    assert_true(imbalance(members, 256) <= 1000 + EPSILON);
    /* Again: nothing to do. */
    assert_int_equal(advance(members, 256), 0);
    assert_int_equal(table.epoch, 1);

    static struct mu_bucket_table before;
    before = table;
    assert_int_equal(advance(members, 257), 0);
    assert_true(imbalance(members, 257) <= 1000 + EPSILON);
    uint64_t ideal = total * members[256].weight / weight_sum;
    uint64_t moved = moved_weight(&before, &table);
    assert_true(moved >= ideal * 97 / 100 && moved <= ideal * 103 / 100);
    for (uint32_t i = 0; i < MU_BUCKETS; i++) /* what moved, moved to the new member */
        assert_true(table.owner[i] == before.owner[i] || table.owner[i] == 256);

    before = table;
    assert_int_equal(advance(members + 1, 256), 0); /* shard 0 leaves */
    /* A shard of weight 1 has some 42 buckets of 2.4 % each: the band may be out of reach. */
    assert_true(imbalance(members + 1, 256) <= 1000 + EPSILON + 10);
    ideal = total * members[0].weight / weight_sum;
    moved = moved_weight(&before, &table);
    assert_true(moved <= ideal * 110 / 100);
    for (uint32_t i = 0; i < MU_BUCKETS; i++)
        assert_true(table.owner[i] != 0);
}

static void test_bucket_table_next__drift_within_the_band__nothing_moves(void **state)
{
    (void)state;
    const struct mu_bucket_member members[] = {{0, 1}, {1, 1}};
    for (uint32_t i = 0; i < MU_BUCKETS; i++)
        weights[i] = 100;
    assert_int_equal(advance(members, 2), 0);
    for (uint32_t i = 0; i < MU_BUCKETS; i++) {
        if (table.owner[i] == 0)
            weights[i] = 103; /* about 1.5 % above the share */
    }
    assert_int_equal(advance(members, 2), 0);
    assert_int_equal(table.epoch, 1);
    assert_in_range(imbalance(members, 2), 1014, 1015);
    for (uint32_t i = 0; i < MU_BUCKETS; i++) {
        if (table.owner[i] == 0)
            weights[i] = 110;
    }
    assert_int_equal(advance(members, 2), 0);
    assert_int_equal(table.epoch, 2);
    assert_true(imbalance(members, 2) <= 1000 + EPSILON);
}

static void test_bucket_table_next__no_weights__even_by_number(void **state)
{
    (void)state;
    const struct mu_bucket_member members[] = {{9, 1}, {2, 2}, {700, 1}};
    uint32_t counts[MU_SHARDS_MAX] = {0};
    assert_int_equal(advance(members, 3), 0);
    for (uint32_t i = 0; i < MU_BUCKETS; i++)
        counts[table.owner[i]]++;
    assert_int_equal(counts[9], 4096);
    assert_int_equal(counts[2], 8192);
    assert_int_equal(counts[700], 4096);
    assert_int_equal(imbalance(members, 3), 1000);
}

static void test_bucket_table_next__one_huge_bucket__the_others_even_out(void **state)
{
    (void)state;
    struct mu_bucket_member members[5];
    for (uint16_t i = 0; i < 5; i++)
        members[i] = (struct mu_bucket_member){i, 1};
    for (uint32_t i = 0; i < MU_BUCKETS; i++)
        weights[i] = 1;
    weights[77] = UINT32_MAX;
    assert_int_equal(advance(members, 4), 0);
    assert_int_equal(advance(members, 5), 0);
    uint64_t load[5] = {0};
    for (uint32_t i = 0; i < MU_BUCKETS; i++)
        load[table.owner[i]] += weights[i];
    uint16_t holder = table.owner[77];
    assert_true(load[holder] == UINT32_MAX); /* and nothing else */
    for (uint16_t i = 0; i < 5; i++) {
        if (i != holder)
            assert_in_range(load[i], 4000, 4200);
    }
    assert_in_range(imbalance(members, 5), 4999, 5000);
}

static void test_bucket_table_next__single_member_and_all_replaced__owns_all(void **state)
{
    (void)state;
    const struct mu_bucket_member first[] = {{1023, 1}};
    const struct mu_bucket_member second[] = {{0, UINT32_MAX}};
    for (uint32_t i = 0; i < MU_BUCKETS; i++)
        weights[i] = UINT32_MAX; /* the largest sums there can be */
    assert_int_equal(advance(first, 1), 0);
    assert_int_equal(advance(second, 1), 0);
    for (uint32_t i = 0; i < MU_BUCKETS; i++)
        assert_int_equal(table.owner[i], 0);
    assert_int_equal(imbalance(second, 1), 1000);
    table.owner[5] = 1022; /* of nobody: a table from outside may say anything */
    table.owner[6] = UINT16_MAX - 1;
    assert_int_equal(advance(second, 1), 0);
    assert_int_equal(table.owner[5], 0);
    assert_int_equal(table.owner[6], 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_bucket_table_next__bad_input__refused, reset),
        cmocka_unit_test_setup(test_bucket_table_next__each_allocation_fails__next_unchanged,
                               reset),
        cmocka_unit_test_setup(test_bucket_of__published_hash__golden, reset),
        cmocka_unit_test_setup(test_bucket_table_next__single_member_and_all_replaced__owns_all,
                               reset),
        cmocka_unit_test_setup(test_bucket_table_next__no_weights__even_by_number, reset),
        cmocka_unit_test_setup(test_bucket_table_next__one_huge_bucket__the_others_even_out, reset),
        cmocka_unit_test_setup(test_bucket_table_next__drift_within_the_band__nothing_moves, reset),
        cmocka_unit_test_setup(test_bucket_table_next__random_changes__equals_twin, reset),
        cmocka_unit_test_setup(test_bucket_table_next__add_and_remove_member__moves_about_the_ideal,
                               reset),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
