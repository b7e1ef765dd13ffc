#include "tools/kubesim/apiserver.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include "engine/base/clock.h"
#include "engine/base/mem.h"
#include "tests/kubesim_call.h"

#define PODS "/api/v1/namespaces/default/pods"
#define POD(name, extra)                                                                           \
    "{\"metadata\":{\"name\":\"" name "\"},\"spec\":{\"containers\":[{\"name\":\"c\"}]" extra "}}"

struct fixture {
    struct mu_apiserver *server;
    char text[16384]; /* of the last answer */
};

static int setup(void **state)
{
    struct fixture *f = mu_mem_zalloc(sizeof *f);
    struct mu_random random;
    mu_random_init_seed(&random, 1);
    struct mu_apiserver_config config = {.history_events = 64,
                                         .wall_base_ns = 1767225600 * MU_NS_PER_S};
    f->server = mu_apiserver_create(&config, &random);
    *state = f;
    return f->server == NULL;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    mu_apiserver_destroy(f->server);
    mu_mem_free(f);
    return 0;
}

/* Send and compare the status; the text stays in f->text. */
static void expect(struct fixture *f, int status, enum mu_method method, const char *url,
                   const char *body)
{
    int got = call_status(f->server, method, url, body, f->text, sizeof f->text);
    if (got != status) {
        fail_msg("%s %s: %d, expected %d: %s", mu_method_text(method), url, got, status, f->text);
    }
}

static void expect_patch(struct fixture *f, int status, enum mu_media media, const char *url,
                         const char *body)
{
    struct answer answer =
        call_media(f->server, MU_PATCH, url, media, mu_str_of(body), MU_MEDIA_JSON, 0);
    (void)snprintf(f->text, sizeof f->text, "%s", (const char *)answer.body.data);
    mu_buf_fini(&answer.body);
    if (answer.status != status) {
        fail_msg("PATCH %s: %d, expected %d: %s", url, answer.status, status, f->text);
    }
}

static void has(const struct fixture *f, const char *part)
{
    if (strstr(f->text, part) == NULL) {
        fail_msg("'%s' is not in: %s", part, f->text);
    }
}

static void has_not(const struct fixture *f, const char *part)
{
    if (strstr(f->text, part) != NULL) {
        fail_msg("'%s' is in: %s", part, f->text);
    }
}

/* The string value of the first "key":"value" in the last answer. */
static const char *value_of(const struct fixture *f, const char *key)
{
    static char value[256];
    char pattern[64];
    (void)snprintf(pattern, sizeof pattern, "\"%s\":\"", key);
    const char *found = strstr(f->text, pattern);
    assert_non_null(found);
    found += strlen(pattern);
    (void)snprintf(value, sizeof value, "%.*s", (int)strcspn(found, "\""), found);
    return value;
}

/* ---- requests that are wrong ---------------------------------------------------------------- */

static void test_apiserver__unknown_paths_and_methods__404_405(void **state)
{
    struct fixture *f = *state;
    expect(f, 404, MU_GET, "/", NULL);
    expect(f, 404, MU_GET, "/api/v2/pods", NULL);
    expect(f, 404, MU_GET, "/api/v1/things", NULL);
    expect(f, 404, MU_GET, "/apis/apps/v1/deployments", NULL);
    expect(f, 404, MU_GET, "/api/v1/namespaces/default/nodes", NULL);
    expect(f, 404, MU_GET, "/api/v1/pods/p", NULL);
    expect(f, 404, MU_GET, "/api/v1/namespaces/default/pods/p/log", NULL);
    expect(f, 404, MU_GET, "/api/v1/nodes/n/binding", NULL);
    expect(f, 404, MU_GET, "/a/b/c/d/e/f/g/h/i/j/k", NULL);
    expect(f, 404, MU_GET, "/api/v1/%zz", NULL);
    expect(f, 404, MU_GET, PODS "/p", NULL);
    has(f, "\"reason\":\"NotFound\"");
    has(f, "pods \\\"p\\\" not found");
    expect(f, 404, MU_GET, "/apis/scheduling.k8s.io/v1/priorityclasses/p", NULL);
    has(f, "priorityclasses.scheduling.k8s.io \\\"p\\\" not found");
    expect(f, 405, MU_POST, "/api/v1/pods", POD("p", ""));
    expect(f, 405, MU_DELETE, "/api/v1/namespaces", NULL);
    expect(f, 405, MU_PUT, PODS, POD("p", ""));
    expect(f, 405, MU_GET, PODS "/p/binding", NULL);
}

static void test_apiserver_create__bad_bodies__400_413_415(void **state)
{
    struct fixture *f = *state;
    expect(f, 400, MU_POST, PODS, "");
    expect(f, 400, MU_POST, PODS, "{");
    expect(f, 400, MU_POST, PODS, "[]");
    expect(f, 400, MU_POST, PODS, "{\"kind\":\"Node\",\"apiVersion\":\"v1\"}");
    expect(f, 400, MU_POST, PODS, "{\"kind\":\"Pod\",\"apiVersion\":\"v2\"}");
    expect(f, 400, MU_POST, PODS, "{\"metadata\":{\"name\":7}}");
    has(f, "name: expected a string");
    struct answer a =
        call_media(f->server, MU_POST, PODS, MU_MEDIA_TEXT, MU_STR("x"), MU_MEDIA_PROTOBUF, 0);
    assert_int_equal(a.status, 415);
    assert_int_equal(a.media, MU_MEDIA_PROTOBUF);
    mu_buf_fini(&a.body);
    static const struct mu_str bodies[] = {
        {"", 0}, {"k8s", 4}, {"k8s\0\xff\xff", 6}, {"k8s\0\x12\x03\x0a\x05\x01", 9}};
    for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++) {
        a = call_media(f->server, MU_POST, PODS, MU_MEDIA_PROTOBUF, bodies[i], MU_MEDIA_JSON, 0);
        assert_int_equal(a.status, 400);
        mu_buf_fini(&a.body);
    }
    struct mu_buf big = {0};
    for (int i = 0; i < (3 << 20) / 64 + 1; i++) {
        (void)mu_buf_printf(&big, "%064d", 0);
    }
    a = call_media(f->server, MU_POST, PODS, MU_MEDIA_PROTOBUF,
                   (struct mu_str){(const char *)big.data, (uint32_t)big.len}, MU_MEDIA_JSON, 0);
    assert_int_equal(a.status, 413);
    mu_buf_fini(&a.body);
    mu_buf_fini(&big);
}

