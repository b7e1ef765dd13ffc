/* What clients find before they know any object: discovery, OpenAPI, 404 and 406. */
#include "tools/kubesim/discovery.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <jansson.h>
#include "engine/base/mem.h"
#include "tests/kubesim_call.h"
#include "tools/kubesim/served.h"
#include "tools/kubesim/wire.h"

static struct mu_apiserver *create(void)
{
    struct mu_random random;
    struct mu_apiserver_config config = {.history_events = 64};
    mu_random_init_seed(&random, 1);
    struct mu_apiserver *server = mu_apiserver_create(&config, &random);
    assert_non_null(server);
    return server;
}

static struct mu_api_response get(struct mu_apiserver *server, const char *path, const char *accept)
{
    struct mu_api_request request = {
        .method = MU_GET, .path = mu_str_of(path), .accept = mu_str_of(accept)};
    struct mu_api_response response;
    mu_apiserver_handle(server, &request, 0, &response);
    return response;
}

/* The answer's JSON; the path must be there. */
static json_t *read_json(struct mu_apiserver *server, const char *path, const char *accept,
                         const char **content_type)
{
    struct mu_api_response response = get(server, path, accept);
    assert_int_equal(response.status, 200);
    assert_int_equal(response.media, MU_MEDIA_JSON);
    if (content_type != NULL) {
        *content_type = response.content_type;
    }
    json_error_t error;
    json_t *root = json_loadb((const char *)response.body.data, response.body.len,
                              JSON_REJECT_DUPLICATES, &error);
    if (root == NULL) {
        fail_msg("%s: %s at %d", path, error.text, error.position);
    }
    mu_buf_fini(&response.body);
    return root;
}

static const char *text(const json_t *object, const char *key)
{
    const char *value = json_string_value(json_object_get(object, key));
    return value != NULL ? value : "";
}

/* The element of an array whose `key` is `value`. */
static json_t *find(const json_t *array, const char *key, const char *value)
{
    for (size_t i = 0; i < json_array_size(array); i++) {
        if (strcmp(text(json_array_get(array, i), key), value) == 0) {
            return json_array_get(array, i);
        }
    }
    return NULL;
}

static void test_discovery__legacy__groups_versions_resources(void **state)
{
    (void)state;
    struct mu_apiserver *server = create();
    json_t *root = read_json(server, "/api", "", NULL);
    assert_string_equal(text(root, "kind"), "APIVersions");
    assert_string_equal(json_string_value(json_array_get(json_object_get(root, "versions"), 0)),
                        "v1");
    json_decref(root);
    root = read_json(server, "/apis", "application/json", NULL);
    assert_string_equal(text(root, "kind"), "APIGroupList");
    json_t *group = find(json_object_get(root, "groups"), "name", "scheduling.k8s.io");
    assert_non_null(group);
    assert_string_equal(text(json_object_get(group, "preferredVersion"), "groupVersion"),
                        "scheduling.k8s.io/v1");
    assert_null(find(json_object_get(root, "groups"), "name", ""));
    json_decref(root);
    root = read_json(server, "/apis/scheduling.k8s.io", "", NULL);
    assert_string_equal(text(root, "kind"), "APIGroup");
    json_decref(root);
    root = read_json(server, "/api/v1", "", NULL);
    assert_string_equal(text(root, "groupVersion"), "v1");
    json_t *resources = json_object_get(root, "resources");
    json_t *pods = find(resources, "name", "pods");
    assert_non_null(pods);
    assert_true(json_is_true(json_object_get(pods, "namespaced")));
    assert_string_equal(text(pods, "singularName"), "pod");
    json_t *binding = find(resources, "name", "pods/binding");
    assert_string_equal(text(binding, "kind"), "Binding");
    assert_string_equal(json_string_value(json_array_get(json_object_get(binding, "verbs"), 0)),
                        "create");
    assert_non_null(find(resources, "name", "nodes/status"));
    json_decref(root);
    mu_apiserver_destroy(server);
}

