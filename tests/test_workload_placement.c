/* tools/workload: placement rules copied, encoded, and read back by the decoder. */
#include "tests/placement_kit.h"
#include "tools/workload/copy.h"
#include "tools/workload/encode.h"

#define S(text) MU_STR(text)

static const struct mu_str zones[] = {{"a", 1}, {"b", 1}};
static const struct mu_str five[] = {{"5", 1}}, n1[] = {{"n1", 2}}, web[] = {{"web", 3}};
static const struct mu_requirement on_labels[] = {
    {{"zone", 4}, MU_OP_IN, zones, 2},    {{"zone", 4}, MU_OP_NOT_IN, zones, 1},
    {{"disk", 4}, MU_OP_EXISTS, NULL, 0}, {{"gpu", 3}, MU_OP_DOES_NOT_EXIST, NULL, 0},
    {{"size", 4}, MU_OP_GT, five, 1},     {{"size", 4}, MU_OP_LT, five, 1},
    {{"never", 5}, MU_OP_NEVER, NULL, 0},
};
static const struct mu_requirement on_name[] = {{{"metadata.name", 13}, MU_OP_IN, n1, 1}};
static const struct mu_requirement app[] = {{{"app", 3}, MU_OP_IN, web, 1}};
static const struct mu_node_term node_terms[] = {
    {.labels = {.requirements = on_labels, .requirement_count = 7},
     .fields = {.requirements = on_name, .requirement_count = 1}},
    {.labels = {.nothing = false}},
};
static const struct mu_preferred_node preferred[] = {
    {.weight = 9, .term = {.labels = {.requirements = on_labels, .requirement_count = 2}}}};
static const struct mu_selector all = {.nothing = false};
static const struct mu_selector apps = {.requirements = app, .requirement_count = 1};
static const struct mu_str spaces[] = {{"ns", 2}, {"other", 5}};
static const struct mu_pod_term terms[] = {
    {.kind = MU_TERM_AFFINITY,
     .topology_key = {"zone", 4},
     .selector = {.requirements = app, .requirement_count = 1},
     .namespaces = spaces,
     .namespace_count = 1},
    {.kind = MU_TERM_ANTI_AFFINITY,
     .topology_key = {"host", 4},
     .selector = {.nothing = true},
     .namespaces = spaces,
     .namespace_count = 2,
     .namespace_selector = &apps},
    {.kind = MU_TERM_PREFERRED,
     .weight = 4,
     .topology_key = {"host", 4},
     .selector = {.nothing = false},
     .namespace_selector = &all},
    {.kind = MU_TERM_PREFERRED_ANTI,
     .weight = 100,
     .topology_key = {"rack", 4},
     .selector = {.requirements = app, .requirement_count = 1},
     .namespaces = spaces,
     .namespace_count = 1},
};
static const struct mu_spread spreads[] = {
    {.topology_key = {"zone", 4},
     .selector = {.requirements = app, .requirement_count = 1},
     .max_skew = 2,
     .min_domains = 3,
     .hard = true,
     .honor_taints = true},
    {.topology_key = {"host", 4},
     .selector = {.nothing = true},
     .max_skew = 1,
     .min_domains = 1,
     .honor_affinity = true},
};
static const struct mu_host_port ports[] = {{{"0.0.0.0", 7}, MU_PROTOCOL_TCP, 80},
                                            {{"10.0.0.1", 8}, MU_PROTOCOL_UDP, 53},
                                            {{"::", 2}, MU_PROTOCOL_SCTP, 65535}};
static const struct mu_image images[] = {{{"web:v1", 6}, 0}, {{"log:latest", 10}, 0}};
static const struct mu_label labels[] = {{{"app", 3}, {"web", 3}}, {{"rev", 3}, {"7", 1}}};

static struct mu_workload_pod full_pod(void)
{
    return (struct mu_workload_pod){.object = {.ns = S("ns"),
                                               .name = S("p"),
                                               .labels = labels,
                                               .label_count = 2,
                                               .has_node_terms = true,
                                               .node_terms = node_terms,
                                               .node_term_count = 2,
                                               .preferred_nodes = preferred,
                                               .preferred_node_count = 1,
                                               .terms = terms,
                                               .term_count = 4,
                                               .spreads = spreads,
                                               .spread_count = 2,
                                               .ports = ports,
                                               .port_count = 3,
                                               .images = images,
                                               .image_count = 2,
                                               .nominated_node = S("n7")}};
}

