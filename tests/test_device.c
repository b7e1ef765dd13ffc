/*
 * Devices that are tracked one by one: the rules on one row, then the whole engine - nodes that
 * begin and cease to be tracked, plans, ledger, bound pods with sound, absent and hostile lists of
 * devices - against a naive twin, which computes what every device has left anew from its own pods.
 * The seed of a failure is printed.
 */
#include "tests/db_fixture.h"

#include "engine/base/random.h"
#include "engine/db/db_priv.h"
#include "engine/device.h"
#include "engine/place/profile.h"
#include "engine/session/session.h"
#include "tests/mu_test.h"

/* --- one row -------------------------------------------------------------------------------- */

static const struct mu_device_ask half = {1, 500}, two = {2, 1000};

static void test_device_choose__several_suffice__best_fit_then_lowest(void **state)
{
    (void)state;
    struct mu_device_row row;
    mu_device_init(&row, 4, 5, true);
    assert_int_equal(mu_device_choose(&row, half), 1u << 0);
    mu_device_take(&row, (struct mu_device_ask){1, 300}, 1u << 2);
    mu_device_take(&row, (struct mu_device_ask){1, 300}, 1u << 3);
    assert_int_equal(mu_device_choose(&row, half), 1u << 2);
    assert_int_equal(mu_device_choose(&row, two), 1u << 0 | 1u << 1);
    assert_int_equal(mu_device_most_left(&row), 1000);
    assert_int_equal(mu_device_whole_free(&row), 2);
    row.flags = 0;
    assert_int_equal(mu_device_whole_free(&row), 0);
}

static void test_device_choose__none_suffices__most_left_first(void **state)
{
    (void)state;
    struct mu_device_row row;
    mu_device_init(&row, 3, 5, true);
    mu_device_take(&row, (struct mu_device_ask){1, 900}, 1u << 0);
    mu_device_take(&row, (struct mu_device_ask){1, 600}, 1u << 1);
    mu_device_take(&row, (struct mu_device_ask){1, 600}, 1u << 2);
    assert_int_equal(mu_device_choose(&row, half), 1u << 1);
    assert_int_equal(mu_device_choose(&row, (struct mu_device_ask){9, 1000}), 7);
    assert_false(mu_device_fits(&row, half, 1u << 1));
    assert_true(mu_device_fits(&row, (struct mu_device_ask){1, 400}, 1u << 1));
}

static void test_device_take__more_than_left__saturates_and_says_so(void **state)
{
    (void)state;
    struct mu_device_row row;
    mu_device_init(&row, 2, 5, true);
    mu_device_take(&row, half, 1);
    assert_int_equal(row.flags & MU_DEVICE_OVER, 0);
    mu_device_take(&row, (struct mu_device_ask){1, 600}, 1);
    assert_int_equal(row.left[0], 0);
    assert_int_not_equal(row.flags & MU_DEVICE_OVER, 0);
    mu_device_take(&row, (struct mu_device_ask){17, 1000}, 3);
    assert_int_equal(row.left[1], 0);
}

static void test_device_answers__hostile_sets__refused(void **state)
{
    (void)state;
    struct mu_device_row row;
    mu_device_init(&row, 3, 5, true);
    assert_true(mu_device_answers(&row, two, 5));
    assert_false(mu_device_answers(&row, two, 1));
    assert_false(mu_device_answers(&row, two, 7));
    assert_false(mu_device_answers(&row, half, 0));
    assert_false(mu_device_answers(&row, half, 1u << 3));
    assert_false(mu_device_answers(&row, half, UINT64_C(1) << 63));
    assert_true(mu_device_answers(&row, (struct mu_device_ask){17, 1000}, 7));
    assert_false(mu_device_fits(&row, (struct mu_device_ask){17, 1000}, 7));
}

/* --- the twin ------------------------------------------------------------------------------- */

enum { NODES = 5, PODS = 40, STEPS = 2500, SEEDS = 12 };

struct twin_node {
    bool present, whole;
    uint32_t count;
    uint64_t version;
};
struct twin_pod {
    bool exists, bound, terminal, charged;
    uint32_t uid;
    uint64_t version, seq; /* seq: of its place in the node's list, latest first */
    int node;              /* -1: none */
    enum mu_ledger_state ledger;
    int64_t share, whole;
    uint32_t devices;
};
struct twin {
    struct mu_db *db;
    struct mu_snapshot *s;
    struct mu_session *session;
    struct mu_random random;
    struct twin_node nodes[NODES];
    struct twin_pod pods[PODS];
    uint64_t version, seq;
    uint32_t uid, admitted, refused, waited;
    char uids[PODS][40];
};

