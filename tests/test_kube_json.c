#include "tools/kubesim/json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>
#include "engine/base/mem.h"
#include "informer/json_object.h"
#include "informer/proto/core.pb-c.h"
#include "informer/proto/events.pb-c.h"

static int setup(void **state)
{
    *state = mu_arena_create(1 << 20);
    return *state == NULL;
}

static int teardown(void **state)
{
    mu_arena_destroy(*state);
    return 0;
}

static int merge(ProtobufCMessage *message, const char *text, bool strategic,
                 struct mu_arena *arena, struct mu_error *error)
{
    json_t *json = json_loads(text, JSON_ALLOW_NUL, NULL);
    assert_non_null(json);
    int code = mu_kube_json_merge(message, json, strategic, arena, error);
    json_decref(json);
    return code;
}

static void refuses(struct mu_arena *arena, const char *text, const char *says)
{
    Kube__Pod pod = KUBE__POD__INIT;
    struct mu_error error = {0, ""};
    int code = merge(&pod.base, text, true, arena, &error);
    if (code != MU_EINVAL || strstr(error.text, says) == NULL) {
        fail_msg("%s: %d '%s'", text, code, error.text);
    }
}

static void test_kube_json_merge__wrong_types__names_the_field(void **state)
{
    refuses(*state, "{\"metadata\":[]}", "metadata: expected an object");
    refuses(*state, "{\"metadata\":{\"name\":1}}", "name: expected a string");
    refuses(*state, "{\"metadata\":{\"name\":\"a\\u0000b\"}}", "without NUL");
    refuses(*state, "{\"metadata\":{\"generation\":\"1\"}}", "generation: expected a whole");
    refuses(*state, "{\"metadata\":{\"labels\":[]}}", "labels: expected an object");
    refuses(*state, "{\"metadata\":{\"labels\":{\"a\":1}}}", "value: expected a string");
    refuses(*state, "{\"metadata\":{\"finalizers\":\"x\"}}", "finalizers: expected an array");
    refuses(*state, "{\"metadata\":{\"creationTimestamp\":\"today\"}}", "RFC 3339");
    refuses(*state, "{\"metadata\":{\"creationTimestamp\":\"2026-01-01T00:00:00\"}}", "time zone");
    refuses(*state, "{\"metadata\":{\"creationTimestamp\":\"2026-01-01T00:00:00+1\"}}",
            "time zone");
    refuses(*state, "{\"spec\":{\"priority\":2147483648}}", "priority: expected a 32-bit");
    refuses(*state, "{\"spec\":{\"priority\":1.5}}", "priority: expected a 32-bit");
    refuses(*state, "{\"spec\":{\"hostNetwork\":\"yes\"}}", "hostNetwork: expected true or false");
    refuses(*state, "{\"spec\":{\"containers\":[null]}}", "containers[0]: expected merge key");
    refuses(*state, "{\"spec\":{\"containers\":[{}]}}", "containers[0]: expected merge key 'name'");
    refuses(*state, "{\"spec\":{\"overhead\":{\"cpu\":[]}}}", "expected a string");
}

static void test_kube_json_merge__out_of_memory__error(void **state)
{
    (void)state;
    struct mu_arena *arena = mu_arena_create(64);
    Kube__Pod pod = KUBE__POD__INIT;
    struct mu_error error = {0, ""};
    assert_int_equal(merge(&pod.base,
                           "{\"metadata\":{\"name\":\"a-name-that-does-not-fit\"},\"spec\":{}}",
                           false, arena, &error),
                     MU_ENOMEM);
    mu_arena_destroy(arena);
}

/* JSON to message and back. */
static void same(struct mu_arena *arena, ProtobufCMessage *message, const char *in,
                 const char *expected)
{
    struct mu_error error = {0, ""};
    struct mu_buf out = {0};
    assert_int_equal(merge(message, in, false, arena, &error), 0);
    assert_int_equal(mu_json_message_write(&out, MU_STR(""), MU_STR(""), message, &error), 0);
    (void)mu_buf_append(&out, "", 1);
    assert_string_equal((const char *)out.data, expected != NULL ? expected : in);
    mu_buf_fini(&out);
}

