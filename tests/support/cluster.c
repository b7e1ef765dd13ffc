#include "tests/support/cluster.h"

#include <stdio.h>
#include <string.h>

#include "engine/base/assert.h"
#include "engine/base/hash.h"
#include "engine/base/mem.h"
#include "engine/device.h"

void mu_cluster_init(struct mu_cluster *cluster, uint32_t node_cap, uint32_t gang_cap)
{
    memset(cluster, 0, sizeof *cluster);
    cluster->model = mu_model_create();
    MU_ASSERT(cluster->model != NULL);
    struct mu_snapshot *s = &cluster->snapshot;
    s->model = cluster->model;
    s->generation = s->static_generation = s->capacity_generation = 1;
    s->image_generation = 1;
    s->node_cap = (node_cap + MU_NODE_CHUNK - 1) / MU_NODE_CHUNK * MU_NODE_CHUNK;
    s->node_cap = s->node_cap > 0 ? s->node_cap : MU_NODE_CHUNK;
    s->nodes = mu_mem_calloc(s->node_cap, sizeof *s->nodes);
    s->gang_cap = gang_cap;
    s->gangs = mu_mem_calloc(gang_cap > 0 ? gang_cap : 1, sizeof *s->gangs);
    MU_ASSERT(s->nodes != NULL && s->gangs != NULL);
    s->resource_count = 0;
}

void mu_cluster_fini(struct mu_cluster *cluster)
{
    struct mu_snapshot *s = &cluster->snapshot;
    for (uint32_t g = 0; g < s->gang_rows; g++)
        mu_mem_free((void *)(uintptr_t)s->gangs[g].block);
    for (uint32_t r = 0; r < MU_RESOURCES_MAX; r++)
        mu_mem_free(s->free[r]);
    for (uint32_t page = 0; cluster->image_pages != NULL && page < MU_IMAGE_PAGES; page++)
        mu_mem_free(cluster->image_pages[page]);
    mu_mem_free(cluster->image_pages);
    mu_mem_free(s->images);
    mu_mem_free(s->nodes);
    mu_mem_free(s->devices);
    mu_mem_free(s->gangs);
    mu_mem_free(s->topology[0]);
    mu_model_destroy(cluster->model);
    memset(cluster, 0, sizeof *cluster);
}

/* Columns for every resource that the model knows. */
static void columns_make(struct mu_cluster *cluster)
{
    struct mu_snapshot *s = &cluster->snapshot;
    uint32_t known = mu_resource_count(mu_model_resources(cluster->model));
    for (; s->resource_count < known; s->resource_count++) {
        size_t bytes = s->node_cap * sizeof(int64_t);
        s->free[s->resource_count] = mu_mem_zalloc_aligned(64, bytes);
        MU_ASSERT(s->free[s->resource_count] != NULL);
    }
}

static void row_moved(struct mu_cluster *cluster, uint32_t row)
{
    struct mu_snapshot *s = &cluster->snapshot;
    s->generation++;
    if (s->static_changed_count == MU_CLUSTER_CHANGED_MAX)
        s->static_changed = NULL;
    if (s->static_changed != NULL)
        cluster->changed[s->static_changed_count++] = row;
}

static void static_moved(struct mu_cluster *cluster, uint32_t row)
{
    cluster->snapshot.static_generation++;
    row_moved(cluster, row);
}

/* One node more (1) or less (-1) has these images. */
static void images_count(struct mu_cluster *cluster, struct mu_image_set_ix ix, int sign)
{
    const struct mu_image_set *set = mu_model_get_image_set(cluster->model, ix);
    for (uint32_t i = 0; i < set->count; i++) {
        struct mu_image_page **page = &cluster->image_pages[set->items[i].name.v / MU_IMAGE_PAGE];
        if (*page == NULL)
            *page = mu_mem_calloc(1, sizeof **page);
        MU_ASSERT(*page != NULL);
        (*page)->nodes[set->items[i].name.v % MU_IMAGE_PAGE] += (uint32_t)sign;
    }
}

void mu_cluster_images(struct mu_cluster *cluster, uint32_t row, const struct mu_image *images,
                       uint32_t count)
{
    struct mu_snapshot *s = &cluster->snapshot;
    struct mu_image_set_ix set;
    if (s->images == NULL) {
        s->images = mu_mem_calloc(s->node_cap, sizeof *s->images);
        cluster->image_pages = mu_mem_calloc(MU_IMAGE_PAGES, sizeof(*cluster->image_pages));
        MU_ASSERT(s->images != NULL && cluster->image_pages != NULL);
        s->image_pages = cluster->image_pages;
    }
    int error = mu_model_image_set(cluster->model, images, count, &set);
    MU_ASSERT(error == 0);
    images_count(cluster, s->images[row], -1);
    images_count(cluster, set, 1);
    s->images[row] = set;
    s->image_generation++;
    row_moved(cluster, row);
}

