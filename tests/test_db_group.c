#include "tests/db_fixture.h"

#include "engine/base/error.h"
#include "tests/mu_test.h"

/* --- one gang and its object ------------------------------------------------------------------ */

static struct mu_group_object object_of(enum mu_gang_source source, const char *name,
                                        uint64_t version, uint32_t min)
{
    return (struct mu_group_object){.ns = MU_STR("default"),
                                    .name = mu_str_of(name),
                                    .source = source,
                                    .version = version,
                                    .min = min};
}

static void put_object(struct mu_db *db, const struct mu_group_object *object)
{
    assert_int_equal(mu_db_group_upsert(db, object, NULL), 0);
}

static void put_member(struct mu_db *db, uint32_t number, uint64_t version,
                       const struct mu_gang_ref *gang, const char *node)
{
    struct fixture_pod p;
    fixture_pod(&p, number, version);
    p.object.gang = *gang;
    p.object.node_name = mu_str_of(node);
    fixture_put(db, &p, 0);
}

/* The row of a pod's gang after a sync. */
static const struct mu_gang_row *row_of(struct mu_db *db, struct mu_snapshot *s, uint32_t number)
{
    fixture_sync(db, s);
    struct mu_pod_view view = fixture_find(db, number);
    assert_true(view.gang.v < s->gang_rows);
    return &s->gangs[view.gang.v];
}

static const struct mu_gang_ref native = {.source = MU_GANG_NATIVE, .name = {"g", 1}};
static const struct mu_gang_ref volcano = {.source = MU_GANG_VOLCANO, .name = {"g", 1}};

static void test_group__missing__its_gang_waits_and_says_why(void **state)
{
    (void)state;
    struct mu_db *db = fixture_create(0);
    struct mu_snapshot *s = mu_db_replica_create(db);
    put_member(db, 0, 1, &native, "");
    put_member(db, 1, 2, &native, "");
    const struct mu_gang_row *g = row_of(db, s, 0);
    assert_int_equal(g->flags, MU_GANG_PENDING);
    assert_int_equal(g->blocked_count, 2);
    assert_int_equal(g->blocked_rules, MU_RULE_GANG_OBJECT);
    assert_int_equal(g->block->member_count, 0);
    /* of another source, of another namespace, of another name: not its object */
    struct mu_group_object o = object_of(MU_GANG_VOLCANO, "g", 3, 2);
    put_object(db, &o);
    o = object_of(MU_GANG_NATIVE, "h", 3, 2);
    put_object(db, &o);
    o = object_of(MU_GANG_NATIVE, "g", 3, 2);
    o.ns = MU_STR("other");
    put_object(db, &o);
    assert_int_equal(row_of(db, s, 0)->blocked_rules, MU_RULE_GANG_OBJECT);
    o = object_of(MU_GANG_NATIVE, "g", 3, 2);
    put_object(db, &o);
    g = row_of(db, s, 0);
    assert_int_equal(g->flags, MU_GANG_PENDING | MU_GANG_SETTLED);
    assert_int_equal(g->size, 2);
    assert_int_equal(g->blocked_count, 0);
    assert_int_equal(g->block->member_count, 2);
    mu_db_group_remove(db, MU_GANG_NATIVE, MU_STR("default"), MU_STR("g"));
    assert_int_equal(row_of(db, s, 0)->blocked_rules, MU_RULE_GANG_OBJECT);
    struct mu_db_counts counts;
    mu_db_counts(db, &counts);
    assert_int_equal(counts.groups, 3);
    mu_db_destroy(db);
}

static void test_group__size_on_the_pods__until_there_is_an_object(void **state)
{
    (void)state;
    struct mu_db *db = fixture_create(0);
    struct mu_snapshot *s = mu_db_replica_create(db);
    struct mu_gang_ref sized = volcano;
    sized.size = 3;
    put_member(db, 0, 1, &sized, "");
    put_member(db, 1, 2, &volcano, "");
    const struct mu_gang_row *g = row_of(db, s, 0);
    assert_int_equal(g->size, 3);
    assert_int_equal(g->blocked_count, 0);
    struct mu_group_object o = object_of(MU_GANG_VOLCANO, "g", 3, 2);
    put_object(db, &o);
    assert_int_equal(row_of(db, s, 0)->size, 2);
    mu_db_group_remove(db, MU_GANG_VOLCANO, MU_STR("default"), MU_STR("g"));
    assert_int_equal(row_of(db, s, 0)->size, 3);
    mu_db_destroy(db);
}

