/* Pods, translated: effective requests and plain fields. Rules: test_codec_rules.c. */
#include "tests/pod_kit.h"

/* --- effective requests -------------------------------------------------------------------- */

static void test_pod_requests__app_containers__summed(void **state)
{
    (void)state;
    struct kit *kit = kit_create();
    kit_container(kit, false, "cpu=500m memory=1Gi ephemeral-storage=1k nvidia.com/gpu=2");
    kit_container(kit, false, "cpu=1.5 memory=1 hugepages-2Mi=4Mi");
    kit_decode(kit);
    assert_clean(kit);
    assert_int_equal(amount(kit, "cpu"), 2000);
    assert_int_equal(amount(kit, "memory"), (1 << 30) + 1);
    assert_int_equal(amount(kit, "ephemeral-storage"), 1000);
    assert_int_equal(amount(kit, "nvidia.com/gpu"), 2);
    assert_int_equal(amount(kit, "hugepages-2Mi"), 4 << 20);
    assert_int_equal(kit->out.request_count, 5);
    kit_destroy(kit);
}

static void test_pod_requests__init_containers__their_peak_counts(void **state)
{
    (void)state;
    struct kit *kit = kit_create();
    kit_container(kit, false, "cpu=1 memory=10");
    kit_container(kit, true, "cpu=3 memory=5");
    kit_container(kit, true, "cpu=2 example.com/x=1");
    kit_decode(kit);
    assert_int_equal(amount(kit, "cpu"), 3000); /* one after the other: the largest */
    assert_int_equal(amount(kit, "memory"), 10);
    assert_int_equal(amount(kit, "example.com/x"), 1);
    kit_destroy(kit);
}

static void test_pod_requests__sidecars__run_beside_what_follows(void **state)
{
    (void)state;
    struct kit *kit = kit_create();
    kit_container(kit, false, "cpu=1");
    kit_container(kit, true, "cpu=5"); /* before any sidecar: 5 */
    kit_sidecar(kit, "cpu=2");
    kit_container(kit, true, "cpu=4"); /* beside the sidecar: 6 */
    kit_sidecar(kit, "cpu=1");         /* app phase: 1 + 2 + 1 = 4 */
    kit_decode(kit);
    assert_int_equal(amount(kit, "cpu"), 6000);
    kit_destroy(kit);
    kit = kit_create();
    kit_container(kit, false, "cpu=4");
    kit_sidecar(kit, "cpu=2");
    kit_container(kit, true, "cpu=3");
    kit_decode(kit);
    assert_int_equal(amount(kit, "cpu"), 6000); /* app + sidecar beats 2 + 3 */
    kit_destroy(kit);
}

static void test_pod_requests__pod_level__replaces_what_may_be_set_there(void **state)
{
    (void)state;
    struct kit *kit = kit_create();
    kit_container(kit, false, "cpu=4 memory=100 ephemeral-storage=7 hugepages-2Mi=2Mi");
    kit_pod_level(kit, "cpu=1 memory=200 ephemeral-storage=9 hugepages-2Mi=4Mi example.com/x=3");
    kit_decode(kit);
    assert_int_equal(amount(kit, "cpu"), 1000); /* replaced, not the larger */
    assert_int_equal(amount(kit, "memory"), 200);
    assert_int_equal(amount(kit, "hugepages-2Mi"), 4 << 20);
    assert_int_equal(amount(kit, "ephemeral-storage"), 7);
    assert_int_equal(amount(kit, "example.com/x"), 0);
    kit_destroy(kit);
}

static void test_pod_requests__overhead__added_last(void **state)
{
    (void)state;
    struct kit *kit = kit_create();
    kit_container(kit, false, "cpu=1");
    kit_container(kit, true, "cpu=2");
    kit_pod_level(kit, "cpu=3");
    kit->spec.n_overhead = kit_map(kit, "cpu=250m memory=64", &kit->spec.overhead);
    kit_decode(kit);
    assert_int_equal(amount(kit, "cpu"), 3250);
    assert_int_equal(amount(kit, "memory"), 64);
    kit_destroy(kit);
}

