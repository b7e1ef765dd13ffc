/*
 * The censuses of the cluster DB against a naive count (census_world.h): random nodes, pods,
 * places, labels, taints and namespaces, rules that come late and go again; whenever a replica is
 * complete, every census in it is counted anew. Then what must not go wrong: memory that runs out
 * at any point, drift, numbers that are used again.
 */
#include "tests/census_change.h"

#include "engine/place/place.h"

enum { STEPS = 2500, SEEDS = 8 };

static void run(uint64_t seed, uint64_t *checked, uint64_t *voids)
{
    struct world w = {.db = fixture_create(0)};
    mu_random_init_seed(&w.random, seed);
    for (int i = 0; i < 2; i++) {
        w.replicas[i] = mu_db_replica_create(w.db);
        assert_non_null(w.replicas[i]);
    }
    for (uint32_t step = 0; step < STEPS; step++) {
        /* Rules come late: first none, then more and more, then none are added again. */
        uint32_t bound = step < 100 ? 1 : step > STEPS - 200 ? 1 : 1 + (step / 50) % RULES;
        change(&w, bound == 1 && step > 100 && step < STEPS - 200 ? RULES : bound);
        if (step % 97 == 0) /* only one of the two knows what it once knew */
            (void)mu_db_audit_step(w.db, 1 + below(&w, 100));
        struct mu_snapshot *s = w.replicas[below(&w, 2)];
        int rc = 1;
        for (uint32_t slices = below(&w, 4); slices > 0 && rc == 1; slices--)
            rc = mu_db_replica_sync(w.db, s, 1 + below(&w, 40));
        assert_true(rc >= 0);
        if (rc == 0 || chance(&w, 300)) {
            fixture_sync(w.db, s);
            check(&w, s);
        }
    }
    struct mu_db_counts counts;
    mu_db_counts(w.db, &counts);
    assert_int_equal(counts.audit_drift, 0);
    assert_int_equal(counts.limit_reduced, 0);
    assert_true(w.admitted > 10 && w.refused > 3);
    for (int k = 0; k < 4; k++)
        checked[k] += w.checked[k];
    *voids += w.voids;
    mu_db_destroy(w.db);
}

static uint64_t first_seed = 1;
static uint64_t seed_count = SEEDS;

static void test_db_census__random_changes__equals_the_naive_count(void **state)
{
    (void)state;
    uint64_t checked[4] = {0}, voids = 0;
    mu_db_destroy(fixture_create(0)); /* warm whatever is made once a process */
    size_t baseline = mu_mem_live_bytes();
    for (uint64_t seed = first_seed; seed < first_seed + seed_count; seed++) {
        (void)fprintf(stderr, "seed %llu (again: test_db_census %llu)\n", (unsigned long long)seed,
                      (unsigned long long)seed);
        run(seed, checked, &voids);
        assert_int_equal(mu_mem_live_bytes(), baseline);
    }
    for (int k = 0; k < 4; k++) {
        print_message("kind %d: %llu censuses with pods\n", k, (unsigned long long)checked[k]);
        assert_true(checked[k] > 100 * seed_count);
    }
    print_message("%llu rules over keys that no node carried\n", (unsigned long long)voids);
    assert_true(voids > 100 * seed_count);
}

/* --- memory that runs out --------------------------------------------------------------------- */

static void fail_nth(uint64_t nth)
{
    mu_mem_debug_set((struct mu_mem_debug){.fail_nth = nth});
}

