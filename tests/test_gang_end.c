/*
 * Gangs that are bound in part: when a row says so, what sessions make of it, what the DB admits.
 */
#include "tests/db_fixture.h"

#include "engine/db/db_priv.h"
#include "engine/session/session.h"

#define SECOND   UINT64_C(1000000000)
#define DEADLINE (60 * SECOND)

struct world {
    struct mu_db *db;
    struct mu_snapshot *s;
    struct mu_session *session;
    const struct mu_plan *plan;
    uint64_t version;
};

static void setup(struct world *w, enum mu_short_policy policy)
{
    const struct mu_session_config config = {
        .profile = &mu_profile_spread, .short_gangs = policy, .gang_deadline_ns = DEADLINE};
    *w = (struct world){.db = fixture_create(0), .version = 1};
    w->s = mu_db_replica_create(w->db);
    w->session = mu_session_create(&config);
    assert_non_null(w->s);
    assert_non_null(w->session);
}

static void teardown(struct world *w)
{
    mu_session_destroy(w->session);
    mu_db_destroy(w->db);
}

/* A member of gang g of `size`; where: its node, NULL: none. */
struct member {
    uint32_t number, size, timeout_s;
    const char *where;
    bool bare, going;
    enum mu_pod_phase phase;
};

static void put(struct world *w, struct member m, uint64_t now_ns)
{
    struct fixture_pod p;
    fixture_pod(&p, m.number, ++w->version);
    fixture_gang(&p, "g", m.size);
    p.object.gang.timeout_s = m.timeout_s;
    p.object.controlled = !m.bare;
    p.object.terminating = m.going;
    p.object.phase = m.phase;
    p.object.node_name = m.where == NULL ? MU_STR("") : mu_str_of(m.where);
    fixture_put(w->db, &p, now_ns);
}

static void drop(struct world *w, uint32_t number)
{
    struct fixture_pod p;
    fixture_pod(&p, number, 0);
    assert_int_equal(mu_db_pod_remove(w->db, p.object.ns, p.object.name, MU_STR(""), 0), 0);
}

/* The row of the only gang at a time. */
static const struct mu_gang_row *row_at(struct world *w, uint64_t now_ns)
{
    const struct mu_gang_row *found = NULL;
    mu_db_time(w->db, now_ns);
    fixture_sync(w->db, w->s);
    for (uint32_t g = 0; g < w->s->gang_rows; g++) {
        if (w->s->gangs[g].member_count == 0)
            continue;
        assert_null(found);
        found = &w->s->gangs[g];
    }
    assert_non_null(found);
    return found;
}

static const struct mu_plan *run_at(struct world *w, uint64_t now_ns)
{
    (void)row_at(w, now_ns);
    assert_int_equal(mu_session_run(w->session, w->s, now_ns, &w->plan), 0);
    return w->plan;
}

/* The only gang waits so, and this many are ended. */
static void expect(struct world *w, uint64_t now_ns, enum mu_wait_kind kind, uint32_t ends)
{
    const struct mu_plan *plan = run_at(w, now_ns);
    assert_int_equal(plan->wait_count, 1);
    assert_int_equal(plan->waits[0].kind, kind);
    assert_int_equal(plan->end_count, ends);
}

/* Members 1 and 2 of three are bound, 3 finds no room. */
static void setup_partly(struct world *w, enum mu_short_policy policy, uint32_t timeout_s)
{
    setup(w, policy);
    put(w, (struct member){.number = 1, .size = 3, .timeout_s = timeout_s}, 0);
    (void)row_at(w, 0);
    for (uint32_t i = 1; i <= 3; i++)
        put(w,
            (struct member){
                .number = i, .size = 3, .timeout_s = timeout_s, .where = i < 3 ? "a" : NULL},
            5 * SECOND);
}

