/*
 * The three patches on trees: the cases of RFC 7386 and RFC 6902, the rules of strategic merge, and
 * a naive twin of the merge patch.
 */
#include "tests/mu_test.h"

#include "informer/json_read.h"
#include "tools/kubesim/limits.h"
#include "tools/kubesim/patch.h"
#include "tools/kubesim/schema/core.pb-c.h"
#include "tools/kubesim/schema/pod.pb-c.h"
#include "tools/kubesim/schema/policy.pb-c.h"

enum kind { MERGE, JSON, POD, SERVICE_ACCOUNT, META, BUDGET };

static json_t *parse(const char *text)
{
    json_t *json = NULL;
    struct mu_error error = {0, ""};
    if (mu_json_value_read(mu_str_of(text), &json, NULL, &error) != 0)
        fail_msg("%s: %s", text, error.text);
    return json;
}

static int apply(enum kind kind, json_t **target, const json_t *patch, struct mu_error *error)
{
    switch (kind) {
    case MERGE:
        return mu_patch_merge(target, patch, error);
    case JSON:
        return mu_patch_json(target, patch, error);
    case POD:
        return mu_patch_strategic(target, patch, &kubeapi__pod__descriptor, error);
    case SERVICE_ACCOUNT:
        return mu_patch_strategic(target, patch, &kubeapi__service_account__descriptor, error);
    case META:
        return mu_patch_strategic(target, patch, &kubeapi__object_meta__descriptor, error);
    default:
        return mu_patch_strategic(target, patch, &kubeapi__pod_disruption_budget__descriptor,
                                  error);
    }
}

struct example {
    const char *target, *patch, *result; /* result NULL: refused; `says` part of the reason */
    const char *says;
};

static void check(enum kind kind, const struct example *examples, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct example *e = &examples[i];
        json_t *target = parse(e->target);
        json_t *patch = parse(e->patch);
        json_t *patch_before = json_deep_copy(patch);
        json_t *result = e->result == NULL ? NULL : parse(e->result);
        struct mu_error error = {0, ""};
        int status = apply(kind, &target, patch, &error);
        char *text = json_dumps(target, JSON_COMPACT | JSON_ENCODE_ANY);
        if (result == NULL) {
            if (status != MU_EINVAL || strstr(error.text, e->says) == NULL)
                fail_msg("%s: %d '%s', expected '%s'", e->patch, status, error.text, e->says);
        } else if (status != 0 || !json_equal(target, result)) {
            fail_msg("%s: %s gives %s", e->patch, error.text, text);
        }
        assert_true(json_equal(patch, patch_before));
        mu_mem_free(text);
        json_decref(target);
        json_decref(patch);
        json_decref(patch_before);
        json_decref(result);
    }
}
#define CHECK(kind, examples) check((kind), (examples), sizeof(examples) / sizeof((examples)[0]))

/* ---- RFC 7386 ----------------------------------------------------------------------------- */

static void test_patch_merge__cases_of_the_rfc__its_results(void **state)
{
    static const struct example examples[] = {
        {"{\"a\":\"b\"}", "{\"a\":\"c\"}", "{\"a\":\"c\"}", NULL},
        {"{\"a\":\"b\"}", "{\"b\":\"c\"}", "{\"a\":\"b\",\"b\":\"c\"}", NULL},
        {"{\"a\":\"b\"}", "{\"a\":null}", "{}", NULL},
        {"{\"a\":\"b\",\"b\":\"c\"}", "{\"a\":null}", "{\"b\":\"c\"}", NULL},
        {"{\"a\":[\"b\"]}", "{\"a\":\"c\"}", "{\"a\":\"c\"}", NULL},
        {"{\"a\":\"c\"}", "{\"a\":[\"b\"]}", "{\"a\":[\"b\"]}", NULL},
        {"{\"a\":{\"b\":\"c\"}}", "{\"a\":{\"b\":\"d\",\"c\":null}}", "{\"a\":{\"b\":\"d\"}}",
         NULL},
        {"{\"a\":[{\"b\":\"c\"}]}", "{\"a\":[1]}", "{\"a\":[1]}", NULL},
        {"[\"a\",\"b\"]", "[\"c\",\"d\"]", "[\"c\",\"d\"]", NULL},
        {"{\"a\":\"b\"}", "[\"c\"]", "[\"c\"]", NULL},
        {"{\"a\":\"foo\"}", "null", "null", NULL},
        {"{\"a\":\"foo\"}", "\"bar\"", "\"bar\"", NULL},
        {"{\"e\":null}", "{\"a\":1}", "{\"e\":null,\"a\":1}", NULL},
        {"[1,2]", "{\"a\":\"b\",\"c\":null}", "{\"a\":\"b\"}", NULL},
        {"{}", "{\"a\":{\"bb\":{\"ccc\":null}}}", "{\"a\":{\"bb\":{}}}", NULL},
    };
    CHECK(MERGE, examples);
    (void)state;
}

