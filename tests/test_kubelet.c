#include "tools/kubesim/kubelet.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include "engine/base/clock.h"
#include "engine/base/mem.h"
#include "tests/kubesim_call.h"
#include "tools/workload/encode.h"

#define PODS "/api/v1/namespaces/default/pods"
#define S    MU_NS_PER_S

struct fixture {
    struct mu_apiserver *server;
    struct mu_kubelets *kubelets;
    uint64_t now_ns;
    char text[8192];
};

static const struct mu_kubelets_config plain = {
    .start_ns_min = S, .start_ns_max = S, .grace_ns_max = 3 * S, .evict_ns = 5 * S};

static struct fixture *open_fixture(const struct mu_kubelets_config *config, uint32_t history)
{
    struct fixture *f = mu_mem_zalloc(sizeof *f);
    struct mu_random random;
    mu_random_init_seed(&random, 1);
    struct mu_apiserver_config server = {.history_events = history};
    f->server = mu_apiserver_create(&server, &random);
    f->kubelets = mu_kubelets_create(f->server, config, &random);
    assert_non_null(f->kubelets);
    return f;
}

static void close_fixture(struct fixture *f)
{
    mu_kubelets_destroy(f->kubelets);
    mu_apiserver_destroy(f->server);
    mu_mem_free(f);
}

static int setup(void **state)
{
    *state = open_fixture(&plain, 64);
    return 0;
}

static int teardown(void **state)
{
    close_fixture(*state);
    return 0;
}

static void expect(struct fixture *f, int status, enum mu_method method, const char *url,
                   const char *body)
{
    struct answer a = call_media(f->server, method, url, MU_MEDIA_JSON, mu_str_of(body),
                                 MU_MEDIA_JSON, f->now_ns);
    (void)snprintf(f->text, sizeof f->text, "%s", (const char *)a.body.data);
    mu_buf_fini(&a.body);
    if (a.status != status) {
        fail_msg("%s: %d, expected %d: %s", url, a.status, status, f->text);
    }
}

static void add_node(struct fixture *f, const char *name, const char *allocatable)
{
    char body[512];
    (void)snprintf(body, sizeof body,
                   "{\"metadata\":{\"name\":\"%s\"},\"status\":{\"allocatable\":{%s},"
                   "\"conditions\":[{\"type\":\"Ready\",\"status\":\"True\"}]}}",
                   name, allocatable);
    expect(f, 201, MU_POST, "/api/v1/nodes", body);
}

/* A pod on a node, with requests and a duration in milliseconds ("" for none). */
static void add_pod(struct fixture *f, const char *name, const char *node, const char *requests,
                    const char *duration)
{
    char body[1024];
    (void)snprintf(body, sizeof body,
                   "{\"metadata\":{\"name\":\"%s\",\"annotations\":{\"" MU_DURATION_ANNOTATION
                   "\":\"%s\"}},\"spec\":{\"nodeName\":\"%s\",\"containers\":[{\"name\":\"c\","
                   "\"resources\":{\"requests\":{%s}}}]}}",
                   name, duration, node, requests);
    expect(f, 201, MU_POST, PODS, body);
}

/* Let time pass, step by step as a driver would. */
static void run_to(struct fixture *f, uint64_t now_ns)
{
    uint64_t next_ns = 0;
    while ((next_ns = mu_kubelets_next_ns(f->kubelets)) <= now_ns) {
        f->now_ns = next_ns > f->now_ns ? next_ns : f->now_ns;
        mu_kubelets_run(f->kubelets, f->now_ns);
    }
    f->now_ns = now_ns;
}

/* "Pending", "Running", ... or "gone". */
static const char *phase(struct fixture *f, const char *name)
{
    static char value[32];
    char url[128];
    (void)snprintf(url, sizeof url, PODS "/%s", name);
    if (call_status(f->server, MU_GET, url, NULL, f->text, sizeof f->text) == 404) {
        return "gone";
    }
    const char *found = strstr(f->text, "\"phase\":\"");
    assert_non_null(found);
    found += 9;
    (void)snprintf(value, sizeof value, "%.*s", (int)strcspn(found, "\""), found);
    return value;
}

#define BIG  "\"cpu\":\"4\",\"memory\":\"8Gi\",\"pods\":\"3\""
#define HALF "\"cpu\":\"2\",\"memory\":\"1Gi\""

