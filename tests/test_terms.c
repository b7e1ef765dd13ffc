/*
 * Rules about other pods against their naive form on strings: for random worlds behind the cluster
 * DB, the verdict of every pod on every node, before and while a session places; the counts must
 * come back as they were.
 */
#include "tests/mu_test.h"

#include "engine/base/bitset.h"
#include "engine/base/error.h"
#include "engine/db/census_priv.h"
#include "engine/place/place_priv.h"
#include "engine/session/session.h"
#include "engine/place/terms_priv.h"
#include "tests/support/world_random.h"

#define ARENA_BYTES ((size_t)64 << 20)

struct rig {
    struct mu_test_run run;
    struct mu_arena *arena;
    struct mu_world world;
    struct mu_db *db;
    struct mu_snapshot *snapshot;
};

static void feed(struct rig *r)
{
    const struct mu_world *w = &r->world;
    for (uint32_t n = 0; n < w->namespace_count; n++)
        assert_int_equal(mu_db_namespace_upsert(r->db, w->namespaces[n].name,
                                                w->namespaces[n].labels,
                                                w->namespaces[n].label_count, NULL),
                         0);
    for (uint32_t n = 0; n < w->node_count; n++)
        assert_int_equal(mu_db_node_upsert(r->db, &w->nodes[n], 0, NULL), 0);
    for (uint32_t p = 0; p < w->pod_count; p++)
        assert_int_equal(mu_db_pod_upsert(r->db, &w->pods[p], 0, NULL), 0);
}

static void bring_up(struct rig *r)
{
    int more = 1;
    for (uint32_t steps = 0; more == 1; steps++) {
        more = mu_db_replica_sync(r->db, r->snapshot, 0);
        assert_true(steps < 100000);
    }
    assert_int_equal(more, 0);
}

static void open_rig(struct rig *r, uint64_t seed, const struct mu_world_shape *shape)
{
    const struct mu_str names[] = {MU_STR(MU_WORLD_SCHEDULER)};
    const struct mu_db_config config = {.scheduler_names = names, .scheduler_name_count = 1};
    memset(r, 0, sizeof *r);
    r->run = mu_test_run_begin(seed);
    r->arena = mu_arena_create(ARENA_BYTES);
    r->db = mu_db_create(&config);
    assert_non_null(r->db);
    r->snapshot = mu_db_replica_create(r->db);
    assert_non_null(r->snapshot);
    mu_world_random(&r->world, r->arena, &r->run.random, shape);
    feed(r);
    bring_up(r);
}

static void close_rig(struct rig *r)
{
    mu_db_replica_destroy(r->db, r->snapshot);
    mu_db_destroy(r->db);
    mu_arena_destroy(r->arena);
}

/* The row of a node. */
static uint32_t row_of(const struct rig *r, const struct mu_node_object *node)
{
    for (uint32_t row = 0; row < r->snapshot->node_rows; row++)
        if ((r->snapshot->nodes[row].flags & MU_NODE_PRESENT) != 0 &&
            mu_str_equal(mu_db_node_name(r->db, (struct mu_node_ix){row}), node->name))
            return row;
    return MU_NONE;
}

/* The pending member that is this pod; false: it does not wait for a node. */
static bool member_of(const struct rig *r, const struct mu_pod_object *pod,
                      struct mu_place_pod *out)
{
    struct mu_uid uid;
    struct mu_pod_view view;
    if (mu_db_uid_parse(r->db, pod->uid, &uid) != 0 || !mu_db_pod_find(r->db, uid, &view) ||
        view.gang.v == MU_NONE)
        return false;
    const struct mu_gang_row *row = &r->snapshot->gangs[view.gang.v];
    for (uint32_t m = 0; row->block != NULL && m < row->block->member_count; m++) {
        const struct mu_gang_member *member = &row->block->members[m];
        if (mu_uid_equal(member->uid, uid)) {
            *out = (struct mu_place_pod){member->class_ix, member->kin};
            return true;
        }
    }
    return false;
}

/* Static rules and those about other pods, by strings; room is compared by others. */
static enum mu_verdict_kind naive(const struct rig *r, const struct mu_node_object *node,
                                  const struct mu_pod_object *pod)
{
    struct mu_rules_world view = mu_world_view(&r->world);
    enum mu_verdict_kind kind = mu_rules_static(node, pod);
    return kind != MU_FITS ? kind : mu_rules_others(&view, node, pod);
}

static bool is_room(enum mu_verdict_kind kind)
{
    return kind >= MU_NO_PODS && kind <= MU_NO_DEVICE;
}

