/* One object in all the forms that a client may ask for: lists, single objects and watches. */
#include "tools/kubesim/render.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include "engine/base/clock.h"
#include "engine/base/mem.h"
#include "tests/kubesim_call.h"
#include "tools/kubesim/wire.h"

#define TABLE    "application/json;as=Table;v=v1;g=meta.k8s.io"
#define PARTIAL  ";as=PartialObjectMetadata;v=v1;g=meta.k8s.io"
#define PARTIALS ";as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"
#define JSON     "application/json"
#define PROTOBUF "application/vnd.kubernetes.protobuf"
#define PODS     "/api/v1/namespaces/default/pods"
#define START_NS (100 * MU_NS_PER_S)

static struct mu_apiserver *create(void)
{
    struct mu_random random;
    struct mu_apiserver_config config = {.history_events = 64, .start_ns = START_NS};
    mu_random_init_seed(&random, 1);
    struct mu_apiserver *server = mu_apiserver_create(&config, &random);
    assert_non_null(server);
    return server;
}

static struct mu_api_response ask(struct mu_apiserver *server, enum mu_method method,
                                  const char *url, const char *accept, const char *body,
                                  uint64_t now_ns)
{
    const char *mark = strchr(url, '?');
    struct mu_api_request request = {.method = method,
                                     .path = mu_str_of(url),
                                     .query = mu_str_of(mark == NULL ? "" : mark + 1),
                                     .content = MU_MEDIA_JSON,
                                     .accept = mu_str_of(accept),
                                     .body = mu_str_of(body)};
    request.path.len = mark == NULL ? request.path.len : (uint32_t)(mark - url);
    struct mu_api_response response;
    mu_apiserver_handle(server, &request, now_ns, &response);
    if (response.watch == NULL) {
        (void)mu_buf_append(&response.body, "", 1);
        response.body.len--;
    }
    return response;
}

static void create_pod(struct mu_apiserver *server, const char *name)
{
    char body[256];
    (void)snprintf(body, sizeof body,
                   "{\"metadata\":{\"name\":\"%s\",\"labels\":{\"app\":\"%s\"}},\"spec\":"
                   "{\"containers\":[{\"name\":\"c\",\"image\":\"i\"}]}}",
                   name, name);
    struct mu_api_response response = ask(server, MU_POST, PODS, "", body, START_NS);
    assert_int_equal(response.status, 201);
    mu_buf_fini(&response.body);
}

static void expect_text(const char *have, const char *want, bool present)
{
    if ((strstr(have, want) != NULL) != present) {
        fail_msg("%s '%s' in: %s", present ? "no" : "an unwanted", want, have);
    }
}

/* GET; `want` is in the answer, `unwanted` (may be NULL) is not. */
static void expect(struct mu_apiserver *server, const char *url, const char *accept, int status,
                   enum mu_media media, const char *want, const char *unwanted)
{
    struct mu_api_response response =
        ask(server, MU_GET, url, accept, "", START_NS + 7 * MU_NS_PER_S);
    const char *body = (const char *)response.body.data;
    if (response.status != status || response.media != media) {
        fail_msg("%s: status %d, media %d: %s", url, response.status, response.media, body);
    }
    expect_text(body, want, true);
    if (unwanted != NULL) {
        expect_text(body, unwanted, false);
    }
    mu_buf_fini(&response.body);
}

static void test_render__table_list__columns_and_rows(void **state)
{
    (void)state;
    struct mu_apiserver *server = create();
    create_pod(server, "a");
    create_pod(server, "b");
    expect(server, PODS, TABLE, 200, MU_MEDIA_JSON,
           "{\"cells\":[\"a\",\"0/1\",\"Pending\",\"0\",\"7s\",", "\"spec\"");
    expect(server, PODS, TABLE, 200, MU_MEDIA_JSON,
           "\"columnDefinitions\":[{\"name\":\"Name\",\"type\":\"string\",\"format\":\"name\"",
           NULL);
    expect(server, PODS, TABLE, 200, MU_MEDIA_JSON,
           ",\"object\":{\"kind\":\"PartialObjectMetadata\",\"apiVersion\":\"meta.k8s.io/v1\","
           "\"metadata\":{\"name\":\"a\"",
           NULL);
    expect(server, PODS "?includeObject=None", TABLE, 200, MU_MEDIA_JSON,
           "\"rows\":[{\"cells\":", "\"object\"");
    expect(server, PODS "?includeObject=Object", TABLE, 200, MU_MEDIA_JSON,
           "\"object\":{\"kind\":\"Pod\",\"apiVersion\":\"v1\",\"metadata\":", "Partial");
    expect(server, PODS "?includeObject=Metadata&limit=1", TABLE, 200, MU_MEDIA_JSON,
           "\"continue\":\"", "\"name\":\"b\"");
    expect(server, PODS "?includeObject=Some", TABLE, 400, MU_MEDIA_JSON, "includeObject", NULL);
    expect(server, PODS "?labelSelector=app%3Dnone", TABLE, 200, MU_MEDIA_JSON, "\"rows\":[]}",
           NULL);
    expect(server, PODS, JSON ";as=Table;v=v1beta1;g=meta.k8s.io", 200, MU_MEDIA_JSON,
           "{\"kind\":\"Table\",\"apiVersion\":\"meta.k8s.io/v1beta1\"", NULL);
    mu_apiserver_destroy(server);
}