static void test_pod_requests__fractions__rounded_up_once_per_quantity(void **state)
{
    (void)state;
    struct kit *kit = kit_create();
    kit_container(kit, false, "cpu=100u memory=500m example.com/x=1n");
    kit_container(kit, false, "cpu=1100u memory=0 example.com/x=0");
    kit_decode(kit);
    assert_int_equal(amount(kit, "cpu"), 3);
    assert_int_equal(amount(kit, "memory"), 1);
    assert_int_equal(amount(kit, "example.com/x"), 1);
    kit_destroy(kit);
}

static void test_pod_requests__names_a_scheduler_ignores__left_out(void **state)
{
    (void)state;
    struct kit *kit = kit_create();
    kit_container(kit, false,
                  "pods=5 cpus=1 gpu=1 requests.example.com/x=1 Example.com/x=1 "
                  "example.com/=1 /x=1 example.com/-x=1 -e.com/x=1 e..com/x=1 example.com/x/y=1 "
                  "e.com/aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffffgggg=1");
    kit_container(kit, false,
                  "storage=bad kubernetes.io/batch-cpu=3 attachable-volumes-x=2 a-1.b/C_d.e-f=4");
    kit_decode(kit);
    assert_clean(kit);
    assert_int_equal(kit->out.request_count, 3);
    assert_int_equal(amount(kit, "kubernetes.io/batch-cpu"), 3);
    assert_int_equal(amount(kit, "attachable-volumes-x"), 2);
    assert_int_equal(amount(kit, "a-1.b/C_d.e-f"), 4);
    kit_destroy(kit);
}

static void test_pod_requests__duplicate_in_one_map__the_later_wins(void **state)
{
    (void)state;
    struct kit *kit = kit_create();
    kit_container(kit, false, "cpu=5 cpu=2 memory=1 memory=9");
    kit_decode(kit);
    assert_int_equal(amount(kit, "cpu"), 2000);
    assert_int_equal(amount(kit, "memory"), 9);
    kit_destroy(kit);
}

static void test_pod_requests__absent_value__is_zero(void **state)
{
    (void)state;
    struct kit *kit = kit_create();
    kit_container(kit, false, "cpu=5 memory=1");
    kit->entries[0].value = NULL;
    kit->quantities[1].string = NULL;
    kit_decode(kit);
    assert_clean(kit);
    assert_int_equal(kit->out.request_count, 0);
    kit_destroy(kit);
}

/* --- what scores assume -------------------------------------------------------------------- */

#define MEMORY_ASSUMED (INT64_C(200) << 20)

static void check_padding(struct kit *kit, int64_t cpu, int64_t memory)
{
    kit_decode(kit);
    assert_clean(kit);
    assert_int_equal(kit->out.cpu_padding, cpu);
    assert_int_equal(kit->out.memory_padding, memory);
    kit_destroy(kit);
}

static void test_pod_padding__containers_without_requests__100m_and_200_mib_each(void **state)
{
    (void)state;
    struct kit *kit = kit_create();
    kit_container(kit, false, "");
    check_padding(kit, 100, MEMORY_ASSUMED);
    kit = kit_create();
    kit_container(kit, false, "cpu=1 memory=1");
    check_padding(kit, 0, 0);
    kit = kit_create();
    kit_container(kit, false, "cpu=1");
    kit_container(kit, false, "memory=1");
    kit_container(kit, false, "example.com/x=1");
    check_padding(kit, 200, 2 * MEMORY_ASSUMED);
    kit = kit_create();
    kit_container(kit, false, "cpu=0 memory=0"); /* asked for */
    check_padding(kit, 0, 0);
}

