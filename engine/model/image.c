#include "engine/base/assert.h"
#include "engine/base/error.h"
#include "engine/model/model_priv.h"

/*
 * Sets of images. Nodes of one pool list mostly the same images, so a set is stored once and a node
 * has its number. An item has its size with it, as this node reports it: a tag that was moved names
 * images of different sizes on different nodes.
 */

_Static_assert(sizeof(struct mu_image_item) == 12, "no padding in an image");
_Static_assert(MU_IMAGES_PER_NODE * sizeof(struct mu_image_item) <=
                   MU_SCRATCH_WORDS * sizeof(uint32_t),
               "images fit");

uint32_t mu_image_set_parts(const struct mu_image_set *set, const struct mu_symbol_change *change)
{
    for (uint32_t i = 0; i < set->count; i++)
        mu_symbol_apply(change, set->items[i].name);
    return set->count;
}

static int64_t bytes_in_bounds(int64_t bytes)
{
    bytes = bytes > 0 ? bytes : 0;
    return bytes < MU_IMAGE_BYTES_MAX ? bytes : MU_IMAGE_BYTES_MAX;
}

/* Sorted items to images in scratch->key, the first of each name. */
static uint32_t items_to_images(struct mu_scratch *scratch, const struct mu_image *images,
                                uint32_t count)
{
    const struct mu_sort_item *items = scratch->items;
    struct mu_image_item *to = (struct mu_image_item *)(void *)scratch->key.at;
    uint32_t image_count = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (i > 0 && items[i].major == items[i - 1].major)
            continue;
        uint64_t bytes = (uint64_t)bytes_in_bounds(images[items[i].minor].bytes);
        to[image_count++] = (struct mu_image_item){
            {(uint32_t)items[i].major}, (uint32_t)bytes, (uint32_t)(bytes >> 32)};
    }
    return image_count;
}

int mu_model_image_set(struct mu_model *model, const struct mu_image *images, uint32_t count,
                       struct mu_image_set_ix *out)
{
    if (count > MU_IMAGES_PER_NODE)
        return MU_ELIMIT;
    int status = 0;
    for (uint32_t i = 0; i < count && status == 0; i++) {
        struct mu_symbol name;
        status = mu_scratch_borrow(model, images[i].name, &name);
        model->scratch->items[i] = (struct mu_sort_item){.major = name.v, .minor = i};
    }
    if (status == 0) {
        mu_scratch_sort(model->scratch, count);
        uint32_t image_count = items_to_images(model->scratch, images, count);
        void *head;
        status =
            mu_model_enter(model, &model->image_sets, model->scratch->key.at,
                           image_count * (uint32_t)sizeof(struct mu_image_item), 0, &out->v, &head);
        struct mu_image_set *set = status == 0 ? head : NULL;
        if (set != NULL) {
            set->count = image_count;
            set->items = mu_intern_key_data(&model->image_sets, out->v);
            mu_image_set_parts(set, &(struct mu_symbol_change){model->symbols, true, 0});
        }
    }
    mu_scratch_drop(model);
    return status;
}

void mu_model_image_set_unref(struct mu_model *model, struct mu_image_set_ix ix,
                              uint64_t generation)
{
    mu_intern_unref(&model->image_sets, ix.v, generation);
}

const struct mu_image_set *mu_model_get_image_set(const struct mu_model *m,
                                                  struct mu_image_set_ix ix)
{
    return mu_intern_head(&m->image_sets, ix.v);
}

uint32_t mu_model_image_set_bound(const struct mu_model *m)
{
    return mu_intern_bound(&m->image_sets);
}
