/* Pods that are expected on a node: what is kept for them, from whom, and until when. */
#include "tests/mu_test.h"

#include "engine/device.h"
#include "engine/place/place.h"
#include "engine/session/session.h"
#include "tests/db_fixture.h"
#include "tests/support/cluster_random.h"
#include "tests/support/oracle.h"
#include "tests/support/oracle_device.h"

/* ---- case by case, through the database ------------------------------------------------------ */

/* Node n1 of 4 cpus, and by choice n2 of 1; a pod of another scheduler that is nominated to n1, and
 * one to be placed. */
struct nominated_case {
    const char *what;
    int32_t nominated_priority, priority;
    int64_t nominated_millis, millis; /* 0: 3000, 2000, too much for both */
    const char *to;                   /* the nomination; NULL: n1 */
    bool own;                         /* there is only one pod, and it is the nominated one */
    bool ports;                       /* both want one host port */
    bool apart;                       /* the pod has anti-affinity to the nominated one */
    bool together;                    /* the pod wants to be beside one like the nominated one */
    bool spread;                      /* both count for a spread of 1 over hostnames, hard */
    bool other_node;                  /* n2 is there */
    bool terminating;
    const char *expected;      /* node; NULL: it waits */
    enum mu_verdict_kind kind; /* why n1 refuses */
};

static const struct nominated_case nominated_cases[] = {
    {.what = "room is kept from an equal", .kind = MU_NO_RESOURCE},
    {.what = "and from a lower one",
     .nominated_priority = 5,
     .priority = 4,
     .kind = MU_NO_RESOURCE},
    {.what = "not from a higher one", .nominated_priority = 5, .priority = 6, .expected = "n1"},
    {.what = "there is room for both", .nominated_millis = 2000, .expected = "n1"},
    {.what = "another node is free",
     .nominated_millis = 3500,
     .millis = 1000,
     .other_node = true,
     .expected = "n2"},
    {.what = "nominated to an unknown node", .to = "elsewhere", .expected = "n1"},
    {.what = "its own nomination", .millis = 3000, .own = true, .expected = "n1"},
    {.what = "will not come", .terminating = true, .expected = "n1"},
    {.what = "a host port",
     .nominated_millis = 100,
     .millis = 100,
     .ports = true,
     .kind = MU_NO_PORTS},
    {.what = "anti-affinity",
     .nominated_millis = 100,
     .millis = 100,
     .apart = true,
     .kind = MU_NO_ANTI_AFFINITY},
    {.what = "affinity to who is not there yet",
     .nominated_millis = 100,
     .millis = 100,
     .together = true,
     .kind = MU_NO_POD_AFFINITY},
    {.what = "spread",
     .nominated_millis = 100,
     .millis = 100,
     .spread = true,
     .other_node = true,
     .expected = "n2"},
};

struct case_pods {
    struct fixture_pod nominated, pod;
    struct mu_label labels[1];
    struct mu_str value;
    struct mu_requirement requirement;
    struct mu_str ns;
    struct mu_pod_term term;
    struct mu_spread spread;
    struct mu_host_port port;
};

