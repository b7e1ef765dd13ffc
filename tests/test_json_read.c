/*
 * Messages to JSON and back (informer/json_read, informer/json_object), over the complete messages:
 * whatever a message holds survives, and what JSON may say wrongly is told by its path.
 */
#include "tests/mu_test.h"

#include <protobuf-c/protobuf-c.h>
#include "informer/json_object.h"
#include "informer/json_read.h"
#include "informer/limits.h"
#include "tests/schema_random.h"
#include "tools/kubesim/schema/core.pb-c.h"
#include "tools/kubesim/schema/events.pb-c.h"
#include "tools/kubesim/schema/gang.pb-c.h"
#include "tools/kubesim/schema/pod.pb-c.h"
#include "tools/kubesim/schema/volcano.pb-c.h"

static int setup(void **state)
{
    *state = mu_arena_create(64 << 20);
    return *state == NULL;
}

static int teardown(void **state)
{
    mu_arena_destroy(*state);
    return 0;
}

static ProtobufCMessage *fresh(const ProtobufCMessageDescriptor *type, struct mu_arena *arena)
{
    ProtobufCMessage *message = mu_arena_alloc(arena, type->sizeof_message);
    assert_non_null(message);
    protobuf_c_message_init(type, message);
    return message;
}

/* Read text as a message; problems may be NULL. */
static int read_text(ProtobufCMessage *message, const char *text, struct mu_arena *arena,
                     struct mu_json_problems *problems, struct mu_error *error)
{
    json_t *json = NULL;
    int status = mu_json_text_read(mu_str_of(text), &json, problems, error);
    if (status == 0)
        status = mu_json_message_read(message, json, arena, problems, error);
    json_decref(json);
    return status;
}

static char *write_text(const ProtobufCMessage *message)
{
    struct mu_buf out = {0};
    struct mu_error error = {0, ""};
    int status = mu_json_message_write(&out, MU_STR(""), MU_STR(""), message, &error);
    if (status != 0)
        fail_msg("%s", error.text);
    assert_int_equal(mu_buf_append(&out, "", 1), 0);
    return (char *)out.data;
}

/* ---- what is wrong ------------------------------------------------------------------------ */

static void refuses(struct mu_arena *arena, const char *text, const char *says)
{
    struct mu_error error = {0, ""};
    ProtobufCMessage *pod = fresh(&kubeapi__pod__descriptor, arena);
    int status = read_text(pod, text, arena, NULL, &error);
    if (status != MU_EINVAL || strstr(error.text, says) == NULL)
        fail_msg("%s: %d '%s', expected '%s'", text, status, error.text, says);
}