static void test_kubelets__does_not_fit__failed_with_reason(void **state)
{
    struct fixture *f = *state;
    add_node(f, "n1", BIG);
    add_node(f, "n2", BIG ",\"x.io/gpu\":\"1\"");
    add_pod(f, "a", "n1", HALF, "");
    add_pod(f, "b", "n1", "\"cpu\":\"2500m\"", "");
    add_pod(f, "c", "n1", "\"memory\":\"9Gi\"", "");
    add_pod(f, "d", "n2", "\"x.io/gpu\":\"2\"", "");
    add_pod(f, "d-elsewhere", "n2", "\"x.io/unknown\":\"2\"", ""); /* not the node's to refuse */
    run_to(f, 2 * S);
    assert_string_equal(phase(f, "a"), "Running");
    assert_string_equal(phase(f, "b"), "Failed");
    assert_non_null(strstr(f->text, "\"reason\":\"OutOfcpu\""));
    assert_string_equal(phase(f, "c"), "Failed");
    assert_non_null(strstr(f->text, "\"reason\":\"OutOfmemory\""));
    assert_string_equal(phase(f, "d"), "Failed");
    assert_non_null(strstr(f->text, "\"reason\":\"OutOfx.io/gpu\""));
    assert_string_equal(phase(f, "d-elsewhere"), "Running");
    add_pod(f, "e", "n1", "", "");
    add_pod(f, "g", "n1", "", "");
    add_pod(f, "h", "n1", "", "");
    run_to(f, 4 * S);
    assert_string_equal(phase(f, "g"), "Running");
    assert_string_equal(phase(f, "h"), "Failed");
    assert_non_null(strstr(f->text, "\"reason\":\"OutOfpods\""));
    struct mu_kubelets_stats stats;
    mu_kubelets_stats(f->kubelets, &stats);
    assert_int_equal(stats.refused, 4);
    assert_int_equal(stats.pods, 4);
}

static void test_kubelets__room_comes_back__next_pod_admitted(void **state)
{
    struct fixture *f = *state;
    add_node(f, "n1", BIG);
    add_pod(f, "a", "n1", "\"cpu\":\"4\"", "1000");
    run_to(f, 3 * S);
    assert_string_equal(phase(f, "a"), "Succeeded");
    add_pod(f, "b", "n1", "\"cpu\":\"4\"", "");
    run_to(f, 5 * S);
    assert_string_equal(phase(f, "b"), "Running");
    expect(f, 200, MU_DELETE, PODS "/b", NULL);
    run_to(f, 20 * S);
    assert_string_equal(phase(f, "b"), "gone");
    add_pod(f, "c", "n1", "\"cpu\":\"4\"", "");
    /* The node shrinks under it: running pods stay, nothing else fits. */
    run_to(f, 22 * S);
    assert_string_equal(phase(f, "c"), "Running");
    expect(f, 200, MU_PUT, "/api/v1/nodes/n1/status",
           "{\"metadata\":{\"name\":\"n1\"},\"status\":{\"allocatable\":{\"cpu\":\"5\",\"pods\":"
           "\"9\"}}}");
    add_pod(f, "d", "n1", "\"cpu\":\"1\"", "");
    add_pod(f, "e", "n1", "\"cpu\":\"1\"", "");
    run_to(f, 24 * S);
    assert_string_equal(phase(f, "d"), "Running");
    assert_string_equal(phase(f, "e"), "Failed");
}

static void test_kubelets__life_of_a_pod__in_time(void **state)
{
    struct fixture *f = *state;
    add_node(f, "n1", BIG);
    add_pod(f, "a", "n1", HALF, "2500");
    add_pod(f, "forever", "n1", HALF, "no number");
    expect(f, 201, MU_POST, PODS,
           "{\"metadata\":{\"name\":\"unbound\"},\"spec\":{\"containers\":[{\"name\":\"c\"}]}}");
    run_to(f, S - 1);
    assert_string_equal(phase(f, "a"), "Pending");
    run_to(f, S);
    assert_string_equal(phase(f, "a"), "Running");
    run_to(f, 3500 * MU_NS_PER_MS - 1);
    assert_string_equal(phase(f, "a"), "Running");
    run_to(f, 3500 * MU_NS_PER_MS);
    assert_string_equal(phase(f, "a"), "Succeeded");
    run_to(f, 1000 * S);
    assert_string_equal(phase(f, "forever"), "Running");
    assert_string_equal(phase(f, "unbound"), "Pending");
    assert_true(mu_kubelets_next_ns(f->kubelets) == UINT64_MAX);
}

static void test_kubelets__terminating__removed_after_capped_grace(void **state)
{
    struct fixture *f = *state;
    add_node(f, "n1", BIG);
    add_pod(f, "a", "n1", HALF, "100000");
    add_pod(f, "b", "n1", HALF, "");
    run_to(f, 2 * S);
    expect(f, 200, MU_DELETE, PODS "/a", NULL); /* 30 s, capped */
    expect(f, 200, MU_DELETE, PODS "/b", "{\"gracePeriodSeconds\":1}");
    run_to(f, 3 * S - 1);
    assert_string_equal(phase(f, "b"), "Running");
    run_to(f, 3 * S);
    assert_string_equal(phase(f, "b"), "gone");
    run_to(f, 5 * S - 1);
    assert_string_equal(phase(f, "a"), "Running");
    run_to(f, 5 * S);
    assert_string_equal(phase(f, "a"), "gone");
    assert_true(mu_kubelets_next_ns(f->kubelets) == UINT64_MAX); /* a's end is void */
}

