#ifndef MU_ENGINE_SNAPSHOT_H
#define MU_ENGINE_SNAPSHOT_H
/*
 * A snapshot is a flat replica of what a session needs, point-in-time by construction: the DB's
 * writer copies into it, between batches, the rows that changed since its last sync; then it
 * belongs to the session until it is handed back. No locks, no torn reads.
 *
 * Ownership passes with the pointer: writer (mu_db_replica_sync) -> session -> writer. Everything
 * that a replica can reach by id (classes, sets, symbols, gang blocks) stays readable until the
 * replica's next sync has begun.
 *
 * The session may use free[] and pod counts as scratch while it places, if it undoes every change
 * before it hands the replica back (engine/place/place.h keeps the undo log).
 */
#include <stdbool.h>
#include <stdint.h>
#include "engine/census.h"
#include "engine/limits.h"
#include "engine/model/model.h"

struct mu_node_ix {
    uint32_t v;
};
struct mu_pod_ix {
    uint32_t v;
};
struct mu_gang_ix {
    uint32_t v;
};
#define MU_NONE UINT32_MAX

/* Rows that a scan takes at once: one word of a bitmap. */
#define MU_NODE_CHUNK 64u

/* A UID: the 128 bits of a canonical UUID, or (MU_UID_TEXT, symbol) for any other text. */
struct mu_uid {
    uint64_t hi;
    uint64_t lo;
};
#define MU_UID_TEXT UINT64_MAX
/* A part of it that tells pods apart which had the same record one after the other. */
static inline uint32_t mu_uid_check(struct mu_uid uid)
{
    uint64_t x = uid.hi ^ uid.lo * UINT64_C(0x9e3779b97f4a7c15);
    return (uint32_t)(x ^ x >> 32);
}
static inline bool mu_uid_equal(struct mu_uid a, struct mu_uid b)
{
    return a.hi == b.hi && a.lo == b.lo;
}

enum {
    MU_NODE_PRESENT = 1u << 0, /* a row without it is a hole: nothing fits */
    MU_NODE_UNSCHEDULABLE = 1u << 1
};

/* Static columns of a node row: they change with the node object, not with placements. */
struct mu_node_static {
    uint32_t flags;
    struct mu_label_set_ix labels;
    struct mu_taint_set_ix taints;
    struct mu_capacity_ix capacity; /* rows of one capacity are contiguous in chunks. Holes: 0 */
    struct mu_symbol name;
    struct mu_symbol hostname;
    uint32_t tie;        /* hash of the name: the documented tie-break, smaller wins */
    uint32_t generation; /* of this row's occupant: a reused row has another */
};

/* One member of a pending gang that still wants a node. */
struct mu_gang_member {
    struct mu_pod_ix pod;
    struct mu_class_ix class_ix;
    struct mu_kin_ix kin;
    struct mu_uid uid;
    uint64_t version;       /* as last seen: the precondition of its bind */
    struct mu_node_ix held; /* room that the ledger holds for this pod; MU_NONE: none */
    uint32_t held_generation;
    uint16_t held_devices; /* of them, where the held room has any */
};
/* Several sub-groups with minima: each that must have members is here, with none as well. */
#define MU_MIN_NONE UINT32_MAX
struct mu_gang_subgroup {
    uint32_t min;          /* members of this sub-group that must run; 0: all of them; MU_MIN_NONE:
                            * none, they count for the gang's size alone */
    uint32_t placed;       /* members bound, or in the ledger on their way to it */
    uint32_t member_begin; /* its pending members: members[member_begin .. +member_count) */
    uint32_t member_count; /* in canonical order: created, then UID */
};
/* Pending members that the sub-group needs on top of those placed. */
static inline uint32_t mu_gang_subgroup_need(const struct mu_gang_subgroup *subgroup)
{
    if (subgroup->min == 0)
        return subgroup->member_count;
    if (subgroup->min == MU_MIN_NONE)
        return 0;
    return subgroup->min > subgroup->placed ? subgroup->min - subgroup->placed : 0;
}
/* Immutable; rebuilt by the writer when the gang changes, reclaimed by generation. */
struct mu_gang_block {
    uint32_t subgroup_count;
    uint32_t member_count;
    const struct mu_gang_subgroup *subgroups;
    const struct mu_gang_member *members;
};
/* A pod that is seen bound to a row and not terminal, of any scheduler: it goes when it is evicted.
 * Pods in the ledger are none. */
enum {
    MU_OCCUPANT_TERMINATING = 1u << 0, /* leaves without being asked, never a victim */
    MU_OCCUPANT_SPARED = 1u << 1,      /* marked as no victim; its gang's row says it of all */
    MU_OCCUPANT_CONTROLLED = 1u << 2   /* a controller owns it and would recreate it */
};
struct mu_occupant {
    struct mu_pod_ix pod;
    uint32_t check; /* of its UID (mu_uid_check): a reused record has another, most likely */
    struct mu_class_ix class_ix;
    struct mu_kin_ix kin;
    struct mu_gang_ix gang; /* MU_NONE: not ours, a victim unit by itself */
    int32_t priority;
    uint32_t started; /* seconds since 1970, UINT32_MAX: not known to have started */
    uint16_t devices; /* that it was given, 0: not said */
    uint16_t flags;
};
/* Those of one row, in the canonical order of UIDs; none where they are more than
 * MU_OCCUPANTS_MAX. Immutable; as gang blocks. */
