#ifndef MU_INFORMER_VIEW_PRIV_H
#define MU_INFORMER_VIEW_PRIV_H
/*
 * Pods, nodes and namespaces as views: what codec_*.c reads of a message, with texts that are
 * views into its bytes. Two ways lead from bytes to views, and one set of rules reads them:
 *
 *     bytes ──▶ walk.c ──────────────────────────▶ views ──▶ codec_*.c ──▶ engine/object.h
 *       └─────▶ protobuf-c (decode.c) ▶ unpack.c ───▲
 *
 * The walker is the fast way and takes only messages of the usual form. It never refuses one: what
 * it does not take, protobuf-c judges. Both follow the same tables (view.c), which name every field
 * of our .proto files, also those that no reader looks at: their form is checked all the same, so
 * that the walker takes nothing that protobuf-c would refuse.
 *
 * A text ends before its first NUL, as protobuf-c hands texts over. An absent text has no data; an
 * empty one has. A view is valid as long as the bytes and the arena it was opened with.
 */
#include "engine/base/arena.h"
#include "engine/base/error.h"
#include "engine/object.h"
#include "informer/proto/core.pb-c.h"

/* --- what the tables are made of ------------------------------------------------------------ */

enum mu_field_kind {
    MU_FIELD_UNKNOWN, /* skipped, whatever its type on the wire */
    MU_FIELD_TEXT,    /* struct mu_str; the last one counts */
    MU_FIELD_TEXTS,   /* struct mu_text_list */
    MU_FIELD_BOOL,
    MU_FIELD_INT32,
    MU_FIELD_INT64,
    MU_FIELD_MESSAGE,  /* a pointer to its view; NULL: absent */
    MU_FIELD_MESSAGES, /* a list: a pointer to an array of views, and uint32_t count */
    MU_FIELD_INLINE    /* a message whose fields lie in the same view as the message around it */
};
struct mu_view_type;
struct mu_field {
    enum mu_field_kind kind : 8;
    bool kept;                       /* else only its form is checked */
    uint16_t at;                     /* kept: offset in the view */
    const struct mu_view_type *type; /* of messages */
};
struct mu_view_type {
    const struct mu_field *fields; /* by number; those not named are unknown */
    uint32_t field_count;
    uint32_t bytes;   /* of the view; 0: none of its fields is kept */
    bool has_numbers; /* the view begins with the set of field numbers that were there */
    bool is_pair;     /* struct mu_label of two texts: nearly all messages there are */
    const ProtobufCMessageDescriptor *descriptor;
};

/* Set of field numbers that were there, known or not; 63 stands for all above 62. */
typedef uint64_t mu_numbers;
enum { MU_NUMBER_LAST = 63 };
static inline mu_numbers mu_number_bit(uint32_t number)
{
    return UINT64_C(1) << (number < MU_NUMBER_LAST ? number : MU_NUMBER_LAST);
}
static inline bool mu_numbers_have(mu_numbers numbers, uint32_t number)
{
    return (numbers & mu_number_bit(number)) != 0;
}

struct mu_text_list {
    const struct mu_str *items;
    uint32_t count;
};
/* String maps; and quantity maps, where an absent value has no data. */
struct mu_pair_list {
    const struct mu_label *items;
    uint32_t count;
};
/* What the tables take every list for. */
struct mu_any_list {
    void *items;
    uint32_t count;
};

/* --- metadata ------------------------------------------------------------------------------- */

struct mu_view_time {
    int64_t seconds;
};
struct mu_view_owner {
    bool controller;
};
struct mu_view_meta {
    struct mu_str name, ns, uid, version;
    const struct mu_view_time *created, *deleted;
    struct mu_pair_list labels, annotations;
    struct {
        const struct mu_view_owner *items;
        uint32_t count;
    } owners;
};
/* A requirement of a selector of nodes, pods or namespaces. */
struct mu_view_expression {
    struct mu_str key, op;
    struct mu_text_list values;
};
struct mu_expression_list {
    const struct mu_view_expression *items;
    uint32_t count;
};
struct mu_view_selector {
    struct mu_pair_list labels;
    struct mu_expression_list expressions;
};

/* --- pods ----------------------------------------------------------------------------------- */

