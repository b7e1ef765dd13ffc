/*
 * tools/report where GPUs are tracked one by one: two nodes that share theirs, `g` also whole ones,
 * and `plain`, which counts them; a case per way in which devices can be given wrongly, and per way
 * in which a pod still fits or does not.
 */
#include "tests/mu_test.h"

#include <stdio.h>
#include "engine/resource.h"
#include "informer/codec.h"
#include "informer/proto/core.pb-c.h"
#include "tests/kube_fixture.h"
#include "tools/report/devices.h"
#include "tools/report/report.h"
#include "tools/workload/encode.h"

#define GPU  "nvidia.com/gpu"
#define PART MU_GPU_SHARE_RESOURCE
#define PODS 5

struct pod_case {
    const char *node; /* NULL: waits */
    const char *resource;
    int64_t amount;
    uint64_t devices; /* bit per device */
    const char *gang; /* NULL: none */
};

static const struct {
    const char *what;
    struct pod_case pods[PODS]; /* up to the first without a resource */
    uint64_t over, fits;
} cases[] = {
    /* What may be there. */
    {"parts that fill a device", {{"g", PART, 400, 1, 0}, {"g", PART, 600, 1, 0}}, 0, 0},
    {"a whole one beside a part", {{"g", GPU, 1, 1, 0}, {"g", PART, 600, 2, 0}}, 0, 0},
    {"parts where whole ones are not given", {{"s", PART, 1000, 1, 0}, {"s", PART, 1, 2, 0}}, 0, 0},
    {"whole ones by count", {{"plain", GPU, 2, 0, 0}}, 0, 0},
    /* What may not. */
    {"one device over, the sum not", {{"g", PART, 600, 1, 0}, {"g", PART, 600, 1, 0}}, 1, 0},
    {"a part of a device that is given whole", {{"g", GPU, 1, 1, 0}, {"g", PART, 1, 1, 0}}, 1, 0},
    {"no device named", {{"g", PART, 100, 0, 0}}, 1, 0},
    {"fewer named than asked for", {{"g", GPU, 2, 1, 0}}, 1, 0},
    {"more named than asked for", {{"g", PART, 100, 3, 0}}, 1, 0},
    {"a device that the node lacks", {{"g", PART, 100, 4, 0}}, 1, 0},
    {"a whole one where none are given", {{"s", GPU, 1, 1, 0}}, 1, 0},
    {"a part where nothing is shared", {{"plain", PART, 100, 1, 0}}, 1, 0},
    {"each node once",
     {{"g", PART, 100, 0, 0}, {"g", PART, 100, 0, 0}, {"s", PART, 100, 0, 0}},
     2,
     0},
    /* What waits: s is full in both, g as said. */
    {"no device has as much, all have",
     {{"s", PART, 700, 1, 0},
      {"s", PART, 700, 2, 0},
      {"g", PART, 700, 1, 0},
      {"g", PART, 700, 2, 0},
      {NULL, PART, 301, 0, 0}},
     0,
     0},
    {"one device has as much",
     {{"s", PART, 700, 1, 0},
      {"s", PART, 700, 2, 0},
      {"g", PART, 700, 1, 0},
      {"g", PART, 699, 2, 0},
      {NULL, PART, 301, 0, 0}},
     0,
     1},
    {"no two are entirely free",
     {{"g", PART, 1, 1, 0}, {"plain", GPU, 1, 0, 0}, {NULL, GPU, 2, 0, 0}},
     0,
     0},
    {"one is entirely free",
     {{"g", PART, 1, 1, 0}, {"plain", GPU, 2, 0, 0}, {NULL, GPU, 1, 0, 0}},
     0,
     1},
    {"a part of more than one", {{NULL, PART, 1001, 0, 0}}, 0, 0},
    {"three gangsters on four devices with room for three",
     {{"s", PART, 500, 1, 0},
      {"g", GPU, 1, 1, 0},
      {NULL, PART, 600, 0, "a"},
      {NULL, PART, 600, 0, "a"},
      {NULL, PART, 500, 0, "a"}},
     0,
     3},
    {"and for two",
     {{"s", PART, 500, 1, 0},
      {"g", GPU, 1, 1, 0},
      {NULL, PART, 600, 0, "a"},
      {NULL, PART, 600, 0, "a"},
      {NULL, PART, 501, 0, "a"}},
     0,
     0},
};

static struct mu_report *report;
static struct mu_arena *arena;

/* With the uid that a server would give. */
static void add_raw(const struct mu_buf *body, const ProtobufCMessageDescriptor *descriptor,
                    const char *uid,
                    int (*add)(struct mu_report *, struct mu_str, struct mu_error *))
{
    struct mu_envelope envelope;
    struct mu_buf raw = {.max = 0};
    assert_int_equal(mu_envelope_open(fixture_str(body), &envelope, NULL), 0);
    ProtobufCMessage *message = protobuf_c_message_unpack(descriptor, NULL, envelope.raw.len,
                                                          (const uint8_t *)envelope.raw.data);
    assert_non_null(message);
    bool pod = descriptor == &kube__pod__descriptor;
    Kube__ObjectMeta *metadata =
        pod ? ((Kube__Pod *)message)->metadata : ((Kube__Node *)message)->metadata;
    metadata->uid = FIXTURE_TEXT(uid);
    fixture_pack(&raw, message);
    metadata->uid = NULL;
    protobuf_c_message_free_unpacked(message, NULL);
    assert_int_equal(add(report, fixture_str(&raw), NULL), 0);
    mu_buf_fini(&raw);
}