static uint32_t below(struct twin *t, uint32_t bound)
{
    return (uint32_t)mu_random_below(&t->random, bound);
}
static bool chance(struct twin *t, uint32_t permille)
{
    return mu_random_chance(&t->random, permille);
}
static uint32_t bits(uint32_t set)
{
    return (uint32_t)__builtin_popcount(set);
}

/* Devices wanted of a node, 0 where it is not tracked or none are; and of each. */
static uint32_t twin_wants(const struct twin_node *n, const struct twin_pod *p, uint32_t *millis)
{
    *millis = 1000;
    if (!n->present || n->count == 0 || p->share + p->whole == 0)
        return 0;
    if (p->whole == 0 && p->share <= 1000)
        *millis = (uint32_t)p->share;
    return (uint32_t)(p->whole + (p->share + 999) / 1000);
}
static bool twin_answers(const struct twin_node *n, uint32_t wants, uint32_t devices)
{
    return devices < 1u << n->count && bits(devices) == (wants < n->count ? wants : n->count);
}
/* What each device has left; `but`: a pod to leave out. */
static void twin_left(const struct twin *t, int node, int but, int32_t *left)
{
    for (uint32_t i = 0; i < MU_DEVICES_PER_NODE; i++)
        left[i] = i < t->nodes[node].count ? 1000 : 0;
    for (int i = 0; i < PODS; i++) {
        const struct twin_pod *p = &t->pods[i];
        uint32_t millis;
        if (i == but || !p->exists || !p->charged || p->node != node ||
            twin_wants(&t->nodes[node], p, &millis) == 0)
            continue;
        for (uint32_t d = 0; d < t->nodes[node].count; d++)
            if ((p->devices >> d & 1) != 0)
                left[d] = left[d] < (int32_t)millis ? 0 : left[d] - (int32_t)millis;
    }
}
static uint32_t twin_choose(const struct twin_node *n, const int32_t *left, uint32_t wants,
                            int32_t millis)
{
    uint32_t set = 0;
    for (; wants > 0 && bits(set) < n->count; wants--) {
        int best = -1;
        for (int32_t want = millis; want <= 1000 && best < 0; want++) /* the tightest */
            for (uint32_t d = 0; d < n->count && best < 0; d++)
                if ((set >> d & 1) == 0 && left[d] == want)
                    best = (int)d;
        for (int32_t have = millis - 1; have >= 0 && best < 0; have--)
            for (uint32_t d = 0; d < n->count && best < 0; d++)
                if ((set >> d & 1) == 0 && left[d] == have)
                    best = (int)d;
        set |= 1u << best;
    }
    return set;
}

static void twin_give_devices(struct twin *t, int i)
{
    struct twin_pod *p = &t->pods[i];
    const struct twin_node *n = &t->nodes[p->node];
    uint32_t millis, wants = twin_wants(n, p, &millis);
    int32_t left[MU_DEVICES_PER_NODE];
    if (wants == 0 || twin_answers(n, wants, p->devices))
        return;
    twin_left(t, p->node, i, left);
    p->devices = twin_choose(n, left, wants, (int32_t)millis);
}

static void twin_place(struct twin *t, int i, int node, bool charged, uint32_t devices)
{
    struct twin_pod *p = &t->pods[i];
    if (p->node == node && p->charged == charged && p->devices == devices)
        return;
    p->node = node;
    p->charged = charged;
    p->devices = devices;
    p->seq = ++t->seq;
    if (charged)
        twin_give_devices(t, i);
}

/* The node is tracked in another way: what answers stays, the others are served in list order. */
static void twin_retrack(struct twin *t, int node)
{
    bool waits[PODS] = {false};
    for (int i = 0; i < PODS; i++) {
        struct twin_pod *p = &t->pods[i];
        uint32_t millis, wants = twin_wants(&t->nodes[node], p, &millis);
        if (!p->exists || p->node != node || !p->charged || wants == 0 ||
            twin_answers(&t->nodes[node], wants, p->devices))
            continue;
        waits[i] = true;
        p->charged = false;
    }
    for (;;) {
        int next = -1;
        for (int i = 0; i < PODS; i++)
            if (waits[i] && (next < 0 || t->pods[i].seq > t->pods[next].seq))
                next = i;
        if (next < 0)
            return;
        waits[next] = false;
        twin_give_devices(t, next);
        t->pods[next].charged = true;
    }
}

