/*
 * Preferences about other pods: what they come to on each row against a sum over all of them, as a
 * session places, takes back and turns to other pods; and what a pod with a thousand of them costs,
 * in counts that are looked at.
 */
#include "tests/db_fixture.h"

#include <math.h>

#include "engine/base/arena.h"
#include "engine/base/bitset.h"
#include "engine/place/place_priv.h"
#include "engine/session/session.h"
#include "engine/place/terms_priv.h"
#include "tests/mu_test.h"
#include "tests/support/world_random.h"

/* ---- against a naive sum --------------------------------------------------------------------- */

struct pods {
    struct mu_place_pod pods[128];
    uint32_t count;
};

/* Every pending member. */
static void pods_of(const struct mu_snapshot *s, struct pods *out)
{
    out->count = 0;
    for (uint32_t g = 0; g < s->gang_rows; g++) {
        const struct mu_gang_block *block = s->gangs[g].block;
        if ((s->gangs[g].flags & MU_GANG_PENDING) == 0 || block == NULL)
            continue;
        for (uint32_t m = 0; m < block->member_count && out->count < 128; m++)
            out->pods[out->count++] =
                (struct mu_place_pod){block->members[m].class_ix, block->members[m].kin};
    }
}

static int64_t counted(const struct mu_snapshot *s, uint32_t census, uint32_t row)
{
    const struct mu_census *c = &s->censuses[census];
    uint32_t domain = s->topology[c->topology][row];
    return domain == MU_NONE ? 0 : c->counts[domain];
}

static int64_t signed_weight(enum mu_term_kind kind, int64_t weight)
{
    return kind == MU_TERM_PREFERRED ? weight : -weight;
}

/* What a row comes to for preferred terms, its own and others'. */
static int64_t naive_near(const struct mu_snapshot *s, struct mu_place_pod pod, uint32_t row)
{
    const struct mu_class *c = mu_model_get_class(s->model, pod.class_ix);
    const struct mu_class_census *asked = mu_terms_of_class(s, pod.class_ix);
    const struct mu_kin_census *k = mu_terms_of_kin(s, pod.kin);
    int64_t sum = 0;
    for (uint32_t i = 0; asked != NULL && i < c->term_count; i++)
        if (c->terms[i].kind >= MU_TERM_PREFERRED && mu_census_is(asked->terms[i]))
            sum += signed_weight(c->terms[i].kind, c->terms[i].weight) *
                   counted(s, asked->terms[i].v, row);
    for (uint32_t i = 0; k != NULL && i < k->carry_count; i++) {
        const struct mu_census *census = &s->censuses[k->carry[i].v];
        if (census->term == MU_TERM_AFFINITY)
            sum += counted(s, k->carry[i].v, row);
        else if (census->term != MU_TERM_ANTI_AFFINITY)
            sum += signed_weight(census->term, census->weight) * counted(s, k->carry[i].v, row);
    }
    return sum;
}

/* kube-scheduler's score of a row for its ScheduleAnyway constraints before it is rounded, in
 * doubles as it is there; -1 where one of their keys is not. */
static double naive_load(const struct mu_snapshot *s, struct mu_place_pod pod, uint32_t row,
                         uint32_t *constraints)
{
    const struct mu_class *c = mu_model_get_class(s->model, pod.class_ix);
    const struct mu_class_census *asked = mu_terms_of_class(s, pod.class_ix);
    double load = 0;
    bool missing = false;
    *constraints = 0;
    for (uint32_t i = c->hard_spread_count; asked != NULL && i < c->spread_count; i++) {
        uint32_t domains = 0;
        if (asked->spreads[i].v == MU_CENSUS_NONE)
            continue;
        const struct mu_census *census = &s->censuses[asked->spreads[i].v];
        missing = missing || s->topology[census->topology][row] == MU_NONE;
        for (uint32_t d = 0; d < census->domain_count; d++)
            domains += census->domains[d] != 0;
        load += (double)counted(s, asked->spreads[i].v, row) * log(domains + 2.0);
        load += c->spreads[i].max_skew - 1;
        ++*constraints;
    }
    return missing ? -1 : load;
}