/* The RFC's own function, on copies, without a care. */
static json_t *naive_merge(const json_t *target, const json_t *patch)
{
    if (!json_is_object(patch))
        return json_deep_copy(patch);
    json_t *result = json_is_object(target) ? json_deep_copy(target) : json_object();
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)patch, key, value)
    {
        if (json_is_null(value))
            (void)json_object_del(result, key);
        else
            (void)json_object_set_new(result, key,
                                      naive_merge(json_object_get(result, key), value));
    }
    return result;
}

static json_t *random_json(struct mu_random *random, unsigned depth)
{
    static const char *const keys[] = {"a", "b", "c", ""};
    uint64_t kind = mu_random_below(random, depth > 4 ? 4 : 7);
    if (kind == 0)
        return json_null();
    if (kind <= 2)
        return json_integer((json_int_t)mu_random_below(random, 3));
    if (kind == 3)
        return json_string(keys[mu_random_below(random, 4)]);
    json_t *json = kind == 4 ? json_array() : json_object();
    for (uint64_t n = mu_random_below(random, 4); n > 0; n--) {
        if (kind == 4)
            (void)json_array_append_new(json, random_json(random, depth + 1));
        else
            (void)json_object_set_new(json, keys[mu_random_below(random, 4)],
                                      random_json(random, depth + 1));
    }
    return json;
}

static void test_patch_merge__random_trees__as_the_naive_twin(void **state)
{
    struct mu_test_run run = mu_test_run_begin(22);
    for (run.step = 0; run.step < 20000; run.step++) {
        json_t *target = random_json(&run.random, 0);
        json_t *patch = random_json(&run.random, 0);
        json_t *expected = naive_merge(target, patch);
        struct mu_error error = {0, ""};
        MU_TEST_CHECK(&run, mu_patch_merge(&target, patch, &error) == 0);
        MU_TEST_CHECK(&run, json_equal(target, expected));
        json_decref(target);
        json_decref(patch);
        json_decref(expected);
    }
    (void)state;
}

/* ---- RFC 6902 ----------------------------------------------------------------------------- */

