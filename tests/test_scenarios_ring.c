/*
 * The reference scenarios of gangs and preemption on the embedded API server with its kubelets and
 * the scheduler's whole ring, under virtual time; and the errors of another implementation that
 * only show where binds fail and victims take their time to leave.
 */
#include "tests/scheduler_rig.h"

#include "tests/scenario_kit.h"
#include "tools/kubesim/kubelet.h"

#define STEP_NS (100 * MU_NS_PER_MS)

struct ring {
    struct rig rig;
    struct mu_kubelets *kubelets;
};

static void ring_open(struct ring *ring)
{
    const struct mu_session_config session = {.profile = &mu_profile_spread, .preempts = true};
    const struct mu_kubelets_config kubelets = {.grace_ns_max = 0};
    rig_init(&ring->rig, &mu_profile_spread);
    mu_session_destroy(ring->rig.session);
    ring->rig.session = mu_session_create(&session);
    ring->kubelets = mu_kubelets_create(ring->rig.server, &kubelets, &ring->rig.random);
    assert_non_null(ring->rig.session);
    assert_non_null(ring->kubelets);
}

static void ring_close(struct ring *ring)
{
    mu_kubelets_destroy(ring->kubelets);
    rig_fini(&ring->rig);
}

static void ring_post(void *context, const char *path, const char *body)
{
    struct ring *ring = context;
    struct mu_api_request request = {.method = MU_POST,
                                     .path = mu_str_of(path),
                                     .content = MU_MEDIA_JSON,
                                     .body = mu_str_of(body)};
    struct mu_api_response response = {0};
    mu_apiserver_handle(ring->rig.server, &request, ring->rig.now_ns, &response);
    if (response.status != 201)
        fail_msg("%s: %.*s", path, (int)response.body.len, (const char *)response.body.data);
    mu_buf_fini(&response.body);
    mu_buf_fini(&response.warnings);
}

/* Owns: caller, json_decref. */
static json_t *ring_pods(struct rig *r)
{
    struct mu_api_request request = {.method = MU_GET,
                                     .path = MU_STR("/api/v1/pods"),
                                     .accept = mu_str_of(mu_media_text(MU_MEDIA_JSON))};
    struct mu_api_response response = {0};
    mu_apiserver_handle(r->server, &request, r->now_ns, &response);
    assert_int_equal(response.status, 200);
    json_t *list = json_loadb((const char *)response.body.data, response.body.len, 0, NULL);
    assert_non_null(list);
    mu_buf_fini(&response.body);
    mu_buf_fini(&response.warnings);
    return list;
}

static struct scenario_view ring_look(struct ring *ring)
{
    json_t *list = ring_pods(&ring->rig);
    struct scenario_view view = scenario_look(list);
    json_decref(list);
    return view;
}

/* Run for so long; at no time is there more on a node than it has room for. */
static void ring_run(struct ring *ring, uint64_t ns)
{
    const uint64_t end_ns = ring->rig.now_ns + ns;
    while (ring->rig.now_ns < end_ns) {
        run_for(&ring->rig, STEP_NS);
        mu_kubelets_run(ring->kubelets, ring->rig.now_ns);
        (void)ring_look(ring);
    }
}

/* The cluster, and those who run before the others come. */
static void ring_begin(struct ring *ring, const json_t *items)
{
    (void)scenario_create_part(items, SCENARIO_CLUSTER, ring_post, ring);
    uint32_t first = scenario_create_part(items, SCENARIO_FIRST, ring_post, ring);
    if (first > 0) {
        start(&ring->rig);
        ring_run(ring, 3 * MU_NS_PER_S);
        assert_int_equal(ring_look(ring).low, first);
    }
    (void)scenario_create_part(items, SCENARIO_THEN, ring_post, ring);
    if (first == 0)
        start(&ring->rig);
}

static void assert_over(struct ring *ring, const struct scenario *s, size_t back)
{
    struct scenario_view v = ring_look(ring);
    if (!scenario_is_over(s, &v, back))
        fail_msg("%s: %zu high and %zu low run, %zu and %zu wait, %zu leave", s->name, v.high,
                 v.low, v.high_waits, v.low_waits, v.terminating);
}

/* ---- the seven ---------------------------------------------------------------------------- */

static void test_ring__reference_scenarios__as_the_rules_say(void **state)
{
    (void)state;
    for (size_t i = 0; i < SCENARIOS; i++) {
        const struct scenario *s = &scenarios[i];
        static struct ring ring;
        json_t *items = scenario_read(s->name);
        ring_open(&ring);
        ring_begin(&ring, items);
        ring_run(&ring, 10 * MU_NS_PER_S);
        assert_over(&ring, s, 0);
        assert_int_equal(stats_of(&ring.rig).victims, s->evicted);
        /* Victims that come back displace nobody, and wait. */
        json_t *list = ring_pods(&ring.rig);
        size_t back = scenario_bring_back(items, list, ring_post, &ring);
        json_decref(list);
        assert_int_equal(back, s->evicted);
        ring_run(&ring, 10 * MU_NS_PER_S);
        assert_over(&ring, s, back);
        assert_int_equal(stats_of(&ring.rig).victims, s->evicted);
        assert_int_equal(stats_of(&ring.rig).db.ledger, 0);
        ring_close(&ring);
        json_decref(items);
    }
}