static void test_render__one_object__in_every_form(void **state)
{
    (void)state;
    struct mu_apiserver *server = create();
    create_pod(server, "a");
    expect(server, PODS "/a", TABLE, 200, MU_MEDIA_JSON, "\"rows\":[{\"cells\":[\"a\",", NULL);
    expect(server, PODS "/a", JSON PARTIAL, 200, MU_MEDIA_JSON,
           "{\"kind\":\"PartialObjectMetadata\",\"apiVersion\":\"meta.k8s.io/v1\"", "\"spec\"");
    expect(server, PODS "/a", JSON PARTIALS, 406, MU_MEDIA_JSON, "NotAcceptable", NULL);
    expect(server, PODS "/a", JSON, 200, MU_MEDIA_JSON, "{\"kind\":\"Pod\",\"apiVersion\":\"v1\"",
           NULL);
    expect(server, PODS "/a", "application/yaml", 200, MU_MEDIA_YAML,
           "kind: Pod\napiVersion: v1\nmetadata:\n  name: a\n", "{\"");
    expect(server, PODS "/none", TABLE, 404, MU_MEDIA_JSON, "{\"kind\":\"Status\"", NULL);
    expect(server, PODS "/none", "application/yaml", 404, MU_MEDIA_YAML, "kind: Status\n", NULL);
    mu_apiserver_destroy(server);
}

static void test_render__lists__items_say_their_kind_once(void **state)
{
    (void)state;
    struct mu_apiserver *server = create();
    create_pod(server, "a");
    create_pod(server, "b");
    expect(server, PODS, JSON, 200, MU_MEDIA_JSON, "{\"kind\":\"PodList\",\"apiVersion\":\"v1\"",
           "\"kind\":\"Pod\"");
    expect(server, PODS, "application/yaml", 200, MU_MEDIA_YAML,
           "items:\n- metadata:\n    name: a\n", NULL);
    expect(server, PODS, JSON PARTIALS, 200, MU_MEDIA_JSON,
           "{\"kind\":\"PartialObjectMetadataList\",\"apiVersion\":\"meta.k8s.io/v1\"", "\"spec\"");
    expect(server, PODS, JSON PARTIAL, 406, MU_MEDIA_JSON, "NotAcceptable", NULL);
    mu_apiserver_destroy(server);
}

/* The envelope's kind and its content. */
static struct mu_str open_envelope(const struct mu_api_response *response, const char *kind)
{
    struct mu_envelope envelope;
    struct mu_error error;
    struct mu_str body = {(const char *)response->body.data, (uint32_t)response->body.len};
    assert_int_equal(response->media, MU_MEDIA_PROTOBUF);
    assert_int_equal(mu_envelope_open(body, &envelope, &error), 0);
    assert_true(mu_str_equal(envelope.kind, mu_str_of(kind)));
    return envelope.raw;
}

