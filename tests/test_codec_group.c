#include "informer/codec_group.h"

#include "engine/base/buf.h"
#include "engine/limits.h"
#include "tests/mu_test.h"

/* An object as JSON and what is read of it, in words (render()). */
enum { ARENA_BYTES = 1 << 20 };

static void render(struct mu_buf *out, const struct mu_group_object *g, const struct mu_error *warn)
{
    static const char *const flags[] = {"basic", "never", "spared", "single"};
    const bool set[] = {g->single_policy, g->never_preempts, g->spared, g->single_victims};
    (void)mu_buf_printf(out, "%.*s/%.*s@%u min=%u", MU_STR_ARGS(g->ns), MU_STR_ARGS(g->name),
                        (unsigned)g->version, g->min);
    for (uint32_t i = 0; i < g->subgroup_count; i++)
        (void)mu_buf_printf(out, " %.*s:%u%s", MU_STR_ARGS(g->subgroups[i].name),
                            g->subgroups[i].min, g->subgroups[i].single ? "s" : "");
    for (size_t i = 0; i < sizeof set / sizeof set[0]; i++)
        if (set[i])
            (void)mu_buf_printf(out, " %s", flags[i]);
    if (g->has_priority)
        (void)mu_buf_printf(out, " priority=%d", g->priority);
    if (g->pack_key.len > 0)
        (void)mu_buf_printf(out, " pack=%.*s%s", MU_STR_ARGS(g->pack_key),
                            g->pack_required ? "!" : "");
    if (g->timeout_s > 0)
        (void)mu_buf_printf(out, " timeout=%u", g->timeout_s);
    if ((g->unbuilt & MU_RULE_GANG_DIALECT) != 0)
        (void)mu_buf_append_text(out, " unbuilt");
    if ((g->unbuilt & MU_RULE_RESOURCE_CLAIMS) != 0)
        (void)mu_buf_append_text(out, " claims");
    if ((g->unbuilt & MU_RULE_GANG_SPEC) != 0)
        (void)mu_buf_printf(out, " !%s", warn->text);
}

struct row {
    const char *spec, *read;
};

static void assert_reads(enum mu_gang_source source, const char *meta, const struct row *row)
{
    char text[1024];
    struct mu_group_object object;
    struct mu_error warn = {.code = 0}, error = {.code = 0};
    struct mu_buf out = {.max = 0};
    struct mu_arena *arena = mu_arena_create(ARENA_BYTES);
    (void)snprintf(text, sizeof text,
                   "{\"metadata\":{\"name\":\"g\",\"namespace\":\"ns\",\"uid\":\"u\","
                   "\"resourceVersion\":\"7\"%s},\"spec\":%s}",
                   meta, row->spec);
    assert_int_equal(mu_group_decode(source, mu_str_of(text), arena, &object, &warn, &error), 0);
    assert_int_equal(object.source, source);
    assert_int_equal((object.unbuilt & MU_RULE_GANG_SPEC) != 0, warn.code != 0);
    render(&out, &object, &warn);
    if (out.len != strlen(row->read) || memcmp(out.data, row->read, out.len) != 0)
        fail_msg("%s\n  is        %.*s\n  should be %s", row->spec, (int)out.len,
                 (const char *)out.data, row->read);
    mu_buf_fini(&out);
    mu_arena_destroy(arena);
}

static void assert_table(enum mu_gang_source source, const struct row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++)
        assert_reads(source, "", &rows[i]);
}
#define ASSERT_TABLE(source, rows) assert_table(source, rows, sizeof(rows) / sizeof((rows)[0]))

