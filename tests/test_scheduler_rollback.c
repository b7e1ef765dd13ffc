/*
 * Gangs that are bound in part and cannot be completed, on the embedded API server: journal,
 * deletes, who is kept, and a scheduler that ends in between.
 */
#include "tests/scheduler_rig.h"

#include "engine/base/log.h"
#include "engine/base/mem.h"
#include "engine/db/db_priv.h"
#include "tools/scheduler/scheduler_priv.h"

#define DEADLINE (60 * MU_NS_PER_S)
#define REPORTS  100 /* conditions and events a second */

/* What the toucher's writes get, and which they were. */
static struct {
    uint32_t marks, deletes;
    enum hook_answer mark, delete; /* what becomes of the first one */
    enum hook_answer later;        /* and of each further mark */
    bool cause_told, kept_told;
    uint32_t endings; /* told to the observer */
    uint32_t have;
} wire;

static enum hook_answer on_patch(struct rig *r, const struct mu_request *request)
{
    (void)r;
    wire.kept_told |=
        memmem(request->body.data, request->body.len, "that run are kept", 17) != NULL;
    if (memmem(request->body.data, request->body.len, "DisruptionTarget", 16) == NULL)
        return PASS;
    wire.cause_told = memmem(request->body.data, request->body.len, "GangBelowMinimum", 16) != NULL;
    return ++wire.marks == 1 ? wire.mark : wire.later;
}

static void start_ring(struct rig *r, enum mu_short_policy policy)
{
    mu_scheduler_destroy(r->scheduler);
    mu_session_destroy(r->session);
    r->short_gangs = policy;
    r->gang_deadline_ns = DEADLINE;
    rig_start_ring(r, &mu_profile_spread, REPORTS);
}

static void setup(struct rig *r, enum mu_short_policy policy)
{
    rig_init(r, &mu_profile_spread);
    r->journal = mu_slot_memory_create(MU_JOURNAL_SLOTS);
    assert_non_null(r->journal);
    start_ring(r, policy);
    memset(&wire, 0, sizeof wire);
    r->report_hook = on_patch;
}

static void teardown(struct rig *r)
{
    struct mu_slot_memory *journal = r->journal;
    rig_fini(r);
    mu_slot_memory_destroy(journal);
}

static int call_json(struct rig *r, enum mu_method method, const char *path, const char *body)
{
    struct mu_api_request request = {.method = method,
                                     .path = mu_str_of(path),
                                     .content = MU_MEDIA_JSON,
                                     .body = mu_str_of(body)};
    struct mu_api_response response = {0};
    mu_apiserver_handle(r->server, &request, r->now_ns, &response);
    mu_buf_fini(&response.body);
    mu_buf_fini(&response.warnings);
    return response.status;
}

/* A pod of a gang of `size` (0: of none), which is named as the pod up to the "-"; owned: by a
 * controller. */
static void add_sized(struct rig *r, const char *name, uint32_t size, bool owned, uint32_t millis)
{
    char body[1024], gang[160] = "", owner[160] = "";
    if (size > 0)
        (void)snprintf(gang, sizeof gang,
                       "\"annotations\":{\"muster.dev/pod-group\":\"%.*s\","
                       "\"muster.dev/pod-group-size\":\"%u\"},",
                       (int)strcspn(name, "-"), name, size);
    if (owned)
        (void)snprintf(owner, sizeof owner,
                       "\"ownerReferences\":[{\"apiVersion\":\"batch/v1\",\"kind\":\"Job\","
                       "\"name\":\"j\",\"uid\":\"j-1\",\"controller\":true}],");
    (void)snprintf(body, sizeof body,
                   "{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{%s%s\"name\":\"%s\"},"
                   "\"spec\":{\"schedulerName\":\"muster\",\"containers\":[{\"name\":\"c\","
                   "\"image\":\"i\",\"resources\":{\"requests\":{\"cpu\":\"%um\"}}}]}}",
                   gang, owner, name, millis);
    assert_int_equal(call_json(r, MU_POST, "/api/v1/namespaces/default/pods", body), 201);
}

