#include "tools/muster/workload_flags.h"

int mu_workload_from_flags(const struct mu_workload_flags *flags, struct mu_workload **out,
                           struct mu_error *error)
{
    if (flags->openb_nodes == NULL && flags->openb_pods == NULL)
        return mu_workload_generate(flags->seed, out, error);
    if (flags->openb_nodes == NULL || flags->openb_pods == NULL)
        return mu_error_set(error, MU_EINVAL,
                            "--openb-nodes and --openb-pods go together; %s is missing",
                            flags->openb_nodes == NULL ? "--openb-nodes" : "--openb-pods");
    return mu_workload_load_openb(flags->openb_nodes, flags->openb_pods, out, error);
}