static void test_patch_json__operations__as_the_rfc(void **state)
{
    static const struct example examples[] = {
        {"{\"f\":1}", "[{\"op\":\"add\",\"path\":\"/b\",\"value\":\"q\"}]", "{\"f\":1,\"b\":\"q\"}",
         NULL},
        {"{\"f\":[1,3]}", "[{\"op\":\"add\",\"path\":\"/f/1\",\"value\":2}]", "{\"f\":[1,2,3]}",
         NULL},
        {"{\"f\":[1]}", "[{\"op\":\"add\",\"path\":\"/f/-\",\"value\":[2,3]}]", "{\"f\":[1,[2,3]]}",
         NULL},
        {"{\"f\":[1]}", "[{\"op\":\"add\",\"path\":\"/f/1\",\"value\":2}]", "{\"f\":[1,2]}", NULL},
        {"{\"a\":1}", "[{\"op\":\"add\",\"path\":\"/a\",\"value\":2}]", "{\"a\":2}", NULL},
        {"{\"a\":1}", "[{\"op\":\"add\",\"path\":\"\",\"value\":[]}]", "[]", NULL},
        {"{\"a\":1}", "[{\"op\":\"add\",\"path\":\"/b\",\"value\":{\"c\":null},\"x\":1}]",
         "{\"a\":1,\"b\":{\"c\":null}}", NULL},
        {"{\"a\":1,\"b\":2}", "[{\"op\":\"remove\",\"path\":\"/a\"}]", "{\"b\":2}", NULL},
        {"[1,2,3]", "[{\"op\":\"remove\",\"path\":\"/1\"}]", "[1,3]", NULL},
        {"{\"a\":[1]}", "[{\"op\":\"replace\",\"path\":\"/a/0\",\"value\":2}]", "{\"a\":[2]}",
         NULL},
        {"{\"a\":1}", "[{\"op\":\"replace\",\"path\":\"/a\",\"value\":null}]", "{\"a\":null}",
         NULL},
        {"{\"a\":1}", "[{\"op\":\"replace\",\"path\":\"\",\"value\":{}}]", "{}", NULL},
        {"{\"a\":{\"b\":1},\"c\":{}}", "[{\"op\":\"move\",\"from\":\"/a/b\",\"path\":\"/c/d\"}]",
         "{\"a\":{},\"c\":{\"d\":1}}", NULL},
        {"[1,2,3,4]", "[{\"op\":\"move\",\"from\":\"/1\",\"path\":\"/3\"}]", "[1,3,4,2]", NULL},
        {"{\"a\":1}", "[{\"op\":\"move\",\"from\":\"/a\",\"path\":\"/a\"}]", "{\"a\":1}", NULL},
        {"{\"a\":1}", "[{\"op\":\"move\",\"from\":\"\",\"path\":\"\"}]", "{\"a\":1}", NULL},
        {"{\"a\":{\"b\":[1]}}",
         "[{\"op\":\"copy\",\"from\":\"/a\",\"path\":\"/c\"},"
         "{\"op\":\"add\",\"path\":\"/c/b/0\",\"value\":0}]",
         "{\"a\":{\"b\":[1]},\"c\":{\"b\":[0,1]}}", NULL},
        {"{\"a\":[1,{\"b\":2.0}],\"n\":1}",
         "[{\"op\":\"test\",\"path\":\"/a\",\"value\":[1.0,{\"b\":2}]},"
         "{\"op\":\"test\",\"path\":\"/n\",\"value\":1}]",
         "{\"a\":[1,{\"b\":2.0}],\"n\":1}", NULL},
        {"{\"~1\":10,\"/\":9,\"m~n\":8}",
         "[{\"op\":\"test\",\"path\":\"/~01\",\"value\":10},"
         "{\"op\":\"remove\",\"path\":\"/~1\"},{\"op\":\"remove\",\"path\":\"/m~0n\"}]",
         "{\"~1\":10}", NULL},
        {"{\"\":{\"\":1}}", "[{\"op\":\"replace\",\"path\":\"//\",\"value\":2}]", "{\"\":{\"\":2}}",
         NULL},
        {"{}", "[]", "{}", NULL},
    };
    CHECK(JSON, examples);
    (void)state;
}

static void test_patch_json__what_does_not_apply__refused_with_the_operation(void **state)
{
    static const struct example examples[] = {
        {"{}", "{}", NULL, "expected a list of operations"},
        {"{}", "[1]", NULL, "operation 0: expected an 'op'"},
        {"{}", "[{\"op\":\"spam\",\"path\":\"/a\"}]", NULL, "expected an 'op' of RFC 6902"},
        {"{}", "[{\"op\":\"add\",\"path\":\"/a\"}]", NULL, "expected a 'value'"},
        {"{}", "[{\"op\":\"add\",\"value\":1}]", NULL, "expected a JSON pointer"},
        {"{}", "[{\"op\":\"add\",\"path\":\"a\",\"value\":1}]", NULL, "expected a JSON pointer"},
        {"{}", "[{\"op\":\"add\",\"path\":\"/~2\",\"value\":1}]", NULL, "'~0' or '~1'"},
        {"{}", "[{\"op\":\"add\",\"path\":\"/~\",\"value\":1}]", NULL, "'~0' or '~1'"},
        {"{}", "[{\"op\":\"copy\",\"path\":\"/a\"}]", NULL, "expected a JSON pointer"},
        {"{}", "[{\"op\":\"add\",\"path\":\"/a/b\",\"value\":1}]", NULL, "parent does not exist"},
        {"{\"a\":1}", "[{\"op\":\"add\",\"path\":\"/a/b\",\"value\":1}]", NULL, "parent"},
        {"[1]", "[{\"op\":\"add\",\"path\":\"/2\",\"value\":1}]", NULL, "expected an index"},
        {"[1]", "[{\"op\":\"add\",\"path\":\"/01\",\"value\":1}]", NULL, "expected an index"},
        {"[1]", "[{\"op\":\"add\",\"path\":\"/x\",\"value\":1}]", NULL, "expected an index"},
        {"[1]", "[{\"op\":\"add\",\"path\":\"/\",\"value\":1}]", NULL, "expected an index"},
        {"[1]", "[{\"op\":\"add\",\"path\":\"/99999999999\",\"value\":1}]", NULL, "an index"},
        {"[1]", "[{\"op\":\"remove\",\"path\":\"/-\"}]", NULL, "the path does not exist"},
        {"{}", "[{\"op\":\"remove\",\"path\":\"/a\"}]", NULL, "operation 0: the path does not"},
        {"{}", "[{\"op\":\"remove\",\"path\":\"\"}]", NULL, "cannot be removed"},
        {"{}", "[{\"op\":\"replace\",\"path\":\"/a\",\"value\":1}]", NULL, "replace: the path"},
        {"{\"a\":{}}", "[{\"op\":\"move\",\"from\":\"/a\",\"path\":\"/a/b\"}]", NULL, "inside"},
        {"{}", "[{\"op\":\"move\",\"from\":\"/a\",\"path\":\"/b\"}]", NULL, "does not exist"},
        {"{}", "[{\"op\":\"copy\",\"from\":\"/a\",\"path\":\"/b\"}]", NULL, "does not exist"},
        {"{\"a\":1}", "[{\"op\":\"test\",\"path\":\"/a\",\"value\":\"1\"}]", NULL, "another one"},
        {"{\"a\":[1]}", "[{\"op\":\"test\",\"path\":\"/a\",\"value\":[1,2]}]", NULL, "another one"},
        {"{\"a\":{\"b\":1}}", "[{\"op\":\"test\",\"path\":\"/a\",\"value\":{\"c\":1}}]", NULL,
         "another one"},
        {"{}", "[{\"op\":\"test\",\"path\":\"/a\",\"value\":null}]", NULL, "test: the path"},
        {"{\"a\":9007199254740993}", "[{\"op\":\"test\",\"path\":\"/a\",\"value\":1e300}]", NULL,
         "another one"},
    };
    CHECK(JSON, examples);
    (void)state;
}

