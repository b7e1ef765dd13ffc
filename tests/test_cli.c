/*
 * The programs as people meet them: exit status, one clear line for wrong input, and the main job
 * over real sockets. Every child is ended by pid; every port is a free one on loopback.
 */
#include "tests/cli_rig.h"

#include "tests/traces.h"

#include <glob.h>
#include <arpa/inet.h>
#include <jansson.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>

/* ---- wrong input -------------------------------------------------------------------------- */

static void test_cli__wrong_flags__one_line_and_status_2(void **state)
{
    (void)state;
    refuses("muster", (const char *const[]){NULL}, "expected one of");
    REFUSES("muster", "'bogus'", "bogus");
    REFUSES("muster", "'bogus'", "help", "bogus");
    REFUSES("muster", "'bogus'", "version", "bogus");
    REFUSES("muster", "bogus", "demo", "--bogus");
    REFUSES("muster", "--profile: 'best'", "demo", "--score", "best");
    REFUSES("muster", "seeds", "sim", "--seeds", "5..1");
    REFUSES("muster", "faults", "sim", "--seeds", "1..1", "--faults", "bogus");
    REFUSES("muster", "--seeds", "sim", "--faults", "drop");
    REFUSES("muster", "unknown flag --plant", "sim", "--plant", "list");
    REFUSES("muster-planted", "'bogus'", "sim", "--plant", "bogus");
    REFUSES("muster-planted", "--seeds", "sim", "--plant", "read-only");
    REFUSES("muster", "--openb-pods", "demo", "--openb-nodes", "x.csv");
    REFUSES("muster", "--openb-nodes is missing", "demo", "--openb-pods", "x.csv");
    REFUSES("muster", "--philly", "sim", "--openb-nodes", "x.csv");
    REFUSES("muster", "expected one of them", "sim", "--philly", "x.csv", "--openb-pods", "y.csv");
    REFUSES("muster", "--philly", "sim", "--seeds", "1..2", "--philly", "x.csv");
    REFUSES("muster", "between 1 and 1000000", "demo", "--replay", "0");
    REFUSES("muster", "--replay", "demo", "--replay", "-3");
    REFUSES("muster", "--replay", "demo", "--replay", "1000001");
    REFUSES("muster", "--replay", "demo", "--replay", "fast");
    REFUSES("muster", "--replay", "sim", "--replay", "60"); /* its time is virtual */
    REFUSES("musterd", "--server", "--score", "pack");
    REFUSES("musterd", "http://HOST:PORT", "--server", "localhost");
    REFUSES("musterd", "quiet-time", "--server", "http://127.0.0.1:1", "--quiet-time", "soon");
    REFUSES("muster-kubesim", "port", "--port", "99999");
    REFUSES("muster-kubesim", "bogus", "--bogus", "1");
    REFUSES("muster-kubesim", "speed", "--speed", "0");
}

static void test_cli__offline_wrong_input__one_line_and_status_2(void **state)
{
    struct place p = place_make();
    (void)state;
    REFUSES("muster", "-f FILE", "place");
    REFUSES("muster", "NAMESPACE/NAME", "explain");
    REFUSES("muster", "-f FILE", "explain", "default/p");
    REFUSES("muster", "/nonexistent", "place", "-f", "/nonexistent");
    REFUSES("muster", "--output", "place", "-o", "yaml");
    REFUSES("muster", "unknown flag '-x'", "place", "-x");
    write_file(p.file, "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec:\n  containers: 5\n");
    REFUSES("muster", "/file:5: Pod default/p: spec.containers: expected an array", "place", "-f",
            p.file);
    REFUSES("muster", "/file:5: Pod default/p: spec.containers: expected an array", "explain",
            "default/p", "-f", p.file);
    write_file(p.file, "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\n"
                       "spec: {containers: [{name: c}]}\n");
    REFUSES("muster", "no pod default/q in the input", "explain", "default/q", "-f", p.file);
    REFUSES("muster", "no pod x/p in the input", "explain", "x/p", p.file);
    place_drop(&p);
}

/* The indented lines of a text behind the line `head`, up to one that starts with `end` or is not
 * indented, without their indentation and blank lines at the end. */
