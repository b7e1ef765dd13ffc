/* musterd: the scheduler daemon. */
#include "tools/musterd/daemon.h"

int main(int argc, char **argv)
{
    struct mu_daemon_options options;
    int status = mu_daemon_options_read(&options, argc, argv);
    return status >= 0 ? status : mu_daemon_run(&options);
}
