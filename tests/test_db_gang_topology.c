/* Gangs that stay in one domain, from the objects to the plan: the label becomes a topology key. */
#include "tests/db_fixture.h"

#include "engine/session/session.h"
#include "tests/mu_test.h"

#define KEY "example.com/rack"

static void put_node(struct mu_db *db, const char *name, const char *rack, int64_t cpus)
{
    struct fixture_node n;
    const struct mu_label label = {MU_STR(KEY), mu_str_of(rack)};
    fixture_node(&n, name, 1, cpus, 0);
    n.object.labels = &label;
    n.object.label_count = 1;
    assert_int_equal(mu_db_node_upsert(db, &n.object, 0, NULL), 0);
}

static void pod_of(struct fixture_pod *p, uint32_t number, const char *gang, uint32_t size,
                   const char *key)
{
    fixture_pod(p, number, 1);
    fixture_gang(p, gang, size);
    p->object.gang.pack_key = mu_str_of(key);
    p->object.gang.pack_required = true;
}

static void put_member(struct mu_db *db, uint32_t number, const char *gang, uint32_t size,
                       const char *key)
{
    struct fixture_pod p;
    pod_of(&p, number, gang, size, key);
    fixture_put(db, &p, 0);
}

static void remove_pod(struct mu_db *db, uint32_t number)
{
    struct fixture_pod p;
    fixture_pod(&p, number, 1);
    assert_int_equal(mu_db_pod_remove(db, MU_STR("default"), mu_str_of(p.name), MU_STR(""), 0), 0);
}

/* Number of the topology of a key in a snapshot; MU_NONE: it is not in use. */
static uint32_t topology_of(struct mu_db *db, const struct mu_snapshot *s, const char *key)
{
    for (uint32_t t = 0; t < s->topology_count; t++)
        if (s->topology_keys[t].v != 0 &&
            mu_str_equal(mu_symbol_str(mu_model_symbols(mu_db_model(db)), s->topology_keys[t]),
                         mu_str_of(key)))
            return t;
    return MU_NONE;
}

static void test_gang_topology__gang_comes_and_goes__key_in_use_meanwhile(void **state)
{
    (void)state;
    struct mu_db *db = fixture_create(0);
    struct mu_snapshot *s = mu_db_replica_create(db);
    put_node(db, "a", "r1", 4);
    put_node(db, "b", "r2", 4);
    put_node(db, "c", "r1", 4);
    fixture_sync(db, s);
    assert_int_equal(topology_of(db, s, KEY), MU_NONE);
    put_member(db, 1, "g", 2, KEY);
    put_member(db, 2, "h", 2, KEY);
    fixture_sync(db, s);
    uint32_t t = topology_of(db, s, KEY);
    assert_int_not_equal(t, MU_NONE);
    uint32_t a = fixture_row(db, s, "a"), b = fixture_row(db, s, "b"), c = fixture_row(db, s, "c");
    assert_int_equal(s->topology[t][a], s->topology[t][c]);
    assert_int_not_equal(s->topology[t][a], s->topology[t][b]);
    remove_pod(db, 1);
    fixture_sync(db, s);
    assert_int_not_equal(topology_of(db, s, KEY), MU_NONE); /* the other one has it */
    struct fixture_pod p;
    pod_of(&p, 2, "h", 2, "example.com/block"); /* another key */
    p.object.version = 2;
    fixture_put(db, &p, 0);
    fixture_sync(db, s);
    assert_int_equal(topology_of(db, s, KEY), MU_NONE);
    assert_int_equal(topology_of(db, s, "example.com/block"), MU_NONE); /* no node has it */
    struct fixture_node n;
    const struct mu_label block = {MU_STR("example.com/block"), MU_STR("b1")};
    fixture_node(&n, "d", 1, 4, 0);
    n.object.labels = &block;
    n.object.label_count = 1;
    assert_int_equal(mu_db_node_upsert(db, &n.object, 0, NULL), 0);
    fixture_sync(db, s);
    t = topology_of(db, s, "example.com/block");
    assert_int_not_equal(t, MU_NONE);
    assert_int_equal(s->topology[t][fixture_row(db, s, "d")], 0);
    assert_int_equal(s->topology[t][a], MU_NONE);
    assert_int_equal(mu_db_node_remove(db, MU_STR("d"), MU_STR("")), 0);
    fixture_sync(db, s);
    assert_int_equal(topology_of(db, s, "example.com/block"), MU_NONE);
    assert_int_equal(mu_db_node_upsert(db, &n.object, 0, NULL), 0);
    fixture_sync(db, s);
    assert_int_not_equal(topology_of(db, s, "example.com/block"), MU_NONE);
    remove_pod(db, 2);
    fixture_sync(db, s);
    assert_int_equal(topology_of(db, s, "example.com/block"), MU_NONE);
    mu_db_destroy(db);
}

