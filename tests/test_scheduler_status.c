/* What users see of a gang in its group object, on the embedded API server: each dialect in its own
 * fields, written once, and read by nobody as news. */
#include "tests/scheduler_rig.h"

#include <jansson.h>

enum { RATE = 100 };

struct dialect {
    const char *api, *spec, *spec_end; /* of the group, around its minimum */
    const char *label, *annotation;    /* of a pod; neither: spec.schedulingGroup */
};
static const struct dialect native = {"/apis/scheduling.k8s.io/v1beta1",
                                      "\"schedulingPolicy\":{\"gang\":{\"minCount\":", "}}", "",
                                      ""};
static const struct dialect coscheduling = {"/apis/scheduling.x-k8s.io/v1alpha1",
                                            "\"minMember\":", "", "scheduling.x-k8s.io/pod-group",
                                            ""};
static const struct dialect volcano = {"/apis/scheduling.volcano.sh/v1beta1", "\"minMember\":", "",
                                       "", "scheduling.k8s.io/group-name"};

static int send(struct rig *r, enum mu_method method, const char *path, enum mu_media content,
                const char *text)
{
    const struct mu_api_request request = {
        .method = method, .path = mu_str_of(path), .content = content, .body = mu_str_of(text)};
    struct mu_api_response response = {0};
    mu_apiserver_handle(r->server, &request, r->now_ns, &response);
    mu_buf_fini(&response.body);
    mu_buf_fini(&response.warnings);
    return response.status;
}

static void post_group(struct rig *r, const struct dialect *d, const char *name, uint32_t min)
{
    char path[128], spec[128], text[256];
    (void)snprintf(path, sizeof path, "%s/namespaces/default/podgroups", d->api);
    (void)snprintf(spec, sizeof spec, "%s%u%s", d->spec, min, d->spec_end);
    (void)snprintf(text, sizeof text, "{\"metadata\":{\"name\":\"%s\"},\"spec\":{%s}}", name, spec);
    assert_int_equal(send(r, MU_POST, path, MU_MEDIA_JSON, text), 201);
}

/* Member `number` of gang `name`: pod "<name>-<number>" of two cpus. */
static void post_member(struct rig *r, const struct dialect *d, const char *name, uint32_t number)
{
    char text[768], link[128] = "", group[96] = "";
    if (d->label[0] != '\0')
        (void)snprintf(link, sizeof link, ",\"labels\":{\"%s\":\"%s\"}", d->label, name);
    else if (d->annotation[0] != '\0')
        (void)snprintf(link, sizeof link, ",\"annotations\":{\"%s\":\"%s\"}", d->annotation, name);
    else
        (void)snprintf(group, sizeof group, "\"schedulingGroup\":{\"podGroupName\":\"%s\"},", name);
    (void)snprintf(text, sizeof text,
                   "{\"metadata\":{\"name\":\"%s-%u\"%s},\"spec\":{%s\"schedulerName\":\"muster\","
                   "\"containers\":[{\"name\":\"c\",\"image\":\"i\",\"resources\":{\"requests\":{"
                   "\"cpu\":\"2\"}}}]}}",
                   name, number, link, group);
    assert_int_equal(send(r, MU_POST, "/api/v1/namespaces/default/pods", MU_MEDIA_JSON, text), 201);
}

/* As its kubelet does. */
static void run_pod(struct rig *r, const char *name, uint32_t number)
{
    char path[160];
    (void)snprintf(path, sizeof path, "/api/v1/namespaces/default/pods/%s-%u/status", name, number);
    assert_int_equal(
        send(r, MU_PATCH, path, MU_MEDIA_STRATEGIC_PATCH, "{\"status\":{\"phase\":\"Running\"}}"),
        200);
}

/* The status of a group; json_decref. */
static json_t *status_of(struct rig *r, const struct dialect *d, const char *name)
{
    char path[160];
    (void)snprintf(path, sizeof path, "%s/namespaces/default/podgroups/%s", d->api, name);
    const struct mu_api_request request = {
        .method = MU_GET, .path = mu_str_of(path), .accept = MU_STR("application/json")};
    struct mu_api_response response = {0};
    mu_apiserver_handle(r->server, &request, r->now_ns, &response);
    assert_int_equal(response.status, 200);
    json_t *tree = json_loadb((const char *)response.body.data, response.body.len, 0, NULL);
    assert_non_null(tree);
    json_t *status = json_incref(json_object_get(tree, "status"));
    json_decref(tree);
    mu_buf_fini(&response.body);
    return status;
}

