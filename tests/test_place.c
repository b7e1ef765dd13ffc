/*
 * Placing against the naive twin: picks, trials and rollbacks in random order, by every way of
 * finding the best node and on every instruction set, over one to three levels of summaries.
 */
#include "tests/mu_test.h"

#include "engine/base/error.h"
#include "engine/device.h"
#include "engine/place/hot.h"
#include "engine/place/place_priv.h"
#include "tests/support/cluster_random.h"
#include "tests/support/oracle.h"

#define GI      (INT64_C(1) << 30)
#define CLASSES 24

/* The session in hand, and a copy of its free columns that the twin charges by itself. */
struct fixture {
    struct mu_test_run *run;
    struct mu_cluster *cluster;
    struct mu_place *place;
    const struct mu_profile *profile;
    struct mu_snapshot twin; /* shares all but free[] with the cluster's snapshot */
    struct mu_class_ix classes[CLASSES];
};

static struct mu_place_pod pod_of(struct mu_class_ix class_ix)
{
    return (struct mu_place_pod){.class_ix = class_ix};
}

static void twin_open(struct fixture *f)
{
    const struct mu_snapshot *s = &f->cluster->snapshot;
    f->twin = *s;
    for (uint32_t r = 0; r < s->resource_count; r++) {
        f->twin.free[r] = mu_mem_calloc(s->node_cap, sizeof(int64_t));
        assert_non_null(f->twin.free[r]);
        memcpy(f->twin.free[r], s->free[r], s->node_cap * sizeof(int64_t));
    }
    if (s->devices == NULL)
        return;
    f->twin.devices = mu_mem_calloc(s->node_cap, sizeof *s->devices);
    assert_non_null(f->twin.devices);
    memcpy(f->twin.devices, s->devices, s->node_cap * sizeof *s->devices);
}

static void twin_close(struct fixture *f)
{
    for (uint32_t r = 0; r < f->twin.resource_count; r++)
        mu_mem_free(f->twin.free[r]);
    mu_mem_free(f->twin.devices);
}

static bool free_equal(const struct fixture *f)
{
    const struct mu_snapshot *s = &f->cluster->snapshot;
    bool equal = true;
    for (uint32_t r = 0; r < s->resource_count; r++)
        equal = equal && memcmp(s->free[r], f->twin.free[r], s->node_cap * sizeof(int64_t)) == 0;
    return equal && (s->devices == NULL ||
                     memcmp(s->devices, f->twin.devices, s->node_cap * sizeof *s->devices) == 0);
}

/* Pick, compare, and take on both sides. Returns the row or MU_NONE. */
static uint32_t pick_and_take(struct fixture *f, struct mu_class_ix class_ix, uint16_t *devices)
{
    struct mu_node_ix got = {0};
    MU_TEST_CHECK(f->run, mu_place_pick(f->place, pod_of(class_ix), &got) == 0);
    MU_TEST_CHECK(f->run, got.v == mu_oracle_pick(&f->twin, f->profile, class_ix));
    if (got.v == MU_NONE)
        return got.v;
    int64_t score = 0;
    MU_TEST_CHECK(f->run, mu_place_score(f->place, pod_of(class_ix), got, &score) == 0);
    MU_TEST_CHECK(f->run, score >= 0 && score <= MU_SCORE_MAX);
    MU_TEST_CHECK(f->run, mu_place_take(f->place, pod_of(class_ix), got) == 0);
    *devices = mu_oracle_take(&f->twin, f->profile, class_ix, got.v);
    MU_TEST_CHECK(f->run, mu_place_devices(f->place) == *devices);
    return got.v;
}

/* A run of one class: each pod where the oracle would put it next. Returns how many. */
static uint32_t run_put(struct fixture *f, struct mu_class_ix class_ix, uint32_t want,
                        uint32_t *nodes, uint16_t *devices)
{
    uint32_t count = 0;
    MU_TEST_CHECK(f->run,
                  mu_place_put_run(f->place, pod_of(class_ix), want, nodes, devices, &count) == 0);
    for (uint32_t i = 0; i < count; i++) {
        MU_TEST_CHECK(f->run, nodes[i] == mu_oracle_pick(&f->twin, f->profile, class_ix));
        MU_TEST_CHECK(f->run,
                      devices[i] == mu_oracle_take(&f->twin, f->profile, class_ix, nodes[i]));
    }
    if (count < want)
        MU_TEST_CHECK(f->run, mu_oracle_pick(&f->twin, f->profile, class_ix) == MU_NONE);
    return count;
}