static void test_group__all_that_it_says__is_in_the_row(void **state)
{
    (void)state;
    struct mu_db *db = fixture_create(0);
    struct mu_snapshot *s = mu_db_replica_create(db);
    put_member(db, 0, 1, &native, "");
    struct mu_group_object o = object_of(MU_GANG_NATIVE, "g", 3, 1);
    o.has_priority = o.never_preempts = o.spared = o.single_victims = o.pack_required = true;
    o.priority = 7;
    o.timeout_s = 60;
    o.pack_key = MU_STR("rack");
    put_object(db, &o);
    const struct mu_gang_row *g = row_of(db, s, 0);
    assert_int_equal(g->flags, MU_GANG_PENDING | MU_GANG_SETTLED | MU_GANG_NEVER | MU_GANG_SPARED |
                                   MU_GANG_SINGLE | MU_GANG_PACK_REQUIRED);
    assert_int_equal(g->blocked_rules, 0);
    assert_int_equal(g->priority, 7);
    assert_int_equal(g->priority_high, 7);
    assert_int_equal(g->timeout_s, 60);
    assert_true(mu_str_equal(mu_symbol_str(mu_model_symbols(mu_db_model(db)), g->pack_key),
                             MU_STR("rack")));
    o = object_of(MU_GANG_NATIVE, "g", 4, 1);
    put_object(db, &o);
    g = row_of(db, s, 0);
    assert_int_equal(g->flags, MU_GANG_PENDING | MU_GANG_SETTLED);
    assert_int_equal(g->priority, 0);
    assert_int_equal(g->timeout_s, 0);
    assert_int_equal(g->pack_key.v, 0);
    o.version = 5;
    o.unbuilt = MU_RULE_RESOURCE_CLAIMS;
    put_object(db, &o);
    assert_int_equal(row_of(db, s, 0)->blocked_rules, MU_RULE_RESOURCE_CLAIMS);
    mu_db_destroy(db);
}

static void test_group__another_version_of_the_same__is_quiet(void **state)
{
    (void)state;
    struct mu_db *db = fixture_create(0);
    struct mu_snapshot *s = mu_db_replica_create(db);
    const struct mu_group_subgroup subgroups[] = {{.name = {"a", 1}, .min = 1}};
    put_member(db, 0, 1, &volcano, "");
    struct mu_group_object o = object_of(MU_GANG_VOLCANO, "g", 3, 1);
    o.subgroups = subgroups;
    o.subgroup_count = 1;
    o.pack_key = MU_STR("rack");
    put_object(db, &o);
    uint32_t revision = row_of(db, s, 0)->revision;
    uint64_t generation = s->generation;
    o.version = 4;
    put_object(db, &o);
    assert_int_equal(row_of(db, s, 0)->revision, revision);
    assert_true(s->generation == generation);
    /* an older one is not heard, a newer one is */
    o.version = 3;
    o.min = 9;
    put_object(db, &o);
    assert_int_equal(row_of(db, s, 0)->size, 1);
    o.version = 5;
    put_object(db, &o);
    assert_int_equal(row_of(db, s, 0)->size, 9);
    mu_db_destroy(db);
}

static void test_group__relist__sweeps_its_source_alone(void **state)
{
    (void)state;
    struct mu_db *db = fixture_create(0);
    struct mu_snapshot *s = mu_db_replica_create(db);
    put_member(db, 0, 1, &native, "");
    put_member(db, 1, 1, &volcano, "");
    struct mu_group_object kept = object_of(MU_GANG_VOLCANO, "g", 3, 1);
    struct mu_group_object gone = object_of(MU_GANG_NATIVE, "g", 3, 1);
    struct mu_group_object named = object_of(MU_GANG_NATIVE, "h", 3, 1);
    put_object(db, &kept);
    put_object(db, &gone);
    put_object(db, &named);
    mu_db_groups_relist(db, MU_GANG_NATIVE);
    put_object(db, &named); /* the version that is held: listed all the same */
    while (mu_db_groups_sweep(db, MU_GANG_NATIVE, 1) == 1)
        ;
    struct mu_db_counts counts;
    mu_db_counts(db, &counts);
    assert_int_equal(counts.groups, 2);
    assert_int_equal(row_of(db, s, 0)->blocked_rules, MU_RULE_GANG_OBJECT);
    assert_int_equal(row_of(db, s, 1)->blocked_rules, 0);
    mu_db_destroy(db);
}

static void test_group__beyond_bounds__held_and_nobody_placed(void **state)
{
    (void)state;
    struct mu_db *db = fixture_create(0);
    struct mu_snapshot *s = mu_db_replica_create(db);
    struct mu_group_subgroup subgroups[MU_SUBGROUPS_MAX + 1];
    char names[MU_SUBGROUPS_MAX + 1][8];
    for (uint32_t i = 0; i <= MU_SUBGROUPS_MAX; i++) {
        (void)snprintf(names[i], sizeof names[i], "s%u", i);
        subgroups[i] = (struct mu_group_subgroup){.name = mu_str_of(names[i]), .min = 1};
    }
    put_member(db, 0, 1, &volcano, "");
    struct mu_group_object o = object_of(MU_GANG_VOLCANO, "g", 3, MU_GANG_MEMBERS_MAX + 1);
    put_object(db, &o);
    assert_int_equal(row_of(db, s, 0)->blocked_rules, MU_RULE_GANG_SPEC);
    o = object_of(MU_GANG_VOLCANO, "g", 4, 1);
    o.subgroups = subgroups;
    o.subgroup_count = MU_SUBGROUPS_MAX + 1;
    put_object(db, &o);
    assert_int_equal(row_of(db, s, 0)->blocked_rules, MU_RULE_GANG_SPEC);
    o.version = 5;
    o.subgroup_count = MU_SUBGROUPS_MAX;
    subgroups[0].min = MU_GANG_MEMBERS_MAX; /* fine by itself, too much in all */
    put_object(db, &o);
    assert_int_equal(row_of(db, s, 0)->blocked_rules, MU_RULE_GANG_SPEC);
    o.name = MU_STR("");
    assert_int_equal(mu_db_group_upsert(db, &o, NULL), MU_EINVAL);
    o.name = MU_STR("g");
    o.source = MU_GANG_KUEUE;
    assert_int_equal(mu_db_group_upsert(db, &o, NULL), MU_EINVAL);
    mu_db_destroy(db);
}

