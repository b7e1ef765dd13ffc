#ifndef MU_TOOLS_REPORT_REPORT_H
#define MU_TOOLS_REPORT_REPORT_H
/*
 * The verdict on a run, recomputed naively from the API server's own objects: none of the cluster
 * DB's sums, indexes or verdicts are used, so that a mistake there shows here.
 *
 * bound               pods with a node, finished ones included: a run in which pods end counts each
 *                     once it was placed, whatever became of it
 * finished            bound pods that have ended, of which `failed` did not end well; they hold no
 *                     room any more
 * pending             pods without a node that are not finished
 * gangs               groups of two or more, by their stated size or their members
 * partial gangs       some members bound, but fewer than the gang's size (a gang that states no
 *                     size is as large as its members are many)
 * over-committed      nodes on which bound, unfinished pods request more of anything than there is;
 *                     where devices are tracked one by one, also those on which one device gives
 *                     more than it has, or a pod does not name devices as it asks for them
 * pending that fit    pods of pending gangs that a plain greedy pass over what is left would still
 *                     place: gangs by priority, then creation; first fit; all or nothing
 */
#include <stdint.h>
#include "engine/base/buf.h"
#include "engine/base/error.h"
#include "engine/limits.h"

#define MU_REPORT_REASONS_MAX 48

struct mu_report_reason {
    char text[160];
    uint64_t pods;
};
struct mu_report_usage {
    /* Valid as long as the report. MU_GPU_SHARE_RESOURCE sums up all tracked devices, whole ones
     * that are asked for included. */
    struct mu_str resource;
    int64_t allocatable; /* all nodes, in the scheduler's unit */
    int64_t requested;   /* bound, unfinished pods */
    int64_t pending;     /* pending pods */
};
struct mu_report_result {
    uint64_t nodes, pods, gangs, bound, pending;
    uint64_t finished, failed; /* of the bound ones */
    uint64_t partial_gangs, overcommitted_nodes, pending_that_fit;
    uint64_t stray_pods;                                    /* bound to a node that is not there */
    uint64_t elapsed_ns;                                    /* first creation to last bind */
    uint64_t latency_count, latency_ns_p50, latency_ns_p99; /* creation to bound */
    uint32_t reason_count;                                  /* most frequent first */
    struct mu_report_reason reasons[MU_REPORT_REASONS_MAX]; /* the last takes the rest if full */
    uint32_t usage_count;
    struct mu_report_usage usage[MU_RESOURCES_MAX];
};

struct mu_report; /* opaque; one thread */

/* Owns: caller, until destroy. Errors: NULL. */
struct mu_report *mu_report_create(void);
void mu_report_destroy(struct mu_report *report);
/* Add an object, encoded as the API server has it (not enveloped). Copies what it needs.
 * Errors: MU_EPROTO (undecodable), MU_ELIMIT, MU_ENOMEM; nothing is added. */
int mu_report_add_namespace(struct mu_report *report, struct mu_str raw, struct mu_error *error);
int mu_report_add_node(struct mu_report *report, struct mu_str raw, struct mu_error *error);
int mu_report_add_pod(struct mu_report *report, struct mu_str raw, struct mu_error *error);
/* A pod that was seen to become bound: when it was created and when it was seen, on one clock. */
void mu_report_add_latency(struct mu_report *report, uint64_t created_ns, uint64_t bound_ns);

/* Fill *out from what was added so far. Errors: MU_ENOMEM, MU_ELIMIT (resource names).
 * Cost: O(pods log pods + pending pods * nodes). */
int mu_report_compute(struct mu_report *report, struct mu_report_result *out,
                      struct mu_error *error);

/* Append the result for people: several lines, aligned. Returns 0 or the buffer's error. */
int mu_report_write_text(const struct mu_report_result *result, struct mu_buf *out);
/* Append it as one JSON object on one line, with exactly the keys that README.md lists. */
int mu_report_write_json(const struct mu_report_result *result, struct mu_buf *out);

#endif
