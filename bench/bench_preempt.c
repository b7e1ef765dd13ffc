/*
 * Preempting in sessions, on nodes that are full.
 *
 *     preempt       lone pods of higher priority arrive, as many as there are nodes, each of which
 *                   runs four pods of nine priorities. Three of a node's four make room for one
 *                   arrival; the most important of them is spared
 *     preempt_plan  one gang of members that take a whole node each. Of every 13 nodes two run
 *                   three pods of lower priority each, of which all have to go for one member; the
 *                   others one pod of higher priority
 *
 * A round is one session of the default profile, all of it timed: queue, the attempt to place
 * without victims, the index of who could leave, victims, the proof by placing, plan, and the
 * snapshot put back. It gets a snapshot that lists the occupants, as the cluster DB hands it over;
 * what it costs to list them and to keep the lists is timed by the snapshot benches. The pods that
 * ask are other ones in each round, and room may have grown since the last: nothing is recalled of
 * them or of the victims.
 *
 * Checked: every preemptor is placed; victims are of lower priority and none is evicted twice;
 * each is needed by the numbers of its node; nothing is over-committed once they have gone. The
 * same shape at a hundredth gives the same plan with all caches dropped, and for lone pods the
 * nodes and victims of a naive twin that looks at every pod of every node, each time.
 */
#include "bench/bench.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "bench/times.h"
#include "engine/base/hash.h"
#include "engine/base/random.h"
#include "tests/support/occupants.h"
#include "tests/support/oracle.h"

#define MI         INT64_C(1048576)
#define HUNDREDTH  100u
#define PRIORITIES 9u
#define PREEMPTOR  10 /* its priority */
#define LOW_MAX    4u /* victims that a node can have */

struct shape {
    uint32_t nodes;
    uint32_t classes; /* of preemptors */
    uint32_t members; /* of the one gang; 0: lone pods, one for each node */
    uint32_t victims; /* that the plan has to have */
};

struct world {
    struct mu_cluster cluster;
    struct mu_crowd crowd;
};

static struct mu_occupant occupant_draw(struct mu_random *random, struct mu_class_ix class_ix,
                                        int32_t priority)
{
    return (struct mu_occupant){.class_ix = class_ix,
                                .gang = {MU_NONE},
                                .priority = priority,
                                .started = (uint32_t)mu_random_between(random, 1, 100000)};
}

static int32_t priority_draw(struct mu_random *random)
{
    return (int32_t)mu_random_below(random, PRIORITIES);
}

/* Whether the row runs pods that can be displaced by the gang. */
static bool has_victims(uint32_t row)
{
    return row % 13 == 3 || row % 13 == 10;
}

static void crowd_fill(struct world *w, const struct shape *shape, struct mu_random *random)
{
    struct mu_class_ix quarter = mu_cluster_plain_class(&w->cluster, 900, 500 * MI, 0);
    struct mu_class_ix third = mu_cluster_plain_class(&w->cluster, 1300, 500 * MI, 0);
    struct mu_class_ix all = mu_cluster_plain_class(&w->cluster, 3900, 500 * MI, 0);
    for (uint32_t row = 0; row < shape->nodes; row++) {
        bool low = shape->members == 0 || has_victims(row);
        uint32_t count = !low ? 1 : shape->members == 0 ? LOW_MAX : 3;
        struct mu_class_ix class_ix = !low ? all : shape->members == 0 ? quarter : third;
        for (uint32_t i = 0; i < count; i++)
            (void)mu_crowd_add(
                &w->crowd, row,
                occupant_draw(random, class_ix, low ? priority_draw(random) : PREEMPTOR));
    }
}

static void preempts_by(struct mu_cluster *cluster, uint32_t gang)
{
    cluster->snapshot.gangs[gang].priority = PREEMPTOR;
    cluster->snapshot.gangs[gang].priority_high = PREEMPTOR;
}