/* --- sub-groups ------------------------------------------------------------------------------- */

static struct mu_gang_ref task(const char *name)
{
    struct mu_gang_ref ref = volcano;
    ref.subgroup = mu_str_of(name);
    return ref;
}

static void assert_subgroup(const struct mu_gang_subgroup *s, uint32_t min, uint32_t placed,
                            uint32_t members)
{
    assert_int_equal(s->min, min);
    assert_int_equal(s->placed, placed);
    assert_int_equal(s->member_count, members);
}

static void test_group_subgroups__minima__each_its_own(void **state)
{
    (void)state;
    struct mu_db *db = fixture_create(0);
    struct mu_snapshot *s = mu_db_replica_create(db);
    const struct mu_group_subgroup minima[] = {{.name = {"worker", 6}, .min = 2},
                                               {.name = {"ps", 2}, .min = 1},
                                               {.name = {"chief", 5}, .min = 1},
                                               {.name = {"idle", 4}, .min = 0}};
    static const char *const tasks[] = {"worker", "ps", "worker", "other", "worker"};
    for (uint32_t i = 0; i < 5; i++) {
        struct mu_gang_ref ref = task(tasks[i]);
        put_member(db, i, 1, &ref, i == 2 ? "n" : "");
    }
    struct mu_group_object o = object_of(MU_GANG_VOLCANO, "g", 3, 6);
    o.subgroups = minima;
    o.subgroup_count = 4;
    put_object(db, &o);
    const struct mu_gang_row *g = row_of(db, s, 0);
    assert_int_equal(g->size, 6); /* more than the sum of the minima */
    assert_int_equal(g->block->subgroup_count, 4);
    assert_subgroup(&g->block->subgroups[0], MU_MIN_NONE, 0, 1); /* other */
    assert_subgroup(&g->block->subgroups[1], 1, 0, 1);           /* ps */
    assert_subgroup(&g->block->subgroups[2], 2, 1, 2);           /* worker */
    assert_subgroup(&g->block->subgroups[3], 1, 0, 0);           /* chief: nobody is there */
    assert_int_equal(mu_gang_subgroup_need(&g->block->subgroups[0]), 0);
    o.version = 4;
    o.min = 1;
    put_object(db, &o);
    assert_int_equal(row_of(db, s, 0)->size, 4); /* their sum */
    /* without minima the tasks are names and no more */
    o.version = 5;
    o.subgroup_count = 0;
    put_object(db, &o);
    g = row_of(db, s, 0);
    assert_int_equal(g->block->subgroup_count, 1);
    assert_subgroup(&g->block->subgroups[0], 1, 1, 4);
    mu_db_destroy(db);
}

static void test_claims_subgroups__stated_by_pods__largest_and_all_listed(void **state)
{
    (void)state;
    struct mu_db *db = fixture_create(0);
    struct mu_snapshot *s = mu_db_replica_create(db);
    const struct mu_group_subgroup list[] = {{.name = {"a", 1}, .min = 0},
                                             {.name = {"b", 1}, .min = 0}};
    struct mu_gang_ref ref = {.source = MU_GANG_KOORDINATOR,
                              .name = MU_STR("a,b"),
                              .subgroup = MU_STR("a"),
                              .subgroup_min = 2,
                              .subgroups = list,
                              .subgroup_count = 2};
    put_member(db, 0, 1, &ref, "");
    const struct mu_gang_row *g = row_of(db, s, 0);
    assert_int_equal(g->size, 3); /* of b at least one */
    assert_int_equal(g->block->subgroup_count, 2);
    assert_subgroup(&g->block->subgroups[0], 2, 0, 1);
    assert_subgroup(&g->block->subgroups[1], 1, 0, 0);
    ref.subgroup = MU_STR("b");
    ref.subgroup_min = 4;
    put_member(db, 1, 1, &ref, "");
    assert_int_equal(row_of(db, s, 0)->size, 6);
    mu_db_pod_remove(db, MU_STR("default"), MU_STR("pod-1"), MU_STR(""), 0);
    assert_int_equal(row_of(db, s, 0)->size, 3);
    mu_db_destroy(db);
}

