#ifndef MU_ENGINE_VERDICT_H
#define MU_ENGINE_VERDICT_H
/*
 * Why a class does or does not fit a node, and why a gang waits. Values, never error codes.
 */
#include <stdint.h>
#include "engine/resource.h"

/* First failing filter of a node, in the order of evaluation. X(enum, sentence). Resources name
 * which one in struct mu_verdict. */
#define MU_VERDICT_LIST(X)                                                                         \
    X(MU_FITS, "fits")                                                                             \
    X(MU_NO_UNSCHEDULABLE, "node is unschedulable")                                                \
    X(MU_NO_TAINT, "node has a taint that the pod does not tolerate")                              \
    X(MU_NO_SELECTOR, "node does not match the node selector")                                     \
    X(MU_NO_PODS, "too many pods")                                                                 \
    X(MU_NO_RESOURCE, "insufficient")
enum mu_verdict_kind {
#define MU_VERDICT_ENUM(name, text) name,
    MU_VERDICT_LIST(MU_VERDICT_ENUM)
#undef MU_VERDICT_ENUM
        MU_VERDICT_KINDS
};
struct mu_verdict {
    enum mu_verdict_kind kind;
    struct mu_resource_ix resource; /* MU_NO_RESOURCE: the first one short, in number order */
};
/* Sentence for a kind. Static storage. */
const char *mu_verdict_text(enum mu_verdict_kind kind);

/* Why a gang is not placed. X(enum, sentence). */
#define MU_WAIT_LIST(X)                                                                            \
    X(MU_WAIT_NONE, "not waiting")                                                                 \
    X(MU_WAIT_MEMBERS, "gang is incomplete")                                                       \
    X(MU_WAIT_QUIET, "waiting for the gang's quiet time")                                          \
    X(MU_WAIT_GATED, "scheduling gates")                                                           \
    X(MU_WAIT_UNBUILT, "uses a rule that is not built yet")                                        \
    X(MU_WAIT_CLAIM, "the first bind of the gang is not answered yet")                             \
    X(MU_WAIT_NO_FIT, "no room")                                                                   \
    X(MU_WAIT_UNDECIDED, "step budget ran out")
enum mu_wait_kind {
#define MU_WAIT_ENUM(name, text) name,
    MU_WAIT_LIST(MU_WAIT_ENUM)
#undef MU_WAIT_ENUM
        MU_WAIT_KINDS
};
const char *mu_wait_text(enum mu_wait_kind kind);

#endif
