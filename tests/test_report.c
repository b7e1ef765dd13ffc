/*
 * tools/report: hand-made states of a cluster, right and wrong; every kind of violation must be
 * counted, and nothing that is none.
 */
#include "tests/mu_test.h"

#include <jansson.h>
#include "engine/base/clock.h"
#include "informer/dialect.h"
#include "informer/proto/core.pb-c.h"
#include "tests/kube_fixture.h"
#include "tools/report/dump.h"
#include "tools/report/report.h"

struct test_node {
    const char *name;
    const char *cpu; /* allocatable */
    const char *pods;
    const char *label; /* value of "zone"; NULL: none */
    const char *taint; /* key of a NoSchedule taint; NULL: none */
    bool unschedulable;
};
struct test_pod {
    const char *name;
    const char *node; /* NULL: unbound */
    const char *cpu;
    const char *gang; /* NULL: none */
    const char *size; /* NULL: the plain dialect, without a size */
    const char *phase;
    const char *zone;      /* node selector; NULL: none */
    const char *tolerated; /* taint key; NULL: none */
    const char *resource;  /* what `cpu` is of instead; NULL: cpu */
    int32_t priority;
    bool gated, deleting, claim;
};

#define TEXT(text) FIXTURE_TEXT(text)

static struct mu_buf pack(const ProtobufCMessage *message)
{
    struct mu_buf raw = {0};
    fixture_pack(&raw, message);
    return raw;
}

static struct mu_buf node_bytes(const struct test_node *n)
{
    Kube__ObjectMeta metadata = KUBE__OBJECT_META__INIT;
    Kube__StringEntry label = KUBE__STRING_ENTRY__INIT, *labels[] = {&label};
    label.key = "zone", label.value = TEXT(n->label);
    metadata.name = TEXT(n->name), metadata.resourceversion = "1", metadata.uid = TEXT(n->name);
    metadata.labels = labels, metadata.n_labels = n->label != NULL;
    Kube__Taint taint = KUBE__TAINT__INIT, *taints[] = {&taint};
    taint.key = TEXT(n->taint), taint.effect = "NoSchedule";
    Kube__NodeSpec spec = KUBE__NODE_SPEC__INIT;
    spec.taints = taints, spec.n_taints = n->taint != NULL;
    spec.has_unschedulable = spec.unschedulable = n->unschedulable;
    Kube__Quantity cpu = KUBE__QUANTITY__INIT, pods = KUBE__QUANTITY__INIT;
    cpu.string = TEXT(n->cpu), pods.string = TEXT(n->pods != NULL ? n->pods : "110");
    Kube__QuantityEntry cpu_entry = KUBE__QUANTITY_ENTRY__INIT;
    Kube__QuantityEntry pods_entry = KUBE__QUANTITY_ENTRY__INIT;
    cpu_entry.key = "cpu", cpu_entry.value = &cpu;
    pods_entry.key = "pods", pods_entry.value = &pods;
    Kube__QuantityEntry *amounts[] = {&cpu_entry, &pods_entry};
    Kube__NodeStatus status = KUBE__NODE_STATUS__INIT;
    status.allocatable = amounts, status.n_allocatable = 2;
    Kube__Node node = KUBE__NODE__INIT;
    node.metadata = &metadata, node.spec = &spec, node.status = &status;
    return pack(&node.base);
}

static void fill_pod_meta(const struct test_pod *p, Kube__ObjectMeta *metadata,
                          Kube__StringEntry **annotations, Kube__Time *deleted)
{
    metadata->name = TEXT(p->name), metadata->namespace_ = "default";
    metadata->uid = TEXT(p->name), metadata->resourceversion = "1";
    annotations[0]->key = p->size != NULL ? MU_GANG_ANNOTATION : "pod-group";
    annotations[0]->value = TEXT(p->gang);
    annotations[1]->key = MU_GANG_SIZE_ANNOTATION;
    annotations[1]->value = TEXT(p->size);
    metadata->annotations = annotations;
    metadata->n_annotations = p->gang == NULL ? 0 : p->size == NULL ? 1 : 2;
    deleted->has_seconds = 1, deleted->seconds = 1700000000;
    metadata->deletiontimestamp = p->deleting ? deleted : NULL;
}