static uint32_t compared_near, compared_best, compared_apart[4]; /* by constraints */

/* Its place between the smallest sum and the largest. */
static void check_between(struct mu_test_run *run, const struct mu_snapshot *s, const int64_t *sums,
                          const int64_t *bonus, int64_t most)
{
    int64_t min = INT64_MAX, max = INT64_MIN;
    for (uint32_t row = 0; row < s->node_rows; row++) {
        min = sums[row] < min ? sums[row] : min;
        max = sums[row] > max ? sums[row] : max;
    }
    for (uint32_t row = 0; row < s->node_rows; row++) {
        int64_t want = min == max ? 0 : (sums[row] - min) * most / (max - min);
        MU_TEST_CHECK(run, bonus[row] == want);
        compared_best += min != max && sums[row] == max;
    }
}

static void check_near(struct mu_test_run *run, const struct mu_place *place,
                       struct mu_place_pod pod, const struct mu_filter_mask *mask)
{
    const struct mu_snapshot *s = place->snapshot;
    struct mu_terms_preference out = {.most = 0};
    int64_t sums[64];
    MU_TEST_CHECK(run,
                  mu_terms_prefer(place->terms, pod.class_ix, pod.kin, 0, 100, mask, &out) == 0);
    for (uint32_t row = 0; row < s->node_rows; row++) {
        int64_t want = sums[row] = naive_near(s, pod, row);
        MU_TEST_CHECK(run, out.bonus[0] == NULL ? want == 0 : place->terms->raw[row] == want);
        compared_near += out.bonus[0] != NULL && want != 0;
    }
    if (out.bonus[0] != NULL)
        check_between(run, s, sums, out.bonus[0], 100);
}

/* What doubles and integers may differ by: a logarithm is cut off at 2^-16, for each pod. */
#define LOAD_ERROR 0.01

static void check_apart(struct mu_test_run *run, const struct mu_place *place,
                        struct mu_place_pod pod, const struct mu_filter_mask *mask, int64_t most)
{
    const struct mu_snapshot *s = place->snapshot;
    struct mu_terms_preference out = {.most = 0};
    uint32_t constraints = 0;
    int64_t loads[64], min = INT64_MAX, max = -1;
    MU_TEST_CHECK(run,
                  mu_terms_prefer(place->terms, pod.class_ix, pod.kin, most, 0, mask, &out) == 0);
    bool apart = false, clear = true;
    for (uint32_t row = 0; out.bonus[0] != NULL && row < s->node_rows; row++) {
        const double want = naive_load(s, pod, row, &constraints);
        const int64_t raw = place->terms->raw[row];
        MU_TEST_CHECK(run, (want < 0) == (raw < 0));
        loads[row] = want < 0 ? -1 : (int64_t)floor(want + 0.5);
        if (want < 0)
            continue;
        MU_TEST_CHECK(run, fabs((double)raw / 65536 - want) < LOAD_ERROR);
        /* In the middle of two integers either will do. */
        clear = clear && fabs(want - floor(want) - 0.5) > LOAD_ERROR;
        apart = apart || (max >= 0 && loads[row] != max);
        min = loads[row] < min ? loads[row] : min;
        max = loads[row] > max ? loads[row] : max;
    }
    for (uint32_t row = 0; out.bonus[0] != NULL && clear && row < s->node_rows; row++) {
        int64_t want = loads[row] < 0 ? 0 : max == 0 ? most : most * (max + min - loads[row]) / max;
        MU_TEST_CHECK(run, out.bonus[0][row] == want);
        compared_apart[constraints] += apart && loads[row] >= 0;
    }
}

/* Worlds have fewer rows than a word has bits. */
static const uint64_t all_rows = UINT64_MAX;
static const struct mu_filter_mask all_mask = {.bits = {&all_rows}};

static void check_all(struct mu_test_run *run, const struct mu_place *place,
                      const struct pods *pods)
{
    assert_true(place->snapshot->node_rows <= 64);
    for (uint32_t p = 0; p < pods->count; p++) {
        check_near(run, place, pods->pods[p], &all_mask);
        check_apart(run, place, pods->pods[p], &all_mask, 100);
    }
}

