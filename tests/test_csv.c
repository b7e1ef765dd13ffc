/* CSV rows and the files under them: damage first, then the grammar, then random tables. */
#include "tests/mu_test.h"

#include <fcntl.h>
#include <lzma.h>

#include "engine/base/buf.h"
#include "informer/csv.h"
#include "informer/file.h"
#include "informer/limits.h"
#include "tests/traces.h"

enum { BYTES_MAX = 8 << 20 };

static struct mu_file *file_of(struct mu_str data)
{
    struct mu_file *file;
    struct mu_error error;
    if (mu_file_open_memory("t.csv", data, BYTES_MAX, &file, &error) != 0)
        fail_msg("%s", error.text);
    return file;
}

static struct mu_str str_of(const struct mu_buf *buf)
{
    return (struct mu_str){(const char *)buf->data, (uint32_t)buf->len};
}

/* Read to the end or to the first error, which is returned. */
static int read_rows(struct mu_str data, uint32_t *rows, struct mu_error *error)
{
    struct mu_file *file = file_of(data);
    struct mu_csv *csv;
    *rows = 0;
    int status = mu_csv_open(file, &csv, error);
    if (status == 0) {
        while ((status = mu_csv_next(csv, error)) == 1)
            (*rows)++;
        mu_csv_close(csv);
    }
    mu_file_close(file);
    return status;
}

static void check_refused(const char *text, int code, const char *message)
{
    uint32_t rows;
    struct mu_error error = {0, ""};
    assert_int_equal(read_rows(mu_str_of(text), &rows, &error), code);
    assert_int_equal(error.code, code);
    if (strstr(error.text, message) == NULL)
        fail_msg("'%s' says '%s', not '%s'", text, error.text, message);
}

/* ---- damage ---- */

static void test_csv_next__damaged__error_names_file_line_column_expectation(void **state)
{
    (void)state;
    check_refused("", MU_ETRUNCATED, "t.csv: expected a header row");
    check_refused("a,b", MU_ETRUNCATED, "t.csv:1: field 2: expected a line break");
    check_refused("a,b\n1,2\n3", MU_ETRUNCATED, "t.csv:3: column 'a': expected a line break");
    check_refused("a,b\n1,2\n3,", MU_ETRUNCATED, "t.csv:3: column 'b': expected a line break");
    check_refused("a,b\n1,2\n3,4", MU_ETRUNCATED, "t.csv:3: column 'b': expected a line break");
    check_refused("a,b\n1,2\n3,4\r", MU_ETRUNCATED, "t.csv:3: column 'b'");
    check_refused("a,b\n1,\"2", MU_ETRUNCATED, "t.csv:2: column 'b': expected a closing quote");
    check_refused("a,b\n1,\"2\"", MU_ETRUNCATED, "t.csv:2: column 'b'");
    check_refused("a,b\n1\n", MU_EINVAL, "t.csv:2: expected 2 fields as in the header, found 1");
    check_refused("a,b\n1,2,3\n", MU_EINVAL, "t.csv:2: expected 2 fields");
    check_refused("a,b\n1,2\n\n", MU_EINVAL, "t.csv:3: expected 2 fields");
    check_refused("a,b\n1,x\"y\n", MU_EINVAL, "t.csv:2: column 'b': expected no quote inside");
    check_refused("a,b\n\"1\"x,2\n", MU_EINVAL, "t.csv:2: column 'a': expected a comma");
    check_refused("a,b\n1,2\r3,4\n", MU_EINVAL, "t.csv:2: column 'b': expected a line feed");
    check_refused("a,a\n", MU_EINVAL, "found 'a' twice");
    check_refused("a,\n", MU_EINVAL, "field 2: expected a column name");
    check_refused("a,b\n\"1\n2\",\"3\n4\"x\n", MU_EINVAL, "t.csv:4: column 'b'");
    uint32_t rows;
    struct mu_error error;
    struct mu_str nul = {"a\n1\0002\n", 6};
    assert_int_equal(read_rows(nul, &rows, &error), MU_EINVAL);
    assert_non_null(strstr(error.text, "t.csv:2: column 'a': expected text, found a NUL byte"));
}

static void test_csv_next__every_truncation__noticed_unless_between_rows(void **state)
{
    (void)state;
    static const char text[] = "name,note\r\n\"x,\n\"\"y\",1\r\nz,\"2\"\nw,\n";
    for (uint32_t len = 0; len < sizeof text - 1; len++) {
        uint32_t rows;
        struct mu_error error;
        int status = read_rows((struct mu_str){text, len}, &rows, &error);
        bool between = len == 11 || len == 23 || len == 29;
        if (between ? status != 0 : status != MU_ETRUNCATED)
            fail_msg("cut at %u: %d", len, status);
    }
    uint32_t rows;
    assert_int_equal(read_rows(mu_str_of(text), &rows, NULL), 0);
    assert_int_equal(rows, 3);
}

