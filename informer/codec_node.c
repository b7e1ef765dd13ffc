/*
 * A Kubernetes node, translated. What a node offers and cannot be read counts as nothing: a node
 * with one broken number still serves for everything else.
 *
 * A list beyond its bound does not fail the decode, or its holder would place by an older version
 * of the node for ever. Labels are left out and the node counts as cordoned. Taints are replaced by
 * two of our own without a key, which no toleration can name: only pods that tolerate every taint
 * pass them, and those are the ones that the full list is sure to let pass.
 */
#include "informer/codec.h"

#include "informer/codec_node_priv.h"
#include "informer/decode_priv.h"
#include "informer/tally_priv.h"
#include "informer/view_priv.h"

void mu_node_warn(const struct mu_node_reader *r, const char *field, struct mu_str item,
                  const char *expected)
{
    if (r->warn != NULL && r->warn->code == 0)
        (void)mu_error_set(r->warn, MU_EINVAL, "node %.*s: %s[%.*s]: %s", MU_STR_ARGS(r->out->name),
                           field, (int)(item.len > 64 ? 64 : item.len),
                           item.len > 0 ? item.data : "", expected);
}

/* The node takes no new pods, save those that tolerate whatever is left out. */
static void leave_out(const struct mu_node_reader *r, const char *field, size_t count, uint32_t max)
{
    r->out->unschedulable = true;
    if (r->warn != NULL && r->warn->code == 0)
        (void)mu_error_set(r->warn, MU_ELIMIT,
                           "node %.*s: %s: %zu entries, expected at most %u; left out, the node "
                           "counts as unschedulable",
                           MU_STR_ARGS(r->out->name), field, count, max);
}

static int no_memory(const struct mu_node_reader *r, const char *field)
{
    return mu_error_set(r->error, MU_ENOMEM, "node %.*s: %s: no memory", MU_STR_ARGS(r->out->name),
                        field);
}

static int put_allocatable(struct mu_node_reader *r, const struct mu_view_node_status *status)
{
    if (status == NULL || status->allocatable.count == 0)
        return 0;
    struct mu_tally tally;
    mu_tally_init(&tally);
    for (uint32_t i = 0; i < status->allocatable.count; i++) {
        struct mu_str name = status->allocatable.items[i].key;
        enum mu_tally_unit unit = mu_tally_unit(name, true);
        if (unit == MU_UNIT_NONE)
            continue;
        if (name.len > MU_RESOURCE_NAME_BYTES_MAX) {
            mu_node_warn(r, "status.allocatable", name, "expected a name of at most 317 bytes");
            continue;
        }
        int64_t value;
        enum mu_tally_fault fault = mu_tally_read(status->allocatable.items[i].value, unit, &value);
        if (fault != MU_TALLY_OK) {
            mu_node_warn(r, "status.allocatable", name, mu_tally_fault_text(fault));
            value = 0; /* also for a huge one: room that cannot be true is not handed out */
        }
        mu_tally_set(&tally, name, value);
    }
    if (tally.overflow)
        mu_node_warn(r, "status.allocatable", MU_STR("*"),
                     "too many resources; the last ones were left out");
    if (tally.count == 0)
        return 0;
    struct mu_amount *items = mu_arena_calloc(r->arena, tally.count, sizeof *items);
    if (items == NULL)
        return no_memory(r, "status.allocatable");
    memcpy(items, tally.items, tally.count * sizeof *items);
    r->out->allocatable = items;
    r->out->allocatable_count = tally.count;
    return 0;
}

static void put_labels(struct mu_node_reader *r, const struct mu_pair_list *labels)
{
    if (labels->count > MU_LABELS_PER_OBJECT) {
        leave_out(r, "metadata.labels", labels->count, MU_LABELS_PER_OBJECT);
        return;
    }
    r->out->labels = labels->items;
    r->out->label_count = labels->count;
}

static const struct mu_taint oversized_taints[2] = {
    {.value = {"oversized", 9}, .effect = MU_EFFECT_NO_SCHEDULE},
    {.value = {"oversized", 9}, .effect = MU_EFFECT_NO_EXECUTE},
};

