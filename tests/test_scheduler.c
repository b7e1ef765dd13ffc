/* The ring end to end on the embedded API server (tests/scheduler_rig.h). */
#include "tests/scheduler_rig.h"

#include "informer/proto/policy.pb-c.h"

#include "engine/base/log.h"
#include "informer/proto/core.pb-c.h"
#include "tools/scheduler/scheduler_priv.h"

/* ---- cases -------------------------------------------------------------------------------- */

static void test_scheduler__solo_pod__is_bound_under_a_plan(void **state)
{
    struct rig r;
    (void)state;
    rig_init(&r, &mu_profile_spread);
    add_node(&r, "n1", 4000);
    add_pod(&r, "p", 1000, solo, false);
    start(&r);
    struct tally t = tally(&r);
    assert_int_equal(t.bound, 1);
    assert_string_equal(t.last_node, "n1");
    assert_true(t.planned);
    assert_int_equal(stats_of(&r).db.ledger, 0); /* the watch moved the charge */
    assert_int_equal(stats_of(&r).journal_open, 0);
    rig_fini(&r);
}

static void post_namespace(struct rig *r, const char *name)
{
    const struct mu_label label = {MU_STR("team"), MU_STR("a")};
    const struct mu_namespace_object ns = {
        .name = mu_str_of(name), .labels = &label, .label_count = 1};
    struct mu_buf body = {0};
    struct mu_api_response response;
    assert_int_equal(mu_workload_encode_namespace(&ns, r->scratch, &body), 0);
    assert_int_equal(call(r, MU_POST, "/api/v1/namespaces", &body, &response), 201);
    mu_buf_fini(&body);
    mu_buf_fini(&response.body);
}

/* A pod's rules may select namespaces: nothing is decided before they are known. */
static void test_scheduler__namespaces_not_listed__nothing_is_decided(void **state)
{
    struct rig r;
    (void)state;
    rig_init(&r, &mu_profile_spread);
    add_node(&r, "n1", 4000);
    add_pod(&r, "p", 1000, solo, false);
    r.namespaces_lost = true;
    start(&r);
    run_for(&r, 10 * MU_NS_PER_S);
    assert_true(stats_of(&r).nodes.synced && stats_of(&r).pods.synced);
    assert_false(stats_of(&r).synced);
    assert_true(stats_of(&r).namespaces_problem[0] != '\0');
    assert_int_equal(stats_of(&r).sessions, 0);
    assert_int_equal(tally(&r).bound, 0);
    r.namespaces_lost = false;
    run_for(&r, 60 * MU_NS_PER_S);
    assert_true(stats_of(&r).synced);
    assert_int_equal(stats_of(&r).namespaces_problem[0], '\0');
    assert_int_equal(tally(&r).bound, 1);
    rig_fini(&r);
}

/* Victims are chosen by budgets; a server without them, or one that does not show them, is no
 * reason to wait. */
static void test_scheduler__budgets_not_listed__nothing_is_decided(void **state)
{
    struct rig r;
    (void)state;
    rig_init(&r, &mu_profile_spread);
    add_node(&r, "n1", 4000);
    add_pod(&r, "p", 1000, solo, false);
    r.budgets = LOSE_REQUEST;
    start(&r);
    run_for(&r, 10 * MU_NS_PER_S);
    assert_false(stats_of(&r).synced);
    assert_int_equal(tally(&r).bound, 0);
    r.budgets = FORBID;
    run_for(&r, 120 * MU_NS_PER_S);
    assert_true(stats_of(&r).synced);
    assert_int_equal(tally(&r).bound, 1);
    rig_fini(&r);
}