/* All three ran; 3 was told to go, and 4 comes in its place. */
static void setup_fallen(struct world *w, enum mu_short_policy policy)
{
    setup(w, policy);
    for (uint32_t i = 1; i <= 3; i++)
        put(w, (struct member){.number = i, .size = 3, .timeout_s = 9, .where = "a"}, 0);
    assert_int_equal(row_at(w, SECOND)->flags, MU_GANG_SETTLED | MU_GANG_WHOLE);
    put(w, (struct member){.number = 3, .size = 3, .where = "a", .going = true}, 2 * SECOND);
    drop(w, 3);
    assert_true(row_at(w, 3 * SECOND)->short_ns == 0); /* nobody is there to be placed */
    put(w, (struct member){.number = 4, .size = 3, .timeout_s = 9}, 5 * SECOND);
}

static void test_gang_end_row__bound_in_part__since_when(void **state)
{
    struct world w;
    (void)state;
    setup_partly(&w, MU_SHORT_COMPLETE, 0);
    const struct mu_gang_row *row = row_at(&w, 7 * SECOND);
    assert_int_equal(row->flags, MU_GANG_PENDING | MU_GANG_SETTLED | MU_GANG_SHORT);
    assert_true(row->short_ns == 7 * SECOND);
    assert_int_equal(row->controlled_count, 2);
    /* It stays so since then, whatever else happens to it. */
    put(&w, (struct member){.number = 1, .size = 3, .where = "a", .bare = true}, 8 * SECOND);
    row = row_at(&w, 9 * SECOND);
    assert_true(row->short_ns == 7 * SECOND);
    assert_int_equal(row->controlled_count, 1);
    put(&w, (struct member){.number = 3, .size = 3, .where = "a"}, 10 * SECOND);
    row = row_at(&w, 10 * SECOND);
    assert_int_equal(row->flags, MU_GANG_SETTLED | MU_GANG_WHOLE);
    assert_true(row->short_ns == 0);
    teardown(&w);
}

/* The last pods of a job run without the others, which have ended: that is no fragment. */
static void test_gang_end_row__members_come_to_their_end__still_enough(void **state)
{
    struct world w;
    (void)state;
    setup(&w, MU_SHORT_END);
    for (uint32_t i = 1; i <= 4; i++)
        put(&w, (struct member){.number = i, .size = 4, .where = "a"}, 0);
    (void)row_at(&w, SECOND);
    drop(&w, 1); /* gone from the list, as pods are that have ended */
    put(&w, (struct member){.number = 2, .size = 4, .where = "a", .phase = MU_POD_SUCCEEDED}, 0);
    put(&w, (struct member){.number = 5, .size = 4}, 0); /* late */
    put(&w, (struct member){.number = 6, .size = 4}, 0);
    assert_true(row_at(&w, 2 * SECOND)->short_ns == 0);
    expect(&w, 1000 * SECOND, MU_WAIT_NO_FIT, 0);
    /* One that fails has not done its part. */
    put(&w, (struct member){.number = 3, .size = 4, .where = "a", .phase = MU_POD_FAILED}, 0);
    put(&w, (struct member){.number = 7, .size = 4}, 0);
    assert_true(row_at(&w, 1001 * SECOND)->short_ns == 1001 * SECOND);
    /* With nobody left that runs, a generation begins that owes nothing to the last one. */
    put(&w, (struct member){.number = 4, .size = 4, .where = "a", .phase = MU_POD_SUCCEEDED}, 0);
    assert_int_equal(row_at(&w, 1002 * SECOND)->flags, MU_GANG_PENDING | MU_GANG_SETTLED);
    teardown(&w);
}

/* After a start nobody knows who has ended before. */
static void test_gang_end_row__found_with_too_few_members__not_in_part(void **state)
{
    struct world w;
    (void)state;
    setup(&w, MU_SHORT_COMPLETE);
    put(&w, (struct member){.number = 1, .size = 4, .where = "a"}, 0);
    put(&w, (struct member){.number = 2, .size = 4, .where = "a"}, 0);
    put(&w, (struct member){.number = 3, .size = 4}, 0);
    assert_true(row_at(&w, SECOND)->short_ns == 0);
    put(&w, (struct member){.number = 4, .size = 4}, 0);
    assert_true(row_at(&w, 2 * SECOND)->short_ns == 2 * SECOND);
    teardown(&w);
}

