/* Kinds that carry data for others: config maps, leases, events, groups. */
#include "tests/kubesim_fixture.h"
#include "tools/kubesim/limits.h"

#define CORE(plural)    "/api/v1/namespaces/default/" plural
#define EVENTS          "/apis/events.k8s.io/v1/namespaces/default/events"
#define LEASES          "/apis/coordination.k8s.io/v1/namespaces/default/leases"
#define NATIVE(version) "/apis/scheduling.k8s.io/" version "/namespaces/default/"
#define COSCHEDULING    "/apis/scheduling.x-k8s.io/v1alpha1/namespaces/default/podgroups"
#define VOLCANO         "/apis/scheduling.volcano.sh/v1beta1/namespaces/default/podgroups"

/* ---- config maps and leases --------------------------------------------------------------- */

static void test_configmap__bad_data__422(void **state)
{
    struct fixture *f = *state;
    expect(f, 422, MU_POST, CORE("configmaps"),
           "{\"metadata\":{\"name\":\"c\"},\"data\":{\"a/b\":\"1\"}}");
    has(f, "valid config key");
    expect(f, 422, MU_POST, CORE("configmaps"),
           "{\"metadata\":{\"name\":\"c\"},\"data\":{\"..\":\"1\"}}");
    expect(
        f, 422, MU_POST, CORE("configmaps"),
        "{\"metadata\":{\"name\":\"c\"},\"data\":{\"a\":\"1\"},\"binaryData\":{\"a\":\"AA==\"}}");
    has(f, "duplicate of key");
    struct mu_buf body = {0};
    (void)mu_buf_append_text(&body, "{\"metadata\":{\"name\":\"c\"},\"data\":{\"a\":\"");
    for (uint32_t i = 0; i < MU_KUBESIM_CONFIGMAP_MAX / 64 + 1; i++) {
        (void)mu_buf_printf(&body, "%064d", 0);
    }
    (void)mu_buf_append(&body, "\"}}", 4);
    expect(f, 422, MU_POST, CORE("configmaps"), (const char *)body.data);
    has(f, "Too long");
    mu_buf_fini(&body);
}

static void test_configmap__immutable__data_stays(void **state)
{
    struct fixture *f = *state;
    expect(
        f, 201, MU_POST, CORE("configmaps"),
        "{\"metadata\":{\"name\":\"c\"},\"data\":{\"a\":\"1\"},\"binaryData\":{\"b\":\"AP8=\"}}");
    expect(f, 200, MU_PATCH, CORE("configmaps/c"), "{\"data\":{\"a\":\"2\"}}");
    has(f, "\"data\":{\"a\":\"2\"}");
    has(f, "\"binaryData\":{\"b\":\"AP8=\"}");
    expect(f, 200, MU_PATCH, CORE("configmaps/c"), "{\"immutable\":true}");
    expect(f, 422, MU_PATCH, CORE("configmaps/c"), "{\"data\":{\"a\":\"3\"}}");
    has(f, "field is immutable when `immutable` is set");
    expect(f, 422, MU_PATCH, CORE("configmaps/c"), "{\"immutable\":false}");
    expect(f, 200, MU_PATCH, CORE("configmaps/c"), "{\"metadata\":{\"labels\":{\"l\":\"m\"}}}");
    has(f, "\"data\":{\"a\":\"2\"}");
}

static void test_lease__rules_and_times(void **state)
{
    struct fixture *f = *state;
    expect(f, 422, MU_POST, LEASES,
           "{\"metadata\":{\"name\":\"l\"},\"spec\":{\"leaseDurationSeconds\":0}}");
    expect(f, 422, MU_POST, LEASES,
           "{\"metadata\":{\"name\":\"l\"},\"spec\":{\"leaseTransitions\":-1}}");
    expect(f, 201, MU_POST, LEASES,
           "{\"metadata\":{\"name\":\"l\"},\"spec\":{\"holderIdentity\":\"me\","
           "\"leaseDurationSeconds\":15,\"renewTime\":\"2026-01-01T00:00:01.000005Z\"}}");
    expect(f, 200, MU_PATCH, LEASES "/l", "{\"spec\":{\"leaseTransitions\":1}}");
    has(f, "\"holderIdentity\":\"me\"");
    has(f, "\"renewTime\":\"2026-01-01T00:00:01.000005Z\"");
    has(f, "\"leaseTransitions\":1");
}

