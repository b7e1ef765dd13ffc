/*
 * Preemption for lone pods against kube-scheduler's DefaultPreemption, written down once more on
 * the objects: every rule about other pods, taints and affinity (tools/report/rules.h), budgets by
 * their selectors, pods without a start time. The session works on the database's snapshot.
 *
 * Both look at all nodes here: kube-scheduler would do so up to 100 candidates. Terminating pods
 * are left out, which the session takes for gone and kube-scheduler may evict again.
 */
#include "tests/mu_test.h"

#include "engine/base/arena.h"
#include "engine/session/session.h"
#include "tests/support/world_random.h"

enum { NODES_MAX = 12, PODS_MAX = 40, BUDGETS_MAX = 3 };

struct world {
    struct mu_arena *arena;
    struct mu_world objects; /* its last pod is the one that asks */
    struct mu_budget_object budgets[BUDGETS_MAX];
    uint32_t budget_count;
};

static uint32_t below(struct mu_test_run *run, uint32_t bound)
{
    return (uint32_t)mu_random_below(&run->random, bound);
}

static struct mu_pod_object *asker(struct world *w)
{
    return &w->objects.pods[w->objects.pod_count - 1];
}

/* ---- random worlds ------------------------------------------------------------------------ */

static void draw_amounts(struct world *w, struct mu_test_run *run)
{
    for (uint32_t n = 0; n < w->objects.node_count; n++) {
        struct mu_node_object *node = &w->objects.nodes[n];
        struct mu_amount *amounts = mu_arena_calloc(w->arena, 3, sizeof *amounts);
        amounts[0] = (struct mu_amount){MU_STR("cpu"), 1000 * (2 + below(run, 5))};
        amounts[1] = (struct mu_amount){MU_STR("memory"), (INT64_C(1) + below(run, 3)) << 30};
        amounts[2] = (struct mu_amount){MU_STR("pods"), 2 + below(run, 6)};
        node->allocatable = amounts;
    }
    for (uint32_t p = 0; p < w->objects.pod_count; p++) {
        struct mu_pod_object *pod = &w->objects.pods[p];
        struct mu_amount *amounts = mu_arena_calloc(w->arena, 2, sizeof *amounts);
        amounts[0] = (struct mu_amount){MU_STR("cpu"), 500 * below(run, 7)};
        amounts[1] = (struct mu_amount){MU_STR("memory"), (int64_t)below(run, 8) << 27};
        pod->requests = amounts;
        pod->priority = (int32_t)below(run, 4) - 1;
        pod->started_s = below(run, 5) == 0 ? 0 : 1000 + below(run, 4);
        pod->terminating = false;
        if (p + 1 < w->objects.pod_count)
            pod->has_node_terms = false; /* with one that no node meets it could not run */
        pod->term_count = below(run, 2) == 0 ? 0 : pod->term_count;
        pod->spread_count = below(run, 2) == 0 ? 0 : pod->spread_count;
    }
}

/* A budget that covers pods by an expression on their labels. */
static void draw_budget(struct world *w, struct mu_test_run *run)
{
    static const struct mu_str keys[] = {{"app", 3}, {"tier", 4}};
    static const struct mu_str values[] = {{"a", 1}, {"b", 1}, {"c", 1}};
    struct mu_requirement *r = mu_arena_calloc(w->arena, 1, sizeof *r);
    struct mu_str *names = mu_arena_calloc(w->arena, 1, sizeof *names);
    *r = (struct mu_requirement){
        .key = keys[below(run, 2)], .op = (enum mu_op)below(run, 4), .values = values};
    r->value_count = r->op == MU_OP_IN || r->op == MU_OP_NOT_IN ? 1 + below(run, 3) : 0;
    *names = w->objects.pods[below(run, w->objects.pod_count)].name;
    struct mu_budget_object *b = &w->budgets[w->budget_count];
    *b = (struct mu_budget_object){
        .ns = w->objects.namespaces[below(run, 2)].name,
        .name = mu_world_text(w->arena, "budget-", w->budget_count),
        .uid = mu_world_text(w->arena, "budget-uid-", w->budget_count),
        .version = 1,
        .selector = {.nothing = below(run, 8) == 0, .requirements = r, .requirement_count = 1},
        .allowed = (int32_t)below(run, 4) - 1,
        .disrupted = names,
        .disrupted_count = below(run, 2)};
    w->budget_count++;
}