/* The nodes are counted as they are judged one by one: all of them, and those of a domain. */
static void check_counts(struct rig *r, struct mu_place *place, struct mu_place_pod pod)
{
    const struct mu_snapshot *s = r->snapshot;
    for (uint32_t t = 0; t <= s->topology_count; t++) {
        const bool all = t == s->topology_count || s->topology_keys[t].v == 0;
        const uint32_t first = all ? 0 : s->topology[t][0];
        struct mu_refusals counted, sum = {.by_verdict = {0}};
        for (uint32_t row = 0; row < s->node_rows; row++) {
            struct mu_verdict verdict;
            if ((s->nodes[row].flags & MU_NODE_PRESENT) == 0 ||
                (!all && s->topology[t][row] != first))
                continue;
            MU_TEST_CHECK(&r->run,
                          mu_place_verdict(place, pod, (struct mu_node_ix){row}, &verdict) == 0);
            mu_refusals_add(&sum, verdict, 1);
        }
        MU_TEST_CHECK(&r->run,
                      mu_place_refusals_count(place, pod, all ? MU_NONE : t, first, &counted) == 0);
        MU_TEST_CHECK(&r->run, memcmp(&counted, &sum, sizeof sum) == 0);
    }
}

static void check_pod(struct rig *r, struct mu_place *place, const struct mu_pod_object *pod)
{
    struct mu_place_pod member;
    if (!member_of(r, pod, &member))
        return;
    for (uint32_t n = 0; n < r->world.node_count; n++) {
        const struct mu_node_object *node = &r->world.nodes[n];
        struct mu_node_ix row = {row_of(r, node)};
        struct mu_verdict got;
        MU_TEST_CHECK(&r->run, row.v != MU_NONE);
        MU_TEST_CHECK(&r->run, mu_place_verdict(place, member, row, &got) == 0);
        enum mu_verdict_kind want = naive(r, node, pod);
        if (got.kind != want && !(is_room(got.kind) && (want == MU_FITS || want > MU_NO_DEVICE))) {
            print_error("pod %.*s on %.*s: got '%s', want '%s'\n", MU_STR_ARGS(pod->name),
                        MU_STR_ARGS(node->name), mu_verdict_text(got.kind), mu_verdict_text(want));
            MU_TEST_CHECK(&r->run, got.kind == want);
        }
        /* The mask says the same as the verdict. */
        uint64_t bits;
        MU_TEST_CHECK(&r->run, mu_place_fits(place, member, row.v / 64 * 64, &bits) == 0);
        MU_TEST_CHECK(&r->run, (bits >> row.v % 64 & 1) == (got.kind == MU_FITS));
    }
    check_counts(r, place, member);
}

/* Something changes in the world, and the DB hears of it: now and then of a removal by itself. */
static void change(struct rig *r)
{
    const struct mu_world_changed changed = mu_world_change(&r->world, &r->run.random);
    bool told = changed.replaced.len > 0 && mu_random_chance(&r->run.random, 700);
    if (changed.ns != UINT32_MAX) {
        const struct mu_rules_namespace *ns = &r->world.namespaces[changed.ns];
        MU_TEST_CHECK(&r->run, mu_db_namespace_upsert(r->db, ns->name, ns->labels, ns->label_count,
                                                      NULL) == 0);
    } else if (changed.node != UINT32_MAX) {
        const struct mu_node_object *node = &r->world.nodes[changed.node];
        if (told)
            assert_int_equal(mu_db_node_remove(r->db, node->name, changed.replaced), 0);
        if (told && mu_random_chance(&r->run.random, 500))
            bring_up(r);
        assert_int_equal(mu_db_node_upsert(r->db, node, 0, NULL), 0);
    } else {
        const struct mu_pod_object *pod = &r->world.pods[changed.pod];
        if (told)
            assert_int_equal(mu_db_pod_remove(r->db, pod->ns, pod->name, changed.replaced, 0), 0);
        if (told && mu_random_chance(&r->run.random, 500))
            bring_up(r);
        assert_int_equal(mu_db_pod_upsert(r->db, pod, 0, NULL), 0);
    }
}

static void test_place_verdict__random_worlds__as_the_naive_rules(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 60; seed++) {
        struct rig r;
        open_rig(&r, seed,
                 &(struct mu_world_shape){
                     .nodes = 12, .namespaces = 3, .pods = 40, .placed_permille = 700});
        struct mu_place *place = mu_place_create(&mu_profile_default, NULL);
        assert_non_null(place);
        for (r.run.step = 0; r.run.step < 6; r.run.step++) {
            mu_place_begin(place, r.snapshot);
            for (uint32_t p = 0; p < r.world.pod_count; p++)
                check_pod(&r, place, &r.world.pods[p]);
            mu_place_end(place);
            for (uint32_t i = 0; i < 4; i++)
                change(&r);
            bring_up(&r);
        }
        mu_place_destroy(place);
        close_rig(&r);
    }
}

/* Pending pods are placed one after the other; each placement is put into the world as well. */
static void place_all(struct rig *r, struct mu_place *place)
{
    for (uint32_t p = 0; p < r->world.pod_count; p++) {
        struct mu_pod_object *pod = &r->world.pods[p];
        struct mu_place_pod member;
        struct mu_node_ix node;
        if (!member_of(r, pod, &member))
            continue;
        check_pod(r, place, pod);
        MU_TEST_CHECK(&r->run, mu_place_put(place, member, &node) == 0);
        if (node.v == MU_NONE)
            continue;
        pod->node_name = mu_db_node_name(r->db, node);
    }
}

