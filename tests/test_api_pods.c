/* Pods and nodes as clients see them: defaults, what simulated kubelets report, what may change. */
#include "tests/kubesim_fixture.h"
#include "tools/kubesim/shown.h"
#include "tools/workload/encode.h"

#define POD(name, extra)                                                                           \
    "{\"metadata\":{\"name\":\"" name "\"},\"spec\":{\"containers\":[{\"name\":\"c\",\"image\":"   \
    "\"i:1\"}]" extra "}}"

/* ---- defaults ----------------------------------------------------------------------------- */

static void test_pod_show__plain_pod__defaults_of_the_api(void **state)
{
    static const char *const parts[] = {
        "\"dnsPolicy\":\"ClusterFirst\"",
        "\"restartPolicy\":\"Always\"",
        "\"schedulerName\":\"default-scheduler\"",
        "\"terminationGracePeriodSeconds\":30",
        "\"enableServiceLinks\":true",
        "\"securityContext\":{}",
        "\"serviceAccountName\":\"default\"",
        "\"serviceAccount\":\"default\"",
        "\"terminationMessagePath\":\"/dev/termination-log\"",
        "\"terminationMessagePolicy\":\"File\"",
        "\"imagePullPolicy\":\"IfNotPresent\"",
        "\"resources\":{}",
        "\"qosClass\":\"BestEffort\"",
        "{\"key\":\"node.kubernetes.io/not-ready\",\"operator\":\"Exists\",\"effect\":"
        "\"NoExecute\",\"tolerationSeconds\":300}",
        "{\"key\":\"node.kubernetes.io/unreachable\",\"operator\":\"Exists\",\"effect\":"
        "\"NoExecute\",\"tolerationSeconds\":300}"};
    struct fixture *f = *state;
    expect(f, 201, MU_POST, FIXTURE_PODS, POD("p", ""));
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        has(f, parts[i]);
    }
    expect(f, 200, MU_GET, FIXTURE_PODS "?fieldSelector=spec.serviceAccountName%3Ddefault", NULL);
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        has(f, parts[i]);
    }
}

static void test_pod_show__own_values__stay(void **state)
{
    struct fixture *f = *state;
    expect(
        f, 201, MU_POST, FIXTURE_PODS,
        "{\"metadata\":{\"name\":\"p\"},\"spec\":{\"dnsPolicy\":\"None\",\"enableServiceLinks\":"
        "false,\"securityContext\":{\"runAsUser\":7},\"tolerations\":[{\"operator\":\"Exists\"}],"
        "\"containers\":[{\"name\":\"c\",\"image\":\"i\",\"terminationMessagePath\":\"/x\","
        "\"imagePullPolicy\":\"Never\"}]}}");
    has(f, "\"dnsPolicy\":\"None\"");
    has(f, "\"enableServiceLinks\":false");
    has(f, "\"runAsUser\":7");
    has(f, "\"terminationMessagePath\":\"/x\"");
    has(f, "\"imagePullPolicy\":\"Never\"");
    has_not(f, "not-ready");
    has_not(f, "ClusterFirst");
}

static void test_pod_show__image_names__pull_policy(void **state)
{
    static const struct {
        const char *image;
        bool always;
    } cases[] = {{"a", true},           {"a:latest", true}, {"r:5000/a", true},
                 {"r:5000/a:1", false}, {"a:1", false},     {"a@sha256:0", false}};
    struct fixture *f = *state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char body[300];
        (void)snprintf(body, sizeof body,
                       "{\"metadata\":{\"generateName\":\"p\"},\"spec\":{\"containers\":[{\"name\":"
                       "\"c\",\"image\":\"%s\"}]}}",
                       cases[i].image);
        expect(f, 201, MU_POST, FIXTURE_PODS, body);
        has(f, cases[i].always ? "\"imagePullPolicy\":\"Always\""
                               : "\"imagePullPolicy\":\"IfNotPresent\"");
    }
}

