/*
 * Each request, with each of its allocations failing once: what comes out is the answer that memory
 * to spare would have given, to the byte, or a 500 that has changed nothing. Nothing in between: no
 * refusal for what was lost on the way (422, 413), no object that lacks a part.
 */
#include "tests/kubesim_fixture.h"

#define CORE(plural)    "/api/v1/namespaces/default/" plural
#define NATIVE(version) "/apis/scheduling.k8s.io/" version "/namespaces/default/"
#define POD                                                                                        \
    "{\"metadata\":{\"name\":\"q\",\"labels\":{\"a\":\"b\"}},\"spec\":{\"nodeSelector\":{"         \
    "\"d\":\"e\"},\"tolerations\":[{\"operator\":\"Exists\"}],\"containers\":[{\"name\":\"c\","    \
    "\"image\":\"i\",\"resources\":{\"limits\":{\"cpu\":\"1\"}}}]}}"
#define NATIVE_GROUP(policy)                                                                       \
    "{\"metadata\":{\"name\":\"g\"},\"spec\":{\"schedulingPolicy\":{" policy "}}}"
#define BUDGET                                                                                     \
    "{\"metadata\":{\"name\":\"b\"},\"spec\":{\"maxUnavailable\":1,\"selector\":{\"matchLabels\":" \
    "{\"a\":\"b\"}}}}"
#define GROUP                                                                                      \
    "{\"metadata\":{\"name\":\"g\"},\"spec\":{\"minMember\":2,\"minResources\":{\"cpu\":1}}}"
#define EVENT                                                                                      \
    "{\"metadata\":{\"name\":\"e\"},\"regarding\":{\"kind\":\"Pod\",\"name\":\"q\",\"namespace\":" \
    "\"default\"},\"reason\":\"Scheduled\",\"type\":\"Normal\",\"eventTime\":"                     \
    "\"2026-01-01T00:00:00.000001Z\",\"action\":\"Binding\",\"reportingController\":\"x.io/s\","   \
    "\"reportingInstance\":\"s-0\"}"
#define TEMPLATES                                                                                  \
    "{\"metadata\":{\"name\":\"w\"},\"spec\":{\"podGroupTemplates\":[{\"name\":\"t\","             \
    "\"schedulingPolicy\":{\"basic\":{}}}]}}"
#define BINDING "{\"metadata\":{\"name\":\"p\"},\"target\":{\"kind\":\"Node\",\"name\":\"n\"}}"

struct request {
    enum mu_method method;
    const char *url;
    enum mu_media content;
    const char *body;
    int status;
};

