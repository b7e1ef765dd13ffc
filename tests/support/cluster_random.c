#include "tests/support/cluster_random.h"

#include <stdio.h>

#include "engine/base/assert.h"
#include "engine/device.h"
#include "tests/support/oracle.h"

#define GI            (INT64_C(1) << 30)
#define SHARED_DEVICE "example.com/gpu" /* counted on some nodes, tracked one by one on others */

static const int64_t cpu_kinds[] = {4000, 16000, 64000, 96000, 0, 1, INT64_MAX / 4};
static const int64_t memory_kinds[] = {8 * GI, 32 * GI, 256 * GI,        384 * GI,
                                       500,    0,       INT64_C(1) << 57};

static uint32_t below(struct mu_random *random, uint32_t bound)
{
    return (uint32_t)mu_random_below(random, bound);
}

/* Mostly one of the first (sane) values, seldom one of the others. */
static int64_t draw(struct mu_random *random, const int64_t *values, uint32_t count, uint32_t sane)
{
    return values[below(random, mu_random_chance(random, 950) ? sane : count)];
}

static const char *const gens[] = {"7", "12", "-3", "new"};

/* Sizes on both sides of what a container is worth at most, and one that is worth nothing. */
static const struct mu_image images[] = {
    {{"web:1", 5}, 200 << 20},          {{"db:2", 4}, 900 << 20},
    {{"web:1", 5}, 300 << 20},          {{"tiny:1", 6}, 1 << 20},
    {{"llm:7", 5}, INT64_C(40) << 30},  {{"side:latest", 11}, 150 << 20},
    {{"huge:1", 6}, MU_IMAGE_BYTES_MAX}};
#define IMAGES (sizeof images / sizeof images[0])

/* Some images; of one that is there twice the first counts. */
static uint32_t images_draw(struct mu_random *random, struct mu_image *out, uint32_t most)
{
    uint32_t count = mu_random_chance(random, 400) ? 0 : below(random, most + 1);
    for (uint32_t i = 0; i < count; i++)
        out[i] = images[below(random, mu_random_chance(random, 950) ? IMAGES - 1 : IMAGES)];
    return count;
}

static void node_add(struct mu_cluster *cluster, struct mu_random *random, uint32_t kinds,
                     uint32_t number, bool jitter)
{
    char name[32], zone[8];
    (void)snprintf(name, sizeof name, "node-%u", number);
    (void)snprintf(zone, sizeof zone, "z%u", below(random, 3));
    uint32_t kind = below(random, kinds);
    bool tracked = mu_random_chance(random, 350);
    uint32_t devices = 1 + below(random, 4);
    const struct mu_amount amounts[] = {
        {MU_STR("cpu"), draw(random, cpu_kinds + kind % 3, 5, 2)},
        {MU_STR("memory"),
         draw(random, memory_kinds + kind % 3, 5, 2) + (jitter ? below(random, 4096) : 0)},
        {MU_STR("pods"), kind == 0 ? 3 : 110},
        {MU_STR("example.com/device"), mu_random_chance(random, 300) ? 8 : 0},
        {MU_STR("ephemeral-storage"), 100 * GI},
        {MU_STR(SHARED_DEVICE), tracked || mu_random_chance(random, 300) ? devices : 0},
    };
    const struct mu_label labels[] = {
        {MU_STR("zone"), mu_str_of(zone)},
        {MU_STR(MU_HOSTNAME_KEY), mu_str_of(name)},
        {MU_STR("disk"), mu_random_chance(random, 500) ? MU_STR("ssd") : MU_STR("hdd")},
        {MU_STR("gen"), mu_str_of(gens[below(random, 4)])},
    };
    const struct mu_taint taints[] = {
        {MU_STR("dedicated"), MU_STR("gpu"), MU_EFFECT_NO_SCHEDULE},
        {MU_STR("soft"), MU_STR(""), MU_EFFECT_PREFER_NO_SCHEDULE},
        {MU_STR("down"), MU_STR(""), MU_EFFECT_NO_EXECUTE},
        {MU_STR("dedicated"), MU_STR("gpu"), MU_EFFECT_PREFER_NO_SCHEDULE},
        {MU_STR("soft"), MU_STR("very"), MU_EFFECT_PREFER_NO_SCHEDULE},
    };
    bool soft = mu_random_chance(random, 200); /* one or two that only deter */
    struct mu_image here[4];
    const struct mu_node_object node = {
        .images = here,
        .image_count = kind == 2 ? images_draw(random, here, 4) : 0,
        .name = mu_str_of(name),
        .uid = mu_str_of(name),
        .labels = labels,
        .label_count = below(random, 5),
        .taints = soft ? taints + 3 : taints + below(random, 3),
        .taint_count = soft                            ? 1 + below(random, 2)
                       : mu_random_chance(random, 200) ? 1
                                                       : 0,
        .allocatable = amounts,
        .allocatable_count = 6,
        .unschedulable = mu_random_chance(random, 50),
        .device_resource = MU_STR(SHARED_DEVICE),
        .device_count = tracked ? devices : 0,
        .devices_whole = mu_random_chance(random, 700),
    };
    uint32_t row = mu_cluster_node(cluster, &node);
    if (mu_random_chance(random, 500)) /* equal ties: in all bits, or in all but the lowest */
        cluster->snapshot.nodes[row].tie = below(random, 6);
}