/* --- events --------------------------------------------------------------------------------- */

static const char *node_name(int node)
{
    static const char *const names[NODES] = {"node-0", "node-1", "node-2", "node-3", "node-4"};
    return names[node];
}

static void put_node(struct twin *t)
{
    int node = (int)below(t, NODES);
    struct twin_node *n = &t->nodes[node];
    struct fixture_node object;
    uint32_t counts[] = {0, 1, 2, 4, 4, 8};
    if (n->present && chance(t, 200)) {
        assert_int_equal(mu_db_node_remove(t->db, mu_str_of(node_name(node)), MU_STR("")), 0);
        n->present = false;
        return;
    }
    struct twin_node before = *n;
    *n = (struct twin_node){true, chance(t, 700), counts[below(t, 6)], ++t->version};
    fixture_node(&object, node_name(node), n->version, 64, n->count == 0 ? 4 : n->count);
    object.object.device_resource = MU_STR("example.com/gpu");
    object.object.device_count = n->count;
    object.object.devices_whole = n->whole;
    assert_int_equal(mu_db_node_upsert(t->db, &object.object, 0, NULL), 0);
    bool same =
        before.present && before.count == n->count && (n->count == 0 || before.whole == n->whole);
    if (!same && n->count != 0)
        twin_retrack(t, node);
}

static void send_pod(struct twin *t, int i, uint64_t named)
{
    struct twin_pod *p = &t->pods[i];
    struct fixture_pod object;
    fixture_pod(&object, p->uid, p->version = ++t->version);
    struct mu_amount requests[] = {{MU_STR("cpu"), 100},
                                   {MU_STR("example.com/gpu"), p->whole},
                                   {MU_STR(MU_GPU_SHARE_RESOURCE), p->share}};
    object.object.requests = requests;
    object.object.request_count = 3;
    object.object.devices = named;
    object.object.phase = p->terminal ? MU_POD_SUCCEEDED : MU_POD_PENDING;
    if (p->bound)
        object.object.node_name = mu_str_of(node_name(p->node));
    fixture_put(t->db, &object, 0);
    (void)snprintf(t->uids[i], sizeof t->uids[i], "%s", object.uid);
}

static void new_pod(struct twin *t)
{
    int i = (int)below(t, PODS);
    struct twin_pod *p = &t->pods[i];
    static const int64_t shares[] = {1, 200, 300, 500, 500, 700, 1000, 1500};
    static const int64_t wholes[] = {1, 1, 2, 4, 9};
    if (p->exists) {
        struct fixture_pod object;
        fixture_pod(&object, p->uid, 0);
        assert_int_equal(
            mu_db_pod_remove(t->db, object.object.ns, object.object.name, MU_STR(""), 0), 0);
        *p = (struct twin_pod){.node = -1};
        return;
    }
    *p = (struct twin_pod){.exists = true, .uid = ++t->uid, .node = -1};
    uint32_t kind = below(t, 10);
    if (kind < 6)
        p->share = shares[below(t, 8)];
    if (kind == 5 || kind == 6 || kind == 7)
        p->whole = wholes[below(t, 5)];
    send_pod(t, i, 0);
}

/* Somebody binds the pod, or our bind is seen: with devices, without, or with nonsense. */
static void bind_pod(struct twin *t)
{
    int i = (int)below(t, PODS);
    struct twin_pod *p = &t->pods[i];
    if (!p->exists || p->terminal)
        return;
    uint64_t named = 0;
    int node = p->node >= 0 ? p->node : (int)below(t, NODES);
    if (p->ledger != MU_LEDGER_NONE && chance(t, 700))
        named = p->devices;
    else if (chance(t, 600))
        named = chance(t, 700) ? UINT64_C(1) << below(t, 8) : mu_random_u64(&t->random) >> 44;
    p->terminal = p->bound && chance(t, 300);
    uint32_t devices = named <= UINT16_MAX ? (uint32_t)named : 0;
    uint32_t millis, wants = twin_wants(&t->nodes[node], p, &millis);
    bool usable = devices != 0 && (wants == 0 || twin_answers(&t->nodes[node], wants, devices));
    if (!usable && p->node == node)
        devices = p->devices;
    p->bound = true;
    p->ledger = MU_LEDGER_NONE;
    twin_place(t, i, node, !p->terminal, devices);
    send_pod(t, i, named);
}

