#ifndef MU_ENGINE_MODEL_MODEL_H
#define MU_ENGINE_MODEL_MODEL_H
/*
 * The interned parts of the model: label sets, taint sets, capacities, pod classes and what those
 * are made of (engine/model/select.h). Equal
 * content has equal id; content is immutable. One writer (the DB); any thread that learned an id
 * by hand-over may read it until the id is reclaimed (generations as in engine/base/symbol.h).
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "engine/base/error.h"
#include "engine/base/symbol.h"
#include "engine/object.h"
#include "engine/resource.h"
#include "engine/model/select.h"

struct mu_class_ix {
    uint32_t v;
};
struct mu_label_set_ix {
    uint32_t v; /* 0: the empty set */
};
struct mu_taint_set_ix {
    uint32_t v; /* 0: the empty set */
};
struct mu_capacity_ix {
    uint32_t v;
};
struct mu_image_set_ix {
    uint32_t v; /* 0: the empty set */
};

/* An image that a node has; its size in two halves, so that items have no padding. */
struct mu_image_item {
    struct mu_symbol name;
    uint32_t bytes_low, bytes_high;
};
struct mu_image_set {
    uint32_t count; /* sorted by name id, each once */
    const struct mu_image_item *items;
};
static inline int64_t mu_image_bytes(const struct mu_image_item *item)
{
    return (int64_t)((uint64_t)item->bytes_high << 32 | item->bytes_low);
}

struct mu_demand {
    struct mu_resource_ix resource;
    int64_t amount; /* > 0; of padding < 0 */
};
struct mu_preferred_node_item {
    int32_t weight;
    struct mu_node_term_item term;
};
/* A rule about other pods. Required affinity terms share one matcher, that of all of them. */
struct mu_term_item {
    enum mu_term_kind kind;
    int32_t weight;
    struct mu_symbol topology_key;
    struct mu_matcher_ix matcher;
};
struct mu_spread_item {
    struct mu_symbol topology_key;
    struct mu_matcher_ix matcher;
    int32_t max_skew, min_domains;
    bool hard, honor_affinity, honor_taints;
    bool counts_none; /* an empty selector matches the pod itself and counts no other */
};
struct mu_port_item {
    struct mu_symbol ip;
    enum mu_protocol protocol;
    uint32_t port;
};
/* The scheduling-relevant part of a pod's spec. */
struct mu_class {
    uint32_t demand_count; /* sorted by resource number, non-zero only; pods (1) not among them */
    const struct mu_demand *demands;
    uint32_t padding_count; /* what scores assume beyond them: of the two resources below, */
    const struct mu_demand *paddings; /* amounts < 0; charged as demands are, never asked for */
    uint32_t selector_count; /* sorted by key id; kubernetes.io/hostname pairs are kept apart */
    const struct mu_label_pair *selector;
    struct mu_symbol hostname; /* required hostname label, 0: none */
    bool impossible;           /* its affinity matches nothing, a request is saturated, or asks for
                                * a resource that has no number: fits nowhere */
    uint32_t toleration_count;
    const struct mu_toleration_item *tolerations; /* sorted, no duplicates; those that can tolerate
                                                   * nothing that matters are left out */
    struct mu_affinity_ix affinity;   /* selector, hostname and required terms, as a whole */
    struct mu_tolerance_ix tolerance; /* the tolerations, as a whole */
    uint32_t preferred_node_count;
    const struct mu_preferred_node_item *preferred_nodes;
    uint32_t term_count; /* sorted by kind; those of an own namespace name it */
    const struct mu_term_item *terms;
    uint32_t spread_count; /* the hard ones first */
    const struct mu_spread_item *spreads;
    uint32_t hard_spread_count;
    uint32_t port_count; /* sorted, no duplicates */
    const struct mu_port_item *ports;
    uint32_t image_count; /* with repetition, sorted */
    const struct mu_symbol *images;
    uint64_t resource_mask; /* bit per requested resource */
    uint64_t id; /* unique over the process's life: an index may be reused, an id is not */
};

struct mu_model; /* opaque: symbols, resources, namespaces and the tables of entries */

/*
 * Padding. A score takes a pod for larger than it says where a container asks for no cpu or no
 * memory (kubernetes-wire.md 3.4), or pods without requests would all go to one node. What is
 * assumed is a resource of its own, one each for cpu and memory, registered when the first pod has
 * any: no node has it, no pod can name it (the codec knows no such names), and its amounts are
 * negative. So what is `free` of it on a node is what is assumed there, wherever charges go.
 */