/* Enough of them, but a sub-group is below its minimum. */
static void test_gang_end_row__subgroup_below_its_minimum__in_part(void **state)
{
    struct world w;
    (void)state;
    setup(&w, MU_SHORT_COMPLETE);
    for (uint32_t i = 4; i >= 1; i--) {
        struct fixture_pod p;
        fixture_pod(&p, i, 1);
        fixture_gang(&p, "g", 3);
        p.object.gang.subgroup = i < 4 ? MU_STR("workers") : MU_STR("driver");
        p.object.gang.subgroup_min = i < 4 ? 2 : 1;
        p.object.node_name = i < 4 ? MU_STR("a") : MU_STR("");
        fixture_put(w.db, &p, 0);
    }
    const struct mu_gang_row *row = row_at(&w, SECOND);
    assert_int_equal(row->placed_count, 3);
    assert_int_equal(row->size, 3);
    assert_int_equal(row->flags, MU_GANG_PENDING | MU_GANG_SETTLED | MU_GANG_SHORT | MU_GANG_PARTS);
    assert_true(row->short_ns != 0);
    teardown(&w);
}

static void test_gang_end_plan__never_whole__at_the_deadline(void **state)
{
    static const enum mu_short_policy policies[] = {MU_SHORT_COMPLETE, MU_SHORT_END, MU_SHORT_KEEP};
    (void)state;
    for (size_t i = 0; i < sizeof policies / sizeof policies[0]; i++) {
        struct world w;
        setup_partly(&w, policies[i], 0);
        expect(&w, 5 * SECOND, MU_WAIT_NO_FIT, 0);
        assert_true(w.plan->next_ns == 5 * SECOND + DEADLINE);
        expect(&w, 5 * SECOND + DEADLINE - 1, MU_WAIT_NO_FIT, 0);
        expect(&w, 5 * SECOND + DEADLINE, MU_WAIT_NO_FIT, 1);
        const struct mu_plan_end *end = &w.plan->ends[0];
        assert_int_equal(end->have, 2);
        assert_int_equal(end->need, 3);
        assert_true(end->since_ns == 5 * SECOND);
        assert_int_equal(end->kept, policies[i] == MU_SHORT_KEEP);
        assert_true(w.plan->next_ns == UINT64_MAX);
        teardown(&w);
    }
}

/* Room comes in time, or at the last moment: it is completed, not ended. */
static void test_gang_end_plan__room_at_the_deadline__completed(void **state)
{
    struct world w;
    (void)state;
    setup_partly(&w, MU_SHORT_COMPLETE, 0);
    (void)row_at(&w, 5 * SECOND);
    fixture_put_node(w.db, "b", 1, 8);
    const struct mu_plan *plan = run_at(&w, 5 * SECOND + DEADLINE);
    assert_int_equal(plan->gang_count, 1);
    assert_int_equal(plan->gangs[0].bind_count, 1);
    assert_int_equal(plan->end_count, 0);
    teardown(&w);
}

static void test_gang_end_plan__own_timeout__takes_the_deadlines_place(void **state)
{
    struct world w;
    (void)state;
    setup_partly(&w, MU_SHORT_COMPLETE, 9);
    expect(&w, 5 * SECOND, MU_WAIT_NO_FIT, 0);
    assert_true(w.plan->next_ns == 14 * SECOND);
    expect(&w, 14 * SECOND, MU_WAIT_NO_FIT, 1);
    teardown(&w);
    /* A gang of which nothing is bound only waits. */
    setup(&w, MU_SHORT_COMPLETE);
    put(&w, (struct member){.number = 1, .size = 1, .timeout_s = 9}, 0);
    expect(&w, SECOND, MU_WAIT_NO_FIT, 0);
    assert_true(w.plan->next_ns == FIXTURE_QUIET_NS + 9 * SECOND); /* to be told so */
    assert_false(w.plan->waits[0].overdue);
    expect(&w, FIXTURE_QUIET_NS + 9 * SECOND, MU_WAIT_NO_FIT, 0);
    assert_true(w.plan->waits[0].overdue);
    assert_true(w.plan->next_ns == UINT64_MAX);
    teardown(&w);
}

