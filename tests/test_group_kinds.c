/* Kinds of gang objects that are served, or not, or later; and the rules of those that are custom
 * resources or of older releases. */
#include "tests/mu_test.h"

#include "engine/base/clock.h"
#include "tools/kubesim/group_kinds.h"

struct site {
    struct mu_random random;
    struct mu_apiserver *server;
};

static void site_open(struct site *s)
{
    const struct mu_apiserver_config config = {.start_ns = 1};
    mu_random_init_seed(&s->random, 1);
    s->server = mu_apiserver_create(&config, &s->random);
    assert_non_null(s->server);
}

static int ask(struct site *s, enum mu_method method, const char *path, const char *body,
               struct mu_api_response *out)
{
    const struct mu_api_request request = {.method = method,
                                           .path = mu_str_of(path),
                                           .content = method == MU_PATCH ? MU_MEDIA_MERGE_PATCH
                                                                         : MU_MEDIA_JSON,
                                           .body = mu_str_of(body)};
    struct mu_api_response response = {0};
    mu_apiserver_handle(s->server, &request, MU_NS_PER_S, &response);
    mu_buf_fini(&response.warnings);
    assert_int_equal(mu_buf_append(&response.body, "", 1), 0);
    if (out != NULL)
        *out = response;
    else
        mu_buf_fini(&response.body);
    return response.status;
}

static int status_of(struct site *s, enum mu_method method, const char *path, const char *body)
{
    return ask(s, method, path, body, NULL);
}

#define IN(api) "/apis/" api "/namespaces/default/podgroups"
#define KAI     "scheduling.run.ai/v2alpha2"
#define VOLCANO "scheduling.volcano.sh/v1beta1"
#define GODEL   "scheduling.godel.kubewharf.io/v1alpha1"
#define NATIVE  "scheduling.k8s.io/"

/* ---- the list ----------------------------------------------------------------------------- */

