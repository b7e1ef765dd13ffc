#ifndef MU_TESTS_SUPPORT_CLUSTER_H
#define MU_TESTS_SUPPORT_CLUSTER_H
/*
 * A snapshot built by hand, from plain values, without the cluster DB: for tests and benches of
 * what works on snapshots. It keeps the contract of engine/snapshot.h: padded columns, generations,
 * ties and canonical order of members.
 *
 * Everything is allocated with the project's allocator and freed by mu_cluster_fini(). Running out
 * of memory or of the room given at init aborts.
 */
#include "engine/snapshot.h"

#define MU_CLUSTER_CHANGED_MAX 64u
struct mu_cluster {
    struct mu_model *model;
    struct mu_snapshot snapshot;
    uint32_t pods; /* members made so far: their pod indexes and UIDs */
    uint64_t sequence;
    bool tracked; /* the snapshot lists which rows' static columns or images have changed */
    struct mu_image_page **image_pages; /* what the snapshot shows, to write */
    uint32_t changed[MU_CLUSTER_CHANGED_MAX];
    uint32_t freed[MU_CLUSTER_CHANGED_MAX]; /* the same for free amounts */
};

void mu_cluster_init(struct mu_cluster *cluster, uint32_t node_cap, uint32_t gang_cap);
void mu_cluster_fini(struct mu_cluster *cluster);

/* Add a node with all of it free, its devices too. Returns its row. */
uint32_t mu_cluster_node(struct mu_cluster *cluster, const struct mu_node_object *node);
/* The same for a node with cpu, memory, pod slots, and `devices` of example.com/device. */
uint32_t mu_cluster_plain_node(struct mu_cluster *cluster, const char *name, int64_t cpu_millis,
                               int64_t memory_bytes, int64_t pods, int64_t devices);
/* Add a hole: a row without a node. */
uint32_t mu_cluster_hole(struct mu_cluster *cluster);
/* Change what is free (negative: take), and move the generations that a DB would move. */
void mu_cluster_free_add(struct mu_cluster *cluster, uint32_t row, uint32_t resource,
                         int64_t amount);
/* Let so much be left of a device of a tracked row, and move the generations. */
void mu_cluster_device_set(struct mu_cluster *cluster, uint32_t row, uint32_t device,
                           uint16_t millis);
/* Change what a row can allocate of a resource, free amounts aside; other calls move generations.
 */
void mu_cluster_alloc_set(struct mu_cluster *cluster, uint32_t row, uint32_t resource,
                          int64_t amount);
/* Change flags of a node, and move the static generation. */
void mu_cluster_flags(struct mu_cluster *cluster, uint32_t row, uint32_t flags);
/* The same for labels, and for taints. */
void mu_cluster_relabel(struct mu_cluster *cluster, uint32_t row, const struct mu_label *labels,
                        uint32_t count);
void mu_cluster_taint(struct mu_cluster *cluster, uint32_t row, const struct mu_taint *taints,
                      uint32_t count);
/* Change the images of a node, and move the image generation. */
void mu_cluster_images(struct mu_cluster *cluster, uint32_t row, const struct mu_image *images,
                       uint32_t count);
/* Let the domains of a label's key be what the nodes have now, as number 0 of the topologies in
 * use; called again after nodes came or were labelled. Returns the key. */
struct mu_symbol mu_cluster_topology(struct mu_cluster *cluster, const char *key);
/* From now on the snapshot lists the rows that all of these change, as the DB's do: those since
 * the last call of mu_cluster_handed_over. Without it any row may have changed. */
void mu_cluster_track(struct mu_cluster *cluster);
void mu_cluster_handed_over(struct mu_cluster *cluster);

struct mu_class_ix mu_cluster_class(struct mu_cluster *cluster, const struct mu_pod_object *pod);
/* A class of cpu, memory and devices; 0: not requested. */
struct mu_class_ix mu_cluster_plain_class(struct mu_cluster *cluster, int64_t cpu_millis,
                                          int64_t memory_bytes, int64_t devices);

/* A gang to add. Members are pending; those placed or blocked are only counted. */
struct mu_cluster_member {
    struct mu_class_ix class_ix;
    uint32_t held; /* row whose room the member holds, MU_NONE: none; room is taken by the caller */
    uint16_t devices; /* of that row */
};
struct mu_cluster_subgroup {
    uint32_t min;
    uint32_t placed;
    uint32_t member_count;
    const struct mu_cluster_member *members;
};
struct mu_cluster_gang {
    uint32_t flags; /* MU_GANG_PENDING is added */
    int32_t priority;
    uint64_t created_s;
    uint64_t settle_ns;
    uint32_t size;
    uint32_t blocked_count;
    uint32_t blocked_rules;
    uint32_t subgroup_count;
    const struct mu_cluster_subgroup *subgroups;
    struct mu_symbol pack_key; /* see mu_cluster_topology; the flag says whether it is required */
    uint32_t home;             /* with pack_key, where some are placed: the row of one of them */
};
/* Returns the gang's row. */
uint32_t mu_cluster_gang(struct mu_cluster *cluster, const struct mu_cluster_gang *gang);
/* A settled gang of `count` members of one class, all needed. */
uint32_t mu_cluster_plain_gang(struct mu_cluster *cluster, struct mu_class_ix class_ix,
                               uint32_t count);
/* The row has no members that want a node any more. */
void mu_cluster_gang_done(struct mu_cluster *cluster, uint32_t gang);

#endif
