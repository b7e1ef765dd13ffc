#include "tools/report/devices.h"

#define WHOLE_MILLIS 1000

/* So many devices, so much of each; `whole`: asked for by count. */
struct ask {
    int64_t count, millis;
    bool whole;
};

/* The last amount of that name counts. */
static int64_t amount_of(const struct mu_pod_object *pod, struct mu_str resource)
{
    int64_t value = 0;
    for (uint32_t i = 0; i < pod->request_count; i++)
        if (mu_str_equal(pod->requests[i].resource, resource))
            value = pod->requests[i].value;
    return value;
}

/* A part counts as whole ones, rounded up, where it is more than one device has, or besides whole
 * ones: nothing of ours is placed so, but somebody may have bound it. */
static struct ask ask_of(const struct mu_node_object *node, const struct mu_pod_object *pod)
{
    int64_t part = amount_of(pod, MU_STR(MU_GPU_SHARE_RESOURCE));
    int64_t whole = amount_of(pod, node->device_resource);
    int64_t beyond = part / WHOLE_MILLIS + (part % WHOLE_MILLIS != 0);
    if (node->device_count == 0 || (part == 0 && whole == 0))
        return (struct ask){0, 0, false};
    if (whole == 0 && part <= WHOLE_MILLIS)
        return (struct ask){1, part, false};
    bool many = whole > MU_DEVICES_PER_NODE || beyond > MU_DEVICES_PER_NODE;
    return (struct ask){many ? MU_DEVICES_PER_NODE + 1 : whole + beyond, WHOLE_MILLIS, whole > 0};
}

bool mu_devices_tell(const struct mu_node_object *node, struct mu_str resource)
{
    return node->device_count > 0 && (mu_str_equal(resource, node->device_resource) ||
                                      mu_str_equal(resource, MU_STR(MU_GPU_SHARE_RESOURCE)));
}

bool mu_devices_mixed(const struct mu_pod_object *pod)
{
    bool whole = false;
    for (uint32_t i = 0; i < pod->request_count; i++)
        whole = whole ||
                (pod->requests[i].value > 0 && mu_is_device_resource(pod->requests[i].resource));
    return whole && amount_of(pod, MU_STR(MU_GPU_SHARE_RESOURCE)) > 0;
}

int64_t mu_devices_asked(const struct mu_pod_object *pod)
{
    int64_t millis = amount_of(pod, MU_STR(MU_GPU_SHARE_RESOURCE));
    for (uint32_t i = 0; i < pod->request_count; i++)
        if (mu_is_device_resource(pod->requests[i].resource) &&
            pod->requests[i].value < INT64_MAX / WHOLE_MILLIS / 2 && millis < INT64_MAX / 2)
            millis += pod->requests[i].value * WHOLE_MILLIS;
    return millis;
}

void mu_devices_init(struct mu_devices_left *left, const struct mu_node_object *node)
{
    for (uint32_t d = 0; d < MU_DEVICES_PER_NODE; d++)
        left->millis[d] = d < node->device_count ? WHOLE_MILLIS : 0;
}

bool mu_devices_charge(struct mu_devices_left *left, const struct mu_node_object *node,
                       const struct mu_pod_object *pod, bool add)
{
    struct ask ask = ask_of(node, pod);
    int64_t named = 0;
    if (ask.count == 0)
        return true;
    for (uint32_t d = 0; d < 64; d++) {
        bool names = (pod->devices >> d & 1) != 0;
        if (names && d >= node->device_count)
            return false;
        named += names;
    }
    if (named != ask.count)
        return false;
    for (uint32_t d = 0; d < node->device_count; d++)
        if ((pod->devices >> d & 1) != 0)
            left->millis[d] += add ? -ask.millis : ask.millis;
    return true;
}

bool mu_devices_choose(const struct mu_devices_left *left, const struct mu_node_object *node,
                       const struct mu_pod_object *pod, uint64_t *devices)
{
    struct ask ask = ask_of(node, pod);
    *devices = 0;
    if (ask.whole ? !node->devices_whole : ask.count > 1)
        return false;
    for (; ask.count > 0; ask.count--) {
        uint32_t best = MU_DEVICES_PER_NODE;
        for (uint32_t d = 0; d < node->device_count; d++) {
            bool suffices = (*devices >> d & 1) == 0 && left->millis[d] >= ask.millis;
            if (suffices && (best == MU_DEVICES_PER_NODE || left->millis[d] < left->millis[best]))
                best = d;
        }
        if (best == MU_DEVICES_PER_NODE)
            return false;
        *devices |= UINT64_C(1) << best;
    }
    return true;
}