#define MU_CPU_PADDING    "cpu (assumed)"
#define MU_MEMORY_PADDING "memory (assumed)"
/* Of one pod; more counts as so much. */
#define MU_PADDING_MAX (INT64_C(1) << 38)
_Static_assert(MU_PADDING_MAX <= (INT64_C(1) << 62) / MU_PODS_MAX, "that of all pods has a sum");

/* The label key whose values are per node and therefore never enter a label set. */
#define MU_HOSTNAME_KEY "kubernetes.io/hostname"

struct mu_model *mu_model_create(void);
void mu_model_destroy(struct mu_model *model);
/* Unique over the process's life, and never 0: what is cached over sessions is known by it, since
 * another model may get the address of one that is gone. Thread: any. */
uint64_t mu_model_serial(const struct mu_model *model);
struct mu_symtab *mu_model_symbols(struct mu_model *model);
/* The same, to read only. Thread: as mu_symbol_str(). */
const struct mu_symtab *mu_model_names(const struct mu_model *model);
struct mu_resources *mu_model_resources(struct mu_model *model);
/* The same, to read names of numbers. Thread: as mu_resource_name(). */
const struct mu_resources *mu_model_resource_names(const struct mu_model *model);

/* Intern; one reference more. On error nothing changed. Errors: MU_ENOMEM, MU_ELIMIT (more items
 * than limits.h allows an object, a text above MU_STRING_BYTES_MAX, or a full table), MU_EINVAL
 * (mu_model_class: a negative request or a bad resource name).
 * Cost: O(items) look-ups; mu_model_class allocates nothing for a class that is present.
 *
 * An empty hostname label is kept in the set (and in a selector) like any other label. */
int mu_model_label_set(struct mu_model *model, const struct mu_label *labels, uint32_t count,
                       struct mu_label_set_ix *out, struct mu_symbol *hostname);
int mu_model_taint_set(struct mu_model *model, const struct mu_taint *taints, uint32_t count,
                       struct mu_taint_set_ix *out);
/* allocatable: MU_RESOURCES_MAX amounts by resource number. Capacity 0 has nothing. */
int mu_model_capacity(struct mu_model *model, const int64_t *allocatable,
                      struct mu_capacity_ix *out);
/* The images of a node; of one that is there twice the first counts. Sizes are brought into 0 to
 * MU_IMAGE_BYTES_MAX. */
int mu_model_image_set(struct mu_model *model, const struct mu_image *images, uint32_t count,
                       struct mu_image_set_ix *out);
/* A pod that would be the first to name a resource when only the numbers kept for nodes are left
 * (MU_RESOURCES_FOR_NODES) is of an impossible class, without that demand. */
int mu_model_class(struct mu_model *model, const struct mu_pod_object *pod,
                   struct mu_class_ix *out);

/* Who the pod is to selectors. Errors: as above. */
int mu_model_kin(struct mu_model *model, const struct mu_pod_object *pod, struct mu_kin_ix *out);
/* The matcher of pods of one namespace by their labels; one reference more. Errors: MU_ENOMEM,
 * MU_ELIMIT (MU_REQUIREMENTS_MAX, MU_VALUES_MAX, a text too long, or the table is full). */
int mu_model_matcher(struct mu_model *model, struct mu_str ns, const struct mu_selector *selector,
                     struct mu_matcher_ix *out);
/* The labels of a namespace, from now on; present false: it is gone, and has none. Matchers with a
 * namespace selector may match otherwise afterwards: *changed says whether any label changed.
 * Labels beyond a bound are unknown from then on. `generation` as at unref: what the namespace had
 * is released. Errors: MU_ENOMEM, MU_ELIMIT (MU_NAMESPACES_MAX); nothing changed. */
int mu_model_namespace(struct mu_model *model, struct mu_str name, bool present,
                       const struct mu_label *labels, uint32_t count, uint64_t generation,
                       bool *changed);
/* The labels of a namespace; false when it is not known. Thread: the writer. */
bool mu_model_get_namespace(const struct mu_model *m, struct mu_symbol name,
                            struct mu_labels_view *out);
/* Whether it has labels that are not known: it shows none. */
bool mu_model_namespace_unknown(const struct mu_model *m, struct mu_symbol name);
uint32_t mu_model_namespace_count(const struct mu_model *m);
/* A relist of them begins: those that are not given again from now on are stale. */
void mu_model_namespaces_relist(struct mu_model *m);
/* Records are [0, bound). True when `at` holds a stale one; its name is valid until it is gone. */
uint32_t mu_model_namespace_bound(const struct mu_model *m);
bool mu_model_namespace_stale(const struct mu_model *m, uint32_t at, struct mu_str *name);
/* The name and the labels in record `at`; false when it holds none. Thread: the writer. */
bool mu_model_namespace_at(const struct mu_model *m, uint32_t at, struct mu_symbol *name,
                           struct mu_labels_view *out);