static void test_claims_waiting_only__minimum_met__as_many_again(void **state)
{
    (void)state;
    struct mu_db *db = fixture_create(0);
    struct mu_snapshot *s = mu_db_replica_create(db);
    const struct mu_gang_ref ref = {.source = MU_GANG_KOORDINATOR,
                                    .name = MU_STR("g"),
                                    .size = 2,
                                    .waiting_only = true,
                                    .pack_key = MU_STR("rack"),
                                    .timeout_s = 9};
    put_member(db, 0, 1, &ref, "n");
    put_member(db, 1, 1, &ref, "");
    const struct mu_gang_row *g = row_of(db, s, 0);
    assert_int_equal(g->size, 2); /* below it, the gang is completed */
    assert_int_equal(g->flags, MU_GANG_PENDING | MU_GANG_SETTLED | MU_GANG_SHORT);
    assert_int_equal(g->timeout_s, 9);
    assert_int_not_equal(g->pack_key.v, 0);
    put_member(db, 2, 1, &ref, "n");
    g = row_of(db, s, 0);
    assert_int_equal(g->size, 4);
    assert_int_equal(g->flags, MU_GANG_PENDING | MU_GANG_SETTLED | MU_GANG_WHOLE);
    mu_db_destroy(db);
}

static void test_group_admit__a_subgroup_below_its_minimum__conflict(void **state)
{
    (void)state;
    struct mu_db *db = fixture_create(0);
    struct mu_snapshot *s = mu_db_replica_create(db);
    const struct mu_group_subgroup minima[] = {{.name = {"ps", 2}, .min = 1},
                                               {.name = {"worker", 6}, .min = 1}};
    fixture_put_node(db, "n", 1, 8);
    struct mu_gang_ref ps = task("ps"), worker = task("worker");
    put_member(db, 0, 1, &ps, "");
    put_member(db, 1, 1, &worker, "");
    put_member(db, 2, 1, &worker, "");
    struct mu_group_object o = object_of(MU_GANG_VOLCANO, "g", 3, 2);
    o.subgroups = minima;
    o.subgroup_count = 2;
    put_object(db, &o);
    struct fixture_plan plan;
    struct mu_error why = {0};
    (void)row_of(db, s, 0);
    uint32_t gang = fixture_find(db, 0).gang.v;
    fixture_plan(&plan, s, gang, fixture_row(db, s, "n"));
    assert_int_equal(plan.gang.bind_count, 3);
    plan.gang.binds = plan.binds + 1; /* both workers and no ps: the size, but not the minimum */
    plan.gang.bind_count = 2;
    assert_int_equal(mu_db_admit(db, &plan.gang, &why), MU_ECONFLICT);
    plan.gang.binds = plan.binds;
    assert_int_equal(mu_db_admit(db, &plan.gang, &why), 0);
    /* gone meanwhile: nobody follows */
    mu_db_group_remove(db, MU_GANG_VOLCANO, MU_STR("default"), MU_STR("g"));
    plan.gang.binds = plan.binds + 2;
    plan.gang.bind_count = 1;
    assert_int_equal(mu_db_admit(db, &plan.gang, &why), MU_ECONFLICT);
    mu_db_destroy(db);
}

/* --- gangs that are none ---------------------------------------------------------------------- */

static void test_group_single__members_move_out_and_back(void **state)
{
    (void)state;
    struct mu_db *db = fixture_create(0);
    struct mu_snapshot *s = mu_db_replica_create(db);
    fixture_put_node(db, "n", 1, 8);
    for (uint32_t i = 0; i < 3; i++)
        put_member(db, i, 1, &native, "");
    struct mu_group_object o = object_of(MU_GANG_NATIVE, "g", 2, 0);
    o.single_policy = true;
    put_object(db, &o);
    const struct mu_gang_row *g = row_of(db, s, 0);
    assert_int_equal(g->size, 1);
    assert_int_equal(g->member_count, 1);
    assert_int_equal(g->flags, MU_GANG_PENDING | MU_GANG_SETTLED);
    assert_int_not_equal(fixture_find(db, 0).gang.v, fixture_find(db, 1).gang.v);
    assert_int_equal(s->pending_gangs, 3);
    assert_true(mu_str_equal(mu_db_gang_name(db, fixture_find(db, 1).gang), MU_STR("pod-1")));
    /* the plan for one of them */
    struct fixture_plan plan;
    struct mu_error why = {0};
    fixture_plan(&plan, s, fixture_find(db, 0).gang.v, fixture_row(db, s, "n"));
    assert_int_equal(mu_db_admit(db, &plan.gang, &why), 0);
    fixture_plan(&plan, s, fixture_find(db, 1).gang.v, fixture_row(db, s, "n"));
    /* a pod that comes again, bound or not, stays where it is; a new one moves out */
    put_member(db, 0, 2, &native, "n");
    put_member(db, 3, 2, &native, "");
    assert_int_equal(row_of(db, s, 0)->placed_count, 1);
    assert_int_equal(row_of(db, s, 3)->member_count, 1);
    /* a gang again: all come back, and nobody goes alone */
    o = object_of(MU_GANG_NATIVE, "g", 3, 4);
    put_object(db, &o);
    assert_int_equal(mu_db_admit(db, &plan.gang, &why), MU_ECONFLICT);
    g = row_of(db, s, 0);
    assert_int_equal(g->member_count, 4);
    assert_int_equal(g->placed_count, 1);
    assert_int_equal(g->size, 4);
    struct mu_db_counts counts;
    mu_db_counts(db, &counts);
    assert_int_equal(counts.gangs, 1);
    mu_db_destroy(db);
}