static struct mu_buf pod_bytes(const struct test_pod *p)
{
    Kube__ObjectMeta metadata = KUBE__OBJECT_META__INIT;
    Kube__StringEntry name = KUBE__STRING_ENTRY__INIT, size = KUBE__STRING_ENTRY__INIT;
    Kube__StringEntry *annotations[] = {&name, &size};
    Kube__Time deleted = KUBE__TIME__INIT;
    fill_pod_meta(p, &metadata, annotations, &deleted);
    Kube__Quantity cpu = KUBE__QUANTITY__INIT;
    cpu.string = TEXT(p->cpu);
    Kube__QuantityEntry request = KUBE__QUANTITY_ENTRY__INIT, *requests[] = {&request};
    request.key = TEXT(p->resource != NULL ? p->resource : "cpu"), request.value = &cpu;
    Kube__ResourceRequirements resources = KUBE__RESOURCE_REQUIREMENTS__INIT;
    resources.requests = requests, resources.n_requests = p->cpu != NULL;
    Kube__Container container = KUBE__CONTAINER__INIT, *containers[] = {&container};
    container.name = "main", container.resources = &resources;
    Kube__StringEntry zone = KUBE__STRING_ENTRY__INIT, *selector[] = {&zone};
    zone.key = "zone", zone.value = TEXT(p->zone);
    Kube__Toleration toleration = KUBE__TOLERATION__INIT, *tolerations[] = {&toleration};
    toleration.key = TEXT(p->tolerated), toleration.operator_ = "Exists";
    Kube__PodSchedulingGate gate = KUBE__POD_SCHEDULING_GATE__INIT, *gates[] = {&gate};
    gate.name = "gate";
    Kube__PersistentVolumeClaimVolumeSource claim =
        KUBE__PERSISTENT_VOLUME_CLAIM_VOLUME_SOURCE__INIT;
    Kube__VolumeSource source = KUBE__VOLUME_SOURCE__INIT;
    source.persistentvolumeclaim = &claim;
    Kube__Volume volume = KUBE__VOLUME__INIT, *volumes[] = {&volume};
    volume.volumesource = &source;
    Kube__PodSpec spec = KUBE__POD_SPEC__INIT;
    spec.containers = containers, spec.n_containers = 1;
    spec.nodename = TEXT(p->node);
    spec.nodeselector = selector, spec.n_nodeselector = p->zone != NULL;
    spec.tolerations = tolerations, spec.n_tolerations = p->tolerated != NULL;
    spec.schedulinggates = gates, spec.n_schedulinggates = p->gated;
    spec.volumes = volumes, spec.n_volumes = p->claim;
    spec.has_priority = 1, spec.priority = p->priority;
    Kube__PodStatus status = KUBE__POD_STATUS__INIT;
    status.phase = TEXT(p->phase != NULL ? p->phase : "Pending");
    Kube__Pod pod = KUBE__POD__INIT;
    pod.metadata = &metadata, pod.spec = &spec, pod.status = &status;
    return pack(&pod.base);
}

static struct mu_report_result compute(const struct test_node *nodes, size_t node_count,
                                       const struct test_pod *pods, size_t pod_count)
{
    struct mu_report *report = mu_report_create();
    struct mu_error error = {0};
    for (size_t i = 0; i < node_count; i++) {
        struct mu_buf raw = node_bytes(&nodes[i]);
        assert_int_equal(mu_report_add_node(report, fixture_str(&raw), &error), 0);
        mu_buf_fini(&raw);
    }
    for (size_t i = 0; i < pod_count; i++) {
        struct mu_buf raw = pod_bytes(&pods[i]);
        assert_int_equal(mu_report_add_pod(report, fixture_str(&raw), &error), 0);
        mu_buf_fini(&raw);
    }
    struct mu_report_result result;
    assert_int_equal(mu_report_compute(report, &result, &error), 0);
    for (uint32_t i = 0; i < result.usage_count; i++)
        result.usage[i].resource = (struct mu_str){NULL, 0}; /* goes with the report */
    mu_report_destroy(report);
    return result;
}
#define COMPUTE(nodes, pods)                                                                       \
    compute((nodes), sizeof(nodes) / sizeof(nodes)[0], (pods), sizeof(pods) / sizeof(pods)[0])

static uint64_t reason_pods(const struct mu_report_result *r, const char *text)
{
    for (uint32_t i = 0; i < r->reason_count; i++)
        if (strcmp(r->reasons[i].text, text) == 0)
            return r->reasons[i].pods;
    return 0;
}