static void test_apiserver_create__body_that_decodes_too_large__413(void **state)
{
    struct fixture *f = *state;
    /* Pod{spec{containers: 1.4 million empty ones}}: 2.8 MB that would need above 200 MB. */
    struct mu_buf spec = {0}, body = {0};
    uint32_t len = 2 * 1400000;
    for (uint32_t i = 0; i < len / 2; i++) {
        (void)mu_buf_append(&spec, "\x12\x00", 2);
    }
    uint8_t head[16] = {0x12, (uint8_t)(len | 0x80), (uint8_t)(len >> 7 | 0x80),
                        (uint8_t)(len >> 14 | 0x80), (uint8_t)(len >> 21)};
    (void)mu_buf_append(&body, head, 5);
    (void)mu_buf_append(&body, spec.data, spec.len);
    struct mu_buf whole = {0};
    assert_int_equal(mu_envelope_wrap(&whole, MU_STR("v1"), MU_STR("Pod"),
                                      (struct mu_str){(const char *)body.data, (uint32_t)body.len}),
                     0);
    struct answer a = call_media(f->server, MU_POST, PODS, MU_MEDIA_PROTOBUF,
                                 (struct mu_str){(const char *)whole.data, (uint32_t)whole.len},
                                 MU_MEDIA_JSON, 0);
    assert_int_equal(a.status, 413);
    mu_buf_fini(&a.body);
    mu_buf_fini(&spec);
    mu_buf_fini(&body);
    mu_buf_fini(&whole);
}

static void test_apiserver_create__invalid_pods__422_names_the_field(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *body, *says;
    } cases[] = {
        {"{\"metadata\":{}}", "metadata.name"},
        {"{\"metadata\":{\"name\":\"Upper\"}}", "metadata.name"},
        {"{\"metadata\":{\"name\":\"a..b\"}}", "metadata.name"},
        {"{\"metadata\":{\"name\":\"-a\"}}", "metadata.name"},
        {"{\"metadata\":{\"name\":\"p\"}}", "spec"},
        {"{\"metadata\":{\"name\":\"p\",\"labels\":{\"-x\":\"1\"}}}", "metadata.labels"},
        {"{\"metadata\":{\"name\":\"p\",\"annotations\":{\"a b\":\"1\"}}}", "metadata.annotations"},
        {"{\"metadata\":{\"name\":\"p\"},\"spec\":{}}", "spec.containers"},
        {"{\"metadata\":{\"name\":\"p\"},\"spec\":{\"containers\":[{}]}}", "name must be"},
        {"{\"metadata\":{\"name\":\"p\"},\"spec\":{\"containers\":[{\"name\":\"c\"},"
         "{\"name\":\"c\"}]}}",
         "Duplicate value"},
        {POD("p", ",\"tolerations\":[{\"operator\":\"Maybe\"}]"), "operator must be"},
        {POD("p", ",\"tolerations\":[{\"operator\":\"Equal\"}]"), "key is empty"},
        {POD("p", ",\"tolerations\":[{\"operator\":\"Exists\",\"key\":\"a\",\"value\":\"b\"}]"),
         "must be empty"},
        {POD("p", ",\"nodeSelector\":{\"a\":\"-\"}"), "spec.nodeSelector"},
        {POD("p", ",\"schedulingGates\":[{\"name\":\"\"}]"), "spec.schedulingGates"},
        {POD("p", ",\"schedulingGates\":[{\"name\":\"g\"}],\"nodeName\":\"n\""), "spec.nodeName"},
        {POD("p", ",\"terminationGracePeriodSeconds\":-1"), "terminationGracePeriod"},
        {POD("p", ",\"topologySpreadConstraints\":[{\"maxSkew\":0,\"topologyKey\":\"z\","
                  "\"whenUnsatisfiable\":\"DoNotSchedule\"}]"),
         "maxSkew"},
        {POD("p", ",\"affinity\":{\"podAntiAffinity\":{"
                  "\"requiredDuringSchedulingIgnoredDuringExecution\":[{}]}}"),
         "topologyKey"},
        {POD("p", ",\"overhead\":{\"cpu\":\"lots\"}"), "spec.overhead"},
        {"{\"metadata\":{\"name\":\"p\"},\"spec\":{\"containers\":[{\"name\":\"c\",\"resources\":"
         "{\"requests\":{\"cpu\":\"-1\"}}}]}}",
         "must be greater than or equal to 0"},
        {"{\"metadata\":{\"name\":\"p\"},\"spec\":{\"containers\":[{\"name\":\"c\",\"resources\":"
         "{\"requests\":{\"cpu\":\"2\"},\"limits\":{\"cpu\":\"1\"}}}]}}",
         "less than or equal"},
        {"{\"metadata\":{\"name\":\"p\"},\"spec\":{\"containers\":[{\"name\":\"c\",\"ports\":"
         "[{\"hostPort\":70000}]}]}}",
         "ports must be"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        expect(f, 422, MU_POST, PODS, cases[i].body);
        has(f, "\"reason\":\"Invalid\"");
        has(f, cases[i].says);
    }
}