static void test_pod_padding__init_containers__what_the_sum_becomes_by_them(void **state)
{
    (void)state;
    struct kit *kit = kit_create();
    kit_container(kit, false, "cpu=1 memory=1Gi");
    kit_container(kit, true, ""); /* less than the containers ask for */
    check_padding(kit, 0, 0);
    kit = kit_create();
    kit_container(kit, false, "cpu=30m memory=50Mi");
    kit_container(kit, true, "");
    check_padding(kit, 70, INT64_C(150) << 20);
    kit = kit_create();
    kit_container(kit, false, "cpu=1 memory=1Gi");
    kit_sidecar(kit, "");
    kit_container(kit, true, "cpu=950m memory=1"); /* beside the sidecar: 1050m, below 1100m */
    check_padding(kit, 100, MEMORY_ASSUMED);
    kit = kit_create();
    kit_container(kit, false, "");
    kit_container(kit, true, "cpu=2 memory=1Gi"); /* more than what is assumed */
    check_padding(kit, 0, 0);
}

static void test_pod_padding__pod_level__takes_its_place(void **state)
{
    (void)state;
    struct kit *kit = kit_create();
    kit_container(kit, false, "");
    kit_pod_level(kit, "cpu=1");
    check_padding(kit, 0, MEMORY_ASSUMED);
}

/* --- placed pods --------------------------------------------------------------------------- */

static void test_pod_requests__placed__largest_of_spec_allocated_actual(void **state)
{
    (void)state;
    struct kit *kit = kit_create();
    kit->spec.nodename = FIXTURE_TEXT("n1");
    kit_container(kit, false, "cpu=1 memory=30");
    kit_container(kit, false, "cpu=1 memory=1");
    kit_status(kit, false, "a1", "cpu=2 memory=2", "cpu=4 memory=1"); /* not in spec order */
    kit_status(kit, false, "a0", "cpu=2 memory=20", NULL);
    kit_decode(kit);
    assert_clean(kit);
    /* spec 2 and 31; allocated 4 and 22; actual (a0 falls back to allocated) 6 and 21 */
    assert_int_equal(amount(kit, "cpu"), 6000);
    assert_int_equal(amount(kit, "memory"), 31);
    kit_destroy(kit);
}

static void test_pod_requests__not_placed__statuses_do_not_count(void **state)
{
    (void)state;
    struct kit *kit = kit_create();
    kit_container(kit, false, "cpu=1");
    kit_status(kit, false, "a0", "cpu=9", "cpu=9");
    kit_decode(kit);
    assert_int_equal(amount(kit, "cpu"), 1000);
    kit_destroy(kit);
}

static void test_pod_requests__resize_infeasible__spec_does_not_count(void **state)
{
    (void)state;
    struct kit *kit = kit_create();
    Kube__PodCondition condition = KUBE__POD_CONDITION__INIT;
    Kube__PodCondition *conditions[1] = {&condition};
    kit->spec.nodename = FIXTURE_TEXT("n1");
    kit_container(kit, false, "cpu=100");
    kit_container(kit, false, "cpu=3"); /* without a status: nothing else to go by */
    kit_status(kit, false, "a0", "cpu=2", "cpu=1");
    condition.type = FIXTURE_TEXT("PodResizePending");
    condition.reason = FIXTURE_TEXT("Infeasible");
    kit->status.n_conditions = 1;
    kit->status.conditions = conditions;
    kit_decode(kit);
    assert_int_equal(amount(kit, "cpu"), 5000);
    condition.reason = FIXTURE_TEXT("Deferred");
    kit_decode(kit);
    assert_int_equal(amount(kit, "cpu"), 103000);
    kit_destroy(kit);
}

static void test_pod_decode__pod_scheduled__report_is_what_false_says(void **state)
{
    (void)state;
    struct kit *kit = kit_create();
    Kube__PodCondition condition = KUBE__POD_CONDITION__INIT;
    Kube__PodCondition *conditions[1] = {&condition};
    kit_decode(kit);
    assert_true(kit->out.report == 0);
    kit->status.n_conditions = 1;
    kit->status.conditions = conditions;
    condition.type = FIXTURE_TEXT("PodScheduled");
    condition.status = FIXTURE_TEXT("False");
    condition.reason = FIXTURE_TEXT("Unschedulable");
    condition.message = FIXTURE_TEXT("no room");
    kit_decode(kit);
    uint64_t digest = mu_pod_report_digest(MU_STR("Unschedulable"), MU_STR("no room"));
    assert_true(kit->out.report == digest && digest != 0);
    condition.message = FIXTURE_TEXT("no rooms");
    kit_decode(kit);
    assert_true(kit->out.report != digest && kit->out.report != 0);
    condition.message = NULL; /* the server's own, of a gated pod */
    condition.reason = FIXTURE_TEXT("SchedulingGated");
    kit_decode(kit);
    assert_true(kit->out.report == mu_pod_report_digest(MU_STR("SchedulingGated"), MU_STR("")));
    condition.status = FIXTURE_TEXT("True");
    kit_decode(kit);
    assert_true(kit->out.report == 0);
    condition.status = NULL;
    kit_decode(kit);
    assert_true(kit->out.report == 0);
    kit_destroy(kit);
}

