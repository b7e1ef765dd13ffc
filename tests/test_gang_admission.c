/* When a gang is tried, what it gets, and what is reported while it waits: case by case. */
#include "tests/mu_test.h"

#include "engine/session/session.h"
#include "tests/support/cluster.h"

#define GI      (INT64_C(1) << 30)
#define MEMBERS 8

/* One node of ten cpus, and classes of one and of four. */
struct fixture {
    struct mu_cluster cluster;
    struct mu_session *session;
    struct mu_class_ix one, four;
    struct mu_cluster_member members[MEMBERS]; /* of class one */
    const struct mu_plan *plan;
};

static void setup(struct fixture *f)
{
    const struct mu_session_config config = {.profile = &mu_profile_spread};
    mu_cluster_init(&f->cluster, 8, 16);
    (void)mu_cluster_plain_node(&f->cluster, "node", 10000, 64 * GI, 100, 0);
    f->one = mu_cluster_plain_class(&f->cluster, 1000, GI, 0);
    f->four = mu_cluster_plain_class(&f->cluster, 4000, GI, 0);
    for (uint32_t m = 0; m < MEMBERS; m++)
        f->members[m] = (struct mu_cluster_member){.class_ix = f->one, .held = MU_NONE};
    f->session = mu_session_create(&config);
    assert_non_null(f->session);
}

static void teardown(struct fixture *f)
{
    mu_session_destroy(f->session);
    mu_cluster_fini(&f->cluster);
}

static void decide(struct fixture *f, uint64_t now_ns)
{
    assert_int_equal(mu_session_run(f->session, &f->cluster.snapshot, now_ns, &f->plan), 0);
}

static struct mu_cluster_gang sized(uint32_t size, const struct mu_cluster_subgroup *subgroups,
                                    uint32_t count)
{
    return (struct mu_cluster_gang){
        .flags = MU_GANG_SETTLED, .size = size, .subgroup_count = count, .subgroups = subgroups};
}

/* The only gang's wait. */
static const struct mu_plan_wait *only_wait(const struct fixture *f, enum mu_wait_kind kind)
{
    assert_int_equal(f->plan->gang_count, 0);
    assert_int_equal(f->plan->wait_count, 1);
    assert_int_equal(f->plan->waits[0].kind, kind);
    return &f->plan->waits[0];
}

static void test_gang_admission__one_member_short__waits_for_members(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f);
    const struct mu_cluster_subgroup sub = {
        .min = 4, .placed = 1, .member_count = 2, .members = f.members};
    const struct mu_cluster_gang gang = sized(4, &sub, 1);
    (void)mu_cluster_gang(&f.cluster, &gang);
    decide(&f, 0);
    const struct mu_plan_wait *wait = only_wait(&f, MU_WAIT_MEMBERS);
    assert_int_equal(wait->have, 3);
    assert_int_equal(wait->need, 4);
    assert_int_equal(wait->class_ix.v, MU_NONE);
    assert_int_equal(wait->nodes_by_verdict[MU_FITS], 0);
    teardown(&f);
}

static void test_gang_admission__enough_with_those_placed__binds_the_rest(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f);
    const struct mu_cluster_subgroup sub = {
        .min = 4, .placed = 2, .member_count = 2, .members = f.members};
    const struct mu_cluster_gang gang = sized(4, &sub, 1);
    uint32_t row = mu_cluster_gang(&f.cluster, &gang);
    decide(&f, 0);
    assert_int_equal(f.plan->gang_count, 1);
    assert_int_equal(f.plan->gangs[0].gang.v, row);
    assert_int_equal(f.plan->gangs[0].bind_count, 2);
    assert_int_equal(f.plan->gangs[0].size, 4);
    assert_int_equal(f.plan->next_ns, UINT64_MAX);
    teardown(&f);
}

static void test_gang_admission__unsized__waits_for_its_quiet_time(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f);
    const struct mu_cluster_subgroup sub = {.member_count = 3, .members = f.members};
    struct mu_cluster_gang gang = {.settle_ns = 500, .subgroup_count = 1, .subgroups = &sub};
    (void)mu_cluster_gang(&f.cluster, &gang);
    decide(&f, 499);
    const struct mu_plan_wait *wait = only_wait(&f, MU_WAIT_QUIET);
    assert_int_equal(wait->until_ns, 500);
    assert_int_equal(f.plan->next_ns, 500);
    /* Another one settles earlier: that is when to look again. */
    gang.settle_ns = 400;
    (void)mu_cluster_gang(&f.cluster, &gang);
    decide(&f, 100);
    assert_int_equal(f.plan->next_ns, 400);
    decide(&f, 500); /* both: the size is that of the members there are */
    assert_int_equal(f.plan->gang_count, 2);
    assert_int_equal(f.plan->gangs[0].size, 3);
    assert_int_equal(f.plan->gangs[0].bind_count, 3);
    assert_int_equal(f.plan->next_ns, UINT64_MAX);
    teardown(&f);
}