/* Rows with room, and how much room in all, row by row. */
static void room_compare(struct fixture *f, struct mu_class_ix class_ix)
{
    struct mu_snapshot *s = &f->twin;
    const struct mu_class *c = mu_model_get_class(s->model, class_ix);
    uint32_t want = (uint32_t)mu_random_below(&f->run->random, 60), count = 0;
    uint64_t bits = 0;
    for (uint32_t row = 0; row < s->node_rows; row++) {
        uint16_t devices[64];
        uint32_t here = 0;
        while ((s->nodes[row].flags & MU_NODE_PRESENT) != 0 && here <= want &&
               mu_oracle_verdict(s, c, row).kind == MU_FITS)
            devices[here++] = mu_oracle_take(s, f->profile, class_ix, row);
        for (uint32_t i = here; i-- > 0;)
            mu_oracle_move(s, class_ix, row, devices[i], -1);
        count += here;
        if (row % MU_NODE_CHUNK == 0)
            MU_TEST_CHECK(f->run, mu_place_fits(f->place, pod_of(class_ix), row, &bits) == 0);
        MU_TEST_CHECK(f->run, (bits >> row % MU_NODE_CHUNK & 1) == (here > 0));
    }
    bool is_short = false;
    for (uint32_t least = want > 3 ? want - 3 : 0; want + 1 > least; want--) {
        MU_TEST_CHECK(f->run, mu_place_short(f->place, pod_of(class_ix), want, &is_short) == 0);
        MU_TEST_CHECK(f->run, is_short == (count < want));
        if (want == 0)
            break;
    }
}

/* One session of runs of a class, trials that are kept or undone, and single picks. */
static void random_session(struct fixture *f, uint32_t steps)
{
    struct mu_random *random = &f->run->random;
    struct {
        struct mu_class_ix class_ix;
        uint32_t row;
        uint16_t devices;
    } taken[128];
    twin_open(f);
    mu_place_begin(f->place, &f->cluster->snapshot);
    for (uint32_t step = 0; step < steps;) {
        struct mu_class_ix one = f->classes[mu_random_below(random, CLASSES)];
        bool same = mu_random_chance(random, 500), trial = mu_random_chance(random, 500);
        uint32_t length = 1 + (uint32_t)mu_random_below(random, same ? 120 : 12), count = 0;
        room_compare(f, one);
        if (trial)
            mu_place_trial(f->place);
        if (same && mu_random_chance(random, 500)) {
            uint32_t nodes[128];
            uint16_t devices[128];
            count = run_put(f, one, length, nodes, devices);
            for (uint32_t i = 0; i < count; i++) {
                taken[i].class_ix = one;
                taken[i].row = nodes[i];
                taken[i].devices = devices[i];
            }
            step += length;
            length = 0;
        }
        for (uint32_t i = 0; i < length; i++, step++) {
            struct mu_class_ix c = same ? one : f->classes[mu_random_below(random, CLASSES)];
            uint16_t devices = 0;
            uint32_t row = pick_and_take(f, c, &devices);
            if (row != MU_NONE) {
                taken[count].class_ix = c;
                taken[count].devices = devices;
                taken[count++].row = row;
            } else if (same && i > 3) {
                break;
            }
        }
        if (trial && mu_random_chance(random, 500)) {
            mu_place_rollback(f->place);
            while (count > 0) {
                count--;
                mu_oracle_move(&f->twin, taken[count].class_ix, taken[count].row,
                               taken[count].devices, -1);
            }
        } else if (trial) {
            mu_place_commit(f->place);
        }
        MU_TEST_CHECK(f->run, free_equal(f));
    }
    mu_place_end(f->place);
    twin_close(f);
    twin_open(f); /* what the cluster's snapshot was before */
    MU_TEST_CHECK(f->run, free_equal(f));
    twin_close(f);
}

static void random_clusters(struct mu_test_run *run, const struct mu_scan_ops *ops,
                            const struct mu_cluster_shape *shape, uint64_t rounds, uint32_t steps,
                            struct mu_place_counts *sum)
{
    for (uint64_t round = 0; round < rounds; round++, run->step++) {
        struct mu_cluster cluster;
        struct fixture f = {.run = run, .cluster = &cluster};
        mu_cluster_random(&cluster, &run->random, shape, f.classes);
        struct mu_profile profile;
        mu_profile_random(&run->random, &profile);
        f.profile = &profile;
        f.place = mu_place_create(f.profile, ops);
        for (int session = 0; session < 3; session++) {
            random_session(&f, steps);
            for (uint64_t e = mu_random_below(&run->random, 4); e > 0; e--)
                mu_cluster_random_event(&cluster, &run->random);
            if (mu_random_chance(&run->random, 200))
                mu_place_drop_caches(f.place);
        }
        struct mu_place_counts counts;
        mu_place_counts(f.place, &counts);
        sum->by_tree += counts.by_tree;
        sum->by_rank += counts.by_rank;
        sum->by_search += counts.by_search;
        sum->by_bounds += counts.by_bounds;
        sum->by_run += counts.by_run;
        sum->recalled += counts.recalled;
        sum->pinned += counts.pinned;
        sum->trees_built += counts.trees_built;
        mu_place_destroy(f.place);
        mu_cluster_fini(&cluster);
    }
}

