/* Evictions, and the disruption budgets that they ask (kubernetes-wire 5.2 of the project's
 * notes). */
#include "tests/kubesim_fixture.h"

#define BUDGETS "/apis/policy/v1/namespaces/default/poddisruptionbudgets"
#define APP     "\"app\":\"x\""
#define EVICT(f, status, name)                                                                     \
    expect(f, status, MU_POST, FIXTURE_PODS "/" name "/eviction",                                  \
           "{\"apiVersion\":\"policy/v1\",\"kind\":\"Eviction\",\"metadata\":{\"name\":\"" name    \
           "\"}}")

/* A budget for the pods of APP; spec beside the selector, like `"minAvailable":1`. */
static void add_budget(struct fixture *f, const char *name, const char *spec)
{
    char body[400];
    (void)snprintf(body, sizeof body,
                   "{\"metadata\":{\"name\":\"%s\"},\"spec\":{\"selector\":{\"matchLabels\":{" APP
                   "}}%s%s}}",
                   name, spec[0] == '\0' ? "" : ",", spec);
    expect(f, 201, MU_POST, BUDGETS, body);
}

static void add_running(struct fixture *f, int count)
{
    add_node(f, "n");
    for (int i = 0; i < count; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "p%d", i);
        add_pod(f, "default", name, APP, "n");
    }
    run_for(f, 2 * FIXTURE_SECOND);
}

static void budget_says(struct fixture *f, const char *name, int expected, int current, int desired,
                        int allowed)
{
    char url[128];
    char text[200];
    (void)snprintf(url, sizeof url, BUDGETS "/%s", name);
    expect(f, 200, MU_GET, url, NULL);
    (void)snprintf(text, sizeof text,
                   "\"disruptionsAllowed\":%d,\"currentHealthy\":%d,\"desiredHealthy\":%d,"
                   "\"expectedPods\":%d",
                   allowed, current, desired, expected);
    has(f, text);
    has(f, allowed > 0 ? "\"SufficientPods\"" : "\"InsufficientPods\"");
}

/* ---- budgets ------------------------------------------------------------------------------ */

static void test_budget__bad_specs__422(void **state)
{
    static const struct {
        const char *spec, *says;
    } cases[] = {
        {"\"minAvailable\":1,\"maxUnavailable\":1", "cannot be both set"},
        {"\"minAvailable\":-1", "must be greater than or equal to 0"},
        {"\"maxUnavailable\":\"150%\"", "valid percent"},
        {"\"maxUnavailable\":\"x\"", "valid percent"},
        {"\"unhealthyPodEvictionPolicy\":\"Never\"", "AlwaysAllow"},
        {"\"selector\":{\"matchLabels\":{\"-\":\"\"}}", "spec.selector"},
        {"\"selector\":{\"matchExpressions\":[{\"key\":\"a\",\"operator\":\"In\"}]}", "Required"},
        {"\"selector\":{\"matchExpressions\":[{\"key\":\"a\",\"operator\":\"Is\"}]}", "operator"},
        {"\"selector\":{\"matchExpressions\":[{\"key\":\"a\",\"operator\":\"Exists\","
         "\"values\":[\"b\"]}]}",
         "Forbidden"},
    };
    struct fixture *f = *state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char body[300];
        (void)snprintf(body, sizeof body, "{\"metadata\":{\"name\":\"b\"},\"spec\":{%s}}",
                       cases[i].spec);
        expect(f, 422, MU_POST, BUDGETS, body);
        has(f, cases[i].says);
    }
}

static void test_budget__pods_come_and_go__status_follows(void **state)
{
    struct fixture *f = *state;
    add_budget(f, "min", "\"minAvailable\":2");
    run_for(f, FIXTURE_SECOND);
    budget_says(f, "min", 0, 0, 2, 0);
    add_pod(f, "default", "other", "\"app\":\"y\"", "");
    add_pod(f, "kube-system", "p0", APP, "");
    add_running(f, 3);
    budget_says(f, "min", 3, 3, 2, 1);
    has(f, "\"observedGeneration\":1");
    expect(f, 200, MU_DELETE, FIXTURE_PODS "/p0", "{\"gracePeriodSeconds\":0}");
    run_for(f, 4 * FIXTURE_SECOND);
    budget_says(f, "min", 2, 2, 2, 0);
    expect(f, 200, MU_PATCH, BUDGETS "/min", "{\"spec\":{\"minAvailable\":1}}");
    run_for(f, FIXTURE_SECOND);
    budget_says(f, "min", 2, 2, 1, 1);
    has(f, "\"observedGeneration\":2");
    expect(f, 200, MU_PATCH, FIXTURE_PODS "/p1", "{\"metadata\":{\"labels\":null}}");
    run_for(f, FIXTURE_SECOND);
    budget_says(f, "min", 1, 1, 1, 0);
}

