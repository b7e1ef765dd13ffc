#ifndef MU_ENGINE_PLACE_IMAGE_H
#define MU_ENGINE_PLACE_IMAGE_H
/*
 * Image locality: what it is worth that a node has the images of a class already. Source:
 * kube-scheduler's ImageLocality.
 *
 *     worth    sum over the class's containers, init containers among them, whose image the node
 *              has, of bytes * nodes that have it / nodes, each rounded down
 *     points   100 * (worth - 23 MiB) / (1000 MiB * containers - 23 MiB), rounded down, of the
 *              worth brought between those two bounds
 *
 * The factor keeps pods of an image that few nodes have from crowding there. It would move the
 * points of all nodes with each node that comes or goes: both numbers are therefore taken to ten
 * significant bits, the rest cut off. Up to 1023 nodes that is exact, beyond it within a
 * five-hundredth, and points move once in some eight nodes of 5,000, or some 128 of 100,000. It is
 * a function of the snapshot alone.
 *
 * What differs from kube-scheduler: the size is the node's own word, not that of the node which was
 * seen first with this name; and there the division is one of floats, which now and then comes out
 * a byte below the true quotient.
 */
#include "engine/limits.h"
#include "engine/snapshot.h"

#define MU_IMAGE_POINTS 100u

/* Nodes, and those that have each image of a class, rounded as above. Beyond its images: 0. */
struct mu_image_scale {
    uint32_t nodes;
    uint32_t having[MU_IMAGES_PER_POD]; /* as the class's images */
};

/* Ten significant bits. */
uint32_t mu_image_round(uint32_t nodes);
/* *matters: some node has one of the images. Cost: O(images of the class). */
void mu_image_scale(const struct mu_snapshot *snapshot, const struct mu_class *class_,
                    struct mu_image_scale *scale, bool *matters);
/* 0 to MU_IMAGE_POINTS. Cost: O(images of the class * log images of the set). */
uint32_t mu_image_points(const struct mu_class *class_, const struct mu_image_scale *scale,
                         const struct mu_image_set *set);

#endif
