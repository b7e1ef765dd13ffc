/*
 * Plans with victims: what is refused when one is admitted, what its binds hold while they wait,
 * and how they end. Random ones: test_db_evict_model.c.
 */
#include "tests/evict_world.h"

/* --- refusals -------------------------------------------------------------------------------- */

static void nothing(struct world *w)
{
    (void)w;
}
static void victim_gone(struct world *w)
{
    remove_pod(w, V1);
}
static void both_gone(struct world *w)
{
    remove_pod(w, V1);
    remove_pod(w, V2);
}
static void victim_terminating(struct world *w)
{
    struct fixture_pod p = pod_of(w, V1, 99); /* whatever its priority: it leaves */
    p.object.node_name = MU_STR("n");
    p.object.terminating = true;
    p.object.spared = true;
    put(w, &p);
}
static void victim_terminal(struct world *w)
{
    struct fixture_pod p = pod_of(w, V1, 99);
    p.object.node_name = MU_STR("n");
    p.object.phase = MU_POD_SUCCEEDED;
    put(w, &p);
}
static void victim_replaced(struct world *w) /* by one that nobody has agreed to evict */
{
    struct fixture_pod p = pod_of(w, V1, 0);
    p.object.node_name = MU_STR("n");
    (void)snprintf(p.uid, sizeof p.uid, "00000000-0000-4000-8000-0000deadbeef");
    put(w, &p);
}
static void victim_rises(struct world *w)
{
    put_victim(w, V2, "n", 10);
}
static void victim_spared(struct world *w)
{
    struct fixture_pod p = pod_of(w, V2, 0);
    p.object.node_name = MU_STR("n");
    p.object.spared = true;
    put(w, &p);
}
static void victim_elsewhere(struct world *w)
{
    put_victim(w, V1, "m", 0);
}
static void victim_in_a_gang(struct world *w)
{
    struct fixture_pod p = pod_of(w, V1, 0);
    p.object.node_name = MU_STR("n");
    fixture_gang(&p, "other", 1);
    put(w, &p);
}
static void victim_twice(struct world *w)
{
    w->evicts[1] = w->evicts[0];
}
static void one_too_few(struct world *w)
{
    w->plan.evict_count = 1;
}
static void somebody_new(struct world *w)
{
    put_victim(w, 3, "n", 0);
}
static void node_cordoned(struct world *w)
{
    struct fixture_node n;
    fixture_node(&n, "n", 2, 4, 0);
    n.object.unschedulable = true;
    assert_int_equal(mu_db_node_upsert(w->db, &n.object, 0, NULL), 0);
}
static void node_gone(struct world *w)
{
    mu_db_node_remove(w->db, MU_STR("n"), MU_STR(""));
}
static void nominated(struct world *w)
{
    struct fixture_pod p = pod_of(w, 30, 20);
    p.object.nominated_node = MU_STR("n");
    put(w, &p);
}
static void nominated_below(struct world *w)
{
    struct fixture_pod p = pod_of(w, 30, 9);
    p.object.nominated_node = MU_STR("n");
    put(w, &p);
}
static void bind_moved_on(struct world *w)
{
    put_preemptor(w, P2, 10);
}
static void preemptor_never(struct world *w)
{
    struct fixture_pod p = pod_of(w, P1, 10);
    fixture_gang(&p, "preemptor", 2);
    p.object.never_preempts = true;
    put(w, &p);
    make_plan(w);
}
static void preemptor_not_above(struct world *w)
{
    put_preemptor(w, P1, 0); /* the lowest counts */
    make_plan(w);
}