static void case_pods(struct case_pods *p, const struct nominated_case *c)
{
    memset(p, 0, sizeof *p);
    fixture_pod(&p->nominated, 1, 10);
    fixture_pod(&p->pod, 2, 10);
    p->labels[0] = (struct mu_label){MU_STR("app"), MU_STR("q")};
    p->value = MU_STR("q");
    p->requirement = (struct mu_requirement){MU_STR("app"), MU_OP_IN, &p->value, 1};
    const struct mu_selector selector = {.requirements = &p->requirement, .requirement_count = 1};
    p->ns = MU_STR("default");
    p->term = (struct mu_pod_term){.kind = c->apart ? MU_TERM_ANTI_AFFINITY : MU_TERM_AFFINITY,
                                   .topology_key = MU_STR("kubernetes.io/hostname"),
                                   .selector = selector,
                                   .namespaces = &p->ns,
                                   .namespace_count = 1};
    p->spread = (struct mu_spread){.topology_key = MU_STR("kubernetes.io/hostname"),
                                   .selector = selector,
                                   .max_skew = 1,
                                   .min_domains = 1,
                                   .hard = true,
                                   .honor_affinity = true};
    p->port = (struct mu_host_port){MU_STR("0.0.0.0"), MU_PROTOCOL_TCP, 80};
    struct mu_pod_object *n = &p->nominated.object, *o = &p->pod.object;
    p->nominated.amounts[0].value = c->nominated_millis != 0 ? c->nominated_millis : 3000;
    p->pod.amounts[0].value = c->millis != 0 ? c->millis : 2000;
    n->priority = c->nominated_priority;
    o->priority = c->priority;
    n->nominated_node = mu_str_of(c->to != NULL ? c->to : "n1");
    n->scheduler_name = MU_STR("another");
    n->terminating = c->terminating;
    n->labels = p->labels;
    n->label_count = 1;
    o->terms = &p->term;
    o->term_count = c->apart || c->together;
    n->ports = o->ports = &p->port;
    n->port_count = o->port_count = c->ports;
    o->spreads = &p->spread;
    o->spread_count = c->spread;
    o->labels = p->labels;
    o->label_count = c->spread;
    if (c->own)
        o->nominated_node = n->nominated_node;
}

static void put_node(struct mu_db *db, const char *name, int64_t cpus)
{
    struct fixture_node n;
    const struct mu_label host = {MU_STR("kubernetes.io/hostname"), mu_str_of(name)};
    fixture_node(&n, name, 1, cpus, 0);
    n.object.labels = &host;
    n.object.label_count = 1;
    assert_int_equal(mu_db_node_upsert(db, &n.object, 0, NULL), 0);
}

static void session_checks(struct mu_db *db, struct mu_snapshot *s, const struct nominated_case *c)
{
    struct mu_session *session =
        mu_session_create(&(struct mu_session_config){.profile = &mu_profile_default});
    const struct mu_plan *plan = NULL;
    for (int again = 0; again < 2; again++) { /* what is remembered must say the same */
        fixture_sync(db, s);
        assert_int_equal(mu_session_run(session, s, 0, &plan), 0);
        bool placed = plan->gang_count == 1;
        if (placed != (c->expected != NULL))
            print_message("%s: %s\n", c->what, placed ? "placed" : "waits");
        assert_int_equal(placed, c->expected != NULL);
        if (placed) {
            assert_int_equal(plan->gangs[0].binds[0].node.v, fixture_row(db, s, c->expected));
            continue;
        }
        assert_int_equal(plan->wait_count, 1);
        if (plan->waits[0].nodes_by_verdict[c->kind] != 1)
            print_message("%s: another reason\n", c->what);
        assert_int_equal(plan->waits[0].nodes_by_verdict[c->kind], 1);
        assert_int_equal(plan->waits[0].nodes_by_verdict[MU_FITS], 0);
    }
    if (plan->gang_count == 1)
        assert_int_equal(mu_db_admit(db, &plan->gangs[0], NULL), 0);
    mu_session_destroy(session);
}

static void test_nominated__cases(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof nominated_cases / sizeof nominated_cases[0]; i++) {
        const struct nominated_case *c = &nominated_cases[i];
        struct mu_db *db = fixture_create(0);
        struct mu_snapshot *s = mu_db_replica_create(db);
        struct case_pods pods;
        case_pods(&pods, c);
        put_node(db, "n1", 4);
        if (c->other_node)
            put_node(db, "n2", 1);
        if (!c->own)
            fixture_put(db, &pods.nominated, 0);
        fixture_put(db, &pods.pod, 0);
        session_checks(db, s, c);
        mu_db_replica_destroy(db, s);
        mu_db_destroy(db);
    }
}

struct rig {
    struct mu_db *db;
    struct mu_snapshot *s;
    struct mu_session *session;
    const struct mu_plan *plan;
};

static struct rig rig_open(void)
{
    struct rig r = {.db = fixture_create(0)};
    r.s = mu_db_replica_create(r.db);
    r.session = mu_session_create(&(struct mu_session_config){.profile = &mu_profile_default});
    assert_non_null(r.session);
    return r;
}

