/* How many pods a run of a session may evict, and from when on: the leave that it is given. */
#include "tests/db_fixture.h"

#include "engine/session/session.h"

/* Four nodes, each full of one pod of priority 0. A gang of two (priority 20) and a pod behind it
 * in the queue (priority 10) want their places. */
enum { NODES = 4, STARTED_S = 1000, GANG = 11, LONE = 21 };

struct world {
    struct mu_db *db;
    struct mu_snapshot *s;
    struct mu_session *session;
    const struct mu_plan *plan;
};

static void put(struct world *w, uint32_t number, int32_t priority, const char *node,
                const char *gang)
{
    struct fixture_pod p;
    fixture_pod(&p, number, number);
    p.amounts[0].value = 4000;
    p.object.priority = priority;
    if (node != NULL) {
        p.object.node_name = mu_str_of(node);
        p.object.started_s = STARTED_S;
        p.object.scheduler_name = MU_STR("default-scheduler");
    }
    if (gang != NULL)
        fixture_gang(&p, gang, 2);
    fixture_put(w->db, &p, 0);
}

static struct world world_create(uint32_t min_run_s)
{
    static const char *const names[NODES] = {"n0", "n1", "n2", "n3"};
    struct world w = {.db = fixture_create(0)};
    assert_non_null(w.db);
    w.s = mu_db_replica_create(w.db);
    w.session =
        mu_session_create(&(struct mu_session_config){.preempts = true, .min_run_s = min_run_s});
    assert_true(w.s != NULL && w.session != NULL);
    for (uint32_t i = 0; i < NODES; i++) {
        fixture_put_node(w.db, names[i], 1, 4);
        put(&w, 1 + i, 0, names[i], NULL);
    }
    put(&w, GANG, 20, NULL, "g");
    put(&w, GANG + 1, 20, NULL, "g");
    put(&w, LONE, 10, NULL, NULL);
    fixture_sync(w.db, w.s);
    return w;
}

static void world_destroy(struct world *w)
{
    mu_session_destroy(w->session);
    mu_db_replica_destroy(w->db, w->s);
    mu_db_destroy(w->db);
}

/* Victims of the next run. */
static uint32_t run(struct world *w)
{
    uint32_t victims = 0;
    assert_int_equal(mu_session_run(w->session, w->s, 5 * MU_NS_PER_S, &w->plan), 0);
    for (uint32_t i = 0; i < w->plan->gang_count; i++)
        victims += w->plan->gangs[i].evict_count;
    return victims;
}

static void test_session_evictions__in_the_order_of_the_queue(void **state)
{
    static const struct {
        uint32_t max;
        bool any_first;
        uint32_t victims;
        bool is_short;
    } cases[] = {
        {1, false, 0, true}, /* not enough for the first: none for those behind it */
        {0, false, 0, true},  {1, true, 2, true}, {2, false, 2, true},
        {3, false, 3, false}, {2, true, 2, true}, {UINT32_MAX, false, 3, false},
    };
    struct world w = world_create(0);
    (void)state;
    assert_int_equal(run(&w), 3); /* as created: any number */
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        mu_session_evictions(w.session, cases[i].max, cases[i].any_first);
        assert_int_equal(run(&w), cases[i].victims);
        assert_int_equal(w.plan->evictions_short, cases[i].is_short);
        assert_int_equal(w.plan->gang_count + w.plan->wait_count, 2);
    }
    world_destroy(&w);
}

static void test_session_min_run__plan_says_when_the_next_may_leave(void **state)
{
    struct world w = world_create(100);
    (void)state;
    mu_session_unix(w.session, STARTED_S + 40);
    for (int i = 0; i < 2; i++) { /* also when nobody is looked for again */
        assert_int_equal(run(&w), 0);
        assert_true(w.plan->next_ns > 5 * MU_NS_PER_S);
        assert_true(w.plan->next_ns <= 65 * MU_NS_PER_S);
        assert_true(i > 0 || w.plan->next_ns == 65 * MU_NS_PER_S);
    }
    mu_session_unix(w.session, STARTED_S + 99);
    assert_int_equal(run(&w), 0);
    assert_int_equal(w.plan->next_ns, 6 * MU_NS_PER_S);
    mu_session_unix(w.session, STARTED_S + 100);
    assert_int_equal(run(&w), 3);
    assert_true(w.plan->next_ns == UINT64_MAX);
    world_destroy(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_session_evictions__in_the_order_of_the_queue),
        cmocka_unit_test(test_session_min_run__plan_says_when_the_next_may_leave),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
