/*
 * Gangs that stay in one domain of a node label: which domain, against all ways on small clusters;
 * picks on a part of the nodes against a naive scan.
 */
#include "tests/mu_test.h"

#include "engine/place/place.h"
#include "tests/support/cluster.h"
#include "tests/support/cluster_random.h"
#include "tests/support/oracle.h"

#define GI  (INT64_C(1) << 30)
#define KEY "example.com/rack"

struct racks {
    struct mu_cluster cluster;
    struct mu_symbol key;
    struct mu_session *session;
    const struct mu_plan *plan;
};

static void racks_init(struct racks *x, uint32_t node_cap, uint32_t gang_cap)
{
    *x = (struct racks){.plan = NULL};
    mu_cluster_init(&x->cluster, node_cap, gang_cap);
    x->session = mu_session_create(&(struct mu_session_config){.profile = &mu_profile_spread});
    assert_non_null(x->session);
}

static void racks_fini(struct racks *x)
{
    mu_session_destroy(x->session);
    mu_cluster_fini(&x->cluster);
}

static uint32_t node_in(struct racks *x, const char *name, const char *rack, int64_t cpu_millis)
{
    uint32_t row = mu_cluster_plain_node(&x->cluster, name, cpu_millis, 64 * GI, 20, 0);
    const struct mu_label label = {MU_STR(KEY), mu_str_of(rack)};
    if (rack[0] != '\0')
        mu_cluster_relabel(&x->cluster, row, &label, 1);
    x->key = mu_cluster_topology(&x->cluster, KEY);
    return row;
}

/* Members of one class. */
static uint32_t gang_in_rack(struct racks *x, uint32_t flags, struct mu_class_ix class_ix,
                             uint32_t count, uint32_t size, uint32_t placed, uint32_t home)
{
    struct mu_cluster_member members[64];
    for (uint32_t m = 0; m < count; m++)
        members[m] = (struct mu_cluster_member){.class_ix = class_ix, .held = MU_NONE};
    const struct mu_cluster_subgroup subgroup = {
        .min = size, .placed = placed, .member_count = count, .members = members};
    const struct mu_cluster_gang gang = {.flags = MU_GANG_SETTLED | flags,
                                         .size = size,
                                         .subgroup_count = 1,
                                         .subgroups = &subgroup,
                                         .pack_key = x->key,
                                         .home = home};
    return mu_cluster_gang(&x->cluster, &gang);
}

static void run(struct racks *x)
{
    assert_int_equal(mu_session_run(x->session, &x->cluster.snapshot, 0, &x->plan), 0);
}

static uint32_t rack_of(const struct racks *x, uint32_t gang, uint32_t bind)
{
    return x->cluster.snapshot.topology[0][x->plan->gangs[gang].binds[bind].node.v];
}

/* Racks of 6, 3, 4 and 4 places: a gang of 4 takes the first of those with just that many. */
static void test_session_run__several_racks_fit__smallest_and_first_by_name(void **state)
{
    (void)state;
    struct racks x;
    racks_init(&x, 16, 4);
    (void)node_in(&x, "a", "r1", 6000);
    (void)node_in(&x, "b", "r2", 3000);
    uint32_t d1 = node_in(&x, "d1", "r4", 2000);
    (void)node_in(&x, "d2", "r4", 2000);
    uint32_t c1 = node_in(&x, "c1", "r3", 3000);
    (void)node_in(&x, "c2", "r3", 1000);
    (void)node_in(&x, "e", "", 64000); /* in no rack */
    struct mu_class_ix one = mu_cluster_plain_class(&x.cluster, 1000, GI, 0);
    (void)gang_in_rack(&x, MU_GANG_PACK_REQUIRED, one, 4, 4, 0, MU_NONE);
    (void)gang_in_rack(&x, MU_GANG_PACK_REQUIRED, one, 4, 4, 0, MU_NONE);
    (void)gang_in_rack(&x, MU_GANG_PACK_REQUIRED, one, 5, 5, 0, MU_NONE);
    (void)gang_in_rack(&x, MU_GANG_PACK_REQUIRED, one, 4, 4, 0, MU_NONE);
    run(&x);
    assert_int_equal(x.plan->gang_count, 3);
    const uint32_t racks[] = {x.cluster.snapshot.topology[0][c1],
                              x.cluster.snapshot.topology[0][d1], 0};
    for (uint32_t g = 0; g < 3; g++)
        for (uint32_t b = 0; b < x.plan->gangs[g].bind_count; b++)
            assert_int_equal(rack_of(&x, g, b), racks[g]);
    assert_int_equal(x.plan->wait_count, 1); /* 3 places are left in a rack, and many in none */
    assert_int_equal(x.plan->waits[0].kind, MU_WAIT_NO_FIT);
    run(&x); /* the same from what is remembered */
    assert_int_equal(x.plan->gang_count, 3);
    racks_fini(&x);
}