/* ---- events ------------------------------------------------------------------------------- */

#define OLD_EVENT(name)                                                                            \
    "{\"metadata\":{\"name\":\"" name "\"},\"involvedObject\":{\"kind\":\"Pod\",\"name\":\"p\","   \
    "\"namespace\":\"default\"},\"reason\":\"Scheduled\",\"message\":\"to n\",\"type\":"           \
    "\"Normal\",\"count\":2,\"source\":{\"component\":\"test\"}}"
#define NEW_EVENT(name)                                                                            \
    "{\"metadata\":{\"name\":\"" name "\"},\"regarding\":{\"kind\":\"Pod\",\"name\":\"q\","        \
    "\"namespace\":\"default\"},\"reason\":\"Scheduled\",\"note\":\"to n\",\"type\":\"Normal\","   \
    "\"eventTime\":\"2026-01-01T00:00:00.000001Z\",\"action\":\"Binding\","                        \
    "\"reportingController\":\"x.io/s\",\"reportingInstance\":\"s-0\"}"

static void test_event__written_through_one_group__read_through_both(void **state)
{
    struct fixture *f = *state;
    expect(f, 201, MU_POST, CORE("events"), OLD_EVENT("old"));
    has(f, "\"apiVersion\":\"v1\"");
    expect(f, 200, MU_GET, EVENTS "/old", NULL);
    has(f, "\"apiVersion\":\"events.k8s.io/v1\"");
    has(f, "\"regarding\":{\"kind\":\"Pod\"");
    has(f, "\"note\":\"to n\"");
    has(f, "\"deprecatedCount\":2");
    has(f, "\"deprecatedSource\":{\"component\":\"test\"}");
    expect(f, 201, MU_POST, EVENTS, NEW_EVENT("new"));
    has(f, "\"note\":\"to n\"");
    expect(f, 200, MU_GET, CORE("events/new"), NULL);
    has(f, "\"involvedObject\":{\"kind\":\"Pod\"");
    has(f, "\"message\":\"to n\"");
    has(f, "\"reportingComponent\":\"x.io/s\"");
    expect(f, 200, MU_GET, EVENTS, NULL);
    has(f, "\"name\":\"old\"");
    has(f, "\"name\":\"new\"");
    expect(f, 409, MU_POST, CORE("events"), OLD_EVENT("new"));
    expect(f, 200, MU_DELETE, EVENTS "/old", NULL);
    expect(f, 404, MU_GET, CORE("events/old"), NULL);
}

static void test_event__field_selectors__by_the_names_of_either_group(void **state)
{
    static const char *const selectors[] = {
        "involvedObject.name%3Dq", "regarding.name%3Dq",       "reportingComponent%3Dx.io/s",
        "source!%3Dtest",          "involvedObject.name!%3Dp", "reportingController%3Dx.io/s"};
    struct fixture *f = *state;
    expect(f, 201, MU_POST, CORE("events"), OLD_EVENT("old"));
    expect(f, 201, MU_POST, EVENTS, NEW_EVENT("new"));
    for (size_t i = 0; i < sizeof selectors / sizeof selectors[0]; i++) {
        char url[256];
        (void)snprintf(url, sizeof url, CORE("events") "?fieldSelector=%s", selectors[i]);
        expect(f, 200, MU_GET, url, NULL);
        has(f, "\"name\":\"new\"");
        has_not(f, "\"name\":\"old\"");
        (void)snprintf(url, sizeof url, EVENTS "?fieldSelector=%s", selectors[i]);
        expect(f, 200, MU_GET, url, NULL);
        has(f, "\"name\":\"new\"");
        has_not(f, "\"name\":\"old\"");
    }
    expect(f, 200, MU_GET, CORE("events") "?fieldSelector=type%3DNormal,reason%3DScheduled", NULL);
    has(f, "\"name\":\"old\"");
    expect(f, 400, MU_GET, CORE("events") "?fieldSelector=message%3Dx", NULL);
}