static void test_csv_next__beyond_the_bounds__limit(void **state)
{
    (void)state;
    struct mu_buf text;
    struct mu_error error;
    uint32_t rows;
    mu_buf_init(&text, 0);
    static char filler[MU_CSV_FIELD_BYTES_MAX];
    memset(filler, 'x', sizeof filler);
    mu_buf_append_text(&text, "a\n");
    mu_buf_append(&text, filler, sizeof filler);
    mu_buf_append_text(&text, "\n");
    assert_int_equal(read_rows(str_of(&text), &rows, &error), 0);
    text.len--;
    mu_buf_append_text(&text, "x\n");
    assert_int_equal(read_rows(str_of(&text), &rows, &error), MU_ELIMIT);
    assert_non_null(strstr(error.text, "t.csv:2: column 'a': expected at most 64 KiB"));

    mu_buf_clear(&text);
    for (uint32_t i = 0; i < MU_CSV_COLUMNS_MAX; i++)
        mu_buf_printf(&text, "c%u%s", i, i + 1 < MU_CSV_COLUMNS_MAX ? "," : "\n");
    assert_int_equal(read_rows(str_of(&text), &rows, &error), 0);
    for (uint32_t i = 0; i < MU_CSV_COLUMNS_MAX; i++) {
        mu_buf_append(&text, filler, sizeof filler);
        mu_buf_append_text(&text, ",");
    }
    assert_int_equal(read_rows(str_of(&text), &rows, &error), MU_ELIMIT);
    assert_non_null(strstr(error.text, "t.csv:2: expected a row of at most 1 MiB"));
    mu_buf_clear(&text);
    for (uint32_t i = 0; i <= MU_CSV_COLUMNS_MAX; i++)
        mu_buf_printf(&text, "c%u,", i);
    mu_buf_append_text(&text, "\n");
    assert_int_equal(read_rows(str_of(&text), &rows, &error), MU_ELIMIT);
    assert_non_null(strstr(error.text, "at most 256 fields"));
    mu_buf_fini(&text);
}

/* ---- the grammar ---- */

static void check_field(struct mu_csv *csv, uint32_t column, const char *expected)
{
    struct mu_str field = mu_csv_field(csv, column);
    if (!mu_str_equal(field, mu_str_of(expected)))
        fail_msg("found '%.*s', expected '%s'", MU_STR_ARGS(field), expected);
}

static void test_csv_field__quotes_and_line_ends__as_the_rfc(void **state)
{
    (void)state;
    struct mu_file *file = file_of(MU_STR("\xEF\xBB\xBF\"na,me\",note\r\n"
                                          "\"a \"\"b\"\"\",\"x\r\ny\"\r\n"
                                          ",\n"
                                          "\"\", z \n"));
    struct mu_csv *csv;
    struct mu_error error;
    assert_int_equal(mu_csv_open(file, &csv, &error), 0);
    uint32_t name = 0, note = 0, none = 77;
    assert_int_equal(mu_csv_column_count(csv), 2);
    assert_true(mu_csv_column(csv, "na,me", &name) && mu_csv_column(csv, "note", &note));
    assert_false(mu_csv_column(csv, "Note", &none));
    assert_int_equal(mu_csv_column_required(csv, "gpu", &none, &error), MU_EINVAL);
    assert_non_null(strstr(error.text, "t.csv:1: expected a column 'gpu'"));
    assert_int_equal(none, 77);
    assert_int_equal(mu_csv_next(csv, &error), 1);
    assert_int_equal(mu_csv_line(csv), 2);
    check_field(csv, name, "a \"b\"");
    check_field(csv, note, "x\r\ny");
    assert_int_equal(mu_csv_next(csv, &error), 1);
    assert_int_equal(mu_csv_line(csv), 4);
    check_field(csv, name, "");
    assert_int_equal(mu_csv_next(csv, &error), 1);
    check_field(csv, name, "");
    check_field(csv, note, " z ");
    assert_int_equal(mu_csv_next(csv, &error), 0);
    mu_csv_close(csv);
    mu_file_close(file);
}