static void test_group_single__all_leave__no_row_is_left(void **state)
{
    (void)state;
    struct mu_db *db = fixture_create(0);
    struct mu_snapshot *s = mu_db_replica_create(db);
    struct mu_group_object o = object_of(MU_GANG_NATIVE, "g", 2, 0);
    o.single_policy = true;
    put_object(db, &o);
    put_member(db, 0, 1, &native, "");
    put_member(db, 1, 1, &native, "");
    fixture_sync(db, s);
    const struct mu_gang_ref other = {.source = MU_GANG_MUSTER, .name = MU_STR("m"), .size = 1};
    put_member(db, 0, 2, &other, "");
    mu_db_pod_remove(db, MU_STR("default"), MU_STR("pod-1"), MU_STR(""), 0);
    mu_db_group_remove(db, MU_GANG_NATIVE, MU_STR("default"), MU_STR("g"));
    fixture_sync(db, s);
    struct mu_db_counts counts;
    mu_db_counts(db, &counts);
    assert_int_equal(counts.gangs, 1);
    assert_int_equal(counts.groups, 0);
    assert_int_equal(s->pending_gangs, 1);
    mu_db_destroy(db);
}

static void test_group_workload__parts__each_as_it_says(void **state)
{
    (void)state;
    struct mu_db *db = fixture_create(0);
    struct mu_snapshot *s = mu_db_replica_create(db);
    const struct mu_group_subgroup parts[] = {{.name = {"gang", 4}, .min = 2},
                                              {.name = {"each", 4}, .single = true}};
    static const char *const names[] = {"w/gang/0", "w/gang/1", "w/each", "w/none"};
    static const char *const part[] = {"gang", "gang", "each", "none"};
    for (uint32_t i = 0; i < 8; i++) {
        struct mu_gang_ref ref = {.source = MU_GANG_WORKLOAD,
                                  .name = mu_str_of(names[i / 2]),
                                  .object = MU_STR("w"),
                                  .part = mu_str_of(part[i / 2])};
        put_member(db, i, 1, &ref, "");
    }
    assert_int_equal(row_of(db, s, 0)->blocked_rules, MU_RULE_GANG_OBJECT);
    struct mu_group_object o = object_of(MU_GANG_WORKLOAD, "w", 2, 0);
    o.subgroups = parts;
    o.subgroup_count = 2;
    put_object(db, &o);
    assert_int_equal(row_of(db, s, 0)->size, 2);
    assert_int_equal(row_of(db, s, 0)->member_count, 2);
    assert_int_not_equal(fixture_find(db, 0).gang.v, fixture_find(db, 2).gang.v);
    assert_int_equal(row_of(db, s, 4)->member_count, 1);
    assert_int_equal(row_of(db, s, 6)->blocked_rules, MU_RULE_GANG_OBJECT);
    mu_db_destroy(db);
}

/* --- out of memory ---------------------------------------------------------------------------- */

static bool run_once(void *context)
{
    (void)context;
    const struct mu_group_subgroup minima[] = {{.name = {"ps", 2}, .min = 1},
                                               {.name = {"worker", 6}, .min = 1}};
    struct mu_db *db = fixture_create(0);
    if (db == NULL)
        return false;
    struct mu_snapshot *s = mu_db_replica_create(db);
    struct fixture_pod p;
    bool ok = s != NULL;
    for (uint32_t i = 0; ok && i < 3; i++) {
        fixture_pod(&p, i, 1);
        p.object.gang = task(i == 0 ? "ps" : "worker");
        ok = mu_db_pod_upsert(db, &p.object, 0, NULL) == 0;
    }
    struct mu_group_object o = object_of(MU_GANG_VOLCANO, "g", 2, 2);
    o.subgroups = minima;
    o.subgroup_count = 2;
    o.has_priority = true;
    o.priority = 5;
    o.pack_key = MU_STR("rack");
    if (ok) {
        struct mu_db_counts counts;
        int rc = mu_db_group_upsert(db, &o, NULL);
        assert_true(rc == 0 || rc == MU_ENOMEM);
        mu_db_counts(db, &counts);
        assert_int_equal(counts.groups, rc == 0); /* what failed has changed nothing */
        ok = rc == 0;
    }
    int rc = ok ? 1 : 0;
    while (rc == 1)
        rc = mu_db_replica_sync(db, s, 0);
    o.version = 3;
    o.single_policy = true;
    ok = ok && rc == 0 && mu_db_group_upsert(db, &o, NULL) == 0;
    rc = ok ? 1 : 0;
    while (rc == 1)
        rc = mu_db_replica_sync(db, s, 0);
    ok = ok && rc == 0;
    if (ok) {
        assert_int_equal(s->pending_gangs, 3);
    }
    mu_db_destroy(db);
    return ok;
}