static void test_db_census__sync_without_memory__goes_on_where_it_was(void **state)
{
    (void)state;
    uint32_t failures = 0;
    size_t baseline = 0;
    for (uint64_t nth = 1; nth < 4000; nth += 1 + nth / 40) {
        struct world w;
        make_world(&w, 7 + nth % 5, 0);
        for (uint32_t i = 0; i < 300; i++) { /* nothing of it has been seen by any sync */
            if (i % 3 == 0)
                change_node(&w);
            change_pod(&w, RULES);
            if (i % 30 == 0)
                change_space(&w);
        }
        fail_nth(nth);
        for (int replica = 0; replica < 2; replica++) {
            struct mu_snapshot *s = w.replicas[replica];
            int rc = 1;
            for (uint32_t calls = 0; rc != 0; calls++) {
                assert_true(calls < 100000);
                rc = mu_db_replica_sync(w.db, s, 25);
                assert_true(rc == 0 || rc == 1 || rc == MU_ENOMEM);
                if (rc == MU_ENOMEM)
                    fail_nth(0);
                failures += rc == MU_ENOMEM;
            }
            check(&w, s);
        }
        fail_nth(0);
        mu_db_destroy(w.db);
        baseline = baseline == 0 ? mu_mem_live_bytes() : baseline;
        assert_int_equal(mu_mem_live_bytes(), baseline);
    }
    print_message("%u failures\n", failures);
    assert_true(failures > 50);
}

static void test_db_census__pod_without_memory__has_changed_nothing(void **state)
{
    (void)state;
    struct world w;
    make_world(&w, 3, 40);
    fixture_sync(w.db, w.replicas[0]);
    const struct pod old = w.pods[5];
    uint32_t failures = 0;
    int rc = MU_ENOMEM;
    for (uint64_t nth = 1; rc != 0; nth++) {
        w.pods[5] = (struct pod){.exists = true, .uid = 9000, .node = 2, .rules = 11, .app = 1};
        w.pods[5].version = ++w.version;
        fail_nth(nth);
        rc = try_pod(&w, 5);
        fail_nth(0);
        if (rc != 0) {
            assert_int_equal(rc, MU_ENOMEM);
            w.pods[5] = old;
            failures++;
        }
        fixture_sync(w.db, w.replicas[0]);
        check(&w, w.replicas[0]);
    }
    assert_true(failures > 2);
    mu_db_destroy(w.db);
}

/* The books are opened by a sync, and rows and pods that come later need room in them. */
static void test_db_census__new_rows_and_pods_without_memory__are_refused(void **state)
{
    (void)state;
    for (uint64_t nth = 1; nth < 40; nth++) {
        struct mu_db *db = fixture_create(0);
        struct world w = {.db = db, .version = 1, .uid = 1};
        w.replicas[0] = mu_db_replica_create(db);
        w.pods[0] = (struct pod){
            .exists = true, .uid = 1, .node = -1, .rules = 1, .app = 1, .version = 1, .ours = true};
        send_pod(&w, 0);
        fixture_sync(db, w.replicas[0]);
        int rc = 0;
        uint32_t stored = 0;
        for (uint32_t i = 0; i < 5000 && rc == 0; i++) { /* beyond what a set begins with */
            struct fixture_pod f;
            fixture_pod(&f, 100 + i, 1);
            if (i == 4000)
                fail_nth(nth * 9);
            rc = mu_db_pod_upsert(db, &f.object, 0, NULL);
            stored += rc == 0;
        }
        fail_nth(0);
        struct mu_db_counts counts;
        mu_db_counts(db, &counts);
        assert_true(rc == 0 || rc == MU_ENOMEM);
        assert_int_equal(counts.pods, stored + 1);
        fixture_sync(db, w.replicas[0]);
        check(&w, w.replicas[0]);
        mu_db_destroy(db);
    }
}

/* --- the audit -------------------------------------------------------------------------------- */

/* Until every census and every row has been looked at; returns the drift found. */
static uint32_t audit_all(struct world *w)
{
    uint32_t drift = 0;
    for (int i = 0; i < 3000; i++)
        drift += mu_db_audit_step(w->db, 64);
    return drift;
}

