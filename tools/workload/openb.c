/*
 * The openb lists: a published GPU cluster and the pods that it ran (Weng et al., USENIX ATC 2023),
 * one file of nodes and one of pods, as CSV or packed with xz.
 *
 * nodes  sn name; cpu_milli; memory_mib; gpu whole GPUs; model GPU type, empty: no GPU
 * pods   name; cpu_milli; memory_mib; num_gpu; gpu_milli thousandths of each GPU asked for
 *        and, where the list has them: gpu_spec allowed GPU types joined by '|', empty: any;
 *        creation_time, scheduled_time, deletion_time in seconds
 *
 * A node's GPUs are tracked one by one, shared and given whole at our choice; a pod asks for whole
 * GPUs, or for a part of one (tools/workload/machine.h); a part of each of several is refused.
 *
 * What the lists do not say is filled in: 110 pod slots a node, every pod at priority 0 in
 * namespace "default", no gangs. One allowed GPU type becomes a node selector on
 * MU_GPU_MODEL_LABEL, several become required node affinity. A pod arrives when it was created and
 * runs as long as it ran there (deletion - scheduled; since creation where it was never scheduled).
 * Other columns are not read.
 */
#include "engine/base/clock.h"
#include "tools/workload/list_priv.h"
#include "tools/workload/machine.h"

#define CPU_MILLIS_MAX      (UINT64_C(1) << 40)
#define MEMORY_MIB_MAX      (UINT64_C(1) << 40) /* 2^60 bytes */
#define GPUS_MAX            UINT64_C(1024)
#define MODELS_MAX          32
#define LABEL_VALUE_MAX     63
#define MODEL_EXPECTED      "GPU types as label values (A-Z, a-z, 0-9, '-', '_', '.'; <= 63 bytes)"
#define NAME_EXPECTED       "a name of at most 63 bytes: it is the node's hostname label too"
#define MODEL_LIST_EXPECTED "at most 32 GPU types joined by '|'"
#define PART_EXPECTED       "1000, or a part of a single GPU"