/* Two of three are admitted; the third comes later, and follows them although another rack has as
 * much room. */
static void test_gang_topology__member_comes_later__follows_the_others(void **state)
{
    (void)state;
    struct mu_db *db = fixture_create(0);
    struct mu_snapshot *s = mu_db_replica_create(db);
    struct mu_session *session =
        mu_session_create(&(struct mu_session_config){.profile = &mu_profile_spread});
    const struct mu_plan *plan = NULL;
    put_node(db, "a", "r1", 3);
    put_node(db, "b", "r2", 2);
    put_node(db, "c", "r2", 1);
    put_node(db, "d", "r2", 1);
    put_member(db, 1, "g", 2, KEY);
    put_member(db, 2, "g", 2, KEY);
    fixture_sync(db, s);
    uint32_t row = fixture_find(db, 1).gang.v;
    assert_int_equal(s->gangs[row].home.v, MU_NONE);
    assert_int_equal(mu_session_run(session, s, 0, &plan), 0);
    assert_int_equal(plan->gang_count, 1);
    uint32_t a = fixture_row(db, s, "a");
    for (uint32_t i = 0; i < 2; i++)
        assert_int_equal(plan->gangs[0].binds[i].node.v, a); /* three places, not four */
    assert_int_equal(mu_db_admit(db, &plan->gangs[0], NULL), 0);
    for (uint32_t i = 1; i <= 2; i++)
        mu_db_bind_confirmed(db, fixture_find(db, i).uid);
    put_member(db, 3, "g", 2, KEY);
    fixture_sync(db, s);
    assert_int_equal(s->gangs[row].home.v, a);
    assert_int_equal(mu_session_run(session, s, 0, &plan), 0);
    assert_int_equal(plan->gang_count, 1);
    assert_int_equal(plan->gangs[0].binds[0].node.v, a);
    assert_int_equal(mu_db_admit(db, &plan->gangs[0], NULL), 0);
    mu_db_bind_confirmed(db, fixture_find(db, 3).uid);
    put_member(db, 4, "g", 2, KEY); /* its rack is full */
    fixture_sync(db, s);
    assert_int_equal(mu_session_run(session, s, 0, &plan), 0);
    assert_int_equal(plan->wait_count, 1);
    mu_session_destroy(session);
    mu_db_destroy(db);
}

static void put_node_again(struct mu_db *db, const char *name, const char *rack)
{
    struct fixture_node n;
    const struct mu_label label = {MU_STR(KEY), mu_str_of(rack)};
    fixture_node(&n, name, 2, 1, 0);
    n.object.labels = &label;
    n.object.label_count = 1;
    assert_int_equal(mu_db_node_upsert(db, &n.object, 0, NULL), 0);
}

/* A node moves to another rack between plan and admission. */
static void test_gang_topology__node_moves_meanwhile__not_admitted(void **state)
{
    (void)state;
    struct mu_db *db = fixture_create(0);
    struct mu_snapshot *s = mu_db_replica_create(db);
    struct mu_session *session =
        mu_session_create(&(struct mu_session_config){.profile = &mu_profile_spread});
    const struct mu_plan *plan = NULL;
    put_node(db, "a", "r1", 1);
    put_node(db, "b", "r1", 1);
    put_member(db, 1, "g", 2, KEY);
    put_member(db, 2, "g", 2, KEY);
    fixture_sync(db, s);
    assert_int_equal(mu_session_run(session, s, 0, &plan), 0);
    assert_int_equal(plan->gang_count, 1);
    put_node_again(db, "a", "r2");
    assert_int_equal(mu_db_admit(db, &plan->gangs[0], NULL), MU_ECONFLICT);
    fixture_sync(db, s);
    assert_int_equal(mu_db_admit(db, &plan->gangs[0], NULL), MU_ECONFLICT); /* in two racks */
    assert_int_equal(mu_session_run(session, s, 0, &plan), 0);
    assert_int_equal(plan->wait_count, 1);
    put_node_again(db, "b", "r2");
    fixture_sync(db, s);
    assert_int_equal(mu_session_run(session, s, 0, &plan), 0);
    assert_int_equal(plan->gang_count, 1);
    assert_int_equal(mu_db_admit(db, &plan->gangs[0], NULL), 0);
    mu_session_destroy(session);
    mu_db_destroy(db);
}

