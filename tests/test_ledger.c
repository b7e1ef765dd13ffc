/* The ledger: admission against the present, and the life of an entry. */
#include "tests/db_fixture.h"

#include "engine/db/db_priv.h"

struct world {
    struct mu_db *db;
    struct mu_snapshot *s;
    struct fixture_plan plan;
    struct mu_error why;
};

static uint32_t ledger_count(const struct world *w)
{
    struct mu_db_counts counts;
    mu_db_counts(w->db, &counts);
    return counts.ledger;
}

static void member(struct world *w, uint32_t number, uint64_t version, uint32_t size)
{
    struct fixture_pod p;
    fixture_pod(&p, number, version);
    fixture_gang(&p, "g", size);
    fixture_put(w->db, &p, 0);
}

static void plan_for(struct world *w, uint32_t number, const char *node)
{
    fixture_sync(w->db, w->s);
    fixture_plan(&w->plan, w->s, fixture_find(w->db, number).gang.v,
                 fixture_row(w->db, w->s, node));
}

static int64_t free_cpu(struct world *w, const char *node)
{
    fixture_sync(w->db, w->s);
    return w->s->free[MU_RES_CPU][fixture_row(w->db, w->s, node)];
}

/* A node of 4 cpus, "a", another, "b", a gang of two (pods 1 and 2), and a plan for it on "a". */
static void world_init(struct world *w)
{
    *w = (struct world){.db = fixture_create(0)};
    w->s = mu_db_replica_create(w->db);
    fixture_put_node(w->db, "a", 1, 4);
    fixture_put_node(w->db, "b", 1, 4);
    member(w, 1, 1, 2);
    member(w, 2, 1, 2);
    plan_for(w, 1, "a");
}

static void expect_conflict(struct world *w, const char *text)
{
    uint32_t entries = ledger_count(w);
    w->why.text[0] = '\0';
    assert_int_equal(mu_db_admit(w->db, &w->plan.gang, &w->why), MU_ECONFLICT);
    if (strstr(w->why.text, text) == NULL)
        fail_msg("expected \"%s\" in \"%s\"", text, w->why.text);
    assert_int_equal(ledger_count(w), entries);
    assert_int_equal(mu_db_audit_step(w->db, 1000), 0);
}

/* --- admission ----------------------------------------------------------------------------- */

static void test_ledger_admit__fits__charges_and_places(void **state)
{
    (void)state;
    struct world w;
    world_init(&w);
    struct mu_node_ix node;
    assert_int_equal(mu_db_admit(w.db, &w.plan.gang, &w.why), 0);
    assert_int_equal(ledger_count(&w), 2);
    assert_int_equal(free_cpu(&w, "a"), 2000);
    assert_int_equal(mu_db_ledger_state(w.db, w.plan.binds[0].uid, &node), MU_LEDGER_IN_FLIGHT);
    assert_int_equal(node.v, fixture_row(w.db, w.s, "a"));
    const struct mu_gang_row *g = &w.s->gangs[w.plan.gang.gang.v];
    assert_int_equal(g->placed_count, 2);
    assert_int_equal(g->flags, MU_GANG_SETTLED);
    assert_int_equal(fixture_find(w.db, 1).node.v, MU_NONE);
    expect_conflict(&w, "does not want a node");
    mu_db_destroy(w.db);
}

