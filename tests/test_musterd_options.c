/* What musterd can be told: flags, the file, and one clear line for what is wrong. */
#include "tests/mu_test.h"

#include "engine/base/clock.h"
#include "tools/musterd/options_priv.h"

static void test_duration__units_and_bounds(void **state)
{
    struct mu_error error;
    uint64_t ns = 0;
    (void)state;
    assert_int_equal(mu_duration_parse("200ms", &ns, &error), 0);
    assert_int_equal(ns, 200 * MU_NS_PER_MS);
    assert_int_equal(mu_duration_parse("24m", &ns, &error), 0);
    assert_int_equal(ns, 24 * 60 * MU_NS_PER_S);
    assert_int_equal(mu_duration_parse("24h", &ns, &error), 0);
    assert_int_equal(ns, 24 * 3600 * MU_NS_PER_S);
    assert_int_equal(mu_duration_parse("0s", &ns, &error), 0);
    static const char *const bad[] = {"",     "5",   "s",      "-1s",
                                      "1.5s", "25h", "86401s", "99999999999999999999s",
                                      "5 s",  "5S",  "1h30m"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(mu_duration_parse(bad[i], &ns, &error), MU_EINVAL);
    assert_int_equal(ns, 0); /* a failure changes nothing */
}

static void write_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static int load(const char *text, struct mu_daemon_options *o, struct mu_error *error)
{
    char path[] = "/tmp/muster-options-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    (void)close(fd);
    write_file(path, text);
    *error = (struct mu_error){0};
    int rc = mu_daemon_options_load(o, path, error);
    (void)unlink(path);
    return rc;
}

static void test_options_journal__where_it_is(void **state)
{
    static const char *const bad[] = {"j",    "a/",   "/j",   "a/b/c",  "A/j", "a/J",
                                      "a-/j", "a/-j", "a/j.", "Memory", "a/ j"};
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct mu_daemon_options o = {0};
        struct mu_error error;
        char text[64];
        (void)snprintf(text, sizeof text, "journal: %s\n", bad[i]);
        assert_int_equal(load(text, &o, &error), MU_EINVAL);
        assert_non_null(strstr(error.text, "NAMESPACE/NAME"));
    }
    struct mu_daemon_options o = {.journal_ns = "x", .journal_name = "y"};
    struct mu_error error;
    assert_int_equal(load("journal: memory\n", &o, &error), 0);
    assert_true(o.journal_memory && o.journal_name[0] == '\0');
    assert_int_equal(load("journalRate: 5\n", &o, &error), MU_EINVAL);
    assert_int_equal(load("order: fair\n", &o, &error), MU_EINVAL);
    assert_int_equal(load("reserveAfter: 5\n", &o, &error), MU_EINVAL);
    assert_int_equal(load("gangDeadline: 0s\n", &o, &error), MU_EINVAL);
    assert_int_equal(load("shortGang: delete\n", &o, &error), MU_EINVAL);
    assert_non_null(strstr(error.text, "expected complete, end or keep"));
}

