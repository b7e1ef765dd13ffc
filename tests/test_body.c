/*
 * Request bodies at the server: every field is kept, whoever wrote it how; what a client wrote
 * wrongly is refused or told; patches by media type.
 */
#include "tests/kubesim_fixture.h"

#include "tools/kubesim/api_priv.h"

#include "informer/codec.h"
#include "tools/kubesim/schema/gang.pb-c.h"

#define POD_P "/api/v1/namespaces/default/pods/p"

/* As fixture_send, and the warnings after the answer. */
static int send_warned(struct fixture *f, enum mu_method method, const char *url,
                       enum mu_media content, struct mu_str body, char *warnings, size_t size)
{
    const char *mark = strchr(url, '?');
    struct mu_api_request request = {.method = method,
                                     .path = mu_str_of(url),
                                     .query = mu_str_of(mark == NULL ? "" : mark + 1),
                                     .content = content,
                                     .body = body};
    if (mark != NULL)
        request.path.len = (uint32_t)(mark - url);
    struct mu_api_response response;
    mu_apiserver_handle(f->server, &request, f->now_ns, &response);
    (void)snprintf(f->text, sizeof f->text, "%.*s", (int)response.body.len,
                   response.body.len > 0 ? (const char *)response.body.data : "");
    (void)snprintf(warnings, size, "%.*s", (int)response.warnings.len,
                   response.warnings.len > 0 ? (const char *)response.warnings.data : "");
    mu_buf_fini(&response.body);
    mu_buf_fini(&response.warnings);
    return response.status;
}

#define VOLUMES                                                                                    \
    "\"volumes\":[{\"name\":\"v\",\"configMap\":{\"name\":\"m\",\"items\":[{\"key\":\"k\","        \
    "\"path\":\"p\"}]}}]"
#define COMMAND                                                                                    \
    "\"name\":\"c\",\"image\":\"i\",\"command\":[\"sh\"],\"args\":[\"-c\"],\"env\":[{\"name\":"    \
    "\"A\",\"value\":\"b\"}],\"resources\":{},\"volumeMounts\":[{\"name\":\"v\",\"mountPath\":"    \
    "\"/v\"}],\"livenessProbe\":{\"httpGet\":{\"path\":\"/\",\"port\":8080}}"
#define SECURITY "\"securityContext\":{\"runAsNonRoot\":true}"

/* What was sent, among the defaults. */
static void has_spec(const struct fixture *f)
{
    has(f, VOLUMES);
    has(f, COMMAND);
    has(f, SECURITY);
}

static void test_body__fields_that_no_rule_reads__kept(void **state)
{
    struct fixture *f = *state;
    expect(f, 201, MU_POST, FIXTURE_PODS,
           "{\"metadata\":{\"name\":\"p\"},\"spec\":{" VOLUMES ",\"containers\":[{" COMMAND
           "," SECURITY "}]}}");
    has_spec(f);
    expect(f, 200, MU_PATCH, POD_P, "{\"metadata\":{\"labels\":{\"a\":\"b\"}}}");
    has_spec(f);
    expect(f, 200, MU_PATCH, POD_P "/status", "{\"status\":{\"podIP\":\"10.0.0.1\"}}");
    has(f, "\"podIP\":\"10.0.0.1\"");
    expect(f, 200, MU_GET, POD_P, "");
    has_spec(f);
    has(f, "\"podIP\":\"10.0.0.1\"");
}

/* Go prints a divisor and a port that nobody set; a patch of something else sends them back. */
static void test_body_patch__zeros_that_were_only_shown__change_nothing(void **state)
{
    struct fixture *f = *state;
    expect(
        f, 201, MU_POST, FIXTURE_PODS,
        "{\"metadata\":{\"name\":\"p\"},\"spec\":{\"containers\":[{\"name\":\"c\",\"image\":\"i\","
        "\"env\":[{\"name\":\"E\",\"valueFrom\":{\"resourceFieldRef\":{\"resource\":"
        "\"limits.cpu\"}}}],\"livenessProbe\":{\"httpGet\":{\"path\":\"/\"}}}]}}");
    has(f, "\"divisor\":\"0\"");
    has(f, "\"port\":0");
    expect(f, 200, MU_PATCH, POD_P, "{\"metadata\":{\"labels\":{\"a\":\"b\"}}}");
    has(f, "\"divisor\":\"0\"");
    has(f, "\"port\":0");
}