static void rig_close(struct rig *r)
{
    mu_session_destroy(r->session);
    mu_db_replica_destroy(r->db, r->s);
    mu_db_destroy(r->db);
}

/* Kept until the pod goes elsewhere, is bound, or is gone: then who waited is placed. */
static void test_nominated__is_over__who_waited_is_placed(void **state)
{
    (void)state;
    enum { REMOVED, ELSEWHERE, LOWER, BOUND_ELSEWHERE, WAYS };
    for (int way = 0; way < WAYS; way++) {
        struct rig r = rig_open();
        struct case_pods pods;
        case_pods(&pods, &nominated_cases[0]);
        put_node(r.db, "n1", 4);
        fixture_put(r.db, &pods.nominated, 0);
        fixture_put(r.db, &pods.pod, 0);
        fixture_sync(r.db, r.s);
        assert_int_equal(r.s->nominated_count, 1);
        assert_int_equal(mu_session_run(r.session, r.s, 0, &r.plan), 0);
        assert_int_equal(r.plan->gang_count, 0);
        struct mu_pod_object *n = &pods.nominated.object;
        n->version++;
        n->nominated_node = way == ELSEWHERE ? MU_STR("n2") : MU_STR("n1");
        n->priority = way == LOWER ? -1 : 0;
        if (way == BOUND_ELSEWHERE)
            n->node_name = MU_STR("n2");
        if (way == REMOVED)
            assert_int_equal(mu_db_pod_remove(r.db, n->ns, n->name, n->uid, 0), 0);
        else
            fixture_put(r.db, &pods.nominated, 0);
        fixture_sync(r.db, r.s);
        assert_int_equal(r.s->nominated_count, way == LOWER);
        assert_int_equal(mu_session_run(r.session, r.s, 0, &r.plan), 0);
        assert_int_equal(r.plan->gang_count, 1);
        rig_close(&r);
    }
}

/* The nomination came after the snapshot: the plan is refused. */
static void test_db_admit__nominated_meanwhile__conflict(void **state)
{
    (void)state;
    struct rig r = rig_open();
    struct case_pods pods;
    struct mu_error why = {0, ""};
    case_pods(&pods, &nominated_cases[0]);
    put_node(r.db, "n1", 4);
    fixture_put(r.db, &pods.pod, 0);
    fixture_sync(r.db, r.s);
    assert_int_equal(mu_session_run(r.session, r.s, 0, &r.plan), 0);
    assert_int_equal(r.plan->gang_count, 1);
    fixture_put(r.db, &pods.nominated, 0);
    assert_int_equal(mu_db_admit(r.db, &r.plan->gangs[0], &why), MU_ECONFLICT);
    assert_non_null(strstr(why.text, "kept for a nominated pod"));
    rig_close(&r);
}

/* Two that are nominated to one node with room for one: the first takes it, and its nomination does
 * not keep a second time what it has taken. */
static void test_nominated__two_of_ours__the_first_is_placed(void **state)
{
    (void)state;
    struct rig r = rig_open();
    put_node(r.db, "n1", 4);
    for (uint32_t i = 0; i < 2; i++) {
        struct fixture_pod p;
        fixture_pod(&p, i, 1);
        p.object.priority = i == 0 ? 7 : 3;
        p.amounts[0].value = 2000;
        p.object.nominated_node = MU_STR("n1");
        fixture_put(r.db, &p, 0);
    }
    fixture_sync(r.db, r.s);
    assert_int_equal(r.s->nominated_count, 2);
    assert_int_equal(mu_session_run(r.session, r.s, 0, &r.plan), 0);
    assert_int_equal(r.plan->gang_count, 2); /* 2 + 2 of 4 */
    rig_close(&r);
}

/* Devices that are tracked one by one: what the nominated pod asks for, and what is left. More than
 * there are: none is left for others either. */