/* --- what a pod says, as text -------------------------------------------------------------- */

static void print_rules(struct mu_buf *out, const struct mu_pod_object *pod)
{
    for (uint32_t i = 0; i < pod->label_count; i++)
        (void)mu_buf_printf(out, "label %.*s=%.*s\n", MU_STR_ARGS(pod->labels[i].key),
                            MU_STR_ARGS(pod->labels[i].value));
    (void)mu_buf_printf(out, "required %d\n", pod->has_node_terms);
    for (uint32_t i = 0; i < pod->node_term_count + pod->preferred_node_count; i++) {
        bool hard = i < pod->node_term_count;
        const struct mu_preferred_node *soft =
            hard ? NULL : &pod->preferred_nodes[i - pod->node_term_count];
        const struct mu_node_term *term = hard ? &pod->node_terms[i] : &soft->term;
        (void)mu_buf_printf(out, "node %d: ", hard ? 0 : soft->weight);
        rule_print(out, &term->labels);
        (void)mu_buf_append_text(out, " / ");
        rule_print(out, &term->fields);
        (void)mu_buf_append_text(out, "\n");
    }
    for (uint32_t i = 0; i < pod->term_count; i++) {
        const struct mu_pod_term *term = &pod->terms[i];
        (void)mu_buf_printf(out, "term %d %d %.*s ", (int)term->kind, term->weight,
                            MU_STR_ARGS(term->topology_key));
        rule_print(out, &term->selector);
        for (uint32_t n = 0; n < term->namespace_count; n++)
            (void)mu_buf_printf(out, " in %.*s", MU_STR_ARGS(term->namespaces[n]));
        (void)mu_buf_append_text(out, " where ");
        if (term->namespace_selector != NULL)
            rule_print(out, term->namespace_selector);
        (void)mu_buf_append_text(out, "\n");
    }
    for (uint32_t i = 0; i < pod->spread_count; i++) {
        const struct mu_spread *s = &pod->spreads[i];
        (void)mu_buf_printf(out, "spread %.*s %d %d %d%d%d ", MU_STR_ARGS(s->topology_key),
                            s->max_skew, s->min_domains, s->hard, s->honor_affinity,
                            s->honor_taints);
        rule_print(out, &s->selector);
        (void)mu_buf_append_text(out, "\n");
    }
    for (uint32_t i = 0; i < pod->port_count; i++)
        (void)mu_buf_printf(out, "port %.*s %d %d\n", MU_STR_ARGS(pod->ports[i].ip),
                            (int)pod->ports[i].protocol, pod->ports[i].port);
    for (uint32_t i = 0; i < pod->image_count; i++)
        (void)mu_buf_printf(out, "image %.*s\n", MU_STR_ARGS(pod->images[i].name));
    (void)mu_buf_printf(out, "nominated %.*s devices %llx\n", MU_STR_ARGS(pod->nominated_node),
                        (unsigned long long)pod->devices);
}

static void assert_same(const struct mu_pod_object *pod, const struct mu_pod_object *expected)
{
    struct mu_buf a = {.max = 0}, b = {.max = 0};
    print_rules(&a, pod);
    print_rules(&b, expected);
    assert_true(b.len > 20);
    if (a.len != b.len || memcmp(a.data, b.data, a.len) != 0)
        fail_msg("%.*s\nexpected\n%.*s", (int)a.len, (const char *)a.data, (int)b.len,
                 (const char *)b.data);
    mu_buf_fini(&a);
    mu_buf_fini(&b);
}