static void example(const char *text, const char *head, const char *end, char out[OUTPUT_BYTES])
{
    const char *line = strstr(text, head);
    size_t len = 0;
    size_t kept = 0;
    assert_non_null(line);
    for (line = strchr(line, '\n') + 1; *line == '\n' || strncmp(line, "    ", 4) == 0;
         line = strchr(line, '\n') + 1) {
        bool blank = *line == '\n';
        size_t width = strcspn(line, "\n") + 1;
        if (!blank && strncmp(line + 4, end, strlen(end)) == 0)
            break;
        memcpy(out + len, blank ? line : line + 4, blank ? 1 : width - 4);
        len += blank ? 1 : width - 4;
        kept = blank ? kept : len;
    }
    out[kept] = '\0';
}

static void test_cli__example_of_the_readme__prints_what_it_says(void **state)
{
    static char readme[OUTPUT_BYTES], text[OUTPUT_BYTES];
    struct place p = place_make();
    (void)state;
    read_file(MU_SOURCE_DIR "/README.md", readme);
    example(readme, "    cat > two.yaml <<'EOF'\n", "EOF", text);
    write_file(p.file, text);
    struct result r = run("muster", (const char *const[]){"place", "-f", p.file, NULL});
    assert_int_equal(r.status, 0);
    example(readme, "    $ muster place -f two.yaml\n", "$", text);
    assert_string_equal(r.out, text);
    r = run("muster", (const char *const[]){"explain", "default/new", "-f", p.file, NULL});
    assert_int_equal(r.status, 0);
    example(readme, "    $ muster explain default/new -f two.yaml\n", "$", text);
    assert_string_equal(r.out, text);
    static const char scenario[] = MU_SOURCE_DIR "/tests/data/scenarios/5.yaml";
    r = run("muster", (const char *const[]){"place", "-f", scenario, NULL});
    assert_int_equal(r.status, 0);
    example(readme, "    $ muster place -f tests/data/scenarios/5.yaml\n", "$", text);
    assert_string_equal(r.out, text);
    r = run("muster", (const char *const[]){"explain", "default/high-1", "-f", scenario, NULL});
    assert_int_equal(r.status, 0);
    example(readme, "    $ muster explain default/high-1 -f tests/data/scenarios/5.yaml\n", "$",
            text);
    assert_string_equal(r.out, text);
    place_drop(&p);
}

static void test_cli__offline__answers_on_stdout_and_notes_on_stderr(void **state)
{
    struct place p = place_make();
    (void)state;
    write_file(p.file, "apiVersion: v1\nkind: Node\nmetadata: {name: n1}\n"
                       "status: {allocatable: {cpu: 4, memory: 8Gi, pods: 10}}\n"
                       "---\napiVersion: v1\nkind: Service\nmetadata: {name: s}\n"
                       "---\napiVersion: v1\nkind: Pod\nmetadata: {name: p}\n"
                       "spec: {containers: [{name: c}]}\n");
    struct result r =
        run("muster", (const char *const[]){"place", "-f", p.file, "-o", "json", NULL});
    assert_int_equal(r.status, 0);
    assert_string_equal(r.out, "{\"bindings\":[{\"pod\":\"default/p\",\"node\":\"n1\",\"gang\":"
                               "\"default/p\"}],\"evictions\":[],\"pending\":[]}\n");
    assert_non_null(strstr(r.err, "/file:6: Service: skipped, no part in placing\n"));
    assert_int_equal(lines_of(r.err), 1);
    r = run("muster", (const char *const[]){"place", "--file", p.file, NULL});
    assert_int_equal(r.status, 0);
    assert_string_equal(r.out, "POD        NODE  GANG\ndefault/p  n1    -\n\n"
                               "1 placed, 0 evicted, 0 pending\n");
    r = run("muster", (const char *const[]){"explain", "p", p.file, NULL});
    assert_int_equal(r.status, 0);
    assert_non_null(strstr(r.out, "default/p fits on 1 of 1 nodes\n"));
    r = run("muster", (const char *const[]){"explain", "--help", NULL});
    assert_int_equal(r.status, 0);
    assert_non_null(strstr(r.out, "usage: muster explain NAMESPACE/NAME [FILE...] [flags]\n"));
    /* standard input is /dev/null here: no objects at all */
    r = run("muster", (const char *const[]){"place", "-f", "-", NULL});
    assert_int_equal(r.status, 0);
    assert_string_equal(r.out, "0 placed, 0 evicted, 0 pending\n");
    assert_string_equal(r.err, "muster place: no objects in the input\n");
    r = run("muster", (const char *const[]){"place", "-f", p.file, "-ojson", NULL});
    assert_int_equal(r.status, 0);
    assert_non_null(strstr(r.out, "{\"bindings\":["));
    place_drop(&p);
}

