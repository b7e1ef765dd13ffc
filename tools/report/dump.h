#ifndef MU_TOOLS_REPORT_DUMP_H
#define MU_TOOLS_REPORT_DUMP_H
/* Objects as a Kubernetes v1 List in JSON, written to a file one by one: the raw material from
 * which anyone can recompute a report's checks. Holds one object in memory at a time. */
#include "engine/base/error.h"
#include "engine/base/str.h"

struct mu_dump; /* opaque; one thread */

/* Create or replace the file. Owns: caller, until mu_dump_close. Errors: MU_EIO with the path and
 * the system's reason, MU_ENOMEM. */
int mu_dump_open(const char *path, struct mu_dump **out, struct mu_error *error);
/* Append an object ("Pod", "Node") as encoded by the API server. Errors: those of
 * mu_json_object_write; the list stays well-formed without it. */
int mu_dump_add(struct mu_dump *dump, struct mu_str kind, struct mu_str raw,
                struct mu_error *error);
/* End the list and close the file; frees the dump whatever happens. Errors: MU_EIO (something was
 * not written: the file is not complete). NULL: 0. */
int mu_dump_close(struct mu_dump *dump, struct mu_error *error);

#endif
