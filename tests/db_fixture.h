#ifndef MU_TESTS_DB_FIXTURE_H
#define MU_TESTS_DB_FIXTURE_H
/* Objects for tests of the cluster DB: short ways to say "a node", "a pod", "sync". */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "engine/base/clock.h"
#include "engine/base/mem.h"
#include "engine/db/db.h"

#define FIXTURE_QUIET_NS (1 * MU_NS_PER_S)
#define GIB              (INT64_C(1) << 30)

static const struct mu_str fixture_scheduler = {"muster", 6};

static inline struct mu_db *fixture_create(uint32_t hint)
{
    struct mu_db_config config = {.scheduler_names = &fixture_scheduler,
                                  .scheduler_name_count = 1,
                                  .quiet_ns = FIXTURE_QUIET_NS,
                                  .nodes_hint = hint,
                                  .pods_hint = hint};
    return mu_db_create(&config);
}

/* cpu, memory, pods and, where gpus > 0, one extended resource. */
struct fixture_node {
    struct mu_node_object object;
    struct mu_amount amounts[4];
    char uid[40];
};
static inline void fixture_node(struct fixture_node *n, const char *name, uint64_t version,
                                int64_t cpus, int64_t gpus)
{
    *n = (struct fixture_node){0};
    n->amounts[0] = (struct mu_amount){MU_STR("cpu"), cpus * 1000};
    n->amounts[1] = (struct mu_amount){MU_STR("memory"), cpus * 4 * GIB};
    n->amounts[2] = (struct mu_amount){MU_STR("pods"), 110};
    n->amounts[3] = (struct mu_amount){MU_STR("example.com/gpu"), gpus};
    (void)snprintf(n->uid, sizeof n->uid, "node-uid-%.24s", name);
    n->object = (struct mu_node_object){.name = mu_str_of(name),
                                        .uid = mu_str_of(n->uid),
                                        .version = version,
                                        .allocatable = n->amounts,
                                        .allocatable_count = gpus > 0 ? 4 : 3};
}
static inline void fixture_put_node(struct mu_db *db, const char *name, uint64_t version,
                                    int64_t cpus)
{
    struct fixture_node n;
    fixture_node(&n, name, version, cpus, 0);
    assert_int_equal(mu_db_node_upsert(db, &n.object, 0, NULL), 0);
}

/* A pending pod of ours that wants 1 cpu and 1 GiB; its UID is a UUID made from `number`. */
struct fixture_pod {
    struct mu_pod_object object;
    struct mu_amount amounts[3];
    char name[24];
    char uid[40];
};
static inline void fixture_pod(struct fixture_pod *p, uint32_t number, uint64_t version)
{
    *p = (struct fixture_pod){0};
    (void)snprintf(p->name, sizeof p->name, "pod-%u", number);
    (void)snprintf(p->uid, sizeof p->uid, "00000000-0000-4000-8000-%012x", number);
    p->amounts[0] = (struct mu_amount){MU_STR("cpu"), 1000};
    p->amounts[1] = (struct mu_amount){MU_STR("memory"), GIB};
    p->amounts[2] = (struct mu_amount){MU_STR("example.com/gpu"), 0};
    p->object = (struct mu_pod_object){.ns = MU_STR("default"),
                                       .name = mu_str_of(p->name),
                                       .uid = mu_str_of(p->uid),
                                       .version = version,
                                       .created_s = 1000,
                                       .scheduler_name = fixture_scheduler,
                                       .requests = p->amounts,
                                       .request_count = 2};
}
static inline void fixture_gang(struct fixture_pod *p, const char *gang, uint32_t size)
{
    p->object.gang =
        (struct mu_gang_ref){.source = MU_GANG_MUSTER, .name = mu_str_of(gang), .size = size};
}
/* One of app=web, which are spread over the domains of a key. Valid until the next call. */
static inline void fixture_web(struct fixture_pod *p, const char *key)
{
    static const struct mu_str web = {"web", 3};
    static const struct mu_requirement app_web = {{"app", 3}, MU_OP_IN, &web, 1};
    static const struct mu_label label = {{"app", 3}, {"web", 3}};
    static struct mu_spread spread;
    spread = (struct mu_spread){.topology_key = mu_str_of(key),
                                .selector = {.requirements = &app_web, .requirement_count = 1},
                                .max_skew = 1,
                                .min_domains = 1,
                                .hard = true};
    p->object.labels = &label;
    p->object.label_count = 1;
    p->object.spreads = &spread;
    p->object.spread_count = 1;
}
static inline void fixture_put(struct mu_db *db, const struct fixture_pod *p, uint64_t now_ns)
{
    assert_int_equal(mu_db_pod_upsert(db, &p->object, now_ns, NULL), 0);
}
static inline void fixture_put_namespace(struct mu_db *db, const char *name, const char *team)
{
    const struct mu_label label = {MU_STR("team"), mu_str_of(team)};
    assert_int_equal(mu_db_namespace_upsert(db, mu_str_of(name), &label, 1, NULL), 0);
}
static inline struct mu_uid fixture_uid(struct mu_db *db, const char *text)
{
    struct mu_uid uid = {0, 0};
    assert_int_equal(mu_db_uid_parse(db, mu_str_of(text), &uid), 0);
    return uid;
}
static inline struct mu_pod_view fixture_find(struct mu_db *db, uint32_t number)
{
    struct fixture_pod p;
    struct mu_pod_view view;
    fixture_pod(&p, number, 0);
    assert_true(mu_db_pod_find(db, fixture_uid(db, p.uid), &view));
    return view;
}

