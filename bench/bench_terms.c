/*
 * Placing pods with rules about other pods, in the shapes that scheduler benchmarks use: nodes of 4
 * CPU and 32 GiB in three zones, pods of 100m and 500 MiB in two namespaces that the rules name.
 *
 *     affinity      label color=blue, required affinity to it by zone; 5,000 of them are there
 *     antiaffinity  label color=green, required anti-affinity to it by host; 1,000 are there
 *     spread        label color=blue, at most 5 more in a zone than in another; 5,000 are there
 *
 * The objects go through the cluster DB, which counts. A round is one session over its snapshot.
 *
 * Checked: everything is placed; the counts of zones and hosts obey the rule; and the placements of
 * the same shape at a hundredth of its size are, one by one, those of a naive scan by the rules on
 * strings. There one of the zones has no pod at first, so that affinity has something to forbid.
 */
#include "bench/bench.h"

#include <string.h>

#include "engine/base/arena.h"
#include "engine/base/assert.h"
#include "engine/db/db.h"
#include "engine/session/session.h"
#include "tests/support/oracle.h"
#include "tests/support/world_random.h"
#include "tools/report/rules.h"

#define MI        INT64_C(1048576)
#define ZONES     3u
#define HUNDREDTH 100u
#define TEXT(t)                                                                                    \
    {                                                                                              \
        (t), sizeof(t) - 1                                                                         \
    } /* MU_STR() where a constant is wanted */

enum kind { AFFINITY, ANTI_AFFINITY, SPREAD };
struct shape {
    enum kind kind;
    uint32_t nodes, there, pods;
};
struct world {
    struct mu_arena *arena;
    struct mu_db *db;
    struct mu_snapshot *snapshot;
    struct mu_node_object *nodes;
    struct mu_pod_object *pods; /* those that are there first */
    uint32_t pod_count;
};

/* What a world is checked by. */
enum check {
    BY_COUNTS,
    BY_NAIVE_SCAN /* each placement; a zone is empty at first */
};

static void nodes_make(struct world *w, const struct shape *shape)
{
    static const struct mu_amount amounts[] = {
        {TEXT("cpu"), 4000}, {TEXT("memory"), 32768 * MI}, {TEXT("pods"), 110}};
    w->nodes = mu_arena_calloc(w->arena, shape->nodes, sizeof *w->nodes);
    MU_ASSERT(w->nodes != NULL);
    for (uint32_t n = 0; n < shape->nodes; n++) {
        struct mu_label *labels = mu_arena_calloc(w->arena, 2, sizeof *labels);
        MU_ASSERT(labels != NULL);
        struct mu_str name = mu_world_text(w->arena, "node-", n);
        labels[0] = (struct mu_label){MU_STR(MU_HOSTNAME_KEY), name};
        labels[1] = (struct mu_label){MU_STR("topology.kubernetes.io/zone"),
                                      mu_world_text(w->arena, "zone", n % ZONES)};
        w->nodes[n] = (struct mu_node_object){.name = name,
                                              .uid = mu_world_text(w->arena, "n-", n),
                                              .version = 1,
                                              .labels = labels,
                                              .label_count = 2,
                                              .allocatable = amounts,
                                              .allocatable_count = 3};
        int error = mu_db_node_upsert(w->db, &w->nodes[n], 0, NULL);
        MU_ASSERT(error == 0);
    }
}

/* The rule of a shape, in *pod. */
static void rule_set(const struct shape *shape, struct mu_pod_object *pod)
{
    static const struct mu_str colors[] = {TEXT("blue"), TEXT("green")};
    static const struct mu_requirement requirements[] = {{TEXT("color"), MU_OP_IN, &colors[0], 1},
                                                         {TEXT("color"), MU_OP_IN, &colors[1], 1}};
    static const struct mu_label labels[] = {{TEXT("color"), TEXT("blue")},
                                             {TEXT("color"), TEXT("green")}};
    static const struct mu_str namespaces[] = {TEXT("sched-0"), TEXT("sched-1")};
    static const struct mu_pod_term terms[] = {
        {.kind = MU_TERM_AFFINITY,
         .topology_key = TEXT("topology.kubernetes.io/zone"),
         .selector = {.requirements = &requirements[0], .requirement_count = 1},
         .namespaces = namespaces,
         .namespace_count = 2},
        {.kind = MU_TERM_ANTI_AFFINITY,
         .topology_key = TEXT(MU_HOSTNAME_KEY),
         .selector = {.requirements = &requirements[1], .requirement_count = 1},
         .namespaces = namespaces,
         .namespace_count = 2}};
    static const struct mu_spread spread = {
        .topology_key = TEXT("topology.kubernetes.io/zone"),
        .selector = {.requirements = &requirements[0], .requirement_count = 1},
        .max_skew = 5,
        .min_domains = 1,
        .hard = true,
        .honor_affinity = true};
    bool green = shape->kind == ANTI_AFFINITY;
    pod->labels = &labels[green];
    pod->label_count = 1;
    if (shape->kind == SPREAD) {
        pod->spreads = &spread;
        pod->spread_count = 1;
    } else {
        pod->terms = &terms[green];
        pod->term_count = 1;
    }
}