struct mu_occupants {
    uint32_t count;
    struct mu_occupant pods[];
};
/* How many more pods that a disruption budget covers may be disrupted; may be negative. */
struct mu_budget {
    int32_t allowed;
    uint32_t disrupted_begin; /* pods that are being disrupted already, and count no more: */
    uint32_t disrupted_count; /* budget_disrupted[begin .. +count), ascending */
};
/* The budgets that cover pods of one kin, ascending numbers. */
struct mu_kin_budgets {
    uint32_t count;
    uint32_t budgets[];
};

enum {
    /* Has live members without a node, blocked ones included (its block lists those that are not
     * blocked and may be empty); a row without it is skipped. */
    MU_GANG_PENDING = 1u << 0,
    MU_GANG_SHORT = 1u << 1,   /* some members placed, fewer than the minimum of the gang or of one
                                * of its sub-groups: completed first */
    MU_GANG_SETTLED = 1u << 2, /* its size is known: stated, or frozen when first placed */
    MU_GANG_SPARED = 1u << 3,  /* none of its pods is ever a victim */
    MU_GANG_SINGLE = 1u << 4,  /* its pods are victim units one by one */
    MU_GANG_NEVER = 1u << 5,   /* never preempts */
    MU_GANG_PACK_REQUIRED = 1u << 6, /* pack_key binds; else it is preferred */
    MU_GANG_PARTS = 1u << 7,         /* sub-groups with minima of their own: who is surplus
                                      * cannot be told from its size */
    MU_GANG_WHOLE = 1u << 8,         /* its minimum was bound once, and some of it still is */
    MU_GANG_ENDING = 1u << 9         /* its members are being ended: nobody is placed */
};
struct mu_gang_row {
    uint32_t flags;
    uint32_t generation; /* of this row's occupant */
    uint32_t revision;   /* moves with anything about the gang but its members' versions */
    /* Its group object's; or else: */
    int32_t priority;          /* lowest of its members: what it may preempt by */
    int32_t priority_high;     /* highest of them: what it is a victim by */
    struct mu_symbol pack_key; /* all members in one domain of this label; symbol 0: anywhere */
    struct mu_node_ix home;    /* row of one of the members with a place; MU_NONE: none has */
    uint64_t created_s;        /* earliest member */
    uint64_t sequence;         /* order of first sight: breaks ties of created_s */
    uint64_t settle_ns;        /* not SETTLED: time at which it counts as complete */
    uint32_t size;             /* stated or frozen minimum over all sub-groups; 0 until settled */
    uint32_t member_count;     /* live members: pending, placed, gated */
    uint32_t placed_count;     /* bound, or in the ledger on their way to it */
    uint32_t bound_count;      /* of those: seen bound, or confirmed by the server */
    uint32_t blocked_count;    /* live members that are gated or use unbuilt rules */
    uint32_t blocked_rules;    /* union of their enum mu_rule; 0 with blocked_count: gates only */
    uint32_t timeout_s;        /* for a part that is bound to be completed; 0: not stated */
    uint32_t controlled_count; /* seen bound, and owned by a controller that would recreate them */
    uint64_t short_ns; /* since when it is seen to be bound in part: fewer than its minimum although
                        * there are members for it. Those that ended by themselves count as if they
                        * ran. 0: it is not */
    const struct mu_gang_block *block; /* NULL without MU_GANG_PENDING */
};

/* A request for devices that is common among the live pods (engine/place/fragment.h). */
struct mu_typical {
    int64_t cpu, memory;
    uint32_t devices, millis; /* so many, with so much left of each */
    uint32_t permille;        /* of all that are listed, rounded down */
};

/* A pod that is not bound and expected on a node: others of no higher priority leave it room. */
struct mu_nominated {
    struct mu_pod_ix pod;
    struct mu_node_ix node;
    int32_t priority;
    struct mu_class_ix class_ix;
    struct mu_kin_ix kin;
    struct mu_gang_ix gang; /* MU_NONE: not one of ours */
};

/* How many nodes list each image: by symbol, in pages. */
#define MU_IMAGE_PAGE  1024u
#define MU_IMAGE_PAGES (MU_SYMBOLS_MAX / MU_IMAGE_PAGE)
struct mu_image_page {
    uint64_t moved; /* image generation of its last change */
    uint32_t nodes[MU_IMAGE_PAGE];
};