static const char *text_at(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text == NULL ? "" : text;
}

static void assert_condition(struct rig *r, const struct dialect *d, const char *type,
                             const char *value, const char *reason, const char *message)
{
    json_t *status = status_of(r, d, "g");
    json_t *conditions = json_object_get(status, "conditions");
    assert_int_equal(json_array_size(conditions), 1);
    const json_t *condition = json_array_get(conditions, 0);
    assert_string_equal(text_at(condition, "type"), type);
    assert_string_equal(text_at(condition, "status"), value);
    assert_string_equal(text_at(condition, "reason"), reason);
    assert_string_equal(text_at(condition, "message"), message);
    assert_true(strlen(text_at(condition, "lastTransitionTime")) > 0);
    json_decref(status);
}

static void assert_phase(struct rig *r, const struct dialect *d, const char *phase, int running)
{
    json_t *status = status_of(r, d, "g");
    assert_string_equal(text_at(status, "phase"), phase);
    assert_int_equal(json_integer_value(json_object_get(status, "running")), running);
    json_decref(status);
}

#define STORY                                                                                      \
    "0/1 nodes are available: 1 Insufficient cpu. gang default/g: 1 of 2 placed; the other one "   \
    "needs cpu: 2 free on one node."

/* Gang g of two on a node with room for one of them, told so. */
static void start_short(struct rig *r, const struct dialect *d)
{
    rig_init_reporting(r, &mu_profile_spread, RATE);
    add_node(r, "n1", 3000);
    post_group(r, d, "g", 2);
    post_member(r, d, "g", 0);
    post_member(r, d, "g", 1);
    start(r);
    run_for(r, 3 * MU_NS_PER_S);
}

static void test_status_native__story_then_true_for_good(void **state)
{
    struct rig r;
    (void)state;
    start_short(&r, &native);
    assert_condition(&r, &native, "PodGroupInitiallyScheduled", "False", "Unschedulable", STORY);
    assert_int_equal(r.group_writes, 1);
    add_node(&r, "n2", 3000);
    run_for(&r, 10 * MU_NS_PER_S);
    assert_int_equal(tally(&r).bound, 2);
    assert_condition(&r, &native, "PodGroupInitiallyScheduled", "True", "Scheduled", "");
    assert_int_equal(r.group_writes, 2);
    /* A member ends, another comes and finds no room: nothing is taken back. */
    assert_int_equal(send(&r, MU_DELETE, "/api/v1/namespaces/default/pods/g-0", MU_MEDIA_JSON,
                          "{\"gracePeriodSeconds\":0}"),
                     200);
    add_pod(&r, "big", 2000, solo, false);
    run_for(&r, MU_NS_PER_S);
    post_member(&r, &native, "g", 2);
    run_for(&r, 60 * MU_NS_PER_S);
    assert_condition(&r, &native, "PodGroupInitiallyScheduled", "True", "Scheduled", "");
    assert_int_equal(r.group_writes, 2);
    rig_fini(&r);
}

static void test_status_coscheduling__phases_as_its_controller(void **state)
{
    struct rig r;
    (void)state;
    rig_init_reporting(&r, &mu_profile_spread, RATE);
    add_node(&r, "n1", 3000);
    post_group(&r, &coscheduling, "g", 2);
    post_member(&r, &coscheduling, "g", 0);
    start(&r);
    run_for(&r, 10 * MU_NS_PER_S);
    assert_phase(&r, &coscheduling, "Pending", 0);
    post_member(&r, &coscheduling, "g", 1);
    run_for(&r, 10 * MU_NS_PER_S);
    assert_phase(&r, &coscheduling, "Scheduling", 0);
    json_t *status = status_of(&r, &coscheduling, "g");
    char begun[64];
    (void)snprintf(begun, sizeof begun, "%s", text_at(status, "scheduleStartTime"));
    assert_true(strlen(begun) > 0);
    json_decref(status);
    add_node(&r, "n2", 3000);
    run_for(&r, 10 * MU_NS_PER_S);
    assert_phase(&r, &coscheduling, "Scheduling", 0); /* bound; nothing runs yet */
    run_pod(&r, "g", 0);
    run_for(&r, 30 * MU_NS_PER_S);
    assert_phase(&r, &coscheduling, "Scheduling", 1);
    run_pod(&r, "g", 1);
    run_for(&r, 30 * MU_NS_PER_S);
    assert_phase(&r, &coscheduling, "Running", 2);
    status = status_of(&r, &coscheduling, "g");
    assert_string_equal(text_at(status, "scheduleStartTime"), begun);
    json_decref(status);
    assert_int_equal(r.group_writes, 4); /* one for each thing that has changed */
    rig_fini(&r);
}