static void outcome(struct twin *t)
{
    int i = (int)below(t, PODS);
    struct twin_pod *p = &t->pods[i];
    if (!p->exists || p->ledger == MU_LEDGER_NONE)
        return;
    bool hold = chance(t, 600);
    mu_db_bind_refused(t->db, fixture_uid(t->db, t->uids[i]), hold);
    p->ledger = hold ? MU_LEDGER_HELD : MU_LEDGER_NONE;
    if (!hold)
        twin_place(t, i, -1, false, 0);
}

static int pod_of(const struct twin *t, struct mu_uid uid)
{
    for (int i = 0; i < PODS; i++)
        if (t->pods[i].exists && mu_uid_equal(fixture_uid(t->db, t->uids[i]), uid))
            return i;
    return -1;
}

/* True when the pod fits with these devices, its own held room given back. */
static bool twin_fits(const struct twin *t, int i, int node, uint64_t devices)
{
    const struct twin_node *n = &t->nodes[node];
    const struct twin_pod *p = &t->pods[i];
    uint32_t millis, wants = twin_wants(n, p, &millis);
    int32_t left[MU_DEVICES_PER_NODE], held[MU_DEVICES_PER_NODE];
    if (wants == 0)
        return devices == 0;
    if (wants > n->count || devices >> n->count != 0 || bits((uint32_t)devices) != wants)
        return false;
    twin_left(t, node, -1, left);
    twin_left(t, node, i, held);
    for (uint32_t d = 0; d < n->count; d++)
        if ((devices >> d & 1) != 0 && held[d] < (int32_t)millis)
            return false;
    return true;
}

/* Any device, or set of whole ones, that would do; and whole ones where they may be taken. */
static bool twin_fits_any(const struct twin *t, int i, int node)
{
    const struct twin_node *n = &t->nodes[node];
    const struct twin_pod *p = &t->pods[i];
    uint32_t millis, wants = twin_wants(n, p, &millis);
    int32_t left[MU_DEVICES_PER_NODE];
    if (!n->present || (p->share > 0 && n->count == 0) || p->share > 1000)
        return false;
    if (wants == 0)
        return p->whole == 0; /* untracked: whole ones by count, not looked at here */
    twin_left(t, node, -1, left);
    uint32_t room = 0;
    for (uint32_t d = 0; d < n->count; d++)
        room += left[d] >= (int32_t)millis;
    return room >= wants && (p->whole == 0 || n->whole);
}

static void run_session(struct twin *t)
{
    const struct mu_plan *plan;
    bool changed = false, moved = false; /* a bind by us; off held room, which is free again then */
    fixture_sync(t->db, t->s);
    assert_int_equal(mu_session_run(t->session, t->s, 0, &plan), 0);
    for (uint32_t g = 0; g < plan->gang_count; g++) {
        struct mu_plan_bind bind = plan->gangs[g].binds[0];
        struct mu_plan_gang gang = plan->gangs[g];
        struct mu_str name = mu_db_node_name(t->db, bind.node);
        int node = name.data[name.len - 1] - '0', i = pod_of(t, bind.uid);
        assert_int_equal(gang.bind_count, 1);
        assert_true(i >= 0 && (t->pods[i].share == 0 || t->pods[i].whole == 0));
        assert_true(changed || twin_fits(t, i, node, bind.devices));
        moved |= t->pods[i].ledger == MU_LEDGER_HELD;
        if (chance(t, 100))
            bind.devices = chance(t, 500) ? UINT64_C(1) << below(t, 8) : below(t, 512);
        changed |= bind.devices != plan->gangs[g].binds[0].devices;
        bool expected = twin_fits(t, i, node, bind.devices);
        gang.binds = &bind;
        int rc = mu_db_admit(t->db, &gang, NULL);
        assert_int_equal(rc, expected ? 0 : MU_ECONFLICT);
        t->admitted += rc == 0;
        t->refused += rc != 0;
        if (rc != 0)
            continue;
        t->pods[i].ledger = MU_LEDGER_IN_FLIGHT;
        twin_place(t, i, node, true, (uint32_t)bind.devices);
    }
    for (uint32_t w = 0; w < plan->wait_count && !changed && !moved; w++) {
        if (plan->waits[w].kind != MU_WAIT_NO_FIT)
            continue;
        struct mu_uid uid = t->s->gangs[plan->waits[w].gang.v].block->members[0].uid;
        int i = pod_of(t, uid);
        for (int node = 0; node < NODES && i >= 0; node++)
            assert_false(twin_fits_any(t, i, node));
        t->waited++;
    }
}