static void feed(struct mu_db *db, const struct mu_world *w)
{
    for (uint32_t n = 0; n < w->namespace_count; n++)
        assert_int_equal(mu_db_namespace_upsert(db, w->namespaces[n].name, w->namespaces[n].labels,
                                                w->namespaces[n].label_count, NULL),
                         0);
    for (uint32_t n = 0; n < w->node_count; n++)
        assert_int_equal(mu_db_node_upsert(db, &w->nodes[n], 0, NULL), 0);
    for (uint32_t p = 0; p < w->pod_count; p++)
        assert_int_equal(mu_db_pod_upsert(db, &w->pods[p], 0, NULL), 0);
}

/* More pods than sums are kept, and more moves than a log has. */
static void test_terms_prefer__random_worlds__as_the_sum_over_all(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 12; seed++) {
        struct mu_test_run run = mu_test_run_begin(700 + seed);
        struct mu_arena *arena = mu_arena_create((size_t)64 << 20);
        struct mu_db *db = fixture_create(0);
        struct mu_snapshot *s = mu_db_replica_create(db);
        struct mu_world world;
        struct pods pods;
        mu_world_random(&world, arena, &run.random,
                        &(struct mu_world_shape){
                            .nodes = 12, .namespaces = 2, .pods = 60, .placed_permille = 400});
        feed(db, &world);
        fixture_sync(db, s);
        pods_of(s, &pods);
        struct mu_place *place = mu_place_create(&mu_profile_default, NULL);
        mu_place_begin(place, s);
        for (run.step = 0; run.step < 12; run.step++) {
            check_all(&run, place, &pods);
            mu_place_trial(place);
            uint32_t times = run.step % 4 == 3 ? 3 * MU_TERMS_MOVES : 5;
            for (uint32_t i = 0; i < times && pods.count > 0; i++) {
                struct mu_node_ix node;
                uint64_t which = mu_random_below(&run.random, pods.count);
                MU_TEST_CHECK(&run, mu_place_put(place, pods.pods[which], &node) == 0);
                if (i % 5 == 0)
                    check_near(&run, place, pods.pods[which], &all_mask);
            }
            check_all(&run, place, &pods);
            if (run.step % 3 == 0)
                mu_place_commit(place);
            else
                mu_place_rollback(place);
        }
        mu_place_end(place);
        mu_place_destroy(place);
        mu_db_replica_destroy(db, s);
        mu_db_destroy(db);
        mu_arena_destroy(arena);
    }
    assert_true(compared_near > 1000);
    assert_true(compared_best > 1000);
    assert_true(compared_apart[1] > 100);
}

/* The logarithms of the numbers of domains that clusters have. */
static void test_terms_ln__small_numbers__as_in_doubles(void **state)
{
    (void)state;
    assert_int_equal(mu_terms_ln(1), 0);
    for (uint64_t x = 2; x <= 1000; x++)
        assert_int_equal(mu_terms_ln(x), (int64_t)floor(65536 * log((double)x)));
    for (uint64_t x = 1001; x < UINT64_C(1) << 32; x += x / 7) {
        int64_t exact = (int64_t)floor(65536 * log((double)x));
        assert_in_range(mu_terms_ln(x), exact - 1, exact);
    }
}

static const char *const spread_keys[] = {"zone", "rack", "kubernetes.io/hostname"};

static uint32_t below(struct mu_test_run *run, uint32_t n)
{
    return (uint32_t)mu_random_below(&run->random, n);
}