static void test_pod_create__qos_classes(void **state)
{
    static const struct {
        const char *resources, *class;
    } cases[] = {
        {"\"requests\":{\"cpu\":\"1\"}", "Burstable"},
        {"\"limits\":{\"cpu\":\"1\"}", "Burstable"},
        {"\"limits\":{\"cpu\":\"1\",\"memory\":\"1Gi\"}", "Guaranteed"},
        {"\"limits\":{\"cpu\":\"1\",\"memory\":\"1Gi\"},\"requests\":{\"memory\":\"1024Mi\"}",
         "Guaranteed"},
        {"\"limits\":{\"cpu\":\"1\",\"memory\":\"1Gi\"},\"requests\":{\"cpu\":\"500m\"}",
         "Burstable"},
        {"\"limits\":{\"x.io/gpu\":\"1\"}", "BestEffort"}};
    struct fixture *f = *state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char body[300];
        char class[64];
        (void)snprintf(body, sizeof body,
                       "{\"metadata\":{\"generateName\":\"p\"},\"spec\":{\"containers\":[{\"name\":"
                       "\"c\",\"image\":\"i\",\"resources\":{%s}}]}}",
                       cases[i].resources);
        (void)snprintf(class, sizeof class, "\"qosClass\":\"%s\"", cases[i].class);
        expect(f, 201, MU_POST, FIXTURE_PODS, body);
        has(f, class);
    }
}

static void test_pod_create__unknown_account__403(void **state)
{
    struct fixture *f = *state;
    expect(f, 403, MU_POST, FIXTURE_PODS, POD("p", ",\"serviceAccountName\":\"bot\""));
    has(f, "serviceaccount \\\"bot\\\" not found");
    expect(f, 201, MU_POST, "/api/v1/namespaces/default/serviceaccounts",
           "{\"metadata\":{\"name\":\"bot\"}}");
    expect(f, 201, MU_POST, FIXTURE_PODS, POD("p", ",\"serviceAccountName\":\"bot\""));
    has(f, "\"serviceAccount\":\"bot\"");
}

/* ---- kubelets ----------------------------------------------------------------------------- */

static void test_pod_show__runs_and_ends__containers_tell(void **state)
{
    struct fixture *f = *state;
    add_node(f, "n");
    expect(f, 201, MU_POST, FIXTURE_PODS,
           "{\"metadata\":{\"name\":\"p\",\"annotations\":{\"" MU_DURATION_ANNOTATION
           "\":\"5000\"}},\"spec\":{\"nodeName\":\"n\",\"initContainers\":[{\"name\":\"setup\","
           "\"image\":\"j\"}],\"containers\":[{\"name\":\"c\",\"image\":\"i\"}]}}");
    expect(f, 200, MU_GET, FIXTURE_PODS "/p", NULL);
    has_not(f, "containerStatuses");
    run_for(f, 2 * FIXTURE_SECOND);
    expect(f, 200, MU_GET, FIXTURE_PODS "/p", NULL);
    has(f, "\"phase\":\"Running\"");
    has(f, "\"podIP\":\"10.");
    has(f, "\"hostIP\":\"172.");
    has(f, "\"podIPs\":[{\"ip\":\"10.");
    has(f, "\"startTime\":\"2026-01-01T00:00:01Z\"");
    has(f, "\"state\":{\"running\":{\"startedAt\":\"2026-01-01T00:00:01Z\"}}");
    has(f, "\"ready\":true");
    has(f, "\"restartCount\":0");
    has(f, "\"started\":true");
    has(f, "\"type\":\"Initialized\",\"status\":\"True\"");
    has(f, "\"type\":\"ContainersReady\",\"status\":\"True\"");
    has(f, "\"type\":\"PodReadyToStartContainers\",\"status\":\"True\"");
    has(f, "\"initContainerStatuses\":[{\"name\":\"setup\",\"state\":{\"terminated\":{\"exitCode\":"
           "0");
    run_for(f, 6 * FIXTURE_SECOND);
    expect(f, 200, MU_GET, FIXTURE_PODS "/p", NULL);
    has(f, "\"phase\":\"Succeeded\"");
    has(f, "\"terminated\":{\"exitCode\":0,\"reason\":\"Completed\",\"startedAt\":"
           "\"2026-01-01T00:00:01Z\",\"finishedAt\":\"2026-01-01T00:00:06Z\"");
    has(f, "\"type\":\"Ready\",\"status\":\"False\"");
    has(f, "\"PodCompleted\"");
    has(f, "\"ready\":false");
}