static void test_render__protobuf__metadata_alone(void **state)
{
    (void)state;
    struct mu_apiserver *server = create();
    create_pod(server, "a");
    struct mu_api_response whole = ask(server, MU_GET, PODS "/a", PROTOBUF, "", 0);
    struct mu_api_response part = ask(server, MU_GET, PODS "/a", PROTOBUF PARTIAL, "", 0);
    struct mu_api_response list = ask(server, MU_GET, PODS, PROTOBUF PARTIALS, "", 0);
    struct mu_str pod = open_envelope(&whole, "Pod");
    struct mu_str partial = open_envelope(&part, "PartialObjectMetadata");
    struct mu_str partials = open_envelope(&list, "PartialObjectMetadataList");
    struct mu_pb_field field;
    assert_true(mu_str_equal(mu_pb_bytes(pod, 1, 0), mu_pb_bytes(partial, 1, 0)));
    assert_true(mu_pb_find(pod, 2, &field));
    assert_false(mu_pb_find(partial, 2, &field));
    assert_true(mu_str_equal(mu_pb_bytes(partials, 2, 0), partial));
    mu_buf_fini(&whole.body);
    mu_buf_fini(&part.body);
    mu_buf_fini(&list.body);
    mu_apiserver_destroy(server);
}

/* Protobuf lists carry what is stored; one object is shown whole; either can be written back. */
static void test_render__protobuf__lists_as_stored_objects_as_shown(void **state)
{
    enum { SPEC = 2, DNS_POLICY = 6 };
    (void)state;
    struct mu_apiserver *server = create();
    create_pod(server, "a");
    struct mu_api_response one = ask(server, MU_GET, PODS "/a", PROTOBUF, "", START_NS);
    struct mu_api_response list = ask(server, MU_GET, PODS, PROTOBUF, "", START_NS);
    struct mu_str shown = open_envelope(&one, "Pod");
    struct mu_str stored = mu_pb_bytes(open_envelope(&list, "PodList"), 2, 0);
    assert_true(mu_str_equal(mu_pb_bytes(shown, SPEC, DNS_POLICY), MU_STR("ClusterFirst")));
    assert_int_equal(mu_pb_bytes(stored, SPEC, DNS_POLICY).len, 0);
    uint64_t version = mu_apiserver_version(server);
    const struct mu_str forms[] = {shown, stored};
    for (size_t i = 0; i < 2; i++) {
        struct mu_buf body = {0};
        assert_int_equal(mu_envelope_wrap(&body, MU_STR("v1"), MU_STR("Pod"), forms[i]), 0);
        struct mu_api_request request = {.method = MU_PUT,
                                         .path = MU_STR(PODS "/a"),
                                         .content = MU_MEDIA_PROTOBUF,
                                         .body = {(const char *)body.data, (uint32_t)body.len}};
        struct mu_api_response response;
        mu_apiserver_handle(server, &request, START_NS, &response);
        assert_int_equal(response.status, 200);
        assert_true(mu_apiserver_version(server) == version); /* nothing has changed */
        mu_buf_fini(&response.body);
        mu_buf_fini(&body);
    }
    mu_buf_fini(&one.body);
    mu_buf_fini(&list.body);
    mu_apiserver_destroy(server);
}

/* What a watch has to say until it is idle, NUL-terminated. */
static void pull(struct mu_api_watch *watch, struct mu_buf *out)
{
    mu_buf_clear(out);
    while (mu_api_watch_pull(watch, START_NS, 1 << 16, out) == MU_WATCH_MORE) {
    }
    (void)mu_buf_append(out, "", 1);
}

static struct mu_api_watch *watch_pods(struct mu_apiserver *server, const char *query,
                                       const char *accept)
{
    char url[256];
    (void)snprintf(url, sizeof url, PODS "?watch=true%s", query);
    struct mu_api_response response = ask(server, MU_GET, url, accept, "", START_NS);
    assert_int_equal(response.status, 200);
    assert_non_null(response.watch);
    return response.watch;
}

static void test_render__table_watch__columns_once(void **state)
{
    (void)state;
    struct mu_apiserver *server = create();
    struct mu_buf out = {0};
    create_pod(server, "a");
    struct mu_api_watch *watch = watch_pods(server, "", TABLE);
    pull(watch, &out);
    expect_text((char *)out.data,
                "{\"type\":\"ADDED\",\"object\":{\"kind\":\"Table\",\"apiVersion\":"
                "\"meta.k8s.io/v1\",\"metadata\":{\"resourceVersion\":\"",
                true);
    expect_text((char *)out.data, "\"columnDefinitions\":[{\"name\":\"Name\"", true);
    create_pod(server, "b");
    pull(watch, &out);
    expect_text((char *)out.data, "\"columnDefinitions\":[],\"rows\":[{\"cells\":[\"b\",", true);
    mu_api_watch_close(watch);
    mu_buf_fini(&out);
    mu_apiserver_destroy(server);
}

