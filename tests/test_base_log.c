#include "engine/base/log.h"

#include "engine/base/error.h"
#include "tests/mu_test.h"

struct sink {
    char line[MU_LOG_LINE_BYTES + 1];
    uint32_t len;
    uint32_t count;
    enum mu_log_level level;
};

static void keep_line(void *context, enum mu_log_level level, const char *line, uint32_t len)
{
    struct sink *s = context;
    assert_true(len > 0 && len <= MU_LOG_LINE_BYTES);
    memcpy(s->line, line, len);
    s->line[len] = '\0';
    s->len = len;
    s->level = level;
    s->count++;
}

static struct sink sink;

static void configure(enum mu_log_format format, const struct mu_clock *clock)
{
    memset(&sink, 0, sizeof sink);
    mu_log_configure(&(struct mu_log_config){MU_LOG_INFO, format, clock, keep_line, &sink});
}

static void test_log__below_level__nothing_written(void **state)
{
    (void)state;
    configure(MU_LOG_LOGFMT, NULL);
    mu_log(MU_LOG_DEBUG, "no", MU_F_END);
    mu_log_write(MU_LOG_DEBUG, "no", &MU_F_END);
    assert_int_equal(sink.count, 0);
    mu_log(MU_LOG_ERROR, "yes", MU_F_END);
    assert_int_equal(sink.count, 1);
    assert_int_equal(sink.level, MU_LOG_ERROR);
    assert_string_equal(sink.line, "level=error event=yes\n");
    assert_int_equal(mu_log_level(), MU_LOG_INFO);
}

static void log_every_type(void)
{
    mu_log(MU_LOG_INFO, "gang bound", MU_F_STR("gang", MU_STR("ns/a")), MU_F_I64("low", INT64_MIN),
           MU_F_U64("high", UINT64_MAX), MU_F_BOOL("yes", 2), MU_F_BOOL("no", 0),
           MU_F_TEXT("none", NULL), MU_F_END);
}

static void test_log__every_type__both_formats(void **state)
{
    (void)state;
    configure(MU_LOG_LOGFMT, NULL);
    log_every_type();
    assert_string_equal(sink.line, "level=info event=\"gang bound\" gang=ns/a "
                                   "low=-9223372036854775808 high=18446744073709551615 yes=true "
                                   "no=false none=\"\"\n");
    configure(MU_LOG_JSON, NULL);
    log_every_type();
    assert_string_equal(sink.line,
                        "{\"level\":\"info\",\"event\":\"gang bound\",\"gang\":\"ns/a\","
                        "\"low\":-9223372036854775808,\"high\":18446744073709551615,\"yes\":true,"
                        "\"no\":false,\"none\":\"\"}\n");
}

static void test_log__clock__rfc3339_in_utc(void **state)
{
    (void)state;
    struct mu_clock_virtual v;
    mu_clock_virtual_init(&v, 0, UINT64_C(1709210096000042999)); /* 2024-02-29T12:34:56 */
    configure(MU_LOG_LOGFMT, &v.clock);
    mu_log(MU_LOG_WARN, "e", MU_F_END);
    assert_string_equal(sink.line, "ts=2024-02-29T12:34:56.000042Z level=warn event=e\n");
    configure(MU_LOG_JSON, &v.clock);
    mu_log(MU_LOG_WARN, "e", MU_F_END);
    assert_string_equal(sink.line, "{\"ts\":\"2024-02-29T12:34:56.000042Z\",\"level\":\"warn\","
                                   "\"event\":\"e\"}\n");
}

static void check_value(struct mu_str value, const char *quoted, bool logfmt_quotes)
{
    char expected[256];
    configure(MU_LOG_JSON, NULL);
    mu_log(MU_LOG_INFO, "e", MU_F_STR("v", value), MU_F_END);
    (void)snprintf(expected, sizeof expected, "{\"level\":\"info\",\"event\":\"e\",\"v\":\"%s\"}\n",
                   quoted);
    assert_string_equal(sink.line, expected);
    configure(MU_LOG_LOGFMT, NULL);
    mu_log(MU_LOG_INFO, "e", MU_F_STR("v", value), MU_F_END);
    (void)snprintf(expected, sizeof expected, "level=info event=e v=%s%s%s\n",
                   logfmt_quotes ? "\"" : "", quoted, logfmt_quotes ? "\"" : "");
    assert_string_equal(sink.line, expected);
}

#define FFFD "\xEF\xBF\xBD"

static void test_log__hostile_values__escaped_in_both_formats(void **state)
{
    (void)state;
    check_value(MU_STR("plain-1.2:3/4"), "plain-1.2:3/4", false);
    check_value(MU_STR("a=b"), "a=b", true);
    check_value(MU_STR("two words"), "two words", true);
    check_value(MU_STR("say \"hi\" \\o/"), "say \\\"hi\\\" \\\\o/", true);
    check_value(MU_STR("a\nb\rc\td"), "a\\nb\\rc\\td", true);
    check_value(MU_STR("\x1b[31m\x01\x7f"), "\\u001b[31m\\u0001\\u007f", true);
    check_value((struct mu_str){"a\0b", 3}, "a\\u0000b", true);
    check_value(MU_STR("\xC2\x9B"), "\\u009b", true); /* C1: CSI in one character */
    check_value(MU_STR("\xE2\x80\xA8\xE2\x80\xA9"), "\\u2028\\u2029", true);
    check_value(MU_STR("z\xC3\xBCrich \xE2\x82\xAC \xF0\x9F\x98\x80"),
                "z\xC3\xBCrich \xE2\x82\xAC \xF0\x9F\x98\x80", true);
}