/* It was whole and has lost a member. */
static void test_gang_end_plan__fallen_below_its_minimum__by_policy(void **state)
{
    struct world w;
    (void)state;
    setup_fallen(&w, MU_SHORT_COMPLETE);
    expect(&w, 5 * SECOND, MU_WAIT_NO_FIT, 0); /* its own timeout is for its start */
    assert_true(w.plan->next_ns == 5 * SECOND + DEADLINE);
    expect(&w, 5 * SECOND + DEADLINE, MU_WAIT_NO_FIT, 1);
    assert_false(w.plan->ends[0].kept);
    teardown(&w);
    setup_fallen(&w, MU_SHORT_END);
    fixture_put_node(w.db, "b", 1, 8); /* room or not */
    expect(&w, 5 * SECOND, MU_WAIT_ENDING, 1);
    assert_false(w.plan->ends[0].kept);
    teardown(&w);
    setup_fallen(&w, MU_SHORT_KEEP);
    expect(&w, 5000 * SECOND, MU_WAIT_NO_FIT, 0);
    expect(&w, 6000 * SECOND, MU_WAIT_NO_FIT, 1);
    assert_true(w.plan->ends[0].kept);
    teardown(&w);
}

static void test_gang_end_plan__no_deadline_given__never(void **state)
{
    const struct mu_session_config config = {.profile = &mu_profile_spread,
                                             .short_gangs = MU_SHORT_END};
    struct world w;
    (void)state;
    setup_fallen(&w, MU_SHORT_END);
    mu_session_destroy(w.session);
    w.session = mu_session_create(&config);
    expect(&w, 100000 * SECOND, MU_WAIT_NO_FIT, 0);
    assert_true(w.plan->next_ns == UINT64_MAX);
    teardown(&w);
}

static void test_gang_end_plan__bare_members__kept(void **state)
{
    struct world w;
    (void)state;
    setup_partly(&w, MU_SHORT_COMPLETE, 0);
    put(&w, (struct member){.number = 1, .size = 3, .where = "a", .bare = true}, 0);
    put(&w, (struct member){.number = 2, .size = 3, .where = "a", .bare = true}, 0);
    expect(&w, 5 * SECOND, MU_WAIT_NO_FIT, 0);
    expect(&w, 5 * SECOND + DEADLINE, MU_WAIT_NO_FIT, 1);
    assert_true(w.plan->ends[0].kept);
    struct mu_error why = {0};
    assert_int_equal(mu_db_gang_end(w.db, &w.plan->ends[0], &why), MU_ECONFLICT);
    assert_non_null(strstr(why.text, "none of its bound members has a controller"));
    teardown(&w);
}

/* Each allocation fails: no plan, and the next run makes it. */
static void test_gang_end_plan__out_of_memory__no_plan(void **state)
{
    struct world w;
    (void)state;
    setup_partly(&w, MU_SHORT_COMPLETE, 0);
    (void)row_at(&w, 5 * SECOND);
    uint32_t failures = 0;
    for (uint64_t nth = 1;; nth++) {
        mu_session_destroy(w.session);
        const struct mu_session_config config = {.profile = &mu_profile_spread,
                                                 .gang_deadline_ns = DEADLINE};
        w.session = mu_session_create(&config);
        mu_mem_debug_set((struct mu_mem_debug){.fail_nth = nth});
        int rc = mu_session_run(w.session, w.s, 5 * SECOND + DEADLINE, &w.plan);
        mu_mem_debug_set((struct mu_mem_debug){0});
        if (rc == 0)
            break;
        assert_int_equal(rc, MU_ENOMEM);
        failures++;
    }
    assert_true(failures > 0);
    assert_int_equal(w.plan->end_count, 1);
    teardown(&w);
}

