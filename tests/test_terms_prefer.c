/*
 * Preferences about other pods: what they come to on each row against a sum over all of them, as a
 * session places, takes back and turns to other pods; and what a pod with a thousand of them costs,
 * in counts that are looked at.
 */
#include "tests/db_fixture.h"

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

/* Pods of its ScheduleAnyway constraints on a row, as far as their keys are there: -1 where one is
 * not. Without logarithms: rows are compared where there is one constraint. */
static int64_t naive_apart(const struct mu_snapshot *s, struct mu_place_pod pod, uint32_t row,
                           uint32_t *constraints)
{
    const struct mu_class *c = mu_model_get_class(s->model, pod.class_ix);
    const struct mu_class_census *asked = mu_terms_of_class(s, pod.class_ix);
    int64_t sum = 0;
    *constraints = 0;
    for (uint32_t i = c->hard_spread_count; asked != NULL && i < c->spread_count; i++) {
        uint32_t census = asked->spreads[i].v;
        ++*constraints;
        if (!mu_census_is(asked->spreads[i]))
            continue;
        if (s->topology[s->censuses[census].topology][row] == MU_NONE)
            return -1;
        sum += counted(s, census, row);
    }
    return sum;
}

static uint32_t compared_near, compared_best, compared_apart;

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

static void check_apart(struct mu_test_run *run, const struct mu_place *place,
                        struct mu_place_pod pod, const struct mu_filter_mask *mask)
{
    const struct mu_snapshot *s = place->snapshot;
    struct mu_terms_preference out = {.most = 0};
    uint32_t constraints = 0;
    MU_TEST_CHECK(run,
                  mu_terms_prefer(place->terms, pod.class_ix, pod.kin, 1000, 0, mask, &out) == 0);
    const int64_t *raw = place->terms->raw;
    for (uint32_t row = 0; out.bonus[0] != NULL && row < s->node_rows; row++) {
        int64_t want = naive_apart(s, pod, row, &constraints);
        MU_TEST_CHECK(run, (want < 0) == (raw[row] < 0));
        uint32_t other = (row + 1) % s->node_rows;
        int64_t beside = naive_apart(s, pod, other, &constraints);
        if (constraints != 1 || want < 0 || beside < 0)
            continue;
        MU_TEST_CHECK(run, (want < beside) == (raw[row] < raw[other]));
        compared_apart += want != beside;
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
        check_apart(run, place, pods->pods[p], &all_mask);
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
    assert_true(compared_apart > 100);
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
        cmocka_unit_test(test_terms_prefer__many_terms__summed_up_once),
        cmocka_unit_test(test_terms_prefer__out_of_memory__nothing_changed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
