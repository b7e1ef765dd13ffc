/*
 * Disruption budgets (engine/db/budget.c) against a naive twin: which of them cover each occupant
 * that a replica shows, how much each allows, and whose disruption it knows of. Each version of a
 * budget allows another number, by which it is known again in what is shown.
 */
#include "tests/db_fixture.h"

#include "engine/base/random.h"
#include "engine/db/db_priv.h"
#include "engine/limits.h"

enum { NODES = 3, PODS = 24, BUDGETS = 6, REPLICAS = 3, STEPS = 3000, SEEDS = 12, PREEMPTOR = 999 };
enum selects { NOTHING, EMPTY, IN, NOT_IN, EXISTS, SELECTS };

struct twin_pod {
    bool exists, terminal;
    uint32_t ns, app; /* app 0: no label */
    uint64_t version;
    int node;
};
struct twin_budget {
    bool exists;
    uint32_t ns, app, uid;
    enum selects selects;
    int32_t allowed;
    uint64_t version;
    uint32_t disrupted; /* bit per pod */
};
struct twin {
    struct mu_db *db;
    struct mu_random random;
    struct twin_pod pods[PODS];
    struct twin_budget budgets[BUDGETS];
    struct mu_snapshot *replicas[REPLICAS];
    uint64_t version;
    uint32_t uid, covered;
    int32_t allowed;
};

static uint32_t below(struct twin *t, uint32_t bound)
{
    return (uint32_t)mu_random_below(&t->random, bound);
}
static bool chance(struct twin *t, uint32_t permille)
{
    return mu_random_chance(&t->random, permille);
}

static const char *const spaces[] = {"default", "other"};
static const char *const apps[] = {"", "a", "b", "c"};
static const char *const nodes[NODES] = {"x", "y", "z"};

/* --- objects --------------------------------------------------------------------------------- */

static int send_pod(struct twin *t, uint32_t i)
{
    const struct twin_pod *p = &t->pods[i];
    const struct mu_label label = {MU_STR("app"), mu_str_of(apps[p->app])};
    struct fixture_pod f;
    fixture_pod(&f, i, p->version);
    f.object.ns = mu_str_of(spaces[p->ns]);
    f.object.labels = &label;
    f.object.label_count = p->app != 0;
    f.object.node_name = p->node < 0 ? MU_STR("") : mu_str_of(nodes[p->node]);
    f.object.scheduler_name = MU_STR("default-scheduler");
    f.object.phase = p->terminal ? MU_POD_FAILED : MU_POD_RUNNING;
    return mu_db_pod_upsert(t->db, &f.object, 0, NULL);
}

static int send_budget(struct twin *t, uint32_t i)
{
    const struct twin_budget *b = &t->budgets[i];
    static char texts[PODS][16];
    struct mu_str disrupted[PODS];
    struct mu_str value = mu_str_of(apps[b->app]);
    char name[16], uid[24];
    static const enum mu_op ops[SELECTS] = {
        [IN] = MU_OP_IN, [NOT_IN] = MU_OP_NOT_IN, [EXISTS] = MU_OP_EXISTS};
    const struct mu_requirement requirement = {MU_STR("app"), ops[b->selects], &value,
                                               b->selects != EXISTS};
    (void)snprintf(name, sizeof name, "budget-%u", i);
    (void)snprintf(uid, sizeof uid, "uid-%u", b->uid);
    struct mu_budget_object object = {
        .ns = mu_str_of(spaces[b->ns]),
        .name = mu_str_of(name),
        .uid = mu_str_of(uid),
        .version = b->version,
        .selector = {b->selects == NOTHING, &requirement, b->selects >= IN},
        .allowed = b->allowed,
        .disrupted = disrupted};
    for (uint32_t k = 0; k < PODS; k++) {
        if ((b->disrupted >> k & 1) == 0)
            continue;
        (void)snprintf(texts[k], sizeof texts[k], "pod-%u", k);
        disrupted[object.disrupted_count++] = mu_str_of(texts[k]);
    }
    return mu_db_budget_upsert(t->db, &object, NULL);
}

static void put_preemptor(struct twin *t)
{
    struct fixture_pod f;
    fixture_pod(&f, PREEMPTOR, ++t->version);
    f.object.priority = 1;
    assert_int_equal(mu_db_pod_upsert(t->db, &f.object, 0, NULL), 0);
}

/* --- what must be shown ---------------------------------------------------------------------- */

