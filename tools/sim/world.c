/*
 * Small random worlds: tight enough that gangs wait for each other, varied enough that every filter
 * and every way of waiting occurs within a few seeds.
 */
#include "engine/base/clock.h"
#include "engine/base/random.h"
#include "informer/codec.h"
#include "informer/dialect.h"
#include "tools/sim/sim.h"
#include "tools/sim/world_priv.h"

#include <inttypes.h>
#include <stdio.h>

#define GIB (INT64_C(1) << 30)

static const struct mu_str zones[] = {{"a", 1}, {"b", 1}, {"c", 1}};
static const struct mu_taint dedicated = {{"dedicated", 9}, {"batch", 5}, MU_EFFECT_NO_SCHEDULE};
static const struct mu_taint hot = {{"hot", 3}, {"1", 1}, MU_EFFECT_NO_EXECUTE};
static const struct mu_taint soft = {{"soft", 4}, {"", 0}, MU_EFFECT_PREFER_NO_SCHEDULE};
static const struct mu_str node_tiers[] = {{"1", 1}, {"2", 1}, {"10", 2}, {"many", 4}};

static uint32_t draw_taints(struct mu_random *r, struct mu_taint taints[3])
{
    uint32_t count = 0;
    if (mu_random_chance(r, 200))
        taints[count++] = dedicated;
    if (mu_random_chance(r, 50))
        taints[count++] = hot;
    if (mu_random_chance(r, 100))
        taints[count++] = soft;
    return count;
}

/* Few nodes lack a zone or a tier; those that share their GPUs say so. */
static uint32_t draw_labels(struct mu_random *r, struct mu_str name, bool shared, bool honored,
                            struct mu_label labels[5])
{
    uint32_t count = 0;
    labels[count++] = (struct mu_label){MU_STR("kubernetes.io/hostname"), name};
    if (!mu_random_chance(r, 80))
        labels[count++] = (struct mu_label){MU_STR("zone"), zones[mu_random_below(r, 3)]};
    if (mu_random_chance(r, 700))
        labels[count++] = (struct mu_label){MU_STR("tier"), node_tiers[mu_random_below(r, 4)]};
    if (shared)
        labels[count++] = (struct mu_label){MU_STR(MU_SHARING_LABEL), MU_STR("true")};
    if (shared && honored)
        labels[count++] = (struct mu_label){MU_STR(MU_DEVICE_LABEL), MU_STR("honored")};
    return count;
}

static int add_node(struct mu_workload *w, struct mu_random *r, uint32_t i, struct mu_error *error)
{
    char name[32];
    int len = snprintf(name, sizeof name, "node-%02u", i);
    struct mu_str node_name = {name, (uint32_t)len};
    struct mu_label labels[5];
    struct mu_taint taints[3];
    struct mu_amount allocatable[4] = {{.resource = MU_STR("cpu")},
                                       {.resource = MU_STR("memory")},
                                       {.resource = MU_STR("pods")},
                                       {.resource = MU_STR(MU_GPU_RESOURCE)}};
    bool gpus = mu_random_chance(r, 600);
    bool shared = gpus && mu_random_chance(r, 500);
    bool honored = mu_random_chance(r, 700);
    allocatable[0].value = 2000 * mu_random_between(r, 1, 8);
    allocatable[1].value = 8 * GIB * mu_random_between(r, 1, 4);
    allocatable[2].value = mu_random_chance(r, 100) ? 3 : 110;
    allocatable[3].value = mu_random_between(r, 1, 4);
    struct mu_node_object node = {.name = node_name,
                                  .labels = labels,
                                  .taints = taints,
                                  .allocatable = allocatable,
                                  .allocatable_count = gpus ? 4 : 3};
    node.label_count = draw_labels(r, node_name, shared, honored, labels);
    node.taint_count = draw_taints(r, taints);
    node.unschedulable = mu_random_chance(r, 50);
    return mu_workload_add_node(w, &node, "small world", error);
}

static void draw_requests(struct mu_random *r, struct mu_world_template *t)
{
    t->requests[0] = (struct mu_amount){MU_STR("cpu"), 250 * mu_random_between(r, 0, 16)};
    t->requests[1] = (struct mu_amount){MU_STR("memory"), GIB / 2 * mu_random_between(r, 0, 16)};
    if (mu_random_chance(r, 400))
        t->requests[2] = (struct mu_amount){MU_STR(MU_GPU_RESOURCE), mu_random_between(r, 1, 2)};
    else
        t->requests[2] =
            (struct mu_amount){MU_STR(MU_GPU_SHARE_RESOURCE), 100 * mu_random_between(r, 1, 10)};
    t->pod.requests = t->requests;
    t->pod.request_count = mu_random_chance(r, 400) ? 3 : 2;
}

