#include "engine/place/score.h"

#include <string.h>

#include "engine/base/assert.h"

/* What all weights of a profile together may add to a score; the rest is for rounding. */
#define SCORE_SUM ((INT64_C(1) << 31) - (INT64_C(1) << 10))

_Static_assert(SCORE_SUM + 8 <= MU_SCORE_MAX, "rounding adds at most 1 for a form");

static uint32_t resource_number(const struct mu_model *model, struct mu_str name,
                                uint32_t resource_count)
{
    const struct mu_resources *names = mu_model_resource_names(model);
    for (uint32_t r = 0; r < resource_count; r++) {
        if (mu_str_equal(mu_resource_name(names, (struct mu_resource_ix){r}), name))
            return r;
    }
    return MU_RESOURCES_MAX;
}

/* The slot of a resource, made if there is none: balanced allocation looks at cpu and memory
 * whether or not they have a weight. */
static uint32_t slot_of(struct mu_score *score, uint32_t resource)
{
    for (uint32_t s = 0; s < score->slot_count; s++) {
        if (score->forms[0].parts[s].resource == resource)
            return s;
    }
    MU_ASSERT(score->slot_count < MU_SCORE_SLOTS);
    for (uint32_t f = 0; f < MU_SCORE_FORMS; f++)
        score->forms[f].parts[score->slot_count].resource = resource;
    return score->slot_count++;
}

/* Whether some class has padding, of which the score is to know. */
static bool is_padded(const struct mu_model *model, uint32_t resource_count)
{
    return resource_number(model, MU_STR(MU_CPU_PADDING), resource_count) != MU_RESOURCES_MAX ||
           resource_number(model, MU_STR(MU_MEMORY_PADDING), resource_count) != MU_RESOURCES_MAX;
}

static uint32_t padding_of(const struct mu_model *model, uint32_t resource, uint32_t resource_count)
{
    if (resource == MU_RES_CPU)
        return resource_number(model, MU_STR(MU_CPU_PADDING), resource_count);
    if (resource == MU_RES_MEMORY)
        return resource_number(model, MU_STR(MU_MEMORY_PADDING), resource_count);
    return MU_RESOURCES_MAX;
}

/* How far below 0 room less cost may go in a part, before it is rounded; with padding twice for
 * what is assumed. */
static int64_t part_below(const struct mu_score_part *part)
{
    if (part->most < 0)
        return (-part->most >> MU_SCORE_SUM_SHIFT) + 1;
    return part->padded != 0 ? (2 * (part->most >> MU_SCORE_SUM_SHIFT)) + 2 : 0;
}

/* Coefficients of the balanced part: the smaller of (c - m) / 2 and (m - c) / 2. */
static void balance(struct mu_score *score, int64_t most)
{
    uint32_t cpu = slot_of(score, MU_RES_CPU), memory = slot_of(score, MU_RES_MEMORY);
    score->form_count = 2;
    for (uint32_t f = 0; f < 2; f++) {
        int64_t half = f == 0 ? most / 2 : -(most / 2);
        score->forms[f].parts[cpu].most -= half;
        score->forms[f].parts[memory].most += half;
    }
}

void mu_score_compile(struct mu_score *score, const struct mu_profile *profile,
                      const struct mu_model *model, uint32_t resource_count)
{
    memset(score, 0, sizeof *score);
    int64_t weights = (int64_t)profile->fit + profile->balanced + profile->taints +
                      profile->node_affinity + profile->spread + profile->pod_affinity +
                      profile->images + profile->fragmentation;
    MU_ASSERT(weights > 0);
    if (is_padded(model, resource_count))
        weights += 2 * ((int64_t)profile->fit + profile->balanced);
    const int64_t unit = SCORE_SUM / weights;
    score->form_count = 1;
    int64_t resource_weights = 0;
    for (uint32_t r = 0; r < profile->resource_count; r++)
        resource_weights += profile->resources[r].weight;
    int64_t fit = (unit * profile->fit) << MU_SCORE_SUM_SHIFT;
    for (uint32_t r = 0; r < profile->resource_count && fit > 0; r++) {
        uint32_t resource =
            resource_number(model, mu_str_of(profile->resources[r].name), resource_count);
        if (resource == MU_RESOURCES_MAX)
            continue; /* no node has it: used up everywhere */
        int64_t most = fit / resource_weights * profile->resources[r].weight;
        uint32_t s = slot_of(score, resource);
        for (uint32_t f = 0; f < MU_SCORE_FORMS; f++)
            score->forms[f].parts[s].most = profile->strategy == MU_LEAST_ALLOCATED ? most : -most;
    }
    if (profile->balanced > 0)
        balance(score, (unit * profile->balanced) << MU_SCORE_SUM_SHIFT);
    for (uint32_t f = 0; f < score->form_count; f++) {
        int64_t below = 1; /* rounding down */
        for (uint32_t s = 0; s < score->slot_count; s++) {
            struct mu_score_part *part = &score->forms[f].parts[s];
            bool bytes = part->resource == MU_RES_MEMORY || part->resource == MU_RES_EPHEMERAL;
            part->shift = bytes ? 10 : 0;
            part->padding = padding_of(model, part->resource, resource_count);
            part->padded = part->padding != MU_RESOURCES_MAX;
            below += part_below(part);
        }
        score->offset = below > score->offset ? below : score->offset;
    }
    score->taints = unit * profile->taints;
    score->node_affinity = unit * profile->node_affinity;
    score->images = unit * profile->images;
    score->spread = unit * profile->spread;
    score->pod_affinity = unit * profile->pod_affinity;
    score->fragmentation = unit * profile->fragmentation;
}

int64_t mu_score_weight(int64_t most, int64_t units)
{
    return units > 0 ? most / units : 0;
}

int64_t mu_score_weight_limit(int64_t most, int64_t units)
{
    MU_ASSERT(units >= 0);
    int64_t size = most < 0 ? -most : most;
    return units > 0 ? size / units : size;
}

/* What a part adds to room and to cost. */
static void part_sum(const struct mu_score_part *part, const struct mu_score_node *node,
                     const int64_t requests[MU_RESOURCES_MAX], int64_t *room, int64_t *cost)
{
    int64_t alloc = node->alloc[part->resource], free = node->free[part->resource];
    int64_t weight = mu_score_weight(part->most, alloc >> part->shift);
    int64_t units = requests[part->resource], least = 0;
    if (part->padded != 0) {
        free -= node->free[part->padding];
        units = mu_amount_add(units, -requests[part->padding]);
        least = mu_score_least(alloc, part->shift);
    }
    units >>= part->shift;
    *room += mu_score_room_part(free, alloc, least, part->shift, weight);
    *cost += mu_score_cost_part(units, weight, mu_score_weight_limit(part->most, units));
}

int64_t mu_score_key(const struct mu_score *score, const struct mu_score_node *node,
                     const int64_t requests[MU_RESOURCES_MAX])
{
    int64_t least = INT64_MAX;
    for (uint32_t f = 0; f < score->form_count; f++) {
        int64_t room = 0, cost = 0;
        for (uint32_t s = 0; s < score->slot_count; s++)
            part_sum(&score->forms[f].parts[s], node, requests, &room, &cost);
        int64_t left = score->offset + (room >> MU_SCORE_SUM_SHIFT) - (cost >> MU_SCORE_SUM_SHIFT);
        MU_ASSERT(left >= 0 && left <= MU_SCORE_MAX);
        least = left < least ? left : least;
    }
    return (int64_t)((uint64_t)least << MU_SCORE_TIE_BITS) | mu_score_tie_key(node->tie);
}
