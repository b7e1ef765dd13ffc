/* Who may ask, tokens of service accounts, and reviews. */
#include "tests/kubesim_fixture.h"
#include "tools/kubesim/limits.h"

#define ADMIN    "0123456789abcdef0123456789abcdef"
#define ACCOUNT  "/api/v1/namespaces/default/serviceaccounts/default"
#define ACCESS   "/apis/authorization.k8s.io/v1/"
#define IDENTITY "/apis/authentication.k8s.io/v1/"

static int closed_setup(void **state)
{
    return fixture_open(state,
                        &(struct mu_apiserver_config){.history_events = 256,
                                                      .wall_base_ns = FIXTURE_WALL_S * MU_NS_PER_S,
                                                      .authenticate = true,
                                                      .admin_token = MU_STR(ADMIN)});
}

#define CLOSED_TEST(name) cmocka_unit_test_setup_teardown(name, closed_setup, fixture_teardown)

/* The value of the first "key":"value" in the last answer. */
static const char *value_of(const struct fixture *f, const char *key, char *out, size_t size)
{
    char pattern[64];
    (void)snprintf(pattern, sizeof pattern, "\"%s\":\"", key);
    const char *found = strstr(f->text, pattern);
    assert_non_null(found);
    found += strlen(pattern);
    (void)snprintf(out, size, "%.*s", (int)strcspn(found, "\""), found);
    return out;
}

/* Get a token as the administrator and use it from here on; *header backs it. */
static void take_token(struct fixture *f, const char *body, char *header, size_t size)
{
    char token[256];
    f->authorization = MU_STR("Bearer " ADMIN);
    expect(f, 201, MU_POST, ACCOUNT "/token", body);
    (void)snprintf(header, size, "Bearer %s", value_of(f, "token", token, sizeof token));
    f->authorization = mu_str_of(header);
}

/* ---- requests ----------------------------------------------------------------------------- */

static void test_authn__no_or_wrong_credentials__401(void **state)
{
    static const char *const headers[] = {"",
                                          "Bearer",
                                          "Bearer ",
                                          "Bearer x",
                                          "Basic " ADMIN,
                                          ADMIN,
                                          "Bearer 0",
                                          "Bearer " ADMIN "0",
                                          "Bearer ksa-0-",
                                          "Bearer ksa--",
                                          "Bearer ksa-9-x",
                                          "Bearer ksa-18446744073709551616-x",
                                          "Bearer 0123456789abcdef0123456789abcdeF"};
    struct fixture *f = *state;
    for (size_t i = 0; i < sizeof headers / sizeof headers[0]; i++) {
        f->authorization = mu_str_of(headers[i]);
        expect(f, 401, MU_GET, "/api/v1/nodes", NULL);
        has(f, "\"message\":\"Unauthorized\"");
        has(f, "\"reason\":\"Unauthorized\"");
        expect(f, 401, MU_GET, "/api", NULL);
        expect(f, 401, MU_GET, "/nothing", NULL);
        expect(f, 401, MU_POST, FIXTURE_PODS, "{}");
    }
}

static void test_authn__health_and_version__open_to_all(void **state)
{
    static const char *const paths[] = {"/healthz", "/livez", "/readyz", "/version"};
    struct fixture *f = *state;
    for (size_t i = 0; i < 4; i++) {
        expect(f, 200, MU_GET, paths[i], NULL);
    }
    expect(f, 401, MU_GET, "/version/x", NULL);
}

static void test_authn__administrators_token__all(void **state)
{
    struct fixture *f = *state;
    f->authorization = MU_STR("bearer  " ADMIN);
    expect(f, 200, MU_GET, "/api/v1/nodes", NULL);
    expect(f, 201, MU_POST, IDENTITY "selfsubjectreviews", "{}");
    has(f, "\"username\":\"kubernetes-admin\"");
    has(f, "\"system:masters\"");
}