static bool covers(const struct twin_budget *b, const struct twin_pod *p)
{
    if (!b->exists || b->ns != p->ns || p->app == 0 || b->selects < IN)
        return false;
    return b->selects == EXISTS || (b->selects == IN) == (b->app == p->app);
}

static uint32_t budget_of(const struct twin *t, const struct mu_budget *shown)
{
    for (uint32_t i = 0; i < BUDGETS; i++)
        if (t->budgets[i].exists && t->budgets[i].allowed == shown->allowed)
            return i;
    fail();
    return BUDGETS;
}

static uint32_t pod_of(const struct twin *t, struct mu_pod_ix ix)
{
    struct mu_pod_view view;
    uint64_t number = 0;
    assert_true(mu_db_pod_get(t->db, ix, &view));
    assert_true(mu_str_to_u64((struct mu_str){view.name.data + 4, view.name.len - 4}, &number));
    return (uint32_t)number;
}

static void check_pod(struct twin *t, const struct mu_snapshot *s, const struct mu_occupant *o)
{
    uint32_t pod = pod_of(t, o->pod);
    uint32_t expected = 0, shown = 0, last = 0;
    const struct mu_kin_budgets *k = NULL;
    if (o->kin.v < s->kin_budgets_count)
        k = s->kin_budgets[o->kin.v];
    for (uint32_t i = 0; i < BUDGETS; i++)
        expected |= (uint32_t)covers(&t->budgets[i], &t->pods[pod]) << i;
    for (uint32_t i = 0; k != NULL && i < k->count; i++) {
        assert_true(k->budgets[i] < s->budget_count);
        assert_true(i == 0 || k->budgets[i] > last);
        last = k->budgets[i];
        shown |= 1u << budget_of(t, &s->budgets[last]);
    }
    assert_int_equal(shown, expected);
    t->covered += shown != 0;
}

/* Names of pods that there are, by what they are now. */
static void check_disrupted(const struct twin *t, const struct mu_snapshot *s)
{
    for (uint32_t i = 0; i < s->budget_count; i++) {
        const struct mu_budget *b = &s->budgets[i];
        uint32_t shown = 0, expected = 0;
        if (b->disrupted_count == 0)
            continue;
        const struct twin_budget *twin = &t->budgets[budget_of(t, b)];
        for (uint32_t k = 0; k < b->disrupted_count; k++) {
            const struct mu_pod_ix *at = &s->budget_disrupted[b->disrupted_begin + k];
            assert_true(k == 0 || at[-1].v < at->v);
            shown |= 1u << pod_of(t, *at);
        }
        for (uint32_t k = 0; k < PODS; k++)
            if (t->pods[k].exists && t->pods[k].ns == twin->ns)
                expected |= twin->disrupted & 1u << k;
        assert_int_equal(shown, expected);
    }
}

static void check(struct twin *t, const struct mu_snapshot *s)
{
    uint32_t occupants = 0, used = 0;
    struct mu_db_counts counts;
    mu_db_counts(t->db, &counts);
    for (uint32_t i = 0; i < BUDGETS; i++)
        used += t->budgets[i].exists;
    assert_int_equal(counts.budgets, used);
    for (uint32_t i = 0; i < PODS; i++)
        occupants += t->pods[i].exists && t->pods[i].node >= 0 && !t->pods[i].terminal;
    assert_int_equal(s->occupants != NULL, occupants != 0);
    if (s->occupants == NULL || used == 0) {
        assert_int_equal(s->budget_count + s->kin_budgets_count, 0);
        assert_null(s->kin_budgets);
        return;
    }
    for (uint32_t row = 0; row < s->node_rows; row++)
        for (uint32_t k = 0; s->occupants[row] != NULL && k < s->occupants[row]->count; k++)
            check_pod(t, s, &s->occupants[row]->pods[k]);
    check_disrupted(t, s);
}

/* --- random steps ---------------------------------------------------------------------------- */

static void change_pod(struct twin *t)
{
    uint32_t i = below(t, PODS);
    struct twin_pod *p = &t->pods[i];
    struct fixture_pod f;
    if (p->exists && chance(t, 200)) {
        fixture_pod(&f, i, 0);
        mu_db_pod_remove(t->db, mu_str_of(spaces[p->ns]), f.object.name, MU_STR(""), 0);
        p->exists = false;
        return;
    }
    if (!p->exists)
        *p = (struct twin_pod){.exists = true, .ns = below(t, 2), .node = -1};
    if (chance(t, 500))
        p->app = below(t, 4);
    if (p->node < 0 && chance(t, 700))
        p->node = (int)below(t, NODES);
    p->terminal = chance(t, 100);
    p->version = ++t->version;
    assert_int_equal(send_pod(t, i), 0);
}