static void test_budget__percentages_and_maxima__rounded_up(void **state)
{
    struct fixture *f = *state;
    add_running(f, 5);
    add_budget(f, "half", "\"minAvailable\":\"50%\"");
    add_budget(f, "most", "\"maxUnavailable\":\"30%\"");
    add_budget(f, "one", "\"maxUnavailable\":1");
    add_budget(f, "none", "");
    run_for(f, FIXTURE_SECOND);
    budget_says(f, "half", 5, 5, 3, 2);
    budget_says(f, "most", 5, 5, 3, 2);
    budget_says(f, "one", 5, 5, 4, 1);
    budget_says(f, "none", 5, 5, 0, 5);
}

static void test_budget__selectors__absent_none_empty_all(void **state)
{
    struct fixture *f = *state;
    add_running(f, 2);
    expect(f, 201, MU_POST, BUDGETS, "{\"metadata\":{\"name\":\"none\"},\"spec\":{}}");
    expect(f, 201, MU_POST, BUDGETS,
           "{\"metadata\":{\"name\":\"all\"},\"spec\":{\"selector\":{}}}");
    expect(f, 201, MU_POST, BUDGETS,
           "{\"metadata\":{\"name\":\"set\"},\"spec\":{\"selector\":{\"matchExpressions\":["
           "{\"key\":\"app\",\"operator\":\"In\",\"values\":[\"w\",\"x\"]},"
           "{\"key\":\"tier\",\"operator\":\"DoesNotExist\"},"
           "{\"key\":\"app\",\"operator\":\"Exists\"},"
           "{\"key\":\"app\",\"operator\":\"NotIn\",\"values\":[\"y\"]}]}}}");
    run_for(f, FIXTURE_SECOND);
    budget_says(f, "none", 0, 0, 0, 0);
    budget_says(f, "all", 2, 2, 0, 2);
    budget_says(f, "set", 2, 2, 0, 2);
}

static void test_budget__history_too_short__counted_anew(void **state)
{
    struct fixture *f = *state;
    add_budget(f, "b", "\"minAvailable\":1");
    run_for(f, FIXTURE_SECOND);
    add_node(f, "n");
    for (int i = 0; i < 400; i++) { /* the history holds 256 */
        char name[16];
        (void)snprintf(name, sizeof name, "p%d", i);
        add_pod(f, "default", name, APP, "");
    }
    run_for(f, FIXTURE_SECOND);
    budget_says(f, "b", 400, 0, 1, 0);
}

/* ---- evictions ---------------------------------------------------------------------------- */

static void test_eviction__bad_requests__refused(void **state)
{
    struct fixture *f = *state;
    EVICT(f, 404, "p");
    add_pod(f, "default", "p", "", "");
    expect(f, 400, MU_POST, FIXTURE_PODS "/p/eviction", "{\"metadata\":{\"name\":\"q\"}}");
    expect(f, 400, MU_POST, FIXTURE_PODS "/p/eviction",
           "{\"metadata\":{\"name\":\"p\",\"namespace\":\"q\"}}");
    expect(f, 400, MU_POST, FIXTURE_PODS "/p/eviction", "{\"kind\":\"Binding\"}");
    expect(f, 409, MU_POST, FIXTURE_PODS "/p/eviction",
           "{\"metadata\":{\"name\":\"p\"},\"deleteOptions\":{\"preconditions\":{\"uid\":\"u\"}}}");
    expect(f, 405, MU_GET, FIXTURE_PODS "/p/eviction", NULL);
    expect(f, 200, MU_GET, FIXTURE_PODS "/p", NULL);
}

