#ifndef MU_ENGINE_OBJECT_H
#define MU_ENGINE_OBJECT_H
/*
 * What an informer hands to the cluster DB: nodes and pods, decoded, normalised, in neutral terms.
 * Nothing here assumes Kubernetes; a source translates its own rules into these (requests summed,
 * gang dialects normalised, unbuilt rules named). All strings and arrays are borrowed for the call.
 */
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include "engine/base/str.h"

struct mu_label {
    struct mu_str key;
    struct mu_str value;
};

enum mu_taint_effect {
    MU_EFFECT_ANY = 0, /* tolerations only: matches every effect */
    MU_EFFECT_NO_SCHEDULE,
    MU_EFFECT_PREFER_NO_SCHEDULE, /* never filters */
    MU_EFFECT_NO_EXECUTE,
    MU_EFFECT_OTHER /* unknown word: filters nothing */
};
struct mu_taint {
    struct mu_str key;
    struct mu_str value;
    enum mu_taint_effect effect;
};

enum mu_toleration_op {
    MU_TOLERATE_EQUAL,
    MU_TOLERATE_EXISTS,
    MU_TOLERATE_LT, /* the taint's value is below the toleration's; both canonical decimal int64 */
    MU_TOLERATE_GT, /* above it */
    MU_TOLERATE_NEVER
};
struct mu_toleration {
    struct mu_str key; /* empty: every key */
    struct mu_str value;
    enum mu_toleration_op op;
    enum mu_taint_effect effect;
};

/* One requirement of a selector. Gt and Lt compare base-10 int64; NEVER stands for what the source
 * could not parse: it matches nothing. */
enum mu_op {
    MU_OP_IN,
    MU_OP_NOT_IN, /* an absent key matches */
    MU_OP_EXISTS,
    MU_OP_DOES_NOT_EXIST,
    MU_OP_GT,
    MU_OP_LT,
    MU_OP_NEVER
};
struct mu_requirement {
    struct mu_str key;
    enum mu_op op;
    const struct mu_str *values; /* IN, NOT_IN: >= 1; GT, LT: 1; else none */
    uint32_t value_count;
};
/* All requirements must hold. None: everything matches, unless `nothing`. */
struct mu_selector {
    bool nothing;
    const struct mu_requirement *requirements;
    uint32_t requirement_count;
};
/* A node matches when its labels and its name (key metadata.name) do. Both empty: no node does. */
struct mu_node_term {
    struct mu_selector labels;
    struct mu_selector fields;
};
struct mu_preferred_node {
    int32_t weight; /* 1 to 100 */
    struct mu_node_term term;
};

/* A rule about other pods, on the nodes of one domain: those whose label topology_key has one
 * value. The source has resolved what stands for the pod's own namespace. */
enum mu_term_kind {
    MU_TERM_AFFINITY, /* required; a pod counts only if it matches all of these at once */
    MU_TERM_ANTI_AFFINITY,
    MU_TERM_PREFERRED,
    MU_TERM_PREFERRED_ANTI
};
struct mu_pod_term {
    enum mu_term_kind kind;
    int32_t weight; /* preferred: 1 to 100; else 0 */
    struct mu_str topology_key;
    struct mu_selector selector;
    const struct mu_str *namespaces;
    uint32_t namespace_count;
    const struct mu_selector *namespace_selector; /* by the labels of namespaces; NULL: adds none */
};
/* Topology spread; counts pods of the pod's own namespace. */
struct mu_spread {
    struct mu_str topology_key;
    struct mu_selector selector;
    int32_t max_skew;    /* >= 1 */
    int32_t min_domains; /* >= 1; 1 when not stated */
    bool hard;           /* DoNotSchedule; else ScheduleAnyway */
    bool honor_affinity; /* count only nodes that the pod's selector and affinity match */
    bool honor_taints;   /* count only nodes whose taints the pod tolerates */
};
enum mu_protocol { MU_PROTOCOL_TCP, MU_PROTOCOL_UDP, MU_PROTOCOL_SCTP };
struct mu_host_port {
    struct mu_str ip; /* "0.0.0.0" conflicts with every one; never empty */
    enum mu_protocol protocol;
    uint16_t port; /* > 0 */
};
struct mu_image {
    struct mu_str name; /* normalised, with its tag */
    int64_t bytes;      /* nodes only: 0 to MU_IMAGE_BYTES_MAX */
};

/* Asked for in thousandths, it is a part of one device. How much of it a node has follows from its
 * devices, where these are tracked one by one; other nodes have none, whatever they state. */
#define MU_GPU_SHARE_RESOURCE "muster.dev/gpu-milli"
/* Resources of whole devices, of which a pod asks for some or for a part of one, but not both. */
static inline bool mu_is_device_resource(struct mu_str name)
{
    static const char end[] = "/gpu";
    const uint32_t len = sizeof end - 1;
    return name.len > len && memcmp(name.data + name.len - len, end, len) == 0;
}

