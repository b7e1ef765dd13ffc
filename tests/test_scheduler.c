/*
 * The ring end to end on the embedded API server, with nothing in between: each request is handled
 * at once, unless a test's hook decides otherwise. Time moves only as far as the next thing due.
 */
#include "tests/mu_test.h"

#include "engine/base/clock.h"
#include "informer/dialect.h"
#include "tools/kubesim/apiserver.h"
#include "tools/scheduler/scheduler.h"
#include "tools/workload/encode.h"

#define WATCHES_MAX 16

enum hook_answer { PASS, LOSE_REPLY, LOSE_REQUEST, FORBID, PARK };

struct rig {
    struct mu_random random;
    struct mu_apiserver *server;
    struct mu_scheduler *scheduler;
    struct mu_session *session;
    struct mu_outbox outbox;
    struct mu_arena *scratch;
    uint64_t now_ns;
    struct {
        uint64_t token;
        struct mu_api_watch *watch;
    } watches[WATCHES_MAX];
    /* Judges a binding by its number, counted from 1; NULL: all pass. */
    enum hook_answer (*hook)(uint32_t nth);
    uint32_t bindings;
    char parked[128]; /* path of the last parked request */
};

static void rig_init(struct rig *r, enum mu_score_policy score)
{
    struct mu_str name = MU_STR("muster");
    struct mu_apiserver_config server = {0};
    struct mu_scheduler_config scheduler = {
        .scheduler_names = &name, .scheduler_name_count = 1, .page_limit = 2, .incarnation = 7};
    struct mu_session_config session = {.score = score};
    *r = (struct rig){.now_ns = MU_NS_PER_S};
    mu_random_init_seed(&r->random, 1);
    r->server = mu_apiserver_create(&server, &r->random);
    r->scheduler = mu_scheduler_create(&scheduler, &r->random);
    r->session = mu_session_create(&session);
    r->scratch = mu_arena_create(1 << 20);
    assert_non_null(r->server);
    assert_non_null(r->scheduler);
    assert_non_null(r->session);
}

static void rig_fini(struct rig *r)
{
    for (int i = 0; i < WATCHES_MAX; i++)
        if (r->watches[i].watch != NULL)
            mu_api_watch_close(r->watches[i].watch);
    mu_scheduler_destroy(r->scheduler);
    mu_session_destroy(r->session);
    mu_apiserver_destroy(r->server);
    mu_outbox_fini(&r->outbox);
    mu_arena_destroy(r->scratch);
}

static struct mu_str view(const struct mu_buf *buf)
{
    return (struct mu_str){(const char *)buf->data, (uint32_t)buf->len};
}

static int call(struct rig *r, enum mu_method method, const char *path, const struct mu_buf *body,
                struct mu_api_response *response)
{
    struct mu_api_request request = {.method = method,
                                     .path = mu_str_of(path),
                                     .content = MU_MEDIA_PROTOBUF,
                                     .body = body != NULL ? view(body) : MU_STR("")};
    *response = (struct mu_api_response){0};
    mu_apiserver_handle(r->server, &request, r->now_ns, response);
    return response->status;
}

static void reply(struct rig *r, struct mu_reply reply)
{
    assert_true(mu_scheduler_reply(r->scheduler, &reply, r->now_ns, &r->outbox));
}

static void lose(struct rig *r, uint64_t token)
{
    reply(r, (struct mu_reply){.token = token, .kind = MU_REPLY_LOST, .error = MU_ETIMEOUT});
}

static void open_watch(struct rig *r, uint64_t token, struct mu_api_watch *watch)
{
    for (int i = 0; i < WATCHES_MAX; i++) {
        if (r->watches[i].watch == NULL) {
            r->watches[i].token = token;
            r->watches[i].watch = watch;
            reply(r, (struct mu_reply){.token = token,
                                       .kind = MU_REPLY_HEAD,
                                       .status = 200,
                                       .media = MU_MEDIA_PROTOBUF});
            return;
        }
    }
    fail_msg("too many watches");
}