static void add_node(const char *name, bool shared, bool honored)
{
    struct mu_label labels[2];
    uint32_t count = 0;
    if (shared)
        labels[count++] = (struct mu_label){MU_STR(MU_SHARING_LABEL), MU_STR("true")};
    if (honored)
        labels[count++] = (struct mu_label){MU_STR(MU_DEVICE_LABEL), MU_STR("honored")};
    const struct mu_amount amounts[] = {{MU_STR("pods"), 110}, {MU_STR(GPU), 2}};
    const struct mu_node_object node = {.name = mu_str_of(name),
                                        .labels = labels,
                                        .label_count = count,
                                        .allocatable = amounts,
                                        .allocatable_count = 2};
    struct mu_buf body = {.max = 0};
    assert_int_equal(mu_workload_encode_node(&node, arena, &body), 0);
    add_raw(&body, &kube__node__descriptor, name, mu_report_add_node);
    mu_buf_fini(&body);
}

static void add_pod(uint32_t number, const struct pod_case *pod)
{
    char name[16];
    const struct mu_amount request = {mu_str_of(pod->resource), pod->amount};
    struct mu_buf body = {.max = 0};
    (void)snprintf(name, sizeof name, "p%u", number);
    struct mu_workload_pod object = {.object = {.ns = MU_STR("default"),
                                                .name = mu_str_of(name),
                                                .node_name = mu_str_of(pod->node),
                                                .requests = &request,
                                                .request_count = 1,
                                                .devices = pod->devices}};
    if (pod->gang != NULL)
        object.object.gang =
            (struct mu_gang_ref){.source = MU_GANG_MUSTER, .name = mu_str_of(pod->gang), .size = 3};
    assert_int_equal(mu_workload_encode_pod(&object, MU_STR("muster"), false, arena, &body), 0);
    add_raw(&body, &kube__pod__descriptor, name, mu_report_add_pod);
    mu_buf_fini(&body);
}

static void make(const struct pod_case pods[PODS], struct mu_report_result *result)
{
    report = mu_report_create();
    arena = mu_arena_create(1 << 20);
    assert_non_null(report);
    assert_non_null(arena);
    add_node("g", true, true);
    add_node("plain", false, true); /* tracked only where it shares */
    add_node("s", true, false);
    for (uint32_t p = 0; p < PODS && pods[p].resource != NULL; p++)
        add_pod(p, &pods[p]);
    assert_int_equal(mu_report_compute(report, result, NULL), 0);
}

static void drop(void)
{
    mu_report_destroy(report);
    mu_arena_destroy(arena);
}

static void test_report_devices__cases__as_expected(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct mu_report_result result;
        make(cases[i].pods, &result);
        if (result.overcommitted_nodes != cases[i].over || result.pending_that_fit != cases[i].fits)
            fail_msg("%s: %llu nodes over-committed, %llu pods fit", cases[i].what,
                     (unsigned long long)result.overcommitted_nodes,
                     (unsigned long long)result.pending_that_fit);
        drop();
    }
}

/* Whole ones and parts add up under the name of the parts. */
static void test_report_devices__usage__sums_up_all_devices(void **state)
{
    (void)state;
    const struct pod_case pods[PODS] = {{"g", GPU, 1, 1, 0},
                                        {"g", PART, 300, 2, 0},
                                        {"s", PART, 200, 1, 0},
                                        {NULL, GPU, 3, 0, 0},
                                        {NULL, PART, 900, 0, 0}};
    struct mu_report_result result;
    bool whole = false, part = false;
    make(pods, &result);
    for (uint32_t i = 0; i < result.usage_count; i++) {
        const struct mu_report_usage *u = &result.usage[i];
        if (mu_str_equal(u->resource, MU_STR(GPU)))
            whole = u->allocatable == 6 && u->requested == 1 && u->pending == 3;
        if (mu_str_equal(u->resource, MU_STR(PART)))
            part = u->allocatable == 4000 && u->requested == 1500 && u->pending == 3900;
    }
    assert_true(whole);
    assert_true(part);
    drop();
}

/* Whose sum is no number: seen by UBSan. */
static void
test_devices_charge__parts_and_whole_ones_near_2_to_the_63__nothing_is_taken(void **state)
{
    (void)state;
    const struct mu_amount requests[] = {{MU_STR(PART), MU_AMOUNT_MAX},
                                         {MU_STR(GPU), MU_AMOUNT_MAX}};
    const struct mu_node_object node = {.device_resource = MU_STR(GPU), .device_count = 2};
    const struct mu_pod_object pod = {.requests = requests, .request_count = 2, .devices = 3};
    struct mu_devices_left left;
    mu_devices_init(&left, &node);
    assert_false(mu_devices_charge(&left, &node, &pod, true));
    assert_int_equal(left.millis[0], 1000);
    assert_int_equal(left.millis[1], 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_report_devices__cases__as_expected),
        cmocka_unit_test(test_report_devices__usage__sums_up_all_devices),
        cmocka_unit_test(
            test_devices_charge__parts_and_whole_ones_near_2_to_the_63__nothing_is_taken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