static void test_pod_requests__containers_without_names__no_status_matches(void **state)
{
    (void)state;
    struct kit *kit = kit_create();
    kit->spec.nodename = FIXTURE_TEXT("n1");
    kit_container(kit, false, "cpu=1")->name = NULL;
    kit_status(kit, false, "a0", NULL, "cpu=3");
    kit_decode(kit);
    assert_int_equal(amount(kit, "cpu"), 1000);
    kit->statuses[0][0].name = NULL;
    kit_decode(kit);
    assert_int_equal(amount(kit, "cpu"), 1000);
    kit_destroy(kit);
}

static void test_pod_requests__placed_sidecar__its_status_counts(void **state)
{
    (void)state;
    struct kit *kit = kit_create();
    kit->spec.nodename = FIXTURE_TEXT("n1");
    kit_container(kit, false, "cpu=1");
    kit_sidecar(kit, "cpu=1");
    kit_status(kit, true, "i0", NULL, "cpu=3");
    kit_decode(kit);
    assert_int_equal(amount(kit, "cpu"), 4000);
    kit_destroy(kit);
}

static void test_pod_requests__placed_pod_level__its_status_counts(void **state)
{
    (void)state;
    struct kit *kit = kit_create();
    kit->spec.nodename = FIXTURE_TEXT("n1");
    kit_container(kit, false, "cpu=1");
    kit_pod_level(kit, "cpu=2 memory=5");
    kit->status.n_allocatedresources = kit_map(kit, "cpu=3", &kit->status.allocatedresources);
    kit_decode(kit);
    assert_int_equal(amount(kit, "cpu"), 3000);
    assert_int_equal(amount(kit, "memory"), 5);
    kit->pod_actual.n_requests = kit_map(kit, "cpu=7", &kit->pod_actual.requests);
    kit->status.resources = &kit->pod_actual;
    kit_decode(kit);
    assert_int_equal(amount(kit, "cpu"), 7000);
    kit_destroy(kit);
}

/* --- absurd quantities --------------------------------------------------------------------- */

static void test_pod_requests__absurd_quantity__marked_and_named(void **state)
{
    (void)state;
    const struct {
        const char *request, *expected;
        int64_t charged;
    } cases[] = {
        {"cpu=abc", "quantity such as", 0},
        {"cpu=-1", "no negative", 0},
        {"cpu=1e30", "below 2^63", MU_AMOUNT_MAX},
        {"cpu=9223372036854775807", "below 2^63", MU_AMOUNT_MAX},
        {"cpu=16Ei", "below 2^63", MU_AMOUNT_MAX},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct kit *kit = kit_create();
        kit_container(kit, false, cases[i].request);
        kit_container(kit, false, "memory=64");
        kit_decode(kit);
        assert_int_equal(kit->out.unbuilt, MU_RULE_REQUEST);
        assert_non_null(strstr(kit->warn.text, "pod ns/p: spec.containers"));
        assert_non_null(strstr(kit->warn.text, "[cpu]"));
        assert_non_null(strstr(kit->warn.text, cases[i].expected));
        assert_int_equal(amount(kit, "cpu"), cases[i].charged);
        assert_int_equal(amount(kit, "memory"), 64);
        kit_destroy(kit);
    }
}