static void serve(struct rig *r, struct mu_request *request)
{
    struct mu_str path = view(&request->path);
    const char *question = memchr(path.data, '?', path.len);
    uint32_t path_len = question == NULL ? path.len : (uint32_t)(question - path.data);
    struct mu_api_request api = {
        .method = request->method,
        .path = {path.data, path_len},
        .query =
            question == NULL ? MU_STR("") : (struct mu_str){question + 1, path.len - path_len - 1},
        .content = request->content,
        .accept = mu_str_of(mu_media_text(MU_MEDIA_PROTOBUF)),
        .body = view(&request->body)};
    enum hook_answer answer = PASS;
    uint64_t token = request->token;
    if (request->method == MU_POST && r->hook != NULL)
        answer = r->hook(++r->bindings);
    if (answer == LOSE_REQUEST) {
        lose(r, token);
        return;
    }
    if (answer == PARK) { /* no answer at all, yet */
        (void)snprintf(r->parked, sizeof r->parked, "%.*s", MU_STR_ARGS(api.path));
        return;
    }
    if (answer == FORBID) {
        reply(r, (struct mu_reply){.token = token, .kind = MU_REPLY_HEAD, .status = 403});
        reply(r, (struct mu_reply){.token = token, .kind = MU_REPLY_END});
        return;
    }
    struct mu_api_response response = {0};
    mu_apiserver_handle(r->server, &api, r->now_ns, &response);
    if (response.watch != NULL) {
        open_watch(r, token, response.watch);
    } else if (answer == LOSE_REPLY) {
        lose(r, token);
    } else {
        reply(r, (struct mu_reply){.token = token,
                                   .kind = MU_REPLY_HEAD,
                                   .status = response.status,
                                   .media = response.media});
        reply(r, (struct mu_reply){
                     .token = token, .kind = MU_REPLY_DATA, .data = view(&response.body)});
        reply(r, (struct mu_reply){.token = token, .kind = MU_REPLY_END});
    }
    mu_buf_fini(&response.body);
}

static void pull_watches(struct rig *r)
{
    for (int i = 0; i < WATCHES_MAX; i++) {
        struct mu_buf frames = {0};
        if (r->watches[i].watch == NULL)
            continue;
        uint64_t token = r->watches[i].token;
        enum mu_watch_pull pulled =
            mu_api_watch_pull(r->watches[i].watch, r->now_ns, 1 << 20, &frames);
        if (pulled == MU_WATCH_ENDED) {
            mu_api_watch_close(r->watches[i].watch);
            r->watches[i].watch = NULL;
        }
        if (frames.len > 0)
            reply(r,
                  (struct mu_reply){.token = token, .kind = MU_REPLY_DATA, .data = view(&frames)});
        if (pulled == MU_WATCH_ENDED)
            reply(r, (struct mu_reply){.token = token, .kind = MU_REPLY_END});
        mu_buf_fini(&frames);
    }
}

static bool run_session(struct rig *r)
{
    const struct mu_plan *plan;
    struct mu_snapshot *snapshot = mu_scheduler_take_snapshot(r->scheduler, r->now_ns);
    if (snapshot == NULL)
        return false;
    assert_int_equal(mu_session_run(r->session, snapshot, r->now_ns, &plan), 0);
    mu_scheduler_give_plan(r->scheduler, snapshot, plan, r->now_ns, &r->outbox);
    return true;
}

/* Run for `ns` of virtual time. */
static void run_for(struct rig *r, uint64_t ns)
{
    uint64_t end_ns = r->now_ns + ns;
    for (uint32_t turns = 0; turns < 100000; turns++) {
        struct mu_request *request;
        bool busy = false;
        while ((request = mu_outbox_take(&r->outbox)) != NULL) {
            if (!request->cancel)
                serve(r, request);
            busy = true;
        }
        pull_watches(r);
        busy = run_session(r) || busy;
        if (busy || !mu_outbox_empty(&r->outbox))
            continue;
        uint64_t next_ns = mu_scheduler_next_ns(r->scheduler);
        if (next_ns > end_ns) {
            r->now_ns = end_ns;
            return;
        }
        if (next_ns > r->now_ns)
            r->now_ns = next_ns;
        mu_scheduler_tick(r->scheduler, r->now_ns, &r->outbox);
    }
    fail_msg("the ring does not come to rest");
}

static void start(struct rig *r)
{
    mu_scheduler_start(r->scheduler, r->now_ns, &r->outbox);
    run_for(r, MU_NS_PER_S);
}