/* Encode, give it the server's part, decode. */
static void round_trip(const struct mu_workload_pod *pod, struct mu_arena *arena,
                       struct mu_pod_object *out)
{
    struct mu_buf body = {.max = 0}, raw = {.max = 0};
    struct mu_envelope envelope;
    struct mu_error warn, error;
    struct mu_arena *scratch = mu_arena_create(1 << 20);
    assert_non_null(scratch);
    assert_int_equal(mu_workload_encode_pod(pod, MU_STR("muster"), false, scratch, &body), 0);
    assert_int_equal(mu_envelope_open(fixture_str(&body), &envelope, &error), 0);
    Kube__Pod *message =
        kube__pod__unpack(NULL, envelope.raw.len, (const uint8_t *)envelope.raw.data);
    assert_non_null(message);
    message->metadata->uid = FIXTURE_TEXT("u");
    fixture_pack(&raw, message);
    message->metadata->uid = NULL;
    kube__pod__free_unpacked(message, NULL);
    struct mu_str kept = mu_arena_str(arena, fixture_str(&raw));
    assert_int_equal(mu_pod_decode(kept, arena, out, &warn, &error), 0);
    mu_buf_fini(&raw);
    mu_buf_fini(&body);
    mu_arena_destroy(scratch);
}

/* --- tests --------------------------------------------------------------------------------- */

static void test_encode_pod__every_placement_rule__decodes_to_the_same(void **state)
{
    (void)state;
    struct mu_arena *arena = mu_arena_create(8 << 20);
    struct mu_pod_object out;
    struct mu_workload_pod pod = full_pod();
    round_trip(&pod, arena, &out);
    assert_same(&out, &pod.object);
    struct mu_workload_pod bare = {.object = {.ns = S("ns"),
                                              .name = S("p"),
                                              .images = images,
                                              .image_count = 1,
                                              .node_name = S("n1"),
                                              .devices = 0x8009}};
    round_trip(&bare, arena, &out);
    assert_same(&out, &bare.object);
    bare.object.has_node_terms = true; /* no term: no node */
    round_trip(&bare, arena, &out);
    assert_same(&out, &bare.object);
    mu_arena_destroy(arena);
}

/* One of several GPU models narrows each term of the pod's own. */
static void test_encode_pod__gpu_models__joined_with_node_terms(void **state)
{
    (void)state;
    struct mu_arena *arena = mu_arena_create(8 << 20);
    static const struct mu_str models[] = {{"A10", 3}, {"V100", 4}};
    struct mu_pod_object out;
    struct mu_workload_pod pod = full_pod();
    pod.models = models;
    pod.model_count = 2;
    round_trip(&pod, arena, &out);
    assert_int_equal(out.node_term_count, 2);
    assert_int_equal(out.node_terms[0].labels.requirement_count, 8);
    assert_selector(&out.node_terms[1].labels, "nvidia.com/gpu.product In A10 V100");
    pod.object.has_node_terms = false;
    pod.object.node_term_count = 0;
    round_trip(&pod, arena, &out);
    assert_int_equal(out.node_term_count, 1);
    assert_selector(&out.node_terms[0].labels, "nvidia.com/gpu.product In A10 V100");
    mu_arena_destroy(arena);
}

static void test_encode_node__images__decode_to_the_same(void **state)
{
    (void)state;
    struct mu_arena *arena = mu_arena_create(8 << 20);
    static const struct mu_image list[] = {{{"web:v1", 6}, 100}, {{"db:2", 4}, INT64_C(1) << 40}};
    struct mu_node_object node = {.name = S("n"), .images = list, .image_count = 2}, copy;
    struct mu_buf body = {.max = 0};
    struct mu_envelope envelope;
    struct mu_error error;
    assert_int_equal(mu_workload_encode_node(&node, arena, &body), 0);
    assert_int_equal(mu_envelope_open(fixture_str(&body), &envelope, &error), 0);
    Kube__Node *message =
        kube__node__unpack(NULL, envelope.raw.len, (const uint8_t *)envelope.raw.data);
    assert_non_null(message);
    assert_int_equal(message->status->n_images, 2);
    assert_string_equal(message->status->images[1]->names[0], "db:2");
    assert_int_equal(message->status->images[1]->sizebytes, INT64_C(1) << 40);
    kube__node__free_unpacked(message, NULL);
    mu_buf_fini(&body);
    mu_arena_reset(arena);
    node.device_resource = S("nvidia.com/gpu");
    assert_true(mu_copy_node(arena, &node, &copy));
    assert_ptr_not_equal(copy.images, list);
    assert_ptr_not_equal(copy.images[1].name.data, list[1].name.data);
    assert_str(copy.images[1].name, "db:2");
    assert_int_equal(copy.images[1].bytes, INT64_C(1) << 40);
    assert_str(copy.device_resource, "nvidia.com/gpu");
    mu_arena_destroy(arena);
}

