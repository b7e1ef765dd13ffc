#include "tools/report/report_priv.h"

#include <stdio.h>
#include <stdlib.h>
#include "engine/base/mem.h"
#include "informer/codec.h"
#include "tools/workload/copy.h"

/*
 * Collect, then count. Everything is sorted arrays and plain sums: the point is to be obviously
 * right, not fast. Charges saturate like the scheduler's, and taking one back is only ever done for
 * a charge that was checked to fit.
 */
#define REPORT_BYTES_MAX  (UINT64_C(16) << 30)
#define SCRATCH_BYTES_MAX (UINT64_C(256) << 20)

struct mu_report *mu_report_create(void)
{
    struct mu_report *report = mu_mem_zalloc(sizeof *report);
    if (report == NULL)
        return NULL;
    report->arena = mu_arena_create(REPORT_BYTES_MAX);
    report->scratch = mu_arena_create(SCRATCH_BYTES_MAX);
    report->resources = mu_resources_create();
    if (report->arena == NULL || report->scratch == NULL || report->resources == NULL) {
        mu_report_destroy(report);
        return NULL;
    }
    mu_hist_init(&report->latencies);
    report->first_created_ns = UINT64_MAX;
    return report;
}

static void free_tables(struct mu_report *report)
{
    mu_mem_free(report->allocatable);
    mu_mem_free(report->used);
    mu_mem_free(report->left);
    mu_mem_free(report->order);
    mu_mem_free(report->groups);
    report->allocatable = report->used = NULL;
    report->left = NULL;
    report->order = NULL;
    report->groups = NULL;
}

void mu_report_destroy(struct mu_report *report)
{
    if (report == NULL)
        return;
    free_tables(report);
    mu_mem_free(report->nodes);
    mu_mem_free(report->pods);
    mu_mem_free(report->namespaces);
    mu_resources_destroy(report->resources);
    mu_arena_destroy(report->scratch);
    mu_arena_destroy(report->arena);
    mu_mem_free(report);
}

/* --- collecting ---------------------------------------------------------------------------- */

/* Resources are those that some node has: what pods make up needs no number of its own. */
static int intern_all(struct mu_report *report, const struct mu_amount *amounts, uint32_t count,
                      struct mu_error *error)
{
    struct mu_resource_ix ix;
    for (uint32_t i = 0; i < count; i++) {
        int status = mu_resource_intern(report->resources, amounts[i].resource, &ix);
        if (status != 0)
            return mu_error_set(error, status, "resource '%.*s': %s",
                                MU_STR_ARGS(amounts[i].resource), mu_error_text(status));
    }
    return 0;
}

static int no_memory(struct mu_error *error)
{
    return mu_error_set(error, MU_ENOMEM, "no memory for the report");
}

int mu_report_add_namespace(struct mu_report *report, struct mu_str raw, struct mu_error *error)
{
    struct mu_namespace_object decoded, copy;
    mu_arena_reset(report->scratch);
    int status = mu_namespace_decode(raw, report->scratch, &decoded, NULL, error);
    if (status != 0)
        return status;
    status =
        mu_mem_grow((void **)&report->namespaces, &report->namespace_cap,
                    report->namespace_count + 1, MU_NAMESPACES_MAX, sizeof *report->namespaces);
    if (status != 0)
        return mu_error_set(error, status, "report: %s", mu_error_text(status));
    if (!mu_copy_namespace(report->arena, &decoded, &copy))
        return no_memory(error);
    report->namespaces[report->namespace_count++] =
        (struct mu_rules_namespace){copy.name, copy.labels, copy.label_count};
    return 0;
}

int mu_report_add_node(struct mu_report *report, struct mu_str raw, struct mu_error *error)
{
    const struct mu_amount parts = {MU_STR(MU_GPU_SHARE_RESOURCE), 0};
    struct mu_node_object decoded, copy;
    mu_arena_reset(report->scratch);
    int status = mu_node_decode(raw, report->scratch, &decoded, NULL, error);
    if (status == 0)
        status = intern_all(report, decoded.allocatable, decoded.allocatable_count, error);
    if (status == 0 && decoded.device_count > 0)
        status = intern_all(report, &parts, 1, error);
    if (status != 0)
        return status;
    status = mu_mem_grow((void **)&report->nodes, &report->node_cap, report->node_count + 1,
                         MU_NODES_MAX, sizeof *report->nodes);
    if (status != 0)
        return mu_error_set(error, status, "report: %s", mu_error_text(status));
    if (!mu_copy_node(report->arena, &decoded, &copy))
        return no_memory(error);
    report->nodes[report->node_count++] = copy;
    return 0;
}

