/*
 * The rules, as naively as they can be written: strings, linear scans, no caches.
 */
#include "tools/sim/checker_priv.h"

struct mu_rules_world mu_naive_rules(const struct mu_naive_world *world)
{
    return (struct mu_rules_world){.nodes = world->nodes,
                                   .node_count = world->node_count,
                                   .pods = world->pods,
                                   .pod_count = world->pod_count,
                                   .namespaces = world->namespaces,
                                   .namespace_count = world->namespace_count};
}

bool mu_naive_terminal(const struct mu_pod_object *pod)
{
    return pod->phase == MU_POD_SUCCEEDED || pod->phase == MU_POD_FAILED;
}

bool mu_naive_wants_node(const struct mu_pod_object *pod, struct mu_str scheduler)
{
    return pod->node_name.len == 0 && !mu_naive_terminal(pod) && !pod->terminating && !pod->gated &&
           pod->unbuilt == 0 && mu_str_equal(pod->scheduler_name, scheduler);
}

int64_t mu_naive_amount(const struct mu_amount *amounts, uint32_t count, struct mu_str resource)
{
    int64_t value = 0;
    for (uint32_t i = 0; i < count; i++)
        if (mu_str_equal(amounts[i].resource, resource))
            value = amounts[i].value; /* a later duplicate wins */
    return value;
}

int64_t mu_naive_used(const struct mu_naive_world *world, struct mu_str node,
                      struct mu_str resource)
{
    int64_t used = 0;
    bool slots = mu_str_equal(resource, MU_STR("pods"));
    for (uint32_t i = 0; i < world->pod_count; i++) {
        const struct mu_pod_object *pod = &world->pods[i];
        if (mu_naive_terminal(pod) || !mu_str_equal(pod->node_name, node))
            continue;
        used += slots ? 1 : mu_naive_amount(pod->requests, pod->request_count, resource);
    }
    return used;
}

struct mu_naive_ask mu_naive_ask(const struct mu_node_object *node, const struct mu_pod_object *pod)
{
    int64_t share =
        mu_naive_amount(pod->requests, pod->request_count, MU_STR(MU_GPU_SHARE_RESOURCE));
    int64_t whole = mu_naive_amount(pod->requests, pod->request_count, node->device_resource);
    if (node->device_count == 0 || share + whole == 0)
        return (struct mu_naive_ask){0, 0};
    return share > 0 ? (struct mu_naive_ask){1, share} : (struct mu_naive_ask){whole, 1000};
}

bool mu_naive_by_device(const struct mu_node_object *node, struct mu_str resource)
{
    return node->device_count > 0 && (mu_str_equal(resource, node->device_resource) ||
                                      mu_str_equal(resource, MU_STR(MU_GPU_SHARE_RESOURCE)));
}

bool mu_naive_devices_left(const struct mu_naive_world *world, const struct mu_node_object *node,
                           const struct mu_pod_object *but, int64_t left[MU_DEVICES_PER_NODE])
{
    bool all_named = true;
    for (uint32_t d = 0; d < MU_DEVICES_PER_NODE; d++)
        left[d] = d < node->device_count ? 1000 : 0;
    for (uint32_t i = 0; i < world->pod_count; i++) {
        const struct mu_pod_object *pod = &world->pods[i];
        if (pod == but || mu_naive_terminal(pod) || !mu_str_equal(pod->node_name, node->name))
            continue;
        struct mu_naive_ask ask = mu_naive_ask(node, pod);
        int64_t named = 0;
        for (uint32_t d = 0; d < MU_DEVICES_PER_NODE && ask.count > 0; d++) {
            if ((pod->devices >> d & 1) != 0) {
                left[d] -= ask.millis;
                named++;
            }
        }
        all_named = all_named && named == ask.count;
    }
    return all_named;
}

