/*
 * What the ring tells the pods, end to end on the embedded API server: condition and events as
 * kubectl reads them, how often, and that telling does not disturb the binding.
 */
#include "tests/scheduler_rig.h"

#include <stdlib.h>

#define RATE 100u

/* GET as JSON; NUL-terminated, free with mu_buf_fini. */
static struct mu_buf get_json(struct rig *r, const char *url)
{
    const char *mark = strchr(url, '?');
    struct mu_api_request request = {.method = MU_GET,
                                     .path = mu_str_of(url),
                                     .query = mu_str_of(mark == NULL ? "" : mark + 1),
                                     .accept = MU_STR("application/json")};
    struct mu_api_response response = {0};
    if (mark != NULL)
        request.path.len = (uint32_t)(mark - url);
    mu_apiserver_handle(r->server, &request, r->now_ns, &response);
    assert_int_equal(response.status, 200);
    assert_int_equal(mu_buf_append(&response.body, "", 1), 0);
    return response.body;
}

/* The text of a JSON string member after `from`, "" where there is none. */
static const char *member(const char *from, const char *key, char *out, size_t size)
{
    char quoted[64];
    (void)snprintf(quoted, sizeof quoted, "\"%s\":\"", key);
    const char *at = strstr(from, quoted);
    out[0] = '\0';
    if (at == NULL)
        return out;
    at += strlen(quoted);
    (void)snprintf(out, size, "%.*s", (int)strcspn(at, "\""), at);
    return out;
}

/* The pod carries PodScheduled=False with this reason and message. */
static void assert_condition(struct rig *r, const char *pod, const char *reason,
                             const char *message)
{
    char path[320], text[2048];
    (void)snprintf(path, sizeof path, "/api/v1/namespaces/default/pods/%s", pod);
    struct mu_buf body = get_json(r, path);
    const char *conditions = strstr((const char *)body.data, "\"conditions\":");
    assert_non_null(conditions);
    assert_string_equal(member(conditions, "reason", text, sizeof text), reason);
    assert_string_equal(member(conditions, "message", text, sizeof text), message);
    assert_string_equal(member(conditions, "status", text, sizeof text), "False");
    mu_buf_fini(&body);
}

/* How often the pod's object shows the text. */
static uint32_t pod_shows(struct rig *r, const char *pod, const char *text)
{
    char path[320];
    uint32_t count = 0;
    (void)snprintf(path, sizeof path, "/api/v1/namespaces/default/pods/%s", pod);
    struct mu_buf body = get_json(r, path);
    for (const char *at = (const char *)body.data; (at = strstr(at, text)) != NULL; at++)
        count++;
    mu_buf_fini(&body);
    return count;
}

static void test_scheduler_report__pod_without_room__condition_and_event_once(void **state)
{
    static const char message[] = "0/3 nodes are available: 1 Insufficient cpu, 1 node(s) had "
                                  "untolerated taint {team: red}, 1 node(s) were unschedulable.";
    struct rig r;
    char text[1024];
    (void)state;
    rig_init_reporting(&r, &mu_profile_spread, RATE);
    add_node(&r, "n1", 1000);
    add_tainted(&r, "n2", true);
    add_tainted(&r, "n3", false);
    add_pod(&r, "p", 8000, solo, false);
    start(&r);
    run_for(&r, 2 * MU_NS_PER_S);
    assert_condition(&r, "p", "Unschedulable", message);
    struct mu_buf body = get_json(&r, "/api/v1/namespaces/default/events"
                                      "?fieldSelector=involvedObject.name%3Dp");
    const char *event = strstr((const char *)body.data, "\"items\":");
    assert_non_null(event);
    assert_string_equal(member(event, "message", text, sizeof text), message);
    assert_string_equal(member(event, "reason", text, sizeof text), "FailedScheduling");
    assert_string_equal(member(event, "type", text, sizeof text), "Warning");
    assert_string_equal(member(event, "action", text, sizeof text), "Scheduling");
    assert_string_equal(member(event, "reportingComponent", text, sizeof text), "muster");
    assert_string_equal(member(event, "reportingInstance", text, sizeof text), "musterd-host");
    mu_buf_fini(&body);
    assert_int_equal(r.conditions, 1);
    assert_int_equal(r.events, 1);
    /* At rest nothing more is sent, and nothing more is thought about. */
    struct mu_scheduler_stats before = stats_of(&r);
    run_for(&r, 3600 * MU_NS_PER_S);
    assert_int_equal(r.conditions + r.events + r.series, 2);
    assert_int_equal(stats_of(&r).sessions, before.sessions);
    rig_fini(&r);
}