static int put_taints(struct mu_node_reader *r, const struct mu_view_node_spec *spec)
{
    uint32_t count = spec == NULL ? 0 : spec->taints.count;
    if (count > MU_TAINTS_PER_NODE) {
        leave_out(r, "spec.taints", count, MU_TAINTS_PER_NODE);
        r->out->taints = oversized_taints;
        r->out->taint_count = 2;
        return 0;
    }
    if (count == 0)
        return 0;
    struct mu_taint *taints = mu_arena_calloc(r->arena, count, sizeof *taints);
    if (taints == NULL)
        return no_memory(r, "spec.taints");
    for (uint32_t i = 0; i < count; i++) {
        const struct mu_view_taint *t = &spec->taints.items[i];
        taints[i] = (struct mu_taint){
            .key = t->key,
            .value = t->value,
            .effect = mu_decode_effect(t->effect),
        };
        /* Only a toleration may leave its effect open; a taint without one filters nothing. */
        if (taints[i].effect == MU_EFFECT_ANY)
            taints[i].effect = MU_EFFECT_OTHER;
    }
    r->out->taints = taints;
    r->out->taint_count = count;
    return 0;
}

static bool has_image(const struct mu_image *images, uint32_t count, struct mu_str name)
{
    for (uint32_t i = 0; i < count; i++) {
        if (mu_str_equal(images[i].name, name))
            return true;
    }
    return false;
}

/* Only scores look at images: the kubelet lists the largest first, and those count. The first entry
 * of a name holds. */
static int put_images(struct mu_node_reader *r, const struct mu_view_node_status *status)
{
    size_t all = 0;
    uint32_t count = 0;
    for (uint32_t i = 0; status != NULL && i < status->images.count; i++)
        all += status->images.items[i].names.count;
    if (all == 0)
        return 0;
    if (all > MU_IMAGES_PER_NODE)
        all = MU_IMAGES_PER_NODE;
    struct mu_image *images = mu_arena_calloc(r->arena, all, sizeof *images);
    if (images == NULL)
        return no_memory(r, "status.images");
    for (uint32_t i = 0; i < status->images.count; i++) {
        const struct mu_view_image *from = &status->images.items[i];
        int64_t bytes = from->bytes < 0 ? 0 : from->bytes;
        for (uint32_t k = 0; k < from->names.count && count < all; k++) {
            struct mu_str name = from->names.items[k];
            if (name.len == 0 || name.len > MU_IMAGE_NAME_BYTES_MAX ||
                has_image(images, count, name))
                continue;
            images[count++] =
                (struct mu_image){name, bytes > MU_IMAGE_BYTES_MAX ? MU_IMAGE_BYTES_MAX : bytes};
        }
    }
    r->out->images = images;
    r->out->image_count = count;
    return 0;
}

int mu_node_translate(const struct mu_view_node *node, struct mu_arena *arena,
                      struct mu_node_object *out, struct mu_error *warn, struct mu_error *error)
{
    struct mu_decode_identity id;
    if (warn != NULL)
        warn->code = 0;
    int rc = mu_decode_identity(node->meta, "node", &id, error);
    if (rc != 0)
        return rc;
    struct mu_node_object object = {
        .name = id.name,
        .uid = id.uid,
        .version = id.version,
        .unschedulable = node->spec != NULL && node->spec->unschedulable,
    };
    struct mu_node_reader r = {.arena = arena, .out = &object, .warn = warn, .error = error};
    put_labels(&r, &node->meta->labels);
    if ((rc = put_taints(&r, node->spec)) != 0 || (rc = put_allocatable(&r, node->status)) != 0 ||
        (rc = put_images(&r, node->status)) != 0)
        return rc;
    mu_node_put_devices(&r);
    *out = object;
    return 0;
}

int mu_node_decode(struct mu_str raw, struct mu_arena *arena, struct mu_node_object *out,
                   struct mu_error *warn, struct mu_error *error)
{
    struct mu_view_node view;
    if (warn != NULL)
        warn->code = 0;
    int rc = mu_view_open(raw, &mu_view_of_node, arena, "node", &view, error);
    return rc != 0 ? rc : mu_node_translate(&view, arena, out, warn, error);
}