static void test_nominated__devices__left_for_it(void **state)
{
    (void)state;
    static const struct {
        int64_t nominated, wanted;
        bool placed;
    } cases[] = {{2, 2, true}, {2, 3, false}, {4, 1, false}, {9, 1, false}, {9, 0, true}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct rig r = rig_open();
        struct fixture_node node;
        fixture_node(&node, "n1", 1, 64, 4);
        node.object.device_resource = MU_STR("example.com/gpu");
        node.object.device_count = 4;
        node.object.devices_whole = true;
        assert_int_equal(mu_db_node_upsert(r.db, &node.object, 0, NULL), 0);
        for (uint32_t n = 0; n < 2; n++) {
            struct fixture_pod p;
            fixture_pod(&p, n, 1);
            p.amounts[2].value = n == 0 ? cases[i].nominated : cases[i].wanted;
            p.object.request_count = 3;
            p.object.scheduler_name = n == 0 ? MU_STR("another") : fixture_scheduler;
            p.object.nominated_node = n == 0 ? MU_STR("n1") : MU_STR("");
            fixture_put(r.db, &p, 0);
        }
        fixture_sync(r.db, r.s);
        assert_int_equal(mu_session_run(r.session, r.s, 0, &r.plan), 0);
        assert_int_equal(r.plan->gang_count, cases[i].placed);
        if (!cases[i].placed)
            assert_int_equal(r.plan->waits[0].nodes_by_verdict[MU_FITS], 0);
        rig_close(&r);
    }
}

/* What the session lets others have the database must admit, or they would be planned, and refused,
 * again and again: another device, and all of what a hopeless request asks for. */
static void test_db_admit__beside_the_nominated__admitted(void **state)
{
    (void)state;
    static const struct {
        int64_t cpu, share; /* of the nominated pod */
    } cases[] = {{1000, 600}, {MU_AMOUNT_MAX, 0}, {1000, MU_AMOUNT_MAX}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct rig r = rig_open();
        struct mu_error why = {0, ""};
        struct fixture_node node;
        fixture_node(&node, "n1", 1, 4, 2);
        node.object.device_resource = MU_STR("example.com/gpu");
        node.object.device_count = 2;
        node.object.devices_whole = true;
        assert_int_equal(mu_db_node_upsert(r.db, &node.object, 0, NULL), 0);
        for (uint32_t n = 0; n < 2; n++) {
            struct fixture_pod p;
            fixture_pod(&p, n, 1);
            p.amounts[0].value = n == 0 ? cases[i].cpu : 1000;
            p.amounts[2] =
                (struct mu_amount){MU_STR(MU_GPU_SHARE_RESOURCE), n == 0 ? cases[i].share : 600};
            p.object.request_count = 3;
            p.object.scheduler_name = n == 0 ? MU_STR("another") : fixture_scheduler;
            p.object.nominated_node = n == 0 ? MU_STR("n1") : MU_STR("");
            fixture_put(r.db, &p, 0);
        }
        fixture_sync(r.db, r.s);
        assert_int_equal(r.s->nominated_count, 1);
        assert_int_equal(mu_session_run(r.session, r.s, 0, &r.plan), 0);
        assert_int_equal(r.plan->gang_count, 1);
        if (mu_db_admit(r.db, &r.plan->gangs[0], &why) != 0)
            fail_msg("case %zu: %s", i, why.text);
        rig_close(&r);
    }
}

/* A pod of ours on n1: gang, priority, what it asks for, where it is nominated to. */
static void put_pod(struct mu_db *db, uint32_t number, const char *gang, uint32_t size,
                    int32_t priority, int64_t millis, const char *nominated)
{
    struct fixture_pod p;
    fixture_pod(&p, number, 1);
    if (size > 0)
        fixture_gang(&p, gang, size);
    p.object.priority = priority;
    p.object.created_s = 1000 + number;
    p.amounts[0].value = millis;
    p.object.nominated_node = mu_str_of(nominated);
    fixture_put(db, &p, 0);
}

/* What the profile likes best would take the only device that is left whole, for which another pod
 * is nominated: it is given the other one. With nobody nominated it gets what is liked best. */