/* Limits of a daemon's pace have no say in who goes where. */
static void test_cli__place_with_a_daemons_limits__evicts_all_the_same(void **state)
{
    struct place p = place_make();
    (void)state;
    write_file(p.file, "preemption: {minRunTime: 10m, evictionsPerInterval: 1, interval: 1m}\n");
    struct result r =
        run("muster", (const char *const[]){"place", "--config", p.file, "-f",
                                            MU_SOURCE_DIR "/tests/data/scenarios/5.yaml", NULL});
    assert_int_equal(r.status, 0);
    assert_non_null(strstr(r.out, "\n1 placed, 3 evicted, 0 pending\n"));
    place_drop(&p);
}

static void test_cli__bad_files__one_line_with_file_and_line(void **state)
{
    struct place p = place_make();
    (void)state;
    write_file(p.file, "score: pack\nscoer: spread\n");
    REFUSES("musterd", "scoer", "--server", "http://127.0.0.1:1", "--config", p.file);
    REFUSES("musterd", "/nonexistent", "--config", "/nonexistent");
    write_file(p.file, "profil: binpack\n");
    REFUSES("muster", "unknown key 'profil'", "place", "--config", p.file, "-f", "-");
    REFUSES("muster", "unknown key 'profil'", "explain", "p", "--config", p.file, "-f", "-");
    write_file(p.file, "bindsInFlight: -4\n");
    REFUSES("muster", "1:1: 'bindsInFlight'", "place", "--config", p.file, "-f", "-");
    write_file(p.file, "sn,cpu_milli,memory_mib,gpu,model\nnode-1,1000,10\n");
    REFUSES("muster", p.file, "demo", "--openb-nodes", p.file, "--openb-pods", p.file);
    write_file(p.file, "sn,cpu_milli,memory_mib,gpu,model\nnode-1,lots,1024,0,\n");
    REFUSES("muster", "cpu_milli", "demo", "--openb-nodes", p.file, "--openb-pods", p.file);
    REFUSES("muster", "/nonexistent", "sim", "--openb-nodes", "/nonexistent", "--openb-pods",
            "/nonexistent");
    REFUSES("muster", "/nonexistent", "sim", "--philly", "/nonexistent");
    write_file(p.file, "sn,cpu_milli,memory_mib,gpu,model\nn,1,1,0,\n");
    write_file(p.url, "name,cpu_milli,memory_mib,num_gpu,gpu_milli\np,1,1,0,0\n");
    REFUSES("muster", "--replay needs a trace with arrivals", "demo", "--replay", "60",
            "--openb-nodes", p.file, "--openb-pods", p.url);
    write_file(p.file, "job_id,num_gpu,submit_time,duration\n0,8,0,1\n1,8,later,1\n");
    REFUSES("muster", ":3: column 'submit_time'", "sim", "--philly", p.file);
    REFUSES("muster", ":3: column 'submit_time'", "demo", "--philly", p.file);
    place_drop(&p);
}

static void test_cli__help__within_80_columns(void **state)
{
    static const char *const programs[][2] = {{"muster", "--help"},        {"muster", "demo"},
                                              {"muster", "sim"},           {"muster", "place"},
                                              {"muster", "explain"},       {"musterd", "--help"},
                                              {"muster-kubesim", "--help"}};
    (void)state;
    for (size_t i = 0; i < sizeof programs / sizeof programs[0]; i++) {
        const char *args[] = {programs[i][1], programs[i][1][0] == '-' ? NULL : "--help", NULL};
        struct result r = run(programs[i][0], args);
        size_t lines = 0;
        assert_int_equal(r.status, 0);
        for (const char *line = r.out; *line != '\0'; lines++) {
            size_t len = strcspn(line, "\n");
            assert_in_range(len, 0, 80);
            line += len + (line[len] == '\n');
        }
        assert_true(lines > 5);
    }
}

