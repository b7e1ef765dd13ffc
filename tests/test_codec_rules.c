/* Pods, translated: rules that are not built, selector, tolerations. */
#include "tests/pod_kit.h"

/* --- rules that are not built -------------------------------------------------------------- */

static void assert_rule(struct kit *kit, uint32_t rule)
{
    kit_decode(kit);
    if (kit->out.unbuilt != rule)
        fail_msg("unbuilt rules %#x, expected %#x", kit->out.unbuilt, rule);
}

static void test_pod_rules__volumes__those_that_bind_to_nodes(void **state)
{
    (void)state;
    struct kit *kit = kit_create();
    Kube__Volume volume = KUBE__VOLUME__INIT;
    Kube__Volume *volumes[1] = {&volume};
    Kube__VolumeSource source = KUBE__VOLUME_SOURCE__INIT;
    Kube__PresentVolumeSource present = KUBE__PRESENT_VOLUME_SOURCE__INIT;
    Kube__PersistentVolumeClaimVolumeSource claim =
        KUBE__PERSISTENT_VOLUME_CLAIM_VOLUME_SOURCE__INIT;
    Kube__PresentVolumeSource **binding[] = {&source.ephemeral,
                                             &source.gcepersistentdisk,
                                             &source.awselasticblockstore,
                                             &source.iscsi,
                                             &source.rbd,
                                             &source.cinder,
                                             &source.vspherevolume,
                                             &source.azuredisk,
                                             &source.portworxvolume};
    kit->spec.n_volumes = 1;
    kit->spec.volumes = volumes;
    assert_rule(kit, 0);
    volume.volumesource = &source;
    source.hostpath = source.emptydir = source.csi = &present;
    assert_rule(kit, 0);
    for (size_t i = 0; i < sizeof binding / sizeof binding[0]; i++) {
        *binding[i] = &present;
        assert_rule(kit, MU_RULE_VOLUMES);
        *binding[i] = NULL;
    }
    source.persistentvolumeclaim = &claim;
    assert_rule(kit, MU_RULE_VOLUMES);
    source.persistentvolumeclaim = NULL;
    /* Kinds that are not in our messages: a secret (6) is known to be harmless, 31 is not known. */
    ProtobufCMessageUnknownField unknown = {6, PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED, 1,
                                            (uint8_t[1]){0}};
    source.base.n_unknown_fields = 1;
    source.base.unknown_fields = &unknown;
    assert_rule(kit, 0);
    unknown.tag = 31;
    assert_rule(kit, MU_RULE_VOLUMES);
    kit_destroy(kit);
}

static void test_pod_rules__resource_claims__anywhere(void **state)
{
    (void)state;
    Kube__ResourceClaim claim = KUBE__RESOURCE_CLAIM__INIT;
    Kube__ResourceClaim *claims[1] = {&claim};
    Kube__PodResourceClaim pod_claim = KUBE__POD_RESOURCE_CLAIM__INIT;
    Kube__PodResourceClaim *pod_claims[1] = {&pod_claim};
    struct kit *kit = kit_create();
    Kube__Container *c = kit_container(kit, true, "cpu=1");
    c->resources->n_claims = 1;
    c->resources->claims = claims;
    assert_rule(kit, MU_RULE_RESOURCE_CLAIMS);
    c->resources->n_claims = 0;
    kit->spec.n_resourceclaims = 1;
    kit->spec.resourceclaims = pod_claims;
    assert_rule(kit, MU_RULE_RESOURCE_CLAIMS);
    kit->spec.n_resourceclaims = 0;
    kit_pod_level(kit, "cpu=1");
    assert_rule(kit, 0);
    kit->pod_needs.n_claims = 1;
    kit->pod_needs.claims = claims;
    assert_rule(kit, MU_RULE_RESOURCE_CLAIMS);
    kit_destroy(kit);
}

static void test_pod_rules__declared_features__where_the_node_must_know(void **state)
{
    (void)state;
    struct kit *kit = kit_create();
    Kube__ContainerRestartRule rule = KUBE__CONTAINER_RESTART_RULE__INIT;
    Kube__ContainerRestartRule *rules[1] = {&rule};
    kit->spec.has_hostnetwork = true;
    kit->spec.hostnetwork = true;
    assert_rule(kit, 0);
    kit->spec.has_hostusers = true;
    kit->spec.hostusers = true;
    assert_rule(kit, 0);
    kit->spec.hostusers = false;
    assert_rule(kit, MU_RULE_DECLARED_FEATURES);
    kit->spec.hostnetwork = false;
    assert_rule(kit, 0);
    Kube__Container *c = kit_container(kit, false, "");
    c->n_restartpolicyrules = 1;
    c->restartpolicyrules = rules;
    rule.action = FIXTURE_TEXT("Restart");
    assert_rule(kit, 0);
    rule.action = FIXTURE_TEXT("RestartAllContainers");
    assert_rule(kit, MU_RULE_DECLARED_FEATURES);
    kit_destroy(kit);
}