static void test_place_pick__random_clusters__equals_oracle(void **state)
{
    (void)state;
    struct mu_test_run run = mu_test_run_begin(31);
    const struct mu_cluster_shape small = {.nodes_max = 60, .classes = CLASSES};
    const struct mu_cluster_shape middle = {.nodes_max = 400, .classes = CLASSES};
    for (uint32_t v = 0; mu_scan_variant(v) != NULL; v++) {
        struct mu_place_counts counts = {0};
        random_clusters(&run, mu_scan_variant(v), &small, 60, 600, &counts);
        random_clusters(&run, mu_scan_variant(v), &middle, 6, 600, &counts);
        /* Every way was taken often enough to mean something. */
        assert_true(counts.by_tree > 1000 && counts.by_search > 5000 && counts.by_rank > 50);
        assert_true(counts.recalled > 1000 && counts.pinned > 100 && counts.trees_built > 20);
    }
}

static bool by_device(const struct mu_snapshot *s, uint32_t row, uint32_t resource)
{
    return mu_oracle_is_tracked(s, row) &&
           (resource == s->share_resource || resource == s->devices[row].resource);
}

/* A node object changes: what it has, its taints, or whether it is there; or one more comes. */
static void node_event(struct mu_cluster *cluster, struct mu_random *random)
{
    struct mu_snapshot *s = &cluster->snapshot;
    uint32_t row = (uint32_t)mu_random_below(random, s->node_rows);
    uint32_t r = (uint32_t)mu_random_below(random, s->resource_count);
    bool present = (s->nodes[row].flags & MU_NODE_PRESENT) != 0;
    const struct mu_taint soft = {MU_STR("soft"), MU_STR(""), MU_EFFECT_PREFER_NO_SCHEDULE};
    struct mu_amount late[] = {{MU_STR("cpu"), 0},
                               {MU_STR("memory"), 32 * GI},
                               {MU_STR("pods"), 110},
                               {MU_STR("example.com/late"), 8}};
    char name[32];
    switch (mu_random_below(random, 5)) {
    case 0: /* larger or smaller, its devices left out */
        if (present && !by_device(s, row, r)) {
            int64_t grown = mu_random_between(random, 0, 3) * mu_snapshot_alloc(s, r, row) / 2;
            int64_t more = grown - mu_snapshot_alloc(s, r, row);
            mu_cluster_alloc_set(cluster, row, r, grown);
            mu_cluster_free_add(cluster, row, r, more);
            mu_cluster_flags(cluster, row, s->nodes[row].flags);
        }
        break;
    case 1:
        if (present)
            mu_cluster_taint(cluster, row, &soft, (uint32_t)mu_random_below(random, 2));
        break;
    case 2: /* gone: a hole */
        for (r = 0; present && r < s->resource_count; r++) {
            mu_cluster_alloc_set(cluster, row, r, 0);
            mu_cluster_free_add(cluster, row, r, -s->free[r][row]);
        }
        if (present && s->images != NULL)
            mu_cluster_images(cluster, row, NULL, 0);
        if (s->devices != NULL)
            s->devices[row] = (struct mu_device_row){.count = 0};
        s->node_count -= present;
        mu_cluster_flags(cluster, row, 0);
        break;
    case 3: /* another in its place */
        if (!present) {
            for (r = 0; r <= MU_RES_PODS; r++) {
                mu_cluster_alloc_set(cluster, row, r, 1000 * (1 + (int64_t)r));
                mu_cluster_free_add(cluster, row, r, 1000 * (1 + (int64_t)r));
            }
            s->nodes[row].generation++;
            s->node_count++;
            mu_cluster_flags(cluster, row, MU_NODE_PRESENT);
        }
        break;
    default:
        if (s->node_rows == s->node_cap)
            break;
        (void)snprintf(name, sizeof name, "more-%u", s->node_rows);
        late[0].value = mu_random_between(random, 1, 2) * 16000;
        (void)mu_cluster_node(cluster, &(const struct mu_node_object){.name = mu_str_of(name),
                                                                      .uid = mu_str_of(name),
                                                                      .allocatable = late,
                                                                      .allocatable_count = 4});
        break;
    }
}

/* Caches follow the cluster from session to session: the changes that the snapshot lists, more than
 * it lists, and now and then a snapshot that lists nothing. */