static void test_scheduler_report__bound_pod__is_an_event(void **state)
{
    struct rig r;
    char text[1024];
    (void)state;
    rig_init_reporting(&r, &mu_profile_spread, RATE);
    add_node(&r, "n1", 4000);
    add_pod(&r, "p", 1000, solo, false);
    start(&r);
    struct mu_buf body = get_json(&r, "/api/v1/namespaces/default/events");
    const char *event = strstr((const char *)body.data, "\"items\":");
    assert_non_null(event);
    assert_string_equal(member(event, "message", text, sizeof text),
                        "Successfully assigned default/p to n1");
    assert_string_equal(member(event, "reason", text, sizeof text), "Scheduled");
    assert_string_equal(member(event, "type", text, sizeof text), "Normal");
    assert_string_equal(member(event, "action", text, sizeof text), "Binding");
    assert_true(strncmp(member(event, "name", text, sizeof text), "p.", 2) == 0);
    assert_non_null(strstr(event, "\"kind\":\"Pod\""));
    mu_buf_fini(&body);
    assert_int_equal(r.events, 1);
    assert_int_equal(r.conditions, 0);
    rig_fini(&r);
}

static void test_scheduler_report__gangs__tell_their_story(void **state)
{
    struct rig r;
    (void)state;
    rig_init_reporting(&r, &mu_profile_pack, RATE);
    add_node(&r, "n1", 2000);
    add_node(&r, "n2", 500);
    start(&r);
    add_pod(&r, "few-0", 100, gang_of("few", 4), false);
    add_pod(&r, "few-1", 100, gang_of("few", 4), false);
    for (int i = 0; i < 3; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "big-%d", i);
        add_pod(&r, name, 1000, gang_of("big", 3), false);
    }
    add_pod(&r, "half-0", 100, gang_of("half", 2), false);
    add_pod(&r, "half-1", 100, gang_of("half", 2), true);
    run_for(&r, 3 * MU_NS_PER_S);
    assert_int_equal(tally(&r).bound, 0);
    assert_condition(&r, "few-1", "Unschedulable",
                     "gang default/few waits for 2 more of its 4 members");
    for (int i = 0; i < 3; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "big-%d", i);
        assert_condition(&r, name, "Unschedulable",
                         "0/2 nodes are available: 2 Insufficient cpu. gang default/big: 2 of 3 "
                         "placed; the other one needs cpu: 1 free on one node.");
    }
    assert_condition(&r, "half-0", "Unschedulable",
                     "gang default/half waits for 1 member with scheduling gates");
    assert_int_equal(pod_shows(&r, "half-1", "SchedulingGated"), 1); /* the server's own */
    assert_int_equal(pod_shows(&r, "half-1", "Unschedulable"), 0);
    assert_int_equal(r.conditions, 6);
    rig_fini(&r);
}

static void test_scheduler_report__transient_waits__are_not_told(void **state)
{
    struct rig r;
    (void)state;
    rig_init_reporting(&r, &mu_profile_spread, RATE);
    add_node(&r, "n1", 8000);
    start(&r);
    add_pod(&r, "q0", 100, gang_of("q", 0), false); /* quiet time: 1 s */
    add_pod(&r, "g0", 100, gang_of("g", 2), false);
    run_for(&r, 300 * MU_NS_PER_MS);
    add_pod(&r, "g1", 100, gang_of("g", 2), false);
    run_for(&r, 60 * MU_NS_PER_S);
    assert_int_equal(tally(&r).bound, 3);
    assert_int_equal(r.conditions, 0);
    assert_int_equal(r.events, 3);
    rig_fini(&r);
}

/* What begins as the normal course of things and ends in earnest is told as soon as anything else.
 */