static void test_session_run__no_rack_is_enough__best_one_is_told(void **state)
{
    (void)state;
    struct racks x;
    struct mu_place_reach reach;
    racks_init(&x, 16, 4);
    (void)node_in(&x, "a", "r10", 3000);
    (void)node_in(&x, "b", "r11", 5000);
    (void)node_in(&x, "c", "r12", 5000);
    struct mu_class_ix one = mu_cluster_plain_class(&x.cluster, 1000, GI, 0);
    uint32_t gang = gang_in_rack(&x, MU_GANG_PACK_REQUIRED, one, 6, 6, 0, MU_NONE);
    run(&x);
    assert_int_equal(x.plan->wait_count, 1);
    struct mu_place *place = mu_place_create(&mu_profile_spread, NULL);
    mu_place_begin(place, &x.cluster.snapshot);
    assert_int_equal(mu_place_reach(place, &x.cluster.snapshot.gangs[gang], 6, &reach), 0);
    assert_int_equal(reach.placed, 5);
    assert_int_equal(reach.member, 5);
    assert_true(mu_str_equal(mu_symbol_str(mu_model_symbols(x.cluster.model), reach.domain),
                             MU_STR("r11")));
    assert_int_equal(reach.refusals.by_verdict[MU_NO_RESOURCE], 1); /* the nodes of that rack */
    assert_false(mu_place_is_within(place));
    mu_place_end(place);
    mu_place_destroy(place);
    racks_fini(&x);
}

static void test_session_run__some_run_already__completed_in_their_rack(void **state)
{
    (void)state;
    struct racks x;
    racks_init(&x, 16, 4);
    (void)node_in(&x, "a", "r1", 2000);
    uint32_t b = node_in(&x, "b", "r2", 9000);
    struct mu_class_ix one = mu_cluster_plain_class(&x.cluster, 1000, GI, 0);
    (void)gang_in_rack(&x, MU_GANG_PACK_REQUIRED, one, 2, 4, 2, b);
    run(&x);
    assert_int_equal(x.plan->gang_count, 1);
    assert_int_equal(x.plan->gangs[0].binds[0].node.v, b);
    assert_int_equal(x.plan->gangs[0].binds[1].node.v, b);
    mu_cluster_free_add(&x.cluster, b, MU_RES_CPU, -8000); /* room for one: it waits, whole */
    run(&x);
    assert_int_equal(x.plan->wait_count, 1);
    racks_fini(&x);
}

/* Preferred: in one rack if one has room, else anywhere; members beyond go where there is room. */
static void test_session_run__rack_preferred__anywhere_rather_than_waiting(void **state)
{
    (void)state;
    struct racks x;
    racks_init(&x, 16, 4);
    uint32_t a = node_in(&x, "a", "r1", 3000);
    (void)node_in(&x, "b", "r2", 2000);
    struct mu_class_ix one = mu_cluster_plain_class(&x.cluster, 1000, GI, 0);
    uint32_t gang = gang_in_rack(&x, 0, one, 5, 3, 0, MU_NONE);
    run(&x);
    assert_int_equal(x.plan->gang_count, 1);
    assert_int_equal(x.plan->gangs[0].bind_count, 5);
    for (uint32_t m = 0; m < 3; m++)
        assert_int_equal(x.plan->gangs[0].binds[m].node.v, a);
    /* The same with the rack as a must: what is beyond the rack waits. */
    x.cluster.snapshot.gangs[gang].flags |= MU_GANG_PACK_REQUIRED;
    x.cluster.snapshot.gangs[gang].revision++;
    run(&x);
    assert_int_equal(x.plan->gangs[0].bind_count, 3);
    mu_cluster_free_add(&x.cluster, a, MU_RES_CPU, -1000);
    run(&x);
    assert_int_equal(x.plan->wait_count, 1);
    x.cluster.snapshot.gangs[gang].flags &= ~(uint32_t)MU_GANG_PACK_REQUIRED;
    x.cluster.snapshot.gangs[gang].revision++;
    run(&x);
    assert_int_equal(x.plan->gang_count, 1);
    assert_int_equal(x.plan->gangs[0].bind_count, 4);
    racks_fini(&x);
}

