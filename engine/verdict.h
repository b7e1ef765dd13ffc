#ifndef MU_ENGINE_VERDICT_H
#define MU_ENGINE_VERDICT_H
/*
 * Why a class does or does not fit a node, and why a gang waits. Values, never error codes.
 */
#include <stdbool.h>
#include <stdint.h>
#include "engine/resource.h"

/* First failing filter of a node, in the order of evaluation, which is kube-scheduler's.
 *
 * X(enum, filter, may preempt, sentence). The filter's name and the sentence are kube-scheduler's;
 * a sentence that ends open is completed by the one who tells it: "Insufficient " by the resource,
 * the taint by its key and value. A rule over a topology key that has no number (engine/census.h)
 * is refused by a sentence of our own, which names that cause. `may preempt` is the difference
 * between its Unschedulable and UnschedulableAndUnresolvable: whether the node could pass if pods
 * left it. It could not when the request is beyond all that the node has: a kind of its own. */
#define MU_VERDICT_LIST(X)                                                                         \
    X(MU_FITS, "", false, "fits")                                                                  \
    X(MU_NO_UNSCHEDULABLE, "NodeUnschedulable", false, "node(s) were unschedulable")               \
    X(MU_NO_TAINT, "TaintToleration", false, "node(s) had untolerated taint")                      \
    X(MU_NO_NODE_AFFINITY, "NodeAffinity", false,                                                  \
      "node(s) didn't match Pod's node affinity/selector")                                         \
    X(MU_NO_PORTS, "NodePorts", true,                                                              \
      "node(s) didn't have free ports for the requested pod ports")                                \
    X(MU_NO_PODS, "NodeResourcesFit", true, "Too many pods")                                       \
    X(MU_NO_RESOURCE, "NodeResourcesFit", true, "Insufficient ")                                   \
    X(MU_NO_RESOURCE_EVER, "NodeResourcesFit", false, "Insufficient ")                             \
    X(MU_NO_RESOURCE_NAMED, "NodeResourcesFit", false,                                             \
      "node(s) didn't offer a resource that the pod asks for")                                     \
    X(MU_NO_DEVICE_SHARED, "NodeResourcesFit", false,                                              \
      "node(s) weren't labelled for sharing their devices")                                        \
    X(MU_NO_DEVICE_WHOLE, "NodeResourcesFit", false, "node(s) gave parts of their devices only")   \
    X(MU_NO_DEVICE_FREE, "NodeResourcesFit", true,                                                 \
      "node(s) didn't have enough entirely free devices")                                          \
    X(MU_NO_DEVICE, "NodeResourcesFit", true, "node(s) didn't have a device with that much left")  \
    X(MU_NO_SPREAD_LABEL, "PodTopologySpread", false,                                              \
      "node(s) didn't match pod topology spread constraints (missing required label)")             \
    X(MU_NO_SPREAD, "PodTopologySpread", true,                                                     \
      "node(s) didn't match pod topology spread constraints")                                      \
    X(MU_NO_SPREAD_UNTRACKED, "PodTopologySpread", false,                                          \
      "node(s) weren't judged: more topology keys are in use than can be tracked")                 \
    X(MU_NO_POD_AFFINITY, "InterPodAffinity", false, "node(s) didn't match pod affinity rules")    \
    X(MU_NO_ANTI_AFFINITY, "InterPodAffinity", true,                                               \
      "node(s) didn't match pod anti-affinity rules")                                              \
    X(MU_NO_EXISTING_ANTI_AFFINITY, "InterPodAffinity", true,                                      \
      "node(s) didn't satisfy existing pods anti-affinity rules")                                  \
    X(MU_NO_POD_AFFINITY_UNTRACKED, "InterPodAffinity", false,                                     \
      "node(s) weren't judged: more topology keys are in use than can be tracked")                 \
    X(MU_NO_ANTI_AFFINITY_UNTRACKED, "InterPodAffinity", false,                                    \
      "node(s) weren't judged: more topology keys are in use than can be tracked")