/* Required node affinity: terms of labels and names, some of which nothing matches. */
struct affinity_draft {
    struct mu_node_term terms[3];
    struct mu_requirement requirements[3][3];
    struct mu_str values[3][3][2];
    char names[3][32];
};

static void draw_requirement(struct mu_random *random, struct mu_requirement *r,
                             struct mu_str values[2])
{
    static const char *const keys[] = {"zone", "disk", "gen", MU_HOSTNAME_KEY, "absent"};
    static const char *const texts[] = {"z0", "z1", "ssd", "hdd", "7", "node-3"};
    *r = (struct mu_requirement){mu_str_of(keys[below(random, 5)]), (enum mu_op)below(random, 7),
                                 values, 0};
    if (r->op == MU_OP_IN || r->op == MU_OP_NOT_IN)
        r->value_count = 1 + below(random, 2);
    if (r->op == MU_OP_GT || r->op == MU_OP_LT)
        r->value_count = 1;
    for (uint32_t v = 0; v < r->value_count; v++)
        values[v] = mu_str_of(texts[below(random, 6)]);
}

static void draw_affinity(struct mu_random *random, struct affinity_draft *draft,
                          struct mu_pod_object *pod)
{
    pod->has_node_terms = true;
    pod->node_terms = draft->terms;
    pod->node_term_count = mu_random_chance(random, 50) ? 0 : 1 + below(random, 3);
    for (uint32_t t = 0; t < pod->node_term_count; t++) {
        uint32_t labels = below(random, 3);
        for (uint32_t r = 0; r < labels; r++)
            draw_requirement(random, &draft->requirements[t][r], draft->values[t][r]);
        draft->terms[t] = (struct mu_node_term){
            .labels = {.requirements = draft->requirements[t], .requirement_count = labels}};
        if (mu_random_chance(random, 700))
            continue;
        (void)snprintf(draft->names[t], sizeof draft->names[t], "node-%u", below(random, 20));
        draft->values[t][2][0] = mu_str_of(draft->names[t]);
        draft->requirements[t][2] = (struct mu_requirement){
            MU_STR("metadata.name"), mu_random_chance(random, 700) ? MU_OP_IN : MU_OP_NOT_IN,
            draft->values[t][2], 1};
        draft->terms[t].fields = (struct mu_selector){.requirements = &draft->requirements[t][2],
                                                      .requirement_count = 1};
    }
}