static void test_body__field_validation__strict_warn_ignore(void **state)
{
    struct fixture *f = *state;
    static const char body[] = "{\"metadata\":{\"name\":\"p\",\"name\":\"p\"},\"foo\":1,\"spec\":"
                               "{\"containers\":[{\"name\":\"c\",\"image\":\"i\",\"bar\":{}}]}}";
    char warnings[512];
    assert_int_equal(send_warned(f, MU_POST, FIXTURE_PODS "?fieldValidation=Strict", MU_MEDIA_JSON,
                                 MU_STR(body), warnings, sizeof warnings),
                     400);
    has(f, "\"reason\":\"BadRequest\"");
    has(f, "Pod in version \\\"v1\\\" cannot be handled as a Pod: strict decoding error: duplicate "
           "field \\\"metadata.name\\\", unknown field \\\"foo\\\", unknown field "
           "\\\"spec.containers[0].bar\\\"\"");
    assert_string_equal(warnings, "");
    assert_int_equal(send_warned(f, MU_POST, FIXTURE_PODS "?fieldValidation=Loose", MU_MEDIA_JSON,
                                 MU_STR(body), warnings, sizeof warnings),
                     422);
    has(f, "Unsupported value: \\\"Loose\\\"");
    assert_int_equal(send_warned(f, MU_POST, FIXTURE_PODS, MU_MEDIA_JSON, MU_STR(body), warnings,
                                 sizeof warnings),
                     201);
    assert_string_equal(warnings, "duplicate field \"metadata.name\"\nunknown field \"foo\"\n"
                                  "unknown field \"spec.containers[0].bar\"\n");
    assert_int_equal(send_warned(f, MU_PATCH, POD_P "?fieldValidation=Ignore", MU_MEDIA_MERGE_PATCH,
                                 MU_STR("{\"foo\":2}"), warnings, sizeof warnings),
                     200);
    assert_string_equal(warnings, "");
    assert_int_equal(send_warned(f, MU_PATCH, POD_P, MU_MEDIA_MERGE_PATCH, MU_STR("{\"foo\":2}"),
                                 warnings, sizeof warnings),
                     200);
    assert_string_equal(warnings, "unknown field \"foo\"\n");
    assert_int_equal(send_warned(f, MU_PATCH, POD_P "?fieldValidation=Strict", MU_MEDIA_MERGE_PATCH,
                                 MU_STR("{\"foo\":2}"), warnings, sizeof warnings),
                     422);
    has(f, "patch: strict decoding error: unknown field \\\"foo\\\"");
}

/* A hundred unknown fields: every one is told. */
static void test_body__strict_with_many_problems__message_is_whole(void **state)
{
    enum { FIELDS = 100 };
    static const char begin[] = "{\"metadata\":{\"name\":\"p\"},\"spec\":{\"containers\":[{"
                                "\"name\":\"c\",\"image\":\"i\"";
    struct fixture *f = *state;
    char warnings[64], last[96];
    struct mu_buf body = {0};
    (void)mu_buf_append_text(&body, begin);
    for (int i = 0; i < FIELDS; i++)
        (void)mu_buf_printf(&body, ",\"quite-an-unknown-field-%d\":%d", i, i);
    assert_int_equal(mu_buf_append_text(&body, "}]}}"), 0);
    assert_int_equal(send_warned(f, MU_POST, FIXTURE_PODS "?fieldValidation=Strict", MU_MEDIA_JSON,
                                 (struct mu_str){(const char *)body.data, (uint32_t)body.len},
                                 warnings, sizeof warnings),
                     400);
    for (int i = 0; i < FIELDS; i++) {
        (void)snprintf(last, sizeof last,
                       "unknown field \\\"spec.containers[0].quite-an-unknown-field-%d\\\"", i);
        has(f, last);
    }
    mu_buf_fini(&body);
}

static void test_api_fail__arena_full__message_is_cut_visibly(void **state)
{
    struct fixture *f = *state;
    struct mu_api_response response = {0};
    struct mu_call call = {.server = f->server,
                           .response = &response,
                           .form = {.media = MU_MEDIA_JSON},
                           .route = {.kind = MU_KIND_COUNT}};
    char long_text[2000];
    memset(long_text, 'x', sizeof long_text - 1);
    long_text[sizeof long_text - 1] = '\0';
    for (size_t bytes = 1u << 20; bytes > 0; bytes /= 2) {
        while (mu_api_alloc(f->server, bytes) != NULL) {
        }
    }
    f->server->arena_full = false;
    assert_int_equal(mu_api_fail(&call, 400, "BadRequest", "%s", long_text), MU_EINVAL);
    assert_int_equal(response.status, 400);
    (void)snprintf(f->text, sizeof f->text, "%.*s", (int)response.body.len,
                   (const char *)response.body.data);
    has(f, "\"message\":\"xxxx");
    has(f, "xxxx...\"");
    assert_false(f->server->arena_full); /* short words are no failure of their own */
    mu_buf_fini(&response.body);
}