static void world_make(struct world *w, const struct shape *shape)
{
    struct mu_cluster *cluster = &w->cluster;
    struct mu_random random;
    struct mu_class_ix classes[16];
    const uint32_t class_count = shape->classes;
    MU_ASSERT(class_count > 0 && class_count <= 16);
    mu_random_init_seed(&random, 1);
    mu_cluster_init(cluster, shape->nodes, shape->members > 0 ? 1 : shape->nodes);
    for (uint32_t n = 0; n < shape->nodes; n++) {
        char name[32];
        (void)snprintf(name, sizeof name, "node-%" PRIu32, n);
        (void)mu_cluster_plain_node(cluster, name, 4000, 32768 * MI, 110, 0);
    }
    mu_crowd_init(&w->crowd, cluster);
    crowd_fill(w, shape, &random);
    if (shape->members > 0) {
        struct mu_class_ix whole = mu_cluster_plain_class(cluster, 4000, 500 * MI, 0);
        preempts_by(cluster, mu_cluster_plain_gang(cluster, whole, shape->members));
    }
    for (uint32_t c = 0; c < class_count; c++)
        classes[c] = mu_cluster_plain_class(cluster, 3000 - 40 * c, 500 * MI, 0);
    for (uint32_t n = 0; shape->members == 0 && n < shape->nodes; n++)
        preempts_by(cluster, mu_cluster_plain_gang(cluster, classes[n % class_count], 1));
    mu_cluster_track(cluster);
}

static void world_free(struct world *w)
{
    mu_crowd_fini(&w->crowd);
    mu_cluster_fini(&w->cluster);
}

/* Others have come for those that asked, and room and pods have moved somewhere. */
static void world_move(struct world *w)
{
    struct mu_snapshot *s = &w->cluster.snapshot;
    mu_cluster_handed_over(&w->cluster);
    s->generation++;
    s->capacity_generation++;
    s->occupant_generation++;
    for (uint32_t g = 0; g < s->gang_rows; g++)
        s->gangs[g].generation++;
}

static struct mu_session *session_make(void)
{
    const struct mu_session_config config = {.profile = &mu_profile_default, .preempts = true};
    struct mu_session *session = mu_session_create(&config);
    MU_ASSERT(session != NULL);
    return session;
}

/* ---- checks ------------------------------------------------------------------------------- */

/* What a plan makes of the rows. */
struct after {
    int64_t *cpu, *pods;  /* free, all victims gone and all binds there */
    int64_t *least_cpu;   /* least that a victim of the row asks for; INT64_MAX: none */
    uint8_t *evicted;     /* by pod */
    uint32_t evict_count; /* of the plan */
};

static const struct mu_occupant *occupant_of(const struct mu_snapshot *s,
                                             const struct mu_plan_evict *evict)
{
    const struct mu_occupants *list = s->occupants[evict->node.v];
    for (uint32_t i = 0; list != NULL && i < list->count; i++)
        if (list->pods[i].pod.v == evict->pod.v)
            return &list->pods[i];
    return NULL;
}

static int64_t cpu_of(const struct mu_snapshot *s, struct mu_class_ix class_ix)
{
    const struct mu_class *class_ = mu_model_get_class(s->model, class_ix);
    MU_ASSERT(class_->demands[0].resource.v == MU_RES_CPU);
    return class_->demands[0].amount;
}

/* Charge one gang of the plan. False: a victim is none, or goes twice. */
static bool gang_charge(const struct mu_snapshot *s, const struct mu_plan_gang *gang,
                        struct after *after)
{
    bool right = true;
    for (uint32_t e = 0; e < gang->evict_count; e++) {
        const struct mu_plan_evict *evict = &gang->evicts[e];
        const struct mu_occupant *o = occupant_of(s, evict);
        if ((evict->flags & MU_EVICT_LEAVING) != 0)
            continue;
        if (o == NULL || o->priority >= PREEMPTOR || after->evicted[o->pod.v])
            return false;
        int64_t cpu = cpu_of(s, o->class_ix);
        after->evicted[o->pod.v] = 1;
        after->evict_count++;
        after->cpu[evict->node.v] += cpu;
        after->pods[evict->node.v]++;
        if (cpu < after->least_cpu[evict->node.v])
            after->least_cpu[evict->node.v] = cpu;
    }
    for (uint32_t b = 0; b < gang->bind_count; b++) {
        struct mu_class_ix class_ix = s->gangs[gang->gang.v].block->members[b].class_ix;
        after->cpu[gang->binds[b].node.v] -= cpu_of(s, class_ix);
        after->pods[gang->binds[b].node.v]--;
    }
    for (uint32_t b = 0; b < gang->bind_count; b++) {
        uint32_t row = gang->binds[b].node.v;
        right = right && after->cpu[row] >= 0 && after->pods[row] >= 0 &&
                after->least_cpu[row] != INT64_MAX && after->cpu[row] < after->least_cpu[row];
    }
    return right;
}