static void test_cli__help_and_version__status_0(void **state)
{
    (void)state;
    assert_int_equal(run("muster", (const char *const[]){"help", NULL}).status, 0);
    assert_int_equal(run("muster", (const char *const[]){"--version", NULL}).status, 0);
    assert_non_null(
        strstr(run("muster", (const char *const[]){"help", "demo", NULL}).out, "--replay SPEED"));
    assert_int_equal(run("muster", (const char *const[]){"demo", "--help", NULL}).status, 0);
    assert_int_equal(run("muster", (const char *const[]){"sim", "--help", NULL}).status, 0);
    assert_int_equal(run("musterd", (const char *const[]){"--help", NULL}).status, 0);
    assert_int_equal(run("musterd", (const char *const[]){"--version", NULL}).status, 0);
    struct result r = run("muster-kubesim", (const char *const[]){"--help", NULL});
    assert_int_equal(r.status, 0);
    assert_non_null(strstr(r.out, "--announce"));
    assert_string_equal(r.err, "");
}

static void test_musterd__no_server__one_line_and_status_1(void **state)
{
    (void)state;
    struct result r =
        run("musterd", (const char *const[]){"--server", "http://127.0.0.1:1", "--connect-timeout",
                                             "1s", "--log-level", "error", NULL});
    assert_int_equal(r.status, 1);
    assert_int_equal(lines_of(r.err), 1);
    assert_non_null(strstr(r.err, "http://127.0.0.1:1"));
    assert_non_null(strstr(r.err, "expected a Kubernetes API server"));
}

/* ---- the main job ------------------------------------------------------------------------- */

static void test_musterd__sigterm__drains_and_ends_well(void **state)
{
    static char log[OUTPUT_BYTES];
    struct place p = place_make();
    char url[128];
    (void)state;
    pid_t kubesim =
        start("muster-kubesim", (const char *const[]){"--nodes", "3", "--announce", p.url, NULL},
              "/dev/null", "/dev/null");
    wait_for_url(p.url, url);
    pid_t musterd = start("musterd", (const char *const[]){"--server", url, NULL}, p.out, p.err);
    for (int i = 0; i < 3000; i++) {
        read_file(p.err, log);
        if (strstr(log, "cluster known") != NULL)
            break;
        (void)poll(NULL, 0, 10);
    }
    assert_non_null(strstr(log, "nodes=3"));
    assert_int_equal(kill(musterd, SIGTERM), 0);
    assert_int_equal(finish(musterd), 0);
    assert_int_equal(kill(kubesim, SIGTERM), 0);
    assert_int_equal(finish(kubesim), 0);
    place_drop(&p);
}

/* A connection to the server on this port of loopback that was served once and stays. */
static int served_connection(uint16_t port)
{
    static const char request[] = "GET /version HTTP/1.1\r\nhost: x\r\n\r\n";
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    char answer[1024];
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (const struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(send(fd, request, sizeof request - 1, MSG_NOSIGNAL), sizeof request - 1);
    ssize_t n = recv(fd, answer, sizeof answer, 0);
    assert_true(n > 15);
    assert_memory_equal(answer, "HTTP/1.1 200 OK", 15);
    return fd;
}

/* A shell's soft limit is not the limit of connections. */
static void test_kubesim__low_soft_limit_of_files__is_raised(void **state)
{
    enum { SOFT = 64, CONNECTIONS = 3 * SOFT };
    int fds[CONNECTIONS];
    struct place p = place_make();
    char url[128];
    unsigned port;
    struct rlimit ours;
    (void)state;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &ours), 0);
    const struct rlimit low = {SOFT, ours.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
    pid_t kubesim = start("muster-kubesim", (const char *const[]){"--announce", p.url, NULL},
                          "/dev/null", "/dev/null");
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &ours), 0);
    wait_for_url(p.url, url);
    assert_int_equal(sscanf(url, "http://127.0.0.1:%u", &port), 1);
    for (int i = 0; i < CONNECTIONS; i++)
        fds[i] = served_connection((uint16_t)port);
    for (int i = 0; i < CONNECTIONS; i++)
        assert_int_equal(close(fds[i]), 0);
    assert_int_equal(kill(kubesim, SIGTERM), 0);
    assert_int_equal(finish(kubesim), 0);
    place_drop(&p);
}