static void test_apiserver_create__place_and_name__checked(void **state)
{
    struct fixture *f = *state;
    expect(f, 404, MU_POST, "/api/v1/namespaces/none/pods", POD("p", ""));
    has(f, "namespaces \\\"none\\\" not found");
    expect(f, 400, MU_POST, PODS,
           "{\"metadata\":{\"name\":\"p\",\"namespace\":\"kube-system\"},\"spec\":{}}");
    expect(f, 400, MU_POST, PODS, "{\"metadata\":{\"name\":\"p\",\"resourceVersion\":\"4\"}}");
    expect(f, 201, MU_POST, PODS, POD("p", ""));
    expect(f, 409, MU_POST, PODS, POD("p", ""));
    has(f, "\"reason\":\"AlreadyExists\"");
    expect(f, 201, MU_POST, PODS,
           "{\"metadata\":{\"generateName\":\"job-\"},\"spec\":{\"containers\":[{\"name\":"
           "\"c\"}]}}");
    assert_int_equal(strlen(value_of(f, "name")), 9);
    assert_memory_equal(value_of(f, "name"), "job-", 4);
}

static void test_apiserver__out_of_memory__500_and_unchanged(void **state)
{
    struct fixture *f = *state;
    expect(f, 201, MU_POST, PODS, POD("warm", "")); /* caches and scratch are grown */
    uint64_t version = mu_apiserver_version(f->server);
    int failures = 0;
    for (uint64_t nth = 1; nth < 100; nth++) {
        struct mu_api_request request = {.method = MU_POST,
                                         .path = MU_STR(PODS),
                                         .content = MU_MEDIA_JSON,
                                         .accept = mu_str_of(mu_media_text(MU_MEDIA_PROTOBUF)),
                                         .body = mu_str_of(POD("p", ""))};
        struct mu_api_response response;
        mu_mem_debug_set((struct mu_mem_debug){.fail_nth = nth});
        mu_apiserver_handle(f->server, &request, 0, &response);
        mu_mem_debug_set((struct mu_mem_debug){0});
        mu_buf_fini(&response.body);
        if (response.status == 201) {
            break;
        }
        assert_int_equal(response.status, 500);
        failures++;
        if (mu_apiserver_version(f->server) != version) {
            /* Stored, and only the answer failed: an outcome unknown to the client, as in life. */
            expect(f, 200, MU_GET, PODS "/p", NULL);
            break;
        }
        expect(f, 404, MU_GET, PODS "/p", NULL);
    }
    assert_true(failures > 0);
}

/* ---- defaults and admission ----------------------------------------------------------------- */

static void test_apiserver_create__plain_pod__defaults(void **state)
{
    struct fixture *f = *state;
    expect(f, 201, MU_POST, PODS, POD("p", ""));
    has(f, "\"namespace\":\"default\"");
    has(f, "\"schedulerName\":\"default-scheduler\"");
    has(f, "\"restartPolicy\":\"Always\"");
    has(f, "\"terminationGracePeriodSeconds\":30");
    has(f, "\"priority\":0");
    has(f, "\"preemptionPolicy\":\"PreemptLowerPriority\"");
    has(f, "\"phase\":\"Pending\"");
    has(f, "\"generation\":1");
    has(f, "\"creationTimestamp\":\"2026-01-01T00:00:00Z\"");
    assert_int_equal(strlen(value_of(f, "uid")), 36);
    assert_int_equal(value_of(f, "uid")[14], '4');
    has_not(f, "PodScheduled");
}

static void test_apiserver_create__limits_ports_gates__defaults(void **state)
{
    struct fixture *f = *state;
    expect(f, 201, MU_POST, PODS,
           "{\"metadata\":{\"name\":\"p\"},\"status\":{\"phase\":\"Running\"},\"spec\":{"
           "\"hostNetwork\":true,\"schedulingGates\":[{\"name\":\"x.io/g\"}],\"initContainers\":"
           "[{\"name\":\"i\",\"resources\":{\"limits\":{\"cpu\":\"3\"}}}],\"containers\":[{"
           "\"name\":\"c\",\"ports\":[{\"containerPort\":80}],\"resources\":{\"requests\":{"
           "\"memory\":\"1Gi\"},\"limits\":{\"cpu\":2,\"memory\":\"2Gi\"}}}]}}");
    has(f, "\"requests\":{\"memory\":\"1Gi\",\"cpu\":\"2\"}");
    has(f, "\"requests\":{\"cpu\":\"3\"}");
    has(f, "\"hostPort\":80,\"containerPort\":80,\"protocol\":\"TCP\"");
    has(f, "\"phase\":\"Pending\"");
    has(f, "\"type\":\"PodScheduled\",\"status\":\"False\"");
    has(f, "\"reason\":\"SchedulingGated\"");
}

static void test_apiserver_create__match_label_keys__merged(void **state)
{
    struct fixture *f = *state;
    expect(f, 201, MU_POST, PODS,
           "{\"metadata\":{\"name\":\"p\",\"labels\":{\"v\":\"7\"}},\"spec\":{\"containers\":[{"
           "\"name\":\"c\"}],\"affinity\":{\"podAffinity\":{"
           "\"requiredDuringSchedulingIgnoredDuringExecution\":[{\"topologyKey\":\"z\","
           "\"labelSelector\":{\"matchLabels\":{\"a\":\"b\"}},\"matchLabelKeys\":[\"v\",\"w\"]}]},"
           "\"podAntiAffinity\":{\"preferredDuringSchedulingIgnoredDuringExecution\":[{"
           "\"weight\":1,\"podAffinityTerm\":{\"topologyKey\":\"z\",\"labelSelector\":{},"
           "\"mismatchLabelKeys\":[\"v\"]}}]}},\"topologySpreadConstraints\":[{\"maxSkew\":1,"
           "\"topologyKey\":\"z\",\"whenUnsatisfiable\":\"DoNotSchedule\",\"labelSelector\":{},"
           "\"matchLabelKeys\":[\"v\"]}]}}");
    has(f, "{\"matchLabels\":{\"a\":\"b\"},\"matchExpressions\":[{\"key\":\"v\",\"operator\":"
           "\"In\",\"values\":[\"7\"]}]}");
    has(f, "{\"matchExpressions\":[{\"key\":\"v\",\"operator\":\"NotIn\",\"values\":[\"7\"]}]}");
    has(f, "\"whenUnsatisfiable\":\"DoNotSchedule\",\"labelSelector\":{\"matchExpressions\":[{"
           "\"key\":\"v\",\"operator\":\"In\",\"values\":[\"7\"]}]}");
    has_not(f, "\"key\":\"w\"");
}