static void test_ledger_admit__world_moved__conflict_names_it(void **state)
{
    (void)state;
    struct world w;
    struct fixture_pod p;
    struct fixture_node n;
    world_init(&w);
    w.plan.gang.gang_generation++;
    expect_conflict(&w, "it is gone");
    w.plan.gang.gang.v = 1000;
    expect_conflict(&w, "it is gone");
    mu_db_destroy(w.db);

    world_init(&w);
    w.plan.binds[1] = w.plan.binds[0];
    expect_conflict(&w, "bound twice");
    w.plan.gang.bind_count = 0;
    expect_conflict(&w, "at least one bind");
    mu_db_destroy(w.db);

    world_init(&w);
    w.plan.gang.bind_count = 1;
    expect_conflict(&w, "1 of 2 members");
    member(&w, 1, 2, 2);
    expect_conflict(&w, "another version");
    mu_db_destroy(w.db);

    world_init(&w);
    mu_db_pod_remove(w.db, MU_STR("default"), MU_STR("pod-2"), MU_STR(""), 0);
    expect_conflict(&w, "its pod is gone");
    fixture_pod(&p, 3, 1);
    fixture_gang(&p, "g", 2);
    fixture_put(w.db, &p, 0); /* takes the record that pod-2 left */
    expect_conflict(&w, "its pod is gone");
    mu_db_destroy(w.db);

    world_init(&w);
    w.plan.binds[1].pod.v = 1u << 20;
    expect_conflict(&w, "its pod is gone");
    fixture_pod(&p, 4, 1);
    fixture_put(w.db, &p, 0);
    struct mu_pod_view other = fixture_find(w.db, 4);
    w.plan.binds[1].pod = other.ix;
    w.plan.binds[1].uid = other.uid;
    expect_conflict(&w, "not a member");
    mu_db_destroy(w.db);

    world_init(&w);
    fixture_put_node(w.db, "a", 2, 5); /* moved to another row */
    expect_conflict(&w, "its node is gone");
    mu_db_destroy(w.db);

    world_init(&w);
    mu_db_node_remove(w.db, MU_STR("a"), MU_STR(""));
    expect_conflict(&w, "its node is gone");
    fixture_put_node(w.db, "a", 2, 4);
    expect_conflict(&w, "its node is gone");
    mu_db_destroy(w.db);

    world_init(&w);
    fixture_node(&n, "a", 2, 4, 0);
    n.object.uid = MU_STR("reinstalled");
    assert_int_equal(mu_db_node_upsert(w.db, &n.object, 0, NULL), 0);
    expect_conflict(&w, "its node is gone");
    mu_db_destroy(w.db);

    world_init(&w);
    w.plan.binds[0].node.v = 1u << 30;
    expect_conflict(&w, "its node is gone");
    mu_db_destroy(w.db);
}

static void test_ledger_admit__node_rules_changed__conflict(void **state)
{
    (void)state;
    struct world w;
    struct fixture_node n;
    struct fixture_pod p;
    struct mu_taint taint = {MU_STR("key"), MU_STR("value"), MU_EFFECT_NO_SCHEDULE};
    struct mu_label zone = {MU_STR("zone"), MU_STR("z1")};
    world_init(&w);
    fixture_node(&n, "a", 2, 4, 0);
    n.object.unschedulable = true;
    assert_int_equal(mu_db_node_upsert(w.db, &n.object, 0, NULL), 0);
    expect_conflict(&w, "unschedulable");
    fixture_node(&n, "a", 3, 4, 0);
    n.object.taints = &taint;
    n.object.taint_count = 1;
    assert_int_equal(mu_db_node_upsert(w.db, &n.object, 0, NULL), 0);
    expect_conflict(&w, "taint");
    fixture_put_node(w.db, "a", 4, 4);
    fixture_pod(&p, 1, 2);
    fixture_gang(&p, "g", 2);
    p.object.selector = &zone;
    p.object.selector_count = 1;
    fixture_put(w.db, &p, 0);
    plan_for(&w, 1, "a");
    expect_conflict(&w, "selector");
    fixture_pod(&p, 1, 3);
    fixture_gang(&p, "g", 2);
    p.object.gated = true;
    fixture_put(w.db, &p, 0);
    for (uint32_t i = 0; i < 2; i++)
        if (mu_uid_equal(w.plan.binds[i].uid, fixture_find(w.db, 1).uid))
            w.plan.binds[i].version = 3;
    expect_conflict(&w, "does not want a node");
    mu_db_destroy(w.db);
}