static void check(struct twin *t)
{
    fixture_sync(t->db, t->s);
    for (int node = 0; node < NODES; node++) {
        const struct twin_node *n = &t->nodes[node];
        uint32_t row = fixture_row(t->db, t->s, node_name(node));
        int32_t left[MU_DEVICES_PER_NODE], most = 0, whole = 0;
        if (!n->present || t->s->devices == NULL)
            continue;
        const struct mu_device_row *shown = &t->s->devices[row];
        assert_int_equal(shown->count, n->count);
        twin_left(t, node, -1, left);
        for (uint32_t d = 0; d < MU_DEVICES_PER_NODE && n->count != 0; d++) {
            assert_int_equal(shown->left[d], left[d]);
            most = left[d] > most ? left[d] : most;
            whole += left[d] == 1000;
        }
        if (n->count == 0)
            continue;
        assert_int_equal(t->s->free[t->s->share_resource][row], most);
        assert_int_equal(mu_snapshot_alloc(t->s, t->s->share_resource, row), 1000);
        assert_int_equal(t->s->free[shown->resource][row], n->whole ? whole : 0);
        assert_int_equal(mu_snapshot_alloc(t->s, shown->resource, row), n->whole ? n->count : 0);
    }
    assert_int_equal(mu_db_audit_step(t->db, 1000), 0);
}

static void test_device_engine__random_events__as_the_twin(void **state)
{
    (void)state;
    uint32_t admitted = 0, refused = 0, waited = 0;
    uint64_t conflicts = 0;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        static struct twin t;
        print_message("seed %d\n", (int)seed);
        memset(&t, 0, sizeof t);
        mu_random_init_seed(&t.random, seed);
        for (int i = 0; i < PODS; i++)
            t.pods[i].node = -1;
        t.db = fixture_create(0);
        t.s = mu_db_replica_create(t.db);
        struct mu_session_config config = {.profile = mu_profile_find(MU_STR("pack"))};
        t.session = mu_session_create(&config);
        assert_true(t.db != NULL && t.s != NULL && t.session != NULL);
        for (int step = 0; step < STEPS; step++) {
            uint32_t kind = below(&t, 100);
            if (kind < 6)
                put_node(&t);
            else if (kind < 50)
                new_pod(&t);
            else if (kind < 70)
                bind_pod(&t);
            else if (kind < 80)
                outcome(&t);
            else
                run_session(&t);
            check(&t);
        }
        admitted += t.admitted;
        refused += t.refused;
        waited += t.waited;
        struct mu_db_counts counts;
        mu_db_counts(t.db, &counts);
        conflicts += counts.device_conflicts;
        mu_session_destroy(t.session);
        mu_db_destroy(t.db);
    }
    print_message("admitted %u, refused %u, waited %u, conflicts %u\n", admitted, refused, waited,
                  (unsigned)conflicts);
    assert_true(admitted > 1000 && refused > 100 && waited > 1000 && conflicts > 100);
}

/* --- gangs, memory, audit ------------------------------------------------------------------- */

static void put_sharing_node(struct mu_db *db, const char *name, uint32_t devices, bool whole)
{
    struct fixture_node n;
    fixture_node(&n, name, 1, 64, devices);
    n.object.device_resource = MU_STR("example.com/gpu");
    n.object.device_count = devices;
    n.object.devices_whole = whole;
    assert_int_equal(mu_db_node_upsert(db, &n.object, 0, NULL), 0);
}

static void put_share(struct mu_db *db, uint32_t number, int64_t millis, uint32_t gang_size)
{
    struct fixture_pod p;
    fixture_pod(&p, number, 1);
    p.amounts[0] = (struct mu_amount){MU_STR("cpu"), 100};
    p.amounts[1] = (struct mu_amount){MU_STR(MU_GPU_SHARE_RESOURCE), millis};
    if (gang_size != 0)
        fixture_gang(&p, "gang", gang_size);
    fixture_put(db, &p, 0);
}