/* Some census of a kind in which somebody counts, and a domain where. */
static uint32_t find_census(const struct mu_snapshot *s, enum mu_census_kind kind, uint32_t *domain)
{
    for (uint32_t i = 0; i < s->census_count; i++) {
        const struct mu_census *c = &s->censuses[i];
        if (c->id == 0 || c->kind != kind)
            continue;
        for (*domain = 0; *domain < c->domain_count; ++*domain)
            if (c->counts[*domain] != 0)
                return i;
    }
    fail_msg("expected a census with pods");
    return 0;
}

static void test_db_census__planted_drift__is_repaired_and_counted(void **state)
{
    (void)state;
    for (int kind = 0; kind < 5; kind++) { /* the fifth: eligible nodes of a spread */
        struct world w;
        struct mu_db_counts counts;
        uint32_t domain = 0;
        make_world(&w, 11, 200);
        fixture_sync(w.db, w.replicas[0]);
        assert_int_equal(audit_all(&w), 0);
        enum mu_census_kind of = kind == 4 ? MU_CENSUS_SPREAD : (enum mu_census_kind)kind;
        uint32_t census = find_census(w.replicas[0], of, &domain);
        int32_t was = w.replicas[0]->censuses[census].counts[domain];
        if (kind == 4)
            mu_census_debug_field_drift(w.db, census, domain, 3);
        else
            mu_census_debug_drift(w.db, census, domain, 3);
        fixture_sync(w.db, w.replicas[0]);
        if (kind != 4)
            assert_int_equal(w.replicas[0]->censuses[census].counts[domain], was + 3);
        uint64_t term_generation = w.replicas[0]->term_generation;
        uint32_t drift = audit_all(&w);
        assert_int_equal(drift, 1);
        mu_db_counts(w.db, &counts);
        assert_int_equal(counts.audit_drift, 1);
        fixture_sync(w.db, w.replicas[0]);
        assert_true(w.replicas[0]->term_generation > term_generation);
        check(&w, w.replicas[0]);
        fixture_sync(w.db, w.replicas[1]);
        check(&w, w.replicas[1]);
        assert_int_equal(audit_all(&w), 0);
        mu_db_destroy(w.db);
    }
}

/* Pods come and go between the steps of an audit: nothing of that is drift. */
static void test_db_census__changes_during_an_audit__are_no_drift(void **state)
{
    (void)state;
    struct world w;
    make_world(&w, 21, 150);
    uint32_t drift = 0;
    for (int i = 0; i < 4000; i++) {
        if (i % 5 == 0)
            change(&w, RULES);
        fixture_sync(w.db, w.replicas[0]);
        drift += mu_db_audit_step(w.db, 3);
    }
    assert_int_equal(drift, 0);
    check(&w, w.replicas[0]);
    mu_db_destroy(w.db);
}

/* --- edges ------------------------------------------------------------------------------------ */

static void test_db_census__no_rules__nothing_is_kept(void **state)
{
    (void)state;
    struct world w;
    make_world(&w, 5, 0);
    for (int i = 0; i < 300; i++)
        change(&w, 1);
    fixture_sync(w.db, w.replicas[0]);
    const struct mu_snapshot *s = w.replicas[0];
    assert_null(w.db->books);
    assert_true(s->topology_count == 0 && s->census_count == 0 && s->term_generation == 0);
    assert_true(s->class_census_count == 0 && s->kin_census_count == 0);
    mu_db_destroy(w.db);
}

static void put_keyed(struct mu_db *db, uint32_t number, uint64_t version, const char *key)
{
    struct fixture_pod f;
    const struct mu_str ns = MU_STR("default");
    const struct mu_pod_term term = {.kind = MU_TERM_ANTI_AFFINITY,
                                     .topology_key = mu_str_of(key),
                                     .namespaces = &ns,
                                     .namespace_count = 1};
    fixture_pod(&f, number, version);
    f.object.terms = &term;
    f.object.term_count = 1;
    fixture_put(db, &f, 0);
}