#define NATIVE(more) "{\"schedulingPolicy\":{\"gang\":{\"minCount\":4}}" more "}"
static void test_codec_group__native__table(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {NATIVE(""), "ns/g@7 min=4 single"},
        {"{\"schedulingPolicy\":{\"basic\":{}}}", "ns/g@7 min=0 basic single"},
        {NATIVE(",\"disruptionMode\":{\"single\":{}}"), "ns/g@7 min=4 single"},
        {NATIVE(",\"disruptionMode\":{\"all\":{}}"), "ns/g@7 min=4"},
        {NATIVE(",\"disruptionMode\":\"PodGroup\""), "ns/g@7 min=4"},
        {NATIVE(",\"disruptionMode\":\"Pod\""), "ns/g@7 min=4 single"},
        {NATIVE(",\"priority\":-5,\"preemptionPolicy\":\"Never\""),
         "ns/g@7 min=4 never single priority=-5"},
        {NATIVE(",\"priority\":0,\"preemptionPolicy\":\"PreemptLowerPriority\""),
         "ns/g@7 min=4 single priority=0"},
        {NATIVE(",\"schedulingConstraints\":{\"topology\":[{\"key\":\"example.com/rack\"}]}"),
         "ns/g@7 min=4 single pack=example.com/rack!"},
        {NATIVE(",\"schedulingConstraints\":{\"topology\":[]}"), "ns/g@7 min=4 single"},
        {NATIVE(",\"schedulingConstraints\":{\"topology\":[{\"key\":\"a\"},{\"key\":\"b\"}]}"),
         "ns/g@7 min=4 single pack=a! unbuilt"},
        {NATIVE(",\"parentCompositePodGroupName\":\"p\""), "ns/g@7 min=4 single unbuilt"},
        {NATIVE(",\"resourceClaims\":[{\"name\":\"c\"}]"), "ns/g@7 min=4 single claims"},
        {"{}", "ns/g@7 min=0 !spec.schedulingPolicy: expected one of basic and gang"},
        {"null", "ns/g@7 min=0 !spec.schedulingPolicy: expected one of basic and gang"},
        {"7", "ns/g@7 min=0 !spec: expected an object"},
        {"{\"schedulingPolicy\":{\"basic\":{},\"gang\":{\"minCount\":1}}}",
         "ns/g@7 min=0 !spec.schedulingPolicy: expected one of basic and gang"},
        {"{\"schedulingPolicy\":{\"gang\":{}}}",
         "ns/g@7 min=0 !spec.schedulingPolicy.gang.minCount: expected at least 1"},
        {"{\"schedulingPolicy\":{\"gang\":{\"minCount\":16385}}}",
         "ns/g@7 min=0 !spec.schedulingPolicy.gang.minCount: expected a whole number, 1 to 16384"},
        {NATIVE(",\"schedulingConstraints\":{\"topology\":[{\"key\":\"a b\"}]}"),
         "ns/g@7 min=0 !spec.schedulingConstraints.topology[0].key: expected the key of a node "
         "label"},
        {NATIVE(",\"priority\":2147483648"),
         "ns/g@7 min=0 !spec.priority: expected a 32-bit whole number"},
    };
    ASSERT_TABLE(MU_GANG_NATIVE, rows);
}

static void test_codec_group__workload__table(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"{\"podGroups\":[{\"name\":\"a\",\"policy\":{\"gang\":{\"minCount\":3}}},"
         "{\"name\":\"b\",\"policy\":{\"basic\":{}}}]}",
         "ns/g@7 min=0 a:3 b:0s"},
        {"{}", "ns/g@7 min=0"},
        {"{\"podGroups\":[{\"policy\":{\"basic\":{}}}]}",
         "ns/g@7 min=0 !spec.podGroups.name: expected a name"},
        {"{\"podGroups\":[{\"name\":\"a\",\"policy\":{\"basic\":{}}},"
         "{\"name\":\"a\",\"policy\":{\"gang\":{\"minCount\":2}}}]}",
         "ns/g@7 min=0 !spec.podGroups.name: 'a' comes twice"},
        {"{\"podGroups\":[{\"name\":\"a\"}]}",
         "ns/g@7 min=0 !spec.podGroups.policy: expected one of basic and gang"},
    };
    ASSERT_TABLE(MU_GANG_WORKLOAD, rows);
}

