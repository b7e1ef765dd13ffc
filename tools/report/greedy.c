#include "tools/report/report_priv.h"

#include <stdio.h>
#include <stdlib.h>
#include "engine/base/assert.h"
#include "engine/base/mem.h"

/*
 * What a plain greedy pass would still place, and why the rest waits.
 *
 * Gangs by priority, then creation (single pods before gangs, then by name); a gang's missing
 * members one by one on the first node that fits, all or nothing; what is beyond its size, pod by
 * pod. A gang that fits keeps its room while the next one is tried, so that the pods counted fit
 * together.
 *
 * A node fits when it breaks no rule (rules.h) and has a pod slot, enough of every requested
 * resource, and such devices left where these are tracked (devices.h).
 */
#define NOT_SHORT UINT32_MAX

/* The first resource that is short, or NOT_SHORT when the pod has room, with these devices. */
static uint32_t short_resource(struct mu_report *report, uint32_t node,
                               const struct mu_pod_object *pod, uint64_t *devices)
{
    const struct mu_node_object *at = &report->nodes[node];
    const int64_t *allocatable = report_row(report, report->allocatable, node);
    const int64_t *used = report_row(report, report->used, node);
    uint32_t of_devices = NOT_SHORT;
    *devices = 0;
    if (used[MU_RES_PODS] >= allocatable[MU_RES_PODS])
        return MU_RES_PODS;
    for (uint32_t i = 0; i < pod->request_count; i++) {
        uint32_t r = report_resource(report, pod->requests[i].resource);
        int64_t request = pod->requests[i].value;
        if (mu_devices_tell(at, pod->requests[i].resource))
            of_devices = r;
        else if (request > 0 && request > allocatable[r] - used[r])
            return r;
    }
    bool enough =
        of_devices == NOT_SHORT || mu_devices_choose(&report->left[node], at, pod, devices);
    return enough ? NOT_SHORT : of_devices;
}

/* The first rule that a node breaks, room left out. */
static enum mu_verdict_kind rule_of(const struct mu_report *report, uint32_t node,
                                    const struct mu_pod_object *pod)
{
    const struct mu_rules_world world = {.nodes = report->nodes,
                                         .node_count = report->node_count,
                                         .pods = report->pods,
                                         .pod_count = report->pod_count,
                                         .namespaces = report->namespaces,
                                         .namespace_count = report->namespace_count};
    enum mu_verdict_kind kind = mu_rules_static(&report->nodes[node], pod);
    return kind != MU_FITS || !report->concerned
               ? kind
               : mu_rules_others(&world, &report->nodes[node], pod);
}

/* First fit, and the devices there; node_count when there is none. */
static uint32_t first_fit(struct mu_report *report, const struct mu_pod_object *pod,
                          uint64_t *devices)
{
    for (uint32_t n = 0; n < report->node_count; n++)
        if (short_resource(report, n, pod, devices) == NOT_SHORT &&
            rule_of(report, n, pod) == MU_FITS)
            return n;
    return report->node_count;
}

/* Why no node takes the pod: the resource that most nodes lack among those that pass the static
 * rules; if none passes, the static rule that most of them break. */
static void explain_no_fit(struct mu_report *report, const struct mu_pod_object *pod, char *text,
                           size_t bytes)
{
    uint32_t by_rule[MU_VERDICT_KINDS] = {0}, by_resource[MU_RESOURCES_MAX + 1] = {0};
    uint32_t rule = MU_FITS, resource = 0;
    uint64_t devices;
    for (uint32_t n = 0; n < report->node_count; n++) {
        enum mu_verdict_kind kind = rule_of(report, n, pod);
        by_rule[kind]++;
        uint32_t r = kind == MU_FITS ? short_resource(report, n, pod, &devices) : NOT_SHORT;
        if (r != NOT_SHORT)
            by_resource[r]++;
    }
    for (uint32_t k = MU_FITS + 1; k < MU_VERDICT_KINDS; k++)
        if (rule == MU_FITS || by_rule[k] > by_rule[rule])
            rule = k;
    for (uint32_t r = 1; r <= report->resource_count; r++)
        if (by_resource[r] > by_resource[resource])
            resource = r;
    if (by_rule[MU_FITS] > 0) {
        struct mu_str name = MU_STR("resource that no node has");
        if (resource < report->resource_count)
            name = mu_resource_name(report->resources, (struct mu_resource_ix){resource});
        (void)snprintf(text, bytes, "no room: insufficient %.*s", MU_STR_ARGS(name));
    } else {
        (void)snprintf(text, bytes, "no node suits: %s",
                       report->node_count > 0 ? mu_verdict_text(rule) : "there is none");
    }
}

