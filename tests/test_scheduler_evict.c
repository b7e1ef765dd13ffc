/* Plans with victims on the embedded API server: journal, deletes, waiting, binds. */
#include "tests/scheduler_rig.h"

#include "engine/base/log.h"
#include "engine/db/db_priv.h"
#include "tools/scheduler/scheduler_priv.h"

/* Node n is full of pod v; pod p of a higher priority is to take its place. */

static struct {
    uint32_t marks;
    enum hook_answer mark; /* what becomes of the first one */
} wire;

static enum hook_answer on_patch(struct rig *r, const struct mu_request *request)
{
    (void)r;
    if (memmem(request->body.data, request->body.len, "DisruptionTarget", 16) == NULL)
        return PASS;
    return ++wire.marks == 1 ? wire.mark : PASS;
}

static void add_important_member(struct rig *r, const char *name, struct mu_gang_ref gang)
{
    const struct mu_amount request = {MU_STR("cpu"), 1000};
    struct mu_workload_pod pod = {.object = {.ns = MU_STR("default"),
                                             .name = mu_str_of(name),
                                             .requests = &request,
                                             .request_count = 1,
                                             .priority = 100,
                                             .gang = gang}};
    struct mu_buf body = {0};
    struct mu_api_response response;
    assert_int_equal(mu_workload_encode_pod(&pod, MU_STR("muster"), true, r->scratch, &body), 0);
    assert_int_equal(call(r, MU_POST, "/api/v1/namespaces/default/pods", &body, &response), 201);
    mu_buf_fini(&body);
    mu_buf_fini(&response.body);
}

static void add_important(struct rig *r, const char *name)
{
    add_important_member(r, name, solo);
}

/* A ring whose sessions preempt, or not: then its plans are made by hand. */
static void setup_ring(struct rig *r, bool preempts, uint32_t evictions_per_interval)
{
    struct mu_buf body = {0};
    struct mu_api_response response;
    rig_init(r, &mu_profile_spread);
    mu_scheduler_destroy(r->scheduler);
    mu_session_destroy(r->session);
    r->journal = mu_slot_memory_create(MU_JOURNAL_SLOTS);
    r->preempts = preempts;
    r->evictions_per_interval = evictions_per_interval;
    rig_start_ring(r, &mu_profile_spread, 0);
    assert_int_equal(mu_workload_encode_priority_class(100, false, r->scratch, &body), 0);
    assert_int_equal(call(r, MU_POST, MU_PRIORITY_CLASSES_PATH, &body, &response), 201);
    mu_buf_fini(&body);
    mu_buf_fini(&response.body);
    wire.marks = 0;
    wire.mark = PASS;
    r->report_hook = on_patch;
}

static void setup(struct rig *r)
{
    setup_ring(r, false, 0);
    add_node(r, "n", 1000);
    add_pod(r, "v", 1000, solo, false);
    start(r);
    assert_int_equal(tally(r).bound, 1);
}

static void teardown(struct rig *r)
{
    struct mu_slot_memory *journal = r->journal;
    rig_fini(r);
    mu_slot_memory_destroy(journal);
}

static struct mu_pod_view find(struct rig *r, const char *name)
{
    struct mu_db *db = mu_scheduler_db(r->scheduler);
    struct mu_pod_view pod = {.node = {MU_NONE}}, one;
    for (uint32_t ix = 0; ix < db->pods.high; ix++)
        if (mu_db_pod_get(db, (struct mu_pod_ix){ix}, &one) &&
            mu_str_equal(one.name, mu_str_of(name)))
            pod = one;
    assert_true(pod.version > 0);
    return pod;
}

/* What a session would say: p in the place of v. `leans`: first comes a gang that is refused, and p
 * counts on that one's victim. */
