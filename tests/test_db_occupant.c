/*
 * Who is on which row (engine/db/occupant.c), against a naive twin: plain pods, of which the lists
 * that a replica must show are made anew at every check. Blocks are shared by replicas and freed
 * when none of them can reach them: memory is poisoned when it is freed, and what a replica shows
 * is read again just before its next sync.
 */
#include "tests/db_fixture.h"

#include "engine/base/random.h"
#include "engine/db/db_priv.h"

enum { NODES = 7, PODS = 40, REPLICAS = 4, STEPS = 5000, SEEDS = 12 };

struct twin_pod {
    bool exists, ours, terminating, terminal, spared, controlled, never;
    uint32_t incarnation;
    uint64_t version, started_s;
    int32_t priority;
    int node;      /* -1: unbound */
    uint32_t gang; /* 0: solo */
};
struct twin_replica {
    struct mu_snapshot *s;
    bool complete;
    uint64_t digest;
};
struct twin {
    struct mu_db *db;
    struct mu_random random;
    struct twin_pod pods[PODS];
    bool nodes[NODES];
    int64_t cpus[NODES];
    struct twin_replica replicas[REPLICAS];
    uint64_t version;
    uint32_t incarnation;
    bool calm; /* nobody has a higher priority than anybody */
    uint32_t shown, hidden;
};

static uint32_t below(struct twin *t, uint32_t bound)
{
    return (uint32_t)mu_random_below(&t->random, bound);
}
static bool chance(struct twin *t, uint32_t permille)
{
    return mu_random_chance(&t->random, permille);
}

static void poison(bool on)
{
    mu_mem_debug_set((struct mu_mem_debug){.poison = on});
}
static void fail_nth(uint64_t nth)
{
    mu_mem_debug_set((struct mu_mem_debug){.poison = true, .fail_nth = nth});
}

/* --- objects --------------------------------------------------------------------------------- */

static const char *node_name(int node)
{
    static char name[16];
    (void)snprintf(name, sizeof name, "node-%d", node);
    return name;
}

static int send_node(struct twin *t, int node)
{
    struct fixture_node n;
    fixture_node(&n, node_name(node), ++t->version, t->cpus[node], 0);
    return mu_db_node_upsert(t->db, &n.object, 0, NULL);
}

/* UIDs in an order that is not that of the pods' numbers; some are no UUIDs. */
static void name_pod(const struct twin_pod *p, uint32_t pod, struct fixture_pod *out)
{
    fixture_pod(out, pod, p->version);
    if (p->incarnation % 3 == 0)
        (void)snprintf(out->uid, sizeof out->uid, "uid/%u", p->incarnation);
    else
        (void)snprintf(out->uid, sizeof out->uid, "%08x-0000-4000-8000-%012x",
                       p->incarnation * 2654435761u, pod);
    out->object.uid = mu_str_of(out->uid);
}

static int send_pod(struct twin *t, uint32_t pod)
{
    static const char *const gangs[] = {"", "a", "b", "c"};
    const struct twin_pod *p = &t->pods[pod];
    struct fixture_pod o;
    name_pod(p, pod, &o);
    o.amounts[0].value = 1000 * (1 + pod % 3);
    o.object.scheduler_name = p->ours ? fixture_scheduler : MU_STR("default-scheduler");
    o.object.node_name = p->node < 0 ? MU_STR("") : mu_str_of(node_name(p->node));
    o.object.priority = p->priority;
    o.object.phase = p->terminal ? MU_POD_FAILED : MU_POD_RUNNING;
    o.object.terminating = p->terminating;
    o.object.spared = p->spared;
    o.object.controlled = p->controlled;
    o.object.never_preempts = p->never;
    o.object.started_s = p->started_s;
    if (p->gang != 0)
        fixture_gang(&o, gangs[p->gang], 2);
    return mu_db_pod_upsert(t->db, &o.object, 0, NULL);
}

/* --- what must be shown ---------------------------------------------------------------------- */

static bool is_occupant(const struct twin_pod *p)
{
    return p->exists && p->node >= 0 && !p->terminal;
}