static void test_nominated__devices_by_fragmentation__leave_the_nominated_theirs(void **state)
{
    (void)state;
    for (uint32_t nominated = 0; nominated < 2; nominated++) {
        struct rig r = rig_open();
        struct mu_session *session =
            mu_session_create(&(const struct mu_session_config){.profile = &mu_profile_gpu_frag});
        struct fixture_node node;
        fixture_node(&node, "n1", 1, 8, 2);
        node.object.device_resource = MU_STR("example.com/gpu");
        node.object.device_count = 2;
        node.object.devices_whole = true;
        assert_int_equal(mu_db_node_upsert(r.db, &node.object, 0, NULL), 0);
        for (uint32_t n = 0; n < 2 + nominated; n++) {
            struct fixture_pod p;
            fixture_pod(&p, n, 1);
            p.amounts[2] = (struct mu_amount){MU_STR(MU_GPU_SHARE_RESOURCE), n == 0 ? 400 : 500};
            if (n == 2) /* as many as there are in its amounts: a whole one */
                p.amounts[2] = (struct mu_amount){MU_STR("example.com/gpu"), 1};
            p.object.request_count = 3;
            p.object.scheduler_name = n == 1 ? fixture_scheduler : MU_STR("another");
            p.object.node_name = n == 0 ? MU_STR("n1") : MU_STR("");
            p.object.devices = n == 0 ? 1 : 0;
            p.object.nominated_node = n == 2 ? MU_STR("n1") : MU_STR("");
            fixture_put(r.db, &p, 0);
        }
        fixture_sync(r.db, r.s);
        assert_int_equal(r.s->nominated_count, nominated);
        assert_int_equal(r.s->devices[fixture_row(r.db, r.s, "n1")].left[0], 600);
        /* What is about wants 400: 100 left of one device are lost to it, 500 of the other not. */
        r.s->typical_count = 1;
        r.s->typical[0] = (struct mu_typical){.devices = 1, .millis = 400, .permille = 1000};
        assert_int_equal(mu_session_run(session, r.s, 0, &r.plan), 0);
        assert_int_equal(r.plan->gang_count, 1);
        assert_int_equal(r.plan->gangs[0].binds[0].devices, nominated == 0 ? 2 : 1);
        mu_session_destroy(session);
        rig_close(&r);
    }
}

/* Those to one node are found by it: telling why a pod waits looks at each of a thousand a few
 * times, not at all of them for each. */
static void test_nominated__as_many_as_may_be__each_looked_at_a_few_times(void **state)
{
    (void)state;
    enum { NODES = 300, LOOKS_EACH = 12 };
    struct rig r = rig_open();
    for (uint32_t n = 0; n < NODES; n++) {
        char name[16];
        (void)snprintf(name, sizeof name, "n%u", n);
        put_node(r.db, name, 4);
    }
    for (uint32_t i = 0; i < MU_NOMINATIONS_MAX; i++) {
        char name[16];
        struct fixture_pod p;
        (void)snprintf(name, sizeof name, "n%u", i * 7 % NODES);
        fixture_pod(&p, i, 1);
        p.amounts[0].value = 1000;
        p.object.priority = 9;
        p.object.scheduler_name = MU_STR("another");
        p.object.nominated_node = mu_str_of(name);
        fixture_put(r.db, &p, 0);
    }
    put_pod(r.db, MU_NOMINATIONS_MAX, "", 0, 0, 3000, "");
    fixture_sync(r.db, r.s);
    assert_int_equal(r.s->nominated_count, MU_NOMINATIONS_MAX);
    assert_int_equal(mu_session_run(r.session, r.s, 0, &r.plan), 0);
    assert_int_equal(r.plan->gang_count, 0);
    assert_int_equal(r.plan->waits[0].nodes_by_verdict[MU_NO_RESOURCE], NODES);
    struct mu_place_counts counts;
    mu_session_counts(r.session, &counts);
    assert_true(counts.nominations >= MU_NOMINATIONS_MAX);
    assert_true(counts.nominations <= LOOKS_EACH * MU_NOMINATIONS_MAX);
    rig_close(&r);
}

/* A gang that runs has a member more, for which there is no room yet. Room is kept for it, by the
 * session as by the database, though its gang is placed. */