static void test_report_compute__all_well__counts_and_no_violation(void **state)
{
    (void)state;
    const struct test_node nodes[] = {{.name = "b", .cpu = "4"}, {.name = "a", .cpu = "2"}};
    const struct test_pod pods[] = {
        {.name = "s", .node = "a", .cpu = "2"},
        {.name = "g-0", .node = "b", .cpu = "2", .gang = "g", .size = "2"},
        {.name = "g-1", .node = "b", .cpu = "2", .gang = "g", .size = "2"},
        {.name = "one", .node = "b", .gang = "alone", .size = "1"},      /* a gang of one: none */
        {.name = "done", .node = "a", .cpu = "2", .phase = "Succeeded"}, /* holds no room */
        {.name = "lost", .cpu = "2", .phase = "Failed"},                 /* neither */
        {.name = "refused", .node = "a", .cpu = "9", .phase = "Failed"}, /* was bound; no room */
    };
    struct mu_report_result r = COMPUTE(nodes, pods);
    assert_int_equal(r.nodes, 2);
    assert_int_equal(r.pods, 7);
    assert_int_equal(r.gangs, 1);
    assert_int_equal(r.bound, 6);
    assert_int_equal(r.finished, 2);
    assert_int_equal(r.failed, 1);
    assert_int_equal(r.pending, 0);
    assert_int_equal(r.partial_gangs, 0);
    assert_int_equal(r.overcommitted_nodes, 0);
    assert_int_equal(r.pending_that_fit, 0);
    assert_int_equal(r.stray_pods, 0);
    assert_int_equal(r.reason_count, 0);
    assert_int_equal(r.usage[0].allocatable, 6000);
    assert_int_equal(r.usage[0].requested, 6000);
}

static void test_report_compute__partial_gang__is_counted(void **state)
{
    (void)state;
    const struct test_node nodes[] = {{.name = "a", .cpu = "1"}};
    const struct test_pod pods[] = {
        {.name = "x-0", .node = "a", .cpu = "1", .gang = "x", .size = "3"},
        {.name = "x-1", .cpu = "1", .gang = "x", .size = "3"},
        {.name = "x-2", .cpu = "1", .gang = "x", .size = "3"},
        {.name = "p-0", .node = "a", .gang = "p"}, /* plain: two members, one bound */
        {.name = "p-1", .cpu = "9", .gang = "p"},
        {.name = "q-0", .cpu = "9", .gang = "q", .size = "2"}, /* none bound: not partial */
        {.name = "q-1", .cpu = "9", .gang = "q", .size = "2"},
    };
    struct mu_report_result r = COMPUTE(nodes, pods);
    assert_int_equal(r.gangs, 3);
    assert_int_equal(r.partial_gangs, 2);
    assert_int_equal(r.overcommitted_nodes, 0);
    assert_int_equal(r.pending, 5);
}

static void test_report_compute__surplus_waits__is_not_partial(void **state)
{
    (void)state;
    const struct test_node nodes[] = {{.name = "a", .cpu = "2"}};
    const struct test_pod pods[] = {
        {.name = "x-0", .node = "a", .cpu = "1", .gang = "x", .size = "2"},
        {.name = "x-1", .node = "a", .cpu = "1", .gang = "x", .size = "2"},
        {.name = "x-2", .cpu = "1", .gang = "x", .size = "2"},
    };
    struct mu_report_result r = COMPUTE(nodes, pods);
    assert_int_equal(r.partial_gangs, 0);
    assert_int_equal(reason_pods(&r, "no room: insufficient cpu"), 1);
}

static void test_report_compute__overcommit__is_counted_per_node(void **state)
{
    (void)state;
    const struct test_node nodes[] = {
        {.name = "cpu", .cpu = "1"},
        {.name = "slots", .cpu = "9", .pods = "1"},
        {.name = "full", .cpu = "1", .pods = "1"},
    };
    const struct test_pod pods[] = {
        {.name = "c-0", .node = "cpu", .cpu = "600m"},
        {.name = "c-1", .node = "cpu", .cpu = "401m", .deleting = true}, /* still holds room */
        {.name = "s-0", .node = "slots"},
        {.name = "s-1", .node = "slots"},
        {.name = "f-0", .node = "full", .cpu = "1"},
        {.name = "gone", .node = "nowhere", .cpu = "1"},
    };
    struct mu_report_result r = COMPUTE(nodes, pods);
    assert_int_equal(r.overcommitted_nodes, 2);
    assert_int_equal(r.stray_pods, 1);
    assert_int_equal(r.bound, 6);
}

