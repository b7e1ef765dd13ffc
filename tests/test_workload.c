/* tools/workload: the container, the generated default, and the encoders read back by
 * protobuf-c. */
#include "tests/mu_test.h"

#include "engine/base/arena.h"
#include "engine/base/clock.h"
#include "informer/codec.h"
#include "informer/proto/core.pb-c.h"
#include "informer/proto/scheduling.pb-c.h"
#include "tools/workload/encode.h"

static int add_named_pod(struct mu_workload *w, const char *name, uint64_t arrival_ns,
                         struct mu_error *error)
{
    struct mu_workload_pod pod = {.object = {.ns = MU_STR("default"), .name = mu_str_of(name)},
                                  .arrival_ns = arrival_ns};
    return mu_workload_add_pod(w, &pod, "test.csv:7", error);
}

static void test_workload_add__bad_name__is_refused_and_named(void **state)
{
    (void)state;
    static const char *const bad[] = {"",    "Upper", "under_score", "-front", "back-", "a/b",
                                      "a b", "a..b",  "a.-b",        "a-.b",   ".a",    "a."};
    struct mu_workload *w = mu_workload_create();
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct mu_error error;
        struct mu_node_object node = {.name = mu_str_of(bad[i])};
        assert_int_equal(add_named_pod(w, bad[i], 0, &error), MU_EINVAL);
        assert_non_null(strstr(error.text, "test.csv:7"));
        assert_int_equal(mu_workload_add_node(w, &node, "nodes.csv:2", &error), MU_EINVAL);
        assert_non_null(strstr(error.text, "nodes.csv:2"));
    }
    assert_int_equal(w->pod_count, 0);
    assert_int_equal(w->node_count, 0);
    mu_workload_destroy(w);
}

static void test_workload_add__negative_amount__is_refused(void **state)
{
    (void)state;
    struct mu_workload *w = mu_workload_create();
    struct mu_amount amount = {MU_STR("cpu"), -1};
    struct mu_node_object node = {
        .name = MU_STR("n"), .allocatable = &amount, .allocatable_count = 1};
    assert_int_equal(mu_workload_add_node(w, &node, "nodes.csv:2", NULL), MU_EINVAL);
    assert_int_equal(w->node_count, 0);
    mu_workload_destroy(w);
}

static void test_workload_finish__orders_by_arrival_and_keeps_ties(void **state)
{
    (void)state;
    struct mu_workload *w = mu_workload_create();
    assert_int_equal(add_named_pod(w, "late", 9, NULL), 0);
    assert_int_equal(add_named_pod(w, "b", 5, NULL), 0);
    assert_int_equal(add_named_pod(w, "a", 5, NULL), 0);
    assert_int_equal(mu_workload_finish(w, NULL), 0);
    assert_string_equal(w->pods[0].object.name.data, "b");
    assert_string_equal(w->pods[1].object.name.data, "a");
    assert_string_equal(w->pods[2].object.name.data, "late");
    mu_workload_destroy(w);
}

static void test_workload_finish__name_twice__is_refused(void **state)
{
    (void)state;
    struct mu_workload *w = mu_workload_create();
    struct mu_error error;
    assert_int_equal(add_named_pod(w, "a", 1, NULL), 0);
    assert_int_equal(add_named_pod(w, "b", 2, NULL), 0);
    assert_int_equal(add_named_pod(w, "a", 3, NULL), 0);
    assert_int_equal(mu_workload_finish(w, &error), MU_EEXIST);
    assert_non_null(strstr(error.text, "'a'"));
    mu_workload_destroy(w);
}

static int64_t amount_of(const struct mu_amount *amounts, uint32_t count, const char *name)
{
    for (uint32_t i = 0; i < count; i++)
        if (mu_str_equal(amounts[i].resource, mu_str_of(name)))
            return amounts[i].value;
    return 0;
}

