/* Nodes, translated. */
#include "tests/pod_kit.h"

/* --- nodes --------------------------------------------------------------------------------- */

struct node_kit {
    struct kit *kit;
    Kube__Node node;
    Kube__NodeSpec spec;
    Kube__NodeStatus status;
    struct mu_node_object out;
};

static int node_try(struct node_kit *n)
{
    mu_buf_clear(&n->kit->raw);
    fixture_pack(&n->kit->raw, &n->node);
    mu_arena_reset(n->kit->arena);
    n->kit->warn.code = 1;
    return mu_node_decode(fixture_str(&n->kit->raw), n->kit->arena, &n->out, &n->kit->warn,
                          &n->kit->error);
}

static void node_init(struct node_kit *n, const char *allocatable)
{
    memset(n, 0, sizeof *n);
    n->kit = kit_create();
    kube__node__init(&n->node);
    kube__node_spec__init(&n->spec);
    kube__node_status__init(&n->status);
    n->node.metadata = &n->kit->meta;
    n->kit->meta.namespace_ = NULL;
    n->node.spec = &n->spec;
    n->node.status = &n->status;
    n->status.n_allocatable = kit_map(n->kit, allocatable, &n->status.allocatable);
}

static int64_t offered(const struct node_kit *n, const char *name)
{
    for (uint32_t i = 0; i < n->out.allocatable_count; i++) {
        if (mu_str_equal(n->out.allocatable[i].resource, mu_str_of(name)))
            return n->out.allocatable[i].value;
    }
    return -1;
}

static void test_node_decode__plain_fields__translated(void **state)
{
    (void)state;
    struct node_kit n;
    Kube__StringEntry label = KUBE__STRING_ENTRY__INIT;
    Kube__StringEntry *labels[1] = {&label};
    Kube__Taint taints[2] = {KUBE__TAINT__INIT, KUBE__TAINT__INIT};
    Kube__Taint *list[2] = {&taints[0], &taints[1]};
    node_init(&n, "cpu=3920m memory=10Gi pods=110 ephemeral-storage=1 nvidia.com/gpu=8 other=1");
    label.key = FIXTURE_TEXT("zone");
    label.value = FIXTURE_TEXT("z");
    n.kit->meta.n_labels = 1;
    n.kit->meta.labels = labels;
    taints[0].key = FIXTURE_TEXT("k");
    taints[0].value = FIXTURE_TEXT("v");
    taints[0].effect = FIXTURE_TEXT("NoExecute");
    n.spec.n_taints = 2;
    n.spec.taints = list;
    n.spec.has_unschedulable = true;
    n.spec.unschedulable = true;
    assert_int_equal(node_try(&n), 0);
    assert_int_equal(n.kit->warn.code, 0);
    assert_true(mu_str_equal(n.out.name, MU_STR("p")));
    assert_int_equal(n.out.version, 5);
    assert_true(n.out.unschedulable);
    assert_int_equal(n.out.label_count, 1);
    assert_true(mu_str_equal(n.out.labels[0].key, MU_STR("zone")));
    assert_int_equal(n.out.taint_count, 2);
    assert_int_equal(n.out.taints[0].effect, MU_EFFECT_NO_EXECUTE);
    assert_int_equal(n.out.taints[1].effect, MU_EFFECT_OTHER); /* none said: filters nothing */
    assert_int_equal(n.out.allocatable_count, 5);
    assert_int_equal(offered(&n, "cpu"), 3920);
    assert_int_equal(offered(&n, "pods"), 110);
    assert_int_equal(offered(&n, "nvidia.com/gpu"), 8);
    kit_destroy(n.kit);
}

static void test_node_decode__absurd_allocatable__counts_nothing(void **state)
{
    (void)state;
    const char *bad[] = {"cpu=x", "cpu=-4", "cpu=1e40"};
    for (size_t i = 0; i < 3; i++) {
        struct node_kit n;
        node_init(&n, bad[i]);
        assert_int_equal(node_try(&n), 0);
        assert_int_equal(offered(&n, "cpu"), 0);
        assert_non_null(strstr(n.kit->warn.text, "node p: status.allocatable[cpu]"));
        kit_destroy(n.kit);
    }
}

