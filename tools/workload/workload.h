#ifndef MU_TOOLS_WORKLOAD_WORKLOAD_H
#define MU_TOOLS_WORKLOAD_WORKLOAD_H
/*
 * A workload: the nodes of a cluster, and the pods that arrive there. Generated from a seed, or
 * read from published lists; the demo creates it through the API, the simulation replays it under
 * virtual time. Objects have no uid and no version: those are the server's to give.
 *
 * GPUs are devices that pods share (tools/workload/machine.h): a pod asks for whole ones, or for a
 * part of one in thousandths, MU_GPU_SHARE_RESOURCE. One for a model has a selector or an affinity
 * on the label by which NVIDIA's feature discovery names it.
 */
#include <stdbool.h>
#include <stdint.h>
#include "engine/base/error.h"
#include "engine/object.h"

#define MU_GPU_RESOURCE    "nvidia.com/gpu"
#define MU_GPU_MODEL_LABEL "nvidia.com/gpu.product"

/* The default cluster keeps some of its nodes for training by this taint: key, and its value. */
#define MU_DEDICATED_TAINT    "muster.dev/dedicated"
#define MU_DEDICATED_TRAINING "training"

#define MU_WORKLOAD_ANNOTATIONS_MAX 8u

struct mu_workload_pod {
    struct mu_pod_object object; /* uid, version, created_s and node_name are empty */
    /* Two or more GPU models that would do: required node affinity. A single one is in the node
     * selector instead. */
    const struct mu_str *models;
    uint32_t model_count;
    /* Beside those that follow from the object: what another gang dialect says, for example. */
    const struct mu_label *annotations;
    uint32_t annotation_count; /* at most MU_WORKLOAD_ANNOTATIONS_MAX */
    uint32_t grace_s;          /* that it is given when it is deleted; 0: as the server has it */
    uint64_t arrival_ns;       /* from the start of the workload */
    uint64_t duration_ns;      /* how long it runs once bound; 0: it does not end */
};

/* Read as it is; changed only through the functions below. Everything lives until destroy. */
struct mu_workload {
    struct mu_node_object *nodes;
    struct mu_workload_pod *pods; /* by arrival, ties in the order of the source */
    uint32_t node_count;
    uint32_t pod_count;
    int32_t *priorities; /* the distinct ones of the pods but 0, ascending; filled by finish */
    uint32_t priority_count;
    bool timed; /* arrivals and durations are recorded; else every pod arrives at 0 */
    struct mu_workload_store *store;
};

/* An empty workload. Owns: caller, until destroy. Errors: NULL. Thread: one user. */
struct mu_workload *mu_workload_create(void);
void mu_workload_destroy(struct mu_workload *workload);

/* Append a copy. `where` names the source in *error ("pods.csv:17"). Errors: MU_EINVAL (a name that
 * Kubernetes would refuse, a negative amount), MU_ELIMIT, MU_ENOMEM; nothing is added. */
int mu_workload_add_node(struct mu_workload *workload, const struct mu_node_object *node,
                         const char *where, struct mu_error *error);
int mu_workload_add_pod(struct mu_workload *workload, const struct mu_workload_pod *pod,
                        const char *where, struct mu_error *error);
/* After the last append: order the pods by arrival, collect their priorities, and refuse names that
 * occur twice.
 * Errors: MU_EEXIST, MU_ENOMEM. Cost: O(n log n). */
int mu_workload_finish(struct mu_workload *workload, struct mu_error *error);

/* The default: 1,523 nodes in the shape of published GPU clusters, 7,000 single pods and 150
 * training gangs of 2 to 64 pods, finished. Same seed, same workload, on every machine. */
#define MU_WORKLOAD_DEFAULT_SEED UINT64_C(20230703)
int mu_workload_generate(uint64_t seed, struct mu_workload **out, struct mu_error *error);
/* Append the nodes of the default alone: the same whatever the seed. Errors: MU_ENOMEM. */
int mu_workload_add_default_nodes(struct mu_workload *workload, struct mu_error *error);

/* The openb lists (CSV or .xz), finished: tools/workload/openb.c has the columns. Errors: MU_EINVAL
 * naming file, line, field and what was expected; MU_EIO, MU_ETRUNCATED, MU_ELIMIT, MU_ENOMEM. */
int mu_workload_load_openb(const char *nodes_path, const char *pods_path, struct mu_workload **out,
                           struct mu_error *error);
/* Append the nodes of an openb list alone. Errors: as above; nodes of earlier lines stay. */
int mu_workload_add_openb_nodes(struct mu_workload *workload, const char *path,
                                struct mu_error *error);

/* A list of training jobs (CSV or .xz), each a gang, on the nodes of an openb list, or on those of
 * the default when nodes_path is NULL; finished: tools/workload/philly.c has the columns and what a
 * job becomes. Errors: as for openb. */
int mu_workload_load_philly(const char *jobs_path, const char *nodes_path, struct mu_workload **out,
                            struct mu_error *error);

#endif
