#include "tests/support/occupants.h"

#include <stdio.h>
#include <string.h>

#include "engine/base/assert.h"
#include "engine/base/mem.h"
#include "engine/place/profile.h"
#include "tests/support/oracle.h"

void mu_crowd_init(struct mu_crowd *crowd, struct mu_cluster *cluster)
{
    struct mu_snapshot *s = &cluster->snapshot;
    *crowd = (struct mu_crowd){.cluster = cluster};
    s->occupants = mu_mem_calloc(s->node_cap, sizeof(*s->occupants));
    crowd->budgets = mu_mem_calloc(MU_CROWD_BUDGETS_MAX, sizeof *crowd->budgets);
    MU_ASSERT(s->occupants != NULL && crowd->budgets != NULL);
    s->budgets = crowd->budgets;
    s->occupant_generation = 1;
}

void mu_crowd_fini(struct mu_crowd *crowd)
{
    struct mu_snapshot *s = &crowd->cluster->snapshot;
    for (uint32_t row = 0; row < s->node_cap; row++)
        mu_mem_free((void *)(uintptr_t)s->occupants[row]);
    for (uint32_t k = 0; k < s->kin_budgets_count; k++)
        mu_mem_free(crowd->covers[k]);
    mu_mem_free(s->occupants);
    mu_mem_free(crowd->budgets);
    mu_mem_free(crowd->covers);
    mu_mem_free(crowd->disrupted);
    s->occupants = NULL;
    s->kin_budgets = NULL;
    s->kin_budgets_count = s->budget_count = 0;
}

struct mu_kin_ix mu_crowd_kin(struct mu_crowd *crowd)
{
    char value[16];
    (void)snprintf(value, sizeof value, "v%u", crowd->kinds++);
    const struct mu_label label = {MU_STR("kind"), mu_str_of(value)};
    const struct mu_pod_object pod = {.ns = MU_STR("default"), .labels = &label, .label_count = 1};
    struct mu_kin_ix kin;
    int error = mu_model_kin(crowd->cluster->model, &pod, &kin);
    MU_ASSERT(error == 0);
    return kin;
}

uint32_t mu_crowd_add(struct mu_crowd *crowd, uint32_t row, struct mu_occupant occupant)
{
    struct mu_cluster *cluster = crowd->cluster;
    struct mu_snapshot *s = &cluster->snapshot;
    const struct mu_class *class_ = mu_model_get_class(s->model, occupant.class_ix);
    struct mu_occupants *old = (struct mu_occupants *)(uintptr_t)s->occupants[row];
    uint32_t count = old == NULL ? 0 : old->count;
    struct mu_occupants *list =
        mu_mem_realloc(old, sizeof *list + (count + 1) * sizeof list->pods[0]);
    MU_ASSERT(list != NULL && row < s->node_rows);
    mu_cluster_free_add(cluster, row, MU_RES_PODS, 0); /* it moves */
    if (mu_oracle_asks_devices(s, class_, row))
        occupant.devices = mu_oracle_take(s, &mu_profile_spread, occupant.class_ix, row);
    else
        mu_oracle_charge(s, occupant.class_ix, row, 1);
    occupant.pod.v = cluster->pods++;
    occupant.check = occupant.pod.v * 7 + 1;
    list->count = count + 1;
    list->pods[count] = occupant;
    s->occupants[row] = list;
    s->occupant_generation++;
    return occupant.pod.v;
}

struct mu_gang_ix mu_crowd_gang(struct mu_crowd *crowd, uint32_t flags, int32_t priority,
                                uint32_t size, uint32_t count)
{
    struct mu_snapshot *s = &crowd->cluster->snapshot;
    MU_ASSERT(s->gang_rows < s->gang_cap);
    uint32_t row = s->gang_rows++;
    s->gangs[row] = (struct mu_gang_row){
        .flags = flags | MU_GANG_SETTLED,
        .generation = row + 1,
        .revision = 1,
        .priority = priority,
        .priority_high = priority,
        .sequence = crowd->cluster->sequence++,
        .size = size,
        .member_count = count,
        .placed_count = count,
        .bound_count = count,
    };
    return (struct mu_gang_ix){row};
}

uint32_t mu_crowd_budget(struct mu_crowd *crowd, int32_t allowed)
{
    struct mu_snapshot *s = &crowd->cluster->snapshot;
    MU_ASSERT(s->budget_count < MU_CROWD_BUDGETS_MAX);
    crowd->budgets[s->budget_count] = (struct mu_budget){.allowed = allowed};
    return s->budget_count++;
}

void mu_crowd_cover(struct mu_crowd *crowd, struct mu_kin_ix kin, uint32_t budget)
{
    struct mu_snapshot *s = &crowd->cluster->snapshot;
    if (kin.v >= s->kin_budgets_count) {
        crowd->covers = mu_mem_realloc(crowd->covers, (kin.v + 1) * sizeof(*crowd->covers));
        MU_ASSERT(crowd->covers != NULL);
        while (s->kin_budgets_count <= kin.v)
            crowd->covers[s->kin_budgets_count++] = NULL;
        s->kin_budgets = (const struct mu_kin_budgets *const *)crowd->covers;
    }
    struct mu_kin_budgets *list = crowd->covers[kin.v];
    uint32_t count = list == NULL ? 0 : list->count;
    list = mu_mem_realloc(list, sizeof *list + (count + 1) * sizeof list->budgets[0]);
    MU_ASSERT(list != NULL);
    list->count = count + 1;
    list->budgets[count] = budget;
    crowd->covers[kin.v] = list;
}

/* To be called for one budget after the other, pods ascending. */
void mu_crowd_disrupted(struct mu_crowd *crowd, uint32_t budget, uint32_t pod)
{
    struct mu_snapshot *s = &crowd->cluster->snapshot;
    crowd->disrupted =
        mu_mem_realloc(crowd->disrupted, (crowd->disrupted_count + 1) * sizeof *crowd->disrupted);
    MU_ASSERT(crowd->disrupted != NULL);
    if (crowd->budgets[budget].disrupted_count++ == 0)
        crowd->budgets[budget].disrupted_begin = crowd->disrupted_count;
    crowd->disrupted[crowd->disrupted_count++].v = pod;
    s->budget_disrupted = crowd->disrupted;
}
