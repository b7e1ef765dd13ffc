/* Manifests that mean harm: the answer comes in bounded time, with one clear line. */
#include "tests/manifest_kit.h"

#include "tools/manifest/manifest_priv.h"

#define NODE                                                                                       \
    "apiVersion: v1\nkind: Node\nmetadata: {name: n1}\n"                                           \
    "status: {allocatable: {cpu: 4, memory: 8Gi, pods: 10}}\n---\n"
#define POD_HEAD "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec:\n"

/* `before`, then `each` with a number in it `count` times, then `behind`. */
static char *repeated(const char *before, const char *each, uint32_t count, const char *behind)
{
    struct mu_buf text = {.max = 0};
    const char *mark = strchr(each, '@');
    int head = mark != NULL ? (int)(mark - each) : (int)strlen(each);
    (void)mu_buf_append_text(&text, before);
    for (uint32_t i = 0; i < count; i++) {
        (void)mu_buf_printf(&text, "%.*s", head, each);
        if (mark != NULL)
            (void)mu_buf_printf(&text, "%u%s", i, mark + 1);
    }
    (void)mu_buf_append_text(&text, behind);
    assert_int_equal(mu_buf_append(&text, "", 1), 0);
    return (char *)text.data;
}

static uint32_t lines_of(const char *text)
{
    uint32_t lines = 0;
    for (; *text != '\0'; text++)
        lines += *text == '\n';
    return lines;
}

static void test_manifest_read__100000_documents_of_nothing__nothing(void **state)
{
    static const char *const nothings[] = {"---\n",       "--- # x\n\n",
                                           "---\nnull\n", "...\n---\n",
                                           "---\n~\n",    "---\napiVersion: v1\nkind: List\n"};
    (void)state;
    for (size_t i = 0; i < sizeof nothings / sizeof nothings[0]; i++) {
        char *text = repeated("", nothings[i], 100000, "");
        struct offline_rig rig = rig_read("f", text);
        assert_string_equal(rig_errors(&rig), "");
        assert_string_equal(rig_notes(&rig), "");
        assert_int_equal(rig.manifest->object_count, 0);
        rig_drop(&rig);
        mu_mem_free(text);
    }
}

