#ifndef MU_INFORMER_CSV_H
#define MU_INFORMER_CSV_H
/*
 * A streaming CSV reader (RFC 4180): comma, double quotes with doubled quotes inside, LF or CRLF,
 * a header row that names the columns. One row is held at a time.
 *
 * Stricter than the RFC where leniency would hide damage: every row has as many fields as the
 * header, and the last one ends with a line break, so that a truncated file is always noticed
 * (unless it was cut exactly between two rows).
 *
 * Every error is one line: "file:line: column 'name': expected ..., found '...'".
 */
#include <stdbool.h>
#include <stdint.h>
#include "engine/base/error.h"
#include "engine/base/str.h"
#include "informer/file.h"

struct mu_csv; /* opaque */

/* Start reading; takes the header row. `file` is borrowed until close. Errors: those of
 * mu_file_read, MU_EINVAL, MU_ETRUNCATED, MU_ELIMIT, MU_ENOMEM; *out unchanged. Owns: caller.
 * Thread: one user. */
int mu_csv_open(struct mu_file *file, struct mu_csv **out, struct mu_error *error);
void mu_csv_close(struct mu_csv *csv);

uint32_t mu_csv_column_count(const struct mu_csv *csv);
/* The column of that name; false when there is none. */
bool mu_csv_column(const struct mu_csv *csv, const char *name, uint32_t *column);
/* The same, as an error that names the column. */
int mu_csv_column_required(const struct mu_csv *csv, const char *name, uint32_t *column,
                           struct mu_error *error);

/* Go to the next row. Returns 1 when there is one, 0 at the end of the file, or an error as
 * mu_csv_open; after an error only close. */
int mu_csv_next(struct mu_csv *csv, struct mu_error *error);
/* A field of the row; valid until the next call of mu_csv_next. May hold any byte but NUL. */
struct mu_str mu_csv_field(const struct mu_csv *csv, uint32_t column);
/* Line of the file on which the row began, from 1. */
uint64_t mu_csv_line(const struct mu_csv *csv);

/* The field as a decimal number in [0, max]. Errors: MU_EINVAL, *value unchanged. */
int mu_csv_u64(const struct mu_csv *csv, uint32_t column, uint64_t max, uint64_t *value,
               struct mu_error *error);
/* Report the field as not what was expected ("a model name of at most 63 bytes"). Returns
 * MU_EINVAL. */
int mu_csv_refuse(const struct mu_csv *csv, uint32_t column, const char *expected,
                  struct mu_error *error);

#endif