struct mu_amount {
    struct mu_str resource; /* name */
    int64_t value;          /* >= 0, in the scheduler's unit (engine/resource.h) */
};

/* Rules that this build does not implement yet. A pod that uses one is never bound: it stays
 * pending with that reason. X(enum, bit, sentence). */
#define MU_RULE_LIST(X)                                                                            \
    X(MU_RULE_VOLUMES, 5, "volumes that bind to nodes")                                            \
    X(MU_RULE_RESOURCE_CLAIMS, 6, "resource claims")                                               \
    X(MU_RULE_DECLARED_FEATURES, 7, "node declared features")                                      \
    X(MU_RULE_GANG_DIALECT, 8, "a gang dialect that is not built yet")                             \
    X(MU_RULE_REQUEST, 10, "a request that cannot be read or is beyond all bounds")                \
    X(MU_RULE_GANG_SPEC, 11, "a gang annotation that cannot be read")                              \
    X(MU_RULE_REFUSED, 12, "none: the API server refuses its binding, it is tried again later")    \
    X(MU_RULE_OVERSIZED, 13, "a list in its spec is longer than this build reads")                 \
    X(MU_RULE_UNREADABLE, 14, "a placement rule that cannot be read")                              \
    X(MU_RULE_GANG_OBJECT, 15, "a gang whose group object is missing")                             \
    X(MU_RULE_DEVICES, 16, "a part of a GPU and whole ones")
enum mu_rule {
#define MU_RULE_ENUM(name, bit, text) name = 1u << (bit),
    MU_RULE_LIST(MU_RULE_ENUM)
#undef MU_RULE_ENUM
};

enum mu_gang_source {
    MU_GANG_SOLO = 0, /* no gang named: a gang of one, identified by the pod's UID */
    MU_GANG_PLAIN,    /* `pod-group` annotation: size by quiet time */
    MU_GANG_MUSTER,   /* muster.dev/pod-group with or without a size */
    /* Described by an object of their own, for which its pods wait: */
    MU_GANG_NATIVE,       /* scheduling.k8s.io PodGroup */
    MU_GANG_COSCHEDULING, /* scheduling.x-k8s.io, of scheduler-plugins */
    MU_GANG_VOLCANO,      /* scheduling.volcano.sh; not waited for when the pods state a size */
    MU_GANG_WORKLOAD,     /* scheduling.k8s.io Workload of Kubernetes 1.35: a part of it each */
    MU_GANG_KAI,          /* scheduling.run.ai */
    MU_GANG_GODEL,        /* scheduling.godel.kubewharf.io */
    /* All that there is to know stands on the pods: */
    MU_GANG_LIGHTWEIGHT,
    MU_GANG_KOORDINATOR,
    MU_GANG_YUNIKORN,
    MU_GANG_KUEUE,
    MU_GANG_ARMADA,
    MU_GANG_SOURCES
};
static inline bool mu_gang_has_object(enum mu_gang_source source)
{
    return source >= MU_GANG_NATIVE && source <= MU_GANG_GODEL;
}

/* A sub-group: members with a minimum of their own. */
struct mu_group_subgroup {
    struct mu_str name;
    uint32_t min; /* members that must run together; 0: some, the number is not stated here */
    bool single;  /* MU_GANG_WORKLOAD: no gang, its pods are placed one by one */
};
/* A pod's gang, from the pod object alone. Identity: (namespace, source, name). Where there is an
 * object, that one is heard and what the pods state is not. */
struct mu_gang_ref {
    enum mu_gang_source source;
    struct mu_str name;     /* empty for MU_GANG_SOLO */
    struct mu_str subgroup; /* empty: the gang's only sub-group */
    uint32_t size;          /* members that must run together; 0: not stated (quiet time) */
    uint32_t subgroup_min;  /* members of its own sub-group that must; 0: not stated */
    /* MU_GANG_WORKLOAD: the object and which part of it. Else empty: the object is named as the
     * gang, and describes all of it. */
    struct mu_str object, part;
    /* All sub-groups that must be there, where the pod says which; at most MU_SUBGROUPS_MAX. */
    const struct mu_group_subgroup *subgroups;
    uint32_t subgroup_count;
    bool waiting_only;      /* once the minimum runs, newcomers need as many beside them again */
    struct mu_str pack_key; /* all members in one domain of this node label; empty: anywhere */
    bool pack_required;
    uint32_t timeout_s; /* for a part that is bound to be completed; 0: not stated */
};

