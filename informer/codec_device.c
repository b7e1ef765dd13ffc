/*
 * Devices: what annotations say of a pod's share of a GPU and of the GPUs that it was given, and
 * what labels say of a node's. The keys are ours (muster.dev/) and KAI's (gpu-*), whose users bring
 * them along.
 *
 * A share counts as a request wherever the pod is. Which devices a pod has is believed of bound
 * pods only: the annotation came with the binding; on an unbound pod it is the tenant's word.
 */
#include "informer/codec.h"
#include "informer/codec_node_priv.h"
#include "informer/codec_pod_priv.h"

#include "engine/quantity.h"

#define FRACTION         "gpu-fraction"
#define FRACTION_DEVICES "gpu-fraction-num-devices"
#define SHARE_BY_MEMORY  "gpu-memory"
#define FRACTION_BYTES   32u /* of a fraction: "0.333333" is a long one */

/* --- pods ---------------------------------------------------------------------------------- */

/* The last of this key counts, or NULL. */
static const struct mu_label *find_annotation(const struct mu_pod_reader *r, struct mu_str key)
{
    const struct mu_pair_list *all = &r->meta->annotations;
    for (uint32_t i = all->count; i > 0; i--) {
        if (mu_str_equal(all->items[i - 1].key, key))
            return &all->items[i - 1];
    }
    return NULL;
}

static void refuse_share(struct mu_pod_reader *r, struct mu_str key, const char *expected)
{
    r->out->unbuilt |= MU_RULE_REQUEST;
    mu_pod_warn(r, "metadata.annotations", key, expected);
}

/* "0.5" as 500: digits with one point, above 0 and below 1. Parts of a thousandth are rounded
 * up. */
static bool read_fraction(struct mu_str text, int64_t *millis)
{
    struct mu_quantity q;
    uint32_t points = 0;
    for (uint32_t i = 0; i < text.len; i++) {
        points += text.data[i] == '.';
        if (text.data[i] != '.' && (text.data[i] < '0' || text.data[i] > '9'))
            return false;
    }
    if (points != 1 || text.len > FRACTION_BYTES || mu_quantity_parse(text, &q, NULL) != 0 ||
        q.nanos == 0 || q.nanos >= 1000000000u)
        return false;
    *millis = mu_quantity_milli_value(&q);
    return true;
}

void mu_pod_add_share(struct mu_pod_reader *r, struct mu_tally *requests)
{
    if (r->meta->annotations.count == 0)
        return;
    const struct mu_label *fraction = find_annotation(r, MU_STR(FRACTION));
    const struct mu_label *devices = find_annotation(r, MU_STR(FRACTION_DEVICES));
    if (find_annotation(r, MU_STR(SHARE_BY_MEMORY)) != NULL)
        refuse_share(r, MU_STR(SHARE_BY_MEMORY), "expected a share as gpu-fraction");
    if (devices != NULL && !mu_str_equal(devices->value, MU_STR("1")))
        refuse_share(r, MU_STR(FRACTION_DEVICES), "expected a share of 1 device");
    if (fraction == NULL)
        return;
    int64_t millis;
    if (!read_fraction(fraction->value, &millis)) {
        refuse_share(r, MU_STR(FRACTION), "expected a number such as 0.5, above 0 and below 1");
        return;
    }
    for (uint32_t i = 0; i < requests->count; i++) {
        if (mu_str_equal(requests->items[i].resource, MU_STR(MU_GPU_SHARE_RESOURCE)))
            refuse_share(r, MU_STR(FRACTION),
                         "expected no request of " MU_GPU_SHARE_RESOURCE " besides");
    }
    mu_tally_max(requests, MU_STR(MU_GPU_SHARE_RESOURCE), millis);
}

/* "0,3": device numbers, each once. */
static bool read_devices(struct mu_str text, uint64_t *bits)
{
    uint64_t set = 0;
    for (bool more = true; more;) {
        const char *comma = text.len == 0 ? NULL : memchr(text.data, ',', text.len);
        uint32_t len = comma != NULL ? (uint32_t)(comma - text.data) : text.len;
        uint64_t device;
        if (!mu_str_to_u64((struct mu_str){text.data, len}, &device) ||
            device >= MU_DEVICES_PER_NODE || (set >> device & 1) != 0)
            return false;
        set |= UINT64_C(1) << device;
        more = comma != NULL;
        if (more)
            text = (struct mu_str){comma + 1, text.len - len - 1};
    }
    *bits = set;
    return true;
}

void mu_pod_put_devices(struct mu_pod_reader *r)
{
    if (r->out->node_name.len == 0 || r->meta->annotations.count == 0)
        return;
    const struct mu_label *given = find_annotation(r, MU_STR(MU_DEVICE_ANNOTATION));
    if (given != NULL && !read_devices(given->value, &r->out->devices))
        mu_pod_warn(r, "metadata.annotations", MU_STR(MU_DEVICE_ANNOTATION),
                    "expected device numbers such as 0,3; ignored");
}

/* --- nodes --------------------------------------------------------------------------------- */

static bool label_is(const struct mu_node_object *node, struct mu_str key, struct mu_str value)
{
    for (uint32_t i = node->label_count; i > 0; i--) {
        if (mu_str_equal(node->labels[i - 1].key, key))
            return mu_str_equal(node->labels[i - 1].value, value);
    }
    return false;
}

void mu_node_put_devices(struct mu_node_reader *r)
{
    struct mu_node_object *node = r->out;
    const struct mu_amount *whole = NULL;
    uint32_t kinds = 0;
    if (!label_is(node, MU_STR(MU_SHARING_LABEL), MU_STR("true")))
        return;
    for (uint32_t i = 0; i < node->allocatable_count; i++) {
        if (node->allocatable[i].value == 0 ||
            !mu_is_device_resource(node->allocatable[i].resource))
            continue;
        whole = &node->allocatable[i];
        kinds++;
    }
    if (kinds != 1 || whole->value > MU_DEVICES_PER_NODE) {
        mu_node_warn(r, "metadata.labels", MU_STR(MU_SHARING_LABEL),
                     "expected one resource named */gpu, of 1 to 16; its devices are not tracked");
        return;
    }
    node->device_resource = whole->resource;
    node->device_count = (uint32_t)whole->value;
    node->devices_whole = label_is(node, MU_STR(MU_DEVICE_LABEL), MU_STR("honored"));
}