static void test_event__patched_through_both__only_the_series_in_the_new_one(void **state)
{
    struct fixture *f = *state;
    expect(f, 201, MU_POST, EVENTS, NEW_EVENT("new"));
    expect(f, 200, MU_PATCH, EVENTS "/new",
           "{\"series\":{\"count\":3,\"lastObservedTime\":\"2026-01-01T00:00:09.000000Z\"}}");
    has(f, "\"series\":{\"count\":3");
    expect(f, 200, MU_GET, CORE("events/new"), NULL);
    has(f, "\"series\":{\"count\":3");
    expect(f, 422, MU_PATCH, EVENTS "/new", "{\"note\":\"other\"}");
    expect(f, 200, MU_PATCH, CORE("events/new"), "{\"message\":\"other\"}");
    expect(f, 200, MU_GET, EVENTS "/new", NULL);
    has(f, "\"note\":\"other\"");
    has(f, "\"series\":{\"count\":3");
}

static void test_event__bad_ones__422(void **state)
{
    static const char *const wrong[] = {
        "{\"metadata\":{\"name\":\"e\"},\"regarding\":{\"namespace\":\"default\"}}",
        "{\"metadata\":{\"name\":\"e\"},\"regarding\":{\"namespace\":\"other\"},\"eventTime\":"
        "\"2026-01-01T00:00:00.000001Z\",\"type\":\"Normal\",\"action\":\"a\",\"reason\":\"r\","
        "\"reportingController\":\"c\"}",
        "{\"metadata\":{\"name\":\"e\"},\"eventTime\":\"2026-01-01T00:00:00.000001Z\",\"type\":"
        "\"Odd\",\"action\":\"a\",\"reason\":\"r\",\"reportingController\":\"c\","
        "\"reportingInstance\":\"i\"}",
        "{\"metadata\":{\"name\":\"e\"},\"eventTime\":\"2026-01-01T00:00:00.000001Z\",\"type\":"
        "\"Normal\",\"action\":\"a\",\"reason\":\"r\",\"reportingController\":\"not one\","
        "\"reportingInstance\":\"i\"}",
        "{\"metadata\":{\"name\":\"e\"},\"eventTime\":\"2026-01-01T00:00:00.000001Z\",\"type\":"
        "\"Normal\",\"action\":\"a\",\"reason\":\"r\",\"reportingController\":\"c\","
        "\"reportingInstance\":\"i\",\"deprecatedCount\":1}"};
    struct fixture *f = *state;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        expect(f, 422, MU_POST, EVENTS, wrong[i]);
    }
    expect(f, 422, MU_POST, CORE("events"),
           "{\"metadata\":{\"name\":\"e\"},\"involvedObject\":{\"namespace\":\"other\"}}");
    has(f, "does not match event.namespace");
    expect(f, 422, MU_POST, "/api/v1/namespaces/kube-system/events",
           "{\"metadata\":{\"name\":\"e\"},\"involvedObject\":{\"kind\":\"Node\"}}");
}

