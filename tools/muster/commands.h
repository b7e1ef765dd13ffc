#ifndef MU_TOOLS_MUSTER_COMMANDS_H
#define MU_TOOLS_MUSTER_COMMANDS_H
/* The commands of `muster`: argv[0] is the command's name. Each returns the exit status: 0 well,
 * 1 a check failed or something went wrong on the way, 2 wrong flags or input. */
int mu_command_demo(int argc, char **argv);
int mu_command_sim(int argc, char **argv);
int mu_command_place(int argc, char **argv);
int mu_command_explain(int argc, char **argv);
int mu_command_version(int argc, char **argv);

#endif