/* Up to three preferred terms: by label, by a label that some lack, by name. */
static uint32_t preferred_draw(struct mu_random *random, struct mu_preferred_node *out)
{
    static const struct mu_str zones[] = {{"z0", 2}, {"z2", 2}};
    static const struct mu_str names[] = {{"node-3", 6}, {"node-11", 7}};
    static const struct mu_requirement by_zone = {{"zone", 4}, MU_OP_IN, zones, 2};
    static const struct mu_requirement by_disk = {{"disk", 4}, MU_OP_EXISTS, NULL, 0};
    static const struct mu_requirement by_name = {{"metadata.name", 13}, MU_OP_IN, names, 2};
    uint32_t count = 0;
    if (mu_random_chance(random, 700))
        return 0;
    out[count++].term =
        (struct mu_node_term){.labels = {.requirements = &by_zone, .requirement_count = 1}};
    if (mu_random_chance(random, 500))
        out[count++].term =
            (struct mu_node_term){.labels = {.requirements = &by_disk, .requirement_count = 1}};
    if (mu_random_chance(random, 300))
        out[count++].term =
            (struct mu_node_term){.fields = {.requirements = &by_name, .requirement_count = 1}};
    for (uint32_t i = 0; i < count; i++)
        out[i].weight = (int32_t)mu_random_between(random, 1, 100);
    return count;
}

static void class_add(struct mu_cluster *cluster, struct mu_random *random, bool padded,
                      struct mu_class_ix *out)
{
    struct mu_amount amounts[6];
    uint32_t count = 0;
    if (mu_random_chance(random, 900)) {
        static const int64_t cpus[] = {100, 250, 500, 1000, 3000, 8000, 1, MU_AMOUNT_MAX / 4};
        amounts[count++] = (struct mu_amount){MU_STR("cpu"), draw(random, cpus, 8, 6)};
    }
    if (mu_random_chance(random, 800)) {
        static const int64_t memories[] = {GI / 4, GI, 100000000, 4 * GI, 1, MU_AMOUNT_MAX};
        amounts[count++] = (struct mu_amount){MU_STR("memory"), draw(random, memories, 6, 4)};
    }
    if (mu_random_chance(random, 150))
        amounts[count++] =
            (struct mu_amount){MU_STR("example.com/device"), mu_random_between(random, 0, 8)};
    if (mu_random_chance(random, 100))
        amounts[count++] = (struct mu_amount){MU_STR("ephemeral-storage"), 40 * GI};
    if (mu_random_chance(random, 20))
        amounts[count++] = (struct mu_amount){MU_STR("example.com/unheard-of"), 1};
    if (mu_random_chance(random, 250)) /* up to more than a device has */
        amounts[count++] = (struct mu_amount){MU_STR(MU_GPU_SHARE_RESOURCE),
                                              100 * mu_random_between(random, 1, 11)};
    else if (mu_random_chance(random, 200))
        amounts[count++] =
            (struct mu_amount){MU_STR(SHARED_DEVICE), mu_random_between(random, 1, 3)};
    char host[32];
    (void)snprintf(host, sizeof host, "node-%u", below(random, 20));
    const struct mu_label selector[] = {
        {MU_STR("zone"), MU_STR("z1")},
        {MU_STR("disk"), mu_random_chance(random, 500) ? MU_STR("ssd") : MU_STR("tape")},
        {MU_STR(MU_HOSTNAME_KEY), mu_str_of(host)},
        {MU_STR(MU_HOSTNAME_KEY), MU_STR("elsewhere")},
    };
    const struct mu_toleration tolerations[] = {
        {MU_STR("dedicated"), MU_STR("gpu"), MU_TOLERATE_EQUAL, MU_EFFECT_ANY},
        {MU_STR("node.kubernetes.io/unschedulable"), MU_STR(""), MU_TOLERATE_EXISTS,
         MU_EFFECT_NO_SCHEDULE},
        {MU_STR(""), MU_STR(""), MU_TOLERATE_EXISTS, MU_EFFECT_ANY},
    };
    uint32_t selector_count = 0, selector_begin = 0;
    if (mu_random_chance(random, 250)) {
        selector_begin = below(random, 3);
        selector_count =
            mu_random_chance(random, 900) ? 1 : 2; /* 2 from 2 on: contradicts itself */
    }
    struct affinity_draft draft = {0};
    struct mu_preferred_node preferred[3];
    struct mu_image wanted[3];
    struct mu_pod_object pod = {
        .images = wanted,
        .image_count = images_draw(random, wanted, 3),
        .preferred_nodes = preferred,
        .preferred_node_count = preferred_draw(random, preferred),
        .requests = amounts,
        .request_count = count,
        .selector = selector + selector_begin,
        .selector_count = selector_count,
        .tolerations = tolerations + below(random, 3),
        .toleration_count = mu_random_chance(random, 250) ? 1 : 0,
    };
    if (mu_random_chance(random, 250))
        draw_affinity(random, &draft, &pod);
    if (padded && mu_random_chance(random, 400)) /* up to more than small nodes have */
        pod.cpu_padding = mu_random_chance(random, 900) ? 100 * (1 + below(random, 3)) : 5000;
    if (padded && mu_random_chance(random, 400))
        pod.memory_padding = mu_random_chance(random, 900) ? GI / 5 : 999999999999;
    *out = mu_cluster_class(cluster, &pod);
}