static void test_authn__no_admin_token__empty_one_is_nobodys(void **state)
{
    struct fixture *f = NULL;
    (void)state;
    assert_int_equal(fixture_open((void **)&f, &(struct mu_apiserver_config){.authenticate = true}),
                     0);
    f->authorization = MU_STR("Bearer ");
    expect(f, 401, MU_GET, "/api/v1/nodes", NULL);
    (void)fixture_teardown((void **)&f);
}

static void test_authn__certificate__user_and_groups(void **state)
{
    struct fixture *f = *state;
    struct mu_tls_peer peer = {
        .name = MU_STR("jane"), .groups = {MU_STR("dev"), MU_STR("ops")}, .group_count = 2};
    struct mu_api_request request = {.method = MU_POST,
                                     .path = MU_STR(IDENTITY "selfsubjectreviews"),
                                     .content = MU_MEDIA_JSON,
                                     .peer = &peer,
                                     .body = MU_STR("{}")};
    struct mu_api_response response;
    mu_apiserver_handle(f->server, &request, 0, &response);
    (void)snprintf(f->text, sizeof f->text, "%.*s", (int)response.body.len,
                   (const char *)response.body.data);
    mu_buf_fini(&response.body);
    assert_int_equal(response.status, 201);
    has(f, "\"username\":\"jane\"");
    has(f, "\"groups\":[\"dev\",\"ops\",\"system:authenticated\"]");
    peer.name.len = 0; /* a certificate that names nobody */
    mu_apiserver_handle(f->server, &request, 0, &response);
    mu_buf_fini(&response.body);
    assert_int_equal(response.status, 401);
}

static void test_authn__off__everybody_is_the_administrator(void **state)
{
    struct fixture *f = *state;
    f->authorization = MU_STR("Bearer whatever");
    expect(f, 201, MU_POST, IDENTITY "selfsubjectreviews", "{}");
    has(f, "\"username\":\"kubernetes-admin\"");
}

/* ---- tokens of service accounts ------------------------------------------------------------ */

static void test_token__issued__is_the_account_until_it_expires(void **state)
{
    struct fixture *f = *state;
    char header[300];
    take_token(f, "{\"spec\":{\"expirationSeconds\":600}}", header, sizeof header);
    expect(f, 200, MU_GET, "/api/v1/nodes", NULL);
    expect(f, 201, MU_POST, IDENTITY "selfsubjectreviews", "{}");
    has(f, "\"username\":\"system:serviceaccount:default:default\"");
    has(f, "\"system:serviceaccounts\",\"system:serviceaccounts:default\","
           "\"system:authenticated\"");
    f->now_ns = 599 * MU_NS_PER_S;
    expect(f, 200, MU_GET, "/api/v1/nodes", NULL);
    f->now_ns = 600 * MU_NS_PER_S;
    expect(f, 401, MU_GET, "/api/v1/nodes", NULL);
}

static void test_token__account_deleted_and_made_anew__revoked(void **state)
{
    struct fixture *f = *state;
    char header[300];
    take_token(f, "{}", header, sizeof header);
    f->authorization = MU_STR("Bearer " ADMIN);
    expect(f, 200, MU_DELETE, ACCOUNT, NULL);
    expect(f, 200, MU_GET, ACCOUNT, NULL); /* another of that name */
    f->authorization = mu_str_of(header);
    expect(f, 401, MU_GET, "/api/v1/nodes", NULL);
}

