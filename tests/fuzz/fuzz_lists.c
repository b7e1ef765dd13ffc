/*
 * The published lists as workloads: jobs of a Philly trace, and the nodes and pods of openb. The
 * first byte says which of the three the rest is. No input crashes; an error is one line that names
 * the file; what is taken keeps its promises to those who create it: names that are there once,
 * gangs as large as they state, times that add up.
 *
 * covers: tools/workload/philly.c tools/workload/openb.c tools/workload/list.c
 */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "engine/base/assert.h"
#include "engine/base/clock.h"
#include "tools/workload/workload.h"

/* A row of a dozen bytes can be a gang of 16,384 pods: a few rows do. */
enum { BYTES_MAX = 512, PATH_BYTES = 64 };

static const char nodes[] = "sn,cpu_milli,memory_mib,gpu,model\nn-0,64000,524288,8,A\n";
static const char pods[] = "name,cpu_milli,memory_mib,num_gpu,gpu_milli\np-0,1000,1,1,500\n";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A file without a name, and the path by which it can be opened. */
static int file_of(const void *data, size_t size, char path[PATH_BYTES])
{
    int fd = memfd_create("list", MFD_CLOEXEC);
    MU_ASSERT(fd >= 0 && write(fd, data, size) == (ssize_t)size);
    (void)snprintf(path, PATH_BYTES, "/proc/self/fd/%d", fd);
    return fd;
}

static void check_error(int status, const struct mu_error *error)
{
    MU_ASSERT(status < 0 && error->code == status);
    MU_ASSERT(memchr(error->text, '\0', sizeof error->text) != NULL);
    for (const char *c = error->text; *c != '\0'; c++)
        MU_ASSERT((unsigned char)*c >= 0x20);
}

static uint32_t members_of(const struct mu_workload *w, struct mu_str gang)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < w->pod_count; i++)
        count += mu_str_equal(w->pods[i].object.gang.name, gang);
    return count;
}

static void check_pods(const struct mu_workload *w)
{
    uint64_t before_ns = 0;
    for (uint32_t i = 0; i < w->pod_count; i++) {
        const struct mu_workload_pod *pod = &w->pods[i];
        const struct mu_gang_ref *gang = &pod->object.gang;
        MU_ASSERT(pod->object.name.len > 0 && pod->object.ns.len > 0);
        MU_ASSERT(pod->arrival_ns >= before_ns); /* finish ordered them */
        before_ns = pod->arrival_ns;
        MU_ASSERT(pod->arrival_ns + pod->duration_ns >= pod->arrival_ns);
        MU_ASSERT(w->timed == (pod->duration_ns > 0));
        if (gang->source != MU_GANG_SOLO && w->pod_count < 100)
            MU_ASSERT(gang->size > 1 && members_of(w, gang->name) == gang->size);
        for (uint32_t r = 0; r < pod->object.request_count; r++)
            MU_ASSERT(pod->object.requests[r].value >= 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char list_path[PATH_BYTES], other_path[PATH_BYTES];
    struct mu_workload *w = NULL;
    struct mu_error error = {0, ""};
    if (size < 1 || size > BYTES_MAX)
        return 0;
    bool other_is_pods = data[0] == 'n';
    int list = file_of(data + 1, size - 1, list_path);
    int other = other_is_pods ? file_of(pods, sizeof pods - 1, other_path)
                              : file_of(nodes, sizeof nodes - 1, other_path);
    int status = data[0] == 'n'   ? mu_workload_load_openb(list_path, other_path, &w, &error)
                 : data[0] == 'p' ? mu_workload_load_openb(other_path, list_path, &w, &error)
                                  : mu_workload_load_philly(list_path, other_path, &w, &error);
    MU_ASSERT((status == 0) == (w != NULL));
    if (status == 0)
        check_pods(w);
    else
        check_error(status, &error);
    mu_workload_destroy(w);
    (void)close(list);
    (void)close(other);
    return 0;
}