static void test_patch_json__bombs__bounded(void **state)
{
    struct mu_error error = {0, ""};
    json_t *target = parse("{\"a\":[\"0123456789\"]}");
    json_t *patch = json_array(); /* doubles what there is, again and again */
    for (int i = 0; i < 40; i++)
        (void)json_array_append_new(patch,
                                    parse("{\"op\":\"copy\",\"from\":\"/a\",\"path\":\"/a/-\"}"));
    assert_int_equal(mu_patch_json(&target, patch, &error), MU_ELIMIT);
    assert_non_null(strstr(error.text, "copies amount to"));
    json_decref(target);
    json_decref(patch);
    target = parse("{\"a\":{}}");
    patch = json_array(); /* ever deeper */
    for (int i = 0; i < 400; i++) {
        (void)json_array_append_new(patch, parse("{\"op\":\"add\",\"path\":\"/b\",\"value\":{}}"));
        (void)json_array_append_new(patch,
                                    parse("{\"op\":\"move\",\"from\":\"/a\",\"path\":\"/b/a\"}"));
        (void)json_array_append_new(patch,
                                    parse("{\"op\":\"move\",\"from\":\"/b\",\"path\":\"/a\"}"));
    }
    assert_int_equal(mu_patch_json(&target, patch, &error), MU_ELIMIT);
    assert_non_null(strstr(error.text, "nested deeper"));
    assert_true(mu_patch_depth(target) <= MU_KUBESIM_PATCH_DEPTH);
    json_decref(patch);
    patch = json_array();
    for (unsigned i = 0; i <= MU_KUBESIM_PATCH_OPS; i++)
        (void)json_array_append_new(patch, json_null());
    assert_int_equal(mu_patch_json(&target, patch, &error), MU_ELIMIT);
    json_decref(patch);
    json_decref(target);
    (void)state;
}

/* ---- strategic ---------------------------------------------------------------------------- */

#define SPEC(text) "{\"spec\":{" text "}}"