static void test_scheduler_report__quiet_gang_without_room__told_when_it_has_none(void **state)
{
    struct rig r;
    (void)state;
    rig_init_reporting(&r, &mu_profile_spread, RATE);
    add_node(&r, "n1", 1000);
    start(&r);
    add_pod(&r, "q0", 1000, gang_of("q", 0), false); /* quiet time: 1 s */
    add_pod(&r, "q1", 1000, gang_of("q", 0), false);
    run_for(&r, 1200 * MU_NS_PER_MS);
    assert_int_equal(r.conditions, 0);
    run_for(&r, 800 * MU_NS_PER_MS);
    assert_int_equal(r.conditions, 2);
    rig_fini(&r);
}

static enum hook_answer forbid_all(uint32_t nth)
{
    (void)nth;
    return FORBID;
}

static void test_scheduler_report__denied_binding__is_told_and_waits_its_time(void **state)
{
    struct rig r;
    (void)state;
    rig_init_reporting(&r, &mu_profile_spread, RATE);
    r.hook = forbid_all;
    add_node(&r, "n1", 4000);
    add_pod(&r, "p", 1000, solo, false);
    start(&r);
    run_for(&r, 62 * MU_NS_PER_S);
    assert_condition(&r, "p", "SchedulerError",
                     "the API server refuses the binding; it is tried again");
    assert_int_equal(r.conditions, 1);
    /* 0, 1, 3, 7, 15, 31 s and so on: our own write to the pod is no reason to try earlier. */
    assert_int_equal(r.bindings, 6);
    rig_fini(&r);
}

/* --- reports and binds ----------------------------------------------------------------------- */

/* Somebody writes to the pod's status. */
static void touch_pod(struct rig *r, const char *pod, const char *condition)
{
    char path[320], body[256];
    (void)snprintf(path, sizeof path, "/api/v1/namespaces/default/pods/%s/status", pod);
    (void)snprintf(body, sizeof body,
                   "{\"status\":{\"conditions\":[{\"type\":\"%s\",\"status\":\"True\"}]}}",
                   condition);
    struct mu_api_request request = {.method = MU_PATCH,
                                     .path = mu_str_of(path),
                                     .content = MU_MEDIA_STRATEGIC_PATCH,
                                     .body = mu_str_of(body)};
    struct mu_api_response response = {0};
    mu_apiserver_handle(r->server, &request, r->now_ns, &response);
    assert_int_equal(response.status, 200);
    mu_buf_fini(&response.body);
}

static void touch_before_first_binding(struct rig *r)
{
    r->before_binding = NULL;
    touch_pod(r, "g1", "example.com/Touched");
    touch_pod(r, "g0", "example.com/Touched");
}

static void test_scheduler_report__status_write_overtakes_a_bind__bound_at_once(void **state)
{
    struct rig r;
    (void)state;
    rig_init_reporting(&r, &mu_profile_spread, RATE);
    add_node(&r, "n1", 4000);
    start(&r);
    r.before_binding = touch_before_first_binding;
    add_pod(&r, "g0", 1000, gang_of("g", 2), false);
    add_pod(&r, "g1", 1000, gang_of("g", 2), false);
    run_for(&r, 300 * MU_NS_PER_MS);
    assert_true(stats_of(&r).binder.conflicts > 0);
    assert_int_equal(tally(&r).bound, 2);
    assert_int_equal(stats_of(&r).db.ledger, 0);
    rig_fini(&r);
}

static void test_scheduler_report__status_write_overtakes_a_plan__planned_at_once(void **state)
{
    struct rig r;
    const struct mu_plan *plan;
    (void)state;
    rig_init_reporting(&r, &mu_profile_spread, RATE);
    add_node(&r, "n1", 4000);
    start(&r);
    add_pod(&r, "p", 1000, solo, false);
    pull_watches(&r);
    r.now_ns += 10 * MU_NS_PER_MS;
    struct mu_snapshot *snapshot = mu_scheduler_take_snapshot(r.scheduler, r.now_ns);
    assert_non_null(snapshot);
    assert_int_equal(mu_session_run(r.session, snapshot, r.now_ns, &plan), 0);
    assert_int_equal(plan->gang_count, 1);
    touch_pod(&r, "p", "example.com/Touched");
    pull_watches(&r);
    mu_scheduler_give_plan(r.scheduler, snapshot, plan, r.now_ns, &r.outbox);
    assert_int_equal(stats_of(&r).plans_conflicted, 1);
    run_for(&r, 100 * MU_NS_PER_MS);
    assert_int_equal(tally(&r).bound, 1);
    assert_int_equal(stats_of(&r).binder.conflicts, 0);
    rig_fini(&r);
}

