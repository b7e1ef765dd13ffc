/*
 * The rules, as naively as they can be written: strings, linear scans, no caches.
 */
#include "tools/sim/checker_priv.h"

#include "engine/base/assert.h"

struct mu_rules_world mu_naive_rules(const struct mu_naive_world *world)
{
    return (struct mu_rules_world){.nodes = world->nodes,
                                   .node_count = world->node_count,
                                   .pods = world->pods,
                                   .pod_count = world->pod_count,
                                   .namespaces = world->namespaces,
                                   .namespace_count = world->namespace_count,
                                   .holding = world->holding};
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

/* Minima of sub-groups, as members state them: the largest that anyone does. */
struct parts {
    struct {
        struct mu_str name;
        uint32_t min, bound, waiting;
    } part[8];
    uint32_t count;
};

static void hear_part(struct parts *parts, struct mu_str name, uint32_t min)
{
    uint32_t i = 0;
    while (i < parts->count && !mu_str_equal(parts->part[i].name, name))
        i++;
    MU_ASSERT(i < sizeof parts->part / sizeof parts->part[0]);
    if (i == parts->count)
        parts->part[parts->count++].name = name;
    if (parts->part[i].min < min)
        parts->part[i].min = min;
}

static void hear_member(struct parts *parts, const struct mu_gang_ref *gang)
{
    for (uint32_t i = 0; i < gang->subgroup_count; i++) /* one that is named has to be there */
        hear_part(parts, gang->subgroups[i].name,
                  gang->subgroups[i].min > 0 ? gang->subgroups[i].min : 1);
    if (gang->subgroup_min > 0)
        hear_part(parts, gang->subgroup, gang->subgroup_min);
}

static void judge_parts(const struct parts *parts, struct mu_naive_gang *gang)
{
    uint32_t sum = 0;
    for (uint32_t i = 0; i < parts->count; i++) {
        sum += parts->part[i].min;
        gang->parted = gang->parted || parts->part[i].bound < parts->part[i].min;
        gang->lacking =
            gang->lacking || parts->part[i].bound + parts->part[i].waiting < parts->part[i].min;
    }
    gang->parts = parts->count > 0;
    gang->size = sum > gang->size ? sum : gang->size;
}

struct mu_naive_gang mu_naive_gang_of(const struct mu_naive_world *world,
                                      const struct mu_pod_object *pod, struct mu_str scheduler)
{
    struct mu_naive_gang gang = {0};
    struct parts parts = {.count = 0};
    for (uint32_t pass = 0; pass < 2; pass++) {
        for (uint32_t i = 0; i < world->pod_count; i++) {
            const struct mu_pod_object *member = &world->pods[i];
            if (!mu_naive_same_gang(pod, member) || mu_naive_terminal(member) ||
                member->terminating || !mu_str_equal(member->scheduler_name, scheduler))
                continue;
            bool bound = member->node_name.len > 0;
            bool waiting = mu_naive_wants_node(member, scheduler);
            if (pass == 0) {
                hear_member(&parts, &member->gang);
                continue;
            }
            gang.members++;
            gang.bound += bound;
            gang.waiting += waiting;
            if (member->gang.size > gang.size)
                gang.size = member->gang.size;
            for (uint32_t p = 0; p < parts.count; p++) {
                if (!mu_str_equal(parts.part[p].name, member->gang.subgroup))
                    continue;
                parts.part[p].bound += bound;
                parts.part[p].waiting += waiting;
            }
        }
    }
    judge_parts(&parts, &gang);
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

bool mu_naive_has_room(const struct mu_naive_world *world, const struct mu_node_object *node,
                       const struct mu_pod_object *pod, uint64_t devices)
{
    struct mu_devices_left left;
    struct mu_pod_object there = *pod;
    if (!room_for(world, node, pod))
        return false;
    there.node_name = node->name;
    there.devices = devices;
    (void)mu_naive_devices_left(world, node, &left);
    const struct mu_devices_left before = left;
    bool named = mu_devices_charge(&left, node, &there, true);
    /* One that others have more of than there is, until victims leave, is theirs to wait for. */
    for (uint32_t d = 0; named && d < MU_DEVICES_PER_NODE; d++)
        named = left.millis[d] >= 0 || left.millis[d] == before.millis[d];
    return named;
}

bool mu_naive_takes(const struct mu_naive_world *world, const struct mu_node_object *node,
                    const struct mu_pod_object *pod, uint64_t *devices)
{
    const struct mu_rules_world rules = mu_naive_rules(world);
    struct mu_devices_left left;
    if (mu_rules_static(node, pod) != MU_FITS || !room_for(world, node, pod) ||
        (world->rules && mu_rules_others(&rules, node, pod) != MU_FITS))
        return false;
    (void)mu_naive_devices_left(world, node, &left);
    return mu_devices_choose(&left, node, pod, devices);
}

static struct mu_str value_of(const struct mu_node_object *node, struct mu_str key)
{
    for (uint32_t i = 0; i < node->label_count; i++)
        if (mu_str_equal(node->labels[i].key, key))
            return node->labels[i].value;
    return MU_STR("");
}

/* On nodes where `key` has this value; no key: on all. */
static bool fit_within(struct mu_naive_world *world, struct mu_pod_object *const *pods,
                       uint32_t count, struct mu_str key, struct mu_str value)
{
    uint32_t placed = 0;
    for (bool found = true; found && placed < count;) {
        struct mu_pod_object *pod = pods[placed];
        found = false;
        for (uint32_t n = 0; !found && n < world->node_count; n++) {
            const struct mu_node_object *node = &world->nodes[n];
            uint64_t devices = 0;
            if ((key.len > 0 && !mu_str_equal(value_of(node, key), value)) ||
                !mu_naive_takes(world, node, pod, &devices))
                continue;
            pod->node_name = node->name;
            pod->devices = devices;
            placed++;
            found = true;
        }
    }
    bool fits = placed == count;
    while (placed > 0) {
        pods[--placed]->node_name = MU_STR("");
        pods[placed]->devices = 0;
    }
    return fits;
}

/* Where members run that keep to one domain: its value; empty: nowhere yet. */
static struct mu_str home_of(const struct mu_naive_world *world, const struct mu_pod_object *pod)
{
    for (uint32_t i = 0; i < world->pod_count; i++) {
        const struct mu_pod_object *member = &world->pods[i];
        if (member->node_name.len == 0 || member->terminating || mu_naive_terminal(member) ||
            !mu_naive_same_gang(pod, member))
            continue;
        for (uint32_t n = 0; n < world->node_count; n++)
            if (mu_str_equal(world->nodes[n].name, member->node_name))
                return value_of(&world->nodes[n], pod->gang.pack_key);
    }
    return MU_STR("");
}

bool mu_naive_fit(struct mu_naive_world *world, struct mu_pod_object *const *pods, uint32_t count)
{
    if (count == 0)
        return true;
    struct mu_str key = pods[0]->gang.pack_required ? pods[0]->gang.pack_key : MU_STR("");
    if (key.len == 0)
        return fit_within(world, pods, count, key, key);
    struct mu_str home = home_of(world, pods[0]);
    bool fits = false;
    for (uint32_t n = 0; !fits && n < world->node_count; n++) {
        struct mu_str value = value_of(&world->nodes[n], key);
        if (value.len > 0 && (home.len == 0 || mu_str_equal(home, value)))
            fits = fit_within(world, pods, count, key, value);
    }
    return fits;
}

bool mu_naive_gang_fits(struct mu_naive_world *world, const struct mu_pod_object *pod,
                        struct mu_str scheduler)
{
    struct mu_pod_object *waiting[MU_NAIVE_GANG_MAX];
    uint32_t count = 0;
    for (uint32_t i = 0; i < world->pod_count && count < MU_NAIVE_GANG_MAX; i++)
        if (mu_naive_same_gang(pod, &world->pods[i]) &&
            mu_naive_wants_node(&world->pods[i], scheduler))
            waiting[count++] = &world->pods[i];
    return mu_naive_fit(world, waiting, count);
}
