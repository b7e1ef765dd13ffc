#ifndef MU_TESTS_SCHEDULER_RIG_H
#define MU_TESTS_SCHEDULER_RIG_H
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

enum hook_answer { PASS, LOSE_REPLY, LOSE_REQUEST, FORBID, PARK, NOT_SERVED, BREAK };

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
    /* Runs before a binding is handled; NULL: nothing does. */
    void (*before_binding)(struct rig *r);
    /* Judges the requests of the reporter, of which there were so many; NULL: all pass. */
    enum hook_answer (*report_hook)(struct rig *r, const struct mu_request *request);
    /* Judges everything that is written, whoever writes it; NULL: nobody does. */
    enum hook_answer (*write_hook)(const struct mu_api_request *request);
    uint32_t conditions, events, series;
    char parked[128];         /* path of the last parked request */
    bool namespaces_lost;     /* lists of namespaces get no answer */
    enum hook_answer budgets; /* what lists of disruption budgets get */
    enum hook_answer groups;  /* what requests for objects of gangs get */
    uint32_t group_requests;
    uint32_t group_writes;          /* of their statuses */
    struct mu_slot_memory *journal; /* outlives a restart; NULL: each ring has its own */
    uint64_t incarnation;
    bool audit_by_changes;            /* of the next ring, as are those below */
    enum mu_short_policy short_gangs; /* of its sessions */
    uint64_t gang_deadline_ns;
    bool preempts;
    uint32_t evictions_per_interval;
};

#define RIG_WALL_NS (UINT64_C(1767225600) * MU_NS_PER_S)

/* A ring of its own on the server that is there. */
static inline void rig_start_ring(struct rig *r, const struct mu_profile *score,
                                  uint32_t report_rate)
{
    struct mu_str name = MU_STR("muster");
    struct mu_scheduler_config scheduler = {.scheduler_names = &name,
                                            .scheduler_name_count = 1,
                                            .page_limit = 2,
                                            .incarnation = 7 + r->incarnation++,
                                            .journal_memory = r->journal,
                                            .report_rate = report_rate,
                                            .preempts = r->preempts,
                                            .report_instance = MU_STR("musterd-host"),
                                            .evictions_per_interval = r->evictions_per_interval,
                                            .wall_offset_ns = RIG_WALL_NS,
                                            .audit_by_changes = r->audit_by_changes};
    struct mu_session_config session = {.profile = score,
                                        .short_gangs = r->short_gangs,
                                        .gang_deadline_ns = r->gang_deadline_ns,
                                        .preempts = r->preempts};
    r->scheduler = mu_scheduler_create(&scheduler, &r->random);
    r->session = mu_session_create(&session);
    assert_non_null(r->scheduler);
    assert_non_null(r->session);
}

/* report_rate: conditions and events a second, 0: none. */
static inline void rig_init_reporting(struct rig *r, const struct mu_profile *score,
                                      uint32_t report_rate)
{
    struct mu_apiserver_config server = {.wall_base_ns = RIG_WALL_NS};
    *r = (struct rig){.now_ns = MU_NS_PER_S};
    mu_random_init_seed(&r->random, 1);
    r->server = mu_apiserver_create(&server, &r->random);
    r->scratch = mu_arena_create(1 << 20);
    assert_non_null(r->server);
    rig_start_ring(r, score, report_rate);
}

static inline void rig_init(struct rig *r, const struct mu_profile *score)
{
    rig_init_reporting(r, score, 0);
}

static inline void rig_fini(struct rig *r)
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

/* The scheduler ends and starts again, knowing nothing; the server goes on. */
static inline void rig_restart(struct rig *r, const struct mu_profile *score, uint32_t report_rate)
{
    for (int i = 0; i < WATCHES_MAX; i++) {
        if (r->watches[i].watch != NULL)
            mu_api_watch_close(r->watches[i].watch);
        r->watches[i].watch = NULL;
    }
    mu_scheduler_destroy(r->scheduler);
    mu_session_destroy(r->session);
    mu_outbox_fini(&r->outbox);
    rig_start_ring(r, score, report_rate);
}

static inline struct mu_str view(const struct mu_buf *buf)
{
    return (struct mu_str){(const char *)buf->data, (uint32_t)buf->len};
}

static inline int call(struct rig *r, enum mu_method method, const char *path,
                       const struct mu_buf *body, struct mu_api_response *response)
{
    struct mu_api_request request = {.method = method,
                                     .path = mu_str_of(path),
                                     .content = MU_MEDIA_PROTOBUF,
                                     .body = body != NULL ? view(body) : MU_STR("")};
    *response = (struct mu_api_response){0};
    mu_apiserver_handle(r->server, &request, r->now_ns, response);
    return response->status;
}

static inline void reply(struct rig *r, struct mu_reply reply)
{
    assert_true(mu_scheduler_reply(r->scheduler, &reply, r->now_ns, &r->outbox));
}

static inline void lose(struct rig *r, uint64_t token)
{
    reply(r, (struct mu_reply){.token = token, .kind = MU_REPLY_LOST, .error = MU_ETIMEOUT});
}

static inline void open_watch(struct rig *r, uint64_t token, struct mu_api_watch *watch)
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

static inline bool is_of_groups(struct mu_str path)
{
    return mu_str_starts_with(path, MU_STR("/apis/scheduling.")) &&
           !mu_str_starts_with(path, MU_STR("/apis/scheduling.k8s.io/v1/"));
}