/* One that asks for a whole node. */
static void add_member(struct rig *r, const char *name, uint32_t size, bool owned)
{
    add_sized(r, name, size, owned, 1000);
}

/* It goes at once: its kubelet is done, or there never was one. */
static void finish(struct rig *r, const char *name)
{
    char path[128];
    (void)snprintf(path, sizeof path, "/api/v1/namespaces/default/pods/%s", name);
    assert_int_equal(call_json(r, MU_DELETE, path, "{\"gracePeriodSeconds\":0}"), 200);
}

/* It is asked to go, and goes in its own time. */
static void ask_to_go(struct rig *r, const char *name)
{
    char path[128];
    (void)snprintf(path, sizeof path, "/api/v1/namespaces/default/pods/%s", name);
    assert_int_equal(call_json(r, MU_DELETE, path, "{\"gracePeriodSeconds\":30}"), 200);
}

static bool find(struct rig *r, const char *name, struct mu_pod_view *pod)
{
    struct mu_db *db = mu_scheduler_db(r->scheduler);
    for (uint32_t ix = 0; ix < db->pods.high; ix++)
        if (mu_db_pod_get(db, (struct mu_pod_ix){ix}, pod) &&
            mu_str_equal(pod->name, mu_str_of(name)))
            return true;
    return false;
}

static bool is_terminating(struct rig *r, const char *name)
{
    struct mu_pod_view pod;
    return find(r, name, &pod) && pod.terminating;
}

/* The gang of two ran on n1 and n2; g-1 has gone, a stranger took its room, its successor waits. */
static void setup_fallen(struct rig *r, enum mu_short_policy policy, bool owned)
{
    setup(r, policy);
    add_node(r, "n1", 1000);
    add_node(r, "n2", 1000);
    add_member(r, "g-0", 2, owned);
    add_member(r, "g-1", 2, true);
    start(r);
    assert_int_equal(tally(r).bound, 2);
    ask_to_go(r, "g-1");
    run_for(r, MU_NS_PER_S);
    add_member(r, "stranger", 0, true);
    finish(r, "g-1");
    run_for(r, MU_NS_PER_S);
    assert_int_equal(tally(r).bound, 2);
    add_member(r, "g-1", 2, true);
    run_for(r, MU_NS_PER_S);
}

static void expect_at_rest(struct rig *r)
{
    const struct mu_scheduler_stats stats = stats_of(r);
    assert_int_equal(stats.journal_open, 0);
    assert_int_equal(stats.db.ledger, 0);
    assert_int_equal(r->scheduler->rollback_count, 0);
}

/* The whole way: deadline, journal, mark, delete; what is made again is placed as one. */
static void test_rollback__no_room_by_the_deadline__ended_and_placed_anew(void **state)
{
    struct rig r;
    (void)state;
    setup_fallen(&r, MU_SHORT_COMPLETE, true);
    assert_int_equal(stats_of(&r).short_gangs, 1);
    run_for(&r, DEADLINE - 2 * MU_NS_PER_S);
    assert_int_equal(stats_of(&r).gangs_rolled_back, 0);
    assert_false(is_terminating(&r, "g-0"));
    run_for(&r, 4 * MU_NS_PER_S);
    assert_int_equal(stats_of(&r).gangs_rolled_back, 1);
    assert_int_equal(stats_of(&r).members_ended, 1);
    assert_true(wire.cause_told);
    assert_true(is_terminating(&r, "g-0"));
    expect_at_rest(&r);
    finish(&r, "g-0");
    finish(&r, "stranger");
    run_for(&r, MU_NS_PER_S);
    assert_int_equal(tally(&r).bound, 0); /* one of two waits for the other */
    add_member(&r, "g-0", 2, true);
    run_for(&r, 2 * DEADLINE);
    assert_int_equal(tally(&r).bound, 2);
    assert_int_equal(stats_of(&r).gangs_rolled_back, 1);
    assert_int_equal(stats_of(&r).gangs_kept_short, 0);
    expect_at_rest(&r);
    teardown(&r);
}

