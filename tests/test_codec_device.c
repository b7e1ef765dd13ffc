/* Devices: shares and device numbers on pods, sharing on nodes. */
#include "tests/pod_kit.h"

#define SHARE "muster.dev/gpu-milli"

/* Annotations "key", "value", ...; ends with NULL. */
static void annotate(struct kit *kit, const char *const *texts)
{
    static Kube__StringEntry entries[4];
    static Kube__StringEntry *list[4];
    size_t count = 0;
    for (; texts[2 * count] != NULL; count++) {
        kube__string_entry__init(&entries[count]);
        entries[count].key = FIXTURE_TEXT(texts[2 * count]);
        entries[count].value = FIXTURE_TEXT(texts[2 * count + 1]);
        list[count] = &entries[count];
    }
    kit->meta.annotations = list;
    kit->meta.n_annotations = count;
}

static void test_pod_share__fraction__becomes_a_request(void **state)
{
    (void)state;
    const struct {
        const char *fraction;
        int64_t millis; /* 0: refused */
    } cases[] = {
        {"0.5", 500},  {".25", 250},       {"0.333", 333}, {"0.3333", 334},
        {"0.0001", 1}, {"0.999999", 1000}, {"0.50", 500},  {"0", 0},
        {"0.0", 0},    {"1", 0},           {"1.0", 0},     {"1.5", 0},
        {"", 0},       {".", 0},           {"-0.5", 0},    {"+0.5", 0},
        {"500m", 0},   {"0.5e0", 0},       {" 0.5", 0},    {"half", 0},
        {"0.5.0", 0},  {"0,5", 0},         {"NaN", 0},     {"0.0000000000000000000000000000001", 0},
    };
    for (size_t i = 0; i < 2 * sizeof cases / sizeof cases[0]; i++) {
        const char *fraction = cases[i / 2].fraction;
        int64_t millis = cases[i / 2].millis;
        struct kit *kit = kit_create();
        kit_container(kit, false, "cpu=1");
        annotate(kit, (const char *const[]){"gpu-fraction", fraction, NULL});
        kit->spec.nodename = FIXTURE_TEXT(i % 2 == 0 ? NULL : "n1");
        kit_decode(kit);
        if (kit->out.unbuilt != (millis > 0 ? 0 : MU_RULE_REQUEST) || amount(kit, SHARE) != millis)
            fail_msg("%s: %lld, rules %#x", fraction, (long long)amount(kit, SHARE),
                     kit->out.unbuilt);
        assert_int_equal(kit->warn.code != 0, millis == 0);
        assert_int_equal(amount(kit, "cpu"), 1000);
        kit_destroy(kit);
    }
}

static void test_pod_share__what_is_not_built_or_contradicts__marked(void **state)
{
    (void)state;
    const struct {
        const char *texts[5];
        const char *requests;
        uint32_t rules;
        int64_t millis;
    } cases[] = {
        {{"gpu-fraction", "0.5", "gpu-fraction-num-devices", "1", NULL}, "cpu=1", 0, 500},
        {{"gpu-fraction", "0.5", "gpu-fraction-num-devices", "2", NULL}, "", MU_RULE_REQUEST, 500},
        {{"gpu-memory", "4096", NULL}, "cpu=1", MU_RULE_REQUEST, 0},
        {{"gpu-fraction", "0.5", NULL}, SHARE "=250", MU_RULE_REQUEST, 500},
        {{"gpu-fraction", "0.5", "gpu-fraction", "0.25", NULL}, "", 0, 250}, /* the later wins */
        {{"other", "0.5", NULL}, SHARE "=250", 0, 250},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct kit *kit = kit_create();
        kit_container(kit, false, cases[i].requests);
        annotate(kit, cases[i].texts);
        kit_decode(kit);
        assert_int_equal(kit->out.unbuilt, cases[i].rules);
        assert_int_equal(amount(kit, SHARE), cases[i].millis);
        kit_destroy(kit);
    }
}