static void test_token__bound_to_a_pod__ends_with_it(void **state)
{
    struct fixture *f = *state;
    char header[300];
    f->authorization = MU_STR("Bearer " ADMIN);
    add_pod(f, "default", "p", "", "");
    expect(f, 404, MU_POST, ACCOUNT "/token",
           "{\"spec\":{\"boundObjectRef\":{\"kind\":\"Pod\",\"name\":\"q\"}}}");
    expect(f, 409, MU_POST, ACCOUNT "/token",
           "{\"spec\":{\"boundObjectRef\":{\"kind\":\"Pod\",\"name\":\"p\",\"uid\":\"u\"}}}");
    expect(f, 422, MU_POST, ACCOUNT "/token",
           "{\"spec\":{\"boundObjectRef\":{\"kind\":\"Secret\",\"name\":\"p\"}}}");
    take_token(f, "{\"spec\":{\"boundObjectRef\":{\"kind\":\"Pod\",\"name\":\"p\"}}}", header,
               sizeof header);
    expect(f, 200, MU_GET, "/api/v1/nodes", NULL);
    expect(f, 200, MU_DELETE, FIXTURE_PODS "/p", NULL);
    expect(f, 401, MU_GET, "/api/v1/nodes", NULL);
}

static void test_token__for_another_audience__not_for_us(void **state)
{
    struct fixture *f = *state;
    char header[300];
    char body[400];
    take_token(f, "{\"spec\":{\"audiences\":[\"vault\"]}}", header, sizeof header);
    expect(f, 401, MU_GET, "/api/v1/nodes", NULL);
    f->authorization = MU_STR("Bearer " ADMIN);
    (void)snprintf(body, sizeof body, "{\"spec\":{\"token\":\"%s\",\"audiences\":[\"vault\"]}}",
                   header + 7);
    expect(f, 201, MU_POST, IDENTITY "tokenreviews", body);
    has(f, "\"authenticated\":true");
    (void)snprintf(body, sizeof body, "{\"spec\":{\"token\":\"%s\"}}", header + 7);
    expect(f, 201, MU_POST, IDENTITY "tokenreviews", body);
    has_not(f, "\"authenticated\":true");
    has(f, "\"error\":\"invalid bearer token\"");
}

static void test_token__bad_requests__refused(void **state)
{
    struct fixture *f = *state;
    f->authorization = MU_STR("Bearer " ADMIN);
    expect(f, 404, MU_POST, "/api/v1/namespaces/default/serviceaccounts/none/token", "{}");
    expect(f, 422, MU_POST, ACCOUNT "/token", "{\"spec\":{\"expirationSeconds\":599}}");
    has(f, "less than 10 minutes");
    expect(f, 422, MU_POST, ACCOUNT "/token", "{\"spec\":{\"expirationSeconds\":4294967297}}");
    expect(f, 422, MU_POST, ACCOUNT "/token",
           "{\"spec\":{\"audiences\":[\"1\",\"2\",\"3\",\"4\",\"5\",\"6\",\"7\",\"8\",\"9\"]}}");
    expect(f, 400, MU_POST, ACCOUNT "/token", "{\"kind\":\"Pod\"}");
    expect(f, 405, MU_GET, ACCOUNT "/token", NULL);
}

static void test_token__more_than_there_is_room_for__first_to_end_goes(void **state)
{
    struct fixture *f = *state;
    char first[300];
    char last[300];
    take_token(f, "{\"spec\":{\"expirationSeconds\":600}}", first, sizeof first);
    for (uint32_t i = 0; i < MU_KUBESIM_TOKENS_MAX; i++) {
        take_token(f, "{\"spec\":{\"expirationSeconds\":601}}", last, sizeof last);
    }
    expect(f, 200, MU_GET, "/api/v1/nodes", NULL);
    f->authorization = mu_str_of(first);
    expect(f, 401, MU_GET, "/api/v1/nodes", NULL);
}

static void test_token__out_of_memory__500_and_nothing_issued(void **state)
{
    struct fixture *f = *state;
    int ok = 0;
    f->authorization = MU_STR("Bearer " ADMIN);
    for (uint64_t nth = 1; ok == 0 && nth < 100; nth++) {
        mu_mem_debug_set((struct mu_mem_debug){.fail_nth = nth});
        int status = fixture_send(f, MU_POST, ACCOUNT "/token", MU_MEDIA_JSON, "{}");
        mu_mem_debug_set((struct mu_mem_debug){0});
        ok = status == 201;
        assert_true(status == 201 || status == 500 || status == 401);
    }
    assert_true(ok);
}