static void test_place_put__one_after_the_other__each_by_the_rules(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 40; seed++) {
        struct rig r;
        open_rig(&r, 1000 + seed,
                 &(struct mu_world_shape){
                     .nodes = 10, .namespaces = 2, .pods = 40, .placed_permille = 300});
        struct mu_place *place = mu_place_create(&mu_profile_default, NULL);
        mu_place_begin(place, r.snapshot);
        struct mu_pod_object *before = mu_mem_alloc(r.world.pod_count * sizeof *before);
        assert_non_null(before);
        memcpy(before, r.world.pods, r.world.pod_count * sizeof *before);
        for (r.run.step = 0; r.run.step < 2; r.run.step++) {
            /* Undone in between: the second time is as the first. */
            mu_place_trial(place);
            place_all(&r, place);
            mu_place_rollback(place);
            memcpy(r.world.pods, before, r.world.pod_count * sizeof *before);
        }
        mu_place_end(place);
        mu_mem_free(before);
        mu_place_destroy(place);
        close_rig(&r);
    }
}

static void test_session_run__random_worlds__binds_keep_all_rules(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 40; seed++) {
        struct rig r;
        open_rig(&r, 2000 + seed,
                 &(struct mu_world_shape){
                     .nodes = 15, .namespaces = 3, .pods = 60, .placed_permille = 400});
        struct mu_session *session =
            mu_session_create(&(struct mu_session_config){.profile = NULL});
        const struct mu_plan *plan;
        assert_int_equal(mu_session_run(session, r.snapshot, 1, &plan), 0);
        for (uint32_t g = 0; g < plan->gang_count; g++) {
            struct mu_pod_view view;
            assert_int_equal(plan->gangs[g].bind_count, 1);
            const struct mu_plan_bind *bind = &plan->gangs[g].binds[0];
            assert_true(mu_db_pod_get(r.db, bind->pod, &view));
            struct mu_str node = mu_db_node_name(r.db, bind->node);
            for (uint32_t p = 0; p < r.world.pod_count; p++) {
                if (!mu_str_equal(r.world.pods[p].name, view.name))
                    continue;
                for (uint32_t n = 0; n < r.world.node_count; n++)
                    if (mu_str_equal(r.world.nodes[n].name, node))
                        MU_TEST_CHECK(&r.run,
                                      naive(&r, &r.world.nodes[n], &r.world.pods[p]) == MU_FITS);
                r.world.pods[p].node_name = node;
            }
        }
        mu_session_destroy(session);
        close_rig(&r);
    }
}

/* A node with all of these labels and no taint. */
static void set_labels(struct rig *r, uint32_t node, const struct mu_label *labels, uint32_t count)
{
    struct mu_node_object *n = &r->world.nodes[node];
    n->labels = labels;
    n->label_count = count;
    n->taint_count = 0;
    n->unschedulable = false;
    n->version = ++r->world.version;
    assert_int_equal(mu_db_node_upsert(r->db, n, 0, NULL), 0);
    bring_up(r);
}

/* More topology keys that nodes have than there are numbers for: pods beyond wait, nothing else
 * happens. */
static void test_session_run__too_many_topology_keys__those_beyond_wait(void **state)
{
    (void)state;
    struct rig r;
    open_rig(&r, 1, &(struct mu_world_shape){.nodes = 4, .namespaces = 1, .pods = 0});
    char keys[MU_TOPOLOGIES_MAX + 8][32], names[MU_TOPOLOGIES_MAX + 8][32];
    struct mu_label labels[MU_TOPOLOGIES_MAX + 8];
    for (uint32_t i = 0; i < MU_TOPOLOGIES_MAX + 8; i++) {
        (void)snprintf(keys[i], sizeof keys[i], "example.com/key-%u", i);
        labels[i] = (struct mu_label){mu_str_of(keys[i]), MU_STR("v")};
    }
    set_labels(&r, 0, labels, MU_TOPOLOGIES_MAX + 8);
    for (uint32_t i = 0; i < MU_TOPOLOGIES_MAX + 8; i++) {
        (void)snprintf(names[i], sizeof names[i], "pod-%u", i);
        const struct mu_spread spread = {.topology_key = mu_str_of(keys[i]),
                                         .max_skew = 1,
                                         .min_domains = 1,
                                         .hard = i % 3 == 0};
        const struct mu_pod_term term = {.kind =
                                             i % 3 == 1 ? MU_TERM_AFFINITY : MU_TERM_ANTI_AFFINITY,
                                         .topology_key = mu_str_of(keys[i])};
        const struct mu_pod_object pod = {.ns = MU_STR("ns-0"),
                                          .name = mu_str_of(names[i]),
                                          .uid = mu_str_of(names[i]),
                                          .version = 1000 + i,
                                          .scheduler_name = MU_STR(MU_WORLD_SCHEDULER),
                                          .spreads = &spread,
                                          .spread_count = i % 3 == 0,
                                          .terms = &term,
                                          .term_count = i % 3 != 0};
        assert_int_equal(mu_db_pod_upsert(r.db, &pod, 0, NULL), 0);
    }
    bring_up(&r);
    struct mu_session *session = mu_session_create(&(struct mu_session_config){.profile = NULL});
    const struct mu_plan *plan;
    assert_int_equal(mu_session_run(session, r.snapshot, 1, &plan), 0);
    assert_int_equal(plan->gang_count + plan->wait_count, MU_TOPOLOGIES_MAX + 8);
    assert_true(plan->wait_count >= 8);
    /* The cause is told, not the sentence of a rule that nobody has judged. */
    uint32_t untracked = 0;
    for (uint32_t i = 0; i < plan->wait_count; i++) {
        const uint32_t *by = plan->waits[i].nodes_by_verdict;
        untracked += by[MU_NO_SPREAD_UNTRACKED] + by[MU_NO_POD_AFFINITY_UNTRACKED] +
                         by[MU_NO_ANTI_AFFINITY_UNTRACKED] >
                     0;
    }
    assert_int_equal(untracked, 8);
    mu_session_destroy(session);
    close_rig(&r);
}

