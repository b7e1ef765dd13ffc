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
    assert_int_equal(mu_duration_parse("0s", &ns, &error), 0);
    static const char *const bad[] = {
        "", "5", "s", "-1s", "1.5s", "1h", "86401s", "99999999999999999999s", "5 s", "5S"};
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

static void test_options_file__every_setting_is_read(void **state)
{
    struct mu_daemon_options o = {0};
    struct mu_error error;
    (void)state;
    assert_int_equal(load("server: http://10.0.0.1:8080\n"
                          "schedulerNames: [muster, batch]\n"
                          "score: pack\n"
                          "quietTime: 3s\n"
                          "batchWindow: 5ms\n"
                          "holdTime: 1m\n"
                          "connectTimeout: 7s\n"
                          "drainTimeout: 8s\n"
                          "bindsInFlight: 64\n"
                          "connections: 2\n"
                          "logLevel: warn\n"
                          "logFormat: json\n",
                          &o, &error),
                     0);
    assert_string_equal(o.host, "10.0.0.1");
    assert_int_equal(o.port, 8080);
    assert_int_equal(o.scheduler_name_count, 2);
    assert_string_equal(o.scheduler_names[1], "batch");
    assert_int_equal(o.score, MU_SCORE_PACK);
    assert_int_equal(o.quiet_ns, 3 * MU_NS_PER_S);
    assert_int_equal(o.batch_window_ns, 5 * MU_NS_PER_MS);
    assert_int_equal(o.hold_ns, 60 * MU_NS_PER_S);
    assert_int_equal(o.connect_wait_ns, 7 * MU_NS_PER_S);
    assert_int_equal(o.drain_ns, 8 * MU_NS_PER_S);
    assert_int_equal(o.binds_in_flight, 64);
    assert_int_equal(o.connections, 2);
    assert_int_equal(o.log_level, MU_LOG_WARN);
    assert_int_equal(o.log_format, MU_LOG_JSON);
    assert_int_equal(mu_setting_count, 12); /* all of them are above */
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
    assert_int_equal(o.score, defaults.score);
    assert_int_equal(o.quiet_ns, defaults.quiet_ns);
    assert_int_equal(o.batch_window_ns, defaults.batch_window_ns);
    assert_int_equal(o.hold_ns, defaults.hold_ns);
    assert_int_equal(o.connect_wait_ns, defaults.connect_wait_ns);
    assert_int_equal(o.drain_ns, defaults.drain_ns);
    assert_int_equal(o.binds_in_flight, defaults.binds_in_flight);
    assert_int_equal(o.connections, defaults.connections);
    assert_int_equal(o.log_level, defaults.log_level);
    assert_int_equal(o.log_format, defaults.log_format);
    assert_int_equal(mu_setting_count, 12); /* all of them are above */
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
        cmocka_unit_test(test_options_file__every_setting_is_read),
        cmocka_unit_test(test_options_file__example__holds_the_defaults),
        cmocka_unit_test(test_options_file__wrong_input__names_line_and_key),
        cmocka_unit_test(test_settings__check_without_a_target),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