static void test_pod_requests__sum_saturates__marked(void **state)
{
    (void)state;
    struct kit *kit = kit_create();
    kit_container(kit, false, "memory=9223372036854775806");
    kit_container(kit, false, "memory=2");
    kit_decode(kit);
    assert_int_equal(kit->out.unbuilt, MU_RULE_REQUEST);
    assert_true(amount(kit, "memory") == MU_AMOUNT_MAX);
    kit_destroy(kit);
}

static void test_pod_requests__more_resources_than_the_bound__marked(void **state)
{
    (void)state;
    struct kit *kit = kit_create();
    char text[2048] = "";
    for (uint32_t i = 0; i < MU_RESOURCES_MAX + 1; i++) {
        size_t len = strlen(text);
        (void)snprintf(text + len, sizeof text - len, "e.com/r%u=1 ", i);
    }
    kit_container(kit, false, text);
    kit_decode(kit);
    assert_int_equal(kit->out.unbuilt, MU_RULE_REQUEST);
    assert_int_equal(kit->out.request_count, MU_RESOURCES_MAX);
    assert_non_null(strstr(kit->warn.text, "too many resources"));
    kit_destroy(kit);
}

/* --- the rest of the object ---------------------------------------------------------------- */

static void test_pod_decode__plain_fields__translated(void **state)
{
    (void)state;
    struct kit *kit = kit_create();
    Kube__Time created = KUBE__TIME__INIT;
    Kube__Time deleted = KUBE__TIME__INIT;
    Kube__OwnerReference owner = KUBE__OWNER_REFERENCE__INIT;
    Kube__OwnerReference *owners[1] = {&owner};
    Kube__PodSchedulingGate gate = KUBE__POD_SCHEDULING_GATE__INIT;
    Kube__PodSchedulingGate *gates[1] = {&gate};
    kit_decode(kit);
    assert_clean(kit);
    assert_true(mu_str_equal(kit->out.ns, MU_STR("ns")));
    assert_true(mu_str_equal(kit->out.name, MU_STR("p")));
    assert_true(mu_str_equal(kit->out.uid, MU_STR("u")));
    assert_int_equal(kit->out.version, 5);
    assert_int_equal(kit->out.created_s, 0);
    assert_int_equal(kit->out.node_name.len, 0);
    assert_int_equal(kit->out.phase, MU_POD_PENDING);
    assert_false(kit->out.terminating || kit->out.gated || kit->out.controlled);
    assert_int_equal(kit->out.gang.source, MU_GANG_SOLO);
    created.has_seconds = true;
    created.seconds = 1700000000;
    kit->meta.creationtimestamp = &created;
    kit->meta.deletiontimestamp = &deleted;
    kit->meta.n_ownerreferences = 1;
    kit->meta.ownerreferences = owners;
    kit->spec.n_schedulinggates = 1;
    kit->spec.schedulinggates = gates;
    kit->spec.has_priority = true;
    kit->spec.priority = -7;
    kit->spec.schedulername = FIXTURE_TEXT("muster");
    kit->spec.nodename = FIXTURE_TEXT("n1");
    kit_decode(kit);
    assert_int_equal(kit->out.created_s, 1700000000);
    assert_true(kit->out.terminating && kit->out.gated);
    assert_false(kit->out.controlled); /* owned, but by no controller */
    assert_int_equal(kit->out.priority, -7);
    assert_true(mu_str_equal(kit->out.scheduler_name, MU_STR("muster")));
    assert_true(mu_str_equal(kit->out.node_name, MU_STR("n1")));
    owner.has_controller = true;
    owner.controller = true;
    created.seconds = -62135596800; /* the zero time */
    kit_decode(kit);
    assert_true(kit->out.controlled);
    assert_int_equal(kit->out.created_s, 0);
    kit_destroy(kit);
}