/* ---- what is remembered from session to session --------------------------------------------- */

static struct mu_pod_object pod_of(const char *name, const char *node, uint64_t version)
{
    return (struct mu_pod_object){.ns = MU_STR("ns-0"),
                                  .name = mu_str_of(name),
                                  .uid = mu_str_of(name),
                                  .version = version,
                                  .scheduler_name = MU_STR(MU_WORLD_SCHEDULER),
                                  .node_name = mu_str_of(node),
                                  .phase = MU_POD_RUNNING};
}

static enum mu_verdict_kind verdict_on(struct rig *r, struct mu_place *place,
                                       const struct mu_pod_object *pod, uint32_t node)
{
    struct mu_place_pod member;
    struct mu_verdict verdict;
    assert_true(member_of(r, pod, &member));
    mu_place_begin(place, r->snapshot);
    const struct mu_node_ix row = {row_of(r, &r->world.nodes[node])};
    assert_int_equal(mu_place_verdict(place, member, row, &verdict), 0);
    mu_place_end(place);
    return verdict.kind;
}

static void set_zone(struct rig *r, uint32_t node, const char *zone)
{
    const struct mu_label label = {MU_STR("zone"), mu_str_of(zone)};
    set_labels(r, node, &label, 1);
}

/* Two nodes in these zones, and one namespace. */
static void open_zones(struct rig *r, const char *first, const char *second)
{
    open_rig(r, 1, &(struct mu_world_shape){.nodes = 2, .namespaces = 1, .pods = 0});
    set_zone(r, 0, first);
    set_zone(r, 1, second);
}

/* To be in no zone with any pod of the namespace. */
static struct mu_pod_term away_in_zone(void)
{
    static const struct mu_str own = {"ns-0", 4};
    return (struct mu_pod_term){.kind = MU_TERM_ANTI_AFFINITY,
                                .topology_key = MU_STR("zone"),
                                .namespaces = &own,
                                .namespace_count = 1};
}

/* A key that nobody asks for any more gives up the numbers of its domains. When it is asked for
 * again they are given out anew, in another order, though no node has changed since. */
static void test_place_verdict__key_asked_for_again__domains_as_they_are_now(void **state)
{
    (void)state;
    struct rig r;
    open_rig(&r, 1, &(struct mu_world_shape){.nodes = 2, .namespaces = 1, .pods = 0});
    struct mu_place *place = mu_place_create(&mu_profile_default, NULL);
    assert_non_null(place);
    const struct mu_pod_term term = away_in_zone();
    struct mu_pod_object there = pod_of("there", "node-1", 1000);
    struct mu_pod_object waits = pod_of("waits", "", 1001);
    waits.phase = MU_POD_PENDING;
    waits.terms = &term;
    waits.term_count = 1;
    assert_int_equal(mu_db_pod_upsert(r.db, &there, 0, NULL), 0);
    assert_int_equal(mu_db_pod_upsert(r.db, &waits, 0, NULL), 0);
    set_zone(&r, 0, "a");
    set_zone(&r, 1, "b");
    set_zone(&r, 0, "b");
    set_zone(&r, 1, "a"); /* node-0 in domain 1, node-1 in domain 0 */
    assert_int_equal(verdict_on(&r, place, &waits, 0), MU_FITS);
    assert_int_equal(verdict_on(&r, place, &waits, 1), MU_NO_ANTI_AFFINITY);
    assert_int_equal(mu_db_pod_remove(r.db, waits.ns, waits.name, waits.uid, 0), 0);
    bring_up(&r);
    bring_up(&r);
    assert_int_equal(mu_db_pod_upsert(r.db, &waits, 0, NULL), 0);
    bring_up(&r);
    assert_int_equal(verdict_on(&r, place, &waits, 0), MU_FITS);
    assert_int_equal(verdict_on(&r, place, &waits, 1), MU_NO_ANTI_AFFINITY);
    mu_place_destroy(place);
    close_rig(&r);
}

/* Whether the mask, which is made of what is remembered, lets the pod go there. */
static bool mask_on(struct rig *r, struct mu_place *place, const struct mu_pod_object *pod,
                    uint32_t node)
{
    struct mu_place_pod member;
    uint64_t bits;
    assert_true(member_of(r, pod, &member));
    mu_place_begin(place, r->snapshot);
    const uint32_t row = row_of(r, &r->world.nodes[node]);
    assert_int_equal(mu_place_fits(place, member, row / 64 * 64, &bits), 0);
    mu_place_end(place);
    return (bits >> row % 64 & 1) != 0;
}