static void test_scheduler__budgets__followed(void **state)
{
    struct rig r;
    struct mu_api_response response;
    struct mu_buf body = {0};
    Kube__PodDisruptionBudget budget = KUBE__POD_DISRUPTION_BUDGET__INIT;
    Kube__ObjectMeta meta = KUBE__OBJECT_META__INIT;
    uint8_t raw[64];
    (void)state;
    rig_init(&r, &mu_profile_spread);
    start(&r);
    run_for(&r, 2 * MU_NS_PER_S);
    assert_int_equal(stats_of(&r).db.budgets, 0);
    meta.name = (char[]){"b"};
    budget.metadata = &meta;
    size_t bytes = protobuf_c_message_pack(&budget.base, raw);
    assert_true(bytes < sizeof raw);
    const struct mu_str packed = {(const char *)raw, (uint32_t)bytes};
    assert_int_equal(
        mu_envelope_wrap(&body, MU_STR("policy/v1"), MU_STR("PodDisruptionBudget"), packed), 0);
    assert_int_equal(call(&r, MU_POST, "/apis/policy/v1/namespaces/default/poddisruptionbudgets",
                          &body, &response),
                     201);
    mu_buf_fini(&response.body);
    run_for(&r, 2 * MU_NS_PER_S);
    assert_int_equal(stats_of(&r).db.budgets, 1);
    assert_int_equal(call(&r, MU_DELETE,
                          "/apis/policy/v1/namespaces/default/poddisruptionbudgets/b", NULL,
                          &response),
                     200);
    mu_buf_fini(&response.body);
    run_for(&r, 2 * MU_NS_PER_S);
    assert_int_equal(stats_of(&r).db.budgets, 0);
    assert_int_equal(stats_of(&r).bad_objects, 0);
    mu_buf_fini(&body);
    rig_fini(&r);
}

static void test_scheduler__namespaces__followed(void **state)
{
    struct rig r;
    (void)state;
    rig_init(&r, &mu_profile_spread);
    start(&r);
    uint32_t before = stats_of(&r).db.namespaces; /* the server's own */
    assert_true(before > 0);
    post_namespace(&r, "team-a");
    run_for(&r, MU_NS_PER_S);
    assert_int_equal(stats_of(&r).db.namespaces, before + 1);
    assert_int_equal(stats_of(&r).bad_objects, 0);
    rig_fini(&r);
}

/* --- devices --- */

struct devices_seen {
    struct mu_arena *arena;
    uint32_t bound, with_devices;
    uint64_t devices; /* of all bound pods */
};

static int see_devices(void *context, struct mu_str raw)
{
    struct devices_seen *seen = context;
    struct mu_pod_object pod;
    struct mu_error warn;
    mu_arena_reset(seen->arena);
    assert_int_equal(mu_pod_decode(raw, seen->arena, &pod, &warn, NULL), 0);
    seen->bound += pod.node_name.len > 0;
    seen->with_devices += pod.devices != 0;
    assert_true((seen->devices & pod.devices) == 0); /* none is given twice */
    seen->devices |= pod.devices;
    return 0;
}

static void assert_devices(struct rig *r, uint32_t bound, uint64_t devices)
{
    struct devices_seen seen = {.arena = mu_arena_create(MU_DECODE_ARENA_BYTES)};
    assert_int_equal(mu_apiserver_each(r->server, "pods", see_devices, &seen), 0);
    assert_int_equal(seen.bound, bound);
    assert_int_equal(seen.with_devices, bound);
    assert_int_equal(seen.devices, devices);
    mu_arena_destroy(seen.arena);
}

static void add_sharer(struct rig *r, const char *name, const char *resource, int64_t amount)
{
    const struct mu_amount request = {mu_str_of(resource), amount};
    struct mu_workload_pod pod = {.object = {.ns = MU_STR("default"),
                                             .name = mu_str_of(name),
                                             .requests = &request,
                                             .request_count = 1}};
    struct mu_buf body = {0};
    struct mu_api_response response;
    assert_int_equal(mu_workload_encode_pod(&pod, MU_STR("muster"), false, r->scratch, &body), 0);
    assert_int_equal(call(r, MU_POST, "/api/v1/namespaces/default/pods", &body, &response), 201);
    mu_buf_fini(&body);
    mu_buf_fini(&response.body);
}

/* Three devices: two are shared, by pods of which no two fit one device, and one is given whole;
 * the fourth and fifth pod fit nowhere, not even for a scheduler that has just started and knows
 * the devices from the annotations alone. */
