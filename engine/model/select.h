#ifndef MU_ENGINE_MODEL_SELECT_H
#define MU_ENGINE_MODEL_SELECT_H
/*
 * Selectors on interned content: what node affinity, pod terms and spread constraints match.
 *
 *     affinity    which nodes: node selector, hostname and required node terms
 *     tolerance   which taints: all tolerations of a pod
 *     kin         who a pod is to selectors: its namespace and its labels. Pods that differ in
 *                 neither are one kin
 *     matcher     which pods: one part, or several that must all match (the required affinity terms
 *                 of one pod count a pod only if it matches all of them)
 *
 * All four are interned (engine/model/model.h): equal content, equal number. They compare symbols
 * only and run in any thread that may read the entries.
 */
#include <stdbool.h>
#include <stdint.h>
#include "engine/base/symbol.h"
#include "engine/object.h"

struct mu_affinity_ix {
    uint32_t v; /* 0: every node */
};
struct mu_tolerance_ix {
    uint32_t v; /* 0: tolerates nothing */
};
struct mu_kin_ix {
    uint32_t v;
};
struct mu_matcher_ix {
    uint32_t v;
};

struct mu_label_pair {
    struct mu_symbol key;
    struct mu_symbol value;
};
/* Sorted by key id; keys are distinct (a later duplicate won). */
struct mu_label_set {
    uint32_t count;
    const struct mu_label_pair *pairs;
};

struct mu_requirement_item {
    struct mu_symbol key;
    enum mu_op op;
    uint32_t value_count; /* sorted by id, no duplicates */
    const struct mu_symbol *values;
    int64_t number; /* GT, LT */
};
struct mu_conjunction {
    bool nothing;
    uint32_t count;
    const struct mu_requirement_item *items;
};
struct mu_node_term_item {
    struct mu_conjunction labels;
    struct mu_conjunction names; /* IN and NOT_IN over node names */
};
/* A contradictory selector (one key, two values) matches nothing. */
struct mu_affinity {
    uint32_t selector_count; /* sorted by key id; kubernetes.io/hostname pairs are kept apart */
    const struct mu_label_pair *selector;
    struct mu_symbol hostname; /* required hostname label, 0: none */
    bool nothing;
    bool has_terms; /* required node affinity; without a term `nothing` is set: no node matches */
    uint32_t term_count;
    const struct mu_node_term_item *terms;
    struct mu_symbol only_name; /* the one node name that can match, by a lone term; 0: any */
    /* The same without hostname and only_name: what pods that are pinned to different nodes have
     * in common. Itself when it has neither. */
    struct mu_affinity_ix bare;
    uint64_t id; /* unique over the process's life */
};
struct mu_taint_item {
    struct mu_symbol key;
    struct mu_symbol value;
    enum mu_taint_effect effect;
};
struct mu_taint_set {
    uint32_t count;
    const struct mu_taint_item *items; /* sorted by key, value, effect; no duplicates */
};
struct mu_toleration_item {
    struct mu_symbol key; /* 0: every key */
    struct mu_symbol value;
    enum mu_toleration_op op;
    enum mu_taint_effect effect;
};
struct mu_tolerance {
    uint32_t count; /* sorted, no duplicates; those that can tolerate nothing are left out */
    const struct mu_toleration_item *items;
    bool unschedulable; /* tolerates node.kubernetes.io/unschedulable:NoSchedule, value "" */
    uint64_t id;        /* unique over the process's life */
};
struct mu_kin {
    struct mu_symbol ns;
    struct mu_label_set labels;
};
struct mu_matcher_part {
    uint32_t namespace_count; /* sorted by id */
    const struct mu_symbol *namespaces;
    bool has_namespace_selector;
    struct mu_conjunction namespace_selector;
    struct mu_conjunction selector;
};
struct mu_matcher {
    uint32_t part_count; /* >= 1 */
    const struct mu_matcher_part *parts;
};

/* What a conjunction sees of a label set that has the hostname label kept apart. */
struct mu_labels_view {
    const struct mu_label_set *set;
    struct mu_symbol hostname_key, hostname; /* hostname 0: no such label */
};
struct mu_model;
/* `symbols`: for GT and LT, which compare texts as numbers. */
bool mu_conjunction_holds(const struct mu_conjunction *c, const struct mu_labels_view *labels,
                          const struct mu_symtab *symbols);
/* Whether a node of this name and these labels may take the pods of an affinity. */
bool mu_affinity_selects(const struct mu_model *model, const struct mu_affinity *affinity,
                         const struct mu_labels_view *labels, struct mu_symbol name);
bool mu_node_term_holds(const struct mu_model *model, const struct mu_node_term_item *term,
                        const struct mu_labels_view *labels, struct mu_symbol name);
/* Whether one toleration is good for one taint, whatever the taint's effect does. */
bool mu_toleration_holds(const struct mu_symtab *symbols, const struct mu_toleration_item *t,
                         const struct mu_taint_item *taint);
/* Whether no taint that filters (NoSchedule, NoExecute) is left untolerated. */
bool mu_tolerance_tolerates(const struct mu_symtab *symbols, const struct mu_tolerance *tolerance,
                            const struct mu_taint_set *taints);
/* Depends on the labels of namespaces where a part has a namespace selector. An unknown namespace
 * has none. Thread: the writer. */
bool mu_matcher_matches(const struct mu_model *model, const struct mu_matcher *matcher,
                        const struct mu_kin *kin);
/* Whether that cannot be told: it depends on labels of the kin's namespace that are not known.
 * Thread: the writer. */
bool mu_matcher_untold(const struct mu_model *model, const struct mu_matcher *matcher,
                       const struct mu_kin *kin);

#endif
