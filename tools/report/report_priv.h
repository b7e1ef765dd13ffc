#ifndef MU_TOOLS_REPORT_REPORT_PRIV_H
#define MU_TOOLS_REPORT_REPORT_PRIV_H
/* What report.c (counting) and greedy.c (what would still fit, and why not) share. */
#include "engine/base/arena.h"
#include "engine/base/hist.h"
#include "engine/object.h"
#include "engine/resource.h"
#include "tools/report/devices.h"
#include "tools/report/report.h"
#include "tools/report/rules.h"

/* Members of one gang, or one single pod: a run of report->order. */
struct report_group {
    uint32_t first, count; /* in report->order */
    uint32_t size;         /* members that run together or not at all */
    uint32_t bound;        /* members with a node */
    uint32_t pending;      /* members that wait for one */
    int32_t priority;      /* lowest of the members */
    uint64_t created_s;    /* earliest of the members */
    bool single;           /* a pod that names no gang */
};

struct mu_report {
    struct mu_arena *arena;   /* copies of the objects */
    struct mu_arena *scratch; /* one object's decoding */
    struct mu_resources *resources;
    struct mu_node_object *nodes; /* by name, once computing */
    struct mu_pod_object *pods;
    struct mu_rules_namespace *namespaces;
    uint32_t node_count, node_cap, pod_count, pod_cap, namespace_count, namespace_cap;
    struct mu_hist latencies;
    uint64_t first_created_ns, last_bound_ns;
    /* While computing: a row per node of resource_count amounts, and one more that stands for all
     * resources that no node has. */
    uint32_t resource_count;
    int64_t *allocatable, *used;
    struct mu_devices_left *left; /* a row per node; NULL: no node's devices are tracked */
    bool concerned;               /* some pod uses a rule about other pods */
    uint32_t *order;              /* pods, gang by gang */
    struct report_group *groups;
    uint32_t group_count;
};

bool report_is_finished(const struct mu_pod_object *pod);
bool report_is_pending(const struct mu_pod_object *pod);
/* Number of a resource; resource_count when no node has it. */
uint32_t report_resource(const struct mu_report *report, struct mu_str name);
int64_t *report_row(const struct mu_report *report, int64_t *table, uint32_t node);
/* Charge a pod to a node's row of `used` and to the devices that it names, or take the charge back.
 * False where it may not be there for its devices: it names others than it asks for, or has whole
 * ones where none are given. */
bool report_charge(struct mu_report *report, uint32_t node, const struct mu_pod_object *pod,
                   bool add);
/* pods more wait for this reason. */
void report_reason(struct mu_report_result *result, const char *text, uint64_t pods);

/* The greedy pass: fills pending_that_fit and the reasons. Leaves `used` as it found it only
 * for gangs that do not fit: call it last. Errors: MU_ENOMEM. */
int report_greedy(struct mu_report *report, struct mu_report_result *result);

#endif