static void test_event__an_hour_later__gone(void **state)
{
    struct fixture *f = *state;
    expect(f, 201, MU_POST, CORE("events"), OLD_EVENT("first"));
    f->now_ns = 1800 * MU_NS_PER_S;
    expect(f, 201, MU_POST, CORE("events"), OLD_EVENT("second"));
    expect(f, 201, MU_POST, EVENTS, NEW_EVENT("third"));
    f->now_ns = 3599 * MU_NS_PER_S;
    expect(f, 200, MU_GET, CORE("events/first"), NULL);
    assert_true(mu_kubelets_next_ns(f->kubelets) != 3600 * MU_NS_PER_S); /* no timer for this */
    f->now_ns = 3700 * MU_NS_PER_S;
    expect(f, 200, MU_GET, CORE("events"), NULL);
    has_not(f, "\"name\":\"first\"");
    has(f, "\"name\":\"second\"");
    /* Heard of again: its hour starts anew. */
    expect(f, 200, MU_PATCH, EVENTS "/third",
           "{\"series\":{\"count\":2,\"lastObservedTime\":\"2026-01-01T01:01:40.000000Z\"}}");
    f->now_ns = 5500 * MU_NS_PER_S;
    expect(f, 404, MU_GET, CORE("events/second"), NULL);
    expect(f, 200, MU_GET, CORE("events/third"), NULL);
}

static void test_event__more_than_there_is_room_for__oldest_go(void **state)
{
    struct fixture *f = *state;
    char body[400];
    for (uint32_t i = 0; i <= MU_KUBESIM_EVENTS_MAX; i++) {
        (void)snprintf(body, sizeof body,
                       "{\"metadata\":{\"name\":\"e%06u\"},\"involvedObject\":{\"namespace\":"
                       "\"default\"}}",
                       (MU_KUBESIM_EVENTS_MAX - i)); /* the oldest sort last */
        expect(f, 201, MU_POST, CORE("events"), body);
    }
    expect(f, 404, MU_GET, CORE("events/e065536"), NULL);
    expect(f, 404, MU_GET, CORE("events/e060000"), NULL);
    expect(f, 200, MU_GET, CORE("events/e000000"), NULL);
    expect(f, 200, MU_GET, CORE("events/e050000"), NULL);
}

/* ---- groups ------------------------------------------------------------------------------- */

static void test_podgroup__native__one_store_two_versions(void **state)
{
    struct fixture *f = *state;
    expect(f, 422, MU_POST, NATIVE("v1beta1") "podgroups", "{\"metadata\":{\"name\":\"g\"}}");
    has(f, "exactly one of");
    expect(f, 422, MU_POST, NATIVE("v1beta1") "podgroups",
           "{\"metadata\":{\"name\":\"g\"},\"spec\":{\"schedulingPolicy\":{\"gang\":{\"minCount\":"
           "0}}}}");
    expect(f, 201, MU_POST, NATIVE("v1beta1") "podgroups",
           "{\"metadata\":{\"name\":\"g\"},\"spec\":{\"schedulingPolicy\":{\"gang\":{\"minCount\":"
           "4}}}}");
    has(f, "\"generation\":1");
    expect(f, 200, MU_GET, NATIVE("v1alpha3") "podgroups/g", NULL);
    has(f, "\"apiVersion\":\"scheduling.k8s.io/v1alpha3\"");
    has(f, "\"minCount\":4");
    expect(f, 200, MU_PATCH, NATIVE("v1alpha3") "podgroups/g",
           "{\"spec\":{\"schedulingPolicy\":{\"gang\":{\"minCount\":3}}}}");
    has(f, "\"generation\":2");
    expect(f, 422, MU_PATCH, NATIVE("v1beta1") "podgroups/g",
           "{\"spec\":{\"priorityClassName\":\"high\"}}");
    has(f, "immutable");
    expect(f, 422, MU_PATCH, NATIVE("v1beta1") "podgroups/g",
           "{\"spec\":{\"schedulingPolicy\":{\"gang\":null,\"basic\":{}}}}");
    expect(f, 200, MU_PATCH, NATIVE("v1beta1") "podgroups/g/status",
           "{\"status\":{\"conditions\":[{\"type\":\"PodGroupInitiallyScheduled\",\"status\":"
           "\"True\"}]},\"spec\":{\"priorityClassName\":\"high\"}}");
    has(f, "PodGroupInitiallyScheduled");
    has_not(f, "high");
    has(f, "\"generation\":2");
    expect(f, 404, MU_GET, NATIVE("v1") "podgroups/g", NULL);
}

