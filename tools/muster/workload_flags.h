#ifndef MU_TOOLS_MUSTER_WORKLOAD_FLAGS_H
#define MU_TOOLS_MUSTER_WORKLOAD_FLAGS_H
/* The flags by which demo and sim are told their workload. */
#include "tools/workload/workload.h"

struct mu_workload_flags {
    uint64_t seed; /* of the generated default */
    const char *openb_nodes;
    const char *openb_pods;
    const char *philly; /* jobs, on openb_nodes or the default cluster */
};

/* Errors as the loaders'; MU_EINVAL for files that do not go together. */
int mu_workload_from_flags(const struct mu_workload_flags *flags, struct mu_workload **out,
                           struct mu_error *error);

#endif