/* A node that carries so many keys, and others. */
static void put_carrier(struct mu_db *db, uint64_t version, uint32_t keys)
{
    static char names[MU_TOPOLOGIES_MAX + 1][16];
    struct mu_label labels[MU_TOPOLOGIES_MAX + 2];
    struct fixture_node n;
    assert_true(keys <= MU_TOPOLOGIES_MAX + 1);
    fixture_node(&n, "carrier", version, 4, 0);
    for (uint32_t i = 0; i < keys; i++) {
        (void)snprintf(names[i], sizeof names[i], "key-%u", i);
        labels[i] = (struct mu_label){mu_str_of(names[i]), MU_STR("v")};
    }
    labels[keys] = (struct mu_label){MU_STR("late"), MU_STR("v")};
    n.object.labels = labels;
    n.object.label_count = keys + 1;
    assert_int_equal(mu_db_node_upsert(db, &n.object, 0, NULL), 0);
}

static uint32_t first_term(struct mu_db *db, const struct mu_snapshot *s, uint32_t pod)
{
    return s->class_census[fixture_find(db, pod).class_ix.v]->terms[0].v;
}

static void drop_pod(struct mu_db *db, uint32_t number)
{
    struct fixture_pod f;
    fixture_pod(&f, number, 2);
    assert_int_equal(mu_db_pod_remove(db, f.object.ns, f.object.name, MU_STR(""), 0), 0);
}

/* A key beyond the table leaves its class without an answer; one that is given up makes room. */
static void test_db_census__more_keys_than_numbers__cannot_be_judged(void **state)
{
    (void)state;
    struct mu_db *db = fixture_create(0);
    struct mu_snapshot *s = mu_db_replica_create(db);
    struct mu_db_counts counts;
    char key[16];
    put_carrier(db, 1, MU_TOPOLOGIES_MAX + 1);
    for (uint32_t i = 0; i <= MU_TOPOLOGIES_MAX; i++) {
        (void)snprintf(key, sizeof key, "key-%u", i);
        put_keyed(db, 1 + i, 1, key);
    }
    fixture_sync(db, s);
    mu_db_counts(db, &counts);
    assert_int_equal(counts.limit_reduced, 1);
    assert_int_equal(s->topology_count, MU_TOPOLOGIES_MAX);
    const uint32_t last = 1 + MU_TOPOLOGIES_MAX;
    assert_int_equal(first_term(db, s, last), MU_CENSUS_NO_KEY);
    assert_int_equal(s->class_census[fixture_find(db, last).class_ix.v]->carry_count, 0);
    assert_true(first_term(db, s, 1) < s->census_count);
    put_keyed(db, 200, 1, "late");
    fixture_sync(db, s);
    assert_int_equal(first_term(db, s, 200), MU_CENSUS_NO_KEY);
    drop_pod(db, 1);
    fixture_sync(db, s); /* the number is free again: one of those who wait has it */
    assert_true((first_term(db, s, last) == MU_CENSUS_NO_KEY) !=
                (first_term(db, s, 200) == MU_CENSUS_NO_KEY));
    drop_pod(db, 2);
    fixture_sync(db, s);
    assert_true(first_term(db, s, last) < s->census_count);
    assert_true(first_term(db, s, 200) < s->census_count);
    mu_db_destroy(db);
}