static void test_workload__rules(void **state)
{
    struct fixture *f = *state;
    expect(f, 422, MU_POST, NATIVE("v1beta1") "workloads", "{\"metadata\":{\"name\":\"w\"}}");
    expect(f, 422, MU_POST, NATIVE("v1beta1") "workloads",
           "{\"metadata\":{\"name\":\"w\"},\"spec\":{\"podGroupTemplates\":[{\"name\":\"A\","
           "\"schedulingPolicy\":{\"basic\":{}}}]}}");
    expect(f, 422, MU_POST, NATIVE("v1beta1") "workloads",
           "{\"metadata\":{\"name\":\"w\"},\"spec\":{\"podGroupTemplates\":[{\"name\":\"a\","
           "\"schedulingPolicy\":{\"basic\":{}}},{\"name\":\"a\",\"schedulingPolicy\":{\"basic\":{"
           "}}}]}}");
    has(f, "Duplicate");
    expect(f, 201, MU_POST, NATIVE("v1alpha3") "workloads",
           "{\"metadata\":{\"name\":\"w\"},\"spec\":{\"podGroupTemplates\":[{\"name\":\"a\","
           "\"schedulingPolicy\":{\"gang\":{\"minCount\":2}}}]}}");
    expect(f, 200, MU_GET, NATIVE("v1beta1") "workloads/w", NULL);
    has(f, "\"apiVersion\":\"scheduling.k8s.io/v1beta1\"");
    expect(f, 422, MU_PATCH, NATIVE("v1beta1") "workloads/w",
           "{\"spec\":{\"controllerRef\":{\"kind\":\"Job\",\"name\":\"j\"}}}");
}

static void test_compositepodgroup__rules(void **state)
{
    struct fixture *f = *state;
    expect(f, 404, MU_GET, NATIVE("v1beta1") "compositepodgroups", NULL);
    expect(f, 422, MU_POST, NATIVE("v1alpha3") "compositepodgroups",
           "{\"metadata\":{\"name\":\"c\"},\"spec\":{\"schedulingPolicy\":{\"gang\":{}}}}");
    expect(f, 201, MU_POST, NATIVE("v1alpha3") "compositepodgroups",
           "{\"metadata\":{\"name\":\"c\"},\"spec\":{\"schedulingPolicy\":{\"gang\":{"
           "\"minGroupCount\":2}}}}");
    expect(f, 200, MU_PATCH, NATIVE("v1alpha3") "compositepodgroups/c",
           "{\"spec\":{\"schedulingPolicy\":{\"gang\":{\"minGroupCount\":1}}}}");
    expect(f, 422, MU_PATCH, NATIVE("v1alpha3") "compositepodgroups/c",
           "{\"spec\":{\"parentCompositePodGroupName\":\"p\"}}");
}