static void test_pod_devices__numbers__of_bound_pods_only(void **state)
{
    (void)state;
    const struct {
        const char *text;
        uint64_t devices;
        bool readable;
    } cases[] = {
        {"0", 1, true},
        {"0,3", 9, true},
        {"15", 1 << 15, true},
        {"3,0,7", 0x89, true},
        {"", 0, false},
        {",", 0, false},
        {"0,", 0, false},
        {",0", 0, false},
        {"0,,1", 0, false},
        {"16", 0, false},
        {"-1", 0, false},
        {"0, 1", 0, false},
        {"0,0", 0, false},
        {"00", 0, false},
        {"1-3", 0, false},
        {"a", 0, false},
        {"18446744073709551616", 0, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct kit *kit = kit_create();
        annotate(kit, (const char *const[]){MU_DEVICE_ANNOTATION, cases[i].text, NULL});
        kit_decode(kit);
        assert_clean(kit); /* the tenant's word: not even read */
        assert_int_equal(kit->out.devices, 0);
        kit->spec.nodename = FIXTURE_TEXT("n1");
        kit_decode(kit);
        assert_int_equal(kit->out.unbuilt, 0);
        if (kit->out.devices != cases[i].devices || (kit->warn.code == 0) != cases[i].readable)
            fail_msg("%s: %#llx", cases[i].text, (unsigned long long)kit->out.devices);
        kit_destroy(kit);
    }
}

/* --- nodes --------------------------------------------------------------------------------- */

static void test_node_devices__labelled_for_sharing__one_gpu_resource_tracked(void **state)
{
    (void)state;
    const struct {
        const char *sharing, *index, *allocatable;
        const char *resource; /* NULL: nothing tracked */
        uint32_t count;
        bool whole, warned;
    } cases[] = {
        {"true", NULL, "cpu=8 nvidia.com/gpu=4", "nvidia.com/gpu", 4, false, false},
        {"true", "honored", "nvidia.com/gpu=8", "nvidia.com/gpu", 8, true, false},
        {"true", "Honored", "amd.com/gpu=1", "amd.com/gpu", 1, false, false},
        {"true", "honored", "nvidia.com/gpu=16", "nvidia.com/gpu", 16, true, false},
        {"true", "honored", "nvidia.com/gpu=17", NULL, 0, false, true},
        {"true", "honored", "nvidia.com/gpu=2 amd.com/gpu=2", NULL, 0, false, true},
        {"true", "honored", "nvidia.com/gpu=2 amd.com/gpu=0", "nvidia.com/gpu", 2, true, false},
        {"true", "honored", "cpu=8", NULL, 0, false, true},
        {"true", "honored", "nvidia.com/gpu=0", NULL, 0, false, true},
        {"true", "honored", "nvidia.com/gpu.shared=4 x/mygpu=1", NULL, 0, false, true},
        {"false", "honored", "nvidia.com/gpu=4", NULL, 0, false, false},
        {NULL, "honored", "nvidia.com/gpu=4", NULL, 0, false, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct kit *kit = kit_create();
        Kube__Node node = KUBE__NODE__INIT;
        Kube__NodeStatus status = KUBE__NODE_STATUS__INIT;
        Kube__StringEntry labels[2] = {KUBE__STRING_ENTRY__INIT, KUBE__STRING_ENTRY__INIT};
        Kube__StringEntry *list[2] = {&labels[0], &labels[1]};
        struct mu_node_object out;
        labels[0].key = FIXTURE_TEXT(cases[i].sharing != NULL ? MU_SHARING_LABEL : "other");
        labels[0].value = FIXTURE_TEXT(cases[i].sharing);
        labels[1].key = FIXTURE_TEXT(cases[i].index != NULL ? MU_DEVICE_LABEL : "another");
        labels[1].value = FIXTURE_TEXT(cases[i].index);
        kit->meta.labels = list;
        kit->meta.n_labels = 2;
        node.metadata = &kit->meta;
        node.status = &status;
        status.n_allocatable = kit_map(kit, cases[i].allocatable, &status.allocatable);
        fixture_pack(&kit->raw, &node);
        assert_int_equal(
            mu_node_decode(fixture_str(&kit->raw), kit->arena, &out, &kit->warn, &kit->error), 0);
        assert_int_equal(out.device_count, cases[i].count);
        assert_int_equal(out.devices_whole, cases[i].whole);
        assert_true(mu_str_equal(out.device_resource, mu_str_of(cases[i].resource)));
        assert_int_equal(kit->warn.code != 0, cases[i].warned);
        assert_false(out.unschedulable); /* it serves for everything else */
        kit_destroy(kit);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pod_share__fraction__becomes_a_request),
        cmocka_unit_test(test_pod_share__what_is_not_built_or_contradicts__marked),
        cmocka_unit_test(test_pod_devices__numbers__of_bound_pods_only),
        cmocka_unit_test(test_node_devices__labelled_for_sharing__one_gpu_resource_tracked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