static void test_scheduler__shared_devices__travel_with_the_binding(void **state)
{
    struct rig r;
    const struct mu_amount allocatable[] = {
        {MU_STR("cpu"), 8000}, {MU_STR("pods"), 110}, {MU_STR("nvidia.com/gpu"), 3}};
    const struct mu_label labels[] = {{MU_STR(MU_SHARING_LABEL), MU_STR("true")},
                                      {MU_STR(MU_DEVICE_LABEL), MU_STR("honored")}};
    struct mu_node_object node = {.name = MU_STR("n1"),
                                  .labels = labels,
                                  .label_count = 2,
                                  .allocatable = allocatable,
                                  .allocatable_count = 3};
    (void)state;
    rig_init(&r, &mu_profile_spread);
    post_node(&r, &node);
    add_sharer(&r, "a", MU_GPU_SHARE_RESOURCE, 600);
    add_sharer(&r, "b", MU_GPU_SHARE_RESOURCE, 600);
    add_sharer(&r, "c", "nvidia.com/gpu", 1);
    start(&r);
    assert_devices(&r, 3, 7);
    add_sharer(&r, "d", MU_GPU_SHARE_RESOURCE, 500);
    add_sharer(&r, "e", "nvidia.com/gpu", 1);
    run_for(&r, 2 * MU_NS_PER_S);
    assert_devices(&r, 3, 7);
    rig_restart(&r, &mu_profile_spread, 0);
    start(&r);
    assert_devices(&r, 3, 7);
    assert_int_equal(stats_of(&r).db.device_conflicts, 0);
    rig_fini(&r);
}

static void test_scheduler__gang_without_room__waits_whole_until_a_node_comes(void **state)
{
    struct rig r;
    (void)state;
    rig_init(&r, &mu_profile_pack);
    add_node(&r, "n1", 2000);
    start(&r);
    for (int i = 0; i < 3; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "g%d", i);
        add_pod(&r, name, 1000, gang_of("g", 3), false);
    }
    run_for(&r, 10 * MU_NS_PER_S);
    assert_int_equal(tally(&r).bound, 0);
    assert_int_equal(stats_of(&r).waits[MU_WAIT_NO_FIT], 1);
    add_node(&r, "n2", 2000);
    run_for(&r, MU_NS_PER_S);
    assert_int_equal(tally(&r).bound, 3);
    rig_fini(&r);
}

static void test_scheduler__incomplete_gang__waits_for_its_members(void **state)
{
    struct rig r;
    (void)state;
    rig_init(&r, &mu_profile_spread);
    add_node(&r, "n1", 8000);
    start(&r);
    add_pod(&r, "g0", 100, gang_of("g", 2), false);
    run_for(&r, 60 * MU_NS_PER_S);
    assert_int_equal(tally(&r).bound, 0);
    assert_int_equal(stats_of(&r).waits[MU_WAIT_MEMBERS], 1);
    add_pod(&r, "g1", 100, gang_of("g", 2), false);
    run_for(&r, MU_NS_PER_S);
    assert_int_equal(tally(&r).bound, 2);
    rig_fini(&r);
}

static void test_scheduler__unsized_gang__is_placed_after_its_quiet_time(void **state)
{
    struct rig r;
    (void)state;
    rig_init(&r, &mu_profile_spread);
    add_node(&r, "n1", 8000);
    start(&r);
    add_pod(&r, "g0", 100, gang_of("g", 0), false);
    run_for(&r, 900 * MU_NS_PER_MS);
    assert_int_equal(tally(&r).bound, 0);
    add_pod(&r, "g1", 100, gang_of("g", 0), false);
    run_for(&r, 900 * MU_NS_PER_MS); /* counts from the last member */
    assert_int_equal(tally(&r).bound, 0);
    run_for(&r, 200 * MU_NS_PER_MS);
    assert_int_equal(tally(&r).bound, 2);
    rig_fini(&r);
}

static void test_scheduler__gated_pod__is_never_bound(void **state)
{
    struct rig r;
    (void)state;
    rig_init(&r, &mu_profile_spread);
    add_node(&r, "n1", 8000);
    add_pod(&r, "p", 100, solo, true);
    start(&r);
    run_for(&r, 60 * MU_NS_PER_S);
    assert_int_equal(tally(&r).bound, 0);
    assert_int_equal(stats_of(&r).waits[MU_WAIT_GATED], 1);
    rig_fini(&r);
}