static void give_plan(struct rig *r, bool leans)
{
    pull_watches(r); /* p arrives, and no other session looks at it */
    r->now_ns += 3 * MU_NS_PER_MS;
    struct mu_snapshot *s = mu_scheduler_take_snapshot(r->scheduler, r->now_ns);
    for (uint32_t i = 0; s == NULL && i < 100; i++) /* the replica follows in slices */
        s = mu_scheduler_take_snapshot(r->scheduler, r->now_ns);
    assert_non_null(s);
    struct mu_pod_view p = find(r, "p"), v = find(r, "v");
    const struct mu_plan_bind bind = {p.ix, p.uid, p.version, v.node, s->nodes[v.node.v].generation,
                                      0};
    const struct mu_plan_evict evict = {v.ix, mu_uid_check(v.uid), v.node, v.gang,
                                        leans ? MU_EVICT_LEAVING : 0};
    const struct mu_plan_gang gang = {.gang = p.gang,
                                      .gang_generation = s->gangs[p.gang.v].generation,
                                      .gang_revision = s->gangs[p.gang.v].revision,
                                      .size = 1,
                                      .bind_count = 1,
                                      .binds = &bind,
                                      .evict_count = 1,
                                      .evicts = &evict};
    struct mu_plan_gang gangs[2] = {gang, gang};
    gangs[0].gang_generation++;
    const struct mu_plan plan = {
        .gang_count = leans ? 2 : 1, .gangs = leans ? gangs : &gang, .next_ns = UINT64_MAX};
    mu_scheduler_give_plan(r->scheduler, s, &plan, r->now_ns, &r->outbox);
}

static void give_preemption(struct rig *r)
{
    give_plan(r, false);
}

/* The kubelet is done with the pod. */
static void finish(struct rig *r, const char *name)
{
    char path[64];
    (void)snprintf(path, sizeof path, "/api/v1/namespaces/default/pods/%s", name);
    struct mu_api_request request = {.method = MU_DELETE,
                                     .path = mu_str_of(path),
                                     .content = MU_MEDIA_JSON,
                                     .body = MU_STR("{\"gracePeriodSeconds\":0}")};
    struct mu_api_response response;
    mu_apiserver_handle(r->server, &request, r->now_ns, &response);
    assert_int_equal(response.status, 200);
    mu_buf_fini(&response.body);
    mu_buf_fini(&response.warnings);
}

static void finish_victim(struct rig *r)
{
    finish(r, "v");
}

static bool is_terminating(struct rig *r, const char *name)
{
    return find(r, name).terminating;
}

static void test_evict__victim_leaves__preemptor_is_bound(void **state)
{
    struct rig r;
    (void)state;
    setup(&r);
    add_important(&r, "p");
    give_preemption(&r);
    run_for(&r, 5 * MU_NS_PER_S);
    assert_int_equal(stats_of(&r).plans_preempting, 1);
    assert_int_equal(stats_of(&r).victims, 1);
    assert_int_equal(stats_of(&r).preempting, 1);
    assert_int_equal(wire.marks, 1);
    assert_true(is_terminating(&r, "v"));
    assert_int_equal(stats_of(&r).binder.sent, 1); /* v's: a terminating victim keeps its room */
    finish_victim(&r);
    run_for(&r, 5 * MU_NS_PER_S);
    struct tally t = tally(&r);
    assert_int_equal(t.bound, 1);
    assert_int_equal(t.pending, 0);
    assert_int_equal(stats_of(&r).preempting, 0);
    assert_int_equal(stats_of(&r).plans_given_up, 0);
    assert_int_equal(stats_of(&r).journal_open, 0);
    assert_int_equal(stats_of(&r).db.ledger, 0);
    teardown(&r);
}