static void test_gang_end_admit__marked__nobody_is_placed(void **state)
{
    struct world w;
    struct fixture_plan bind;
    struct mu_error why = {0};
    (void)state;
    setup_partly(&w, MU_SHORT_COMPLETE, 0);
    (void)row_at(&w, 5 * SECOND);
    expect(&w, 5 * SECOND + DEADLINE, MU_WAIT_NO_FIT, 1);
    const struct mu_plan_end end = w.plan->ends[0];
    assert_int_equal(mu_db_gang_end(w.db, &end, &why), 0);
    assert_true(mu_db_gang_end_holds(w.db, &end));
    assert_int_equal(mu_db_gang_end(w.db, &end, &why), MU_ECONFLICT);
    assert_non_null(strstr(why.text, "already"));
    fixture_put_node(w.db, "b", 1, 8);
    expect(&w, 100 * SECOND, MU_WAIT_ENDING, 0);
    assert_true((row_at(&w, 100 * SECOND)->flags & MU_GANG_ENDING) != 0);
    fixture_plan(&bind, w.s, end.gang.v, fixture_row(w.db, w.s, "b"));
    assert_int_equal(mu_db_admit(w.db, &bind.gang, &why), MU_ECONFLICT);
    assert_non_null(strstr(why.text, "its members are being ended"));
    mu_db_gang_end_over(w.db, &end);
    assert_int_equal(run_at(&w, 101 * SECOND)->gang_count, 1);
    teardown(&w);
}

/* What overtakes a plan. */
static void test_gang_end_admit__world_moved__conflict(void **state)
{
    struct world w;
    struct mu_error why = {0};
    struct fixture_plan bind;
    (void)state;
    setup_partly(&w, MU_SHORT_COMPLETE, 0);
    (void)row_at(&w, 5 * SECOND);
    expect(&w, 5 * SECOND + DEADLINE, MU_WAIT_NO_FIT, 1);
    struct mu_plan_end end = w.plan->ends[0];
    fixture_put_node(w.db, "b", 1, 8);
    (void)row_at(&w, 66 * SECOND);
    fixture_plan(&bind, w.s, end.gang.v, fixture_row(w.db, w.s, "b"));
    assert_int_equal(mu_db_admit(w.db, &bind.gang, &why), 0);
    assert_int_equal(mu_db_gang_end(w.db, &end, &why), MU_ECONFLICT);
    assert_non_null(strstr(why.text, "on its way"));
    assert_int_equal(run_at(&w, 67 * SECOND + DEADLINE)->end_count, 0); /* nor by a session */
    mu_db_bind_refused(w.db, fixture_find(w.db, 3).uid, true);
    assert_int_equal(mu_db_gang_end(w.db, &end, &why), 0);
    assert_int_equal(mu_db_ledger_state(w.db, fixture_find(w.db, 3).uid, NULL), MU_LEDGER_NONE);
    put(&w, (struct member){.number = 3, .size = 3, .where = "b"}, 0); /* by somebody else */
    assert_false(mu_db_gang_end_holds(w.db, &end));
    mu_db_gang_end_over(w.db, &end);
    assert_int_equal(mu_db_gang_end(w.db, &end, &why), MU_ECONFLICT);
    assert_non_null(strstr(why.text, "not bound in part any more"));
    for (uint32_t i = 1; i <= 3; i++)
        drop(&w, i);
    assert_int_equal(mu_db_gang_end(w.db, &end, &why), MU_ECONFLICT);
    assert_non_null(strstr(why.text, "it is gone"));
    assert_false(mu_db_gang_end_holds(w.db, &end));
    mu_db_gang_end_over(w.db, &end);
    end.gang.v = 12345;
    assert_int_equal(mu_db_gang_end(w.db, &end, &why), MU_ECONFLICT);
    teardown(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gang_end_row__bound_in_part__since_when),
        cmocka_unit_test(test_gang_end_row__members_come_to_their_end__still_enough),
        cmocka_unit_test(test_gang_end_row__found_with_too_few_members__not_in_part),
        cmocka_unit_test(test_gang_end_row__subgroup_below_its_minimum__in_part),
        cmocka_unit_test(test_gang_end_plan__never_whole__at_the_deadline),
        cmocka_unit_test(test_gang_end_plan__room_at_the_deadline__completed),
        cmocka_unit_test(test_gang_end_plan__own_timeout__takes_the_deadlines_place),
        cmocka_unit_test(test_gang_end_plan__fallen_below_its_minimum__by_policy),
        cmocka_unit_test(test_gang_end_plan__no_deadline_given__never),
        cmocka_unit_test(test_gang_end_plan__bare_members__kept),
        cmocka_unit_test(test_gang_end_plan__out_of_memory__no_plan),
        cmocka_unit_test(test_gang_end_admit__marked__nobody_is_placed),
        cmocka_unit_test(test_gang_end_admit__world_moved__conflict),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