static void test_place_pick__many_sessions__equals_oracle(void **state)
{
    (void)state;
    struct mu_test_run run = mu_test_run_begin(35);
    const struct mu_cluster_shape shape = {.nodes_max = 500, .classes = CLASSES};
    /* One looks at a resource that no node has at first. */
    const struct mu_profile late = {.name = "late",
                                    .fit = 1,
                                    .resource_count = 2,
                                    .resources = {{"cpu", 1}, {"example.com/late", 2}}};
    const struct mu_profile *profiles[] = {&mu_profile_spread, &mu_profile_pack,
                                           &mu_profile_default, &late};
    uint64_t sessions = 0, anew = 0;
    struct mu_place_counts sum = {0};
    uint64_t grown = 0, appeared = 0;
    for (uint32_t round = 0; round < 24; round++, run.step++) {
        struct mu_cluster cluster;
        struct fixture f = {.run = &run, .cluster = &cluster, .profile = profiles[round % 4]};
        mu_cluster_random(&cluster, &run.random, &shape, f.classes);
        uint32_t rows = cluster.snapshot.node_rows, resources = cluster.snapshot.resource_count;
        if (cluster.snapshot.node_rows == 0) {
            mu_cluster_fini(&cluster);
            continue;
        }
        if (round % 3 != 0) /* spread has something to do */
            for (uint32_t row = 0; row < cluster.snapshot.node_rows; row++)
                mu_cluster_free_add(&cluster, row, MU_RES_PODS, 1);
        mu_cluster_track(&cluster);
        f.place = mu_place_create(f.profile, NULL);
        for (uint32_t session = 0; session < 60; session++, sessions++) {
            random_session(&f, 1 + (uint32_t)mu_random_below(&run.random, 30));
            if (!mu_random_chance(&run.random, 30))
                mu_cluster_handed_over(&cluster);
            uint64_t events =
                mu_random_below(&run.random, mu_random_chance(&run.random, 30) ? 90 : 8);
            for (; events > 0; events--) {
                if (mu_random_chance(&run.random, 300))
                    node_event(&cluster, &run.random);
                else
                    mu_cluster_random_event(&cluster, &run.random);
            }
        }
        struct mu_place_counts counts;
        mu_place_counts(f.place, &counts);
        sum.by_rank += counts.by_rank;
        sum.by_tree += counts.by_tree;
        sum.by_bounds += counts.by_bounds;
        anew += f.place->room.epoch;
        grown += cluster.snapshot.node_rows > rows;
        appeared += cluster.snapshot.resource_count > resources;
        mu_place_destroy(f.place);
        mu_cluster_fini(&cluster);
    }
    assert_true(anew < sessions / 2 && grown > 5 && appeared > 5);
    assert_true(sum.by_rank > 500 && sum.by_tree > 500 && sum.by_bounds > 100);
}

/* More than 4096 rows: three levels of summaries, four of trees. */
static void test_place_pick__large_clusters__equals_oracle(void **state)
{
    (void)state;
    struct mu_test_run run = mu_test_run_begin(32);
    const struct mu_cluster_shape shape = {.nodes_max = 9000, .classes = CLASSES};
    struct mu_place_counts counts = {0};
    random_clusters(&run, NULL, &shape, 3, 300, &counts);
}

enum { RUN_NODES = 3000, RUN_PODS = 20000 };

/* Nodes unlike in size and filling, with so few hashes that names decide between many. */
static void run_cluster(struct mu_cluster *cluster, struct mu_random *random, uint32_t hashes)
{
    mu_cluster_init(cluster, RUN_NODES, 1);
    for (uint32_t n = 0; n < RUN_NODES; n++) {
        char name[32];
        (void)snprintf(name, sizeof name, "node-%u", n);
        int64_t cores = 4 << n * 4 / RUN_NODES;
        (void)mu_cluster_plain_node(cluster, name, cores * 1000, cores * 4 * GI, 30, 0);
        if (n % 3 == 0)
            mu_cluster_free_add(cluster, n, MU_RES_CPU,
                                -mu_random_between(random, 0, 3) * (cores * 1000 / 4));
        if (hashes > 0)
            cluster->snapshot.nodes[n].tie = n * 7919 % hashes;
    }
}

static void put_runs(struct mu_place *place, struct mu_cluster *cluster, struct mu_class_ix one,
                     uint32_t length, uint32_t *nodes, uint32_t *count)
{
    static uint16_t devices[RUN_PODS];
    *count = 0;
    mu_place_begin(place, &cluster->snapshot);
    for (uint32_t put = length; put == length && *count + length <= RUN_PODS; *count += put)
        assert_int_equal(
            mu_place_put_run(place, pod_of(one), length, nodes + *count, devices, &put), 0);
    mu_place_end(place);
}

