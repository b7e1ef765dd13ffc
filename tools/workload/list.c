#include <inttypes.h>
#include <stdio.h>
#include "tools/workload/list_priv.h"

int mu_list_read(struct mu_workload *workload, const char *path, mu_list_read_fn read,
                 struct mu_error *error)
{
    struct mu_file *file;
    int status = mu_file_open(path, MU_LIST_FILE_BYTES_MAX, &file, error);
    if (status != 0)
        return status;
    struct mu_csv *csv;
    status = mu_csv_open(file, &csv, error);
    if (status == 0) {
        status = read(workload, file, csv, error);
        mu_csv_close(csv);
    }
    mu_file_close(file);
    return status;
}

int mu_list_columns(const struct mu_csv *csv, const struct mu_list_column *columns, size_t count,
                    struct mu_error *error)
{
    int status = 0;
    for (size_t i = 0; status == 0 && i < count; i++)
        status = mu_csv_column_required(csv, columns[i].name, columns[i].column, error);
    return status;
}

void mu_list_where(const struct mu_file *file, const struct mu_csv *csv,
                   char where[MU_LIST_WHERE_BYTES])
{
    (void)snprintf(where, MU_LIST_WHERE_BYTES, "%.120s:%" PRIu64, mu_file_name(file),
                   mu_csv_line(csv));
}