/* What a rule finds missing then may have been lost on the way. */
static void test_api_invalid__allocation_failed__not_the_clients_fault(void **state)
{
    struct fixture *f = *state;
    static const struct {
        size_t used;
        bool failed;
        int status;
    } cases[] = {{0, false, 422}, {0, true, 500}, {MU_KUBESIM_DECODE_MAX - 1024, true, 413}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct mu_api_response response = {0};
        struct mu_call call = {.server = f->server,
                               .response = &response,
                               .form = {.media = MU_MEDIA_JSON},
                               .route = {.kind = MU_KIND_PODGROUPS, .name = MU_STR("g")}};
        mu_arena_reset(f->server->arena);
        f->server->arena_full = cases[i].failed;
        assert_true(cases[i].used == 0 || mu_api_alloc(f->server, cases[i].used) != NULL);
        assert_int_equal(mu_api_invalid(&call, "spec", "Required value"), MU_EINVAL);
        assert_int_equal(response.status, cases[i].status);
        mu_buf_fini(&response.body);
    }
}

static void test_body__wrong_type__400_with_path(void **state)
{
    struct fixture *f = *state;
    expect(f, 400, MU_POST, FIXTURE_PODS, "{\"spec\":{\"containers\":[{\"name\":7}]}}");
    has(f, "cannot be handled as a Pod: spec.containers[0].name: expected a string");
    expect(f, 400, MU_POST, FIXTURE_PODS, "{\"apiVersion\":\"v2\",\"kind\":\"Pod\"}");
    has(f, "expected Pod of v1");
    expect(f, 400, MU_POST, FIXTURE_PODS, "[]");
    expect(f, 400, MU_POST, FIXTURE_PODS, "");
}

static void test_body__yaml__as_json(void **state)
{
    struct fixture *f = *state;
    char warnings[256];
    struct mu_str body = MU_STR("apiVersion: v1\nkind: Pod\nmetadata:\n  name: p\nspec:\n"
                                "  hostNetwork: no\n  containers:\n  - name: c\n    image: i\n"
                                "    image: j\n    args: [\"1\", 'yes']\n");
    assert_int_equal(
        send_warned(f, MU_POST, FIXTURE_PODS, MU_MEDIA_YAML, body, warnings, sizeof warnings), 201);
    has(f, "\"image\":\"j\",\"args\":[\"1\",\"yes\"]");
    assert_string_equal(warnings, "line 10: key \"image\" already set in map\n");
    static const struct {
        const char *text, *says;
    } wrong[] = {{"a: [", "body:2:1: expected YAML"},
                 {"- a", "expected one YAML document, a mapping"},
                 {"", "expected one YAML document"},
                 {"a: 1\n---\nb: 1\n", "expected one YAML document"},
                 {"a: *b", "expected no anchors"}};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        assert_int_equal(fixture_send(f, MU_POST, FIXTURE_PODS, MU_MEDIA_YAML, wrong[i].text), 400);
        has(f, wrong[i].says);
    }
}

