/*
 * tools/workload/openb: hand-written lists, right and damaged, and the published ones where they
 * are (tests/traces.h).
 */
#include "tests/mu_test.h"

#include "engine/base/clock.h"
#include "tests/traces.h"
#include "tools/workload/workload.h"

struct lists {
    char nodes[64], pods[64];
};

static void write_file(char *path, size_t bytes, const char *text)
{
    (void)snprintf(path, bytes, "%s", "/tmp/muster-openb-XXXXXX");
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    (void)close(fd);
}

static int load(const char *nodes, const char *pods, struct mu_workload **w, struct mu_error *error)
{
    struct lists lists;
    write_file(lists.nodes, sizeof lists.nodes, nodes);
    write_file(lists.pods, sizeof lists.pods, pods);
    *w = NULL;
    int status = mu_workload_load_openb(lists.nodes, lists.pods, w, error);
    (void)unlink(lists.nodes);
    (void)unlink(lists.pods);
    assert_true((status == 0) == (*w != NULL));
    return status;
}

#define NODES                                                                                      \
    "sn,cpu_milli,memory_mib,gpu,model\n"                                                          \
    "n-0,32000,1024,0,\n"                                                                          \
    "n-1,96000,2048,8,G2\n"
#define POD_COLUMNS                                                                                \
    "name,cpu_milli,memory_mib,num_gpu,gpu_milli,gpu_spec,qos,pod_phase,creation_time,"            \
    "deletion_time,scheduled_time\n"

static int64_t amount_of(const struct mu_amount *amounts, uint32_t count, const char *name)
{
    for (uint32_t i = 0; i < count; i++)
        if (mu_str_equal(amounts[i].resource, mu_str_of(name)))
            return amounts[i].value;
    return -1;
}
static int64_t request_of(const struct mu_workload_pod *pod, const char *name)
{
    return amount_of(pod->object.requests, pod->object.request_count, name);
}

static void test_openb_load__whole_lists__are_translated(void **state)
{
    (void)state;
    struct mu_workload *w;
    struct mu_error error = {0};
    assert_int_equal(load(NODES,
                          POD_COLUMNS "late,1000,1,2,1000,G2|G2,LS,Running,20,50,30\n"
                                      "part,1500,2,1,460,,LS,Pending,10,25,\n"
                                      "none,500,3,0,0,T4|G2|T4,BE,Failed,11,11,11\n",
                          &w, &error),
                     0);
    assert_int_equal(w->node_count, 2);
    const struct mu_node_object *node = &w->nodes[1];
    assert_int_equal(amount_of(node->allocatable, node->allocatable_count, "memory"), 2048ll << 20);
    assert_int_equal(amount_of(node->allocatable, node->allocatable_count, MU_GPU_RESOURCE), 8);
    assert_int_equal(node->device_count, 8); /* each by itself, and whole ones at our choice */
    assert_true(node->devices_whole);
    assert_int_equal(w->nodes[0].label_count, 1); /* the hostname only */
    assert_int_equal(w->nodes[0].device_count, 0);
    assert_true(mu_str_equal(node->labels[1].value, MU_STR("G2")));
    assert_true(w->timed);
    assert_int_equal(w->pod_count, 3);
    const struct mu_workload_pod *part = &w->pods[0], *none = &w->pods[1], *late = &w->pods[2];
    assert_true(mu_str_equal(part->object.name, MU_STR("part")));
    assert_int_equal(request_of(part, MU_GPU_SHARE_RESOURCE), 460);
    assert_int_equal(request_of(part, MU_GPU_RESOURCE), -1);
    assert_int_equal(request_of(part, "cpu"), 1500);
    assert_int_equal(part->duration_ns, 15 * MU_NS_PER_S); /* never scheduled: since creation */
    assert_int_equal(none->object.request_count, 2);
    assert_int_equal(none->model_count, 2); /* T4 once */
    assert_int_equal(none->object.selector_count, 0);
    assert_int_equal(none->duration_ns, MU_NS_PER_S);
    assert_int_equal(late->arrival_ns, 20 * MU_NS_PER_S);
    assert_int_equal(late->duration_ns, 20 * MU_NS_PER_S);
    assert_int_equal(request_of(late, MU_GPU_RESOURCE), 2);
    assert_int_equal(request_of(late, MU_GPU_SHARE_RESOURCE), -1);
    assert_int_equal(late->object.selector_count, 1); /* G2, twice: one type */
    assert_int_equal(late->model_count, 0);
    mu_workload_destroy(w);
}

static void test_openb_load__five_columns__arrive_at_once(void **state)
{
    (void)state;
    struct mu_workload *w;
    struct mu_error error = {0};
    assert_int_equal(load(NODES,
                          "name,cpu_milli,memory_mib,num_gpu,gpu_milli\nb,1,1,0,0\na,1,1,1,1000\n",
                          &w, &error),
                     0);
    assert_false(w->timed);
    assert_true(mu_str_equal(w->pods[0].object.name, MU_STR("b"))); /* the list's order */
    assert_int_equal(w->pods[1].arrival_ns + w->pods[1].duration_ns, 0);
    mu_workload_destroy(w);
}