static void test_kubelets__same_name_again__is_another_pod(void **state)
{
    struct fixture *f = *state;
    add_node(f, "n1", BIG);
    add_pod(f, "a", "n1", HALF, "");
    run_to(f, 2 * S);
    expect(f, 200, MU_DELETE, PODS "/a?gracePeriodSeconds=0", NULL);
    add_pod(f, "a", "n1", "\"cpu\":\"4\"", "");
    run_to(f, 4 * S);
    assert_string_equal(phase(f, "a"), "Running"); /* the first one's charge is gone */
}

static void test_kubelets_fail_node__stays_away__pods_removed(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(mu_kubelets_fail_node(f->kubelets, MU_STR("n1"), 0), MU_ENOENT);
    add_node(f, "n1", BIG);
    add_pod(f, "a", "n1", HALF, "");
    run_to(f, 2 * S);
    add_pod(f, "late", "n1", HALF, "");
    assert_int_equal(mu_kubelets_fail_node(f->kubelets, MU_STR("n1"), f->now_ns), 0);
    assert_int_equal(mu_kubelets_fail_node(f->kubelets, MU_STR("n1"), f->now_ns), 0);
    expect(f, 200, MU_GET, "/api/v1/nodes/n1", NULL);
    assert_non_null(strstr(f->text, "\"key\":\"node.kubernetes.io/unreachable\",\"effect\":"
                                    "\"NoExecute\""));
    assert_non_null(strstr(f->text, "\"status\":\"Unknown\""));
    run_to(f, 7 * S - 1);
    assert_string_equal(phase(f, "a"), "Running");
    assert_string_equal(phase(f, "late"), "Pending"); /* nobody there to start it */
    run_to(f, 7 * S);
    assert_string_equal(phase(f, "a"), "gone");
    assert_string_equal(phase(f, "late"), "gone");
    assert_int_equal(mu_kubelets_recover_node(f->kubelets, MU_STR("n1"), f->now_ns), 0);
    expect(f, 200, MU_GET, "/api/v1/nodes/n1", NULL);
    assert_null(strstr(f->text, "unreachable"));
    add_pod(f, "b", "n1", "\"cpu\":\"4\"", "");
    run_to(f, 9 * S);
    assert_string_equal(phase(f, "b"), "Running");
}

static void test_kubelets_recover_node__in_time__pods_go_on(void **state)
{
    struct fixture *f = *state;
    add_node(f, "n1", BIG);
    add_pod(f, "a", "n1", HALF, "2000"); /* runs from 1 s to 3 s */
    run_to(f, 2 * S);
    add_pod(f, "b", "n1", HALF, "");
    assert_int_equal(mu_kubelets_fail_node(f->kubelets, MU_STR("n1"), f->now_ns), 0);
    run_to(f, 4 * S);
    assert_string_equal(phase(f, "a"), "Running"); /* its end is not reported */
    assert_int_equal(mu_kubelets_recover_node(f->kubelets, MU_STR("n1"), f->now_ns), 0);
    run_to(f, 4 * S);
    assert_string_equal(phase(f, "a"), "Succeeded");
    assert_string_equal(phase(f, "b"), "Running");
    run_to(f, 100 * S);
    assert_string_equal(phase(f, "b"), "Running");
}

static void test_kubelets_cordon__on_off__only_schedulability(void **state)
{
    struct fixture *f = *state;
    add_node(f, "n1", BIG);
    assert_int_equal(mu_kubelets_cordon(f->kubelets, MU_STR("n2"), true, 0), MU_ENOENT);
    assert_int_equal(mu_kubelets_cordon(f->kubelets, MU_STR("n1"), true, 0), 0);
    expect(f, 200, MU_GET, "/api/v1/nodes/n1", NULL);
    assert_non_null(strstr(f->text, "\"unschedulable\":true"));
    uint64_t version = mu_apiserver_version(f->server);
    assert_int_equal(mu_kubelets_cordon(f->kubelets, MU_STR("n1"), true, 0), 0);
    assert_true(mu_apiserver_version(f->server) == version);
    assert_int_equal(mu_kubelets_cordon(f->kubelets, MU_STR("n1"), false, 0), 0);
    expect(f, 200, MU_GET, "/api/v1/nodes/n1", NULL);
    assert_null(strstr(f->text, "unschedulable"));
}