static void test_options_preemption__wrong__one_line_says_what(void **state)
{
    static const struct {
        const char *text, *said;
    } bad[] = {
        {"preemption: true\n", ":1:1: 'preemption': expected a mapping"},
        {"preemption: {enabled: maybe}\n", "'enabled': 'maybe': expected true or false"},
        {"preemption: {minRunTime: 90}\n", "'minRunTime': '90': expected a duration"},
        {"preemption: {evictionsPerInterval: -1}\n", "expected a whole number from 0 to 1000000"},
        {"preemption:\n  interval: 0s\n", ":2:3: 'interval': '0s': expected more than 0"},
        {"preemption: {intervall: 1m}\n", "'intervall'"},
        {"interval: 1m\n", "'interval'"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct mu_daemon_options o = {.eviction_interval_ns = 1};
        struct mu_error error;
        assert_int_equal(load(bad[i].text, &o, &error), MU_EINVAL);
        if (strstr(error.text, bad[i].said) == NULL)
            fail_msg("%s", error.text);
        assert_null(strchr(error.text, '\n'));
    }
    struct mu_daemon_options o = {.preempts = true};
    struct mu_error error;
    assert_int_equal(load("preemption: {}\n", &o, &error), 0);
    assert_true(o.preempts);
}

static void test_options_file__every_setting_is_read(void **state)
{
    struct mu_daemon_options o = {.preempts = true};
    struct mu_error error;
    (void)state;
    assert_int_equal(load("server: http://10.0.0.1:8080\n"
                          "schedulerNames: [muster, batch]\n"
                          "score: pack\n"
                          "quietTime: 3s\n"
                          "batchWindow: 5ms\n"
                          "holdTime: 1m\n"
                          "gangDeadline: 90s\n"
                          "shortGang: end\n"
                          "order: strict\n"
                          "reserveAfter: 10m\n"
                          "preemption: {enabled: false, minRunTime: 90s,\n"
                          "             evictionsPerInterval: 50, interval: 2m}\n"
                          "connectTimeout: 7s\n"
                          "drainTimeout: 8s\n"
                          "bindsInFlight: 64\n"
                          "connections: 2\n"
                          "reportRate: 0\n"
                          "journal: ops/m-journal\n"
                          "journalRate: 50000\n"
                          "logLevel: warn\n"
                          "logFormat: json\n"
                          "kubeconfig: /etc/kube config\n"
                          "context: prod\n",
                          &o, &error),
                     0);
    assert_string_equal(o.kubeconfig, "/etc/kube config");
    assert_string_equal(o.context, "prod");
    assert_string_equal(o.host, "10.0.0.1");
    assert_int_equal(o.port, 8080);
    assert_int_equal(o.scheduler_name_count, 2);
    assert_string_equal(o.scheduler_names[1], "batch");
    assert_string_equal(o.profile->name, "pack");
    assert_int_equal(o.gang_deadline_ns, 90 * MU_NS_PER_S);
    assert_int_equal(o.short_gangs, MU_SHORT_END);
    assert_int_equal(o.quiet_ns, 3 * MU_NS_PER_S);
    assert_int_equal(o.batch_window_ns, 5 * MU_NS_PER_MS);
    assert_int_equal(o.hold_ns, 60 * MU_NS_PER_S);
    assert_true(o.strict);
    assert_int_equal(o.reserve_after_ns, 600 * MU_NS_PER_S);
    assert_false(o.preempts);
    assert_int_equal(o.min_run_ns, 90 * MU_NS_PER_S);
    assert_int_equal(o.evictions_per_interval, 50);
    assert_int_equal(o.eviction_interval_ns, 120 * MU_NS_PER_S);
    assert_int_equal(o.connect_wait_ns, 7 * MU_NS_PER_S);
    assert_int_equal(o.drain_ns, 8 * MU_NS_PER_S);
    assert_int_equal(o.binds_in_flight, 64);
    assert_string_equal(o.journal_ns, "ops");
    assert_string_equal(o.journal_name, "m-journal");
    assert_false(o.journal_memory);
    assert_int_equal(o.journal_rate, 50000);
    assert_int_equal(o.connections, 2);
    assert_int_equal(o.report_rate, 0);
    assert_int_equal(o.log_level, MU_LOG_WARN);
    assert_int_equal(o.log_format, MU_LOG_JSON);
    assert_int_equal(mu_setting_count, 26); /* all of them are above */
}

/* The documented example is what it says: every setting, with its default. */
static void test_options_file__example__holds_the_defaults(void **state)
{
    struct mu_daemon_options defaults, o;
    struct mu_error error = {0};
    char *argv[] = {"musterd", "--server", "http://127.0.0.1:8001", NULL};
    (void)state;
    assert_int_equal(mu_daemon_options_read(&defaults, 3, argv), -1);
    memset(&o, 0, sizeof o);
    int rc = mu_daemon_options_load(&o, MU_SOURCE_DIR "/tools/musterd/musterd.yaml", &error);
    if (rc != 0)
        fail_msg("%s", error.text);
    assert_string_equal(o.host, defaults.host);
    assert_int_equal(o.port, defaults.port);
    assert_int_equal(o.scheduler_name_count, defaults.scheduler_name_count);
    assert_string_equal(o.scheduler_names[0], defaults.scheduler_names[0]);
    assert_ptr_equal(o.profile, defaults.profile);
    assert_int_equal(o.strict, defaults.strict);
    assert_int_equal(o.reserve_after_ns, defaults.reserve_after_ns);
    assert_int_equal(o.quiet_ns, defaults.quiet_ns);
    assert_int_equal(o.batch_window_ns, defaults.batch_window_ns);
    assert_int_equal(o.hold_ns, defaults.hold_ns);
    assert_true(o.preempts && defaults.preempts);
    assert_int_equal(o.min_run_ns, defaults.min_run_ns);
    assert_int_equal(o.evictions_per_interval, defaults.evictions_per_interval);
    assert_int_equal(o.eviction_interval_ns, defaults.eviction_interval_ns);
    assert_int_equal(o.connect_wait_ns, defaults.connect_wait_ns);
    assert_int_equal(o.drain_ns, defaults.drain_ns);
    assert_int_equal(o.binds_in_flight, defaults.binds_in_flight);
    assert_int_equal(o.connections, defaults.connections);
    assert_int_equal(o.report_rate, defaults.report_rate);
    assert_int_equal(o.report_rate, 100);
    assert_int_equal(o.journal_rate, defaults.journal_rate);
    assert_string_equal(o.journal_ns, "kube-system"); /* what an empty one stands for */
    assert_string_equal(o.journal_name, "muster-journal");
    assert_string_equal(defaults.journal_name, "");
    assert_int_equal(o.log_level, defaults.log_level);
    assert_int_equal(o.log_format, defaults.log_format);
    assert_string_equal(o.kubeconfig, "");
    assert_string_equal(o.context, "");
    assert_int_equal(mu_setting_count, 26); /* all of them are above */
}

static void test_options_file__wrong_input__names_line_and_key(void **state)
{
    struct mu_daemon_options o = {0};
    struct mu_error error;
    (void)state;
    assert_int_equal(load("score: pack\nscoer: spread\n", &o, &error), MU_EINVAL);
    assert_non_null(strstr(error.text, ":2:"));
    assert_non_null(strstr(error.text, "scoer"));
    assert_int_equal(load("score: best\n", &o, &error), MU_EINVAL);
    assert_non_null(strstr(error.text, ":1:"));
    assert_non_null(strstr(error.text, "spread or pack"));
    assert_int_equal(load("bindsInFlight: 0\n", &o, &error), MU_EINVAL);
    assert_int_equal(load("score: [pack\n", &o, &error), MU_EINVAL);
    assert_int_not_equal(mu_daemon_options_load(&o, "/nonexistent/file", &error), 0);
    assert_non_null(strstr(error.text, "/nonexistent/file"));
}

/* ---- which server ---- */

static void environment(const char *kubeconfig, const char *pod)
{
    if (kubeconfig != NULL)
        (void)setenv("KUBECONFIG", kubeconfig, 1);
    else
        (void)unsetenv("KUBECONFIG");
    if (pod != NULL)
        (void)setenv("KUBERNETES_SERVICE_HOST", pod, 1);
    else
        (void)unsetenv("KUBERNETES_SERVICE_HOST");
}

static int read_line(struct mu_daemon_options *o, const char *a, const char *b, const char *c,
                     const char *d)
{
    char *argv[] = {"musterd",
                    (char *)(uintptr_t)a,
                    (char *)(uintptr_t)b,
                    (char *)(uintptr_t)c,
                    (char *)(uintptr_t)d,
                    NULL};
    int argc = 1;
    while (argv[argc] != NULL)
        argc++;
    return mu_daemon_options_read(o, argc, argv);
}

static void test_options__server_kubeconfig_context__exclude_or_need_each_other(void **state)
{
    struct mu_daemon_options o;
    const char *url = "http://127.0.0.1:1";
    (void)state;
    environment(NULL, NULL);
    assert_int_equal(read_line(&o, NULL, NULL, NULL, NULL), 2);
    assert_int_equal(read_line(&o, "--server", url, NULL, NULL), -1);
    assert_int_equal(read_line(&o, "--kubeconfig", "f", NULL, NULL), -1);
    assert_int_equal(read_line(&o, "--kubeconfig", "f", "--context", "c"), -1);
    assert_string_equal(o.context, "c");
    assert_int_equal(read_line(&o, "--server", url, "--kubeconfig", "f"), 2);
    assert_int_equal(read_line(&o, "--server", url, "--context", "c"), 2);
    assert_int_equal(read_line(&o, "--context", "c", NULL, NULL), 2);
    environment("f", NULL);
    assert_int_equal(read_line(&o, NULL, NULL, NULL, NULL), -1);
    assert_int_equal(read_line(&o, "--context", "c", NULL, NULL), -1);
    assert_int_equal(read_line(&o, "--server", url, NULL, NULL), -1);
    environment("", "10.0.0.1");
    assert_int_equal(read_line(&o, NULL, NULL, NULL, NULL), -1);
    assert_int_equal(read_line(&o, "--context", "c", NULL, NULL), 2);
    environment(NULL, NULL);
}

/* A name on the line may be one of the file's, whichever of the two comes first. */
static void test_options__profile_of_the_file__in_either_order(void **state)
{
    char path[] = "/tmp/muster-options-XXXXXX";
    struct mu_daemon_options o;
    (void)state;
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(close(fd), 0);
    write_file(path, "server: http://127.0.0.1:1\nprofile: inference\nprofiles:\n"
                     "- {name: inference, weights: {NodeResourcesFit: 5}}\n"
                     "- {name: training, weights: {TaintToleration: 3}}\n");
    assert_int_equal(read_line(&o, "--config", path, "--profile", "training"), -1);
    assert_string_equal(o.profile->name, "training");
    assert_int_equal(read_line(&o, "--profile", "training", "--config", path), -1);
    assert_string_equal(o.profile->name, "training");
    assert_int_equal(read_line(&o, "--config", path, "--score", "pack"), -1);
    assert_string_equal(o.profile->name, "pack");
    assert_int_equal(read_line(&o, "--config", path, NULL, NULL), -1);
    assert_string_equal(o.profile->name, "inference");
    assert_int_equal(read_line(&o, "--config", path, "--profile", "other"), 2);
    assert_int_equal(read_line(&o, "--profile", "training", NULL, NULL), 2);
    (void)unlink(path);
}

static void check_host(const struct mu_daemon_options *o, const char *host)
{
    struct mu_kubeconfig *config = NULL;
    struct mu_error error;
    int rc = mu_daemon_options_server(o, &config, &error);
    if (rc != 0)
        fail_msg("%s", error.text);
    assert_true(mu_str_equal(mu_kubeconfig_view(config).host, mu_str_of(host)));
    mu_kubeconfig_destroy(config);
}

static void test_options_server__sources__in_their_order(void **state)
{
    char given[] = "/tmp/muster-options-XXXXXX", other[] = "/tmp/muster-options-XXXXXX";
    struct mu_daemon_options o = {0};
    struct mu_kubeconfig *config = NULL;
    struct mu_error error;
    (void)state;
    int files[] = {mkstemp(given), mkstemp(other)};
    assert_true(files[0] >= 0 && files[1] >= 0);
    assert_int_equal(close(files[0]) + close(files[1]), 0);
    write_file(given, "current-context: a\ncontexts: [{name: a, context: {cluster: k}}, "
                      "{name: b, context: {cluster: l}}]\n"
                      "clusters: [{name: k, cluster: {server: 'https://given'}}, "
                      "{name: l, cluster: {server: 'https://chosen'}}]\n");
    write_file(other, "current-context: a\ncontexts: [{name: a, context: {cluster: m}}]\n"
                      "clusters: [{name: m, cluster: {server: 'https://environment'}}]\n");
    environment(other, "10.0.0.1");
    check_host(&o, "environment");
    memcpy(o.host, "by-hand", 8);
    o.port = 1;
    check_host(&o, "by-hand");
    memcpy(o.kubeconfig, given, sizeof given);
    check_host(&o, "given");
    memcpy(o.context, "b", 2);
    check_host(&o, "chosen");
    environment(NULL, "10.0.0.1"); /* a pod without its files */
    o = (struct mu_daemon_options){0};
    assert_int_not_equal(mu_daemon_options_server(&o, &config, &error), 0);
    environment(NULL, NULL);
    (void)unlink(given);
    (void)unlink(other);
}

static void test_settings__check_without_a_target(void **state)
{
    struct mu_error error;
    (void)state;
    for (uint32_t i = 0; i < mu_setting_count; i++) {
        assert_int_not_equal(mu_settings[i].read(NULL, "\x01", &error), 0);
        assert_non_null(strstr(error.text, "expected"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_duration__units_and_bounds),
        cmocka_unit_test(test_options_journal__where_it_is),
        cmocka_unit_test(test_options_preemption__wrong__one_line_says_what),
        cmocka_unit_test(test_options_file__every_setting_is_read),
        cmocka_unit_test(test_options_file__example__holds_the_defaults),
        cmocka_unit_test(test_options_file__wrong_input__names_line_and_key),
        cmocka_unit_test(test_options__server_kubeconfig_context__exclude_or_need_each_other),
        cmocka_unit_test(test_options__profile_of_the_file__in_either_order),
        cmocka_unit_test(test_options_server__sources__in_their_order),
        cmocka_unit_test(test_settings__check_without_a_target),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