static void test_gang_admission__unsized_with_a_blocked_member__waits_for_it(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f);
    const struct mu_cluster_subgroup sub = {.member_count = 3, .members = f.members};
    const struct mu_cluster_gang gang = {
        .settle_ns = 500, .blocked_count = 1, .subgroup_count = 1, .subgroups = &sub};
    (void)mu_cluster_gang(&f.cluster, &gang);
    decide(&f, 100);
    (void)only_wait(&f, MU_WAIT_QUIET);
    decide(&f, 500);
    (void)only_wait(&f, MU_WAIT_GATED);
    teardown(&f);
}

static void test_gang_admission__blocked_beyond_the_size__does_not_matter(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f);
    const struct mu_cluster_subgroup sub = {.min = 3, .member_count = 3, .members = f.members};
    struct mu_cluster_gang gang = sized(3, &sub, 1);
    gang.blocked_count = 2;
    gang.blocked_rules = MU_RULE_VOLUMES;
    (void)mu_cluster_gang(&f.cluster, &gang);
    decide(&f, 0);
    assert_int_equal(f.plan->gang_count, 1);
    assert_int_equal(f.plan->gangs[0].bind_count, 3);
    teardown(&f);
}

static void test_gang_admission__blocked_below_the_size__names_the_rules(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f);
    const struct mu_cluster_subgroup sub = {.min = 4, .member_count = 3, .members = f.members};
    struct mu_cluster_gang gang = sized(4, &sub, 1);
    gang.blocked_count = 1;
    gang.blocked_rules = MU_RULE_RESOURCE_CLAIMS | MU_RULE_VOLUMES;
    (void)mu_cluster_gang(&f.cluster, &gang);
    decide(&f, 0);
    const struct mu_plan_wait *wait = only_wait(&f, MU_WAIT_UNBUILT);
    assert_int_equal(wait->rules, MU_RULE_RESOURCE_CLAIMS | MU_RULE_VOLUMES);
    teardown(&f);
}

static void test_gang_admission__lone_blocked_pod__waits(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f);
    const struct mu_cluster_subgroup sub = {.min = 1};
    struct mu_cluster_gang gang = sized(1, &sub, 1);
    gang.blocked_count = 1;
    (void)mu_cluster_gang(&f.cluster, &gang);
    decide(&f, 0);
    (void)only_wait(&f, MU_WAIT_GATED);
    teardown(&f);
}

/* The last member has no room: nothing is reserved, and the next gang gets it all. */
static void test_gang_admission__one_pod_too_many__reserves_nothing(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f);
    const struct mu_cluster_member four = {.class_ix = f.four, .held = MU_NONE};
    struct mu_cluster_member fours[3] = {four, four, four};
    const struct mu_cluster_subgroup sub = {.min = 3, .member_count = 3, .members = fours};
    struct mu_cluster_gang gang = sized(3, &sub, 1);
    gang.priority = 10;
    uint32_t big = mu_cluster_gang(&f.cluster, &gang);
    uint32_t small = mu_cluster_plain_gang(&f.cluster, f.one, 10); /* all ten cpus */
    decide(&f, 0);
    assert_int_equal(f.plan->gang_count, 1);
    assert_int_equal(f.plan->gangs[0].gang.v, small);
    assert_int_equal(f.plan->gangs[0].bind_count, 10);
    assert_int_equal(f.plan->wait_count, 1);
    const struct mu_plan_wait *wait = &f.plan->waits[0];
    assert_int_equal(wait->gang.v, big);
    assert_int_equal(wait->kind, MU_WAIT_NO_FIT);
    assert_int_equal(wait->class_ix.v, f.four.v);
    assert_int_equal(wait->have, 0);
    assert_int_equal(wait->need, 3);
    /* One member would fit: it is three that do not. */
    assert_int_equal(wait->nodes_by_verdict[MU_FITS], 1);
    teardown(&f);
}