static void test_kube_json__shapes__there_and_back(void **state)
{
    Kube__Pod pod = KUBE__POD__INIT;
    same(*state, &pod.base,
         "{\"metadata\":{\"name\":\"a\",\"generation\":-7,\"creationTimestamp\":"
         "\"1969-12-31T23:59:59Z\",\"labels\":{\"k\":\"v\",\"e\":\"\"},\"finalizers\":[\"x\","
         "\"y\"]},\"spec\":{\"volumes\":[{\"name\":\"v\",\"persistentVolumeClaim\":{\"claimName\":"
         "\"c\",\"readOnly\":true}}],\"hostNetwork\":false,\"overhead\":{\"cpu\":\"100m\"}}}",
         NULL);
    Kube__Pod odd = KUBE__POD__INIT;
    same(*state, &odd.base,
         "{\"kind\":\"Pod\",\"unknown\":{\"x\":[1]},\"metadata\":{\"name\":\"q\\\"\\\\\\n\\u00e4\","
         "\"uid\":\"\",\"labels\":{}},\"spec\":{\"overhead\":{\"cpu\":2,\"memory\":1.5},"
         "\"volumeSource\":{}}}",
         "{\"metadata\":{\"name\":\"q\\\"\\\\\\u000a\xc3\xa4\"},\"spec\":{\"overhead\":{\"cpu\":"
         "\"2\",\"memory\":\"1.5\"}}}");
    Kube__Event event = KUBE__EVENT__INIT;
    same(*state, &event.base, "{\"eventTime\":\"2026-03-01T10:20:30.123456-02:30\",\"note\":\"n\"}",
         "{\"eventTime\":\"2026-03-01T12:50:30.123456Z\",\"note\":\"n\"}");
}

static void test_kube_json_merge__patches__as_rfc_7386_and_strategic(void **state)
{
    Kube__Pod pod = KUBE__POD__INIT;
    same(*state, &pod.base,
         "{\"metadata\":{\"name\":\"a\",\"labels\":{\"k\":\"v\",\"l\":\"w\"}},\"spec\":{"
         "\"containers\":[{\"name\":\"c\",\"image\":\"i\"},{\"name\":\"d\"}]}}",
         NULL);
    same(*state, &pod.base, "{\"metadata\":{\"labels\":{\"k\":null,\"l\":\"x\",\"m\":\"y\"}}}",
         "{\"metadata\":{\"name\":\"a\",\"labels\":{\"l\":\"x\",\"m\":\"y\"}},\"spec\":{"
         "\"containers\":[{\"name\":\"c\",\"image\":\"i\"},{\"name\":\"d\"}]}}");
    struct mu_error error = {0, ""};
    assert_int_equal(merge(&pod.base,
                           "{\"metadata\":{\"labels\":null},\"spec\":{\"containers\":[{\"name\":"
                           "\"d\",\"image\":\"j\"},{\"name\":\"c\",\"$patch\":\"delete\"},{"
                           "\"name\":\"e\"}]}}",
                           true, *state, &error),
                     0);
    same(*state, &pod.base, "{}",
         "{\"metadata\":{\"name\":\"a\"},\"spec\":{\"containers\":[{\"name\":\"d\",\"image\":"
         "\"j\"},{\"name\":\"e\"}]}}");
    assert_int_equal(merge(&pod.base,
                           "{\"spec\":{\"containers\":[{\"$patch\":\"replace\"},{\"name\":"
                           "\"z\"}]}}",
                           true, *state, &error),
                     0);
    same(*state, &pod.base, "{\"metadata\":null}",
         "{\"spec\":{\"containers\":[{\"name\":\"z\"}]}}");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_kube_json_merge__wrong_types__names_the_field),
        TEST(test_kube_json_merge__out_of_memory__error),
        TEST(test_kube_json__shapes__there_and_back),
        TEST(test_kube_json_merge__patches__as_rfc_7386_and_strategic),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