static const struct request requests[] = {
    {MU_GET, FIXTURE_PODS, MU_MEDIA_NONE, "", 200},
    {MU_GET, FIXTURE_PODS "/p", MU_MEDIA_NONE, "", 200},
    {MU_GET, FIXTURE_PODS "?labelSelector=a%3Db,c&limit=1", MU_MEDIA_NONE, "", 200},
    {MU_POST, FIXTURE_PODS "?dryRun=All", MU_MEDIA_JSON, POD, 201},
    {MU_POST, FIXTURE_PODS, MU_MEDIA_YAML, POD, 201},
    {MU_POST, FIXTURE_PODS "/p/binding", MU_MEDIA_JSON, BINDING, 201},
    {MU_POST, FIXTURE_PODS "/run/eviction", MU_MEDIA_JSON, "{\"metadata\":{\"name\":\"run\"}}",
     201},
    {MU_PATCH, FIXTURE_PODS "/p", MU_MEDIA_JSON_PATCH,
     "[{\"op\":\"copy\",\"from\":\"/metadata/labels/a\",\"path\":\"/metadata/labels/d\"},{\"op\":"
     "\"move\",\"from\":\"/metadata/labels/d\",\"path\":\"/metadata/labels/e\"}]",
     200},
    {MU_PATCH, FIXTURE_PODS "/p", MU_MEDIA_STRATEGIC_PATCH,
     "{\"spec\":{\"containers\":[{\"name\":\"c\",\"image\":\"j\"}]}}", 200},
    {MU_PATCH, FIXTURE_PODS "/p/status", MU_MEDIA_STRATEGIC_PATCH,
     "{\"status\":{\"conditions\":[{\"type\":\"PodScheduled\",\"status\":\"False\"}]}}", 200},
    {MU_PATCH, "/api/v1/nodes/n", MU_MEDIA_STRATEGIC_PATCH,
     "{\"spec\":{\"taints\":[{\"key\":\"k\",\"effect\":\"NoSchedule\"}]}}", 200},
    {MU_DELETE, FIXTURE_PODS "/p", MU_MEDIA_JSON,
     "{\"gracePeriodSeconds\":0,\"preconditions\":{\"resourceVersion\":\"1\"}}", 409},
    {MU_DELETE, FIXTURE_PODS "/run?gracePeriodSeconds=9", MU_MEDIA_NONE, "", 200},
    {MU_POST, CORE("configmaps"), MU_MEDIA_JSON,
     "{\"metadata\":{\"name\":\"c\"},\"data\":{\"a\":\"b\"},\"binaryData\":{\"b\":\"AA==\"}}", 201},
    {MU_POST, CORE("configmaps") "?fieldValidation=Strict", MU_MEDIA_JSON,
     "{\"metadata\":{\"name\":\"c\"},\"frob\":1}", 400},
    {MU_POST, "/api/v1/namespaces", MU_MEDIA_JSON, "{\"metadata\":{\"name\":\"x\"}}", 201},
    {MU_POST, "/apis/scheduling.k8s.io/v1/priorityclasses", MU_MEDIA_JSON,
     "{\"metadata\":{\"name\":\"x\"},\"value\":7}", 201},
    {MU_POST, "/apis/policy/v1/namespaces/default/poddisruptionbudgets", MU_MEDIA_JSON, BUDGET,
     201},
    {MU_POST, "/apis/events.k8s.io/v1/namespaces/default/events", MU_MEDIA_JSON, EVENT, 201},
    {MU_POST, NATIVE("v1beta1") "workloads", MU_MEDIA_JSON, TEMPLATES, 201},
    {MU_POST, NATIVE("v1alpha3") "podgroups", MU_MEDIA_JSON, NATIVE_GROUP("\"basic\":{}"), 201},
    {MU_POST, NATIVE("v1beta1") "podgroups", MU_MEDIA_JSON,
     NATIVE_GROUP("\"gang\":{\"minCount\":2}"), 201},
    {MU_PATCH, NATIVE("v1beta1") "podgroups/old", MU_MEDIA_MERGE_PATCH,
     "{\"spec\":{\"schedulingPolicy\":{\"gang\":{\"minCount\":3}}}}", 200},
    {MU_POST, NATIVE("v1alpha3") "compositepodgroups", MU_MEDIA_JSON, NATIVE_GROUP("\"basic\":{}"),
     201},
    {MU_POST, "/apis/scheduling.x-k8s.io/v1alpha1/namespaces/default/podgroups", MU_MEDIA_JSON,
     GROUP, 201},
    {MU_POST, "/apis/scheduling.volcano.sh/v1beta1/namespaces/default/podgroups", MU_MEDIA_JSON,
     GROUP, 201},
    {MU_POST, "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", MU_MEDIA_JSON,
     "{\"spec\":{\"resourceAttributes\":{\"verb\":\"get\",\"resource\":\"pods\"}}}", 201},
    {MU_POST, CORE("serviceaccounts/default/token"), MU_MEDIA_JSON,
     "{\"spec\":{\"audiences\":[\"x\"],\"expirationSeconds\":600}}", 201},
    {MU_DELETE, FIXTURE_PODS "?labelSelector=none", MU_MEDIA_NONE, "", 200},
    {MU_GET, "/apis", MU_MEDIA_NONE, "", 200},
    {MU_GET, "/api/v1", MU_MEDIA_NONE, "", 200},
    {MU_GET, "/openapi/v3", MU_MEDIA_NONE, "", 200},
    {MU_GET, "/frobs/a/b", MU_MEDIA_NONE, "", 404},
    {MU_GET, FIXTURE_PODS "/nobody", MU_MEDIA_NONE, "", 404},
    {MU_POST, FIXTURE_PODS, MU_MEDIA_JSON, POD, 201},
    {MU_PATCH, FIXTURE_PODS "/p", MU_MEDIA_MERGE_PATCH, "{\"metadata\":{\"labels\":{\"c\":\"d\"}}}",
     200},
    {MU_PATCH, CORE("configmaps/fixed"), MU_MEDIA_MERGE_PATCH,
     "{\"metadata\":{\"labels\":{\"a\":\"b\"}}}", 200},
    {MU_POST, NATIVE("v1beta1") "podgroups", MU_MEDIA_JSON, NATIVE_GROUP("\"basic\":{}"), 201},
    {MU_PATCH, NATIVE("v1alpha3") "podgroups/old", MU_MEDIA_MERGE_PATCH,
     "{\"metadata\":{\"labels\":{\"a\":\"b\"}}}", 200},
};

