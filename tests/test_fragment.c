/*
 * Fragmentation: figures by hand, the typical requests that the writer keeps, and sessions under
 * the profile gpu-frag against a naive evaluation of every node and device. The seed of a failure
 * is printed.
 */
#include "tests/db_fixture.h"

#include "engine/base/random.h"
#include "engine/db/db_priv.h"
#include "engine/place/fragment.h"
#include "engine/place/profile.h"
#include "engine/session/session.h"
#include "tests/mu_test.h"

static void put_node(struct mu_db *db, const char *name, int64_t cpus, uint32_t devices, bool whole)
{
    struct fixture_node n;
    fixture_node(&n, name, 1, cpus, devices);
    n.object.device_resource = MU_STR("example.com/gpu");
    n.object.device_count = devices;
    n.object.devices_whole = whole;
    assert_int_equal(mu_db_node_upsert(db, &n.object, 0, NULL), 0);
}

static void put_pod(struct mu_db *db, uint32_t number, int64_t cpus, int64_t share, int64_t whole)
{
    struct fixture_pod p;
    fixture_pod(&p, number, 1);
    struct mu_amount requests[] = {{MU_STR("cpu"), cpus * 1000},
                                   {MU_STR(MU_GPU_SHARE_RESOURCE), share},
                                   {MU_STR("example.com/gpu"), whole}};
    p.object.requests = requests;
    p.object.request_count = 3;
    p.object.created_s = 1000 + number;
    fixture_put(db, &p, 0);
}

/* --- by hand -------------------------------------------------------------------------------- */

static void test_fragment_of__two_typical_requests__by_hand(void **state)
{
    (void)state;
    struct mu_db *db = fixture_create(0);
    struct mu_snapshot *s = mu_db_replica_create(db);
    put_node(db, "a", 10, 2, true);
    fixture_sync(db, s);
    uint32_t row = fixture_row(db, s, "a");
    s->typical_count = 2;
    s->typical[0] = (struct mu_typical){.cpu = 1000, .devices = 1, .millis = 400, .permille = 750};
    s->typical[1] = (struct mu_typical){.cpu = 9000, .devices = 1, .millis = 1000, .permille = 250};
    assert_int_equal(mu_fragment_of(s, row), 0);
    s->devices[row].left[0] = 300; /* of no use to either; the other device is */
    assert_int_equal(mu_fragment_of(s, row), 300 * 750 + 300 * 250);
    s->free[MU_RES_CPU][row] = 8000; /* too little for whole ones: all 1300 are lost to them */
    assert_int_equal(mu_fragment_of(s, row), 300 * 750 + 1300 * 250);
    s->free[MU_RES_PODS][row] = 0;
    assert_int_equal(mu_fragment_of(s, row), 1300 * 1000);
    s->free[MU_RES_PODS][row] = 9;
    s->devices[row].flags = 0; /* takes no whole ones */
    s->free[MU_RES_CPU][row] = 10000;
    assert_int_equal(mu_fragment_of(s, row), 300 * 750 + 1300 * 250);
    /* A share of 300 fills up the device that nobody else can use. */
    uint16_t devices;
    const struct mu_fragment_pod pod = {0, 0, {1, 300}};
    assert_int_equal(mu_fragment_worth(s, row, &pod, &devices), 300 * 750 + 300 * 250);
    assert_int_equal(devices, 1);
    mu_db_destroy(db);
}

static void test_fragment_typical__live_pods__by_number_and_share(void **state)
{
    (void)state;
    struct mu_db *db = fixture_create(0);
    struct mu_snapshot *s = mu_db_replica_create(db);
    for (uint32_t i = 0; i < 6; i++)
        put_pod(db, i, 2, 500, 0);
    for (uint32_t i = 6; i < 8; i++)
        put_pod(db, i, 4, 0, 2);
    put_pod(db, 8, 4, 0, 0); /* asks for no device */
    fixture_sync(db, s);
    assert_int_equal(s->typical_count, 0); /* no device is tracked */
    put_node(db, "a", 10, 2, true);
    fixture_sync(db, s);
    assert_int_equal(s->typical_count, 2);
    assert_int_equal(s->typical[0].permille, 750);
    assert_int_equal(s->typical[0].cpu, 2000);
    assert_int_equal(s->typical[0].devices, 1);
    assert_int_equal(s->typical[0].millis, 500);
    assert_int_equal(s->typical[1].permille, 250);
    assert_int_equal(s->typical[1].devices, 2);
    assert_int_equal(s->typical[1].millis, 1000);
    for (uint32_t i = 0; i < 6; i++) {
        struct fixture_pod p;
        fixture_pod(&p, i, 0);
        assert_int_equal(mu_db_pod_remove(db, p.object.ns, p.object.name, MU_STR(""), 0), 0);
    }
    fixture_sync(db, s);
    assert_int_equal(s->typical_count, 1);
    assert_int_equal(s->typical[0].permille, 1000);
    mu_db_destroy(db);
}