static void test_ledger_admit__one_pod_too_many__charges_none(void **state)
{
    (void)state;
    struct world w;
    world_init(&w);
    for (uint32_t i = 3; i <= 5; i++)
        member(&w, i, 1, 5);
    plan_for(&w, 1, "a");
    assert_int_equal(w.plan.gang.bind_count, 5);
    expect_conflict(&w, "no room");
    assert_int_equal(free_cpu(&w, "a"), 4000);
    w.plan.binds[4].node.v = fixture_row(w.db, w.s, "b");
    w.plan.binds[4].node_generation = w.s->nodes[w.plan.binds[4].node.v].generation;
    assert_int_equal(mu_db_admit(w.db, &w.plan.gang, NULL), 0);
    assert_int_equal(free_cpu(&w, "a"), 0);
    assert_int_equal(free_cpu(&w, "b"), 3000);
    mu_db_destroy(w.db);
}

static void test_ledger_admit__pod_slots__are_room_too(void **state)
{
    (void)state;
    struct world w;
    struct fixture_node n;
    world_init(&w);
    fixture_node(&n, "one-slot", 1, 4, 0);
    n.amounts[2].value = 1;
    assert_int_equal(mu_db_node_upsert(w.db, &n.object, 0, NULL), 0);
    plan_for(&w, 1, "one-slot");
    expect_conflict(&w, "no room");
    mu_db_destroy(w.db);
}

static void test_ledger_admit__unsettled_and_changed__conflict(void **state)
{
    (void)state;
    struct world w;
    world_init(&w);
    mu_db_pod_remove(w.db, MU_STR("default"), MU_STR("pod-1"), MU_STR(""), 0);
    mu_db_pod_remove(w.db, MU_STR("default"), MU_STR("pod-2"), MU_STR(""), 0);
    member(&w, 3, 1, 0);
    plan_for(&w, 3, "a");
    member(&w, 4, 1, 0);
    expect_conflict(&w, "changed before its size was settled");
    plan_for(&w, 3, "a");
    w.plan.gang.size = 0;
    expect_conflict(&w, "expected a size");
    w.plan.gang.size = 3;
    expect_conflict(&w, "2 of 3");
    w.plan.gang.size = 2;
    assert_int_equal(mu_db_admit(w.db, &w.plan.gang, NULL), 0);
    mu_db_destroy(w.db);
}

static void test_ledger_admit__subgroups__all_of_each_or_none(void **state)
{
    (void)state;
    struct world w;
    world_init(&w);
    for (uint32_t i = 3; i <= 5; i++) {
        struct fixture_pod p;
        fixture_pod(&p, i, 1);
        fixture_gang(&p, "split", 2);
        p.object.gang.subgroup = i == 3 ? MU_STR("leader") : MU_STR("workers");
        fixture_put(w.db, &p, 0);
    }
    plan_for(&w, 3, "a");
    w.plan.gang.bind_count = 2;
    expect_conflict(&w, "sub-groups");
    w.plan.gang.bind_count = 3;
    assert_int_equal(mu_db_admit(w.db, &w.plan.gang, NULL), 0);
    mu_db_destroy(w.db);
}

static void test_ledger_admit__out_of_memory__changes_nothing(void **state)
{
    (void)state;
    struct world w;
    struct fixture_node n;
    struct fixture_pod p;
    world_init(&w);
    /* A class with a resource that node "a" lacks would have to widen its chunk. */
    fixture_pod(&p, 1, 2);
    fixture_gang(&p, "g", 2);
    p.amounts[2].value = 1;
    p.object.request_count = 3;
    fixture_put(w.db, &p, 0);
    plan_for(&w, 1, "a");
    mu_mem_debug_set((struct mu_mem_debug){.fail_nth = 1});
    assert_int_equal(mu_db_admit(w.db, &w.plan.gang, NULL), MU_ENOMEM);
    mu_mem_debug_set((struct mu_mem_debug){0});
    assert_int_equal(ledger_count(&w), 0);
    expect_conflict(&w, "no room");
    fixture_node(&n, "gpu", 1, 4, 1);
    assert_int_equal(mu_db_node_upsert(w.db, &n.object, 0, NULL), 0);
    plan_for(&w, 1, "gpu");
    assert_int_equal(mu_db_admit(w.db, &w.plan.gang, NULL), 0);
    mu_db_destroy(w.db);
}