static void draw_world(struct world *w, struct mu_test_run *run)
{
    const struct mu_world_shape shape = {.nodes = 1 + below(run, NODES_MAX),
                                         .namespaces = 2,
                                         .pods = 1 + below(run, PODS_MAX),
                                         .placed_permille = 1000};
    mu_arena_reset(w->arena);
    mu_world_random(&w->objects, w->arena, &run->random, &shape);
    draw_amounts(w, run);
    w->budget_count = 0;
    for (uint32_t b = below(run, BUDGETS_MAX + 1); b > 0; b--)
        draw_budget(w, run);
    asker(w)->node_name = MU_STR("");
    asker(w)->phase = MU_POD_PENDING;
    asker(w)->priority = (int32_t)below(run, 5) - 1;
}

/* ---- kube-scheduler's rules --------------------------------------------------------------- */

static bool is_there(const struct mu_pod_object *pod, const struct mu_node_object *node)
{
    return pod->phase != MU_POD_SUCCEEDED && pod->phase != MU_POD_FAILED &&
           mu_str_equal(pod->node_name, node->name);
}

static int64_t amount_of(const struct mu_amount *amounts, uint32_t count, struct mu_str resource)
{
    for (uint32_t i = 0; i < count; i++)
        if (mu_str_equal(amounts[i].resource, resource))
            return amounts[i].value;
    return 0;
}

/* NodeResourcesFit; *ever: the node would have enough without any pod. */
static bool has_room(struct world *w, const struct mu_node_object *node, bool *ever)
{
    static const struct mu_str resources[] = {{"cpu", 3}, {"memory", 6}, {"pods", 4}};
    bool fits = true;
    *ever = true;
    for (size_t r = 0; r < 3; r++) {
        int64_t need = r == 2 ? 1 : amount_of(asker(w)->requests, 2, resources[r]);
        int64_t room = amount_of(node->allocatable, 3, resources[r]);
        if (need == 0)
            continue;
        *ever = *ever && room >= need;
        for (uint32_t p = 0; p < w->objects.pod_count; p++)
            if (is_there(&w->objects.pods[p], node))
                room -= r == 2 ? 1 : amount_of(w->objects.pods[p].requests, 2, resources[r]);
        fits = fits && room >= need;
    }
    return fits;
}

/* The first filter that refuses, in kube-scheduler's order. */
static enum mu_verdict_kind verdict(struct world *w, const struct mu_node_object *node)
{
    const struct mu_rules_world view = mu_world_view(&w->objects);
    bool ever;
    enum mu_verdict_kind kind = mu_rules_static(node, asker(w));
    if (kind != MU_FITS)
        return kind;
    kind = mu_rules_others(&view, node, asker(w));
    if (kind == MU_NO_PORTS || has_room(w, node, &ever))
        return kind;
    return ever ? MU_NO_RESOURCE : MU_NO_RESOURCE_EVER;
}

struct victim {
    struct mu_pod_object *pod;
    bool violates, victim;
};

/* Higher priority, then earlier start, none being now; equal ones in the order of their UIDs, which
 * is ours. */
static bool more_important(const struct mu_pod_object *a, const struct mu_pod_object *b)
{
    uint64_t a_started = a->started_s != 0 ? a->started_s : UINT64_MAX;
    uint64_t b_started = b->started_s != 0 ? b->started_s : UINT64_MAX;
    if (a->priority != b->priority)
        return a->priority > b->priority;
    return a_started != b_started ? a_started < b_started : mu_str_compare(a->uid, b->uid) < 0;
}

/* Steps 3 and 4: in order, and who violates a budget. */
static void classify(struct world *w, struct victim *victims, uint32_t count)
{
    int32_t left[BUDGETS_MAX];
    for (uint32_t b = 0; b < w->budget_count; b++)
        left[b] = w->budgets[b].allowed;
    for (uint32_t i = 1; i < count; i++)
        for (uint32_t j = i; j > 0 && more_important(victims[j].pod, victims[j - 1].pod); j--) {
            struct victim moved = victims[j];
            victims[j] = victims[j - 1];
            victims[j - 1] = moved;
        }
    for (uint32_t i = 0; i < count; i++) {
        const struct mu_pod_object *pod = victims[i].pod;
        for (uint32_t b = 0; b < w->budget_count && pod->label_count > 0; b++) {
            const struct mu_budget_object *budget = &w->budgets[b];
            bool disrupted =
                budget->disrupted_count > 0 && mu_str_equal(budget->disrupted[0], pod->name);
            if (mu_str_equal(budget->ns, pod->ns) && !disrupted &&
                mu_rules_selects(&budget->selector, pod->labels, pod->label_count))
                victims[i].violates = --left[b] < 0 || victims[i].violates;
        }
    }
}

