#ifndef MU_TOOLS_MUSTER_RESULT_H
#define MU_TOOLS_MUSTER_RESULT_H
/* What demo and sim end with: the report on the final objects, printed, and the objects dumped. */
#include "engine/base/error.h"
#include "tools/report/report.h"

/* What is looked at in the end. */
enum mu_result_kind { MU_RESULT_NAMESPACES, MU_RESULT_NODES, MU_RESULT_PODS, MU_RESULT_KINDS };

struct mu_result_source {
    void *context;
    /* Calls fn for every final object of the kind; returns its first error. */
    int (*each)(void *context, enum mu_result_kind kind, int (*fn)(void *into, struct mu_str raw),
                void *into);
    uint32_t pod_count; /* of the workload */
    /* When pod i was created and bound; 0: not. */
    void (*times)(void *context, uint32_t i, uint64_t *created_ns, uint64_t *bound_ns);
};

/* Recompute everything from the source. */
int mu_result_compute(const struct mu_result_source *source, struct mu_report_result *out,
                      struct mu_error *error);
/* No partial gang, no over-committed node, nothing pending that fits. */
bool mu_result_clean(const struct mu_report_result *result);
/* Write the report to stdout. Errors: MU_EIO, MU_ENOMEM. */
int mu_result_print(const struct mu_report_result *result, bool json, struct mu_error *error);
/* Create or empty the file, so that a wrong path is found before the work and not after it. Errors:
 * MU_EIO. NULL is fine. */
int mu_result_dump_check(const char *path, struct mu_error *error);
/* Write all objects to `path` as a v1 List. */
int mu_result_dump(const struct mu_result_source *source, const char *path, struct mu_error *error);

#endif