static void change_budget(struct twin *t)
{
    uint32_t i = below(t, BUDGETS);
    struct twin_budget *b = &t->budgets[i];
    char name[16];
    if (b->exists && chance(t, 150)) {
        (void)snprintf(name, sizeof name, "budget-%u", i);
        mu_db_budget_remove(t->db, mu_str_of(spaces[b->ns]), mu_str_of(name), MU_STR("another"));
        mu_db_budget_remove(t->db, mu_str_of(spaces[b->ns]), mu_str_of(name), MU_STR(""));
        b->exists = false;
        return;
    }
    if (!b->exists)
        *b = (struct twin_budget){.exists = true, .ns = below(t, 2), .uid = ++t->uid};
    if (b->version == 0 || chance(t, 300)) {
        b->selects = (enum selects)below(t, SELECTS);
        b->app = 1 + below(t, 3);
    }
    if (chance(t, 50)) /* made anew between two looks */
        b->uid = ++t->uid;
    b->disrupted = chance(t, 300) ? below(t, 1 << PODS) & below(t, 1 << PODS) : 0;
    b->allowed = ++t->allowed;
    b->version = ++t->version;
    assert_int_equal(send_budget(t, i), 0);
    if (chance(t, 100)) { /* an old answer, late */
        struct twin_budget now = *b;
        b->version--;
        b->allowed = -1;
        b->selects = EXISTS;
        assert_int_equal(send_budget(t, i), 0);
        *b = now;
    }
}

static void relist(struct twin *t)
{
    mu_db_budgets_relist(t->db);
    for (uint32_t i = 0; i < BUDGETS; i++) {
        if (t->budgets[i].exists && chance(t, 800))
            assert_int_equal(send_budget(t, i), 0);
        else
            t->budgets[i].exists = false;
    }
    while (mu_db_budgets_sweep(t->db, 1 + below(t, 3)) == 1)
        ;
}

static void sync_step(struct twin *t)
{
    uint32_t i = below(t, REPLICAS);
    if (t->replicas[i] == NULL)
        t->replicas[i] = mu_db_replica_create(t->db);
    assert_non_null(t->replicas[i]);
    if (chance(t, 20)) {
        mu_db_replica_destroy(t->db, t->replicas[i]);
        t->replicas[i] = NULL;
        return;
    }
    int rc = mu_db_replica_sync(t->db, t->replicas[i], chance(t, 400) ? 0 : 1 + below(t, 60));
    assert_true(rc == 0 || rc == 1);
    if (rc == 0)
        check(t, t->replicas[i]);
}

static void run(uint64_t seed, uint32_t *covered)
{
    static struct twin t;
    t = (struct twin){.db = fixture_create(0)};
    assert_non_null(t.db);
    mu_random_init_seed(&t.random, seed);
    for (int i = 0; i < NODES; i++)
        fixture_put_node(t.db, nodes[i], 1, 64);
    put_preemptor(&t);
    for (int i = 0; i < STEPS; i++) {
        uint32_t kind = below(&t, 100);
        if (kind < 30)
            change_pod(&t);
        else if (kind < 48)
            change_budget(&t);
        else if (kind < 50)
            relist(&t);
        else
            sync_step(&t);
    }
    mu_db_destroy(t.db);
    *covered += t.covered;
}

static uint64_t first_seed = 1;
static uint64_t seed_count = SEEDS;

static void test_db_budget__random_changes__equals_the_twin(void **state)
{
    (void)state;
    uint32_t covered = 0;
    mu_db_destroy(fixture_create(0)); /* warm whatever is made once a process */
    mu_mem_debug_set((struct mu_mem_debug){.poison = true});
    size_t baseline = mu_mem_live_bytes();
    for (uint64_t seed = first_seed; seed < first_seed + seed_count; seed++) {
        (void)fprintf(stderr, "seed %llu (again: test_db_budget %llu)\n", (unsigned long long)seed,
                      (unsigned long long)seed);
        run(seed, &covered);
        assert_int_equal(mu_mem_live_bytes(), baseline);
    }
    mu_mem_debug_set((struct mu_mem_debug){.poison = false});
    print_message("%u pods shown with a budget\n", covered);
    assert_true(covered > 500 * seed_count);
}

/* --- cases ----------------------------------------------------------------------------------- */