static const struct mu_plan *plan_of(struct mu_db *db, struct mu_snapshot *s,
                                     struct mu_session *session)
{
    const struct mu_plan *plan;
    fixture_sync(db, s);
    assert_int_equal(mu_session_run(session, s, 0, &plan), 0);
    return plan;
}

static void test_device_gang__shares_fill_all_devices__placed_whole_or_not(void **state)
{
    (void)state;
    struct mu_db *db = fixture_create(0);
    struct mu_snapshot *s = mu_db_replica_create(db);
    struct mu_session *session = mu_session_create(
        &(struct mu_session_config){.profile = mu_profile_find(MU_STR("spread"))});
    put_sharing_node(db, "a", 2, false);
    put_sharing_node(db, "b", 1, false);
    for (uint32_t i = 0; i < 7; i++)
        put_share(db, i, 500, 7);
    assert_int_equal(plan_of(db, s, session)->gang_count, 0); /* 6 halves is all there is */
    struct fixture_pod p;
    fixture_pod(&p, 6, 1);
    assert_int_equal(mu_db_pod_remove(db, p.object.ns, p.object.name, MU_STR(""), 0), 0);
    for (uint32_t i = 0; i < 6; i++) {
        struct fixture_pod again;
        fixture_pod(&again, i, 2);
        again.amounts[0] = (struct mu_amount){MU_STR("cpu"), 100};
        again.amounts[1] = (struct mu_amount){MU_STR(MU_GPU_SHARE_RESOURCE), 500};
        fixture_gang(&again, "gang", 6);
        fixture_put(db, &again, 0);
    }
    const struct mu_plan *plan = plan_of(db, s, session);
    assert_int_equal(plan->gang_count, 1);
    assert_int_equal(plan->gangs[0].bind_count, 6);
    for (uint32_t i = 0; i < 6; i++)
        assert_int_equal(bits((uint32_t)plan->gangs[0].binds[i].devices), 1);
    assert_int_equal(mu_db_admit(db, &plan->gangs[0], NULL), 0);
    fixture_sync(db, s);
    assert_int_equal(s->free[s->share_resource][fixture_row(db, s, "a")], 0);
    assert_int_equal(s->free[s->share_resource][fixture_row(db, s, "b")], 0);
    mu_session_destroy(session);
    mu_db_destroy(db);
}

static void test_device_db__both_whole_and_share__never_placed(void **state)
{
    (void)state;
    struct mu_db *db = fixture_create(0);
    struct fixture_pod p;
    fixture_pod(&p, 1, 1);
    p.amounts[1] = (struct mu_amount){MU_STR(MU_GPU_SHARE_RESOURCE), 500};
    p.amounts[2].value = 1;
    p.object.request_count = 3;
    fixture_put(db, &p, 0);
    assert_int_equal(fixture_find(db, 1).unbuilt, MU_RULE_DEVICES);
    mu_db_destroy(db);
}

static void test_device_db__node_that_cannot_be_tracked__offers_no_devices(void **state)
{
    (void)state;
    struct mu_db *db = fixture_create(0);
    struct mu_snapshot *s = mu_db_replica_create(db);
    struct fixture_node n;
    struct mu_db_counts counts;
    fixture_node(&n, "many", 1, 64, 17);
    n.object.device_resource = MU_STR("example.com/gpu");
    n.object.device_count = 17;
    n.object.devices_whole = true;
    assert_int_equal(mu_db_node_upsert(db, &n.object, 0, NULL), 0);
    fixture_sync(db, s);
    mu_db_counts(db, &counts);
    assert_int_equal(counts.limit_reduced, 1);
    for (uint32_t r = MU_RES_EXTENDED; r < s->resource_count; r++)
        assert_int_equal(s->free[r][fixture_row(db, s, "many")], 0);
    mu_db_destroy(db);
}

