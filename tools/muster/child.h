#ifndef MU_TOOLS_MUSTER_CHILD_H
#define MU_TOOLS_MUSTER_CHILD_H
/* A child process of a demo: started beside this program, its output in a file, ended by pid. */
#include <stdbool.h>
#include <uv.h>
#include "engine/base/error.h"

#define MU_CHILD_PATH_BYTES 4096

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

/* Start `name` from the folder of the running program. argv[0] is set to it; argv ends with NULL.
 * log_path takes stdout and stderr. In a session of its own: an interrupt
 * from the terminal is for the program that started it. Errors: libuv codes with
 * *error naming the program. */
int mu_child_start(uv_loop_t *loop, struct mu_child *child, const char *name, char **argv,
                   const char *log_path, struct mu_error *error);
/* Send a signal if it still runs; on_end tells when it is gone. */
void mu_child_end(struct mu_child *child, int signum);
/* Copy the last lines of its log to stderr, each behind "name: ". */
void mu_child_print_tail(const struct mu_child *child, unsigned lines);

#endif