/* --- the life of an entry -------------------------------------------------------------------- */

static void test_ledger_entry__seen_bound__becomes_the_charge(void **state)
{
    (void)state;
    struct world w;
    struct fixture_pod p;
    world_init(&w);
    assert_int_equal(mu_db_admit(w.db, &w.plan.gang, NULL), 0);
    (void)free_cpu(&w, "a");
    uint64_t room = w.s->capacity_generation;
    for (uint32_t i = 1; i <= 2; i++) {
        fixture_pod(&p, i, 2);
        fixture_gang(&p, "g", 2);
        p.object.node_name = i == 1 ? MU_STR("a") : MU_STR("b"); /* the second went elsewhere */
        fixture_put(w.db, &p, 0);
        assert_int_equal(mu_db_ledger_state(w.db, fixture_uid(w.db, p.uid), NULL), MU_LEDGER_NONE);
        assert_int_equal(free_cpu(&w, "a"), i == 1 ? 2000 : 3000);
        assert_int_equal(free_cpu(&w, "b"), i == 1 ? 4000 : 3000);
        assert_int_equal(w.s->capacity_generation == room, i == 1);
    }
    assert_int_equal(ledger_count(&w), 0);
    mu_db_destroy(w.db);
}

static void test_ledger_entry__pod_updated_or_deleted__stays_or_goes(void **state)
{
    (void)state;
    struct world w;
    world_init(&w);
    assert_int_equal(mu_db_admit(w.db, &w.plan.gang, NULL), 0);
    member(&w, 1, 2, 2); /* still unbound, newer: the bind may still land */
    assert_int_equal(ledger_count(&w), 2);
    assert_int_equal(free_cpu(&w, "a"), 2000);
    mu_db_pod_remove(w.db, MU_STR("default"), MU_STR("pod-1"), MU_STR(""), 0);
    assert_int_equal(ledger_count(&w), 1);
    assert_int_equal(free_cpu(&w, "a"), 3000);
    struct fixture_pod p;
    fixture_pod(&p, 2, 2);
    fixture_gang(&p, "g", 2);
    p.object.terminating = true; /* may land all the same: keeps its room */
    fixture_put(w.db, &p, 0);
    assert_int_equal(free_cpu(&w, "a"), 3000);
    p.object.version = 3;
    p.object.phase = MU_POD_FAILED;
    fixture_put(w.db, &p, 0);
    assert_int_equal(free_cpu(&w, "a"), 4000);
    assert_int_equal(ledger_count(&w), 0);
    mu_db_destroy(w.db);
}