static void test_codec_group__custom_resources__table(void **state)
{
    (void)state;
    static const struct row plugins[] = {
        {"{\"minMember\":3,\"scheduleTimeoutSeconds\":60,\"minResources\":{\"cpu\":\"3\"}}",
         "ns/g@7 min=3 timeout=60"},
        {"{}", "ns/g@7 min=1"},
        {"{\"minMember\":0}", "ns/g@7 min=0 !spec.minMember: expected a whole number, 1 to 16384"},
        {"{\"minMember\":3,\"scheduleTimeoutSeconds\":-1}",
         "ns/g@7 min=0 !spec.scheduleTimeoutSeconds: expected a whole number, 0 to 2147483647"},
    };
    static const struct row volcano[] = {
        {"{\"minMember\":3,\"minTaskMember\":{\"ps\":1,\"worker\":0},\"priorityClassName\":\"x\"}",
         "ns/g@7 min=3 ps:1 worker:0"},
        {"{}", "ns/g@7 min=1"},
        {"{\"minMember\":3,\"networkTopology\":{\"mode\":\"soft\"}}", "ns/g@7 min=3"},
        {"{\"minMember\":3,\"networkTopology\":{\"mode\":\"hard\"}}", "ns/g@7 min=3 unbuilt"},
        {"{\"minMember\":3,\"subGroupPolicy\":[{}]}", "ns/g@7 min=3 unbuilt"},
        {"{\"minTaskMember\":{\"a\":16000,\"b\":16000}}",
         "ns/g@7 min=0 !spec.minTaskMember: expected at most 16384 in all"},
        {"{\"minTaskMember\":{\"a\":\"1\"}}",
         "ns/g@7 min=0 !spec.minTaskMember: expected a whole number, 0 to 16384"},
    };
    static const struct row kai[] = {
        {"{\"minMember\":3,\"subGroups\":[{\"name\":\"a\",\"minMember\":2},{\"name\":\"b\"}],"
         "\"preemptibility\":\"non-preemptible\"}",
         "ns/g@7 min=3 a:2 b:0 spared"},
        {"{\"minMember\":3,\"topologyConstraint\":{\"requiredTopologyLevel\":\"rack\","
         "\"preferredTopologyLevel\":\"host\"}}",
         "ns/g@7 min=3 pack=rack!"},
        {"{\"minMember\":3,\"topologyConstraint\":{\"preferredTopologyLevel\":\"host\"}}",
         "ns/g@7 min=3 pack=host"},
        {"{\"subGroups\":[{\"name\":\"a\"},{\"name\":\"b\",\"parent\":\"a\",\"minMember\":2},"
         "{\"name\":\"c\",\"parent\":\"a\",\"minMember\":3},{\"name\":\"d\",\"minMember\":4}]}",
         "ns/g@7 min=1 b:2 c:3 d:4"},
        {"{\"subGroups\":[{\"name\":\"c\",\"parent\":\"b\",\"minMember\":3},{\"name\":\"b\","
         "\"parent\":\"a\",\"minMember\":3,\"minSubGroup\":1},{\"name\":\"a\",\"minMember\":2}],"
         "\"minSubGroup\":1}",
         "ns/g@7 min=1 c:3"},
        {"{\"subGroups\":[{\"name\":\"a\",\"minMember\":3},{\"name\":\"b\",\"parent\":\"a\","
         "\"minMember\":2}]}",
         "ns/g@7 min=1 b:2 unbuilt"},
        {"{\"subGroups\":[{\"name\":\"a\",\"minSubGroup\":1},{\"name\":\"b\",\"parent\":\"a\"},"
         "{\"name\":\"c\",\"parent\":\"a\"}]}",
         "ns/g@7 min=1 b:0 c:0 unbuilt"},
        {"{\"subGroups\":[{\"name\":\"a\",\"minSubGroup\":0},{\"name\":\"b\",\"parent\":\"a\"}]}",
         "ns/g@7 min=1 b:0 unbuilt"},
        {"{\"subGroups\":[{\"name\":\"a\"},{\"name\":\"b\"}],\"minSubGroup\":1}",
         "ns/g@7 min=1 a:0 b:0 unbuilt"},
        {"{\"subGroups\":[{\"name\":\"a\",\"topologyConstraint\":{\"requiredTopologyLevel\":"
         "\"rack\"}}]}",
         "ns/g@7 min=1 a:0 unbuilt"},
        {"{\"subGroups\":[{\"name\":\"a\",\"parent\":\"b\"}]}",
         "ns/g@7 min=0 !spec.subGroups.parent: 'b' is no sub-group"},
        {"{\"subGroups\":[{\"name\":\"a\",\"parent\":\"a\"}]}",
         "ns/g@7 min=0 !spec.subGroups.parent: 'a' is below itself"},
        {"{\"subGroups\":[{\"name\":\"a\",\"parent\":\"b\"},{\"name\":\"b\",\"parent\":\"a\"}]}",
         "ns/g@7 min=0 !spec.subGroups.parent: 'a' is below itself"},
        {"{\"subGroups\":[{\"name\":\"a\",\"minMember\":1},{\"name\":\"a\",\"minMember\":2}]}",
         "ns/g@7 min=0 !spec.subGroups.name: 'a' comes twice"},
        {"{\"minMember\":3,\"minSubGroup\":1,\"subGroups\":[{\"name\":\"a\"}]}",
         "ns/g@7 min=0 !spec.minSubGroup: expected it or minMember, not both"},
        {"{\"subGroups\":[{}]}", "ns/g@7 min=0 !spec.subGroups.name: expected a name"},
        {"{\"topologyConstraint\":{\"requiredTopologyLevel\":\"a b\"}}",
         "ns/g@7 min=0 !spec.topologyConstraint: expected the key of a node label"},
    };
    static const struct row godel[] = {
        {"{\"minMember\":3,\"scheduleTimeoutSeconds\":60,\"priority\":5}",
         "ns/g@7 min=3 priority=5 timeout=60"},
    };
    ASSERT_TABLE(MU_GANG_COSCHEDULING, plugins);
    ASSERT_TABLE(MU_GANG_VOLCANO, volcano);
    ASSERT_TABLE(MU_GANG_KAI, kai);
    ASSERT_TABLE(MU_GANG_GODEL, godel);
    static const struct row spared = {"{\"minMember\":3}", "ns/g@7 min=3 spared"};
    static const struct row not_spared = {"{\"minMember\":3}", "ns/g@7 min=3"};
    assert_reads(MU_GANG_VOLCANO, ",\"annotations\":{\"volcano.sh/preemptable\":\"false\"}",
                 &spared);
    assert_reads(MU_GANG_VOLCANO, ",\"labels\":{\"volcano.sh/preemptable\":\"false\"}", &spared);
    assert_reads(MU_GANG_VOLCANO,
                 ",\"annotations\":{\"volcano.sh/preemptable\":\"true\"},"
                 "\"labels\":{\"volcano.sh/preemptable\":\"false\"}",
                 &not_spared);
    assert_reads(MU_GANG_KAI, ",\"labels\":{\"volcano.sh/preemptable\":\"false\"}", &not_spared);
}

