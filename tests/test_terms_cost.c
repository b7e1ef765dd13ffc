/*
 * What rules about other pods cost where a tenant makes as many of them as it can: tens of
 * thousands of host ports in use, and a pod that wants hundreds; tens of thousands of terms that
 * keep others away.
 */
#include "tests/db_fixture.h"

#include "engine/base/bitset.h"
#include "engine/place/place_priv.h"
#include "engine/place/terms_priv.h"
#include "engine/session/session.h"
#include "tests/mu_test.h"

enum { NODES = 100, HOLDERS = 60 };

static const uint64_t all_rows[MU_BITSET_WORDS(NODES)] = {UINT64_MAX, UINT64_MAX};
static const struct mu_filter_mask all_mask = {.bits = {all_rows}};

/* The port number i of a pod that has as many as it may. */
static struct mu_host_port *ports_from(uint32_t first)
{
    static struct mu_host_port ports[MU_PORTS_PER_POD];
    for (uint32_t i = 0; i < MU_PORTS_PER_POD; i++)
        ports[i] = (struct mu_host_port){MU_STR("0.0.0.0"), MU_PROTOCOL_TCP, (uint16_t)(first + i)};
    return ports;
}

/* Nodes, and a pod with its own ports on each of the first ones. */
static void open_ports(struct mu_db *db)
{
    for (uint32_t n = 0; n < NODES; n++) {
        char name[16];
        (void)snprintf(name, sizeof name, "n%u", n);
        fixture_put_node(db, name, 1, 64);
    }
    for (uint32_t p = 0; p < HOLDERS; p++) {
        struct fixture_pod pod;
        char node[16];
        (void)snprintf(node, sizeof node, "n%u", p);
        fixture_pod(&pod, p, 1);
        pod.object.node_name = mu_str_of(node);
        pod.object.phase = MU_POD_RUNNING;
        pod.object.ports = ports_from(1 + p * MU_PORTS_PER_POD);
        pod.object.port_count = MU_PORTS_PER_POD;
        fixture_put(db, &pod, 0);
    }
}

static void put_waiting(struct mu_db *db, uint32_t number, const struct mu_host_port *ports,
                        uint32_t count)
{
    struct fixture_pod pod;
    fixture_pod(&pod, number, 1);
    pod.object.ports = ports;
    pod.object.port_count = count;
    fixture_put(db, &pod, 0);
}

/* Each port that is wanted is searched for among those in use, not compared with them. */
static void test_terms_mask__many_ports_in_use__searched(void **state)
{
    (void)state;
    struct mu_db *db = fixture_create(0);
    struct mu_snapshot *s = mu_db_replica_create(db);
    struct mu_terms *terms = mu_terms_create();
    open_ports(db);
    put_waiting(db, HOLDERS, ports_from(1), MU_PORTS_PER_POD);
    fixture_sync(db, s);
    const struct mu_pod_view pod = fixture_find(db, HOLDERS), holder = fixture_find(db, 0);
    const struct mu_filter_mask *mask;
    mu_terms_begin(terms, s);
    assert_true(s->node_rows <= 64 * MU_BITSET_WORDS(NODES));
    const uint64_t steps = 2 * 16 * MU_PORTS_PER_POD; /* two searches, each among 2^16 at most */
    const uint64_t views = MU_PORTS_PER_POD * (MU_CENSUS_CELLS + MU_VIEW_CELLS + 2);
    for (uint32_t time = 0; time < 3; time++) {
        uint64_t before = terms->cells;
        assert_int_equal(mu_terms_mask(terms, pod.class_ix, pod.kin, &all_mask, &mask), 0);
        assert_true(terms->cells > before);
        uint64_t once = s->census_count + (uint64_t)s->node_rows * MU_PORTS_PER_POD;
        assert_true(terms->cells - before <= steps + views + (time == 0 ? once : 0));
        for (uint32_t row = 0; row < NODES; row++)
            assert_int_equal(mu_bitset_test(mask->bits[0], row), row != holder.node.v);
    }
    mu_terms_end(terms);
    mu_terms_destroy(terms);
    mu_db_replica_destroy(db, s);
    mu_db_destroy(db);
}

/* A pod that finds no room costs what so many rules cost once, to find that out and to tell why,
 * not once for each node. `rules`: that have a say; `others`: what else is looked at. */