static void test_device_db__no_memory__changes_nothing(void **state)
{
    (void)state;
    for (uint64_t nth = 1;; nth++) {
        struct mu_db *db = fixture_create(0);
        struct fixture_node n;
        fixture_node(&n, "a", 1, 64, 2);
        assert_int_equal(mu_db_node_upsert(db, &n.object, 0, NULL), 0);
        fixture_node(&n, "a", 2, 64, 2);
        n.object.device_resource = MU_STR("example.com/gpu");
        n.object.device_count = 2;
        mu_mem_debug_set((struct mu_mem_debug){.fail_nth = nth});
        int rc = mu_db_node_upsert(db, &n.object, 0, NULL);
        mu_mem_debug_set((struct mu_mem_debug){.fail_nth = 0});
        struct mu_snapshot *s = mu_db_replica_create(db);
        fixture_sync(db, s);
        uint32_t row = fixture_row(db, s, "a");
        assert_int_equal(s->devices != NULL && s->devices[row].count == 2, rc == 0);
        assert_int_equal(s->free[MU_RES_EXTENDED][row], rc == 0 ? 0 : 2);
        assert_int_equal(mu_db_audit_step(db, 64), 0);
        mu_db_destroy(db);
        if (rc == 0)
            break;
        assert_int_equal(rc, MU_ENOMEM);
    }
}

/* The node comes to have `count` devices, of which so much is left. */
static void check_resized(struct mu_db *db, struct mu_snapshot *s, uint64_t version, uint32_t count,
                          const uint16_t left[4])
{
    struct fixture_node n;
    fixture_node(&n, "a", version, 64, count);
    n.object.device_resource = MU_STR("example.com/gpu");
    n.object.device_count = count;
    n.object.devices_whole = true;
    assert_int_equal(mu_db_node_upsert(db, &n.object, 0, NULL), 0);
    fixture_sync(db, s);
    const struct mu_device_row *row = &s->devices[fixture_row(db, s, "a")];
    assert_int_equal(row->count, count);
    for (uint32_t i = 0; i < 4; i++)
        assert_int_equal(row->left[i], left[i]);
    assert_int_equal(mu_db_audit_step(db, 64), 0);
}

/* Devices go and come under pods that have some: who loses its own is given another, and keeps
 * it. */
static void test_device_db__fewer_devices_under_bound_pods__others_given(void **state)
{
    (void)state;
    struct mu_db *db = fixture_create(0);
    struct mu_snapshot *s = mu_db_replica_create(db);
    struct mu_db_counts counts;
    check_resized(db, s, 1, 4, (const uint16_t[4]){1000, 1000, 1000, 1000});
    for (uint32_t i = 0; i < 2; i++) {
        struct fixture_pod p;
        fixture_pod(&p, i, 1);
        p.amounts[1] = (struct mu_amount){MU_STR(MU_GPU_SHARE_RESOURCE), 700};
        p.object.node_name = MU_STR("a");
        p.object.devices = i == 0 ? 1u << 0 : 1u << 3;
        fixture_put(db, &p, 0);
    }
    check_resized(db, s, 2, 4, (const uint16_t[4]){300, 1000, 1000, 300});
    check_resized(db, s, 3, 2, (const uint16_t[4]){300, 300, 0, 0});
    check_resized(db, s, 4, 4, (const uint16_t[4]){300, 300, 1000, 1000});
    mu_db_counts(db, &counts);
    assert_int_equal(counts.device_conflicts, 0);
    check_resized(db, s, 5, 1, (const uint16_t[4]){0, 0, 0, 0}); /* both on the last one */
    assert_int_not_equal(s->devices[fixture_row(db, s, "a")].flags & MU_DEVICE_OVER, 0);
    mu_db_counts(db, &counts);
    assert_int_equal(counts.device_conflicts, 1);
    struct fixture_pod gone;
    fixture_pod(&gone, 0, 2);
    assert_int_equal(mu_db_pod_remove(db, gone.object.ns, gone.object.name, MU_STR(""), 0), 0);
    check_resized(db, s, 6, 1, (const uint16_t[4]){300, 0, 0, 0});
    assert_int_equal(s->devices[fixture_row(db, s, "a")].flags & MU_DEVICE_OVER, 0);
    mu_db_destroy(db);
}