static void test_body_patch__media_types__served_or_415(void **state)
{
    struct fixture *f = *state;
    add_pod(f, "default", "p", "", "");
    assert_int_equal(fixture_send(f, MU_PATCH, POD_P, MU_MEDIA_JSON_PATCH,
                                  "[{\"op\":\"test\",\"path\":\"/metadata/name\",\"value\":\"p\"},"
                                  "{\"op\":\"add\",\"path\":\"/metadata/labels\",\"value\":"
                                  "{\"a/b\":\"c\"}},{\"op\":\"copy\",\"from\":\"/metadata/labels/"
                                  "a~1b\",\"path\":\"/metadata/labels/d\"}]"),
                     200);
    has(f, "\"labels\":{\"a/b\":\"c\",\"d\":\"c\"}");
    assert_int_equal(
        fixture_send(f, MU_PATCH, POD_P, MU_MEDIA_JSON_PATCH,
                     "[{\"op\":\"test\",\"path\":\"/metadata/name\",\"value\":\"q\"}]"),
        422);
    has(f, "operation 0: test: the value is another one");
    assert_int_equal(fixture_send(f, MU_PATCH, POD_P, MU_MEDIA_STRATEGIC_PATCH,
                                  "{\"metadata\":{\"labels\":{\"d\":null}}}"),
                     200);
    has_not(f, "\"d\":\"c\"");
    assert_int_equal(fixture_send(f, MU_PATCH, POD_P, MU_MEDIA_APPLY_PATCH, "{}"), 415);
    has(f, "no server-side apply");
    assert_int_equal(fixture_send(f, MU_PATCH, POD_P, MU_MEDIA_JSON, "{}"), 415);
    assert_int_equal(fixture_send(f, MU_PATCH, POD_P, MU_MEDIA_MERGE_PATCH, "[]"), 400);
    assert_int_equal(fixture_send(f, MU_PATCH, POD_P, MU_MEDIA_MERGE_PATCH, "{"), 400);
    assert_int_equal(
        fixture_send(f, MU_PATCH, POD_P, MU_MEDIA_MERGE_PATCH, "{\"spec\":{\"priority\":\"x\"}}"),
        422);
    has(f, "patch: spec.priority: expected a 32-bit whole number");
    expect(f, 422, MU_PATCH, POD_P, "{\"metadata\":null}");
}

static void test_body_patch__custom_resource__no_strategic(void **state)
{
    struct fixture *f = *state;
    static const char groups[] = "/apis/scheduling.volcano.sh/v1beta1/namespaces/default/podgroups";
    static const char group[] =
        "/apis/scheduling.volcano.sh/v1beta1/namespaces/default/podgroups/g";
    expect(
        f, 201, MU_POST, groups,
        "{\"metadata\":{\"name\":\"g\"},\"spec\":{\"minMember\":2,\"minTaskMember\":{\"w\":2}}}");
    assert_int_equal(fixture_send(f, MU_PATCH, group, MU_MEDIA_STRATEGIC_PATCH, "{}"), 415);
    has(f, "podgroups is a custom resource");
    assert_int_equal(fixture_send(f, MU_POST, groups, MU_MEDIA_PROTOBUF, "k8s"), 415);
    expect(f, 200, MU_PATCH, group, "{\"spec\":{\"minTaskMember\":{\"w\":null,\"x\":0}}}");
    has(f, "\"minTaskMember\":{\"x\":0}");
}

static void test_body_patch__nothing_changes__no_new_version(void **state)
{
    struct fixture *f = *state;
    add_pod(f, "default", "p", "\"a\":\"b\"", "");
    uint64_t version = mu_apiserver_version(f->server);
    expect(f, 200, MU_PATCH, POD_P, "{}");
    expect(f, 200, MU_PATCH, POD_P, "{\"metadata\":{\"labels\":{\"a\":\"b\",\"x\":null}}}");
    assert_int_equal(mu_apiserver_version(f->server), version);
    expect(f, 409, MU_PATCH, POD_P, "{\"metadata\":{\"resourceVersion\":\"1\"}}");
}

/* An encoding that would take protobuf-c deeper than the stack is: refused before it decodes. */
static void test_body__protobuf__checked_against_the_schema(void **state)
{
    struct fixture *f = *state;
    enum { DEPTH = 200000 };
    char *deep = mu_mem_alloc(8 * DEPTH);
    size_t at = 8 * DEPTH;
    size_t len = 0;
    for (int level = 0; level < DEPTH; level++) { /* from the inside out: templates in field 9 */
        uint8_t head[8];
        size_t n = 0;
        size_t rest = len;
        head[n++] = level + 1 == DEPTH ? 0x1a : 0x4a; /* the outermost is spec's, field 3 */
        for (; rest >= 0x80; rest >>= 7)
            head[n++] = (uint8_t)(rest | 0x80);
        head[n++] = (uint8_t)rest;
        at -= n;
        memcpy(deep + at, head, n);
        len += n;
    }
    struct mu_buf spec = {0};
    struct mu_buf body = {0};
    (void)mu_buf_append(&spec, "\x12", 1);
    size_t rest = len;
    for (; rest >= 0x80; rest >>= 7)
        (void)mu_buf_append(&spec, &(uint8_t){(uint8_t)(rest | 0x80)}, 1);
    (void)mu_buf_append(&spec, &(uint8_t){(uint8_t)rest}, 1);
    (void)mu_buf_append(&spec, deep + at, len);
    assert_int_equal(mu_envelope_wrap(&body, MU_STR("scheduling.k8s.io/v1beta1"),
                                      MU_STR("Workload"),
                                      (struct mu_str){(char *)spec.data, (uint32_t)spec.len}),
                     0);
    char warnings[8];
    assert_int_equal(
        send_warned(f, MU_POST, "/apis/scheduling.k8s.io/v1beta1/namespaces/default/workloads",
                    MU_MEDIA_PROTOBUF, (struct mu_str){(char *)body.data, (uint32_t)body.len},
                    warnings, sizeof warnings),
        400);
    has(f, "not a protobuf Workload");
    static const struct mu_str wrong[] = {
        {"\x0a\x02\x08\x01", 4},         /* metadata.name as a number */
        {"\x0a\x03\x0a\x05x", 5},        /* longer than what is around it */
        {"\x12\x04\xba\x02\x01\xff", 6}, /* spec: a resource claim that is none */
        {"\x12\x02\x58\xff", 4},         /* spec.hostNetwork: no end */
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        mu_buf_clear(&body);
        assert_int_equal(mu_envelope_wrap(&body, MU_STR("v1"), MU_STR("Pod"), wrong[i]), 0);
        assert_int_equal(send_warned(f, MU_POST, FIXTURE_PODS, MU_MEDIA_PROTOBUF,
                                     (struct mu_str){(char *)body.data, (uint32_t)body.len},
                                     warnings, sizeof warnings),
                         400);
    }
    mu_buf_fini(&spec);
    mu_buf_fini(&body);
    mu_mem_free(deep);
}