static void test_log__invalid_utf8__replaced(void **state)
{
    (void)state;
    check_value(MU_STR("\xFF"), FFFD, true);
    check_value(MU_STR("a\x80z"), "a" FFFD "z", true);
    check_value(MU_STR("\xC0\xAF"), FFFD FFFD, true); /* overlong '/' */
    check_value(MU_STR("\xE0\x80\xAF"), FFFD FFFD FFFD, true);
    check_value(MU_STR("\xED\xA0\x80"), FFFD FFFD FFFD, true); /* surrogate */
    check_value(MU_STR("\xF4\x90\x80\x80"), FFFD FFFD FFFD FFFD, true);
    check_value(MU_STR("\xF5\x80\x80\x80"), FFFD FFFD FFFD FFFD, true);
    check_value(MU_STR("ok\xE2\x82"), "ok" FFFD FFFD, true); /* ends early */
    check_value(MU_STR("\xC3("), FFFD "(", true);
}

/* Whatever the length and wherever the cut falls: one whole line that still parses. */
static void check_cut(enum mu_log_format format, uint32_t len, const char *piece)
{
    static char text[3 * MU_LOG_LINE_BYTES];
    size_t piece_len = strlen(piece);
    for (size_t i = 0; i < len; i++)
        text[i] = piece[i % piece_len];
    uint32_t whole = (uint32_t)(len / piece_len * piece_len);
    configure(format, NULL);
    mu_log(MU_LOG_INFO, "e", MU_F_STR("v", ((struct mu_str){text, whole})), MU_F_U64("n", 12345),
           MU_F_TEXT("w", "two words"), MU_F_END);
    bool json = format == MU_LOG_JSON;
    const char *end = json ? "}\n" : "\n";
    assert_string_equal(sink.line + sink.len - strlen(end), end);
    assert_true(strchr(sink.line, '\n') == sink.line + sink.len - 1);
    const char *all = json ? ",\"n\":12345,\"w\":\"two words\"}\n" : " n=12345 w=\"two words\"\n";
    const char *cut = json ? ",\"cut\":true}\n" : " cut=true\n";
    bool is_cut = strstr(sink.line, cut) != NULL;
    assert_true(is_cut || strstr(sink.line, all) != NULL);
    if (is_cut)
        assert_true(sink.len > MU_LOG_LINE_BYTES - 64); /* no more was dropped than needed */
    uint32_t quotes = 0;
    for (const char *p = sink.line; *p != '\0'; p++) {
        if (*p == '\\')
            p++;
        else
            quotes += *p == '"';
    }
    assert_int_equal(quotes % 2, 0);
}

static void test_log__long_line__cut_and_still_valid(void **state)
{
    (void)state;
    for (uint32_t len = MU_LOG_LINE_BYTES - 150; len < MU_LOG_LINE_BYTES + 20; len++) {
        check_cut(MU_LOG_LOGFMT, len, "x y ");
        check_cut(MU_LOG_JSON, len, "\xE2\x82\xAC");
        check_cut(MU_LOG_JSON, len / 6, "\x01");
        check_cut(MU_LOG_LOGFMT, len / 2, "\"");
    }
    check_cut(MU_LOG_JSON, 3 * MU_LOG_LINE_BYTES, "x");
    check_cut(MU_LOG_LOGFMT, 3 * MU_LOG_LINE_BYTES, "x");
}

static void test_log__stderr__one_whole_line(void **state)
{
    (void)state;
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    int saved = dup(STDERR_FILENO);
    assert_true(saved >= 0 && dup2(ends[1], STDERR_FILENO) >= 0);
    mu_log_configure(&(struct mu_log_config){MU_LOG_INFO, MU_LOG_LOGFMT, NULL, NULL, NULL});
    mu_log(MU_LOG_INFO, "hello", MU_F_END);
    assert_true(dup2(saved, STDERR_FILENO) >= 0);
    (void)close(saved);
    (void)close(ends[1]);
    char text[100] = {0};
    assert_int_equal(read(ends[0], text, sizeof text - 1), 23);
    assert_string_equal(text, "level=info event=hello\n");
    (void)close(ends[0]);
}

static void test_log_level_parse__names__only_the_four(void **state)
{
    (void)state;
    enum mu_log_level level = MU_LOG_ERROR;
    assert_int_equal(mu_log_level_parse(MU_STR("verbose"), &level), MU_EINVAL);
    assert_int_equal(mu_log_level_parse(MU_STR(""), &level), MU_EINVAL);
    assert_int_equal(mu_log_level_parse(MU_STR("INFO"), &level), MU_EINVAL);
    assert_int_equal(level, MU_LOG_ERROR);
    assert_int_equal(mu_log_level_parse(MU_STR("debug"), &level), 0);
    assert_int_equal(level, MU_LOG_DEBUG);
    assert_int_equal(mu_log_level_parse(MU_STR("warn"), &level), 0);
    assert_int_equal(level, MU_LOG_WARN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_log__below_level__nothing_written),
        cmocka_unit_test(test_log__hostile_values__escaped_in_both_formats),
        cmocka_unit_test(test_log__invalid_utf8__replaced),
        cmocka_unit_test(test_log__long_line__cut_and_still_valid),
        cmocka_unit_test(test_log__every_type__both_formats),
        cmocka_unit_test(test_log__clock__rfc3339_in_utc),
        cmocka_unit_test(test_log__stderr__one_whole_line),
        cmocka_unit_test(test_log_level_parse__names__only_the_four),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