static void set_gone(struct victim *v, bool gone)
{
    v->pod->phase = gone ? MU_POD_FAILED : MU_POD_RUNNING;
    v->victim = gone;
}

struct choice {
    uint32_t violations, count;
    int32_t highest;
    int64_t sum;
    uint64_t started;
    struct victim victims[PODS_MAX]; /* with those that were spared */
    uint32_t listed;
};

/* Steps 2 and 5: all go, then one by one comes back. All are back on return. */
static bool reprieve(struct world *w, const struct mu_node_object *node, struct choice *c)
{
    for (uint32_t i = 0; i < c->listed; i++)
        set_gone(&c->victims[i], true);
    bool fits = verdict(w, node) == MU_FITS;
    for (int pass = 0; pass < 2 && fits; pass++)
        for (uint32_t i = 0; i < c->listed; i++) {
            if (c->victims[i].violates != (pass == 0))
                continue;
            set_gone(&c->victims[i], false);
            if (verdict(w, node) != MU_FITS)
                set_gone(&c->victims[i], true);
        }
    for (uint32_t i = 0; i < c->listed; i++)
        c->victims[i].pod->phase = MU_POD_RUNNING;
    return fits;
}

/* The victims on a node; false: it is no candidate. */
static bool victims_on(struct world *w, const struct mu_node_object *node, struct choice *c)
{
    *c = (struct choice){.highest = INT32_MIN, .started = UINT64_MAX};
    if (!mu_verdict_may_preempt(verdict(w, node)))
        return false;
    for (uint32_t p = 0; p + 1 < w->objects.pod_count; p++)
        if (is_there(&w->objects.pods[p], node) && w->objects.pods[p].priority < asker(w)->priority)
            c->victims[c->listed++] = (struct victim){.pod = &w->objects.pods[p]};
    classify(w, c->victims, c->listed);
    if (c->listed == 0 || !reprieve(w, node, c))
        return false;
    for (uint32_t i = 0; i < c->listed; i++) {
        const struct mu_pod_object *pod = c->victims[i].pod;
        if (!c->victims[i].victim)
            continue;
        c->violations += c->victims[i].violates;
        c->count++;
        c->highest = pod->priority > c->highest ? pod->priority : c->highest;
        c->sum += (int64_t)pod->priority + (INT64_C(1) << 31);
    }
    for (uint32_t i = 0; i < c->listed; i++) {
        const struct mu_pod_object *pod = c->victims[i].pod;
        uint64_t started = pod->started_s != 0 ? pod->started_s : UINT64_MAX;
        if (c->victims[i].victim && pod->priority == c->highest && started < c->started)
            c->started = started;
    }
    return c->count > 0;
}

/* The five tie-breaks. */
static bool is_better(const struct choice *a, const struct choice *b)
{
    if (a->violations != b->violations)
        return a->violations < b->violations;
    if (a->highest != b->highest)
        return a->highest < b->highest;
    if (a->sum != b->sum)
        return a->sum < b->sum;
    return a->count != b->count ? a->count < b->count : a->started > b->started;
}

/* ---- ours --------------------------------------------------------------------------------- */

static struct mu_db *load(struct world *w)
{
    static const struct mu_str names[] = {{MU_WORLD_SCHEDULER, sizeof MU_WORLD_SCHEDULER - 1}};
    const struct mu_db_config config = {.scheduler_names = names, .scheduler_name_count = 1};
    struct mu_db *db = mu_db_create(&config);
    assert_non_null(db);
    for (uint32_t i = 0; i < w->objects.namespace_count; i++) {
        const struct mu_rules_namespace *ns = &w->objects.namespaces[i];
        assert_int_equal(mu_db_namespace_upsert(db, ns->name, ns->labels, ns->label_count, NULL),
                         0);
    }
    for (uint32_t i = 0; i < w->objects.node_count; i++)
        assert_int_equal(mu_db_node_upsert(db, &w->objects.nodes[i], 0, NULL), 0);
    for (uint32_t i = 0; i < w->objects.pod_count; i++)
        assert_int_equal(mu_db_pod_upsert(db, &w->objects.pods[i], 0, NULL), 0);
    for (uint32_t i = 0; i < w->budget_count; i++)
        assert_int_equal(mu_db_budget_upsert(db, &w->budgets[i], NULL), 0);
    return db;
}