static void assert_gang(const struct kit *kit, enum mu_gang_source source, const char *name)
{
    assert_int_equal(kit->out.gang.source, source);
    assert_true(mu_str_equal(kit->out.gang.name, mu_str_of(name)));
}

/* The dialects have their own tests; here: that the codec hands over all that they read. */
static void test_pod_rules__gangs__native_and_other_dialects(void **state)
{
    (void)state;
    struct kit *kit = kit_create();
    Kube__PodSchedulingGroup group = KUBE__POD_SCHEDULING_GROUP__INIT;
    Kube__WorkloadReference workload = KUBE__WORKLOAD_REFERENCE__INIT;
    Kube__StringEntry entries[2] = {KUBE__STRING_ENTRY__INIT, KUBE__STRING_ENTRY__INIT};
    Kube__StringEntry *list[2] = {&entries[0], &entries[1]};
    kit->spec.schedulinggroup = &group;
    assert_rule(kit, MU_RULE_GANG_SPEC);
    group.podgroupname = FIXTURE_TEXT("native");
    assert_rule(kit, 0);
    assert_gang(kit, MU_GANG_NATIVE, "native");
    kit->spec.schedulinggroup = NULL;
    kit->spec.workloadref = &workload;
    assert_rule(kit, MU_RULE_GANG_SPEC);
    workload.name = FIXTURE_TEXT("w");
    workload.podgroup = FIXTURE_TEXT("p");
    workload.podgroupreplicakey = FIXTURE_TEXT("r");
    assert_rule(kit, 0);
    assert_gang(kit, MU_GANG_WORKLOAD, "w/p/r");
    kit->spec.workloadref = NULL;
    entries[0].key = FIXTURE_TEXT("scheduling.x-k8s.io/pod-group");
    entries[0].value = FIXTURE_TEXT("g");
    kit->meta.n_labels = 1;
    kit->meta.labels = list;
    assert_rule(kit, 0);
    assert_gang(kit, MU_GANG_COSCHEDULING, "g");
    kit->meta.n_labels = 0;
    entries[0].key = FIXTURE_TEXT("muster.dev/pod-group");
    entries[1].key = FIXTURE_TEXT("muster.dev/pod-group-size");
    entries[1].value = FIXTURE_TEXT("8");
    kit->meta.n_annotations = 2;
    kit->meta.annotations = list;
    assert_rule(kit, 0);
    assert_gang(kit, MU_GANG_MUSTER, "g");
    assert_int_equal(kit->out.gang.size, 8);
    assert_false(kit->out.spared);
    entries[1].value = FIXTURE_TEXT("eight");
    assert_rule(kit, MU_RULE_GANG_SPEC);
    entries[1].key = FIXTURE_TEXT("volcano.sh/preemptable");
    entries[1].value = FIXTURE_TEXT("false");
    assert_rule(kit, 0);
    assert_true(kit->out.spared);
    kit_destroy(kit);
}

/* --- selector and tolerations -------------------------------------------------------------- */

static void test_pod_tolerations__operators_and_effects__translated(void **state)
{
    (void)state;
    const struct {
        const char *op, *effect;
        enum mu_toleration_op expected_op;
        enum mu_taint_effect expected_effect;
    } cases[] = {
        {NULL, NULL, MU_TOLERATE_EQUAL, MU_EFFECT_ANY},
        {"", "", MU_TOLERATE_EQUAL, MU_EFFECT_ANY},
        {"Equal", "NoSchedule", MU_TOLERATE_EQUAL, MU_EFFECT_NO_SCHEDULE},
        {"Exists", "NoExecute", MU_TOLERATE_EXISTS, MU_EFFECT_NO_EXECUTE},
        {"Exists", "PreferNoSchedule", MU_TOLERATE_EXISTS, MU_EFFECT_PREFER_NO_SCHEDULE},
        {"Lt", "NoSchedule", MU_TOLERATE_LT, MU_EFFECT_NO_SCHEDULE},
        {"Gt", "Other", MU_TOLERATE_GT, MU_EFFECT_OTHER},
        {"exists", "", MU_TOLERATE_NEVER, MU_EFFECT_ANY},
        {"In", "", MU_TOLERATE_NEVER, MU_EFFECT_ANY},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct kit *kit = kit_create();
        Kube__Toleration t = KUBE__TOLERATION__INIT;
        Kube__Toleration *list[1] = {&t};
        t.key = FIXTURE_TEXT("k");
        t.value = FIXTURE_TEXT("v");
        t.operator_ = FIXTURE_TEXT(cases[i].op);
        t.effect = FIXTURE_TEXT(cases[i].effect);
        kit->spec.n_tolerations = 1;
        kit->spec.tolerations = list;
        assert_rule(kit, 0);
        assert_int_equal(kit->out.toleration_count, 1);
        assert_int_equal(kit->out.tolerations[0].op, cases[i].expected_op);
        assert_int_equal(kit->out.tolerations[0].effect, cases[i].expected_effect);
        assert_true(mu_str_equal(kit->out.tolerations[0].key, MU_STR("k")));
        assert_true(mu_str_equal(kit->out.tolerations[0].value, MU_STR("v")));
        kit_destroy(kit);
    }
}