static void test_ledger_refused__hold_then_release__room_follows(void **state)
{
    (void)state;
    struct world w;
    struct mu_node_ix node;
    world_init(&w);
    struct mu_uid one = fixture_find(w.db, 1).uid;
    struct mu_uid two = fixture_find(w.db, 2).uid;
    mu_db_bind_refused(w.db, one, true); /* no entry: nothing happens */
    assert_int_equal(mu_db_ledger_state(w.db, one, &node), MU_LEDGER_NONE);
    assert_int_equal(node.v, MU_NONE);
    assert_int_equal(mu_db_admit(w.db, &w.plan.gang, NULL), 0);
    mu_db_bind_refused(w.db, one, true);
    mu_db_bind_refused(w.db, two, false);
    mu_db_bind_refused(w.db, (struct mu_uid){1, 2}, false);
    assert_int_equal(mu_db_ledger_state(w.db, one, &node), MU_LEDGER_HELD);
    assert_int_equal(free_cpu(&w, "a"), 3000);
    assert_int_equal(node.v, fixture_row(w.db, w.s, "a"));
    const struct mu_gang_row *g = &w.s->gangs[w.plan.gang.gang.v];
    assert_int_equal(g->placed_count, 0);
    assert_int_equal(g->block->member_count, 2);
    assert_int_equal(g->block->members[0].held.v, node.v);
    assert_int_equal(g->block->members[0].held_generation, w.s->nodes[node.v].generation);
    assert_int_equal(g->block->members[1].held.v, MU_NONE);
    /* The node moves: the hold follows and is shown with its new row. */
    fixture_put_node(w.db, "a", 2, 6);
    assert_int_equal(free_cpu(&w, "a"), 5000);
    g = &w.s->gangs[w.plan.gang.gang.v];
    assert_int_equal(g->block->members[0].held.v, fixture_row(w.db, w.s, "a"));
    mu_db_node_remove(w.db, MU_STR("a"), MU_STR(""));
    fixture_sync(w.db, w.s);
    assert_int_equal(w.s->gangs[w.plan.gang.gang.v].block->members[0].held.v, MU_NONE);
    fixture_put_node(w.db, "a", 3, 6);
    mu_db_held_release(w.db, two);
    mu_db_held_release(w.db, one);
    assert_int_equal(free_cpu(&w, "a"), 6000);
    assert_int_equal(ledger_count(&w), 0);
    mu_db_destroy(w.db);
}

/* Two pods hold all of "a"; a plan that swaps them onto their own room must be admitted, whatever
 * the order of its binds; one for a stranger must not. */
static void test_ledger_admit__own_holds__count_as_free(void **state)
{
    (void)state;
    struct world w;
    world_init(&w);
    for (uint32_t i = 3; i <= 4; i++)
        member(&w, i, 1, 4);
    plan_for(&w, 1, "a");
    assert_int_equal(mu_db_admit(w.db, &w.plan.gang, NULL), 0);
    for (uint32_t i = 0; i < 4; i++)
        mu_db_bind_refused(w.db, w.plan.binds[i].uid, true);
    assert_int_equal(free_cpu(&w, "a"), 0);
    struct fixture_pod p;
    fixture_pod(&p, 9, 1);
    fixture_put(w.db, &p, 0);
    plan_for(&w, 9, "a");
    expect_conflict(&w, "no room");
    plan_for(&w, 1, "a");
    assert_int_equal(mu_db_admit(w.db, &w.plan.gang, NULL), 0);
    assert_int_equal(free_cpu(&w, "a"), 0);
    assert_int_equal(ledger_count(&w), 4);
    /* And from a hold here to a bind there. */
    mu_db_bind_refused(w.db, w.plan.binds[0].uid, true);
    plan_for(&w, 1, "b");
    assert_int_equal(w.plan.gang.bind_count, 1);
    assert_int_equal(mu_db_admit(w.db, &w.plan.gang, NULL), 0);
    assert_int_equal(free_cpu(&w, "a"), 1000);
    assert_int_equal(free_cpu(&w, "b"), 3000);
    assert_int_equal(mu_db_audit_step(w.db, 1000), 0);
    mu_db_destroy(w.db);
}

static void test_ledger_refused__after_confirmed__ignored(void **state)
{
    (void)state;
    struct world w;
    world_init(&w);
    struct mu_uid one = fixture_find(w.db, 1).uid;
    mu_db_bind_confirmed(w.db, one); /* no entry: nothing happens */
    assert_int_equal(mu_db_admit(w.db, &w.plan.gang, NULL), 0);
    mu_db_bind_confirmed(w.db, one);
    member(&w, 1, 2, 2); /* a late view of the unbound pod changes nothing */
    mu_db_bind_refused(w.db, one, false);
    assert_int_equal(mu_db_ledger_state(w.db, one, NULL), MU_LEDGER_IN_FLIGHT);
    assert_int_equal(free_cpu(&w, "a"), 2000);
    mu_db_destroy(w.db);
}