static void test_patch_strategic__lists__by_key_or_whole(void **state)
{
    static const struct example examples[] = {
        {SPEC("\"containers\":[{\"name\":\"a\",\"image\":\"1\"},{\"name\":\"b\"}]"),
         SPEC("\"containers\":[{\"name\":\"b\",\"image\":\"2\"},{\"name\":\"c\"}]"),
         SPEC("\"containers\":[{\"name\":\"a\",\"image\":\"1\"},{\"name\":\"b\",\"image\":\"2\"},"
              "{\"name\":\"c\"}]"),
         NULL},
        {SPEC("\"containers\":[{\"name\":\"a\",\"env\":[{\"name\":\"X\",\"value\":\"1\"}],"
              "\"ports\":[{\"containerPort\":80,\"name\":\"w\"}],"
              "\"volumeMounts\":[{\"mountPath\":\"/a\",\"name\":\"v\"}]}]"),
         SPEC("\"containers\":[{\"name\":\"a\",\"env\":[{\"name\":\"X\",\"value\":null,"
              "\"valueFrom\":{\"fieldRef\":{\"fieldPath\":\"p\"}}},{\"name\":\"Y\"}],"
              "\"ports\":[{\"containerPort\":80,\"protocol\":\"UDP\"},{\"containerPort\":81}],"
              "\"volumeMounts\":[{\"mountPath\":\"/a\",\"readOnly\":true}]}]"),
         SPEC(
             "\"containers\":[{\"name\":\"a\",\"env\":[{\"name\":\"X\",\"valueFrom\":{\"fieldRef\":"
             "{\"fieldPath\":\"p\"}}},{\"name\":\"Y\"}],\"ports\":[{\"containerPort\":80,\"name\":"
             "\"w\",\"protocol\":\"UDP\"},{\"containerPort\":81}],\"volumeMounts\":[{\"mountPath\":"
             "\"/a\",\"name\":\"v\",\"readOnly\":true}]}]"),
         NULL},
        {SPEC("\"ephemeralContainers\":[{\"name\":\"a\",\"env\":[{\"name\":\"X\"}]}]"),
         SPEC("\"ephemeralContainers\":[{\"name\":\"a\",\"env\":[{\"name\":\"Y\"}]}]"),
         SPEC("\"ephemeralContainers\":[{\"name\":\"a\",\"env\":[{\"name\":\"X\"},{\"name\":\"Y\"}]"
              "}]"),
         NULL},
        {SPEC(
             "\"tolerations\":[{\"key\":\"a\"}],\"containers\":[{\"name\":\"c\",\"command\":[\"x\"]"
             "}]"),
         SPEC(
             "\"tolerations\":[{\"key\":\"b\"}],\"containers\":[{\"name\":\"c\",\"command\":[\"y\"]"
             "}]"),
         SPEC(
             "\"tolerations\":[{\"key\":\"b\"}],\"containers\":[{\"name\":\"c\",\"command\":[\"y\"]"
             "}]"),
         NULL},
        {SPEC("\"hostAliases\":[{\"ip\":\"1\",\"hostnames\":[\"a\"]}],\"imagePullSecrets\":"
              "[{\"name\":\"s\"}]"),
         SPEC("\"hostAliases\":[{\"ip\":\"1\",\"hostnames\":[\"b\"]},{\"ip\":\"2\"}],"
              "\"imagePullSecrets\":[{\"name\":\"s\"},{\"name\":\"t\"}]"),
         SPEC("\"hostAliases\":[{\"ip\":\"1\",\"hostnames\":[\"b\"]},{\"ip\":\"2\"}],"
              "\"imagePullSecrets\":[{\"name\":\"s\"},{\"name\":\"t\"}]"),
         NULL},
        {"{\"status\":{\"conditions\":[{\"type\":\"A\",\"status\":\"True\"}]}}",
         "{\"status\":{\"conditions\":[{\"type\":\"A\",\"status\":\"False\"},{\"type\":\"B\"}]}}",
         "{\"status\":{\"conditions\":[{\"type\":\"A\",\"status\":\"False\"},{\"type\":\"B\"}]}}",
         NULL},
        {SPEC("\"nodeSelector\":{\"a\":\"1\",\"b\":\"2\"}"),
         SPEC("\"nodeSelector\":{\"a\":null,\"c\":\"3\"},\"affinity\":{\"nodeAffinity\":{}}"),
         SPEC("\"nodeSelector\":{\"b\":\"2\",\"c\":\"3\"},\"affinity\":{\"nodeAffinity\":{}}"),
         NULL},
        {SPEC("\"containers\":5"), SPEC("\"containers\":[{\"name\":\"a\"}]"),
         SPEC("\"containers\":[{\"name\":\"a\"}]"), NULL},
    };
    CHECK(POD, examples);
    (void)state;
}

