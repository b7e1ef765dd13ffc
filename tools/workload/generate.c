/*
 * The default workload: a cluster in the shape of published GPU clusters, from a seed.
 *
 * Nodes: a few large classes and a long tail, mostly 8-GPU and 2-GPU machines, a fifth without a
 * GPU, one class dedicated to training by a taint. Pods: mostly one GPU or a part of one, some of
 * 2, 4 and 8, a third without; a few insist on a GPU model. Training gangs have 2 to 64 members
 * of one GPU each and rank above single pods. GPU demand is about nine tenths of what there is:
 * most fits, and placing well matters.
 *
 * Every draw is an integer from one seeded stream, so that the workload is the same everywhere.
 * Gangs arrive spread among the single pods; all members of a gang arrive together.
 */
#include <stdio.h>
#include "engine/base/assert.h"
#include "engine/base/clock.h"
#include "engine/base/random.h"
#include "tools/workload/machine.h"

#define MIB            (INT64_C(1) << 20)
#define GIB            (INT64_C(1) << 30)
#define SINGLES        7000
#define GANGS          150
#define GANG_PRIORITY  1000
#define ARRIVALS_NS    (3600 * MU_NS_PER_S) /* all arrive within an hour */
#define DURATION_S_MIN UINT64_C(60)
#define DURATION_LOG2  8 /* durations: 1 minute times 2^0 .. 2^8 (about 4 hours) */

struct node_class {
    const char *name;
    uint32_t count;
    int64_t cpu_cores, mem_gib, gpus;
    const char *model;
    bool dedicated; /* tainted for training */
};
static const struct node_class node_classes[] = {
    {"g2", 550, 96, 384, 8, "G2", false},         {"t4", 390, 104, 512, 2, "T4", false},
    {"cpu-m", 200, 32, 256, 0, NULL, false},      {"p100", 130, 16, 120, 2, "P100", false},
    {"cpu-l", 80, 96, 512, 0, NULL, false},       {"v100m16", 60, 64, 256, 4, "V100M16", false},
    {"g3", 40, 128, 768, 8, "G3", false},         {"cpu-xl", 30, 64, 512, 0, NULL, false},
    {"v100m32", 23, 96, 768, 8, "V100M32", true}, {"a10", 20, 8, 32, 1, "A10", false},
};

int mu_workload_add_default_nodes(struct mu_workload *w, struct mu_error *error)
{
    for (size_t c = 0; c < sizeof node_classes / sizeof node_classes[0]; c++) {
        const struct node_class *class = &node_classes[c];
        for (uint32_t i = 0; i < class->count; i++) {
            char name[32];
            (void)snprintf(name, sizeof name, "%s-%04u", class->name, i);
            const struct mu_machine machine = {
                .name = mu_str_of(name),
                .cpu_millis = class->cpu_cores * 1000,
                .memory_bytes = class->mem_gib * GIB,
                .gpus = (uint32_t) class->gpus,
                .model = mu_str_of(class->model),
                .for_training = class->dedicated,
            };
            int status = mu_workload_add_machine(w, &machine, "generated node", error);
            if (status != 0)
                return status;
        }
    }
    return 0;
}

/* One minute to about four hours, short ones as frequent as long ones on a logarithmic scale. */
static uint64_t draw_duration_ns(struct mu_random *random)
{
    uint64_t s = DURATION_S_MIN << mu_random_below(random, DURATION_LOG2);
    return (s + mu_random_below(random, s)) * MU_NS_PER_S;
}

struct pod_draw {
    int64_t cpu_millis, mem_bytes, gpu_millis;
    const char *model; /* NULL: any */
};

static int64_t pick(struct mu_random *random, const int64_t *values, size_t count)
{
    return values[mu_random_below(random, count)];
}
#define PICK(random, ...)                                                                          \
    pick((random), (const int64_t[]){__VA_ARGS__},                                                 \
         sizeof((const int64_t[]){__VA_ARGS__}) / sizeof(int64_t))

/* Shares of a thousand: 355 no GPU, 300 a part of one, 310 one, 35 several. */
static struct pod_draw draw_single(struct mu_random *random)
{
    struct pod_draw draw = {0};
    uint64_t kind = mu_random_below(random, 1000);
    if (kind < 355) {
        draw.cpu_millis = PICK(random, 4000, 8000, 12500, 16500, 32000);
        draw.mem_bytes = draw.cpu_millis / 1000 * PICK(random, 2, 3, 4) * GIB;
    } else if (kind < 655) {
        draw.gpu_millis = PICK(random, 230, 320, 470, 470, 650, 810);
        draw.cpu_millis = PICK(random, 3150, 4000, 8000);
        draw.mem_bytes = PICK(random, 5600, 22888, 30517) * MIB;
    } else {
        int64_t gpus = kind < 965 ? 1 : PICK(random, 2, 2, 2, 2, 2, 4, 4, 8);
        draw.gpu_millis = gpus * 1000;
        draw.cpu_millis = gpus * PICK(random, 3150, 4000, 8000, 11300);
        draw.mem_bytes = gpus * PICK(random, 5600, 16384, 24576, 47104) * MIB;
        if (gpus == 1 && mu_random_chance(random, 60))
            draw.model = mu_random_chance(random, 500) ? "T4" : "P100";
    }
    return draw;
}