/* One draw a statement: within an initializer their order would be the compiler's affair. */
static void draw_template(struct mu_random *r, struct mu_world_template *t)
{
    *t = (struct mu_world_template){.pod = {.scheduler_name = MU_STR("muster")}};
    draw_requests(r, t);
    t->selector = (struct mu_label){MU_STR("zone"), zones[mu_random_below(r, 3)]};
    t->pod.selector = &t->selector;
    t->pod.selector_count = mu_random_chance(r, 200);
    t->arrival_ns = mu_random_below(r, 30) * MU_NS_PER_S;
    t->arrival_ns += mu_random_below(r, MU_NS_PER_S);
    if (!mu_random_chance(r, 300))
        t->duration_ns = mu_random_below(r, 60) * MU_NS_PER_S + 1;
    t->affinity = mu_random_chance(r, 30);
    if (mu_random_chance(r, 40))
        t->pod.scheduler_name = MU_STR("other");
    t->pod.priority = (int32_t)mu_random_between(r, -1, 3) * 100;
    t->pod.gated = mu_random_chance(r, 40);
    t->pod.controlled = mu_random_chance(r, 500);
    t->pod.never_preempts = mu_random_chance(r, 100);
    t->spared = (struct mu_label){MU_STR("volcano.sh/preemptable"), MU_STR("false")};
    t->spared_count = mu_random_chance(r, 50);
    if (mu_random_chance(r, 800))
        t->grace_s = (uint32_t)mu_random_between(r, 1, 10);
    mu_world_rules_draw(r, &t->rules);
    mu_world_rules_apply(&t->rules, &t->pod);
}

void mu_world_template_pod(const struct mu_world_template *t, struct mu_workload_pod *pod)
{
    static const struct mu_str models[] = {{"a", 1}, {"b", 1}};
    *pod = (struct mu_workload_pod){.object = t->pod,
                                    .models = models,
                                    .model_count = t->affinity ? 2 : 0,
                                    .annotations = &t->spared,
                                    .annotation_count = t->spared_count,
                                    .grace_s = t->grace_s,
                                    .arrival_ns = t->arrival_ns,
                                    .duration_ns = t->duration_ns};
}

static int add_solo(struct mu_workload *w, struct mu_random *r, uint32_t number,
                    struct mu_error *error)
{
    char name[32];
    struct mu_world_template t;
    struct mu_workload_pod pod;
    draw_template(r, &t);
    mu_world_template_pod(&t, &pod);
    (void)snprintf(name, sizeof name, "solo-%02u", number);
    pod.object.name = mu_str_of(name);
    return mu_workload_add_pod(w, &pod, "small world", error);
}

static const struct mu_label prod = {MU_WORLD_TEXT(MU_WORLD_SPACE_KEY), MU_WORLD_TEXT("prod")};
static const struct mu_label test = {MU_WORLD_TEXT(MU_WORLD_SPACE_KEY), MU_WORLD_TEXT("test")};
const struct mu_namespace_object mu_sim_small_namespaces[MU_SIM_SMALL_NAMESPACES] = {
    {.name = MU_WORLD_TEXT(MU_WORLD_TEAM_A), .labels = &prod, .label_count = 1},
    {.name = MU_WORLD_TEXT(MU_WORLD_TEAM_B), .labels = &test, .label_count = 1},
};

uint32_t mu_sim_small_budgets(uint64_t seed, struct mu_sim_budget budgets[MU_SIM_BUDGETS_MAX])
{
    static const struct mu_str spaces[] = {
        {"default", 7}, MU_WORLD_TEXT(MU_WORLD_TEAM_A), MU_WORLD_TEXT(MU_WORLD_TEAM_B)};
    static const struct mu_str apps[] = {{"web", 3}, {"db", 2}, {"job", 3}};
    struct mu_random r;
    mu_random_init_seed(&r, ~seed);
    uint32_t count = (uint32_t)mu_random_below(&r, MU_SIM_BUDGETS_MAX + 1);
    for (uint32_t i = 0; i < count; i++) {
        budgets[i].ns = spaces[mu_random_below(&r, 3)];
        budgets[i].label = (struct mu_label){MU_STR("app"), apps[mu_random_below(&r, 3)]};
        budgets[i].keeps = mu_random_chance(&r, 500);
        budgets[i].pods = (uint32_t)mu_random_below(&r, 4);
    }
    return count;
}

int mu_sim_small_world(uint64_t seed, struct mu_workload **out, struct mu_error *error)
{
    struct mu_random r;
    struct mu_workload *w = mu_workload_create();
    if (w == NULL)
        return mu_error_set(error, MU_ENOMEM, "out of memory");
    mu_random_init_seed(&r, seed);
    uint32_t nodes = (uint32_t)mu_random_between(&r, 3, 10);
    uint32_t pods_wanted = (uint32_t)mu_random_between(&r, 15, 60), pods = 0;
    int rc = 0;
    for (uint32_t i = 0; rc == 0 && i < nodes; i++)
        rc = add_node(w, &r, i, error);
    for (uint32_t i = 0; rc == 0 && pods < pods_wanted; i++) {
        if (mu_random_chance(&r, 400)) {
            struct mu_world_template t;
            draw_template(&r, &t);
            rc = mu_world_gang_add(w, &r, i, &t, &pods, error);
        } else {
            rc = add_solo(w, &r, i, error);
            pods++;
        }
    }
    if (rc == 0)
        rc = mu_workload_finish(w, error);
    if (rc != 0) {
        mu_workload_destroy(w);
        return rc;
    }
    *out = w;
    return 0;
}