/* Drop a reference. At zero the entry is readable until mu_model_reclaim(generation or later). */
void mu_model_label_set_unref(struct mu_model *model, struct mu_label_set_ix ix,
                              struct mu_symbol hostname, uint64_t generation);
void mu_model_taint_set_unref(struct mu_model *model, struct mu_taint_set_ix ix,
                              uint64_t generation);
void mu_model_capacity_unref(struct mu_model *model, struct mu_capacity_ix ix, uint64_t generation);
void mu_model_image_set_unref(struct mu_model *model, struct mu_image_set_ix ix,
                              uint64_t generation);
void mu_model_kin_ref(struct mu_model *model, struct mu_kin_ix ix);
void mu_model_kin_unref(struct mu_model *model, struct mu_kin_ix ix, uint64_t generation);
/* A class holds its affinity, its tolerance and its matchers; who keeps one longer takes a
 * reference. */
void mu_model_affinity_ref(struct mu_model *model, struct mu_affinity_ix ix);
void mu_model_affinity_unref(struct mu_model *model, struct mu_affinity_ix ix, uint64_t generation);
void mu_model_tolerance_ref(struct mu_model *model, struct mu_tolerance_ix ix);
void mu_model_tolerance_unref(struct mu_model *model, struct mu_tolerance_ix ix,
                              uint64_t generation);
void mu_model_matcher_ref(struct mu_model *model, struct mu_matcher_ix ix);
void mu_model_matcher_unref(struct mu_model *model, struct mu_matcher_ix ix, uint64_t generation);
void mu_model_class_ref(struct mu_model *model, struct mu_class_ix ix);
void mu_model_class_unref(struct mu_model *model, struct mu_class_ix ix, uint64_t generation);
/* Reclaim entries unreferenced since <= safe_generation, for at most `budget` steps (one for an
 * entry and one for each of its symbols; the last entry is finished), then as many symbols. */
void mu_model_reclaim(struct mu_model *model, uint64_t safe_generation, uint32_t budget);

const struct mu_label_set *mu_model_get_label_set(const struct mu_model *m,
                                                  struct mu_label_set_ix ix);
const struct mu_taint_set *mu_model_get_taint_set(const struct mu_model *m,
                                                  struct mu_taint_set_ix ix);
const struct mu_image_set *mu_model_get_image_set(const struct mu_model *m,
                                                  struct mu_image_set_ix ix);
const struct mu_affinity *mu_model_get_affinity(const struct mu_model *m, struct mu_affinity_ix ix);
const struct mu_tolerance *mu_model_get_tolerance(const struct mu_model *m,
                                                  struct mu_tolerance_ix ix);
const struct mu_kin *mu_model_get_kin(const struct mu_model *m, struct mu_kin_ix ix);
const struct mu_matcher *mu_model_get_matcher(const struct mu_model *m, struct mu_matcher_ix ix);
const struct mu_class *mu_model_get_class(const struct mu_model *m, struct mu_class_ix ix);
/* What a node can allocate, by resource number; nothing of those from `count` on. */
struct mu_capacity {
    const int64_t *amounts;
    uint32_t count;
};
const struct mu_capacity *mu_model_get_capacity(const struct mu_model *m, struct mu_capacity_ix ix);
static inline int64_t mu_capacity_amount(const struct mu_capacity *capacity, uint32_t resource)
{
    return resource < capacity->count ? capacity->amounts[resource] : 0;
}
/* One past the largest class / label set / taint set index ever used: sizes of session caches.
 * Thread: any. */
uint32_t mu_model_class_bound(const struct mu_model *m);
uint32_t mu_model_label_set_bound(const struct mu_model *m);
uint32_t mu_model_taint_set_bound(const struct mu_model *m);
uint32_t mu_model_image_set_bound(const struct mu_model *m);

/* A label set as selectors see it, with the hostname label that is kept apart. */
struct mu_labels_view mu_model_labels(const struct mu_model *m, struct mu_label_set_ix labels,
                                      struct mu_symbol hostname);

/* Static rules, on interned content. Source: kubernetes TaintToleration, NodeAffinity. */
bool mu_class_tolerates(const struct mu_model *m, const struct mu_class *c,
                        const struct mu_taint_set *taints);
/* Tolerates the taint node.kubernetes.io/unschedulable:NoSchedule, value "". */
bool mu_class_tolerates_unschedulable(const struct mu_model *m, const struct mu_class *c);
/* False for an impossible class, whatever the labels. `name`: the node's. */
bool mu_class_selects(const struct mu_model *m, const struct mu_class *c,
                      const struct mu_labels_view *labels, struct mu_symbol name);

#endif