static void test_render__metadata_watch__both_media(void **state)
{
    (void)state;
    struct mu_apiserver *server = create();
    struct mu_buf out = {0};
    create_pod(server, "a");
    struct mu_api_watch *watch = watch_pods(server, "", JSON PARTIAL);
    pull(watch, &out);
    expect_text((char *)out.data,
                "{\"type\":\"ADDED\",\"object\":{\"kind\":\"PartialObjectMetadata\"", true);
    expect_text((char *)out.data, "\"spec\"", false);
    mu_api_watch_close(watch);
    watch = watch_pods(server, "", PROTOBUF PARTIAL);
    struct seen seen = {.len = 0};
    assert_int_equal(pull_all(watch, START_NS, 1 << 16, &seen), MU_WATCH_IDLE);
    assert_string_equal(seen.text, "ADDED a\n");
    mu_api_watch_close(watch);
    mu_buf_fini(&out);
    mu_apiserver_destroy(server);
}

/* kubectl delete and wait: a list of one name from the cache, then a watch with bookmarks. */
static void test_render__watch_by_name__bookmarks_in_json(void **state)
{
    (void)state;
    struct mu_apiserver *server = create();
    struct mu_buf out = {0};
    create_pod(server, "a");
    create_pod(server, "b");
    expect(server, PODS "?fieldSelector=metadata.name%3Da&resourceVersion=0", JSON, 200,
           MU_MEDIA_JSON, "\"name\":\"a\"", "\"name\":\"b\"");
    struct mu_api_watch *watch =
        watch_pods(server,
                   "&fieldSelector=metadata.name%3Da&sendInitialEvents=true&allowWatchBookmarks="
                   "true&resourceVersionMatch=NotOlderThan",
                   JSON);
    pull(watch, &out);
    expect_text((char *)out.data, "\"name\":\"a\"", true);
    expect_text((char *)out.data, "\"name\":\"b\"", false);
    expect_text((char *)out.data,
                "{\"type\":\"BOOKMARK\",\"object\":{\"kind\":\"Pod\",\"apiVersion\":\"v1\","
                "\"metadata\":{\"resourceVersion\":\"",
                true);
    expect_text((char *)out.data, "\"annotations\":{\"k8s.io/initial-events-end\":\"true\"}", true);
    mu_api_watch_close(watch);
    mu_buf_fini(&out);
    mu_apiserver_destroy(server);
}

static void test_render__yaml_watch__406(void **state)
{
    (void)state;
    struct mu_apiserver *server = create();
    expect(server, PODS "?watch=true", "application/yaml", 406, MU_MEDIA_JSON, "NotAcceptable",
           NULL);
    mu_apiserver_destroy(server);
}

static void test_render__out_of_memory__500_or_whole(void **state)
{
    (void)state;
    static const char *const accepts[] = {
        TABLE, JSON, JSON PARTIALS, PROTOBUF PARTIALS, PROTOBUF, "application/yaml"};
    struct mu_apiserver *server = create();
    create_pod(server, "a");
    for (size_t i = 0; i < sizeof accepts / sizeof accepts[0]; i++) {
        int status = 500;
        for (uint64_t nth = 1; status != 200; nth++) {
            assert_true(nth < 200);
            mu_mem_debug_set((struct mu_mem_debug){.fail_nth = nth});
            struct mu_api_response response = ask(server, MU_GET, PODS, accepts[i], "", START_NS);
            mu_mem_debug_set((struct mu_mem_debug){0});
            status = response.status;
            assert_true(status == 200 || status == 500);
            mu_buf_fini(&response.body);
        }
    }
    mu_apiserver_destroy(server);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_render__table_list__columns_and_rows),
        cmocka_unit_test(test_render__one_object__in_every_form),
        cmocka_unit_test(test_render__lists__items_say_their_kind_once),
        cmocka_unit_test(test_render__protobuf__metadata_alone),
        cmocka_unit_test(test_render__protobuf__lists_as_stored_objects_as_shown),
        cmocka_unit_test(test_render__table_watch__columns_once),
        cmocka_unit_test(test_render__metadata_watch__both_media),
        cmocka_unit_test(test_render__watch_by_name__bookmarks_in_json),
        cmocka_unit_test(test_render__yaml_watch__406),
        cmocka_unit_test(test_render__out_of_memory__500_or_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