static inline void fixture_sync(struct mu_db *db, struct mu_snapshot *s)
{
    int rc = 1;
    for (int calls = 0; rc == 1; calls++) {
        assert_true(calls < 100000);
        rc = mu_db_replica_sync(db, s, 0);
    }
    assert_int_equal(rc, 0);
}
/* Audit to the end of the round, so many rows a step. Returns the drift found. */
static inline uint32_t fixture_audit(struct mu_db *db, uint32_t rows)
{
    uint32_t drift = 0;
    struct mu_db_counts before, counts;
    mu_db_counts(db, &before);
    counts = before;
    for (int i = 0; counts.audit_rounds == before.audit_rounds; i++) {
        assert_true(i < 100000);
        drift += mu_db_audit_step(db, rows);
        mu_db_counts(db, &counts);
    }
    return drift;
}
/* The row that shows this node as present; MU_NONE: none. */
static inline uint32_t fixture_row(const struct mu_db *db, const struct mu_snapshot *s,
                                   const char *name)
{
    uint32_t found = MU_NONE;
    for (uint32_t row = 0; row < s->node_rows; row++) {
        if ((s->nodes[row].flags & MU_NODE_PRESENT) == 0 ||
            !mu_str_equal(mu_db_node_name(db, (struct mu_node_ix){row}), mu_str_of(name)))
            continue;
        assert_int_equal(found, MU_NONE);
        found = row;
    }
    return found;
}
static inline void fixture_same_gang(const struct mu_gang_row *a, const struct mu_gang_row *b)
{
    assert_int_equal(a->flags, b->flags);
    assert_int_equal(a->generation, b->generation);
    assert_int_equal(a->revision, b->revision);
    assert_int_equal(a->priority, b->priority);
    assert_true(a->created_s == b->created_s && a->sequence == b->sequence);
    assert_true(a->settle_ns == b->settle_ns);
    assert_int_equal(a->size, b->size);
    assert_int_equal(a->member_count, b->member_count);
    assert_int_equal(a->placed_count, b->placed_count);
    assert_int_equal(a->blocked_count, b->blocked_count);
    assert_int_equal(a->blocked_rules, b->blocked_rules);
    assert_int_equal(a->controlled_count, b->controlled_count);
    assert_true(a->short_ns == b->short_ns);
    assert_true(a->block == b->block);
}
/* Two replicas of one DB at one generation show the same, byte for byte. */
static inline void fixture_same(const struct mu_snapshot *a, const struct mu_snapshot *b)
{
    assert_true(a->generation == b->generation);
    assert_int_equal(a->node_rows, b->node_rows);
    assert_int_equal(a->node_count, b->node_count);
    assert_int_equal(a->resource_count, b->resource_count);
    assert_true(a->static_generation == b->static_generation);
    assert_true(a->capacity_generation == b->capacity_generation);
    assert_int_equal(a->gang_rows, b->gang_rows);
    assert_int_equal(a->pending_gangs, b->pending_gangs);
    if (a->node_rows != 0)
        assert_memory_equal(a->nodes, b->nodes, a->node_rows * sizeof *a->nodes);
    for (uint32_t r = 0; r < a->resource_count && a->node_rows != 0; r++)
        assert_memory_equal(a->free[r], b->free[r], a->node_rows * sizeof(int64_t));
    for (uint32_t g = 0; g < a->gang_rows; g++)
        fixture_same_gang(&a->gangs[g], &b->gangs[g]);
}
/* A plan that binds every pending member of a shown gang to one node. */
struct fixture_plan {
    struct mu_plan_gang gang;
    struct mu_plan_bind binds[64];
};
static inline void fixture_plan(struct fixture_plan *plan, const struct mu_snapshot *s,
                                uint32_t gang, uint32_t row)
{
    const struct mu_gang_row *g = &s->gangs[gang];
    assert_non_null(g->block);
    assert_true(g->block->member_count <= 64);
    *plan = (struct fixture_plan){0};
    for (uint32_t i = 0; i < g->block->member_count; i++) {
        const struct mu_gang_member *m = &g->block->members[i];
        plan->binds[i] =
            (struct mu_plan_bind){m->pod, m->uid, m->version, {row}, s->nodes[row].generation, 0};
    }
    plan->gang = (struct mu_plan_gang){.gang = {gang},
                                       .gang_generation = g->generation,
                                       .gang_revision = g->revision,
                                       .size = g->size != 0 ? g->size : g->member_count,
                                       .bind_count = g->block->member_count,
                                       .binds = plan->binds};
}

#endif