#define CLASSES "/apis/scheduling.k8s.io/v1/priorityclasses"

static void test_apiserver_create__priority_classes__admission(void **state)
{
    struct fixture *f = *state;
    expect(f, 403, MU_POST, PODS, POD("p", ",\"priorityClassName\":\"none\""));
    has(f, "no PriorityClass with name none was found");
    expect(f, 403, MU_POST, PODS, POD("p", ",\"priority\":5"));
    expect(f, 422, MU_POST, CLASSES, "{\"metadata\":{\"name\":\"system-x\"},\"value\":1}");
    expect(f, 422, MU_POST, CLASSES, "{\"metadata\":{\"name\":\"big\"},\"value\":1000000001}");
    expect(f, 422, MU_POST, CLASSES,
           "{\"metadata\":{\"name\":\"odd\"},\"value\":1,\"preemptionPolicy\":\"Sometimes\"}");
    expect(f, 201, MU_POST, PODS, POD("s", ",\"priorityClassName\":\"system-node-critical\""));
    has(f, "\"priority\":2000001000");
    expect(f, 201, MU_POST, CLASSES,
           "{\"metadata\":{\"name\":\"low\"},\"value\":-5,\"globalDefault\":true}");
    expect(f, 201, MU_POST, CLASSES,
           "{\"metadata\":{\"name\":\"batch\"},\"value\":9,\"preemptionPolicy\":\"Never\"}");
    expect(f, 201, MU_POST, PODS, POD("d", ""));
    has(f, "\"priorityClassName\":\"low\",\"priority\":-5");
    expect(f, 201, MU_POST, PODS, POD("b", ",\"priorityClassName\":\"batch\",\"priority\":9"));
    has(f, "\"preemptionPolicy\":\"Never\"");
    expect(f, 403, MU_POST, PODS, POD("e", ",\"priorityClassName\":\"batch\",\"priority\":8"));
    expect(f, 403, MU_POST, PODS,
           POD("e", ",\"priorityClassName\":\"batch\",\"preemptionPolicy\":"
                    "\"PreemptLowerPriority\""));
    expect(f, 200, MU_DELETE, CLASSES "/low", NULL);
    has(f, "\"status\":\"Success\"");
    expect(f, 201, MU_POST, PODS, POD("z", "")); /* the cache follows */
    has(f, "\"priority\":0");
}

/* ---- binding -------------------------------------------------------------------------------- */

#define BIND(name, meta, node)                                                                     \
    "{\"metadata\":{\"name\":\"" name "\"" meta "},\"target\":{\"kind\":\"Node\",\"name\":\"" node \
    "\"}}"

static void test_apiserver_bind__wrong_bindings__refused(void **state)
{
    struct fixture *f = *state;
    expect(f, 404, MU_POST, PODS "/p/binding", BIND("p", "", "n1"));
    expect(f, 201, MU_POST, PODS, POD("p", ""));
    uint64_t version = mu_apiserver_version(f->server);
    expect(f, 400, MU_POST, PODS "/p/binding", BIND("q", "", "n1"));
    expect(f, 400, MU_POST, PODS "/p/binding", BIND("p", ",\"namespace\":\"other\"", "n1"));
    expect(f, 400, MU_POST, PODS "/p/binding", "{\"target\":{\"name\":\"n1\"}}");
    expect(f, 422, MU_POST, PODS "/p/binding", BIND("p", "", ""));
    expect(f, 422, MU_POST, PODS "/p/binding",
           "{\"metadata\":{\"name\":\"p\"},\"target\":{\"kind\":\"Pod\",\"name\":\"n1\"}}");
    expect(f, 409, MU_POST, PODS "/p/binding", BIND("p", ",\"uid\":\"other\"", "n1"));
    expect(f, 409, MU_POST, PODS "/p/binding", BIND("p", ",\"resourceVersion\":\"1\"", "n1"));
    has(f, "ResourceVersion in precondition");
    assert_true(mu_apiserver_version(f->server) == version);
    expect(f, 201, MU_POST, PODS, POD("g", ",\"schedulingGates\":[{\"name\":\"x\"}]"));
    expect(f, 409, MU_POST, PODS "/g/binding", BIND("g", "", "n1"));
    has(f, "schedulingGates");
}

static void test_apiserver_bind__right_binding__bound_once(void **state)
{
    struct fixture *f = *state;
    expect(f, 201, MU_POST, PODS,
           "{\"metadata\":{\"name\":\"p\",\"annotations\":{\"a\":\"1\",\"b\":\"1\"}},\"spec\":{"
           "\"containers\":[{\"name\":\"c\"}]}}");
    char body[1024], uid[256];
    (void)snprintf(uid, sizeof uid, "%s", value_of(f, "uid"));
    expect_patch(f, 200, MU_MEDIA_MERGE_PATCH, PODS "/p/status",
                 "{\"status\":{\"nominatedNodeName\":\"n9\"}}");
    (void)snprintf(body, sizeof body,
                   "{\"metadata\":{\"name\":\"p\",\"uid\":\"%s\",\"resourceVersion\":\"%s\","
                   "\"annotations\":{\"b\":\"2\",\"c\":\"3\"}},\"target\":{\"name\":\"n1\"}}",
                   uid, value_of(f, "resourceVersion"));
    expect(f, 201, MU_POST, PODS "/p/binding", body);
    has(f, "\"status\":\"Success\"");
    expect(f, 200, MU_GET, PODS "/p", NULL);
    has(f, "\"nodeName\":\"n1\"");
    has(f, "\"type\":\"PodScheduled\",\"status\":\"True\"");
    has(f, "\"annotations\":{\"a\":\"1\",\"b\":\"2\",\"c\":\"3\"}");
    has_not(f, "n9");
    uint64_t version = mu_apiserver_version(f->server);
    expect(f, 409, MU_POST, PODS "/p/binding", BIND("p", "", "n1"));
    has(f, "pod is already assigned to node \\\"n1\\\"");
    expect(f, 409, MU_POST, PODS "/p/binding", BIND("p", "", "n2"));
    assert_true(mu_apiserver_version(f->server) == version);
    expect(f, 200, MU_DELETE, PODS "/p", NULL);
    expect(f, 201, MU_POST, PODS, POD("q", ""));
    expect_patch(f, 200, MU_MEDIA_MERGE_PATCH, PODS "/q",
                 "{\"metadata\":{\"finalizers\":[\"x\"]}}");
    expect(f, 200, MU_DELETE, PODS "/q", NULL);
    expect(f, 409, MU_POST, PODS "/q/binding", BIND("q", "", "n1"));
    has(f, "is being deleted");
}