static void test_discovery__aggregated__for_those_who_ask(void **state)
{
    (void)state;
    static const char v2[] = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
    static const char beta[] =
        "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList";
    struct mu_apiserver *server = create();
    const char *type = NULL;
    json_t *root = read_json(server, "/api", v2, &type);
    assert_string_equal(type, v2);
    assert_string_equal(text(root, "apiVersion"), "apidiscovery.k8s.io/v2");
    json_t *core = json_array_get(json_object_get(root, "items"), 0);
    json_t *version = json_array_get(json_object_get(core, "versions"), 0);
    json_t *pods = find(json_object_get(version, "resources"), "resource", "pods");
    assert_string_equal(text(pods, "scope"), "Namespaced");
    assert_string_equal(text(json_object_get(pods, "responseKind"), "kind"), "Pod");
    json_t *subs = json_object_get(pods, "subresources");
    assert_non_null(find(subs, "subresource", "status"));
    assert_non_null(find(subs, "subresource", "binding"));
    json_decref(root);
    root = read_json(server, "/apis", beta, &type);
    assert_string_equal(type, beta);
    assert_string_equal(text(root, "apiVersion"), "apidiscovery.k8s.io/v2beta1");
    assert_true(json_array_size(json_object_get(root, "items")) >= 1);
    json_decref(root);
    root = read_json(server, "/apis", "", &type);
    assert_null(type);
    assert_string_equal(text(root, "kind"), "APIGroupList");
    json_decref(root);
    mu_apiserver_destroy(server);
}

/* Legacy and aggregated discovery agree with each other and with the table, for every kind. */
static void test_discovery__every_kind__is_found_both_ways(void **state)
{
    (void)state;
    struct mu_apiserver *server = create();
    int count = 0;
    for (struct mu_served at = {0}; mu_served_next(&at); count++) {
        char path[128];
        bool core = at.group[0] == '\0';
        (void)snprintf(path, sizeof path, "%s%s/%s", core ? "/api" : "/apis/", at.group,
                       at.version);
        json_t *root = read_json(server, path, "", NULL);
        assert_string_equal(text(root, "groupVersion"), at.api_version);
        json_t *row = find(json_object_get(root, "resources"), "name", at.kind->plural);
        assert_non_null(row);
        assert_string_equal(text(row, "kind"), at.kind->kind);
        json_decref(root);
        (void)snprintf(path, sizeof path, "/openapi/v3%s%s/%s", core ? "/api" : "/apis/", at.group,
                       at.version);
        root = read_json(server, path, "", NULL);
        json_t *schemas = json_object_get(json_object_get(root, "components"), "schemas");
        assert_non_null(json_object_get(schemas, at.schema->name));
        json_decref(root);
    }
    assert_true(count >= MU_KIND_COUNT);
    mu_apiserver_destroy(server);
}

/* Every $ref of a document has its schema, every kind its validating patch. */
static void check_references(const json_t *node, const json_t *schemas)
{
    static const char prefix[] = "#/components/schemas/";
    const char *reference = json_string_value(json_object_get(node, "$ref"));
    if (reference != NULL) {
        assert_memory_equal(reference, prefix, sizeof prefix - 1);
        if (json_object_get(schemas, reference + sizeof prefix - 1) == NULL) {
            fail_msg("%s leads nowhere", reference);
        }
    }
    const char *key = NULL;
    json_t *value = NULL;
    json_object_foreach((json_t *)(uintptr_t)node, key, value)
    {
        check_references(value, schemas);
    }
    for (size_t i = 0; i < json_array_size(node); i++) {
        check_references(json_array_get(node, i), schemas);
    }
}