/* What a bound pod names and cannot have is told once, and not asked again with every version. */
static void test_device_db__bound_pod_names_nonsense__keeps_what_it_was_given(void **state)
{
    (void)state;
    struct mu_db *db = fixture_create(0);
    struct mu_snapshot *s = mu_db_replica_create(db);
    struct mu_db_counts counts;
    check_resized(db, s, 1, 2, (const uint16_t[4]){1000, 1000, 0, 0});
    for (uint64_t version = 1; version <= 3; version++) {
        struct fixture_pod p;
        for (uint32_t i = 0; i < 2; i++) {
            fixture_pod(&p, i, version);
            p.amounts[1] = (struct mu_amount){MU_STR(MU_GPU_SHARE_RESOURCE), i == 0 ? 700 : 250};
            p.object.node_name = MU_STR("a");
            p.object.devices = i == 0 ? 3 : 2; /* both of them; the second */
            fixture_put(db, &p, 0);
        }
        fixture_sync(db, s);
        const struct mu_device_row *row = &s->devices[fixture_row(db, s, "a")];
        assert_int_equal(row->left[0], 300);
        assert_int_equal(row->left[1], 750); /* best fit would move the first one here */
        assert_int_equal(mu_db_audit_step(db, 64), 0);
    }
    mu_db_counts(db, &counts);
    assert_int_equal(counts.device_conflicts, 1);
    mu_db_destroy(db);
}

/* Members of a gang swap the devices that they hold: nothing is taken twice on the way. */
static void test_device_admit__held_devices_swapped__no_conflict(void **state)
{
    (void)state;
    struct mu_db *db = fixture_create(0);
    struct mu_snapshot *s = mu_db_replica_create(db);
    struct mu_session *session = mu_session_create(
        &(struct mu_session_config){.profile = mu_profile_find(MU_STR("spread"))});
    struct mu_db_counts counts;
    put_sharing_node(db, "a", 2, false);
    for (uint32_t i = 0; i < 2; i++)
        put_share(db, i, 700, 2);
    struct mu_plan_gang gang = plan_of(db, s, session)->gangs[0];
    assert_int_equal(gang.bind_count, 2);
    struct mu_plan_bind binds[2] = {gang.binds[0], gang.binds[1]};
    assert_int_equal(mu_db_admit(db, &gang, NULL), 0);
    for (uint32_t i = 0; i < 2; i++) {
        mu_db_bind_refused(db, binds[i].uid, true);
        assert_int_equal(mu_db_ledger_state(db, binds[i].uid, NULL), MU_LEDGER_HELD);
    }
    uint64_t first = binds[0].devices;
    assert_int_equal(first | binds[1].devices, 3);
    binds[0].devices = binds[1].devices;
    binds[1].devices = first;
    gang.binds = binds;
    assert_int_equal(mu_db_admit(db, &gang, NULL), 0);
    mu_db_counts(db, &counts);
    assert_int_equal(counts.device_conflicts, 0);
    const struct mu_device_row *row = mu_row_devices(db, fixture_row(db, s, "a"));
    assert_int_equal(row->left[0], 300);
    assert_int_equal(row->left[1], 300);
    assert_int_equal(mu_db_audit_step(db, 64), 0);
    mu_session_destroy(session);
    mu_db_destroy(db);
}

static void test_device_audit__planted_drift__repaired_and_counted(void **state)
{
    (void)state;
    struct mu_db *db = fixture_create(0);
    struct mu_snapshot *s = mu_db_replica_create(db);
    put_sharing_node(db, "a", 2, true);
    fixture_sync(db, s);
    uint32_t row = fixture_row(db, s, "a");
    mu_row_devices(db, row)->left[1] = 10;
    assert_int_equal(mu_db_audit_step(db, 64), 1);
    assert_int_equal(mu_row_devices(db, row)->left[1], 1000);
    assert_int_equal(mu_db_audit_step(db, 64), 0);
    mu_db_destroy(db);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_device_choose__several_suffice__best_fit_then_lowest),
        cmocka_unit_test(test_device_choose__none_suffices__most_left_first),
        cmocka_unit_test(test_device_take__more_than_left__saturates_and_says_so),
        cmocka_unit_test(test_device_answers__hostile_sets__refused),
        cmocka_unit_test(test_device_engine__random_events__as_the_twin),
        cmocka_unit_test(test_device_gang__shares_fill_all_devices__placed_whole_or_not),
        cmocka_unit_test(test_device_db__both_whole_and_share__never_placed),
        cmocka_unit_test(test_device_db__node_that_cannot_be_tracked__offers_no_devices),
        cmocka_unit_test(test_device_db__no_memory__changes_nothing),
        cmocka_unit_test(test_device_db__fewer_devices_under_bound_pods__others_given),
        cmocka_unit_test(test_device_db__bound_pod_names_nonsense__keeps_what_it_was_given),
        cmocka_unit_test(test_device_admit__held_devices_swapped__no_conflict),
        cmocka_unit_test(test_device_audit__planted_drift__repaired_and_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