static void free_moved(struct mu_cluster *cluster, uint32_t row)
{
    struct mu_snapshot *s = &cluster->snapshot;
    s->generation++;
    if (s->free_changed_count == MU_CLUSTER_CHANGED_MAX)
        s->free_changed = NULL;
    if (s->free_changed != NULL)
        cluster->freed[s->free_changed_count++] = row;
}

uint32_t mu_cluster_hole(struct mu_cluster *cluster)
{
    struct mu_snapshot *s = &cluster->snapshot;
    MU_ASSERT(s->node_rows < s->node_cap);
    columns_make(cluster);
    static_moved(cluster, s->node_rows);
    return s->node_rows++;
}

/* What the node has of the two resources of its devices. */
static void devices_offer(struct mu_cluster *cluster, const struct mu_node_object *node,
                          int64_t amounts[MU_RESOURCES_MAX])
{
    struct mu_resources *resources = mu_model_resources(cluster->model);
    struct mu_snapshot *s = &cluster->snapshot;
    struct mu_resource_ix share, whole;
    int error = mu_resource_intern(resources, MU_STR(MU_GPU_SHARE_RESOURCE), &share);
    MU_ASSERT(error == 0);
    error = mu_resource_intern(resources, node->device_resource, &whole);
    MU_ASSERT(error == 0);
    amounts[share.v] = MU_DEVICE_MILLIS;
    amounts[whole.v] = node->devices_whole ? node->device_count : 0;
    s->share_resource = share.v;
    if (s->devices == NULL)
        s->devices = mu_mem_calloc(s->node_cap, sizeof *s->devices);
    MU_ASSERT(s->devices != NULL && s->node_rows < s->node_cap);
    mu_device_init(&s->devices[s->node_rows], node->device_count, whole.v, node->devices_whole);
}

uint32_t mu_cluster_node(struct mu_cluster *cluster, const struct mu_node_object *node)
{
    struct mu_snapshot *s = &cluster->snapshot;
    struct mu_model *model = cluster->model;
    int64_t amounts[MU_RESOURCES_MAX] = {0};
    for (uint32_t a = 0; a < node->allocatable_count; a++) {
        struct mu_resource_ix ix;
        int error =
            mu_resource_intern(mu_model_resources(model), node->allocatable[a].resource, &ix);
        MU_ASSERT(error == 0);
        amounts[ix.v] = node->allocatable[a].value;
    }
    if (node->device_count > 0)
        devices_offer(cluster, node, amounts);
    uint32_t row = mu_cluster_hole(cluster);
    struct mu_node_static *n = &s->nodes[row];
    int error =
        mu_model_label_set(model, node->labels, node->label_count, &n->labels, &n->hostname);
    MU_ASSERT(error == 0);
    error = mu_model_taint_set(model, node->taints, node->taint_count, &n->taints);
    MU_ASSERT(error == 0);
    error = mu_model_capacity(model, amounts, &n->capacity);
    MU_ASSERT(error == 0);
    error = mu_symbol_intern(mu_model_symbols(model), node->name, &n->name);
    MU_ASSERT(error == 0);
    for (uint32_t r = 0; r < s->resource_count; r++)
        s->free[r][row] = amounts[r];
    n->flags = MU_NODE_PRESENT | (node->unschedulable ? MU_NODE_UNSCHEDULABLE : 0);
    n->tie = (uint32_t)mu_hash_stable(node->name.data, node->name.len);
    n->generation = row + 1;
    s->node_count++;
    s->capacity_generation++;
    if (node->image_count > 0)
        mu_cluster_images(cluster, row, node->images, node->image_count);
    return row;
}

uint32_t mu_cluster_plain_node(struct mu_cluster *cluster, const char *name, int64_t cpu_millis,
                               int64_t memory_bytes, int64_t pods, int64_t devices)
{
    const struct mu_amount amounts[] = {
        {MU_STR("cpu"), cpu_millis},
        {MU_STR("memory"), memory_bytes},
        {MU_STR("pods"), pods},
        {MU_STR("example.com/device"), devices},
    };
    const struct mu_node_object node = {
        .name = mu_str_of(name),
        .uid = mu_str_of(name),
        .version = 1,
        .allocatable = amounts,
        .allocatable_count = devices > 0 ? 4 : 3,
    };
    return mu_cluster_node(cluster, &node);
}

void mu_cluster_free_add(struct mu_cluster *cluster, uint32_t row, uint32_t resource,
                         int64_t amount)
{
    struct mu_snapshot *s = &cluster->snapshot;
    MU_ASSERT(row < s->node_rows && resource < s->resource_count);
    s->free[resource][row] += amount;
    free_moved(cluster, row);
    s->capacity_generation += amount > 0;
}