static void explain_unbuilt(uint32_t rules, char *text, size_t bytes)
{
    static const struct {
        uint32_t rule;
        const char *sentence;
    } list[] = {
#define RULE_ROW(name, bit, sentence) {name, sentence},
        MU_RULE_LIST(RULE_ROW)
#undef RULE_ROW
    };
    int at = snprintf(text, bytes, "not built yet");
    for (size_t i = 0; i < sizeof list / sizeof list[0]; i++)
        if ((rules & list[i].rule) != 0 && at > 0 && (size_t)at < bytes)
            at += snprintf(text + at, bytes - (size_t)at, ": %s", list[i].sentence);
}

/* Whether a gang's pending members may be tried at all; if not, `text` says why. A single one that
 * may not holds up its whole gang. */
static bool may_place(const struct mu_report *report, const struct report_group *group, char *text,
                      size_t bytes)
{
    for (uint32_t i = 0; i < group->count; i++) {
        const struct mu_pod_object *pod = &report->pods[report->order[group->first + i]];
        if (!report_is_pending(pod))
            continue;
        if (pod->terminating)
            (void)snprintf(text, bytes, "being deleted");
        else if (pod->gated)
            (void)snprintf(text, bytes, "%s", mu_wait_text(MU_WAIT_GATED));
        else if (pod->unbuilt != 0)
            explain_unbuilt(pod->unbuilt, text, bytes);
        else if (mu_devices_mixed(pod))
            (void)snprintf(text, bytes, "asks for a part of a GPU and for whole ones");
        else
            continue;
        return false;
    }
    if (group->bound + group->pending < group->size) {
        (void)snprintf(text, bytes, "%s", mu_wait_text(MU_WAIT_MEMBERS));
        return false;
    }
    return true;
}

struct placement {
    uint32_t pod;
    uint32_t node;
};

/* Place one gang; returns how many of its pods would be placed. `placed` has room for them all. */
static uint32_t place_group(struct mu_report *report, const struct report_group *group,
                            struct placement *placed, char *text, size_t bytes)
{
    uint32_t count = 0;
    uint32_t need = group->bound < group->size ? group->size - group->bound : 0;
    for (uint32_t i = 0; i < group->count; i++) {
        uint32_t pod = report->order[group->first + i];
        if (!report_is_pending(&report->pods[pod]))
            continue;
        uint64_t devices;
        uint32_t node = first_fit(report, &report->pods[pod], &devices);
        if (node == report->node_count) {
            explain_no_fit(report, &report->pods[pod], text, bytes);
            continue; /* a smaller member may fit */
        }
        report->pods[pod].devices = devices;
        report->pods[pod].node_name = report->nodes[node].name;
        bool right = report_charge(report, node, &report->pods[pod], true);
        MU_ASSERT(right);
        placed[count++] = (struct placement){pod, node};
    }
    if (count >= need)
        return count;
    while (count > 0) {
        struct mu_pod_object *pod = &report->pods[placed[--count].pod];
        (void)report_charge(report, placed[count].node, pod, false);
        pod->node_name = MU_STR("");
        pod->devices = 0;
    }
    return 0;
}

static int compare_groups(const void *left, const void *right)
{
    const struct report_group *a = left, *b = right;
    if (a->priority != b->priority)
        return a->priority > b->priority ? -1 : 1;
    if (a->created_s != b->created_s)
        return a->created_s < b->created_s ? -1 : 1;
    return (a->first > b->first) - (a->first < b->first); /* single pods first, then by name */
}

int report_greedy(struct mu_report *report, struct mu_report_result *result)
{
    uint32_t most = 1;
    for (uint32_t g = 0; g < report->group_count; g++)
        if (report->groups[g].pending > most)
            most = report->groups[g].pending;
    struct placement *placed = mu_mem_calloc(most, sizeof *placed);
    if (placed == NULL)
        return MU_ENOMEM;
    report->concerned = mu_rules_any(report->pods, report->pod_count);
    if (report->group_count > 0)
        qsort(report->groups, report->group_count, sizeof *report->groups, compare_groups);
    for (uint32_t g = 0; g < report->group_count; g++) {
        const struct report_group *group = &report->groups[g];
        char text[sizeof result->reasons[0].text] = "";
        if (group->pending == 0)
            continue;
        uint32_t fit = 0;
        if (may_place(report, group, text, sizeof text))
            fit = place_group(report, group, placed, text, sizeof text);
        MU_ASSERT(fit <= group->pending);
        result->pending_that_fit += fit;
        if (fit > 0)
            report_reason(result, "would fit", fit);
        if (fit < group->pending)
            report_reason(result, text, group->pending - fit);
    }
    mu_mem_free(placed);
    return 0;
}