static void test_node_decode__more_resources_than_the_bound__rest_left_out(void **state)
{
    (void)state;
    struct node_kit n;
    char text[2048] = "";
    for (uint32_t i = 0; i < MU_RESOURCES_MAX + 2; i++) {
        size_t len = strlen(text);
        (void)snprintf(text + len, sizeof text - len, "e.com/r%u=1 ", i);
    }
    node_init(&n, text);
    assert_int_equal(node_try(&n), 0);
    assert_int_equal(n.out.allocatable_count, MU_RESOURCES_MAX);
    assert_non_null(strstr(n.kit->warn.text, "too many resources"));
    kit_destroy(n.kit);
}

static void test_node_decode__too_many_labels_or_taints__cordoned(void **state)
{
    (void)state;
    struct node_kit n;
    Kube__StringEntry label = KUBE__STRING_ENTRY__INIT;
    Kube__StringEntry *labels[MU_LABELS_PER_OBJECT + 1];
    Kube__Taint taint = KUBE__TAINT__INIT;
    Kube__Taint *taints[MU_TAINTS_PER_NODE + 1];
    for (uint32_t i = 0; i <= MU_LABELS_PER_OBJECT; i++)
        labels[i] = &label;
    for (uint32_t i = 0; i <= MU_TAINTS_PER_NODE; i++)
        taints[i] = &taint;
    node_init(&n, "cpu=4");
    n.kit->meta.labels = labels;
    n.kit->meta.n_labels = MU_LABELS_PER_OBJECT + 1;
    assert_int_equal(node_try(&n), 0);
    assert_non_null(strstr(n.kit->warn.text, "node p: metadata.labels: 1025 entries"));
    assert_true(n.out.unschedulable && n.out.label_count == 0 && n.out.taint_count == 0);
    assert_int_equal(n.out.version, 5);
    assert_int_equal(offered(&n, "cpu"), 4000); /* what runs there keeps its room */
    n.kit->meta.n_labels = MU_LABELS_PER_OBJECT;
    n.spec.taints = taints;
    n.spec.n_taints = MU_TAINTS_PER_NODE + 1;
    assert_int_equal(node_try(&n), 0);
    assert_non_null(strstr(n.kit->warn.text, "node p: spec.taints: 257 entries"));
    assert_true(n.out.unschedulable && n.out.label_count == MU_LABELS_PER_OBJECT);
    assert_int_equal(n.out.taint_count, 2); /* no toleration can name them */
    for (uint32_t i = 0; i < 2; i++)
        assert_true(n.out.taints[i].key.len == 0 && n.out.taints[i].value.len > 0);
    assert_int_equal(n.out.taints[0].effect, MU_EFFECT_NO_SCHEDULE);
    assert_int_equal(n.out.taints[1].effect, MU_EFFECT_NO_EXECUTE);
    n.spec.n_taints = MU_TAINTS_PER_NODE;
    assert_int_equal(node_try(&n), 0);
    assert_int_equal(n.kit->warn.code, 0);
    assert_false(n.out.unschedulable);
    size_t used = mu_arena_used_bytes(n.kit->arena);
    for (size_t bytes = 16; bytes < used; bytes += used / 64 / 16 * 16) {
        struct mu_arena *small = mu_arena_create(bytes);
        assert_int_equal(mu_node_decode(fixture_str(&n.kit->raw), small, &n.out, NULL, NULL),
                         MU_ENOMEM);
        mu_arena_destroy(small);
    }
    kit_destroy(n.kit);
}

static void test_node_decode__resource_name_too_long__not_offered(void **state)
{
    (void)state;
    struct node_kit n;
    char name[MU_RESOURCE_NAME_BYTES_MAX + 2] = "hugepages-";
    node_init(&n, "long=2 cpu=1");
    memset(name + 10, '1', sizeof name - 11);
    n.kit->entries[0].key = name;
    assert_int_equal(node_try(&n), 0);
    assert_int_equal(n.out.allocatable_count, 1);
    assert_int_equal(offered(&n, "cpu"), 1000);
    assert_non_null(strstr(n.kit->warn.text, "expected a name"));
    kit_destroy(n.kit);
}