/* More kinds than are kept: those with most pods are, whatever the order in which they came. */
static void test_fragment_typical__many_classes__the_most_common(void **state)
{
    (void)state;
    struct mu_db *db = fixture_create(0);
    struct mu_snapshot *s = mu_db_replica_create(db);
    uint32_t number = 0, total = 0;
    put_node(db, "a", 10, 2, true);
    for (uint32_t k = 1; k <= 2 * MU_TYPICAL_MAX; k++) {
        uint32_t pods = k * 37 % (2 * MU_TYPICAL_MAX + 1); /* 1 to 64, each once */
        total += pods > MU_TYPICAL_MAX ? pods : 0;
        for (uint32_t i = 0; i < pods; i++)
            put_pod(db, number++, 1, 10 * pods, 0);
    }
    fixture_sync(db, s);
    assert_int_equal(s->typical_count, MU_TYPICAL_MAX);
    for (uint32_t i = 0; i < MU_TYPICAL_MAX; i++) {
        uint32_t pods = 2 * MU_TYPICAL_MAX - i;
        assert_int_equal(s->typical[i].millis, 10 * pods);
        assert_int_equal(s->typical[i].permille, pods * 1000 / total);
    }
    mu_db_destroy(db);
}

/* --- against the naive way ------------------------------------------------------------------ */

enum { NODES = 90, PODS = 160, SEEDS = 8 };

struct naive_node {
    int64_t cpu, memory, pods;
    int64_t left[MU_DEVICES_PER_NODE];
    uint32_t count;
    bool whole;
};
struct naive {
    const struct mu_snapshot *s;
    struct naive_node nodes[128];
};

static int64_t naive_fragment(const struct naive *n, const struct naive_node *node)
{
    int64_t sum = 0;
    for (uint32_t t = 0; t < n->s->typical_count; t++) {
        const struct mu_typical *typical = &n->s->typical[t];
        int64_t all = 0, bad = 0;
        uint32_t good = 0;
        for (uint32_t i = 0; i < node->count; i++) {
            all += node->left[i];
            if (node->left[i] < typical->millis)
                bad += node->left[i];
            else
                good++;
        }
        bool runs = node->cpu >= typical->cpu && node->memory >= typical->memory &&
                    node->pods > 0 && good >= typical->devices &&
                    (typical->millis < 1000 || node->whole);
        sum += typical->permille * (runs ? bad : all);
    }
    return sum;
}

static void naive_take(struct naive_node *node, int64_t cpu, uint32_t devices, int64_t millis)
{
    node->cpu -= cpu;
    node->pods--;
    for (uint32_t i = 0; i < node->count; i++)
        node->left[i] -= (devices >> i & 1) != 0 ? millis : 0;
}

/* All ways to place the pod on a node, the best of them in *devices. False: none. */
static bool naive_best(const struct naive *n, uint32_t row, int64_t cpu, int64_t share,
                       int64_t whole, int64_t *worth, uint32_t *devices)
{
    const struct naive_node *node = &n->nodes[row];
    uint32_t wants = whole > 0 ? (uint32_t)whole : share > 0;
    int64_t millis = whole > 0 ? 1000 : share, best_left = 0;
    bool found = false;
    if (node->cpu < cpu || node->pods < 1 || wants > node->count || (whole > 0 && !node->whole))
        return false;
    int64_t before = naive_fragment(n, node);
    for (uint32_t set = 0; set < 1u << node->count; set++) {
        bool fits = (uint32_t)__builtin_popcount(set) == wants;
        int64_t left = 0;
        for (uint32_t i = 0; i < node->count; i++)
            if ((set >> i & 1) != 0) {
                fits = fits && node->left[i] >= millis;
                left += node->left[i];
            }
        if (!fits)
            continue;
        struct naive_node then = *node;
        naive_take(&then, cpu, set, millis);
        int64_t gain = before - naive_fragment(n, &then);
        if (!found || gain > *worth || (gain == *worth && left < best_left)) {
            found = true;
            *worth = gain;
            *devices = set;
            best_left = left;
        }
    }
    return found;
}

