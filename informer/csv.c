#include "informer/csv.h"

#include <inttypes.h>
#include <string.h>

#include "engine/base/assert.h"
#include "engine/base/buf.h"
#include "engine/base/mem.h"
#include "informer/limits.h"

/*
 * One byte at a time through five states; a field grows in `text`, its end is noted in `ends`:
 *
 *     START --"--> QUOTED <--"--> QUOTE         START, PLAIN, QUOTE --,--> START
 *     START --other--> PLAIN                    START, PLAIN, QUOTE --LF--> row
 *                                               START, PLAIN, QUOTE --CR--> CR --LF--> row
 *
 * and everything else is an error. QUOTE is "a quote was seen inside quotes": the end of the field,
 * or the first of a doubled one.
 *
 * Fields are read by offset: `text` may move while a row grows.
 */

enum state { START, PLAIN, QUOTED, QUOTE, CR };
enum { ROW_READY = 1, INPUT_BYTES = 1 << 16, ROW_BYTES_FIRST = 256, SHOWN_BYTES = 40 };

struct mu_csv {
    struct mu_file *file;
    struct mu_buf text;   /* the fields of the row, one after the other */
    struct mu_buf header; /* the same, of the header row */
    uint32_t ends[MU_CSV_COLUMNS_MAX];
    uint32_t header_ends[MU_CSV_COLUMNS_MAX];
    uint32_t field_count;  /* of the row */
    uint32_t column_count; /* of the header; 0 while that is read */
    enum state state;
    uint64_t line;     /* of the byte to come */
    uint64_t row_line; /* on which the row began */
    size_t begin, end; /* unread part of input */
    uint8_t input[INPUT_BYTES];
};

static struct mu_str nth(const struct mu_buf *text, const uint32_t *ends, uint32_t i)
{
    uint32_t from = i == 0 ? 0 : ends[i - 1];
    return (struct mu_str){(const char *)text->data + from, ends[i] - from};
}

static struct mu_str column_name(const struct mu_csv *csv, uint32_t column)
{
    return nth(&csv->header, csv->header_ends, column);
}

/* ---- errors ---- */

/* An error in the row as a whole. */
static int row_error(const struct mu_csv *csv, struct mu_error *error, int code,
                     const char *expected)
{
    return mu_error_set(error, code, "%s:%" PRIu64 ": expected %s", mu_file_name(csv->file),
                        csv->line, expected);
}

/* An error in the field that is being read. */
static int field_error(const struct mu_csv *csv, struct mu_error *error, int code,
                       const char *expected)
{
    if (csv->field_count >= csv->column_count)
        return mu_error_set(error, code, "%s:%" PRIu64 ": field %u: expected %s",
                            mu_file_name(csv->file), csv->line, csv->field_count + 1, expected);
    struct mu_str name = column_name(csv, csv->field_count);
    return mu_error_set(error, code, "%s:%" PRIu64 ": column '%.*s': expected %s",
                        mu_file_name(csv->file), csv->line,
                        name.len < SHOWN_BYTES ? (int)name.len : SHOWN_BYTES, name.data, expected);
}

int mu_csv_refuse(const struct mu_csv *csv, uint32_t column, const char *expected,
                  struct mu_error *error)
{
    MU_ASSERT(column < csv->column_count);
    struct mu_str name = column_name(csv, column);
    struct mu_str field = mu_csv_field(csv, column);
    return mu_error_set(error, MU_EINVAL,
                        "%s:%" PRIu64 ": column '%.*s': expected %s, found '%.*s%s'",
                        mu_file_name(csv->file), csv->row_line,
                        name.len < SHOWN_BYTES ? (int)name.len : SHOWN_BYTES, name.data, expected,
                        field.len < SHOWN_BYTES ? (int)field.len : SHOWN_BYTES, field.data,
                        field.len > SHOWN_BYTES ? "..." : "");
}

/* ---- the state machine ---- */

static int field_append(struct mu_csv *csv, uint8_t byte, struct mu_error *error)
{
    uint32_t from = csv->field_count == 0 ? 0 : csv->ends[csv->field_count - 1];
    if (byte == '\0')
        return field_error(csv, error, MU_EINVAL, "text, found a NUL byte");
    if (csv->text.len - from >= MU_CSV_FIELD_BYTES_MAX)
        return field_error(csv, error, MU_ELIMIT, "at most 64 KiB");
    if (csv->text.len + 1 < csv->text.cap) {
        csv->text.data[csv->text.len++] = byte; /* the usual case, without a call */
        return 0;
    }
    int status = mu_buf_append(&csv->text, &byte, 1);
    if (status == MU_ELIMIT)
        return row_error(csv, error, status, "a row of at most 1 MiB");
    return status == 0 ? 0 : row_error(csv, error, status, "memory for the row: out of memory");
}