static void test_nominated__member_beyond_the_minimum__room_is_kept(void **state)
{
    (void)state;
    struct rig r = rig_open();
    put_node(r.db, "n1", 4);
    put_pod(r.db, 1, "g", 1, 9, 2000, "");
    put_pod(r.db, 2, "g", 1, 9, 3000, "n1");
    put_pod(r.db, 3, "", 0, 1, 1000, "");
    fixture_sync(r.db, r.s);
    assert_int_equal(r.s->nominated_count, 1);
    assert_int_equal(mu_session_run(r.session, r.s, 0, &r.plan), 0);
    assert_int_equal(r.plan->gang_count, 1);
    assert_int_equal(r.plan->gangs[0].bind_count, 1);
    assert_int_equal(r.plan->wait_count, 1);
    assert_int_equal(r.plan->waits[0].nodes_by_verdict[MU_NO_RESOURCE], 1);
    rig_close(&r);
}

/* Who is nominated to a node and goes to another leaves room behind, in the same session: what was
 * remembered of a pod that waits for it does not hold. */
static void test_nominated__placed_elsewhere__same_plan_with_and_without_memory(void **state)
{
    (void)state;
    for (int dropped = 0; dropped < 2; dropped++) {
        struct rig r = rig_open();
        struct fixture_node device;
        struct fixture_pod p;
        fixture_node(&device, "n1", 1, 4, 1);
        assert_int_equal(mu_db_node_upsert(r.db, &device.object, 0, NULL), 0);
        put_node(r.db, "n2", 64);
        put_pod(r.db, 1, "g", 2, 9, 3000, "n1"); /* its gang lacks a member */
        fixture_pod(&p, 2, 1);
        p.amounts[0].value = 3000;
        p.amounts[2].value = 1; /* only n1 has it */
        p.object.request_count = 3;
        fixture_put(r.db, &p, 0);
        fixture_sync(r.db, r.s);
        assert_int_equal(mu_session_run(r.session, r.s, 0, &r.plan), 0);
        assert_int_equal(r.plan->gang_count, 0);
        if (dropped == 1)
            mu_session_drop_caches(r.session);
        put_pod(r.db, 3, "g", 2, 9, 100, "");
        fixture_sync(r.db, r.s);
        assert_int_equal(r.s->nominated_count, 1);
        assert_int_equal(mu_session_run(r.session, r.s, 0, &r.plan), 0);
        assert_int_equal(r.plan->gang_count, 2); /* the gang on n2, the pod on n1 */
        rig_close(&r);
    }
}

/* Two wait for what is kept, each for reasons of its own; those that wait alike share theirs. */
static void test_nominated__several_wait__each_is_told_its_own_reason(void **state)
{
    (void)state;
    struct rig r = rig_open();
    struct case_pods pods;
    case_pods(&pods, &(const struct nominated_case){
                         .nominated_priority = 9, .millis = 100, .ports = true});
    put_node(r.db, "n1", 4);
    fixture_put(r.db, &pods.nominated, 0);
    pods.pod.object.created_s = 2000;
    fixture_put(r.db, &pods.pod, 0);
    for (uint32_t i = 0; i < 3; i++)
        put_pod(r.db, 10 + i, "", 0, 0, 2000, "");
    fixture_sync(r.db, r.s);
    assert_int_equal(mu_session_run(r.session, r.s, 0, &r.plan), 0);
    assert_int_equal(r.plan->wait_count, 4);
    for (uint32_t w = 0; w < 4; w++) {
        enum mu_verdict_kind kind = w < 3 ? MU_NO_RESOURCE : MU_NO_PORTS;
        assert_int_equal(r.plan->waits[w].nodes_by_verdict[kind], 1);
        assert_int_equal(r.plan->waits[w].nodes_by_verdict[MU_FITS], 0);
        assert_int_equal(r.plan->waits[w].nodes_by_resource[MU_RES_CPU], w < 3);
    }
    assert_ptr_equal(r.plan->waits[0].nodes_by_verdict, r.plan->waits[2].nodes_by_verdict);
    rig_close(&r);
}