/* Room for one of the two gangs only; a single pod fits beside it. */
static void test_report_compute__what_fits_together__is_counted(void **state)
{
    (void)state;
    const struct test_node nodes[] = {{.name = "a", .cpu = "3"}, {.name = "b", .cpu = "2"}};
    const struct test_pod pods[] = {
        {.name = "g-0", .cpu = "2", .gang = "g", .size = "2", .priority = 1},
        {.name = "g-1", .cpu = "2", .gang = "g", .size = "2", .priority = 1},
        {.name = "h-0", .cpu = "2", .gang = "h", .size = "2"},
        {.name = "h-1", .cpu = "2", .gang = "h", .size = "2"},
        {.name = "s", .cpu = "1"},
        {.name = "t", .cpu = "1"},
    };
    struct mu_report_result r = COMPUTE(nodes, pods);
    assert_int_equal(r.pending, 6);
    assert_int_equal(r.pending_that_fit, 3); /* g, and s or t */
    assert_int_equal(reason_pods(&r, "would fit"), 3);
    assert_int_equal(reason_pods(&r, "no room: insufficient cpu"), 3);
}

static void test_report_compute__half_a_gang_fits__none_is_counted(void **state)
{
    (void)state;
    const struct test_node nodes[] = {{.name = "a", .cpu = "2"}};
    const struct test_pod pods[] = {
        {.name = "g-0", .cpu = "2", .gang = "g", .size = "2", .priority = 9},
        {.name = "g-1", .cpu = "2", .gang = "g", .size = "2", .priority = 9},
        {.name = "s", .cpu = "2"},
    };
    struct mu_report_result r = COMPUTE(nodes, pods);
    assert_int_equal(r.pending_that_fit, 1); /* s: the gang gave its room back */
}

static void test_report_compute__rest_of_a_partial_gang_fits__is_counted(void **state)
{
    (void)state;
    const struct test_node nodes[] = {{.name = "a", .cpu = "3"}};
    const struct test_pod pods[] = {
        {.name = "g-0", .node = "a", .cpu = "1", .gang = "g", .size = "3"},
        {.name = "g-1", .cpu = "1", .gang = "g", .size = "3"},
        {.name = "g-2", .cpu = "1", .gang = "g", .size = "3"},
    };
    struct mu_report_result r = COMPUTE(nodes, pods);
    assert_int_equal(r.partial_gangs, 1);
    assert_int_equal(r.pending_that_fit, 2);
}

static void test_report_compute__static_rules__are_kept_and_named(void **state)
{
    (void)state;
    const struct test_node nodes[] = {
        {.name = "z1", .cpu = "8", .label = "z1"},
        {.name = "tainted", .cpu = "8", .label = "z2", .taint = "only"},
        {.name = "cordoned", .cpu = "8", .label = "z3", .unschedulable = true},
    };
    const struct test_pod pods[] = {
        {.name = "fits", .cpu = "1", .zone = "z1"},
        {.name = "tolerates", .cpu = "1", .zone = "z2", .tolerated = "only"},
        {.name = "refused", .cpu = "1", .zone = "z2"},
        {.name = "cordon", .cpu = "1", .zone = "z3"},
        {.name = "nowhere", .cpu = "1", .zone = "z4"},
    };
    struct mu_report_result r = COMPUTE(nodes, pods);
    assert_int_equal(r.pending_that_fit, 2);
    assert_int_equal(r.pending, 5);
    uint64_t reasons = 0;
    for (uint32_t i = 0; i < r.reason_count; i++)
        reasons += r.reasons[i].pods;
    assert_int_equal(reasons, 5); /* every pending pod has one */
}