static void test_eviction__no_budget__marked_and_deleted(void **state)
{
    struct fixture *f = *state;
    add_running(f, 1);
    EVICT(f, 201, "p0");
    has(f, "\"status\":\"Success\"");
    expect(f, 200, MU_GET, FIXTURE_PODS "/p0", NULL);
    has(f, "deletionTimestamp");
    has(f, "\"DisruptionTarget\"");
    has(f, "\"EvictionByEvictionAPI\"");
    run_for(f, 5 * FIXTURE_SECOND);
    expect(f, 404, MU_GET, FIXTURE_PODS "/p0", NULL);
}

static void test_eviction__budget__pays_until_it_is_empty(void **state)
{
    struct fixture *f = *state;
    add_running(f, 3);
    add_budget(f, "b", "\"minAvailable\":2");
    EVICT(f, 429, "p0"); /* no controller has seen the budget yet */
    has(f, "still being processed");
    has(f, "\"retryAfterSeconds\":10");
    run_for(f, FIXTURE_SECOND);
    EVICT(f, 201, "p0");
    expect(f, 200, MU_GET, BUDGETS "/b", NULL);
    has(f, "\"disruptedPods\":{\"p0\":");
    has(f, "\"disruptionsAllowed\":0");
    EVICT(f, 429, "p1");
    has(f, "Cannot evict pod as it would violate the pod's disruption budget.");
    has(f, "\"reason\":\"DisruptionBudget\"");
    has(f, "needs 2 healthy pods and has 3 currently");
    has_not(f, "retryAfterSeconds");
    expect(f, 200, MU_GET, FIXTURE_PODS "/p1", NULL);
    has_not(f, "deletionTimestamp");
    run_for(f, 5 * FIXTURE_SECOND);
    budget_says(f, "b", 2, 2, 2, 0);
    has_not(f, "disruptedPods");
    EVICT(f, 429, "p1");
}

static void test_eviction__dry_run__asks_but_pays_nothing(void **state)
{
    struct fixture *f = *state;
    add_running(f, 2);
    add_budget(f, "b", "\"minAvailable\":1");
    run_for(f, FIXTURE_SECOND);
    for (int i = 0; i < 3; i++) {
        expect(f, 201, MU_POST, FIXTURE_PODS "/p0/eviction",
               "{\"metadata\":{\"name\":\"p0\"},\"deleteOptions\":{\"dryRun\":[\"All\"]}}");
    }
    budget_says(f, "b", 2, 2, 1, 1);
    expect(f, 200, MU_GET, FIXTURE_PODS "/p0", NULL);
    has_not(f, "DisruptionTarget");
}

static void test_eviction__pods_that_do_not_run__budgets_not_asked(void **state)
{
    struct fixture *f = *state;
    add_budget(f, "b", "\"minAvailable\":5");
    add_budget(f, "c", "\"minAvailable\":5");
    run_for(f, FIXTURE_SECOND);
    add_pod(f, "default", "pending", APP, "");
    EVICT(f, 201, "pending");
    has(f, "\"status\":\"Success\"");
    expect(f, 404, MU_GET, FIXTURE_PODS "/pending", NULL);
    add_node(f, "n");
    add_pod(f, "default", "going", APP, "n");
    run_for(f, 2 * FIXTURE_SECOND);
    expect(f, 200, MU_DELETE, FIXTURE_PODS "/going", NULL);
    EVICT(f, 201, "going");
    has(f, "\"status\":\"Success\"");
}

static void test_eviction__two_budgets__failure_in_the_body(void **state)
{
    struct fixture *f = *state;
    add_running(f, 2);
    add_budget(f, "b", "\"minAvailable\":0");
    add_budget(f, "c", "\"minAvailable\":0");
    run_for(f, FIXTURE_SECOND);
    EVICT(f, 201, "p0");
    has(f, "\"status\":\"Failure\"");
    has(f, "more than one PodDisruptionBudget");
    has(f, "\"code\":500");
    expect(f, 200, MU_GET, FIXTURE_PODS "/p0", NULL);
    has_not(f, "deletionTimestamp");
}

/* Make a running pod unready, as a failing probe would. */
static void make_unready(struct fixture *f, const char *url)
{
    expect(f, 200, MU_PATCH, url,
           "{\"status\":{\"conditions\":[{\"type\":\"Ready\",\"status\":\"False\"}]}}");
}