static void test_csv_u64__not_a_number_in_range__refused_with_the_field(void **state)
{
    (void)state;
    static const char *const bad[] = {"", "-1", "x", "1.5", "101", "18446744073709551616", " 1"};
    for (uint32_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        char text[64];
        (void)snprintf(text, sizeof text, "n,cpu\nx,%s\n", bad[i]);
        struct mu_file *file = file_of(mu_str_of(text));
        struct mu_csv *csv;
        struct mu_error error;
        uint64_t value = 7;
        char expected[128];
        assert_int_equal(mu_csv_open(file, &csv, &error), 0);
        assert_int_equal(mu_csv_next(csv, &error), 1);
        assert_int_equal(mu_csv_u64(csv, 1, 100, &value, &error), MU_EINVAL);
        (void)snprintf(expected, sizeof expected,
                       "t.csv:2: column 'cpu': expected a whole number from 0 to 100, found '%s'",
                       bad[i]);
        assert_string_equal(error.text, expected);
        assert_int_equal(value, 7);
        mu_csv_close(csv);
        mu_file_close(file);
    }
    struct mu_file *file = file_of(MU_STR("n\n100\n"));
    struct mu_csv *csv;
    uint64_t value = 7;
    assert_int_equal(mu_csv_open(file, &csv, NULL), 0);
    assert_int_equal(mu_csv_next(csv, NULL), 1);
    assert_int_equal(mu_csv_u64(csv, 0, 100, &value, NULL), 0);
    assert_int_equal(value, 100);
    mu_csv_close(csv);
    mu_file_close(file);
}

/* ---- random tables, plain and packed ---- */

enum { TABLE_COLUMNS = 3, TABLE_ROWS = 40, CELL_BYTES = 12 };

struct table {
    char cell[TABLE_ROWS][TABLE_COLUMNS][CELL_BYTES];
    uint32_t rows;
};

static void table_write(struct mu_random *random, struct table *t, struct mu_buf *out)
{
    static const char alphabet[] = "ab,\"\r\n \xC3";
    mu_buf_append_text(out, "x,y,z\n");
    t->rows = (uint32_t)mu_random_below(random, TABLE_ROWS);
    for (uint32_t r = 0; r < t->rows; r++) {
        for (uint32_t c = 0; c < TABLE_COLUMNS; c++) {
            char *cell = t->cell[r][c];
            size_t len = (size_t)mu_random_below(random, CELL_BYTES);
            for (size_t i = 0; i < len; i++)
                cell[i] = alphabet[mu_random_below(random, sizeof alphabet - 1)];
            cell[len] = '\0';
            bool quoted = strpbrk(cell, ",\"\r\n") != NULL || mu_random_chance(random, 200);
            mu_buf_append_text(out, quoted ? "\"" : "");
            for (size_t i = 0; i < len; i++) {
                mu_buf_append(out, &cell[i], 1);
                if (cell[i] == '"')
                    mu_buf_append_text(out, "\"");
            }
            mu_buf_append_text(out, quoted ? "\"" : "");
            mu_buf_append_text(out, c + 1 < TABLE_COLUMNS           ? ","
                                    : mu_random_chance(random, 500) ? "\r\n"
                                                                    : "\n");
        }
    }
}

static void table_check(struct mu_test_run *run, const struct table *t, struct mu_str data)
{
    struct mu_file *file = file_of(data);
    struct mu_csv *csv;
    struct mu_error error;
    MU_TEST_CHECK(run, mu_csv_open(file, &csv, &error) == 0);
    for (uint32_t r = 0; r < t->rows; r++) {
        MU_TEST_CHECK(run, mu_csv_next(csv, &error) == 1);
        for (uint32_t c = 0; c < TABLE_COLUMNS; c++)
            MU_TEST_CHECK(run, mu_str_equal(mu_csv_field(csv, c), mu_str_of(t->cell[r][c])));
    }
    MU_TEST_CHECK(run, mu_csv_next(csv, &error) == 0);
    mu_csv_close(csv);
    mu_file_close(file);
}

static void xz_pack(struct mu_str plain, struct mu_buf *out)
{
    size_t bound = lzma_stream_buffer_bound(plain.len);
    assert_int_equal(mu_buf_reserve(out, bound), 0);
    size_t at = out->len;
    assert_int_equal(lzma_easy_buffer_encode(0, LZMA_CHECK_CRC32, NULL, (const uint8_t *)plain.data,
                                             plain.len, out->data, &at, out->len + bound),
                     LZMA_OK);
    out->len = at;
}