static void test_pod_show__another_kubelet_reports__left_alone(void **state)
{
    struct fixture *f = *state;
    add_pod(f, "default", "p", "", "elsewhere");
    expect(f, 200, MU_PATCH, FIXTURE_PODS "/p/status",
           "{\"status\":{\"phase\":\"Running\",\"startTime\":\"2026-01-01T00:00:00Z\","
           "\"containerStatuses\":[{\"name\":\"c\",\"image\":\"own\"}]}}");
    has(f, "\"image\":\"own\"");
    has_not(f, "podIP");
    has_not(f, "ContainersReady");
}

static void test_node_show__registered__what_describe_wants(void **state)
{
    struct fixture *f = *state;
    add_node(f, "n");
    expect(f, 200, MU_GET, "/api/v1/nodes/n", NULL);
    has(f, "\"kubeletVersion\":\"v1.");
    has(f, "\"containerRuntimeVersion\":\"simulated://");
    has(f, "\"type\":\"InternalIP\",\"address\":\"172.");
    has(f, "\"type\":\"Hostname\",\"address\":\"n\"");
    has(f, "\"type\":\"MemoryPressure\",\"status\":\"False\"");
    has(f, "\"reason\":\"KubeletReady\"");
    has(f, "\"allocatable\":{");
    assert_int_equal(mu_kubelets_fail_node(f->kubelets, MU_STR("n"), 5 * FIXTURE_SECOND), 0);
    expect(f, 200, MU_GET, "/api/v1/nodes/n", NULL);
    has(f, "\"reason\":\"NodeStatusUnknown\"");
    has(f, "\"lastTransitionTime\":\"2026-01-01T00:00:05Z\"");
}

/* ---- changes ------------------------------------------------------------------------------ */

/* Bytes that the store holds for the only pod. */
static int add_size(void *context, struct mu_str raw)
{
    *(size_t *)context += raw.len;
    return 0;
}

static size_t stored_bytes(struct fixture *f, const char *plural)
{
    size_t bytes = 0;
    assert_int_equal(mu_apiserver_each(f->server, plural, add_size, &bytes), 0);
    return bytes;
}

static void test_pod_update__what_was_shown_comes_back__nothing_changes(void **state)
{
    struct fixture *f = *state;
    static char body[sizeof f->text];
    add_node(f, "n");
    add_pod(f, "default", "p", "", "n");
    run_for(f, 2 * FIXTURE_SECOND);
    size_t bytes = stored_bytes(f, "pods");
    uint64_t version = mu_apiserver_version(f->server);
    expect(f, 200, MU_GET, FIXTURE_PODS "/p", NULL);
    memcpy(body, f->text, sizeof body);
    assert_true(strlen(body) > 3 * bytes); /* most of it is not stored */
    expect(f, 200, MU_PUT, FIXTURE_PODS "/p", body);
    assert_int_equal(mu_apiserver_version(f->server), version);
    expect(f, 200, MU_PUT, FIXTURE_PODS "/p/status", body);
    assert_int_equal(mu_apiserver_version(f->server), version);
    expect(f, 200, MU_GET, "/api/v1/nodes/n", NULL);
    memcpy(body, f->text, sizeof body);
    expect(f, 200, MU_PUT, "/api/v1/nodes/n", body);
    assert_int_equal(mu_apiserver_version(f->server), version);
    /* A label costs a label. */
    expect(f, 200, MU_PATCH, FIXTURE_PODS "/p", "{\"metadata\":{\"labels\":{\"a\":\"b\"}}}");
    has(f, "\"generation\":1");
    assert_true(stored_bytes(f, "pods") < bytes + 20);
    expect(f, 200, MU_PATCH, "/api/v1/nodes/n", "{\"spec\":{\"unschedulable\":true}}");
    has(f, "\"unschedulable\":true");
}

