#include "tools/workload/workload.h"

#include <stdlib.h>
#include "engine/base/arena.h"
#include "engine/base/assert.h"
#include "engine/base/mem.h"
#include "engine/limits.h"
#include "tools/workload/copy.h"

/*
 * Arrays of objects that grow, and an arena for what the objects point to. An append copies its
 * object into the arena first and counts it last, so that one that fails adds nothing (the arena
 * keeps the bytes of the attempt until destroy; they are never reached).
 */
#define WORKLOAD_BYTES_MAX (UINT64_C(8) << 30)

struct mu_workload_store {
    struct mu_arena *arena;
    uint32_t node_cap;
    uint32_t pod_cap;
};

struct mu_workload *mu_workload_create(void)
{
    struct mu_workload *w = mu_mem_zalloc(sizeof *w);
    struct mu_workload_store *store = mu_mem_zalloc(sizeof *store);
    struct mu_arena *arena = mu_arena_create(WORKLOAD_BYTES_MAX);
    if (w == NULL || store == NULL || arena == NULL) {
        mu_arena_destroy(arena);
        mu_mem_free(store);
        mu_mem_free(w);
        return NULL;
    }
    store->arena = arena;
    w->store = store;
    return w;
}

void mu_workload_destroy(struct mu_workload *workload)
{
    if (workload == NULL)
        return;
    mu_arena_destroy(workload->store->arena);
    mu_mem_free(workload->store);
    mu_mem_free(workload->nodes);
    mu_mem_free(workload->pods);
    mu_mem_free(workload->priorities);
    mu_mem_free(workload);
}

/* An object name as Kubernetes takes it: a DNS subdomain (RFC 1123), of parts joined by '.', each
 * with letters or digits at its ends. */
static bool is_object_name(struct mu_str name)
{
    if (name.len == 0 || name.len > MU_NAME_BYTES_MAX)
        return false;
    for (uint32_t i = 0; i < name.len; i++) {
        char c = name.data[i];
        bool alnum = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
        bool inside =
            i > 0 && i + 1 < name.len && name.data[i - 1] != '.' && name.data[i + 1] != '.';
        if (!alnum && !(inside && (c == '-' || c == '.')))
            return false;
    }
    return true;
}

static int check_name(struct mu_str name, const char *what, const char *where,
                      struct mu_error *error)
{
    if (is_object_name(name))
        return 0;
    return mu_error_set(error, MU_EINVAL,
                        "%s: %s '%.*s', expected a Kubernetes name (a-z, 0-9, '-', '.')", where,
                        what, name.len < 80 ? (int)name.len : 80, name.data ? name.data : "");
}

static int check_amounts(const struct mu_amount *amounts, uint32_t count, const char *where,
                         struct mu_error *error)
{
    for (uint32_t i = 0; i < count; i++)
        if (amounts[i].value < 0 || amounts[i].resource.len == 0)
            return mu_error_set(error, MU_EINVAL,
                                "%s: amount of '%.*s', expected a resource name and 0 or more",
                                where, MU_STR_ARGS(amounts[i].resource));
    return 0;
}

static int no_memory(const char *where, struct mu_error *error)
{
    return mu_error_set(error, MU_ENOMEM, "%s: no memory for the workload", where);
}

int mu_workload_add_node(struct mu_workload *workload, const struct mu_node_object *node,
                         const char *where, struct mu_error *error)
{
    int status = check_name(node->name, "node name", where, error);
    if (status == 0)
        status = check_amounts(node->allocatable, node->allocatable_count, where, error);
    if (status != 0)
        return status;
    struct mu_workload_store *store = workload->store;
    status = mu_mem_grow((void **)&workload->nodes, &store->node_cap, workload->node_count + 1,
                         MU_NODES_MAX, sizeof *workload->nodes);
    if (status != 0)
        return mu_error_set(error, status, "%s: more than %u nodes, or no memory", where,
                            MU_NODES_MAX);
    struct mu_node_object copy;
    if (!mu_copy_node(store->arena, node, &copy))
        return no_memory(where, error);
    workload->nodes[workload->node_count++] = copy;
    return 0;
}