/* Allocations whose failure makes no difference come in short runs (a chunk that was not given
 * back, an answer in JSON instead of YAML): so many of them in a row are the end of the request. */
#define UNTOUCHED_MAX 48u

/* A world in which every request finds what it names. */
static void populate(struct fixture *f)
{
    add_node(f, "n");
    add_pod(f, "default", "p", "\"a\":\"b\"", "");
    add_pod(f, "default", "run", "\"a\":\"c\"", "n");
    expect(f, 201, MU_POST, NATIVE("v1beta1") "podgroups",
           "{\"metadata\":{\"name\":\"old\"},\"spec\":{\"schedulingPolicy\":{\"gang\":{"
           "\"minCount\":2}}}}");
    expect(f, 201, MU_POST, CORE("configmaps"),
           "{\"metadata\":{\"name\":\"fixed\"},\"data\":{\"a\":\"b\"},\"immutable\":true}");
}

struct outcome {
    int status;
    bool changed; /* anything in the store */
    char text[sizeof((struct fixture *)0)->text];
};

/* Send in a world of its own, whose nth allocation from here on fails (0: none). */
static void send_short(const struct request *request, uint64_t nth, struct outcome *out)
{
    void *state = NULL;
    assert_int_equal(fixture_setup(&state), 0);
    struct fixture *f = state;
    populate(f);
    uint64_t version = mu_apiserver_version(f->server);
    mu_mem_debug_set((struct mu_mem_debug){.fail_nth = nth});
    out->status = fixture_send(f, request->method, request->url, request->content, request->body);
    mu_mem_debug_set((struct mu_mem_debug){.fail_nth = 0});
    out->changed = mu_apiserver_version(f->server) != version;
    (void)snprintf(out->text, sizeof out->text, "%s", f->text);
    (void)fixture_teardown(&state);
}

/* Every allocation of the request fails once. Returns how many of them it was refused for. */
static uint32_t fail_each(const struct request *request)
{
    static struct outcome whole;
    static struct outcome got;
    uint32_t refused = 0;
    uint32_t untouched = 0;
    send_short(request, 0, &whole);
    if (whole.status != request->status)
        fail_msg("%s: %d, expected %d: %s", request->url, whole.status, request->status,
                 whole.text);
    for (uint64_t nth = 1; untouched < UNTOUCHED_MAX; nth++) {
        send_short(request, nth, &got);
        bool same = got.status == whole.status && /* the words of a refusal may be cut */
                    (got.status >= 400 || strcmp(got.text, whole.text) == 0);
        /* Only an answer that cannot be written comes without words, and after the change. */
        if (!same && (got.status != 500 || (got.changed && got.text[0] != '\0')))
            fail_msg("%s %s, allocation %llu: %d %s\nnot %d %s", mu_method_text(request->method),
                     request->url, (unsigned long long)nth, got.status, got.text, whole.status,
                     whole.text);
        refused += got.status == 500;
        untouched = same ? untouched + 1 : 0;
    }
    return refused;
}

static void test_api_memory__one_allocation_fails__same_answer_or_500(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof requests / sizeof requests[0]; i++)
        assert_int_not_equal(fail_each(&requests[i]), 0);
}

/* A URL that needs room of its own: what is not read is neither malformed nor unknown. */
static void test_api_memory__long_urls__no_refusal_for_lack_of_memory(void **state)
{
    static char url[32 << 10];
    (void)state;
    struct request request = {MU_GET, url, MU_MEDIA_NONE, "", 404};
    (void)snprintf(url, sizeof url, FIXTURE_PODS "/%020000d", 0);
    assert_int_not_equal(fail_each(&request), 0);
    request.status = 200;
    (void)snprintf(url, sizeof url, FIXTURE_PODS "?pretty=%020000d", 0);
    assert_int_not_equal(fail_each(&request), 0);
    char token[1000] = "352064656661756c7420"; /* version 5, default, and a name of z's */
    for (size_t at = strlen(token); at + 2 < sizeof token; at += 2)
        memcpy(token + at, "7a", sizeof "7a");
    for (int bytes = 12000; bytes < 18000;
         bytes += 400) { /* one of them leaves the token no room */
        (void)snprintf(url, sizeof url, FIXTURE_PODS "?continue=%s&pretty=%0*d", token, bytes, 0);
        (void)fail_each(&request);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_api_memory__one_allocation_fails__same_answer_or_500),
        cmocka_unit_test(test_api_memory__long_urls__no_refusal_for_lack_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