/* A label that no node has: not in the snapshot. */
static void test_session_run__nobody_has_the_label__waits_if_it_must(void **state)
{
    (void)state;
    struct racks x;
    racks_init(&x, 4, 2);
    (void)node_in(&x, "a", "r1", 3000);
    struct mu_class_ix one = mu_cluster_plain_class(&x.cluster, 1000, GI, 0);
    assert_int_equal(
        mu_symbol_intern(mu_model_symbols(x.cluster.model), MU_STR("example.com/block"), &x.key),
        0);
    uint32_t gang = gang_in_rack(&x, MU_GANG_PACK_REQUIRED, one, 2, 2, 0, MU_NONE);
    run(&x);
    assert_int_equal(x.plan->wait_count, 1);
    assert_int_equal(x.plan->waits[0].kind, MU_WAIT_NO_FIT);
    assert_int_equal(x.plan->waits[0].class_ix.v, one.v);
    x.cluster.snapshot.gangs[gang].flags &= ~(uint32_t)MU_GANG_PACK_REQUIRED;
    x.cluster.snapshot.gangs[gang].revision++;
    run(&x);
    assert_int_equal(x.plan->gang_count, 1);
    racks_fini(&x);
}

/* A node changes racks: what was remembered of the gang is of the racks as they were. */
static void test_session_run__domains_move__looked_at_again(void **state)
{
    (void)state;
    struct racks x;
    racks_init(&x, 4, 2);
    (void)node_in(&x, "a", "r1", 3000);
    (void)node_in(&x, "b", "r2", 3000);
    struct mu_class_ix one = mu_cluster_plain_class(&x.cluster, 1000, GI, 0);
    (void)gang_in_rack(&x, MU_GANG_PACK_REQUIRED, one, 5, 5, 0, MU_NONE);
    run(&x);
    assert_int_equal(x.plan->wait_count, 1);
    /* As a key that comes into use moves domains: no node object changes. */
    x.cluster.snapshot.topology[0][1] = x.cluster.snapshot.topology[0][0];
    x.cluster.snapshot.domain_generation[0]++;
    run(&x);
    assert_int_equal(x.plan->gang_count, 1);
    racks_fini(&x);
}

/* ---- all ways -------------------------------------------------------------------------------- */

#define NODES   6
#define MEMBERS 7

/* Whether the members from m on find nodes in the domain, those alike in rising order. */
static bool any_way(struct racks *x, const struct mu_gang_block *block, uint32_t domain, uint32_t m,
                    uint32_t last, uint32_t need)
{
    struct mu_snapshot *s = &x->cluster.snapshot;
    if (need == 0)
        return true;
    if (block->member_count - m < need)
        return false;
    struct mu_class_ix class_ix = block->members[m].class_ix;
    const struct mu_class *c = mu_model_get_class(s->model, class_ix);
    bool alike = m > 0 && block->members[m - 1].class_ix.v == class_ix.v;
    for (uint32_t row = alike ? last : 0; row < s->node_rows; row++) {
        if (s->topology[0][row] != domain || mu_oracle_verdict(s, c, row).kind != MU_FITS)
            continue;
        mu_oracle_charge(s, class_ix, row, 1);
        bool found = any_way(x, block, domain, m + 1, row, need - 1);
        mu_oracle_charge(s, class_ix, row, -1);
        if (found)
            return true;
    }
    return any_way(x, block, domain, m + 1, alike ? last : 0, need);
}