static inline void serve(struct rig *r, struct mu_request *request)
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
        .accept = mu_str_of(mu_media_text(request->json ? MU_MEDIA_JSON : MU_MEDIA_PROTOBUF)),
        .body = view(&request->body)};
    enum hook_answer answer = PASS;
    uint64_t token = request->token;
    bool event = mu_str_starts_with(path, MU_STR("/apis/events.k8s.io/"));
    if (request->method == MU_POST && !event && r->before_binding != NULL)
        r->before_binding(r);
    if (request->method == MU_POST && !event && r->hook != NULL)
        answer = r->hook(++r->bindings);
    r->events += event && request->method == MU_POST;
    r->series += event && request->method == MU_PATCH;
    r->conditions += !event && request->method == MU_PATCH && !is_of_groups(path);
    r->group_writes += request->method == MU_PATCH && is_of_groups(path);
    if ((event || request->method == MU_PATCH) && r->report_hook != NULL)
        answer = r->report_hook(r, request);
    if (r->namespaces_lost && mu_str_starts_with(path, MU_STR("/api/v1/namespaces?")))
        answer = LOSE_REQUEST;
    if (mu_str_starts_with(path, MU_STR("/apis/policy/v1/poddisruptionbudgets?")))
        answer = r->budgets;
    if (request->method == MU_GET && is_of_groups(path)) {
        answer = r->groups;
        r->group_requests++;
    }
    if (request->method != MU_GET && r->write_hook != NULL)
        answer = r->write_hook(&api);
    if (answer == LOSE_REQUEST) {
        lose(r, token);
        return;
    }
    if (answer == PARK) { /* no answer at all, yet */
        (void)snprintf(r->parked, sizeof r->parked, "%.*s", MU_STR_ARGS(api.path));
        return;
    }
    if (answer == FORBID || answer == NOT_SERVED || answer == BREAK) {
        int status = answer == FORBID ? 403 : answer == BREAK ? 500 : 404;
        reply(r, (struct mu_reply){.token = token, .kind = MU_REPLY_HEAD, .status = status});
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

static inline void pull_watches(struct rig *r)
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

static inline bool run_session(struct rig *r)
{
    const struct mu_plan *plan;
    uint32_t evictions;
    bool any_first;
    struct mu_snapshot *snapshot = mu_scheduler_take_snapshot(r->scheduler, r->now_ns);
    if (snapshot == NULL)
        return false;
    mu_scheduler_evictions(r->scheduler, r->now_ns, &evictions, &any_first);
    mu_session_evictions(r->session, evictions, any_first);
    mu_session_unix(r->session, (uint32_t)((RIG_WALL_NS + r->now_ns) / MU_NS_PER_S));
    assert_int_equal(mu_session_run(r->session, snapshot, r->now_ns, &plan), 0);
    mu_scheduler_give_plan(r->scheduler, snapshot, plan, r->now_ns, &r->outbox);
    return true;
}

/* Run for `ns` of virtual time. */
static inline void run_for(struct rig *r, uint64_t ns)
{
    uint64_t end_ns = r->now_ns + ns;
    for (uint32_t turns = 0; turns < 1000000; turns++) {
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

static inline void start(struct rig *r)
{
    mu_scheduler_start(r->scheduler, r->now_ns, &r->outbox);
    run_for(r, MU_NS_PER_S);
}

static inline void post_node(struct rig *r, const struct mu_node_object *node)
{
    struct mu_buf body = {0};
    struct mu_api_response response;
    assert_int_equal(mu_workload_encode_node(node, r->scratch, &body), 0);
    assert_int_equal(call(r, MU_POST, "/api/v1/nodes", &body, &response), 201);
    mu_buf_fini(&body);
    mu_buf_fini(&response.body);
}

static inline void add_node(struct rig *r, const char *name, int64_t cpu_millis)
{
    const struct mu_amount allocatable[] = {
        {MU_STR("cpu"), cpu_millis}, {MU_STR("memory"), INT64_C(8) << 30}, {MU_STR("pods"), 110}};
    struct mu_node_object node = {
        .name = mu_str_of(name), .allocatable = allocatable, .allocatable_count = 3};
    post_node(r, &node);
}

/* A node with the taint team=red:NoSchedule, or a cordoned one. */
static inline void add_tainted(struct rig *r, const char *name, bool tainted)
{
    const struct mu_amount allocatable[] = {{MU_STR("cpu"), 64000}, {MU_STR("pods"), 110}};
    const struct mu_taint taint = {MU_STR("team"), MU_STR("red"), MU_EFFECT_NO_SCHEDULE};
    struct mu_node_object node = {.name = mu_str_of(name),
                                  .allocatable = allocatable,
                                  .allocatable_count = 2,
                                  .taints = &taint,
                                  .taint_count = tainted,
                                  .unschedulable = !tainted};
    post_node(r, &node);
}

static inline void add_pod(struct rig *r, const char *name, int64_t cpu_millis,
                           struct mu_gang_ref gang, bool gated)
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

#define solo ((struct mu_gang_ref){0})

static inline struct mu_gang_ref gang_of(const char *name, uint32_t size)
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

static inline int tally_pod(void *context, struct mu_str raw)
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

static inline struct tally tally(struct rig *r)
{
    struct tally t = {.arena = mu_arena_create(1 << 20), .planned = true};
    assert_int_equal(mu_apiserver_each(r->server, "pods", tally_pod, &t), 0);
    mu_arena_destroy(t.arena);
    return t;
}

static inline struct mu_scheduler_stats stats_of(struct rig *r)
{
    struct mu_scheduler_stats stats;
    mu_scheduler_stats(r->scheduler, &stats);
    return stats;
}

#endif