struct mu_view_resources {
    mu_numbers numbers;
    struct mu_pair_list requests;
};
enum { MU_RESOURCES_CLAIMS = 3 };
struct mu_view_port {
    int32_t host_port;
    struct mu_str protocol, host_ip;
};
struct mu_view_restart_rule {
    struct mu_str action;
};
struct mu_view_container {
    struct mu_str name, image, restart_policy;
    struct {
        const struct mu_view_port *items;
        uint32_t count;
    } ports;
    const struct mu_view_resources *resources;
    struct {
        const struct mu_view_restart_rule *items;
        uint32_t count;
    } restart_rules;
};
struct mu_container_list {
    const struct mu_view_container *items;
    uint32_t count;
};
struct mu_view_node_term {
    struct mu_expression_list expressions, fields;
};
struct mu_view_node_selector {
    struct {
        const struct mu_view_node_term *items;
        uint32_t count;
    } terms;
};
struct mu_view_preferred_node {
    int32_t weight;
    const struct mu_view_node_term *term;
};
struct mu_view_node_affinity {
    const struct mu_view_node_selector *required;
    struct {
        const struct mu_view_preferred_node *items;
        uint32_t count;
    } preferred;
};
struct mu_view_pod_term {
    const struct mu_view_selector *selector, *namespace_selector;
    struct mu_str topology_key;
    struct mu_text_list namespaces, match_keys, mismatch_keys;
};
struct mu_view_weighted_term {
    int32_t weight;
    const struct mu_view_pod_term *term;
};
struct mu_pod_term_list {
    const struct mu_view_pod_term *items;
    uint32_t count;
};
struct mu_weighted_term_list {
    const struct mu_view_weighted_term *items;
    uint32_t count;
};
/* Affinity or anti-affinity. */
struct mu_view_pod_affinity {
    struct mu_pod_term_list required;
    struct mu_weighted_term_list preferred;
};
struct mu_view_affinity {
    const struct mu_view_node_affinity *node;
    const struct mu_view_pod_affinity *with, *against;
};
struct mu_view_toleration {
    struct mu_str key, op, value, effect;
};
struct mu_view_spread {
    mu_numbers numbers;
    int32_t max_skew, min_domains;
    struct mu_str topology_key, when_unsatisfiable, affinity_policy, taints_policy;
    const struct mu_view_selector *selector;
    struct mu_text_list match_keys;
};
enum { MU_SPREAD_MIN_DOMAINS = 5 };
/* Of a source only which kind it is: its number in VolumeSource. */
struct mu_view_volume_source {
    mu_numbers numbers;
};
struct mu_view_volume {
    const struct mu_view_volume_source *source;
};
struct mu_view_workload_ref {
    struct mu_str name, pod_group, replica;
};
struct mu_view_scheduling_group {
    struct mu_str name;
};
struct mu_view_spec {
    mu_numbers numbers;
    struct {
        const struct mu_view_volume *items;
        uint32_t count;
    } volumes;
    struct mu_container_list containers, init_containers;
    struct mu_pair_list node_selector, overhead;
    struct mu_str node_name, scheduler_name, preemption_policy;
    bool host_network, host_users;
    int32_t priority;
    const struct mu_view_affinity *affinity;
    const struct mu_view_resources *resources;
    struct {
        const struct mu_view_toleration *items;
        uint32_t count;
    } tolerations;
    struct {
        const struct mu_view_spread *items;
        uint32_t count;
    } spreads;
    const struct mu_view_workload_ref *workload;
    const struct mu_view_scheduling_group *group;
};
enum { MU_SPEC_HOST_USERS = 37, MU_SPEC_GATES = 38, MU_SPEC_RESOURCE_CLAIMS = 39 };
struct mu_view_condition {
    struct mu_str type, status, reason, message;
};
struct mu_view_container_status {
    struct mu_str name;
    struct mu_pair_list allocated;
    const struct mu_view_resources *resources;
};
struct mu_container_status_list {
    const struct mu_view_container_status *items;
    uint32_t count;
};
struct mu_view_status {
    struct mu_str phase, nominated_node;
    const struct mu_view_time *started;
    struct {
        const struct mu_view_condition *items;
        uint32_t count;
    } conditions;
    struct mu_container_status_list containers, init_containers;
    struct mu_pair_list allocated;
    const struct mu_view_resources *resources;
};
struct mu_view_pod {
    const struct mu_view_meta *meta;
    const struct mu_view_spec *spec;
    const struct mu_view_status *status;
};

/* --- nodes and namespaces ------------------------------------------------------------------- */

struct mu_view_taint {
    struct mu_str key, value, effect;
};
struct mu_view_node_spec {
    bool unschedulable;
    struct {
        const struct mu_view_taint *items;
        uint32_t count;
    } taints;
};
struct mu_view_image {
    struct mu_text_list names;
    int64_t bytes;
};
struct mu_view_node_status {
    struct mu_pair_list allocatable;
    struct {
        const struct mu_view_image *items;
        uint32_t count;
    } images;
};
struct mu_view_node {
    const struct mu_view_meta *meta;
    const struct mu_view_node_spec *spec;
    const struct mu_view_node_status *status;
};
struct mu_view_namespace {
    const struct mu_view_meta *meta;
};

/* --- disruption budgets --------------------------------------------------------------------- */

struct mu_view_int_or_text {
    int64_t type; /* 0: a number; 1: a text */
    int32_t number;
    struct mu_str text;
};
struct mu_view_disrupted {
    struct mu_str name; /* of a pod */
};
struct mu_view_budget_spec {
    const struct mu_view_int_or_text *min_available, *max_unavailable;
    const struct mu_view_selector *selector;
};
struct mu_view_budget_status {
    mu_numbers numbers;
    int32_t allowed;
    struct {
        const struct mu_view_disrupted *items;
        uint32_t count;
    } disrupted;
};
struct mu_view_budget {
    const struct mu_view_meta *meta;
    const struct mu_view_budget_spec *spec;
    const struct mu_view_budget_status *status;
};

extern const struct mu_view_type mu_view_of_pod, mu_view_of_node, mu_view_of_namespace,
    mu_view_of_budget;

/* --- the two ways --------------------------------------------------------------------------- */

/* The walker. Fills *view, a view of `type`, and returns true; false: not a message of the usual
 * form, or larger than usual, or no memory: nothing is said about it, protobuf-c is to judge.
 * Cost: one pass over the bytes. */
bool mu_view_walk(struct mu_str raw, const struct mu_view_type *type, struct mu_arena *arena,
                  void *view);
/* The same by protobuf-c. `what` names the kind in *error. Errors: as mu_decode_message. */
int mu_view_unpack(struct mu_str raw, const struct mu_view_type *type, struct mu_arena *arena,
                   const char *what, void *view, struct mu_error *error);
/* Walk; where that does not do, unpack. */
int mu_view_open(struct mu_str raw, const struct mu_view_type *type, struct mu_arena *arena,
                 const char *what, void *view, struct mu_error *error);

#endif