static enum hook_answer lose_first_reply(uint32_t nth)
{
    return nth == 1 ? LOSE_REPLY : PASS;
}

static void test_scheduler__lost_reply_of_a_landed_bind__is_settled_once(void **state)
{
    struct rig r;
    (void)state;
    rig_init(&r, &mu_profile_spread);
    r.hook = lose_first_reply;
    add_node(&r, "n1", 4000);
    add_pod(&r, "p", 3000, solo, false);
    start(&r);
    run_for(&r, 60 * MU_NS_PER_S);
    assert_int_equal(tally(&r).bound, 1);
    assert_int_equal(stats_of(&r).binder.bound, 1);
    assert_int_equal(stats_of(&r).binder.in_flight + stats_of(&r).binder.queued, 0);
    assert_int_equal(stats_of(&r).db.ledger, 0);
    rig_fini(&r);
}

static enum hook_answer lose_first_requests(uint32_t nth)
{
    return nth <= 3 ? LOSE_REQUEST : PASS;
}

static void test_scheduler__lost_requests__are_repeated_until_bound(void **state)
{
    struct rig r;
    (void)state;
    rig_init(&r, &mu_profile_spread);
    r.hook = lose_first_requests;
    add_node(&r, "n1", 4000);
    add_pod(&r, "g0", 1000, gang_of("g", 2), false);
    add_pod(&r, "g1", 1000, gang_of("g", 2), false);
    start(&r);
    run_for(&r, 300 * MU_NS_PER_S);
    assert_int_equal(tally(&r).bound, 2);
    assert_int_equal(stats_of(&r).plans_admitted, 1); /* the same plan all the way */
    rig_fini(&r);
}

static void test_scheduler__pod_changed_under_a_plan__is_planned_again(void **state)
{
    struct rig r;
    const struct mu_plan *plan;
    (void)state;
    rig_init(&r, &mu_profile_spread);
    add_node(&r, "n1", 4000);
    start(&r);
    add_pod(&r, "p", 1000, solo, false);
    pull_watches(&r);
    r.now_ns = mu_scheduler_next_ns(r.scheduler);
    struct mu_snapshot *snapshot = mu_scheduler_take_snapshot(r.scheduler, r.now_ns);
    assert_non_null(snapshot);
    assert_int_equal(mu_session_run(r.session, snapshot, r.now_ns, &plan), 0);
    assert_int_equal(plan->gang_count, 1);
    /* The pod goes and comes back under its name while the session is under way. */
    struct mu_api_response response;
    assert_int_equal(call(&r, MU_DELETE, "/api/v1/namespaces/default/pods/p", NULL, &response),
                     200);
    mu_buf_fini(&response.body);
    add_pod(&r, "p", 500, solo, false);
    mu_scheduler_give_plan(r.scheduler, snapshot, plan, r.now_ns, &r.outbox);
    run_for(&r, 10 * MU_NS_PER_S);
    assert_int_equal(tally(&r).bound, 1);
    assert_int_equal(tally(&r).pending, 0);
    assert_int_equal(stats_of(&r).db.ledger, 0);
    assert_int_equal(stats_of(&r).journal_open, 0);
    rig_fini(&r);
}

static enum hook_answer forbid(uint32_t nth)
{
    return nth <= 8 ? FORBID : PASS;
}

/* A server that denies a bind (RBAC, a webhook) is not flooded with the same write. */
static void test_scheduler__denied_bind__is_repeated_with_backoff(void **state)
{
    struct rig r;
    (void)state;
    rig_init(&r, &mu_profile_spread);
    r.hook = forbid;
    add_node(&r, "n1", 4000);
    add_pod(&r, "p", 3000, solo, false);
    start(&r);
    run_for(&r, 10 * MU_NS_PER_S);
    assert_in_range(r.bindings, 2, 4);           /* at 0, 1, 3 and 7 s */
    assert_int_equal(stats_of(&r).db.ledger, 0); /* its room is free meanwhile */
    assert_int_equal(stats_of(&r).waits[MU_WAIT_UNBUILT], 1);
    add_pod(&r, "q", 3000, solo, false);
    run_for(&r, 600 * MU_NS_PER_S);
    assert_true(r.bindings < 20);
    assert_int_equal(tally(&r).bound, 1); /* one of the two: there is room for one */
    rig_fini(&r);
}