/* Errors first: without memory nothing is nominated, and nothing is lost. */
static void test_nominated__out_of_memory__nothing_changed(void **state)
{
    (void)state;
    for (uint64_t nth = 1;; nth++) {
        struct mu_db *db = fixture_create(0);
        struct mu_snapshot *s = mu_db_replica_create(db);
        struct case_pods pods;
        case_pods(&pods, &nominated_cases[0]);
        put_node(db, "n1", 4);
        mu_mem_debug_set((struct mu_mem_debug){.fail_nth = nth});
        int rc = mu_db_pod_upsert(db, &pods.nominated.object, 0, NULL);
        mu_mem_debug_set((struct mu_mem_debug){0});
        assert_true(rc == 0 || rc == MU_ENOMEM);
        fixture_sync(db, s);
        assert_int_equal(s->nominated_count, rc == 0);
        fixture_put(db, &pods.nominated, 0);
        fixture_sync(db, s);
        assert_int_equal(s->nominated_count, 1);
        mu_db_replica_destroy(db, s);
        mu_db_destroy(db);
        if (rc == 0) {
            assert_true(nth > 3);
            return;
        }
    }
}

static void test_nominated__more_than_may_be__the_first_count(void **state)
{
    (void)state;
    struct mu_db *db = fixture_create(0);
    struct mu_snapshot *s = mu_db_replica_create(db);
    struct mu_db_counts counts;
    put_node(db, "n1", 4);
    for (uint32_t i = 0; i <= MU_NOMINATIONS_MAX; i++) {
        struct fixture_pod p;
        fixture_pod(&p, i, 1);
        p.object.nominated_node = MU_STR("n1");
        fixture_put(db, &p, 0);
    }
    fixture_sync(db, s);
    assert_int_equal(s->nominated_count, MU_NOMINATIONS_MAX);
    mu_db_counts(db, &counts);
    assert_int_equal(counts.limit_reduced, 1);
    struct fixture_pod first; /* with a new version, it keeps its entry */
    fixture_pod(&first, 0, 2);
    first.object.nominated_node = MU_STR("n1");
    fixture_put(db, &first, 0);
    fixture_sync(db, s);
    assert_int_equal(s->nominated_count, MU_NOMINATIONS_MAX);
    mu_db_counts(db, &counts);
    assert_int_equal(counts.limit_reduced, 1);
    mu_db_replica_destroy(db, s);
    mu_db_destroy(db);
}

/* ---- against a naive evaluation -------------------------------------------------------------- */

enum { CLASSES = 8, NOMINATED = 12 };

/* True when row takes the class beside the nominated pods that count. */
static bool fits_beside(struct mu_snapshot *s, const struct mu_class *c, uint32_t row,
                        int32_t priority)
{
    for (uint32_t n = 0; n < s->nominated_count; n++) {
        const struct mu_class *other = mu_model_get_class(s->model, s->nominated[n].class_ix);
        bool hopeless = other->impossible;
        for (uint32_t d = 0; d < other->demand_count; d++)
            hopeless = hopeless || other->demands[d].amount == MU_AMOUNT_MAX ||
                       other->demands[d].resource.v >= s->resource_count;
        if (s->nominated[n].node.v == row && s->nominated[n].priority >= priority && !hopeless)
            mu_oracle_charge(s, s->nominated[n].class_ix, row, 1);
    }
    bool fits = mu_oracle_verdict(s, c, row).kind == MU_FITS;
    return fits;
}

/* The best row: those that refuse beside the nominated lose their slots. `saved` is free[] of
 * all. */
static uint32_t naive_pick(struct mu_snapshot *s, const struct mu_profile *profile,
                           struct mu_class_ix ix, int32_t priority)
{
    const struct mu_class *c = mu_model_get_class(s->model, ix);
    int64_t saved[MU_RESOURCES_MAX], slots[NOMINATED] = {0};
    for (uint32_t n = 0; n < s->nominated_count; n++) {
        uint32_t row = s->nominated[n].node.v;
        for (uint32_t r = 0; r < s->resource_count; r++)
            saved[r] = s->free[r][row];
        bool fits = fits_beside(s, c, row, priority);
        for (uint32_t r = 0; r < s->resource_count; r++)
            s->free[r][row] = saved[r];
        slots[n] = s->free[MU_RES_PODS][row];
        if (!fits)
            s->free[MU_RES_PODS][row] = 0;
    }
    uint32_t best = mu_oracle_pick(s, profile, ix);
    for (uint32_t n = s->nominated_count; n-- > 0;)
        s->free[MU_RES_PODS][s->nominated[n].node.v] = slots[n];
    return best;
}