/* Devices for one more pod, by best fit; lowest numbers first. False: too few suffice. */
static bool choose_devices(const struct mu_naive_world *world, const struct mu_node_object *node,
                           const struct mu_pod_object *pod, uint64_t *devices)
{
    struct mu_naive_ask ask = mu_naive_ask(node, pod);
    int64_t left[MU_DEVICES_PER_NODE];
    *devices = 0;
    if (ask.count > 0 && ask.millis == 1000 && !node->devices_whole &&
        mu_naive_amount(pod->requests, pod->request_count, node->device_resource) > 0)
        return false;
    (void)mu_naive_devices_left(world, node, pod, left);
    for (; ask.count > 0; ask.count--) {
        uint32_t best = MU_DEVICES_PER_NODE;
        for (uint32_t d = 0; d < node->device_count; d++)
            if ((*devices >> d & 1) == 0 && left[d] >= ask.millis &&
                (best == MU_DEVICES_PER_NODE || left[d] < left[best]))
                best = d;
        if (best == MU_DEVICES_PER_NODE)
            return false;
        *devices |= UINT64_C(1) << best;
    }
    return true;
}

bool mu_naive_same_gang(const struct mu_pod_object *a, const struct mu_pod_object *b)
{
    if (a->gang.source == MU_GANG_SOLO || b->gang.source == MU_GANG_SOLO)
        return mu_str_equal(a->uid, b->uid);
    return a->gang.source == b->gang.source && mu_str_equal(a->ns, b->ns) &&
           mu_str_equal(a->gang.name, b->gang.name);
}

struct mu_naive_gang mu_naive_gang_of(const struct mu_naive_world *world,
                                      const struct mu_pod_object *pod, struct mu_str scheduler)
{
    struct mu_naive_gang gang = {0};
    for (uint32_t i = 0; i < world->pod_count; i++) {
        const struct mu_pod_object *member = &world->pods[i];
        if (!mu_naive_same_gang(pod, member) || mu_naive_terminal(member) ||
            !mu_str_equal(member->scheduler_name, scheduler))
            continue;
        gang.members++;
        gang.bound += member->node_name.len > 0;
        gang.waiting += mu_naive_wants_node(member, scheduler);
        if (member->gang.size > gang.size)
            gang.size = member->gang.size;
    }
    return gang;
}

static bool room_for(const struct mu_naive_world *world, const struct mu_node_object *node,
                     const struct mu_pod_object *pod)
{
    const struct mu_str slots = MU_STR("pods");
    if (mu_naive_used(world, node->name, slots) + 1 >
        mu_naive_amount(node->allocatable, node->allocatable_count, slots))
        return false;
    for (uint32_t i = 0; i < pod->request_count; i++) {
        struct mu_str resource = pod->requests[i].resource;
        int64_t wanted = pod->requests[i].value;
        if (wanted > 0 && !mu_naive_by_device(node, resource) &&
            mu_naive_used(world, node->name, resource) + wanted >
                mu_naive_amount(node->allocatable, node->allocatable_count, resource))
            return false;
    }
    return true;
}

bool mu_naive_gang_fits(struct mu_naive_world *world, const struct mu_pod_object *pod,
                        struct mu_str scheduler)
{
    const struct mu_rules_world rules = mu_naive_rules(world);
    bool fits = true, any = mu_rules_any(world->pods, world->pod_count);
    uint32_t placed[256], placed_count = 0;
    for (uint32_t i = 0; fits && i < world->pod_count; i++) {
        struct mu_pod_object *member = &world->pods[i];
        if (!mu_naive_same_gang(pod, member) || !mu_naive_wants_node(member, scheduler))
            continue;
        fits = false;
        for (uint32_t n = 0; !fits && placed_count < 256 && n < world->node_count; n++) {
            const struct mu_node_object *node = &world->nodes[n];
            uint64_t devices;
            if (mu_rules_static(node, member) == MU_FITS && room_for(world, node, member) &&
                (!any || mu_rules_others(&rules, node, member) == MU_FITS) &&
                choose_devices(world, node, member, &devices)) {
                member->node_name = node->name;
                member->devices = devices;
                placed[placed_count++] = i;
                fits = true;
            }
        }
    }
    while (placed_count > 0) {
        world->pods[placed[--placed_count]].node_name = MU_STR("");
        world->pods[placed[placed_count]].devices = 0;
    }
    return fits;
}
