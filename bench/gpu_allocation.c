/*
 * How much of a cluster's GPUs each profile gives away before nothing fits any more, in the way of
 * Weng et al. (USENIX ATC 2023): tasks are drawn from an openb list at random, with repetition,
 * until their requests reach 130 % of the GPUs there are; they are placed one after another in the
 * order drawn, none leaves, and what is allocated in the end is given as a share of all GPUs.
 *
 * Nodes share their GPUs and take whole ones at our choice; a task asks for whole GPUs, or for a
 * part of one, and where the list says so on GPUs of certain types. Each row is the mean of
 * the seeds 1 to --seeds, with the smallest and the largest; the same on every machine.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/assert.h"
#include "engine/base/mem.h"
#include "engine/base/random.h"
#include "engine/db/db.h"
#include "engine/place/profile.h"
#include "engine/session/session.h"
#include "tools/workload/workload.h"

#define PERCENT_DRAWN 130

/* Thousandths of GPUs among these amounts. */
static int64_t gpu_millis(const struct mu_amount *amounts, uint32_t count)
{
    int64_t millis = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (mu_str_equal(amounts[i].resource, MU_STR(MU_GPU_SHARE_RESOURCE)))
            millis += amounts[i].value;
        if (mu_str_equal(amounts[i].resource, MU_STR(MU_GPU_RESOURCE)))
            millis += amounts[i].value * 1000;
    }
    return millis;
}

static int64_t put_nodes(struct mu_db *db, const struct mu_workload *w)
{
    int64_t total = 0;
    for (uint32_t n = 0; n < w->node_count; n++) {
        struct mu_node_object node = w->nodes[n];
        node.version = 1;
        MU_ASSERT(mu_db_node_upsert(db, &node, 0, NULL) == 0);
        total += gpu_millis(node.allocatable, node.allocatable_count);
    }
    return total;
}

/* Draw a task; returns what it asks for. */
static int64_t put_pod(struct mu_db *db, const struct mu_workload *w, uint32_t task,
                       uint32_t number)
{
    const struct mu_workload_pod *from = &w->pods[task];
    const struct mu_requirement model = {MU_STR(MU_GPU_MODEL_LABEL), MU_OP_IN, from->models,
                                         from->model_count};
    const struct mu_node_term models = {.labels = {.requirements = &model, .requirement_count = 1}};
    struct mu_pod_object pod = from->object;
    char name[32], uid[40];
    (void)snprintf(name, sizeof name, "task-%u", number);
    (void)snprintf(uid, sizeof uid, "00000000-0000-4000-8000-%012x", number);
    pod.scheduler_name = MU_STR("muster");
    pod.version = 1;
    pod.created_s = 1 + number;
    pod.name = mu_str_of(name);
    pod.uid = mu_str_of(uid);
    pod.has_node_terms = from->model_count > 0;
    pod.node_terms = &models;
    pod.node_term_count = from->model_count > 0 ? 1 : 0;
    MU_ASSERT(mu_db_pod_upsert(db, &pod, 0, NULL) == 0);
    return gpu_millis(pod.requests, pod.request_count);
}

/* Thousandths of the cluster's GPUs that are allocated in the end. */
static double run(const struct mu_workload *w, const struct mu_profile *profile, uint64_t seed)
{
    static const struct mu_str scheduler = {"muster", 6};
    struct mu_db_config config = {.scheduler_names = &scheduler, .scheduler_name_count = 1};
    struct mu_session_config session_config = {.profile = profile};
    struct mu_db *db = mu_db_create(&config);
    struct mu_session *session = mu_session_create(&session_config);
    struct mu_snapshot *s = mu_db_replica_create(db);
    struct mu_random random;
    MU_ASSERT(db != NULL && session != NULL && s != NULL);
    mu_random_init_seed(&random, seed);
    int64_t total = put_nodes(db, w), drawn = 0, allocated = 0;
    uint32_t count = 0, cap = 0;
    int64_t *asks = NULL;
    while (drawn < total / 100 * PERCENT_DRAWN) {
        uint32_t task = (uint32_t)mu_random_below(&random, w->pod_count);
        if (count == cap) {
            MU_ASSERT(mu_mem_grow((void **)&asks, &cap, count + 1, 1u << 20, sizeof *asks) == 0);
        }
        asks[count] = put_pod(db, w, task, count);
        drawn += asks[count++];
    }
    const struct mu_plan *plan;
    while (mu_db_replica_sync(db, s, 0) == 1) {
    }
    MU_ASSERT(mu_session_run(session, s, 0, &plan) == 0);
    for (uint32_t g = 0; g < plan->gang_count; g++) {
        uint64_t number = plan->gangs[g].binds[0].uid.lo & 0xffffffff;
        MU_ASSERT(number < count);
        allocated += asks[number];
        MU_ASSERT(mu_db_admit(db, &plan->gangs[g], NULL) == 0);
    }
    mu_mem_free(asks);
    mu_session_destroy(session);
    mu_db_destroy(db);
    return (double)allocated / (double)total * 100;
}

static int usage(void)
{
    (void)fprintf(stderr,
                  "usage: muster-gpu-allocation [--seeds N] NODES.csv[.xz] PODS.csv[.xz]...\n");
    return 2;
}

int main(int argc, char **argv)
{
    int at = 1;
    uint64_t seeds = 10;
    if (at + 1 < argc && strcmp(argv[at], "--seeds") == 0) {
        if (!mu_str_to_u64(mu_str_of(argv[at + 1]), &seeds) || seeds == 0)
            return usage();
        at += 2;
    }
    if (argc - at < 2)
        return usage();
    (void)printf("| list | profile | allocated %% | least | most |\n|---|---|---|---|---|\n");
    for (int list = at + 1; list < argc; list++) {
        struct mu_workload *w;
        struct mu_error error;
        if (mu_workload_load_openb(argv[at], argv[list], &w, &error) != 0) {
            (void)fprintf(stderr, "%s\n", error.text);
            return 1;
        }
        const char *slash = strrchr(argv[list], '/');
        for (uint32_t p = 0; mu_profile_name(p) != NULL; p++) {
            double sum = 0, least = 100, most = 0;
            for (uint64_t seed = 1; seed <= seeds; seed++) {
                double percent = run(w, mu_profile_find(mu_str_of(mu_profile_name(p))), seed);
                sum += percent;
                least = percent < least ? percent : least;
                most = percent > most ? percent : most;
            }
            (void)printf("| %s | %s | %.2f | %.2f | %.2f |\n",
                         slash != NULL ? slash + 1 : argv[list], mu_profile_name(p),
                         sum / (double)seeds, least, most);
            (void)fflush(stdout);
        }
        mu_workload_destroy(w);
    }
    return 0;
}