static void test_gang_admission__no_node_large_enough__counts_say_why(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f);
    (void)mu_cluster_plain_node(&f.cluster, "thin", 64000, GI / 2, 100, 0);
    (void)mu_cluster_plain_node(&f.cluster, "slots", 64000, 64 * GI, 0, 0);
    (void)mu_cluster_hole(&f.cluster);
    uint32_t cordoned = mu_cluster_plain_node(&f.cluster, "cordoned", 64000, 64 * GI, 100, 0);
    mu_cluster_flags(&f.cluster, cordoned, MU_NODE_PRESENT | MU_NODE_UNSCHEDULABLE);
    struct mu_class_ix wide = mu_cluster_plain_class(&f.cluster, 20000, GI, 0);
    (void)mu_cluster_plain_gang(&f.cluster, wide, 1);
    decide(&f, 0);
    const struct mu_plan_wait *wait = only_wait(&f, MU_WAIT_NO_FIT);
    assert_int_equal(wait->nodes_by_verdict[MU_FITS], 0);
    assert_int_equal(wait->nodes_by_verdict[MU_NO_UNSCHEDULABLE], 1);
    assert_int_equal(wait->nodes_by_verdict[MU_NO_PODS], 1);
    assert_int_equal(wait->nodes_by_verdict[MU_NO_RESOURCE_EVER], 2);
    assert_int_equal(wait->nodes_by_resource[MU_RES_CPU], 1);
    assert_int_equal(wait->nodes_by_resource[MU_RES_MEMORY], 1);
    teardown(&f);
}

/* Members beyond the minimum take what is left, and no more; they do not undo the others. */
static void test_gang_admission__surplus_beyond_the_room__minimum_stays(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f);
    struct mu_cluster_member fours[4] = {{.class_ix = f.four, .held = MU_NONE},
                                         {.class_ix = f.four, .held = MU_NONE},
                                         {.class_ix = f.four, .held = MU_NONE},
                                         {.class_ix = f.one, .held = MU_NONE}};
    const struct mu_cluster_subgroup sub = {.min = 1, .member_count = 4, .members = fours};
    const struct mu_cluster_gang gang = sized(1, &sub, 1);
    (void)mu_cluster_gang(&f.cluster, &gang);
    decide(&f, 0);
    assert_int_equal(f.plan->gang_count, 1);
    /* The third of four cpus does not fit; the one of one cpu behind it does. */
    assert_int_equal(f.plan->gangs[0].bind_count, 3);
    assert_int_equal(f.plan->gangs[0].binds[2].version, 103);
    teardown(&f);
}

/* A late member of a running gang that finds no room is reported, and nothing else happens. */
static void test_gang_admission__late_member_without_room__waits(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f);
    mu_cluster_free_add(&f.cluster, 0, MU_RES_CPU, -10000);
    const struct mu_cluster_subgroup sub = {
        .min = 3, .placed = 3, .member_count = 1, .members = f.members};
    const struct mu_cluster_gang gang = sized(3, &sub, 1);
    (void)mu_cluster_gang(&f.cluster, &gang);
    decide(&f, 0);
    const struct mu_plan_wait *wait = only_wait(&f, MU_WAIT_NO_FIT);
    assert_int_equal(wait->have, 3);
    assert_int_equal(wait->need, 3);
    teardown(&f);
}

/* Each sub-group has its own minimum; one that cannot be met holds the whole gang. */
static void test_gang_admission__second_subgroup_without_room__nothing_is_placed(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f);
    struct mu_cluster_member wide[1] = {{.class_ix = f.four, .held = MU_NONE}};
    struct mu_cluster_subgroup subs[2] = {
        {.min = 7, .member_count = 8, .members = f.members},
        {.min = 1, .member_count = 1, .members = wide},
    };
    const struct mu_cluster_gang gang = sized(8, subs, 2);
    (void)mu_cluster_gang(&f.cluster, &gang); /* 7 + 4 cpus */
    decide(&f, 0);
    (void)only_wait(&f, MU_WAIT_NO_FIT);
    mu_cluster_free_add(&f.cluster, 0, MU_RES_CPU, 1000); /* room grew: 11 */
    mu_cluster_alloc_set(&f.cluster, 0, MU_RES_CPU, 11000);
    f.cluster.snapshot.static_generation++;
    decide(&f, 0);
    assert_int_equal(f.plan->gang_count, 1);
    assert_int_equal(f.plan->gangs[0].bind_count, 8); /* the eighth of the first has no room */
    teardown(&f);
}

static void test_gang_admission__subgroup_cannot_reach_its_minimum__waits(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f);
    struct mu_cluster_subgroup subs[2] = {
        {.min = 1, .member_count = 5, .members = f.members},
        {.min = 2, .member_count = 1, .members = f.members},
    };
    const struct mu_cluster_gang gang = sized(3, subs, 2);
    (void)mu_cluster_gang(&f.cluster, &gang);
    decide(&f, 0);
    const struct mu_plan_wait *wait = only_wait(&f, MU_WAIT_MEMBERS);
    assert_int_equal(wait->have, 6);
    assert_int_equal(wait->need, 3);
    teardown(&f);
}