static int add_pod(struct mu_workload *w, const struct pod_draw *draw, const char *name,
                   const struct mu_gang_ref *gang, uint64_t arrival_ns, uint64_t duration_ns,
                   struct mu_error *error)
{
    struct mu_amount requests[3] = {
        {MU_STR("cpu"), draw->cpu_millis},
        {MU_STR("memory"), draw->mem_bytes},
    };
    if (draw->gpu_millis > 0)
        requests[2] = mu_gpu_request(draw->gpu_millis);
    struct mu_label selector = {MU_STR(MU_GPU_MODEL_LABEL), mu_str_of(draw->model)};
    struct mu_toleration toleration = {MU_STR(MU_DEDICATED_TAINT), MU_STR(MU_DEDICATED_TRAINING),
                                       MU_TOLERATE_EQUAL, MU_EFFECT_NO_SCHEDULE};
    struct mu_workload_pod pod = {
        .object = {.ns = MU_STR("default"),
                   .name = mu_str_of(name),
                   .priority = gang != NULL ? GANG_PRIORITY : 0,
                   .requests = requests,
                   .request_count = draw->gpu_millis > 0 ? 3 : 2,
                   .selector = &selector,
                   .selector_count = draw->model != NULL ? 1 : 0,
                   .tolerations = &toleration,
                   .toleration_count = gang != NULL ? 1 : 0},
        .arrival_ns = arrival_ns,
        .duration_ns = duration_ns,
    };
    if (gang != NULL)
        pod.object.gang = *gang;
    return mu_workload_add_pod(w, &pod, "generated pod", error);
}

static int add_singles(struct mu_workload *w, struct mu_random *random, struct mu_error *error)
{
    for (uint32_t i = 0; i < SINGLES; i++) {
        char name[32];
        (void)snprintf(name, sizeof name, "single-%05u", i);
        struct pod_draw draw = draw_single(random);
        uint64_t arrival_ns = mu_random_below(random, ARRIVALS_NS);
        uint64_t duration_ns = draw_duration_ns(random);
        int status = add_pod(w, &draw, name, NULL, arrival_ns, duration_ns, error);
        if (status != 0)
            return status;
    }
    return 0;
}

/* Sizes by turns, so that every size is there whatever the seed; mean 12. */
static int add_gangs(struct mu_workload *w, struct mu_random *random, struct mu_error *error)
{
    static const uint32_t sizes[] = {2, 2, 4, 4, 8, 8, 16, 16, 32, 4, 2, 8, 4, 6, 64};
    for (uint32_t g = 0; g < GANGS; g++) {
        char gang_name[32];
        (void)snprintf(gang_name, sizeof gang_name, "train-%03u", g);
        struct mu_gang_ref gang = {.source = MU_GANG_MUSTER,
                                   .name = mu_str_of(gang_name),
                                   .size = sizes[g % (sizeof sizes / sizeof sizes[0])]};
        struct pod_draw draw = {.cpu_millis = PICK(random, 4000, 8000),
                                .mem_bytes = PICK(random, 16384, 32768) * MIB,
                                .gpu_millis = 1000,
                                .model = mu_random_chance(random, 300) ? "G2" : NULL};
        uint64_t arrival_ns = mu_random_below(random, ARRIVALS_NS);
        uint64_t duration_ns = draw_duration_ns(random);
        for (uint32_t i = 0; i < gang.size; i++) {
            char name[48];
            (void)snprintf(name, sizeof name, "%s-%u", gang_name, i);
            int status = add_pod(w, &draw, name, &gang, arrival_ns, duration_ns, error);
            if (status != 0)
                return status;
        }
    }
    return 0;
}

int mu_workload_generate(uint64_t seed, struct mu_workload **out, struct mu_error *error)
{
    struct mu_workload *w = mu_workload_create();
    if (w == NULL)
        return mu_error_set(error, MU_ENOMEM, "no memory for the workload");
    struct mu_random random;
    mu_random_init_seed(&random, seed);
    int status = mu_workload_add_default_nodes(w, error);
    if (status == 0)
        status = add_singles(w, &random, error);
    if (status == 0)
        status = add_gangs(w, &random, error);
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