static void test_rollback__room_comes_in_time__completed(void **state)
{
    struct rig r;
    (void)state;
    setup_fallen(&r, MU_SHORT_COMPLETE, true);
    run_for(&r, DEADLINE / 2);
    add_node(&r, "n3", 1000);
    run_for(&r, 2 * DEADLINE);
    assert_int_equal(tally(&r).bound, 3);
    assert_int_equal(stats_of(&r).plans_completing, 1);
    assert_int_equal(stats_of(&r).gangs_rolled_back, 0);
    teardown(&r);
}

static void test_rollback__end_policy__at_once(void **state)
{
    struct rig r;
    (void)state;
    setup_fallen(&r, MU_SHORT_END, true);
    assert_int_equal(stats_of(&r).gangs_rolled_back, 1);
    assert_true(is_terminating(&r, "g-0"));
    expect_at_rest(&r);
    teardown(&r);
}

/* Bare pods and gangs that the operator keeps: nobody is deleted, and it is told once. */
static void test_rollback__nobody_to_delete__kept_and_told_once(void **state)
{
    static const struct {
        enum mu_short_policy policy;
        bool owned;
    } cases[] = {{MU_SHORT_COMPLETE, false}, {MU_SHORT_END, false}, {MU_SHORT_KEEP, true}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct rig r;
        setup_fallen(&r, cases[i].policy, cases[i].owned);
        run_for(&r, 2 * DEADLINE);
        assert_int_equal(stats_of(&r).gangs_kept_short, 1);
        assert_true(wire.kept_told); /* to whoever waits */
        add_node(&r, "small", 100);  /* another session */
        run_for(&r, DEADLINE);
        assert_int_equal(stats_of(&r).gangs_kept_short, 1);
        assert_int_equal(stats_of(&r).gangs_rolled_back, 0);
        assert_int_equal(wire.marks, 0);
        assert_int_equal(tally(&r).bound, 2);
        expect_at_rest(&r);
        add_node(&r, "n3", 1000); /* it is completed all the same */
        run_for(&r, MU_NS_PER_S);
        assert_int_equal(tally(&r).bound, 3);
        teardown(&r);
    }
}

/* Of three, one is bare: the others go, it stays and is told. */
static void test_rollback__some_are_bare__they_stay(void **state)
{
    struct rig r;
    (void)state;
    setup(&r, MU_SHORT_COMPLETE);
    for (uint32_t n = 1; n <= 3; n++) {
        char name[8];
        (void)snprintf(name, sizeof name, "n%u", n);
        add_node(&r, name, 1000);
    }
    add_member(&r, "g-0", 3, true);
    add_member(&r, "g-1", 3, false);
    add_member(&r, "g-2", 3, true);
    start(&r);
    assert_int_equal(tally(&r).bound, 3);
    ask_to_go(&r, "g-2");
    add_member(&r, "stranger", 0, true);
    run_for(&r, MU_NS_PER_S);
    finish(&r, "g-2");
    run_for(&r, MU_NS_PER_S);
    add_member(&r, "g-2", 3, true);
    run_for(&r, DEADLINE + 5 * MU_NS_PER_S);
    assert_true(is_terminating(&r, "g-0"));
    assert_false(is_terminating(&r, "g-1"));
    finish(&r, "g-0");
    add_member(&r, "g-0", 3, true);
    run_for(&r, DEADLINE + 5 * MU_NS_PER_S);
    assert_int_equal(stats_of(&r).gangs_rolled_back, 1);
    assert_int_equal(stats_of(&r).members_ended, 1);
    assert_int_equal(stats_of(&r).gangs_kept_short, 1);
    expect_at_rest(&r);
    teardown(&r);
}

static enum hook_answer forbid_later(uint32_t nth)
{
    return nth == 1 ? PASS : FORBID;
}