static int field_end(struct mu_csv *csv, struct mu_error *error)
{
    if (csv->field_count == MU_CSV_COLUMNS_MAX)
        return row_error(csv, error, MU_ELIMIT, "at most 256 fields in a row");
    csv->ends[csv->field_count++] = (uint32_t)csv->text.len;
    return 0;
}

static int row_end(struct mu_csv *csv, struct mu_error *error)
{
    int status = field_end(csv, error);
    if (status != 0)
        return status;
    if (csv->column_count != 0 && csv->field_count != csv->column_count)
        return mu_error_set(
            error, MU_EINVAL, "%s:%" PRIu64 ": expected %u fields as in the header, found %u",
            mu_file_name(csv->file), csv->row_line, csv->column_count, csv->field_count);
    csv->state = START;
    return ROW_READY;
}

/* A byte that may end a field: comma, LF, CR. */
static bool is_separator(uint8_t byte)
{
    return byte == ',' || byte == '\n' || byte == '\r';
}

static int on_separator(struct mu_csv *csv, uint8_t byte, struct mu_error *error)
{
    if (byte == '\n')
        return row_end(csv, error);
    csv->state = byte == '\r' ? CR : START;
    return byte == '\r' ? 0 : field_end(csv, error);
}

/* Take one byte. Returns 0, ROW_READY or an error. */
static int step(struct mu_csv *csv, uint8_t byte, struct mu_error *error)
{
    switch (csv->state) {
    case START:
        if (byte == '"') {
            csv->state = QUOTED;
            return 0;
        }
        __attribute__((fallthrough));
    case PLAIN:
        if (is_separator(byte))
            return on_separator(csv, byte, error);
        if (byte == '"')
            return field_error(csv, error, MU_EINVAL,
                               "no quote inside a field that does not begin with one");
        csv->state = PLAIN;
        return field_append(csv, byte, error);
    case QUOTED:
        if (byte == '"') {
            csv->state = QUOTE;
            return 0;
        }
        return field_append(csv, byte, error);
    case QUOTE:
        if (is_separator(byte))
            return on_separator(csv, byte, error);
        if (byte != '"')
            return field_error(csv, error, MU_EINVAL, "a comma or a line end behind the quote");
        csv->state = QUOTED;
        return field_append(csv, byte, error);
    case CR:
        if (byte != '\n')
            return field_error(csv, error, MU_EINVAL, "a line feed behind the carriage return");
        return row_end(csv, error);
    }
    MU_ASSERT(false);
    return 0;
}

static int at_end_of_file(struct mu_csv *csv, struct mu_error *error)
{
    if (csv->state == QUOTED)
        return field_error(csv, error, MU_ETRUNCATED,
                           "a closing quote before the end of the file: is it complete?");
    if (csv->state != START || csv->field_count != 0)
        return field_error(csv, error, MU_ETRUNCATED,
                           "a line break before the end of the file: is it complete?");
    return 0;
}

/* More input. Returns 1, 0 at the end of the file, or an error. */
static int input_fill(struct mu_csv *csv, struct mu_error *error)
{
    csv->begin = csv->end = 0;
    int status = mu_file_read(csv->file, csv->input, sizeof csv->input, &csv->end, error);
    return status != 0 ? status : csv->end > 0;
}

int mu_csv_next(struct mu_csv *csv, struct mu_error *error)
{
    mu_buf_clear(&csv->text);
    csv->field_count = 0;
    csv->row_line = csv->line;
    for (;;) {
        if (csv->begin == csv->end) {
            int status = input_fill(csv, error);
            if (status <= 0)
                return status < 0 ? status : at_end_of_file(csv, error);
        }
        uint8_t byte = csv->input[csv->begin++];
        int status = step(csv, byte, error);
        if (byte == '\n')
            csv->line++;
        if (status != 0)
            return status;
    }
}

/* ---- header ---- */

