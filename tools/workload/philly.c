/*
 * Lists of training jobs in the columns of the Muri simulator (Zhao et al., SIGCOMM 2022), whose
 * arrivals, GPU counts and run times come from Microsoft's Philly cluster; as CSV or packed with
 * xz.
 *
 * job_id       a number, each once
 * num_gpu      whole GPUs of the job, 1 or more
 * submit_time  milliseconds from the start of the trace
 * duration     milliseconds that it runs, 1 or more
 * priority     0 or 1, where the list has it; else 0. 1 goes first: it is the pods' priority as
 *              Kubernetes has it. Nothing is preempted for it yet
 *
 * Other columns (the model, its batch size, its profile) are not read.
 *
 * What a job becomes. A machine has at most 8 GPUs, so a job of n GPUs is a gang of ceil(n / 8)
 * pods of 8 GPUs, of which the last takes what remains: 20 GPUs are 8 + 8 + 4. A job of one pod
 * names no gang. The list says nothing of CPUs and memory: a pod asks for 8 CPUs and 64 GiB for
 * each of its GPUs. Jobs are training, so that they tolerate the taint of nodes that are dedicated
 * to it. The pods of a job arrive together and run equally long. A lone pod is named job-<job_id>;
 * a gang is, and its pods job-<job_id>-0, -1 and so on.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include "engine/base/clock.h"
#include "engine/base/mem.h"
#include "engine/limits.h"
#include "tools/workload/list_priv.h"
#include "tools/workload/workload.h"

#define GPUS_PER_POD       8u
#define CPU_MILLIS_PER_GPU INT64_C(8000)
#define MEM_BYTES_PER_GPU  (INT64_C(64) << 30)
#define GPUS_MAX           (GPUS_PER_POD * MU_GANG_MEMBERS_MAX)
#define JOB_ID_MAX         UINT64_C(999999999999999999)
#define MS_MAX             (MU_LIST_SECONDS_MAX * 1000)
#define NAME_BYTES         48 /* "job-", 18 digits, '-', 10 digits */
#define GPUS_EXPECTED      "whole GPUs of the job, from 1 to 131072"
#define DURATION_EXPECTED  "a run time in milliseconds, from 1 to 4000000000000"

_Static_assert(GPUS_MAX == 131072 && MS_MAX == 4000000000000, "as the errors say");
_Static_assert(MS_MAX < UINT64_MAX / MU_NS_PER_MS / 2, "a job's end fits 64 bits of nanoseconds");

struct job {
    uint64_t id;
    uint64_t gpus;
    uint64_t arrival_ns, duration_ns;
    int32_t priority;
};

struct columns {
    uint32_t id, gpus, submitted, duration, priority;
    bool has_priority;
};

/* Where a job was seen: a job_id may occur once. */
struct sighting {
    uint64_t id, line;
};
struct sightings {
    struct sighting *jobs;
    uint32_t count, cap;
};

static int add_pod(struct mu_workload *w, const struct job *job, const char *name,
                   const struct mu_gang_ref *gang, uint32_t gpus, const char *where,
                   struct mu_error *error)
{
    const struct mu_amount requests[] = {
        {MU_STR("cpu"), gpus * CPU_MILLIS_PER_GPU},
        {MU_STR("memory"), gpus * MEM_BYTES_PER_GPU},
        {MU_STR(MU_GPU_RESOURCE), gpus},
    };
    const struct mu_toleration training = {MU_STR(MU_DEDICATED_TAINT),
                                           MU_STR(MU_DEDICATED_TRAINING), MU_TOLERATE_EQUAL,
                                           MU_EFFECT_NO_SCHEDULE};
    const struct mu_workload_pod pod = {
        .object = {.ns = MU_STR("default"),
                   .name = mu_str_of(name),
                   .priority = job->priority,
                   .requests = requests,
                   .request_count = sizeof requests / sizeof requests[0],
                   .tolerations = &training,
                   .toleration_count = 1,
                   .gang = *gang},
        .arrival_ns = job->arrival_ns,
        .duration_ns = job->duration_ns,
    };
    return mu_workload_add_pod(w, &pod, where, error);
}

static int add_job(struct mu_workload *w, const struct job *job, const char *where,
                   struct mu_error *error)
{
    char gang_name[NAME_BYTES], name[NAME_BYTES];
    uint32_t pods = (uint32_t)((job->gpus + GPUS_PER_POD - 1) / GPUS_PER_POD);
    uint32_t left = (uint32_t)job->gpus;
    struct mu_gang_ref gang = {.source = MU_GANG_SOLO};
    (void)snprintf(gang_name, sizeof gang_name, "job-%" PRIu64, job->id);
    if (pods == 1)
        return add_pod(w, job, gang_name, &gang, left, where, error);
    gang =
        (struct mu_gang_ref){.source = MU_GANG_MUSTER, .name = mu_str_of(gang_name), .size = pods};
    for (uint32_t i = 0; i < pods; i++) {
        uint32_t gpus = left < GPUS_PER_POD ? left : GPUS_PER_POD;
        (void)snprintf(name, sizeof name, "%.24s-%" PRIu32, gang_name, i);
        int status = add_pod(w, job, name, &gang, gpus, where, error);
        if (status != 0)
            return status;
        left -= gpus;
    }
    return 0;
}