/* Batches that are cut short, that go too deep, and that go on where the last one ended. */
static void test_place_put_run__many_pods__rows_as_one_by_one(void **state)
{
    (void)state;
    struct mu_test_run run = mu_test_run_begin(36);
    const struct mu_profile *profiles[] = {&mu_profile_spread, &mu_profile_default,
                                           &mu_profile_pack};
    const uint32_t lengths[] = {100, 3000, RUN_PODS};
    static uint32_t alone[RUN_PODS], together[RUN_PODS];
    for (uint32_t round = 0; round < 18; round++, run.step++) {
        struct mu_cluster cluster;
        run_cluster(&cluster, &run.random, round % 2 == 0 ? 0 : 5);
        /* The second asks for so little that keys hardly move. */
        struct mu_class_ix one = round < 9 ? mu_cluster_plain_class(&cluster, 500, GI, 0)
                                           : mu_cluster_plain_class(&cluster, 0, 100, 0);
        struct mu_place *place = mu_place_create(profiles[round % 3], NULL);
        struct mu_place_counts before, after;
        uint32_t alone_count = 0, count = 0;
        put_runs(place, &cluster, one, 1, alone, &alone_count);
        mu_place_counts(place, &before);
        put_runs(place, &cluster, one, lengths[round / 3 % 3], together, &count);
        mu_place_counts(place, &after);
        uint32_t compared = count < alone_count ? count : alone_count;
        MU_TEST_CHECK(&run, compared > RUN_PODS / 2);
        MU_TEST_CHECK(&run, memcmp(alone, together, compared * sizeof *alone) == 0);
        MU_TEST_CHECK(&run, after.picks - before.picks >= count);
        /* Short runs cannot be told from the many rows with the very same key. */
        bool bulk = round < 9 && (round % 2 == 0 || round / 3 > 0);
        MU_TEST_CHECK(&run, !bulk || after.by_run - before.by_run > count / 2);
        mu_place_destroy(place);
        mu_cluster_fini(&cluster);
    }
}

/* A class that was found to fit nowhere within a trial fits again once it is rolled back. */
static void test_place_rollback__full_in_the_trial__fits_again(void **state)
{
    (void)state;
    struct mu_cluster cluster;
    mu_cluster_init(&cluster, 1, 0);
    (void)mu_cluster_plain_node(&cluster, "n", 1000, GI, 10, 0);
    struct mu_class_ix half = mu_cluster_plain_class(&cluster, 500, 0, 0);
    struct mu_class_ix tiny = mu_cluster_plain_class(&cluster, 1, 0, 0);
    struct mu_place *place = mu_place_create(&mu_profile_spread, NULL);
    struct mu_node_ix node;
    mu_place_begin(place, &cluster.snapshot);
    mu_place_trial(place);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(mu_place_pick(place, pod_of(half), &node), 0);
        assert_int_equal(mu_place_take(place, pod_of(half), node), 0);
    }
    assert_int_equal(mu_place_pick(place, pod_of(tiny), &node), 0);
    assert_int_equal(node.v, MU_NONE);
    assert_false(mu_place_untouched(place));
    mu_place_rollback(place);
    assert_true(mu_place_untouched(place));
    assert_int_equal(mu_place_pick(place, pod_of(tiny), &node), 0);
    assert_int_equal(node.v, 0);
    mu_place_end(place);
    mu_place_destroy(place);
    mu_cluster_fini(&cluster);
}

/* What was found after placements of a session that never came true must not be remembered. */
static void test_place_begin__placements_not_admitted__class_fits_again(void **state)
{
    (void)state;
    struct mu_cluster cluster;
    mu_cluster_init(&cluster, 1, 0);
    (void)mu_cluster_plain_node(&cluster, "n", 1000, GI, 10, 0);
    struct mu_class_ix all = mu_cluster_plain_class(&cluster, 1000, 0, 0);
    struct mu_place *place = mu_place_create(&mu_profile_spread, NULL);
    for (int session = 0; session < 3; session++) {
        struct mu_node_ix node;
        mu_place_begin(place, &cluster.snapshot);
        assert_int_equal(mu_place_pick(place, pod_of(all), &node), 0);
        assert_int_equal(node.v, 0);
        assert_int_equal(mu_place_take(place, pod_of(all), node), 0);
        assert_int_equal(mu_place_pick(place, pod_of(all), &node), 0);
        assert_int_equal(node.v, MU_NONE);
        mu_place_end(place);
    }
    mu_place_destroy(place);
    mu_cluster_fini(&cluster);
}