/* The row that was read becomes the header. */
static int header_take(struct mu_csv *csv, struct mu_error *error)
{
    struct mu_buf swap = csv->header;
    csv->header = csv->text;
    csv->text = swap;
    csv->column_count = csv->field_count;
    memcpy(csv->header_ends, csv->ends, sizeof csv->ends);
    for (uint32_t i = 0; i < csv->column_count; i++) {
        struct mu_str name = column_name(csv, i);
        if (name.len == 0)
            return mu_error_set(error, MU_EINVAL, "%s:1: field %u: expected a column name",
                                mu_file_name(csv->file), i + 1);
        for (uint32_t j = 0; j < i; j++) {
            if (mu_str_equal(column_name(csv, j), name))
                return mu_error_set(
                    error, MU_EINVAL, "%s:1: expected each column once, found '%.*s' twice",
                    mu_file_name(csv->file), name.len < SHOWN_BYTES ? (int)name.len : SHOWN_BYTES,
                    name.data);
        }
    }
    return 0;
}

/* Returns as mu_csv_next. */
static int header_read(struct mu_csv *csv, struct mu_error *error)
{
    static const uint8_t mark[] = {0xEF, 0xBB, 0xBF}; /* of byte order: spreadsheets write it */
    int status = input_fill(csv, error);
    if (status <= 0)
        return status;
    if (csv->end >= sizeof mark && memcmp(csv->input, mark, sizeof mark) == 0)
        csv->begin = sizeof mark;
    return mu_csv_next(csv, error);
}

int mu_csv_open(struct mu_file *file, struct mu_csv **out, struct mu_error *error)
{
    struct mu_csv *csv = mu_mem_zalloc(sizeof *csv);
    if (csv == NULL)
        return mu_error_set(error, MU_ENOMEM, "%s: out of memory", mu_file_name(file));
    csv->file = file;
    csv->line = 1;
    mu_buf_init(&csv->text, MU_CSV_ROW_BYTES_MAX);
    mu_buf_init(&csv->header, MU_CSV_ROW_BYTES_MAX);
    int status = mu_buf_reserve(&csv->text, ROW_BYTES_FIRST);
    if (status == 0)
        status = mu_buf_reserve(&csv->header, ROW_BYTES_FIRST);
    if (status != 0)
        (void)row_error(csv, error, status, "memory for a row: out of memory");
    else
        status = header_read(csv, error);
    if (status == 0)
        status = mu_error_set(error, MU_ETRUNCATED, "%s: expected a header row, found nothing",
                              mu_file_name(file));
    else if (status == ROW_READY)
        status = header_take(csv, error);
    if (status != 0) {
        mu_csv_close(csv);
        return status;
    }
    *out = csv;
    return 0;
}

void mu_csv_close(struct mu_csv *csv)
{
    if (csv == NULL)
        return;
    mu_buf_fini(&csv->text);
    mu_buf_fini(&csv->header);
    mu_mem_free(csv);
}

/* ---- reading ---- */

uint32_t mu_csv_column_count(const struct mu_csv *csv)
{
    return csv->column_count;
}

bool mu_csv_column(const struct mu_csv *csv, const char *name, uint32_t *column)
{
    for (uint32_t i = 0; i < csv->column_count; i++) {
        if (mu_str_equal(column_name(csv, i), mu_str_of(name))) {
            *column = i;
            return true;
        }
    }
    return false;
}

int mu_csv_column_required(const struct mu_csv *csv, const char *name, uint32_t *column,
                           struct mu_error *error)
{
    if (mu_csv_column(csv, name, column))
        return 0;
    struct mu_str first = column_name(csv, 0);
    return mu_error_set(error, MU_EINVAL,
                        "%s:1: expected a column '%s', found %u others beginning with '%.*s'",
                        mu_file_name(csv->file), name, csv->column_count,
                        first.len < SHOWN_BYTES ? (int)first.len : SHOWN_BYTES, first.data);
}

struct mu_str mu_csv_field(const struct mu_csv *csv, uint32_t column)
{
    MU_ASSERT(column < csv->field_count);
    return nth(&csv->text, csv->ends, column);
}

uint64_t mu_csv_line(const struct mu_csv *csv)
{
    return csv->row_line;
}

int mu_csv_u64(const struct mu_csv *csv, uint32_t column, uint64_t max, uint64_t *value,
               struct mu_error *error)
{
    uint64_t got;
    if (mu_str_to_u64(mu_csv_field(csv, column), &got) && got <= max) {
        *value = got;
        return 0;
    }
    struct mu_error expected;
    (void)mu_error_set(&expected, 0, "a whole number from 0 to %" PRIu64, max);
    return mu_csv_refuse(csv, column, expected.text, error);
}