static void check_refused(struct mu_db *db, uint32_t number, uint64_t rules, uint64_t others,
                          enum mu_verdict_kind kind, uint32_t nodes)
{
    struct mu_snapshot *s = mu_db_replica_create(db);
    struct mu_session *session =
        mu_session_create(&(const struct mu_session_config){.profile = &mu_profile_default});
    const struct mu_plan *plan;
    struct mu_place_counts counts;
    struct mu_gang_ix gang;
    fixture_sync(db, s);
    assert_int_equal(mu_session_run(session, s, 0, &plan), 0);
    assert_int_equal(plan->wait_count, 1);
    assert_int_equal(plan->waits[0].nodes_by_verdict[kind], nodes);
    assert_int_equal(plan->waits[0].nodes_by_verdict[MU_NO_RESOURCE_EVER], NODES - nodes);
    mu_session_counts(session, &counts);
    assert_int_equal(counts.rows_explained, NODES);
    /* Their views are made once; then they are looked at for the mask, and to tell why. */
    const uint64_t words = MU_BITSET_WORDS(s->node_rows);
    const uint64_t each = MU_CENSUS_CELLS + MU_VIEW_CELLS + words;
    const uint64_t cells = rules * (s->node_rows + 2 * each) + s->census_count + 2 * others;
    assert_true(counts.looks <= cells / 8 + 1);
    /* And it is reported as a cost of the gang. */
    assert_true(counts.looks >= rules * MU_VIEW_CELLS / 8);
    assert_true(mu_session_costliest(session, &gang) >= rules * MU_VIEW_CELLS / 8);
    assert_int_equal(gang.v, fixture_find(db, number).gang.v);
    mu_session_destroy(session);
    mu_db_replica_destroy(db, s);
}

static void test_session_run__many_ports_and_no_room__told_at_once(void **state)
{
    (void)state;
    struct mu_db *db = fixture_create(0);
    struct fixture_pod pod;
    open_ports(db);
    fixture_pod(&pod, HOLDERS, 1);
    pod.amounts[0].value = 1000000;
    pod.object.ports = ports_from(1);
    pod.object.port_count = MU_PORTS_PER_POD;
    fixture_put(db, &pod, 0);
    check_refused(db, HOLDERS, MU_PORTS_PER_POD, (uint64_t)2 * 16 * MU_PORTS_PER_POD, MU_NO_PORTS,
                  1);
    mu_db_destroy(db);
}

enum { TERMS = 200, GUARDS = 20 };

/* A pod with many terms, each of which keeps all others from its node; valid until the next. */
static void fixture_guard(struct fixture_pod *pod, uint32_t number)
{
    static const struct mu_str own = {"default", 7};
    static struct mu_requirement requirements[TERMS];
    static struct mu_pod_term terms[TERMS];
    static char keys[TERMS][24];
    fixture_pod(pod, number, 1);
    for (uint32_t t = 0; t < TERMS; t++) {
        (void)snprintf(keys[t], sizeof keys[t], "not-%u-%u", number, t);
        requirements[t] =
            (struct mu_requirement){mu_str_of(keys[t]), MU_OP_DOES_NOT_EXIST, NULL, 0};
        terms[t] = (struct mu_pod_term){
            .kind = MU_TERM_ANTI_AFFINITY,
            .topology_key = MU_STR("kubernetes.io/hostname"),
            .selector = {.requirements = &requirements[t], .requirement_count = 1},
            .namespaces = &own,
            .namespace_count = 1};
    }
    pod->object.terms = terms;
    pod->object.term_count = TERMS;
}

/* Nodes, with such a pod on each of the first ones. */
static void open_guards(struct mu_db *db, uint32_t guards)
{
    for (uint32_t n = 0; n < NODES; n++) {
        char name[16];
        struct fixture_node node;
        (void)snprintf(name, sizeof name, "n%u", n);
        const struct mu_label host = {MU_STR("kubernetes.io/hostname"), mu_str_of(name)};
        fixture_node(&node, name, 1, 64, 0);
        node.object.labels = &host;
        node.object.label_count = 1;
        assert_int_equal(mu_db_node_upsert(db, &node.object, 0, NULL), 0);
    }
    for (uint32_t p = 0; p < guards; p++) {
        char node[16];
        struct fixture_pod pod;
        (void)snprintf(node, sizeof node, "n%u", p);
        fixture_guard(&pod, p);
        pod.object.node_name = mu_str_of(node);
        pod.object.phase = MU_POD_RUNNING;
        fixture_put(db, &pod, 0);
    }
}