static void add_node(struct rig *r, const char *name, int64_t cpu_millis)
{
    const struct mu_amount allocatable[] = {
        {MU_STR("cpu"), cpu_millis}, {MU_STR("memory"), INT64_C(8) << 30}, {MU_STR("pods"), 110}};
    struct mu_node_object node = {
        .name = mu_str_of(name), .allocatable = allocatable, .allocatable_count = 3};
    struct mu_buf body = {0};
    struct mu_api_response response;
    assert_int_equal(mu_workload_encode_node(&node, r->scratch, &body), 0);
    assert_int_equal(call(r, MU_POST, "/api/v1/nodes", &body, &response), 201);
    mu_buf_fini(&body);
    mu_buf_fini(&response.body);
}

static void add_pod(struct rig *r, const char *name, int64_t cpu_millis, struct mu_gang_ref gang,
                    bool gated)
{
    const struct mu_amount request = {MU_STR("cpu"), cpu_millis};
    struct mu_workload_pod pod = {.object = {.ns = MU_STR("default"),
                                             .name = mu_str_of(name),
                                             .requests = &request,
                                             .request_count = 1,
                                             .gang = gang,
                                             .gated = gated}};
    struct mu_buf body = {0};
    struct mu_api_response response;
    assert_int_equal(mu_workload_encode_pod(&pod, MU_STR("muster"), false, r->scratch, &body), 0);
    assert_int_equal(call(r, MU_POST, "/api/v1/namespaces/default/pods", &body, &response), 201);
    mu_buf_fini(&body);
    mu_buf_fini(&response.body);
}

static const struct mu_gang_ref solo = {0};

static struct mu_gang_ref gang_of(const char *name, uint32_t size)
{
    return (struct mu_gang_ref){
        .source = size > 0 ? MU_GANG_MUSTER : MU_GANG_PLAIN, .name = mu_str_of(name), .size = size};
}

struct tally {
    struct mu_arena *arena;
    uint32_t bound, pending;
    char last_node[64];
    bool planned; /* every bound pod carries a plan's name */
};

static int tally_pod(void *context, struct mu_str raw)
{
    struct tally *t = context;
    struct mu_pod_bound pod;
    mu_arena_reset(t->arena);
    assert_int_equal(mu_pod_bound_decode(raw, t->arena, &pod, NULL), 0);
    if (pod.node.len == 0) {
        t->pending++;
        return 0;
    }
    t->bound++;
    t->planned = t->planned && pod.plan.len > 0;
    (void)snprintf(t->last_node, sizeof t->last_node, "%.*s", MU_STR_ARGS(pod.node));
    return 0;
}

static struct tally tally(struct rig *r)
{
    struct tally t = {.arena = mu_arena_create(1 << 20), .planned = true};
    assert_int_equal(mu_apiserver_each(r->server, "pods", tally_pod, &t), 0);
    mu_arena_destroy(t.arena);
    return t;
}

static struct mu_scheduler_stats stats_of(struct rig *r)
{
    struct mu_scheduler_stats stats;
    mu_scheduler_stats(r->scheduler, &stats);
    return stats;
}

/* ---- cases -------------------------------------------------------------------------------- */

static void test_scheduler__solo_pod__is_bound_under_a_plan(void **state)
{
    struct rig r;
    (void)state;
    rig_init(&r, MU_SCORE_SPREAD);
    add_node(&r, "n1", 4000);
    add_pod(&r, "p", 1000, solo, false);
    start(&r);
    struct tally t = tally(&r);
    assert_int_equal(t.bound, 1);
    assert_string_equal(t.last_node, "n1");
    assert_true(t.planned);
    assert_int_equal(stats_of(&r).db.ledger, 0); /* the watch moved the charge */
    assert_int_equal(stats_of(&r).journal_open, 0);
    rig_fini(&r);
}