static void test_place_pick__random_nominations__equals_naive(void **state)
{
    (void)state;
    struct mu_test_run run = mu_test_run_begin(91);
    struct mu_random *random = &run.random;
    uint32_t cut = 0;
    for (run.step = 0; run.step < 150; run.step++) {
        const struct mu_cluster_shape shape = {.nodes_max = 150, .classes = CLASSES};
        struct mu_class_ix classes[CLASSES];
        struct mu_cluster cluster;
        struct mu_nominated nominated[NOMINATED];
        mu_cluster_random(&cluster, random, &shape, classes);
        struct mu_snapshot *s = &cluster.snapshot;
        for (uint32_t n = 0; n < NOMINATED && s->node_rows > 0; n++) {
            uint32_t row = (uint32_t)mu_random_below(random, s->node_rows);
            struct mu_class_ix ix = classes[mu_random_below(random, CLASSES)];
            if ((s->nodes[row].flags & MU_NODE_PRESENT) != 0 &&
                !mu_oracle_asks_devices(s, mu_model_get_class(s->model, ix), row))
                nominated[s->nominated_count++] =
                    (struct mu_nominated){.node = {row},
                                          .priority = (int32_t)mu_random_below(random, 3),
                                          .class_ix = ix,
                                          .gang = {MU_NONE}};
        }
        s->nominated = nominated;
        struct mu_place *place = mu_place_create(&mu_profile_default, NULL);
        mu_place_begin(place, s);
        for (int pick = 0; pick < 40; pick++) {
            struct mu_place_pod pod = {.class_ix = classes[mu_random_below(random, CLASSES)]};
            int32_t priority = (int32_t)mu_random_below(random, 4);
            struct mu_node_ix got;
            uint32_t want = naive_pick(s, &mu_profile_default, pod.class_ix, priority);
            cut += want != mu_oracle_pick(s, &mu_profile_default, pod.class_ix);
            mu_place_whom(place, priority, (struct mu_gang_ix){MU_NONE});
            MU_TEST_CHECK(&run, mu_place_pick(place, pod, &got) == 0);
            MU_TEST_CHECK(&run, got.v == want);
            if (want != MU_NONE && mu_random_chance(random, 700))
                MU_TEST_CHECK(&run, mu_place_take(place, pod, got) == 0);
        }
        mu_place_end(place);
        mu_place_destroy(place);
        mu_cluster_fini(&cluster);
    }
    assert_true(cut > 50); /* nominations made a difference */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nominated__cases),
        cmocka_unit_test(test_nominated__is_over__who_waited_is_placed),
        cmocka_unit_test(test_db_admit__nominated_meanwhile__conflict),
        cmocka_unit_test(test_nominated__two_of_ours__the_first_is_placed),
        cmocka_unit_test(test_nominated__devices__left_for_it),
        cmocka_unit_test(test_db_admit__beside_the_nominated__admitted),
        cmocka_unit_test(test_nominated__devices_by_fragmentation__leave_the_nominated_theirs),
        cmocka_unit_test(test_nominated__as_many_as_may_be__each_looked_at_a_few_times),
        cmocka_unit_test(test_nominated__member_beyond_the_minimum__room_is_kept),
        cmocka_unit_test(test_nominated__placed_elsewhere__same_plan_with_and_without_memory),
        cmocka_unit_test(test_nominated__several_wait__each_is_told_its_own_reason),
        cmocka_unit_test(test_nominated__out_of_memory__nothing_changed),
        cmocka_unit_test(test_nominated__more_than_may_be__the_first_count),
        cmocka_unit_test(test_place_pick__random_nominations__equals_naive),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