static void test_place_pick_held__room_held_on_a_full_node__counts_as_free(void **state)
{
    (void)state;
    struct mu_cluster cluster;
    mu_cluster_init(&cluster, 2, 0);
    uint32_t full = mu_cluster_plain_node(&cluster, "full", 1000, GI, 10, 0);
    struct mu_class_ix all = mu_cluster_plain_class(&cluster, 1000, GI, 0);
    mu_oracle_charge(&cluster.snapshot, all, full, 1); /* held for our member */
    struct mu_place *place = mu_place_create(&mu_profile_spread, NULL);
    struct mu_node_ix node;
    mu_place_begin(place, &cluster.snapshot);
    assert_int_equal(mu_place_pick(place, pod_of(all), &node), 0);
    assert_int_equal(node.v, MU_NONE); /* for others there is none, and that is remembered */
    assert_int_equal(mu_place_pick_held(place, pod_of(all), (struct mu_node_ix){full}, 0, &node),
                     0);
    assert_int_equal(node.v, full);
    assert_int_equal(cluster.snapshot.free[MU_RES_CPU][full], 0); /* charged once */
    assert_true(mu_place_untouched(place));
    mu_place_end(place);
    /* A better node is taken instead; the held room stays charged meanwhile. */
    uint32_t big = mu_cluster_plain_node(&cluster, "big", 64000, 64 * GI, 10, 0);
    mu_place_begin(place, &cluster.snapshot);
    assert_int_equal(mu_place_pick_held(place, pod_of(all), (struct mu_node_ix){full}, 0, &node),
                     0);
    assert_int_equal(node.v, big);
    assert_int_equal(cluster.snapshot.free[MU_RES_CPU][big], 63000);
    assert_int_equal(cluster.snapshot.free[MU_RES_CPU][full], 0);
    mu_place_end(place);
    assert_int_equal(cluster.snapshot.free[MU_RES_CPU][big], 64000);
    mu_place_destroy(place);
    mu_cluster_fini(&cluster);
}

/* More classes take turns in runs than there are trees: the oldest gives way, answers stay. */
static void test_place_pick__more_runs_than_trees__equals_oracle(void **state)
{
    (void)state;
    struct mu_test_run run = mu_test_run_begin(33);
    struct mu_cluster cluster;
    struct fixture f = {.run = &run, .cluster = &cluster, .profile = &mu_profile_default};
    mu_cluster_init(&cluster, 100, 0);
    for (uint32_t n = 0; n < 100; n++) {
        char name[16];
        (void)snprintf(name, sizeof name, "n%u", n);
        (void)mu_cluster_plain_node(&cluster, name, 640000, 640 * GI, 10000, 0);
    }
    struct mu_class_ix classes[MU_HOT_CLASSES + 3];
    for (uint32_t c = 0; c < MU_HOT_CLASSES + 3; c++)
        classes[c] = mu_cluster_plain_class(&cluster, 10 + c, GI / 64, 0);
    f.place = mu_place_create(f.profile, NULL);
    twin_open(&f);
    mu_place_begin(f.place, &cluster.snapshot);
    for (int round = 0; round < 3; round++) {
        for (uint32_t c = 0; c < MU_HOT_CLASSES + 3; c++, run.step++) {
            for (int i = 0; i < 40; i++)
                (void)pick_and_take(&f, classes[c], &(uint16_t){0});
        }
    }
    struct mu_place_counts counts;
    mu_place_counts(f.place, &counts);
    assert_true(counts.trees_built > MU_HOT_CLASSES);
    mu_place_end(f.place);
    mu_place_destroy(f.place);
    twin_close(&f);
    mu_cluster_fini(&cluster);
}

/* What the last session left to be summed up is not looked for in a smaller cluster. */
/* Rows by name and hostname against a look at each row, while nodes are called anew: all rows of a
 * symbol, ascending, and no other. */
static void check_pins(struct mu_test_run *run, struct mu_place *place, uint32_t names)
{
    const struct mu_snapshot *s = place->snapshot;
    const struct mu_symtab *symbols = mu_model_names(s->model);
    MU_TEST_CHECK(run, mu_place_pins_current(place));
    for (uint32_t i = 0; i < 2 * names; i++) {
        struct mu_symbol symbol;
        char text[32];
        (void)snprintf(text, sizeof text, "node-%u", i / 2);
        if (!mu_symbol_find(symbols, mu_str_of(text), &symbol))
            continue;
        const struct mu_place_class known = {.hostname = {i % 2 == 0 ? symbol.v : 0},
                                             .only_name = {i % 2 != 0 ? symbol.v : 0}};
        uint32_t begin = (uint32_t)mu_random_below(&run->random, s->node_rows);
        struct mu_place_pin_rows rows = mu_place_pin_rows(place, &known, begin);
        for (uint32_t row = begin; row < s->node_rows; row++) {
            const struct mu_node_static *n = &s->nodes[row];
            bool is = (n->flags & MU_NODE_PRESENT) != 0 &&
                      (i % 2 == 0 ? n->hostname.v : n->name.v) == symbol.v;
            MU_TEST_CHECK(run, !is || mu_place_pin_next(&rows) == row);
        }
        MU_TEST_CHECK(run, mu_place_pin_next(&rows) == MU_NONE);
    }
}