static void test_group__out_of_memory__nothing_changed_and_nothing_leaks(void **state)
{
    (void)state;
    assert_true(mu_test_fail_each(run_once, NULL) > 20);
}

/* --- against a naive twin --------------------------------------------------------------------- */

enum { PODS = 40, KEYS = 8, TASKS = 3, STEPS = 3000, SEEDS = 8 };

struct twin_pod {
    bool exists, bound, spared, never;
    uint32_t key, task, size, task_min, version;
    int32_t priority;
    bool lists; /* it says that all tasks must be there */
};
struct twin_group {
    bool present, single, has_priority, spared, single_victims;
    uint32_t min, task_min[TASKS], version;
    int32_t priority;
};
struct twin {
    struct mu_test_run run;
    struct mu_db *db;
    struct mu_snapshot *s;
    struct twin_pod pods[PODS];
    struct twin_group groups[KEYS];
    uint32_t version;
};

static const char *const twin_names[KEYS] = {"k0", "k1", "k2", "k3", "k4", "k5", "k6", "k7"};
static const char *const twin_tasks[TASKS] = {"t0", "t1", "t2"};
/* Gangs 0 to 3 have objects (Volcano), 4 to 7 have none (YuniKorn). */
static bool has_object(uint32_t key)
{
    return key < 4;
}

static uint32_t below(struct twin *t, uint32_t bound)
{
    return (uint32_t)mu_random_below(&t->run.random, bound);
}
static bool chance(struct twin *t, uint32_t permille)
{
    return mu_random_chance(&t->run.random, permille);
}

static void send_pod(struct twin *t, uint32_t number)
{
    const struct twin_pod *p = &t->pods[number];
    struct fixture_pod f;
    struct mu_group_subgroup list[TASKS];
    for (uint32_t i = 0; i < TASKS; i++)
        list[i] = (struct mu_group_subgroup){.name = mu_str_of(twin_tasks[i])};
    fixture_pod(&f, number, p->version);
    f.object.priority = p->priority;
    f.object.spared = p->spared;
    f.object.never_preempts = p->never;
    f.object.node_name = p->bound ? MU_STR("n") : MU_STR("");
    f.object.gang =
        (struct mu_gang_ref){.source = has_object(p->key) ? MU_GANG_VOLCANO : MU_GANG_YUNIKORN,
                             .name = mu_str_of(twin_names[p->key]),
                             .subgroup = mu_str_of(twin_tasks[p->task]),
                             .size = p->size,
                             .subgroup_min = p->task_min,
                             .subgroups = list,
                             .subgroup_count = p->lists ? TASKS : 0};
    fixture_put(t->db, &f, 0);
}

static void send_group(struct twin *t, uint32_t key)
{
    const struct twin_group *g = &t->groups[key];
    struct mu_group_subgroup list[TASKS];
    for (uint32_t i = 0; i < TASKS; i++)
        list[i] =
            (struct mu_group_subgroup){.name = mu_str_of(twin_tasks[i]), .min = g->task_min[i]};
    struct mu_group_object o = object_of(MU_GANG_VOLCANO, twin_names[key], g->version, g->min);
    o.subgroups = list;
    o.subgroup_count = TASKS;
    o.single_policy = g->single;
    o.has_priority = g->has_priority;
    o.priority = g->priority;
    o.spared = g->spared;
    o.single_victims = g->single_victims;
    put_object(t->db, &o);
}

static void change_pod(struct twin *t)
{
    uint32_t number = below(t, PODS);
    struct twin_pod *p = &t->pods[number];
    if (p->exists && chance(t, 200)) {
        char name[16];
        (void)snprintf(name, sizeof name, "pod-%u", number);
        mu_db_pod_remove(t->db, MU_STR("default"), mu_str_of(name), MU_STR(""), 0);
        p->exists = false;
        return;
    }
    if (!p->exists || chance(t, 100))
        *p = (struct twin_pod){.exists = true, .key = below(t, KEYS), .task = below(t, TASKS)};
    p->bound = chance(t, p->bound ? 950 : 200);
    p->spared = chance(t, 50);
    p->never = chance(t, 50);
    p->priority = (int32_t)below(t, 3);
    p->size = chance(t, 200) ? 1 + below(t, 5) : 0;
    p->task_min = chance(t, 100) ? 1 + below(t, 3) : 0;
    p->lists = chance(t, 30);
    p->version = ++t->version;
    send_pod(t, number);
}

