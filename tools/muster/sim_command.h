#ifndef MU_TOOLS_MUSTER_SIM_COMMAND_H
#define MU_TOOLS_MUSTER_SIM_COMMAND_H
#include "engine/base/error.h"
#include "engine/session/session.h"
#include "tools/muster/workload_flags.h"

struct mu_seed_range {
    bool given;
    uint64_t first, last; /* inclusive */
};
struct mu_sim_options {
    struct mu_workload_flags workload;
    struct mu_seed_range seeds;
    const char *faults; /* list, "all", "none"; NULL: all */
    const struct mu_profile *profile;
    bool json;
    const char *dump;
#ifdef MU_PLANTS
    const char *plant; /* NULL: none */
#endif
};

/* "A..B" or "A", A <= B, into a struct mu_seed_range (a mu_flag_parse_fn). */
int mu_sim_seeds_parse(void *target, const char *value, struct mu_error *error);
/* Returns the exit status. */
int mu_sim_command_run(const struct mu_sim_options *options);

#endif