static void test_scheduler__gang_without_room__waits_whole_until_a_node_comes(void **state)
{
    struct rig r;
    (void)state;
    rig_init(&r, MU_SCORE_PACK);
    add_node(&r, "n1", 2000);
    start(&r);
    for (int i = 0; i < 3; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "g%d", i);
        add_pod(&r, name, 1000, gang_of("g", 3), false);
    }
    run_for(&r, 10 * MU_NS_PER_S);
    assert_int_equal(tally(&r).bound, 0);
    assert_int_equal(stats_of(&r).waits[MU_WAIT_NO_FIT], 1);
    add_node(&r, "n2", 2000);
    run_for(&r, MU_NS_PER_S);
    assert_int_equal(tally(&r).bound, 3);
    rig_fini(&r);
}

static void test_scheduler__incomplete_gang__waits_for_its_members(void **state)
{
    struct rig r;
    (void)state;
    rig_init(&r, MU_SCORE_SPREAD);
    add_node(&r, "n1", 8000);
    start(&r);
    add_pod(&r, "g0", 100, gang_of("g", 2), false);
    run_for(&r, 60 * MU_NS_PER_S);
    assert_int_equal(tally(&r).bound, 0);
    assert_int_equal(stats_of(&r).waits[MU_WAIT_MEMBERS], 1);
    add_pod(&r, "g1", 100, gang_of("g", 2), false);
    run_for(&r, MU_NS_PER_S);
    assert_int_equal(tally(&r).bound, 2);
    rig_fini(&r);
}

static void test_scheduler__unsized_gang__is_placed_after_its_quiet_time(void **state)
{
    struct rig r;
    (void)state;
    rig_init(&r, MU_SCORE_SPREAD);
    add_node(&r, "n1", 8000);
    start(&r);
    add_pod(&r, "g0", 100, gang_of("g", 0), false);
    run_for(&r, 900 * MU_NS_PER_MS);
    assert_int_equal(tally(&r).bound, 0);
    add_pod(&r, "g1", 100, gang_of("g", 0), false);
    run_for(&r, 900 * MU_NS_PER_MS); /* counts from the last member */
    assert_int_equal(tally(&r).bound, 0);
    run_for(&r, 200 * MU_NS_PER_MS);
    assert_int_equal(tally(&r).bound, 2);
    rig_fini(&r);
}

static void test_scheduler__gated_pod__is_never_bound(void **state)
{
    struct rig r;
    (void)state;
    rig_init(&r, MU_SCORE_SPREAD);
    add_node(&r, "n1", 8000);
    add_pod(&r, "p", 100, solo, true);
    start(&r);
    run_for(&r, 60 * MU_NS_PER_S);
    assert_int_equal(tally(&r).bound, 0);
    assert_int_equal(stats_of(&r).waits[MU_WAIT_GATED], 1);
    rig_fini(&r);
}

static enum hook_answer lose_first_reply(uint32_t nth)
{
    return nth == 1 ? LOSE_REPLY : PASS;
}

static void test_scheduler__lost_reply_of_a_landed_bind__is_settled_once(void **state)
{
    struct rig r;
    (void)state;
    rig_init(&r, MU_SCORE_SPREAD);
    r.hook = lose_first_reply;
    add_node(&r, "n1", 4000);
    add_pod(&r, "p", 3000, solo, false);
    start(&r);
    run_for(&r, 60 * MU_NS_PER_S);
    assert_int_equal(tally(&r).bound, 1);
    assert_int_equal(stats_of(&r).binder.bound, 1);
    assert_int_equal(stats_of(&r).binder.in_flight + stats_of(&r).binder.queued, 0);
    assert_int_equal(stats_of(&r).db.ledger, 0);
    rig_fini(&r);
}

static enum hook_answer lose_first_requests(uint32_t nth)
{
    return nth <= 3 ? LOSE_REQUEST : PASS;
}

static void test_scheduler__lost_requests__are_repeated_until_bound(void **state)
{
    struct rig r;
    (void)state;
    rig_init(&r, MU_SCORE_SPREAD);
    r.hook = lose_first_requests;
    add_node(&r, "n1", 4000);
    add_pod(&r, "g0", 1000, gang_of("g", 2), false);
    add_pod(&r, "g1", 1000, gang_of("g", 2), false);
    start(&r);
    run_for(&r, 300 * MU_NS_PER_S);
    assert_int_equal(tally(&r).bound, 2);
    assert_int_equal(stats_of(&r).plans_admitted, 1); /* the same plan all the way */
    rig_fini(&r);
}