/* Keys that nobody carries take no numbers; they do once a node has them, and give them back. */
static void test_db_census__made_up_keys__no_numbers_until_a_node_has_them(void **state)
{
    (void)state;
    struct mu_db *db = fixture_create(0);
    struct mu_snapshot *s = mu_db_replica_create(db);
    struct mu_db_counts counts;
    char key[16];
    put_carrier(db, 1, 0);
    for (uint32_t i = 0; i < 1000; i++) {
        (void)snprintf(key, sizeof key, "key-%u", i);
        put_keyed(db, 1 + i, 1, key);
    }
    put_keyed(db, 2000, 1, "late");
    fixture_sync(db, s);
    assert_int_equal(s->topology_count, 1);
    assert_true(first_term(db, s, 2000) < s->census_count);
    assert_int_equal(first_term(db, s, 1), MU_CENSUS_VOID);
    put_carrier(db, 2, 3);
    fixture_sync(db, s);
    assert_int_equal(s->topology_count, 4);
    for (uint32_t i = 1; i <= 4; i++)
        assert_true(i > 3 ? first_term(db, s, i) == MU_CENSUS_VOID
                          : first_term(db, s, i) < s->census_count);
    put_carrier(db, 3, 1);
    fixture_sync(db, s);
    assert_true(first_term(db, s, 1) < s->census_count);
    assert_int_equal(first_term(db, s, 2), MU_CENSUS_VOID);
    uint32_t in_use = 0;
    for (uint32_t t = 0; t < s->topology_count; t++)
        in_use += s->topology_keys[t].v != 0;
    assert_int_equal(in_use, 2);
    mu_db_counts(db, &counts);
    assert_int_equal(counts.limit_reduced, 0);
    mu_db_destroy(db);
}

/* A key's number goes to another key while a replica is half way: its column is not the old one. */
static void test_db_census__number_used_again__shows_the_new_key(void **state)
{
    (void)state;
    struct world w = {.db = fixture_create(0)};
    struct mu_snapshot *s = mu_db_replica_create(w.db);
    w.nodes[0] = (struct node){.present = true, .zone = 1, .cpus = 4, .version = 1};
    w.nodes[1] = (struct node){.present = true, .rack = 1, .cpus = 4, .version = 1};
    send_node(&w, 0);
    send_node(&w, 1);
    put_keyed(w.db, 1, 1, "zone");
    fixture_sync(w.db, s);
    uint32_t row0 = fixture_row(w.db, s, "node-0");
    uint32_t row1 = fixture_row(w.db, s, "node-1");
    assert_int_equal(s->topology[0][row0], 0);
    assert_int_equal(s->topology[0][row1], MU_NONE);
    struct fixture_pod f;
    fixture_pod(&f, 1, 2);
    assert_int_equal(mu_db_pod_remove(w.db, f.object.ns, f.object.name, MU_STR(""), 0), 0);
    struct mu_snapshot *other = mu_db_replica_create(w.db);
    fixture_sync(w.db, other); /* the books forget `zone` */
    assert_int_equal(other->topology_count, 0);
    put_keyed(w.db, 2, 1, "rack");
    fixture_sync(w.db, s);
    assert_int_equal(s->topology_count, 1);
    assert_int_equal(s->topology[0][row0], MU_NONE);
    assert_int_equal(s->topology[0][row1], 0);
    mu_db_destroy(w.db);
}

/* --- admission of gangs ----------------------------------------------------------------------- */

/* A gang of two, alike, of these rules, planned for node-0 and node-`second`. */
struct pair {
    struct world w;
    struct fixture_plan plan;
    uint32_t rows[2];
};

static void pair_make(struct pair *pair, uint32_t rules, int second)
{
    struct world *w = &pair->w;
    *pair = (struct pair){.w = {.db = fixture_create(0)}};
    struct mu_snapshot *s = mu_db_replica_create(w->db);
    for (int n = 0; n < 3; n++) { /* two in one zone, one in the other */
        w->nodes[n] = (struct node){
            .present = true, .zone = n < 2 ? 1 : 2, .host = 1, .cpus = 8, .version = 1};
        send_node(w, n);
    }
    for (uint32_t i = 0; i < 2; i++) {
        struct pod_arrays a = {.requirement_count = 0};
        const struct pod p = {.rules = rules};
        struct fixture_pod f;
        const struct mu_label labels[] = {{MU_STR("app"), MU_STR("a")},
                                          {MU_STR("tier"), MU_STR("x")}};
        fixture_pod(&f, 1 + i, 1);
        fixture_gang(&f, "pair", 2);
        f.object.ns = mu_str_of(spaces[0]);
        f.object.labels = labels;
        f.object.label_count = 2;
        make_rules(&a, &p, &f.object);
        fixture_put(w->db, &f, 0);
    }
    fixture_sync(w->db, s);
    pair->rows[0] = fixture_row(w->db, s, "node-0");
    pair->rows[1] = fixture_row(w->db, s, node_name(second));
    fixture_plan(&pair->plan, s, 0, pair->rows[0]);
    assert_int_equal(pair->plan.gang.bind_count, 2);
    pair->plan.binds[1].node.v = pair->rows[1];
    pair->plan.binds[1].node_generation = s->nodes[pair->rows[1]].generation;
}