void mu_cluster_alloc_set(struct mu_cluster *cluster, uint32_t row, uint32_t resource,
                          int64_t amount)
{
    struct mu_snapshot *s = &cluster->snapshot;
    int64_t amounts[MU_RESOURCES_MAX];
    MU_ASSERT(row < s->node_rows && resource < s->resource_count);
    for (uint32_t r = 0; r < MU_RESOURCES_MAX; r++)
        amounts[r] = mu_snapshot_alloc(s, r, row);
    amounts[resource] = amount;
    int error = mu_model_capacity(cluster->model, amounts, &s->nodes[row].capacity);
    MU_ASSERT(error == 0);
}

void mu_cluster_device_set(struct mu_cluster *cluster, uint32_t row, uint32_t device,
                           uint16_t millis)
{
    struct mu_snapshot *s = &cluster->snapshot;
    struct mu_device_row *devices = &s->devices[row];
    MU_ASSERT(device < devices->count && millis <= MU_DEVICE_MILLIS);
    bool grows = millis > devices->left[device];
    devices->left[device] = millis;
    s->free[s->share_resource][row] = mu_device_most_left(devices);
    s->free[devices->resource][row] = mu_device_whole_free(devices);
    free_moved(cluster, row);
    s->capacity_generation += grows;
}

void mu_cluster_flags(struct mu_cluster *cluster, uint32_t row, uint32_t flags)
{
    cluster->snapshot.nodes[row].flags = flags;
    static_moved(cluster, row);
}

void mu_cluster_relabel(struct mu_cluster *cluster, uint32_t row, const struct mu_label *labels,
                        uint32_t count)
{
    struct mu_node_static *n = &cluster->snapshot.nodes[row];
    int error = mu_model_label_set(cluster->model, labels, count, &n->labels, &n->hostname);
    MU_ASSERT(error == 0);
    static_moved(cluster, row);
}

void mu_cluster_taint(struct mu_cluster *cluster, uint32_t row, const struct mu_taint *taints,
                      uint32_t count)
{
    struct mu_node_static *n = &cluster->snapshot.nodes[row];
    int error = mu_model_taint_set(cluster->model, taints, count, &n->taints);
    MU_ASSERT(error == 0);
    static_moved(cluster, row);
}

struct mu_symbol mu_cluster_topology(struct mu_cluster *cluster, const char *key)
{
    struct mu_snapshot *s = &cluster->snapshot;
    struct mu_symbol symbol;
    uint32_t *values = mu_mem_calloc(s->node_cap, sizeof *values); /* by domain: its symbol */
    int error = mu_symbol_intern(mu_model_symbols(cluster->model), mu_str_of(key), &symbol);
    MU_ASSERT(error == 0 && values != NULL);
    if (s->topology[0] == NULL)
        s->topology[0] = mu_mem_calloc(s->node_cap, sizeof *s->topology[0]);
    MU_ASSERT(s->topology[0] != NULL);
    s->topology_count = 1;
    s->topology_keys[0] = symbol;
    s->domain_bound[0] = 0;
    for (uint32_t row = 0; row < s->node_rows; row++) {
        const struct mu_label_set *set = mu_model_get_label_set(s->model, s->nodes[row].labels);
        s->topology[0][row] = MU_NONE;
        for (uint32_t i = 0; i < set->count; i++) {
            uint32_t d = 0;
            if (set->pairs[i].key.v != symbol.v)
                continue;
            while (d < s->domain_bound[0] && values[d] != set->pairs[i].value.v)
                d++;
            values[d] = set->pairs[i].value.v;
            s->domain_bound[0] += d == s->domain_bound[0];
            s->topology[0][row] = d;
        }
    }
    s->domain_generation[0]++;
    s->generation++;
    mu_mem_free(values);
    return symbol;
}

void mu_cluster_track(struct mu_cluster *cluster)
{
    cluster->tracked = true;
    mu_cluster_handed_over(cluster);
}

void mu_cluster_handed_over(struct mu_cluster *cluster)
{
    struct mu_snapshot *s = &cluster->snapshot;
    if (!cluster->tracked)
        return;
    s->static_base = s->static_generation;
    s->image_base = s->image_generation;
    s->static_changed = cluster->changed;
    s->static_changed_count = 0;
    s->free_base = s->generation;
    s->free_changed = cluster->freed;
    s->free_changed_count = 0;
}

struct mu_class_ix mu_cluster_class(struct mu_cluster *cluster, const struct mu_pod_object *pod)
{
    struct mu_class_ix ix;
    int error = mu_model_class(cluster->model, pod, &ix);
    MU_ASSERT(error == 0);
    if (mu_model_get_class(cluster->model, ix)->padding_count > 0)
        columns_make(cluster);
    return ix;
}