static void check_session(uint64_t seed, uint32_t *placed)
{
    struct mu_random random;
    struct mu_db *db = fixture_create(0);
    struct mu_snapshot *s = mu_db_replica_create(db);
    struct mu_session_config config = {.profile = &mu_profile_gpu_frag};
    struct mu_session *session = mu_session_create(&config);
    static struct naive n;
    struct {
        int64_t cpu, share, whole;
    } pods[PODS];
    print_message("seed %d\n", (int)seed);
    mu_random_init_seed(&random, seed);
    for (uint32_t i = 0; i < NODES; i++) {
        char name[16];
        static const uint32_t counts[] = {0, 1, 2, 4};
        (void)snprintf(name, sizeof name, "node-%u", i);
        put_node(db, name, mu_random_between(&random, 2, 12), counts[mu_random_below(&random, 4)],
                 mu_random_chance(&random, 700));
    }
    for (uint32_t i = 0; i < PODS; i++) {
        bool part = mu_random_chance(&random, 600), device = mu_random_chance(&random, 850);
        pods[i].cpu = mu_random_between(&random, 1, 4);
        pods[i].share = part && device ? 100 * mu_random_between(&random, 1, 8) : 0;
        pods[i].whole = !part && device ? mu_random_between(&random, 1, 3) : 0;
        put_pod(db, i, pods[i].cpu, pods[i].share, pods[i].whole);
    }
    fixture_sync(db, s);
    assert_true(s->node_rows <= 128 && s->typical_count > 10);
    n = (struct naive){.s = s};
    for (uint32_t row = 0; row < s->node_rows; row++) {
        struct naive_node *node = &n.nodes[row];
        *node = (struct naive_node){
            s->free[MU_RES_CPU][row],  s->free[MU_RES_MEMORY][row],
            s->free[MU_RES_PODS][row], {0},
            s->devices[row].count,     (s->devices[row].flags & MU_DEVICE_WHOLE) != 0};
        for (uint32_t i = 0; i < node->count; i++)
            node->left[i] = s->devices[row].left[i];
    }
    const struct mu_plan *plan;
    assert_int_equal(mu_session_run(session, s, 0, &plan), 0);
    for (uint32_t g = 0; g < plan->gang_count; g++) {
        const struct mu_plan_bind *bind = &plan->gangs[g].binds[0];
        uint32_t pod = (uint32_t)(bind->uid.lo & 0xffff), best = MU_NONE, best_devices = 0;
        int64_t best_worth = 0;
        for (uint32_t row = 0; row < s->node_rows; row++) {
            int64_t worth = 0;
            uint32_t devices = 0;
            if ((s->nodes[row].flags & MU_NODE_PRESENT) == 0 ||
                !naive_best(&n, row, pods[pod].cpu * 1000, pods[pod].share, pods[pod].whole, &worth,
                            &devices))
                continue;
            if (best == MU_NONE || worth > best_worth ||
                (worth == best_worth && s->nodes[row].tie < s->nodes[best].tie)) {
                best = row;
                best_worth = worth;
                best_devices = devices;
            }
        }
        assert_int_equal(bind->node.v, best);
        assert_int_not_equal(best, MU_NONE);
        assert_int_equal(bind->devices, best_devices);
        /* cppcheck-suppress arrayIndexOutOfBounds */
        naive_take(&n.nodes[best], pods[pod].cpu * 1000, best_devices,
                   pods[pod].whole > 0 ? 1000 : pods[pod].share);
        (*placed)++;
    }
    mu_session_destroy(session);
    mu_db_destroy(db);
}

/* A pod that asks for a part of a device: bound to a node, or another scheduler's that waits. */
static void put_share(struct mu_db *db, uint32_t number, const char *node, int64_t share)
{
    struct fixture_pod p;
    fixture_pod(&p, number, 1);
    p.object.scheduler_name = MU_STR("another");
    p.object.node_name = mu_str_of(node);
    p.amounts[2] = (struct mu_amount){MU_STR(MU_GPU_SHARE_RESOURCE), share};
    p.object.request_count = 3;
    fixture_put(db, &p, 0);
}

/* Pods that wait for another scheduler are typical too. Nothing else takes notice of them, but what
 * a session remembers of how rows fragment is not believed once others are about: a device with 400
 * left is the better one for 300 as long as most ask for 300, one with 500 when they ask for
 * 200. */
