#include "informer/dialect.h"

#include "engine/limits.h"
#include "tests/mu_test.h"

struct result {
    struct mu_gang_ref gang;
    uint32_t unbuilt;
};

static struct mu_label pair(const char *key, const char *value)
{
    return (struct mu_label){mu_str_of(key), mu_str_of(value)};
}

static struct result annotated(const struct mu_label *annotations, uint32_t count)
{
    struct result r = {.gang = {.size = 77}};
    mu_dialect_normalise(NULL, 0, annotations, count, false, &r.gang, &r.unbuilt);
    return r;
}

static void assert_gang(const struct result *r, enum mu_gang_source source, const char *name,
                        uint32_t size, uint32_t unbuilt)
{
    assert_int_equal(r->gang.source, source);
    assert_true(mu_str_equal(r->gang.name, mu_str_of(name)));
    assert_int_equal(r->gang.size, size);
    assert_int_equal(r->gang.subgroup.len, 0);
    assert_int_equal(r->unbuilt, unbuilt);
}

static void test_dialect__nothing_named__gang_of_one(void **state)
{
    (void)state;
    struct result r = annotated(NULL, 0);
    assert_gang(&r, MU_GANG_SOLO, "", 0, 0);
    const struct mu_label others[] = {pair("kubernetes.io/config.seen", "x"), pair("queue", "q"),
                                      pair("volcano.sh/task-spec", "ps"), pair("", "")};
    r = annotated(others, 4);
    assert_gang(&r, MU_GANG_SOLO, "", 0, 0);
}

static void test_dialect__plain_annotation__size_by_quiet_time(void **state)
{
    (void)state;
    const struct mu_label dash[] = {pair("pod-group", "g1")};
    struct result r = annotated(dash, 1);
    assert_gang(&r, MU_GANG_PLAIN, "g1", 0, 0);
    const struct mu_label under[] = {pair("pod_group", "g2")};
    r = annotated(under, 1);
    assert_gang(&r, MU_GANG_PLAIN, "g2", 0, 0);
    const struct mu_label both[] = {pair("pod_group", "g"), pair("pod-group", "g")};
    r = annotated(both, 2);
    assert_gang(&r, MU_GANG_PLAIN, "g", 0, 0);
    /* As a label it is not the annotation. */
    struct result label = {.unbuilt = 0};
    mu_dialect_normalise(dash, 1, NULL, 0, false, &label.gang, &label.unbuilt);
    assert_gang(&label, MU_GANG_SOLO, "", 0, 0);
}

static void test_dialect__own_annotations__name_and_size(void **state)
{
    (void)state;
    const struct mu_label named[] = {pair(MU_GANG_ANNOTATION, "g")};
    struct result r = annotated(named, 1);
    assert_gang(&r, MU_GANG_MUSTER, "g", 0, 0);
    const struct mu_label sized[] = {pair(MU_GANG_SIZE_ANNOTATION, "64"),
                                     pair(MU_GANG_ANNOTATION, "g")};
    r = annotated(sized, 2);
    assert_gang(&r, MU_GANG_MUSTER, "g", 64, 0);
    const struct mu_label also[] = {pair("pod-group", "g"), pair(MU_GANG_ANNOTATION, "g")};
    r = annotated(also, 2);
    assert_gang(&r, MU_GANG_MUSTER, "g", 0, 0);
    const struct mu_label twice[] = {pair(MU_GANG_ANNOTATION, "old"),
                                     pair(MU_GANG_ANNOTATION, "new")};
    r = annotated(twice, 2);
    assert_gang(&r, MU_GANG_MUSTER, "new", 0, 0);
}

static void test_dialect__size_not_a_count_in_bounds__gang_spec(void **state)
{
    (void)state;
    const char *bad[] = {"",    "0",  "-1", "+4", "4 ",    "4.0",
                         "0x4", "04", "4k", "x",  "16385", "18446744073709551620",
                         "four"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        const struct mu_label set[] = {pair(MU_GANG_ANNOTATION, "g"),
                                       pair(MU_GANG_SIZE_ANNOTATION, bad[i])};
        struct result r = annotated(set, 2);
        assert_gang(&r, MU_GANG_MUSTER, "g", 0, MU_RULE_GANG_SPEC);
    }
    const struct mu_label most[] = {pair(MU_GANG_ANNOTATION, "g"),
                                    pair(MU_GANG_SIZE_ANNOTATION, "16384")};
    struct result r = annotated(most, 2);
    assert_gang(&r, MU_GANG_MUSTER, "g", MU_GANG_MEMBERS_MAX, 0);
}

static void test_dialect__size_without_own_group__gang_spec(void **state)
{
    (void)state;
    const struct mu_label alone[] = {pair(MU_GANG_SIZE_ANNOTATION, "4")};
    struct result r = annotated(alone, 1);
    assert_gang(&r, MU_GANG_SOLO, "", 0, MU_RULE_GANG_SPEC);
    const struct mu_label plain[] = {pair("pod-group", "g"), pair(MU_GANG_SIZE_ANNOTATION, "4")};
    r = annotated(plain, 2);
    assert_gang(&r, MU_GANG_PLAIN, "g", 0, MU_RULE_GANG_SPEC);
}