static json_int_t integer(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    assert_true(json_is_integer(value));
    return json_integer_value(value);
}

static void check_clean(const struct result *r)
{
    json_error_t error;
    if (r->status != 0)
        print_error("stdout: %s\nstderr: %s\n", r->out, r->err);
    assert_int_equal(r->status, 0);
    assert_int_equal(lines_of(r->out), 1);
    json_t *report = json_loads(r->out, 0, &error);
    assert_non_null(report);
    assert_int_equal(integer(report, "partial_gangs"), 0);
    assert_int_equal(integer(report, "overcommitted_nodes"), 0);
    assert_int_equal(integer(report, "pending_that_fit"), 0);
    assert_int_equal(integer(report, "bound") + integer(report, "pending"),
                     integer(report, "pods"));
    assert_true(integer(report, "nodes") == 1523);
    assert_true(integer(report, "bound") > 7000);
    assert_true(integer(report, "gangs") >= 100);
    assert_true(json_is_number(json_object_get(report, "pods_per_second")));
    assert_true(json_is_number(json_object_get(report, "bind_latency_ms_p99")));
    json_decref(report);
}

static void test_demo__default__binds_all_that_fits_over_sockets(void **state)
{
    struct place p = place_make();
    (void)state;
    struct result r =
        run("muster", (const char *const[]){"demo", "--json", "--dump", p.file, NULL});
    check_clean(&r);
    json_error_t error;
    json_t *list = json_load_file(p.file, 0, &error);
    assert_string_equal(json_string_value(json_object_get(list, "kind")), "List");
    assert_true(json_array_size(json_object_get(list, "items")) > 1523 + 7000);
    json_decref(list);
    place_drop(&p);
}

/* The newest file of that name below dir/muster-demo-*; false when there is none. */
static bool demo_file(const char *dir, const char *name, char path[192])
{
    char pattern[128];
    glob_t found = {0};
    (void)snprintf(pattern, sizeof pattern, "%s/muster-demo-*/%s", dir, name);
    bool any = glob(pattern, 0, NULL, &found) == 0 && found.gl_pathc > 0;
    if (any)
        (void)snprintf(path, 192, "%s", found.gl_pathv[0]);
    globfree(&found);
    return any;
}

/* Wait for a child whichever, at most 10 s. Returns how it ended, as finish. */
static int finish_any(void)
{
    int status;
    for (int i = 0; i < 1000; i++) {
        if (waitpid(-1, &status, WNOHANG) > 0)
            return WIFEXITED(status) ? WEXITSTATUS(status) : 256 + WTERMSIG(status);
        (void)poll(NULL, 0, 10);
    }
    return -1;
}

static void test_demo__killed__takes_its_children_along(void **state)
{
    static const char *const left[] = {"url", "kubeconfig", "muster-kubesim.log", "musterd.log"};
    static char log[OUTPUT_BYTES];
    struct place p = place_make();
    char path[192];
    (void)state;
    assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 1), 0); /* orphans become ours */
    assert_int_equal(setenv("TMPDIR", p.dir, 1), 0);
    pid_t demo =
        start("muster", (const char *const[]){"demo", "--replay", "1", NULL}, p.out, p.err);
    assert_int_equal(unsetenv("TMPDIR"), 0);
    log[0] = '\0';
    for (int i = 0; i < 3000 && strstr(log, "cluster known") == NULL; i++) {
        if (demo_file(p.dir, "musterd.log", path))
            read_file(path, log);
        (void)poll(NULL, 0, 10);
    }
    assert_non_null(strstr(log, "cluster known")); /* both run */
    assert_int_equal(kill(demo, SIGKILL), 0);
    for (int i = 0; i < 3; i++)
        assert_int_equal(finish_any(), 256 + SIGKILL); /* the demo, and what it had started */
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
    assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 0), 0);
    for (size_t i = 0; i < sizeof left / sizeof left[0]; i++)
        if (demo_file(p.dir, left[i], path))
            (void)unlink(path);
    if (demo_file(p.dir, "", path))
        (void)rmdir(path);
    place_drop(&p);
}