/* The server refuses the second bind for good: what was never whole is rolled back. */
static void test_rollback__bind_denied_for_good__ended_at_the_deadline(void **state)
{
    struct rig r;
    (void)state;
    setup(&r, MU_SHORT_END);
    add_node(&r, "n1", 1000);
    add_node(&r, "n2", 1000);
    add_member(&r, "g-0", 2, true);
    add_member(&r, "g-1", 2, true);
    r.hook = forbid_later;
    start(&r);
    assert_int_equal(tally(&r).bound, 1);
    run_for(&r, DEADLINE / 2);
    assert_int_equal(stats_of(&r).gangs_rolled_back, 0); /* it has never been whole */
    run_for(&r, 3 * DEADLINE);
    assert_int_equal(stats_of(&r).gangs_rolled_back, 1);
    assert_int_equal(is_terminating(&r, "g-0") + is_terminating(&r, "g-1"), 1);
    expect_at_rest(&r);
    teardown(&r);
}

/* Each way of not hearing of the mark. */
static void test_rollback__replies_lost__deleted_once(void **state)
{
    static const enum hook_answer ways[] = {LOSE_REPLY, LOSE_REQUEST, FORBID};
    (void)state;
    for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++) {
        struct rig r;
        setup_fallen(&r, MU_SHORT_COMPLETE, true);
        wire.mark = ways[i];
        run_for(&r, DEADLINE + 20 * MU_NS_PER_S);
        assert_true(is_terminating(&r, "g-0"));
        assert_int_equal(stats_of(&r).members_ended, 1);
        expect_at_rest(&r);
        teardown(&r);
    }
}

/* Another has closed the journal before the pod's new version is used: it lives. */
static void test_rollback__journal_closed_before_the_check__member_lives(void **state)
{
    struct rig r;
    (void)state;
    setup_fallen(&r, MU_SHORT_COMPLETE, true);
    wire.mark = wire.later = PARK;
    run_for(&r, DEADLINE + MU_NS_PER_S);
    assert_int_equal(wire.marks, 1);
    for (uint32_t i = 0; i < MU_JOURNAL_SLOTS; i++)
        assert_int_equal(mu_slot_memory_put(r.journal, i, MU_STR("closed")), 0);
    wire.later = PASS;
    run_for(&r, 60 * MU_NS_PER_S);
    assert_false(is_terminating(&r, "g-0"));
    teardown(&r);
}

/* The ring ends with a delete under way: its successor touches the member, and rolls forward first.
 */
static void test_rollback__restart__touched_then_forward_then_back(void **state)
{
    struct rig r;
    (void)state;
    setup_fallen(&r, MU_SHORT_COMPLETE, true);
    wire.mark = PARK;
    run_for(&r, DEADLINE + MU_NS_PER_S);
    assert_int_equal(wire.marks, 1);
    rig_restart(&r, &mu_profile_spread, REPORTS);
    start(&r);
    assert_int_equal(stats_of(&r).recovered.entries, 1);
    assert_int_equal(stats_of(&r).recovered.touched, 1); /* although it is bound */
    run_for(&r, DEADLINE / 2);
    assert_false(is_terminating(&r, "g-0"));
    assert_int_equal(stats_of(&r).short_gangs, 1);
    run_for(&r, DEADLINE);
    assert_true(is_terminating(&r, "g-0"));
    assert_int_equal(stats_of(&r).gangs_rolled_back, 1);
    expect_at_rest(&r);
    teardown(&r);
}