/* Each way of not hearing of the mark; a later version of the victim is used after a check only. */
static void test_evict__replies_lost__evicted_once(void **state)
{
    static const enum hook_answer ways[] = {LOSE_REPLY, LOSE_REQUEST, FORBID};
    (void)state;
    for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++) {
        struct rig r;
        setup(&r);
        wire.mark = ways[i];
        add_important(&r, "p");
        give_preemption(&r);
        run_for(&r, 20 * MU_NS_PER_S);
        assert_true(is_terminating(&r, "v"));
        finish_victim(&r);
        run_for(&r, 5 * MU_NS_PER_S);
        assert_int_equal(tally(&r).bound, 1);
        assert_int_equal(stats_of(&r).victims, 1);
        teardown(&r);
    }
}

/* The journal is another's by the time that the victim's new version would be used: it lives. */
static void test_evict__journal_closed_before_the_check__victim_lives(void **state)
{
    struct rig r;
    (void)state;
    setup(&r);
    wire.mark = PARK;
    add_important(&r, "p");
    give_preemption(&r);
    run_for(&r, MU_NS_PER_S);
    assert_int_equal(wire.marks, 1);
    for (uint32_t i = 0; i < MU_JOURNAL_SLOTS; i++)
        assert_int_equal(mu_slot_memory_put(r.journal, i, MU_STR("closed")), 0);
    run_for(&r, 60 * MU_NS_PER_S);
    assert_false(is_terminating(&r, "v"));
    teardown(&r);
}

static void test_evict__deadline__given_up_and_room_free(void **state)
{
    struct rig r;
    (void)state;
    setup(&r);
    add_important(&r, "p");
    give_preemption(&r);
    run_for(&r, 80 * MU_NS_PER_S); /* its grace period is 30 s: there is time */
    assert_int_equal(stats_of(&r).preempting, 1);
    run_for(&r, 15 * MU_NS_PER_S);
    assert_int_equal(stats_of(&r).preempting, 0);
    assert_int_equal(stats_of(&r).plans_given_up, 1);
    assert_int_equal(stats_of(&r).db.ledger, 0);
    assert_int_equal(stats_of(&r).journal_open, 0);
    finish_victim(&r);
    run_for(&r, 5 * MU_NS_PER_S);
    assert_int_equal(tally(&r).bound, 1); /* by a session of its own */
    teardown(&r);
}

/* The preemptor leaves while its plan is under way: nothing is held for it. */
static void test_evict__preemptor_leaves__given_up(void **state)
{
    struct rig r;
    struct mu_api_request request = {.method = MU_DELETE,
                                     .path = MU_STR("/api/v1/namespaces/default/pods/p")};
    struct mu_api_response response;
    (void)state;
    setup(&r);
    add_important(&r, "p");
    give_preemption(&r);
    run_for(&r, MU_NS_PER_S);
    mu_apiserver_handle(r.server, &request, r.now_ns, &response);
    mu_buf_fini(&response.body);
    mu_buf_fini(&response.warnings);
    finish_victim(&r);
    run_for(&r, 5 * MU_NS_PER_S);
    assert_int_equal(stats_of(&r).preempting, 0);
    assert_int_equal(stats_of(&r).plans_given_up, 1);
    assert_int_equal(stats_of(&r).db.ledger, 0);
    assert_int_equal(stats_of(&r).journal_open, 0);
    teardown(&r);
}

/* It ends with a victim on its way: the next start knows of it, and the gang is planned anew. */
static void test_evict__restart__victim_touched_preemptor_placed(void **state)
{
    struct rig r;
    (void)state;
    setup(&r);
    wire.mark = PARK;
    add_important(&r, "p");
    give_preemption(&r);
    run_for(&r, MU_NS_PER_S);
    rig_restart(&r, &mu_profile_spread, 0);
    start(&r);
    assert_int_equal(stats_of(&r).recovered.entries, 1);
    assert_int_equal(stats_of(&r).recovered.touched, 2); /* p, and v although it is bound */
    finish_victim(&r);
    run_for(&r, 5 * MU_NS_PER_S);
    assert_int_equal(tally(&r).bound, 1);
    teardown(&r);
}