/* A rule that somebody waits with; its pod and the one that is in its way are new each time. */
static void check_rule(struct rig *r, struct mu_place *place, bool ports, uint64_t version)
{
    static const struct mu_str own = {"ns-0", 4};
    static const struct mu_pod_term term = {.kind = MU_TERM_ANTI_AFFINITY,
                                            .topology_key = {"zone", 4},
                                            .namespaces = &own,
                                            .namespace_count = 1};
    static const struct mu_host_port port = {{"0.0.0.0", 7}, MU_PROTOCOL_TCP, 80};
    const uint32_t taken = ports ? 0 : 1; /* what is left over from the other rule is wrong here */
    struct mu_pod_object there = pod_of("there", ports ? "node-0" : "node-1", version);
    struct mu_pod_object waits = pod_of("waits", "", version);
    waits.phase = MU_POD_PENDING;
    waits.terms = &term;
    waits.term_count = !ports;
    there.ports = waits.ports = &port;
    there.port_count = waits.port_count = ports;
    assert_int_equal(mu_db_pod_upsert(r->db, &there, 0, NULL), 0);
    assert_int_equal(mu_db_pod_upsert(r->db, &waits, 0, NULL), 0);
    set_zone(r, 0, "a");
    set_zone(r, 1, "b");
    set_zone(r, 0, "b");
    set_zone(r, 1, "a"); /* node-0 in domain 1, node-1 in domain 0 */
    assert_int_equal(verdict_on(r, place, &waits, taken),
                     ports ? MU_NO_PORTS : MU_NO_ANTI_AFFINITY);
    assert_int_equal(verdict_on(r, place, &waits, 1 - taken), MU_FITS);
    assert_false(mask_on(r, place, &waits, taken));
    assert_true(mask_on(r, place, &waits, 1 - taken));
    assert_int_equal(mu_db_pod_remove(r->db, there.ns, there.name, there.uid, 0), 0);
    assert_int_equal(mu_db_pod_remove(r->db, waits.ns, waits.name, waits.uid, 0), 0);
    bring_up(r);
    bring_up(r);
}

/* A census that nobody asks for any more gives up its number. What is remembered under it must not
 * be taken for that of the next census, whose domains may be the nodes or those of a key. */
static void test_place_verdict__number_of_another_census__nothing_is_left_of_it(void **state)
{
    (void)state;
    struct rig r;
    open_rig(&r, 1, &(struct mu_world_shape){.nodes = 2, .namespaces = 1, .pods = 0});
    for (uint64_t i = 0; i < 2; i++) {
        struct mu_place *place = mu_place_create(&mu_profile_default, NULL);
        assert_non_null(place);
        check_rule(&r, place, i == 0, 1000 + 2 * i);
        check_rule(&r, place, i == 1, 1001 + 2 * i);
        mu_place_destroy(place);
    }
    close_rig(&r);
}

/* A pod with 64 preferred terms over keys of its own, then one with a hard spread. */
static void preferences_over_many_keys(bool carried)
{
    struct rig r;
    open_rig(&r, 1, &(struct mu_world_shape){.nodes = 2, .namespaces = 1, .pods = 0});
    char keys[MU_TOPOLOGIES_MAX][32];
    struct mu_pod_term terms[MU_TOPOLOGIES_MAX];
    struct mu_label labels[MU_TOPOLOGIES_MAX + 1];
    labels[0] = (struct mu_label){MU_STR("zone"), MU_STR("a")};
    for (uint32_t i = 0; i < MU_TOPOLOGIES_MAX; i++) {
        (void)snprintf(keys[i], sizeof keys[i], "made-up/key-%u", i);
        labels[1 + i] = (struct mu_label){mu_str_of(keys[i]), MU_STR("v")};
        terms[i] = (struct mu_pod_term){
            .kind = MU_TERM_PREFERRED, .weight = 1, .topology_key = mu_str_of(keys[i])};
    }
    set_labels(&r, 0, labels, carried ? 1 + MU_TOPOLOGIES_MAX : 1);
    set_zone(&r, 1, "b");
    struct mu_pod_object pod = pod_of("many", "node-0", 1000);
    pod.terms = terms;
    pod.term_count = MU_TOPOLOGIES_MAX;
    assert_int_equal(mu_db_pod_upsert(r.db, &pod, 0, NULL), 0);
    const struct mu_spread spread = {
        .topology_key = MU_STR("zone"), .max_skew = 1, .min_domains = 1, .hard = true};
    pod = pod_of("spread", "", 1001);
    pod.phase = MU_POD_PENDING;
    pod.spreads = &spread;
    pod.spread_count = 1;
    assert_int_equal(mu_db_pod_upsert(r.db, &pod, 0, NULL), 0);
    bring_up(&r);
    struct mu_session *session = mu_session_create(&(struct mu_session_config){.profile = NULL});
    const struct mu_plan *plan;
    assert_int_equal(mu_session_run(session, r.snapshot, 1, &plan), 0);
    assert_int_equal(plan->gang_count, 1);
    assert_int_equal(r.snapshot->topology_count, 1 + (carried ? MU_TOPOLOGIES_PREFERRED : 0));
    mu_session_destroy(session);
    close_rig(&r);
}