static void test_apiserver_bind__protobuf__vector(void **state)
{
    struct fixture *f = *state;
    expect(f, 201, MU_POST, PODS, POD("p", ""));
    struct mu_buf body = {0};
    char uid[256];
    (void)snprintf(uid, sizeof uid, "%s", value_of(f, "uid"));
    struct mu_binding binding = {.ns = MU_STR("default"),
                                 .name = MU_STR("p"),
                                 .uid = mu_str_of(uid),
                                 .version = mu_apiserver_version(f->server),
                                 .node = MU_STR("n1"),
                                 .plan = MU_STR("plan-7")};
    assert_int_equal(mu_binding_encode(&body, &binding), 0);
    struct answer a = call_media(f->server, MU_POST, PODS "/p/binding", MU_MEDIA_PROTOBUF,
                                 (struct mu_str){(const char *)body.data, (uint32_t)body.len},
                                 MU_MEDIA_PROTOBUF, 0);
    assert_int_equal(a.status, 201);
    assert_true(
        mu_envelope_has_magic((struct mu_str){(const char *)a.body.data, (uint32_t)a.body.len}));
    mu_buf_fini(&a.body);
    a = call_media(f->server, MU_POST, PODS "/p/binding", MU_MEDIA_PROTOBUF,
                   (struct mu_str){(const char *)body.data, (uint32_t)body.len}, MU_MEDIA_PROTOBUF,
                   0);
    assert_int_equal(a.status, 409);
    struct mu_arena *arena = mu_arena_create(1 << 20);
    struct mu_status status;
    assert_int_equal(
        mu_status_decode((struct mu_str){(const char *)a.body.data, (uint32_t)a.body.len}, arena,
                         &status),
        0);
    assert_int_equal(status.code, 409);
    assert_true(mu_str_equal(status.reason, MU_STR("Conflict")));
    mu_arena_destroy(arena);
    mu_buf_fini(&a.body);
    mu_buf_fini(&body);
    expect(f, 200, MU_GET, PODS "/p", NULL);
    has(f, "\"" MU_PLAN_ANNOTATION "\":\"plan-7\"");
}

/* ---- update, patch, status ------------------------------------------------------------------ */

static void test_apiserver_update__conflicts_and_forbidden_changes__refused(void **state)
{
    struct fixture *f = *state;
    expect(f, 404, MU_PUT, PODS "/p", POD("p", ""));
    expect(f, 201, MU_POST, PODS, POD("p", ""));
    uint64_t version = mu_apiserver_version(f->server);
    expect(f, 400, MU_PUT, PODS "/p", POD("q", ""));
    expect(f, 409, MU_PUT, PODS "/p",
           "{\"metadata\":{\"name\":\"p\",\"resourceVersion\":\"1\"},\"spec\":{}}");
    has(f, "the object has been modified");
    expect(f, 409, MU_PUT, PODS "/p", "{\"metadata\":{\"name\":\"p\",\"uid\":\"x\"}}");
    expect(f, 422, MU_PUT, PODS "/p", "{\"metadata\":{\"name\":\"p\"}}");
    expect_patch(f, 422, MU_MEDIA_MERGE_PATCH, PODS "/p", "{\"spec\":{\"nodeName\":\"n1\"}}");
    has(f, "spec.nodeName");
    expect_patch(f, 422, MU_MEDIA_MERGE_PATCH, PODS "/p",
                 "{\"spec\":{\"schedulingGates\":[{\"name\":\"late\"}]}}");
    expect_patch(f, 422, MU_MEDIA_MERGE_PATCH, PODS "/p", "{\"spec\":{\"priority\":9}}");
    has(f, "pod updates may not change");
    expect_patch(f, 422, MU_MEDIA_MERGE_PATCH, PODS "/p", "{\"metadata\":null}");
    expect_patch(f, 422, MU_MEDIA_MERGE_PATCH, PODS "/p", "{\"spec\":{\"priority\":\"x\"}}");
    expect_patch(f, 400, MU_MEDIA_MERGE_PATCH, PODS "/p", "[]");
    expect_patch(f, 415, MU_MEDIA_JSON, PODS "/p", "{}");
    expect_patch(f, 415, MU_MEDIA_APPLY_PATCH, PODS "/not-there", "{}");
    expect_patch(f, 409, MU_MEDIA_MERGE_PATCH, PODS "/p",
                 "{\"metadata\":{\"resourceVersion\":\"1\",\"labels\":{\"a\":\"b\"}}}");
    expect_patch(f, 404, MU_MEDIA_MERGE_PATCH, PODS "/none", "{}");
    assert_true(mu_apiserver_version(f->server) == version);
}