struct small {
    struct twin t;
    struct mu_snapshot *s;
};
/* Pods 0 (app a) and 1 (app b) on x, and somebody who could preempt them. */
static struct small *small_create(void)
{
    static struct small w;
    w = (struct small){.t = {.db = fixture_create(0)}};
    fixture_put_node(w.t.db, "x", 1, 8);
    for (uint32_t i = 0; i < 2; i++) {
        w.t.pods[i] = (struct twin_pod){.exists = true, .app = 1 + i, .version = ++w.t.version};
        assert_int_equal(send_pod(&w.t, i), 0);
    }
    put_preemptor(&w.t);
    w.s = mu_db_replica_create(w.t.db);
    assert_non_null(w.s);
    return &w;
}

static void test_db_budget__only_its_counts_change__generation_moves(void **state)
{
    (void)state;
    struct small *w = small_create();
    w->t.budgets[0] =
        (struct twin_budget){.exists = true, .app = 1, .selects = IN, .allowed = 3, .version = 1};
    assert_int_equal(send_budget(&w->t, 0), 0);
    fixture_sync(w->t.db, w->s);
    check(&w->t, w->s);
    uint64_t generation = w->s->generation, occupants = w->s->occupant_generation;
    const struct mu_kin_budgets *block = w->s->kin_budgets[fixture_find(w->t.db, 0).kin.v];
    assert_int_equal(send_budget(&w->t, 0), 0); /* the same again: nothing */
    fixture_sync(w->t.db, w->s);
    assert_true(w->s->generation == generation && w->s->occupant_generation == occupants);
    w->t.budgets[0].allowed = -2;
    w->t.budgets[0].version = 2;
    assert_int_equal(send_budget(&w->t, 0), 0);
    fixture_sync(w->t.db, w->s);
    check(&w->t, w->s);
    assert_true(w->s->generation > generation && w->s->occupant_generation > occupants);
    assert_ptr_equal(w->s->kin_budgets[fixture_find(w->t.db, 0).kin.v], block);
    mu_db_destroy(w->t.db);
}

static void test_db_budget__selector_beyond_a_bound__covers_nobody(void **state)
{
    (void)state;
    struct small *w = small_create();
    static struct mu_requirement many[MU_REQUIREMENTS_MAX + 1];
    struct mu_db_counts counts;
    for (uint32_t i = 0; i <= MU_REQUIREMENTS_MAX; i++)
        many[i] = (struct mu_requirement){MU_STR("app"), MU_OP_EXISTS, NULL, 0};
    struct mu_budget_object object = {.ns = MU_STR("default"),
                                      .name = MU_STR("b"),
                                      .version = 1,
                                      .selector = {false, many, MU_REQUIREMENTS_MAX + 1}};
    assert_int_equal(mu_db_budget_upsert(w->t.db, &object, NULL), 0);
    fixture_sync(w->t.db, w->s);
    assert_null(w->s->kin_budgets[fixture_find(w->t.db, 0).kin.v]);
    mu_db_counts(w->t.db, &counts);
    assert_int_equal(counts.limit_reduced, 1);
    object.version = 2; /* within its bounds again */
    object.selector.requirement_count = 1;
    assert_int_equal(mu_db_budget_upsert(w->t.db, &object, NULL), 0);
    fixture_sync(w->t.db, w->s);
    assert_int_equal(w->s->kin_budgets[fixture_find(w->t.db, 0).kin.v]->count, 1);
    mu_db_destroy(w->t.db);
}

static void test_db_budget__too_many_disrupted__the_later_ones_are_left_out(void **state)
{
    (void)state;
    struct small *w = small_create();
    static char texts[MU_DISRUPTED_MAX][16];
    static struct mu_str names[MU_DISRUPTED_MAX + 1];
    for (uint32_t i = 0; i < MU_DISRUPTED_MAX; i++) {
        (void)snprintf(texts[i], sizeof texts[i], "gone-%u", i);
        names[i] = mu_str_of(texts[i]);
    }
    names[0] = MU_STR("pod-0");
    names[1] = MU_STR(""); /* hostile: nobody's name */
    names[MU_DISRUPTED_MAX] = MU_STR("pod-1");
    struct mu_budget_object object = {.ns = MU_STR("default"),
                                      .name = MU_STR("b"),
                                      .version = 1,
                                      .disrupted = names,
                                      .disrupted_count = MU_DISRUPTED_MAX + 1};
    for (uint64_t version = 1; version < 3; version++) { /* its own names leave it room again */
        object.version = version;
        assert_int_equal(mu_db_budget_upsert(w->t.db, &object, NULL), 0);
        fixture_sync(w->t.db, w->s);
        assert_int_equal(w->s->budgets[0].disrupted_count, 1);
        assert_int_equal(w->s->budget_disrupted[0].v, fixture_find(w->t.db, 0).ix.v);
    }
    mu_db_destroy(w->t.db);
}