/* Each is refused in one line that names the line and what is wrong. */
static void test_openb_load__damaged__is_refused_by_line(void **state)
{
    (void)state;
    static const struct {
        const char *nodes, *pods;
        const char *says;
    } cases[] = {
        {"sn,cpu_milli,memory_mib,gpu\nn,1,1,1\n", POD_COLUMNS, "model"},
        {"sn,cpu_milli,memory_mib,gpu,model\nn,-1,1,1,A\n", POD_COLUMNS, ":2: column 'cpu_milli'"},
        {"sn,cpu_milli,memory_mib,gpu,model\nn,1,1,1,a b\n", POD_COLUMNS, ":2: column 'model'"},
        {"sn,cpu_milli,memory_mib,gpu,model\nN,1,1,1,A\n", POD_COLUMNS, "node name 'N'"},
        {"sn,cpu_milli,memory_mib,gpu,model\n"
         "a234567890123456789012345678901234567890123456789012345678901234,1,1,1,A\n",
         POD_COLUMNS, ":2: column 'sn'"},
        {NODES "n-1,1,1,0,\n", POD_COLUMNS, "'n-1' is there twice"},
        {NODES, "name,cpu_milli,memory_mib,num_gpu\n", "gpu_milli"},
        {NODES, POD_COLUMNS "p,1,1,1,1001,,,,1,2,1\n", ":2: column 'gpu_milli'"},
        {NODES, POD_COLUMNS "p,1,1,2,500,,,,1,2,1\n", ":2: column 'gpu_milli'"},
        {NODES, POD_COLUMNS "p,1,1,1,1000,A|,,,1,2,1\n", ":2: column 'gpu_spec'"},
        {NODES, POD_COLUMNS "p,1,1,1,1000,|A,,,1,2,1\n", ":2: column 'gpu_spec'"},
        {NODES, POD_COLUMNS "p,1,1,1,1000,,,,1,2,1\nq,1,1,1,1000,,,,9,8,9\n",
         ":3: column 'deletion_time'"},
        {NODES, POD_COLUMNS "p,1,1,1,1000,,,,x,2,1\n", ":2: column 'creation_time'"},
        {NODES, POD_COLUMNS "p,1,99999999999999999999,0,0,,,,1,2,1\n", ":2: column 'memory_mib'"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct mu_workload *w;
        struct mu_error error = {0};
        assert_int_not_equal(load(cases[i].nodes, cases[i].pods, &w, &error), 0);
        if (strstr(error.text, cases[i].says) == NULL)
            fail_msg("case %zu: '%s' does not say \"%s\"", i, error.text, cases[i].says);
        assert_null(strchr(error.text, '\n'));
    }
}

static void test_openb_load__cut_short__is_noticed(void **state)
{
    (void)state;
    struct mu_workload *w;
    struct mu_error error = {0};
    assert_int_not_equal(load(NODES, POD_COLUMNS "p,1,1,1,1000,,,,1,2", &w, &error), 0);
    assert_int_not_equal(load("", POD_COLUMNS, &w, &error), 0);
    assert_int_equal(mu_workload_load_openb("/nonexistent/nodes.csv", "/dev/null", &w, &error),
                     MU_ENOENT);
    assert_non_null(strstr(error.text, "/nonexistent/nodes.csv"));
}

/* The published lists: counts and sums as their description gives them. */
static void test_openb_load__published_lists__have_the_known_counts(void **state)
{
    (void)state;
    static const struct {
        const char *list;
        uint32_t pods, with_selector, with_affinity;
        bool timed;
    } lists[] = {
        {"openb_pod_list_default.csv.xz", 8152, 0, 0, true},
        {"openb_pod_list_cpu050.csv.xz", 7439, 0, 0, true},
        {"openb_pod_list_gpushare40.csv.xz", 8152, 0, 0, true},
        {"openb_pod_list_gpuspec10.csv.xz", 8152, 600, 132, true},
        {"openb_pod_list_multigpu20.csv.xz", 8324, 0, 0, false},
    };
    char nodes[512], pods[512], name[128];
    if (!traces_find("openb-gpu-v2023/openb_node_list_all_node.csv.xz", nodes, sizeof nodes))
        return;
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) {
        (void)snprintf(name, sizeof name, "openb-gpu-v2023/%s", lists[i].list);
        if (!traces_find(name, pods, sizeof pods))
            continue;
        struct mu_workload *w = NULL;
        struct mu_error error = {0};
        if (mu_workload_load_openb(nodes, pods, &w, &error) != 0)
            fail_msg("%s", error.text);
        assert_int_equal(w->node_count, 1523);
        assert_int_equal(w->pod_count, lists[i].pods);
        assert_true(w->timed == lists[i].timed);
        int64_t gpus = 0, cpu_millis = 0;
        for (uint32_t n = 0; n < w->node_count; n++) {
            const struct mu_node_object *node = &w->nodes[n];
            int64_t gpu = amount_of(node->allocatable, node->allocatable_count, MU_GPU_RESOURCE);
            gpus += gpu > 0 ? gpu : 0;
            assert_int_equal(node->device_count, gpu > 0 ? gpu : 0);
            cpu_millis += amount_of(node->allocatable, node->allocatable_count, "cpu");
        }
        assert_int_equal(gpus, 6212);
        assert_int_equal(cpu_millis / 1000, 125514);
        uint32_t with_selector = 0, with_affinity = 0;
        for (uint32_t p = 0; p < w->pod_count; p++) {
            with_selector += w->pods[p].object.selector_count > 0;
            with_affinity += w->pods[p].model_count > 0;
        }
        assert_int_equal(with_selector, lists[i].with_selector);
        assert_int_equal(with_affinity, lists[i].with_affinity);
        mu_workload_destroy(w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_openb_load__whole_lists__are_translated),
        cmocka_unit_test(test_openb_load__five_columns__arrive_at_once),
        cmocka_unit_test(test_openb_load__damaged__is_refused_by_line),
        cmocka_unit_test(test_openb_load__cut_short__is_noticed),
        cmocka_unit_test(test_openb_load__published_lists__have_the_known_counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