/* Whether some pending gang that may preempt has a higher priority than some occupant. */
static bool is_wanted(const struct twin *t, const struct mu_snapshot *s)
{
    for (uint32_t row = 0; row < s->gang_rows; row++) {
        const struct mu_gang_row *g = &s->gangs[row];
        if ((g->flags & MU_GANG_PENDING) == 0 || (g->flags & MU_GANG_NEVER) != 0)
            continue;
        for (uint32_t i = 0; i < PODS; i++)
            if (is_occupant(&t->pods[i]) && t->pods[i].priority < g->priority)
                return true;
    }
    return false;
}

static void check_occupant(const struct twin *t, const struct mu_occupant *o, uint32_t i)
{
    const struct twin_pod *p = &t->pods[i];
    struct fixture_pod f;
    struct mu_pod_view view;
    name_pod(p, i, &f);
    assert_true(mu_db_pod_get(t->db, o->pod, &view));
    assert_true(mu_uid_equal(view.uid, fixture_uid(t->db, f.uid)));
    assert_int_equal(o->check, mu_uid_check(view.uid));
    assert_int_equal(o->class_ix.v, view.class_ix.v);
    assert_int_equal(o->kin.v, view.kin.v);
    assert_int_equal(o->gang.v, view.gang.v);
    assert_int_equal(o->priority, p->priority);
    assert_int_equal(o->started, p->started_s == 0 ? UINT32_MAX : (uint32_t)p->started_s);
    assert_int_equal(o->flags, (p->terminating ? MU_OCCUPANT_TERMINATING : 0u) |
                                   (p->spared ? MU_OCCUPANT_SPARED : 0u) |
                                   (p->controlled ? MU_OCCUPANT_CONTROLLED : 0u));
}

static uint32_t pod_of(const struct twin *t, struct mu_pod_ix ix)
{
    struct mu_pod_view view;
    assert_true(mu_db_pod_get(t->db, ix, &view));
    for (uint32_t i = 0; i < PODS; i++) {
        struct fixture_pod f;
        name_pod(&t->pods[i], i, &f);
        if (mu_str_equal(view.name, mu_str_of(f.name)))
            return i;
    }
    fail();
    return PODS;
}

static void check(struct twin *t, const struct mu_snapshot *s)
{
    uint32_t expected = 0;
    assert_int_equal(s->occupants != NULL, is_wanted(t, s));
    t->shown += s->occupants != NULL;
    t->hidden += s->occupants == NULL;
    if (s->occupants == NULL)
        return;
    for (uint32_t i = 0; i < PODS; i++)
        expected += is_occupant(&t->pods[i]);
    for (uint32_t row = 0; row < s->node_rows; row++) {
        const struct mu_occupants *o = s->occupants[row];
        if (o == NULL)
            continue;
        assert_true(o->count > 0);
        for (uint32_t k = 0; k < o->count; k++) {
            uint32_t i = pod_of(t, o->pods[k].pod);
            assert_true(is_occupant(&t->pods[i]));
            assert_true(mu_str_equal(mu_db_node_name(t->db, (struct mu_node_ix){row}),
                                     mu_str_of(node_name(t->pods[i].node))));
            check_occupant(t, &o->pods[k], i);
            if (k > 0) /* ascending, so nobody is there twice */
                assert_true(mu_uid_compare(t->db, mu_pod_at(t->db, o->pods[k - 1].pod.v)->uid,
                                           mu_pod_at(t->db, o->pods[k].pod.v)->uid) < 0);
        }
        expected -= o->count;
    }
    assert_int_equal(expected, 0);
}

static uint64_t digest(const struct mu_snapshot *s)
{
    uint64_t h = s->occupant_generation;
    for (uint32_t row = 0; s->occupants != NULL && row < s->node_rows; row++) {
        const struct mu_occupants *o = s->occupants[row];
        for (uint32_t k = 0; o != NULL && k < o->count; k++)
            h = h * 31 + o->pods[k].check + o->pods[k].flags + (uint32_t)o->pods[k].priority +
                (uint64_t)o->pods[k].pod.v * row;
    }
    return h;
}