static void test_db_budget__bad_or_too_many__refused(void **state)
{
    (void)state;
    struct mu_db *db = fixture_create(0);
    struct mu_error error = {0};
    char name[24];
    struct mu_budget_object object = {.ns = MU_STR("default"), .version = 1};
    assert_int_equal(mu_db_budget_upsert(db, &object, &error), MU_EINVAL);
    assert_non_null(strstr(error.text, "metadata.name"));
    for (uint32_t i = 0; i <= MU_BUDGETS_MAX; i++) {
        (void)snprintf(name, sizeof name, "b%u", i);
        object.name = mu_str_of(name);
        assert_int_equal(mu_db_budget_upsert(db, &object, &error),
                         i < MU_BUDGETS_MAX ? 0 : MU_ELIMIT);
    }
    assert_non_null(strstr(error.text, "budget default/b16384"));
    mu_db_budget_remove(db, MU_STR("default"), MU_STR("b7"), MU_STR(""));
    assert_int_equal(mu_db_budget_upsert(db, &object, &error), 0);
    mu_db_destroy(db);
}

static void test_db_budget__equal_content__equal_digest(void **state)
{
    (void)state;
    static struct twin t[2];
    for (uint32_t k = 0; k < 2; k++) {
        t[k] = (struct twin){.db = fixture_create(0)};
        for (uint32_t i = 0; i < 3; i++) {
            uint32_t at = k == 0 ? i : 2 - i; /* in another order */
            t[k].budgets[at] = (struct twin_budget){.ns = at % 2, .uid = at, .version = 1 + at};
            assert_int_equal(send_budget(&t[k], at), 0);
        }
    }
    assert_true(mu_db_digest(t[0].db) == mu_db_digest(t[1].db));
    t[1].budgets[1].version = 9;
    assert_int_equal(send_budget(&t[1], 1), 0);
    assert_true(mu_db_digest(t[0].db) != mu_db_digest(t[1].db));
    mu_db_destroy(t[0].db);
    mu_db_destroy(t[1].db);
}

/* Every allocation in turn fails, whichever call it is in; the call is made again. */
static void test_db_budget__out_of_memory_in_turn__made_good(void **state)
{
    (void)state;
    uint64_t failed = 1;
    mu_db_destroy(fixture_create(0));
    size_t baseline = mu_mem_live_bytes();
    for (uint64_t nth = 1; failed != 0; nth++) {
        struct small *w = small_create();
        failed = 0;
        mu_mem_debug_set((struct mu_mem_debug){.fail_nth = nth});
        for (uint32_t i = 0; i < 3; i++) {
            w->t.budgets[i] = (struct twin_budget){.exists = true,
                                                   .app = 1 + i % 2,
                                                   .selects = i == 2 ? EXISTS : IN,
                                                   .allowed = (int32_t)i,
                                                   .uid = i,
                                                   .disrupted = i,
                                                   .version = 1};
            while (send_budget(&w->t, i) != 0)
                failed++;
            for (int rc = 1; rc != 0;) {
                rc = mu_db_replica_sync(w->t.db, w->s, 40);
                assert_true(rc == 0 || rc == 1 || rc == MU_ENOMEM);
                failed += rc == MU_ENOMEM;
            }
        }
        mu_mem_debug_set((struct mu_mem_debug){.fail_nth = 0});
        assert_true(failed <= 1 && nth < 5000);
        check(&w->t, w->s);
        mu_db_destroy(w->t.db);
        assert_int_equal(mu_mem_live_bytes(), baseline);
    }
}

int main(int argc, char **argv)
{
    if (argc > 1 && mu_str_to_u64(mu_str_of(argv[1]), &first_seed))
        seed_count = 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_db_budget__only_its_counts_change__generation_moves),
        cmocka_unit_test(test_db_budget__selector_beyond_a_bound__covers_nobody),
        cmocka_unit_test(test_db_budget__too_many_disrupted__the_later_ones_are_left_out),
        cmocka_unit_test(test_db_budget__bad_or_too_many__refused),
        cmocka_unit_test(test_db_budget__equal_content__equal_digest),
        cmocka_unit_test(test_db_budget__out_of_memory_in_turn__made_good),
        cmocka_unit_test(test_db_budget__random_changes__equals_the_twin),
    };
    return cmocka_run_group_tests_name("db_budget", tests, NULL, NULL);
}
