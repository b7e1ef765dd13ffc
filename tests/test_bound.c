/*
 * A class's own bounds, its tree and ranks against the search over all summaries, change by change:
 * room taken and given back, runs and changes of class, memory that runs out.
 */
#include "tests/mu_test.h"

#include "engine/base/error.h"
#include "engine/place/bound.h"
#include "engine/place/hot.h"
#include "engine/place/rank.h"
#include "tests/support/cluster_random.h"

#define CLASSES 12
#define TAKEN   256

struct fixture {
    struct mu_test_run *run;
    struct mu_cluster cluster;
    struct mu_profile profile;
    struct mu_room room;
    struct mu_bounds bounds;
    struct mu_hot hot;
    struct mu_rank rank;
    uint32_t ranked, unranked; /* questions that ranks answered, and did not */
    struct mu_filter *filter;
    struct {
        struct mu_class_ix ix;
        uint64_t id;
        const struct mu_filter_mask *mask;
        struct mu_scan_need *need;
        uint32_t slot;
        bool asks; /* nothing that no node has */
    } classes[CLASSES];
    uint32_t taken_class[TAKEN], taken_row[TAKEN], taken_count;
};

static void classes_open(struct fixture *f)
{
    struct mu_snapshot *s = &f->cluster.snapshot;
    for (uint32_t c = 0; c < CLASSES; c++) {
        const struct mu_class *class_ = mu_model_get_class(s->model, f->classes[c].ix);
        uint64_t resources = UINT64_C(1) << MU_RES_PODS;
        f->classes[c].id = class_->id;
        f->classes[c].asks = !class_->impossible;
        for (uint32_t d = 0; d < class_->demand_count; d++) {
            resources |= UINT64_C(1) << class_->demands[d].resource.v;
            f->classes[c].asks =
                f->classes[c].asks && mu_filter_known(s, class_->demands[d].resource);
        }
        if (!f->classes[c].asks)
            continue;
        f->classes[c].need = mu_mem_zalloc(sizeof *f->classes[c].need +
                                           (class_->demand_count + class_->padding_count + 1) *
                                               sizeof(struct mu_scan_demand));
        assert_non_null(f->classes[c].need);
        mu_room_need(&f->room, class_, f->classes[c].need);
        assert_int_equal(mu_filter_mask(f->filter, class_, &f->classes[c].mask), 0);
        assert_int_equal(mu_room_prepare(&f->room, resources), 0);
    }
}

static void fixture_open(struct fixture *f, struct mu_test_run *run, uint32_t nodes_max,
                         const struct mu_scan_ops *ops)
{
    struct mu_class_ix ixs[CLASSES];
    const struct mu_cluster_shape shape = {.nodes_max = nodes_max, .classes = CLASSES};
    memset(f, 0, sizeof *f);
    f->run = run;
    do {
        if (f->cluster.model != NULL)
            mu_cluster_fini(&f->cluster);
        mu_cluster_random(&f->cluster, &run->random, &shape, ixs);
    } while (f->cluster.snapshot.node_rows <= MU_NODE_CHUNK);
    mu_profile_random(&run->random, &f->profile);
    mu_room_init(&f->room, ops, &f->profile);
    mu_bounds_init(&f->bounds);
    mu_hot_init(&f->hot);
    mu_rank_init(&f->rank);
    f->filter = mu_filter_create(ops);
    assert_non_null(f->filter);
    mu_filter_begin(f->filter, &f->cluster.snapshot);
    mu_room_begin(&f->room, &f->cluster.snapshot);
    for (uint32_t c = 0; c < CLASSES; c++)
        f->classes[c].ix = ixs[c];
    classes_open(f);
}

static void fixture_close(struct fixture *f)
{
    for (uint32_t c = 0; c < CLASSES; c++)
        mu_mem_free(f->classes[c].need);
    mu_filter_destroy(f->filter);
    mu_hot_fini(&f->hot);
    mu_rank_fini(&f->rank);
    mu_bounds_fini(&f->bounds);
    mu_room_fini(&f->room);
    mu_cluster_fini(&f->cluster);
}