static void test_fragment_typical__others_are_about__nothing_old_is_believed(void **state)
{
    (void)state;
    enum { ROWS = 20, OTHERS = 200 };
    struct mu_db *db = fixture_create(0);
    struct mu_snapshot *s = mu_db_replica_create(db);
    struct mu_session *session =
        mu_session_create(&(struct mu_session_config){.profile = &mu_profile_gpu_frag});
    const struct mu_plan *plan;
    char name[16];
    for (uint32_t i = 0; i < ROWS; i++) {
        (void)snprintf(name, sizeof name, "node-%u", i);
        put_node(db, name, 64, 1, true);
        put_share(db, i, name, i % 2 == 0 ? 500 : 600);
    }
    put_pod(db, ROWS, 1, 300, 0);
    for (int turn = 0; turn < 2; turn++) {
        for (uint32_t i = 0; i < OTHERS; i++) {
            struct fixture_pod gone;
            fixture_pod(&gone, 1000 + i, 0);
            if (turn == 1)
                assert_int_equal(
                    mu_db_pod_remove(db, gone.object.ns, gone.object.name, MU_STR(""), 0), 0);
            put_share(db, (turn == 0 ? 1000 : 2000) + i, "", turn == 0 ? 300 : 200);
        }
        fixture_sync(db, s);
        assert_int_equal(mu_session_run(session, s, 0, &plan), 0);
        assert_int_equal(plan->gang_count, 1);
        uint32_t row = plan->gangs[0].binds[0].node.v;
        assert_int_equal(s->devices[row].left[0], turn == 0 ? 400 : 500);
    }
    mu_session_destroy(session);
    mu_db_destroy(db);
}

/* A small weight beside large ones still decides between nodes that are alike otherwise. */
static void test_fragment_share__small_part__is_not_rounded_away(void **state)
{
    (void)state;
    const int64_t parts[] = {1, 1000, MU_FRAGMENT_MAX, 2 * MU_FRAGMENT_MAX, 100 * MU_FRAGMENT_MAX};
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        int64_t last = -1;
        for (int64_t worth = -MU_FRAGMENT_MAX; worth <= MU_FRAGMENT_MAX; worth += 80000) {
            int64_t share = mu_fragment_share(worth, parts[i]);
            assert_true(share >= 0 && share >= last && share <= parts[i]);
            last = share;
        }
        assert_true(mu_fragment_share(MU_FRAGMENT_MAX, parts[i]) > 0);
    }
    const struct mu_profile profile = {.name = "small",
                                       .strategy = MU_LEAST_ALLOCATED,
                                       .fit = 1,
                                       .resource_count = 1,
                                       .resources = {{"memory", 1}},
                                       .taints = 100,
                                       .node_affinity = 100,
                                       .fragmentation = 1};
    struct mu_db *db = fixture_create(0);
    struct mu_snapshot *s = mu_db_replica_create(db);
    struct mu_session *session =
        mu_session_create(&(const struct mu_session_config){.profile = &profile});
    const struct mu_plan *plan;
    /* Half of a device is left on each but one, which has what is asked for and no more. */
    for (uint32_t i = 0; i < 8; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "node-%u", i);
        put_node(db, name, 64, 1, true);
        put_share(db, i, name, i == 5 ? 700 : 100);
    }
    put_pod(db, 100, 1, 300, 0);
    fixture_sync(db, s);
    s->typical_count = 1;
    s->typical[0] = (struct mu_typical){.devices = 1, .millis = 700, .permille = 1000};
    assert_int_equal(mu_session_run(session, s, 0, &plan), 0);
    assert_int_equal(plan->gang_count, 1);
    assert_int_equal(plan->gangs[0].binds[0].node.v, fixture_row(db, s, "node-5"));
    mu_session_destroy(session);
    mu_db_destroy(db);
}

static void test_fragment_session__random_clusters__as_the_naive_way(void **state)
{
    (void)state;
    uint32_t placed = 0;
    for (uint64_t seed = 1; seed <= SEEDS; seed++)
        check_session(seed, &placed);
    assert_true(placed > SEEDS * PODS / 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fragment_of__two_typical_requests__by_hand),
        cmocka_unit_test(test_fragment_typical__live_pods__by_number_and_share),
        cmocka_unit_test(test_fragment_typical__many_classes__the_most_common),
        cmocka_unit_test(test_fragment_typical__others_are_about__nothing_old_is_believed),
        cmocka_unit_test(test_fragment_share__small_part__is_not_rounded_away),
        cmocka_unit_test(test_fragment_session__random_clusters__as_the_naive_way),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