/* --- random steps ---------------------------------------------------------------------------- */

static void change_pod(struct twin *t)
{
    uint32_t i = below(t, PODS);
    struct twin_pod *p = &t->pods[i];
    if (!p->exists || chance(t, 80)) {
        *p = (struct twin_pod){.exists = true,
                               .incarnation = ++t->incarnation,
                               .ours = chance(t, 700),
                               .node = -1,
                               .gang = below(t, 4)};
        p->priority = t->calm ? 0 : (int32_t)below(t, 4) - 1;
    }
    if (p->node < 0 && chance(t, t->calm ? 900 : 500))
        p->node = (int)below(t, NODES);
    if (chance(t, 200))
        p->priority = t->calm ? 0 : (int32_t)below(t, 4) - 1;
    p->started_s = chance(t, 200) ? below(t, 3) * 1000 : p->started_s;
    p->spared = chance(t, p->spared ? 900 : 50);
    p->controlled = chance(t, p->controlled ? 900 : 50);
    p->never = chance(t, p->never ? 900 : 50);
    p->terminating = chance(t, p->terminating ? 900 : 50);
    p->terminal = chance(t, p->terminal ? 900 : 50);
    p->version = ++t->version;
    assert_int_equal(send_pod(t, i), 0);
}

static void remove_pod(struct twin *t, uint32_t i)
{
    struct fixture_pod f;
    name_pod(&t->pods[i], i, &f);
    mu_db_pod_remove(t->db, f.object.ns, f.object.name, MU_STR(""), 0);
    t->pods[i].exists = false;
}

static void change_node(struct twin *t)
{
    int i = (int)below(t, NODES);
    if (t->nodes[i] && chance(t, 200)) {
        mu_db_node_remove(t->db, mu_str_of(node_name(i)), MU_STR(""));
        t->nodes[i] = false;
        return;
    }
    t->cpus[i] = 1 + below(t, 3); /* another capacity is another row */
    t->nodes[i] = true;
    assert_int_equal(send_node(t, i), 0);
}

static void sync_step(struct twin *t)
{
    struct twin_replica *r = &t->replicas[below(t, REPLICAS)];
    if (r->s == NULL) {
        *r = (struct twin_replica){.s = mu_db_replica_create(t->db)};
        assert_non_null(r->s);
    }
    if (r->complete) /* whoever read it saw one moment all along */
        assert_true(r->digest == digest(r->s));
    r->complete = false;
    if (chance(t, 20)) {
        mu_db_replica_destroy(t->db, r->s);
        r->s = NULL;
        return;
    }
    if (chance(t, 30)) { /* a failure leaves the rest for the next call */
        fail_nth(1 + below(t, 6));
        int rc = mu_db_replica_sync(t->db, r->s, 1 + below(t, 60));
        assert_true(rc == 0 || rc == 1 || rc == MU_ENOMEM);
        poison(true);
    }
    int rc = mu_db_replica_sync(t->db, r->s, chance(t, 300) ? 0 : 1 + below(t, 60));
    assert_true(rc == 0 || rc == 1);
    r->complete = rc == 0;
    if (rc == 1)
        return;
    check(t, r->s);
    r->digest = digest(r->s);
}

static void run(uint64_t seed, uint32_t *shown, uint32_t *hidden)
{
    static struct twin t;
    t = (struct twin){.db = fixture_create(0)};
    assert_non_null(t.db);
    mu_random_init_seed(&t.random, seed);
    for (int i = 0; i < STEPS; i++) {
        uint32_t kind = below(&t, 100);
        /* Long enough for the blocks to be given up, and begun again halfway. */
        if (i % 1250 == 0)
            t.calm = chance(&t, 500);
        if (kind < 40)
            change_pod(&t);
        else if (kind < 46)
            remove_pod(&t, below(&t, PODS));
        else if (kind < 50)
            change_node(&t);
        else
            sync_step(&t);
        for (uint32_t p = 0; i % 1250 == 0 && t.calm && p < PODS; p++)
            remove_pod(&t, p);
    }
    mu_db_destroy(t.db);
    *shown += t.shown;
    *hidden += t.hidden;
}