static void test_scheduler_report__status_write_alone__starts_no_session(void **state)
{
    struct rig r;
    (void)state;
    rig_init(&r, &mu_profile_spread);
    add_node(&r, "n1", 1000);
    add_pod(&r, "p", 8000, solo, false);
    start(&r);
    struct mu_scheduler_stats before = stats_of(&r);
    touch_pod(&r, "p", "example.com/Touched");
    run_for(&r, 60 * MU_NS_PER_S);
    assert_int_equal(stats_of(&r).sessions, before.sessions);
    assert_int_equal(stats_of(&r).db.versions_moved, before.db.versions_moved + 1);
    assert_int_equal(stats_of(&r).db.generation, before.db.generation);
    add_node(&r, "n2", 8000); /* the next plan knows the version all the same */
    run_for(&r, MU_NS_PER_S);
    assert_int_equal(tally(&r).bound, 1);
    assert_int_equal(stats_of(&r).binder.conflicts, 0);
    rig_fini(&r);
}

static void test_scheduler_report__session_under_way__conditions_are_held(void **state)
{
    struct rig r;
    const struct mu_plan *plan;
    (void)state;
    rig_init_reporting(&r, &mu_profile_spread, RATE);
    add_node(&r, "n1", 1000);
    start(&r);
    add_pod(&r, "p", 4000, solo, false);
    run_for(&r, 400 * MU_NS_PER_MS); /* seen, not told yet */
    add_node(&r, "n2", 8000);
    pull_watches(&r);
    r.now_ns += 10 * MU_NS_PER_MS;
    struct mu_snapshot *snapshot = mu_scheduler_take_snapshot(r.scheduler, r.now_ns);
    assert_non_null(snapshot);
    assert_int_equal(mu_session_run(r.session, snapshot, r.now_ns, &plan), 0);
    for (int i = 0; i < 10; i++) {
        r.now_ns += MU_NS_PER_S;
        mu_scheduler_tick(r.scheduler, r.now_ns, &r.outbox);
    }
    mu_scheduler_give_plan(r.scheduler, snapshot, plan, r.now_ns, &r.outbox);
    run_for(&r, 10 * MU_NS_PER_S);
    assert_int_equal(tally(&r).bound, 1);
    assert_int_equal(r.conditions, 0);
    rig_fini(&r);
}

/* --- faults ---------------------------------------------------------------------------------- */

static enum hook_answer lose_some(struct rig *r, const struct mu_request *request)
{
    static const enum hook_answer answers[] = {LOSE_REPLY, LOSE_REQUEST, PASS};
    (void)request;
    return answers[(r->conditions + r->events) % 3];
}

static void test_scheduler_report__lost_requests_and_replies__told_once_in_the_end(void **state)
{
    struct rig r;
    (void)state;
    rig_init_reporting(&r, &mu_profile_spread, RATE);
    r.report_hook = lose_some;
    add_node(&r, "n1", 1000);
    for (int i = 0; i < 5; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "p%d", i);
        add_pod(&r, name, 8000, solo, false);
    }
    start(&r);
    run_for(&r, 600 * MU_NS_PER_S);
    for (int i = 0; i < 5; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "p%d", i);
        assert_condition(&r, name, "Unschedulable", "0/1 nodes are available: 1 Insufficient cpu.");
        assert_int_equal(pod_shows(&r, name, "PodScheduled"), 1);
    }
    struct mu_buf body = get_json(&r, "/api/v1/namespaces/default/events");
    uint32_t count = 0;
    for (const char *at = (const char *)body.data; (at = strstr(at, "\"message\":\"0/1")) != NULL;
         at++)
        count++;
    mu_buf_fini(&body);
    assert_int_equal(count, 5);
    assert_int_equal(stats_of(&r).reporter.in_flight, 0);
    rig_fini(&r);
}