static bool is_alnum(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

/* A label value as Kubernetes takes it, and not empty. */
static bool is_label_value(struct mu_str s)
{
    if (s.len == 0 || s.len > LABEL_VALUE_MAX)
        return false;
    if (!is_alnum(s.data[0]) || !is_alnum(s.data[s.len - 1]))
        return false;
    for (uint32_t i = 0; i < s.len; i++)
        if (!is_alnum(s.data[i]) && s.data[i] != '-' && s.data[i] != '_' && s.data[i] != '.')
            return false;
    return true;
}

/* --- nodes --------------------------------------------------------------------------------- */

struct node_columns {
    uint32_t name, cpu, memory, gpu, model;
};

static int add_node(struct mu_workload *w, const struct mu_file *file, const struct mu_csv *csv,
                    const struct node_columns *columns, struct mu_error *error)
{
    uint64_t cpu_millis, memory_mib, gpus;
    int status = mu_csv_u64(csv, columns->cpu, CPU_MILLIS_MAX, &cpu_millis, error);
    if (status == 0)
        status = mu_csv_u64(csv, columns->memory, MEMORY_MIB_MAX, &memory_mib, error);
    if (status == 0)
        status = mu_csv_u64(csv, columns->gpu, GPUS_MAX, &gpus, error);
    if (status != 0)
        return status;
    struct mu_str model = mu_csv_field(csv, columns->model);
    if (model.len > 0 && !is_label_value(model))
        return mu_csv_refuse(csv, columns->model, MODEL_EXPECTED, error);
    const struct mu_machine machine = {
        .name = mu_csv_field(csv, columns->name),
        .cpu_millis = (int64_t)cpu_millis,
        .memory_bytes = (int64_t)(memory_mib << 20),
        .gpus = (uint32_t)gpus,
        .model = model,
    };
    if (machine.name.len > LABEL_VALUE_MAX)
        return mu_csv_refuse(csv, columns->name, NAME_EXPECTED, error);
    char where[MU_LIST_WHERE_BYTES];
    mu_list_where(file, csv, where);
    return mu_workload_add_machine(w, &machine, where, error);
}

static int read_nodes(struct mu_workload *w, const struct mu_file *file, struct mu_csv *csv,
                      struct mu_error *error)
{
    struct node_columns columns;
    const struct mu_list_column required[] = {{"sn", &columns.name},
                                              {"cpu_milli", &columns.cpu},
                                              {"memory_mib", &columns.memory},
                                              {"gpu", &columns.gpu},
                                              {"model", &columns.model}};
    int more = mu_list_columns(csv, required, sizeof required / sizeof required[0], error);
    if (more != 0)
        return more;
    while ((more = mu_csv_next(csv, error)) == 1) {
        int status = add_node(w, file, csv, &columns, error);
        if (status != 0)
            return status;
    }
    return more;
}

/* --- pods ---------------------------------------------------------------------------------- */

struct pod_columns {
    uint32_t name, cpu, memory, gpus, gpu_millis;
    uint32_t spec, created, scheduled, deleted;
    bool has_spec, timed;
};

/* Split "A|B|A" into its distinct types. */
static int parse_spec(const struct mu_csv *csv, uint32_t column, struct mu_str *models,
                      uint32_t *count, struct mu_error *error)
{
    struct mu_str rest = mu_csv_field(csv, column);
    *count = 0;
    while (rest.len > 0) {
        const char *bar = memchr(rest.data, '|', rest.len);
        uint32_t len = bar != NULL ? (uint32_t)(bar - rest.data) : rest.len;
        struct mu_str model = {rest.data, len};
        uint32_t skip = bar != NULL ? len + 1 : len;
        rest = (struct mu_str){rest.data + skip, rest.len - skip};
        if (!is_label_value(model) || (bar != NULL && rest.len == 0))
            return mu_csv_refuse(csv, column, MODEL_EXPECTED, error);
        uint32_t known = 0;
        while (known < *count && !mu_str_equal(models[known], model))
            known++;
        if (known < *count)
            continue;
        if (*count == MODELS_MAX)
            return mu_csv_refuse(csv, column, MODEL_LIST_EXPECTED, error);
        models[(*count)++] = model;
    }
    return 0;
}

static int parse_times(const struct mu_csv *csv, const struct pod_columns *columns,
                       struct mu_workload_pod *pod, struct mu_error *error)
{
    uint64_t created, started, deleted;
    int status = mu_csv_u64(csv, columns->created, MU_LIST_SECONDS_MAX, &created, error);
    if (status == 0)
        status = mu_csv_u64(csv, columns->deleted, MU_LIST_SECONDS_MAX, &deleted, error);
    started = created;
    if (status == 0 && mu_csv_field(csv, columns->scheduled).len > 0)
        status = mu_csv_u64(csv, columns->scheduled, MU_LIST_SECONDS_MAX, &started, error);
    if (status != 0)
        return status;
    if (deleted < started)
        return mu_csv_refuse(csv, columns->deleted, "a time not before the pod's start", error);
    uint64_t seconds = deleted > started ? deleted - started : 1; /* it did run */
    pod->arrival_ns = created * MU_NS_PER_S;
    pod->duration_ns = seconds * MU_NS_PER_S;
    return 0;
}

static int add_pod(struct mu_workload *w, const struct mu_file *file, const struct mu_csv *csv,
                   const struct pod_columns *columns, struct mu_error *error)
{
    uint64_t cpu_millis = 0, memory_mib = 0, gpus = 0, gpu_millis = 0;
    struct mu_str models[MODELS_MAX];
    uint32_t model_count = 0;
    struct mu_workload_pod pod = {0};
    int status = mu_csv_u64(csv, columns->cpu, CPU_MILLIS_MAX, &cpu_millis, error);
    if (status == 0)
        status = mu_csv_u64(csv, columns->memory, MEMORY_MIB_MAX, &memory_mib, error);
    if (status == 0)
        status = mu_csv_u64(csv, columns->gpus, GPUS_MAX, &gpus, error);
    if (status == 0)
        status = mu_csv_u64(csv, columns->gpu_millis, 1000, &gpu_millis, error);
    if (status == 0 && columns->has_spec)
        status = parse_spec(csv, columns->spec, models, &model_count, error);
    if (status == 0 && columns->timed)
        status = parse_times(csv, columns, &pod, error);
    if (status == 0 && gpus > 1 && gpu_millis % 1000 != 0)
        status = mu_csv_refuse(csv, columns->gpu_millis, PART_EXPECTED, error);
    if (status != 0)
        return status;
    struct mu_amount requests[3] = {
        {MU_STR("cpu"), (int64_t)cpu_millis},
        {MU_STR("memory"), (int64_t)(memory_mib << 20)},
    };
    if (gpus * gpu_millis > 0)
        requests[2] = mu_gpu_request((int64_t)(gpus * gpu_millis));
    struct mu_label selector = {MU_STR(MU_GPU_MODEL_LABEL), {NULL, 0}};
    pod.object.ns = MU_STR("default");
    pod.object.name = mu_csv_field(csv, columns->name);
    pod.object.requests = requests;
    pod.object.request_count = gpus * gpu_millis > 0 ? 3 : 2;
    if (model_count == 1) {
        selector.value = models[0];
        pod.object.selector = &selector;
        pod.object.selector_count = 1;
    } else {
        pod.models = models;
        pod.model_count = model_count;
    }
    char where[MU_LIST_WHERE_BYTES];
    mu_list_where(file, csv, where);
    return mu_workload_add_pod(w, &pod, where, error);
}

static int read_pods(struct mu_workload *w, const struct mu_file *file, struct mu_csv *csv,
                     struct mu_error *error)
{
    struct pod_columns columns = {0};
    const struct mu_list_column required[] = {{"name", &columns.name},
                                              {"cpu_milli", &columns.cpu},
                                              {"memory_mib", &columns.memory},
                                              {"num_gpu", &columns.gpus},
                                              {"gpu_milli", &columns.gpu_millis}};
    int more = mu_list_columns(csv, required, sizeof required / sizeof required[0], error);
    if (more != 0)
        return more;
    columns.has_spec = mu_csv_column(csv, "gpu_spec", &columns.spec);
    columns.timed = mu_csv_column(csv, "creation_time", &columns.created) &&
                    mu_csv_column(csv, "scheduled_time", &columns.scheduled) &&
                    mu_csv_column(csv, "deletion_time", &columns.deleted);
    while ((more = mu_csv_next(csv, error)) == 1) {
        int status = add_pod(w, file, csv, &columns, error);
        if (status != 0)
            return status;
    }
    w->timed = columns.timed;
    return more;
}

/* --- both ---------------------------------------------------------------------------------- */

int mu_workload_add_openb_nodes(struct mu_workload *workload, const char *path,
                                struct mu_error *error)
{
    return mu_list_read(workload, path, read_nodes, error);
}

int mu_workload_load_openb(const char *nodes_path, const char *pods_path, struct mu_workload **out,
                           struct mu_error *error)
{
    struct mu_workload *w = mu_workload_create();
    if (w == NULL)
        return mu_error_set(error, MU_ENOMEM, "no memory for the workload");
    int status = mu_workload_add_openb_nodes(w, nodes_path, error);
    if (status == 0)
        status = mu_list_read(w, pods_path, read_pods, error);
    if (status == 0)
        status = mu_workload_finish(w, error);
    if (status != 0) {
        mu_workload_destroy(w);
        return status;
    }
    *out = w;
    return 0;
}