static enum hook_answer park_first(uint32_t nth)
{
    return nth == 1 ? PARK : PASS;
}

static void patch_pod(struct rig *r, const char *name, const struct mu_buf *body)
{
    char path[100];
    struct mu_api_response response = {0};
    (void)snprintf(path, sizeof path, "/api/v1/namespaces/default/pods/%s", name);
    struct mu_api_request request = {.method = MU_PATCH,
                                     .path = mu_str_of(path),
                                     .content = MU_MEDIA_MERGE_PATCH,
                                     .body = view(body)};
    mu_apiserver_handle(r->server, &request, r->now_ns, &response);
    assert_int_equal(response.status, 200);
    mu_buf_fini(&response.body);
}

static void add_gang(struct rig *r, int from, int to)
{
    for (int i = from; i < to; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "g%d", i);
        add_pod(r, name, 1000, gang_of("g", 3), false);
    }
}

/* While the first bind of a gang is not answered nobody may pass it, whatever happens to the
 * others: should it be refused, a part of the gang would be bound. */
static void test_scheduler__member_changes_under_an_open_claim__nobody_passes_it(void **state)
{
    (void)state;
    for (int member = 0; member < 3; member++) {
        struct rig r;
        struct mu_buf body = {0};
        char name[16];
        rig_init(&r, &mu_profile_spread);
        r.hook = park_first;
        add_node(&r, "n1", 4000);
        start(&r);
        add_gang(&r, 0, 3);
        run_for(&r, 5 * MU_NS_PER_S);
        assert_int_equal(r.bindings, 1);
        (void)mu_buf_append_text(&body, "{\"metadata\":{\"labels\":{\"x\":\"y\"}}}");
        (void)snprintf(name, sizeof name, "g%d", member);
        patch_pod(&r, name, &body);
        mu_buf_fini(&body);
        run_for(&r, 5 * MU_NS_PER_S);
        /* The claimed member itself: its write is dead, so the gang is planned anew, whole. */
        bool claimed = strstr(r.parked, name) != NULL;
        assert_int_equal(tally(&r).bound, claimed ? 3 : 0);
        rig_fini(&r);
    }
}

/* A member that becomes unreadable under its plan: no charge may leak, no drain may hang, and when
 * it is readable again the gang is completed. */
static void test_scheduler__member_grows_beyond_bounds__nothing_leaks(void **state)
{
    (void)state;
    for (int member = 0; member < 3; member++) {
        struct rig r;
        struct mu_buf body = {0};
        char name[16];
        rig_init(&r, &mu_profile_spread);
        add_node(&r, "n1", 4000);
        start(&r);
        add_gang(&r, 0, 2);
        run_for(&r, MU_NS_PER_S);
        add_gang(&r, 2, 3);
        pull_watches(&r);
        (void)mu_buf_append_text(&body, "{\"spec\":{\"tolerations\":[");
        for (int k = 0; k < 300; k++)
            (void)mu_buf_printf(&body, "%s{\"key\":\"k%d\",\"operator\":\"Exists\"}",
                                k > 0 ? "," : "", k);
        (void)mu_buf_append_text(&body, "]}}");
        (void)snprintf(name, sizeof name, "g%d", member);
        patch_pod(&r, name, &body);
        mu_buf_fini(&body);
        run_for(&r, 900 * MU_NS_PER_S);
        assert_int_equal(stats_of(&r).db.ledger, 0);
        mu_scheduler_drain(r.scheduler);
        assert_true(mu_scheduler_drained(r.scheduler));
        rig_fini(&r);
    }
}