static void test_place_pins__nodes_called_anew__equal_the_rows(void **state)
{
    (void)state;
    struct mu_test_run run = mu_test_run_begin(37);
    enum { NAMES = 12, ROWS = 150 };
    for (uint32_t round = 0; round < 20; round++, run.step++) {
        struct mu_cluster cluster;
        mu_cluster_init(&cluster, ROWS, 0);
        for (uint32_t n = 0; n < ROWS; n++) {
            char name[32];
            (void)snprintf(name, sizeof name, "node-%u", n);
            (void)mu_cluster_plain_node(&cluster, name, 1000, GI, 10, 0);
        }
        struct mu_place *place = mu_place_create(&mu_profile_spread, NULL);
        mu_cluster_track(&cluster);
        for (uint32_t session = 0; session < 20; session++) {
            for (uint64_t c = mu_random_below(&run.random, 30); c > 0; c--) {
                uint32_t row = (uint32_t)mu_random_below(&run.random, ROWS);
                char name[32];
                (void)snprintf(name, sizeof name, "node-%u",
                               (uint32_t)mu_random_below(&run.random, NAMES));
                const struct mu_label label = {MU_STR(MU_HOSTNAME_KEY), mu_str_of(name)};
                mu_cluster_relabel(&cluster, row, &label, mu_random_chance(&run.random, 800));
                mu_cluster_flags(&cluster, row,
                                 mu_random_chance(&run.random, 900) ? MU_NODE_PRESENT : 0);
            }
            mu_place_begin(place, &cluster.snapshot);
            if (mu_random_chance(&run.random, 700)) /* some sessions pin nobody */
                check_pins(&run, place, NAMES);
            mu_place_end(place);
            if (mu_random_chance(&run.random, 700))
                mu_cluster_handed_over(&cluster);
        }
        mu_place_destroy(place);
        mu_cluster_fini(&cluster);
    }
}

/* Without memory for them a pinned pod is placed all the same. */
static bool pins_body(void *context)
{
    struct mu_cluster *cluster = context;
    const struct mu_label host = {MU_STR(MU_HOSTNAME_KEY), MU_STR("node-1")};
    const struct mu_pod_object pod = {.selector = &host, .selector_count = 1};
    struct mu_place_pod who = {.class_ix = mu_cluster_class(cluster, &pod)};
    struct mu_place *place = mu_place_create(&mu_profile_spread, NULL);
    if (place == NULL)
        return false;
    struct mu_node_ix node = {MU_NONE};
    mu_place_begin(place, &cluster->snapshot);
    int error = mu_place_pick(place, who, &node);
    assert_true(error == MU_ENOMEM || (error == 0 && node.v == 1));
    bool whole = error == 0 && place->pins.entries[0] != NULL;
    mu_place_end(place);
    mu_place_destroy(place);
    return whole;
}

static void test_place_pick__pinned_without_memory__by_a_look_at_each_row(void **state)
{
    (void)state;
    struct mu_cluster cluster;
    mu_cluster_init(&cluster, 2, 0);
    for (uint32_t n = 0; n < 2; n++) {
        const char *name = n == 0 ? "node-0" : "node-1";
        const struct mu_label label = {MU_STR(MU_HOSTNAME_KEY), mu_str_of(name)};
        uint32_t row = mu_cluster_plain_node(&cluster, name, 1000, GI, 10, 0);
        mu_cluster_relabel(&cluster, row, &label, 1);
    }
    (void)pins_body(&cluster);
    assert_true(mu_test_fail_each(pins_body, &cluster) > 5);
    mu_cluster_fini(&cluster);
}