static Kube__ContainerImage image_of(char **names, size_t count, int64_t bytes)
{
    Kube__ContainerImage image = KUBE__CONTAINER_IMAGE__INIT;
    image.names = names;
    image.n_names = count;
    image.has_sizebytes = true;
    image.sizebytes = bytes;
    return image;
}

static void test_node_images__each_name_once__sizes_in_bounds(void **state)
{
    (void)state;
    struct node_kit n;
    char longest[MU_IMAGE_NAME_BYTES_MAX + 2];
    memset(longest, 'i', sizeof longest);
    longest[MU_IMAGE_NAME_BYTES_MAX + 1] = '\0';
    char *first[2] = {FIXTURE_TEXT("web@sha256:01"), FIXTURE_TEXT("web:v1")};
    char *second[3] = {FIXTURE_TEXT("web:v1"), FIXTURE_TEXT("db"), FIXTURE_TEXT("")};
    char *third[2] = {FIXTURE_TEXT("huge"), longest};
    Kube__ContainerImage images[4] = {image_of(first, 2, 100), image_of(second, 3, -5),
                                      image_of(third, 2, INT64_MAX), image_of(NULL, 0, 7)};
    Kube__ContainerImage *list[4] = {&images[0], &images[1], &images[2], &images[3]};
    const struct mu_image expected[] = {{MU_STR("web@sha256:01"), 100},
                                        {MU_STR("web:v1"), 100},
                                        {MU_STR("db"), 0},
                                        {MU_STR("huge"), MU_IMAGE_BYTES_MAX}};
    node_init(&n, "cpu=1");
    n.status.images = list;
    n.status.n_images = 4;
    assert_int_equal(node_try(&n), 0);
    assert_int_equal(n.out.image_count, 4);
    for (uint32_t i = 0; i < 4; i++) {
        assert_true(mu_str_equal(n.out.images[i].name, expected[i].name));
        assert_int_equal(n.out.images[i].bytes, expected[i].bytes);
    }
    kit_destroy(n.kit);
}

static void test_node_images__beyond_the_bound__the_first_count(void **state)
{
    (void)state;
    struct node_kit n;
    enum { IMAGES = MU_IMAGES_PER_NODE + 10 };
    static char text[IMAGES][24];
    static char *names[IMAGES];
    static Kube__ContainerImage images[IMAGES], *list[IMAGES];
    for (int i = 0; i < IMAGES; i++) {
        (void)snprintf(text[i], sizeof text[i], "image-%d", i);
        names[i] = text[i];
        images[i] = image_of(&names[i], 1, IMAGES - i);
        list[i] = &images[i];
    }
    node_init(&n, "cpu=1");
    n.status.images = list;
    n.status.n_images = IMAGES;
    assert_int_equal(node_try(&n), 0);
    assert_int_equal(n.kit->warn.code, 0);
    assert_false(n.out.unschedulable);
    assert_int_equal(n.out.image_count, MU_IMAGES_PER_NODE);
    assert_true(mu_str_equal(n.out.images[0].name, MU_STR("image-0")));
    assert_int_equal(n.out.images[MU_IMAGES_PER_NODE - 1].bytes, 11);
    kit_destroy(n.kit);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_node_decode__plain_fields__translated),
        cmocka_unit_test(test_node_decode__absurd_allocatable__counts_nothing),
        cmocka_unit_test(test_node_decode__more_resources_than_the_bound__rest_left_out),
        cmocka_unit_test(test_node_decode__resource_name_too_long__not_offered),
        cmocka_unit_test(test_node_decode__too_many_labels_or_taints__cordoned),
        cmocka_unit_test(test_node_images__each_name_once__sizes_in_bounds),
        cmocka_unit_test(test_node_images__beyond_the_bound__the_first_count),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