int mu_report_add_pod(struct mu_report *report, struct mu_str raw, struct mu_error *error)
{
    struct mu_pod_object decoded, copy;
    mu_arena_reset(report->scratch);
    int status = mu_pod_decode(raw, report->scratch, &decoded, NULL, error);
    if (status != 0)
        return status;
    status = mu_mem_grow((void **)&report->pods, &report->pod_cap, report->pod_count + 1,
                         MU_PODS_MAX, sizeof *report->pods);
    if (status != 0)
        return mu_error_set(error, status, "report: %s", mu_error_text(status));
    if (!mu_copy_pod(report->arena, &decoded, &copy))
        return no_memory(error);
    report->pods[report->pod_count++] = copy;
    return 0;
}

void mu_report_add_latency(struct mu_report *report, uint64_t created_ns, uint64_t bound_ns)
{
    mu_hist_add(&report->latencies, bound_ns > created_ns ? bound_ns - created_ns : 0);
    if (created_ns < report->first_created_ns)
        report->first_created_ns = created_ns;
    if (bound_ns > report->last_bound_ns)
        report->last_bound_ns = bound_ns;
}

/* --- shared with greedy.c ------------------------------------------------------------------ */

bool report_is_finished(const struct mu_pod_object *pod)
{
    return pod->phase == MU_POD_SUCCEEDED || pod->phase == MU_POD_FAILED;
}

bool report_is_pending(const struct mu_pod_object *pod)
{
    return pod->node_name.len == 0 && !report_is_finished(pod);
}

uint32_t report_resource(const struct mu_report *report, struct mu_str name)
{
    struct mu_resource_ix ix;
    return mu_resource_find(report->resources, name, &ix) ? ix.v : report->resource_count;
}

int64_t *report_row(const struct mu_report *report, int64_t *table, uint32_t node)
{
    return table + (size_t)node * (report->resource_count + 1);
}

static void charge_amount(int64_t *used, int64_t amount, bool add)
{
    *used = add ? mu_amount_add(*used, amount) : *used - amount;
}

bool report_charge(struct mu_report *report, uint32_t node, const struct mu_pod_object *pod,
                   bool add)
{
    const struct mu_node_object *at = &report->nodes[node];
    const struct mu_str part = MU_STR(MU_GPU_SHARE_RESOURCE);
    int64_t *row = report_row(report, report->used, node);
    bool tracked = at->device_count > 0, whole = false;
    row[MU_RES_PODS] += add ? 1 : -1;
    for (uint32_t i = 0; i < pod->request_count; i++) {
        struct mu_str name = pod->requests[i].resource;
        if (tracked && mu_str_equal(name, part))
            continue;
        charge_amount(&row[report_resource(report, name)], pod->requests[i].value, add);
        whole = whole || (pod->requests[i].value > 0 && mu_devices_tell(at, name));
    }
    if (!tracked)
        return true;
    charge_amount(&row[report_resource(report, part)], mu_devices_asked(pod), add);
    bool named = mu_devices_charge(&report->left[node], at, pod, add);
    return named && (!whole || at->devices_whole);
}

void report_reason(struct mu_report_result *result, const char *text, uint64_t pods)
{
    uint32_t i = 0;
    while (i < result->reason_count && strcmp(result->reasons[i].text, text) != 0)
        i++;
    if (i == MU_REPORT_REASONS_MAX)
        i = MU_REPORT_REASONS_MAX - 1;
    struct mu_report_reason *reason = &result->reasons[i];
    if (i == result->reason_count) {
        bool last = i == MU_REPORT_REASONS_MAX - 1;
        (void)snprintf(reason->text, sizeof reason->text, "%s", last ? "other reasons" : text);
        result->reason_count++;
    }
    reason->pods += pods;
}

/* --- nodes and their charges --------------------------------------------------------------- */

static int compare_nodes(const void *left, const void *right)
{
    const struct mu_node_object *a = left, *b = right;
    return mu_str_compare(a->name, b->name);
}

/* Index of the node of that name, or node_count. */
static uint32_t find_node(const struct mu_report *report, struct mu_str name)
{
    struct mu_node_object key = {.name = name};
    const struct mu_node_object *found =
        report->node_count == 0
            ? NULL
            : bsearch(&key, report->nodes, report->node_count, sizeof key, compare_nodes);
    return found == NULL ? report->node_count : (uint32_t)(found - report->nodes);
}