/* It ends with one member gone and one to go: the one that is left is no less a part of a gang. */
static void test_rollback__restart_halfway__the_rest_is_ended(void **state)
{
    struct rig r;
    (void)state;
    setup(&r, MU_SHORT_COMPLETE);
    for (uint32_t n = 1; n <= 3; n++) {
        char name[8];
        (void)snprintf(name, sizeof name, "n%u", n);
        add_node(&r, name, 1000);
    }
    for (uint32_t m = 0; m < 3; m++) {
        char name[8];
        (void)snprintf(name, sizeof name, "g-%u", m);
        add_member(&r, name, 3, true);
    }
    start(&r);
    ask_to_go(&r, "g-2");
    run_for(&r, MU_NS_PER_S);
    finish(&r, "g-2");
    run_for(&r, MU_NS_PER_S);
    add_sized(&r, "g-2", 3, true, 9000); /* its successor has become too large */
    wire.later = PARK;
    run_for(&r, DEADLINE + 5 * MU_NS_PER_S);
    assert_int_equal(wire.marks, 2);
    assert_int_equal(is_terminating(&r, "g-0") + is_terminating(&r, "g-1"), 1);
    const char *gone = is_terminating(&r, "g-0") ? "g-0" : "g-1";
    const char *left = gone[2] == '0' ? "g-1" : "g-0";
    rig_restart(&r, &mu_profile_spread, REPORTS);
    wire.later = PASS;
    finish(&r, gone);
    add_member(&r, gone, 3, true);
    start(&r);
    assert_int_equal(tally(&r).bound, 1);
    run_for(&r, DEADLINE + 5 * MU_NS_PER_S);
    assert_true(is_terminating(&r, left));
    assert_int_equal(stats_of(&r).members_ended, 1);
    finish(&r, left);
    finish(&r, "g-2");
    add_member(&r, left, 3, true);
    add_member(&r, "g-2", 3, true);
    run_for(&r, 5 * MU_NS_PER_S);
    assert_int_equal(tally(&r).bound, 3);
    expect_at_rest(&r);
    teardown(&r);
}

/* The same, and there is room by then: it is completed, and nobody dies for a plan of before. */
static void test_rollback__restart_with_room__rolled_forward(void **state)
{
    struct rig r;
    (void)state;
    setup_fallen(&r, MU_SHORT_COMPLETE, true);
    wire.mark = PARK;
    run_for(&r, DEADLINE + MU_NS_PER_S);
    rig_restart(&r, &mu_profile_spread, REPORTS);
    add_node(&r, "n3", 1000);
    start(&r);
    run_for(&r, 2 * DEADLINE);
    assert_int_equal(tally(&r).bound, 3);
    assert_false(is_terminating(&r, "g-0"));
    assert_int_equal(stats_of(&r).gangs_rolled_back, 0);
    teardown(&r);
}

/* What a session says now. */
static struct mu_snapshot *decide(struct rig *r, const struct mu_plan **plan)
{
    mu_scheduler_tick(r->scheduler, r->now_ns, &r->outbox);
    struct mu_snapshot *s = mu_scheduler_take_snapshot(r->scheduler, r->now_ns);
    for (uint32_t i = 0; s == NULL && i < 100; i++) /* the replica follows in slices */
        s = mu_scheduler_take_snapshot(r->scheduler, r->now_ns);
    assert_non_null(s);
    assert_int_equal(mu_session_run(r->session, s, r->now_ns, plan), 0);
    return s;
}

/* The member leaves by itself before its end is admitted. */
static void test_rollback__member_leaves_meanwhile__given_up(void **state)
{
    struct rig r;
    const struct mu_plan *plan;
    (void)state;
    setup_fallen(&r, MU_SHORT_COMPLETE, true);
    r.now_ns += DEADLINE + MU_NS_PER_S;
    struct mu_snapshot *s = decide(&r, &plan);
    assert_int_equal(plan->end_count, 1);
    finish(&r, "g-0");
    pull_watches(&r);
    mu_scheduler_give_plan(r.scheduler, s, plan, r.now_ns, &r.outbox);
    run_for(&r, 5 * MU_NS_PER_S);
    assert_int_equal(stats_of(&r).gangs_rolled_back, 0);
    assert_int_equal(wire.marks, 0);
    expect_at_rest(&r);
    teardown(&r);
}

/* Memory is short at each allocation in turn: nothing is begun, and a later session says it again.
 */