static void test_body__out_of_memory__500_and_nothing_changed(void **state)
{
    struct fixture *f = *state;
    add_pod(f, "default", "p", "", "");
    static const struct {
        enum mu_method method;
        const char *url;
        enum mu_media media;
        const char *body;
        int done;
    } calls[] = {
        {MU_POST, FIXTURE_PODS "?dryRun=All", MU_MEDIA_JSON,
         "{\"x\":1,\"metadata\":{\"name\":\"q\",\"name\":\"q\"},\"spec\":{\"containers\":[{"
         "\"name\":"
         "\"c\",\"image\":\"i\"}]}}",
         201},
        {MU_PATCH, POD_P "?dryRun=All", MU_MEDIA_STRATEGIC_PATCH,
         "{\"y\":1,\"metadata\":{\"labels\":{\"a\":\"b\"}},\"spec\":{\"containers\":[{\"name\":"
         "\"c\"}],\"activeDeadlineSeconds\":5}}",
         200},
        {MU_PATCH, POD_P "?dryRun=All", MU_MEDIA_JSON_PATCH,
         "[{\"op\":\"add\",\"path\":\"/metadata/labels\",\"value\":{\"a\":\"b\"}}]", 200},
    };
    uint64_t version = mu_apiserver_version(f->server);
    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++) {
        int status = 0;
        for (uint64_t nth = 1; status != calls[i].done && nth < 10000; nth++) {
            mu_mem_debug_set((struct mu_mem_debug){.fail_nth = nth});
            status = fixture_send(f, calls[i].method, calls[i].url, calls[i].media, calls[i].body);
            mu_mem_debug_set((struct mu_mem_debug){0});
            if (status != 500 && status != calls[i].done)
                fail_msg("%s, allocation %llu: %d %s", calls[i].url, (unsigned long long)nth,
                         status, f->text);
            assert_int_equal(mu_apiserver_version(f->server), version);
        }
        assert_int_equal(status, calls[i].done);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(test_body__fields_that_no_rule_reads__kept),
        FIXTURE_TEST(test_body_patch__zeros_that_were_only_shown__change_nothing),
        FIXTURE_TEST(test_body__field_validation__strict_warn_ignore),
        FIXTURE_TEST(test_body__strict_with_many_problems__message_is_whole),
        FIXTURE_TEST(test_api_fail__arena_full__message_is_cut_visibly),
        FIXTURE_TEST(test_api_invalid__allocation_failed__not_the_clients_fault),
        FIXTURE_TEST(test_body__wrong_type__400_with_path),
        FIXTURE_TEST(test_body__yaml__as_json),
        FIXTURE_TEST(test_body_patch__media_types__served_or_415),
        FIXTURE_TEST(test_body_patch__custom_resource__no_strategic),
        FIXTURE_TEST(test_body_patch__nothing_changes__no_new_version),
        FIXTURE_TEST(test_body__protobuf__checked_against_the_schema),
        FIXTURE_TEST(test_body__out_of_memory__500_and_nothing_changed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