static void test_session_run__kept_away_for_many_reasons__told_at_once(void **state)
{
    (void)state;
    struct mu_db *db = fixture_create(0);
    struct fixture_pod pod;
    open_guards(db, GUARDS);
    fixture_pod(&pod, GUARDS, 1);
    pod.amounts[0].value = 1000000;
    fixture_put(db, &pod, 0);
    /* What a node lacks is told before that somebody keeps it away. */
    check_refused(db, GUARDS, (uint64_t)TERMS * GUARDS, 0, MU_NO_EXISTING_ANTI_AFFINITY, 0);
    mu_db_destroy(db);
}

/* Row after row is judged at the cost of one or two, as long as nobody with such terms comes or
 * goes; and rightly, when somebody does. */
static void test_terms_verdict__kept_away_for_many_reasons__gone_through_once(void **state)
{
    (void)state;
    struct mu_db *db = fixture_create(0);
    struct mu_snapshot *s = mu_db_replica_create(db);
    struct mu_terms *terms = mu_terms_create();
    struct fixture_pod waits;
    open_guards(db, GUARDS);
    fixture_guard(&waits, GUARDS); /* that refuses others, too */
    fixture_put(db, &waits, 0);
    fixture_pod(&waits, GUARDS + 1, 1);
    fixture_put(db, &waits, 0);
    fixture_sync(db, s);
    const struct mu_pod_view guard = fixture_find(db, GUARDS), pod = fixture_find(db, GUARDS + 1);
    const uint32_t free_row = NODES - 1;
    assert_true(s->node_rows >= NODES);
    mu_terms_begin(terms, s);
    const uint64_t rules = (uint64_t)TERMS * GUARDS;
    for (uint32_t round = 0; round < 4; round++) {
        const uint64_t before = terms->cells;
        for (uint32_t row = 0; row < NODES; row++) {
            enum mu_verdict_kind kind;
            bool kept = row < GUARDS || (round % 2 == 1 && row == free_row);
            assert_int_equal(mu_terms_verdict(terms, pod.class_ix, pod.kin, row, &kind), 0);
            assert_int_equal(kind, kept ? MU_NO_EXISTING_ANTI_AFFINITY : MU_FITS);
        }
        /* By itself, then for all rows together; views are made at the first time. */
        const uint64_t each = MU_CENSUS_CELLS + MU_VIEW_CELLS + MU_BITSET_WORDS(s->node_rows);
        const uint64_t views = (rules + TERMS) * s->node_rows;
        assert_true(terms->cells > before);
        assert_true(terms->cells - before <= 2 * (rules + TERMS) * each + (round < 2 ? views : 0));
        assert_int_equal(
            mu_terms_count(terms, guard.class_ix, guard.kin, free_row, round % 2 == 0 ? 1 : -1, 0),
            0);
        if (round % 2 == 1)
            mu_terms_restore(terms, 0);
    }
    mu_terms_end(terms);
    mu_terms_destroy(terms);
    mu_db_replica_destroy(db, s);
    mu_db_destroy(db);
}