static void test_apiserver_patch__labels_conditions_taints__merged(void **state)
{
    struct fixture *f = *state;
    expect(f, 201, MU_POST, PODS, POD("p", ",\"schedulingGates\":[{\"name\":\"a\"}]"));
    uint64_t version = mu_apiserver_version(f->server);
    expect_patch(f, 200, MU_MEDIA_MERGE_PATCH, PODS "/p", "{\"metadata\":{\"labels\":{}}}");
    assert_true(mu_apiserver_version(f->server) == version); /* no bytes changed: no version */
    expect_patch(f, 200, MU_MEDIA_MERGE_PATCH, PODS "/p",
                 "{\"metadata\":{\"labels\":{\"x\":\"1\",\"y\":\"2\"}},\"status\":{\"phase\":"
                 "\"Failed\"}}");
    has(f, "\"labels\":{\"x\":\"1\",\"y\":\"2\"}");
    has(f, "\"phase\":\"Pending\""); /* status has its own endpoint */
    expect_patch(f, 200, MU_MEDIA_MERGE_PATCH, PODS "/p",
                 "{\"metadata\":{\"labels\":{\"x\":null,\"z\":\"3\"}}}");
    has(f, "\"labels\":{\"y\":\"2\",\"z\":\"3\"}");
    has(f, "\"generation\":1");
    expect_patch(f, 200, MU_MEDIA_MERGE_PATCH, PODS "/p", "{\"spec\":{\"schedulingGates\":null}}");
    has(f, "\"generation\":2");
    has_not(f, "SchedulingGated");
    expect_patch(f, 200, MU_MEDIA_STRATEGIC_PATCH, PODS "/p/status",
                 "{\"status\":{\"conditions\":[{\"type\":\"PodScheduled\",\"status\":\"False\","
                 "\"reason\":\"Unschedulable\"}]},\"spec\":{\"priority\":77}}");
    expect_patch(f, 200, MU_MEDIA_STRATEGIC_PATCH, PODS "/p/status",
                 "{\"status\":{\"conditions\":[{\"type\":\"Ready\",\"status\":\"True\","
                 "\"lastTransitionTime\":\"2026-02-03T04:05:06+01:00\"}]}}");
    has(f, "\"type\":\"PodScheduled\",\"status\":\"False\"");
    has(f, "\"type\":\"Ready\",\"status\":\"True\",\"lastProbeTime\":null,\"lastTransitionTime\":"
           "\"2026-02-03T03:05:06Z\"");
    has_not(f, "77");
    expect_patch(f, 200, MU_MEDIA_STRATEGIC_PATCH, PODS "/p/status",
                 "{\"status\":{\"conditions\":[{\"type\":\"Ready\",\"$patch\":\"delete\"}]}}");
    has_not(f, "Ready");
    expect(f, 201, MU_POST, "/api/v1/nodes",
           "{\"metadata\":{\"name\":\"n1\"},\"status\":{\"allocatable\":{\"cpu\":\"4\"}}}");
    has(f, "\"allocatable\":{\"cpu\":\"4\"}"); /* a node brings its status with it */
    expect(f, 201, MU_POST, "/api/v1/nodes",
           "{\"metadata\":{\"name\":\"n2\"},\"status\":{\"capacity\":{\"cpu\":\"8\"}}}");
    has(f, "\"allocatable\":{\"cpu\":\"8\"}");
    expect_patch(f, 200, MU_MEDIA_STRATEGIC_PATCH, "/api/v1/nodes/n1",
                 "{\"spec\":{\"unschedulable\":true,\"taints\":[{\"key\":\"a\",\"effect\":"
                 "\"NoSchedule\"}]}}");
    has(f, "\"unschedulable\":true,\"taints\":[{\"key\":\"a\",\"effect\":\"NoSchedule\"}]");
    expect_patch(f, 200, MU_MEDIA_STRATEGIC_PATCH, "/api/v1/nodes/n1",
                 "{\"spec\":{\"unschedulable\":null,\"taints\":null}}");
    has_not(f, "taints");
    has_not(f, "unschedulable");
    expect_patch(f, 422, MU_MEDIA_MERGE_PATCH, "/api/v1/nodes/n1",
                 "{\"spec\":{\"taints\":[{\"key\":\"a\",\"effect\":\"Never\"}]}}");
}

static void test_apiserver_update__read_modify_write__keeps_unknown_fields(void **state)
{
    struct fixture *f = *state;
    /* Pod{metadata{name p}, spec{containers{name c}, 9 (deprecatedServiceAccount) "sa"}}. */
    static const char raw[] = "\x0a\x03\x0a\x01p\x12\x09\x12\x03\x0a\x01"
                              "c\x4a\x02sa";
    struct mu_buf body = {0};
    assert_int_equal(
        mu_envelope_wrap(&body, MU_STR("v1"), MU_STR("Pod"), (struct mu_str){raw, sizeof raw - 1}),
        0);
    struct answer a = call_media(f->server, MU_POST, PODS, MU_MEDIA_PROTOBUF,
                                 (struct mu_str){(const char *)body.data, (uint32_t)body.len},
                                 MU_MEDIA_PROTOBUF, 0);
    assert_int_equal(a.status, 201);
    mu_buf_fini(&a.body);
    expect_patch(f, 200, MU_MEDIA_MERGE_PATCH, PODS "/p",
                 "{\"metadata\":{\"labels\":{\"a\":\"b\"}}}");
    a = call_media(f->server, MU_GET, PODS "/p", MU_MEDIA_NONE, MU_STR(""), MU_MEDIA_PROTOBUF, 0);
    assert_non_null(memmem(a.body.data, a.body.len, "\x4a\x02sa", 4));
    mu_buf_fini(&a.body);
    mu_buf_fini(&body);
}

/* ---- delete --------------------------------------------------------------------------------- */

static void test_apiserver_delete__preconditions__409(void **state)
{
    struct fixture *f = *state;
    expect(f, 404, MU_DELETE, PODS "/p", NULL);
    expect(f, 201, MU_POST, PODS, POD("p", ""));
    expect(f, 409, MU_DELETE, PODS "/p", "{\"preconditions\":{\"uid\":\"other\"}}");
    expect(f, 409, MU_DELETE, PODS "/p", "{\"preconditions\":{\"resourceVersion\":\"1\"}}");
    expect(f, 400, MU_DELETE, PODS "/p", "{\"kind\":\"Pod\"}");
    expect(f, 400, MU_DELETE, PODS "/p?gracePeriodSeconds=x", NULL);
    expect(f, 422, MU_DELETE, PODS "/p", "{\"gracePeriodSeconds\":-7}");
    expect(f, 200, MU_GET, PODS "/p", NULL);
}