/* What the demo promises about its default: 1,523 nodes, gangs of 2 to 64, most of it fits. */
static void test_workload_generate__default__has_the_promised_shape(void **state)
{
    (void)state;
    struct mu_workload *w = NULL;
    assert_int_equal(mu_workload_generate(MU_WORKLOAD_DEFAULT_SEED, &w, NULL), 0);
    assert_int_equal(w->node_count, 1523);
    int64_t have[3] = {0}, want[3] = {0}, parts = 0;
    static const char *const names[] = {"cpu", "memory", MU_GPU_RESOURCE};
    for (uint32_t n = 0; n < w->node_count; n++)
        for (int r = 0; r < 3; r++)
            have[r] += amount_of(w->nodes[n].allocatable, w->nodes[n].allocatable_count, names[r]);
    uint32_t singles = 0, gang_pods = 0, firsts = 0, smallest = UINT32_MAX, largest = 0;
    for (uint32_t p = 0; p < w->pod_count; p++) {
        const struct mu_pod_object *pod = &w->pods[p].object;
        assert_true(p == 0 || w->pods[p - 1].arrival_ns <= w->pods[p].arrival_ns);
        assert_true(w->pods[p].duration_ns >= 60 * MU_NS_PER_S);
        for (int r = 0; r < 3; r++)
            want[r] += amount_of(pod->requests, pod->request_count, names[r]);
        parts += amount_of(pod->requests, pod->request_count, MU_GPU_SHARE_RESOURCE);
        if (pod->gang.source == MU_GANG_SOLO) {
            singles++;
            continue;
        }
        assert_int_equal(pod->gang.source, MU_GANG_MUSTER);
        gang_pods++;
        firsts +=
            pod->name.data[pod->name.len - 1] == '0' && pod->name.data[pod->name.len - 2] == '-';
        smallest = pod->gang.size < smallest ? pod->gang.size : smallest;
        largest = pod->gang.size > largest ? pod->gang.size : largest;
    }
    assert_int_equal(singles, 7000);
    assert_int_equal(w->priority_count, 1); /* gangs above single pods */
    assert_int_equal(firsts, 150);
    assert_int_equal(smallest, 2);
    assert_int_equal(largest, 64);
    assert_true(parts > 0);
    want[2] += parts / 1000;
    print_message("%u pods (%u in gangs); of what there is, cpu %lld %%, memory %lld %%, GPU %lld "
                  "%% is asked for\n",
                  w->pod_count, gang_pods, (long long)(want[0] * 100 / have[0]),
                  (long long)(want[1] * 100 / have[1]), (long long)(want[2] * 100 / have[2]));
    for (int r = 0; r < 3; r++)
        assert_true(want[r] * 100 / have[r] < 96);
    assert_true(want[2] * 100 / have[2] > 85);
    mu_workload_destroy(w);
}

static void test_workload_generate__same_seed__same_workload(void **state)
{
    (void)state;
    struct mu_workload *a = NULL, *b = NULL, *c = NULL;
    assert_int_equal(mu_workload_generate(1, &a, NULL), 0);
    assert_int_equal(mu_workload_generate(1, &b, NULL), 0);
    assert_int_equal(mu_workload_generate(2, &c, NULL), 0);
    assert_int_equal(a->pod_count, b->pod_count);
    bool differs = a->pod_count != c->pod_count;
    for (uint32_t p = 0; p < a->pod_count; p++) {
        assert_true(mu_str_equal(a->pods[p].object.name, b->pods[p].object.name));
        assert_int_equal(a->pods[p].arrival_ns, b->pods[p].arrival_ns);
        assert_int_equal(a->pods[p].object.requests[0].value, b->pods[p].object.requests[0].value);
        differs = differs || a->pods[p].arrival_ns != c->pods[p].arrival_ns;
    }
    assert_true(differs);
    mu_workload_destroy(a);
    mu_workload_destroy(b);
    mu_workload_destroy(c);
}

static bool build_under_failure(void *context)
{
    (void)context;
    struct mu_workload *w = mu_workload_create();
    if (w == NULL)
        return false;
    int status = add_named_pod(w, "a", 1, NULL);
    if (status != 0)
        assert_int_equal(w->pod_count, 0);
    if (status == 0)
        status = mu_workload_finish(w, NULL);
    if (status != 0)
        assert_int_equal(status, MU_ENOMEM);
    mu_workload_destroy(w);
    return status == 0;
}

static void test_workload_build__out_of_memory__adds_nothing(void **state)
{
    (void)state;
    assert_true(mu_test_fail_each(build_under_failure, NULL) >= 5);
}

/* --- encoders ------------------------------------------------------------------------------ */

static const ProtobufCMessage *open_body(const struct mu_buf *body, const char *kind,
                                         const ProtobufCMessageDescriptor *descriptor)
{
    struct mu_envelope envelope;
    struct mu_str bytes = {(const char *)body->data, (uint32_t)body->len};
    assert_int_equal(mu_envelope_open(bytes, &envelope, NULL), 0);
    assert_true(mu_str_equal(envelope.api_version, MU_STR("v1")));
    assert_true(mu_str_equal(envelope.kind, mu_str_of(kind)));
    const ProtobufCMessage *message = protobuf_c_message_unpack(descriptor, NULL, envelope.raw.len,
                                                                (const uint8_t *)envelope.raw.data);
    assert_non_null(message);
    return message;
}