/* Nothing of the plan is in the books, in the ledger or on a node. */
static void check_not_admitted(struct pair *pair)
{
    struct mu_db *db = pair->w.db;
    struct mu_db_counts counts;
    struct mu_node_ix row;
    mu_db_counts(db, &counts);
    assert_int_equal(counts.ledger, 0);
    for (uint32_t i = 0; i < 2; i++) {
        assert_int_equal(mu_db_ledger_state(db, pair->plan.binds[i].uid, &row), MU_LEDGER_NONE);
        assert_int_equal(mu_row_free(db, pair->rows[i])[MU_RES_CPU], 8000);
        assert_int_equal(mu_row_free(db, pair->rows[i])[MU_RES_PODS], 110);
    }
    struct mu_snapshot *after = mu_db_replica_create(db);
    fixture_sync(db, after);
    for (uint32_t i = 0; i < after->census_count; i++)
        assert_int_equal(after->censuses[i].total, 0);
    mu_db_replica_destroy(db, after);
}

/* Whether they are admitted. */
static bool gang_admitted(uint32_t rules, int second)
{
    struct pair pair;
    pair_make(&pair, rules, second);
    int rc = mu_db_admit(pair.w.db, &pair.plan.gang, NULL);
    assert_true(rc == 0 || rc == MU_ECONFLICT);
    if (rc != 0)
        check_not_admitted(&pair);
    mu_db_destroy(pair.w.db);
    return rc == 0;
}

static void test_db_admit__gang_with_rules__is_judged_together(void **state)
{
    (void)state;
    assert_false(gang_admitted(1, 0)); /* not on the host of one's like */
    assert_true(gang_admitted(1, 1));
    assert_false(gang_admitted(2, 1)); /* not in its zone */
    assert_true(gang_admitted(2, 2));
    assert_true(gang_admitted(3, 0)); /* the first of its sort begins, the second joins it */
    assert_false(gang_admitted(3, 1));
    assert_false(gang_admitted(6, 1)); /* spread over zones */
    assert_true(gang_admitted(6, 2));
    assert_false(gang_admitted(9, 0)); /* one port, one node */
    assert_true(gang_admitted(9, 1));
}

static uint32_t gang_of(const struct mu_snapshot *s, struct mu_pod_ix pod)
{
    for (uint32_t g = 0; g < s->gang_rows; g++)
        if (s->gangs[g].block != NULL && s->gangs[g].block->member_count == 1 &&
            s->gangs[g].block->members[0].pod.v == pod.v)
            return g;
    fail();
    return MU_NONE;
}

/* What becomes of the binds of the pair after its admission. */
enum outcome { ON_ITS_WAY, HELD, GONE };

static void pair_outcome(struct pair *pair, enum outcome outcome)
{
    assert_int_equal(mu_db_admit(pair->w.db, &pair->plan.gang, NULL), 0);
    for (uint32_t i = 0; outcome != ON_ITS_WAY && i < 2; i++)
        mu_db_bind_refused(pair->w.db, pair->plan.binds[i].uid, outcome == HELD);
}