static uint64_t first_seed = 1;
static uint64_t seed_count = SEEDS;

static void test_db_occupant__random_changes__equals_the_twin(void **state)
{
    (void)state;
    uint32_t shown = 0;
    uint32_t hidden = 0;
    mu_db_destroy(fixture_create(0)); /* warm whatever is made once a process */
    poison(true);
    size_t baseline = mu_mem_live_bytes();
    for (uint64_t seed = first_seed; seed < first_seed + seed_count; seed++) {
        (void)fprintf(stderr, "seed %llu (again: test_db_occupant %llu)\n",
                      (unsigned long long)seed, (unsigned long long)seed);
        run(seed, &shown, &hidden);
        assert_int_equal(mu_mem_live_bytes(), baseline);
    }
    poison(false);
    print_message("shown %u times, not shown %u times\n", shown, hidden);
    assert_true(shown > 50 * seed_count && hidden > 50 * seed_count);
}

/* --- on and off ------------------------------------------------------------------------------ */

static void put_bound(struct mu_db *db, uint32_t number, uint64_t version, const char *node,
                      int32_t priority)
{
    struct fixture_pod p;
    fixture_pod(&p, number, version);
    p.object.node_name = mu_str_of(node);
    p.object.priority = priority;
    fixture_put(db, &p, 0);
}
static void put_pending(struct mu_db *db, uint32_t number, uint64_t version, int32_t priority)
{
    struct fixture_pod p;
    fixture_pod(&p, number, version);
    p.object.priority = priority;
    fixture_put(db, &p, 0);
}

static void test_db_occupant__nobody_could_preempt__no_column(void **state)
{
    (void)state;
    struct mu_db *db = fixture_create(0);
    struct mu_snapshot *s = mu_db_replica_create(db);
    fixture_put_node(db, "n", 1, 8);
    put_bound(db, 1, 1, "n", 5);
    put_pending(db, 2, 2, 5); /* equal is not higher */
    fixture_sync(db, s);
    assert_null(s->occupants);
    put_pending(db, 3, 3, 6);
    fixture_sync(db, s);
    assert_non_null(s->occupants);
    uint32_t row = fixture_row(db, s, "n");
    assert_int_equal(s->occupants[row]->count, 1);
    assert_int_equal(s->occupants[row]->pods[0].pod.v, fixture_find(db, 1).ix.v);
    put_bound(db, 1, 4, "n", 6); /* the only one of a lower priority has it no more */
    fixture_sync(db, s);
    assert_null(s->occupants);
    mu_db_destroy(db);
}

/* Somebody wants to see them although no gang could preempt. */
static void test_db_occupant__asked_for__shown_to_whom_nobody_is_a_victim(void **state)
{
    (void)state;
    struct mu_db *db = fixture_create(0);
    struct mu_snapshot *s = mu_db_replica_create(db);
    fixture_put_node(db, "n", 1, 8);
    put_bound(db, 1, 1, "n", 5);
    put_pending(db, 2, 2, 5);
    mu_db_occupants_ask(db, true);
    fixture_sync(db, s);
    assert_non_null(s->occupants);
    assert_int_equal(s->occupants[fixture_row(db, s, "n")]->count, 1);
    put_bound(db, 3, 3, "n", 9); /* kept up */
    fixture_sync(db, s);
    assert_int_equal(s->occupants[fixture_row(db, s, "n")]->count, 2);
    mu_db_occupants_ask(db, false);
    put_pending(db, 4, 4, 5);
    fixture_sync(db, s);
    assert_null(s->occupants);
    mu_db_destroy(db);
}