static void change_group(struct twin *t)
{
    uint32_t key = below(t, 4);
    struct twin_group *g = &t->groups[key];
    if (g->present && chance(t, 300)) {
        mu_db_group_remove(t->db, MU_GANG_VOLCANO, MU_STR("default"), mu_str_of(twin_names[key]));
        g->present = false;
        return;
    }
    if (!g->present || chance(t, 600)) {
        *g = (struct twin_group){.present = true,
                                 .single = chance(t, 300),
                                 .has_priority = chance(t, 300),
                                 .spared = chance(t, 200),
                                 .single_victims = chance(t, 200),
                                 .min = below(t, 6),
                                 .priority = (int32_t)below(t, 5)};
        if (!g->has_priority)
            g->priority = 0;
        for (uint32_t i = 0; chance(t, 500) && i < TASKS; i++)
            g->task_min[i] = below(t, 3);
    }
    g->version = ++t->version;
    send_group(t, key);
}

/* All objects listed anew, some of them gone. */
static void relist_groups(struct twin *t)
{
    mu_db_groups_relist(t->db, MU_GANG_VOLCANO);
    for (uint32_t key = 0; key < 4; key++) {
        t->groups[key].present = t->groups[key].present && chance(t, 700);
        if (t->groups[key].present)
            send_group(t, key);
    }
    while (mu_db_groups_sweep(t->db, MU_GANG_VOLCANO, 1 + below(t, 5)) == 1)
        ;
}

struct expected {
    uint32_t members, placed, size, task_min[TASKS], task_placed[TASKS], task_pending[TASKS];
    bool split, held, some_minimum;
    uint32_t flags;
    int32_t priority, high;
};

/* What the gang of a key (or, where it is none, of one pod) must look like. */
static struct expected expect(const struct twin *t, uint32_t key, uint32_t pod, bool alone)
{
    struct expected e = {.priority = INT32_MAX, .high = INT32_MIN};
    const struct twin_group *g = &t->groups[key];
    const bool object = has_object(key) && g->present;
    uint32_t stated = 0, sum = 0, tasks = 0;
    for (uint32_t i = 0; i < PODS; i++) {
        const struct twin_pod *p = &t->pods[i];
        if (!p->exists || p->key != key || (alone && i != pod))
            continue;
        e.members++;
        e.placed += p->bound;
        e.task_placed[p->task] += p->bound;
        e.task_pending[p->task] += !p->bound;
        tasks |= 1u << p->task;
        e.flags |= p->never ? MU_GANG_NEVER : 0;
        e.priority = p->priority < e.priority ? p->priority : e.priority;
        e.high = p->priority > e.high ? p->priority : e.high;
        stated = p->size > stated ? p->size : stated;
        for (uint32_t k = 0; !object && !alone && k < TASKS; k++) {
            uint32_t min = k == p->task && p->task_min > 0 ? p->task_min : p->lists ? 1 : 0;
            e.task_min[k] = min > e.task_min[k] ? min : e.task_min[k];
        }
    }
    for (uint32_t k = 0; k < TASKS; k++) {
        if (object && !alone)
            e.task_min[k] = g->task_min[k];
        sum += e.task_min[k];
    }
    e.some_minimum = sum > 0;
    uint32_t min = object ? g->min : stated;
    e.size = alone ? 1 : min > sum ? min : sum;
    e.held = has_object(key) && !g->present && e.size == 0;
    e.split = e.some_minimum || (!has_object(key) && (tasks & (tasks - 1)) != 0);
    if (object && g->has_priority)
        e.priority = e.high = g->priority;
    if (object && g->single_victims)
        e.flags |= MU_GANG_SINGLE;
    if (object && g->spared)
        e.flags |= MU_GANG_SPARED;
    e.flags |= e.size != 0 ? MU_GANG_SETTLED : 0;
    e.flags |= e.placed < e.members ? MU_GANG_PENDING : 0;
    e.flags |= e.split ? MU_GANG_PARTS : 0;
    bool is_short = e.placed < e.size;
    for (uint32_t k = 0; k < TASKS; k++)
        is_short = is_short || e.task_placed[k] < e.task_min[k];
    e.flags |= e.placed != 0 && is_short ? MU_GANG_SHORT : 0;
    return e;
}

/* Each task with a minimum or with members is there once, as it should be. */
static void check_block(struct twin *t, const struct mu_gang_block *b, const struct expected *e)
{
    uint32_t found = 0, want = 0;
    for (uint32_t k = 0; k < TASKS; k++) {
        if (e->task_min[k] == 0 && e->task_placed[k] + e->task_pending[k] == 0)
            continue;
        want++;
        const uint32_t min = e->task_min[k] != 0 ? e->task_min[k]
                             : e->some_minimum   ? MU_MIN_NONE
                                                 : 0;
        for (uint32_t s = 0; s < b->subgroup_count; s++)
            if (b->subgroups[s].min == min && b->subgroups[s].placed == e->task_placed[k] &&
                b->subgroups[s].member_count == e->task_pending[k]) {
                found++;
                break;
            }
    }
    MU_TEST_CHECK(&t->run, b->subgroup_count == want && found == want);
}