static uint32_t random_gang(struct racks *x, struct mu_random *random)
{
    struct mu_cluster_member members[MEMBERS];
    struct mu_class_ix classes[3];
    uint32_t count = 2 + (uint32_t)mu_random_below(random, MEMBERS - 1);
    for (uint32_t c = 0; c < 3; c++)
        classes[c] =
            mu_cluster_plain_class(&x->cluster, 1000 * (1 + (int64_t)mu_random_below(random, 5)),
                                   GI * (int64_t)mu_random_below(random, 5), 0);
    for (uint32_t m = 0; m < count; m++)
        members[m] = (struct mu_cluster_member){.class_ix = classes[mu_random_below(random, 3)],
                                                .held = MU_NONE};
    uint32_t size =
        mu_random_chance(random, 600) ? count : 1 + (uint32_t)mu_random_below(random, count);
    const struct mu_cluster_subgroup subgroup = {
        .min = size, .member_count = count, .members = members};
    const struct mu_cluster_gang gang = {.flags = MU_GANG_SETTLED | MU_GANG_PACK_REQUIRED,
                                         .size = size,
                                         .subgroup_count = 1,
                                         .subgroups = &subgroup,
                                         .pack_key = x->key};
    return mu_cluster_gang(&x->cluster, &gang);
}

static void test_session_run__small_racks__answer_of_all_ways(void **state)
{
    (void)state;
    static const char *const racks[] = {"r1", "r2", "r3", ""};
    struct mu_test_run run_ = mu_test_run_begin(31);
    uint32_t fits = 0, misses = 0;
    for (run_.step = 0; run_.step < 3000; run_.step++) {
        struct racks x;
        racks_init(&x, NODES, 1);
        uint32_t nodes = 1 + (uint32_t)mu_random_below(&run_.random, NODES);
        for (uint32_t n = 0; n < nodes; n++) {
            const char name[] = {'n', (char)('a' + n), 0};
            (void)node_in(&x, name, racks[mu_random_below(&run_.random, 4)],
                          1000 * (2 + (int64_t)mu_random_below(&run_.random, 12)));
        }
        uint32_t gang = random_gang(&x, &run_.random);
        const struct mu_gang_row *row = &x.cluster.snapshot.gangs[gang];
        bool fit = false;
        for (uint32_t d = 0; d < x.cluster.snapshot.domain_bound[0]; d++)
            fit = fit || any_way(&x, row->block, d, 0, 0, row->size);
        for (int pass = 0; pass < 3; pass++) {
            if (pass == 2)
                mu_session_drop_caches(x.session);
            run(&x);
            MU_TEST_CHECK(&run_, x.plan->gang_count == (fit ? 1 : 0));
            MU_TEST_CHECK(&run_, fit || x.plan->waits[0].kind == MU_WAIT_NO_FIT);
            for (uint32_t b = 0; fit && b < x.plan->gangs[0].bind_count; b++)
                MU_TEST_CHECK(&run_, rack_of(&x, 0, b) != MU_NONE &&
                                         rack_of(&x, 0, b) == rack_of(&x, 0, 0));
        }
        fits += fit;
        misses += !fit;
        racks_fini(&x);
    }
    assert_true(fits > 300 && misses > 300);
}

/* ---- a part of the nodes ----------------------------------------------------------------------
 */

static uint32_t naive_pick(const struct mu_snapshot *s, struct mu_class_ix class_ix,
                           uint32_t domain, const uint64_t *without)
{
    const struct mu_class *c = mu_model_get_class(s->model, class_ix);
    const struct mu_symtab *symbols = mu_model_names(s->model);
    uint32_t best = MU_NONE;
    int64_t best_score = 0;
    for (uint32_t row = 0; row < s->node_rows; row++) {
        if ((s->nodes[row].flags & MU_NODE_PRESENT) == 0 || s->topology[0][row] != domain ||
            (without[row / 64] >> row % 64 & 1) != 0 ||
            mu_oracle_verdict(s, c, row).kind != MU_FITS)
            continue;
        int64_t score =
            mu_oracle_score(s, &mu_profile_spread, c, row, (struct mu_oracle_scale){.taints = 0});
        bool wins = best == MU_NONE || score > best_score;
        if (!wins && score == best_score) {
            wins = s->nodes[row].tie < s->nodes[best].tie ||
                   (s->nodes[row].tie == s->nodes[best].tie &&
                    mu_str_compare(mu_symbol_str(symbols, s->nodes[row].name),
                                   mu_symbol_str(symbols, s->nodes[best].name)) < 0);
        }
        if (wins) {
            best = row;
            best_score = score;
        }
    }
    return best;
}