/* All are placed, nobody leaves for nothing or in vain. CPU is what is short. */
static bool plan_right(const struct world *w, const struct shape *shape, const struct mu_plan *plan)
{
    const struct mu_snapshot *s = &w->cluster.snapshot;
    struct after after = {.cpu = mu_mem_calloc(s->node_rows, sizeof *after.cpu),
                          .pods = mu_mem_calloc(s->node_rows, sizeof *after.pods),
                          .least_cpu = mu_mem_calloc(s->node_rows, sizeof *after.least_cpu),
                          .evicted = mu_mem_calloc(w->cluster.pods, 1)};
    MU_ASSERT(after.cpu != NULL && after.pods != NULL && after.least_cpu != NULL &&
              after.evicted != NULL);
    for (uint32_t row = 0; row < s->node_rows; row++) {
        after.cpu[row] = s->free[MU_RES_CPU][row];
        after.pods[row] = s->free[MU_RES_PODS][row];
        after.least_cpu[row] = INT64_MAX;
    }
    bool right = plan->wait_count == 0;
    for (uint32_t g = 0; right && g < plan->gang_count; g++)
        right = plan->gangs[g].evict_count > 0 && gang_charge(s, &plan->gangs[g], &after);
    right = right && after.evict_count == shape->victims;
    mu_mem_free(after.cpu);
    mu_mem_free(after.pods);
    mu_mem_free(after.least_cpu);
    mu_mem_free(after.evicted);
    return right;
}

/* What a plan says, as a number. */
static uint64_t plan_hash(const struct mu_plan *plan)
{
    uint64_t hash = plan->gang_count;
    for (uint32_t g = 0; g < plan->gang_count; g++) {
        for (uint32_t b = 0; b < plan->gangs[g].bind_count; b++)
            hash = mu_hash_mix(hash, plan->gangs[g].binds[b].node.v);
        for (uint32_t e = 0; e < plan->gangs[g].evict_count; e++)
            hash = mu_hash_mix(hash, plan->gangs[g].evicts[e].pod.v);
    }
    return hash;
}

/* ---- the naive twin ------------------------------------------------------------------------ */

/* A row as a lone pod's candidate: who has to go, most important first, and how bad that is. */
struct candidate {
    uint32_t row;
    uint32_t count;
    const struct mu_occupant *victims[LOW_MAX];
    int32_t highest;
    int64_t weight;
    uint32_t started;
};

static bool more_important(const struct mu_occupant *a, const struct mu_occupant *b)
{
    return a->priority != b->priority ? a->priority > b->priority : a->started < b->started;
}

/* Who has to leave the row for a pod of so much CPU: all leave, then each is spared that can be.
 * False: it would not fit all the same. */
static bool row_judge(const struct mu_snapshot *s, const bool *gone, uint32_t row, int64_t cpu,
                      struct candidate *out)
{
    const struct mu_occupants *list = s->occupants[row];
    const struct mu_occupant *sorted[LOW_MAX];
    int64_t room = s->free[MU_RES_CPU][row];
    uint32_t count = 0;
    *out = (struct candidate){.row = row, .started = UINT32_MAX};
    for (uint32_t i = 0; i < list->count; i++) {
        uint32_t at = count;
        room += cpu_of(s, list->pods[i].class_ix);
        if (gone[list->pods[i].pod.v])
            continue;
        for (count++; at > 0 && more_important(&list->pods[i], sorted[at - 1]); at--)
            sorted[at] = sorted[at - 1];
        sorted[at] = &list->pods[i];
    }
    if (room < cpu)
        return false;
    for (uint32_t i = 0; i < count; i++) {
        int64_t back = cpu_of(s, sorted[i]->class_ix);
        if (room - back >= cpu) {
            room -= back;
            continue;
        }
        out->highest = out->count == 0 ? sorted[i]->priority : out->highest;
        out->started = out->count == 0 ? sorted[i]->started : out->started;
        out->weight += sorted[i]->priority + (INT64_C(1) << 31);
        out->victims[out->count++] = sorted[i];
    }
    return true;
}

static bool is_better(const struct mu_snapshot *s, const struct candidate *a,
                      const struct candidate *b)
{
    if (a->highest != b->highest)
        return a->highest < b->highest;
    if (a->weight != b->weight)
        return a->weight < b->weight;
    if (a->count != b->count)
        return a->count < b->count;
    if (a->started != b->started)
        return a->started > b->started;
    return s->nodes[a->row].tie != s->nodes[b->row].tie
               ? s->nodes[a->row].tie < s->nodes[b->row].tie
               : a->row < b->row;
}

