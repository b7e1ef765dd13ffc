#ifndef MU_TOOLS_KUBESIM_TABLE_H
#define MU_TOOLS_KUBESIM_TABLE_H
/*
 * Tables (meta.k8s.io): what `kubectl get` prints. A kind has columns, and a function that gives
 * the cells of one object; kinds without show NAME and AGE. Cells are read off the encoded object
 * by the API's field numbers, so that they need no message of the kind; those of custom resources,
 * whose numbers are our own, are found by name. Columns and cells are those of the real server's
 * printers (pkg/printers/internalversion); those with priority 1 show with `-o wide`.
 */
#include "engine/base/buf.h"
#include "tools/kubesim/kinds.h"

/* Append the columnDefinitions, as a JSON array. Errors: the buffer's, sticky. */
void mu_table_columns(const struct mu_kind *kind, struct mu_buf *out);
/* Append the cells of `raw`, an object as it is stored, as a JSON array. now_s: seconds since 1970,
 * for ages. Errors: the buffer's, sticky. Cost: O(object). */
void mu_table_cells(const struct mu_kind *kind, struct mu_str raw, int64_t now_s,
                    struct mu_buf *out);

/* Append a duration as the real printers show ages ("45s", "5m12s", "3h", "2d4h"). */
void mu_table_duration(int64_t seconds, struct mu_buf *out);

#endif
