/*
 * tools/workload/philly: hand-written lists of jobs, right and damaged; random ones against sums;
 * and the published ones where they are (tests/traces.h).
 */
#include "tests/mu_test.h"

#include "engine/base/clock.h"
#include "tests/traces.h"
#include "tools/workload/workload.h"

#define GIB     (INT64_C(1) << 30)
#define COLUMNS "job_id,num_gpu,submit_time,model_name,duration,priority\n"

static void write_file(char *path, size_t bytes, const char *text)
{
    (void)snprintf(path, bytes, "%s", "/tmp/muster-philly-XXXXXX");
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    (void)close(fd);
}

static int load(const char *jobs, struct mu_workload **w, struct mu_error *error)
{
    char path[64];
    write_file(path, sizeof path, jobs);
    *w = NULL;
    int status = mu_workload_load_philly(path, NULL, w, error);
    (void)unlink(path);
    assert_true((status == 0) == (*w != NULL));
    return status;
}

static int64_t request_of(const struct mu_workload_pod *pod, const char *name)
{
    for (uint32_t i = 0; i < pod->object.request_count; i++)
        if (mu_str_equal(pod->object.requests[i].resource, mu_str_of(name)))
            return pod->object.requests[i].value;
    return -1;
}

static void check_pod(const struct mu_workload_pod *pod, const char *name, const char *gang,
                      uint32_t size, int64_t gpus)
{
    assert_true(mu_str_equal(pod->object.name, mu_str_of(name)));
    assert_true(mu_str_equal(pod->object.ns, MU_STR("default")));
    assert_int_equal(pod->object.gang.source, gang != NULL ? MU_GANG_MUSTER : MU_GANG_SOLO);
    assert_true(mu_str_equal(pod->object.gang.name, mu_str_of(gang)));
    assert_int_equal(pod->object.gang.size, size);
    assert_int_equal(request_of(pod, MU_GPU_RESOURCE), gpus);
    assert_int_equal(request_of(pod, "cpu"), gpus * 8000);
    assert_int_equal(request_of(pod, "memory"), gpus * 64 * GIB);
}

static void test_philly_load__rows__become_gangs_of_pods_of_8_gpus(void **state)
{
    (void)state;
    struct mu_workload *w;
    struct mu_error error = {0};
    if (load(COLUMNS "7,20,5000,bert,61000,1\n"
                     "3,8,2000,\"a,b\",1,0\r\n"
                     "4,16,2000,,9,0\n"
                     "0,1,0,dqn,2500,1\n",
             &w, &error) != 0)
        fail_msg("%s", error.text);
    assert_int_equal(w->pod_count, 7); /* by arrival, ties as listed */
    check_pod(&w->pods[0], "job-0", NULL, 0, 1);
    check_pod(&w->pods[1], "job-3", NULL, 0, 8);
    check_pod(&w->pods[2], "job-4-0", "job-4", 2, 8);
    check_pod(&w->pods[3], "job-4-1", "job-4", 2, 8);
    check_pod(&w->pods[4], "job-7-0", "job-7", 3, 8);
    check_pod(&w->pods[5], "job-7-1", "job-7", 3, 8);
    check_pod(&w->pods[6], "job-7-2", "job-7", 3, 4); /* what remains */
    assert_true(w->timed);
    assert_int_equal(w->pods[0].arrival_ns, 0);
    assert_int_equal(w->pods[6].arrival_ns, 5 * MU_NS_PER_S);
    assert_int_equal(w->pods[6].duration_ns, 61 * MU_NS_PER_S);
    assert_int_equal(w->pods[1].duration_ns, MU_NS_PER_MS);
    assert_int_equal(w->pods[0].object.priority, 1);
    assert_int_equal(w->pods[1].object.priority, 0);
    assert_int_equal(w->priority_count, 1);
    assert_int_equal(w->node_count, 1523);                   /* the default cluster */
    assert_int_equal(w->pods[0].object.toleration_count, 1); /* of its dedicated nodes */
    assert_true(mu_str_equal(w->pods[0].object.tolerations[0].key, MU_STR(MU_DEDICATED_TAINT)));
    mu_workload_destroy(w);
}

static void test_philly_load__no_priority_column__is_0(void **state)
{
    (void)state;
    struct mu_workload *w;
    struct mu_error error = {0};
    assert_int_equal(load("duration,job_id,submit_time,num_gpu\n5,1,6,2\n", &w, &error), 0);
    check_pod(&w->pods[0], "job-1", NULL, 0, 2);
    assert_int_equal(w->pods[0].object.priority, 0);
    assert_int_equal(w->priority_count, 0);
    mu_workload_destroy(w);
    assert_int_equal(load(COLUMNS, &w, &error), 0); /* no jobs: a cluster at rest */
    assert_int_equal(w->pod_count, 0);
    mu_workload_destroy(w);
}