/* Ranks say nothing, or what the search says. */
static void pick_ranked(struct fixture *f, uint32_t c, uint32_t want)
{
    const struct mu_scan_need *need = f->classes[c].need;
    uint32_t row = 0;
    if (!mu_rank_serves(&f->rank, &f->room, need))
        return;
    if (mu_rank_missing(&f->rank, &f->room) == UINT64_MAX &&
        mu_rank_build(&f->rank, &f->room) != 0) {
        MU_TEST_CHECK(f->run, !mu_rank_serves(&f->rank, &f->room, need));
        return;
    }
    bool answered = mu_rank_best(&f->rank, &f->room, need, f->classes[c].mask, &row);
    MU_TEST_CHECK(f->run, !answered || row == want);
    f->ranked += answered;
    f->unranked += !answered;
}

/* All agree, and the best row is taken. */
static void pick(struct fixture *f, uint32_t c)
{
    struct mu_scan_need *need = f->classes[c].need;
    const struct mu_filter_mask *mask = f->classes[c].mask;
    uint32_t want = mu_room_best(&f->room, need, mask), row = 0;
    MU_TEST_CHECK(f->run, mu_bounds_best(&f->bounds, &f->room, &f->classes[c].slot,
                                         f->classes[c].id, 1, need, mask, &row) == 0);
    MU_TEST_CHECK(f->run, row == want);
    struct mu_hot_tree *tree = mu_hot_find(&f->hot, &f->room, f->classes[c].id, 1, MU_ROOM_LOG);
    if (tree == NULL)
        tree = mu_hot_build(&f->hot, &f->room, f->classes[c].id, 1, need, mask);
    MU_TEST_CHECK(f->run, tree != NULL);
    MU_TEST_CHECK(f->run, mu_hot_best(&f->hot, tree, &f->room, need, mask) == want);
    pick_ranked(f, c, want);
    if (want == MU_NONE || f->taken_count == TAKEN)
        return;
    mu_room_change(&f->room, need, want, 1);
    f->taken_class[f->taken_count] = c;
    f->taken_row[f->taken_count++] = want;
}

static void give_back(struct fixture *f)
{
    uint32_t n = (uint32_t)mu_random_below(&f->run->random, f->taken_count);
    mu_room_change(&f->room, f->classes[f->taken_class[n]].need, f->taken_row[n], -1);
    f->taken_count--;
    f->taken_class[n] = f->taken_class[f->taken_count];
    f->taken_row[n] = f->taken_row[f->taken_count];
}

static void test_bounds_best__random_changes__equals_search(void **state)
{
    (void)state;
    struct mu_test_run run = mu_test_run_begin(71);
    static struct fixture f;
    uint32_t ranked = 0, unranked = 0;
    for (uint32_t v = 0; mu_scan_variant(v) != NULL; v++) {
        for (uint32_t round = 0; round < 14; round++) {
            fixture_open(&f, &run, round < 12 ? 600 : 9000, mu_scan_variant(v));
            for (uint32_t step = 0; step < 1500; step++, run.step++) {
                uint32_t c = (uint32_t)mu_random_below(&run.random, CLASSES);
                if (f.taken_count > 0 && mu_random_chance(&run.random, 300))
                    give_back(&f);
                else if (f.classes[c].asks)
                    pick(&f, c);
                if (mu_random_chance(&run.random, 2))
                    mu_bounds_drop(&f.bounds);
            }
            ranked += f.ranked;
            unranked += f.unranked;
            fixture_close(&f);
        }
    }
    assert_true(ranked > 200 && unranked > 1000);
}

/* More changes than the log keeps: filled anew, and right. */
static void test_bounds_best__log_overrun__filled_anew(void **state)
{
    (void)state;
    struct mu_test_run run = mu_test_run_begin(72);
    static struct fixture f;
    fixture_open(&f, &run, 600, mu_scan_best());
    uint32_t c = 0;
    while (c < CLASSES - 1 && !f.classes[c].asks)
        c++;
    assert_true(f.classes[c].asks);
    pick(&f, c);
    for (uint32_t n = 0; n <= MU_ROOM_LOG; n++)
        mu_room_change(&f.room, f.classes[c].need, n % f.room.rows, n / f.room.rows % 2 ? -1 : 1);
    pick(&f, c);
    fixture_close(&f);
}