static void test_group_kinds_parse__wrong_lists__one_line(void **state)
{
    (void)state;
    static const struct {
        const char *list, *says;
    } rows[] = {
        {"volcan", "'volcan': expected none, or some of native,"},
        {"", "'': expected none"},
        {"kai,", "'': expected none"},
        {"kai,none", "'none': expected none"},
        {"kai=", "'kai=': expected seconds"},
        {"kai=-1", "expected seconds, 0 to 1000000"},
        {"kai=1000001", "expected seconds"},
        {"native,kai=5s", "'kai=5s'"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct mu_group_kinds kinds = {.after_ns = {7}};
        struct mu_error error = {0, ""};
        assert_int_equal(mu_group_kinds_parse(rows[i].list, &kinds, &error), MU_EINVAL);
        assert_int_equal(kinds.after_ns[0], 7);
        if (strstr(error.text, rows[i].says) == NULL)
            fail_msg("'%s': %s", rows[i].list, error.text);
    }
}

static void test_group_kinds_parse__all_names__none_is_left(void **state)
{
    (void)state;
    struct mu_group_kinds kinds;
    struct mu_error error;
    assert_int_equal(mu_group_kinds_parse(MU_GROUP_DIALECT_NAMES, &kinds, &error), 0);
    for (uint32_t i = 0; i < MU_GROUP_DIALECTS; i++)
        assert_int_equal(kinds.after_ns[i], 0);
    assert_int_equal(mu_group_kinds_parse("none", &kinds, &error), 0);
    for (uint32_t i = 0; i < MU_GROUP_DIALECTS; i++)
        assert_true(kinds.after_ns[i] == UINT64_MAX);
}

/* ---- served ------------------------------------------------------------------------------- */

static bool is_discovered(struct site *s, const char *path, const char *word)
{
    struct mu_api_response response;
    int status = ask(s, MU_GET, path, "", &response);
    bool found = status == 200 && strstr((const char *)response.body.data, word) != NULL;
    mu_buf_fini(&response.body);
    return found;
}

static void test_group_kinds_apply__later__absent_before(void **state)
{
    (void)state;
    struct site s;
    struct mu_group_kinds kinds;
    struct mu_error error;
    site_open(&s);
    assert_int_equal(mu_group_kinds_parse("volcano,kai=10", &kinds, &error), 0);
    assert_true(mu_group_kinds_apply(&kinds, s.server, 0) == 10 * MU_NS_PER_S);
    assert_int_equal(status_of(&s, MU_GET, IN(KAI), ""), 404);
    assert_int_equal(status_of(&s, MU_POST, IN(KAI), "{\"metadata\":{\"name\":\"g\"}}"), 404);
    assert_int_equal(status_of(&s, MU_GET, IN(VOLCANO), ""), 200);
    assert_false(is_discovered(&s, "/apis", "scheduling.run.ai"));
    assert_true(is_discovered(&s, "/apis", "scheduling.volcano.sh"));
    assert_false(is_discovered(&s, "/openapi/v3", "scheduling.run.ai"));
    /* The group is there for its priority classes, the older version is not. */
    assert_true(is_discovered(&s, "/apis", "scheduling.k8s.io/v1\""));
    assert_false(is_discovered(&s, "/apis", "scheduling.k8s.io/v1alpha2"));
    assert_true(mu_group_kinds_apply(&kinds, s.server, 10 * MU_NS_PER_S) == UINT64_MAX);
    assert_int_equal(status_of(&s, MU_GET, IN(KAI), ""), 200);
    assert_true(is_discovered(&s, "/apis/scheduling.run.ai/v2alpha2", "podgroups/status"));
    mu_apiserver_destroy(s.server);
}

static void test_group_kinds_apply__gone__watches_end_and_objects_are_kept(void **state)
{
    (void)state;
    struct site s;
    struct mu_group_kinds kinds;
    struct mu_error error;
    struct mu_buf frames = {0};
    site_open(&s);
    assert_int_equal(status_of(&s, MU_POST, IN(KAI), "{\"metadata\":{\"name\":\"g\"},\"spec\":{}}"),
                     201);
    const struct mu_api_request request = {
        .method = MU_GET, .path = MU_STR("/apis/" KAI "/podgroups"), .query = MU_STR("watch=true")};
    struct mu_api_response response;
    mu_apiserver_handle(s.server, &request, MU_NS_PER_S, &response);
    assert_non_null(response.watch);
    assert_int_not_equal(mu_api_watch_pull(response.watch, MU_NS_PER_S, 1 << 20, &frames),
                         MU_WATCH_ENDED);
    mu_buf_clear(&frames);
    assert_int_equal(mu_group_kinds_parse("none", &kinds, &error), 0);
    (void)mu_group_kinds_apply(&kinds, s.server, 0);
    assert_int_equal(mu_api_watch_pull(response.watch, MU_NS_PER_S, 1 << 20, &frames),
                     MU_WATCH_ENDED);
    mu_api_watch_close(response.watch);
    mu_buf_fini(&response.body);
    mu_buf_fini(&frames);
    assert_int_equal(status_of(&s, MU_GET, IN(KAI) "/g", ""), 404);
    mu_group_kinds_all(&kinds);
    (void)mu_group_kinds_apply(&kinds, s.server, 0);
    assert_int_equal(status_of(&s, MU_GET, IN(KAI) "/g", ""), 200);
    mu_apiserver_destroy(s.server);
}

/* ---- each kind ---------------------------------------------------------------------------- */

/* Created, read, listed, its status patched (where it has one), changed and deleted. */
static void test_group_kinds__each__its_whole_life(void **state)
{
    (void)state;
    static const struct {
        const char *path, *spec, *wrong, *change;
        bool has_status;
        int changed;
    } rows[] = {
        {IN(KAI),
         "{\"minMember\":2,\"queue\":\"q\",\"preemptibility\":\"non-preemptible\",\"subGroups\":[{"
         "\"name\":\"a\",\"minMember\":1,\"parent\":\"p\",\"topologyConstraint\":{"
         "\"requiredTopologyLevel\":\"rack\"}}]}",
         "{\"minMember\":0}", "{\"minMember\":3}", true, 200},
        {IN(GODEL), "{\"minMember\":2,\"scheduleTimeoutSeconds\":30,\"priorityClassName\":\"p\"}",
         "{\"minMember\":-1}", "{\"minMember\":3}", true, 200},
        {IN(GODEL), "{\"minResources\":{\"cpu\":\"4\"}}", "{\"minResources\":{\"cpu\":\"four\"}}",
         "{\"minMember\":3}", true, 200},
        {IN(NATIVE "v1alpha2"),
         "{\"schedulingPolicy\":{\"gang\":{\"minCount\":2}},\"disruptionMode\":\"PodGroup\"}",
         "{\"schedulingPolicy\":{}}", "{\"schedulingPolicy\":{\"gang\":{\"minCount\":3}}}", true,
         422},
        {"/apis/" NATIVE "v1alpha1/namespaces/default/workloads",
         "{\"podGroups\":[{\"name\":\"a\",\"policy\":{\"gang\":{\"minCount\":2}}},"
         "{\"name\":\"b\",\"policy\":{\"basic\":{}}}]}",
         "{\"podGroups\":[{\"name\":\"a\",\"policy\":{\"gang\":{\"minCount\":0}}}]}",
         "{\"podGroups\":[]}", false, 422},
        {"/apis/" NATIVE "v1alpha1/namespaces/default/workloads",
         "{\"podGroups\":[{\"name\":\"a\",\"policy\":{\"basic\":{}}}]}",
         "{\"podGroups\":[{\"name\":\"A\",\"policy\":{\"basic\":{}}}]}", "{\"podGroups\":[]}",
         false, 422},
        {"/apis/" NATIVE "v1alpha1/namespaces/default/workloads",
         "{\"podGroups\":[{\"name\":\"a\",\"policy\":{\"basic\":{}}}]}", "{\"podGroups\":[]}",
         "{\"podGroups\":[]}", false, 422},
    };
    struct site s;
    site_open(&s);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char text[512], one[192], status[192];
        struct mu_api_response response;
        (void)snprintf(one, sizeof one, "%s/g", rows[i].path);
        (void)snprintf(status, sizeof status, "%s/g/status", rows[i].path);
        (void)snprintf(text, sizeof text, "{\"metadata\":{\"name\":\"g\"},\"spec\":%s}",
                       rows[i].wrong);
        assert_int_equal(status_of(&s, MU_POST, rows[i].path, text), 422);
        (void)snprintf(text, sizeof text, "{\"metadata\":{\"name\":\"g\"},\"spec\":%s}",
                       rows[i].spec);
        assert_int_equal(status_of(&s, MU_POST, rows[i].path, text), 201);
        assert_int_equal(status_of(&s, MU_POST, rows[i].path, text), 409);
        (void)snprintf(text, sizeof text, "{\"spec\":%s}", rows[i].change);
        assert_int_equal(status_of(&s, MU_PATCH, one, text), rows[i].changed);
        assert_int_equal(status_of(&s, MU_PATCH, status,
                                   "{\"status\":{\"conditions\":[{\"type\":\"T\",\"status\":"
                                   "\"True\"}]}}"),
                         rows[i].has_status ? 200 : 404);
        assert_int_equal(ask(&s, MU_GET, one, "", &response), 200);
        assert_true((strstr((const char *)response.body.data, "\"conditions\":[{") != NULL) ==
                    rows[i].has_status);
        mu_buf_fini(&response.body);
        assert_int_equal(status_of(&s, MU_DELETE, one, ""), 200);
        assert_int_equal(status_of(&s, MU_GET, one, ""), 404);
    }
    mu_apiserver_destroy(s.server);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_group_kinds_parse__wrong_lists__one_line),
        cmocka_unit_test(test_group_kinds_parse__all_names__none_is_left),
        cmocka_unit_test(test_group_kinds_apply__later__absent_before),
        cmocka_unit_test(test_group_kinds_apply__gone__watches_end_and_objects_are_kept),
        cmocka_unit_test(test_group_kinds__each__its_whole_life),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