static void test_muster_tether__parent_gone_or_nonsense__runs_nothing(void **state)
{
    (void)state;
    struct result r = run("muster", (const char *const[]){"tether", "1", "/bin/echo", "no", NULL});
    assert_int_equal(r.status, 1);
    assert_string_equal(r.out, "");
    REFUSES("muster", "expected PID PROGRAM", "tether", "x", "/bin/echo");
    REFUSES("muster", "expected PID PROGRAM", "tether", "1");
    assert_null(strstr(run("muster", (const char *const[]){"help", NULL}).out, "tether"));
}

static void test_sim__default__the_same_report_under_virtual_time(void **state)
{
    (void)state;
    struct result r = run("muster", (const char *const[]){"sim", "--json", NULL});
    check_clean(&r);
}

static void check_counts(const struct result *r, const char *const *keys, const json_int_t *counts)
{
    json_error_t error;
    json_t *report = json_loads(r->out, 0, &error);
    if (report == NULL)
        print_error("stdout: %s\nstderr: %s\n", r->out, r->err);
    assert_non_null(report);
    for (size_t i = 0; keys[i] != NULL; i++) {
        if (integer(report, keys[i]) != counts[i])
            print_error("%s in %s\n", keys[i], r->out);
        assert_int_equal(integer(report, keys[i]), counts[i]);
    }
    json_decref(report);
}

static const char *const counted[] = {"nodes",
                                      "pods",
                                      "gangs",
                                      "bound",
                                      "pending",
                                      "partial_gangs",
                                      "pending_that_fit",
                                      "overcommitted_nodes",
                                      NULL};

/* What can never be placed waits, and says why; all others run, one after the other. */
static void test_sim__jobs_that_never_fit__stay_pending_with_a_reason(void **state)
{
    struct place p = place_make();
    (void)state;
    write_file(p.file, "sn,cpu_milli,memory_mib,gpu,model\n"
                       "full,64000,524288,8,A\n"   /* 8 GPUs with what they ask for beside */
                       "lean,64000,524287,8,A\n"); /* a MiB less: 7 */
    write_file(p.url, "job_id,num_gpu,submit_time,duration\n"
                      "1,16,0,1000\n" /* 8 + 8: there is one such node */
                      "2,8,0,86400000\n3,15,1000,1000\n4,8,2000,1\n");
    struct result r = run("muster", (const char *const[]){"sim", "--json", "--philly", p.url,
                                                          "--openb-nodes", p.file, NULL});
    assert_int_equal(r.status, 0);
    check_counts(&r, counted, (const json_int_t[]){2, 6, 2, 4, 2, 0, 0, 0});
    r = run("muster",
            (const char *const[]){"sim", "--philly", p.url, "--openb-nodes", p.file, NULL});
    assert_non_null(strstr(r.out, "2  no room: insufficient"));
    place_drop(&p);
}

/* In real time pods end too: the second job gets the room of the first; the demo ends once nothing
 * runs that could make room for the third. The profile is one of the file's, by which both programs
 * call it. */
static void test_demo__replay__later_jobs_get_the_room_of_those_that_ended(void **state)
{
    struct place p = place_make();
    (void)state;
    write_file(p.file, "sn,cpu_milli,memory_mib,gpu,model\nn,64000,524288,8,A\n");
    write_file(p.url,
               "job_id,num_gpu,submit_time,duration\n"
               "1,8,7200000,3600000\n2,8,7200001,60000\n3,16,7200002,1000\n4,8,10800000,1\n");
    write_file(p.out, "profile: own\nprofiles: [{name: own, weights: {NodeResourcesFit: 5}}]\n");
    const char *const args[] = {"demo",          "--json", "--philly", p.url,
                                "--openb-nodes", p.file,   "--replay", "3600",
                                "--config",      p.out,    NULL};
    struct result r = run("muster", args);
    if (r.status != 0)
        print_error("stdout: %s\nstderr: %s\n", r.out, r.err);
    assert_int_equal(r.status, 0);
    check_counts(&r, counted, (const json_int_t[]){1, 5, 1, 3, 2, 0, 0, 0});
    json_t *report = json_loads(r.out, 0, NULL);
    assert_int_equal(json_object_size(report), 12); /* the same keys as ever */
    /* Job 2 had to wait until job 1 had run for its second. */
    assert_true(json_number_value(json_object_get(report, "seconds")) > 1.0);
    assert_true(json_number_value(json_object_get(report, "bind_latency_ms_p99")) > 900.0);
    json_decref(report);
    assert_non_null(strstr(r.err, "replaying"));
    place_drop(&p);
}