static void test_apiserver_delete__bound_pod__graceful(void **state)
{
    struct fixture *f = *state;
    expect(f, 201, MU_POST, PODS, POD("u", "")); /* unbound: at once */
    expect(f, 200, MU_DELETE, PODS "/u", NULL);
    expect(f, 404, MU_GET, PODS "/u", NULL);
    expect(f, 201, MU_POST, PODS, POD("p", ",\"nodeName\":\"n1\""));
    expect(f, 200, MU_DELETE, PODS "/p", NULL);
    has(f, "\"deletionTimestamp\":\"2026-01-01T00:00:30Z\",\"deletionGracePeriodSeconds\":30");
    uint64_t version = mu_apiserver_version(f->server);
    expect(f, 200, MU_DELETE, PODS "/p", NULL); /* not sooner: nothing changes */
    assert_true(mu_apiserver_version(f->server) == version);
    expect(f, 200, MU_DELETE, PODS "/p", "{\"gracePeriodSeconds\":5}");
    has(f, "\"deletionGracePeriodSeconds\":5");
    expect(f, 200, MU_DELETE, PODS "/p?gracePeriodSeconds=0", NULL);
    expect(f, 404, MU_GET, PODS "/p", NULL);
    /* A finished pod goes at once, whatever its grace period. */
    expect(f, 201, MU_POST, PODS, POD("p", ",\"nodeName\":\"n1\""));
    expect_patch(f, 200, MU_MEDIA_MERGE_PATCH, PODS "/p/status",
                 "{\"status\":{\"phase\":\"Succeeded\"}}");
    expect(f, 200, MU_DELETE, PODS "/p", NULL);
    expect(f, 404, MU_GET, PODS "/p", NULL);
}

static void test_apiserver_delete__finalizers__last_one_removes(void **state)
{
    struct fixture *f = *state;
    expect(f, 201, MU_POST, PODS, POD("p", ""));
    expect_patch(f, 200, MU_MEDIA_MERGE_PATCH, PODS "/p",
                 "{\"metadata\":{\"finalizers\":[\"x.io/a\"]}}");
    expect(f, 200, MU_DELETE, PODS "/p", NULL);
    has(f, "deletionTimestamp");
    expect(f, 200, MU_GET, PODS "/p", NULL);
    expect_patch(f, 200, MU_MEDIA_MERGE_PATCH, PODS "/p", "{\"metadata\":{\"finalizers\":null}}");
    expect(f, 404, MU_GET, PODS "/p", NULL);
}

/* ---- list ----------------------------------------------------------------------------------- */

static void test_apiserver_list__wrong_parameters__refused(void **state)
{
    struct fixture *f = *state;
    expect(f, 400, MU_GET, "/api/v1/pods?limit=x", NULL);
    expect(f, 400, MU_GET, "/api/v1/pods?resourceVersion=-1", NULL);
    expect(f, 400, MU_GET, "/api/v1/pods?watch=maybe", NULL);
    expect(f, 400, MU_GET, "/api/v1/pods?continue=zz", NULL);
    expect(f, 400, MU_GET, "/api/v1/pods?continue=31", NULL);
    expect(f, 400, MU_GET, "/api/v1/pods?labelSelector=%3D", NULL);
    expect(f, 400, MU_GET, "/api/v1/pods?fieldSelector=spec.color%3Dred", NULL);
    expect(f, 400, MU_GET, "/api/v1/pods?limit=%4", NULL);
    expect(f, 422, MU_GET, "/api/v1/pods?resourceVersionMatch=Exact", NULL);
    expect(f, 422, MU_GET, "/api/v1/pods?resourceVersion=0&resourceVersionMatch=Exact", NULL);
    expect(f, 422, MU_GET, "/api/v1/pods?resourceVersion=1&resourceVersionMatch=Near", NULL);
    expect(f, 422, MU_GET, "/api/v1/pods?sendInitialEvents=true", NULL);
    expect(f, 422, MU_GET, "/api/v1/pods?continue=61&resourceVersion=1&resourceVersionMatch=Exact",
           NULL);
    expect(f, 400, MU_GET, "/api/v1/pods?continue=61&resourceVersion=1", NULL);
    expect(f, 504, MU_GET, "/api/v1/pods?resourceVersion=1000000", NULL);
    has(f, "ResourceVersionTooLarge");
    has(f, "\"retryAfterSeconds\":1");
    expect(f, 504, MU_GET, PODS "/p?resourceVersion=1000000", NULL);
    expect(f, 422, MU_GET, "/api/v1/pods?watch=1&resourceVersionMatch=NotOlderThan", NULL);
    expect(f, 422, MU_GET, "/api/v1/pods?watch=1&sendInitialEvents=true", NULL);
}

static void create_pods(struct fixture *f, int from, int to)
{
    for (int i = from; i < to; i++) {
        char body[256];
        (void)snprintf(body, sizeof body,
                       "{\"metadata\":{\"name\":\"p%02d\",\"labels\":{\"odd\":\"%d\"}},\"spec\":{"
                       "\"containers\":[{\"name\":\"c\"}]}}",
                       i, i % 2);
        expect(f, 201, MU_POST, PODS, body);
    }
}