static void put_random_node(struct mu_test_run *run, struct mu_db *db, uint32_t number)
{
    struct fixture_node node;
    char name[16], zone[16], rack[16];
    (void)snprintf(name, sizeof name, "n%u", number);
    (void)snprintf(zone, sizeof zone, "z%u", below(run, 4));
    (void)snprintf(rack, sizeof rack, "r%u", below(run, 9));
    const struct mu_label labels[] = {{mu_str_of(spread_keys[2]), mu_str_of(name)},
                                      {mu_str_of(spread_keys[0]), mu_str_of(zone)},
                                      {mu_str_of(spread_keys[1]), mu_str_of(rack)}};
    fixture_node(&node, name, 1, 64, 0);
    node.object.labels = labels;
    node.object.label_count = below(run, 10) > 0 ? 3 : 2; /* some are in no rack */
    assert_int_equal(mu_db_node_upsert(db, &node.object, 0, NULL), 0);
}

/* One with one to three constraints; every second one is on a node. */
static void put_random_spread(struct mu_test_run *run, struct mu_db *db, uint32_t number,
                              uint32_t nodes)
{
    static const struct mu_str values[] = {{"a", 1}, {"b", 1}};
    struct fixture_pod pod;
    struct mu_spread spreads[3];
    struct mu_requirement requirements[3];
    char node[16];
    const uint32_t first = below(run, 3);
    const struct mu_label app = {MU_STR("app"), values[below(run, 2)]};
    fixture_pod(&pod, number, 1);
    (void)snprintf(node, sizeof node, "n%u", below(run, nodes));
    pod.object.labels = &app;
    pod.object.label_count = 1;
    pod.object.spreads = spreads;
    pod.object.spread_count = 1 + below(run, 3);
    for (uint32_t i = 0; i < pod.object.spread_count; i++) {
        requirements[i] =
            (struct mu_requirement){MU_STR("app"), MU_OP_IN, &values[below(run, 2)], 1};
        spreads[i] = (struct mu_spread){
            .topology_key = mu_str_of(spread_keys[(first + i) % 3]),
            .selector = {.requirements = &requirements[i], .requirement_count = 1},
            .max_skew = 1 + (int32_t)below(run, 4),
            .min_domains = 1};
    }
    if (number % 2 == 0)
        pod.object.node_name = mu_str_of(node);
    fixture_put(db, &pod, 0);
}

/* Pods with up to three ScheduleAnyway constraints, over keys that some nodes lack, with other
 * selectors and skews: as kube-scheduler's doubles have it. */
static void test_terms_prefer__many_constraints__as_in_doubles(void **state)
{
    (void)state;
    enum { PODS = 60, ROWS = 20 };
    memset(compared_apart, 0, sizeof compared_apart);
    for (uint64_t seed = 1; seed <= 40; seed++) {
        struct mu_test_run run = mu_test_run_begin(900 + seed);
        struct mu_db *db = fixture_create(0);
        struct mu_snapshot *s = mu_db_replica_create(db);
        struct pods pods;
        for (uint32_t n = 0; n < ROWS; n++)
            put_random_node(&run, db, n);
        for (uint32_t p = 0; p < PODS; p++)
            put_random_spread(&run, db, p, ROWS);
        fixture_sync(db, s);
        pods_of(s, &pods);
        struct mu_place *place = mu_place_create(&mu_profile_default, NULL);
        mu_place_begin(place, s);
        for (run.step = 0; run.step < pods.count; run.step++) {
            const struct mu_place_pod pod = pods.pods[run.step];
            struct mu_node_ix node;
            check_apart(&run, place, pod, &all_mask, 1 + (int64_t)run.step * 1000);
            MU_TEST_CHECK(&run, mu_place_put(place, pod, &node) == 0);
        }
        mu_place_end(place);
        mu_place_destroy(place);
        mu_db_replica_destroy(db, s);
        mu_db_destroy(db);
    }
    for (uint32_t i = 1; i <= 3; i++)
        assert_true(compared_apart[i] > 1000);
}

/* ---- a pathological pod ---------------------------------------------------------------------- */

enum { NODES = 400, TERMS = 250, PLACED = 60 };