/* `wrong`: a flag per node, set where some pod may not be there for its devices. */
static void charge_bound(struct mu_report *report, bool *wrong, struct mu_report_result *out)
{
    for (uint32_t i = 0; i < report->pod_count; i++) {
        const struct mu_pod_object *pod = &report->pods[i];
        if (pod->node_name.len == 0 || report_is_finished(pod))
            continue;
        uint32_t node = find_node(report, pod->node_name);
        if (node == report->node_count)
            out->stray_pods++;
        else if (!report_charge(report, node, pod, true))
            wrong[node] = true;
    }
}

static bool is_overcommitted(struct mu_report *report, uint32_t node)
{
    const int64_t *allocatable = report_row(report, report->allocatable, node);
    const int64_t *used = report_row(report, report->used, node);
    bool over = false;
    for (uint32_t r = 0; r <= report->resource_count; r++)
        over = over || used[r] > allocatable[r];
    for (uint32_t d = 0; report->left != NULL && d < MU_DEVICES_PER_NODE; d++)
        over = over || report->left[node].millis[d] < 0;
    return over;
}

static void offer(struct mu_report *report, uint32_t n)
{
    const struct mu_node_object *node = &report->nodes[n];
    int64_t *allocatable = report_row(report, report->allocatable, n);
    uint32_t part = report_resource(report, MU_STR(MU_GPU_SHARE_RESOURCE));
    for (uint32_t i = 0; i < node->allocatable_count; i++)
        allocatable[report_resource(report, node->allocatable[i].resource)] =
            node->allocatable[i].value;
    if (part < report->resource_count) /* whatever it states */
        allocatable[part] = node->device_count * INT64_C(1000);
    if (report->left != NULL)
        mu_devices_init(&report->left[n], node);
}

static int count_nodes(struct mu_report *report, struct mu_report_result *out)
{
    bool *wrong = mu_mem_calloc(report->node_count + 1, sizeof *wrong);
    if (wrong == NULL)
        return MU_ENOMEM;
    out->nodes = report->node_count;
    for (uint32_t n = 0; n < report->node_count; n++)
        offer(report, n);
    charge_bound(report, wrong, out);
    for (uint32_t n = 0; n < report->node_count; n++) {
        const int64_t *allocatable = report_row(report, report->allocatable, n);
        const int64_t *used = report_row(report, report->used, n);
        for (uint32_t r = 0; r < report->resource_count; r++) {
            out->usage[r].allocatable = mu_amount_add(out->usage[r].allocatable, allocatable[r]);
            out->usage[r].requested = mu_amount_add(out->usage[r].requested, used[r]);
        }
        out->overcommitted_nodes += wrong[n] || is_overcommitted(report, n);
    }
    mu_mem_free(wrong);
    return 0;
}

static void count_pods(struct mu_report *report, struct mu_report_result *out)
{
    uint32_t part = report_resource(report, MU_STR(MU_GPU_SHARE_RESOURCE));
    out->pods = report->pod_count;
    for (uint32_t p = 0; p < report->pod_count; p++) {
        const struct mu_pod_object *pod = &report->pods[p];
        if (pod->node_name.len > 0) {
            out->bound++;
            out->finished += report_is_finished(pod);
            out->failed += pod->phase == MU_POD_FAILED;
        }
        if (!report_is_pending(pod))
            continue;
        out->pending++;
        out->usage[MU_RES_PODS].pending++;
        for (uint32_t i = 0; i < pod->request_count; i++) {
            uint32_t r = report_resource(report, pod->requests[i].resource);
            if (r < report->resource_count && (r != part || report->left == NULL))
                charge_amount(&out->usage[r].pending, pod->requests[i].value, true);
        }
        if (report->left != NULL)
            charge_amount(&out->usage[part].pending, mu_devices_asked(pod), true);
    }
}

/* --- gangs --------------------------------------------------------------------------------- */

/* By gang, members in canonical order: creation, then UID; single pods each for themselves. */
static int compare_members(const void *left, const void *right, void *context)
{
    const struct mu_report *report = context;
    const struct mu_pod_object *a = &report->pods[*(const uint32_t *)left];
    const struct mu_pod_object *b = &report->pods[*(const uint32_t *)right];
    int order = (int)a->gang.source - (int)b->gang.source;
    if (order == 0)
        order = mu_str_compare(a->ns, b->ns);
    if (order == 0)
        order = mu_str_compare(a->gang.name, b->gang.name);
    if (order == 0) /* canonical order of members, as the scheduler has it */
        order = (a->created_s > b->created_s) - (a->created_s < b->created_s);
    return order != 0 ? order : mu_str_compare(a->uid, b->uid);
}

