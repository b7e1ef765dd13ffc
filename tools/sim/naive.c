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

bool mu_naive_devices_left(const struct mu_naive_world *world, const struct mu_node_object *node,
                           struct mu_devices_left *left)
{
    bool all_named = true;
    mu_devices_init(left, node);
    for (uint32_t i = 0; i < world->pod_count; i++) {
        const struct mu_pod_object *pod = &world->pods[i];
        if (!mu_naive_terminal(pod) && mu_str_equal(pod->node_name, node->name))
            all_named = mu_devices_charge(left, node, pod, true) && all_named;
    }
    return all_named;
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
        if (wanted > 0 && !mu_devices_tell(node, resource) &&
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
            struct mu_devices_left left;
            uint64_t devices;
            (void)mu_naive_devices_left(world, node, &left);
            if (mu_rules_static(node, member) == MU_FITS && room_for(world, node, member) &&
                (!any || mu_rules_others(&rules, node, member) == MU_FITS) &&
                mu_devices_choose(&left, node, member, &devices)) {
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