/* Requests for devices that are about; together no more than all. */
static void typical_draw(struct mu_cluster *cluster, struct mu_random *random)
{
    struct mu_snapshot *s = &cluster->snapshot;
    uint32_t rest = 1000;
    for (uint32_t n = below(random, 7); n > 0 && s->devices != NULL; n--) {
        bool whole = mu_random_chance(random, 300);
        uint32_t share = below(random, rest + 1);
        s->typical[s->typical_count++] =
            (struct mu_typical){.cpu = 1000 * below(random, 17),
                                .memory = GI * below(random, 9),
                                .devices = whole ? 1 + below(random, 3) : 1,
                                .millis = whole ? 1000 : 100 * (1 + below(random, 10)),
                                .permille = share};
        rest -= share;
    }
}

void mu_cluster_random(struct mu_cluster *cluster, struct mu_random *random,
                       const struct mu_cluster_shape *shape, struct mu_class_ix *classes)
{
    uint32_t nodes = below(random, shape->nodes_max + 1);
    uint32_t kinds = 1 + below(random, 3);
    bool jitter = mu_random_chance(random, 300);
    mu_cluster_init(cluster, nodes, shape->gangs_max);
    for (uint32_t n = 0; n < nodes; n++) {
        if (mu_random_chance(random, 30))
            (void)mu_cluster_hole(cluster);
        else
            node_add(cluster, random, kinds, n, jitter);
    }
    bool padded = mu_random_chance(random, 400);
    for (uint32_t c = 0; c < shape->classes; c++)
        class_add(cluster, random, padded, &classes[c]);
    typical_draw(cluster, random);
    bool loaded = mu_random_chance(random, 600);
    for (uint32_t row = 0; loaded && row < cluster->snapshot.node_rows; row++) {
        if (mu_random_chance(random, 500))
            mu_cluster_random_event(cluster, random);
    }
}