/* A number from 1: what mu_csv_u64 takes from 0. */
static int read_positive(const struct mu_csv *csv, uint32_t column, uint64_t max,
                         const char *expected, uint64_t *value, struct mu_error *error)
{
    uint64_t got = 0;
    if (mu_csv_u64(csv, column, max, &got, NULL) != 0 || got == 0)
        return mu_csv_refuse(csv, column, expected, error);
    *value = got;
    return 0;
}

static int read_job(const struct mu_csv *csv, const struct columns *columns, struct job *job,
                    struct mu_error *error)
{
    uint64_t submitted_ms = 0, duration_ms = 0, priority = 0;
    int status = mu_csv_u64(csv, columns->id, JOB_ID_MAX, &job->id, error);
    if (status == 0)
        status = read_positive(csv, columns->gpus, GPUS_MAX, GPUS_EXPECTED, &job->gpus, error);
    if (status == 0)
        status = mu_csv_u64(csv, columns->submitted, MS_MAX, &submitted_ms, error);
    if (status == 0)
        status =
            read_positive(csv, columns->duration, MS_MAX, DURATION_EXPECTED, &duration_ms, error);
    if (status == 0 && columns->has_priority)
        status = mu_csv_u64(csv, columns->priority, 1, &priority, error);
    if (status != 0)
        return status;
    job->arrival_ns = submitted_ms * MU_NS_PER_MS;
    job->duration_ns = duration_ms * MU_NS_PER_MS;
    job->priority = (int32_t)priority;
    return 0;
}

static int add_row(struct mu_workload *w, const struct mu_file *file, const struct mu_csv *csv,
                   const struct columns *columns, struct sightings *seen, struct mu_error *error)
{
    struct job job = {0};
    char where[MU_LIST_WHERE_BYTES];
    mu_list_where(file, csv, where);
    int status = read_job(csv, columns, &job, error);
    if (status != 0)
        return status;
    status = mu_mem_grow((void **)&seen->jobs, &seen->cap, seen->count + 1, MU_PODS_MAX,
                         sizeof *seen->jobs);
    if (status != 0)
        return mu_error_set(error, status, "%s: more than %u jobs, or no memory", where,
                            MU_PODS_MAX);
    seen->jobs[seen->count++] = (struct sighting){job.id, mu_csv_line(csv)};
    return add_job(w, &job, where, error);
}

static int compare_sightings(const void *left, const void *right)
{
    const struct sighting *a = left, *b = right;
    if (a->id != b->id)
        return a->id < b->id ? -1 : 1;
    return (a->line > b->line) - (a->line < b->line);
}

/* Of all rows that repeat a job, name the first. */
static int refuse_repeated(const struct mu_file *file, struct sightings *seen,
                           struct mu_error *error)
{
    const struct sighting *first = NULL;
    if (seen->count == 0)
        return 0;
    qsort(seen->jobs, seen->count, sizeof *seen->jobs, compare_sightings);
    for (uint32_t i = 1; i < seen->count; i++) {
        const struct sighting *job = &seen->jobs[i];
        if (job[-1].id == job->id && (first == NULL || job->line < first->line))
            first = job;
    }
    if (first == NULL)
        return 0;
    return mu_error_set(error, MU_EEXIST,
                        "%s:%" PRIu64 ": column 'job_id': expected a job that is not in the list "
                        "yet, found '%" PRIu64 "' of line %" PRIu64 " again",
                        mu_file_name(file), first->line, first->id, first[-1].line);
}

static int read_jobs(struct mu_workload *w, const struct mu_file *file, struct mu_csv *csv,
                     struct mu_error *error)
{
    struct columns columns;
    struct sightings seen = {0};
    const struct mu_list_column required[] = {{"job_id", &columns.id},
                                              {"num_gpu", &columns.gpus},
                                              {"submit_time", &columns.submitted},
                                              {"duration", &columns.duration}};
    int status = mu_list_columns(csv, required, sizeof required / sizeof required[0], error);
    if (status != 0)
        return status;
    columns.has_priority = mu_csv_column(csv, "priority", &columns.priority);
    int more = 0;
    while (status == 0 && (more = mu_csv_next(csv, error)) == 1)
        status = add_row(w, file, csv, &columns, &seen, error);
    if (status == 0)
        status = more;
    if (status == 0)
        status = refuse_repeated(file, &seen, error);
    mu_mem_free(seen.jobs);
    return status;
}

int mu_workload_load_philly(const char *jobs_path, const char *nodes_path, struct mu_workload **out,
                            struct mu_error *error)
{
    struct mu_workload *w = mu_workload_create();
    if (w == NULL)
        return mu_error_set(error, MU_ENOMEM, "no memory for the workload");
    int status = nodes_path != NULL ? mu_workload_add_openb_nodes(w, nodes_path, error)
                                    : mu_workload_add_default_nodes(w, error);
    if (status == 0)
        status = mu_list_read(w, jobs_path, read_jobs, error);
    if (status == 0)
        status = mu_workload_finish(w, error);
    if (status != 0) {
        mu_workload_destroy(w);
        return status;
    }
    w->timed = true;
    *out = w;
    return 0;
}