static void test_status_volcano__queued_then_running(void **state)
{
    struct rig r;
    (void)state;
    start_short(&r, &volcano);
    assert_phase(&r, &volcano, "Inqueue", 0);
    assert_condition(&r, &volcano, "Unschedulable", "True", "NotEnoughResources", STORY);
    add_node(&r, "n2", 3000);
    run_for(&r, 10 * MU_NS_PER_S);
    assert_phase(&r, &volcano, "Running", 0);
    assert_condition(&r, &volcano, "Scheduled", "True", "tasks in gang are ready to be scheduled",
                     "");
    run_pod(&r, "g", 0);
    run_pod(&r, "g", 1);
    run_for(&r, 30 * MU_NS_PER_S);
    assert_phase(&r, &volcano, "Running", 2);
    assert_int_equal(r.group_writes, 3);
    rig_fini(&r);
}

/* Somebody else's groups, and groups that nobody has joined, are left alone. */
static void test_status__no_pods_of_ours__nothing_written(void **state)
{
    struct rig r;
    (void)state;
    rig_init_reporting(&r, &mu_profile_spread, RATE);
    add_node(&r, "n1", 8000);
    post_group(&r, &volcano, "other", 1);
    post_group(&r, &volcano, "g", 1);
    post_member(&r, &volcano, "g", 0); /* the kind is watched from now on */
    start(&r);
    run_for(&r, 60 * MU_NS_PER_S);
    assert_int_equal(r.group_writes, 1);
    json_t *status = status_of(&r, &volcano, "other");
    assert_string_equal(text_at(status, "phase"), "");
    json_decref(status);
    rig_fini(&r);
}

static void test_status__own_writes__start_no_session(void **state)
{
    struct rig r;
    (void)state;
    start_short(&r, &native);
    struct mu_scheduler_stats before = stats_of(&r);
    assert_int_equal(before.reporter.groups, 1);
    assert_int_equal(send(&r, MU_PATCH,
                          "/apis/scheduling.k8s.io/v1beta1/namespaces/default/podgroups/g/status",
                          MU_MEDIA_STRATEGIC_PATCH,
                          "{\"status\":{\"conditions\":[{\"type\":\"Mine\",\"status\":\"True\","
                          "\"reason\":\"r\",\"message\":\"\",\"lastTransitionTime\":"
                          "\"2026-01-01T00:00:00Z\"}]}}"),
                     200);
    run_for(&r, 600 * MU_NS_PER_S);
    struct mu_scheduler_stats after = stats_of(&r);
    assert_int_equal(after.sessions, before.sessions);
    assert_int_equal(after.db.generation, before.db.generation);
    assert_int_equal(r.group_writes, 1);
    rig_fini(&r);
}

static void test_status__restart__says_nothing_again(void **state)
{
    struct rig r;
    (void)state;
    rig_init_reporting(&r, &mu_profile_spread, RATE);
    add_node(&r, "n1", 3000);
    post_group(&r, &volcano, "h", 1);
    post_member(&r, &volcano, "h", 0); /* bound and told */
    start(&r);
    post_group(&r, &volcano, "g", 2);
    post_member(&r, &volcano, "g", 0);
    post_member(&r, &volcano, "g", 1);
    run_for(&r, 20 * MU_NS_PER_S);
    uint32_t writes = r.group_writes;
    assert_int_equal(writes, 2);
    rig_restart(&r, &mu_profile_spread, RATE);
    start(&r);
    run_for(&r, 600 * MU_NS_PER_S);
    assert_int_equal(r.group_writes, writes);
    assert_true(stats_of(&r).reporter.groups_same >= 2);
    rig_fini(&r);
}

enum { GANGS = 300 };

/* What each gang waits for is told once; a node that helps nobody changes numbers alone, a node
 * that helps one gang changes that one's. */