static void test_apiserver_list__pages__show_one_state(void **state)
{
    struct fixture *f = *state;
    create_pods(f, 0, 5);
    expect(f, 200, MU_GET, "/api/v1/pods?limit=2", NULL);
    has(f, "p00");
    has(f, "p01");
    has_not(f, "p02");
    char version[256], token[256], url[512];
    (void)snprintf(version, sizeof version, "%s", value_of(f, "resourceVersion"));
    (void)snprintf(token, sizeof token, "%s", value_of(f, "continue"));
    /* What happens between the pages is not seen by them. */
    expect(f, 200, MU_DELETE, PODS "/p02", NULL);
    expect(f, 201, MU_POST, PODS, POD("p025", ""));
    (void)snprintf(url, sizeof url, PODS "?limit=2&continue=%s", token);
    expect(f, 200, MU_GET, url, NULL);
    has(f, "p02\"");
    has(f, "p03");
    has_not(f, "p025");
    assert_string_equal(value_of(f, "resourceVersion"), version);
    (void)snprintf(url, sizeof url, PODS "?limit=2&continue=%s", value_of(f, "continue"));
    expect(f, 200, MU_GET, url, NULL);
    has(f, "p04");
    has_not(f, "\"continue\"");
    /* Exact, not older, and the newest. */
    (void)snprintf(url, sizeof url, PODS "?resourceVersion=%s&resourceVersionMatch=Exact", version);
    expect(f, 200, MU_GET, url, NULL);
    has(f, "\"p02\"");
    (void)snprintf(url, sizeof url, PODS "?resourceVersion=%s&limit=9", version);
    expect(f, 200, MU_GET, url, NULL);
    has(f, "\"p02\"");
    (void)snprintf(url, sizeof url, PODS "?resourceVersion=%s", version);
    expect(f, 200, MU_GET, url, NULL);
    has(f, "p025");
    expect(f, 200, MU_GET, PODS "?resourceVersion=0&limit=1", NULL);
    has(f, "p04"); /* the cache ignores limits */
    mu_apiserver_compact(f->server);
    (void)snprintf(url, sizeof url, PODS "?limit=2&continue=%s", token);
    expect(f, 410, MU_GET, url, NULL);
    has(f, "\"reason\":\"Expired\"");
    (void)snprintf(url, sizeof url, PODS "?resourceVersion=%s&resourceVersionMatch=Exact", version);
    expect(f, 410, MU_GET, url, NULL);
}

static void test_apiserver_list__selectors_and_namespaces__filter(void **state)
{
    struct fixture *f = *state;
    create_pods(f, 0, 4);
    expect(f, 201, MU_POST, "/api/v1/namespaces", "{\"metadata\":{\"name\":\"team\"}}");
    expect(f, 201, MU_POST, "/api/v1/namespaces/team/pods", POD("t", ""));
    expect(f, 200, MU_GET, "/api/v1/pods?labelSelector=odd%3D1&limit=1", NULL);
    has(f, "p01");
    has_not(f, "p00");
    has(f, "continue");
    expect(f, 200, MU_GET, "/api/v1/pods?labelSelector=%21odd", NULL);
    has(f, "\"t\"");
    has_not(f, "p01");
    expect(f, 200, MU_GET, PODS, NULL);
    has_not(f, "\"t\"");
    expect(f, 200, MU_GET, "/api/v1/pods?fieldSelector=metadata.namespace%3Dteam", NULL);
    has_not(f, "p01");
    expect(f, 200, MU_GET, "/api/v1/namespaces/nowhere/pods", NULL);
    has(f, "\"items\":[]");
}

static int count_item(void *context, struct mu_str raw)
{
    struct mu_object_meta meta;
    struct mu_error error;
    assert_int_equal(mu_meta_decode(raw, &meta, &error), 0);
    assert_true(meta.version > 0);
    (*(int *)context)++;
    return 0;
}

static void test_apiserver_list__protobuf__read_by_the_codec(void **state)
{
    struct fixture *f = *state;
    create_pods(f, 0, 5);
    struct answer a = call_media(f->server, MU_GET, PODS "?limit=3", MU_MEDIA_NONE, MU_STR(""),
                                 MU_MEDIA_PROTOBUF, 0);
    assert_int_equal(a.status, 200);
    struct mu_envelope envelope;
    struct mu_list_head head;
    struct mu_error error;
    int count = 0;
    struct mu_str body = {(const char *)a.body.data, (uint32_t)a.body.len};
    assert_int_equal(mu_envelope_open(body, &envelope, &error), 0);
    assert_true(mu_str_equal(envelope.kind, MU_STR("PodList")));
    assert_int_equal(mu_list_open(envelope.raw, &head, count_item, &count, &error), 0);
    assert_int_equal(count, 3);
    assert_true(head.continue_token.len > 0);
    uint64_t version = 0;
    assert_true(mu_str_to_u64(head.resource_version, &version));
    assert_true(version == mu_apiserver_version(f->server));
    mu_buf_fini(&a.body);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_apiserver__unknown_paths_and_methods__404_405),
        TEST(test_apiserver_create__bad_bodies__400_413_415),
        TEST(test_apiserver_create__body_that_decodes_too_large__413),
        TEST(test_apiserver_create__invalid_pods__422_names_the_field),
        TEST(test_apiserver_create__place_and_name__checked),
        TEST(test_apiserver__out_of_memory__500_and_unchanged),
        TEST(test_apiserver_create__plain_pod__defaults),
        TEST(test_apiserver_create__limits_ports_gates__defaults),
        TEST(test_apiserver_create__match_label_keys__merged),
        TEST(test_apiserver_create__priority_classes__admission),
        TEST(test_apiserver_bind__wrong_bindings__refused),
        TEST(test_apiserver_bind__right_binding__bound_once),
        TEST(test_apiserver_bind__protobuf__vector),
        TEST(test_apiserver_update__conflicts_and_forbidden_changes__refused),
        TEST(test_apiserver_patch__labels_conditions_taints__merged),
        TEST(test_apiserver_update__read_modify_write__keeps_unknown_fields),
        TEST(test_apiserver_delete__preconditions__409),
        TEST(test_apiserver_delete__bound_pod__graceful),
        TEST(test_apiserver_delete__finalizers__last_one_removes),
        TEST(test_apiserver_list__wrong_parameters__refused),
        TEST(test_apiserver_list__pages__show_one_state),
        TEST(test_apiserver_list__selectors_and_namespaces__filter),
        TEST(test_apiserver_list__protobuf__read_by_the_codec),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