static void test_db_evict__world_moved__refused_or_fine(void **state)
{
    (void)state;
    static const struct {
        void (*change)(struct world *w);
        const char *why; /* NULL: admitted */
    } cases[] = {
        {nothing, NULL},
        {victim_gone, NULL},
        {both_gone, NULL},
        {victim_terminating, NULL},
        {victim_terminal, NULL},
        {nominated_below, NULL},
        {victim_replaced, "no room"},
        {victim_rises, "priority is not below"},
        {victim_spared, "marked as no victim"},
        {victim_elsewhere, "not on the node"},
        {victim_in_a_gang, "not of the gang"},
        {victim_twice, "evicted twice"},
        {one_too_few, "no room"},
        {somebody_new, "no room"},
        {node_cordoned, "unschedulable"},
        {node_gone, "its node is gone"},
        {nominated, "nominated"},
        {bind_moved_on, "another version"},
        {preemptor_never, "never preempts"},
        {preemptor_not_above, "priority is not below"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct world *w = world_create();
        cases[i].change(w);
        int rc = admit(w);
        if (cases[i].why == NULL) {
            assert_int_equal(rc, 0);
            assert_int_equal(state_of(w, P1), MU_LEDGER_WAITING);
            assert_int_equal(state_of(w, P2), MU_LEDGER_WAITING);
        } else {
            assert_int_equal(rc, MU_ECONFLICT);
            if (strstr(w->why.text, cases[i].why) == NULL)
                print_message("case %zu: %s\n", i, w->why.text);
            assert_non_null(strstr(w->why.text, cases[i].why));
            assert_int_equal(state_of(w, P1), MU_LEDGER_NONE);
            assert_int_equal(state_of(w, P2), MU_LEDGER_NONE);
        }
        assert_sound(w);
        mu_db_destroy(w->db);
    }
}

/* --- units ----------------------------------------------------------------------------------- */

/* Three pods of gang "v" (21 to 23, of which two must run) on node m; one of them may be a pending
 * one of another priority. */
static struct world *world_with_gang(int32_t last_priority, bool last_pending)
{
    struct world *w = world_create();
    for (uint32_t i = 0; i < 3; i++) {
        struct fixture_pod p = pod_of(w, 21 + i, i == 2 ? last_priority : 1);
        p.amounts[0].value = 1000;
        p.object.node_name = last_pending && i == 2 ? MU_STR("") : MU_STR("m");
        fixture_gang(&p, "v", 2);
        put(w, &p);
    }
    make_plan(w);
    return w;
}

static void check_units(struct world *w, uint32_t victims, const char *why)
{
    for (uint32_t i = 0; i < victims; i++)
        add_evict(w, 21 + i);
    assert_int_equal(admit(w), why == NULL ? 0 : MU_ECONFLICT);
    if (why != NULL)
        assert_non_null(strstr(w->why.text, why));
    assert_sound(w);
    mu_db_destroy(w->db);
}

static void test_db_evict__members_of_a_gang__surplus_or_whole(void **state)
{
    (void)state;
    check_units(world_with_gang(1, false), 1, NULL); /* two are left, as many as must run */
    check_units(world_with_gang(1, false), 2, "without its minimum");
    check_units(world_with_gang(1, false), 3, NULL);
    /* The highest priority of a gang is that of its whole, but not of a surplus member. */
    check_units(world_with_gang(10, false), 1, NULL);
    check_units(world_with_gang(10, true), 2, "gang's priority is not below");
    check_units(world_with_gang(9, true), 2, NULL);
    check_units(world_with_gang(9, true), 1, "without its minimum");
}

static void test_db_evict__member_on_its_way__gang_is_left_alone(void **state)
{
    (void)state;
    struct world *w = world_with_gang(1, true);
    struct fixture_plan own;
    fixture_plan(&own, w->s, fixture_find(w->db, 23).gang.v, fixture_row(w->db, w->s, "m"));
    assert_int_equal(own.gang.bind_count, 1);
    assert_int_equal(mu_db_admit(w->db, &own.gang, NULL), 0);
    check_units(w, 2, "on their way");
}

/* --- the binds' life ------------------------------------------------------------------------- */

static void test_db_evict__waiting__room_is_nobody_elses(void **state)
{
    (void)state;
    struct world *w = world_create();
    struct mu_db_counts before, after;
    mu_db_counts(w->db, &before);
    assert_int_equal(admit(w), 0);
    mu_db_counts(w->db, &after);
    assert_int_equal(after.ledger, before.ledger + 2);
    assert_int_equal(free_cpu(w, "n"), -4000);
    const struct mu_gang_row *g = &w->s->gangs[w->plan.gang.v];
    assert_int_equal(g->flags & MU_GANG_PENDING, 0); /* no session plans it again */
    assert_int_equal(g->placed_count, 2);
    assert_int_equal(g->bound_count, 0);
    /* One victim leaves: what it leaves is not free. */
    remove_pod(w, V1);
    assert_int_equal(free_cpu(w, "n"), -2000);
    struct fixture_pod p = pod_of(w, 40, 99);
    put(w, &p);
    fixture_sync(w->db, w->s);
    struct fixture_plan other;
    fixture_plan(&other, w->s, fixture_find(w->db, 40).gang.v, fixture_row(w->db, w->s, "n"));
    assert_int_equal(mu_db_admit(w->db, &other.gang, NULL), MU_ECONFLICT);
    assert_sound(w);
    mu_db_destroy(w->db);
}

static void test_db_evict__victims_gone__bound(void **state)
{
    (void)state;
    struct world *w = world_create();
    struct mu_pod_view view;
    assert_int_equal(admit(w), 0);
    assert_int_equal(mu_db_evict_left(w->db, &w->plan, 0), 0);
    assert_true(mu_db_evict_get(w->db, &w->plan.evicts[1], &view));
    assert_int_equal(view.ix.v, fixture_find(w->db, V2).ix.v);
    assert_int_equal(mu_db_reprove(w->db, &w->plan, &w->why), 0);
    remove_pod(w, V1);
    victim_terminating(w); /* an event of before, late */
    assert_int_equal(mu_db_evict_left(w->db, &w->plan, 0), 0);
    remove_pod(w, V1);
    assert_int_equal(mu_db_evict_left(w->db, &w->plan, 0), 1);
    assert_false(mu_db_evict_get(w->db, &w->plan.evicts[0], &view));
    assert_int_equal(mu_db_waiting_bind(w->db, &w->plan, &w->why), MU_ECONFLICT);
    assert_non_null(strstr(w->why.text, "not gone yet"));
    assert_int_equal(state_of(w, P1), MU_LEDGER_WAITING);
    remove_pod(w, V2);
    assert_int_equal(mu_db_evict_left(w->db, &w->plan, 0), 2);
    put_preemptor(w, P1, 10); /* its condition was written: another version, and all the same */
    assert_int_equal(mu_db_waiting_bind(w->db, &w->plan, &w->why), 0);
    assert_int_equal(state_of(w, P1), MU_LEDGER_IN_FLIGHT);
    assert_int_equal(state_of(w, P2), MU_LEDGER_IN_FLIGHT);
    assert_int_equal(free_cpu(w, "n"), 0);
    struct fixture_pod p = pod_of(w, P1, 10);
    fixture_gang(&p, "preemptor", 2);
    p.object.node_name = MU_STR("n");
    put(w, &p);
    assert_int_equal(state_of(w, P1), MU_LEDGER_NONE);
    assert_int_equal(free_cpu(w, "n"), 0);
    assert_sound(w);
    mu_db_destroy(w->db);
}

static void test_db_evict__dropped__pending_again(void **state)
{
    (void)state;
    struct world *w = world_create();
    assert_int_equal(admit(w), 0);
    mu_db_waiting_drop(w->db, &w->plan);
    assert_int_equal(state_of(w, P1), MU_LEDGER_NONE);
    assert_int_equal(state_of(w, P2), MU_LEDGER_NONE);
    assert_int_equal(free_cpu(w, "n"), 0);
    assert_int_equal(w->s->gangs[w->plan.gang.v].block->member_count, 2);
    mu_db_waiting_drop(w->db, &w->plan); /* nothing is left to drop */
    make_plan(w);
    assert_int_equal(admit(w), 0); /* nor to refuse */
    assert_sound(w);
    mu_db_destroy(w->db);
}

static void test_db_evict__waiting_pod_goes__its_room_too(void **state)
{
    (void)state;
    struct world *w = world_create();
    struct mu_error why = {0, ""};
    assert_int_equal(admit(w), 0);
    struct fixture_pod p = pod_of(w, P1, 10);
    fixture_gang(&p, "preemptor", 2);
    p.object.terminating = true;
    put(w, &p);
    assert_int_equal(state_of(w, P1), MU_LEDGER_NONE);
    assert_int_equal(free_cpu(w, "n"), -2000);
    assert_int_equal(mu_db_reprove(w->db, &w->plan, &why), MU_ECONFLICT);
    remove_pod(w, P2);
    assert_int_equal(free_cpu(w, "n"), 0);
    assert_int_equal(mu_db_reprove(w->db, &w->plan, &why), MU_ECONFLICT);
    assert_sound(w);
    mu_db_destroy(w->db);
}

/* One victim is another gang's: it is waited for all the same, and its room counted on. */
static void test_db_evict__another_gangs_victim__room_counts(void **state)
{
    struct world *w = world_create();
    (void)state;
    w->evicts[0].flags = MU_EVICT_LEAVING;
    assert_int_equal(admit(w), 0);
    assert_sound(w);
    assert_int_equal(mu_db_reprove(w->db, &w->plan, &w->why), 0);
    remove_pod(w, V2);
    assert_int_equal(mu_db_evict_left(w->db, &w->plan, 0), 0);
    assert_int_equal(mu_db_waiting_bind(w->db, &w->plan, &w->why), MU_ECONFLICT);
    remove_pod(w, V1);
    assert_int_equal(mu_db_waiting_bind(w->db, &w->plan, &w->why), 0);
    assert_int_equal(state_of(w, P1), MU_LEDGER_IN_FLIGHT);
    mu_db_destroy(w->db);
}

static void test_db_evict__refused_while_waiting__held_or_given_up(void **state)
{
    (void)state;
    struct world *w = world_create();
    assert_int_equal(admit(w), 0);
    mu_db_bind_refused(w->db, fixture_find(w->db, P1).uid, true);
    mu_db_bind_refused(w->db, fixture_find(w->db, P2).uid, false);
    assert_int_equal(state_of(w, P1), MU_LEDGER_HELD);
    assert_int_equal(state_of(w, P2), MU_LEDGER_NONE);
    assert_int_equal(free_cpu(w, "n"), -2000);
    make_plan(w); /* room that it holds is its own */
    assert_int_equal(admit(w), 0);
    assert_int_equal(free_cpu(w, "n"), -4000);
    assert_sound(w);
    mu_db_destroy(w->db);
}

static void test_db_evict__proved_again__what_moved_refuses_it(void **state)
{
    (void)state;
    static const struct {
        void (*change)(struct world *w);
        const char *why; /* NULL: still proved */
    } cases[] = {
        {nothing, NULL},
        {victim_gone, NULL},
        {both_gone, NULL},
        {victim_terminating, NULL},
        {bind_moved_on, NULL}, /* its status is written meanwhile */
        {victim_replaced, "no room"},
        {victim_rises, "priority is not below"},
        {victim_spared, "marked as no victim"},
        {somebody_new, "no room"},
        {node_cordoned, "unschedulable"},
        {node_gone, "its node is gone"},
        {nominated, "nominated"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct world *w = world_create();
        assert_int_equal(admit(w), 0);
        cases[i].change(w);
        int rc = mu_db_reprove(w->db, &w->plan, &w->why);
        assert_int_equal(rc, cases[i].why == NULL ? 0 : MU_ECONFLICT);
        if (cases[i].why != NULL)
            assert_non_null(strstr(w->why.text, cases[i].why));
        /* Whatever it says, it changes nothing. */
        assert_int_equal(state_of(w, P1), MU_LEDGER_WAITING);
        assert_int_equal(state_of(w, P2), MU_LEDGER_WAITING);
        assert_sound(w);
        mu_db_destroy(w->db);
    }
}

static void test_db_evict__gated_while_waiting__not_bound(void **state)
{
    (void)state;
    struct world *w = world_create();
    assert_int_equal(admit(w), 0);
    both_gone(w);
    mu_db_pod_block(w->db, fixture_find(w->db, P2).uid, MU_RULE_REFUSED, true);
    assert_int_equal(mu_db_waiting_bind(w->db, &w->plan, &w->why), MU_ECONFLICT);
    assert_non_null(strstr(w->why.text, "does not want a node"));
    mu_db_waiting_drop(w->db, &w->plan);
    assert_int_equal(free_cpu(w, "n"), 4000);
    mu_db_destroy(w->db);
}

/* --- devices, ports, rules about other pods --------------------------------------------------- */

static void test_db_evict__devices_of_a_victim__taken_over(void **state)
{
    (void)state;
    struct world *w = world_create();
    struct fixture_node n;
    fixture_node(&n, "g", 1, 8, 2);
    n.object.device_resource = MU_STR("example.com/gpu");
    n.object.device_count = 2;
    n.object.devices_whole = true;
    assert_int_equal(mu_db_node_upsert(w->db, &n.object, 0, NULL), 0);
    for (uint32_t i = 0; i < 3; i++) { /* 50 and 51 have a device each, 52 wants one */
        struct fixture_pod p = pod_of(w, 50 + i, i == 2 ? 10 : 0);
        p.amounts[2].value = 1;
        p.object.request_count = 3;
        p.object.node_name = i == 2 ? MU_STR("") : MU_STR("g");
        p.object.devices = i == 2 ? 0 : 1u << i;
        put(w, &p);
    }
    fixture_sync(w->db, w->s);
    w->plan = (struct mu_plan_gang){.size = 0};
    add_bind(w, 52, "g");
    w->binds[0].devices = 1u << 1;
    add_evict(w, 50);
    assert_int_equal(admit(w), MU_ECONFLICT); /* that is the other one's */
    w->binds[0].devices = 1u << 0;
    assert_int_equal(admit(w), 0);
    uint32_t row = fixture_row(w->db, w->s, "g");
    assert_sound(w); /* nobody took it for a mistake */
    assert_int_equal(mu_db_reprove(w->db, &w->plan, &w->why), 0);
    remove_pod(w, 50);
    assert_int_equal(mu_row_devices(w->db, row)->flags & MU_DEVICE_OVER, 0);
    assert_int_equal(mu_db_waiting_bind(w->db, &w->plan, &w->why), 0);
    remove_pod(w, 52);
    assert_int_equal(mu_row_devices(w->db, row)->left[0], 1000);
    assert_int_equal(mu_row_devices(w->db, row)->left[1], 0);
    assert_sound(w);
    mu_db_destroy(w->db);
}

/* Of a plan only pods and nodes are known: all else is as it is now, its device that of the victim.
 */
static void test_db_plan_again__pods_and_nodes__the_plan_as_of_now(void **state)
{
    struct world *w = world_create();
    struct fixture_node n;
    (void)state;
    fixture_node(&n, "g", 1, 8, 2);
    n.object.device_resource = MU_STR("example.com/gpu");
    n.object.device_count = 2;
    n.object.devices_whole = true;
    assert_int_equal(mu_db_node_upsert(w->db, &n.object, 0, NULL), 0);
    for (uint32_t i = 0; i < 3; i++) { /* 50 and 51 have a device each, 52 wants one */
        struct fixture_pod p = pod_of(w, 50 + i, i == 2 ? 10 : 0);
        p.amounts[2].value = 1;
        p.object.request_count = 3;
        p.object.node_name = i == 2 ? MU_STR("") : MU_STR("g");
        p.object.devices = i == 2 ? 0 : 1u << i;
        put(w, &p);
    }
    fixture_sync(w->db, w->s);
    assert_int_equal(mu_db_node_find(w->db, MU_STR("g")).v, fixture_row(w->db, w->s, "g"));
    assert_int_equal(mu_db_node_find(w->db, MU_STR("nowhere")).v, MU_NONE);
    w->plan = (struct mu_plan_gang){.size = 0};
    add_bind(w, 52, "g");
    add_evict(w, 51);
    struct mu_plan_bind full = w->binds[0], *bind = &w->binds[0];
    struct mu_plan_gang known = w->plan;
    w->plan = (struct mu_plan_gang){
        .bind_count = 1, .binds = bind, .evict_count = 1, .evicts = w->evicts};
    *bind = (struct mu_plan_bind){.uid = full.uid, .node = full.node};
    assert_int_equal(mu_db_plan_again(w->db, &w->plan, bind, &w->why), 0);
    assert_sound(w);
    assert_int_equal(bind->devices, 1u << 1);
    assert_int_equal(bind->version, full.version);
    assert_int_equal(w->plan.gang.v, known.gang.v);
    assert_int_equal(w->plan.size, 1);
    assert_int_equal(admit(w), 0);
    mu_db_waiting_drop(w->db, &w->plan);
    /* Whom it does not place: a pod that is gone, on no node, with nobody gone, two gangs. */
    bind->uid.lo ^= 1;
    assert_int_equal(mu_db_plan_again(w->db, &w->plan, bind, &w->why), MU_ECONFLICT);
    bind->uid = full.uid;
    bind->node.v = MU_NONE;
    assert_int_equal(mu_db_plan_again(w->db, &w->plan, bind, &w->why), MU_ECONFLICT);
    bind->node = full.node;
    w->plan.evict_count = 0;
    assert_int_equal(mu_db_plan_again(w->db, &w->plan, bind, &w->why), MU_ECONFLICT);
    w->plan.evict_count = 1;
    w->plan.bind_count = 2;
    w->binds[1] = (struct mu_plan_bind){.uid = fixture_find(w->db, P1).uid, .node = full.node};
    assert_int_equal(mu_db_plan_again(w->db, &w->plan, w->binds, &w->why), MU_ECONFLICT);
    assert_sound(w);
    mu_db_destroy(w->db);
}

static void test_db_evict__rules_about_the_victims__do_not_count(void **state)
{
    (void)state;
    const struct mu_str a = MU_STR("a");
    const struct mu_str space = MU_STR("default");
    const struct mu_requirement app_a = {MU_STR("app"), MU_OP_IN, &a, 1};
    const struct mu_label label = {MU_STR("app"), a};
    const struct mu_host_port port = {MU_STR("0.0.0.0"), MU_PROTOCOL_TCP, 80};
    const struct mu_pod_term term = {.kind = MU_TERM_ANTI_AFFINITY,
                                     .topology_key = MU_STR("kubernetes.io/hostname"),
                                     .selector = {.requirements = &app_a, .requirement_count = 1},
                                     .namespaces = &space,
                                     .namespace_count = 1};
    for (uint32_t by_port = 0; by_port < 2; by_port++) {
        struct world *w = world_create();
        struct fixture_node n;
        const struct mu_label hostname = {MU_STR("kubernetes.io/hostname"), MU_STR("h")};
        fixture_node(&n, "h", 1, 64, 0);
        n.object.labels = &hostname;
        n.object.label_count = 1;
        assert_int_equal(mu_db_node_upsert(w->db, &n.object, 0, NULL), 0);
        for (uint32_t i = 0; i < 3; i++) { /* 60 and 61 are there, 62 can be with none of them */
            struct fixture_pod p = pod_of(w, 60 + i, i == 2 ? 10 : 0);
            p.object.labels = &label;
            p.object.label_count = i < 2;
            p.object.ports = &port;
            p.object.port_count = by_port != 0 && i != 1;
            p.object.terms = &term;
            p.object.term_count = by_port == 0 && i == 2;
            p.object.node_name = i == 2 ? MU_STR("") : MU_STR("h");
            put(w, &p);
        }
        fixture_sync(w->db, w->s);
        w->plan = (struct mu_plan_gang){.size = 0};
        add_bind(w, 62, "h");
        assert_int_equal(admit(w), MU_ECONFLICT);
        add_evict(w, 61);
        assert_int_equal(admit(w), MU_ECONFLICT);
        add_evict(w, 60);
        assert_int_equal(admit(w), 0);
        assert_int_equal(mu_db_reprove(w->db, &w->plan, &w->why), 0);
        remove_pod(w, 60);
        assert_int_equal(mu_db_reprove(w->db, &w->plan, &w->why), 0);
        remove_pod(w, 61);
        assert_int_equal(mu_db_waiting_bind(w->db, &w->plan, &w->why), 0);
        assert_sound(w);
        mu_db_destroy(w->db);
    }
}

/* --- memory ---------------------------------------------------------------------------------- */

static void test_db_evict__no_memory__nothing_changed(void **state)
{
    (void)state;
    int rc = MU_ENOMEM;
    for (uint64_t nth = 1; rc != 0; nth++) {
        struct world *w = world_create();
        mu_mem_debug_set((struct mu_mem_debug){.fail_nth = nth});
        rc = admit(w);
        mu_mem_debug_set((struct mu_mem_debug){.fail_nth = 0});
        assert_true(rc == 0 || rc == MU_ENOMEM);
        assert_true(rc == MU_ENOMEM || nth > 1); /* it does allocate */
        assert_int_equal(free_cpu(w, "n"), rc == 0 ? -4000 : 0);
        assert_int_equal(rc == 0 ? 0 : admit(w), 0);
        assert_sound(w);
        mu_db_destroy(w->db);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_db_evict__world_moved__refused_or_fine),
        cmocka_unit_test(test_db_evict__members_of_a_gang__surplus_or_whole),
        cmocka_unit_test(test_db_evict__member_on_its_way__gang_is_left_alone),
        cmocka_unit_test(test_db_evict__waiting__room_is_nobody_elses),
        cmocka_unit_test(test_db_evict__victims_gone__bound),
        cmocka_unit_test(test_db_evict__dropped__pending_again),
        cmocka_unit_test(test_db_evict__waiting_pod_goes__its_room_too),
        cmocka_unit_test(test_db_evict__another_gangs_victim__room_counts),
        cmocka_unit_test(test_db_evict__refused_while_waiting__held_or_given_up),
        cmocka_unit_test(test_db_evict__proved_again__what_moved_refuses_it),
        cmocka_unit_test(test_db_evict__gated_while_waiting__not_bound),
        cmocka_unit_test(test_db_evict__devices_of_a_victim__taken_over),
        cmocka_unit_test(test_db_plan_again__pods_and_nodes__the_plan_as_of_now),
        cmocka_unit_test(test_db_evict__rules_about_the_victims__do_not_count),
        cmocka_unit_test(test_db_evict__no_memory__nothing_changed),
    };
    return cmocka_run_group_tests_name("db_evict", tests, NULL, NULL);
}