static void test_encode_namespace__labels__decode_to_the_same(void **state)
{
    (void)state;
    struct mu_arena *arena = mu_arena_create(1 << 20);
    const struct mu_namespace_object ns = {.name = S("team-a"), .labels = labels, .label_count = 2};
    struct mu_buf body = {.max = 0};
    struct mu_envelope envelope;
    struct mu_error error;
    assert_int_equal(mu_workload_encode_namespace(&ns, arena, &body), 0);
    assert_int_equal(mu_envelope_open(fixture_str(&body), &envelope, &error), 0);
    assert_str(envelope.kind, "Namespace");
    Kube__Namespace *message =
        kube__namespace__unpack(NULL, envelope.raw.len, (const uint8_t *)envelope.raw.data);
    assert_non_null(message);
    assert_string_equal(message->metadata->name, "team-a");
    assert_int_equal(message->metadata->n_labels, 2);
    assert_string_equal(message->metadata->labels[1]->value, "7");
    kube__namespace__free_unpacked(message, NULL);
    mu_buf_fini(&body);
    mu_arena_destroy(arena);
}

/* The copy shares nothing: the original is decoded from bytes that are then overwritten. */
static void test_copy_pod__placement_rules__deep(void **state)
{
    (void)state;
    struct mu_arena *from = mu_arena_create(8 << 20), *to = mu_arena_create(8 << 20);
    struct mu_workload_pod pod = full_pod();
    struct mu_pod_object original, copy;
    round_trip(&pod, from, &original);
    assert_true(mu_copy_pod(to, &original, &copy));
    size_t used = mu_arena_used_bytes(from);
    mu_arena_reset(from);
    memset(mu_arena_alloc(from, used), 0xa5, used);
    assert_same(&copy, &pod.object);
    mu_arena_reset(to);
    assert_true(mu_copy_pod(to, &pod.object, &copy));
    size_t whole = mu_arena_used_bytes(to);
    for (size_t bytes = 0; bytes < whole; bytes += 16) {
        struct mu_pod_object untouched = {.priority = 42};
        mu_arena_destroy(to);
        to = mu_arena_create(bytes);
        assert_false(mu_copy_pod(to, &pod.object, &untouched));
        assert_int_equal(untouched.priority, 42);
    }
    mu_arena_destroy(from);
    mu_arena_destroy(to);
}

static void test_encode_pod__memory_out_anywhere__buffer_untouched(void **state)
{
    (void)state;
    struct mu_workload_pod pod = full_pod();
    struct mu_arena *scratch = mu_arena_create(1 << 20);
    struct mu_buf body = {.max = 0};
    assert_int_equal(mu_workload_encode_pod(&pod, MU_STR("muster"), true, scratch, &body), 0);
    size_t whole = mu_arena_used_bytes(scratch), length = body.len;
    for (size_t bytes = 0; bytes < whole; bytes += 16) {
        mu_arena_destroy(scratch);
        scratch = mu_arena_create(bytes);
        assert_int_equal(mu_workload_encode_pod(&pod, MU_STR("muster"), true, scratch, &body),
                         MU_ENOMEM);
        assert_int_equal(body.len, length);
    }
    mu_buf_fini(&body);
    mu_arena_destroy(scratch);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_encode_pod__every_placement_rule__decodes_to_the_same),
        cmocka_unit_test(test_encode_pod__gpu_models__joined_with_node_terms),
        cmocka_unit_test(test_encode_node__images__decode_to_the_same),
        cmocka_unit_test(test_encode_namespace__labels__decode_to_the_same),
        cmocka_unit_test(test_copy_pod__placement_rules__deep),
        cmocka_unit_test(test_encode_pod__memory_out_anywhere__buffer_untouched),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