/* Every address, number and protocol against every other, by the definition. */
static void test_terms_verdict__ports_at_addresses__as_compared_one_by_one(void **state)
{
    (void)state;
    static const struct mu_str ips[] = {
        {"10.0.0.1", 8}, {"0.0.0.0", 7}, {"10.0.0.2", 8}, {"::", 2}, {"192.168.0.1", 11}};
    enum { IPS = 5, PORTS = 3, PROTOCOLS = 3, KINDS = IPS * PORTS * PROTOCOLS };
    static struct mu_host_port ports[KINDS];
    for (uint32_t i = 0; i < KINDS; i++)
        ports[i] = (struct mu_host_port){ips[i % IPS], (enum mu_protocol)(i / IPS % PROTOCOLS),
                                         (uint16_t)(80 + i / IPS / PROTOCOLS)};
    /* In the second round nobody is at 0.0.0.0. */
    for (uint32_t round = 0; round < 2; round++) {
        struct mu_db *db = fixture_create(0);
        struct mu_snapshot *s = mu_db_replica_create(db);
        struct mu_terms *terms = mu_terms_create();
        for (uint32_t i = 0; i < KINDS; i++) {
            struct fixture_pod pod;
            char node[16];
            if (round == 1 && i % IPS == 1)
                continue;
            (void)snprintf(node, sizeof node, "n%u", i);
            fixture_put_node(db, node, 1, 64);
            fixture_pod(&pod, i, 1);
            pod.object.node_name = mu_str_of(node);
            pod.object.phase = MU_POD_RUNNING;
            pod.object.ports = &ports[i];
            pod.object.port_count = 1;
            fixture_put(db, &pod, 0);
            put_waiting(db, KINDS + i, &ports[i], 1);
        }
        fixture_sync(db, s);
        mu_terms_begin(terms, s);
        for (uint32_t i = 0; i < KINDS * KINDS; i++) {
            const uint32_t a = i / KINDS, b = i % KINDS;
            enum mu_verdict_kind kind;
            if (round == 1 && (a % IPS == 1 || b % IPS == 1))
                continue;
            const struct mu_pod_view pod = fixture_find(db, KINDS + a);
            const struct mu_pod_view there = fixture_find(db, b);
            assert_int_equal(mu_terms_verdict(terms, pod.class_ix, pod.kin, there.node.v, &kind),
                             0);
            bool every = a % IPS == 1 || b % IPS == 1 || a % IPS == b % IPS;
            assert_int_equal(kind, a / IPS == b / IPS && every ? MU_NO_PORTS : MU_FITS);
        }
        mu_terms_end(terms);
        mu_terms_destroy(terms);
        mu_db_replica_destroy(db, s);
        mu_db_destroy(db);
    }
}

struct short_of {
    struct mu_snapshot *snapshot;
    struct mu_pod_view pod;
};

/* All rows, then one by one, with what was made before memory ran out. */
static bool judge_all(void *context)
{
    const struct short_of *c = context;
    struct mu_terms *terms = mu_terms_create();
    int error = terms == NULL ? MU_ENOMEM : 0;
    if (error == 0) {
        mu_terms_begin(terms, c->snapshot);
        error = mu_terms_judge(terms, c->pod.class_ix, c->pod.kin);
    }
    for (uint32_t row = 0; row < NODES && error == 0; row++) {
        enum mu_verdict_kind kind;
        error = mu_terms_verdict(terms, c->pod.class_ix, c->pod.kin, row, &kind);
        if (error == 0)
            assert_int_equal(kind, mu_terms_judged(terms, row));
        assert_true(error != 0 || kind == (row == 0  ? MU_NO_PORTS
                                           : row < 2 ? MU_NO_EXISTING_ANTI_AFFINITY
                                                     : MU_FITS));
    }
    if (terms != NULL)
        mu_terms_end(terms);
    mu_terms_destroy(terms);
    assert_true(error == 0 || error == MU_ENOMEM);
    return error == 0;
}

static void test_terms_judge__out_of_memory__says_so(void **state)
{
    (void)state;
    struct mu_db *db = fixture_create(0);
    struct fixture_pod pod;
    struct short_of c = {.snapshot = mu_db_replica_create(db)};
    open_guards(db, 2);
    fixture_pod(&pod, GUARDS, 1);
    pod.object.node_name = MU_STR("n0");
    pod.object.phase = MU_POD_RUNNING;
    pod.object.ports = ports_from(1);
    pod.object.port_count = 1;
    fixture_put(db, &pod, 0);
    put_waiting(db, GUARDS + 1, ports_from(1), 2);
    fixture_sync(db, c.snapshot);
    c.pod = fixture_find(db, GUARDS + 1);
    assert_true(mu_test_fail_each(judge_all, &c) > 6);
    mu_db_replica_destroy(db, c.snapshot);
    mu_db_destroy(db);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_terms_mask__many_ports_in_use__searched),
        cmocka_unit_test(test_session_run__many_ports_and_no_room__told_at_once),
        cmocka_unit_test(test_session_run__kept_away_for_many_reasons__told_at_once),
        cmocka_unit_test(test_terms_verdict__kept_away_for_many_reasons__gone_through_once),
        cmocka_unit_test(test_terms_judge__out_of_memory__says_so),
        cmocka_unit_test(test_terms_verdict__ports_at_addresses__as_compared_one_by_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