static void check_pod(struct twin *t, uint32_t number)
{
    const struct twin_pod *p = &t->pods[number];
    const bool alone = has_object(p->key) && t->groups[p->key].present && t->groups[p->key].single;
    const struct expected e = expect(t, p->key, number, alone);
    const struct mu_gang_row *row = &t->s->gangs[fixture_find(t->db, number).gang.v];
    MU_TEST_CHECK(&t->run, row->member_count == e.members);
    MU_TEST_CHECK(&t->run, row->placed_count == e.placed && row->bound_count == e.placed);
    MU_TEST_CHECK(&t->run, row->size == e.size);
    /* Whether it was whole once is no matter of what is there now. */
    MU_TEST_CHECK(&t->run, (row->flags & ~(uint32_t)MU_GANG_WHOLE) == e.flags);
    MU_TEST_CHECK(&t->run, row->priority == e.priority && row->priority_high == e.high);
    MU_TEST_CHECK(&t->run, row->blocked_rules == (e.held ? (uint32_t)MU_RULE_GANG_OBJECT : 0u));
    if ((row->flags & MU_GANG_PENDING) == 0) {
        MU_TEST_CHECK(&t->run, row->block == NULL);
        return;
    }
    const uint32_t shown = e.held ? 0 : e.members - e.placed;
    MU_TEST_CHECK(&t->run, row->block->member_count == shown);
    if (e.split && !e.held)
        check_block(t, row->block, &e);
    else
        MU_TEST_CHECK(&t->run, row->block->subgroup_count == 1);
}

static void check_all(struct twin *t)
{
    uint32_t rows = 0, pending = 0;
    fixture_sync(t->db, t->s);
    for (uint32_t i = 0; i < PODS; i++)
        if (t->pods[i].exists)
            check_pod(t, i);
    for (uint32_t row = 0; row < t->s->gang_rows; row++) {
        rows += t->s->gangs[row].member_count > 0;
        pending += (t->s->gangs[row].flags & MU_GANG_PENDING) != 0;
    }
    struct mu_db_counts counts;
    mu_db_counts(t->db, &counts);
    MU_TEST_CHECK(&t->run, counts.gangs >= rows && t->s->pending_gangs == pending);
}

static void test_group_model__random_changes__as_the_naive_twin(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct twin *t = mu_mem_zalloc(sizeof *t);
        assert_non_null(t);
        t->run = mu_test_run_begin(seed);
        t->db = fixture_create(0);
        t->s = mu_db_replica_create(t->db);
        fixture_put_node(t->db, "n", 1, 64);
        for (t->run.step = 0; t->run.step < STEPS; t->run.step++) {
            uint32_t what = below(t, 100);
            if (what < 70)
                change_pod(t);
            else if (what < 97)
                change_group(t);
            else
                relist_groups(t);
            if (chance(t, 300))
                check_all(t);
        }
        /* all go, and nothing is left */
        for (uint32_t i = 0; i < PODS; i++) {
            char name[16];
            (void)snprintf(name, sizeof name, "pod-%u", i);
            mu_db_pod_remove(t->db, MU_STR("default"), mu_str_of(name), MU_STR(""), 0);
        }
        for (uint32_t key = 0; key < 4; key++)
            mu_db_group_remove(t->db, MU_GANG_VOLCANO, MU_STR("default"),
                               mu_str_of(twin_names[key]));
        fixture_sync(t->db, t->s);
        struct mu_db_counts counts;
        mu_db_counts(t->db, &counts);
        assert_int_equal(counts.gangs, 0);
        assert_int_equal(counts.groups, 0);
        assert_int_equal(t->s->pending_gangs, 0);
        mu_db_destroy(t->db);
        mu_mem_free(t);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_group__missing__its_gang_waits_and_says_why),
        cmocka_unit_test(test_group__size_on_the_pods__until_there_is_an_object),
        cmocka_unit_test(test_group__all_that_it_says__is_in_the_row),
        cmocka_unit_test(test_group__another_version_of_the_same__is_quiet),
        cmocka_unit_test(test_group__relist__sweeps_its_source_alone),
        cmocka_unit_test(test_group__beyond_bounds__held_and_nobody_placed),
        cmocka_unit_test(test_group_subgroups__minima__each_its_own),
        cmocka_unit_test(test_claims_subgroups__stated_by_pods__largest_and_all_listed),
        cmocka_unit_test(test_claims_waiting_only__minimum_met__as_many_again),
        cmocka_unit_test(test_group_admit__a_subgroup_below_its_minimum__conflict),
        cmocka_unit_test(test_group_single__members_move_out_and_back),
        cmocka_unit_test(test_group_single__all_leave__no_row_is_left),
        cmocka_unit_test(test_group_workload__parts__each_as_it_says),
        cmocka_unit_test(test_group__out_of_memory__nothing_changed_and_nothing_leaks),
        cmocka_unit_test(test_group_model__random_changes__as_the_naive_twin),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