static void test_scheduler_report__restart__does_not_tell_again(void **state)
{
    struct rig first;
    (void)state;
    rig_init_reporting(&first, &mu_profile_spread, RATE);
    add_node(&first, "n1", 1000);
    add_pod(&first, "p", 8000, solo, false);
    start(&first);
    run_for(&first, 10 * MU_NS_PER_S);
    assert_int_equal(first.conditions, 1);
    rig_restart(&first, &mu_profile_spread, RATE);
    start(&first);
    run_for(&first, 600 * MU_NS_PER_S);
    assert_int_equal(first.conditions, 1);
    assert_int_equal(first.events, 1);
    assert_int_equal(stats_of(&first).reporter.conditions_same, 1);
    rig_fini(&first);
}

/* --- many ------------------------------------------------------------------------------------ */

enum { MANY = 8000 };

static void test_scheduler_report__node_comes_to_many_waiting_pods__no_flood(void **state)
{
    struct rig r;
    (void)state;
    rig_init_reporting(&r, &mu_profile_spread, RATE);
    add_node(&r, "n1", 1000);
    start(&r);
    for (int i = 0; i < MANY; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "p%d", i);
        add_pod(&r, name, 8000, solo, false);
    }
    uint64_t begin_ns = r.now_ns;
    while (r.conditions < MANY && r.now_ns < begin_ns + 400 * MU_NS_PER_S) {
        run_for(&r, MU_NS_PER_S);
        uint64_t seconds = (r.now_ns - begin_ns) / MU_NS_PER_S;
        assert_true(r.conditions + r.events <= 2 * RATE + RATE * seconds + 1);
    }
    assert_int_equal(r.conditions, MANY); /* 16,000 writes at 100 a second */
    assert_in_range((r.now_ns - begin_ns) / MU_NS_PER_S, 150, 165);
    run_for(&r, 10 * MU_NS_PER_S);
    uint32_t told = r.conditions + r.events + r.series;
    uint64_t sessions = stats_of(&r).sessions;
    add_node(&r, "n2", 1000); /* 0/2 instead of 0/1 */
    run_for(&r, 100 * MU_NS_PER_S);
    assert_int_equal(r.conditions + r.events + r.series, told);
    assert_true(stats_of(&r).sessions - sessions <= 10);
    uint64_t from_ns = r.now_ns;
    run_for(&r, 400 * MU_NS_PER_S); /* after 5 minutes, at the same rate */
    assert_condition(&r, "p0", "Unschedulable", "0/2 nodes are available: 2 Insufficient cpu.");
    assert_true(r.conditions + r.events + r.series - told <=
                2 * RATE + RATE * (r.now_ns - from_ns) / MU_NS_PER_S);
    assert_int_equal(r.conditions, 2 * MANY);
    rig_fini(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_scheduler_report__pod_without_room__condition_and_event_once),
        cmocka_unit_test(test_scheduler_report__bound_pod__is_an_event),
        cmocka_unit_test(test_scheduler_report__gangs__tell_their_story),
        cmocka_unit_test(test_scheduler_report__transient_waits__are_not_told),
        cmocka_unit_test(test_scheduler_report__quiet_gang_without_room__told_when_it_has_none),
        cmocka_unit_test(test_scheduler_report__denied_binding__is_told_and_waits_its_time),
        cmocka_unit_test(test_scheduler_report__status_write_overtakes_a_bind__bound_at_once),
        cmocka_unit_test(test_scheduler_report__status_write_overtakes_a_plan__planned_at_once),
        cmocka_unit_test(test_scheduler_report__status_write_alone__starts_no_session),
        cmocka_unit_test(test_scheduler_report__session_under_way__conditions_are_held),
        cmocka_unit_test(test_scheduler_report__lost_requests_and_replies__told_once_in_the_end),
        cmocka_unit_test(test_scheduler_report__restart__does_not_tell_again),
        cmocka_unit_test(test_scheduler_report__node_comes_to_many_waiting_pods__no_flood),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