/* The largest gang, the latest time: the bounds themselves are taken. */
static void test_philly_load__largest_values__are_taken(void **state)
{
    (void)state;
    struct mu_workload *w;
    struct mu_error error = {0};
    if (load(COLUMNS "999999999999999999,131072,4000000000000,,4000000000000,1\n", &w, &error) != 0)
        fail_msg("%s", error.text);
    assert_int_equal(w->pod_count, 16384);
    assert_int_equal(w->pods[16383].object.gang.size, 16384);
    assert_true(mu_str_equal(w->pods[16383].object.name, MU_STR("job-999999999999999999-16383")));
    assert_true(w->pods[0].arrival_ns == UINT64_C(4000000000) * MU_NS_PER_S);
    mu_workload_destroy(w);
}

/* Each is refused in one line that names the line, the column and what is expected. */
static void test_philly_load__damaged__is_refused_by_line_and_column(void **state)
{
    (void)state;
    static const struct {
        const char *jobs, *line, *says;
    } cases[] = {
        {"job_id,num_gpu,submit_time\n", ":1: ", "'duration'"},
        {"job_id,submit_time,duration\n", ":1: ", "'num_gpu'"},
        {COLUMNS "x,1,0,,1,0\n", ":2: ", "column 'job_id': expected a whole number"},
        {COLUMNS ",1,0,,1,0\n", ":2: ", "column 'job_id'"},
        {COLUMNS "-1,1,0,,1,0\n", ":2: ", "column 'job_id'"},
        {COLUMNS "1000000000000000000,1,0,,1,0\n", ":2: ", "column 'job_id'"},
        {COLUMNS "1,1,0,,1,0\n2,0,0,,1,0\n", ":3: ", "column 'num_gpu': expected whole GPUs"},
        {COLUMNS "1,131073,0,,1,0\n", ":2: ", "column 'num_gpu'"},
        {COLUMNS "1,18446744073709551617,0,,1,0\n", ":2: ", "column 'num_gpu'"},
        {COLUMNS "1,0.5,0,,1,0\n", ":2: ", "column 'num_gpu'"},
        {COLUMNS "1,1,4000000000001,,1,0\n", ":2: ", "column 'submit_time'"},
        {COLUMNS "1,1,1e3,,1,0\n", ":2: ", "column 'submit_time'"},
        {COLUMNS "1,1,0,,0,0\n", ":2: ", "column 'duration': expected a run time"},
        {COLUMNS "1,1,0,,4000000000001,0\n", ":2: ", "column 'duration'"},
        {COLUMNS "1,1,0,,,0\n", ":2: ", "column 'duration'"},
        {COLUMNS "1,1,0,,1,2\n", ":2: ", "column 'priority': expected a whole number from 0 to 1"},
        {COLUMNS "1,1,0,,1,\n", ":2: ", "column 'priority'"},
        {COLUMNS "1,1,0,,1,0\n2,1,0,,1,0\n1,9,0,,1,0\n2,1,0,,1,0\n", ":4: ",
         "column 'job_id': expected a job that is not in the list yet, found '1' of line 2"},
        {COLUMNS "1,1,0,,1\n", ":2: ", "expected"},
        {COLUMNS "1,1,0,,1,0,0\n", ":2: ", "expected"},
        {COLUMNS "1,1,0,,1,0", ":2: ", "line break"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct mu_workload *w;
        struct mu_error error = {0};
        assert_int_not_equal(load(cases[i].jobs, &w, &error), 0);
        if (strstr(error.text, cases[i].says) == NULL || strstr(error.text, cases[i].line) == NULL)
            fail_msg("case %zu: '%s' does not say \"%s\" of \"%s\"", i, error.text, cases[i].says,
                     cases[i].line);
        assert_null(strchr(error.text, '\n'));
    }
}

static void test_philly_load__no_such_file__is_named(void **state)
{
    (void)state;
    struct mu_workload *w = NULL;
    struct mu_error error = {0};
    assert_int_equal(mu_workload_load_philly("/nonexistent/jobs.csv", NULL, &w, &error), MU_ENOENT);
    assert_non_null(strstr(error.text, "/nonexistent/jobs.csv"));
    assert_int_equal(mu_workload_load_philly("/dev/null", "/nonexistent/nodes.csv", &w, &error),
                     MU_ENOENT);
    assert_non_null(strstr(error.text, "/nonexistent/nodes.csv"));
    assert_null(w);
}

static bool load_under_failure(void *context)
{
    struct mu_workload *w = NULL;
    struct mu_error error = {0};
    int status = mu_workload_load_philly(context, NULL, &w, &error);
    assert_true(status == 0 || (w == NULL && strchr(error.text, '\n') == NULL));
    mu_workload_destroy(w);
    return status == 0;
}

static void test_philly_load__memory_runs_out__leaves_nothing(void **state)
{
    (void)state;
    char path[64];
    write_file(path, sizeof path, COLUMNS "1,20,5,,61,1\n2,1,5,,61,0\n");
    assert_true(mu_test_fail_each(load_under_failure, path) > 5);
    (void)unlink(path);
}

/* Random lists: every GPU of every job is asked for once, by pods of at most 8 in a gang that
 * states how many they are. */
static void test_philly_load__random_jobs__ask_for_every_gpu_once(void **state)
{
    (void)state;
    struct mu_test_run run = mu_test_run_begin(20260117);
    for (run.step = 0; run.step < 50; run.step++) {
        char text[4096] = COLUMNS;
        size_t len = strlen(text);
        int64_t gpus[40], got[40] = {0};
        uint32_t members[40] = {0}, jobs = (uint32_t)mu_random_between(&run.random, 1, 40);
        for (uint32_t j = 0; j < jobs; j++) {
            gpus[j] = mu_random_between(&run.random, 1, 70);
            len += (size_t)snprintf(text + len, sizeof text - len, "%u,%lld,%llu,m,%llu,%llu\n", j,
                                    (long long)gpus[j],
                                    (unsigned long long)mu_random_below(&run.random, 1000),
                                    (unsigned long long)mu_random_below(&run.random, 1000) + 1,
                                    (unsigned long long)mu_random_below(&run.random, 2));
        }
        struct mu_workload *w;
        struct mu_error error = {0};
        MU_TEST_CHECK(&run, load(text, &w, &error) == 0);
        for (uint32_t p = 0; p < w->pod_count; p++) {
            const struct mu_workload_pod *pod = &w->pods[p];
            unsigned job = jobs;
            MU_TEST_CHECK(&run, sscanf(pod->object.name.data, "job-%u", &job) == 1 && job < jobs);
            int64_t count = request_of(pod, MU_GPU_RESOURCE);
            MU_TEST_CHECK(&run, count >= 1 && count <= 8);
            got[job] += count;
            members[job]++;
            MU_TEST_CHECK(&run, pod->object.gang.size == (gpus[job] > 8 ? (gpus[job] + 7) / 8 : 0));
        }
        for (uint32_t j = 0; j < jobs; j++) {
            MU_TEST_CHECK(&run, got[j] == gpus[j]);
            MU_TEST_CHECK(&run, members[j] == (uint32_t)(gpus[j] + 7) / 8);
        }
        mu_workload_destroy(w);
    }
}

/* The published lists: counts as their description gives them. */
static void test_philly_load__published_lists__have_the_known_counts(void **state)
{
    (void)state;
    static const struct {
        const char *list;
        uint32_t pods, gangs, longest_s;
    } lists[] = {
        {"muri-philly/trace1.csv.xz", 1494 + 40 + 3 * 25, 40 + 25, 4628239},
        {"muri-philly/trace4.csv.xz", 2638, 0, 4014063},
        {"muri-philly/cluster_trace.csv.xz", 400 + 3 + 3 * 40, 3 + 40, 603739},
    };
    char nodes[512], jobs[512];
    if (!traces_find("openb-gpu-v2023/openb_node_list_all_node.csv.xz", nodes, sizeof nodes))
        return;
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) {
        if (!traces_find(lists[i].list, jobs, sizeof jobs))
            continue;
        struct mu_workload *w = NULL;
        struct mu_error error = {0};
        if (mu_workload_load_philly(jobs, nodes, &w, &error) != 0)
            fail_msg("%s", error.text);
        uint32_t gangs = 0;
        uint64_t longest_ns = 0;
        for (uint32_t p = 0; p < w->pod_count; p++) {
            const struct mu_workload_pod *pod = &w->pods[p];
            const struct mu_str name = pod->object.name;
            gangs += pod->object.gang.size > 0 && name.data[name.len - 1] == '0' &&
                     name.data[name.len - 2] == '-';
            longest_ns = pod->duration_ns > longest_ns ? pod->duration_ns : longest_ns;
        }
        assert_int_equal(w->node_count, 1523);
        assert_int_equal(w->pod_count, lists[i].pods);
        assert_int_equal(gangs, lists[i].gangs);
        assert_int_equal(longest_ns / MU_NS_PER_S, lists[i].longest_s);
        mu_workload_destroy(w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_philly_load__rows__become_gangs_of_pods_of_8_gpus),
        cmocka_unit_test(test_philly_load__no_priority_column__is_0),
        cmocka_unit_test(test_philly_load__largest_values__are_taken),
        cmocka_unit_test(test_philly_load__damaged__is_refused_by_line_and_column),
        cmocka_unit_test(test_philly_load__no_such_file__is_named),
        cmocka_unit_test(test_philly_load__memory_runs_out__leaves_nothing),
        cmocka_unit_test(test_philly_load__random_jobs__ask_for_every_gpu_once),
        cmocka_unit_test(test_philly_load__published_lists__have_the_known_counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