static void test_eviction__unready_pod__by_the_budgets_policy(void **state)
{
    struct fixture *f = *state;
    add_running(f, 3);
    add_budget(f, "b", "\"minAvailable\":2");
    make_unready(f, FIXTURE_PODS "/p0/status");
    run_for(f, FIXTURE_SECOND);
    budget_says(f, "b", 3, 2, 2, 0);
    EVICT(f, 201, "p0"); /* the healthy ones are enough */
    budget_says(f, "b", 3, 2, 2, 0);
    make_unready(f, FIXTURE_PODS "/p1/status");
    run_for(f, 5 * FIXTURE_SECOND);
    budget_says(f, "b", 2, 1, 2, 0);
    EVICT(f, 429, "p1");
    expect(f, 200, MU_PATCH, BUDGETS "/b",
           "{\"spec\":{\"unhealthyPodEvictionPolicy\":\"AlwaysAllow\"}}");
    run_for(f, FIXTURE_SECOND);
    EVICT(f, 201, "p1");
    EVICT(f, 429, "p2");
}

static void test_eviction__pod_stays__budget_gets_it_back(void **state)
{
    struct fixture *f = *state;
    add_running(f, 2);
    add_budget(f, "b", "\"minAvailable\":1");
    run_for(f, FIXTURE_SECOND);
    /* As if the server had lost the pod's removal after the budget had paid. */
    expect(f, 200, MU_PATCH, BUDGETS "/b/status",
           "{\"status\":{\"disruptedPods\":{\"p0\":\"2026-01-01T00:00:03Z\"},"
           "\"disruptionsAllowed\":0}}");
    run_for(f, FIXTURE_SECOND);
    budget_says(f, "b", 2, 1, 1, 0);
    EVICT(f, 429, "p1");
    run_for(f, 125 * FIXTURE_SECOND);
    budget_says(f, "b", 2, 2, 1, 1);
}

static void test_eviction__broken_budgets__403(void **state)
{
    struct fixture *f = *state;
    add_running(f, 1);
    add_budget(f, "b", "\"minAvailable\":0");
    run_for(f, FIXTURE_SECOND);
    expect(f, 200, MU_PATCH, BUDGETS "/b/status", "{\"status\":{\"disruptionsAllowed\":-1}}");
    EVICT(f, 403, "p0");
    has(f, "disruptions allowed is negative");
}

static void test_eviction__out_of_memory__nothing_or_all(void **state)
{
    struct fixture *f = *state;
    add_running(f, 2);
    add_budget(f, "b", "\"minAvailable\":1");
    run_for(f, FIXTURE_SECOND);
    int status = 0;
    for (uint64_t nth = 1; status != 201 && nth < 100; nth++) {
        mu_mem_debug_set((struct mu_mem_debug){.fail_nth = nth});
        status = fixture_send(f, MU_POST, FIXTURE_PODS "/p0/eviction", MU_MEDIA_JSON,
                              "{\"metadata\":{\"name\":\"p0\"}}");
        mu_mem_debug_set((struct mu_mem_debug){0});
        assert_true(status == 201 || status == 500 || status == 429);
        if (status == 429) { /* the budget had paid: two minutes later it has it back */
            run_for(f, 125 * FIXTURE_SECOND);
        }
    }
    assert_int_equal(status, 201);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(test_budget__bad_specs__422),
        FIXTURE_TEST(test_budget__pods_come_and_go__status_follows),
        FIXTURE_TEST(test_budget__percentages_and_maxima__rounded_up),
        FIXTURE_TEST(test_budget__selectors__absent_none_empty_all),
        FIXTURE_TEST(test_budget__history_too_short__counted_anew),
        FIXTURE_TEST(test_eviction__bad_requests__refused),
        FIXTURE_TEST(test_eviction__no_budget__marked_and_deleted),
        FIXTURE_TEST(test_eviction__budget__pays_until_it_is_empty),
        FIXTURE_TEST(test_eviction__dry_run__asks_but_pays_nothing),
        FIXTURE_TEST(test_eviction__pods_that_do_not_run__budgets_not_asked),
        FIXTURE_TEST(test_eviction__two_budgets__failure_in_the_body),
        FIXTURE_TEST(test_eviction__unready_pod__by_the_budgets_policy),
        FIXTURE_TEST(test_eviction__pod_stays__budget_gets_it_back),
        FIXTURE_TEST(test_eviction__broken_budgets__403),
        FIXTURE_TEST(test_eviction__out_of_memory__nothing_or_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