static void test_status__node_comes_to_many_gangs__only_what_changed(void **state)
{
    struct rig r;
    (void)state;
    rig_init_reporting(&r, &mu_profile_spread, 1000);
    add_node(&r, "n1", 1000);
    for (int i = 0; i < GANGS; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "g%d", i);
        post_group(&r, &native, name, 2);
        post_member(&r, &native, name, 0);
        post_member(&r, &native, name, 1);
    }
    start(&r);
    run_for(&r, 20 * MU_NS_PER_S);
    assert_int_equal(r.group_writes, GANGS);
    assert_int_equal(r.conditions, 2 * GANGS);
    assert_int_equal(r.events, 2 * GANGS);
    add_node(&r, "n2", 1000);
    run_for(&r, 60 * MU_NS_PER_S);
    assert_int_equal(r.group_writes, GANGS);
    assert_int_equal(r.conditions, 2 * GANGS);
    assert_int_equal(r.events + r.series, 2 * GANGS);
    add_node(&r, "n3", 4000);
    run_for(&r, 60 * MU_NS_PER_S);
    assert_int_equal(tally(&r).bound, 2);
    assert_int_equal(r.group_writes, GANGS + 1);
    assert_int_equal(r.conditions, 2 * GANGS);
    assert_int_equal(r.events + r.series, 2 * GANGS + 2); /* Scheduled */
    rig_fini(&r);
}

/* --- preemption ------------------------------------------------------------------------------- */

static void post_priority_class(struct rig *r, const char *name, int value)
{
    char text[128];
    (void)snprintf(text, sizeof text, "{\"metadata\":{\"name\":\"%s\"},\"value\":%d}", name, value);
    assert_int_equal(
        send(r, MU_POST, "/apis/scheduling.k8s.io/v1/priorityclasses", MU_MEDIA_JSON, text), 201);
}

/* A pod of two cpus with this class, of a gang of `size` if it has one (of Muster's own dialect).
 */
static void post_classed(struct rig *r, const char *name, const char *class_, const char *gang,
                         uint32_t size)
{
    char text[768], link[160] = "";
    if (gang[0] != '\0')
        (void)snprintf(link, sizeof link,
                       ",\"annotations\":{\"muster.dev/pod-group\":\"%s\","
                       "\"muster.dev/pod-group-size\":\"%u\"}",
                       gang, size);
    (void)snprintf(text, sizeof text,
                   "{\"metadata\":{\"name\":\"%s\"%s},\"spec\":{\"schedulerName\":\"muster\","
                   "\"priorityClassName\":\"%s\",\"containers\":[{\"name\":\"c\",\"image\":\"i\","
                   "\"resources\":{\"requests\":{\"cpu\":\"2\"}}}]}}",
                   name, link, class_);
    assert_int_equal(send(r, MU_POST, "/api/v1/namespaces/default/pods", MU_MEDIA_JSON, text), 201);
}

static json_t *get_json(struct rig *r, const char *path, const char *query)
{
    const struct mu_api_request request = {.method = MU_GET,
                                           .path = mu_str_of(path),
                                           .query = mu_str_of(query),
                                           .accept = MU_STR("application/json")};
    struct mu_api_response response = {0};
    mu_apiserver_handle(r->server, &request, r->now_ns, &response);
    assert_int_equal(response.status, 200);
    json_t *tree = json_loadb((const char *)response.body.data, response.body.len, 0, NULL);
    assert_non_null(tree);
    mu_buf_fini(&response.body);
    return tree;
}

static void assert_pod_told(struct rig *r, const char *pod, const char *type, const char *reason,
                            const char *message)
{
    char path[128];
    size_t i;
    json_t *condition;
    bool found = false;
    (void)snprintf(path, sizeof path, "/api/v1/namespaces/default/pods/%s", pod);
    json_t *tree = get_json(r, path, "");
    json_array_foreach(json_object_get(json_object_get(tree, "status"), "conditions"), i, condition)
    {
        if (strcmp(text_at(condition, "type"), type) != 0)
            continue;
        found = true;
        assert_string_equal(text_at(condition, "reason"), reason);
        assert_string_equal(text_at(condition, "message"), message);
    }
    assert_true(found);
    json_decref(tree);
}

/* The messages of a pod's events of one reason; how many there are. */
static uint32_t events_of(struct rig *r, const char *pod, const char *reason, char *message,
                          size_t size)
{
    char query[160];
    uint32_t count = 0;
    size_t i;
    json_t *event;
    (void)snprintf(query, sizeof query, "fieldSelector=involvedObject.name%%3D%s", pod);
    json_t *tree = get_json(r, "/api/v1/namespaces/default/events", query);
    json_array_foreach(json_object_get(tree, "items"), i, event)
    {
        if (strcmp(text_at(event, "reason"), reason) != 0)
            continue;
        count++;
        (void)snprintf(message, size, "%s", text_at(event, "message"));
    }
    json_decref(tree);
    return count;
}

