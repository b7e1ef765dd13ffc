#ifndef MU_TOOLS_MUSTER_OFFLINE_COMMANDS_H
#define MU_TOOLS_MUSTER_OFFLINE_COMMANDS_H
/* `muster place` and `muster explain`, behind their flags. Each returns the exit status. */
struct mu_offline_options;
int mu_place_command_run(const struct mu_offline_options *options);
int mu_explain_command_run(const struct mu_offline_options *options);

#endif
