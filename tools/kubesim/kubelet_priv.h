#ifndef MU_TOOLS_KUBESIM_KUBELET_PRIV_H
#define MU_TOOLS_KUBESIM_KUBELET_PRIV_H
/* Inside the kubelets: what is tracked (kubelet_table.c) and what is done with it (kubelet.c). */
#include "engine/base/heap.h"
#include "engine/base/index.h"
#include "tools/kubesim/api_priv.h"
#include "tools/kubesim/budgets.h"
#include "tools/kubesim/kubelet.h"
#include "tools/kubesim/namespace.h"

#define MU_KUBELET_NONE UINT32_MAX

struct mu_kubelet_amount {
    uint32_t resource; /* number in kubelets->resources */
    int64_t value;
};

enum mu_kubelet_pod_state { MU_KPOD_STARTING, MU_KPOD_RUNNING, MU_KPOD_TERMINATING };

/* A pod that is bound and not finished. */
struct mu_kubelet_pod {
    struct mu_kobject *object; /* newest seen, a reference: names, UID */
    struct mu_kubelet_amount *amounts;
    uint32_t amount_count;
    uint32_t node;       /* slot, or NONE: its node is unknown */
    uint32_t next, prev; /* of the same node, or the free list */
    uint32_t generation; /* timers of older ones are void */
    enum mu_kubelet_pod_state state;
    bool charged;
    uint64_t due_ns;      /* of the step that is next; UINT64_MAX: none */
    uint64_t duration_ns; /* 0: for ever */
    uint64_t seen;        /* resync that last saw it */
};

struct mu_kubelet_node {
    char name[256];
    struct mu_kubelet_amount *room; /* allocatable */
    int64_t *used;                  /* per entry of room */
    uint32_t room_count;
    int64_t pod_room, pod_count; /* slots */
    uint32_t pods;               /* first pod, or NONE */
    uint32_t next_free;
    uint32_t generation;
    bool live, down, evicted;
    uint64_t seen;
};

struct mu_kubelets {
    struct mu_apiserver *server;
    struct mu_kubelets_config config;
    struct mu_random random;
    struct mu_arena *arena; /* decoding */
    struct mu_heap timers;
    uint64_t timer_count;       /* ties */
    uint64_t pods_at, nodes_at; /* positions in the server's history */
    bool lost;                  /* the positions are void: read everything anew */
    uint64_t now_ns;            /* of the last look */
    uint64_t retry_ns;          /* when to, after running out of memory */
    uint64_t resync;
    struct mu_kubelet_pod *pods;
    uint32_t pod_slots, pod_cap, free_pod;
    struct mu_index *pod_index; /* by namespace and name */
    struct mu_kubelet_node *nodes;
    uint32_t node_slots, node_cap, free_node;
    struct mu_index *node_index; /* by name */
    char (*resources)[64];       /* names, by number; long ones are cut */
    uint32_t resource_count, resource_cap;
    struct mu_kubelets_stats stats;
    struct mu_budgets *budgets; /* the controllers that live beside the kubelets */
    struct mu_namespaces *namespaces;
};

int mu_kubelet_tables_init(struct mu_kubelets *k);
void mu_kubelet_tables_fini(struct mu_kubelets *k);
uint32_t mu_kubelet_find_node(const struct mu_kubelets *k, struct mu_str name);
uint32_t mu_kubelet_find_pod(const struct mu_kubelets *k, struct mu_str ns, struct mu_str name);
/* Track a node or update what it can hold. Errors: MU_ENOMEM, MU_ELIMIT; nothing changed. */
int mu_kubelet_set_node(struct mu_kubelets *k, const struct mu_kobject *object, uint32_t *slot);
/* Forget a node; its pods become pods of an unknown node. */
void mu_kubelet_drop_node(struct mu_kubelets *k, uint32_t slot);
/* Track a newly bound pod: decoded, linked to its node, not charged. Errors: as above. */
int mu_kubelet_add_pod(struct mu_kubelets *k, struct mu_kobject *object, uint32_t *slot);
void mu_kubelet_drop_pod(struct mu_kubelets *k, uint32_t slot);
void mu_kubelet_link_pod(struct mu_kubelets *k, uint32_t pod, uint32_t node);
/* Charge a pod to its node if it fits; else the reason is in `reason` ("OutOfcpu"). */
bool mu_kubelet_admit(struct mu_kubelets *k, uint32_t pod, char *reason, size_t size);

#endif
