#include "engine/place/image.h"

#include <string.h>

#include "engine/base/assert.h"

#define MI               (INT64_C(1) << 20)
#define WORTH_MIN        (23 * MI)
#define CONTAINER_MAX    (1000 * MI)
#define SIGNIFICANT_BITS 10

_Static_assert(MU_IMAGE_BYTES_MAX <= INT64_MAX / MU_IMAGES_PER_POD, "a worth is a sum of sizes");
_Static_assert(CONTAINER_MAX > WORTH_MIN, "one container has a range");

__extension__ typedef unsigned __int128 wide; /* GNU extension: bytes times nodes */

uint32_t mu_image_round(uint32_t nodes)
{
    int bits = nodes == 0 ? 0 : 32 - __builtin_clz(nodes);
    int cut = bits > SIGNIFICANT_BITS ? bits - SIGNIFICANT_BITS : 0;
    return nodes >> cut << cut;
}

void mu_image_scale(const struct mu_snapshot *snapshot, const struct mu_class *class_,
                    struct mu_image_scale *scale, bool *matters)
{
    MU_ASSERT(class_->image_count <= MU_IMAGES_PER_POD);
    memset(scale, 0, sizeof *scale);
    scale->nodes = mu_image_round(snapshot->node_count);
    *matters = false;
    for (uint32_t i = 0; i < class_->image_count; i++) {
        uint32_t having = mu_snapshot_image_nodes(snapshot, class_->images[i]);
        MU_ASSERT(having <= snapshot->node_count);
        scale->having[i] = mu_image_round(having);
        *matters = *matters || having > 0;
    }
}

/* NULL: not in the set. */
static const struct mu_image_item *find(const struct mu_image_set *set, struct mu_symbol name)
{
    uint32_t low = 0, high = set->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (set->items[middle].name.v < name.v)
            low = middle + 1;
        else
            high = middle;
    }
    return low < set->count && set->items[low].name.v == name.v ? &set->items[low] : NULL;
}

uint32_t mu_image_points(const struct mu_class *class_, const struct mu_image_scale *scale,
                         const struct mu_image_set *set)
{
    int64_t worth = 0, most = CONTAINER_MAX * class_->image_count;
    if (class_->image_count == 0 || set->count == 0)
        return 0;
    for (uint32_t i = 0; i < class_->image_count; i++) {
        const struct mu_image_item *item =
            scale->having[i] > 0 ? find(set, class_->images[i]) : NULL;
        if (item == NULL)
            continue;
        MU_ASSERT(scale->having[i] <= scale->nodes);
        worth += (int64_t)((wide)mu_image_bytes(item) * scale->having[i] / scale->nodes);
    }
    worth = worth > WORTH_MIN ? worth : WORTH_MIN;
    worth = worth < most ? worth : most;
    return (uint32_t)(MU_IMAGE_POINTS * (worth - WORTH_MIN) / (most - WORTH_MIN));
}