/* Nobody would ever delete the victim: the plan is not taken up, and not for long put off. */
static void test_evict__counts_on_a_refused_plan__again_after_a_pause(void **state)
{
    struct rig r;
    (void)state;
    setup(&r);
    add_important(&r, "p");
    give_plan(&r, true);
    uint64_t sessions = stats_of(&r).sessions;
    assert_int_equal(stats_of(&r).plans_conflicted, 2);
    assert_int_equal(stats_of(&r).preempting, 0);
    assert_int_equal(stats_of(&r).db.ledger, 0);
    run_for(&r, 900 * MU_NS_PER_MS);
    assert_int_equal(stats_of(&r).sessions, sessions);
    run_for(&r, 60 * MU_NS_PER_S);
    assert_int_equal(stats_of(&r).sessions, sessions + 1);
    teardown(&r);
}

/* ---- sessions that preempt ------------------------------------------------------------------ */

/* Nodes n0, n1, ... of one cpu, each with pod v0, v1, ... */
static void setup_live(struct rig *r, uint32_t nodes, uint32_t evictions_per_interval)
{
    setup_ring(r, true, evictions_per_interval);
    for (uint32_t i = 0; i < nodes; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "n%u", i);
        add_node(r, name, 1000);
        (void)snprintf(name, sizeof name, "v%u", i);
        add_pod(r, name, 1000, solo, false);
    }
    start(r);
    assert_int_equal(tally(r).bound, nodes);
}

/* The terminating pods end. Returns how many. */
static uint32_t finish_all(struct rig *r)
{
    struct mu_db *db = mu_scheduler_db(r->scheduler);
    uint32_t ended = 0;
    for (uint32_t ix = 0; ix < db->pods.high; ix++) {
        struct mu_pod_view pod;
        char name[64];
        if (!mu_db_pod_get(db, (struct mu_pod_ix){ix}, &pod) || !pod.terminating)
            continue;
        (void)snprintf(name, sizeof name, "%.*s", MU_STR_ARGS(pod.name));
        finish(r, name);
        ended++;
    }
    return ended;
}

static void test_evict_live__gang_finds_no_room__victims_leave_it_is_bound(void **state)
{
    struct rig r;
    (void)state;
    setup_live(&r, 3, 0);
    add_important_member(&r, "p-0", gang_of("p", 2));
    add_important_member(&r, "p-1", gang_of("p", 2));
    run_for(&r, 5 * MU_NS_PER_S);
    assert_int_equal(stats_of(&r).plans_preempting, 1);
    assert_int_equal(stats_of(&r).victims, 2); /* no more than are needed */
    assert_int_equal(finish_all(&r), 2);
    run_for(&r, 5 * MU_NS_PER_S);
    assert_int_equal(tally(&r).bound, 3);
    assert_int_equal(tally(&r).pending, 0);
    assert_int_equal(stats_of(&r).plans_given_up, 0);
    teardown(&r);
}

/* One in a minute; what a gang takes beyond that is paid off first. */
static void test_evict_live__budget__so_many_in_an_interval(void **state)
{
    struct rig r;
    (void)state;
    setup_live(&r, 5, 1);
    for (uint32_t i = 0; i < 2; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "p%u", i);
        add_important(&r, name);
    }
    run_for(&r, MU_NS_PER_S);
    assert_int_equal(stats_of(&r).victims, 1);
    assert_int_equal(finish_all(&r), 1);
    run_for(&r, 58 * MU_NS_PER_S);
    assert_int_equal(stats_of(&r).victims, 1);
    run_for(&r, 2 * MU_NS_PER_S);
    assert_int_equal(stats_of(&r).victims, 2);
    assert_int_equal(finish_all(&r), 1);
    add_important_member(&r, "g-0", gang_of("g", 2));
    add_important_member(&r, "g-1", gang_of("g", 2));
    run_for(&r, 58 * MU_NS_PER_S);
    assert_int_equal(stats_of(&r).victims, 2);
    run_for(&r, 3 * MU_NS_PER_S);
    assert_int_equal(stats_of(&r).victims, 4); /* whole, or not at all */
    assert_int_equal(finish_all(&r), 2);
    add_important(&r, "last");
    run_for(&r, 116 * MU_NS_PER_S);
    assert_int_equal(stats_of(&r).victims, 4);
    run_for(&r, 6 * MU_NS_PER_S);
    assert_int_equal(stats_of(&r).victims, 5);
    assert_int_equal(finish_all(&r), 1);
    run_for(&r, 5 * MU_NS_PER_S);
    assert_int_equal(tally(&r).bound, 5);
    assert_int_equal(tally(&r).pending, 0);
    /* Between the intervals there was nothing to do. */
    assert_true(stats_of(&r).sessions < 40);
    teardown(&r);
}