/* ---- reviews ------------------------------------------------------------------------------ */

static void test_review__other_verbs__405(void **state)
{
    struct fixture *f = *state;
    f->authorization = MU_STR("Bearer " ADMIN);
    expect(f, 405, MU_GET, ACCESS "selfsubjectaccessreviews", NULL);
    expect(f, 405, MU_DELETE, IDENTITY "tokenreviews", NULL);
    expect(f, 405, MU_PUT, ACCESS "subjectaccessreviews/x", "{}");
    expect(f, 405, MU_POST, ACCESS "localsubjectaccessreviews", "{}");
}

static void test_review_access__attributes__one_of_the_two(void **state)
{
    struct fixture *f = *state;
    f->authorization = MU_STR("Bearer " ADMIN);
    uint64_t version = mu_apiserver_version(f->server);
    expect(f, 422, MU_POST, ACCESS "selfsubjectaccessreviews", "{}");
    has(f, "exactly one of");
    expect(f, 422, MU_POST, ACCESS "selfsubjectaccessreviews",
           "{\"spec\":{\"resourceAttributes\":{},\"nonResourceAttributes\":{}}}");
    expect(f, 201, MU_POST, ACCESS "selfsubjectaccessreviews",
           "{\"spec\":{\"resourceAttributes\":{\"verb\":\"get\",\"resource\":\"pods\"}}}");
    has(f, "\"kind\":\"SelfSubjectAccessReview\"");
    has(f, "\"allowed\":true");
    has(f, "\"resource\":\"pods\"");
    expect(f, 201, MU_POST, ACCESS "selfsubjectaccessreviews",
           "{\"spec\":{\"nonResourceAttributes\":{\"verb\":\"get\",\"path\":\"/x\"}}}");
    has(f, "\"allowed\":true");
    assert_int_equal(mu_apiserver_version(f->server), version); /* nothing is stored */
}

static void test_review_access__of_others__anonymous_may_nothing(void **state)
{
    struct fixture *f = *state;
    f->authorization = MU_STR("Bearer " ADMIN);
    expect(f, 422, MU_POST, ACCESS "subjectaccessreviews",
           "{\"spec\":{\"resourceAttributes\":{}}}");
    has(f, "at least one of user or group");
    expect(f, 201, MU_POST, ACCESS "subjectaccessreviews",
           "{\"spec\":{\"user\":\"jane\",\"resourceAttributes\":{}}}");
    has(f, "\"allowed\":true");
    expect(f, 201, MU_POST, ACCESS "subjectaccessreviews",
           "{\"spec\":{\"user\":\"system:anonymous\",\"resourceAttributes\":{}}}");
    has(f, "\"allowed\":false");
    expect(f, 201, MU_POST, ACCESS "subjectaccessreviews",
           "{\"spec\":{\"groups\":[\"system:unauthenticated\"],\"resourceAttributes\":{}}}");
    has(f, "\"allowed\":false");
    expect(f, 422, MU_POST, ACCESS "namespaces/default/localsubjectaccessreviews",
           "{\"spec\":{\"user\":\"jane\",\"resourceAttributes\":{\"namespace\":\"other\"}}}");
    expect(f, 422, MU_POST, ACCESS "namespaces/default/localsubjectaccessreviews",
           "{\"spec\":{\"user\":\"jane\",\"nonResourceAttributes\":{}}}");
    expect(f, 201, MU_POST, ACCESS "namespaces/default/localsubjectaccessreviews",
           "{\"spec\":{\"user\":\"jane\",\"resourceAttributes\":{\"namespace\":\"default\"}}}");
    has(f, "\"allowed\":true");
}