int mu_workload_add_pod(struct mu_workload *workload, const struct mu_workload_pod *pod,
                        const char *where, struct mu_error *error)
{
    const struct mu_pod_object *object = &pod->object;
    MU_ASSERT(pod->annotation_count <= MU_WORKLOAD_ANNOTATIONS_MAX);
    int status = check_name(object->name, "pod name", where, error);
    if (status == 0)
        status = check_name(object->ns, "namespace", where, error);
    if (status == 0)
        status = check_amounts(object->requests, object->request_count, where, error);
    if (status != 0)
        return status;
    struct mu_workload_store *store = workload->store;
    status = mu_mem_grow((void **)&workload->pods, &store->pod_cap, workload->pod_count + 1,
                         MU_PODS_MAX, sizeof *workload->pods);
    if (status != 0)
        return mu_error_set(error, status, "%s: more than %u pods, or no memory", where,
                            MU_PODS_MAX);
    struct mu_workload_pod copy = *pod;
    if (!mu_copy_pod(store->arena, object, &copy.object) ||
        !mu_copy_strings(store->arena, pod->models, pod->model_count, &copy.models) ||
        !mu_copy_labels(store->arena, pod->annotations, pod->annotation_count, &copy.annotations))
        return no_memory(where, error);
    workload->pods[workload->pod_count++] = copy;
    return 0;
}

/* What finish sorts: an index with the sort key beside it. */
struct arrival {
    uint64_t arrival_ns;
    uint32_t pod;
};
static int compare_arrivals(const void *left, const void *right)
{
    const struct arrival *a = left, *b = right;
    if (a->arrival_ns != b->arrival_ns)
        return a->arrival_ns < b->arrival_ns ? -1 : 1;
    return (a->pod > b->pod) - (a->pod < b->pod);
}

static int order_pods(struct mu_workload *w)
{
    if (w->pod_count == 0)
        return 0;
    struct arrival *order = mu_mem_calloc(w->pod_count, sizeof *order);
    struct mu_workload_pod *sorted = mu_mem_calloc(w->pod_count, sizeof *sorted);
    if (order == NULL || sorted == NULL) {
        mu_mem_free(order);
        mu_mem_free(sorted);
        return MU_ENOMEM;
    }
    for (uint32_t i = 0; i < w->pod_count; i++)
        order[i] = (struct arrival){w->pods[i].arrival_ns, i};
    qsort(order, w->pod_count, sizeof *order, compare_arrivals);
    for (uint32_t i = 0; i < w->pod_count; i++)
        sorted[i] = w->pods[order[i].pod];
    mu_mem_free(order);
    mu_mem_free(w->pods);
    w->pods = sorted;
    w->store->pod_cap = w->pod_count;
    return 0;
}

static int compare_priorities(const void *left, const void *right)
{
    int32_t a = *(const int32_t *)left, b = *(const int32_t *)right;
    return (a > b) - (a < b);
}

static int collect_priorities(struct mu_workload *w)
{
    if (w->pod_count == 0)
        return 0;
    int32_t *all = mu_mem_calloc(w->pod_count, sizeof *all);
    if (all == NULL)
        return MU_ENOMEM;
    for (uint32_t i = 0; i < w->pod_count; i++)
        all[i] = w->pods[i].object.priority;
    qsort(all, w->pod_count, sizeof *all, compare_priorities);
    uint32_t count = 0;
    for (uint32_t i = 0; i < w->pod_count; i++)
        if (all[i] != 0 && (count == 0 || all[count - 1] != all[i]))
            all[count++] = all[i];
    mu_mem_free(w->priorities);
    w->priorities = all;
    w->priority_count = count;
    return 0;
}

struct full_name {
    struct mu_str ns, name;
};
static int compare_full_names(const void *left, const void *right)
{
    const struct full_name *a = left, *b = right;
    int order = mu_str_compare(a->ns, b->ns);
    return order != 0 ? order : mu_str_compare(a->name, b->name);
}

static int refuse_duplicates(struct full_name *names, uint32_t count, const char *what,
                             struct mu_error *error)
{
    qsort(names, count, sizeof *names, compare_full_names);
    for (uint32_t i = 1; i < count; i++)
        if (compare_full_names(&names[i - 1], &names[i]) == 0)
            return mu_error_set(error, MU_EEXIST, "%s '%.*s' is there twice", what,
                                MU_STR_ARGS(names[i].name));
    return 0;
}

int mu_workload_finish(struct mu_workload *workload, struct mu_error *error)
{
    uint32_t most =
        workload->node_count > workload->pod_count ? workload->node_count : workload->pod_count;
    if (most == 0)
        return 0;
    struct full_name *names = mu_mem_calloc(most, sizeof *names);
    if (names == NULL)
        return no_memory("workload", error);
    for (uint32_t i = 0; i < workload->node_count; i++)
        names[i] = (struct full_name){{NULL, 0}, workload->nodes[i].name};
    int status = refuse_duplicates(names, workload->node_count, "node", error);
    if (status == 0) {
        for (uint32_t i = 0; i < workload->pod_count; i++)
            names[i] =
                (struct full_name){workload->pods[i].object.ns, workload->pods[i].object.name};
        status = refuse_duplicates(names, workload->pod_count, "pod", error);
    }
    mu_mem_free(names);
    if (status == 0 && (collect_priorities(workload) != 0 || order_pods(workload) != 0))
        status = no_memory("workload", error);
    return status;
}
