#ifndef MU_TOOLS_WORKLOAD_LIST_PRIV_H
#define MU_TOOLS_WORKLOAD_LIST_PRIV_H
/* What the readers of published lists (openb.c, philly.c) share: a CSV file, or one packed with xz,
 * opened and its columns found. */
#include "informer/csv.h"
#include "tools/workload/workload.h"

#define MU_LIST_FILE_BYTES_MAX (UINT64_C(4) << 30)  /* unpacked */
#define MU_LIST_SECONDS_MAX    UINT64_C(4000000000) /* of a time or a duration: 126 years */
#define MU_LIST_WHERE_BYTES    160

struct mu_list_column {
    const char *name;
    uint32_t *column;
};

/* Reads all rows of an open list into the workload. */
typedef int (*mu_list_read_fn)(struct mu_workload *workload, const struct mu_file *file,
                               struct mu_csv *csv, struct mu_error *error);

/* Open the file, let `read` take its rows, close it. Errors: those of mu_file_open, mu_csv_open and
 * `read`; rows read before the error stay in the workload. */
int mu_list_read(struct mu_workload *workload, const char *path, mu_list_read_fn read,
                 struct mu_error *error);
/* Find columns that have to be there. Errors: MU_EINVAL naming the first that is missing. */
int mu_list_columns(const struct mu_csv *csv, const struct mu_list_column *columns, size_t count,
                    struct mu_error *error);
/* "file:line" of the row at hand; a very long file name is cut. */
void mu_list_where(const struct mu_file *file, const struct mu_csv *csv,
                   char where[MU_LIST_WHERE_BYTES]);

#endif