static void test_review_rules__own__everything(void **state)
{
    struct fixture *f = *state;
    f->authorization = MU_STR("Bearer " ADMIN);
    expect(f, 400, MU_POST, ACCESS "selfsubjectrulesreviews", "{}");
    expect(f, 201, MU_POST, ACCESS "selfsubjectrulesreviews",
           "{\"spec\":{\"namespace\":\"default\"}}");
    has(f, "\"resourceRules\":[{\"verbs\":[\"*\"],\"apiGroups\":[\"*\"],\"resources\":[\"*\"]}]");
    has(f, "\"nonResourceRules\":[{\"verbs\":[\"*\"],\"nonResourceURLs\":[\"*\"]}]");
}

static void test_review_token__known_and_unknown(void **state)
{
    struct fixture *f = *state;
    f->authorization = MU_STR("Bearer " ADMIN);
    expect(f, 400, MU_POST, IDENTITY "tokenreviews", "{}");
    expect(f, 201, MU_POST, IDENTITY "tokenreviews", "{\"spec\":{\"token\":\"" ADMIN "\"}}");
    has(f, "\"authenticated\":true");
    has(f, "\"username\":\"kubernetes-admin\"");
    expect(f, 201, MU_POST, IDENTITY "tokenreviews", "{\"spec\":{\"token\":\"x\"}}");
    has(f, "invalid bearer token");
    has_not(f, "username");
}

static void test_review__protobuf__answered_in_protobuf(void **state)
{
    /* SelfSubjectAccessReview{spec{resourceAttributes{verb get, resource pods}}} */
    static const char raw[] = "\x12\x0d\x0a\x0b\x12\x03get\x2a\x04pods";
    struct fixture *f = *state;
    struct mu_buf body = {0};
    assert_int_equal(mu_envelope_wrap(&body, MU_STR("authorization.k8s.io/v1"),
                                      MU_STR("SelfSubjectAccessReview"),
                                      (struct mu_str){raw, sizeof raw - 1}),
                     0);
    struct answer a = call_media(
        f->server, MU_POST, ACCESS "selfsubjectaccessreviews", MU_MEDIA_PROTOBUF,
        (struct mu_str){(const char *)body.data, (uint32_t)body.len}, MU_MEDIA_PROTOBUF, 0);
    assert_int_equal(a.status, 201);
    struct mu_envelope envelope;
    struct mu_error error;
    assert_int_equal(
        mu_envelope_open((struct mu_str){(const char *)a.body.data, (uint32_t)a.body.len},
                         &envelope, &error),
        0);
    assert_true(mu_str_equal(envelope.kind, MU_STR("SelfSubjectAccessReview")));
    mu_buf_fini(&a.body);
    mu_buf_fini(&body);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CLOSED_TEST(test_authn__no_or_wrong_credentials__401),
        CLOSED_TEST(test_authn__health_and_version__open_to_all),
        CLOSED_TEST(test_authn__administrators_token__all),
        cmocka_unit_test(test_authn__no_admin_token__empty_one_is_nobodys),
        CLOSED_TEST(test_authn__certificate__user_and_groups),
        FIXTURE_TEST(test_authn__off__everybody_is_the_administrator),
        CLOSED_TEST(test_token__issued__is_the_account_until_it_expires),
        CLOSED_TEST(test_token__account_deleted_and_made_anew__revoked),
        CLOSED_TEST(test_token__bound_to_a_pod__ends_with_it),
        CLOSED_TEST(test_token__for_another_audience__not_for_us),
        CLOSED_TEST(test_token__bad_requests__refused),
        CLOSED_TEST(test_token__more_than_there_is_room_for__first_to_end_goes),
        CLOSED_TEST(test_token__out_of_memory__500_and_nothing_issued),
        CLOSED_TEST(test_review__other_verbs__405),
        CLOSED_TEST(test_review_access__attributes__one_of_the_two),
        CLOSED_TEST(test_review_access__of_others__anonymous_may_nothing),
        CLOSED_TEST(test_review_rules__own__everything),
        CLOSED_TEST(test_review_token__known_and_unknown),
        FIXTURE_TEST(test_review__protobuf__answered_in_protobuf),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
