/*
 * informer/json_object against jansson as the oracle: what comes out must parse, and mean what the
 * message said.
 */
#include "tests/mu_test.h"

#include <jansson.h>
#include "engine/base/arena.h"
#include "informer/json_object.h"
#include "informer/proto/core.pb-c.h"

static json_t *parse(const struct mu_buf *text)
{
    json_error_t error;
    json_t *root = json_loadb((const char *)text->data, text->len, JSON_REJECT_DUPLICATES, &error);
    if (root == NULL)
        fail_msg("%s at %d: %.*s", error.text, error.position, (int)text->len,
                 (const char *)text->data);
    return root;
}

static json_t *write_and_parse(const ProtobufCMessage *message)
{
    struct mu_buf out = {0};
    struct mu_error error;
    assert_int_equal(mu_json_message_write(&out, MU_STR(""), MU_STR(""), message, &error), 0);
    json_t *root = parse(&out);
    mu_buf_fini(&out);
    return root;
}

static void assert_text(json_t *root, const char *text)
{
    char *dump = json_dumps(root, JSON_COMPACT | JSON_SORT_KEYS | JSON_ENSURE_ASCII);
    assert_string_equal(dump, text);
    mu_mem_free(dump);
    json_decref(root);
}

/* Every kind of field that the API objects have. */
static void test_json_message_write__pod__has_the_api_form(void **state)
{
    (void)state;
    Kube__StringEntry label = KUBE__STRING_ENTRY__INIT, empty = KUBE__STRING_ENTRY__INIT;
    label.key = "app", label.value = "a\"b\\c\n\x01";
    empty.key = "none";
    Kube__StringEntry *labels[] = {&label, &empty};
    Kube__Time created = KUBE__TIME__INIT, unset = KUBE__TIME__INIT;
    created.has_seconds = 1, created.seconds = 1700000000;
    Kube__ObjectMeta metadata = KUBE__OBJECT_META__INIT;
    metadata.name = "p", metadata.namespace_ = "";
    metadata.labels = labels, metadata.n_labels = 2;
    metadata.creationtimestamp = &created, metadata.deletiontimestamp = &unset;
    metadata.has_generation = 1, metadata.generation = INT64_MAX;
    Kube__Quantity cpu = KUBE__QUANTITY__INIT;
    cpu.string = "1500m";
    Kube__QuantityEntry request = KUBE__QUANTITY_ENTRY__INIT, bare = KUBE__QUANTITY_ENTRY__INIT;
    request.key = "cpu", request.value = &cpu;
    bare.key = "memory";
    Kube__QuantityEntry *requests[] = {&request, &bare};
    Kube__ResourceRequirements resources = KUBE__RESOURCE_REQUIREMENTS__INIT;
    resources.requests = requests, resources.n_requests = 2;
    Kube__Container container = KUBE__CONTAINER__INIT;
    container.name = "main", container.resources = &resources;
    Kube__Container *containers[] = {&container};
    Kube__PresentVolumeSource present = KUBE__PRESENT_VOLUME_SOURCE__INIT;
    Kube__VolumeSource source = KUBE__VOLUME_SOURCE__INIT;
    source.emptydir = &present;
    Kube__Volume volume = KUBE__VOLUME__INIT;
    volume.name = "scratch", volume.volumesource = &source;
    Kube__Volume *volumes[] = {&volume};
    Kube__PodSpec spec = KUBE__POD_SPEC__INIT;
    spec.containers = containers, spec.n_containers = 1;
    spec.volumes = volumes, spec.n_volumes = 1;
    spec.has_priority = 1, spec.priority = -5;
    spec.has_hostnetwork = 1, spec.hostnetwork = 1;
    Kube__Pod pod = KUBE__POD__INIT;
    pod.metadata = &metadata, pod.spec = &spec;
    assert_text(write_and_parse(&pod.base),
                "{\"metadata\":{\"creationTimestamp\":\"2023-11-14T22:13:20Z\","
                "\"generation\":9223372036854775807,"
                "\"labels\":{\"app\":\"a\\\"b\\\\c\\n\\u0001\",\"none\":\"\"},\"name\":\"p\"},"
                "\"spec\":{\"containers\":[{\"name\":\"main\",\"resources\":{\"requests\":"
                "{\"cpu\":\"1500m\",\"memory\":\"0\"}}}],\"hostNetwork\":true,\"priority\":-5,"
                "\"volumes\":[{\"emptyDir\":{},\"name\":\"scratch\"}]}}");
}

static void test_json_message_write__kind_given__names_come_first(void **state)
{
    (void)state;
    Kube__Node node = KUBE__NODE__INIT;
    struct mu_buf out = {0};
    assert_int_equal(mu_json_message_write(&out, MU_STR("v1"), MU_STR("Node"), &node.base, NULL),
                     0);
    assert_int_equal(out.len, strlen("{\"kind\":\"Node\",\"apiVersion\":\"v1\"}"));
    assert_memory_equal(out.data, "{\"kind\":\"Node\",\"apiVersion\":\"v1\"}", out.len);
    mu_buf_fini(&out);
}

