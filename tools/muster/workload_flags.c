#include "tools/muster/workload_flags.h"

static int check(const struct mu_workload_flags *flags, struct mu_error *error)
{
    if (flags->philly != NULL && flags->openb_pods != NULL)
        return mu_error_set(error, MU_EINVAL,
                            "--philly and --openb-pods both bring pods; expected one of them");
    if (flags->openb_pods != NULL && flags->openb_nodes == NULL)
        return mu_error_set(error, MU_EINVAL,
                            "--openb-pods needs the nodes of its trace; --openb-nodes is missing");
    if (flags->openb_nodes != NULL && flags->openb_pods == NULL && flags->philly == NULL)
        return mu_error_set(error, MU_EINVAL,
                            "--openb-nodes needs pods; --openb-pods or --philly is missing");
    return 0;
}

int mu_workload_from_flags(const struct mu_workload_flags *flags, struct mu_workload **out,
                           struct mu_error *error)
{
    int status = check(flags, error);
    if (status != 0)
        return status;
    if (flags->philly != NULL)
        return mu_workload_load_philly(flags->philly, flags->openb_nodes, out, error);
    if (flags->openb_pods != NULL)
        return mu_workload_load_openb(flags->openb_nodes, flags->openb_pods, out, error);
    return mu_workload_generate(flags->seed, out, error);
}