/* The plan of lone pods, decided one by one. Charges the snapshot. */
static bool naive_agrees(struct world *w, const struct mu_plan *plan)
{
    struct mu_snapshot *s = &w->cluster.snapshot;
    bool *gone = mu_mem_calloc(w->cluster.pods, sizeof *gone);
    bool right = gone != NULL;
    for (uint32_t g = 0; right && g < plan->gang_count; g++) {
        const struct mu_plan_gang *gang = &plan->gangs[g];
        struct mu_class_ix class_ix = s->gangs[gang->gang.v].block->members[0].class_ix;
        struct candidate best = {.row = MU_NONE}, one;
        for (uint32_t row = 0; row < s->node_rows; row++)
            if (row_judge(s, gone, row, cpu_of(s, class_ix), &one) &&
                (best.row == MU_NONE || is_better(s, &one, &best)))
                best = one;
        right = best.row == gang->binds[0].node.v && best.count == gang->evict_count;
        for (uint32_t v = 0; right && v < best.count; v++) {
            right = gang->evicts[v].pod.v == best.victims[v]->pod.v;
            gone[best.victims[v]->pod.v] = true;
        }
        if (right)
            mu_oracle_charge(s, class_ix, best.row, 1);
    }
    mu_mem_free(gone);
    return right;
}

/* The shape at a hundredth: twice the same with the caches dropped in between, and as the naive
 * twin decides. */
static bool hundredth_right(const struct shape *whole)
{
    const struct shape shape = {.nodes = whole->nodes / HUNDREDTH,
                                .classes = whole->classes,
                                .members = whole->members / HUNDREDTH,
                                .victims = whole->victims / HUNDREDTH};
    struct world w;
    world_make(&w, &shape);
    struct mu_session *session = session_make();
    const struct mu_plan *plan = NULL;
    MU_ASSERT(mu_session_run(session, &w.cluster.snapshot, 0, &plan) == 0);
    uint64_t first = plan_hash(plan);
    mu_session_drop_caches(session);
    MU_ASSERT(mu_session_run(session, &w.cluster.snapshot, 0, &plan) == 0);
    bool right = plan_hash(plan) == first && plan_right(&w, &shape, plan);
    right = right && (shape.members > 0 || naive_agrees(&w, plan));
    mu_session_destroy(session);
    world_free(&w);
    return right;
}

/* ---- the bench ----------------------------------------------------------------------------- */

static void body(struct mu_bench *bench, const void *argument)
{
    const struct shape *shape = argument;
    struct world w;
    world_make(&w, shape);
    struct mu_session *session = session_make();
    struct mu_bench_times *times = mu_bench_times_create();
    const struct mu_plan *plan = NULL;
    uint64_t placed = 0;
    while (mu_bench_running(bench)) {
        world_move(&w);
        mu_bench_times_begin(times);
        int error = mu_session_run(session, &w.cluster.snapshot, 0, &plan);
        mu_bench_times_end(times);
        if (error != 0) {
            mu_bench_fail(bench, "the session ran out of memory");
            break;
        }
        placed += plan->gang_count;
    }
    if (times->rounds > 0) {
        mu_bench_counter(bench, "ms", mu_bench_times_ms(times, false, 500));
        mu_bench_counter(bench, "own_ms", mu_bench_times_ms(times, true, 500));
    }
    if (plan != NULL)
        MU_BENCH_CHECK(bench, plan_right(&w, shape, plan));
    MU_BENCH_CHECK(bench, hundredth_right(shape));
    mu_bench_items(bench, placed);
    mu_bench_times_destroy(times);
    mu_session_destroy(session);
    world_free(&w);
}

#define PREEMPT(id, name, ...)                                                                     \
    static const struct shape shape_##id = {__VA_ARGS__};                                          \
    MU_BENCH(id, name, body, &shape_##id)

PREEMPT(lone, "preempt/nodes:5000/victims:20000", 5000, 1, 0, 15000)
PREEMPT(lone_16, "preempt/nodes:5000/victims:20000/classes:16", 5000, 16, 0, 15000)
PREEMPT(lone_small, "preempt/nodes:5000/victims:20000/small", 200, 4, 0, 600)
PREEMPT(plan, "preempt_plan/nodes:130000/victims:39000", 130000, 1, 13000, 39000)
PREEMPT(plan_small, "preempt_plan/nodes:130000/victims:39000/small", 1300, 1, 100, 300)