/* Controllers make every victim anew, at once: they wait, and nobody else has to leave. */
static void test_evict_live__victims_come_back__displace_nobody(void **state)
{
    struct rig r;
    (void)state;
    setup_live(&r, 3, 0);
    add_important_member(&r, "p-0", gang_of("p", 2));
    add_important_member(&r, "p-1", gang_of("p", 2));
    run_for(&r, MU_NS_PER_S);
    add_pod(&r, "again-0", 1000, solo, false);
    add_pod(&r, "again-1", 1000, solo, false);
    run_for(&r, MU_NS_PER_S);
    assert_int_equal(stats_of(&r).victims, 2);
    /* One victim is gone for a while before the other: its room is nobody else's. */
    finish(&r, is_terminating(&r, "v0") ? "v0" : "v1");
    run_for(&r, 5 * MU_NS_PER_S);
    assert_int_equal(stats_of(&r).preempting, 1);
    assert_int_equal(tally(&r).bound, 2);
    assert_int_equal(finish_all(&r), 1);
    run_for(&r, 600 * MU_NS_PER_S);
    assert_int_not_equal(find(&r, "p-0").node.v, MU_NONE);
    assert_int_not_equal(find(&r, "p-1").node.v, MU_NONE);
    assert_int_equal(find(&r, "again-0").node.v, MU_NONE);
    assert_int_equal(find(&r, "again-1").node.v, MU_NONE);
    assert_int_equal(stats_of(&r).victims, 2);
    assert_int_equal(stats_of(&r).plans_preempting, 1);
    assert_true(stats_of(&r).sessions < 30);
    teardown(&r);
}

/* ---- ends in the middle --------------------------------------------------------------------- */

/* The process ends at its nth write, which is never sent, or lands with nobody to hear of it: at
 * once, when the next start has not begun, or when that is over. */
enum kill { UNSENT, UNHEARD, BEFORE_THE_START, AFTER_THE_START, KILLS };

static struct {
    uint32_t nth, count; /* 0: nothing is killed */
    enum kill kill;
    bool dead, late;
    struct mu_api_request request;
    char path[256], body[1024];
} victim_of;

static enum hook_answer kill_at(const struct mu_api_request *request)
{
    if (victim_of.nth == 0)
        return PASS;
    if (++victim_of.count < victim_of.nth)
        return PASS;
    if (victim_of.dead)
        return PARK;
    victim_of.dead = true;
    if (victim_of.kill == UNHEARD)
        return LOSE_REPLY;
    if (victim_of.kill == UNSENT)
        return PARK;
    assert_true(request->path.len < sizeof victim_of.path);
    assert_true(request->body.len < sizeof victim_of.body);
    victim_of.request = *request;
    memcpy(victim_of.path, request->path.data, request->path.len);
    memcpy(victim_of.body, request->body.data, request->body.len);
    victim_of.request.path.data = victim_of.path;
    victim_of.request.body.data = victim_of.body;
    victim_of.request.query = MU_STR("");
    victim_of.late = true;
    return PARK;
}