static void test_bounds_best__out_of_memory__nothing_changed(void **state)
{
    (void)state;
    struct mu_test_run run = mu_test_run_begin(73);
    static struct fixture f;
    fixture_open(&f, &run, 600, mu_scan_best());
    for (uint32_t c = 0; c < CLASSES; c++) {
        if (!f.classes[c].asks)
            continue;
        uint32_t row = 12345, failures = 0;
        int rc = MU_ENOMEM;
        for (uint64_t nth = 1; rc != 0; nth++) {
            mu_mem_debug_set((struct mu_mem_debug){.fail_nth = nth});
            rc = mu_bounds_best(&f.bounds, &f.room, &f.classes[c].slot, f.classes[c].id, 1,
                                f.classes[c].need, f.classes[c].mask, &row);
            mu_mem_debug_set((struct mu_mem_debug){0});
            assert_true(rc == 0 || row == 12345);
            failures += rc != 0;
        }
        assert_int_equal(row, mu_room_best(&f.room, f.classes[c].need, f.classes[c].mask));
        assert_true(failures > 0);
    }
    fixture_close(&f);
}

/* Nodes of one more kind than ranks keep: they refuse, until the nodes are others. */
static void test_rank_build__too_many_kinds__refused(void **state)
{
    (void)state;
    for (uint32_t kinds = MU_RANK_KINDS; kinds <= MU_RANK_KINDS + 1; kinds++) {
        struct mu_cluster cluster;
        mu_cluster_init(&cluster, 200, 1);
        for (uint32_t n = 0; n < 100; n++) {
            char name[16];
            (void)snprintf(name, sizeof name, "n%u", n);
            (void)mu_cluster_plain_node(&cluster, name, 1000 * (1 + n % kinds), 1 << 30, 110, 0);
        }
        const struct mu_class *class_ = mu_model_get_class(
            cluster.snapshot.model, mu_cluster_plain_class(&cluster, 500, 1 << 20, 0));
        static struct mu_room room;
        struct mu_rank rank;
        struct mu_scan_need *need = mu_mem_zalloc(sizeof *need + 4 * sizeof need->demands[0]);
        assert_non_null(need);
        mu_room_init(&room, mu_scan_best(), &mu_profile_spread);
        mu_room_begin(&room, &cluster.snapshot);
        assert_int_equal(mu_room_prepare(&room, 7), 0);
        mu_room_need(&room, class_, need);
        mu_rank_init(&rank);
        assert_true(mu_rank_serves(&rank, &room, need));
        assert_int_equal(mu_rank_build(&rank, &room), kinds > MU_RANK_KINDS ? MU_ELIMIT : 0);
        assert_true(mu_rank_serves(&rank, &room, need) == (kinds == MU_RANK_KINDS));
        mu_rank_drop(&rank);
        assert_true(mu_rank_serves(&rank, &room, need));
        mu_rank_fini(&rank);
        mu_room_fini(&room);
        mu_mem_free(need);
        mu_cluster_fini(&cluster);
    }
}

static void test_rank_build__out_of_memory__not_built(void **state)
{
    (void)state;
    struct mu_test_run run = mu_test_run_begin(74);
    static struct fixture f;
    do {
        fixture_open(&f, &run, 600, mu_scan_best());
        if (f.room.score.form_count == 1)
            break;
        fixture_close(&f);
    } while (true);
    uint32_t failures = 0;
    int rc = MU_ENOMEM;
    for (uint64_t nth = 1; rc != 0; nth++) {
        mu_mem_debug_set((struct mu_mem_debug){.fail_nth = nth});
        rc = mu_rank_build(&f.rank, &f.room);
        mu_mem_debug_set((struct mu_mem_debug){0});
        assert_true((rc == 0) == (mu_rank_missing(&f.rank, &f.room) == 0));
        failures += rc != 0;
    }
    assert_true(failures > 3);
    fixture_close(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bounds_best__random_changes__equals_search),
        cmocka_unit_test(test_bounds_best__log_overrun__filled_anew),
        cmocka_unit_test(test_bounds_best__out_of_memory__nothing_changed),
        cmocka_unit_test(test_rank_build__too_many_kinds__refused),
        cmocka_unit_test(test_rank_build__out_of_memory__not_built),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