static void test_openapi__documents__complete_in_themselves(void **state)
{
    (void)state;
    struct mu_apiserver *server = create();
    json_t *index = read_json(server, "/openapi/v3", "application/json", NULL);
    const char *key = NULL;
    json_t *entry = NULL;
    json_object_foreach(json_object_get(index, "paths"), key, entry)
    {
        char path[160];
        const char *url = text(entry, "serverRelativeURL");
        const char *mark = strchr(url, '?');
        assert_non_null(mark);
        assert_int_equal(strncmp(mark, "?hash=", 6), 0);
        assert_int_equal(strlen(mark), 6 + 16);
        (void)snprintf(path, sizeof path, "%.*s", (int)(mark - url), url);
        json_t *root = read_json(server, path, "", NULL);
        assert_string_equal(text(root, "openapi"), "3.0.0");
        check_references(root, json_object_get(json_object_get(root, "components"), "schemas"));
        json_decref(root);
    }
    json_decref(index);
    json_t *core = read_json(server, "/openapi/v3/api/v1", "", NULL);
    json_t *patch = json_object_get(json_object_get(json_object_get(core, "paths"),
                                                    "/api/v1/namespaces/{namespace}/pods/{name}"),
                                    "patch");
    assert_non_null(find(json_object_get(patch, "parameters"), "name", "fieldValidation"));
    assert_string_equal(text(json_object_get(patch, "x-kubernetes-group-version-kind"), "kind"),
                        "Pod");
    assert_null(json_object_get(patch, "requestBody"));
    json_decref(core);
    mu_apiserver_destroy(server);
}

/* The entry of that name in a list of Named... messages (1 name, 2 value). */
static struct mu_str find_named(struct mu_str list, uint32_t number, const char *name)
{
    struct mu_pb_field field;
    while (mu_pb_next(&list, &field) == 1) {
        if (field.number == number &&
            mu_str_equal(mu_pb_bytes(field.bytes, 1, 0), mu_str_of(name))) {
            return mu_pb_bytes(field.bytes, 2, 0);
        }
    }
    fail_msg("no '%s'", name);
    return (struct mu_str){NULL, 0};
}

static const char v2_accept[] = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf";

static void test_openapi_v2__document__kinds_fields_and_merge_keys(void **state)
{
    (void)state;
    struct mu_apiserver *server = create();
    struct mu_api_response response = get(server, "/openapi/v2", v2_accept);
    assert_int_equal(response.status, 200);
    assert_string_equal(response.content_type,
                        "application/com.github.proto-openapi.spec.v2.v1.0+protobuf");
    struct mu_str document = {(const char *)response.body.data, (uint32_t)response.body.len};
    assert_true(mu_str_equal(mu_pb_bytes(document, 1, 0), MU_STR("2.0")));
    struct mu_str path =
        find_named(mu_pb_bytes(document, 8, 0), 2, "/api/v1/namespaces/{namespace}/pods/{name}");
    struct mu_str operation = mu_pb_bytes(path, 8, 0);
    struct mu_str query = mu_pb_bytes(mu_pb_bytes(mu_pb_bytes(operation, 8, 1), 2, 3), 4, 0);
    assert_true(mu_str_equal(query, MU_STR("fieldValidation")));
    assert_int_equal(mu_pb_bytes(operation, 7, 0).len, 0); /* consumes */
    struct mu_str gvk = find_named(operation, 13, "x-kubernetes-group-version-kind");
    assert_true(
        mu_str_equal(mu_pb_bytes(gvk, 2, 0), MU_STR("group: \"\"\nkind: Pod\nversion: v1\n")));

    struct mu_str definitions = mu_pb_bytes(document, 9, 0);
    struct mu_served pods = {0};
    while (mu_served_next(&pods) && strcmp(pods.kind->plural, "pods") != 0) {
    }
    struct mu_str pod = find_named(definitions, 1, pods.schema->name);
    (void)find_named(pod, 31, "x-kubernetes-group-version-kind");
    struct mu_str properties = mu_pb_bytes(pod, 25, 0);
    (void)find_named(properties, 1, "apiVersion");
    struct mu_str reference = mu_pb_bytes(find_named(properties, 1, "spec"), 1, 0);
    assert_true(mu_str_starts_with(reference, MU_STR("#/definitions/")));
    char name[128];
    (void)snprintf(name, sizeof name, "%.*s", (int)reference.len - 14, reference.data + 14);
    struct mu_str containers =
        find_named(mu_pb_bytes(find_named(definitions, 1, name), 25, 0), 1, "containers");
    assert_true(mu_str_equal(mu_pb_bytes(containers, 22, 1), MU_STR("array")));
    struct mu_str key = find_named(containers, 31, "x-kubernetes-patch-merge-key");
    assert_true(mu_str_equal(mu_pb_bytes(key, 2, 0), MU_STR("name\n")));
    mu_buf_fini(&response.body);
    mu_apiserver_destroy(server);
}