static void land_late(struct rig *r, enum kill kill)
{
    struct mu_api_response response;
    if (!victim_of.late || victim_of.kill != kill)
        return;
    mu_apiserver_handle(r->server, &victim_of.request, r->now_ns, &response);
    mu_buf_fini(&response.body);
    mu_buf_fini(&response.warnings);
}

static void arm(struct rig *r, uint32_t nth, enum kill kill)
{
    memset(&victim_of, 0, sizeof victim_of);
    victim_of.nth = nth;
    victim_of.kill = kill;
    r->write_hook = kill_at;
}

static void restart(struct rig *r)
{
    r->write_hook = NULL;
    rig_restart(r, &mu_profile_spread, 0);
    land_late(r, BEFORE_THE_START);
    start(r);
    land_late(r, AFTER_THE_START);
    run_for(r, 5 * MU_NS_PER_S);
}

/* A gang of two and three that could leave for it. Returns whether the process was killed. */
static bool live_through(uint32_t nth, enum kill kill)
{
    struct rig r;
    uint32_t ended;
    setup_live(&r, 3, 0);
    add_important_member(&r, "p-0", gang_of("p", 2));
    add_important_member(&r, "p-1", gang_of("p", 2));
    arm(&r, nth, kill);
    run_for(&r, 500 * MU_NS_PER_MS);
    ended = finish_all(&r);
    run_for(&r, 500 * MU_NS_PER_MS);
    bool dead = victim_of.dead;
    restart(&r);
    for (int i = 0; i < 3; i++) {
        ended += finish_all(&r);
        run_for(&r, 5 * MU_NS_PER_S);
    }
    bool right = ended == 2 && tally(&r).bound == 3 && tally(&r).pending == 0 &&
                 find(&r, "p-0").node.v != MU_NONE && find(&r, "p-1").node.v != MU_NONE &&
                 stats_of(&r).db.ledger == 0 && stats_of(&r).journal_open == 0;
    if (!right)
        fail_msg("write %u, way %d: %u victims, %u bound, %u wait", nth, (int)kill, ended,
                 tally(&r).bound, tally(&r).pending);
    teardown(&r);
    return dead;
}

static void test_evict_killed__at_each_write__two_victims_and_the_gang_is_bound(void **state)
{
    (void)state;
    for (enum kill kill = UNSENT; kill < KILLS; kill++) {
        uint32_t writes = 1;
        while (live_through(writes, kill))
            writes++;
        assert_in_range(writes, 7, 30); /* two marks, two deletes, two binds at least */
    }
}

/* Both victims are on their way out: the room is held from the first moment on. */
static void test_evict_killed__victims_terminating__room_is_held_and_bound(void **state)
{
    struct rig r;
    (void)state;
    setup_live(&r, 3, 0);
    add_important_member(&r, "p-0", gang_of("p", 2));
    add_important_member(&r, "p-1", gang_of("p", 2));
    run_for(&r, 500 * MU_NS_PER_MS);
    add_pod(&r, "again", 1000, solo, false);
    restart(&r);
    assert_int_equal(stats_of(&r).plans_resumed, 1);
    assert_int_equal(stats_of(&r).preempting, 1);
    assert_int_equal(stats_of(&r).db.ledger, 2);
    finish(&r, is_terminating(&r, "v0") ? "v0" : "v1");
    run_for(&r, 40 * MU_NS_PER_S); /* their grace period is in the deadline */
    assert_int_equal(find(&r, "again").node.v, MU_NONE);
    run_for(&r, 40 * MU_NS_PER_S);
    assert_int_equal(stats_of(&r).preempting, 1);
    assert_int_equal(finish_all(&r), 1);
    run_for(&r, 5 * MU_NS_PER_S);
    assert_int_not_equal(find(&r, "p-0").node.v, MU_NONE);
    assert_int_not_equal(find(&r, "p-1").node.v, MU_NONE);
    assert_int_equal(stats_of(&r).victims, 0); /* of this start */
    assert_int_equal(stats_of(&r).plans_given_up, 0);
    teardown(&r);
}