static void test_podgroup__custom_resources__json_only(void **state)
{
    static const char *const urls[] = {COSCHEDULING, VOLCANO};
    struct fixture *f = *state;
    for (size_t i = 0; i < 2; i++) {
        char url[200];
        expect(f, 422, MU_POST, urls[i],
               "{\"metadata\":{\"name\":\"g\"},\"spec\":{\"minMember\":-1}}");
        expect(f, 422, MU_POST, urls[i],
               "{\"metadata\":{\"name\":\"g\"},\"spec\":{\"minResources\":{\"cpu\":\"1x\"}}}");
        expect(f, 201, MU_POST, urls[i],
               "{\"metadata\":{\"name\":\"g\"},\"spec\":{\"minMember\":3,\"minResources\":{\"cpu\":"
               "\"2\"}},\"status\":{\"phase\":\"Running\"}}");
        has(f, "\"minResources\":{\"cpu\":\"2\"}");
        has_not(f, "Running"); /* status is written apart */
        struct answer a = call_media(f->server, MU_POST, urls[i], MU_MEDIA_PROTOBUF,
                                     (struct mu_str){"k8s\0\x0a\x00\x12\x00", 8}, MU_MEDIA_JSON, 0);
        assert_int_equal(a.status, 415);
        mu_buf_fini(&a.body);
        a = call_media(f->server, MU_GET, urls[i], MU_MEDIA_NONE, MU_STR(""), MU_MEDIA_PROTOBUF, 0);
        assert_int_equal(a.status, 406);
        mu_buf_fini(&a.body);
        (void)snprintf(url, sizeof url, "%s/g", urls[i]);
        assert_int_equal(fixture_send(f, MU_PATCH, url, MU_MEDIA_STRATEGIC_PATCH, "{}"), 415);
        expect(f, 200, MU_PATCH, url, "{\"spec\":{\"minMember\":2}}");
        has(f, "\"generation\":2");
        (void)snprintf(url, sizeof url, "%s/g/status", urls[i]);
        expect(f, 200, MU_PATCH, url, "{\"status\":{\"phase\":\"Running\"}}");
        has(f, "\"phase\":\"Running\"");
        has(f, "\"minMember\":2");
    }
}

static void test_kinds__out_of_memory__500_and_nothing_stored(void **state)
{
    static const struct {
        const char *url, *body;
    } cases[] = {{CORE("configmaps"), "{\"metadata\":{\"name\":\"a\"},\"data\":{\"a\":\"1\"}}"},
                 {EVENTS, NEW_EVENT("a")},
                 {LEASES, "{\"metadata\":{\"name\":\"a\"},\"spec\":{}}"}};
    struct fixture *f = *state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int status = 0;
        for (uint64_t nth = 1; status != 201 && nth < 300; nth++) {
            uint64_t version = mu_apiserver_version(f->server);
            mu_mem_debug_set((struct mu_mem_debug){.fail_nth = nth});
            status = fixture_send(f, MU_POST, cases[i].url, MU_MEDIA_JSON, cases[i].body);
            mu_mem_debug_set((struct mu_mem_debug){0});
            if (status != 201 && status != 409) {
                if (status != 500 && status != 413) {
                    fail_msg("%d: %s", status, f->text);
                }
            }
            if (mu_apiserver_version(f->server) != version) {
                break; /* stored; only the answer may have failed */
            }
        }
        char url[200];
        (void)snprintf(url, sizeof url, "%s/a", cases[i].url);
        expect(f, 200, MU_GET, url, NULL);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(test_configmap__bad_data__422),
        FIXTURE_TEST(test_configmap__immutable__data_stays),
        FIXTURE_TEST(test_lease__rules_and_times),
        FIXTURE_TEST(test_event__written_through_one_group__read_through_both),
        FIXTURE_TEST(test_event__field_selectors__by_the_names_of_either_group),
        FIXTURE_TEST(test_event__patched_through_both__only_the_series_in_the_new_one),
        FIXTURE_TEST(test_event__bad_ones__422),
        FIXTURE_TEST(test_event__an_hour_later__gone),
        FIXTURE_TEST(test_event__more_than_there_is_room_for__oldest_go),
        FIXTURE_TEST(test_podgroup__native__one_store_two_versions),
        FIXTURE_TEST(test_workload__rules),
        FIXTURE_TEST(test_compositepodgroup__rules),
        FIXTURE_TEST(test_podgroup__custom_resources__json_only),
        FIXTURE_TEST(test_kinds__out_of_memory__500_and_nothing_stored),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