/* However many names pods make up. */
static void test_report_compute__resource_of_no_node__is_short_everywhere(void **state)
{
    (void)state;
    const struct test_node nodes[] = {{.name = "a", .cpu = "64"}, {.name = "b", .cpu = "64"}};
    char names[2 * MU_RESOURCES_MAX][32];
    struct test_pod pods[2 * MU_RESOURCES_MAX] = {{0}};
    for (uint32_t i = 0; i < 2 * MU_RESOURCES_MAX; i++) {
        (void)snprintf(names[i], sizeof names[i], "example.com/r-%u", i);
        pods[i] = (struct test_pod){.name = names[i] + sizeof "example.com",
                                    .cpu = "1",
                                    .resource = names[i],
                                    .node = i == 0 ? "a" : NULL};
    }
    struct mu_report_result r = COMPUTE(nodes, pods);
    assert_int_equal(r.pending_that_fit, 0);
    assert_int_equal(r.overcommitted_nodes, 1); /* the bound one: a has none of it */
    assert_int_equal(reason_pods(&r, "no room: insufficient resource that no node has"),
                     2 * MU_RESOURCES_MAX - 1);
}

static void test_report_compute__may_not_be_placed__is_not_said_to_fit(void **state)
{
    (void)state;
    const struct test_node nodes[] = {{.name = "a", .cpu = "64"}};
    const struct test_pod pods[] = {
        {.name = "gated", .gated = true},
        {.name = "leaving", .deleting = true},
        {.name = "claiming", .claim = true},
        {.name = "few-0", .gang = "few", .size = "3"},
        {.name = "few-1", .gang = "few", .size = "3"},
        {.name = "mix-0", .gang = "mix", .size = "2"}, /* its other member is gated */
        {.name = "mix-1", .gang = "mix", .size = "2", .gated = true},
    };
    struct mu_report_result r = COMPUTE(nodes, pods);
    assert_int_equal(r.pending, 7);
    assert_int_equal(r.pending_that_fit, 0);
    assert_int_equal(reason_pods(&r, "being deleted"), 1);
    assert_int_equal(reason_pods(&r, "scheduling gates"), 3);
    assert_int_equal(reason_pods(&r, "gang is incomplete"), 2);
    assert_int_equal(reason_pods(&r, "not built yet: volumes that bind to nodes"), 1);
    assert_true(r.reasons[0].pods >= r.reasons[1].pods); /* most frequent first */
}

static void test_report_add__undecodable__is_refused(void **state)
{
    (void)state;
    struct mu_report *report = mu_report_create();
    struct mu_report_result r;
    struct mu_error error;
    assert_int_not_equal(mu_report_add_pod(report, MU_STR("\x0A\x7F"), &error), 0);
    assert_int_not_equal(mu_report_add_node(report, MU_STR("\xFF\xFF"), &error), 0);
    assert_int_equal(mu_report_compute(report, &r, &error), 0);
    assert_int_equal(r.pods + r.nodes, 0);
    mu_report_destroy(report);
}

/* --- text and JSON ------------------------------------------------------------------------- */

static struct mu_report_result sample(void)
{
    struct mu_report_result r = {.nodes = 1523,
                                 .pods = 8800,
                                 .gangs = 150,
                                 .bound = 8000,
                                 .pending = 800,
                                 .elapsed_ns = 1250 * MU_NS_PER_MS,
                                 .latency_count = 8000,
                                 .latency_ns_p50 = 12345678,
                                 .latency_ns_p99 = 2 * MU_NS_PER_S,
                                 .reason_count = 1};
    r.reasons[0] = (struct mu_report_reason){"no room: insufficient cpu", 800};
    r.usage_count = 1;
    r.usage[0] = (struct mu_report_usage){MU_STR("cpu"), 4000000, 1000000, 5000};
    return r;
}

static void test_report_write_json__has_exactly_the_promised_keys(void **state)
{
    (void)state;
    static const struct {
        const char *key;
        double value;
        bool integer;
    } want[] = {
        {"nodes", 1523, true},
        {"pods", 8800, true},
        {"gangs", 150, true},
        {"bound", 8000, true},
        {"pending", 800, true},
        {"partial_gangs", 0, true},
        {"overcommitted_nodes", 0, true},
        {"pending_that_fit", 0, true},
        {"seconds", 1.25, false},
        {"pods_per_second", 6400, false},
        {"bind_latency_ms_p50", 12.345, false},
        {"bind_latency_ms_p99", 2000, false},
    };
    struct mu_report_result r = sample();
    struct mu_buf out = {0};
    assert_int_equal(mu_report_write_json(&r, &out), 0);
    json_t *root = json_loadb((const char *)out.data, out.len, 0, NULL);
    assert_non_null(root);
    assert_int_equal(json_object_size(root), sizeof want / sizeof want[0]);
    for (size_t i = 0; i < sizeof want / sizeof want[0]; i++) {
        const json_t *value = json_object_get(root, want[i].key);
        assert_true(want[i].integer ? json_is_integer(value) : json_is_number(value));
        assert_true(json_number_value(value) == want[i].value);
    }
    json_decref(root);
    mu_buf_fini(&out);
}

