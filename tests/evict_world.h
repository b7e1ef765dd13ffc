#ifndef MU_TESTS_EVICT_WORLD_H
#define MU_TESTS_EVICT_WORLD_H
/* A DB, a replica and a plan with victims, for tests of their admission. */
#include "tests/db_fixture.h"

#include "engine/db/db_priv.h"

/* --- a small world --------------------------------------------------------------------------- */

/* Node n of 4 cpus is full of two pods of 2 (1 and 2, of somebody else); a gang of two pods of 2
 * (11 and 12, priority 10) is to take their place. */
enum { V1 = 1, V2 = 2, P1 = 11, P2 = 12 };
struct world {
    struct mu_db *db;
    struct mu_snapshot *s;
    uint64_t version;
    struct mu_plan_gang plan;
    struct mu_plan_bind binds[4];
    struct mu_plan_evict evicts[8];
    struct mu_error why;
};

static inline struct fixture_pod pod_of(struct world *w, uint32_t number, int32_t priority)
{
    struct fixture_pod p;
    fixture_pod(&p, number, ++w->version);
    p.amounts[0].value = 2000;
    p.object.requests = NULL; /* fixture_pod's points into its own argument: put() sets it */
    p.object.priority = priority;
    return p;
}
static inline void put(struct world *w, struct fixture_pod *p)
{
    p->object.name = mu_str_of(p->name);
    p->object.uid = mu_str_of(p->uid);
    p->object.requests = p->amounts;
    fixture_put(w->db, p, 0);
}
static inline void put_victim(struct world *w, uint32_t number, const char *node, int32_t priority)
{
    struct fixture_pod p = pod_of(w, number, priority);
    p.object.node_name = mu_str_of(node);
    p.object.scheduler_name = MU_STR("default-scheduler");
    put(w, &p);
}
static inline void put_preemptor(struct world *w, uint32_t number, int32_t priority)
{
    struct fixture_pod p = pod_of(w, number, priority);
    fixture_gang(&p, "preemptor", 2);
    put(w, &p);
}

/* The plan, made from what is there now. */
static inline void add_bind(struct world *w, uint32_t number, const char *node)
{
    struct mu_pod_view v = fixture_find(w->db, number);
    uint32_t row = fixture_row(w->db, w->s, node);
    w->binds[w->plan.bind_count++] =
        (struct mu_plan_bind){v.ix, v.uid, v.version, {row}, w->s->nodes[row].generation, 0};
    const struct mu_gang_row *g = &w->s->gangs[v.gang.v];
    w->plan.gang = v.gang;
    w->plan.gang_generation = g->generation;
    w->plan.gang_revision = g->revision;
    w->plan.size = g->size != 0 ? g->size : g->member_count;
    w->plan.binds = w->binds;
}
static inline void add_evict(struct world *w, uint32_t number)
{
    struct mu_pod_view v = fixture_find(w->db, number);
    w->evicts[w->plan.evict_count++] =
        (struct mu_plan_evict){v.ix, mu_uid_check(v.uid), v.node, v.gang, 0};
    w->plan.evicts = w->evicts;
}
static inline void make_plan(struct world *w)
{
    fixture_sync(w->db, w->s);
    w->plan = (struct mu_plan_gang){.size = 0};
    add_bind(w, P1, "n");
    add_bind(w, P2, "n");
    add_evict(w, V1);
    add_evict(w, V2);
}

static inline struct world *world_create(void)
{
    static struct world w;
    w = (struct world){.db = fixture_create(0)};
    assert_non_null(w.db);
    w.s = mu_db_replica_create(w.db);
    assert_non_null(w.s);
    fixture_put_node(w.db, "n", 1, 4);
    fixture_put_node(w.db, "m", 1, 4);
    put_victim(&w, V1, "n", 0);
    put_victim(&w, V2, "n", 0);
    put_preemptor(&w, P1, 10);
    put_preemptor(&w, P2, 10);
    make_plan(&w);
    return &w;
}

static inline int admit(struct world *w)
{
    w->why = (struct mu_error){0, ""};
    return mu_db_admit(w->db, &w->plan, &w->why);
}
static inline enum mu_ledger_state state_of(struct world *w, uint32_t number)
{
    return mu_db_ledger_state(w->db, fixture_find(w->db, number).uid, NULL);
}
static inline int64_t free_cpu(struct world *w, const char *node)
{
    fixture_sync(w->db, w->s);
    return w->s->free[MU_RES_CPU][fixture_row(w->db, w->s, node)];
}
static inline void remove_pod(struct world *w, uint32_t number)
{
    struct fixture_pod p;
    fixture_pod(&p, number, 0);
    mu_db_pod_remove(w->db, p.object.ns, p.object.name, MU_STR(""), 0);
}
/* The sums are those of the pods, and no pod is left as if in a check. */
static inline void assert_sound(struct world *w)
{
    uint64_t rounds;
    struct mu_db_counts counts;
    mu_db_counts(w->db, &counts);
    rounds = counts.audit_rounds;
    while (counts.audit_rounds < rounds + 2) {
        assert_int_equal(mu_db_audit_step(w->db, 64), 0);
        mu_db_counts(w->db, &counts);
    }
    assert_int_equal(counts.device_conflicts, 0);
    for (uint32_t pod = 0; pod < w->db->pods.high; pod++)
        assert_int_equal(mu_pod_at(w->db, pod)->flags & MU_POD_PICKED, 0);
}

#endif