static void test_workload_encode_node__reads_back(void **state)
{
    (void)state;
    struct mu_amount amounts[] = {
        {MU_STR("cpu"), 96000},
        {MU_STR("memory"), 1536 * INT64_C(1048576)},
        {MU_STR("pods"), 2048},
        {MU_STR("ephemeral-storage"), INT64_C(1) << 41},
    };
    struct mu_label label = {MU_STR("zone"), MU_STR("z1")};
    struct mu_taint taint = {MU_STR("k"), MU_STR("v"), MU_EFFECT_NO_EXECUTE};
    struct mu_node_object node = {.name = MU_STR("n1"),
                                  .labels = &label,
                                  .label_count = 1,
                                  .taints = &taint,
                                  .taint_count = 1,
                                  .allocatable = amounts,
                                  .allocatable_count = 4,
                                  .unschedulable = true};
    struct mu_arena *arena = mu_arena_create(1 << 20);
    struct mu_buf body = {0};
    assert_int_equal(mu_workload_encode_node(&node, arena, &body), 0);
    const Kube__Node *read = (const Kube__Node *)open_body(&body, "Node", &kube__node__descriptor);
    assert_string_equal(read->metadata->name, "n1");
    assert_string_equal(read->metadata->labels[0]->key, "zone");
    assert_string_equal(read->metadata->labels[0]->value, "z1");
    assert_true(read->spec->unschedulable);
    assert_string_equal(read->spec->taints[0]->effect, "NoExecute");
    assert_int_equal(read->status->n_allocatable, 4);
    assert_string_equal(read->status->allocatable[0]->value->string, "96");
    assert_string_equal(read->status->allocatable[1]->value->string, "1536Mi");
    assert_string_equal(read->status->allocatable[2]->value->string, "2048");
    assert_string_equal(read->status->allocatable[3]->value->string, "2048Gi");
    assert_string_equal(read->status->capacity[2]->key, "pods");
    assert_string_equal(read->status->conditions[0]->type, "Ready");
    protobuf_c_message_free_unpacked((ProtobufCMessage *)(uintptr_t)read, NULL);
    mu_buf_fini(&body);
    mu_arena_destroy(arena);
}

static void test_workload_encode_pod__reads_back(void **state)
{
    (void)state;
    struct mu_amount requests[] = {{MU_STR("cpu"), 1500}, {MU_STR(MU_GPU_SHARE_RESOURCE), 460}};
    struct mu_label selector = {MU_STR(MU_GPU_MODEL_LABEL), MU_STR("T4")};
    struct mu_toleration tolerations[] = {
        {MU_STR("k"), MU_STR("v"), MU_TOLERATE_EQUAL, MU_EFFECT_NO_SCHEDULE},
        {{NULL, 0}, {NULL, 0}, MU_TOLERATE_EXISTS, MU_EFFECT_ANY}};
    struct mu_str models[] = {MU_STR("A10"), MU_STR("G2")};
    struct mu_workload_pod pod = {
        .object = {.ns = MU_STR("team"),
                   .name = MU_STR("p-0"),
                   .priority = 7,
                   .requests = requests,
                   .request_count = 2,
                   .selector = &selector,
                   .selector_count = 1,
                   .tolerations = tolerations,
                   .toleration_count = 2,
                   .gang = {.source = MU_GANG_MUSTER, .name = MU_STR("p"), .size = 4}},
        .models = models,
        .model_count = 2,
        .duration_ns = 2500 * MU_NS_PER_MS,
    };
    struct mu_arena *arena = mu_arena_create(1 << 20);
    struct mu_buf body = {0};
    assert_int_equal(mu_workload_encode_pod(&pod, MU_STR("muster"), true, arena, &body), 0);
    const Kube__Pod *read = (const Kube__Pod *)open_body(&body, "Pod", &kube__pod__descriptor);
    assert_string_equal(read->metadata->name, "p-0");
    assert_string_equal(read->metadata->namespace_, "team");
    assert_int_equal(read->metadata->n_annotations, 3);
    assert_string_equal(read->metadata->annotations[0]->key, "muster.dev/pod-group");
    assert_string_equal(read->metadata->annotations[0]->value, "p");
    assert_string_equal(read->metadata->annotations[1]->value, "4");
    assert_string_equal(read->metadata->annotations[2]->key, MU_DURATION_ANNOTATION);
    assert_string_equal(read->metadata->annotations[2]->value, "2500");
    assert_string_equal(read->spec->schedulername, "muster");
    assert_string_equal(read->spec->priorityclassname, "priority-7");
    assert_false(read->spec->has_priority); /* the API server refuses one without its class */
    const Kube__ResourceRequirements *resources = read->spec->containers[0]->resources;
    assert_string_equal(resources->requests[0]->value->string, "1500m");
    assert_string_equal(resources->requests[1]->value->string, "460");
    assert_string_equal(read->spec->nodeselector[0]->value, "T4");
    assert_string_equal(read->spec->tolerations[0]->operator_, "Equal");
    assert_string_equal(read->spec->tolerations[1]->operator_, "Exists");
    assert_null(read->spec->tolerations[1]->effect);
    const Kube__NodeSelectorRequirement *requirement =
        read->spec->affinity->nodeaffinity->requiredduringschedulingignoredduringexecution
            ->nodeselectorterms[0]
            ->matchexpressions[0];
    assert_string_equal(requirement->key, MU_GPU_MODEL_LABEL);
    assert_string_equal(requirement->operator_, "In");
    assert_int_equal(requirement->n_values, 2);
    assert_string_equal(requirement->values[1], "G2");
    protobuf_c_message_free_unpacked((ProtobufCMessage *)(uintptr_t)read, NULL);
    mu_buf_clear(&body);
    assert_int_equal(mu_workload_encode_pod(&pod, MU_STR("muster"), false, arena, &body), 0);
    read = (const Kube__Pod *)open_body(&body, "Pod", &kube__pod__descriptor);
    assert_int_equal(read->metadata->n_annotations, 2); /* no duration */
    protobuf_c_message_free_unpacked((ProtobufCMessage *)(uintptr_t)read, NULL);
    mu_buf_fini(&body);
    mu_arena_destroy(arena);
}