void mu_profile_random(struct mu_random *random, struct mu_profile *profile)
{
    static const char *const names[] = {"cpu", "memory", "example.com/device", "ephemeral-storage"};
    if (mu_random_chance(random, 600)) { /* mostly one that is in use */
        *profile = *mu_profile_find(mu_str_of(mu_profile_name(below(random, 5))));
        return;
    }
    *profile = (struct mu_profile){.name = "random"};
    profile->strategy = mu_random_chance(random, 500) ? MU_LEAST_ALLOCATED : MU_MOST_ALLOCATED;
    profile->fit = 1 + below(random, MU_PROFILE_WEIGHT_MAX);
    profile->balanced = mu_random_chance(random, 500) ? below(random, 101) : 0;
    profile->taints = mu_random_chance(random, 500) ? below(random, 101) : 0;
    profile->images = mu_random_chance(random, 500) ? below(random, 101) : 0;
    profile->node_affinity = mu_random_chance(random, 500) ? below(random, 101) : 0;
    profile->fragmentation = mu_random_chance(random, 300) ? below(random, 101) : 0;
    for (uint32_t i = 0; i < MU_PROFILE_RESOURCES_MAX; i++) {
        if (i > 0 && mu_random_chance(random, 500))
            continue;
        struct mu_profile_resource *resource = &profile->resources[profile->resource_count++];
        (void)snprintf(resource->name, sizeof resource->name, "%s", names[i]);
        resource->weight = 1 + below(random, MU_PROFILE_WEIGHT_MAX);
    }
    MU_ASSERT(mu_profile_check(profile, NULL) == 0);
}

/* Whether somebody who waits holds devices of a row: they are not anybody else's to change. */
static bool holds_devices(const struct mu_snapshot *s, uint32_t row)
{
    for (uint32_t g = 0; g < s->gang_rows; g++) {
        const struct mu_gang_block *block = s->gangs[g].block;
        for (uint32_t m = 0; block != NULL && m < block->member_count; m++)
            if (block->members[m].held.v == row && block->members[m].held_devices != 0)
                return true;
    }
    return false;
}

void mu_cluster_random_event(struct mu_cluster *cluster, struct mu_random *random)
{
    struct mu_snapshot *s = &cluster->snapshot;
    if (s->node_rows == 0)
        return;
    uint32_t row = below(random, s->node_rows);
    uint32_t resource = below(random, s->resource_count);
    if ((s->nodes[row].flags & MU_NODE_PRESENT) == 0)
        return;
    if (mu_random_chance(random, 30)) {
        mu_cluster_flags(cluster, row, s->nodes[row].flags ^ MU_NODE_UNSCHEDULABLE);
        return;
    }
    if (s->images != NULL && mu_random_chance(random, 100)) {
        struct mu_image here[4];
        uint32_t count = images_draw(random, here, 4);
        mu_cluster_images(cluster, row, here, count);
        return;
    }
    const struct mu_device_row *devices = s->devices != NULL ? &s->devices[row] : NULL;
    if (devices != NULL && devices->count > 0 &&
        (resource == s->share_resource || resource == devices->resource)) {
        uint32_t device = below(random, devices->count), left = 100 * below(random, 11);
        if (!holds_devices(s, row))
            mu_cluster_device_set(cluster, row, device, (uint16_t)left);
        return;
    }
    struct mu_str name =
        mu_resource_name(mu_model_resource_names(s->model), (struct mu_resource_ix){resource});
    if (mu_str_equal(name, MU_STR(MU_CPU_PADDING)) ||
        mu_str_equal(name, MU_STR(MU_MEMORY_PADDING))) {
        /* Of pods that nobody here knows: up to three times the node's own. */
        int64_t own = mu_snapshot_alloc(
            s, mu_str_equal(name, MU_STR(MU_CPU_PADDING)) ? MU_RES_CPU : MU_RES_MEMORY, row);
        int64_t assumed = own < MU_AMOUNT_MAX / 4 ? mu_random_between(random, 0, 3 * own) : own;
        mu_cluster_free_add(cluster, row, resource, assumed - s->free[resource][row]);
        return;
    }
    int64_t alloc = mu_snapshot_alloc(s, resource, row);
    int64_t used = alloc - s->free[resource][row];
    if (mu_random_chance(random, 300) && used > 0) {
        mu_cluster_free_add(cluster, row, resource, mu_random_between(random, 1, used));
    } else if (used <= alloc) { /* up to twice what there is: room below zero */
        mu_cluster_free_add(cluster, row, resource, -mu_random_between(random, 0, alloc));
    }
}