static void test_sim__philly_on_openb_nodes__all_jobs_run_whole(void **state)
{
    char jobs[512], nodes[512];
    (void)state;
    if (!traces_find("muri-philly/trace1.csv.xz", jobs, sizeof jobs) ||
        !traces_find("openb-gpu-v2023/openb_node_list_all_node.csv.xz", nodes, sizeof nodes))
        return;
    struct result r = run("muster", (const char *const[]){"sim", "--json", "--philly", jobs,
                                                          "--openb-nodes", nodes, NULL});
    assert_int_equal(r.status, 0);
    check_counts(&r, counted, (const json_int_t[]){1523, 1609, 65, 1609, 0, 0, 0, 0});
}

static void test_sim__seeds_nowhere_to_write__status_1(void **state)
{
    static char err[OUTPUT_BYTES];
    struct place p = place_make();
    (void)state;
    const char *const args[] = {"sim", "--seeds", "1..1", NULL};
    assert_int_equal(finish(start("muster", args, "/dev/full", p.err)), 1);
    read_file(p.err, err);
    assert_non_null(strstr(err, "muster sim: report: input or output failed"));
    place_drop(&p);
}

static void test_sim__seeds_as_json__are_deterministic(void **state)
{
    static const char *const args[] = {"sim", "--seeds", "1..3", "--json", NULL};
    static char first[OUTPUT_BYTES];
    json_error_t error;
    (void)state;
    struct result r = run("muster", args);
    assert_int_equal(r.status, 0);
    json_t *report = json_loads(r.out, 0, &error);
    assert_int_equal(integer(report, "seeds"), 3);
    assert_true(integer(report, "steps") > 100);
    assert_int_equal(json_array_size(json_object_get(report, "violations")), 0);
    assert_int_equal(strlen(json_string_value(json_object_get(report, "trace_hash"))), 16);
    json_decref(report);
    (void)snprintf(first, sizeof first, "%s", r.out);
    assert_string_equal(run("muster", args).out, first);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cli__wrong_flags__one_line_and_status_2),
        cmocka_unit_test(test_cli__offline_wrong_input__one_line_and_status_2),
        cmocka_unit_test(test_cli__example_of_the_readme__prints_what_it_says),
        cmocka_unit_test(test_cli__offline__answers_on_stdout_and_notes_on_stderr),
        cmocka_unit_test(test_cli__place_with_a_daemons_limits__evicts_all_the_same),
        cmocka_unit_test(test_cli__bad_files__one_line_with_file_and_line),
        cmocka_unit_test(test_cli__help_and_version__status_0),
        cmocka_unit_test(test_cli__help__within_80_columns),
        cmocka_unit_test(test_musterd__no_server__one_line_and_status_1),
        cmocka_unit_test(test_musterd__sigterm__drains_and_ends_well),
        cmocka_unit_test(test_kubesim__low_soft_limit_of_files__is_raised),
        cmocka_unit_test(test_demo__default__binds_all_that_fits_over_sockets),
        cmocka_unit_test(test_demo__killed__takes_its_children_along),
        cmocka_unit_test(test_muster_tether__parent_gone_or_nonsense__runs_nothing),
        cmocka_unit_test(test_sim__default__the_same_report_under_virtual_time),
        cmocka_unit_test(test_sim__jobs_that_never_fit__stay_pending_with_a_reason),
        cmocka_unit_test(test_demo__replay__later_jobs_get_the_room_of_those_that_ended),
        cmocka_unit_test(test_sim__philly_on_openb_nodes__all_jobs_run_whole),
        cmocka_unit_test(test_sim__seeds_nowhere_to_write__status_1),
        cmocka_unit_test(test_sim__seeds_as_json__are_deterministic),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