static void test_ledger_held__pod_terminating__given_up(void **state)
{
    (void)state;
    struct world w;
    world_init(&w);
    struct mu_uid one = fixture_find(w.db, 1).uid;
    struct mu_uid two = fixture_find(w.db, 2).uid;
    assert_int_equal(mu_db_admit(w.db, &w.plan.gang, NULL), 0);
    mu_db_bind_refused(w.db, one, true);
    struct fixture_pod p;
    for (uint32_t i = 1; i <= 2; i++) {
        fixture_pod(&p, i, 2);
        fixture_gang(&p, "g", 2);
        p.object.terminating = true;
        fixture_put(w.db, &p, 0);
    }
    assert_int_equal(mu_db_ledger_state(w.db, one, NULL), MU_LEDGER_NONE);
    assert_int_equal(mu_db_ledger_state(w.db, two, NULL), MU_LEDGER_IN_FLIGHT);
    mu_db_bind_refused(w.db, two, true); /* nothing to hold room for */
    assert_int_equal(mu_db_ledger_state(w.db, two, NULL), MU_LEDGER_NONE);
    assert_int_equal(free_cpu(&w, "a"), 4000);
    mu_db_destroy(w.db);
}

static void test_ledger_block__pod_renewed__lasts_until_something_else_changes(void **state)
{
    (void)state;
    struct mu_db *db = fixture_create(0);
    struct fixture_pod p;
    fixture_pod(&p, 1, 5);
    fixture_put(db, &p, 0);
    struct mu_uid uid = fixture_find(db, 1).uid;
    mu_db_pod_block(db, uid, MU_RULE_REFUSED, true);
    p.object.version = 6; /* its status was written to, may be by us */
    fixture_put(db, &p, 0);
    assert_int_equal(fixture_find(db, 1).unbuilt, MU_RULE_REFUSED);
    p.object.version = 7;
    p.amounts[0].value = 500;
    fixture_put(db, &p, 0);
    assert_int_equal(fixture_find(db, 1).unbuilt, 0);
    mu_db_pod_block(db, uid, MU_RULE_REFUSED, true);
    mu_db_pod_block(db, uid, MU_RULE_REFUSED, false);
    assert_int_equal(fixture_find(db, 1).unbuilt, 0);
    mu_db_destroy(db);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ledger_block__pod_renewed__lasts_until_something_else_changes),
        cmocka_unit_test(test_ledger_admit__fits__charges_and_places),
        cmocka_unit_test(test_ledger_admit__world_moved__conflict_names_it),
        cmocka_unit_test(test_ledger_admit__node_rules_changed__conflict),
        cmocka_unit_test(test_ledger_admit__one_pod_too_many__charges_none),
        cmocka_unit_test(test_ledger_admit__pod_slots__are_room_too),
        cmocka_unit_test(test_ledger_admit__unsettled_and_changed__conflict),
        cmocka_unit_test(test_ledger_admit__subgroups__all_of_each_or_none),
        cmocka_unit_test(test_ledger_admit__out_of_memory__changes_nothing),
        cmocka_unit_test(test_ledger_entry__seen_bound__becomes_the_charge),
        cmocka_unit_test(test_ledger_entry__pod_updated_or_deleted__stays_or_goes),
        cmocka_unit_test(test_ledger_refused__hold_then_release__room_follows),
        cmocka_unit_test(test_ledger_admit__own_holds__count_as_free),
        cmocka_unit_test(test_ledger_refused__after_confirmed__ignored),
        cmocka_unit_test(test_ledger_held__pod_terminating__given_up),
    };
    return cmocka_run_group_tests_name("ledger", tests, NULL, NULL);
}