static void test_patch_strategic__directives__obeyed(void **state)
{
    static const struct example examples[] = {
        {SPEC("\"containers\":[{\"name\":\"a\"},{\"name\":\"b\"}]"),
         SPEC("\"containers\":[{\"name\":\"a\",\"$patch\":\"delete\"},{\"name\":\"x\",\"$patch\":"
              "\"delete\"}]"),
         SPEC("\"containers\":[{\"name\":\"b\"}]"), NULL},
        {SPEC("\"containers\":[{\"name\":\"a\"}]"),
         SPEC("\"containers\":[{\"name\":\"a\",\"$patch\":\"delete\"},{\"name\":\"a\",\"image\":"
              "\"n\"}]"),
         SPEC("\"containers\":[{\"name\":\"a\",\"image\":\"n\"}]"), NULL},
        {SPEC("\"containers\":[{\"name\":\"a\"},{\"name\":\"b\"}]"),
         SPEC("\"containers\":[{\"$patch\":\"replace\"},{\"name\":\"z\",\"$patch\":\"merge\"}]"),
         SPEC("\"containers\":[{\"name\":\"z\"}]"), NULL},
        {SPEC("\"nodeSelector\":{\"a\":\"1\"}"),
         SPEC("\"nodeSelector\":{\"$patch\":\"replace\",\"b\":\"2\"}"),
         SPEC("\"nodeSelector\":{\"b\":\"2\"}"), NULL},
        {SPEC("\"affinity\":{\"podAffinity\":{}},\"nodeName\":\"n\""),
         SPEC("\"affinity\":{\"$patch\":\"delete\"}"), SPEC("\"affinity\":{},\"nodeName\":\"n\""),
         NULL},
        {SPEC("\"volumes\":[{\"name\":\"v\",\"emptyDir\":{}}]"),
         SPEC("\"volumes\":[{\"name\":\"v\",\"$retainKeys\":[\"name\",\"hostPath\"],\"hostPath\":"
              "{\"path\":\"/\"}}]"),
         SPEC("\"volumes\":[{\"name\":\"v\",\"hostPath\":{\"path\":\"/\"}}]"), NULL},
        {"{\"metadata\":{\"finalizers\":[\"a\",\"b\"],\"ownerReferences\":[{\"uid\":\"1\"}]}}",
         "{\"metadata\":{\"finalizers\":[\"c\",\"b\"],\"$deleteFromPrimitiveList/finalizers\":"
         "[\"a\",\"x\"],\"ownerReferences\":[{\"uid\":\"2\"},{\"uid\":\"1\",\"name\":\"n\"}]}}",
         "{\"metadata\":{\"finalizers\":[\"b\",\"c\"],\"ownerReferences\":[{\"uid\":\"1\",\"name\":"
         "\"n\"},{\"uid\":\"2\"}]}}",
         NULL},
        {SPEC("\"containers\":[{\"name\":\"a\"},{\"name\":\"b\"},{\"name\":\"c\"}]"),
         SPEC("\"$setElementOrder/containers\":[{\"name\":\"c\"},{\"name\":\"a\"}]"),
         SPEC("\"containers\":[{\"name\":\"b\"},{\"name\":\"c\"},{\"name\":\"a\"}]"), NULL},
        {SPEC("\"containers\":[{\"name\":\"s\"},{\"name\":\"a\"}]"),
         SPEC("\"$setElementOrder/containers\":[{\"name\":\"n\"},{\"name\":\"a\"}],"
              "\"containers\":[{\"name\":\"n\"},{\"name\":\"a\",\"image\":\"i\"}]"),
         SPEC(
             "\"containers\":[{\"name\":\"n\"},{\"name\":\"s\"},{\"name\":\"a\",\"image\":\"i\"}]"),
         NULL},
        {"{\"metadata\":{\"finalizers\":[\"a\",\"b\"]}}",
         "{\"metadata\":{\"$setElementOrder/"
         "finalizers\":[\"b\",\"a\",\"c\"],\"finalizers\":[\"c\"]}"
         "}",
         "{\"metadata\":{\"finalizers\":[\"b\",\"a\",\"c\"]}}", NULL},
        {SPEC("\"nodeName\":\"n\""), SPEC("\"$setElementOrder/containers\":[{\"name\":\"c\"}]"),
         SPEC("\"nodeName\":\"n\""), NULL},
        {"{\"spec\":{},\"status\":{}}", "{\"$patch\":\"replace\",\"metadata\":{}}",
         "{\"metadata\":{}}", NULL},
    };
    CHECK(POD, examples);
    static const struct example secrets[] = {
        {"{\"secrets\":[{\"name\":\"a\"}]}", "{\"secrets\":[{\"name\":\"b\"}]}",
         "{\"secrets\":[{\"name\":\"a\"},{\"name\":\"b\"}]}", NULL}};
    CHECK(SERVICE_ACCOUNT, secrets);
    static const struct example budgets[] = {{SPEC("\"selector\":{\"matchLabels\":{\"a\":\"1\"}}"),
                                              SPEC("\"selector\":{\"matchLabels\":{\"b\":\"2\"}}"),
                                              SPEC("\"selector\":{\"matchLabels\":{\"b\":\"2\"}}"),
                                              NULL}};
    CHECK(BUDGET, budgets);
    (void)state;
}