/* Nodes that are a domain each; pods that prefer to be away from each other for many reasons. */
static void open_many(struct mu_db *db, uint32_t pods)
{
    static const struct mu_str names[] = {{"a", 1}, {"default", 7}};
    static struct mu_requirement requirements[TERMS];
    static struct mu_pod_term terms[TERMS];
    const struct mu_label app = {MU_STR("app"), names[0]};
    static char keys[TERMS][16];
    for (uint32_t n = 0; n < NODES; n++) {
        char name[16];
        (void)snprintf(name, sizeof name, "n%u", n);
        struct fixture_node node;
        const struct mu_label host = {MU_STR("kubernetes.io/hostname"), mu_str_of(name)};
        fixture_node(&node, name, 1, 64, 0);
        node.object.labels = &host;
        node.object.label_count = 1;
        assert_int_equal(mu_db_node_upsert(db, &node.object, 0, NULL), 0);
    }
    for (uint32_t t = 0; t < TERMS; t++) {
        (void)snprintf(keys[t], sizeof keys[t], "not-%u", t);
        requirements[t] =
            (struct mu_requirement){mu_str_of(keys[t]), MU_OP_DOES_NOT_EXIST, NULL, 0};
        terms[t] = (struct mu_pod_term){
            .kind = MU_TERM_PREFERRED_ANTI,
            .weight = 1 + (int32_t)t % 100,
            .topology_key = MU_STR("kubernetes.io/hostname"),
            .selector = {.requirements = &requirements[t], .requirement_count = 1},
            .namespaces = &names[1],
            .namespace_count = 1};
    }
    for (uint32_t p = 0; p < pods; p++) {
        struct fixture_pod pod;
        fixture_pod(&pod, p, 1);
        pod.object.labels = &app;
        pod.object.label_count = 1;
        pod.object.terms = terms;
        pod.object.term_count = TERMS;
        fixture_put(db, &pod, 0);
    }
}

/* All terms are summed up once; then a placement costs what it has moved, and a look at each row,
 * not a look at each row for each term. */
static void test_terms_prefer__many_terms__summed_up_once(void **state)
{
    (void)state;
    struct mu_db *db = fixture_create(0);
    struct mu_snapshot *s = mu_db_replica_create(db);
    struct mu_session *session =
        mu_session_create(&(const struct mu_session_config){.profile = &mu_profile_default});
    const struct mu_plan *plan;
    struct mu_place_counts counts;
    open_many(db, PLACED);
    fixture_sync(db, s);
    struct mu_place *place = mu_place_create(&mu_profile_default, NULL);
    struct pods pods;
    pods_of(s, &pods);
    assert_int_equal(pods.count, PLACED);
    mu_place_begin(place, s);
    uint64_t taken[NODES / 64 + 1] = {0};
    for (uint32_t p = 0; p < PLACED; p++) {
        struct mu_node_ix node;
        assert_int_equal(mu_place_put(place, pods.pods[p], &node), 0);
        assert_false(mu_bitset_test(taken, node.v)); /* each on a node of its own */
        mu_bitset_set(taken, node.v);
    }
    /* Each term is two censuses: whom it matches, and who carries it. */
    const uint64_t once = (uint64_t)NODES * 2 * TERMS * 2;
    const uint64_t each = 2 * 2 * TERMS + 2 * NODES;
    assert_true(place->terms->cells > 0);
    assert_true(place->terms->cells <= once + PLACED * each);
    mu_place_end(place);
    mu_place_destroy(place);
    /* And it is reported as a cost of the gang that was decided. */
    assert_int_equal(mu_session_run(session, s, 0, &plan), 0);
    mu_session_counts(session, &counts);
    assert_int_equal(plan->gang_count, PLACED);
    assert_true(counts.looks > 0);
    struct mu_gang_ix gang;
    assert_true(mu_session_costliest(session, &gang) > 0);
    mu_session_destroy(session);
    mu_db_replica_destroy(db, s);
    mu_db_destroy(db);
}