static void test_scheduler__pod_changed_under_a_plan__is_planned_again(void **state)
{
    struct rig r;
    const struct mu_plan *plan;
    (void)state;
    rig_init(&r, MU_SCORE_SPREAD);
    add_node(&r, "n1", 4000);
    start(&r);
    add_pod(&r, "p", 1000, solo, false);
    pull_watches(&r);
    r.now_ns = mu_scheduler_next_ns(r.scheduler);
    struct mu_snapshot *snapshot = mu_scheduler_take_snapshot(r.scheduler, r.now_ns);
    assert_non_null(snapshot);
    assert_int_equal(mu_session_run(r.session, snapshot, r.now_ns, &plan), 0);
    assert_int_equal(plan->gang_count, 1);
    /* The pod goes and comes back under its name while the session is under way. */
    struct mu_api_response response;
    assert_int_equal(call(&r, MU_DELETE, "/api/v1/namespaces/default/pods/p", NULL, &response),
                     200);
    mu_buf_fini(&response.body);
    add_pod(&r, "p", 500, solo, false);
    mu_scheduler_give_plan(r.scheduler, snapshot, plan, r.now_ns, &r.outbox);
    run_for(&r, 10 * MU_NS_PER_S);
    assert_int_equal(tally(&r).bound, 1);
    assert_int_equal(tally(&r).pending, 0);
    assert_int_equal(stats_of(&r).db.ledger, 0);
    assert_int_equal(stats_of(&r).journal_open, 0);
    rig_fini(&r);
}

static enum hook_answer forbid(uint32_t nth)
{
    return nth <= 8 ? FORBID : PASS;
}

/* A server that denies a bind (RBAC, a webhook) is not flooded with the same write. */
static void test_scheduler__denied_bind__is_repeated_with_backoff(void **state)
{
    struct rig r;
    (void)state;
    rig_init(&r, MU_SCORE_SPREAD);
    r.hook = forbid;
    add_node(&r, "n1", 4000);
    add_pod(&r, "p", 3000, solo, false);
    start(&r);
    run_for(&r, 10 * MU_NS_PER_S);
    assert_in_range(r.bindings, 2, 4);           /* at 0, 1, 3 and 7 s */
    assert_int_equal(stats_of(&r).db.ledger, 0); /* its room is free meanwhile */
    assert_int_equal(stats_of(&r).waits[MU_WAIT_UNBUILT], 1);
    add_pod(&r, "q", 3000, solo, false);
    run_for(&r, 600 * MU_NS_PER_S);
    assert_true(r.bindings < 20);
    assert_int_equal(tally(&r).bound, 1); /* one of the two: there is room for one */
    rig_fini(&r);
}

static enum hook_answer park_first(uint32_t nth)
{
    return nth == 1 ? PARK : PASS;
}

static void patch_pod(struct rig *r, const char *name, const struct mu_buf *body)
{
    char path[100];
    struct mu_api_response response = {0};
    (void)snprintf(path, sizeof path, "/api/v1/namespaces/default/pods/%s", name);
    struct mu_api_request request = {.method = MU_PATCH,
                                     .path = mu_str_of(path),
                                     .content = MU_MEDIA_MERGE_PATCH,
                                     .body = view(body)};
    mu_apiserver_handle(r->server, &request, r->now_ns, &response);
    assert_int_equal(response.status, 200);
    mu_buf_fini(&response.body);
}

static void add_gang(struct rig *r, int from, int to)
{
    for (int i = from; i < to; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "g%d", i);
        add_pod(r, name, 1000, gang_of("g", 3), false);
    }
}

/* While the first bind of a gang is not answered nobody may pass it, whatever happens to the others:
 * should it be refused, a part of the gang would be bound. */