static void test_workload_encode_priority_class__reads_back(void **state)
{
    (void)state;
    struct mu_arena *arena = mu_arena_create(1 << 20);
    struct mu_buf body = {0};
    assert_int_equal(mu_workload_encode_priority_class(INT32_MIN, false, arena, &body), 0);
    struct mu_envelope envelope;
    struct mu_str bytes = {(const char *)body.data, (uint32_t)body.len};
    assert_int_equal(mu_envelope_open(bytes, &envelope, NULL), 0);
    assert_true(mu_str_equal(envelope.api_version, MU_STR("scheduling.k8s.io/v1")));
    Kube__PriorityClass *read =
        kube__priority_class__unpack(NULL, envelope.raw.len, (const uint8_t *)envelope.raw.data);
    assert_string_equal(read->metadata->name, "priority-minus-2147483648");
    assert_int_equal(read->value, INT32_MIN);
    kube__priority_class__free_unpacked(read, NULL);
    mu_buf_fini(&body);
    mu_arena_destroy(arena);
}

static void test_workload_encode__no_room__leaves_the_buffer(void **state)
{
    (void)state;
    struct mu_node_object node = {.name = MU_STR("n1")};
    struct mu_workload_pod pod = {.object = {.ns = MU_STR("default"), .name = MU_STR("p")}};
    struct mu_arena *arena = mu_arena_create(1 << 20);
    struct mu_buf body;
    mu_buf_init(&body, 8);
    assert_int_equal(mu_workload_encode_node(&node, arena, &body), MU_ELIMIT);
    assert_int_equal(body.len, 0);
    mu_arena_destroy(arena);
    mu_buf_fini(&body);
    arena = mu_arena_create(64); /* too small for the message */
    assert_int_equal(mu_workload_encode_pod(&pod, MU_STR("muster"), false, arena, &body),
                     MU_ENOMEM);
    assert_int_equal(body.len, 0);
    mu_arena_destroy(arena);
    mu_buf_fini(&body);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_workload_add__bad_name__is_refused_and_named),
        cmocka_unit_test(test_workload_add__negative_amount__is_refused),
        cmocka_unit_test(test_workload_finish__orders_by_arrival_and_keeps_ties),
        cmocka_unit_test(test_workload_finish__name_twice__is_refused),
        cmocka_unit_test(test_workload_generate__default__has_the_promised_shape),
        cmocka_unit_test(test_workload_generate__same_seed__same_workload),
        cmocka_unit_test(test_workload_build__out_of_memory__adds_nothing),
        cmocka_unit_test(test_workload_encode_node__reads_back),
        cmocka_unit_test(test_workload_encode_pod__reads_back),
        cmocka_unit_test(test_workload_encode_priority_class__reads_back),
        cmocka_unit_test(test_workload_encode__no_room__leaves_the_buffer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