static void test_report_write_text__says_it_for_people(void **state)
{
    (void)state;
    struct mu_report_result r = sample();
    struct mu_buf out = {0};
    r.partial_gangs = 2;
    assert_int_equal(mu_report_write_text(&r, &out), 0);
    assert_int_equal(mu_buf_append(&out, "", 1), 0);
    const char *text = (const char *)out.data;
    assert_non_null(strstr(text, "8,000 (90.9 %) in 1.250 s: 6,400 pods/s"));
    assert_non_null(strstr(text, "p50 12.3 ms, p99 2,000.0 ms"));
    assert_non_null(strstr(text, "800  no room: insufficient cpu"));
    assert_non_null(strstr(text, "25.0 %"));
    assert_non_null(strstr(text, "2  VIOLATED"));
    assert_null(strstr(text, "finished"));
    mu_buf_fini(&out);
}

static void test_report_write_text__a_long_run__has_readable_numbers(void **state)
{
    (void)state;
    struct mu_report_result r = sample();
    struct mu_buf out = {0};
    r.elapsed_ns = UINT64_C(10817570004) * MU_NS_PER_MS;
    r.latency_ns_p99 = UINT64_C(633318697) * MU_NS_PER_MS;
    r.finished = 7000;
    r.failed = 3;
    assert_int_equal(mu_report_write_text(&r, &out), 0);
    r.elapsed_ns = 900 * MU_NS_PER_S;
    r.latency_ns_p50 = 7200 * MU_NS_PER_S - 1;
    r.latency_ns_p99 = 7200 * MU_NS_PER_S;
    assert_int_equal(mu_report_write_text(&r, &out), 0);
    assert_int_equal(mu_buf_append(&out, "", 1), 0);
    const char *text = (const char *)out.data;
    assert_non_null(
        strstr(text, "8,000 (90.9 %) in 10,817,570.004 s (125.2 days)\n")); /* no rate: 0.0 */
    assert_non_null(strstr(text, "p50 12.3 ms, p99 7.3 days from"));
    assert_non_null(strstr(text, "7,000  have finished\n"));
    assert_non_null(strstr(text, "3  of these failed\n"));
    assert_non_null(strstr(text, "in 900.000 s: 8.8 pods/s"));
    assert_non_null(strstr(text, "p50 7,199.9 s, p99 2.0 h from"));
    mu_buf_fini(&out);
}

static void test_report_add_latency__gives_quantiles_and_elapsed(void **state)
{
    (void)state;
    struct mu_report *report = mu_report_create();
    struct mu_report_result r;
    for (uint64_t i = 1; i <= 100; i++)
        mu_report_add_latency(report, 1000 + i, 1000 + i + i * MU_NS_PER_MS);
    assert_int_equal(mu_report_compute(report, &r, NULL), 0);
    assert_int_equal(r.latency_count, 100);
    assert_in_range(r.latency_ns_p50, 50 * MU_NS_PER_MS, 52 * MU_NS_PER_MS);
    assert_in_range(r.latency_ns_p99, 99 * MU_NS_PER_MS, 103 * MU_NS_PER_MS);
    assert_int_equal(r.elapsed_ns, 99 + 100 * MU_NS_PER_MS);
    mu_report_destroy(report);
}

/* --- dump ---------------------------------------------------------------------------------- */