static void test_session_run__preferences_over_many_keys__rules_are_judged(void **state)
{
    (void)state;
    preferences_over_many_keys(false);
    preferences_over_many_keys(true);
}

/* A preference without a census is left aside, by the session and by admission alike. */
static void test_db_admit__preference_that_cannot_be_judged__is_none(void **state)
{
    (void)state;
    struct rig r;
    open_rig(&r, 1, &(struct mu_world_shape){.nodes = 1, .namespaces = 1, .pods = 0});
    char keys[MU_TOPOLOGIES_MAX + 1][32], names[MU_TOPOLOGIES_MAX + 1][32];
    struct mu_label labels[MU_TOPOLOGIES_MAX + 1];
    for (uint32_t i = 0; i <= MU_TOPOLOGIES_MAX; i++) {
        (void)snprintf(keys[i], sizeof keys[i], "example.com/key-%u", i);
        labels[i] = (struct mu_label){mu_str_of(keys[i]), MU_STR("v")};
    }
    set_labels(&r, 0, labels, MU_TOPOLOGIES_MAX + 1);
    for (uint32_t i = 0; i <= MU_TOPOLOGIES_MAX; i++) {
        (void)snprintf(names[i], sizeof names[i], "pod-%u", i);
        const struct mu_pod_term term = {
            .kind = MU_TERM_PREFERRED, .weight = 1, .topology_key = mu_str_of(keys[i])};
        struct mu_pod_object pod = pod_of(names[i], i < MU_TOPOLOGIES_MAX ? "node-0" : "", 1000);
        pod.terms = &term;
        pod.term_count = 1;
        assert_int_equal(mu_db_pod_upsert(r.db, &pod, 0, NULL), 0);
        bring_up(&r);
    }
    struct mu_session *session = mu_session_create(&(struct mu_session_config){.profile = NULL});
    const struct mu_plan *plan;
    assert_int_equal(mu_session_run(session, r.snapshot, 1, &plan), 0);
    assert_int_equal(plan->gang_count, 1);
    struct mu_error why = {.code = 0};
    if (mu_db_admit(r.db, &plan->gangs[0], &why) != 0)
        fail_msg("%s", why.text);
    mu_session_destroy(session);
    close_rig(&r);
}

/* With the table of matches full, a rule that is not seen whole keeps pods away, on either side. */
static void test_session_run__table_of_matches_full__nobody_is_let_through(void **state)
{
    (void)state;
    struct rig r;
    open_zones(&r, "a", "b");
    const struct mu_pod_term term = away_in_zone();
    const struct mu_label label = {MU_STR("app"), MU_STR("a")};
    const struct mu_host_port port = {MU_STR("0.0.0.0"), MU_PROTOCOL_TCP, 80};
    struct mu_pod_object opener =
        pod_of("opener", "node-0", 999); /* a first rule: books are kept */
    struct mu_pod_object early = pod_of("early", "", 1000);
    struct mu_pod_object guard = pod_of("guard", "node-1", 1001);
    struct mu_pod_object asker = pod_of("asker", "", 1002);
    opener.ports = &port;
    opener.port_count = 1;
    early.phase = asker.phase = MU_POD_PENDING;
    early.labels = &label;
    early.label_count = 1;
    guard.terms = asker.terms = &term;
    guard.term_count = asker.term_count = 1;
    assert_int_equal(mu_db_pod_upsert(r.db, &opener, 0, NULL), 0);
    assert_int_equal(mu_db_pod_upsert(r.db, &early, 0, NULL), 0);
    bring_up(&r);
    struct mu_session *session = mu_session_create(&(struct mu_session_config){.profile = NULL});
    const struct mu_plan *plan;
    struct mu_error why = {.code = 0};
    assert_int_equal(mu_session_run(session, r.snapshot, 1, &plan), 0);
    assert_int_equal(plan->gang_count, 1);
    r.db->books->edges.max = 1; /* the guard's term matches its own kin, and early's no more */
    assert_int_equal(mu_db_pod_upsert(r.db, &guard, 0, NULL), 0);
    assert_int_equal(mu_db_admit(r.db, &plan->gangs[0], &why), MU_ECONFLICT);
    assert_non_null(strstr(why.text, "cannot be judged"));
    assert_int_equal(mu_db_pod_upsert(r.db, &asker, 0, NULL), 0);
    bring_up(&r);
    struct mu_place *place = mu_place_create(&mu_profile_default, NULL);
    assert_non_null(place);
    for (uint32_t node = 0; node < 2; node++) {
        assert_int_equal(verdict_on(&r, place, &early, node), MU_NO_EXISTING_ANTI_AFFINITY);
        assert_int_equal(verdict_on(&r, place, &asker, node), MU_NO_ANTI_AFFINITY);
    }
    struct mu_db_counts counts;
    mu_db_counts(r.db, &counts);
    assert_true(counts.limit_reduced > 0);
    mu_place_destroy(place);
    mu_session_destroy(session);
    close_rig(&r);
}