static void test_json_message_read__wrong_types__path_and_expectation(void **state)
{
    static const struct {
        const char *text, *says;
    } cases[] = {
        {"{\"metadata\":[]}", "metadata: expected an object"},
        {"{\"metadata\":{\"name\":1}}", "metadata.name: expected a string"},
        {"{\"metadata\":{\"generation\":\"1\"}}", "metadata.generation: expected a whole number"},
        {"{\"metadata\":{\"labels\":[]}}", "metadata.labels: expected an object"},
        {"{\"metadata\":{\"labels\":{\"a\":1}}}",
         "metadata.labels[a]: expected a string, found a number: quote it"},
        {"{\"metadata\":{\"labels\":{\"a\":true}}}",
         "metadata.labels[a]: expected a string, found a boolean: quote it"},
        {"{\"metadata\":{\"name\":{}}}", "metadata.name: expected a string, found an object"},
        {"{\"metadata\":{\"name\":[]}}", "metadata.name: expected a string, found an array"},
        {"{\"metadata\":{\"finalizers\":\"x\"}}", "metadata.finalizers: expected an array"},
        {"{\"metadata\":{\"finalizers\":[\"x\",2]}}", "metadata.finalizers[1]: expected a string"},
        {"{\"metadata\":{\"creationTimestamp\":\"today\"}}", "expected an RFC 3339 time"},
        {"{\"metadata\":{\"creationTimestamp\":\"2026-01-01T00:00:00\"}}", "time zone"},
        {"{\"metadata\":{\"creationTimestamp\":\"2026-01-01T00:00:00+1\"}}", "time zone"},
        {"{\"metadata\":{\"creationTimestamp\":\"2026-01-01T00:00:00+25:00\"}}", "time zone"},
        {"{\"metadata\":{\"creationTimestamp\":\"2026-01-01T00:00:00+ 1: 1\"}}", "time zone"},
        {"{\"metadata\":{\"creationTimestamp\":7}}", "expected an RFC 3339 time"},
        {"{\"spec\":{\"priority\":2147483648}}", "spec.priority: expected a 32-bit whole number"},
        {"{\"spec\":{\"priority\":1.5}}", "spec.priority: expected a 32-bit whole number"},
        {"{\"spec\":{\"hostNetwork\":\"yes\"}}", "spec.hostNetwork: expected true or false"},
        {"{\"spec\":{\"overhead\":{\"cpu\":[]}}}", "spec.overhead.cpu: expected a quantity"},
        {"{\"spec\":{\"overhead\":{\"cpu\":\"\"}}}", "spec.overhead.cpu: expected a quantity"},
        {"{\"metadata\":{\"creationTimestamp\":\"0000-01-01T00:00:00+01:00\"}}", "the years 0 to"},
        {"{\"spec\":{\"containers\":[{\"ports\":[{\"containerPort\":\"80\"}]}]}}",
         "spec.containers[0].ports[0].containerPort: expected a 32-bit whole number"},
        {"{\"spec\":{\"containers\":[{},{\"livenessProbe\":{\"httpGet\":{\"port\":true}}}]}}",
         "spec.containers[1].livenessProbe.httpGet.port: expected a string or a 32-bit"},
        {"{\"spec\":{\"containers\":[{\"livenessProbe\":{\"httpGet\":{\"port\":4294967296}}}]}}",
         "httpGet.port: expected a string or a 32-bit"},
        {"{\"spec\":{\"volumes\":[{\"name\":\"v\",\"emptyDir\":\"\"}]}}",
         "spec.volumes[0].emptyDir: expected an object"},
        {"{\"spec\":{\"securityContext\":{\"supplementalGroups\":[1,\"2\"]}}}",
         "spec.securityContext.supplementalGroups[1]: expected a whole number"},
        {"[]", "expected a JSON object"},
        {"{\"a\":", "not JSON: line 1"},
        {"{} x", "not JSON: line 1"},
        {"", "not JSON"},
        {"{\"spec\":{\"priority\":99999999999999999999}}", "not JSON"},
        {"{\"spec\":{\"overhead\":{\"cpu\":1e999}}}", "not JSON"},
        {"{\"spec\":{\"priority\":NaN}}", "not JSON"},
        {"{\"metadata\":{\"name\":\"\xff\"}}", "not JSON"},
        {"{\"metadata\":{\"name\":\"a\\u0000b\"}}", "not JSON"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        refuses(*state, cases[i].text, cases[i].says);
}

static void test_json_message_read__base64__checked(void **state)
{
    static const struct {
        const char *text, *bytes; /* NULL: refused */
    } cases[] = {
        {"", ""},
        {"YQ==", "a"},
        {"YWI=", "ab"},
        {"YWJj", "abc"},
        {"YWJj\\nZA==", "abcd"},
        {"YQ=", NULL},
        {"YQ", NULL},
        {"Y", NULL},
        {"=", NULL},
        {"====", NULL},
        {"YQ==Y", NULL},
        {"Y Q=", NULL},
        {"YWJjYQ=a", NULL},
        {"YWJj=", NULL},
        {"YWI==", NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[80];
        struct mu_error error = {0, ""};
        (void)snprintf(text, sizeof text, "{\"binaryData\":{\"k\":\"%s\"}}", cases[i].text);
        Kubeapi__ConfigMap *map =
            (Kubeapi__ConfigMap *)fresh(&kubeapi__config_map__descriptor, *state);
        int status = read_text(&map->base, text, *state, NULL, &error);
        assert_int_equal(status, cases[i].bytes == NULL ? MU_EINVAL : 0);
        if (status != 0) {
            assert_string_equal(error.text, "binaryData.k: expected base64 text");
            continue;
        }
        assert_int_equal(map->binarydata[0]->value.len, strlen(cases[i].bytes));
        assert_memory_equal(map->binarydata[0]->value.data, cases[i].bytes, strlen(cases[i].bytes));
    }
}

static void problems_are(struct mu_arena *arena, const ProtobufCMessageDescriptor *type,
                         const char *text, const char *lines)
{
    struct mu_json_problems problems = {0};
    struct mu_error error = {0, ""};
    int status = read_text(fresh(type, arena), text, arena, &problems, &error);
    if (status != 0)
        fail_msg("%s", error.text);
    (void)mu_buf_append(&problems.lines, "", 1);
    assert_string_equal((const char *)problems.lines.data, lines);
    mu_json_problems_fini(&problems);
}

static void test_json_message_read__unknown_and_duplicate_fields__told(void **state)
{
    const ProtobufCMessageDescriptor *pod = &kubeapi__pod__descriptor;
    problems_are(*state, pod, "{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{}}", "");
    problems_are(*state, pod,
                 "{\"foo\":1,\"spec\":{\"containers\":[{\"name\":\"a\"},{\"foo\":null}]}}",
                 "unknown field \"foo\"\nunknown field \"spec.containers[1].foo\"\n");
    problems_are(*state, pod, "{\"spec\":{\"kind\":\"x\",\"volumeSource\":{}}}",
                 "unknown field \"spec.kind\"\nunknown field \"spec.volumeSource\"\n");
    problems_are(*state, pod,
                 "{\"spec\":{\"volumes\":[{\"volumeSource\":{\"emptyDir\":{}},\"emptyDir\":{}}]}}",
                 "unknown field \"spec.volumes[0].volumeSource\"\n");
    problems_are(*state, pod, "{\"Metadata\":{}}", "unknown field \"Metadata\"\n");
    problems_are(*state, pod,
                 "{ \"metadata\" : {\"name\":\"a\",\"labels\":{\"x\":\"1\"},\"na\\u006de\":\"b\"},"
                 "\"spec\":{\"containers\":[{},{\"name\":\"c\",\"name\":\"d]}\"}],"
                 "\"priority\":1 , \"priority\" :2},\"metadata\":{}}",
                 "duplicate field \"metadata.name\"\n"
                 "duplicate field \"spec.containers[1].name\"\n"
                 "duplicate field \"spec.priority\"\n"
                 "duplicate field \"metadata\"\n");
    problems_are(*state, pod, "{\"a\\nb\":1}", "unknown field \"a?b\"\n");
    problems_are(*state, &kubeapi__volcano__pod_group__descriptor,
                 "{\"spec\":{\"minTaskMember\":{\"a\":1},\"minMembers\":2}}",
                 "unknown field \"spec.minMembers\"\n");
}

static void test_json_message_read__duplicates__the_later_counts(void **state)
{
    struct mu_error error = {0, ""};
    Kubeapi__Pod *pod = (Kubeapi__Pod *)fresh(&kubeapi__pod__descriptor, *state);
    assert_int_equal(read_text(&pod->base, "{\"metadata\":{\"name\":\"a\",\"name\":\"b\"}}", *state,
                               NULL, &error),
                     0);
    assert_string_equal(pod->metadata->name, "b");
}

static void test_json_message_read__many_problems__bounded(void **state)
{
    struct mu_buf text = {0};
    (void)mu_buf_append_text(&text, "{\"x\":0");
    for (int i = 0; i < 1000; i++)
        (void)mu_buf_printf(&text, ",\"%0600d\":1", i);
    (void)mu_buf_append(&text, "}", 2);
    struct mu_json_problems problems = {0};
    struct mu_error error = {0, ""};
    ProtobufCMessage *pod = fresh(&kubeapi__pod__descriptor, *state);
    assert_int_equal(read_text(pod, (char *)text.data, *state, &problems, &error), 0);
    assert_int_equal(problems.count, MU_JSON_PROBLEMS_MAX);
    assert_true(problems.lines.len < MU_JSON_PROBLEMS_MAX * (MU_JSON_PATH_BYTES_MAX + 64));
    mu_json_problems_fini(&problems);
    mu_buf_fini(&text);
}

static void test_json_message_read__bombs__refused_or_bounded(void **state)
{
    enum { SIZE = 3 << 20 };
    struct mu_error error = {0, ""};
    char *bomb = mu_mem_alloc(SIZE + 1);
    assert_non_null(bomb);
    memset(bomb, '[', SIZE);
    bomb[SIZE] = '\0';
    ProtobufCMessage *workload = fresh(&kubeapi__gang__workload__descriptor, *state);
    assert_int_equal(read_text(workload, bomb, *state, NULL, &error), MU_EINVAL);
    struct mu_buf deep = {0}; /* a message that contains itself */
    (void)mu_buf_append_text(&deep, "{\"spec\":{");
    for (int i = 0; i < 500; i++)
        (void)mu_buf_append_text(&deep, "\"compositePodGroupTemplates\":[{");
    for (int i = 0; i < 500; i++)
        (void)mu_buf_append_text(&deep, "}]");
    (void)mu_buf_append(&deep, "}}", 3);
    assert_int_equal(read_text(workload, (char *)deep.data, *state, NULL, &error), MU_EINVAL);
    assert_non_null(strstr(error.text, "expected fewer objects inside each other"));
    mu_buf_fini(&deep);
    struct mu_arena *small = mu_arena_create(1 << 20);
    memcpy(bomb, "{\"spec\":{\"containers\":[{}", 25);
    for (size_t i = 25; i + 3 < SIZE - 4; i += 3)
        memcpy(bomb + i, ",{}", 4);
    memcpy(bomb + SIZE - 8, "]}}", 4);
    for (size_t i = strlen(bomb); i-- > 25 && bomb[i] != '}';)
        bomb[i] = ' ';
    int status = read_text(fresh(&kubeapi__pod__descriptor, *state), bomb, small, NULL, &error);
    assert_true(status == MU_ENOMEM || status == MU_EINVAL);
    mu_arena_destroy(small);
    mu_mem_free(bomb);
}

/* ---- there and back ----------------------------------------------------------------------- */

static void same(struct mu_arena *arena, const ProtobufCMessageDescriptor *type, const char *in,
                 const char *expected)
{
    struct mu_error error = {0, ""};
    ProtobufCMessage *message = fresh(type, arena);
    int status = read_text(message, in, arena, NULL, &error);
    if (status != 0)
        fail_msg("%s: %s", in, error.text);
    char *text = write_text(message);
    assert_string_equal(text, expected != NULL ? expected : in);
    mu_mem_free(text);
}

static void test_json__shapes__there_and_back(void **state)
{
    const ProtobufCMessageDescriptor *pod = &kubeapi__pod__descriptor;
    same(
        *state, pod,
        "{\"metadata\":{\"name\":\"a\",\"generation\":-7,\"creationTimestamp\":"
        "\"1969-12-31T23:59:59Z\",\"labels\":{\"k\":\"v\",\"e\":\"\"},\"finalizers\":[\"x\","
        "\"y\"],\"managedFields\":[{\"manager\":\"m\",\"fieldsType\":\"FieldsV1\",\"fieldsV1\":"
        "{\"f:spec\":{\".\":{},\"k\":[1,true,null]}}}]},"
        "\"spec\":{\"volumes\":[{\"name\":\"v\",\"persistentVolumeClaim\":{\"claimName\":"
        "\"c\",\"readOnly\":true}}],\"containers\":[{\"name\":\"c\",\"command\":[\"a\",\"\"],"
        "\"env\":[{\"name\":\"E\",\"valueFrom\":{\"configMapKeyRef\":{\"name\":\"m\",\"key\":\"k\","
        "\"optional\":false}}}],\"resources\":{\"limits\":{\"cpu\":\"1\"}},\"livenessProbe\":"
        "{\"httpGet\":{\"port\":\"web\"},\"periodSeconds\":3},\"readinessProbe\":{\"tcpSocket\":"
        "{\"port\":-1}}}],"
        "\"securityContext\":{\"runAsUser\":0,\"supplementalGroups\":[1,9007199254740993]},"
        "\"overhead\":{\"cpu\":\"100m\"}},\"status\":{}}",
        NULL);
    /* What the real server prints of nothing, and that it does not tell nothing from zero ... */
    same(*state, pod,
         "{\"spec\":{\"hostNetwork\":false,\"nodeName\":\"\",\"containers\":[],"
         "\"nodeSelector\":{},\"affinity\":null}}",
         "{\"metadata\":{},\"spec\":{},\"status\":{}}");
    /* ... but where a pointer does. */
    same(*state, pod,
         "{\"metadata\":{},\"spec\":{\"terminationGracePeriodSeconds\":0,\"affinity\":{},"
         "\"automountServiceAccountToken\":false,\"runtimeClassName\":\"\"},\"status\":{}}",
         NULL);
    same(*state, pod,
         "{\"spec\":{\"overhead\":{\"cpu\":2,\"memory\":1.5,\"x\":null},\"containers\":[null],"
         "\"imagePullSecrets\":[{}]}}",
         "{\"metadata\":{},\"spec\":{\"containers\":[{\"name\":\"\",\"resources\":{}}],"
         "\"imagePullSecrets\":[{}],\"overhead\":{\"cpu\":\"2\",\"memory\":\"1.5\",\"x\":\"0\"}},"
         "\"status\":{}}");
    same(*state, &kubeapi__config_map__descriptor,
         "{\"metadata\":{\"name\":\"m\"},\"data\":{\"a\":\"b\"},\"binaryData\":{\"x\":\"AAEC/w==\","
         "\"y\":\"\"},\"immutable\":false}",
         NULL);
    same(*state, &kubeapi__events__event__descriptor,
         "{\"metadata\":{},\"eventTime\":\"2026-03-01T10:20:30.123456-02:30\",\"note\":\"n\"}",
         "{\"metadata\":{},\"eventTime\":\"2026-03-01T12:50:30.123456Z\",\"regarding\":{},"
         "\"note\":\"n\",\"deprecatedSource\":{},\"deprecatedFirstTimestamp\":null,"
         "\"deprecatedLastTimestamp\":null}");
    /* Custom resources are what they were. */
    same(*state, &kubeapi__volcano__pod_group__descriptor,
         "{\"metadata\":{},\"spec\":{\"minMember\":0,\"minTaskMember\":{\"a\":0,\"b\":2},"
         "\"queue\":\"\",\"networkTopology\":{\"highestTierAllowed\":0}}}",
         NULL);
}

/* What is printed of a quantity or a port that is not set is not set when it is read again: whoever
 * sends back what he was shown changes nothing. */
static void test_json__shown_zero__is_read_as_absent(void **state)
{
    static const char sent[] =
        "{\"metadata\":{},\"spec\":{\"containers\":[{\"name\":\"c\",\"env\":[{\"name\":\"E\","
        "\"valueFrom\":{\"resourceFieldRef\":{\"resource\":\"limits.cpu\"}}}],\"resources\":{},"
        "\"livenessProbe\":{\"httpGet\":{\"path\":\"/\"}},"
        "\"readinessProbe\":{\"tcpSocket\":{\"host\":\"h\"}}}]},\"status\":{}}";
    static const char shown[] =
        "{\"metadata\":{},\"spec\":{\"containers\":[{\"name\":\"c\",\"env\":[{\"name\":\"E\","
        "\"valueFrom\":{\"resourceFieldRef\":{\"resource\":\"limits.cpu\",\"divisor\":\"0\"}}}],"
        "\"resources\":{},\"livenessProbe\":{\"httpGet\":{\"path\":\"/\",\"port\":0}},"
        "\"readinessProbe\":{\"tcpSocket\":{\"port\":0,\"host\":\"h\"}}}]},\"status\":{}}";
    struct mu_error error = {0, ""};
    ProtobufCMessage *first = fresh(&kubeapi__pod__descriptor, *state);
    ProtobufCMessage *again = fresh(&kubeapi__pod__descriptor, *state);
    uint8_t a[512], b[512];
    same(*state, &kubeapi__pod__descriptor, sent, shown);
    same(*state, &kubeapi__pod__descriptor, shown, NULL);
    assert_int_equal(read_text(first, sent, *state, NULL, &error), 0);
    assert_int_equal(read_text(again, shown, *state, NULL, &error), 0);
    size_t len = protobuf_c_message_get_packed_size(first);
    assert_true(len <= sizeof a);
    assert_int_equal(protobuf_c_message_get_packed_size(again), len);
    assert_int_equal(protobuf_c_message_pack(first, a), len);
    assert_int_equal(protobuf_c_message_pack(again, b), len);
    assert_memory_equal(a, b, len);
    /* A zero that says something stays: no budget for nobody. */
    same(*state, &kubeapi__pod_disruption_budget__descriptor,
         "{\"metadata\":{},\"spec\":{\"maxUnavailable\":0},\"status\":{\"disruptionsAllowed\":0,"
         "\"currentHealthy\":0,\"desiredHealthy\":0,\"expectedPods\":0}}",
         NULL);
}

static void test_json__node__prints_what_is_always_there(void **state)
{
    same(*state, &kubeapi__node__descriptor,
         "{\"status\":{\"conditions\":[{\"type\":\"Ready\",\"status\":\"True\"}]}}",
         "{\"metadata\":{},\"spec\":{},\"status\":{\"conditions\":[{\"type\":\"Ready\",\"status\":"
         "\"True\",\"lastHeartbeatTime\":null,\"lastTransitionTime\":null}],\"daemonEndpoints\":"
         "{\"kubeletEndpoint\":{\"Port\":0}},\"nodeInfo\":{\"machineID\":\"\",\"systemUUID\":\"\","
         "\"bootID\":\"\",\"kernelVersion\":\"\",\"osImage\":\"\",\"containerRuntimeVersion\":\"\","
         "\"kubeletVersion\":\"\",\"kubeProxyVersion\":\"\",\"operatingSystem\":\"\","
         "\"architecture\":\"\"}}}");
}

/* Random messages of every kind: JSON says the same after a way through the message, and a message
 * that came from JSON comes back byte for byte. */
static void test_json__random_messages__there_and_back(void **state)
{
    struct mu_test_run run = mu_test_run_begin(20);
    struct mu_arena *arena = *state;
    for (run.step = 0; run.step < 4000; run.step++) {
        mu_arena_reset(arena);
        struct mu_error error = {0, ""};
        struct mu_json_problems problems = {0};
        ProtobufCMessage *message = schema_random_message(&run.random, arena);
        char *first = write_text(message);
        ProtobufCMessage *back = fresh(message->descriptor, arena);
        int status = read_text(back, first, arena, &problems, &error);
        if (status != 0 || problems.count != 0)
            fail_msg("seed %llu: %s: %s", (unsigned long long)run.seed, error.text, first);
        char *second = write_text(back);
        if (strcmp(first, second) != 0)
            print_error("%s\n%s\n", first, second);
        MU_TEST_CHECK(&run, strcmp(first, second) == 0);
        size_t size = protobuf_c_message_get_packed_size(back);
        uint8_t *bytes = mu_arena_alloc(arena, 2 * size + 2);
        (void)protobuf_c_message_pack(back, bytes);
        ProtobufCMessage *again = fresh(message->descriptor, arena);
        MU_TEST_CHECK(&run, read_text(again, second, arena, NULL, &error) == 0);
        MU_TEST_CHECK(&run, protobuf_c_message_get_packed_size(again) == size);
        (void)protobuf_c_message_pack(again, bytes + size);
        MU_TEST_CHECK(&run, memcmp(bytes, bytes + size, size) == 0);
        mu_mem_free(first);
        mu_mem_free(second);
        mu_json_problems_fini(&problems);
    }
}

/* ---- memory ------------------------------------------------------------------------------- */

static bool read_with_problems(void *context)
{
    struct mu_arena *arena = mu_arena_create(1 << 20);
    struct mu_json_problems problems = {0};
    struct mu_error error = {0, ""};
    Kubeapi__Pod pod = KUBEAPI__POD__INIT;
    int status =
        arena == NULL ? MU_ENOMEM : read_text(&pod.base, context, arena, &problems, &error);
    if (status != 0 && status != MU_ENOMEM)
        fail_msg("%d %s", status, error.text);
    mu_json_problems_fini(&problems);
    mu_arena_destroy(arena);
    return status == 0;
}

static void test_json_message_read__out_of_memory__error(void **state)
{
    uint64_t failures = mu_test_fail_each(
        read_with_problems, "{\"metadata\":{\"name\":\"a\",\"name\":\"b\",\"labels\":{\"x\":\"y\"},"
                            "\"managedFields\":[{\"fieldsV1\":{\"a\":[]}}]},\"unknown\":[{}]}");
    assert_true(failures > 10);
    (void)state;
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_json_message_read__wrong_types__path_and_expectation),
        TEST(test_json_message_read__base64__checked),
        TEST(test_json_message_read__unknown_and_duplicate_fields__told),
        TEST(test_json_message_read__duplicates__the_later_counts),
        TEST(test_json_message_read__many_problems__bounded),
        TEST(test_json_message_read__bombs__refused_or_bounded),
        TEST(test_json__shapes__there_and_back),
        TEST(test_json__shown_zero__is_read_as_absent),
        TEST(test_json__node__prints_what_is_always_there),
        TEST(test_json__random_messages__there_and_back),
        TEST(test_json_message_read__out_of_memory__error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
