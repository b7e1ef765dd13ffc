#ifndef MU_TOOLS_MUSTER_WORKLOAD_FLAGS_H
#define MU_TOOLS_MUSTER_WORKLOAD_FLAGS_H
/* The flags by which demo and sim are told their workload. */
#include "tools/workload/workload.h"

struct mu_workload_flags {
    uint64_t seed; /* of the generated default */
    const char *openb_nodes;
    const char *openb_pods;
};

/* Errors as the loaders'; MU_EINVAL when only one of the two openb files is named. */
int mu_workload_from_flags(const struct mu_workload_flags *flags, struct mu_workload **out,
                           struct mu_error *error);

#endif
