#ifndef MU_TOOLS_MUSTER_DEMO_H
#define MU_TOOLS_MUSTER_DEMO_H
#include "engine/session/session.h"
#include "tools/muster/workload_flags.h"

#define MU_DEMO_SCHEDULER "muster" /* schedulerName of the workload's pods */

struct mu_demo_options {
    struct mu_workload_flags workload;
    const struct mu_profile *profile;
    const char *config; /* of musterd: the file that defines the profile, or NULL */
    bool json;
    bool keep;
    const char *dump; /* file, or NULL */
    uint32_t replay;  /* seconds of the trace in one second; 0: all pods at once, for ever */
};

/* Run the demo to its end. Returns the exit status: 0 when every check of the report is 0. */
int mu_demo_run(const struct mu_demo_options *options);

#endif