static bool same_gang(const struct mu_pod_object *a, const struct mu_pod_object *b)
{
    return a->gang.source != MU_GANG_SOLO && a->gang.source == b->gang.source &&
           mu_str_equal(a->ns, b->ns) && mu_str_equal(a->gang.name, b->gang.name);
}

static void add_member(struct report_group *group, const struct mu_pod_object *pod)
{
    if (group->count == 0 || pod->priority < group->priority)
        group->priority = pod->priority;
    if (group->count == 0 || pod->created_s < group->created_s)
        group->created_s = pod->created_s;
    group->single = pod->gang.source == MU_GANG_SOLO;
    group->count++;
    group->bound += pod->node_name.len > 0;
    group->pending += report_is_pending(pod);
    if (pod->gang.size > group->size)
        group->size = pod->gang.size;
}

static int group_pods(struct mu_report *report)
{
    uint32_t count = report->pod_count;
    report->group_count = 0;
    if (count == 0)
        return 0;
    report->order = mu_mem_calloc(count, sizeof *report->order);
    report->groups = mu_mem_calloc(count, sizeof *report->groups);
    if (report->order == NULL || report->groups == NULL)
        return MU_ENOMEM;
    for (uint32_t i = 0; i < count; i++)
        report->order[i] = i;
    qsort_r(report->order, count, sizeof *report->order, compare_members, report);
    struct report_group *group = NULL;
    for (uint32_t i = 0; i < count; i++) {
        const struct mu_pod_object *pod = &report->pods[report->order[i]];
        if (group == NULL || !same_gang(&report->pods[report->order[i - 1]], pod)) {
            group = &report->groups[report->group_count++];
            group->first = i;
        }
        add_member(group, pod);
    }
    return 0;
}

static void count_gangs(struct mu_report *report, struct mu_report_result *out)
{
    for (uint32_t g = 0; g < report->group_count; g++) {
        struct report_group *group = &report->groups[g];
        if (group->size == 0)
            group->size = group->count; /* none stated */
        if (!group->single && (group->size >= 2 || group->count >= 2))
            out->gangs++;
        out->partial_gangs += group->bound > 0 && group->bound < group->size;
    }
}

/* --- the whole ----------------------------------------------------------------------------- */

static int compare_reasons(const void *left, const void *right)
{
    const struct mu_report_reason *a = left, *b = right;
    if (a->pods != b->pods)
        return a->pods > b->pods ? -1 : 1;
    return strcmp(a->text, b->text);
}

static int make_tables(struct mu_report *report)
{
    bool tracked = false;
    free_tables(report);
    report->resource_count = mu_resource_count(report->resources);
    for (uint32_t n = 0; n < report->node_count; n++)
        tracked = tracked || report->nodes[n].device_count > 0;
    /* One row more than there are nodes: never of size 0. */
    size_t cells = ((size_t)report->node_count + 1) * (report->resource_count + 1);
    report->allocatable = mu_mem_calloc(cells, sizeof *report->allocatable);
    report->used = mu_mem_calloc(cells, sizeof *report->used);
    if (tracked)
        report->left = mu_mem_calloc(report->node_count, sizeof *report->left);
    if (report->allocatable == NULL || report->used == NULL || (tracked && report->left == NULL))
        return MU_ENOMEM;
    return group_pods(report);
}

int mu_report_compute(struct mu_report *report, struct mu_report_result *out,
                      struct mu_error *error)
{
    memset(out, 0, sizeof *out);
    if (make_tables(report) != 0)
        return no_memory(error);
    out->usage_count = report->resource_count;
    for (uint32_t r = 0; r < report->resource_count; r++)
        out->usage[r].resource = mu_resource_name(report->resources, (struct mu_resource_ix){r});
    if (report->node_count > 0)
        qsort(report->nodes, report->node_count, sizeof *report->nodes, compare_nodes);
    if (count_nodes(report, out) != 0)
        return no_memory(error);
    count_pods(report, out);
    count_gangs(report, out);
    if (report_greedy(report, out) != 0)
        return no_memory(error);
    qsort(out->reasons, out->reason_count, sizeof out->reasons[0], compare_reasons);
    out->latency_count = report->latencies.count;
    out->latency_ns_p50 = mu_hist_quantile(&report->latencies, 500);
    out->latency_ns_p99 = mu_hist_quantile(&report->latencies, 990);
    if (report->last_bound_ns > report->first_created_ns)
        out->elapsed_ns = report->last_bound_ns - report->first_created_ns;
    return 0;
}
