#include "tools/open_files.h"

#include <sys/resource.h>

/* The soft limit is low for the sake of programs that use select(), whose sets end at 1,024. None
 * of ours does: libuv has epoll. */
uint64_t mu_open_files_raise(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return 0;
    rlim_t before = limit.rlim_cur;
    limit.rlim_cur = limit.rlim_max;
    return setrlimit(RLIMIT_NOFILE, &limit) == 0 ? limit.rlim_cur : before;
}