/* How often what was the answer. */
struct tally {
    uint32_t fits, none, found, violating;
};

static const struct mu_node_object *node_named(const struct world *w, struct mu_str name)
{
    for (uint32_t n = 0; n < w->objects.node_count; n++)
        if (mu_str_equal(w->objects.nodes[n].name, name))
            return &w->objects.nodes[n];
    fail_msg("no node %.*s", MU_STR_ARGS(name));
    return NULL;
}

/* The plan's victims are those of the choice, all on its node. */
static void check_victims(struct mu_test_run *run, const struct mu_db *db,
                          const struct mu_plan_gang *plan, const struct choice *c)
{
    MU_TEST_CHECK(run, plan->evict_count == c->count);
    MU_TEST_CHECK(run, plan->budget_violations == c->violations);
    for (uint32_t e = 0; e < plan->evict_count; e++) {
        struct mu_pod_view view;
        bool listed = false;
        MU_TEST_CHECK(run, mu_db_evict_get(db, &plan->evicts[e], &view));
        MU_TEST_CHECK(run, plan->evicts[e].node.v == plan->binds[0].node.v);
        for (uint32_t i = 0; i < c->listed; i++)
            listed = listed ||
                     (c->victims[i].victim && mu_str_equal(c->victims[i].pod->name, view.name));
        MU_TEST_CHECK(run, listed);
    }
}

static void check(struct mu_test_run *run, struct world *w, const struct mu_db *db,
                  const struct mu_plan *plan, struct tally *tally)
{
    static struct choice best, one, ours;
    bool any = false, fits = false;
    for (uint32_t n = 0; n < w->objects.node_count; n++) {
        fits = fits || verdict(w, &w->objects.nodes[n]) == MU_FITS;
        if (!victims_on(w, &w->objects.nodes[n], &one))
            continue;
        if (!any || is_better(&one, &best))
            best = one;
        any = true;
    }
    MU_TEST_CHECK(run, plan->gang_count + plan->wait_count == 1);
    MU_TEST_CHECK(run, (plan->gang_count == 1) == (fits || any));
    if (fits || !any) {
        tally->fits += fits;
        tally->none += !fits;
        MU_TEST_CHECK(run, plan->gang_count == 0 || plan->gangs[0].evict_count == 0);
        return;
    }
    const struct mu_plan_gang *gang = &plan->gangs[0];
    const struct mu_node_object *node = node_named(w, mu_db_node_name(db, gang->binds[0].node));
    MU_TEST_CHECK(run, victims_on(w, node, &ours) && !is_better(&best, &ours));
    check_victims(run, db, gang, &ours);
    tally->found++;
    tally->violating += ours.violations > 0;
}

static void test_session_run__lone_pod_all_rules__kube_schedulers_choice(void **state)
{
    (void)state;
    struct mu_test_run run = mu_test_run_begin(1);
    struct world w = {.arena = mu_arena_create((size_t)64 << 20)};
    const struct mu_session_config config = {.profile = &mu_profile_spread, .preempts = true};
    struct tally tally = {0};
    assert_non_null(w.arena);
    for (run.step = 0; run.step < 4000; run.step++) {
        const struct mu_plan *plan;
        draw_world(&w, &run);
        struct mu_db *db = load(&w);
        struct mu_snapshot *snapshot = mu_db_replica_create(db);
        struct mu_session *session = mu_session_create(&config);
        int rc = snapshot == NULL ? -1 : 1;
        while (rc == 1)
            rc = mu_db_replica_sync(db, snapshot, 0);
        assert_int_equal(rc, 0);
        assert_non_null(session);
        assert_int_equal(mu_session_run(session, snapshot, 1, &plan), 0);
        check(&run, &w, db, plan, &tally);
        mu_session_destroy(session);
        mu_db_replica_destroy(db, snapshot);
        mu_db_destroy(db);
    }
    print_message("%u fit, for %u nobody helps, %u preempt, %u of them against a budget\n",
                  tally.fits, tally.none, tally.found, tally.violating);
    assert_true(tally.found > 300 && tally.violating > 50 && tally.none > 100);
    mu_arena_destroy(w.arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_session_run__lone_pod_all_rules__kube_schedulers_choice),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