static void test_db_occupant__never_preempts__no_column(void **state)
{
    (void)state;
    struct mu_db *db = fixture_create(0);
    struct mu_snapshot *s = mu_db_replica_create(db);
    struct fixture_pod p;
    fixture_put_node(db, "n", 1, 8);
    put_bound(db, 1, 1, "n", 0);
    fixture_pod(&p, 2, 2);
    p.object.priority = 10;
    p.object.never_preempts = true;
    fixture_put(db, &p, 0);
    fixture_sync(db, s);
    assert_int_equal(s->pending_gangs, 1);
    assert_int_equal(s->occupants == NULL,
                     (s->gangs[fixture_find(db, 2).gang.v].flags & MU_GANG_NEVER) != 0);
    mu_db_destroy(db);
}

static void test_db_occupant__idle_for_long__given_up(void **state)
{
    (void)state;
    struct mu_db *db = fixture_create(0);
    struct mu_snapshot *s = mu_db_replica_create(db);
    char name[16];
    for (uint32_t i = 0; i < 200; i++) {
        (void)snprintf(name, sizeof name, "n%u", i);
        fixture_put_node(db, name, 1, 8);
        put_bound(db, i, 1, name, 0);
        put_bound(db, 1000 + i, 1, name, 0);
    }
    put_pending(db, 5000, 1, 0);
    fixture_sync(db, s);
    size_t before = mu_mem_live_bytes();
    put_pending(db, 5000, 2, 1);
    fixture_sync(db, s);
    assert_non_null(s->occupants);
    size_t with = mu_mem_live_bytes();
    assert_true(with > before + 200 * 2 * sizeof(struct mu_occupant));
    put_pending(db, 5000, 3, 0);
    fixture_sync(db, s);
    assert_null(s->occupants);
    /* Kept for a while, then neither blocks nor columns are left. */
    assert_true(mu_mem_live_bytes() > before + 200 * 2 * sizeof(struct mu_occupant));
    for (uint32_t i = 0; i < MU_OCCUPANTS_IDLE_MAX + 4; i++)
        fixture_sync(db, s);
    assert_true(mu_mem_live_bytes() < before + 4096);
    put_pending(db, 5000, 4, 1); /* and begun again */
    fixture_sync(db, s);
    for (uint32_t row = 0; row < s->node_rows; row++)
        if ((s->nodes[row].flags & MU_NODE_PRESENT) != 0)
            assert_int_equal(s->occupants[row]->count, 2);
    mu_db_destroy(db);
}

static void test_db_occupant__wanted_again_while_given_up__whole(void **state)
{
    (void)state;
    struct mu_db *db = fixture_create(0);
    struct mu_snapshot *s = mu_db_replica_create(db);
    char name[16];
    for (uint32_t i = 0; i < 300; i++) {
        (void)snprintf(name, sizeof name, "n%u", i);
        fixture_put_node(db, name, 1, 8);
        put_bound(db, i, 1, name, 0);
    }
    put_pending(db, 5000, 1, 1);
    fixture_sync(db, s);
    put_pending(db, 5000, 2, 0);
    for (uint32_t i = 0; i <= MU_OCCUPANTS_IDLE_MAX; i++)
        fixture_sync(db, s);
    assert_int_equal(mu_db_replica_sync(db, s, 100), 0); /* the first third is given up */
    put_bound(db, 7, 2, "n7", -1);
    put_bound(db, 299, 2, "n299", -1);
    put_pending(db, 5000, 3, 1);
    fixture_sync(db, s);
    assert_non_null(s->occupants);
    for (uint32_t i = 0; i < 300; i++) {
        (void)snprintf(name, sizeof name, "n%u", i);
        const struct mu_occupants *o = s->occupants[fixture_row(db, s, name)];
        assert_int_equal(o->count, 1);
        assert_int_equal(o->pods[0].pod.v, fixture_find(db, i).ix.v);
        assert_int_equal(o->pods[0].priority, i == 7 || i == 299 ? -1 : 0);
    }
    mu_db_destroy(db);
}