static void test_scheduler_drain__nothing_new_is_decided(void **state)
{
    struct rig r;
    (void)state;
    rig_init(&r, &mu_profile_spread);
    add_node(&r, "n1", 4000);
    start(&r);
    mu_scheduler_drain(r.scheduler);
    add_pod(&r, "p", 1000, solo, false);
    run_for(&r, 10 * MU_NS_PER_S);
    assert_int_equal(tally(&r).bound, 0);
    assert_true(mu_scheduler_drained(r.scheduler));
    rig_fini(&r);
}

static void test_scheduler__idle__has_nothing_to_do(void **state)
{
    struct rig r;
    (void)state;
    rig_init(&r, &mu_profile_spread);
    add_node(&r, "n1", 4000);
    add_pod(&r, "p", 1000, solo, false);
    start(&r);
    uint64_t sessions = stats_of(&r).sessions;
    run_for(&r, 600 * MU_NS_PER_S);
    assert_int_equal(stats_of(&r).sessions, sessions);
    rig_fini(&r);
}

static void keep_line(void *context, enum mu_log_level level, const char *line, uint32_t len)
{
    (void)level;
    (void)snprintf(context, 512, "%.*s", (int)len, line);
}

/* Whoever has to find it knows which object it is. */
static void test_scheduler_feed__object_not_readable__skipped_counted_and_named(void **state)
{
    static char line[512];
    const struct mu_log_config log = {.sink = keep_line, .sink_context = line};
    const struct mu_log_config usual = {.level = MU_LOG_INFO};
    uint8_t raw[128];
    struct rig r;
    (void)state;
    rig_init(&r, &mu_profile_spread);
    struct mu_reflector_sink sink = mu_feed_sink(r.scheduler, MU_DB_PODS);
    Kube__ObjectMeta meta = KUBE__OBJECT_META__INIT;
    Kube__Pod pod = KUBE__POD__INIT;
    meta.name = (char[]){"odd"};
    meta.namespace_ = (char[]){"team"}; /* and no UID */
    pod.metadata = &meta;
    uint32_t len = (uint32_t)kube__pod__pack(&pod, raw);
    mu_log_configure(&log);
    assert_int_equal(sink.upsert(sink.context, (struct mu_str){(const char *)raw, len}, 1, 0), 0);
    assert_non_null(strstr(line, "event=\"pod skipped\" namespace=team name=odd "));
    assert_int_equal(sink.upsert(sink.context, MU_STR("\xff"), 1, 0), 0);
    assert_non_null(strstr(line, "name=(unknown)"));
    mu_log_configure(&usual);
    assert_int_equal(stats_of(&r).bad_objects, 2);
    rig_fini(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_scheduler__solo_pod__is_bound_under_a_plan),
        cmocka_unit_test(test_scheduler__namespaces_not_listed__nothing_is_decided),
        cmocka_unit_test(test_scheduler__budgets_not_listed__nothing_is_decided),
        cmocka_unit_test(test_scheduler__budgets__followed),
        cmocka_unit_test(test_scheduler__namespaces__followed),
        cmocka_unit_test(test_scheduler__shared_devices__travel_with_the_binding),
        cmocka_unit_test(test_scheduler__gang_without_room__waits_whole_until_a_node_comes),
        cmocka_unit_test(test_scheduler__incomplete_gang__waits_for_its_members),
        cmocka_unit_test(test_scheduler__unsized_gang__is_placed_after_its_quiet_time),
        cmocka_unit_test(test_scheduler__gated_pod__is_never_bound),
        cmocka_unit_test(test_scheduler__lost_reply_of_a_landed_bind__is_settled_once),
        cmocka_unit_test(test_scheduler__lost_requests__are_repeated_until_bound),
        cmocka_unit_test(test_scheduler__pod_changed_under_a_plan__is_planned_again),
        cmocka_unit_test(test_scheduler__denied_bind__is_repeated_with_backoff),
        cmocka_unit_test(test_scheduler__member_changes_under_an_open_claim__nobody_passes_it),
        cmocka_unit_test(test_scheduler__member_grows_beyond_bounds__nothing_leaks),
        cmocka_unit_test(test_scheduler_drain__nothing_new_is_decided),
        cmocka_unit_test(test_scheduler__idle__has_nothing_to_do),
        cmocka_unit_test(test_scheduler_feed__object_not_readable__skipped_counted_and_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