static void test_codec_group__no_object__refused(void **state)
{
    (void)state;
    static const char *const texts[] = {"",
                                        "[]",
                                        "{",
                                        "{}",
                                        "{\"metadata\":{}}",
                                        "{\"metadata\":{\"name\":7}}",
                                        "{\"metadata\":{\"name\":\"A\"}}"};
    struct mu_arena *arena = mu_arena_create(ARENA_BYTES);
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct mu_group_object object;
        struct mu_error warn, error = {.code = 0};
        assert_int_equal(
            mu_group_decode(MU_GANG_KAI, mu_str_of(texts[i]), arena, &object, &warn, &error),
            MU_EPROTO);
        assert_true(strncmp(error.text, "group: ", 7) == 0);
    }
    mu_arena_destroy(arena);
}

static void test_codec_group__too_many_subgroups__held_and_told(void **state)
{
    (void)state;
    char spec[4096];
    int at =
        snprintf(spec, sizeof spec, "{\"metadata\":{\"name\":\"g\"},\"spec\":{\"subGroups\":[");
    for (uint32_t i = 0; i <= MU_SUBGROUPS_MAX; i++)
        at += snprintf(spec + at, sizeof spec - (size_t)at, "%s{\"name\":\"s%u\"}",
                       i == 0 ? "" : ",", i);
    (void)snprintf(spec + at, sizeof spec - (size_t)at, "]}}");
    struct mu_arena *arena = mu_arena_create(ARENA_BYTES);
    struct mu_group_object object;
    struct mu_error warn = {.code = 0}, error;
    assert_int_equal(mu_group_decode(MU_GANG_KAI, mu_str_of(spec), arena, &object, &warn, &error),
                     0);
    assert_int_equal(object.unbuilt, MU_RULE_GANG_SPEC);
    assert_int_equal(object.subgroup_count, 0);
    assert_string_equal(warn.text, "spec.subGroups: expected at most 64");
    mu_arena_destroy(arena);
}