static void test_rollback__out_of_memory__begun_by_a_later_session(void **state)
{
    struct rig r;
    const struct mu_plan *plan;
    uint32_t failed = 0;
    (void)state;
    setup_fallen(&r, MU_SHORT_COMPLETE, true);
    r.now_ns += DEADLINE + MU_NS_PER_S;
    for (uint64_t nth = 1; r.scheduler->rollback_count == 0; nth++) {
        assert_true(nth < 100);
        struct mu_snapshot *s = decide(&r, &plan);
        assert_int_equal(plan->end_count, 1);
        mu_mem_debug_set((struct mu_mem_debug){.fail_nth = nth});
        mu_scheduler_give_plan(r.scheduler, s, plan, r.now_ns, &r.outbox);
        mu_mem_debug_set((struct mu_mem_debug){.fail_nth = 0});
        assert_int_equal(stats_of(&r).gangs_rolled_back, 0);
        failed += r.scheduler->rollback_count == 0;
        r.now_ns += MU_NS_PER_S;
    }
    assert_true(failed >= 3); /* the plan, its pods, its entries */
    run_for(&r, 5 * MU_NS_PER_S);
    assert_int_equal(stats_of(&r).gangs_rolled_back, 1);
    assert_true(is_terminating(&r, "g-0"));
    expect_at_rest(&r);
    teardown(&r);
}

/* Who comes late to a gang that runs is surplus: placed alone when there is room, and nobody's end.
 */
static void test_rollback__late_member_without_room__waits_alone(void **state)
{
    struct rig r;
    (void)state;
    setup(&r, MU_SHORT_END);
    add_node(&r, "n1", 1000);
    add_node(&r, "n2", 1000);
    add_member(&r, "g-0", 2, true);
    add_member(&r, "g-1", 2, true);
    start(&r);
    add_member(&r, "g-2", 2, true);
    run_for(&r, 3 * DEADLINE);
    assert_int_equal(tally(&r).bound, 2);
    assert_int_equal(stats_of(&r).short_gangs, 0);
    assert_int_equal(stats_of(&r).gangs_rolled_back + stats_of(&r).gangs_kept_short, 0);
    finish(&r, "g-0"); /* it is of the two that have to run, and has ended */
    run_for(&r, 3 * DEADLINE);
    assert_int_equal(tally(&r).bound, 2);
    assert_int_equal(stats_of(&r).gangs_rolled_back, 0);
    /* With the last of them the next generation begins, which has to be whole again. */
    finish(&r, "g-1");
    finish(&r, "g-2");
    run_for(&r, MU_NS_PER_S);
    add_member(&r, "g-3", 2, true);
    run_for(&r, 3 * DEADLINE);
    assert_int_equal(tally(&r).bound, 0);
    add_member(&r, "g-4", 2, true);
    run_for(&r, MU_NS_PER_S);
    assert_int_equal(tally(&r).bound, 2);
    teardown(&r);
}

/* More gangs than are ended at a time. */
static void test_rollback__many_gangs__one_after_another(void **state)
{
    enum { GANGS = MU_ROLLBACKS_MAX + 40 };
    struct rig r;
    char name[16];
    (void)state;
    setup(&r, MU_SHORT_COMPLETE);
    for (uint32_t n = 0; n < 2 * GANGS / 100 + 1; n++) {
        (void)snprintf(name, sizeof name, "n%u", n);
        add_node(&r, name, 100000);
    }
    for (uint32_t m = 0; m < 2 * GANGS; m++) {
        (void)snprintf(name, sizeof name, "a%u-%u", m / 2, m % 2);
        add_member(&r, name, 2, true);
    }
    start(&r);
    run_for(&r, 5 * MU_NS_PER_S);
    assert_int_equal(tally(&r).bound, 2 * GANGS);
    for (uint32_t g = 0; g < GANGS; g++) {
        (void)snprintf(name, sizeof name, "a%u-1", g);
        ask_to_go(&r, name);
    }
    run_for(&r, MU_NS_PER_S);
    for (uint32_t g = 0; g < GANGS; g++) {
        (void)snprintf(name, sizeof name, "a%u-1", g);
        finish(&r, name);
        add_sized(&r, name, 2, true, 900000);
    }
    run_for(&r, DEADLINE + 30 * MU_NS_PER_S);
    assert_int_equal(stats_of(&r).gangs_rolled_back, GANGS);
    assert_int_equal(stats_of(&r).members_ended, GANGS);
    expect_at_rest(&r);
    teardown(&r);
}