/* Spread constraints that differ in their skew alone are answered from one census, each by its own
 * limit; what is remembered of them is bounded. */
static void test_terms_verdict__more_skews_than_views__each_by_its_own_limit(void **state)
{
    (void)state;
    enum { SKEWS = 2 * MU_VIEWS_PER_CENSUS, THERE = 20 };
    struct rig r;
    open_zones(&r, "a", "b");
    const struct mu_label label = {MU_STR("app"), MU_STR("a")};
    const struct mu_str value = MU_STR("a");
    const struct mu_requirement requirement = {MU_STR("app"), MU_OP_IN, &value, 1};
    char names[SKEWS + THERE][16];
    for (uint32_t i = 0; i < SKEWS + THERE; i++) {
        (void)snprintf(names[i], sizeof names[i], "pod-%u", i);
        const struct mu_spread spread = {
            .topology_key = MU_STR("zone"),
            .selector = {.requirements = &requirement, .requirement_count = 1},
            .max_skew = 1 + (int32_t)i,
            .min_domains = 1,
            .hard = true};
        struct mu_pod_object pod = pod_of(names[i], i < SKEWS ? "" : "node-0", 1000);
        pod.labels = &label;
        pod.label_count = 1;
        pod.spreads = &spread;
        pod.spread_count = i < SKEWS;
        pod.phase = i < SKEWS ? MU_POD_PENDING : MU_POD_RUNNING;
        assert_int_equal(mu_db_pod_upsert(r.db, &pod, 0, NULL), 0);
    }
    bring_up(&r);
    struct mu_terms *terms = mu_terms_create();
    assert_non_null(terms);
    mu_terms_begin(terms, r.snapshot);
    uint64_t bytes = 0;
    for (uint32_t round = 0; round < 3; round++) {
        if (round == 2) { /* as if they took more than they may: all are made anew */
            terms->views[0].bytes += MU_VIEW_BYTES_MAX;
            terms->view_bytes += MU_VIEW_BYTES_MAX;
            terms->views[1].domain_cap = 0;
        }
        for (uint32_t i = 0; i < SKEWS; i++) {
            /* node-0 has 20 of them, node-1 none: this one would be the 21st. */
            struct mu_pod_object pod = pod_of(names[i], "", 1000);
            struct mu_place_pod member;
            enum mu_verdict_kind kind;
            assert_true(member_of(&r, &pod, &member));
            for (uint32_t n = 0; n < 2; n++) {
                assert_int_equal(mu_terms_verdict(terms, member.class_ix, member.kin,
                                                  row_of(&r, &r.world.nodes[n]), &kind),
                                 0);
                bool fits = n == 1 || 1 + i >= THERE + 1;
                assert_int_equal(kind, fits ? MU_FITS : MU_NO_SPREAD);
            }
        }
        assert_int_equal(terms->view_count, MU_VIEWS_PER_CENSUS);
        bytes = round == 0 ? terms->view_bytes : bytes;
        assert_true(terms->view_bytes == bytes && bytes > 0);
    }
    mu_terms_end(terms);
    mu_terms_destroy(terms);
    close_rig(&r);
}

/* What is remembered of a pod that rules keep from every node does not show in what is said of
 * room, which leaves them out. */
static void test_place_short__rules_refuse_everywhere__says_the_same_later(void **state)
{
    (void)state;
    struct rig r;
    open_zones(&r, "a", "a");
    const struct mu_pod_term term = away_in_zone();
    const struct mu_pod_object there = pod_of("there", "node-1", 1000);
    struct mu_pod_object waits = pod_of("waits", "", 1001);
    struct mu_place_pod member;
    struct mu_node_ix node;
    waits.phase = MU_POD_PENDING;
    waits.terms = &term;
    waits.term_count = 1;
    assert_int_equal(mu_db_pod_upsert(r.db, &there, 0, NULL), 0);
    assert_int_equal(mu_db_pod_upsert(r.db, &waits, 0, NULL), 0);
    bring_up(&r);
    assert_true(member_of(&r, &waits, &member));
    struct mu_place *place = mu_place_create(&mu_profile_default, NULL);
    for (int session = 0; session < 2; session++) {
        bool is_short = true;
        mu_place_begin(place, r.snapshot);
        for (int i = 0; i < 2; i++) {
            assert_int_equal(mu_place_short(place, member, 1, &is_short), 0);
            assert_false(is_short);
            assert_int_equal(mu_place_pick(place, member, &node), 0);
            assert_int_equal(node.v, MU_NONE);
        }
        mu_place_end(place);
    }
    mu_place_destroy(place);
    close_rig(&r);
}

/* Pods of one class that other rules refuse for what their labels are: each gang is told of its
 * own. */