static void test_scheduler__member_changes_under_an_open_claim__nobody_passes_it(void **state)
{
    (void)state;
    for (int member = 0; member < 3; member++) {
        struct rig r;
        struct mu_buf body = {0};
        char name[16];
        rig_init(&r, MU_SCORE_SPREAD);
        r.hook = park_first;
        add_node(&r, "n1", 4000);
        start(&r);
        add_gang(&r, 0, 3);
        run_for(&r, 5 * MU_NS_PER_S);
        assert_int_equal(r.bindings, 1);
        (void)mu_buf_append_text(&body, "{\"metadata\":{\"labels\":{\"x\":\"y\"}}}");
        (void)snprintf(name, sizeof name, "g%d", member);
        patch_pod(&r, name, &body);
        mu_buf_fini(&body);
        run_for(&r, 5 * MU_NS_PER_S);
        /* The claimed member itself: its write is dead, so the gang is planned anew, whole. */
        bool claimed = strstr(r.parked, name) != NULL;
        assert_int_equal(tally(&r).bound, claimed ? 3 : 0);
        rig_fini(&r);
    }
}

/* A member that becomes unreadable under its plan: no charge may leak, no drain may hang, and when
 * it is readable again the gang is completed. */
static void test_scheduler__member_grows_beyond_bounds__nothing_leaks(void **state)
{
    (void)state;
    for (int member = 0; member < 3; member++) {
        struct rig r;
        struct mu_buf body = {0};
        char name[16];
        rig_init(&r, MU_SCORE_SPREAD);
        add_node(&r, "n1", 4000);
        start(&r);
        add_gang(&r, 0, 2);
        run_for(&r, MU_NS_PER_S);
        add_gang(&r, 2, 3);
        pull_watches(&r);
        (void)mu_buf_append_text(&body, "{\"spec\":{\"tolerations\":[");
        for (int k = 0; k < 300; k++)
            (void)mu_buf_printf(&body, "%s{\"key\":\"k%d\",\"operator\":\"Exists\"}",
                                k > 0 ? "," : "", k);
        (void)mu_buf_append_text(&body, "]}}");
        (void)snprintf(name, sizeof name, "g%d", member);
        patch_pod(&r, name, &body);
        mu_buf_fini(&body);
        run_for(&r, 900 * MU_NS_PER_S);
        assert_int_equal(stats_of(&r).db.ledger, 0);
        mu_scheduler_drain(r.scheduler);
        assert_true(mu_scheduler_drained(r.scheduler));
        rig_fini(&r);
    }
}

static void test_scheduler_drain__nothing_new_is_decided(void **state)
{
    struct rig r;
    (void)state;
    rig_init(&r, MU_SCORE_SPREAD);
    add_node(&r, "n1", 4000);
    start(&r);
    mu_scheduler_drain(r.scheduler);
    add_pod(&r, "p", 1000, solo, false);
    run_for(&r, 10 * MU_NS_PER_S);
    assert_int_equal(tally(&r).bound, 0);
    assert_true(mu_scheduler_drained(r.scheduler));
    rig_fini(&r);
}

static void test_scheduler__idle__has_nothing_to_do(void **state)
{
    struct rig r;
    (void)state;
    rig_init(&r, MU_SCORE_SPREAD);
    add_node(&r, "n1", 4000);
    add_pod(&r, "p", 1000, solo, false);
    start(&r);
    uint64_t sessions = stats_of(&r).sessions;
    run_for(&r, 600 * MU_NS_PER_S);
    assert_int_equal(stats_of(&r).sessions, sessions);
    rig_fini(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_scheduler__solo_pod__is_bound_under_a_plan),
        cmocka_unit_test(test_scheduler__gang_without_room__waits_whole_until_a_node_comes),
        cmocka_unit_test(test_scheduler__incomplete_gang__waits_for_its_members),
        cmocka_unit_test(test_scheduler__unsized_gang__is_placed_after_its_quiet_time),
        cmocka_unit_test(test_scheduler__gated_pod__is_never_bound),
        cmocka_unit_test(test_scheduler__lost_reply_of_a_landed_bind__is_settled_once),
        cmocka_unit_test(test_scheduler__lost_requests__are_repeated_until_bound),
        cmocka_unit_test(test_scheduler__pod_changed_under_a_plan__is_planned_again),
        cmocka_unit_test(test_scheduler__denied_bind__is_repeated_with_backoff),
        cmocka_unit_test(test_scheduler__member_changes_under_an_open_claim__nobody_passes_it),
        cmocka_unit_test(test_scheduler__member_grows_beyond_bounds__nothing_leaks),
        cmocka_unit_test(test_scheduler_drain__nothing_new_is_decided),
        cmocka_unit_test(test_scheduler__idle__has_nothing_to_do),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
