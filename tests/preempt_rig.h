#ifndef MU_TESTS_PREEMPT_RIG_H
#define MU_TESTS_PREEMPT_RIG_H
/*
 * Preemption on a snapshot that was built by hand: the cluster, who is on it, placing, and a layout
 * that puts one member after the other.
 */
#include "tests/mu_test.h"

#include "engine/preempt/preempt_priv.h"
#include "tests/support/occupants.h"
#include "tests/support/oracle.h"

#define RIG_MEMBERS_MAX 64u

struct preempt_rig {
    struct mu_cluster cluster;
    struct mu_crowd crowd;
    struct mu_place *place;
    struct mu_preempt *preempt;
    struct mu_arena *arena;
    struct mu_preempt_config config;
    uint32_t gang; /* that asks, or is being laid out */
    uint32_t size;
    uint32_t nodes[RIG_MEMBERS_MAX];
    uint16_t devices[RIG_MEMBERS_MAX];
};

/* The cluster and the crowd are the caller's to fill, between init and open. */
static inline void rig_init(struct preempt_rig *rig, uint32_t nodes, uint32_t gangs)
{
    memset(rig, 0, sizeof *rig);
    mu_cluster_init(&rig->cluster, nodes, gangs);
}

static inline void rig_open(struct preempt_rig *rig)
{
    rig->place = mu_place_create(&mu_profile_spread, NULL);
    rig->preempt = mu_preempt_create(&rig->config);
    rig->arena = mu_arena_create((size_t)64 << 20);
    assert_true(rig->place != NULL && rig->preempt != NULL && rig->arena != NULL);
    mu_place_begin(rig->place, &rig->cluster.snapshot);
    mu_preempt_begin(rig->preempt, &rig->cluster.snapshot, 0);
}

static inline void rig_close(struct preempt_rig *rig)
{
    mu_place_end(rig->place);
    mu_preempt_destroy(rig->preempt);
    mu_place_destroy(rig->place);
    mu_arena_destroy(rig->arena);
    mu_crowd_fini(&rig->crowd);
    mu_cluster_fini(&rig->cluster);
}

/* Greedily, in canonical order; a sub-group after the other, then up to the size. */
static inline int rig_lay(void *context, bool *done)
{
    struct preempt_rig *rig = context;
    const struct mu_gang_row *row = &rig->cluster.snapshot.gangs[rig->gang];
    const struct mu_gang_block *block = row->block;
    uint32_t placed = 0;
    int error = 0;
    *done = true;
    for (uint32_t m = 0; m < block->member_count; m++)
        rig->nodes[m] = MU_NONE;
    mu_place_trial(rig->place);
    for (uint32_t g = 0; g <= block->subgroup_count && *done && error == 0; g++) {
        bool last = g == block->subgroup_count;
        uint32_t begin = last ? 0 : block->subgroups[g].member_begin;
        uint32_t count = last ? block->member_count : block->subgroups[g].member_count;
        uint32_t need = last ? 0 : mu_gang_subgroup_need(&block->subgroups[g]);
        if (last && rig->size > placed + row->placed_count)
            need = rig->size - placed - row->placed_count;
        for (uint32_t m = begin; m < begin + count && need > 0 && error == 0; m++) {
            struct mu_node_ix node;
            if (rig->nodes[m] != MU_NONE)
                continue;
            const struct mu_gang_member *member = &block->members[m];
            error = mu_place_put(rig->place, (struct mu_place_pod){member->class_ix, member->kin},
                                 &node);
            if (error != 0 || node.v == MU_NONE)
                continue;
            rig->nodes[m] = node.v;
            rig->devices[m] = mu_place_devices(rig->place);
            placed++;
            need--;
        }
        *done = need == 0;
    }
    if (error == 0 && *done)
        mu_place_commit(rig->place);
    else
        mu_place_rollback(rig->place);
    return error;
}

static inline struct mu_preempt_ask rig_ask(struct preempt_rig *rig, uint32_t gang)
{
    rig->gang = gang;
    rig->size = rig->cluster.snapshot.gangs[gang].size;
    mu_place_whom(rig->place, rig->cluster.snapshot.gangs[gang].priority,
                  (struct mu_gang_ix){gang});
    return (struct mu_preempt_ask){.place = rig->place,
                                   .snapshot = &rig->cluster.snapshot,
                                   .gang = {gang},
                                   .size = rig->size,
                                   .evict_max = UINT32_MAX,
                                   .nodes = rig->nodes,
                                   .devices = rig->devices,
                                   .lay = rig_lay,
                                   .context = rig,
                                   .arena = rig->arena};
}

static inline int rig_find(struct preempt_rig *rig, uint32_t gang, struct mu_preempt_found *found)
{
    const struct mu_preempt_ask ask = rig_ask(rig, gang);
    return mu_preempt_find(rig->preempt, &ask, found);
}

static inline int rig_commit(struct preempt_rig *rig, uint32_t gang)
{
    const struct mu_preempt_ask ask = rig_ask(rig, gang);
    return mu_preempt_commit(rig->preempt, &ask);
}

/* A pending gang of `count` members of one class. */
static inline uint32_t rig_gang(struct preempt_rig *rig, struct mu_class_ix class_ix,
                                uint32_t count, int32_t priority)
{
    uint32_t gang = mu_cluster_plain_gang(&rig->cluster, class_ix, count);
    rig->cluster.snapshot.gangs[gang].priority = priority;
    rig->cluster.snapshot.gangs[gang].priority_high = priority;
    return gang;
}

#endif