static void test_place_begin__smaller_cluster_of_another_model__picks_there(void **state)
{
    (void)state;
    struct mu_cluster large, small;
    struct mu_node_ix node;
    char name[16];
    mu_cluster_init(&large, 400, 0);
    mu_cluster_init(&small, 1, 0);
    for (uint32_t n = 0; n < 400; n++) {
        (void)snprintf(name, sizeof name, "n%u", n);
        (void)mu_cluster_plain_node(&large, name, 4000, 4 * GI, 10, 4);
    }
    (void)mu_cluster_plain_node(&small, "n", 1000, GI, 10, 0);
    struct mu_class_ix devices = mu_cluster_plain_class(&large, 1000, GI, 1);
    struct mu_class_ix plain = mu_cluster_plain_class(&small, 1000, 0, 0);
    assert_true(large.snapshot.resource_count > small.snapshot.resource_count);
    struct mu_place *place = mu_place_create(&mu_profile_spread, NULL);
    for (int turn = 0; turn < 2; turn++) {
        mu_place_begin(place, &large.snapshot);
        for (int i = 0; i < 8; i++)
            assert_int_equal(mu_place_put(place, pod_of(devices), &node), 0);
        assert_int_not_equal(node.v, MU_NONE);
        mu_place_end(place);
        mu_place_begin(place, &small.snapshot);
        assert_int_equal(mu_place_put(place, pod_of(plain), &node), 0);
        assert_int_equal(node.v, 0);
        mu_place_end(place);
    }
    mu_place_destroy(place);
    mu_cluster_fini(&large);
    mu_cluster_fini(&small);
}

/* A class that asks for what a snapshot does not know is looked at again when the next one does. */
static void test_place_pick__resource_unknown_at_first__fits_once_it_is_there(void **state)
{
    (void)state;
    struct mu_cluster cluster;
    struct mu_node_ix node;
    mu_cluster_init(&cluster, 2, 0);
    (void)mu_cluster_plain_node(&cluster, "n", 1000, GI, 10, 4);
    struct mu_class_ix devices = mu_cluster_plain_class(&cluster, 1000, 0, 1);
    struct mu_place *place = mu_place_create(&mu_profile_spread, NULL);
    const uint32_t resources = cluster.snapshot.resource_count;
    for (int session = 0; session < 2; session++) {
        cluster.snapshot.resource_count = session == 0 ? MU_RES_EXTENDED : resources;
        mu_place_begin(place, &cluster.snapshot);
        assert_int_equal(mu_place_pick(place, pod_of(devices), &node), 0);
        assert_int_equal(node.v, session == 0 ? MU_NONE : 0);
        mu_place_end(place);
    }
    mu_place_destroy(place);
    mu_cluster_fini(&cluster);
}

static void test_place_pick__no_rows__none(void **state)
{
    (void)state;
    struct mu_cluster cluster;
    mu_cluster_init(&cluster, 0, 0);
    struct mu_class_ix c = mu_cluster_plain_class(&cluster, 1, 0, 0);
    struct mu_place *place = mu_place_create(&mu_profile_pack, NULL);
    struct mu_node_ix node;
    mu_place_begin(place, &cluster.snapshot);
    assert_int_equal(mu_place_pick(place, pod_of(c), &node), 0);
    assert_int_equal(node.v, MU_NONE);
    mu_place_end(place);
    mu_place_destroy(place);
    mu_cluster_fini(&cluster);
}

static void take_where_it_does_not_fit(void *context)
{
    struct mu_cluster *cluster = context;
    struct mu_place *place = mu_place_create(&mu_profile_pack, NULL);
    mu_place_begin(place, &cluster->snapshot);
    (void)mu_place_take(place, pod_of(mu_cluster_plain_class(cluster, 2000, 0, 0)),
                        (struct mu_node_ix){0});
}

static void test_place_take__no_room__aborts(void **state)
{
    (void)state;
    struct mu_cluster cluster;
    mu_cluster_init(&cluster, 1, 0);
    (void)mu_cluster_plain_node(&cluster, "n", 1000, GI, 10, 0);
    assert_true(mu_test_aborts(take_where_it_does_not_fit, &cluster));
    mu_cluster_fini(&cluster);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_place_take__no_room__aborts),
        cmocka_unit_test(test_place_pins__nodes_called_anew__equal_the_rows),
        cmocka_unit_test(test_place_pick__pinned_without_memory__by_a_look_at_each_row),
        cmocka_unit_test(test_place_begin__smaller_cluster_of_another_model__picks_there),
        cmocka_unit_test(test_place_pick__resource_unknown_at_first__fits_once_it_is_there),
        cmocka_unit_test(test_place_pick__no_rows__none),
        cmocka_unit_test(test_place_pick__random_clusters__equals_oracle),
        cmocka_unit_test(test_place_pick__many_sessions__equals_oracle),
        cmocka_unit_test(test_place_pick__large_clusters__equals_oracle),
        cmocka_unit_test(test_place_pick__more_runs_than_trees__equals_oracle),
        cmocka_unit_test(test_place_put_run__many_pods__rows_as_one_by_one),
        cmocka_unit_test(test_place_rollback__full_in_the_trial__fits_again),
        cmocka_unit_test(test_place_begin__placements_not_admitted__class_fits_again),
        cmocka_unit_test(test_place_pick_held__room_held_on_a_full_node__counts_as_free),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