/* Two nodes with a pod "v1" of class low on the first and "m2" of class mid on the second. */
static void start_full(struct rig *r)
{
    rig_init_reporting(r, &mu_profile_spread, RATE);
    r->preempts = true;
    rig_restart(r, &mu_profile_spread, RATE);
    post_priority_class(r, "low", 100);
    post_priority_class(r, "mid", 500);
    post_priority_class(r, "high", 1000);
    add_node(r, "n1", 2000);
    start(r);
    post_classed(r, "v1", "low", "", 0);
    run_for(r, MU_NS_PER_S);
    add_node(r, "n2", 2000);
    post_classed(r, "m2", "mid", "", 0);
    run_for(r, MU_NS_PER_S);
    assert_int_equal(tally(r).bound, 2);
}

static void test_status_preemption__victim_and_gang__both_are_told(void **state)
{
    struct rig r;
    char text[512];
    (void)state;
    start_full(&r);
    post_classed(&r, "big-0", "high", "big", 2);
    post_classed(&r, "big-1", "high", "big", 2);
    run_for(&r, 3 * MU_NS_PER_S); /* nobody plays the kubelet: victims take their time */
    assert_int_equal(stats_of(&r).victims, 2);
    assert_pod_told(&r, "v1", "DisruptionTarget", "PreemptionByScheduler",
                    "muster: preempting to accommodate a higher priority pod");
    assert_int_equal(events_of(&r, "v1", "Preempted", text, sizeof text), 1);
    assert_string_equal(text, "Preempted by gang default/big on node n1");
    assert_int_equal(events_of(&r, "m2", "Preempted", text, sizeof text), 1);
    assert_string_equal(text, "Preempted by gang default/big on node n2");
    assert_pod_told(&r, "big-1", "PodScheduled", "Unschedulable",
                    "gang default/big: preempting 2 pods of lower priority on n1, n2.");
    uint32_t told = r.conditions;
    run_for(&r, 20 * MU_NS_PER_S);
    assert_int_equal(r.conditions, told);
    rig_fini(&r);
}

static void test_status_preemption__lone_pod__named_by_its_uid(void **state)
{
    struct rig r;
    char text[512], expected[512];
    (void)state;
    start_full(&r);
    post_classed(&r, "p", "high", "", 0);
    run_for(&r, 3 * MU_NS_PER_S);
    json_t *pod = get_json(&r, "/api/v1/namespaces/default/pods/p", "");
    (void)snprintf(expected, sizeof expected, "Preempted by pod %s on node n1",
                   text_at(json_object_get(pod, "metadata"), "uid"));
    json_decref(pod);
    assert_int_equal(events_of(&r, "v1", "Preempted", text, sizeof text), 1);
    assert_string_equal(text, expected);
    assert_int_equal(events_of(&r, "m2", "Preempted", text, sizeof text), 0);
    assert_pod_told(&r, "p", "PodScheduled", "Unschedulable",
                    "preempting 1 pod of lower priority on n1.");
    rig_fini(&r);
}

/* No pending gang could preempt anybody; what would help is told all the same. */
static void test_status_preemption__unimportant_gang__told_from_which_priority_on(void **state)
{
    struct rig r;
    (void)state;
    start_full(&r);
    post_classed(&r, "g-0", "low", "g", 2);
    post_classed(&r, "g-1", "low", "g", 2);
    run_for(&r, 5 * MU_NS_PER_S);
    assert_pod_told(&r, "g-1", "PodScheduled", "Unschedulable",
                    "0/2 nodes are available: 2 Insufficient cpu. gang default/g: 0 of 2 placed; "
                    "the other 2 need cpu: 2 free on one node, or priority ≥ 501.");
    assert_int_equal(stats_of(&r).victims, 0);
    rig_fini(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_status_native__story_then_true_for_good),
        cmocka_unit_test(test_status_coscheduling__phases_as_its_controller),
        cmocka_unit_test(test_status_volcano__queued_then_running),
        cmocka_unit_test(test_status__no_pods_of_ours__nothing_written),
        cmocka_unit_test(test_status__own_writes__start_no_session),
        cmocka_unit_test(test_status__restart__says_nothing_again),
        cmocka_unit_test(test_status__node_comes_to_many_gangs__only_what_changed),
        cmocka_unit_test(test_status_preemption__victim_and_gang__both_are_told),
        cmocka_unit_test(test_status_preemption__lone_pod__named_by_its_uid),
        cmocka_unit_test(test_status_preemption__unimportant_gang__told_from_which_priority_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