/* The minima add up to two, the size is five: three more are as necessary. */
static void test_gang_admission__size_above_the_minima__more_are_needed(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f);
    struct mu_cluster_subgroup subs[2] = {
        {.min = 1, .member_count = 3, .members = f.members},
        {.min = 1, .member_count = 3, .members = f.members},
    };
    const struct mu_cluster_gang gang = sized(5, subs, 2);
    (void)mu_cluster_gang(&f.cluster, &gang);
    mu_cluster_free_add(&f.cluster, 0, MU_RES_CPU, -6000); /* room for four */
    decide(&f, 0);
    (void)only_wait(&f, MU_WAIT_NO_FIT);
    mu_cluster_free_add(&f.cluster, 0, MU_RES_CPU, 1000);
    decide(&f, 0);
    assert_int_equal(f.plan->gang_count, 1);
    assert_int_equal(f.plan->gangs[0].bind_count, 5);
    teardown(&f);
}

/* A gang that is short is completed before one of higher priority starts. */
static void test_gang_admission__short_gang__chooses_first(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f);
    struct mu_cluster_gang gang;
    const struct mu_cluster_subgroup fresh = {.min = 8, .member_count = 8, .members = f.members};
    gang = sized(8, &fresh, 1);
    gang.priority = 1000;
    uint32_t important = mu_cluster_gang(&f.cluster, &gang);
    const struct mu_cluster_subgroup rest = {
        .min = 6, .placed = 2, .member_count = 4, .members = f.members};
    gang = sized(6, &rest, 1);
    gang.flags |= MU_GANG_SHORT;
    uint32_t unfinished = mu_cluster_gang(&f.cluster, &gang);
    decide(&f, 0);
    assert_int_equal(f.plan->gang_count, 1);
    assert_int_equal(f.plan->gangs[0].gang.v, unfinished);
    assert_int_equal(f.plan->wait_count, 1);
    assert_int_equal(f.plan->waits[0].gang.v, important);
    teardown(&f);
}

/* Room held on a row that has another occupant by now is nobody's. */
static void test_gang_admission__held_on_a_replaced_node__counts_nothing(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f);
    mu_cluster_free_add(&f.cluster, 0, MU_RES_CPU, -10000);
    struct mu_cluster_member holder[1] = {{.class_ix = f.one, .held = 0}};
    const struct mu_cluster_subgroup sub = {.min = 1, .member_count = 1, .members = holder};
    const struct mu_cluster_gang gang = sized(1, &sub, 1);
    (void)mu_cluster_gang(&f.cluster, &gang);
    decide(&f, 0);
    assert_int_equal(f.plan->gang_count, 1); /* its own room */
    f.cluster.snapshot.nodes[0].generation++;
    f.cluster.snapshot.static_generation++;
    f.cluster.snapshot.generation++;
    decide(&f, 0);
    (void)only_wait(&f, MU_WAIT_NO_FIT);
    teardown(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gang_admission__one_member_short__waits_for_members),
        cmocka_unit_test(test_gang_admission__enough_with_those_placed__binds_the_rest),
        cmocka_unit_test(test_gang_admission__unsized__waits_for_its_quiet_time),
        cmocka_unit_test(test_gang_admission__unsized_with_a_blocked_member__waits_for_it),
        cmocka_unit_test(test_gang_admission__blocked_beyond_the_size__does_not_matter),
        cmocka_unit_test(test_gang_admission__blocked_below_the_size__names_the_rules),
        cmocka_unit_test(test_gang_admission__lone_blocked_pod__waits),
        cmocka_unit_test(test_gang_admission__one_pod_too_many__reserves_nothing),
        cmocka_unit_test(test_gang_admission__no_node_large_enough__counts_say_why),
        cmocka_unit_test(test_gang_admission__surplus_beyond_the_room__minimum_stays),
        cmocka_unit_test(test_gang_admission__late_member_without_room__waits),
        cmocka_unit_test(test_gang_admission__second_subgroup_without_room__nothing_is_placed),
        cmocka_unit_test(test_gang_admission__subgroup_cannot_reach_its_minimum__waits),
        cmocka_unit_test(test_gang_admission__size_above_the_minima__more_are_needed),
        cmocka_unit_test(test_gang_admission__short_gang__chooses_first),
        cmocka_unit_test(test_gang_admission__held_on_a_replaced_node__counts_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