static void test_place_within__random_parts__equal_to_naive(void **state)
{
    (void)state;
    enum { CLASSES = 12, ROWS = 300 };
    struct mu_test_run run_ = mu_test_run_begin(32);
    const struct mu_cluster_shape shape = {.nodes_max = ROWS, .classes = CLASSES, .gangs_max = 1};
    uint32_t found = 0;
    for (run_.step = 0; run_.step < 150; run_.step++) {
        struct mu_cluster cluster;
        struct mu_class_ix classes[CLASSES];
        uint64_t without[ROWS / 64 + 2] = {0};
        mu_cluster_random(&cluster, &run_.random, &shape, classes);
        struct mu_snapshot *s = &cluster.snapshot;
        (void)mu_cluster_topology(&cluster, KEY);
        uint32_t domains = 1 + (uint32_t)mu_random_below(&run_.random, 5);
        s->domain_bound[0] = domains;
        for (uint32_t row = 0; row < s->node_rows; row++)
            s->topology[0][row] = mu_random_chance(&run_.random, 900)
                                      ? (uint32_t)mu_random_below(&run_.random, domains)
                                      : MU_NONE;
        struct mu_place *place = mu_place_create(&mu_profile_spread, NULL);
        mu_place_begin(place, s);
        for (uint32_t pick = 0; pick < 40; pick++) {
            struct mu_place_pod pod = {classes[mu_random_below(&run_.random, CLASSES)], {0}};
            uint32_t domain = (uint32_t)mu_random_below(&run_.random, domains);
            uint64_t none[ROWS / 64 + 2] = {0};
            struct mu_node_ix node;
            bool kept = mu_random_chance(&run_.random, 300);
            for (uint32_t row = 0; row < s->node_rows; row++)
                without[row / 64] ^= (uint64_t)mu_random_chance(&run_.random, 100) << row % 64;
            MU_TEST_CHECK(&run_, mu_place_without(place, kept ? without : NULL) == 0);
            MU_TEST_CHECK(&run_, mu_place_within(place, 0, domain) == 0);
            uint32_t want = naive_pick(s, pod.class_ix, domain, kept ? without : none);
            MU_TEST_CHECK(&run_, mu_place_put(place, pod, &node) == 0 && node.v == want);
            found += want != MU_NONE;
            /* In between the whole, which remembers nothing of the part. */
            MU_TEST_CHECK(&run_, mu_place_within(place, MU_NONE, 0) == 0);
            MU_TEST_CHECK(&run_, mu_place_without(place, NULL) == 0);
            MU_TEST_CHECK(&run_, mu_place_pick(place, pod, &node) == 0);
            MU_TEST_CHECK(&run_, node.v == mu_oracle_pick(s, &mu_profile_spread, pod.class_ix));
        }
        mu_place_end(place);
        mu_place_destroy(place);
        mu_cluster_fini(&cluster);
    }
    assert_true(found > 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_session_run__several_racks_fit__smallest_and_first_by_name),
        cmocka_unit_test(test_session_run__no_rack_is_enough__best_one_is_told),
        cmocka_unit_test(test_session_run__some_run_already__completed_in_their_rack),
        cmocka_unit_test(test_session_run__rack_preferred__anywhere_rather_than_waiting),
        cmocka_unit_test(test_session_run__nobody_has_the_label__waits_if_it_must),
        cmocka_unit_test(test_session_run__domains_move__looked_at_again),
        cmocka_unit_test(test_session_run__small_racks__answer_of_all_ways),
        cmocka_unit_test(test_place_within__random_parts__equal_to_naive),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