struct mu_snapshot {
    const struct mu_model *model;
    uint64_t generation; /* DB batch that it shows */
    /* Nodes: rows [0, node_rows), columns of node_cap entries each, 64-byte aligned. node_cap is a
     * multiple of MU_NODE_CHUNK, so that a scan reads whole chunks; what it reads beyond node_rows
     * is initialised and ignored. */
    uint32_t node_rows;
    uint32_t node_cap;
    uint32_t node_count; /* rows with MU_NODE_PRESENT */
    uint32_t resource_count;
    int64_t *free[MU_RESOURCES_MAX]; /* allocatable - bound - ledger; may be negative */
    struct mu_node_static *nodes;    /* allocatable amounts are their capacity's */
    /* Devices that are tracked one by one, by row; NULL: no node has any. The columns of the whole
     * and the shared device resource follow from them: entirely free devices (0 where whole ones
     * are not ours to choose), and the most that one device has left (engine/device.h). */
    struct mu_device_row *devices;
    uint32_t share_resource; /* with devices: the number of MU_GPU_SHARE_RESOURCE */
    uint32_t typical_count;  /* the most common first */
    struct mu_typical typical[MU_TYPICAL_MAX];
    /* Images by row, and nodes by image: pages, NULL where no node has any of their symbols. Both
     * NULL: no node has listed any. The generation moves with either. */
    struct mu_image_set_ix *images;
    struct mu_image_page *const *image_pages;
    uint64_t image_generation;
    /* Topology keys in use: the domain of each row, MU_NONE where the node lacks the label. */
    uint32_t topology_count;
    struct mu_symbol topology_keys[MU_TOPOLOGIES_MAX];
    uint32_t *topology[MU_TOPOLOGIES_MAX];
    uint32_t domain_bound[MU_TOPOLOGIES_MAX]; /* one past the largest domain number */
    /* Moves when the domain of any row does, node objects or not; never the same for two keys. */
    uint64_t domain_generation[MU_TOPOLOGIES_MAX];
    uint32_t census_count; /* numbers in use are below it */
    struct mu_census *censuses;
    const struct mu_class_census *const *class_census; /* by class index; NULL: asks none */
    uint32_t class_census_count;
    const struct mu_kin_census *const *kin_census; /* by kin index; NULL: none matches it */
    uint32_t kin_census_count;
    uint64_t term_generation;   /* moves when a count, a domain or a census changes */
    uint64_t static_generation; /* moves when any static column of any row changes */
    /* The rows whose static columns changed after generation static_base, or whose images changed
     * after image_base, in no order and perhaps more than once. NULL: too many to list, or nobody
     * knows: any row may have. */
    uint64_t static_base, image_base;
    const uint32_t *static_changed;
    uint32_t static_changed_count;
    /* The same for amounts that are free and for devices, after `generation` free_base. */
    uint64_t free_base;
    const uint32_t *free_changed;
    uint32_t free_changed_count;
    uint32_t nominated_count;
    const struct mu_nominated *nominated;
    /* Who is on each row, by row; NULL for a row without any. The column is NULL where no pending
     * gang could preempt: none that may has a higher priority than some bound pod. */
    const struct mu_occupants **occupants;
    /* Moves when those of any row do, and when anything does that says who may be a victim and at
     * what cost: gangs that have some of them, budgets. */
    uint64_t occupant_generation;
    uint32_t budget_count;
    const struct mu_budget *budgets;
    const struct mu_pod_ix *budget_disrupted;
    const struct mu_kin_budgets *const *kin_budgets; /* by kin index; NULL: none covers it */
    uint32_t kin_budgets_count;
    uint64_t capacity_generation; /* moves when room grows on any node */
    /* Gangs: rows [0, gang_rows). */
    uint32_t gang_rows;
    uint32_t gang_cap;
    struct mu_gang_row *gangs;
    uint32_t pending_gangs; /* rows with MU_GANG_PENDING */
};

/* The labels of a present row, as selectors see them. */
static inline struct mu_labels_view mu_snapshot_labels(const struct mu_snapshot *snapshot,
                                                       struct mu_node_ix node)
{
    const struct mu_node_static *n = &snapshot->nodes[node.v];
    return mu_model_labels(snapshot->model, n->labels, n->hostname);
}

/* What a row can allocate of a resource, of MU_RES_PODS its pod slots; nothing on a hole. */
static inline int64_t mu_snapshot_alloc(const struct mu_snapshot *snapshot, uint32_t resource,
                                        uint32_t row)
{
    return mu_capacity_amount(mu_model_get_capacity(snapshot->model, snapshot->nodes[row].capacity),
                              resource);
}

/* Nodes that list an image. */
static inline uint32_t mu_snapshot_image_nodes(const struct mu_snapshot *snapshot,
                                               struct mu_symbol name)
{
    const struct mu_image_page *page =
        snapshot->image_pages == NULL ? NULL : snapshot->image_pages[name.v / MU_IMAGE_PAGE];
    return page == NULL ? 0 : page->nodes[name.v % MU_IMAGE_PAGE];
}

#endif