/* More keys than there is room for: the last gangs have none, and are told so by fitting nowhere.
 */
static void test_gang_topology__too_many_keys__the_last_wait(void **state)
{
    (void)state;
    struct mu_db *db = fixture_create(0);
    struct mu_snapshot *s = mu_db_replica_create(db);
    struct mu_db_counts counts;
    struct fixture_node n;
    char keys[MU_TOPOLOGIES_MAX + 1][32];
    struct mu_label labels[MU_TOPOLOGIES_MAX + 1];
    for (uint32_t i = 0; i <= MU_TOPOLOGIES_MAX; i++) {
        char gang[32];
        (void)snprintf(keys[i], sizeof keys[i], "example.com/k%u", i);
        (void)snprintf(gang, sizeof gang, "g%u", i);
        put_member(db, i + 1, gang, 1, keys[i]);
        labels[i] = (struct mu_label){mu_str_of(keys[i]), MU_STR("v")};
    }
    put_node(db, "b", "r1", 100);
    fixture_sync(db, s);
    assert_int_equal(s->topology_count, 0); /* no node has any of them */
    fixture_node(&n, "a", 1, 100, 0);
    n.object.labels = labels;
    n.object.label_count = MU_TOPOLOGIES_MAX + 1;
    assert_int_equal(mu_db_node_upsert(db, &n.object, 0, NULL), 0);
    fixture_sync(db, s);
    mu_db_counts(db, &counts);
    assert_int_equal(counts.limit_reduced, 1);
    assert_int_equal(s->topology_count, MU_TOPOLOGIES_MAX);
    for (uint32_t i = 0; i <= MU_TOPOLOGIES_MAX; i++)
        remove_pod(db, i + 1);
    fixture_sync(db, s);
    for (uint32_t t = 0; t < s->topology_count; t++)
        assert_int_equal(s->domain_bound[t], 0);
    mu_db_destroy(db);
}

static bool oom_body(void *context)
{
    (void)context;
    struct mu_db *db = fixture_create(0);
    if (db == NULL)
        return false;
    struct mu_snapshot *s = mu_db_replica_create(db);
    struct fixture_pod p;
    struct fixture_node n;
    const struct mu_label label = {MU_STR(KEY), MU_STR("r1")};
    fixture_node(&n, "a", 1, 4, 0);
    n.object.labels = &label;
    n.object.label_count = 1;
    pod_of(&p, 1, "g", 1, KEY);
    bool short_of = s == NULL || mu_db_node_upsert(db, &n.object, 0, NULL) != 0 ||
                    mu_db_pod_upsert(db, &p.object, 0, NULL) != 0;
    for (int rc = 1, calls = 0; rc == 1 && !short_of; calls++) {
        assert_true(calls < 1000);
        rc = mu_db_replica_sync(db, s, 0);
        short_of = rc < 0;
    }
    if (short_of && s != NULL) { /* it goes on where it stopped */
        mu_mem_debug_set((struct mu_mem_debug){0});
        assert_int_equal(mu_db_node_upsert(db, &n.object, 0, NULL), 0);
        assert_int_equal(mu_db_pod_upsert(db, &p.object, 0, NULL), 0);
        fixture_sync(db, s);
    }
    if (s != NULL)
        assert_int_not_equal(topology_of(db, s, KEY), MU_NONE);
    mu_db_destroy(db);
    return !short_of;
}

static void test_gang_topology__each_allocation_fails__goes_on_later(void **state)
{
    (void)state;
    assert_true(mu_test_fail_each(oom_body, NULL) > 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gang_topology__each_allocation_fails__goes_on_later),
        cmocka_unit_test(test_gang_topology__gang_comes_and_goes__key_in_use_meanwhile),
        cmocka_unit_test(test_gang_topology__member_comes_later__follows_the_others),
        cmocka_unit_test(test_gang_topology__node_moves_meanwhile__not_admitted),
        cmocka_unit_test(test_gang_topology__too_many_keys__the_last_wait),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