struct mu_class_ix mu_cluster_plain_class(struct mu_cluster *cluster, int64_t cpu_millis,
                                          int64_t memory_bytes, int64_t devices)
{
    struct mu_amount amounts[3];
    uint32_t count = 0;
    if (cpu_millis > 0)
        amounts[count++] = (struct mu_amount){MU_STR("cpu"), cpu_millis};
    if (memory_bytes > 0)
        amounts[count++] = (struct mu_amount){MU_STR("memory"), memory_bytes};
    if (devices > 0)
        amounts[count++] = (struct mu_amount){MU_STR("example.com/device"), devices};
    const struct mu_pod_object pod = {.requests = amounts, .request_count = count};
    return mu_cluster_class(cluster, &pod);
}

uint32_t mu_cluster_gang(struct mu_cluster *cluster, const struct mu_cluster_gang *gang)
{
    struct mu_snapshot *s = &cluster->snapshot;
    MU_ASSERT(s->gang_rows < s->gang_cap);
    uint32_t member_count = 0, placed = 0;
    for (uint32_t g = 0; g < gang->subgroup_count; g++) {
        member_count += gang->subgroups[g].member_count;
        placed += gang->subgroups[g].placed;
    }
    struct mu_gang_block *block =
        mu_mem_alloc(sizeof *block + member_count * sizeof(struct mu_gang_member) +
                     gang->subgroup_count * sizeof(struct mu_gang_subgroup));
    MU_ASSERT(block != NULL);
    struct mu_gang_member *members = (struct mu_gang_member *)(void *)(block + 1);
    struct mu_gang_subgroup *subgroups =
        (struct mu_gang_subgroup *)(void *)(members + member_count);
    uint32_t m = 0;
    for (uint32_t g = 0; g < gang->subgroup_count; g++) {
        const struct mu_cluster_subgroup *from = &gang->subgroups[g];
        subgroups[g] = (struct mu_gang_subgroup){from->min, from->placed, m, from->member_count};
        for (uint32_t i = 0; i < from->member_count; i++) {
            uint32_t pod = cluster->pods++;
            uint32_t held = from->members[i].held;
            members[m++] = (struct mu_gang_member){
                .pod = {pod},
                .class_ix = from->members[i].class_ix,
                .uid = {1, pod},
                .version = 100 + pod,
                .held = {held},
                .held_generation = held == MU_NONE ? 0 : s->nodes[held].generation,
                .held_devices = from->members[i].devices,
            };
        }
    }
    *block = (struct mu_gang_block){gang->subgroup_count, member_count, subgroups, members};
    uint32_t row = s->gang_rows++;
    s->gangs[row] = (struct mu_gang_row){
        .flags = gang->flags | MU_GANG_PENDING,
        .generation = row + 1,
        .revision = 1,
        .priority = gang->priority,
        .created_s = gang->created_s,
        .sequence = cluster->sequence++,
        .settle_ns = gang->settle_ns,
        .size = gang->size,
        .member_count = member_count + placed + gang->blocked_count,
        .placed_count = placed,
        .bound_count = placed,
        .blocked_count = gang->blocked_count,
        .blocked_rules = gang->blocked_rules,
        .block = block,
        .pack_key = gang->pack_key,
        .home = {placed > 0 && gang->pack_key.v != 0 ? gang->home : MU_NONE},
    };
    s->pending_gangs++;
    s->generation++;
    return row;
}

uint32_t mu_cluster_plain_gang(struct mu_cluster *cluster, struct mu_class_ix class_ix,
                               uint32_t count)
{
    struct mu_cluster_member *members = mu_mem_calloc(count, sizeof *members);
    MU_ASSERT(members != NULL);
    for (uint32_t i = 0; i < count; i++)
        members[i] = (struct mu_cluster_member){.class_ix = class_ix, .held = MU_NONE};
    const struct mu_cluster_subgroup subgroup = {
        .min = count, .member_count = count, .members = members};
    const struct mu_cluster_gang gang = {
        .flags = MU_GANG_SETTLED, .size = count, .subgroup_count = 1, .subgroups = &subgroup};
    uint32_t row = mu_cluster_gang(cluster, &gang);
    mu_mem_free(members);
    return row;
}

void mu_cluster_gang_done(struct mu_cluster *cluster, uint32_t gang)
{
    struct mu_gang_row *row = &cluster->snapshot.gangs[gang];
    MU_ASSERT((row->flags & MU_GANG_PENDING) != 0);
    row->flags &= ~(uint32_t)MU_GANG_PENDING;
    row->revision++;
    cluster->snapshot.pending_gangs--;
    cluster->snapshot.generation++;
}