/* Ten thousand members of three classes: placed as one, ended in batches, placed anew. */
static void test_rollback__ten_thousand_of_mixed_classes__in_batches(void **state)
{
    enum { MEMBERS = 10000, PER_NODE = 100 };
    struct rig r;
    char name[16];
    (void)state;
    setup(&r, MU_SHORT_COMPLETE);
    for (uint32_t n = 0; n < MEMBERS / PER_NODE; n++) {
        (void)snprintf(name, sizeof name, "n%u", n);
        add_node(&r, name, PER_NODE * 240);
    }
    for (uint32_t m = 0; m < MEMBERS; m++) {
        (void)snprintf(name, sizeof name, "g-%u", m);
        add_sized(&r, name, MEMBERS, true, 100 * (1 + m % 3));
    }
    start(&r);
    run_for(&r, 5 * MU_NS_PER_S);
    assert_int_equal(tally(&r).bound, MEMBERS);
    ask_to_go(&r, "g-2");
    run_for(&r, MU_NS_PER_S);
    finish(&r, "g-2");
    run_for(&r, MU_NS_PER_S);
    add_sized(&r, "g-2", MEMBERS, true, 50000); /* its successor has become too large */
    run_for(&r, DEADLINE + 30 * MU_NS_PER_S);
    assert_int_equal(stats_of(&r).gangs_rolled_back, 1);
    assert_int_equal(stats_of(&r).members_ended, MEMBERS - 1);
    expect_at_rest(&r);
    for (uint32_t m = 0; m < MEMBERS; m++) {
        (void)snprintf(name, sizeof name, "g-%u", m);
        finish(&r, name);
    }
    run_for(&r, MU_NS_PER_S);
    for (uint32_t m = 0; m < MEMBERS; m++) {
        (void)snprintf(name, sizeof name, "g-%u", m);
        add_sized(&r, name, MEMBERS, true, 100 * (1 + m % 3));
    }
    run_for(&r, 5 * MU_NS_PER_S);
    assert_int_equal(tally(&r).bound, MEMBERS);
    teardown(&r);
}

static int quiet(void **state)
{
    static const struct mu_log_config log = {.level = MU_LOG_ERROR};
    (void)state;
    mu_log_configure(&log);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rollback__no_room_by_the_deadline__ended_and_placed_anew),
        cmocka_unit_test(test_rollback__room_comes_in_time__completed),
        cmocka_unit_test(test_rollback__end_policy__at_once),
        cmocka_unit_test(test_rollback__nobody_to_delete__kept_and_told_once),
        cmocka_unit_test(test_rollback__some_are_bare__they_stay),
        cmocka_unit_test(test_rollback__bind_denied_for_good__ended_at_the_deadline),
        cmocka_unit_test(test_rollback__replies_lost__deleted_once),
        cmocka_unit_test(test_rollback__journal_closed_before_the_check__member_lives),
        cmocka_unit_test(test_rollback__restart__touched_then_forward_then_back),
        cmocka_unit_test(test_rollback__restart_halfway__the_rest_is_ended),
        cmocka_unit_test(test_rollback__restart_with_room__rolled_forward),
        cmocka_unit_test(test_rollback__member_leaves_meanwhile__given_up),
        cmocka_unit_test(test_rollback__out_of_memory__begun_by_a_later_session),
        cmocka_unit_test(test_rollback__late_member_without_room__waits_alone),
        cmocka_unit_test(test_rollback__many_gangs__one_after_another),
        cmocka_unit_test(test_rollback__ten_thousand_of_mixed_classes__in_batches),
    };
    return cmocka_run_group_tests(tests, quiet, NULL);
}