/* A replica that was away all the while: its column is of blocks that are gone. */
static void test_db_occupant__replica_was_away__column_made_anew(void **state)
{
    (void)state;
    struct mu_db *db = fixture_create(0);
    struct mu_snapshot *s = mu_db_replica_create(db);
    struct mu_snapshot *away = mu_db_replica_create(db);
    struct fixture_pod p;
    poison(true);
    fixture_put_node(db, "n", 1, 8);
    fixture_put_node(db, "m", 1, 8);
    put_bound(db, 1, 1, "n", 0);
    put_bound(db, 2, 1, "m", 0);
    put_pending(db, 3, 1, 1);
    fixture_sync(db, s);
    fixture_sync(db, away);
    assert_int_equal(away->occupants[fixture_row(db, away, "n")]->count, 1);
    put_pending(db, 3, 2, 0);
    fixture_pod(&p, 1, 0);
    mu_db_pod_remove(db, p.object.ns, p.object.name, MU_STR(""), 0);
    for (uint32_t i = 0; i < MU_OCCUPANTS_IDLE_MAX + 4; i++)
        fixture_sync(db, s);
    put_pending(db, 3, 3, 1);
    fixture_sync(db, s);
    fixture_sync(db, away);
    assert_null(away->occupants[fixture_row(db, away, "n")]);
    assert_int_equal(away->occupants[fixture_row(db, away, "m")]->count, 1);
    poison(false);
    mu_db_destroy(db);
}

/* --- audit, steps, bounds, memory ------------------------------------------------------------ */

static void test_db_occupant__switching_on__in_slices(void **state)
{
    (void)state;
    struct mu_db *db = fixture_create(0);
    struct mu_snapshot *s = mu_db_replica_create(db);
    char name[16];
    for (uint32_t i = 0; i < 400; i++) {
        (void)snprintf(name, sizeof name, "n%u", i);
        fixture_put_node(db, name, 1, 8);
        put_bound(db, i, 1, name, 0);
    }
    fixture_sync(db, s);
    put_pending(db, 5000, 1, 1);
    uint32_t steps = 0;
    while (mu_db_replica_sync(db, s, 100) == 1) {
        assert_true(++steps < 1000);
        if (steps == 5) /* one that was made already, and one that was not */
            put_bound(db, 0, 2, "n0", -3);
        if (steps == 6)
            put_bound(db, 399, 2, "n399", -4);
    }
    assert_true(steps >= 20);
    assert_int_equal(s->occupants[fixture_row(db, s, "n0")]->pods[0].priority, -3);
    assert_int_equal(s->occupants[fixture_row(db, s, "n399")]->pods[0].priority, -4);
    mu_db_destroy(db);
}

static void test_db_occupant__more_than_a_node_may_show__nobody(void **state)
{
    (void)state;
    struct mu_db *db = fixture_create(0);
    struct mu_snapshot *s = mu_db_replica_create(db);
    fixture_put_node(db, "n", 1, 8);
    for (uint32_t i = 0; i < MU_OCCUPANTS_MAX; i++)
        put_bound(db, i, 1, "n", 0);
    put_pending(db, 50000, 1, 1);
    fixture_sync(db, s);
    uint32_t row = fixture_row(db, s, "n");
    assert_int_equal(s->occupants[row]->count, MU_OCCUPANTS_MAX);
    put_bound(db, 40000, 1, "n", 0);
    fixture_sync(db, s);
    assert_non_null(s->occupants);
    assert_null(s->occupants[row]);
    mu_db_destroy(db);
}

static void test_db_occupant__shown_wrong__audit_makes_it_anew(void **state)
{
    (void)state;
    struct mu_db *db = fixture_create(0);
    struct mu_snapshot *s = mu_db_replica_create(db);
    fixture_put_node(db, "n", 1, 8);
    put_bound(db, 1, 1, "n", 0);
    put_pending(db, 2, 1, 1);
    fixture_sync(db, s);
    assert_int_equal(mu_db_audit_step(db, 64), 0);
    mu_pod_at(db, fixture_find(db, 1).ix.v)->started_s = 77; /* behind everybody's back */
    assert_int_equal(mu_db_audit_step(db, 64), 1);
    fixture_sync(db, s);
    assert_int_equal(s->occupants[fixture_row(db, s, "n")]->pods[0].started, 77);
    assert_int_equal(mu_db_audit_step(db, 64), 0);
    mu_db_destroy(db);
}