static void test_session_run__one_class_other_labels__each_its_own_reasons(void **state)
{
    (void)state;
    struct rig r;
    open_zones(&r, "a", "b");
    const struct mu_label labels[] = {{MU_STR("app"), MU_STR("a")}, {MU_STR("app"), MU_STR("b")}};
    const struct mu_str value = MU_STR("b"), own = MU_STR("ns-0");
    const struct mu_requirement requirement = {MU_STR("app"), MU_OP_IN, &value, 1};
    struct mu_pod_term terms[2];
    for (int t = 0; t < 2; t++)
        terms[t] =
            (struct mu_pod_term){.kind = t == 0 ? MU_TERM_AFFINITY : MU_TERM_ANTI_AFFINITY,
                                 .topology_key = MU_STR("zone"),
                                 .selector = {.requirements = &requirement, .requirement_count = 1},
                                 .namespaces = &own,
                                 .namespace_count = 1};
    const char *const names[] = {"waits-a", "waits-b", "guard-0", "guard-1"};
    for (uint32_t i = 0; i < 4; i++) {
        struct mu_pod_object pod = pod_of(names[i],
                                          i == 2   ? "node-0"
                                          : i == 3 ? "node-1"
                                                   : "",
                                          1000 + i);
        pod.terms = &terms[i / 2]; /* near one like b; no b near the guards */
        pod.term_count = 1;
        pod.labels = i < 2 ? &labels[i] : NULL;
        pod.label_count = i < 2;
        pod.phase = i < 2 ? MU_POD_PENDING : MU_POD_RUNNING;
        assert_int_equal(mu_db_pod_upsert(r.db, &pod, 0, NULL), 0);
    }
    bring_up(&r);
    struct mu_session *session = mu_session_create(&(struct mu_session_config){.profile = NULL});
    const struct mu_plan *plan;
    for (int again = 0; again < 2; again++) {
        assert_int_equal(mu_session_run(session, r.snapshot, 1, &plan), 0);
        assert_int_equal(plan->wait_count, 2);
        assert_int_equal(plan->waits[0].class_ix.v, plan->waits[1].class_ix.v);
        assert_int_equal(plan->waits[0].nodes_by_verdict[MU_NO_POD_AFFINITY], 2);
        assert_int_equal(plan->waits[0].nodes_by_verdict[MU_NO_EXISTING_ANTI_AFFINITY], 0);
        assert_int_equal(plan->waits[1].nodes_by_verdict[MU_NO_POD_AFFINITY], 0);
        assert_int_equal(plan->waits[1].nodes_by_verdict[MU_NO_EXISTING_ANTI_AFFINITY], 2);
    }
    mu_session_destroy(session);
    close_rig(&r);
}

/* Replicas that rules keep from every node are told why at the cost of one of them. */
static void test_session_run__replicas_that_wait__explained_once(void **state)
{
    (void)state;
    enum { WAITING = 20 };
    struct rig r;
    open_zones(&r, "a", "a");
    const struct mu_pod_term term = away_in_zone();
    const struct mu_pod_object there = pod_of("there", "node-1", 1000);
    char names[WAITING][16];
    assert_int_equal(mu_db_pod_upsert(r.db, &there, 0, NULL), 0);
    for (uint32_t i = 0; i < WAITING; i++) {
        (void)snprintf(names[i], sizeof names[i], "waits-%u", i);
        struct mu_pod_object pod = pod_of(names[i], "", 1001 + i);
        pod.phase = MU_POD_PENDING;
        pod.terms = &term;
        pod.term_count = 1;
        assert_int_equal(mu_db_pod_upsert(r.db, &pod, 0, NULL), 0);
    }
    bring_up(&r);
    struct mu_session *session = mu_session_create(&(struct mu_session_config){.profile = NULL});
    struct mu_place_counts counts;
    const struct mu_plan *plan;
    for (uint64_t run = 1; run <= 2; run++) {
        assert_int_equal(mu_session_run(session, r.snapshot, 1, &plan), 0);
        assert_int_equal(plan->wait_count, WAITING);
        for (uint32_t w = 0; w < WAITING; w++)
            assert_int_equal(plan->waits[w].nodes_by_verdict[MU_NO_ANTI_AFFINITY], 2);
        mu_session_counts(session, &counts);
        assert_int_equal(counts.rows_explained, 2 * run);
    }
    mu_session_destroy(session);
    close_rig(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_place_verdict__random_worlds__as_the_naive_rules),
        cmocka_unit_test(test_place_put__one_after_the_other__each_by_the_rules),
        cmocka_unit_test(test_session_run__random_worlds__binds_keep_all_rules),
        cmocka_unit_test(test_session_run__preferences_over_many_keys__rules_are_judged),
        cmocka_unit_test(test_session_run__too_many_topology_keys__those_beyond_wait),
        cmocka_unit_test(test_place_verdict__key_asked_for_again__domains_as_they_are_now),
        cmocka_unit_test(test_place_verdict__number_of_another_census__nothing_is_left_of_it),
        cmocka_unit_test(test_db_admit__preference_that_cannot_be_judged__is_none),
        cmocka_unit_test(test_session_run__table_of_matches_full__nobody_is_let_through),
        cmocka_unit_test(test_terms_verdict__more_skews_than_views__each_by_its_own_limit),
        cmocka_unit_test(test_place_short__rules_refuse_everywhere__says_the_same_later),
        cmocka_unit_test(test_session_run__one_class_other_labels__each_its_own_reasons),
        cmocka_unit_test(test_session_run__replicas_that_wait__explained_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