static void test_pod_tolerations__beyond_the_bound__left_out_and_marked(void **state)
{
    (void)state;
    struct kit *kit = kit_create();
    Kube__Toleration t = KUBE__TOLERATION__INIT;
    Kube__Toleration *list[MU_TOLERATIONS_PER_POD + 1];
    Kube__Time deleted = KUBE__TIME__INIT;
    for (uint32_t i = 0; i <= MU_TOLERATIONS_PER_POD; i++)
        list[i] = &t;
    kit_container(kit, false, "cpu=1");
    kit->spec.tolerations = list;
    kit->spec.n_tolerations = MU_TOLERATIONS_PER_POD;
    kit_decode(kit);
    assert_int_equal(kit->out.toleration_count, MU_TOLERATIONS_PER_POD);
    kit->spec.n_tolerations++;
    kit->meta.deletiontimestamp = &deleted;
    kit->status.phase = FIXTURE_TEXT("Running");
    assert_rule(kit, MU_RULE_OVERSIZED); /* the newest version all the same, with all the rest */
    assert_non_null(strstr(kit->warn.text, "pod ns/p: spec.tolerations[*]: 257 entries"));
    assert_int_equal(kit->out.version, 5);
    assert_true(mu_str_equal(kit->out.uid, MU_STR("u")));
    assert_true(kit->out.terminating);
    assert_int_equal(kit->out.phase, MU_POD_RUNNING);
    assert_int_equal(kit->out.toleration_count, 0);
    assert_int_equal(amount(kit, "cpu"), 1000);
    kit->spec.nodename = FIXTURE_TEXT("n1"); /* it holds room: it must be charged */
    assert_rule(kit, MU_RULE_OVERSIZED);
    assert_true(mu_str_equal(kit->out.node_name, MU_STR("n1")));
    assert_int_equal(kit->out.toleration_count, 0);
    assert_int_equal(amount(kit, "cpu"), 1000);
    assert_non_null(strstr(kit->warn.text, "spec.tolerations"));
    kit_destroy(kit);
}

static void test_pod_selector__pairs__kept_and_bounded(void **state)
{
    (void)state;
    struct kit *kit = kit_create();
    Kube__StringEntry entry = KUBE__STRING_ENTRY__INIT;
    Kube__StringEntry *list[MU_LABELS_PER_OBJECT + 1];
    entry.key = FIXTURE_TEXT("zone");
    entry.value = FIXTURE_TEXT("z1");
    for (uint32_t i = 0; i <= MU_LABELS_PER_OBJECT; i++)
        list[i] = &entry;
    kit->spec.nodeselector = list;
    kit->spec.n_nodeselector = 1;
    kit_decode(kit);
    assert_int_equal(kit->out.selector_count, 1);
    assert_true(mu_str_equal(kit->out.selector[0].key, MU_STR("zone")));
    assert_true(mu_str_equal(kit->out.selector[0].value, MU_STR("z1")));
    Kube__StringEntry rack = KUBE__STRING_ENTRY__INIT, later = KUBE__STRING_ENTRY__INIT;
    rack.key = FIXTURE_TEXT("rack");
    rack.value = FIXTURE_TEXT("r1");
    later.key = entry.key;
    later.value = FIXTURE_TEXT("a2"); /* later, not larger */
    list[1] = &rack;
    list[2] = &later;
    kit->spec.n_nodeselector = 3;
    kit_decode(kit);
    assert_int_equal(kit->out.selector_count, 2);
    assert_true(mu_str_equal(kit->out.selector[0].value, MU_STR("r1")));
    assert_true(mu_str_equal(kit->out.selector[1].key, MU_STR("zone")));
    assert_true(mu_str_equal(kit->out.selector[1].value, MU_STR("a2")));
    kit->spec.n_nodeselector = MU_LABELS_PER_OBJECT + 1;
    assert_rule(kit, MU_RULE_OVERSIZED);
    assert_int_equal(kit->out.selector_count, 0);
    assert_non_null(strstr(kit->warn.text, "spec.nodeSelector[*]: 1025 entries"));
    kit_destroy(kit);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pod_rules__volumes__those_that_bind_to_nodes),
        cmocka_unit_test(test_pod_rules__resource_claims__anywhere),
        cmocka_unit_test(test_pod_rules__declared_features__where_the_node_must_know),
        cmocka_unit_test(test_pod_rules__gangs__native_and_other_dialects),
        cmocka_unit_test(test_pod_tolerations__operators_and_effects__translated),
        cmocka_unit_test(test_pod_tolerations__beyond_the_bound__left_out_and_marked),
        cmocka_unit_test(test_pod_selector__pairs__kept_and_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