/* The node of one of those that are there first. */
static uint32_t home_of(const struct shape *shape, enum check check, uint32_t pod)
{
    uint32_t node = pod % shape->nodes;
    return check == BY_NAIVE_SCAN && node % ZONES == ZONES - 1 ? node - 1 : node;
}

static void pods_make(struct world *w, const struct shape *shape, enum check check)
{
    static const struct mu_amount amounts[] = {{TEXT("cpu"), 100}, {TEXT("memory"), 500 * MI}};
    w->pod_count = shape->there + shape->pods;
    w->pods = mu_arena_calloc(w->arena, w->pod_count, sizeof *w->pods);
    MU_ASSERT(w->pods != NULL);
    for (uint32_t p = 0; p < w->pod_count; p++) {
        bool there = p < shape->there;
        /* Spread counts its own namespace alone. */
        bool first = there && shape->kind != SPREAD;
        struct mu_pod_object *pod = &w->pods[p];
        *pod = (struct mu_pod_object){.ns = first ? MU_STR("sched-0") : MU_STR("sched-1"),
                                      .name = mu_world_text(w->arena, "pod-", p),
                                      .uid = mu_world_text(w->arena, "p-", p),
                                      .version = 1,
                                      .created_s = 1 + p,
                                      .scheduler_name = MU_STR("muster"),
                                      .requests = amounts,
                                      .request_count = 2};
        rule_set(shape, pod);
        if (there) {
            pod->node_name = w->nodes[home_of(shape, check, p)].name;
            pod->phase = MU_POD_RUNNING;
        }
        int error = mu_db_pod_upsert(w->db, pod, 0, NULL);
        MU_ASSERT(error == 0);
    }
}

static void world_make(struct world *w, const struct shape *shape, enum check check)
{
    static const struct mu_str names[] = {TEXT("muster")};
    const struct mu_db_config config = {.scheduler_names = names, .scheduler_name_count = 1};
    *w = (struct world){.arena = mu_arena_create((size_t)1 << 30), .db = mu_db_create(&config)};
    MU_ASSERT(w->arena != NULL && w->db != NULL);
    nodes_make(w, shape);
    pods_make(w, shape, check);
    w->snapshot = mu_db_replica_create(w->db);
    MU_ASSERT(w->snapshot != NULL);
    int more = 1;
    while (more == 1)
        more = mu_db_replica_sync(w->db, w->snapshot, 0);
    MU_ASSERT(more == 0);
}

static void world_drop(struct world *w)
{
    mu_db_replica_destroy(w->db, w->snapshot);
    mu_db_destroy(w->db);
    mu_arena_destroy(w->arena);
}

static uint32_t node_of(const struct world *w, const struct shape *shape, uint32_t row)
{
    struct mu_str name = mu_db_node_name(w->db, (struct mu_node_ix){row});
    for (uint32_t n = 0; n < shape->nodes; n++)
        if (mu_str_equal(w->nodes[n].name, name))
            return n;
    MU_ASSERT(false);
    return 0;
}

/* The best row by the rules on strings and the score's definition. */
static uint32_t naive_pick(const struct world *w, const struct shape *shape,
                           const struct mu_pod_object *pod, struct mu_class_ix class_ix)
{
    const struct mu_snapshot *s = w->snapshot;
    const struct mu_class *class_ = mu_model_get_class(s->model, class_ix);
    const struct mu_rules_world rules = {
        .nodes = w->nodes, .node_count = shape->nodes, .pods = w->pods, .pod_count = w->pod_count};
    const struct mu_oracle_scale none = {0}; /* the profile has no preferences */
    uint32_t best = MU_NONE;
    for (uint32_t row = 0; row < s->node_rows; row++) {
        if ((s->nodes[row].flags & MU_NODE_PRESENT) == 0 ||
            mu_oracle_verdict(s, class_, row).kind != MU_FITS ||
            mu_rules_others(&rules, &w->nodes[node_of(w, shape, row)], pod) != MU_FITS)
            continue;
        int64_t score = mu_oracle_score(s, &mu_profile_spread, class_, row, none);
        int64_t rival =
            best == MU_NONE ? -1 : mu_oracle_score(s, &mu_profile_spread, class_, best, none);
        if (best == MU_NONE || score > rival ||
            (score == rival && s->nodes[row].tie < s->nodes[best].tie))
            best = row;
    }
    return best;
}

