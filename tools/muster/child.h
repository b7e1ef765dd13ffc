#ifndef MU_TOOLS_MUSTER_CHILD_H
#define MU_TOOLS_MUSTER_CHILD_H
/*
 * A child process of a demo: started beside this program, its output in a file, ended by pid.
 *
 * A tethered child also ends when the demo is killed and can end nobody any more. The kernel sees
 * to that (PR_SET_PDEATHSIG), but only the child itself can ask for it, after the fork: so this
 * program is started as the child first (mu_child_tether), asks, and becomes the other program.
 */
#include <stdbool.h>
#include <uv.h>
#include "engine/base/error.h"

#define MU_CHILD_PATH_BYTES 4096
#define MU_CHILD_ARGS_MAX   32
#define MU_CHILD_TETHER     "tether" /* the command that runs mu_child_tether */

struct mu_child {
    uv_process_t process;
    const char *name; /* of the program, static */
    char log_path[MU_CHILD_PATH_BYTES];
    bool started;
    bool ended;
    int64_t exit_status;
    int term_signal;
    void (*on_end)(void *context, struct mu_child *child); /* may be NULL */
    void *context;
};

/* Start `name` from the folder of the running program. argv[0] is set to it; argv ends with NULL,
 * at most MU_CHILD_ARGS_MAX of them before. tethered: it is killed when this thread's process is.
 * log_path takes stdout and stderr. In a session of its own: an interrupt
 * from the terminal is for the program that started it. Errors: libuv codes with
 * *error naming the program. */
int mu_child_start(uv_loop_t *loop, struct mu_child *child, const char *name, char **argv,
                   bool tethered, const char *log_path, struct mu_error *error);
/* As a program of its own: argv[1] is the pid of the process to end with, argv[2] the program to
 * become, with the arguments behind it. Returns only when it cannot: the exit status. */
int mu_child_tether(int argc, char **argv);
/* Send a signal if it still runs; on_end tells when it is gone. */
void mu_child_end(struct mu_child *child, int signum);
/* Let it go on without us: on_end will not be called, and it is not ended by us any more. */
void mu_child_release(struct mu_child *child);
/* Copy the last lines of its log to stderr, each behind "name: ", which it may bring itself. */
void mu_child_print_tail(const struct mu_child *child, unsigned lines);

#endif