/* Every reference has its definition. */
static void test_openapi_v2__references__lead_somewhere(void **state)
{
    (void)state;
    static const char mark[] = "#/definitions/";
    struct mu_apiserver *server = create();
    struct mu_api_response response = get(server, "/openapi/v2", v2_accept);
    struct mu_str document = {(const char *)response.body.data, (uint32_t)response.body.len};
    struct mu_str definitions = mu_pb_bytes(document, 9, 0);
    const char *at = document.data;
    const char *end = document.data + document.len;
    int count = 0;
    while ((at = memmem(at, (size_t)(end - at), mark, sizeof mark - 1)) != NULL) {
        char name[128];
        uint32_t len = (uint8_t)at[-1]; /* the reference's length: one byte */
        assert_true(len > sizeof mark && len < 0x80);
        (void)snprintf(name, sizeof name, "%.*s", (int)(len - (sizeof mark - 1)),
                       at + sizeof mark - 1);
        (void)find_named(definitions, 1, name);
        at += len;
        count++;
    }
    assert_true(count > 20);
    mu_buf_fini(&response.body);
    mu_apiserver_destroy(server);
}

static void test_openapi_v2__out_of_memory__500_or_whole(void **state)
{
    (void)state;
    struct mu_apiserver *server = create();
    int status = 500;
    for (uint64_t nth = 1; status != 200; nth += 1 + nth / 4) {
        assert_true(nth < 1000000);
        mu_mem_debug_set((struct mu_mem_debug){.fail_nth = nth});
        struct mu_api_response response = get(server, "/openapi/v2", v2_accept);
        mu_mem_debug_set((struct mu_mem_debug){0});
        status = response.status;
        assert_true(status == 200 || status == 500);
        mu_buf_fini(&response.body);
    }
    mu_apiserver_destroy(server);
}

static void test_discovery__unknown_paths__404_status(void **state)
{
    (void)state;
    static const char *const paths[] = {"/nothing",
                                        "/api/v2",
                                        "/api/v1/frobs",
                                        "/apis/no.such.group",
                                        "/apis/no.such.group/v1",
                                        "/apis/no.such.group/v1/frobs",
                                        "/apis/scheduling.k8s.io/v9",
                                        "/apis/scheduling.k8s.io/v1/pods",
                                        "/openapi/v2/more",
                                        "/openapi/v3/api",
                                        "/openapi/v3/api/v1/more",
                                        "/openapi/v3/apis",
                                        "/openapi/v3/apis/no.such.group/v1",
                                        "/openapi/v3/apis/scheduling.k8s.io",
                                        "/openapi/v3/other/v1",
                                        "/openapi",
                                        "/version/more"};
    struct mu_apiserver *server = create();
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        struct mu_api_response response = get(server, paths[i], "");
        (void)mu_buf_append(&response.body, "", 1);
        if (response.status != 404 ||
            strstr((const char *)response.body.data,
                   "the server could not find the requested resource") == NULL) {
            fail_msg("%s: %d %s", paths[i], response.status, (const char *)response.body.data);
        }
        mu_buf_fini(&response.body);
    }
    mu_apiserver_destroy(server);
}