/* What the status of a group object shows already. */
enum mu_group_shown {
    MU_GROUP_SHOWS_WAITING = 1u << 0,
    MU_GROUP_SHOWS_PLACED = 1u << 1, /* as a condition that is true, or a phase */
    MU_GROUP_SHOWS_ENDED = 1u << 2,  /* a phase that is nobody's but its controller's */
    MU_GROUP_SHOWS_START = 1u << 3   /* when placing began */
};
/* An object that describes a gang: what its pods do not say themselves. */
struct mu_group_object {
    struct mu_str ns;
    struct mu_str name;
    enum mu_gang_source source;
    struct mu_str uid;
    uint64_t version;
    uint64_t report;  /* digest of what its status shows of what a scheduler writes there, 0:
                       * nothing; its form is the source's */
    uint32_t shown;   /* set of enum mu_group_shown */
    uint32_t unbuilt; /* set of enum mu_rule: why no member can be placed */
    uint32_t min;     /* members that must run together; 0: not stated */
    const struct mu_group_subgroup *subgroups;
    uint32_t subgroup_count;
    bool single_policy; /* no gang: its pods are placed one by one */
    bool has_priority;
    int32_t priority;
    bool never_preempts;
    bool spared;            /* its pods are never victims */
    bool single_victims;    /* its pods are victims one by one */
    struct mu_str pack_key; /* all members in one domain of this node label; empty: anywhere */
    bool pack_required;
    uint32_t timeout_s; /* for a part that is bound to be completed; 0: not stated */
};

/* A disruption budget: how many of the pods that it selects may be taken down now. */
struct mu_budget_object {
    struct mu_str ns;
    struct mu_str name;
    struct mu_str uid;
    uint64_t version;
    struct mu_selector selector; /* `nothing` for an absent or empty one */
    int32_t allowed;
    const struct mu_str *disrupted; /* names of pods that are being taken down already */
    uint32_t disrupted_count;
};

struct mu_node_object {
    struct mu_str name;
    struct mu_str uid;
    uint64_t version;
    const struct mu_label *labels;
    uint32_t label_count;
    const struct mu_taint *taints;
    uint32_t taint_count;
    const struct mu_amount *allocatable; /* `pods` among them */
    uint32_t allocatable_count;
    bool unschedulable;
    const struct mu_image *images; /* present on the node, one entry a name; the largest ones */
    uint32_t image_count;
    /* Devices that are tracked one by one (engine/device.h). 0: whole ones by count alone. */
    struct mu_str device_resource; /* the whole ones, in `allocatable`: mu_is_device_resource() */
    uint32_t device_count;         /* at most MU_DEVICES_PER_NODE */
    bool devices_whole;            /* takes pods that ask for whole devices, at our choice */
};

/* Pods are selected by the labels of their namespaces. */
struct mu_namespace_object {
    struct mu_str name;
    struct mu_str uid;
    uint64_t version;
    const struct mu_label *labels;
    uint32_t label_count;
    bool labels_unknown; /* it has some that the source cannot read, and shows none */
};

enum mu_pod_phase {
    MU_POD_PENDING,
    MU_POD_RUNNING,
    MU_POD_SUCCEEDED,
    MU_POD_FAILED,
    MU_POD_UNKNOWN
};

struct mu_pod_object {
    struct mu_str ns;
    struct mu_str name;
    struct mu_str uid;
    uint64_t version;
    uint64_t created_s; /* Unix seconds; 0 when absent */
    struct mu_str scheduler_name;
    struct mu_str node_name; /* empty: unbound */
    int32_t priority;
    enum mu_pod_phase phase;
    bool terminating;                 /* deletion requested, room still held */
    bool gated;                       /* scheduling gates present: never bound */
    bool controlled;                  /* a controller owns it and would recreate it */
    bool never_preempts;              /* preemptionPolicy Never */
    bool spared;                      /* marked as no victim */
    uint64_t started_s;               /* Unix seconds; 0: not started */
    uint32_t unbuilt;                 /* set of enum mu_rule */
    uint64_t report;                  /* digest of the reason for waiting that the object shows, 0:
                                       * none; its form is the source's */
    const struct mu_amount *requests; /* effective; `pods` is not among them (each pod takes 1) */
    uint32_t request_count;
    /* What scores assume on top of its requests, for containers that ask for none; >= 0. */
    int64_t cpu_padding, memory_padding;
    const struct mu_label *selector; /* node selector: all must match */
    uint32_t selector_count;
    const struct mu_toleration *tolerations;
    uint32_t toleration_count;
    const struct mu_label *labels;
    uint32_t label_count;
    bool has_node_terms; /* required node affinity: one of node_terms must match, none never does */
    const struct mu_node_term *node_terms;
    uint32_t node_term_count;
    const struct mu_preferred_node *preferred_nodes;
    uint32_t preferred_node_count;
    const struct mu_pod_term *terms;
    uint32_t term_count;
    const struct mu_spread *spreads;
    uint32_t spread_count;
    const struct mu_host_port *ports;
    uint32_t port_count;
    const struct mu_image *images; /* of its containers, with repetition; bytes unused */
    uint32_t image_count;
    struct mu_str nominated_node; /* unbound: where it is expected to go; empty: nowhere */
    uint64_t devices;             /* bound: bit per device that it was given; 0: not said */
    struct mu_gang_ref gang;
};

#endif