static void test_pod_decode__preemption__translated(void **state)
{
    (void)state;
    struct kit *kit = kit_create();
    Kube__Time started = KUBE__TIME__INIT;
    kit_decode(kit);
    assert_false(kit->out.never_preempts);
    assert_int_equal(kit->out.started_s, 0);
    kit->spec.preemptionpolicy = FIXTURE_TEXT("PreemptLowerPriority");
    started.has_seconds = true;
    started.seconds = 1700000009;
    kit->status.starttime = &started;
    kit_decode(kit);
    assert_false(kit->out.never_preempts);
    assert_int_equal(kit->out.started_s, 1700000009);
    kit->spec.preemptionpolicy = FIXTURE_TEXT("Never");
    started.seconds = -1;
    kit_decode(kit);
    assert_clean(kit);
    assert_true(kit->out.never_preempts);
    assert_int_equal(kit->out.started_s, 0);
    kit->pod.status = NULL;
    kit_decode(kit);
    assert_int_equal(kit->out.started_s, 0);
    kit_destroy(kit);
}

static void test_pod_decode__phases__translated(void **state)
{
    (void)state;
    const struct {
        const char *text;
        enum mu_pod_phase phase;
    } cases[] = {{NULL, MU_POD_PENDING},          {"", MU_POD_PENDING},
                 {"Pending", MU_POD_PENDING},     {"Running", MU_POD_RUNNING},
                 {"Succeeded", MU_POD_SUCCEEDED}, {"Failed", MU_POD_FAILED},
                 {"Unknown", MU_POD_UNKNOWN},     {"running", MU_POD_UNKNOWN}};
    struct kit *kit = kit_create();
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        kit->status.phase = FIXTURE_TEXT(cases[i].text);
        kit_decode(kit);
        assert_int_equal(kit->out.phase, cases[i].phase);
    }
    kit->pod.status = NULL;
    kit->pod.spec = NULL; /* a pod without either is still an object */
    kit_decode(kit);
    assert_int_equal(kit->out.phase, MU_POD_PENDING);
    kit_destroy(kit);
}