static void test_discovery__not_found__details_name_what_was_asked_for(void **state)
{
    (void)state;
    struct mu_apiserver *server = create();
    struct mu_api_response response =
        get(server, "/apis/no.such.group/v1/namespaces/default/frobs/one", "");
    json_t *root = json_loadb((const char *)response.body.data, response.body.len,
                              JSON_REJECT_DUPLICATES, NULL);
    assert_string_equal(text(root, "reason"), "NotFound");
    const json_t *details = json_object_get(root, "details");
    assert_string_equal(text(details, "group"), "no.such.group");
    assert_string_equal(text(details, "kind"), "frobs");
    assert_string_equal(text(details, "name"), "one");
    json_decref(root);
    mu_buf_fini(&response.body);
    mu_apiserver_destroy(server);
}

static void test_discovery__unacceptable__406_in_json(void **state)
{
    (void)state;
    static const char *const paths[] = {"/api",
                                        "/apis",
                                        "/apis/scheduling.k8s.io",
                                        "/api/v1",
                                        "/openapi/v2",
                                        "/openapi/v3",
                                        "/openapi/v3/api/v1",
                                        "/api/v1/nodes",
                                        "/api/v1/namespaces/default"};
    struct mu_apiserver *server = create();
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        struct mu_api_response response = get(server, paths[i], "text/html");
        (void)mu_buf_append(&response.body, "", 1);
        assert_int_equal(response.status, 406);
        assert_int_equal(response.media, MU_MEDIA_JSON);
        assert_non_null(strstr((const char *)response.body.data, "\"reason\":\"NotAcceptable\""));
        mu_buf_fini(&response.body);
    }
    mu_apiserver_destroy(server);
}

static void test_discovery__out_of_memory__500_or_whole(void **state)
{
    (void)state;
    static const char *const paths[] = {"/api", "/apis", "/api/v1", "/openapi/v3",
                                        "/openapi/v3/api/v1"};
    struct mu_apiserver *server = create();
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        int status = 500;
        for (uint64_t nth = 1; status != 200; nth++) {
            assert_true(nth < 1000);
            mu_mem_debug_set((struct mu_mem_debug){.fail_nth = nth});
            struct mu_api_response response = get(server, paths[i], "");
            mu_mem_debug_set((struct mu_mem_debug){0});
            status = response.status;
            assert_true(status == 200 || status == 500);
            mu_buf_fini(&response.body);
        }
    }
    mu_apiserver_destroy(server);
}

static void test_served__versions__preferred_first(void **state)
{
    (void)state;
    struct mu_served_groups groups;
    mu_served_groups(0, &groups);
    assert_string_equal(groups.groups[0].group, "");
    for (uint32_t i = 0; i < groups.count; i++) {
        const struct mu_served_group *group = &groups.groups[i];
        assert_true(group->version_count > 0);
        bool unstable = false; /* v1 stands before v1beta1, and that before v1alpha1 */
        for (uint32_t v = 0; v < group->version_count; v++) {
            bool stable = strstr(group->versions[v], "alpha") == NULL &&
                          strstr(group->versions[v], "beta") == NULL;
            assert_false(stable && unstable);
            unstable |= !stable;
        }
        assert_ptr_equal(mu_served_group_find(&groups, mu_str_of(group->group)), group);
        assert_null(mu_served_version_find(group, MU_STR("v99")));
    }
    assert_null(mu_served_group_find(&groups, MU_STR("no.such.group")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_discovery__legacy__groups_versions_resources),
        cmocka_unit_test(test_discovery__aggregated__for_those_who_ask),
        cmocka_unit_test(test_discovery__every_kind__is_found_both_ways),
        cmocka_unit_test(test_openapi__documents__complete_in_themselves),
        cmocka_unit_test(test_openapi_v2__document__kinds_fields_and_merge_keys),
        cmocka_unit_test(test_openapi_v2__references__lead_somewhere),
        cmocka_unit_test(test_openapi_v2__out_of_memory__500_or_whole),
        cmocka_unit_test(test_discovery__unknown_paths__404_status),
        cmocka_unit_test(test_discovery__not_found__details_name_what_was_asked_for),
        cmocka_unit_test(test_discovery__unacceptable__406_in_json),
        cmocka_unit_test(test_discovery__out_of_memory__500_or_whole),
        cmocka_unit_test(test_served__versions__preferred_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