/* Sums beyond 32 bits are shared out as exactly as small ones. */
static void test_terms_prefer__large_sums__shares_are_exact(void **state)
{
    (void)state;
    const int64_t most = INT64_C(1) << 30;
    struct mu_test_run run = mu_test_run_begin(41);
    struct mu_db *db = fixture_create(0);
    struct mu_snapshot *s = mu_db_replica_create(db);
    struct pods pods;
    open_many(db, 1);
    fixture_sync(db, s);
    pods_of(s, &pods);
    const struct mu_place_pod pod = pods.pods[0];
    const struct mu_class *class_ = mu_model_get_class(s->model, pod.class_ix);
    uint32_t heavy = 0; /* a term with which sums go beyond 32 bits */
    while (class_->terms[heavy].weight < 100)
        heavy++;
    struct mu_census *census = &s->censuses[mu_terms_of_class(s, pod.class_ix)->terms[heavy].v];
    const uint32_t *domains = s->topology[census->topology];
    uint64_t nodes[16] = {0};
    const struct mu_filter_mask mask = {.bits = {nodes}};
    assert_true(s->node_rows <= 16 * 64);
    for (uint32_t row = 0; row < s->node_rows; row++)
        mu_bitset_assign(nodes, row, domains[row] != MU_NONE);
    assert_int_equal(mu_bitset_count(nodes, s->node_rows), NODES);
    for (run.step = 0; run.step < 8; run.step++) {
        const uint64_t bound = (UINT64_C(1) << 31) >> (run.step * 3);
        struct mu_terms *terms = mu_terms_create();
        struct mu_terms_preference out = {.most = 0};
        int64_t largest = 0, least = INT64_MAX;
        for (uint32_t row = 0; row < s->node_rows; row++) {
            if (domains[row] == MU_NONE)
                continue;
            int32_t *count = &census->counts[domains[row]];
            *count = (int32_t)mu_random_below(&run.random, bound);
            largest = *count > largest ? *count : largest;
            least = *count < least ? *count : least;
        }
        census->total = largest;
        mu_terms_begin(terms, s);
        MU_TEST_CHECK(&run,
                      mu_terms_prefer(terms, pod.class_ix, pod.kin, 0, most, &mask, &out) == 0);
        MU_TEST_CHECK(&run, largest > least && out.bonus[0] != NULL);
        /* The more of them are there, the less the row is liked; the weight falls out. */
        for (uint32_t row = 0; row < s->node_rows; row++) {
            if (domains[row] == MU_NONE)
                continue;
            int64_t part = largest - census->counts[domains[row]];
            MU_TEST_CHECK(&run, out.bonus[0][row] == part * most / (largest - least));
        }
        mu_terms_end(terms);
        mu_terms_destroy(terms);
    }
    mu_db_replica_destroy(db, s);
    mu_db_destroy(db);
}

/* Memory that runs out in any place leaves answers that are right later. */
static void test_terms_prefer__out_of_memory__nothing_changed(void **state)
{
    (void)state;
    struct mu_db *db = fixture_create(0);
    struct mu_snapshot *s = mu_db_replica_create(db);
    open_many(db, 1);
    fixture_sync(db, s);
    struct pods pods;
    pods_of(s, &pods);
    struct mu_place *place = mu_place_create(&mu_profile_default, NULL);
    mu_place_begin(place, s);
    int rc = MU_ENOMEM;
    uint32_t failed = 0;
    for (uint64_t nth = 1; rc != 0; nth++) {
        struct mu_node_ix node = {77};
        mu_mem_debug_set((struct mu_mem_debug){.fail_nth = nth});
        rc = mu_place_put(place, pods.pods[0], &node);
        mu_mem_debug_set((struct mu_mem_debug){0});
        assert_true(rc == 0 || rc == MU_ENOMEM);
        failed += rc != 0;
        assert_true(nth < 10000);
    }
    assert_true(failed > 3);
    mu_place_end(place);
    mu_place_destroy(place);
    mu_db_replica_destroy(db, s);
    mu_db_destroy(db);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_terms_prefer__random_worlds__as_the_sum_over_all),
        cmocka_unit_test(test_terms_ln__small_numbers__as_in_doubles),
        cmocka_unit_test(test_terms_prefer__many_constraints__as_in_doubles),
        cmocka_unit_test(test_terms_prefer__many_terms__summed_up_once),
        cmocka_unit_test(test_terms_prefer__large_sums__shares_are_exact),
        cmocka_unit_test(test_terms_prefer__out_of_memory__nothing_changed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