/* The member holds room somewhere: it is charged there, whether or not it fits. */
static void hold(struct mu_cluster *cluster, struct mu_random *random,
                 struct mu_cluster_member *member)
{
    struct mu_snapshot *s = &cluster->snapshot;
    const struct mu_class *c = mu_model_get_class(s->model, member->class_ix);
    uint32_t row = s->node_rows > 0 ? below(random, s->node_rows) : MU_NONE;
    if (row == MU_NONE || (s->nodes[row].flags & MU_NODE_PRESENT) == 0 || c->impossible)
        return;
    for (uint32_t d = 0; d < c->demand_count; d++) {
        uint32_t r = c->demands[d].resource.v;
        if (r >= s->resource_count || mu_snapshot_alloc(s, r, row) < c->demands[d].amount)
            return;
    }
    if (mu_oracle_asks_devices(s, c, row) && mu_oracle_verdict(s, c, row).kind != MU_FITS)
        return; /* some of its devices, which have to be there */
    mu_cluster_free_add(cluster, row, MU_RES_PODS, 0); /* it moves */
    member->devices = mu_oracle_take(s, &mu_profile_spread, member->class_ix, row);
    member->held = row;
}

uint32_t mu_cluster_random_gang(struct mu_cluster *cluster, struct mu_random *random,
                                const struct mu_class_ix *classes, uint32_t class_count)
{
    struct mu_cluster_member members[64];
    struct mu_cluster_subgroup subgroups[4];
    uint32_t subgroup_count = mu_random_chance(random, 200) ? 1 + below(random, 4) : 1;
    uint32_t used = 0, placed = 0, needed = 0;
    bool solo = mu_random_chance(random, 300), uniform = mu_random_chance(random, 500);
    struct mu_class_ix one = classes[below(random, class_count)];
    for (uint32_t g = 0; g < subgroup_count; g++) {
        uint32_t count = solo ? 1 : below(random, 12);
        bool running = mu_random_chance(random, 200);
        subgroups[g] = (struct mu_cluster_subgroup){
            .placed = running ? below(random, 4) : 0,
            .member_count = count,
            .members = members + used,
        };
        for (uint32_t m = 0; m < count; m++, used++) {
            members[used] = (struct mu_cluster_member){
                .class_ix = uniform ? one : classes[below(random, class_count)], .held = MU_NONE};
            if (mu_random_chance(random, 50))
                hold(cluster, random, &members[used]);
        }
        uint32_t have = count + subgroups[g].placed;
        subgroups[g].min = mu_random_chance(random, 300) ? 0 : below(random, have + 2);
        placed += subgroups[g].placed;
        needed += subgroups[g].min == 0 ? have : subgroups[g].min;
    }
    bool settled = mu_random_chance(random, 800), blocked = mu_random_chance(random, 150);
    uint32_t size = needed + below(random, 3);
    const struct mu_cluster_gang gang = {
        .flags = (settled ? MU_GANG_SETTLED : 0u) |
                 (placed > 0 && settled && placed < size ? MU_GANG_SHORT : 0u),
        .priority = (int32_t)mu_random_between(random, -2, 2) *
                    (mu_random_chance(random, 50) ? INT32_MAX / 2 : 1),
        .created_s = 1000 + below(random, 10),
        .settle_ns = below(random, 2000),
        .size = settled ? (size > 0 ? size : 1) : 0,
        .blocked_count = blocked ? 1 + below(random, 2) : 0,
        .blocked_rules = blocked && mu_random_chance(random, 500) ? (uint32_t)MU_RULE_VOLUMES : 0,
        .subgroup_count = subgroup_count,
        .subgroups = subgroups,
    };
    MU_ASSERT(used <= 64);
    return mu_cluster_gang(cluster, &gang);
}