static void test_dialect__name_empty_or_too_long__gang_spec(void **state)
{
    (void)state;
    char longest[MU_NAME_BYTES_MAX + 2];
    memset(longest, 'n', sizeof longest);
    longest[MU_NAME_BYTES_MAX + 1] = '\0';
    const char *keys[] = {"pod-group", "pod_group", MU_GANG_ANNOTATION};
    for (size_t i = 0; i < 3; i++) {
        const struct mu_label empty[] = {pair(keys[i], "")};
        struct result r = annotated(empty, 1);
        assert_gang(&r, MU_GANG_SOLO, "", 0, MU_RULE_GANG_SPEC);
        struct mu_label longer[] = {pair(keys[i], longest)};
        r = annotated(longer, 1);
        assert_gang(&r, MU_GANG_SOLO, "", 0, MU_RULE_GANG_SPEC);
        longer[0].value.len--;
        r = annotated(longer, 1);
        assert_int_equal(r.unbuilt, 0);
        assert_int_equal(r.gang.name.len, MU_NAME_BYTES_MAX);
    }
}

static void test_dialect__two_names__gang_spec_and_still_waiting_together(void **state)
{
    (void)state;
    const struct mu_label plain[] = {pair("pod-group", "a"), pair("pod_group", "b")};
    struct result r = annotated(plain, 2);
    assert_gang(&r, MU_GANG_PLAIN, "a", 0, MU_RULE_GANG_SPEC);
    const struct mu_label own[] = {pair("pod-group", "a"), pair(MU_GANG_ANNOTATION, "b")};
    r = annotated(own, 2);
    assert_gang(&r, MU_GANG_MUSTER, "b", 0, MU_RULE_GANG_SPEC);
    const struct mu_label third[] = {pair("pod-group", "a"), pair(MU_GANG_ANNOTATION, "a"),
                                     pair("pod_group", "b")};
    r = annotated(third, 3);
    assert_gang(&r, MU_GANG_MUSTER, "a", 0, MU_RULE_GANG_SPEC);
}

static void test_dialect__every_other_dialect__recognised(void **state)
{
    (void)state;
    const char *labels[] = {
        "scheduling.x-k8s.io/pod-group",         "pod-group.scheduling.sigs.k8s.io",
        "pod-group.scheduling.sigs.k8s.io/name", "pod-group.scheduling.sigs.k8s.io/min-available",
        "pod-group.scheduling.x-k8s.io/name",    "kai.scheduler/subgroup-name",
        "kueue.x-k8s.io/pod-group-name",         "gang.scheduling.koordinator.sh/name",
        "godel.bytedance.com/pod-group-name"};
    const char *annotations[] = {"scheduling.k8s.io/group-name",
                                 "scheduling.volcano.sh/group-name",
                                 "scheduling.volcano.sh/group-min-member",
                                 "scheduling.volcano.sh/group-min-resources",
                                 "gang.scheduling.koordinator.sh/name",
                                 "gang.scheduling.koordinator.sh/min-available",
                                 "pod-group-name",
                                 "yunikorn.apache.org/task-group-name",
                                 "yunikorn.apache.org/task-groups",
                                 "kueue.x-k8s.io/pod-group-total-count",
                                 "godel.bytedance.com/pod-group-name",
                                 "armadaproject.io/gangId",
                                 "armadaproject.io/gangCardinality"};
    for (size_t i = 0; i < sizeof labels / sizeof labels[0]; i++) {
        const struct mu_label set[] = {pair("app", "x"), pair(labels[i], "g")};
        struct result r = {.unbuilt = MU_RULE_VOLUMES};
        mu_dialect_normalise(set, 2, NULL, 0, false, &r.gang, &r.unbuilt);
        assert_gang(&r, MU_GANG_SOLO, "", 0, MU_RULE_GANG_DIALECT | MU_RULE_VOLUMES);
    }
    for (size_t i = 0; i < sizeof annotations / sizeof annotations[0]; i++) {
        const struct mu_label set[] = {pair(annotations[i], "g")};
        struct result r = annotated(set, 1);
        assert_gang(&r, MU_GANG_SOLO, "", 0, MU_RULE_GANG_DIALECT);
    }
}

static void test_dialect__native_group__recognised(void **state)
{
    (void)state;
    struct result r = {.unbuilt = 0};
    mu_dialect_normalise(NULL, 0, NULL, 0, true, &r.gang, &r.unbuilt);
    assert_gang(&r, MU_GANG_SOLO, "", 0, MU_RULE_GANG_DIALECT);
}

static void test_dialect__own_beside_another__conflict_is_reported(void **state)
{
    (void)state;
    const struct mu_label set[] = {pair(MU_GANG_ANNOTATION, "g"), pair("pod-group-name", "k")};
    struct result r = annotated(set, 2);
    assert_gang(&r, MU_GANG_MUSTER, "g", 0, MU_RULE_GANG_DIALECT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_dialect__nothing_named__gang_of_one),
        cmocka_unit_test(test_dialect__plain_annotation__size_by_quiet_time),
        cmocka_unit_test(test_dialect__own_annotations__name_and_size),
        cmocka_unit_test(test_dialect__size_not_a_count_in_bounds__gang_spec),
        cmocka_unit_test(test_dialect__size_without_own_group__gang_spec),
        cmocka_unit_test(test_dialect__name_empty_or_too_long__gang_spec),
        cmocka_unit_test(test_dialect__two_names__gang_spec_and_still_waiting_together),
        cmocka_unit_test(test_dialect__every_other_dialect__recognised),
        cmocka_unit_test(test_dialect__native_group__recognised),
        cmocka_unit_test(test_dialect__own_beside_another__conflict_is_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