enum mu_verdict_kind {
#define MU_VERDICT_ENUM(name, filter, may_preempt, text) name,
    MU_VERDICT_LIST(MU_VERDICT_ENUM)
#undef MU_VERDICT_ENUM
        MU_VERDICT_KINDS
};
/* The kind says what may help and is one a node. What is told is more where NodeResourcesFit
 * refuses, which names all that a node lacks: every resource, and every sentence of its own. */
struct mu_verdict {
    enum mu_verdict_kind kind;
    struct mu_resource_ix resource; /* MU_NO_RESOURCE, _EVER, MU_NO_DEVICE and its kinds: the first
                                     * one short, in number order */
    uint32_t reasons; /* a bit per kind whose sentence is told; MU_NO_RESOURCE and _EVER never */
    uint64_t lacking; /* a bit per resource of which "Insufficient " is told */
};
_Static_assert(MU_VERDICT_KINDS <= 32, "reasons are one word");
/* A verdict with one sentence, its kind's. */
static inline struct mu_verdict mu_verdict_of(enum mu_verdict_kind kind)
{
    return (struct mu_verdict){.kind = kind, .reasons = kind == MU_FITS ? 0 : UINT32_C(1) << kind};
}
/* A node lacks one more resource; the kind is the caller's. */
static inline void mu_verdict_lacks(struct mu_verdict *verdict, enum mu_verdict_kind why,
                                    struct mu_resource_ix resource)
{
    if (why == MU_NO_RESOURCE || why == MU_NO_RESOURCE_EVER)
        verdict->lacking |= UINT64_C(1) << resource.v;
    else
        verdict->reasons |= UINT32_C(1) << why;
}

/* Present nodes by verdict, each once; and by all that is told of them, each once for each. */
struct mu_refusals {
    uint32_t by_verdict[MU_VERDICT_KINDS];
    uint32_t by_reason[MU_VERDICT_KINDS];
    uint32_t by_resource[MU_RESOURCES_MAX];
};
/* Count (1) or uncount (-1) a node. Thread: the owner's. */
void mu_refusals_add(struct mu_refusals *refusals, struct mu_verdict verdict, int sign);
/* Sentence for a kind. Static storage. */
const char *mu_verdict_text(enum mu_verdict_kind kind);
/* The filter that says it; empty for MU_FITS. Static storage. */
const char *mu_verdict_filter(enum mu_verdict_kind kind);
/* Whether the node might pass once pods have left it. */
bool mu_verdict_may_preempt(enum mu_verdict_kind kind);

/* Why a gang is not placed. X(enum, sentence). */
#define MU_WAIT_LIST(X)                                                                            \
    X(MU_WAIT_NONE, "not waiting")                                                                 \
    X(MU_WAIT_MEMBERS, "gang is incomplete")                                                       \
    X(MU_WAIT_OBJECT, "the object that describes the gang is missing")                             \
    X(MU_WAIT_QUIET, "waiting for the gang's quiet time")                                          \
    X(MU_WAIT_GATED, "scheduling gates")                                                           \
    X(MU_WAIT_UNBUILT, "uses a rule that is not built yet")                                        \
    X(MU_WAIT_CLAIM, "the first bind of the gang is not answered yet")                             \
    X(MU_WAIT_ENDING, "members of the gang are being ended")                                       \
    X(MU_WAIT_NO_FIT, "no room")                                                                   \
    X(MU_WAIT_BEHIND, "a gang that comes first has no room")                                       \
    X(MU_WAIT_UNDECIDED, "step budget ran out")
enum mu_wait_kind {
#define MU_WAIT_ENUM(name, text) name,
    MU_WAIT_LIST(MU_WAIT_ENUM)
#undef MU_WAIT_ENUM
        MU_WAIT_KINDS
};
const char *mu_wait_text(enum mu_wait_kind kind);

#endif