static void test_csv_next__random_tables__come_back(void **state)
{
    (void)state;
    struct mu_test_run run = mu_test_run_begin(11);
    static struct table table;
    struct mu_buf text, packed;
    mu_buf_init(&text, 0);
    mu_buf_init(&packed, 0);
    for (run.step = 0; run.step < 500; run.step++) {
        mu_buf_clear(&text);
        mu_buf_clear(&packed);
        table_write(&run.random, &table, &text);
        table_check(&run, &table, str_of(&text));
        xz_pack(str_of(&text), &packed);
        table_check(&run, &table, str_of(&packed));
    }
    mu_buf_fini(&packed);
    mu_buf_fini(&text);
}

static bool read_table(void *context)
{
    const struct mu_buf *data = context;
    struct mu_file *file;
    struct mu_csv *csv = NULL;
    struct mu_error error;
    struct mu_str bytes = str_of(data);
    int status = mu_file_open_memory("t.csv", bytes, BYTES_MAX, &file, &error);
    if (status == 0) {
        status = mu_csv_open(file, &csv, &error);
        while (status == 0 && (status = mu_csv_next(csv, &error)) == 1)
            status = 0;
        mu_csv_close(csv);
        mu_file_close(file);
    }
    assert_true(status == 0 || (status == MU_ENOMEM && error.code == MU_ENOMEM));
    return status == 0;
}

static void test_csv_next__out_of_memory_anywhere__error_and_no_leak(void **state)
{
    (void)state;
    struct mu_buf text, packed;
    mu_buf_init(&text, 0);
    mu_buf_init(&packed, 0);
    mu_buf_append_text(&text, "a,b\n1,");
    for (uint32_t i = 0; i < 5000; i++)
        mu_buf_append_text(&text, "x");
    mu_buf_append_text(&text, "\n");
    xz_pack(str_of(&text), &packed);
    assert_true(mu_test_fail_each(read_table, &text) >= 4);
    assert_true(mu_test_fail_each(read_table, &packed) >= 6);
    mu_buf_fini(&packed);
    mu_buf_fini(&text);
}

/* ---- files ---- */

static int read_whole(struct mu_str data, uint64_t bytes_max, struct mu_buf *out,
                      struct mu_error *error)
{
    struct mu_file *file;
    int status = mu_file_open_memory("t.xz", data, bytes_max, &file, error);
    if (status != 0)
        return status;
    status = mu_file_read_all(file, out, error);
    mu_file_close(file);
    return status;
}

static void test_file_read__xz_cut_or_damaged__error_and_nothing_appended(void **state)
{
    (void)state;
    struct mu_buf plain, packed, out;
    struct mu_error error;
    mu_buf_init(&plain, 0);
    mu_buf_init(&packed, 0);
    mu_buf_init(&out, 0);
    for (uint32_t i = 0; i < 300; i++)
        mu_buf_printf(&plain, "%u,", i * 7919u);
    xz_pack(str_of(&plain), &packed);
    mu_buf_append_text(&out, "kept");
    for (uint32_t len = 6; len < packed.len; len++) {
        struct mu_str cut = {(const char *)packed.data, len};
        assert_int_equal(read_whole(cut, BYTES_MAX, &out, &error), MU_ETRUNCATED);
        assert_int_equal(out.len, 4);
    }
    assert_non_null(strstr(error.text, "t.xz: the .xz data ends early"));
    for (uint32_t at = 6; at < packed.len; at += 3) {
        packed.data[at] ^= 0x10;
        int status = read_whole(str_of(&packed), BYTES_MAX, &out, &error);
        assert_true(status < 0 && out.len == 4);
        packed.data[at] ^= 0x10;
    }
    assert_int_equal(read_whole(str_of(&packed), BYTES_MAX, &out, &error), 0);
    assert_int_equal(out.len, 4 + plain.len);
    assert_memory_equal(out.data + 4, plain.data, plain.len);
    mu_buf_append_text(&packed, "garbage behind the end");
    out.len = 4;
    assert_int_equal(read_whole(str_of(&packed), BYTES_MAX, &out, &error), MU_EINVAL);
    assert_int_equal(out.len, 4);
    mu_buf_fini(&out);
    mu_buf_fini(&packed);
    mu_buf_fini(&plain);
}