static void test_json_string_write__not_utf8__becomes_the_replacement(void **state)
{
    (void)state;
    static const struct {
        const char *bytes, *json;
    } cases[] = {
        {"\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80", "\"\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80\""},
        {"a\xFFz", "\"a\\ufffdz\""},
        {"\xC0\xAF", "\"\\ufffd\\ufffd\""},                       /* overlong */
        {"\xED\xA0\x80", "\"\\ufffd\\ufffd\\ufffd\""},            /* surrogate */
        {"\xE2\x82", "\"\\ufffd\\ufffd\""},                       /* cut short */
        {"\xF4\x90\x80\x80", "\"\\ufffd\\ufffd\\ufffd\\ufffd\""}, /* above U+10FFFF */
        {"\x7F\t", "\"\x7F\\u0009\""},
        {"", "\"\""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct mu_buf out = {0};
        assert_int_equal(mu_json_string_write(&out, mu_str_of(cases[i].bytes)), 0);
        assert_int_equal(out.len, strlen(cases[i].json));
        assert_memory_equal(out.data, cases[i].json, out.len);
        mu_buf_fini(&out);
    }
}

/* Random bytes as a name: whatever they are, jansson accepts the string. */
static void test_json_string_write__random_bytes__always_parse(void **state)
{
    (void)state;
    struct mu_test_run run = mu_test_run_begin(11);
    for (run.step = 0; run.step < 5000; run.step++) {
        char bytes[24];
        uint32_t len = (uint32_t)mu_random_below(&run.random, sizeof bytes + 1);
        for (uint32_t i = 0; i < len; i++)
            bytes[i] = (char)mu_random_below(&run.random, 256);
        struct mu_buf out = {0};
        (void)mu_json_string_write(&out, (struct mu_str){bytes, len});
        json_t *value =
            json_loadb((const char *)out.data, out.len, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
        MU_TEST_CHECK(&run, json_is_string(value));
        json_decref(value);
        mu_buf_fini(&out);
    }
}

static void test_json_message_write__buffer_full__leaves_it_as_it_was(void **state)
{
    (void)state;
    Kube__ObjectMeta metadata = KUBE__OBJECT_META__INIT;
    metadata.name = "a-name-that-does-not-fit";
    Kube__Pod pod = KUBE__POD__INIT;
    pod.metadata = &metadata;
    struct mu_buf out;
    struct mu_error error;
    mu_buf_init(&out, 20);
    assert_int_equal(mu_buf_append_text(&out, "before"), 0);
    assert_int_equal(mu_json_message_write(&out, MU_STR(""), MU_STR(""), &pod.base, &error),
                     MU_ELIMIT);
    assert_int_equal(out.len, 6);
    assert_int_equal(mu_buf_append_text(&out, "after"), 0);
    mu_buf_fini(&out);
}

static void test_json_object_write__bad_input__is_named(void **state)
{
    (void)state;
    struct mu_arena *arena = mu_arena_create(1 << 20);
    struct mu_buf out = {0};
    struct mu_error error;
    assert_int_equal(mu_json_object_write(&out, MU_STR("Secret"), MU_STR(""), arena, &error),
                     MU_EUNSUPPORTED);
    assert_non_null(strstr(error.text, "Secret"));
    assert_int_equal(mu_json_object_write(&out, MU_STR("Pod"), MU_STR("\x0A\x7F"), arena, &error),
                     MU_EPROTO);
    assert_non_null(strstr(error.text, "Pod"));
    assert_int_equal(out.len, 0);
    mu_arena_destroy(arena);
    mu_buf_fini(&out);
}

static bool write_under_failure(void *context)
{
    struct mu_buf out = {0};
    int status = mu_json_message_write(&out, MU_STR("v1"), MU_STR("Pod"), context, NULL);
    if (status != 0) {
        assert_int_equal(status, MU_ENOMEM);
        assert_int_equal(out.len, 0);
    }
    mu_buf_fini(&out);
    return status == 0;
}

static void test_json_message_write__out_of_memory__leaves_nothing(void **state)
{
    (void)state;
    char name[300] = "";
    memset(name, 'n', sizeof name - 1);
    Kube__ObjectMeta metadata = KUBE__OBJECT_META__INIT;
    metadata.name = name;
    Kube__Pod pod = KUBE__POD__INIT;
    pod.metadata = &metadata;
    assert_true(mu_test_fail_each(write_under_failure, &pod) > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_json_message_write__pod__has_the_api_form),
        cmocka_unit_test(test_json_message_write__kind_given__names_come_first),
        cmocka_unit_test(test_json_string_write__not_utf8__becomes_the_replacement),
        cmocka_unit_test(test_json_string_write__random_bytes__always_parse),
        cmocka_unit_test(test_json_message_write__buffer_full__leaves_it_as_it_was),
        cmocka_unit_test(test_json_object_write__bad_input__is_named),
        cmocka_unit_test(test_json_message_write__out_of_memory__leaves_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