static void test_db_occupant__quiet_changes__nothing_moves(void **state)
{
    (void)state;
    struct mu_db *db = fixture_create(0);
    struct mu_snapshot *s = mu_db_replica_create(db);
    fixture_put_node(db, "n", 1, 8);
    put_bound(db, 1, 1, "n", 0);
    put_pending(db, 2, 1, 1);
    fixture_sync(db, s);
    uint64_t generation = s->generation;
    uint64_t occupants = s->occupant_generation;
    const struct mu_occupants *block = s->occupants[fixture_row(db, s, "n")];
    put_bound(db, 1, 2, "n", 0); /* a version, and nothing else */
    fixture_sync(db, s);
    assert_true(s->generation == generation && s->occupant_generation == occupants);
    assert_ptr_equal(s->occupants[fixture_row(db, s, "n")], block);
    put_bound(db, 1, 3, "n", -1);
    fixture_sync(db, s);
    assert_true(s->generation > generation && s->occupant_generation > occupants);
    mu_db_destroy(db);
}

/* Every allocation in turn fails, whichever call it is in; the call is made again. */
static void test_db_occupant__out_of_memory_in_turn__made_good(void **state)
{
    (void)state;
    uint64_t failed = 1;
    mu_db_destroy(fixture_create(0));
    poison(true);
    size_t baseline = mu_mem_live_bytes();
    for (uint64_t nth = 1; failed != 0; nth++) {
        static struct twin t;
        t = (struct twin){.db = fixture_create(0)};
        struct mu_snapshot *s = mu_db_replica_create(t.db);
        assert_true(t.db != NULL && s != NULL);
        failed = 0;
        fail_nth(nth);
        for (uint32_t i = 0; i < 12; i++) {
            t.cpus[i % NODES] = 2 + i % 2;
            t.pods[i] = (struct twin_pod){.exists = true,
                                          .ours = true,
                                          .incarnation = i + 1,
                                          .version = i + 1,
                                          .priority = (int32_t)i,
                                          .node = i < 10 ? (int)(i % 5) : -1};
            while (send_node(&t, (int)(i % NODES)) != 0)
                failed++;
            t.nodes[i % NODES] = true;
            while (send_pod(&t, i) != 0)
                failed++;
            for (int rc = 1; rc != 0;) {
                rc = mu_db_replica_sync(t.db, s, 40);
                assert_true(rc == 0 || rc == 1 || rc == MU_ENOMEM);
                failed += rc == MU_ENOMEM;
            }
        }
        poison(true);
        assert_true(failed <= 1);
        assert_non_null(s->occupants);
        check(&t, s);
        mu_db_destroy(t.db);
        assert_int_equal(mu_mem_live_bytes(), baseline);
        assert_true(nth < 5000);
    }
    poison(false);
}

int main(int argc, char **argv)
{
    if (argc > 1 && mu_str_to_u64(mu_str_of(argv[1]), &first_seed))
        seed_count = 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_db_occupant__nobody_could_preempt__no_column),
        cmocka_unit_test(test_db_occupant__asked_for__shown_to_whom_nobody_is_a_victim),
        cmocka_unit_test(test_db_occupant__never_preempts__no_column),
        cmocka_unit_test(test_db_occupant__idle_for_long__given_up),
        cmocka_unit_test(test_db_occupant__wanted_again_while_given_up__whole),
        cmocka_unit_test(test_db_occupant__replica_was_away__column_made_anew),
        cmocka_unit_test(test_db_occupant__shown_wrong__audit_makes_it_anew),
        cmocka_unit_test(test_db_occupant__switching_on__in_slices),
        cmocka_unit_test(test_db_occupant__more_than_a_node_may_show__nobody),
        cmocka_unit_test(test_db_occupant__quiet_changes__nothing_moves),
        cmocka_unit_test(test_db_occupant__out_of_memory_in_turn__made_good),
        cmocka_unit_test(test_db_occupant__random_changes__equals_the_twin),
    };
    return cmocka_run_group_tests_name("db_occupant", tests, NULL, NULL);
}