/* Whether a pod of these rules that matches none of them joins the pair on node-0: as a session
 * sees it, and at its admission. */
static bool other_admitted(uint32_t rules, enum outcome outcome)
{
    struct pair pair;
    struct fixture_pod f;
    struct pod_arrays a = {.requirement_count = 0};
    const struct pod p = {.rules = rules};
    pair_make(&pair, 0, 0);
    struct mu_db *db = pair.w.db;
    pair_outcome(&pair, outcome);
    fixture_pod(&f, 3, 1);
    f.object.ns = mu_str_of(spaces[0]);
    make_rules(&a, &p, &f.object);
    fixture_put(db, &f, 0);
    struct mu_snapshot *s = mu_db_replica_create(db);
    fixture_sync(db, s);
    struct mu_pod_view view = fixture_find(db, 3);
    struct fixture_plan plan;
    fixture_plan(&plan, s, gang_of(s, view.ix), pair.rows[0]);
    struct mu_place *place = mu_place_create(&mu_profile_default, NULL);
    struct mu_verdict verdict;
    mu_place_begin(place, s);
    assert_int_equal(mu_place_verdict(place, (struct mu_place_pod){view.class_ix, view.kin},
                                      (struct mu_node_ix){pair.rows[0]}, &verdict),
                     0);
    mu_place_end(place);
    mu_place_destroy(place);
    int rc = mu_db_admit(db, &plan.gang, NULL);
    assert_int_equal(rc, verdict.kind == MU_FITS ? 0 : MU_ECONFLICT);
    mu_db_destroy(db);
    return rc == 0;
}

/* Room that is held keeps away whom its pod would, and draws nobody: it may never be bound. */
static void test_db_admit__near_a_pod_that_only_holds__affinity_is_not_met(void **state)
{
    (void)state;
    assert_true(other_admitted(3, ON_ITS_WAY)); /* affinity */
    assert_false(other_admitted(3, HELD));
    assert_false(other_admitted(3, GONE));
    assert_false(other_admitted(1, ON_ITS_WAY)); /* anti-affinity */
    assert_false(other_admitted(1, HELD));
    assert_true(other_admitted(1, GONE));
}

/* A member that stays where it holds room draws the others of its gang, who else might begin
 * anywhere; and what was counted for it is taken back. */
static void test_place_pick_held__wants_to_be_near__draws_the_next(void **state)
{
    (void)state;
    struct pair pair;
    pair_make(&pair, 3, 0);
    struct mu_db *db = pair.w.db;
    assert_int_equal(mu_db_admit(db, &pair.plan.gang, NULL), 0);
    mu_db_bind_refused(db, pair.plan.binds[0].uid, true);
    mu_db_bind_refused(db, pair.plan.binds[1].uid, false);
    struct mu_snapshot *s = mu_db_replica_create(db);
    fixture_sync(db, s);
    struct mu_pod_view view = fixture_find(db, 2);
    const struct mu_place_pod pod = {view.class_ix, view.kin};
    struct mu_place *place = mu_place_create(&mu_profile_default, NULL);
    const struct mu_node_ix held = {pair.rows[0]};
    struct mu_node_ix node;
    uint32_t other = fixture_row(db, s, "node-2");
    struct mu_verdict verdict;
    mu_place_begin(place, s);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(mu_place_verdict(place, pod, (struct mu_node_ix){other}, &verdict), 0);
        assert_int_equal(verdict.kind, MU_FITS); /* nobody of its sort is placed yet */
        mu_place_trial(place);
        if (i == 0) {
            assert_int_equal(mu_place_stay(place, pod, held, 0), 0);
            assert_int_equal(mu_place_verdict(place, pod, (struct mu_node_ix){other}, &verdict), 0);
            assert_int_equal(verdict.kind, MU_NO_POD_AFFINITY);
        } else {
            assert_int_equal(mu_place_pick_held(place, pod, held, 0, &node), 0);
            assert_true(node.v != MU_NONE);
        }
        uint32_t first = i == 0 ? held.v : node.v;
        assert_int_equal(mu_place_put(place, pod, &node), 0);
        assert_int_equal(node.v, first);
        mu_place_rollback(place);
    }
    mu_place_end(place);
    mu_place_destroy(place);
    for (uint32_t i = 0; i < s->census_count; i++)
        assert_int_equal(s->censuses[i].total,
                         s->censuses[i].id == 0 || s->censuses[i].firm ? 0 : 1);
    mu_db_destroy(db);
}