static void test_dump__nodes_and_pods__is_a_list_that_parses(void **state)
{
    (void)state;
    char path[] = "/tmp/muster-dump-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    (void)close(fd);
    const struct test_node node = {.name = "a", .cpu = "3"};
    const struct test_pod pod = {.name = "p", .node = "a", .cpu = "1500m", .gang = "g"};
    struct mu_buf node_raw = node_bytes(&node), pod_raw = pod_bytes(&pod);
    struct mu_dump *dump = NULL;
    struct mu_error error;
    assert_int_equal(mu_dump_open(path, &dump, &error), 0);
    assert_int_equal(mu_dump_add(dump, MU_STR("Node"), fixture_str(&node_raw), &error), 0);
    assert_int_equal(mu_dump_add(dump, MU_STR("Pod"), MU_STR("\xFF"), &error), MU_EPROTO);
    assert_int_equal(mu_dump_add(dump, MU_STR("Pod"), fixture_str(&pod_raw), &error), 0);
    assert_int_equal(mu_dump_close(dump, &error), 0);
    json_t *root = json_load_file(path, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(root);
    assert_string_equal(json_string_value(json_object_get(root, "kind")), "List");
    const json_t *items = json_object_get(root, "items");
    assert_int_equal(json_array_size(items), 2);
    const char *kind = NULL, *node_name = NULL, *cpu = NULL;
    assert_int_equal(json_unpack(json_array_get(items, 1), "{s:s, s:{s:s, s:[{s:{s:{s:s}}}]}}",
                                 "kind", &kind, "spec", "nodeName", &node_name, "containers",
                                 "resources", "requests", "cpu", &cpu),
                     0);
    assert_string_equal(kind, "Pod");
    assert_string_equal(node_name, "a");
    assert_string_equal(cpu, "1500m");
    json_decref(root);
    (void)unlink(path);
    mu_buf_fini(&node_raw);
    mu_buf_fini(&pod_raw);
}

static void test_dump__cannot_be_written__is_said(void **state)
{
    (void)state;
    struct mu_dump *dump = NULL;
    struct mu_error error;
    assert_int_equal(mu_dump_open("/nonexistent/dump.json", &dump, &error), MU_EIO);
    assert_non_null(strstr(error.text, "/nonexistent/dump.json"));
    assert_int_equal(mu_dump_open("/dev/full", &dump, &error), 0);
    assert_int_equal(mu_dump_close(dump, &error), MU_EIO);
    assert_int_equal(mu_dump_close(NULL, &error), 0);
}

/* --- out of memory ------------------------------------------------------------------------- */

struct encoded {
    struct mu_buf node, pod;
};

static bool report_under_failure(void *context)
{
    const struct encoded *encoded = context;
    struct mu_report *report = mu_report_create();
    if (report == NULL)
        return false;
    struct mu_report_result result;
    int status = mu_report_add_node(report, fixture_str(&encoded->node), NULL);
    if (status == 0)
        status = mu_report_add_pod(report, fixture_str(&encoded->pod), NULL);
    if (status == 0)
        status = mu_report_compute(report, &result, NULL);
    if (status != 0)
        assert_int_equal(status, MU_ENOMEM);
    mu_report_destroy(report);
    return status == 0;
}

static void test_report__out_of_memory__is_reported(void **state)
{
    (void)state;
    const struct test_node node = {.name = "a", .cpu = "3"};
    const struct test_pod pod = {.name = "p", .cpu = "1"};
    struct encoded encoded = {node_bytes(&node), pod_bytes(&pod)};
    assert_true(mu_test_fail_each(report_under_failure, &encoded) >= 4);
    mu_buf_fini(&encoded.node);
    mu_buf_fini(&encoded.pod);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_report_compute__all_well__counts_and_no_violation),
        cmocka_unit_test(test_report_compute__partial_gang__is_counted),
        cmocka_unit_test(test_report_compute__surplus_waits__is_not_partial),
        cmocka_unit_test(test_report_compute__overcommit__is_counted_per_node),
        cmocka_unit_test(test_report_compute__what_fits_together__is_counted),
        cmocka_unit_test(test_report_compute__half_a_gang_fits__none_is_counted),
        cmocka_unit_test(test_report_compute__rest_of_a_partial_gang_fits__is_counted),
        cmocka_unit_test(test_report_compute__static_rules__are_kept_and_named),
        cmocka_unit_test(test_report_compute__resource_of_no_node__is_short_everywhere),
        cmocka_unit_test(test_report_compute__may_not_be_placed__is_not_said_to_fit),
        cmocka_unit_test(test_report_add__undecodable__is_refused),
        cmocka_unit_test(test_report_write_json__has_exactly_the_promised_keys),
        cmocka_unit_test(test_report_write_text__says_it_for_people),
        cmocka_unit_test(test_report_write_text__a_long_run__has_readable_numbers),
        cmocka_unit_test(test_report_add_latency__gives_quantiles_and_elapsed),
        cmocka_unit_test(test_dump__nodes_and_pods__is_a_list_that_parses),
        cmocka_unit_test(test_dump__cannot_be_written__is_said),
        cmocka_unit_test(test_report__out_of_memory__is_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