static void test_pod_decode__identity_missing_or_too_long__error_names_it(void **state)
{
    (void)state;
    char longest[MU_NAME_BYTES_MAX + 2];
    memset(longest, 'n', sizeof longest);
    longest[MU_NAME_BYTES_MAX + 1] = '\0';
    struct kit *kit = kit_create();
    struct {
        char **field;
        const char *value;
        int rc;
        const char *named;
    } cases[] = {{&kit->meta.name, NULL, MU_EPROTO, "metadata"},
                 {&kit->meta.uid, NULL, MU_EPROTO, "uid"},
                 {&kit->meta.uid, "", MU_EPROTO, "uid"},
                 {&kit->meta.namespace_, NULL, MU_EPROTO, "metadata.namespace"},
                 {&kit->meta.resourceversion, "12a", MU_EPROTO, "metadata.resourceVersion"},
                 {&kit->meta.resourceversion, "-1", MU_EPROTO, "metadata.resourceVersion"},
                 {&kit->meta.name, longest, MU_ELIMIT, "metadata"},
                 {&kit->meta.namespace_, longest, MU_ELIMIT, "metadata"},
                 {&kit->meta.uid, longest, MU_ELIMIT, "metadata"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char *kept = *cases[i].field;
        *cases[i].field = FIXTURE_TEXT(cases[i].value);
        assert_int_equal(kit_try(kit), cases[i].rc);
        assert_non_null(strstr(kit->error.text, "pod"));
        assert_non_null(strstr(kit->error.text, cases[i].named));
        *cases[i].field = kept;
    }
    kit->pod.metadata = NULL;
    assert_int_equal(kit_try(kit), MU_EPROTO);
    kit_destroy(kit);
}

/* A pod that has some of everything. */
static struct kit *rich_kit(void)
{
    struct kit *kit = kit_create();
    kit->spec.nodename = FIXTURE_TEXT("n1");
    kit_container(kit, false, "cpu=1 memory=1Gi nvidia.com/gpu=1");
    kit_sidecar(kit, "cpu=100m");
    kit_status(kit, false, "a0", "cpu=1", "cpu=2");
    kit_pod_level(kit, "memory=2Gi");
    return kit;
}

static void test_pod_decode__cut_anywhere__error_or_a_pod(void **state)
{
    (void)state;
    struct kit *kit = rich_kit();
    kit_decode(kit);
    uint32_t errors = 0;
    for (uint32_t len = 0; len < kit->raw.len; len++) {
        char *copy = mu_mem_alloc(len > 0 ? len : 1);
        memcpy(copy, kit->raw.data, len);
        mu_arena_reset(kit->arena);
        int rc = mu_pod_decode((struct mu_str){copy, len}, kit->arena, &kit->out, &kit->warn,
                               &kit->error);
        assert_true(rc == 0 || rc == MU_EPROTO);
        errors += rc != 0;
        mu_mem_free(copy);
    }
    assert_true(errors > kit->raw.len - 4); /* all but the cuts between top-level fields */
    kit_destroy(kit);
}

static void test_pod_decode__arena_too_small__enomem(void **state)
{
    (void)state;
    struct kit *kit = rich_kit();
    kit_decode(kit);
    size_t used = mu_arena_used_bytes(kit->arena);
    for (size_t bytes = 16; bytes < used; bytes += 16) {
        struct mu_arena *small = mu_arena_create(bytes);
        int rc = mu_pod_decode(fixture_str(&kit->raw), small, &kit->out, NULL, &kit->error);
        assert_int_equal(rc, MU_ENOMEM);
        mu_arena_destroy(small);
    }
    kit_destroy(kit);
}

static void test_pod_decode__unfolds_beyond_the_bound__elimit(void **state)
{
    (void)state;
    struct kit *kit = kit_create();
    struct mu_arena *arena = mu_arena_create(MU_DECODE_ARENA_BYTES);
    uint32_t volumes = 2u << 20; /* empty ones: 2 bytes each on the wire */
    char *spec = mu_mem_alloc(volumes * 2);
    assert_non_null(spec);
    for (uint32_t i = 0; i < volumes; i++)
        memcpy(spec + 2 * i, "\x0a\x00", 2);
    kit->meta.uid = FIXTURE_TEXT("u");
    kit->pod.spec = NULL;
    kit->pod.status = NULL;
    fixture_pack(&kit->raw, &kit->pod);
    const uint8_t head[] = {0x12, 0x80, 0x80, 0x80, 0x02}; /* spec, 4 MiB */
    assert_int_equal(mu_buf_append(&kit->raw, head, sizeof head), 0);
    assert_int_equal(mu_buf_append(&kit->raw, spec, volumes * 2), 0);
    int rc = mu_pod_decode(fixture_str(&kit->raw), arena, &kit->out, NULL, &kit->error);
    assert_int_equal(rc, MU_ELIMIT);
    assert_non_null(strstr(kit->error.text, "unfold"));
    mu_mem_free(spec);
    mu_arena_destroy(arena);
    kit_destroy(kit);
}

static void test_pod_decode__larger_than_an_object__refused_unread(void **state)
{
    (void)state;
    struct kit *kit = kit_create();
    struct mu_str raw = {"x", MU_OBJECT_BYTES_MAX + 1};
    assert_int_equal(mu_pod_decode(raw, kit->arena, &kit->out, NULL, &kit->error), MU_ELIMIT);
    assert_int_equal(mu_arena_used_bytes(kit->arena), 0);
    kit_destroy(kit);
}

static void test_pod_decode__names_too_long__cut_and_marked(void **state)
{
    (void)state;
    char longest[MU_NAME_BYTES_MAX + 2];
    memset(longest, 'n', sizeof longest);
    longest[MU_NAME_BYTES_MAX + 1] = '\0';
    struct kit *kit = kit_create();
    kit_container(kit, false, "cpu=1");
    kit->spec.schedulername = longest;
    kit_decode(kit);
    assert_int_equal(kit->out.unbuilt, MU_RULE_OVERSIZED);
    assert_int_equal(kit->out.scheduler_name.len, MU_NAME_BYTES_MAX);
    assert_non_null(strstr(kit->warn.text, "pod ns/p: spec.schedulerName"));
    kit->spec.schedulername = NULL;
    kit->spec.nodename = longest;
    kit_decode(kit);
    assert_int_equal(kit->out.unbuilt, MU_RULE_OVERSIZED);
    assert_int_equal(kit->out.node_name.len, MU_NAME_BYTES_MAX); /* bound it is, and charged */
    assert_int_equal(amount(kit, "cpu"), 1000);
    assert_non_null(strstr(kit->warn.text, "spec.nodeName"));
    longest[MU_NAME_BYTES_MAX] = '\0';
    kit_decode(kit);
    assert_clean(kit);
    assert_int_equal(kit->out.node_name.len, MU_NAME_BYTES_MAX);
    kit->spec.nodename = NULL;
    kit_destroy(kit);
}

static void test_pod_requests__resource_name_too_long__rest_charged(void **state)
{
    (void)state;
    char name[MU_RESOURCE_NAME_BYTES_MAX + 2] = "hugepages-";
    struct kit *kit = kit_create();
    kit_container(kit, false, "cpu=1 long=2 memory=3");
    memset(name + 10, '1', sizeof name - 11);
    kit->entries[1].key = name;
    kit_decode(kit);
    assert_int_equal(kit->out.unbuilt, MU_RULE_REQUEST);
    assert_non_null(strstr(kit->warn.text, "expected a name"));
    assert_int_equal(kit->out.request_count, 2);
    assert_int_equal(amount(kit, "cpu"), 1000);
    assert_int_equal(amount(kit, "memory"), 3);
    name[MU_RESOURCE_NAME_BYTES_MAX] = '\0';
    kit_decode(kit);
    assert_clean(kit);
    assert_int_equal(amount(kit, name), 2);
    kit_destroy(kit);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pod_requests__app_containers__summed),
        cmocka_unit_test(test_pod_requests__resource_name_too_long__rest_charged),
        cmocka_unit_test(test_pod_decode__names_too_long__cut_and_marked),
        cmocka_unit_test(test_pod_requests__init_containers__their_peak_counts),
        cmocka_unit_test(test_pod_requests__sidecars__run_beside_what_follows),
        cmocka_unit_test(test_pod_requests__pod_level__replaces_what_may_be_set_there),
        cmocka_unit_test(test_pod_requests__overhead__added_last),
        cmocka_unit_test(test_pod_requests__fractions__rounded_up_once_per_quantity),
        cmocka_unit_test(test_pod_requests__names_a_scheduler_ignores__left_out),
        cmocka_unit_test(test_pod_requests__duplicate_in_one_map__the_later_wins),
        cmocka_unit_test(test_pod_requests__absent_value__is_zero),
        cmocka_unit_test(test_pod_padding__containers_without_requests__100m_and_200_mib_each),
        cmocka_unit_test(test_pod_padding__init_containers__what_the_sum_becomes_by_them),
        cmocka_unit_test(test_pod_padding__pod_level__takes_its_place),
        cmocka_unit_test(test_pod_requests__placed__largest_of_spec_allocated_actual),
        cmocka_unit_test(test_pod_requests__not_placed__statuses_do_not_count),
        cmocka_unit_test(test_pod_requests__resize_infeasible__spec_does_not_count),
        cmocka_unit_test(test_pod_decode__pod_scheduled__report_is_what_false_says),
        cmocka_unit_test(test_pod_requests__containers_without_names__no_status_matches),
        cmocka_unit_test(test_pod_requests__placed_sidecar__its_status_counts),
        cmocka_unit_test(test_pod_requests__placed_pod_level__its_status_counts),
        cmocka_unit_test(test_pod_requests__absurd_quantity__marked_and_named),
        cmocka_unit_test(test_pod_requests__sum_saturates__marked),
        cmocka_unit_test(test_pod_requests__more_resources_than_the_bound__marked),
        cmocka_unit_test(test_pod_decode__plain_fields__translated),
        cmocka_unit_test(test_pod_decode__preemption__translated),
        cmocka_unit_test(test_pod_decode__phases__translated),
        cmocka_unit_test(test_pod_decode__identity_missing_or_too_long__error_names_it),
        cmocka_unit_test(test_pod_decode__cut_anywhere__error_or_a_pod),
        cmocka_unit_test(test_pod_decode__arena_too_small__enomem),
        cmocka_unit_test(test_pod_decode__unfolds_beyond_the_bound__elimit),
        cmocka_unit_test(test_pod_decode__larger_than_an_object__refused_unread),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