static void test_codec_group__versions_and_kinds__known_ones_alone(void **state)
{
    (void)state;
    assert_int_equal(mu_group_source(MU_STR("scheduling.k8s.io/v1beta1"), MU_STR("PodGroup")),
                     MU_GANG_NATIVE);
    assert_int_equal(mu_group_source(MU_STR("scheduling.k8s.io/v1alpha1"), MU_STR("Workload")),
                     MU_GANG_WORKLOAD);
    assert_int_equal(mu_group_source(MU_STR("scheduling.k8s.io/v1alpha1"), MU_STR("PodGroup")),
                     MU_GANG_SOLO);
    assert_int_equal(mu_group_source(MU_STR("scheduling.k8s.io/v1beta1"), MU_STR("Workload")),
                     MU_GANG_SOLO);
    assert_int_equal(mu_group_source(MU_STR("scheduling.run.ai/v2"), MU_STR("PodGroup")),
                     MU_GANG_SOLO);
}

static bool decode_once(void *context)
{
    struct mu_group_object object;
    struct mu_error warn = {.code = 0}, error = {.code = 0};
    struct mu_arena *arena = mu_arena_create(ARENA_BYTES);
    if (arena == NULL)
        return false;
    int rc = mu_group_decode(MU_GANG_VOLCANO, mu_str_of(context), arena, &object, &warn, &error);
    assert_true(rc == 0 || rc == MU_ENOMEM);
    assert_int_equal(warn.code, 0);
    mu_arena_destroy(arena);
    return rc == 0;
}

static void test_codec_group__out_of_memory__said_and_nothing_leaks(void **state)
{
    (void)state;
    char text[] = "{\"metadata\":{\"name\":\"g\",\"namespace\":\"ns\"},\"spec\":{\"minMember\":3,"
                  "\"minTaskMember\":{\"a\":1,\"b\":2},\"priorityClassName\":\"high\"}}";
    assert_true(mu_test_fail_each(decode_once, text) > 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_codec_group__native__table),
        cmocka_unit_test(test_codec_group__workload__table),
        cmocka_unit_test(test_codec_group__custom_resources__table),
        cmocka_unit_test(test_codec_group__no_object__refused),
        cmocka_unit_test(test_codec_group__too_many_subgroups__held_and_told),
        cmocka_unit_test(test_codec_group__versions_and_kinds__known_ones_alone),
        cmocka_unit_test(test_codec_group__out_of_memory__said_and_nothing_leaks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