static void test_patch_strategic__malformed__refused(void **state)
{
    static const struct example examples[] = {
        {"{}", "[]", NULL, "expected an object"},
        {SPEC("\"containers\":[{\"name\":\"a\"}]"), SPEC("\"containers\":[{\"image\":\"i\"}]"),
         NULL, "no merge key 'name'"},
        {SPEC("\"containers\":[]"), SPEC("\"containers\":[\"a\"]"), NULL, "no merge key 'name'"},
        {SPEC("\"containers\":[]"), SPEC("\"containers\":[null]"), NULL, "no merge key 'name'"},
        {SPEC("\"containers\":[]"), SPEC("\"containers\":[{\"name\":\"a\",\"$patch\":\"x\"}]"),
         NULL, "$patch: expected"},
        {"{}", "{\"$patch\":1}", NULL, "$patch: expected"},
        {SPEC("\"containers\":[]"), SPEC("\"$setElementOrder/containers\":1"), NULL,
         "$setElementOrder/containers: expected a list"},
        {SPEC("\"containers\":[]"),
         SPEC("\"$setElementOrder/containers\":[{\"name\":\"b\"},{\"name\":\"a\"}],\"containers\":"
              "[{\"name\":\"a\"},{\"name\":\"b\"}]"),
         NULL, "the order in the patch's list"},
        {SPEC("\"containers\":[]"),
         SPEC("\"$setElementOrder/containers\":[],\"containers\":[{\"name\":\"a\"}]"), NULL,
         "the order in the patch's list"},
        {SPEC("\"volumes\":[{\"name\":\"v\"}]"),
         SPEC("\"volumes\":[{\"name\":\"v\",\"$retainKeys\":1}]"), NULL, "$retainKeys: expected"},
        {"{\"metadata\":{\"finalizers\":[]}}",
         "{\"metadata\":{\"$deleteFromPrimitiveList/finalizers\":1}}", NULL, "expected a list"},
        {"{\"metadata\":{\"finalizers\":[]}}", "{\"metadata\":{\"finalizers\":[{}]}}", NULL,
         "no merge key"},
        {SPEC("\"containers\":[{\"name\":\"a\"}]"),
         SPEC("\"containers\":[{\"name\":\"a\",\"$patch\":\"delete\"},5]"), NULL, "no merge key"},
    };
    CHECK(POD, examples);
    (void)state;
}

/* Two long lists: what the tables of elements are for. */
static void test_patch_strategic__long_lists__not_quadratic(void **state)
{
    enum { COUNT = 60000 };
    json_t *lists[2];
    for (int side = 0; side < 2; side++) {
        json_t *list = json_array();
        for (int i = 0; i < COUNT; i++) {
            char name[24];
            (void)snprintf(name, sizeof name, "%c%d", side == 0 ? 'a' : 'b', i);
            (void)json_array_append_new(list, json_string(name));
        }
        lists[side] = json_object();
        (void)json_object_set_new(lists[side], "finalizers", list);
    }
    struct mu_error error = {0, ""};
    assert_int_equal(apply(META, &lists[0], lists[1], &error), 0);
    assert_int_equal(json_array_size(json_object_get(lists[0], "finalizers")), 2 * COUNT);
    json_decref(lists[0]);
    json_decref(lists[1]);
    (void)state;
}

/* ---- memory ------------------------------------------------------------------------------- */

struct torture {
    enum kind kind;
    const char *target, *patch;
};

static bool apply_short_of_memory(void *context)
{
    const struct torture *torture = context;
    json_t *target = NULL;
    json_t *patch = NULL;
    struct mu_error error = {0, ""};
    int status = mu_json_value_read(mu_str_of(torture->target), &target, NULL, &error);
    if (status == 0)
        status = mu_json_value_read(mu_str_of(torture->patch), &patch, NULL, &error);
    if (status == 0)
        status = apply(torture->kind, &target, patch, &error);
    assert_true(status == 0 || status == MU_ENOMEM);
    json_decref(target);
    json_decref(patch);
    return status == 0;
}