static uint32_t smallest(const uint32_t zones[ZONES])
{
    uint32_t least = zones[0];
    for (uint32_t z = 1; z < ZONES; z++)
        least = zones[z] < least ? zones[z] : least;
    return least;
}

static bool plan_right(struct world *w, const struct shape *shape, enum check check,
                       const struct mu_plan *plan)
{
    uint32_t zones[ZONES] = {0};
    uint32_t *hosts = mu_arena_calloc(w->arena, shape->nodes, sizeof *hosts);
    bool right = plan->gang_count == shape->pods && hosts != NULL;
    for (uint32_t p = 0; right && p < shape->there; p++) {
        zones[home_of(shape, check, p) % ZONES]++;
        hosts[home_of(shape, check, p)]++;
    }
    for (uint32_t g = 0; right && g < plan->gang_count; g++) {
        const struct mu_plan_bind *bind = &plan->gangs[g].binds[0];
        const struct mu_gang_member *member =
            &w->snapshot->gangs[plan->gangs[g].gang.v].block->members[0];
        struct mu_pod_object *pod = &w->pods[shape->there + g];
        uint32_t node = node_of(w, shape, bind->node.v);
        if (check == BY_NAIVE_SCAN)
            right = naive_pick(w, shape, pod, member->class_ix) == bind->node.v;
        if (shape->kind == AFFINITY)
            right = right && zones[node % ZONES] > 0;
        zones[node % ZONES]++;
        if (shape->kind == SPREAD)
            right = right && zones[node % ZONES] <= smallest(zones) + 5;
        if (shape->kind == ANTI_AFFINITY)
            right = right && hosts[node]++ == 0;
        pod->node_name = w->nodes[node].name;
        mu_oracle_charge(w->snapshot, member->class_ix, bind->node.v, 1);
    }
    return right;
}

/* The placements of the shape at a hundredth of its size, a small one as it is. */
static bool hundredth_right(const struct shape *whole)
{
    const struct mu_session_config config = {.profile = &mu_profile_spread};
    struct shape shape = *whole;
    if (whole->nodes >= HUNDREDTH * ZONES)
        shape = (struct shape){whole->kind, whole->nodes / HUNDREDTH, whole->there / HUNDREDTH,
                               whole->pods / HUNDREDTH};
    struct world w;
    world_make(&w, &shape, BY_NAIVE_SCAN);
    struct mu_session *session = mu_session_create(&config);
    const struct mu_plan *plan = NULL;
    MU_ASSERT(session != NULL && mu_session_run(session, w.snapshot, 0, &plan) == 0);
    bool right = plan_right(&w, &shape, BY_NAIVE_SCAN, plan);
    mu_session_destroy(session);
    world_drop(&w);
    return right;
}

static void body(struct mu_bench *bench, const void *argument)
{
    const struct shape *shape = argument;
    const struct mu_session_config config = {.profile = &mu_profile_spread};
    struct world w;
    world_make(&w, shape, BY_COUNTS);
    struct mu_session *session = mu_session_create(&config);
    MU_ASSERT(session != NULL);
    const struct mu_plan *plan = NULL;
    uint64_t placed = 0;
    while (mu_bench_running(bench)) {
        if (mu_session_run(session, w.snapshot, 0, &plan) != 0) {
            mu_bench_fail(bench, "the session ran out of memory");
            break;
        }
        placed += plan->gang_count;
    }
    if (plan != NULL)
        MU_BENCH_CHECK(bench, plan_right(&w, shape, BY_COUNTS, plan));
    MU_BENCH_CHECK(bench, hundredth_right(shape));
    mu_bench_items(bench, placed);
    mu_session_destroy(session);
    world_drop(&w);
}

#define TERMS(id, name, ...)                                                                       \
    static const struct shape shape_##id = {__VA_ARGS__};                                          \
    MU_BENCH(id, name, body, &shape_##id)

TERMS(terms_affinity, "place_terms/nodes:5000/kind:affinity", AFFINITY, 5000, 5000, 5000)
TERMS(terms_affinity_small, "place_terms/nodes:5000/kind:affinity/small", AFFINITY, 50, 50, 50)
TERMS(terms_anti, "place_terms/nodes:5000/kind:antiaffinity", ANTI_AFFINITY, 5000, 1000, 2000)
TERMS(terms_anti_small, "place_terms/nodes:5000/kind:antiaffinity/small", ANTI_AFFINITY, 50, 10, 20)
TERMS(terms_spread, "place_terms/nodes:5000/kind:spread", SPREAD, 5000, 5000, 5000)
TERMS(terms_spread_small, "place_terms/nodes:5000/kind:spread/small", SPREAD, 50, 50, 50)
