#include "engine/score.h"

#include "engine/base/assert.h"
#include "engine/base/error.h"

int64_t mu_score_weight(int64_t units)
{
    return units > 0 ? MU_SCORE_PART_MAX / units : 0;
}

int64_t mu_score_weight_limit(int64_t units)
{
    MU_ASSERT(units >= 0);
    return units > 0 ? MU_SCORE_PART_MAX / units : MU_SCORE_PART_MAX;
}

int64_t mu_score_key(enum mu_score_policy policy, const struct mu_score_node *node,
                     int64_t request_cpu, int64_t request_memory)
{
    int64_t weight_cpu = mu_score_weight(node->alloc_cpu >> MU_SCORE_SHIFT_CPU);
    int64_t weight_memory = mu_score_weight(node->alloc_memory >> MU_SCORE_SHIFT_MEMORY);
    uint64_t room =
        mu_score_room_part(node->free_cpu, node->alloc_cpu, MU_SCORE_SHIFT_CPU, weight_cpu) +
        mu_score_room_part(node->free_memory, node->alloc_memory, MU_SCORE_SHIFT_MEMORY,
                           weight_memory);
    uint64_t cost =
        mu_score_room_part(request_cpu, node->alloc_cpu, MU_SCORE_SHIFT_CPU, weight_cpu) +
        mu_score_room_part(request_memory, node->alloc_memory, MU_SCORE_SHIFT_MEMORY,
                           weight_memory);
    int64_t left = (int64_t)(room >> MU_SCORE_SUM_SHIFT) - (int64_t)(cost >> MU_SCORE_SUM_SHIFT);
    int64_t score = policy == MU_SCORE_SPREAD ? left : MU_SCORE_LEFT_MAX - left;
    MU_ASSERT(left >= 0 && score >= 0);
    return (int64_t)((uint64_t)score << MU_SCORE_TIE_BITS) | mu_score_tie_key(node->tie);
}

int mu_score_policy_parse(struct mu_str text, enum mu_score_policy *out)
{
    if (mu_str_equal(text, MU_STR("spread"))) {
        *out = MU_SCORE_SPREAD;
        return 0;
    }
    if (mu_str_equal(text, MU_STR("pack"))) {
        *out = MU_SCORE_PACK;
        return 0;
    }
    return MU_EINVAL;
}