/* ---- errors seen in another implementation ------------------------------------------------- */

static struct {
    uint32_t nth; /* which binding of those to come, from 1 */
    enum hook_answer way;
} failing;

static enum hook_answer fail_nth(uint32_t nth)
{
    return nth == failing.nth ? failing.way : PASS;
}

/* A failed bind left half a gang: each bind of a gang fails once, in each way. */
static void test_ring__bind_fails__gang_is_whole_in_the_end(void **state)
{
    static const enum hook_answer ways[] = {FORBID, LOSE_REQUEST, LOSE_REPLY};
    const struct scenario *s = &scenarios[5]; /* two go, and two come */
    (void)state;
    json_t *items = scenario_read(s->name);
    for (uint32_t way = 0; way < sizeof ways / sizeof ways[0]; way++) {
        for (uint32_t nth = 1; nth <= 2; nth++) {
            static struct ring ring;
            ring_open(&ring);
            ring_begin(&ring, items);
            failing.nth = nth;
            failing.way = ways[way];
            ring.rig.bindings = 0;
            ring.rig.hook = fail_nth;
            ring_run(&ring, 40 * MU_NS_PER_S);
            assert_true(ring.rig.bindings >= 2);
            assert_over(&ring, s, 0);
            assert_int_equal(stats_of(&ring.rig).db.ledger, 0);
            ring_close(&ring);
        }
    }
    json_decref(items);
}

/* Pods that were bound and still Pending were bound again: nobody starts here, so all stay so. */
static void test_ring__bound_and_still_pending__is_bound_once(void **state)
{
    (void)state;
    static struct ring ring;
    json_t *items = scenario_read("1");
    ring_open(&ring);
    (void)scenario_create_part(items, SCENARIO_CLUSTER, ring_post, &ring);
    (void)scenario_create_part(items, SCENARIO_THEN, ring_post, &ring);
    start(&ring.rig);
    run_for(&ring.rig, 60 * MU_NS_PER_S); /* without kubelets */
    assert_int_equal(stats_of(&ring.rig).binder.sent, 3);
    assert_int_equal(ring_look(&ring).high, 2);
    ring_close(&ring);
    json_decref(items);
}

static void no_victim_is_left(struct rig *r)
{
    json_t *list = ring_pods(r);
    assert_int_equal(scenario_look(list).terminating, 0);
    json_decref(list);
}

/* Replacements were bound before their victims were gone. */
static void test_ring__victims_take_their_time__replacements_wait_for_it(void **state)
{
    (void)state;
    static const char *const which[] = {"2", "3", "5", "6"};
    for (size_t i = 0; i < sizeof which / sizeof which[0]; i++) {
        static struct ring ring;
        json_t *items = scenario_read(which[i]);
        ring_open(&ring);
        ring_begin(&ring, items);
        uint64_t before = stats_of(&ring.rig).binder.sent;
        run_for(&ring.rig, 20 * MU_NS_PER_S); /* without kubelets: nobody leaves */
        assert_true(ring_look(&ring).terminating >= 2);
        assert_int_equal(stats_of(&ring.rig).binder.sent, before);
        if (strcmp(which[i], "2") != 0) /* there one goes for each */
            ring.rig.before_binding = no_victim_is_left;
        ring_run(&ring, 10 * MU_NS_PER_S);
        assert_over(&ring, &scenarios[which[i][0] - '1'], 0);
        ring_close(&ring);
        json_decref(items);
    }
}

/* A half-arrived gang was placed: here half of one comes, and the rest a minute later. */
static void test_ring__half_arrived_gang__displaces_nobody_before_it_is_whole(void **state)
{
    (void)state;
    static struct ring ring;
    json_t *items = scenario_read("3"), *kept = NULL;
    for (size_t i = json_array_size(items); i-- > 0 && kept == NULL;)
        if (scenario_part_of(json_array_get(items, i)) == SCENARIO_THEN) {
            kept = json_incref(json_array_get(items, i));
            (void)json_array_remove(items, i);
        }
    ring_open(&ring);
    ring_begin(&ring, items);
    ring_run(&ring, 60 * MU_NS_PER_S);
    struct scenario_view view = ring_look(&ring);
    assert_int_equal(view.low, 3);
    assert_int_equal(view.high_waits, 1);
    assert_int_equal(stats_of(&ring.rig).victims, 0);
    scenario_create(kept, ring_post, &ring);
    ring_run(&ring, 10 * MU_NS_PER_S);
    assert_over(&ring, &scenarios[2], 0);
    ring_close(&ring);
    json_decref(kept);
    json_decref(items);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ring__reference_scenarios__as_the_rules_say),
        cmocka_unit_test(test_ring__bind_fails__gang_is_whole_in_the_end),
        cmocka_unit_test(test_ring__bound_and_still_pending__is_bound_once),
        cmocka_unit_test(test_ring__victims_take_their_time__replacements_wait_for_it),
        cmocka_unit_test(test_ring__half_arrived_gang__displaces_nobody_before_it_is_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