/* They were gone before the next start: it is bound where they were, with no session in between. */
static void test_evict_killed__victims_gone__bound(void **state)
{
    struct rig r;
    (void)state;
    setup_live(&r, 3, 0);
    add_important_member(&r, "p-0", gang_of("p", 2));
    add_important_member(&r, "p-1", gang_of("p", 2));
    run_for(&r, 500 * MU_NS_PER_MS);
    arm(&r, 1, UNSENT);
    assert_int_equal(finish_all(&r), 2);
    restart(&r);
    assert_int_equal(stats_of(&r).plans_resumed, 1);
    assert_int_equal(stats_of(&r).plans_preempting, 0);
    assert_int_equal(tally(&r).bound, 3);
    teardown(&r);
}

/* One was begun: it alone makes no room, so one more has to leave, by a proof of now. */
static void test_evict_killed__half_begun__proved_again(void **state)
{
    struct rig r;
    (void)state;
    setup_live(&r, 3, 0);
    add_important_member(&r, "p-0", gang_of("p", 2));
    add_important_member(&r, "p-1", gang_of("p", 2));
    arm(&r, 4, UNSENT); /* two marks and a delete were sent */
    run_for(&r, 500 * MU_NS_PER_MS);
    assert_true(victim_of.dead);
    restart(&r);
    assert_int_equal(stats_of(&r).plans_resumed, 0);
    assert_int_equal(stats_of(&r).plans_preempting, 1);
    assert_int_equal(stats_of(&r).victims, 1);
    assert_int_equal(finish_all(&r), 2);
    run_for(&r, 5 * MU_NS_PER_S);
    assert_int_equal(tally(&r).bound, 3);
    teardown(&r);
}

/* Nobody was begun, and a node came while it was down: nobody leaves. */
static void test_evict_killed__nobody_begun__dropped(void **state)
{
    struct rig r;
    (void)state;
    setup_live(&r, 1, 0);
    add_important(&r, "p");
    arm(&r, 2, AFTER_THE_START); /* marked; the delete is late */
    run_for(&r, 500 * MU_NS_PER_MS);
    assert_true(victim_of.late);
    add_node(&r, "fresh", 1000);
    restart(&r);
    run_for(&r, 60 * MU_NS_PER_S);
    assert_int_equal(tally(&r).bound, 2);
    assert_false(is_terminating(&r, "v0"));
    assert_int_equal(stats_of(&r).plans_resumed + stats_of(&r).plans_preempting, 0);
    teardown(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_evict__victim_leaves__preemptor_is_bound),
        cmocka_unit_test(test_evict__replies_lost__evicted_once),
        cmocka_unit_test(test_evict__journal_closed_before_the_check__victim_lives),
        cmocka_unit_test(test_evict__deadline__given_up_and_room_free),
        cmocka_unit_test(test_evict__preemptor_leaves__given_up),
        cmocka_unit_test(test_evict__restart__victim_touched_preemptor_placed),
        cmocka_unit_test(test_evict_live__gang_finds_no_room__victims_leave_it_is_bound),
        cmocka_unit_test(test_evict_live__budget__so_many_in_an_interval),
        cmocka_unit_test(test_evict_live__victims_come_back__displace_nobody),
        cmocka_unit_test(test_evict__counts_on_a_refused_plan__again_after_a_pause),
        cmocka_unit_test(test_evict_killed__at_each_write__two_victims_and_the_gang_is_bound),
        cmocka_unit_test(test_evict_killed__victims_terminating__room_is_held_and_bound),
        cmocka_unit_test(test_evict_killed__victims_gone__bound),
        cmocka_unit_test(test_evict_killed__half_begun__proved_again),
        cmocka_unit_test(test_evict_killed__nobody_begun__dropped),
    };
    struct mu_log_config quiet = {.level = MU_LOG_ERROR};
    mu_log_configure(&quiet);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