/* A write of a status that says nothing empties it; the object goes on having one. */
static void test_pod_status__left_out__is_empty_and_the_pod_lives_on(void **state)
{
    struct fixture *f = *state;
    expect(f, 201, MU_POST, FIXTURE_PODS, POD("p", ""));
    expect(f, 200, MU_PUT, FIXTURE_PODS "/p/status", "{\"metadata\":{\"name\":\"p\"}}");
    has(f, "\"status\":{}");
    expect(f, 200, MU_PATCH, FIXTURE_PODS "/p/status", "{\"status\":null}");
    expect(f, 200, MU_PATCH, FIXTURE_PODS "/p", "{\"metadata\":{\"labels\":{\"a\":\"b\"}}}");
    add_node(f, "n");
    expect(f, 201, MU_POST, FIXTURE_PODS "/p/binding",
           "{\"metadata\":{\"name\":\"p\"},\"target\":{\"name\":\"n\"}}");
    run_for(f, 2 * FIXTURE_SECOND);
    expect(f, 200, MU_GET, FIXTURE_PODS "/p", NULL);
    has(f, "\"phase\":\"Running\"");
    expect(f, 200, MU_DELETE, FIXTURE_PODS "/p", NULL);
}

static void test_pod_update__images_deadline_tolerations__may_change(void **state)
{
    struct fixture *f = *state;
    expect(f, 201, MU_POST, FIXTURE_PODS, POD("p", ""));
    expect(f, 200, MU_PATCH, FIXTURE_PODS "/p",
           "{\"spec\":{\"containers\":[{\"name\":\"c\",\"image\":\"i:2\"}]}}");
    has(f, "\"image\":\"i:2\"");
    has(f, "\"generation\":2");
    expect(f, 200, MU_PATCH, FIXTURE_PODS "/p", "{\"spec\":{\"activeDeadlineSeconds\":60}}");
    assert_int_equal(fixture_send(f, MU_PATCH, FIXTURE_PODS "/p", MU_MEDIA_JSON_PATCH,
                                  "[{\"op\":\"add\",\"path\":\"/spec/tolerations/-\",\"value\":"
                                  "{\"key\":\"a\",\"operator\":\"Exists\"}}]"),
                     200);
    has(f, "\"key\":\"a\"");
}

static void test_pod_update__everything_else__422(void **state)
{
    static const char *const patches[] = {
        "{\"spec\":{\"restartPolicy\":\"Never\"}}",
        "{\"spec\":{\"terminationGracePeriodSeconds\":1}}",
        "{\"spec\":{\"dnsPolicy\":\"Default\"}}",
        "{\"spec\":{\"hostNetwork\":true}}",
        "{\"spec\":{\"schedulerName\":\"other\"}}",
        "{\"spec\":{\"containers\":[{\"name\":\"d\",\"image\":\"i:1\"}]}}",
        "{\"spec\":{\"containers\":[{\"name\":\"c\",\"image\":\"i:1\"},{\"name\":\"d\",\"image\":"
        "\"j\"}]}}",
        "{\"spec\":{\"nodeSelector\":{\"a\":\"b\"}}}"};
    struct fixture *f = *state;
    expect(f, 201, MU_POST, FIXTURE_PODS,
           POD("p", ",\"tolerations\":[{\"key\":\"t\",\"operator\":\"Exists\"}]"));
    for (size_t i = 0; i < sizeof patches / sizeof patches[0]; i++) {
        expect(f, 422, MU_PATCH, FIXTURE_PODS "/p", patches[i]);
        has(f, "pod updates may not change fields other than `spec.containers[*].image`");
    }
    expect(f, 422, MU_PATCH, FIXTURE_PODS "/p", "{\"spec\":{\"tolerations\":[]}}");
    has(f, "existing toleration can not be modified");
}

static void test_pod_update__gates__only_taken_away(void **state)
{
    struct fixture *f = *state;
    expect(f, 201, MU_POST, FIXTURE_PODS,
           POD("p", ",\"schedulingGates\":[{\"name\":\"x.io/a\"},{\"name\":\"x.io/b\"}]"));
    has(f, "\"reason\":\"SchedulingGated\"");
    has(f, "\"message\":\"Scheduling is blocked due to non-empty scheduling gates\"");
    expect(f, 422, MU_PATCH, FIXTURE_PODS "/p",
           "{\"spec\":{\"schedulingGates\":[{\"name\":\"x.io/c\"}]}}");
    has(f, "only deletion is allowed");
    expect(f, 200, MU_PATCH, FIXTURE_PODS "/p",
           "{\"spec\":{\"schedulingGates\":[{\"name\":\"x.io/a\"}]}}");
    expect(f, 200, MU_PATCH, FIXTURE_PODS "/p", "{\"spec\":{\"schedulingGates\":null}}");
    has_not(f, "SchedulingGated");
}

