/* CSV and .xz: no input crashes, errors are one line, and every row has the header's fields.
 *
 * covers: informer/csv.c
 */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "engine/base/assert.h"
#include "engine/base/mem.h"
#include "informer/csv.h"
#include "informer/file.h"
#include "informer/limits.h"

enum { BYTES_MAX = 4 << 20 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_error(int status, const struct mu_error *error)
{
    MU_ASSERT(status < 0 && error->code == status);
    if (status == MU_ENOMEM)
        return;
    MU_ASSERT(memchr(error->text, '\0', sizeof error->text) != NULL);
    MU_ASSERT(strncmp(error->text, "fuzz.csv:", 9) == 0);
}

static void check_row(const struct mu_csv *csv)
{
    uint32_t count = mu_csv_column_count(csv);
    MU_ASSERT(count > 0 && count <= MU_CSV_COLUMNS_MAX);
    for (uint32_t i = 0; i < count; i++) {
        struct mu_str field = mu_csv_field(csv, i);
        uint64_t value = 7;
        struct mu_error error;
        MU_ASSERT(field.len <= MU_CSV_FIELD_BYTES_MAX);
        MU_ASSERT(field.len == 0 || memchr(field.data, '\0', field.len) == NULL);
        if (mu_csv_u64(csv, i, 1000, &value, &error) == 0)
            MU_ASSERT(value <= 1000);
        else
            MU_ASSERT(value == 7);
    }
}

/* An input that begins with '!' says in its second byte which allocation fails. */
static struct mu_str take_order(struct mu_str input)
{
    if (input.len < 2 || input.data[0] != '!')
        return input;
    mu_mem_debug_set((struct mu_mem_debug){.fail_nth = (uint8_t)input.data[1]});
    return (struct mu_str){input.data + 2, input.len - 2};
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mu_file *file;
    struct mu_csv *csv;
    struct mu_error error = {0, ""};
    if (size > BYTES_MAX)
        return 0;
    struct mu_str text = take_order((struct mu_str){(const char *)data, (uint32_t)size});
    int status = mu_file_open_memory("fuzz.csv", text, BYTES_MAX, &file, &error);
    if (status != 0) {
        mu_mem_debug_set((struct mu_mem_debug){0});
        check_error(status, &error);
        return 0;
    }
    status = mu_csv_open(file, &csv, &error);
    if (status == 0) {
        uint32_t column = 0;
        if (mu_csv_column(csv, "b", &column))
            MU_ASSERT(column < mu_csv_column_count(csv));
        if (mu_csv_column_required(csv, "a", &column, &error) == 0)
            MU_ASSERT(column < mu_csv_column_count(csv));
        while ((status = mu_csv_next(csv, &error)) == 1)
            check_row(csv);
        MU_ASSERT(mu_csv_line(csv) > 0);
        mu_csv_close(csv);
    }
    if (status != 0)
        check_error(status, &error);
    mu_file_close(file);
    mu_mem_debug_set((struct mu_mem_debug){0});
    return 0;
}