/* Each allocation of an admission fails in turn, also those that bring the books up to date for a
 * pod that came after the plan. The same plan is admitted once there is memory. */
static void test_db_admit__rules_out_of_memory_anywhere__changes_nothing(void **state)
{
    static const struct {
        uint32_t rules;
        int second;
    } cases[] = {{1, 1}, {2, 2}, {3, 0}, {6, 2}, {9, 1}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int rc = MU_ENOMEM;
        uint64_t nth = 1;
        for (; rc == MU_ENOMEM; nth++) {
            struct pair pair;
            pair_make(&pair, cases[i].rules, cases[i].second);
            put_keyed(pair.w.db, 100, 1, "rack");
            uint64_t before = mu_db_digest(pair.w.db);
            mu_mem_debug_set((struct mu_mem_debug){.fail_nth = nth});
            rc = mu_db_admit(pair.w.db, &pair.plan.gang, NULL);
            mu_mem_debug_set((struct mu_mem_debug){0});
            assert_true(rc == 0 || rc == MU_ENOMEM);
            assert_true(mu_db_digest(pair.w.db) == before);
            if (rc != 0) {
                check_not_admitted(&pair);
                assert_int_equal(mu_db_admit(pair.w.db, &pair.plan.gang, NULL), 0);
            }
            struct mu_db_counts counts;
            mu_db_counts(pair.w.db, &counts);
            assert_int_equal(counts.ledger, 2);
            for (uint64_t rounds = counts.audit_rounds; counts.audit_rounds == rounds;) {
                assert_int_equal(mu_db_audit_step(pair.w.db, 100), 0);
                mu_db_counts(pair.w.db, &counts);
            }
            mu_db_destroy(pair.w.db);
            assert_true(nth < 1000);
        }
        assert_true(nth > 3); /* the sweep met allocations at all */
    }
}

int main(int argc, char **argv)
{
    if (argc > 1 && mu_str_to_u64(mu_str_of(argv[1]), &first_seed))
        seed_count = 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_db_census__random_changes__equals_the_naive_count),
        cmocka_unit_test(test_db_census__sync_without_memory__goes_on_where_it_was),
        cmocka_unit_test(test_db_census__pod_without_memory__has_changed_nothing),
        cmocka_unit_test(test_db_census__new_rows_and_pods_without_memory__are_refused),
        cmocka_unit_test(test_db_census__planted_drift__is_repaired_and_counted),
        cmocka_unit_test(test_db_census__changes_during_an_audit__are_no_drift),
        cmocka_unit_test(test_db_census__no_rules__nothing_is_kept),
        cmocka_unit_test(test_db_census__more_keys_than_numbers__cannot_be_judged),
        cmocka_unit_test(test_db_census__made_up_keys__no_numbers_until_a_node_has_them),
        cmocka_unit_test(test_db_census__number_used_again__shows_the_new_key),
        cmocka_unit_test(test_db_admit__gang_with_rules__is_judged_together),
        cmocka_unit_test(test_db_admit__near_a_pod_that_only_holds__affinity_is_not_met),
        cmocka_unit_test(test_place_pick_held__wants_to_be_near__draws_the_next),
        cmocka_unit_test(test_db_admit__rules_out_of_memory_anywhere__changes_nothing),
    };
    return cmocka_run_group_tests_name("db_census", tests, NULL, NULL);
}