/* Every item complains; looking for their lines would read the list again each time. */
static void test_manifest_read__endless_lists_of_faults__searched_within_bounds(void **state)
{
    static const struct {
        const char *before, *each, *behind;
    } cases[] = {
        {"---\n{apiVersion: v1, kind: List, items: [{}", ", {a: @}", "]}\n"},
        {"{\"apiVersion\":\"v1\",\"kind\":\"List\",\"items\":[{\"apiVersion\":\"v1\",\"kind\":"
         "\"List\",\"items\":[{}",
         ",{\"a\":@}", "]}]}"},
        {"{\"apiVersion\":\"v1\",\"kind\":\"List\",\"items\":[{}", ",{\"a\":@}", "]}"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char *text = repeated(cases[i].before, cases[i].each, 50000, cases[i].behind);
        struct offline_rig rig = rig_read("f", text);
        const char *errors = rig_errors(&rig);
        assert_int_equal(lines_of(errors), MU_MANIFEST_LINES_MAX + 1);
        assert_non_null(strstr(errors, "and 49901 more\n"));
        assert_true(rig.manifest->searched_bytes <= MU_MANIFEST_SEARCH_MAX);
        rig_drop(&rig);
        mu_mem_free(text);
    }
}

/* The pod is read and waits; one line says what was too much. */
static void waits(const char *before, const char *each, const char *behind, const char *note)
{
    char *text = repeated(before, each, 10000, behind);
    struct offline_rig rig = rig_read("f", text);
    json_t *answer = rig_place(&rig, &mu_profile_spread);
    const json_t *pending = json_array_get(json_object_get(answer, "pending"), 0);
    assert_string_equal(rig_notes(&rig), note);
    assert_string_equal(json_string_value(json_object_get(pending, "reason")), "Unsupported");
    json_decref(answer);
    rig_drop(&rig);
    mu_mem_free(text);
}

static void test_place__10000_terms__one_line_and_the_pod_waits(void **state)
{
    (void)state;
    waits(
        NODE POD_HEAD "  containers: [{name: c}]\n  affinity:\n    nodeAffinity:\n"
                      "      requiredDuringSchedulingIgnoredDuringExecution:\n"
                      "        nodeSelectorTerms:\n",
        "        - matchExpressions: [{key: k@, operator: Exists}]\n", "",
        "f:6: Pod default/p: spec.affinity.nodeAffinity[*]: 10000 entries, expected at most 1024; "
        "left out\n");
    waits(NODE POD_HEAD "  containers: [{name: c}]\n  affinity:\n    podAntiAffinity:\n"
                        "      requiredDuringSchedulingIgnoredDuringExecution:\n",
          "      - {topologyKey: zone, labelSelector: {matchLabels: {a: v@}}}\n", "",
          "f:6: Pod default/p: spec.affinity.podAffinity[*]: 10000 entries, expected at most 1024; "
          "left out\n");
    waits(
        NODE POD_HEAD "  containers: [{name: c}]\n  tolerations:\n",
        "  - {key: k@, operator: Exists}\n", "",
        "f:6: Pod default/p: spec.tolerations[*]: 10002 entries, expected at most 256; left out\n");
    waits(NODE POD_HEAD "  containers: [{name: c}]\n  topologySpreadConstraints:\n",
          "  - {topologyKey: k@, maxSkew: 1, whenUnsatisfiable: DoNotSchedule}\n", "",
          "f:6: Pod default/p: spec.topologySpreadConstraints[*]: 10000 entries, expected at most "
          "1024; left out\n");
    /* each is an amount, the sum is none */
    waits(NODE POD_HEAD "  containers:\n", "  - {name: c@, resources: {requests: {cpu: 9P}}}\n", "",
          "");
}

static void test_place__quantities_near_2_to_the_63__one_line_or_a_number(void **state)
{
    static const char *const beyond[] = {"9223372036854775807",
                                         "9223372036854775808",
                                         "8Ei",
                                         "1e30",
                                         "99999999999999999999999999999999",
                                         "1e999999999"};
    (void)state;
    for (size_t i = 0; i < sizeof beyond / sizeof beyond[0]; i++) {
        char text[1024], expected[1024];
        (void)snprintf(text, sizeof text,
                       NODE POD_HEAD
                       "  containers: [{name: c, resources: {requests: {memory: '%s'}}}]\n",
                       beyond[i]);
        (void)snprintf(expected, sizeof expected,
                       "f:10: Pod default/p: spec.containers[0].resources.requests.memory: '%s' is "
                       "beyond all bounds; expected less than 2^63 - 1\n",
                       beyond[i]);
        struct offline_rig bad = rig_read("f", text);
        assert_string_equal(rig_errors(&bad), expected);
        rig_drop(&bad);
    }
    /* just below: an amount like any other, and what would have to change has no overflow */
    struct offline_rig rig =
        rig_read("f", NODE POD_HEAD "  containers: [{name: c, resources: {requests: {memory: "
                                    "'9223372036854775806'}}}]\n");
    json_t *x = rig_explain_json(&rig, "default", "p");
    const json_t *row = json_array_get(json_object_get(x, "rejected"), 0);
    const json_t *grow = json_object_get(json_array_get(json_object_get(row, "change"), 0), "grow");
    assert_int_equal(json_integer_value(json_object_get(grow, "memory")),
                     INT64_MAX - 1 - (INT64_C(8) << 30));
    json_decref(x);
    rig_drop(&rig);
}

/* On a node that is overcommitted as far as sums go. */
static void test_explain__more_than_fits_in_a_number_to_free__no_overflow(void **state)
{
    (void)state;
    struct offline_rig rig =
        rig_read("f", NODE POD_HEAD "  containers: [{name: c, resources: {requests: {memory: "
                                    "'9223372036854775806'}}}]\n"
                                    "---\napiVersion: v1\nkind: Pod\nmetadata: {name: q}\n"
                                    "spec:\n  nodeName: n1\n"
                                    "  containers: [{name: c, resources: {requests: {memory: "
                                    "'9223372036854775806'}}}]\n");
    json_t *x = rig_explain_json(&rig, "default", "p");
    const json_t *row = json_array_get(json_object_get(x, "rejected"), 0);
    const json_t *free = json_object_get(json_array_get(json_object_get(row, "change"), 1), "free");
    assert_int_equal(json_integer_value(json_object_get(free, "memory")),
                     (INT64_C(1) << 62) + (INT64_C(8) << 30));
    json_decref(x);
    rig_drop(&rig);
}

static void test_place__annotation_of_1_mib__placed(void **state)
{
    char *value = mu_mem_zalloc((1u << 20) + 1);
    assert_non_null(value);
    memset(value, 'x', 1u << 20);
    char *text =
        repeated(NODE "apiVersion: v1\nkind: Pod\nspec: {containers: [{name: c}]}\nmetadata: "
                      "{name: p, annotations: {a: ",
                 value, 1, "}}\n");
    struct offline_rig rig = rig_read("f", text);
    json_t *answer = rig_place(&rig, &mu_profile_spread);
    (void)state;
    assert_int_equal(json_array_size(json_object_get(answer, "bindings")), 1);
    json_decref(answer);
    rig_drop(&rig);
    mu_mem_free(text);
    mu_mem_free(value);
}

static void test_manifest_read__objects_and_depths_beyond_bounds__one_line(void **state)
{
    static const struct {
        const char *each, *expected;
        uint32_t count;
    } cases[] = {
        {"[", "f:1: expected at most 63 levels\n", 10000},
        {"{\"a\":", "f:1: not JSON: maximum parsing depth reached near '{'\n", 10000},
        {"a@: &x b\n", "f:1: expected no anchors, aliases or tags\n", 10000},
        {"a@: 1\n", "f:131072: expected at most 262144 values and keys\n", 140000},
        {"# 0123456789012345678901234567890123456789012345678901234567\na@: ~\n",
         "f:1: expected at most 3 MiB\n", 50000},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char *text = repeated("", cases[i].each, cases[i].count, "");
        struct offline_rig rig = rig_read("f", text);
        assert_string_equal(rig_errors(&rig), cases[i].expected);
        rig_drop(&rig);
        mu_mem_free(text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_manifest_read__100000_documents_of_nothing__nothing),
        cmocka_unit_test(test_manifest_read__endless_lists_of_faults__searched_within_bounds),
        cmocka_unit_test(test_place__10000_terms__one_line_and_the_pod_waits),
        cmocka_unit_test(test_place__quantities_near_2_to_the_63__one_line_or_a_number),
        cmocka_unit_test(test_explain__more_than_fits_in_a_number_to_free__no_overflow),
        cmocka_unit_test(test_place__annotation_of_1_mib__placed),
        cmocka_unit_test(test_manifest_read__objects_and_depths_beyond_bounds__one_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