/* ---- hostile bytes and memory -------------------------------------------------------------- */

static void test_show__malformed__error_and_nothing_appended(void **state)
{
    static const struct mu_str bad[] = {
        {"\x12", 1}, {"\x12\x05\x0a", 3}, {"\x0b", 1}, {"\x12\x01\x12", 3}};
    struct mu_buf out = {0};
    (void)state;
    assert_int_equal(mu_buf_append_text(&out, "x"), 0);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_true(mu_pod_show(bad[i], &out) != 0);
        assert_int_equal(out.len, 1);
    }
    assert_true(mu_node_show(bad[0], &out) != 0);
    assert_int_equal(out.len, 1);
    mu_buf_fini(&out);
}

static void test_show__twice__as_once(void **state)
{
    struct fixture *f = *state;
    (void)f;
    /* Pod{metadata{uid u}, spec{containers[{name c}], nodeName n}, status{phase Running,
     * startTime}} */
    static const struct mu_str pod = {"\x0a\x03\x2a\x01u\x12\x08\x12\x03\x0a\x01"
                                      "c\x52\x01n\x1a\x0d\x0a\x07Running\x3a\x02\x08\x01",
                                      30};
    struct mu_buf once = {0};
    struct mu_buf twice = {0};
    assert_int_equal(mu_pod_show(pod, &once), 0);
    assert_int_equal(
        mu_pod_show((struct mu_str){(const char *)once.data, (uint32_t)once.len}, &twice), 0);
    assert_int_equal(once.len, twice.len);
    assert_memory_equal(once.data, twice.data, once.len);
    mu_buf_fini(&once);
    mu_buf_fini(&twice);
}

static void test_show__out_of_memory__500(void **state)
{
    struct fixture *f = *state;
    add_pod(f, "default", "p", "", "");
    int status = 0;
    for (uint64_t nth = 1; status != 200 && nth < 50; nth++) {
        mu_mem_debug_set((struct mu_mem_debug){.fail_nth = nth});
        status = fixture_send(f, MU_PATCH, FIXTURE_PODS "/p", MU_MEDIA_MERGE_PATCH,
                              "{\"metadata\":{\"labels\":{\"a\":\"b\"}}}");
        mu_mem_debug_set((struct mu_mem_debug){0});
        assert_true(status == 200 || status == 500 || status == 413);
    }
    expect(f, 200, MU_GET, FIXTURE_PODS "/p", NULL);
    has(f, "\"dnsPolicy\":\"ClusterFirst\"");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(test_pod_show__plain_pod__defaults_of_the_api),
        FIXTURE_TEST(test_pod_show__own_values__stay),
        FIXTURE_TEST(test_pod_show__image_names__pull_policy),
        FIXTURE_TEST(test_pod_create__qos_classes),
        FIXTURE_TEST(test_pod_create__unknown_account__403),
        FIXTURE_TEST(test_pod_show__runs_and_ends__containers_tell),
        FIXTURE_TEST(test_pod_show__another_kubelet_reports__left_alone),
        FIXTURE_TEST(test_node_show__registered__what_describe_wants),
        FIXTURE_TEST(test_pod_update__what_was_shown_comes_back__nothing_changes),
        FIXTURE_TEST(test_pod_status__left_out__is_empty_and_the_pod_lives_on),
        FIXTURE_TEST(test_pod_update__images_deadline_tolerations__may_change),
        FIXTURE_TEST(test_pod_update__everything_else__422),
        FIXTURE_TEST(test_pod_update__gates__only_taken_away),
        cmocka_unit_test(test_show__malformed__error_and_nothing_appended),
        FIXTURE_TEST(test_show__twice__as_once),
        FIXTURE_TEST(test_show__out_of_memory__500),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