static void test_kubelets__unknown_node__adopted_or_removed(void **state)
{
    struct fixture *f = *state;
    add_pod(f, "a", "n1", HALF, "");
    add_pod(f, "b", "n2", HALF, "");
    run_to(f, 3 * S);
    add_node(f, "n1", BIG);
    run_to(f, 4 * S);
    assert_string_equal(phase(f, "a"), "Running");
    run_to(f, 6 * S);
    assert_string_equal(phase(f, "b"), "gone");
    expect(f, 200, MU_DELETE, "/api/v1/nodes/n1", NULL);
    run_to(f, 12 * S);
    assert_string_equal(phase(f, "a"), "gone");
}

static void test_kubelets__missed_history__reads_everything_anew(void **state)
{
    (void)state;
    struct fixture *f = open_fixture(&plain, 4);
    char name[16];
    add_node(f, "n1", "\"cpu\":\"100\",\"memory\":\"1Ti\",\"pods\":\"100\"");
    add_pod(f, "victim", "n1", HALF, "");
    run_to(f, 2 * S);
    expect(f, 200, MU_DELETE, PODS "/victim?gracePeriodSeconds=0", NULL);
    for (int i = 0; i < 20; i++) {
        (void)snprintf(name, sizeof name, "p%d", i);
        add_pod(f, name, "n1", HALF, "");
    }
    run_to(f, 4 * S);
    for (int i = 0; i < 20; i++) {
        (void)snprintf(name, sizeof name, "p%d", i);
        assert_string_equal(phase(f, name), "Running");
    }
    struct mu_kubelets_stats stats;
    mu_kubelets_stats(f->kubelets, &stats);
    assert_int_equal(stats.pods, 20);
    close_fixture(f);
}

static void test_kubelets__out_of_memory__catches_up_later(void **state)
{
    (void)state;
    for (uint64_t nth = 1; nth < 40; nth++) {
        struct fixture *f = open_fixture(&plain, 64);
        add_node(f, "n1", BIG);
        add_pod(f, "a", "n1", HALF, "1000");
        mu_mem_debug_set((struct mu_mem_debug){.fail_nth = nth});
        mu_kubelets_run(f->kubelets, 0);
        mu_kubelets_run(f->kubelets, S);
        mu_mem_debug_set((struct mu_mem_debug){0});
        f->now_ns = S;
        run_to(f, 10 * S);
        assert_string_equal(phase(f, "a"), "Succeeded");
        close_fixture(f);
    }
}

static void churn_run(uint64_t *versions, uint64_t *failures)
{
    struct mu_kubelets_config config = plain;
    config.churn_ns = 2 * S;
    config.churn_until_ns = 100 * S;
    struct fixture *f = open_fixture(&config, 64);
    add_node(f, "n1", BIG);
    add_node(f, "n2", BIG);
    run_to(f, 1000 * S);
    /* Everything that went away has come back. */
    expect(f, 200, MU_GET, "/api/v1/nodes", NULL);
    assert_null(strstr(f->text, "unreachable"));
    assert_null(strstr(f->text, "unschedulable"));
    assert_true(mu_kubelets_next_ns(f->kubelets) == UINT64_MAX);
    struct mu_kubelets_stats stats;
    mu_kubelets_stats(f->kubelets, &stats);
    *versions = mu_apiserver_version(f->server);
    *failures = stats.node_failures;
    close_fixture(f);
}

static void test_kubelets__churn__repeatable_and_over_in_the_end(void **state)
{
    (void)state;
    uint64_t versions[2], failures[2];
    churn_run(&versions[0], &failures[0]);
    churn_run(&versions[1], &failures[1]);
    assert_true(versions[0] == versions[1]);
    assert_true(failures[0] > 0 && failures[0] == failures[1]);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_kubelets__does_not_fit__failed_with_reason),
        TEST(test_kubelets__room_comes_back__next_pod_admitted),
        TEST(test_kubelets__life_of_a_pod__in_time),
        TEST(test_kubelets__terminating__removed_after_capped_grace),
        TEST(test_kubelets__same_name_again__is_another_pod),
        TEST(test_kubelets_fail_node__stays_away__pods_removed),
        TEST(test_kubelets_recover_node__in_time__pods_go_on),
        TEST(test_kubelets_cordon__on_off__only_schedulability),
        TEST(test_kubelets__unknown_node__adopted_or_removed),
        cmocka_unit_test(test_kubelets__missed_history__reads_everything_anew),
        cmocka_unit_test(test_kubelets__out_of_memory__catches_up_later),
        cmocka_unit_test(test_kubelets__churn__repeatable_and_over_in_the_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