static void test_file_read__more_than_allowed__limit(void **state)
{
    (void)state;
    struct mu_buf plain, packed, out;
    struct mu_error error;
    mu_buf_init(&plain, 0);
    mu_buf_init(&packed, 0);
    mu_buf_init(&out, 0);
    for (uint32_t i = 0; i < 200000; i++)
        mu_buf_append_text(&plain, "0123456789");
    xz_pack(str_of(&plain), &packed); /* a small bomb */
    assert_true(packed.len < 10000);
    assert_int_equal(read_whole(str_of(&packed), plain.len, &out, &error), 0);
    mu_buf_clear(&out);
    assert_int_equal(read_whole(str_of(&packed), plain.len - 1, &out, &error), MU_ELIMIT);
    assert_int_equal(read_whole(str_of(&plain), plain.len - 1, &out, &error), MU_ELIMIT);
    assert_int_equal(out.len, 0);
    out.max = 1000;
    assert_int_equal(read_whole(str_of(&plain), plain.len, &out, &error), MU_ELIMIT);
    assert_int_equal(out.failed, 0);
    assert_int_equal(read_whole(MU_STR("short"), 5, &out, &error), 0);
    assert_int_equal(out.len, 5);
    mu_buf_fini(&out);
    mu_buf_fini(&packed);
    mu_buf_fini(&plain);
}

static void test_file_open__missing_or_directory__error_names_it(void **state)
{
    (void)state;
    struct mu_file *file = NULL;
    struct mu_error error;
    assert_int_equal(mu_file_open("/nonexistent/x.csv", 10, &file, &error), MU_ENOENT);
    assert_string_equal(error.text, "/nonexistent/x.csv: No such file or directory");
    assert_int_equal(mu_file_open("/", 10, &file, &error), MU_EIO);
    assert_non_null(strstr(error.text, "/: is a directory"));
    assert_null(file);
}

static void test_file_open__on_disk__streams_all_of_it(void **state)
{
    (void)state;
    char path[] = "/tmp/muster-test-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    struct mu_buf plain, out;
    mu_buf_init(&plain, 0);
    mu_buf_init(&out, 0);
    for (uint32_t i = 0; i < 50000; i++)
        mu_buf_printf(&plain, "%u\n", i);
    assert_int_equal(write(fd, plain.data, plain.len), (ssize_t)plain.len);
    assert_int_equal(close(fd), 0);
    struct mu_file *file;
    struct mu_error error;
    assert_int_equal(mu_file_open(path, BYTES_MAX, &file, &error), 0);
    assert_int_equal(mu_file_read_all(file, &out, &error), 0);
    assert_int_equal(out.len, plain.len);
    assert_memory_equal(out.data, plain.data, plain.len);
    mu_file_close(file);
    assert_int_equal(unlink(path), 0);
    mu_buf_fini(&out);
    mu_buf_fini(&plain);
}

static void test_csv_next__real_trace__every_row(void **state)
{
    (void)state;
    char path[4096];
    if (!traces_find("openb-gpu-v2023/openb_pod_list_default.csv.xz", path, sizeof path))
        skip();
    struct mu_file *file;
    struct mu_csv *csv;
    struct mu_error error;
    assert_int_equal(mu_file_open(path, MU_CSV_BYTES_MAX, &file, &error), 0);
    assert_int_equal(mu_csv_open(file, &csv, &error), 0);
    uint32_t cpu, rows = 0;
    uint64_t sum = 0;
    assert_int_equal(mu_csv_column_required(csv, "cpu_milli", &cpu, &error), 0);
    while (mu_csv_next(csv, &error) == 1) {
        uint64_t value;
        assert_int_equal(mu_csv_u64(csv, cpu, 1000000, &value, &error), 0);
        sum += value;
        rows++;
    }
    assert_int_equal(rows, 8152);
    assert_true(sum > 0);
    mu_csv_close(csv);
    mu_file_close(file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_csv_next__damaged__error_names_file_line_column_expectation),
        cmocka_unit_test(test_csv_next__every_truncation__noticed_unless_between_rows),
        cmocka_unit_test(test_csv_next__beyond_the_bounds__limit),
        cmocka_unit_test(test_csv_next__out_of_memory_anywhere__error_and_no_leak),
        cmocka_unit_test(test_file_open__missing_or_directory__error_names_it),
        cmocka_unit_test(test_file_read__xz_cut_or_damaged__error_and_nothing_appended),
        cmocka_unit_test(test_file_read__more_than_allowed__limit),
        cmocka_unit_test(test_file_open__on_disk__streams_all_of_it),
        cmocka_unit_test(test_csv_field__quotes_and_line_ends__as_the_rfc),
        cmocka_unit_test(test_csv_u64__not_a_number_in_range__refused_with_the_field),
        cmocka_unit_test(test_csv_next__random_tables__come_back),
        cmocka_unit_test(test_csv_next__real_trace__every_row),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