static void test_patch__out_of_memory__error_and_no_leak(void **state)
{
    static struct torture tortures[] = {
        {MERGE, "{\"a\":{\"b\":1}}", "{\"a\":{\"b\":null,\"c\":{\"d\":2}}}"},
        {JSON, "{\"a\":[1,{\"b\":2}]}",
         "[{\"op\":\"copy\",\"from\":\"/a\",\"path\":\"/c\"},{\"op\":\"move\",\"from\":\"/c/1\","
         "\"path\":\"/d\"},{\"op\":\"add\",\"path\":\"/a/"
         "-\",\"value\":{\"x\":[]}},{\"op\":\"test\","
         "\"path\":\"/a/0\",\"value\":1},{\"op\":\"replace\",\"path\":\"/a/0\",\"value\":[3]},"
         "{\"op\":\"remove\",\"path\":\"/a\"}]"},
        {POD,
         SPEC("\"containers\":[{\"name\":\"a\"},{\"name\":\"b\"}],\"volumes\":[{\"name\":\"v\","
              "\"emptyDir\":{}}]"),
         "{\"metadata\":{\"finalizers\":[\"x\"],\"$deleteFromPrimitiveList/finalizers\":[\"y\"]},"
         "\"spec\":{\"$setElementOrder/containers\":[{\"name\":\"c\"},{\"name\":\"b\"}],"
         "\"containers\":[{\"name\":\"c\"},{\"name\":\"a\",\"$patch\":\"delete\"},{\"name\":\"b\","
         "\"image\":\"i\"}],\"volumes\":[{\"name\":\"v\",\"$retainKeys\":[\"name\"]}]}}"},
    };
    for (size_t i = 0; i < sizeof tortures / sizeof tortures[0]; i++)
        assert_true(mu_test_fail_each(apply_short_of_memory, &tortures[i]) > 10);
    (void)state;
}

/* Each of these is a few bytes that cost as much as the whole list. */
static void test_patch_json__large_values_again_and_again__refused(void **state)
{
    static const char *const operations[] = {
        "{\"op\":\"move\",\"from\":\"/a\",\"path\":\"/a\"}",
        "{\"op\":\"add\",\"path\":\"/a/0\",\"value\":1}",
        "{\"op\":\"remove\",\"path\":\"/a/0\"}",
        "{\"op\":\"move\",\"from\":\"/a/0\",\"path\":\"/b\"}",
    };
    enum { VALUES = 100000 };
    (void)state;
    for (size_t i = 0; i < sizeof operations / sizeof operations[0]; i++) {
        struct mu_error error = {0, ""};
        json_t *operation = json_loads(operations[i], 0, NULL);
        json_t *patch = json_array();
        json_t *list = json_array();
        json_t *target = json_pack("{s:o}", "a", list);
        assert_true(operation != NULL && patch != NULL && target != NULL);
        for (int v = 0; v < VALUES; v++)
            assert_int_equal(json_array_append_new(list, json_true()), 0);
        for (uint32_t n = 0; n < MU_KUBESIM_PATCH_VISITED / VALUES / 2; n++)
            assert_int_equal(json_array_append(patch, operation), 0);
        assert_int_equal(mu_patch_json(&target, patch, &error), 0);
        for (uint32_t n = 0; n < MU_KUBESIM_PATCH_VISITED / VALUES; n++)
            assert_int_equal(json_array_append(patch, operation), 0);
        assert_int_equal(mu_patch_json(&target, patch, &error), MU_ELIMIT);
        assert_non_null(strstr(error.text, "the operations touch more than"));
        json_decref(target);
        json_decref(patch);
        json_decref(operation);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_patch_merge__cases_of_the_rfc__its_results),
        cmocka_unit_test(test_patch_merge__random_trees__as_the_naive_twin),
        cmocka_unit_test(test_patch_json__operations__as_the_rfc),
        cmocka_unit_test(test_patch_json__large_values_again_and_again__refused),
        cmocka_unit_test(test_patch_json__what_does_not_apply__refused_with_the_operation),
        cmocka_unit_test(test_patch_json__bombs__bounded),
        cmocka_unit_test(test_patch_strategic__lists__by_key_or_whole),
        cmocka_unit_test(test_patch_strategic__directives__obeyed),
        cmocka_unit_test(test_patch_strategic__malformed__refused),
        cmocka_unit_test(test_patch_strategic__long_lists__not_quadratic),
        cmocka_unit_test(test_patch__out_of_memory__error_and_no_leak),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
